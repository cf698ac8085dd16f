//! The build context: what of it is chosen, and where it lands.

mod glob;
mod pattern;

pub use glob::{Glob, GlobError};
pub use pattern::{PatternError, Patterns, Standing, Verdict};
