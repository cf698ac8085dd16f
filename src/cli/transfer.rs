//! `lapstrake push` and `lapstrake copy`: images from one place to another.

use std::borrow::Cow;
use std::collections::BTreeSet;

use lapstrake::code::ErrorCode;
use lapstrake::oci::Reference;
use lapstrake::place::{self, Artifact, Pick, Place, read_artifacts};
use lapstrake::registry::{Pushed, Registries};
use lapstrake::remote::{self, Seen};
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;

use super::args::{CopyArgs, Global, PushArgs};
use super::environment::{LazyRegistries, open_source, open_store, reference, write_file};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::meant;
use super::progress::Progress;
use super::written::{self, Named};
use super::{print, standard_output};

/// As many commands are written out in a hint.
const COMMANDS: usize = 12;

/// `lapstrake push SOURCE [REFERENCE…]`
pub(crate) fn push(global: &Global, args: &PushArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let references = args.references.iter().map(|text| reference(text)).collect::<Outcome<Vec<_>>>()?;
    let store = open_store(global, &reporter)?;
    let registries = LazyRegistries::new(global, &reporter);
    let (source, place) = open_source(&args.source, &store, &registries)?;
    let results = [("--digest-file", &args.digest_file), ("--image-refs", &args.image_refs)];
    let results: Vec<_> = results.iter().filter_map(|(flag, path)| Some((*flag, path.as_deref()?))).collect();
    let written: Vec<Named> = results.iter().map(|(flag, path)| Named::file(flag, path)).collect();
    written::check(&written, Named::place(&args.source, &place).as_slice())?;
    results.iter().try_for_each(|(_, path)| written::has_directory(path))?;
    let pick = pick(args.image.as_deref(), &place);
    let artifacts = read_artifacts(&source, pick.as_ref(), &[]).or_fail(Code::Failed)?;
    let artifacts = match (&references[..], artifacts.len()) {
        ([], _) => artifacts,
        (_, 1) => {
            artifacts.into_iter().map(|artifact| artifact.named(references.clone(), Default::default())).collect()
        }
        _ => return Err(several("push", "is given references for one", &artifacts, &args.source, &references[0])),
    };
    if args.digest_file.is_some() && artifacts.len() != 1 {
        let text = "--digest-file is for one image: say which with --image";
        return Err(Failure::usage(text).kind(ErrorCode::ForOneImage));
    }
    let pushed = push_all(&artifacts, registries.get()?, &store, &())?;
    if let (Some(path), Some(artifact)) = (&args.digest_file, artifacts.first()) {
        write_file(path, &artifact.digest().to_string())?;
    }
    if let Some(path) = &args.image_refs {
        write_file(path, &references_of(&pushed))?;
    }
    for line in lines_of(&pushed) {
        print(&line)?;
    }
    Ok(())
}

/// `lapstrake copy SOURCE DESTINATION`
pub(crate) fn copy(global: &Global, args: &CopyArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let destination = Place::parse(&args.destination).or_fail(Code::Usage)?;
    let platforms = match &args.platform {
        Some(platform) => vec![meant::platform(platform)?],
        None => Vec::new(),
    };
    let store = open_store(global, &reporter)?;
    let registries = LazyRegistries::new(global, &reporter);
    let (source, place) = open_source(&args.source, &store, &registries)?;
    let pick = pick(args.image.as_deref(), &place);
    let artifacts = read_artifacts(&source, pick.as_ref(), &platforms).or_fail(code_of(&place))?;
    match &destination {
        Place::Registry(reference) => {
            let [artifact] = &artifacts[..] else {
                return Err(several("copy", "one reference takes one", &artifacts, &args.source, reference));
            };
            let named = artifact.clone().named(vec![reference.clone()], Default::default());
            for line in lines_of(&push_all(&[named], registries.get()?, &store, &())?) {
                print(&line)?;
            }
            Ok(())
        }
        Place::OwnNames => {
            for line in lines_of(&push_all(&artifacts, registries.get()?, &store, &())?) {
                print(&line)?;
            }
            Ok(())
        }
        local => {
            let written = place::write(local, &artifacts, &mut standard_output(), &store, &reporter);
            let written = written.or_fail(Code::Failed)?;
            if local.is_standard() {
                return Ok(());
            }
            for (artifact, digest) in artifacts.iter().zip(&written.digests) {
                print(&format!("{}\t{digest}\t{local}\n", artifact.shown()))?;
            }
            Ok(())
        }
    }
}

/// There are several images where one is needed: each has a command of its own, which puts it below the reference.
fn several(command: &str, why: &str, artifacts: &[Artifact], source: &str, below: &Reference) -> Failure {
    let names: Vec<String> = artifacts.iter().flat_map(Artifact::shown_each).collect();
    let failure = Failure::usage(format!("{source} holds {} images, and {why}", names.len()));
    let failure = failure.kind(ErrorCode::SeveralThere);
    if names.is_empty() {
        return failure;
    }
    let mut taken = BTreeSet::new();
    let quoted = shell_word(source);
    let line = |name: &String| {
        let reference: Reference = name.parse().ok()?;
        let (last, tag) = (reference.repository().rsplit('/').next()?, reference.tag().unwrap_or("latest"));
        let target = format!("{}/{last}:{tag}", below.name());
        let line = format!("\n  lapstrake {command} {quoted} {target} --image {name}");
        taken.insert(target).then_some(line)
    };
    let commands: Option<Vec<String>> = names.iter().map(line).collect();
    let is_nameless = |artifact: &Artifact| artifact.all_names().is_empty();
    let hint = match commands.filter(|_| !artifacts.iter().any(is_nameless)) {
        Some(commands) => {
            let more = commands.len().saturating_sub(COMMANDS);
            let more = if more > 0 { format!("\n  and so on for {more} more") } else { String::new() };
            format!("one after the other:{}{more}", commands[..commands.len().min(COMMANDS)].concat())
        }
        None => {
            let names = names.join(", ");
            format!("say which with --image, or after another colon (`:@sha256:…` where it has no name): {names}")
        }
    };
    failure.hint(hint)
}

/// A word as a shell reads it back.
fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))),
    }
}

/// What reading from that place fails with.
pub(crate) fn code_of(place: &Place) -> Code {
    match place {
        Place::Registry(_) => Code::Network,
        _ => Code::Failed,
    }
}

/// Which image of a place is meant: what `--image` says, else what the place itself names.
pub(crate) fn pick(image: Option<&str>, place: &Place) -> Option<Pick> {
    match image {
        Some(name) => Some(Pick::Name(name.to_owned())),
        None => place.pick().cloned(),
    }
}

/// Pushes artifacts to all references that they have: the blobs of a repository once, tags when everything is in.
pub(crate) fn push_all(
    artifacts: &[Artifact],
    registries: &Registries,
    store: &BlobStore,
    seen: &dyn Seen,
) -> Outcome<Vec<(Artifact, Pushed)>> {
    let mut images = Vec::new();
    let mut whose = Vec::new();
    for artifact in artifacts {
        let mut repositories: Vec<(Reference, Vec<String>)> = Vec::new();
        for name in &artifact.names {
            let tags = match (name.tag(), name.digest()) {
                (Some(tag), _) => vec![tag.to_owned()],
                (None, Some(_)) => Vec::new(),
                (None, None) => vec!["latest".to_owned()],
            };
            match repositories.iter_mut().find(|(known, _)| known.name() == name.name()) {
                Some((_, known)) => {
                    known.extend(tags.into_iter().filter(|tag| !known.contains(tag)).collect::<Vec<_>>())
                }
                None => repositories.push((name.clone(), tags)),
            }
        }
        if repositories.is_empty() {
            let text = format!("{} has no repository to push to", artifact.shown());
            return Err(Failure::usage(text)
                .kind(ErrorCode::NoRepository)
                .hint("set `repository` under [project], or name references on the command line"));
        }
        for (repository, tags) in repositories {
            images.push(remote::push_image(artifact, &repository, tags, store, seen).or_fail(Code::Failed)?);
            whose.push(artifact.clone());
        }
    }
    let pushed = registries.push(&images).or_fail(Code::Failed)?;
    Ok(whose.into_iter().zip(pushed).collect())
}

/// One `repository@digest` a line.
pub(crate) fn references_of(pushed: &[(Artifact, Pushed)]) -> String {
    pushed.iter().map(|(_, pushed)| format!("{}@{}\n", pushed.repository, pushed.digest)).collect()
}

fn lines_of(pushed: &[(Artifact, Pushed)]) -> Vec<String> {
    let line = |(artifact, pushed): &(Artifact, Pushed)| {
        let tags = if pushed.tags.is_empty() { "-".to_owned() } else { pushed.tags.join(",") };
        let name = artifact.fallback.text().unwrap_or_else(|| pushed.repository.clone());
        format!("{name}\t{}\t{}@{}\t{tags}\n", pushed.digest, pushed.repository, pushed.digest)
    };
    pushed.iter().map(line).collect()
}
