//! From names of Debian packages to pins: which versions, from which archives, with which digests (semantics 24, 25, 31).
//!
//! ```text
//! Ask ─(asked)→ Asked, the identity of the entry
//! Ask + archives ─(pin)→ DebianPins ─(source::debian)→ tree
//! ```
//!
//! Pins depend on what is asked, on what is below, on what the archives have, and on the pins before: versions stay as
//! long as they fit. They do not depend on mirrors, nor on the order in which a recipe writes things.

mod archives;
mod ask;
mod error;
mod previous;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub use archives::Archives;
pub use ask::{Ask, asked};
pub use error::{Fault, PinError, Unknown};

use archives::Index;
use ask::Local;
use previous::Previous;

use crate::content::Content;
use crate::debian::database;
use crate::debian::deb::{Deb, Limits};
use crate::debian::effects::accounts;
use crate::debian::packages::Packages;
use crate::debian::resolve::{Chosen, Pin, Request, Root, Solution, Suite, chain, solve};
use crate::debian::scripts;
use crate::debian::staging::{Below, Staging};
use crate::debian::unpack::{Leave, in_order, unpack};
use crate::lock::{DebPin, DebianPins, Update};
use crate::report::{Phase, Reporter};
use crate::source::debian::{fetch, own};
use crate::source::users::SHADOW_DAY;
use crate::supply::Supply;

/// What looking packages up takes of the machine.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Gets indexes and packages.
    pub supply: &'a dyn Supply,
    /// What was read of archives in this run: all layers and platforms see the same.
    pub archives: &'a Archives,
    /// The time, in seconds since 1970: archives say how long they may be believed.
    pub now: u64,
    /// A directory for temporary files.
    pub tmp: &'a Path,
    /// How many threads may work.
    pub jobs: usize,
    /// How much each package may hold.
    pub limits: crate::limits::Limits,
    /// Hears what happens.
    pub reporter: &'a Reporter,
}

/// Pins the packages that are asked for. Versions of `previous` (the entry of the same layer and platform) stay where
/// they fit and `update` does not move them. `layers` of what is returned is empty.
///
/// # Errors
/// [`PinError`].
pub fn pin(
    ask: &Ask<'_>,
    below: &Below<'_>,
    means: &Means<'_>,
    previous: Option<&DebianPins>,
    update: &Update,
) -> Result<DebianPins, PinError> {
    let platform = ask.platform.to_string();
    let previous = previous.filter(|previous| previous.platform == platform);
    let locals = ask.locals()?;
    let asked = ask.lines(below, &locals)?;
    let indexes = match ask.needs_archives() {
        true => means.archives.open(ask, below, means, ask.architecture()?)?,
        false => Vec::new(),
    };
    for (archive, now, then) in archives::older(&indexes, previous) {
        if !update.names(&archive) {
            return Err(PinError::Older { archive, now, then });
        }
        means.reporter.warn(format!(
            "the mirror of `{archive}` is older ({now}) than the one that was locked ({then}), and is taken all the same"
        ));
    }
    let kept = Previous::new(ask, means, &asked, previous, update, &indexes)?;
    let (packages, chains) = choose(ask, below, means, &indexes, &locals, kept)?;
    let archives = archives::dates(&indexes, &packages, previous, update);
    let contents = fetch(&packages, &archives, ask.settings, ask.context, means.supply)?;
    let mut debs = Vec::new();
    for (pin, content) in packages.iter().zip(&contents) {
        debs.push(read_control(pin, content)?);
    }
    let skipped = judge(ask, &debs, &own(&packages), &chains, means.reporter)?;
    let before = previous.map(|previous| previous.accounts.clone()).unwrap_or_default();
    let accounts = allocate(below, debs, &contents, &before, means)?;
    Ok(DebianPins { platform, layers: Vec::new(), asked, archives, accounts, skipped, packages })
}

/// Which packages are taken, sorted by name, and how each came in.
fn choose(
    ask: &Ask<'_>,
    below: &Below<'_>,
    means: &Means<'_>,
    indexes: &[Index],
    locals: &[Local],
    mut kept: Previous,
) -> Result<(Vec<DebPin>, BTreeMap<String, String>), PinError> {
    let task = means.reporter.task(Phase::Resolve, "Debian packages", None);
    let installed = database::read_installed(&Staging::on(below)).map_err(PinError::Below)?;
    let mut roots = ask.roots()?;
    let mut files = Packages::default();
    for local in locals {
        let wrong = |source| PinError::Local { path: local.path.clone(), source };
        files.add_local(&local.deb.control, local.content.len(), local.sha256).map_err(wrong)?;
        let pin = Some(Pin::Version(local.deb.version.clone()));
        roots.retain(|root| root.name != local.deb.name);
        roots.push(Root { name: local.deb.name.clone(), architecture: None, pin });
    }
    // Of equal versions the first is taken: a file of the recipe before an archive's, that before one which has left it.
    let mut suites = vec![Suite { names: Vec::new(), priority: 500, packages: &files }];
    suites.extend(indexes.iter().map(|index| Suite {
        names: index.names.clone(),
        priority: index.priority,
        packages: &index.packages,
    }));
    let gone = std::mem::take(&mut kept.gone);
    suites.push(Suite { names: Vec::new(), priority: 1, packages: &gone });
    let without: BTreeSet<String> = ask.source.without.iter().map(|name| name.value.clone()).collect();
    let request = Request {
        architecture: ask.architecture()?,
        suites: &suites,
        installed: &installed.packages,
        roots: &roots,
        essential: ask.source.essential,
        recommends: ask.source.recommends,
        without: &without,
        preferred: &BTreeMap::new(),
    };
    let pins = |solution: &Solution<'_>| {
        let pin = |chosen: &Chosen<'_>| pin_of(chosen, indexes, locals, &kept);
        let packages: Vec<DebPin> = solution.chosen.values().filter_map(pin).collect();
        let names = packages.iter().map(|package| package.name.clone());
        let chains = names.map(|name| (name.clone(), chain(solution, &name))).collect();
        (packages, chains)
    };
    let mut preferred = kept.preferred.clone();
    let found = loop {
        let attempt = Request { preferred: &preferred, ..request };
        let error = match solve(&attempt) {
            Ok(solution) => break pins(&solution),
            Err(error) => error,
        };
        if preferred.is_empty() {
            return Err(error.into());
        }
        // What stands in the way moves; where it cannot be told, everything may.
        let moved = error.involved().into_iter().find(|names| names.iter().any(|name| preferred.contains_key(name)));
        match moved {
            Some(names) => names.iter().for_each(|name| _ = preferred.remove(name)),
            None => preferred.clear(),
        }
    };
    task.finish(&format!("{} packages", found.0.len()));
    Ok(found)
}

/// The pin of a chosen package.
fn pin_of(chosen: &Chosen<'_>, indexes: &[Index], locals: &[Local], kept: &Previous) -> Option<DebPin> {
    let package = chosen.package;
    let pin = |archive: &str, path: &str| {
        Some(DebPin {
            name: package.name().to_owned(),
            version: package.version_text().to_owned(),
            architecture: package.architecture().to_owned(),
            archive: archive.to_owned(),
            path: path.to_owned(),
            size: package.size(),
            sha256: package.sha256()?,
        })
    };
    match chosen.suite.checked_sub(1) {
        None => pin("", &locals.get(package.number() as usize)?.path),
        Some(number) => match indexes.get(number) {
            Some(index) => {
                let path = package.filename();
                pin(&index.archive, path.strip_prefix("./").unwrap_or(path))
            }
            None => kept.pin(package.name()).cloned(),
        },
    }
}

/// The control data of a pinned package, which must be the one that is pinned.
fn read_control(pin: &DebPin, content: &Content) -> Result<Deb, PinError> {
    let wrong = |source| PinError::Deb { package: format!("{} {}", pin.name, pin.version), source };
    let reader = content.open().map_err(|error| wrong(std::io::Error::from(error).into()))?;
    let label = format!("package {} {}", pin.name, pin.version);
    let deb = Deb::read_control(reader, &label, Limits::default()).map_err(wrong)?;
    deb.expect(&pin.name, &pin.version, &pin.architecture).map_err(wrong)?;
    Ok(deb)
}

/// Judges the scripts of packages: gives those that are taken although theirs are not known, and tells what is left out.
fn judge(
    ask: &Ask<'_>,
    debs: &[Deb],
    own: &BTreeSet<String>,
    chains: &BTreeMap<String, String>,
    reporter: &Reporter,
) -> Result<Vec<String>, PinError> {
    let (mut skipped, mut unknown) = (Vec::new(), Vec::new());
    let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (deb, judgement) in debs.iter().zip(scripts::judge_all(debs, own)) {
        for what in &judgement.left_out {
            left_out.entry(what).or_default().push(&deb.name);
        }
        if judgement.is_known() {
            continue;
        }
        match ask.source.skip_scripts.iter().any(|name| name.value == deb.name) {
            true => skipped.push(deb.name.clone()),
            false => unknown.push(Unknown {
                package: deb.name.clone(),
                chain: chains.get(&deb.name).cloned().unwrap_or_default(),
                scripts: judgement.to_string(),
            }),
        }
    }
    if !unknown.is_empty() {
        return Err(PinError::Scripts(unknown));
    }
    if left_out.is_empty() {
        return Ok(skipped);
    }
    let tell = |shown: usize| {
        let parts = left_out.iter().map(|(what, names)| match names.len().checked_sub(shown) {
            Some(more @ 1..) => format!("{what} ({} and {more} more)", names[..shown].join(", ")),
            _ => format!("{what} ({})", names.join(", ")),
        });
        parts.collect::<Vec<_>>().join("; ")
    };
    if ask.source.strict {
        return Err(PinError::Strict { left_out: tell(usize::MAX) });
    }
    reporter.note(format!("of what Debian's packages do when they are installed, this is left out: {}", tell(3)));
    Ok(skipped)
}

/// Gives accounts of services their numbers: what was given before, else the next that are free.
fn allocate(
    below: &Below<'_>,
    mut debs: Vec<Deb>,
    contents: &[Content],
    before: &BTreeMap<String, u32>,
    means: &Means<'_>,
) -> Result<BTreeMap<String, u32>, PinError> {
    // Files that say something about accounts; the rest of the packages need not be read for this.
    let telling = |path: &[u8]| {
        [&b"usr/lib/sysusers.d/"[..], b"usr/share/base-passwd/"].iter().any(|start| path.starts_with(start))
    };
    let spool = Arc::new(tempfile::tempfile_in(means.tmp).map_err(PinError::Spool)?);
    for (deb, content) in debs.iter_mut().zip(contents) {
        if deb.lists(telling) == Some(false) {
            continue;
        }
        let wrong = |source| PinError::Deb { package: format!("{} {}", deb.name, deb.version), source };
        let reader = content.open().map_err(|error| wrong(std::io::Error::from(error).into()))?;
        let label = format!("package {} {}", deb.name, deb.version);
        let mut whole = Deb::read(reader, &spool, &label, Limits::of(means.limits)).map_err(wrong)?;
        whole.members.retain(|member| telling(member.path.as_bytes()));
        *deb = whole;
    }
    in_order(&mut debs);
    let mut staging = Staging::on(below);
    unpack(&mut staging, &debs, &BTreeMap::new(), Leave::default()).map_err(PinError::Unpack)?;
    accounts::apply(&mut staging, &debs, before, SHADOW_DAY).map_err(PinError::Accounts)
}
