//! A machine that gives this process no more threads (a limit of processes): the standard library panics, and people are told.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use lapstrake::code::ErrorCode;

use super::exit::{Code, Failure, Outcome};

static REFUSED: AtomicBool = AtomicBool::new(false);

/// What `work` gives; a failure where a thread was refused to it that it cannot do without.
///
/// # Panics
/// As `work` does for any other reason.
pub(super) fn told(work: impl FnOnce() -> Outcome) -> Outcome {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if is_about_threads(panic) {
            REFUSED.store(true, Ordering::SeqCst);
        }
        // What panics after that does so since threads are missing.
        if !REFUSED.load(Ordering::SeqCst) {
            usual(panic);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome,
        Err(_) if REFUSED.load(Ordering::SeqCst) => {
            let text = "the system gives this process no more threads";
            Err(Failure::told(Code::Failed, ErrorCode::Machine, text).hint(
                "raise the limit of processes (`ulimit -u`, or that of the container), or need fewer of them with `--jobs 1`",
            ))
        }
        Err(panic) => panic::resume_unwind(panic),
    }
}

/// Whether a panic is that of the standard library, or of the runtime for the network, where a thread is refused.
fn is_about_threads(panic: &PanicHookInfo<'_>) -> bool {
    let text = panic.payload_as_str().unwrap_or_default();
    ["failed to spawn thread", "can't spawn worker thread"].iter().any(|words| text.contains(words))
}
