//! What layers hold, down to the digests of contents, and in what two of them differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};

use crate::base::MAX_LAYER;
use crate::compress::Decoder;
use crate::oci::{Descriptor, Digest, Hasher};
use crate::place::{BlobSource, SourceError};
use crate::shown::Shown;
use crate::tar::{Member, MemberKind, ReadError, Reader};
use crate::tree::{Capabilities, Owner, TreePath};

/// The most bytes of a package database that are read.
const MAX_DATABASE: u64 = 32 << 20;

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// Its blob is not to be had.
    #[error(transparent)]
    Blob(#[from] SourceError),
    /// Its bytes cannot be read, or are not what its digest says.
    #[error("reading layer {digest}")]
    Bytes {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// It is no archive that is read.
    #[error("layer {digest} is refused")]
    Tar {
        /// The blob.
        digest: Digest,
        /// Why.
        source: ReadError,
    },
    /// It is compressed in a way that nobody knows.
    #[error("layer {digest} has the media type {media_type}, which is not one of a layer")]
    MediaType {
        /// The blob.
        digest: Digest,
        /// What it says.
        media_type: String,
    },
}

/// What a layer holds, or several that are parts of one.
#[derive(Default)]
pub(super) struct Contents {
    entries: BTreeMap<TreePath, Entry>,
    packages: BTreeMap<(Kind, String), String>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    what: What,
    mode: u32,
    owner: Owner,
    capabilities: Option<Capabilities>,
}

#[derive(Clone, PartialEq, Eq)]
enum What {
    File(Digest),
    Directory,
    Symlink(Box<[u8]>),
    Hardlink(TreePath),
    Special,
}

impl What {
    fn word(&self) -> &'static str {
        match self {
            What::File(_) => "file",
            What::Directory => "directory",
            What::Symlink(_) => "symlink",
            What::Hardlink(_) => "hard link",
            What::Special => "special file",
        }
    }
}

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

/// A package that came, went, or has another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChange {
    /// Whose.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The version before; nothing where there was none.
    pub from: Option<String>,
    /// The version now.
    pub to: Option<String>,
}

impl fmt::Display for PackageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = clean(&self.name);
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{name} {} → {}", clean(from), clean(to)),
            (None, Some(to)) => write!(f, "{name} {} is new", clean(to)),
            (_, None) => write!(f, "{name} is gone"),
        }
    }
}

/// A path that came, went, or is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The path, without a slash in front.
    pub path: String,
    /// What became of it.
    pub what: FileFate,
}

/// What became of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFate {
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// It is another: `contents`, `mode 0644 → 0755` and the like.
    Changed(Vec<String>),
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileChange { path, what } = self;
        match what {
            FileFate::New => write!(f, "{path} is new"),
            FileFate::Gone => write!(f, "{path} is gone"),
            FileFate::Changed(how) if how[..] == ["contents"] => write!(f, "{path} changed"),
            FileFate::Changed(how) => write!(f, "{path} changed ({})", how.join(", ")),
        }
    }
}

/// A foreign text on one line, with nothing in it that a terminal would obey.
fn clean(text: &str) -> String {
    Shown::new(text.as_bytes()).as_str().trim_matches('`').to_owned()
}

impl Contents {
    /// Adds what a layer holds: reads all of it, and checks its digest.
    pub(super) fn add(&mut self, descriptor: &Descriptor, bytes: &dyn BlobSource) -> Result<(), ContentsError> {
        let digest = descriptor.digest;
        let compression = descriptor
            .media_type
            .compression()
            .ok_or_else(|| ContentsError::MediaType { digest, media_type: descriptor.media_type.to_string() })?;
        let failed = |source| ContentsError::Bytes { digest, source };
        let refused = |source| ContentsError::Tar { digest, source };
        let blob = bytes.blob(descriptor)?.open().map_err(|error| failed(error.into()))?;
        let mut reader = Reader::new(Decoder::new(blob, compression).limited(MAX_LAYER));
        while let Some(member) = reader.next_member().map_err(refused)? {
            let mut data = Vec::new();
            let what = match &member.kind {
                MemberKind::File if is_database(&member.path) && member.size <= MAX_DATABASE => {
                    reader.data().read_to_end(&mut data).map_err(failed)?;
                    What::File(Digest::of(&data))
                }
                MemberKind::File => {
                    let mut hasher = Hasher::new();
                    io::copy(&mut reader.data(), &mut hasher).map_err(failed)?;
                    What::File(hasher.finish())
                }
                MemberKind::Directory => What::Directory,
                MemberKind::Symlink(target) => What::Symlink(target.clone()),
                MemberKind::Hardlink(target) => What::Hardlink(target.clone()),
                MemberKind::Special => What::Special,
            };
            self.note_packages(&member.path, &data);
            let Member { path, mode, owner, capabilities, .. } = member;
            self.entries.insert(path, Entry { what, mode, owner, capabilities });
        }
        // Reading to the very end is what makes the blob's own digest known.
        let mut rest = reader.finish().map_err(refused)?;
        io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
        Ok(())
    }

    fn note_packages(&mut self, path: &TreePath, data: &[u8]) {
        if is_database(path) {
            let found = installed(&String::from_utf8_lossy(data));
            self.packages.extend(found.into_iter().map(|(name, version)| ((Kind::Debian, name), version)));
        }
        if path.file_name() == Some(&b"METADATA"[..])
            && let Some((name, version)) = path.parent().as_ref().and_then(distribution)
        {
            self.packages.insert((Kind::Python, name), version);
        }
    }

    /// Adds what another holds.
    pub(super) fn join(&mut self, other: &Contents) {
        self.entries.extend(other.entries.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        self.packages.extend(other.packages.iter().map(|(key, version)| (key.clone(), version.clone())));
    }

    pub(super) fn has(&self, path: &TreePath) -> bool {
        self.entries.contains_key(path)
    }

    /// The packages that came, went, or have another version.
    pub(super) fn packages_since(&self, before: &Contents) -> Vec<PackageChange> {
        let keys: BTreeSet<_> = before.packages.keys().chain(self.packages.keys()).collect();
        let change = |key: &(Kind, String)| PackageChange {
            kind: key.0,
            name: key.1.clone(),
            from: before.packages.get(key).cloned(),
            to: self.packages.get(key).cloned(),
        };
        keys.into_iter().map(change).filter(|change| change.from != change.to).collect()
    }

    /// The paths that came, went, or are others, in byte order. A directory that came or went for what is in it is not told;
    /// nor is any where `in_parts`: other parts have their parents too.
    pub(super) fn since(&self, before: &Contents, in_parts: bool) -> Vec<(TreePath, FileChange)> {
        let mut paths: BTreeMap<&TreePath, (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
        for (path, entry) in &before.entries {
            paths.entry(path).or_default().0 = Some(entry);
        }
        for (path, entry) in &self.entries {
            paths.entry(path).or_default().1 = Some(entry);
        }
        paths.retain(|_, (before, now)| before != now);
        let is_directory = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.what == What::Directory);
        let mut found = Vec::new();
        let mut covered: BTreeSet<TreePath> = BTreeSet::new();
        for (path, (before, now)) in paths.iter().rev() {
            let one_sided = before.is_none() || now.is_none();
            if one_sided && is_directory(before.or(*now)) && (in_parts || covered.contains(*path)) {
                continue;
            }
            covered.extend(path.ancestors());
            let what = match (before, now) {
                (Some(before), Some(now)) => FileFate::Changed(differences(before, now)),
                (None, _) => FileFate::New,
                (_, None) => FileFate::Gone,
            };
            found.push(((*path).clone(), FileChange { path: clean(&String::from_utf8_lossy(path.as_bytes())), what }));
        }
        found.reverse();
        found
    }
}

fn differences(before: &Entry, now: &Entry) -> Vec<String> {
    let mut found = Vec::new();
    match (&before.what, &now.what) {
        (before, now) if before == now => {}
        (What::File(_), What::File(_)) => found.push("contents".to_owned()),
        (What::Symlink(_), What::Symlink(_)) | (What::Hardlink(_), What::Hardlink(_)) => {
            found.push("target".to_owned());
        }
        (before, now) => found.push(format!("{} → {}", before.word(), now.word())),
    }
    if before.mode != now.mode {
        found.push(format!("mode {:04o} → {:04o}", before.mode, now.mode));
    }
    if before.owner != now.owner {
        found.push(format!("owner {} → {}", before.owner, now.owner));
    }
    if before.capabilities != now.capabilities {
        found.push("capabilities".to_owned());
    }
    found
}

fn is_database(path: &TreePath) -> bool {
    let path = path.as_bytes();
    path == b"var/lib/dpkg/status" || (path.starts_with(b"var/lib/dpkg/status.d/") && !path.ends_with(b".md5sums"))
}

/// The packages that a dpkg database says are installed.
fn installed(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
            stanza.lines().find_map(value)
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        if field("Status").is_none_or(|status| status.ends_with(" installed")) {
            found.insert(name, version);
        }
    }
    found
}

/// Name and version of the Python distribution whose metadata lie in that directory.
fn distribution(directory: &TreePath) -> Option<(String, String)> {
    let name = std::str::from_utf8(directory.file_name()?).ok()?;
    let (name, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn contents(entries: &[(&str, What, u32)]) -> Contents {
        let entry = |(name, what, mode): &(&str, What, u32)| {
            (path(name), Entry { what: what.clone(), mode: *mode, owner: Owner::ROOT, capabilities: None })
        };
        Contents { entries: entries.iter().map(entry).collect(), packages: BTreeMap::new() }
    }

    fn file(text: &str) -> What {
        What::File(Digest::of(text.as_bytes()))
    }

    #[test]
    fn paths_that_came_went_or_changed_are_told_and_their_directories_are_not() {
        let before = contents(&[
            ("app", What::Directory, 0o755),
            ("app/a", file("a"), 0o644),
            ("app/b", file("b"), 0o644),
            ("app/c", file("c"), 0o644),
            ("old", What::Directory, 0o755),
            ("old/x", file("x"), 0o644),
        ]);
        let now = contents(&[
            ("app", What::Directory, 0o750),
            ("app/a", file("other"), 0o644),
            ("app/b", file("b"), 0o755),
            ("app/c", What::Symlink((*b"b").into()), 0o777),
            ("empty", What::Directory, 0o755),
            ("new", What::Directory, 0o755),
            ("new-x", file("x"), 0o644),
            ("new/y", file("y"), 0o644),
        ]);
        let told: Vec<String> = now.since(&before, false).iter().map(|(_, change)| change.to_string()).collect();
        assert_eq!(
            told,
            [
                "app changed (mode 0755 → 0750)",
                "app/a changed",
                "app/b changed (mode 0644 → 0755)",
                "app/c changed (file → symlink, mode 0644 → 0777)",
                "empty is new",
                "new-x is new",
                "new/y is new",
                "old/x is gone",
            ]
        );
        assert!(now.since(&now, false).is_empty());
    }

    #[test]
    fn packages_are_read_from_what_they_leave() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 2\n\nPackage: c\nVersion: 1:3-1\n";
        let found = installed(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found["a"].as_str(), found["c"].as_str()), ("1", "1:3-1"));
        let six = distribution(&path("site/six-1.17.0.dist-info"));
        assert_eq!(six, Some(("six".to_owned(), "1.17.0".to_owned())));
        assert_eq!(distribution(&path("site/six")), None);
        let of = |version: &str| Contents {
            packages: BTreeMap::from([((Kind::Debian, "a".to_owned()), version.to_owned())]),
            ..Contents::default()
        };
        let told = |changes: Vec<PackageChange>| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(of("2").packages_since(&of("1"))), ["a 1 → 2"]);
        assert_eq!(told(of("2").packages_since(&Contents::default())), ["a 2 is new"]);
        assert_eq!(told(Contents::default().packages_since(&of("1"))), ["a is gone"]);
        assert!(of("1").packages_since(&of("1")).is_empty());
    }
}
