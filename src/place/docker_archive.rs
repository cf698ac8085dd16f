//! What `docker save` writes: `manifest.json`, which names a config and layers by their paths in the tar.
//!
//! Such an archive has no manifests: they are made here from what is found, with Docker's media types (OCI's, where a layer
//! is compressed with zstd, for which Docker has no name). Layers stay as they are, plain or compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::archive_file::ArchiveFile;
use super::archive_writer::ArchiveWriter;
use super::listing;
use super::output::OutputError;
use super::source::{BlobSource, ImageSource, ListedName, Root, SourceError};
use super::{ArchiveKind, Artifact, FilePlace, Image, Place};
use crate::compress::{Decoder, detect};
use crate::content::Content;
use crate::logins::holds_login;
use crate::oci::json::{MAX_DOCUMENT, null_is_default};
use crate::oci::shape::{Shape, Shaped, UNKNOWN};
use crate::oci::{
    Compression, Descriptor, DiffId, Digest, Encoded, Family, Hasher, ImageConfig, Manifest, MediaType, json,
};
use crate::report::Task;
use crate::shown::Shown;

/// The file that lists the images.
pub(super) const MANIFEST_FILE: &str = "manifest.json";

/// The most bytes of a layer's tar that are read to learn its diff ID.
const MAX_LAYER: u64 = 256 << 30;

/// One image in [`MANIFEST_FILE`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

impl Shaped for Entry {
    const SHAPE: &'static Shape = &Shape::Structure(&[
        ("Config", UNKNOWN),
        ("LayerSources", &Shape::Map(Descriptor::SHAPE)),
        ("Layers", UNKNOWN),
        ("Parent", UNKNOWN),
        ("RepoTags", UNKNOWN),
    ]);
}

/// An archive of `docker save` (and of the many tools that write the like), read where it lies.
#[derive(Debug)]
pub struct DockerArchive {
    place: Shown,
    roots: Vec<Root>,
    blobs: BTreeMap<Digest, Content>,
}

impl DockerArchive {
    /// Opens an archive. See [`super::open`] for `tmp`. Layers that are compressed and do not say their digest in their
    /// name are read now; all others when they are needed.
    ///
    /// # Errors
    /// Where it cannot be read, lists what it does not hold, or is not what it says.
    pub fn open(file: &FilePlace, tmp: &Path) -> Result<Self, SourceError> {
        let place = Place::Archive { kind: ArchiveKind::Docker, file: file.clone(), pick: None };
        Self::of(ArchiveFile::open(&place, file, tmp)?)
    }

    pub(super) fn of(file: ArchiveFile) -> Result<Self, SourceError> {
        let place = file.place().clone();
        let Some(bytes) = file.small_file(MANIFEST_FILE)? else {
            let reason = match file.has(listing::INDEX_FILE) {
                true => "is no docker-archive, manifest.json is not there: it is an `oci-archive:`",
                false if file.has("repositories") => {
                    "was made by a Docker older than 1.10: load it with a newer one and save it again"
                }
                false => "is no docker-archive: manifest.json is not there",
            };
            return Err(SourceError::Kind { place, reason: reason.to_owned() });
        };
        let entries: Vec<Entry> = json::document(&bytes).map_err(|source| SourceError::Document {
            item: MANIFEST_FILE.to_owned(),
            place: place.clone(),
            source,
        })?;
        let mut archive = DockerArchive { place, roots: Vec::new(), blobs: BTreeMap::new() };
        let mut layers = BTreeMap::new();
        let mut tags = BTreeSet::new();
        for entry in entries {
            if let Some(twice) = entry.repo_tags.iter().find(|tag| !tags.insert((*tag).clone())) {
                return Err(archive.damaged(twice, "is the name of two images"));
            }
            if entry.repo_tags.iter().any(|tag| holds_login(tag)) {
                return Err(SourceError::login(MANIFEST_FILE, &archive.place));
            }
            archive.add(&file, entry, &mut layers)?;
        }
        Ok(archive)
    }

    fn damaged(&self, item: &str, reason: impl Into<String>) -> SourceError {
        let item = Shown::new(item.as_bytes()).to_string();
        SourceError::Damaged { item, place: self.place.clone(), reason: reason.into() }
    }

    /// Takes in one image. `layers` remembers what is known of the layers at paths that were met before.
    fn add(
        &mut self,
        file: &ArchiveFile,
        entry: Entry,
        layers: &mut BTreeMap<String, Layer>,
    ) -> Result<(), SourceError> {
        let bytes =
            file.small_file(&entry.config)?.ok_or_else(|| self.damaged(&entry.config, "is named and not there"))?;
        let digest = Digest::of(&bytes);
        if named_digest(&entry.config).is_some_and(|named| named != digest) {
            return Err(self.damaged(&entry.config, "has bytes of another digest than its name says"));
        }
        let config: ImageConfig = json::document(&bytes).map_err(|source| SourceError::Json { digest, source })?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != entry.layers.len() {
            let reason =
                format!("has {} diff IDs, and manifest.json names {} layers", diff_ids.len(), entry.layers.len());
            return Err(self.damaged(&entry.config, reason));
        }
        let mut found = Vec::with_capacity(diff_ids.len());
        for (path, diff_id) in entry.layers.iter().zip(diff_ids) {
            let layer = match layers.get(path) {
                Some(layer) => layer.clone(),
                None => {
                    let content = file.file(path)?.ok_or_else(|| self.damaged(path, "is named and not there"))?;
                    let layer = self.layer(path, &content, *diff_id)?;
                    layers.insert(path.clone(), layer.clone());
                    self.blobs.insert(layer.digest, content);
                    layer
                }
            };
            if layer.diff_id.is_some_and(|known| known != *diff_id) {
                return Err(self.damaged(path, format!("is not the layer of diff ID {diff_id} that the config names")));
            }
            found.push(layer);
        }
        let family =
            if found.iter().any(|layer| layer.compression == Compression::Zstd) { Family::Oci } else { Family::Docker };
        let descriptor = Descriptor::of(MediaType::Config(family), &bytes);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::Manifest(family)),
            config: descriptor.clone(),
            layers: found
                .iter()
                .map(|layer| Descriptor::new(MediaType::Layer(family, layer.compression), layer.digest, layer.size))
                .collect(),
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        let manifest = Encoded::new(MediaType::Manifest(family), manifest)
            .map_err(|source| SourceError::Json { digest: descriptor.digest, source })?;
        self.blobs.insert(descriptor.digest, Content::inline(bytes));
        self.blobs.insert(manifest.digest(), Content::inline(manifest.bytes()));
        let names = entry.repo_tags.into_iter().map(|tag| {
            let full = tag.parse::<crate::oci::Reference>().ok().map(|tag| tag.to_string());
            ListedName { name: Some(tag), containerd: full }
        });
        let root = manifest.descriptor().clone();
        match self.roots.iter_mut().find(|known| known.descriptor.digest == root.digest) {
            Some(known) => known.names.extend(names),
            None => self.roots.push(Root { descriptor: root, names: names.collect() }),
        }
        Ok(())
    }

    /// What a layer is: its digest from its name or its diff ID where they say it (then it is checked when it is read), else
    /// from its bytes.
    fn layer(&self, path: &str, content: &Content, diff_id: DiffId) -> Result<Layer, SourceError> {
        let failed = |source| SourceError::Blob { digest: diff_id.0, source };
        let mut start = Vec::new();
        content.open().map_err(|error| failed(error.into()))?.take(512).read_to_end(&mut start).map_err(failed)?;
        let compression = detect(&start);
        let size = content.len();
        let named = named_digest(path).filter(|_| path.starts_with(listing::BLOBS));
        match (compression, named) {
            (Compression::None, Some(named)) if named != diff_id.0 => {
                Err(self.damaged(path, format!("is not the layer of diff ID {diff_id} that the config names")))
            }
            (Compression::None, _) => Ok(Layer { digest: diff_id.0, size, compression, diff_id: Some(diff_id) }),
            (_, Some(digest)) => Ok(Layer { digest, size, compression, diff_id: None }),
            (_, None) => {
                let (digest, plain) = digests(content, compression).map_err(failed)?;
                Ok(Layer { digest, size, compression, diff_id: Some(plain) })
            }
        }
    }
}

#[derive(Clone)]
struct Layer {
    digest: Digest,
    size: u64,
    compression: Compression,
    /// The diff ID, where it is known for certain.
    diff_id: Option<DiffId>,
}

/// The digest that a path says: `blobs/sha256/HEX`, `HEX.json`, `sha256:HEX`, `HEX.tar.gz`.
fn named_digest(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    let name = name.strip_prefix("sha256:").unwrap_or(name);
    format!("sha256:{}", name.split('.').next()?).parse().ok()
}

/// The digest of a compressed layer, and of the tar inside.
fn digests(content: &Content, compression: Compression) -> io::Result<(Digest, DiffId)> {
    let (mut outer, mut inner) = (Hasher::new(), Hasher::new());
    let mut reader = Tee { reader: content.open()?, hasher: &mut outer };
    io::copy(&mut Decoder::new(&mut reader, compression).limited(MAX_LAYER), &mut inner)?;
    // The decoder has read to the end, or it would have failed.
    io::copy(&mut reader, &mut io::sink())?;
    Ok((outer.finish(), DiffId(inner.finish())))
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

impl BlobSource for DockerArchive {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        let digest = descriptor.digest;
        match self.blobs.get(&digest) {
            Some(_) => self.blobs.blob(descriptor),
            None => Err(SourceError::Absent { digest, place: self.place.clone() }),
        }
    }
}

impl ImageSource for DockerArchive {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        Ok(self.roots.clone())
    }
}

/// The bytes of [`MANIFEST_FILE`] for these images.
pub(super) fn manifest_file(images: &[(&Artifact, &Image)]) -> Result<Vec<u8>, OutputError> {
    let mut taken = BTreeSet::new();
    let mut entries = Vec::new();
    for (artifact, image) in images {
        let mut repo_tags = Vec::new();
        for name in listing::names(artifact).into_iter().filter_map(|name| name.full) {
            // What has no tag but a digest cannot be listed: loaders would have to believe it.
            let Some(tag) = name.tag() else { continue };
            let tag = format!("{}:{tag}", name.name());
            if !taken.insert(tag.clone()) {
                return Err(OutputError::SameName { name: tag });
            }
            repo_tags.push(tag);
        }
        entries.push(Entry {
            config: listing::blob_path(&image.manifest.config.digest),
            repo_tags,
            layers: image.manifest.layers.iter().map(|layer| listing::blob_path(&layer.digest)).collect(),
        });
    }
    let bytes = json::canonical(&entries).map_err(OutputError::Json)?;
    match bytes.len() as u64 > MAX_DOCUMENT {
        true => Err(OutputError::LongIndex { length: bytes.len() }),
        false => Ok(bytes),
    }
}

/// Writes the images as `docker save` does.
pub(super) fn write(artifacts: &[Artifact], out: &mut dyn Write, task: &Task) -> Result<(), OutputError> {
    let images = check(artifacts)?;
    let mut archive = ArchiveWriter::new(out, task);
    archive.file(MANIFEST_FILE, &manifest_file(&images)?)?;
    for (artifact, image) in images {
        archive.blob(&image.manifest.config, &artifact.content(&image.manifest.config)?)?;
        for layer in &image.manifest.layers {
            archive.blob(layer, &artifact.content(layer)?)?;
        }
    }
    archive.finish()
}

/// The one image of each artifact, where Docker's format can hold it.
pub(super) fn check(artifacts: &[Artifact]) -> Result<Vec<(&Artifact, &Image)>, OutputError> {
    let mut found = Vec::new();
    for artifact in artifacts {
        let shown = || artifact.shown();
        let image = match artifact.images()[..] {
            [] => return Err(OutputError::NoImage { image: shown() }),
            [image] => image,
            ref several => {
                let platforms = several.iter().filter_map(|image| image.platform()).map(|p| p.to_string()).collect();
                return Err(OutputError::SeveralPlatforms { image: shown(), platforms });
            }
        };
        let zstd = |layer: &&Descriptor| layer.media_type.compression() == Some(Compression::Zstd);
        if let Some(layer) = image.manifest.layers.iter().find(zstd) {
            return Err(OutputError::Zstd { image: shown(), layer: layer.digest });
        }
        found.push((artifact, image));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::*;
    use super::super::{Fallback, open, read_artifacts};
    use super::*;
    use crate::validate;

    /// A config and two layers, and their bytes.
    struct Parts {
        config: Vec<u8>,
        config_hex: String,
        layers: Vec<Vec<u8>>,
    }

    fn parts() -> Parts {
        let layers = vec![tar_of(&[("a", "one")]), tar_of(&[("b", "two")])];
        let mut blobs = Blobs::new();
        let made = layers.iter().map(|tar| layer_of(tar, Family::Docker, Compression::None)).collect();
        let image = image_of("linux/amd64", Family::Docker, made, &mut blobs);
        let config = image.config.unwrap();
        Parts { config: config.bytes().to_vec(), config_hex: config.digest().hex(), layers }
    }

    fn read(members: &[(&str, &[u8])]) -> Result<Vec<Artifact>, SourceError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar");
        std::fs::write(&path, foreign_tar(members)).unwrap();
        let place = Place::parse(&format!("docker-archive:{}", path.display())).unwrap();
        read_artifacts(&open(&place, directory.path())?, None, &[])
    }

    fn error(members: &[(&str, &[u8])]) -> String {
        let error = read(members).expect_err("it was read");
        super::super::archive_file::chain(&error)
    }

    fn manifest(config: &str, tags: &[&str], layers: &[&str]) -> Vec<u8> {
        let entry = serde_json::json!([{"Config": config, "RepoTags": tags, "Layers": layers}]);
        serde_json::to_vec(&entry).unwrap()
    }

    #[test]
    fn what_other_tools_write() {
        let Parts { config, config_hex, layers } = parts();
        let gz: Vec<Vec<u8>> = layers.iter().map(|layer| compress(layer, Compression::Gzip)).collect();
        let zstd: Vec<Vec<u8>> = layers.iter().map(|layer| compress(layer, Compression::Zstd)).collect();
        let json = format!("{config_hex}.json");
        let prefixed = format!("sha256:{config_hex}");
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
        type Case<'a> = (&'a str, &'a str, [String; 2], Vec<(String, &'a [u8])>, Compression);
        let cases: Vec<Case<'_>> = vec![
            (
                "docker save before 25, the second layer linked",
                &json,
                ["one/layer.tar".into(), "two/layer.tar".into()],
                vec![
                    ("one/".into(), b""),
                    ("one/layer.tar".into(), &layers[0]),
                    ("two/layer.tar".into(), b"->../three/layer.tar"),
                    ("three/layer.tar".into(), &layers[1]),
                    ("repositories".into(), b"{}"),
                ],
                Compression::None,
            ),
            (
                "GNU tar over a directory with hard links",
                &json,
                ["one.tar".into(), "two.tar".into()],
                vec![
                    ("./".into(), b""),
                    ("./one.tar".into(), &layers[0]),
                    ("./copy.tar".into(), &layers[1]),
                    ("./two.tar".into(), b"=>./copy.tar"),
                ],
                Compression::None,
            ),
            (
                "crane",
                &prefixed,
                [format!("{}.tar.gz", Digest::of(&gz[0]).hex()), format!("{}.tar.gz", Digest::of(&gz[1]).hex())],
                vec![
                    (format!("{}.tar.gz", Digest::of(&gz[0]).hex()), &gz[0]),
                    (format!("{}.tar.gz", Digest::of(&gz[1]).hex()), &gz[1]),
                ],
                Compression::Gzip,
            ),
            (
                "Docker 25 and later",
                &json,
                [blob(&gz[0]), blob(&gz[1])],
                vec![(blob(&gz[0]), &gz[0]), (blob(&gz[1]), &gz[1])],
                Compression::Gzip,
            ),
            (
                "zstd",
                &json,
                ["a".into(), "b".into()],
                vec![("a".into(), &zstd[0]), ("b".into(), &zstd[1])],
                Compression::Zstd,
            ),
        ];
        for (what, config_path, paths, members, compression) in cases {
            let manifest = manifest(config_path, &["me/x:1", "localhost/y:2"], &[&paths[0], &paths[1]]);
            let mut all: Vec<(&str, &[u8])> = members.iter().map(|(name, data)| (name.as_str(), *data)).collect();
            all.push((config_path, &config));
            all.push(("manifest.json", &manifest));
            let found = read(&all).unwrap_or_else(|error| panic!("{what}: {error}"));
            let image = found[0].images()[0];
            assert_eq!(image.manifest.config.digest.hex(), config_hex, "{what}");
            for layer in &image.manifest.layers {
                assert_eq!(layer.media_type.compression(), Some(compression), "{what}");
            }
            let names: Vec<String> = found[0].names.iter().map(|name| name.to_string()).collect();
            assert_eq!(names, ["localhost/y:2", "docker.io/me/x:1"], "{what}");
            let findings = validate::artifacts(&found);
            assert!(findings.is_empty(), "{what}: {findings:?}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let Parts { config, config_hex, layers } = parts();
        let json = format!("{config_hex}.json");
        let gz = compress(&layers[1], Compression::Gzip);
        let good = manifest(&json, &["x:1"], &["a", "b"]);
        let twice = serde_json::json!([
            {"Config": json, "RepoTags": ["x:1"], "Layers": ["a", "b"]},
            {"Config": json, "RepoTags": ["y:1", "x:1"], "Layers": ["a", "b"]},
        ]);
        let twice = serde_json::to_vec(&twice).unwrap();
        let absolute = manifest(&json, &[], &["/a", "b"]);
        let climbs = manifest(&json, &[], &["../a", "b"]);
        let few = manifest(&json, &[], &["a"]);
        let swapped = manifest(&json, &[], &["b", "a"]);
        let passwd = manifest("../../etc/passwd", &[], &["a", "b"]);
        let blob = format!("blobs/sha256/{}", Digest::of(b"other").hex());
        let misnamed = manifest(&json, &[], &["a", &blob]);
        let (a, b): (&[u8], &[u8]) = (&layers[0], &layers[1]);
        let (config, j): (&[u8], &str) = (&config, &json);
        type Case<'a> = (&'a str, Vec<(&'a str, &'a [u8])>);
        let cases: Vec<Case<'_>> = vec![
            ("manifest.json is not there", vec![("a", a)]),
            ("older than 1.10", vec![("repositories", b"{}")]),
            ("stands in the tar twice", vec![("manifest.json", &good), ("manifest.json", &good)]),
            ("stands in the tar twice", vec![("manifest.json", &good), ("./manifest.json", &good)]),
            ("`x:1` in", vec![("manifest.json", &twice), (j, config), ("a", a), ("b", b)]),
            ("is an absolute path", vec![("manifest.json", &absolute), (j, config), ("a", a), ("b", b)]),
            ("climbs with `..`", vec![("manifest.json", &climbs), (j, config), ("a", a), ("b", b)]),
            ("climbs with `..`", vec![("manifest.json", &passwd), ("a", a), ("b", b)]),
            ("2 diff IDs, and manifest.json names 1", vec![("manifest.json", &few), (j, config), ("a", a)]),
            ("`b` in", vec![("manifest.json", &good), (j, config), ("a", a)]),
            ("is named and not there", vec![("manifest.json", &good), ("a", a), ("b", b)]),
            ("bytes of another digest", vec![("manifest.json", &good), (j, b"{}"), ("a", a), ("b", b)]),
            ("leads round in a circle", vec![("manifest.json", &good), (j, config), ("a", b"->b"), ("b", b"->./a")]),
            (
                "leads round in a circle",
                vec![("manifest.json", &good), (j, b"->manifest2"), ("manifest2", b"->manifest2")],
            ),
            ("out of the archive", vec![("manifest.json", &good), (j, config), ("a", b"->/etc/passwd"), ("b", b)]),
            ("out of the archive", vec![("manifest.json", &good), (j, config), ("a", b"->../a"), ("b", b)]),
            ("is a directory", vec![("manifest.json", &good), (j, config), ("a/", b""), ("b", b)]),
            ("is not the layer of diff ID", vec![("manifest.json", &misnamed), (j, config), ("a", a), (&blob, b)]),
            ("is not the layer of diff ID", vec![("manifest.json", &good), (j, config), ("a", &gz), ("b", &gz)]),
            ("not the expected JSON", vec![("manifest.json", b"[{}]")]),
            ("not the expected JSON", vec![("manifest.json", b"[] []")]),
            ("the member at byte 0 is refused", vec![("../x", a), ("manifest.json", &good)]),
        ];
        for (said, members) in cases {
            let text = error(&members);
            assert!(text.contains(said), "{said}: {text}");
        }
        // Plain layers are what their diff IDs say: noticed when they are read.
        let found = read(&[("manifest.json", &swapped), (j, config), ("a", a), ("b", b)]).unwrap();
        assert!(!validate::is_sound(&validate::artifacts(&found)));
    }

    #[test]
    fn one_image_under_several_entries_is_one() {
        let Parts { config, config_hex, layers } = parts();
        let json = format!("{config_hex}.json");
        let twice = serde_json::json!([
            {"Config": json, "RepoTags": ["x:1"], "Layers": ["a", "b"]},
            {"Config": json, "RepoTags": null, "Layers": ["a", "b"]},
            {"Config": json, "RepoTags": ["y:1"], "Layers": ["a", "b"]},
        ]);
        let twice = serde_json::to_vec(&twice).unwrap();
        let found = read(&[("manifest.json", &twice), (&json, &config), ("a", &layers[0]), ("b", &layers[1])]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].all_names(), ["x:1", "y:1"]);
    }

    #[test]
    fn an_artifact_that_is_no_image_has_no_place() {
        let mut blobs = Blobs::new();
        let mut config = ImageConfig::scratch(&platform("linux/amd64"));
        config.os = "linux".to_owned();
        let image = with_config(Family::Oci, config, vec![], &mut blobs);
        let mut value = image.manifest.into_value();
        value.config.media_type = MediaType::Other("application/vnd.cncf.helm.config.v1+json".to_owned());
        let manifest = Encoded::new(MediaType::Manifest(Family::Oci), value).unwrap();
        let index = index_of(Family::Oci, &[]);
        let artifact = Artifact::index(index, vec![Image { manifest, config: None }], Arc::new(blobs))
            .unwrap()
            .named(Vec::new(), Fallback::Labels(vec!["chart".to_owned()]));
        assert!(matches!(check(&[artifact]), Err(OutputError::NoImage { .. })));
    }
}
