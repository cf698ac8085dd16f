//! The messages that gather while a recipe is read, so that all of them are shown at once.

use std::ops::Range;

use super::{At, Diagnostic, Severity, Sources, Span};
use crate::code::ErrorCode;
use crate::logins::hide_credentials;
use crate::shown::{Shown, is_unseen};

/// Why a string is not what it should be; the place is within the string, and the string's place is known to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code of its kind.
    pub(super) code: ErrorCode,
    /// What is wrong: a fragment that names the value.
    pub(super) message: String,
    /// What was expected, under the underlined text.
    pub(super) label: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// The bytes of the string that are wrong, where it is not all of it.
    pub(super) range: Option<Range<usize>>,
    /// Whether the string holds a secret, and is never shown.
    pub(super) secret: bool,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Fault {
    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub(super) fn new(message: impl Into<String>, label: impl Into<String>) -> Self {
        let (message, label) = (message.into(), label.into());
        Fault { code: ErrorCode::WrongValue, message, label, help: None, range: None, secret: false }
    }

    /// With a more specific code.
    pub(super) fn coded(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) fn within(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }

    /// The message about that value of a recipe.
    pub(super) fn at(self, sources: &Sources, value: &At<impl AsRef<str>>) -> Diagnostic {
        let span = match self.range {
            Some(range) => sources.within(value, range),
            None => value.span,
        };
        let diagnostic =
            Diagnostic::error(self.code, sources, span, self.message).label(self.label).maybe_help(self.help);
        if self.secret { diagnostic.hide(value.span) } else { diagnostic }
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Problems {
    pub(super) sources: Sources,
    found: Vec<Diagnostic>,
}

impl Problems {
    pub(super) fn new(sources: Sources) -> Self {
        Problems { sources, found: Vec::new() }
    }

    /// An error at a place, that of a wrong value where no other code is given, to be added to and then [pushed](Problems::push).
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(ErrorCode::WrongValue, &self.sources, span, message)
    }

    pub(super) fn warning(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.sources, span, message)
    }

    /// Takes a message, once.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.full() && !self.found.iter().any(|known| known.same_as(&diagnostic)) {
            self.found.push(diagnostic);
        }
    }

    /// The value, or a message about the string that it should have come from; unless there is one already.
    pub(super) fn take<T>(&mut self, value: &At<impl AsRef<str>>, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                if !self.full() && !self.known_in(value.span) {
                    self.push(fault.at(&self.sources, value));
                }
                None
            }
        }
    }

    /// Whether something of that text is known to be wrong.
    fn known_in(&self, span: Span) -> bool {
        let within = |inner: Span| inner.source == span.source && inner.start >= span.start && inner.end <= span.end;
        self.found.iter().any(|known| known.severity() == Severity::Error && known.span().is_some_and(within))
    }

    /// Whether more would help nobody.
    pub(super) fn full(&self) -> bool {
        self.found.len() >= 100
    }

    /// Whether any of them is an error.
    pub(super) fn any_error(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity() == Severity::Error)
    }

    pub(super) fn into_list(self) -> Vec<Diagnostic> {
        self.found
    }
}

/// A value as messages show it: between backticks, escaped, credentials hidden, not too long.
pub(super) fn shown(text: &str) -> String {
    // First hidden, then cut: of a long password the `@` would be cut off.
    let short: String = hide_credentials(text).chars().take(100).collect();
    Shown::new(short.as_bytes()).to_string()
}

/// A string as TOML writes it, for help that can be copied; cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    quoted_whole(&hide_credentials(text).chars().take(200).collect::<String>())
}

/// A string as TOML writes it.
pub(crate) fn quoted_whole(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unseen(c) && u32::from(c) > 0xffff => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c if is_unseen(c) => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
