//! The `files`, `dirs`, `symlinks` and `remove` sources: what the recipe itself says, entry by entry.

use crate::content::Content;
use crate::nearest::nearest;
use crate::tree::{Entry, Kind, Origin, Owner, PlaceError, Placer, TreePath};

/// Places a file with a text of the recipe.
///
/// # Errors
/// Where it cannot stand there.
pub fn place_file(
    placer: &mut Placer<'_>,
    path: &TreePath,
    text: &str,
    mode: u32,
    owner: Owner,
) -> Result<(), PlaceError> {
    let origin = Origin::new(format!("files {}", path.shown()));
    placer.place(path, Entry::file(Content::inline(text.as_bytes()), mode, owner, origin)).map(|_| ())
}

/// Places a directory that the recipe names: that entry alone, new or not, and nothing of what it holds.
///
/// # Errors
/// Where it cannot stand there.
pub fn place_directory(placer: &mut Placer<'_>, path: &TreePath, mode: u32, owner: Owner) -> Result<(), PlaceError> {
    let origin = Origin::new(format!("dirs {}", path.shown()));
    placer.place_named(path, Entry::directory(mode, owner, origin)).map(|_| ())
}

/// Places a symlink.
///
/// # Errors
/// Where it cannot stand there.
pub fn place_symlink(placer: &mut Placer<'_>, path: &TreePath, target: &[u8], owner: Owner) -> Result<(), PlaceError> {
    let origin = Origin::new(format!("symlinks {}", path.shown()));
    placer.place(path, Entry::symlink(target, owner, origin)).map(|_| ())
}

/// Why something cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is not there.
    #[error("{path} is not in the layers below, so there is nothing to remove{}", hint(.near))]
    Absent {
        /// What should go.
        path: TreePath,
        /// What was probably meant.
        near: Option<String>,
    },
    /// It cannot be told in the layer.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

fn hint(near: &Option<String>) -> String {
    crate::nearest::hint(near.as_deref())
}

/// Deletes what the layers below have at a path, with all that it holds. A symlink is deleted itself, not what it leads to.
///
/// # Errors
/// Where nothing is there.
pub fn remove(placer: &mut Placer<'_>, path: &TreePath) -> Result<(), RemoveError> {
    let below = placer.below();
    let resolved = below.resolve_parent(path).map_err(PlaceError::from)?;
    if resolved.is_root() || below.get(&resolved).is_none() {
        let parent = resolved.parent().unwrap_or_default();
        let neighbours: Vec<String> = below
            .below(&parent)
            .filter(|(candidate, _)| candidate.parent().as_ref() == Some(&parent))
            .map(|(candidate, _)| candidate.to_string())
            .collect();
        let near = nearest(&resolved.to_string(), neighbours.iter().map(String::as_str)).map(str::to_owned);
        return Err(RemoveError::Absent { path: path.clone(), near });
    }
    let origin = Origin::new(format!("remove {}", path.shown()));
    let entry = Entry { kind: Kind::Whiteout, ..Entry::directory(0, Owner::ROOT, origin) };
    placer.place_deletion(&resolved, entry)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileTree, Node, NodeKind, Rootfs};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn base() -> Rootfs {
        let mut rootfs = Rootfs::new();
        let node = |kind| Node { kind, mode: 0o755, owner: Owner::ROOT };
        rootfs.put(path("usr/share/doc/x"), node(NodeKind::Directory));
        rootfs.put(path("share"), node(NodeKind::Symlink((*b"usr/share").into())));
        rootfs
    }

    #[test]
    fn each_lands_where_it_should() {
        let below = base();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, false);
        place_file(&mut placer, &path("share/motd"), "hello\n", 0o640, Owner::new(1, 2)).unwrap();
        place_directory(&mut placer, &path("usr"), 0o700, Owner::new(1, 2)).unwrap();
        place_symlink(&mut placer, &path("bin/sh"), b"dash", Owner::ROOT).unwrap();
        remove(&mut placer, &path("share/doc")).unwrap();
        let found: Vec<String> =
            tree.iter().map(|(path, entry)| format!("{path} {} {:o}", entry.kind.word(), entry.mode)).collect();
        assert_eq!(
            found,
            [
                "/bin directory 755",
                "/bin/sh symlink 777",
                "/usr directory 700",
                "/usr/share/doc deletion 0",
                "/usr/share/motd file 640"
            ]
        );
    }

    #[test]
    fn only_what_is_there_can_be_removed_and_not_what_the_layer_makes() {
        let below = base();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, false);
        let error = remove(&mut placer, &path("share/docs")).unwrap_err().to_string();
        assert!(error.contains("did you mean `/usr/share/doc`?"), "{error}");
        assert!(remove(&mut placer, &path("")).is_err());
        place_file(&mut placer, &path("usr/share/doc/new"), "", 0o644, Owner::ROOT).unwrap();
        assert!(remove(&mut placer, &path("usr/share/doc")).is_err(), "a deletion and what it would delete");
    }
}
