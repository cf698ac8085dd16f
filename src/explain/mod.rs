//! Why an image is another than the one before it: layer by layer, down to the files and packages that changed.
//!
//! Two images are compared, and nothing else: what a cache holds plays no part, so that the same question has the same
//! answer, however often it is asked. Layers are told apart by their diff IDs, and paired by their lines of history; only
//! pairs that differ are read.

mod contents;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use contents::{ContentsError, FileChange, FileFate, Kind, PackageChange};

use crate::layer::Layer;
use crate::migrate::compare::{self, Difference};
use crate::oci::{Descriptor, DiffId, ImageConfig, Manifest, annotation};
use crate::place::BlobSource;
use crate::shown::with_causes;
use crate::tree::TreePath;
use contents::Contents;

/// An image for one platform, and where its layers are.
#[derive(Clone)]
pub struct Side<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// Its config.
    pub config: &'a ImageConfig,
    /// Where its layers are.
    pub bytes: Arc<dyn BlobSource>,
}

/// How an image came to be what it is, as seen from the one before it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The layers that the recipe does not make; nothing where there are none, and were none.
    pub base: Option<BaseStory>,
    /// The layers that the recipe makes, lowest first.
    pub layers: Vec<LayerStory>,
    /// The lines of history of layers that are not there any more.
    pub gone: Vec<String>,
    /// Settings, annotations and the like that differ; none where there was no image before.
    pub settings: Vec<Difference>,
}

/// The layers below those that a recipe makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseStory {
    /// How many they are.
    pub layers: usize,
    /// Their length in bytes, as they are stored.
    pub size: u64,
    /// What became of them.
    pub fate: BaseFate,
}

/// What became of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseFate {
    /// It is the same.
    Same,
    /// There was no image before.
    New,
    /// It is another.
    Moved {
        /// Its reference, where the image names it.
        name: Option<String>,
        /// Its digest before, where the image said it.
        from: Option<String>,
        /// Its digest now.
        to: Option<String>,
        /// How many of its layers are still the same, counted from the lowest.
        kept: usize,
    },
}

/// A layer that a recipe makes.
#[derive(Clone, Debug)]
pub struct LayerStory {
    /// What it is called.
    pub title: String,
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// What became of it.
    pub fate: LayerFate,
}

/// What became of a layer.
#[derive(Clone, Debug)]
pub enum LayerFate {
    /// The image before has it.
    Same,
    /// The image before has nothing like it.
    New,
    /// The image before has the same files, compressed in another way.
    Recompressed,
    /// The image before has another in its place.
    Changed(Changes),
}

/// In what a layer differs from the one before it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The line of history before, where the recipe's layer itself is another.
    pub was: Option<String>,
    /// Packages that came, went, or have another version.
    pub packages: Vec<PackageChange>,
    /// Paths that came, went, or are others.
    pub files: Vec<FileChange>,
    /// Into how many layers it is cut.
    pub parts: usize,
    /// Why it is not known, where one of the two cannot be read.
    pub unread: Option<String>,
}

/// A layer with its line of history.
struct Line<'a> {
    descriptor: &'a Descriptor,
    diff_id: DiffId,
    created_by: Option<&'a str>,
}

impl Line<'_> {
    /// What all parts of a layer have in common.
    fn stem(&self) -> Option<&str> {
        self.created_by.map(stem)
    }
}

/// A text without ` (part 2 of 5)`.
fn stem(text: &str) -> &str {
    match text.rsplit_once(" (part ") {
        Some((stem, part)) if part.ends_with(')') => stem,
        _ => text,
    }
}

/// What a layer is called where its line of history begins with its name.
fn name_of(line: &str) -> Option<&str> {
    stem(line).split_once(": ").map(|(name, _)| name)
}

/// The layers of an image, lowest first. Lines are counted from the top: a base's may be fewer than its layers.
fn lines<'a>(side: &Side<'a>) -> Vec<Line<'a>> {
    let layers: Vec<_> = side.manifest.layers.iter().zip(&side.config.rootfs.diff_ids).collect();
    let mut history = side.config.history.iter().rev().filter(|line| !line.empty_layer);
    let line = |(descriptor, diff_id): (&'a Descriptor, &'a DiffId)| Line {
        descriptor,
        diff_id: *diff_id,
        created_by: history.next().and_then(|line| line.created_by.as_deref()),
    };
    let mut lines: Vec<Line<'a>> = layers.into_iter().rev().map(line).collect();
    lines.reverse();
    lines
}

/// Explains an image, of which the recipe makes those layers, by the one before it.
pub fn explain(before: Option<&Side<'_>>, now: &Side<'_>, made: &[(String, Layer)]) -> Explanation {
    let new = lines(now);
    let foreign = new.len().saturating_sub(made.len());
    let (base, own) = new.split_at(foreign);
    let old = before.map(lines).unwrap_or_default();
    let pairs = pair(base, own, &old);

    let base_story = (!base.is_empty() || pairs.old_base > 0).then(|| BaseStory {
        layers: base.len(),
        size: base.iter().map(|line| line.descriptor.size).sum(),
        fate: match before {
            None => BaseFate::New,
            Some(_) if same(base, old.get(..pairs.old_base).unwrap_or_default()) => BaseFate::Same,
            Some(before) => BaseFate::Moved {
                name: said(now, annotation::BASE_NAME),
                from: said(before, annotation::BASE_DIGEST),
                to: said(now, annotation::BASE_DIGEST),
                kept: base.iter().zip(&old).take_while(|(now, before)| now.diff_id == before.diff_id).count(),
            },
        },
    });

    let mut fates: Vec<LayerFate> = own.iter().map(|_| LayerFate::New).collect();
    for (line, fate) in own.iter().zip(&mut fates) {
        if let Some(partner) = old.iter().find(|old| old.diff_id == line.diff_id) {
            *fate = match partner.descriptor.digest == line.descriptor.digest {
                true => LayerFate::Same,
                false => LayerFate::Recompressed,
            };
        }
    }
    if let Some(before) = before {
        for group in &pairs.groups {
            for (number, changes) in differences(group, before, now, own, &old) {
                if let Some(fate) = fates.get_mut(number) {
                    *fate = LayerFate::Changed(changes);
                }
            }
        }
    }
    let story = |((line, fate), (title, _)): ((&Line<'_>, LayerFate), &(String, Layer))| LayerStory {
        title: title_of(title, line),
        descriptor: line.descriptor.clone(),
        diff_id: line.diff_id,
        fate,
    };
    let gone = pairs.gone.iter().filter_map(|number| old.get(*number));
    Explanation {
        base: base_story,
        layers: own.iter().zip(fates).zip(made).map(story).collect(),
        gone: gone.map(|line| line.created_by.unwrap_or("a layer without a line of history").to_owned()).collect(),
        settings: before.map(|before| settings(before, now)).unwrap_or_default(),
    }
}

fn same(first: &[Line<'_>], second: &[Line<'_>]) -> bool {
    first.len() == second.len() && first.iter().zip(second).all(|(first, second)| first.diff_id == second.diff_id)
}

/// A layer's name, where the recipe gives it one; else what it does.
fn title_of(title: &str, line: &Line<'_>) -> String {
    match line.created_by {
        Some(created_by) if name_of(created_by) != Some(stem(title)) => created_by.to_owned(),
        _ => title.to_owned(),
    }
}

/// What an image says of itself, in its annotations or, in Docker's format, in its labels.
fn said(side: &Side<'_>, key: &str) -> Option<String> {
    side.manifest.annotations.get(key).or_else(|| side.config.config.labels.get(key)).cloned()
}

/// Layers that differ and belong together: the parts of one layer of the recipe, by number, now and before.
struct Group {
    now: Vec<usize>,
    before: Vec<usize>,
    parts: usize,
}

/// What belongs to what.
struct Pairs {
    /// As many of the old layers are those of a base.
    old_base: usize,
    groups: Vec<Group>,
    /// Old layers that nothing took the place of.
    gone: Vec<usize>,
}

/// Pairs layers that differ: those with the same line of history, then those with the same name, then, where as many are
/// left on both sides, those in the same order.
fn pair(base: &[Line<'_>], own: &[Line<'_>], old: &[Line<'_>]) -> Pairs {
    let known: BTreeSet<DiffId> = own.iter().map(|line| line.diff_id).collect();
    let same_base = old.get(..base.len()).is_some_and(|old| same(base, old));
    let first = if same_base { base.len() } else { 0 };
    let mut left: Vec<usize> = (first..old.len())
        .filter(|number| old.get(*number).is_some_and(|line| !known.contains(&line.diff_id)))
        .collect();
    let there: BTreeSet<DiffId> = old.iter().map(|line| line.diff_id).collect();
    let mut groups: Vec<Group> = Vec::new();
    for (number, line) in own.iter().enumerate().filter(|(_, line)| !there.contains(&line.diff_id)) {
        let is_of = |group: &&mut Group| {
            let other = group.now.first().and_then(|number| own.get(*number));
            line.stem().is_some() && line.created_by != line.stem() && other.and_then(Line::stem) == line.stem()
        };
        match groups.last_mut().filter(|group| is_of(group)) {
            Some(group) => group.now.push(number),
            None => {
                let parts = match line.created_by == line.stem() {
                    true => 1,
                    false => own.iter().filter(|other| other.stem() == line.stem()).count(),
                };
                groups.push(Group { now: vec![number], before: Vec::new(), parts });
            }
        }
    }
    let rules: [fn(&str, &str) -> bool; 2] =
        [|now, before| now == before, |now, before| name_of(now).is_some() && name_of(now) == name_of(before)];
    for rule in rules {
        for group in groups.iter_mut().filter(|group| group.before.is_empty()) {
            let Some(now) = group.now.first().and_then(|number| own.get(*number)?.stem()) else { continue };
            let stem_of = |number: &usize| old.get(*number).and_then(Line::stem);
            // All parts of the first that fits.
            let Some(wanted) = left.iter().filter_map(stem_of).find(|before| rule(now, before)) else { continue };
            let mut whole = false;
            for number in &left {
                if let Some(line) = old.get(*number)
                    && line.stem() == Some(wanted)
                    && !whole
                {
                    group.before.push(*number);
                    whole = line.created_by == Some(wanted);
                }
            }
            left.retain(|number| !group.before.contains(number));
        }
    }
    // Below the first layer that belongs to something stands what the old image stood on.
    let old_base = match same_base {
        true => base.len(),
        false => {
            let leading = left.iter().enumerate().take_while(|(place, number)| place == *number).count();
            let is_ours = |line: &Line<'_>| line.descriptor.annotations.contains_key(annotation::LAYER_KEY);
            let foreign = old.iter().take(leading).take_while(|line| !is_ours(line)).count();
            if foreign == 0 { leading.min(base.len()) } else { foreign }
        }
    };
    left.retain(|number| *number >= old_base);
    let open = groups.iter().filter(|group| group.before.is_empty()).count();
    if open == left.len() {
        let mut rest = left.drain(..);
        for group in groups.iter_mut().filter(|group| group.before.is_empty()) {
            group.before.extend(rest.next());
        }
    }
    Pairs { old_base, groups, gone: left }
}

/// What changed in each layer of a group.
fn differences(
    group: &Group,
    before: &Side<'_>,
    now: &Side<'_>,
    own: &[Line<'_>],
    old: &[Line<'_>],
) -> Vec<(usize, Changes)> {
    if group.before.is_empty() {
        return Vec::new();
    }
    let stem_at = |lines: &[Line<'_>], numbers: &[usize]| {
        numbers.first().and_then(|number| lines.get(*number)).and_then(Line::stem).map(str::to_owned)
    };
    let (is, was) = (stem_at(own, &group.now), stem_at(old, &group.before));
    let was = was.filter(|was| Some(was) != is.as_ref());
    let empty = Changes { was, parts: group.parts, ..Changes::default() };
    let read = || -> Result<(Contents, Vec<Contents>, Contents), ContentsError> {
        let (mut then, mut each, mut all) = (Contents::default(), Vec::new(), Contents::default());
        for line in group.before.iter().filter_map(|number| old.get(*number)) {
            then.add(line.descriptor, &*before.bytes)?;
        }
        for line in group.now.iter().filter_map(|number| own.get(*number)) {
            let mut one = Contents::default();
            one.add(line.descriptor, &*now.bytes)?;
            all.join(&one);
            each.push(one);
        }
        Ok((then, each, all))
    };
    let (then, each, all) = match read() {
        Ok(read) => read,
        Err(error) => {
            let unread = Some(with_causes(&error));
            return group
                .now
                .iter()
                .map(|number| (*number, Changes { unread: unread.clone(), ..empty.clone() }))
                .collect();
        }
    };
    let mut files = all.since(&then, group.parts > 1);
    let mut packages = all.packages_since(&then);
    let mut found = Vec::new();
    for (place, (number, contents)) in group.now.iter().zip(&each).enumerate() {
        // What is gone is told once.
        let is_here = |path: &TreePath| contents.has(path) || (place == 0 && !all.has(path));
        let (here, rest): (Vec<_>, Vec<_>) = files.into_iter().partition(|(path, _)| is_here(path));
        files = rest;
        let files = here.into_iter().map(|(_, change)| change).collect();
        found.push((*number, Changes { files, packages: std::mem::take(&mut packages), ..empty.clone() }));
    }
    found
}

/// What else differs: settings, annotations, the date, the format.
fn settings(before: &Side<'_>, now: &Side<'_>) -> Vec<Difference> {
    let is_of_base = |key: &str| key.starts_with("org.opencontainers.image.base.");
    let mut found = compare::settings(&before.config.config, &now.config.config);
    found.retain(|difference| !difference.of.strip_prefix("label ").is_some_and(is_of_base));
    let mut put = |of: String, first: Option<String>, second: Option<String>| {
        if first != second {
            found.push(Difference { of, first, second });
        }
    };
    let keys: BTreeSet<&String> = before.manifest.annotations.keys().chain(now.manifest.annotations.keys()).collect();
    for key in keys.into_iter().filter(|key| !is_of_base(key)) {
        let value = |annotations: &BTreeMap<String, String>| annotations.get(key).cloned();
        put(format!("annotation {key}"), value(&before.manifest.annotations), value(&now.manifest.annotations));
    }
    let config_type = |side: &Side<'_>| Some(side.manifest.config.media_type.to_string());
    put("format".to_owned(), config_type(before), config_type(now));
    put("date".to_owned(), before.config.created.clone(), now.config.created.clone());
    found
}
