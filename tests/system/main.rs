//! The real recipes, on real files, in a real registry, under a real runtime, and read by programs that nobody here wrote.
//!
//! Everything is built and pushed once and pulled once for all tests, into one temporary directory with its own registry
//! and its own container storage; nothing of it is left when the tests end. A program that is missing is a failure that
//! says which: `tests/setup test` installs them all. Packages and wheels come from the mirror and the index that this machine is set
//! up for, by the locks of the recipes; what was downloaded stays in one cache below target/, for the next run.

mod answers;
mod archon;
mod browser;
mod checkouts;
mod comparison;
mod containers;
mod emulation;
mod eveai;
mod intact;
mod packages;
mod plain_pod;
mod readers;
mod registry_base;
mod report_page;
mod small;
mod support;
mod transfer;
