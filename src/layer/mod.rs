//! From a tree to a layer: a finished blob in the store, with its diff ID; made, or found by its key or its plan.

mod elsewhere;
mod find;
pub mod key;
mod plan;
mod ready;
mod split;
mod together;
mod traits;
mod write;

use crate::oci::{Descriptor, DiffId, Digest, Family, MediaType, annotation};

pub use elsewhere::{Elsewhere, Found};
pub use find::{Reuse, key_of, recall, remembers_any};
pub use key::LayerKey;
pub use plan::{Chain, is_proven, recall_plan, remember_plan, remember_proof};
pub use ready::Ready;
pub use split::split;
pub use together::{Budget, Together};
pub use traits::Traits;
pub use write::{LayerError, Means, make};

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
    /// What is told of it, where it is found without its tree.
    pub traits: Traits,
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

fn finished(form: LayerForm, digest: Digest, size: u64, diff_id: DiffId, key: LayerKey, reused: bool) -> Layer {
    let media_type = MediaType::Layer(form.family, form.encoding.compression());
    let descriptor = Descriptor::new(media_type, digest, size)
        .annotated(annotation::LAYER_KEY, key.to_string())
        .annotated(annotation::LAYER_DIFF_ID, diff_id.to_string());
    Layer { descriptor, diff_id, key, traits: Traits::default(), reused }
}

/// A layer as somebody who pushed it describes it.
pub(crate) fn pushed(
    form: LayerForm,
    digest: Digest,
    size: u64,
    diff_id: DiffId,
    key: LayerKey,
    traits: Traits,
) -> Layer {
    let layer = finished(form, digest, size, diff_id, key, true);
    if traits == Traits::default() { layer } else { layer.of_plan(key, traits) }
}

impl Layer {
    /// The same layer, found by its plan from now on.
    #[must_use]
    pub fn of_plan(mut self, plan: LayerKey, traits: Traits) -> Self {
        let annotations = &mut self.descriptor.annotations;
        annotations.insert(annotation::LAYER_KEY.to_owned(), plan.to_string());
        if traits != Traits::default() {
            annotations.insert(annotation::LAYER_TRAITS.to_owned(), traits.to_string());
        }
        Layer { key: plan, traits, ..self }
    }
}
