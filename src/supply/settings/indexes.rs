//! Which indexes of Python packages there are: our variable's, else uv's, else pip's.

use url::Url;

use super::{Reader, SettingsError};
use crate::net::Secret;

/// What the variable for indexes is called.
pub(super) const PYTHON_INDEX: &str = "LAPSTRAKE_PYTHON_INDEX";

/// Indexes of one program.
#[derive(Default)]
pub(super) struct Indexes {
    pub(super) default: Option<Url>,
    pub(super) extra: Vec<Url>,
}

impl Reader<'_> {
    // --- Python ---

    pub(super) fn python(&mut self) -> Result<(), SettingsError> {
        let own = self.own_indexes()?;
        let all = [own, self.uv_indexes(), self.pip_indexes()];
        // Where nobody names a default, further ones are still some.
        let chosen = all.iter().position(|found| found.default.is_some());
        let chosen = chosen.or_else(|| all.iter().position(|found| !found.extra.is_empty()));
        if let Some(found) = chosen.and_then(|at| all.into_iter().nth(at)) {
            self.settings.python_index = found.default;
            self.settings.python_extra = found.extra;
        }
        Ok(())
    }

    fn own_indexes(&mut self) -> Result<Indexes, SettingsError> {
        let mut found = Vec::new();
        for word in self.text(PYTHON_INDEX).unwrap_or_default().split_whitespace() {
            found.push(self.address(word).ok_or(SettingsError {
                variable: PYTHON_INDEX,
                reason: "holds no address: give those of indexes (http, https or file), the most trusted one first",
            })?);
        }
        // In the order in which they are written: the last one is asked last.
        let default = found.pop();
        Ok(tidy(Indexes { default, extra: found }))
    }

    /// An index that `place` names; what is no address is told without a word of it.
    pub(super) fn index(&mut self, text: &Secret, place: &str) -> Option<Url> {
        let found = self.address(text.expose());
        if found.is_none() {
            self.settings
                .passed_over
                .push(format!("an index of {place} is passed over: it is no http, https or file address"));
        }
        found
    }
}

/// Each index once: the default one is no further one.
pub(super) fn tidy(mut found: Indexes) -> Indexes {
    let mut seen: Vec<Url> = found.default.iter().cloned().collect();
    found.extra.retain(|address| {
        let new = !seen.contains(address);
        seen.push(address.clone());
        new
    });
    found
}
