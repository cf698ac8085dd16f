//! One dependency (packaging specifications, "Dependency specifiers"; PEP 508).

use std::fmt;
use std::str::FromStr;

use pep440_rs::{Operator, Version, VersionSpecifiers};

use super::{Marker, MarkerError, PackageName};
use crate::shown::Shown;

/// A package that is asked for: `name[extra] == 1.0 ; marker`, or `name @ URL ; marker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package.
    pub name: PackageName,
    /// Extras of it, normalised, in the order given.
    pub extras: Vec<PackageName>,
    /// Which versions.
    pub versions: VersionSpecifiers,
    /// The URL, where it is asked for by one.
    pub url: Option<String>,
    /// When it is wanted.
    pub marker: Option<Marker>,
}

/// Why a text is no dependency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// The name.
    #[error("{0} does not start with the name of a package")]
    Name(Shown),
    /// The extras.
    #[error("the extras of {0} are no names in brackets, with commas between them")]
    Extras(Shown),
    /// The versions.
    #[error("the versions of {0} cannot be read: they are written like `>=1.0,<2` or `==1.2.3`")]
    Versions(Shown),
    /// The URL.
    #[error("{0} has no URL after its `@`")]
    Url(Shown),
    /// The marker.
    #[error("reading the condition of {requirement}")]
    Marker {
        /// The text.
        requirement: Shown,
        /// What is wrong.
        source: MarkerError,
    },
}

impl Requirement {
    /// The one version that fits, where it is pinned with `==` or `===` and nothing else.
    pub fn pinned(&self) -> Option<&Version> {
        let mut specifiers = self.versions.iter();
        let (first, None) = (specifiers.next()?, specifiers.next()) else { return None };
        matches!(first.operator(), Operator::Equal | Operator::ExactEqual).then(|| first.version())
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let shown = || Shown::new(text.as_bytes());
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(text.len());
        let name = text[..end].parse().map_err(|_| RequirementError::Name(shown()))?;
        let mut rest = text[end..].trim_start();
        let mut extras = Vec::new();
        if let Some(inner) = rest.strip_prefix('[') {
            let (list, after) = inner.split_once(']').ok_or_else(|| RequirementError::Extras(shown()))?;
            if !list.trim().is_empty() {
                for extra in list.split(',') {
                    extras.push(extra.trim().parse().map_err(|_| RequirementError::Extras(shown()))?);
                }
            }
            rest = after.trim_start();
        }
        // A URL may hold a semicolon: only one after a blank ends it.
        let (body, marker) = match rest.starts_with('@') {
            true => match rest.find(" ;").or_else(|| rest.find("\t;")) {
                Some(at) => (&rest[..at], Some(&rest[at + 2..])),
                None => (rest, None),
            },
            false => rest.split_once(';').map_or((rest, None), |(body, marker)| (body, Some(marker))),
        };
        let marker = marker
            .map(|marker| marker.parse().map_err(|source| RequirementError::Marker { requirement: shown(), source }))
            .transpose()?;
        let (versions, url) = match body.strip_prefix('@') {
            Some(url) => {
                let url = url.trim();
                let has_scheme = url.starts_with(|c: char| c.is_ascii_alphabetic()) && url.contains(":/");
                if !has_scheme || url.contains(char::is_whitespace) {
                    return Err(RequirementError::Url(shown()));
                }
                (VersionSpecifiers::empty(), Some(url.to_owned()))
            }
            None => {
                let body = body.trim();
                let body = match body.strip_prefix('(') {
                    Some(inner) => inner.strip_suffix(')').ok_or_else(|| RequirementError::Versions(shown()))?,
                    None => body,
                };
                let versions = match body.trim().is_empty() {
                    true => VersionSpecifiers::empty(),
                    false => body.parse().map_err(|_| RequirementError::Versions(shown()))?,
                };
                (versions, None)
            }
        };
        Ok(Requirement { name, extras, versions, url, marker })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.extras.is_empty() {
            let extras: Vec<&str> = self.extras.iter().map(PackageName::as_str).collect();
            write!(f, "[{}]", extras.join(","))?;
        }
        if let Some(url) = &self.url {
            write!(f, " @ {url}")?;
        }
        for (number, specifier) in self.versions.iter().enumerate() {
            write!(f, "{}{specifier}", if number > 0 { "," } else { "" })?;
        }
        match &self.marker {
            Some(marker) => write!(f, " ; {marker}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dependencies() {
        for (text, written, pinned) in [
            ("Flask", "flask", None),
            ("flask == 3.0.1", "flask==3.0.1", Some("3.0.1")),
            ("flask===3.0.1", "flask===3.0.1", Some("3.0.1")),
            ("flask==3.*", "flask==3.*", None),
            ("flask>=2,<4", "flask>=2,<4", None),
            ("flask (>=2)", "flask>=2", None),
            ("uvicorn [Standard, a_b]>0.1", "uvicorn[standard,a-b]>0.1", None),
            ("x[]==1", "x==1", Some("1")),
            ("x==1+cpu; python_version<'3'", "x==1+cpu ; python_version<'3'", Some("1+cpu")),
            ("x @ https://h/x-1.whl;y ; os_name=='a'", "x @ https://h/x-1.whl;y ; os_name=='a'", None),
            ("x@file:///x.whl", "x @ file:///x.whl", None),
        ] {
            let requirement: Requirement = text.parse().unwrap();
            assert_eq!(requirement.to_string(), written);
            assert_eq!(requirement.pinned().map(ToString::to_string).as_deref(), pinned, "{text}");
            assert_eq!(requirement.to_string().parse::<Requirement>().unwrap(), requirement);
        }
    }

    #[test]
    fn what_is_no_dependency() {
        for text in [
            "",
            "==1",
            "x=1",
            "x==",
            "x 1",
            "x[a",
            "x[a b]",
            "x[,]",
            "x@",
            "x @ a b",
            "x;",
            "x (>1",
            "-e .",
            "./x",
            "x==1 y==2",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "[a-c]{0,2}(\\[[ab, ]{0,3}\\])?[ @]?(==|>=|,|1|\\.|\\*|é){0,5}(; ?os_name=='a')?") {
            if let Ok(requirement) = text.parse::<Requirement>() {
                prop_assert_eq!(requirement.to_string().parse::<Requirement>().unwrap(), requirement);
            }
        }
    }
}
