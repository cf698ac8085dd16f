//! What an image stands on, or copies from (semantics 2).

use std::fmt;

use super::path::{FromText, PerArch};
use super::problems::{Fault, shown};
use crate::logins::{hide_credentials, holds_login};
use crate::oci::{Reference, ReferenceError};

/// What an image stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image of the same recipe: its config is inherited, none of its `owner`, `exclude` and the like.
    Image(ImageName),
    /// An image that is somewhere else.
    Place(PerArch<Place>),
}

/// An image of a recipe in one of its variants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// The image.
    pub image: String,
    /// Its variant, where it has some.
    pub variant: Option<String>,
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}:{variant}", self.image),
            None => f.write_str(&self.image),
        }
    }
}

/// A place that holds an image. Paths are relative to the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A registry.
    Registry(Reference),
    /// `oci:DIR`: a layout.
    Oci(String),
    /// `oci-archive:FILE`: a layout in a tar.
    OciArchive(String),
    /// `docker-archive:FILE`: what `docker save` writes.
    DockerArchive(String),
    /// `archive:FILE`: a tar that is both.
    Archive(String),
}

/// What a place that is no reference starts with.
pub(super) const SCHEMES: [&str; 4] = ["oci", "oci-archive", "docker-archive", "archive"];

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Registry(reference) => reference.fmt(f),
            Place::Oci(path) => write!(f, "oci:{path}"),
            Place::OciArchive(path) => write!(f, "oci-archive:{path}"),
            Place::DockerArchive(path) => write!(f, "docker-archive:{path}"),
            Place::Archive(path) => write!(f, "archive:{path}"),
        }
    }
}

impl FromText for Place {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if let Some((scheme, path)) = text.split_once(':')
            && SCHEMES.contains(&scheme)
        {
            if path.is_empty() {
                return Err(Fault::new(format!("{} names no path", shown(text)), "expected a path after the colon"));
            }
            if path == "-" {
                return Err(Fault::new(
                    format!("{} is standard input", shown(text)),
                    "expected a path: a recipe is read more than once",
                ));
            }
            if holds_login(path) {
                return Err(with_login());
            }
            let path = path.to_owned();
            return Ok(match scheme {
                "oci" => Place::Oci(path),
                "oci-archive" => Place::OciArchive(path),
                "docker-archive" => Place::DockerArchive(path),
                _ => Place::Archive(path),
            });
        }
        reference(text).map(Place::Registry)
    }
}

fn with_login() -> Fault {
    Fault::new("a reference holds no user name and password", "expected `[registry/]repository[:tag][@sha256:…]`")
        .help("log in to the registry, or use `--authfile`")
        .secret()
}

/// A reference, or why it is none; credentials are never repeated.
pub(super) fn reference(text: &str) -> Result<Reference, Fault> {
    text.parse().map_err(|error| {
        let reason = match error {
            ReferenceError::Grammar { reason, .. } => reason,
            ReferenceError::Credentials => return with_login(),
        };
        let fault = Fault::new(
            format!("{} is no reference: {reason}", shown(text)),
            "expected `[registry/]repository[:tag][@sha256:…]`",
        );
        let safe = hide_credentials(text);
        let bare =
            ["https://", "http://", "docker://", "registry:"].iter().find_map(|scheme| safe.strip_prefix(scheme));
        match bare {
            Some(bare) => fault.help(format!("leave the scheme out: `\"{bare}\"`")),
            None if text.contains(char::is_uppercase) => fault.help("repositories are in lower case"),
            None => fault,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_what_stands_in_front() {
        for (text, shown) in [
            ("oci:base", "oci:base"),
            ("oci-archive:a/b.tar", "oci-archive:a/b.tar"),
            ("docker-archive:../x.tar", "docker-archive:../x.tar"),
            ("archive:x", "archive:x"),
            ("debian:13", "docker.io/library/debian:13"),
            ("r.example.com:5000/x", "r.example.com:5000/x"),
        ] {
            assert_eq!(Place::from_text(text).unwrap().to_string(), shown);
        }
        for bad in ["oci:", "archive:-", "docker://debian:13", "https://r.example.com/x", "Debian:13", "a:b:c", "x@y"] {
            assert!(Place::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in [
            "me:hunter2@r.example.com/x",
            "https://me:hunter2@r.example.com/x",
            "me:hunter2@r.example.com",
            "hunter2@r.example.com/x",
            "me:s@hunter2@r.example.com/x:1",
            "oci:me:hunter2@r.example.com/x",
            "archive:https://me:hunter2@r.example.com/x",
            "me:hunter2@cafe",
            "me:hunter2@node1:5000",
            "hunter2@localhost",
            "oci:me:hunter2@r.example.com/x:@0",
            "oci:me:@hunter2@h",
            "archive:me:@hunter2",
        ] {
            let fault = Place::from_text(text).unwrap_err();
            assert_eq!(fault.message, "a reference holds no user name and password", "{text}");
            assert!(!format!("{fault:?}").contains("hunter2"), "{text}");
        }
    }
}
