//! One table of settings as it is written, and how one lies over another (semantics 1).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::environment::EnvTemplate;
use super::image::Setting;
use super::layer::{CopyItem, FileRules, Layer};
use super::path::ImageSelection;
use super::template::Template;
use super::value::{OwnerSpec, Port};
use super::{At, Span};
use crate::compress::Encoding;
use crate::oci::{Family, Healthcheck, Platform};
use crate::tree::TreePath;

/// What `[project]`, `[defaults]`, an image or a variant says. Placeholders are still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    pub(super) from: Option<At<Template>>,
    pub(super) variants: Option<Vec<At<String>>>,
    pub(super) publish: Option<bool>,
    pub(super) users: Option<Vec<At<String>>>,
    pub(super) user: Option<At<OwnerSpec>>,
    pub(super) workdir: Option<At<TreePath>>,
    pub(super) ports: Setting<Vec<Port>>,
    pub(super) volumes: Setting<Vec<TreePath>>,
    pub(super) entrypoint: Setting<Vec<String>>,
    pub(super) cmd: Setting<Vec<String>>,
    pub(super) env: BTreeMap<String, At<Option<EnvTemplate>>>,
    pub(super) labels: BTreeMap<String, At<Option<Template>>>,
    pub(super) annotations: BTreeMap<String, At<Option<Template>>>,
    pub(super) healthcheck: Setting<At<Healthcheck>>,
    pub(super) shell: Setting<Vec<String>>,
    pub(super) stop_signal: Option<At<String>>,
    pub(super) rules: FileRules,
    pub(super) layers: Vec<LayerDraft>,
    pub(super) repository: Option<At<Template>>,
    pub(super) tags: Option<Vec<At<Template>>>,
    pub(super) platforms: Option<Vec<At<Platform>>>,
    pub(super) format: Option<At<Family>>,
    pub(super) encoding: Option<At<Encoding>>,
    pub(super) created: Option<At<Created>>,
}

/// `created` as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Created {
    Commit,
    Date(Timestamp),
}

/// A layer in which the names of other images are still open.
#[derive(Clone, Debug)]
pub(super) struct LayerDraft {
    pub(super) layer: Layer,
    pub(super) image: Option<ImageSourceDraft>,
}

/// `image` of a layer.
#[derive(Clone, Debug)]
pub(super) struct ImageSourceDraft {
    /// Its key.
    pub(super) span: Span,
    pub(super) items: Vec<ImageItemDraft>,
}

/// One item of it.
#[derive(Clone, Debug)]
pub(super) struct ImageItemDraft {
    pub(super) from: At<Template>,
    pub(super) copy: Vec<At<CopyItem<ImageSelection>>>,
}

impl Section {
    /// This section with another one over it: scalars and lists are replaced, tables merge by key, `exclude`, `modes` and
    /// layers go on.
    pub(super) fn under(mut self, over: &Section) -> Section {
        fn replace<T: Clone>(below: &mut Option<T>, over: &Option<T>) {
            if over.is_some() {
                below.clone_from(over);
            }
        }
        fn change<T: Clone>(below: &mut Setting<T>, over: &Setting<T>) {
            if !matches!(over, Setting::Inherit) {
                below.clone_from(over);
            }
        }
        fn merge<T: Clone>(below: &mut BTreeMap<String, T>, over: &BTreeMap<String, T>) {
            below.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        replace(&mut self.from, &over.from);
        replace(&mut self.variants, &over.variants);
        replace(&mut self.publish, &over.publish);
        replace(&mut self.users, &over.users);
        replace(&mut self.user, &over.user);
        replace(&mut self.workdir, &over.workdir);
        change(&mut self.ports, &over.ports);
        change(&mut self.volumes, &over.volumes);
        change(&mut self.entrypoint, &over.entrypoint);
        change(&mut self.cmd, &over.cmd);
        merge(&mut self.env, &over.env);
        merge(&mut self.labels, &over.labels);
        merge(&mut self.annotations, &over.annotations);
        change(&mut self.healthcheck, &over.healthcheck);
        change(&mut self.shell, &over.shell);
        replace(&mut self.stop_signal, &over.stop_signal);
        self.rules = over.rules.over(&self.rules);
        self.layers.extend(over.layers.iter().cloned());
        replace(&mut self.repository, &over.repository);
        replace(&mut self.tags, &over.tags);
        replace(&mut self.platforms, &over.platforms);
        replace(&mut self.format, &over.format);
        replace(&mut self.encoding, &over.encoding);
        replace(&mut self.created, &over.created);
        self
    }
}
