//! Kustomizations: entries of `images`, with `name`, `newName`, `newTag` and `digest`.

use super::Why;
use super::document::{Kind, NodeId, Tree};
use super::edit::Edit;
use super::site::Site;

/// How `apiVersion` begins.
const API: &str = "kustomize.config.k8s.io/";

/// Whether a document is a kustomization, by its kind or by the name of its file.
pub(super) fn is_one(tree: &Tree, document: NodeId, file: &str) -> bool {
    let api = tree.get(document, "apiVersion").and_then(|api| tree.scalar(api));
    let name = file.rsplit('/').next().unwrap_or_default();
    api.is_some_and(|api| api.starts_with(API))
        || matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// Where a document names images.
pub(super) fn sites(tree: &Tree, document: NodeId, sites: &mut Vec<Site>) {
    let Some(images) = tree.get(document, "images") else { return };
    for entry in tree.items(images) {
        let scalar = |key: &str| tree.get(*entry, key).filter(|node| tree.scalar(*node).is_some());
        if let Some(name) = scalar("name") {
            let (new_name, tag, digest) = (scalar("newName"), scalar("newTag"), scalar("digest"));
            sites.push(Site::Entry { entry: *entry, name, new_name, tag, digest });
        }
    }
}

/// A `digest` for an entry that has none so far, after the last of the keys that say which image it is.
pub(super) fn add_digest(tree: &Tree, text: &str, entry: NodeId, digest: &str) -> Result<Edit, Why> {
    let mapping = tree.bytes(tree.behind(entry));
    let is_one_of_ours = |key: &NodeId| matches!(tree.scalar(*key), Some("name" | "newName" | "newTag"));
    let last = tree.entries(entry).iter().rev().find(|(key, _)| is_one_of_ours(key));
    let (key, value) = *last.ok_or(Why::NoPlace)?;
    let written = tree.bytes(value);
    let end = match tree.kind(value) {
        // `*name`: the name ends where a word does.
        Kind::Alias(_) => text[written.start..]
            .find([' ', '\t', '\r', '\n', ',', '}', ']'])
            .map_or(text.len(), |length| written.start + length),
        _ if written.is_empty() => return Err(Why::Form),
        _ => written.end,
    };
    if text[mapping.start..].starts_with('{') {
        // As the keys beside it are written: JSON wants quotes.
        let quote = if text[tree.bytes(key)].starts_with('"') { "\"" } else { "" };
        return Ok(Edit::insert(end, format!(", {quote}digest{quote}: {quote}{digest}{quote}")));
    }
    // A line of its own, below that of the value, with what is behind that.
    let line_end = text[end..].find('\n').map_or(text.len(), |length| end + length);
    let (at, newline) = match text[..line_end].strip_suffix('\r') {
        Some(before) => (before.len(), "\r\n"),
        // The last line may have no end: it is to have that of the line before.
        None if line_end == text.len() && text[..text.rfind('\n').unwrap_or_default()].ends_with('\r') => {
            (line_end, "\r\n")
        }
        None => (line_end, "\n"),
    };
    let indent = " ".repeat(tree.position(key).column - 1);
    Ok(Edit::insert(at, format!("{newline}{indent}digest: {digest}")))
}
