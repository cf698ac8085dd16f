//! What one layer of a recipe holds: its sources, each put into one tree.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::run::Chosen;
use super::settings::{Resolved, owner_of};
use super::{BuildError, Builder, OpenBase, Run, WRITTEN};
use crate::base::LayerStack;
use crate::code::{Cause, Coded, ErrorCode};
use crate::context::{self, ContextDirectory, CopyRequest, FileMode, Forbidden, IgnoreFile, Modes, Patterns};
use crate::host::HostRoot;
use crate::oci::Platform;
use crate::recipe::packages::{DebianPackage, PythonInput};
use crate::recipe::{self, At, Base, FileRules, Image, OwnerSpec, PerArch, Source, Span, Target};
use crate::source::image::{ImageItem, Landing, copy_from_image};
use crate::source::{archive, files};
use crate::tree::{Entry, FileTree, Kind, Origin, Owner, Placer, Rootfs, TreePath};

/// The tree of a layer, and what is told of it.
pub(super) struct LayerTree {
    /// What people call it.
    pub title: String,
    /// Its line of history.
    pub created_by: String,
    /// Where the recipe asks for it.
    pub span: Span,
    /// Into how many layers it may be cut.
    pub split: usize,
    /// What it holds.
    pub tree: FileTree,
    /// The newest time inside of what it came from, seconds since 1970.
    pub newest: Option<i64>,
}

/// Everything that a source may need.
pub(super) struct Making<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) image: &'a Image,
    pub(super) layer: &'a recipe::Layer,
    resolved: &'a Resolved,
    pub(super) open: &'a OpenBase,
    pub(super) platform: &'a Platform,
    pub(super) run: &'a Run,
    /// Of the image and the layer.
    rules: FileRules,
    pub(super) newest: Option<i64>,
    /// The seal of the Debian packages that the layer's key is of.
    pub(super) planned: Option<String>,
}

impl<'a> Making<'a> {
    /// What it takes to make a layer of an image.
    pub(super) fn new(
        builder: &'a Builder<'a>,
        image: &'a Image,
        layer: &'a recipe::Layer,
        resolved: &'a Resolved,
        open: &'a OpenBase,
        platform: &'a Platform,
        run: &'a Run,
    ) -> Self {
        Making {
            builder,
            image,
            layer,
            resolved,
            open,
            platform,
            run,
            rules: image.rules_of(layer),
            newest: None,
            planned: None,
        }
    }
}

/// Makes the tree of a layer.
pub(super) fn make(mut making: Making<'_>) -> Result<LayerTree, BuildError> {
    let Making { builder, layer, .. } = making;
    let mut tree = FileTree::new();
    // An interpreter comes before its packages, certificates after the bundle that they are added to; capabilities are
    // given to files that other sources bring.
    let mut sources: Vec<&At<Source>> = layer.sources.iter().collect();
    sources.sort_by_key(|source| match source.value {
        Source::Debian(_) => 0,
        Source::Python(_) => 1,
        Source::Ca(_) => 3,
        Source::Caps(_) => 4,
        _ => 2,
    });
    let caps = sources.iter().position(|source| matches!(source.value, Source::Caps(_))).unwrap_or(sources.len());
    let (others, caps) = sources.split_at(caps);
    for source in others {
        making.source(source, &mut tree)?;
    }
    tree.settle_links().map_err(|error| builder.at(layer.span, error))?;
    for source in caps {
        making.source(source, &mut tree)?;
    }
    making.warn_of_idle_modes(&tree)?;
    let created_by = making.created_by()?;
    Ok(LayerTree {
        title: layer.title(),
        span: layer.span,
        split: usize::from(layer.split),
        created_by,
        tree,
        newest: making.newest,
    })
}

impl Making<'_> {
    pub(super) fn at(&self, span: Span, error: impl Coded) -> BuildError {
        self.builder.at(span, error)
    }

    pub(super) fn told(&self, code: ErrorCode, span: Span, text: impl Into<String>) -> BuildError {
        self.builder.told(code, span, text)
    }

    pub(super) fn caused(&self, span: Span, what: String, error: impl Coded) -> BuildError {
        self.builder.caused(span, what, error)
    }

    pub(super) fn arch<T: recipe::path::FromText>(&self, value: &PerArch<T>, span: Span) -> Result<T, BuildError> {
        value.resolve(&self.platform.architecture).map_err(|error| self.at(span, error))
    }

    fn below(&self) -> &Rootfs {
        self.open.stack.rootfs()
    }

    pub(super) fn owner(&self, owner: Option<&At<OwnerSpec>>) -> Result<Option<Owner>, BuildError> {
        let resolve = |owner: &At<OwnerSpec>| {
            owner_of(&self.resolved.accounts, &owner.value).map_err(|error| self.at(owner.span, error))
        };
        owner.map(resolve).transpose()
    }

    /// The owner of what the recipe copies and makes.
    fn usual_owner(&self) -> Result<Owner, BuildError> {
        Ok(self.owner(self.rules.owner.as_ref())?.unwrap_or(Owner::ROOT))
    }

    fn modes(&self, rules: &FileRules) -> Result<Modes, BuildError> {
        let mode = |mode: &recipe::FileMode| match mode {
            recipe::FileMode::Octal(mode) => FileMode::Fixed(mode.bits()),
            recipe::FileMode::Preserve => FileMode::Preserve,
        };
        let file = rules.mode.as_ref().map_or(FileMode::Usual, |at| mode(&at.value));
        let directory = match rules.dir_mode.as_ref().map(|at| at.value) {
            Some(recipe::FileMode::Octal(mode)) => Some(mode.bits()),
            Some(recipe::FileMode::Preserve) | None => None,
        };
        let mut modes = Modes::new(file, directory);
        for rule in &rules.modes {
            modes
                .add(&rule.pattern.value, rule.mode.value.bits())
                .map_err(|error| self.at(rule.pattern.span, error))?;
        }
        Ok(modes)
    }

    /// Says which patterns of the layer's `modes` are for nothing in it, once an image.
    fn warn_of_idle_modes(&self, tree: &FileTree) -> Result<(), BuildError> {
        let is_first = self.builder.platforms_of(self.image).first() == Some(self.platform);
        // Where nothing says where things land, each kind of source has a place of its own.
        let has_to = self.layer.to.is_some()
            || self
                .layer
                .sources
                .iter()
                .all(|source| matches!(source.value, Source::Copy(_) | Source::Files(_) | Source::Dirs(_)));
        if self.layer.rules.modes.is_empty() || !is_first || !has_to {
            return Ok(());
        }
        let to = self.to(self.layer.span)?;
        for rule in &self.layer.rules.modes {
            let mut modes = Modes::new(FileMode::Usual, None);
            modes.add(&rule.pattern.value, 0).map_err(|error| self.at(rule.pattern.span, error))?;
            let is_for = |(path, entry): (&TreePath, &Entry)| {
                let below = path.strip_prefix(&to);
                match entry.kind {
                    Kind::Directory => modes.named_directory(below.as_ref()).is_some(),
                    _ => modes.names_file(below.as_ref()),
                }
            };
            if !tree.iter().any(is_for) {
                let at = self.builder.recipe.position(rule.pattern.span);
                let pattern = crate::shown::Shown::new(rule.pattern.value.as_bytes());
                self.builder.reporter.warn(format!(
                    "nothing in the layer `{}` of {} has the path {pattern} of `modes`, which is relative to {to} ({at})",
                    self.layer.title(),
                    self.image.name
                ));
            }
        }
        Ok(())
    }

    /// Modes of archives and other images: what they have, unless the layer itself says otherwise.
    pub(super) fn own_modes(&self) -> Result<Modes, BuildError> {
        let mut rules = self.layer.rules.clone();
        let preserve = At::new(recipe::FileMode::Preserve, self.layer.span);
        rules.mode.get_or_insert(preserve);
        self.modes(&rules)
    }

    pub(super) fn patterns(&self, written: &[At<String>]) -> Result<Patterns, BuildError> {
        Patterns::parse(written.iter().map(|pattern| pattern.value.as_bytes()))
            .map_err(|(number, error)| self.at(written.get(number).map_or(self.layer.span, |at| at.span), error))
    }

    /// The directory that things land in: the layer's `to`, else the workdir.
    pub(super) fn to(&self, span: Span) -> Result<TreePath, BuildError> {
        match (&self.layer.to, &self.resolved.workdir) {
            (Some(to), _) => self.arch(&to.value, to.span),
            (None, Some(workdir)) => Ok(workdir.clone()),
            (None, None) => Err(self.told(
                ErrorCode::MissingKey,
                span,
                "the layer has no `to`, and the image no workdir: where should this land?",
            )),
        }
    }

    /// A path that may be written below `to`.
    fn target(&self, path: &At<PerArch<Target>>) -> Result<TreePath, BuildError> {
        match self.arch(&path.value, path.span)? {
            Target::Root(path) => Ok(path),
            below => below.under(&self.to(path.span)?).map_err(|error| self.at(path.span, error)),
        }
    }

    fn source(&mut self, source: &At<Source>, tree: &mut FileTree) -> Result<(), BuildError> {
        match &source.value {
            Source::Copy(items) => match self.copy(items, source.span, tree) {
                // What a pipeline makes later need not be there yet: pins do not depend on it.
                Err(error) if self.is_locking() => {
                    self.builder.reporter.note(format!("not looked at while locking: {error}"));
                    Ok(())
                }
                done => done,
            },
            Source::Files(items) => self.files(items, tree),
            Source::Dirs(items) => self.dirs(items, tree),
            Source::Symlinks(items) => self.symlinks(items, tree),
            Source::Archive(items) => self.archives(items, tree),
            Source::Image(items) => self.images(items, source.span, tree),
            // They speak of files that other layers bring, and these are not all laid out while locking.
            Source::Caps(_) | Source::Remove(_) if self.is_locking() => Ok(()),
            Source::Caps(items) => self.caps(items, tree),
            Source::Remove(items) => self.remove(items, tree),
            Source::Fetch(items) => self.fetch(items, source.span, tree),
            Source::Ca(items) => self.ca(items, source.span, tree),
            Source::Debian(packages) => self.debian(packages, source.span, tree),
            Source::Python(packages) => self.python(packages, source.span, tree),
        }
    }

    pub(super) fn placer<'t>(&'t self, tree: &'t mut FileTree, owner: Owner, what: &str) -> Placer<'t> {
        let origin = Origin::new(format!("{what} of {}", self.image.name));
        Placer::new(self.below(), tree, owner, origin).replacing(self.layer.replace)
    }

    fn copy(
        &mut self,
        items: &[At<recipe::layer::CopyItem<recipe::Selection>>],
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let recipe = self.builder.recipe;
        let context = match self.run.context.get() {
            Some(context) => context,
            None => {
                let opened = self.builder.open_context(span)?;
                self.run.context.get_or_init(|| opened)
            }
        };
        let asked = items
            .iter()
            .map(|item| {
                let what = self.arch(&item.value.what, item.span)?;
                let destination = item.value.dest.as_ref().map(|dest| self.target(dest)).transpose()?;
                let mut source = what.path().to_owned();
                match (source.is_empty(), what.is_contents()) {
                    (true, _) => source = ".".to_owned(),
                    (false, true) => source.push('/'),
                    (false, false) => {}
                }
                Ok(context::CopyItem { source, destination })
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        let to = match asked.iter().all(|item| item.destination.is_some()) {
            true => self.to(span).unwrap_or_default(),
            false => self.to(span)?,
        };
        let (include, exclude) = (self.patterns(&self.layer.include)?, self.patterns(&self.rules.exclude)?);
        let texts = |patterns: &[At<String>]| patterns.iter().map(|at| at.value.clone()).collect();
        let key = Chosen {
            items: asked.iter().map(|item| (item.source.clone(), item.destination.clone())).collect(),
            to: to.clone(),
            include: texts(&self.layer.include),
            exclude: texts(&self.rules.exclude),
        };
        let select = || {
            context::select(&CopyRequest {
                context,
                items: &asked,
                to: &to,
                include: &include,
                exclude: &exclude,
                threads: self.builder.jobs,
            })
        };
        let selection = self.run.selections.once(key, || select().map(Arc::new)).map_err(|error| match items {
            [only] => self.diagnose(only.span, &error),
            _ => self.diagnose(span, &error),
        })?;
        for emptied in selection.emptied() {
            if let Some(item) = items.get(*emptied) {
                let at = recipe.sources().position(item.span);
                self.builder
                    .reporter
                    .warn(format!("{at}: everything that this copies is left out by `include` or `exclude`"));
            }
        }
        let owner = self.usual_owner()?;
        let modes = self.modes(&self.rules)?;
        let landing = context::Landing { owner, modes: &modes, hardlinks: self.layer.hardlinks };
        let mut placer = self.placer(tree, owner, "copy");
        selection.emit(&landing, &mut placer).map_err(|error| self.at(span, error))
    }

    /// An error with its causes in one text.
    pub(super) fn diagnose(&self, span: Span, error: &impl Coded) -> BuildError {
        self.builder.explained(span, error)
    }

    fn files(&mut self, items: &[recipe::layer::FileItem], tree: &mut FileTree) -> Result<(), BuildError> {
        let usual = self.usual_owner()?;
        let modes = self.modes(&self.rules)?;
        for item in items {
            let path = self.target(&item.path)?;
            let owner = self.owner(item.owner.as_ref())?.unwrap_or(usual);
            let mode = match &item.mode {
                Some(mode) => mode.value.bits(),
                None => modes.of_file(self.below_to(&path).as_ref(), None),
            };
            let mut placer = self.placer(tree, usual, "files");
            files::place_file(&mut placer, &path, &item.text, mode, owner)
                .map_err(|error| self.at(item.path.span, error))?;
        }
        Ok(())
    }

    /// The path relative to the layer's `to`, for patterns of `modes`.
    fn below_to(&self, path: &TreePath) -> Option<TreePath> {
        path.strip_prefix(&self.to(self.layer.span).ok()?)
    }

    fn dirs(&mut self, items: &[recipe::layer::DirItem], tree: &mut FileTree) -> Result<(), BuildError> {
        let usual = self.usual_owner()?;
        let modes = self.modes(&self.rules)?;
        for item in items {
            let path = self.target(&item.path)?;
            let owner = self.owner(item.owner.as_ref())?;
            let below = self.below_to(&path);
            let mode = item.mode.as_ref().map(|mode| mode.value.bits()).or(modes.named_directory(below.as_ref()));
            let new = (modes.of_directory(below.as_ref(), None), usual);
            let mut placer = self.placer(tree, usual, "dirs");
            files::place_directory(&mut placer, &path, mode, owner, new)
                .map_err(|error| self.at(item.path.span, error))?;
        }
        Ok(())
    }

    fn symlinks(&mut self, items: &[recipe::layer::SymlinkItem], tree: &mut FileTree) -> Result<(), BuildError> {
        let owner = self.usual_owner()?;
        for item in items {
            let path = self.target(&item.path)?;
            let target = self.arch(&item.target.value, item.target.span)?;
            let mut placer = self.placer(tree, owner, "symlinks");
            files::place_symlink(&mut placer, &path, target.as_bytes(), owner)
                .map_err(|error| self.at(item.path.span, error))?;
        }
        Ok(())
    }

    fn archives(&mut self, items: &[At<recipe::layer::ArchiveItem>], tree: &mut FileTree) -> Result<(), BuildError> {
        let to = match &self.layer.to {
            Some(to) => self.arch(&to.value, to.span)?,
            None => TreePath::root(),
        };
        for item in items {
            let file = self.arch(&item.value.path, item.span)?.in_context(&self.builder.recipe.context);
            self.unpack(&file, None, item.value.strip, &to, item.span, tree)?;
        }
        Ok(())
    }

    pub(super) fn archive_error(&self, span: Span, error: archive::ArchiveError) -> BuildError {
        match error {
            // Not what the recipe says is at fault, but the machine.
            error @ archive::ArchiveError::Spool { .. } => self.caused(span, "unpacking an archive".to_owned(), error),
            error => self.diagnose(span, &error),
        }
    }

    fn images(
        &mut self,
        items: &[At<recipe::layer::ImageItem>],
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let owner = self.owner(self.layer.rules.owner.as_ref())?.unwrap_or(Owner::ROOT);
        let exclude = self.patterns(&self.layer.rules.exclude)?;
        let include = self.patterns(&self.layer.include)?;
        let excludes = |path: &TreePath| {
            exclude.matches(path.as_bytes()) || !include.is_empty() && !include.matches(path.as_bytes())
        };
        let modes = self.own_modes()?;
        let to = self.to(span).ok();
        let mode = |path: &TreePath, mode: u32, directory: bool| {
            let below = to.as_ref().and_then(|to| path.strip_prefix(to));
            match directory {
                true => modes.of_directory(below.as_ref(), Some(mode)),
                false => modes.of_file(below.as_ref(), Some(mode)),
            }
        };
        for item in items {
            let (name, stack) = self.other_image(&item.value.from)?;
            // What is copied is read in any case, and so needs no knowledge.
            let mut stack = stack.unwatched();
            stack
                .read_base(self.builder.store, &self.builder.reporter)
                .map_err(|error| self.caused(item.span, format!("reading the image {name}"), error))?;
            let mut wanted = Vec::new();
            for copy in &item.value.copy {
                let recipe::ImageSelection(what) = self.arch(&copy.value.what, copy.span)?;
                let to = match &copy.value.dest {
                    Some(dest) => Landing::At(self.target(dest)?),
                    None if what.is_contents() => Landing::Contents(self.to(span)?),
                    None => Landing::Inside(self.to(span)?),
                };
                wanted.push(ImageItem { from: format!("/{}", what.path()), to });
            }
            let mut placer = self.placer(tree, owner, "image");
            let copied =
                copy_from_image(&stack, &name, &wanted, owner, &excludes, &mode, self.builder.store, &mut placer);
            match copied.map_err(|error| self.diagnose(item.span, &error)) {
                // As above.
                Err(error) if self.is_locking() => {
                    self.builder.reporter.note(format!("not looked at while locking: {error}"));
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn other_image(&self, from: &At<Base>) -> Result<(String, LayerStack), BuildError> {
        match &from.value {
            Base::Scratch => Err(self.told(ErrorCode::NotInImage, from.span, "scratch holds nothing to copy")),
            Base::Image(name) => {
                let slot = (name.clone(), self.platform.to_string());
                let other = self.run.finished(&slot);
                let other = other.ok_or_else(|| {
                    self.told(ErrorCode::NotBuilt, from.span, format!("the image {name} is not built yet"))
                })?;
                Ok((name.to_string(), other.open.stack.clone()))
            }
            Base::Place(place) => {
                let name = place.resolve(&self.platform.architecture).map_err(|error| self.at(from.span, error))?;
                let opened = self.builder.open(from, self.platform, self.run)?;
                Ok((name.to_string(), opened.open.stack))
            }
        }
    }

    fn caps(&mut self, items: &[recipe::layer::CapsItem], tree: &mut FileTree) -> Result<(), BuildError> {
        for item in items {
            let path = self.target(&item.path)?;
            let path = self
                .placer(tree, Owner::ROOT, "caps")
                .resolve(&path)
                .map_err(|error| self.at(item.path.span, error))?;
            let capabilities = item.capabilities.value.attribute();
            // All names of a file share its capabilities: they are given to the one that is the file.
            let file = match tree.get(&path).map(|entry| &entry.kind) {
                Some(Kind::Hardlink(file)) => file.clone(),
                _ => path.clone(),
            };
            if tree.set_capabilities(&file, &capabilities) {
                continue;
            }
            if let Some(entry) = tree.get(&path) {
                let what = entry.describe();
                return Err(self.told(
                    ErrorCode::WrongValue,
                    item.path.span,
                    format!("{path} is {what}, and only files have capabilities"),
                ));
            }
            // A file of the base is written again, with its capabilities.
            let found = self.below().file(&path).map_err(|error| self.at(item.path.span, error))?;
            let Some((path, node, located)) = found else {
                return Err(self.told(
                    ErrorCode::NotInImage,
                    item.path.span,
                    format!("{path} is a file neither of this layer nor of the base"),
                ));
            };
            let content = self
                .open
                .stack
                .extract(&[located], self.builder.store)
                .map_err(|error| self.caused(item.path.span, format!("reading {path} of the base"), error))?
                .pop();
            let Some(content) = content else { continue };
            let origin = Origin::new(format!("caps {}", path.shown()));
            let mut entry = Entry::file(content, node.mode, node.owner, origin);
            entry.capabilities = Some(capabilities);
            tree.insert(path, entry).map_err(|error| self.at(item.path.span, error))?;
        }
        Ok(())
    }

    fn remove(&mut self, items: &[At<PerArch<TreePath>>], tree: &mut FileTree) -> Result<(), BuildError> {
        for item in items {
            let path = self.arch(&item.value, item.span)?;
            let mut placer = self.placer(tree, Owner::ROOT, "remove");
            files::remove(&mut placer, &path).map_err(|error| self.at(item.span, error))?;
        }
        Ok(())
    }

    /// The layer's line of history: what was done, as the recipe says it.
    pub(super) fn created_by(&self) -> Result<String, BuildError> {
        let mut parts = Vec::new();
        for source in &self.layer.sources {
            let words: Vec<String> = match &source.value {
                Source::Copy(items) => items
                    .iter()
                    .map(|item| {
                        let what = self.arch(&item.value.what, item.span)?;
                        Ok(match (what.path(), what.is_contents()) {
                            ("", _) => ".".to_owned(),
                            (path, true) => format!("{path}/"),
                            (path, false) => path.to_owned(),
                        })
                    })
                    .collect::<Result<_, BuildError>>()?,
                Source::Files(items) => self.targets(items.iter().map(|item| &item.path))?,
                Source::Dirs(items) => self.targets(items.iter().map(|item| &item.path))?,
                Source::Symlinks(items) => self.targets(items.iter().map(|item| &item.path))?,
                Source::Caps(items) => self.targets(items.iter().map(|item| &item.path))?,
                Source::Archive(items) => items
                    .iter()
                    .map(|item| Ok(self.arch(&item.value.path, item.span)?.to_string()))
                    .collect::<Result<_, BuildError>>()?,
                Source::Image(items) => items
                    .iter()
                    .map(|item| match &item.value.from.value {
                        Base::Image(name) => Ok(name.to_string()),
                        Base::Place(place) => Ok(self.arch(place, item.span)?.to_string()),
                        Base::Scratch => Ok("scratch".to_owned()),
                    })
                    .collect::<Result<_, BuildError>>()?,
                Source::Remove(items) => items
                    .iter()
                    .map(|item| Ok(self.arch(&item.value, item.span)?.to_string()))
                    .collect::<Result<_, BuildError>>()?,
                Source::Fetch(items) => items
                    .iter()
                    .map(|item| Ok(item.value.file_name(&self.arch(&item.value.url.value, item.value.url.span)?)))
                    .collect::<Result<_, BuildError>>()?,
                Source::Ca(items) => items
                    .iter()
                    .map(|item| Ok(self.arch(&item.value, item.span)?.to_string()))
                    .collect::<Result<_, BuildError>>()?,
                Source::Debian(source) => source
                    .packages
                    .iter()
                    .map(|item| match &item.value {
                        DebianPackage::Named { name, .. } => Ok(name.clone()),
                        DebianPackage::File(path) => Ok(self.arch(path, item.span)?.to_string()),
                    })
                    .collect::<Result<_, BuildError>>()?,
                Source::Python(source) => {
                    let files = match &source.input {
                        PythonInput::None => &[][..],
                        PythonInput::Requirements(files) => &files[..],
                        PythonInput::Pylock(file) | PythonInput::UvLock(file) | PythonInput::Pyproject(file) => {
                            std::slice::from_ref(file)
                        }
                    };
                    let paths = files.iter().chain(&source.wheels);
                    paths
                        .map(|path| Ok(self.arch(&path.value, path.span)?.to_string()))
                        .collect::<Result<_, BuildError>>()?
                }
            };
            let words = std::iter::once(source.value.key().to_owned()).chain(words).collect::<Vec<_>>();
            parts.push(words.join(" "));
        }
        if let Some(to) = &self.layer.to {
            parts.push(format!("to {}", self.arch(&to.value, to.span)?));
        }
        let text = parts.join(", ");
        Ok(match &self.layer.name {
            Some(name) => format!("{}: {text}", name.value),
            None => text,
        })
    }

    fn targets<'t>(&self, paths: impl Iterator<Item = &'t At<PerArch<Target>>>) -> Result<Vec<String>, BuildError> {
        paths.map(|path| Ok(self.target(path)?.to_string())).collect()
    }
}

impl Builder<'_> {
    /// The context, with what is never copied from it.
    pub(super) fn open_context(&self, span: Span) -> Result<ContextDirectory, BuildError> {
        let recipe = self.recipe;
        let root = HostRoot::open(&recipe.context)
            .map_err(|error| self.caused(span, format!("opening the context {}", recipe.context.display()), error))?;
        let ignore = IgnoreFile::find(&recipe.context, Some(&recipe.path))
            .map_err(|error| self.caused(span, "reading the ignore file".to_owned(), error))?;
        let mut unnamed: Vec<PathBuf> = WRITTEN.iter().map(|name| recipe.context.join(name)).collect();
        unnamed.extend(self.left_out.iter().cloned());
        let mut lock = recipe.path.clone().into_os_string();
        lock.push(".lock");
        unnamed.extend([recipe.path.clone(), recipe.path.with_extension("lock"), PathBuf::from(lock)]);
        let forbidden: Vec<Forbidden> = self
            .forbidden
            .iter()
            .map(|path| Forbidden { path: path.clone(), what: "an output or the cache".to_owned() })
            .collect();
        Ok(ContextDirectory::new(root, ignore, &unnamed, forbidden))
    }
}

/// Puts members of an archive below a directory, without their first `strip` directories.
pub(super) fn place_members(
    members: &BTreeMap<TreePath, Entry>,
    strip: u8,
    to: &TreePath,
    modes: &Modes,
    placer: &mut Placer<'_>,
) -> Result<(), Cause> {
    let stripped = |path: &TreePath| -> Result<Option<TreePath>, crate::tree::PathError> {
        let rest: Vec<&[u8]> = path.components().skip(usize::from(strip)).collect();
        match rest.is_empty() {
            true => Ok(None),
            false => to.join(&TreePath::parse(rest.join(&b"/"[..]))?).map(Some),
        }
    };
    for (path, entry) in members {
        let Some(path) = stripped(path)? else { continue };
        let mut entry = entry.clone();
        let below = path.strip_prefix(to);
        match entry.kind {
            Kind::File(_) => entry.mode = modes.of_file(below.as_ref(), Some(entry.mode)),
            Kind::Directory => entry.mode = modes.of_directory(below.as_ref(), Some(entry.mode)),
            _ => {}
        }
        if let Kind::Hardlink(target) = &entry.kind {
            let target = stripped(target)?
                .ok_or_else(|| Cause::told(ErrorCode::Archive, "a hard link's target falls away with `strip`"))?;
            entry.kind = Kind::Hardlink(placer.resolve(&target)?);
        }
        placer.put(&path, entry)?;
    }
    Ok(())
}
