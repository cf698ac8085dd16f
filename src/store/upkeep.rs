//! Looking after the cache: how large it is, whether it is whole, and removing what is not needed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use walkdir::WalkDir;

use super::StoreError;
use super::blob_store::{self, BLOBS, Holds, OTHERS, RECORDS, TMP, lock_file};
use super::file_hashes::{self, check_file_hashes};
use super::record::check_record;
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
    /// Whether it is a regular file, as all are that were written.
    is_file: bool,
    blob: Option<Digest>,
    /// Tells whether it is as it was written, where that can be told.
    check: Option<fn(&Path) -> io::Result<bool>>,
}

impl Upkeep {
    /// Takes the cache at that directory; waits until no build uses it. `waiting` is called where it has to. `None` where
    /// there is no cache.
    ///
    /// # Errors
    /// Where it cannot be locked, or the directory holds something else: nothing of that is ever touched.
    pub fn open(root: &Path, waiting: impl FnOnce()) -> Result<Option<Self>, StoreError> {
        if !cache_is_there(root)? {
            return Ok(None);
        }
        let lock = lock_file(root)?;
        let failed = |error: rustix::io::Errno| StoreError::io("locking", &root.join("lock"))(error.into());
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                waiting();
                flock(&lock, FlockOperation::LockExclusive).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(Some(Upkeep { root: root.to_owned(), _lock: lock }))
    }

    fn files(&self) -> Result<Vec<Found>, StoreError> {
        files(&self.root)
    }

    /// Reads everything and removes what is not what it was written as; gives the paths, below the cache.
    ///
    /// # Errors
    /// Where something cannot be read or removed.
    pub fn verify(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut damaged = Vec::new();
        for file in self.files()? {
            let whole = match (file.blob, file.check) {
                (Some(expected), _) => is_blob(&file.path, &expected),
                (None, Some(_)) if !file.is_file => Ok(false),
                (None, Some(check)) => check(&file.path),
                (None, None) => Ok(true),
            };
            if !whole.map_err(StoreError::io("reading", &file.path))? {
                remove(&file.path)?;
                damaged.push(file.path.strip_prefix(&self.root).unwrap_or(&file.path).to_owned());
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
        let usage = Usage::of(&self.root)?;
        for bucket in [BLOBS, TMP].iter().chain(&RECORDS).chain(&OTHERS) {
            let path = self.root.join(bucket);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("removing", &path)(error));
                }
                _ => {}
            }
        }
        Ok(Removed { files: usage.blobs + usage.others, bytes: usage.blob_bytes + usage.other_bytes })
    }
}

impl Usage {
    /// How much a cache holds; nothing where there is none. Nobody waits for it, and it waits for nobody.
    ///
    /// # Errors
    /// Where a directory cannot be read, or is no cache.
    pub fn of(root: &Path) -> Result<Self, StoreError> {
        let mut usage = Usage::default();
        if !cache_is_there(root)? {
            return Ok(usage);
        }
        for file in files(root)? {
            let (count, bytes) = match file.blob {
                Some(_) => (&mut usage.blobs, &mut usage.blob_bytes),
                None => (&mut usage.others, &mut usage.other_bytes),
            };
            *count += 1;
            *bytes += file.length;
        }
        Ok(usage)
    }
}

/// Whether a cache is there; a directory with anything else in it is an error.
fn cache_is_there(root: &Path) -> Result<bool, StoreError> {
    match Holds::of(root) {
        Ok(Holds::Cache) => Ok(true),
        Ok(Holds::Nothing) => Ok(false),
        Ok(Holds::Other) => Err(StoreError::Foreign(root.to_owned())),
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files of the cache's own directories. What goes while they are read was not there.
fn files(root: &Path) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    for bucket in [BLOBS].iter().chain(&RECORDS).chain(&OTHERS) {
        let top = root.join(bucket);
        let mut walk = WalkDir::new(&top).follow_links(false).same_file_system(true).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
                Err(error) => return Err(StoreError::io("reading", &top)(error.into())),
            };
            let is_directory = entry.file_type().is_dir();
            if is_directory && !is_in_place_of_a_file(bucket, entry.depth()) {
                continue;
            }
            if is_directory {
                walk.skip_current_dir();
            }
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            let blob = match *bucket == BLOBS {
                true => {
                    let below = path.strip_prefix(&top).unwrap_or(path);
                    let hex = below.to_string_lossy().replace('/', "");
                    match format!("sha256:{hex}").parse() {
                        Ok(digest) => Some(digest),
                        // Nothing of ours has such a name.
                        Err(_) => continue,
                    }
                }
                false => None,
            };
            found.push(Found {
                path: path.to_owned(),
                length: metadata.len(),
                used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                is_file: metadata.is_file(),
                blob,
                check: check_of(bucket),
            });
        }
    }
    Ok(found)
}

/// Whether a directory, so deep below that of a bucket, is where a file would be.
fn is_in_place_of_a_file(bucket: &str, depth: usize) -> bool {
    match bucket {
        BLOBS => depth > 1,
        bucket => depth > 0 && RECORDS.contains(&bucket),
    }
}

/// What tells of the files of a bucket whether they are whole.
fn check_of(bucket: &str) -> Option<fn(&Path) -> io::Result<bool>> {
    match bucket {
        file_hashes::BUCKET => Some(check_file_hashes),
        bucket if RECORDS.contains(&bucket) => Some(check_record),
        _ => None,
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    blob_store::remove(path).map_err(StoreError::io("removing", path))
}

/// Whether that is a regular file with the bytes of that digest. What is none is not opened: it may be a FIFO.
pub(super) fn is_blob(path: &Path, expected: &Digest) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_file() && digest_of(path)? == *expected)
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
    use super::super::{BlobStore, write_record};
    use super::*;

    #[test]
    fn the_cache_is_measured_checked_and_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let good = store.put(b"good").unwrap();
        let bad = store.put(b"bad").unwrap();
        let bucket = store.bucket("chunks-v1").unwrap();
        fs::write(bucket.join("x"), b"12345").unwrap();
        write_record(&store, "layers-v2", "r", b"remembered").unwrap();
        drop(store);

        let upkeep = Upkeep::open(directory.path(), || panic!("nobody holds it")).unwrap().unwrap();
        assert_eq!(Usage::of(directory.path()).unwrap(), Usage { blobs: 2, blob_bytes: 7, others: 2, other_bytes: 47 });
        let path = directory.path().join(BLOBS).join(&bad.hex()[..2]).join(&bad.hex()[2..]);
        fs::write(&path, b"bxd").unwrap();
        let record = directory.path().join("layers-v2/r");
        let mut bytes = fs::read(&record).unwrap();
        bytes[35] ^= 1;
        fs::write(&record, bytes).unwrap();
        assert_eq!(upkeep.verify().unwrap().len(), 2);
        assert!(!path.exists() && !record.exists());
        assert!(upkeep.verify().unwrap().is_empty());
        // Directories, with anything in them, and links are no files of ours.
        fs::create_dir_all(path.join("below")).unwrap();
        fs::write(path.join("below/x"), b"x").unwrap();
        fs::create_dir(&record).unwrap();
        let whole = directory.path().join(BLOBS).join(&good.hex()[..2]).join(&good.hex()[2..]);
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&whole, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &whole).unwrap();
        assert_eq!(upkeep.verify().unwrap().len(), 3);
        assert!(!path.exists() && !record.exists() && !whole.exists() && upkeep.verify().unwrap().is_empty());
        fs::rename(&elsewhere, &whole).unwrap();

        let day = Duration::from_secs(86_400);
        let later = SystemTime::now() + day;
        assert_eq!(upkeep.prune(later, 2 * day, None).unwrap(), Removed::default());
        assert_eq!(upkeep.prune(later, day / 2, None).unwrap().files, 2);
        assert_eq!(Usage::of(directory.path()).unwrap(), Usage::default());
        drop(upkeep);

        let store = BlobStore::open(directory.path(), || {}).unwrap();
        assert_eq!(store.put(b"good").unwrap(), good);
        drop(store);
        let upkeep = Upkeep::open(directory.path(), || {}).unwrap().unwrap();
        assert_eq!(upkeep.clear().unwrap().files, 1);
    }

    #[test]
    fn a_directory_that_is_no_cache_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Upkeep::open(&directory.path().join("nowhere"), || {}).unwrap().is_none());
        assert!(!directory.path().join("nowhere").exists());
        fs::create_dir_all(directory.path().join("blobs-v1")).unwrap();
        fs::write(directory.path().join("blobs-v1/letter"), b"dear").unwrap();
        assert!(matches!(Upkeep::open(directory.path(), || {}), Err(StoreError::Foreign(_))));
        assert!(Usage::of(directory.path()).is_err());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let bucket = store.bucket("chunks-v1").unwrap();
        drop(store);
        for (name, age) in [("old", 300), ("new", 100), ("middle", 200)] {
            let file = File::create(bucket.join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let upkeep = Upkeep::open(directory.path(), || {}).unwrap().unwrap();
        upkeep.prune(SystemTime::now(), Duration::from_secs(1000), Some(20)).unwrap();
        assert!(!bucket.join("old").exists() && bucket.join("middle").exists());
        upkeep.prune(SystemTime::now(), Duration::from_secs(150), None).unwrap();
        assert!(bucket.join("new").exists() && !bucket.join("middle").exists());
    }

    /// Fails where what was used under a clock that was ahead looks new for ever, and where a clock that is behind overflows.
    #[test]
    fn a_wrong_clock_keeps_no_file_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let descriptor = crate::oci::Descriptor::of(crate::oci::MediaType::Other("x".to_owned()), b"blob");
        store.put(b"blob").unwrap();
        let path = files(directory.path()).unwrap().remove(0).path;
        let ahead = SystemTime::now() + Duration::from_secs(70 * 365 * 24 * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(ahead).unwrap();
        assert_eq!(store.content(&descriptor).unwrap().read_all(10).unwrap(), b"blob");
        let used = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(used <= SystemTime::now(), "{used:?}");
        drop(store);
        let upkeep = Upkeep::open(directory.path(), || {}).unwrap().unwrap();
        upkeep.prune(SystemTime::UNIX_EPOCH, Duration::from_secs(1000), None).unwrap();
        assert!(path.exists(), "nothing is old in 1970");
        upkeep.prune(ahead, Duration::from_secs(1000), None).unwrap();
        assert!(!path.exists());
    }
}
