//! lapstrake builds OCI images without Docker.

pub mod base;
pub mod build;
pub mod compress;
pub mod content;
pub mod context;
pub mod debian;
pub mod git;
pub mod host;
pub mod image;
pub mod key;
pub mod layer;
pub mod machine;
pub mod nearest;
pub mod net;
pub mod oci;
pub mod place;
pub mod recipe;
pub mod registry;
pub mod remote;
pub mod report;
pub mod shown;
pub mod source;
pub mod store;
pub mod tar;
pub mod tree;
pub mod validate;
