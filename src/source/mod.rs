//! Where the entries of a layer come from: one module for each kind of source.

pub mod archive;
pub mod bytecode;
pub mod ca;
pub mod compiler;
pub mod debian;
pub mod files;
pub mod image;
pub mod python;
pub mod users;
