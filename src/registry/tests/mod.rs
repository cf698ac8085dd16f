//! Registries against a fake one with faults, and against a real one.

mod auth;
mod endpoints;
#[path = "../../../tests/support/fake_registry.rs"]
pub(super) mod fake;
mod pull;
mod push;
mod real;
mod support;
