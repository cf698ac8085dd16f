//! The directory that a recipe copies from, opened once for all of its layers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::IgnoreFile;
use super::named::components;
use crate::host::HostRoot;

/// A path of the machine that must not get into an image: an output, the cache.
#[derive(Clone, Debug)]
pub struct Forbidden {
    /// The file or directory; it need not be there yet.
    pub path: PathBuf,
    /// What it is: `the output`, `the cache directory`.
    pub what: String,
}

/// The build context, with what is left out of it whatever is asked.
#[derive(Debug)]
pub struct ContextDirectory {
    /// The directory.
    pub(super) root: Arc<HostRoot>,
    /// Its ignore file.
    pub(super) ignore: IgnoreFile,
    /// What is left out unless an item names it, relative to the context.
    pub(super) unnamed: Vec<Vec<u8>>,
    /// What it is an error to copy, with its path relative to the context.
    pub(super) forbidden: Vec<(Vec<u8>, Forbidden)>,
}

impl ContextDirectory {
    /// A context. `unnamed` are the recipe, its lock, what commands write: left out unless an item names them, as `.git` is
    /// everywhere; `forbidden` it is an error to copy.
    pub fn new(root: Arc<HostRoot>, ignore: IgnoreFile, unnamed: &[PathBuf], forbidden: Vec<Forbidden>) -> Self {
        let real = std::fs::canonicalize(root.path()).unwrap_or_else(|_| root.path().to_path_buf());
        let unnamed = unnamed.iter().filter_map(|path| relative_to(&real, path)).collect();
        let forbidden = forbidden.into_iter().filter_map(|it| Some((relative_to(&real, &it.path)?, it))).collect();
        ContextDirectory { root, ignore, unnamed, forbidden }
    }
}

/// Where a path of the machine is, relative to a directory whose path has no symlinks; `None` where it is not below it.
/// What does not exist yet counts by its name.
fn relative_to(root: &Path, path: &Path) -> Option<Vec<u8>> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    let (above, canonical) = existing?;
    let whole = canonical.join(absolute.strip_prefix(above).ok()?);
    let relative = whole.strip_prefix(root).ok()?;
    let relative = components(relative.as_os_str().as_encoded_bytes()).collect::<Vec<_>>().join(&b'/');
    Some(relative)
}
