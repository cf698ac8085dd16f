//! From a recipe to images: which stands on which, what each layer holds, what comes out.
//!
//! ```text
//! mod.rs        which images, in which order, for which platforms
//! ahead.rs      what is told before anything is fetched
//! outside.rs    images that the recipe does not make, opened
//! image.rs      one image: its layers, one after the other, found or made
//! layer_tree.rs a layer: its sources, put into one tree    fetch.rs debian.rs python.rs compilers.rs
//! plan.rs       the key of a layer of packages, before anything of it is fetched
//! run.rs        one run over all images, side by side     schedule.rs who comes after whom
//! whole.rs      what is done and looked at when all layers are there
//! artifact.rs   what goes to places
//! forecast.rs   what a build would do
//! ```

mod ahead;
mod artifact;
mod base;
mod compilers;
mod debian;
mod error;
mod fetch;
mod forecast;
mod image;
mod layer_tree;
mod making;
mod outside;
mod pins;
mod plan;
mod python;
mod run;
mod schedule;
mod settings;
mod starts;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use jiff::Timestamp;

pub use base::{KnownPython, OpenBase, OpenError};
pub use error::BuildError;
pub use forecast::{Fate, Forecast, LayerForecast};
pub use outside::{Outside, OutsideImage};
pub use pins::Locking;

use crate::code::{Cause, Coded, ErrorCode, Told};
use crate::image::Image;
use crate::layer::{Elsewhere, Layer, Ready, Reuse};
use crate::lock::Lock;
use crate::oci::{Platform, Reference};
use crate::place::Artifact;
use crate::recipe::{self, Base, Diagnostic, ImageName, Recipe, Span};
use crate::report::{Balance, Reporter};
use crate::store::BlobStore;
use crate::supply::Supply;
use crate::tar;
use run::{Finished, Purpose, Run, Slot, View};

/// What images are built for where neither recipe nor command line says: always the same, whatever machine this is.
pub const DEFAULT_PLATFORM: &str = "amd64";

/// How the page about images is called where nothing else is said.
pub const DEFAULT_PAGE: &str = "lapstrake-report.html";

/// What commands write where nothing else is said: left out of the context unless an item names it.
const WRITTEN: [&str; 2] = ["lapstrake-out", DEFAULT_PAGE];

/// What is to be built, and with what.
#[derive(Clone)]
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
    /// Threads for reading and compressing, and how many images are built at once.
    pub jobs: usize,
    /// Whether layers that are remembered are taken.
    pub reuse: Reuse,
    /// Whether layers that are found are made all the same, and compared.
    pub verify: bool,
    /// Layers that were pushed, to be taken as they are.
    pub elsewhere: &'a dyn Elsewhere,
    /// Whether bases are read, whatever the lock knows of them: a lock is what somebody wrote.
    pub reads_bases: bool,
    /// Who hears of layers while the rest is still built.
    pub ready: &'a dyn Ready,
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
    /// Files on this machine that are left out of the context unless an item names them, beside the recipe and what commands
    /// write by default.
    pub left_out: Vec<PathBuf>,
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
    pub layers: Made,
    /// What it holds, and where that came from.
    pub balance: Balance,
}

/// The layers that a recipe makes for an image, with what they are called, lowest first.
pub type Made = Vec<(String, Layer)>;

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
        self.run(wanted, Purpose::Images).map(|(built, lock, _)| (built, lock))
    }

    /// Pins what all images of the recipe need, on all their platforms.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn lock(&self) -> Result<Lock, BuildError> {
        let all = self.recipe.images.iter().map(|image| image.name.clone()).collect();
        self.run(&all, Purpose::Lock).map(|(_, lock, _)| lock)
    }

    /// The images that are built for those that are wanted, and their platforms.
    fn needed(&self, wanted: &BTreeSet<ImageName>) -> BTreeMap<ImageName, Vec<Platform>> {
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
        needed
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

    /// The references of an image: the command line's, else the recipe's.
    fn references(&self, image: &recipe::Image) -> Vec<Reference> {
        match self.names.get(&image.name) {
            Some(names) => names.clone(),
            None => image.references().into_iter().map(|reference| reference.value).collect(),
        }
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

    /// An error at a place of the recipe.
    fn at(&self, span: Span, error: impl Coded) -> BuildError {
        let text = error.to_string();
        BuildError::Recipe(Box::new(Diagnostic::error(error.code(), self.recipe.sources(), span, text)))
    }

    /// An error at a place of the recipe that is a text alone.
    fn told(&self, code: ErrorCode, span: Span, text: impl Into<String>) -> BuildError {
        self.at(span, Told::new(code, text))
    }

    /// An error at a place of the recipe, with its causes in one text.
    fn explained(&self, span: Span, error: &impl Coded) -> BuildError {
        self.told(error.code(), span, crate::shown::with_causes(error))
    }

    /// The lock as it is to be kept, where this is what a build came to: without pins of platforms that were asked for this
    /// once, and that neither the recipe nor the lock knows; with those.
    pub fn to_keep(&self, lock: &Lock) -> (Lock, Vec<String>) {
        let of_recipe = self.recipe.images.iter().flat_map(|image| platforms(self.recipe, image, None));
        let own: BTreeSet<String> = of_recipe.map(|platform| platform.to_string()).collect();
        let asked = self.platforms.iter().flatten().map(Platform::to_string);
        let once: Vec<String> = asked
            .filter(|platform| !own.contains(platform) && !self.lock.knows(platform) && lock.knows(platform))
            .collect();
        (lock.without(&once), once)
    }

    /// An error at a place of the recipe, with what caused it.
    fn caused(&self, span: Span, what: String, source: impl Into<Cause>) -> BuildError {
        BuildError::Outside { at: self.recipe.sources().position(span), what, remote: false, source: source.into() }
    }
}

fn want(needed: &mut BTreeMap<ImageName, Vec<Platform>>, name: &ImageName, platform: &Platform) {
    let platforms = needed.entry(name.clone()).or_default();
    if !platforms.contains(platform) {
        platforms.push(platform.clone());
    }
}
