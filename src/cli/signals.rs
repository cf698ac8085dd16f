//! SIGINT and SIGTERM: unfinished files go, and the process ends with the code that shells expect.

use std::io::Write;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Ends the process at the first signal, with 130 (SIGINT) or 143 (SIGTERM).
///
/// Unfinished files lie under names of their own and are collected by the next run that uses the same cache or output;
/// nothing under a final name is ever half-written.
pub(crate) fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = writeln!(std::io::stderr(), "interrupted");
            std::process::exit(128 + signal);
        }
    });
}
