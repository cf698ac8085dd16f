//! Why images cannot be built.

use crate::code::Cause;
use crate::layer::LayerError;
use crate::pin::debian::Fault;
use crate::recipe::Diagnostic;

/// Why images cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An image before this one failed, and nobody wants it any more. It is told to nobody.
    #[error("another image failed")]
    Stopped,
    /// What the recipe says cannot be done; the text of the recipe is underlined.
    #[error("{}", .0.message())]
    Recipe(Box<Diagnostic>),
    /// What the recipe asks for cannot be pinned; the text of the recipe is underlined.
    #[error("{}", .0.message())]
    Unresolvable(Box<Diagnostic>),
    /// A layer that was found is not what is made of the same things.
    #[error(
        "the layer `{layer}` of {image} has the key {key} and the digest {found}, and what is built of the same things has {made}: do not trust who made it, and build with --no-cache"
    )]
    Untrue {
        /// The image.
        image: String,
        /// The layer.
        layer: String,
        /// Its key.
        key: String,
        /// What was found.
        found: String,
        /// What was made.
        made: String,
    },
    /// Something outside the recipe cannot be read.
    #[error("{what} ({at})")]
    Outside {
        /// Where the recipe names it.
        at: String,
        /// What was done.
        what: String,
        /// Whether it is in a registry.
        remote: bool,
        /// Why it failed.
        source: Cause,
    },
    /// The lock does not have what is needed, and may not change.
    #[error("{what} is not locked as the recipe asks: {why}")]
    Lock {
        /// What is needed.
        what: String,
        /// Why the lock's entry does not fit.
        why: String,
    },
    /// The lock was made for another lapstrake.
    #[error("the lock was made for {what} {theirs}, and this lapstrake has {what} {ours}: lock again")]
    LockNumber {
        /// `format` or `effects`.
        what: &'static str,
        /// What the lock says.
        theirs: u32,
        /// What this one has.
        ours: u32,
    },
    /// What the recipe asks for cannot be pinned, or what is pinned cannot be had.
    #[error("{what} ({at})")]
    Packages {
        /// Where the recipe asks for it.
        at: String,
        /// What was done.
        what: String,
        /// Whose affair it is.
        fault: Fault,
        /// Why it failed.
        source: Cause,
    },
    /// A layer cannot be made.
    #[error("making the layer `{layer}` of {image}")]
    Layer {
        /// The image.
        image: String,
        /// What the layer is called.
        layer: String,
        /// Why.
        source: Box<LayerError>,
    },
}
