//! Platforms: operating system, architecture and variant, in Go's names (image-spec, image-index.md, "platform").

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::{Shape, Shaped, UNKNOWN};

/// What an image runs on, written `os/architecture` or `os/architecture/variant`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system (`linux`).
    pub os: String,
    /// CPU architecture, in Go's names (`amd64`, `arm64`).
    pub architecture: String,
    /// Variant of the architecture (`v7`), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `os.version`, `os.features` and others, kept.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Shaped for Platform {
    const SHAPE: &'static Shape = &Shape::Structure(&[
        ("architecture", UNKNOWN),
        ("features", UNKNOWN),
        ("os", UNKNOWN),
        ("os.features", UNKNOWN),
        ("os.version", UNKNOWN),
        ("variant", UNKNOWN),
    ]);
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform {0:?} is not `os/architecture` or `os/architecture/variant` in lower-case letters and digits")]
pub struct PlatformError(String);

impl Platform {
    /// `linux` on that architecture.
    pub fn linux(architecture: &str) -> Self {
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
            extra: BTreeMap::new(),
        }
    }

    /// Whether an image made for `self` is what somebody who asks for `wanted` means: same system and architecture,
    /// same variant after the usual ones (`arm64` is `v8`, `arm` is `v7`) are filled in.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && self.usual_variant() == wanted.usual_variant()
    }

    fn usual_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None | Some("v8" | "8" | "")) => None,
            ("arm", None | Some("")) => Some("v7"),
            ("amd64", Some("v1" | "")) => None,
            (_, variant) => variant,
        }
    }

    /// The ELF machine number (`e_machine`) of programs for this architecture, where it is known.
    pub fn elf_machine(&self) -> Option<u16> {
        Some(match self.architecture.as_str() {
            "386" => 3,
            "mips" | "mipsle" | "mips64" | "mips64le" => 8,
            "ppc64" | "ppc64le" => 21,
            "s390x" => 22,
            "arm" => 40,
            "amd64" => 62,
            "arm64" => 183,
            "riscv64" => 243,
            "loong64" => 258,
            _ => return None,
        })
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let bad = || PlatformError(text.chars().take(100).collect());
        let word = |part: &str| {
            !part.is_empty() && part.len() <= 32 && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(|part| word(part)) {
            return Err(bad());
        }
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(bad()),
        };
        // What people type, in the names that Go and the specification use.
        let architecture = match architecture {
            "aarch64" => "arm64",
            "i386" => "386",
            other => other,
        };
        let variant = if architecture == "arm64" && variant == Some("v8") { None } else { variant };
        let mut platform = Platform::linux(architecture);
        platform.os = os.to_owned();
        platform.variant = variant.map(str::to_owned);
        Ok(platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        for bad in ["", "linux", "linux/", "/amd64", "linux/amd64/v2/x", "Linux/amd64", "linux/../x", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn usual_variants_are_filled_in() {
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        let mut eight = Platform::linux("arm64");
        eight.variant = Some("v8".to_owned());
        assert!(eight.satisfies(&parse("linux/arm64")));
        assert!(!parse("linux/arm/v6").satisfies(&parse("linux/arm")));
        assert!(parse("linux/arm/v7").satisfies(&parse("linux/arm")));
        assert!(!parse("linux/amd64/v3").satisfies(&parse("linux/amd64")));
    }
}
