//! Why packages cannot be pinned.

use std::io;

use super::Ask;
use crate::debian::database::DatabaseError;
use crate::debian::deb::DebError;
use crate::debian::keyring::KeyringError;
use crate::debian::packages::PackagesError;
use crate::debian::release::ReleaseError;
use crate::debian::resolve::SolveError;
use crate::debian::staging::StagingError;
use crate::debian::unpack::UnpackError;
use crate::recipe::Span;
use crate::recipe::packages::DebianPackage;
use crate::source::debian::FileError;
use crate::supply::SupplyError;

/// Whose affair an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The recipe says something that cannot be.
    Recipe,
    /// What is asked does not fit together, or with what is below.
    Unresolvable,
    /// A mirror, or the way to it; also where what comes from there is not what was signed or pinned, since another
    /// mirror mends that.
    Network,
    /// This machine: its disk, its settings.
    Machine,
}

/// A package whose scripts are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub package: String,
    /// How it came in: `apache2 → apache2-bin`.
    pub chain: String,
    /// Its scripts and what they call.
    pub scripts: String,
}

/// Why packages cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// No suite is named.
    #[error("nothing says which suites of Debian the packages come from: write `suites = {example}` in `[debian]`")]
    NoSuites {
        /// What may be written.
        example: String,
    },
    /// Debian has no such architecture.
    #[error("Debian has no packages for the platform {0}")]
    Architecture(String),
    /// A version that is none.
    #[error("{0} asks for what is no version of a package")]
    Version(String),
    /// A path that is none for this platform.
    #[error("the path of a package: {reason}")]
    FileName {
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the recipe names cannot be read.
    #[error("reading {path}, which the recipe names")]
    File {
        /// As the recipe says it.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A package of the recipe is none.
    #[error("{path} is no package that can be taken")]
    LocalDeb {
        /// As the recipe says it.
        path: String,
        /// Why.
        source: DebError,
    },
    /// What a package of the recipe says of itself is wrong.
    #[error("{path} is no package that can be taken")]
    Local {
        /// As the recipe says it.
        path: String,
        /// Why.
        source: PackagesError,
    },
    /// Keys that are none.
    #[error("the keys in {path} cannot be used")]
    Keyring {
        /// As the recipe says it; empty for Debian's own.
        path: String,
        /// Why.
        source: KeyringError,
    },
    /// The archive does not have the suite.
    #[error("the archive `{archive}` has no suite `{suite}`{hint}, or {mirror} is no mirror of it (named by {origin})")]
    NoSuite {
        /// The archive.
        archive: String,
        /// What the recipe says.
        suite: String,
        /// What may have been meant.
        hint: String,
        /// The mirror that was asked first.
        mirror: String,
        /// Who named it.
        origin: &'static str,
        /// What its mirrors said.
        source: Box<SupplyError>,
    },
    /// An archive went back in time.
    #[error(
        "the mirror of `{archive}` is of {now}, older than what was locked ({then}): it lags behind, or somebody gives out what \
         was once true; wait or name another mirror, or take it all the same with `lapstrake lock --update {archive}`"
    )]
    Older {
        /// The archive.
        archive: String,
        /// What its mirror has.
        now: String,
        /// What was locked.
        then: String,
    },
    /// The suite does not have the component.
    #[error("the suite `{suite}` of the archive `{archive}` has no component `{component}`: it has {there}")]
    NoComponent {
        /// The archive.
        archive: String,
        /// The suite.
        suite: String,
        /// What the recipe says.
        component: String,
        /// What there is.
        there: String,
    },
    /// The suite is not for the architecture.
    #[error("the suite `{suite}` of the archive `{archive}` has nothing for {architecture}: it has {there}")]
    NoArchitecture {
        /// The archive.
        archive: String,
        /// The suite.
        suite: String,
        /// The image's, in Debian's words.
        architecture: String,
        /// What there is.
        there: String,
    },
    /// What a mirror has is not believed.
    #[error("{address} is not believed")]
    Release {
        /// The file.
        address: String,
        /// Why.
        source: ReleaseError,
    },
    /// An index of packages cannot be read.
    #[error("reading the packages of {suite}")]
    Index {
        /// Archive and suite.
        suite: String,
        /// Why.
        source: PackagesError,
    },
    /// A file cannot be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// A package's file cannot be had.
    #[error(transparent)]
    Package(#[from] FileError),
    /// There is no answer.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// A package is refused.
    #[error("the package {package} is refused")]
    Deb {
        /// The package, with its version.
        package: String,
        /// Why.
        source: DebError,
    },
    /// Scripts that nobody knows.
    #[error("what these packages do when they are installed is not known, and nothing of it is run: {}; \
             where the image works without it, write `skip_scripts = [{}]`", told(.0), names(.0))]
    Scripts(Vec<Unknown>),
    /// Scripts whose work is left out in part.
    #[error("`strict` is on, and of what packages do when they are installed this is left out: {left_out}")]
    Strict {
        /// What, and by which packages.
        left_out: String,
    },
    /// What is installed below cannot be read.
    #[error("reading which packages are below")]
    Below(#[source] DatabaseError),
    /// Accounts of services cannot be given numbers.
    #[error("giving numbers to the accounts of services")]
    Accounts(#[source] StagingError),
    /// What accounts are read from cannot be laid out.
    #[error("giving numbers to the accounts of services")]
    Unpack(#[source] UnpackError),
    /// A temporary file cannot be made.
    #[error("keeping files of packages")]
    Spool(#[source] io::Error),
}

fn told(unknown: &[Unknown]) -> String {
    let tell = |unknown: &Unknown| match unknown.chain.contains('→') {
        true => format!("{} ({})", unknown.scripts, unknown.chain),
        false => unknown.scripts.clone(),
    };
    unknown.iter().map(tell).collect::<Vec<_>>().join("; ")
}

fn names(unknown: &[Unknown]) -> String {
    unknown.iter().map(|unknown| format!("\"{}\"", unknown.package)).collect::<Vec<_>>().join(", ")
}

impl PinError {
    /// Whose affair it is.
    pub fn fault(&self) -> Fault {
        match self {
            PinError::NoSuites { .. }
            | PinError::Architecture(_)
            | PinError::Version(_)
            | PinError::FileName { .. }
            | PinError::File { .. }
            | PinError::LocalDeb { .. }
            | PinError::Local { .. }
            | PinError::Keyring { .. }
            | PinError::Solve(SolveError::Contradiction(_)) => Fault::Recipe,
            PinError::NoSuite { .. }
            | PinError::NoComponent { .. }
            | PinError::NoArchitecture { .. }
            | PinError::Scripts(_)
            | PinError::Strict { .. }
            | PinError::Solve(_)
            | PinError::Below(_)
            // These are as they were signed: no mirror is to blame, and none will mend it.
            | PinError::Index { .. }
            | PinError::Deb { .. }
            | PinError::Accounts(_)
            | PinError::Unpack(_) => Fault::Unresolvable,
            PinError::Package(FileError::Supply(error)) | PinError::Supply(error) => fault_of(error),
            PinError::Package(FileError::Read { .. } | FileError::Another { .. }) => Fault::Recipe,
            PinError::Release { .. } | PinError::Older { .. } => Fault::Network,
            PinError::Spool(_) => Fault::Machine,
        }
    }

    /// Where the recipe says what is wrong, if it is one place.
    pub fn span(&self, ask: &Ask<'_>) -> Option<Span> {
        let named = |wanted: &str| {
            let mut packages = ask.source.packages.iter();
            packages
                .find(|package| matches!(&package.value, DebianPackage::Named { name, .. } if name == wanted))
                .map(|package| package.span)
        };
        match self {
            PinError::Solve(
                SolveError::Unknown { name, .. }
                | SolveError::Ambiguous { name, .. }
                | SolveError::NotAvailable { name, .. },
            ) => named(&name.name),
            PinError::Solve(SolveError::Contradiction(name)) => {
                let without = ask.source.without.iter().find(|without| without.value == *name);
                without.map(|without| without.span).or_else(|| named(name))
            }
            PinError::Version(text) => named(text.split('=').next().unwrap_or_default()),
            PinError::NoSuite { archive, suite, .. } | PinError::NoArchitecture { archive, suite, .. } => {
                let further = ask.settings.archives.get(archive).map(|archive| &archive.suites);
                let suites = further.unwrap_or(&ask.source.suites);
                suites.iter().find(|written| written.value == *suite).map(|written| written.span)
            }
            PinError::NoComponent { archive, component, .. } => {
                let further = ask.settings.archives.get(archive).map(|archive| &archive.components);
                let components = further.unwrap_or(&ask.source.components);
                components.iter().find(|written| written.value == *component).map(|written| written.span)
            }
            PinError::File { path, .. } | PinError::LocalDeb { path, .. } | PinError::Local { path, .. } => {
                let fits = |package: &DebianPackage| match package {
                    DebianPackage::File(file) => {
                        file.resolve(&ask.platform.architecture).is_ok_and(|file| file.as_str() == path)
                    }
                    DebianPackage::Named { .. } => false,
                };
                let package = ask.source.packages.iter().find(|package| fits(&package.value));
                let own = ask.settings.keyring.iter();
                let further = ask.settings.archives.values().filter_map(|archive| archive.keyring.as_ref());
                let mut keyrings = own.chain(further);
                package
                    .map(|package| package.span)
                    .or_else(|| keyrings.find(|file| file.value.as_str() == path).map(|file| file.span))
            }
            PinError::Keyring { path, .. } => {
                let own = ask.settings.keyring.iter();
                let further = ask.settings.archives.values().filter_map(|archive| archive.keyring.as_ref());
                own.chain(further).find(|file| file.value.as_str() == path).map(|file| file.span)
            }
            _ => None,
        }
    }
}

/// Whose affair it is that a file cannot be had.
fn fault_of(error: &SupplyError) -> Fault {
    match error {
        SupplyError::NoMirror { .. } | SupplyError::NoIndex { .. } | SupplyError::Store(_) => Fault::Machine,
        _ => Fault::Network,
    }
}
