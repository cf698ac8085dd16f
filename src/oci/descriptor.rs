//! Descriptors (image-spec, descriptor.md).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use super::shape::{MAP, Shape, Shaped, UNKNOWN};
use super::{Digest, MediaType, Platform};

/// What a blob is, which, and how long: the only way blobs are referred to.
// `Self`: what the derives make is wrapped below, where `data` is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
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
    /// Fields that lapstrake has no use for (`urls`, `data`, `artifactType`, …), kept. `data` is what digest and size say.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

fn unnamed() -> MediaType {
    MediaType::Other(String::new())
}

impl Shaped for Descriptor {
    const SHAPE: &'static Shape = &Shape::Structure(&[
        ("annotations", MAP),
        ("artifactType", UNKNOWN),
        ("data", UNKNOWN),
        ("digest", UNKNOWN),
        ("mediaType", UNKNOWN),
        ("platform", Platform::SHAPE),
        ("size", UNKNOWN),
        ("urls", UNKNOWN),
    ]);
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let descriptor = Self::deserialize(deserializer)?;
        let is_true = |data: &Value| {
            let bytes = data.as_str().and_then(|text| STANDARD.decode(text).ok());
            bytes.is_some_and(|bytes| bytes.len() as u64 == descriptor.size && Digest::of(&bytes) == descriptor.digest)
        };
        // Others believe what stands here instead of the blob.
        match descriptor.extra.get("data").filter(|data| !data.is_null()) {
            Some(data) if !is_true(data) => {
                let text =
                    format_args!("`data` of the descriptor of {} is not what digest and size say", descriptor.digest);
                Err(D::Error::custom(text))
            }
            _ => Ok(descriptor),
        }
    }
}

/// Whether it is an address that anybody may be told: a web server's, without a login.
fn is_public(address: &str) -> bool {
    let is_plain = !address.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\');
    let public =
        |url: Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    is_plain && Url::parse(address).is_ok_and(public)
}

impl Descriptor {
    /// What other manifests say of the blob: what it is, and its annotations. Of layers that are not pushed elsewhere, also
    /// the public addresses where they are.
    #[must_use]
    pub fn carried(&self) -> Self {
        let mut carried = Self::new(self.media_type.clone(), self.digest, self.size);
        carried.annotations = self.annotations.clone();
        if matches!(self.media_type, MediaType::ForeignLayer(_)) {
            let urls = self.extra.get("urls").and_then(Value::as_array).into_iter().flatten();
            let urls: Vec<Value> = urls.filter(|url| url.as_str().is_some_and(is_public)).cloned().collect();
            if !urls.is_empty() {
                carried.extra.insert("urls".to_owned(), Value::Array(urls));
            }
        }
        carried
    }

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

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn descriptor(media_type: &str, more: &str) -> Result<Descriptor, json::JsonError> {
        let digest = Digest::of(b"{}");
        json::document(format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":2{more}}}"#).as_bytes())
    }

    #[test]
    fn data_is_what_digest_and_size_say() {
        for good in ["", r#","data":"e30=""#, r#","data":null"#] {
            let descriptor = descriptor("x/y", good).unwrap();
            let bytes = json::canonical(&descriptor).unwrap();
            assert_eq!(json::document::<Descriptor>(&bytes).unwrap(), descriptor);
            assert_eq!(bytes.windows(6).any(|bytes| bytes == b"\"data\""), !good.is_empty());
        }
        for bad in ["AAAA", "e30", "e30=\\n", "", "e31=", "e30gIA=="] {
            let error = descriptor("x/y", &format!(r#","data":"{bad}""#)).expect_err(bad);
            assert!(crate::shown::with_causes(&error).contains("is not what digest and size say"), "{error:?}");
        }
        for bad in ["1", "[]", "{}", "true"] {
            assert!(descriptor("x/y", &format!(r#","data":{bad}"#)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_carried_on() {
        let more = r#","data":"e30=","annotations":{"a":"b"},"new":1,"platform":{"os":"linux","architecture":"arm"},
            "urls":["https://example.com/a","file:///etc/passwd","http://u:pw@example.com/","http://u@example.com/",7,
            " https://example.com/b","ftp://example.com/","/c","https://example.com/\n","http://example.com:8080/d?e"]"#;
        let plain = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", more).unwrap().carried();
        let text = |descriptor: &Descriptor| String::from_utf8(json::canonical(descriptor).unwrap()).unwrap();
        let digest = Digest::of(b"{}");
        assert_eq!(
            text(&plain),
            format!(
                r#"{{"annotations":{{"a":"b"}},"digest":"{digest}","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":2}}"#
            )
        );
        let foreign = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", more).unwrap().carried();
        let urls = serde_json::json!(["https://example.com/a", "http://example.com:8080/d?e"]);
        assert_eq!(foreign.extra, [("urls".to_owned(), urls)].into());
    }
}
