//! Where the entries of a layer come from: one module for each kind of source.

pub mod archive;
pub mod bytecode;
pub mod compiler;
pub mod files;
pub mod image;
pub mod python;
pub mod users;
