//! Compatibility tags (packaging specifications, "Platform compatibility tags"; PEP 425, 600, 656): which wheels an interpreter can use,
//! and which of them it likes best.

use std::collections::BTreeMap;
use std::fmt;

use super::WheelName;
use crate::oci::Platform;

/// The C library of an image, with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Libc {
    /// GNU's, as Debian has it.
    Glibc {
        /// 2.
        major: u16,
        /// 36 in Debian 12, 41 in Debian 13.
        minor: u16,
    },
    /// musl, as Alpine has it.
    Musl {
        /// 1.
        major: u16,
        /// 2.
        minor: u16,
    },
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Libc::Glibc { major, minor } => write!(f, "glibc {major}.{minor}"),
            Libc::Musl { major, minor } => write!(f, "musl {major}.{minor}"),
        }
    }
}

/// The Python version of an image: `3.13.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    /// 3.
    pub major: u16,
    /// 13.
    pub minor: u16,
    /// 5.
    pub patch: u16,
}

impl PythonVersion {
    /// `3.13`: the part that directories are named after.
    pub fn short(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a text is no version of an interpreter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no Python version that is known here: write it like `3.13.5` (a patch number may be left out)")]
pub struct PythonVersionError(crate::shown::Shown);

impl std::str::FromStr for PythonVersion {
    type Err = PythonVersionError;

    /// `3.13.5`, `3.13` (patch 0); what follows a release number (`3.14.0rc1`, `3.11.2+`) falls away.
    fn from_str(text: &str) -> Result<Self, PythonVersionError> {
        let bad = || PythonVersionError(crate::shown::Shown::new(text.as_bytes()));
        let mut parts = text.splitn(3, '.');
        let number = |digits: Option<&str>| match digits {
            Some(digits) if !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse::<u16>().map_err(|_| bad())
            }
            _ => Err(bad()),
        };
        let (major, minor) = (number(parts.next())?, number(parts.next())?);
        let patch = match parts.next() {
            None => 0,
            Some(rest) => {
                let end = rest.bytes().take_while(u8::is_ascii_digit).count();
                let tail = &rest[end..];
                if !tail.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.".contains(&b)) {
                    return Err(bad());
                }
                number(Some(&rest[..end]))?
            }
        };
        // The rules below (dist-packages, abi3, manylinux) hold for CPython 3; more than two digits of minor is a mistake.
        match major == 3 && minor < 100 {
            true => Ok(PythonVersion { major, minor, patch }),
            false => Err(bad()),
        }
    }
}

/// What wheels are chosen for: an interpreter on a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Version of CPython.
    pub version: PythonVersion,
    /// Operating system and architecture of the image.
    pub platform: Platform,
    /// The image's C library.
    pub libc: Libc,
    /// Whether this is the build without the global lock (`cp313t`).
    pub free_threaded: bool,
}

/// Why no tags can be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Python wheels are known for the platform {platform}")]
pub struct TagsError {
    /// The platform.
    pub platform: String,
}

/// The tags of a target, best first.
#[derive(Clone, Debug)]
pub struct Tags {
    ranks: BTreeMap<(String, String, String), usize>,
    ordered: Vec<(String, String, String)>,
}

impl Target {
    /// The machine's name as Linux gives it (`x86_64`, `aarch64`).
    ///
    /// # Errors
    /// Where the platform is not Linux, or the architecture is not known.
    pub fn machine(&self) -> Result<&'static str, TagsError> {
        let unknown = || TagsError { platform: self.platform.to_string() };
        if self.platform.os != "linux" {
            return Err(unknown());
        }
        Ok(match (self.platform.architecture.as_str(), self.platform.variant.as_deref()) {
            ("amd64", _) => "x86_64",
            ("arm64", _) => "aarch64",
            ("386", _) => "i686",
            ("arm", Some("v6")) => "armv6l",
            ("arm", None | Some("" | "v7")) => "armv7l",
            ("ppc64le", _) => "ppc64le",
            ("s390x", _) => "s390x",
            ("riscv64", _) => "riscv64",
            ("loong64", _) => "loongarch64",
            _ => return Err(unknown()),
        })
    }

    /// The platform tags, best first: what was built on such a machine, then the newest libc first.
    fn platforms(&self) -> Result<Vec<String>, TagsError> {
        let machine = self.machine()?;
        let mut tags = vec![format!("linux_{machine}")];
        match self.libc {
            Libc::Glibc { major: 2, minor } if machine != "armv6l" => {
                // No manylinux is older than glibc 2.5 on x86, and 2.17 elsewhere.
                let x86 = matches!(machine, "x86_64" | "i686");
                let oldest = if x86 { 5 } else { 17 };
                for minor in (oldest..=minor.min(200)).rev() {
                    tags.push(format!("manylinux_2_{minor}_{machine}"));
                    let legacy = match minor {
                        17 => Some("manylinux2014"),
                        12 if x86 => Some("manylinux2010"),
                        5 if x86 => Some("manylinux1"),
                        _ => None,
                    };
                    tags.extend(legacy.map(|legacy| format!("{legacy}_{machine}")));
                }
            }
            Libc::Glibc { .. } => {}
            Libc::Musl { major, minor } => {
                tags.extend((0..=minor.min(200)).rev().map(|minor| format!("musllinux_{major}_{minor}_{machine}")));
            }
        }
        Ok(tags)
    }

    /// All tags, best first, in the order that pip and uv use.
    ///
    /// # Errors
    /// [`TagsError`] for platforms that are not known.
    pub fn tags(&self) -> Result<Tags, TagsError> {
        let platforms = self.platforms()?;
        let PythonVersion { major, minor, .. } = self.version;
        let mut tags = Tags { ranks: BTreeMap::new(), ordered: Vec::new() };
        let interpreter = format!("cp{major}{minor}");
        let abi = format!("{interpreter}{}", if self.free_threaded { "t" } else { "" });
        // abi3 began with 3.2; the build without the global lock has one of its own.
        let stable = (minor >= 2).then_some(if self.free_threaded { "abi3t" } else { "abi3" });
        let mut interface = |python: &str, abi: &str| {
            for platform in &platforms {
                tags.push(python, abi, platform);
            }
        };
        interface(&interpreter, &abi);
        if let Some(stable) = stable {
            interface(&interpreter, stable);
        }
        interface(&interpreter, "none");
        for older in (2..minor).rev() {
            if let Some(stable) = stable {
                interface(&format!("cp{major}{older}"), stable);
            }
        }
        let mut generic = vec![format!("py{major}{minor}"), format!("py{major}")];
        generic.extend((0..minor).rev().map(|minor| format!("py{major}{minor}")));
        for python in &generic {
            interface(python, "none");
        }
        tags.push(&interpreter, "none", "any");
        for python in &generic {
            tags.push(python, "none", "any");
        }
        Ok(tags)
    }
}

impl Tags {
    fn push(&mut self, python: &str, abi: &str, platform: &str) {
        let tag = (python.to_owned(), abi.to_owned(), platform.to_owned());
        let rank = self.ordered.len();
        self.ranks.entry(tag.clone()).or_insert(rank);
        self.ordered.push(tag);
    }

    /// The tags, best first, written `cp313-cp313-manylinux_2_41_x86_64`.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.ordered.iter().map(|(python, abi, platform)| format!("{python}-{abi}-{platform}"))
    }

    /// How well the wheel fits: 0 is best, `None` that it does not.
    pub fn rank(&self, wheel: &WheelName) -> Option<usize> {
        // A name of 255 bytes holds at most some tens of tags: the product stays small.
        let mut best = None;
        for python in wheel.python() {
            for abi in wheel.abi() {
                for platform in wheel.platform() {
                    let tag = (python.to_ascii_lowercase(), abi.to_ascii_lowercase(), platform.to_ascii_lowercase());
                    if let Some(rank) = self.ranks.get(&tag) {
                        best = Some(best.map_or(*rank, |best: usize| best.min(*rank)));
                    }
                }
            }
        }
        best
    }

    /// The best of some wheels: the best tag, then the highest build number, then the first name.
    pub fn best<'a, T>(&self, wheels: impl IntoIterator<Item = (&'a WheelName, T)>) -> Option<(&'a WheelName, T)> {
        wheels
            .into_iter()
            .filter_map(|(name, value)| Some((self.rank(name)?, name, value)))
            .min_by(|(a_rank, a, _), (b_rank, b, _)| {
                a_rank.cmp(b_rank).then(b.build().cmp(&a.build())).then_with(|| a.to_string().cmp(&b.to_string()))
            })
            .map(|(_, name, value)| (name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn target(version: &str, architecture: &str, libc: Libc, free_threaded: bool) -> Target {
        Target { version: version.parse().unwrap(), platform: Platform::linux(architecture), libc, free_threaded }
    }

    fn bookworm() -> Target {
        target("3.11.2", "amd64", Libc::Glibc { major: 2, minor: 36 }, false)
    }

    fn name(text: &str) -> WheelName {
        text.parse().unwrap()
    }

    /// The lists that `packaging` 26.3 gives, by number and digest of their lines.
    #[test]
    fn the_order_is_that_of_pip() {
        let glibc = |minor| Libc::Glibc { major: 2, minor };
        for (target, count, digest, first) in [
            (bookworm(), 914, "042934d46eb9f04c", "cp311-cp311-manylinux_2_36_x86_64"),
            (
                target("3.13.5", "arm64", glibc(41), false),
                799,
                "87e0ed05bb6cfc0d",
                "cp313-cp313-manylinux_2_41_aarch64",
            ),
            (
                target("3.13.5", "amd64", glibc(41), true),
                1205,
                "aeddb41ac8c13013",
                "cp313-cp313t-manylinux_2_41_x86_64",
            ),
            (
                target("3.15.0", "amd64", glibc(41), true),
                1371,
                "1c01d111dafcfb15",
                "cp315-cp315t-manylinux_2_41_x86_64",
            ),
            (
                target("3.12", "amd64", Libc::Musl { major: 1, minor: 2 }, false),
                123,
                "43698d877d0f5f21",
                "cp312-cp312-musllinux_1_2_x86_64",
            ),
        ] {
            let tags: Vec<String> = target.tags().unwrap().iter().collect();
            let lines: String = tags.iter().map(|tag| format!("{tag}\n")).collect();
            assert_eq!(tags[1], first);
            assert_eq!((tags.len(), &Digest::of(lines.as_bytes()).hex()[..16]), (count, digest), "{target:?}");
            assert_eq!(tags.last().unwrap(), "py30-none-any");
        }
    }

    #[test]
    fn the_best_wheel_is_taken() {
        let tags = bookworm().tags().unwrap();
        let wheels: Vec<WheelName> = [
            "x-1-py3-none-any.whl",
            "x-1-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "x-1-cp311-cp311-manylinux_2_17_x86_64.whl",
            "x-1-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            "x-1-2-cp311-cp311-manylinux_2_28_x86_64.whl",
            "x-1-cp311-cp311-manylinux_2_39_x86_64.whl",
            "x-1-cp311-cp311-manylinux_2_28_aarch64.whl",
            "x-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "x-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            "x-1-cp311-cp311-macosx_11_0_arm64.whl",
            "x-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl",
        ]
        .into_iter()
        .map(name)
        .collect();
        let best =
            |from: &[WheelName]| tags.best(from.iter().map(|wheel| (wheel, ()))).map(|(wheel, ())| wheel.to_string());
        assert_eq!(best(&wheels).as_deref(), Some("x-1-2-cp311-cp311-manylinux_2_28_x86_64.whl"));
        assert_eq!(best(&wheels[..3]).as_deref(), Some("x-1-cp311-cp311-manylinux_2_17_x86_64.whl"));
        assert_eq!(best(&wheels[..2]).as_deref(), Some("x-1-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"));
        assert_eq!(best(&wheels[5..]), None);
    }

    #[test]
    fn versions_of_interpreters() {
        for (text, version) in
            [("3.11", "3.11.0"), ("3.13.5", "3.13.5"), ("3.14.0rc2", "3.14.0"), ("3.11.2+", "3.11.2")]
        {
            assert_eq!(text.parse::<PythonVersion>().unwrap().to_string(), version);
        }
        for bad in ["", "3", "3.", "2.7.18", "3.x", "3.11.", "3.11.2/../x", "3.111", "99999.1", "-3.1", "3.11.2 "] {
            assert!(bad.parse::<PythonVersion>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn platforms_that_no_wheel_is_for() {
        let mut target = bookworm();
        target.platform = Platform::linux("mips64le");
        assert!(target.tags().is_err());
        target.platform = "windows/amd64".parse().unwrap();
        assert!(target.tags().is_err());
    }
}
