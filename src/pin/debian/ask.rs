//! What a layer asks of Debian's archives, and the lines that say so in the lock.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::PinError;
use crate::content::Content;
use crate::debian::deb::{Deb, Limits};
use crate::debian::effects::accounts;
use crate::debian::resolve::{Pin, Root};
use crate::debian::staging::{Below, Staging};
use crate::debian::{archive_of, database};
use crate::host::open_regular;
use crate::lock::Asked;
use crate::oci::{Digest, Platform};
use crate::recipe::packages::{DebianPackage, DebianSettings, DebianSource};
use crate::recipe::{At, FilePath};
use crate::source::debian::hashed;

/// What is asked, and for which platform.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What the layer says.
    pub source: &'a DebianSource,
    /// What the recipe says of archives.
    pub settings: &'a DebianSettings,
    /// The image's platform.
    pub platform: &'a Platform,
    /// The directory that files of the recipe are found from.
    pub context: &'a Path,
}

/// The name of what was asked in lines that choose where packages come from: where these changed, versions that the
/// archives no longer have are not kept.
const PLACES: [&str; 3] = ["suite", "component", "archive"];

/// A suite that packages may come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskedSuite<'a> {
    pub(super) archive: &'a str,
    pub(super) suite: &'a str,
    pub(super) components: BTreeSet<&'a str>,
}

/// A package of the recipe that is a file.
pub(super) struct Local {
    /// As the recipe says it.
    pub(super) path: String,
    pub(super) content: Content,
    pub(super) sha256: Digest,
    /// With its control data alone.
    pub(super) deb: Deb,
}

/// What is asked, as the lock has it: equal where the same packages would be chosen from the same archives.
///
/// # Errors
/// Where a file of the recipe, or the database of packages below, cannot be read.
pub fn asked(ask: &Ask<'_>, below: &Below<'_>) -> Result<Asked, PinError> {
    ask.lines(below, &ask.locals()?)
}

/// Whether both questions are about the same archives.
pub(super) fn same_places(a: &Asked, b: &Asked) -> bool {
    let places = |asked: &Asked| -> Vec<String> {
        let place = |line: &&str| PLACES.iter().any(|kind| line.split(' ').next() == Some(kind));
        asked.lines().filter(place).map(str::to_owned).collect()
    };
    places(a) == places(b)
}

impl<'a> Ask<'a> {
    /// The suites of Debian's own archives and of the recipe's, whatever the order in which they are written.
    pub(super) fn suites(&self) -> BTreeSet<AskedSuite<'a>> {
        let components = |written: &'a [At<String>]| match written {
            [] => BTreeSet::from(["main"]),
            some => some.iter().map(|component| component.value.as_str()).collect(),
        };
        let own = self.source.suites.iter().map(|suite| AskedSuite {
            archive: archive_of(&suite.value),
            suite: &suite.value,
            components: components(&self.source.components),
        });
        let further = self.settings.archives.iter().flat_map(|(name, archive)| {
            archive.suites.iter().map(move |suite| AskedSuite {
                archive: name,
                suite: &suite.value,
                components: components(&archive.components),
            })
        });
        own.chain(further).collect()
    }

    /// Whether anything may come from an archive.
    pub(super) fn needs_archives(&self) -> bool {
        let named = |package: &At<DebianPackage>| matches!(package.value, DebianPackage::Named { .. });
        self.source.essential || self.source.packages.iter().any(named) || !self.suites().is_empty()
    }

    /// The architecture in Debian's words.
    pub(super) fn architecture(&self) -> Result<&'static str, PinError> {
        crate::debian::architecture(self.platform).ok_or_else(|| PinError::Architecture(self.platform.to_string()))
    }

    /// What is asked by name.
    pub(super) fn roots(&self) -> Result<Vec<Root>, PinError> {
        let mut roots = Vec::new();
        for package in &self.source.packages {
            let DebianPackage::Named { name, version, suite } = &package.value else { continue };
            let version = match version {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| PinError::Version(format!("{name}={text}")))?),
            };
            let pin = version.map(Pin::Version).or_else(|| suite.clone().map(Pin::Suite));
            roots.push(Root { name: name.clone(), architecture: None, pin });
        }
        Ok(roots)
    }

    /// What is asked by file.
    pub(super) fn locals(&self) -> Result<Vec<Local>, PinError> {
        let mut locals: Vec<Local> = Vec::new();
        for package in &self.source.packages {
            let DebianPackage::File(path) = &package.value else { continue };
            let path = path
                .resolve(&self.platform.architecture)
                .map_err(|error| PinError::FileName { reason: error.to_string() })?;
            locals.push(Local::read(&path, self.context)?);
        }
        Ok(locals)
    }

    /// A keyring of the recipe, and its digest.
    pub(super) fn keyring(&self, path: &FilePath) -> Result<(Vec<u8>, Digest), PinError> {
        let failed = |source| PinError::File { path: path.to_string(), source };
        let file = open_regular(&path.in_context(self.context)).map_err(failed)?;
        let mut bytes = Vec::new();
        // One byte more than is taken tells what is too long.
        file.take((8 << 20) + 1).read_to_end(&mut bytes).map_err(failed)?;
        let digest = Digest::of(&bytes);
        Ok((bytes, digest))
    }

    pub(super) fn lines(&self, below: &Below<'_>, locals: &[Local]) -> Result<Asked, PinError> {
        let mut asked = Asked::new();
        if self.source.strict {
            asked.add("strict", "");
        }
        for root in self.roots()? {
            asked.add("package", root.to_string());
        }
        for local in locals {
            asked.add("file", format!("{} {}", local.path, local.sha256));
        }
        for suite in self.suites() {
            match self.settings.archives.contains_key(suite.archive) {
                false => {
                    asked.add("suite", format!("{} {}", suite.archive, suite.suite));
                    for component in suite.components {
                        asked.add("component", component);
                    }
                }
                true => {
                    let components: Vec<&str> = suite.components.into_iter().collect();
                    asked.add("archive", format!("{} {} {}", suite.archive, suite.suite, components.join(" ")));
                }
            }
        }
        for (name, archive) in &self.settings.archives {
            if let Some(origin) = &archive.origin {
                asked.add("origin", format!("{name} {}", origin.value));
            }
            if let Some(path) = &archive.keyring {
                asked.add("keyring", format!("{name} {}", self.keyring(&path.value)?.1));
            }
        }
        if let Some(path) = &self.settings.keyring {
            asked.add("keyring", self.keyring(&path.value)?.1.to_string());
        }
        for (flag, word) in [(self.source.essential, "essential"), (self.source.recommends, "recommends")] {
            if flag {
                asked.add(word, "");
            }
        }
        for name in &self.source.without {
            asked.add("without", &name.value);
        }
        for name in &self.source.skip_scripts {
            asked.add("skip-scripts", &name.value);
        }
        let installed = database::read_installed(&Staging::on(below)).map_err(PinError::Below)?;
        if let Some(digest) = installed.packages.digest() {
            asked.add("installed", digest.to_string());
        }
        // Accounts of services get what is free: another base may have taken it.
        let taken = accounts::taken(&Staging::on(below)).map_err(PinError::Accounts)?;
        if !taken.is_empty() {
            asked.add("taken", Digest::of(taken.as_bytes()).to_string());
        }
        Ok(asked)
    }
}

impl Local {
    fn read(path: &FilePath, context: &Path) -> Result<Self, PinError> {
        let failed = |source| PinError::File { path: path.to_string(), source };
        let (content, sha256) = hashed(&path.in_context(context)).map_err(failed)?;
        let wrong = |source| PinError::LocalDeb { path: path.to_string(), source };
        let reader = content.open().map_err(|error| failed(error.into()))?;
        let deb = Deb::read_control(reader, path.as_str(), Limits::default()).map_err(wrong)?;
        Ok(Local { path: path.to_string(), content, sha256, deb })
    }
}
