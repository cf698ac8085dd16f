//! `METADATA` and `WHEEL` of a wheel (packaging specifications, "Core metadata" and "Binary distribution format").

use std::collections::BTreeSet;

use pep440_rs::Version;

use super::zip::Archive;
use super::{PackageName, WheelName};
use crate::shown::Shown;

/// The most bytes that `METADATA` may have: it holds the package's description.
pub(super) const MAX_METADATA: u64 = 16 << 20;

/// What a wheel says of itself.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The directory with the metadata: `NAME-VERSION.dist-info`.
    pub dist_info: String,
    /// The directory whose contents go elsewhere, where there is one: `NAME-VERSION.data`.
    pub data: Option<String>,
    /// The name.
    pub name: PackageName,
    /// The version.
    pub version: Version,
    /// Whether the files at the root are the same for every platform.
    pub root_is_purelib: bool,
    /// `Requires-Python`, as it is written.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, as they are written.
    pub requires: Vec<String>,
}

/// Why a wheel's metadata is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// No directory of metadata.
    #[error("there is no `.dist-info` directory at its root")]
    NoDistInfo,
    /// Several directories of one kind.
    #[error("there are several `{kind}` directories at its root: {names}")]
    Several {
        /// `.dist-info` or `.data`.
        kind: &'static str,
        /// Which.
        names: String,
    },
    /// A directory's name does not fit.
    #[error("its directory {directory} is not named after the file name's {name} {version}")]
    Directory {
        /// The directory.
        directory: Shown,
        /// The file name's name.
        name: PackageName,
        /// The file name's version.
        version: Version,
    },
    /// A file is missing.
    #[error("it has no file `{0}`")]
    Missing(String),
    /// A header cannot be read.
    #[error("line {line} of {file} is no `Key: value`")]
    Line {
        /// The file.
        file: &'static str,
        /// The number of the line, from 1.
        line: usize,
    },
    /// A field is missing.
    #[error("{file} has no {key}")]
    NoField {
        /// The file.
        file: &'static str,
        /// The field.
        key: &'static str,
    },
    /// A field is there twice.
    #[error("{file} has {key} twice")]
    Twice {
        /// The file.
        file: &'static str,
        /// The field.
        key: &'static str,
    },
    /// Name or version is not the file name's.
    #[error("METADATA has {key} {found}, and the file name has {expected}")]
    Different {
        /// The field.
        key: &'static str,
        /// What METADATA says.
        found: Shown,
        /// What the file name says.
        expected: String,
    },
    /// Another version of the format.
    #[error("its Wheel-Version is {0}, and only 1.x is understood")]
    WheelVersion(Shown),
    /// A file is no UTF-8.
    #[error("{0} is no UTF-8")]
    Encoding(&'static str),
}

/// The directories of metadata of a wheel, found by the names of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `NAME-VERSION.dist-info`.
    pub dist_info: String,
    /// `NAME-VERSION.data`, where there is one.
    pub data: Option<String>,
}

impl Directories {
    /// Finds them.
    ///
    /// # Errors
    /// Where there are none or several, or they are named after another package.
    pub fn find(archive: &Archive, wheel: &WheelName) -> Result<Self, MetadataError> {
        let roots: BTreeSet<&str> =
            archive.members().iter().filter_map(|member| member.name.split_once('/')).map(|(root, _)| root).collect();
        let of_kind = |kind: &'static str| -> Result<Option<String>, MetadataError> {
            let ends = |root: &&&str| root.to_ascii_lowercase().ends_with(kind);
            let found: Vec<&str> = roots.iter().filter(ends).copied().collect();
            let [directory] = found[..] else {
                return match found.is_empty() {
                    true => Ok(None),
                    false => {
                        let names: Vec<String> =
                            found.iter().map(|name| Shown::new(name.as_bytes()).to_string()).collect();
                        Err(MetadataError::Several { kind, names: names.join(", ") })
                    }
                };
            };
            let stem = directory.strip_suffix(kind).and_then(|stem| stem.rsplit_once('-'));
            let fits = stem.is_some_and(|(name, version)| {
                name.parse::<PackageName>().is_ok_and(|name| name == *wheel.name())
                    && version.parse::<Version>().is_ok_and(|version| version == *wheel.version())
            });
            match fits {
                true => Ok(Some(directory.to_owned())),
                false => Err(MetadataError::Directory {
                    directory: Shown::new(directory.as_bytes()),
                    name: wheel.name().clone(),
                    version: wheel.version().clone(),
                }),
            }
        };
        let dist_info = of_kind(".dist-info")?.ok_or(MetadataError::NoDistInfo)?;
        Ok(Directories { dist_info, data: of_kind(".data")? })
    }
}

impl Metadata {
    /// Reads the two files' texts and compares them with the wheel's file name.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn parse(
        directories: Directories,
        wheel: &WheelName,
        metadata: &[u8],
        wheel_file: &[u8],
    ) -> Result<Self, MetadataError> {
        let headers = Headers::parse("METADATA", metadata)?;
        let written_name = headers.one("Name")?;
        let different = |key, found: &str, expected: String| MetadataError::Different {
            key,
            found: Shown::new(found.as_bytes()),
            expected,
        };
        let name: Option<PackageName> = written_name.parse().ok();
        if name.as_ref() != Some(wheel.name()) {
            return Err(different("Name", written_name, wheel.name().to_string()));
        }
        let written_version = headers.one("Version")?;
        let version: Option<Version> = written_version.parse().ok();
        if version.as_ref() != Some(wheel.version()) {
            return Err(different("Version", written_version, wheel.version().to_string()));
        }
        let about = Headers::parse("WHEEL", wheel_file)?;
        let format = about.one("Wheel-Version")?;
        let minor = format.strip_prefix("1.");
        if !minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())) {
            return Err(MetadataError::WheelVersion(Shown::new(format.as_bytes())));
        }
        Ok(Metadata {
            dist_info: directories.dist_info,
            data: directories.data,
            name: wheel.name().clone(),
            version: wheel.version().clone(),
            root_is_purelib: about
                .at_most_one("Root-Is-Purelib")?
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            requires_python: headers.at_most_one("Requires-Python")?.map(str::to_owned),
            requires: headers.all("Requires-Dist").map(str::to_owned).collect(),
        })
    }
}

/// The fields at the head of a file, as in mail.
struct Headers<'a> {
    file: &'static str,
    fields: Vec<(&'a str, String)>,
}

impl<'a> Headers<'a> {
    fn parse(file: &'static str, bytes: &'a [u8]) -> Result<Self, MetadataError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // Old descriptions are in other encodings: only the head has to be read.
        let mut fields: Vec<(&str, String)> = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let line = std::str::from_utf8(line).map_err(|_| MetadataError::Encoding(file))?;
            if line.starts_with([' ', '\t']) {
                let (_, value) = fields.last_mut().ok_or(MetadataError::Line { file, line: number + 1 })?;
                value.push('\n');
                value.push_str(line.trim());
                continue;
            }
            let (key, value) = line.split_once(':').ok_or(MetadataError::Line { file, line: number + 1 })?;
            fields.push((key, value.trim().to_owned()));
        }
        Ok(Headers { file, fields })
    }

    fn all<'b>(&'b self, key: &'static str) -> impl Iterator<Item = &'b str> {
        self.fields.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    fn at_most_one(&self, key: &'static str) -> Result<Option<&str>, MetadataError> {
        let mut values = self.all(key);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(MetadataError::Twice { file: self.file, key }),
            (value, None) => Ok(value),
        }
    }

    fn one(&self, key: &'static str) -> Result<&str, MetadataError> {
        self.at_most_one(key)?.ok_or(MetadataError::NoField { file: self.file, key })
    }
}

#[cfg(test)]
mod tests {
    use super::super::zip::{Limits, tests::zip_of};
    use super::*;
    use crate::content::Content;

    fn wheel() -> WheelName {
        "My_Pkg-1.0-py3-none-any.whl".parse().unwrap()
    }

    fn find(names: &[&str]) -> Result<Directories, MetadataError> {
        let files: Vec<(&str, &[u8], u32)> = names.iter().map(|name| (*name, &b""[..], 0o644)).collect();
        let content = Content::inline(zip_of(&files));
        Directories::find(&Archive::open(&content, Limits::default()).unwrap(), &wheel())
    }

    fn parse(metadata: &str, wheel_file: &str) -> Result<Metadata, MetadataError> {
        let directories = Directories { dist_info: "my_pkg-1.0.dist-info".into(), data: None };
        Metadata::parse(directories, &wheel(), metadata.as_bytes(), wheel_file.as_bytes())
    }

    const GOOD: &str = "Metadata-Version: 2.1\nName: my-pkg\nVersion: 1.0.0\nSummary: two\n  lines\nRequires-Dist: a>1\nRequires-Dist: b\nRequires-Python: >=3.8\n\nName: other\n";
    const WHEEL: &str = "Wheel-Version: 1.9\r\nGenerator: x\r\nRoot-Is-Purelib: True\r\nTag: py3-none-any\r\n\r\n";

    #[test]
    fn one_directory_of_metadata() {
        let found =
            find(&["my_pkg-1.0.dist-info/RECORD", "my_pkg-1.0.data/scripts/x", "my.data.py", "a/x.dist-info/y"]);
        let found = found.unwrap();
        assert_eq!(
            (found.dist_info.as_str(), found.data.as_deref()),
            ("my_pkg-1.0.dist-info", Some("my_pkg-1.0.data"))
        );
        assert!(find(&["My.Pkg-1.0.0.dist-info/RECORD"]).is_ok());
        assert_eq!(find(&["x.py"]), Err(MetadataError::NoDistInfo));
        assert!(matches!(find(&["my_pkg-1.0.dist-info/x", "b-1.dist-info/x"]), Err(MetadataError::Several { .. })));
        assert!(matches!(
            find(&["my_pkg-1.0.dist-info/x", "My_Pkg-1.0.dist-info/x"]),
            Err(MetadataError::Several { .. })
        ));
        for bad in [
            "b-1.0.dist-info/x",
            "my_pkg-1.1.dist-info/x",
            "my_pkg.dist-info/x",
            ".dist-info/x",
            "my_pkg-1.0.DIST-INFO/x",
        ] {
            assert!(matches!(find(&[bad]), Err(MetadataError::Directory { .. })), "{bad}");
        }
        let data = find(&["my_pkg-1.0.dist-info/x", "other-1.0.data/purelib/x"]);
        assert!(matches!(data, Err(MetadataError::Directory { .. })));
    }

    #[test]
    fn what_the_files_say_must_fit() {
        let metadata = parse(GOOD, WHEEL).unwrap();
        assert!(metadata.root_is_purelib);
        assert_eq!(
            (metadata.requires, metadata.requires_python),
            (vec!["a>1".into(), "b".into()], Some(">=3.8".into()))
        );
        for (metadata, wheel, why) in [
            (GOOD.replace("my-pkg", "evil"), WHEEL.to_owned(), "METADATA has Name"),
            (GOOD.replace("1.0.0", "1.1"), WHEEL.to_owned(), "METADATA has Version"),
            (GOOD.replace("Version: 1.0.0\n", ""), WHEEL.to_owned(), "no Version"),
            (GOOD.replace("Summary", "name: my-pkg\nSummary"), WHEEL.to_owned(), "Name twice"),
            (GOOD.replace("Name: my-pkg", "Name my-pkg"), WHEEL.to_owned(), "line 2"),
            (format!(" x\n{GOOD}"), WHEEL.to_owned(), "line 1"),
            (GOOD.to_owned(), WHEEL.replace("1.9", "2.0"), "only 1.x"),
            (GOOD.to_owned(), WHEEL.replace("1.9", "1."), "only 1.x"),
            (GOOD.to_owned(), WHEEL.replace("1.9", "11.0"), "only 1.x"),
            (GOOD.to_owned(), String::new(), "no Wheel-Version"),
            (String::new(), WHEEL.to_owned(), "no Name"),
        ] {
            let error = parse(&metadata, &wheel).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
