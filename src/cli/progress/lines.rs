//! Progress in a log: a line for what took its time, and one every ten seconds for what goes on.

use std::time::{Duration, Instant};

use lapstrake::report::Balance;

use super::{State, Task, bytes, seconds};

/// How often a long task says that it is still there.
const STILL_THERE: Duration = Duration::from_secs(10);

/// When, since the beginning: `[  1.2s]`.
fn stamp(since: Duration) -> String {
    format!("[{:>6.1}s]", since.as_secs_f64())
}

fn what(task: &Task) -> String {
    let image = task.image.as_ref().map(|image| format!("{image}: ")).unwrap_or_default();
    format!("{image}{} {}", task.phase.word(), task.subject)
}

/// A task that ended.
pub(super) fn finished(task: &Task, took: Duration, outcome: Option<&str>, since: Duration) -> String {
    // What counts no bytes has none to tell.
    let size = if task.done == 0 { String::new() } else { format!(" {}", bytes(task.done)) };
    let outcome = outcome.map(|outcome| format!(", {outcome}")).unwrap_or_default();
    format!("{} {}{size} in {}{outcome}", stamp(since), what(task), seconds(took))
}

/// Tasks that were not told of for long; from now on they were.
pub(super) fn still_there(state: &mut State, now: Instant) -> Vec<String> {
    let since = now.duration_since(state.began);
    let is_due = |task: &&mut Task| now.duration_since(task.spoke) >= STILL_THERE;
    state
        .tasks
        .values_mut()
        .filter(is_due)
        .map(|task| {
            task.spoke = now;
            format!("{} {}: {}", stamp(since), what(task), so_far(task, now))
        })
        .collect()
}

fn so_far(task: &Task, now: Instant) -> String {
    let done = match (task.done, task.total) {
        (0, _) => return format!("{} so far", seconds(now.duration_since(task.began))),
        (done, Some(total)) => format!("{} of {}", bytes(done), bytes(total)),
        (done, None) => bytes(done),
    };
    let left = task.left(now).map(|left| format!(", {} left", seconds(left))).unwrap_or_default();
    format!("{done}, {}/s{left}", bytes(task.rate(now)))
}

/// An image that is there.
pub(super) fn image(name: &str, platform: &str, balance: &Balance, took: Duration, since: Duration) -> String {
    let (made, reused) = (balance.made, balance.reused());
    format!(
        "{} {name} for {platform}: {} in {}, {} new, {} of {} layers reused",
        stamp(since),
        bytes(balance.size),
        seconds(took),
        bytes(made.bytes),
        reused.count,
        made.count + reused.count,
    )
}
