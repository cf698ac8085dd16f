//! Registries as places: images read from one like from a layout, and artifacts pushed to one.

mod ahead;
mod pushed_layers;

use std::sync::{Arc, OnceLock};

pub use ahead::Ahead;
pub use pushed_layers::{Candidates, Open, PushedLayers};

use crate::content::Content;
use crate::oci::{Descriptor, Digest, MediaType, Reference};
use crate::place::{Artifact, BlobSource, Document, ImageSource, ListedName, Root, SourceError, kind_of};
use crate::registry::{self, How, PushBlob, PushImage, PushManifest, Registries, SeenTag};
use crate::shown::Shown;
use crate::store::BlobStore;

/// One image in a registry. Manifests and blobs come into the store as they are asked for.
pub struct RegistryImage {
    registries: Registries,
    reference: Reference,
    store: BlobStore,
    /// The image of a recipe that is told with downloads.
    image: Option<String>,
    root: OnceLock<(Descriptor, Vec<u8>)>,
}

impl RegistryImage {
    /// The image of that reference. Nothing is asked before something of it is.
    pub fn new(registries: &Registries, reference: &Reference, store: &BlobStore) -> Arc<Self> {
        Self::wanted_for(None, registries, reference, store)
    }

    /// The same, for an image of a recipe.
    pub fn wanted_for(
        image: Option<&str>,
        registries: &Registries,
        reference: &Reference,
        store: &BlobStore,
    ) -> Arc<Self> {
        Arc::new(RegistryImage {
            registries: registries.clone(),
            reference: reference.clone(),
            store: store.clone(),
            image: image.map(str::to_owned),
            root: OnceLock::new(),
        })
    }

    fn failed(&self, descriptor: &Descriptor, error: registry::RegistryError) -> SourceError {
        SourceError::Blob { digest: descriptor.digest, source: std::io::Error::other(error) }
    }

    fn root(&self) -> Result<&(Descriptor, Vec<u8>), SourceError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        if let Some(root) = stored_root(&self.reference, &self.store) {
            return Ok(self.root.get_or_init(|| root));
        }
        let place = || Shown::new(self.reference.to_string().as_bytes());
        let found = self
            .registries
            .manifest(&self.reference)
            .map_err(|source| SourceError::Remote { place: place(), source: Box::new(source) })?;
        let Some((media_type, bytes)) = found else {
            return Err(SourceError::Kind { place: place(), reason: "is not in the registry".to_owned() });
        };
        // Kept for who asks for it by its digest.
        let _ = self.store.put(&bytes);
        Ok(self.root.get_or_init(|| (Descriptor::of(media_type, &bytes), bytes)))
    }
}

/// The manifest or index that a reference names by digest, where the store has it.
fn stored_root(reference: &Reference, store: &BlobStore) -> Option<(Descriptor, Vec<u8>)> {
    let digest = reference.digest()?;
    let unknown = Descriptor::new(MediaType::Other(String::new()), digest, store.length(&digest)?);
    let bytes = store.document(&unknown).ok()?;
    let media_type = kind_of(&bytes).ok().flatten()?;
    Some((Descriptor { media_type, ..unknown }, bytes))
}

/// An image of a registry as far as it is in the store, named by digest: nothing is asked for.
#[derive(Debug)]
pub struct StoredImage {
    reference: Reference,
    store: BlobStore,
    root: Descriptor,
}

impl StoredImage {
    /// The image of that reference; `None` where it has no digest, or the store does not have its manifest.
    pub fn open(reference: &Reference, store: &BlobStore) -> Option<Arc<Self>> {
        let (root, _) = stored_root(reference, store)?;
        Some(Arc::new(StoredImage { reference: reference.clone(), store: store.clone(), root }))
    }
}

impl BlobSource for StoredImage {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        self.store.blob(descriptor)
    }

    fn comes_from(&self, _: &Descriptor) -> Option<Reference> {
        Some(self.reference.clone())
    }
}

impl ImageSource for StoredImage {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        let name = ListedName { name: Some(self.reference.to_string()), containerd: None };
        Ok(vec![Root { descriptor: self.root.clone(), names: vec![name] }])
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        Ok(self.store.document(descriptor)?)
    }
}

impl BlobSource for RegistryImage {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        self.registries
            .fetch_blob_for(self.image.as_deref(), &self.reference, descriptor, &self.store)
            .map_err(|error| self.failed(descriptor, error))?;
        self.store.blob(descriptor)
    }

    fn held_by(&self, descriptor: &Descriptor) -> Option<Reference> {
        (!self.store.contains(descriptor)).then(|| self.reference.clone())
    }

    fn comes_from(&self, _: &Descriptor) -> Option<Reference> {
        Some(self.reference.clone())
    }
}

impl ImageSource for RegistryImage {
    fn answers_for(&self) -> Option<Reference> {
        let own = self.reference.digest().is_none() && !self.registries.has_mirrors(self.reference.registry());
        own.then(|| self.reference.clone())
    }

    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        let (descriptor, _) = self.root()?;
        let name = ListedName { name: Some(self.reference.to_string()), containerd: None };
        Ok(vec![Root { descriptor: descriptor.clone(), names: vec![name] }])
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        let (root, bytes) = self.root()?;
        if root.digest == descriptor.digest {
            return Ok(bytes.clone());
        }
        if let Ok(bytes) = self.store.document(descriptor) {
            return Ok(bytes);
        }
        let bytes = if descriptor.media_type.is_manifest() || descriptor.media_type.is_index() {
            let reference = self.reference.with_digest(descriptor.digest);
            let found = self.registries.manifest(&reference).map_err(|error| self.failed(descriptor, error))?;
            let place = Shown::new(self.reference.to_string().as_bytes());
            found.ok_or(SourceError::Absent { digest: descriptor.digest, place })?.1
        } else {
            self.registries
                .fetch_document(&self.reference, descriptor)
                .map_err(|error| self.failed(descriptor, error))?
        };
        // Kept for the next build; the digest was checked when it came.
        let _ = self.store.put(&bytes);
        Ok(bytes)
    }
}

/// What was found out of repositories by reading their manifests.
pub trait Seen: Sync {
    /// Whether a manifest of the repository names that blob.
    fn has_blob(&self, repository: &Reference, blob: &Digest) -> bool;

    /// How that blob came to the repository, where this run brought it there.
    fn sent(&self, _repository: &Reference, _blob: &Digest) -> Option<How> {
        None
    }

    /// What a tag of it names.
    fn tag(&self, repository: &Reference, tag: &str) -> Option<SeenTag>;
}

/// Nothing was read.
impl Seen for () {
    fn has_blob(&self, _: &Reference, _: &Digest) -> bool {
        false
    }

    fn tag(&self, _: &Reference, _: &str) -> Option<SeenTag> {
        None
    }
}

/// What is sent for an image that goes to a repository under some tags (none: by digest alone).
///
/// # Errors
/// Where a blob's bytes are not to be had.
pub fn push_image(
    artifact: &Artifact,
    repository: &Reference,
    tags: Vec<String>,
    store: &BlobStore,
    seen: &dyn Seen,
) -> Result<PushImage, SourceError> {
    let mut manifests = Vec::new();
    for document in artifact.documents() {
        let blobs = match document {
            Document::Index(_) => Vec::new(),
            Document::Manifest(image) => std::iter::once(&image.manifest.config)
                .chain(&image.manifest.layers)
                .map(|descriptor| push_blob(artifact, descriptor, repository, store, seen))
                .collect::<Result<_, _>>()?,
        };
        manifests.push(PushManifest {
            descriptor: document.descriptor().clone(),
            bytes: document.bytes().to_vec(),
            blobs,
        });
    }
    let seen = tags.iter().filter_map(|tag| Some((tag.clone(), seen.tag(repository, tag)?))).collect();
    Ok(PushImage { about: artifact.fallback.text(), repository: repository.clone(), tags, seen, manifests })
}

fn push_blob(
    artifact: &Artifact,
    descriptor: &Descriptor,
    repository: &Reference,
    store: &BlobStore,
    seen: &dyn Seen,
) -> Result<PushBlob, SourceError> {
    let source = artifact.source();
    let mount_from = source
        .comes_from(descriptor)
        .filter(|from| from.registry() == repository.registry() && from.repository() != repository.repository())
        .map(|from| from.repository().to_owned());
    let bytes = match source.held_by(descriptor) {
        Some(reference) => registry::BlobSource::Registry { reference, store: store.clone() },
        None => registry::BlobSource::Content(artifact.content(descriptor)?),
    };
    let digest = &descriptor.digest;
    let there = seen.sent(repository, digest).or_else(|| seen.has_blob(repository, digest).then_some(How::Present));
    Ok(PushBlob { descriptor: descriptor.clone(), source: bytes, mount_from: mount_from.into_iter().collect(), there })
}
