//! The command line as a user meets it: the binary itself, in an environment of its own, with what it leaves behind.
//!
//! No network but loopback, no root, no container runtime. What registries and runtimes make of the images is tested elsewhere.

mod bases;
mod ca;
mod ci;
mod codes;
mod completions;
mod database;
mod debian;
mod dev_loop;
mod diff;
mod docs;
mod dry_run;
mod errors;
mod explain;
mod faults;
mod fetch;
mod fixtures;
mod flags;
mod fresh_runner;
mod hostile;
mod init;
mod inspect;
mod intact;
mod limits;
mod lock;
mod meant;
mod mirror;
mod outputs;
mod pinned_bases;
mod print_recipe;
mod progress;
mod python;
mod python_indexes;
mod report;
mod reproducible;
mod resolve;
mod resolve_inputs;
mod second_builds;
mod secrets;
mod semantics;
mod side_by_side;
mod split;
mod support;
mod threats;
mod unchanged;
mod unread_bases;
mod verify;

#[path = "../support/deb.rs"]
mod deb;
#[path = "../support/debian_archive.rs"]
mod debian_archive;
#[path = "../support/fake_registry.rs"]
mod fake_registry;
#[path = "../support/file_server.rs"]
mod file_server;
#[path = "../support/python_index.rs"]
mod python_index;
#[path = "../support/wheel.rs"]
mod wheel;
