//! Registries as the rest of the program has them: calls that block.

use std::fmt;
use std::sync::Arc;

use super::RegistryError;
use super::auth;
use super::client::Core;
use super::options::RegistryOptions;
use super::push::{PushImage, Pushed};
use crate::net::Network;
use crate::oci::{Descriptor, MediaType, Reference};
use crate::report::Reporter;
use crate::store::BlobStore;

/// All registries. Cheap to clone; clones share connections, tokens and what was learned.
///
/// Calls block, may be made from any number of threads at once, and must not be made from asynchronous code.
#[derive(Clone)]
pub struct Registries {
    pub(super) core: Arc<Core>,
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registries").field("credentials", &self.core.credentials).finish_non_exhaustive()
    }
}

impl Registries {
    /// Registries over that network. `reporter` hears of transfers, further tries and warnings. Nothing is read or asked
    /// before the first call.
    pub fn new(network: &Network, options: RegistryOptions, reporter: &Reporter) -> Self {
        Registries { core: Arc::new(Core::new(network.clone(), options, reporter.clone())) }
    }

    /// The network they are reached over.
    pub fn network(&self) -> &Network {
        &self.core.network
    }

    /// What a reference stands for; `None` where there is no such thing. One HEAD request, where the registry says enough
    /// in answer to it: digest, size and media type are then the registry's word.
    ///
    /// # Errors
    /// Where no registry (or mirror) answers.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Descriptor>, RegistryError> {
        let core = &self.core;
        core.network.wait(core.first_of(reference, async |repository| {
            let scopes = auth::pull(&repository.path);
            core.head_manifest(repository, &scopes, &reference.identifier(), reference.digest()).await
        }))
    }

    /// The manifest or index that a reference stands for: exact bytes and media type; `None` where there is none. By
    /// digest, the bytes have it; otherwise they have the one that the registry names, if it names one.
    ///
    /// # Errors
    /// Where no registry (or mirror) answers, or what comes is wrong twice, or longer than 4 MiB.
    pub fn manifest(&self, reference: &Reference) -> Result<Option<(MediaType, Vec<u8>)>, RegistryError> {
        let core = &self.core;
        core.network.wait(core.first_of(reference, async |repository| {
            let scopes = auth::pull(&repository.path);
            core.get_manifest(repository, &scopes, &reference.identifier(), reference.digest()).await
        }))
    }

    /// Whether mirrors are asked before a registry.
    pub fn has_mirrors(&self, registry: &str) -> bool {
        self.core.options.registries.get(registry).is_some_and(|found| !found.mirrors.is_empty())
    }

    /// Whether the registry itself (no mirror) has a blob in that repository.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn blob_exists(&self, reference: &Reference, blob: &Descriptor) -> Result<bool, RegistryError> {
        let core = &self.core;
        core.network.wait(async {
            let repository = core.repository(reference.registry(), reference.repository())?;
            core.head_blob(&repository, &auth::pull(&repository.path), blob).await
        })
    }

    /// Brings a blob into the store, where it is not there yet. A connection that breaks is taken up where it broke.
    ///
    /// # Errors
    /// Where it is nowhere to be had, wrong twice, or cannot be kept; then the store is as before.
    pub fn fetch_blob(&self, reference: &Reference, blob: &Descriptor, store: &BlobStore) -> Result<(), RegistryError> {
        self.fetch_blob_for(None, reference, blob, store)
    }

    /// The same for an image, which is told with how it goes on.
    ///
    /// # Errors
    /// As [`Registries::fetch_blob`].
    pub fn fetch_blob_for(
        &self,
        image: Option<&str>,
        reference: &Reference,
        blob: &Descriptor,
        store: &BlobStore,
    ) -> Result<(), RegistryError> {
        let core = &self.core;
        core.network.wait(core.fetch_into(image, reference, blob, store))
    }

    /// Brings several blobs into the store at a time.
    ///
    /// # Errors
    /// As [`Registries::fetch_blob`], the first that happens.
    pub fn fetch_blobs(
        &self,
        reference: &Reference,
        blobs: &[Descriptor],
        store: &BlobStore,
    ) -> Result<(), RegistryError> {
        let core = &self.core;
        let mut wanted: Vec<&Descriptor> = Vec::new();
        for blob in blobs {
            if !wanted.iter().any(|known| known.digest == blob.digest) {
                wanted.push(blob);
            }
        }
        core.network.wait(async {
            let fetching = wanted.into_iter().map(|blob| core.fetch_into(None, reference, blob, store));
            futures_util::future::try_join_all(fetching).await.map(|_| ())
        })
    }

    /// The bytes of a small blob, an image config for instance, checked.
    ///
    /// # Errors
    /// As [`Registries::fetch_blob`]; also where it is longer than 4 MiB.
    pub fn fetch_document(&self, reference: &Reference, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let core = &self.core;
        let found = core
            .network
            .wait(core.first_of(reference, async |repository| core.get_document(repository, blob).await))?;
        found.ok_or_else(|| RegistryError::Absent { from: reference.name(), digest: blob.digest })
    }

    /// Sends images: all their blobs, then all their manifests by digest, then all their tags. An image whose tags are
    /// all right already costs a HEAD request for each.
    ///
    /// # Errors
    /// The first thing that fails. No tag is set then, unless it is the setting of a tag itself that fails; what arrived
    /// stays, so that a second run goes on where this one ended.
    pub fn push(&self, images: &[PushImage]) -> Result<Vec<Pushed>, RegistryError> {
        self.core.network.wait(self.core.push(images))
    }
}
