//! Where an entry comes from, for messages that name both sides of a conflict.

use std::fmt;
use std::sync::Arc;

/// The recipe item, package or archive behind an entry: a short text such as ``copy `common` ``. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin(Arc<str>);

impl Origin {
    /// An origin of that description.
    pub fn new(text: impl AsRef<str>) -> Self {
        Origin(text.as_ref().into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
