//! A place of a document that names an image, and the edits that pin it.

use super::document::{NodeId, Tree};
use super::edit::{self, Edit};
use super::{Mention, OWN, Pin, Pins, Tags, Why, kustomize};

/// A place of a document that names an image. Its nodes are scalars, or aliases of scalars.
pub(super) enum Site {
    /// One scalar that is a reference.
    Reference(NodeId),
    /// Values of Helm: a scalar for each part.
    Parts { registry: Option<NodeId>, repository: NodeId, tag: Option<NodeId>, digest: Option<NodeId> },
    /// An entry of a kustomization's images.
    Entry { entry: NodeId, name: NodeId, new_name: Option<NodeId>, tag: Option<NodeId>, digest: Option<NodeId> },
}

/// What pins a place, and what it says then.
pub(super) struct PinnedSite {
    /// Scalars, or aliases of scalars, that get another value.
    pub(super) set: Vec<(NodeId, Edit)>,
    /// What is put where nothing is.
    pub(super) added: Option<Edit>,
    /// What it says then.
    pub(super) to: String,
}

impl PinnedSite {
    /// Whether it says that already.
    pub(super) fn is_as_it_was(&self) -> bool {
        self.set.is_empty() && self.added.is_none()
    }
}

impl Site {
    /// The scalar that stands for it in messages.
    pub(super) fn node(&self) -> NodeId {
        match self {
            Site::Reference(node) => *node,
            Site::Parts { repository, .. } => *repository,
            Site::Entry { name, new_name, .. } => new_name.unwrap_or(*name),
        }
    }

    /// All scalars that it is about.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        match self {
            Site::Reference(node) => vec![*node],
            Site::Parts { registry, repository, tag, digest } => {
                [*registry, Some(*repository), *tag, *digest].into_iter().flatten().collect()
            }
            Site::Entry { name, new_name, tag, digest, .. } => {
                [Some(*name), *new_name, *tag, *digest].into_iter().flatten().collect()
            }
        }
    }

    /// The reference that it comes to, as text.
    pub(super) fn text(&self, tree: &Tree) -> String {
        let value = |node: &Option<NodeId>| node.and_then(|node| tree.scalar(node)).unwrap_or_default().to_owned();
        let joined = |name: String, tag: String, digest: String| {
            let mut text = name;
            if !tag.is_empty() {
                text = format!("{text}:{tag}");
            }
            // The digest of its own key counts.
            if !digest.is_empty() {
                // What is in front of another `@` is a password.
                let is_digest = |behind: &str| behind.is_empty() || behind.starts_with("sha");
                let name =
                    text.rsplit_once('@').filter(|(_, behind)| is_digest(behind)).map_or(&*text, |(name, _)| name);
                text = format!("{name}@{digest}");
            }
            text
        };
        match self {
            Site::Reference(node) => value(&Some(*node)),
            Site::Parts { registry, repository, tag, digest } => {
                let (registry, repository) = (value(registry), value(&Some(*repository)));
                let name = match registry.is_empty() || repository.starts_with(OWN) {
                    true => repository,
                    false => format!("{registry}/{repository}"),
                };
                joined(name, value(tag), value(digest))
            }
            Site::Entry { name, new_name, tag, digest, .. } => {
                joined(value(&Some(new_name.unwrap_or(*name))), value(tag), value(digest))
            }
        }
    }

    /// The image that it names.
    ///
    /// # Errors
    /// [`Why`] it names none that could be pinned.
    pub(super) fn mention(&self, tree: &Tree) -> Result<Mention, Why> {
        // Keys beside the name say nothing of an image that goes by its name in the recipe.
        let name = tree.scalar(self.node()).unwrap_or_default();
        match (self, name.starts_with(OWN)) {
            (Site::Reference(_), _) | (_, false) => Mention::parse(&self.text(tree)),
            (_, true) => Mention::parse(name),
        }
    }

    /// What pins it.
    ///
    /// # Errors
    /// [`Why`] it is left as it is.
    pub(super) fn pin(&self, tree: &Tree, text: &str, pins: &Pins, tags: Tags) -> Result<PinnedSite, Why> {
        let mention = self.mention(tree)?;
        let pin = pins.find(&mention)?;
        let digest = pin.digest.to_string();
        let other_tag = |old: &str, wanted: bool| other_tag(pin, &mention, old, wanted);
        let own = match (&mention, &pin.repository) {
            (Mention::Own(_), Some(repository)) => Some(repository),
            _ => None,
        };
        let value = |node: &Option<NodeId>| node.and_then(|node| tree.scalar(node)).unwrap_or_default();
        let (mut edits, mut added) = (Vec::new(), None);
        let mut set = |node: NodeId, value: &str| -> Result<(), Why> {
            edits.extend(edit::set(tree, node, value)?.map(|edit| (node, edit)));
            Ok(())
        };
        let to = match self {
            Site::Reference(node) => {
                let old = match &mention {
                    Mention::Own(_) => "",
                    Mention::Reference(reference) => reference.tag().unwrap_or_default(),
                };
                let tag = other_tag(old, own.is_some()).filter(|_| tags == Tags::Kept);
                let new = self.with(tree, own.map(|own| own.name()), tag, tags, &digest);
                set(*node, &new)?;
                new
            }
            Site::Parts { registry, repository, tag, digest: place } => {
                match (own, registry) {
                    (Some(own), Some(registry)) => {
                        set(*registry, own.registry())?;
                        set(*repository, own.repository())?;
                    }
                    (Some(own), None) => set(*repository, &own.name())?,
                    (None, _) => {}
                }
                let old = value(tag).split('@').next().unwrap_or_default();
                let other = other_tag(old, own.is_some() || place.is_none()).filter(|_| tag.is_some());
                match (place, tag) {
                    (Some(place), tag) => {
                        set(*place, &digest)?;
                        if let (Some(tag), Some(other)) = (tag, other) {
                            set(*tag, other)?;
                        }
                    }
                    (None, Some(_)) if old.is_empty() && other.is_none() => return Err(Why::NoPlace),
                    (None, Some(tag)) => set(*tag, &format!("{}@{digest}", other.unwrap_or(old)))?,
                    (None, None) => return Err(Why::NoPlace),
                }
                self.with(tree, own.map(|own| own.name()), other, Tags::Kept, &digest)
            }
            Site::Entry { entry, new_name, tag, digest: place, .. } => {
                match (own, new_name) {
                    (Some(own), Some(new_name)) => set(*new_name, &own.name())?,
                    (Some(_), None) => return Err(Why::NoPlace),
                    (None, _) => {}
                }
                let other = other_tag(value(tag), own.is_some()).filter(|_| tag.is_some());
                if let (Some(tag), Some(other)) = (tag, other) {
                    set(*tag, other)?;
                }
                match place {
                    Some(place) => set(*place, &digest)?,
                    None => added = Some(kustomize::add_digest(tree, text, *entry, &digest)?),
                }
                self.with(tree, own.map(|own| own.name()), other, Tags::Kept, &digest)
            }
        };
        Ok(PinnedSite { set: edits, added, to })
    }

    /// What it comes to with that digest, and with another tag where one is said.
    fn with(&self, tree: &Tree, own: Option<String>, tag: Option<&str>, tags: Tags, digest: &str) -> String {
        let tags = if tag.is_some() { Tags::Dropped } else { tags };
        let name = own.unwrap_or_else(|| without_digest(&self.text(tree), tags).to_owned());
        match tag {
            Some(tag) => format!("{name}:{tag}@{digest}"),
            None => format!("{name}@{digest}"),
        }
    }
}

/// The tag to write in place of the old one, which is not the image's, or is not there and `wanted`. Beside the right digest
/// any tag stays: where all tags are of the commit, writing today's would make a commit of which that is wrong again.
fn other_tag<'p>(pin: &'p Pin, mention: &Mention, old: &str, wanted: bool) -> Option<&'p str> {
    let is_right = matches!(mention, Mention::Reference(reference) if reference.digest() == Some(pin.digest));
    let stays = match old {
        "" => !wanted,
        _ if is_right => true,
        old => pin.tags.as_ref().is_none_or(|tags| tags.contains(old)),
    };
    pin.first_tag().filter(|_| !stays)
}

/// A reference without its digest, and without its tag where that is dropped; as it was written otherwise.
fn without_digest(reference: &str, tags: Tags) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let tag = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
    match (tags, tag) {
        (Tags::Dropped, Some(colon)) => &name[..colon],
        _ => name,
    }
}
