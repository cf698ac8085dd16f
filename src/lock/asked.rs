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

    /// In words, what another question has that this one has not, and the other way round. Digests are not for people: of what
    /// is told by one it is said that it changed.
    pub fn difference(&self, now: &Asked) -> String {
        let gone: Vec<Told<'_>> = self.0.difference(&now.0).map(|line| Told::of(line)).collect();
        let new: Vec<Told<'_>> = now.0.difference(&self.0).map(|line| Told::of(line)).collect();
        // One before and one now of the same thing: it changed.
        let alone =
            |list: &[Told<'_>], told: &Told<'_>| list.iter().filter(|other| other.subject == told.subject).count() == 1;
        let pair = |list: &'_ [Told<'_>], told: &Told<'_>| list.iter().position(|other| other.subject == told.subject);
        let mut parts = Vec::new();
        for told in &new {
            let before = pair(&gone, told).filter(|_| alone(&gone, told) && alone(&new, told)).map(|at| &gone[at]);
            parts.push(match before {
                Some(before) if before.text == told.text => format!("`{}` has {}", told.text, told.changed),
                Some(before) => format!("`{}` is now `{}`", before.text, told.text),
                None => format!("`{}` is new", told.text),
            });
        }
        for told in &gone {
            if !(alone(&gone, told) && alone(&new, told)) {
                parts.push(format!("`{}` is no longer asked", told.text));
            }
        }
        parts.join(", ")
    }
}

/// A line as it is told.
struct Told<'a> {
    /// What it is about: kind, and which.
    subject: (&'a str, &'a str),
    /// The line without digests.
    text: &'a str,
    /// What has changed where nothing else has.
    changed: &'static str,
}

impl<'a> Told<'a> {
    fn of(line: &'a str) -> Self {
        let (text, changed) = match line.rsplit_once(' ') {
            Some((text, digest)) if digest.starts_with("sha256:") => (text, "another content"),
            Some((text, _)) if text.ends_with(" hashes") => (text.trim_end_matches(" hashes"), "other hashes"),
            _ => (line, "another form"),
        };
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let name = match kind {
            // There is one.
            "python" | "libc" => "",
            "requirement" | "constraint" | "package" => {
                let end = rest.find(|c: char| c.is_whitespace() || "=<>!~;[@/(".contains(c)).unwrap_or(rest.len());
                &rest[..end]
            }
            _ => rest,
        };
        Told { subject: (kind, name), text, changed }
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
    fn what_changed_is_told_in_words_and_without_digests() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        let other = format!("sha256:{}", "cd".repeat(32));
        let check = |before: &[&str], now: &[&str], told: &str| {
            let [before, now]: [Asked; 2] = [before, now].map(|lines| lines.iter().copied().collect());
            assert_eq!(before.difference(&now), told);
        };
        check(
            &["requirement flask>=2"],
            &["requirement flask>=3"],
            "`requirement flask>=2` is now `requirement flask>=3`",
        );
        check(&["requirement a hashes 01"], &["requirement a hashes 02"], "`requirement a` has other hashes");
        check(
            &["python 3.13.5", "libc glibc 2.36"],
            &["python 3.13.6", "libc glibc 2.36"],
            "`python 3.13.5` is now `python 3.13.6`",
        );
        check(
            &[&format!("pylock p.toml {hash}")],
            &[&format!("pylock p.toml {other}")],
            "`pylock p.toml` has another content",
        );
        check(&[&format!("wheel a.whl {hash}")], &[], "`wheel a.whl` is no longer asked");
        // Two of one name are not paired.
        check(
            &["requirement a<1", "requirement a<2"],
            &["requirement a<3", "requirement b"],
            "`requirement a<3` is new, `requirement b` is new, `requirement a<1` is no longer asked, `requirement a<2` is no longer asked",
        );
    }

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
