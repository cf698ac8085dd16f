//! Instructions in their stages.

use super::instruction::{Instruction, Kind};
use crate::code::ErrorCode;
use crate::recipe::{Diagnostic, Diagnostics, Sources};

/// A Dockerfile.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// What messages call it.
    pub name: String,
    /// The character that takes a meaning away.
    pub escape: char,
    /// `ARG` before the first `FROM`.
    pub arguments: Vec<Instruction>,
    /// Stages, in order; one at least.
    pub stages: Vec<Stage>,
    /// Its text.
    pub sources: Sources,
}

/// What stands from one `FROM` to the next.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What others call it, in lower case.
    pub name: Option<String>,
    /// The base, as it is written.
    pub base: String,
    /// `--platform`, as it is written.
    pub platform: Option<String>,
    /// The `FROM`.
    pub from: Instruction,
    /// What follows it.
    pub instructions: Vec<Instruction>,
}

/// More stages are nobody's.
const MAX_STAGES: usize = 100;

pub(super) fn of(
    name: &str,
    sources: Sources,
    escape: char,
    instructions: Vec<Instruction>,
) -> Result<Dockerfile, Diagnostics> {
    let mut file = Dockerfile { name: name.to_owned(), escape, arguments: Vec::new(), stages: Vec::new(), sources };
    for instruction in instructions {
        match &instruction.kind {
            Kind::From { base, platform, name } => {
                let stage = Stage {
                    name: name.as_ref().map(|name| name.to_lowercase()),
                    base: base.clone(),
                    platform: platform.clone(),
                    from: instruction.clone(),
                    instructions: Vec::new(),
                };
                if file.stages.len() >= MAX_STAGES {
                    let wrong = Diagnostic::error(
                        ErrorCode::Dockerfile,
                        &file.sources,
                        instruction.span,
                        "there are too many stages",
                    );
                    return Err(wrong.label(format!("expected {MAX_STAGES} at most")).into());
                }
                file.stages.push(stage);
            }
            _ => match file.stages.last_mut() {
                Some(stage) => stage.instructions.push(instruction),
                None if matches!(instruction.kind, Kind::Arg(_)) => file.arguments.push(instruction),
                None => {
                    let wrong = Diagnostic::error(
                        ErrorCode::Dockerfile,
                        &file.sources,
                        instruction.span,
                        "there is no stage yet",
                    )
                    .label("expected `FROM` first; only `ARG` may stand before it");
                    return Err(wrong.into());
                }
            },
        }
    }
    if file.stages.is_empty() {
        let span = crate::recipe::Span::new(0, 0..0);
        let wrong =
            Diagnostic::error(ErrorCode::Dockerfile, &file.sources, span, "there is no `FROM` in this Dockerfile");
        return Err(wrong.label("expected a base").into());
    }
    Ok(file)
}

impl Dockerfile {
    /// The stage before `before` that goes by a name or number.
    pub fn stage(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_lowercase();
        let stages = &self.stages[..before.min(self.stages.len())];
        let named = stages.iter().rposition(|stage| stage.name.as_deref() == Some(&*name));
        named.or_else(|| name.parse().ok().filter(|number| *number < stages.len()))
    }
}
