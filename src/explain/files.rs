//! What became of a path, in a few words.

use std::fmt;

use crate::difference::Change;
use crate::shown::Shown;

/// A path that came, went, or is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The path, without a slash in front.
    pub path: String,
    /// What became of it.
    pub what: FileFate,
}

/// What became of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFate {
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// It is another: `contents`, `mode 0644 → 0755` and the like.
    Changed(Vec<String>),
}

impl FileChange {
    /// What became of that path.
    pub fn of(change: &Change) -> Self {
        let what = match (&change.first, &change.second) {
            (None, _) => FileFate::New,
            (_, None) => FileFate::Gone,
            _ => FileFate::Changed(change.how()),
        };
        let path = Shown::new(change.path.as_bytes()).bare().to_owned();
        FileChange { path, what }
    }
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileChange { path, what } = self;
        match what {
            FileFate::New => write!(f, "{path} is new"),
            FileFate::Gone => write!(f, "{path} is gone"),
            FileFate::Changed(how) if how[..] == ["contents"] => write!(f, "{path} changed"),
            FileFate::Changed(how) => write!(f, "{path} changed ({})", how.join(", ")),
        }
    }
}
