//! What lies under the layers of a build, where it matters what is asked of it: a base that is watched, or one of which only
//! a part is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::known::{self, Answer, Known};
use super::{Located, Node, NodeKind, TreePath};
use crate::content::Content;
use crate::elf::Head;
use crate::shown::Shown;

/// How many names that nobody asked for are told of a directory beyond what that saves, so that other names of the same
/// directory are known when they are asked for next time.
const SPARE: usize = 4;

/// The most that is told of everything below one directory, as of one with the libraries of a whole desktop; whoever asks
/// for more reads the layers.
const MAX_BELOW: usize = 10_000;

/// The longest contents of a file that are noted, in bytes, and the most of all files together.
const MAX_NOTED: (usize, usize) = (2 << 20, 32 << 20);

/// The first thing that a partly known base could not tell. What was made since then is not to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// What stands at that path, or below it.
    Path(TreePath),
    /// The contents of that file.
    Contents(TreePath),
    /// Where files of that name are.
    Name(Vec<u8>),
    /// Everything, for that reason.
    Whole(&'static str),
}

/// Where views of one image say what they missed: the first of it.
#[derive(Clone, Debug, Default)]
pub struct Misses(Arc<OnceLock<Missed>>);

impl Misses {
    /// What was missed first.
    pub fn first(&self) -> Option<&Missed> {
        self.0.get()
    }

    /// Another place, where the same was missed so far.
    fn fork(&self) -> Self {
        Misses(Arc::new(OnceLock::clone(&self.0)))
    }

    /// Something is missing. Only the first counts: what was asked after it was asked on a wrong answer.
    pub fn add(&self, missed: Missed) {
        let _ = self.0.set(missed);
    }
}

impl fmt::Display for Missed {
    /// What is missing, and what can be done about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missed::Path(path) => write!(f, "{path} was not known: lock again to avoid reading the base"),
            Missed::Contents(path) => write!(f, "the contents of {path} are needed, which the lock does not have"),
            Missed::Name(name) => {
                write!(f, "whether {} is anywhere in it was not known: lock again to avoid it", Shown::new(name))
            }
            Missed::Whole(reason) => f.write_str(reason),
        }
    }
}

/// What is under a view, and what the view has of its own.
#[derive(Clone, Debug)]
pub(super) struct Underlay {
    base: Base,
    /// Paths where a layer on top put or removed something: what the base has there plays no part.
    settled: BTreeSet<TreePath>,
    /// Paths below which nothing of the base is left.
    cut: BTreeSet<TreePath>,
    /// What was under the view before this base, which is made of it.
    below: Option<Box<Underlay>>,
}

#[derive(Clone, Debug)]
enum Base {
    Watched(Arc<Watched>),
    Partial(Arc<Partial>),
}

/// A base of which everything is known, and what was asked of it.
#[derive(Debug)]
struct Watched {
    nodes: Arc<BTreeMap<TreePath, Node>>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Paths of which it matters what stands there.
    paths: BTreeSet<TreePath>,
    /// Directories of which it matters what is below them, all of it.
    below: BTreeSet<TreePath>,
    /// Directories of which it matters what they hold themselves.
    children: BTreeSet<TreePath>,
    /// Names of which it matters where files and symlinks have them.
    names: BTreeSet<Vec<u8>>,
    /// What files say of themselves as libraries.
    heads: BTreeMap<TreePath, Option<Head>>,
    /// What files hold that were read.
    contents: BTreeMap<TreePath, Content>,
    /// How many bytes these are.
    noted: usize,
    /// Files of accounts, wherever links lead to them: what they hold is told to nobody.
    accounts: BTreeSet<TreePath>,
    /// Files of which more was read than is noted, and why.
    unnoted: BTreeMap<TreePath, &'static str>,
}

/// A base of which a part is known, and what was asked that is not.
#[derive(Clone, Debug)]
struct Partial {
    known: Arc<Known>,
    misses: Misses,
}

impl Underlay {
    /// Watches a base of these nodes; what is asked of it is asked of what was below, too.
    pub(super) fn watched(nodes: Arc<BTreeMap<TreePath, Node>>, below: Option<Box<Underlay>>) -> Self {
        let base = Base::Watched(Arc::new(Watched { nodes, asked: Mutex::default() }));
        Underlay { below, ..Self::new(base) }
    }

    /// The lowest alone, with everything that was put on top of it since.
    pub(super) fn lowest(mut self) -> Self {
        while let Some(below) = self.below.take() {
            self = self.dropped_on(*below);
        }
        self
    }

    /// The lowest that is watched, on what it is made of, with everything that was put on top of it since.
    pub(super) fn lowest_watched(mut self) -> Self {
        while let Some(below) = self.below.take() {
            if !below.is_watched() {
                self.below = Some(below);
                break;
            }
            self = self.dropped_on(*below);
        }
        self
    }

    /// What is below, with everything that was put on top of this.
    fn dropped_on(mut self, mut below: Underlay) -> Self {
        below.settled.append(&mut self.settled);
        below.cut.append(&mut self.cut);
        below
    }

    /// A base of which that is known.
    pub(super) fn partial(known: Known, misses: Misses) -> Self {
        Self::new(Base::Partial(Arc::new(Partial { known: Arc::new(known), misses })))
    }

    /// What is watched below, with everything that was put on top of it since; `None` where nothing is.
    pub(super) fn less_watched(mut self) -> Option<Self> {
        let below = self.below.take().filter(|below| below.is_watched())?;
        Some(self.dropped_on(*below))
    }

    /// What is known below, and where it is said what is not; `None` where everything is.
    pub(super) fn known(&self) -> Option<(&Known, &Misses)> {
        match &self.base {
            Base::Watched(_) => None,
            Base::Partial(base) => Some((&*base.known, &base.misses)),
        }
    }

    /// Where it is said what is not known; `None` where everything is.
    pub(super) fn misses(&self) -> Option<&Misses> {
        match &self.base {
            Base::Watched(_) => self.below.as_ref()?.misses(),
            Base::Partial(base) => Some(&base.misses),
        }
    }

    fn new(base: Base) -> Self {
        Underlay { base, settled: BTreeSet::new(), cut: BTreeSet::new(), below: None }
    }

    pub(super) fn is_watched(&self) -> bool {
        matches!(self.base, Base::Watched(_))
    }

    pub(super) fn forget_misses(&mut self) {
        match &self.base {
            Base::Partial(base) => {
                self.base = Base::Partial(Arc::new(Partial { misses: Misses::default(), ..Partial::clone(base) }));
            }
            Base::Watched(_) => self.below.iter_mut().for_each(|below| below.forget_misses()),
        }
    }

    /// Says what is missed from now on at a place of its own, where the same was missed so far.
    pub(super) fn fork_misses(&mut self) {
        match &self.base {
            Base::Partial(base) => {
                self.base = Base::Partial(Arc::new(Partial { misses: base.misses.fork(), ..Partial::clone(base) }));
            }
            Base::Watched(_) => self.below.iter_mut().for_each(|below| below.fork_misses()),
        }
    }

    /// Somebody asks what stands at a path.
    pub(super) fn asked(&self, path: &TreePath) {
        if path.is_root() || self.is_settled(path) {
            return;
        }
        match &self.base {
            Base::Watched(base) => base.asked(path),
            Base::Partial(base) if base.known.answer(path) == Answer::Unknown => base.miss(Missed::Path(path.clone())),
            Base::Partial(_) => {}
        }
        if let Some(below) = &self.below {
            below.asked(path);
        }
    }

    /// Somebody asks what is below a path, all of it.
    pub(super) fn asked_below(&self, path: &TreePath) {
        if self.is_cut(path.as_bytes()) {
            return;
        }
        match &self.base {
            Base::Watched(base) => base.asked_below(path),
            Base::Partial(base) if !base.known.knows_below(path, &|path| self.is_cut(path.as_bytes())) => {
                base.miss(Missed::Path(path.clone()));
            }
            Base::Partial(_) => {}
        }
        if let Some(below) = &self.below {
            below.asked_below(path);
        }
    }

    /// Somebody asks what a directory holds, itself and not deeper.
    pub(super) fn asked_children(&self, path: &TreePath) {
        if self.is_cut(path.as_bytes()) {
            return;
        }
        match &self.base {
            Base::Watched(base) => base.asked_children(path),
            Base::Partial(base) if !base.known.knows_children(path) => base.miss(Missed::Path(path.clone())),
            Base::Partial(_) => {}
        }
        if let Some(below) = &self.below {
            below.asked_children(path);
        }
    }

    /// Somebody asks where files and symlinks of a name are, anywhere.
    pub(super) fn asked_name(&self, name: &[u8]) {
        if self.is_cut(b"") {
            return;
        }
        match &self.base {
            Base::Watched(base) => base.note(|asked| _ = asked.names.insert(name.to_vec())),
            Base::Partial(base) if !base.known.names().contains(name) => base.miss(Missed::Name(name.to_vec())),
            Base::Partial(_) => {}
        }
        if let Some(below) = &self.below {
            below.asked_name(name);
        }
    }

    /// Somebody needs the contents of a file of which only the length is known.
    pub(super) fn needs_contents(&self, path: &TreePath) {
        if let Some(misses) = self.misses() {
            misses.add(Missed::Contents(path.clone()));
        }
    }

    /// What a file holds of which a node tells no more than the length; where nobody knows, it is missed.
    pub(super) fn kept_contents(&self, path: &TreePath) -> Option<Content> {
        match &self.base {
            Base::Watched(base) => {
                let kept = self.below.as_ref()?.kept_contents(path)?;
                // Who watches is told here, where it is that file still.
                if !self.is_settled(path) && base.is_unread(path) {
                    base.read(path, kept.len(), || kept.clone());
                }
                Some(kept)
            }
            Base::Partial(base) => {
                let kept = base.known.contents().get(path).cloned();
                if kept.is_none() {
                    self.needs_contents(path);
                }
                kept
            }
        }
    }

    /// Whether all that a directory of the base holds is known. Nothing is asked by that.
    fn knows_children(&self, path: &TreePath) -> bool {
        self.is_cut(path.as_bytes())
            || match &self.base {
                Base::Watched(_) => self.below.as_ref().is_none_or(|below| below.knows_children(path)),
                Base::Partial(base) => base.known.knows_children(path),
            }
    }

    /// What a file says of itself as a library; where nobody knows, its contents are missed.
    pub(super) fn kept_head(&self, path: &TreePath) -> Option<Option<Head>> {
        match &self.base {
            Base::Watched(base) => {
                let kept = self.below.as_ref()?.kept_head(path)?;
                // As with contents.
                if !self.is_settled(path) && base.is_unread(path) {
                    base.note(|asked| _ = asked.heads.insert(path.clone(), kept.clone()));
                }
                Some(kept)
            }
            Base::Partial(base) => {
                let kept = base.known.heads().get(path).cloned();
                if kept.is_none() {
                    self.needs_contents(path);
                }
                kept
            }
        }
    }

    /// Somebody looked at what a file says of itself as a library.
    pub(super) fn read_head(&self, path: &TreePath, head: Option<&Head>) {
        if self.is_settled(path) {
            return;
        }
        if let Base::Watched(base) = &self.base
            && base.is_file(path)
        {
            base.note(|asked| _ = asked.heads.insert(path.clone(), head.cloned()));
        }
        if let Some(below) = &self.below {
            below.read_head(path, head);
        }
    }

    /// A link leads to that file in the place of one of accounts.
    pub(super) fn holds_accounts(&self, path: &TreePath) {
        if self.is_settled(path) {
            return;
        }
        if let Base::Watched(base) = &self.base {
            base.note(|asked| _ = asked.accounts.insert(path.clone()));
        }
        if let Some(below) = &self.below {
            below.holds_accounts(path);
        }
    }

    /// Somebody read a part of a file.
    pub(super) fn read_in_part(&self, path: &TreePath) {
        if self.is_settled(path) {
            return;
        }
        if let Base::Watched(base) = &self.base {
            base.read_in_part(path);
        }
        if let Some(below) = &self.below {
            below.read_in_part(path);
        }
    }

    /// Somebody read a file, and that is what it holds.
    pub(super) fn read(&self, path: &TreePath, bytes: &[u8]) {
        if self.is_settled(path) {
            return;
        }
        if let Base::Watched(base) = &self.base {
            base.read(path, bytes.len() as u64, || Content::inline(bytes));
        }
        if let Some(below) = &self.below {
            below.read(path, bytes);
        }
    }

    pub(super) fn missed(&self) -> Option<&Missed> {
        self.misses()?.first()
    }

    /// What answers all that was asked.
    pub(super) fn learned(&self) -> Option<Known> {
        match &self.base {
            // Of a directory of which nobody knows all that it holds, nobody is told that either.
            Base::Watched(base) => Some(base.learned(&|path| match &self.below {
                Some(below) => below.knows_children(path),
                None => true,
            })),
            Base::Partial(_) => None,
        }
    }

    /// A layer on top decides what stands at that path.
    pub(super) fn settle(&mut self, path: &TreePath) {
        self.settled.insert(path.clone());
    }

    /// A layer on top takes away everything below that path.
    pub(super) fn cut(&mut self, path: &TreePath) {
        self.cut.insert(path.clone());
    }

    pub(super) fn all_settled(&self) -> impl Iterator<Item = &TreePath> {
        self.settled.iter()
    }

    pub(super) fn all_cut(&self) -> impl Iterator<Item = &TreePath> {
        self.cut.iter()
    }

    fn is_settled(&self, path: &TreePath) -> bool {
        self.settled.contains(path) || self.is_cut(path.parent_bytes())
    }

    /// Whether nothing of the base is left below that path.
    pub(super) fn is_cut(&self, path: &[u8]) -> bool {
        let root: &[u8] = b"";
        !self.cut.is_empty() && std::iter::once(root).chain(known::prefixes(path)).any(|at| self.cut.contains(at))
    }
}

impl Partial {
    fn miss(&self, missed: Missed) {
        self.misses.add(missed);
    }
}

impl Watched {
    fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || matches!(self.nodes.get(path), Some(Node { kind: NodeKind::Directory, .. }))
    }

    /// The path itself, or the outermost one above it that tells already that it cannot be there.
    fn telling(&self, path: &TreePath) -> TreePath {
        let outermost = known::prefixes(path.as_bytes()).find(|at| !self.is_directory(at));
        outermost.and_then(|at| TreePath::parse(at).ok()).unwrap_or_else(|| path.clone())
    }

    fn note(&self, note: impl FnOnce(&mut Asked)) {
        note(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn asked(&self, path: &TreePath) {
        let telling = if self.nodes.contains_key(path) { path.clone() } else { self.telling(path) };
        self.note(|asked| {
            asked.paths.insert(telling);
        });
    }

    fn is_file(&self, path: &TreePath) -> bool {
        matches!(self.nodes.get(path), Some(Node { kind: NodeKind::File(_), .. }))
    }

    /// Whether that is the file of that path in a base that was not read.
    fn is_unread(&self, path: &TreePath) -> bool {
        let kind = self.nodes.get(path).map(|node| &node.kind);
        matches!(kind, Some(NodeKind::File(Located::Unknown { path: original, .. })) if original == path)
    }

    fn read(&self, path: &TreePath, length: u64, content: impl FnOnce() -> Content) {
        if !self.is_file(path) {
            return;
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.note(|asked| {
            if asked.contents.contains_key(path) {
                return;
            }
            match length <= MAX_NOTED.0 && asked.noted.saturating_add(length) <= MAX_NOTED.1 {
                true => {
                    asked.noted += length;
                    asked.contents.insert(path.clone(), content());
                }
                false => _ = asked.unnoted.insert(path.clone(), "is more than a lock should hold"),
            }
        });
    }

    fn read_in_part(&self, path: &TreePath) {
        if self.is_file(path) {
            self.note(|asked| _ = asked.unnoted.insert(path.clone(), "is read in part, and nothing is kept of it"));
        }
    }

    fn asked_below(&self, path: &TreePath) {
        match self.is_directory(path.as_bytes()) {
            true => self.note(|asked| {
                asked.below.insert(path.clone());
            }),
            false => self.asked(path),
        }
    }

    fn asked_children(&self, path: &TreePath) {
        match self.is_directory(path.as_bytes()) {
            true => self.note(|asked| {
                asked.children.insert(path.clone());
            }),
            false => self.asked(path),
        }
    }

    /// `is_whole`: whether all that a directory holds is among the nodes.
    fn learned(&self, is_whole: &dyn Fn(&TreePath) -> bool) -> Known {
        let mut learned = Learning::default();
        let (mut contents, mut heads, mut names) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        self.note(|asked| {
            contents.clone_from(&asked.contents);
            heads.clone_from(&asked.heads);
            names.clone_from(&asked.names);
            learned.unsaid.clone_from(&asked.unnoted);
            for path in &asked.accounts {
                if contents.remove(path).is_some_and(|content| !content.is_empty()) {
                    learned.unsaid.insert(path.clone(), PASSWORDS);
                }
            }
            for path in &asked.paths {
                learned.path(self, path);
            }
            for path in known::named(&self.nodes, &asked.names) {
                learned.path(self, path);
            }
            for directory in &asked.below {
                learned.below(self, directory);
            }
            for directory in &asked.children {
                learned.children(self, directory);
            }
        });
        learned.shorten(self, is_whole);
        // What comes out of a tree cannot contradict itself.
        let known = Known::new(learned.nodes, learned.absent, learned.complete).unwrap_or_default();
        known.with_contents(contents).with_heads(heads).with_names(names).with_unsaid(learned.unsaid)
    }
}

/// Answers that are being collected.
#[derive(Default)]
struct Learning {
    nodes: BTreeMap<TreePath, Node>,
    absent: BTreeSet<TreePath>,
    complete: BTreeSet<TreePath>,
    unsaid: BTreeMap<TreePath, &'static str>,
}

/// Why nothing is said of what a file of accounts holds.
pub(crate) const PASSWORDS: &str = "may hold passwords, and no lock does";

/// Why nothing is said of what a directory holds.
const CROWDED: &str = "holds more than 10,000 entries";

impl Learning {
    fn path(&mut self, base: &Watched, path: &TreePath) {
        for above in path.ancestors() {
            self.node(base, &above);
        }
        if !path.is_root() && !self.node(base, path) {
            self.absent.insert(path.clone());
        }
    }

    fn node(&mut self, base: &Watched, path: &TreePath) -> bool {
        let found = base.nodes.get(path);
        if let Some(node) = found {
            self.nodes.insert(path.clone(), node.clone());
        }
        found.is_some()
    }

    fn below(&mut self, base: &Watched, directory: &TreePath) {
        self.path(base, directory);
        if known::below(&base.nodes, directory).nth(MAX_BELOW).is_some() {
            self.unsaid.insert(directory.clone(), CROWDED);
            return;
        }
        self.complete.insert(directory.clone());
        for (path, node) in known::below(&base.nodes, directory) {
            self.nodes.insert(path.clone(), node.clone());
            if node.kind == NodeKind::Directory {
                self.complete.insert(path.clone());
            }
        }
    }

    fn children(&mut self, base: &Watched, directory: &TreePath) {
        self.path(base, directory);
        if known::children(&base.nodes, directory).nth(MAX_BELOW).is_none() {
            self.complete.insert(directory.clone());
            let children = known::children(&base.nodes, directory);
            self.nodes.extend(children.map(|(path, node)| (path.clone(), node.clone())));
        } else {
            self.unsaid.insert(directory.clone(), CROWDED);
        }
    }

    /// Says what a directory holds in place of what it does not hold, where that is not much longer.
    fn shorten(&mut self, base: &Watched, is_whole: &dyn Fn(&TreePath) -> bool) {
        let mut lacks: BTreeMap<TreePath, usize> = BTreeMap::new();
        for parent in self.absent.iter().filter_map(TreePath::parent) {
            *lacks.entry(parent).or_default() += 1;
        }
        lacks.retain(|directory, _| is_whole(directory));
        for (directory, lacks) in lacks {
            let others = known::children(&base.nodes, &directory).filter(|(path, _)| !self.nodes.contains_key(*path));
            let others: Vec<_> = others.take(lacks + SPARE).collect();
            if others.len() < lacks + SPARE {
                self.nodes.extend(others.into_iter().map(|(path, node)| (path.clone(), node.clone())));
                self.complete.insert(directory);
            }
        }
        let complete = &self.complete;
        self.absent.retain(|path| path.parent().is_none_or(|parent| !complete.contains(&parent)));
    }
}
