//! One image out of many: by name, and by platform through nested indexes.

use super::artifact::tagged;
use super::source::{ImageSource, Root, SourceError};
use super::{Document, Image, Pick};
use crate::logins::hide_in_name;
use crate::oci::shape::Shaped;
use crate::oci::{Descriptor, Encoded, ImageConfig, Index, Manifest, MediaType, Platform, Reference, json};
use crate::shown::Shown;

/// How deep indexes may lie inside each other.
const MAX_DEPTH: usize = 8;

/// How many documents are read for one image.
const MAX_DOCUMENTS: usize = 20_000;

/// An image for one platform that an index lists, or that stands by itself.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) descriptor: Descriptor,
    pub(super) platform: Platform,
}

/// What may still be read, against indexes that are made to be endless.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(MAX_DOCUMENTS)
    }

    /// Takes one document of it, `depth` indexes deep.
    pub(super) fn spend(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), SourceError> {
        let digest = descriptor.digest;
        let refuse = |reason: String| Err(SourceError::Contradiction { digest, reason });
        if depth > MAX_DEPTH {
            return refuse(format!("lies more than {MAX_DEPTH} indexes deep"));
        }
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => refuse(format!("is one of more than {MAX_DOCUMENTS} documents of one image")),
        }
    }
}

/// The image of a source that `pick` means; the only one, where nothing is said.
///
/// A name matches, in this order: the name as it is listed, the same reference (Docker's short forms and `latest` filled
/// in), the tag, the last part of the repository with or without its tag. Another image may have come to the same bytes: the
/// names that are kept are those of the image that is asked for, with all its tags.
///
/// # Errors
/// Where there is none, or more than one.
pub fn select_root(source: &dyn ImageSource, pick: Option<&Pick>) -> Result<Root, SourceError> {
    let roots = source.roots()?;
    let there = |roots: &[Root]| -> Vec<String> { roots.iter().map(Root::shown).collect() };
    let none = |wanted: &dyn std::fmt::Display| SourceError::NoSuchImage {
        wanted: Shown::new(hide_in_name(&wanted.to_string()).as_bytes()),
        there: there(&roots),
    };
    match pick {
        None => match &roots[..] {
            [root] => Ok(root.clone()),
            [] => Err(none(&"at all")),
            _ => Err(SourceError::Several { there: there(&roots) }),
        },
        Some(pick @ Pick::Position(position)) => roots.get(*position).cloned().ok_or_else(|| none(pick)),
        Some(pick @ Pick::Digest(digest)) => {
            roots.iter().find(|root| root.descriptor.digest == *digest).cloned().ok_or_else(|| none(pick))
        }
        Some(Pick::Name(wanted)) => {
            for rule in RULES {
                let fits =
                    |root: &&Root| root.names.iter().flat_map(|name| name.texts()).any(|name| rule(wanted, name));
                let found: Vec<Root> = roots.iter().filter(fits).cloned().collect();
                match &found[..] {
                    [] => {}
                    [root] => return Ok(root.clone().only(|name| rule(wanted, name))),
                    _ => return Err(SourceError::Several { there: there(&found) }),
                }
            }
            Err(none(wanted))
        }
    }
}

/// Whether what was asked for means the listed name, from the strictest rule to the loosest.
const RULES: [fn(&str, &str) -> bool; 4] = [
    |wanted, listed| wanted == listed,
    |wanted, listed| match (wanted.parse::<Reference>(), listed.parse::<Reference>()) {
        (Ok(wanted), Ok(listed)) => tagged(&wanted) == tagged(&listed),
        _ => false,
    },
    |wanted, listed| listed.parse::<Reference>().is_ok_and(|listed| listed.tag() == Some(wanted)),
    |wanted, listed| match listed.parse::<Reference>() {
        Ok(listed) => {
            let last = listed.repository().rsplit('/').next().unwrap_or_default();
            let tag = wanted.strip_prefix(last).and_then(|rest| rest.strip_prefix(':'));
            wanted == last || tag.is_some_and(|tag| listed.tag() == Some(tag))
        }
        Err(_) => false,
    },
];

/// The image of a source for that platform, manifest and config checked.
///
/// # Errors
/// As [`select_root`]; where there is none for the platform, the error lists those that there are.
pub fn select_image(source: &dyn ImageSource, pick: Option<&Pick>, platform: &Platform) -> Result<Image, SourceError> {
    let root = select_root(source, pick)?;
    let leaf = find_platform(source, &root.descriptor, platform)?;
    match read(source, &leaf.descriptor)? {
        Some(Document::Manifest(image)) if image.config.is_some() => Ok(*image),
        _ => Err(SourceError::Contradiction {
            digest: leaf.descriptor.digest,
            reason: "is no image: its config is of another kind".to_owned(),
        }),
    }
}

/// Attestations stand in indexes beside the images; nobody runs them.
pub(super) fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
        || descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// The first image for that platform below a manifest or index.
pub(super) fn find_platform(
    source: &dyn ImageSource,
    root: &Descriptor,
    wanted: &Platform,
) -> Result<Leaf, SourceError> {
    let mut search = Search { source, wanted, there: Vec::new(), budget: Budget::new(), seen: Default::default() };
    match search.below(root, 0)? {
        Some(leaf) => Ok(leaf),
        None => Err(SourceError::NoPlatform { wanted: wanted.to_string(), there: search.there }),
    }
}

struct Search<'a> {
    source: &'a dyn ImageSource,
    wanted: &'a Platform,
    there: Vec<String>,
    budget: Budget,
    /// What was looked at already: an index may list another many times over.
    seen: std::collections::BTreeSet<crate::oci::Digest>,
}

impl Search<'_> {
    fn below(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Leaf>, SourceError> {
        if is_attestation(descriptor) {
            return Ok(None);
        }
        self.budget.spend(descriptor, depth)?;
        // Manifests whose platform the index names are read only when they are the one.
        if let Some(platform) = descriptor.platform.clone().filter(|_| descriptor.media_type.is_manifest()) {
            return Ok(self.consider(descriptor, platform));
        }
        if !self.seen.insert(descriptor.digest) {
            return Ok(None);
        }
        match read(self.source, descriptor)? {
            Some(Document::Index(index)) => {
                for entry in &index.manifests {
                    if let Some(leaf) = self.below(entry, depth + 1)? {
                        return Ok(Some(leaf));
                    }
                }
                Ok(None)
            }
            Some(Document::Manifest(image)) => match image.platform() {
                Some(platform) => Ok(self.consider(image.manifest.descriptor(), platform)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    fn consider(&mut self, descriptor: &Descriptor, platform: Platform) -> Option<Leaf> {
        if platform.satisfies(self.wanted) {
            return Some(Leaf { descriptor: descriptor.clone(), platform });
        }
        let text = platform.to_string();
        if !self.there.contains(&text) && self.there.len() < 100 {
            self.there.push(text);
        }
        None
    }
}

/// Reads a manifest (with its config) or an index. `None` for what is neither.
pub(super) fn read(source: &dyn ImageSource, descriptor: &Descriptor) -> Result<Option<Document>, SourceError> {
    let digest = descriptor.digest;
    let json = |source| SourceError::Json { digest, source };
    let (media_type, bytes) = match &descriptor.media_type {
        known if known.is_index() || known.is_manifest() => (known.clone(), source.document(descriptor)?),
        MediaType::Other(name) if name.is_empty() => {
            let bytes = source.document(descriptor)?;
            match kind_of(&bytes).map_err(json)? {
                Some(media_type) => (media_type, bytes),
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    if media_type.is_index() {
        let index = Index::read(&media_type, bytes).map_err(json)?;
        return Ok(Some(Document::Index(Box::new(index))));
    }
    let manifest = Manifest::read(&media_type, bytes).map_err(json)?;
    let config = match &manifest.config.media_type {
        kind @ MediaType::Config(_) => {
            let digest = manifest.config.digest;
            let bytes = source.document(&manifest.config)?;
            let config: Encoded<ImageConfig> =
                Encoded::read(kind.clone(), bytes).map_err(|source| SourceError::Json { digest, source })?;
            Some(config)
        }
        _ => None,
    };
    Ok(Some(Document::Manifest(Box::new(Image { manifest, config }))))
}

/// What a document is of which nobody says so: an old index lists some without a media type.
///
/// # Errors
/// Where it is no JSON, or could be read in two ways.
pub fn kind_of(bytes: &[u8]) -> Result<Option<MediaType>, json::JsonError> {
    let value: serde_json::Value = json::parse_as(bytes, Manifest::SHAPE)?;
    if let Some(name) = value.get("mediaType").and_then(|name| name.as_str()) {
        let media_type = MediaType::named(name);
        return Ok((media_type.is_index() || media_type.is_manifest()).then_some(media_type));
    }
    Ok(match (value.get("manifests"), value.get("layers")) {
        (Some(_), None) => Some(MediaType::Index(crate::oci::Family::Oci)),
        (None, Some(_)) => Some(MediaType::Manifest(crate::oci::Family::Oci)),
        _ => None,
    })
}
