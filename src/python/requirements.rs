//! `requirements.txt`, as pip reads it: continued lines, comments, hashes, includes, index settings.

mod read;
mod text;

use std::collections::BTreeSet;

use self::read::Reader;
use super::{Marker, Requirement, RequirementError};
use crate::oci::Digest;
use crate::shown::Shown;

/// The most bytes of one file.
pub const MAX_FILE: usize = 16 << 20;

/// The most files that one may include, directly or not.
const MAX_FILES: usize = 200;

/// The most files in one another.
const MAX_DEPTH: usize = 20;

/// What a requirements file and those that it includes say.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// What is asked for, in the order of the lines.
    pub entries: Vec<Line>,
    /// Versions of packages that are not asked for by themselves (`-c`).
    pub constraints: Vec<Line>,
    /// Where packages are looked for.
    pub indexes: Indexes,
    /// `--pre`.
    pub pre: bool,
    /// `--require-hashes`.
    pub require_hashes: bool,
    /// Options that change nothing here and are left to whoever resolves (`--no-binary`, `--only-binary`, `--trusted-host` …).
    pub passed_over: Vec<String>,
    /// Files that were read, the first first.
    pub files: Vec<String>,
}

/// Index settings. The texts may hold credentials, or names of variables in `${…}`: they are not for messages.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Indexes {
    /// `--index-url`.
    pub index: Option<String>,
    /// `--extra-index-url`, in order.
    pub extra: Vec<String>,
    /// `--find-links`, in order.
    pub find_links: Vec<String>,
    /// `--no-index`.
    pub none: bool,
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Indexes {{ index: {}, extra: {}, find_links: {}, none: {} }}",
            u8::from(self.index.is_some()),
            self.extra.len(),
            self.find_links.len(),
            self.none
        )
    }
}

/// A line that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub item: Item,
    /// SHA-256 of the files that are good for it.
    pub hashes: Vec<Digest>,
    /// The line as it is written, without logins, where a variable was filled in elsewhere than as a URL's user and password:
    /// what it holds may be secret.
    pub filled: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A package by name.
    Package(Requirement),
    /// A wheel by path or URL, and when it is wanted.
    Wheel(String, Option<Marker>),
}

impl Item {
    /// The URL, or path of a wheel, that it names.
    pub fn address(&self) -> Option<&str> {
        match self {
            Item::Package(requirement) => requirement.url.as_deref(),
            Item::Wheel(place, _) => Some(place),
        }
    }
}

/// A line of a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The number of its (first) line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of {}", self.line, Shown::new(self.file.as_bytes()))
    }
}

/// Whether a file is a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Every package is pinned with `==` and has hashes: nothing is left to resolve.
    Full,
    /// No line has a hash: it has to be resolved. The line is the first.
    None(Option<Place>),
}

/// Why a requirements file is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// A file could not be read.
    #[error("reading the requirements file {}{}", Shown::new(.file.as_bytes()), .from.as_ref().map_or(String::new(), |place| format!(" of {place}")))]
    Read {
        /// The file.
        file: String,
        /// The line that includes it.
        from: Option<Place>,
        /// Why.
        source: std::io::Error,
    },
    /// A line cannot be read.
    #[error("{place}: {reason}")]
    Line {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// A dependency cannot be read.
    #[error("{place} cannot be read")]
    Requirement {
        /// Where.
        place: Place,
        /// What is wrong.
        source: RequirementError,
    },
    /// Some lines are locked and some are not.
    #[error(
        "{unhashed} has no `--hash`, and {hashed} has one: give hashes to all (`uv pip compile --generate-hashes`) or to none"
    )]
    Mixed {
        /// A line with hashes.
        hashed: Place,
        /// A line without.
        unhashed: Place,
    },
    /// A line with hashes names no version.
    #[error("{place} has hashes, but does not pin one version with `==`")]
    Unpinned {
        /// Where.
        place: Place,
    },
}

/// Reads a file's text by its path, which is relative to where the first one's is relative to.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>;

/// The values of variables that lines hold as `${NAME}`.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Requirements {
    /// Reads a file and those that it includes. Variables are filled in as pip does it: `${NAME}` in capitals, and what is
    /// not set stays as it is written.
    ///
    /// # Errors
    /// [`RequirementsError`]; none holds what a variable held.
    pub fn read(file: &str, variables: Variables<'_>, read: ReadFile<'_>) -> Result<Self, RequirementsError> {
        let mut reader =
            Reader { result: Requirements::default(), seen: BTreeSet::new(), stack: Vec::new(), variables, read };
        reader.file(file, file, None, false)?;
        Ok(reader.result)
    }

    /// Whether all lines are locked, or none.
    ///
    /// # Errors
    /// Where some are and some are not, or one with hashes is not pinned.
    pub fn locked(&self) -> Result<Locked, RequirementsError> {
        let hashed = self.entries.iter().find(|line| !line.hashes.is_empty());
        let unhashed = self.entries.iter().find(|line| line.hashes.is_empty());
        match (hashed, unhashed) {
            (Some(hashed), Some(unhashed)) => {
                Err(RequirementsError::Mixed { hashed: hashed.place.clone(), unhashed: unhashed.place.clone() })
            }
            (None, unhashed) if self.require_hashes && unhashed.is_some() => {
                let place = unhashed.map(|line| line.place.clone()).unwrap_or(Place { file: String::new(), line: 0 });
                Err(RequirementsError::Line {
                    place,
                    reason: "it has no `--hash`, and `--require-hashes` asks for one".to_owned(),
                })
            }
            (None, unhashed) => Ok(Locked::None(unhashed.map(|line| line.place.clone()))),
            (Some(_), None) => {
                let loose = self.entries.iter().find(|line| match &line.item {
                    Item::Package(requirement) => requirement.pinned().is_none() && requirement.url.is_none(),
                    Item::Wheel(..) => false,
                });
                match loose {
                    Some(line) => Err(RequirementsError::Unpinned { place: line.place.clone() }),
                    None => Ok(Locked::Full),
                }
            }
        }
    }
}

/// The path that a line of `file` means: relative to the file's directory, with `.` and `..` taken away where they can be.
pub(crate) fn beside(file: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let directory = file.rsplit_once('/').map(|(directory, _)| directory);
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.into_iter().flat_map(|directory| directory.split('/')).chain(path.split('/')) {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| *last != ".." && !last.is_empty()) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::text::logical_lines;
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read_files(files: &[(&str, &str)]) -> Result<Requirements, RequirementsError> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let variables = |name: &str| match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Requirements::read("requirements.txt", &variables, &mut |path| {
            files.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        })
    }

    fn read(text: &str) -> Result<Requirements, RequirementsError> {
        read_files(&[("requirements.txt", text)])
    }

    fn packages(lines: &[Line]) -> Vec<String> {
        let text = |line: &Line| match &line.item {
            Item::Package(requirement) => requirement.to_string(),
            Item::Wheel(path, _) => path.clone(),
        };
        lines.iter().map(text).collect()
    }

    #[test]
    fn a_file_as_uv_and_pip_compile_write_it() {
        let text = format!(
            "# This file was made\n#    by a tool\n--index-url https://user:secret@host/simple\n\nflask==3.0.1 \\\n    --hash={A} \\\n    --hash={B}\n    # via -r requirements.in\nuvloop==0.20 ; sys_platform != 'win32' --hash {A}  # comment\n"
        );
        let found = read(&text).unwrap();
        assert_eq!(packages(&found.entries), ["flask==3.0.1", "uvloop==0.20 ; sys_platform != 'win32'"]);
        assert_eq!((found.entries[0].hashes.len(), found.entries[0].place.line), (2, 5));
        assert_eq!(found.indexes.index.as_deref(), Some("https://user:secret@host/simple"));
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(found.locked().unwrap(), Locked::Full);
    }

    #[test]
    fn locked_or_not() {
        let place = |line| Place { file: "requirements.txt".into(), line };
        assert_eq!(read("").unwrap().locked().unwrap(), Locked::None(None));
        assert_eq!(read("\n\nflask\n").unwrap().locked().unwrap(), Locked::None(Some(place(3))));
        let mixed = read(&format!("a==1 --hash={A}\nb==1\n")).unwrap().locked().unwrap_err().to_string();
        assert!(mixed.starts_with("line 2 of `requirements.txt` has no `--hash`, and line 1"), "{mixed}");
        assert!(matches!(read(&format!("a>1 --hash={A}")).unwrap().locked(), Err(RequirementsError::Unpinned { .. })));
        assert!(read("--require-hashes\na==1").unwrap().locked().is_err());
        assert_eq!(read(&format!("./d/a-1-py3-none-any.whl --hash={A}")).unwrap().locked().unwrap(), Locked::Full);
    }

    #[test]
    fn includes_and_constraints() {
        let found = read_files(&[
            ("requirements.txt", "-r sub/more.txt\n--constraint=c.txt\na\n-rsub/more.txt"),
            ("sub/more.txt", "b\n-r ../sub/./other.txt\n./w-1-py3-none-any.whl\n"),
            ("sub/other.txt", "c\n--extra-index-url 'https://x'\n-f ./links\n--pre"),
            ("c.txt", "d<2"),
        ])
        .unwrap();
        assert_eq!(packages(&found.entries), ["b", "c", "sub/w-1-py3-none-any.whl", "a"]);
        assert_eq!(packages(&found.constraints), ["d<2"]);
        assert_eq!(found.files, ["requirements.txt", "sub/more.txt", "sub/other.txt", "c.txt"]);
        assert_eq!((found.indexes.extra, found.pre), (vec!["https://x".to_owned()], true));
        assert_eq!(found.indexes.find_links, ["sub/links"]);
        let error = read_files(&[("requirements.txt", "-r a.txt"), ("a.txt", "\n-r requirements.txt")]).unwrap_err();
        assert!(error.to_string().contains("line 2 of `a.txt`: it includes a file that includes this one"), "{error}");
        let error = read("-r gone.txt").unwrap_err().to_string();
        assert_eq!(error, "reading the requirements file `gone.txt` of line 1 of `requirements.txt`");
        let found =
            read("./w-1-py3-none-any.whl;python_version<'3'\nhttps://h/w;-1-py3-none-any.whl ; os_name=='a'").unwrap();
        let [Item::Wheel(_, Some(_)), Item::Wheel(url, Some(marker))] =
            [&found.entries[0].item, &found.entries[1].item]
        else {
            panic!("{found:?}")
        };
        assert_eq!((url.as_str(), marker.text()), ("https://h/w;-1-py3-none-any.whl", "os_name=='a'"));
        assert!(read("-r https://host/r.txt").unwrap_err().to_string().contains("by URL"));
    }

    #[test]
    fn variables_are_filled_in_and_never_shown() {
        let text = "-i https://u:${TOKEN}@h/${lower}/${GONE}/${}\nx @ https://${TOKEN}@h/x-1-py3-none-any.whl\ny @ https://h/${TOKEN}/y-1-py3-none-any.whl\na==1${EMPTY}\n";
        let found = read(text).unwrap();
        assert_eq!(found.indexes.index.as_deref(), Some("https://u:s3cret@h/${lower}/${GONE}/${}"));
        assert_eq!(packages(&found.entries)[0], "x @ https://s3cret@h/x-1-py3-none-any.whl");
        assert_eq!(found.entries.iter().map(|line| line.filled.is_some()).collect::<Vec<_>>(), [false, true, true]);
        for bad in ["a==${TOKEN}=", "--what=${TOKEN}", "-r ${TOKEN}", "a --hash=${TOKEN}", "a ; ${TOKEN}"] {
            let error = read(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        // Files that they name are read, and called by what is written.
        let nested = |text| {
            let root = "-r ${TOKEN}/x.txt\n";
            read_files(&[("requirements.txt", root), ("s3cret/x.txt", "-r y.txt"), ("s3cret/y.txt", text)])
        };
        let found = nested("w/a-1-py3-none-any.whl").unwrap();
        assert_eq!(packages(&found.entries), ["s3cret/w/a-1-py3-none-any.whl"]);
        assert_eq!(found.entries[0].place, Place { file: "${TOKEN}/y.txt".into(), line: 1 });
        for (bad, told) in
            [("a==", "line 1 of `${TOKEN}/y.txt`"), ("-r z", "`${TOKEN}/z` of line 1 of `${TOKEN}/y.txt`")]
        {
            let error = nested(bad).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(told) && !said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn lines_that_cannot_be_installed() {
        for (text, why) in [
            ("-e .", "editable"),
            ("--editable=git+https://h/x", "editable"),
            (".", "only wheels"),
            ("./pkg", "only wheels"),
            ("https://h/x.tar.gz", "only wheels"),
            ("git+https://h/x@v1", "only wheels"),
            ("--unknown x", "`--unknown` is not known"),
            ("a==1 --hash=md5:abc", "sha256 is needed"),
            ("a==1 --hash=sha256:abc", "64 hexadecimal"),
            ("a==1 --hash", "sha256 is needed"),
            ("a==1 --hash=sha512:abc", "no sha256"),
            ("a==1 --config-settings=x=y", "options for building"),
            ("a==1 --what", "is not known"),
            ("-i", "no value"),
            ("a===", "cannot be read"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("line 1"), "{text}: {error}");
        }
    }

    #[test]
    fn lines_and_comments() {
        for (text, expected) in [
            ("a\\\n==1", vec![(1, "a==1")]),
            ("a # x\\\nb", vec![(1, "a")]),
            ("a \\\n# comment\nb", vec![(1, "a"), (3, "b")]),
            ("x @ https://h/p#sha256=1", vec![(1, "x @ https://h/p#sha256=1")]),
            ("#\n \n\r\na\r\n", vec![(4, "a")]),
            ("a\\", vec![(1, "a")]),
        ] {
            let found = logical_lines(text);
            let found: Vec<(usize, &str)> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
            if text.starts_with("a # x") {
                // pip joins before it takes comments away: the next line belongs to the comment.
                assert_eq!(found, [(1, "a")]);
            } else {
                assert_eq!(found, expected, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(a|==|1|-r|-c|--hash=|é|\\\\|\n| |#|sha256:|x.whl|://|\\.\\.|/|;|-|--index-url|@){0,20}") {
            if let Ok(found) = read(&text) {
                let _ = found.locked();
            }
        }
    }
}
