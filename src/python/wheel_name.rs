//! File names of wheels (packaging specifications, "Binary distribution format", "File name convention").

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use super::{PackageName, PackageNameError};
use crate::shown::Shown;

/// A wheel's file name: `{distribution}-{version}[-{build}]-{python}-{abi}-{platform}.whl`.
///
/// Written back it is the text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelName {
    distribution: String,
    name: PackageName,
    written_version: String,
    version: Version,
    build: Option<BuildTag>,
    python: Vec<String>,
    abi: Vec<String>,
    platform: Vec<String>,
}

/// What tells two builds of one version apart: a number, then any text. Of two wheels that fit alike, the higher is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildTag {
    number: u64,
    rest: String,
    written: String,
}

/// Why a text is no file name of a wheel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WheelNameError {
    /// Not five or six parts and `.whl`.
    #[error(
        "{0} is no file name of a wheel: it must be `name-version-python-abi-platform.whl`, with a build number after the version if there is one"
    )]
    Parts(Shown),
    /// The package's name.
    #[error("the file name {file} of a wheel starts with a wrong name")]
    Name {
        /// The file name.
        file: Shown,
        /// What is wrong with it.
        source: PackageNameError,
    },
    /// The version.
    #[error("the file name {file} of a wheel has {version} for a version, which is none (PEP 440)")]
    Version {
        /// The file name.
        file: Shown,
        /// The text in the version's place.
        version: Shown,
    },
    /// The build tag.
    #[error("the file name {file} of a wheel has the build tag {build}, which does not start with a number")]
    Build {
        /// The file name.
        file: Shown,
        /// The text in the tag's place.
        build: Shown,
    },
    /// A compatibility tag.
    #[error("the file name {file} of a wheel has the tag {tag}, which is not of letters, digits and `_`")]
    Tag {
        /// The file name.
        file: Shown,
        /// The text in the tag's place.
        tag: Shown,
    },
}

impl WheelName {
    /// The package's normalised name.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The name as it is written.
    pub fn distribution(&self) -> &str {
        &self.distribution
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The version as it is written.
    pub fn written_version(&self) -> &str {
        &self.written_version
    }

    /// The build tag, where there is one.
    pub fn build(&self) -> Option<&BuildTag> {
        self.build.as_ref()
    }

    /// Tags of the interpreters (`cp311`, `py3`).
    pub fn python(&self) -> &[String] {
        &self.python
    }

    /// Tags of the binary interface (`cp311`, `abi3`, `none`).
    pub fn abi(&self) -> &[String] {
        &self.abi
    }

    /// Tags of the platforms (`manylinux_2_17_x86_64`, `any`).
    pub fn platform(&self) -> &[String] {
        &self.platform
    }
}

impl FromStr for WheelName {
    type Err = WheelNameError;

    fn from_str(text: &str) -> Result<Self, WheelNameError> {
        let file = || Shown::new(text.as_bytes());
        let parts = || WheelNameError::Parts(file());
        if text.len() > 255 {
            return Err(parts());
        }
        let stem = text.strip_suffix(".whl").ok_or_else(parts)?;
        let fields: Vec<&str> = stem.split('-').collect();
        let (distribution, written_version, build, python, abi, platform) = match fields[..] {
            [name, version, python, abi, platform] => (name, version, None, python, abi, platform),
            [name, version, build, python, abi, platform] => (name, version, Some(build), python, abi, platform),
            _ => return Err(parts()),
        };
        let name = distribution.parse().map_err(|source| WheelNameError::Name { file: file(), source })?;
        let bad_version = || WheelNameError::Version { file: file(), version: Shown::new(written_version.as_bytes()) };
        if !written_version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+_!".contains(&b)) {
            return Err(bad_version());
        }
        // A hyphen of a local version is escaped as `_`, which PEP 440 reads as the same separator.
        let version = written_version.parse().map_err(|_| bad_version())?;
        let build = build
            .map(|build| {
                BuildTag::parse(build)
                    .ok_or_else(|| WheelNameError::Build { file: file(), build: Shown::new(build.as_bytes()) })
            })
            .transpose()?;
        let tags = |set: &str| {
            set.split('.')
                .map(|tag| match !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    true => Ok(tag.to_owned()),
                    false => Err(WheelNameError::Tag { file: file(), tag: Shown::new(tag.as_bytes()) }),
                })
                .collect::<Result<Vec<String>, _>>()
        };
        Ok(WheelName {
            distribution: distribution.to_owned(),
            name,
            written_version: written_version.to_owned(),
            version,
            build,
            python: tags(python)?,
            abi: tags(abi)?,
            platform: tags(platform)?,
        })
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.distribution, self.written_version)?;
        if let Some(build) = &self.build {
            write!(f, "-{}", build.written)?;
        }
        write!(f, "-{}-{}-{}.whl", self.python.join("."), self.abi.join("."), self.platform.join("."))
    }
}

impl BuildTag {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        let plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+".contains(&b));
        plain.then_some(())?;
        Some(BuildTag { number: number.parse().ok()?, rest: rest.to_owned(), written: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_real_wheels() {
        for (text, name, version, build) in [
            ("numpy-2.4.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "numpy", "2.4.0", false),
            ("six-1.17.0-py2.py3-none-any.whl", "six", "1.17.0", false),
            ("Flask_SQLAlchemy-3.1.1-py3-none-any.whl", "flask-sqlalchemy", "3.1.1", false),
            ("zope.interface-7.2-cp311-cp311-musllinux_1_2_aarch64.whl", "zope-interface", "7.2", false),
            ("torch-2.1.0+cpu_cxx11.abi-cp311-cp311-linux_x86_64.whl", "torch", "2.1.0+cpu.cxx11.abi", false),
            ("nodeenv-1.0rc1-2local-py3-none-any.whl", "nodeenv", "1.0rc1", true),
            ("x-1!2.0.post1.dev3-1-py3-none-any.whl", "x", "1!2.0.post1.dev3", true),
        ] {
            let wheel: WheelName = text.parse().unwrap();
            assert_eq!(wheel.to_string(), text);
            assert_eq!((wheel.name().as_str(), wheel.build().is_some()), (name, build));
            assert_eq!(wheel.version(), &version.parse::<Version>().unwrap());
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            ".whl",
            "x.whl",
            "x-1-py3-none-any",
            "x-1-py3-none-any.zip",
            "x-1-py3-none.whl",
            "a-x-1-1-py3-none-any-b.whl",
            "../x-1-py3-none-any.whl",
            "x/y-1-py3-none-any.whl",
            "x-one-py3-none-any.whl",
            "x-1-b1-py3-none-any.whl",
            "x-1-99999999999999999999999-py3-none-any.whl",
            "x-1-py3-none-a/ny.whl",
            "x-1-py3..py2-none-any.whl",
            "x-1-py3-none-.whl",
            "-1-py3-none-any.whl",
            "x-1\n-py3-none-any.whl",
            "é-1-py3-none-any.whl",
        ] {
            assert!(bad.parse::<WheelName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn builds_are_ordered_by_number() {
        let tag = |text: &str| BuildTag::parse(text).unwrap();
        assert!(tag("2") < tag("10") && tag("2") < tag("2a") && tag("2a") < tag("2b"));
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "([a-zA-Z0-9._é-]{0,12}-){0,6}[a-z0-9_.]{0,8}(\\.whl)?") {
            if let Ok(name) = text.parse::<WheelName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn good_names_are_read(name in "[a-zA-Z][a-zA-Z0-9_]{0,8}[a-z]", version in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}", platform in "[a-z0-9_]{1,9}") {
            let text = format!("{name}-{version}-cp311-abi3-{platform}.whl");
            prop_assert_eq!(text.parse::<WheelName>().unwrap().to_string(), text);
        }
    }
}
