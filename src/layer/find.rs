//! Layers that were made before, by key.

use super::key::{KeyHasher, LayerKey};
use super::{Layer, LayerError, LayerForm, finished};
use crate::compress::Encoding;
use crate::machine;
use crate::oci::{Descriptor, DiffId, Digest, MediaType, json};
use crate::report::Task;
use crate::store::{BlobStore, StoreError, has_records, read_record, write_record};
use crate::tar::{Observer, read_tree};
use crate::tree::{Entry, FileTree, Kind, Origin, TreePath};

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

/// The layer of that key; `None` where there is none, or its blob is gone.
pub fn recall(store: &BlobStore, key: LayerKey, form: LayerForm) -> Option<Layer> {
    let found: Remembered = json::parse(&read_record(store, BUCKET, &key.hex())?).ok()?;
    let Remembered { key: of, diff_id, digest, size } = found;
    // Opened, so that its use is noted.
    store.content(&Descriptor::new(MediaType::Other(String::new()), digest, size)).ok()?;
    (of == key.to_string()).then(|| finished(form, digest, size, diff_id, key, true))
}

/// The key of a tree's layer: its contents are read.
///
/// # Errors
/// Where contents cannot be read, or a program is for another machine.
pub fn key_of(tree: &FileTree, form: LayerForm, machine: Option<u16>) -> Result<LayerKey, LayerError> {
    let mut hashing = Hashing::new(form.encoding, machine, None);
    read_tree(tree, &mut hashing)?;
    hashing.finish()
}

pub(super) fn remember(
    store: &BlobStore,
    key: LayerKey,
    diff_id: DiffId,
    digest: Digest,
    size: u64,
) -> Result<(), StoreError> {
    let bytes = json::canonical(&Remembered { key: key.to_string(), diff_id, digest, size }).unwrap_or_default();
    write_record(store, BUCKET, &key.hex(), &bytes)
}

/// Makes the key and the progress from what passes, and looks at what kind of programs there are.
pub(super) struct Hashing<'a> {
    key: KeyHasher,
    task: Option<&'a Task>,
    machine: Option<u16>,
    /// The file that begins to pass.
    fresh: Option<(TreePath, Origin)>,
    refused: Option<LayerError>,
}

impl<'a> Hashing<'a> {
    pub(super) fn new(encoding: Encoding, machine: Option<u16>, task: Option<&'a Task>) -> Self {
        Hashing { key: KeyHasher::new(encoding), task, machine, fresh: None, refused: None }
    }

    pub(super) fn finish(self) -> Result<LayerKey, LayerError> {
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
