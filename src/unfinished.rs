//! Files that are not finished: beside the file that they become, under names that say so, locked as long as somebody
//! writes. What nobody holds a lock on was left by a process that is gone, and is removed by whoever writes there next.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

/// What the names of unfinished files have in them, before some random letters.
pub(crate) const MARK: &str = ".lapstrake-";

/// So many do not begin at once, one after the other, between two steps of one.
const TRIES: u32 = 100;

/// Whether a file system has no locks (some mounts of NFS): then there is nobody who could be told.
pub(crate) fn has_no_locks(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::NOLCK, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&error)
}

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file is called as unfinished ones are.
pub fn is_called(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().windows(MARK.len()).any(|part| part == MARK.as_bytes()))
}

/// How many random letters end the names of unfinished files.
const LETTERS: usize = 6;

/// Whether a name is exactly what unfinished files have: a build that reads a directory where another one writes leaves them out.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let letters = |end: &[u8]| end.len() == LETTERS && end.iter().all(u8::is_ascii_alphanumeric);
    name.first() == Some(&b'.')
        && name
            .len()
            .checked_sub(MARK.len() + LETTERS)
            .is_some_and(|at| name[at..].strip_prefix(MARK.as_bytes()).is_some_and(letters))
}

/// Begins a file that is to be called `target`, with that mode less the umask. Those that were begun for the same target and
/// left are removed.
///
/// # Errors
/// Where `target` has no name, or no file can be made beside it.
pub fn begin(target: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(MARK);
    collect(directory_of(target), |name| name.starts_with(prefix.as_bytes()));
    begin_in(directory_of(target), &prefix, mode)
}

/// Begins a file in a directory of which [`collect`] is called by whoever uses it first: where many are written, not for each.
///
/// # Errors
/// Where none can be made there.
pub(crate) fn begin_in(directory: &Path, prefix: &OsStr, mode: u32) -> io::Result<NamedTempFile> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let file = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(LETTERS)
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(directory)?;
        // A file system without locks has nobody to tell.
        let locked = flock(file.as_file(), FlockOperation::NonBlockingLockExclusive);
        // Somebody who began just then may have taken it for one that nobody holds, before it was locked.
        let is_taken = locked == Err(rustix::io::Errno::WOULDBLOCK) || file.as_file().metadata()?.nlink() == 0;
        if !is_taken || left == 0 {
            return Ok(file);
        }
    }
}

/// Gives a file its name when it is on the disk, and sees to it that the name is, too.
///
/// # Errors
/// What was done when it failed, and why. A sync that failed is never done again: the kernel tells of lost bytes once.
pub fn finish(file: NamedTempFile, target: &Path) -> Result<(), (&'static str, io::Error)> {
    file.as_file().sync_all().map_err(|error| ("syncing", error))?;
    file.persist(target).map_err(|error| ("renaming to", error.error))?;
    let directory = File::open(directory_of(target)).map_err(|error| ("opening the directory of", error))?;
    directory.sync_all().map_err(|error| ("syncing the directory of", error))
}

/// Removes files of a directory that are called so and that nobody holds a lock on.
pub(crate) fn collect(directory: &Path, is_called_so: impl Fn(&[u8]) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if !is_called_so(entry.file_name().as_bytes()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes every unfinished file that this process writes, and what it has in `tmp` (a cache's, or none): for a process
/// that is about to end, and cannot wait for its threads. Tells whether there was any.
///
/// What is its own is told by the lock that it holds: neither a name nor an open file says that.
pub fn abandon(tmp: Option<&Path>) -> bool {
    remove(locked_paths(), tmp)
}

fn remove(paths: Vec<PathBuf>, tmp: Option<&Path>) -> bool {
    let tmp = tmp.and_then(|tmp| fs::canonicalize(tmp).ok());
    let mut found = false;
    for path in paths {
        let is_in_tmp = tmp.is_some() && path.parent() == tmp.as_deref();
        // The name may be another file's by now: then it is no longer unfinished, or not ours.
        found |= match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => is_in_tmp && fs::remove_dir_all(&path).is_ok(),
            Ok(there) if there.is_file() => (is_in_tmp || is_called(&path)) && fs::remove_file(&path).is_ok(),
            _ => false,
        };
    }
    found
}

/// The paths of all files and directories on which this process holds a lock (`flock`), as the kernel tells (proc(5),
/// `/proc/pid/fdinfo`).
fn locked_paths() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let is_locked = |number: &OsString| {
        let told = fs::read_to_string(Path::new("/proc/self/fdinfo").join(number)).unwrap_or_default();
        told.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
    };
    let numbers = entries.flatten().map(|entry| entry.file_name()).filter(is_locked);
    let paths = numbers.filter_map(|number| fs::read_link(Path::new("/proc/self/fd").join(number)).ok());
    paths.filter(|path| path.is_absolute()).collect()
}

/// Whether a path still leads to an open file or directory.
pub(crate) fn leads_to(path: &Path, open: impl AsFd) -> bool {
    let Ok(stat) = rustix::fs::fstat(open) else { return false };
    fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_left_goes_and_what_is_being_written_stays() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("x");
        for left in [".x.lapstrake-1", ".y.lapstrake-1", "x.lapstrake-"] {
            fs::write(directory.path().join(left), "half").unwrap();
        }
        let first = begin(&target, 0o644).unwrap();
        let second = begin(&target, 0o644).unwrap();
        assert!(first.path().exists() && second.path().exists());
        drop(first);
        finish(second, &target).unwrap();
        assert_eq!(names(directory.path()), [".y.lapstrake-1", "x", "x.lapstrake-"]);
    }

    #[test]
    fn unfinished_files_are_known_by_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = begin(&directory.path().join("x.json"), 0o644).unwrap();
        assert!(is_name(file.path().file_name().unwrap().as_bytes()));
        for other in [
            "",
            ".",
            "x.lapstrake-abcdef",
            ".x.lapstrake-abcde",
            ".x.lapstrake-abcdefg",
            ".x.lapstrake-abc.ef",
            ".lapstrake",
        ] {
            assert!(!is_name(other.as_bytes()), "{other}");
        }
        assert!(is_name(b".x.lapstrake-abcdef") && is_name(b".lapstrake-a1B2c3"));
    }

    /// Fails where one takes away what another has just begun.
    #[test]
    fn many_may_begin_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("x");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        begin(&target, 0o644).unwrap().persist(&target).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(directory.path()), ["x"]);
    }

    #[test]
    fn what_this_process_has_not_finished_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tmp = directory.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        let file = begin(&directory.path().join("x"), 0o644).unwrap();
        let spool = NamedTempFile::new_in(&tmp).unwrap();
        flock(spool.as_file(), FlockOperation::NonBlockingLockExclusive).unwrap();
        let below = crate::store::TemporaryDirectory::new(&tmp).unwrap();
        below.write("inner", b"").unwrap();
        // Open, and called so, and nobody's unfinished file: the context, a layout, a file that is read, another build's.
        let context = directory.path().join("my.lapstrake-demo");
        fs::create_dir(&context).unwrap();
        let _context = File::open(&context).unwrap();
        let layout = directory.path().join(".lapstrake-out");
        fs::create_dir(&layout).unwrap();
        let _layout = File::open(&layout).inspect(|layout| flock(layout, FlockOperation::LockExclusive).unwrap());
        let input = directory.path().join("notes.lapstrake-1");
        fs::write(&input, "").unwrap();
        let _input = fs::OpenOptions::new().read(true).write(true).open(&input).unwrap();
        let other = tmp.join("other");
        fs::write(&other, "").unwrap();
        let _other = File::open(&other).unwrap();
        let kept = NamedTempFile::new_in(directory.path()).unwrap();
        // Other tests of this process have files of their own.
        let whole = fs::canonicalize(directory.path()).unwrap();
        let paths = locked_paths().into_iter().filter(|path| path.starts_with(&whole)).collect();
        assert!(remove(paths, Some(&tmp)));
        assert!(context.exists() && layout.exists() && input.exists() && other.exists());
        assert!(!file.path().exists() && !spool.path().exists() && !below.path().exists());
        assert!(kept.path().exists());
        assert_eq!(names(&tmp), ["other"]);
    }
}
