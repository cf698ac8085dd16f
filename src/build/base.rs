//! What images stand on, opened: config, layers, and the merged view of them.

use std::sync::Arc;

use crate::base::{BaseError, Knowledge, LayerStack, StackLayer};
use crate::image::ImageBase;
use crate::oci::{Digest, Platform, Reference};
use crate::place::{BlobSource, ImageSource, Pick, SourceError, select_image};
use crate::report::Reporter;
use crate::store::BlobStore;

/// An opened base.
#[derive(Clone)]
pub struct OpenBase {
    /// Config, layers and name.
    pub image: ImageBase,
    /// The merged view.
    pub stack: LayerStack,
    /// The digests of its manifest and its config, where it comes from outside.
    pub documents: Option<(Digest, Digest)>,
}

/// Why a base cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The image cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] BaseError),
    /// Manifest and config do not fit.
    #[error("the image has {layers} layers, and its config tells of {diff_ids}")]
    Layers {
        /// Of the manifest.
        layers: usize,
        /// Of the config.
        diff_ids: usize,
    },
}

impl OpenBase {
    /// No base at all.
    pub fn scratch(platform: &Platform) -> Self {
        OpenBase { image: ImageBase::scratch(platform), stack: LayerStack::new(), documents: None }
    }

    /// The image of a source for that platform. `reference` is the name that others can find it by.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn from_source(
        source: Arc<dyn ImageSource>,
        pick: Option<&Pick>,
        platform: &Platform,
        reference: Option<&Reference>,
        store: &BlobStore,
        reporter: &Reporter,
    ) -> Result<Self, OpenError> {
        let Documents { image, layers, digests } = documents(source, pick, platform, reference)?;
        let mut stack = LayerStack::new();
        stack.push_base(layers, store, reporter)?;
        Ok(OpenBase { image, stack, documents: digests })
    }

    /// The same image, where no layer is opened: of what they hold, what the lock knows is known. See
    /// [`LayerStack::missed`] for what is asked beyond that.
    ///
    /// # Errors
    /// [`OpenError`] where the manifest or the config cannot be read.
    pub fn known(
        source: Arc<dyn ImageSource>,
        pick: Option<&Pick>,
        platform: &Platform,
        reference: Option<&Reference>,
        knowledge: &Knowledge,
    ) -> Result<Self, OpenError> {
        let Documents { image, layers, digests } = documents(source, pick, platform, reference)?;
        Ok(OpenBase { image, stack: LayerStack::known(layers, knowledge), documents: digests })
    }
}

/// What manifest and config say of an image.
struct Documents {
    image: ImageBase,
    /// Its layers, and where their bytes are.
    layers: Vec<StackLayer>,
    /// The digests of manifest and config.
    digests: Option<(Digest, Digest)>,
}

/// What manifest and config say of an image, and where its layers are.
fn documents(
    source: Arc<dyn ImageSource>,
    pick: Option<&Pick>,
    platform: &Platform,
    reference: Option<&Reference>,
) -> Result<Documents, OpenError> {
    let image = select_image(&*source, pick, platform)?;
    let digests = image.config.as_ref().map(|config| (image.manifest.digest(), config.digest()));
    // `select_image` gives images only.
    let config = image.config.map(|config| config.into_value()).unwrap_or_else(|| ImageBase::scratch(platform).config);
    let diff_ids = config.rootfs.diff_ids.clone();
    if image.manifest.layers.len() != diff_ids.len() {
        return Err(OpenError::Layers { layers: image.manifest.layers.len(), diff_ids: diff_ids.len() });
    }
    let layers = image.manifest.layers.clone();
    let bytes: Arc<dyn BlobSource> = source;
    let stacked = layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| StackLayer {
        descriptor: descriptor.clone(),
        diff_id,
        bytes: bytes.clone(),
    });
    let stacked = stacked.collect();
    let name = reference.map(|reference| (reference.to_string(), image.manifest.digest()));
    Ok(Documents { image: ImageBase { config, layers, name }, layers: stacked, digests })
}
