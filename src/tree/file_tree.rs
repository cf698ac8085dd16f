//! The tree of one layer: what it adds, changes and deletes.

use std::collections::BTreeMap;

use super::rootfs::{Seen, SeenKind};
use super::sorted::Sorted;
use super::{Capabilities, Entry, Kind, Origin, PathError, Rootfs, TreePath};

/// The entries of a layer in byte order of path, each path once, parents before what they hold.
///
/// The order of insertion decides nothing but which of two sources gives a parent that nobody named its owner (the first).
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    entries: Sorted<Placed>,
    /// About how many bytes of memory the entries take, without contents.
    weight: u64,
    /// A directory of this tree, that of the last entry: entries of one directory mostly come together.
    directory: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct Placed {
    entry: Entry,
    weight: Weight,
}

/// Which of two statements about one directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A parent that nobody named.
    Implied,
    /// Came along with a copy, an archive, a package.
    Found,
    /// The recipe names it.
    Named,
}

/// The most memory, in bytes, that the entries of one layer may take, contents aside: some two million files.
const MAX_WEIGHT: u64 = 512 << 20;

/// Why an entry cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Two sources of one layer say different things about one path.
    #[error("{path} comes from two sources with different contents: {first}, and {second}")]
    Conflict {
        /// The path.
        path: TreePath,
        /// What is there.
        first: String,
        /// What should be put there.
        second: String,
    },
    /// Something is to be put below what is no directory in the same layer.
    #[error("{path} ({below}) cannot be placed below {holder}, which is {what}")]
    BelowNonDirectory {
        /// The path.
        path: TreePath,
        /// Where it comes from.
        below: String,
        /// The path above it.
        holder: TreePath,
        /// What stands there.
        what: String,
    },
    /// A directory of the base would become something else, or the other way round.
    #[error(
        "{path} is {below} in the base, and {above} would take its place: write `replace = true` in the layer if that is meant"
    )]
    Replaces {
        /// The path.
        path: TreePath,
        /// What the base has there.
        below: String,
        /// What should be put there.
        above: String,
    },
    /// More entries, or deeper ones, than can be taken in.
    #[error(
        "the layer holds more files and directories, or deeper ones, than can be taken in ({path} is one too many)"
    )]
    TooLarge {
        /// The entry that was one too many.
        path: TreePath,
    },
    /// A hard link's target is not a file of the same layer.
    #[error("{path} is a hard link to {target}, which is no file of the same layer")]
    Link {
        /// The link.
        path: TreePath,
        /// Its target.
        target: TreePath,
    },
    /// The name cannot stand in a layer.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl FileTree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries in byte order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter().map(|(path, placed)| (path, &placed.entry))
    }

    /// The entry at that path.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path).map(|placed| &placed.entry)
    }

    /// The entry at a path that is one of a tree.
    pub(super) fn get_at(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get_key_value(path).map(|(_, placed)| &placed.entry)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry that came along with a copy, an archive or a package. The path is taken as it is: see
    /// [`super::Rootfs::resolve`] for paths that lead through the symlinks of a base.
    ///
    /// # Errors
    /// [`TreeError`] where the path is taken by something else, or lies below what is no directory.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        self.put(path, entry, Weight::Found)
    }

    /// Adds a directory that the recipe names: it holds against one that merely came along.
    ///
    /// # Errors
    /// As [`FileTree::insert`].
    pub fn insert_named(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        self.put(path, entry, Weight::Named)
    }

    /// Adds the directories above `path` that are neither in this tree nor in `below`, with the mode and owner that
    /// `like` gives.
    ///
    /// # Errors
    /// As [`FileTree::insert`].
    pub fn insert_parents(&mut self, path: &TreePath, below: &Rootfs, like: &Entry) -> Result<(), TreeError> {
        if self.is_at_hand(path) {
            return Ok(());
        }
        // From the innermost outwards: with the first that exists, all above it do.
        let mut missing = Vec::new();
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|directory| !directory.is_root()) {
            // What stands there and is no directory is for `put` to refuse, with both sides named.
            if self.entries.contains(&directory) || below.is_directory(&directory) {
                break;
            }
            parent = directory.parent();
            missing.push(directory);
        }
        // The outermost first: each finds the one that holds it at once.
        missing.into_iter().rev().try_for_each(|directory| self.put(directory, like.clone(), Weight::Implied))
    }

    /// Says again what the directories of `below` are that hold what this tree writes or deletes, and so changes nothing of
    /// them: whoever unpacks a layer alone makes a parent that it does not have anew, root's and 0755, and that would hide the
    /// one below. To be done when everything else is in the tree.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`].
    pub fn repeat_parents(&mut self, below: &Rootfs) -> Result<(), TreeError> {
        let origin = Origin::new("the layers below");
        let mut parents: BTreeMap<TreePath, Entry> = BTreeMap::new();
        let mut last: Option<&[u8]> = None;
        for (path, _) in self.entries.iter() {
            // Its neighbour had the same.
            let holder = path.parent_bytes();
            if last.replace(holder) == Some(holder) {
                continue;
            }
            // What is in the tree has its own turn for what is above it.
            let mut parent = path.parent();
            while let Some(directory) = parent.filter(|directory| {
                !directory.is_root() && !self.entries.contains(directory) && !parents.contains_key(directory)
            }) {
                parent = directory.parent();
                if let Some(Seen { kind: SeenKind::Directory, mode, owner }) = below.see(&directory) {
                    parents.insert(directory, Entry::directory(mode, owner, origin.clone()));
                }
            }
        }
        for (path, entry) in parents {
            self.put(path, entry, Weight::Implied)?;
        }
        Ok(())
    }

    fn put(&mut self, path: TreePath, entry: Entry, weight: Weight) -> Result<(), TreeError> {
        if self.is_at_hand(&path) {
            path.refuse_whiteout_name()?;
            if self.is_free(&path) {
                return self.add(path, entry, weight);
            }
        }
        path.refuse_whiteout()?;
        // The innermost that is there tells: nothing lies below what is no directory, so all above it are directories.
        let slashes = path.as_bytes().iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        let mut above = slashes.map(|(end, _)| &path.as_bytes()[..end]);
        if let Some((above, holder)) = above.find_map(|above| self.entries.get_key_value(above)) {
            if !matches!(holder.entry.kind, Kind::Directory) {
                return Err(TreeError::BelowNonDirectory {
                    below: entry.origin.to_string(),
                    what: holder.entry.describe(),
                    holder: above.clone(),
                    path: path.clone(),
                });
            }
            if above.as_bytes() == path.parent_bytes() {
                self.directory = above.as_bytes().into();
            }
        }
        if !matches!(entry.kind, Kind::Directory)
            && let Some((below, placed)) = self.below(&path).next()
        {
            return Err(TreeError::BelowNonDirectory {
                path: below.clone(),
                below: placed.entry.origin.to_string(),
                what: entry.describe(),
                holder: path.clone(),
            });
        }
        let Some(there) = self.entries.get_mut(&path) else { return self.add(path, entry, weight) };
        let both_directories = matches!((&there.entry.kind, &entry.kind), (Kind::Directory, Kind::Directory));
        if both_directories && there.weight != weight {
            if weight > there.weight {
                *there = Placed { entry, weight };
            }
            return Ok(());
        }
        if there.entry.same_as(&entry) || (both_directories && weight == Weight::Implied) {
            return Ok(());
        }
        Err(TreeError::Conflict { first: there.entry.describe(), second: entry.describe(), path })
    }

    /// Adds what is not there.
    fn add(&mut self, path: TreePath, entry: Entry, weight: Weight) -> Result<(), TreeError> {
        // One deep path stands for hundreds of directories that nobody wrote down.
        let times = if weight == Weight::Implied { 8 } else { 1 };
        self.weight += (size_of::<Placed>() + size_of::<TreePath>() + path.as_bytes().len() * times) as u64;
        if self.weight > MAX_WEIGHT {
            return Err(TreeError::TooLarge { path });
        }
        self.entries.insert(path, Placed { entry, weight });
        Ok(())
    }

    /// Whether the path lies in the directory of the last entry, itself and not deeper.
    fn is_at_hand(&self, path: &TreePath) -> bool {
        !self.directory.is_empty() && *self.directory == *path.parent_bytes()
    }

    /// Whether it is plain that nothing is at or below that path: what is would begin as it does, and come next.
    fn is_free(&self, path: &TreePath) -> bool {
        if self.entries.is_after_all(path) {
            return true;
        }
        let next = self.entries.from(path.as_bytes()).next();
        next.is_none_or(|(next, _)| !next.as_bytes().starts_with(path.as_bytes()))
    }

    /// What lies below that path.
    fn below(&self, path: &TreePath) -> impl Iterator<Item = (&TreePath, &Placed)> {
        let prefix = [path.as_bytes(), b"/"].concat();
        self.entries.from(&prefix).take_while(move |(candidate, _)| candidate.as_bytes().starts_with(&prefix))
    }

    /// Whether anything lies below that path.
    pub fn holds_below(&self, path: &TreePath) -> bool {
        self.below(path).next().is_some()
    }

    /// The tree of some entries of this one, with those above them.
    #[must_use]
    pub fn part<'a>(&self, paths: impl IntoIterator<Item = &'a TreePath>) -> FileTree {
        let mut part = FileTree { weight: self.weight, ..FileTree::default() };
        for path in paths {
            let above = path.ancestors().filter(|above| !part.entries.contains(above)).collect::<Vec<_>>();
            for path in above.into_iter().chain([path.clone()]) {
                if let Some(placed) = self.entries.get(&path) {
                    part.entries.insert(path, placed.clone());
                }
            }
        }
        part
    }

    /// Puts another tree over this one: what it has takes the place of what is here at the same paths.
    ///
    /// # Errors
    /// As [`FileTree::insert`], where one has a file and the other something below it.
    pub fn overlay(&mut self, on_top: FileTree) -> Result<(), TreeError> {
        for (path, placed) in on_top.entries {
            self.entries.remove(&path);
            self.directory = Box::default();
            self.put(path, placed.entry, placed.weight)?;
        }
        Ok(())
    }

    /// Gives a file of this tree capabilities; `false` where there is no such file.
    pub fn set_capabilities(&mut self, path: &TreePath, capabilities: &Capabilities) -> bool {
        match self.entries.get_mut(path) {
            Some(Placed { entry: entry @ Entry { kind: Kind::File(_), .. }, .. }) => {
                entry.capabilities = Some(capabilities.clone());
                true
            }
            _ => false,
        }
    }

    /// Makes the first name of each linked file, in byte order, the file, and all others links to it: a link then never
    /// stands before its target, whatever the order in which an archive had them.
    ///
    /// # Errors
    /// [`TreeError::Link`] where a link's target is no file of this tree.
    pub fn settle_links(&mut self) -> Result<(), TreeError> {
        let mut names: BTreeMap<TreePath, Vec<TreePath>> = BTreeMap::new();
        for (path, entry) in self.iter() {
            if let Kind::Hardlink(first) = &entry.kind {
                let target = self.link_target(path, first)?;
                names.entry(target).or_default().push(path.clone());
            }
        }
        for (target, links) in names {
            let first = links.iter().min().filter(|first| **first < target).unwrap_or(&target).clone();
            // All names of a file share mode, owner and contents: those of the target hold.
            let Some(file) = self.get(&target).cloned() else { continue };
            for name in links.iter().chain([&target]) {
                let kind = if *name == first { file.kind.clone() } else { Kind::Hardlink(first.clone()) };
                if let Some(placed) = self.entries.get_mut(name) {
                    let origin = placed.entry.origin.clone();
                    placed.entry = Entry { kind, origin, ..file.clone() };
                }
            }
        }
        Ok(())
    }

    /// The file that a link means in the end.
    fn link_target(&self, link: &TreePath, first: &TreePath) -> Result<TreePath, TreeError> {
        let mut target = first;
        for _ in 0..40 {
            match self.get(target).map(|entry| &entry.kind) {
                Some(Kind::File(_)) => return Ok(target.clone()),
                Some(Kind::Hardlink(next)) => target = next,
                _ => break,
            }
        }
        Err(TreeError::Link { path: link.clone(), target: target.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Owner;
    use super::super::{Node, NodeKind};
    use super::*;
    use crate::content::Content;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn file(text: &'static str, origin: &str) -> Entry {
        Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, Origin::new(origin))
    }

    fn directory(mode: u32) -> Entry {
        Entry::directory(mode, Owner::ROOT, Origin::new("test"))
    }

    #[test]
    fn conflicts_name_both_sources() {
        let mut tree = FileTree::new();
        tree.insert(path("etc/x"), file("a", "copy `one`")).unwrap();
        tree.insert(path("etc/x"), file("a", "copy `two`")).unwrap();
        let error = tree.insert(path("etc/x"), file("b", "copy `three`")).unwrap_err().to_string();
        assert!(error.contains("copy `one`") && error.contains("copy `three`"), "{error}");
    }

    #[test]
    fn nothing_lies_below_what_is_no_directory() {
        let mut tree = FileTree::new();
        tree.insert(path("a"), Entry::symlink(*b"b", Owner::ROOT, Origin::new("symlinks"))).unwrap();
        assert!(matches!(tree.insert(path("a/x"), file("", "t")), Err(TreeError::BelowNonDirectory { .. })));
        tree.insert(path("b/c/x"), file("", "t")).unwrap();
        tree.insert(path("b-c"), file("", "t")).unwrap();
        assert!(matches!(tree.insert(path("b"), file("", "t")), Err(TreeError::BelowNonDirectory { .. })));
        assert!(matches!(tree.insert(path("b/.wh.x"), file("", "t")), Err(TreeError::Path(_))));
    }

    #[test]
    fn promise_4_parents_of_below_are_said_again() {
        let mut below = Rootfs::new();
        for (at, mode, owner) in [
            ("tmp", 0o1777, Owner::ROOT),
            ("app", 0o750, Owner::new(10001, 10001)),
            ("app/data", 0o2770, Owner::new(10001, 50)),
            ("srv", 0o711, Owner::ROOT),
        ] {
            below.put(path(at), Node { kind: NodeKind::Directory, mode, owner });
        }
        let mut tree = FileTree::new();
        tree.insert(path("app/data/x/y"), file("y", "copy")).unwrap();
        tree.insert_parents(&path("app/data/x/y"), &below, &directory(0o700)).unwrap();
        tree.insert(path("app/z"), Entry { kind: Kind::Hardlink(path("app/data/x/y")), ..file("", "deb") }).unwrap();
        tree.insert(path("tmp/gone"), Entry { kind: Kind::Whiteout, ..directory(0) }).unwrap();
        tree.insert_named(path("srv"), directory(0o755)).unwrap();
        tree.insert(path("srv/x"), file("x", "copy")).unwrap();
        tree.insert(path("top"), file("", "copy")).unwrap();
        for _ in 0..2 {
            tree.repeat_parents(&below).unwrap();
            let line = |(path, entry): (&TreePath, &Entry)| {
                format!("{} {path} {:o} {}", entry.kind.word(), entry.mode, entry.owner)
            };
            insta::allow_duplicates! {
                insta::assert_snapshot!(tree.iter().map(line).collect::<Vec<_>>().join("\n"), @r"
                directory /app 750 10001:10001
                directory /app/data 2770 10001:50
                directory /app/data/x 700 0:0
                file /app/data/x/y 644 0:0
                hard link /app/z 644 0:0
                directory /srv 755 0:0
                file /srv/x 644 0:0
                directory /tmp 1777 0:0
                deletion /tmp/gone 0 0:0
                file /top 644 0:0
                ");
            }
        }
        let mut nothing = FileTree::new();
        nothing.repeat_parents(&below).unwrap();
        assert!(nothing.is_empty());
    }

    #[test]
    fn what_is_named_holds_over_what_came_along() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let mut tree = FileTree::new();
            for step in order {
                match step {
                    0 => tree.insert_parents(&path("d/x"), &Rootfs::new(), &directory(0o755)).unwrap(),
                    1 => tree.insert(path("d"), directory(0o750)).unwrap(),
                    _ => tree.insert_named(path("d"), directory(0o700)).unwrap(),
                }
            }
            assert_eq!(tree.get(&path("d")).unwrap().mode, 0o700);
        }
        let mut tree = FileTree::new();
        tree.insert(path("d"), directory(0o750)).unwrap();
        assert!(tree.insert(path("d"), directory(0o755)).is_err());
    }

    #[test]
    fn the_first_name_of_a_linked_file_is_the_file() {
        let mut tree = FileTree::new();
        let link = |target: &str| Entry { kind: Kind::Hardlink(path(target)), ..directory(0) };
        tree.insert(path("z"), file("text", "deb")).unwrap();
        tree.insert(path("m"), link("z")).unwrap();
        tree.insert(path("b"), link("m")).unwrap();
        tree.settle_links().unwrap();
        assert!(matches!(tree.get(&path("b")).unwrap().kind, Kind::File(_)));
        for name in ["m", "z"] {
            let entry = tree.get(&path(name)).unwrap();
            assert_eq!((&entry.kind, entry.mode), (&Kind::Hardlink(path("b")), 0o644));
        }
        for (name, target) in [("self", "self"), ("gone", "nowhere")] {
            let mut tree = FileTree::new();
            tree.insert(path(name), link(target)).unwrap();
            assert!(matches!(tree.settle_links(), Err(TreeError::Link { .. })));
        }
    }
}
