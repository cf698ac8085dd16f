//! Looking after the cache: how large it is, whether it is whole, and removing what is not needed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use walkdir::WalkDir;

use super::StoreError;
use super::blob_store::{BLOBS, TMP, lock_file, make_directory};
use crate::oci::{Digest, Hasher};

/// What a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of blobs.
    pub blobs: u64,
    /// Their length in bytes.
    pub blob_bytes: u64,
    /// Number of other files.
    pub others: u64,
    /// Their length in bytes.
    pub other_bytes: u64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of files.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// A cache that nobody else uses at this moment: the exclusive lock is held.
#[derive(Debug)]
pub struct Upkeep {
    root: PathBuf,
    _lock: File,
}

struct Found {
    path: PathBuf,
    length: u64,
    used: SystemTime,
    blob: Option<Digest>,
}

impl Upkeep {
    /// Takes the cache at that directory; waits until no build uses it. `waiting` is called where it has to.
    ///
    /// # Errors
    /// Where it cannot be opened or locked.
    pub fn open(root: &Path, waiting: impl FnOnce()) -> Result<Self, StoreError> {
        make_directory(root)?;
        let lock = lock_file(root)?;
        let failed = |error: rustix::io::Errno| StoreError::io("locking", &root.join("lock"))(error.into());
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            flock(&lock, FlockOperation::LockExclusive).map_err(failed)?;
        }
        Ok(Upkeep { root: root.to_owned(), _lock: lock })
    }

    fn files(&self) -> Result<Vec<Found>, StoreError> {
        let blobs = self.root.join(BLOBS);
        let mut found = Vec::new();
        for entry in WalkDir::new(&self.root).follow_links(false).sort_by_file_name() {
            let entry = entry.map_err(|error| StoreError::io("reading", &self.root)(error.into()))?;
            let path = entry.path();
            let at_top = entry.depth() == 1;
            if entry.file_type().is_dir()
                || (at_top && matches!(entry.file_name().to_str(), Some("lock" | "CACHEDIR.TAG")))
            {
                continue;
            }
            let metadata = entry.metadata().map_err(|error| StoreError::io("reading", path)(error.into()))?;
            let blob = path.strip_prefix(&blobs).ok().map(|below| {
                let hex: String = below.to_string_lossy().replace('/', "");
                format!("sha256:{hex}").parse().ok()
            });
            if let Some(None) = blob {
                // Nothing of ours has such a name.
                continue;
            }
            found.push(Found {
                path: path.to_owned(),
                length: metadata.len(),
                used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                blob: blob.flatten(),
            });
        }
        Ok(found)
    }

    /// How much there is.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for file in self.files()? {
            let (count, bytes) = match file.blob {
                Some(_) => (&mut usage.blobs, &mut usage.blob_bytes),
                None => (&mut usage.others, &mut usage.other_bytes),
            };
            *count += 1;
            *bytes += file.length;
        }
        Ok(usage)
    }

    /// Reads every blob and removes those that are not what their name says; gives their digests.
    ///
    /// # Errors
    /// Where one cannot be read or removed.
    pub fn verify(&self) -> Result<Vec<Digest>, StoreError> {
        let mut damaged = Vec::new();
        for file in self.files()? {
            let Some(expected) = file.blob else { continue };
            let actual = digest_of(&file.path).map_err(StoreError::io("reading", &file.path))?;
            if actual != expected {
                remove(&file.path)?;
                damaged.push(expected);
            }
        }
        Ok(damaged)
    }

    /// Removes what was last used before `now - keep`, and then what was used longest ago until at most `max_bytes` are
    /// left.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn prune(&self, now: SystemTime, keep: Duration, max_bytes: Option<u64>) -> Result<Removed, StoreError> {
        let mut files = self.files()?;
        files.sort_by(|a, b| (b.used, &b.path).cmp(&(a.used, &a.path)));
        let oldest = now.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH);
        let (mut removed, mut left) = (Removed::default(), 0);
        for file in files {
            let fits = max_bytes.is_none_or(|max| left + file.length <= max);
            if file.used >= oldest && fits {
                left += file.length;
                continue;
            }
            remove(&file.path)?;
            removed.files += 1;
            removed.bytes += file.length;
        }
        Ok(removed)
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn clear(&self) -> Result<Removed, StoreError> {
        let removed = self.prune(SystemTime::UNIX_EPOCH, Duration::ZERO, Some(0))?;
        // Directories that are empty now, and what is in `tmp`, which only builds that are gone can have left.
        let _ = fs::remove_dir_all(self.root.join(TMP));
        Ok(removed)
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(StoreError::io("removing", path))
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::BlobStore;
    use super::*;

    #[test]
    fn the_cache_is_measured_checked_and_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path()).unwrap();
        let good = store.put(b"good").unwrap();
        let bad = store.put(b"bad").unwrap();
        let bucket = store.bucket("layers-v1").unwrap();
        fs::write(bucket.join("x"), b"12345").unwrap();
        drop(store);

        let upkeep = Upkeep::open(directory.path(), || panic!("nobody holds it")).unwrap();
        assert_eq!(upkeep.usage().unwrap(), Usage { blobs: 2, blob_bytes: 7, others: 1, other_bytes: 5 });
        let path = directory.path().join(BLOBS).join(&bad.hex()[..2]).join(&bad.hex()[2..]);
        fs::write(&path, b"bxd").unwrap();
        assert_eq!(upkeep.verify().unwrap(), [bad]);
        assert_eq!(upkeep.verify().unwrap(), []);

        let day = Duration::from_secs(86_400);
        let later = SystemTime::now() + day;
        assert_eq!(upkeep.prune(later, 2 * day, None).unwrap(), Removed::default());
        assert_eq!(upkeep.prune(later, day / 2, None).unwrap().files, 2);
        assert_eq!(upkeep.usage().unwrap(), Usage::default());
        drop(upkeep);

        let store = BlobStore::open(directory.path()).unwrap();
        assert_eq!(store.put(b"good").unwrap(), good);
        drop(store);
        let upkeep = Upkeep::open(directory.path(), || {}).unwrap();
        assert_eq!(upkeep.clear().unwrap().files, 1);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path()).unwrap();
        let bucket = store.bucket("layers-v1").unwrap();
        drop(store);
        for (name, age) in [("old", 300), ("new", 100), ("middle", 200)] {
            let file = File::create(bucket.join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let upkeep = Upkeep::open(directory.path(), || {}).unwrap();
        upkeep.prune(SystemTime::now(), Duration::from_secs(1000), Some(20)).unwrap();
        assert!(!bucket.join("old").exists() && bucket.join("middle").exists());
        upkeep.prune(SystemTime::now(), Duration::from_secs(150), None).unwrap();
        assert!(bucket.join("new").exists() && !bucket.join("middle").exists());
    }
}
