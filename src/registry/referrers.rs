//! What refers to what, at registries that do not keep track of it themselves (distribution-spec, "Pushing Manifests with
//! Subject" and "Referrers Tag Schema").

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};

use super::RegistryError;
use super::auth;
use super::client::{Ask, Core};
use super::endpoint::Repository;
use super::push::PushManifest;
use crate::net::Payload;
use crate::oci::{Descriptor, Digest, Encoded, Family, Index, MediaType, json};

/// What a manifest says it is attached to.
pub(super) fn subject(manifest: &PushManifest) -> Option<Digest> {
    let document: Map<String, Value> = json::parse(&manifest.bytes).ok()?;
    document.get("subject")?.get("digest")?.as_str()?.parse().ok()
}

/// Whether a registry says that it has taken note of the subject.
pub(super) fn acknowledged(headers: &HeaderMap) -> bool {
    headers.contains_key("oci-subject")
}

impl Core {
    /// Lists a manifest under the tag that stands for what refers to its subject. Another client that does the same at
    /// the same time may be overwritten: the specification has no remedy for that.
    pub(super) async fn list_referrer(
        &self,
        repository: &Repository,
        manifest: &PushManifest,
        subject: Digest,
    ) -> Result<(), RegistryError> {
        let tag = format!("sha256-{}", subject.hex());
        let scopes = auth::push(&repository.path, None);
        let media_type = MediaType::Index(Family::Oci);
        let found = self.get_manifest(repository, &scopes, &tag, None).await?;
        let unreadable = |error: &json::JsonError| RegistryError::WrongBytes {
            from: format!("{repository}:{tag}"),
            reason: format!("what is there is no list of referrers: {error}"),
        };
        let mut index = match found {
            Some((found, bytes)) => Index::read(&found, bytes).map_err(|error| unreadable(&error))?.into_value(),
            None => Index {
                schema_version: 2,
                media_type: Some(media_type.clone()),
                manifests: Vec::new(),
                annotations: Default::default(),
                extra: Default::default(),
            },
        };
        if index.manifests.iter().any(|known| known.digest == manifest.descriptor.digest) {
            return Ok(());
        }
        index.manifests.push(entry(manifest));
        let index = Encoded::new(media_type, index).map_err(|error| unreadable(&error))?;
        let ask = Ask::new(repository, scopes, Method::PUT, &format!("manifests/{tag}"))
            .header(CONTENT_TYPE, index.descriptor().media_type.as_str())
            .payload(Payload::Bytes(index.bytes().to_vec().into()))
            .good(&[200, 201, 202, 204]);
        self.send(&ask).await.map(|_| ())
    }
}

/// How a manifest is listed: with its kind of artifact (that of its config, where it names none) and its annotations.
fn entry(manifest: &PushManifest) -> Descriptor {
    let document: Map<String, Value> = json::parse(&manifest.bytes).unwrap_or_default();
    let mut entry =
        Descriptor::new(manifest.descriptor.media_type.clone(), manifest.descriptor.digest, manifest.descriptor.size);
    let kind = |value: Option<&Value>| value.and_then(Value::as_str).filter(|kind| !kind.is_empty()).map(str::to_owned);
    let config = || kind(document.get("config").and_then(|config| config.get("mediaType")));
    if let Some(kind) = kind(document.get("artifactType")).or_else(config) {
        entry.extra.insert("artifactType".to_owned(), Value::String(kind));
    }
    for (key, value) in document.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        if let Some(text) = value.as_str() {
            entry.annotations.insert(key.clone(), text.to_owned());
        }
    }
    entry
}
