//! What of a context may be copied: the ignore file first, then `include`, then `exclude`; and what is never copied unless
//! it is named.

use super::pattern::{Patterns, Standing};

/// All rules that hold for one copy.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    pub(super) ignore: &'a Patterns,
    pub(super) include: &'a Patterns,
    pub(super) exclude: &'a Patterns,
    /// Paths that are left out unless an item names them: directory, then name, both relative to the root.
    pub(super) unnamed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why an entry is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// The ignore file says so, by that pattern.
    Ignored(Option<usize>),
    /// `include` does not have it, or `exclude` does.
    Recipe,
}

impl Dropped {
    /// The pattern of the ignore file that left it out.
    pub(super) fn ignored_by(self) -> Option<usize> {
        match self {
            Dropped::Ignored(by) => by,
            Dropped::Recipe => None,
        }
    }
}

/// What holds inside of a directory.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    /// Why the directory itself is left out, where it is.
    pub(super) dropped: Option<Dropped>,
    /// Whether anything below may be copied.
    pub(super) below: bool,
    pub(super) standing: Standings,
}

/// The standing of a directory in each list.
#[derive(Clone, Debug)]
pub(super) struct Standings {
    ignore: Standing,
    include: Standing,
    exclude: Standing,
}

impl Rules<'_> {
    /// What holds at the context's root.
    pub(super) fn at_root(&self) -> Inside {
        let standing = Standings {
            ignore: self.ignore.at_root(),
            include: self.include.at_root(),
            exclude: self.exclude.at_root(),
        };
        Inside { dropped: None, below: true, standing }
    }

    /// Whether an entry of a directory is left out. `path` is the whole path, as text for matching.
    pub(super) fn judge(&self, standing: &Standings, path: &str) -> Option<Dropped> {
        let ignored = self.ignore.judge(&standing.ignore, path);
        if ignored.matched {
            return Some(Dropped::Ignored(ignored.by));
        }
        let included = self.include.is_empty() || self.include.judge(&standing.include, path).matched;
        if !included || self.exclude.judge(&standing.exclude, path).matched {
            return Some(Dropped::Recipe);
        }
        None
    }

    /// The same for a directory, and what holds inside of it.
    pub(super) fn enter(&self, standing: &Standings, path: &str) -> Inside {
        let (ignored, ignore) = self.ignore.enter(&standing.ignore, path);
        let (included, include) = self.include.enter(&standing.include, path);
        let (excluded, exclude) = self.exclude.enter(&standing.exclude, path);
        let included = self.include.is_empty() || included.matched;
        let dropped = if ignored.matched {
            Some(Dropped::Ignored(ignored.by))
        } else if !included || excluded.matched {
            Some(Dropped::Recipe)
        } else {
            None
        };
        let below = (!ignored.matched || self.ignore.may_except(&ignore))
            && (included || self.include.may_match(&include))
            && (!excluded.matched || self.exclude.may_except(&exclude));
        Inside { dropped, below, standing: Standings { ignore, include, exclude } }
    }

    /// What holds at a directory, from the root on. Where something above leaves out all that is below, so does this.
    pub(super) fn descend(&self, path: &str) -> Inside {
        let mut inside = self.at_root();
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain((!path.is_empty()).then_some(path.len())) {
            let below = inside.below;
            inside = self.enter(&inside.standing, &path[..end]);
            inside.below &= below;
        }
        inside
    }

    /// Whether nothing at all is said of what lies in a directory of this standing.
    pub(super) fn are_silent(&self, standing: &Standings) -> bool {
        standing.ignore.is_silent() && self.include.is_empty() && standing.exclude.is_silent()
    }

    /// The names in a directory that are never copied unless an item names them.
    pub(super) fn unnamed_in(&self, directory: &[u8]) -> Vec<&[u8]> {
        self.unnamed.iter().filter(|(above, _)| *above == directory).map(|(_, name)| &name[..]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules<'a>(ignore: &'a Patterns, include: &'a Patterns, exclude: &'a Patterns) -> Rules<'a> {
        Rules { ignore, include, exclude, unnamed: vec![(b"".to_vec(), b"lapstrake.toml".to_vec())] }
    }

    fn patterns(text: &str) -> Patterns {
        Patterns::parse(text.split(" + ")).unwrap()
    }

    #[test]
    fn semantics_10_ignore_then_include_then_exclude() {
        let (ignore, include, exclude) =
            (patterns("secret + !secret/public"), patterns("src + secret + docs/*.md"), patterns("**/*.tmp"));
        let rules = rules(&ignore, &include, &exclude);
        for (path, dropped) in [
            ("src/a", None),
            ("src/a.tmp", Some(Dropped::Recipe)),
            ("secret/x", Some(Dropped::Ignored(Some(0)))),
            ("secret/public", None),
            ("secret/public/x.tmp", Some(Dropped::Recipe)),
            ("docs/x.md", None),
            ("docs/x.txt", Some(Dropped::Recipe)),
            ("other", Some(Dropped::Recipe)),
        ] {
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            let inside = rules.descend(above);
            assert_eq!(rules.judge(&inside.standing, path), dropped, "{path}");
            assert!(dropped.is_some() || inside.below, "{path}");
        }
        for (directory, below) in [("src", true), ("secret", true), ("docs", true), ("other", false), ("docs/x", false)]
        {
            assert_eq!(rules.descend(directory).below, below, "{directory}");
        }
        assert_eq!(rules.unnamed_in(b""), [b"lapstrake.toml"]);
        assert!(rules.unnamed_in(b"src").is_empty());
    }

    #[test]
    fn without_rules_nothing_is_said() {
        let none = Patterns::default();
        let rules = rules(&none, &none, &none);
        let inside = rules.descend("a/b");
        assert!(inside.below && inside.dropped.is_none() && rules.are_silent(&inside.standing));
        let only = patterns("src/x");
        let rules = super::tests::rules(&only, &none, &none);
        assert!(rules.are_silent(&rules.descend("lib").standing));
        assert!(!rules.are_silent(&rules.descend("src").standing));
    }
}
