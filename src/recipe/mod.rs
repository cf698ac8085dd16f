//! Recipes: what people write, read whole and checked, with every placeholder filled in.
//!
//! ```text
//! TOML text → document → shape → read → resolve → Recipe
//!             (tree)     (known  (typed  (merged, in order,
//!                         keys)   values) placeholders filled)
//! ```
//!
//! The keys, their types and what they do are declared once, in [`vocabulary`]; checks, suggestions and the JSON Schema
//! ([`schema`]) come from there. Everything from outside comes in through [`Inputs`]. Each value knows where it is written
//! ([`At`]), so that whoever finds fault with it later can say so with a [`Diagnostic`] that underlines it.
//!
//! The rules are `semantics` 1 to 16 of the recipe reference; where they are silent, the doc comment of the type decides.

pub mod base;
mod diagnostic;
mod document;
pub mod environment;
pub mod image;
mod inputs;
pub mod layer;
pub mod packages;
pub mod path;
mod print;
mod problems;
mod read;
mod reference;
mod resolve;
mod schema;
mod section;
mod shape;
mod span;
mod template;
mod user;
pub mod value;
pub mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use base::{Base, ImageName, Place};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Sources, Style};
pub use environment::{EnvValue, EnvWarning, Environment};
pub use image::{Image, Labels, Setting};
pub use inputs::Inputs;
pub use layer::{FileRules, Layer, Source};
pub use path::{FilePath, ImageSelection, PerArch, Selection, Target};
pub use print::Unprintable;
pub use problems::Fault;
pub use read::platform_meant;
pub use reference::reference;
pub use schema::schema;
pub use span::{At, Span};

pub use user::User;
pub use value::{FileMode, Mode, NameOrId, OwnerSpec, Port};

use crate::code::ErrorCode;
use crate::host::open_regular;
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::shown::Shown;
use packages::DebianSettings;
pub(crate) use problems::quoted_whole;
use problems::{Problems, shown};
use read::{Fields, Reader};
use template::{Scope, Template};

/// The longest recipe that is read, in bytes.
pub const MAX_RECIPE: u64 = 1 << 20;

/// A recipe, checked and merged: what is to be built.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What people call the project.
    pub name: Option<At<String>>,
    /// The directory that paths are relative to: the recipe's own, and what `context` says from there.
    pub context: PathBuf,
    /// Users, by name.
    pub users: BTreeMap<String, User>,
    /// Where Debian packages come from.
    pub debian: DebianSettings,
    /// How much may come out of what is unpacked.
    pub limits: Limits,
    /// Every image in every variant, each after what it stands on or copies from, else in the order in which they are written.
    pub images: Vec<Image>,
    /// What is odd, but no error.
    pub warnings: Vec<Diagnostic>,
    sources: Sources,
    /// What is written, with what `--set` says.
    document: document::Table,
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {path}")]
    Read {
        /// The file.
        path: Shown,
        /// Why not.
        source: io::Error,
    },
    /// It says something wrong.
    #[error("{0}")]
    Wrong(Diagnostics),
}

/// Reads a recipe from its file.
///
/// # Errors
/// Where the file cannot be read, or the recipe is wrong: then up to ten messages, each with file, line and column.
pub fn load(path: &Path, inputs: &Inputs) -> Result<Recipe, RecipeError> {
    let failed = |source| RecipeError::Read { path: Shown::new(path.as_os_str().as_encoded_bytes()), source };
    let mut bytes = Vec::new();
    open_regular(path).map_err(failed)?.take(MAX_RECIPE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_RECIPE {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {MAX_RECIPE} bytes"),
        )));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))));
        }
    };
    read(path, text, inputs)
}

/// Reads a recipe from its text; `name` is what messages call it, and its directory is where `context` starts.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, inputs: &Inputs) -> Result<Recipe, RecipeError> {
    if text.len() as u64 > MAX_RECIPE {
        let source = io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {MAX_RECIPE} bytes"));
        return Err(RecipeError::Read { path: Shown::new(name.as_bytes()), source });
    }
    read(Path::new(name), text.to_owned(), inputs)
}

fn read(path: &Path, text: String, inputs: &Inputs) -> Result<Recipe, RecipeError> {
    let (length, end) = (text.len(), text.trim_end().len());
    let mut texts = vec![(path.display().to_string(), text)];
    texts.extend(inputs.set.iter().map(|(key, value)| ("--set".to_owned(), setting(key, value))));
    let sources = Sources::new(texts);
    let wrong = |problems: Vec<Diagnostic>| RecipeError::Wrong(Diagnostics::of(problems));

    let mut document = document::parse(&sources, 0).map_err(wrong)?;
    settings(&mut document, &sources).map_err(wrong)?;
    let mut problems = Problems::new(sources.clone());
    shape::check(&document, Span::new(0, end..end), &mut problems);

    let mut reader = Reader { problems: &mut problems };
    let fields = Fields::new(&document, &vocabulary::RECIPE);
    fields.get("recipe");
    let (debian, packages) = reader.packages(&fields);
    let limits = reader.limits(&fields);
    let users = reader.users(&fields);
    let (mut project, mut name, mut context) = (section::Section::default(), None, None);
    if let Some(fields) = fields.table("project", &vocabulary::PROJECT) {
        project = reader.project(&fields);
        name = fields.get("name").and_then(document::Node::text);
        context = fields.get("context").and_then(document::Node::text);
    }
    let defaults = match fields.table("defaults", &vocabulary::DEFAULTS) {
        Some(fields) => reader.section(&fields, &packages),
        None => section::Section::default(),
    };
    let mut variants = Vec::new();
    let mut names = BTreeSet::new();
    for (name, node) in fields.each("variants") {
        let Some(table) = node.table() else { continue };
        if reader.name(name, "a variant") {
            if vocabulary::IMAGE.key(&name.value).is_some() {
                let diagnostic = reader
                    .problems
                    .error(name.span, format!("variant {} has the name of a key of images", shown(&name.value)))
                    .label("expected another name")
                    .note(format!("`[images.NAME.{}]` would mean both", name.value));
                reader.problems.push(diagnostic);
            }
            names.insert(name.value.as_str());
            variants.push((name.clone(), reader.section(&Fields::new(table, &vocabulary::VARIANT), &packages)));
        }
    }
    let mut images = Vec::new();
    for (name, node) in fields.each("images") {
        let Some(table) = node.table() else { continue };
        if name.value == "scratch" {
            let diagnostic = reader.problems.error(name.span, "`scratch` is the empty base, and no image of a recipe");
            reader.problems.push(diagnostic.label("expected another name"));
        } else if !reader.name(name, "an image") {
            continue;
        }
        let section = reader.section(&Fields::new(table, &vocabulary::IMAGE), &packages);
        let mut own = Vec::new();
        for (variant, node) in table.iter().filter(|(key, _)| vocabulary::IMAGE.key(&key.value).is_none()) {
            if let (Some(table), true) = (node.table(), names.contains(variant.value.as_str())) {
                own.push((variant.clone(), reader.section(&Fields::new(table, &vocabulary::VARIANT), &packages)));
            }
        }
        // An image that only has tables of its own (`[images.app.env]`) has no header: its first key stands for it.
        images.push(resolve::ImageDraft { name: name.clone(), span: node.span, section, variants: own });
    }
    if images.is_empty() && fields.get("images").is_some() && !problems.any_error() {
        let span = fields.get("images").map_or(Span::new(0, 0..0), |node| node.span);
        problems.push(
            problems
                .error(span, "the recipe makes no image")
                .coded(ErrorCode::MissingKey)
                .label("expected a table `[images.NAME]`"),
        );
    }
    if problems.any_error() {
        return Err(wrong(problems.into_list()));
    }
    let draft = resolve::Draft { project, defaults, users, variants, images };
    let images = resolve::images(&draft, inputs, length, &mut problems);
    if problems.any_error() {
        return Err(wrong(problems.into_list()));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let context = directory.join(context.as_ref().map_or("", |context| &context.value));
    Ok(Recipe {
        path: path.to_owned(),
        name,
        // A bare file name has an empty parent, which nobody can open.
        context: if context.as_os_str().is_empty() { PathBuf::from(".") } else { context },
        users: draft.users,
        debian,
        limits,
        images,
        warnings: problems.into_list(),
        sources,
        document,
    })
}

/// `--set KEY=VALUE` as a line of TOML.
fn setting(key: &str, value: &str) -> String {
    let list = matches!(vocabulary::PROJECT.key(key).map(|key| &key.kind), Some(vocabulary::Kind::List(_)));
    let items: Vec<String> = match list {
        true if value.is_empty() => Vec::new(),
        true => value.split(',').map(|item| problems::quoted_whole(item.trim())).collect(),
        false => vec![problems::quoted_whole(value)],
    };
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let key = if bare { key.to_owned() } else { problems::quoted_whole(key) };
    match list {
        true => format!("{key} = [{}]", items.join(", ")),
        false => format!("{key} = {}", items.concat()),
    }
}

/// Puts what `--set` says into `[project]`, in the place of what is there.
fn settings(document: &mut document::Table, sources: &Sources) -> Result<(), Vec<Diagnostic>> {
    for source in 1..sources.len() {
        let table = document::parse(sources, source)?;
        for (key, node) in table.iter() {
            let header = At::new("project".to_owned(), key.span);
            if let Some(project) = document.table_mut(header) {
                project.set(key.clone(), node.clone());
            }
        }
    }
    Ok(())
}

/// Fills in the placeholders of a text that does not stand in the recipe, such as `-o`: those of an image only where one is
/// given, `{arch}` never.
///
/// # Errors
/// Where a placeholder is misspelt, or has no value.
pub fn fill(text: &str, inputs: &Inputs, image: Option<&ImageName>) -> Result<String, Fault> {
    let template = Template::parse(text)?;
    let refused = if image.is_some() { &["arch"][..] } else { &["arch", "image", "variant"] };
    if let Some(name) = refused.iter().find(|name| template.names(name)) {
        return Err(Fault::new(format!("`{{{name}}}` has no value in {}", shown(text)), "expected without it")
            .help("a brace that stands for itself is written `{{`"));
    }
    let scope = Scope {
        inputs,
        image: image.map_or("", |name| name.image.as_str()),
        variant: image.and_then(|name| name.variant.as_deref()),
    };
    Ok(template.fill(&scope)?.with_arch(""))
}

/// Whether `{image}`, `{variant}`, `{arch}` or one of `{env.…}` is in a text that does not stand in the recipe.
pub fn has_placeholder(text: &str, name: &str) -> bool {
    Template::parse(text).is_ok_and(|template| template.names(name))
}

/// Says that a word between braces is no placeholder, in a text that can hold no brace, such as a tag.
pub fn unknown_placeholder(text: &str) -> Option<Fault> {
    Template::parse(text).ok()?.stray()
}

impl Recipe {
    /// An error about what is written at that place.
    pub fn error(&self, code: ErrorCode, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.sources, span, message)
    }

    /// A warning about what is written at that place.
    pub fn warning(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.sources, span, message)
    }

    /// `FILE:LINE:COLUMN` of a place.
    pub fn position(&self, span: Span) -> String {
        self.sources.position(span)
    }

    /// The texts that the recipe was read from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The image of that name, in that variant.
    pub fn image(&self, name: &ImageName) -> Option<&Image> {
        self.images.iter().find(|image| image.name == *name)
    }

    /// The images that are asked for, in the order in which they are built: each `NAME` or `NAME:VARIANT`, all that are
    /// published where none is named; then only those in one of these variants, where any is named. What they stand on is
    /// not among them: see [`Image::needs`].
    ///
    /// # Errors
    /// Where something is named that is not there.
    pub fn select(&self, names: &[String], variants: &[String]) -> Result<Vec<&Image>, UnknownName> {
        let known: Vec<&str> = self.images.iter().filter_map(|image| image.name.variant.as_deref()).collect();
        for variant in variants {
            if !known.contains(&variant.as_str()) {
                return Err(UnknownName::new("variant", variant, known));
            }
        }
        let fits = |image: &&Image| {
            variants.is_empty() || image.name.variant.as_ref().is_some_and(|variant| variants.contains(variant))
        };
        if names.is_empty() {
            return Ok(self.images.iter().filter(|image| image.publish).filter(fits).collect());
        }
        let named = |image: &Image, name: &String| image.name.image == *name || image.name.to_string() == *name;
        for name in names {
            if !self.images.iter().any(|image| named(image, name)) {
                let full: Vec<String> = self.images.iter().map(|image| image.name.to_string()).collect();
                let images = self.images.iter().map(|image| image.name.image.as_str());
                return Err(UnknownName::new("image", name, images.chain(full.iter().map(String::as_str))));
            }
        }
        let chosen = |image: &&Image| names.iter().any(|name| named(image, name));
        Ok(self.images.iter().filter(chosen).filter(fits).collect())
    }

    /// Images that must be built for these: themselves, and everything that they stand on or copy from, in order.
    pub fn with_needs<'r>(&'r self, images: &[&'r Image]) -> Vec<&'r Image> {
        let mut wanted: Vec<&ImageName> = images.iter().map(|image| &image.name).collect();
        // Each image stands after what it needs, so one pass from the end finds them all.
        let mut found: Vec<&Image> = Vec::new();
        for image in self.images.iter().rev() {
            if wanted.contains(&&image.name) {
                wanted.extend(image.needs());
                found.push(image);
            }
        }
        found.reverse();
        found
    }
}

/// A name that is asked for and is not in the recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} {name} in the recipe{}", suggestion.as_ref().map(|close| format!(": did you mean `{close}`?")).unwrap_or_default())]
pub struct UnknownName {
    /// `image` or `variant`.
    pub kind: &'static str,
    /// What was asked for.
    pub name: Shown,
    /// The nearest one that is there.
    pub suggestion: Option<String>,
}

impl UnknownName {
    fn new<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        UnknownName { kind, name: Shown::new(name.as_bytes()), suggestion: nearest(name, known).map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong;
