//! Where the files of pinned packages are: mirrors, snapshots, the build context.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use url::Url;

use crate::content::{Content, FileIdentity};
use crate::host::open_regular;
use crate::lock::DebPin;
use crate::oci::{Digest, Hasher};
use crate::recipe::packages::DebianSettings;
use crate::supply::settings::security_beside;
use crate::supply::{Supply, SupplyError, Wanted};

/// Why the file of a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is on no mirror that can be reached.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// A package of the recipe cannot be read.
    #[error("reading the package {path}, which the recipe names")]
    Read {
        /// As the recipe says it.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A package of the recipe is another one than was pinned.
    #[error("the package {path}, which the recipe names, is no longer the one that is pinned: lock again")]
    Another {
        /// As the recipe says it.
        path: String,
    },
}

/// Where archives are, by what a recipe and the machine say.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// What the recipe says.
    pub settings: &'a DebianSettings,
    /// What the machine says.
    pub supply: &'a dyn Supply,
}

impl Places<'_> {
    /// The roots of an archive's mirrors.
    ///
    /// # Errors
    /// [`SupplyError::NoMirror`].
    pub fn mirrors(&self, archive: &str) -> Result<Vec<Url>, SupplyError> {
        let own = self.settings.mirror.as_ref().map(|mirror| &mirror.value);
        let recipe = match (self.settings.archives.get(archive), archive) {
            (Some(further), _) => further.mirror.as_ref().map(|mirror| mirror.value.clone()),
            (None, "debian") => own.cloned(),
            (None, "debian-security") => own.and_then(security_beside),
            (None, _) => None,
        };
        let mut mirrors = self.supply.debian_mirrors(archive, recipe.as_ref())?;
        for mirror in mirrors.iter_mut().filter(|mirror| !mirror.path().ends_with('/')) {
            mirror.set_path(&format!("{}/", mirror.path()));
        }
        Ok(mirrors)
    }

    /// All places of a file of an archive: mirrors, then the snapshot of that date (RFC 3339).
    ///
    /// # Errors
    /// [`SupplyError::NoMirror`].
    pub fn of(&self, archive: &str, path: &str, date: Option<&str>) -> Result<Vec<Url>, SupplyError> {
        let mirrors = self.mirrors(archive);
        let template = self.snapshot(archive);
        let snapshot = template.zip(date).and_then(|(template, date)| snapshot(&template, archive, date, path));
        // Who has a snapshot needs no mirror.
        let mirrors = match (&snapshot, mirrors) {
            (Some(_), Err(SupplyError::NoMirror { .. })) => Vec::new(),
            (_, mirrors) => mirrors?,
        };
        let mut places: Vec<Url> = mirrors.iter().filter_map(|mirror| mirror.join(&format!("./{path}")).ok()).collect();
        places.extend(snapshot);
        Ok(places)
    }

    fn snapshot(&self, archive: &str) -> Option<String> {
        let further = self.settings.archives.get(archive).and_then(|archive| archive.snapshot.as_ref());
        let own = further.or(self.settings.snapshot.as_ref()).map(|template| template.value.clone());
        own.or_else(|| self.supply.debian_snapshot())
    }
}

/// A template with its parts filled in; `None` where that gives no address. `date` is in the form of RFC 3339.
fn snapshot(template: &str, archive: &str, date: &str, path: &str) -> Option<Url> {
    let timestamp = date.replace(['-', ':'], "");
    let filled = template.replace("{archive}", archive).replace("{timestamp}", &timestamp).replace("{path}", path);
    Url::parse(&filled).ok()
}

/// The files of pinned packages, in their order: those of archives by digest from wherever they are, those of the recipe
/// from the context. `dates` are those of the archives.
///
/// # Errors
/// [`FileError`].
pub fn fetch(
    pins: &[DebPin],
    dates: &BTreeMap<String, String>,
    settings: &DebianSettings,
    context: &Path,
    supply: &dyn Supply,
) -> Result<Vec<Content>, FileError> {
    let places = Places { settings, supply };
    let remote: Vec<&DebPin> = pins.iter().filter(|pin| !pin.archive.is_empty()).collect();
    let addresses: Vec<_> = remote
        .iter()
        .map(|pin| move || places.of(&pin.archive, &pin.path, dates.get(&pin.archive).map(String::as_str)))
        .collect();
    let wanted: Vec<Wanted<'_>> = remote
        .iter()
        .zip(&addresses)
        .map(|(pin, places)| Wanted {
            name: format!("{} {}", pin.name, pin.version),
            sha256: pin.sha256,
            size: Some(pin.size),
            places,
        })
        .collect();
    let files = if wanted.is_empty() { Vec::new() } else { supply.files(&wanted)? };
    let mut files = files.into_iter();
    let mut contents = Vec::with_capacity(pins.len());
    for pin in pins {
        match pin.archive.is_empty() {
            true => contents.push(local(pin, context)?),
            // As many came as were wanted.
            false => contents.extend(files.next()),
        }
    }
    Ok(contents)
}

/// A package of the context.
fn local(pin: &DebPin, context: &Path) -> Result<Content, FileError> {
    let failed = |source| FileError::Read { path: pin.path.clone(), source };
    let (content, sha256) = hashed(&context.join(&pin.path)).map_err(failed)?;
    match (content.len(), sha256) == (pin.size, pin.sha256) {
        true => Ok(content),
        false => Err(FileError::Another { path: pin.path.clone() }),
    }
}

/// A file of this machine as content that must stay what it is, with its digest.
///
/// # Errors
/// Where it is no file, or cannot be read.
pub fn hashed(path: &Path) -> io::Result<(Content, Digest)> {
    // Content is opened without following links.
    let place = path.canonicalize()?;
    let mut file = open_regular(&place)?;
    let identity = FileIdentity::of(&rustix::fs::fstat(&file)?);
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let sha256 = hasher.finish();
    Ok((Content::host(place, identity).with_digest(sha256), sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let date = "2026-01-02T03:04:05Z";
        let url = |template| snapshot(template, "debian", date, "pool/main/a/a_1_all.deb").map(String::from);
        assert_eq!(
            url("https://snapshot.example.com/{archive}/{timestamp}/{path}").unwrap(),
            "https://snapshot.example.com/debian/20260102T030405Z/pool/main/a/a_1_all.deb"
        );
        assert_eq!(url("{path}"), None);
        let security = |mirror: &str| security_beside(&Url::parse(mirror).unwrap()).map(String::from);
        assert_eq!(security("https://m.example.com/x/debian").unwrap(), "https://m.example.com/x/debian-security/");
        assert_eq!(
            security("https://m.example.com/debian/"),
            Some("https://m.example.com/debian-security/".to_owned())
        );
        assert_eq!(security("https://m.example.com/"), None);
    }
}
