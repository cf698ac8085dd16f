//! What is to be said about each code, by area.

pub(crate) mod base;
pub(crate) mod context;
pub(crate) mod debian;
pub(crate) mod lock;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod place;
pub(crate) mod python;
pub(crate) mod recipe;
pub(crate) mod usage;
