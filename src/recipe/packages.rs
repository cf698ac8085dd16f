//! What a recipe says about Debian and Python packages. Whether it can be done is found out when it is locked.

use std::collections::BTreeMap;

use url::Url;

use super::At;
use super::path::FromText;
use super::path::{FilePath, PerArch};
use super::problems::{Fault, shown};
use crate::tree::TreePath;

/// `[debian]`: where packages come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DebianSettings {
    /// Mirror of the archive `debian`; the machine says where this does not.
    pub mirror: Option<At<Url>>,
    /// Further archives, by name.
    pub archives: BTreeMap<String, DebianArchive>,
    /// Keys that sign the archives; Debian's own where not given.
    pub keyring: Option<At<FilePath>>,
    /// A URL with `{archive}`, `{timestamp}` and `{path}`, for packages that have left the mirror.
    pub snapshot: Option<At<String>>,
}

/// An archive beside Debian's own.
#[derive(Clone, Debug, PartialEq)]
pub struct DebianArchive {
    /// Where its name is written.
    pub name: At<String>,
    /// Where it is; the machine says where this does not.
    pub mirror: Option<At<Url>>,
    /// Its suites, at least one.
    pub suites: Vec<At<String>>,
    /// Their components; `main` where there are none.
    pub components: Vec<At<String>>,
    /// Keys that sign it.
    pub keyring: Option<At<FilePath>>,
    /// The `Origin` that its Release file must have.
    pub origin: Option<At<String>>,
    /// As [`DebianSettings::snapshot`].
    pub snapshot: Option<At<String>>,
}

/// `debian` of a layer, with what `[debian]` says where the layer does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebianSource {
    /// What is asked for.
    pub packages: Vec<At<DebianPackage>>,
    /// Suites, in the order in which they are written; none where nothing is said.
    pub suites: Vec<At<String>>,
    /// Components; `main` where there are none.
    pub components: Vec<At<String>>,
    /// Whether Debian's Essential packages are taken too.
    pub essential: bool,
    /// Whether documentation, man pages and translations are left out.
    pub slim: bool,
    /// Whether a maintainer script whose effect is known in part is an error.
    pub strict: bool,
    /// Whether recommended packages are taken too.
    pub recommends: bool,
    /// Whether Python files get their bytecode.
    pub compile: bool,
    /// Dependencies that are left out.
    pub without: Vec<At<String>>,
    /// Packages that are taken although what their scripts do is not known.
    pub skip_scripts: Vec<At<String>>,
}

/// A Debian package that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebianPackage {
    /// By name, from the suites.
    Named {
        /// The name; a virtual one too.
        name: String,
        /// Exactly this version: `name=version`.
        version: Option<String>,
        /// From this suite: `name/suite`.
        suite: Option<String>,
    },
    /// A `.deb` file.
    File(PerArch<FilePath>),
}

impl DebianPackage {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if text.ends_with(".deb") {
            return PerArch::parse(text).map(DebianPackage::File);
        }
        let bad = || {
            Fault::new(
                format!("{} is no package", shown(text)),
                "expected a name such as `\"curl\"`, `\"curl=8.14.1-2\"`, `\"curl/trixie-backports\"`, or the path of a `.deb`",
            )
        };
        let (name, version, suite) = match (text.split_once('='), text.split_once('/')) {
            (Some((name, version)), _) => (name, Some(version), None),
            (None, Some((name, suite))) => (name, None, Some(suite)),
            (None, None) => (text, None, None),
        };
        if let Some((name, arch)) = text.split_once(':')
            && debian_name(name).is_ok()
            && version.is_none()
        {
            return Err(bad().help(format!(
                "packages are taken for each platform of the image: {} without {}",
                shown(name),
                shown(&format!(":{arch}"))
            )));
        }
        debian_name(name).map_err(|_| bad())?;
        let version_is_good = version.is_none_or(|version| {
            version.starts_with(|c: char| c.is_ascii_alphanumeric())
                && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~:-".contains(&b))
        });
        if !version_is_good || suite.is_some_and(|suite| suite_name(suite).is_err()) {
            return Err(bad());
        }
        Ok(DebianPackage::Named {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            suite: suite.map(str::to_owned),
        })
    }
}

/// The name of a package (Debian Policy 5.6.1): two or more lower-case letters, digits, `+`, `-`, `.`.
pub(super) fn debian_name(text: &str) -> Result<(), Fault> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    match first && rest && text.len() >= 2 {
        true => Ok(()),
        false => Err(Fault::new(
            format!("{} is no name of a Debian package", shown(text)),
            "expected lower-case letters, digits, `+`, `-` and `.`",
        )),
    }
}

/// A suite or component: words with slashes between them.
pub(super) fn suite_name(text: &str) -> Result<(), Fault> {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
    };
    match text.starts_with(|c: char| c.is_ascii_lowercase()) && text.split('/').all(good) {
        true => Ok(()),
        false => Err(Fault::new(
            format!("{} is no suite or component", shown(text)),
            "expected a word such as `\"trixie\"` or `\"main\"`",
        )),
    }
}

/// `python` of a layer, with what `[python]` says where the layer does not.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonSource {
    /// What says which packages.
    pub input: PythonInput,
    /// Wheels of the context, by path or pattern.
    pub wheels: Vec<At<PerArch<FilePath>>>,
    /// Extras of the project that are taken too.
    pub extras: Vec<At<String>>,
    /// Dependency groups that are taken too.
    pub groups: Vec<At<String>>,
    /// Where they go.
    pub target: PythonTarget,
    /// The image's Python (`3.13`, `3.11.2`), where it cannot be found out.
    pub version: Option<At<String>>,
    /// Indexes, the first one first; the machine says where there are none.
    pub indexes: Vec<PythonIndex>,
    /// Whether modules get their bytecode.
    pub compile: bool,
    /// Whether packages may go where another package manager keeps its own (PEP 668).
    pub break_system_packages: bool,
}

/// A file that says which Python packages are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonInput {
    /// Only wheels by path.
    None,
    /// Requirements files, at least one.
    Requirements(Vec<At<PerArch<FilePath>>>),
    /// A `pylock.toml` (PEP 751).
    Pylock(At<PerArch<FilePath>>),
    /// A `uv.lock`.
    UvLock(At<PerArch<FilePath>>),
    /// A `pyproject.toml`.
    Pyproject(At<PerArch<FilePath>>),
}

/// Where Python packages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonTarget {
    /// The interpreter's own directory.
    Interpreter,
    /// A directory, as with `pip install --target`.
    Directory(At<PerArch<TreePath>>),
    /// A virtual environment.
    Venv(At<PerArch<TreePath>>),
}

/// An index of Python packages.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonIndex {
    /// Its name in the lock; `default` where the recipe gives none.
    pub name: String,
    /// Where it is.
    pub url: At<Url>,
}

/// `3.N` or `3.N.P`.
pub(super) fn python_version(text: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        ["3", rest @ ..] if (1..=2).contains(&rest.len()) && rest.iter().all(number) => Ok(()),
        _ => Err(Fault::new(format!("{} is no Python version", shown(text)), "expected `\"3.13\"` or `\"3.13.5\"`")),
    }
}

/// A name of an extra or a group: letters and digits, with `-`, `_` and `.` between them.
pub(super) fn python_group(text: &str) -> Result<(), Fault> {
    let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inside = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match inside && word(text.bytes().next()) && word(text.bytes().next_back()) {
        true => Ok(()),
        false => Err(Fault::new(
            format!("{} is no name of an extra or a group", shown(text)),
            "expected letters and digits, with `-`, `_` and `.` between them",
        )),
    }
}

/// A name that a lock can hold: lower-case letters, digits, and `-` between them.
pub(super) fn place_name(text: &str) -> Result<(), Fault> {
    let good =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match text.len() <= 64 && text.split('-').all(good) {
        true => Ok(()),
        false => Err(Fault::new(
            format!("{} is no name", shown(text)),
            "expected lower-case letters and digits, with `-` between them",
        )),
    }
}

/// A URL of one of some schemes, with a host where the scheme has one, and without user and password.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<Url, Fault> {
    let expected = format!(
        "expected a URL that starts with {}",
        schemes.iter().map(|scheme| format!("`{scheme}://`")).collect::<Vec<_>>().join(" or ")
    );
    // Refused by the text, too: what is no URL for the parser may still hold a password.
    let authority =
        text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let parsed = Url::parse(text);
    let secret = |url: &Url| !url.username().is_empty() || url.password().is_some();
    if authority.contains('@') || parsed.as_ref().is_ok_and(secret) || (parsed.is_err() && text.contains('@')) {
        return Err(Fault::new("a URL holds no user name and password", "expected a URL without them")
            .help("credentials come from `.netrc`, or from the settings of apt, pip or uv")
            .secret());
    }
    let bad = |reason: &str| Fault::new(format!("{} is no URL{reason}", shown(text)), expected.clone());
    let url = parsed.map_err(|error| bad(&format!(" ({error})")))?;
    if !schemes.contains(&url.scheme()) || !text.contains("://") {
        return Err(bad(" of a kind that can be used here"));
    }
    match url.host_str().is_some_and(|host| !host.is_empty()) || url.scheme() == "file" {
        true => Ok(url),
        false => Err(bad(" (it has no host)")),
    }
}

/// A download.
impl FromText for Url {
    fn from_text(text: &str) -> Result<Self, Fault> {
        url(text, &["https", "http"])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packages_have_versions_or_suites_or_are_files() {
        let named = |text: &str| match DebianPackage::parse(text) {
            Ok(DebianPackage::Named { name, version, suite }) => {
                Some((name, version.unwrap_or_default(), suite.unwrap_or_default()))
            }
            _ => None,
        };
        let s = |text: &str| text.to_owned();
        assert_eq!(named("libstdc++6"), Some((s("libstdc++6"), s(""), s(""))));
        assert_eq!(named("curl=1:8.14.1-2+deb13u1~x"), Some((s("curl"), s("1:8.14.1-2+deb13u1~x"), s(""))));
        assert_eq!(named("curl/trixie-backports"), Some((s("curl"), s(""), s("trixie-backports"))));
        assert!(matches!(DebianPackage::parse("dist/x-{arch}.deb"), Ok(DebianPackage::File(_))));
        for bad in [
            "",
            "x",
            "Curl",
            "curl=",
            "curl=a b",
            "curl/",
            "curl/../x",
            "curl:amd64",
            "-x",
            "curl>=8",
            "curl (>= 8)",
            "a_b",
        ] {
            assert!(DebianPackage::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_hold_no_secrets() {
        assert!(url("https://example.com/x@y", &["https"]).is_ok());
        assert!(url("file:///srv/x", &["file"]).is_ok());
        for bad in ["", "x", "ftp://h/x", "https://", "https:/h/x", "file://x", "HTTPS:x"] {
            assert!(url(bad, &["https", "http"]).is_err(), "{bad}");
        }
        for secret in
            ["https://me:pass@h/x", "https://pass@h/x", "https://:pass@h/x", "https://me:pa ss@h/x", "x://me:pass@"]
        {
            let fault = url(secret, &["https"]).unwrap_err();
            assert_eq!(fault.message, "a URL holds no user name and password");
            assert!(!format!("{fault:?}").contains("pass@"), "{secret}");
        }
    }

    #[test]
    fn names_have_their_grammars() {
        assert!(python_version("3.13").is_ok() && python_version("3.11.2").is_ok());
        for bad in ["3", "2.7", "3.", "3.x", "3.1.2.3", "3.1234", ">=3.9", ""] {
            assert!(python_version(bad).is_err(), "{bad}");
        }
        assert!(python_group("a").is_ok() && python_group("a-b_c.1").is_ok());
        assert!(python_group("-a").is_err() && python_group("").is_err() && python_group("a b").is_err());
        assert!(place_name("company-2").is_ok() && place_name("a--b").is_err() && place_name("A").is_err());
        assert!(suite_name("stable/updates").is_ok() && suite_name("../x").is_err() && suite_name("a/.b").is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[a-z:/@.=+-]){0,30}") {
            let _ = (DebianPackage::parse(&text), url(&text, &["https"]), python_version(&text), suite_name(&text));
        }
    }
}
