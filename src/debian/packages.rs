//! `Packages` indexes: what an archive offers for one architecture, in a compact form.
//!
//! An index of Debian's main archive has 68,000 stanzas and 55 MB; what a resolver needs of it is a third of that, held in
//! one text with numbers that point into it.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::str::FromStr;

use super::control::{ControlError, Stanza, StanzaReader};
use super::dependency::{is_architecture, is_package_name};
use super::version::{self, Version};
use crate::oci::Digest;
use crate::shown::Shown;
use crate::tree::TreePath;

/// How much a package matters, from the most to the least (Policy 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`, and what says nothing
    Optional,
    /// `extra`
    Extra,
}

/// What a package may do for other architectures (Multi-Arch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiArch {
    /// `no`, and what says nothing
    No,
    /// `same`
    Same,
    /// `foreign`
    Foreign,
    /// `allowed`
    Allowed,
}

impl MultiArch {
    /// By the field's value.
    pub fn of(value: Option<&str>) -> Self {
        match value {
            Some("same") => MultiArch::Same,
            Some("foreign") => MultiArch::Foreign,
            Some("allowed") => MultiArch::Allowed,
            _ => MultiArch::No,
        }
    }
}

/// The fields that hold text.
#[derive(Clone, Copy)]
enum Text {
    Name,
    Version,
    Architecture,
    Source,
    PreDepends,
    Depends,
    Recommends,
    Conflicts,
    Breaks,
    Replaces,
    Provides,
    Filename,
}

/// Fields in the order of [`Text`].
const TEXTS: [&str; 12] = [
    "Package",
    "Version",
    "Architecture",
    "Source",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
    "Filename",
];

#[derive(Clone, Debug)]
struct Record {
    texts: [(u32, u32); TEXTS.len()],
    size: u64,
    installed_kib: u64,
    sha256: Option<Digest>,
    essential: bool,
    priority: Priority,
    multi_arch: MultiArch,
}

/// What one index, or a root's database, says.
#[derive(Clone, Debug, Default)]
pub struct Packages {
    text: String,
    records: Vec<Record>,
    names: BTreeMap<Box<str>, Vec<u32>>,
    providers: BTreeMap<Box<str>, Vec<u32>>,
}

/// One package of an index.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    index: &'a Packages,
    record: &'a Record,
    number: u32,
}

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// Its stanzas are wrong.
    #[error("the package index is refused")]
    Control(#[from] ControlError),
    /// A package in it is wrong.
    #[error("the package index is refused: package {package}")]
    Package {
        /// Its name.
        package: Shown,
        /// What is wrong.
        source: ControlError,
    },
    /// More than can be held.
    #[error("the package index has more than 1,000,000 packages or 1 GiB of text")]
    TooMany,
}

impl Packages {
    /// Reads an index of an archive: file name, size and SHA-256 must be there.
    ///
    /// # Errors
    /// [`PackagesError`].
    pub fn read(input: impl BufRead) -> Result<Self, PackagesError> {
        let mut packages = Packages::default();
        let mut reader = StanzaReader::new(input);
        while let Some(stanza) = reader.next_stanza()? {
            packages.add(&stanza, true).map_err(|source| named(&stanza, source))?;
            packages.bounded()?;
        }
        Ok(packages)
    }

    /// Reads the database of a root: packages that are installed. Others (removed, half-configured) are passed over.
    ///
    /// # Errors
    /// [`PackagesError`].
    pub fn read_installed(input: impl BufRead) -> Result<Self, PackagesError> {
        let mut packages = Packages::default();
        let mut reader = StanzaReader::new(input);
        while let Some(stanza) = reader.next_stanza()? {
            // A stanza of `status.d` has no such field.
            let status = stanza.get("Status").unwrap_or("install ok installed");
            if matches!(
                status.split_whitespace().next_back(),
                Some("installed" | "triggers-pending" | "triggers-awaited")
            ) {
                packages.add(&stanza, false).map_err(|source| named(&stanza, source))?;
                packages.bounded()?;
            }
        }
        Ok(packages)
    }

    /// Adds the package of a `.deb` that lies beside the recipe.
    ///
    /// # Errors
    /// [`PackagesError`].
    pub fn add_local(&mut self, control: &Stanza, size: u64, sha256: Digest) -> Result<(), PackagesError> {
        self.add(control, false).map_err(|source| named(control, source))?;
        if let Some(record) = self.records.last_mut() {
            record.size = size;
            record.sha256 = Some(sha256);
        }
        self.bounded()
    }

    /// All packages, as they stand in the index.
    pub fn iter(&self) -> impl Iterator<Item = Package<'_>> {
        (0..self.records.len() as u32).map(|number| self.at(number))
    }

    /// Number of packages.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The packages of that name, in all versions that the index has.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        self.names.get(name).into_iter().flatten().map(|number| self.at(*number))
    }

    /// The packages that provide that name.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        self.providers.get(name).into_iter().flatten().map(|number| self.at(*number))
    }

    /// What these packages are, whatever their order; `None` where there is none.
    pub fn digest(&self) -> Option<Digest> {
        let mut lines: Vec<String> = self
            .iter()
            .map(|package| format!("{} {} {}\n", package.name(), package.version_text(), package.architecture()))
            .collect();
        lines.sort();
        (!lines.is_empty()).then(|| Digest::of(lines.concat().as_bytes()))
    }

    fn at(&self, number: u32) -> Package<'_> {
        Package { index: self, record: &self.records[number as usize], number }
    }

    fn bounded(&self) -> Result<(), PackagesError> {
        match self.records.len() <= 1_000_000 && self.text.len() <= 1 << 30 {
            true => Ok(()),
            false => Err(PackagesError::TooMany),
        }
    }

    fn add(&mut self, stanza: &Stanza, archive: bool) -> Result<(), ControlError> {
        let value = |field: &'static str, reason: String| ControlError::Value {
            field,
            value: Shown::new(stanza.get(field).unwrap_or_default().as_bytes()),
            reason,
        };
        let name = stanza.require("Package")?;
        if !is_package_name(name) {
            return Err(value("Package", "no name of a package".to_owned()));
        }
        Version::from_str(stanza.require("Version")?).map_err(|error| value("Version", error.to_string()))?;
        if !is_architecture(stanza.require("Architecture")?) {
            return Err(value("Architecture", "no name of an architecture".to_owned()));
        }
        let number = |field: &'static str| match stanza.get(field) {
            None => Ok(0),
            Some(text) => text.parse::<u64>().map_err(|_| value(field, "no number".to_owned())),
        };
        let mut sha256 = None;
        if archive {
            let digest = format!("sha256:{}", stanza.require("SHA256")?);
            sha256 = Some(digest.parse().map_err(|_| value("SHA256", "no SHA-256".to_owned()))?);
            stanza.require("Size")?;
            let filename = stanza.require("Filename")?;
            let clean = TreePath::parse(filename).map_err(|error| value("Filename", error.to_string()))?;
            let plain = filename.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
            let clean = clean.as_bytes() == filename.strip_prefix("./").unwrap_or(filename).as_bytes();
            if !plain || !clean {
                return Err(value("Filename", "no relative path of plain characters".to_owned()));
            }
        }
        let priority = match stanza.get("Priority") {
            Some("required") => Priority::Required,
            Some("important") => Priority::Important,
            Some("standard") => Priority::Standard,
            Some("extra") => Priority::Extra,
            _ => Priority::Optional,
        };
        let record = Record {
            texts: TEXTS.map(|field| {
                let from = self.text.len() as u32;
                self.text.push_str(stanza.get(field).unwrap_or_default());
                (from, self.text.len() as u32)
            }),
            size: if archive { number("Size")? } else { 0 },
            installed_kib: number("Installed-Size").unwrap_or(0),
            sha256,
            essential: stanza.get("Essential") == Some("yes"),
            priority,
            multi_arch: MultiArch::of(stanza.get("Multi-Arch")),
        };
        let at = self.records.len() as u32;
        self.names.entry(name.into()).or_default().push(at);
        self.records.push(record);
        for provided in stanza.get("Provides").unwrap_or_default().split(',') {
            // The name is enough to be found by; the rest is read when it matters.
            let name = provided.trim().split(|c: char| c.is_whitespace() || c == '(' || c == ':').next();
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                let name: Box<str> = name.into();
                let list = self.providers.entry(name).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
        Ok(())
    }
}

fn named(stanza: &Stanza, source: ControlError) -> PackagesError {
    PackagesError::Package { package: Shown::new(stanza.get("Package").unwrap_or_default().as_bytes()), source }
}

impl<'a> Package<'a> {
    fn text(self, which: Text) -> &'a str {
        let (from, to) = self.record.texts[which as usize];
        self.index.text.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        self.text(Text::Name)
    }

    /// Its version, as written.
    pub fn version_text(self) -> &'a str {
        self.text(Text::Version)
    }

    /// Its version.
    pub fn version(self) -> Option<Version> {
        self.version_text().parse().ok()
    }

    /// Its architecture, or `all`.
    pub fn architecture(self) -> &'a str {
        self.text(Text::Architecture)
    }

    /// Name of its source package.
    pub fn source(self) -> &'a str {
        let source = self.text(Text::Source);
        let name = source.split_whitespace().next().unwrap_or_default();
        if name.is_empty() { self.name() } else { name }
    }

    /// `Pre-Depends`, as written.
    pub fn pre_depends(self) -> &'a str {
        self.text(Text::PreDepends)
    }

    /// `Depends`, as written.
    pub fn depends(self) -> &'a str {
        self.text(Text::Depends)
    }

    /// `Recommends`, as written.
    pub fn recommends(self) -> &'a str {
        self.text(Text::Recommends)
    }

    /// `Conflicts`, as written.
    pub fn conflicts(self) -> &'a str {
        self.text(Text::Conflicts)
    }

    /// `Breaks`, as written.
    pub fn breaks(self) -> &'a str {
        self.text(Text::Breaks)
    }

    /// `Replaces`, as written.
    pub fn replaces(self) -> &'a str {
        self.text(Text::Replaces)
    }

    /// `Provides`, as written.
    pub fn provides(self) -> &'a str {
        self.text(Text::Provides)
    }

    /// Its file's path, relative to the archive's root; empty for what is installed or local.
    pub fn filename(self) -> &'a str {
        let filename = self.text(Text::Filename);
        filename.strip_prefix("./").unwrap_or(filename)
    }

    /// Its file's length in bytes.
    pub fn size(self) -> u64 {
        self.record.size
    }

    /// What it takes on disk, in KiB, as its maker says.
    pub fn installed_kib(self) -> u64 {
        self.record.installed_kib
    }

    /// Its file's digest; `None` for what is installed.
    pub fn sha256(self) -> Option<Digest> {
        self.record.sha256
    }

    /// Whether every Debian system has it.
    pub fn essential(self) -> bool {
        self.record.essential
    }

    /// How much it matters.
    pub fn priority(self) -> Priority {
        self.record.priority
    }

    /// What it may do for other architectures.
    pub fn multi_arch(self) -> MultiArch {
        self.record.multi_arch
    }

    /// Its number in the index.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Whether its version is later than another's.
    pub fn later_than(self, other: Package<'_>) -> bool {
        version::compare(self.version_text(), other.version_text()).is_gt()
    }
}

impl std::fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name(), self.version_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(extra: &str) -> String {
        format!(
            "Package: a\nVersion: 1:2-3\nArchitecture: amd64\nSize: 10\nFilename: pool/a.deb\nSHA256: {}\n{extra}",
            "0f".repeat(32)
        )
    }

    #[test]
    fn what_a_resolver_needs_is_kept() {
        let text = stanza("Provides: v (= 2), w:any,\n x\nEssential: yes\nPriority: required\nMulti-Arch: same\n");
        let packages = Packages::read(text.as_bytes()).unwrap();
        let package = packages.named("a").next().unwrap();
        assert_eq!((package.version_text(), package.filename(), package.size()), ("1:2-3", "pool/a.deb", 10));
        assert_eq!((package.essential(), package.priority()), (true, Priority::Required));
        for provided in ["v", "w", "x"] {
            assert_eq!(packages.providers(provided).count(), 1, "{provided}");
        }
        assert_eq!(package.source(), "a");
        assert_eq!(packages.named("b").count(), 0);
    }

    #[test]
    fn hostile_stanzas_are_refused() {
        let good = stanza("");
        for (from, to) in [
            ("Package: a", "Package: ../a"),
            ("Version: 1:2-3", "Version: 1/2"),
            ("Architecture: amd64", "Architecture: ../x"),
            ("Filename: pool/a.deb", "Filename: ../a.deb"),
            ("Filename: pool/a.deb", "Filename: /pool/a.deb"),
            ("Filename: pool/a.deb", "Filename: pool//a.deb"),
            ("Filename: pool/a.deb", "Filename: http://x/a.deb?y"),
            ("Filename: pool/a.deb", "Filename: pool/a b.deb"),
            ("Size: 10", "Size: -1"),
            ("Size: 10", "Size: 99999999999999999999"),
            ("SHA256: 0f", "SHA256: 0g"),
            ("SHA256", "MD5sum"),
        ] {
            let bad = good.replace(from, to);
            assert!(Packages::read(bad.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn only_what_is_installed_counts() {
        let one =
            |name: &str, status: &str| format!("Package: {name}\nStatus: {status}\nVersion: 1\nArchitecture: all\n\n");
        let text = [
            one("a", "install ok installed"),
            one("b", "deinstall ok config-files"),
            one("c", "hold ok installed"),
            one("d", "install ok triggers-pending"),
            one("e", "install reinstreq half-installed"),
        ];
        let packages = Packages::read_installed(text.concat().as_bytes()).unwrap();
        assert_eq!(packages.iter().map(Package::name).collect::<Vec<_>>(), ["a", "c", "d"]);
    }
}
