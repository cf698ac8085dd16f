//! The build context: what of it is chosen, and where it lands.

mod glob;
mod ignore;
mod pattern;

pub use glob::{Glob, GlobError};
pub use ignore::{IgnoreError, IgnoreFile};
pub use pattern::{PatternError, Patterns, Standing, Verdict};
