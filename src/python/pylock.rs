//! `pylock.toml` (packaging specifications, "pylock.toml Specification"; PEP 751), and what is to be installed of it.

mod read;

use std::collections::BTreeMap;

use pep440_rs::{Version, VersionSpecifiers};

use self::read::last_component;
use super::debian_names::advice;
use super::{
    Environment, Marker, MarkerError, PackageName, PackageNameError, TagsError, Target, WheelName, WheelNameError,
};
use crate::oci::Digest;
use crate::shown::Shown;

/// The most bytes of a lock.
pub const MAX_LOCK: usize = 64 << 20;

/// A lock as it is written.
#[derive(Clone, Debug)]
pub struct Pylock {
    requires_python: Option<VersionSpecifiers>,
    environments: Vec<Marker>,
    extras: Vec<PackageName>,
    groups: Vec<PackageName>,
    default_groups: Vec<PackageName>,
    packages: Vec<Package>,
}

/// One package of a lock.
#[derive(Clone, Debug)]
struct Package {
    name: PackageName,
    version: Option<Version>,
    marker: Option<Marker>,
    requires_python: Option<VersionSpecifiers>,
    index: Option<String>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Files {
        wheels: Vec<(WheelName, File)>,
        sdist: Option<String>,
    },
    /// A wheel that is asked for by its place, not through an index.
    Wheel(Box<(WheelName, File)>),
    Other(&'static str),
}

/// A file of a lock.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub place: Place,
    /// Its length in bytes, where the lock says.
    pub size: Option<u64>,
    sha256: Option<Digest>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.place, self.size, self.sha256)
    }
}

/// Where a file of a lock is. URLs may hold credentials: they are not for messages.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A URL.
    Url(String),
    /// A path relative to the lock's directory.
    Path(String),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Url(url) => write!(f, "url …/{}", last_component(url)),
            Place::Path(path) => write!(f, "path {path}"),
        }
    }
}

/// A wheel that is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its file name.
    pub wheel: WheelName,
    /// Where it is.
    pub place: Place,
    /// Its length in bytes, where the lock says.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
    /// The index it came from, where the lock says.
    pub index: Option<String>,
    /// Whether it was asked for by its place: then it gets a `direct_url.json`.
    pub direct: bool,
}

/// Why a lock is refused, or gives nothing to install.
#[derive(Debug, thiserror::Error)]
pub enum PylockError {
    /// It is too long.
    #[error("the lock has more than {MAX_LOCK} bytes")]
    TooLong,
    /// It is no such TOML.
    #[error("the lock cannot be read: {0}")]
    Toml(String),
    /// Another version of the format.
    #[error("the lock's version is {0}, and only 1.x is understood")]
    Version(Shown),
    /// A package cannot be right.
    #[error("the package {package} of the lock is refused: {reason}")]
    Package {
        /// The package.
        package: Shown,
        /// What is wrong.
        reason: String,
    },
    /// A wheel's name is none.
    #[error("the package {package} of the lock has a wheel whose name is none")]
    Wheel {
        /// The package.
        package: PackageName,
        /// What is wrong.
        source: WheelNameError,
    },
    /// A name is none.
    #[error("the lock has a name that is none")]
    Name(#[from] PackageNameError),
    /// A marker cannot be read or has no value.
    #[error("{of} has a condition that cannot be evaluated")]
    Marker {
        /// The lock, or a package.
        of: String,
        /// Why.
        source: MarkerError,
    },
    /// The platform has no tags.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The interpreter does not fit.
    #[error("{of} needs Python {wanted}, and the image has {found}")]
    Python {
        /// The lock, or a package.
        of: String,
        /// What it needs.
        wanted: String,
        /// What the image has.
        found: String,
    },
    /// The lock was made for other environments.
    #[error("the lock was made for other environments: none of its `environments` is this image's ({0})")]
    Environment(String),
    /// Something is asked for that the lock does not have.
    #[error("the lock has no {what} {name}{}", if .known.is_empty() { String::new() } else { format!("; it has: {}", .known.join(", ")) })]
    Unknown {
        /// `extra` or `dependency group`.
        what: &'static str,
        /// The name.
        name: PackageName,
        /// What it has.
        known: Vec<String>,
    },
    /// Two entries for one package hold at the same time.
    #[error("the lock is ambiguous: two entries for {0} hold for this image")]
    Ambiguous(PackageName),
    /// There is no wheel that fits.
    #[error("{package} has no wheel for {target}{}: {advice}", if *.sdist { ", only a source archive, which would have to run code to install" } else { "" })]
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
}

impl Pylock {
    /// The wheels to install, by name: those whose conditions hold, the best of each by its tags.
    ///
    /// `groups` are the dependency groups asked for; `None` means the lock's default ones.
    ///
    /// # Errors
    /// [`PylockError`].
    pub fn select(
        &self,
        target: &Target,
        extras: &[PackageName],
        groups: Option<&[PackageName]>,
    ) -> Result<Vec<Pick>, PylockError> {
        let groups = groups.unwrap_or(&self.default_groups);
        let unknown = |what, name: &PackageName, known: &[PackageName]| PylockError::Unknown {
            what,
            name: name.clone(),
            known: known.iter().map(ToString::to_string).collect(),
        };
        if let Some(name) = extras.iter().find(|name| !self.extras.contains(name)) {
            return Err(unknown("extra", name, &self.extras));
        }
        if let Some(name) =
            groups.iter().find(|name| !self.groups.contains(name) && !self.default_groups.contains(name))
        {
            return Err(unknown("dependency group", name, &self.groups));
        }
        let environment = Environment::new(target)?
            .with_extras(extras.iter().map(PackageName::as_str))
            .with_groups(groups.iter().map(PackageName::as_str));
        self.check_environment(target, &environment)?;
        let tags = target.tags()?;
        let mut picks: BTreeMap<PackageName, Pick> = BTreeMap::new();
        for package in &self.packages {
            let of = || format!("the package {} of the lock", package.name);
            if let Some(marker) = &package.marker {
                let holds = marker.evaluate(&environment);
                if !holds.map_err(|source| PylockError::Marker { of: of(), source })? {
                    continue;
                }
            }
            check_python(&of(), package.requires_python.as_ref(), target)?;
            if picks.insert(package.name.clone(), package.pick(target, &tags)?).is_some() {
                return Err(PylockError::Ambiguous(package.name.clone()));
            }
        }
        Ok(picks.into_values().collect())
    }

    /// The lock without packages of these names.
    #[must_use]
    pub fn without(&self, names: &std::collections::BTreeSet<&PackageName>) -> Self {
        let mut lock = self.clone();
        lock.packages.retain(|package| !names.contains(&package.name));
        lock
    }

    fn check_environment(&self, target: &Target, environment: &Environment) -> Result<(), PylockError> {
        check_python("the lock", self.requires_python.as_ref(), target)?;
        for marker in &self.environments {
            let holds = marker.evaluate(environment);
            if holds.map_err(|source| PylockError::Marker { of: "the lock".to_owned(), source })? {
                return Ok(());
            }
        }
        match self.environments.is_empty() {
            true => Ok(()),
            false => Err(PylockError::Environment(describe(target))),
        }
    }
}

fn describe(target: &Target) -> String {
    format!("Python {} on {}, {}", target.version, target.platform, target.libc)
}

fn check_python(of: &str, wanted: Option<&VersionSpecifiers>, target: &Target) -> Result<(), PylockError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = target.version;
    let version = Version::new([u64::from(found.major), u64::from(found.minor), u64::from(found.patch)]);
    match wanted.contains(&version) {
        true => Ok(()),
        false => Err(PylockError::Python { of: of.to_owned(), wanted: wanted.to_string(), found: found.to_string() }),
    }
}

impl Package {
    fn pick(&self, target: &Target, tags: &super::Tags) -> Result<Pick, PylockError> {
        let version = self.version.as_ref().map(ToString::to_string);
        let package =
            version.as_ref().map_or_else(|| self.name.to_string(), |version| format!("{} {version}", self.name));
        let no_wheel = |sdist| PylockError::NoWheel {
            package,
            target: describe(target),
            sdist,
            advice: advice(&self.name, version.as_deref()),
        };
        let (wheel, file, direct) = match &self.source {
            Source::Wheel(wheel) if tags.rank(&wheel.0).is_some() => (&wheel.0, &wheel.1, true),
            Source::Wheel(..) => return Err(no_wheel(false)),
            Source::Files { wheels, sdist } => {
                let best = tags.best(wheels.iter().map(|(name, file)| (name, file)));
                let (wheel, file) = best.ok_or_else(|| no_wheel(sdist.is_some()))?;
                (wheel, file, false)
            }
            Source::Other(what) => {
                return Err(PylockError::Package {
                    package: Shown::new(self.name.as_str().as_bytes()),
                    reason: format!(
                        "it comes from {what}, and only wheels are installed: {}",
                        advice(&self.name, version.as_deref())
                    ),
                });
            }
        };
        let sha256 = file.sha256.ok_or_else(|| PylockError::Package {
            package: Shown::new(self.name.as_str().as_bytes()),
            reason: format!("its wheel {wheel} has no sha256"),
        })?;
        Ok(Pick {
            wheel: wheel.clone(),
            place: file.place.clone(),
            size: file.size,
            sha256,
            index: self.index.clone(),
            direct,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Libc;
    use super::*;
    use crate::oci::Platform;

    fn target(architecture: &str) -> Target {
        Target {
            version: "3.11.2".parse().unwrap(),
            platform: Platform::linux(architecture),
            libc: Libc::Glibc { major: 2, minor: 36 },
            free_threaded: false,
        }
    }

    fn hash(digit: char) -> String {
        format!("hashes = {{ sha256 = \"{}\" }}", digit.to_string().repeat(64))
    }

    fn lock(packages: &str) -> String {
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\nextras = [\"x\"]\ndependency-groups = [\"dev\", \"main\"]\ndefault-groups = [\"main\"]\n{packages}"
        )
    }

    fn package(name: &str, wheels: &[&str]) -> String {
        let wheels: Vec<String> = wheels
            .iter()
            .map(|wheel| format!("{{ url = \"https://u:secret@host/{wheel}\", size = 5, {} }}", hash('a')))
            .collect();
        format!("[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\nwheels = [{}]\n", wheels.join(", "))
    }

    fn select(text: &str, extras: &[&str], groups: Option<&[&str]>) -> Result<Vec<String>, String> {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<PackageName>>();
        let groups = groups.map(names);
        let chain = |error: PylockError| {
            let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
            format!("{error}{source}")
        };
        let lock: Pylock = text.parse().map_err(chain)?;
        let picks = lock.select(&target("amd64"), &names(extras), groups.as_deref()).map_err(chain)?;
        Ok(picks.iter().map(|pick| pick.wheel.to_string()).collect())
    }

    #[test]
    fn the_best_wheel_of_each_package() {
        let text = lock(&format!(
            "{}{}",
            package(
                "b",
                &[
                    "b-1.0-py3-none-any.whl",
                    "b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
                    "b-1.0-cp311-cp311-win_amd64.whl"
                ]
            ),
            package(
                "a",
                &[
                    "A-1.0%2Bcpu-cp39-abi3-manylinux_2_17_aarch64.whl",
                    "A-1.0%2Bcpu-cp39-abi3-manylinux_2_17_x86_64.whl"
                ]
            ),
        ));
        assert_eq!(
            select(&text, &[], None).unwrap(),
            ["A-1.0+cpu-cp39-abi3-manylinux_2_17_x86_64.whl", "b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"]
        );
        let lock: Pylock = text.parse().unwrap();
        let picks = lock.select(&target("arm64"), &[], None).unwrap();
        assert_eq!(picks[0].wheel.platform(), ["manylinux_2_17_aarch64"]);
        assert_eq!((picks[0].size, picks[0].direct), (Some(5), false));
        assert_eq!(picks[0].sha256.hex(), "a".repeat(64));
        assert!(!format!("{lock:?} {picks:?}").contains("secret"));
    }

    #[test]
    fn conditions_extras_and_groups() {
        let with = |name: &str, marker: &str| {
            format!("{}marker = \"{marker}\"\n", package(name, &[&format!("{name}-1.0-py3-none-any.whl")]))
        };
        let text = lock(
            &[
                with("win", "sys_platform == 'win32'"),
                with("extra", "'x' in extras"),
                with("dev", "'dev' in dependency_groups"),
                with("main", "'main' in dependency_groups"),
                with("always", "python_version >= '3'"),
            ]
            .concat(),
        );
        let names = |extras: &[&str], groups: Option<&[&str]>| {
            let picks = select(&text, extras, groups).unwrap();
            picks.iter().map(|name| name.split('-').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&[], None), "always main");
        assert_eq!(names(&["x"], Some(&["dev"])), "always dev extra");
        assert!(select(&text, &["y"], None).unwrap_err().contains("no extra y; it has: x"));
        assert!(select(&text, &[], Some(&["prod"])).unwrap_err().contains("no dependency group prod"));
    }

    #[test]
    fn what_is_refused() {
        let wheel = "a-1.0-py3-none-any.whl";
        let good = package("a", &[wheel]);
        let url = format!("url = \"https://h/{wheel}\"");
        let table = |body: &str| format!("[[packages]]\nname = \"a\"\nversion = \"1.0\"\n{body}\n");
        for (text, why) in [
            (lock(&format!("{good}{good}")), "two entries for a"),
            (lock(&good).replace("\"1.0\"\ncreated", "\"2.0\"\ncreated"), "only 1.x"),
            (lock(&good).replace("lock-version", "lock"), "lock-version"),
            ("x = ".to_owned(), "cannot be read"),
            (lock(&format!("{good}requires-python = \"<3.11\"\n")), "needs Python <3.11"),
            (format!("requires-python = \">=3.12\"\n{}", lock(&good)), "the lock needs Python >=3.12"),
            (format!("environments = [\"sys_platform == 'win32'\"]\n{}", lock(&good)), "other environments"),
            (lock(&format!("{good}marker = \"os_name\"\n")), "comparison is missing"),
            (lock(&format!("{good}marker = \"platform_release > '5'\"\n")), "platform_release"),
            (lock(&table("")), "must have one source"),
            (
                lock(&format!("{good}vcs = {{ type = \"git\", url = \"https://h\", commit-id = \"x\" }}\n")),
                "must have one source",
            ),
            (
                lock(&table("vcs = { type = \"git\", url = \"https://h\", commit-id = \"x\" }")),
                "comes from a repository",
            ),
            (lock(&table("directory = { path = \".\" }")), "comes from a directory"),
            (
                lock(&table(&format!("archive = {{ url = \"https://h/a-1.0.tar.gz\", {} }}", hash('b')))),
                "a source archive",
            ),
            (
                lock(&table(&format!("sdist = {{ url = \"https://h/a-1.0.tar.gz\", {} }}", hash('b')))),
                "only a source archive",
            ),
            (
                lock(&package("a", &["a-1.0-cp312-cp312-linux_x86_64.whl"])),
                "no wheel for Python 3.11.2 on linux/amd64, glibc 2.36",
            ),
            (lock(&package("a", &["b-1.0-py3-none-any.whl"])), "another package or version"),
            (lock(&package("a", &["a-1.1-py3-none-any.whl"])), "another package or version"),
            (lock(&package("a", &["a.whl"])), "no file name of a wheel"),
            (lock(&table(&format!("wheels = [{{ {url}, hashes = {{ sha256 = \"abc\" }} }}]"))), "64 hexadecimal"),
            (lock(&table(&format!("wheels = [{{ {url}, hashes = {{ sha512 = \"abc\" }} }}]"))), "has no sha256"),
            (lock(&table(&format!("wheels = [{{ {url} }}]"))), "no hashes"),
            (lock(&table(&format!("wheels = [{{ name = \"{wheel}\", {} }}]", hash('a')))), "neither `url` nor `path`"),
            (lock(&table(&format!("wheels = [{{ url = \"{wheel}\", {} }}]", hash('a')))), "URL of a file is none"),
            (lock("[[packages]]\nname = \"../a\"\n"), "is no name"),
        ] {
            let error = select(&text, &[], None).expect_err(why);
            assert!(error.contains(why), "expected `{why}`, got: {error}");
            assert!(!error.contains("secret"));
        }
        let sdist =
            table(&format!("sdist = {{ path = \"a.tar.gz\", {} }}", hash('b'))).replace("\"a\"", "\"psycopg2\"");
        assert!(select(&lock(&sdist), &[], None).unwrap_err().contains("python3-psycopg2"));
    }

    #[test]
    fn a_wheel_by_its_place() {
        let text = lock(&format!(
            "[[packages]]\nname = \"a\"\narchive = {{ path = \"dist/a-2-py3-none-any.whl\", {} }}\n",
            hash('c')
        ));
        let picks = text.parse::<Pylock>().unwrap().select(&target("amd64"), &[], None).unwrap();
        assert_eq!((picks[0].place.clone(), picks[0].direct), (Place::Path("dist/a-2-py3-none-any.whl".into()), true));
    }

    proptest! {
        #[test]
        fn never_panics(noise in "(\\[\\[packages\\]\\]|\n|name|version|wheels|=|\"a\"|\"1.0\"|\\[|\\]|\\{|\\}|url|,| ){0,20}") {
            let _ = select(&lock(&noise), &[], None);
        }
    }
}
