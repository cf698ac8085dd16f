//! What scripts remove: leftovers of older versions, which a fresh install does not have. Whether it has them is looked
//! up, in the lists of the packages when they are pinned and in the tree when it is made.

use crate::debian::deb::Deb;
use crate::debian::staging::Staging;
use crate::tree::{NodeKind, TreePath};

/// What is removed at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removed {
    /// A file or link.
    File,
    /// Whatever is there, with all below it.
    Tree,
    /// Some of what a directory holds.
    Inside,
    /// A directory, where nothing is in it.
    EmptyDirectory,
    /// Something in a directory of what passes, as `/run`: not part of an image, wherever links do not lead out of there.
    Passing,
}

/// A path that a script removes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    /// The script.
    pub script: &'static str,
    /// The path, from the root.
    pub path: TreePath,
    /// What of it.
    pub removed: Removed,
}

/// A directory of a merged `/usr` by its one name.
fn merged(path: &[u8]) -> &[u8] {
    let rest = path.strip_prefix(b"usr/").unwrap_or(path);
    match [&b"bin/"[..], b"sbin/", b"lib"].iter().any(|start| rest.starts_with(start)) {
        true => rest,
        false => path,
    }
}

impl Removal {
    /// Whether what is removed by a package is in the lists of this one.
    pub(super) fn is_of(&self, remover: &str, package: &Deb) -> bool {
        // What is done before the package's own files are there does not touch them.
        if matches!(self.removed, Removed::EmptyDirectory | Removed::Passing)
            || (self.script == "preinst" && remover == package.name)
        {
            return false;
        }
        let wanted = merged(self.path.as_bytes());
        let fits = |path: &[u8]| {
            let rest = merged(path).strip_prefix(wanted);
            rest.is_some_and(|rest| match self.removed {
                Removed::Inside => rest.starts_with(b"/"),
                Removed::Tree => rest.is_empty() || rest.starts_with(b"/"),
                Removed::File | Removed::EmptyDirectory | Removed::Passing => rest.is_empty(),
            })
        };
        let conffiles = package.conffiles().unwrap_or_default();
        package.lists(fits) == Some(true)
            || conffiles.iter().any(|conffile| !conffile.remove_on_upgrade && fits(conffile.path.as_bytes()))
            || package
                .members
                .iter()
                .any(|member| member.kind != crate::tar::MemberKind::Directory && fits(member.path.as_bytes()))
    }

    /// Whether a tree has what is removed.
    pub fn is_in(&self, staging: &Staging<'_>, own: &[TreePath]) -> bool {
        let view = staging.view();
        if self.removed == Removed::Passing {
            let passing = [&b"run"[..], b"tmp", b"var/run", b"var/tmp", b"var/cache"];
            let inside = |place: &TreePath| {
                let below = |start: &&[u8]| {
                    place.as_bytes().strip_prefix(*start).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
                };
                passing.iter().any(below)
            };
            // Where the directory is not there, nothing is.
            return view.resolve(&self.path).is_ok_and(|place| !inside(&place));
        }
        let Ok(place) = view.resolve_parent(&self.path) else { return false };
        let Some(node) = view.get(&place) else { return false };
        if self.script == "preinst" && own.iter().any(|path| view.resolve_parent(path).ok().as_ref() == Some(&place)) {
            return false;
        }
        match (self.removed, &node.kind) {
            (Removed::EmptyDirectory, NodeKind::Directory) => view.below(&place).next().is_none(),
            (Removed::Inside, NodeKind::Directory) => view.below(&place).next().is_some(),
            (Removed::Inside | Removed::EmptyDirectory, _) | (Removed::File, NodeKind::Directory) => false,
            _ => true,
        }
    }
}
