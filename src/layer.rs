//! From a tree to a layer: a finished blob in the store, with its diff ID.

use std::io;

use crate::compress::{ChunkId, EncodeError, Encoder, Encoding, KnownChunks, Sink};
use crate::debian::effects::EFFECTS;
use crate::key::{FORMAT, KeyHasher, LayerKey};
use crate::machine;
use crate::oci::{Descriptor, DiffId, Digest, Family, Hasher, MediaType, annotation, json};
use crate::report::{Phase, Reporter, Task};
use crate::store::{BlobStore, BlobWriter, ChunkIndex, ChunkSpan, StoreError, has_records, read_record, write_record};
use crate::tar::{Observer, WriteError, read_tree, tar_length, write_tree};
use crate::tree::{Entry, FileTree, Kind, Origin, TreePath};

/// A finished blob plus diff ID, and the key that it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The stored blob, with key and diff ID as annotations.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// What it was made from.
    pub key: LayerKey,
    /// Whether it was there already.
    pub reused: bool,
}

/// How layers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerForm {
    /// Compression and level.
    pub encoding: Encoding,
    /// Whose media types.
    pub family: Family,
}

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tar could not be written.
    #[error(transparent)]
    Tar(#[from] WriteError),
    /// It could not be compressed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program for another machine.
    #[error(
        "{path} ({origin}) is a program for {found}, and the image is for another machine ({wanted}): copy the one that \
         fits (paths may hold `{{arch}}`), or leave it out with `exclude`"
    )]
    Machine {
        /// Where it would land.
        path: TreePath,
        /// Where it comes from.
        origin: String,
        /// The machine that it is for.
        found: String,
        /// The machine of the image.
        wanted: String,
    },
    /// A file changed between the two times it was read.
    #[error("files changed between being looked at and being written: build again when nothing writes to the context")]
    Changed,
}

/// Whether layers that are remembered may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// A layer with the same key is taken as it is: contents are read to know the key, and again where it is new.
    Allowed,
    /// There is nothing to find: contents are read once.
    NothingKnown,
    /// Everything is written anew.
    Never,
}

/// Makes the layer of a tree, or finds it. `machine` is the ELF machine of the image's platform: programs for others are
/// refused.
///
/// # Errors
/// [`LayerError`]: where contents change meanwhile, nothing is remembered.
#[expect(clippy::too_many_arguments, reason = "each is another kind of thing, and there is one caller")]
pub fn make(
    tree: &FileTree,
    form: LayerForm,
    machine: Option<u16>,
    name: &str,
    store: &BlobStore,
    jobs: usize,
    reuse: Reuse,
    reporter: &Reporter,
) -> Result<Layer, LayerError> {
    let mut expected = None;
    if reuse == Reuse::Allowed {
        let mut hashing = Hashing::new(form.encoding, machine, None);
        read_tree(tree, &mut hashing)?;
        let key = hashing.finish()?;
        if let Some(Remembered { diff_id, digest, size, .. }) = recall(store, key) {
            let descriptor = Descriptor::new(MediaType::Other(String::new()), digest, size);
            // Opened, so that its use is noted.
            if store.content(&descriptor).is_ok() {
                return Ok(finished(form, digest, size, diff_id, key, true));
            }
        }
        expected = Some(key);
    }

    let task = reporter.task(Phase::Compress, name, Some(tar_length(tree)));
    let chunks = ChunkIndex::open(store)?;
    let found: &dyn KnownChunks = if reuse == Reuse::Never { &() } else { &chunks };
    let mut writer = StoreSink { writer: store.writer()?, chunks: Vec::new(), failed: None };
    let mut hashing = Hashing::new(form.encoding, machine, Some(&task));
    let mut diff_id = Hasher::new();
    let written = Encoder::run(form.encoding, jobs, found, &mut writer, |out| {
        let mut tee = Tee { out, hasher: &mut diff_id };
        write_tree(tree, &mut tee, &mut hashing).map_err(LayerError::from)
    });
    if let Some(error) = writer.failed {
        return Err(error.into());
    }
    written?;
    let key = hashing.finish()?;
    if expected.is_some_and(|expected| expected != key) {
        return Err(LayerError::Changed);
    }
    let diff_id = DiffId(diff_id.finish());
    let (digest, size) = writer.writer.finish()?;
    chunks.note(&digest, &writer.chunks);
    remember(store, key, diff_id, digest, size)?;
    Ok(finished(form, digest, size, diff_id, key, false))
}

fn finished(form: LayerForm, digest: Digest, size: u64, diff_id: DiffId, key: LayerKey, reused: bool) -> Layer {
    let media_type = MediaType::Layer(form.family, form.encoding.compression());
    let descriptor = Descriptor::new(media_type, digest, size)
        .annotated(annotation::LAYER_KEY, key.to_string())
        .annotated(annotation::LAYER_DIFF_ID, diff_id.to_string());
    Layer { descriptor, diff_id, key, reused }
}

/// The bucket of what is remembered of layers; the number changes with its form.
const BUCKET: &str = "layers-v2";

/// What is remembered under a key.
#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    key: String,
    diff_id: DiffId,
    digest: Digest,
    size: u64,
}

/// Whether any layer is remembered: where none is, nothing can be found, and each file is read once.
pub fn remembers_any(store: &BlobStore) -> bool {
    has_records(store, BUCKET)
}

fn recall(store: &BlobStore, key: LayerKey) -> Option<Remembered> {
    let found: Remembered = json::parse(&read_record(store, BUCKET, &key.hex())?).ok()?;
    (found.key == key.to_string()).then_some(found)
}

fn remember(store: &BlobStore, key: LayerKey, diff_id: DiffId, digest: Digest, size: u64) -> Result<(), StoreError> {
    let bytes = json::canonical(&Remembered { key: key.to_string(), diff_id, digest, size }).unwrap_or_default();
    write_record(store, BUCKET, &key.hex(), &bytes)
}

/// What a layer of packages comes from: pins, options, and the layers below. Where it is known, nothing of the packages is
/// fetched or unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan(blake3::Hash);

impl Plan {
    /// The plan of a layer of that form on top of layers with these diff IDs, lowest first. `parts` are everything else
    /// that can change the tree, in a fixed order.
    pub fn new<'a>(
        form: LayerForm,
        below: impl Iterator<Item = DiffId>,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(b"lapstrake plan 1");
        add(&FORMAT.to_le_bytes());
        add(&EFFECTS.to_le_bytes());
        add(form.encoding.id().as_bytes());
        for diff_id in below {
            add(diff_id.0.raw());
        }
        add(b"parts");
        for part in parts {
            add(part.as_bytes());
        }
        Plan(hasher.finalize())
    }
}

/// The bucket of what is remembered of plans.
const PLANS: &str = "plans-v1";

/// What is remembered of a plan.
#[derive(serde::Serialize, serde::Deserialize)]
struct Carried {
    key: LayerKey,
    diff_id: DiffId,
    digest: Digest,
    size: u64,
    newest: Option<i64>,
}

/// The layer that was made of that plan, and the newest time inside what it came from; `None` where its blob is gone.
pub fn recall_plan(store: &BlobStore, plan: Plan, form: LayerForm) -> Option<(Layer, Option<i64>)> {
    let Carried { key, diff_id, digest, size, newest } =
        json::parse(&read_record(store, PLANS, &plan.0.to_hex())?).ok()?;
    store.content(&Descriptor::new(MediaType::Other(String::new()), digest, size)).ok()?;
    Some((finished(form, digest, size, diff_id, key, true), newest))
}

/// Whether it is remembered that a plan came to nothing that would have to be made.
pub fn recall_nothing(store: &BlobStore, plan: Plan) -> bool {
    read_record(store, PLANS, &plan.0.to_hex()).is_some_and(|record| record == NOTHING)
}

/// Remembers that a plan came to nothing.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_nothing(store: &BlobStore, plan: Plan) -> Result<(), StoreError> {
    write_record(store, PLANS, &plan.0.to_hex(), NOTHING)
}

const NOTHING: &[u8] = b"null";

/// Remembers what a plan came to.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_plan(store: &BlobStore, plan: Plan, layer: &Layer, newest: Option<i64>) -> Result<(), StoreError> {
    let Descriptor { digest, size, .. } = layer.descriptor;
    let carried = Carried { key: layer.key, diff_id: layer.diff_id, digest, size, newest };
    write_record(store, PLANS, &plan.0.to_hex(), &json::canonical(&carried).unwrap_or_default())
}

/// Puts compressed bytes into the store; keeps the error that stopped it as it was.
struct StoreSink {
    writer: BlobWriter,
    /// Where each chunk lies in the blob.
    chunks: Vec<ChunkSpan>,
    failed: Option<StoreError>,
}

impl Sink for StoreSink {
    fn take(&mut self, bytes: &[u8], chunk: Option<ChunkId>) -> io::Result<()> {
        if let Some(id) = chunk {
            let check = *blake3::hash(bytes).as_bytes();
            self.chunks.push(ChunkSpan { id, offset: self.writer.length(), length: bytes.len() as u64, check });
        }
        self.writer.append(bytes).map_err(|error| {
            self.failed = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

/// Makes the key and the progress from what passes, and looks at what kind of programs there are.
struct Hashing<'a> {
    key: KeyHasher,
    task: Option<&'a Task>,
    machine: Option<u16>,
    /// The file that begins to pass.
    fresh: Option<(TreePath, Origin)>,
    refused: Option<LayerError>,
}

impl<'a> Hashing<'a> {
    fn new(encoding: Encoding, machine: Option<u16>, task: Option<&'a Task>) -> Self {
        Hashing { key: KeyHasher::new(encoding), task, machine, fresh: None, refused: None }
    }

    fn finish(self) -> Result<LayerKey, LayerError> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(self.key.finish()),
        }
    }
}

impl Observer for Hashing<'_> {
    fn entry(&mut self, path: &TreePath, entry: &Entry) {
        self.fresh = matches!(entry.kind, Kind::File(_)).then(|| (path.clone(), entry.origin.clone()));
        self.key.entry(path, entry);
    }

    fn contents(&mut self, bytes: &[u8]) {
        if let (Some((path, origin)), Some(wanted)) = (self.fresh.take(), self.machine)
            && self.refused.is_none()
            && let Some(found) = machine::of_program(bytes)
            && !machine::runs(wanted, found)
        {
            self.refused = Some(LayerError::Machine {
                path,
                origin: origin.to_string(),
                found: machine::name(found),
                wanted: machine::name(wanted),
            });
        }
        self.key.contents(bytes);
        if let Some(task) = self.task {
            task.advance(bytes.len() as u64);
        }
    }
}

struct Tee<'a> {
    out: &'a mut dyn io::Write,
    hasher: &'a mut Hasher,
}

impl io::Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::tree::Owner;

    const FORM: LayerForm = LayerForm { encoding: Encoding::GZIP, family: Family::Oci };

    fn tree(text: &str) -> FileTree {
        let mut tree = FileTree::new();
        let entry = Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, Origin::new("test"));
        tree.insert(TreePath::parse("etc/motd").unwrap(), entry).unwrap();
        tree
    }

    #[test]
    fn the_second_time_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let make =
            |text: &str, reuse| make(&tree(text), FORM, None, "test", &store, 2, reuse, &Reporter::silent()).unwrap();
        let first = make("hello\n", Reuse::Allowed);
        assert!(!first.reused);
        assert_eq!(first.diff_id, crate::tar::write::diff_id(&tree("hello\n")).unwrap());
        assert_eq!(first.descriptor.annotations[annotation::LAYER_DIFF_ID], first.diff_id.to_string());

        let second = make("hello\n", Reuse::Allowed);
        assert_eq!(Layer { reused: false, ..second.clone() }, first);
        assert!(second.reused);
        assert!(!make("hello\n", Reuse::Never).reused);
        assert!(!make("other\n", Reuse::Allowed).reused);

        // A changed file in a large tree: all but the chunks next to it are found in the layer before.
        let large = |change: &str| {
            let mut tree = tree("x");
            for number in 0..200 {
                let text = if number == 100 {
                    change.to_owned()
                } else {
                    (0..500)
                        .map(|part| blake3::hash(format!("{number} {part}").as_bytes()).to_hex().to_string())
                        .collect()
                };
                let entry = Entry::file(Content::inline(text.into_bytes()), 0o644, Owner::ROOT, Origin::new("test"));
                tree.insert(TreePath::parse(format!("large/{number:03}")).unwrap(), entry).unwrap();
            }
            tree
        };
        let before =
            super::make(&large("a"), FORM, None, "test", &store, 2, Reuse::Allowed, &Reporter::silent()).unwrap();
        let known = || {
            walkdir::WalkDir::new(store.bucket("chunks-v1").unwrap())
                .into_iter()
                .filter(|e| e.as_ref().unwrap().file_type().is_file())
                .count()
        };
        let chunks = known();
        assert!(chunks > 4, "{chunks}");
        let after =
            super::make(&large("b"), FORM, None, "test", &store, 2, Reuse::Allowed, &Reporter::silent()).unwrap();
        assert_ne!(before.descriptor.digest, after.descriptor.digest);
        assert!(known() <= chunks + 2, "{} then {}", chunks, known());
        let anew = super::make(&large("b"), FORM, None, "test", &store, 2, Reuse::Never, &Reporter::silent()).unwrap();
        assert_eq!(anew, after, "found or made, the bytes are the same");

        // A blob that is gone is made again.
        store.forget(&first.descriptor.digest);
        assert_eq!(make("hello\n", Reuse::Allowed), first);
    }
}
