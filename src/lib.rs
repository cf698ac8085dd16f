//! lapstrake builds OCI images without Docker.

pub mod base;
pub mod build;
pub mod compress;
pub mod content;
pub mod context;
pub mod debian;
pub mod dockerfile;
pub mod elf;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod git;
pub mod host;
pub mod image;
pub mod layer;
pub mod lock;
pub mod machine;
pub mod migrate;
pub mod nearest;
pub mod net;
pub mod oci;
pub mod parallel;
pub mod pin;
pub mod place;
pub mod python;
pub mod recipe;
pub mod registry;
pub mod remote;
pub mod report;
pub mod shown;
pub mod source;
pub mod store;
pub mod supply;
pub mod tar;
pub mod tree;
pub mod validate;
