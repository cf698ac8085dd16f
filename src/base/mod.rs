//! What lies below: the layers of a base image, looked at without unpacking anything.
//!
//! Each layer is read once, as a stream, and remembered as a [`Listing`]; the listings of an image merge into a
//! [`crate::tree::Rootfs`].
//!
//! What a build asks of that view is little, and always the same for a base that does not change: [`Knowledge`] is the
//! answers, pinned in the lock, so that a later build need not read the layers at all.

mod kept_files;
mod knowledge;
#[cfg(test)]
mod known_builds;
mod listing;
mod reader;
mod stack;

pub use knowledge::{Knowledge, KnowledgeError, Unsaid};
pub use listing::{Depth, Listing, ListingError};
pub(crate) use listing::{Listed, What, tells_packages};
pub use reader::LayerReader;
pub use stack::{BaseError, LayerStack, StackLayer, identity};
