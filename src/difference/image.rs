//! In what one image differs from another, as a whole.

use std::sync::Arc;

use super::contents::ImageContents;
use super::entries::Change;
use super::packages::PackageChange;
use super::pairing::{self, Line, are_same, lines, pair};
use super::settings::{self, Difference};
use crate::base::BaseError;
use crate::oci::{Descriptor, DiffId, Encoded, ImageConfig, Manifest};
use crate::place::{BlobSource, Image};
use crate::report::Reporter;
use crate::store::BlobStore;

/// An image for one platform, and where its layers are.
#[derive(Clone)]
pub struct Side<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// Its config.
    pub config: &'a ImageConfig,
    /// Where its layers are.
    pub bytes: Arc<dyn BlobSource>,
}

impl<'a> Side<'a> {
    /// The image, where it is one that can run.
    pub fn of(image: &'a Image, bytes: Arc<dyn BlobSource>) -> Option<Self> {
        let config: &Encoded<ImageConfig> = image.config.as_ref()?;
        Some(Side { manifest: &image.manifest, config, bytes })
    }

    /// Refuses an image whose manifest and config do not have the same number of layers: nobody could tell which is which.
    ///
    /// # Errors
    /// [`BaseError::Numbers`].
    pub fn check_numbers(&self) -> Result<(), BaseError> {
        let (layers, diff_ids) = (self.manifest.layers.len(), self.config.rootfs.diff_ids.len());
        if layers == diff_ids { Ok(()) } else { Err(BaseError::Numbers { layers, diff_ids }) }
    }

    /// Reads a layer to see that its blob holds the tar that the config says.
    ///
    /// # Errors
    /// Where it holds another, or cannot be read.
    pub fn check_layer(&self, line: &Line<'_>, reporter: &Reporter) -> Result<(), BaseError> {
        pairing::stacked_layer(self, line).check(reporter)
    }

    /// What its layers hold.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn contents(&self, store: &BlobStore, reporter: &Reporter) -> Result<ImageContents, BaseError> {
        ImageContents::read(pairing::stacked(self), store, reporter)
    }

    /// The length of all layers as they are stored, in bytes.
    pub fn size(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.size).sum()
    }
}

/// In what a second image differs from a first.
#[derive(Clone, Debug, Default)]
pub struct ImageDifference {
    /// Settings, annotations, the date, the format.
    pub settings: Vec<Difference>,
    /// What else differs in their documents: history, the order of variables, annotations of layers. Most of it follows from
    /// the rest, and it counts only where nothing else differs.
    pub documents: Vec<Difference>,
    /// All layers of the second, lowest first, each with the one of the first that it is or replaces; then those that only
    /// the first has.
    pub layers: Vec<LayerPair>,
    /// Packages that came, went, or have another version.
    pub packages: Vec<PackageChange>,
    /// Paths that came, went, or are others, without directories that came or went with what is in them.
    pub files: Vec<Change>,
}

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerFate {
    /// Both have it.
    Same,
    /// Both have the same files, compressed in another way.
    Recompressed,
    /// The second has another in its place.
    Changed,
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
}

impl LayerFate {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            LayerFate::Same => "same",
            LayerFate::Recompressed => "recompressed",
            LayerFate::Changed => "changed",
            LayerFate::Added => "added",
            LayerFate::Removed => "removed",
        }
    }
}

/// A layer of both sides, or of one.
#[derive(Clone, Debug)]
pub struct LayerPair {
    /// What became of it.
    pub fate: LayerFate,
    /// The line of history, the second's where both have one.
    pub title: Option<String>,
    /// The first's blob and the digest of its tar.
    pub first: Option<(Descriptor, DiffId)>,
    /// The second's.
    pub second: Option<(Descriptor, DiffId)>,
}

impl ImageDifference {
    /// Whether nothing differs that was compared.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many things differ.
    pub fn count(&self) -> usize {
        match self.count_of_rest() {
            0 => self.documents.len(),
            count => count,
        }
    }

    /// Whether nothing differs but their documents.
    pub fn is_of_documents(&self) -> bool {
        self.count_of_rest() == 0
    }

    fn count_of_rest(&self) -> usize {
        let layers = self.layers.iter().filter(|layer| layer.fate != LayerFate::Same).count();
        self.settings.len() + self.packages.len() + self.files.len() + layers
    }
}

/// Compares two images for one platform. Where they have the same layers, none is read. Where one layer is stored as two
/// blobs, both are read: that they hold the same tar is only what the configs say.
///
/// Where one side comes from a place that keeps no manifests (`docker-archive:`), `manifests` is `false`: then what only
/// manifests say, and how layers are compressed, plays no part.
///
/// # Errors
/// Where a layer cannot be read.
pub fn compare(
    first: &Side<'_>,
    second: &Side<'_>,
    manifests: bool,
    store: &BlobStore,
    reporter: &Reporter,
) -> Result<ImageDifference, BaseError> {
    first.check_numbers()?;
    second.check_numbers()?;
    let mut settings = settings::settings(&first.config.config, &second.config.config);
    settings.extend(settings::of_documents(first, second, manifests));
    let documents = settings::rest(first, second, manifests);
    let (old, new) = (lines(first), lines(second));
    let layers = layer_pairs(&old, &new, manifests);
    if are_same(&old, &new) {
        for (old, new) in old.iter().zip(&new).filter(|(old, new)| old.descriptor.digest != new.descriptor.digest) {
            first.check_layer(old, reporter)?;
            second.check_layer(new, reporter)?;
        }
        return Ok(ImageDifference { settings, documents, layers, packages: Vec::new(), files: Vec::new() });
    }
    let (one, other) = (first.contents(store, reporter)?, second.contents(store, reporter)?);
    let packages = one.packages(store)?.changes(&other.packages(store)?);
    let files = one.entries().changes_told(&other.entries(), false);
    Ok(ImageDifference { settings, documents, layers, packages, files })
}

fn layer_pairs(old: &[Line<'_>], new: &[Line<'_>], manifests: bool) -> Vec<LayerPair> {
    let pairs = pair(&[], new, old);
    let mut partners: Vec<Option<usize>> = vec![None; new.len()];
    let mut left: Vec<usize> = pairs.gone;
    for group in &pairs.groups {
        let mut before = group.before.iter().copied();
        for number in &group.now {
            if let Some(partner) = partners.get_mut(*number) {
                *partner = before.next();
            }
        }
        left.extend(before);
    }
    left.sort_unstable();
    let of = |line: &Line<'_>| (line.descriptor.clone(), line.diff_id);
    let title = |line: &Line<'_>| line.created_by.map(str::to_owned);
    let mut found = Vec::new();
    // A layer may be there twice: each counts once.
    let mut taken: Vec<usize> = Vec::new();
    for (number, line) in new.iter().enumerate() {
        let same = (0..old.len()).find(|at| old[*at].diff_id == line.diff_id && !taken.contains(at));
        let (fate, partner) = match (same, partners.get(number).copied().flatten()) {
            (Some(at), _) => {
                taken.push(at);
                let is_same = !manifests || old[at].descriptor.digest == line.descriptor.digest;
                (if is_same { LayerFate::Same } else { LayerFate::Recompressed }, Some(at))
            }
            (None, Some(at)) => (LayerFate::Changed, Some(at)),
            (None, None) => (LayerFate::Added, None),
        };
        let first = partner.and_then(|at| old.get(at)).map(of);
        found.push(LayerPair { fate, title: title(line), first, second: Some(of(line)) });
    }
    let known = |at: &usize| new.iter().any(|line| old.get(*at).is_some_and(|old| old.diff_id == line.diff_id));
    left.extend((0..old.len()).filter(|at| known(at) && !taken.contains(at)));
    left.sort_unstable();
    left.dedup();
    for line in left.into_iter().filter_map(|at| old.get(at)) {
        found.push(LayerPair { fate: LayerFate::Removed, title: title(line), first: Some(of(line)), second: None });
    }
    found
}
