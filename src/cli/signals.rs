//! SIGINT and SIGTERM: the process ends with the code that shells expect, and leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lapstrake::unfinished;
use rustix::process::{Pid, RawPid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::log::{self, Lines};

/// How long the run may go on to tidy up after itself.
const GRACE: Duration = Duration::from_millis(400);

/// How long a program runs at most that a thread has started which does not know of the signal yet.
const PAUSE: Duration = Duration::from_millis(10);

/// How often what is unfinished is looked for: threads may still be making files.
const SWEEPS: usize = 20;

static STATE: Mutex<State> = Mutex::new(State { phase: Phase::Running, tmp: None, temporary: None });
static CHANGED: Condvar = Condvar::new();

struct State {
    phase: Phase,
    /// Where the cache has its unfinished files.
    tmp: Option<PathBuf>,
    /// The temporary cache of this run, where there is one.
    temporary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody wants the end.
    Running,
    /// A signal came.
    Interrupted,
    /// A signal came, and the run has ended.
    Ended,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the cache has its unfinished files: a signal removes those of this process.
pub(crate) fn cache_at(tmp: PathBuf) {
    state().tmp = Some(tmp);
}

/// Removes a directory when a signal ends the process; otherwise its owner does.
pub(crate) fn remove_at_end(directory: &Path) {
    state().temporary = Some(directory.to_owned());
}

/// Whether a signal came, and the run should end.
pub(crate) fn came() -> bool {
    state().phase != Phase::Running
}

/// Starts a program; after a signal none.
///
/// # Errors
/// Where it cannot be started, or is not.
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    // Held until it is there: what is started before a signal is found by it.
    let state = state();
    match state.phase {
        Phase::Running => command.spawn(),
        Phase::Interrupted | Phase::Ended => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// To be called when the run has ended: where a signal came, the process ends here, and with that signal's code.
pub(crate) fn ended() {
    let mut state = state();
    if state.phase != Phase::Running {
        state.phase = Phase::Ended;
        CHANGED.notify_all();
        drop(state);
        loop {
            thread::park();
        }
    }
}

/// Ends the process at the first signal, with 130 (SIGINT) or 143 (SIGTERM).
///
/// The run is told, and given a moment to take back what it has put under final names; programs that it started are ended;
/// then unfinished files are removed. What is left nevertheless (after SIGKILL everything is) has a name of its own and no
/// lock, and the next run that uses the same cache or output removes it. Nothing under a final name is ever half-written.
///
/// A file that grows beyond `ulimit -f` is an error like a full disk, and no reason to be ended by a signal.
pub(crate) fn listen() {
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    // What was started before this program took the process's place (`exec`) is not its own.
    let before = children("self");
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let mut state = state();
            state.phase = Phase::Interrupted;
            let deadline = Instant::now() + GRACE;
            loop {
                end_children(&before);
                let left = deadline.saturating_duration_since(Instant::now());
                if state.phase == Phase::Ended || left.is_zero() {
                    break;
                }
                let waited = CHANGED.wait_timeout(state, left.min(PAUSE));
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
            let (tmp, temporary) = (state.tmp.clone(), state.temporary.clone());
            drop(state);
            for _ in 0..SWEEPS {
                if !unfinished::abandon(tmp.as_deref()) {
                    break;
                }
            }
            if let Some(directory) = temporary {
                let _ = fs::remove_dir_all(directory);
            }
            log::write(&Lines::told("interrupted"));
            std::process::exit(128 + signal);
        }
    });
}

/// Ends the programs that this process has started, and what those have: they would write on where nobody looks.
///
/// Those that may ask for a password are in this process's group: others a terminal would not let do that.
fn end_children(before: &[Pid]) {
    children("self").into_iter().filter(|child| !before.contains(child)).for_each(end);
}

fn end(program: Pid) {
    // First stopped, so that it starts no more while it is looked at.
    let _ = kill_process(program, Signal::STOP);
    children(&program.as_raw_pid().to_string()).into_iter().for_each(end);
    let _ = kill_process(program, Signal::KILL);
}

/// What a process has started and is still there.
fn children(process: &str) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let pids = |list: String| -> Vec<RawPid> { list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect() };
    lists.flat_map(pids).filter_map(Pid::from_raw).collect()
}
