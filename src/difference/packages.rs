//! Which packages there are, as Debian's and Python's tools leave them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::python::PackageName;
use crate::shown::bare;
use crate::tree::TreePath;

/// Whose packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Debian's.
    Debian,
    /// Python's.
    Python,
}

impl Kind {
    /// As the recipe calls it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Debian => "debian",
            Kind::Python => "python",
        }
    }
}

/// Packages, and their versions: several where one is there more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packages(BTreeMap<(Kind, String), BTreeSet<String>>);

/// A package that came, went, or has another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChange {
    /// Whose.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The version in the first; nothing where it has none.
    pub from: Option<String>,
    /// The version in the second.
    pub to: Option<String>,
}

impl fmt::Display for PackageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = bare(&self.name);
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{name} {} → {}", bare(from), bare(to)),
            (None, Some(to)) => write!(f, "{name} {} is new", bare(to)),
            (_, None) => write!(f, "{name} is gone"),
        }
    }
}

impl Packages {
    /// Takes in what a file says: dpkg's `status`, one of `status.d`, or the `METADATA` of a Python distribution (core
    /// metadata specification). Other files say nothing.
    pub fn note(&mut self, path: &TreePath, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let bytes = path.as_bytes();
        if bytes.ends_with(b".dist-info/METADATA") {
            // Fields end with the first empty line; what follows is a description.
            let head = text.split("\n\n").next().unwrap_or_default();
            if let (Some(name), Some(version)) = (field(head, "Name"), field(head, "Version")) {
                let name = name.parse::<PackageName>().map_or(name, |name| name.as_str().to_owned());
                self.0.entry((Kind::Python, name)).or_default().insert(version);
            }
        } else if bytes.starts_with(b"var/lib/dpkg/status") {
            for stanza in text.split("\n\n") {
                let (Some(name), Some(version)) = (field(stanza, "Package"), field(stanza, "Version")) else {
                    continue;
                };
                if field(stanza, "Status").is_none_or(|status| status.ends_with(" installed")) {
                    self.0.entry((Kind::Debian, name)).or_default().insert(version);
                }
            }
        }
    }

    /// Adds what another has.
    pub fn join(&mut self, other: &Packages) {
        for (key, versions) in &other.0 {
            self.0.entry(key.clone()).or_default().extend(versions.iter().cloned());
        }
    }

    /// Each with its version, in order; several versions with commas.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, String)> {
        self.0.iter().map(|((kind, name), versions)| (*kind, name.as_str(), joined(versions)))
    }

    /// The packages that a second has not, has instead, or has in another version.
    pub fn changes(&self, second: &Packages) -> Vec<PackageChange> {
        let keys: BTreeSet<_> = self.0.keys().chain(second.0.keys()).collect();
        let change = |key: &(Kind, String)| PackageChange {
            kind: key.0,
            name: key.1.clone(),
            from: self.0.get(key).map(joined),
            to: second.0.get(key).map(joined),
        };
        keys.into_iter().map(change).filter(|change| change.from != change.to).collect()
    }
}

fn joined(versions: &BTreeSet<String>) -> String {
    versions.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn field(stanza: &str, name: &str) -> Option<String> {
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
    stanza.lines().find_map(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(files: &[(&str, &str)]) -> Packages {
        let mut packages = Packages::default();
        for (path, text) in files {
            packages.note(&TreePath::parse(path).unwrap(), text.as_bytes());
        }
        packages
    }

    fn listed(packages: &Packages) -> Vec<String> {
        packages.iter().map(|(kind, name, version)| format!("{} {name} {version}", kind.word())).collect()
    }

    #[test]
    fn packages_are_read_from_what_they_leave() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 2\n\n";
        let found = packages(&[
            ("var/lib/dpkg/status", status),
            ("var/lib/dpkg/status.d/c", "Package: c\nVersion: 1:3-1\n"),
            (
                "site/Six_X-1.17.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: Six_X\nVersion: 1.17.0\n\nName: other\n",
            ),
            ("venv/six_x-1.16.0.dist-info/METADATA", "Name: six-x\nVersion: 1.16.0\n"),
            ("site/none.dist-info/METADATA", "Name: none\n"),
            ("app/METADATA", "Name: no\nVersion: 1\n"),
        ]);
        assert_eq!(listed(&found), ["debian a 1", "debian c 1:3-1", "python six-x 1.16.0, 1.17.0"]);
    }

    #[test]
    fn versions_that_differ_are_told() {
        let of = |version: &str| packages(&[("var/lib/dpkg/status", &format!("Package: a\nVersion: {version}\n"))]);
        let told = |changes: Vec<PackageChange>| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(of("1").changes(&of("2"))), ["a 1 → 2"]);
        assert_eq!(told(Packages::default().changes(&of("2"))), ["a 2 is new"]);
        assert_eq!(told(of("1").changes(&Packages::default())), ["a is gone"]);
        assert!(of("1").changes(&of("1")).is_empty());
    }
}
