//! Images that a recipe names and does not make: bases, and images that are copied from.

use std::sync::Arc;

use super::base::KnownPython;
use super::{BuildError, Builder, Made, OpenBase, Purpose, Run, base, pins};
use crate::base::Knowledge;
use crate::code::{Cause, ErrorCode};
use crate::lock::ImagePin;
use crate::oci::{Platform, Reference};
use crate::place::{ImageSource, Pick};
use crate::recipe::{self, At, Base, Place, Span};
/// Opens the places that a recipe names: layouts, archives, registries.
pub trait Outside: Sync {
    /// The images at that place, which of them is meant, and the reference that others can find it by.
    ///
    /// # Errors
    /// Where it cannot be opened.
    fn open(&self, place: &Place) -> Result<OutsideImage, Cause>;
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
                Some(done) => Ok(Opened { open: done.open.clone(), made: done.layers.clone() }),
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
                if let Some((_, open)) = opened.get(&known) {
                    return Ok(Opened { open: open.clone(), made: Vec::new() });
                }
                let name = pins::name_of_image(&place);
                if let Some(((other, _), _)) =
                    opened.iter().find(|((_, of), (of_name, _))| *of == known.1 && *of_name == name)
                {
                    let text = format!(
                        "{other} and {place} have the same name in two registries: give one of them with its digest"
                    );
                    return Err(self.told(ErrorCode::Reference, from.span, text));
                }
                let open = self.outside_image(&place, from.span, platform, run)?;
                opened.insert(known, (name, open.clone()));
                Ok(Opened { open, made: Vec::new() })
            }
        }
    }

    /// An image that the recipe does not make: the pinned one, where there is a pin.
    fn outside_image(&self, place: &Place, span: Span, platform: &Platform, run: &Run) -> Result<OpenBase, BuildError> {
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
        let outside =
            self.outside.open(&pinned).map_err(|source| failed(format!("opening the base {pinned}"), source))?;
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
        let unread = !knowledge.is_empty() && run.purpose == Purpose::Images;
        let pick = outside.pick.as_ref();
        let open = match unread {
            true => OpenBase::known(outside.source, pick, platform, reference, &knowledge),
            false => OpenBase::from_source(outside.source, pick, platform, reference, self.store, &self.reporter),
        };
        let mut open = open.map_err(|source| failed(format!("reading the base {pinned}"), source.into()))?;
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
            let platform = platform_name;
            run.pins.add_image(ImagePin { name, platform, manifest, config, knowledge, texts, files, python });
        }
        Ok(open)
    }
}
