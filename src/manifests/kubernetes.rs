//! Kubernetes: `image` of every container, in whatever kind it is, custom ones too; images as volumes.

use super::document::{NodeId, Tree};
use super::helm;
use super::site::Site;

/// What no container is in.
const PASSED_OVER: [&str; 2] = ["metadata", "status"];

/// Where a document names images.
pub(super) fn sites(tree: &Tree, document: NodeId, sites: &mut Vec<Site>) {
    for (key, value) in tree.entries(document) {
        match tree.scalar(*key) {
            Some(key) if PASSED_OVER.contains(&key) => {}
            // A list of objects, as `kubectl get -o yaml` gives it.
            Some("items") => tree.items(*value).iter().for_each(|item| self::sites(tree, *item, sites)),
            _ => helm::below(tree, *value, sites),
        }
    }
}
