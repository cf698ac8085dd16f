//! Where this machine says that packages are: variables of the environment, and the files of apt, pip, uv and netrc.
//!
//! The stronger comes first:
//!
//! | what | variables | files |
//! | --- | --- | --- |
//! | Debian archives | `LAPSTRAKE_DEBIAN_MIRROR` | apt's `sources.list` and `sources.list.d` |
//! | left archives | `LAPSTRAKE_DEBIAN_SNAPSHOT` | |
//! | Python indexes | `LAPSTRAKE_PYTHON_INDEX` | |
//! | | `UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `UV_INDEX`, `UV_EXTRA_INDEX_URL` | `uv.toml` of `UV_CONFIG_FILE`, else of the user and the system |
//! | | `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL` | `pip.conf` of `PIP_CONFIG_FILE`, the virtual environment, the user, the system |
//! | logins | those in the addresses, `UV_INDEX_NAME_USERNAME` and `_PASSWORD` | apt's `auth.conf` and `auth.conf.d`; `NETRC`, else `~/.netrc` |
//! | the program uv | `LAPSTRAKE_UV`, `PATH` | `~/.local/bin/uv`, `~/.cargo/bin/uv` |
//!
//! The file of another program that cannot be read is passed over, which is told; a variable of our own is an error. So is, where
//! an index is asked for, whatever of pip's and uv's might name it and is not understood: packages would come from another one.

mod apt;
mod indexes;
mod logins;
mod pip;
#[cfg(test)]
mod tests;
mod uv;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use url::Url;

pub use self::apt::security_beside;
use super::credentials::Credentials;
use crate::net::read_regular;
use crate::shown::Shown;

/// No such file comes near this, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What this machine says about where packages are. No address in it holds a login: those are in the credentials.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Roots of Debian archives by name, the best first, each with a slash at its end.
    pub debian: BTreeMap<String, Vec<Url>>,
    /// The archives among them whose roots the variable names.
    pub debian_by_name: BTreeSet<String>,
    /// A template with `{archive}`, `{timestamp}` and `{path}`.
    pub debian_snapshot: Option<String>,
    /// The index of Python packages, with a slash at its end.
    pub python_index: Option<Url>,
    /// The environment in which pip and uv are asked for their own default, where no index is set; nobody is asked
    /// where there is none.
    pub programs: Option<BTreeMap<OsString, OsString>>,
    /// Further ones, in order: what they have is taken from there.
    pub python_extra: Vec<Url>,
    /// The program `uv`.
    pub uv: Option<PathBuf>,
    /// Who we are where.
    pub credentials: Credentials,
    /// Files of other programs that were passed over, and why.
    pub passed_over: Vec<String>,
    /// What might name the Python index that is meant, and cannot be used.
    pub unusable: Option<Unusable>,
}

/// A file or variable of another program that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Which.
    pub what: String,
    /// Why. Nothing of what it holds is told.
    pub why: String,
}

/// A variable of ours holds what it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {reason}")]
pub struct SettingsError {
    /// The variable. Its value is not told: it may hold a password.
    pub variable: &'static str,
    /// What is wrong.
    pub reason: &'static str,
}

impl Settings {
    /// Reads the settings of a machine. `variable` gives variables of the environment; `root` is `/`, or what stands for
    /// it.
    ///
    /// # Errors
    /// [`SettingsError`]: only a variable of our own can be one.
    pub fn of_machine(variable: impl Fn(&str) -> Option<OsString>, root: &Path) -> Result<Self, SettingsError> {
        let mut reader = Reader { variable: &variable, root, settings: Settings::default() };
        reader.debian()?;
        reader.snapshot()?;
        reader.python()?;
        reader.uv()?;
        reader.logins();
        Ok(reader.settings)
    }
}

/// An address with a slash at its end, so that more can be joined to it.
pub fn as_root(mut address: Url) -> Url {
    address.set_query(None);
    address.set_fragment(None);
    if !address.path().ends_with('/') {
        let path = format!("{}/", address.path());
        address.set_path(&path);
    }
    address
}

/// The address in a text, as a root; `None` where it is of no kind that can be read here.
fn address(text: &str) -> Option<Url> {
    let text = text.trim();
    // The rules for addresses would take it out (URL Standard, 4.4): two lines are no address.
    if text.contains(char::is_control) {
        return None;
    }
    // apt's word for files that it copies.
    let text = text.strip_prefix("copy:").map_or_else(|| text.to_owned(), |path| format!("file:{path}"));
    let url = Url::parse(&text).ok()?;
    let good = match url.scheme() {
        "http" | "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "file" => url.to_file_path().is_ok(),
        _ => false,
    };
    good.then(|| as_root(url))
}

fn shown(path: &Path) -> String {
    Shown::new(path.as_os_str().as_encoded_bytes()).to_string()
}

struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    root: &'a Path,
    settings: Settings,
}

impl Reader<'_> {
    fn raw(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.raw(name)?.to_string_lossy().trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    /// A directory that a variable names; relative ones are none, as the XDG specification has it.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn home(&self) -> Option<PathBuf> {
        self.directory("HOME")
    }

    fn config_home(&self) -> Option<PathBuf> {
        self.directory("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))
    }

    fn config_directories(&self) -> Vec<PathBuf> {
        let listed = self.raw("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
        std::env::split_paths(&listed).filter(|path| path.is_absolute()).collect()
    }

    /// Where a path is, seen from outside. A relative one is meant from where the program runs.
    fn outside(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/").map_or_else(|_| path.to_owned(), |below| self.root.join(below))
    }

    /// Whether it can be told whether a file is there: in somebody else's home it cannot.
    fn may_look(&self, path: &Path) -> bool {
        let found = std::fs::symlink_metadata(self.outside(path));
        !found.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The text of a file; `None` where there is none.
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let read = read_regular(&self.outside(path), MAX_FILE)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8")));
        match read {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The text of a file; `None` where there is none, or it cannot be read, which is told.
    fn file(&mut self, path: &Path) -> Option<String> {
        self.read(path).unwrap_or_else(|error| {
            self.pass_over(path, error);
            None
        })
    }

    fn pass_over(&mut self, path: &Path, why: impl std::fmt::Display) {
        self.settings.passed_over.push(format!("{} is passed over: {why}", shown(path)));
    }

    /// The files of a directory with one of these endings, by name; only those with names that apt would read.
    fn files_of(&mut self, directory: &Path, endings: &[&str]) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(self.outside(directory)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Vec::new();
            }
            Err(error) => {
                self.pass_over(directory, error);
                return Vec::new();
            }
        };
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| plain(name) && !name.starts_with('.') && endings.iter().any(|end| name.ends_with(end)))
            .collect();
        names.sort();
        names.into_iter().map(|name| directory.join(name)).collect()
    }

    /// The address in a text without its login, which is kept.
    fn address(&mut self, text: &str) -> Option<Url> {
        let mut address = address(text)?;
        self.settings.credentials.take_from(&mut address);
        self.settings.credentials.name(&address);
        Some(address)
    }
}
