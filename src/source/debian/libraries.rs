//! What the whole tree of an image says about its libraries: the loader's cache, and whether what is needed is there.

use std::collections::BTreeSet;

use crate::debian::checks::{self, Missing};
use crate::debian::effects;
use crate::debian::staging::{Below, Staging, StagingError};
use crate::oci::Platform;
use crate::tree::{FileTree, Located, NodeKind, TreePath};

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

/// Asks of a view what [`check`] and [`ld_so_cache`] will ask of it once programs and libraries are on top of which nothing is
/// known yet, so that a lock has the answers: all libraries that the loader finds, what
/// writing its cache takes, and the interpreters that scripts usually name.
///
/// # Errors
/// Where a file cannot be read.
pub fn foresee(view: &Below<'_>, platform: &Platform) -> Result<(), StagingError> {
    let Some(architecture) = crate::debian::architecture(platform) else { return Ok(()) };
    let staging = Staging::on(view);
    let text = |path: &str| Ok::<_, StagingError>(staging.text(path).unwrap_or(None));
    for directory in effects::ld_so_cache::directories(view.rootfs, architecture, &text)? {
        let Ok(path) = TreePath::parse(&directory) else { continue };
        let Ok(place) = view.rootfs.resolve(&path) else { continue };
        let is_library =
            |path: &TreePath| path.file_name().is_some_and(|name| name.windows(3).any(|part| part == b".so"));
        let libraries = view.rootfs.children(&place).map(|(path, _)| path.clone());
        for library in libraries.filter(is_library).collect::<Vec<_>>() {
            // Where a link leads is asked, too. One that leads nowhere is none.
            let _ = view.rootfs.file(&library);
        }
    }
    checks::foresee_scripts(&staging);
    ld_so_cache(view, platform).map(drop)
}

/// What programs, libraries and scripts of this build's layers need and the image does not have (semantics 36). Files of
/// a base count as what is there; what they need themselves is the base's affair. Scripts of Debian's packages may name
/// what an image was meant to be without: their dependencies say what they need.
///
/// # Errors
/// Where a file cannot be read.
pub fn check(view: &Below<'_>, platform: &Platform) -> Result<Vec<Missing>, StagingError> {
    let (Some(architecture), Some(machine)) = (crate::debian::architecture(platform), platform.elf_machine()) else {
        return Ok(Vec::new());
    };
    let mut missing = checks::check(&Staging::on(view), architecture, machine)?;
    let packaged = packaged(view)?;
    missing.retain(|missing| match missing {
        Missing::Interpreter { file, .. } => !packaged.contains(file),
        Missing::Library { .. } | Missing::Machine { .. } => true,
    });
    Ok(missing)
}

/// The files of packages that this build unpacked, and dpkg's own copies of their scripts.
fn packaged(view: &Below<'_>) -> Result<BTreeSet<TreePath>, StagingError> {
    let mut files = BTreeSet::new();
    let staging = Staging::on(view);
    for (directory, end, skip) in
        [("var/lib/dpkg/info", &b".list"[..], 0), ("var/lib/dpkg/status.d", &b".md5sums"[..], 34)]
    {
        let directory = TreePath::parse(directory)?;
        for (path, node) in view.rootfs.on_top().filter(|(path, _)| path.strip_prefix(&directory).is_some()) {
            let NodeKind::File(located @ Located::Content(_)) = &node.kind else { continue };
            files.insert(path.clone());
            if !path.as_bytes().ends_with(end) {
                continue;
            }
            let list = staging.read_located(path, located)?;
            let lines = list.split(|byte| *byte == b'\n').filter_map(|line| line.get(skip..));
            for line in lines.filter(|line| !line.is_empty()) {
                // A list names what its package ships, which may be reached through a merged `/usr`.
                if let Ok(file) = TreePath::parse(line)
                    && let Ok(file) = view.rootfs.resolve_parent(&file)
                {
                    files.insert(file);
                }
            }
        }
    }
    Ok(files)
}
