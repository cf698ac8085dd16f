//! lapstrake builds OCI images without Docker.

pub mod base;
pub mod compress;
pub mod content;
pub mod git;
pub mod image;
pub mod key;
pub mod layer;
pub mod oci;
pub mod recipe;
pub mod report;
pub mod shown;
pub mod source;
pub mod store;
pub mod tar;
pub mod tree;
