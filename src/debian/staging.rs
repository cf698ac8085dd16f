//! The tree that packages and their effects are put into, on top of what the base has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use crate::content::Content;
use crate::elf::{self, Elf, ElfError, Head};
use crate::shown::Shown;
use crate::tree::{
    Entry, FileTree, Kind, Located, Node, NodeKind, Origin, Owner, PathError, ResolveError, Rootfs, TreeError, TreePath,
};

/// Reads a stretch of a layer of the base: number of the layer, offset and length in its uncompressed tar.
pub type ReadBase<'a> = dyn Fn(usize, u64, u64) -> io::Result<Vec<u8>> + 'a;

/// The most bytes of a file that an effect reads: all are texts.
const MAX_TEXT: u64 = 64 << 20;

/// What a layer is put on top of: the merged view of the layers below, and the bytes of files that lie in a base's.
#[derive(Clone, Copy)]
pub struct Below<'a> {
    /// The view.
    pub rootfs: &'a Rootfs,
    /// Reads files whose bytes are in layers of a base.
    pub read: &'a ReadBase<'a>,
}

impl std::fmt::Debug for Below<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Below")
    }
}

/// What a layer of packages will hold, and what the image then looks like.
pub struct Staging<'a> {
    view: Cow<'a, Rootfs>,
    entries: BTreeMap<TreePath, Entry>,
    read_base: &'a ReadBase<'a>,
}

/// Why something cannot be put into the tree.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// A path of ours is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The tree does not take it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file that an effect needs cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A file that an effect needs is not what it must be.
    #[error("{path} is wrong: {reason}")]
    Wrong {
        /// The file.
        path: TreePath,
        /// What is wrong.
        reason: String,
    },
    /// There is something else.
    #[error("{path} must become {wanted}, and {what} stands there")]
    Taken {
        /// The path.
        path: TreePath,
        /// What should be there.
        wanted: &'static str,
        /// What is.
        what: Shown,
    },
}

impl<'a> Staging<'a> {
    /// Begins on top of a base; `read_base` gives the bytes of its files.
    pub fn new(base: Rootfs, read_base: &'a ReadBase<'a>) -> Self {
        Staging { view: Cow::Owned(base), entries: BTreeMap::new(), read_base }
    }

    /// Begins on top of what is below; that is copied when the first entry is put.
    pub fn on(below: &Below<'a>) -> Self {
        Staging { view: Cow::Borrowed(below.rootfs), entries: BTreeMap::new(), read_base: below.read }
    }

    /// What the image looks like now.
    pub fn view(&self) -> &Rootfs {
        &self.view
    }

    /// Whether this layer has put something at that very path.
    pub fn holds(&self, path: &TreePath) -> bool {
        self.entries.contains_key(path)
    }

    /// The entry that this layer has at that very path.
    pub fn entry(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entries of this layer, by path.
    pub fn entries(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// Whether something is at a path, its links followed.
    pub fn exists(&self, path: &str) -> bool {
        let path = TreePath::parse(path).ok().and_then(|path| self.view.resolve(&path).ok());
        path.is_some_and(|path| path.is_root() || self.view.get(&path).is_some())
    }

    /// Whether a directory is at a path, its links followed.
    pub fn is_directory(&self, path: &TreePath) -> bool {
        self.view.resolve(path).is_ok_and(|path| self.view.is_directory(&path))
    }

    /// The bytes of a file, links followed; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is too large to be what is looked for.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StagingError> {
        let path = TreePath::parse(path)?;
        let Ok(Some((path, _, located))) = self.view.file(&path) else { return Ok(None) };
        self.read_located(&path, located).map(Some)
    }

    /// The text of a file, links followed; empty where there is none.
    ///
    /// # Errors
    /// As [`Staging::read`]; also where it is no UTF-8.
    pub fn text(&self, path: &str) -> Result<Option<String>, StagingError> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        let wrong = |_| StagingError::Wrong {
            path: TreePath::parse(path).unwrap_or_default(),
            reason: "it is no UTF-8".to_owned(),
        };
        String::from_utf8(bytes).map(Some).map_err(wrong)
    }

    /// The bytes of a file of the view.
    ///
    /// # Errors
    /// As [`Staging::read`].
    pub fn read_located(&self, path: &TreePath, located: &Located) -> Result<Vec<u8>, StagingError> {
        let read = match located {
            Located::Content(content) => content.read_all(MAX_TEXT),
            Located::Layer { length, .. } if *length > MAX_TEXT => Err(io::Error::other("the file is too large")),
            Located::Layer { layer, offset, length } => (self.read_base)(*layer, *offset, *length),
            Located::Unknown { length: 0, .. } => Ok(Vec::new()),
            Located::Unknown { path, .. } => match self.view.kept_contents(path) {
                Some(content) => content.read_all(MAX_TEXT),
                None => Err(io::Error::other("the base was not read")),
            },
        };
        if let (Ok(bytes), Located::Content(_) | Located::Layer { .. }) = (&read, located) {
            self.view.was_read(path, bytes);
        }
        read.map_err(|source| StagingError::Read { path: path.clone(), source })
    }

    /// The bytes of a file of a base that was not read.
    fn unknown(&self, path: &TreePath, length: u64) -> io::Result<Vec<u8>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        self.view.needs_contents(path);
        Err(io::Error::other("the base was not read"))
    }

    /// A stretch of a file of the view: at most `length` bytes from `offset` on, fewer only where it ends.
    ///
    /// # Errors
    /// As [`Staging::read`].
    pub fn read_at(
        &self,
        path: &TreePath,
        located: &Located,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, StagingError> {
        if matches!(located, Located::Layer { length: whole, .. } if offset < *whole) {
            self.view.was_read_in_part(path);
        }
        self.stretch(located, offset, length).map_err(|source| StagingError::Read { path: path.clone(), source })
    }

    fn stretch(&self, located: &Located, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let part = |whole: u64| length.min(whole.saturating_sub(offset));
        match located {
            Located::Content(content) => content
                .open_part(offset.min(content.len()), part(content.len()))
                .map_err(io::Error::from)
                .and_then(|mut reader| {
                    let mut bytes = Vec::new();
                    io::Read::read_to_end(&mut reader, &mut bytes).map(|_| bytes)
                }),
            Located::Layer { length: whole, .. } if part(*whole) == 0 => Ok(Vec::new()),
            Located::Layer { layer, offset: start, length: whole } => {
                (self.read_base)(*layer, start.saturating_add(offset), part(*whole))
            }
            Located::Unknown { path, length: whole, .. } => self.unknown(path, part(*whole)),
        }
    }

    /// What a file of the view says of itself as a library; `None` where it is no ELF file, or a damaged one.
    ///
    /// # Errors
    /// As [`Staging::read`].
    pub fn head(&self, path: &TreePath, located: &Located) -> Result<Option<Head>, StagingError> {
        let failed = |source| StagingError::Read { path: path.clone(), source };
        if let Located::Unknown { path: at, length, .. } = located
            && *length > 0
        {
            return self.view.kept_head(at).ok_or_else(|| failed(io::Error::other("the base was not read")));
        }
        let head = self.elf(path, located)?.map(Head::from);
        self.view.was_head_read(path, head.as_ref());
        Ok(head)
    }

    /// The headers of a file of the view; `None` where it is no ELF file, or a damaged one: what cannot be loaded, such as
    /// test data, needs nothing.
    ///
    /// # Errors
    /// As [`Staging::read`].
    pub fn elf(&self, path: &TreePath, located: &Located) -> Result<Option<Elf>, StagingError> {
        match elf::read(|offset, length| self.stretch(located, offset, length)) {
            Ok(elf) => Ok(elf),
            Err(ElfError::Damaged(_)) => Ok(None),
            Err(ElfError::Io(source)) => Err(StagingError::Read { path: path.clone(), source }),
        }
    }

    /// Puts an entry at a path whose parents have been resolved, in the place of what is there.
    pub fn put(&mut self, path: TreePath, entry: Entry) {
        if let Some(kind) = self.node_kind(&entry.kind) {
            if !matches!(entry.kind, Kind::Directory) && self.view.below(&path).next().is_some() {
                self.drop_below(&path);
            }
            self.view.to_mut().put(path.clone(), Node { kind, mode: entry.mode, owner: entry.owner });
        }
        self.entries.insert(path, entry);
    }

    /// Before another file takes the place of one of this layer: its other names keep its bytes.
    pub fn keep_links_to(&mut self, path: &TreePath) {
        let Some(file) = self.entries.get(path).filter(|entry| matches!(entry.kind, Kind::File(_))).cloned() else {
            return;
        };
        let linked = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink(target) if target == path);
        let mut names = self
            .entries
            .iter()
            .filter(|(_, entry)| linked(entry))
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
            .into_iter();
        let Some(first) = names.next() else { return };
        self.put(first.clone(), file.clone());
        for name in names {
            self.put(name, Entry { kind: Kind::Hardlink(first.clone()), ..file.clone() });
        }
    }

    fn node_kind(&self, kind: &Kind) -> Option<NodeKind> {
        match kind {
            Kind::Directory => Some(NodeKind::Directory),
            Kind::File(content) => Some(NodeKind::File(Located::Content(content.clone()))),
            Kind::Symlink(target) => Some(NodeKind::Symlink(target.clone())),
            Kind::Hardlink(target) => self.view.get(target).map(|node| node.kind.clone()),
            Kind::Whiteout => None,
        }
    }

    fn drop_below(&mut self, path: &TreePath) {
        self.entries.retain(|other, _| other == path || other.strip_prefix(path).is_none());
    }

    /// Where a path leads once the links above its last component are followed.
    ///
    /// # Errors
    /// Where it leads nowhere.
    pub fn place(&self, path: &str) -> Result<TreePath, StagingError> {
        Ok(self.view.resolve_parent(&TreePath::parse(path)?)?)
    }

    /// A directory; one that is there stays as it is.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn directory(&mut self, path: &str, mode: u32, owner: Owner, origin: &Origin) -> Result<(), StagingError> {
        let path = self.place(path)?;
        if self.is_directory(&path) {
            return Ok(());
        }
        if let Some(node) = self.view.get(&path) {
            let what = Shown::new(format!("{:?}", kind_word(&node.kind)).as_bytes());
            return Err(StagingError::Taken { path, wanted: "a directory", what });
        }
        self.put(path, Entry::directory(mode, owner, origin.clone()));
        Ok(())
    }

    /// A directory of exactly this mode and owner.
    ///
    /// # Errors
    /// Where something else is there.
    pub fn owned_directory(
        &mut self,
        path: &str,
        mode: u32,
        owner: Owner,
        origin: &Origin,
    ) -> Result<(), StagingError> {
        self.directory(path, mode, owner, origin)?;
        let path = self.view.resolve(&TreePath::parse(path)?)?;
        self.put(path, Entry::directory(mode, owner, origin.clone()));
        Ok(())
    }

    /// A file with these bytes, in the place of what is there. A link that is there is replaced, not followed.
    ///
    /// # Errors
    /// Where a directory is there.
    pub fn file(
        &mut self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
        mode: u32,
        owner: Owner,
        origin: &Origin,
    ) -> Result<(), StagingError> {
        let path = self.place(path)?;
        if self.view.is_directory(&path) {
            return Err(StagingError::Taken { path, wanted: "a file", what: Shown::new(b"a directory") });
        }
        self.put(path, Entry::file(Content::inline(bytes.into()), mode, owner, origin.clone()));
        Ok(())
    }

    /// As [`Staging::file`], where nothing is there yet.
    ///
    /// # Errors
    /// Where the path leads nowhere.
    pub fn new_file(
        &mut self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
        mode: u32,
        owner: Owner,
        origin: &Origin,
    ) -> Result<(), StagingError> {
        let place = self.place(path)?;
        match self.view.get(&place) {
            Some(_) => Ok(()),
            None => self.file(path, bytes, mode, owner, origin),
        }
    }

    /// A symbolic link, in the place of a file or link that is there.
    ///
    /// # Errors
    /// Where a directory is there.
    pub fn symlink(&mut self, path: &str, target: &str, origin: &Origin) -> Result<(), StagingError> {
        let path = self.place(path)?;
        let there = self.view.get(&path).map(|node| node.kind.clone());
        match there {
            Some(NodeKind::Symlink(other)) if *other == *target.as_bytes() => return Ok(()),
            Some(NodeKind::Directory) => {
                return Err(StagingError::Taken { path, wanted: "a symlink", what: Shown::new(b"a directory") });
            }
            _ => {}
        }
        self.put(path, Entry::symlink(target.as_bytes(), Owner::ROOT, origin.clone()));
        Ok(())
    }

    /// As [`Staging::symlink`], where nothing is there yet.
    ///
    /// # Errors
    /// Where the path leads nowhere.
    pub fn new_symlink(&mut self, path: &str, target: &str, origin: &Origin) -> Result<(), StagingError> {
        let place = self.place(path)?;
        match self.view.get(&place) {
            Some(_) => Ok(()),
            None => self.symlink(path, target, origin),
        }
    }

    /// A symbolic link in the place of an empty directory that this layer made, or of nothing.
    ///
    /// # Errors
    /// Where the path leads nowhere.
    pub fn link_for_directory(&mut self, path: &str, target: &str, origin: &Origin) -> Result<(), StagingError> {
        let place = self.place(path)?;
        if self.view.is_directory(&place) {
            if !self.entries.contains_key(&place) || self.view.below(&place).next().is_some() {
                return Ok(());
            }
            self.view.to_mut().remove(&place);
            self.entries.remove(&place);
        }
        self.symlink(path, target, origin)
    }

    /// Sets mode and owner of what this layer has at a path; where it has nothing there, nothing happens.
    ///
    /// # Errors
    /// Where the path leads nowhere.
    pub fn set(&mut self, path: &str, mode: u32, owner: Owner) -> Result<(), StagingError> {
        let path = self.view.resolve(&TreePath::parse(path)?)?;
        let Some(mut entry) = self.entries.get(&path).cloned() else { return Ok(()) };
        (entry.mode, entry.owner) = (mode, owner);
        self.put(path, entry);
        Ok(())
    }

    /// Nothing is at a path of the layers below any more, nor under it; nothing is done where nothing is there.
    ///
    /// # Errors
    /// Where the path leads nowhere.
    pub fn remove(&mut self, path: &str, origin: &Origin) -> Result<(), StagingError> {
        let path = self.place(path)?;
        if self.view.get(&path).is_some() {
            self.drop_below(&path);
            self.view.to_mut().remove(&path);
            self.entries
                .insert(path, Entry { kind: Kind::Whiteout, ..Entry::directory(0, Owner::ROOT, origin.clone()) });
        }
        Ok(())
    }

    /// The layer's tree.
    ///
    /// # Errors
    /// Where the entries do not make one.
    pub fn into_tree(self, base: &Rootfs) -> Result<FileTree, StagingError> {
        let mut tree = FileTree::new();
        let origins: Vec<(TreePath, Origin)> =
            self.entries.iter().map(|(path, entry)| (path.clone(), entry.origin.clone())).collect();
        for (path, entry) in self.entries {
            tree.insert(path, entry)?;
        }
        for (path, origin) in origins {
            tree.insert_parents(&path, base, &Entry::directory(0o755, Owner::ROOT, origin))?;
        }
        tree.settle_links()?;
        Ok(tree)
    }
}

/// The word for a kind of node.
pub(super) fn kind_word(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Directory => "a directory",
        NodeKind::File(_) => "a file",
        NodeKind::Symlink(_) => "a symlink",
        NodeKind::Special => "a device or FIFO",
    }
}
