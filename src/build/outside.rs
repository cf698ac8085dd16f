//! Images that a recipe names and does not make: bases, and images that are copied from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::base::KnownPython;
use super::run::OpenPlace;
use super::{BuildError, Builder, Made, OpenBase, Purpose, Run, base, pins};
use crate::base::Knowledge;
use crate::code::{Cause, ErrorCode};
use crate::lock::ImagePin;
use crate::oci::{Platform, Reference};
use crate::place::{ImageSource, Pick};
use crate::recipe::{self, At, Base, Place, Source, Span};

/// Opens the places that a recipe names: layouts, archives, registries.
pub trait Outside: Sync {
    /// The images at that place, which of them is meant, and the reference that others can find it by. `image` is the first
    /// of the recipe that wants it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    fn open(&self, place: &Place, image: Option<&str>) -> Result<OutsideImage, Cause>;
}

/// An image that a recipe names and does not make.
pub struct OutsideImage {
    /// Where it is read from.
    pub source: Arc<dyn ImageSource>,
    /// Which of the source's images.
    pub pick: Option<Pick>,
    /// Its reference, where it has one.
    pub reference: Option<Reference>,
}

/// What an image stands on.
pub(super) struct Opened {
    pub open: OpenBase,
    /// The layers of this recipe that it has already.
    pub made: Made,
}

impl Builder<'_> {
    /// The base of an image, and the layers of this recipe that it has already.
    pub(super) fn open(&self, from: &At<Base>, platform: &Platform, run: &Run) -> Result<Opened, BuildError> {
        match &from.value {
            Base::Scratch => Ok(Opened { open: OpenBase::scratch(platform), made: Vec::new() }),
            Base::Image(name) => match run.finished(&(name.clone(), platform.to_string())) {
                Some(done) => Ok(Opened { open: done.open.for_one(), made: done.layers.clone() }),
                None => Err(self.told(
                    ErrorCode::NotBuilt,
                    from.span,
                    format!("the image {name} is not built for {platform}"),
                )),
            },
            Base::Place(place) => {
                let place = place.resolve(&platform.architecture).map_err(|source| self.at(from.span, source))?;
                let known = (place.to_string(), platform.to_string());
                // Whoever asks for the same place waits until it is open.
                let mut opened = run.opened();
                let place = match opened.entry(known) {
                    Entry::Occupied(there) => there.into_mut(),
                    Entry::Vacant(free) => {
                        let opened = self.outside_image(&place, from.span, platform, run)?;
                        run.is_at_hand(&opened.open.stack, self.store);
                        free.insert(opened)
                    }
                };
                // An image that begins again, or goes its own way, does not have it yet.
                place.pin.iter().for_each(|pin| run.pins.add_image(pin.clone()));
                Ok(Opened { open: place.open.for_one(), made: Vec::new() })
            }
        }
    }

    /// Two places that the lock would call the same are refused, before anything is opened: where they are in the recipe, the
    /// later one is told.
    pub(super) fn refuse_one_name_for_two(&self, tasks: &[(&recipe::Image, &Platform)]) -> Result<(), BuildError> {
        let mut names: BTreeMap<(String, String), Place> = BTreeMap::new();
        for (image, platform) in tasks {
            let from = std::iter::once(&image.from).chain(image.layers.iter().flat_map(copied_from));
            for At { value, span } in from {
                // What cannot be resolved is told when it is opened.
                let Base::Place(place) = value else { continue };
                let Ok(place) = place.resolve(&platform.architecture) else { continue };
                let name = (platform.to_string(), pins::name_of_image(&place));
                let other = names.entry(name).or_insert_with(|| place.clone());
                if *other != place {
                    let text = format!(
                        "{other} and {place} have the same name in two registries: give one of them with its digest"
                    );
                    return Err(self.told(ErrorCode::Reference, *span, text));
                }
            }
        }
        Ok(())
    }

    /// An image that the recipe does not make: the pinned one, where there is a pin.
    fn outside_image(
        &self,
        place: &Place,
        span: Span,
        platform: &Platform,
        run: &Run,
    ) -> Result<OpenPlace, BuildError> {
        let name = pins::name_of_image(place);
        let platform_name = platform.to_string();
        let pin = run.pins.image(&name, &platform_name);
        let stale = |why: String| BuildError::Lock { what: format!("the image {name} for {platform}"), why };
        if pin.is_none() && run.pins.is_locked() {
            return Err(stale("the lock does not have it".to_owned()));
        }
        let remote = matches!(place, Place::Registry(_));
        let failed = |what: String, source: Cause| {
            let at = self.recipe.sources().position(span);
            BuildError::Outside { at, what, remote, source }
        };
        let pinned = match (place, pin) {
            (Place::Registry(reference), Some(pin)) => Place::Registry(reference.with_digest(pin.manifest)),
            _ => place.clone(),
        };
        let outside = self
            .outside
            .open(&pinned, self.reporter.image())
            .map_err(|source| failed(format!("opening the base {pinned}"), source))?;
        // What it is called does not depend on whether it is pinned.
        let reference = match place {
            Place::Registry(reference) => Some(reference),
            _ => outside.reference.as_ref(),
        };
        let knowledge = match pin.filter(|_| remote) {
            Some(pin) => {
                let lines = pin.knowledge.iter().map(String::as_str);
                match Knowledge::parse(lines, &pin.texts).and_then(|known| known.with_files(&pin.files)) {
                    Err(error) if run.pins.is_locked() => return Err(stale(error.to_string())),
                    // It is learned anew.
                    known => known.unwrap_or_default(),
                }
            }
            None => Knowledge::default(),
        };
        // What is learned while locking anew replaces what was known.
        let unread = !knowledge.is_empty() && run.purpose == Purpose::Images && !self.reads_bases;
        let (pick, limits) = (outside.pick.as_ref(), self.recipe.limits);
        let open = match unread {
            true => OpenBase::known(outside.source, pick, platform, reference, limits, &knowledge),
            false => {
                OpenBase::from_source(outside.source, pick, platform, reference, limits, self.store, &self.reporter)
            }
        };
        let mut open = open.map_err(|source| failed(format!("reading the base {pinned}"), source.into()))?;
        let mut now = None;
        if let Some((manifest, config)) = open.documents {
            let fits = pin.is_some_and(|pin| (pin.manifest, pin.config) == (manifest, config));
            if let (Some(pin), false, true) = (pin, fits, run.pins.is_locked()) {
                // What is on this machine may be another image by now; a registry gave what the lock asked for.
                if !remote {
                    return Err(stale(format!("it is {manifest} now, and {} is locked", pin.manifest)));
                }
                self.reporter.note(format!(
                    "the digest of {name} was edited in the lock: lock again, so that the rest of its entry is of that image"
                ));
            }
            // What was known is of another image.
            if pin.is_some() && !fits {
                let read = open.stack.read_base(self.store, &self.reporter);
                read.map_err(|source| failed(format!("reading the base {pinned}"), source.into()))?;
            }
            // An existing pin keeps what it knows: a build does not change a lock that fits.
            let mut known = pin.filter(|_| fits).cloned();
            let mut python = known.as_mut().map(|pin| std::mem::take(&mut pin.python)).unwrap_or_default();
            if open.stack.is_unread() {
                open.python = KnownPython::of_line(&python);
            }
            let learns = remote && (run.purpose == Purpose::Lock || !fits && !run.pins.is_locked());
            if learns && self.recipe.images.iter().flat_map(|image| &image.layers).any(recipe::Layer::needs_python) {
                let found = base::find_python(&open.stack, self.store, open.stated_python());
                python = KnownPython::of(found).line();
            }
            if learns {
                open.stack.watch_base();
            }
            let (knowledge, texts, files) = known.map(|pin| (pin.knowledge, pin.texts, pin.files)).unwrap_or_default();
            let (name, platform) = (name.clone(), platform_name);
            now = Some(ImagePin { name, platform, manifest, config, knowledge, texts, files, python });
        }
        Ok(OpenPlace { name, open, pin: now })
    }
}

/// The images that a layer copies from.
fn copied_from(layer: &recipe::Layer) -> impl Iterator<Item = &At<Base>> {
    let items = layer.sources.iter().flat_map(|source| match &source.value {
        Source::Image(items) => items.as_slice(),
        _ => &[],
    });
    items.map(|item| &item.value.from)
}
