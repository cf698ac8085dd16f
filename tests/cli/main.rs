//! The command line as a user meets it: the binary itself, in an environment of its own, with what it leaves behind.
//!
//! No network, no root, no container runtime. What registries and runtimes make of the images is tested elsewhere.

mod bases;
mod errors;
mod flags;
mod intact;
mod outputs;
mod reproducible;
mod semantics;
mod support;
