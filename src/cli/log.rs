//! Standard error. All that is written there goes through here, so that nothing that is quoted moves a terminal's cursor or is a
//! command to the system that runs a job, wherever the text came from.

use std::io::{IsTerminal, Stderr, Write};

use lapstrake::shown::{in_coloured_lines, in_json_line, in_lines};

/// Lines that are fit to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines(String);

impl Lines {
    /// A text that may quote anything.
    pub(crate) fn told(text: &str) -> Self {
        Lines(in_lines(text))
    }

    /// A text whose colours are this program's.
    pub(crate) fn drawn(text: &str) -> Self {
        Lines(in_coloured_lines(text))
    }

    /// A command to the system that runs this job, of which the caller knows that it is no more than that.
    pub(crate) fn command(line: String) -> Self {
        Lines(line)
    }

    /// What is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place")]
fn stderr() -> Stderr {
    std::io::stderr()
}

/// Whether somebody looks at it.
pub(crate) fn is_terminal() -> bool {
    stderr().is_terminal()
}

/// Writes lines, and ends the last one. A closed standard error is no reason to stop.
pub(crate) fn write(lines: &Lines) {
    let _ = writeln!(stderr(), "{}", lines.as_str());
}

/// Writes a line of JSON: whole, so that the lines of several threads do not mix.
pub(crate) fn write_json(json: &str) {
    let _ = stderr().write_all(format!("{}\n", in_json_line(json)).as_bytes());
}
