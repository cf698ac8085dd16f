//! What registries hold under the images' own tags.

use std::error::Error;

use lapstrake::code::{ErrorCode, of_registries};
use lapstrake::oci::Platform;
use lapstrake::place::{Artifact, Place, SourceError, read_artifacts};

use super::build::Planned;
use super::exit::{Code, Failure, OrFail, Outcome};
use super::workshop::Workshop;

/// Fails where an image has no repository.
pub(super) fn check(plan: &[Planned<'_>]) -> Outcome {
    match plan.iter().find(|planned| planned.references.is_empty()) {
        Some(nameless) => Err(Failure::usage(format!("{} has no repository to look at", nameless.image.name))
            .kind(ErrorCode::NoRepository)
            .hint("set `repository` under [project], or give -t a full reference")),
        None => Ok(()),
    }
}

/// Whether that is why a registry gives nothing: it has no such tag.
pub(super) fn is_absent(place: &Place, error: &SourceError) -> bool {
    matches!((place, error), (Place::Registry(_), SourceError::Kind { .. }))
}

/// Whether a registry gave nothing for a reason that holds for all that it has.
pub(super) fn is_of_all(error: &(dyn Error + 'static)) -> bool {
    match of_registries(error).next() {
        Some(error) => error.is_of_all(),
        // What is wrong with the image itself.
        None => !error.is::<SourceError>(),
    }
}

/// Whether a registry refuses this repository alone.
pub(super) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    of_registries(error).next().is_some_and(|error| error.refusal().is_some() && !error.is_of_all())
}

/// What a registry has under the tags of an image.
pub(super) enum UnderTags {
    Image(Box<Artifact>),
    Nothing,
    /// It refuses this repository: many do where there is none.
    Refused(Failure),
}

/// The image under the first of its tags that is there.
pub(super) fn first(planned: &Planned<'_>, platforms: &[Platform], workshop: &Workshop<'_>) -> Outcome<UnderTags> {
    let mut refused = None;
    for reference in &planned.references {
        let place = Place::Registry(reference.clone());
        let source = workshop.source(&place).or_fail(Code::Network)?;
        match read_artifacts(&source, None, platforms) {
            Ok(found) => {
                if let Some(artifact) = found.into_iter().next() {
                    return Ok(UnderTags::Image(Box::new(artifact)));
                }
            }
            Err(error) if is_absent(&place, &error) => {}
            Err(error @ SourceError::NoPlatform { .. }) => return Err(Failure::new(Code::Failed, error)),
            Err(error) if is_refusal(&error) => refused = refused.or(Some(Failure::new(Code::Network, error))),
            Err(error) => return Err(Failure::new(Code::Network, error)),
        }
    }
    Ok(refused.map_or(UnderTags::Nothing, UnderTags::Refused))
}
