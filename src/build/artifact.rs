//! What goes to places: an image of the recipe for all of its platforms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BuildError, Builder, Built, BuiltPlatform, Finished, Slot};
use crate::base::StackLayer;
use crate::image::{self, Image};
use crate::oci::Reference;
use crate::place::{self, Artifact, Fallback};
use crate::recipe;
use crate::store::BlobStore;

impl Builder<'_> {
    pub(super) fn artifact(
        &self,
        image: &recipe::Image,
        finished: &BTreeMap<Slot, Arc<Finished>>,
    ) -> Result<Built, BuildError> {
        let platforms = self.platforms_of(image);
        let images: Vec<BuiltPlatform> = platforms
            .iter()
            .filter_map(|platform| finished.get(&(image.name.clone(), platform.to_string())))
            .map(|done| BuiltPlatform { image: done.image.clone(), layers: done.layers.clone(), balance: done.balance })
            .collect();
        let blobs = Arc::new(Blobs {
            store: self.store.clone(),
            others: platforms
                .iter()
                .filter_map(|platform| finished.get(&(image.name.clone(), platform.to_string())))
                .flat_map(|done| done.open.stack.layers().to_vec())
                .map(|layer| (layer.descriptor.digest, layer))
                .collect(),
        });
        let artifact = match &images[..] {
            [one] => Artifact::image(one.image.manifest.clone(), one.image.config.clone(), blobs),
            several => {
                let all: Vec<Image> = several.iter().map(|built| built.image.clone()).collect();
                // What all platforms say, the index says too, where registries look for it.
                let mut annotations = all.first().map(|first| first.manifest.annotations.clone()).unwrap_or_default();
                annotations.retain(|key, value| {
                    !key.starts_with("org.opencontainers.image.base.")
                        && all.iter().all(|image| image.manifest.annotations.get(key) == Some(value))
                });
                let index =
                    image::index_of(&all, image.format, &annotations).map_err(|source| self.at(image.span, source))?;
                let documents =
                    all.into_iter().map(|image| place::Image { manifest: image.manifest, config: Some(image.config) });
                Artifact::index(index, documents.collect(), blobs).map_err(|source| self.at(image.span, source))?
            }
        };
        let names = self.references(image);
        let fallback = Fallback::image(image.name.image.clone(), image.name.variant.clone());
        Ok(Built { name: image.name.clone(), artifact: artifact.named(names, fallback), images })
    }
}

/// The blobs of an image: its own layers are in the store, its base's may be somewhere else.
struct Blobs {
    store: BlobStore,
    others: BTreeMap<crate::oci::Digest, StackLayer>,
}

impl crate::place::BlobSource for Blobs {
    fn blob(&self, descriptor: &crate::oci::Descriptor) -> Result<crate::content::Content, crate::place::SourceError> {
        match self.others.get(&descriptor.digest) {
            Some(layer) => layer.bytes.blob(&layer.descriptor),
            None => self.store.blob(descriptor),
        }
    }

    fn held_by(&self, descriptor: &crate::oci::Descriptor) -> Option<Reference> {
        self.others.get(&descriptor.digest)?.bytes.held_by(descriptor)
    }

    fn comes_from(&self, descriptor: &crate::oci::Descriptor) -> Option<Reference> {
        self.others.get(&descriptor.digest)?.bytes.comes_from(descriptor)
    }
}
