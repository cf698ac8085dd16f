//! Values of Helm: `image: repository:tag`, and `image: {registry, repository, tag, digest}`, at any depth.

use super::document::{Kind, NodeId, Tree};
use super::site::Site;

/// Where a document names images.
pub(super) fn sites(tree: &Tree, document: NodeId, sites: &mut Vec<Site>) {
    below(tree, document, sites);
}

/// The images that keys named `image` name, at a node and below it. Aliases are left: what they stand for is found where it is.
pub(super) fn below(tree: &Tree, node: NodeId, sites: &mut Vec<Site>) {
    match tree.kind(node) {
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                match tree.scalar(*key) {
                    Some("image") => image(tree, *value, sites),
                    _ => below(tree, *value, sites),
                }
            }
        }
        Kind::Sequence(items) => items.iter().for_each(|item| below(tree, *item, sites)),
        Kind::Scalar { .. } | Kind::Alias(_) => {}
    }
}

fn image(tree: &Tree, value: NodeId, sites: &mut Vec<Site>) {
    if tree.scalar(value).is_some() {
        sites.push(Site::Reference(value));
        return;
    }
    let scalar = |key: &str| tree.get(value, key).filter(|node| tree.scalar(*node).is_some());
    if let Some(repository) = scalar("repository") {
        sites.push(Site::Parts {
            registry: scalar("registry"),
            repository,
            tag: scalar("tag"),
            digest: scalar("digest"),
        });
    } else if let Some(reference) = scalar("reference") {
        // A volume of Kubernetes that is an image.
        sites.push(Site::Reference(reference));
    } else {
        below(tree, tree.behind(value), sites);
    }
}
