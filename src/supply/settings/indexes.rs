//! Which indexes of Python packages there are: our variable's, else uv's, else pip's.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use url::Url;

use super::{Reader, SettingsError, Unusable, shown};

/// What the variable for indexes is called.
pub(super) const PYTHON_INDEX: &str = "LAPSTRAKE_PYTHON_INDEX";

/// Indexes of one program.
#[derive(Default)]
pub(super) struct Indexes {
    pub(super) default: Option<Url>,
    pub(super) extra: Vec<Url>,
    /// What might name more of them, and cannot be used.
    pub(super) unusable: Vec<Unusable>,
}

impl Indexes {
    /// Notes an address that a file or variable names, where it is one.
    pub(super) fn understood(&mut self, address: Option<Url>, place: &str) -> Option<Url> {
        if address.is_none() {
            let why = "it names an index by what is no http, https or file address".to_owned();
            self.unusable.push(Unusable { what: place.to_owned(), why });
        }
        address
    }
}

impl Reader<'_> {
    // --- Python ---

    pub(super) fn python(&mut self) -> Result<(), SettingsError> {
        let own = self.own_indexes()?;
        let mut all = [own, self.uv_indexes(), self.pip_indexes()];
        // Where nobody names a default, further ones are still some.
        let chosen = all.iter().position(|found| found.default.is_some());
        // What cannot be used may name the one that is meant, but for what is weaker than the one that is chosen.
        for (at, found) in all.iter_mut().enumerate() {
            for unusable in std::mem::take(&mut found.unusable) {
                if chosen.is_none_or(|chosen| at <= chosen) {
                    self.settings.unusable.get_or_insert(unusable);
                } else {
                    let Unusable { what, why } = unusable;
                    self.settings.passed_over.push(format!("{what} is passed over: {why}"));
                }
            }
        }
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
        Ok(tidy(Indexes { default, extra: found, unusable: Vec::new() }))
    }

    /// What a file says of indexes, where there is one. For pip and uv there is none in a directory that may not be searched.
    pub(super) fn index_file<T, E: Display>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, E>,
        unusable: &mut Vec<Unusable>,
    ) -> Option<T> {
        let parsed = match self.read(path) {
            Err(error) if !self.may_look(path) => {
                self.pass_over(path, error);
                return None;
            }
            Ok(text) => parse(&text?).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        parsed.map_err(|why| unusable.push(Unusable { what: shown(path), why })).ok()
    }

    /// The file that a variable names, where it does; that it is not there is noted.
    pub(super) fn named_file(&self, variable: &str, unusable: &mut Vec<Unusable>) -> Option<PathBuf> {
        let path = PathBuf::from(self.raw(variable)?);
        if !self.may_look(&path) || matches!(self.read(&path), Ok(None)) {
            unusable.push(Unusable { what: variable.to_owned(), why: "there is no file where it says".to_owned() });
        }
        Some(path)
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
