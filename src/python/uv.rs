//! Resolving with `uv`, at lock time: the arguments and the environment are made here by pure functions, and the program is
//! run once. It never builds a source archive, so that nothing of a package runs.

mod cache;
mod talk;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pep440_rs::Version;

pub use self::cache::forget_signed;
use self::talk::explain;
use super::requirements::Indexes;
use super::{Libc, PackageName, Target};
use crate::logins::hide_credentials;

/// The most bytes of a lock that is taken from `uv`, and of what it says.
const MAX_OUTPUT: u64 = 64 << 20;
const MAX_TALK: u64 = 1 << 20;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is to be resolved, and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What for.
    pub target: &'a Target,
    /// Where the packages are asked for.
    pub input: Input,
    /// Extras of a `pyproject.toml`.
    pub extras: Vec<PackageName>,
    /// Dependency groups of a `pyproject.toml`.
    pub groups: Vec<PackageName>,
    /// Indexes of the recipe. They may hold credentials, and go through the environment.
    pub indexes: &'a Indexes,
    /// Whether `uv`'s own configuration files count.
    pub use_config: bool,
    /// Whether pre-releases are taken.
    pub pre: bool,
    /// Files with versions that bind what is not asked for by itself (`-c`).
    pub constraints: Vec<PathBuf>,
    /// A file with the text of [`preferences`]: those versions are kept where they can be. `uv` writes its lock over it.
    pub previous: Option<PathBuf>,
    /// Packages that are to move all the same.
    pub update: Vec<PackageName>,
    /// Where `uv` keeps what it downloaded.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub offline: bool,
}

/// Where packages are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Requirements files.
    Requirements(Vec<PathBuf>),
    /// A `pyproject.toml`, and requirements files with more.
    Pyproject(PathBuf, Vec<PathBuf>),
    /// A directory with `uv.lock`, which is taken as it is.
    UvLock(PathBuf),
}

/// A run of `uv`, ready to start. Its output is a `pylock.toml`.
#[derive(Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Arguments; none holds a credential.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The directory it runs in.
    pub directory: PathBuf,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uv {:?} in {:?} with {:?}", self.arguments, self.directory, self.environment.keys())
    }
}

/// What `uv` gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The lock.
    pub pylock: String,
    /// What it warned of, a line each, without credentials.
    pub warnings: Vec<String>,
}

/// Why there is no resolution.
#[derive(Debug, thiserror::Error)]
pub enum UvError {
    /// The platform.
    #[error("`uv` cannot resolve for {0}: give a `pylock.toml` or a requirements file with hashes")]
    Platform(String),
    /// There is no such program.
    #[error(
        "resolving Python packages needs the program `uv`, and this machine has none: install it, or give a `pylock.toml` or a requirements file with hashes"
    )]
    None,
    /// It may not look things up, and does not know enough.
    #[error(
        "--offline downloads nothing, and the cache does not know enough of the Python packages to resolve them: lock once without --offline"
    )]
    Offline,
    /// It took too long.
    #[error("`uv` did not end within {} minutes", PATIENCE.as_secs() / 60)]
    TooLong,
    /// The program is not there.
    #[error(
        "resolving Python packages needs the program `uv`, which is not at {path}: install it, or give a `pylock.toml` or a requirements file with hashes"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It could not be run.
    #[error("running {path}")]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It found no Python on this machine.
    #[error(
        "`uv` needs some Python on this machine to resolve, and found none: install python3, or give a `pylock.toml` or a requirements file with hashes"
    )]
    NoPython,
    /// A package has no wheel.
    #[error(
        "{package} has no wheel that fits, only a source archive, which would have to run code to install: {advice}"
    )]
    NoWheel {
        /// The package, with its version where one was asked for.
        package: String,
        /// What to do.
        advice: String,
    },
    /// The requirements contradict one another.
    #[error("the Python requirements cannot be resolved: {0}")]
    Unsolvable(String),
    /// An index gave no answer, or a broken one. What was said is in it.
    #[error("`uv` got no answer from an index: {0}")]
    Network(String),
    /// Anything else.
    #[error("`uv` failed: {0}")]
    Failed(String),
    /// What it wrote is too long or no text.
    #[error("`uv` wrote what is no lock")]
    Output,
}

/// Variables that `uv` may see: where programs, certificates and credentials are, and proxies.
const PASSED_ON: &[&str] = &[
    "ALL_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NETRC",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "TMPDIR",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
];

impl Request<'_> {
    /// The run for this request. `environment` is that of the process; only what is known to be needed is passed on.
    ///
    /// # Errors
    /// [`UvError::Platform`].
    pub fn invocation(&self, environment: &BTreeMap<OsString, OsString>) -> Result<Invocation, UvError> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |argument: &dyn AsRef<OsStr>| arguments.push(argument.as_ref().to_owned());
        let export = matches!(self.input, Input::UvLock(_));
        let head: &[&str] = match export {
            true => &["export", "--frozen", "--no-emit-project", "--no-default-groups"],
            false => &["pip", "compile", "--no-build"],
        };
        head.iter().for_each(|argument| add(argument));
        for argument in
            ["--format", "pylock.toml", "--no-header", "--no-progress", "--color", "never", "--no-python-downloads"]
        {
            add(&argument);
        }
        if !self.use_config {
            add(&"--no-config");
        }
        if self.offline {
            add(&"--offline");
        }
        if self.pre {
            add(&"--prerelease=allow");
        }
        add(&"--cache-dir");
        add(&self.cache);
        for extra in &self.extras {
            add(&"--extra");
            add(&extra.as_str());
        }
        for group in &self.groups {
            add(&"--group");
            add(&group.as_str());
        }
        if !export {
            for file in &self.constraints {
                add(&"--constraints");
                add(file);
            }
            if let Some(file) = &self.previous {
                add(&"--output-file");
                add(file);
            }
            for package in &self.update {
                add(&"--upgrade-package");
                add(&package.as_str());
            }
            add(&"--python-version");
            add(&self.target.version.to_string());
            add(&"--python-platform");
            add(&platform(self.target)?);
        }
        let mut directory = PathBuf::from("/");
        match &self.input {
            Input::Requirements(files) => {
                add(&"--");
                files.iter().for_each(|file| add(file));
            }
            Input::Pyproject(file, more) => {
                directory = file.parent().map_or(directory, Path::to_owned);
                add(&"--");
                add(file);
                more.iter().for_each(|file| add(file));
            }
            Input::UvLock(project) => {
                directory = project.clone();
                add(&"--project");
                add(project);
            }
        }
        Ok(Invocation { arguments, environment: self.environment(environment), directory })
    }

    fn environment(&self, inherited: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
        let credential = |name: &str| {
            name.strip_prefix("UV_INDEX_")
                .is_some_and(|rest| rest.ends_with("_USERNAME") || rest.ends_with("_PASSWORD"))
        };
        let mut environment: BTreeMap<OsString, OsString> = inherited
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(|name| PASSED_ON.contains(&name) || credential(name)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut set = |name: &str, value: String| environment.insert(name.into(), value.into());
        let Indexes { index, extra, find_links, none } = self.indexes;
        if let Some(index) = index {
            set("UV_DEFAULT_INDEX", index.clone());
        }
        if !extra.is_empty() {
            set("UV_INDEX", extra.join(" "));
        }
        if !find_links.is_empty() {
            set("UV_FIND_LINKS", find_links.join(","));
        }
        if *none {
            set("UV_NO_INDEX", "1".to_owned());
        }
        environment
    }
}

/// The text of a file, named `pylock.toml`, from which `uv` takes the versions that it should keep.
pub fn preferences<'a>(pins: impl IntoIterator<Item = (&'a PackageName, &'a Version)>) -> String {
    let mut text = "lock-version = \"1.0\"\ncreated-by = \"lapstrake\"\n".to_owned();
    for (name, version) in pins {
        // Names and versions hold nothing that would have to be escaped.
        text.push_str(&format!("\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n"));
    }
    text
}

/// The platform in `uv`'s words: the newest manylinux it knows that is not newer than the image's.
fn platform(target: &Target) -> Result<String, UvError> {
    let unknown = || UvError::Platform(format!("{} with {}", target.platform, target.libc));
    let machine = target.machine().map_err(|_| unknown())?;
    match (machine, target.libc) {
        ("x86_64" | "aarch64", Libc::Glibc { major: 2, minor }) => {
            let known = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];
            let newest = known.into_iter().rfind(|known| *known <= minor).ok_or_else(unknown)?;
            Ok(format!("{machine}-manylinux_2_{newest}"))
        }
        ("x86_64" | "aarch64", Libc::Musl { .. }) => Ok(format!("{machine}-unknown-linux-musl")),
        ("riscv64", Libc::Glibc { .. }) => Ok("riscv64-unknown-linux".to_owned()),
        _ => Err(unknown()),
    }
}

/// Runs `uv` and takes its lock.
///
/// # Errors
/// [`UvError`]; what `uv` said is in it, without credentials.
pub fn run(program: &Path, invocation: &Invocation) -> Result<Resolved, UvError> {
    run_for(program, invocation, PATIENCE)
}

fn run_for(program: &Path, invocation: &Invocation, patience: Duration) -> Result<Resolved, UvError> {
    let failed = |source| UvError::Run { path: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(&invocation.arguments)
        .env_clear()
        .envs(&invocation.environment)
        .current_dir(&invocation.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => UvError::Missing { path: program.to_owned() },
            _ => failed(error),
        })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Threads of their own, and not of a scope: what `uv` itself started may keep the pipes open after it was killed.
    let (send_output, take_output) = std::sync::mpsc::sync_channel(1);
    let (send_talk, take_talk) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || send_output.send(bounded(stdout, MAX_OUTPUT)));
    std::thread::spawn(move || send_talk.send(bounded(stderr, MAX_TALK)));
    let deadline = Instant::now() + patience;
    let left = || deadline.saturating_duration_since(Instant::now());
    let said = take_output.recv_timeout(left()).and_then(|output| Ok((output, take_talk.recv_timeout(left())?)));
    let Ok((output, talk)) = said else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(UvError::TooLong);
    };
    let status = child.wait().map_err(failed)?;
    let talk = hide_credentials(&String::from_utf8_lossy(&talk.map_err(failed)?));
    if !status.success() {
        return Err(explain(&talk));
    }
    let output = output.map_err(failed)?;
    if output.len() as u64 >= MAX_OUTPUT {
        return Err(UvError::Output);
    }
    let pylock = String::from_utf8(output).map_err(|_| UvError::Output)?;
    // Which Python it would build with plays no part: nothing is built.
    let matters = |line: &&str| !line.contains("will be used to build dependencies instead");
    let warnings = talk.lines().filter_map(|line| line.strip_prefix("warning: ")).filter(matters);
    let warnings = warnings.map(str::to_owned).collect();
    Ok(Resolved { pylock, warnings })
}

/// Reads up to that many bytes, and passes the rest over, so that the writer is not held up.
fn bounded(pipe: Option<impl Read>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(limit).read_to_end(&mut bytes)?;
        io::copy(&mut pipe, &mut io::sink())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Platform;

    fn target(architecture: &str, libc: Libc) -> Target {
        Target {
            version: "3.11.2".parse().unwrap(),
            platform: Platform::linux(architecture),
            libc,
            free_threaded: false,
        }
    }

    fn glibc(minor: u16) -> Libc {
        Libc::Glibc { major: 2, minor }
    }

    fn request<'a>(target: &'a Target, indexes: &'a Indexes, input: Input) -> Request<'a> {
        Request {
            target,
            input,
            extras: Vec::new(),
            groups: Vec::new(),
            indexes,
            use_config: false,
            pre: false,
            constraints: Vec::new(),
            previous: None,
            update: Vec::new(),
            cache: "/cache".into(),
            offline: false,
        }
    }

    fn words(invocation: &Invocation) -> String {
        let words: Vec<&str> = invocation.arguments.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn arguments() {
        let indexes = Indexes::default();
        let target = target("arm64", glibc(36));
        let mut request = request(&target, &indexes, Input::Requirements(vec!["/src/-r.txt".into()]));
        assert_eq!(
            words(&request.invocation(&BTreeMap::new()).unwrap()),
            "pip compile --no-build --format pylock.toml --no-header --no-progress --color never --no-python-downloads --no-config --cache-dir /cache --python-version 3.11.2 --python-platform aarch64-manylinux_2_36 -- /src/-r.txt"
        );
        request.extras = vec!["socks".parse().unwrap()];
        request.groups = vec!["dev".parse().unwrap()];
        (request.pre, request.offline, request.use_config) = (true, true, true);
        request.previous = Some("/tmp/pylock.toml".into());
        request.update = vec!["flask".parse().unwrap()];
        request.constraints = vec!["/c.txt".into()];
        request.input = Input::Pyproject("/src/pyproject.toml".into(), vec!["/x.txt".into()]);
        let invocation = request.invocation(&BTreeMap::new()).unwrap();
        let text = words(&invocation);
        assert!(
            text.contains("--offline --prerelease=allow --cache-dir /cache --extra socks --group dev --constraints")
        );
        assert!(text.contains("--constraints /c.txt --output-file /tmp/pylock.toml --upgrade-package flask"));
        assert!(!text.contains("--no-config") && text.ends_with("-- /src/pyproject.toml /x.txt"));
        assert_eq!(invocation.directory, Path::new("/src"));
        request.input = Input::UvLock("/src".into());
        let text = words(&request.invocation(&BTreeMap::new()).unwrap());
        assert!(text.starts_with("export --frozen --no-emit-project") && text.ends_with("--project /src"), "{text}");
        assert!(!text.contains("--python-version"));
    }

    #[test]
    fn preferences_are_a_lock() {
        let (name, version) = ("a-b".parse::<PackageName>().unwrap(), "1!2.0+x.1".parse::<Version>().unwrap());
        let table: toml::Table = preferences([(&name, &version)]).parse().unwrap();
        assert_eq!(table["packages"][0]["version"].as_str(), Some("1!2.0+x.1"));
    }

    #[test]
    fn platforms() {
        for (architecture, libc, expected) in [
            ("amd64", glibc(17), Some("x86_64-manylinux_2_17")),
            ("amd64", glibc(30), Some("x86_64-manylinux_2_28")),
            ("arm64", glibc(41), Some("aarch64-manylinux_2_40")),
            ("arm64", Libc::Musl { major: 1, minor: 2 }, Some("aarch64-unknown-linux-musl")),
            ("riscv64", glibc(41), Some("riscv64-unknown-linux")),
            ("amd64", glibc(12), None),
            ("s390x", glibc(36), None),
        ] {
            assert_eq!(platform(&target(architecture, libc)).ok().as_deref(), expected);
        }
    }

    #[test]
    fn credentials_go_through_the_environment_and_nowhere_else() {
        let indexes = Indexes {
            index: Some("https://user:secret@host/simple".into()),
            extra: vec!["https://a".into(), "https://b".into()],
            find_links: vec![],
            none: false,
        };
        let target = target("amd64", glibc(36));
        let request = request(&target, &indexes, Input::Requirements(vec!["/r.txt".into()]));
        let inherited = [
            ("PATH", "/bin"),
            ("PYTHONPATH", "/evil"),
            ("UV_INDEX_X_PASSWORD", "p"),
            ("UV_INDEX_URL", "https://other"),
            ("LD_PRELOAD", "x"),
        ];
        let inherited = inherited.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let invocation = request.invocation(&inherited).unwrap();
        assert!(!words(&invocation).contains("secret") && !format!("{invocation:?}").contains("secret"));
        let names: Vec<&str> = invocation.environment.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["PATH", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_X_PASSWORD"]);
        assert_eq!(invocation.environment[OsStr::new("UV_INDEX")], "https://a https://b");
    }

    #[test]
    fn a_program_is_run_with_that_environment_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("uv");
        let make = |text: &str| {
            let script = directory.path().join("new");
            std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(&script, &program).unwrap();
        };
        let invocation = Invocation {
            arguments: vec!["a".into(), "b c".into()],
            environment: BTreeMap::from([("ONLY".into(), "this".into())]),
            directory: directory.path().to_owned(),
        };
        assert!(matches!(run(&program, &invocation), Err(UvError::Missing { .. })));
        make("echo \"$# $2 $ONLY ${HOME-none}\"; echo 'warning: from https://u:p@h/' >&2");
        let found = run(&program, &invocation).unwrap();
        assert_eq!(found.pylock, "2 b c this none\n");
        assert_eq!(found.warnings, ["from https://***@h/"]);
        make("echo 'error: it broke' >&2; exit 2");
        assert_eq!(run(&program, &invocation).unwrap_err().to_string(), "`uv` failed: it broke");
        make("sleep 60");
        assert!(matches!(run_for(&program, &invocation, Duration::from_millis(200)), Err(UvError::TooLong)));
    }
}
