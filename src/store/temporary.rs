//! Directories for what other programs read and write while a build runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// How often a directory is made again that was taken for an abandoned one before its lock was held.
const TRIES: usize = 8;

/// A directory that only its owner can look into, and that is removed in the end: by whoever opens the cache next, where the
/// process was killed. A lock on the directory itself says that somebody still needs it.
#[derive(Debug)]
pub struct TemporaryDirectory {
    directory: tempfile::TempDir,
    _lock: File,
}

impl TemporaryDirectory {
    /// A new one below `tmp` (the store's).
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(tmp: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir_in(tmp)?;
            let Ok(lock) = open(directory.path()) else { continue };
            // Some network file systems know no locks on directories: nobody takes it away there.
            if flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK) {
                continue;
            }
            let is = |found: io::Result<fs::Metadata>| found.map(|found| found.ino()).ok();
            if is(fs::symlink_metadata(directory.path())).is_some_and(|there| Some(there) == is(lock.metadata())) {
                return Ok(TemporaryDirectory { directory, _lock: lock });
            }
        }
        Err(io::Error::other("directories that are made there do not stay"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Gives it a name of its own, on the same file system: then it is no longer temporary.
    ///
    /// # Errors
    /// Where something is called so already; then it is removed.
    pub fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(self.path(), to)?;
        let _ = self.directory.keep();
        Ok(())
    }

    /// Makes a directory in it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Writes a file in it that only its owner can read.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?.write_all(bytes)?;
        Ok(path)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Removes a directory that nobody holds a lock on, with all that is in it.
pub(super) fn collect(path: &Path) {
    let Ok(directory) = open(path) else { return };
    if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::BlobStore;
    use super::*;

    #[test]
    fn directories_of_killed_builds_are_collected_and_those_in_use_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        let live = TemporaryDirectory::new(&store.tmp()).unwrap();
        let file = live.write("requirements.txt", b"a").unwrap();
        live.directory("inner").unwrap();
        let killed = store.tmp().join("killed");
        fs::create_dir_all(killed.join("below")).unwrap();
        fs::write(killed.join("below/requirements.txt"), b"https://me:secret@example.com/").unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.tmp().join("link")).unwrap();

        BlobStore::open(store.root(), || {}).unwrap();
        assert!(!killed.exists());
        assert!(file.exists() && elsewhere.exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(live.path()), mode(&file), mode(&live.path().join("inner"))), (0o700, 0o600, 0o700));
        let path = live.path().to_owned();
        drop(live);
        assert!(!path.exists());
    }
}
