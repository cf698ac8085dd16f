//! Registries against a fake one with faults, and against a real one.

mod auth;
mod endpoints;
mod pull;
mod push;
mod real;
mod support;

use crate::net::fake_registry as fake;
