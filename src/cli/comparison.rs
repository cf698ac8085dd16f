//! Two images, or two indexes of images, compared platform by platform, and how that is told.

use lapstrake::base::BaseError;
use lapstrake::difference::{
    self, Change, Count, Difference, Entry, ImageDifference, LayerFate, LayerPair, Row, Side, Standing,
};
use lapstrake::logins::shown as said;
use lapstrake::oci::{Descriptor, DiffId, Digest};
use lapstrake::place::{ArchiveKind, Artifact, Document, Image, Place};
use lapstrake::report::Reporter;
use lapstrake::shown::bare;
use lapstrake::store::BlobStore;
use serde_json::{Value, json};

use super::exit::{Code, Failure};

/// As many lines are spent on the files of an image, unless all are asked for.
const LINES: usize = 20;

/// One of the two that are compared.
pub(super) struct Party<'a> {
    /// What it was called on the command line.
    pub(super) text: String,
    /// Its images.
    pub(super) artifact: &'a Artifact,
    /// Whether it is from a place that keeps manifests.
    pub(super) has_manifests: bool,
}

impl<'a> Party<'a> {
    pub(super) fn new(text: impl Into<String>, artifact: &'a Artifact, place: &Place) -> Self {
        let has_manifests = !matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
        Party { text: text.into(), artifact, has_manifests }
    }

    /// What was just made.
    pub(super) fn made(artifact: &'a Artifact) -> Self {
        Party { text: "what the recipe makes".to_owned(), artifact, has_manifests: true }
    }
}

/// What came of comparing.
pub(super) struct Comparison {
    names: [String; 2],
    digests: [Digest; 2],
    /// Each in the order of the first, then those that only the second has.
    platforms: Vec<Platform>,
    /// What differs in the indexes alone, or in what is no image.
    index: Vec<Difference>,
}

struct Platform {
    name: String,
    /// What each side has for it.
    sides: [Option<Summary>; 2],
    /// Nothing where only one side has it.
    difference: Option<ImageDifference>,
}

struct Summary {
    digest: Digest,
    id: Digest,
    size: u64,
}

impl Summary {
    fn of(image: &Image) -> Option<Self> {
        let config = image.config.as_ref()?;
        let size = image.manifest.layers.iter().map(|layer| layer.size).sum();
        Some(Summary { digest: image.manifest.digest(), id: config.digest(), size })
    }

    fn json(&self) -> Value {
        json!({ "digest": self.digest, "id": self.id, "size": self.size })
    }
}

/// Compares all platforms. Of images with the same digest nothing is read. Where `whole`, indexes are to be the same too.
pub(super) fn compare(
    first: &Party<'_>,
    second: &Party<'_>,
    whole: bool,
    store: &BlobStore,
    reporter: &Reporter,
) -> Result<Comparison, BaseError> {
    let manifests = first.has_manifests && second.has_manifests;
    let mut others: Vec<&Image> = second.artifact.images();
    let mut platforms = Vec::new();
    for image in first.artifact.images() {
        let Some(name) = image.platform().map(|platform| platform.to_string()) else { continue };
        let is_other = |other: &&Image| other.platform().is_some_and(|platform| platform.to_string() == name);
        let other = others.iter().position(is_other).map(|at| others.remove(at));
        let difference = match other {
            Some(other) => Some(between([image, other], [first, second], manifests, store, reporter)?),
            None => None,
        };
        platforms.push(Platform { name, sides: [Summary::of(image), other.and_then(Summary::of)], difference });
    }
    for image in others {
        let Some(platform) = image.platform() else { continue };
        platforms.push(Platform { name: platform.to_string(), sides: [None, Summary::of(image)], difference: None });
    }
    let (one, other) = (first.artifact, second.artifact);
    let is_index = |artifact: &Artifact| matches!(artifact.root_document(), Some(Document::Index(_)));
    let mut index = Vec::new();
    // Charts, signatures and the like are for no platform. An index around a manifest is another thing than the manifest.
    if one.digest() != other.digest() && (platforms.is_empty() || (whole && manifests)) {
        let told = |artifact: &Artifact| match is_index(artifact) {
            true if is_index(one) != is_index(other) => Some(format!("{}, an index around it", artifact.digest())),
            _ => Some(artifact.digest().to_string()),
        };
        let of = if is_index(one) && is_index(other) { "index" } else { "manifest" };
        index.push(Difference { of: of.to_owned(), first: told(one), second: told(other) });
    }
    let names = [first.text.clone(), second.text.clone()];
    Ok(Comparison { names, digests: [one.digest(), other.digest()], platforms, index })
}

/// Why layers cannot be read: those of a registry are not to be had, or what was had is wrong.
pub(super) fn unread<'p>(error: BaseError, places: impl IntoIterator<Item = &'p Place>) -> Failure {
    let is_remote = places.into_iter().any(|place| matches!(place, Place::Registry(_)));
    let code = match &error {
        BaseError::Bytes { .. } if is_remote => Code::Network,
        _ => Code::Failed,
    };
    Failure::new(code, error)
}

fn between(
    [first, second]: [&Image; 2],
    [one, other]: [&Party<'_>; 2],
    manifests: bool,
    store: &BlobStore,
    reporter: &Reporter,
) -> Result<ImageDifference, BaseError> {
    let id = |image: &Image| match manifests {
        true => Some(image.manifest.digest()),
        false => image.config.as_ref().map(|config| config.digest()),
    };
    let side = |image, party: &Party<'_>| Side::of(image, party.artifact.source().clone());
    let (Some(before), Some(now)) = (side(first, one), side(second, other)) else {
        return Ok(ImageDifference::default());
    };
    let mut difference = difference::compare(&before, &now, manifests, store, reporter)?;
    if id(first) != id(second) && difference.is_empty() {
        // Other blanks, or fields that nobody knows.
        let digest = |image| id(image).map(|digest| digest.to_string());
        let of = if manifests { "text of the manifest" } else { "text of the config" };
        let (first, second) = (digest(first), digest(second));
        difference.documents.push(Difference { of: of.to_owned(), first, second });
    }
    Ok(difference)
}

impl Comparison {
    /// What the first is called.
    pub(super) fn first_name(&self) -> &str {
        &self.names[0]
    }

    /// Whether nothing differs.
    pub(super) fn is_same(&self) -> bool {
        self.count() == 0
    }

    /// How many things differ.
    pub(super) fn count(&self) -> usize {
        let of = |platform: &Platform| platform.difference.as_ref().map_or(1, ImageDifference::count);
        // That an index is another follows from what it lists.
        match self.platforms.iter().map(of).sum() {
            0 => self.index.len(),
            count => count,
        }
    }

    /// The first thing that differs, in words; nothing where nothing does.
    pub(super) fn first(&self) -> Option<String> {
        let several = self.platforms.len() > 1;
        let told = |platform: &Platform| {
            let name = bare(&platform.name);
            Some(match (&platform.sides, &platform.difference) {
                (_, Some(difference)) if several => format!("{name}: {}", first_of(difference)?),
                (_, Some(difference)) => first_of(difference)?,
                ([Some(_), _], None) => format!("only {} has {name}", self.names[0]),
                _ => format!("only {} has {name}", self.names[1]),
            })
        };
        self.platforms.iter().find_map(told).or_else(|| self.index.first().map(words))
    }

    /// For people: short, or with every path.
    pub(super) fn text(&self, all: bool) -> String {
        let [first, second] = &self.names;
        if self.is_same() {
            let digest = match self.digests[0] == self.digests[1] {
                true => self.digests[0].to_string(),
                // From places that keep no manifests, and of indexes where one platform was asked for.
                false => self
                    .platforms
                    .iter()
                    .find_map(|p| p.sides[0].as_ref())
                    .map_or_else(String::new, |s| s.id.to_string()),
            };
            return format!("the same\t{digest}\n");
        }
        let mut out = String::new();
        for (sign, name, digest) in [("-", first, self.digests[0]), ("+", second, self.digests[1])] {
            out.push_str(&format!("{sign} {}  {digest}\n", bare(name)));
        }
        for difference in self.index.iter().filter(|_| self.platforms.iter().all(Platform::is_same)) {
            out.push_str(&format!("  {}\n", words(difference)));
        }
        for platform in &self.platforms {
            let name = bare(&platform.name);
            match (&platform.sides, &platform.difference) {
                (_, Some(_)) if platform.is_same() => out.push_str(&format!("{name}  the same\n")),
                (sides, Some(difference)) => {
                    out.push_str(&format!("{name}\n"));
                    image_text(sides, difference, all, &mut out);
                }
                ([Some(_), _], None) => out.push_str(&format!("{name}  only in {}\n", bare(first))),
                _ => out.push_str(&format!("{name}  only in {}\n", bare(second))),
            }
        }
        out
    }

    /// For machines, with everything (docs/json.md).
    pub(super) fn json(&self) -> Value {
        let side = |at: usize| json!({ "place": self.names[at], "digest": self.digests[at] });
        json!({
            "same": self.is_same(),
            "first": side(0),
            "second": side(1),
            "index": self.index.iter().map(setting_json).collect::<Vec<_>>(),
            "platforms": self.platforms.iter().map(Platform::json).collect::<Vec<_>>(),
        })
    }
}

impl Platform {
    fn is_same(&self) -> bool {
        self.difference.as_ref().is_some_and(ImageDifference::is_empty)
    }

    fn json(&self) -> Value {
        let Platform { name, sides: [first, second], difference } = self;
        let nothing = ImageDifference::default();
        let ImageDifference { settings, documents, layers, packages, files } = difference.as_ref().unwrap_or(&nothing);
        let package = |change: &difference::PackageChange| json!({ "kind": change.kind.word(), "name": change.name, "first": change.from, "second": change.to });
        json!({
            "platform": name,
            "same": self.is_same(),
            "first": first.as_ref().map(Summary::json),
            "second": second.as_ref().map(Summary::json),
            "config": settings.iter().map(setting_json).collect::<Vec<_>>(),
            "documents": documents.iter().map(setting_json).collect::<Vec<_>>(),
            "layers": layers.iter().map(layer_json).collect::<Vec<_>>(),
            "packages": packages.iter().map(package).collect::<Vec<_>>(),
            "files": files.iter().map(file_json).collect::<Vec<_>>(),
        })
    }
}

fn setting_json(Difference { of, first, second }: &Difference) -> Value {
    json!({ "of": of, "first": first, "second": second })
}

fn layer_json(LayerPair { fate, title, first, second }: &LayerPair) -> Value {
    let side = |side: &Option<(Descriptor, DiffId)>| {
        side.as_ref().map(
            |(descriptor, diff_id)| json!({ "digest": descriptor.digest, "diff_id": diff_id, "size": descriptor.size }),
        )
    };
    json!({ "status": fate.word(), "title": title, "first": side(first), "second": side(second) })
}

fn file_json(change: &Change) -> Value {
    let status = match (&change.first, &change.second) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    json!({
        "path": format!("/{}", String::from_utf8_lossy(change.path.as_bytes())),
        "status": status,
        "how": change.how(),
        "first": change.first.as_ref().map(entry_json),
        "second": change.second.as_ref().map(entry_json),
    })
}

/// What stands at a path.
pub(super) fn entry_json(entry: &Entry) -> Value {
    let (size, digest, target) = match &entry.what {
        Standing::File { length, digest } => (Some(*length), Some(*digest), None),
        Standing::Symlink(target) => (None, None, Some(String::from_utf8_lossy(target).into_owned())),
        _ => (None, None, None),
    };
    let kind = if entry.what == Standing::Special { "special" } else { entry.what.word() };
    json!({
        "kind": kind,
        "mode": format!("{:04o}", entry.mode),
        "owner": entry.owner.to_string(),
        "size": size,
        "digest": digest,
        "target": target,
        "capabilities": entry.capabilities.as_ref().map(ToString::to_string),
    })
}

/// `env PORT: 8080 → 9090`.
fn words(Difference { of, first, second }: &Difference) -> String {
    let of = said(of);
    match (first, second) {
        (None, Some(second)) => format!("{of} is new: {}", said(second)),
        (Some(first), None) => format!("{of} is gone: {}", said(first)),
        (first, second) => {
            let side = |side: &Option<String>| said(side.as_deref().unwrap_or_default());
            format!("{of}: {} → {}", side(first), side(second))
        }
    }
}

fn first_of(difference: &ImageDifference) -> Option<String> {
    let ImageDifference { settings, documents, layers, packages, files } = difference;
    let settings = || settings.first().map(words);
    let packages = || packages.first().map(|change| format!("{} {change}", change.kind.word()));
    let files = || files.first().map(|change| format!("{} {}", change.path, fate_of(change)));
    let layers = || layers.iter().find(|layer| layer.fate != LayerFate::Same).map(layer_words);
    let documents = || documents.first().map(words);
    settings().or_else(packages).or_else(files).or_else(layers).or_else(documents)
}

fn fate_of(change: &Change) -> String {
    match (&change.first, &change.second) {
        (None, _) => "is new".to_owned(),
        (_, None) => "is gone".to_owned(),
        (Some(first), Some(second)) => format!("differs: {}", how(change, first, second)),
    }
}

/// In what the two differ, with both sides of what can be said in a word.
fn how(change: &Change, first: &Entry, second: &Entry) -> String {
    let told = change.how().into_iter().map(|how| match (how.as_str(), &first.what, &second.what) {
        ("contents", Standing::File { length: from, .. }, Standing::File { length: to, .. }) if from != to => {
            format!("contents ({} → {})", bytes(*from), bytes(*to))
        }
        ("target", Standing::Symlink(from), Standing::Symlink(to)) => {
            let [from, to] = [from, to].map(|target| bare(&String::from_utf8_lossy(target)));
            format!("target {from} → {to}")
        }
        ("capabilities", ..) => {
            let text = |entry: &Entry| entry.capabilities.as_ref().map_or("none".to_owned(), ToString::to_string);
            format!("capabilities {} → {}", text(first), text(second))
        }
        _ => how,
    });
    told.collect::<Vec<_>>().join(", ")
}

fn layer_words(LayerPair { fate, title, first, second }: &LayerPair) -> String {
    let size = |side: &Option<(Descriptor, DiffId)>| side.as_ref().map(|(descriptor, _)| bytes(descriptor.size));
    let sizes = match (size(first), size(second)) {
        (Some(first), Some(second)) if first != second => format!("{first} → {second}"),
        (first, second) => second.or(first).unwrap_or_default(),
    };
    let title = title.as_deref().map_or_else(|| "a layer without a line of history".to_owned(), said);
    format!("{:<12}  {title}  {sizes}", fate.word())
}

fn image_text(sides: &[Option<Summary>; 2], difference: &ImageDifference, all: bool, out: &mut String) {
    let ImageDifference { settings, documents, layers, packages, files } = difference;
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    if !settings.is_empty() {
        line("  config".to_owned());
        settings.iter().for_each(|difference| line(format!("    {}", words(difference))));
    }
    if difference.is_of_documents() {
        line("  documents".to_owned());
        documents.iter().for_each(|difference| line(format!("    {}", words(difference))));
    }
    let fates = [LayerFate::Same, LayerFate::Recompressed, LayerFate::Changed, LayerFate::Added, LayerFate::Removed];
    let count = |fate: LayerFate| match layers.iter().filter(|layer| layer.fate == fate).count() {
        0 => None,
        count if fate == LayerFate::Same => Some(format!("{count} the same")),
        count => Some(format!("{count} {}", fate.word())),
    };
    let counts: Vec<String> = fates.into_iter().filter_map(count).collect();
    let sizes = match sides {
        [Some(first), Some(second)] if first.size != second.size => {
            let sign = if second.size > first.size { "+" } else { "-" };
            let by = bytes(second.size.abs_diff(first.size));
            format!("; {} → {} ({sign}{by})", bytes(first.size), bytes(second.size))
        }
        [_, Some(second)] => format!("; {}", bytes(second.size)),
        _ => String::new(),
    };
    line(format!("  layers    {}{sizes}", counts.join(", ")));
    layers
        .iter()
        .filter(|layer| layer.fate != LayerFate::Same)
        .for_each(|layer| line(format!("    {}", layer_words(layer))));
    if !packages.is_empty() {
        line(format!("  packages  {}", packages.len()));
        packages.iter().for_each(|change| line(format!("    {:<6}  {change}", change.kind.word())));
    }
    if !files.is_empty() {
        line(format!("  files     {}", count_text(Count::of(files))));
        let rows = if all { files.iter().map(Row::Path).collect() } else { difference::outline(files, LINES) };
        let is_short = rows.iter().any(|row| matches!(row, Row::Below { .. }));
        rows.iter().for_each(|row| line(format!("    {}", row_text(row))));
        if is_short {
            line("    (--all names every path)".to_owned());
        }
    }
}

fn row_text(row: &Row<'_>) -> String {
    match row {
        Row::Below { directory, count } => format!("* {directory}/…  {}", count_text(*count)),
        Row::Path(change) => {
            let Change { path, first, second } = change;
            let told = |entry: &Entry| match &entry.what {
                Standing::File { length, .. } => bytes(*length),
                Standing::Symlink(target) => format!("-> {}", bare(&String::from_utf8_lossy(target))),
                other => other.word().to_owned(),
            };
            match (first, second) {
                (None, Some(entry)) => format!("+ {path}  {}", told(entry)),
                (Some(entry), None) => format!("- {path}  {}", told(entry)),
                (Some(first), Some(second)) => format!("~ {path}  {}", how(change, first, second)),
                (None, None) => path.to_string(),
            }
        }
    }
}

fn count_text(Count { added, removed, changed }: Count) -> String {
    let counts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let told = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    told.collect::<Vec<_>>().join(", ")
}

fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
