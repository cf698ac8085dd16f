//! `build --watch`: builds again whenever something changes that a build reads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lapstrake::code::ErrorCode;
use lapstrake::place::{FilePlace, Place};
use lapstrake::recipe::{self, Recipe};
use lapstrake::report::Reporter;
use lapstrake::unfinished;
use notify::event::EventKind;
use notify::{ErrorKind, RecursiveMode, Watcher};

use super::args::{BuildArgs, Global};
use super::build::DEFAULT_OUTPUT;
use super::environment::{cache_directory, load_recipe};
use super::exit::{Code, Failure, Outcome};
use super::progress;
use super::written::local_images;

/// Editors and checkouts write several files at a time: a build waits until nothing changed for so long.
const QUIET: Duration = Duration::from_millis(50);

/// So long it waits for quiet: a file that is written all the time keeps nobody from building.
const PATIENCE: Duration = Duration::from_secs(1);

/// Builds, and builds again after each change, until a signal ends the process. A build that fails is told, and the next
/// change tried.
///
/// # Errors
/// Where nothing can be watched.
pub(super) fn forever(
    global: &Global,
    args: &BuildArgs,
    reporter: &Reporter,
    once: &mut dyn FnMut() -> Outcome,
) -> Outcome {
    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).map_err(|error| failure(&error))?;
    let mut watched: BTreeMap<PathBuf, Watched> = BTreeMap::new();
    loop {
        // Watched first, so that no change falls between the build and the watching.
        let (wanted, own) = directories(global, args);
        let known = std::mem::take(&mut watched);
        for (directory, is_whole) in &wanted {
            // One that was replaced is another directory: the kernel watches what was there.
            let Ok(there) = std::fs::metadata(directory) else { continue };
            watched.insert(directory.clone(), Watched { is_whole: *is_whole, inode: (there.dev(), there.ino()) });
        }
        for directory in known.iter().filter(|(path, is)| watched.get(*path) != Some(is)).map(|(path, _)| path) {
            // Where it is gone, so is the watch.
            let _ = watcher.unwatch(directory);
        }
        for (directory, is) in watched.iter().filter(|(path, is)| known.get(*path) != Some(is)) {
            let mode = if is.is_whole { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(directory, mode) {
                // Gone again: what is above it tells of the next one.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                watched => watched.map_err(|error| failure(&error))?,
            }
        }
        match once() {
            Ok(()) => {}
            Err(failure) if failure.code == Code::Usage => return Err(failure),
            Err(failure) => progress::fail(global, &failure),
        }
        reporter.note("waiting for changes");
        wait(&changes, &own)?;
    }
}

/// What is watched at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watched {
    /// Whether with all below it.
    is_whole: bool,
    /// Device and inode.
    inode: (u64, u64),
}

/// Waits for a change that no build made, and for quiet after it; not for long where it never gets quiet.
fn wait(changes: &Receiver<notify::Result<notify::Event>>, own: &Own) -> Outcome {
    loop {
        let event = changes.recv().map_err(|error| ended(&error))?.map_err(|error| failure(&error))?;
        if own.may_matter(&event) {
            break;
        }
    }
    let now = Instant::now();
    let (mut quiet, end) = (now + QUIET, now + PATIENCE);
    loop {
        let left = quiet.min(end).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        match changes.recv_timeout(left) {
            Ok(Ok(event)) if !own.may_matter(&event) => {}
            Ok(_) => quiet = Instant::now() + QUIET,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(error @ RecvTimeoutError::Disconnected) => return Err(ended(&error)),
        }
    }
}

/// Paths that builds write to.
struct Own(Vec<PathBuf>);

impl Own {
    fn may_matter(&self, event: &notify::Event) -> bool {
        // Where events were lost, something may have changed.
        !matches!(event.kind, EventKind::Access(_))
            && (event.need_rescan() || event.paths.iter().any(|path| self.is_input(path)))
    }

    fn is_input(&self, path: &Path) -> bool {
        !unfinished::is_called(path) && !self.0.iter().any(|own| path.starts_with(own)) && !is_inside_git(path)
    }
}

/// Whether a path is something of git's that says nothing of commits and branches.
fn is_inside_git(path: &Path) -> bool {
    let mut parts = path.components().skip_while(|part| *part != Component::Normal(OsStr::new(".git")));
    parts.next().is_some()
        && match parts.next() {
            Some(Component::Normal(name)) => {
                !["HEAD", "refs", "packed-refs"].iter().any(|known| name == *known)
                    || path.extension().is_some_and(|extension| extension == "lock")
            }
            _ => true,
        }
}

/// The directories that a build reads, as far as the recipe can be read, each with whether all below it matters; and what
/// a build writes.
fn directories(global: &Global, args: &BuildArgs) -> (BTreeMap<PathBuf, bool>, Own) {
    let mut named = vec![(parent(&global.file), false)];
    let mut written: Vec<PathBuf> = args.results().map(|(_, path)| path.clone()).collect();
    written.extend(std::env::var_os("GITHUB_OUTPUT").map(PathBuf::from));
    written.extend(cache_directory(global));
    // What is said may go to files, too.
    written.extend([1, 2].iter().filter_map(|stream| std::fs::read_link(format!("/proc/self/fd/{stream}")).ok()));
    let default = (args.output.is_empty() && !args.push && args.load.is_none()).then(|| DEFAULT_OUTPUT.to_owned());
    if let Ok((recipe, inputs)) = load_recipe(global, &args.set) {
        named.push((recipe.context.clone(), true));
        named.extend(recipe.images.iter().flat_map(|image| bases(&recipe, image)));
        // Names with placeholders are those of one image, and known when it is built.
        let outputs = args.output.iter().filter_map(|text| recipe::fill(text, &inputs, None).ok());
        let places = outputs.chain(default).filter_map(|text| Place::parse(&text).ok());
        written.extend(places.filter_map(|place| match place {
            Place::Layout { directory, .. } => Some(directory),
            Place::Archive { file: FilePlace::Path(path), .. } => Some(path),
            _ => None,
        }));
    }
    let mut read = BTreeMap::new();
    for (path, is_whole) in named {
        // What is not there will come to be in what is above it.
        let there = path.ancestors().enumerate().find_map(|(above, path)| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            Some((path.canonicalize().ok()?, is_whole && above == 0))
        });
        if let Some((path, is_whole)) = there {
            *read.entry(path).or_default() |= is_whole;
        }
    }
    (read, Own(written.iter().filter_map(|path| whole(path)).collect()))
}

/// Where the images are that an image stands on or copies from, where that is on this machine.
fn bases(recipe: &Recipe, image: &recipe::Image) -> Vec<(PathBuf, bool)> {
    let directory = |(path, is_layout): (PathBuf, bool)| (if is_layout { path } else { parent(&path) }, is_layout);
    local_images(recipe, image).into_iter().map(directory).collect()
}

/// A path as the kernel knows it, also where the last part is not there yet.
fn whole(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| Some(parent(path).canonicalize().ok()?.join(path.file_name()?)))
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn ended(error: &dyn std::error::Error) -> Failure {
    Failure::told(Code::Failed, ErrorCode::NotWatched, format!("watching for changes ended: {error}"))
}

fn failure(error: &notify::Error) -> Failure {
    let paths: Vec<String> = error.paths.iter().map(|path| format!("{path:?}")).collect();
    let failure =
        Failure::told(Code::Failed, ErrorCode::NotWatched, format!("watching {}: {:?}", paths.join(", "), error.kind));
    match error.kind {
        ErrorKind::MaxFilesWatch => failure.hint("raise fs.inotify.max_user_watches, or move large directories out"),
        _ => failure,
    }
}
