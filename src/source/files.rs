//! The `files`, `dirs`, `symlinks` and `remove` sources: what the recipe itself says, entry by entry.

use crate::content::Content;
use crate::tree::{Entry, NamedDirectory, Origin, Owner, PlaceError, Placer, TreePath};

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
    placer.put(path, Entry::file(Content::inline(text.as_bytes()), mode, owner, origin)).map(|_| ())
}

/// Places a directory that the recipe names: that entry alone, new or not, and nothing of what it holds. What is not said
/// of one that exists stays; a new one is `usual`.
///
/// # Errors
/// Where it cannot stand there.
pub fn place_directory(
    placer: &mut Placer<'_>,
    path: &TreePath,
    mode: Option<u32>,
    owner: Option<Owner>,
    usual: (u32, Owner),
) -> Result<(), PlaceError> {
    let origin = Origin::new(format!("dirs {}", path.shown()));
    placer.named_directory(path, &NamedDirectory { mode, owner, usual, origin }).map(|_| ())
}

/// Places a symlink.
///
/// # Errors
/// Where it cannot stand there.
pub fn place_symlink(placer: &mut Placer<'_>, path: &TreePath, target: &[u8], owner: Owner) -> Result<(), PlaceError> {
    let origin = Origin::new(format!("symlinks {}", path.shown()));
    placer.put(path, Entry::symlink(target, owner, origin)).map(|_| ())
}

/// Deletes what the layers below have at a path, with all that it holds. A symlink is deleted itself, not what it leads to.
///
/// # Errors
/// Where nothing is there.
pub fn remove(placer: &mut Placer<'_>, path: &TreePath) -> Result<(), PlaceError> {
    placer.delete(path, Origin::new(format!("remove {}", path.shown()))).map(|_| ())
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
        let mut placer = Placer::new(&below, &mut tree, Owner::ROOT, Origin::new("test"));
        place_file(&mut placer, &path("share/motd"), "hello\n", 0o640, Owner::new(1, 2)).unwrap();
        place_directory(&mut placer, &path("usr"), Some(0o700), None, (0o755, Owner::new(1, 2))).unwrap();
        place_symlink(&mut placer, &path("bin/sh"), b"dash", Owner::ROOT).unwrap();
        remove(&mut placer, &path("share/doc")).unwrap();
        let found: Vec<String> = tree
            .iter()
            .map(|(path, entry)| format!("{path} {} {:o} {}", entry.kind.word(), entry.mode, entry.owner))
            .collect();
        assert_eq!(
            found,
            [
                "/bin directory 755 0:0",
                "/bin/sh symlink 777 0:0",
                "/usr directory 700 0:0",
                "/usr/share/doc deletion 0 0:0",
                "/usr/share/motd file 640 1:2"
            ]
        );
    }

    #[test]
    fn only_what_is_there_can_be_removed_and_not_what_the_layer_makes() {
        let below = base();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, Owner::ROOT, Origin::new("test"));
        let error = remove(&mut placer, &path("share/docs")).unwrap_err().to_string();
        assert!(error.contains("did you mean"), "{error}");
        assert!(remove(&mut placer, &path("")).is_err());
        place_file(&mut placer, &path("usr/share/doc/new"), "", 0o644, Owner::ROOT).unwrap();
        assert!(remove(&mut placer, &path("usr/share/doc")).is_err(), "a deletion and what it would delete");
    }
}
