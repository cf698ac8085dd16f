//! One run over the images of a recipe: what its images share, and what becomes of them together.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::pins::Pins;
use super::{BuildError, Builder, Built, Forecast, Locking, Made, OpenBase, image, schedule};
use crate::base::{LayerStack, StackLayer};
use crate::context::{ContextDirectory, Selection};
use crate::image::Image;
use crate::layer::{self, Budget, Layer, LayerKey, Reuse, Together};
use crate::lock::{ImagePin, Lock, ViewPin};
use crate::oci::{Digest, Platform};
use crate::parallel::Once;
use crate::pin::debian::Archives;
use crate::recipe::{self, ImageName};
use crate::report::Balance;
use crate::shown::with_causes;
use crate::store::{BlobStore, FileHashes, TemporaryDirectory};
use crate::tree::{FileTree, TreePath};

/// What later images may stand on.
pub(super) struct Finished {
    pub(super) open: OpenBase,
    pub(super) layers: Made,
    pub(super) image: Image,
    pub(super) balance: Balance,
}

/// An image for a platform, as they are told apart while they are built.
pub(super) type Slot = (ImageName, String);

/// What one image knows of its run.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    /// What is pinned for this image, and for those whose pins came before.
    pub(super) pins: Pins,
    pub(super) notes: RefCell<Notes>,
    /// Its number: images are told in this order.
    pub(super) number: usize,
}

/// What all images of a run share: what they built, and what they opened. A place is opened once, so that all images of a
/// run stand on the same base, whatever happens to its tag meanwhile.
pub(super) struct Shared {
    pub(super) finished: Mutex<BTreeMap<Slot, Arc<Finished>>>,
    /// By place and platform.
    pub(super) opened: Mutex<BTreeMap<(String, String), OpenPlace>>,
    /// Whether layers of opened places were on this machine, by digest: as it was before any of them was read.
    at_hand: Mutex<BTreeMap<Digest, bool>>,
    pub(super) reuse: Reuse,
    /// Whether what an earlier build left is believed: not where everything is made anew.
    pub(super) believes: bool,
    /// Where programs are unpacked that only this run uses, once there are any.
    programs: Mutex<Option<TemporaryDirectory>>,
    /// What files of the context hold, where that may be believed.
    pub(super) hashes: Option<FileHashes>,
    /// What was read of archives of packages: all layers and platforms see the same.
    pub(super) archives: Archives,
    pub(super) purpose: Purpose,
    /// The images that are asked for.
    pub(super) wanted: BTreeSet<ImageName>,
    /// What would become of images, as far as they were looked at.
    pub(super) forecasts: Mutex<Vec<Forecast>>,
    /// What is copied from, once something is.
    pub(super) context: OnceLock<ContextDirectory>,
    /// What was chosen of the context: what several images ask for is walked over once.
    pub(super) selections: Once<Chosen, Arc<Selection>>,
    /// Layers that several images have are made once.
    pub(super) together: Option<Together>,
    pub(super) budget: Budget,
    pub(super) failed: schedule::Failed,
}

/// A place that was opened.
pub(super) struct OpenPlace {
    /// What the lock calls it.
    pub(super) name: String,
    pub(super) open: OpenBase,
    /// What it is pinned to: by every image that uses it.
    pub(super) pin: Option<ImagePin>,
}

/// What a `copy` asks of the context, wherever it stands.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chosen {
    pub(super) items: Vec<(String, Option<TreePath>)>,
    pub(super) to: TreePath,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
}

impl std::ops::Deref for Run {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// What that image came to, where it is built.
    pub(super) fn finished(&self, slot: &Slot) -> Option<Arc<Finished>> {
        lock(&self.finished).get(slot).cloned()
    }

    /// A directory below `tmp` for programs that only this run uses; it goes with the run.
    pub(super) fn programs(&self, tmp: &Path) -> io::Result<PathBuf> {
        let mut programs = lock(&self.programs);
        let directory = match &mut *programs {
            Some(directory) => directory,
            none => none.insert(TemporaryDirectory::new(tmp)?),
        };
        Ok(directory.path().to_owned())
    }

    pub(super) fn opened(&self) -> MutexGuard<'_, BTreeMap<(String, String), OpenPlace>> {
        lock(&self.opened)
    }

    /// Whether reading what was not read of a stack takes nothing but what this machine had before others read it.
    pub(super) fn is_at_hand(&self, stack: &LayerStack, store: &BlobStore) -> bool {
        let mut known = lock(&self.at_hand);
        let is_at_hand =
            |layer: &StackLayer| *known.entry(layer.descriptor.digest).or_insert_with(|| layer.is_at_hand(store));
        // All of them are looked at: another may read the rest before somebody asks again.
        let found: Vec<bool> = stack.unread_layers().iter().map(is_at_hand).collect();
        !found.contains(&false)
    }

    pub(super) fn forecasts(&self) -> MutexGuard<'_, Vec<Forecast>> {
        lock(&self.forecasts)
    }
}

/// What is kept when a whole run was good.
#[derive(Clone, Default)]
pub(super) struct Notes {
    /// Layers of packages that were made; they are remembered.
    pub(super) planned: Vec<Layer>,
    /// What turned out to need nothing; remembered with them.
    pub(super) proofs: Vec<LayerKey>,
    /// Layers of packages of which it is watched what is asked, to be pinned.
    pub(super) views: Vec<View>,
    /// What would become of the image.
    pub(super) forecasts: Vec<Forecast>,
    /// How many layers were made and compared with those that were found.
    pub(super) compared: u64,
}

/// A layer of packages of which it is watched what the layers above ask.
#[derive(Clone)]
pub(super) struct View {
    pub(super) pin: ViewPin,
    pub(super) of: layer::Chain,
    pub(super) stack: LayerStack,
    /// How many of its layers are not of this recipe.
    pub(super) foreign: usize,
}

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Layers and images.
    Images,
    /// Pins: trees are made as far as pins depend on them, and no layer is written.
    Lock,
    /// What would be done: layers are found, and none is made.
    Forecast,
}

impl Builder<'_> {
    pub(super) fn run(
        &self,
        wanted: &BTreeSet<ImageName>,
        purpose: Purpose,
    ) -> Result<(Vec<Built>, Lock, Vec<Forecast>), BuildError> {
        if self.locking == Locking::Locked {
            self.refuse_other_numbers()?;
        }
        let needed = self.needed(wanted);
        let tasks: Vec<(&recipe::Image, &Platform)> = self
            .recipe
            .images
            .iter()
            .flat_map(|image| needed.get(&image.name).into_iter().flatten().map(move |platform| (image, platform)))
            .collect();
        self.refuse_one_name_for_two(&tasks)?;
        self.look_ahead(&tasks, purpose)?;
        let nothing_known =
            self.reuse == Reuse::Allowed && !layer::remembers_any(self.store) && !self.elsewhere.is_there();
        // Whoever makes everything anew reads everything.
        let believes = self.reuse != Reuse::Never && !self.verify;
        let shared = Arc::new(Shared {
            finished: Mutex::default(),
            opened: Mutex::default(),
            at_hand: Mutex::default(),
            reuse: if nothing_known { Reuse::NothingKnown } else { self.reuse },
            believes,
            programs: Mutex::default(),
            hashes: believes.then(|| FileHashes::new(self.store, &self.recipe.context)),
            archives: Archives::new(),
            purpose,
            wanted: wanted.clone(),
            forecasts: Mutex::default(),
            context: OnceLock::new(),
            selections: Once::default(),
            together: (believes && tasks.len() > 1).then(Together::default),
            budget: Budget::default(),
            failed: schedule::Failed::default(),
        });
        let pins = Mutex::new(Pins::new(self.lock.clone(), self.locking.clone()));
        let notes = self.side_by_side(&tasks, &shared, &pins)?;

        let finished = std::mem::take(&mut *lock(&shared.finished));
        let wanted =
            self.recipe.images.iter().filter(|image| wanted.contains(&image.name) && purpose == Purpose::Images);
        let built = wanted.map(|image| self.artifact(image, &finished)).collect::<Result<Vec<_>, _>>()?;
        let (planned, proofs) =
            (notes.iter().flat_map(|notes| &notes.planned), notes.iter().flat_map(|notes| &notes.proofs));
        // What cannot be remembered is made again: that is no reason to fail.
        let remembered = planned.map(|layer| layer::remember_plan(self.store, layer));
        let proven = proofs.map(|proof| layer::remember_proof(self.store, *proof));
        if let Err(error) = remembered.chain(proven).collect::<Result<(), _>>() {
            self.reporter.warn(format!("the cache does not remember this build: {}", with_causes(&error)));
        }
        drop_aside(finished);
        let pins = pins.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.learn(&shared, &pins, notes.into_iter().flat_map(|notes| notes.views));
        let whole = self.platforms.is_none() && self.recipe.images.iter().all(|image| needed.contains_key(&image.name));
        let forecasts = std::mem::take(&mut *shared.forecasts());
        Ok((built, pins.finish(whole), forecasts))
    }

    /// Builds images, each after those that it needs; gives what is to be kept of each. What they say comes in their order.
    fn side_by_side(
        &self,
        tasks: &[(&recipe::Image, &Platform)],
        shared: &Arc<Shared>,
        pins: &Mutex<Pins>,
    ) -> Result<Vec<Notes>, BuildError> {
        let number = |name: &ImageName, platform: &Platform| {
            tasks.iter().position(|(image, of)| image.name == *name && *of == platform)
        };
        let needs: Vec<Vec<usize>> = tasks
            .iter()
            .map(|(image, platform)| image.needs().into_iter().filter_map(|name| number(name, platform)).collect())
            .collect();
        let threads = if self.may_pin(tasks, shared.purpose) { 1 } else { self.jobs.clamp(1, tasks.len().max(1)) };
        let said = schedule::InOrder::new(tasks.len());
        schedule::run(&needs, threads, &shared.failed, |number| {
            let (image, platform) = tasks.get(number).copied().ok_or(BuildError::Stopped)?;
            // One alone says what it says at once.
            let held = (threads > 1).then(|| self.reporter.held());
            let reporter = held.as_ref().map_or(&self.reporter, |(reporter, _)| reporter).clone();
            let builder = Builder { reporter: reporter.about(image.name.to_string()), ..self.clone() };
            let (name, shown) = (image.name.to_string(), platform.to_string());
            if shared.purpose == Purpose::Images {
                self.reporter.image_started(&name, &shown);
            }
            let own = lock(pins).fork();
            let run = Run { shared: shared.clone(), pins: own, notes: RefCell::default(), number };
            let built = image::build(&builder, image, platform, &run);
            let release = |held| self.reporter.release(held);
            said.put(number, held.map(|(_, held)| held), built.is_ok(), |held| held.into_iter().for_each(release));
            let finished = built?;
            lock(pins).absorb(run.pins.now());
            if shared.purpose == Purpose::Images {
                self.reporter.image_finished(&name, &shown, finished.image.manifest.digest(), &finished.balance);
            }
            lock(&shared.finished).insert((image.name.clone(), shown), Arc::new(finished));
            let mut notes = run.notes.into_inner();
            shared.forecasts().append(&mut notes.forecasts);
            Ok(notes)
        })
    }

    /// Pins what a run learned of bases that it had to read, and of layers of packages.
    fn learn(&self, shared: &Shared, pins: &Pins, views: impl Iterator<Item = View>) {
        for ((_, platform), OpenPlace { name, open, .. }) in shared.opened().iter() {
            if open.stack.is_watched() {
                let base = open.stack.layers().get(..open.foreign).unwrap_or_default();
                let knowledge = open.stack.learned(crate::base::identity(base));
                pins.add_knowledge(name, platform, &knowledge);
                if let ([first, more @ ..], Purpose::Lock) = (knowledge.unsaid(), shared.purpose) {
                    let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
                    self.reporter.note(format!(
                        "{name} ({platform}): builds have to read this base, which the lock does not tell all of: {first}{more}"
                    ));
                }
            }
        }
        for View { pin, of, stack, foreign } in views {
            let knowledge = stack.learned_above(of.digest(), foreign);
            let (knowledge, texts, files) = (knowledge.lines(), knowledge.texts(), knowledge.files());
            pins.add_view(ViewPin { knowledge, texts, files, ..pin });
        }
    }

    /// Whether it may have to be found out what packages and downloads come to. What one image finds out holds for those
    /// after it, so they are built one after the other then.
    fn may_pin(&self, tasks: &[(&recipe::Image, &Platform)], purpose: Purpose) -> bool {
        let pins = |layer: &recipe::Layer| layer.has_debian() || layer.has_python() || layer.has_fetch();
        purpose != Purpose::Images
            || self.locking != Locking::Locked && tasks.iter().any(|(image, _)| image.layers.iter().any(pins))
    }
}

/// Lets another thread free the memory of large trees: it takes a while, and nobody waits for it.
fn drop_aside(finished: BTreeMap<Slot, Arc<Finished>>) {
    let trees: Vec<Arc<FileTree>> = finished.values().flat_map(|done| done.open.stack.trees()).cloned().collect();
    drop(finished);
    if trees.iter().map(|tree| tree.len()).sum::<usize>() >= LARGE {
        // Where there is no thread, they are freed here.
        let _ = std::thread::Builder::new().spawn(move || drop(trees));
    }
}

/// How many entries take longer to free than a thread takes to start.
const LARGE: usize = 20_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left half done is never used: the panic goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
