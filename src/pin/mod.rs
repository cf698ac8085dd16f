//! From what a recipe names to pins: one module for each kind of package.

pub mod debian;
