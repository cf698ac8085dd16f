//! Python packages, pinned: one wheel for each package, for the image's own interpreter and platform.
//!
//! A lock that somebody else made (`pylock.toml`, a requirements file with hashes) is taken as it is; the rest is resolved
//! with `uv`, which is the only program that is run, and only here. No wheel of an index is read for that.

mod inputs;
mod local;
mod resolve;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use url::Url;

pub use self::inputs::needs_uv;
use self::inputs::{Inputs, What};
pub(crate) use self::resolve::page;
pub use self::resolve::pin;
use crate::limits::Limits;
use crate::lock::Asked;
use crate::oci::{Digest, Platform};
use crate::pin::debian::Fault;
use crate::python::meaning::without_secrets;
use crate::python::{
    IndexError, IndexList, InstallError, Interpreter, Libc, MarkerError, PackageName, PylockError, PythonVersion,
    RequirementsError, TagsError, Target, WheelNameError, uv,
};
use crate::recipe::packages::{PythonSource, PythonTarget};
use crate::shown::Shown;
use crate::supply::{Supply, SupplyError};

/// What is assumed where an image has no C library yet: the oldest that distributions still look after.
const OLDEST_GLIBC: Libc = Libc::Glibc { major: 2, minor: 28 };

/// Everything that decides which packages are asked for.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `python` of the layer.
    pub source: &'a PythonSource,
    /// What the image is for.
    pub platform: &'a Platform,
    /// The directory that the recipe's paths are relative to.
    pub context: &'a Path,
    /// The Python that the layers below have, where they have one.
    pub interpreter: Option<&'a Interpreter>,
    /// The C library of the layers below, where they have one but no Python.
    pub libc: Option<Libc>,
    /// The environment of the process: `${NAME}` of requirements files, and what `uv` may see of it.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// How much each wheel may hold: no part of what is asked.
    pub limits: Limits,
}

/// Why Python packages cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter to choose wheels for.
    #[error("the image has no Python: add one in a layer below (Debian's `python3`), or give `version` and `target`")]
    NoPython,
    /// The recipe's version is none.
    #[error("the recipe's `version` {0} is no Python version")]
    Version(Shown),
    /// The recipe's version is not the image's.
    #[error("the image has Python {found}, and the recipe says `version = \"{wanted}\"`: leave `version` out")]
    OtherVersion {
        /// What the recipe says.
        wanted: String,
        /// What the image has.
        found: PythonVersion,
    },
    /// A path of the recipe makes no sense for the architecture.
    #[error(transparent)]
    Arch(#[from] crate::recipe::path::ArchError),
    /// A file cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// A requirements file.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// A lock, or what `uv` gave.
    #[error("{path}")]
    Pylock {
        /// The file.
        path: String,
        /// What is wrong.
        source: Box<PylockError>,
    },
    /// A `uv.lock` by another name.
    #[error("{0} must be called `uv.lock` and lie beside its `pyproject.toml`: `uv` finds it nowhere else")]
    UvLock(Shown),
    /// A `pyproject.toml` cannot be read.
    #[error("{path} is no such TOML: {reason}")]
    Pyproject {
        /// The file.
        path: Shown,
        /// What is wrong.
        reason: String,
    },
    /// No wheel is meant.
    #[error("no wheel fits the pattern {0}")]
    NoMatch(Shown),
    /// A pattern is malformed.
    #[error(transparent)]
    Glob(#[from] crate::context::GlobError),
    /// The name of a wheel is none.
    #[error(transparent)]
    WheelName(#[from] WheelNameError),
    /// A wheel is for something else.
    #[error("the wheel {path} is not for {target}")]
    Unfit {
        /// The wheel.
        path: Shown,
        /// Interpreter, platform and C library.
        target: String,
    },
    /// Two wheels of one package.
    #[error("both {first} and {second} are wheels of {package}: name the one that is meant")]
    Two {
        /// The package.
        package: PackageName,
        /// The one.
        first: Shown,
        /// The other.
        second: Shown,
    },
    /// A wheel of the context cannot be read.
    #[error(transparent)]
    Wheel(#[from] InstallError),
    /// Something needs another Python.
    #[error("{what} needs Python {wanted}, and the image has {found}")]
    Python {
        /// A wheel, or a file of the context.
        what: String,
        /// What it needs.
        wanted: Shown,
        /// What the image has.
        found: PythonVersion,
    },
    /// A marker has no value.
    #[error("{place}: the condition cannot be evaluated")]
    Marker {
        /// The line.
        place: String,
        /// Why.
        source: MarkerError,
    },
    /// The platform has no wheels.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// A URL of a requirements file is none.
    #[error("the {what} of the requirements file is no URL that can be used")]
    Url {
        /// What it is for.
        what: &'static str,
    },
    /// A variable would get into the lock.
    #[error(
        "{place}: a variable can only be the user or the password of a URL here, since the rest of it is written into the lock"
    )]
    Filled {
        /// The line.
        place: String,
    },
    /// A URL has several hashes.
    #[error("{place} names one file, and so needs one `--hash`")]
    Hashes {
        /// The line.
        place: String,
    },
    /// A package is asked for twice.
    #[error("{place} asks for {package} again, in another version or as another file")]
    Again {
        /// The line.
        place: String,
        /// The package.
        package: PackageName,
    },
    /// A local wheel is not what a line pins.
    #[error("{place}: the wheel {path} has another digest than its `--hash`")]
    OtherFile {
        /// The line.
        place: String,
        /// The file.
        path: Shown,
    },
    /// An index has no wheel that fits.
    #[error("{package} has no wheel for {target}{}: {advice}", if *.sdist { ", only a source archive, which would have to run code to install" } else { " among the files with these hashes" })]
    NoWheel {
        /// The package with its version.
        package: String,
        /// Interpreter, platform and C library.
        target: String,
        /// Whether there is a source archive.
        sdist: bool,
        /// What to do.
        advice: String,
    },
    /// An index has the wheel with other bytes.
    #[error(transparent)]
    OtherHash(Box<OtherHash>),
    /// No index has the file.
    #[error("no index has {file} ({})", if .looked.is_empty() { "there is none that knows the package".to_owned() } else { format!("looked at: {}", .looked.join(", ")) })]
    Nowhere {
        /// The file or package.
        file: String,
        /// The indexes, by name.
        looked: Vec<String>,
    },
    /// A page of an index.
    #[error("the page of {package} in the index {index}")]
    Index {
        /// The package.
        package: PackageName,
        /// The index, by its name in the lock.
        index: String,
        /// What is wrong.
        source: Box<IndexError>,
    },
    /// A document or file cannot be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// `uv`.
    #[error(transparent)]
    Uv(#[from] uv::UvError),
    /// A temporary file.
    #[error("writing a temporary file in {tmp}")]
    Tmp {
        /// The directory.
        tmp: Shown,
        /// Why.
        source: io::Error,
    },
}

/// A file of an index is not the one that is pinned.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} of the index {index} has the digest {found}, and {place} says {wanted}: it is another file than the one that was pinned there"
)]
pub struct OtherHash {
    /// The file.
    pub file: String,
    /// The index, by its name in the lock.
    pub index: String,
    /// The digest of the index.
    pub found: Digest,
    /// Where the pinned ones are written.
    pub place: String,
    /// Those.
    pub wanted: String,
}

impl Error {
    /// Whose affair it is. A file that the recipe names and that is not there is the recipe's; an index that answers that it has
    /// no such file, or another one, has answered.
    pub fn fault(&self) -> Fault {
        let of_file = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::Recipe,
            _ => of_disk(error),
        };
        match self {
            Error::Read { source, .. } | Error::Requirements(RequirementsError::Read { source, .. }) => of_file(source),
            Error::NoMatch(_) | Error::UvLock(_) => Fault::Recipe,
            Error::Supply(SupplyError::NoMirror { .. } | SupplyError::NoIndex { .. } | SupplyError::Index { .. }) => {
                Fault::Unresolvable
            }
            Error::Supply(SupplyError::Store(_) | SupplyError::Setting { .. }) => Fault::Machine,
            Error::Supply(_) | Error::Uv(uv::UvError::Network(_)) => Fault::Network,
            Error::Tmp { source, .. } => of_disk(source),
            _ => Fault::Unresolvable,
        }
    }
}

fn of_disk(error: &io::Error) -> Fault {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied => Fault::Machine,
        _ => Fault::Unresolvable,
    }
}

impl Ask<'_> {
    /// What wheels are chosen for.
    ///
    /// # Errors
    /// [`Error::NoPython`], [`Error::Version`], [`Error::OtherVersion`].
    pub fn target(&self) -> Result<Target, Error> {
        let said = self.source.version.as_ref().map(|version| version.value.as_str());
        let said: Option<(&str, PythonVersion)> = match said {
            Some(text) => Some((text, text.parse().map_err(|_| Error::Version(Shown::new(text.as_bytes())))?)),
            None => None,
        };
        let has_own_place = matches!(self.source.target, PythonTarget::Directory(_));
        let (version, libc, free_threaded) = match (self.interpreter, said) {
            (Some(found), None) => (found.version, found.libc, found.free_threaded),
            (Some(found), Some((text, said))) => {
                let same = match text.matches('.').count() {
                    1 => (said.major, said.minor) == (found.version.major, found.version.minor),
                    _ => said == found.version,
                };
                match (same, has_own_place) {
                    (true, _) => (found.version, found.libc, found.free_threaded),
                    // A directory may be for the interpreter of another image.
                    (false, true) => (said, found.libc, false),
                    (false, false) => {
                        return Err(Error::OtherVersion { wanted: text.to_owned(), found: found.version });
                    }
                }
            }
            (None, Some((_, said))) if has_own_place => (said, self.libc.unwrap_or(OLDEST_GLIBC), false),
            (None, _) => return Err(Error::NoPython),
        };
        Ok(Target { version, platform: self.platform.clone(), libc, free_threaded })
    }
}

/// What a layer asks for, for one platform: the files that say so by digest, the interpreter, the names of indexes. Where
/// things go, and whether they are compiled, is not part of it.
///
/// # Errors
/// [`Error`]: files that cannot be read, wheels of the context that do not fit.
pub fn asked(ask: &Ask<'_>) -> Result<Asked, Error> {
    Ok(Inputs::read(ask)?.asked)
}

/// The indexes that a layer's wheels come from, by their names in the lock: the recipe's, else those of its requirements
/// files, else the machine's.
///
/// # Errors
/// [`Error`].
pub fn indexes(ask: &Ask<'_>, supply: &dyn Supply) -> Result<IndexList, Error> {
    indexes_of(ask, &Inputs::read(ask)?, supply)
}

fn indexes_of(ask: &Ask<'_>, inputs: &Inputs, supply: &dyn Supply) -> Result<IndexList, Error> {
    let said = match &inputs.what {
        What::Requirements(requirements) => requirements.indexes.clone(),
        _ => Default::default(),
    };
    let mut list = IndexList::new();
    if said.none {
        return links(list, &said.find_links);
    }
    let url = |what, text: &str| -> Result<Url, Error> {
        let url: Url = text.parse().map_err(|_| Error::Url { what })?;
        match matches!(url.scheme(), "https" | "http" | "file") {
            true => Ok(url),
            false => Err(Error::Url { what }),
        }
    };
    // As `uv` does it: what is named beside the main index is looked at first.
    for (number, text) in said.extra.iter().enumerate() {
        let name = format!("requirements-{}", number + 1);
        let address = url("`--extra-index-url`", text)?;
        list.add(&name, supply.python_index(&name, Some(&address))?, false);
    }
    if !ask.source.indexes.is_empty() {
        for index in &ask.source.indexes {
            list.add(&index.name, supply.python_index(&index.name, Some(&index.url.value))?, false);
        }
    } else if let Some(text) = &said.index {
        let address = url("`--index-url`", text)?;
        list.add("default", supply.python_index("default", Some(&address))?, false);
    } else {
        let machine = supply.python_indexes()?;
        if machine.is_empty() && said.find_links.is_empty() {
            list.add("default", supply.python_index("default", None)?, false);
        }
        for (name, address) in machine {
            list.add(name, address, false);
        }
    }
    links(list, &said.find_links)
}

/// Adds pages of links; directories are looked at with the files of the context.
fn links(mut list: IndexList, links: &[String]) -> Result<IndexList, Error> {
    for (number, text) in links.iter().filter(|text| text.contains("://")).enumerate() {
        let address = text.parse().map_err(|_| Error::Url { what: "`--find-links`" })?;
        list.add(format!("links-{}", number + 1), address, true);
    }
    Ok(list)
}

/// The URL of a wheel that a lock names by it, as the file of the context has it: with login and query, which no lock holds.
pub(crate) fn with_login(ask: &Ask<'_>, url: &Url) -> Url {
    Inputs::read(ask).map_or_else(|_| url.clone(), |inputs| own_url(&inputs.what, url))
}

/// An address as what asks for it has it; as it is, where nothing does.
fn own_url(what: &What, url: &Url) -> Url {
    let addresses: Vec<&str> = match what {
        What::Requirements(requirements) => {
            requirements.entries.iter().filter_map(|line| line.item.address()).collect()
        }
        What::Pyproject(_, requirements) => requirements.iter().filter_map(|one| one.url.as_deref()).collect(),
        What::Nothing | What::Pylock(..) | What::UvLock(..) => Vec::new(),
    };
    let bare = without_secrets(url.clone());
    let mut own = addresses.into_iter().filter_map(|text| text.parse::<Url>().ok());
    own.find(|own| without_secrets(own.clone()) == bare).unwrap_or_else(|| url.clone())
}

/// A wheel of the context that a lock names by its path, with its digest.
pub(crate) fn open_local(context: &Path, path: &str) -> Result<crate::content::Content, Error> {
    Ok(self::local::LocalWheel::open(context, path)?.content)
}

/// The Debian packages that make a CPython which compiles for that version; with what they depend on.
pub fn compiler_packages(version: PythonVersion) -> Vec<String> {
    vec![format!("python{}-minimal", version.short())]
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
