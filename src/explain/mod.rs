//! Why an image is another than the one before it: layer by layer, down to the files and packages that changed.
//!
//! Two images are compared, and nothing else: what a cache holds plays no part, so that the same question has the same
//! answer, however often it is asked. Layers are told apart by their diff IDs, and paired by their lines of history; only
//! pairs that differ are read.

mod files;

pub use files::{FileChange, FileFate};

use crate::base::{BaseError, StackLayer};
use crate::difference::{
    self, Contents, Difference, Group, Line, PackageChange, Side, are_same, lines, name_of, pair, stem,
};
use crate::layer::Layer;
use crate::limits::Limits;
use crate::logins::hide_credentials;
use crate::oci::{Descriptor, DiffId, annotation};
use crate::report::Reporter;
use crate::shown::with_causes;
use crate::store::BlobStore;
use crate::tree::TreePath;

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

/// Explains an image, of which the recipe makes those layers, by the one before it.
///
/// Layers that differ are read, and what they hold is remembered in the store. Those that are stored as other blobs are
/// read too: that they hold the same files is only what the config says.
pub fn explain(
    before: Option<&Side<'_>>,
    now: &Side<'_>,
    made: &[(String, Layer)],
    store: &BlobStore,
    reporter: &Reporter,
) -> Explanation {
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
            Some(before) if is_whole(before, base, old.get(..pairs.old_base).unwrap_or_default(), reporter) => {
                BaseFate::Same
            }
            Some(before) => BaseFate::Moved {
                name: said(now, annotation::BASE_NAME).as_deref().map(hide_credentials),
                from: said(before, annotation::BASE_DIGEST),
                to: said(now, annotation::BASE_DIGEST),
                kept: base
                    .iter()
                    .zip(&old)
                    .take_while(|(now, old)| {
                        now.diff_id == old.diff_id && is_honest(before, now, old, reporter).is_ok()
                    })
                    .count(),
            },
        },
    });

    let told = matches!(&base_story, Some(BaseStory { fate: BaseFate::Moved { .. }, .. }));

    let mut fates: Vec<LayerFate> = own.iter().map(|_| LayerFate::New).collect();
    for (line, fate) in own.iter().zip(&mut fates) {
        if let Some(partner) = old.iter().find(|old| old.diff_id == line.diff_id) {
            *fate = match partner.descriptor.digest == line.descriptor.digest {
                true => LayerFate::Same,
                false => LayerFate::Recompressed,
            };
            if let Some(Err(error)) = before.map(|before| is_honest(before, line, partner, reporter)) {
                let unread = Some(with_causes(&error));
                *fate = LayerFate::Changed(Changes { unread, parts: 1, ..Changes::default() });
            }
        }
    }
    if let Some(before) = before {
        for group in &pairs.groups {
            for (number, changes) in differences(group, before, now, [own, &old], store, reporter) {
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
    let mut settings = before.map(|before| settings(before, now, told)).unwrap_or_default();
    let is_same = !told && pairs.gone.is_empty() && fates.iter().all(|fate| matches!(fate, LayerFate::Same));
    if let Some(before) = before.filter(|_| is_same && settings.is_empty()) {
        // Whatever makes it another image is told, if it has to be what nobody looks at first.
        settings = difference::rest(before, now, true);
    }
    let gone = pairs.gone.iter().filter_map(|number| old.get(*number));
    Explanation {
        base: base_story,
        layers: own.iter().zip(fates).zip(made).map(story).collect(),
        gone: gone.map(|line| line.created_by.unwrap_or("a layer without a line of history").to_owned()).collect(),
        settings,
    }
}

/// Whether a layer of the image before is what its config says, where it is stored as another blob than the same layer now.
fn is_honest(before: &Side<'_>, now: &Line<'_>, old: &Line<'_>, reporter: &Reporter) -> Result<(), BaseError> {
    match now.descriptor.digest == old.descriptor.digest {
        true => Ok(()),
        false => before.check_layer(old, reporter),
    }
}

/// Whether both stand on the same base, with each of its layers as the config before says.
fn is_whole(before: &Side<'_>, now: &[Line<'_>], old: &[Line<'_>], reporter: &Reporter) -> bool {
    are_same(now, old) && now.iter().zip(old).all(|(now, old)| is_honest(before, now, old, reporter).is_ok())
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

/// What changed in each layer of a group; the lines are those now and those before.
fn differences(
    group: &Group,
    before: &Side<'_>,
    now: &Side<'_>,
    [own, old]: [&[Line<'_>]; 2],
    store: &BlobStore,
    reporter: &Reporter,
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
    let layers = |side: &Side<'_>, lines: &[Line<'_>], numbers: &[usize]| -> Vec<StackLayer> {
        let layer = |line: &Line<'_>| StackLayer {
            descriptor: line.descriptor.clone(),
            diff_id: line.diff_id,
            bytes: side.bytes.clone(),
            limits: Limits::default(),
        };
        numbers.iter().filter_map(|number| lines.get(*number)).map(layer).collect()
    };
    let read = || -> Result<(Contents, Vec<Contents>, Contents), BaseError> {
        let then = Contents::of_layers(&layers(before, old, &group.before), store, reporter)?;
        let (mut each, mut all) = (Vec::new(), Contents::default());
        for layer in layers(now, own, &group.now) {
            let one = Contents::of_layers(&[layer], store, reporter)?;
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
    let mut files = then.entries.changes_told(&all.entries, group.parts > 1);
    let mut packages = then.packages.changes(&all.packages);
    let mut found = Vec::new();
    for (place, (number, contents)) in group.now.iter().zip(&each).enumerate() {
        // What is gone is told once.
        let has = |contents: &Contents, path: &TreePath| contents.entries.0.contains_key(path);
        let is_here = |path: &TreePath| has(contents, path) || (place == 0 && !has(&all, path));
        let (here, rest): (Vec<_>, Vec<_>) = files.into_iter().partition(|change| is_here(&change.path));
        files = rest;
        let files = here.iter().map(FileChange::of).collect();
        found.push((*number, Changes { files, packages: std::mem::take(&mut packages), ..empty.clone() }));
    }
    found
}

/// What else differs: settings, annotations, the date, the format. What is said of a base that moved is told with the base.
fn settings(before: &Side<'_>, now: &Side<'_>, base_is_told: bool) -> Vec<Difference> {
    let mut found = difference::settings(&before.config.config, &now.config.config);
    found.extend(difference::of_documents(before, now, true));
    let is_of_base = |of: &str| {
        let key = of.strip_prefix("label ").or(of.strip_prefix("annotation "));
        key.is_some_and(|key| key.starts_with("org.opencontainers.image.base."))
    };
    found.retain(|difference| !(base_is_told && is_of_base(&difference.of)));
    found
}
