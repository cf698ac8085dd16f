//! `lapstrake diff`: in what two images differ.

use clap::Args;
use lapstrake::code::ErrorCode;
use lapstrake::place::{Artifact, Place, read_artifacts};
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;

use super::args::Global;
use super::comparison::{Party, compare, unread};
use super::environment::{LazyRegistries, open_source, open_store};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::progress::Progress;
use super::transfer::{code_of, pick};
use super::{print, print_json};

/// `lapstrake diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A place or a reference
    pub(crate) first: String,
    /// Another
    pub(crate) second: String,
    /// The one image of each to compare, by the name that the places give it
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// Only this platform (os/arch[/variant]) [default: all that either has, one by one]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Name every path, not only as many as fit on a page
    #[arg(long)]
    pub(crate) all: bool,
    /// As JSON, with every path and both sides of everything
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &DiffArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let store = open_store(global, &reporter)?;
    let registries = LazyRegistries::new(global, &reporter);
    let (first, first_place) = one(&args.first, args, &store, &registries)?;
    let (second, second_place) = one(&args.second, args, &store, &registries)?;
    let parties = [Party::new(&args.first, &first, &first_place), Party::new(&args.second, &second, &second_place)];
    let found = compare(&parties[0], &parties[1], args.platform.is_none(), &store, &reporter)
        .map_err(|error| unread(error, [&first_place, &second_place]))?;
    match args.json {
        true => print_json(&found.json())?,
        false => print(&found.text(args.all))?,
    }
    match found.count() {
        0 => Ok(()),
        count => {
            let things = if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
            Err(Failure::told(
                Code::Different,
                ErrorCode::Differs,
                format!("{} and {} differ in {things}", args.first, args.second),
            ))
        }
    }
}

/// The one image that a place has, or that is meant.
fn one(text: &str, args: &DiffArgs, store: &BlobStore, registries: &LazyRegistries<'_>) -> Outcome<(Artifact, Place)> {
    let platforms = match &args.platform {
        Some(platform) => vec![platform.parse().or_fail(Code::Usage)?],
        None => Vec::new(),
    };
    let (source, place) = open_source(text, store, registries)?;
    let image = match &place {
        // A reference names its image itself.
        Place::Registry(_) => None,
        _ => args.image.as_deref(),
    };
    let picked = pick(image, &place);
    let mut artifacts = read_artifacts(&source, picked.as_ref(), &platforms).or_fail(code_of(&place))?;
    match (artifacts.pop(), artifacts.len()) {
        (Some(one), 0) => Ok((one, place)),
        (None, _) => Err(Failure::told(Code::Failed, ErrorCode::NotThere, format!("there is no image in {text}"))),
        (Some(last), _) => {
            let names: Vec<String> = artifacts.iter().chain([&last]).flat_map(Artifact::shown_each).collect();
            Err(Failure::usage(format!("there are several images in {text}: {}", names.join(", ")))
                .hint("name one after another colon, or of both sides with --image"))
        }
    }
}
