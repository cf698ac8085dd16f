//! lapstrake builds OCI images without Docker.

pub mod compress;
pub mod content;
pub mod net;
pub mod oci;
pub mod registry;
pub mod report;
pub mod shown;
pub mod store;
pub mod tar;
pub mod tree;
