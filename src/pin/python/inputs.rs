//! What a layer asks for, read from the context.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use super::local::{LocalWheel, LocalWheels, in_directory};
use super::resolve::check_python;
use super::{Ask, Error};
use crate::host::open_regular;
use crate::lock::Asked;
use crate::oci::Digest;
use crate::python::requirements::{Item, Line, Locked, beside};
use crate::python::{Environment, PackageName, Pylock, Requirement, Requirements, Tags, Target};
use crate::recipe::packages::{PythonInput, PythonSource};
use crate::recipe::{At, FilePath, PerArch};
use crate::shown::Shown;

/// The most bytes of a file that says which packages are taken.
const MAX_FILE: u64 = 64 << 20;

/// Everything that was found in the context.
pub(super) struct Inputs {
    pub asked: Asked,
    pub target: Target,
    pub tags: Tags,
    pub what: What,
    pub extras: Vec<PackageName>,
    pub groups: Vec<PackageName>,
    /// The wheels that the recipe names.
    pub wheels: LocalWheels,
    /// Wheels in directories that requirements files name (`--find-links`).
    pub links: Vec<LocalWheel>,
}

/// The file that says which packages are taken.
pub(super) enum What {
    Nothing,
    Requirements(Box<Requirements>),
    /// With its path.
    Pylock(String, Box<Pylock>),
    /// With the path of its `pyproject.toml`, and what that asks for itself.
    UvLock(String, BTreeSet<PackageName>),
    /// With its path, and what it asks for itself.
    Pyproject(String, Vec<Requirement>),
}

impl Inputs {
    pub(super) fn read(ask: &Ask<'_>) -> Result<Self, Error> {
        let target = ask.target()?;
        let tags = target.tags()?;
        let mut asked = Asked::new();
        let free = if target.free_threaded { "t" } else { "" };
        asked.add("python", format!("{}{free}", target.version));
        asked.add("libc", target.libc.to_string());
        let PythonSource { extras, groups, indexes, .. } = ask.source;
        for index in indexes {
            asked.add("index", &index.name);
        }
        let names = |kind: &str, list: &[At<String>], asked: &mut Asked| {
            let mut names: Vec<PackageName> = list.iter().filter_map(|name| name.value.parse().ok()).collect();
            names.sort();
            names.dedup();
            names.iter().for_each(|name| asked.add(kind, name.as_str()));
            names
        };
        let extras = names("extra", extras, &mut asked);
        let groups = names("group", groups, &mut asked);
        let mut inputs = Inputs {
            asked,
            tags,
            what: What::Nothing,
            extras,
            groups,
            wheels: LocalWheels::default(),
            links: Vec::new(),
            target,
        };
        for path in &ask.source.wheels {
            let path = path.value.resolve(&ask.platform.architecture)?;
            inputs.wheels.add(ask.context, path.as_str(), &inputs.target, &inputs.tags)?;
        }
        inputs.what = inputs.read_input(ask)?;
        let mut lines = Vec::new();
        for wheel in inputs.wheels.iter() {
            lines.push(("wheel", format!("{} {}", wheel.path, wheel.sha256)));
        }
        for wheel in &inputs.links {
            lines.push(("link", format!("{} {}", wheel.path, wheel.sha256)));
        }
        lines.iter().for_each(|(kind, line)| inputs.asked.add(kind, line));
        Ok(inputs)
    }

    fn read_input(&mut self, ask: &Ask<'_>) -> Result<What, Error> {
        let arch = &ask.platform.architecture;
        Ok(match &ask.source.input {
            PythonInput::None => What::Nothing,
            PythonInput::Requirements(files) => {
                let all = requirements(ask, files)?;
                all.meaning().iter().for_each(|(kind, line)| self.asked.add(kind, line));
                self.take_links(ask, &all)?;
                What::Requirements(Box::new(all))
            }
            PythonInput::Pylock(file) => {
                let path = beside("", file.value.resolve(arch)?.as_str());
                let text = text_of(ask, &path)?;
                self.ask_file("pylock", &path, table_of(&text));
                let lock =
                    text.parse().map_err(|error| Error::Pylock { path: path.clone(), source: Box::new(error) })?;
                What::Pylock(path, Box::new(lock))
            }
            PythonInput::UvLock(file) => {
                let path = beside("", file.value.resolve(arch)?.as_str());
                let text = text_of(ask, &path)?;
                self.ask_file("uv-lock", &path, table_of(&text));
                let project = beside(&path, "pyproject.toml");
                if super::local::file_name(&path) != "uv.lock" || !ask.context.join(&project).is_file() {
                    return Err(Error::UvLock(Shown::new(path.as_bytes())));
                }
                let text = text_of(ask, &project)?;
                let names = self.project(&project, &text)?.into_iter().map(|requirement| requirement.name);
                What::UvLock(project, names.collect())
            }
            PythonInput::Pyproject(file) => {
                let path = beside("", file.value.resolve(arch)?.as_str());
                let text = text_of(ask, &path)?;
                let requirements = self.project(&path, &text)?;
                What::Pyproject(path, requirements)
            }
        })
    }

    /// Notes what a file says, by one digest of it: comments, blanks and the order of keys play no part.
    fn ask_file(&mut self, kind: &str, path: &str, says: toml::Table) {
        // A JSON value's keys are sorted.
        let says = serde_json::to_value(says).unwrap_or_default();
        let digest = Digest::of(says.to_string().as_bytes());
        self.asked.add(kind, format!("{path} {digest}"));
    }

    /// Wheels that requirements files name by path, and directories of wheels.
    fn take_links(&mut self, ask: &Ask<'_>, requirements: &Requirements) -> Result<(), Error> {
        for line in &requirements.entries {
            if let Item::Wheel(path, _) = &line.item
                && !path.contains("://")
                && self.wanted(line)?
            {
                let wheel = LocalWheel::open(ask.context, path)?;
                if self.tags.rank(&wheel.name).is_none() {
                    let target = super::resolve::describe(&self.target);
                    return Err(Error::Unfit { path: Shown::new(path.as_bytes()), target });
                }
                self.wheels.put(wheel)?;
            }
        }
        for directory in requirements.indexes.find_links.iter().filter(|link| !link.contains("://")) {
            self.links.extend(in_directory(ask.context, directory, &self.tags)?);
        }
        Ok(())
    }

    /// Whether the condition of a line holds.
    pub(super) fn wanted(&self, line: &Line) -> Result<bool, Error> {
        let marker = match &line.item {
            Item::Package(requirement) => &requirement.marker,
            Item::Wheel(_, marker) => marker,
        };
        let Some(marker) = marker else { return Ok(true) };
        let environment = Environment::new(&self.target)?;
        marker.evaluate(&environment).map_err(|source| Error::Marker { place: line.place.to_string(), source })
    }

    /// What a `pyproject.toml` asks for itself, with the extras and groups. It is noted line by line, and by one digest what
    /// else of it plays a part for whoever resolves.
    fn project(&mut self, path: &str, text: &str) -> Result<Vec<Requirement>, Error> {
        let project: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Pyproject {
            path: Shown::new(path.as_bytes()),
            reason: Shown::new(error.message().as_bytes()).bare().to_owned(),
        })?;
        let table = |keys: &[&str]| -> Option<&toml::Value> {
            let mut value = project.get(*keys.first()?)?;
            for key in &keys[1..] {
                value = value.get(key)?;
            }
            Some(value)
        };
        let wanted = table(&["project", "requires-python"]).and_then(toml::Value::as_str);
        check_python(Shown::new(path.as_bytes()).as_str(), wanted, &self.target)?;
        let mut found: Vec<&str> = strings(table(&["project", "dependencies"])).collect();
        let named = |table: Option<&toml::Value>| -> BTreeMap<PackageName, toml::Value> {
            let entries = table.and_then(toml::Value::as_table).into_iter().flatten();
            entries.filter_map(|(name, value)| Some((name.parse().ok()?, value.clone()))).collect()
        };
        let extras = named(table(&["project", "optional-dependencies"]));
        for extra in &self.extras {
            found.extend(strings(extras.get(extra)));
        }
        let groups = named(table(&["dependency-groups"]));
        let mut todo: Vec<PackageName> = self.groups.clone();
        let mut seen = BTreeSet::new();
        while let Some(group) = todo.pop() {
            let items = groups.get(&group).filter(|_| seen.insert(group.clone()));
            found.extend(strings(items));
            let items = items.and_then(toml::Value::as_array).into_iter().flatten();
            todo.extend(items.filter_map(|item| item.get("include-group")?.as_str()?.parse::<PackageName>().ok()));
        }
        let mut rest = toml::Table::new();
        let mut keep = |keys: &[&str], counts: bool| {
            if let Some(value) = table(keys).filter(|_| counts) {
                rest.insert(keys.join("."), value.clone());
            }
        };
        keep(&["project", "name"], true);
        keep(&["project", "requires-python"], true);
        keep(&["project", "dynamic"], true);
        keep(&["project", "optional-dependencies"], !self.extras.is_empty());
        keep(&["dependency-groups"], !self.groups.is_empty());
        keep(&["tool", "uv"], true);
        // What cannot be read is for `uv` to refuse.
        let (read, unread): (Vec<_>, Vec<_>) =
            found.into_iter().map(|text| (text, text.parse::<Requirement>())).partition(|(_, read)| read.is_ok());
        let unread = unread.into_iter().map(|(text, _)| toml::Value::String(text.to_owned()));
        rest.insert("unread".to_owned(), unread.collect::<Vec<_>>().into());
        let requirements: Vec<Requirement> = read.into_iter().filter_map(|(_, read)| read.ok()).collect();
        requirements.iter().for_each(|one| self.asked.add("requirement", one.meaning()));
        self.ask_file("pyproject", path, rest);
        Ok(requirements)
    }
}

/// Whether the files that say which packages are taken leave something to `uv`. They are read as far as that takes no
/// interpreter.
///
/// # Errors
/// Where one is not there, or is not what it should be.
pub fn needs_uv(ask: &Ask<'_>) -> Result<bool, Error> {
    let arch = &ask.platform.architecture;
    Ok(match &ask.source.input {
        PythonInput::None => false,
        // What is neither is told where it is resolved.
        PythonInput::Requirements(files) => matches!(requirements(ask, files)?.locked(), Ok(Locked::None(_))),
        PythonInput::Pylock(file) => {
            text_of(ask, &beside("", file.value.resolve(arch)?.as_str()))?;
            false
        }
        PythonInput::UvLock(file) | PythonInput::Pyproject(file) => {
            text_of(ask, &beside("", file.value.resolve(arch)?.as_str()))?;
            true
        }
    })
}

/// What requirements files say together.
fn requirements(ask: &Ask<'_>, files: &[At<PerArch<FilePath>>]) -> Result<Requirements, Error> {
    let variables =
        |name: &str| ask.environment.get(std::ffi::OsStr::new(name)).and_then(|value| value.clone().into_string().ok());
    let mut all = Requirements::default();
    for file in files {
        let file = beside("", file.value.resolve(&ask.platform.architecture)?.as_str());
        merge(&mut all, Requirements::read(&file, &variables, &mut |path| read_file(&ask.context.join(path)))?);
    }
    Ok(all)
}

fn text_of(ask: &Ask<'_>, path: &str) -> Result<String, Error> {
    let failed = |source| Error::Read { path: Shown::new(path.as_bytes()), source };
    let bytes = read_file(&ask.context.join(path)).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| failed(io::Error::other("it is no UTF-8")))
}

/// A file as a table; what is none is refused elsewhere.
fn table_of(text: &str) -> toml::Table {
    text.parse().unwrap_or_else(|_| {
        let mut table = toml::Table::new();
        table.insert("text".to_owned(), text.into());
        table
    })
}

fn strings(value: Option<&toml::Value>) -> impl Iterator<Item = &str> {
    value.and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
}

fn merge(all: &mut Requirements, more: Requirements) {
    all.entries.extend(more.entries);
    all.constraints.extend(more.constraints);
    all.indexes.index = more.indexes.index.or(all.indexes.index.take());
    all.indexes.extra.extend(more.indexes.extra);
    all.indexes.find_links.extend(more.indexes.find_links);
    all.indexes.none |= more.indexes.none;
    all.pre |= more.pre;
    all.require_hashes |= more.require_hashes;
    all.passed_over.extend(more.passed_over);
    all.files.extend(more.files);
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("it has more than {MAX_FILE} bytes"))),
        false => Ok(bytes),
    }
}
