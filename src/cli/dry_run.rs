//! `lapstrake build --dry-run`: what would be done, with nothing changed on this machine or anywhere else.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use indicatif::BinaryBytes;
use lapstrake::build::{Fate, Forecast, LayerForecast};
use lapstrake::code::Coded;
use lapstrake::lock::{Lock, changes};
use lapstrake::logins::hide_logins;
use lapstrake::oci::{Descriptor, Digest, Reference};
use lapstrake::place::Place;
use lapstrake::report::Reporter;
use lapstrake::shown::with_causes;
use lapstrake::store::{InUse, TemporaryDirectory};
use serde_json::{Value, json};

use super::args::{BuildArgs, Global};
use super::build::Planned;
use super::environment::{LazyRegistries, cache_directory};
use super::exit::{Code, Failure, Outcome};

/// Where the cache keeps what is unfinished.
const TMP: &str = "tmp";

/// A cache that has what the real one has, and that is gone in the end with all that came to it.
pub(crate) struct Shadow {
    global: Global,
    _directory: TemporaryDirectory,
    /// Nothing of the real cache is removed meanwhile.
    _in_use: Option<InUse>,
}

impl Shadow {
    /// The shadow of the cache that would be used: its files by other names. Where there is no cache, or where its files
    /// cannot have other names, an empty one.
    pub(crate) fn of(global: &Global, reporter: &Reporter) -> Outcome<Self> {
        let failed = |error: io::Error| {
            Failure::told(
                Code::Failed,
                error.code(),
                format!("making a temporary cache, so that the real one stays as it is: {error}"),
            )
        };
        let cache = cache_directory(global).filter(|cache| cache.join(TMP).is_dir());
        let linked = cache.and_then(|cache| match Self::linked(&cache, reporter) {
            Ok(linked) => Some(linked),
            // A build may have no use of it either.
            Err(error) => {
                reporter.note(format!("the cache {} is not looked at: {error}", cache.display()));
                None
            }
        });
        let (in_use, directory) = match linked {
            Some((in_use, directory)) => (Some(in_use), directory),
            None => (None, TemporaryDirectory::new(&std::env::temp_dir()).map_err(failed)?),
        };
        super::signals::remove_at_end(directory.path());
        let global = Global { cache_dir: Some(directory.path().to_owned()), ..global.clone() };
        Ok(Shadow { global, _directory: directory, _in_use: in_use })
    }

    /// What a cache has by other names, and what keeps it there.
    fn linked(cache: &Path, reporter: &Reporter) -> Result<(InUse, TemporaryDirectory), String> {
        let in_use = InUse::of(cache, || reporter.note("waiting while the cache is pruned"))
            .map_err(|error| with_causes(&error))?;
        let directory = TemporaryDirectory::new(&cache.join(TMP)).map_err(|error| error.to_string())?;
        in_use.shadow(directory.path()).map_err(|error| format!("its files cannot have other names: {error}"))?;
        Ok((in_use, directory))
    }

    /// The arguments with that cache.
    pub(crate) fn global(&self) -> &Global {
        &self.global
    }
}

/// The lock that is there, and the one that a build would keep.
pub(crate) struct LockChange<'a> {
    pub(crate) path: &'a Path,
    pub(crate) before: Option<&'a Lock>,
    pub(crate) now: &'a Lock,
}

impl LockChange<'_> {
    fn lines(&self) -> Vec<String> {
        let nothing = Lock::default();
        changes(self.before.unwrap_or(&nothing), self.now).iter().map(ToString::to_string).collect()
    }
}

/// What would be sent to a repository.
struct Push {
    reference: Reference,
    /// Whether the tag is that image already; `None` where the image is not known yet.
    is_there: Option<bool>,
    /// Blobs that are at hand and not there: how many, and their bytes.
    missing: (usize, u64),
    /// Layers that are not made yet.
    unmade: usize,
}

/// Tells it: a tree for each image, then the lock, and what is written and pushed.
pub(crate) fn tell(
    forecasts: &[Forecast],
    lock: &LockChange<'_>,
    plan: &[Planned<'_>],
    outputs: &[Place],
    registries: &LazyRegistries<'_>,
    args: &BuildArgs,
) -> Outcome {
    let mut pushes = Vec::new();
    for planned in plan {
        let of_image: Vec<&Forecast> = forecasts.iter().filter(|told| told.name == planned.image.name).collect();
        for output in outputs {
            let references = match output {
                Place::OwnNames => &planned.references[..],
                Place::Registry(reference) => std::slice::from_ref(reference),
                _ => &[],
            };
            for reference in references {
                pushes.push(push(reference, &of_image, registries)?);
            }
        }
    }
    let written: Vec<String> = match args.output.is_empty() && !args.push {
        true => vec![super::build::DEFAULT_OUTPUT.to_owned()],
        false => outputs
            .iter()
            .zip(&args.output)
            .filter(|(place, _)| !matches!(place, Place::Registry(_) | Place::OwnNames))
            .map(|(_, text)| text.clone())
            .collect(),
    };
    let changes = lock.lines();
    if args.json {
        let value = json!({
            "images": forecasts.iter().map(image_json).collect::<Vec<_>>(),
            "lock": changes,
            "write": written,
            "push": pushes.iter().map(push_json).collect::<Vec<_>>(),
        });
        return super::print_json(&value);
    }
    let mut text = forecasts.iter().map(image_text).collect::<Vec<_>>().join("\n");
    text.push('\n');
    for change in changes {
        text.push_str(&format!("lock   {}: {change}\n", lock.path.display()));
    }
    for place in written {
        text.push_str(&format!("write  {}\n", hide_logins(&place.to_string())));
    }
    for push in &pushes {
        text.push_str(&push_text(push));
    }
    super::print(&text)
}

/// What would be sent for an image under a reference. Nothing is sent: the registry is asked what it has.
fn push(reference: &Reference, forecasts: &[&Forecast], registries: &LazyRegistries<'_>) -> Outcome<Push> {
    let registries = registries.get()?;
    let network = |error| Failure::new(Code::Network, error);
    let is_there = match forecasts {
        [Forecast { finished: Some((manifest, _)), .. }] => {
            let found = registries.resolve(reference).map_err(network)?;
            Some(found.is_some_and(|found| found.digest == manifest.digest))
        }
        _ => None,
    };
    let mut blobs: BTreeMap<Digest, &Descriptor> = BTreeMap::new();
    for told in forecasts {
        let config = told.finished.as_ref().map(|(_, config)| config);
        blobs.extend(told.blobs.iter().chain(config).map(|blob| (blob.digest, blob)));
    }
    let mut missing = (0, 0);
    if is_there != Some(true) {
        for blob in blobs.values() {
            if !registries.blob_exists(reference, blob).map_err(network)? {
                missing = (missing.0 + 1, missing.1 + blob.size);
            }
        }
    }
    let layers = forecasts.iter().flat_map(|told| &told.layers);
    let unmade = layers.filter(|layer| !layer.is_reused()).count();
    Ok(Push { reference: reference.clone(), is_there, missing, unmade })
}

fn push_text(push: &Push) -> String {
    let Push { reference, is_there, missing: (blobs, bytes), unmade } = push;
    let what = match (is_there, unmade) {
        (Some(true), _) => "nothing: it is there".to_owned(),
        (_, 0) => format!("{}, and the manifest", counted(*blobs, "blob", *bytes)),
        _ => format!("{}, {}, and the manifest", counted(*blobs, "blob", *bytes), plural(*unmade, "layer to be made")),
    };
    format!("push   {reference}: {what}\n")
}

fn push_json(push: &Push) -> Value {
    json!({
        "reference": push.reference.to_string(),
        "there": push.is_there,
        "blobs": push.missing.0,
        "size": push.missing.1,
        "unmade": push.unmade,
    })
}

fn image_text(told: &Forecast) -> String {
    let unmade = told.layers.iter().filter(|layer| !layer.is_reused()).count();
    let digest = match &told.finished {
        Some((manifest, _)) => manifest.digest.to_string(),
        None if unmade == 0 => "what it stands on is to be made".to_owned(),
        None => plural(unmade, "layer to be made"),
    };
    let mut text = format!("{}  {}  {digest}\n", told.name, told.platform);
    for (number, LayerForecast { title, fate }) in told.layers.iter().enumerate() {
        let branch = if number + 1 == told.layers.len() { "└─" } else { "├─" };
        let fate = match fate {
            Fate::Reused { blob, from } => {
                let from = from.as_ref().map_or("cache".to_owned(), ToString::to_string);
                format!("{} reused ({from})", BinaryBytes(blob.size))
            }
            Fate::Made { bytes } => format!("made of {}", BinaryBytes(*bytes)),
            Fate::Fetched { files, bytes, missing: 0, .. } => {
                format!("made of {}, all of them here", counted(*files, "file", *bytes))
            }
            Fate::Fetched { files, bytes, missing, missing_bytes } => {
                let missing = counted(*missing, "file", *missing_bytes);
                format!("made of {}; {missing} to download", counted(*files, "file", *bytes))
            }
            Fate::Open { why } => format!("not known yet: {why}"),
        };
        text.push_str(&format!("{branch} {title:<24} {fate}\n"));
    }
    text
}

fn image_json(told: &Forecast) -> Value {
    let layer = |LayerForecast { title, fate }: &LayerForecast| match fate {
        Fate::Reused { blob, from } => json!({
            "title": title,
            "status": "reused",
            "digest": blob.digest,
            "size": blob.size,
            "from": from.as_ref().map_or("cache".to_owned(), ToString::to_string),
        }),
        Fate::Made { bytes } => json!({ "title": title, "status": "made", "input": bytes }),
        Fate::Fetched { files, bytes, missing, missing_bytes } => json!({
            "title": title,
            "status": "made",
            "input": bytes,
            "files": files,
            "download": { "files": missing, "size": missing_bytes },
        }),
        Fate::Open { why } => json!({ "title": title, "status": "unknown", "why": why }),
    };
    json!({
        "image": told.name.image,
        "variant": told.name.variant,
        "platform": told.platform.to_string(),
        "digest": told.finished.as_ref().map(|(manifest, _)| manifest.digest),
        "layers": told.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn counted(count: usize, what: &str, bytes: u64) -> String {
    format!("{} ({})", plural(count, what), BinaryBytes(bytes))
}

fn plural(count: usize, what: &str) -> String {
    let what = match what.split_once(' ') {
        _ if count == 1 => what.to_owned(),
        Some((first, rest)) => format!("{first}s {rest}"),
        None => format!("{what}s"),
    };
    format!("{count} {what}")
}
