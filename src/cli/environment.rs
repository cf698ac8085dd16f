//! What comes from outside: directories, environment, network settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapstrake::code::{Coded, ErrorCode};
use lapstrake::git::Checkout;
use lapstrake::net::{
    ClientIdentity, Least, Network, NetworkOptions, Patience, ProxySettings, RetryPolicy, RootSettings,
};
use lapstrake::oci::Reference;
use lapstrake::place::{self, ImageSource, Place};
use lapstrake::recipe::{self, Inputs, Recipe, RecipeError, Style};
use lapstrake::registry::{CredentialSource, Registries, RegistryOptions, RegistrySettings, Security};
use lapstrake::remote::RegistryImage;
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;
use lapstrake::supply::{Machine, Settings};
use lapstrake::unfinished;

use super::args::{Global, RegistryArgs};
use super::exit::{Code, Failure, OrFail, Outcome, Spot};
use super::log;
use super::meant;

pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Threads, and transfers at once.
pub(crate) fn jobs(global: &Global) -> usize {
    match global.jobs {
        Some(jobs) => usize::from(jobs),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Where the cache is: `--cache-dir` (or its variable), the platform's cache directory; `None` where there is no home.
pub(crate) fn cache_directory(global: &Global) -> Option<PathBuf> {
    if let Some(directory) = named_cache(global) {
        return Some(directory);
    }
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    match variable("XDG_CACHE_HOME").and_then(absolute) {
        Some(cache) => Some(cache.join("lapstrake")),
        None => variable("HOME").and_then(absolute).map(|home| home.join(".cache/lapstrake")),
    }
}

/// The cache that somebody named. An empty variable is none, as everywhere.
fn named_cache(global: &Global) -> Option<PathBuf> {
    global.cache_dir.clone().or_else(|| variable("LAPSTRAKE_CACHE_DIR").map(PathBuf::from))
}

/// `SOURCE_DATE_EPOCH`, where nothing is typed. What is no date is an error, not ignored.
pub(crate) fn epoch(typed: Option<i64>) -> Outcome<Option<i64>> {
    let seconds = match (typed, variable("SOURCE_DATE_EPOCH")) {
        (Some(seconds), _) => seconds,
        (None, None) => return Ok(None),
        (None, Some(text)) => text
            .to_str()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Failure::usage("SOURCE_DATE_EPOCH is no number of seconds").kind(ErrorCode::Environment))?,
    };
    match seconds {
        0..=253_402_300_799 => Ok(Some(seconds)),
        _ => Err(Failure::usage(format!("the date {seconds} is not between 1970 and 9999, in seconds since 1970"))),
    }
}

/// The store: in the cache, or in a temporary directory where no cache can be written, which is said.
pub(crate) fn open_store(global: &Global, reporter: &Reporter) -> Outcome<BlobStore> {
    let wanted = cache_directory(global);
    let why = match &wanted {
        Some(directory) => match BlobStore::open(directory, || reporter.note("waiting while the cache is pruned")) {
            Ok(store) => {
                super::signals::cache_at(store.tmp());
                return Ok(store);
            }
            // Whoever names a directory wants that one.
            Err(error) if named_cache(global).is_some() => return Err(Failure::new(Code::Failed, error)),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                format!("{error}: {cause}")
            }
        },
        None => "there is no home directory".to_owned(),
    };
    let parent = std::env::temp_dir();
    let store = BlobStore::temporary(&parent).or_fail(Code::Failed).map_err(|failure| {
        failure.hint("name a directory that can be written with --cache-dir or LAPSTRAKE_CACHE_DIR")
    })?;
    super::signals::remove_at_end(store.root());
    reporter.note(format!("no cache is kept ({why}): --cache-dir or LAPSTRAKE_CACHE_DIR names one"));
    Ok(store)
}

/// Reads the recipe, and gives what it was read with too; what is wrong with it is drawn on standard error.
pub(crate) fn load_recipe(global: &Global, set: &[String]) -> Outcome<(Recipe, Inputs)> {
    let set = set
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failure::usage(format!("--set {pair} is not of the form KEY=VALUE"))),
        })
        .collect::<Outcome<Vec<_>>>()?;
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let directory = global.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let git = Checkout::of(directory, &environment);
    let inputs = Inputs { environment, git, set };
    let recipe = recipe::load(&global.file, &inputs).map_err(|error| match error {
        RecipeError::Wrong(diagnostics) => {
            let text = diagnostics.render(style());
            Failure::drawn(Code::Recipe, diagnostics.code(), text).at(diagnostics.iter().filter_map(Spot::of))
        }
        error => {
            let failure = Failure::new(Code::Recipe, error);
            match meant::recipe_file(&global.file) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    })?;
    Ok((recipe, inputs))
}

/// How snippets are drawn: in colour on a terminal, unless somebody does not want that.
pub(crate) fn style() -> Style {
    let terminal = log::is_terminal();
    let colour = terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb");
    Style { color: colour, ..Style::default() }
}

/// `REGISTRY=VALUE` arguments.
fn pairs<'a>(flag: &str, values: &'a [String]) -> Outcome<Vec<(&'a str, &'a str)>> {
    let split = |value: &'a String| {
        value
            .split_once('=')
            .filter(|(registry, value)| !registry.is_empty() && !value.is_empty())
            .ok_or_else(|| Failure::usage(format!("{flag} {value} is not of the form REGISTRY=…")))
    };
    values.iter().map(split).collect()
}

/// The network with the settings of the environment and the arguments, started where it is first needed.
pub(crate) struct LazyNetwork {
    retry: RetryPolicy,
    patience: Patience,
    started: OnceLock<Network>,
}

impl LazyNetwork {
    fn get(&self) -> Outcome<&Network> {
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        let list = |name: &str| {
            variable(name).map(|value| std::env::split_paths(&value).collect::<Vec<_>>()).unwrap_or_default()
        };
        let options = NetworkOptions {
            proxies: ProxySettings::from_environment(variable).or_fail(Code::Usage)?,
            roots: RootSettings { files: list("SSL_CERT_FILE"), directories: list("SSL_CERT_DIR"), only_these: false },
            retry: self.retry.clone(),
            patience: self.patience.clone(),
            ..NetworkOptions::default()
        };
        let network = Network::new(&options).or_fail(Code::Failed)?;
        Ok(self.started.get_or_init(|| network))
    }
}

/// Where packages and downloads come from on this machine.
pub(crate) fn supply(
    global: &Global,
    network: &Arc<LazyNetwork>,
    store: &BlobStore,
    offline: bool,
    reporter: &Reporter,
) -> Outcome<Machine<'static>> {
    let mut settings = Settings::of_machine(variable, Path::new("/")).or_fail(Code::Usage)?;
    settings.programs = Some(std::env::vars_os().collect());
    let network = network.clone();
    let start = move || network.get().cloned().map_err(|failure| failure.error);
    Ok(Machine::new(start, store, jobs(global), offline, reporter, settings))
}

/// Registries, with the settings of the arguments.
fn registries(global: &Global, network: &Network, reporter: &Reporter) -> Outcome<Registries> {
    let RegistryArgs { authfile, insecure_registry, cert_dir, push_chunk, .. } = &global.registry;
    let mut single: BTreeMap<String, RegistrySettings> = BTreeMap::new();
    for registry in insecure_registry {
        single.entry(registry.clone()).or_default().security = Some(Security::Insecure);
    }
    for (registry, file) in pairs("--registry-certificate", &global.registry.registry_certificate)? {
        single.entry(registry.to_owned()).or_default().ca_files.push(file.into());
    }
    for (registry, files) in pairs("--registry-client-cert", &global.registry.registry_client_cert)? {
        let Some((certificate, key)) = files.split_once(',') else {
            let text = format!("--registry-client-cert {registry}={files} is not of the form REGISTRY=CERT,KEY");
            return Err(Failure::usage(text));
        };
        let identity = ClientIdentity { certificate: certificate.into(), key: key.into() };
        single.entry(registry.to_owned()).or_default().client = Some(identity);
    }
    for (registry, mirror) in pairs("--registry-mirror", &global.registry.registry_mirror)? {
        single.entry(registry.to_owned()).or_default().mirrors.push(mirror.to_owned());
    }
    let mut certificate_directories: Vec<PathBuf> = cert_dir.iter().cloned().collect();
    if let Some(home) = variable("HOME") {
        certificate_directories.push(Path::new(&home).join(".config/containers/certs.d"));
    }
    certificate_directories.extend(["/etc/containers/certs.d".into(), "/etc/docker/certs.d".into()]);
    let uid = rustix::process::getuid().as_raw();
    let options = RegistryOptions {
        credentials: CredentialSource::usual(authfile.clone(), variable, uid),
        helper_path: variable("PATH"),
        registries: single,
        certificate_directories,
        jobs: global.jobs.map(usize::from),
        chunk: push_chunk.map(|mib| mib << 20),
    };
    Ok(Registries::new(network, options, reporter))
}

/// Registries, opened where they are first needed: what stays on this machine does not depend on their settings.
pub(crate) struct LazyRegistries<'a> {
    global: &'a Global,
    reporter: &'a Reporter,
    /// What they are reached over.
    pub(crate) network: Arc<LazyNetwork>,
    started: OnceLock<Registries>,
}

impl<'a> LazyRegistries<'a> {
    pub(crate) fn new(global: &'a Global, reporter: &'a Reporter) -> Self {
        let retry = RetryPolicy { tries: global.registry.retry, ..RetryPolicy::default() };
        Self::over(global, reporter, retry, Patience::default())
    }

    /// Registries that nobody named: one that is out of reach or says nothing is given up within half a minute, since the rest
    /// can be told without it. One that answers slowly is waited for as long as 8 KiB come in 10 seconds.
    pub(crate) fn hasty(global: &'a Global, reporter: &'a Reporter) -> Self {
        let seconds = Duration::from_secs;
        let retry =
            RetryPolicy { tries: global.registry.retry.min(2), longest_told: seconds(2), ..RetryPolicy::default() };
        let least = Least { within: seconds(10), ..Least::default() };
        let patience = Patience { connect: seconds(5), idle: seconds(7), least, ..Patience::default() };
        Self::over(global, reporter, retry, patience)
    }

    fn over(global: &'a Global, reporter: &'a Reporter, retry: RetryPolicy, patience: Patience) -> Self {
        let network = Arc::new(LazyNetwork { retry, patience, started: OnceLock::new() });
        LazyRegistries { global, reporter, network, started: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Outcome<&Registries> {
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        let registries = registries(self.global, self.network.get()?, self.reporter)?;
        Ok(self.started.get_or_init(|| registries))
    }
}

/// Opens a place to read from; a bare path is looked at to see what it is.
pub(crate) fn open_source(
    text: &str,
    store: &BlobStore,
    registries: &LazyRegistries<'_>,
) -> Outcome<(Arc<dyn ImageSource>, Place)> {
    let place = parse_source(text)?;
    let source: Arc<dyn ImageSource> = match &place {
        Place::Registry(reference) => RegistryImage::new(registries.get()?, reference, store),
        Place::OwnNames => return Err(Failure::usage(format!("{text} names nothing to read from"))),
        local => place::open(local, &store.tmp()).or_fail(Code::Failed).map_err(|failure| {
            match meant::layout(text, local) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?,
    };
    Ok((source, place))
}

/// The place that a text means; a bare path is looked at to see what it is.
pub(crate) fn parse_source(text: &str) -> Outcome<Place> {
    let path = Path::new(text);
    if path.is_dir() {
        return Place::parse(&format!("oci:{text}")).or_fail(Code::Usage);
    }
    if path.is_file() {
        // Every kind of archive is read by the hybrid's reader: it looks at what is inside.
        return Place::parse(&format!("archive:{text}")).or_fail(Code::Usage);
    }
    Place::parse(text).or_fail(Code::Usage).map_err(|failure| match meant::image_of_recipe(text) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// The reference that a text means.
pub(crate) fn reference(text: &str) -> Outcome<Reference> {
    text.parse().or_fail(Code::Usage)
}

/// Writes a small file that other programs wait for: whole, or not at all.
pub(crate) fn write_file(path: &Path, text: &str) -> Outcome {
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ErrorCode::OutputUnwritable,
            _ => error.code(),
        };
        Failure::told(Code::Failed, code, format!("writing {}: {error}", path.display()))
    };
    if stays_in_place(path) {
        let opened = std::fs::OpenOptions::new().append(true).open(path);
        return opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed);
    }
    // What a link names is written, and the link stays.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let mut file = unfinished::begin(path, 0o644).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(error)
            .hint(format!("there is no directory {}: make it first", unfinished::directory_of(path).display())),
        _ => failed(error),
    })?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    unfinished::finish(file, path).map_err(|(_, error)| failed(error))
}

/// Whether a file must stay the one that it is: /dev/stdout, whatever it leads to, /dev/termination-log, which is a file that is
/// mounted there, pipes and devices. Anything else is replaced as a whole.
pub(crate) fn stays_in_place(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm")
        || std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_what_is_mounted_over_them_are_never_replaced() {
        for path in ["/dev/stdout", "/dev/termination-log", "/dev/null", "/proc/self/fd"] {
            assert!(stays_in_place(Path::new(path)), "{path}");
        }
        for path in ["digest", "/dev/shm/digest", "/devices/digest"] {
            assert!(!stays_in_place(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_link_stays_and_what_it_names_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "old, and longer").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_file(&link, "new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    }
}
