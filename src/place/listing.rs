//! `index.json` and `oci-layout`: what a layout holds, and under which names (image-spec, image-layout.md).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::artifact::{label_reference, tagged, untagged};
use super::output::OutputError;
use super::source::{BlobSource, ListedName, Root, SourceError};
use super::{Artifact, Document, Fallback};
use crate::logins::holds_login;
use crate::oci::json::MAX_DOCUMENT;
use crate::oci::shape::{Shape, Shaped, UNKNOWN};
use crate::oci::{Descriptor, Digest, Encoded, Family, Index, JsonError, MediaType, Reference, annotation, json};
use crate::shown::Shown;

/// The file that says that a directory is a layout.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
/// The file that lists the images.
pub(super) const INDEX_FILE: &str = "index.json";
/// Where the blobs are.
pub(super) const BLOBS: &str = "blobs/sha256";
/// What [`LAYOUT_FILE`] holds.
pub(super) const LAYOUT_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotation by which lapstrake knows the index of a layout directory as its own: the digest of what is listed.
const MARK: &str = "dev.lapstrake.layout";

/// The path of a blob inside a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// What a layout lists, read.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    index: Encoded<Index>,
    roots: Vec<Root>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl Shaped for LayoutFile {
    const SHAPE: &'static Shape = &Shape::Structure(&[("imageLayoutVersion", UNKNOWN)]);
}

impl Listing {
    /// Reads the two files of a layout.
    pub(super) fn read(layout: &[u8], index: Vec<u8>, place: &Shown) -> Result<Self, SourceError> {
        let wrong = |item: &'static str| {
            move |source: JsonError| SourceError::Document { item: item.to_owned(), place: place.clone(), source }
        };
        let version = json::document::<LayoutFile>(layout).map_err(wrong(LAYOUT_FILE))?.image_layout_version;
        if version != "1.0.0" {
            return Err(SourceError::Kind {
                place: place.clone(),
                reason: format!("is a layout of version {}, and only 1.0.0 is known", Shown::new(version.as_bytes())),
            });
        }
        let index = Index::read(&MediaType::Index(Family::Oci), index).map_err(wrong(INDEX_FILE))?;
        let roots = roots(&index);
        if roots.iter().flat_map(|root| &root.names).flat_map(ListedName::texts).any(holds_login) {
            return Err(SourceError::login(INDEX_FILE, place));
        }
        Ok(Listing { index, roots })
    }

    /// The images.
    pub(super) fn roots(&self) -> Vec<Root> {
        self.roots.clone()
    }

    /// Whether lapstrake wrote the index, and nobody changed what it lists.
    pub(super) fn is_ours(&self) -> bool {
        mark(&self.index.manifests).is_ok_and(|mark| self.index.annotations.get(MARK) == Some(&mark))
    }

    /// The bytes of the index itself, where the descriptor means that.
    pub(super) fn own_document(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        (descriptor.digest == self.index.digest()).then(|| self.index.bytes().to_vec())
    }
}

/// The images of an index, each once. Where it lists one unnamed manifest for each of several platforms (as some tools write
/// a single image), the index itself is the image.
fn roots(index: &Encoded<Index>) -> Vec<Root> {
    let unnamed = |entry: &Descriptor| {
        !entry.annotations.contains_key(annotation::REF_NAME)
            && !entry.annotations.contains_key(annotation::CONTAINERD_NAME)
    };
    let entries = &index.manifests;
    let platforms: Option<BTreeSet<String>> =
        entries.iter().map(|entry| entry.platform.as_ref().map(|platform| platform.to_string())).collect();
    if entries.len() > 1
        && entries.iter().all(unnamed)
        && platforms
            .is_some_and(|platforms| platforms.iter().filter(|platform| *platform != "unknown/unknown").count() > 1)
    {
        return vec![Root { descriptor: index.descriptor().clone(), names: Vec::new() }];
    }
    let mut roots: Vec<Root> = Vec::new();
    let mut positions: BTreeMap<Digest, usize> = BTreeMap::new();
    for entry in entries {
        let mut descriptor = entry.clone();
        let name = descriptor.annotations.remove(annotation::REF_NAME);
        let containerd = descriptor.annotations.remove(annotation::CONTAINERD_NAME);
        let listed = (name.is_some() || containerd.is_some()).then_some(ListedName { name, containerd });
        let position = *positions.entry(descriptor.digest).or_insert(roots.len());
        match roots.get_mut(position) {
            Some(root) => root.names.extend(listed),
            None => roots.push(Root { descriptor, names: listed.into_iter().collect() }),
        }
    }
    roots
}

fn mark(manifests: &[Descriptor]) -> Result<String, JsonError> {
    Ok(Digest::of(&json::canonical(manifests)?).to_string())
}

/// The index of a layout that holds these images. `marked` makes it known as lapstrake's own.
pub(super) fn write(artifacts: &[Artifact], marked: bool) -> Result<Vec<u8>, OutputError> {
    let mut taken = BTreeSet::new();
    let mut manifests = Vec::new();
    for artifact in artifacts {
        let root = artifact.root();
        let mut descriptor = Descriptor::new(root.media_type.clone(), root.digest, root.size);
        if let Some(Document::Manifest(image)) = artifact.root_document() {
            descriptor.platform = image.platform().filter(|platform| !platform.os.is_empty());
        }
        let names = names(artifact);
        for name in &names {
            if !taken.insert(name.plain.clone()) {
                return Err(OutputError::SameName { name: name.plain.clone() });
            }
        }
        match &names[..] {
            [] => manifests.push(descriptor),
            _ => manifests.extend(names.iter().map(|name| {
                let named = descriptor.clone().annotated(annotation::REF_NAME, &name.plain);
                match &name.full {
                    Some(full) => named.annotated(annotation::CONTAINERD_NAME, full.to_string()),
                    None => named,
                }
            })),
        }
    }
    let mut annotations = BTreeMap::new();
    if marked {
        annotations.insert(MARK.to_owned(), mark(&manifests).map_err(OutputError::Json)?);
    }
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::Index(Family::Oci)),
        manifests,
        annotations,
        extra: BTreeMap::new(),
    };
    let bytes = json::canonical(&index).map_err(OutputError::Json)?;
    match bytes.len() as u64 > MAX_DOCUMENT {
        true => Err(OutputError::LongIndex { length: bytes.len() }),
        false => Ok(bytes),
    }
}

/// The images that a layout listed and that are none of these: no tag of theirs is kept, and none of these is the same one
/// under new tags alone, such as those of commits.
pub(super) fn gone(before: &[Root], artifacts: &[Artifact]) -> Vec<String> {
    let old: BTreeSet<&str> = before.iter().flat_map(|root| &root.names).flat_map(ListedName::texts).collect();
    let now: Vec<Vec<String>> =
        artifacts.iter().map(|artifact| names(artifact).into_iter().map(|name| name.plain).collect()).collect();
    let all: BTreeSet<&str> = now.iter().flatten().map(String::as_str).collect();
    let is_kept = |name: &&str| all.contains(name);
    let renewed: BTreeSet<&str> = now
        .iter()
        .filter(|names| !names.iter().any(|name| old.contains(name.as_str())))
        .flat_map(|names| names.iter().map(|name| untagged(name)))
        .collect();
    let mut gone = Vec::new();
    for root in before {
        // By its first name, in the order in which they are listed.
        let mut images: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
        for (position, name) in root.names.iter().filter_map(|name| name.texts().next()).enumerate() {
            images.entry(untagged(name)).or_insert((position, Vec::new())).1.push(name);
        }
        images.retain(|of, (_, names)| !renewed.contains(of) && !names.iter().any(is_kept));
        let mut first: Vec<_> =
            images.values().filter_map(|(position, names)| Some((position, names.first()?))).collect();
        first.sort();
        gone.extend(first.into_iter().map(|(_, name)| (*name).to_owned()));
    }
    gone
}

/// A name as archives and layouts hold it.
pub(super) struct WrittenName {
    /// `org.opencontainers.image.ref.name`.
    pub(super) plain: String,
    /// The full reference, for loaders that need one.
    pub(super) full: Option<Reference>,
}

/// The names of an image, as semantics 27 has them: full references (`latest` where no tag is said); without any, the
/// image's name in the recipe, whose full reference is the one that Docker makes of it.
pub(super) fn names(artifact: &Artifact) -> Vec<WrittenName> {
    let mut names: Vec<WrittenName> = Vec::new();
    let mut known = BTreeSet::new();
    for name in artifact.names.iter().map(tagged) {
        if known.insert(name.clone()) {
            names.push(WrittenName { plain: name.to_string(), full: Some(name) });
        }
    }
    match &artifact.fallback {
        Fallback::Labels(labels) => names.extend(labels.iter().map(|label| {
            let full = label_reference(label).map(|reference| tagged(&reference));
            WrittenName { plain: label.clone(), full }
        })),
        Fallback::Images(_) if names.is_empty() => names.extend(artifact.fallback.texts().into_iter().map(|plain| {
            let full = plain.parse().ok().map(|reference| tagged(&reference));
            WrittenName { plain, full }
        })),
        Fallback::Images(_) | Fallback::Nothing => {}
    }
    names
}

/// A small file of a blob source: what [`super::ImageSource::document`] of a layout gives.
pub(super) fn document<S: BlobSource>(
    source: &S,
    listing: &Listing,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, SourceError> {
    match listing.own_document(descriptor) {
        Some(bytes) => Ok(bytes),
        None => super::source::read_document(source, descriptor),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::oci::Compression;

    fn listing(entries: serde_json::Value) -> Result<Listing, SourceError> {
        let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
        Listing::read(LAYOUT_TEXT, serde_json::to_vec(&index).unwrap(), &Shown::new(b"test"))
    }

    fn entry(number: u8, platform: Option<&str>, names: &[(&str, &str)]) -> serde_json::Value {
        let mut entry = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(&[number]).to_string(),
            "size": 1,
        });
        if let Some((os, architecture)) = platform.and_then(|platform| platform.split_once('/')) {
            entry["platform"] = serde_json::json!({"os": os, "architecture": architecture});
        }
        for (key, name) in names {
            entry["annotations"][key] = (*name).into();
        }
        entry
    }

    #[test]
    fn what_tools_list() {
        let buildkit = [(annotation::CONTAINERD_NAME, "docker.io/me/x:1"), (annotation::REF_NAME, "1")];
        let found = listing(serde_json::json!([entry(1, None, &buildkit)])).unwrap().roots();
        assert_eq!(found[0].names[0].name.as_deref(), Some("1"));
        assert_eq!(found[0].names[0].containerd.as_deref(), Some("docker.io/me/x:1"));
        assert!(found[0].descriptor.annotations.is_empty());

        // One image under two names.
        let entries = [entry(1, None, &[(annotation::REF_NAME, "a")]), entry(1, None, &[(annotation::REF_NAME, "b")])];
        assert_eq!(listing(serde_json::json!(entries)).unwrap().roots().len(), 1);

        // The index is itself the image, where it lists platforms without names.
        let one_image = [entry(1, Some("linux/amd64"), &[]), entry(2, Some("linux/arm64"), &[])];
        let found = listing(serde_json::json!(one_image)).unwrap();
        let root = found.roots().remove(0);
        assert!(root.descriptor.media_type.is_index());
        assert_eq!(found.own_document(&root.descriptor).map(|bytes| bytes.len() as u64), Some(root.descriptor.size));
        for several in [
            vec![entry(1, Some("linux/amd64"), &[]), entry(2, Some("linux/amd64"), &[])],
            vec![entry(1, Some("linux/amd64"), &[]), entry(2, None, &[])],
            vec![entry(1, Some("linux/amd64"), &[]), entry(2, Some("linux/arm64"), &[(annotation::REF_NAME, "a")])],
        ] {
            assert_eq!(listing(serde_json::json!(several)).unwrap().roots().len(), 2);
        }
        assert!(listing(serde_json::json!(null)).unwrap().roots().is_empty());
    }

    #[test]
    fn what_goes_on_under_a_new_tag_is_not_gone() {
        let root = |number: u8, names: &[&str]| Root {
            descriptor: serde_json::from_value(entry(number, None, &[])).unwrap(),
            names: names.iter().map(|name| ListedName { name: Some((*name).to_owned()), containerd: None }).collect(),
        };
        let artifact = |names: &[&str]| {
            let image = base_and_service(Family::Oci, Compression::Gzip).remove(0);
            image.named(names.iter().map(|name| name.parse().unwrap()).collect(), Fallback::Nothing)
        };
        let before = [
            root(1, &["r.io/web:latest", "r.io/web:abc", "r.io/same:latest"]),
            root(2, &["r.io/api:abc"]),
            root(3, &["r.io/server:docker", "r.io/server:docker-abc"]),
            root(4, &["r.io/server:k8s", "r.io/server:k8s-abc"]),
            root(5, &["tool"]),
            root(6, &[]),
        ];
        let all =
            ["r.io/web:latest", "r.io/same:latest", "r.io/api:abc", "r.io/server:docker", "r.io/server:k8s", "tool"];
        assert_eq!(gone(&before, &[]), all);
        let now = [artifact(&["r.io/web:latest", "r.io/web:def"]), artifact(&["r.io/api:def"])];
        assert_eq!(gone(&before, &now), ["r.io/same:latest", "r.io/server:docker", "r.io/server:k8s", "tool"]);
        // One of two variants, with the tag of another commit.
        let now = [artifact(&["r.io/server:docker", "r.io/server:docker-def"])];
        assert_eq!(gone(&before[2..], &now), ["r.io/server:k8s", "tool"]);
    }

    #[test]
    fn what_is_no_layout() {
        let shown = Shown::new(b"test");
        let good = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        assert!(Listing::read(LAYOUT_TEXT, good.clone(), &shown).is_ok());
        for layout in [&br#"{"imageLayoutVersion":"2.0.0"}"#[..], b"{}", b"", b"[]"] {
            assert!(Listing::read(layout, good.clone(), &shown).is_err());
        }
        for index in [
            &b"{}"[..],
            br#"{"schemaVersion":1,"manifests":[]}"#,
            br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            br#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../../x"}]}"#,
            br#"{"schemaVersion":2,"manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#,
        ] {
            assert!(Listing::read(LAYOUT_TEXT, index.to_vec(), &shown).is_err());
        }
    }
}
