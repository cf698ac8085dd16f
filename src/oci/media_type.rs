//! Media types: the names that say what a blob is (image-spec, media-types.md; Docker's image manifest v2, schema 2).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a layer's tar is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// The plain tar.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        })
    }
}

/// Whose names a manifest uses; the two are never mixed inside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The OCI image specification.
    Oci,
    /// Docker's image manifest, version 2, schema 2.
    Docker,
}

/// A media type, known or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// A list of manifests.
    Index(Family),
    /// An image manifest.
    Manifest(Family),
    /// An image config.
    Config(Family),
    /// A layer of the filesystem. `Docker` with [`Compression::Zstd`] is written by some tools and read here, never written.
    Layer(Family, Compression),
    /// A layer that must not be pushed elsewhere; read, and kept as it is.
    ForeignLayer(String),
    /// Anything else, kept as it is.
    Other(String),
}

use Compression::{Gzip, None as Plain, Zstd};
use Family::{Docker, Oci};

impl MediaType {
    const NAMES: [(MediaType, &'static str); 11] = [
        (MediaType::Index(Oci), "application/vnd.oci.image.index.v1+json"),
        (MediaType::Manifest(Oci), "application/vnd.oci.image.manifest.v1+json"),
        (MediaType::Config(Oci), "application/vnd.oci.image.config.v1+json"),
        (MediaType::Layer(Oci, Plain), "application/vnd.oci.image.layer.v1.tar"),
        (MediaType::Layer(Oci, Gzip), "application/vnd.oci.image.layer.v1.tar+gzip"),
        (MediaType::Layer(Oci, Zstd), "application/vnd.oci.image.layer.v1.tar+zstd"),
        (MediaType::Index(Docker), "application/vnd.docker.distribution.manifest.list.v2+json"),
        (MediaType::Manifest(Docker), "application/vnd.docker.distribution.manifest.v2+json"),
        (MediaType::Config(Docker), "application/vnd.docker.container.image.v1+json"),
        (MediaType::Layer(Docker, Plain), "application/vnd.docker.image.rootfs.diff.tar"),
        (MediaType::Layer(Docker, Gzip), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ];

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            MediaType::Layer(Docker, Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
            MediaType::ForeignLayer(name) | MediaType::Other(name) => name,
            known => Self::NAMES.iter().find(|(media_type, _)| media_type == known).map_or("", |(_, name)| name),
        }
    }

    /// The media type of that name.
    pub fn named(name: &str) -> MediaType {
        if let Some((known, _)) = Self::NAMES.iter().find(|(_, known)| *known == name) {
            return known.clone();
        }
        match name {
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => MediaType::Layer(Docker, Zstd),
            "application/vnd.docker.image.rootfs.foreign.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => {
                MediaType::ForeignLayer(name.to_owned())
            }
            _ => MediaType::Other(name.to_owned()),
        }
    }

    /// How a layer of this type is compressed; `None` for what is no layer.
    pub fn compression(&self) -> Option<Compression> {
        match self {
            MediaType::Layer(_, compression) => Some(*compression),
            MediaType::ForeignLayer(name) if name.ends_with("gzip") => Some(Gzip),
            MediaType::ForeignLayer(name) if name.ends_with("zstd") => Some(Zstd),
            MediaType::ForeignLayer(_) => Some(Plain),
            _ => None,
        }
    }

    /// Whether this is an index, of either family.
    pub fn is_index(&self) -> bool {
        matches!(self, MediaType::Index(_))
    }

    /// Whether this is an image manifest, of either family.
    pub fn is_manifest(&self) -> bool {
        matches!(self, MediaType::Manifest(_))
    }

    /// The same kind of thing in the other family's words. What has none (zstd for Docker) stays.
    pub fn in_family(&self, family: Family) -> MediaType {
        match self {
            MediaType::Index(_) => MediaType::Index(family),
            MediaType::Manifest(_) => MediaType::Manifest(family),
            MediaType::Config(_) => MediaType::Config(family),
            MediaType::Layer(_, compression) => MediaType::Layer(family, *compression),
            other => other.clone(),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shown to people, and others chose it: what a terminal would obey is escaped.
        match self.as_str() {
            name if name.chars().any(char::is_control) => write!(f, "{}", name.escape_debug()),
            name => f.write_str(name),
        }
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(MediaType::named(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_agrees_with_the_specification() {
        for (media_type, name) in MediaType::NAMES {
            assert_eq!(MediaType::named(name), media_type);
            assert_eq!(media_type.as_str(), name);
        }
        let spec = oci_spec::image::MediaType::ImageLayerZstd.to_string();
        assert_eq!(MediaType::named(&spec), MediaType::Layer(Oci, Zstd));
        assert_eq!(MediaType::Manifest(Oci).as_str(), oci_spec::image::MediaType::ImageManifest.to_string());
        assert_eq!(MediaType::Index(Oci).as_str(), oci_spec::image::MediaType::ImageIndex.to_string());
        assert_eq!(MediaType::Config(Oci).as_str(), oci_spec::image::MediaType::ImageConfig.to_string());
        let unknown = "application/x-something";
        assert_eq!(MediaType::named(unknown).as_str(), unknown);
    }

    #[test]
    fn families_translate() {
        assert_eq!(MediaType::Layer(Oci, Gzip).in_family(Docker), MediaType::Layer(Docker, Gzip));
        assert_eq!(MediaType::Index(Docker).in_family(Oci), MediaType::Index(Oci));
    }
}
