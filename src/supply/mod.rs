//! Where files of packages come from: mirrors, indexes, downloads. The lock names files; this module knows places.

pub mod apt_sources;
pub mod credentials;
mod documents;
#[cfg(test)]
#[path = "../../tests/support/file_server.rs"]
pub(crate) mod file_server;
mod links;
mod local_file;
mod machine;
pub mod netrc;
pub mod pip;
mod programs;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod uv;

use std::path::PathBuf;

use url::Url;

use crate::code::Cause;
use crate::content::Content;
use crate::net::FetchError;
use crate::oci::Digest;
use crate::python::PackageName;
use crate::store::StoreError;

pub use machine::{Machine, Start};
pub use settings::{Settings, SettingsError};

/// Gets files and documents that packages come as, from wherever this machine is set up to have them.
pub trait Supply: Sync {
    /// Files by digest, in the order in which they are asked for: those in the cache from there, the others downloaded
    /// side by side and checked while they stream.
    ///
    /// # Errors
    /// [`SupplyError`]: the first file in order that cannot be had.
    fn files(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Content>, SupplyError>;

    /// A document that no digest is known of beforehand: an `InRelease`, a page of an index. What came last is
    /// remembered by address, and is all there is offline.
    ///
    /// # Errors
    /// [`SupplyError`]; [`SupplyError::Absent`] where it is not there.
    fn document(&self, address: &Url, accept: Option<&str>, limit: u64) -> Result<Document, SupplyError>;

    /// The roots of a Debian archive's mirrors, best first, each with a slash at its end. `recipe` is what the recipe says.
    ///
    /// # Errors
    /// [`SupplyError::NoMirror`].
    fn debian_mirrors(&self, archive: &str, recipe: Option<&Url>) -> Result<Vec<Url>, SupplyError>;

    /// Whether a variable of the environment says where an archive's mirrors are, and not the machine's apt sources.
    fn debian_is_of_variable(&self, _archive: &str) -> bool {
        false
    }

    /// Template of the place where files are that have left an archive's mirror, with `{archive}`, `{timestamp}` and `{path}`.
    fn debian_snapshot(&self) -> Option<String>;

    /// The index of Python packages that is meant by a name of the lock, with a slash at its end; `recipe` is what the
    /// recipe says of it. The machine's settings are asked for the index `default`, and for further ones by their place
    /// (`extra-1` is the first).
    ///
    /// # Errors
    /// [`SupplyError::NoIndex`], [`SupplyError::Setting`].
    fn python_index(&self, name: &str, recipe: Option<&Url>) -> Result<Url, SupplyError>;

    /// All indexes of the machine's settings: name for the lock and address, the most preferred first.
    ///
    /// # Errors
    /// [`SupplyError::Setting`].
    fn python_indexes(&self) -> Result<Vec<(String, Url)>, SupplyError>;

    /// An address with the login that the machine has for it, for another program's environment and nothing else: it is
    /// neither shown nor kept.
    fn with_login(&self, address: &Url) -> Url {
        address.clone()
    }

    /// The program `uv`, where the machine has one.
    fn uv(&self) -> Option<PathBuf>;

    /// A directory of the cache for what other programs keep there, made where it is missing. `name` is a plain word. Any
    /// file in it may go between two builds, by itself.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn directory(&self, name: &str) -> Result<PathBuf, StoreError>;

    /// Whether nothing may be downloaded.
    fn is_offline(&self) -> bool;
}

/// Finds the places of a file: asked only where the cache does not have it.
pub type Places<'a> = dyn Fn() -> Result<Vec<Url>, SupplyError> + Sync + 'a;

/// A file that is wanted.
pub struct Wanted<'a> {
    /// What messages call it.
    pub name: String,
    /// What it must be.
    pub sha256: Digest,
    /// Its length in bytes, where it is known.
    pub size: Option<u64>,
    /// Where it may be: the next place is tried where one does not have it, or has another file.
    pub places: &'a Places<'a>,
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its media type, empty where the server says none.
    pub content_type: String,
    /// Where it came from in the end, without credentials.
    pub address: Url,
}

/// Why a file or document cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// Nobody says where the archive is.
    #[error(
        "nothing says where the Debian archive `{archive}` is: set `mirror` in the recipe, LAPSTRAKE_DEBIAN_MIRROR, or the machine's apt sources"
    )]
    NoMirror {
        /// The archive.
        archive: String,
    },
    /// Nobody says where the index is.
    #[error(
        "nothing says where the Python index `{index}` is: set `index` in the recipe, LAPSTRAKE_PYTHON_INDEX, or `index-url` of pip or uv"
    )]
    NoIndex {
        /// The index, by its name in the lock.
        index: String,
    },
    /// What might say where the index is cannot be used.
    #[error(
        "{what} might say where Python packages come from, and cannot be used: {why}; mend it, or set LAPSTRAKE_PYTHON_INDEX, which is asked first"
    )]
    Setting {
        /// A file or variable of pip or uv.
        what: String,
        /// Why.
        why: String,
    },
    /// Not in the cache, and nothing may be downloaded.
    #[error("{what} is not in the cache, and --offline downloads nothing: build or lock once without --offline")]
    Offline {
        /// What is wanted.
        what: String,
    },
    /// It was found nowhere.
    #[error(
        "{what} is gone from its mirror or index ({places} looked at): lock again, or name a snapshot that still has it"
    )]
    Gone {
        /// What is wanted.
        what: String,
        /// How many places were asked.
        places: usize,
        /// What the last of them said.
        source: Box<FetchError>,
    },
    /// No place is known that it could come from.
    #[error("nothing says where {what} is")]
    Nowhere {
        /// What is wanted.
        what: String,
    },
    /// There is no such document.
    #[error("{what} is not there")]
    Absent {
        /// What is wanted.
        what: String,
        /// What was said.
        source: Box<FetchError>,
    },
    /// The network could not be started.
    #[error("starting the network to download {what}")]
    Network {
        /// What is wanted.
        what: String,
        /// Why.
        source: Cause,
    },
    /// Somebody who asked for us was given no answer.
    #[error("{what} could not be reached: {reason}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What is known of why.
        reason: String,
    },
    /// A download failed.
    #[error("downloading {what}")]
    Fetch {
        /// What is wanted.
        what: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// Its length is another one.
    #[error("{what} has {found} bytes, and {wanted} are pinned: the lock was edited, or the mirror has another file")]
    Size {
        /// What is wanted.
        what: String,
        /// What is pinned.
        wanted: u64,
        /// What came.
        found: u64,
    },
    /// An index has no such file.
    #[error("looking for {what} in the index")]
    Index {
        /// The file.
        what: String,
        /// Whose page it is.
        package: PackageName,
        /// Why.
        source: Box<crate::python::IndexError>,
    },
    /// The cache failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
