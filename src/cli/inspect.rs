//! `lapstrake inspect`: what is in an image.

use std::io::Write;
use std::sync::Arc;

use lapstrake::base::{LayerStack, StackLayer};
use lapstrake::oci::annotation;
use lapstrake::place::{Artifact, BlobSource, read_artifacts};
use lapstrake::report::Reporter;
use lapstrake::tree::NodeKind;
use lapstrake::validate;
use serde_json::{Value, json};

use super::args::{Global, InspectArgs};
use super::environment::{LazyRegistries, open_source, open_store};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::print;
use super::progress::Progress;
use super::transfer::{code_of, pick};

/// Runs it.
pub(crate) fn run(global: &Global, args: &InspectArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let platforms = match &args.platform {
        Some(platform) => vec![platform.parse().or_fail(Code::Usage)?],
        None => Vec::new(),
    };
    let store = open_store(global, &reporter)?;
    let registries = LazyRegistries::new(global, &reporter);
    let (source, place) = open_source(&args.source, &store, &registries)?;
    let picked = pick(args.image.as_deref(), &place);
    let artifacts = read_artifacts(&source, picked.as_ref(), &platforms).or_fail(code_of(&place))?;
    let mut all = Vec::new();
    for artifact in &artifacts {
        all.push(describe(artifact, args.files, &store, &reporter)?);
    }
    match args.json {
        true => print(&format!("{}\n", serde_json::to_string_pretty(&all).or_fail(Code::Failed)?))?,
        false => print(&text(&all))?,
    }
    if args.validate {
        let findings = validate::artifacts(&artifacts);
        for finding in &findings {
            let _ = writeln!(std::io::stderr(), "{finding}");
        }
        if !validate::is_sound(&findings) {
            return Err(Failure::new(Code::Different, format!("{} is not sound", args.source)));
        }
        reporter.note(format!("{} images: every digest, size, diff ID and form is right", artifacts.len()));
    }
    Ok(())
}

fn describe(
    artifact: &Artifact,
    files: bool,
    store: &lapstrake::store::BlobStore,
    reporter: &Reporter,
) -> Outcome<Value> {
    let mut images = Vec::new();
    for image in artifact.images() {
        let Some(config) = &image.config else { continue };
        let mut lines = config.history.iter().filter(|line| !line.empty_layer);
        let layers: Vec<Value> = image
            .manifest
            .layers
            .iter()
            .zip(&config.rootfs.diff_ids)
            .map(|(layer, diff_id)| {
                json!({
                    "digest": layer.digest,
                    "size": layer.size,
                    "media_type": layer.media_type,
                    "diff_id": diff_id,
                    "key": layer.annotations.get(annotation::LAYER_KEY),
                    "created_by": lines.next().and_then(|line| line.created_by.clone()),
                })
            })
            .collect();
        let mut described = json!({
            "platform": config.platform().to_string(),
            "digest": image.manifest.digest(),
            "id": config.digest(),
            "created": config.created,
            "size": image.manifest.layers.iter().map(|layer| layer.size).sum::<u64>(),
            "annotations": image.manifest.annotations,
            "config": config.config,
            "layers": layers,
        });
        if files {
            described["files"] = list_files(artifact, image, store, reporter)?;
        }
        images.push(described);
    }
    Ok(json!({
        "name": artifact.shown(),
        "names": artifact.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "digest": artifact.digest(),
        "media_type": artifact.root().media_type,
        "images": images,
    }))
}

fn list_files(
    artifact: &Artifact,
    image: &lapstrake::place::Image,
    store: &lapstrake::store::BlobStore,
    reporter: &Reporter,
) -> Outcome<Value> {
    let Some(config) = &image.config else { return Ok(Value::Null) };
    let bytes: Arc<dyn BlobSource> = artifact.source().clone();
    let layers = image.manifest.layers.iter().zip(&config.rootfs.diff_ids).map(|(descriptor, diff_id)| StackLayer {
        descriptor: descriptor.clone(),
        diff_id: *diff_id,
        bytes: bytes.clone(),
    });
    let mut stack = LayerStack::new();
    stack.push_base(layers.collect(), store, reporter).or_fail(Code::Failed)?;
    let entry = |(path, node): (&lapstrake::tree::TreePath, &lapstrake::tree::Node)| {
        let (kind, size, target) = match &node.kind {
            NodeKind::Directory => ("directory", None, None),
            NodeKind::Symlink(target) => ("symlink", None, Some(String::from_utf8_lossy(target).into_owned())),
            NodeKind::Special => ("special", None, None),
            NodeKind::File(located) => ("file", Some(located.length()), None),
        };
        json!({
            "path": path.to_string(),
            "kind": kind,
            "mode": format!("{:04o}", node.mode),
            "owner": node.owner.to_string(),
            "size": size,
            "target": target,
        })
    };
    Ok(stack.rootfs().iter().map(entry).collect())
}

/// A foreign text on one line, with nothing in it that a terminal would obey.
fn clean(text: &str) -> String {
    lapstrake::shown::Shown::new(text.as_bytes()).as_str().trim_matches('`').to_owned()
}

/// For people: the same, without braces.
fn text(all: &[Value]) -> String {
    let mut out = String::new();
    let word = |value: &Value| match value {
        Value::String(text) => clean(text),
        Value::Null => "-".to_owned(),
        other => clean(&other.to_string()),
    };
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for artifact in all {
        out.push_str(&format!("{}\n  digest    {}\n", word(&artifact["name"]), word(&artifact["digest"])));
        for name in each(&artifact["names"]).iter().skip(1) {
            out.push_str(&format!("  also      {}\n", word(name)));
        }
        for image in each(&artifact["images"]) {
            let config = &image["config"];
            out.push_str(&format!("  platform  {}\n", word(&image["platform"])));
            if image["digest"] != artifact["digest"] {
                out.push_str(&format!("  manifest  {}\n", word(&image["digest"])));
            }
            out.push_str(&format!("  image ID  {}\n  created   {}\n", word(&image["id"]), word(&image["created"])));
            for (label, key) in [
                ("user", "User"),
                ("workdir", "WorkingDir"),
                ("entrypoint", "Entrypoint"),
                ("cmd", "Cmd"),
                ("stop", "StopSignal"),
            ] {
                if !config[key].is_null() {
                    out.push_str(&format!("  {label:<9} {}\n", word(&config[key])));
                }
            }
            for line in each(&config["Env"]) {
                out.push_str(&format!("  env       {}\n", word(&line)));
            }
            for (label, key) in [("port", "ExposedPorts"), ("volume", "Volumes"), ("label", "Labels")] {
                for (name, value) in config[key].as_object().into_iter().flatten() {
                    match value {
                        Value::String(text) => {
                            out.push_str(&format!("  {label:<9} {}={}\n", clean(name), clean(text)));
                        }
                        _ => out.push_str(&format!("  {label:<9} {}\n", clean(name))),
                    }
                }
            }
            if !config["Healthcheck"].is_null() {
                out.push_str(&format!("  health    {}\n", word(&config["Healthcheck"]["Test"])));
            }
            let layers = each(&image["layers"]);
            let total = image["size"].as_u64().unwrap_or_default();
            out.push_str(&format!("  layers    {}, {}\n", layers.len(), indicatif::BinaryBytes(total)));
            for layer in layers {
                let size = indicatif::BinaryBytes(layer["size"].as_u64().unwrap_or_default()).to_string();
                let digest = word(&layer["digest"]);
                let short = digest.get(..19).unwrap_or(&digest);
                out.push_str(&format!("    {short} {size:>12}  {}\n", word(&layer["created_by"])));
            }
            for file in each(&image["files"]) {
                let target = match file["target"].as_str() {
                    Some(target) => format!(" -> {}", target.escape_debug()),
                    None => String::new(),
                };
                out.push_str(&format!(
                    "    {} {:>11} {:>10} {}{target}\n",
                    word(&file["mode"]),
                    word(&file["owner"]),
                    word(&file["size"]),
                    word(&file["path"]),
                ));
            }
        }
    }
    out
}
