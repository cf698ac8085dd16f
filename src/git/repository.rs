//! Where a checkout keeps its references and objects (git's `gitrepository-layout.txt`), and what its head is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::object::{self, Kind, Objects, read_bounded};
use super::reftable::{self, Value};
use super::{GitError, shown};

/// A checkout's directories.
#[derive(Debug)]
pub(super) struct Repository {
    /// Where the files are.
    work: PathBuf,
    /// Of this working tree: `HEAD` is here.
    git: PathBuf,
    /// Of all working trees: references and objects.
    common: PathBuf,
    objects: Objects,
    /// The references, where they are in tables.
    tables: Option<BTreeMap<String, Value>>,
}

/// What is checked out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A branch, by its name.
    Branch(String),
    /// A commit, by its id.
    Detached(String),
}

/// No file that holds one reference is longer.
const MAX_SMALL: u64 = 64 << 10;
const MAX_PACKED: u64 = 256 << 20;
const MAX_TAGS: usize = 100_000;

impl Repository {
    /// The checkout that a directory is in: the nearest `.git` at or above it.
    pub(super) fn discover(directory: &Path) -> Result<Self, GitError> {
        let absent = || GitError::NoCheckout { directory: shown(directory) };
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        let start = fs::canonicalize(directory).map_err(|error| GitError::read(directory, error))?;
        for directory in start.ancestors() {
            let path = directory.join(".git");
            let git = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => path,
                Ok(metadata) if metadata.is_file() => {
                    let text = small(&path)?;
                    let target = text.strip_prefix("gitdir:").map(str::trim);
                    directory
                        .join(target.ok_or_else(|| GitError::malformed(&path, "it does not start with `gitdir:`"))?)
                }
                _ => continue,
            };
            if !git.join("HEAD").is_file() {
                continue;
            }
            let common = match small(&git.join("commondir")) {
                Ok(text) => git.join(text.trim()),
                Err(GitError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => git.clone(),
                Err(error) => return Err(error),
            };
            let mut tables = reftable::read(&common.join("reftable"))?;
            if common != git
                && let Some(all) = &mut tables
            {
                // A working tree of its own keeps only its own references apart: its head.
                all.remove("HEAD");
                all.extend(reftable::read(&git.join("reftable"))?.unwrap_or_default());
            }
            let objects = Objects::new(common.join("objects"));
            return Ok(Repository { work: directory.to_owned(), git, common, objects, tables });
        }
        Err(absent())
    }

    /// The directory that the files are in.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// The directory of this working tree's own `HEAD` and index.
    pub(super) fn git(&self) -> &Path {
        &self.git
    }

    /// The directory of what all working trees share.
    pub(super) fn common(&self) -> &Path {
        &self.common
    }

    /// What is checked out.
    pub(super) fn head(&self) -> Result<Head, GitError> {
        let text = match &self.tables {
            Some(tables) => match tables.get("HEAD") {
                Some(Value::Symbolic(target)) => format!("ref: {target}"),
                Some(Value::Object { id, .. }) => id.clone(),
                _ => return Err(GitError::malformed(&self.git.join("reftable"), "it has no `HEAD`")),
            },
            None => small(&self.git.join("HEAD"))?,
        };
        let text = text.trim();
        if let Some(target) = text.strip_prefix("ref:") {
            let target = target.trim();
            return Ok(match target.strip_prefix("refs/heads/") {
                Some(branch) => Head::Branch(branch.to_owned()),
                None => Head::Detached(self.resolve(target, 0)?.ok_or(GitError::NoCommit)?),
            });
        }
        match is_id(text) {
            true => Ok(Head::Detached(text.to_owned())),
            false => Err(GitError::malformed(&self.git.join("HEAD"), "it is no reference and no commit")),
        }
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Result<String, GitError> {
        match self.head()? {
            Head::Detached(id) => Ok(id),
            Head::Branch(name) => self.resolve(&format!("refs/heads/{name}"), 0)?.ok_or(GitError::NoCommit),
        }
    }

    /// The object that a reference stands for.
    fn resolve(&self, name: &str, depth: usize) -> Result<Option<String>, GitError> {
        if depth > 5 || !is_reference(name) {
            return Err(GitError::malformed(&self.git, "a reference leads nowhere"));
        }
        if let Some(tables) = &self.tables {
            return match tables.get(name) {
                Some(Value::Object { id, .. }) => Ok(Some(id.clone())),
                Some(Value::Symbolic(target)) => self.resolve(target, depth + 1),
                Some(Value::Deleted) | None => Ok(None),
            };
        }
        for directory in [&self.git, &self.common] {
            let path = directory.join(name);
            match small(&path) {
                Ok(text) => {
                    let text = text.trim();
                    if let Some(target) = text.strip_prefix("ref:") {
                        return self.resolve(target.trim(), depth + 1);
                    }
                    return match is_id(text) {
                        true => Ok(Some(text.to_owned())),
                        false => Err(GitError::malformed(&path, "it is no object's id")),
                    };
                }
                Err(GitError::Read { source, .. })
                    if matches!(
                        source.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.packed()?.references.get(name).map(|packed| packed.id.clone()))
    }

    /// An object, by its id.
    pub(super) fn object(&self, id: &str) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        self.objects.find(id)
    }

    /// The names of all tags of that commit, annotated or not.
    pub(super) fn tags_of(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let mut found = Vec::new();
        if let Some(tables) = &self.tables {
            for (name, value) in tables {
                let Some(tag) = name.strip_prefix("refs/tags/") else { continue };
                if let Value::Object { id, peeled } = value
                    && peeled.as_ref().unwrap_or(id) == commit
                {
                    found.push(tag.to_owned());
                }
            }
            return Ok(found);
        }
        let mut loose = BTreeMap::new();
        self.loose_tags("refs/tags", 0, &mut loose)?;
        for (name, id) in &loose {
            if self.peel(id, 0)? == commit {
                found.push(name.clone());
            }
        }
        let packed = self.packed()?;
        for (name, reference) in &packed.references {
            let Some(tag) = name.strip_prefix("refs/tags/").filter(|tag| !loose.contains_key(*tag)) else { continue };
            let target = match &reference.peeled {
                Some(peeled) => peeled.clone(),
                None if packed.peeled || reference.id == commit => reference.id.clone(),
                None => self.peel(&reference.id, 0)?,
            };
            if target == commit {
                found.push(tag.to_owned());
            }
        }
        Ok(found)
    }

    /// What a tag is for: of an annotated one, the object behind it.
    fn peel(&self, id: &str, depth: usize) -> Result<String, GitError> {
        match self.object(id)? {
            Some((Kind::Tag, body)) if depth < 5 => match object::tagged(&body) {
                Some(target) => self.peel(&target, depth + 1),
                None => Ok(id.to_owned()),
            },
            _ => Ok(id.to_owned()),
        }
    }

    fn loose_tags(&self, below: &str, depth: usize, found: &mut BTreeMap<String, String>) -> Result<(), GitError> {
        let directory = self.common.join(below);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(GitError::read(&directory, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| GitError::read(&directory, error))?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{below}/{name}")) else { continue };
            let kind = entry.file_type().map_err(|error| GitError::read(&directory, error))?;
            if kind.is_dir() && depth < 10 {
                self.loose_tags(&name, depth + 1, found)?;
            } else if is_reference(&name)
                && found.len() < MAX_TAGS
                && let Some(id) = self.resolve(&name, 0)?
                && let Some(tag) = name.strip_prefix("refs/tags/")
            {
                found.insert(tag.to_owned(), id);
            }
        }
        Ok(())
    }

    fn packed(&self) -> Result<Packed, GitError> {
        let path = self.common.join("packed-refs");
        let bytes = match read_bounded(&path, MAX_PACKED) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Packed::default()),
            Err(error) => return Err(GitError::read(&path, error)),
        };
        Ok(Packed::parse(&String::from_utf8_lossy(&bytes)))
    }
}

#[derive(Debug, Default)]
struct Packed {
    /// Whether every annotated tag says what it is for.
    peeled: bool,
    references: BTreeMap<String, PackedReference>,
}

#[derive(Debug)]
struct PackedReference {
    id: String,
    peeled: Option<String>,
}

impl Packed {
    fn parse(text: &str) -> Self {
        let mut packed = Packed::default();
        let mut last: Option<String> = None;
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("# pack-refs with:") {
                packed.peeled = header.split_whitespace().any(|word| word == "fully-peeled" || word == "peeled");
            } else if let Some(peeled) = line.strip_prefix('^') {
                if let Some(reference) = last.as_ref().and_then(|name| packed.references.get_mut(name))
                    && is_id(peeled.trim())
                {
                    reference.peeled = Some(peeled.trim().to_owned());
                }
            } else if let Some((id, name)) = line.split_once(' ')
                && is_id(id)
            {
                last = Some(name.trim().to_owned());
                packed.references.insert(name.trim().to_owned(), PackedReference { id: id.to_owned(), peeled: None });
            }
        }
        packed
    }
}

/// A short text file.
pub(super) fn small(path: &Path) -> Result<String, GitError> {
    let bytes = read_bounded(path, MAX_SMALL).map_err(|error| GitError::read(path, error))?;
    String::from_utf8(bytes).map_err(|_| GitError::malformed(path, "it is not text"))
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name is one that git would give a reference: it becomes a path below the git directory.
fn is_reference(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 4096
        && !name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '?' | '*' | '[' | '~' | '^' | ' '))
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock") && !part.contains(".."))
}
