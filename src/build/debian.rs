//! Layers of Debian packages, and of certificates.

use std::path::Path;

use super::BuildError;
use super::base::{KnownPython, find_python};
use super::layer_tree::Making;
use super::pins::Search;
use crate::base::{LayerReader, LayerStack};
use crate::code::ErrorCode;
use crate::debian::staging::Below;
use crate::lock::{Asked, DebianPins};
use crate::pin;
use crate::pin::debian::{Fault, PinError};
use crate::python::interpreter::Layout;
use crate::python::{Interpreter, PythonVersion};
use crate::recipe::packages::DebianSource;
use crate::recipe::{At, FilePath, PerArch, Span};
use crate::source::bytecode::bytecode_directories;
use crate::source::{ca, debian};
use crate::tree::{FileTree, Missed, TreePath};

impl Making<'_> {
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
        let view = self.at_hand(self.view(tree), span)?;
        let reader = LayerReader::new(&view, self.builder.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let below = Below { rootfs: view.rootfs(), read: &read };
        let pins = self.debian_pins(source, span, &below)?;
        if self.planned.as_ref().is_some_and(|planned| *planned != pins.seal()) {
            self.open.stack.misses().add(Missed::Whole("what is installed is not what was locked"));
            return Err(self.told(
                ErrorCode::LockStale,
                span,
                "the packages of the base are not those that were locked",
            ));
        }
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
            limits: self.builder.recipe.limits,
            reporter: &self.builder.reporter,
        };
        let layer = debian::packages(&pins, &options, &below, self.platform, &means)
            .map_err(|error| self.packages(span, "making a layer of Debian packages", error))?;
        self.newest = self.newest.max(layer.newest);
        let mut packages = layer.tree;
        if source.compile && !self.is_locking() {
            let Some(version) = self.compiled_for(&view, &packages, span)? else {
                return Err(self.told(
                    ErrorCode::Compile,
                    span,
                    "`compile` needs a Python in the image, and there is none",
                ));
            };
            let compilers = self.compilers(version, span)?;
            compilers
                .compile_tree(&mut packages, view.rootfs(), &tmp)
                .map_err(|error| self.packages(span, "compiling Python modules", error))?;
        } else if source.compile
            && let Some(version) = self.compiled_for(&view, &packages, span)?
        {
            self.compiler_pins(version, span)?;
            // What compiling will need to know of the layers below.
            for directory in bytecode_directories(&packages, version) {
                let _ = view.rootfs().get(&directory);
            }
        }
        tree.overlay(packages).map_err(|error| self.at(span, error))
    }

    /// The version of the Python that an image has with these packages on top. Where the lock knows that of the layers below,
    /// these are not looked into, unless the packages may take its place.
    fn compiled_for(
        &self,
        view: &LayerStack,
        packages: &FileTree,
        span: Span,
    ) -> Result<Option<PythonVersion>, BuildError> {
        let brings_one = packages.iter().any(|(path, _)| tells_of_python(path));
        let stays = |below: &Interpreter| !packages.iter().any(|(path, _)| may_replace(path, below));
        match &self.open.python {
            KnownPython::Found(below) if stays(below) => return Ok(Some(below.version)),
            KnownPython::None if !brings_one => return Ok(None),
            KnownPython::None => {
                let mut own = LayerStack::new();
                own.look(packages);
                if let Ok(Some(own)) = find_python(&own, self.builder.store, None) {
                    return Ok(Some(own.version));
                }
            }
            KnownPython::Found(_) | KnownPython::Unknown => {}
        }
        let mut with = view.clone();
        with.look(packages);
        let found = find_python(&with, self.builder.store, self.open.stated_python());
        Ok(found.map_err(|error| self.diagnose(span, &error))?.map(|found| found.version))
    }

    fn debian_ask<'s>(&'s self, source: &'s DebianSource) -> pin::debian::Ask<'s> {
        pin::debian::Ask {
            source,
            settings: &self.builder.recipe.debian,
            platform: self.platform,
            context: &self.builder.recipe.context,
        }
    }

    /// What the layer asks of archives, and what is installed below.
    pub(super) fn debian_asked(
        &self,
        source: &DebianSource,
        span: Span,
        below: &Below<'_>,
    ) -> Result<Asked, BuildError> {
        let ask = self.debian_ask(source);
        pin::debian::asked(&ask, below).map_err(|error| self.unpinned(&ask, span, error))
    }

    /// The pins of Debian packages that the layer asks for.
    pub(super) fn debian_pins(
        &self,
        source: &DebianSource,
        span: Span,
        below: &Below<'_>,
    ) -> Result<DebianPins, BuildError> {
        let ask = self.debian_ask(source);
        let failed = |error: PinError| self.unpinned(&ask, span, error);
        let asked = self.debian_asked(source, span, below)?;
        if let Some(missed) = below.rootfs.missed() {
            // The base is read then, and all of this begins again.
            return Err(self.told(ErrorCode::NotRead, span, missed.to_string()));
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

    pub(super) fn pinning<'m>(&'m self, tmp: &'m Path) -> pin::debian::Means<'m> {
        pin::debian::Means {
            supply: self.builder.supply,
            archives: &self.run.archives,
            now: self.builder.now,
            tmp,
            jobs: self.builder.jobs,
            limits: self.builder.recipe.limits,
            reporter: &self.builder.reporter,
        }
    }

    pub(super) fn unpinned(&self, ask: &pin::debian::Ask<'_>, span: Span, error: PinError) -> BuildError {
        match error.fault() {
            Fault::Recipe => self.diagnose(error.span(ask).unwrap_or(span), &error),
            Fault::Unresolvable => self.unresolvable(error.span(ask).unwrap_or(span), &error),
            Fault::Network | Fault::Machine => {
                let fault = error.fault();
                let at = self.builder.recipe.sources().position(span);
                BuildError::Packages { at, what: "looking up Debian packages".to_owned(), fault, source: error.into() }
            }
        }
    }
}

/// Whether something at that path may be found in the place of a Python, which is looked for in `/usr/local/bin` first. Where it
/// is counts, and not where the link is that it is called by.
fn may_replace(path: &TreePath, python: &Interpreter) -> bool {
    let (name, directory) = (path.file_name().unwrap_or_default(), path.parent().unwrap_or_default());
    let is_called = name.starts_with(b"python3") && !name.contains(&b'-') && directory.file_name() == Some(b"bin");
    let local = &b"usr/local/bin/"[..];
    let is_local = matches!(&python.layout, Layout::Prefix(prefix) if prefix.as_bytes() == b"usr/local");
    is_called && (path.as_bytes().starts_with(local) || !is_local)
}

/// Whether something at that path is called as a Python is, or says of which version it is.
fn tells_of_python(path: &TreePath) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_program = path.parent().is_some_and(|parent| parent.file_name() == Some(b"bin"));
    name == b"patchlevel.h" || is_program && name.starts_with(b"python3")
}
