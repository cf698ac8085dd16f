//! What lies below: the layers of a base image, looked at without unpacking anything.
//!
//! Each layer is read once, as a stream, and remembered as a [`Listing`]; the listings of an image merge into a
//! [`crate::tree::Rootfs`].

mod listing;
mod stack;

pub use listing::{Listing, ListingError};
pub use stack::{BaseError, LayerStack, StackLayer};
