//! Blobs by digest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use walkdir::WalkDir;

use super::BlobWriter;
use super::upkeep::is_blob;
use crate::content::{Content, ContentError};
use crate::oci::{Descriptor, Digest};
use crate::parallel;
use crate::shown::Shown;
use crate::unfinished;

/// A directory of blobs, shared by all builds that use it at the same time.
///
/// Cheap to clone; the shared lock is held until the last clone is gone.
#[derive(Clone, Debug)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// The store whose files it has, by other names ([`InUse::shadow`]).
    shadow_of: Option<PathBuf>,
    /// Holds the shared lock: nothing is pruned while a build may still need it.
    _lock: File,
    /// Where the store is a temporary directory, what removes it at the end.
    _temporary: Option<tempfile::TempDir>,
    /// Directories with new names that may not be on the disk yet.
    renamed: Mutex<BTreeSet<PathBuf>>,
}

/// How many directories are waited for at once.
const WAITING: usize = 8;

impl Inner {
    /// Waits until the names of all that is new are on the disk, side by side.
    fn settle(&self) -> Result<(), StoreError> {
        let renamed = std::mem::take(&mut *self.renamed.lock().unwrap_or_else(PoisonError::into_inner));
        let directories: Vec<PathBuf> = renamed.into_iter().collect();
        let synced = parallel::map(&directories, WAITING, |directory| {
            let handle = File::open(directory).map_err(StoreError::io("opening", directory))?;
            handle.sync_all().map_err(StoreError::io("syncing", directory))
        });
        synced.into_iter().collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A name that is lost with the power is that of a file that is made again. What is temporary is lost anyway.
        if self._temporary.is_none() {
            let _ = self.settle();
        }
    }
}

/// Why the store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory of the store could not be used.
    #[error("{action} {path}")]
    Io {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What was written is not what was announced.
    #[error("the bytes have digest {actual} and length {length}, and {expected} with length {size} was expected")]
    Mismatch {
        /// Digest that was announced.
        expected: Digest,
        /// Length that was announced.
        size: u64,
        /// Digest of what came.
        actual: Digest,
        /// Length of what came.
        length: u64,
    },
    /// More bytes than were announced.
    #[error("there are more bytes than the {size} that were announced for {expected}")]
    TooLong {
        /// Digest that was announced.
        expected: Digest,
        /// Length that was announced.
        size: u64,
    },
    /// The blob is not there.
    #[error("blob {0} is not in the cache")]
    Absent(Digest),
    /// The directory holds something else.
    #[error(
        "{0} holds files and is no cache of lapstrake, for its CACHEDIR.TAG is not there or another one: name an empty directory or \
         one that does not exist, or remove this one if it was a cache"
    )]
    Foreign(PathBuf),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }
}

pub(super) const BLOBS: &str = "blobs-v1";
/// Small files that begin with the digest of the rest ([`super::read_record`]).
pub(super) const RECORDS: [&str; 7] =
    ["contents-v1", "documents-v1", "layers-v2", "listings-v2", "plans-v2", "proofs-v1", "written-v1"];
/// Files that are checked in their own way, or when what they say is used.
pub(super) const OTHERS: [&str; 3] = [CHUNKS, super::file_hashes::BUCKET, MADE];
/// Where compressed chunks lie in blobs.
pub(super) const CHUNKS: &str = "chunks-v1";
/// What other programs keep.
pub(crate) const MADE: &str = "made-v1";
pub(super) const TMP: &str = "tmp";

pub(super) const TAG_FILE: &str = "CACHEDIR.TAG";

/// Says that the files of a cache are another one's, by other names, and whose.
const SHADOW_FILE: &str = "shadow";

/// How it is called while it is written.
const UNFINISHED_TAG: &[u8] = b".CACHEDIR.TAG.lapstrake-";

/// What backup programs look for (the Cache Directory Tagging Specification).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache made by lapstrake.\n";

impl BlobStore {
    /// Opens the store in that directory, making it where it is not there yet. Waits while the cache is being pruned;
    /// `waiting` is called where it has to.
    ///
    /// # Errors
    /// Where it cannot be made or written to, or holds something else.
    pub fn open(root: &Path, waiting: impl FnOnce()) -> Result<Self, StoreError> {
        Self::with(root.to_owned(), None, waiting)
    }

    /// A store that is removed when it is no longer used. `parent` is where it is made.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn temporary(parent: &Path) -> Result<Self, StoreError> {
        /// More builds than that do not begin at once between two steps of one.
        const TRIES: u32 = 5;
        collect_temporary(parent);
        let mut left = TRIES;
        loop {
            left -= 1;
            let directory = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .tempdir_in(parent)
                .map_err(StoreError::io("making a temporary cache in", parent))?;
            match Self::with(directory.path().to_owned(), Some(directory), || {}) {
                // Another build took it for one that nobody holds, before it was locked.
                Err(StoreError::Io { source, .. }) if left > 0 && source.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
        }
    }

    fn with(root: PathBuf, temporary: Option<tempfile::TempDir>, waiting: impl FnOnce()) -> Result<Self, StoreError> {
        make_directory(&root)?;
        if Holds::of(&root)? == Holds::Other {
            return Err(StoreError::Foreign(root));
        }
        let lock = share(&root, temporary.is_some(), waiting)?;
        // Under the lock: what clears the cache removes directories too.
        let tag = root.join(TAG_FILE);
        if !tag.exists() {
            write_tag(&tag)?;
        }
        for below in [BLOBS, TMP] {
            make_directory(&root.join(below))?;
        }
        let shadow_of = fs::read(root.join(SHADOW_FILE)).ok().map(|path| OsString::from_vec(path).into());
        let store = BlobStore {
            inner: Arc::new(Inner { root, shadow_of, _lock: lock, _temporary: temporary, renamed: Mutex::default() }),
        };
        store.collect_abandoned();
        Ok(store)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The directory for unfinished files, on the file system of the store.
    pub fn tmp(&self) -> PathBuf {
        self.inner.root.join(TMP)
    }

    /// A bucket for something that is remembered beside the blobs; the name carries a version.
    ///
    /// # Errors
    /// Where the directory cannot be made.
    pub fn bucket(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.inner.root.join(name);
        if let Some(real) = self.inner.shadow_of.as_ref().filter(|_| Path::new(name).starts_with(MADE) && name != MADE)
            && !path.exists()
        {
            make_directory(&path)?;
            // What is not there is made again.
            let _ = link_below(&real.join(name), &path, |_| true);
        }
        make_directory(&path)?;
        Ok(path)
    }

    /// Where the blob of that digest is or would be.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.inner.root.join(BLOBS).join(&hex[..2]).join(&hex[2..])
    }

    /// Whether the blob is there, with the announced length.
    pub fn contains(&self, descriptor: &Descriptor) -> bool {
        fs::symlink_metadata(self.path(&descriptor.digest))
            .is_ok_and(|found| found.is_file() && found.len() == descriptor.size)
    }

    /// How long the blob of that digest is; `None` where there is none.
    pub fn length(&self, digest: &Digest) -> Option<u64> {
        let found = fs::symlink_metadata(self.path(digest)).ok().filter(fs::Metadata::is_file)?;
        // Nothing of ours is empty but the blob of nothing.
        (found.len() > 0 || *digest == Digest::of(b"")).then_some(found.len())
    }

    /// The blob's bytes; whoever reads them to the end learns of it when they are not what the digest says.
    ///
    /// # Errors
    /// Where it is not there, or not of the announced length.
    pub fn content(&self, descriptor: &Descriptor) -> Result<Content, StoreError> {
        let path = self.path(&descriptor.digest);
        // NOFOLLOW and NONBLOCK: whatever was put there, a link leads nowhere and a FIFO hangs nobody.
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
        let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Absent(descriptor.digest));
            }
            Err(error) => return Err(StoreError::io("opening", &path)(error)),
        };
        let found = file.metadata().map_err(StoreError::io("reading", &path))?;
        if !found.is_file() || found.len() != descriptor.size {
            return Err(StoreError::Absent(descriptor.digest));
        }
        note_use(self, &file, &found);
        let name = format!("blob {}", descriptor.digest).into();
        Ok(Content::slice(Arc::new(file), name, 0, descriptor.size).with_digest(descriptor.digest))
    }

    /// The bytes of a document (manifest, index, config), checked.
    ///
    /// # Errors
    /// Where it is not there, damaged (then it is dropped), or too large.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        let content = self.content(descriptor)?;
        content.read_all(crate::oci::json::MAX_DOCUMENT).map_err(|error| {
            self.forget(&descriptor.digest);
            StoreError::io("reading", &self.path(&descriptor.digest))(error)
        })
    }

    /// Removes a blob that turned out to be damaged; `false` where there is none.
    pub fn forget(&self, digest: &Digest) -> bool {
        remove(&self.path(digest)).is_ok()
    }

    /// Removes a blob whose bytes are not what its digest says, or that is no file; `false` where it is whole, or there is
    /// none by now: who else found it damaged has made it again.
    pub fn forget_damaged(&self, digest: &Digest) -> bool {
        is_blob(&self.path(digest), digest).is_ok_and(|whole| !whole) && self.forget(digest)
    }

    /// Begins to write a blob.
    ///
    /// # Errors
    /// Where no file can be made.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        BlobWriter::new(self.clone())
    }

    /// Writes a small blob at once.
    ///
    /// # Errors
    /// As [`BlobStore::writer`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut writer = self.writer()?;
        writer.append(bytes)?;
        Ok(writer.finish()?.0)
    }

    /// Waits until the names of all that is new are on the disk; the store's end does so too, and tells nobody of errors.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle()
    }

    /// Puts a finished, synced file under its final name.
    pub(super) fn publish(&self, file: tempfile::NamedTempFile, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        let directory = path.parent().unwrap_or(&path).to_owned();
        make_directory(&directory)?;
        self.rename(file, &path).map_err(|error| match error {
            StoreError::Io { action, path, source } if source.kind() == io::ErrorKind::IsADirectory => {
                let name = Shown::new(format!("blob {digest} in the cache").as_bytes());
                let source = ContentError::Directory { path: name, expected: *digest }.into();
                StoreError::Io { action, path, source }
            }
            error => error,
        })
    }

    fn rename(&self, file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
        file.persist(path).map_err(|error| StoreError::io("renaming to", path)(error.error))?;
        let directory = path.parent().unwrap_or(path).to_owned();
        self.inner.renamed.lock().unwrap_or_else(PoisonError::into_inner).insert(directory);
        Ok(())
    }

    /// Writes a whole file of a bucket, or leaves what was there. Mode 0600.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = super::writer::locked_file(self)?;
        io::Write::write_all(&mut file, bytes).map_err(StoreError::io("writing", file.path()))?;
        file.as_file().sync_all().map_err(StoreError::io("syncing", file.path()))?;
        if path.is_dir() {
            remove(path).map_err(StoreError::io("removing", path))?;
        }
        self.rename(file, path)
    }

    /// Removes what builds that were killed left behind: files and directories under `tmp/` that nobody holds a lock on.
    fn collect_abandoned(&self) {
        unfinished::collect(self.root(), |name| name.starts_with(UNFINISHED_TAG));
        let Ok(entries) = fs::read_dir(self.tmp()) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                super::temporary::collect(&path);
                continue;
            }
            // Open for writing: over some network file systems an exclusive lock asks for it.
            let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(&path) else { continue };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// How temporary stores are called, before some random letters.
const TEMPORARY: &str = "lapstrake-cache-";

/// Removes temporary stores of builds that were killed: those whose lock nobody holds.
fn collect_temporary(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // One that never got its tag holds nothing yet.
        let is_store = || Holds::of(&path).is_ok_and(|holds| holds != Holds::Other);
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) || !is_store() {
            continue;
        }
        let Ok(lock) = lock_file(&path) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A cache of lapstrake.
    Cache,
    /// Nothing but what another build that opens it at this moment may have made.
    Nothing,
    /// Something else.
    Other,
}

impl Holds {
    /// Looks what a directory holds; the order holds against builds that make a cache of it meanwhile, for the tag is the
    /// first that they write, and it is never taken away.
    pub(super) fn of(root: &Path) -> Result<Self, StoreError> {
        if has_tag(root)? {
            return Ok(Holds::Cache);
        }
        match is_empty(root)? {
            true => Ok(Holds::Nothing),
            false if has_tag(root)? => Ok(Holds::Cache),
            false => Ok(Holds::Other),
        }
    }
}

fn has_tag(root: &Path) -> Result<bool, StoreError> {
    match fs::read(root.join(TAG_FILE)) {
        Ok(tag) => Ok(tag == TAG.as_bytes()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(StoreError::io("reading", &root.join(TAG_FILE))(error)),
    }
}

fn is_empty(root: &Path) -> Result<bool, StoreError> {
    let mut entries = fs::read_dir(root).map_err(StoreError::io("reading", root))?;
    Ok(!entries.any(|entry| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            name != "lock" && !name.as_encoded_bytes().starts_with(UNFINISHED_TAG)
        })
    }))
}

/// Removes a file of the cache, or what stands in its place.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io("making the directory", path))
}

/// Takes the shared lock of a cache. What this process alone uses does without where the file system has no locks; nobody
/// could collect it there either.
fn share(root: &Path, is_own: bool, waiting: impl FnOnce()) -> Result<File, StoreError> {
    let lock = lock_file(root)?;
    let failed = |error: rustix::io::Errno| StoreError::io("locking", &root.join("lock"))(error.into());
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            waiting();
            flock(&lock, FlockOperation::LockShared).map_err(failed)?;
        }
        Err(error) if is_own && unfinished::has_no_locks(error) => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(lock)
}

/// A cache from which nothing is removed while this lives: the shared lock is held.
#[derive(Debug)]
pub struct InUse {
    root: PathBuf,
    _lock: File,
}

impl InUse {
    /// Holds the cache at that directory; waits while it is being pruned, and calls `waiting` where it has to.
    ///
    /// # Errors
    /// Where it cannot be locked.
    pub fn of(root: &Path, waiting: impl FnOnce()) -> Result<Self, StoreError> {
        Ok(InUse { root: root.to_owned(), _lock: share(root, false, waiting)? })
    }

    /// Makes an empty directory a cache that has what this one has: its files by other names. Nothing ever writes into one,
    /// they are replaced; and that one is used is not noted. What takes most of the files is left out: chunks, which only
    /// what makes a layer looks for, and what other programs keep, until [`BlobStore::bucket`] asks for it.
    ///
    /// # Errors
    /// Where a file cannot have another name there, as on some file systems.
    pub fn shadow(&self, to: &Path) -> io::Result<()> {
        let left_out = [TMP, CHUNKS, MADE].map(|name| self.root.join(name));
        link_below(&self.root, to, |path| !left_out.iter().any(|left_out| left_out == path))?;
        fs::write(to.join(SHADOW_FILE), self.root.as_os_str().as_bytes())
    }
}

/// Gives the files below a directory other names below another one.
fn link_below(from: &Path, to: &Path, is_wanted: impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in WalkDir::new(from).min_depth(1).into_iter().filter_entry(|entry| is_wanted(entry.path())) {
        let entry = match entry {
            // Another build replaced it meanwhile.
            Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => continue,
            entry => entry?,
        };
        let Ok(below) = entry.path().strip_prefix(from) else { continue };
        let target = to.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir(&target)?;
            continue;
        }
        match fs::hard_link(entry.path(), &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

pub(super) fn lock_file(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(StoreError::io("opening", &path))
}

/// Writes the tag of a new cache.
fn write_tag(tag: &Path) -> Result<(), StoreError> {
    let mut file = unfinished::begin(tag, 0o600).map_err(StoreError::io("making", tag))?;
    io::Write::write_all(&mut file, TAG.as_bytes()).map_err(StoreError::io("writing", tag))?;
    unfinished::finish(file, tag).map_err(|(action, error)| StoreError::io(action, tag)(error))
}

/// Notes that a file was used, for [`super::Upkeep::prune`], at most once an hour. A read-only cache stays as it is, and so do
/// files that are another cache's.
pub(super) fn note_use(store: &BlobStore, file: &File, metadata: &fs::Metadata) {
    if store.inner.shadow_of.is_some() {
        return;
    }
    let now = std::time::SystemTime::now();
    // A clock that was ahead left times that would keep a file for ever.
    let apart = |used| now.duration_since(used).unwrap_or_else(|ahead| ahead.duration());
    if metadata.modified().is_ok_and(|used| apart(used).as_secs() > 3600) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::MediaType;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        (directory, store)
    }

    fn descriptor(bytes: &[u8]) -> Descriptor {
        Descriptor::of(MediaType::Other(String::new()), bytes)
    }

    #[test]
    fn only_what_is_damaged_is_forgotten_as_such() {
        let (_directory, store) = store();
        let wanted = descriptor(b"hello");
        assert!(!store.forget_damaged(&wanted.digest));
        store.put(b"hello").unwrap();
        assert!(!store.forget_damaged(&wanted.digest) && store.contains(&wanted));
        fs::write(store.path(&wanted.digest), b"hxllo").unwrap();
        assert!(store.forget_damaged(&wanted.digest) && !store.contains(&wanted));
        fs::create_dir(store.path(&wanted.digest)).unwrap();
        let error = store.put(b"hello").unwrap_err();
        assert!(crate::shown::with_causes(&error).contains("is damaged: it is a directory"), "{error:?}");
        assert!(store.forget_damaged(&wanted.digest) && !store.forget_damaged(&wanted.digest));
        store.put(b"hello").unwrap();
    }

    /// Would fail if a cache that is made at that moment were taken for a directory of somebody else's.
    #[test]
    fn a_cache_is_known_while_another_makes_it() {
        let parent = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let root = parent.path().join(round.to_string());
            fs::create_dir(&root).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| BlobStore::open(&root, || {}).unwrap());
                while match Holds::of(&root).unwrap() {
                    Holds::Nothing => true,
                    Holds::Cache => false,
                    Holds::Other => panic!("{} is somebody else's", root.display()),
                } {}
            });
        }
    }

    #[test]
    fn what_is_put_is_found() {
        let (_directory, store) = store();
        let wanted = descriptor(b"hello");
        assert!(matches!(store.content(&wanted), Err(StoreError::Absent(_))));
        assert_eq!(store.put(b"hello").unwrap(), wanted.digest);
        assert!(store.contains(&wanted));
        assert_eq!(store.document(&wanted).unwrap(), b"hello");
        assert_eq!(fs::read_dir(store.tmp()).unwrap().count(), 0);
    }

    /// Would take a second for every some ten thousand files if all had to be named and removed again.
    #[test]
    fn a_shadow_has_what_is_asked_for_and_leaves_out_the_many() {
        let (directory, store) = store();
        let wanted = descriptor(b"hello");
        store.put(b"hello").unwrap();
        for name in [CHUNKS, "made-v1/uv", "made-v1/compilers", "plans-v2"] {
            fs::write(store.bucket(name).unwrap().join("file"), name).unwrap();
        }
        let to = directory.path().join("cache/tmp/shadow");
        fs::create_dir(&to).unwrap();
        InUse::of(store.root(), || {}).unwrap().shadow(&to).unwrap();
        let shadow = BlobStore::open(&to, || {}).unwrap();
        assert!(shadow.contains(&wanted));
        assert!(to.join("plans-v2/file").exists() && !to.join(CHUNKS).exists() && !to.join(MADE).exists());
        let uv = shadow.bucket("made-v1/uv").unwrap();
        assert_eq!(fs::read(uv.join("file")).unwrap(), b"made-v1/uv");
        assert!(!to.join("made-v1/compilers").exists());
        fs::remove_file(uv.join("file")).unwrap();
        shadow.bucket("made-v1/uv").unwrap();
        assert!(!uv.join("file").exists(), "what is gone stays gone");
        assert!(store.root().join("made-v1/uv/file").exists());
    }

    #[test]
    fn a_damaged_blob_is_absent_or_refused() {
        let (_directory, store) = store();
        let wanted = descriptor(b"hello");
        store.put(b"hello").unwrap();
        fs::write(store.path(&wanted.digest), b"").unwrap();
        assert!(!store.contains(&wanted));
        fs::write(store.path(&wanted.digest), b"hellx").unwrap();
        assert!(store.document(&wanted).is_err());
        assert!(!store.contains(&wanted), "a damaged blob is dropped");
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("letter"), b"dear").unwrap();
        assert!(matches!(BlobStore::open(directory.path(), || {}), Err(StoreError::Foreign(_))));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn temporary_stores_of_killed_builds_are_collected() {
        let parent = tempfile::tempdir().unwrap();
        let killed = BlobStore::temporary(parent.path()).unwrap();
        killed.put(b"x").unwrap();
        let live = BlobStore::temporary(parent.path()).unwrap();
        assert!(killed.root().exists(), "it is in use");
        let copy = parent.path().join("lapstrake-cache-killed");
        fs::create_dir(&copy).unwrap();
        fs::copy(live.root().join(TAG_FILE), copy.join(TAG_FILE)).unwrap();
        fs::create_dir(parent.path().join("lapstrake-cache-foreign")).unwrap();
        fs::write(parent.path().join("lapstrake-cache-foreign/notes"), "mine").unwrap();
        BlobStore::temporary(parent.path()).unwrap();
        assert!(!copy.exists());
        assert!(parent.path().join("lapstrake-cache-foreign").exists());
    }

    #[test]
    fn only_abandoned_files_are_collected() {
        let (_directory, store) = store();
        let mut writer = store.writer().unwrap();
        writer.append(b"half").unwrap();
        fs::write(store.tmp().join("abandoned"), b"x").unwrap();
        let again = BlobStore::open(store.root(), || {}).unwrap();
        assert!(!again.tmp().join("abandoned").exists());
        writer.append(b" done").unwrap();
        assert_eq!(writer.finish().unwrap().0, Digest::of(b"half done"));
    }
}
