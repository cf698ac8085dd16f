//! Descriptors (image-spec, descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, MediaType, Platform};

/// What a blob is, which, and how long: the only way blobs are referred to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is. Empty where an old index leaves it out.
    #[serde(default = "unnamed")]
    pub media_type: MediaType,
    /// Digest of the blob's bytes.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Annotations on the descriptor itself.
    #[serde(default, deserialize_with = "super::json::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: the platform that the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Fields that lapstrake has no use for (`urls`, `data`, `artifactType`, …), kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

fn unnamed() -> MediaType {
    MediaType::Other(String::new())
}

impl Descriptor {
    /// A descriptor with nothing but the three required fields.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Descriptor { media_type, digest, size, annotations: BTreeMap::new(), platform: None, extra: BTreeMap::new() }
    }

    /// The descriptor of these bytes.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// The same with an annotation set.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }
}
