//! The registry as the cache: layers of images that were pushed before, found by the keys on their descriptors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::Seen;
use crate::code::Cause;
use crate::layer::{self, Elsewhere, Found, Layer, LayerForm, LayerKey, Traits};
use crate::oci::{Descriptor, DiffId, Digest, Index, Manifest, MediaType, Platform, Reference, annotation, json};
use crate::parallel;
use crate::place::{BlobSource, ImageSource, SourceError, kind_of};
use crate::registry::SeenTag;
use crate::shown::with_causes;

/// Opens a place where an image may be that was pushed before.
pub type Open<'a> = Box<dyn Fn() -> Result<Arc<dyn ImageSource>, OpenError> + Sync + 'a>;

/// Why a place cannot be opened or read.
type OpenError = Cause;

/// Where one image may be: places that are asked in this order, until one has it.
pub struct Candidates<'a> {
    /// What to call it in warnings.
    pub name: String,
    /// The places.
    pub places: Vec<Open<'a>>,
    /// Whether somebody asked for it by name, and is told where it is not there.
    pub named: bool,
}

/// Layers of images that were pushed before. Nothing is read before the first layer is asked for; then the manifests of all
/// candidates are, side by side, and no layer.
pub struct PushedLayers<'a> {
    candidates: Vec<Candidates<'a>>,
    platforms: Vec<Platform>,
    jobs: usize,
    warn: &'a (dyn Fn(String) + Sync),
    read: OnceLock<Known>,
}

/// The most images of one index that are looked at.
const MAX_CHILDREN: usize = 64;

/// What the manifests said.
#[derive(Default)]
struct Known {
    layers: BTreeMap<LayerKey, Pushed>,
    /// Blobs by the repository (with its registry) whose manifests name them.
    blobs: BTreeSet<(String, Digest)>,
    /// What tags name, by the repository and the tag.
    tags: BTreeMap<(String, String), SeenTag>,
}

/// A manifest that was read: from where, and below what.
struct Read {
    source: Arc<dyn ImageSource>,
    root: Descriptor,
    manifest: Manifest,
}

#[derive(Clone)]
struct Pushed {
    descriptor: Descriptor,
    diff_id: DiffId,
    traits: Traits,
    bytes: Arc<dyn BlobSource>,
}

impl<'a> PushedLayers<'a> {
    /// Layers of those images, of what is made for those platforms (all, where there is none). `warn` hears of places that
    /// were asked for by name and cannot be read.
    pub fn new(
        candidates: Vec<Candidates<'a>>,
        platforms: Vec<Platform>,
        jobs: usize,
        warn: &'a (dyn Fn(String) + Sync),
    ) -> Self {
        PushedLayers { candidates, platforms, jobs, warn, read: OnceLock::new() }
    }

    /// Whether a blob is that of a layer that was found.
    pub fn has_layer(&self, blob: &Digest) -> bool {
        self.read.get().is_some_and(|known| known.layers.values().any(|layer| layer.descriptor.digest == *blob))
    }

    /// Whether somebody looked, and there was nothing.
    pub fn found_nothing(&self) -> bool {
        !self.candidates.is_empty() && self.read.get().is_some_and(|known| known.layers.is_empty())
    }

    fn known(&self) -> &Known {
        self.read.get_or_init(|| {
            let at = Instant::now();
            let all = parallel::map(&self.candidates, self.jobs.max(8), |candidates| self.manifests_of(candidates));
            let mut known = Known::default();
            // The first that has a key counts: candidates are in order.
            for Read { source, root, manifest } in all.into_iter().flatten() {
                if let Some(reference) = source.answers_for() {
                    if let Some(tag) = reference.tag() {
                        known.tags.insert((reference.name(), tag.to_owned()), SeenTag { digest: root.digest, at });
                    }
                    let named = std::iter::once(&manifest.config).chain(&manifest.layers);
                    known.blobs.extend(named.map(|descriptor| (reference.name(), descriptor.digest)));
                }
                let bytes: Arc<dyn BlobSource> = source;
                for descriptor in manifest.layers {
                    if let Some((key, pushed)) = pushed(descriptor, &bytes) {
                        known.layers.entry(key).or_insert(pushed);
                    }
                }
            }
            known
        })
    }

    /// The manifests of the first place that has any.
    fn manifests_of(&self, candidates: &Candidates<'_>) -> Vec<Read> {
        let mut failed = None;
        for open in &candidates.places {
            match open().and_then(|source| Ok(self.manifests(&source)?)) {
                Ok(found) => return found,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed.filter(|_| candidates.named) {
            (self.warn)(format!("{}: no layers are taken from there: {}", candidates.name, with_causes(&*error)));
        }
        Vec::new()
    }

    fn manifests(&self, source: &Arc<dyn ImageSource>) -> Result<Vec<Read>, SourceError> {
        let mut found = Vec::new();
        for root in source.roots()? {
            let read = |bytes: &[u8]| {
                let manifest = json::document(bytes).ok()?;
                Some(Read { source: source.clone(), root: root.descriptor.clone(), manifest })
            };
            let bytes = source.document(&root.descriptor)?;
            let is_index = match &root.descriptor.media_type {
                MediaType::Other(_) => kind_of(&bytes).ok().flatten().is_some_and(|kind| kind.is_index()),
                media_type => media_type.is_index(),
            };
            if !is_index {
                found.extend(read(&bytes));
                continue;
            }
            let Ok(index) = json::document::<Index>(&bytes) else { continue };
            let children = index.manifests.iter().filter(|child| child.media_type.is_manifest() && self.is_for(child));
            for child in children.take(MAX_CHILDREN) {
                // What one platform lost is no reason to do without the others.
                let Ok(bytes) = source.document(child) else { continue };
                found.extend(read(&bytes));
            }
        }
        Ok(found)
    }

    fn is_for(&self, child: &Descriptor) -> bool {
        let is_of = |platform: &Platform| self.platforms.is_empty() || self.platforms.contains(platform);
        child.platform.as_ref().is_none_or(is_of)
    }
}

/// The layer that a descriptor tells of, where it says what a layer of ours does.
fn pushed(descriptor: Descriptor, bytes: &Arc<dyn BlobSource>) -> Option<(LayerKey, Pushed)> {
    let annotation = |name: &str| descriptor.annotations.get(name).map(String::as_str);
    let key: LayerKey = annotation(annotation::LAYER_KEY)?.parse().ok()?;
    let diff_id = DiffId(annotation(annotation::LAYER_DIFF_ID)?.parse().ok()?);
    let traits = annotation(annotation::LAYER_TRAITS).unwrap_or_default().parse().ok()?;
    Some((key, Pushed { diff_id, traits, bytes: bytes.clone(), descriptor }))
}

impl Seen for PushedLayers<'_> {
    fn has_blob(&self, repository: &Reference, blob: &Digest) -> bool {
        self.read.get().is_some_and(|known| known.blobs.contains(&(repository.name(), *blob)))
    }

    fn tag(&self, repository: &Reference, tag: &str) -> Option<SeenTag> {
        self.read.get()?.tags.get(&(repository.name(), tag.to_owned())).copied()
    }
}

impl Elsewhere for PushedLayers<'_> {
    fn is_there(&self) -> bool {
        !self.candidates.is_empty()
    }

    fn find(&self, key: LayerKey, form: LayerForm) -> Option<Found> {
        let Pushed { descriptor, diff_id, traits, bytes } = self.known().layers.get(&key)?.clone();
        // A key says how a layer is compressed; whose media type it has is the image's affair.
        let wanted = form.encoding.compression();
        if descriptor.media_type.compression() != Some(wanted) {
            return None;
        }
        let layer: Layer = layer::pushed(form, descriptor.digest, descriptor.size, diff_id, key, traits);
        Some(Found { layer, bytes })
    }
}
