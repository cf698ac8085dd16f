//! Images in memory, for tests: the layers as lapstrake writes them, everything small.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::{Artifact, BlobSource, Fallback, Image};
use crate::content::Content;
use crate::oci::{
    Compression, Descriptor, DiffId, Digest, Encoded, Family, History, ImageConfig, Index, Manifest, MediaType,
    Platform, annotation,
};
use crate::tar::write_tree;
use crate::tree::{Entry, FileTree, Origin, Owner, TreePath};

/// Blobs that tests put together, and change.
pub(crate) type Blobs = BTreeMap<Digest, Content>;

/// A layer of these directories and files (which end in no slash).
pub(crate) struct Layer {
    pub(crate) descriptor: Descriptor,
    pub(crate) diff_id: DiffId,
    pub(crate) bytes: Vec<u8>,
}

/// The tar of some directories (names that end in a slash) and files.
pub(crate) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tree = FileTree::new();
    for (path, text) in files {
        let origin = Origin::new("test");
        let entry = match path.ends_with('/') {
            true => Entry::directory(0o755, Owner::ROOT, origin),
            false => Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::new(1001, 1001), origin),
        };
        tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
    }
    let mut tar = Vec::new();
    write_tree(&tree, &mut tar, &mut ()).unwrap();
    tar
}

/// A tar as a layer that lapstrake made.
pub(crate) fn layer_of(tar: &[u8], family: Family, compression: Compression) -> Layer {
    let diff_id = DiffId(Digest::of(tar));
    let bytes = compress(tar, compression);
    let descriptor = Descriptor::of(MediaType::Layer(family, compression), &bytes)
        .annotated(annotation::LAYER_KEY, format!("key-{compression}-{diff_id}"))
        .annotated(annotation::LAYER_DIFF_ID, diff_id.to_string());
    Layer { descriptor, diff_id, bytes }
}

pub(crate) fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Zstd => zstd::bulk::compress(bytes, 3).unwrap(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// An image of these layers; the layers are added to `blobs`.
pub(crate) fn image_of(platform: &str, family: Family, layers: Vec<Layer>, blobs: &mut Blobs) -> Image {
    let mut config = ImageConfig::scratch(&platform.parse().unwrap());
    config.created = Some("2024-02-03T04:05:06Z".to_owned());
    config.config.user = Some("1001:1001".to_owned());
    config.config.env = vec!["PATH=/usr/bin".to_owned()];
    config.config.cmd = Some(vec!["/bin/true".to_owned()]);
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    config.history = vec![History { created_by: Some("test".to_owned()), ..History::default() }; layers.len()];
    config.history.push(History { empty_layer: true, ..History::default() });
    with_config(family, config, layers, blobs)
}

pub(crate) fn with_config(family: Family, config: ImageConfig, layers: Vec<Layer>, blobs: &mut Blobs) -> Image {
    let config = Encoded::new(MediaType::Config(family), config).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::Manifest(family)),
        config: config.descriptor().clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let manifest = Encoded::new(MediaType::Manifest(family), manifest).unwrap();
    blobs.extend(layers.into_iter().map(|layer| (layer.descriptor.digest, Content::inline(layer.bytes))));
    Image { manifest, config: Some(config) }
}

/// An index of these images.
pub(crate) fn index_of(family: Family, images: &[Image]) -> Encoded<Index> {
    let entries = images.iter().map(|image| {
        let mut descriptor = image.manifest.descriptor().clone();
        descriptor.platform = image.platform();
        descriptor
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::Index(family)),
        manifests: entries.collect(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    Encoded::new(MediaType::Index(family), index).unwrap()
}

pub(crate) fn artifact(image: Image, names: &[&str], blobs: &Blobs) -> Artifact {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    Artifact::image(image.manifest, image.config.unwrap(), source(blobs)).named(names, Fallback::Nothing)
}

pub(crate) fn source(blobs: &Blobs) -> Arc<dyn BlobSource> {
    Arc::new(blobs.clone())
}

/// A base of two layers and a service on it, whose third layer is its own.
pub(crate) fn base_and_service(family: Family, compression: Compression) -> Vec<Artifact> {
    let mut blobs = Blobs::new();
    let base = || {
        vec![
            layer_of(&tar_of(&[("etc/", ""), ("etc/os-release", "ID=test\n")]), family, compression),
            layer_of(&tar_of(&[("app/", ""), ("app/common.py", "pass\n")]), family, Compression::Gzip),
        ]
    };
    let mut service = base();
    service.push(layer_of(&tar_of(&[("app/", ""), ("app/main.py", "print()\n")]), family, compression));
    let base = image_of("linux/amd64", family, base(), &mut blobs);
    let service = image_of("linux/amd64", family, service, &mut blobs);
    vec![
        artifact(base, &["registry.example.com/eveai/base:1"], &blobs),
        artifact(service, &["registry.example.com/eveai/app:latest", "registry.example.com/eveai/app:abc1234"], &blobs),
    ]
}

/// One image for two platforms.
pub(crate) fn two_platforms() -> Artifact {
    let mut blobs = Blobs::new();
    let images: Vec<Image> = ["linux/amd64", "linux/arm64"]
        .iter()
        .map(|platform| {
            let layers = vec![
                layer_of(&tar_of(&[("shared", "same")]), Family::Oci, Compression::Gzip),
                layer_of(&tar_of(&[("own", *platform)]), Family::Oci, Compression::Gzip),
            ];
            image_of(platform, Family::Oci, layers, &mut blobs)
        })
        .collect();
    let index = index_of(Family::Oci, &images);
    let names = vec!["registry.example.com/two:1".parse().unwrap()];
    Artifact::index(index, images, source(&blobs)).unwrap().named(names, Fallback::Nothing)
}

pub(crate) fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

/// A tar of these members, as other tools write it: a name, and bytes, or the target of a symlink (`->`) or of a hard link
/// (`=>`); a name that ends in a slash is a directory.
pub(crate) fn foreign_tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        let text = String::from_utf8_lossy(data);
        let (kind, data) = match (text.strip_prefix("->"), text.strip_prefix("=>")) {
            (Some(target), _) => {
                header.set_link_name_literal(target).unwrap();
                (tar::EntryType::Symlink, &b""[..])
            }
            (_, Some(target)) => {
                header.set_link_name_literal(target).unwrap();
                (tar::EntryType::Link, &b""[..])
            }
            _ if name.ends_with('/') => (tar::EntryType::Directory, &b""[..]),
            _ => (tar::EntryType::Regular, *data),
        };
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize((out.len() + 1024).next_multiple_of(10_240), 0);
    out
}
