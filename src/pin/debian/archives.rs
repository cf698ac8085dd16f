//! What archives have: their releases, believed, and their indexes of packages, read once a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use url::Url;

use super::ask::AskedSuite;
use super::{Ask, Means, PinError};
use crate::content::Content;
use crate::debian::decode::{self, Compression};
use crate::debian::keyring::Keyring;
use crate::debian::packages::{Packages, PackagesError};
use crate::debian::release::{self, IndexFile, Release, ReleaseError};
use crate::debian::staging::{Below, Staging};
use crate::lock::{DebPin, DebianPins, Update};
use crate::nearest;
use crate::net::FetchError;
use crate::oci::Digest;
use crate::report::Phase;
use crate::source::debian::Places;
use crate::supply::{SupplyError, Wanted};

/// The most bytes of an `InRelease`, as it comes and of an index, once decompressed.
const MAX_RELEASE: u64 = 8 << 20;
const MAX_INDEX: u64 = 1 << 30;

/// Suites of Debian that people ask for, for hints.
const KNOWN: [&str; 19] = [
    "bookworm",
    "bookworm-backports",
    "bookworm-security",
    "bookworm-updates",
    "bullseye",
    "bullseye-security",
    "bullseye-updates",
    "forky",
    "oldstable",
    "oldstable-security",
    "sid",
    "stable",
    "stable-security",
    "testing",
    "trixie",
    "trixie-backports",
    "trixie-security",
    "trixie-updates",
    "unstable",
];

/// What was read of archives in one run: all layers and platforms of a run see the same.
#[derive(Default)]
pub struct Archives {
    releases: Mutex<BTreeMap<(String, String), Arc<Release>>>,
    indexes: Mutex<BTreeMap<Digest, Arc<Packages>>>,
}

impl std::fmt::Debug for Archives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Archives")
    }
}

/// The packages of one component of a suite.
pub(super) struct Index {
    pub(super) archive: String,
    /// The suite as the recipe has it, its codename, its other name.
    pub(super) names: Vec<String>,
    pub(super) priority: i32,
    /// When the suite was made, in seconds since 1970.
    pub(super) date: u64,
    pub(super) packages: Arc<Packages>,
}

/// An index that is to be read.
struct Listed<'a> {
    suite: AskedSuite<'a>,
    release: Arc<Release>,
    file: IndexFile,
}

impl Archives {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The indexes that are asked for, in an order that is the same however the recipe is written.
    pub(super) fn open(
        &self,
        ask: &Ask<'_>,
        below: &Below<'_>,
        means: &Means<'_>,
        architecture: &str,
    ) -> Result<Vec<Index>, PinError> {
        let suites = ask.suites();
        if suites.is_empty() {
            return Err(PinError::NoSuites { example: example(below) });
        }
        let mut listed = Vec::new();
        for suite in suites {
            let release = self.release(ask, means, &suite)?;
            let known = |name: &String| release.architectures.is_empty() || release.architectures.contains(name);
            if !known(&architecture.to_owned()) {
                return Err(PinError::NoArchitecture {
                    archive: suite.archive.to_owned(),
                    suite: suite.suite.to_owned(),
                    architecture: architecture.to_owned(),
                    there: release.architectures.join(", "),
                });
            }
            for component in &suite.components {
                let index = |architecture| release.packages(component, architecture);
                let file = index(architecture).map_err(|_| PinError::NoComponent {
                    archive: suite.archive.to_owned(),
                    suite: suite.suite.to_owned(),
                    component: (*component).to_owned(),
                    there: release.components.join(", "),
                })?;
                let apart = release.all_apart.then(|| index("all").ok()).flatten();
                for file in std::iter::once(file).chain(apart) {
                    listed.push(Listed { suite: suite.clone(), release: release.clone(), file });
                }
            }
        }
        self.read(ask, means, &listed)?;
        let indexes = lock(&self.indexes);
        let index = |listed: &Listed<'_>| {
            let release = &listed.release;
            let names = [Some(listed.suite.suite), release.codename.as_deref(), release.suite.as_deref()];
            let names: Vec<String> = names.into_iter().flatten().map(str::to_owned).collect();
            Some(Index {
                archive: listed.suite.archive.to_owned(),
                names,
                priority: release.priority,
                date: release.date,
                packages: indexes.get(&listed.file.sha256)?.clone(),
            })
        };
        Ok(listed.iter().filter_map(index).collect())
    }

    /// What a suite says of itself, believed.
    fn release(&self, ask: &Ask<'_>, means: &Means<'_>, suite: &AskedSuite<'_>) -> Result<Arc<Release>, PinError> {
        let key = (suite.archive.to_owned(), suite.suite.to_owned());
        if let Some(release) = lock(&self.releases).get(&key) {
            return Ok(release.clone());
        }
        let further = ask.settings.archives.get(suite.archive);
        let named = further.and_then(|archive| archive.keyring.as_ref()).or(ask.settings.keyring.as_ref());
        let keyring = match named {
            None => {
                Keyring::debian().map_err(|source| PinError::Keyring { path: "Debian's keyring".to_owned(), source })?
            }
            Some(path) => {
                let (bytes, _) = ask.keyring(&path.value)?;
                let wrong = |source| PinError::Keyring { path: path.value.to_string(), source };
                Keyring::parse(&bytes).map_err(wrong)?
            }
        };
        let origin = match further {
            Some(archive) => archive.origin.as_ref().map(|origin| origin.value.as_str()),
            // Whoever brings other keys means another archive than Debian's.
            None => ask.settings.keyring.is_none().then_some("Debian"),
        };
        let believe = |bytes: &[u8]| -> Result<Release, ReleaseError> {
            let verified = release::verify(bytes, &keyring, Some(means.now))?;
            let release = Release::parse(&verified.text)?;
            release.check(suite.suite, origin, Some(means.now))?;
            Ok(release)
        };
        let places = Places { settings: ask.settings, supply: means.supply };
        let mut failed: Option<PinError> = None;
        for mirror in places.mirrors(suite.archive)? {
            let Ok(address) = mirror.join(&format!("./dists/{}/InRelease", suite.suite)) else { continue };
            let problem = match means.supply.document(&address, None, MAX_RELEASE) {
                Ok(document) => match believe(&document.bytes) {
                    Ok(release) => {
                        let release = Arc::new(release);
                        lock(&self.releases).insert(key, release.clone());
                        return Ok(release);
                    }
                    Err(source) => PinError::Release { address: plain(&document.address), source },
                },
                Err(error) if is_absent(&error) => PinError::NoSuite {
                    archive: suite.archive.to_owned(),
                    suite: suite.suite.to_owned(),
                    hint: hint(suite, further.is_none()),
                    mirror: plain(&mirror),
                    origin: origin_of(ask, means, suite.archive),
                    source: Box::new(error),
                },
                Err(error) => PinError::Supply(error),
            };
            failed.get_or_insert(problem);
        }
        Err(failed.unwrap_or(PinError::Supply(SupplyError::NoMirror { archive: suite.archive.to_owned() })))
    }

    /// Gets and reads the indexes that are not known yet.
    fn read(&self, ask: &Ask<'_>, means: &Means<'_>, listed: &[Listed<'_>]) -> Result<(), PinError> {
        let mut seen = BTreeSet::new();
        let listed: Vec<&Listed<'_>> = {
            let known = lock(&self.indexes);
            listed
                .iter()
                .filter(|listed| !known.contains_key(&listed.file.sha256) && seen.insert(listed.file.sha256))
                .collect()
        };
        if listed.is_empty() {
            return Ok(());
        }
        let places = Places { settings: ask.settings, supply: means.supply };
        let addresses: Vec<_> = listed
            .iter()
            .map(|listed| {
                move || -> Result<Vec<Url>, SupplyError> {
                    let mut found = Vec::new();
                    for mirror in places.mirrors(listed.suite.archive)? {
                        for path in listed.file.by_hash.iter().chain([&listed.file.path]) {
                            found.extend(mirror.join(&format!("./dists/{}/{path}", listed.suite.suite)));
                        }
                    }
                    Ok(found)
                }
            })
            .collect();
        let wanted: Vec<Wanted<'_>> = listed
            .iter()
            .zip(&addresses)
            .map(|(listed, places)| Wanted {
                name: format!("the packages of {} ({})", listed.suite.suite, listed.file.path),
                sha256: listed.file.sha256,
                size: Some(listed.file.size),
                places,
            })
            .collect();
        let contents = means.supply.files(&wanted)?;
        let task = means.reporter.task(Phase::Resolve, "indexes of Debian packages", None);
        let read: Vec<OnceLock<Result<Packages, PackagesError>>> = listed.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..means.jobs.clamp(1, listed.len()) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let (Some(listed), Some(content)) = (listed.get(at), contents.get(at)) else { return };
                        // Set once: every number is drawn once.
                        let _ = read[at].set(parse(content, listed.file.compression));
                    }
                });
            }
        });
        task.finish("read");
        let mut known = lock(&self.indexes);
        for (listed, read) in listed.iter().zip(read) {
            let wrong =
                |source| PinError::Index { suite: format!("{} ({})", listed.suite.suite, listed.file.path), source };
            if let Some(packages) = read.into_inner() {
                known.insert(listed.file.sha256, Arc::new(packages.map_err(wrong)?));
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is in there is whole: values are made before they are put in.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse(content: &Content, compression: Compression) -> Result<Packages, PackagesError> {
    let failed = |error: std::io::Error| PackagesError::Control(error.into());
    let reader = content.open().map_err(|error| failed(error.into()))?;
    Packages::read(decode::lines(reader, compression, MAX_INDEX).map_err(failed)?)
}

/// Whether the server was asked and has no such file.
fn is_absent(error: &SupplyError) -> bool {
    match error {
        SupplyError::Gone { .. } | SupplyError::Absent { .. } => true,
        SupplyError::Fetch { source, .. } => {
            matches!(**source, FetchError::Refused { status: 403 | 404 | 410, .. })
        }
        _ => false,
    }
}

/// An address without what may be secret in it.
fn plain(address: &Url) -> String {
    let mut address = address.clone();
    address.set_query(None);
    // Addresses that have no place for them have none.
    let _ = (address.set_username(""), address.set_password(None));
    address.to_string()
}

/// Who says that this is the archive's mirror, and who may say another.
fn origin_of(ask: &Ask<'_>, means: &Means<'_>, archive: &str) -> &'static str {
    let own = ask.settings.mirror.is_some();
    let further = ask.settings.archives.get(archive).map(|archive| archive.mirror.is_some());
    match further.unwrap_or(own) {
        true => "the recipe's `mirror`, which may name another one",
        false if means.supply.debian_is_of_variable(archive) => "LAPSTRAKE_DEBIAN_MIRROR, which may name another one",
        false => "the machine's apt sources; LAPSTRAKE_DEBIAN_MIRROR sets another one",
    }
}

fn hint(suite: &AskedSuite<'_>, debian: bool) -> String {
    let near = nearest::nearest(suite.suite, KNOWN).filter(|near| debian && *near != suite.suite);
    near.map_or_else(String::new, |near| format!(" (is it `{near}`?)"))
}

/// What could be written for suites: those of the base, where it is Debian's.
fn example(below: &Below<'_>) -> String {
    let staging = Staging::on(below);
    let text = ["etc/os-release", "usr/lib/os-release"].into_iter().find_map(|path| staging.text(path).ok().flatten());
    let text = text.unwrap_or_default();
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(|value| value.trim_matches('"'))
    };
    let word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let codename = value("VERSION_CODENAME").filter(|_| value("ID") == Some("debian")).filter(word);
    let codename = codename.unwrap_or("trixie");
    format!("[\"{codename}\", \"{codename}-updates\", \"{codename}-security\"]")
}

/// Archives that are older than when they were pinned: which, of when, and of when they were then.
pub(super) fn older(indexes: &[Index], previous: Option<&DebianPins>) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (archive, then) in previous.map(|previous| &previous.archives).into_iter().flatten() {
        let dates = indexes.iter().filter(|index| index.archive == *archive).map(|index| index.date);
        let Some(now) = dates.max().and_then(|date| jiff::Timestamp::from_second(i64::try_from(date).ok()?).ok())
        else {
            continue;
        };
        if then.parse::<jiff::Timestamp>().is_ok_and(|then| now < then) {
            found.push((archive.clone(), now.to_string(), then.clone()));
        }
    }
    found
}

/// The newest date of each archive that a package comes from; that of before where its packages are those of before.
pub(super) fn dates(
    indexes: &[Index],
    packages: &[DebPin],
    previous: Option<&DebianPins>,
    update: &Update,
) -> BTreeMap<String, String> {
    let mut dates = BTreeMap::new();
    let archives: BTreeSet<&str> =
        packages.iter().map(|package| package.archive.as_str()).filter(|archive| !archive.is_empty()).collect();
    for archive in archives {
        let of = |packages: &'_ [DebPin]| -> Vec<DebPin> {
            packages.iter().filter(|package| package.archive == archive).cloned().collect()
        };
        let same = |previous: &&DebianPins| of(&previous.packages) == of(packages) && !update.names(archive);
        let before = previous.filter(same);
        let before = before.and_then(|previous| previous.archives.get(archive).cloned());
        let newest = || {
            let dates = indexes.iter().filter(|index| index.archive == archive).map(|index| index.date);
            let newest = i64::try_from(dates.max()?).ok()?;
            Some(jiff::Timestamp::from_second(newest).ok()?.to_string())
        };
        if let Some(date) = before.or_else(newest) {
            dates.insert(archive.to_owned(), date);
        }
    }
    dates
}
