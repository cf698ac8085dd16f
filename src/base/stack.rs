//! A stack of layers: an image's, from the lowest up, with the merged view of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::knowledge::Knowledge;
use super::listing::{Depth, Listing, ListingError, MAX_LAYER};
use super::reader::LayerReader;
use crate::compress::Decoder;
use crate::content::Content;
use crate::limits::Limits;
use crate::oci::{Compression, Descriptor, DiffId, Digest, Hasher};
use crate::place::{BlobSource, SourceError};
use crate::report::{Phase, Reporter};
use crate::store::{BlobStore, StoreError};
use crate::tree::{FileTree, Located, Missed, Misses, NodeKind, Rootfs, TreePath};

/// One layer of a stack.
#[derive(Clone)]
pub struct StackLayer {
    /// The stored blob.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Where the blob's bytes are.
    pub bytes: Arc<dyn BlobSource>,
    /// How much it may hold.
    pub limits: Limits,
}

/// Layers from the lowest up, and what they look like from above.
#[derive(Clone, Default)]
pub struct LayerStack {
    layers: Vec<StackLayer>,
    rootfs: Arc<Rootfs>,
    /// Where the base's layers were not read.
    unread: Option<Unread>,
    /// Whether it is noted what is asked.
    is_watched: bool,
    /// Whether who watched first watches the layers of a base.
    watches_base: bool,
}

/// A base whose layers were not read.
#[derive(Clone)]
struct Unread {
    /// How many of the stack's layers are its.
    layers: usize,
    /// What all stacks on it share once one of them reads it.
    view: Arc<Mutex<Option<Arc<Rootfs>>>>,
}

/// Why a base cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A layer's bytes cannot be had.
    #[error("reading layer {digest}")]
    Bytes {
        /// Which.
        digest: String,
        /// Why.
        source: SourceError,
    },
    /// A layer's contents are refused.
    #[error("reading layer {digest}")]
    Listing {
        /// Which.
        digest: String,
        /// Why.
        source: ListingError,
    },
    /// A layer is of a kind that cannot be read.
    #[error("layer {digest} is of the media type {media_type}, which is no layer that can be read")]
    MediaType {
        /// Which.
        digest: String,
        /// Its media type.
        media_type: String,
    },
    /// A file of a layer cannot be read.
    #[error("reading a file of layer {digest}")]
    File {
        /// Which layer.
        digest: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that was taken out of a layer cannot be read.
    #[error("reading {path} of the image")]
    Contents {
        /// The file.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// A file is in a base that was not read ([`LayerStack::known`]): see [`LayerStack::missed`].
    #[error("the contents of {path} are needed, and the base was not read")]
    Unread {
        /// The file.
        path: TreePath,
    },
    /// The manifest lists another number of layers than the config.
    #[error("the manifest of the image has {layers} layers, and its config has diff IDs of {diff_ids}")]
    Numbers {
        /// How many the manifest has.
        layers: usize,
        /// How many the config has.
        diff_ids: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StackLayer {
    /// Whether reading it takes nothing but what this machine has.
    pub fn is_at_hand(&self, store: &BlobStore) -> bool {
        let StackLayer { descriptor, diff_id, .. } = self;
        store.contains(descriptor) || Listing::load(store, descriptor.digest, *diff_id, Depth::Places).is_some()
    }
}

impl LayerStack {
    /// A stack of no layers: `scratch`.
    pub fn new() -> Self {
        Self::default()
    }

    /// A base of these layers, none of which is opened: what can be told of them is what an earlier build learned.
    /// Knowledge of other layers is no knowledge.
    pub fn known(layers: Vec<StackLayer>, knowledge: &Knowledge) -> Self {
        let known = if knowledge.is_of(identity(&layers)) { knowledge.known().clone() } else { Default::default() };
        let mut stack = LayerStack { layers, ..LayerStack::default() };
        stack.replace(Rootfs::partial(known, Misses::default()));
        stack
    }

    /// Puts layers on top that are not opened: what can be told of them and of all below them is what an earlier build learned.
    /// What is missing is said to `misses`.
    pub fn push_known(&mut self, layers: Vec<StackLayer>, knowledge: &Knowledge, misses: &Misses) {
        self.layers.extend(layers);
        self.replace(Rootfs::partial(knowledge.known().clone(), misses.clone()));
    }

    /// Puts layers on top that are not opened, and put things below these directories alone. Gives them back where all of
    /// the layers below is known: then there is nothing to save.
    pub fn push_hidden(&mut self, layers: Vec<StackLayer>, directories: &[TreePath]) -> Option<Vec<StackLayer>> {
        let Some(rootfs) = self.rootfs.hiding(directories) else { return Some(layers) };
        self.layers.extend(layers);
        self.replace(rootfs);
        None
    }

    /// The view becomes one of which only a part is known.
    fn replace(&mut self, partial: Rootfs) {
        self.rootfs = Arc::new(partial);
        self.unread = Some(Unread { layers: self.layers.len(), view: Arc::default() });
        self.is_watched = false;
        self.watches_base = false;
    }

    /// As [`LayerStack::watch`], where the layers are those of a base and nothing else.
    pub fn watch_base(&mut self) {
        self.watch();
        self.watches_base = true;
    }

    /// Notes from now on what is asked of the layers that are there now. Stacks that are made of this one share the notes.
    pub fn watch(&mut self) {
        Arc::make_mut(&mut self.rootfs).watch();
        self.is_watched = true;
    }

    /// The same stack, where the files of its layers from that one on are at hand as those of a layer are that was just
    /// made: whether a layer was found in the cache then plays no part in what is made of its files.
    ///
    /// # Errors
    /// Where such a layer cannot be read.
    pub fn at_hand(&self, from: usize, store: &BlobStore) -> std::io::Result<Self> {
        let mut layers: BTreeSet<usize> = BTreeSet::new();
        for (_, node) in self.rootfs.unwatched().on_top() {
            if let NodeKind::File(Located::Layer { layer, .. }) = &node.kind {
                layers.insert(*layer);
            }
        }
        layers.retain(|layer| *layer >= from);
        let mut stack = self.clone();
        if layers.is_empty() {
            return Ok(stack);
        }
        let reader = LayerReader::new(self, store);
        let mut files = BTreeMap::new();
        for layer in layers {
            let name: Arc<str> = self
                .layers
                .get(layer)
                .map_or("a layer".into(), |layer| format!("layer {}", layer.descriptor.digest).into());
            files.insert(layer, (reader.plain(layer)?, name));
        }
        Arc::make_mut(&mut stack.rootfs).relocate(|located| match located {
            Located::Layer { layer, offset, length } => {
                let (file, name) = files.get(layer)?;
                Some(Located::Content(Content::slice(file.clone(), name.clone(), *offset, *length)))
            }
            _ => None,
        });
        Ok(stack)
    }

    /// Whether it is noted what is asked.
    pub fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Whether layers of the base were not read.
    pub fn is_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// The same stack for what asks very much, and never over layers of this build that are not looked into: what it asks
    /// is noted of a base that is watched, and of nothing else.
    #[must_use]
    pub fn watched_base(&self) -> Self {
        if !self.watches_base {
            return self.unwatched();
        }
        LayerStack { rootfs: Arc::new(self.rootfs.watched_first()), ..self.clone() }
    }

    /// The same stack, where who watched last notes nothing more, and what was put on top since is on top of what those
    /// before watch. `None` where nobody watched before.
    pub fn less_watched(&self) -> Option<Self> {
        Some(LayerStack { rootfs: Arc::new(self.rootfs.less_watched()?), ..self.clone() })
    }

    /// The same stack, where nobody notes what is asked: for what looks at very much, and whose results are pinned.
    #[must_use]
    pub fn unwatched(&self) -> Self {
        let rootfs = Arc::new(self.rootfs.unwatched());
        LayerStack { rootfs, is_watched: false, watches_base: false, ..self.clone() }
    }

    /// What answers all that was asked since [`LayerStack::watch`], of this stack and of those that were made of it; nothing
    /// where nobody watches. `of` is what the layers are that are watched.
    pub fn learned(&self, of: Digest) -> Knowledge {
        self.rootfs.learned().map(|known| Knowledge::new(of, known)).unwrap_or_default()
    }

    /// The same where layers of this recipe are watched, on so many of a base.
    pub fn learned_above(&self, of: Digest, foreign: usize) -> Knowledge {
        self.rootfs.learned().map(|known| Knowledge::above(of, known, foreign)).unwrap_or_default()
    }

    /// The same stack, which says what it misses to nobody else.
    #[must_use]
    pub fn with_own_misses(&self) -> Self {
        let mut stack = self.unwatched();
        Arc::make_mut(&mut stack.rootfs).forget_misses();
        stack
    }

    /// The same stack, for one image: what it misses from now on is said to no other that stands on the same base. The base is
    /// read once for all of them all the same.
    #[must_use]
    pub fn for_one(&self) -> Self {
        let mut stack = self.clone();
        if stack.is_unread() {
            Arc::make_mut(&mut stack.rootfs).fork_misses();
        }
        stack
    }

    /// What was missed first: see [`LayerStack::misses`].
    pub fn missed(&self) -> Option<&Missed> {
        self.rootfs.missed()
    }

    /// Where it is said what was asked and is not known, of this stack or of another that was made of it; a new place where
    /// all is known. Stacks [`LayerStack::for_one`] have places of their own.
    ///
    /// Where something was missed, nothing is to be believed that was made since then, nor an error: [`LayerStack::read_base`]
    /// and begin again with the stack as it was.
    pub fn misses(&self) -> Misses {
        self.rootfs.misses().cloned().unwrap_or_default()
    }

    /// Reads the layers of a base that were not read; what was put on top without missing anything stays. Nothing happens
    /// where they were. The layers are read once for all stacks on the same [`LayerStack::known`]: whoever comes meanwhile waits.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn read_base(&mut self, store: &BlobStore, reporter: &Reporter) -> Result<(), BaseError> {
        let Some(unread) = &self.unread else { return Ok(()) };
        // Nothing is left half done where somebody panicked.
        let mut read = unread.view.lock().unwrap_or_else(PoisonError::into_inner);
        let view = match &*read {
            Some(view) => view.clone(),
            None => {
                let mut base = LayerStack::new();
                base.push_base(self.unread_layers().to_vec(), store, reporter)?;
                read.insert(base.rootfs).clone()
            }
        };
        drop(read);
        self.rootfs = Arc::new(self.rootfs.over(&view));
        self.unread = None;
        Ok(())
    }

    /// The layers that were not read, lowest first.
    pub fn unread_layers(&self) -> &[StackLayer] {
        let unread = self.unread.as_ref().map_or(0, |unread| unread.layers);
        self.layers.get(..unread).unwrap_or_default()
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[StackLayer] {
        &self.layers
    }

    /// What they look like from above.
    pub fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }

    /// Puts a finished layer on top whose tree is known.
    pub fn push(&mut self, layer: StackLayer, tree: impl Into<Arc<FileTree>>) {
        self.layers.push(layer);
        Arc::make_mut(&mut self.rootfs).lay(tree.into());
    }

    /// The trees of layers that were put on top of what the view was looked at with.
    pub fn trees(&self) -> &[Arc<FileTree>] {
        self.rootfs.unmerged()
    }

    /// Puts a tree on top of the view alone, as if it were a layer.
    pub fn look(&mut self, tree: &FileTree) {
        Arc::make_mut(&mut self.rootfs).apply(tree);
    }

    /// Puts layers of a base on top; each is read once, or known from an earlier build.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn push_base(
        &mut self,
        layers: Vec<StackLayer>,
        store: &BlobStore,
        reporter: &Reporter,
    ) -> Result<(), BaseError> {
        for layer in layers {
            let listing = layer.listing(Depth::Places, store, reporter)?;
            self.push_listed(layer, &listing)?;
        }
        Ok(())
    }

    /// Puts a layer on top that was listed already.
    ///
    /// # Errors
    /// Where it cannot be unpacked over what is below it.
    pub(crate) fn push_listed(&mut self, layer: StackLayer, listing: &Listing) -> Result<(), BaseError> {
        let number = self.layers.len();
        let digest = layer.descriptor.digest.to_string();
        listing
            .apply(Arc::make_mut(&mut self.rootfs), number)
            .map_err(|source| BaseError::Listing { digest, source })?;
        self.layers.push(layer);
        Ok(())
    }

    /// Contents of files, ready to be read: those of layers are decompressed into one temporary file, each layer read
    /// once, whatever the number of files.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn extract(&self, wanted: &[&Located], store: &BlobStore) -> Result<Vec<Content>, BaseError> {
        let mut spans: BTreeMap<usize, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for located in wanted {
            match located {
                Located::Layer { layer, offset, length } => {
                    spans.entry(*layer).or_default().insert((*offset, *length));
                }
                Located::Unknown { path, length: 1.., .. } => {
                    self.rootfs.needs_contents(path);
                    return Err(BaseError::Unread { path: path.clone() });
                }
                Located::Unknown { length: 0, .. } | Located::Content(_) => {}
            }
        }
        let mut found: BTreeMap<(usize, u64), Content> = BTreeMap::new();
        for (number, spans) in spans {
            let Some(layer) = self.layers.get(number) else { continue };
            let failed = |source| BaseError::File { digest: layer.descriptor.digest.to_string(), source };
            let (content, compression) = open(layer)?;
            let reader = content.open().map_err(|error| failed(error.into()))?;
            let mut decoder = Decoder::new(reader, compression).limited(layer.limits.unpacked(MAX_LAYER));
            let spool = tempfile::tempfile_in(store.tmp()).map_err(failed)?;
            let mut out = std::io::BufWriter::new(&spool);
            let mut places = Vec::new();
            let (mut position, mut written) = (0, 0);
            for (offset, length) in spans {
                let skip = offset.saturating_sub(position);
                std::io::copy(&mut decoder.by_ref().take(skip), &mut std::io::sink()).map_err(failed)?;
                let copied = std::io::copy(&mut decoder.by_ref().take(length), &mut out).map_err(failed)?;
                if copied != length {
                    return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
                }
                places.push((offset, written, length));
                position = offset + length;
                written += length;
            }
            // To the end, so that the blob's digest is checked before anything of it is used.
            std::io::copy(&mut decoder, &mut std::io::sink()).map_err(failed)?;
            out.flush().map_err(failed)?;
            drop(out);
            let spool = Arc::new(spool);
            let name: Arc<str> = format!("layer {}", layer.descriptor.digest).into();
            for (offset, at, length) in places {
                found.insert((number, offset), Content::slice(spool.clone(), name.clone(), at, length));
            }
        }
        let content = |located: &&Located| match located {
            Located::Content(content) => Some(content.clone()),
            Located::Layer { length: 0, .. } | Located::Unknown { length: 0, .. } => Some(Content::inline(Vec::new())),
            Located::Unknown { .. } => None,
            Located::Layer { layer, offset, .. } => found.get(&(*layer, *offset)).cloned(),
        };
        let missing = || BaseError::File { digest: "?".to_owned(), source: std::io::ErrorKind::NotFound.into() };
        wanted.iter().map(|located| content(located).ok_or_else(missing)).collect()
    }
}

impl StackLayer {
    /// What the layer holds: read once, or known from an earlier time.
    ///
    /// # Errors
    /// [`BaseError`].
    pub(crate) fn listing(&self, depth: Depth, store: &BlobStore, reporter: &Reporter) -> Result<Listing, BaseError> {
        let digest = self.descriptor.digest;
        if let Some(listing) = Listing::load(store, digest, self.diff_id, depth) {
            return Ok(listing);
        }
        let listing = scan(self, depth, reporter)?;
        listing.save(store, digest, depth)?;
        Ok(listing)
    }

    /// Reads the blob, and nothing that is remembered of it, to see that its tar has the diff ID.
    ///
    /// # Errors
    /// Where it has another, or cannot be read.
    pub(crate) fn check(&self, reporter: &Reporter) -> Result<(), BaseError> {
        scan(self, Depth::Contents, reporter).map(drop)
    }
}

/// What a stack of layers is, whatever its blobs are compressed with.
pub fn identity(layers: &[StackLayer]) -> Digest {
    let mut hasher = Hasher::new();
    for layer in layers {
        hasher.update(layer.diff_id.0.raw());
    }
    hasher.finish()
}

pub(super) fn open(layer: &StackLayer) -> Result<(Content, Compression), BaseError> {
    let digest = layer.descriptor.digest.to_string();
    let compression = layer.descriptor.media_type.compression().ok_or_else(|| BaseError::MediaType {
        digest: digest.clone(),
        media_type: layer.descriptor.media_type.to_string(),
    })?;
    let content = layer.bytes.blob(&layer.descriptor).map_err(|source| BaseError::Bytes { digest, source })?;
    Ok((content, compression))
}

fn scan(layer: &StackLayer, depth: Depth, reporter: &Reporter) -> Result<Listing, BaseError> {
    let digest = layer.descriptor.digest.to_string();
    let (content, compression) = open(layer)?;
    let whose = if depth == Depth::Places { "base layer" } else { "layer" };
    let subject = format!("{whose} {}", layer.descriptor.digest.short());
    let task = reporter.task(Phase::Unpack, subject, Some(layer.descriptor.size));
    let reader = content.open().map_err(|error| BaseError::File { digest: digest.clone(), source: error.into() })?;
    let counted = Counted { inner: reader, advance: |bytes| task.advance(bytes) };
    Listing::scan(counted, compression, layer.diff_id, depth, layer.limits)
        .map_err(|source| BaseError::Listing { digest, source })
}

struct Counted<R, F> {
    inner: R,
    advance: F,
}

impl<R: Read, F: Fn(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.advance)(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::oci::Family;
    use crate::place::testing::{Blobs, layer_of, tar_of};
    use crate::tree::{Entry, Origin, Owner, Placer};

    /// Blobs, and how often one was asked for.
    struct Counted {
        blobs: Blobs,
        opened: AtomicUsize,
    }

    impl BlobSource for Counted {
        fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            self.blobs.blob(descriptor)
        }
    }

    impl Counted {
        fn count(&self) -> usize {
            self.opened.swap(0, Ordering::Relaxed)
        }
    }

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn base(tool: &str) -> (Arc<Counted>, Vec<StackLayer>) {
        let lower = tar_of(&[("etc/", ""), ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), ("usr/", ""), ("tmp/", "")]);
        let upper = tar_of(&[("usr/", ""), ("usr/bin/", ""), ("usr/bin/tool", tool), ("usr/bin/other", "other")]);
        let layers = [lower, upper].map(|tar| layer_of(&tar, Family::Oci, Compression::Gzip));
        let blobs = layers.iter().map(|layer| (layer.descriptor.digest, Content::inline(layer.bytes.clone())));
        let source = Arc::new(Counted { blobs: blobs.collect(), opened: AtomicUsize::new(0) });
        let stacked = layers.into_iter().map(|layer| StackLayer {
            descriptor: layer.descriptor,
            diff_id: layer.diff_id,
            bytes: source.clone(),
            limits: Limits::default(),
        });
        let stacked = stacked.collect();
        (source, stacked)
    }

    fn store() -> (tempfile::TempDir, BlobStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        (directory, store)
    }

    /// A layer that asks a little, and looks at one file of the base.
    fn build(stack: &mut LayerStack) -> Vec<String> {
        let mut tree = FileTree::new();
        let mut placer = Placer::new(stack.rootfs(), &mut tree, Owner::ROOT, Origin::new("test"));
        let origin = Origin::new("test");
        placer.put(&path("app/x"), Entry::file(Content::inline(*b"x"), 0o644, Owner::ROOT, origin.clone())).unwrap();
        placer.rewrite(&path("usr/bin/tool"), Content::inline(*b"new"), 0o600, Owner::ROOT, origin).unwrap();
        stack.look(&tree);
        let passwd = match stack.rootfs().file(&path("etc/passwd")).unwrap() {
            Some((_, _, Located::Content(content))) => String::from_utf8(content.read_all(100).unwrap()).unwrap(),
            other => format!("{other:?}"),
        };
        let entries = tree.iter().map(|(path, entry)| format!("{path} {:o} {}", entry.mode, entry.owner));
        entries.chain([passwd]).collect()
    }

    fn contents(stack: &LayerStack, at: &str, store: &BlobStore) -> Result<Vec<u8>, BaseError> {
        let (_, _, located) = stack.rootfs().file(&path(at)).unwrap().unwrap();
        let content = stack.extract(&[located], store)?.remove(0);
        Ok(content.read_all(100).unwrap())
    }

    /// What a build teaches, and what it made.
    fn learn(layers: &[StackLayer]) -> (Knowledge, Vec<String>) {
        let (_directory, store) = store();
        let mut full = LayerStack::new();
        full.push_base(layers.to_vec(), &store, &Reporter::silent()).unwrap();
        full.watch();
        // What is made of it teaches it too; what looks at everything does so unseen.
        let made = build(&mut full.clone());
        assert!(full.unwatched().rootfs().iter().count() > 5);
        (full.learned(identity(full.layers())), made)
    }

    #[test]
    fn a_known_base_is_not_opened() {
        let (source, layers) = base("tool");
        let (knowledge, made) = learn(&layers);
        assert!(source.count() > 0);
        assert!(!knowledge.lines().concat().contains("other"), "{:?}", knowledge.lines());
        let mut known = LayerStack::known(layers, &knowledge);
        assert_eq!(build(&mut known), made);
        assert_eq!((known.missed(), known.layers().len(), source.count()), (None, 2, 0));
        assert!(LayerStack::new().learned(identity(&[])).is_empty() && known.learned(identity(&[])).is_empty());
    }

    #[test]
    fn what_is_missed_is_told_and_the_base_read_once() {
        let (source, layers) = base("tool");
        let (knowledge, made) = learn(&layers);
        source.count();
        let (_directory, store) = store();
        let known = LayerStack::known(layers, &knowledge);
        let mut on_top = known.clone();
        assert_eq!(build(&mut on_top), made);
        let mut again = known.clone();
        assert!(
            matches!(contents(&again, "usr/bin/tool", &store), Err(BaseError::Unread { path: at }) if at == path("usr/bin/tool"))
        );
        let missed = Some(Missed::Contents(path("usr/bin/tool")));
        assert_eq!((again.missed(), on_top.missed(), source.count()), (missed.as_ref(), missed.as_ref(), 0));

        again.read_base(&store, &Reporter::silent()).unwrap();
        assert_eq!(source.count(), 2);
        assert_eq!(contents(&again, "usr/bin/tool", &store).unwrap(), b"tool");
        assert_eq!(build(&mut again), made);
        assert_eq!(again.missed(), None);
        source.count();
        // Another on the same base has what it had on top, and reads nothing anew.
        on_top.read_base(&store, &Reporter::silent()).unwrap();
        assert_eq!(source.count(), 0);
        assert_eq!(contents(&on_top, "usr/bin/other", &store).unwrap(), b"other");
        assert_eq!(contents(&on_top, "usr/bin/tool", &store).unwrap(), b"new");
        assert!(on_top.rootfs().get(&path("app/x")).is_some() && on_top.missed().is_none());
        on_top.read_base(&store, &Reporter::silent()).unwrap();
    }

    /// Images that stand on one base side by side.
    #[test]
    fn what_one_image_misses_is_no_business_of_another_and_all_share_what_is_read() {
        let (source, layers) = base("tool");
        let (knowledge, made) = learn(&layers);
        source.count();
        let (_directory, store) = store();
        let known = LayerStack::known(layers, &knowledge);
        let (one, mut other) = (known.for_one(), known.for_one());
        let _ = contents(&one, "usr/bin/tool", &store).unwrap_err();
        assert_eq!(one.misses().first(), Some(&Missed::Contents(path("usr/bin/tool"))));
        assert_eq!(build(&mut other), made);
        assert_eq!((other.missed(), other.misses().first(), known.missed()), (None, None, None));
        assert_eq!(one.for_one().missed(), one.missed(), "what was missed before stays");
        assert_eq!(other.unread_layers().len(), 2);

        std::thread::scope(|scope| {
            for stack in [&one, &other, &known, &one, &other, &known] {
                let store = &store;
                scope.spawn(move || stack.clone().read_base(store, &Reporter::silent()).unwrap());
            }
        });
        assert_eq!(source.count(), 2, "each layer once");
    }

    #[test]
    fn knowledge_of_other_layers_is_none() {
        let (knowledge, _) = learn(&base("tool").1);
        let (source, layers) = base("another");
        assert!(!knowledge.is_of(identity(&layers)) && !knowledge.is_of(identity(&layers[..1])));
        let known = LayerStack::known(layers, &knowledge);
        assert!(known.rootfs().get(&path("usr/bin/tool")).is_none());
        let missed = known.missed().unwrap();
        assert_eq!((missed, source.count()), (&Missed::Path(path("usr/bin/tool")), 0));
        assert_eq!(missed.to_string(), "/usr/bin/tool was not known: lock again to avoid reading the base");
    }

    #[test]
    fn empty_files_are_known_by_their_length() {
        let (_, layers) = base("");
        let (knowledge, _) = learn(&layers);
        let (_directory, store) = store();
        let known = LayerStack::known(layers, &knowledge);
        assert_eq!(contents(&known, "usr/bin/tool", &store).unwrap(), b"");
        assert_eq!(known.missed(), None);
    }
}
