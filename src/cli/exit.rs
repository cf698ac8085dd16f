//! How commands end.

use std::error::Error;
use std::fmt;

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

/// A command's failure: an exit code, an error with its causes, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) code: Code,
    /// What went wrong.
    pub(crate) error: Box<dyn Error + Send + Sync>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Whether the text is complete as it is (a drawn snippet), and gets no `error:` in front.
    pub(crate) drawn: bool,
}

/// What commands give.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of that kind.
    pub(crate) fn new(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure { code, error: error.into(), hint: None, drawn: false }
    }

    /// Something that was typed makes no sense.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Failure::new(Code::Usage, text.to_string())
    }

    /// With a word on what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The whole text: error, causes, hint.
    pub(crate) fn render(&self) -> String {
        let mut text = if self.drawn { String::new() } else { "error: ".to_owned() };
        text.push_str(self.error.to_string().trim_end());
        let mut cause = self.error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  caused by: {error}"));
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }
}

/// Gives errors of the library an exit code.
pub(crate) trait OrFail<T> {
    /// With that code.
    fn or_fail(self, code: Code) -> Outcome<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFail<T> for Result<T, E> {
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
        let failure = Failure::new(Code::Failed, Outer(std::io::Error::other("no space left"))).hint("free some space");
        assert_eq!(failure.render(), "error: writing the layer\n  caused by: no space left\nhint: free some space");
    }
}
