//! Tar archives: one canonical way to write them, one strict way to read them.
//!
//! The writer makes layers of **format 1**: a tree has exactly one byte string. The reader takes what people's tools write
//! (ustar, PAX, GNU) and refuses what two readers could read in two ways.

mod ahead;
mod pax;
#[cfg(test)]
mod properties;
pub mod read;
pub mod write;

pub use read::{MAX_MEMBERS, Member, MemberKind, ReadError, Reader};
pub(crate) use write::ordered;
pub use write::{Observer, WriteError, read_contents, read_tree, tar_length, write_tree, write_tree_ahead};

/// The one time that every entry of a layer has: 1980-01-02T00:00:00Z, in seconds. It is neither 0 nor, in any time zone,
/// before 1980, where zip files and FAT begin.
pub const MTIME: u64 = 315_619_200;

/// Tar's unit, in bytes.
pub(crate) const BLOCK: u64 = 512;

/// Bytes of padding after a member of that length.
pub(crate) fn padding(length: u64) -> u64 {
    (BLOCK - length % BLOCK) % BLOCK
}
