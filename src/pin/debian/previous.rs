//! Pins of before, whose versions stay where they fit.

use std::collections::BTreeMap;

use super::archives::Index;
use super::ask::same_places;
use super::{Ask, Means, PinError, read_control};
use crate::content::Content;
use crate::debian::packages::Packages;
use crate::lock::{Asked, DebPin, DebianPins, Update};
use crate::source::debian::{FileError, fetch};
use crate::supply::SupplyError;

/// What of the pins before may stay.
#[derive(Default)]
pub(super) struct Previous {
    /// Versions, by name.
    pub(super) preferred: BTreeMap<String, String>,
    /// Packages that have left the archives and are still to be had.
    pub(super) gone: Packages,
    pins: Vec<DebPin>,
}

impl Previous {
    /// What of `previous` may stay.
    pub(super) fn new(
        ask: &Ask<'_>,
        means: &Means<'_>,
        asked: &Asked,
        previous: Option<&DebianPins>,
        update: &Update,
        indexes: &[Index],
    ) -> Result<Self, PinError> {
        let mut kept = Previous::default();
        let Some(previous) = previous else { return Ok(kept) };
        let stays = |pin: &&DebPin| !pin.archive.is_empty() && !update.moves(&pin.name);
        let mut gone: Vec<DebPin> = Vec::new();
        for pin in previous.packages.iter().filter(stays) {
            let mut there = indexes.iter().flat_map(|index| index.packages.named(&pin.name));
            let there = there
                .any(|package| package.version_text() == pin.version && package.architecture() == pin.architecture);
            match there {
                true => _ = kept.preferred.insert(pin.name.clone(), pin.version.clone()),
                // Of another suite, it is not gone but unwanted.
                false if same_places(&previous.asked, asked) => gone.push(pin.clone()),
                false => {}
            }
        }
        if gone.is_empty() {
            return Ok(kept);
        }
        let get = |pins: &[DebPin]| fetch(pins, &previous.archives, ask.settings, ask.context, means.supply);
        // All at once where they are to be had, else one by one: each that is stays. Only what is gone for certain moves;
        // a mirror that does not answer says nothing.
        let get_one = |pin: &DebPin| match get(std::slice::from_ref(pin)) {
            Ok(mut contents) => Ok(contents.pop()),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        };
        let contents: Vec<Option<Content>> = match get(&gone) {
            Ok(contents) => contents.into_iter().map(Some).collect(),
            Err(error) if is_gone(&error) => gone.iter().map(get_one).collect::<Result<_, _>>()?,
            Err(error) => return Err(error.into()),
        };
        for (pin, content) in gone.into_iter().zip(contents) {
            let Some(content) = content else {
                means.reporter.note(format!(
                    "{} {} has left its archive and is not to be had any more: the newest version is taken",
                    pin.name, pin.version
                ));
                continue;
            };
            let deb = read_control(&pin, &content)?;
            let wrong = |source| PinError::Local { path: pin.path.clone(), source };
            kept.gone.add_local(&deb.control, pin.size, pin.sha256).map_err(wrong)?;
            kept.preferred.insert(pin.name.clone(), pin.version.clone());
            kept.pins.push(pin);
        }
        Ok(kept)
    }

    /// The pin of a package that has left the archives.
    pub(super) fn pin(&self, name: &str) -> Option<&DebPin> {
        self.pins.iter().find(|pin| pin.name == name)
    }
}

/// Whether a file is nowhere any more, as far as all that were asked say.
fn is_gone(error: &FileError) -> bool {
    let gone = |error: &SupplyError| {
        matches!(error, SupplyError::Gone { .. } | SupplyError::Absent { .. } | SupplyError::Nowhere { .. })
    };
    matches!(error, FileError::Supply(error) if gone(error))
}
