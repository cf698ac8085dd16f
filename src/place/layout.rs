//! A layout: the image specification's directory of blobs (image-spec, image-layout.md).
//!
//! ```text
//! DIR/
//!   oci-layout          {"imageLayoutVersion":"1.0.0"}
//!   index.json          what is there, under which names; written last
//!   blobs/sha256/HEX    every blob that the index leads to, and no other
//! ```
//!
//! A directory that lapstrake wrote carries a mark in its index, the digest of what is listed. Only such a directory, an
//! empty one, or one in which lapstrake was interrupted before the first index, is written into.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tempfile::NamedTempFile;

use super::archive_writer::copy;
use super::kept::Kept;
use super::listing::{self, BLOBS, INDEX_FILE, LAYOUT_FILE, LAYOUT_TEXT, Listing};
use super::output::OutputError;
use super::source::{BlobSource, ImageSource, Root, SourceError};
use super::undo::Undo;
use super::{Artifact, Place};
use crate::content::{Content, FileIdentity};
use crate::host::open_below;
use crate::oci::json::MAX_DOCUMENT;
use crate::oci::{Descriptor, Digest, Hasher};
use crate::parallel;
use crate::report::Task;
use crate::shown::Shown;
use crate::unfinished;

/// A layout directory, read.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
    handle: File,
    place: Shown,
    listing: Listing,
    /// Of the index, as it was read.
    index: Digest,
}

impl Layout {
    /// Opens a layout.
    ///
    /// # Errors
    /// Where the directory is none.
    pub fn open(directory: &Path) -> Result<Self, SourceError> {
        let place = Place::Layout { directory: directory.to_owned(), pick: None };
        let place = Shown::new(place.to_string().as_bytes());
        let handle = match open_directory(directory) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let reason = "is no directory: an archive is written `archive:FILE`".to_owned();
                return Err(SourceError::Kind { place, reason });
            }
            Err(error) => return Err(SourceError::io("opening", directory)(error)),
        };
        let read = |name: &str| match read_small(&handle, directory, name) {
            Err(SourceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let reason = format!("is no layout: {name} is not there");
                Err(SourceError::Kind { place: place.clone(), reason })
            }
            other => other,
        };
        let (layout, index) = (read(LAYOUT_FILE)?, read(INDEX_FILE)?);
        let digest = Digest::of(&index);
        let listing = Listing::read(&layout, index, &place)?;
        Ok(Layout { directory: directory.to_owned(), handle, place, listing, index: digest })
    }
}

fn open_directory(directory: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(directory, flags, Mode::empty())?.into())
}

/// Opens a regular file of a layout: no link on the way to it leads anywhere, and a FIFO hangs nobody.
fn open_regular(handle: &File, directory: &Path, name: &str) -> Result<(File, u64), SourceError> {
    let path = directory.join(name);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = open_below(handle.as_fd(), name.as_bytes(), flags)
        .map_err(|error| match error {
            rustix::io::Errno::LOOP => {
                SourceError::io("opening", &path)(io::Error::other("it is a symlink, or lies behind one"))
            }
            error => SourceError::io("opening", &path)(error.into()),
        })?
        .into();
    let found = file.metadata().map_err(SourceError::io("reading", &path))?;
    if !found.is_file() {
        return Err(SourceError::io("opening", &path)(io::Error::other("it is no regular file")));
    }
    Ok((file, found.len()))
}

fn read_small(handle: &File, directory: &Path, name: &str) -> Result<Vec<u8>, SourceError> {
    let (file, _) = open_regular(handle, directory, name)?;
    let mut bytes = Vec::new();
    let path = directory.join(name);
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(SourceError::io("reading", &path))?;
    Ok(bytes)
}

impl BlobSource for Layout {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        let digest = descriptor.digest;
        let (file, length) = match open_regular(&self.handle, &self.directory, &listing::blob_path(&digest)) {
            Err(SourceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let place = self.place.clone();
                // Who writes into a layout takes away what it no longer lists.
                let index = read_small(&self.handle, &self.directory, INDEX_FILE);
                if index.is_ok_and(|index| Digest::of(&index) != self.index) {
                    let reason = "was written anew while it was read: run it again".to_owned();
                    return Err(SourceError::Kind { place, reason });
                }
                return Err(SourceError::Absent { digest, place });
            }
            other => other?,
        };
        if length != descriptor.size {
            let reason = format!("has {length} bytes, and its descriptor says {}", descriptor.size);
            return Err(SourceError::Damaged { item: digest.to_string(), place: self.place.clone(), reason });
        }
        let name = format!("{digest} in {}", self.place).into();
        Ok(Content::slice(Arc::new(file), name, 0, length).with_digest(digest))
    }
}

impl ImageSource for Layout {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        Ok(self.listing.roots())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        listing::document(self, &self.listing, descriptor)
    }
}

/// Writes the images into a directory, which holds exactly them afterwards.
///
/// Blobs that are there already are kept where their bytes are right: they are read, unless `kept` says that they are as
/// they were written. Where nothing is to be changed, nothing is. New files are written first, waited for side by side, and
/// then renamed. The index is renamed into place when everything that it lists is on the disk; what it no longer lists is removed after that. Two builds that
/// write to one directory wait for each other, which is told by `waiting`. Gives the names of images that were there before, and are not any more.
pub(super) fn write(
    directory: &Path,
    artifacts: &[Artifact],
    kept: &dyn Kept,
    task: &Task,
    waiting: &dyn Fn(),
) -> Result<Vec<String>, OutputError> {
    let index = listing::write(artifacts, true)?;
    // In this order: what is taken back is taken back under the lock.
    let (handle, mut undo) = open_locked(directory, waiting)?;
    let before = survey(directory)?;
    // First what says whose directory it is: wherever this ends, the next build knows it again.
    if !before.has_layout_file {
        undo.file(&directory.join(LAYOUT_FILE));
        put(directory, &directory.join(LAYOUT_FILE), &mut |file| write_all(file, LAYOUT_TEXT))?;
    }
    let blobs = directory.join(BLOBS);
    undo.make_directory(&blobs)?;
    let mut unfinished = Unfinished::default();
    let known = kept.written(directory);
    let is_known = |path: &Path, descriptor: &Descriptor| {
        let known = known.get(&descriptor.digest.hex()).filter(|known| known.size == descriptor.size);
        known.is_some_and(|known| identity(path).as_ref() == Some(known))
    };
    let mut changed = !before.has_layout_file;
    let mut wanted: BTreeMap<Digest, &Descriptor> = BTreeMap::new();
    let descriptors = artifacts.iter().flat_map(|artifact| {
        let documents = artifact.documents().into_iter().map(|document| document.descriptor());
        documents.chain(artifact.blobs()).map(move |descriptor| (artifact, descriptor))
    });
    for (artifact, descriptor) in descriptors {
        if wanted.insert(descriptor.digest, descriptor).is_some() {
            continue;
        }
        let path = directory.join(listing::blob_path(&descriptor.digest));
        let is_there = before.blobs.contains(&descriptor.digest.hex());
        if is_there && is_known(&path, descriptor) {
            task.advance(descriptor.size);
            continue;
        }
        changed = true;
        if is_there && holds(&path, descriptor, task) {
            continue;
        }
        if !is_there {
            undo.file(&path);
        }
        let content = artifact.content(descriptor)?;
        unfinished.write(directory, &path, &mut |file| {
            copy(descriptor, &content, &mut |bytes| {
                if task.is_interrupted() {
                    return Err(OutputError::Interrupted);
                }
                file.write_all(bytes).map_err(OutputError::io("writing", &path))?;
                task.advance(bytes.len() as u64);
                Ok(())
            })
        })?;
    }
    unfinished.finish()?;
    let unused: Vec<&String> = before
        .blobs
        .iter()
        .filter(|hex| !format!("sha256:{hex}").parse::<Digest>().is_ok_and(|digest| wanted.contains_key(&digest)))
        .collect();
    if !changed && unused.is_empty() && read_small(&handle, directory, INDEX_FILE).is_ok_and(|there| there == index) {
        return Ok(Vec::new());
    }
    // The names of the blobs must be on the disk before that of the index that leads to them.
    sync(&blobs)?;
    // Where there was an index, the directories are.
    if !before.has_index {
        sync(&directory.join("blobs"))?;
        sync(directory)?;
    }
    put(directory, &directory.join(INDEX_FILE), &mut |file| write_all(file, &index))?;
    undo.keep();
    sync(directory)?;
    for hex in unused {
        let path = blobs.join(hex);
        fs::remove_file(&path).map_err(OutputError::io("removing", &path))?;
    }
    // A file that was changed within one tick of the clock could look the same afterwards: the index was written after
    // all blobs, and only what is older than it is believed.
    if let Some(now) = identity(&directory.join(INDEX_FILE)) {
        let file = |digest: &Digest| Some((digest.hex(), identity(&blobs.join(digest.hex()))?));
        let files = wanted.keys().filter_map(file).filter(|(_, file)| file.ctime < now.ctime).collect();
        kept.note(directory, &files);
    }
    Ok(listing::gone(&before.roots, artifacts))
}

/// Makes the directory where it is not there, and waits until nobody else writes to it.
fn open_locked(directory: &Path, waiting: &dyn Fn()) -> Result<(File, Undo), OutputError> {
    loop {
        let mut undo = Undo::default();
        for made in undo.make_directory(directory)? {
            sync(unfinished::directory_of(made))?;
        }
        let handle = match open_directory(directory) {
            Ok(handle) => handle,
            // Who made it has just failed, and taken it away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                undo.keep();
                continue;
            }
            Err(error) => return Err(OutputError::io("opening", directory)(error)),
        };
        // Where the file system has no locks on directories (NFS), there is nobody to wait for.
        if flock(&handle, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            waiting();
            if let Err(error @ rustix::io::Errno::INTR) = flock(&handle, FlockOperation::LockExclusive) {
                return Err(OutputError::io("locking", directory)(error.into()));
            }
        }
        // Who was waited for may have failed, and taken away what it had made.
        if unfinished::leads_to(directory, &handle) {
            return Ok((handle, undo));
        }
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    rustix::fs::lstat(path).ok().map(|stat| FileIdentity::of(&stat))
}

/// What is in a directory before it is written to.
struct Survey {
    has_layout_file: bool,
    has_index: bool,
    /// Names of blobs, in hexadecimal digits.
    blobs: BTreeSet<String>,
    /// The images that the index lists.
    roots: Vec<Root>,
}

/// Looks at what is there, and refuses what lapstrake did not make. Files that an interrupted run left are removed.
fn survey(directory: &Path) -> Result<Survey, OutputError> {
    let mut found = Survey { has_layout_file: false, has_index: false, blobs: BTreeSet::new(), roots: Vec::new() };
    let not_ours = |item: String| OutputError::NotOurs { directory: directory.to_owned(), item };
    let shown = |name: &std::ffi::OsStr| Shown::new(name.as_encoded_bytes()).to_string();
    let mut has_blobs = false;
    let mut abandoned = Vec::new();
    for entry in list(directory)? {
        let kind = entry.file_type().map_err(OutputError::io("reading", &entry.path()))?;
        let name = entry.file_name();
        match name.to_str() {
            Some(LAYOUT_FILE) if kind.is_file() => found.has_layout_file = true,
            Some(INDEX_FILE) if kind.is_file() => found.has_index = true,
            Some("blobs") if kind.is_dir() => has_blobs = true,
            Some(name) if name.starts_with(unfinished::MARK) && kind.is_file() => abandoned.push(entry.path()),
            _ => return Err(not_ours(shown(&name))),
        }
    }
    if found.has_index {
        if !found.has_layout_file {
            return Err(not_ours(format!("{INDEX_FILE} without {LAYOUT_FILE}")));
        }
        let layout = Layout::open(directory)?;
        if !layout.listing.is_ours() {
            return Err(not_ours(format!("an {INDEX_FILE} that something else wrote or changed")));
        }
        found.roots = layout.listing.roots();
    } else if has_blobs && !found.has_layout_file {
        return Err(not_ours("`blobs`".to_owned()));
    }
    for entry in if has_blobs { list(&directory.join("blobs"))? } else { Vec::new() } {
        let kind = entry.file_type().map_err(OutputError::io("reading", &entry.path()))?;
        if entry.file_name() != "sha256" || !kind.is_dir() {
            return Err(not_ours(format!("blobs/{}", shown(&entry.file_name()).trim_matches('`'))));
        }
        for blob in list(&entry.path())? {
            let kind = blob.file_type().map_err(OutputError::io("reading", &blob.path()))?;
            let name = blob.file_name().into_string().unwrap_or_default();
            if !kind.is_file() || format!("sha256:{name}").parse::<Digest>().is_err() {
                return Err(not_ours(format!("{BLOBS}/{}", shown(&blob.file_name()).trim_matches('`'))));
            }
            found.blobs.insert(name);
        }
    }
    // Only now is it known to be ours, all of it.
    for path in abandoned {
        fs::remove_file(&path).map_err(OutputError::io("removing", &path))?;
    }
    Ok(found)
}

fn list(directory: &Path) -> Result<Vec<fs::DirEntry>, OutputError> {
    let failed = || OutputError::io("reading", directory);
    fs::read_dir(directory).map_err(failed())?.collect::<Result<_, _>>().map_err(failed())
}

/// Whether the file holds the blob, by its bytes.
fn holds(path: &Path, descriptor: &Descriptor, task: &Task) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    if !file.metadata().is_ok_and(|found| found.len() == descriptor.size) {
        return false;
    }
    let mut hasher = Hasher::new();
    if io::copy(&mut file, &mut hasher).is_err() || hasher.finish() != descriptor.digest {
        return false;
    }
    task.advance(descriptor.size);
    true
}

fn write_all(file: &mut dyn Write, bytes: &[u8]) -> Result<(), OutputError> {
    file.write_all(bytes).map_err(OutputError::Stream)
}

/// Files that are written under other names, and renamed when they are on the disk.
#[derive(Default)]
struct Unfinished(Vec<(NamedTempFile, PathBuf)>);

/// How many files are open at most, and how many are waited for at once.
const OPEN: usize = 64;
const WAITING: usize = 8;

impl Unfinished {
    fn write(
        &mut self,
        directory: &Path,
        path: &Path,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let mut file = tempfile::Builder::new()
            .prefix(unfinished::MARK)
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(OutputError::io("making a file in", directory))?;
        // Says whose it is; see `unfinished`.
        let _ = flock(file.as_file(), FlockOperation::NonBlockingLockExclusive);
        write(&mut file)?;
        self.0.push((file, path.to_owned()));
        if self.0.len() < OPEN { Ok(()) } else { self.finish() }
    }

    /// Waits until all are on the disk, and gives them their names.
    fn finish(&mut self) -> Result<(), OutputError> {
        let files = std::mem::take(&mut self.0);
        let synced = parallel::map(&files, WAITING, |(file, path)| {
            file.as_file().sync_all().map_err(OutputError::io("syncing", path))
        });
        synced.into_iter().collect::<Result<(), _>>()?;
        for (file, path) in files {
            file.persist(&path).map_err(|error| OutputError::io("renaming to", &path)(error.error))?;
        }
        Ok(())
    }
}

/// Writes a file under another name, and renames it when it is on the disk.
fn put(
    directory: &Path,
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let mut file = Unfinished::default();
    file.write(directory, path, write)?;
    file.finish()
}

fn sync(directory: &Path) -> Result<(), OutputError> {
    let handle = File::open(directory).map_err(OutputError::io("opening", directory))?;
    handle.sync_all().map_err(OutputError::io("syncing", directory))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::base_and_service;
    use super::super::{Fallback, read_artifacts};
    use super::*;
    use crate::oci::{Compression, Family};
    use crate::report::{Phase, Reporter};
    use crate::validate;

    fn put(directory: &Path, artifacts: &[Artifact]) -> Result<(), OutputError> {
        write(directory, artifacts, &(), &Reporter::silent().task(Phase::Write, "test", None), &|| {}).map(drop)
    }

    fn get(directory: &Path) -> Result<Vec<Artifact>, SourceError> {
        read_artifacts(&(Arc::new(Layout::open(directory)?) as Arc<dyn ImageSource>), None, &[])
    }

    fn two() -> Vec<Artifact> {
        base_and_service(Family::Oci, Compression::Gzip)
    }

    fn blobs(directory: &Path) -> Vec<String> {
        let blobs = list(&directory.join(BLOBS)).unwrap();
        blobs.iter().map(|blob| blob.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_directory_holds_exactly_what_was_written_last() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("a/b");
        put(&out, &two()).unwrap();
        assert_eq!(blobs(&out).len(), 7);
        put(&out, &two()[..1]).unwrap();
        assert_eq!(blobs(&out).len(), 4);
        assert_eq!(get(&out).unwrap().len(), 1);
        put(&out, &[]).unwrap();
        assert_eq!((blobs(&out).len(), get(&out).unwrap().len()), (0, 0));
        let mut names: Vec<_> = list(&out).unwrap().iter().map(fs::DirEntry::file_name).collect();
        names.sort();
        assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
    }

    #[test]
    fn what_is_there_is_kept_only_where_it_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path();
        put(out, &two()).unwrap();
        let paths: Vec<PathBuf> = blobs(out).iter().map(|hex| out.join(BLOBS).join(hex)).collect();
        let before: Vec<u64> = paths.iter().map(|path| inode(path)).collect();
        let mut damaged = fs::read(&paths[0]).unwrap();
        damaged[7] ^= 1;
        fs::write(&paths[0], &damaged).unwrap();
        fs::write(&paths[1], "").unwrap();
        put(out, &two()).unwrap();
        let after: Vec<u64> = paths.iter().map(|path| inode(path)).collect();
        assert_eq!(before[2..], after[2..], "what is right is not written again");
        assert!(before[0] != after[0] && before[1] != after[1]);
        assert!(validate::artifacts(&get(out).unwrap()).is_empty());
    }

    /// Remembers in memory; counts nothing that was changed since.
    #[derive(Default)]
    struct Memory(std::cell::RefCell<BTreeMap<String, FileIdentity>>);

    impl Kept for Memory {
        fn written(&self, _: &Path) -> BTreeMap<String, FileIdentity> {
            self.0.borrow().clone()
        }

        fn note(&self, _: &Path, files: &BTreeMap<String, FileIdentity>) {
            self.0.replace(files.clone());
        }
    }

    #[test]
    fn what_is_as_it_was_written_is_not_read_and_nothing_is_written_where_nothing_changes() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path();
        let memory = Memory::default();
        let put = |artifacts: &[Artifact]| {
            write(out, artifacts, &memory, &Reporter::silent().task(Phase::Write, "test", None), &|| {}).unwrap();
        };
        put(&two());
        // Blobs that were written within the tick of the index are not noted: the clock of files is coarse.
        while memory.0.borrow().len() < blobs(out).len() {
            std::thread::sleep(std::time::Duration::from_millis(10));
            put(&two());
        }
        let index = inode(&out.join(INDEX_FILE));
        put(&two());
        assert_eq!(inode(&out.join(INDEX_FILE)), index);
        // What somebody changed is found, though size and time of its contents are as they were.
        let path = out.join(BLOBS).join(&blobs(out)[0]);
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let mut damaged = fs::read(&path).unwrap();
        damaged[3] ^= 1;
        fs::write(&path, &damaged).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        put(&two());
        assert!(validate::artifacts(&get(out).unwrap()).is_empty());
        put(&two()[..1]);
        assert_eq!(get(out).unwrap().len(), 1);
    }

    fn inode(path: &Path) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        type Spoil = (&'static str, fn(&Path));
        let spoil: [Spoil; 9] = [
            ("`notes`", |out| fs::write(out.join("notes"), "x").unwrap()),
            ("`.git`", |out| fs::create_dir(out.join(".git")).unwrap()),
            ("blobs/sha512", |out| fs::create_dir_all(out.join("blobs/sha512")).unwrap()),
            ("blobs/sha256/x", |out| fs::write(out.join("blobs/sha256/x"), "").unwrap()),
            ("index.json without oci-layout", |out| fs::remove_file(out.join(LAYOUT_FILE)).unwrap()),
            ("something else wrote or changed", |out| {
                let text = fs::read_to_string(out.join(INDEX_FILE)).unwrap();
                fs::write(out.join(INDEX_FILE), text.replace("eveai/base:1", "eveai/base:2")).unwrap();
            }),
            ("something else wrote or changed", |out| {
                let text = br#"{"schemaVersion":2,"manifests":[]}"#;
                fs::write(out.join(INDEX_FILE), text).unwrap();
            }),
            ("`index.json`", |out| {
                fs::rename(out.join(INDEX_FILE), out.join("../elsewhere")).unwrap();
                symlink("../elsewhere", out.join(INDEX_FILE)).unwrap();
            }),
            ("blobs/sha256/0123", |out| {
                symlink("/etc/passwd", out.join(BLOBS).join("0123456789".repeat(7).split_at(64).0)).unwrap();
            }),
        ];
        for (said, spoil) in spoil {
            let directory = tempfile::tempdir().unwrap();
            let out = directory.path().join("out");
            put(&out, &two()).unwrap();
            spoil(&out);
            let before = tree(&out);
            let error = put(&out, &two()[..1]).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("is not lapstrake's"), "{said}: {error}");
            assert_eq!(tree(&out), before);
        }
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("blobs")).unwrap();
        assert!(matches!(put(directory.path(), &two()), Err(OutputError::NotOurs { .. })));
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(put(&directory.path().join("file"), &two()).is_err());
    }

    fn tree(directory: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let entries = walkdir::WalkDir::new(directory).sort_by_file_name().into_iter().map(Result::unwrap);
        entries.map(|entry| (entry.path().to_owned(), fs::read(entry.path()).ok())).collect()
    }

    #[test]
    fn a_first_write_that_was_killed_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path();
        put(out, &two()).unwrap();
        fs::remove_file(out.join(INDEX_FILE)).unwrap();
        fs::write(out.join(".lapstrake-half"), "half").unwrap();
        put(out, &two()[..1]).unwrap();
        assert_eq!(blobs(out).len(), 4);
        assert!(!out.join(".lapstrake-half").exists());
    }

    #[test]
    fn two_builds_into_one_directory_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        std::thread::scope(|scope| {
            for count in [1, 2, 1, 2] {
                let out = &out;
                scope.spawn(move || put(out, &two()[..count]).unwrap());
            }
        });
        let found = get(&out).unwrap();
        assert!(validate::artifacts(&found).is_empty());
        assert_eq!(blobs(&out).len(), if found.len() == 1 { 4 } else { 7 });
    }

    #[test]
    fn links_pipes_and_directories_are_no_blobs() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let artifact = two().remove(0).named(Vec::new(), Fallback::Nothing);
        put(&out, std::slice::from_ref(&artifact)).unwrap();
        for path in ["index.json", "oci-layout"]
            .map(|name| out.join(name))
            .into_iter()
            .chain(blobs(&out).iter().map(|hex| out.join(BLOBS).join(hex)))
        {
            let kept = directory.path().join("kept");
            type Wrong = (&'static str, fn(&Path, &Path));
            let wrong: [Wrong; 4] = [
                ("link", |kept, path| symlink(kept, path).unwrap()),
                ("loop", |_, path| symlink(path, path).unwrap()),
                ("fifo", |_, path| {
                    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
                }),
                ("directory", |_, path| fs::create_dir(path).unwrap()),
            ];
            for (what, wrong) in wrong {
                fs::rename(&path, &kept).unwrap();
                wrong(&kept, &path);
                let found = get(&out).map(|found| validate::artifacts(&found));
                let told = found.is_err() || !validate::is_sound(&found.unwrap());
                assert!(told, "{what} at {}", path.display());
                fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
                fs::rename(&kept, &path).unwrap();
            }
        }
        assert!(validate::artifacts(&get(&out).unwrap()).is_empty());
    }
}
