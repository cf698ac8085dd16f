//! What a page says.

use std::collections::BTreeMap;

use super::packages::Package;
use super::sizes::Sizes;
use crate::difference::{Difference, Kind};
use crate::oci::Digest;

/// What a page says.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) title: String,
    pub(super) platforms: Vec<PlatformFacts>,
    pub(super) sizes: Sizes,
    /// What is smaller, in bytes, is put together.
    pub(super) least: u64,
    pub(super) pins: Option<Pins>,
    pub(super) before: Option<String>,
}

/// The images for one platform.
#[derive(Clone, Debug)]
pub(super) struct PlatformFacts {
    pub(super) name: String,
    pub(super) images: Vec<ImageFacts>,
    /// Each once, lowest first.
    pub(super) layers: Vec<LayerFacts>,
    pub(super) packages: Vec<PackageFacts>,
    pub(super) comparisons: Vec<Comparison>,
}

/// One image.
#[derive(Clone, Debug)]
pub(super) struct ImageFacts {
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) digest: Digest,
    pub(super) created: Option<String>,
    /// Reference and digest of what it stands on, where it says so.
    pub(super) base: Option<(String, Option<String>)>,
    /// What its `os-release` calls it.
    pub(super) system: Option<String>,
    pub(super) user: Option<String>,
    /// Numbers of its layers, lowest first.
    pub(super) layers: Vec<usize>,
    pub(super) files: u64,
    /// The length of its files, in bytes.
    pub(super) unpacked: u64,
    /// The length of files of lower layers that upper ones replace or delete.
    pub(super) hidden: u64,
    /// Its node among the sizes.
    pub(super) root: usize,
}

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct LayerFacts {
    /// A few words.
    pub(super) title: String,
    /// Its line of history.
    pub(super) line: Option<String>,
    pub(super) digest: Digest,
    /// As it is stored.
    pub(super) size: u64,
    /// Files, and their length in bytes.
    pub(super) files: u64,
    pub(super) unpacked: u64,
    /// Whether it carries a key: lapstrake made it. What carries none came with a base.
    pub(super) is_made: bool,
    /// What most of it is; nothing where that is no package.
    pub(super) kind: Option<Kind>,
    /// The images that have it.
    pub(super) images: Vec<usize>,
    /// Whether the place that is compared with has it.
    pub(super) is_there: bool,
}

/// A package in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackageFacts {
    pub(super) package: Package,
    /// The layers that have most of it, in one image or another.
    pub(super) layers: Vec<usize>,
    /// The length of its files in bytes, where it has most of them.
    pub(super) size: u64,
    /// The images that have it.
    pub(super) images: Vec<usize>,
}

/// In what the variants of one image differ.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) family: String,
    /// Numbers of the images.
    pub(super) images: Vec<usize>,
    /// Settings that differ, with what each image has.
    pub(super) settings: Vec<(String, Vec<Option<String>>)>,
    /// For each image but the first: at how many paths it is another, and the first of them.
    pub(super) paths: Vec<(usize, usize, Vec<Difference>)>,
}

/// What is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins {
    /// The newest date of each archive of packages.
    pub(super) archives: BTreeMap<String, String>,
    /// Name, platform and manifest of images that the recipe does not make.
    pub(super) images: Vec<(String, String, String)>,
    pub(super) debian: usize,
    pub(super) python: usize,
    pub(super) downloads: usize,
}
