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
//! The file of another program that cannot be read is passed over, which is told; a variable of our own is an error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use url::Url;

use super::apt_sources::{self, AptSource, SECURITY};
use super::credentials::{Credentials, Login};
use super::netrc::{self, NetrcForm};
use super::pip::PipConf;
use super::uv::{UvConf, UvIndex};
use crate::net::{Secret, read_regular};
use crate::shown::Shown;

/// No such file comes near this, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What the variable for the Debian mirror is called.
const DEBIAN_MIRROR: &str = "LAPSTRAKE_DEBIAN_MIRROR";
const DEBIAN_SNAPSHOT: &str = "LAPSTRAKE_DEBIAN_SNAPSHOT";
const PYTHON_INDEX: &str = "LAPSTRAKE_PYTHON_INDEX";
const UV: &str = "LAPSTRAKE_UV";

/// What this machine says about where packages are. No address in it holds a login: those are in the credentials.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Roots of Debian archives by name, the best first, each with a slash at its end.
    pub debian: BTreeMap<String, Vec<Url>>,
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

/// The root of the archive of security updates that belongs to a mirror of `debian`: its neighbour. `None` where the
/// mirror has no path whose last part could be another.
pub fn security_beside(mirror: &Url) -> Option<Url> {
    let mut beside = mirror.clone();
    if mirror.path().trim_matches('/').is_empty() {
        return None;
    }
    beside.path_segments_mut().ok()?.pop_if_empty().pop().push(SECURITY).push("");
    Some(beside)
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

struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    root: &'a Path,
    settings: Settings,
}

/// Indexes of one program.
#[derive(Default)]
struct Indexes {
    default: Option<Url>,
    extra: Vec<Url>,
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

    /// The text of a file; `None` where there is none, or it cannot be read, which is told.
    fn file(&mut self, path: &Path) -> Option<String> {
        let read = read_regular(&self.outside(path), MAX_FILE)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8")));
        match read {
            Ok(text) => Some(text),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(error) => {
                self.pass_over(path, error);
                None
            }
        }
    }

    fn pass_over(&mut self, path: &Path, why: impl std::fmt::Display) {
        let path = Shown::new(path.as_os_str().as_encoded_bytes());
        self.settings.passed_over.push(format!("{path} is passed over: {why}"));
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

    // --- Debian ---

    fn debian(&mut self) -> Result<(), SettingsError> {
        for (archive, root) in self.debian_of_variable()? {
            self.settings.debian.entry(archive).or_default().push(root);
        }
        let named: Vec<String> = self.settings.debian.keys().cloned().collect();
        for source in self.apt_sources() {
            for text in self.addresses_of(&source) {
                let Some(root) = self.address(text.expose()) else { continue };
                for archive in apt_sources::archives(&root, &source.suites) {
                    let roots = self.settings.debian.entry(archive.clone()).or_default();
                    if !named.contains(&archive) && !roots.contains(&root) {
                        roots.push(root.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn debian_of_variable(&mut self) -> Result<BTreeMap<String, Url>, SettingsError> {
        let wrong = |reason| SettingsError { variable: DEBIAN_MIRROR, reason };
        let mut roots = BTreeMap::new();
        let mut beside = None;
        for word in self.text(DEBIAN_MIRROR).unwrap_or_default().split_whitespace() {
            let pair = word.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
            let (archive, text) = pair.unwrap_or(("debian", word));
            let root = self.address(text).ok_or_else(|| {
                wrong("holds no address: give the root of a mirror (http, https or file), or pairs `archive=address`")
            })?;
            if pair.is_none() {
                beside = security_beside(&root);
            }
            if archive.is_empty() || roots.insert(archive.to_owned(), root).is_some() {
                return Err(wrong("names an archive twice, or without a name: give pairs `archive=address`"));
            }
        }
        if let Some(beside) = beside {
            roots.entry(SECURITY.to_owned()).or_insert(beside);
        }
        Ok(roots)
    }

    fn apt_sources(&mut self) -> Vec<AptSource> {
        let mut sources = Vec::new();
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        files.extend(self.files_of(Path::new("/etc/apt/sources.list.d"), &[".list", ".sources"]));
        for path in files {
            let Some(text) = self.file(&path) else { continue };
            let stanzas = path.extension().is_some_and(|end| end == "sources");
            sources.extend(if stanzas { apt_sources::of_stanzas(&text) } else { apt_sources::of_lines(&text) });
        }
        sources
    }

    /// The addresses of an entry: its own, or those of the list of mirrors that it names.
    fn addresses_of(&mut self, source: &AptSource) -> Vec<Secret> {
        let list = source
            .address
            .expose()
            .strip_prefix("mirror+file:")
            .map(|path| PathBuf::from(format!("/{}", path.trim_start_matches('/'))));
        match list {
            Some(path) => self.file(&path).map(|text| apt_sources::of_mirrors(&text)).unwrap_or_default(),
            None => vec![source.address.clone()],
        }
    }

    fn snapshot(&mut self) -> Result<(), SettingsError> {
        let Some(text) = self.text(DEBIAN_SNAPSHOT) else { return Ok(()) };
        let wrong = |reason| SettingsError { variable: DEBIAN_SNAPSHOT, reason };
        if !["{archive}", "{timestamp}", "{path}"].iter().all(|part| text.contains(part)) {
            return Err(wrong("is no template: it needs `{archive}`, `{timestamp}` and `{path}`"));
        }
        // Its login is for its server; braces stand in its path alone.
        let no_address = wrong("holds no address: give a template that starts with `https://` or `http://`");
        let (scheme, rest) = text.split_once("://").ok_or(no_address)?;
        let (server, path) = rest.find('/').map(|at| rest.split_at(at)).ok_or(no_address)?;
        let bare = server.rsplit_once('@').map_or(server, |(_, server)| server);
        let shown = format!("{scheme}://{bare}{path}");
        self.address(&format!("{scheme}://{server}/")).ok_or(no_address)?;
        self.settings.debian_snapshot = Some(shown);
        Ok(())
    }

    // --- Python ---

    fn python(&mut self) -> Result<(), SettingsError> {
        let own = self.own_indexes()?;
        let all = [own, self.uv_indexes(), self.pip_indexes()];
        // Where nobody names a default, further ones are still some.
        let chosen = all.iter().position(|found| found.default.is_some());
        let chosen = chosen.or_else(|| all.iter().position(|found| !found.extra.is_empty()));
        if let Some(found) = chosen.and_then(|at| all.into_iter().nth(at)) {
            self.settings.python_index = found.default;
            self.settings.python_extra = found.extra;
        }
        Ok(())
    }

    fn own_indexes(&mut self) -> Result<Indexes, SettingsError> {
        let mut found = Vec::new();
        for word in self.text(PYTHON_INDEX).unwrap_or_default().split_whitespace() {
            found.push(self.address(word).ok_or(SettingsError {
                variable: PYTHON_INDEX,
                reason: "holds no address: give that of an index (http, https or file), and those of further ones behind it",
            })?);
        }
        let mut found = found.into_iter();
        Ok(Indexes { default: found.next(), extra: found.collect() })
    }

    /// An index that `place` names; what is no address is told without a word of it.
    fn index(&mut self, text: &Secret, place: &str) -> Option<Url> {
        let found = self.address(text.expose());
        if found.is_none() {
            self.settings
                .passed_over
                .push(format!("an index of {place} is passed over: it is no http, https or file address"));
        }
        found
    }

    fn uv_indexes(&mut self) -> Indexes {
        let place = "uv's settings";
        let conf = self.uv_conf();
        let listed = |name: &str| self.text(name).unwrap_or_default();
        let mut indexes: Vec<UvIndex> =
            listed("UV_INDEX").split_whitespace().map(|text| UvIndex::of_variable(text, false)).collect();
        indexes.extend(self.text("UV_DEFAULT_INDEX").map(|text| UvIndex::of_variable(&text, true)));
        let plain = |text: &str| UvIndex::of_variable(text, false).address;
        let mut extra: Vec<Secret> = listed("UV_EXTRA_INDEX_URL").split_whitespace().map(plain).collect();
        let index_url = self.text("UV_INDEX_URL").map(Secret::new);
        let default = |address| UvIndex { name: None, address, default: true, searched: true };
        indexes.extend(index_url.map(default));
        indexes.extend(conf.indexes);
        indexes.extend(conf.index.map(default));
        extra.extend(conf.extra);

        let mut found = Indexes::default();
        for index in indexes {
            self.logins_of_index(&index);
            let Some(address) = self.index(&index.address, place) else { continue };
            match index.default {
                _ if !index.searched => {}
                true => found.default = found.default.or(Some(address)),
                false => found.extra.push(address),
            }
        }
        let extra: Vec<Url> = extra.iter().filter_map(|text| self.index(text, place)).collect();
        found.extra.extend(extra);
        tidy(found)
    }

    fn uv_conf(&mut self) -> UvConf {
        let mut files = Vec::new();
        if let Some(file) = self.raw("UV_CONFIG_FILE") {
            files.push(PathBuf::from(file));
        } else if self.text("UV_NO_CONFIG").is_none_or(|word| matches!(word.as_str(), "0" | "false" | "no")) {
            files.extend(self.config_home().map(|home| home.join("uv/uv.toml")));
            let system = self.config_directories().into_iter().map(|directory| directory.join("uv/uv.toml"));
            let mut system = system.chain([PathBuf::from("/etc/uv/uv.toml")]);
            files.extend(system.find(|path| self.outside(path).exists()));
        }
        let mut conf = UvConf::default();
        for path in files {
            match self.file(&path).map(|text| UvConf::parse(&text)) {
                Some(Ok(found)) => conf = conf.or(found),
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        conf
    }

    /// The login of a named index, where variables hold one; it comes before that in its address.
    fn logins_of_index(&mut self, index: &UvIndex) {
        let Some(address) = address(index.address.expose()) else { return };
        let get = |what| index.variable(what).and_then(|name| self.text(&name));
        let (user, password) = (get("USERNAME"), get("PASSWORD"));
        if user.is_some() || password.is_some() {
            let login = Login {
                user: Secret::new(user.unwrap_or_default()),
                password: Secret::new(password.unwrap_or_default()),
            };
            self.settings.credentials.add(&address, login);
        }
    }

    fn pip_indexes(&mut self) -> Indexes {
        let place = "pip's settings";
        let conf = self.pip_conf();
        let index = self.text("PIP_INDEX_URL").map(Secret::new).or(conf.index.strongest());
        let extra = match self.text("PIP_EXTRA_INDEX_URL") {
            Some(list) => list.split_whitespace().map(Secret::new).collect(),
            None => conf.extra.strongest().unwrap_or_default(),
        };
        let default = index.and_then(|text| self.index(&text, place));
        let extra = extra.iter().filter_map(|text| self.index(text, place)).collect();
        tidy(Indexes { default, extra })
    }

    fn pip_conf(&mut self) -> PipConf {
        let named = self.raw("PIP_CONFIG_FILE").map(PathBuf::from);
        if named.as_deref() == Some(Path::new("/dev/null")) {
            return PipConf::default();
        }
        let mut files: Vec<PathBuf> = Vec::new();
        files.extend(self.directory("VIRTUAL_ENV").map(|directory| directory.join("pip.conf")));
        match named {
            // pip leaves the user's own files out then.
            Some(path) if self.outside(&path).exists() => files.insert(0, path),
            _ => {
                files.extend(self.config_home().map(|home| home.join("pip/pip.conf")));
                files.extend(self.home().map(|home| home.join(".pip/pip.conf")));
            }
        }
        files.push("/etc/pip.conf".into());
        files.extend(self.config_directories().into_iter().map(|directory| directory.join("pip/pip.conf")));
        let mut conf = PipConf::default();
        for path in files {
            match self.file(&path).map(|text| PipConf::parse(&text)) {
                Some(Ok(found)) => {
                    conf = PipConf { index: conf.index.or(found.index), extra: conf.extra.or(found.extra) };
                }
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        conf
    }

    fn uv(&mut self) -> Result<(), SettingsError> {
        let named = self.raw(UV).map(PathBuf::from);
        let name = match &named {
            Some(path) if path.is_absolute() => {
                self.settings.uv = Some(path.clone());
                return Ok(());
            }
            Some(name) if name.components().count() > 1 => {
                let reason = "names a program by a relative path: give an absolute one, or a name on PATH";
                return Err(SettingsError { variable: UV, reason });
            }
            Some(name) => name.clone(),
            None => PathBuf::from("uv"),
        };
        let on_path = self.raw("PATH").unwrap_or_default();
        let mut candidates: Vec<PathBuf> =
            std::env::split_paths(&on_path).filter(|path| path.is_absolute()).map(|path| path.join(&name)).collect();
        for below in [".local/bin", ".cargo/bin"] {
            candidates.extend(self.home().map(|home| home.join(below).join(&name)));
        }
        let runs = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        self.settings.uv = candidates.iter().map(|path| self.outside(path)).find(runs);
        match (named, &self.settings.uv) {
            (Some(_), None) => Err(SettingsError { variable: UV, reason: "names a program that is not on PATH" }),
            _ => Ok(()),
        }
    }

    // --- logins ---

    fn logins(&mut self) {
        let mut files = vec![PathBuf::from("/etc/apt/auth.conf")];
        files.extend(self.files_of(Path::new("/etc/apt/auth.conf.d"), &[".conf"]));
        for path in files {
            match self.file(&path).map(|text| netrc::parse(&text, NetrcForm::Apt)) {
                Some(Ok(entries)) => self.settings.credentials.add_apt(entries),
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        let netrc = self.raw("NETRC").map(PathBuf::from).or_else(|| Some(self.home()?.join(".netrc")));
        let Some(path) = netrc else { return };
        match self.file(&path).map(|text| netrc::parse(&text, NetrcForm::Netrc)) {
            Some(Ok(entries)) => self.settings.credentials.add_netrc(entries),
            Some(Err(error)) => self.pass_over(&path, error),
            None => {}
        }
    }
}

/// Each index once: the default one is no further one.
fn tidy(mut found: Indexes) -> Indexes {
    let mut seen: Vec<Url> = found.default.iter().cloned().collect();
    found.extra.retain(|address| {
        let new = !seen.contains(address);
        seen.push(address.clone());
        new
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files and variables.
    fn machine(
        files: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> (tempfile::TempDir, Result<Settings, SettingsError>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        let settings = Settings::of_machine(variable, root.path());
        (root, settings)
    }

    fn settings(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Settings {
        machine(files, variables).1.unwrap()
    }

    fn debian(settings: &Settings) -> String {
        let list = |roots: &Vec<Url>| roots.iter().map(Url::as_str).collect::<Vec<_>>().join(",");
        settings.debian.iter().map(|(name, roots)| format!("{name}={}", list(roots))).collect::<Vec<_>>().join(" ")
    }

    /// The index, and behind it further ones.
    fn python(settings: &Settings) -> String {
        let index = settings.python_index.as_ref().map_or("-", Url::as_str);
        let extra = settings.python_extra.iter().map(Url::as_str);
        std::iter::once(index).chain(extra).collect::<Vec<_>>().join(" ")
    }

    fn login(settings: &Settings, address: &str) -> String {
        let found = settings.credentials.find(&Url::parse(address).unwrap());
        found.map_or("-".to_owned(), |login| format!("{}:{}", login.user.expose(), login.password.expose()))
    }

    const APT: &[(&str, &str)] = &[
        ("etc/apt/sources.list", "deb http://example.com/first trixie main\ndeb cdrom:[x]/ trixie main\n"),
        (
            "etc/apt/sources.list.d/debian.sources",
            "Types: deb\nURIs: http://me:pass@example.com/debian http://example.org/debian/\nSuites: trixie trixie-updates\n\n\
             Types: deb\nURIs: http://example.com/debian-security\nSuites: trixie-security\n",
        ),
        ("etc/apt/sources.list.d/again.list", "deb http://example.com/debian/ trixie-backports main\n"),
        ("etc/apt/sources.list.d/off.list.disabled", "deb http://example.com/off trixie main\n"),
        ("etc/apt/sources.list.d/o ff.list", "deb http://example.com/off trixie main\n"),
        ("etc/apt/sources.list.d/mirrors.list", "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n"),
        ("etc/apt/mirrors/debian.list", "https://cloud.example.com/debian\tpriority:1\n"),
        ("etc/apt/auth.conf.d/x.conf", "machine example.org/debian login apt password secret"),
        ("etc/apt/auth.conf.d/x.conf~", "machine example.org login no password no"),
    ];

    #[test]
    fn debian_archives_are_where_apt_has_them() {
        let found = settings(APT, &[]);
        assert_eq!(
            debian(&found),
            "debian=http://example.com/debian/,http://example.org/debian/,https://cloud.example.com/debian/ \
             debian-security=http://example.com/debian-security/ first=http://example.com/first/"
        );
        assert_eq!(login(&found, "http://example.com/debian/pool/x"), "me:pass");
        assert_eq!(login(&found, "https://example.org/debian/pool/x"), "apt:secret");
        assert!(found.passed_over.is_empty(), "{:?}", found.passed_over);
        assert_eq!(debian(&settings(&[], &[])), "");
    }

    #[test]
    fn the_variable_for_debian_is_stronger_than_apt() {
        let debian = |value| debian(&settings(APT, &[(DEBIAN_MIRROR, value)]));
        let first = "first=http://example.com/first/";
        assert_eq!(
            debian("https://example.net/mirror/debian"),
            format!(
                "debian=https://example.net/mirror/debian/ debian-security=https://example.net/mirror/debian-security/ {first}"
            )
        );
        assert_eq!(
            debian("first=https://example.net/1 debian-security=file:/srv/security"),
            "debian=http://example.com/debian/,http://example.org/debian/,https://cloud.example.com/debian/ \
             debian-security=file:///srv/security/ first=https://example.net/1/"
        );
        // What has no last part has no neighbour.
        assert_eq!(
            debian("https://example.net"),
            format!("debian=https://example.net/ debian-security=http://example.com/debian-security/ {first}")
        );
        for bad in ["hunter22", "ftp://hunter22/", "debian=", "a=https://x/ a=https://hunter22/", "=https://x/"] {
            let error = machine(&[], &[(DEBIAN_MIRROR, bad)]).1.unwrap_err();
            assert!(error.to_string().starts_with("LAPSTRAKE_DEBIAN_MIRROR "), "{error}");
            assert!(!error.to_string().contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn a_snapshot_is_a_template() {
        let template = "https://me:pass@example.com/archive/{archive}/{timestamp}/{path}";
        let found = settings(&[], &[(DEBIAN_SNAPSHOT, template)]);
        let shown = "https://example.com/archive/{archive}/{timestamp}/{path}";
        assert_eq!(found.debian_snapshot.as_deref(), Some(shown));
        assert_eq!(login(&found, "https://example.com/archive/debian/1/x"), "me:pass");
        for bad in
            ["https://example.com/{archive}/{path}", "{archive}/{timestamp}/{path}", "x://h/{archive}{timestamp}{path}"]
        {
            assert!(machine(&[], &[(DEBIAN_SNAPSHOT, bad)]).1.is_err(), "{bad}");
        }
    }

    const PIP: (&str, &str) = ("etc/pip.conf", "[global]\nindex-url = https://example.com/pip\n");
    const UV_USER: (&str, &str) = (
        "home/me/.config/uv/uv.toml",
        "extra-index-url = [\"https://example.com/more\"]\n[[index]]\nname = \"my-own\"\nurl = \"https://example.com/own\"\n",
    );
    const UV_SYSTEM: (&str, &str) = ("etc/uv/uv.toml", "index-url = \"https://example.com/system/\"\n");
    const HOME: (&str, &str) = ("HOME", "/home/me");

    #[test]
    fn indexes_are_ours_then_those_of_uv_then_those_of_pip() {
        let index = |files: &[(&str, &str)], variables: &[(&str, &str)]| python(&settings(files, variables));
        assert_eq!(index(&[], &[HOME]), "-");
        assert_eq!(index(&[PIP], &[HOME]), "https://example.com/pip/");
        let files = [PIP, UV_USER, UV_SYSTEM];
        assert_eq!(
            index(&files, &[HOME]),
            "https://example.com/system/ https://example.com/own/ https://example.com/more/"
        );
        // Where uv names no default, pip's settings are the ones that are whole.
        assert_eq!(index(&[PIP, UV_USER], &[HOME]), "https://example.com/pip/");
        assert_eq!(index(&[UV_USER], &[HOME]), "- https://example.com/own/ https://example.com/more/");
        assert_eq!(index(&files, &[HOME, ("UV_NO_CONFIG", "1")]), "https://example.com/pip/");
        assert_eq!(
            index(&files, &[HOME, (PYTHON_INDEX, "https://example.net/a https://example.net/b/#x")]),
            "https://example.net/a/ https://example.net/b/"
        );
        assert!(machine(&files, &[(PYTHON_INDEX, "hunter22")]).1.is_err());
    }

    #[test]
    fn variables_of_uv_are_stronger_than_its_files() {
        let own = ("own.toml", "[[index]]\nurl = \"https://example.com/file\"\ndefault = true\n");
        let root = |variables: &[(&str, &str)]| {
            let all: Vec<_> = [&[HOME, ("UV_CONFIG_FILE", "/own.toml")], variables].concat();
            python(&settings(&[own, UV_USER, UV_SYSTEM], &all))
        };
        assert_eq!(root(&[]), "https://example.com/file/");
        assert_eq!(root(&[("UV_INDEX_URL", "https://example.net/url")]), "https://example.net/url/");
        assert_eq!(
            root(&[
                ("UV_DEFAULT_INDEX", "https://example.net/default"),
                ("UV_INDEX_URL", "https://example.net/url"),
                ("UV_INDEX", "company=https://example.net/1 https://example.net/default"),
                ("UV_EXTRA_INDEX_URL", "https://example.net/2"),
            ]),
            "https://example.net/default/ https://example.net/1/ https://example.net/2/"
        );
    }

    #[test]
    fn files_of_pip_are_read_in_its_order() {
        let conf = |name: &str| format!("[global]\nindex-url = https://example.com/{name}\n");
        let texts: Vec<(&str, String)> = [
            ("etc/xdg/pip/pip.conf", "xdg"),
            ("etc/pip.conf", "system"),
            ("home/me/.pip/pip.conf", "legacy"),
            ("home/me/.config/pip/pip.conf", "user"),
            ("venv/pip.conf", "venv"),
            ("named.conf", "named"),
        ]
        .map(|(path, name)| (path, conf(name)))
        .into();
        let first = |count: usize, variables: &[(&str, &str)]| {
            let files: Vec<(&str, &str)> = texts.iter().take(count).map(|(path, text)| (*path, &**text)).collect();
            python(&settings(&files, variables))
        };
        let venv = ("VIRTUAL_ENV", "/venv");
        let named = ("PIP_CONFIG_FILE", "/named.conf");
        for (count, variables, wanted) in [
            (1, &[HOME][..], "https://example.com/xdg/"),
            (2, &[HOME], "https://example.com/system/"),
            (3, &[HOME], "https://example.com/legacy/"),
            (4, &[HOME], "https://example.com/user/"),
            (4, &[HOME, ("XDG_CONFIG_HOME", "/nowhere")], "https://example.com/legacy/"),
            (5, &[HOME, venv], "https://example.com/venv/"),
            (6, &[HOME, venv, named], "https://example.com/named/"),
            (5, &[HOME, venv, named], "https://example.com/venv/"),
            (6, &[HOME, ("PIP_CONFIG_FILE", "/dev/null")], "-"),
            (6, &[HOME, named, ("PIP_INDEX_URL", "https://example.net/")], "https://example.net/"),
            (
                1,
                &[("PIP_EXTRA_INDEX_URL", "https://example.net/ https://example.com/xdg")],
                "https://example.com/xdg/ https://example.net/",
            ),
        ] {
            assert_eq!(first(count, variables), wanted, "{count} {variables:?}");
        }
    }

    #[test]
    fn logins_are_found_where_people_put_them() {
        let netrc = ("home/me/.netrc", "machine netrc.example.com login bob password net");
        let other = ("other", "machine netrc.example.com login ann password other");
        let found = settings(
            &[netrc, other, UV_USER],
            &[
                HOME,
                ("PIP_INDEX_URL", "https://pip:p%40ss@pip.example.com/simple"),
                ("UV_INDEX_MY_OWN_USERNAME", "uv"),
                ("UV_INDEX_MY_OWN_PASSWORD", "variable"),
            ],
        );
        assert_eq!(found.python_index.as_ref().unwrap().as_str(), "https://pip.example.com/simple/");
        for (address, wanted) in [
            ("https://pip.example.com/simple/six/", "pip:p@ss"),
            ("https://example.com/own/six/", "uv:variable"),
            ("https://netrc.example.com/x", "bob:net"),
            ("https://example.org/", "-"),
        ] {
            assert_eq!(login(&found, address), wanted, "{address}");
        }
        let shown = format!("{found:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss") && !shown.contains("variable"), "{shown}");
        let found = settings(&[netrc, other], &[HOME, ("NETRC", "/other")]);
        assert_eq!(login(&found, "https://netrc.example.com/x"), "ann:other");
    }

    #[test]
    fn a_broken_file_of_another_program_is_told_and_passed_over() {
        let files = [
            ("home/me/.netrc", "machine a login b password hunter22 hunter22"),
            ("etc/pip.conf", "hunter22"),
            ("home/me/.config/uv/uv.toml", "\nindex-url = \"https://hunter22"),
            ("home/me/.config/pip/pip.conf", "[global]\nindex-url = ssh://me:hunter22@example.com/\n"),
            ("etc/apt/auth.conf.d/x.conf", "machine a password \"hunter22"),
            ("etc/apt/sources.list/directory", ""),
        ];
        let found = settings(&files, &[HOME]);
        let told = found.passed_over.join("\n");
        assert_eq!(found.passed_over.len(), 6, "{told}");
        for wanted in [
            "`/home/me/.netrc` is passed over: line 1 ",
            "`/etc/pip.conf` is passed over: line 1 ",
            "uv.toml` is passed over: line 2 ",
            "an index of pip's settings is passed over: ",
            "x.conf` is passed over: line 1 ",
            "`/etc/apt/sources.list` is passed over: it is a directory",
        ] {
            assert!(told.contains(wanted), "{told}\n{wanted}");
        }
        assert!(!told.contains("hunter22"), "{told}");
    }

    #[test]
    fn uv_is_found() {
        let files = [("home/me/.cargo/bin/uv", ""), ("usr/bin/uv", ""), ("opt/bin/uv", ""), ("opt/bin/my-uv", "")];
        let find = |programs: &[&str], variables: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (path, _) in files {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, "").unwrap();
                let mode = if programs.iter().any(|program| path.ends_with(program)) { 0o755 } else { 0o644 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
            let found = Settings::of_machine(get, root.path()).map_err(|error| error.variable)?.uv;
            Ok(found.map(|path| path.strip_prefix(root.path()).unwrap_or(&path).display().to_string()))
        };
        let path = ("PATH", "relative:/usr/bin:/opt/bin");
        let found = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(find(&["usr/bin/uv", "opt/bin/uv"], &[HOME, path]), found("usr/bin/uv"));
        assert_eq!(find(&["opt/bin/uv"], &[HOME, path]), found("opt/bin/uv"));
        assert_eq!(find(&["bin/uv"], &[HOME]), found("home/me/.cargo/bin/uv"));
        assert_eq!(find(&[], &[HOME, path]), Ok(None));
        assert_eq!(find(&[], &[path, (UV, "/own/uv")]), found("/own/uv"));
        assert_eq!(find(&["opt/bin/my-uv"], &[path, (UV, "my-uv")]), found("opt/bin/my-uv"));
        assert_eq!(find(&["uv"], &[path, (UV, "lost")]), Err(UV));
        assert_eq!(find(&["uv"], &[path, (UV, "./uv")]), Err(UV));
    }
}
