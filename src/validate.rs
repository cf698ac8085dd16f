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
    MediaType, annotation,
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
                self.error(subject, format!("`created` is {created}: nothing was made in 1970"));
            }
            _ => {}
        }
        self.container(subject, &config.config);
    }

    fn container(&mut self, subject: &str, config: &ContainerConfig) {
        let shown = |text: &str| Shown::new(text.as_bytes());
        if let Some(user) = config.user.as_deref().filter(|user| !user.is_empty()) {
            let parts: Vec<&str> = user.split(':').collect();
            if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
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
        let absolute = config.working_dir.iter().filter(|path| !path.is_empty()).chain(config.volumes.keys());
        for path in absolute {
            if !path.starts_with('/') {
                self.error(subject, format!("the path {} is not absolute", shown(path)));
            }
        }
        for port in config.exposed_ports.keys() {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let valid = |number: &str| number.parse::<u16>().is_ok_and(|number| number > 0);
            if !number.split('-').all(valid) || !matches!(protocol, "tcp" | "udp" | "sctp") {
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
