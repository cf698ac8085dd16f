//! In what two images differ: settings, layers, packages, files.
//!
//! One comparison for all that compare: `diff` and `verify` compare whole images ([`compare`]), `explain` pairs of layers
//! ([`pair`], [`Contents::of_layers`]), `init --check` settings and what stands where ([`settings`], [`places`]).
//!
//! Layers that both sides have are read once, and remembered in the cache; of two images whose layers are the same, none is read.

mod contents;
mod entries;
mod image;
mod outline;
mod packages;
mod pairing;
mod settings;

pub use contents::{Contents, ImageContents, User};
pub use entries::{Change, Entries, Entry, Standing, places};
pub use image::{ImageDifference, LayerFate, LayerPair, Side, compare};
pub use outline::{Count, Row, outline};
pub use packages::{Kind, PackageChange, Packages};
pub use pairing::{Group, Line, Pairs, are_same, lines, name_of, pair, stem};
pub(crate) use settings::facts;
pub use settings::{Difference, of_documents, rest, settings};
