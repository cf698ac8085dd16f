//! Reading a `pylock.toml`.

use std::collections::BTreeMap;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use serde::Deserialize;

use super::{File, MAX_LOCK, Package, Place, Pylock, PylockError, Source};
use crate::python::{PackageName, WheelName};
use crate::shown::Shown;

impl FromStr for Pylock {
    type Err = PylockError;

    fn from_str(text: &str) -> Result<Self, PylockError> {
        if text.len() > MAX_LOCK {
            return Err(PylockError::TooLong);
        }
        let raw: RawLock = toml::from_str(text).map_err(|error| {
            // The error of the crate shows the line, which may hold a URL with credentials: only its words are kept.
            let line = error.span().map_or(0, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
            PylockError::Toml(format!("{} (line {line})", Shown::new(error.message().as_bytes()).bare()))
        })?;
        if raw.lock_version.split('.').next() != Some("1") {
            return Err(PylockError::Version(Shown::new(raw.lock_version.as_bytes())));
        }
        let names = |names: Vec<String>| names.iter().map(|name| name.parse()).collect::<Result<Vec<PackageName>, _>>();
        let marker =
            |text: &String| text.parse().map_err(|source| PylockError::Marker { of: "the lock".to_owned(), source });
        Ok(Pylock {
            requires_python: raw.requires_python.as_deref().map(|text| specifiers("the lock", text)).transpose()?,
            environments: raw.environments.iter().map(marker).collect::<Result<_, _>>()?,
            extras: names(raw.extras)?,
            groups: names(raw.dependency_groups)?,
            default_groups: names(raw.default_groups)?,
            packages: raw.packages.into_iter().map(Package::check).collect::<Result<_, _>>()?,
        })
    }
}

fn specifiers(of: &str, text: &str) -> Result<VersionSpecifiers, PylockError> {
    text.parse().map_err(|_| PylockError::Package {
        package: Shown::new(of.as_bytes()),
        reason: format!("its requires-python {} is none", Shown::new(text.as_bytes())),
    })
}

impl Package {
    fn check(raw: RawPackage) -> Result<Self, PylockError> {
        let package = Shown::new(raw.name.as_bytes());
        let refused = |reason: &str| PylockError::Package { package: package.clone(), reason: reason.to_owned() };
        let name: PackageName = raw.name.parse()?;
        let version = match &raw.version {
            Some(text) => Some(text.parse::<Version>().map_err(|_| refused("its version is none"))?),
            None => None,
        };
        let of = || format!("the package {name} of the lock");
        let marker = raw.marker.as_deref().map(str::parse).transpose();
        let marker = marker.map_err(|source| PylockError::Marker { of: of(), source })?;
        let files = raw.sdist.is_some() || !raw.wheels.is_empty();
        let sources = [raw.vcs.is_some(), raw.directory.is_some(), raw.archive.is_some(), files];
        if sources.iter().filter(|there| **there).count() != 1 {
            return Err(refused("it must have one source: files (`wheels`, `sdist`), `archive`, `directory` or `vcs`"));
        }
        let source = if raw.vcs.is_some() {
            Source::Other("a repository")
        } else if raw.directory.is_some() {
            Source::Other("a directory")
        } else if let Some(archive) = raw.archive {
            let (file_name, file) = archive.check(&refused)?;
            match file_name.ends_with(".whl") {
                true => {
                    let wheel = wheel_name(&name, version.as_ref(), &file_name)?;
                    Source::Wheel(Box::new((wheel, file)))
                }
                false => Source::Other("a source archive"),
            }
        } else {
            let mut wheels = Vec::with_capacity(raw.wheels.len());
            for raw in raw.wheels {
                let (file_name, file) = raw.check(&refused)?;
                wheels.push((wheel_name(&name, version.as_ref(), &file_name)?, file));
            }
            let sdist = raw.sdist.map(|sdist| sdist.check(&refused)).transpose()?.map(|(name, _)| name);
            Source::Files { wheels, sdist }
        };
        let requires_python = raw.requires_python.as_deref().map(|text| specifiers(name.as_str(), text)).transpose()?;
        Ok(Package { marker, version, requires_python, index: raw.index, source, name })
    }
}

/// A wheel's name that fits its package.
fn wheel_name(package: &PackageName, version: Option<&Version>, file: &str) -> Result<WheelName, PylockError> {
    let wheel: WheelName = file.parse().map_err(|source| PylockError::Wheel { package: package.clone(), source })?;
    // A version without a local part may have wheels with one.
    let same_version = version.is_none_or(|version| {
        wheel.version() == version
            || (version.local().is_empty() && wheel.version().clone().without_local() == *version)
    });
    match wheel.name() == package && same_version {
        true => Ok(wheel),
        false => Err(PylockError::Package {
            package: Shown::new(package.as_str().as_bytes()),
            reason: format!("its wheel {wheel} is of another package or version"),
        }),
    }
}

pub(super) fn last_component(place: &str) -> &str {
    let place = place.split(['?', '#']).next().unwrap_or(place);
    place.rsplit('/').next().unwrap_or(place)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    lock_version: String,
    #[serde(default)]
    environments: Vec<String>,
    requires_python: Option<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    index: Option<String>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<RawFile>,
    sdist: Option<RawFile>,
    #[serde(default)]
    wheels: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl RawFile {
    /// The file's name and the rest.
    fn check(self, refused: &dyn Fn(&str) -> PylockError) -> Result<(String, File), PylockError> {
        let place = match (self.url, self.path) {
            // Both may be there; the path is then a copy that may be gone.
            (Some(url), _) if url.contains("://") => Place::Url(url),
            (Some(_), _) => return Err(refused("the URL of a file is none")),
            (None, Some(path)) => Place::Path(path),
            (None, None) => return Err(refused("a file has neither `url` nor `path`")),
        };
        let component = match &place {
            Place::Url(place) | Place::Path(place) => last_component(place),
        };
        // `%2B` stands for the plus of a local version.
        let name = self.name.unwrap_or_else(|| component.replace("%2B", "+").replace("%2b", "+"));
        if self.hashes.is_empty() {
            return Err(refused("a file has no hashes"));
        }
        let sha256 = match self.hashes.get("sha256") {
            Some(hex) => {
                let digest = format!("sha256:{}", hex.to_ascii_lowercase()).parse();
                Some(digest.map_err(|_| refused("the sha256 of a file is not 64 hexadecimal digits"))?)
            }
            None => None,
        };
        Ok((name, File { place, size: self.size, sha256 }))
    }
}
