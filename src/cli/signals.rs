//! SIGINT and SIGTERM: the process ends with the code that shells expect, and leaves nothing behind that is in the way.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The temporary cache of this run, where there is one.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Removes a directory when a signal ends the process; otherwise its owner does.
pub(crate) fn remove_at_end(directory: &Path) {
    *TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner) = Some(directory.to_owned());
}

/// Ends the process at the first signal, with 130 (SIGINT) or 143 (SIGTERM).
///
/// Unfinished files lie under names of their own, locked; the next run that uses the same cache or output removes those
/// that nobody holds. Nothing under a final name is ever half-written.
pub(crate) fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            if let Some(directory) = &*TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = std::fs::remove_dir_all(directory);
            }
            let _ = writeln!(std::io::stderr(), "interrupted");
            std::process::exit(128 + signal);
        }
    });
}
