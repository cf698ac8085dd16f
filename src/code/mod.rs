//! Codes of errors: `L0301` is the name of a kind of failure that people can do something about, and stays what it is.
//!
//! Every error that can reach a user has one: [`Coded`] is what commands and causes ask for, so that an error without a code
//! does not compile. An error that passes on another one passes on its code, so that the most specific one is shown. What is
//! said of each code is in `pages`; `docs/errors.md` is made of it.

mod cause;
mod kinds;
mod page;
mod pages;

pub(crate) use cause::io_or;
pub use cause::{Cause, Coded, Told, advice, causes, of_registries};
pub use page::{Page, markdown};

use std::fmt;
use std::str::FromStr;

use crate::nearest::nearest;
use pages::{base, context, debian, lock, machine, network, place, python, recipe, usage};

macro_rules! codes {
    ($($name:ident = $number:literal => $module:ident::$page:ident;)+) => {
        /// The code of an error. The hundreds are the area.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum ErrorCode {
            $(#[doc = concat!("`L", stringify!($number), "`")] $name = $number,)+
        }

        impl ErrorCode {
            /// All codes, by number.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)+];

            /// What there is to say about it.
            pub fn page(self) -> &'static Page {
                match self {
                    $(ErrorCode::$name => &$module::$page,)+
                }
            }

            /// As the code of this program writes it.
            #[cfg(test)]
            fn identifier(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => stringify!($name),)+
                }
            }
        }
    };
}

codes! {
    Usage = 1 => usage::USAGE;
    NoSuchImage = 2 => usage::NO_SUCH_IMAGE;
    PlaceName = 3 => usage::PLACE_NAME;
    Reference = 4 => usage::REFERENCE;
    PlatformName = 5 => usage::PLATFORM_NAME;
    Environment = 6 => usage::ENVIRONMENT;
    NoRepository = 7 => usage::NO_REPOSITORY;
    ForOneImage = 8 => usage::FOR_ONE_IMAGE;
    Exists = 9 => usage::EXISTS;

    RecipeFile = 101 => recipe::RECIPE_FILE;
    NotToml = 102 => recipe::NOT_TOML;
    UnknownKey = 103 => recipe::UNKNOWN_KEY;
    MissingKey = 104 => recipe::MISSING_KEY;
    WrongType = 105 => recipe::WRONG_TYPE;
    WrongValue = 106 => recipe::WRONG_VALUE;
    RecipeVersion = 107 => recipe::RECIPE_VERSION;
    UnknownName = 108 => recipe::UNKNOWN_NAME;
    Circle = 109 => recipe::CIRCLE;
    Interpolation = 110 => recipe::INTERPOLATION;
    Dockerfile = 111 => recipe::DOCKERFILE;

    LockStale = 201 => lock::LOCK_STALE;
    LockDamaged = 202 => lock::LOCK_DAMAGED;
    LockConflict = 203 => lock::LOCK_CONFLICT;
    LockEdited = 204 => lock::LOCK_EDITED;
    LockVersion = 205 => lock::LOCK_VERSION;
    NotInLock = 206 => lock::NOT_IN_LOCK;
    PinnedOther = 207 => lock::PINNED_OTHER;

    NothingMatches = 301 => context::NOTHING_MATCHES;
    Ignored = 302 => context::IGNORED;
    OutsideContext = 303 => context::OUTSIDE_CONTEXT;
    Pattern = 304 => context::PATTERN;
    Destination = 305 => context::DESTINATION;
    Unreadable = 306 => context::UNREADABLE;
    NotForLayers = 307 => context::NOT_FOR_LAYERS;
    Changed = 308 => context::CHANGED;
    Forbidden = 309 => context::FORBIDDEN;
    IgnoreFile = 310 => context::IGNORE_FILE;
    Conflict = 311 => context::CONFLICT;
    Replaces = 312 => context::REPLACES;
    ImagePath = 313 => context::IMAGE_PATH;
    NothingToRemove = 314 => context::NOTHING_TO_REMOVE;
    Archive = 315 => context::ARCHIVE;
    Certificate = 316 => context::CERTIFICATE;
    NotInImage = 317 => context::NOT_IN_IMAGE;
    WrongMachine = 318 => context::WRONG_MACHINE;
    TooMuch = 319 => context::TOO_MUCH;

    BaseDamaged = 401 => base::BASE_DAMAGED;
    NoPlatform = 402 => base::NO_PLATFORM;
    TooManyLayers = 403 => base::TOO_MANY_LAYERS;
    ZstdInDocker = 404 => base::ZSTD_IN_DOCKER;
    NotRead = 405 => base::NOT_READ;
    NoSuchUser = 406 => base::NO_SUCH_USER;
    UserTaken = 407 => base::USER_TAKEN;
    NotBuilt = 408 => base::NOT_BUILT;
    WouldNotRun = 409 => base::WOULD_NOT_RUN;

    PlaceClosed = 501 => place::PLACE_CLOSED;
    PlaceDamaged = 502 => place::PLACE_DAMAGED;
    NotThere = 503 => place::NOT_THERE;
    SeveralThere = 504 => place::SEVERAL_THERE;
    OutputTaken = 505 => place::OUTPUT_TAKEN;
    OutputUnwritable = 506 => place::OUTPUT_UNWRITABLE;
    OutputForm = 507 => place::OUTPUT_FORM;
    NotLoaded = 508 => place::NOT_LOADED;

    NoSuite = 601 => debian::NO_SUITE;
    NoPackage = 602 => debian::NO_PACKAGE;
    Unsatisfiable = 603 => debian::UNSATISFIABLE;
    Scripts = 604 => debian::SCRIPTS;
    NotBelieved = 605 => debian::NOT_BELIEVED;
    MirrorOld = 606 => debian::MIRROR_OLD;
    PackageDamaged = 607 => debian::PACKAGE_DAMAGED;
    PackagesCollide = 608 => debian::PACKAGES_COLLIDE;
    Dpkg = 609 => debian::DPKG;
    NoMirror = 610 => debian::NO_MIRROR;

    NoPython = 701 => python::NO_PYTHON;
    Requirements = 702 => python::REQUIREMENTS;
    NoWheel = 703 => python::NO_WHEEL;
    Unresolvable = 704 => python::UNRESOLVABLE;
    Uv = 705 => python::UV;
    Managed = 706 => python::MANAGED;
    Wheel = 707 => python::WHEEL;
    Pylock = 708 => python::PYLOCK;
    NoIndex = 709 => python::NO_INDEX;
    Index = 710 => python::INDEX;
    Compile = 711 => python::COMPILE;

    Unauthorized = 801 => network::UNAUTHORIZED;
    Denied = 802 => network::DENIED;
    NotFound = 803 => network::NOT_FOUND;
    TooMany = 804 => network::TOO_MANY;
    TooLarge = 805 => network::TOO_LARGE;
    Server = 806 => network::SERVER;
    NoAddress = 807 => network::NO_ADDRESS;
    NoConnection = 808 => network::NO_CONNECTION;
    Tls = 809 => network::TLS;
    NoRoots = 810 => network::NO_ROOTS;
    Broken = 811 => network::BROKEN;
    Nonsense = 812 => network::NONSENSE;
    Redirect = 813 => network::REDIRECT;
    Proxy = 814 => network::PROXY;
    CertificateFile = 815 => network::CERTIFICATE_FILE;
    Offline = 816 => network::OFFLINE;
    BlobAbsent = 817 => network::BLOB_ABSENT;
    WrongBytes = 818 => network::WRONG_BYTES;
    Gone = 819 => network::GONE;
    TokenServer = 820 => network::TOKEN_SERVER;
    NotPushed = 821 => network::NOT_PUSHED;
    Interrupted = 822 => network::INTERRUPTED;
    Address = 823 => network::ADDRESS;
    Unreachable = 824 => network::UNREACHABLE;

    CredentialFile = 901 => network::CREDENTIAL_FILE;
    CredentialHelper = 902 => network::CREDENTIAL_HELPER;

    DiskFull = 1001 => machine::DISK_FULL;
    NoPermission = 1002 => machine::NO_PERMISSION;
    Machine = 1003 => machine::MACHINE;
    CacheForeign = 1004 => machine::CACHE_FOREIGN;
    CacheDamaged = 1005 => machine::CACHE_DAMAGED;
    Internal = 1006 => machine::INTERNAL;
    NotWatched = 1007 => machine::NOT_WATCHED;

    Untrue = 1101 => machine::UNTRUE;
    Differs = 1102 => machine::DIFFERS;
    NotSound = 1103 => machine::NOT_SOUND;
}

impl ErrorCode {
    /// Its number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// What errors of that area are about.
    pub fn area(self) -> &'static str {
        match self.number() / 100 {
            0 => "The command line",
            1 => "The recipe",
            2 => "The lock",
            3 => "What is copied",
            4 => "Bases and images",
            5 => "Layouts, archives and outputs",
            6 => "Debian packages",
            7 => "Python packages",
            8 => "Registries and the network",
            9 => "Credentials",
            10 => "Disk and cache",
            _ => "Comparing",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{:04}", self.number())
    }
}

/// Why a text is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no error code {}{}", crate::shown::Shown::new(.0.as_bytes()), crate::nearest::hint(.1.as_deref()))]
pub struct UnknownCode(String, Option<String>);

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    /// Letter case and leading zeros do not count.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let upper = text.to_ascii_uppercase();
        let digits = upper.strip_prefix('L').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let number: Option<u16> = digits.and_then(|digits| digits.parse().ok());
        let found = ErrorCode::ALL.iter().find(|code| Some(code.number()) == number);
        found.copied().ok_or_else(|| {
            let names: Vec<String> = ErrorCode::ALL.iter().map(ToString::to_string).collect();
            let shown = number.map_or(upper, |number| format!("L{number:04}"));
            UnknownCode(text.to_owned(), nearest(&shown, names.iter().map(String::as_str)).map(str::to_owned))
        })
    }
}

#[cfg(test)]
mod tests;
