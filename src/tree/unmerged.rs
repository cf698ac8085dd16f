//! Layers that lie on a merged view and are not merged into it: what stands at one path is asked of them far more often than
//! what all of them together look like.

use std::sync::{Arc, OnceLock};

use super::{Entry, FileTree, Kind, Rootfs, TreePath, known};

/// Trees of layers, the lowest first, each with every directory above what it puts or deletes ([`FileTree::repeat_parents`]).
#[derive(Clone, Debug, Default)]
pub(super) struct Unmerged {
    trees: Vec<Arc<FileTree>>,
    /// The view with all of them, once somebody needed it; shared by all who have just the same.
    merged: Arc<OnceLock<Box<Rootfs>>>,
}

/// Of more trees, each path would be looked for in too many.
const MOST: usize = 8;

/// What the trees say of a path.
pub(super) enum Says<'a> {
    /// Nothing: what is below them holds.
    Nothing,
    /// That there is nothing.
    Gone,
    /// That it is this: no deletion, and no hard link.
    Entry(&'a Entry),
}

impl Unmerged {
    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Whether one more is to find the others merged in.
    pub(super) fn is_full(&self) -> bool {
        self.trees.len() >= MOST
    }

    pub(super) fn trees(&self) -> &[Arc<FileTree>] {
        &self.trees
    }

    pub(super) fn push(&mut self, tree: Arc<FileTree>) {
        self.trees.push(tree);
        self.forget();
    }

    /// What they lie on is not what it was.
    pub(super) fn forget(&mut self) {
        self.merged = Arc::default();
    }

    /// The view with all of them, where somebody needed it before.
    pub(super) fn known_merged(&self) -> Option<&Rootfs> {
        self.merged.get().map(|view| &**view)
    }

    /// The view with all of them; `merge` is called once.
    pub(super) fn merged(&self, merge: impl FnOnce() -> Rootfs) -> &Rootfs {
        self.merged.get_or_init(|| Box::new(merge()))
    }

    /// The topmost word about a path.
    pub(super) fn say(&self, path: &TreePath) -> Says<'_> {
        let words = self.trees.iter().rev().map(|tree| say(tree, path));
        words.into_iter().find(|says| !matches!(says, Says::Nothing)).unwrap_or(Says::Nothing)
    }
}

fn say<'a>(tree: &'a FileTree, path: &TreePath) -> Says<'a> {
    match tree.get(path) {
        Some(Entry { kind: Kind::Whiteout, .. }) => return Says::Gone,
        // A hard link is what it leads to; one that leads nowhere puts nothing.
        Some(Entry { kind: Kind::Hardlink(target), .. }) => return tree.get(target).map_or(Says::Nothing, Says::Entry),
        Some(entry) => return Says::Entry(entry),
        None => {}
    }
    if matches!(tree.get_at(path.parent_bytes()), Some(Entry { kind: Kind::Directory, .. })) {
        return Says::Nothing;
    }
    // Below what a tree does not have, it has nothing.
    for above in known::prefixes(path.parent_bytes()) {
        match tree.get_at(above) {
            Some(Entry { kind: Kind::Directory, .. }) => {}
            Some(_) => return Says::Gone,
            None => break,
        }
    }
    Says::Nothing
}
