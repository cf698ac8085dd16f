//! The supply of a real machine: its settings, its cache, and its network.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use url::Url;

use super::credentials::Origin;
use super::programs::default_index;
use super::settings::{Unusable, as_root};
use super::{Document, Settings, Supply, SupplyError, Wanted, documents, local_file};
use crate::code::Cause;
use crate::content::Content;
use crate::net::{Fetch, FetchError, Network, Reply, Secret};
use crate::oci::{Descriptor, Digest, MediaType};
use crate::report::Reporter;
use crate::store::{BlobStore, MADE, StoreError};

/// Starts the network.
pub type Start<'a> = dyn Fn() -> Result<Network, Cause> + Send + Sync + 'a;

/// So many downloads side by side, at least and at most: they wait more than they work, and no mirror likes crowds.
const LEAST: usize = 4;
const MOST: usize = 16;

/// Requests to a place while there are others.
const TRIES: u32 = 3;

/// What is downloaded where no length is known, in bytes: no file of a package comes near it.
const MAX_FILE: u64 = 16 << 30;

/// Gets files and documents as this machine is set up to.
pub struct Machine<'a> {
    start: Box<Start<'a>>,
    /// Started where something must be downloaded, once.
    network: Mutex<Option<Network>>,
    store: BlobStore,
    jobs: usize,
    offline: bool,
    reporter: Reporter,
    /// Its credentials learn which plain-http addresses the recipe names.
    settings: Mutex<Settings>,
    /// Servers that gave no answer: asked last from then on.
    silent: Mutex<BTreeSet<Origin>>,
    /// What pip or uv said, once they were asked.
    default_index: OnceLock<Option<Url>>,
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("store", &self.store).field("offline", &self.offline).finish_non_exhaustive()
    }
}

impl<'a> Machine<'a> {
    /// A supply that keeps what it gets in `store`, and starts the network with `start` where something must be
    /// downloaded; with `offline`, nothing is. At most `jobs` downloads go side by side, but at least 4, and no more than
    /// 16.
    pub fn new(
        start: impl Fn() -> Result<Network, Cause> + Send + Sync + 'a,
        store: &BlobStore,
        jobs: usize,
        offline: bool,
        reporter: &Reporter,
        settings: Settings,
    ) -> Self {
        Machine {
            start: Box::new(start),
            network: Mutex::default(),
            store: store.clone(),
            jobs: jobs.clamp(LEAST, MOST),
            offline,
            reporter: reporter.clone(),
            settings: Mutex::new(settings),
            silent: Mutex::default(),
            default_index: OnceLock::new(),
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network, which knows from then on what must not be shown.
    fn network(&self, what: &str) -> Result<Network, SupplyError> {
        let mut started = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = &*started {
            return Ok(network.clone());
        }
        let network = (self.start)().map_err(|source| SupplyError::Network { what: what.to_owned(), source })?;
        let settings = self.settings();
        for secret in settings.credentials.secrets() {
            network.scrubber().learn(&secret);
        }
        drop(settings);
        self.tell_passed_over();
        Ok(started.insert(network).clone())
    }

    /// Says, once, which files of other programs were passed over: now it may matter.
    fn tell_passed_over(&self) {
        let files = std::mem::take(&mut self.settings().passed_over);
        files.iter().for_each(|file| self.reporter.warn(file));
    }

    /// A request for a file, with the login for its address.
    fn request(&self, address: &Url, limit: u64) -> Result<Fetch, FetchError> {
        let request = Fetch::new(address.as_str(), limit)?;
        let has_own = !address.username().is_empty() || address.password().is_some();
        let settings = self.settings();
        let login = if has_own { None } else { settings.credentials.find(address) };
        Ok(login.map_or(request.clone(), |login| request.with_login(login.user.expose(), &login.password, login.found)))
    }

    /// The file as it is in the store; `None` where it is not there.
    fn kept(&self, wanted: &Wanted<'_>) -> Result<Option<Content>, SupplyError> {
        let Some(size) = wanted.size.or_else(|| self.store.length(&wanted.sha256)) else { return Ok(None) };
        let other = MediaType::Other("application/octet-stream".to_owned());
        match self.store.content(&Descriptor::new(other, wanted.sha256, size)) {
            Ok(content) => Ok(Some(content)),
            Err(StoreError::Absent(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gets files that are one and the same file into the store, from the places of the first one on.
    fn get(&self, same: &[&Wanted<'_>]) -> Result<(), SupplyError> {
        let mut failure = None;
        for wanted in same {
            match self.get_from_places(wanted) {
                Err(error) if !is_final(&error) => failure = failure.or(Some(error)),
                done => return done,
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn get_from_places(&self, wanted: &Wanted<'_>) -> Result<(), SupplyError> {
        let what = &wanted.name;
        let offline = || SupplyError::Offline { what: what.clone() };
        let mut places = match (wanted.places)() {
            Ok(places) => places,
            // Why it cannot be looked up is that nothing may be downloaded.
            Err(_) if self.offline => return Err(offline()),
            Err(error) => return Err(error),
        };
        if self.offline {
            places.retain(|place| local_file::path(place).is_some());
        }
        self.silent_last(&mut places);
        let mut failures: Vec<FetchError> = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let error = match self.get_from(wanted, place, number + 1 < places.len())? {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let error = match error {
                FetchError::Store { source, .. } => return Err(source.into()),
                FetchError::Cancelled => {
                    return Err(SupplyError::Fetch { what: what.clone(), source: Box::new(error) });
                }
                error => error,
            };
            if let Some(next) = places.get(number + 1) {
                let next = crate::net::redacted(next);
                self.reporter.note(format!("{what}: {}; trying {next}", told(&error)));
            }
            failures.push(error);
        }
        let count = failures.len();
        // A place that has no such file says less than one that could not be asked.
        let last = failures.iter().rposition(|error| !error.is_absent()).unwrap_or(count.saturating_sub(1));
        match failures.into_iter().nth(last) {
            None if self.offline => Err(offline()),
            None => Err(SupplyError::Nowhere { what: what.clone() }),
            Some(error) if error.is_absent() && !self.offline => {
                Err(SupplyError::Gone { what: what.clone(), places: count, source: Box::new(error) })
            }
            Some(error) if error.is_absent() => Err(offline()),
            Some(FetchError::Length { expected, found, .. }) => {
                Err(SupplyError::Size { what: what.clone(), wanted: expected, found })
            }
            Some(error) => Err(SupplyError::Fetch { what: what.clone(), source: Box::new(error) }),
        }
    }

    /// Gets a file from one place. After the outer error no other place can help, after the inner one another may.
    fn get_from(&self, wanted: &Wanted<'_>, place: &Url, others: bool) -> Result<Result<(), FetchError>, SupplyError> {
        let limit = wanted.size.unwrap_or(MAX_FILE);
        let got = match local_file::path(place) {
            Some(path) => local_file::keep(&path, &wanted.sha256, limit, &self.store),
            None => {
                let network = self.network(&wanted.name)?;
                self.request(place, limit).and_then(|request| {
                    let mut request = request.pinned(wanted.sha256);
                    request.size = wanted.size;
                    request.tries = others.then_some(TRIES);
                    network.fetch(&request, &self.store, &self.reporter).map(|found| found.size)
                })
            }
        };
        match got {
            Ok(found) => match wanted.size {
                Some(size) if size != found => {
                    Err(SupplyError::Size { what: wanted.name.clone(), wanted: size, found })
                }
                _ => Ok(Ok(())),
            },
            Err(error) => {
                if matches!(&error, FetchError::Network { source, .. } if source.is_temporary()) {
                    let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
                    silent.extend(Origin::of(place));
                }
                Ok(Err(error))
            }
        }
    }

    /// Places on servers that gave no answer before come after the others.
    fn silent_last(&self, places: &mut [Url]) {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if !silent.is_empty() {
            places.sort_by_key(|place| Origin::of(place).is_some_and(|origin| silent.contains(&origin)));
        }
    }

    /// Gets all of these files, side by side; where some fail, the error of the first one.
    fn get_all(&self, files: &[Vec<&Wanted<'_>>]) -> Result<(), SupplyError> {
        // They are begun in order: when one fails, all before it are under way, and none after it need be begun.
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let failures: Mutex<BTreeMap<usize, SupplyError>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..self.jobs.min(files.len()) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(same) = files.get(number) else { break };
                        if number > failed.load(Ordering::Relaxed) {
                            break;
                        }
                        if let Err(error) = self.get(same) {
                            failed.fetch_min(number, Ordering::Relaxed);
                            failures.lock().unwrap_or_else(PoisonError::into_inner).insert(number, error);
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        failures.into_values().next().map_or(Ok(()), Err)
    }

    /// An address that the recipe gives, as the root of what is below it.
    fn named(&self, address: &Url) -> Url {
        let mut root = as_root(address.clone());
        let mut settings = self.settings();
        settings.credentials.take_from(&mut root);
        settings.credentials.name(&root);
        root
    }
}

impl Supply for Machine<'_> {
    fn files(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Content>, SupplyError> {
        let mut missing: Vec<Vec<&Wanted<'_>>> = Vec::new();
        let mut seen: BTreeMap<Digest, usize> = BTreeMap::new();
        for file in wanted {
            if let Some(number) = seen.get(&file.sha256) {
                missing[*number].push(file);
            } else if self.kept(file)?.is_none() {
                seen.insert(file.sha256, missing.len());
                missing.push(vec![file]);
            }
        }
        self.get_all(&missing)?;
        let content = |file: &Wanted<'_>| match self.kept(file)? {
            Some(content) => Ok(content),
            // It is there, and has another length.
            None => match (file.size, self.store.length(&file.sha256)) {
                (Some(wanted), Some(found)) => Err(SupplyError::Size { what: file.name.clone(), wanted, found }),
                _ => Err(StoreError::Absent(file.sha256).into()),
            },
        };
        wanted.iter().map(content).collect()
    }

    fn document(&self, address: &Url, accept: Option<&str>, limit: u64) -> Result<Document, SupplyError> {
        let mut bare = address.clone();
        let own = crate::net::take_login(&mut bare);
        let what = crate::net::redacted(&bare);
        let failed = |error: FetchError| match error {
            FetchError::Store { source, .. } => SupplyError::Store(source),
            error if is_missing(&error) => SupplyError::Absent { what: what.clone(), source: Box::new(error) },
            error => SupplyError::Fetch { what: what.clone(), source: Box::new(error) },
        };
        if let Some(path) = local_file::path(address) {
            let (bytes, content_type) = local_file::read(&path, limit).map_err(failed)?;
            return Ok(Document { bytes, content_type: content_type.to_owned(), address: bare });
        }
        let fits = |kept: &documents::Kept| kept.document.bytes.len() as u64 <= limit;
        let kept = documents::recall(&self.store, &bare, accept).filter(fits);
        if self.offline {
            return kept.map(|kept| kept.document).ok_or(SupplyError::Offline { what });
        }
        let mut request = self.request(&bare, limit).map_err(failed)?;
        if let Some((user, password)) = &own {
            request = request.with_login(user, password, "its address");
        }
        request.accept = accept.map(str::to_owned);
        let known = kept.as_ref().and_then(|kept| kept.tag.as_deref());
        let network = self.network(&what)?;
        match (network.document(&request, known, &self.reporter).map_err(failed)?, kept) {
            (Reply::Unchanged, Some(kept)) => Ok(kept.document),
            (Reply::Unchanged, None) => {
                let url = what.clone();
                Err(failed(FetchError::Refused { url, status: 304, tries: 1, who: String::new() }))
            }
            (Reply::Document { bytes, content_type, mut address, tag }, _) => {
                // Signatures and tokens stand there, and nothing is ever joined to them.
                address.set_query(None);
                address.set_fragment(None);
                let document = Document { bytes, content_type, address };
                documents::remember(&self.store, &bare, accept, &document, tag)?;
                Ok(document)
            }
        }
    }

    fn debian_mirrors(&self, archive: &str, recipe: Option<&Url>) -> Result<Vec<Url>, SupplyError> {
        if let Some(mirror) = recipe {
            return Ok(vec![self.named(mirror)]);
        }
        let found = self.settings().debian.get(archive).cloned().filter(|roots| !roots.is_empty());
        found.ok_or_else(|| {
            self.tell_passed_over();
            SupplyError::NoMirror { archive: archive.to_owned() }
        })
    }

    fn debian_is_of_variable(&self, archive: &str) -> bool {
        self.settings().debian_by_name.contains(archive)
    }

    fn debian_snapshot(&self) -> Option<String> {
        self.settings().debian_snapshot.clone()
    }

    fn python_index(&self, name: &str, recipe: Option<&Url>) -> Result<Url, SupplyError> {
        if let Some(index) = recipe {
            return Ok(self.named(index));
        }
        let found = self.python_indexes()?.into_iter().find(|(known, _)| known == name);
        found.map(|(_, address)| address).ok_or_else(|| {
            self.tell_passed_over();
            SupplyError::NoIndex { index: name.to_owned() }
        })
    }

    fn python_indexes(&self) -> Result<Vec<(String, Url)>, SupplyError> {
        self.tell_passed_over();
        let settings = self.settings();
        if let Some(Unusable { what, why }) = settings.unusable.clone() {
            return Err(SupplyError::Setting { what, why });
        }
        let extra =
            settings.python_extra.iter().enumerate().map(|(at, url)| (format!("extra-{}", at + 1), url.clone()));
        let default = settings.python_index.clone().or_else(|| {
            let ask = || default_index(settings.uv.as_deref(), settings.programs.as_ref()?).map(as_root);
            self.default_index.get_or_init(ask).clone()
        });
        // As uv has it: what a further index has is not looked for in the default one.
        Ok(extra.chain(default.map(|url| ("default".to_owned(), url))).collect())
    }

    fn with_login(&self, address: &Url) -> Url {
        // A login that the other program needs may stand there.
        self.tell_passed_over();
        let mut address = address.clone();
        if let Some(login) = self.settings().credentials.find(&address) {
            // These fail for addresses without a host alone, and those have no login.
            let encoded = |text: &Secret| text.expose().replace('%', "%25");
            let _ = address.set_username(&encoded(&login.user));
            let _ = address.set_password(Some(&*encoded(&login.password)).filter(|password| !password.is_empty()));
        }
        address
    }

    fn uv(&self) -> Option<PathBuf> {
        self.settings().uv.clone()
    }

    fn directory(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.store.bucket(MADE)?.join(name);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(StoreError::io("making the directory", &path)(std::io::ErrorKind::InvalidInput.into()));
        }
        self.store.bucket(&format!("{MADE}/{name}"))
    }

    fn is_offline(&self) -> bool {
        self.offline
    }
}

/// Whether no other place can help.
fn is_final(error: &SupplyError) -> bool {
    match error {
        SupplyError::Store(_) | SupplyError::Network { .. } => true,
        SupplyError::Fetch { source, .. } => matches!(**source, FetchError::Cancelled),
        _ => false,
    }
}

/// Whether there is no such document; 403 says that we may not see it.
fn is_missing(error: &FetchError) -> bool {
    error.is_absent() && !matches!(error, FetchError::Refused { status: 403, .. })
}

/// An error with its cause, for a note.
fn told(error: &FetchError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
