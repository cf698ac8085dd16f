//! Putting entries into a layer so that the base stays intact (promise 4).
//!
//! Every source goes through here. A destination resolves through the symlinks of the layers below, inside the image's
//! root; directories that are below already keep their mode and owner; and what is below changes its kind only where the
//! recipe says `replace = true`.

use super::{Entry, FileTree, Kind, NodeKind, Owner, ResolveError, Rootfs, TreeError, TreePath};

/// Places entries of one layer on top of what is below it.
pub struct Placer<'a> {
    below: &'a Rootfs,
    tree: &'a mut FileTree,
    replace: bool,
    /// Mode and owner of parents that are new.
    parent_mode: u32,
    parent_owner: Owner,
}

/// Why an entry cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The destination leads nowhere in the base.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The layer's tree refuses it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl<'a> Placer<'a> {
    /// A placer into `tree`. `replace`: whether what is below may change its kind. New parents are 0755 of root unless
    /// [`Placer::parents`] says otherwise.
    pub fn new(below: &'a Rootfs, tree: &'a mut FileTree, replace: bool) -> Self {
        Placer { below, tree, replace, parent_mode: 0o755, parent_owner: Owner::ROOT }
    }

    /// With that mode and owner for parents that are new.
    #[must_use]
    pub fn parents(mut self, mode: u32, owner: Owner) -> Self {
        self.parent_mode = mode;
        self.parent_owner = owner;
        self
    }

    /// What is below the layer.
    pub fn below(&self) -> &Rootfs {
        self.below
    }

    /// The path that `path` means in the image: symlinks of the layers below are followed in all components but the last,
    /// and in the last where it leads to a directory.
    ///
    /// # Errors
    /// Where it leads round in circles or through a file.
    pub fn directory_path(&self, path: &TreePath) -> Result<TreePath, PlaceError> {
        let here = self.below.resolve_parent(path)?;
        let led_to = self.below.resolve(path)?;
        Ok(if self.below.is_directory(&led_to) { led_to } else { here })
    }

    /// Places an entry that came along with a copy, an archive or a package; gives the path where it stands. A directory
    /// that is below already stays as it is and is not written again. What stands in the layer under the same path must
    /// say the same.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn place(&mut self, path: &TreePath, mut entry: Entry) -> Result<TreePath, PlaceError> {
        if let Kind::Hardlink(target) = &entry.kind {
            entry.kind = Kind::Hardlink(self.below.resolve_parent(target)?);
        }
        let directory = matches!(entry.kind, Kind::Directory);
        let path = if directory { self.directory_path(path)? } else { self.below.resolve_parent(path)? };
        if path.is_root() {
            return match directory {
                true => Ok(path),
                false => Err(self.replaces(&path, &entry)),
            };
        }
        if directory && self.below.is_directory(&path) && !self.deletes(&path) {
            // Only what the layer itself says of it could contradict, and that is for the tree to tell.
            return Ok(path);
        }
        self.check_replaces(&path, &entry)?;
        self.insert(path, entry, false)
    }

    /// Places a directory that the recipe names: it is written, with its mode and owner, whether it is below or not. What
    /// it holds below stays.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn place_named(&mut self, path: &TreePath, entry: Entry) -> Result<TreePath, PlaceError> {
        let path = self.directory_path(path)?;
        if path.is_root() {
            // A layer has no entry for the root.
            return Err(self.replaces(&path, &entry));
        }
        self.check_replaces(&path, &entry)?;
        self.insert(path, entry, true)
    }

    /// Places a deletion; the path is taken as it is, and needs no parents, since what is deleted has them.
    ///
    /// # Errors
    /// Where the layer itself puts something there or below.
    pub fn place_deletion(&mut self, path: &TreePath, entry: Entry) -> Result<(), PlaceError> {
        Ok(self.tree.insert(path.clone(), entry)?)
    }

    fn insert(&mut self, path: TreePath, entry: Entry, named: bool) -> Result<TreePath, PlaceError> {
        let parent = Entry::directory(self.parent_mode, self.parent_owner, entry.origin.clone());
        self.tree.insert_parents(&path, self.below, &parent)?;
        match named {
            true => self.tree.insert_named(path.clone(), entry)?,
            false => self.tree.insert(path.clone(), entry)?,
        }
        Ok(path)
    }

    fn deletes(&self, path: &TreePath) -> bool {
        matches!(self.tree.get(path).map(|entry| &entry.kind), Some(Kind::Whiteout))
    }

    fn check_replaces(&self, path: &TreePath, entry: &Entry) -> Result<(), PlaceError> {
        let Some(node) = self.below.get(path).filter(|_| !self.replace) else { return Ok(()) };
        let fits = match (&node.kind, &entry.kind) {
            (NodeKind::Directory, Kind::Directory | Kind::Whiteout) => true,
            (_, Kind::Directory) | (NodeKind::Directory | NodeKind::Special, _) => false,
            (NodeKind::Symlink(target), Kind::Symlink(new)) if target == new => true,
            // A link to a directory is a way to many files; one to a file is as good as a file.
            (NodeKind::Symlink(_), Kind::File(_) | Kind::Hardlink(_) | Kind::Symlink(_)) => {
                !self.below.resolve(path).is_ok_and(|led_to| self.below.is_directory(&led_to))
            }
            _ => true,
        };
        if fits { Ok(()) } else { Err(self.replaces(path, entry)) }
    }

    fn replaces(&self, path: &TreePath, entry: &Entry) -> PlaceError {
        let below = match self.below.get(path).map(|node| &node.kind) {
            None | Some(NodeKind::Directory) => "a directory",
            Some(NodeKind::File(_)) => "a file",
            Some(NodeKind::Symlink(_)) => "a symlink",
            Some(NodeKind::Special) => "a device",
        };
        TreeError::Replaces { path: path.clone(), below: below.to_owned(), above: entry.describe() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Located, Node, Origin};
    use super::*;
    use crate::content::Content;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn node(kind: NodeKind, mode: u32) -> Node {
        Node { kind, mode, owner: Owner::ROOT }
    }

    /// A merged-usr base, as Debian's is.
    fn debian() -> Rootfs {
        let mut rootfs = Rootfs::new();
        for (directory, mode) in [("usr/lib", 0o755), ("run", 0o755), ("var", 0o755), ("tmp", 0o1777)] {
            rootfs.put(path(directory), node(NodeKind::Directory, mode));
        }
        for (link, target) in [("lib", "usr/lib"), ("var/run", "/run"), ("etc/alternatives/awk", "/usr/bin/mawk")] {
            rootfs.put(path(link), node(NodeKind::Symlink(target.as_bytes().into()), 0o777));
        }
        rootfs.put(path("etc/motd"), node(NodeKind::File(Located::Content(Content::inline(*b"hi"))), 0o644));
        rootfs
    }

    fn origin() -> Origin {
        Origin::new("test")
    }

    fn file() -> Entry {
        Entry::file(Content::inline(*b"x"), 0o644, Owner::new(7, 7), origin())
    }

    fn directory(mode: u32) -> Entry {
        Entry::directory(mode, Owner::new(7, 7), origin())
    }

    fn place(entries: &[(&str, Entry)], replace: bool) -> Result<Vec<String>, PlaceError> {
        let below = debian();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, replace).parents(0o750, Owner::new(9, 9));
        for (at, entry) in entries {
            placer.place(&path(at), entry.clone())?;
        }
        Ok(tree.iter().map(|(path, entry)| format!("{path} {:o} {}", entry.mode, entry.owner)).collect())
    }

    #[test]
    fn destinations_resolve_through_the_links_of_the_base() {
        assert_eq!(place(&[("lib/x", file())], false).unwrap(), ["/usr/lib/x 644 7:7"]);
        assert_eq!(place(&[("var/run/x", file())], false).unwrap(), ["/run/x 644 7:7"]);
        assert_eq!(place(&[("lib", directory(0o700)), ("lib/x", file())], false).unwrap(), ["/usr/lib/x 644 7:7"]);
        assert_eq!(
            place(&[("lib/new/deep/x", file())], false).unwrap(),
            ["/usr/lib/new 750 9:9", "/usr/lib/new/deep 750 9:9", "/usr/lib/new/deep/x 644 7:7"]
        );
    }

    #[test]
    fn what_exists_keeps_its_mode_and_owner() {
        assert_eq!(place(&[("tmp", directory(0o755)), ("tmp/x", file())], false).unwrap(), ["/tmp/x 644 7:7"]);
        let below = debian();
        let mut tree = FileTree::new();
        Placer::new(&below, &mut tree, false).place_named(&path("tmp"), directory(0o700)).unwrap();
        assert_eq!(tree.get(&path("tmp")).unwrap().mode, 0o700, "but the recipe may name it");
    }

    #[test]
    fn kinds_change_only_where_that_is_meant() {
        let link = Entry::symlink(*b"x", Owner::ROOT, origin());
        for (at, entry) in [
            ("usr", file()),
            ("etc/motd", directory(0o755)),
            ("lib", file()),
            ("lib", link.clone()),
            ("tmp", link.clone()),
            ("", file()),
        ] {
            let error = place(&[(at, entry.clone())], false).unwrap_err();
            assert!(error.to_string().contains("replace = true"), "{error}");
            assert_eq!(place(&[(at, entry)], true).is_ok(), !at.is_empty());
        }
        for (at, entry) in [
            ("etc/motd", file()),
            ("etc/motd", link),
            ("lib", Entry::symlink(*b"usr/lib", Owner::ROOT, origin())),
            ("etc/alternatives/awk", file()),
        ] {
            assert!(place(&[(at, entry)], false).is_ok(), "{at}");
        }
        assert!(matches!(place(&[("etc/motd/x", file())], false), Err(PlaceError::Resolve(_))));
    }

    #[test]
    fn hard_links_follow_their_targets() {
        let below = debian();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, false);
        placer.place(&path("lib/a"), file()).unwrap();
        let link = Entry { kind: Kind::Hardlink(path("lib/a")), ..file() };
        placer.place(&path("bin/b"), link).unwrap();
        tree.settle_links().unwrap();
        assert_eq!(tree.get(&path("usr/lib/a")).unwrap().kind, Kind::Hardlink(path("bin/b")));
    }
}
