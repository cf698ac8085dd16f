//! The digests that `lapstrake resolve` writes: of what a build left, of a build, or from registries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use lapstrake::build::{Builder, Locking};
use lapstrake::code::{Coded, ErrorCode};
use lapstrake::host::open_regular;
use lapstrake::lock::Lock;
use lapstrake::logins::{hide_credentials, hide_in_name};
use lapstrake::manifests::{Mention, OWN, Pin, Pins, Why};
use lapstrake::oci::{Digest, Reference};
use lapstrake::place::{self, ArchiveKind, Place, PlaceError};
use lapstrake::recipe::{ImageName, Inputs, Recipe};
use lapstrake::registry::RegistryError;
use lapstrake::report::Reporter;
use lapstrake::shown::Shown;
use serde_json::Value;

use super::args::{BuildArgs, Global};
use super::build::{DEFAULT_OUTPUT, failure, metadata_key, names, platforms};
use super::environment::{LazyRegistries, epoch, load_recipe, open_store, parse_source};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::json_keys;
use super::meant;
use super::resolve::{Named, ResolveArgs, failed_to, read};
use super::workshop::Workshop;

/// A longer file was not written by a build.
const MAX_FILE: u64 = 16 << 20;

/// The digests of what manifests name.
pub(crate) fn known(
    global: &Global,
    args: &ResolveArgs,
    mentions: &BTreeSet<Mention>,
    named: &dyn Fn(&Mention) -> Option<Named>,
    reporter: &Reporter,
) -> Outcome<Pins> {
    let mut pins = Pins::default();
    let mut left = Vec::new();
    for text in &args.from {
        left.extend(left_by_a_build(text, global, reporter)?.into_iter().map(|pin| (text.as_str(), pin)));
    }
    agree(&left)?;
    pins.known.extend(left.into_iter().map(|(_, pin)| pin));
    let build = args.from.is_empty() && !args.registry;
    let names_own = mentions.iter().any(|mention| matches!(mention, Mention::Own(_)));
    // A recipe that is there says which images share a repository.
    let is_unsure =
        |mention: &Mention| matches!(pins.find(mention), Err(Why::OtherTags(_) | Why::NoTags | Why::DigestAlone));
    if build || names_own || mentions.iter().any(is_unsure) && global.file.is_file() {
        let (recipe, inputs) = load_recipe(global, &args.set)?;
        let images = Images::of(&recipe, &inputs, args)?;
        pins.images = images.0.keys().map(metadata_key).collect();
        if build {
            pins.known.extend(images.built(global, args, &recipe, mentions, reporter)?);
        }
        for pin in &mut pins.known {
            pin.is_alone = pin.repository.as_ref().is_some_and(|at| images.is_alone(&at.name()));
        }
        call_by_what_stays(&mut pins.known, &recipe);
        if !build {
            images.name(&mut pins);
        }
        if args.registry {
            images.ask(&mut pins, mentions, named, global, reporter)?;
        }
    }
    if args.registry {
        ask(&mut pins, mentions, named, global, reporter)?;
    }
    Ok(pins)
}

/// The images of the recipe that are published, with where.
struct Images(BTreeMap<ImageName, Vec<Reference>>);

impl Images {
    fn of(recipe: &Recipe, inputs: &Inputs, args: &ResolveArgs) -> Outcome<Self> {
        let published: BTreeSet<ImageName> =
            recipe.images.iter().filter(|image| image.publish).map(|image| image.name.clone()).collect();
        let mut all = names(recipe, inputs, &published, &build_args(args))?;
        all.retain(|name, _| published.contains(name));
        Ok(Images(all))
    }

    /// Builds the images that are named. Nothing is written or pushed.
    fn built(
        &self,
        global: &Global,
        args: &ResolveArgs,
        recipe: &Recipe,
        mentions: &BTreeSet<Mention>,
        reporter: &Reporter,
    ) -> Outcome<Vec<Pin>> {
        let repositories: BTreeSet<String> = mentions
            .iter()
            .filter_map(|mention| match mention {
                Mention::Reference(reference) => Some(reference.name()),
                Mention::Own(_) => None,
            })
            .collect();
        let is_named = |(name, references): &(&ImageName, &Vec<Reference>)| {
            mentions.contains(&Mention::Own(metadata_key(name)))
                || references.iter().any(|reference| repositories.contains(&reference.name()))
        };
        let wanted: BTreeSet<ImageName> = self.0.iter().filter(is_named).map(|(name, _)| name.clone()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let before = super::lock::read(&super::lock::lock_path(recipe))?.unwrap_or_else(Lock::default);
        let workshop = Workshop::new(global, args.offline, reporter)?;
        let outside = workshop.outside(recipe);
        let mut builder = Builder {
            locking: if args.locked { Locking::Locked } else { Locking::AsNeeded },
            epoch: epoch(args.source_date_epoch)?,
            platforms: platforms(&build_args(args))?,
            names: self.0.clone(),
            ..workshop.builder(recipe, &outside, &before)
        };
        // What `build` would leave out, too.
        if let Place::Layout { directory, .. } = Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)? {
            builder.forbidden.push(directory);
        }
        let (built, _) = builder.build(&wanted).map_err(failure)?;
        reporter.note(
            "the digests are those of what this machine builds: where it was not pushed, `lapstrake build --push` comes first",
        );
        let pins = built.iter().flat_map(|image| {
            let name = metadata_key(&image.name);
            pins_of(Some(&name), &image.artifact.names, image.artifact.digest())
        });
        Ok(pins.collect())
    }

    /// Whether one image is in that repository, and no other.
    fn is_alone(&self, repository: &str) -> bool {
        let is_there = |references: &&Vec<Reference>| references.iter().any(|other| other.name() == repository);
        self.0.values().filter(is_there).count() == 1
    }

    /// Gives what is known the names that the recipe has for it.
    fn name(&self, pins: &mut Pins) {
        for (name, references) in &self.0 {
            let name = metadata_key(name);
            if pins.known.iter().any(|pin| pin.image.as_ref() == Some(&name)) {
                continue;
            }
            let own = references.iter().map(|reference| reference.name()).collect::<BTreeSet<_>>();
            // By its tags; and whatever its tags were, where the repository has no other image.
            let alone = own.iter().filter(|repository| self.is_alone(repository)).filter_map(|text| text.parse().ok());
            let mut asked = references.iter().cloned().chain(alone);
            let found = asked.find_map(|reference| pins.find(&Mention::Reference(reference)).ok().cloned());
            pins.known.extend(found.map(|pin| Pin { image: Some(name), ..pin }));
        }
    }

    /// Asks the registry for images that manifests call by their names in the recipe.
    fn ask(
        &self,
        pins: &mut Pins,
        mentions: &BTreeSet<Mention>,
        named: &dyn Fn(&Mention) -> Option<Named>,
        global: &Global,
        reporter: &Reporter,
    ) -> Outcome {
        let registries = LazyRegistries::new(global, reporter);
        for (name, references) in &self.0 {
            let mention = Mention::Own(metadata_key(name));
            if let Some(reference) = references.first().filter(|_| mentions.contains(&mention))
                && pins.find(&mention).is_err()
                && let Some(digest) = digest_of(reference, named(&mention), &registries)?
            {
                pins.known.extend(pins_of(Some(&metadata_key(name)), std::slice::from_ref(reference), digest));
            }
        }
        Ok(())
    }
}

/// Calls images by the tag that does not move with the commit or the environment, where they have one.
fn call_by_what_stays(known: &mut [Pin], recipe: &Recipe) {
    for pin in known {
        let (Some(at), Some(tags)) = (&pin.repository, &pin.tags) else { continue };
        let is_of_it =
            |called: &&Reference| called.name() == at.name() && called.tag().is_some_and(|tag| tags.contains(tag));
        if let Some(called) = recipe.images.iter().filter_map(|image| image.called.as_ref()).find(is_of_it) {
            pin.repository = Some(called.clone());
        }
    }
}

/// What `build` would be told.
fn build_args(args: &ResolveArgs) -> BuildArgs {
    BuildArgs { tag: args.tag.clone(), platform: args.platform.clone(), ..BuildArgs::default() }
}

/// Asks registries for every reference of which nothing is known.
fn ask(
    pins: &mut Pins,
    mentions: &BTreeSet<Mention>,
    named: &dyn Fn(&Mention) -> Option<Named>,
    global: &Global,
    reporter: &Reporter,
) -> Outcome {
    let registries = LazyRegistries::new(global, reporter);
    for mention in mentions {
        let Mention::Reference(reference) = mention else { continue };
        // A digest without a tag moves nowhere.
        let is_fixed = reference.tag().is_none() && reference.digest().is_some();
        if is_fixed || pins.find(mention).is_ok() {
            continue;
        }
        let tag = reference.tag().unwrap_or("latest");
        let tagged = reference.with_tag(tag).or_fail(Code::Failed)?;
        if let Some(digest) = digest_of(&tagged, named(mention), &registries)? {
            pins.known.extend(pins_of(None, &[tagged], digest));
        }
    }
    Ok(())
}

/// A registry could not be asked for what a manifest names.
#[derive(Debug, thiserror::Error)]
#[error("{named}: asking for {reference}")]
struct Unasked {
    named: String,
    reference: String,
    source: RegistryError,
}

impl Coded for Unasked {
    fn code(&self) -> ErrorCode {
        self.source.code()
    }
}

fn digest_of(reference: &Reference, named: Option<Named>, registries: &LazyRegistries<'_>) -> Outcome<Option<Digest>> {
    let found = registries.get()?.resolve(reference).map_err(|source| match named {
        Some(named) => {
            let spot = named.spot(format!("{reference}: {source}"));
            let (named, reference) = (named.to_string(), reference.to_string());
            Failure::new(Code::Network, Unasked { named, reference, source }).at(spot)
        }
        None => Failure::new(Code::Network, source),
    })?;
    Ok(found.map(|descriptor| descriptor.digest))
}

/// An image as it is known under its references.
fn pins_of(image: Option<&str>, references: &[Reference], digest: Digest) -> Vec<Pin> {
    let image = image.map(str::to_owned);
    let mut by_repository: BTreeMap<String, (&Reference, BTreeSet<String>)> = BTreeMap::new();
    for reference in references {
        let (_, tags) = by_repository.entry(reference.name()).or_insert((reference, BTreeSet::new()));
        tags.extend(reference.tag().map(str::to_owned));
    }
    if by_repository.is_empty() {
        return vec![Pin { image, repository: None, tags: None, digest, is_alone: false }];
    }
    let pin = |(reference, tags): (&Reference, BTreeSet<String>)| Pin {
        image: image.clone(),
        repository: Some(reference.clone()),
        // By digest alone: under whatever tags.
        tags: Some(tags).filter(|tags| !tags.is_empty()),
        digest,
        is_alone: false,
    };
    by_repository.into_values().map(pin).collect()
}

/// Refuses what is said of one image in two ways.
fn agree(left: &[(&str, Pin)]) -> Outcome {
    let mut said: BTreeMap<String, (&str, Digest)> = BTreeMap::new();
    for (from, pin) in left {
        let repository = pin.repository.iter().map(Reference::name);
        let tagged = repository.flat_map(|name| pin.tags.iter().flatten().map(move |tag| format!("{name}:{tag}")));
        let own = pin.image.iter().map(|image| format!("{OWN}{image}"));
        for reference in tagged.chain(own) {
            let (before, digest) = *said.entry(reference.clone()).or_insert((*from, pin.digest));
            if digest != pin.digest {
                let (before, from) = (Shown::new(before.as_bytes()), Shown::new(from.as_bytes()));
                let told = format!("{reference} is {digest} by --from {before}, and {} by --from {from}", pin.digest);
                let failure = Failure::told(Code::Failed, ErrorCode::Reference, told);
                return Err(failure.hint("give what was built last alone"));
            }
        }
    }
    Ok(())
}

/// What a build left: a file with what it says of itself, or the images.
fn left_by_a_build(text: &str, global: &Global, reporter: &Reporter) -> Outcome<Vec<Pin>> {
    let path = Path::new(text);
    if text == "-" {
        return said_by_a_build("standard input", read("standard input", std::io::stdin().lock())?);
    }
    if let Ok(there) = std::fs::metadata(path)
        && !there.is_dir()
    {
        // What the shell gives for `<(...)`: somebody writes to it. A FIFO by its own name may have nobody.
        let is_open = ["/dev/fd/", "/dev/stdin", "/proc/self/fd/"].iter().any(|begin| text.starts_with(begin));
        let opened = if is_open { File::open(path) } else { open_regular(path) };
        let opened = opened.map_err(|error| failed_to("reading", text, error))?;
        if there.len() > MAX_FILE {
            let told = format!(
                "reading {text}: it is too long for what a build says: where it is an archive, write archive:{text}"
            );
            return Err(Failure::told(Code::Failed, ErrorCode::Unreadable, told));
        }
        return said_by_a_build(
            text,
            read(text, opened)
                .map_err(|failure| failure.hint(format!("where it is an archive, write archive:{text}")))?,
        );
    }
    if let Err(error) = Place::parse(text)
        && path.symlink_metadata().is_err()
    {
        let shown = if error == PlaceError::Login { hide_in_name(text) } else { hide_credentials(text) };
        let failure = Failure::usage(format!("--from {shown}: there is no such file, and it is no place"));
        return Err(failure.hint(meant::neighbour(path, |_| true).unwrap_or_else(|| {
            "`lapstrake build --metadata-file FILE` writes one; or name what a build left, such as oci:lapstrake-out"
                .to_owned()
        })));
    }
    match parse_source(text)? {
        Place::Archive { kind: ArchiveKind::Docker, .. } => {
            Err(Failure::usage(format!("--from {text}: docker-archive: holds no digests"))
                .hint("use an archive:, an oci: layout, or what --metadata-file wrote"))
        }
        Place::Registry(_) | Place::OwnNames => {
            Err(Failure::usage(format!("--from {} is no file and no place", hide_credentials(text)))
                .hint("--registry asks registries for what manifests name"))
        }
        local => {
            let store = open_store(global, reporter)?;
            let source = place::open(&local, &store.tmp()).or_fail(Code::Failed)?;
            let roots = source.roots().or_fail(Code::Failed)?;
            let pins = roots.iter().flat_map(|root| {
                // A bare tag names nothing.
                let names = root.names.iter().flat_map(|name| name.texts());
                let names: Vec<Reference> =
                    names.filter(|name| name.contains('/')).filter_map(|name| name.parse().ok()).collect();
                pins_of(None, &names, root.descriptor.digest)
            });
            Ok(pins.collect())
        }
    }
}

/// What `--metadata-file` or `--image-refs` wrote, of ours and of others.
fn said_by_a_build(name: &str, text: String) -> Outcome<Vec<Pin>> {
    let failed = |what: String| {
        let told = format!("reading {name}: {}", hide_credentials(&what));
        Failure::told(Code::Failed, ErrorCode::Unreadable, told)
    };
    if text.trim_start().starts_with('{') {
        let value: Value = json_keys::read(&text).map_err(|error| failed(error.to_string()))?;
        return metadata(&value).map_err(failed);
    }
    let mut pins = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |what: String| failed(format!("line {}: {what}", number + 1));
        let reference: Reference =
            line.trim().parse().map_err(|error: lapstrake::oci::reference::ReferenceError| at(error.to_string()))?;
        let digest = reference.digest().ok_or_else(|| at(format!("{reference} has no digest")))?;
        pins.extend(pins_of(None, &[reference], digest));
    }
    Ok(pins)
}

const DIGEST: &str = "containerimage.digest";

/// One image, or several by name.
fn metadata(value: &Value) -> Result<Vec<Pin>, String> {
    if value.get(DIGEST).is_some() {
        return image_metadata(None, value);
    }
    let mut pins = Vec::new();
    for (name, image) in value.as_object().into_iter().flatten() {
        // buildx adds things that are no images (`buildx.build.warnings`).
        if image.get(DIGEST).is_some() {
            pins.extend(image_metadata(Some(name), image)?);
        }
    }
    match pins.is_empty() {
        true => Err(format!("no image in it has a `{DIGEST}`")),
        false => Ok(pins),
    }
}

fn image_metadata(name: Option<&str>, value: &Value) -> Result<Vec<Pin>, String> {
    let digest = value[DIGEST].as_str().unwrap_or_default();
    let digest: Digest = digest.parse().map_err(|error| format!("`{DIGEST}` {digest:?}: {error}"))?;
    let names = value["image.name"].as_str().unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names = names.map(|name| name.parse().map_err(|error| format!("`image.name`: {error}")));
    let names = names.collect::<Result<Vec<Reference>, String>>()?;
    Ok(pins_of(name, &names, digest))
}
