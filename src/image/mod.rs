//! From layers and settings to an image: config, manifest, and an index where there are several platforms.

mod assemble;
mod settings;

pub use assemble::{Image, ImageBase, ImageError, ImageLayer, MAX_LAYERS, assemble, index_of};
pub use settings::{Change, Settings};
