//! One image (or one image for several platforms) on its way to a place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::select::{self, Leaf};
use super::source::{BlobSource, ImageSource, Root, SourceError};
use super::{Pick, parse};
use crate::content::Content;
use crate::oci::{Descriptor, Digest, Encoded, Family, ImageConfig, Index, Manifest, MediaType, Platform, Reference};

/// An image with everything that belongs to it: what it is called, its manifest or index, all documents below that, and
/// where its blobs come from.
#[derive(Clone)]
pub struct Artifact {
    /// The references under which it is put somewhere.
    pub names: Vec<Reference>,
    /// What it is called where it has no reference.
    pub fallback: Fallback,
    root: Descriptor,
    documents: Arc<BTreeMap<Digest, Document>>,
    blobs: Arc<dyn BlobSource>,
}

/// What an image without a reference is called.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fallback {
    /// An image of a recipe, or several that came to the same bytes: `image`, or `image:variant`. Docker knows that as
    /// `docker.io/library/image`, and so do the archives that are made for it.
    Images(Vec<RecipeName>),
    /// What a layout lists it under that is no reference (often a tag alone); kept as it is, beside references.
    Labels(Vec<String>),
    /// Nothing.
    #[default]
    Nothing,
}

/// What a recipe calls an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeName {
    /// The image's name.
    pub image: String,
    /// The variant's, where it has one.
    pub variant: Option<String>,
}

impl fmt::Display for RecipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}:{variant}", self.image),
            None => f.write_str(&self.image),
        }
    }
}

/// A manifest or an index.
#[derive(Clone, Debug)]
pub enum Document {
    /// A list of others.
    Index(Box<Encoded<Index>>),
    /// An image for one platform, or something else that is packed like one.
    Manifest(Box<Image>),
}

/// A manifest with its config.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: Encoded<Manifest>,
    /// The config; `None` where the manifest holds no image but something else (a chart, a signature).
    pub config: Option<Encoded<ImageConfig>>,
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("names", &self.names)
            .field("fallback", &self.fallback)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Document::Index(index) => index.bytes(),
            Document::Manifest(image) => image.manifest.bytes(),
        }
    }

    /// Media type, digest and length of the bytes.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Document::Index(index) => index.descriptor(),
            Document::Manifest(image) => image.manifest.descriptor(),
        }
    }
}

impl Image {
    /// The platform that the config names; `None` where it is no image.
    pub fn platform(&self) -> Option<Platform> {
        self.config.as_ref().map(|config| config.platform())
    }
}

impl Fallback {
    /// An image of a recipe.
    pub fn image(image: impl Into<String>, variant: Option<String>) -> Self {
        Fallback::Images(vec![RecipeName { image: image.into(), variant }])
    }

    /// The text, where there is one.
    pub fn text(&self) -> Option<String> {
        self.texts().into_iter().next()
    }

    /// All of them.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Fallback::Images(images) => images.iter().map(ToString::to_string).collect(),
            Fallback::Labels(labels) => labels.clone(),
            Fallback::Nothing => Vec::new(),
        }
    }
}

/// A name without its tag or digest: what images of other tags have in common.
pub(super) fn untagged(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// The full reference that Docker makes of a label; none of a bare word, which is a tag of something that the layout does
/// not name.
pub(super) fn label_reference(label: &str) -> Option<Reference> {
    label.contains([':', '/']).then(|| label.parse().ok()).flatten()
}

/// The reference in full, where the text names its registry.
pub(super) fn full_reference(text: &str) -> Option<Reference> {
    let reference: Reference = text.parse().ok()?;
    let rest = text.strip_prefix(reference.registry())?;
    rest.starts_with('/').then_some(reference)
}

/// The same with a tag: `latest` where neither tag nor digest is named.
pub(super) fn tagged(reference: &Reference) -> Reference {
    match (reference.tag(), reference.digest()) {
        (None, None) => reference.with_tag("latest").unwrap_or_else(|_| reference.clone()),
        _ => reference.clone(),
    }
}

impl Artifact {
    /// An image for one platform. Its layers come from `blobs`.
    pub fn image(manifest: Encoded<Manifest>, config: Encoded<ImageConfig>, blobs: Arc<dyn BlobSource>) -> Self {
        let document = Document::Manifest(Box::new(Image { manifest, config: Some(config) }));
        let root = document.descriptor().clone();
        let documents = BTreeMap::from([(root.digest, document)]);
        Artifact { names: Vec::new(), fallback: Fallback::Nothing, root, documents: Arc::new(documents), blobs }
    }

    /// An image for several platforms. The layers come from `blobs`.
    ///
    /// # Errors
    /// Where the index lists something that is not among `images`.
    pub fn index(index: Encoded<Index>, images: Vec<Image>, blobs: Arc<dyn BlobSource>) -> Result<Self, SourceError> {
        let root = index.descriptor().clone();
        let mut documents: BTreeMap<Digest, Document> =
            images.into_iter().map(|image| (image.manifest.digest(), Document::Manifest(Box::new(image)))).collect();
        if let Some(absent) = index.manifests.iter().find(|entry| !documents.contains_key(&entry.digest)) {
            let place = crate::shown::Shown::new(b"the images of the index");
            return Err(SourceError::Absent { digest: absent.digest, place });
        }
        documents.insert(root.digest, Document::Index(Box::new(index)));
        Ok(Artifact { names: Vec::new(), fallback: Fallback::Nothing, root, documents: Arc::new(documents), blobs })
    }

    /// The same under these names.
    #[must_use]
    pub fn named(mut self, names: Vec<Reference>, fallback: Fallback) -> Self {
        self.names = names;
        self.fallback = fallback;
        self
    }

    /// The same under the name that a place gives it ([`Place::pick`](super::Place::pick)): a reference where its registry is
    /// named (or where `docker` says that Docker's rules hold), else a label.
    #[must_use]
    pub fn called(self, name: &str, docker: bool) -> Self {
        let reference = full_reference(name).or_else(|| name.parse().ok().filter(|_| docker));
        match reference {
            Some(reference) => self.named(vec![reference], Fallback::Nothing),
            None => self.named(Vec::new(), Fallback::Labels(vec![name.to_owned()])),
        }
    }

    /// Media type, digest and length of the manifest or index.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// The digest of the manifest or index.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    /// The manifest or index itself.
    pub fn root_document(&self) -> Option<&Document> {
        self.documents.get(&self.root.digest)
    }

    /// What to call it in messages.
    pub fn shown(&self) -> String {
        self.all_names().into_iter().next().unwrap_or_else(|| self.root.digest.to_string())
    }

    /// Everything that it is called: its references; without any, or where labels are listed beside them, those too.
    pub fn all_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        if names.is_empty() || matches!(self.fallback, Fallback::Labels(_)) {
            names.extend(self.fallback.texts());
        }
        names
    }

    /// What to call the images that it is, in messages: several of a recipe may have come to the same bytes. Of the tags of a
    /// repository, the first. Never empty.
    pub fn shown_each(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut each: Vec<String> =
            self.names.iter().filter(|name| seen.insert(name.name())).map(ToString::to_string).collect();
        if each.is_empty() {
            each = self.fallback.texts();
        }
        if each.is_empty() {
            each.push(self.shown());
        }
        each
    }

    /// All manifests and indexes, each once, what an index lists before the index.
    pub fn documents(&self) -> Vec<&Document> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        self.walk(&self.root, &mut seen, &mut |_, document| found.push(document));
        found
    }

    /// The images, one for each platform, in the order of the index. Attestations and other things that are no images are
    /// left out.
    pub fn images(&self) -> Vec<&Image> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        self.walk(&self.root, &mut seen, &mut |descriptor, document| match document {
            Document::Manifest(image) if image.config.is_some() && !select::is_attestation(descriptor) => {
                found.push(&**image);
            }
            _ => {}
        });
        found
    }

    /// The configs and layers of all manifests (and whatever else an index lists), each once.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut found: Vec<&Descriptor> = Vec::new();
        for document in self.documents() {
            match document {
                Document::Manifest(image) => {
                    found.push(&image.manifest.config);
                    found.extend(&image.manifest.layers);
                }
                Document::Index(index) => {
                    found.extend(index.manifests.iter().filter(|entry| !self.documents.contains_key(&entry.digest)));
                }
            }
        }
        let mut seen = BTreeSet::new();
        found.retain(|descriptor| seen.insert(descriptor.digest));
        found
    }

    /// The bytes of a document, config or layer.
    ///
    /// # Errors
    /// Where they are not to be had.
    pub fn content(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        if let Some(document) = self.documents.get(&descriptor.digest) {
            return Ok(Content::inline(document.bytes()));
        }
        for document in self.documents.values() {
            if let Document::Manifest(image) = document
                && let Some(config) = &image.config
                && config.digest() == descriptor.digest
            {
                return Ok(Content::inline(config.bytes()));
            }
        }
        self.blobs.blob(descriptor)
    }

    /// Where the blobs come from.
    pub fn source(&self) -> &Arc<dyn BlobSource> {
        &self.blobs
    }

    fn walk<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        seen: &mut BTreeSet<Digest>,
        visit: &mut dyn FnMut(&'a Descriptor, &'a Document),
    ) {
        let Some(document) = self.documents.get(&descriptor.digest) else { return };
        if !seen.insert(descriptor.digest) {
            return;
        }
        if let Document::Index(index) = document {
            for entry in &index.manifests {
                self.walk(entry, seen, visit);
            }
        }
        visit(descriptor, document);
    }
}

/// Reads images with everything that belongs to them, except the bytes of layers, which are read when they are needed.
///
/// Without `pick`, all images of the source. With `platforms`, only what is for one of them: with one platform the image
/// itself, with several a new index of those.
///
/// # Errors
/// Where there is no such image or platform, where a document is missing or wrong.
pub fn read_artifacts(
    source: &Arc<dyn ImageSource>,
    pick: Option<&Pick>,
    platforms: &[Platform],
) -> Result<Vec<Artifact>, SourceError> {
    let roots = match pick {
        Some(_) => vec![select::select_root(&**source, pick)?],
        None => source.roots()?,
    };
    roots.iter().map(|root| read_artifact(source, root, platforms)).collect()
}

fn read_artifact(source: &Arc<dyn ImageSource>, root: &Root, platforms: &[Platform]) -> Result<Artifact, SourceError> {
    let (names, fallback) = naming(root);
    let mut documents = BTreeMap::new();
    let mut budget = select::Budget::new();
    let root = match platforms {
        [] => {
            let collected = collect(&**source, &root.descriptor, 0, &mut budget, &mut documents);
            collected.map_err(|error| match error {
                SourceError::Absent { digest, place } if root.descriptor.media_type.is_index() => {
                    SourceError::Partial { digest, place }
                }
                other => other,
            })?;
            root.descriptor.digest
        }
        _ => {
            let mut leaves: Vec<Leaf> = Vec::new();
            for platform in platforms {
                let leaf = select::find_platform(&**source, &root.descriptor, platform)?;
                if !leaves.iter().any(|known| known.descriptor.digest == leaf.descriptor.digest) {
                    leaves.push(leaf);
                }
            }
            for leaf in &leaves {
                collect(&**source, &leaf.descriptor, 0, &mut budget, &mut documents)?;
            }
            match &leaves[..] {
                [leaf] => leaf.descriptor.digest,
                _ => {
                    let index = index_of(&leaves)?;
                    let digest = index.digest();
                    documents.insert(digest, Document::Index(Box::new(index)));
                    digest
                }
            }
        }
    };
    let Some(document) = documents.get(&root) else {
        let reason = "is neither an image nor an index".to_owned();
        return Err(SourceError::Contradiction { digest: root, reason });
    };
    Ok(Artifact {
        names,
        fallback,
        root: document.descriptor().clone(),
        documents: Arc::new(documents),
        blobs: source.clone() as Arc<dyn BlobSource>,
    })
}

/// An index of the images that were asked for.
fn index_of(leaves: &[Leaf]) -> Result<Encoded<Index>, SourceError> {
    let docker = leaves.iter().all(|leaf| leaf.descriptor.media_type == MediaType::Manifest(Family::Docker));
    let media_type = MediaType::Index(if docker { Family::Docker } else { Family::Oci });
    let manifests = leaves.iter().map(|leaf| {
        let mut descriptor = leaf.descriptor.carried();
        descriptor.platform = Some(leaf.platform.clone());
        descriptor
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        manifests: manifests.collect(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    Encoded::new(media_type, index).map_err(|source| SourceError::Json { digest: Digest::of(b""), source })
}

/// Reads a document and all below it.
fn collect(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    depth: usize,
    budget: &mut select::Budget,
    documents: &mut BTreeMap<Digest, Document>,
) -> Result<(), SourceError> {
    if documents.contains_key(&descriptor.digest) {
        return Ok(());
    }
    budget.spend(descriptor, depth)?;
    let Some(document) = select::read(source, descriptor)? else { return Ok(()) };
    if let Document::Index(index) = &document {
        for entry in &index.manifests {
            collect(source, entry, depth + 1, budget, documents)?;
        }
    }
    documents.insert(descriptor.digest, document);
    Ok(())
}

/// What the image is called, from what the place lists it as.
fn naming(root: &Root) -> (Vec<Reference>, Fallback) {
    let (mut names, mut short, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for listed in &root.names {
        let plain = listed.name.as_deref();
        let containerd = listed.containerd.as_deref().and_then(full_reference);
        match (plain, plain.and_then(full_reference), containerd) {
            (_, Some(reference), _) => names.push(reference),
            (Some(plain), None, Some(reference))
                if plain.parse::<Reference>().is_ok_and(|plain| tagged(&plain) == reference) =>
            {
                short.push((plain, reference));
            }
            (_, None, Some(reference)) => names.push(reference),
            (Some(plain), None, None) if parse::valid_name(plain) => labels.push(plain.to_owned()),
            (_, None, None) => {}
        }
    }
    let is_word = |plain: &str| !plain.contains(['/', '@']);
    if !short.is_empty() && names.is_empty() && labels.is_empty() && short.iter().all(|(plain, _)| is_word(plain)) {
        // What images of a recipe without a reference are written as.
        let image = |plain: &str| match plain.split_once(':') {
            Some((image, variant)) => RecipeName { image: image.to_owned(), variant: Some(variant.to_owned()) },
            None => RecipeName { image: plain.to_owned(), variant: None },
        };
        return (Vec::new(), Fallback::Images(short.into_iter().map(|(plain, _)| image(plain)).collect()));
    }
    names.extend(short.into_iter().map(|(_, reference)| reference));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    (names, if labels.is_empty() { Fallback::Nothing } else { Fallback::Labels(labels) })
}
