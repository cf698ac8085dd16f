//! Small files of things that are remembered: the digest of what follows, 32 bytes, and what follows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::blob_store::note_use;
use super::{BlobStore, StoreError};
use crate::oci::Digest;

/// The largest record, in bytes.
const MAX_RECORD: u64 = 1 << 30;

/// What is remembered in a bucket under a name; `None` where there is nothing, or it is damaged.
pub fn read_record(store: &BlobStore, bucket: &str, name: &str) -> Option<Vec<u8>> {
    let mut file = File::open(store.root().join(bucket).join(name)).ok()?;
    note_use(store, &file, &file.metadata().ok()?);
    let mut bytes = Vec::new();
    (&mut file).take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
    is_whole(&bytes).then(|| bytes.split_off(32))
}

/// Remembers something under a name. A name that is lost with the power is that of nothing remembered.
///
/// # Errors
/// Where it cannot be written.
pub fn write_record(store: &BlobStore, bucket: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut record = Digest::of(bytes).raw().to_vec();
    record.extend_from_slice(bytes);
    store.replace(&store.bucket(bucket)?.join(name), &record)
}

/// Whether anything is remembered in a bucket.
pub fn has_records(store: &BlobStore, bucket: &str) -> bool {
    std::fs::read_dir(store.root().join(bucket)).is_ok_and(|mut entries| entries.next().is_some())
}

fn is_whole(record: &[u8]) -> bool {
    record.split_at_checked(32).is_some_and(|(digest, rest)| Digest::of(rest).raw() == digest)
}

/// Whether the file is a record as it was written.
pub(super) fn check_record(path: &Path) -> std::io::Result<bool> {
    Ok(is_whole(&std::fs::read(path)?))
}
