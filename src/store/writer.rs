//! Writing one blob: bytes go to a temporary file and through SHA-256, and the end makes them a blob.

use std::fs::File;
use std::io::{self, Write};
use std::thread::JoinHandle;

use rustix::fs::{FlockOperation, flock};

use super::{BlobStore, StoreError};
use crate::oci::{Descriptor, Digest, Hasher};
use crate::unfinished;

/// An unfinished blob. Dropped without [`BlobWriter::finish`], it leaves nothing behind.
pub struct BlobWriter {
    store: BlobStore,
    file: tempfile::NamedTempFile,
    hasher: Hasher,
    syncing: Syncing,
}

/// How far the file is on the disk: what is there already need not be waited for at the end.
#[derive(Default)]
struct Syncing {
    /// Bytes of which the last sync knew.
    length: u64,
    /// The sync that is under way, or was the last.
    under_way: Option<JoinHandle<io::Result<()>>>,
}

/// Bytes after which what was written is synced on the side.
const SYNC: u64 = 64 << 20;

impl Syncing {
    /// Begins a sync where much was written since the last one, and that one is done.
    ///
    /// # Errors
    /// Where the last one failed.
    fn go_on(&mut self, file: &File, length: u64) -> io::Result<()> {
        if length - self.length < SYNC || self.under_way.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        self.wait()?;
        let file = file.try_clone()?;
        self.length = length;
        self.under_way = Some(std::thread::spawn(move || file.sync_data()));
        Ok(())
    }

    /// Waits for the sync that is under way. The kernel tells of an error once: whoever ends a file must ask here too.
    fn wait(&mut self) -> io::Result<()> {
        match self.under_way.take().map(JoinHandle::join) {
            Some(result) => result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Ok(()),
        }
    }
}

impl BlobWriter {
    pub(super) fn new(store: BlobStore) -> Result<Self, StoreError> {
        let file = locked_file(&store)?;
        Ok(BlobWriter { store, file, hasher: Hasher::new(), syncing: Syncing::default() })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// Where the file cannot be written (a full disk).
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::io("writing", self.file.path()))?;
        self.hasher.update(bytes);
        let synced = self.syncing.go_on(self.file.as_file(), self.hasher.length());
        synced.map_err(StoreError::io("syncing", self.file.path()))
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes the bytes a blob, whatever their digest. Gives digest and length.
    ///
    /// # Errors
    /// Where the file cannot be synced or renamed.
    pub fn finish(mut self) -> Result<(Digest, u64), StoreError> {
        let length = self.hasher.length();
        let digest = self.hasher.finish();
        let synced = self.syncing.wait().and_then(|()| self.file.as_file().sync_all());
        synced.map_err(StoreError::io("syncing", self.file.path()))?;
        self.store.publish(self.file, &digest)?;
        Ok((digest, length))
    }

    /// Makes the bytes a blob where they are what was announced.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where they are not: then nothing is kept.
    pub fn finish_as(self, expected: &Descriptor) -> Result<(), StoreError> {
        let length = self.hasher.length();
        let actual = self.hasher.clone().finish();
        if (actual, length) != (expected.digest, expected.size) {
            return Err(StoreError::Mismatch { expected: expected.digest, size: expected.size, actual, length });
        }
        self.finish().map(|_| ())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.append(buffer).map_err(io::Error::other)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A temporary file that this process holds the lock of. The lock tells others that somebody is still writing; the kernel
/// lets go of it however this process ends.
pub(super) fn locked_file(store: &BlobStore) -> Result<tempfile::NamedTempFile, StoreError> {
    let tmp = store.tmp();
    loop {
        let file = tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(&tmp)
            .map_err(StoreError::io("making a file in", &tmp))?;
        // Between the making and the locking, another build may take the file for an abandoned one: then make another.
        let locked = match flock(file.as_file(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            // So is the whole cache then: a temporary one, which nobody else has.
            Err(error) if unfinished::has_no_locks(error) => true,
            Err(rustix::io::Errno::WOULDBLOCK) => false,
            Err(error) => return Err(StoreError::io("locking", file.path())(error.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| StoreError::io("reading", file.path())(error.into()))?;
        if locked && stat.st_nlink > 0 {
            return Ok(file);
        }
    }
}
