//! Sources whose files come from somewhere else, and are pinned: downloads, packages.

use std::error::Error;
use std::path::Path;

use super::layer_tree::Making;
use super::pins::{Search, Stale};
use super::{BuildError, Builder, Purpose};
use crate::base::{LayerReader, LayerStack};
use crate::content::Content;
use crate::debian::staging::Below;
use crate::layer::{LayerForm, Plan};
use crate::lock::{DebianPins, FetchPin, PythonPins};
use crate::oci::Platform;
use crate::pin::debian::{Fault, PinError};
use crate::pin::{self, python::Ask as PythonAsk};
use crate::python::{Interpreter, PythonVersion};
use crate::recipe::packages::{DebianPackage, DebianSource, PythonSource};
use crate::recipe::{self, At, Diagnostic, FilePath, PerArch, Span};
use crate::source::archive::{ArchiveRequest, read_archive};
use crate::source::bytecode::{Compilers, CompilersError, find_compilers};
use crate::source::{ca, compiler, debian, python};
use crate::supply::{SupplyError, Wanted};
use crate::tree::{Entry, FileTree, Located, Origin, Owner, TreePath};

/// The machines that lapstrake runs on: an interpreter that compiles is pinned for each, so that a lock does not depend on
/// where it was made.
const BUILDERS: [&str; 2] = ["amd64", "arm64"];

impl Making<'_> {
    /// What pins call this layer.
    pub(super) fn name_in_lock(&self) -> String {
        format!("{}/{}", self.image.name, self.layer.title())
    }

    /// The lock does not fit, and must not change.
    pub(super) fn stale(&self, what: &str, Stale(why): Stale) -> BuildError {
        BuildError::Lock { what: format!("{what} of {} for {}", self.name_in_lock(), self.platform), why }
    }

    /// Something of packages failed: the network, what is asked, or this machine.
    fn packages(&self, span: Span, what: &str, source: impl Error + Send + Sync + 'static) -> BuildError {
        let fault = fault_of(&source);
        let at = self.builder.recipe.sources().position(span);
        BuildError::Packages { at, what: what.to_owned(), fault, source: Box::new(source) }
    }

    /// What the recipe asks for cannot be pinned.
    fn unresolvable(&self, span: Span, error: &dyn Error) -> BuildError {
        let text = super::with_causes(error);
        BuildError::Unresolvable(Box::new(Diagnostic::error(self.builder.recipe.sources(), span, text)))
    }

    /// The layers below with what this layer has so far.
    fn view(&self, tree: &FileTree) -> LayerStack {
        let mut view = self.open.stack.clone();
        if !tree.is_empty() {
            view.look(tree);
        }
        view
    }

    /// A view in which it plays no part whether layers of this recipe were found in the cache.
    fn at_hand(&self, view: LayerStack, span: Span) -> Result<LayerStack, BuildError> {
        view.at_hand(self.open.foreign, self.builder.store)
            .map_err(|error| self.caused(span, "reading layers of the cache".to_owned(), error))
    }

    /// Downloads: each a file, or a tar that is unpacked.
    pub(super) fn fetch(
        &mut self,
        items: &[At<recipe::layer::FetchItem>],
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let architecture = &self.platform.architecture;
        let platform = self.platform.to_string();
        let mut pins = Vec::new();
        for item in items {
            let url = self.arch(&item.value.url.value, item.value.url.span)?;
            let Some(sha256) = item.value.sha256.of(architecture) else {
                let text = format!("there is no sha256 for {architecture}: add `{architecture} = \"…\"` to `sha256`");
                return Err(self.at(item.span, text));
            };
            let name = item.value.file_name(&url);
            let size = self.run.pins.fetch_size(&name, &platform, &sha256.value);
            pins.push((
                url,
                FetchPin { name, platform: platform.clone(), size: size.unwrap_or(0), sha256: sha256.value },
            ));
        }
        if self.run.pins.is_locked() {
            for (_, pin) in &pins {
                self.run.pins.fetch(pin.clone()).map_err(|stale| self.stale("the download", stale))?;
            }
        }
        let places: Vec<Box<crate::supply::Places<'_>>> = pins
            .iter()
            .map(|(url, _)| -> Box<crate::supply::Places<'_>> { Box::new(move || Ok(vec![url.clone()])) })
            .collect();
        let wanted: Vec<Wanted<'_>> = pins
            .iter()
            .zip(&places)
            .map(|((_, pin), places)| Wanted {
                name: pin.name.clone(),
                sha256: pin.sha256,
                size: (pin.size > 0).then_some(pin.size),
                places: &**places,
            })
            .collect();
        let files = self
            .builder
            .supply
            .files(&wanted)
            .map_err(|source| self.packages(span, "downloading what `fetch` names", source))?;
        for ((item, content), (_, pin)) in items.iter().zip(&files).zip(pins.iter().cloned()) {
            let pin = FetchPin { size: content.len(), ..pin };
            let name = pin.name.clone();
            self.run.pins.fetch(pin).map_err(|stale| self.stale("the download", stale))?;
            self.fetched(item, &name, content, span, tree)?;
        }
        Ok(())
    }

    fn fetched(
        &mut self,
        item: &At<recipe::layer::FetchItem>,
        name: &str,
        content: &Content,
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let owner = self.owner(self.layer.rules.owner.as_ref())?;
        let to = match &item.value.to {
            Some(to) => self.arch(&to.value, to.span)?,
            None => self.to(span)?,
        };
        if let Some(strip) = item.value.unpack {
            return self.unpack(std::path::Path::new(name), Some(content), strip, &to, item.span, tree);
        }
        let path = TreePath::parse(name).and_then(|name| to.join(&name)).map_err(|error| self.at(item.span, error))?;
        let mode = match (&item.value.mode, &self.layer.rules.mode) {
            (Some(mode), _) => mode.value.bits(),
            (None, Some(At { value: recipe::FileMode::Octal(mode), .. })) => mode.bits(),
            (None, _) => 0o644,
        };
        let owner = owner.unwrap_or(Owner::ROOT);
        let entry = Entry::file(content.clone(), mode, owner, Origin::new(format!("fetch {name}")));
        let mut placer = self.placer(tree, owner, "fetch");
        placer.put(&path, entry).map(|_| ()).map_err(|error| self.at(item.span, error))
    }

    /// A tar, unpacked below a directory.
    pub(super) fn unpack(
        &mut self,
        path: &std::path::Path,
        content: Option<&Content>,
        strip: u8,
        to: &TreePath,
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let owner = self.owner(self.layer.rules.owner.as_ref())?;
        let exclude = self.patterns(&self.layer.rules.exclude)?;
        let include = self.patterns(&self.layer.include)?;
        let excludes = |path: &TreePath| {
            exclude.matches(path.as_bytes()) || !include.is_empty() && !include.matches(path.as_bytes())
        };
        let modes = self.own_modes()?;
        let tmp = self.builder.store.tmp();
        let request = ArchiveRequest { path, content, owner, excludes: &excludes, tmp: &tmp };
        let members =
            read_archive(&request, &self.builder.reporter).map_err(|error| self.archive_error(span, error))?;
        self.newest = self.newest.max(members.newest);
        let mut placer = self.placer(tree, owner.unwrap_or(Owner::ROOT), "archive");
        super::layer_tree::place_members(&members.entries, strip, to, &modes, &mut placer)
            .map_err(|error| self.at(span, error))
    }

    /// Company certificates.
    pub(super) fn ca(
        &mut self,
        items: &[At<PerArch<FilePath>>],
        span: Span,
        tree: &mut FileTree,
    ) -> Result<(), BuildError> {
        let paths: Vec<FilePath> =
            items.iter().map(|item| self.arch(&item.value, item.span)).collect::<Result<_, _>>()?;
        let view = self.at_hand(self.view(tree), span)?;
        let reader = LayerReader::new(&view, self.builder.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let below = Below { rootfs: view.rootfs(), read: &read };
        let certificates = ca::certificates(&paths, &self.builder.recipe.context, &below)
            .map_err(|error| self.diagnose(span, &error))?;
        tree.overlay(certificates).map_err(|error| self.at(span, error))
    }

    /// Debian packages.
    pub(super) fn debian(&mut self, source: &DebianSource, span: Span, tree: &mut FileTree) -> Result<(), BuildError> {
        // dpkg's database is read and written as a whole: what is asked of the base here is no knowledge worth keeping.
        let view = self.at_hand(self.view(tree).unwatched(), span)?;
        let reader = LayerReader::new(&view, self.builder.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let below = Below { rootfs: view.rootfs(), read: &read };
        let pins = self.debian_pins(source, span, &below)?;
        let exclude = self.patterns(&self.layer.rules.exclude)?;
        let excludes = |path: &TreePath| exclude.matches(path.as_bytes());
        let options = debian::Options {
            slim: source.slim,
            exclude: (!self.layer.rules.exclude.is_empty()).then_some(&excludes),
            settings: &self.builder.recipe.debian,
            context: &self.builder.recipe.context,
        };
        let tmp = self.builder.store.tmp();
        let means = debian::Means {
            supply: self.builder.supply,
            tmp: &tmp,
            jobs: self.builder.jobs,
            reporter: &self.builder.reporter,
        };
        let layer = debian::packages(&pins, &options, &below, self.platform, &means)
            .map_err(|error| self.packages(span, "making a layer of Debian packages", error))?;
        self.newest = self.newest.max(layer.newest);
        let mut packages = layer.tree;
        if source.compile && !self.is_locking() {
            let mut with = view.clone();
            with.look(&packages);
            let Some(interpreter) = self.interpreter(&with, None, span)? else {
                return Err(self.at(span, "`compile` needs a Python in the image, and there is none"));
            };
            let compilers = self.compilers(interpreter.version, span)?;
            compilers
                .compile_tree(&mut packages, view.rootfs(), &tmp)
                .map_err(|error| self.packages(span, "compiling Python modules", error))?;
        } else if source.compile {
            let mut with = view.clone();
            with.look(&packages);
            if let Some(interpreter) = self.interpreter(&with, None, span)? {
                self.compiler_pins(interpreter.version, span)?;
            }
        }
        tree.overlay(packages).map_err(|error| self.at(span, error))
    }

    /// The pins of Debian packages that the layer asks for.
    pub(super) fn debian_pins(
        &self,
        source: &DebianSource,
        span: Span,
        below: &Below<'_>,
    ) -> Result<DebianPins, BuildError> {
        let ask = pin::debian::Ask {
            source,
            settings: &self.builder.recipe.debian,
            platform: self.platform,
            context: &self.builder.recipe.context,
        };
        let failed = |error: PinError| self.unpinned(&ask, span, error);
        let asked = pin::debian::asked(&ask, below).map_err(failed)?;
        if let Some(missed) = below.rootfs.missed() {
            // The base is read then, and all of this begins again.
            return Err(self.at(span, missed));
        }
        let (layer, platform) = (self.name_in_lock(), self.platform.to_string());
        let found = self.run.pins.debian(&layer, &platform, &asked);
        match found.map_err(|stale| self.stale("`debian`", stale))? {
            Search::Pinned(pins) => Ok(pins),
            Search::Missing(previous, update) => {
                let tmp = self.builder.store.tmp();
                let means = self.pinning(&tmp);
                let mut pins = pin::debian::pin(&ask, below, &means, previous.as_ref(), &update).map_err(failed)?;
                pins.layers = vec![layer];
                self.run.pins.add_debian(pins.clone());
                Ok(pins)
            }
        }
    }

    fn pinning<'m>(&'m self, tmp: &'m Path) -> pin::debian::Means<'m> {
        pin::debian::Means {
            supply: self.builder.supply,
            archives: &self.run.archives,
            now: self.builder.now,
            tmp,
            jobs: self.builder.jobs,
            reporter: &self.builder.reporter,
        }
    }

    fn unpinned(&self, ask: &pin::debian::Ask<'_>, span: Span, error: PinError) -> BuildError {
        match error.fault() {
            Fault::Recipe => self.diagnose(error.span(ask).unwrap_or(span), &error),
            Fault::Unresolvable => self.unresolvable(error.span(ask).unwrap_or(span), &error),
            Fault::Network | Fault::Machine => {
                let fault = error.fault();
                let at = self.builder.recipe.sources().position(span);
                BuildError::Packages {
                    at,
                    what: "looking up Debian packages".to_owned(),
                    fault,
                    source: Box::new(error),
                }
            }
        }
    }

    /// Python packages.
    pub(super) fn python(&mut self, source: &PythonSource, span: Span, tree: &mut FileTree) -> Result<(), BuildError> {
        let view = self.view(tree);
        let interpreter = self.interpreter(&view, Some(source), span)?;
        let ask = self.python_ask(source, interpreter.as_ref());
        let pins = self.python_pins(&ask, span)?;
        let owner = self.owner(self.layer.rules.owner.as_ref())?.unwrap_or(Owner::ROOT);
        let tmp = self.builder.store.tmp();
        let layout = python::Layout { ask: &ask, owner, tmp: &tmp, jobs: self.builder.jobs };
        let failed = |error| self.packages(span, "making a layer of Python wheels", error);
        let exclude = self.patterns(&self.layer.rules.exclude)?;
        let reader = LayerReader::new(&view, self.builder.store);
        let mut read = |located: &Located| match located {
            Located::Content(content) => content.read_all(64 << 20),
            Located::Layer { layer, offset, length } => reader.read(*layer, *offset, *length),
            Located::Unknown { .. } => Err(std::io::Error::other("the base was not read")),
        };
        if self.is_locking() {
            if source.compile {
                let version = ask.target().map_err(|error| self.unresolvable(span, &error))?.version;
                self.compiler_pins(version, span)?;
            }
            // Wheels are laid out only where that teaches what they need to know of a base.
            if !view.is_watched() {
                return Ok(());
            }
        }
        let mut layer = python::wheels(&pins, &layout, self.builder.supply, &self.builder.reporter).map_err(failed)?;
        layer.entries.retain(|path, _| !exclude.matches(path.as_bytes()));
        if source.compile && !self.is_locking() {
            let version = ask.target().map_err(|error| self.unresolvable(span, &error))?.version;
            let compilers = self.compilers(version, span)?;
            layer.compile(&compilers, &tmp).map_err(failed)?;
        }
        let newest = layer.newest;
        let mut placer = self.placer(tree, owner, "python");
        layer.place(&mut placer, &mut read).map_err(failed)?;
        self.newest = self.newest.max(newest);
        Ok(())
    }

    pub(super) fn python_ask<'s>(
        &'s self,
        source: &'s PythonSource,
        interpreter: Option<&'s Interpreter>,
    ) -> PythonAsk<'s> {
        PythonAsk {
            source,
            platform: self.platform,
            context: &self.builder.recipe.context,
            interpreter,
            libc: None,
            environment: self.builder.environment,
        }
    }

    /// The pins of Python packages that the layer asks for.
    pub(super) fn python_pins(&self, ask: &PythonAsk<'_>, span: Span) -> Result<PythonPins, BuildError> {
        let failed = |error: pin::python::Error| match fault_of(&error) {
            Fault::Network | Fault::Machine => self.packages(span, "looking up Python packages", error),
            Fault::Recipe | Fault::Unresolvable => self.unresolvable(span, &error),
        };
        let asked = pin::python::asked(ask).map_err(failed)?;
        let (layer, platform) = (self.name_in_lock(), self.platform.to_string());
        let found = self.run.pins.python(&layer, &platform, &asked);
        match found.map_err(|stale| self.stale("`python`", stale))? {
            Search::Pinned(pins) => Ok(pins),
            Search::Missing(previous, update) => {
                let tmp = self.builder.store.tmp();
                let (supply, reporter) = (self.builder.supply, &self.builder.reporter);
                let mut pins =
                    pin::python::pin(ask, supply, previous.as_ref(), &update, &tmp, reporter).map_err(failed)?;
                pins.layers = vec![layer];
                self.run.pins.add_python(pins.clone());
                Ok(pins)
            }
        }
    }

    /// The Python of a view; none where there is none, and the layer does not need it to be there.
    pub(super) fn interpreter(
        &self,
        view: &LayerStack,
        source: Option<&PythonSource>,
        span: Span,
    ) -> Result<Option<Interpreter>, BuildError> {
        if let Some(known) = &self.open.python {
            return Ok(Some(known.clone()));
        }
        let stated = source.and_then(|source| source.version.as_ref()).map(|version| version.value.as_str());
        let hint = stated.or_else(|| self.open.stated_python());
        super::base::find_python(view, self.builder.store, hint).map_err(|error| self.diagnose(span, &error))
    }

    /// What compiles for that version: this machine's own CPython where it is that one, else the pinned one.
    fn compilers(&self, version: PythonVersion, span: Span) -> Result<Compilers, BuildError> {
        let failed = |error| self.packages(span, "compiling Python modules", error);
        let bucket = |name: &str| {
            self.builder
                .supply
                .directory(name)
                .map_err(|error| self.caused(span, "opening the cache".to_owned(), error))
        };
        let pins = self.compiler_pins(version, span)?;
        let machine = Platform::linux(BUILDERS[usize::from(cfg!(target_arch = "aarch64"))]).to_string();
        let pins = pins.into_iter().find(|pins| pins.platform == machine);
        let directory = bucket("compilers")?;
        let unpacked = pins.as_ref().map(|pins| {
            let directory = &directory;
            move || {
                compiler::unpack(directory, &pins.seal(), || {
                    let Builder { recipe, supply, .. } = self.builder;
                    let files = debian::fetch(&pins.packages, &pins.archives, &recipe.debian, &recipe.context, *supply)
                        .map_err(|error| CompilersError::Packages { version, source: Box::new(error) })?;
                    let name = |pin: &crate::lock::DebPin| format!("{} {}", pin.name, pin.version);
                    Ok::<_, CompilersError>(pins.packages.iter().map(name).zip(files).collect())
                })
            }
        });
        let path = self.builder.environment.get(std::ffi::OsStr::new("PATH")).map(|path| path.as_os_str());
        let cache = Some(bucket("bytecode")?);
        let unpacked: Option<crate::source::bytecode::Unpacked<'_>> = match &unpacked {
            Some(unpacked) => Some(unpacked),
            None => None,
        };
        let found = find_compilers(version, path, cache.clone(), self.builder.jobs, unpacked);
        match (found, &pins) {
            // What lies in the cache may have lost a part: it is unpacked once more.
            (Err(_), Some(pins)) if compiler::forget(&directory, &pins.seal()) => {
                find_compilers(version, path, cache, self.builder.jobs, unpacked).map_err(failed)
            }
            (found, _) => found.map_err(failed),
        }
    }

    /// The pins of interpreters that compile, for every machine that may build: where the image's Python is Debian's.
    fn compiler_pins(&self, version: PythonVersion, span: Span) -> Result<Vec<DebianPins>, BuildError> {
        let Some(like) = self.debian_below() else { return Ok(Vec::new()) };
        let packages = pin::python::compiler_packages(version)
            .into_iter()
            .map(|name| At::new(DebianPackage::Named { name, version: None, suite: None }, span))
            .collect();
        let source = DebianSource {
            packages,
            suites: like.suites.clone(),
            components: like.components.clone(),
            ..DebianSource::default()
        };
        let nothing = crate::tree::Rootfs::new();
        let read = |_, _, _| Err(std::io::ErrorKind::NotFound.into());
        let below = Below { rootfs: &nothing, read: &read };
        let tmp = self.builder.store.tmp();
        let mut all = Vec::new();
        for machine in BUILDERS {
            let platform = Platform::linux(machine);
            let ask = pin::debian::Ask {
                source: &source,
                settings: &self.builder.recipe.debian,
                platform: &platform,
                context: &self.builder.recipe.context,
            };
            let asked = pin::debian::asked(&ask, &below).map_err(|error| self.unpinned(&ask, span, error))?;
            let layer = self.name_in_lock();
            let found = self.run.pins.compiler(&layer, &platform.to_string(), &asked);
            match found {
                Ok(Search::Pinned(pins)) => all.push(pins),
                Ok(Search::Missing(previous, update)) => {
                    let pinned = pin::debian::pin(&ask, &below, &self.pinning(&tmp), previous.as_ref(), &update);
                    match pinned {
                        Ok(mut pins) => {
                            pins.layers = vec![layer];
                            self.run.pins.add_compiler(pins.clone());
                            all.push(pins);
                        }
                        // Archives without it: then only a machine that has this very version itself can compile.
                        Err(error) if matches!(error.fault(), Fault::Recipe | Fault::Unresolvable) => {}
                        Err(error) => return Err(self.unpinned(&ask, span, error)),
                    }
                }
                // As above: what could not be pinned is not in the lock.
                Err(Stale(_)) => {}
            }
        }
        Ok(all)
    }

    /// The first layer of Debian packages at or below this image: its suites are those of the image's Python.
    fn debian_below(&self) -> Option<&DebianSource> {
        let mut image = Some(self.image);
        while let Some(here) = image {
            let sources = here.layers.iter().flat_map(|layer| &layer.sources);
            let mut found = sources.filter_map(|source| match &source.value {
                recipe::Source::Debian(source) if !source.suites.is_empty() => Some(source),
                _ => None,
            });
            if let Some(source) = found.next_back() {
                return Some(source);
            }
            image = match &here.from.value {
                recipe::Base::Image(name) => self.builder.recipe.images.iter().find(|image| image.name == *name),
                recipe::Base::Scratch | recipe::Base::Place(_) => None,
            };
        }
        None
    }

    /// What the layer comes from, where it is one source of packages alone: then what it holds follows from its pins, its
    /// options and the layers below.
    pub(super) fn plan(&self, form: LayerForm) -> Result<Option<Plan>, BuildError> {
        let [At { value: source, span }] = &self.layer.sources[..] else { return Ok(None) };
        let tree = FileTree::new();
        let rules = &self.layer.rules;
        let mut parts = vec![self.platform.to_string(), self.layer.replace.to_string()];
        match source {
            recipe::Source::Debian(source) => {
                let view = self.view(&tree).unwatched();
                let reader = LayerReader::new(&view, self.builder.store);
                let read = |layer, offset, length| reader.read(layer, offset, length);
                let pins = self.debian_pins(source, *span, &Below { rootfs: view.rootfs(), read: &read })?;
                parts.extend(["debian".to_owned(), pins.seal(), source.slim.to_string(), source.compile.to_string()]);
                parts.push(self.open.stated_python().unwrap_or_default().to_owned());
                if source.compile {
                    // An interpreter for the compiler is pinned whether it is needed this time or not.
                    if let Some(version) = self.python_of(&pins) {
                        parts.extend(self.compiler_pins(version, *span)?.iter().map(DebianPins::seal));
                    }
                }
            }
            recipe::Source::Python(source) => {
                let view = self.view(&tree);
                let interpreter = self.interpreter(&view, Some(source), *span)?;
                let ask = self.python_ask(source, interpreter.as_ref());
                let pins = self.python_pins(&ask, *span)?;
                let (scheme, venv) = python::scheme(&ask).map_err(|error| self.unresolvable(*span, &error))?;
                let owner = self.owner(rules.owner.as_ref())?.unwrap_or(Owner::ROOT);
                parts.extend(["python".to_owned(), pins.seal(), owner.to_string(), source.compile.to_string()]);
                parts.push(format!("{interpreter:?} {scheme:?} {venv:?}"));
                if source.compile {
                    let version = ask.target().map_err(|error| self.unresolvable(*span, &error))?.version;
                    parts.extend(self.compiler_pins(version, *span)?.iter().map(DebianPins::seal));
                }
            }
            _ => return Ok(None),
        }
        parts.extend(rules.exclude.iter().map(|pattern| format!("exclude {}", pattern.value)));
        let below = self.open.stack.layers().iter().map(|layer| layer.diff_id);
        Ok(Some(Plan::new(form, below, parts.iter().map(String::as_str))))
    }

    /// The version of the Python that is among packages.
    fn python_of(&self, pins: &DebianPins) -> Option<PythonVersion> {
        let minimal = |pin: &&crate::lock::DebPin| {
            pin.name.strip_prefix("python3.").and_then(|name| name.strip_suffix("-minimal")).is_some()
        };
        let version = &pins.packages.iter().find(minimal)?.version;
        let upstream = version.rsplit_once(':').map_or(version.as_str(), |(_, version)| version);
        upstream.split(['-', '~', '+']).next()?.parse().ok()
    }

    /// Whether only pins are made.
    pub(super) fn is_locking(&self) -> bool {
        self.run.purpose == Purpose::Lock
    }
}

/// Whose affair an error is: the network's and what could be had from it, this machine's, or that of what is asked.
fn fault_of(error: &(dyn Error + 'static)) -> Fault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = supply_error(error) {
            return match found {
                SupplyError::NoMirror { .. } | SupplyError::NoIndex { .. } => Fault::Unresolvable,
                SupplyError::Store(_) => Fault::Machine,
                _ => Fault::Network,
            };
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied) {
                return Fault::Machine;
            }
        }
        next = error.source();
    }
    Fault::Unresolvable
}

/// What an error says of a file that could not be had. Errors that speak with the words of their cause do not have it as
/// their source, so that each is known here.
fn supply_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e SupplyError> {
    let of_file = |error: &'e debian::FileError| match error {
        debian::FileError::Supply(found) => Some(found),
        _ => None,
    };
    let of_pin = |error: &'e pin::python::Error| match error {
        pin::python::Error::Supply(found) => Some(found),
        _ => None,
    };
    if let Some(found) = error.downcast_ref::<SupplyError>() {
        return Some(found);
    }
    if let Some(error) = error.downcast_ref::<debian::FileError>() {
        return of_file(error);
    }
    if let Some(debian::LayerError::File(error)) = error.downcast_ref::<debian::LayerError>() {
        return of_file(error);
    }
    if let Some(error) = error.downcast_ref::<pin::python::Error>() {
        return of_pin(error);
    }
    match error.downcast_ref::<python::PythonError>() {
        Some(python::PythonError::Supply(found)) => Some(found),
        Some(python::PythonError::Ask(error)) => of_pin(error),
        _ => None,
    }
}
