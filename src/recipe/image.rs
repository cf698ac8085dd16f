//! An image in one of its variants, everything merged (semantics 1).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::base::{Base, ImageName};
use super::environment::Environment;
use super::layer::{FileRules, Layer};
use super::path::PerArch;
use super::value::{OwnerSpec, Port};
use super::{At, Span};
use crate::compress::Encoding;
use crate::oci::{Family, Healthcheck, Platform, Reference};
use crate::tree::TreePath;

/// What a recipe says about one setting of the base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// Nothing: the base's holds.
    #[default]
    Inherit,
    /// The base's is taken away.
    Clear,
    /// This holds.
    Set(T),
}

impl<T> Setting<T> {
    /// The same of another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Setting::Inherit => Setting::Inherit,
            Setting::Clear => Setting::Clear,
            Setting::Set(value) => Setting::Set(change(value)),
        }
    }

    /// The value, where one is set.
    pub fn value(&self) -> Option<&T> {
        match self {
            Setting::Set(value) => Some(value),
            Setting::Inherit | Setting::Clear => None,
        }
    }
}

/// Labels or annotations, by key: what is set, and what is taken away (`None`).
pub type Labels = BTreeMap<String, At<Option<PerArch<String>>>>;

/// An image in one of its variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its name, with its variant.
    pub name: ImageName,
    /// Its header.
    pub span: Span,
    /// What it stands on. An image of this recipe comes earlier in [`super::Recipe::images`].
    pub from: At<Base>,
    /// Whether it is written and pushed.
    pub publish: bool,
    /// Users of the recipe that get entries; each is in [`super::Recipe::users`].
    pub users: Vec<At<String>>,
    /// Who the process runs as.
    pub user: Option<At<OwnerSpec>>,
    /// Where the process starts.
    pub workdir: Option<At<TreePath>>,
    /// Ports, added to the base's as `EXPOSE` does.
    pub ports: Setting<Vec<Port>>,
    /// Volumes, added to the base's as `VOLUME` does.
    pub volumes: Setting<Vec<TreePath>>,
    /// What is executed.
    pub entrypoint: Setting<Vec<String>>,
    /// Arguments. Where this is [`Setting::Inherit`] and the entrypoint is not, the base's is taken away, as in Docker.
    pub cmd: Setting<Vec<String>>,
    /// Environment.
    pub env: Environment,
    /// Labels of the config.
    pub labels: Labels,
    /// Annotations of the manifest.
    pub annotations: Labels,
    /// Health check, and where it is written.
    pub healthcheck: Setting<At<Healthcheck>>,
    /// Docker's shell.
    pub shell: Setting<Vec<String>>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<At<String>>,
    /// How files land, in all layers.
    pub rules: FileRules,
    /// What is put on top of the base, lowest first.
    pub layers: Vec<Layer>,
    /// Where it is published: no tag, no digest. Only known of images that are published.
    pub repository: Option<At<Reference>>,
    /// Its tags, each once. Empty where it is not published, or by digest alone.
    pub tags: Vec<At<String>>,
    /// What images that stand on it say they stand on: its repository, with the first tag in which nothing is of the commit
    /// or the environment, so that they stay what they are when only the tags move. No tag where all are.
    pub called: Option<Reference>,
    /// What it is built for; where nothing is said, what the base in this recipe is built for.
    pub platforms: Option<Vec<At<Platform>>>,
    /// Whose media types are written.
    pub format: Family,
    /// How layers are compressed.
    pub encoding: Encoding,
    /// When it was made, where the recipe says.
    pub created: Option<At<Timestamp>>,
}

impl Image {
    /// The rules for `copy`, `files`, `dirs` and `symlinks` of a layer; other sources follow [`Layer::rules`] alone
    /// (semantics 9).
    pub fn rules_of(&self, layer: &Layer) -> FileRules {
        layer.rules.over(&self.rules)
    }

    /// The full references it is published under; none where it has no repository.
    pub fn references(&self) -> Vec<At<Reference>> {
        let Some(repository) = &self.repository else { return Vec::new() };
        let full =
            |tag: &At<String>| repository.value.with_tag(&tag.value).ok().map(|reference| At::new(reference, tag.span));
        self.tags.iter().filter_map(full).collect()
    }

    /// The images of the recipe that must be there before it: its base, and those that it copies from.
    pub fn needs(&self) -> Vec<&ImageName> {
        let sources = self.layers.iter().flat_map(|layer| &layer.sources).filter_map(|source| match &source.value {
            super::layer::Source::Image(items) => Some(items),
            _ => None,
        });
        let others = sources.flatten().map(|item| &item.value.from.value);
        std::iter::once(&self.from.value)
            .chain(others)
            .filter_map(|from| match from {
                Base::Image(name) => Some(name),
                Base::Scratch | Base::Place(_) => None,
            })
            .collect()
    }
}
