//! From what is asked to wheels.

mod hashed;
mod settle;
mod solve;

use std::collections::BTreeSet;
use std::path::Path;

use pep440_rs::{Version, VersionSpecifiers};
use url::Url;

pub(crate) use self::settle::page;
use self::solve::Run;
use super::inputs::{Inputs, What};
use super::local::{LocalWheel, file_name};
use super::{Ask, Error, indexes_of};
use crate::lock::{PythonPins, Update, WheelPin};
use crate::oci::Digest;
use crate::python::install::read_metadata;
use crate::python::meaning::without_secrets;
use crate::python::pylock::{Pick, Place};
use crate::python::requirements::{Item, Line, Locked};
use crate::python::zip::Limits;
use crate::python::{IndexList, PackageName, Requirement, Target, WheelName, uv};
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::supply::Supply;

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
    /// The index that has it, by its name in the lock, where that is known.
    index: Option<String>,
    /// The address of the index that whoever chose it took it from.
    said: Option<String>,
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
                let mut run = Run::new(input, &list, &directory);
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
        if self.is_solved()? {
            self.tell_of_other_indexes(&pins, &list);
        }
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
            let metadata = read_metadata(&wheel.name, &wheel.content, Limits::of(self.ask.limits))?;
            check_python(&wheel.name.to_string(), metadata.requires_python.as_deref(), &self.inputs.target)?;
            pins.push(pin_of(wheel, true));
        }
        Ok(pins)
    }

    /// Where wheels stand alone, says what they need and is not among them: nothing resolves that.
    fn tell_missing(&self) -> Result<(), Error> {
        let environment = crate::python::Environment::new(&self.inputs.target)?;
        let has = |name: &PackageName| self.inputs.wheels.iter().any(|wheel| wheel.name.name() == name);
        for wheel in self.inputs.wheels.iter() {
            let metadata = read_metadata(&wheel.name, &wheel.content, Limits::of(self.ask.limits))?;
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
            said: pick.index,
        }
    }

    /// Its pin.
    fn pin(&self, index: &str, file: String, size: u64) -> WheelPin {
        WheelPin {
            name: self.wheel.name().to_string(),
            version: self.wheel.version().to_string(),
            index: index.to_owned(),
            file,
            size,
            sha256: self.sha256,
            requested: self.requested,
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
            said: None,
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

/// Whether `what` is for the Python of the target; what cannot be read says nothing.
///
/// # Errors
/// [`Error::Python`].
pub(super) fn check_python(what: &str, wanted: Option<&str>, target: &Target) -> Result<(), Error> {
    let version = Version::new([target.version.major, target.version.minor, target.version.patch].map(u64::from));
    let Some(wanted) = wanted else { return Ok(()) };
    match wanted.parse::<VersionSpecifiers>().is_ok_and(|wanted| !wanted.contains(&version)) {
        true => {
            Err(Error::Python { what: what.to_owned(), wanted: Shown::new(wanted.as_bytes()), found: target.version })
        }
        false => Ok(()),
    }
}

/// A URL of a line, as it may stand in a lock.
fn lockable(url: &str, line: &Line) -> Result<Url, Error> {
    if line.filled.is_some() {
        return Err(Error::Filled { place: line.place.to_string() });
    }
    let url: Url = url.parse().map_err(|_| Error::Url { what: "place of a wheel" })?;
    Ok(without_secrets(url))
}

fn wheel_of(url: &Url) -> Result<WheelName, Error> {
    // `%2B` stands for the plus of a local version.
    Ok(file_name(url.path()).replace("%2B", "+").replace("%2b", "+").parse()?)
}

fn absolute(context: &Path, path: &str) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(context.join(path)).map_err(|source| Error::Read { path: Shown::new(path.as_bytes()), source })
}
