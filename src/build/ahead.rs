//! Looking ahead: what can be told from the recipe and the context alone is told before anything is fetched for minutes.
//! Files that are not there, and a missing program; what else may be wrong with them is told where they are used.

use std::fs;

use super::{BuildError, Builder, Locking, Purpose};
use crate::context::{self, CopyRequest, Patterns};
use crate::lock::Update;
use crate::oci::Platform;
use crate::pin::{self, python::Ask as PythonAsk};
use crate::python::uv::UvError;
use crate::recipe::layer::{ArchiveItem, CopyItem};
use crate::recipe::packages::PythonSource;
use crate::recipe::{self, At, Base, Place, Selection, Source, Span};
use crate::source::archive::{ArchiveRequest, read_archive};
use crate::tree::TreePath;

impl Builder<'_> {
    /// Refuses what cannot come to a good end, where something may have to be fetched first; anything else is told soon
    /// enough.
    pub(super) fn look_ahead(&self, tasks: &[(&recipe::Image, &Platform)], purpose: Purpose) -> Result<(), BuildError> {
        if !tasks.iter().any(|(image, _)| fetches(image)) {
            return Ok(());
        }
        for (image, platform) in tasks {
            for source in image.layers.iter().flat_map(|layer| &layer.sources) {
                match &source.value {
                    // Pins do not depend on it: what a pipeline makes later need not be there yet.
                    Source::Copy(items) if purpose != Purpose::Lock => self.copies_are_there(items, platform)?,
                    Source::Archive(items) => self.archives_are_there(items, platform)?,
                    Source::Python(python) => self.python_can_be_pinned(python, source.span, platform)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn copies_are_there(&self, items: &[At<CopyItem<Selection>>], platform: &Platform) -> Result<(), BuildError> {
        for item in items {
            let Ok(what) = item.value.what.resolve(&platform.architecture) else { continue };
            // Whether a pattern fits anything takes a walk, and that is taken once.
            if what.is_pattern() || fs::symlink_metadata(self.recipe.context.join(what.path())).is_ok() {
                continue;
            }
            let context = self.open_context(item.span)?;
            let asked = [context::CopyItem { source: what.path().to_owned(), destination: None }];
            let nothing = Patterns::default();
            let request = CopyRequest {
                context: &context,
                items: &asked,
                to: &TreePath::root(),
                include: &nothing,
                exclude: &nothing,
                threads: 1,
            };
            context::select(&request).map_err(|error| self.explained(item.span, &error))?;
        }
        Ok(())
    }

    fn archives_are_there(&self, items: &[At<ArchiveItem>], platform: &Platform) -> Result<(), BuildError> {
        for item in items {
            let Ok(path) = item.value.path.resolve(&platform.architecture) else { continue };
            let path = path.in_context(&self.recipe.context);
            if fs::metadata(&path).is_err() {
                let tmp = self.store.tmp();
                let request = ArchiveRequest {
                    path: &path,
                    content: None,
                    owner: None,
                    excludes: &|_| false,
                    tmp: &tmp,
                    limits: self.recipe.limits,
                };
                read_archive(&request, &self.reporter).map_err(|error| self.explained(item.span, &error))?;
            }
        }
        Ok(())
    }

    /// The files that say which packages are taken, and `uv`, where it is certain that it will be needed.
    fn python_can_be_pinned(&self, source: &PythonSource, span: Span, platform: &Platform) -> Result<(), BuildError> {
        let (context, environment) = (self.recipe.context.as_path(), self.environment);
        let ask = PythonAsk {
            source,
            platform,
            context,
            interpreter: None,
            libc: None,
            environment,
            limits: self.recipe.limits,
        };
        let needs_uv = pin::python::needs_uv(&ask).map_err(|error| self.python_error(span, error))?;
        // Whether what is pinned still fits is only known over the layers below.
        let is_pinned = self.lock.python.iter().any(|pins| pins.platform == platform.to_string());
        let is_resolved = match &self.locking {
            Locking::Locked => false,
            Locking::AsNeeded => !is_pinned,
            Locking::Again(update) => !is_pinned || *update == Update::Everything,
        };
        let missing = match self.supply.uv() {
            _ if !needs_uv || !is_resolved => return Ok(()),
            None => UvError::None,
            Some(path) if !path.exists() => UvError::Missing { path },
            Some(_) => return Ok(()),
        };
        Err(self.python_error(span, missing.into()))
    }
}

/// Whether something for the image may have to be fetched.
fn fetches(image: &recipe::Image) -> bool {
    let is_remote = |from: &Base| match from {
        // Where it differs by architecture it may well be.
        Base::Place(place) => place.constant().is_none_or(|place| matches!(place, Place::Registry(_))),
        Base::Scratch | Base::Image(_) => false,
    };
    is_remote(&image.from.value)
        || image.layers.iter().flat_map(|layer| &layer.sources).any(|source| match &source.value {
            Source::Debian(_) | Source::Python(_) | Source::Fetch(_) => true,
            Source::Image(items) => items.iter().any(|item| is_remote(&item.value.from.value)),
            _ => false,
        })
}
