//! Files of a stack's layers, read many at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::listing::MAX_LAYER;
use super::stack::LayerStack;
use crate::compress::Decoder;
use crate::store::BlobStore;
use crate::tree::Located;

/// The most bytes of one file that are held in memory.
const MAX_CONTENTS: u64 = 64 << 20;

/// Reads stretches of the uncompressed tars of layers. Each layer that is asked for is decompressed once, into a temporary
/// file without a name, and its digest is checked before anything of it is given out.
pub struct LayerReader<'a> {
    stack: &'a LayerStack,
    store: &'a BlobStore,
    plain: Mutex<BTreeMap<usize, Arc<File>>>,
}

impl<'a> LayerReader<'a> {
    /// A reader of that stack's layers.
    pub fn new(stack: &'a LayerStack, store: &'a BlobStore) -> Self {
        LayerReader { stack, store, plain: Mutex::default() }
    }

    /// So many bytes of a layer's uncompressed tar.
    ///
    /// # Errors
    /// Where the layer cannot be read, or is not what its digest says.
    pub fn read(&self, layer: usize, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let plain = self.plain(layer)?;
        let mut bytes = vec![0; length];
        plain.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// What a small file of the stack holds, wherever its bytes are. Of a base that was not read, that is noted as missed.
    ///
    /// # Errors
    /// As [`LayerReader::read`]; where the file is longer than 64 MiB, or in a base that was not read.
    pub fn contents(&self, located: &Located) -> io::Result<Vec<u8>> {
        match located {
            Located::Content(content) => content.read_all(MAX_CONTENTS),
            Located::Layer { layer, offset, length } => self.read(*layer, *offset, *length),
            Located::Unknown { path, .. } => {
                self.stack.rootfs().needs_contents(path);
                Err(io::Error::other("the base was not read"))
            }
        }
    }

    /// The uncompressed tar of a layer, whole and checked.
    ///
    /// # Errors
    /// As [`LayerReader::read`].
    pub(super) fn plain(&self, layer: usize) -> io::Result<Arc<File>> {
        let mut known = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(&layer) {
            return Ok(file.clone());
        }
        let stacked = self.stack.layers().get(layer).ok_or(io::ErrorKind::NotFound)?;
        let (content, compression) = super::stack::open(stacked).map_err(io::Error::other)?;
        let mut decoder = Decoder::new(content.open()?, compression).limited(stacked.limits.unpacked(MAX_LAYER));
        let file = tempfile::tempfile_in(self.store.tmp())?;
        let mut out = io::BufWriter::with_capacity(1 << 18, &file);
        io::copy(&mut decoder, &mut out)?;
        out.flush()?;
        drop(out);
        let file = Arc::new(file);
        known.insert(layer, file.clone());
        Ok(file)
    }
}
