//! What registries hold under the images' own tags.

use lapstrake::code::ErrorCode;
use lapstrake::oci::{Platform, Reference};
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

/// The image under the first of its tags that is there.
pub(super) fn first(
    planned: &Planned<'_>,
    platforms: &[Platform],
    workshop: &Workshop<'_>,
) -> Outcome<Option<(Reference, Artifact)>> {
    for reference in &planned.references {
        let place = Place::Registry(reference.clone());
        let source = workshop.source(&place).or_fail(Code::Network)?;
        match read_artifacts(&source, None, platforms) {
            Ok(found) => {
                if let Some(artifact) = found.into_iter().next() {
                    return Ok(Some((reference.clone(), artifact)));
                }
            }
            Err(error) if is_absent(&place, &error) => {}
            Err(error) => return Err(Failure::new(Code::Network, error)),
        }
    }
    Ok(None)
}
