//! SIGINT and SIGTERM: the process ends with the code that shells expect, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lapstrake::unfinished;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::log::{self, Lines};

/// How long the run may go on to tidy up after itself.
const GRACE: Duration = Duration::from_millis(400);

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
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let mut state = state();
            state.phase = Phase::Interrupted;
            end_children();
            let waited = CHANGED.wait_timeout_while(state, GRACE, |state| state.phase != Phase::Ended);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let (tmp, temporary) = (state.tmp.clone(), state.temporary.clone());
            drop(state);
            end_children();
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

/// Ends the programs that this process has started: they would write on where nobody looks.
fn end_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok().and_then(Pid::from_raw)) {
            let _ = kill_process(child, Signal::KILL);
        }
    }
}
