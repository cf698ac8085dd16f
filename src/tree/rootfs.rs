//! What a stack of layers looks like from above: which paths are there, of what kind, whose, and where their bytes are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::known::{self, Answer, Known};
use super::underlay::{Missed, Misses, Underlay};
use super::unmerged::{Says, Unmerged};
use super::{Entry, FileTree, Kind, Owner, PathError, TreePath};
use crate::content::Content;
use crate::elf::Head;
use crate::shown::Shown;

/// The merged view of the layers below the one that is being made. Paths resolve through its symlinks, never out of it.
#[derive(Clone, Debug, Default)]
pub struct Rootfs {
    nodes: Arc<BTreeMap<TreePath, Node>>,
    /// About how many bytes of memory all nodes that were ever put take.
    weight: u64,
    /// Where it matters what is asked: what is below the layers that were put on top since then.
    under: Option<Box<Underlay>>,
    /// What lies on top of all that, and is merged in only where somebody asks for more than single paths.
    on_top: Unmerged,
}

/// What stands at a path of the merged view.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, setuid, setgid, sticky.
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
}

/// What stands at a path, without where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// What it is.
    pub kind: SeenKind<'a>,
    /// Permission bits, setuid, setgid, sticky.
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
}

/// Kinds of what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenKind<'a> {
    /// A directory.
    Directory,
    /// A file, by whatever name.
    File,
    /// A symbolic link, with its target.
    Symlink(&'a [u8]),
    /// A device, FIFO or socket.
    Special,
}

impl<'a> From<&'a Node> for Seen<'a> {
    fn from(node: &'a Node) -> Self {
        let kind = match &node.kind {
            NodeKind::Directory => SeenKind::Directory,
            NodeKind::File(_) => SeenKind::File,
            NodeKind::Symlink(target) => SeenKind::Symlink(target),
            NodeKind::Special => SeenKind::Special,
        };
        Seen { kind, mode: node.mode, owner: node.owner }
    }
}

/// Kinds of nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A file, by whatever name.
    File(Located),
    /// A symbolic link, with its target.
    Symlink(Box<[u8]>),
    /// A device, FIFO or socket: known to be there, never read or copied.
    Special,
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq)]
pub enum Located {
    /// In a layer of the base: the layer's number (lowest is 0) and the offset and length in its uncompressed tar.
    Layer {
        /// Number of the layer, lowest first.
        layer: usize,
        /// Where the bytes start in the uncompressed tar.
        offset: u64,
        /// How many there are.
        length: u64,
    },
    /// In a layer that this build makes.
    Content(Content),
    /// In a base that was not read: how many bytes there are is all that is known here. Whoever needs them asks
    /// [`Rootfs::kept_contents`], or says so to [`Rootfs::needs_contents`], and fails.
    Unknown {
        /// The path of the file in the base.
        path: TreePath,
        /// How many bytes there are.
        length: u64,
        /// Whether it is of a layer of this recipe, and not of a base.
        own: bool,
    },
}

impl Located {
    /// Whether the file is of a layer of this recipe that is at hand or known of, so that no base vouches for it.
    pub fn is_own(&self) -> bool {
        matches!(self, Located::Content(_) | Located::Unknown { own: true, .. })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        match self {
            Located::Layer { length, .. } | Located::Unknown { length, .. } => *length,
            Located::Content(content) => content.len(),
        }
    }
}

/// Why a path leads nowhere in the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// More than 40 symlinks.
    #[error("{path} leads through more than 40 symlinks of the base")]
    Loop {
        /// The path that was asked for.
        path: TreePath,
    },
    /// A component is a file.
    #[error("{path} leads through {at}, which is no directory in the base")]
    NotADirectory {
        /// The path that was asked for.
        path: TreePath,
        /// What is no directory.
        at: TreePath,
    },
    /// A symlink's target cannot be a path.
    #[error("{path} leads through the symlink {at} of the base, whose target {target} is no path")]
    Target {
        /// The path that was asked for.
        path: TreePath,
        /// The link.
        at: TreePath,
        /// Its target.
        target: Shown,
    },
}

/// A few words on what stands there, for messages about conflicts.
pub(super) fn describe(seen: Seen<'_>) -> String {
    let word = match seen.kind {
        SeenKind::Symlink(target) => return format!("a symlink to {}", Shown::new(target)),
        SeenKind::Directory => "directory",
        SeenKind::File => "file",
        SeenKind::Special => "device, FIFO or socket",
    };
    format!("a {word} of mode {:04o} and owner {}", seen.mode, seen.owner)
}

/// Files of accounts, which may hold passwords.
const ACCOUNTS: [&str; 6] = ["etc/group", "etc/gshadow", "etc/passwd", "etc/shadow", "etc/subgid", "etc/subuid"];

/// Whether a path is that of a file of accounts, or of the copy that tools leave beside it.
pub(crate) fn is_accounts(path: &TreePath) -> bool {
    let plain = path.as_bytes().strip_suffix(b"-").unwrap_or(path.as_bytes());
    ACCOUNTS.iter().any(|one| one.as_bytes() == plain)
}

/// The most memory, in bytes, that the view of an image may take: some two million files.
const MAX_WEIGHT: u64 = 384 << 20;

impl Rootfs {
    /// An empty root: `scratch`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a layer of this build on top: a finished tree ([`FileTree::repeat_parents`]), of which nothing is asked below when it
    /// is put there.
    pub fn lay(&mut self, layer: Arc<FileTree>) {
        if self.on_top.is_full() {
            self.merge();
        }
        self.on_top.push(layer);
    }

    /// The layers that were put on top and are not merged in.
    pub fn unmerged(&self) -> &[Arc<FileTree>] {
        self.on_top.trees()
    }

    /// The same view with all that is on top merged in.
    fn whole(&self) -> &Rootfs {
        if self.on_top.is_empty() {
            return self;
        }
        self.on_top.merged(|| {
            let mut view = Rootfs { on_top: Unmerged::default(), ..self.clone() };
            self.on_top.trees().iter().for_each(|tree| view.apply(tree));
            view
        })
    }

    /// Merges in what is on top.
    fn merge(&mut self) {
        if let Some(view) = self.on_top.known_merged() {
            *self = view.clone();
        }
        for tree in std::mem::take(&mut self.on_top).trees() {
            self.apply(tree);
        }
    }

    /// What is asked of it, where that matters.
    fn under(&self) -> Option<&Underlay> {
        // Most views are such that nothing has to be merged in for it.
        self.under.as_ref()?;
        self.whole().under.as_deref()
    }

    /// A view of which only that is known. What is asked beyond that is missed ([`Rootfs::missed`]) and answered as if
    /// nothing were there. Layers on top are known as they are put.
    pub fn partial(known: Known, misses: Misses) -> Self {
        let mut rootfs = Rootfs::new();
        for (path, node) in known.nodes() {
            rootfs.insert(path.clone(), node.clone());
        }
        rootfs.under = Some(Box::new(Underlay::partial(known, misses)));
        rootfs
    }

    /// The view with a layer on top that is not looked into, and that puts things below these directories alone: what is
    /// below them is not known any more. `None` where all of this view is known: then there is nothing to save.
    pub fn hiding(&self, directories: &[TreePath]) -> Option<Rootfs> {
        let under = self.under()?;
        let view = self.whole();
        let (known, misses) = under.known()?;
        let hidden: Vec<TreePath> = directories
            .iter()
            // Where the directory is new, so may those above it be.
            .map(|path| {
                path.ancestors().chain([path.clone()]).find(|at| !view.is_known_directory(at)).unwrap_or(path.clone())
            })
            .collect();
        let is_below =
            |path: &TreePath| hidden.iter().any(|at| path.strip_prefix(at).is_some_and(|rest| !rest.is_root()));
        let is_hidden = |path: &TreePath| is_below(path) || hidden.contains(path) && !view.is_known_directory(path);
        let nodes: BTreeMap<TreePath, Node> = view
            .nodes
            .iter()
            .filter(|(path, _)| !is_hidden(path))
            .map(|(path, node)| (path.clone(), node.clone()))
            .collect();
        let is_directory =
            |path: &TreePath| path.is_root() || matches!(nodes.get(path), Some(Node { kind: NodeKind::Directory, .. }));
        // Of a directory that holds a hidden path it is not known any more what else it holds.
        let opened: BTreeSet<TreePath> = hidden
            .iter()
            .filter_map(|at| if view.is_known_directory(at) { Some(at.clone()) } else { at.parent() })
            .collect();
        // Where nothing of the base is, a directory holds what was put there since, and nothing else.
        let is_new = |path: &TreePath| under.is_cut(path.as_bytes()) || known.answer(path) == Answer::Absent;
        let cut = nodes.keys().filter(|path| is_new(path));
        let complete: BTreeSet<TreePath> = (known.complete().iter().chain(cut))
            .filter(|path| is_directory(path) && !opened.contains(*path) && !is_below(path))
            .cloned()
            .collect();
        let absent = (known.absent().iter().chain(under.all_settled()))
            .filter(|path| !path.is_root() && !view.nodes.contains_key(*path) && !is_hidden(path))
            .filter(|path| path.parent().is_some_and(|parent| is_directory(&parent) && !complete.contains(&parent)))
            .cloned()
            .collect();
        // What comes out of a view cannot contradict itself.
        let hidden = Known::new(nodes, absent, complete).unwrap_or_default();
        let hidden = hidden.with_contents(known.contents().clone()).with_heads(known.heads().clone());
        Some(Rootfs::partial(hidden, misses.clone()))
    }

    /// Whether that path is known to be a directory; nobody notes that this was asked.
    fn is_known_directory(&self, path: &TreePath) -> bool {
        path.is_root() || matches!(self.nodes.get(path), Some(Node { kind: NodeKind::Directory, .. }))
    }

    /// What was put on top of what is watched or partly known; everything, where all is known and nobody watches. Nothing
    /// is asked by looking at it.
    pub fn on_top(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        let view = self.whole();
        let settled =
            view.under.as_deref().map(|under| under.all_settled().filter_map(|path| view.nodes.get_key_value(path)));
        let all = settled.is_none().then(|| view.nodes.iter());
        settled.into_iter().flatten().chain(all.into_iter().flatten())
    }

    /// Notes from now on what is asked of what is there now; what is put on top later is not. All clones share the notes.
    /// Who watched before still notes what is asked of what was there then.
    pub fn watch(&mut self) {
        self.merge();
        self.under = Some(Box::new(Underlay::watched(self.nodes.clone(), self.under.take())));
    }

    /// The same view on that.
    fn on(&self, under: Option<Underlay>) -> Rootfs {
        let mut rootfs = Rootfs { under: under.map(Box::new), ..self.clone() };
        if self.under.is_some() {
            rootfs.on_top.forget();
        }
        rootfs
    }

    /// The same view, where who watched first alone notes what is asked.
    #[must_use]
    pub fn watched_first(&self) -> Rootfs {
        self.on(self.under.clone().map(|under| under.lowest_watched()))
    }

    /// The same view, where who watched last does so no more, on what those watch that did so before; `None` where none did.
    pub fn less_watched(&self) -> Option<Rootfs> {
        let under = self.under.clone()?.less_watched()?;
        Some(self.on(Some(under)))
    }

    /// The same view, where nobody notes what is asked of it. What is only partly known stays so.
    #[must_use]
    pub fn unwatched(&self) -> Rootfs {
        self.on(self.under.clone().map(|under| under.lowest()).filter(|under| !under.is_watched()))
    }

    /// What answers all that was asked since [`Rootfs::watch`]; `None` where nobody watches.
    pub fn learned(&self) -> Option<Known> {
        self.under.as_ref()?.learned()
    }

    /// The first thing that this view, or another on the same base, could not tell. Where there is one, nothing is to be
    /// believed that came of asking: neither what was made, nor an error.
    pub fn missed(&self) -> Option<&Missed> {
        self.under.as_ref()?.missed()
    }

    /// Says from now on what it cannot tell to nobody who was told before.
    pub fn forget_misses(&mut self) {
        if let Some(under) = &mut self.under {
            self.on_top.forget();
            under.forget_misses();
        }
    }

    /// Says from now on what it cannot tell to nobody else, as [`Rootfs::forget_misses`]; what was missed so far stays.
    pub fn fork_misses(&mut self) {
        if let Some(under) = &mut self.under {
            self.on_top.forget();
            under.fork_misses();
        }
    }

    /// Whether all of it is known, and nobody notes what is asked of it.
    pub fn is_whole(&self) -> bool {
        self.under.is_none()
    }

    /// Where this view says what it could not tell; `None` where all of it is known.
    pub fn misses(&self) -> Option<&Misses> {
        self.under.as_ref()?.misses()
    }

    /// Notes that the contents of a file are needed that are [`Located::Unknown`].
    pub fn needs_contents(&self, path: &TreePath) {
        if let Some(under) = self.under() {
            under.needs_contents(path);
        }
    }

    /// The contents of a file that are [`Located::Unknown`], where somebody kept them; otherwise it is noted that they are
    /// needed.
    pub fn kept_contents(&self, path: &TreePath) -> Option<Content> {
        self.under()?.kept_contents(path)
    }

    /// What a file that is [`Located::Unknown`] says of itself as a library, where somebody kept it; otherwise it is noted
    /// that its contents are needed.
    pub fn kept_head(&self, path: &TreePath) -> Option<Option<Head>> {
        self.under()?.kept_head(path)
    }

    /// Tells who watches what a file says of itself as a library.
    pub fn was_head_read(&self, path: &TreePath, head: Option<&Head>) {
        if let Some(under) = self.under() {
            under.read_head(path, head);
        }
    }

    /// The first file or symlink of that name, wherever it is.
    pub fn first_named(&self, name: &[u8]) -> Option<TreePath> {
        let view = self.whole();
        if let Some(under) = &view.under {
            under.asked_name(name);
        }
        known::named(&view.nodes, &BTreeSet::from([name.to_vec()])).next().cloned()
    }

    /// Tells who watches that a part of a file was read.
    pub fn was_read_in_part(&self, path: &TreePath) {
        if let Some(under) = self.under() {
            under.read_in_part(path);
        }
    }

    /// Tells who watches what was read of a file: the bytes of all of it.
    pub fn was_read(&self, path: &TreePath, bytes: &[u8]) {
        if let Some(under) = self.under() {
            under.read(path, bytes);
        }
    }

    /// What was put on a base that is watched or partly known, on top of all of the base. It is what a view of all of the
    /// base would be now, where nothing was missed.
    #[must_use]
    pub fn over(&self, base: &Rootfs) -> Rootfs {
        let whole = self.whole();
        let Some(under) = whole.under.as_deref() else { return whole.clone() };
        // Who watches may do so from a layer on.
        let under = under.clone().lowest();
        let mut view = base.clone();
        for path in under.all_cut() {
            view.clear(path);
        }
        for path in under.all_settled() {
            match whole.nodes.get(path) {
                Some(node) => view.put(path.clone(), node.clone()),
                None => view.remove(path),
            }
        }
        view
    }

    /// What stands at exactly that path.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        match self.on_top.say(path) {
            Says::Nothing => self.get_below(path),
            Says::Gone => None,
            Says::Entry(_) => self.whole().get(path),
        }
    }

    /// What stands at exactly that path, for those who need no bytes of it: layers on top need not be merged in for that.
    pub fn see(&self, path: &TreePath) -> Option<Seen<'_>> {
        match self.on_top.say(path) {
            Says::Nothing => self.get_below(path).map(Seen::from),
            Says::Gone => None,
            Says::Entry(entry) => {
                let kind = match &entry.kind {
                    Kind::Directory => SeenKind::Directory,
                    Kind::File(_) => SeenKind::File,
                    Kind::Symlink(target) => SeenKind::Symlink(target),
                    Kind::Hardlink(_) | Kind::Whiteout => return self.whole().get(path).map(Seen::from),
                };
                Some(Seen { kind, mode: entry.mode, owner: entry.owner })
            }
        }
    }

    /// What is there below all that is not merged in.
    fn get_below(&self, path: &TreePath) -> Option<&Node> {
        if let Some(under) = &self.under {
            under.asked(path);
        }
        self.nodes.get(path)
    }

    /// All paths in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.below(&TreePath::root())
    }

    /// What lies below that path, in byte order. All of it is asked for, however little of it is taken.
    pub fn below<'a>(&'a self, path: &TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> + use<'a> {
        let view = self.whole();
        if let Some(under) = &view.under {
            under.asked_below(path);
        }
        known::below(&view.nodes, path)
    }

    /// What a directory holds, itself and not deeper, in byte order.
    pub fn children<'a>(&'a self, path: &TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> + use<'a> {
        let view = self.whole();
        if let Some(under) = &view.under {
            under.asked_children(path);
        }
        known::children(&view.nodes, path)
    }

    /// Says of files where else their bytes are, for those of which `of` knows it.
    pub fn relocate(&mut self, of: impl Fn(&Located) -> Option<Located>) {
        self.merge();
        for node in Arc::make_mut(&mut self.nodes).values_mut() {
            if let NodeKind::File(located) = &mut node.kind
                && let Some(other) = of(located)
            {
                *located = other;
            }
        }
    }

    /// Whether that very path is a directory; the root always is.
    pub fn is_directory(&self, path: &TreePath) -> bool {
        path.is_root() || matches!(self.see(path), Some(Seen { kind: SeenKind::Directory, .. }))
    }

    /// The path that `path` means once the symlinks above its last component are followed, inside the root. What does
    /// not exist yet stays as it is written. The last component itself is not followed.
    ///
    /// # Errors
    /// [`ResolveError`] where it leads round in circles or through a file.
    pub fn resolve_parent(&self, path: &TreePath) -> Result<TreePath, ResolveError> {
        self.walk(path, false, &FileTree::new())
    }

    /// The path that `path` means once all symlinks are followed, the last component's too.
    ///
    /// # Errors
    /// As [`Rootfs::resolve_parent`].
    pub fn resolve(&self, path: &TreePath) -> Result<TreePath, ResolveError> {
        self.walk(path, true, &FileTree::new())
    }

    /// Resolves in the view that a layer on top gives: what the layer has is no symlink of the base any more.
    pub(super) fn walk(&self, path: &TreePath, follow_last: bool, on_top: &FileTree) -> Result<TreePath, ResolveError> {
        // Components still to walk, the next one last.
        let mut todo: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        todo.reverse();
        let mut here = TreePath::root();
        let mut links = 0;
        while let Some(component) = todo.pop() {
            if component == b".." {
                here = here.parent().unwrap_or_default();
                continue;
            }
            let next = here.child(&component).map_err(|_: PathError| ResolveError::Loop { path: path.clone() })?;
            let below = match self.under {
                // Directories lead nowhere else, whatever the layer has there.
                None => self.see(&next).filter(|seen| seen.kind != SeenKind::Directory && on_top.get(&next).is_none()),
                // It is noted what is asked: no more than is needed.
                Some(_) if on_top.get(&next).is_some() => None,
                Some(_) => self.see(&next),
            };
            match below.map(|seen| seen.kind) {
                Some(SeenKind::Symlink(target)) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > 40 || todo.len() > 4096 {
                        return Err(ResolveError::Loop { path: path.clone() });
                    }
                    let bad =
                        || ResolveError::Target { path: path.clone(), at: next.clone(), target: Shown::new(target) };
                    if target.is_empty() || target.contains(&0) || target.len() > 4095 {
                        return Err(bad());
                    }
                    if target.starts_with(b"/") {
                        here = TreePath::root();
                    }
                    let components = target.split(|byte| *byte == b'/');
                    let components = components.filter(|part| !part.is_empty() && *part != b".");
                    todo.extend(components.map(<[u8]>::to_vec).rev());
                }
                Some(SeenKind::File | SeenKind::Special) if !todo.is_empty() => {
                    return Err(ResolveError::NotADirectory { path: path.clone(), at: next });
                }
                _ => here = next,
            }
        }
        Ok(here)
    }

    /// Follows `path` to a regular file.
    ///
    /// # Errors
    /// As [`Rootfs::resolve`]. `Ok(None)` where there is no file.
    pub fn file(&self, path: &TreePath) -> Result<Option<(TreePath, &Node, &Located)>, ResolveError> {
        let asked = path;
        let path = self.resolve(asked)?;
        if path != *asked
            && is_accounts(asked)
            && let Some(under) = self.under()
        {
            under.holds_accounts(&path);
        }
        Ok(match self.get(&path) {
            Some(node @ Node { kind: NodeKind::File(located), .. }) => Some((path, node, located)),
            _ => None,
        })
    }

    /// Puts a node at a path, as unpacking a layer does: directories over directories change mode and owner, everything
    /// else takes the place of what is there and below it. Parents that are missing become directories 0755 of root.
    pub fn put(&mut self, path: TreePath, node: Node) {
        self.merge();
        for above in path.ancestors() {
            if !self.is_directory(&above) {
                self.remove(&above);
                self.insert(above, Node { kind: NodeKind::Directory, mode: 0o755, owner: Owner::ROOT });
            }
        }
        self.put_into(path, node);
    }

    /// [`Rootfs::put`], where what is above is a directory.
    fn put_into(&mut self, path: TreePath, node: Node) {
        // Nothing lies below what is no directory; but where it matters what was asked, it matters that nothing does now.
        if node.kind != NodeKind::Directory && (self.under.is_some() || self.is_known_directory(&path)) {
            self.clear(&path);
        }
        self.insert(path, node);
    }

    fn insert(&mut self, path: TreePath, node: Node) {
        self.weight += (size_of::<Node>() + size_of::<TreePath>() + path.as_bytes().len()) as u64;
        if let Some(under) = &mut self.under {
            under.settle(&path);
        }
        Arc::make_mut(&mut self.nodes).insert(path, node);
    }

    /// Whether more was put here than any image holds: deep paths of few members become very many directories.
    pub fn is_too_large(&self) -> bool {
        self.weight > MAX_WEIGHT
    }

    /// Deletes a path and what is below it.
    pub fn remove(&mut self, path: &TreePath) {
        self.merge();
        self.clear(path);
        if let Some(under) = &mut self.under {
            under.settle(path);
        }
        Arc::make_mut(&mut self.nodes).remove(path);
    }

    /// Deletes what is below a path.
    pub fn clear(&mut self, path: &TreePath) {
        self.merge();
        if let Some(under) = &mut self.under {
            under.cut(path);
        }
        let below: Vec<TreePath> = known::below(&self.nodes, path).map(|(path, _)| path.clone()).collect();
        for path in below {
            Arc::make_mut(&mut self.nodes).remove(&path);
        }
    }

    /// Merges a layer of this build in.
    pub fn apply(&mut self, layer: &FileTree) {
        self.merge();
        for (path, entry) in layer.iter() {
            if matches!(entry.kind, Kind::Whiteout) {
                self.remove(path);
            }
        }
        let mut last: Option<&[u8]> = None;
        for (path, entry) in layer.iter() {
            if let Some(node) = self.node_of(layer, entry) {
                // Its neighbour was put into the same directory.
                let holder = path.parent_bytes();
                match last.replace(holder) == Some(holder) {
                    true => self.put_into(path.clone(), node),
                    false => self.put(path.clone(), node),
                }
            }
        }
    }

    fn node_of(&self, layer: &FileTree, entry: &Entry) -> Option<Node> {
        let kind = match &entry.kind {
            Kind::Directory => NodeKind::Directory,
            Kind::File(content) => NodeKind::File(Located::Content(content.clone())),
            Kind::Symlink(target) => NodeKind::Symlink(target.clone()),
            Kind::Hardlink(target) => return self.node_of(layer, layer.get(target)?),
            Kind::Whiteout => return None,
        };
        Some(Node { kind, mode: entry.mode, owner: entry.owner })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn node(kind: NodeKind) -> Node {
        Node { kind, mode: 0o755, owner: Owner::ROOT }
    }

    fn debian() -> Rootfs {
        let mut rootfs = Rootfs::new();
        for directory in ["usr/lib", "run/lock", "var", "tmp"] {
            rootfs.put(path(directory), node(NodeKind::Directory));
        }
        for (link, target) in [
            ("lib", "usr/lib"),
            ("var/run", "/run"),
            ("var/up", "../../../usr"),
            ("loop", "loop"),
            ("a", "b"),
            ("b", "a/x"),
        ] {
            rootfs.put(path(link), node(NodeKind::Symlink(target.as_bytes().into())));
        }
        rootfs.put(path("file"), node(NodeKind::File(Located::Content(Content::inline(*b"x")))));
        rootfs
    }

    #[test]
    fn paths_lead_through_the_links_and_stay_inside() {
        let rootfs = debian();
        for (from, to) in [
            ("lib/x", "usr/lib/x"),
            ("var/run/x/y", "run/x/y"),
            ("var/up/lib/x", "usr/lib/x"),
            ("lib", "lib"),
            ("new/x", "new/x"),
        ] {
            assert_eq!(rootfs.resolve_parent(&path(from)), Ok(path(to)));
        }
        assert_eq!(rootfs.resolve(&path("lib")), Ok(path("usr/lib")));
        assert!(matches!(rootfs.resolve(&path("loop")), Err(ResolveError::Loop { .. })));
        assert!(matches!(rootfs.resolve_parent(&path("a/y")), Err(ResolveError::Loop { .. })));
        assert!(matches!(rootfs.resolve_parent(&path("file/y")), Err(ResolveError::NotADirectory { .. })));
    }

    #[test]
    fn layers_replace_and_delete() {
        let mut rootfs = debian();
        let origin = Origin::new("test");
        let mut layer = FileTree::new();
        layer.insert(path("usr"), Entry::file(Content::inline(*b""), 0o644, Owner::ROOT, origin.clone())).unwrap();
        let gone = Entry { kind: Kind::Whiteout, ..Entry::directory(0, Owner::ROOT, origin) };
        layer.insert(path("run"), gone).unwrap();
        rootfs.apply(&layer);
        assert!(rootfs.get(&path("usr/lib")).is_none());
        assert!(rootfs.get(&path("run/lock")).is_none());
        assert!(rootfs.get(&path("run")).is_none());
        assert!(rootfs.is_directory(&path("tmp")));
    }

    #[test]
    fn what_a_directory_holds_is_known_without_what_is_deeper() {
        let mut base = debian();
        for deep in ["usr/lib/a/b", "usr/lib/a/c", "usr/lib/d"] {
            base.put(path(deep), node(NodeKind::Directory));
        }
        base.watch();
        let names = |rootfs: &Rootfs, directory: &str| {
            rootfs.children(&path(directory)).map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        let all = names(&base, "usr/lib");
        assert_eq!(all, ["/usr/lib/a", "/usr/lib/d"]);
        let known = base.learned().unwrap();
        assert!(!known.nodes().contains_key(&path("usr/lib/a/b")));
        let partial = Rootfs::partial(known, Misses::default());
        assert_eq!(names(&partial, "usr/lib"), all);
        assert!(partial.missed().is_none());
        assert!(names(&partial, "usr/lib/a").is_empty());
        assert_eq!(partial.missed(), Some(&Missed::Path(path("usr/lib/a"))));
    }

    /// Fails where a base is not asked what layers above a watched one ask, or where contents of what lies on top count as
    /// its own.
    #[test]
    fn who_watches_below_hears_of_it() {
        let mut base = debian();
        base.watch();
        let mut view = base.clone();
        let text = |text: &str| node(NodeKind::File(Located::Content(Content::inline(text.as_bytes()))));
        view.put(path("usr/own"), text("own"));
        view.watch();
        for asked in ["usr/own", "lib/x"] {
            let _ = view.resolve(&path(asked));
        }
        view.was_read(&path("file"), b"x");
        view.was_read(&path("usr/own"), b"own");
        let _ = view.watched_first().get(&path("tmp"));
        let (below, above) = (base.learned().unwrap(), view.learned().unwrap());
        let knows = |known: &Known, at: &str| known.answer(&path(at)) != Answer::Unknown;
        assert_eq!(["lib", "usr/own", "tmp"].map(|at| knows(&below, at)), [true, false, true]);
        assert_eq!(["lib", "usr/own", "tmp"].map(|at| knows(&above, at)), [true, true, false]);
        let _ = (base.get(&path("file")), view.get(&path("file")));
        let contents = |known: Known| known.contents().keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(contents(base.learned().unwrap()), ["/file"]);
        assert_eq!(contents(view.learned().unwrap()), ["/file", "/usr/own"]);
        let part = Rootfs::partial(base.learned().unwrap(), Misses::default());
        assert_eq!(part.kept_contents(&path("file")).map(|content| content.len()), Some(1));
        assert!(part.missed().is_none());
        assert!(part.kept_contents(&path("usr/lib/x")).is_none());
        assert_eq!(part.missed(), Some(&Missed::Contents(path("usr/lib/x"))));
    }

    /// Fails where a watched view on a partly known base keeps to itself what it misses, forgets that most of the base is not
    /// known, tells more of it than is known, or loses the layers below it.
    #[test]
    fn who_watches_a_partly_known_base_knows_no_more_than_it() {
        let mut base = debian();
        for number in 0..10 {
            base.put(path(&format!("usr/lib/n{number}")), node(NodeKind::Directory));
        }
        let all = base.clone();
        base.watch();
        for asked in ["usr/lib/n1", "usr/lib/none", "file"] {
            let _ = base.get(&path(asked));
        }
        base.was_read(&path("file"), b"x");
        base.was_head_read(&path("file"), None);
        let mut known = base.learned().unwrap();
        for (at, node) in known.nodes_mut().filter(|(at, _)| **at == path("file")) {
            node.kind = NodeKind::File(Located::Unknown { path: at.clone(), length: 1, own: false });
        }
        let misses = Misses::default();
        let mut view = Rootfs::partial(known, misses.clone());
        view.put(path("app"), node(NodeKind::Directory));
        view.watch();
        assert!(view.get(&path("usr/lib/none")).is_none() && view.get(&path("file")).is_some());
        assert_eq!(view.kept_contents(&path("file")).map(|content| content.len()), Some(1));
        assert_eq!(view.kept_head(&path("file")), Some(None));
        let learned = view.learned().unwrap();
        assert_eq!(learned.answer(&path("usr/lib/none")), Answer::Absent);
        assert_eq!(learned.answer(&path("usr/lib/n5")), Answer::Unknown, "nobody looked for others");
        assert!(learned.contents().contains_key(&path("file")) && learned.heads().contains_key(&path("file")));
        let mut unwatched = view.unwatched();
        unwatched.forget_misses();
        assert!(unwatched.get(&path("usr/lib/n5")).is_none());
        assert_eq!(unwatched.missed(), Some(&Missed::Path(path("usr/lib/n5"))));
        let mut apart = view.clone();
        apart.fork_misses();
        assert!(apart.kept_contents(&path("usr/lib/n1")).is_none());
        assert_eq!(apart.misses().unwrap().first(), Some(&Missed::Contents(path("usr/lib/n1"))));
        let mut apart = view.clone();
        apart.fork_misses();
        assert!(apart.kept_head(&path("usr/lib/n2")).is_none());
        assert_eq!(apart.misses().unwrap().first(), Some(&Missed::Contents(path("usr/lib/n2"))));
        assert_eq!((view.missed(), misses.first()), (None, None));
        let whole = view.over(&all);
        assert!(["app", "usr/lib/n5"].iter().all(|at| whole.is_directory(&path(at))));
        assert!(view.watched_first().get(&path("usr/lib/n5")).is_none());
        assert_eq!(misses.first(), Some(&Missed::Path(path("usr/lib/n5"))));
    }

    #[test]
    fn below_hidden_directories_nothing_is_known() {
        let mut base = debian();
        base.put(path("usr/local/bin"), node(NodeKind::Directory));
        base.watch();
        for asked in ["usr/local/bin/tool", "usr/lib", "app", "opt", "tmp", "srv"] {
            let _ = base.get(&path(asked));
        }
        let mut partial = Rootfs::partial(base.learned().unwrap(), Misses::default());
        partial.put(path("srv/data"), node(NodeKind::Directory));
        partial.put(path("opt/own"), node(NodeKind::Directory));
        partial.remove(&path("tmp"));
        let view = || partial.hiding(&[path("usr/local/bin"), path("app/.venv")]).unwrap();
        assert!(base.hiding(&[]).is_none(), "all of it is known");
        let is_missed = |at: &str| {
            // Each asks a view of its own, with its own misses.
            let mut known = view();
            if let Some(under) = &mut known.under {
                let (known, _) = under.known().unwrap();
                **under = Underlay::partial(known.clone(), Misses::default());
            }
            let found = known.get(&path(at)).is_some();
            (found, known.missed().is_some())
        };
        for (at, found, missed) in [
            ("usr/local/bin", true, false),
            ("usr/local/bin/tool", false, true),
            ("usr/lib", true, false),
            ("app", false, true),
            ("app/.venv/bin", false, true),
            ("opt/own/x", false, false),
            ("opt/other", false, false),
            ("srv/data", true, false),
            ("tmp", false, false),
            ("var/unasked", false, true),
        ] {
            assert_eq!(is_missed(at), (found, missed), "{at}");
        }
    }
}
