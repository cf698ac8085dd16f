//! What a recipe may use from outside.

use std::collections::BTreeMap;

use crate::git::Checkout;

/// Everything that reading a recipe depends on beside its text: handed in, so that the same inputs give the same recipe.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The environment, for `{env.NAME}`.
    pub environment: BTreeMap<String, String>,
    /// The checkout, for `{git.*}` and `created = "commit"`; looked at only by recipes that name one of them.
    pub git: Checkout,
    /// Keys of `[project]` that are given on the command line, in order: `--set KEY=VALUE`. The value is the text of a
    /// string; for a list, its items with commas between them.
    pub set: Vec<(String, String)>,
}
