//! What a recipe asked when an entry was pinned.

use std::collections::BTreeSet;

/// What was asked, as short lines (`package curl`, `suite trixie`), sorted: equal questions have equal answers. It is
/// written as it is, so that a review sees it and a message can say what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked(BTreeSet<String>);

impl Asked {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line: what kind of thing, and which.
    pub fn add(&mut self, kind: &str, what: impl AsRef<str>) {
        let what = what.as_ref();
        self.0.insert(if what.is_empty() { kind.to_owned() } else { format!("{kind} {what}") });
    }

    /// The lines, sorted.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The same without the lines of one kind.
    #[must_use]
    pub fn without(&self, kind: &str) -> Asked {
        self.lines().filter(|line| line.split(' ').next() != Some(kind)).collect()
    }

    /// In words, what another question has that this one has not, and the other way round.
    pub fn difference(&self, now: &Asked) -> String {
        let mut parts = Vec::new();
        for line in now.0.difference(&self.0) {
            parts.push(format!("`{line}` is new"));
        }
        for line in self.0.difference(&now.0) {
            parts.push(format!("`{line}` is no longer asked"));
        }
        parts.join(", ")
    }
}

impl<T: Into<String>> FromIterator<T> for Asked {
    fn from_iter<I: IntoIterator<Item = T>>(lines: I) -> Self {
        Asked(lines.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_compared_by_their_lines() {
        let mut before = Asked::new();
        before.add("package", "curl");
        before.add("suite", "trixie");
        let mut now: Asked = before.lines().collect();
        assert_eq!(before, now);
        now.add("package", "bash");
        now.add("essential", "");
        assert_eq!(before.difference(&now), "`essential` is new, `package bash` is new");
        assert_eq!(now.difference(&before), "`essential` is no longer asked, `package bash` is no longer asked");
    }
}
