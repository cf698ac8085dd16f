//! Text that several places share by an anchor: it is edited where all of them are to get the same, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Kind, NodeId, Tree};
use super::edit::Edit;
use super::site::{PinnedSite, Site};
use super::{OWN, Why};

/// A scalar that is to be edited.
#[derive(Default)]
struct Wanted {
    /// What it is to be.
    edits: BTreeSet<Edit>,
    /// Where that is wanted: the scalar itself, or aliases of it.
    slots: BTreeSet<NodeId>,
    /// The sites that want it, by their numbers.
    sites: BTreeSet<usize>,
    /// Whether all of them mean it as a whole reference: that says the same wherever it is.
    is_reference: bool,
}

/// Leaves the sites as they are that share what they would change with something that is not to change so.
pub(super) fn leave(tree: &Tree, sites: &[Site], pinned: &mut [Result<PinnedSite, Why>]) {
    let mut wanted = wanted(tree, sites, pinned);
    let mut bad = shared(tree, &wanted);
    let mut left: BTreeSet<usize> = BTreeSet::new();
    let merged = merged(tree);
    for (number, site) in sites.iter().enumerate() {
        let changes = pinned[number].as_ref().is_ok_and(|pinned| !pinned.is_as_it_was());
        let is_whole = matches!(site, Site::Reference(_));
        if changes && !is_whole && site.nodes().iter().any(|node| merged.contains(node)) {
            left.insert(number);
        }
    }
    let targets_of = |pinned: &Result<PinnedSite, Why>| -> Vec<NodeId> {
        pinned.iter().flat_map(|pinned| &pinned.set).map(|(slot, _)| tree.behind(*slot)).collect()
    };
    bad.extend(left.iter().flat_map(|number| targets_of(&pinned[*number])));
    // What one site no longer changes, another may no longer change, either.
    while let Some(target) = bad.pop() {
        let Some(Wanted { sites, .. }) = wanted.remove(&target) else { continue };
        for number in sites {
            left.insert(number);
            bad.extend(targets_of(&pinned[number]).into_iter().filter(|target| wanted.contains_key(target)));
        }
    }
    for number in left {
        pinned[number] = Err(Why::Shared);
    }
}

fn wanted(tree: &Tree, sites: &[Site], pinned: &[Result<PinnedSite, Why>]) -> BTreeMap<NodeId, Wanted> {
    let mut all: BTreeMap<NodeId, Wanted> = BTreeMap::new();
    for (number, (site, pinned)) in sites.iter().zip(pinned).enumerate() {
        for (slot, edit) in pinned.iter().flat_map(|pinned| &pinned.set) {
            let wanted =
                all.entry(tree.behind(*slot)).or_insert_with(|| Wanted { is_reference: true, ..Wanted::default() });
            wanted.edits.insert(edit.clone());
            wanted.slots.insert(*slot);
            wanted.sites.insert(number);
            wanted.is_reference &= matches!(site, Site::Reference(_));
        }
    }
    all
}

/// The scalars that are also something else than what they are wanted as.
fn shared(tree: &Tree, wanted: &BTreeMap<NodeId, Wanted>) -> Vec<NodeId> {
    let keys: BTreeSet<NodeId> = tree.all().flat_map(|node| keys(tree, node)).collect();
    let is_bad = |slot: NodeId| {
        let target = tree.behind(slot);
        let Some(wanted) = wanted.get(&target) else { return false };
        if wanted.edits.len() > 1 || keys.contains(&slot) {
            return true;
        }
        // Where a reference has its anchor, it is given its name; names of the recipe are meant wherever they are.
        let is_own = tree.scalar(target).is_some_and(|text| text.starts_with(OWN));
        !wanted.slots.contains(&slot) && !(wanted.is_reference && (slot == target || is_own))
    };
    tree.all().filter(|slot| is_bad(*slot)).map(|slot| tree.behind(slot)).collect()
}

fn keys(tree: &Tree, node: NodeId) -> Vec<NodeId> {
    match tree.kind(node) {
        Kind::Mapping(entries) => entries.iter().map(|(key, _)| *key).collect(),
        _ => Vec::new(),
    }
}

/// The values of mappings that are merged (`<<`) into others with keys of their own: there they are parts of something else.
fn merged(tree: &Tree) -> BTreeSet<NodeId> {
    let mut values = BTreeSet::new();
    for node in tree.all() {
        let Kind::Mapping(entries) = tree.kind(node) else { continue };
        for (_, from) in entries.iter().filter(|(key, _)| entries.len() > 1 && tree.scalar(*key) == Some("<<")) {
            let merged = match tree.items(*from) {
                [] => std::slice::from_ref(from),
                several => several,
            };
            values.extend(merged.iter().flat_map(|one| tree.entries(*one)).map(|(_, value)| *value));
        }
    }
    values
}
