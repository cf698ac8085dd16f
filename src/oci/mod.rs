//! The image formats: values that know their bytes.
//!
//! Types of the OCI image specification (1.1) and of Docker's image manifest v2, schema 2, kept so that what is read is
//! written back whole: unknown fields survive in `extra`, maps are sorted, and the bytes that a digest belongs to are
//! produced in one place ([`json`]).

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod index;
pub mod json;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;
pub mod shape;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, is_port};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest, DigestError, Hasher};
pub use index::Index;
pub use json::{Encoded, JsonError};
pub use manifest::Manifest;
pub use media_type::{Compression, Family, MediaType};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};

/// Keys of annotations and labels, as the image specification and lapstrake name them.
pub mod annotation {
    /// The reference under which an image is listed in a layout's index.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The full name that containerd gives an imported image.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// The reference of the base image.
    pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
    /// The digest of the base image's manifest.
    pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
    /// The key of a layer: equal keys mean equal layers.
    pub const LAYER_KEY: &str = "dev.lapstrake.layer.key";
    /// The diff ID of a layer, beside its descriptor, so that the layer need not be read to know it.
    pub const LAYER_DIFF_ID: &str = "dev.lapstrake.layer.diff-id";
    /// On a layer of packages: what a build needs to know of it that does not look into it.
    pub const LAYER_TRAITS: &str = "dev.lapstrake.layer.traits";
}
