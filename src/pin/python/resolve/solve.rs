//! What `uv` is asked, and what it answers.

use std::collections::BTreeSet;
use std::io;

use pep440_rs::Version;
use url::Url;

use super::{Error, Found, Resolving, absolute, lockable, wheel_of, without_secrets};
use crate::lock::Update;
use crate::python::pylock::Pick;
use crate::python::requirements::{Indexes, Item};
use crate::python::{IndexList, PackageName, Pylock, PylockError, Requirement, Requirements, uv};
use crate::shown::Shown;
use crate::store::TemporaryDirectory;
use crate::supply::SupplyError;

impl Resolving<'_> {
    /// Requirements that are to be resolved.
    pub(super) fn resolved(&self, requirements: &Requirements, list: &IndexList) -> Result<Vec<Found>, Error> {
        let directory = self.temporary()?;
        let (mut requested, mut secret) = (BTreeSet::new(), false);
        let mut text = self.lines_of_wheels()?;
        for line in requirements.entries.iter().chain(&requirements.constraints) {
            secret |= line.filled.is_some() || line.item.address().is_some_and(is_secret);
        }
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
        let file = self.write(&directory, "requirements.txt", &text)?;
        let mut run = Run::new(uv::Input::Requirements(vec![file]), list, &directory);
        (run.pre, run.secret) = (requirements.pre, secret);
        let mut constraints = String::new();
        for line in &requirements.constraints {
            if let Item::Package(requirement) = &line.item {
                constraints.push_str(&format!("{requirement}\n"));
            }
        }
        if !constraints.is_empty() {
            run.constraints.push(self.write(&directory, "constraints.txt", &constraints)?);
        }
        run.links = requirements.indexes.find_links.iter().filter(|link| !link.contains("://")).cloned().collect();
        self.run_uv(&run, &BTreeSet::new(), &|name| requested.contains(name))
    }

    pub(super) fn project(
        &self,
        path: &str,
        requirements: &[Requirement],
        list: &IndexList,
    ) -> Result<Vec<Found>, Error> {
        let directory = self.temporary()?;
        let wheels = self.lines_of_wheels()?;
        let more = match wheels.is_empty() {
            true => Vec::new(),
            false => vec![self.write(&directory, "wheels.txt", &wheels)?],
        };
        let input = uv::Input::Pyproject(absolute(self.ask.context, path)?, more);
        let mut run = Run::new(input, list, &directory);
        (run.extras, run.groups) = (self.inputs.extras.clone(), self.inputs.groups.clone());
        run.secret = requirements.iter().filter_map(|one| one.url.as_deref()).any(is_secret);
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

    pub(super) fn run_uv(
        &self,
        run: &Run<'_>,
        without: &BTreeSet<&PackageName>,
        requested: &dyn Fn(&PackageName) -> bool,
    ) -> Result<Vec<Found>, Error> {
        let program = self.supply.uv().ok_or(uv::UvError::None)?;
        let mut indexes = Indexes { none: run.list.is_empty(), ..Indexes::default() };
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
        // `uv` takes a package from the first index that has its name, and looks at the default index last.
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
        // What `uv` remembers of addresses with logins and signatures is for this run alone.
        let cache = match run.secret {
            true => run.directory.directory("cache").map_err(|source| self.unwritten(source))?,
            false => self.supply.directory("uv").map_err(SupplyError::from)?,
        };
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
            cache: cache.clone(),
            offline: self.supply.is_offline(),
        };
        let invocation = request.invocation(self.ask.environment)?;
        let resolved = uv::run(&program, &invocation);
        if !run.secret {
            uv::forget_signed(&cache).map_err(|source| self.unwritten(source))?;
        }
        let resolved = resolved.map_err(|error| match error {
            uv::UvError::Network(reason) => {
                SupplyError::Unreachable { what: "an index of Python packages".to_owned(), reason }.into()
            }
            error => Error::from(error),
        })?;
        // That it has no interpreter of the image's version matters only to who builds something.
        for warning in resolved.warnings.iter().filter(|text| !text.starts_with("The requested Python version")) {
            self.reporter.warn(format!("uv: {warning}"));
        }
        let lock = || -> Result<Vec<Pick>, PylockError> {
            resolved.pylock.parse::<Pylock>()?.without(without).select(&self.inputs.target, &[], None)
        };
        let picks =
            lock().map_err(|error| Error::Pylock { path: "what `uv` resolved".to_owned(), source: Box::new(error) })?;
        Ok(picks.into_iter().map(|pick| Found::of(pick, requested)).collect())
    }

    pub(super) fn temporary(&self) -> Result<TemporaryDirectory, Error> {
        TemporaryDirectory::new(self.tmp).map_err(|source| self.unwritten(source))
    }

    fn write(&self, directory: &TemporaryDirectory, name: &str, text: &str) -> Result<std::path::PathBuf, Error> {
        let path = directory.write(name, text.as_bytes()).map_err(|source| self.unwritten(source))?;
        // `uv` runs elsewhere.
        std::path::absolute(&path).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> Error {
        Error::Tmp { tmp: Shown::new(self.tmp.as_os_str().as_encoded_bytes()), source }
    }
}

/// What differs from one run of `uv` to the other.
pub(super) struct Run<'a> {
    input: uv::Input,
    list: &'a IndexList,
    directory: &'a TemporaryDirectory,
    pub(super) extras: Vec<PackageName>,
    pub(super) groups: Vec<PackageName>,
    constraints: Vec<std::path::PathBuf>,
    /// Directories of wheels, from the context's on.
    links: Vec<String>,
    pre: bool,
    /// Whether what is asked for holds what may be secret.
    secret: bool,
}

/// Whether an address has a login or a query.
fn is_secret(text: &str) -> bool {
    let without_fragment = |mut url: Url| {
        url.set_fragment(None);
        url
    };
    text.parse::<Url>().is_ok_and(|url| without_secrets(url.clone()) != without_fragment(url))
}

impl<'a> Run<'a> {
    pub(super) fn new(input: uv::Input, list: &'a IndexList, directory: &'a TemporaryDirectory) -> Self {
        Run {
            input,
            list,
            directory,
            extras: Vec::new(),
            groups: Vec::new(),
            constraints: Vec::new(),
            links: Vec::new(),
            pre: false,
            secret: false,
        }
    }
}
