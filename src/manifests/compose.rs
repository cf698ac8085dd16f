//! Compose files: `image` of every service, also where it comes by an alias or a merge key.

use super::document::{NodeId, Tree};
use super::site::Site;

/// Merges within merges that are followed.
const MAX_MERGES: usize = 16;

/// Whether a document is a Compose file: it has services with an image, or that are built.
pub(super) fn is_one(tree: &Tree, document: NodeId) -> bool {
    let Some(services) = tree.get(document, "services") else { return false };
    // Values of Helm may have `services`, too, with an image in parts.
    let is_reference = |image: NodeId| tree.scalar(image).is_some();
    let is_service =
        |service: NodeId| image(tree, service, 0).is_some_and(is_reference) || tree.get(service, "build").is_some();
    tree.entries(services).iter().any(|(_, service)| is_service(*service))
}

/// Where a document names images.
pub(super) fn sites(tree: &Tree, document: NodeId, sites: &mut Vec<Site>) {
    let Some(services) = tree.get(document, "services") else { return };
    let images = tree.entries(services).iter().filter_map(|(_, service)| image(tree, *service, 0));
    sites.extend(images.filter(|image| tree.scalar(*image).is_some()).map(Site::Reference));
}

/// The image of a service: its own, or that of what it merges, the first that has one.
fn image(tree: &Tree, service: NodeId, merges: usize) -> Option<NodeId> {
    if merges == MAX_MERGES {
        return None;
    }
    tree.get(service, "image").or_else(|| {
        let merged = tree.get(service, "<<")?;
        match tree.items(merged) {
            [] => image(tree, merged, merges + 1),
            several => several.iter().find_map(|one| image(tree, *one, merges + 1)),
        }
    })
}
