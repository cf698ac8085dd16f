//! Layers that are in the store while the rest of a build goes on.

use crate::oci::Descriptor;

/// Hears of the layers of images as soon as they are in the store. An image that is begun again tells of them again.
pub trait Ready: Sync {
    /// That layer of the image that is called so is in the store.
    fn layer(&self, image: &str, layer: &Descriptor);
}

/// Nobody.
impl Ready for () {
    fn layer(&self, _: &str, _: &Descriptor) {}
}
