//! `lapstrake inspect`: what is in an image.

mod file;
mod text;

use lapstrake::code::ErrorCode;
use lapstrake::difference::{self, ImageContents, Side};
use lapstrake::logins::{hide_credentials, hide_logins};
use lapstrake::oci::{History, annotation};
use lapstrake::place::{Artifact, Image, Place, read_artifacts};
use lapstrake::report::Reporter;
use lapstrake::shown::with_causes;
use lapstrake::store::BlobStore;
use lapstrake::tree::{Located, Node, NodeKind, TreePath};
use lapstrake::validate;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::args::{Global, InspectArgs};
use super::comparison::{entry_json, unread};
use super::environment::{LazyRegistries, open_source, open_store};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::log::{self, Lines};
use super::meant;
use super::progress::Progress;
use super::transfer::{code_of, pick};
use super::{print_json, print_with};

/// As many of the largest files are named.
const LARGEST: usize = 10;

/// Runs it.
pub(crate) fn run(global: &Global, args: &InspectArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let platforms = match &args.platform {
        Some(platform) => vec![meant::platform(platform)?],
        None => Vec::new(),
    };
    let store = open_store(global, &reporter)?;
    let registries = LazyRegistries::new(global, &reporter);
    let (source, place) = open_source(&args.source, &store, &registries)?;
    let picked = pick(args.image.as_deref(), &place);
    let artifacts = read_artifacts(&source, picked.as_ref(), &platforms).or_fail(code_of(&place))?;
    if let Some(path) = &args.cat {
        return file::print(path, &artifacts, &args.source, &place, &store, &reporter);
    }
    let looking = Looking { args, place: &place, store: &store, reporter: &reporter };
    let mut all = Vec::new();
    for artifact in &artifacts {
        all.push(looking.artifact(artifact)?);
    }
    match args.json {
        true => print_json(&all)?,
        false => print_with(|out| text::write(&all, args.packages, out))?,
    }
    if args.validate {
        let findings = validate::artifacts(&artifacts);
        for finding in &findings {
            log::write(&Lines::told(&hide_logins(&finding.to_string())));
        }
        if !validate::is_sound(&findings) {
            return Err(Failure::told(Code::Different, ErrorCode::NotSound, format!("{} is not sound", args.source)));
        }
        let count = match artifacts.len() {
            1 => "1 image".to_owned(),
            count => format!("{count} images"),
        };
        reporter.note(format!("{count}: every digest, size, diff ID and form is right"));
    }
    Ok(())
}

/// What is looked at, and how closely.
struct Looking<'a> {
    args: &'a InspectArgs,
    place: &'a Place,
    store: &'a BlobStore,
    reporter: &'a Reporter,
}

/// What is said of an artifact.
struct Told {
    /// All but its images.
    rest: Value,
    images: Vec<ToldImage>,
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_key(&self.rest, Some(("images", &self.images)), serializer)
    }
}

/// What is said of an image.
struct ToldImage {
    /// All but its files.
    rest: Value,
    /// What it holds, where its files are asked for: there may be very many, and each is put into words when it is written.
    contents: Option<ImageContents>,
}

impl Serialize for ToldImage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let files = self.contents.as_ref().map(Files);
        with_key(&self.rest, files.as_ref().map(|files| ("files", files)), serializer)
    }
}

struct Files<'a>(&'a ImageContents);

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.rootfs().iter().map(|(path, node)| file_json(self.0, path, node)))
    }
}

/// An object with one key more, in the order of all objects: that of the keys.
fn with_key<S: Serializer>(
    object: &Value,
    more: Option<(&str, &impl Serialize)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let mut more = more;
    for (key, value) in object.as_object().into_iter().flatten() {
        if let Some((key, value)) = more.take_if(|(more, _)| *more < key.as_str()) {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry(key, value)?;
    }
    if let Some((key, value)) = more {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

impl Looking<'_> {
    fn artifact(&self, artifact: &Artifact) -> Outcome<Told> {
        let images = artifact.images().into_iter().filter_map(|image| self.image(artifact, image).transpose());
        let rest = json!({
            "name": artifact.shown(),
            "names": artifact.all_names(),
            "digest": artifact.digest(),
            "media_type": artifact.root().media_type,
        });
        Ok(Told { rest, images: images.collect::<Outcome<_>>()? })
    }

    fn image(&self, artifact: &Artifact, image: &Image) -> Outcome<Option<ToldImage>> {
        let (Some(side), Some(config)) = (Side::of(image, artifact.source().clone()), &image.config) else {
            return Ok(None);
        };
        let said = |key: &str| side.manifest.annotations.get(key).or_else(|| config.config.labels.get(key));
        let base = said(annotation::BASE_NAME)
            .map(|name| json!({ "name": hide_credentials(name), "digest": said(annotation::BASE_DIGEST) }));
        let mut described = json!({
            "platform": config.platform().to_string(),
            "digest": image.manifest.digest(),
            "id": config.digest(),
            "created": config.created,
            "size": side.size(),
            "base": base,
            "annotations": image.manifest.annotations,
            "config": config.config,
            "layers": layers(&side),
            "packages": null,
            "users": null,
            "largest": null,
        });
        let mut contents = self.contents(&side)?;
        if let Some(contents) = &contents {
            let packages = contents.packages(self.store).map_err(|error| unread(error, [self.place]))?;
            described["packages"] = packages
                .iter()
                .map(|(kind, name, version)| json!({ "kind": kind.word(), "name": name, "version": version }))
                .collect();
            described["users"] = contents
                .users(self.store)
                .map_err(|error| unread(error, [self.place]))?
                .iter()
                .map(|user| {
                    json!({
                        "name": user.name, "uid": user.uid, "gid": user.gid, "home": user.home, "shell": user.shell,
                    })
                })
                .collect();
            described["largest"] = largest(contents);
        }
        if !self.args.files {
            contents = None;
        }
        Ok(Some(ToldImage { rest: described, contents }))
    }

    /// What the layers hold. Those of a registry are fetched only where somebody asks for what is in them.
    fn contents(&self, side: &Side<'_>) -> Outcome<Option<ImageContents>> {
        let is_asked = self.args.files || self.args.packages || self.args.contents;
        if matches!(self.place, Place::Registry(_)) && !is_asked {
            return Ok(None);
        }
        match side.contents(self.store, self.reporter) {
            Ok(contents) => Ok(Some(contents)),
            Err(error) if is_asked => Err(unread(error, [self.place])),
            // The rest is worth showing all the same.
            Err(error) => {
                self.reporter.warn(format!("what the layers hold is not shown: {}", with_causes(&error)));
                Ok(None)
            }
        }
    }
}

/// The layers, lowest first, with what made them.
fn layers(side: &Side<'_>) -> Vec<Value> {
    // Counted from the top: a base may have fewer lines than layers.
    let history: Vec<&History> = side.config.history.iter().filter(|line| !line.empty_layer).collect();
    let lines = difference::lines(side);
    let missing = lines.len().saturating_sub(history.len());
    let surplus = history.len().saturating_sub(lines.len());
    let layer = |(number, line): (usize, &difference::Line<'_>)| {
        let history = number.checked_sub(missing).and_then(|number| history.get(number + surplus));
        let descriptor = line.descriptor;
        json!({
            "digest": descriptor.digest,
            "size": descriptor.size,
            "media_type": descriptor.media_type,
            "diff_id": line.diff_id,
            "key": descriptor.annotations.get(annotation::LAYER_KEY),
            "annotations": descriptor.annotations,
            "created_by": history.and_then(|line| line.created_by.as_ref()),
            "created": history.and_then(|line| line.created.as_ref()),
            "comment": history.and_then(|line| line.comment.as_ref()),
        })
    };
    lines.iter().enumerate().map(layer).collect()
}

/// The largest files, those of several names once.
fn largest(contents: &ImageContents) -> Value {
    let mut files: Vec<(u64, &TreePath, Option<usize>)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (path, node) in contents.rootfs().iter() {
        if let NodeKind::File(located) = &node.kind
            && located.length() > 0
        {
            let layer = match located {
                Located::Layer { layer, offset, .. } if !seen.insert((*layer, *offset)) => continue,
                Located::Layer { layer, .. } => Some(*layer + 1),
                _ => None,
            };
            files.push((located.length(), path, layer));
        }
    }
    files.sort_by(|(one, path, _), (other, second, _)| other.cmp(one).then(path.cmp(second)));
    let file = |(size, path, layer): &(u64, &TreePath, Option<usize>)| json!({ "path": full(path), "size": size, "layer": layer });
    files.iter().take(LARGEST).map(file).collect()
}

fn file_json(contents: &ImageContents, path: &TreePath, node: &Node) -> Value {
    let mut value = entry_json(&contents.entry(node));
    value["path"] = json!(full(path));
    value
}

/// The path from the root, as it is.
fn full(path: &TreePath) -> String {
    format!("/{}", String::from_utf8_lossy(path.as_bytes()))
}
