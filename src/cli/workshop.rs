//! What building and locking need of the machine: the cache, registries, mirrors and indexes, the environment, the clock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lapstrake::build::{Builder, Locking, Outside, OutsideImage};
use lapstrake::code::{Cause, ErrorCode};
use lapstrake::host::open_regular;
use lapstrake::layer::Reuse;
use lapstrake::lock::Lock;
use lapstrake::place::{self, FilePlace, ImageSource, Place};
use lapstrake::recipe::{self, Recipe};
use lapstrake::remote::{RegistryImage, StoredImage};
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;
use lapstrake::supply::Machine;

use super::args::Global;
use super::environment::{LazyRegistries, cache_directory, jobs, open_store, supply};
use super::exit::Outcome;

/// Everything of this machine that a recipe may need.
pub(crate) struct Workshop<'a> {
    pub(crate) store: BlobStore,
    pub(crate) registries: LazyRegistries<'a>,
    supply: Machine<'static>,
    environment: BTreeMap<OsString, OsString>,
    global: &'a Global,
    reporter: Reporter,
    offline: bool,
}

impl<'a> Workshop<'a> {
    pub(crate) fn new(global: &'a Global, offline: bool, reporter: &'a Reporter) -> Outcome<Self> {
        let store = open_store(global, reporter)?;
        let registries = LazyRegistries::new(global, reporter);
        let supply = supply(global, &registries.network, &store, offline, reporter)?;
        let environment = std::env::vars_os().collect();
        Ok(Workshop { store, registries, supply, environment, global, reporter: reporter.clone(), offline })
    }

    /// Where images come from that the recipe does not make.
    pub(crate) fn outside<'w>(&'w self, recipe: &'w Recipe) -> Places<'w, 'a> {
        Places { workshop: self, recipe }
    }

    /// The images at a place.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(crate) fn source(&self, place: &Place) -> Result<Arc<dyn ImageSource>, Cause> {
        match place {
            Place::Registry(reference) if self.offline => {
                let stored = StoredImage::open(reference, &self.store)
                    .ok_or_else(|| Cause::told(ErrorCode::Offline, "--offline touches no network"))?;
                Ok(stored)
            }
            Place::Registry(reference) => {
                let registries = self.registries.get().map_err(|failure| failure.error)?;
                Ok(RegistryImage::new(registries, reference, &self.store))
            }
            local => Ok(place::open(local, &self.store.tmp())?),
        }
    }

    /// A builder that pins what is missing, with nothing said on the command line.
    pub(crate) fn builder<'w>(
        &'w self,
        recipe: &'w Recipe,
        outside: &'w Places<'_, '_>,
        lock: &'w Lock,
    ) -> Builder<'w> {
        let mut forbidden: Vec<PathBuf> = vec![self.store.root().to_owned()];
        forbidden.extend(cache_directory(self.global));
        Builder {
            recipe,
            outside,
            supply: &self.supply,
            lock,
            locking: Locking::AsNeeded,
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            environment: &self.environment,
            store: &self.store,
            jobs: jobs(self.global),
            reuse: Reuse::Allowed,
            verify: false,
            elsewhere: &(),
            ready: &(),
            reads_bases: false,
            epoch: None,
            platforms: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            names: BTreeMap::new(),
            forbidden,
            left_out: Vec::new(),
            reporter: self.reporter.clone(),
        }
    }
}

/// Opens the places that a recipe names. The network is started only where one is in a registry.
pub(crate) struct Places<'w, 'a> {
    workshop: &'w Workshop<'a>,
    recipe: &'w Recipe,
}

impl Outside for Places<'_, '_> {
    fn open(&self, place: &recipe::Place, image: Option<&str>) -> Result<OutsideImage, Cause> {
        if let recipe::Place::Registry(reference) = place {
            if self.workshop.offline {
                let source = StoredImage::open(reference, &self.workshop.store).ok_or_else(|| {
                    Cause::told(
                        ErrorCode::Offline,
                        "--offline touches no network, and the image is in a registry and not in the cache: build once without --offline",
                    )
                })?;
                return Ok(OutsideImage { source, pick: None, reference: Some(reference.clone()) });
            }
            let registries = self.workshop.registries.get().map_err(|failure| failure.error)?;
            return Ok(OutsideImage {
                source: RegistryImage::wanted_for(image, registries, reference, &self.workshop.store),
                pick: None,
                reference: Some(reference.clone()),
            });
        }
        let local = Place::parse(&place.to_string())?.relative_to(&self.recipe.context);
        // A base is read again by the next build: what comes through a pipe is gone by then, and nobody waits for it.
        if let Place::Archive { file: FilePlace::Path(path), .. } = &local
            && path.symlink_metadata().is_ok()
        {
            open_regular(path)
                .map_err(|error| Cause::told(ErrorCode::PlaceClosed, format!("opening {}: {error}", path.display())))?;
        }
        Ok(OutsideImage {
            source: place::open(&local, &self.workshop.store.tmp())?,
            pick: local.pick().cloned(),
            reference: None,
        })
    }
}
