//! `lapstrake init`: a recipe to start from, or one made of Dockerfiles, and whether its images are what Docker's were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use lapstrake::base::{LayerStack, StackLayer};
use lapstrake::code::ErrorCode;
use lapstrake::difference;
use lapstrake::dockerfile::{self, Dockerfile, Kind, MAX_DOCKERFILE};
use lapstrake::git::Checkout;
use lapstrake::host::open_regular;
use lapstrake::limits::Limits;
use lapstrake::logins::hide_in_name;
use lapstrake::migrate::{self, Context, Fate, FileKind, Input, Migration, Options};
use lapstrake::nearest::nearest;
use lapstrake::oci::Reference;
use lapstrake::place::{Artifact, BlobSource, Image, read_artifacts};
use lapstrake::recipe::packages::{PythonInput, PythonSource};
use lapstrake::recipe::{self, Inputs, Recipe, RecipeError, Source, Style};
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;
use lapstrake::tree::TreePath;

use super::args::{Global, InitArgs};
use super::environment::{LazyRegistries, open_source, open_store, style, write_file};
use super::exit::{Code, Failure, OrFail, Outcome};
use super::meant;
use super::progress::Progress;
use super::transfer::{code_of, pick};
use super::{print, print_bytes};

/// How deep Dockerfiles are looked for, and how many are told.
const DEPTH: usize = 3;
const FOUND: usize = 50;
/// As many differences are shown.
const SHOWN: usize = 200;

/// Runs it.
pub(crate) fn run(global: &Global, args: &InitArgs) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    if let Some(reference) = &args.check {
        return check(global, args, reference, &reporter);
    }
    let output = args.output.clone().unwrap_or_else(|| global.file.clone());
    let standard = output == Path::new("-");
    if let Some((path, hint)) = args.dockerfiles.iter().find_map(|path| Some((path, meant::neighbour(path, |_| true)?)))
    {
        return read(path).map(|_| ()).map_err(|failure| failure.hint(hint));
    }
    if !standard && !args.force && output.symlink_metadata().is_ok() {
        let text = format!("{} is there already", output.display());
        return Err(
            Failure::told(Code::Failed, ErrorCode::Exists, text).hint("--force replaces it, and -o names another file")
        );
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name(Path::new(".")).unwrap_or_else(|| "app".to_owned()),
    };
    if args.dockerfiles.is_empty() {
        let found = find(Path::new("."), DEPTH);
        write(&output, standard, &migrate::starter(&name, &found))?;
        if !found.is_empty() {
            reporter.note(format!("found {}: lapstrake init --force {}", found.join(", "), found.join(" ")));
        }
        if !standard {
            reporter.note(format!("{} is a recipe of one image; next: {}", output.display(), next("build", &output)));
        }
        return Ok(());
    }
    let (inputs, context, options) = inputs(args, &output, name)?;
    replaced(&inputs, &options)?;
    let disk = Disk(context.clone());
    let migration = migrate::migrate(&inputs, &disk, &options).map_err(|diagnostics| {
        let text = diagnostics.render(style());
        Failure::drawn(Code::Recipe, diagnostics.code(), text)
    })?;
    write(&output, standard, &migration.recipe)?;
    requirements(&migration, &context, standard, &reporter)?;
    told(&migration, &reporter);
    ignore_files(args, &reporter);
    missing_sources(&inputs, &context, &reporter);
    accepted(&output, &migration, &context, &reporter);
    if !standard {
        let command = if migration.locks { "lock" } else { "build" };
        reporter.note(format!(
            "{} makes {}; next: {}",
            output.display(),
            migration.images.join(", "),
            next(command, &output)
        ));
        ignored_by_git(&reporter);
    }
    Ok(())
}

fn next(command: &str, recipe: &Path) -> String {
    match recipe == Path::new("lapstrake.toml") {
        true => format!("lapstrake {command}"),
        false => format!("lapstrake {command} -f {}", recipe.display()),
    }
}

fn write(output: &Path, standard: bool, text: &str) -> Outcome {
    if standard { print_bytes(text.as_bytes()) } else { write_file(output, text) }
}

/// What a directory is called.
fn folder_name(directory: &Path) -> Option<String> {
    let full = fs::canonicalize(directory).ok()?;
    full.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

/// Dockerfiles below a directory, in order.
fn find(directory: &Path, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    let mut names: Vec<String> =
        entries.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        let path = if directory == Path::new(".") { PathBuf::from(&name) } else { directory.join(&name) };
        let Ok(kind) = path.symlink_metadata().map(|found| found.file_type()) else { continue };
        let lower = name.to_ascii_lowercase();
        let words = ["dockerfile", "containerfile"];
        let named = words.iter().any(|word| {
            lower == *word || lower.starts_with(&format!("{word}.")) || lower.ends_with(&format!(".{word}"))
        });
        if kind.is_file() && named && !lower.ends_with("ignore") {
            found.extend(path.to_str().map(str::to_owned));
        }
        let skipped =
            name.starts_with('.') || ["node_modules", "target", "vendor", "__pycache__"].contains(&name.as_str());
        if kind.is_dir() && !skipped && depth > 1 {
            found.extend(find(&path, depth - 1));
        }
        found.truncate(FOUND);
    }
    found
}

/// The context on this disk.
struct Disk(PathBuf);

impl Context for Disk {
    fn kind(&self, path: &str) -> Option<FileKind> {
        let found = fs::metadata(self.0.join(path)).ok()?;
        Some(if found.is_dir() { FileKind::Directory } else { FileKind::File })
    }
}

/// What there is to migrate, and the context of it all.
fn inputs(args: &InitArgs, output: &Path, name: String) -> Outcome<(Vec<Input>, PathBuf, Options)> {
    let context = args.context.clone().unwrap_or_else(|| PathBuf::from("."));
    let mut inputs = Vec::new();
    for path in &args.dockerfiles {
        let text = read(path)?;
        let prefix = match args.context {
            Some(_) => String::new(),
            None => context_of(path, &text),
        };
        let shown = path.to_string_lossy().trim_start_matches("./").to_owned();
        if inputs.iter().any(|input: &Input| input.name == shown) {
            return Err(Failure::usage(format!("{shown} is named twice")));
        }
        inputs.push(Input { name: shown, text, prefix });
    }
    let pairs = |flag: &str, values: &[String]| -> Outcome<Vec<(String, String)>> {
        let split = |pair: &String| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("{flag} {pair} is not of the form NAME=VALUE"))),
        };
        values.iter().map(split).collect()
    };
    let options = Options {
        name,
        context: relative(output, &context),
        arguments: pairs("--build-arg", &args.build_arg)?.into_iter().collect::<BTreeMap<_, _>>(),
        from: args.from.clone(),
        bases: pairs("--base", &args.base)?,
    };
    Ok((inputs, context, options))
}

fn read(path: &Path) -> Outcome<String> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::told(
            Code::Failed,
            ErrorCode::Unreadable,
            format!("reading the Dockerfile {}: {error}", path.display()),
        )
    };
    let mut bytes = Vec::new();
    let limit = MAX_DOCKERFILE as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        failed(&format!("line {line} is not UTF-8"))
    })
}

/// The directory that a Dockerfile is most likely built from: of its own and those above it, the one that has most of what
/// it copies.
fn context_of(path: &Path, text: &str) -> String {
    let own = path.parent().unwrap_or(Path::new(""));
    if own.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return String::new();
    }
    let Ok(parsed) = dockerfile::parse("Dockerfile", text) else { return String::new() };
    let sources = sources(&parsed);
    let count = |directory: &Path| sources.iter().filter(|source| directory.join(source.as_str()).exists()).count();
    // Among equals the deepest: a context of one's own is the usual one.
    let best = own.ancestors().max_by_key(|directory| {
        let depth = directory.components().count();
        (count(if *directory == Path::new("") { Path::new(".") } else { directory }), depth)
    });
    let parts = best.unwrap_or(own).components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What a Dockerfile copies out of its context by plain paths.
fn sources(parsed: &Dockerfile) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for instruction in parsed.stages.iter().flat_map(|stage| &stage.instructions) {
        if let Kind::Copy(copy) | Kind::Add(copy) = &instruction.kind
            && copy.from.is_none()
        {
            let plain = |source: &&String| {
                !source.contains(['*', '?', '[', '$', '"', '\'']) && !source.contains("<<") && !source.contains("://")
            };
            sources.extend(copy.sources.iter().filter(plain).map(|source| source.trim_start_matches('/').to_owned()));
        }
    }
    sources
}

/// Says which sources of `COPY` and `ADD` are not there: the recipe's build will miss them too.
fn missing_sources(inputs: &[Input], context: &Path, reporter: &Reporter) {
    for input in inputs {
        let Ok(parsed) = dockerfile::parse(&input.name, &input.text) else { continue };
        let context = if input.prefix.is_empty() { context.to_owned() } else { context.join(&input.prefix) };
        for source in sources(&parsed).iter().filter(|source| context.join(source).symlink_metadata().is_err()) {
            reporter.warn(format!("{} copies {source}, which is not in the context {}", input.name, context.display()));
        }
    }
}

/// A base that `--base` replaces is one that a Dockerfile has. Bases that variables are part of may be any.
fn replaced(inputs: &[Input], options: &Options) -> Outcome {
    let parsed = inputs.iter().filter_map(|input| dockerfile::parse(&input.name, &input.text).ok());
    let bases: BTreeSet<String> =
        parsed.flat_map(|parsed| parsed.stages).map(|stage| stage.base).filter(|base| base != "scratch").collect();
    if bases.iter().any(|base| base.contains('$')) {
        return Ok(());
    }
    let has = |wanted: &str| {
        let reference = wanted.parse::<Reference>().ok();
        bases.iter().any(|base| base == wanted || reference.is_some() && base.parse().ok() == reference)
    };
    let Some((wanted, _)) = options.bases.iter().find(|(wanted, _)| !has(wanted)) else { return Ok(()) };
    let shown = hide_in_name(wanted);
    let failure = Failure::usage(format!("--base {shown}=…: no Dockerfile has the base {shown}"));
    Err(match nearest(wanted, bases.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{}`?", hide_in_name(near))),
        None => failure.hint(format!(
            "their bases are {}",
            bases.iter().map(|base| hide_in_name(base)).collect::<Vec<_>>().join(", ")
        )),
    })
}

/// What `build` writes is nothing to commit.
fn ignored_by_git(reporter: &Reporter) {
    let ignored = fs::read_to_string(".gitignore").is_ok_and(|text| text.contains("lapstrake-out"));
    if Path::new(".git").exists() && !ignored {
        reporter.note("images are written to lapstrake-out: add the line `/lapstrake-out/` to .gitignore");
    }
}

/// The way from the recipe's directory to the context; nothing where they are one.
fn relative(output: &Path, context: &Path) -> Option<String> {
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (directory, context) = (fs::canonicalize(directory).ok()?, fs::canonicalize(context).ok()?);
    let (from, to): (Vec<_>, Vec<_>) = (directory.components().collect(), context.components().collect());
    let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let mut path = PathBuf::new();
    from[same..].iter().for_each(|_| path.push(".."));
    to[same..].iter().for_each(|part| path.push(part));
    path.to_str().filter(|path| !path.is_empty()).map(str::to_owned)
}

/// Writes requirements that no file had; what is there already is left alone.
fn requirements(migration: &Migration, context: &Path, standard: bool, reporter: &Reporter) -> Outcome {
    for (file, text) in &migration.files {
        let path = context.join(file);
        let said = text.trim_end().replace('\n', ", ");
        if standard {
            reporter.note(format!("the recipe reads {}, which has to hold: {said}", path.display()));
        } else if fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        } else if path.symlink_metadata().is_ok() {
            reporter.warn(format!(
                "{} is there already and is left alone; the recipe wants it to hold: {said}",
                path.display()
            ));
        } else {
            write_file(&path, text)?;
            reporter.note(format!("{} is new, and holds what `pip install` named: {said}", path.display()));
        }
    }
    Ok(())
}

fn told(migration: &Migration, reporter: &Reporter) {
    let report = &migration.report;
    let (turned, kept) = (report.count(Fate::Turned), report.count(Fate::Kept));
    let mut text = format!("{turned} turned, {} need nothing, {kept} not turned", report.count(Fate::NotNeeded));
    for told in report.0.iter().filter(|told| told.fate == Fate::Kept) {
        text.push_str(&format!("\n  {}: {}\n    {}", told.place, told.text, told.why));
    }
    reporter.note(text);
}

/// `Dockerfile.dockerignore` is read by BuildKit, and not for a recipe.
fn ignore_files(args: &InitArgs, reporter: &Reporter) {
    for path in &args.dockerfiles {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        let own = PathBuf::from(name);
        if own.is_file() {
            reporter.warn(format!(
                "{} is for that Dockerfile alone: put its lines into `exclude`, or into RECIPE.dockerignore",
                own.display()
            ));
        }
    }
}

/// Reads the recipe as `build` will.
fn accepted(output: &Path, migration: &Migration, context: &Path, reporter: &Reporter) {
    let inputs = Inputs { git: Checkout::default(), ..Inputs::default() };
    let name = output.to_string_lossy();
    match recipe::parse(&name, &migration.recipe, &inputs) {
        Ok(recipe) => {
            if let Some(file) = unpinned(&recipe, context) {
                reporter.note(format!(
                    "{} has no hashes: `lapstrake lock` resolves it with the program uv (`pip install uv`, or its path in LAPSTRAKE_UV)",
                    file.display()
                ));
            }
        }
        Err(RecipeError::Wrong(diagnostics)) => reporter
            .warn(format!("the recipe needs a hand before it can be built:\n{}", diagnostics.render(Style::PLAIN))),
        Err(error) => reporter.warn(error.to_string()),
    }
}

/// The first requirements file of a recipe that is there and pins nothing by hash.
fn unpinned(recipe: &Recipe, context: &Path) -> Option<PathBuf> {
    let sources = recipe.images.iter().flat_map(|image| &image.layers).flat_map(|layer| &layer.sources);
    let files = sources.flat_map(|source| match &source.value {
        Source::Python(PythonSource { input: PythonInput::Requirements(files), .. }) => &files[..],
        _ => &[],
    });
    let mut paths = files.filter_map(|file| file.value.constant()).map(|file| file.in_context(context));
    let pins_nothing = |path: &PathBuf| {
        let text = open_regular(path).and_then(|file| std::io::read_to_string(file.take(MAX_DOCKERFILE as u64)));
        text.is_ok_and(|text| !text.contains("--hash"))
    };
    paths.find(pins_nothing)
}

/// `--check`: compares an image with what the recipe's build made.
fn check(global: &Global, args: &InitArgs, reference: &str, reporter: &Reporter) -> Outcome {
    let store = open_store(global, reporter)?;
    let registries = LazyRegistries::new(global, reporter);
    let platform = match &args.platform {
        Some(platform) => vec![meant::platform(platform)?],
        None => Vec::new(),
    };
    let ignored = args.ignore.iter().map(TreePath::parse).collect::<Result<Vec<_>, _>>().or_fail(Code::Usage)?;
    let open = |text: &str, image: Option<&str>| -> Outcome<Artifact> {
        let (source, place) = open_source(text, &store, &registries)?;
        let picked = pick(image, &place);
        let mut artifacts = read_artifacts(&source, picked.as_ref(), &platform).or_fail(code_of(&place))?;
        match (artifacts.pop(), artifacts.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => Err(Failure::told(Code::Failed, ErrorCode::NotThere, format!("there is no image in {text}"))),
            (Some(one), _) => {
                let names: Vec<String> = artifacts.iter().chain([&one]).flat_map(Artifact::shown_each).collect();
                Err(Failure::usage(format!("there are several images in {text}: {}", names.join(", ")))
                    .kind(ErrorCode::SeveralThere)
                    .hint("--image names the one to compare"))
            }
        }
    };
    if args.built == "oci:lapstrake-out" && !Path::new("lapstrake-out").exists() {
        let text = "there is nothing built to compare with: lapstrake-out is not there";
        return Err(Failure::told(Code::Failed, ErrorCode::PlaceClosed, text)
            .hint("`lapstrake build` first, or name where it is with --built"));
    }
    let (theirs, ours) = (open(reference, None)?, open(&args.built, args.image.as_deref())?);
    let mut found = Vec::new();
    let mut compared = 0;
    for image in ours.images() {
        let Some(config) = &image.config else { continue };
        let here = config.platform().to_string();
        let other = theirs
            .images()
            .into_iter()
            .find(|other| other.config.as_ref().is_some_and(|config| config.platform().to_string() == here));
        let Some(other) = other else { continue };
        let Some(other_config) = &other.config else { continue };
        compared += 1;
        found.extend(difference::settings(&other_config.config, &config.config));
        let (first, second) = (stack(&theirs, other, &store, reporter)?, stack(&ours, image, &store, reporter)?);
        found.extend(difference::places(first.rootfs(), second.rootfs(), &ignored));
    }
    if compared == 0 {
        let text = format!("{reference} is for another platform than what was built");
        return Err(Failure::told(Code::Different, ErrorCode::NoPlatform, text));
    }
    let lines: String = found.iter().take(SHOWN).map(|difference| format!("{difference}\n")).collect();
    print(&lines)?;
    if found.is_empty() {
        reporter.note(format!(
            "{reference} and {} have the same settings, and the same paths with the same modes and owners",
            args.built
        ));
        return Ok(());
    }
    if found.len() > SHOWN {
        reporter
            .note(format!("{} more differences are not shown; --ignore PATH passes over a path", found.len() - SHOWN));
    }
    let text = format!("{reference} and {} differ in {} places", args.built, found.len());
    Err(Failure::told(Code::Different, ErrorCode::Differs, text))
}

/// What all layers of an image come to.
fn stack(artifact: &Artifact, image: &Image, store: &BlobStore, reporter: &Reporter) -> Outcome<LayerStack> {
    let mut stack = LayerStack::new();
    let Some(config) = &image.config else { return Ok(stack) };
    let bytes: Arc<dyn BlobSource> = artifact.source().clone();
    let layers = image.manifest.layers.iter().zip(&config.rootfs.diff_ids).map(|(descriptor, diff_id)| StackLayer {
        descriptor: descriptor.clone(),
        diff_id: *diff_id,
        bytes: bytes.clone(),
        limits: Limits::default(),
    });
    stack.push_base(layers.collect(), store, reporter).or_fail(Code::Failed)?;
    Ok(stack)
}
