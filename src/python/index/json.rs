//! Pages in JSON (PEP 691).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::Url;

use super::{IndexError, IndexFile, absolute, check_version, digest_of, plain_name};
use crate::python::PackageName;
use crate::shown::Shown;

#[derive(Deserialize)]
struct RawPage<'a> {
    meta: RawMeta,
    name: String,
    #[serde(borrow)]
    files: Vec<RawFile<'a>>,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(rename = "api-version")]
    api_version: String,
}

/// What is looked at of a file. Pages have tens of thousands of them: texts stay where they are, as far as they can.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile<'a> {
    #[serde(borrow)]
    filename: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(default)]
    hashes: Hashes,
    size: Option<u64>,
    #[serde(default)]
    yanked: Flag,
    requires_python: Option<String>,
    #[serde(default)]
    core_metadata: Flag,
    #[serde(default)]
    dist_info_metadata: Flag,
}

/// The one digest that counts.
#[derive(Default, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// `true`, a text, or digests.
#[derive(Default)]
enum Flag {
    #[default]
    No,
    Yes,
    Text(String),
    Hashes(Hashes),
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flags;

        impl<'de> Visitor<'de> for Flags {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a text or digests")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(if value { Flag::Yes } else { Flag::No })
            }

            fn visit_str<E>(self, value: &str) -> Result<Flag, E> {
                Ok(Flag::Text(value.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag::No)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flag, A::Error> {
                let mut hashes = Hashes::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "sha256" => hashes.sha256 = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Flag::Hashes(hashes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Flag, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Flag::No)
            }
        }

        deserializer.deserialize_any(Flags)
    }
}

impl Flag {
    /// The digest that it gives, where it says that something is there.
    fn metadata(self) -> Option<Option<crate::oci::Digest>> {
        match self {
            Flag::Hashes(hashes) => Some(hashes.sha256.as_deref().and_then(digest_of)),
            Flag::Yes => Some(None),
            Flag::No | Flag::Text(_) => None,
        }
    }

    /// Why a file was withdrawn.
    fn reason(self) -> Option<String> {
        match self {
            Flag::Text(reason) => Some(reason),
            Flag::Yes => Some(String::new()),
            Flag::No | Flag::Hashes(_) => None,
        }
    }
}

/// Reads a page of that package, which came from `url`.
pub(super) fn parse(wanted: &PackageName, body: &[u8], url: &Url) -> Result<Vec<IndexFile>, IndexError> {
    let page: RawPage<'_> = serde_json::from_slice(body)
        .map_err(|error| IndexError::Json(Shown::new(error.to_string().as_bytes()).to_string()))?;
    check_version(&page.meta.api_version)?;
    if page.name.parse::<PackageName>().ok().as_ref() != Some(wanted) {
        return Err(IndexError::Other { wanted: wanted.clone(), found: Shown::new(page.name.as_bytes()) });
    }
    let files = page.files.into_iter().filter_map(|raw| {
        let url = absolute(url, &raw.url)?;
        plain_name(&raw.filename).then(|| IndexFile {
            url,
            sha256: raw.hashes.sha256.as_deref().and_then(digest_of),
            size: raw.size,
            yanked: raw.yanked.reason(),
            requires_python: raw.requires_python,
            metadata: raw.core_metadata.metadata().or_else(|| raw.dist_info_metadata.metadata()),
            name: raw.filename.into_owned(),
        })
    });
    Ok(files.collect())
}
