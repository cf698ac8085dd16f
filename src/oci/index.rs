//! Image indexes (image-spec, image-index.md; Docker calls them manifest lists).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::JsonError;
use super::manifest::MANIFEST_OR_INDEX;
use super::shape::{Shape, Shaped};
use super::{Descriptor, Encoded, MediaType, Platform};

/// A list of manifests: one for each platform, or, in a layout, one for each image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type; old writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The manifests (or indexes) listed.
    #[serde(deserialize_with = "super::json::null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index.
    #[serde(default, deserialize_with = "super::json::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `subject`, `artifactType` and others, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Shaped for Index {
    const SHAPE: &'static Shape = MANIFEST_OR_INDEX;
}

/// The most manifests that one index may list.
pub const MAX_MANIFESTS: usize = 10_000;

impl Index {
    /// Reads an index that was announced as `media_type`.
    ///
    /// # Errors
    /// Where it is no index, is not of version 2, also looks like a manifest, calls itself something else, or lists
    /// more than [`MAX_MANIFESTS`].
    pub fn read(media_type: &MediaType, bytes: Vec<u8>) -> Result<Encoded<Index>, JsonError> {
        let index: Encoded<Index> = Encoded::read(media_type.clone(), bytes)?;
        let wrong = |text: String| Err(JsonError::Contradiction(text));
        if index.schema_version != 2 {
            return wrong("the index's schemaVersion is not 2".to_owned());
        }
        if index.extra.contains_key("layers") || index.extra.contains_key("config") {
            return wrong("the document is an index and a manifest at once".to_owned());
        }
        if index.manifests.len() > MAX_MANIFESTS {
            return wrong(format!(
                "the index lists {} manifests, and the limit is {MAX_MANIFESTS}",
                index.manifests.len()
            ));
        }
        match &index.media_type {
            Some(inner) if inner != media_type => {
                wrong(format!("the document calls itself {inner}, and was announced as {media_type}"))
            }
            _ => Ok(index),
        }
    }

    /// The first entry for that platform.
    pub fn for_platform(&self, wanted: &Platform) -> Option<&Descriptor> {
        self.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(|platform| platform.satisfies(wanted)))
    }

    /// The platforms that are listed, as text, for messages; attestations (`unknown/unknown`) are left out.
    pub fn platforms(&self) -> Vec<String> {
        let known = |platform: &&Platform| platform.os != "unknown";
        self.manifests.iter().filter_map(|entry| entry.platform.as_ref()).filter(known).map(|p| p.to_string()).collect()
    }
}
