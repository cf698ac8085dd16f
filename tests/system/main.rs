//! The real recipes, on real files, in a real registry, under a real runtime, and read by programs that nobody here wrote.
//!
//! Everything is built and pushed once and pulled once for all tests, into one temporary directory with its own registry
//! and its own container storage; nothing of it is left when the tests end. A program that is missing is a failure that
//! says which: `tests/setup test` installs them all, and `testdata/bases/make` makes what the recipes stand on.

mod archon;
mod containers;
mod eveai;
mod plain_pod;
mod readers;
mod registry_base;
mod small;
mod support;
mod transfer;
