//! Writing a layer: a tree as a tar, compressed, digested and stored in one pass.

use std::io;
use std::sync::Arc;

use super::find::{Hashing, Reuse, key_of, recall, remember};
use super::{Budget, Elsewhere, Found, Layer, LayerForm, LayerKey, finished};
use crate::compress::{ChunkId, EncodeError, Encoder, KnownChunks, Sink};
use crate::oci::{DiffId, Hasher};
use crate::report::{Phase, Reporter};
use crate::store::{BlobStore, BlobWriter, ChunkIndex, ChunkSpan, FileHashes, StoreError};
use crate::tar::{WriteError, tar_length, write_tree_ahead};
use crate::tree::{FileTree, TreePath};

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

/// What layers are made with, and what is known already.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// Where layers are found, and go.
    pub store: &'a BlobStore,
    /// What files of the context are known to hold; what is read is noted there.
    pub hashes: Option<&'a FileHashes>,
    /// Threads for reading and compressing.
    pub jobs: usize,
    /// Memory for writing, shared by all layers that are made side by side.
    pub budget: &'a Budget,
    /// Whether layers that are remembered may be taken.
    pub reuse: Reuse,
    /// Who hears what happens.
    pub reporter: &'a Reporter,
}

/// Makes the layer of a tree, or finds it: in the store, or else where layers were pushed. `machine` is the ELF machine of the image's platform: programs for others are
/// refused.
///
/// # Errors
/// [`LayerError`]: where contents change meanwhile, nothing is remembered of the layer.
pub fn make(
    tree: &FileTree,
    form: LayerForm,
    machine: Option<u16>,
    name: &str,
    means: &Means<'_>,
    elsewhere: &dyn Elsewhere,
) -> Result<Found, LayerError> {
    let stored = |layer| Found { layer, bytes: Arc::new(means.store.clone()) };
    let mut expected = None;
    if means.reuse == Reuse::Allowed {
        let key = key_of(tree, form, machine, means)?;
        let found = recall(means.store, key, form).map(stored).or_else(|| elsewhere.find(key, form));
        if let Some(found) = found {
            return Ok(found);
        }
        expected = Some(key);
    }
    write(tree, form, machine, name, means, expected).map(stored)
}

/// Writes the layer of a tree. Where its contents were read before, what passes must have the key that they gave then.
fn write(
    tree: &FileTree,
    form: LayerForm,
    machine: Option<u16>,
    name: &str,
    means: &Means<'_>,
    expected: Option<LayerKey>,
) -> Result<Layer, LayerError> {
    let Means { store, hashes, jobs, budget, reuse, reporter } = *means;
    let length = tar_length(tree);
    let _share = budget.take(length);
    // Of more threads than it has chunks, some would have nothing to do.
    let chunks = form.encoding.chunk_length().map_or(1, |mean| length / mean as u64 + 1);
    let jobs = jobs.min(usize::try_from(chunks).unwrap_or(usize::MAX));
    let task = reporter.task(Phase::Compress, name, Some(length));
    let chunks = ChunkIndex::open(store)?;
    let found: &dyn KnownChunks = if reuse == Reuse::Never { &() } else { &chunks };
    let mut writer = StoreSink { writer: store.writer()?, chunks: Vec::new(), failed: None };
    let mut hashing = Hashing::writing(form.encoding, machine, &task, hashes);
    let mut diff_id = Hasher::new();
    let written = Encoder::run(form.encoding, jobs, found, &mut diff_id, &mut writer, |out| {
        write_tree_ahead(tree, jobs, out, &mut hashing).map_err(LayerError::from)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Encoding;
    use crate::content::{Content, FileIdentity};
    use crate::oci::{Family, annotation};
    use crate::store::FileHash;
    use crate::tree::{Entry, Origin, Owner};

    fn made(tree: &FileTree, means: &Means<'_>, machine: Option<u16>) -> Result<Layer, LayerError> {
        make(tree, FORM, machine, "test", means, &()).map(|found| found.layer)
    }

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
        let reporter = Reporter::silent();
        let make_tree = |tree: &FileTree, reuse| {
            let means =
                Means { store: &store, hashes: None, jobs: 2, budget: &Budget::default(), reuse, reporter: &reporter };
            made(tree, &means, None).unwrap()
        };
        let make = |text: &str, reuse| make_tree(&tree(text), reuse);
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
        let before = make_tree(&large("a"), Reuse::Allowed);
        let known = || {
            walkdir::WalkDir::new(store.bucket("chunks-v1").unwrap())
                .into_iter()
                .filter(|e| e.as_ref().unwrap().file_type().is_file())
                .count()
        };
        let chunks = known();
        assert!(chunks > 4, "{chunks}");
        let after = make_tree(&large("b"), Reuse::Allowed);
        assert_ne!(before.descriptor.digest, after.descriptor.digest);
        assert!(known() <= chunks + 2, "{} then {}", chunks, known());
        let anew = make_tree(&large("b"), Reuse::Never);
        assert_eq!(anew, after, "found or made, the bytes are the same");

        // A blob that is gone is made again.
        store.forget(&first.descriptor.digest);
        assert_eq!(make("hello\n", Reuse::Allowed), first);
    }

    /// A context with one file, which was left alone long enough to be believed, and a cache.
    fn context(bytes: &[u8]) -> (tempfile::TempDir, BlobStore, FileTree) {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let identity = FileIdentity::of(&rustix::fs::stat(&path).unwrap());
        let mut tree = FileTree::new();
        let entry = Entry::file(Content::host(&path, identity), 0o644, Owner::ROOT, Origin::new("test"));
        tree.insert(TreePath::parse("file").unwrap(), entry).unwrap();
        (directory, store, tree)
    }

    #[test]
    fn files_that_are_known_are_not_read() {
        for first in [Reuse::NothingKnown, Reuse::Allowed] {
            let (directory, store, tree) = context(b"hello");
            let run = |reuse| {
                let hashes = FileHashes::new(&store, directory.path());
                let reporter = Reporter::silent();
                let means = Means {
                    store: &store,
                    hashes: Some(&hashes),
                    jobs: 2,
                    budget: &Budget::default(),
                    reuse,
                    reporter: &reporter,
                };
                made(&tree, &means, None)
            };
            let made = run(first).unwrap();
            // What cannot be opened was not read.
            std::fs::remove_file(directory.path().join("file")).unwrap();
            assert_eq!(run(Reuse::Allowed).unwrap(), Layer { reused: true, ..made });
            assert!(matches!(run(Reuse::Never), Err(LayerError::Tar(_))));
        }
    }

    #[test]
    fn programs_for_other_machines_are_refused_unread() {
        let mut program = [0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (program[16], program[18]) = (2, 183);
        let (directory, store, tree) = context(&program);
        let run = |machine, reuse| {
            let hashes = FileHashes::new(&store, directory.path());
            let reporter = Reporter::silent();
            let means = Means {
                store: &store,
                hashes: Some(&hashes),
                jobs: 2,
                budget: &Budget::default(),
                reuse,
                reporter: &reporter,
            };
            made(&tree, &means, Some(machine))
        };
        assert!(matches!(run(62, Reuse::NothingKnown), Err(LayerError::Machine { .. })));
        std::fs::remove_file(directory.path().join("file")).unwrap();
        assert!(matches!(run(62, Reuse::Allowed), Err(LayerError::Machine { .. })));
        // Right, but not there any more when the layer is written.
        assert!(matches!(run(183, Reuse::Allowed), Err(LayerError::Tar(_))));
    }

    #[test]
    fn what_passes_takes_the_place_of_what_was_believed() {
        let (directory, store, tree) = context(b"hello");
        let content = tree.iter().find_map(|(_, entry)| match &entry.kind {
            crate::tree::Kind::File(content) => Some(content.clone()),
            _ => None,
        });
        let file = content.unwrap();
        let reporter = Reporter::silent();
        let run = |believed: Option<FileHash>| {
            let hashes = FileHashes::new(&store, directory.path());
            if let Some(believed) = believed {
                hashes.note(file.host_file().unwrap(), std::time::SystemTime::now(), believed);
            }
            let reuse = Reuse::Allowed;
            made(
                &tree,
                &Means {
                    store: &store,
                    hashes: Some(&hashes),
                    jobs: 2,
                    budget: &Budget::default(),
                    reuse,
                    reporter: &reporter,
                },
                None,
            )
        };
        let error = run(Some(FileHash { hash: [7; 32], machine: None })).unwrap_err();
        assert!(matches!(error, LayerError::Changed), "{error}");
        let made = run(None).unwrap();
        assert_eq!(made.diff_id, crate::tar::write::diff_id(&tree).unwrap());
    }
}
