//! How commands end.

use std::error::Error;
use std::fmt;

use lapstrake::code::{Cause, ErrorCode, advice, of_registries};
use lapstrake::logins::hide_logins;
use lapstrake::recipe::Diagnostic;

use super::log;

/// Exit codes, as DESIGN promises them to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Something failed.
    Failed = 1,
    /// What was typed makes no sense.
    Usage = 2,
    /// The recipe is wrong.
    Recipe = 3,
    /// The lock is out of date, or pins cannot be found.
    Lock = 4,
    /// A registry or the network failed.
    Network = 5,
    /// Something differs that should not.
    Different = 6,
}

/// A command's failure: an exit code, an error with its code and its causes, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) code: Code,
    /// What kind of failure it is.
    pub(crate) kind: ErrorCode,
    /// What went wrong.
    pub(crate) error: Cause,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Whether the text is complete as it is (a drawn snippet), and gets no `error:` in front.
    pub(crate) drawn: bool,
    /// Whether nothing is said of it: nobody reads what is written any more.
    pub(crate) quiet: bool,
    /// Where in files it is, where that is known.
    pub(crate) spots: Vec<Spot>,
}

/// A place in a file, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file, as it was named.
    pub(crate) file: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column, counted from 1, in characters.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) text: String,
}

impl Spot {
    /// Where a diagnostic is; none of what is in no file.
    pub(crate) fn of(diagnostic: &Diagnostic) -> Option<Self> {
        let (file, line, column) = diagnostic.in_file()?;
        Some(Spot { file, line, column, text: diagnostic.message().to_owned() })
    }
}

/// What commands give.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of that kind; one that a registry or the way to it is to blame for ends as such.
    pub(crate) fn new(code: Code, error: impl Into<Cause>) -> Self {
        let error = error.into();
        let code = if code == Code::Failed && is_of_registry(&*error) { Code::Network } else { code };
        Failure { code, kind: error.code(), error, hint: None, drawn: false, quiet: false, spots: Vec::new() }
    }

    /// A failure that is a text alone.
    pub(crate) fn told(code: Code, kind: ErrorCode, text: impl fmt::Display) -> Self {
        Failure::new(code, Cause::told(kind, text.to_string()))
    }

    /// A text that is complete as it is.
    pub(crate) fn drawn(code: Code, kind: ErrorCode, text: String) -> Self {
        Failure { drawn: true, ..Failure::told(code, kind, text) }
    }

    /// Something that was typed makes no sense.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Failure::told(Code::Usage, ErrorCode::Usage, text)
    }

    /// The same, of a more specific kind.
    #[must_use]
    pub(crate) fn kind(mut self, kind: ErrorCode) -> Self {
        self.kind = kind;
        self
    }

    /// With a word on what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// At these places.
    #[must_use]
    pub(crate) fn at(mut self, spots: impl IntoIterator<Item = Spot>) -> Self {
        self.spots.extend(spots);
        self
    }

    /// What went wrong. Whatever repeats what was typed, logins in it are not shown; nor in what follows.
    pub(crate) fn text(&self) -> String {
        hide_logins(self.error.to_string().trim_end())
    }

    /// Why it did, from what is nearest to what is furthest.
    pub(crate) fn causes(&self) -> impl Iterator<Item = String> {
        std::iter::successors(self.error.source(), |error| (*error).source())
            .map(|error| hide_logins(&error.to_string()))
    }

    /// What to do about it, where that is known.
    pub(crate) fn advice(&self) -> Option<String> {
        self.hint.clone().or_else(|| advice(&*self.error)).map(|hint| hide_logins(&hint))
    }

    /// The whole text: error, causes, hint.
    pub(crate) fn render(&self) -> String {
        let mut text = if self.drawn { String::new() } else { format!("error[{}]: ", self.kind) };
        text.push_str(&self.text());
        for cause in self.causes() {
            text.push_str(&format!("\n  caused by: {cause}"));
        }
        if let Some(hint) = self.advice() {
            text.push_str(&format!("\nhint: {hint}"));
        }
        // A log has the code; somebody at a terminal may not know what it is for.
        if log::is_terminal() {
            text.push_str(&format!("\nfor more: lapstrake help {}", self.kind));
        }
        text
    }
}

/// Whether something could not be had from a registry, or sent to it, and not because of what is on this machine.
fn is_of_registry(error: &(dyn Error + 'static)) -> bool {
    of_registries(error).any(|error| !error.is_of_this_machine())
}

/// Gives errors of the library an exit code.
pub(crate) trait OrFail<T> {
    /// With that code.
    fn or_fail(self, code: Code) -> Outcome<T>;
}

impl<T, E: Into<Cause>> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: Code) -> Outcome<T> {
        self.map_err(|error| Failure::new(code, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_and_what_to_do() {
        #[derive(Debug, thiserror::Error)]
        #[error("writing the layer")]
        struct Outer(#[source] std::io::Error);
        impl lapstrake::code::Coded for Outer {
            fn code(&self) -> ErrorCode {
                ErrorCode::OutputUnwritable
            }
        }
        let failure = Failure::new(Code::Failed, Outer(std::io::Error::other("no space left"))).hint("free some space");
        let text = "error[L0506]: writing the layer\n  caused by: no space left\nhint: free some space";
        assert_eq!(failure.render().split("\nfor more: ").next(), Some(text));
        assert_eq!(failure.kind, ErrorCode::OutputUnwritable);
        assert!(failure.kind(ErrorCode::DiskFull).render().starts_with("error[L1001]: "));
        let failure = Failure::usage("there is no bob:hunter2@h/x").hint("write https://hunter2@r.example.com/x");
        assert!(!failure.render().contains("hunter2"), "{}", failure.render());
    }
}
