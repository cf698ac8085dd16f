//! The store: blobs by digest, and what is remembered about them, in one directory that many builds share.
//!
//! ```text
//! CACHE/
//!   CACHEDIR.TAG        so that backups leave it out
//!   blobs-v1/ab/cdef…   blobs, by the hexadecimal digits of their SHA-256
//!   layers-v2/…         what is remembered of layers: key → descriptor and diff ID
//!   plans-v2/…          the same of layers of packages, by the key of what they come from
//!   proofs-v1/…         what came to nothing that would have to be made or said
//!   written-v1/…        files of output directories, as they were when they were written
//!   chunks-v1/ab/…      where compressed chunks lie in blobs, by what they are made from
//!   files-v1/…          what files of contexts hold, by what the kernel says of them
//!   listings-v2/…       what a base's layer holds, by digest and diff ID
//!   documents-v1/…      what came last from an address that no digest was known of: signed indexes, pages of indexes
//!   made-v1/NAME/…      what other programs keep for us; any file of it may go
//!   tmp/                unfinished files and directories; what nobody holds a lock on is removed
//!   lock                shared while a build runs, exclusive while the cache is pruned
//! ```
//!
//! A file under a final name is whole: it is written under `tmp/`, synced, renamed, and its directory synced. A blob of
//! length zero where the descriptor says otherwise, as a power cut leaves it on some file systems, counts as absent.

mod blob_store;
mod chunks;
mod file_hashes;
mod fresh_hashes;
mod record;
mod temporary;
mod upkeep;
mod writer;

pub(crate) use blob_store::MADE;
pub use blob_store::{BlobStore, InUse, StoreError};
pub use chunks::{ChunkIndex, ChunkSpan};
pub use file_hashes::{FileHash, FileHashes, Near, is_local};
pub use record::{has_records, read_record, write_record};
pub use temporary::TemporaryDirectory;
pub use upkeep::{Removed, Upkeep, Usage};
pub use writer::BlobWriter;
