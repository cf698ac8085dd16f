//! Image manifests (image-spec, manifest.md; Docker's schema 2 has the same shape).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::JsonError;
use super::shape::{MAP, Shape, Shaped, UNKNOWN};
use super::{Descriptor, Encoded, MediaType};

/// One image for one platform: a config and its layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; old writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(deserialize_with = "super::json::null_is_default")]
    pub layers: Vec<Descriptor>,
    /// Annotations of the image.
    #[serde(default, deserialize_with = "super::json::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `subject`, `artifactType` and others, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Manifests and indexes, so that neither looks like the other to anybody.
pub(super) const MANIFEST_OR_INDEX: &Shape = &Shape::Structure(&[
    ("annotations", MAP),
    ("artifactType", UNKNOWN),
    ("config", Descriptor::SHAPE),
    // Of Docker's schema 1.
    ("fsLayers", UNKNOWN),
    ("layers", &Shape::List(Descriptor::SHAPE)),
    ("manifests", &Shape::List(Descriptor::SHAPE)),
    ("mediaType", UNKNOWN),
    ("schemaVersion", UNKNOWN),
    ("subject", Descriptor::SHAPE),
]);

impl Shaped for Manifest {
    const SHAPE: &'static Shape = MANIFEST_OR_INDEX;
}

impl Manifest {
    /// Reads a manifest that was announced as `media_type`.
    ///
    /// # Errors
    /// Where it is no manifest, is not of version 2, also looks like an index, or calls itself something else
    /// (CVE-2021-41190).
    pub fn read(media_type: &MediaType, bytes: Vec<u8>) -> Result<Encoded<Manifest>, JsonError> {
        let manifest: Encoded<Manifest> = Encoded::read(media_type.clone(), bytes)?;
        let wrong = |text: &str| Err(JsonError::Contradiction(text.to_owned()));
        if manifest.schema_version != 2 {
            return wrong("the manifest's schemaVersion is not 2 (images of Docker's schema 1 must be pushed again)");
        }
        if manifest.extra.contains_key("manifests") || manifest.extra.contains_key("fsLayers") {
            return wrong("the document is a manifest and something else at once");
        }
        match &manifest.media_type {
            Some(inner) if inner != media_type => Err(JsonError::Contradiction(format!(
                "the document calls itself {inner}, and was announced as {media_type}"
            ))),
            _ => Ok(manifest),
        }
    }
}
