//! `lapstrake explain`: why an image is another than the one before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use lapstrake::build::{Builder, Built, BuiltPlatform, Locking};
use lapstrake::code::Cause;
use lapstrake::difference::{PackageChange, Side};
use lapstrake::explain::{self, BaseFate, Changes, Explanation, FileFate, LayerFate, LayerStory};
use lapstrake::lock::Lock;
use lapstrake::logins;
use lapstrake::oci::{Descriptor, Digest, Platform, Reference};
use lapstrake::place::{BlobSource, Image, ImageSource, Pick, Place, SourceError, select_image};
use lapstrake::recipe::ImageName;
use lapstrake::remote::{Candidates, Open, PushedLayers, RegistryImage};
use lapstrake::report::{Phase, Reporter};
use lapstrake::shown::{Shown, bare, with_causes};
use serde_json::{Value, json};

use super::args::{ExplainArgs, Global};
use super::build::{
    CacheFrom, DEFAULT_OUTPUT, Planned, cache_from, candidates, failure, key_values, names, plan, platforms, wanted,
};
use super::environment::{LazyRegistries, epoch, jobs, load_recipe, parse_source, style};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::log::{self, Lines};
use super::progress::Progress;
use super::transfer::code_of;
use super::workshop::Workshop;
use super::{lock, print, print_json, pushed};

/// As many paths, packages or settings are named on one line.
const NAMED: usize = 3;

/// Runs it.
pub(crate) fn run(global: &Global, args: &ExplainArgs) -> Outcome {
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
    if args.registry {
        pushed::check(&plan)?;
    }
    let cache_from = cache_from(&args.cache_from, &inputs, &plan)?;
    let places = places(args, &cache_from)?;

    let before = lock::read(&lock::lock_path(&recipe))?.unwrap_or_else(Lock::default);
    let workshop = Workshop::new(global, args.offline, &reporter)?;
    let outside = workshop.outside(&recipe);
    let outputs = if args.registry { vec![Place::OwnNames] } else { Vec::new() };
    let mut all: Vec<Candidates<'_>> = Vec::new();
    let from = &workshop;
    for place in places.iter().filter(|place| !cache_from.iter().any(|from| from.text == place.text)) {
        let open: Open<'_> = Box::new(move || from.source(&place.place));
        all.push(Candidates { name: place.text.clone(), places: vec![open], named: false });
    }
    all.extend(candidates(&cache_from, &recipe, &plan, &outputs, &workshop));
    let all_platforms = plan.iter().flat_map(|planned| planned.platforms.iter().cloned()).collect();
    let warn = |text: String| reporter.warn(text);
    let pushed_layers = PushedLayers::new(all, all_platforms, jobs(global), &warn);
    let mut builder = Builder {
        locking: if args.locked { Locking::Locked } else { Locking::AsNeeded },
        elsewhere: &pushed_layers,
        epoch: epoch(args.selection.source_date_epoch)?,
        platforms: only,
        labels: key_values("--label", &args.selection.label)?,
        annotations: key_values("--annotation", &args.selection.annotation)?,
        names,
        ..workshop.builder(&recipe, &outside, &before)
    };
    // What `build` would leave out, too.
    if let Place::Layout { directory, .. } = Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)? {
        builder.forbidden.push(directory);
    }
    let (built, _) = builder.build(&wanted).map_err(failure)?;

    let mut sources = Sources {
        workshop: &workshop,
        hasty: LazyRegistries::hasty(global, &reporter),
        reporter: &reporter,
        open: BTreeMap::new(),
        silent: BTreeSet::new(),
    };
    let tags = OwnTags::of(args);
    let mut told = Vec::new();
    for (image, planned) in built.iter().zip(&plan) {
        for (platform, wanted) in image.images.iter().zip(&planned.platforms) {
            let before = sources.before(planned, wanted, &places, tags)?;
            told.push(tell(image, platform, before.as_ref(), &workshop, &reporter)?);
        }
    }
    if args.json {
        let all: Vec<Value> = told.iter().map(Told::json).collect();
        return print_json(&all);
    }
    print(&told.iter().map(Told::text).collect::<Vec<_>>().join("\n"))
}

/// A place that was named, where images may be that are compared with.
struct Named {
    text: String,
    place: Place,
    /// Whether it is only there by default.
    by_default: bool,
    /// The images that it is for, where it is not for all.
    images: Option<BTreeSet<ImageName>>,
}

impl Named {
    /// A tag of the image itself.
    fn tag(reference: &Reference) -> Self {
        Named { text: reference.to_string(), place: Place::Registry(reference.clone()), by_default: true, images: None }
    }
}

/// The places to compare with, in the order in which they are asked; the images' own tags come before those of
/// `--cache-from`.
fn places(args: &ExplainArgs, cache_from: &[CacheFrom]) -> Outcome<Vec<Named>> {
    let mut places = Vec::new();
    let against = args.against.iter().map(|text| Ok((text, parse_source(text)?, None)));
    let cache_from = cache_from.iter().map(|from| Ok((&from.text, from.place.clone(), Some(from.images.clone()))));
    for named in against.chain(cache_from) {
        let (text, place, images) = named?;
        if matches!(place, Place::OwnNames) || place.is_standard() {
            return Err(Failure::usage(format!("{text} names nothing to compare with")));
        }
        places.push(Named { text: text.clone(), place, by_default: false, images });
    }
    if places.is_empty() && !args.registry {
        let place = Place::parse(DEFAULT_OUTPUT).or_fail(Code::Usage)?;
        let is_there = matches!(&place, Place::Layout { directory, .. } if is_layout(directory));
        if is_there {
            places.push(Named { text: DEFAULT_OUTPUT.to_owned(), place, by_default: true, images: None });
        }
    }
    Ok(places)
}

fn is_layout(directory: &Path) -> bool {
    directory.join("index.json").is_file()
}

/// An image that was there before.
struct Before {
    place: String,
    image: Image,
    bytes: Arc<dyn BlobSource>,
}

/// When the images' own tags are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnTags {
    /// Before anything else: somebody asked for it.
    First,
    /// Where nothing on this machine has the image, and no place was named.
    Last,
    Never,
}

impl OwnTags {
    fn of(args: &ExplainArgs) -> Self {
        match args.against.is_none() && args.cache_from.is_empty() {
            _ if args.registry => OwnTags::First,
            true if !args.offline => OwnTags::Last,
            _ => OwnTags::Never,
        }
    }
}

/// Places, each opened once.
struct Sources<'a, 'w> {
    workshop: &'a Workshop<'w>,
    /// Registries that nobody named.
    hasty: LazyRegistries<'a>,
    reporter: &'a Reporter,
    open: BTreeMap<String, Arc<dyn ImageSource>>,
    /// Registries that did not answer, repositories (with their registries) that are refused or cannot be read, and places
    /// that cannot be.
    silent: BTreeSet<String>,
}

impl Sources<'_, '_> {
    /// The image of that platform that was there before, where there was one.
    fn before(
        &mut self,
        planned: &Planned<'_>,
        platform: &Platform,
        places: &[Named],
        tags: OwnTags,
    ) -> Outcome<Option<Before>> {
        let first = planned.references.iter().filter(|_| tags == OwnTags::First).map(Named::tag);
        let first: Vec<Named> = first.collect();
        let is_for = |named: &&Named| named.images.as_ref().is_none_or(|images| images.contains(&planned.image.name));
        for named in first.iter().chain(places.iter().filter(is_for)) {
            let (image, place) = (&planned.image.name, &named.text);
            // All tags of a repository that is refused.
            let all = match &named.place {
                Place::Registry(reference) if named.by_default => reference.name(),
                _ => place.clone(),
            };
            if self.silent.contains(&all) {
                continue;
            }
            match self.at(named, planned, platform) {
                Ok(Some(before)) => return Ok(Some(before)),
                Ok(None) if named.by_default => {}
                Ok(None) => self.reporter.note(format!("{place} has no image {image} for {platform}")),
                // Where `build` goes on, too; a repository that is refused may be one that is not there yet.
                Err(error) if named.images.is_some() || named.by_default && pushed::is_refusal(&*error) => {
                    self.told_of(place, &error);
                    self.silent.insert(all);
                }
                Err(error) => return Err(Failure::new(code_of(&named.place), error)),
            }
        }
        let mut last = planned.references.iter().filter(|_| tags == OwnTags::Last);
        Ok(last.find_map(|reference| self.pushed(reference, planned, platform)))
    }

    /// The image of that platform at a place.
    fn at(&mut self, named: &Named, planned: &Planned<'_>, platform: &Platform) -> Result<Option<Before>, Cause> {
        let source = match self.open.get(&named.text) {
            Some(source) => source.clone(),
            None => {
                let source = self.workshop.source(&named.place)?;
                self.open.insert(named.text.clone(), source.clone());
                source
            }
        };
        let found = find(&*source, named, planned, platform)?;
        Ok(found.map(|image| Before { place: named.text.clone(), image, bytes: source }))
    }

    fn told_of(&self, place: &str, error: &Cause) {
        let why = with_causes(&**error);
        self.reporter.warn(format!("{place} would be compared with, and cannot be read: {why}"));
    }

    /// The image under a tag that nobody named. A registry that cannot be asked, or a repository that it refuses, is told of,
    /// and left alone from then on.
    fn pushed(&mut self, reference: &Reference, planned: &Planned<'_>, platform: &Platform) -> Option<Before> {
        if self.silent.contains(reference.registry()) || self.silent.contains(&reference.name()) {
            return None;
        }
        let named = Named::tag(reference);
        // It may take its time, and nobody asked for it.
        let _task = self.reporter.task(Phase::Resolve, &named.text, None);
        let looked = self.hasty.get().map_err(|failure| failure.error).and_then(|registries| {
            let source = RegistryImage::new(registries, reference, &self.workshop.store);
            let found = find(&*source, &named, planned, platform)?;
            Ok(found.map(|image| Before { place: named.text, image, bytes: source }))
        });
        looked.unwrap_or_else(|error| {
            self.silent.insert(match pushed::is_of_all(&*error) {
                true => reference.registry().to_owned(),
                false => reference.name(),
            });
            self.told_of(&reference.to_string(), &error);
            None
        })
    }
}

/// The image at a place: by the names that a build gives it there; where the place has only one and was asked for, that.
fn find(
    source: &dyn ImageSource,
    named: &Named,
    planned: &Planned<'_>,
    platform: &Platform,
) -> Result<Option<Image>, SourceError> {
    let mut picks: Vec<Option<Pick>> = Vec::new();
    match (&named.place, named.place.pick()) {
        (Place::Registry(_), _) => picks.push(None),
        (_, Some(pick)) => picks.push(Some(pick.clone())),
        _ => {
            let mut texts: Vec<String> = planned.references.iter().map(ToString::to_string).collect();
            texts.push(planned.image.name.to_string());
            texts.extend(
                planned.references.iter().filter_map(|name| name.repository().rsplit('/').next()).map(str::to_owned),
            );
            picks.extend(texts.into_iter().map(|text| Some(Pick::Name(text))));
            if !named.by_default {
                picks.push(None);
            }
        }
    }
    for pick in picks {
        match select_image(source, pick.as_ref(), platform) {
            Ok(image) => return Ok(Some(image)),
            Err(SourceError::NoSuchImage { .. } | SourceError::Several { .. } | SourceError::NoPlatform { .. }) => {}
            // Nothing was pushed under that tag so far.
            Err(error) if named.by_default && pushed::is_absent(&named.place, &error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What is told of an image for one platform.
struct Told {
    name: String,
    variant: Option<String>,
    platform: String,
    /// Whether the image is for several.
    several: bool,
    digest: Digest,
    before: Option<(String, Digest)>,
    explanation: Explanation,
    /// Where the blob of each layer is.
    from: Vec<String>,
}

fn tell(
    built: &Built,
    platform: &BuiltPlatform,
    before: Option<&Before>,
    workshop: &Workshop<'_>,
    reporter: &Reporter,
) -> Outcome<Told> {
    let image = &platform.image;
    let source = built.artifact.source();
    let now = Side { manifest: &image.manifest, config: &image.config, bytes: source.clone() };
    let side = before.and_then(|before| {
        let config = before.image.config.as_ref()?;
        Some(Side { manifest: &before.image.manifest, config, bytes: before.bytes.clone() })
    });
    side.as_ref().map_or(Ok(()), Side::check_numbers).or_fail(Code::Failed)?;
    let explanation = explain::explain(side.as_ref(), &now, &platform.layers, &workshop.store, reporter);
    let whence = |descriptor: &Descriptor| match (workshop.store.contains(descriptor), source.comes_from(descriptor)) {
        (true, _) => "cache".to_owned(),
        (false, Some(reference)) => reference.to_string(),
        (false, None) => before.map_or("elsewhere".to_owned(), |before| before.place.clone()),
    };
    let from = explanation.layers.iter().map(|layer| whence(&layer.descriptor)).collect();
    Ok(Told {
        name: built.name.image.clone(),
        variant: built.name.variant.clone(),
        platform: image.platform.to_string(),
        several: built.images.len() > 1,
        digest: image.manifest.digest(),
        before: before.map(|before| (before.place.clone(), before.image.manifest.digest())),
        explanation,
        from,
    })
}

/// A row of the text: what, how large, what became of it.
type Row = (String, Option<u64>, String);

impl Told {
    fn text(&self) -> String {
        let mut name = self.name.clone();
        if let Some(variant) = &self.variant {
            name.push_str(&format!(":{variant}"));
        }
        if self.several {
            name.push_str(&format!(" ({})", self.platform));
        }
        let now = format!("sha256:{}", self.digest.short());
        let fate = match &self.before {
            None => format!("{now} new, compared with nothing"),
            Some((place, before)) if *before == self.digest => {
                format!("{now} unchanged, compared with {}", bare(place))
            }
            Some((place, before)) => format!("sha256:{} → {now}, compared with {}", before.short(), bare(place)),
        };
        let rows = self.rows();
        let width = rows.iter().map(|(title, ..)| title.chars().count()).max().unwrap_or_default();
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.chars().count()));
        // Below the column of sizes ends what stands above the fates.
        let mut text = format!("{name}{}{fate}\n", pad(&name, width + 16).as_str());
        for (number, (title, size, fate)) in rows.iter().enumerate() {
            let branch = if number + 1 == rows.len() { "└─" } else { "├─" };
            let size = size.map(|size| indicatif::BinaryBytes(size).to_string()).unwrap_or_default();
            text.push_str(&format!("{branch} {title}{} {size:>11} {fate}\n", pad(title, width)));
        }
        text
    }

    fn rows(&self) -> Vec<Row> {
        let Explanation { base, layers, gone, settings } = &self.explanation;
        let mut rows = Vec::new();
        if let Some(base) = base {
            let title = match base.layers {
                1 => "base (1 layer)".to_owned(),
                count => format!("base ({count} layers)"),
            };
            rows.push((title, Some(base.size), base_text(&base.fate, base.layers)));
        }
        for (layer, from) in layers.iter().zip(&self.from) {
            rows.push((short(&layer.title), Some(layer.descriptor.size), layer_text(layer, from)));
        }
        rows.extend(gone.iter().map(|line| (short(line), None, "gone".to_owned())));
        let changed: Vec<String> = settings
            .iter()
            .map(|difference| match (&difference.first, &difference.second) {
                (None, _) => format!("{} is new", logins::shown(&difference.of)),
                (_, None) => format!("{} is gone", logins::shown(&difference.of)),
                _ => format!("{} changed", logins::shown(&difference.of)),
            })
            .collect();
        let fate = match (&self.before, changed.is_empty()) {
            (None, _) => "new".to_owned(),
            (_, true) => "unchanged".to_owned(),
            (_, false) => some_of(&changed),
        };
        rows.push(("config".to_owned(), None, fate));
        rows
    }

    fn json(&self) -> Value {
        let Explanation { base, layers, gone, settings } = &self.explanation;
        let base = base.as_ref().map(|base| {
            let mut value = json!({ "layers": base.layers, "size": base.size });
            let status = match &base.fate {
                BaseFate::Same => "reused",
                BaseFate::New => "new",
                BaseFate::Moved { name, from, to, kept } => {
                    value["name"] = json!(name);
                    value["before"] = json!(from);
                    value["now"] = json!(to);
                    value["kept"] = json!(kept);
                    "moved"
                }
            };
            value["status"] = json!(status);
            value
        });
        let layers: Vec<Value> = layers.iter().zip(&self.from).map(|(layer, from)| layer_json(layer, from)).collect();
        let settings: Vec<Value> = settings
            .iter()
            .map(|difference| json!({ "of": difference.of, "before": difference.first, "now": difference.second }))
            .collect();
        json!({
            "name": self.name,
            "variant": self.variant,
            "platform": self.platform,
            "digest": self.digest,
            "before": self.before.as_ref().map(|(place, digest)| json!({ "place": place, "digest": digest })),
            "base": base,
            "layers": layers,
            "gone": gone,
            "config": settings,
        })
    }
}

fn base_text(fate: &BaseFate, layers: usize) -> String {
    match fate {
        BaseFate::Same => "reused".to_owned(),
        BaseFate::New => "new".to_owned(),
        BaseFate::Moved { name, from, to, kept } => {
            let name = name.as_ref().map(|name| format!(" {}", bare(name))).unwrap_or_default();
            let digests = match (from, to) {
                (Some(from), Some(to)) if from != to => format!(": {} → {}", bare(from), bare(to)),
                _ => String::new(),
            };
            let kept = match kept {
                0 => String::new(),
                kept => format!(" ({kept} of {layers} layers are the same)"),
            };
            format!("moved{name}{digests}{kept}")
        }
    }
}

fn layer_text(layer: &LayerStory, from: &str) -> String {
    let how = if from == "cache" { "rebuilt".to_owned() } else { format!("reused ({from}), but not the same") };
    match &layer.fate {
        LayerFate::Same => format!("reused ({from})"),
        LayerFate::New => "new".to_owned(),
        LayerFate::Recompressed => format!("{how}: the same files, compressed in another way"),
        LayerFate::Changed(changes) => format!("{how}: {}", changes_text(changes)),
    }
}

fn changes_text(changes: &Changes) -> String {
    let Changes { was, packages, files, parts, unread } = changes;
    let mut parts_of_text = Vec::new();
    if let Some(was) = was {
        parts_of_text.push(format!("the recipe's layer was {}", Shown::new(logins::hide_logins(was).as_bytes())));
    }
    if let Some(unread) = unread {
        parts_of_text.push(format!("what changed is not known: {}", bare(unread)));
    }
    if packages.is_empty() {
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        parts_of_text.extend((!files.is_empty()).then(|| some_of(&files)));
    } else {
        let packages: Vec<String> = packages.iter().map(ToString::to_string).collect();
        parts_of_text.push(some_of(&packages));
    }
    if parts_of_text.is_empty() {
        let text = if *parts > 1 { "it is cut in other places" } else { "the same files in another archive" };
        parts_of_text.push(text.to_owned());
    }
    parts_of_text.join("; ")
}

fn layer_json(layer: &LayerStory, from: &str) -> Value {
    let mut value = json!({
        "title": layer.title,
        "digest": layer.descriptor.digest,
        "diff_id": layer.diff_id,
        "key": layer.descriptor.annotations.get(lapstrake::oci::annotation::LAYER_KEY),
        "size": layer.descriptor.size,
        "from": from,
    });
    let status = match &layer.fate {
        LayerFate::Same => "reused",
        LayerFate::New => "new",
        LayerFate::Recompressed => "recompressed",
        LayerFate::Changed(Changes { was, packages, files, unread, .. }) => {
            let file = |change: &explain::FileChange| {
                let (status, how) = match &change.what {
                    FileFate::New => ("new", Vec::new()),
                    FileFate::Gone => ("gone", Vec::new()),
                    FileFate::Changed(how) => ("changed", how.clone()),
                };
                json!({ "path": change.path, "status": status, "how": how })
            };
            let package = |change: &PackageChange| json!({ "kind": change.kind.word(), "name": change.name, "before": change.from, "now": change.to });
            value["was"] = json!(was);
            value["packages"] = packages.iter().map(package).collect();
            value["files"] = files.iter().map(file).collect();
            value["unread"] = json!(unread);
            "rebuilt"
        }
    };
    value["status"] = json!(status);
    value
}

/// The first few, and how many more there are.
fn some_of(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A title that leaves room for what is told.
fn short(title: &str) -> String {
    const WIDTH: usize = 48;
    let title = logins::shown(title);
    match title.chars().count() {
        0..=WIDTH => title,
        _ => format!("{}…", title.chars().take(WIDTH - 1).collect::<String>()),
    }
}
