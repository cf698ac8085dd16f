//! Dockerfiles, read as BuildKit reads them: directives, continuations, heredocs, flags, stages.
//!
//! ```text
//! text → lines → instruction → Dockerfile
//!        (joined,  (flags, forms,  (stages)
//!         heredocs) words)
//! ```
//!
//! Nothing is run, and no variable is filled in here: what a value comes to depends on the base. [`expand`] reads the
//! variables of a value; whoever knows the base puts in what they are. What BuildKit would refuse is refused here, with a
//! [`Diagnostic`] that underlines it. Dockerfiles come from anywhere: sizes and nesting are bounded.

pub mod expand;
mod instruction;
mod lines;
mod stages;
#[cfg(test)]
mod tests;
mod words;

pub use instruction::{Copy, Form, Healthcheck, Heredoc, Instruction, Kind, Run};
pub use stages::{Dockerfile, Stage};

use crate::code::ErrorCode;
use crate::recipe::{Diagnostic, Diagnostics, Sources, Span};

/// The longest Dockerfile that is read, in bytes.
pub const MAX_DOCKERFILE: usize = 1 << 20;
/// More instructions are nobody's.
const MAX_INSTRUCTIONS: usize = 5_000;

/// Reads a Dockerfile; `name` is what messages call it.
///
/// # Errors
/// What BuildKit would refuse, and files that are too long.
pub fn parse(name: &str, text: &str) -> Result<Dockerfile, Diagnostics> {
    let source = Source { sources: Sources::new(vec![(name.to_owned(), text.to_owned())]) };
    if text.len() > MAX_DOCKERFILE {
        let wrong = source.error(0..0, format!("the Dockerfile is longer than {MAX_DOCKERFILE} bytes"));
        return Err(wrong.label("expected a shorter one").into());
    }
    let read = lines::read(&source, text)?;
    if read.lines.len() > MAX_INSTRUCTIONS {
        let wrong = source.error(0..0, format!("the Dockerfile has more than {MAX_INSTRUCTIONS} instructions"));
        return Err(wrong.label("expected a shorter one").into());
    }
    let mut wrong = Vec::new();
    let mut instructions = Vec::new();
    for line in &read.lines {
        match instruction::read(&source, line, read.escape) {
            Ok(instruction) => instructions.push(instruction),
            Err(diagnostic) => wrong.push(*diagnostic),
        }
    }
    if !wrong.is_empty() {
        return Err(Diagnostics::of(wrong));
    }
    stages::of(name, source.sources.clone(), read.escape, instructions)
}

/// The text of a Dockerfile, to say what is wrong with it.
struct Source {
    sources: Sources,
}

impl Source {
    fn error(&self, range: std::ops::Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(ErrorCode::Dockerfile, &self.sources, Span::new(0, range), message)
    }
}

/// An error that is large is handed on in a box.
type Outcome<T> = Result<T, Box<Diagnostic>>;
