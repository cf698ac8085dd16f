//! `lapstrake resolve`: manifests with the digests of the images that they name.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use clap_complete::ArgValueCompleter;
use lapstrake::code::ErrorCode;
use lapstrake::host::open_regular;
use lapstrake::manifests::{Change, Manifest, ManifestError, Mention, Pinned, Position, Tags, Why, joined};
use lapstrake::oci::Reference;
use lapstrake::report::Reporter;
use lapstrake::shown::bare;
use lapstrake::unfinished;
use tempfile::NamedTempFile;
use walkdir::WalkDir;

use super::args::Global;
use super::completions;
use super::exit::{Code, Failure, Outcome, Spot};
use super::known_digests::known;
use super::progress::Progress;

/// `lapstrake resolve`
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Manifests: files, directories (what is `.yaml`, `.yml` or `.json` in them), `-` for standard input; may be given
    /// several times
    #[arg(short = 'k', long, value_name = "FILE", num_args = 1.., required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) manifests: Vec<PathBuf>,
    /// Take digests from what a build left, and build nothing: a file of --metadata-file or --image-refs (which has
    /// no tags: it says enough where the recipe has one image a repository), `-` for such a file on standard input, or a
    /// place (oci:DIR, oci-archive:FILE, archive:FILE); may be given several times [default: the images of the recipe that the
    /// manifests name are built, from the cache where it has them; nothing is written or pushed]
    #[arg(long, value_name = "FILE|PLACE", value_hint = ValueHint::AnyPath)]
    pub(crate) from: Vec<String>,
    /// Ask registries for the digests of all references, whosesoever, that --from does not know, and build nothing
    #[arg(long)]
    pub(crate) registry: bool,
    /// Write the files anew, instead of printing them
    #[arg(short, long)]
    pub(crate) in_place: bool,
    /// Print and write nothing; fail (exit code 6) where something would change
    #[arg(long, conflicts_with = "in_place")]
    pub(crate) check: bool,
    /// Write `repository@digest`, without the tag
    #[arg(long)]
    pub(crate) no_tag: bool,
    /// Fail where a reference is left as it is
    #[arg(long)]
    pub(crate) strict: bool,
    /// Tag in place of the recipe's, as for `build`
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Only this platform, as for `build`
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', add = ArgValueCompleter::new(completions::platforms))]
    pub(crate) platform: Vec<String>,
    /// Set a key of the recipe's [project]: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Use the lock as it is: fail (exit code 4) where it would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    /// Do not touch the network: what is not on this machine or in the cache is an error
    #[arg(long, conflicts_with = "registry")]
    pub(crate) offline: bool,
    /// The images' date, in seconds since 1970 [env: SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) source_date_epoch: Option<i64>,
}

/// A longer manifest, or file that a build left, is none.
const MAX_MANIFEST: u64 = 16 << 20;

/// A file as it was read.
struct Text {
    /// What it is called in messages.
    name: String,
    /// Where it is; `None` for standard input.
    path: Option<PathBuf>,
    text: String,
}

impl Text {
    fn spot(&self, Position { line, column }: Position, text: String) -> Option<Spot> {
        self.path.as_ref().map(|_| Spot { file: self.name.clone(), line, column, text })
    }
}

/// Where manifests name an image first.
pub(super) struct Named {
    file: String,
    position: Position,
    /// Whether it is a file, and not standard input.
    is_file: bool,
}

impl Named {
    pub(super) fn spot(&self, text: String) -> Option<Spot> {
        let Position { line, column } = self.position;
        self.is_file.then(|| Spot { file: self.file.clone(), line, column, text })
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", bare(&self.file), self.position)
    }
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &ResolveArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let texts = read_all(args)?;
    let mut manifests = Vec::new();
    for text in &texts {
        let manifest = Manifest::parse(&text.name, &text.text).map_err(|error| wrong(text, &error))?;
        manifests.push(manifest);
    }
    let mentions = manifests.iter().flat_map(Manifest::mentions).collect();
    let named = |mention: &Mention| {
        let named = |(text, manifest): (&Text, &Manifest<'_>)| {
            manifest.position(mention).map(|position| Named {
                file: text.name.clone(),
                position,
                is_file: text.path.is_some(),
            })
        };
        texts.iter().zip(&manifests).find_map(named)
    };
    let pins = known(global, args, &mentions, &named, &reporter)?;

    let tags = if args.no_tag { Tags::Dropped } else { Tags::Kept };
    let mut done: Vec<(&Text, Pinned)> = Vec::new();
    for (text, manifest) in texts.iter().zip(&manifests) {
        done.push((text, manifest.pinned(&pins, tags).map_err(|error| wrong(text, &error))?));
    }
    tell(&done, args, &reporter)?;
    if args.check {
        let changed = done.iter().filter(|(_, pinned)| !pinned.changes.is_empty()).count();
        let unsure = done.iter().flat_map(|(_, pinned)| &pinned.left).filter(|left| left.is_unsure()).count();
        return match changed {
            0 if unsure > 0 => Err(Failure::told(
                Code::Different,
                ErrorCode::Differs,
                format!("of {unsure} references it cannot be told whether they are what was built"),
            )
            .hint("write a tag that the recipe has (`repository:tag@sha256:…`): then they can be moved")),
            0 => Ok(()),
            1 => Err(different("1 file has references that are not pinned to what was built").at(stale(&done))),
            _ => Err(different(&format!("{changed} files have references that are not pinned to what was built"))
                .at(stale(&done))),
        };
    }
    match args.in_place {
        true => replace_all(&done, &reporter),
        false => super::print_bytes(joined(done.iter().map(|(_, pinned)| pinned.text.as_str())).as_bytes()),
    }
}

/// What would change, and where.
fn stale(done: &[(&Text, Pinned)]) -> Vec<Spot> {
    let spots = done.iter().flat_map(|(text, pinned)| {
        let spot = |change: &Change| {
            let (from, to) = (bare(&change.from), bare(&change.to));
            text.spot(change.position, format!("{from} is not pinned to what was built: {to}"))
        };
        pinned.changes.iter().filter_map(spot)
    });
    spots.collect()
}

fn different(text: &str) -> Failure {
    Failure::told(Code::Different, ErrorCode::Differs, text).hint("`lapstrake resolve --in-place` writes the digests")
}

fn wrong(text: &Text, error: &ManifestError) -> Failure {
    let failure =
        Failure::told(Code::Failed, ErrorCode::Reference, format!("{}:{}: {error}", bare(&text.name), error.position))
            .at(text.spot(error.position, error.to_string()));
    match text.text.contains("{{") {
        true => failure.hint("a template is no YAML: resolve the values, or what `helm template` makes of it"),
        false => failure,
    }
}

/// Says what is changed and what is not; fails where something may not be left.
fn tell(done: &[(&Text, Pinned)], args: &ResolveArgs, reporter: &Reporter) -> Outcome {
    let becomes = if args.check { "would be" } else { "is now" };
    let (mut failed, mut spots) = (Vec::new(), Vec::new());
    for (text, pinned) in done {
        for change in &pinned.changes {
            let (from, to) = (bare(&change.from), bare(&change.to));
            reporter.note(format!("{}:{}: {from} {becomes} {to}", bare(&text.name), change.position));
        }
        for left in &pinned.left {
            let (name, reference) = (bare(&text.name), bare(&left.reference));
            // All that registries can be asked for was asked for.
            let is_absent = args.registry && left.why == Why::Unnamed && !is_digest_alone(&left.reference);
            let why = if is_absent { "it is not in the registry".to_owned() } else { left.why.to_string() };
            let told = format!("{name}:{}: {reference} is left: {why}", left.position);
            match args.strict || left.is_own() {
                true => {
                    failed.push(told);
                    spots.extend(text.spot(left.position, format!("{reference} is left: {why}")));
                }
                false => reporter.note(told),
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::told(Code::Failed, ErrorCode::Reference, failed.join("\n")).at(spots)),
    }
}

/// Whether it has a digest and no tag: then there is nothing to ask for.
fn is_digest_alone(reference: &str) -> bool {
    let reference = reference.parse::<Reference>();
    reference.is_ok_and(|reference| reference.tag().is_none() && reference.digest().is_some())
}

fn read_all(args: &ResolveArgs) -> Outcome<Vec<Text>> {
    let is_standard = |path: &PathBuf| path.as_os_str() == "-";
    if args.in_place && args.manifests.iter().any(is_standard) {
        return Err(Failure::usage("--in-place writes files, and standard input is none"));
    }
    let times = args.manifests.iter().filter(|path| is_standard(path)).count();
    if times + args.from.iter().filter(|from| *from == "-").count() > 1 {
        return Err(Failure::usage("standard input can be read once"));
    }
    let mut texts = Vec::new();
    for path in &args.manifests {
        if is_standard(path) {
            texts.push(Text { name: "-".to_owned(), path: None, text: read("standard input", io::stdin().lock())? });
            continue;
        }
        let files = if path.is_dir() { manifests_in(path)? } else { vec![path.clone()] };
        for file in files {
            let name = file.display().to_string();
            // What was named may be a pipe; what was found is a file, whatever it has become.
            let opened = if path == &file { fs::File::open(&file) } else { open_regular(&file) };
            let opened = opened.map_err(|error| failed_to("reading", &name, error))?;
            texts.push(Text { text: read(&name, opened)?, name, path: Some(file) });
        }
    }
    Ok(texts)
}

pub(super) fn failed_to(what: &str, name: &str, error: io::Error) -> Failure {
    Failure::told(Code::Failed, ErrorCode::Unreadable, format!("{what} {}: {error}", bare(name)))
}

pub(super) fn read(name: &str, from: impl Read) -> Outcome<String> {
    let mut bytes = Vec::new();
    from.take(MAX_MANIFEST + 1).read_to_end(&mut bytes).map_err(|error| failed_to("reading", name, error))?;
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(Failure::told(
            Code::Failed,
            ErrorCode::Unreadable,
            format!("reading {name}: it has more than {} MiB", MAX_MANIFEST >> 20),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::told(Code::Failed, ErrorCode::Unreadable, format!("reading {name}: it is not UTF-8")))
}

/// The manifests in a directory and below it, in order of their names; nothing that is hidden, no layout, no link followed.
fn manifests_in(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let mut found = Vec::new();
    let walk = WalkDir::new(directory).sort_by_file_name().into_iter();
    let is_layout = |path: &Path| path.join("oci-layout").is_file();
    let goes_in = |entry: &walkdir::DirEntry| !is_hidden(entry.file_name()) && !is_layout(entry.path());
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || goes_in(entry)) {
        let entry = entry.map_err(|error| Failure::told(Code::Failed, ErrorCode::Unreadable, error))?;
        let extension = entry.path().extension().and_then(|extension| extension.to_str());
        let is_manifest = matches!(extension, Some("yaml" | "yml" | "json")) || entry.file_name() == "Kustomization";
        if entry.file_type().is_file() && is_manifest {
            found.push(entry.into_path());
        }
    }
    match found.is_empty() {
        true => Err(Failure::usage(format!("{} holds no manifests (*.yaml, *.yml, *.json)", directory.display()))),
        false => Ok(found),
    }
}

/// A file that is written and on the disk, beside the one that it will be.
struct Staged<'a> {
    text: &'a Text,
    file: NamedTempFile,
    path: PathBuf,
}

/// Writes the files that change: each whole. None is written where one cannot be, or is no longer what was read.
fn replace_all(done: &[(&Text, Pinned)], reporter: &Reporter) -> Outcome {
    let mut staged = Vec::new();
    for (text, pinned) in done.iter().filter(|(_, pinned)| !pinned.changes.is_empty()) {
        let Some(path) = &text.path else { continue };
        let failed = |error| failed_to("writing", &text.name, error);
        let there = fs::metadata(path).map_err(failed)?;
        // A FIFO can be read, and would be lost.
        if !there.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        if there.nlink() > 1 {
            reporter.note(format!("{} has other names (hard links): they keep the old text", bare(&text.name)));
        }
        let (file, path) = stage(path, &pinned.text).map_err(failed)?;
        staged.push(Staged { text, file, path });
    }
    // Building took its time, and somebody may have gone on editing.
    for Staged { text, path, .. } in &staged {
        if fs::read(path).map_err(|error| failed_to("reading", &text.name, error))? != text.text.as_bytes() {
            let told = format!("{} was changed since it was read", bare(&text.name));
            return Err(Failure::told(Code::Failed, ErrorCode::Changed, told).hint("run `lapstrake resolve` again"));
        }
    }
    rename_all(staged)
}

/// Gives files their names. Where one cannot have its own, those before it become what they were.
fn rename_all(staged: Vec<Staged<'_>>) -> Outcome {
    let mut renamed: Vec<(&Text, PathBuf)> = Vec::new();
    let rename = || {
        for Staged { text, file, path } in staged {
            file.persist(&path).map_err(|error| failed_to("renaming to", &text.name, error.error))?;
            renamed.push((text, path));
        }
        let directories: BTreeMap<&Path, &Text> =
            renamed.iter().map(|(text, path)| (unfinished::directory_of(path), *text)).collect();
        for (directory, text) in directories {
            let synced = fs::File::open(directory).and_then(|directory| directory.sync_all());
            synced.map_err(|error| failed_to("syncing the directory of", &text.name, error))?;
        }
        Ok(())
    };
    let result = rename();
    let Err(failure) = result else { return Ok(()) };
    let mut left = Vec::new();
    for (text, path) in renamed {
        let staged = stage(&path, &text.text).map_err(|error| ("writing", error));
        if let Err((action, error)) = staged.and_then(|(file, path)| unfinished::finish(file, &path)) {
            left.push(format!(
                "{} has the new text, which cannot be taken back: {action} it: {error}",
                bare(&text.name)
            ));
        }
    }
    Err(if left.is_empty() { failure } else { failure.hint(left.join("\n")) })
}

/// A temporary file beside the one that it will be, behind links, with its mode and owner; on the disk.
fn stage(path: &Path, text: &str) -> io::Result<(NamedTempFile, PathBuf)> {
    let path = fs::canonicalize(path)?;
    let mut file = unfinished::begin(&path, 0o600)?;
    file.write_all(text.as_bytes())?;
    let there = fs::metadata(&path)?;
    // Others' files stay theirs where this process may give files away. It takes the mode's set-ID bits: before the mode.
    let _ = std::os::unix::fs::fchown(file.as_file(), Some(there.uid()), Some(there.gid()));
    file.as_file().set_permissions(there.permissions())?;
    file.as_file().sync_all()?;
    Ok((file, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails where an error at one file leaves another with the new text, or a file that is not finished.
    #[test]
    fn where_one_file_cannot_be_written_the_others_become_what_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a.yaml", "b.yaml", "c.yaml"];
        let texts = names.map(|name| {
            let path = directory.path().join(name);
            fs::write(&path, "old").unwrap();
            Text { name: name.to_owned(), path: Some(path), text: "old".to_owned() }
        });
        fn staged(text: &Text) -> Staged<'_> {
            let (file, path) = stage(text.path.as_ref().unwrap(), "new").unwrap();
            Staged { text, file, path }
        }
        let all: Vec<Staged<'_>> = texts.iter().map(staged).collect();
        let second = directory.path().join("b.yaml");
        fs::remove_file(&second).unwrap();
        fs::create_dir(&second).unwrap();
        let failure = rename_all(all).unwrap_err();
        assert!(failure.text().contains("renaming to b.yaml"), "{}", failure.text());
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
        assert_eq!(names.map(read), ["old", "", "old"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        fs::remove_dir(&second).unwrap();
        fs::write(&second, "old").unwrap();
        rename_all(texts.iter().map(staged).collect()).unwrap();
        assert_eq!(names.map(read), ["new"; 3]);
    }
}
