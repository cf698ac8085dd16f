//! System calls that fail, kills, interrupts, builds at once: a sample of what `tests/reliability/run` tries at length.

use std::path::Path;
use std::process::Command;

use super::support::BINARY;

#[test]
fn what_fails_or_is_killed_leaves_nothing_wrong_behind() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/run");
    let run = Command::new("python3").arg(program).args(["--short", "--lapstrake", BINARY]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}{err}");
    assert_eq!(out.lines().filter(|line| line.ends_with(": 0 wrong")).count(), 6, "{out}{err}");
}
