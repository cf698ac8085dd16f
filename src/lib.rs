//! lapstrake builds OCI images without Docker.

pub mod oci;
pub mod tree;
