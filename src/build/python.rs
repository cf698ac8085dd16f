//! Layers of Python packages.

use super::base::KnownPython;
use super::layer_tree::Making;
use super::pins::Search;
use super::{BuildError, Builder};
use crate::base::{LayerReader, LayerStack};
use crate::debian::staging::Below;
use crate::lock::PythonPins;
use crate::pin::debian::Fault;
use crate::pin::{self, python::Ask as PythonAsk};
use crate::python::Interpreter;
use crate::recipe::Span;
use crate::recipe::packages::PythonSource;
use crate::source::debian::foresee;
use crate::source::python;
use crate::tree::{FileTree, Located, Owner};

impl Making<'_> {
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
        let mut read = |located: &Located| reader.contents(located);
        if self.is_locking() {
            if source.compile {
                let version = ask.target().map_err(|error| self.unresolvable(span, &error))?.version;
                self.compiler_pins(version, span)?;
            }
            // Wheels are not fetched to lock them. What they will need to know of the layers below is mostly this.
            let (scheme, _) = python::scheme(&ask).map_err(|error| self.unresolvable(span, &error))?;
            for directory in scheme.directories() {
                let _ = view.rootfs().children(directory).count();
            }
            if pins.wheels.iter().any(|wheel| !wheel.file.ends_with("-any.whl")) {
                let read = |layer, offset, length| reader.read(layer, offset, length);
                let below = Below { rootfs: view.rootfs(), read: &read };
                // What cannot be read is said where it is needed.
                let _ = foresee(&below, self.platform);
            }
            return Ok(());
        }
        let mut layer = python::wheels(&pins, &layout, self.builder.supply, &self.builder.reporter).map_err(failed)?;
        layer.entries.retain(|path, _| !exclude.matches(path.as_bytes()));
        if source.compile {
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
            limits: self.builder.recipe.limits,
        }
    }

    /// The pins of Python packages that the layer asks for.
    pub(super) fn python_pins(&self, ask: &PythonAsk<'_>, span: Span) -> Result<PythonPins, BuildError> {
        let failed = |error| self.builder.python_error(span, error);
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
        match &self.open.python {
            KnownPython::Found(known) => return Ok(Some(known.clone())),
            KnownPython::None => return Ok(None),
            KnownPython::Unknown => {}
        }
        let stated = source.and_then(|source| source.version.as_ref()).map(|version| version.value.as_str());
        let hint = stated.or_else(|| self.open.stated_python());
        super::base::find_python(view, self.builder.store, hint).map_err(|error| self.diagnose(span, &error))
    }
}

impl Builder<'_> {
    /// Why Python packages are not pinned.
    pub(super) fn python_error(&self, span: Span, error: pin::python::Error) -> BuildError {
        match error.fault() {
            Fault::Network | Fault::Machine => self.packages(span, "looking up Python packages", error),
            Fault::Recipe => self.explained(span, &error),
            Fault::Unresolvable => self.unresolvable(span, &error),
        }
    }
}
