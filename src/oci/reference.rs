//! References: registry, repository, tag, digest (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use super::Digest;
use crate::logins::{hide_in_name, resembles_digest};

/// Where an image is, in full: `registry/repository[:tag][@digest]`.
///
/// As people know it from Docker, `debian` means `docker.io/library/debian`; a tag is never invented.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not of the grammar.
    #[error("reference {reference:?} is not [registry/]repository[:tag][@sha256:…] ({reason})")]
    Grammar {
        /// What was given, without what may be a login.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// User name and password, or a token, in front of the host; or what may be one.
    #[error(
        "a reference holds no credentials: log in to the registry, or use --authfile; behind `@` stands a digest, sha256:…"
    )]
    Credentials,
}

impl Reference {
    /// Host and port of the registry, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one is named.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is named.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What is asked of the registry: the digest where one is named, else the tag, else `latest`.
    pub fn identifier(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository under that tag, no digest.
    ///
    /// # Errors
    /// Where the tag is not of the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        format!("{}:{tag}", self.name()).parse()
    }

    /// The same repository, by digest alone.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }
}

/// Whether the part before the first slash is a registry's host, by Docker's rule.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(|c| c.is_ascii_uppercase())
}

fn valid_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, port.strip_prefix(':').or(Some(""))),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let name_is_good = if host.starts_with('[') {
        name.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        name.len() <= 253
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    name_is_good && port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` for each part between slashes (distribution-spec).
fn valid_repository(repository: &str) -> bool {
    repository.len() <= 255
        && repository.split('/').all(|part| {
            let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let bytes = part.as_bytes();
            if bytes.is_empty() || !alphanumeric(bytes[0]) || !alphanumeric(bytes[bytes.len() - 1]) {
                return false;
            }
            bytes.split(|b| alphanumeric(*b)).filter(|separator| !separator.is_empty()).all(|separator| {
                separator == b"." || separator == b"_" || separator == b"__" || separator.iter().all(|b| *b == b'-')
            })
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec).
pub fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !tag.is_empty()
        && tag.len() <= 128
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let bad = |reason: &str| ReferenceError::Grammar {
            reference: hide_in_name(text).chars().take(300).collect(),
            reason: reason.to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => match digest.parse::<Digest>() {
                Ok(digest) => (rest, Some(digest)),
                Err(error) if resembles_digest(digest) => return Err(bad(&error.to_string())),
                // Not even a wrong digest: what stands before it may be a password or token, and is not repeated.
                Err(_) => return Err(ReferenceError::Credentials),
            },
            None => (text, None),
        };
        if rest.contains("://") {
            return Err(bad("no scheme is written in front of a registry"));
        }
        let (host, path) = match rest.split_once('/') {
            Some((first, path)) if is_host(first) => (Some(first), path),
            _ => (None, rest),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if host.is_some_and(|host| !valid_host(host)) {
            return Err(bad("the registry is no host name with an optional port"));
        }
        if tag.is_some_and(|tag| !valid_tag(tag)) {
            return Err(bad(
                "a tag has up to 128 letters, digits, `_`, `.`, `-`, and starts with a letter, digit or `_`",
            ));
        }
        let registry = match host {
            None | Some("index.docker.io" | "registry-1.docker.io") => "docker.io",
            Some(host) => host,
        };
        let repository = if registry == "docker.io" && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if !valid_repository(&repository) {
            return Err(bad("a repository has lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`"));
        }
        Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_as_docker_does() {
        for (text, full) in [
            ("debian", "docker.io/library/debian".to_owned()),
            ("debian:12", "docker.io/library/debian:12".to_owned()),
            ("me/app:1", "docker.io/me/app:1".to_owned()),
            ("localhost/app", "localhost/app".to_owned()),
            ("localhost:5000/a/b/c:x.y", "localhost:5000/a/b/c:x.y".to_owned()),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app".to_owned()),
            ("[::1]:5000/app", "[::1]:5000/app".to_owned()),
            ("index.docker.io/library/debian", "docker.io/library/debian".to_owned()),
            (&format!("r.example.com/a__b/c-d@{DIGEST}"), format!("r.example.com/a__b/c-d@{DIGEST}")),
            (&format!("r.example.com/a:1@{DIGEST}"), format!("r.example.com/a:1@{DIGEST}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "",
            ":",
            "@",
            "a:",
            "a@",
            "a/",
            "/a",
            "a//b",
            "A/b:1 ",
            "a b",
            "a:b:c",
            "Debian",
            "r.example.com/Upper",
            "r.example.com/a___b",
            "r.example.com/-a",
            "r.example.com/a-",
            "r.example.com/a:.x",
            "r.example.com:0/a",
            "r.example.com:99999/a",
            "r.example.com:+1/a",
            "-r.example.com/a",
            "https://r.example.com/a",
            "[::1/a",
            "r.example.com/a@sha256:12",
            "r.example.com/a@md5:12",
            "r.example.com/../a",
            "r.example.com/a/..",
            "é.com/a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        for login in [
            "user:secret@r.example.com/a",
            "user:secret@cafe",
            "user:secret@node1:5000",
            "user:secret@r.example.com/a@sha256:12",
            "secret@r.example.com/a",
            "secret@localhost",
            "user:@secret",
            "a@12",
        ] {
            assert_eq!(login.parse::<Reference>(), Err(ReferenceError::Credentials), "{login}");
        }
        let told = "user:secret@sha256:12".parse::<Reference>().unwrap_err().to_string();
        assert!(told.contains("64 lower-case"), "{told}");
        let told =
            format!("https://r.example.com/a?t={}", "secret".repeat(100)).parse::<Reference>().unwrap_err().to_string();
        assert!(!told.contains("secret"), "{told}");
    }

    proptest! {
        #[test]
        fn round_trips(text in "([a-z]{1,5}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/)?[a-z0-9]{1,8}([._-][a-z0-9]{1,4}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,6})?") {
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
