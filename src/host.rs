//! Directories of the machine that a build reads from, held open so that no path is looked up twice by name from `/`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::shown::Shown;

/// How everything below a root is opened: through no symlink, and for no other program.
const GUARDED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// How a directory on the way to something is opened.
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(GUARDED);

/// How [`step`] looks a path up.
const BELOW: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::BENEATH);

/// What one system call takes: longer paths are opened piece by piece.
const MAX_CALL: usize = 4000;

/// A directory below which files are found and opened, as the build context is. Nothing that is opened through it lies
/// outside of it: no symlink is followed, whoever puts one there and whenever.
#[derive(Debug)]
pub struct HostRoot {
    path: PathBuf,
    handle: OwnedFd,
}

impl HostRoot {
    /// Opens a directory; its own path may lead through symlinks.
    ///
    /// # Errors
    /// Where it is not there, is no directory or cannot be searched.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Arc<Self>> {
        let path = path.into();
        let handle = rustix::fs::openat(CWD, &path, ON_THE_WAY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Arc::new(HostRoot { path, handle }))
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path on the machine of what lies at `relative` below.
    pub fn host_path(&self, relative: &[u8]) -> PathBuf {
        if relative.is_empty() { self.path.clone() } else { self.path.join(OsStr::from_bytes(relative)) }
    }

    /// That path, fit for a message.
    pub fn shown(&self, relative: &[u8]) -> Shown {
        Shown::new(self.host_path(relative).as_os_str().as_bytes())
    }

    /// Opens what lies at `relative` (components parted by single slashes, none of them `..`; empty for the root
    /// itself), of any length.
    ///
    /// # Errors
    /// `ELOOP` or `ENOTDIR` where a component is a symlink; else as `openat`.
    pub fn open_at(&self, relative: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let mut above: Option<OwnedFd> = None;
        let mut rest = relative;
        while rest.len() > MAX_CALL {
            let cut = rest[..MAX_CALL].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let at = above.as_ref().map_or(self.handle.as_fd(), |handle| handle.as_fd());
            above = Some(step(at, &rest[..cut], ON_THE_WAY)?);
            rest = &rest[cut + 1..];
        }
        let at = above.as_ref().map_or(self.handle.as_fd(), |handle| handle.as_fd());
        step(at, if rest.is_empty() { b"." } else { rest }, flags.union(GUARDED))
    }
}

/// Opens what lies at `path` below a directory, where no symlink is on the way.
///
/// # Errors
/// `ELOOP` or `ENOTDIR` where one is; else as `openat`.
pub(crate) fn open_below(at: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    step(at, path, flags.union(GUARDED))
}

/// One open below a directory, through no symlink.
fn step(at: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    match rustix::fs::openat2(at, path, flags, Mode::empty(), BELOW) {
        // Kernels before 5.6, gVisor, and seccomp profiles that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(at, path, flags),
        result => result,
    }
}

/// The same with `openat` alone: component by component.
fn step_by_step(at: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut above: Option<OwnedFd> = None;
    let mut components = path.split(|byte| *byte == b'/').peekable();
    while let Some(component) = components.next() {
        let at = above.as_ref().map_or(at, |handle| handle.as_fd());
        if components.peek().is_none() {
            return rustix::fs::openat(at, component, flags, Mode::empty());
        }
        above = Some(rustix::fs::openat(at, component, ON_THE_WAY, Mode::empty())?);
    }
    Err(Errno::NOENT)
}

/// A directory below a root; what it holds shares it.
#[derive(Debug)]
pub struct HostDirectory {
    root: Arc<HostRoot>,
    path: Box<[u8]>,
}

impl HostDirectory {
    /// The directory at `path`, relative to the root; empty for the root itself.
    pub fn new(root: Arc<HostRoot>, path: impl Into<Box<[u8]>>) -> Self {
        HostDirectory { root, path: path.into() }
    }

    /// What it lies below.
    pub fn root(&self) -> &Arc<HostRoot> {
        &self.root
    }

    /// Its path relative to the root.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path of an entry, relative to the root.
    pub fn child(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }
}

/// Opens a regular file that somebody names, links followed. NONBLOCK: nobody waits for the other end of a FIFO.
///
/// # Errors
/// Where it cannot be opened, or is a directory, a device, a FIFO or a socket.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_below_and_never_outside() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("context");
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::fs::write(base.join("a/b/f"), "x").unwrap();
        std::fs::write(directory.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("a", base.join("link")).unwrap();
        std::os::unix::fs::symlink("..", base.join("out")).unwrap();
        let root = HostRoot::open(&base).unwrap();
        assert!(root.open_at(b"a/b/f", OFlags::RDONLY).is_ok());
        assert!(root.open_at(b"", OFlags::RDONLY | OFlags::DIRECTORY).is_ok());
        for path in ["link/b/f", "out/secret", "link", "nothing"] {
            assert!(root.open_at(path.as_bytes(), OFlags::RDONLY).is_err(), "{path}");
            assert!(step_by_step(root.handle.as_fd(), path.as_bytes(), OFlags::RDONLY | OFlags::NOFOLLOW).is_err());
        }
        assert!(step_by_step(root.handle.as_fd(), b"a/b/f", OFlags::RDONLY).is_ok());
    }

    /// Would fail if what is open here were open in credential helpers and uv as well.
    #[test]
    fn nothing_is_left_open_for_other_programs() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f");
        std::fs::write(&file, "x").unwrap();
        let root = HostRoot::open(directory.path()).unwrap();
        let stays =
            |handle: BorrowedFd<'_>| !rustix::io::fcntl_getfd(handle).unwrap().contains(rustix::io::FdFlags::CLOEXEC);
        assert!(!stays(root.handle.as_fd()));
        assert!(!stays(root.open_at(b"f", OFlags::RDONLY).unwrap().as_fd()));
        assert!(!stays(open_below(root.handle.as_fd(), b"f", OFlags::RDONLY).unwrap().as_fd()));
        assert!(!stays(open_regular(&file).unwrap().as_fd()));
    }

    #[test]
    fn only_files_are_read_as_files() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link, fifo) = (directory.path().join("f"), directory.path().join("l"), directory.path().join("p"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("f", &link).unwrap();
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(open_regular(&file).is_ok() && open_regular(&link).is_ok());
        assert!(open_regular(&fifo).is_err() && open_regular(directory.path()).is_err());
        assert!(HostRoot::open(&file).is_err());
    }

    #[test]
    fn what_is_below_has_a_path_here_and_there() {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::open(directory.path()).unwrap();
        assert_eq!((root.path(), root.host_path(b"")), (directory.path(), directory.path().to_owned()));
        assert_eq!(root.host_path(b"a/b"), directory.path().join("a/b"));
        assert_eq!(
            root.shown(b"a").to_string(),
            Shown::new(directory.path().join("a").as_os_str().as_bytes()).to_string()
        );
        let top = HostDirectory::new(root.clone(), *b"");
        let below = HostDirectory::new(root.clone(), *b"a/b");
        assert!(Arc::ptr_eq(below.root(), &root));
        assert_eq!((below.path(), top.child(b"x"), below.child(b"x")), (&b"a/b"[..], b"x".to_vec(), b"a/b/x".to_vec()));
        assert!(open_below(root.handle.as_fd(), b"../x", OFlags::PATH).is_err());
    }

    #[test]
    fn opens_paths_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::open(directory.path()).unwrap();
        let name = "d".repeat(200);
        let mut path = Vec::new();
        for _ in 0..63 {
            let above = root.open_at(&path, OFlags::PATH | OFlags::DIRECTORY).unwrap();
            rustix::fs::mkdirat(&above, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
        }
        assert!(path.len() > 12_600);
        assert!(root.open_at(&path, OFlags::RDONLY | OFlags::DIRECTORY).is_ok());
        assert!(root.open_at(&[&path[..], b"/x"].concat(), OFlags::RDONLY).is_err());
    }
}
