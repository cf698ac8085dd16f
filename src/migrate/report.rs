//! What became of each line, for whoever started the migration.

/// What became of a line or command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The recipe says the same in its own words.
    Turned,
    /// There is nothing to do in a recipe.
    NotNeeded,
    /// It stands in the recipe as a comment, with what to do instead.
    Kept,
}

/// One line or command of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `Dockerfile:12`.
    pub place: String,
    /// What it says, on one line.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
    /// Why, or what it was turned into.
    pub why: String,
}

/// All of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Told>);

impl Report {
    pub(super) fn tell(&mut self, place: &str, text: &str, fate: Fate, why: impl Into<String>) {
        self.0.push(Told { place: place.to_owned(), text: one_line(text), fate, why: why.into() });
    }

    /// How many have that fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.0.iter().filter(|told| told.fate == fate).count()
    }
}

/// A text on one line, without credentials and control characters, and not too long.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let safe = crate::logins::hide_credentials(&words.join(" "));
    let shown: String = safe.chars().map(|c| if crate::shown::is_unseen(c) { ' ' } else { c }).collect();
    match shown.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}
