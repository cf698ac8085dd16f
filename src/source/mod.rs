//! Where the entries of a layer come from: one module for each kind of source.

pub mod archive;
pub mod ca;
pub mod debian;
pub mod files;
pub mod image;
pub mod users;
