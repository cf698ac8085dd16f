//! `lapstrake report`: a page about images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use lapstrake::build::{DEFAULT_PAGE, Locking};
use lapstrake::code::ErrorCode;
use lapstrake::lock::Lock;
use lapstrake::oci::Digest;
use lapstrake::page::{Asked, Page, Subject, gather};
use lapstrake::place::{Place, read_artifacts};
use lapstrake::recipe::{ImageName, Inputs, Recipe};
use lapstrake::report::Reporter;
use lapstrake::shown::with_causes;

use super::args::{BuildArgs, Global};
use super::build::{DEFAULT_OUTPUT, failure, names, plan, platforms, wanted};
use super::environment::{epoch, load_recipe, parse_source, style, write_file};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::log::{self, Lines};
use super::progress::Progress;
use super::pushed::UnderTags;
use super::transfer::{code_of, pick};
use super::workshop::Workshop;
use super::written::{self, Named};
use super::{lock, print_bytes, pushed};

/// `lapstrake report`
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Places or references whose images the page is about [default: the images of the recipe, built as `build` does and
    /// written nowhere]
    pub(crate) sources: Vec<String>,
    /// Where the page goes, `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_PAGE, value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Take the images of the recipe as the registry holds them under their own tags, and build nothing
    #[arg(long, conflicts_with_all = ["sources", "locked", "offline"])]
    pub(crate) registry: bool,
    /// Only this image: NAME or NAME:VARIANT of the recipe, or the name that the place gives it; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Vec<String>,
    /// Only this variant of the recipe; may be given several times
    #[arg(long, value_name = "VARIANT", conflicts_with = "sources")]
    pub(crate) variant: Vec<String>,
    /// Only this platform (os/arch[/variant]); several with commas or given several times
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// Say which layers this place has already (a reference, oci:DIR, an archive), and what that saves
    #[arg(long, value_name = "PLACE")]
    pub(crate) against: Option<String>,
    /// Use the lock as it is: fail (exit code 4) where it would have to change
    #[arg(long, conflicts_with = "sources")]
    pub(crate) locked: bool,
    /// Do not touch the network: what is not on this machine or in the cache is an error
    #[arg(long)]
    pub(crate) offline: bool,
    /// Set a key of the recipe's [project]: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "sources")]
    pub(crate) set: Vec<String>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &ReportArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let workshop = Workshop::new(global, args.offline, &reporter)?;
    let before = args.against.as_deref().map(|text| there(text, &workshop)).transpose()?;
    let (subjects, title, lock) = match args.sources.is_empty() {
        true if args.registry => of_registry(global, args, &workshop, &reporter)?,
        true => of_recipe(global, args, &workshop, &reporter)?,
        false => of_places(args, &workshop)?,
    };
    if subjects.is_empty() {
        let failure = Failure::usage("there is no image to report on");
        return Err(failure.hint("name a place with images, or a recipe (-f) that publishes some"));
    }
    let asked = Asked { title, lock, before };
    let page = gather(&subjects, &asked, &workshop.store, &reporter).or_fail(Code::Failed)?;
    keep(&page, &args.output, subjects.len(), &reporter)
}

fn keep(page: &Page, output: &Path, images: usize, reporter: &Reporter) -> Outcome {
    let html = page.html();
    if output == Path::new("-") {
        return print_bytes(html.as_bytes());
    }
    write_file(output, &html)?;
    let size = indicatif::BinaryBytes(html.len() as u64);
    let images = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
    reporter.note(format!("the report is in {} ({images}, {size}): open it in a browser", output.display()));
    Ok(())
}

type Gathered = (Vec<Subject>, String, Option<Lock>);

/// The recipe, and what is asked for of it.
fn asked(global: &Global, args: &ReportArgs) -> Outcome<(Recipe, Inputs, BuildArgs, BTreeSet<ImageName>)> {
    let (recipe, inputs) = load_recipe(global, &args.set)?;
    for warning in &recipe.warnings {
        log::write(&Lines::drawn(warning.render(style()).trim_end()));
    }
    let build_args = BuildArgs {
        images: args.image.clone(),
        variant: args.variant.clone(),
        platform: args.platform.clone(),
        ..BuildArgs::default()
    };
    let wanted = wanted(&recipe, &build_args)?;
    let output = Some(Named::file("-o", &args.output)).filter(|_| args.output != Path::new("-"));
    written::check(output.as_slice(), &Named::inputs(&recipe))?;
    Ok((recipe, inputs, build_args, wanted))
}

fn title(recipe: &Recipe) -> String {
    let file = || recipe.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    recipe.name.as_ref().map_or_else(file, |name| name.value.clone())
}

/// The images of the recipe, built from the cache where it has them.
fn of_recipe(global: &Global, args: &ReportArgs, workshop: &Workshop<'_>, reporter: &Reporter) -> Outcome<Gathered> {
    let (recipe, inputs, build_args, wanted) = asked(global, args)?;
    let path = lock::lock_path(&recipe);
    let pinned = lock::read(&path)?;
    let nothing = Lock::default();
    let outside = workshop.outside(&recipe);
    let mut builder = workshop.builder(&recipe, &outside, pinned.as_ref().unwrap_or(&nothing));
    builder.locking = if args.locked { Locking::Locked } else { Locking::AsNeeded };
    builder.epoch = epoch(None)?;
    builder.platforms = platforms(&build_args)?;
    builder.names = names(&recipe, &inputs, &wanted, &build_args)?;
    if let Place::Layout { directory, .. } = Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)? {
        builder.forbidden.push(directory);
    }
    // A page that lies in the context is about the images, and no part of them.
    builder.left_out.extend(Some(args.output.clone()).filter(|output| output != Path::new("-")));
    reporter.note("building what the cache does not have");
    let (built, lock) = builder.build(&wanted).map_err(failure)?;
    let mut subjects = Vec::new();
    for built in &built {
        subjects.extend(Subject::named(&built.artifact, &built.name.image, built.name.variant.as_deref()));
    }
    Ok((subjects, title(&recipe), Some(lock).filter(|lock| !lock.is_empty())))
}

/// The images of the recipe as a registry holds them. The lock may be of another time, and says nothing of them.
fn of_registry(global: &Global, args: &ReportArgs, workshop: &Workshop<'_>, reporter: &Reporter) -> Outcome<Gathered> {
    let (recipe, inputs, build_args, wanted) = asked(global, args)?;
    let only = platforms(&build_args)?;
    let plan = plan(&recipe, &wanted, &names(&recipe, &inputs, &wanted, &build_args)?, only.as_deref());
    pushed::check(&plan)?;
    let (mut subjects, mut refused) = (Vec::new(), None);
    for planned in &plan {
        let name = &planned.image.name;
        match pushed::first(planned, only.as_deref().unwrap_or_default(), workshop)? {
            UnderTags::Image(artifact) => {
                subjects.extend(Subject::named(&artifact, &name.image, name.variant.as_deref()));
            }
            UnderTags::Refused(failure) => {
                reporter.warn(format!("{name} cannot be read in the registry: {}", with_causes(&*failure.error)));
                refused = refused.or(Some(failure));
            }
            UnderTags::Nothing => {
                let tags: Vec<String> = planned.references.iter().map(ToString::to_string).collect();
                reporter.warn(format!("{name} is not in the registry: there is no {}", tags.join(", no ")));
            }
        }
    }
    if let Some(failure) = refused.filter(|_| subjects.is_empty()) {
        return Err(failure);
    }
    if subjects.is_empty() {
        let text = "the registry has none of these images under their tags";
        let failure = Failure::told(Code::Network, ErrorCode::NotThere, text);
        return Err(failure.hint("`lapstrake build --push` puts them there"));
    }
    Ok((subjects, title(&recipe), None))
}

/// The images at the places that were named.
fn of_places(args: &ReportArgs, workshop: &Workshop<'_>) -> Outcome<Gathered> {
    let only = args.platform.iter().map(|text| text.parse().or_fail(Code::Usage)).collect::<Outcome<Vec<_>>>()?;
    let mut subjects: Vec<Subject> = Vec::new();
    for text in &args.sources {
        let place = readable(text)?;
        let source = workshop.source(&place).or_fail(code_of(&place))?;
        let picks = match args.image.is_empty() {
            true => vec![pick(None, &place)],
            false => args.image.iter().map(|name| pick(Some(name), &place)).collect(),
        };
        for pick in picks {
            let artifacts = read_artifacts(&source, pick.as_ref(), &only).or_fail(code_of(&place))?;
            subjects.extend(artifacts.iter().flat_map(Subject::of));
        }
    }
    Ok((subjects, args.sources.join(", "), None))
}

/// The layers at a place.
fn there(text: &str, workshop: &Workshop<'_>) -> Outcome<(String, BTreeSet<Digest>)> {
    let place = readable(text)?;
    let source = workshop.source(&place).or_fail(code_of(&place))?;
    let artifacts = read_artifacts(&source, place.pick(), &[]).or_fail(code_of(&place))?;
    let images = artifacts.iter().flat_map(|artifact| artifact.images());
    let layers = images.flat_map(|image| &image.manifest.layers).map(|layer| layer.digest).collect();
    Ok((text.to_owned(), layers))
}

fn readable(text: &str) -> Outcome<Place> {
    let place = parse_source(text)?;
    match place {
        Place::OwnNames => Err(Failure::usage(format!("{text} names nothing to read from"))),
        place => Ok(place),
    }
}
