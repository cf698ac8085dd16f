//! Recomputes everything about images: what closes every test of a build, and what `verify` stands on.
//!
//! Nothing is believed: every blob is read, digested and measured, every layer is decompressed and its tar read member by
//! member, in constant memory. Layers that lapstrake made (they carry their key as an annotation) are held to the one form
//! that it writes; others to what any reader needs.

mod canonical;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use crate::compress::{Decoder, detect};
use crate::oci::{
    Compression, ContainerConfig, Descriptor, DiffId, Digest, Encoded, Family, Hasher, ImageConfig, Index, Manifest,
    MediaType, annotation, is_port,
};
use crate::place::{Artifact, Document, Image, ImageSource, read_artifacts};
use crate::shown::Shown;
use crate::tar::{MemberKind, Reader};
use crate::tree::TreePath;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works here and there, and surprises elsewhere.
    Warning,
    /// Against a specification, a promise, or itself.
    Error,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: an image, a document, a layer.
    pub subject: String,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}: {}", self.subject, self.text)
    }
}

/// The most layers that Docker loads.
pub const MAX_LAYERS: usize = 127;

/// From how many layers on there is a warning: the next image on top may be too many.
const MANY_LAYERS: usize = 100;

/// The most bytes of a layer's tar that are read.
const MAX_TAR: u64 = 256 << 30;

/// The most findings for one layer: a layer of another form has one at every entry.
const MAX_FINDINGS: usize = 20;

/// Whether there is no error among the findings.
pub fn is_sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity != Severity::Error)
}

/// Validates all images of a place.
pub fn source(source: &Arc<dyn ImageSource>) -> Vec<Finding> {
    match read_artifacts(source, None, &[]) {
        Ok(found) => artifacts(&found),
        Err(error) => {
            vec![Finding { severity: Severity::Error, subject: "the place".to_owned(), text: chain(&error) }]
        }
    }
}

/// Validates images. A layer that several of them share is read once.
pub fn artifacts(artifacts: &[Artifact]) -> Vec<Finding> {
    let mut validator = Validator::default();
    for artifact in artifacts {
        validator.artifact(artifact);
    }
    validator.findings
}

#[derive(Default)]
struct Validator {
    findings: Vec<Finding>,
    /// What is known of the layers that were read, by digest, compression, and whether they are held to our form.
    layers: BTreeMap<(Digest, Compression, bool), Option<Arc<Facts>>>,
    /// The layer that each key was seen at.
    keys: BTreeMap<String, Digest>,
    /// Manifests and configs that were looked at already.
    seen: BTreeSet<Digest>,
}

/// What a layer holds.
#[derive(Debug)]
struct Facts {
    diff_id: DiffId,
    entries: Vec<(TreePath, Shape)>,
}

/// What an entry does to what is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Directory,
    Symlink,
    Other,
    /// Deletes the path.
    Whiteout,
    /// Deletes all that the directory held.
    Opaque,
}

impl Validator {
    fn add(&mut self, severity: Severity, subject: &str, text: impl Into<String>) {
        self.findings.push(Finding { severity, subject: subject.to_owned(), text: text.into() });
    }

    fn error(&mut self, subject: &str, text: impl Into<String>) {
        self.add(Severity::Error, subject, text);
    }

    fn warn(&mut self, subject: &str, text: impl Into<String>) {
        self.add(Severity::Warning, subject, text);
    }

    fn artifact(&mut self, artifact: &Artifact) {
        let shown = artifact.shown();
        if artifact.root_document().is_none() {
            self.error(&shown, "its manifest or index is missing");
        }
        let documents = artifact.documents();
        let by_digest: BTreeMap<Digest, &Document> =
            documents.iter().map(|document| (document.descriptor().digest, *document)).collect();
        for document in documents {
            let descriptor = document.descriptor();
            if Descriptor::of(descriptor.media_type.clone(), document.bytes()) != *descriptor {
                self.error(&shown, format!("{} does not describe its own bytes", descriptor.digest));
            }
            if !self.seen.insert(descriptor.digest) {
                continue;
            }
            match document {
                Document::Index(index) => self.index(artifact, &shown, index, &by_digest),
                Document::Manifest(image) => {
                    let subject = match image.platform() {
                        Some(platform) => format!("{shown} ({platform})"),
                        None => shown.clone(),
                    };
                    self.manifest(artifact, &subject, image);
                }
            }
        }
    }

    fn index(
        &mut self,
        artifact: &Artifact,
        subject: &str,
        index: &Encoded<Index>,
        documents: &BTreeMap<Digest, &Document>,
    ) {
        let own = &index.descriptor().media_type;
        if index.media_type.is_none() {
            self.warn(subject, "the index does not say its media type");
        }
        let mut platforms = BTreeSet::new();
        for entry in &index.manifests {
            let digest = entry.digest;
            let Some(document) = documents.get(&digest) else {
                // Neither manifest nor index: a blob, which must be there all the same.
                self.blob(artifact, subject, entry);
                continue;
            };
            let found = document.descriptor();
            if (entry.size, &entry.media_type) != (found.size, &found.media_type) {
                self.error(subject, format!("the index describes {digest} wrongly"));
            }
            match (own, &found.media_type) {
                (MediaType::Index(a), MediaType::Index(b) | MediaType::Manifest(b)) if a != b => {
                    self.error(
                        subject,
                        format!("the index is {own}, and lists {digest}, which is {}", found.media_type),
                    );
                }
                _ => {}
            }
            let Document::Manifest(image) = document else { continue };
            let attestation = entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
            match (&entry.platform, image.platform()) {
                _ if attestation => {}
                (None, Some(_)) => self.error(subject, format!("the index names no platform for {digest}")),
                (Some(listed), Some(own)) if !own.satisfies(listed) => {
                    self.error(subject, format!("the index lists {digest} for {listed}, and its config says {own}"));
                }
                (Some(listed), _) if !platforms.insert(listed.to_string()) => {
                    self.warn(subject, format!("the index lists {listed} twice: only the first is ever taken"));
                }
                _ => {}
            }
        }
        if index.manifests.is_empty() {
            self.error(subject, "the index lists nothing");
        }
    }

    fn manifest(&mut self, artifact: &Artifact, subject: &str, image: &Image) {
        let manifest = &image.manifest;
        let Some(config) = &image.config else {
            // Something else that is packed like an image: its blobs must be there, and no more is known of it.
            self.blob(artifact, subject, &manifest.config);
            for layer in &manifest.layers {
                self.blob(artifact, subject, layer);
            }
            return;
        };
        let attestation = config.os == "unknown";
        self.media_types(subject, manifest, attestation);
        if Descriptor::of(manifest.config.media_type.clone(), config.bytes()).digest != manifest.config.digest
            || config.bytes().len() as u64 != manifest.config.size
        {
            self.error(subject, "the manifest's config is not the config that is there");
        }
        if attestation {
            for layer in &manifest.layers {
                self.blob(artifact, subject, layer);
            }
            return;
        }
        self.config(subject, config, manifest.layers.len());
        self.layers(artifact, subject, manifest, config);
    }

    /// All of one family.
    fn media_types(&mut self, subject: &str, manifest: &Encoded<Manifest>, attestation: bool) {
        let own = &manifest.descriptor().media_type;
        let MediaType::Manifest(family) = own else {
            return self.error(subject, format!("the manifest is {own}, which is no image manifest"));
        };
        match (&manifest.media_type, family) {
            (None, Family::Docker) => self.error(subject, "the manifest does not say its media type"),
            (None, Family::Oci) => self.warn(subject, "the manifest does not say its media type"),
            _ => {}
        }
        if manifest.config.media_type != MediaType::Config(*family) {
            self.error(subject, format!("the manifest is {own}, and its config is {}", manifest.config.media_type));
        }
        if attestation {
            return;
        }
        for layer in &manifest.layers {
            match &layer.media_type {
                MediaType::Layer(Family::Docker, Compression::Zstd) => {
                    self.error(
                        subject,
                        format!("layer {} is zstd, for which Docker's media types have no name", layer.digest),
                    );
                }
                MediaType::Layer(other, _) if other == family => {}
                MediaType::ForeignLayer(_) => {}
                other => self.error(subject, format!("the manifest is {own}, and layer {} is {other}", layer.digest)),
            }
        }
    }

    fn config(&mut self, subject: &str, config: &Encoded<ImageConfig>, layers: usize) {
        if config.os.is_empty() || config.architecture.is_empty() {
            self.error(subject, "the config names no platform");
        }
        if config.rootfs.kind != "layers" {
            self.error(subject, format!("rootfs.type is {}, not `layers`", Shown::new(config.rootfs.kind.as_bytes())));
        }
        let diff_ids = config.rootfs.diff_ids.len();
        if diff_ids != layers {
            self.error(subject, format!("the config has {diff_ids} diff IDs, and the manifest {layers} layers"));
        }
        let lines = config.history.iter().filter(|line| !line.empty_layer).count();
        match config.history.is_empty() {
            true if layers > 0 => self.warn(subject, "there is no history"),
            _ if lines != layers => {
                self.error(subject, format!("the history has {lines} lines for layers, and there are {layers} layers"));
            }
            _ => {}
        }
        if layers > MAX_LAYERS {
            self.error(subject, format!("there are {layers} layers, and Docker loads at most {MAX_LAYERS}"));
        } else if layers > MANY_LAYERS {
            self.warn(subject, format!("there are {layers} layers, and Docker loads at most {MAX_LAYERS}"));
        }
        match config.created.as_deref().map(|created| (created, created.parse::<jiff::Timestamp>())) {
            None => self.warn(subject, "the config does not say when it was created"),
            Some((created, Err(_))) => {
                self.error(subject, format!("`created` is no RFC 3339 time: {}", Shown::new(created.as_bytes())));
            }
            // Registries' clean-up rules take it for the oldest image of all.
            Some((created, Ok(time))) if time.as_second() < 365 * 86_400 => {
                self.warn(subject, format!("`created` is {created}: nothing was made in 1970"));
            }
            _ => {}
        }
        self.container(subject, &config.config);
    }

    fn container(&mut self, subject: &str, config: &ContainerConfig) {
        let shown = |text: &str| Shown::new(text.as_bytes());
        if let Some(user) = config.user.as_deref().filter(|user| !user.is_empty()) {
            let parts: Vec<&str> = user.split(':').collect();
            if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) || user.contains(char::is_control) {
                self.error(subject, format!("`User` is {}, neither user nor user:group", shown(user)));
            } else if !parts.iter().all(|part| part.parse::<u32>().is_ok()) {
                self.warn(
                    subject,
                    format!("`User` is {}: Kubernetes' runAsNonRoot refuses names, and takes numbers", shown(user)),
                );
            }
        }
        let mut names = BTreeSet::new();
        for variable in &config.env {
            match variable.split_once('=') {
                Some((name, _)) if !name.is_empty() => {
                    if !names.insert(name) {
                        self.warn(subject, format!("the variable {} is set twice", shown(name)));
                    }
                }
                // The value is not repeated: it may be a secret.
                _ => self.error(subject, "an entry of `Env` is not NAME=value"),
            }
        }
        let is_path = |path: &str| TreePath::parse(path).is_ok() && !path.contains(char::is_control);
        if let Some(path) = config.working_dir.as_deref().filter(|path| !path.is_empty()) {
            if !path.starts_with('/') {
                self.error(subject, format!("the path {} is not absolute", shown(path)));
            } else if !is_path(path) {
                self.error(subject, format!("{} is no path to work in", shown(path)));
            }
        }
        for path in config.volumes.keys() {
            if !is_path(path) || TreePath::parse(path).is_ok_and(|path| path.is_root()) {
                self.error(subject, format!("{} is no path of a volume", shown(path)));
            } else if !path.starts_with('/') {
                self.warn(subject, format!("the path {} is not absolute: Docker takes it to be", shown(path)));
            }
        }
        for port in config.exposed_ports.keys() {
            if !is_port(port) {
                self.error(subject, format!("the port {} is not NUMBER/PROTOCOL", shown(port)));
            }
        }
    }

    fn layers(&mut self, artifact: &Artifact, subject: &str, manifest: &Manifest, config: &ImageConfig) {
        let mut view = View::default();
        let mut seen = BTreeSet::new();
        for (number, layer) in manifest.layers.iter().enumerate() {
            let about = format!("{subject}, layer {number}");
            if !seen.insert(layer.digest) {
                self.warn(&about, format!("{} is there twice, which some tools do not take", layer.digest));
            }
            let expected = config.rootfs.diff_ids.get(number).copied();
            let ours = self.annotations(&about, layer, expected);
            let Some(compression) = layer.media_type.compression() else { continue };
            let known = (layer.digest, compression, ours);
            let facts = match self.layers.get(&known) {
                Some(facts) => facts.clone(),
                None => {
                    let facts = self.layer(artifact, &about, layer, compression, ours).map(Arc::new);
                    self.layers.insert(known, facts.clone());
                    facts
                }
            };
            match facts {
                Some(facts) => {
                    if expected.is_some_and(|expected| expected != facts.diff_id) {
                        let expected = expected.map(|id| id.to_string()).unwrap_or_default();
                        self.error(&about, format!("its diff ID is {}, and the config says {expected}", facts.diff_id));
                    }
                    for text in view.lay(&facts.entries, ours) {
                        self.error(&about, text);
                    }
                }
                // What lies above cannot be judged without what lies below.
                None => view.whole = false,
            }
        }
    }

    /// Whether lapstrake made the layer: then its annotations must be right.
    fn annotations(&mut self, about: &str, layer: &Descriptor, expected: Option<DiffId>) -> bool {
        let key = layer.annotations.get(annotation::LAYER_KEY);
        let diff_id = layer.annotations.get(annotation::LAYER_DIFF_ID);
        match (key, diff_id) {
            (Some(_), None) => self.error(about, "it has a key, and its descriptor does not say its diff ID"),
            (None, Some(_)) => self.error(about, "its descriptor says its diff ID, and it has no key"),
            _ => {}
        }
        if let Some(diff_id) = diff_id {
            match diff_id.parse::<Digest>() {
                Ok(digest) if expected == Some(DiffId(digest)) => {}
                Ok(digest) => {
                    self.error(about, format!("its descriptor says diff ID {digest}, and the config another"))
                }
                Err(error) => self.error(about, format!("the diff ID in its descriptor is none: {error}")),
            }
        }
        if let Some(key) = key {
            if key.is_empty() {
                self.error(about, "its key is empty");
            }
            let before = *self.keys.entry(key.clone()).or_insert(layer.digest);
            if before != layer.digest {
                let key = Shown::new(key.as_bytes());
                self.error(about, format!("its key {key} is also that of {before}: equal keys mean equal layers"));
            }
        }
        key.is_some() || diff_id.is_some()
    }

    /// Reads a layer to its end. `None` where its tar could not be read, which was said.
    fn layer(
        &mut self,
        artifact: &Artifact,
        about: &str,
        layer: &Descriptor,
        compression: Compression,
        ours: bool,
    ) -> Option<Facts> {
        let reader = match artifact.content(layer) {
            Ok(content) if content.len() != layer.size => {
                let text = format!("it has {} bytes, and its descriptor says {}", content.len(), layer.size);
                self.error(about, text);
                return None;
            }
            Ok(content) => content.open().map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        let mut reader = match reader {
            Ok(reader) => reader,
            Err(text) => {
                self.error(about, text);
                return None;
            }
        };
        let mut start = Vec::new();
        if let Err(error) = (&mut reader).take(512).read_to_end(&mut start) {
            self.error(about, chain(&error));
            return None;
        }
        if detect(&start) != compression {
            let found = detect(&start);
            self.error(about, format!("it is called {}, and its first bytes say {found}", layer.media_type));
        }
        let (mut outer, mut inner) = (Hasher::new(), Hasher::new());
        let mut findings = Findings::default();
        let mut stored = Tee { reader: io::Cursor::new(start).chain(reader), hasher: &mut outer };
        let read = {
            let decoder = Decoder::new(&mut stored, compression).limited(MAX_TAR);
            let mut plain = Tee { reader: decoder, hasher: &mut inner };
            let entries = match ours {
                true => canonical::read(&mut plain, &mut findings),
                false => members(&mut plain, &mut findings),
            };
            // Whatever the tar is like, the digest is that of the whole.
            match (entries, io::copy(&mut plain, &mut io::sink())) {
                (Ok(entries), Ok(0)) => Ok(Some(entries)),
                (Ok(_), Ok(more)) => {
                    findings.add(format!("{more} bytes follow the end of its tar"));
                    Ok(None)
                }
                (Err(text), Ok(_)) => {
                    findings.add(text);
                    Ok(None)
                }
                (_, Err(error)) => Err(error),
            }
        };
        let rest = io::copy(&mut stored, &mut io::sink());
        for text in findings.0 {
            self.error(about, text);
        }
        let entries = match (read, rest) {
            (Ok(entries), Ok(_)) => entries?,
            (Err(error), _) | (_, Err(error)) => {
                self.error(about, format!("it cannot be read: {}", chain(&error)));
                return None;
            }
        };
        let length = outer.length();
        let digest = outer.finish();
        if (digest, length) != (layer.digest, layer.size) {
            self.error(about, format!("its bytes are {digest}, {length} long, and its descriptor says otherwise"));
        }
        Some(Facts { diff_id: DiffId(inner.finish()), entries })
    }

    /// A blob of which nothing is known but its digest and length.
    fn blob(&mut self, artifact: &Artifact, subject: &str, descriptor: &Descriptor) {
        let mut hasher = Hasher::new();
        let read = artifact
            .content(descriptor)
            .map_err(|error| chain(&error))
            .and_then(|content| content.open().map_err(|error| chain(&error)))
            .and_then(|mut reader| io::copy(&mut reader, &mut hasher).map_err(|error| chain(&error)));
        match read {
            Err(text) => self.error(subject, text),
            Ok(length) if length != descriptor.size || hasher.finish() != descriptor.digest => {
                self.error(subject, format!("{} has other bytes than its digest and size say", descriptor.digest));
            }
            Ok(_) => {}
        }
    }
}

/// What is found in one layer; cut where it is the same at every entry.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, text: impl Into<String>) {
        match self.0.len() {
            count if count < MAX_FINDINGS => self.0.push(text.into()),
            MAX_FINDINGS => self.0.push("and more like these".to_owned()),
            _ => {}
        }
    }
}

/// Digests what is read through it.
struct Tee<'a, R> {
    reader: R,
    hasher: &'a mut Hasher,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The entries of a layer that somebody else made.
fn members(reader: &mut impl Read, findings: &mut Findings) -> Result<Vec<(TreePath, Shape)>, String> {
    let mut reader = Reader::new(reader);
    let mut entries = Vec::new();
    while let Some(member) = reader.next_member().map_err(|error| format!("its tar is refused: {}", chain(&error)))? {
        if member.path.is_root() {
            continue;
        }
        let shape = match member.kind {
            MemberKind::Directory => Shape::Directory,
            MemberKind::Symlink(_) => Shape::Symlink,
            MemberKind::File | MemberKind::Hardlink(_) | MemberKind::Special => Shape::Other,
        };
        match whiteout(&member.path) {
            Ok(None) => entries.push((member.path, shape)),
            Ok(Some(deleted)) => entries.push(deleted),
            Err(text) => findings.add(text),
        }
    }
    Ok(entries)
}

/// What a name in a layer deletes, where it is a deletion (image-spec, layer.md, "Whiteouts").
fn whiteout(path: &TreePath) -> Result<Option<(TreePath, Shape)>, String> {
    let Some(name) = path.file_name().and_then(|name| name.strip_prefix(b".wh.")) else { return Ok(None) };
    let parent = path.parent().unwrap_or_default();
    match name {
        b".wh..opq" => Ok(Some((parent, Shape::Opaque))),
        b"" | b"." | b".." => Err(format!("{path} deletes nothing that can be named")),
        // What aufs kept beside the files (`.wh..wh.plnk`) means nothing in a layer.
        _ if name.starts_with(b".wh.") => Ok(None),
        name => match parent.child(name) {
            Ok(deleted) => Ok(Some((deleted, Shape::Whiteout))),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// What stands where, once some layers lie over each other.
struct View {
    nodes: BTreeMap<TreePath, Shape>,
    /// Whether every layer so far could be read.
    whole: bool,
}

impl Default for View {
    fn default() -> Self {
        View { nodes: BTreeMap::new(), whole: true }
    }
}

impl View {
    /// Lays one more layer on top. Of a layer of ours, every entry must lie in a directory that is one, not below a symlink
    /// of the base: else it would put a directory in the symlink's place.
    fn lay(&mut self, entries: &[(TreePath, Shape)], ours: bool) -> Vec<String> {
        let mut findings = Findings::default();
        for (path, shape) in entries {
            match shape {
                Shape::Whiteout => {
                    self.remove(path);
                    self.nodes.remove(path);
                }
                Shape::Opaque => self.remove(path),
                _ => {}
            }
        }
        for (path, shape) in entries {
            if matches!(shape, Shape::Whiteout | Shape::Opaque) {
                continue;
            }
            if ours
                && self.whole
                && let Some(parent) = path.parent().filter(|parent| !parent.is_root())
            {
                match self.nodes.get(&parent) {
                    Some(Shape::Directory) => {}
                    Some(Shape::Symlink) => {
                        findings.add(format!("{path} lies below {parent}, which is a symlink in a lower layer"));
                    }
                    Some(_) => findings.add(format!("{path} lies below {parent}, which is no directory")),
                    None => findings.add(format!("{path} has no parent directory, here or in a lower layer")),
                }
            }
            if *shape != Shape::Directory {
                self.remove(path);
            }
            self.nodes.insert(path.clone(), *shape);
        }
        findings.0
    }

    /// Removes what lies below a path.
    fn remove(&mut self, path: &TreePath) {
        let below: Vec<TreePath> = match path.is_root() {
            true => self.nodes.keys().cloned().collect(),
            false => {
                let prefix = [path.as_bytes(), b"/"].concat();
                let from =
                    self.nodes.range::<[u8], _>((std::ops::Bound::Excluded(&prefix[..]), std::ops::Bound::Unbounded));
                from.map(|(path, _)| path).take_while(|path| path.as_bytes().starts_with(&prefix)).cloned().collect()
            }
        };
        for path in below {
            self.nodes.remove(&path);
        }
    }
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{History, config::Empty};
    use crate::place::testing::{
        Blobs, Layer, artifact, base_and_service, image_of, index_of, layer_of, source, tar_of,
    };
    use crate::place::testing::{two_platforms, with_config};

    fn found(findings: &[Finding]) -> String {
        findings.iter().map(|finding| format!("{finding}\n")).collect()
    }

    fn good() -> (ImageConfig, Vec<Layer>, Blobs) {
        let layers = || {
            vec![
                layer_of(&tar_of(&[("app/", ""), ("app/a", "one")]), Family::Oci, Compression::Gzip),
                layer_of(&tar_of(&[("app/", ""), ("app/b", "two")]), Family::Oci, Compression::Gzip),
            ]
        };
        let mut blobs = Blobs::new();
        let image = image_of("linux/amd64", Family::Oci, layers(), &mut blobs);
        (image.config.unwrap().into_value(), layers(), blobs)
    }

    #[test]
    fn what_is_right_passes() {
        for family in [Family::Oci, Family::Docker] {
            let mut all = base_and_service(family, Compression::Gzip);
            all.push(two_platforms());
            assert_eq!(found(&artifacts(&all)), "");
        }
    }

    type Change = fn(&mut ImageConfig, &mut Vec<Layer>);

    #[test]
    fn what_is_wrong_is_found() {
        let cases: [(&str, Change); 42] = [
            ("error: x: the config has 1 diff IDs, and the manifest 2 layers", |c, _| {
                c.rootfs.diff_ids.pop();
            }),
            ("layer 1: its diff ID is", |c, _| c.rootfs.diff_ids[1] = c.rootfs.diff_ids[0]),
            ("error: x: rootfs.type is `tree`", |c, _| c.rootfs.kind = "tree".into()),
            ("the history has 3 lines for layers, and there are 2", |c, _| c.history.push(History::default())),
            ("warning: x: there is no history", |c, _| c.history.clear()),
            ("warning: x: the config does not say when", |c, _| c.created = None),
            ("warning: x: `created` is 1970-01-01T00:00:00Z", |c, _| c.created = Some("1970-01-01T00:00:00Z".into())),
            ("error: x: `created` is no RFC 3339 time: `yesterday`", |c, _| c.created = Some("yesterday".into())),
            ("the config names no platform", |c, _| c.os.clear()),
            ("warning: x: `User` is `app:1001`", |c, _| c.config.user = Some("app:1001".into())),
            ("error: x: `User` is `1:`", |c, _| c.config.user = Some("1:".into())),
            ("error: x: an entry of `Env` is not NAME=value", |c, _| c.config.env.push("secret".into())),
            ("warning: x: the variable `PATH` is set twice", |c, _| c.config.env.push("PATH=/".into())),
            ("error: x: the path `app` is not absolute", |c, _| c.config.working_dir = Some("app".into())),
            ("error: x: `User` is `a\\nb`", |c, _| c.config.user = Some("a\nb".into())),
            ("error: x: `/a/../b` is no path to work in", |c, _| c.config.working_dir = Some("/a/../b".into())),
            ("error: x: `/a\\n` is no path to work in", |c, _| c.config.working_dir = Some("/a\n".into())),
            ("warning: x: the path `data` is not absolute", |c, _| {
                c.config.volumes.insert("data".into(), Empty {});
            }),
            ("error: x: `../x` is no path of a volume", |c, _| {
                c.config.volumes.insert("../x".into(), Empty {});
            }),
            ("error: x: `x\\n` is no path of a volume", |c, _| {
                c.config.volumes.insert("x\n".into(), Empty {});
            }),
            ("error: x: `/` is no path of a volume", |c, _| {
                c.config.volumes.insert("/".into(), Empty {});
            }),
            ("error: x: the port `+80/tcp` is not", |c, _| {
                c.config.exposed_ports.insert("+80/tcp".into(), Empty {});
            }),
            ("error: x: the port `1-2-3` is not", |c, _| {
                c.config.exposed_ports.insert("1-2-3".into(), Empty {});
            }),
            ("error: x: the port `http` is not", |c, _| {
                c.config.exposed_ports.insert("http".into(), Empty {});
            }),
            ("error: x: there are 128 layers", |c, layers| {
                *layers = (0..128)
                    .map(|n| layer_of(&tar_of(&[(&format!("f{n}"), "")]), Family::Oci, Compression::None))
                    .collect();
                c.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
                c.history.clear();
            }),
            ("warning: x, layer 1: sha256:", |c, layers| {
                layers[1] = layer_of(&tar_of(&[("app/", ""), ("app/a", "one")]), Family::Oci, Compression::Gzip);
                c.rootfs.diff_ids[1] = layers[1].diff_id;
            }),
            ("layer 0 is application/vnd.docker", |_, layers| {
                layers[0].descriptor.media_type = MediaType::Layer(Family::Docker, Compression::Gzip);
            }),
            ("and its first bytes say gzip", |_, layers| {
                layers[0].descriptor.media_type = MediaType::Layer(Family::Oci, Compression::None);
            }),
            ("layer 0: it cannot be read", |_, layers| {
                layers[0].descriptor.media_type = MediaType::Layer(Family::Oci, Compression::Zstd);
            }),
            ("layer 0: it has a key, and its descriptor does not say", |_, layers| {
                layers[0].descriptor.annotations.remove(annotation::LAYER_DIFF_ID);
            }),
            ("layer 0: its descriptor says its diff ID, and it has no key", |_, layers| {
                layers[0].descriptor.annotations.remove(annotation::LAYER_KEY);
            }),
            ("layer 0: its descriptor says diff ID", |_, layers| {
                let other = layers[1].descriptor.annotations[annotation::LAYER_DIFF_ID].clone();
                layers[0].descriptor.annotations.insert(annotation::LAYER_DIFF_ID.into(), other);
            }),
            ("equal keys mean equal layers", |_, layers| {
                let other = layers[1].descriptor.annotations[annotation::LAYER_KEY].clone();
                layers[0].descriptor.annotations.insert(annotation::LAYER_KEY.into(), other);
            }),
            (" has 3 bytes, and its descriptor says", |_, layers| layers[0].bytes = b"abc".to_vec()),
            ("has bytes of another digest", |_, layers| layers[0].bytes[15] ^= 1),
            ("layer 1: /app/b has no entry for /app before it in this layer", |c, layers| without_parent(c, layers)),
            ("/app/b has no parent directory, here or in a lower layer", |c, layers| {
                without_parent(c, layers);
                layers.remove(0);
                c.rootfs.diff_ids.remove(0);
                c.history.remove(0);
            }),
            ("/app/b lies below /app, which is a symlink in a lower layer", |c, layers| {
                without_parent(c, layers);
                use crate::tree::{Entry, FileTree, Origin, Owner};
                let mut tree = FileTree::new();
                let link = Entry::symlink(*b"srv", Owner::ROOT, Origin::new("test"));
                tree.insert(TreePath::parse("app").unwrap(), link).unwrap();
                let mut tar = Vec::new();
                crate::tar::write_tree(&tree, &mut tar, &mut ()).unwrap();
                layers[0] = layer_of(&tar, Family::Oci, Compression::Gzip);
                c.rootfs.diff_ids[0] = layers[0].diff_id;
            }),
            ("its tar ends without two zero blocks", |c, layers| {
                retar(c, layers, |tar| tar.truncate(tar.len() - 1024))
            }),
            ("its tar does not end in two zero blocks", |c, layers| {
                retar(c, layers, |tar| tar.truncate(tar.len() - 512));
            }),
            ("512 bytes follow the end of its tar", |c, layers| retar(c, layers, |tar| tar.extend([0; 512]))),
            ("bytes other than zeros after a member's data", |c, layers| retar(c, layers, |tar| tar[1024 + 3] = 1)),
        ];
        for (said, change) in cases {
            let (mut config, mut layers, mut blobs) = good();
            change(&mut config, &mut layers);
            let image = with_config(Family::Oci, config, layers, &mut blobs);
            let artifact =
                artifact(image, &[], &blobs).named(Vec::new(), crate::place::Fallback::Labels(vec!["x".into()]));
            let text = found(&artifacts(std::slice::from_ref(&artifact)));
            // Digests have no place in the expectations.
            let text = text.lines().map(|line| line.replace("x (linux/amd64)", "x")).collect::<Vec<_>>().join("\n");
            let hit = text.contains(said) || text.contains(&said.replace("layer 0 is", "is"));
            assert!(hit && !text.contains("secret"), "{said}\n{text}");
        }
    }

    /// Takes the entry of a directory out of the second layer.
    fn without_parent(config: &mut ImageConfig, layers: &mut [Layer]) {
        retar(config, layers, |tar| drop(tar.drain(..512)));
    }

    /// Changes the tar of the second layer, and everything that names it.
    fn retar(config: &mut ImageConfig, layers: &mut [Layer], change: fn(&mut Vec<u8>)) {
        let mut tar = tar_of(&[("app/", ""), ("app/b", "two")]);
        change(&mut tar);
        layers[1] = layer_of(&tar, Family::Oci, Compression::Gzip);
        config.rootfs.diff_ids[1] = layers[1].diff_id;
    }

    #[test]
    fn the_form_of_our_layers_is_held_byte_by_byte() {
        let (config, _, _) = good();
        let tar = tar_of(&[("app/", ""), ("app/b", "two")]);
        for at in 0..1536 {
            let mut bad = tar.clone();
            bad[at] ^= 1;
            // A header's checksum is made right again: nothing else may give the change away.
            let header = at / 512 * 512;
            if header < 1024 && !(148..156).contains(&(at % 512)) {
                let sum: u32 = (0..512).filter(|i| !(148..156).contains(i)).map(|i| u32::from(bad[header + i])).sum();
                bad[header + 148..header + 156].copy_from_slice(format!("{:07o}\0", sum + 8 * 32).as_bytes());
            }
            let layer = layer_of(&bad, Family::Oci, Compression::None);
            let mut config = config.clone();
            config.rootfs.diff_ids = vec![layer.diff_id];
            config.history.truncate(1);
            let mut blobs = Blobs::new();
            let image = with_config(Family::Oci, config, vec![layer], &mut blobs);
            let sound = is_sound(&artifacts(&[artifact(image, &[], &blobs)]));
            // What may be another: the name, the permissions and owner, the contents.
            let field = at % 512;
            let free = match at / 512 {
                0 => {
                    field < 3
                        || (103..107).contains(&field)
                        || (108..115).contains(&field)
                        || (116..123).contains(&field)
                }
                1 => {
                    field < 6
                        // A file of up to 511 bytes has the same blocks.
                        || (132..135).contains(&field)
                        || (103..107).contains(&field)
                        || (108..115).contains(&field)
                        || (116..123).contains(&field)
                }
                _ => field < 3,
            };
            assert!(!sound || free, "byte {at} of the tar may be anything");
        }
    }

    #[test]
    fn an_index_is_held_to_what_it_lists() {
        let mut blobs = Blobs::new();
        let layers = || vec![layer_of(&tar_of(&[("a", "")]), Family::Oci, Compression::Gzip)];
        let image = image_of("linux/amd64", Family::Oci, layers(), &mut blobs);
        type Case = (&'static str, fn(&mut Index));
        let cases: [Case; 7] = [
            ("describes", |index| index.manifests[0].size += 1),
            ("describes", |index| index.manifests[0].media_type = MediaType::Manifest(Family::Docker)),
            ("names no platform", |index| index.manifests[0].platform = None),
            ("for linux/arm64, and its config says linux/amd64", |index| {
                index.manifests[0].platform = Some("linux/arm64".parse().unwrap());
            }),
            ("lists linux/amd64 twice", |index| index.manifests.push(index.manifests[0].clone())),
            ("warning: index: the index does not say its media type", |index| index.media_type = None),
            ("", |_| {}),
        ];
        for (said, change) in cases {
            let mut index = index_of(Family::Oci, std::slice::from_ref(&image)).into_value();
            change(&mut index);
            let index = Encoded::new(MediaType::Index(Family::Oci), index).unwrap();
            let artifact = Artifact::index(index, vec![image.clone()], source(&blobs)).unwrap();
            let artifact = artifact.named(Vec::new(), crate::place::Fallback::Labels(vec!["index".into()]));
            let text = found(&artifacts(&[artifact]));
            assert!(text.contains(said) && text.is_empty() == said.is_empty(), "{said}: {text}");
        }
    }

    #[test]
    fn layers_of_others_need_only_be_readable() {
        let foreign = |members: &[(&str, &[u8])]| {
            let tar = crate::place::testing::foreign_tar(members);
            let mut layer = layer_of(&tar, Family::Oci, Compression::Gzip);
            layer.descriptor.annotations.clear();
            let (mut config, _, _) = good();
            config.rootfs.diff_ids = vec![layer.diff_id];
            config.history.truncate(1);
            let mut blobs = Blobs::new();
            let image = with_config(Family::Oci, config, vec![layer], &mut blobs);
            found(&artifacts(&[artifact(image, &[], &blobs)]))
        };
        assert_eq!(foreign(&[("./", b""), ("z", b"1"), ("a/b", b"2"), ("a/.wh.x", b""), ("a/.wh..wh..opq", b"")]), "");
        assert!(foreign(&[("a/../../b", b"2")]).contains("its tar is refused"));
        assert!(foreign(&[(".wh.", b"")]).contains("deletes nothing that can be named"));
    }

    #[test]
    fn a_deletion_uncovers_nothing() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        let mut view = View::default();
        let lower = [(path("a"), Shape::Directory), (path("a/b"), Shape::Directory), (path("a/b/c"), Shape::Other)];
        assert!(view.lay(&lower, true).is_empty());
        assert!(view.lay(&[(path("a/b"), Shape::Whiteout)], true).is_empty());
        assert_eq!(view.lay(&[(path("a/b/d"), Shape::Other)], true).len(), 1);
        assert!(view.lay(&[(path("a"), Shape::Opaque), (path("a/x"), Shape::Other)], true).is_empty());
        assert!(view.lay(&[(path("a"), Shape::Other)], true).is_empty());
        assert_eq!(view.lay(&[(path("a/y"), Shape::Other)], true).len(), 1);
    }
}
