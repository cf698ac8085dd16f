//! From images to what the page says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::facts::{Comparison, ImageFacts, LayerFacts, PackageFacts, Page, Pins, PlatformFacts};
use super::packages::{Package, Packages, databases};
use super::shown;
use super::sizes::{Branch, MAX_NODES, Sizes};
use crate::base::{BaseError, Depth, LayerStack, Listing, StackLayer};
use crate::content::Content;
use crate::difference::{self, Kind, Line, Side};
use crate::limits::Limits;
use crate::lock::Lock;
use crate::logins::{hide_credentials, shown as said};
use crate::oci::{DiffId, Digest, ImageConfig, annotation};
use crate::place::{Artifact, BlobSource, Image};
use crate::report::Reporter;
use crate::store::BlobStore;
use crate::tree::{Located, NodeKind, Rootfs, TreePath};

/// The most bytes of one file that is read for what it says.
const MAX_FILE: u64 = 32 << 20;

/// As many paths in which two variants differ are named.
const NAMED_PATHS: usize = 40;

/// An image for one platform that a page is about.
#[derive(Clone)]
pub struct Subject {
    /// What is one image in several variants has this in common: its name in the recipe, its repository.
    pub family: String,
    /// What tells it from the others of its family: the variant, the tag.
    pub label: Option<String>,
    /// The references under which it is known.
    pub references: Vec<String>,
    /// Manifest and config.
    pub image: Image,
    /// Where its layers are.
    pub bytes: Arc<dyn BlobSource>,
}

impl Subject {
    /// The images of an artifact, one for each platform, by the names that it has.
    pub fn of(artifact: &Artifact) -> Vec<Subject> {
        let (family, label) = match (artifact.names.first(), &artifact.fallback.text()) {
            (Some(name), _) => (name.name(), name.tag().map(str::to_owned)),
            (None, Some(text)) => match text.rsplit_once(':') {
                Some((family, label)) => (family.to_owned(), Some(label.to_owned())),
                None => (text.clone(), None),
            },
            (None, None) => (format!("sha256:{}", artifact.digest().short()), None),
        };
        Self::named(artifact, &family, label.as_deref())
    }

    /// The same by the names that a recipe gives it.
    pub fn named(artifact: &Artifact, family: &str, label: Option<&str>) -> Vec<Subject> {
        let subject = |image: &Image| Subject {
            family: family.to_owned(),
            label: label.map(str::to_owned),
            references: artifact.names.iter().map(ToString::to_string).collect(),
            image: image.clone(),
            bytes: artifact.source().clone(),
        };
        artifact.images().into_iter().map(subject).collect()
    }
}

/// What a page is to be about, beside its images.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What it is called.
    pub title: String,
    /// The lock that the images were built from.
    pub lock: Option<Lock>,
    /// A place, and the layers that are there: what need not be sent to it again.
    pub before: Option<(String, BTreeSet<Digest>)>,
}

/// Why a page cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A layer cannot be read.
    #[error("reading the layers of {image}")]
    Layers {
        /// Which image.
        image: String,
        /// Why.
        source: Box<BaseError>,
    },
    /// A file of an image cannot be read.
    #[error("reading {path} in {image}")]
    File {
        /// Which file.
        path: TreePath,
        /// Of which image.
        image: String,
        /// Why.
        source: io::Error,
    },
}

/// Reads all layers of the images, each once.
///
/// # Errors
/// [`PageError`].
pub fn gather(subjects: &[Subject], asked: &Asked, store: &BlobStore, reporter: &Reporter) -> Result<Page, PageError> {
    let mut reading = Reading { store, reporter, listings: BTreeMap::new(), texts: BTreeMap::new() };
    let mut sizes = Sizes::default();
    let mut by_platform: Vec<(String, Vec<&Subject>)> = Vec::new();
    for subject in subjects {
        let Some(platform) = subject.image.platform() else { continue };
        let platform = platform.to_string();
        match by_platform.iter_mut().find(|(known, _)| *known == platform) {
            Some((_, subjects)) => subjects.push(subject),
            None => by_platform.push((platform, vec![subject])),
        }
    }
    let mut platforms = Vec::new();
    for (name, subjects) in by_platform {
        platforms.push(reading.platform(name, &subjects, asked, &mut sizes)?);
    }
    let roots: Vec<usize> = platforms.iter().flat_map(|platform| &platform.images).map(|image| image.root).collect();
    let (sizes, now, least) = sizes.bounded(&roots, MAX_NODES);
    for (image, root) in platforms.iter_mut().flat_map(|platform| &mut platform.images).zip(now) {
        image.root = root;
    }
    Ok(Page {
        title: shown(asked.title.as_bytes()),
        platforms,
        sizes,
        least,
        pins: asked.lock.as_ref().map(pins),
        before: asked.before.as_ref().map(|(place, _)| shown(place.as_bytes())),
    })
}

fn pins(lock: &Lock) -> Pins {
    let mut archives: BTreeMap<String, String> = BTreeMap::new();
    for (archive, date) in lock.debian.iter().chain(&lock.compilers).flat_map(|pins| &pins.archives) {
        let newest = archives.entry(shown(archive.as_bytes())).or_default();
        // RFC 3339 in UTC: the order of the texts is that of the times.
        if newest.as_str() < date.as_str() {
            *newest = shown(date.as_bytes());
        }
    }
    let images = lock
        .images
        .iter()
        .map(|pin| (shown(pin.name.as_bytes()), shown(pin.platform.as_bytes()), pin.manifest.to_string()));
    let debs: BTreeSet<_> = lock.debian.iter().flat_map(|pins| &pins.packages).map(|pin| pin.sha256).collect();
    let wheels: BTreeSet<_> = lock.python.iter().flat_map(|pins| &pins.wheels).map(|pin| pin.sha256).collect();
    Pins { archives, images: images.collect(), debian: debs.len(), python: wheels.len(), downloads: lock.fetch.len() }
}

/// What was read already: many images have the same layers.
struct Reading<'a> {
    store: &'a BlobStore,
    reporter: &'a Reporter,
    listings: BTreeMap<(Digest, DiffId), Arc<Listing>>,
    /// Contents of files, by their layer and where they are in it.
    texts: BTreeMap<(DiffId, u64), Vec<u8>>,
}

/// An image that was read.
struct Looked {
    facts: ImageFacts,
    rootfs: LayerStack,
}

/// What is known of a layer while images are gone through.
type Layers = Vec<(DiffId, LayerFacts)>;

impl Reading<'_> {
    fn platform(
        &mut self,
        name: String,
        subjects: &[&Subject],
        asked: &Asked,
        sizes: &mut Sizes,
    ) -> Result<PlatformFacts, PageError> {
        let names = names(subjects);
        let mut layers = Layers::new();
        let mut packages: Vec<PackageFacts> = Vec::new();
        let mut images: Vec<ImageFacts> = Vec::new();
        let mut comparisons = Vec::new();
        let mut families: Vec<(&str, Vec<usize>)> = Vec::new();
        for (number, subject) in subjects.iter().enumerate() {
            match families.iter_mut().find(|(family, _)| *family == subject.family) {
                Some((_, members)) => members.push(number),
                None => families.push((&subject.family, vec![number])),
            }
        }
        // The view of an image is large: those of one family are held at a time.
        for (family, members) in families {
            let mut looked: Vec<(usize, Looked, &Subject)> = Vec::new();
            for member in members {
                let (Some(subject), Some(name)) = (subjects.get(member), names.get(member)) else { continue };
                let number = images.len();
                let image = self.image(subject, name, number, asked, &mut layers, &mut packages, sizes)?;
                images.push(image.facts.clone());
                looked.push((number, image, *subject));
            }
            comparisons.extend(compared(family, &looked));
        }
        let layers = layers.into_iter().map(|(_, layer)| layer).collect();
        packages.sort_by_cached_key(|PackageFacts { package: Package { kind, name, version }, .. }| {
            (*kind, name.to_lowercase(), name.clone(), version.clone())
        });
        Ok(PlatformFacts { name: shown(name.as_bytes()), images, layers, packages, comparisons })
    }

    #[expect(clippy::too_many_arguments, reason = "three of them are what is filled")]
    fn image(
        &mut self,
        subject: &Subject,
        name: &str,
        number: usize,
        asked: &Asked,
        layers: &mut Layers,
        packages: &mut Vec<PackageFacts>,
        sizes: &mut Sizes,
    ) -> Result<Looked, PageError> {
        let failed = |source: BaseError| PageError::Layers { image: name.to_owned(), source: Box::new(source) };
        let mut stack = LayerStack::new();
        let (mut numbers, mut total) = (Vec::new(), 0);
        let mut listings = Vec::new();
        let side = Side::of(&subject.image, subject.bytes.clone());
        for line in side.iter().flat_map(difference::lines) {
            let (descriptor, bytes) = (line.descriptor.clone(), subject.bytes.clone());
            let layer = StackLayer { descriptor, diff_id: line.diff_id, bytes, limits: Limits::default() };
            let key = (layer.descriptor.digest, layer.diff_id);
            let listing = match self.listings.get(&key) {
                Some(listing) => listing.clone(),
                None => {
                    let listing = Arc::new(layer.listing(Depth::Places, self.store, self.reporter).map_err(failed)?);
                    self.listings.entry(key).or_insert(listing).clone()
                }
            };
            stack.push_listed(layer, &listing).map_err(failed)?;
            let known = layers
                .iter()
                .position(|(diff_id, facts)| *diff_id == line.diff_id && facts.digest == line.descriptor.digest);
            let at = known.unwrap_or(layers.len());
            if known.is_none() {
                layers.push((line.diff_id, layer_facts(&line, &listing, asked)));
            }
            if let Some((_, facts)) = layers.get_mut(at) {
                total += facts.unpacked;
                if !facts.images.contains(&number) {
                    facts.images.push(number);
                }
            }
            numbers.push(at);
            listings.push(listing);
        }
        let texts = self.texts(&stack, name)?;
        let found = Packages::of(stack.rootfs(), &texts);
        let shares = shares(stack.rootfs(), &found, &numbers, &listings, sizes);
        for (package, share) in found.list.iter().zip(&shares.packages) {
            let package = Package {
                kind: package.kind,
                name: shown(package.name.as_bytes()),
                version: shown(package.version.as_bytes()),
            };
            let layer = largest(share).and_then(|(layer, _)| layer);
            let size = share.values().sum();
            let at = packages.iter().position(|facts| facts.package == package).unwrap_or(packages.len());
            if at == packages.len() {
                packages.push(PackageFacts { package, layers: Vec::new(), size, images: Vec::new() });
            }
            if let Some(facts) = packages.get_mut(at) {
                facts.size = facts.size.max(size);
                facts.layers.extend(layer.filter(|layer| !facts.layers.contains(layer)));
                facts.images.extend(Some(number).filter(|number| !facts.images.contains(number)));
            }
        }
        for (layer, kinds) in &shares.kinds {
            if let (Some((_, facts)), Some((kind, _))) = (layers.get_mut(*layer), largest(kinds)) {
                facts.kind = facts.kind.or(kind);
            }
        }
        let config = subject.image.config.as_deref();
        let (unpacked, files) = sizes.total(shares.root);
        let facts = ImageFacts {
            name: name.to_owned(),
            label: subject.label.as_ref().map(|label| shown(label.as_bytes())),
            references: subject.references.iter().map(|name| shown(name.as_bytes())).collect(),
            digest: subject.image.manifest.digest(),
            created: config.and_then(|config| config.created.as_ref()).map(|created| shown(created.as_bytes())),
            base: base(&subject.image),
            system: system(stack.rootfs()),
            user: config.and_then(|config| config.config.user.as_deref()).map(said),
            layers: numbers,
            files,
            unpacked,
            hidden: total.saturating_sub(unpacked),
            root: shares.root,
        };
        Ok(Looked { facts, rootfs: stack })
    }

    /// What databases of packages hold, by path.
    fn texts(&mut self, stack: &LayerStack, image: &str) -> Result<BTreeMap<TreePath, Vec<u8>>, PageError> {
        let wanted = databases(stack.rootfs());
        let place = |located: &Located| match located {
            Located::Layer { layer, offset, .. } => Some((stack.layers().get(*layer)?.diff_id, *offset)),
            _ => None,
        };
        let is_new = |located: &Located| place(located).is_none_or(|place| !self.texts.contains_key(&place));
        let new: Vec<_> = wanted.iter().filter(|(_, located)| is_new(located)).copied().collect();
        let located: Vec<&Located> = new.iter().map(|(_, located)| *located).collect();
        let contents = stack
            .extract(&located, self.store)
            .map_err(|source| PageError::Layers { image: image.to_owned(), source: Box::new(source) })?;
        let mut found = BTreeMap::new();
        for ((path, located), content) in new.into_iter().zip(contents) {
            let text = read(&content, path, image)?;
            match place(located) {
                Some(place) => drop(self.texts.insert(place, text)),
                None => drop(found.insert(path.clone(), text)),
            }
        }
        for (path, located) in wanted {
            if let Some(text) = place(located).and_then(|place| self.texts.get(&place)) {
                found.insert(path.clone(), text.clone());
            }
        }
        Ok(found)
    }
}

fn read(content: &Content, path: &TreePath, image: &str) -> Result<Vec<u8>, PageError> {
    content.read_all(MAX_FILE).map_err(|source| PageError::File { path: path.clone(), image: image.to_owned(), source })
}

fn layer_facts(line: &Line<'_>, listing: &Listing, asked: &Asked) -> LayerFacts {
    let is_made = line.descriptor.annotations.contains_key(annotation::LAYER_KEY);
    let text = line.created_by.map(said).filter(|text| !text.is_empty());
    // `name: what it does`, where lapstrake made it.
    let title = match (&text, is_made) {
        (Some(text), true) => text.split_once(": ").map_or(text.as_str(), |(name, _)| name).to_owned(),
        (Some(text), false) => text.clone(),
        (None, _) => format!("sha256:{}", line.descriptor.digest.short()),
    };
    LayerFacts {
        title,
        line: text,
        digest: line.descriptor.digest,
        size: line.descriptor.size,
        files: listing.files().count() as u64,
        unpacked: listing.files().map(|(_, length)| length).sum(),
        is_made,
        kind: None,
        images: Vec::new(),
        is_there: asked.before.as_ref().is_some_and(|(_, there)| there.contains(&line.descriptor.digest)),
    }
}

/// Whose the bytes of an image are.
struct Shares {
    root: usize,
    /// For each package, the bytes that it has in each layer.
    packages: Vec<BTreeMap<Option<usize>, u64>>,
    /// For each layer, the bytes of each kind of packages, and of none.
    kinds: BTreeMap<usize, BTreeMap<Option<Kind>, u64>>,
}

fn shares(
    rootfs: &Rootfs,
    found: &Packages,
    numbers: &[usize],
    listings: &[Arc<Listing>],
    sizes: &mut Sizes,
) -> Shares {
    let mut packages = vec![BTreeMap::new(); found.list.len()];
    let mut kinds: BTreeMap<usize, BTreeMap<Option<Kind>, u64>> = BTreeMap::new();
    let mut of_packages: Vec<Branch> = vec![Branch::default(); found.list.len()];
    let mut others = Branch::default();
    let mut seen: BTreeSet<(usize, u64)> = BTreeSet::new();
    for (path, node) in rootfs.iter() {
        let NodeKind::File(located) = &node.kind else { continue };
        let layer = match located {
            // A file by another name takes no room of its own.
            Located::Layer { layer, offset, length } if *length > 0 && !seen.insert((*layer, *offset)) => continue,
            Located::Layer { layer, .. } => Some(*layer),
            Located::Content(_) | Located::Unknown { .. } => kept_in(path, listings),
        };
        let layer = layer.and_then(|layer| numbers.get(layer)).copied();
        let size = located.length();
        let owner = found.owner(path);
        let kind = owner.and_then(|owner| found.list.get(owner)).map(|package| package.kind);
        if let Some(layer) = layer {
            *kinds.entry(layer).or_default().entry(kind).or_default() += size;
        }
        // What dpkg notes of a package tells where it was put, and is none of its files.
        let is_note = path.as_bytes().starts_with(b"var/lib/dpkg/");
        if let Some(share) = owner.and_then(|owner| packages.get_mut(owner)) {
            *share.entry(layer).or_default() += if is_note { 0 } else { size };
        }
        match owner.filter(|_| !is_note).and_then(|owner| of_packages.get_mut(owner)) {
            Some(branch) => branch.put(path.components(), size, layer),
            None => others.put(path.components(), size, layer),
        }
    }
    let mut within = Vec::new();
    for (kind, name) in [(Kind::Debian, "Debian packages"), (Kind::Python, "Python packages")] {
        let mut group = Vec::new();
        for (package, branch) in found.list.iter().zip(&of_packages).filter(|(package, _)| package.kind == kind) {
            let files = sizes.within(branch);
            if !files.is_empty() {
                let name = format!("{} {}", shown(package.name.as_bytes()), shown(package.version.as_bytes()));
                group.push(sizes.group(name, files));
            }
        }
        if !group.is_empty() {
            within.push(sizes.group(name.to_owned(), group));
        }
    }
    let others = sizes.within(&others);
    if !others.is_empty() {
        within.push(sizes.group("Other files".to_owned(), others));
    }
    Shares { root: sizes.group("All files".to_owned(), within), packages, kinds }
}

/// The uppermost layer that has that file: of files whose contents are kept, the view does not tell.
fn kept_in(path: &TreePath, listings: &[Arc<Listing>]) -> Option<usize> {
    listings.iter().rposition(|listing| listing.files().any(|(file, _)| file == path))
}

/// What has the most; where several have as much, the first.
fn largest<K: Copy>(shares: &BTreeMap<K, u64>) -> Option<(K, u64)> {
    shares.iter().rev().max_by_key(|(_, size)| **size).map(|(key, size)| (*key, *size))
}

/// What an image says that it stands on, in its annotations or, in Docker's format, in its labels.
fn base(image: &Image) -> Option<(String, Option<String>)> {
    let said = |key: &str| {
        let label = || image.config.as_ref()?.config.labels.get(key);
        image.manifest.annotations.get(key).or_else(label).map(|text| shown(text.as_bytes()))
    };
    Some((hide_credentials(&said(annotation::BASE_NAME)?), said(annotation::BASE_DIGEST)))
}

/// What `os-release` calls the system.
fn system(rootfs: &Rootfs) -> Option<String> {
    let path = TreePath::parse("etc/os-release").ok()?;
    let (_, _, located) = rootfs.file(&path).ok()??;
    let Located::Content(content) = located else { return None };
    let text = content.read_all(MAX_FILE).ok()?;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(shown(name.trim_matches(['"', '\'']).as_bytes()))
}

/// What images are called: the last part of the repository and the label, or as much as tells them apart.
fn names(subjects: &[&Subject]) -> Vec<String> {
    let with = |family: &str, subject: &Subject| match &subject.label {
        Some(label) => shown(format!("{family}:{label}").as_bytes()),
        None => shown(family.as_bytes()),
    };
    let short = |subject: &Subject| with(subject.family.rsplit('/').next().unwrap_or_default(), subject);
    let forms: [&dyn Fn(&Subject) -> String; 3] = [&short, &|subject| with(&subject.family, subject), &|subject| {
        format!("{}@{}", with(&subject.family, subject), subject.image.manifest.digest().short())
    }];
    let all = forms.map(|form| subjects.iter().map(|subject| form(subject)).collect::<Vec<_>>());
    let is_alone = |names: &[String], name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let name = |number: usize| {
        let found = all.iter().find(|names| names.get(number).is_some_and(|name| is_alone(names, name)));
        found.or(all.last()).and_then(|names| names.get(number)).cloned().unwrap_or_default()
    };
    (0..subjects.len()).map(name).collect()
}

/// In what the images of a family differ, where it has several.
fn compared(family: &str, looked: &[(usize, Looked, &Subject)]) -> Option<Comparison> {
    let ((_, first, _), others) = looked.split_first()?;
    if others.is_empty() {
        return None;
    }
    let facts: Vec<BTreeMap<String, String>> = looked.iter().map(|(_, _, subject)| settings(&subject.image)).collect();
    let keys: BTreeSet<&String> = facts.iter().flat_map(BTreeMap::keys).collect();
    let row = |key: &String| -> Vec<Option<String>> { facts.iter().map(|facts| facts.get(key).cloned()).collect() };
    let rows = keys.into_iter().map(|key| (key.clone(), row(key)));
    let paths = others.iter().map(|(number, other, _)| {
        let mut found = difference::places(first.rootfs.rootfs(), other.rootfs.rootfs(), &[]);
        let count = found.len();
        found.truncate(NAMED_PATHS);
        (*number, count, found)
    });
    Some(Comparison {
        family: shown(family.as_bytes()),
        images: looked.iter().map(|(number, ..)| *number).collect(),
        settings: rows.filter(|(_, values)| values.iter().any(|value| Some(value) != values.first())).collect(),
        paths: paths.collect(),
    })
}

/// All settings of an image by what they are called.
fn settings(image: &Image) -> BTreeMap<String, String> {
    let Some(config) = &image.config else { return BTreeMap::new() };
    let config: &ImageConfig = config;
    let facts = difference::facts(&config.config);
    let fit = |(key, value): (String, String)| (said(&key), said(&value));
    let mut facts: BTreeMap<String, String> = facts.into_iter().map(fit).collect();
    facts.insert("format".to_owned(), shown(image.manifest.config.media_type.to_string().as_bytes()));
    if let Some(created) = &config.created {
        facts.insert("date".to_owned(), shown(created.as_bytes()));
    }
    facts
}
