//! What the whole tree of an image says about its libraries: the loader's cache, and whether what is needed is there.

use crate::debian::checks::{self, Missing};
use crate::debian::effects;
use crate::debian::staging::{Below, Staging, StagingError};
use crate::oci::Platform;
use crate::tree::{FileTree, TreePath};

/// `/etc/ld.so.cache` for an image as it is in the end, as a tree of that one file: where the image has one and layers of
/// this build bring or hide libraries that it does not tell of. Files of a base are not read: what its cache says of them
/// holds.
///
/// # Errors
/// Where a file cannot be read.
pub fn ld_so_cache(view: &Below<'_>, platform: &Platform) -> Result<Option<FileTree>, StagingError> {
    let Some(architecture) = crate::debian::architecture(platform) else { return Ok(None) };
    let cache = TreePath::parse("etc/ld.so.cache")?;
    if !matches!(view.rootfs.file(&cache), Ok(Some(_))) {
        return Ok(None);
    }
    let mut staging = Staging::on(view);
    effects::ld_so_cache::apply(&mut staging, architecture)?;
    let tree = staging.into_tree(view.rootfs)?;
    Ok((!tree.is_empty()).then_some(tree))
}

/// What programs, libraries and scripts of this build's layers need and the image does not have (semantics 36). Files of
/// a base count as what is there; what they need themselves is the base's affair.
///
/// # Errors
/// Where a file cannot be read.
pub fn check(view: &Below<'_>, platform: &Platform) -> Result<Vec<Missing>, StagingError> {
    match (crate::debian::architecture(platform), platform.elf_machine()) {
        (Some(architecture), Some(machine)) => checks::check(&Staging::on(view), architecture, machine),
        _ => Ok(Vec::new()),
    }
}
