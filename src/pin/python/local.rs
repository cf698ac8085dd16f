//! Wheels of the context: found by path or pattern, and those that fit.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

use super::Error;
use crate::content::{Content, FileIdentity};
use crate::context::Glob;
use crate::host::open_regular;
use crate::oci::{Digest, Hasher};
use crate::python::requirements::beside;
use crate::python::{PackageName, Tags, Target, WheelName};
use crate::shown::Shown;

/// A wheel of the context.
#[derive(Clone, Debug)]
pub(super) struct LocalWheel {
    /// Its path, from the context's directory on.
    pub path: String,
    pub name: WheelName,
    /// Its bytes, with their digest.
    pub content: Content,
    pub sha256: Digest,
}

/// The one wheel of each package among those that are named or fit a pattern.
#[derive(Default)]
pub(super) struct LocalWheels(BTreeMap<PackageName, LocalWheel>);

impl LocalWheels {
    pub(super) fn iter(&self) -> impl Iterator<Item = &LocalWheel> {
        self.0.values()
    }

    /// Adds what a path or a pattern means.
    pub(super) fn add(&mut self, context: &Path, text: &str, target: &Target, tags: &Tags) -> Result<(), Error> {
        if !text.contains(['*', '?', '[']) {
            let wheel = LocalWheel::open(context, &beside("", text))?;
            return match tags.rank(&wheel.name) {
                Some(_) => self.put(wheel),
                None => Err(unfit(&wheel.path, target)),
            };
        }
        let mut found: BTreeMap<PackageName, Vec<(WheelName, String)>> = BTreeMap::new();
        for path in matching(context, text)? {
            let name: WheelName = file_name(&path).parse()?;
            found.entry(name.name().clone()).or_default().push((name, path));
        }
        if found.is_empty() {
            return Err(Error::NoMatch(Shown::new(text.as_bytes())));
        }
        for (package, wheels) in found {
            let fitting: Vec<&(WheelName, String)> =
                wheels.iter().filter(|(name, _)| tags.rank(name).is_some()).collect();
            let Some(first) = fitting.first() else {
                return Err(unfit(&wheels.first().map_or(String::new(), |(_, path)| path.clone()), target));
            };
            if let Some(other) = fitting.iter().find(|(name, _)| name.version() != first.0.version()) {
                return Err(two(package, &first.1, &other.1));
            }
            if let Some((_, path)) = tags.best(fitting.iter().map(|(name, path)| (name, path))) {
                self.put(LocalWheel::open(context, path)?)?;
            }
        }
        Ok(())
    }

    /// Adds one that is known to be meant.
    pub(super) fn put(&mut self, wheel: LocalWheel) -> Result<(), Error> {
        match self.0.get(wheel.name.name()) {
            Some(other) if other.sha256 != wheel.sha256 => {
                Err(two(wheel.name.name().clone(), &other.path, &wheel.path))
            }
            Some(_) => Ok(()),
            None => {
                self.0.insert(wheel.name.name().clone(), wheel);
                Ok(())
            }
        }
    }
}

impl LocalWheel {
    /// Opens a wheel and reads it through.
    pub(super) fn open(context: &Path, path: &str) -> Result<Self, Error> {
        let name = file_name(path).parse()?;
        let (content, sha256) = read_through(&context.join(path))
            .map_err(|source| Error::Read { path: Shown::new(path.as_bytes()), source })?;
        Ok(LocalWheel { path: path.to_owned(), name, content, sha256 })
    }
}

fn read_through(path: &Path) -> io::Result<(Content, Digest)> {
    let real = fs::canonicalize(path)?;
    let mut file = open_regular(&real)?;
    let identity = FileIdentity::of(&rustix::fs::fstat(&file)?);
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher)?;
    let sha256 = hasher.finish();
    Ok((Content::host(real, identity).with_digest(sha256), sha256))
}

fn unfit(path: &str, target: &Target) -> Error {
    Error::Unfit { path: Shown::new(path.as_bytes()), target: super::resolve::describe(target) }
}

fn two(package: PackageName, first: &str, second: &str) -> Error {
    Error::Two { package, first: Shown::new(first.as_bytes()), second: Shown::new(second.as_bytes()) }
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The wheels in a directory that fit, sorted by path.
pub(super) fn in_directory(context: &Path, directory: &str, tags: &Tags) -> Result<Vec<LocalWheel>, Error> {
    let failed = |source| Error::Read { path: Shown::new(directory.as_bytes()), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(context.join(directory)).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
            && name.parse::<WheelName>().is_ok_and(|name| tags.rank(&name).is_some())
        {
            names.push(name);
        }
    }
    names.sort();
    names.iter().map(|name| LocalWheel::open(context, &beside("", &format!("{directory}/{name}")))).collect()
}

/// The files that fit a pattern, sorted, by their path from the context's directory on.
fn matching(context: &Path, pattern: &str) -> Result<Vec<String>, Error> {
    let pattern = beside("", pattern);
    let parts: Vec<&str> = pattern.split('/').collect();
    let wild = parts.iter().position(|part| part.contains(['*', '?', '[', '\\'])).unwrap_or(parts.len() - 1);
    let (base, rest) = (parts[..wild].join("/"), parts[wild..].join("/"));
    let glob = Glob::parse(&rest)?;
    let top = context.join(&base);
    let mut found = Vec::new();
    let walk = WalkDir::new(&top).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
    let leads = |entry: &walkdir::DirEntry| {
        !entry.file_type().is_dir()
            || entry.file_name().to_str().is_some_and(|name| glob.leads_into(entry.depth() - 1, name))
    };
    for entry in walk.filter_entry(leads) {
        let entry = match entry {
            Ok(entry) => entry,
            // What cannot be looked into holds no wheel that is meant; but the place itself must be there.
            Err(error) if error.depth() > 0 => continue,
            Err(error) => return Err(Error::Read { path: Shown::new(base.as_bytes()), source: error.into() }),
        };
        let Some(relative) = entry.path().strip_prefix(&top).ok().and_then(Path::to_str) else { continue };
        if entry.file_type().is_file() && relative.ends_with(".whl") && glob.matches(relative.as_bytes()) {
            found.push(if base.is_empty() { relative.to_owned() } else { format!("{base}/{relative}") });
        }
    }
    Ok(found)
}
