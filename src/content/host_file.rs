//! Files of the machine, as they were when they were found.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::host::HostDirectory;
use crate::oci::Digest;
use crate::shown::Shown;

/// A file of the machine, as it was when it was found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostFile(Found);

#[derive(Clone, Debug)]
enum Found {
    /// By a path from the root or the working directory.
    ByPath(Arc<(PathBuf, FileIdentity)>),
    /// By its number among the files of a directory.
    Within(Arc<HostFiles>, u32),
    /// A file, and the digest that its bytes are to have.
    Known(Arc<(HostFile, Digest)>),
}

/// Files of one directory, as they were when they were found: names and identities side by side, since trees hold very many.
#[derive(Debug)]
pub struct HostFiles {
    directory: HostDirectory,
    /// All names, one after the other.
    names: Box<[u8]>,
    /// Where the name of each ends, and what it was.
    files: Box<[(u32, FileIdentity)]>,
}

/// [`HostFiles`] while they are being found.
#[derive(Debug, Default)]
pub struct FoundFiles {
    names: Vec<u8>,
    files: Vec<(u32, FileIdentity)>,
}

impl FoundFiles {
    /// Adds a file by its name.
    pub fn add(&mut self, name: &[u8], identity: FileIdentity) {
        self.names.extend_from_slice(name);
        self.files.push((u32::try_from(self.names.len()).unwrap_or(u32::MAX), identity));
    }

    /// The files, in the directory in which they were found.
    pub fn within(self, directory: HostDirectory) -> Arc<HostFiles> {
        Arc::new(HostFiles { directory, names: self.names.into(), files: self.files.into() })
    }
}

impl HostFiles {
    /// The directory that they are in.
    pub fn directory(&self) -> &HostDirectory {
        &self.directory
    }

    /// The files in the order in which they were added.
    pub fn files(self: &Arc<Self>) -> impl Iterator<Item = HostFile> {
        (0..self.files.len()).map(|number| HostFile(Found::Within(self.clone(), number as u32)))
    }

    /// Their names, in that order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.files.len()).map(|number| self.name(number))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn name(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.files.get(number).map_or(0, |(end, _)| *end as usize);
        self.names.get(number.checked_sub(1).map_or(0, end)..end(number)).unwrap_or_default()
    }
}

impl HostFile {
    /// A file that was found by a path from the root or the working directory.
    pub fn new(path: impl Into<PathBuf>, identity: FileIdentity) -> Self {
        HostFile(Found::ByPath(Arc::new((path.into(), identity))))
    }

    /// A file that was found in a directory.
    pub fn within(directory: HostDirectory, name: &[u8], identity: FileIdentity) -> Self {
        let mut found = FoundFiles::default();
        found.add(name, identity);
        HostFile(Found::Within(found.within(directory), 0))
    }

    /// The same file, with the digest known that its bytes are to have.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        HostFile(Found::Known(Arc::new((self, digest))))
    }

    /// Where it is on the machine.
    pub fn path(&self) -> PathBuf {
        match &self.0 {
            Found::ByPath(found) => found.0.clone(),
            Found::Within(files, number) => {
                files.directory.root().host_path(&files.directory.child(files.name(*number as usize)))
            }
            Found::Known(known) => known.0.path(),
        }
    }

    /// The directory and the name, where it was found in one.
    pub fn directory(&self) -> Option<(&HostDirectory, &[u8])> {
        match &self.0 {
            Found::ByPath(_) => None,
            Found::Within(files, number) => Some((&files.directory, files.name(*number as usize))),
            Found::Known(known) => known.0.directory(),
        }
    }

    /// What it was when it was found.
    pub fn identity(&self) -> &FileIdentity {
        match &self.0 {
            Found::ByPath(found) => &found.1,
            Found::Within(files, number) => &files.files[*number as usize].1,
            Found::Known(known) => known.0.identity(),
        }
    }

    /// The digest that its bytes are to have, where one is known.
    pub fn known_digest(&self) -> Option<Digest> {
        match &self.0 {
            Found::ByPath(_) | Found::Within(..) => None,
            Found::Known(known) => Some(known.1),
        }
    }

    /// Whether both are one finding of one file: what is known of one is known of the other.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Found::ByPath(a), Found::ByPath(b)) => Arc::ptr_eq(a, b),
            (Found::Within(a, number), Found::Within(b, other)) => Arc::ptr_eq(a, b) && number == other,
            (Found::Known(a), Found::Known(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub(super) fn shown(&self) -> Shown {
        Shown::new(self.path().as_os_str().as_encoded_bytes())
    }

    pub(super) fn open(&self) -> rustix::io::Result<rustix::fd::OwnedFd> {
        // NOFOLLOW: what was a file when it was found must not become a link; NONBLOCK: nor a FIFO that hangs the build.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match &self.0 {
            Found::ByPath(found) => rustix::fs::open(found.0.as_path(), flags, Mode::empty()),
            Found::Within(files, number) => {
                let directory = &files.directory;
                directory.root().open_at(&directory.child(files.name(*number as usize)), flags)
            }
            Found::Known(known) => known.0.open(),
        }
    }
}

/// What tells whether a file is still the one that was looked at: device, inode, size, mtime and ctime in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// Time of the last change of the contents, seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Time of the last change of the inode, seconds and nanoseconds.
    pub ctime: (i64, u32),
}

impl FileIdentity {
    /// From what `fstat` says.
    pub fn of(stat: &rustix::fs::Stat) -> Self {
        FileIdentity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostRoot;

    #[test]
    fn files_of_a_directory_keep_their_names_and_identities() {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::open(directory.path()).unwrap();
        let mut found = FoundFiles::default();
        for name in ["a", "long name", "z"] {
            std::fs::write(directory.path().join(name), name).unwrap();
            found.add(name.as_bytes(), FileIdentity::of(&rustix::fs::stat(directory.path().join(name)).unwrap()));
        }
        let files = found.within(HostDirectory::new(root, *b""));
        let found: Vec<HostFile> = files.files().collect();
        for (file, name) in found.iter().zip(["a", "long name", "z"]) {
            assert_eq!(file.path(), directory.path().join(name));
            assert_eq!(file.directory().unwrap().1, name.as_bytes());
            assert_eq!(file.identity().size, name.len() as u64);
            assert!(file.open().is_ok());
            let known = file.clone().with_digest(Digest::of(b""));
            assert_eq!((known.path(), known.known_digest()), (file.path(), Some(Digest::of(b""))));
            assert!(known.is_same(&known.clone()) && !known.is_same(file));
        }
        assert!(found[0].is_same(&files.files().next().unwrap()) && !found[0].is_same(&found[1]));
        assert_eq!(files.names().last(), Some(&b"z"[..]));
    }

    #[test]
    fn a_file_takes_little_memory() {
        assert!(size_of::<HostFile>() <= 16 && size_of::<(u32, FileIdentity)>() <= 64);
    }
}
