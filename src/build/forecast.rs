//! What a build would do: layers that are at hand are found, local trees get their keys, and nothing is made or fetched.

use std::collections::BTreeSet;

use super::image::{Growing, part_of, parts};
use super::layer_tree::{self, LayerTree, Making};
use super::{BuildError, Builder, Finished, Purpose};
use crate::image::ImageLayer;
use crate::layer::{self, Found, Traits};
use crate::lock::Lock;
use crate::oci::{Descriptor, Digest, Platform, Reference};
use crate::recipe::{self, Base, ImageName, Source};
use crate::shown::with_causes;
use crate::tar::tar_length;

/// What would become of an image for one platform.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// The image.
    pub name: ImageName,
    /// The platform.
    pub platform: Platform,
    /// Its layers on top of its base, lowest first.
    pub layers: Vec<LayerForecast>,
    /// The blobs of its layers that are there already, those of its base too.
    pub blobs: Vec<Descriptor>,
    /// Its manifest and its config, where every layer is at hand.
    pub finished: Option<(Descriptor, Descriptor)>,
}

/// What would become of a layer.
#[derive(Clone, Debug)]
pub struct LayerForecast {
    /// What people call it.
    pub title: String,
    /// What would be done.
    pub fate: Fate,
}

/// What would be done for a layer.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is taken as it is.
    Reused {
        /// Its blob.
        blob: Box<Descriptor>,
        /// The registry that alone has it; `None` where this machine does.
        from: Option<Reference>,
    },
    /// It is made of what is on this machine.
    Made {
        /// Bytes before compression.
        bytes: u64,
    },
    /// It is made of packages or downloads.
    Fetched {
        /// How many there are.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// How many of them are not on this machine.
        missing: usize,
        /// Their bytes.
        missing_bytes: u64,
    },
    /// It can be told when something else is there.
    Open {
        /// What.
        why: String,
    },
}

impl Builder<'_> {
    /// What [`Builder::build`] would do, and the lock that it would keep. No layer is made, and no package, wheel, download or
    /// layer of a base is fetched for it; what the lock does not pin is looked up.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn forecast(&self, wanted: &BTreeSet<ImageName>) -> Result<(Vec<Forecast>, Lock), BuildError> {
        let (_, lock, forecasts) = self.run(wanted, Purpose::Forecast)?;
        Ok((forecasts, lock))
    }
}

impl<'a> Growing<'a> {
    /// The image as far as it can be told.
    pub(super) fn forecast(mut self) -> Result<Finished, BuildError> {
        let mut whole = self.stands_on_whole();
        let mut layers = Vec::new();
        if let Some(accounts) = self.accounts()? {
            layers.extend(self.local(accounts)?);
        }
        for layer in &self.image.layers {
            let told = match self.foretell(layer) {
                // Over what is not there yet, anything may be missing.
                Err(error) if !whole => open(layer, with_causes(&error)),
                told => told?,
            };
            whole &= told.iter().all(LayerForecast::is_reused);
            layers.extend(told);
        }
        if whole {
            layers.extend(self.foretell_last()?);
        }
        self.told(layers)
    }

    /// The image where its base has to be read before anything can be told.
    pub(super) fn unread(self, why: &str) -> Result<Finished, BuildError> {
        let layers = self.image.layers.iter().flat_map(|layer| open(layer, format!("the base has to be read: {why}")));
        let layers = layers.collect();
        self.told(layers)
    }

    fn told(self, layers: Vec<LayerForecast>) -> Result<Finished, BuildError> {
        let whole = self.stands_on_whole() && layers.iter().all(LayerForecast::is_reused);
        let (name, platform, run) = (self.image.name.clone(), self.platform.clone(), self.run);
        let mut blobs: Vec<Descriptor> = Vec::new();
        for layer in self.open.stack.layers() {
            if !blobs.iter().any(|blob| blob.digest == layer.descriptor.digest) {
                blobs.push(layer.descriptor.clone());
            }
        }
        let done = self.finish()?;
        let documents = (done.image.manifest.descriptor().clone(), done.image.config.descriptor().clone());
        let finished = whole.then_some(documents);
        run.notes.borrow_mut().forecasts.push(Forecast { name, platform, layers, blobs, finished });
        Ok(done)
    }

    /// Whether every layer of the image of this recipe that it stands on is at hand.
    fn stands_on_whole(&self) -> bool {
        match &self.image.from.value {
            Base::Image(below) => self.is_whole(below),
            Base::Scratch | Base::Place(_) => true,
        }
    }

    fn is_whole(&self, name: &ImageName) -> bool {
        let forecasts = self.run.forecasts();
        let found = forecasts.iter().find(|told| told.name == *name && told.platform == *self.platform);
        found.is_none_or(|told| told.finished.is_some())
    }

    /// One layer of the recipe.
    fn foretell(&mut self, layer: &'a recipe::Layer) -> Result<Vec<LayerForecast>, BuildError> {
        let making = Making::new(self.builder, self.image, layer, &self.resolved, &self.open, self.platform, self.run);
        let planned = match self.open.chain {
            Some(below) => making.plan(self.form, below, &self.misses.clone().unwrap_or_default())?,
            None => None,
        };
        if let Some(planned) = &planned
            && let Some(found) = self.find(planned.key)
        {
            let created_by = making.created_by()?;
            let count = found.len();
            let told = found.iter().enumerate();
            let told = told.map(|(number, found)| self.reused(part_of(&layer.title(), number, count), found)).collect();
            self.push_found(found, planned, &layer.title(), &created_by)?;
            return Ok(told);
        }
        if let Some(why) = self.copies_from_elsewhere(layer) {
            self.open.chain = None;
            return Ok(open(layer, why));
        }
        if let Some(fate) = self.fetched(layer, &making)? {
            // The key of its one part is known; what it holds is not, but for what the lock says.
            let next = planned.filter(|_| layer.split <= 1).map(|planned| planned.key);
            self.open.chain = self.open.chain.zip(next).map(|(below, key)| below.then(key));
            let title = layer.title();
            if let Some((_, python)) = self.open.chain.and_then(|chain| self.pinned_view(&title, chain)) {
                self.open.python = super::KnownPython::of_line(&python);
            }
            return Ok(vec![LayerForecast { title, fate }]);
        }
        let tree = layer_tree::make(making)?;
        self.local(tree)
    }

    /// Why a layer that copies from other images cannot be told of yet.
    fn copies_from_elsewhere(&self, layer: &recipe::Layer) -> Option<String> {
        let items = layer.sources.iter().filter_map(|source| match &source.value {
            Source::Image(items) => Some(items),
            _ => None,
        });
        items.flatten().find_map(|item| match &item.value.from.value {
            Base::Image(name) if self.is_whole(name) => None,
            Base::Image(name) => Some(format!("it copies from {name}, which is not made yet")),
            Base::Scratch | Base::Place(_) => Some("it copies from another image, which has to be read".to_owned()),
        })
    }

    /// What a layer takes from mirrors, indexes and servers; nothing where it takes nothing, or has all of it.
    fn fetched(&self, layer: &recipe::Layer, making: &Making<'_>) -> Result<Option<Fate>, BuildError> {
        let (lock, platform, name) = (self.run.pins.now(), self.platform.to_string(), making.name_in_lock());
        let mut files: Vec<(Digest, u64)> = Vec::new();
        let mut packages = false;
        for source in &layer.sources {
            match &source.value {
                Source::Debian(_) => {
                    let pins =
                        lock.debian.iter().filter(|pins| pins.platform == platform && pins.layers.contains(&name));
                    files.extend(pins.flat_map(|pins| &pins.packages).map(|pin| (pin.sha256, pin.size)));
                    packages = true;
                }
                Source::Python(_) => {
                    let pins =
                        lock.python.iter().filter(|pins| pins.platform == platform && pins.layers.contains(&name));
                    files.extend(pins.flat_map(|pins| &pins.wheels).map(|pin| (pin.sha256, pin.size)));
                    packages = true;
                }
                Source::Fetch(items) => {
                    for item in items {
                        let url = making.arch(&item.value.url.value, item.value.url.span)?;
                        let file = item.value.file_name(&url);
                        let pin = lock.fetch.iter().find(|pin| pin.name == file && pin.platform == platform);
                        // What no lock has yet is not known by its length.
                        files.push(
                            pin.map_or((Digest::of(url.to_string().as_bytes()), 0), |pin| (pin.sha256, pin.size)),
                        );
                    }
                }
                _ => {}
            }
        }
        let total = |files: &[&(Digest, u64)]| files.iter().map(|(_, size)| size).sum::<u64>();
        let all: Vec<&(Digest, u64)> = files.iter().collect();
        let missing: Vec<&(Digest, u64)> =
            files.iter().filter(|(digest, _)| self.builder.store.length(digest).is_none()).collect();
        let fate = Fate::Fetched {
            files: all.len(),
            bytes: total(&all),
            missing: missing.len(),
            missing_bytes: total(&missing),
        };
        Ok((packages || !missing.is_empty()).then_some(fate))
    }

    /// A tree that is there: found by its key, or to be made.
    fn local(&mut self, mut tree: LayerTree) -> Result<Vec<LayerForecast>, BuildError> {
        let below = self.open.stack.rootfs();
        tree.tree.repeat_parents(below).map_err(|error| self.builder.at(tree.span, error))?;
        self.heed(Traits::of(&tree.tree, tree.newest, &[]), None);
        if tree.tree.is_empty() {
            return Ok(Vec::new());
        }
        let parts = parts(tree.tree, tree.split);
        let count = parts.len();
        let mut told = Vec::new();
        for (number, part) in parts.into_iter().enumerate() {
            let (title, created_by) = (part_of(&tree.title, number, count), part_of(&tree.created_by, number, count));
            let means = self.builder.means(self.run);
            let key = layer::key_of(&part, self.form, self.platform.elf_machine(), &means).map_err(|source| {
                BuildError::Layer { image: self.image.name.to_string(), layer: title.clone(), source: Box::new(source) }
            })?;
            self.open.chain = self.open.chain.map(|below| below.then(key));
            let stored = layer::recall(self.builder.store, key, self.form).map(|layer| self.builder.stored(layer));
            match stored.or_else(|| self.builder.elsewhere.find(key, self.form)).filter(|_| self.takes_layers()) {
                Some(found) => {
                    told.push(self.reused(title.clone(), &found));
                    let Found { layer, .. } = &found;
                    let (descriptor, diff_id) = (layer.descriptor.clone(), layer.diff_id);
                    self.open.stack.push(found.stacked(), part);
                    self.push_image_layer(ImageLayer { descriptor, diff_id, created_by }, title, found.layer);
                }
                None => {
                    told.push(LayerForecast { title, fate: Fate::Made { bytes: tar_length(&part) } });
                    self.open.stack.look(&part);
                }
            }
        }
        Ok(told)
    }

    /// A layer that is taken as it is.
    pub(super) fn reused(&self, title: String, found: &Found) -> LayerForecast {
        let blob = Box::new(found.layer.descriptor.clone());
        let from = match self.builder.store.contains(&blob) {
            true => None,
            false => found.bytes.comes_from(&blob),
        };
        LayerForecast { title, fate: Fate::Reused { blob, from } }
    }
}

impl LayerForecast {
    /// Whether the layer is taken as it is.
    pub fn is_reused(&self) -> bool {
        matches!(self.fate, Fate::Reused { .. })
    }
}

fn open(layer: &recipe::Layer, why: String) -> Vec<LayerForecast> {
    vec![LayerForecast { title: layer.title(), fate: Fate::Open { why } }]
}
