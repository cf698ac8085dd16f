//! Layers of Debian packages: from pins to a tree, with nothing executed (DESIGN.md, section 8).
//!
//! ```text
//! pins ─(supply)→ .deb files ─(checked, decoded side by side)→ spools on disk ─(unpack, database, effects)→ tree
//! ```
//!
//! A tree depends on the pins, the options and what is below; not on mirrors, threads or the clock.

mod files;
mod libraries;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub use files::{FileError, Places, fetch, hashed};
pub use libraries::{check, foresee, ld_so_cache};

use crate::content::{Content, ContentError};
use crate::debian::database::{self, DatabaseError, Style};
use crate::debian::deb::{Deb, DebError, Limits};
use crate::debian::effects;
use crate::debian::is_own_archive;
use crate::debian::scripts;
use crate::debian::staging::{Below, Staging, StagingError};
use crate::debian::unpack::{Leave, UnpackError, in_order, merge_usr, unpack};
use crate::lock::{DebPin, DebianPins};
use crate::oci::Platform;
use crate::recipe::packages::DebianSettings;
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::source::users::SHADOW_DAY;
use crate::supply::Supply;
use crate::tar::MemberKind;
use crate::tree::{FileTree, NodeKind, TreePath};

/// What a recipe says about the files of packages.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Whether documentation, manual pages and translations are left out.
    pub slim: bool,
    /// What else is left out, by its path in the package.
    pub exclude: Option<&'a dyn Fn(&TreePath) -> bool>,
    /// Where archives are.
    pub settings: &'a DebianSettings,
    /// The directory that packages of the recipe are found from.
    pub context: &'a Path,
}

/// What making a layer takes of the machine.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Gets packages.
    pub supply: &'a dyn Supply,
    /// A directory for temporary files: the packages' files lie there, decompressed, as long as the tree is held.
    pub tmp: &'a Path,
    /// How many threads may work.
    pub jobs: usize,
    /// How much each package may hold.
    pub limits: crate::limits::Limits,
    /// Hears what happens.
    pub reporter: &'a Reporter,
}

/// What packages come to.
#[derive(Debug)]
pub struct DebianLayer {
    /// Files, dpkg's database and what scripts would have made.
    pub tree: FileTree,
    /// The newest time of a file in the packages, in seconds since 1970, where it can be right.
    pub newest: Option<i64>,
}

/// Why packages cannot be made a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Debian has no such architecture, or the pins are another's.
    #[error("packages for {pinned} cannot be put into an image for {platform}")]
    Platform {
        /// What the pins are for.
        pinned: String,
        /// What the image is for.
        platform: String,
    },
    /// A package's file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// A package is refused.
    #[error("the package {package} is refused")]
    Deb {
        /// The package, with its version.
        package: String,
        /// Why.
        source: DebError,
    },
    /// A package's file is damaged.
    #[error("reading the package {package}")]
    Damaged {
        /// The package, with its version.
        package: String,
        /// What is wrong with its bytes.
        source: ContentError,
    },
    /// The lock has a package whose scripts are not known, and nobody took it all the same.
    #[error(
        "what {0} does when it is installed is not known, and the lock does not say that it is taken all the same: lock again"
    )]
    Unknown(String),
    /// A script removes what the image has.
    #[error(
        "{script} of {package} removes {path}, which the image has: where the image works with it, write `skip_scripts = [\"{package}\"]` and lock again"
    )]
    Removes {
        /// The package.
        package: String,
        /// The script.
        script: &'static str,
        /// What it removes.
        path: TreePath,
    },
    /// A package is for another architecture.
    #[error("the package {package} is for {architecture}, and the image for {platform}")]
    Architecture {
        /// The package, with its version.
        package: String,
        /// Its architecture.
        architecture: String,
        /// The image's platform.
        platform: String,
    },
    /// A temporary file cannot be made.
    #[error("keeping files of packages")]
    Spool(#[source] std::io::Error),
    /// Files do not fit together, or onto what is below.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// dpkg's database cannot be written.
    #[error("writing dpkg's database")]
    Database(#[from] DatabaseError),
    /// What scripts would have made cannot be made.
    #[error("doing what the packages' scripts would have done")]
    Staging(#[from] StagingError),
    /// The number of an account is taken.
    #[error(
        "the account {name} is pinned to the number {pinned}, which something else in the image has: lock again with `lapstrake lock`"
    )]
    Account {
        /// The account.
        name: String,
        /// What the lock says.
        pinned: u32,
    },
}

/// The oldest time that a member can rightly have: Debian began in 1993.
const OLDEST: i64 = 725_846_400;

/// The newest one where no archive's date says better: the year 2100.
const NEWEST: i64 = 4_102_444_800;

/// Makes pinned packages a layer on top of what is below.
///
/// # Errors
/// [`LayerError`].
pub fn packages(
    pins: &DebianPins,
    options: &Options<'_>,
    below: &Below<'_>,
    platform: &Platform,
    means: &Means<'_>,
) -> Result<DebianLayer, LayerError> {
    let shown = platform.to_string();
    let other = || LayerError::Platform { pinned: pins.platform.clone(), platform: shown.clone() };
    let architecture = crate::debian::architecture(platform).filter(|_| pins.platform == shown).ok_or_else(other)?;
    if let Some(pin) = pins.packages.iter().find(|pin| pin.architecture != architecture && pin.architecture != "all") {
        return Err(LayerError::Architecture {
            package: format!("{} {}", pin.name, pin.version),
            architecture: pin.architecture.clone(),
            platform: shown,
        });
    }
    let contents = fetch(&pins.packages, &pins.archives, options.settings, options.context, means.supply)?;
    let mut debs = decode(&pins.packages, &contents, means)?;
    in_order(&mut debs);
    let mut judgements = scripts::judge_all(&debs, &own(&pins.packages));
    judgements.retain(|judgement| !pins.skipped.contains(&judgement.package));
    if let Some(unknown) = judgements.iter().find(|judgement| !judgement.is_known()) {
        return Err(LayerError::Unknown(unknown.package.clone()));
    }
    let newest = newest(&debs, &pins.archives);

    let mut staging = Staging::on(below);
    let leave = Leave { slim: options.slim, exclude: options.exclude };
    merge_usr(&mut staging, architecture)?;
    let owners = database::read_owners(&staging, &covered(&debs, below, leave))?;
    let unpacked = unpack(&mut staging, &debs, &owners, leave)?;
    let installed = database::read_installed(&staging)?;
    let style = Style::of(&staging);
    database::write(&mut staging, &debs, &unpacked, &installed, architecture, style)?;
    let given = effects::apply(&mut staging, &debs, &pins.accounts, SHADOW_DAY)?;
    for (name, pinned) in &pins.accounts {
        if given.get(name).is_some_and(|given| given != pinned) {
            return Err(LayerError::Account { name: name.clone(), pinned: *pinned });
        }
    }
    effects::ld_so_cache::apply(&mut staging, architecture)?;
    for judgement in &judgements {
        let own = debs.iter().position(|deb| deb.name == judgement.package).and_then(|at| unpacked.lists.get(at));
        let own = own.map(Vec::as_slice).unwrap_or_default();
        if let Some(removal) = judgement.removed.iter().find(|removal| removal.is_in(&staging, own)) {
            return Err(LayerError::Removes {
                package: judgement.package.clone(),
                script: removal.script,
                path: removal.path.clone(),
            });
        }
    }
    Ok(DebianLayer { tree: staging.into_tree(below.rootfs)?, newest })
}

/// The names of packages that come from Debian's own archives.
pub fn own(pins: &[DebPin]) -> BTreeSet<String> {
    pins.iter().filter(|pin| is_own_archive(&pin.archive)).map(|pin| pin.name.clone()).collect()
}

/// Reads packages side by side; what they hold lies in as many temporary files as there are threads.
fn decode(pins: &[DebPin], contents: &[Content], means: &Means<'_>) -> Result<Vec<Deb>, LayerError> {
    let total = pins.iter().map(|pin| pin.size).sum();
    let task = means.reporter.task(Phase::Unpack, format!("{} Debian packages", pins.len()), Some(total));
    // The largest first, so that none is left for the end.
    let mut order: Vec<usize> = (0..pins.len().min(contents.len())).collect();
    order.sort_by_key(|at| std::cmp::Reverse(pins[*at].size));
    let read: Vec<OnceLock<Result<Deb, LayerError>>> = order.iter().map(|_| OnceLock::new()).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..means.jobs.clamp(1, order.len().max(1)) {
            scope.spawn(|| {
                let mut spool = None;
                while !failed.load(Ordering::Relaxed) {
                    let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let deb = read_one(&pins[*at], &contents[*at], &mut spool, means);
                    failed.fetch_or(deb.is_err(), Ordering::Relaxed);
                    task.advance(pins[*at].size);
                    // Every number is drawn once.
                    let _ = read[*at].set(deb);
                }
            });
        }
    });
    // The first error in the order of the pins; without one, all are there.
    let results: Vec<Result<Deb, LayerError>> = read.into_iter().filter_map(OnceLock::into_inner).collect();
    results.into_iter().collect()
}

fn read_one(
    pin: &DebPin,
    content: &Content,
    spool: &mut Option<Arc<std::fs::File>>,
    means: &Means<'_>,
) -> Result<Deb, LayerError> {
    let package = format!("{} {}", pin.name, pin.version);
    let wrong = |source| LayerError::Deb { package: package.clone(), source };
    let spool = match spool {
        Some(spool) => spool,
        None => spool.insert(Arc::new(tempfile::tempfile_in(means.tmp).map_err(LayerError::Spool)?)),
    };
    let reader = content.open().map_err(|error| wrong(std::io::Error::from(error).into()))?;
    let deb = match Deb::read(reader, spool, &format!("package {package}"), Limits::of(means.limits)) {
        Ok(deb) => deb,
        Err(error) => {
            // Where the bytes are not those that are pinned, that is what is wrong: they can be had anew.
            let whole = content.open().and_then(|mut whole| {
                let read = std::io::copy(&mut whole, &mut std::io::sink());
                read.map(|_| ()).map_err(|error| match error.downcast::<ContentError>() {
                    Ok(damaged) => damaged,
                    Err(source) => ContentError::Read { path: Shown::new(package.as_bytes()), source },
                })
            });
            return Err(match whole {
                Err(source @ ContentError::Damaged { .. }) => LayerError::Damaged { package, source },
                _ => wrong(error),
            });
        }
    };
    deb.expect(&pin.name, &pin.version, &pin.architecture).map_err(wrong)?;
    Ok(deb)
}

/// Where files of the packages take the place of what is there, and of which package.
fn covered<'d>(debs: &'d [Deb], below: &Below<'_>, leave: Leave<'_>) -> Vec<(TreePath, &'d Deb)> {
    let there = |path: &TreePath| {
        let path = below.rootfs.resolve_parent(path).ok()?;
        let node = below.rootfs.get(&path)?;
        (node.kind != NodeKind::Directory).then_some(path)
    };
    let members = debs.iter().flat_map(|deb| deb.members.iter().map(move |member| (member, deb)));
    members
        .filter(|(member, _)| member.kind != MemberKind::Directory && !leave.drops(&member.path))
        .filter_map(|(member, deb)| Some((there(&member.path)?, deb)))
        .collect()
}

/// The newest time of a member that is neither before Debian nor after the archives that the packages come from.
fn newest(debs: &[Deb], archives: &BTreeMap<String, String>) -> Option<i64> {
    let dates = archives.values().filter_map(|date| date.parse::<jiff::Timestamp>().ok());
    let last = dates.map(jiff::Timestamp::as_second).max().unwrap_or(NEWEST);
    let times = debs.iter().flat_map(|deb| &deb.members).map(|member| member.mtime);
    times.filter(|time| (OLDEST..=last).contains(time)).max()
}
