//! `lapstrake verify`: whether what was pushed is what the recipe and its lock make.

use clap::Args;
use lapstrake::base::BaseError;
use lapstrake::build::{Builder, Built, Locking};
use lapstrake::code::ErrorCode;
use lapstrake::difference::{self, Side};
use lapstrake::layer::Reuse;
use lapstrake::lock::Lock;
use lapstrake::oci::{Digest, Platform};
use lapstrake::place::{Artifact, FilePlace, ImageSource, Pick, Place, SourceError, read_artifacts, select_root};
use lapstrake::report::Reporter;
use lapstrake::store::{BlobStore, TemporaryDirectory};
use serde_json::{Value, json};

use super::args::Global;
use super::build::{DEFAULT_OUTPUT, Planned, failure, key_values, names, plan, platforms, wanted};
use super::comparison::{Comparison, Party, compare, unread};
use super::environment::{epoch, load_recipe, parse_source, style};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::log::{self, Lines};
use super::progress::Progress;
use super::selection::Selection;
use super::transfer::code_of;
use super::workshop::Workshop;
use super::{lock, print, print_json, pushed};

/// `lapstrake verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Compare with the images at this place (a reference, oci:DIR, an archive) [default: what the registry holds under
    /// the images' own tags]
    #[arg(long, value_name = "PLACE")]
    pub(crate) against: Option<String>,
    /// As JSON, with everything that differs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &VerifyArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let (recipe, inputs) = load_recipe(global, &args.selection.set)?;
    for warning in &recipe.warnings {
        log::write(&Lines::drawn(warning.render(style()).trim_end()));
    }
    let build_args = args.selection.build_args();
    let wanted = wanted(&recipe, &build_args)?;
    let only = platforms(&build_args)?;
    let names = names(&recipe, &inputs, &wanted, &build_args)?;
    let plan = plan(&recipe, &wanted, &names, only.as_deref());
    let path = lock::lock_path(&recipe);
    let before = lock::read(&path)?;
    let nothing = Lock::default();
    let workshop = Workshop::new(global, false, &reporter)?;

    // Before anything is built: what is not there needs no building.
    let mut expected = Vec::new();
    for planned in &plan {
        expected.push(published(args, planned, plan.len() == 1, only.as_deref().unwrap_or_default(), &workshop)?);
    }
    let outside = workshop.outside(&recipe);
    let mut builder = Builder {
        locking: Locking::Locked,
        // What is found could be what somebody pushed.
        reuse: Reuse::Never,
        reads_bases: true,
        epoch: epoch(args.selection.source_date_epoch)?,
        platforms: only,
        labels: key_values("--label", &args.selection.label)?,
        annotations: key_values("--annotation", &args.selection.annotation)?,
        names,
        ..workshop.builder(&recipe, &outside, before.as_ref().unwrap_or(&nothing))
    };
    // What `build` would refuse to copy, too: where it writes to.
    let against = expected.iter().flatten().map(|published| published.place.clone());
    for place in against.chain([Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)?]) {
        match place {
            Place::Layout { directory, .. } => builder.forbidden.push(directory),
            Place::Archive { file: FilePlace::Path(path), .. } => builder.forbidden.push(path),
            _ => {}
        }
    }
    let (built, _) = builder.build(&wanted).map_err(failure).map_err(|failure| match before {
        // What pins nothing needs no lock.
        None if failure.code == Code::Lock => {
            failure.hint(format!("{} is not there: make it with `lapstrake lock`, and commit it", path.display()))
        }
        _ => failure,
    })?;

    // What the cache remembers of layers could be what somebody else wrote: they are read.
    let apart = TemporaryDirectory::new(&workshop.store.tmp()).or_fail(Code::Failed)?;
    let store = BlobStore::open(&apart.path().join("cache"), || {}).or_fail(Code::Failed)?;
    let mut told = Vec::new();
    for (image, published) in built.iter().zip(&expected) {
        told.push(verify(image, published, args.selection.platform.is_empty(), &store, &reporter)?);
    }
    match args.json {
        true => print_json(&told.iter().map(Verified::json).collect::<Vec<_>>())?,
        false => print(&told.iter().map(Verified::lines).collect::<String>())?,
    }
    verdict(&told)
}

/// An image as it was put somewhere.
struct Published {
    text: String,
    place: Place,
    artifact: Artifact,
}

/// What is there of an image: under each of its tags, or at the place that was named.
fn published(
    args: &VerifyArgs,
    planned: &Planned<'_>,
    is_only: bool,
    platforms: &[Platform],
    workshop: &Workshop<'_>,
) -> Outcome<Vec<Published>> {
    let name = &planned.image.name;
    let places: Vec<(String, Place)> = match &args.against {
        Some(text) => vec![(text.clone(), parse_source(text)?)],
        None => {
            let references = planned.references.iter();
            references.map(|reference| (reference.to_string(), Place::Registry(reference.clone()))).collect()
        }
    };
    if places.is_empty() {
        return Err(Failure::usage(format!("{name} has no repository to look at"))
            .hint("set `repository` under [project], give -t a full reference, or name a place with --against"));
    }
    let mut found = Vec::new();
    for (text, place) in places {
        if matches!(place, Place::OwnNames) || place.is_standard() {
            return Err(Failure::usage(format!("{text} names nothing to compare with")));
        }
        let source = workshop.source(&place).or_fail(code_of(&place))?;
        let pick = match place {
            Place::Registry(_) => None,
            _ => Some(at_place(&*source, &place, planned, is_only).or_fail(Code::Failed)?),
        };
        let read = read_artifacts(&source, pick.as_ref(), platforms).map(|mut read| read.pop());
        let artifact = match read {
            Ok(artifact) => artifact,
            // A registry that has no such tag.
            Err(error) if pushed::is_absent(&place, &error) => {
                return Err(Failure::new(Code::Network, error)
                    .hint(format!("`lapstrake build {name} --push` puts it there, and -t names another tag")));
            }
            Err(error) => return Err(Failure::new(code_of(&place), error)),
        };
        let artifact = artifact.ok_or_else(|| {
            Failure::told(Code::Failed, ErrorCode::NotThere, format!("there is no image {name} in {text}"))
        })?;
        found.push(Published { text, place, artifact });
    }
    Ok(found)
}

/// Which image of a place on this machine is meant: by the names that a build gives it there; where only one image is
/// verified, the only one that is there.
fn at_place(
    source: &dyn ImageSource,
    place: &Place,
    planned: &Planned<'_>,
    is_only: bool,
) -> Result<Pick, SourceError> {
    if let Some(pick) = place.pick() {
        return Ok(pick.clone());
    }
    let references = planned.references.iter().map(ToString::to_string);
    let name = Pick::Name(planned.image.name.to_string());
    for pick in references.map(Pick::Name).chain([name.clone()]) {
        match select_root(source, Some(&pick)) {
            Ok(_) => return Ok(pick),
            Err(SourceError::NoSuchImage { .. } | SourceError::Several { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let root = select_root(source, if is_only { None } else { Some(&name) })?;
    Ok(Pick::Digest(root.descriptor.digest))
}

/// What came of an image.
struct Verified {
    name: String,
    variant: Option<String>,
    digest: Digest,
    against: Vec<Comparison>,
}

fn verify(
    built: &Built,
    published: &[Published],
    whole: bool,
    store: &BlobStore,
    reporter: &Reporter,
) -> Outcome<Verified> {
    let now = Party::made(&built.artifact);
    let mut against = Vec::new();
    for published in published {
        let Published { text, place, artifact } = published;
        let before = Party::new(text, artifact, place);
        let found = compare(&before, &now, whole, store, reporter);
        let found = found
            .and_then(|found| if found.is_same() { read_all(published, reporter).map(|()| found) } else { Ok(found) });
        against.push(found.map_err(|error| unread(error, [place]))?);
    }
    Ok(Verified {
        name: built.name.image.clone(),
        variant: built.name.variant.clone(),
        digest: built.artifact.digest(),
        against,
    })
}

/// Reads the layers of a place on this machine: a file may hold other bytes than its name says. What a registry gives is
/// compared with its digest by whoever fetches it.
fn read_all(Published { place, artifact, .. }: &Published, reporter: &Reporter) -> Result<(), BaseError> {
    if matches!(place, Place::Registry(_)) {
        return Ok(());
    }
    for side in artifact.images().into_iter().filter_map(|image| Side::of(image, artifact.source().clone())) {
        difference::lines(&side).iter().try_for_each(|line| side.check_layer(line, reporter))?;
    }
    Ok(())
}

impl Verified {
    /// Name, variant, digest, place, and whether that has the same; with tabs between.
    fn lines(&self) -> String {
        let Verified { name, variant, digest, against } = self;
        let variant = variant.as_deref().unwrap_or("-");
        let line = |comparison: &Comparison| {
            let verdict = if comparison.is_same() { "the same" } else { "different" };
            format!("{name}\t{variant}\t{digest}\t{}\t{verdict}\n", comparison.first_name())
        };
        against.iter().map(line).collect()
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "variant": self.variant,
            "digest": self.digest,
            "same": self.against.iter().all(Comparison::is_same),
            "against": self.against.iter().map(Comparison::json).collect::<Vec<_>>(),
        })
    }
}

/// Fails where something differs, and says what first.
fn verdict(told: &[Verified]) -> Outcome {
    let all = told.iter().flat_map(|image| image.against.iter().map(move |comparison| (image, comparison)));
    let differing: Vec<_> = all.filter(|(_, comparison)| !comparison.is_same()).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let line = |(image, comparison): &(&Verified, &Comparison)| {
        let name = match &image.variant {
            Some(variant) => format!("{}:{variant}", image.name),
            None => image.name.clone(),
        };
        let first = comparison.first().unwrap_or_default();
        let more = match comparison.count() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("{} is not what the recipe makes of {name}: {first}{more}", comparison.first_name())
    };
    let lines: Vec<String> = differing.iter().map(line).collect();
    Err(Failure::told(Code::Different, ErrorCode::Differs, lines.join("\n       "))
        .hint("--json has all that differs; from what is there to what is made"))
}
