//! From Dockerfiles to a recipe.
//!
//! ```text
//! Dockerfiles → stages → drafts → twins → shared → text
//!              (what     (images  (one    (what
//!               lines     and      image,  several
//!               do)       layers)  variants) begin with)
//! ```
//!
//! What a line does and a recipe can say becomes the recipe's own words; there is nothing to do for what only cleans up
//! after installers; all else stays as a comment that says why, and what to do instead. Each line's fate is in a
//! [`Report`]. Nothing is run and nothing is read but what the caller hands in, so that the same Dockerfiles give the same
//! recipe; what the context holds is asked of a [`Context`].

mod commands;
mod copies;
mod draft;
mod names;
mod project;
mod render;
mod report;
mod shared;
mod shell;
mod stage;
mod starter;
mod state;
#[cfg(test)]
mod tests;
mod twins;
mod value;

use std::collections::BTreeMap;

pub use report::{Fate, Report, Told};
pub use starter::starter;

use crate::dockerfile;
use crate::recipe::Diagnostics;
use draft::{Draft, Key, Recipe, Source, Toml};
use project::Project;
use state::State;

/// What something in a context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// What is known of the context. Paths are relative to the recipe's.
pub trait Context {
    /// What stands there; nothing where that is not known.
    fn kind(&self, path: &str) -> Option<FileKind>;
}

/// Nothing is known.
impl Context for () {
    fn kind(&self, _: &str) -> Option<FileKind> {
        None
    }
}

/// A Dockerfile to migrate.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its path, as messages and comments call it: images are named by it.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// Its context, from the recipe's context; empty where they are one.
    pub prefix: String,
}

/// What is wanted of a migration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the project is called; images are `NAME-base` for other Dockerfiles, and a lone `Dockerfile` makes `NAME`.
    pub name: String,
    /// The recipe's `context`, where it is not its own directory.
    pub context: Option<String>,
    /// Build arguments, by name.
    pub arguments: BTreeMap<String, String>,
    /// What every base from elsewhere is replaced by.
    pub from: Option<String>,
    /// What single bases are replaced by: as a Dockerfile writes them, and the new one.
    pub bases: Vec<(String, String)>,
}

impl Options {
    fn replaced(&self, base: &str) -> Option<&str> {
        let same = |old: &str| {
            old == base
                || matches!((old.parse::<crate::oci::Reference>(), base.parse::<crate::oci::Reference>()), (Ok(old), Ok(base)) if old == base)
        };
        let single = self.bases.iter().find(|(old, _)| same(old)).map(|(_, new)| new.as_str());
        single.or(self.from.as_deref())
    }
}

/// What comes of it.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The recipe.
    pub recipe: String,
    /// Images that it makes, with variants where they have some.
    pub images: Vec<String>,
    /// Files that it wants in the context and that no Dockerfile had: path and text.
    pub files: Vec<(String, String)>,
    /// What became of each line.
    pub report: Report,
    /// Whether anything has to be locked: packages, or bases in a registry.
    pub locks: bool,
}

/// Makes a recipe of Dockerfiles.
///
/// # Errors
/// Where one of them cannot be read, or a base is not known.
pub fn migrate(inputs: &[Input], context: &dyn Context, options: &Options) -> Result<Migration, Diagnostics> {
    let mut parsed = Vec::new();
    for input in inputs {
        parsed.push((dockerfile::parse(&input.name, &input.text)?, input.prefix.clone()));
    }
    let mut project = Project::new(options, context, parsed);
    let mut states: Vec<State> = Vec::new();
    for file in 0..project.files.len() {
        states.push(project.last(file)?);
    }
    let mut report = Report::default();
    for file in 0..project.files.len() {
        for told in project
            .live(file)
            .iter()
            .filter_map(|stage| project.state((file, *stage)))
            .flat_map(|state| &state.report.0)
        {
            if !report.0.contains(told) {
                report.0.push(told.clone());
            }
        }
    }
    let mut recipe = Recipe {
        name: options.name.clone(),
        context: options.context.clone(),
        comments: heading(inputs),
        ..Recipe::default()
    };
    let mut files: Vec<(String, String)> = Vec::new();
    let mut drafts: Vec<(String, Option<String>, Draft)> = Vec::new();
    let wanted: Vec<(usize, usize)> = project.wanted.iter().copied().collect();
    for at in wanted {
        let Some(state) = project.state(at).cloned() else { continue };
        let mut state = state.finished();
        state.draft.name = project.stage_image(at);
        let stage = &project.files[at.0].dockerfile.stages[at.1];
        state.draft.comments.push(format!(
            "stage `{}` of {}: only what others copy of it counts",
            stage.name.clone().unwrap_or_else(|| at.1.to_string()),
            project.files[at.0].dockerfile.name
        ));
        state.draft.set(Key::Publish, Toml::False);
        gather(&mut recipe, &mut files, &mut state, project.files[at.0].named.variant.as_deref());
        drafts.push((state.draft.name.clone(), project.files[at.0].named.variant.clone(), state.draft));
    }
    for (file, state) in states.into_iter().enumerate() {
        let mut state = state.finished();
        let named = &project.files[file].named;
        state.draft.name.clone_from(&named.image);
        state.draft.comments.push(format!("from {}", project.files[file].dockerfile.name));
        let left: Vec<String> = (0..project.files[file].dockerfile.stages.len())
            .filter(|number| !project.live(file).contains(number))
            .map(|number| {
                format!(
                    "`{}`",
                    project.files[file].dockerfile.stages[number].name.clone().unwrap_or_else(|| number.to_string())
                )
            })
            .collect();
        if !left.is_empty() {
            state.draft.comments.push(format!("without stages that the last one does not need: {}", left.join(", ")));
        }
        gather(&mut recipe, &mut files, &mut state, named.variant.as_deref());
        drafts.push((named.image.clone(), named.variant.clone(), state.draft));
    }
    assemble(&mut recipe, drafts);
    let images = recipe
        .images
        .iter()
        .filter(|draft| draft.value(Key::Publish).is_none())
        .flat_map(|draft| match draft.variants.as_slice() {
            [] => vec![draft.name.clone()],
            variants => variants.iter().map(|(variant, _)| format!("{}:{variant}", draft.name)).collect(),
        })
        .collect();
    let names: Vec<&str> = recipe.images.iter().map(|draft| draft.name.as_str()).collect();
    let outside = |draft: &Draft| match draft.value(Key::From) {
        Some(Toml::Text(from)) => {
            from.contains('/')
                && !from.contains("oci:")
                && !from.contains("archive:")
                && !names.contains(&from.as_str())
        }
        _ => false,
    };
    let packages = |draft: &Draft| {
        let overlays = draft.variants.iter().flat_map(|(_, overlay)| &overlay.items);
        draft.items.iter().chain(overlays).any(|item| matches!(item, draft::Item::Layer(layer) if matches!(layer.source, Source::Debian { .. } | Source::Python(_) | Source::Fetch(_))))
    };
    let locks = recipe.images.iter().any(|draft| outside(draft) || packages(draft));
    Ok(Migration { recipe: render::recipe(&recipe), images, files, report, locks })
}

fn heading(inputs: &[Input]) -> Vec<String> {
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    vec![
        format!("Made by `lapstrake init` from {}.", names.join(", ")),
        "Comments name the lines; search for NOT TURNED. `lapstrake schema` tells editors the keys.".to_owned(),
    ]
}

/// Takes users, files and suites out of a stage.
fn gather(recipe: &mut Recipe, files: &mut Vec<(String, String)>, state: &mut State, variant: Option<&str>) {
    if let Some(Toml::List(names)) = state.draft.value(Key::Users) {
        for name in names.clone() {
            let Toml::Text(name) = name else { continue };
            let Some(user) = state.users.get(&name) else { continue };
            match recipe.users.get_mut(&name) {
                None => drop(recipe.users.insert(name, user.clone())),
                Some(known) => {
                    let plain = |user: &draft::User| draft::User { comments: Vec::new(), ..user.clone() };
                    let said = format!(
                        "another Dockerfile says uid {}, gid {}, home {}: a recipe has one user of a name",
                        user.uid, user.gid, user.home
                    );
                    if plain(known) != plain(user) && !known.comments.contains(&said) {
                        known.comments.push(said);
                    }
                }
            }
        }
    }
    for (file, text) in std::mem::take(&mut state.written) {
        match files.iter().find(|(known, _)| *known == file) {
            Some((_, known)) if *known == text => {}
            None => files.push((file, text)),
            Some(_) => {
                let stem = file.trim_end_matches(".txt").to_owned();
                let mut other = format!("{stem}-{}.txt", variant.unwrap_or("2"));
                while files.iter().any(|(known, text_of)| *known == other && *text_of != text) {
                    other = other.replace(".txt", "-2.txt");
                }
                for layer in state.draft.layers_mut() {
                    if let Source::Python(python) = &mut layer.source {
                        python
                            .requirements
                            .iter_mut()
                            .filter(|known| **known == file)
                            .for_each(|known| known.clone_from(&other));
                    }
                    layer.comments.iter_mut().for_each(|comment| *comment = comment.replace(&file, &other));
                }
                if files.iter().all(|(known, _)| *known != other) {
                    files.push((other, text));
                }
            }
        }
    }
    let debian = state.draft.layers().any(|layer| matches!(layer.source, Source::Debian { .. }));
    if debian {
        match (recipe.suites.is_empty(), state.suites.is_empty()) {
            (true, false) => recipe.suites.clone_from(&state.suites),
            (true, true) | (false, true) => {}
            (false, false) if recipe.suites == state.suites => {}
            (false, false) => {
                let other = state.suites.clone();
                for layer in state.draft.layers_mut() {
                    if let Source::Debian { suites, .. } = &mut layer.source {
                        suites.clone_from(&other);
                    }
                }
            }
        }
        if recipe.suites_comments.is_empty() {
            let of_base = match state.draft.value(Key::From) == Some(&Toml::text("scratch")) {
                true => "",
                false => ": the suites of the base itself, which its /etc/os-release tells",
            };
            recipe.suites_comments = vec![format!("where packages come from{of_base}")];
        }
    }
}

/// From drafts, one for each Dockerfile, to images.
fn assemble(recipe: &mut Recipe, drafts: Vec<(String, Option<String>, Draft)>) {
    let debian = !recipe.suites_comments.is_empty();
    if debian && recipe.suites.is_empty() {
        recipe.suites_comments.push("(a guess: the name of the base does not say)".to_owned());
        recipe.suites = ["trixie", "trixie-updates", "trixie-security"].map(str::to_owned).to_vec();
    }
    let mut groups: Vec<(String, Vec<(String, Draft)>)> = Vec::new();
    for (image, variant, draft) in drafts {
        let Some(variant) = variant else {
            groups.push((image, vec![(String::new(), draft)]));
            continue;
        };
        match groups.iter_mut().find(|(known, list)| *known == image && list.iter().all(|(name, _)| !name.is_empty())) {
            Some((_, list)) => list.push((variant, draft)),
            None => groups.push((image, vec![(variant, draft)])),
        }
    }
    for (_, mut group) in groups {
        match group.as_slice() {
            [(name, _)] if name.is_empty() => recipe.images.extend(group.pop().map(|(_, draft)| draft)),
            _ => recipe.images.extend(twins::merge(group)),
        }
    }
    shared::bases(recipe);
    shared::owner(recipe);
    shared::variants(recipe);
}
