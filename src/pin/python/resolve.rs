//! From what is asked to wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use pep440_rs::{Version, VersionSpecifiers};
use url::Url;

use super::inputs::{Inputs, What};
use super::local::{LocalWheel, file_name};
use super::{Ask, Error, indexes_of};
use crate::lock::{PythonPins, Update, WheelPin};
use crate::oci::Digest;
use crate::parallel;
use crate::python::debian_names::advice;
use crate::python::index::{ACCEPT, MAX_PAGE};
use crate::python::install::read_metadata;
use crate::python::pylock::{Pick, Place};
use crate::python::requirements::{Item, Line, Locked, beside};
use crate::python::zip::Limits;
use crate::python::{
    IndexList, NamedIndex, PackageName, Page, Pylock, Requirement, Requirements, Target, WheelName, uv,
};
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::supply::{Supply, SupplyError, Wanted};

/// How many pages are asked for at a time.
const SIDE_BY_SIDE: usize = 8;

/// A wheel that was chosen.
struct Found {
    wheel: WheelName,
    place: Place,
    size: Option<u64>,
    sha256: Digest,
    /// Whether it is named by its URL.
    direct: bool,
    /// The index that has it, where that is known.
    index: Option<String>,
    requested: bool,
}

/// Pins what a layer asks for, on one platform. `previous` is what the same layer had before, or the same on another
/// platform: its versions are kept where they still fit, but for those that `update` moves. `tmp` takes temporary files.
///
/// # Errors
/// [`Error`].
pub fn pin(
    ask: &Ask<'_>,
    supply: &dyn Supply,
    previous: Option<&PythonPins>,
    update: &Update,
    tmp: &Path,
    reporter: &Reporter,
) -> Result<PythonPins, Error> {
    let inputs = Inputs::read(ask)?;
    let resolving = Resolving { ask, inputs: &inputs, supply, previous, update, tmp, reporter };
    let _task = reporter.task(Phase::Resolve, format!("Python packages for {}", ask.platform), None);
    let wheels = resolving.wheels()?;
    Ok(PythonPins { platform: ask.platform.to_string(), layers: Vec::new(), asked: inputs.asked.clone(), wheels })
}

/// Interpreter, platform and C library, for messages.
pub(super) fn describe(target: &Target) -> String {
    format!("Python {} on {}, {}", target.version, target.platform, target.libc)
}

struct Resolving<'a> {
    ask: &'a Ask<'a>,
    inputs: &'a Inputs,
    supply: &'a dyn Supply,
    previous: Option<&'a PythonPins>,
    update: &'a Update,
    tmp: &'a Path,
    reporter: &'a Reporter,
}

impl Resolving<'_> {
    fn wheels(&self) -> Result<Vec<WheelPin>, Error> {
        let named: BTreeSet<&PackageName> = self.inputs.wheels.iter().map(|wheel| wheel.name.name()).collect();
        let mut list = IndexList::new();
        if !matches!(self.inputs.what, What::Nothing) {
            list = indexes_of(self.ask, self.inputs, self.supply)?;
        }
        // Packages whose newest version may have been passed over.
        let mut open: BTreeSet<PackageName> = BTreeSet::new();
        let mut found = match &self.inputs.what {
            What::Nothing => Vec::new(),
            What::Requirements(requirements) => match requirements.locked()? {
                Locked::Full => self.hashed(requirements, &list)?,
                Locked::None(_) => {
                    open.extend(requirements.entries.iter().filter_map(unpinned));
                    self.resolved(requirements, &list)?
                }
            },
            What::Pylock(path, lock) => {
                let groups = Some(&self.inputs.groups[..]).filter(|groups| !groups.is_empty());
                let lock = lock.without(&named);
                let picks = lock.select(&self.inputs.target, &self.inputs.extras, groups);
                let picks = picks.map_err(|error| Error::Pylock { path: path.clone(), source: Box::new(error) })?;
                picks.into_iter().map(|pick| Found::of(pick, &|_| true)).collect()
            }
            What::UvLock(project, requested) => {
                let project = absolute(self.ask.context, project)?;
                let input = uv::Input::UvLock(project.parent().unwrap_or(&project).to_owned());
                let directory = self.temporary()?;
                let mut run = Run::new(input, &list, directory.path());
                (run.extras, run.groups) = (self.inputs.extras.clone(), self.inputs.groups.clone());
                self.run_uv(&run, &named, &|name| requested.contains(name))?
            }
            What::Pyproject(path, requirements) => {
                open.extend(requirements.iter().filter(|one| one.pinned().is_none()).map(|one| one.name.clone()));
                self.project(path, requirements, &list)?
            }
        };
        // The recipe's own wheels take the place of what a lock or index has.
        found.retain(|found| !named.contains(found.wheel.name()));
        let mut pins = self.local()?;
        pins.extend(self.settle(found, &list, &open)?);
        pins.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        if matches!(self.inputs.what, What::Nothing) {
            self.tell_missing()?;
        }
        Ok(pins)
    }

    /// The wheels that the recipe names.
    fn local(&self) -> Result<Vec<WheelPin>, Error> {
        let mut pins = Vec::new();
        for wheel in self.inputs.wheels.iter() {
            let metadata = read_metadata(&wheel.name, &wheel.content, Limits::default())?;
            let version = python_version(&self.inputs.target);
            if let Some(wanted) = metadata.requires_python
                && wanted.parse::<VersionSpecifiers>().is_ok_and(|wanted| !wanted.contains(&version))
            {
                let wanted = Shown::new(wanted.as_bytes());
                let found = self.inputs.target.version;
                return Err(Error::Python { wheel: wheel.name.to_string(), wanted, found });
            }
            pins.push(pin_of(wheel, true));
        }
        Ok(pins)
    }

    /// Where wheels stand alone, says what they need and is not among them: nothing resolves that.
    fn tell_missing(&self) -> Result<(), Error> {
        let environment = crate::python::Environment::new(&self.inputs.target)?;
        let has = |name: &PackageName| self.inputs.wheels.iter().any(|wheel| wheel.name.name() == name);
        for wheel in self.inputs.wheels.iter() {
            let metadata = read_metadata(&wheel.name, &wheel.content, Limits::default())?;
            let missing: BTreeSet<String> = metadata
                .requires
                .iter()
                .filter_map(|text| text.parse::<Requirement>().ok())
                .filter(|one| one.marker.as_ref().is_none_or(|marker| marker.evaluate(&environment) == Ok(true)))
                .filter(|one| !has(&one.name))
                .map(|one| one.name.to_string())
                .collect();
            if !missing.is_empty() {
                let missing: Vec<String> = missing.into_iter().collect();
                self.reporter.note(format!(
                    "{} needs {}, which this layer does not bring: give `requirements` beside `wheels` where no layer below has it",
                    wheel.name,
                    missing.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Requirements with hashes: each line is one package, and nothing is left to resolve.
    fn hashed(&self, requirements: &Requirements, list: &IndexList) -> Result<Vec<Found>, Error> {
        let mut lines = Vec::new();
        for line in &requirements.entries {
            if self.inputs.wanted(line)? {
                lines.push(line);
            }
        }
        let found = parallel::map(&lines, SIDE_BY_SIDE, |line| self.hashed_line(line, list));
        let mut all: BTreeMap<PackageName, Found> = BTreeMap::new();
        for (line, found) in lines.iter().zip(found) {
            let Some(found) = found? else { continue };
            if let Some(other) = all.insert(found.wheel.name().clone(), found)
                && all.get(other.wheel.name()).is_some_and(|found| found.sha256 != other.sha256)
            {
                return Err(Error::Again { place: line.place.to_string(), package: other.wheel.name().clone() });
            }
        }
        Ok(all.into_values().collect())
    }

    fn hashed_line(&self, line: &Line, list: &IndexList) -> Result<Option<Found>, Error> {
        let place = || line.place.to_string();
        let url = match &line.item {
            Item::Wheel(url, _) if url.contains("://") => url,
            Item::Wheel(path, _) => {
                // It is among the recipe's wheels by now.
                let wheel = LocalWheel::open(self.ask.context, path)?;
                return match line.hashes.contains(&wheel.sha256) {
                    true => Ok(None),
                    false => Err(Error::OtherFile { place: place(), path: Shown::new(path.as_bytes()) }),
                };
            }
            Item::Package(requirement) => match (&requirement.url, requirement.pinned()) {
                (Some(url), _) => url,
                (None, Some(version)) => return self.of_index(&requirement.name, version, line, list).map(Some),
                // `Requirements::locked` lets none through.
                (None, None) => return Ok(None),
            },
        };
        let [sha256] = line.hashes[..] else { return Err(Error::Hashes { place: place() }) };
        let wheel: WheelName = wheel_of(&lockable(url, line)?)?;
        if self.inputs.tags.rank(&wheel).is_none() {
            let target = describe(&self.inputs.target);
            return Err(Error::Unfit { path: Shown::new(wheel.to_string().as_bytes()), target });
        }
        let place = Place::Url(url.clone());
        Ok(Some(Found { wheel, place, size: None, sha256, direct: true, index: None, requested: true }))
    }

    /// The best wheel of a pinned version, from the first index that has one.
    fn of_index(&self, name: &PackageName, version: &Version, line: &Line, list: &IndexList) -> Result<Found, Error> {
        let (tags, target) = (&self.inputs.tags, &self.inputs.target);
        if let Some(wheel) = self.inputs.wheels.iter().find(|wheel| wheel.name.name() == name) {
            return Ok(Found::local(wheel));
        }
        let link = |wheel: &&LocalWheel| wheel.name.name() == name && line.hashes.contains(&wheel.sha256);
        if let Some(wheel) = self.inputs.links.iter().find(link) {
            return Ok(Found::local(wheel));
        }
        let (mut sdist, mut known) = (false, false);
        for index in list.iter() {
            let Some(page) = page(self.supply, index, name)? else { continue };
            known = true;
            if let Some((wheel, file)) = page.best(version, &line.hashes, tags, target.version) {
                let Some(sha256) = file.sha256 else { continue };
                return Ok(Found {
                    wheel,
                    place: Place::Url(file.url.to_string()),
                    size: file.size,
                    sha256,
                    direct: false,
                    index: Some(index.name.clone()),
                    requested: true,
                });
            }
            sdist |= page.files().iter().any(|file| {
                !file.name.ends_with(".whl") && file.sha256.is_some_and(|sha256| line.hashes.contains(&sha256))
            });
        }
        let version = version.to_string();
        if !known {
            return Err(Error::Nowhere { file: name.to_string(), looked: Vec::new() });
        }
        Err(Error::NoWheel {
            package: format!("{name} {version}"),
            target: describe(target),
            sdist,
            advice: advice(name, Some(&version)),
        })
    }

    /// Requirements that are to be resolved.
    fn resolved(&self, requirements: &Requirements, list: &IndexList) -> Result<Vec<Found>, Error> {
        let directory = self.temporary()?;
        let mut requested = BTreeSet::new();
        let mut text = self.lines_of_wheels()?;
        for line in &requirements.entries {
            match &line.item {
                Item::Package(requirement) => {
                    if let Some(url) = &requirement.url {
                        lockable(url, line)?;
                    }
                    requested.insert(requirement.name.clone());
                    text.push_str(&format!("{requirement}\n"));
                }
                Item::Wheel(url, marker) if url.contains("://") => {
                    let name = wheel_of(&lockable(url, line)?)?.name().clone();
                    let marker = marker.as_ref().map_or(String::new(), |marker| format!(" ; {marker}"));
                    text.push_str(&format!("{name} @ {url}{marker}\n"));
                    requested.insert(name);
                }
                // Among the recipe's wheels by now.
                Item::Wheel(..) => {}
            }
        }
        let file = self.write(directory.path(), "requirements.txt", &text)?;
        let mut run = Run::new(uv::Input::Requirements(vec![file]), list, directory.path());
        run.pre = requirements.pre;
        let mut constraints = String::new();
        for line in &requirements.constraints {
            if let Item::Package(requirement) = &line.item {
                constraints.push_str(&format!("{requirement}\n"));
            }
        }
        if !constraints.is_empty() {
            run.constraints.push(self.write(directory.path(), "constraints.txt", &constraints)?);
        }
        run.links = requirements.indexes.find_links.iter().filter(|link| !link.contains("://")).cloned().collect();
        self.run_uv(&run, &BTreeSet::new(), &|name| requested.contains(name))
    }

    fn project(&self, path: &str, requirements: &[Requirement], list: &IndexList) -> Result<Vec<Found>, Error> {
        let directory = self.temporary()?;
        let wheels = self.lines_of_wheels()?;
        let more = match wheels.is_empty() {
            true => Vec::new(),
            false => vec![self.write(directory.path(), "wheels.txt", &wheels)?],
        };
        let input = uv::Input::Pyproject(absolute(self.ask.context, path)?, more);
        let mut run = Run::new(input, list, directory.path());
        (run.extras, run.groups) = (self.inputs.extras.clone(), self.inputs.groups.clone());
        let requested: BTreeSet<&PackageName> = requirements.iter().map(|requirement| &requirement.name).collect();
        self.run_uv(&run, &BTreeSet::new(), &|name| requested.contains(name))
    }

    /// The recipe's wheels, as lines of a requirements file: what they need is resolved with the rest.
    fn lines_of_wheels(&self) -> Result<String, Error> {
        let mut text = String::new();
        for wheel in self.inputs.wheels.iter() {
            let path = absolute(self.ask.context, &wheel.path)?;
            let url = Url::from_file_path(&path).map_err(|()| Error::Read {
                path: Shown::new(wheel.path.as_bytes()),
                source: io::Error::other("its path is no absolute one"),
            })?;
            text.push_str(&format!("{} @ {url}\n", wheel.name.name()));
        }
        Ok(text)
    }

    fn run_uv(
        &self,
        run: &Run<'_>,
        without: &BTreeSet<&PackageName>,
        requested: &dyn Fn(&PackageName) -> bool,
    ) -> Result<Vec<Found>, Error> {
        let program = self.supply.uv().ok_or(uv::UvError::None)?;
        let mut indexes = crate::python::requirements::Indexes { none: run.list.is_empty(), ..Default::default() };
        let mut addresses: Vec<String> = Vec::new();
        for index in run.list.iter() {
            let address = self.supply.with_login(&index.address).to_string();
            match index.flat {
                true => indexes.find_links.push(address),
                false => addresses.push(address),
            }
        }
        indexes.none = addresses.is_empty();
        for link in &run.links {
            indexes.find_links.push(absolute(self.ask.context, link)?.to_string_lossy().into_owned());
        }
        // `uv` looks at the default index last.
        indexes.index = addresses.pop();
        indexes.extra = addresses;
        let mut update: Vec<PackageName> = Vec::new();
        let mut kept = Vec::new();
        if let Update::Only(names) = self.update {
            update.extend(names.iter().filter_map(|name| name.parse().ok()));
        }
        for pin in self.previous.iter().filter(|_| *self.update != Update::Everything).flat_map(|pins| &pins.wheels) {
            let (Ok(name), Ok(version)) = (pin.name.parse::<PackageName>(), pin.version.parse::<Version>()) else {
                continue;
            };
            if !update.contains(&name) {
                kept.push((name, version));
            }
        }
        let previous = match kept.is_empty() || matches!(run.input, uv::Input::UvLock(_)) {
            true => None,
            false => {
                let text = uv::preferences(kept.iter().map(|(name, version)| (name, version)));
                Some(self.write(run.directory, "pylock.toml", &text)?)
            }
        };
        let cache = self.supply.directory("uv").map_err(SupplyError::from)?;
        let request = uv::Request {
            target: &self.inputs.target,
            input: run.input.clone(),
            extras: run.extras.clone(),
            groups: run.groups.clone(),
            indexes: &indexes,
            use_config: false,
            pre: run.pre,
            constraints: run.constraints.clone(),
            previous,
            update,
            cache,
            offline: self.supply.is_offline(),
        };
        let invocation = request.invocation(self.ask.environment)?;
        let resolved = uv::run(&program, &invocation)?;
        // That it has no interpreter of the image's version matters only to who builds something.
        for warning in resolved.warnings.iter().filter(|text| !text.starts_with("The requested Python version")) {
            self.reporter.warn(format!("uv: {warning}"));
        }
        let lock = || -> Result<Vec<Pick>, crate::python::PylockError> {
            resolved.pylock.parse::<Pylock>()?.without(without).select(&self.inputs.target, &[], None)
        };
        let picks =
            lock().map_err(|error| Error::Pylock { path: "what `uv` resolved".to_owned(), source: Box::new(error) })?;
        Ok(picks.into_iter().map(|pick| Found::of(pick, requested)).collect())
    }

    /// From wheels that were chosen to pins: which index has each, and how long it is.
    fn settle(
        &self,
        found: Vec<Found>,
        list: &IndexList,
        open: &BTreeSet<PackageName>,
    ) -> Result<Vec<WheelPin>, Error> {
        let local: BTreeMap<Digest, &LocalWheel> =
            self.inputs.links.iter().chain(self.inputs.wheels.iter()).map(|wheel| (wheel.sha256, wheel)).collect();
        let settled = parallel::map(&found, SIDE_BY_SIDE, |found| {
            if let Some(wheel) = local.get(&found.sha256) {
                return Ok(pin_of(wheel, found.requested));
            }
            self.settle_one(found, list, open)
        });
        settled.into_iter().collect()
    }

    fn settle_one(&self, found: &Found, list: &IndexList, open: &BTreeSet<PackageName>) -> Result<WheelPin, Error> {
        let pin = |index: &str, file: String, size: u64| WheelPin {
            name: found.wheel.name().to_string(),
            version: found.wheel.version().to_string(),
            index: index.to_owned(),
            file,
            size,
            sha256: found.sha256,
            requested: found.requested,
        };
        let name = found.wheel.to_string();
        let url = match &found.place {
            Place::Url(url) => url.parse::<Url>().map_err(|_| Error::Url { what: "place of a wheel" })?,
            Place::Path(path) => {
                let What::Pylock(lock, _) = &self.inputs.what else {
                    return Err(Error::Nowhere { file: name, looked: Vec::new() });
                };
                let wheel = LocalWheel::open(self.ask.context, &beside(lock, path))?;
                return match wheel.sha256 == found.sha256 {
                    true => Ok(pin_of(&wheel, found.requested)),
                    false => Err(Error::OtherFile { place: lock.clone(), path: Shown::new(path.as_bytes()) }),
                };
            }
        };
        let size_of = |url: &Url| -> Result<u64, Error> {
            let places = || Ok(vec![url.clone()]);
            let wanted = [Wanted { name: name.clone(), sha256: found.sha256, size: None, places: &places }];
            Ok(self.supply.files(&wanted)?.first().map_or(0, |content| content.len()))
        };
        if found.direct {
            let size = found.size.map_or_else(|| size_of(&url), Ok)?;
            return Ok(pin("", without_user(url).to_string(), size));
        }
        let look = open.contains(found.wheel.name()) && !self.supply.is_offline();
        if let (Some(size), Some(index)) = (found.size, &found.index) {
            return Ok(pin(index, name, size));
        }
        if let (Some(size), [index], false) = (found.size, &list.iter().collect::<Vec<_>>()[..], look) {
            return Ok(pin(&index.name, name, size));
        }
        let mut looked = Vec::new();
        for index in list.iter() {
            let Some(page) = page(self.supply, index, found.wheel.name())? else { continue };
            looked.push(index.name.clone());
            let Ok(file) = page.find(&name, &found.sha256) else { continue };
            if look && let Some(newer) = page.newer_without_wheel(found.wheel.version()) {
                self.reporter.warn(format!(
                    "{} {} is taken, since the newer {newer} has only a source archive, which would have to run code to install: {}",
                    found.wheel.name(),
                    found.wheel.version(),
                    advice(found.wheel.name(), Some(&newer.to_string()))
                ));
            }
            let size = found.size.or(file.size);
            let size = size.map_or_else(|| size_of(&file.url), Ok)?;
            return Ok(pin(&index.name, name, size));
        }
        Err(Error::Nowhere { file: name, looked })
    }

    fn temporary(&self) -> Result<tempfile::TempDir, Error> {
        tempfile::tempdir_in(self.tmp).map_err(|source| self.unwritten(source))
    }

    fn write(&self, directory: &Path, name: &str, text: &str) -> Result<std::path::PathBuf, Error> {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|source| self.unwritten(source))?;
        // `uv` runs elsewhere.
        std::path::absolute(&path).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> Error {
        Error::Tmp { tmp: Shown::new(self.tmp.as_os_str().as_encoded_bytes()), source }
    }
}

/// What differs from one run of `uv` to the other.
struct Run<'a> {
    input: uv::Input,
    list: &'a IndexList,
    directory: &'a Path,
    extras: Vec<PackageName>,
    groups: Vec<PackageName>,
    constraints: Vec<std::path::PathBuf>,
    /// Directories of wheels, from the context's on.
    links: Vec<String>,
    pre: bool,
}

impl<'a> Run<'a> {
    fn new(input: uv::Input, list: &'a IndexList, directory: &'a Path) -> Self {
        Run {
            input,
            list,
            directory,
            extras: Vec::new(),
            groups: Vec::new(),
            constraints: Vec::new(),
            links: Vec::new(),
            pre: false,
        }
    }
}

impl Found {
    fn of(pick: Pick, requested: &dyn Fn(&PackageName) -> bool) -> Self {
        // `uv` writes names in a form of its own, and an index knows its files by theirs.
        let one = |wheel: &WheelName| wheel.to_string().to_ascii_lowercase().replace(['.', '-'], "_");
        let named = match &pick.place {
            Place::Url(url) => url.parse::<Url>().ok().and_then(|url| wheel_of(&url).ok()),
            Place::Path(_) => None,
        };
        let wheel = named.filter(|named| one(named) == one(&pick.wheel)).unwrap_or(pick.wheel);
        Found {
            requested: requested(wheel.name()),
            wheel,
            place: pick.place,
            size: pick.size,
            sha256: pick.sha256,
            direct: pick.direct,
            index: None,
        }
    }

    fn local(wheel: &LocalWheel) -> Self {
        Found {
            wheel: wheel.name.clone(),
            place: Place::Path(wheel.path.clone()),
            size: Some(wheel.content.len()),
            sha256: wheel.sha256,
            direct: false,
            index: None,
            requested: true,
        }
    }
}

fn pin_of(wheel: &LocalWheel, requested: bool) -> WheelPin {
    WheelPin {
        name: wheel.name.name().to_string(),
        version: wheel.name.version().to_string(),
        index: String::new(),
        file: wheel.path.clone(),
        size: wheel.content.len(),
        sha256: wheel.sha256,
        requested,
    }
}

/// The package of a line that leaves the version open.
fn unpinned(line: &Line) -> Option<PackageName> {
    match &line.item {
        Item::Package(requirement) if requirement.pinned().is_none() && requirement.url.is_none() => {
            Some(requirement.name.clone())
        }
        _ => None,
    }
}

fn python_version(target: &Target) -> Version {
    Version::new([target.version.major, target.version.minor, target.version.patch].map(u64::from))
}

/// A URL of a line, as it may stand in a lock.
fn lockable(url: &str, line: &Line) -> Result<Url, Error> {
    if line.filled {
        return Err(Error::Filled { place: line.place.to_string() });
    }
    let url: Url = url.parse().map_err(|_| Error::Url { what: "place of a wheel" })?;
    Ok(without_user(url))
}

fn wheel_of(url: &Url) -> Result<WheelName, Error> {
    // `%2B` stands for the plus of a local version.
    Ok(file_name(url.path()).replace("%2B", "+").replace("%2b", "+").parse()?)
}

pub(super) fn without_user(mut url: Url) -> Url {
    // Where a URL can hold none of them there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

fn absolute(context: &Path, path: &str) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(context.join(path)).map_err(|source| Error::Read { path: Shown::new(path.as_bytes()), source })
}

/// The page of a package; `None` where the index has none.
pub(crate) fn page(supply: &dyn Supply, index: &NamedIndex, name: &PackageName) -> Result<Option<Page>, Error> {
    let document = match supply.document(&index.page(name), Some(ACCEPT), MAX_PAGE as u64) {
        Ok(document) => document,
        Err(SupplyError::Absent { .. } | SupplyError::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let page = Page::parse(name, &document.content_type, &document.bytes, &document.address);
    page.map(Some).map_err(|error| Error::Index {
        package: name.clone(),
        index: index.name.clone(),
        source: Box::new(error),
    })
}
