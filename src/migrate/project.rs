//! The Dockerfiles that are migrated together: which stage stands on which, across files.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::Kept;
use super::draft::{Key, Toml};
use super::names::{self, Named};
use super::stage::Here;
use super::state::State;
use super::value::Value;
use super::{Context, Options};
use crate::code::ErrorCode;
use crate::dockerfile::{Dockerfile, Instruction, Kind, expand};
use crate::logins::hide_in_name;
use crate::oci::{Reference, ReferenceError};
use crate::recipe::{Diagnostic, Diagnostics};

/// What Debian's images have for it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One Dockerfile.
pub(super) struct File {
    pub(super) dockerfile: Dockerfile,
    pub(super) named: Named,
    /// Its context, from the recipe's.
    pub(super) prefix: String,
    globals: BTreeMap<String, Value>,
}

/// All of them.
pub(super) struct Project<'a> {
    pub(super) options: &'a Options,
    pub(super) context: &'a dyn Context,
    pub(super) files: Vec<File>,
    /// Stages that were gone through.
    states: BTreeMap<(usize, usize), State>,
    /// Files that are being gone through, for circles.
    open: Vec<usize>,
    /// Stages that are images of their own, since others copy from them.
    pub(super) wanted: BTreeSet<(usize, usize)>,
}

/// What `--from` names.
pub(super) enum Found {
    /// An earlier stage of the same file.
    Stage(Box<State>, StageId),
    /// The image of another file.
    Image(Box<State>, String),
    /// An image from elsewhere: its full reference, or a place.
    Outside(String),
}

/// A stage, and how it is told.
pub(super) struct StageId {
    pub(super) at: (usize, usize),
    pub(super) shown: String,
}

impl<'a> Project<'a> {
    pub(super) fn new(options: &'a Options, context: &'a dyn Context, parsed: Vec<(Dockerfile, String)>) -> Self {
        let paths: Vec<String> = parsed.iter().map(|(file, _)| file.name.clone()).collect();
        let names = names::of(&paths, &options.name);
        let files = parsed.into_iter().zip(names).map(|((dockerfile, prefix), named)| {
            let mut globals: BTreeMap<String, Value> = BTreeMap::new();
            for instruction in &dockerfile.arguments {
                let Kind::Arg(arguments) = &instruction.kind else { continue };
                for (name, default) in arguments {
                    let given = options.arguments.get(name).map(|text| Value::text(text.clone()));
                    let default = default.as_ref().and_then(|text| {
                        let pieces = expand::pieces(text, dockerfile.escape).ok()?;
                        Value::fill(&pieces, &|name| globals.get(name).cloned()).ok()
                    });
                    let value = given.unwrap_or_else(|| Value::argument(name, default));
                    globals.insert(name.clone(), value);
                }
            }
            File { dockerfile, named, prefix, globals }
        });
        Project {
            options,
            context,
            files: files.collect(),
            states: BTreeMap::new(),
            open: Vec::new(),
            wanted: BTreeSet::new(),
        }
    }

    pub(super) fn prefix(&self, file: usize) -> &str {
        &self.files[file].prefix
    }

    /// The default of an `ARG` before the first `FROM`.
    pub(super) fn global(&self, file: usize, name: &str) -> Option<Value> {
        self.files[file].globals.get(name).cloned()
    }

    /// Goes through a file; gives its last stage.
    pub(super) fn last(&mut self, file: usize) -> Result<State, Diagnostics> {
        let last = self.files[file].dockerfile.stages.len() - 1;
        if let Some(state) = self.states.get(&(file, last)) {
            return Ok(state.clone());
        }
        self.open.push(file);
        for stage in self.live(file) {
            let state = self.stage(file, stage)?;
            self.states.insert((file, stage), state);
        }
        self.open.pop();
        Ok(self.states.get(&(file, last)).cloned().unwrap_or_default())
    }

    /// A stage that was gone through.
    pub(super) fn state(&self, at: (usize, usize)) -> Option<&State> {
        self.states.get(&at)
    }

    /// The stages that the last one needs, in order.
    pub(super) fn live(&self, file: usize) -> Vec<usize> {
        let dockerfile = &self.files[file].dockerfile;
        let mut live = BTreeSet::from([dockerfile.stages.len() - 1]);
        // Stages need earlier ones alone: one pass from the end finds all.
        for number in (0..dockerfile.stages.len()).rev() {
            if !live.contains(&number) {
                continue;
            }
            let stage = &dockerfile.stages[number];
            live.extend(dockerfile.stage(&self.base(file, number), number));
            for instruction in &stage.instructions {
                match &instruction.kind {
                    Kind::Copy(copy) => live.extend(copy.from.as_ref().and_then(|from| dockerfile.stage(from, number))),
                    Kind::Run(run) => {
                        let names = run.mounts.iter().filter_map(|mount| {
                            mount.split(',').find_map(|field| field.trim().strip_prefix("from=")).map(str::to_owned)
                        });
                        live.extend(names.filter_map(|name| dockerfile.stage(&name, number)));
                    }
                    _ => {}
                }
            }
        }
        live.into_iter().collect()
    }

    /// What a stage stands on, its arguments filled in.
    fn base(&self, file: usize, stage: usize) -> String {
        let File { dockerfile, globals, .. } = &self.files[file];
        let text = &dockerfile.stages[stage].base;
        let value = expand::pieces(text, dockerfile.escape)
            .ok()
            .and_then(|pieces| Value::fill(&pieces, &|name| globals.get(name).cloned()).ok());
        value.and_then(|value| value.known()).unwrap_or_default()
    }

    fn stage(&mut self, file: usize, stage: usize) -> Result<State, Diagnostics> {
        let mut state = self.begin(file, stage)?;
        let instructions: Vec<Instruction> = self.files[file].dockerfile.stages[stage].instructions.clone();
        let (name, escape) = (self.files[file].dockerfile.name.clone(), self.files[file].dockerfile.escape);
        for instruction in &instructions {
            let here = Here { file, stage, escape, place: format!("{name}:{}", instruction.line), instruction };
            state.apply(self, &here);
        }
        Ok(state)
    }

    /// A stage at its `FROM`.
    fn begin(&mut self, file: usize, stage: usize) -> Result<State, Diagnostics> {
        let base = self.base(file, stage);
        let dockerfile = &self.files[file].dockerfile;
        let name = self.files[file].named.image.clone();
        let from = &dockerfile.stages[stage].from;
        let place = format!("{}:{}", dockerfile.name, from.line);
        if let Some(parent) = dockerfile.stage(&base, stage)
            && let Some(state) = self.states.get(&(file, parent))
        {
            return Ok(State { cmd_set: false, ..state.clone() });
        }
        let mut state = State { workdir: "/".to_owned(), ..State::default() };
        state.draft.name = name;
        if base.is_empty() {
            let wrong = Diagnostic::error(
                ErrorCode::Dockerfile,
                &dockerfile.sources,
                from.span,
                "what this stage stands on is not known",
            )
            .label("expected a base")
            .help("an argument without a default gets its value by `--build-arg NAME=VALUE`");
            return Err(wrong.into());
        }
        if base == "scratch" {
            state.draft.set(Key::From, Toml::text("scratch"));
            return Ok(state);
        }
        if let Some(other) = self.other(file, &base) {
            let below = self.other_state(file, stage, other)?;
            let name = self.files[other].named.image.clone();
            state.draft.set(Key::From, Toml::text(&name)).comments =
                vec![format!("{place}: `{base}`, which {} makes", self.files[other].dockerfile.name)];
            state.inherited = below.inherited.clone();
            state.inherited.extend(below.env.clone());
            state.workdir.clone_from(&below.workdir);
            state.user.clone_from(&below.user);
            state.shell.clone_from(&below.shell);
            state.users.clone_from(&below.users);
            state.groups.clone_from(&below.groups);
            state.venv.clone_from(&below.venv);
            state.suites.clone_from(&below.suites);
            return Ok(state);
        }
        let (text, mut comments) = match self.options.replaced(&base) {
            Some(new) => (new.to_owned(), vec![format!("{place}: in the place of `{}`", hide_in_name(&base))]),
            None => match base.parse::<Reference>() {
                Ok(reference) => (reference.to_string(), Vec::new()),
                Err(error) => {
                    let wrong = Diagnostic::error(
                        ErrorCode::Dockerfile,
                        &dockerfile.sources,
                        from.span,
                        format!("the base is no reference: {error}"),
                    )
                    .label("expected `[registry/]repository[:tag]`")
                    .help("`--base OLD=NEW` puts another in its place");
                    let wrong = match error {
                        ReferenceError::Credentials => wrong.hide(from.span),
                        ReferenceError::Grammar { .. } => wrong,
                    };
                    return Err(wrong.into());
                }
            },
        };
        if let Some(platform) =
            dockerfile.stages[stage].platform.as_ref().filter(|platform| platform.starts_with("linux/"))
        {
            state.draft.set(Key::Platforms, Toml::texts([platform]));
        }
        if self.options.replaced(&base).is_none() {
            comments.extend(names::advice(&base));
        }
        state.suites = names::suites(&base);
        if text == "scratch" {
            for mut layer in names::instead(&base) {
                layer.comments.insert(0, place.clone());
                state.add(layer);
            }
            // Every base has one, and runtimes disagree on what stands in for it.
            state.env.insert("PATH".to_owned(), Value::text(PATH));
            state.draft.put(Key::Env, "PATH", Toml::text(PATH));
        }
        state.draft.set(Key::From, Toml::text(text)).comments = comments;
        Ok(state)
    }

    /// The file that makes an image of that name, in the same variant where there are some.
    fn other(&self, file: usize, base: &str) -> Option<usize> {
        let own = &self.files[file].named;
        let fits = |at: &usize| {
            *at != file
                && self.files[*at].named.image != own.image
                && names::makes(&self.files[*at].named.image, &self.options.name, base)
        };
        let all: Vec<usize> = (0..self.files.len()).filter(fits).collect();
        all.iter().copied().find(|at| self.files[*at].named.variant == own.variant).or_else(|| all.first().copied())
    }

    fn other_state(&mut self, file: usize, stage: usize, other: usize) -> Result<State, Diagnostics> {
        if self.open.contains(&other) {
            let dockerfile = &self.files[file].dockerfile;
            let wrong = Diagnostic::error(
                ErrorCode::Dockerfile,
                &dockerfile.sources,
                dockerfile.stages[stage].from.span,
                "these Dockerfiles stand on each other in a circle",
            )
            .label(format!("{} stands on this one", self.files[other].dockerfile.name));
            return Err(wrong.into());
        }
        self.last(other)
    }

    /// What `COPY --from` names.
    pub(super) fn find(&mut self, file: usize, stage: usize, from: &str) -> Result<Found, Kept> {
        if let Some(number) = self.files[file].dockerfile.stage(from, stage)
            && let Some(state) = self.states.get(&(file, number))
        {
            let name = self.files[file].dockerfile.stages[number].name.clone();
            let shown = format!("`{}`", name.unwrap_or_else(|| number.to_string()));
            return Ok(Found::Stage(Box::new(state.clone()), StageId { at: (file, number), shown }));
        }
        if let Some(other) = self.other(file, from)
            && !self.open.contains(&other)
        {
            let state =
                self.last(other).map_err(|_| Kept::new("that Dockerfile cannot be read", "put it right first"))?;
            return Ok(Found::Image(Box::new(state), self.files[other].named.image.clone()));
        }
        match (self.options.replaced(from), from.parse::<Reference>()) {
            (Some(new), _) => Ok(Found::Outside(new.to_owned())),
            (None, Ok(reference)) => Ok(Found::Outside(reference.to_string())),
            (None, Err(_)) => Err(Kept::new(
                format!("`{}` is neither a stage nor an image", super::stage::shown(&hide_in_name(from))),
                "`image = { image = \"…\", copy = […] }`",
            )),
        }
    }

    /// The image to copy from, as a recipe names it; a stage becomes one for that.
    pub(super) fn image_of(&mut self, found: &Found) -> String {
        match found {
            Found::Stage(_, id) => {
                self.wanted.insert(id.at);
                self.stage_image(id.at)
            }
            Found::Image(_, name) | Found::Outside(name) => name.clone(),
        }
    }

    /// What the image of a stage is called.
    pub(super) fn stage_image(&self, (file, stage): (usize, usize)) -> String {
        let File { dockerfile, named, .. } = &self.files[file];
        let own = dockerfile.stages[stage].name.clone().unwrap_or_else(|| format!("stage{stage}"));
        names::clean(&format!("{}-{own}", named.image))
    }
}
