//! Manifests that name images, with the images' digests put in: Kubernetes, Compose, kustomizations, values of Helm.
//!
//! ```text
//! document.rs    YAML and JSON, every scalar with its place
//! kubernetes.rs  compose.rs  kustomize.rs  helm.rs    where a document names images
//! pins.rs        which digest a reference means
//! site.rs        what one place says, and the edits that pin it
//! edit.rs        a scalar's bytes, and nothing else
//! stream.rs      several texts as one
//! shared.rs      what an anchor shares with something else is left
//! ```
//!
//! Nothing here reads files or asks anybody: text and digests in, text out.

mod compose;
mod document;
mod edit;
mod helm;
mod kubernetes;
mod kustomize;
mod pins;
mod shared;
mod site;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use pins::{Mention, OWN, Pin, Pins};
pub use stream::joined;

use document::{Kind, NodeId, Tree};
use site::Site;

use crate::logins::{hide_credentials, hide_in_name};
use crate::nearest;

/// Where something is in a text. Both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ManifestError {
    /// Where it ceases to be.
    pub position: Position,
    /// What is wrong there.
    pub what: String,
}

/// Why a reference is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing that is known is in that repository.
    #[error("no image that is known is in that repository")]
    Unnamed,
    /// What is known of the repository has other tags.
    #[error("of that repository other tags are known: {}", list(.0))]
    OtherTags(BTreeSet<String>),
    /// Of what is known of the repository the tags are not, and the recipe does not say that it is meant.
    #[error(
        "of what is known of that repository the tags are not known: take the digests from what --metadata-file wrote"
    )]
    NoTags,
    /// It has a digest and no tag: the repository may have several images, and it cannot be told which was meant.
    #[error("it has a digest and no tag, and it cannot be told of which image: write its tag before the `@`")]
    DigestAlone,
    /// The recipe has no image of that name.
    #[error("the recipe has no image of that name; its images are {}{}", list(images), meant(wanted, images))]
    NoImage {
        /// What was asked for.
        wanted: String,
        /// What there is.
        images: BTreeSet<String>,
    },
    /// An image of the recipe of which no digest is known.
    #[error("its digest is not known: what the digests are taken from does not have it")]
    NoDigest,
    /// An image of the recipe that is in no repository.
    #[error("the image has no repository: set `repository` under [project]")]
    NoRepository,
    /// It is filled in by something else.
    #[error("it is a template, and is filled in later")]
    Template,
    /// It is no reference.
    #[error("{0}")]
    NoReference(String),
    /// There is no scalar that a digest could be written to.
    #[error("there is no `tag` or `digest` to write the digest to")]
    NoPlace,
    /// It is written in a way in which it cannot be changed byte for byte.
    #[error("it is a block, empty, or written with escapes or over several lines: write it as one word")]
    Form,
    /// Its text is also that of something that is not to get the same digest.
    #[error(
        "by an anchor, something else has the same text and would get the digest, too: write it here without an alias"
    )]
    Shared,
}

fn list(names: &BTreeSet<String>) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// `; did you mean X?`, where something like it is there.
fn meant(wanted: &str, images: &BTreeSet<String>) -> String {
    if let Some((image, _)) = wanted.split_once([':', '@'])
        && images.contains(image)
    {
        return format!("; no tag or digest here: `{OWN}{image}`");
    }
    if let Some((image, _)) = wanted.split_once('/')
        && images.contains(image)
    {
        return format!("; `{image}` has no variants: `{OWN}{image}`");
    }
    let variants: BTreeSet<String> = images
        .iter()
        .filter(|image| image.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/')))
        .cloned()
        .collect();
    match variants.is_empty() {
        true => nearest::hint(nearest::nearest(wanted, images.iter().map(String::as_str))),
        false => format!("; name the variant: {}", list(&variants)),
    }
}

/// A reference that was pinned, or moved to another digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is.
    pub position: Position,
    /// What it was, without passwords.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// A reference that is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Where it is.
    pub position: Position,
    /// What it says, without passwords.
    pub reference: String,
    /// Why.
    pub why: Why,
}

impl Left {
    /// Whether it names an image in a way that nothing but `resolve` understands.
    pub fn is_own(&self) -> bool {
        self.reference.starts_with(OWN)
    }

    /// Whether it may be one of the images that are known, and it cannot be told.
    pub fn is_unsure(&self) -> bool {
        match self.why {
            Why::NoTags | Why::DigestAlone => true,
            // What was pinned, and has a tag that no image has today.
            Why::OtherTags(_) => self.reference.contains('@'),
            _ => false,
        }
    }
}

/// A text with digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The text.
    pub text: String,
    /// What was changed, in the order of the text.
    pub changes: Vec<Change>,
    /// What was not.
    pub left: Vec<Left>,
}

/// How references are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `repository:tag@digest`.
    Kept,
    /// `repository@digest`. A tag that has a key of its own stays there.
    Dropped,
}

/// A text of one or more documents that was read.
pub struct Manifest<'t> {
    file: &'t str,
    text: &'t str,
    tree: Tree,
    sites: Vec<Site>,
}

impl<'t> Manifest<'t> {
    /// Reads a text. `file` is what its file is called: kustomizations are known by it, too.
    ///
    /// # Errors
    /// Where it is no YAML (JSON is).
    pub fn parse(file: &'t str, text: &'t str) -> Result<Self, ManifestError> {
        let tree = Tree::parse(text)?;
        let mut sites = Vec::new();
        for document in &tree.documents {
            let is_object = tree.get(*document, "apiVersion").is_some() && tree.get(*document, "kind").is_some();
            match *document {
                one if kustomize::is_one(&tree, one, file) => kustomize::sites(&tree, one, &mut sites),
                one if is_object => kubernetes::sites(&tree, one, &mut sites),
                one if compose::is_one(&tree, one) => compose::sites(&tree, one, &mut sites),
                one => helm::sites(&tree, one, &mut sites),
            }
        }
        own_names(&tree, &mut sites);
        // What is found in several ways is one.
        let mut by_nodes: BTreeMap<(NodeId, Vec<NodeId>), Site> = BTreeMap::new();
        for site in sites {
            by_nodes.entry((site.node(), site.nodes())).or_insert(site);
        }
        Ok(Manifest { file, text, tree, sites: by_nodes.into_values().collect() })
    }

    /// The images that are named.
    pub fn mentions(&self) -> BTreeSet<Mention> {
        self.sites.iter().filter_map(|site| site.mention(&self.tree).ok()).collect()
    }

    /// Where an image is named first.
    pub fn position(&self, mention: &Mention) -> Option<Position> {
        let names = |site: &&Site| site.mention(&self.tree).is_ok_and(|named| named == *mention);
        self.sites.iter().find(names).map(|site| self.tree.position(site.node()))
    }

    /// The text with the digests of what is known.
    ///
    /// # Errors
    /// Where what came out would not read as what was meant; then nothing of it may be used.
    pub fn pinned(&self, pins: &Pins, tags: Tags) -> Result<Pinned, ManifestError> {
        let pinned = self.edited(pins, tags);
        if let Some(change) = pinned.changes.first() {
            // Read once more, it has nothing left to change: whatever the text was, nothing was broken.
            let again = Manifest::parse(self.file, &pinned.text)?;
            let lost = again.edited(pins, tags).changes.pop().map(|change| change.position);
            let is_whole = again.tree.documents.len() == self.tree.documents.len();
            if let Some(position) = lost.or((!is_whole).then_some(change.position)) {
                let what = "a digest cannot be written here without changing how the rest reads".to_owned();
                return Err(ManifestError { position, what });
            }
        }
        Ok(pinned)
    }

    fn edited(&self, pins: &Pins, tags: Tags) -> Pinned {
        let (mut edits, mut changes, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut all: Vec<_> = self.sites.iter().map(|site| site.pin(&self.tree, self.text, pins, tags)).collect();
        shared::leave(&self.tree, &self.sites, &mut all);
        for (site, pinned) in self.sites.iter().zip(all) {
            let (position, from) = (self.tree.position(site.node()), hide_in_name(&site.text(&self.tree)));
            match pinned {
                Ok(pinned) if pinned.is_as_it_was() => {}
                Ok(pinned) => {
                    edits.extend(pinned.set.into_iter().map(|(_, edit)| edit).chain(pinned.added));
                    changes.push(Change { position, from, to: pinned.to });
                }
                Err(Why::NoReference(what)) => {
                    left.push(Left { position, reference: from, why: Why::NoReference(hide_credentials(&what)) });
                }
                Err(why) => left.push(Left { position, reference: from, why }),
            }
        }
        Pinned { text: edit::apply(self.text, edits), changes, left }
    }
}

/// Values that name an image of the recipe, wherever they are.
fn own_names(tree: &Tree, sites: &mut Vec<Site>) {
    let known: BTreeSet<NodeId> = sites.iter().flat_map(Site::nodes).collect();
    let is_own = |node: &NodeId| matches!(tree.kind(*node), Kind::Scalar { value, .. } if value.starts_with(OWN));
    let own = tree.values().filter(|node| is_own(node) && !known.contains(node));
    sites.extend(own.map(Site::Reference).collect::<Vec<_>>());
}
