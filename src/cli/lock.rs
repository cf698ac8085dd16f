//! `lapstrake lock`, and the lock as `build` finds and leaves it.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lapstrake::build::{Builder, Locking};
use lapstrake::code::{Coded, ErrorCode};
use lapstrake::host::open_regular;
use lapstrake::lock::{Lock, LockError, MAX_LOCK, Salvage, Update, changes, salvage};
use lapstrake::nearest::nearest;
use lapstrake::python::PackageName;
use lapstrake::recipe::Recipe;
use lapstrake::report::Reporter;

use super::args::{Global, LockArgs};
use super::build::failure;
use super::environment::{load_recipe, style, write_file};
use super::exit::{Code, Failure, Outcome};
use super::progress::Progress;
use super::workshop::Workshop;

/// Runs it.
pub(crate) fn run(global: &Global, args: &LockArgs) -> Outcome {
    let progress = Progress::new(global);
    let reporter = Reporter::new(progress.clone());
    let (recipe, _) = load_recipe(global, &args.set)?;
    for warning in &recipe.warnings {
        progress.diagnostic(&warning.render(style()));
    }
    let path = lock_path(&recipe);
    let (before, told) = before(&path, &reporter);
    let update = update(&before, &recipe, args)?;
    let workshop = Workshop::new(global, args.offline, &reporter)?;
    let outside = workshop.outside(&recipe);
    let builder = Builder { locking: Locking::Again(update), ..workshop.builder(&recipe, &outside, &before) };
    let now = builder.lock().map_err(failure)?;
    let changed = changes(&told, &now);
    for change in &changed {
        super::print(&format!("{change}\n"))?;
    }
    if now.is_empty() && !path.exists() {
        reporter.note("the recipe names nothing that is outside: there is nothing to lock");
        return Ok(());
    }
    let text = now.text();
    if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
        reporter.note(format!("{} is up to date", path.display()));
        return Ok(());
    }
    write_file(&path, &text)?;
    let told = match changed.len() {
        0 => "nothing moved; what was asked, or what is known of a base, is written anew".to_owned(),
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    };
    reporter.note(format!("{}: {told}", path.display()));
    Ok(())
}

/// The lock that is there, as far as it is what was written, and as it stands. Making anew what is not is what was asked for.
fn before(path: &Path, reporter: &Reporter) -> (Lock, Lock) {
    let salvaged = match text(path) {
        Ok(None) => return Default::default(),
        Ok(Some(text)) => salvage(&text).map_err(|error| refused(path, &error)),
        Err(failure) => Err(failure),
    };
    match salvaged {
        Ok(Salvage { lock, told, refused }) => {
            for error in refused {
                reporter.warn(format!("{}: {error}: this entry is locked anew, and the others stay", path.display()));
            }
            (lock, told)
        }
        Err(failure) => {
            reporter.warn(format!("{}: everything is locked anew", failure.error));
            Default::default()
        }
    }
}

/// What `--update` names: everything where it names nothing.
fn update(before: &Lock, recipe: &Recipe, args: &LockArgs) -> Outcome<Update> {
    let Some(names) = &args.update else { return Ok(Update::Nothing) };
    if names.is_empty() {
        return Ok(Update::Everything);
    }
    let debs = before.debian.iter().flat_map(|pins| &pins.packages).map(|pin| pin.name.as_str());
    let wheels: BTreeSet<&str> =
        before.python.iter().flat_map(|pins| &pins.wheels).map(|pin| pin.name.as_str()).collect();
    let images = before.images.iter().map(|pin| pin.name.as_str());
    let files = before.fetch.iter().map(|pin| pin.name.as_str());
    let archives =
        before.debian.iter().chain(&before.compilers).flat_map(|pins| pins.archives.keys()).map(String::as_str);
    let known: BTreeSet<&str> = debs.chain(wheels.iter().copied()).chain(images).chain(files).chain(archives).collect();
    let mut only = BTreeSet::new();
    for name in names {
        // As requirements write it: `Flask`, `zope.interface`.
        let normal = name.parse::<PackageName>().ok().filter(|normal| wheels.contains(normal.as_str()));
        if known.contains(name.as_str()) {
            only.insert(name.clone());
        } else if let Some(normal) = normal {
            only.insert(normal.to_string());
        } else {
            let text = format!("nothing in the lock of {} is called `{name}`", recipe.path.display());
            let failure = Failure::usage(text).kind(ErrorCode::NotInLock);
            return Err(match nearest(name, known.iter().copied()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(
                    "--update takes names of packages, wheels, images, downloads and archives, as the lock has them",
                ),
            });
        }
    }
    Ok(Update::Only(only))
}

/// The lock of a recipe: beside it, `RECIPE.lock` for `RECIPE.toml`.
pub(crate) fn lock_path(recipe: &Recipe) -> PathBuf {
    recipe.path.with_extension("lock")
}

/// The lock that is there.
pub(crate) fn read(path: &Path) -> Outcome<Option<Lock>> {
    let Some(text) = text(path)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &LockError) -> Failure {
    Failure::told(Code::Lock, error.code(), format!("{}: {error}", path.display()))
}

/// The text of the lock that is there.
fn text(path: &Path) -> Outcome<Option<String>> {
    let failed = |error: io::Error| {
        Failure::told(Code::Lock, ErrorCode::LockDamaged, format!("reading the lock {}: {error}", path.display()))
    };
    let mut file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let length = (&mut file).take(MAX_LOCK + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > MAX_LOCK {
        return Err(failed(io::Error::other(format!("it has more than {MAX_LOCK} bytes"))));
    }
    Ok(Some(text))
}

/// Keeps what a build had to pin; in a read-only checkout it stays in memory.
pub(crate) fn keep(path: &Path, before: Option<&Lock>, now: &Lock, reporter: &Reporter) -> Outcome {
    // What lies in the checkout is no reason for a lock: it is there to be read.
    let schemes = ["oci:", "oci-archive:", "docker-archive:", "archive:"];
    let images = now.images.iter().any(|pin| !schemes.iter().any(|scheme| pin.name.starts_with(scheme)));
    let debs = now.debian.iter().flat_map(|pins| &pins.packages).any(|pin| !pin.archive.is_empty());
    let wheels =
        now.python.iter().flat_map(|pins| &pins.wheels).any(|pin| !pin.index.is_empty() || pin.file.contains("://"));
    let worth = images || debs || wheels;
    if before == Some(now) || before.is_none() && !worth {
        return Ok(());
    }
    // What another build, or `lapstrake lock`, wrote meanwhile is not written over.
    let there = read(path).ok().flatten();
    if there.as_ref() != before {
        if there.as_ref() != Some(now) {
            let path = path.display();
            reporter.warn(format!(
                "{path} was written while this build ran, and says something else: the pins of this build are in memory \
                 alone; run `lapstrake lock`, which finds them again"
            ));
        }
        return Ok(());
    }
    let count = match changes(before.unwrap_or(&Lock::default()), now).len() {
        1 => "1 pin".to_owned(),
        0 => "no pin, but what was asked".to_owned(),
        count => format!("{count} pins"),
    };
    match write_file(path, &now.text()) {
        Ok(()) if before.is_none() => {
            reporter.note(format!("there was no lock: {} is new ({count}); commit it", path.display()));
        }
        Ok(()) => reporter.note(format!("{} did not fit what is built: {count} changed or came to it", path.display())),
        Err(failure) => {
            reporter.warn(format!(
                "the lock cannot be kept ({}): the pins of this build are in memory alone",
                failure.error
            ));
        }
    }
    Ok(())
}
