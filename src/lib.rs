//! lapstrake builds OCI images without Docker.

pub mod compress;
pub mod content;
pub mod oci;
pub mod place;
pub mod report;
pub mod shown;
pub mod store;
pub mod tar;
pub mod tree;
pub mod validate;
