//! Layers that somebody pushed: found by their keys, and taken as they are.

use std::sync::Arc;

use super::{Layer, LayerForm, LayerKey};
use crate::base::StackLayer;
use crate::limits::Limits;
use crate::place::BlobSource;

/// A layer that was pushed, and where its blob is.
#[derive(Clone)]
pub struct Found {
    /// The layer.
    pub layer: Layer,
    /// Where its bytes are.
    pub bytes: Arc<dyn BlobSource>,
}

impl Found {
    /// As one of a stack of layers.
    pub fn stacked(&self) -> StackLayer {
        let (descriptor, diff_id) = (self.layer.descriptor.clone(), self.layer.diff_id);
        StackLayer { descriptor, diff_id, bytes: self.bytes.clone(), limits: Limits::default() }
    }
}

/// Knows layers that were pushed.
pub trait Elsewhere: Sync {
    /// Whether there is anywhere to look.
    fn is_there(&self) -> bool;

    /// The layer of that key and form, where one is known. Whoever put it there is believed: its digest is checked when its
    /// blob is read, and not that its key is true.
    fn find(&self, key: LayerKey, form: LayerForm) -> Option<Found>;
}

/// Nowhere.
impl Elsewhere for () {
    fn is_there(&self) -> bool {
        false
    }

    fn find(&self, _: LayerKey, _: LayerForm) -> Option<Found> {
        None
    }
}
