//! Layers that were made before, by key.

use std::time::SystemTime;
use std::vec;

use super::key::{KeyHasher, LayerKey};
use super::write::Means;
use super::{Layer, LayerError, LayerForm, finished};
use crate::compress::Encoding;
use crate::content::{Content, HostFile};
use crate::oci::{Descriptor, DiffId, Digest, MediaType, json};
use crate::report::Task;
use crate::store::{BlobStore, FileHash, FileHashes, Near, StoreError, has_records, read_record, write_record};
use crate::tar::{Observer, WriteError, ordered, read_contents, read_tree};
use crate::tree::{Entry, FileTree, Kind, TreePath};
use crate::{machine, parallel};

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

/// The key of a tree's layer. Files of the context of which it is not known what they hold are read, side by side.
///
/// # Errors
/// Where contents cannot be read, or a program is for another machine.
pub fn key_of(
    tree: &FileTree,
    form: LayerForm,
    machine: Option<u16>,
    means: &Means<'_>,
) -> Result<LayerKey, LayerError> {
    let mut files = Vec::new();
    for (path, entry) in ordered(tree) {
        if let Kind::File(Content::Host(file)) = &entry.kind {
            files.push((path, entry, file));
        }
    }
    let pieces: Vec<_> = files.chunks(PIECE).collect();
    let look = |near: &mut Near, piece: &&[(_, _, &HostFile)]| -> Vec<Option<FileHash>> {
        piece.iter().map(|(_, _, file)| known_hash(file, means.hashes, near)).collect()
    };
    let mut known = parallel::map_with(&pieces, means.jobs, Near::default, look).concat();
    let unknown: Vec<_> = files.iter().zip(&mut known).filter(|(_, known)| known.is_none()).collect();
    let start = || vec![0; BUFFER];
    let read =
        parallel::map_with(&unknown, means.jobs, start, |buffer, ((path, entry, file), _)| -> Result<_, WriteError> {
            let since = SystemTime::now();
            let hash = hash_contents(path, entry, &Content::Host((*file).clone()), buffer)?;
            if let Some(hashes) = means.hashes {
                hashes.note(file, since, hash);
            }
            Ok(hash)
        });
    for ((_, known), read) in unknown.into_iter().zip(read) {
        // Whoever came first, the error that is told is that of the first path.
        *known = Some(read?);
    }
    let known = known.into_iter().flatten().collect();
    let mut hashing = Hashing::reading(form.encoding, machine, known);
    read_tree(tree, &mut hashing)?;
    hashing.finish()
}

/// How many files one thread looks up at once.
const PIECE: usize = 4096;

/// Bytes of contents that are hashed at once.
const BUFFER: usize = 128 << 10;

fn hash_contents(path: &TreePath, entry: &Entry, content: &Content, buffer: &mut [u8]) -> Result<FileHash, WriteError> {
    let mut hasher = blake3::Hasher::new();
    let mut machine = None;
    read_contents(path, entry, content, buffer, |bytes| {
        if hasher.count() == 0 {
            machine = machine::of_program(bytes);
        }
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(FileHash { hash: *hasher.finalize().as_bytes(), machine })
}

/// What a file of the context holds, where that is known.
fn known_hash(file: &HostFile, hashes: Option<&FileHashes>, near: &mut Near) -> Option<FileHash> {
    // Whether it has the digest that it is to have is found out by reading it.
    match file.known_digest() {
        Some(_) => None,
        None => hashes?.find(file.identity(), near),
    }
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
    machine: Option<u16>,
    refused: Option<LayerError>,
    mode: Mode<'a>,
    /// Of the file that passes; `None` before its first bytes.
    program: Option<Option<u16>>,
}

/// Why a tree passes.
enum Mode<'a> {
    /// It is written, and all contents pass.
    Writing {
        task: &'a Task,
        hashes: Option<&'a FileHashes>,
        /// The file of the context that passes.
        passing: Option<HostFile>,
        /// When the first file may have been read: some are read ahead.
        since: SystemTime,
    },
    /// Its key is wanted, and only what is not known of the contents.
    Reading {
        /// What the files of the context hold, in the order of the tree.
        known: vec::IntoIter<FileHash>,
    },
}

impl<'a> Hashing<'a> {
    pub(super) fn writing(
        encoding: Encoding,
        machine: Option<u16>,
        task: &'a Task,
        hashes: Option<&'a FileHashes>,
    ) -> Self {
        Self::new(encoding, machine, Mode::Writing { task, hashes, passing: None, since: SystemTime::now() })
    }

    fn reading(encoding: Encoding, machine: Option<u16>, known: Vec<FileHash>) -> Self {
        Self::new(encoding, machine, Mode::Reading { known: known.into_iter() })
    }

    fn new(encoding: Encoding, machine: Option<u16>, mode: Mode<'a>) -> Self {
        Hashing { key: KeyHasher::new(encoding), machine, refused: None, mode, program: None }
    }

    pub(super) fn finish(mut self) -> Result<LayerKey, LayerError> {
        self.end_contents();
        match self.refused {
            Some(error) => Err(error),
            None => Ok(self.key.finish()),
        }
    }

    /// What passed is whole: nothing comes after contents that are not what was found.
    fn end_contents(&mut self) {
        let (hash, program) = (self.key.end_contents(), self.program.take());
        if let (Mode::Writing { hashes: Some(hashes), passing, since, .. }, Some(hash)) = (&mut self.mode, hash)
            && let Some(file) = passing.take()
        {
            hashes.note(&file, *since, FileHash { hash, machine: program.flatten() });
        }
    }

    fn refuse_others(&mut self, path: &TreePath, entry: &Entry, program: Option<u16>) {
        if let (Some(found), Some(wanted), None) = (program, self.machine, &self.refused)
            && !machine::runs(wanted, found)
        {
            self.refused = Some(LayerError::Machine {
                path: path.clone(),
                origin: entry.origin.to_string(),
                found: machine::name(found),
                wanted: machine::name(wanted),
            });
        }
    }
}

impl Observer for Hashing<'_> {
    fn entry(&mut self, path: &TreePath, entry: &Entry) {
        self.end_contents();
        self.key.entry(path, entry);
        if let (Mode::Writing { hashes: Some(_), passing, .. }, Kind::File(content)) = (&mut self.mode, &entry.kind) {
            *passing = match content {
                Content::Host(file) => Some(file.clone()),
                _ => None,
            };
        }
    }

    fn contents(&mut self, path: &TreePath, entry: &Entry, bytes: &[u8]) {
        if self.program.is_none() {
            let program = machine::of_program(bytes);
            self.program = Some(program);
            self.refuse_others(path, entry, program);
        }
        self.key.contents(path, entry, bytes);
        if let Mode::Writing { task, .. } = &self.mode {
            task.advance(bytes.len() as u64);
        }
    }

    fn knows(&mut self, path: &TreePath, entry: &Entry) -> bool {
        let Mode::Reading { known } = &mut self.mode else { return false };
        let Kind::File(Content::Host(file)) = &entry.kind else { return false };
        let Some(found) = known.next() else { return false };
        self.key.known_contents(file.identity().size, &found.hash);
        self.refuse_others(path, entry, found.machine);
        true
    }
}
