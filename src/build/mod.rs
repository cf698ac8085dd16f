//! From a recipe to images: which stands on which, what each layer holds, what comes out.

mod base;
mod error;
mod layer_tree;
mod packages;
mod pins;
mod settings;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

pub use base::{OpenBase, OpenError};
pub use error::BuildError;
pub use pins::Locking;

use crate::base::{Knowledge, LayerReader, LayerStack, Listing, StackLayer};
use crate::debian::checks::{Missing, package_of};
use crate::debian::staging::Below;
use crate::image::{self, Image, ImageLayer};
use crate::layer::{self, Layer, LayerForm, Plan, Reuse};
use crate::lock::{ImagePin, Lock};
use crate::oci::{Platform, Reference};
use crate::pin::debian::Archives;
use crate::place::{self, Artifact, Fallback, ImageSource, Pick};
use crate::python::Interpreter;
use crate::recipe::{self, At, Base, Diagnostic, ImageName, Place, Recipe, Span};
use crate::report::Reporter;
use crate::source;
use crate::store::BlobStore;
use crate::supply::Supply;
use crate::tar;
use crate::tree::{Kind, TreePath};
use pins::Pins;

/// What images are built for where neither recipe nor command line says: always the same, whatever machine this is.
pub const DEFAULT_PLATFORM: &str = "amd64";

/// Opens the places that a recipe names: layouts, archives, registries.
pub trait Outside {
    /// The images at that place, which of them is meant, and the reference that others can find it by.
    ///
    /// # Errors
    /// Where it cannot be opened.
    fn open(&self, place: &Place) -> Result<OutsideImage, Box<dyn std::error::Error + Send + Sync>>;
}

/// An image that a recipe names and does not make.
pub struct OutsideImage {
    /// Where it is read from.
    pub source: Arc<dyn ImageSource>,
    /// Which of the source's images.
    pub pick: Option<Pick>,
    /// Its reference, where it has one.
    pub reference: Option<Reference>,
}

/// What is to be built, and with what.
pub struct Builder<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Where bases come from.
    pub outside: &'a dyn Outside,
    /// Where packages and downloads come from.
    pub supply: &'a dyn Supply,
    /// What is pinned.
    pub lock: &'a Lock,
    /// What may become of it.
    pub locking: Locking,
    /// The time, seconds since 1970: indexes of packages say until when they may be believed. Nothing else depends on it.
    pub now: u64,
    /// The environment of the programs that are run to resolve and to compile.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Where blobs go.
    pub store: &'a BlobStore,
    /// Threads for compression.
    pub jobs: usize,
    /// Whether layers that are remembered are taken.
    pub reuse: Reuse,
    /// The date of the images, seconds since 1970, before anything else that says one.
    pub epoch: Option<i64>,
    /// Platforms in place of the recipe's.
    pub platforms: Option<Vec<Platform>>,
    /// Labels on top of the recipe's.
    pub labels: BTreeMap<String, String>,
    /// Annotations on top of the recipe's.
    pub annotations: BTreeMap<String, String>,
    /// References in place of the recipe's, by image.
    pub names: BTreeMap<ImageName, Vec<Reference>>,
    /// Places on this machine that must not be copied: the outputs, the cache.
    pub forbidden: Vec<PathBuf>,
    /// Who hears what happens.
    pub reporter: Reporter,
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its name in the recipe.
    pub name: ImageName,
    /// What goes to places: manifest or index, names, blobs.
    pub artifact: Artifact,
    /// One for each platform.
    pub images: Vec<BuiltPlatform>,
}

/// An image for one platform.
#[derive(Clone, Debug)]
pub struct BuiltPlatform {
    /// Its documents.
    pub image: Image,
    /// The layers that this recipe makes for it, with what they are called, lowest first.
    pub layers: Vec<(String, Layer)>,
}

/// What later images may stand on.
struct Finished {
    open: OpenBase,
    layers: Vec<(String, Layer)>,
    image: Image,
}

/// An image for a platform, as they are told apart while they are built.
type Slot = (ImageName, String);

/// What one run knows: what it built, and what it opened. A place is opened once, so that all images of a run stand on
/// the same base, whatever happens to its tag meanwhile.
struct Run {
    finished: BTreeMap<Slot, Finished>,
    /// By place and platform, with what the lock calls it.
    opened: RefCell<BTreeMap<(String, String), (String, OpenBase)>>,
    reuse: Reuse,
    pins: Pins,
    /// What was read of archives of packages: all layers and platforms see the same.
    archives: Archives,
    purpose: Purpose,
    /// The images that are asked for.
    wanted: BTreeSet<ImageName>,
    /// Layers of packages that were made; they are remembered when the whole run is good.
    planned: RefCell<Vec<(Plan, Layer, Option<i64>)>>,
    /// What turned out to need nothing; remembered with them.
    proofs: RefCell<Vec<Plan>>,
}

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Layers and images.
    Images,
    /// Pins: trees are made as far as pins depend on them, and no layer is written.
    Lock,
}

/// What an image is built for: what the command line says, else the recipe, else its base in this recipe, else always the
/// same, whatever machine this is.
pub fn platforms(recipe: &Recipe, image: &recipe::Image, instead: Option<&[Platform]>) -> Vec<Platform> {
    if let Some(platforms) = instead {
        return platforms.to_vec();
    }
    let mut image = image;
    loop {
        if let Some(platforms) = &image.platforms {
            return platforms.iter().map(|platform| platform.value.clone()).collect();
        }
        let base = match &image.from.value {
            Base::Image(name) => recipe.images.iter().find(|image| image.name == *name),
            Base::Scratch | Base::Place(_) => None,
        };
        match base {
            Some(base) => image = base,
            None => return vec![Platform::linux(DEFAULT_PLATFORM)],
        }
    }
}

impl Builder<'_> {
    /// Builds the images of these names, and what they stand on; gives those that were asked for, in the recipe's order,
    /// and the lock that they were built from.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(&self, wanted: &BTreeSet<ImageName>) -> Result<(Vec<Built>, Lock), BuildError> {
        self.run(wanted, Purpose::Images)
    }

    /// Pins what all images of the recipe need, on all their platforms.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn lock(&self) -> Result<Lock, BuildError> {
        let all = self.recipe.images.iter().map(|image| image.name.clone()).collect();
        self.run(&all, Purpose::Lock).map(|(_, lock)| lock)
    }

    fn run(&self, wanted: &BTreeSet<ImageName>, purpose: Purpose) -> Result<(Vec<Built>, Lock), BuildError> {
        if self.locking == Locking::Locked {
            self.refuse_other_numbers()?;
        }
        let nothing_known = self.reuse == Reuse::Allowed && !layer::remembers_any(self.store);
        let reuse = if nothing_known { Reuse::NothingKnown } else { self.reuse };
        let pins = Pins::new(self.lock.clone(), self.locking.clone());
        let mut run = Run {
            finished: BTreeMap::new(),
            opened: RefCell::default(),
            reuse,
            pins,
            archives: Archives::new(),
            purpose,
            wanted: wanted.clone(),
            planned: RefCell::default(),
            proofs: RefCell::default(),
        };
        let mut needed: BTreeMap<ImageName, Vec<Platform>> = BTreeMap::new();
        // Backwards: what stands on something comes after it, and needs it for its own platforms.
        for image in self.recipe.images.iter().rev() {
            if wanted.contains(&image.name) {
                for platform in self.platforms_of(image) {
                    want(&mut needed, &image.name, &platform);
                }
            }
            for platform in needed.get(&image.name).cloned().unwrap_or_default() {
                for below in image.needs() {
                    want(&mut needed, below, &platform);
                }
            }
        }
        let mut built = Vec::new();
        for image in &self.recipe.images {
            for platform in needed.get(&image.name).map(Vec::as_slice).unwrap_or_default() {
                let done = self.one(image, platform, &run)?;
                run.finished.insert((image.name.clone(), platform.to_string()), done);
            }
            if wanted.contains(&image.name) && purpose == Purpose::Images {
                built.push(self.artifact(image, &run.finished)?);
            }
        }
        // What cannot be remembered is made again: that is no reason to fail.
        let remembered = run
            .planned
            .take()
            .iter()
            .try_for_each(|(plan, layer, newest)| layer::remember_plan(self.store, *plan, layer, *newest));
        let proven = run.proofs.take().into_iter().try_for_each(|proof| layer::remember_nothing(self.store, proof));
        if let Err(error) = remembered.and(proven) {
            self.reporter.warn(format!("the cache does not remember this build: {}", with_causes(&error)));
        }
        self.learn(&run);
        let whole = self.platforms.is_none() && self.recipe.images.iter().all(|image| needed.contains_key(&image.name));
        Ok((built, run.pins.finish(whole)))
    }

    /// Pins what this run learned of bases that it had to read.
    fn learn(&self, run: &Run) {
        for ((_, platform), (name, open)) in run.opened.borrow().iter() {
            if open.stack.is_watched() {
                let knowledge = open.stack.learned();
                run.pins.add_knowledge(name, platform, knowledge.lines(), knowledge.texts());
            }
        }
    }

    /// A lock is for one form of layers, and for one way of doing what packages' scripts would (semantics 21).
    fn refuse_other_numbers(&self) -> Result<(), BuildError> {
        let ours = Lock::default();
        for (what, theirs, ours) in
            [("format", self.lock.format, ours.format), ("effects", self.lock.effects, ours.effects)]
        {
            if theirs != ours {
                return Err(BuildError::LockNumber { what, theirs, ours });
            }
        }
        Ok(())
    }

    fn platforms_of(&self, image: &recipe::Image) -> Vec<Platform> {
        platforms(self.recipe, image, self.platforms.as_deref())
    }

    /// One image for one platform. Where more is asked of its base than the lock knows, the base is read, and the image
    /// begun again.
    fn one(&self, image: &recipe::Image, platform: &Platform, run: &Run) -> Result<Finished, BuildError> {
        let (mut open, below) = self.open(&image.from, platform, run)?;
        // dpkg's database is written anew as a whole: whoever adds to it reads the base in any case.
        let is_debian = |source: &At<recipe::Source>| matches!(source.value, recipe::Source::Debian(_));
        let reads = image.layers.iter().flat_map(|layer| &layer.sources).any(is_debian);
        if open.stack.is_unread() && open.stack.missed().is_none() && !reads {
            let before = (run.pins.now(), run.planned.borrow().clone(), run.proofs.borrow().clone());
            let done = self.on(image, platform, run, open.clone(), below.clone());
            let Some(missed) = open.stack.missed() else { return done };
            // Nothing of that attempt is to be believed.
            run.pins.restore(before.0);
            run.planned.replace(before.1);
            run.proofs.replace(before.2);
            self.reporter.note(format!("{}: the base is read: {missed}", image.name));
        }
        open.stack.read_base(self.store, &self.reporter).map_err(|source| {
            let at = self.recipe.sources().position(image.from.span);
            BuildError::Outside { at, what: "reading the base".to_owned(), remote: true, source: source.into() }
        })?;
        self.on(image, platform, run, open, below)
    }

    /// One image on its opened base, which has these layers of this recipe already.
    fn on(
        &self,
        image: &recipe::Image,
        platform: &Platform,
        run: &Run,
        mut open: OpenBase,
        mut made: Vec<(String, Layer)>,
    ) -> Result<Finished, BuildError> {
        let mut resolved = settings::resolve(self, image, &open, platform)?;
        if run.purpose == Purpose::Images {
            for warning in &resolved.warnings {
                self.reporter.warn(warning);
            }
        }
        let form = LayerForm { encoding: image.encoding, family: image.format };
        let mut layers: Vec<ImageLayer> = Vec::new();
        let mut newest = open.image.config.created.as_deref().and_then(|created| created.parse::<Timestamp>().ok());
        let seconds = |seconds: Option<i64>| seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());

        // Whether libraries may have come or gone, and whether anything of the layers below is gone.
        let (mut libraries, mut deletes) = (false, false);
        // Each tree stands on the ones before it.
        for number in 0..image.layers.len() + 2 {
            let mut plan = None;
            let tree = match number.checked_sub(1) {
                None => settings::accounts_layer(image, &resolved, &open)?,
                Some(number) => match image.layers.get(number) {
                    Some(layer) => {
                        let making = layer_tree::Making::new(self, image, layer, &resolved, &open, platform, run);
                        if run.purpose == Purpose::Images {
                            plan = making.plan(form)?;
                        }
                        let found = plan.filter(|_| run.reuse == Reuse::Allowed);
                        if let Some((found, date)) = found.and_then(|plan| layer::recall_plan(self.store, plan, form)) {
                            newest = newest.max(seconds(date));
                            let created_by = making.created_by()?;
                            let stacked = vec![self.stacked(&found)];
                            let mut alone = LayerStack::new();
                            let read = alone.push_base(stacked.clone(), self.store, &self.reporter);
                            let read = read.and_then(|()| open.stack.push_base(stacked, self.store, &self.reporter));
                            read.map_err(|source| {
                                self.caused(layer.span, "reading a layer of the cache".to_owned(), source)
                            })?;
                            let listing = Listing::load(self.store, found.descriptor.digest, found.diff_id);
                            deletes |= listing.is_none_or(|listing| listing.deletes());
                            for (path, _) in alone.rootfs().iter() {
                                libraries |= may_be_library(path);
                                open.python = open.python.filter(|_| !may_be_python(path));
                            }
                            layers.push(ImageLayer {
                                descriptor: found.descriptor.clone(),
                                diff_id: found.diff_id,
                                created_by,
                            });
                            made.push((layer.title(), found));
                            continue;
                        }
                        Some(layer_tree::make(making)?)
                    }
                    None if !(libraries || deletes) || !self.has_packages(image) => None,
                    None => {
                        // That there is nothing to write is remembered as what comes to something is.
                        let known = self.proof(&open, form, "libraries", platform);
                        plan = Some(known);
                        let recall = run.reuse == Reuse::Allowed && run.purpose == Purpose::Images;
                        match recall && layer::recall_nothing(self.store, known) {
                            true => None,
                            false => {
                                let tree = self.last_layer(image, &open, platform)?;
                                if tree.is_none() && run.purpose == Purpose::Images {
                                    run.proofs.borrow_mut().push(known);
                                }
                                tree
                            }
                        }
                    }
                },
            };
            let Some(mut tree) = tree else { continue };
            let span = number.checked_sub(1).and_then(|number| image.layers.get(number)).map_or(image.span, |l| l.span);
            tree.tree.repeat_parents(open.stack.rootfs()).map_err(|error| self.at(span, error))?;
            for (path, entry) in tree.tree.iter() {
                libraries |= may_be_library(path);
                deletes |= matches!(entry.kind, Kind::Whiteout);
                open.python = open.python.filter(|_| !may_be_python(path));
            }
            newest = newest.max(seconds(tree.newest));
            if run.purpose == Purpose::Lock {
                open.stack.look(&tree.tree);
                continue;
            }
            let Some(layer) = self.layer(image, form, &tree, platform, run)? else { continue };
            if let Some(plan) = plan {
                run.planned.borrow_mut().push((plan, layer.clone(), tree.newest));
            }
            layers.push(ImageLayer {
                descriptor: layer.descriptor.clone(),
                diff_id: layer.diff_id,
                created_by: tree.created_by,
            });
            open.stack.push(self.stacked(&layer), &tree.tree);
            made.push((tree.title, layer));
        }
        // Of a base that is not read it is not known what is there: its packages were looked over when it was.
        if run.purpose == Purpose::Images && self.has_packages(image) && !open.stack.is_unread() {
            self.check(image, &open, form, deletes, platform, run)?;
        }

        let created = self.created(image, newest);
        resolved.labels_on_top(&self.labels);
        let mut annotations = resolved.annotations.clone();
        annotations.extend(self.annotations.clone());
        let assembled =
            image::assemble(&open.image, &resolved.settings, &layers, &annotations, &created, image.format, platform)
                .map_err(|source| self.at(image.from.span, source))?;
        if let Some(warning) = settings::login_shell_warning(&image.name, &assembled.config.config) {
            self.reporter.warn(warning);
        }
        let name = image.publish.then(|| self.references(image).first().map(ToString::to_string)).flatten();
        let open = OpenBase {
            image: assembled.as_base(name),
            stack: open.stack,
            documents: None,
            foreign: open.foreign,
            python: open.python,
        };
        Ok(Finished { open, layers: made, image: assembled })
    }

    fn stacked(&self, layer: &Layer) -> StackLayer {
        StackLayer { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id, bytes: Arc::new(self.store.clone()) }
    }

    /// Whether an image, or one of this recipe that it stands on, has layers of packages.
    fn has_packages(&self, image: &recipe::Image) -> bool {
        let is_package =
            |source: &At<recipe::Source>| matches!(source.value, recipe::Source::Debian(_) | recipe::Source::Python(_));
        let mut image = Some(image);
        while let Some(here) = image {
            if here.layers.iter().flat_map(|layer| &layer.sources).any(is_package) {
                return true;
            }
            image = match &here.from.value {
                Base::Image(name) => self.recipe.images.iter().find(|image| image.name == *name),
                Base::Scratch | Base::Place(_) => None,
            };
        }
        false
    }

    /// What packages need over the final tree of an image: `ld.so.cache`, where layers on top brought libraries.
    fn last_layer(
        &self,
        image: &recipe::Image,
        open: &OpenBase,
        platform: &Platform,
    ) -> Result<Option<layer_tree::LayerTree>, BuildError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            self.caused(image.span, "writing ld.so.cache".to_owned(), source)
        };
        let view = open.stack.unwatched().at_hand(open.foreign, self.store).map_err(|error| failed(error.into()))?;
        let reader = LayerReader::new(&view, self.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let tree = source::debian::ld_so_cache(&Below { rootfs: view.rootfs(), read: &read }, platform);
        let tree = tree.map_err(|error| failed(error.into()))?;
        Ok(tree.map(|tree| layer_tree::LayerTree {
            title: "ld.so.cache".to_owned(),
            created_by: "ld.so.cache".to_owned(),
            tree,
            newest: None,
        }))
    }

    /// Stands for what was found out of the layers that an image has now.
    fn proof(&self, open: &OpenBase, form: LayerForm, of: &str, platform: &Platform) -> Plan {
        let below = open.stack.layers().iter().map(|layer| layer.diff_id);
        Plan::new(form, below, [of, &platform.to_string()])
    }

    /// Semantics 36: the libraries that programs need are there, and the interpreters that scripts name. Layers that were
    /// looked over before are not looked at again, as long as nothing of them is gone.
    fn check(
        &self,
        image: &recipe::Image,
        open: &OpenBase,
        form: LayerForm,
        deletes: bool,
        platform: &Platform,
        run: &Run,
    ) -> Result<(), BuildError> {
        if !run.wanted.contains(&image.name) {
            return Ok(());
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            self.caused(image.span, "looking over the whole image".to_owned(), source)
        };
        let layers = open.stack.layers();
        let proof = |count: usize| {
            let below = layers.iter().take(count).map(|layer| layer.diff_id);
            Plan::new(form, below, ["looked over", &platform.to_string()])
        };
        let is_proven = |count: &usize| run.reuse == Reuse::Allowed && layer::recall_nothing(self.store, proof(*count));
        if is_proven(&layers.len()) {
            return Ok(());
        }
        let proven = (open.foreign + 1..layers.len()).rev().find(is_proven).filter(|_| !deletes);
        let from = proven.unwrap_or(open.foreign);
        let view = open.stack.unwatched().at_hand(from, self.store).map_err(|error| failed(error.into()))?;
        let reader = LayerReader::new(&view, self.store);
        let read = |layer, offset, length| reader.read(layer, offset, length);
        let missing = source::debian::check(&Below { rootfs: view.rootfs(), read: &read }, platform)
            .map_err(|error| failed(error.into()))?;
        let (fatal, notes): (Vec<_>, Vec<_>) = missing.iter().partition(|missing| missing.is_fatal());
        for note in notes {
            self.reporter.note(format!("{}: {note}", image.name));
        }
        if fatal.is_empty() {
            run.proofs.borrow_mut().push(proof(layers.len()));
            return Ok(());
        }
        let mut lines: Vec<String> = fatal.iter().take(5).map(|missing| missing.to_string()).collect();
        if fatal.len() > lines.len() {
            lines.push(format!("and {} more", fatal.len() - lines.len()));
        }
        let advice: BTreeSet<String> = fatal
            .iter()
            .filter_map(|missing| match missing {
                Missing::Library { library, .. } if library.as_str().starts_with("ld-linux") => {
                    Some("libc6".to_owned())
                }
                Missing::Library { library, .. } => package_of(library.as_str(), &|_| true),
                Missing::Interpreter { .. } | Missing::Machine { .. } => None,
            })
            .collect();
        let mut text = format!("{} for {platform} would not run: {}", image.name, lines.join("; "));
        if !advice.is_empty() {
            let advice: Vec<String> = advice.into_iter().collect();
            text.push_str(&format!("; by Debian's rule for names, the packages to add are {}", advice.join(", ")));
        }
        Err(self.at(image.span, text))
    }

    /// The base of an image, and the layers of this recipe that it has already.
    fn open(
        &self,
        from: &At<Base>,
        platform: &Platform,
        run: &Run,
    ) -> Result<(OpenBase, Vec<(String, Layer)>), BuildError> {
        match &from.value {
            Base::Scratch => Ok((OpenBase::scratch(platform), Vec::new())),
            Base::Image(name) => match run.finished.get(&(name.clone(), platform.to_string())) {
                Some(base) => Ok((base.open.clone(), base.layers.clone())),
                None => Err(self.at(from.span, format!("the image {name} is not built for {platform}"))),
            },
            Base::Place(place) => {
                let place = place.resolve(&platform.architecture).map_err(|source| self.at(from.span, source))?;
                let known = (place.to_string(), platform.to_string());
                if let Some((_, open)) = run.opened.borrow().get(&known) {
                    return Ok((open.clone(), Vec::new()));
                }
                let name = pins::name_of_image(&place);
                if let Some(((other, _), _)) =
                    run.opened.borrow().iter().find(|((_, of), (of_name, _))| *of == known.1 && *of_name == name)
                {
                    let text = format!(
                        "{other} and {place} have the same name in two registries: give one of them with its digest"
                    );
                    return Err(self.at(from.span, text));
                }
                let open = self.outside_image(&place, from.span, platform, run)?;
                run.opened.borrow_mut().insert(known, (name, open.clone()));
                Ok((open, Vec::new()))
            }
        }
    }

    /// An image that the recipe does not make: the pinned one, where there is a pin.
    fn outside_image(&self, place: &Place, span: Span, platform: &Platform, run: &Run) -> Result<OpenBase, BuildError> {
        let name = pins::name_of_image(place);
        let platform_name = platform.to_string();
        let pin = run.pins.image(&name, &platform_name);
        let stale = |why: String| BuildError::Lock { what: format!("the image {name} for {platform}"), why };
        if pin.is_none() && run.pins.is_locked() {
            return Err(stale("the lock does not have it".to_owned()));
        }
        let remote = matches!(place, Place::Registry(_));
        let failed = |what: String, source: Box<dyn std::error::Error + Send + Sync>| {
            let at = self.recipe.sources().position(span);
            BuildError::Outside { at, what, remote, source }
        };
        let pinned = match (place, pin) {
            (Place::Registry(reference), Some(pin)) => Place::Registry(reference.with_digest(pin.manifest)),
            _ => place.clone(),
        };
        let outside =
            self.outside.open(&pinned).map_err(|source| failed(format!("opening the base {pinned}"), source))?;
        // What it is called does not depend on whether it is pinned.
        let reference = match place {
            Place::Registry(reference) => Some(reference),
            _ => outside.reference.as_ref(),
        };
        let knowledge = match pin.filter(|_| remote) {
            Some(pin) => {
                let lines = pin.knowledge.iter().map(String::as_str);
                match Knowledge::parse(lines, &pin.texts) {
                    Err(error) if run.pins.is_locked() => return Err(stale(error.to_string())),
                    // It is learned anew.
                    known => known.unwrap_or_default(),
                }
            }
            None => Knowledge::default(),
        };
        // What is learned while locking anew replaces what was known.
        let unread = !knowledge.is_empty() && run.purpose == Purpose::Images;
        let pick = outside.pick.as_ref();
        let open = match unread {
            true => OpenBase::known(outside.source, pick, platform, reference, &knowledge),
            false => OpenBase::from_source(outside.source, pick, platform, reference, self.store, &self.reporter),
        };
        let mut open = open.map_err(|source| failed(format!("reading the base {pinned}"), source.into()))?;
        if let Some((manifest, config)) = open.documents {
            let fits = pin.is_some_and(|pin| (pin.manifest, pin.config) == (manifest, config));
            if let (Some(pin), false, true) = (pin, fits, run.pins.is_locked()) {
                // What is on this machine may be another image by now; a registry gave what the lock asked for.
                if !remote {
                    return Err(stale(format!("it is {manifest} now, and {} is locked", pin.manifest)));
                }
                self.reporter.note(format!(
                    "the digest of {name} was edited in the lock: lock again, so that the rest of its entry is of that image"
                ));
            }
            // What was known is of another image.
            if pin.is_some() && !fits {
                let read = open.stack.read_base(self.store, &self.reporter);
                read.map_err(|source| failed(format!("reading the base {pinned}"), source.into()))?;
            }
            let (knowledge, texts, python) = match pin.filter(|_| fits) {
                Some(pin) => (pin.knowledge.clone(), pin.texts.clone(), pin.python.clone()),
                None => Default::default(),
            };
            if open.stack.is_unread() {
                open.python = Interpreter::of_line(&python);
            }
            let mut python = python;
            let asks = |layer: &recipe::Layer| {
                layer.sources.iter().any(|source| matches!(source.value, recipe::Source::Python(_)))
            };
            let learns = remote && (run.purpose == Purpose::Lock || !fits && !run.pins.is_locked());
            if learns && self.recipe.images.iter().flat_map(|image| &image.layers).any(asks) {
                // What cannot be told is an error for the layer that needs it.
                let found = base::find_python(&open.stack, self.store, open.stated_python()).ok().flatten();
                python = found.and_then(|found| found.line()).unwrap_or_default();
            }
            // An existing pin keeps what it knows: a build does not change a lock that fits.
            if learns {
                open.stack.watch();
            }
            run.pins.add_image(ImagePin { name, platform: platform_name, manifest, config, knowledge, texts, python });
        }
        Ok(open)
    }

    /// The references of an image: the command line's, else the recipe's.
    fn references(&self, image: &recipe::Image) -> Vec<Reference> {
        match self.names.get(&image.name) {
            Some(names) => names.clone(),
            None => image.references().into_iter().map(|reference| reference.value).collect(),
        }
    }

    /// Makes or finds a layer; none where there is nothing in it.
    fn layer(
        &self,
        image: &recipe::Image,
        form: LayerForm,
        tree: &layer_tree::LayerTree,
        platform: &Platform,
        run: &Run,
    ) -> Result<Option<Layer>, BuildError> {
        if tree.tree.is_empty() {
            self.reporter.warn(format!("{}: the layer `{}` holds nothing, and is left out", image.name, tree.title));
            return Ok(None);
        }
        let subject = format!("{}: {}", image.name, tree.title);
        let failed = |source| BuildError::Layer {
            image: image.name.to_string(),
            layer: tree.title.clone(),
            source: Box::new(source),
        };
        let machine = platform.elf_machine();
        layer::make(&tree.tree, form, machine, &subject, self.store, self.jobs, run.reuse, &self.reporter)
            .map(Some)
            .map_err(failed)
    }

    /// When an image was made (semantics 19).
    fn created(&self, image: &recipe::Image, newest: Option<Timestamp>) -> String {
        let epoch = self.epoch.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let stated = image.created.as_ref().map(|created| created.value);
        let fixed = Timestamp::from_second(tar::MTIME as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        // A time before 1980 or after 2100 inside an archive is nobody's date.
        let sensible = |newest: &Timestamp| *newest >= fixed && newest.as_second() < 4_102_444_800;
        let newest = newest.filter(sensible);
        epoch.or(stated).or(newest).unwrap_or(fixed).to_string()
    }

    fn artifact(&self, image: &recipe::Image, finished: &BTreeMap<Slot, Finished>) -> Result<Built, BuildError> {
        let platforms = self.platforms_of(image);
        let images: Vec<BuiltPlatform> = platforms
            .iter()
            .filter_map(|platform| finished.get(&(image.name.clone(), platform.to_string())))
            .map(|done| BuiltPlatform { image: done.image.clone(), layers: done.layers.clone() })
            .collect();
        let blobs = Arc::new(Blobs {
            store: self.store.clone(),
            others: platforms
                .iter()
                .filter_map(|platform| finished.get(&(image.name.clone(), platform.to_string())))
                .flat_map(|done| done.open.stack.layers().to_vec())
                .map(|layer| (layer.descriptor.digest, layer))
                .collect(),
        });
        let artifact = match &images[..] {
            [one] => Artifact::image(one.image.manifest.clone(), one.image.config.clone(), blobs),
            several => {
                let all: Vec<Image> = several.iter().map(|built| built.image.clone()).collect();
                // What all platforms say, the index says too, where registries look for it.
                let mut annotations = all.first().map(|first| first.manifest.annotations.clone()).unwrap_or_default();
                annotations.retain(|key, value| {
                    !key.starts_with("org.opencontainers.image.base.")
                        && all.iter().all(|image| image.manifest.annotations.get(key) == Some(value))
                });
                let index =
                    image::index_of(&all, image.format, &annotations).map_err(|source| self.at(image.span, source))?;
                let documents =
                    all.into_iter().map(|image| place::Image { manifest: image.manifest, config: Some(image.config) });
                Artifact::index(index, documents.collect(), blobs).map_err(|source| self.at(image.span, source))?
            }
        };
        let names = self.references(image);
        let fallback = Fallback::Image { image: image.name.image.clone(), variant: image.name.variant.clone() };
        Ok(Built { name: image.name.clone(), artifact: artifact.named(names, fallback), images })
    }

    /// An error at a place of the recipe.
    fn at(&self, span: Span, error: impl std::fmt::Display) -> BuildError {
        BuildError::Recipe(Box::new(Diagnostic::error(self.recipe.sources(), span, error.to_string())))
    }

    /// An error at a place of the recipe, with what caused it.
    fn caused(
        &self,
        span: Span,
        what: String,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> BuildError {
        BuildError::Outside { at: self.recipe.sources().position(span), what, remote: false, source: source.into() }
    }
}

/// Whether something at that path could be another Python than the one below.
fn may_be_python(path: &TreePath) -> bool {
    let directories: [&[u8]; 4] = [b"bin", b"usr/bin", b"usr/local/bin", b"var/lib/dpkg"];
    let parent = path.parent().unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    directories.contains(&parent.as_bytes()) && (name.starts_with(b"python3") || name.starts_with(b"status"))
}

/// Whether the loader's cache may have to tell of a path, or of where it lies.
fn may_be_library(path: &TreePath) -> bool {
    let name = path.file_name().unwrap_or_default();
    let imported = |part: &[u8]| matches!(part, b"dist-packages" | b"site-packages");
    let library = name.windows(3).any(|part| part == b".so") && !path.components().any(imported);
    library || path.as_bytes().starts_with(b"etc/ld.so.conf")
}

/// An error with its causes in one text.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn want(needed: &mut BTreeMap<ImageName, Vec<Platform>>, name: &ImageName, platform: &Platform) {
    let platforms = needed.entry(name.clone()).or_default();
    if !platforms.contains(platform) {
        platforms.push(platform.clone());
    }
}

/// The blobs of an image: its own layers are in the store, its base's may be somewhere else.
struct Blobs {
    store: BlobStore,
    others: BTreeMap<crate::oci::Digest, StackLayer>,
}

impl crate::place::BlobSource for Blobs {
    fn blob(&self, descriptor: &crate::oci::Descriptor) -> Result<crate::content::Content, crate::place::SourceError> {
        match self.others.get(&descriptor.digest) {
            Some(layer) => layer.bytes.blob(&layer.descriptor),
            None => self.store.blob(descriptor),
        }
    }

    fn held_by(&self, descriptor: &crate::oci::Descriptor) -> Option<Reference> {
        self.others.get(&descriptor.digest)?.bytes.held_by(descriptor)
    }

    fn comes_from(&self, descriptor: &crate::oci::Descriptor) -> Option<Reference> {
        self.others.get(&descriptor.digest)?.bytes.comes_from(descriptor)
    }
}
