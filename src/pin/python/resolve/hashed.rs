//! Requirements with hashes: nothing is left to resolve.

use std::collections::BTreeMap;

use pep440_rs::Version;

use super::super::OtherHash;
use super::super::local::LocalWheel;
use super::{Error, Found, Resolving, SIDE_BY_SIDE, check_python, describe, lockable, page, wheel_of};
use crate::parallel;
use crate::python::debian_names::advice;
use crate::python::pylock::Place;
use crate::python::requirements::{Item, Line};
use crate::python::{IndexList, PackageName, Requirements, WheelName};
use crate::shown::Shown;

impl Resolving<'_> {
    /// Requirements with hashes: each line is one package, and nothing is left to resolve.
    pub(super) fn hashed(&self, requirements: &Requirements, list: &IndexList) -> Result<Vec<Found>, Error> {
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
        Ok(Some(Found { wheel, place, size: None, sha256, direct: true, index: None, said: None, requested: true }))
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
        let mut other = None;
        for index in list.iter() {
            let Some(page) = page(self.supply, index, name)? else { continue };
            known = true;
            if let Some((wheel, file)) = page.best(version, Some(&line.hashes), tags, Some(target.version)) {
                let Some(sha256) = file.sha256 else { continue };
                return Ok(Found {
                    wheel,
                    place: Place::Url(file.url.to_string()),
                    size: file.size,
                    sha256,
                    direct: false,
                    index: Some(index.name.clone()),
                    said: None,
                    requested: true,
                });
            }
            if let Some((wheel, file)) = page.best(version, Some(&line.hashes), tags, None) {
                check_python(&wheel.to_string(), file.requires_python.as_deref(), target)?;
            }
            if let Some((wheel, file)) = page.best(version, None, tags, Some(target.version)) {
                let digest = file.sha256.filter(|found| !line.hashes.contains(found));
                other = other.or(digest.map(|found| (wheel.to_string(), index.name.clone(), found)));
            }
            sdist |= page.files().iter().any(|file| {
                !file.name.ends_with(".whl") && file.sha256.is_some_and(|sha256| line.hashes.contains(&sha256))
            });
        }
        let version = version.to_string();
        if !known {
            return Err(Error::Nowhere { file: name.to_string(), looked: Vec::new() });
        }
        if let Some((file, index, found)) = other.filter(|_| !sdist) {
            let wanted = line.hashes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let place = line.place.to_string();
            return Err(Error::OtherHash(Box::new(OtherHash { file, index, found, place, wanted })));
        }
        Err(Error::NoWheel {
            package: format!("{name} {version}"),
            target: describe(target),
            sdist,
            advice: advice(name, Some(&version)),
        })
    }
}
