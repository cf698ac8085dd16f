//! Writing a layer: a tree as a tar, compressed, digested and stored in one pass.

use std::io;

use super::find::{Hashing, Reuse, key_of, recall, remember};
use super::{Layer, LayerForm, finished};
use crate::compress::{ChunkId, EncodeError, Encoder, KnownChunks, Sink};
use crate::oci::{DiffId, Hasher};
use crate::report::{Phase, Reporter};
use crate::store::{BlobStore, BlobWriter, ChunkIndex, ChunkSpan, StoreError};
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
        let key = key_of(tree, form, machine)?;
        if let Some(found) = recall(store, key, form) {
            return Ok(found);
        }
        expected = Some(key);
    }

    let task = reporter.task(Phase::Compress, name, Some(tar_length(tree)));
    let chunks = ChunkIndex::open(store)?;
    let found: &dyn KnownChunks = if reuse == Reuse::Never { &() } else { &chunks };
    let mut writer = StoreSink { writer: store.writer()?, chunks: Vec::new(), failed: None };
    let mut hashing = Hashing::new(form.encoding, machine, Some(&task));
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
    use crate::content::Content;
    use crate::oci::{Family, annotation};
    use crate::tree::{Entry, Origin, Owner};

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
