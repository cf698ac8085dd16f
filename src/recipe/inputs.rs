//! What a recipe may use from outside.

use std::collections::BTreeMap;
use std::fmt;

use crate::git::Checkout;

/// Everything that reading a recipe depends on beside its text: handed in, so that the same inputs give the same recipe.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The environment, for `{env.NAME}`.
    pub environment: BTreeMap<String, String>,
    /// The checkout, for `{git.*}` and `created = "commit"`; looked at only by recipes that name one of them.
    pub git: Checkout,
    /// Keys of `[project]` that are given on the command line, in order: `--set KEY=VALUE`. The value is the text of a
    /// string; for a list, its items with commas between them.
    pub set: Vec<(String, String)>,
}

/// Without the values of the environment, which may be secret.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.keys().map(String::as_str).collect();
        let keys: Vec<&str> = self.set.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Inputs").field("environment", &names).field("git", &self.git).field("set", &keys).finish()
    }
}
