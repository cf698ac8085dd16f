//! A part of a tree: what is known of the lower layers of an image while they are not read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Node, NodeKind, TreePath};
use crate::content::Content;
use crate::elf::Head;

/// Paths of which it is known what stands there, or that nothing does.
///
/// It hangs together: above a known path all directories are known, up to the root; nothing is said of what lies below a
/// file or an absent path, since nothing can.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    nodes: BTreeMap<TreePath, Node>,
    absent: BTreeSet<TreePath>,
    complete: BTreeSet<TreePath>,
    contents: BTreeMap<TreePath, Content>,
    heads: BTreeMap<TreePath, Option<Head>>,
    names: BTreeSet<Vec<u8>>,
    unsaid: BTreeMap<TreePath, &'static str>,
}

/// Statements about a tree that cannot all be true, or that say a thing twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {why}")]
pub struct Contradiction {
    /// Of what path.
    pub path: TreePath,
    /// What is wrong there.
    pub why: &'static str,
}

/// What is known of one path.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Present,
    Absent,
    Unknown,
}

impl Known {
    /// Puts statements together: what stands where, which paths are absent, and of which directories everything that they
    /// hold (themselves, not deeper) is among `nodes`.
    ///
    /// # Errors
    /// [`Contradiction`] where they do not hang together.
    pub fn new(
        nodes: BTreeMap<TreePath, Node>,
        absent: BTreeSet<TreePath>,
        complete: BTreeSet<TreePath>,
    ) -> Result<Self, Contradiction> {
        let known = Known { nodes, absent, complete, ..Known::default() };
        let wrong = |path: &TreePath, why| Err(Contradiction { path: path.clone(), why });
        for path in known.nodes.keys().chain(&known.absent) {
            let Some(parent) = path.parent() else { return wrong(path, "is the root, of which nothing is to be said") };
            if !known.is_directory(&parent) {
                return wrong(path, "lies below what is not known as a directory");
            }
        }
        for path in &known.absent {
            if known.nodes.contains_key(path) {
                return wrong(path, "is said to be there, and not to be there");
            }
            if path.parent().is_some_and(|parent| known.complete.contains(&parent)) {
                return wrong(path, "is said to be absent twice");
            }
        }
        match known.complete.iter().find(|path| !known.is_directory(path)) {
            Some(path) => wrong(path, "is said to hold something, and is not known as a directory"),
            None => Ok(known),
        }
    }

    /// The same, with what files hold, by their paths. Of what is no known file nothing is taken.
    #[must_use]
    pub fn with_contents(mut self, contents: BTreeMap<TreePath, Content>) -> Self {
        let is_file = |path: &TreePath| matches!(self.nodes.get(path), Some(Node { kind: NodeKind::File(_), .. }));
        self.contents = contents.into_iter().filter(|(path, _)| is_file(path)).collect();
        self
    }

    /// The same, with what files say of themselves as libraries, by their paths: `None` of one that is no ELF file. Of what
    /// is no known file nothing is taken.
    #[must_use]
    pub fn with_heads(mut self, heads: BTreeMap<TreePath, Option<Head>>) -> Self {
        let is_file = |path: &TreePath| matches!(self.nodes.get(path), Some(Node { kind: NodeKind::File(_), .. }));
        self.heads = heads.into_iter().filter(|(path, _)| is_file(path)).collect();
        self
    }

    /// The same, with names of which all files and symlinks that have them are among the nodes, wherever they are.
    #[must_use]
    pub fn with_names(mut self, names: BTreeSet<Vec<u8>>) -> Self {
        self.names = names;
        self
    }

    /// The same, with what was asked and takes too much to tell, and why: whoever asks it looks at the tree itself.
    #[must_use]
    pub fn with_unsaid(mut self, unsaid: BTreeMap<TreePath, &'static str>) -> Self {
        self.unsaid = unsaid;
        self
    }

    /// What was asked and is not told, and why.
    pub fn unsaid(&self) -> &BTreeMap<TreePath, &'static str> {
        &self.unsaid
    }

    /// What files hold of which more than their length is known, beside what their nodes say.
    pub fn contents(&self) -> &BTreeMap<TreePath, Content> {
        &self.contents
    }

    /// What files say of themselves as libraries; `None` of one that is no ELF file.
    pub fn heads(&self) -> &BTreeMap<TreePath, Option<Head>> {
        &self.heads
    }

    /// Names of which all files and symlinks are known.
    pub fn names(&self) -> &BTreeSet<Vec<u8>> {
        &self.names
    }

    /// What stands where, in byte order.
    pub fn nodes(&self) -> &BTreeMap<TreePath, Node> {
        &self.nodes
    }

    /// What stands where, to be said in other words.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = (&TreePath, &mut Node)> {
        self.nodes.iter_mut()
    }

    /// Where nothing is.
    pub fn absent(&self) -> &BTreeSet<TreePath> {
        &self.absent
    }

    /// Directories of which all that they hold is known by name.
    pub fn complete(&self) -> &BTreeSet<TreePath> {
        &self.complete
    }

    fn is_directory(&self, path: &TreePath) -> bool {
        path.is_root() || matches!(self.nodes.get(path), Some(Node { kind: NodeKind::Directory, .. }))
    }

    pub(super) fn answer(&self, path: &TreePath) -> Answer {
        if path.is_root() || self.nodes.contains_key(path) {
            return Answer::Present;
        }
        for at in prefixes(path.as_bytes()) {
            match self.nodes.get(at) {
                Some(Node { kind: NodeKind::Directory, .. }) => continue,
                // Nothing lies below it.
                Some(_) => return Answer::Absent,
                None if self.absent.contains(at) || self.complete.contains(parent(at)) => return Answer::Absent,
                None => return Answer::Unknown,
            }
        }
        Answer::Unknown
    }

    /// Whether everything below a path is known. `apart` says of which directories it plays no part what they hold.
    pub(super) fn knows_below(&self, path: &TreePath, apart: &dyn Fn(&TreePath) -> bool) -> bool {
        if !self.is_directory(path) {
            return self.answer(path) != Answer::Unknown;
        }
        let mut todo = vec![path.clone()];
        while let Some(directory) = todo.pop() {
            if !self.complete.contains(&directory) {
                return false;
            }
            let inside = children(&self.nodes, &directory).filter(|(_, node)| node.kind == NodeKind::Directory);
            todo.extend(inside.map(|(path, _)| path.clone()).filter(|path| !apart(path)));
        }
        true
    }
}

impl Known {
    /// Whether it is known what a directory holds itself.
    pub(super) fn knows_children(&self, path: &TreePath) -> bool {
        match self.is_directory(path) {
            true => self.complete.contains(path),
            false => self.answer(path) != Answer::Unknown,
        }
    }
}

/// The directories above a path, the outermost first and without the root, then the path itself.
pub(super) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
    ends.chain((!path.is_empty()).then_some(path.len())).map(|end| &path[..end])
}

/// The directory that holds a path.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}

/// The files and symlinks that have one of these names, in byte order of their paths.
pub(super) fn named<'a>(
    nodes: &'a BTreeMap<TreePath, Node>,
    names: &'a BTreeSet<Vec<u8>>,
) -> impl Iterator<Item = &'a TreePath> {
    let nodes = (!names.is_empty()).then(|| nodes.iter()).into_iter().flatten();
    nodes
        .filter(|(path, node)| {
            matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_))
                && path.file_name().is_some_and(|name| names.contains(name))
        })
        .map(|(path, _)| path)
}

/// What lies below a directory.
pub(super) fn below<'a>(
    nodes: &'a BTreeMap<TreePath, Node>,
    directory: &TreePath,
) -> impl Iterator<Item = (&'a TreePath, &'a Node)> + use<'a> {
    let mut prefix = directory.as_bytes().to_vec();
    if !prefix.is_empty() {
        prefix.push(b'/');
    }
    let range = nodes.range::<[u8], _>((Bound::Included(&prefix[..]), Bound::Unbounded));
    range.take_while(move |(candidate, _)| candidate.as_bytes().starts_with(&prefix))
}

/// What a directory itself holds, without walking through what is deeper.
pub(super) fn children<'a>(
    nodes: &'a BTreeMap<TreePath, Node>,
    directory: &TreePath,
) -> impl Iterator<Item = (&'a TreePath, &'a Node)> + use<'a> {
    let mut prefix = directory.as_bytes().to_vec();
    if !prefix.is_empty() {
        prefix.push(b'/');
    }
    let mut from = prefix.clone();
    std::iter::from_fn(move || {
        loop {
            let (path, node) = nodes.range::<[u8], _>((Bound::Included(&from[..]), Bound::Unbounded)).next()?;
            let name = path.as_bytes().strip_prefix(&prefix[..])?;
            match name.iter().position(|byte| *byte == b'/') {
                // Past all of what its directory holds: `0` comes after `/`.
                Some(end) => from = [&prefix[..], &name[..end], b"0"].concat(),
                None => {
                    from = [path.as_bytes(), b"\0"].concat();
                    return Some((path, node));
                }
            }
        }
    })
}
