//! `lapstrake build`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use lapstrake::build::{self, BuildError, Builder, Built, Locking};
use lapstrake::code::{Coded, ErrorCode, causes, of_registries};
use lapstrake::content::ContentError;
use lapstrake::layer::{LayerError, Reuse};
use lapstrake::lock::Lock;
use lapstrake::logins::{hide_credentials, hide_in_name};
use lapstrake::nearest::nearest;
use lapstrake::oci::{Digest, Platform, Reference};
use lapstrake::pin::debian::Fault;
use lapstrake::place::{self, ArchiveKind, Artifact, FilePlace, Place};
use lapstrake::recipe::{self, Diagnostic, ImageName, Inputs, Recipe};
use lapstrake::registry::{Pushed, RegistryError};
use lapstrake::remote::{Ahead, Candidates, Open, PushedLayers, Seen};
use lapstrake::report::Reporter;
use serde_json::{Map, Value, json};

use super::args::{BuildArgs, Global};
use super::dry_run::{self, LockChange, Shadow};
use super::environment::{LazyRegistries, epoch, load_recipe, style, write_file};
use super::exit::{Code, Failure, OrFail, Outcome, Spot};
use super::load::Loader;
use super::lock;
use super::log::{self, Lines};
use super::meant;
use super::progress::{Progress, Summary};
use super::standard_output;
use super::transfer::{push_all, references_of};
use super::watch;
use super::workshop::Workshop;
use super::written::{self, Named};

/// Where images go when nothing is said.
pub(super) const DEFAULT_OUTPUT: &str = "oci:./lapstrake-out";

/// Runs it.
pub(crate) fn run(global: &Global, args: &BuildArgs) -> Outcome {
    if args.print_recipe {
        return super::print_recipe::run(global, args);
    }
    let progress = Progress::new(global);
    let reporter = Reporter::new(progress.clone());
    let mut build = || {
        progress.begin();
        let outcome = once(global, args, &progress, &reporter);
        progress.end();
        outcome
    };
    match args.watch {
        true => watch::forever(global, args, &reporter, &mut build),
        false => build(),
    }
}

fn once(global: &Global, args: &BuildArgs, progress: &Progress, reporter: &Reporter) -> Outcome {
    let (recipe, inputs) = load_recipe(global, &args.set)?;
    for warning in &recipe.warnings {
        progress.diagnostic(&warning.render(style()));
    }
    let wanted = wanted(&recipe, args)?;
    let outputs = outputs(args, &inputs, &wanted)?;
    let platforms = platforms(args)?;
    let epoch = epoch(args.source_date_epoch)?;
    let names = names(&recipe, &inputs, &wanted, args)?;
    let plan = plan(&recipe, &wanted, &names, platforms.as_deref());
    check(args, &plan, &outputs)?;
    check_written(args, &recipe, &outputs)?;
    let cache_from = cache_from(&args.cache_from, &inputs, &plan)?;
    let (labels, annotations) = (key_values("--label", &args.label)?, key_values("--annotation", &args.annotation)?);
    let pushes = outputs.iter().any(|output| matches!(output, Place::OwnNames | Place::Registry(_)));
    if let Some(path) = args.image_refs.as_ref().filter(|_| !pushes) {
        reporter.warn(format!(
            "{} of --image-refs will be empty, since nothing is pushed: add --push, or use --metadata-file, which has what is built",
            path.display()
        ));
    }
    if let Some(name) = name_of_commit(args, &recipe, &plan, &outputs) {
        warn_of_changes(&name, &recipe, &inputs, reporter);
    }
    let shadow = if args.dry_run { Some(Shadow::of(global, reporter)?) } else { None };
    let global = shadow.as_ref().map_or(global, Shadow::global);

    let path = lock::lock_path(&recipe);
    let before = lock::read(&path)?;
    let nothing = Lock::default();
    let workshop = Workshop::new(global, args.offline, reporter)?;
    let outside = workshop.outside(&recipe);
    let warn = |text: String| reporter.warn(text);
    let candidates =
        if args.no_cache { Vec::new() } else { candidates(&cache_from, &recipe, &plan, &outputs, &workshop) };
    let all_platforms = plan.iter().flat_map(|planned| planned.platforms.iter().cloned()).collect();
    let pushed_layers = PushedLayers::new(candidates, all_platforms, super::environment::jobs(global), &warn);
    let mut builder = Builder {
        locking: if args.locked { Locking::Locked } else { Locking::AsNeeded },
        reuse: if args.no_cache { Reuse::Never } else { Reuse::Allowed },
        verify: args.verify_cache,
        elsewhere: &pushed_layers,
        epoch,
        platforms,
        labels,
        annotations,
        names,
        ..workshop.builder(&recipe, &outside, before.as_ref().unwrap_or(&nothing))
    };
    // What is told of a build is no part of the next.
    builder.left_out.extend(args.results().map(|(_, path)| path.clone()));
    // What an item names would be copied, and then written over.
    builder.forbidden.extend(args.results().map(|(_, path)| path.clone()));
    builder.forbidden.extend(outputs.iter().filter_map(|output| match output {
        Place::Layout { directory, .. } => Some(directory.clone()),
        Place::Archive { file: FilePlace::Path(path), .. } => Some(path.clone()),
        _ => None,
    }));
    let (store, registries) = (&workshop.store, &workshop.registries);
    if args.dry_run {
        let (forecasts, lock) = builder.forecast(&wanted).map_err(failure)?;
        let (lock, _) = builder.to_keep(&lock);
        let lock = LockChange { path: &path, before: before.as_ref(), now: &lock };
        return dry_run::tell(&forecasts, &lock, &plan, &outputs, registries, args);
    }
    let keeper = builder.clone();
    let kept = |lock: &Lock| {
        if args.locked {
            return Ok(());
        }
        let (lock, once) = keeper.to_keep(lock);
        if !once.is_empty() {
            reporter.note(format!(
                "what is pinned for {} is in memory alone: no image of the recipe is for it; add it to `platforms` to keep its pins",
                once.join(", ")
            ));
        }
        lock::keep(&path, before.as_ref(), &lock, reporter)
    };
    // Each of these is made up for once: the second time, something else is wrong.
    let (mut dropped, mut is_lost, mut gone) = (BTreeSet::new(), false, false);
    let (built, pushed) = loop {
        let seen: &dyn Seen = if gone { &() } else { &pushed_layers };
        let failure = match build_and_put(&builder, progress, &wanted, &outputs, registries, &kept, seen) {
            Ok(done) => break done,
            Err(failure) => failure,
        };
        match damaged(&*failure.error) {
            Some(digest) if dropped.insert(digest) => {
                // Another build that found it may have made it again meanwhile.
                if store.forget_damaged(&digest) {
                    reporter.warn(format!("the blob {digest} in the cache was damaged: it is dropped and made again"));
                }
            }
            None if failure.kind == ErrorCode::CacheDamaged && !is_lost => {
                reporter.warn(format!("{}, where it was a moment ago: it is made again", failure.error));
                is_lost = true;
            }
            // What somebody pushed is gone, or was never there: then it is made here.
            _ if !gone && is_gone(&*failure.error, &pushed_layers) => {
                reporter.warn("a layer that was found in a registry is gone from there: it is built");
                builder.elsewhere = &();
                gone = true;
            }
            // What pins nothing needs no lock.
            _ if before.is_none() && args.locked && failure.code == Code::Lock => {
                let hint = format!("{} is not there: make it with `lapstrake lock`, and commit it", path.display());
                return Err(failure.hint(hint));
            }
            _ => return Err(failure),
        }
    };
    if let Some(program) = &args.load {
        let artifacts: Vec<Artifact> = built.iter().map(|image| image.artifact.clone()).collect();
        Loader::find(Some(program))?.load(&artifacts, store, reporter)?;
    }
    if pushed_layers.found_nothing() && outputs.contains(&Place::OwnNames) {
        tell_of_lone_commits(args, &recipe, &plan, reporter);
    }
    progress.summary(Summary::of(&built, &pushed));
    report(args, global, &built, &pushed, &outputs)
}

/// A name under which something is pushed, where that is made of the commit.
fn name_of_commit(args: &BuildArgs, recipe: &Recipe, plan: &[Planned<'_>], outputs: &[Place]) -> Option<String> {
    let given = args.output.iter().zip(outputs).find_map(|(text, place)| match place {
        Place::Registry(reference) if is_of_commit(text) => Some(reference.to_string()),
        _ => None,
    });
    if given.is_some() || !outputs.contains(&Place::OwnNames) {
        return given;
    }
    plan.iter().find_map(|planned| {
        let mut named = written_tags(args, recipe, planned).into_iter().zip(&planned.references);
        named.find(|(text, _)| is_of_commit(text)).map(|(_, reference)| reference.to_string())
    })
}

/// The tags of an image as they are written: those of `-t`, else the recipe's, in the order of its references.
fn written_tags<'t>(args: &'t BuildArgs, recipe: &'t Recipe, planned: &Planned<'t>) -> Vec<&'t str> {
    match args.tag.is_empty() {
        true => planned.image.tags.iter().map(|tag| recipe.sources().text(tag.span)).collect(),
        false => args.tag.iter().map(String::as_str).collect(),
    }
}

/// Says why nothing was taken from the registry, where that will be so with every commit.
fn tell_of_lone_commits(args: &BuildArgs, recipe: &Recipe, plan: &[Planned<'_>], reporter: &Reporter) {
    let is_lone = |planned: &Planned<'_>| {
        let tags = written_tags(args, recipe, planned);
        !tags.is_empty() && tags.into_iter().all(is_of_commit)
    };
    if plan.iter().all(is_lone) {
        reporter.note(
            "nothing was pushed under the tags of this commit before, so that no layer was taken from the registry: keep a tag \
             that stays beside them, or use --cache-from",
        );
    }
}

/// Whether the commit or its tag is filled in in a text; two braces stand for one.
fn is_of_commit(text: &str) -> bool {
    let text = text.replace("{{", "");
    ["{git.commit", "{git.short", "{git.tag"].iter().any(|fact| text.contains(fact))
}

/// Says that what is pushed under the name of a commit may not be what the commit has.
fn warn_of_changes(name: &str, recipe: &Recipe, inputs: &Inputs, reporter: &Reporter) {
    let lock = lock::lock_path(recipe);
    // What cannot be told of a checkout is no reason to say anything.
    let changed = inputs.git.uncommitted(&[&recipe.context, &recipe.path, &lock]).unwrap_or_default();
    let Some(first) = changed.first() else { return };
    let files = match changed.len() {
        1 => format!("{first} is not as the commit has it"),
        count => format!("{count} files are not as the commit has them ({first} and others)"),
    };
    reporter.warn(format!("{name} is named after the commit, and {files}: commit first, or push under another tag"));
}

/// What was built, and what was pushed of it.
type Done = (Vec<Built>, Vec<(Artifact, Pushed)>);

/// An image that is going to be built.
pub(super) struct Planned<'a> {
    pub(super) image: &'a recipe::Image,
    pub(super) references: Vec<Reference>,
    pub(super) platforms: Vec<Platform>,
}

/// What is going to be built, in the recipe's order.
pub(super) fn plan<'a>(
    recipe: &'a Recipe,
    wanted: &BTreeSet<ImageName>,
    names: &BTreeMap<ImageName, Vec<Reference>>,
    platforms: Option<&[Platform]>,
) -> Vec<Planned<'a>> {
    let planned = |image: &'a recipe::Image| Planned {
        image,
        references: names.get(&image.name).cloned().unwrap_or_default(),
        platforms: build::platforms(recipe, image, platforms),
    };
    recipe.images.iter().filter(|image| wanted.contains(&image.name)).map(planned).collect()
}

/// Builds, writes what stays on this machine, and then pushes everything at once, so that no tag moves before all is in.
/// Layers are sent while others are made.
fn build_and_put(
    builder: &Builder<'_>,
    progress: &Progress,
    wanted: &BTreeSet<ImageName>,
    outputs: &[Place],
    registries: &LazyRegistries<'_>,
    kept: &dyn Fn(&Lock) -> Outcome,
    seen: &dyn Seen,
) -> Outcome<Done> {
    let repositories = repositories(&builder.names, wanted, outputs);
    if repositories.is_empty() {
        let (built, to_push) = build_and_write(builder, wanted, outputs, kept)?;
        progress.begin_push();
        let pushed =
            if to_push.is_empty() { Vec::new() } else { push_all(&to_push, registries.get()?, builder.store, seen)? };
        return Ok((built, pushed));
    }
    let registries = registries.get()?;
    let ahead = Ahead::new(registries, builder.store, repositories, seen);
    let builder = Builder { ready: &ahead, ..builder.clone() };
    let (built, to_push) = ahead.beside(|| build_and_write(&builder, wanted, outputs, kept))?;
    progress.begin_push();
    let pushed = push_all(&to_push, registries, builder.store, &ahead)?;
    Ok((built, pushed))
}

/// The first repository that each image is pushed to: into others, the registry can take its layers from there.
fn repositories(
    names: &BTreeMap<ImageName, Vec<Reference>>,
    wanted: &BTreeSet<ImageName>,
    outputs: &[Place],
) -> BTreeMap<String, Reference> {
    let to = outputs.iter().find_map(|output| match output {
        Place::OwnNames => Some(None),
        Place::Registry(reference) => Some(Some(reference)),
        _ => None,
    });
    let Some(to) = to else { return BTreeMap::new() };
    let first = |(image, own): (&ImageName, &Vec<Reference>)| Some((image.to_string(), to.or(own.first())?.clone()));
    names.iter().filter(|(image, _)| wanted.contains(*image)).filter_map(first).collect()
}

/// Builds, and writes what stays on this machine; gives what was built, and what of it is to be pushed.
fn build_and_write(
    builder: &Builder<'_>,
    wanted: &BTreeSet<ImageName>,
    outputs: &[Place],
    kept: &dyn Fn(&Lock) -> Outcome,
) -> Outcome<(Vec<Built>, Vec<Artifact>)> {
    let (built, lock) = builder.build(wanted).map_err(failure)?;
    // Before anything is pushed: what is published can be built again.
    kept(&lock)?;
    let artifacts: Vec<Artifact> = built.iter().map(|image| image.artifact.clone()).collect();
    let mut to_push = Vec::new();
    for output in outputs {
        match output {
            Place::OwnNames => to_push.extend(artifacts.iter().cloned()),
            Place::Registry(reference) => {
                let named =
                    |artifact: &Artifact| artifact.clone().named(vec![reference.clone()], artifact.fallback.clone());
                to_push.extend(artifacts.iter().map(named));
            }
            local => {
                place::write(local, &artifacts, &mut standard_output(), builder.store, &builder.reporter)
                    .or_fail(Code::Failed)?;
            }
        }
    }
    Ok((built, to_push))
}

/// The digest of a blob that turned out to be damaged, where that is why something failed.
fn damaged(error: &(dyn std::error::Error + 'static)) -> Option<Digest> {
    causes(error).find_map(|error| match error.downcast_ref::<ContentError>() {
        Some(ContentError::Damaged { expected, .. } | ContentError::Directory { expected, .. }) => Some(*expected),
        _ => None,
    })
}

/// Whether something failed since a registry does not have a layer that was found there.
fn is_gone(error: &(dyn std::error::Error + 'static), found: &PushedLayers<'_>) -> bool {
    of_registries(error).any(|error| matches!(error, RegistryError::Absent { digest, .. } if found.has_layer(digest)))
}

/// Where layers may be that were pushed before: the places of `--cache-from`; where images are pushed, what is there under
/// their tags, those first that say no commit (semantics 26).
pub(super) fn candidates<'a>(
    cache_from: &[CacheFrom],
    recipe: &Recipe,
    plan: &[Planned<'_>],
    outputs: &[Place],
    workshop: &'a Workshop<'_>,
) -> Vec<Candidates<'a>> {
    let mut all = Vec::new();
    for CacheFrom { text, place, .. } in cache_from {
        let place = place.clone();
        let open: Open<'a> = Box::new(move || workshop.source(&place));
        all.push(Candidates { name: format!("--cache-from {text}"), places: vec![open], named: true });
    }
    for planned in plan {
        let mut references: Vec<Reference> = Vec::new();
        for output in outputs {
            match output {
                Place::OwnNames => references.extend(planned.references.iter().cloned()),
                Place::Registry(reference) => references.push(reference.clone()),
                _ => {}
            }
        }
        let of_commit = |reference: &Reference| {
            let tag = planned.image.tags.iter().find(|tag| Some(tag.value.as_str()) == reference.tag());
            tag.is_some_and(|tag| recipe.sources().text(tag.span).contains("{git."))
        };
        references.sort_by_key(of_commit);
        let place = |reference: Reference| -> Open<'a> {
            Box::new(move || workshop.source(&Place::Registry(reference.clone())))
        };
        let name = planned.image.name.to_string();
        let places: Vec<Open<'a>> = references.into_iter().map(place).collect();
        if !places.is_empty() {
            all.push(Candidates { name, places, named: false });
        }
    }
    all
}

/// A place of `--cache-from`, filled in.
pub(super) struct CacheFrom {
    pub(super) text: String,
    pub(super) place: Place,
    /// The images for which it comes to this.
    pub(super) images: BTreeSet<ImageName>,
}

/// The places of `--cache-from`, in which placeholders mean what they mean in tags: each place once. Where some images have
/// variants and others have none, `{variant}` names no place for those.
pub(super) fn cache_from(given: &[String], inputs: &Inputs, plan: &[Planned<'_>]) -> Outcome<Vec<CacheFrom>> {
    let mut all: Vec<CacheFrom> = Vec::new();
    let names = || plan.iter().map(|planned| &planned.image.name);
    for written in given {
        let of_variants = recipe::has_placeholder(written, "variant") && names().any(|name| name.variant.is_some());
        for name in names().filter(|name| !of_variants || name.variant.is_some()) {
            let text = filled("--cache-from", written, inputs, Some(name))?;
            if let Some(known) = all.iter_mut().find(|known| known.text == text) {
                known.images.insert(name.clone());
                continue;
            }
            let place = parsed("--cache-from", written, &text)?;
            if matches!(place, Place::OwnNames) {
                return Err(Failure::usage(format!("--cache-from {written} names nothing to read from")));
            }
            all.push(CacheFrom { text, place, images: [name.clone()].into() });
        }
    }
    Ok(all)
}

/// What a flag says, with its placeholders filled in.
fn filled(flag: &str, text: &str, inputs: &Inputs, image: Option<&ImageName>) -> Outcome<String> {
    recipe::fill(text, inputs, image).map_err(|fault| misfilled(flag, text, &fault))
}

/// The place that a flag comes to.
fn parsed(flag: &str, written: &str, text: &str) -> Outcome<Place> {
    Place::parse(text).or_fail(Code::Usage).map_err(|failure| hidden(flag, written, failure))
}

/// Why what a flag comes to makes no sense. What came from the environment is not repeated, as in recipes.
fn hidden(flag: &str, written: &str, failure: Failure) -> Failure {
    match recipe::has_placeholder(written, "env") {
        false => failure,
        true => Failure::usage(format!(
            "{flag} {}: with what the environment says it makes no sense",
            hide_in_name(written)
        ))
        .kind(failure.kind),
    }
}

fn misfilled(flag: &str, text: &str, fault: &recipe::Fault) -> Failure {
    let failure = Failure::usage(format!("{flag} {}: {fault}", hide_in_name(text))).kind(fault.code());
    match fault.hint() {
        Some(help) => failure.hint(help),
        None => failure,
    }
}

/// What can be told before anything is built: names, outputs and flags that do not fit what is asked for.
fn check(args: &BuildArgs, plan: &[Planned<'_>], outputs: &[Place]) -> Outcome {
    let images = plan.len();
    let one_only = |what: &str| {
        let text = format!("{what} is for one image, and {images} are built");
        Err(Failure::usage(text).kind(ErrorCode::ForOneImage))
    };
    for (flag, file) in [("--iidfile", &args.iidfile), ("--digest-file", &args.digest_file)] {
        if file.is_some() && images > 1 {
            return one_only(flag).map_err(|failure| failure.hint("--metadata-file holds all of them"));
        }
    }
    // What was typed, where it was: `--push` and the default come after it.
    let typed = args.output.iter().map(Some).chain(std::iter::repeat(None));
    for (output, typed) in outputs.iter().zip(typed) {
        place::check(output).or_fail(Code::Failed)?;
        match output {
            Place::Registry(reference) if images > 1 => {
                let shown = reference.to_string();
                let what = match typed.filter(|text| **text != shown) {
                    Some(text) => {
                        format!("-o {} is read as the reference {shown}, which", hide_credentials(text))
                    }
                    None => format!("the reference {shown}"),
                };
                return one_only(&what).map_err(|failure| failure.hint(
                    "name one image; or a place for all: oci:DIR, oci-archive:FILE, docker-archive:FILE, archive:FILE, or --push",
                ));
            }
            output if output.pick().is_some() && images > 1 => return one_only("an output with a name"),
            Place::OwnNames => {
                if let Some(nameless) = plan.iter().find(|planned| planned.references.is_empty()) {
                    let text = format!("{} has no repository to push to", nameless.image.name);
                    return Err(Failure::usage(text).kind(ErrorCode::NoRepository).hint(repository_hint(images)));
                }
            }
            Place::Archive { kind: ArchiveKind::Docker, .. } => {
                if let Some(several) = plan.iter().find(|planned| planned.platforms.len() > 1) {
                    let text = format!("docker-archive: holds one platform, and {} has several", several.image.name);
                    let failure = Failure::usage(text).kind(ErrorCode::ForOneImage);
                    return Err(failure.hint("say which with --platform, or use archive:"));
                }
            }
            _ => {}
        }
    }
    let mut seen: BTreeMap<String, (&ImageName, &Reference)> = BTreeMap::new();
    for planned in plan {
        for reference in &planned.references {
            if let Some((other, first)) = seen.insert(at_registry(reference), (&planned.image.name, reference))
                && *other != planned.image.name
            {
                let text = format!("{other} and {} would both be {reference}", planned.image.name);
                return Err(Failure::usage(match first == reference {
                    true => text,
                    false => format!("{text}, which is {first} written in another way"),
                }));
            }
        }
    }
    Ok(())
}

/// A reference as its registry knows it: names of hosts have no case, and 443 is where HTTPS is anyway.
fn at_registry(reference: &Reference) -> String {
    let registry = reference.registry().to_ascii_lowercase();
    let registry = registry.strip_suffix(":443").unwrap_or(&registry);
    format!("{registry}/{}:{}", reference.repository(), reference.identifier())
}

/// What can be told of the files that are written: that each is another one, that none is an input, and that there are directories.
fn check_written(args: &BuildArgs, recipe: &Recipe, outputs: &[Place]) -> Outcome {
    let typed = args.output.iter().map(String::as_str).chain(std::iter::repeat(DEFAULT_OUTPUT));
    let places = outputs.iter().zip(typed).filter_map(|(place, typed)| Named::place(&format!("-o {typed}"), place));
    let written: Vec<Named> = places.chain(args.results().map(|(flag, path)| Named::file(flag, path))).collect();
    written::check(&written, &Named::inputs(recipe))?;
    args.results().try_for_each(|(_, path)| written::has_directory(path))
}

/// What gives images a repository, where so many are built.
fn repository_hint(images: usize) -> &'static str {
    match images {
        0 | 1 => "set `repository` under [project], or give -t a full reference",
        _ => "set `repository` under [project], or for this run: --set 'repository=REGISTRY/PATH/{image}'",
    }
}

/// The references of each image: those of `-t`, else the recipe's.
pub(super) fn names(
    recipe: &Recipe,
    inputs: &Inputs,
    wanted: &BTreeSet<ImageName>,
    args: &BuildArgs,
) -> Outcome<BTreeMap<ImageName, Vec<Reference>>> {
    let mut names = BTreeMap::new();
    for image in &recipe.images {
        let own = || image.references().into_iter().map(|reference| reference.value).collect();
        let tags = match wanted.contains(&image.name) {
            true => tags(args, inputs, &image.name, wanted.len())?,
            false => Tags::Recipe,
        };
        let references = match tags {
            Tags::Full(references) => references,
            Tags::Bare(tags) => {
                let repository = image.repository.as_ref().map(|repository| &repository.value);
                let Some(repository) = repository else {
                    let text = format!("{} has no repository that the tag could be in", image.name);
                    let failure = Failure::usage(text).kind(ErrorCode::NoRepository);
                    return Err(failure.hint(repository_hint(wanted.len())));
                };
                tags.iter().map(|tag| repository.with_tag(tag)).collect::<Result<_, _>>().or_fail(Code::Usage)?
            }
            Tags::Recipe => own(),
        };
        names.insert(image.name.clone(), references);
    }
    Ok(names)
}

/// Why a build failed, with the exit code of its kind.
pub(super) fn failure(error: BuildError) -> Failure {
    let drawn = |code, diagnostic: &Diagnostic| {
        Failure::drawn(code, diagnostic.code(), diagnostic.render(style())).at(Spot::of(diagnostic))
    };
    match error {
        BuildError::Recipe(diagnostic) => drawn(Code::Recipe, &diagnostic),
        BuildError::Unresolvable(diagnostic) => drawn(Code::Lock, &diagnostic),
        error @ BuildError::Untrue { .. } => Failure::new(Code::Different, error),
        error @ (BuildError::Lock { .. } | BuildError::LockNumber { .. }) => Failure::new(Code::Lock, error)
            .hint("`lapstrake lock` brings the lock up to date; without --locked, `build` does so too"),
        BuildError::Packages { fault, .. } => {
            let code = match fault {
                Fault::Network => Code::Network,
                Fault::Machine => Code::Failed,
                Fault::Recipe | Fault::Unresolvable => Code::Lock,
            };
            Failure::new(code, error)
        }
        BuildError::Layer { ref source, .. } if matches!(**source, LayerError::Machine { .. }) => {
            Failure::new(Code::Recipe, error)
        }
        BuildError::Outside { remote: true, .. } => Failure::new(Code::Network, error),
        error => Failure::new(Code::Failed, error),
    }
}

/// Which images are asked for.
pub(super) fn wanted(recipe: &Recipe, args: &BuildArgs) -> Outcome<BTreeSet<ImageName>> {
    let variants: BTreeSet<&str> = recipe.images.iter().filter_map(|image| image.name.variant.as_deref()).collect();
    for variant in &args.variant {
        if !variants.contains(variant.as_str()) {
            let near = nearest(variant, variants.iter().copied());
            let text = format!("no image of the recipe has a variant `{}`", hide_in_name(variant));
            let failure = Failure::usage(text).kind(ErrorCode::NoSuchImage);
            return Err(match near {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure,
            });
        }
    }
    let mut wanted = BTreeSet::new();
    for text in &args.images {
        let found: Vec<&recipe::Image> =
            recipe.images.iter().filter(|image| image.name.image == *text || image.name.to_string() == *text).collect();
        if found.is_empty() {
            return Err(meant::image(recipe, text));
        }
        wanted.extend(found.into_iter().map(|image| image.name.clone()));
    }
    if args.images.is_empty() {
        wanted.extend(recipe.images.iter().filter(|image| image.publish).map(|image| image.name.clone()));
    }
    if !args.variant.is_empty() {
        wanted.retain(|name| name.variant.as_ref().is_none_or(|variant| args.variant.contains(variant)));
        // Images without variants are asked for by name, not by the way.
        if args.images.is_empty() {
            wanted.retain(|name| name.variant.is_some());
        }
    }
    match wanted.is_empty() {
        true if !args.images.is_empty() || !args.variant.is_empty() => {
            let text = "no image of the recipe is of that name and variant";
            Err(Failure::usage(text).kind(ErrorCode::NoSuchImage))
        }
        true => Err(Failure::usage("no image of the recipe is published: name one").kind(ErrorCode::NoSuchImage)),
        false => Ok(wanted),
    }
}

fn outputs(args: &BuildArgs, inputs: &Inputs, wanted: &BTreeSet<ImageName>) -> Outcome<Vec<Place>> {
    // `{image}` and `{variant}` have a meaning where one image is built (semantics 3).
    let only = wanted.first().filter(|_| wanted.len() == 1);
    let place = |written: &String| parsed("-o", written, &filled("-o", written, inputs, only)?);
    let mut outputs = args.output.iter().map(place).collect::<Outcome<Vec<_>>>()?;
    if args.push && !outputs.contains(&Place::OwnNames) {
        outputs.push(Place::OwnNames);
    }
    if outputs.is_empty() && args.load.is_none() {
        outputs.push(Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)?);
    }
    if outputs.iter().filter(|output| output.is_standard()).count() > 1 {
        return Err(Failure::usage("standard output takes one archive, not several"));
    }
    if args.offline && outputs.iter().any(|output| matches!(output, Place::OwnNames | Place::Registry(_))) {
        return Err(Failure::usage("--offline touches no network, and cannot push").kind(ErrorCode::Offline));
    }
    Ok(outputs)
}

pub(super) fn platforms(args: &BuildArgs) -> Outcome<Option<Vec<Platform>>> {
    if args.platform.is_empty() {
        return Ok(None);
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for text in &args.platform {
        let platform = meant::platform_to_build(text)?;
        if !platforms.iter().any(|known| known.satisfies(&platform)) {
            platforms.push(platform);
        }
    }
    Ok(Some(platforms))
}

/// Tags that hold in place of the recipe's.
enum Tags {
    /// The recipe's.
    Recipe,
    /// These, in the recipe's repositories.
    Bare(Vec<String>),
    /// These references, for the one image that is built.
    Full(Vec<Reference>),
}

/// The tags of `-t` for an image, one of so many that are built.
fn tags(args: &BuildArgs, inputs: &Inputs, image: &ImageName, images: usize) -> Outcome<Tags> {
    let is_full = |tag: &String| tag.contains(['/', ':', '@']);
    let fill = |tag: &String| match recipe::unknown_placeholder(tag) {
        Some(fault) => Err(misfilled("-t", tag, &fault)),
        None => filled("-t", tag, inputs, Some(image)),
    };
    let given = args.tag.iter().map(fill).collect::<Outcome<Vec<_>>>()?;
    let written = || given.iter().zip(&args.tag);
    match &given[..] {
        [] => Ok(Tags::Recipe),
        tags if tags.iter().any(is_full) => {
            if images > 1 {
                return Err(Failure::usage(format!(
                    "-t with a full reference is for one image, and {images} are built: use a bare tag, or name one image"
                )));
            }
            // `feature/x` is a branch's name far more often than somebody's repository on Docker Hub.
            let names_registry = |tag: &str| {
                let first = tag.split('/').next().unwrap_or_default();
                tag.contains('/') && (first.contains(['.', ':']) || first == "localhost")
            };
            if let Some((tag, written)) = written().find(|(tag, _)| !names_registry(tag)) {
                let failure = Failure::usage(format!(
                    "{:?} is no tag (a tag has no slash or colon), and names no registry",
                    hide_in_name(tag)
                ))
                .kind(ErrorCode::Reference);
                let full = format!("docker.io/{tag}");
                let failure = match full.parse::<Reference>() {
                    Ok(_) => failure.hint(format!("for a full reference, write the registry too: {full}")),
                    Err(_) => failure,
                };
                return Err(hidden("-t", written, failure));
            }
            let full = |(tag, written): (&String, &String)| {
                tag.parse().or_fail(Code::Usage).map_err(|failure| hidden("-t", written, failure))
            };
            Ok(Tags::Full(written().map(full).collect::<Outcome<_>>()?))
        }
        tags => match written().find(|(tag, _)| !lapstrake::oci::reference::valid_tag(tag)) {
            Some((tag, written)) => {
                let failure = Failure::usage(format!("{:?} is no tag", hide_in_name(tag))).kind(ErrorCode::Reference);
                Err(hidden("-t", written, failure))
            }
            None => Ok(Tags::Bare(tags.to_vec())),
        },
    }
}

pub(super) fn key_values(flag: &str, given: &[String]) -> Outcome<BTreeMap<String, String>> {
    given
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("{flag} {pair} is not of the form KEY=VALUE"))),
        })
        .collect()
}

/// The result lines, and the files that other programs wait for.
fn report(
    args: &BuildArgs,
    global: &Global,
    built: &[Built],
    pushed: &[(Artifact, Pushed)],
    outputs: &[Place],
) -> Outcome {
    let mut lines = String::new();
    let mut metadata = Map::new();
    for image in built {
        let digest = image.artifact.digest();
        let names = names_at(image, outputs);
        let reference = names.first();
        if global.quiet {
            lines.push_str(&format!("{digest}\n"));
        } else {
            lines.push_str(&format!(
                "{}\t{}\t{digest}\t{}\n",
                image.name.image,
                image.name.variant.as_deref().unwrap_or("-"),
                reference.map_or("-".to_owned(), ToString::to_string),
            ));
        }
        metadata.insert(metadata_key(&image.name), metadata_of(image, outputs));
    }
    if let Some(path) = &args.metadata_file {
        // As buildx does: one image at the top, several each under its name.
        let value = match built {
            [one] => metadata_of(one, outputs),
            _ => Value::Object(metadata.clone()),
        };
        write_file(path, &format!("{}\n", serde_json::to_string_pretty(&value).or_fail(Code::Failed)?))?;
    }
    if let (Some(path), [one]) = (&args.iidfile, built)
        && let [platform] = &one.images[..]
    {
        write_file(path, &platform.image.config.digest().to_string())?;
    } else if let (Some(path), [one]) = (&args.iidfile, built) {
        write_file(path, &one.artifact.digest().to_string())?;
    }
    if let (Some(path), [one]) = (&args.digest_file, built) {
        write_file(path, &one.artifact.digest().to_string())?;
    }
    if let Some(path) = &args.image_refs {
        write_file(path, &references_of(pushed))?;
    }
    github_output(built, &metadata)?;
    match outputs.iter().any(Place::is_standard) {
        true => {
            log::write(&Lines::told(lines.trim_end()));
            Ok(())
        }
        false => super::print(&lines),
    }
}

/// `image`, or `image/variant` (semantics 28).
pub(super) fn metadata_key(name: &ImageName) -> String {
    match &name.variant {
        Some(variant) => format!("{}/{variant}", name.image),
        None => name.image.clone(),
    }
}

/// The references under which an image is where it was put: first those that the command line names, then its own where
/// something goes by them.
fn names_at<'a>(image: &'a Built, outputs: &'a [Place]) -> Vec<&'a Reference> {
    let given = outputs.iter().filter_map(|output| match output {
        Place::Registry(reference) => Some(reference),
        _ => None,
    });
    let by_own = outputs.is_empty() || outputs.iter().any(|output| !matches!(output, Place::Registry(_)));
    given.chain(image.artifact.names.iter().filter(|_| by_own)).collect()
}

/// In the form of buildx.
fn metadata_of(image: &Built, outputs: &[Place]) -> Value {
    let names: Vec<String> = names_at(image, outputs).into_iter().map(ToString::to_string).collect();
    let mut value = json!({
        "containerimage.digest": image.artifact.digest(),
        "containerimage.descriptor": image.artifact.root(),
        "image.name": names.join(","),
    });
    if let [platform] = &image.images[..] {
        value["containerimage.config.digest"] = json!(platform.image.config.digest());
    }
    value
}

/// Outputs for the following steps of a GitHub (or Gitea) job.
fn github_output(built: &[Built], metadata: &Map<String, Value>) -> Outcome {
    let Some(path) = std::env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty()) else { return Ok(()) };
    let mut text = String::new();
    if let [one] = built {
        text.push_str(&format!("digest={}\n", one.artifact.digest()));
        if let [platform] = &one.images[..] {
            text.push_str(&format!("imageid={}\n", platform.image.config.digest()));
        }
    }
    text.push_str(&format!("metadata={}\n", serde_json::to_string(metadata).or_fail(Code::Failed)?));
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::told(Code::Failed, error.code(), format!("writing GITHUB_OUTPUT: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_however_its_registry_is_written() {
        let at = |text: &str| at_registry(&text.parse().unwrap());
        for same in ["R.Example.com/x", "r.example.com:443/x", "R.EXAMPLE.COM:443/x:latest"] {
            assert_eq!(at(same), at("r.example.com/x"), "{same}");
        }
        for other in ["r.example.com:5000/x", "r.example.com:1443/x", "r.example.com/x:1", "r.example.com/y"] {
            assert_ne!(at(other), at("r.example.com/x"), "{other}");
        }
    }

    #[test]
    fn names_of_the_commit_are_told_from_others() {
        for text in ["v1-{git.short}", "{git.commit}", "{git.tag:-none}", "{{{git.short}"] {
            assert!(is_of_commit(text), "{text}");
        }
        for text in ["latest", "{git.branch}", "{{git.short}", "{{{{git.tag}"] {
            assert!(!is_of_commit(text), "{text}");
        }
    }
}
