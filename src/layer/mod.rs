//! From a tree to a layer: a finished blob in the store, with its diff ID; made, or found by its key or its plan.

mod find;
pub mod key;
mod plan;
mod write;

use crate::oci::{Descriptor, DiffId, Digest, Family, MediaType, annotation};

pub use find::{Reuse, remembers_any};
pub use key::LayerKey;
pub use plan::{Plan, recall_nothing, recall_plan, remember_nothing, remember_plan};
pub use write::{LayerError, make};

use crate::compress::Encoding;

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

pub(crate) fn finished(
    form: LayerForm,
    digest: Digest,
    size: u64,
    diff_id: DiffId,
    key: LayerKey,
    reused: bool,
) -> Layer {
    let media_type = MediaType::Layer(form.family, form.encoding.compression());
    let descriptor = Descriptor::new(media_type, digest, size)
        .annotated(annotation::LAYER_KEY, key.to_string())
        .annotated(annotation::LAYER_DIFF_ID, diff_id.to_string());
    Layer { descriptor, diff_id, key, reused }
}
