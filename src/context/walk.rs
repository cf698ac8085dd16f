//! The walk over the directories of a context: relative to open directories, in parallel, with a result that depends on
//! the files alone.
//!
//! No symlink is followed. Directories that the rules leave out, with nothing below them taken back, are not read. A file
//! that disappears while the walk looks was not there; anything else that changes is found when the file is read.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::glob::symbols;
use super::rules::{Rules, Standings};
use crate::content::{FileIdentity, FoundFiles, HostFile, HostFiles};
use crate::host::{HostDirectory, HostRoot};
use crate::parallel;
use crate::shown::Shown;
use crate::unfinished;

/// The longest path, relative to the context, that is walked, in bytes. Images have paths of at most 4095.
const MAX_PATH: usize = 16 << 10;

/// Bytes of directory entries that are read at once.
const BUFFER: usize = 64 << 10;

/// Why a context cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A directory cannot be opened.
    #[error("opening the directory {path}")]
    Open {
        /// The directory.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// A directory cannot be read.
    #[error("reading the directory {path}")]
    List {
        /// The directory.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// An entry cannot be looked at.
    #[error("looking at {path}")]
    Stat {
        /// The entry.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// What is no file, directory or symlink.
    #[error("{path} is a {kind}, which an image cannot have: leave it out with `exclude` or the ignore file")]
    Kind {
        /// The entry.
        path: Shown,
        /// `FIFO`, `socket`, `device`.
        kind: &'static str,
    },
    /// A name that means something else in a layer.
    #[error(
        "{path} has a name that starts with `.wh.`, which means a deletion inside a layer: rename it, or leave it out with `exclude`"
    )]
    Whiteout {
        /// The entry.
        path: Shown,
    },
    /// Hardly anything but holes, which would be written as zeros for hours.
    #[error(
        "{path} has {size} bytes, of which the disk holds {held}: the rest are holes, which an image cannot have; leave it out with `exclude` or the ignore file"
    )]
    Holes {
        /// The file.
        path: Shown,
        /// Its length.
        size: u64,
        /// Bytes that are there.
        held: u64,
    },
    /// Too deep.
    #[error("{path} lies more than 16384 bytes deep in the context: leave it out with the ignore file")]
    Deep {
        /// The directory.
        path: Shown,
    },
}

/// A directory where a walk starts.
#[derive(Debug)]
pub(super) struct Start {
    /// Relative to the root; no component is a symlink.
    pub(super) path: Vec<u8>,
    pub(super) standing: Standings,
    /// Whether the directory itself is taken.
    pub(super) kept: bool,
    /// Whether `.git` is taken, since the item names it.
    pub(super) git: bool,
}

/// What is kept of a file beside what tells it from others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) mode: u16,
    /// Whether it has other names.
    pub(super) linked: bool,
}

impl Look {
    fn of(stat: &Stat) -> Self {
        Look { mode: permissions(stat), linked: stat.st_nlink > 1 }
    }
}

/// A symlink that is taken.
#[derive(Clone, Debug)]
pub(super) struct FoundLink {
    pub(super) name: Box<[u8]>,
    pub(super) target: Box<[u8]>,
}

/// What is taken of one directory, sorted by name.
#[derive(Debug)]
pub(super) struct Walked {
    /// The number of the start.
    pub(super) start: usize,
    /// Whether the directory itself is taken.
    pub(super) kept: bool,
    pub(super) mode: u16,
    /// The files, in their directory.
    pub(super) files: Arc<HostFiles>,
    /// Of each of them.
    pub(super) looks: Vec<Look>,
    pub(super) links: Vec<FoundLink>,
}

impl Walked {
    /// Relative to the root of the walk.
    pub(super) fn path(&self) -> &[u8] {
        self.files.directory().path()
    }
}

/// Walks all starts on that many threads. The directories come sorted by start and path.
///
/// # Errors
/// [`WalkError`]: of several, the one of the first path in byte order.
pub(super) fn walk(
    root: &Arc<HostRoot>,
    rules: &Rules<'_>,
    starts: Vec<Start>,
    threads: usize,
) -> Result<Vec<Walked>, WalkError> {
    let tasks = starts.into_iter().enumerate().map(|(start, it)| Task {
        start,
        path: it.path,
        standing: it.standing,
        kept: it.kept,
        git: it.git,
        found: false,
    });
    let walk = Walk { root, rules, queue: Mutex::new(Queue { todo: tasks.collect(), busy: 0 }), ready: Condvar::new() };
    // A few directories are walked in less time than a thread takes to start.
    let first = walk.work(FEW);
    let others = if walk.is_done() { 0 } else { threads.max(1) - 1 };
    let help = || walk.work(usize::MAX);
    let mut parts = std::thread::scope(|scope| {
        let others = parallel::helpers(scope, others, help);
        let mut parts = vec![first, walk.work(usize::MAX)];
        // A panic of a thread is one of the walk.
        parts.extend(
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        parts
    });
    let errors = parts.iter_mut().filter_map(|part| part.error.take());
    if let Some((_, error)) = errors.min_by(|(a, _), (b, _)| a.cmp(b)) {
        return Err(error);
    }
    let mut walked: Vec<Walked> = parts.into_iter().flat_map(|part| part.walked).collect();
    walked.sort_unstable_by(|a, b| (a.start, a.path()).cmp(&(b.start, b.path())));
    Ok(walked)
}

/// How many directories one thread walks alone before others help.
const FEW: usize = 32;

struct Walk<'a> {
    root: &'a Arc<HostRoot>,
    rules: &'a Rules<'a>,
    queue: Mutex<Queue>,
    ready: Condvar,
}

struct Queue {
    todo: Vec<Task>,
    /// How many threads are in a directory, and may add to `todo`.
    busy: usize,
}

struct Task {
    start: usize,
    path: Vec<u8>,
    standing: Standings,
    kept: bool,
    git: bool,
    /// Whether it was found in another directory, and is no start.
    found: bool,
}

/// What one thread found.
#[derive(Default)]
struct Part {
    walked: Vec<Walked>,
    error: Option<(Vec<u8>, WalkError)>,
}

/// A thread that is in a directory, and what it found there. It is out of it in the end: a panic leaves nobody waiting.
struct Busy<'w, 'a> {
    walk: &'w Walk<'a>,
    found: Vec<Task>,
}

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        self.walk.done(std::mem::take(&mut self.found));
    }
}

impl Walk<'_> {
    fn is_done(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).todo.is_empty()
    }

    /// Walks up to `most` directories.
    fn work(&self, most: usize) -> Part {
        let mut part = Part::default();
        let mut names = Names::new();
        for _ in 0..most {
            let Some(task) = self.next() else { break };
            let mut busy = Busy { walk: self, found: Vec::new() };
            match self.directory(&task, &mut names, &mut busy.found) {
                Ok(Some(walked)) => part.walked.push(walked),
                Ok(None) => {}
                // All is walked even so: which error is told must not depend on who came first.
                Err(error) if part.error.as_ref().is_none_or(|(path, _)| task.path < *path) => {
                    part.error = Some((task.path, error));
                }
                Err(_) => {}
            }
        }
        part
    }

    fn next(&self) -> Option<Task> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = queue.todo.pop() {
                queue.busy += 1;
                return Some(task);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, found: Vec<Task>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.busy -= 1;
        let idle = queue.busy == 0;
        let more = found.len();
        queue.todo.extend(found);
        drop(queue);
        if idle || more > 1 {
            self.ready.notify_all();
        } else if more == 1 {
            self.ready.notify_one();
        }
    }

    /// Looks at one directory; the directories in it go to `found`.
    fn directory(&self, task: &Task, names: &mut Names, found: &mut Vec<Task>) -> Result<Option<Walked>, WalkError> {
        let shown = |relative: &[u8]| self.root.shown(relative);
        if task.path.len() > MAX_PATH {
            return Err(WalkError::Deep { path: shown(&task.path[..100]) });
        }
        let handle = match self.root.open_at(&task.path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(handle) => handle,
            // Left out, and read only for what might be taken back: as with Docker, that is then nothing.
            Err(Errno::ACCESS) if !task.kept => return Ok(None),
            // It was there a moment ago: now it is gone, as files may be.
            Err(Errno::NOENT) if task.found => return Ok(None),
            Err(error) => return Err(WalkError::Open { path: shown(&task.path), source: error.into() }),
        };
        let listed = |error: Errno| WalkError::List { path: shown(&task.path), source: error.into() };
        let mode = permissions(&rustix::fs::fstat(&handle).map_err(listed)?);
        names.read(&handle).map_err(listed)?;

        let host = HostDirectory::new(self.root.clone(), task.path.as_slice());
        let (mut files, mut looks, mut links) = (FoundFiles::default(), Vec::new(), Vec::new());
        let unnamed = self.rules.unnamed_in(&task.path);
        let silent = self.rules.are_silent(&task.standing);
        let mut text = symbols(&task.path).into_owned();
        if !text.is_empty() {
            text.push('/');
        }
        let prefix = text.len();
        for (name, kind) in names.iter() {
            let bytes = name.to_bytes();
            if unnamed.contains(&bytes) || (bytes == b".git" && !task.git) || unfinished::is_name(bytes) {
                continue;
            }
            let child = || host.child(bytes);
            text.truncate(prefix);
            text.push_str(&symbols(bytes));
            // The file system may not say what it is.
            let mut stat = None;
            let kind = if kind == FileType::Unknown {
                let Some(it) = look(&handle, name).map_err(|error| failed(shown(&child()), error))? else { continue };
                FileType::from_raw_mode(stat.insert(it).st_mode)
            } else {
                kind
            };
            if kind == FileType::Directory {
                let inside = self.rules.enter(&task.standing, &text);
                let kept = inside.dropped.is_none();
                if kept {
                    refuse_whiteout(bytes, || shown(&child()))?;
                }
                if kept || inside.below {
                    let path = child();
                    found.push(Task { path, standing: inside.standing, kept, found: true, ..*task });
                }
                continue;
            }
            if !silent && self.rules.judge(&task.standing, &text).is_some() {
                continue;
            }
            refuse_whiteout(bytes, || shown(&child()))?;
            if kind == FileType::Symlink {
                match rustix::fs::readlinkat(&handle, name, Vec::new()) {
                    Ok(target) => {
                        links.push(FoundLink { name: bytes.into(), target: target.as_bytes().into() });
                    }
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(failed(shown(&child()), error)),
                }
                continue;
            }
            let stat = match stat {
                Some(stat) => Some(stat),
                None => look(&handle, name).map_err(|error| failed(shown(&child()), error))?,
            };
            let Some(stat) = stat else { continue };
            if let Some(kind) = special(FileType::from_raw_mode(stat.st_mode)) {
                return Err(WalkError::Kind { path: shown(&child()), kind });
            }
            refuse_holes(&stat, || shown(&child()))?;
            files.add(bytes, FileIdentity::of(&stat));
            looks.push(Look::of(&stat));
        }
        let files = files.within(host);
        Ok(Some(Walked { start: task.start, kept: task.kept, mode, files, looks, links }))
    }
}

/// A file as the walk keeps it.
pub(super) fn found_file(host: HostDirectory, name: &[u8], stat: &Stat) -> Result<(HostFile, Look), WalkError> {
    refuse_holes(stat, || host.root().shown(&host.child(name)))?;
    Ok((HostFile::within(host, name, FileIdentity::of(stat)), Look::of(stat)))
}

/// Whether that kind is none of those that images have, and its name.
pub(super) fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile | FileType::Directory | FileType::Symlink => None,
        FileType::Fifo => Some("FIFO"),
        FileType::Socket => Some("socket"),
        _ => Some("device"),
    }
}

/// From that length on it is asked what a file holds.
const SUSPICIOUS: u64 = 64 << 30;

/// Refuses a sparse file that nobody means: with less than a sixteenth of its length on the disk, which no file system that
/// compresses makes of real data.
fn refuse_holes(stat: &Stat, path: impl FnOnce() -> Shown) -> Result<(), WalkError> {
    let (size, held) = (stat.st_size as u64, (stat.st_blocks as u64).saturating_mul(512));
    match size >= SUSPICIOUS && held < size / 16 {
        true => Err(WalkError::Holes { path: path(), size, held }),
        false => Ok(()),
    }
}

pub(super) fn refuse_whiteout(name: &[u8], path: impl FnOnce() -> Shown) -> Result<(), WalkError> {
    match name.starts_with(b".wh.") {
        true => Err(WalkError::Whiteout { path: path() }),
        false => Ok(()),
    }
}

fn failed(path: Shown, error: Errno) -> WalkError {
    WalkError::Stat { path, source: error.into() }
}

/// Permission bits, setuid, setgid and sticky.
fn permissions(stat: &Stat) -> u16 {
    (stat.st_mode & 0o7777) as u16
}

/// What an entry of a directory is; `None` where it is gone.
fn look(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a directory, sorted bytewise. One for each thread, so that its memory is used again.
pub(super) struct Names {
    buffer: Box<[MaybeUninit<u8>]>,
    /// All names, each ended by a NUL.
    bytes: Vec<u8>,
    /// Where each starts and ends, its NUL included, and what the directory says it is.
    entries: Vec<(usize, usize, FileType)>,
}

impl Names {
    pub(super) fn new() -> Self {
        Names { buffer: Box::new_uninit_slice(BUFFER), bytes: Vec::new(), entries: Vec::new() }
    }

    /// Reads a directory that is open for reading.
    pub(super) fn read(&mut self, directory: &OwnedFd) -> rustix::io::Result<()> {
        self.bytes.clear();
        self.entries.clear();
        let mut entries = RawDir::new(directory.as_fd(), &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(name.to_bytes_with_nul());
            self.entries.push((start, self.bytes.len(), entry.file_type()));
        }
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        // Some file systems give a name twice when the directory changes under the reader.
        self.entries.dedup_by(|a, b| bytes[a.0..a.1] == bytes[b.0..b.1]);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&CStr, FileType)> {
        let name = |start: usize, end: usize| CStr::from_bytes_with_nul(&self.bytes[start..end]).unwrap_or_default();
        self.entries.iter().map(move |(start, end, kind)| (name(*start, *end), *kind))
    }
}
