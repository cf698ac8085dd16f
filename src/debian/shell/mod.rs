//! The shell, as much of it as it takes to say what a maintainer script does: read into a tree, and gone through with
//! what is known of parameters on a fresh install. Nothing is ever run.
//!
//! ```text
//! text ─(parse)→ Script ─(walk)→ calls and files written to, as far as they can be reached
//! ```
//!
//! Both keep to one side: what is not understood is an error, what is not known may be anything, and where it is not
//! known which way a script takes, it takes both.

mod call;
mod expand;
mod parse;
mod scope;
mod syntax;
mod test;
#[cfg(test)]
mod tests;
mod walk;
mod word;

pub use parse::{SyntaxError, parse};
pub use scope::Field;
pub use syntax::{Dialect, Script};
pub use walk::{Call, Watch, walk};
pub use word::split;
