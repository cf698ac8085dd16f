//! Relations between packages: `Depends`, `Conflicts`, `Provides` and their like (Policy 7.1).

use std::cmp::Ordering;
use std::fmt;

use super::version::Version;
use crate::shown::Shown;

/// How a version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relation {
    /// Whether that order fits.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Relation::Earlier => order == Ordering::Less,
            Relation::EarlierOrEqual => order != Ordering::Greater,
            Relation::Equal => order == Ordering::Equal,
            Relation::LaterOrEqual => order != Ordering::Less,
            Relation::Later => order == Ordering::Greater,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Relation::Earlier => "<<",
            Relation::EarlierOrEqual => "<=",
            Relation::Equal => "=",
            Relation::LaterOrEqual => ">=",
            Relation::Later => ">>",
        }
    }
}

/// One alternative: a package by name, perhaps of an architecture, perhaps with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// Name of the package, real or virtual.
    pub name: Box<str>,
    /// What follows the colon: `any`, `native` or an architecture.
    pub architecture: Option<Box<str>>,
    /// What its version must be.
    pub version: Option<(Relation, Version)>,
}

/// A dependency: one of the alternatives is enough, the first is liked best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// At least one.
    pub alternatives: Vec<Atom>,
}

/// Why a text is no relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("relation {text} is refused: {reason}")]
pub struct RelationError {
    text: Shown,
    reason: String,
}

/// Whether this may be the name of a package. It then is a file name of at most 100 bytes, too.
pub fn is_package_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    (1..=100).contains(&name.len())
        && name.bytes().all(fine)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// Whether this may be the name of an architecture.
pub fn is_architecture(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(fine) && !name.starts_with('-')
}

/// Reads a list of dependencies.
///
/// # Errors
/// [`RelationError`]; restrictions by architecture or profile, which only source packages may have, are refused.
pub fn parse_dependencies(text: &str) -> Result<Vec<Dependency>, RelationError> {
    items(text)
        .map(|item| Ok(Dependency { alternatives: item.split('|').map(parse_atom).collect::<Result<_, _>>()? }))
        .collect()
}

/// Reads a list without alternatives: `Conflicts`, `Breaks`, `Replaces`, `Provides`.
///
/// # Errors
/// [`RelationError`].
pub fn parse_atoms(text: &str) -> Result<Vec<Atom>, RelationError> {
    items(text).map(parse_atom).collect()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn parse_atom(text: &str) -> Result<Atom, RelationError> {
    let text = text.trim();
    let wrong = |reason: &str| RelationError { text: Shown::new(text.as_bytes()), reason: reason.to_owned() };
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '(').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (name, architecture) =
        name.split_once(':').map_or((name, None), |(name, architecture)| (name, Some(architecture)));
    if !is_package_name(name) {
        return Err(wrong("no package name"));
    }
    if architecture.is_some_and(|architecture| !is_architecture(architecture)) {
        return Err(wrong("no architecture after the colon"));
    }
    let rest = rest.trim();
    let version = match rest.strip_prefix('(').map(|rest| rest.strip_suffix(')')) {
        None if rest.is_empty() => None,
        Some(Some(inner)) => {
            let inner = inner.trim();
            let end = inner.find(|c| !"<>=".contains(c)).unwrap_or(inner.len());
            let (operator, version) = inner.split_at(end);
            let relation = match operator {
                "<<" => Relation::Earlier,
                // The single signs are from before 1997, and meant this.
                "<=" | "<" => Relation::EarlierOrEqual,
                "=" | "" => Relation::Equal,
                ">=" | ">" => Relation::LaterOrEqual,
                ">>" => Relation::Later,
                _ => return Err(wrong("no operator")),
            };
            let version = version.trim().parse::<Version>().map_err(|error| wrong(&error.to_string()))?;
            Some((relation, version))
        }
        _ => return Err(wrong("something follows the name that is no version")),
    };
    Ok(Atom { name: name.into(), architecture: architecture.map(Into::into), version })
}

impl Atom {
    /// A package of any version.
    pub fn named(name: &str) -> Self {
        Atom { name: name.into(), architecture: None, version: None }
    }

    /// Whether a package of that name in that version fits.
    pub fn admits(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|(relation, wanted)| relation.holds(version.cmp(wanted)))
    }

    /// Whether a package that provides this name, perhaps with a version, fits: without one, only where none is asked for.
    pub fn admits_provided(&self, version: Option<&Version>) -> bool {
        match (&self.version, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((relation, wanted)), Some(version)) => relation.holds(version.cmp(wanted)),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        if let Some((relation, version)) = &self.version {
            write!(f, " ({} {version})", relation.word())?;
        }
        Ok(())
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, alternative) in self.alternatives.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{alternative}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_round_trip() {
        for text in ["libc6 (>= 2.36)", "a | b:any (<< 1:2-3) | c:amd64", "awk", "x (= 1)", "y (>> 1~)", "z (<= 2)"] {
            let parsed = parse_dependencies(text).unwrap();
            assert_eq!(parsed.len(), 1);
            assert_eq!(parsed[0].to_string(), text);
        }
        assert_eq!(parse_dependencies(" a(>=1) ,, b|c,\n d,").unwrap().len(), 3);
        assert_eq!(parse_atoms("a (< 1)").unwrap()[0].to_string(), "a (<= 1)");
    }

    #[test]
    fn wrong_relations_are_refused() {
        for bad in [
            "a [amd64]",
            "a <!nocheck>",
            "a (>= )",
            "a (>= 1",
            "a >= 1",
            "../a",
            "a:",
            "a |",
            "${misc:Depends}",
            "-a",
            "a (!= 1)",
        ] {
            assert!(parse_dependencies(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn provided_versions() {
        let atom = |text: &str| parse_atoms(text).unwrap().remove(0);
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(atom("v").admits_provided(None));
        assert!(!atom("v (>= 1)").admits_provided(None));
        assert!(atom("v (>= 1)").admits_provided(Some(&version("2"))));
        assert!(!atom("v (>= 3)").admits_provided(Some(&version("2"))));
    }
}
