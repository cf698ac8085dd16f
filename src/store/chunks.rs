//! Where compressed chunks lie in stored blobs, so that what was compressed once is copied. No second copy is kept.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::blob_store::{CHUNKS, note_use};
use super::writer::locked_file;
use super::{BlobStore, StoreError};
use crate::compress::{ChunkId, KnownChunks};
use crate::oci::Digest;

/// One chunk of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// What it is made from.
    pub id: ChunkId,
    /// Where its compressed bytes start in the blob.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
    /// BLAKE3 of the compressed bytes: a damaged blob gives nothing.
    pub check: [u8; 32],
}

/// The index: one small file for each chunk. Nothing is lost with it, so nothing is synced.
#[derive(Debug)]
pub struct ChunkIndex {
    store: BlobStore,
    bucket: PathBuf,
}

/// How long a record is: digest of the blob, offset, length, check.
const RECORD: usize = 32 + 8 + 8 + 32;

/// The longest compressed chunk that is read back, in bytes.
const MAX_CHUNK: u64 = 64 << 20;

impl ChunkIndex {
    /// The index of that store.
    ///
    /// # Errors
    /// Where its directory cannot be made.
    pub fn open(store: &BlobStore) -> Result<Self, StoreError> {
        Ok(ChunkIndex { store: store.clone(), bucket: store.bucket(CHUNKS)? })
    }

    fn path(&self, id: ChunkId) -> PathBuf {
        let hex = blake3::Hash::from_bytes(id.0).to_hex();
        self.bucket.join(&hex[..2]).join(&hex[2..])
    }

    /// The compressed bytes of a chunk, where they are what they were.
    fn read(&self, id: ChunkId, packed: &mut Vec<u8>) -> Option<()> {
        let path = self.path(id);
        let record = File::open(&path).ok()?;
        let mut bytes = [0; RECORD];
        record.read_exact_at(&mut bytes, 0).ok()?;
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (length, check) = rest.split_first_chunk::<8>()?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_CHUNK {
            return None;
        }
        let file = File::open(self.store.path(&Digest::from_raw(*digest))).ok()?;
        packed.resize(length as usize, 0);
        file.read_exact_at(packed, u64::from_le_bytes(*offset)).ok()?;
        note_use(&self.store, &record, &record.metadata().ok()?);
        (blake3::hash(packed).as_bytes() == check).then_some(())
    }

    /// Notes where the chunks of a finished blob are. What cannot be noted is compressed again another time.
    pub fn note(&self, blob: &Digest, chunks: &[ChunkSpan]) {
        for chunk in chunks {
            let path = self.path(chunk.id);
            let mut record = blob.raw().to_vec();
            record.extend(chunk.offset.to_le_bytes());
            record.extend(chunk.length.to_le_bytes());
            record.extend(chunk.check);
            if fs::read(&path).is_ok_and(|known| known == record) {
                continue;
            }
            let Some(directory) = path.parent() else { continue };
            // Written elsewhere and renamed: another build never reads half a record.
            let written = fs::create_dir_all(directory).and_then(|()| {
                let file = locked_file(&self.store).map_err(std::io::Error::other)?;
                file.as_file().write_all_at(&record, 0)?;
                file.persist(&path).map_err(|error| error.error)
            });
            if written.is_err() {
                return;
            }
        }
    }
}

impl KnownChunks for ChunkIndex {
    fn find(&self, id: ChunkId, packed: &mut Vec<u8>) -> bool {
        self.read(id, packed).is_some()
    }
}
