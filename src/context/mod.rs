//! The build context: what of it is chosen, and where it lands.

mod copy;
mod directory;
mod glob;
mod ignore;
mod modes;
mod named;
mod pattern;
mod rules;
mod selection;
mod walk;

pub use copy::{CopyError, CopyItem, CopyRequest, select};
pub use directory::{ContextDirectory, Forbidden};
pub use glob::{Glob, GlobError};
pub use ignore::{IgnoreError, IgnoreFile};
pub use modes::{FileMode, ModeKeyError, Modes};
pub use pattern::{PatternError, Patterns, Standing, Verdict};
pub use selection::{Landing, Selected, SelectedKind, Selection};
pub use walk::WalkError;
