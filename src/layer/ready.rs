//! Layers that were made while the rest of a build goes on.

use crate::oci::Descriptor;

/// Hears of the layers that are made, as soon as they are in the store; not of those that were there. An image that is begun again tells of them again.
pub trait Ready: Sync {
    /// That layer of the image that is called so was made.
    fn layer(&self, image: &str, layer: &Descriptor);
}

/// Nobody.
impl Ready for () {
    fn layer(&self, _: &str, _: &Descriptor) {}
}
