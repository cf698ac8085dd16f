//! One image for one platform: its layers, one after the other, each found or made.

use jiff::Timestamp;

use super::base::KnownPython;
use super::layer_tree::{self, LayerTree, Making};
use super::outside::Opened;
use super::plan::{Packages, Planned};
use super::settings::{self, Resolved};
use super::starts;
use super::{BuildError, Builder, Finished, Made, OpenBase, Purpose, Run, View};
use crate::base::{Knowledge, StackLayer};
use crate::image::{self, Image, ImageLayer};
use crate::layer::{self, Chain, Found, Layer, LayerForm, LayerKey, Means, Reuse, Traits};
use crate::lock::ViewPin;
use crate::oci::{ContainerConfig, Platform};
use crate::recipe::{self, At, Source};
use crate::report::Balance;
use crate::tree::{FileTree, Misses};

/// One image for one platform. Layers below that were not made just now are not looked into, as far as the lock knows what
/// the ones above ask of them. Where more is asked, they are read, and the image begun again.
pub(super) fn build(
    builder: &Builder<'_>,
    image: &recipe::Image,
    platform: &Platform,
    run: &Run,
) -> Result<Finished, BuildError> {
    let Opened { mut open, made } = builder.open(&image.from, platform, run)?;
    let misses = open.stack.misses();
    if misses.first().is_none() {
        let before = (run.pins.now(), run.notes.borrow().clone());
        let growing = Growing::new(builder, image, platform, run, open.clone(), made.clone(), Some(misses.clone()));
        let done = growing.and_then(Growing::end);
        let Some(missed) = misses.first() else { return done };
        // Nothing of that attempt is to be believed.
        run.pins.restore(before.0);
        run.notes.replace(before.1);
        if !run.is_at_hand(&open.stack, builder.store) {
            builder.reporter.note(format!("{}: the base is read: {missed}", image.name));
        }
    }
    if run.purpose == Purpose::Forecast && !run.is_at_hand(&open.stack, builder.store) {
        let why = misses.first().map(ToString::to_string).unwrap_or_default();
        return Growing::new(builder, image, platform, run, open, made, None)?.unread(&why);
    }
    open.stack.read_base(builder.store, &builder.reporter).map_err(|source| {
        let at = builder.recipe.sources().position(image.from.span);
        BuildError::Outside { at, what: "reading the base".to_owned(), remote: true, source: source.into() }
    })?;
    Growing::new(builder, image, platform, run, open, made, None)?.end()
}

/// An image on its opened base, as far as it is.
pub(super) struct Growing<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) image: &'a recipe::Image,
    pub(super) platform: &'a Platform,
    pub(super) run: &'a Run,
    pub(super) form: LayerForm,
    pub(super) resolved: Resolved,
    pub(super) open: OpenBase,
    made: Made,
    /// How many of those came with what it stands on.
    below: usize,
    layers: Vec<ImageLayer>,
    newest: Option<Timestamp>,
    /// Where it is said what layers that are not looked into would have to tell; `None` where all are looked into.
    pub(super) misses: Option<Misses>,
}

impl<'a> Growing<'a> {
    /// The image as it begins: its base, which has these layers of this recipe already.
    fn new(
        builder: &'a Builder<'a>,
        image: &'a recipe::Image,
        platform: &'a Platform,
        run: &'a Run,
        open: OpenBase,
        made: Made,
        misses: Option<Misses>,
    ) -> Result<Self, BuildError> {
        let resolved = settings::resolve(builder, image, &open, platform)?;
        Ok(Growing {
            builder,
            image,
            platform,
            run,
            form: LayerForm { encoding: image.encoding, family: image.format },
            resolved,
            newest: open.image.config.created.as_deref().and_then(|created| created.parse().ok()),
            open,
            below: made.len(),
            made,
            layers: Vec::new(),
            misses,
        })
    }

    /// Made, or only told of.
    fn end(self) -> Result<Finished, BuildError> {
        match self.run.purpose {
            Purpose::Forecast => self.forecast(),
            Purpose::Images | Purpose::Lock => self.grow(),
        }
    }

    /// The layer of its users and its workdir, where it has some.
    pub(super) fn accounts(&self) -> Result<Option<LayerTree>, BuildError> {
        settings::accounts_layer(self.image, &self.resolved, &self.open)
    }

    fn grow(mut self) -> Result<Finished, BuildError> {
        if self.run.purpose == Purpose::Images {
            for warning in &self.resolved.warnings {
                self.builder.reporter.warn(warning);
            }
        }
        if let Some(accounts) = self.accounts()? {
            self.push_tree(accounts, None)?;
        }
        for layer in &self.image.layers {
            if self.run.failed.is_before(self.run.number) {
                return Err(BuildError::Stopped);
            }
            self.layer(layer)?;
            self.open.wheels |= layer.has_python();
        }
        self.last_layer()?;
        self.check()?;
        self.finish()
    }

    /// One layer of the recipe: found by what it comes from, or made.
    fn layer(&mut self, layer: &'a recipe::Layer) -> Result<(), BuildError> {
        let is_debian = |source: &At<Source>| matches!(source.value, Source::Debian(_));
        let mut making =
            Making::new(self.builder, self.image, layer, &self.resolved, &self.open, self.platform, self.run);
        // While locking, only what has a view is told apart from what is not.
        let plans = self.run.purpose == Purpose::Images || layer.sources.iter().all(is_debian);
        let planned = match self.open.chain.filter(|_| plans) {
            Some(below) => making.plan(self.form, below, &self.misses.clone().unwrap_or_default())?,
            None => None,
        };
        // What is learned for the lock does not depend on what a cache has: nothing is found over what is learned of.
        let is_new = |planned: &&Planned| matches!(planned.packages, Packages::Debian { new: true, .. });
        let learns = self.open.stack.is_watched() || planned.as_ref().is_some_and(|planned| is_new(&planned));
        let found = planned.as_ref().filter(|_| !learns).and_then(|planned| self.find(planned.key));
        if let (Some(planned), Some(found), false) = (&planned, &found, self.builder.verify) {
            let created_by = making.created_by()?;
            return self.push_found(found.clone(), planned, &layer.title(), &created_by);
        }
        let seal = planned.as_ref().and_then(|planned| match &planned.packages {
            Packages::Debian { seal, .. } => Some(seal.clone()),
            _ => None,
        });
        making.planned = seal;
        let tree = layer_tree::make(making)?;
        let is_whole = self.run.purpose == Purpose::Images || !layer.has_python();
        let before = self.made.len();
        self.push_tree(tree, planned)?;
        for (found, (title, made)) in found.iter().flatten().zip(self.made.iter().skip(before)) {
            self.builder.compare(self.image, title, &found.layer, made)?;
            self.run.notes.borrow_mut().compared += 1;
        }
        if !is_whole {
            // Wheels are not laid out while locking: what is above them is told from what it turns out to be.
            self.open.chain = None;
        }
        Ok(())
    }

    /// A layer of packages that was made before, by this machine or by somebody who pushed it: its parts, one where it is not
    /// split.
    pub(super) fn find(&self, key: LayerKey) -> Option<Vec<Found>> {
        if !self.takes_layers() {
            return None;
        }
        let find = |key| match layer::recall_plan(self.builder.store, key, self.form) {
            Some(layer) => Some(self.builder.stored(layer)),
            None => self.builder.elsewhere.find(key, self.form),
        };
        let first = find(key)?;
        let further = 1..first.layer.traits.parts.unwrap_or(1).min(MAX_PARTS) as usize;
        let further = further.map(|number| find(key.part(number))).collect::<Option<Vec<_>>>()?;
        Some(std::iter::once(first).chain(further).collect())
    }

    /// Puts a layer on top that was found by what it comes from.
    pub(super) fn push_found(
        &mut self,
        found: Vec<Found>,
        planned: &Planned,
        title: &str,
        created_by: &str,
    ) -> Result<(), BuildError> {
        let Some(first) = found.first() else { return Ok(()) };
        let traits = first.layer.traits;
        self.heed(traits, Some(planned));
        let count = found.len();
        for (number, Found { layer, .. }) in found.iter().enumerate() {
            let of = |text: &str| part_of(text, number, count);
            self.layers.push(ImageLayer {
                descriptor: layer.descriptor.clone(),
                diff_id: layer.diff_id,
                created_by: of(created_by),
            });
            self.made.push((of(title), layer.clone()));
            self.open.chain = self.open.chain.map(|below| below.then(layer.key));
        }
        self.look_at(found.iter().map(Found::stacked).collect(), planned, traits, title)
    }

    /// Whether layers may be taken that are there.
    pub(super) fn takes_layers(&self) -> bool {
        self.run.reuse != Reuse::Never && self.run.purpose != Purpose::Lock
    }

    /// Notes a layer that is on top of the view already.
    pub(super) fn push_image_layer(&mut self, layer: ImageLayer, title: String, made: Layer) {
        self.layers.push(layer);
        self.made.push((title, made));
    }

    /// What the lock knows of a layer of Debian packages and of all below it, and of their Python. It stays in the lock.
    pub(super) fn pinned_view(&self, title: &str, chain: Chain) -> Option<(Knowledge, String)> {
        if self.builder.reads_bases {
            return None;
        }
        self.run.pins.view(&format!("{}/{title}", self.image.name), &self.platform.to_string(), chain.digest())
    }

    /// Puts found layers into the view: by what the lock knows of them, or as something that is not looked into, or by their
    /// listings.
    fn look_at(
        &mut self,
        stacked: Vec<StackLayer>,
        planned: &Planned,
        traits: Traits,
        title: &str,
    ) -> Result<(), BuildError> {
        let mut left = Some(stacked);
        if let (Some(misses), Some(chain)) = (&self.misses, self.open.chain) {
            let view = planned.packages.is_debian().then(|| self.pinned_view(title, chain));
            let directories = planned.packages.directories();
            if let Some((knowledge, python)) = view.flatten()
                && let Some(stacked) = left.take()
            {
                self.open.stack.push_known(stacked, &knowledge, misses);
                self.open.python = KnownPython::of_line(&python);
            } else if !directories.is_empty() && !traits.elsewhere {
                left = left.and_then(|stacked| self.open.stack.push_hidden(stacked, directories));
            }
            let is_at_hand = |layer: &StackLayer| layer.is_at_hand(self.builder.store);
            if planned.packages.is_debian()
                && !self.builder.reads_bases
                && left.as_ref().is_some_and(|stacked| !stacked.iter().all(is_at_hand))
            {
                let what = match self.open.wheels {
                    true => {
                        "no lock knows what it looks like above a layer of wheels: put it before that to avoid this"
                    }
                    false => "the lock does not know what it looks like: lock again to avoid this",
                };
                self.builder.reporter.note(format!("{}: the layer `{title}` is read: {what}", self.image.name));
            }
        }
        let Some(stacked) = left else { return Ok(()) };
        self.open.stack.push_base(stacked, self.builder.store, &self.builder.reporter).map_err(|source| {
            self.builder.caused(self.image.span, "reading a layer that was made before".to_owned(), source)
        })
    }

    /// Puts a tree on top: made into a layer or several, unless this only locks.
    pub(super) fn push_tree(&mut self, mut tree: LayerTree, planned: Option<Planned>) -> Result<(), BuildError> {
        let below = self.open.stack.rootfs();
        tree.tree.repeat_parents(below).map_err(|error| self.builder.at(tree.span, error))?;
        let own = planned.as_ref().map(|planned| planned.packages.directories()).unwrap_or_default();
        let traits = Traits::of(&tree.tree, tree.newest, own);
        self.heed(traits, planned.as_ref());
        match self.run.purpose {
            // What is only told of is no business of this.
            Purpose::Lock | Purpose::Forecast => {
                self.open.stack.look(&tree.tree);
                self.open.chain = self.chain_of(tree.tree, tree.split, planned.as_ref());
            }
            Purpose::Images if tree.tree.is_empty() => {
                let (image, title) = (&self.image.name, &tree.title);
                self.builder.reporter.warn(format!("{image}: the layer `{title}` holds nothing, and is left out"));
                return Ok(());
            }
            Purpose::Images => {
                let parts = parts(tree.tree, tree.split);
                let count = parts.len();
                for (number, part) in parts.into_iter().enumerate() {
                    let of = |text: &str| part_of(text, number, count);
                    let told = match (number, count) {
                        (0, 1) => traits,
                        (0, _) => Traits { parts: u32::try_from(count).ok(), ..traits },
                        _ => Traits::default(),
                    };
                    let key = planned.as_ref().map(|planned| planned.key.part(number));
                    self.push_part(part, of(&tree.title), of(&tree.created_by), key.map(|key| (key, told)))?;
                }
            }
        }
        if let Some(Planned { packages: Packages::Debian { new, .. }, .. }) = planned {
            if self.run.purpose == Purpose::Lock || new {
                self.watch(&tree.title);
            } else if let Some(chain) = self.open.chain {
                // What the lock knows of it stays there; its Python is known as well as if the layer had been found.
                if let Some((_, python)) = self.pinned_view(&tree.title, chain) {
                    self.open.python = KnownPython::of_line(&python);
                }
            }
        }
        Ok(())
    }

    /// Makes one layer of a tree, or finds it by what is in it. One of packages is found by its plan from now on.
    fn push_part(
        &mut self,
        tree: FileTree,
        title: String,
        created_by: String,
        plan: Option<(LayerKey, Traits)>,
    ) -> Result<(), BuildError> {
        let Found { mut layer, bytes } =
            self.builder.layer(self.image, self.form, &title, &tree, self.platform, self.run)?;
        if let Some((key, traits)) = plan {
            layer = layer.of_plan(key, traits);
            self.run.notes.borrow_mut().planned.push(layer.clone());
        }
        let found = Found { layer: layer.clone(), bytes };
        if !layer.reused {
            self.builder.ready.layer(&self.image.name.to_string(), &layer.descriptor);
        }
        self.open.chain = self.open.chain.map(|below| below.then(layer.key));
        self.open.stack.push(found.stacked(), tree);
        self.layers.push(ImageLayer { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id, created_by });
        self.made.push((title, layer));
        Ok(())
    }

    /// From now on it is watched what is asked of the layers that are there, so that the lock will know it.
    fn watch(&mut self, title: &str) {
        let Some(of) = self.open.chain else { return };
        if self.builder.recipe.images.iter().flat_map(|image| &image.layers).any(recipe::Layer::needs_python) {
            let stated = self.open.stated_python();
            self.open.python = KnownPython::of(super::base::find_python(&self.open.stack, self.builder.store, stated));
        }
        let python = self.open.python.line();
        self.open.stack.watch();
        let pin = ViewPin {
            layer: format!("{}/{title}", self.image.name),
            platform: self.platform.to_string(),
            knowledge: Vec::new(),
            texts: Default::default(),
            files: Default::default(),
            python,
        };
        let (stack, foreign) = (self.open.stack.clone(), self.open.foreign);
        self.run.notes.borrow_mut().views.push(View { pin, of, stack, foreign });
    }

    /// What the layers are with one more that is not written; `None` where that would take too much.
    fn chain_of(&self, tree: FileTree, split: usize, planned: Option<&Planned>) -> Option<Chain> {
        let below = self.open.chain?;
        if tree.is_empty() {
            return Some(below);
        }
        if planned.is_none() && !self.builder.has_debian_above(self.image) {
            return None;
        }
        let means = self.builder.means(self.run);
        parts(tree, split).iter().enumerate().try_fold(below, |below, (number, part)| {
            let key = match planned {
                Some(planned) => planned.key.part(number),
                None => layer::key_of(part, self.form, None, &means).ok()?,
            };
            Some(below.then(key))
        })
    }

    /// Takes note of what a layer means for what comes after it.
    pub(super) fn heed(&mut self, traits: Traits, planned: Option<&Planned>) {
        let newest = traits.newest.and_then(|seconds| Timestamp::from_second(seconds).ok());
        self.newest = self.newest.max(newest);
        self.open.deletes |= traits.deletes;
        self.open.libraries |= traits.libraries | traits.deletes;
        if traits.python {
            self.open.python = KnownPython::Unknown;
        }
        if planned.is_some_and(|planned| planned.packages.is_debian()) {
            // It writes the loader's cache over all that is there.
            self.open.libraries = false;
        }
    }

    pub(super) fn finish(mut self) -> Result<Finished, BuildError> {
        let Growing { builder, image, platform, .. } = self;
        let created = builder.created(image, self.newest);
        self.resolved.labels_on_top(&builder.labels);
        let mut annotations = self.resolved.annotations.clone();
        annotations.extend(builder.annotations.clone());
        let assembled = image::assemble(
            &self.open.image,
            &self.resolved.settings,
            &self.layers,
            &annotations,
            &created,
            image.format,
            platform,
        )
        .map_err(|source| builder.at(image.from.span, source))?;
        if let Some(warning) = settings::login_shell_warning(&image.name, &assembled.config.config)
            && self.run.purpose == Purpose::Images
        {
            builder.reporter.warn(warning);
        }
        if self.run.purpose == Purpose::Images && self.run.wanted.contains(&image.name) {
            self.warn_of_what_does_not_start(&assembled.config.config);
        }
        let balance = self.balance(&assembled);
        let name = image.called.as_ref().map(ToString::to_string);
        let open = OpenBase { image: assembled.as_base(name), documents: None, ..self.open };
        Ok(Finished { open, layers: self.made, image: assembled, balance })
    }

    /// Where too little is known of a base, nothing is said, and nothing read.
    fn warn_of_what_does_not_start(&self, config: &ContainerConfig) {
        if config.entrypoint.iter().chain(&config.cmd).all(Vec::is_empty) {
            return;
        }
        let stack = &self.open.stack;
        let apart = (!stack.rootfs().is_whole()).then(|| stack.with_own_misses());
        let view = apart.as_ref().unwrap_or(stack);
        let missing = starts::missing(config, view.rootfs());
        for what in missing.iter().filter(|_| view.missed().is_none()) {
            self.builder.reporter.warn(format!("{} for {}: {what}", self.image.name, self.platform));
        }
    }

    /// What the image holds, and where its layers came from.
    fn balance(&self, image: &Image) -> Balance {
        let layers = &image.manifest.layers;
        let documents = image.manifest.descriptor().size + image.config.descriptor().size;
        let mut balance = Balance { compared: self.run.notes.borrow().compared, ..Balance::default() };
        let own: Vec<&Layer> = self.made.iter().skip(self.below).map(|(_, layer)| layer).collect();
        layers.iter().take(layers.len().saturating_sub(own.len())).for_each(|layer| balance.base.add(layer.size));
        let stacked = self.open.stack.layers();
        for layer in own {
            let blob = &layer.descriptor;
            let is_remote = || {
                let layer = stacked.iter().rev().find(|layer| layer.descriptor.digest == blob.digest);
                layer.is_some_and(|layer| layer.bytes.held_by(blob).is_some())
            };
            let kind = match layer.reused {
                false => &mut balance.made,
                true if is_remote() => &mut balance.registry,
                true => &mut balance.cache,
            };
            kind.add(blob.size);
        }
        balance.size = documents + balance.made.bytes + balance.reused().bytes;
        balance
    }
}

/// The most parts of one layer: images have 127 layers at most.
const MAX_PARTS: u32 = 127;

/// The trees of the layers that a tree is cut into.
pub(super) fn parts(tree: FileTree, split: usize) -> Vec<FileTree> {
    match split {
        0 | 1 => vec![tree],
        parts => layer::split(tree, parts),
    }
}

/// What one of several parts is called.
pub(super) fn part_of(text: &str, number: usize, count: usize) -> String {
    match count {
        1 => text.to_owned(),
        _ => format!("{text} (part {} of {count})", number + 1),
    }
}

impl Builder<'_> {
    /// What layers are made with.
    pub(super) fn means<'m>(&'m self, run: &'m Run) -> Means<'m> {
        let hashes = run.hashes.as_ref();
        Means {
            store: self.store,
            hashes,
            jobs: self.jobs,
            budget: &run.shared.budget,
            reuse: run.reuse,
            reporter: &self.reporter,
        }
    }

    /// A layer of the store.
    pub(super) fn stored(&self, layer: Layer) -> Found {
        Found { layer, bytes: std::sync::Arc::new(self.store.clone()) }
    }

    /// Makes or finds a layer.
    fn layer(
        &self,
        image: &recipe::Image,
        form: LayerForm,
        title: &str,
        tree: &FileTree,
        platform: &Platform,
        run: &Run,
    ) -> Result<Found, BuildError> {
        let failed = |source| BuildError::Layer {
            image: image.name.to_string(),
            layer: title.to_owned(),
            source: Box::new(source),
        };
        let machine = platform.elf_machine();
        let means = self.means(run);
        let key_of = || layer::key_of(tree, form, machine, &means).map_err(failed);
        // What the cache has of it, before it is made again.
        let known = match self.verify {
            true => layer::recall(self.store, key_of()?, form),
            false => None,
        };
        let reuse = if self.verify { Reuse::Never } else { run.reuse };
        let make = || layer::make(tree, form, machine, title, &Means { reuse, ..means }, self.elsewhere);
        let made = match &run.together {
            Some(together) => together.once(tree, form, machine, make),
            None => make(),
        };
        let made = made.map_err(failed)?;
        if self.verify {
            let found = self.elsewhere.find(made.layer.key, form).map(|found| found.layer);
            let mut found = [known, found].into_iter().flatten();
            found.try_for_each(|found| {
                self.compare(image, title, &found, &made.layer)?;
                run.notes.borrow_mut().compared += 1;
                Ok(())
            })?;
        }
        Ok(made)
    }

    /// A layer that was found is what was made.
    fn compare(&self, image: &recipe::Image, title: &str, found: &Layer, made: &Layer) -> Result<(), BuildError> {
        let of = |layer: &Layer| (layer.descriptor.digest, layer.descriptor.size, layer.diff_id);
        if of(found) == of(made) {
            return Ok(());
        }
        Err(BuildError::Untrue {
            image: image.name.to_string(),
            layer: title.to_owned(),
            key: made.key.to_string(),
            found: format!("{} (diff ID {})", found.descriptor.digest, found.diff_id),
            made: format!("{} (diff ID {})", made.descriptor.digest, made.diff_id),
        })
    }

    /// Whether packages of Debian come after layers of an image, in it or in one that stands on it.
    fn has_debian_above(&self, image: &recipe::Image) -> bool {
        let here = |image: &recipe::Image| image.layers.iter().any(recipe::Layer::has_debian);
        let stands_on = |other: &&recipe::Image| other.needs().contains(&&image.name);
        here(image) || self.recipe.images.iter().filter(stands_on).any(|above| self.has_debian_above(above))
    }
}
