//! Lists of patterns, as `.dockerignore` has them: the last line that matches decides, `!` takes back, and what holds of a
//! directory holds of all below it.
//!
//! The rules are those of BuildKit's walk over a context (moby/patternmatcher, tonistiigi/fsutil), read from what they do:
//!
//! - A line is trimmed and cleaned as a path; leading slashes fall away: everything is anchored at the context's root.
//! - A pattern that matches a directory matches what is below it. An exception (`!`) that is met while nothing is
//!   excluded is not looked at, and so is not handed down: after `**/*.pyc` and `!vendor`, `vendor/x.pyc` is excluded.
//! - BuildKit opens files by a second rule, by which every pattern is handed down. Where the two disagree it sends an
//!   empty file; here the file is excluded.
//!
//! A directory's standing is worked out once; each entry then costs only the patterns that can still match at its depth.

use super::glob::{Glob, GlobError, clean, symbols};
use crate::shown::Shown;

/// An ordered list of patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    glob: Glob,
    exception: bool,
    text: Box<str>,
    line: usize,
}

/// A line that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The glob is malformed.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// `!` and nothing after it.
    #[error("pattern {pattern} is an exception from nothing: write a path after the `!`")]
    Exception {
        /// What was written.
        pattern: Shown,
    },
}

/// What the patterns say of everything inside of one directory.
#[derive(Clone, Debug)]
pub struct Standing {
    depth: usize,
    rules: Vec<Held>,
}

/// One pattern, as seen from inside a directory. Those that can neither match there nor were handed down are left out.
#[derive(Clone, Copy, Debug)]
struct Held {
    index: u32,
    /// It may match something below.
    live: bool,
    /// It was met above, by the rule of the walk.
    walked: bool,
    /// It matches a directory above.
    above: bool,
}

/// What the patterns say of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the path is matched, exceptions considered.
    pub matched: bool,
    /// The pattern that decided, for [`Patterns::said`]; `None` where none matches.
    pub by: Option<usize>,
}

impl Patterns {
    /// Reads patterns as a recipe lists them.
    ///
    /// # Errors
    /// [`PatternError`], with the number of the item, from 0.
    pub fn parse<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Result<Self, (usize, PatternError)> {
        let mut patterns = Patterns::default();
        for (at, item) in items.into_iter().enumerate() {
            patterns.push(item.as_ref(), at + 1).map_err(|error| (at, error))?;
        }
        Ok(patterns)
    }

    /// Adds one pattern; blank ones are nothing.
    pub(crate) fn push(&mut self, bytes: &[u8], line: usize) -> Result<(), PatternError> {
        let text = symbols(bytes);
        let Some(normal) = normal(&text) else { return Ok(()) };
        let (exception, pattern) = match normal.strip_prefix('!') {
            Some("") => return Err(PatternError::Exception { pattern: Shown::new(bytes) }),
            Some(pattern) => (true, pattern),
            None => (false, &*normal),
        };
        let glob = Glob::parse(pattern)?;
        self.rules.push(Rule { glob, exception, text: text.trim().into(), line });
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The pattern behind a verdict, as it was written, and its line or number, from 1.
    pub fn said(&self, by: usize) -> Option<(&str, usize)> {
        self.rules.get(by).map(|rule| (&*rule.text, rule.line))
    }

    /// What holds at the context's root.
    pub fn at_root(&self) -> Standing {
        let held = |index| Held { index, live: true, walked: false, above: false };
        Standing { depth: 0, rules: (0..self.rules.len() as u32).map(held).collect() }
    }

    /// What is said of an entry of the directory that `standing` belongs to. `path` is the whole path, from the context's
    /// root, as [`symbols`] makes it.
    pub(crate) fn judge(&self, standing: &Standing, path: &str) -> Verdict {
        self.weigh(standing, path, |_, _, _| {})
    }

    /// The same for a directory, and what holds inside of it.
    pub(crate) fn enter(&self, standing: &Standing, path: &str) -> (Verdict, Standing) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let depth = standing.depth;
        let mut rules = Vec::new();
        let verdict = self.weigh(standing, path, |held, walked, above| {
            let live =
                held.live && self.rules.get(held.index as usize).is_some_and(|rule| rule.glob.leads_into(depth, name));
            if live || walked || above {
                rules.push(Held { index: held.index, live, walked, above });
            }
        });
        (verdict, Standing { depth: depth + 1, rules })
    }

    /// Both rules at once. `each` learns of every pattern whether it is handed down, by the walk's rule and by the other.
    fn weigh(&self, standing: &Standing, path: &str, mut each: impl FnMut(Held, bool, bool)) -> Verdict {
        let (mut walked, mut plain) = (false, false);
        let (mut walked_by, mut plain_by) = (None, None);
        for held in &standing.rules {
            let index = held.index as usize;
            let Some(rule) = self.rules.get(index) else { continue };
            let asked = held.walked || rule.exception == walked;
            let own = held.live && !held.walked && (asked || !held.above) && rule.glob.is_match(path);
            let by_walk = held.walked || (asked && own);
            let by_any = held.above || own;
            if by_walk {
                walked = !rule.exception;
                walked_by = Some(index);
            }
            if by_any {
                plain = !rule.exception;
                plain_by = Some(index);
            }
            each(*held, by_walk, by_any);
        }
        Verdict { matched: walked || plain, by: if walked || !plain { walked_by } else { plain_by } }
    }

    /// Whether the path is matched, by the directories above it too.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.judge_whole(path).matched
    }

    /// What is said of a path, all directories above it considered.
    pub(crate) fn judge_whole(&self, path: &[u8]) -> Verdict {
        let path = symbols(path);
        let mut standing = self.at_root();
        for (end, _) in path.match_indices('/') {
            standing = self.enter(&standing, &path[..end]).1;
        }
        self.judge(&standing, &path)
    }

    /// Whether anything below a directory of this standing may be matched that the directory itself is not.
    pub(crate) fn may_match(&self, standing: &Standing) -> bool {
        self.any_live(standing, false)
    }

    /// Whether anything below a directory of this standing may be taken back by an exception.
    pub(crate) fn may_except(&self, standing: &Standing) -> bool {
        self.any_live(standing, true)
    }

    fn any_live(&self, standing: &Standing, exception: bool) -> bool {
        let is = |held: &Held| {
            held.live && self.rules.get(held.index as usize).is_some_and(|rule| rule.exception == exception)
        };
        standing.rules.iter().any(is)
    }
}

impl Standing {
    /// Whether nothing is said of anything inside.
    pub(crate) fn is_silent(&self) -> bool {
        self.rules.is_empty()
    }
}

/// A line as it is matched: trimmed, cleaned, without leading slashes, `!` in front where it is an exception. `None` for a
/// blank one.
fn normal(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let (sign, path) = match line.strip_prefix('!') {
        Some(path) => ("!", path.trim()),
        None => ("", line),
    };
    let path = if path.is_empty() { String::new() } else { clean(path) };
    let path = path.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&path);
    // Docker cleans once more, with the sign: so `!/` is an exception from nothing, and `./!x` is one from `x`.
    let whole = format!("{sign}{path}");
    let whole = whole.trim();
    if whole.is_empty() { None } else { Some(clean(whole)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns parted by ` + `, paths that they match, paths that they do not.
    type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

    const CASES: &[Case] = &[
        // Nothing and everything.
        ("", &[], &["a", "a/b"]),
        ("*", &["a", ".x", "a/b", "a/b/c"], &[]),
        ("**", &["a", "a/b/c"], &[]),
        ("**/", &["a", "a/b/c"], &[]),
        (".", &[], &["a", "a/b"]),
        ("/", &[], &["a", "a/b"]),
        ("..", &[], &["a", "..a"]),
        // Anchoring and cleaning.
        ("a", &["a", "a/b", "a/b/c"], &["b/a", "ab"]),
        ("/a", &["a", "a/b"], &["b/a"]),
        ("//a", &["a"], &["b/a"]),
        ("./a", &["a"], &["b/a"]),
        ("a/", &["a", "a/b"], &["b/a"]),
        ("a//b", &["a/b"], &["a", "b"]),
        ("a/./b", &["a/b", "a/b/c"], &["a"]),
        ("a/../b", &["b"], &["a", "a/b"]),
        ("../a", &[], &["a", "b/a"]),
        ("/../a", &["a"], &[]),
        ("  a  ", &["a"], &[]),
        ("\ta b\t", &["a b"], &["a", "b"]),
        ("\u{a0}a\u{2003}", &["a"], &[]),
        // One component.
        ("*.md", &["x.md", "x.md/y"], &["d/x.md"]),
        ("*/temp*", &["d/temp", "d/temporary.txt", "d/temp/x"], &["temp", "c/d/temp"]),
        ("*/*/temp*", &["c/d/temp.txt"], &["d/temp"]),
        ("temp?", &["tempa", "tempb/x"], &["temp", "d/tempa"]),
        // Any depth.
        ("**/x.go", &["x.go", "a/x.go", "a/b/x.go"], &["ax.go", "x.goo"]),
        ("**/*.go", &["x.go", "a/b/x.go"], &["x.go2"]),
        ("**/node_modules", &["node_modules/a", "p/node_modules/a/b"], &["node_modules2/a"]),
        ("a/**/z", &["a/z", "a/b/z", "a/b/c/z/y"], &["z", "a/b"]),
        ("a/**", &["a/b", "a/b/c"], &["a", "b"]),
        ("**/test/**", &["test/a", "x/test/a/b"], &["test", "x/test"]),
        ("a/*", &["a/b", "a/b/c"], &["a"]),
        // Exceptions: the last that matches decides.
        ("*.md + !README.md", &["x.md"], &["README.md"]),
        ("!README.md + *.md", &["README.md", "x.md"], &["x.txt"]),
        ("*.md + !README*.md + README-secret.md", &["x.md", "README-secret.md"], &["README.md", "README-x.md"]),
        ("*.md + README-secret.md + !README*.md", &["x.md"], &["README.md", "README-secret.md"]),
        ("a + !a/b", &["a", "a/c"], &["a/b", "a/b/c"]),
        ("a/ + !a/b", &["a/c"], &["a/b"]),
        ("a/* + !a/b", &["a/c", "a/c/d"], &["a", "a/b", "a/b/c"]),
        ("* + !src", &["a", "a/b"], &["src", "src/a/b"]),
        ("* + !src/*.py", &["src", "src/x.txt", "src/a/x.py"], &["src/x.py"]),
        ("* + !**/*.py", &["a", "a/b.txt", "b.txt"], &["x.py", "a/b/x.py"]),
        ("** + !util/web", &["util", "util/x", "x"], &["util/web", "util/web/x"]),
        ("** + !util/web + util/web/x", &["util/web/x"], &["util/web/y"]),
        ("**/*.log + !keep.log", &["a.log", "d/keep.log"], &["keep.log"]),
        ("**/*.log + !**/keep.log", &["a.log"], &["keep.log", "d/keep.log"]),
        ("a + !a/b + a/b/c", &["a", "a/x", "a/b/c"], &["a/b", "a/b/d"]),
        ("a + !a/b + a/b/c + !a/b/c/d", &["a", "a/b/c", "a/b/c/x"], &["a/b", "a/b/x", "a/b/c/d", "a/b/c/d/e"]),
        ("foo* + !foobar", &["foo", "foox"], &["foobar", "bar"]),
        ("! a", &[], &["a"]),
        ("* + !  a", &["b"], &["a"]),
        ("* + !/a", &["b"], &["a"]),
        ("* + !./a/", &["b"], &["a", "a/b"]),
        ("* + !!a", &["a"], &["!a"]),
        ("* + ./!a", &["b", "!a"], &["a"]),
        // An exception that is met while nothing is excluded is not handed down.
        ("**/*.pyc + !vendor", &["x.pyc", "vendor/x.pyc"], &["vendor", "vendor/x"]),
        ("**/*.pyc + !vendor/**", &["x.pyc"], &["vendor/x.pyc", "vendor/a/x.pyc"]),
        ("a/b + !a", &["a/b", "a/b/c"], &["a", "a/x"]),
        // The second rule: what a later line excludes again stays excluded.
        ("a + !a/b + a", &["a", "a/b", "a/b/c"], &[]),
        // A comment is one only in a file.
        ("#a", &["#a"], &["a"]),
        ("\\#a", &["#a"], &["a"]),
        ("\\!a", &["!a"], &["a"]),
        ("a\\ b", &["a b"], &["a"]),
        ("[ab]c", &["ac", "bc/x"], &["cc", "d/ac"]),
        ("**/[!.]*", &["!x", ".x", "d/.y"], &["x"]),
        ("**/.*", &[".x", "a/.x", "a/.x/b"], &["x", "a/x"]),
        ("*.{md,txt}", &["x.{md,txt}"], &["x.md", "x.txt"]),
        ("été/*", &["été/x"], &["ete/x"]),
    ];

    fn patterns(text: &str) -> Patterns {
        Patterns::parse(text.split(" + ")).unwrap()
    }

    #[test]
    fn semantics_10_patterns_are_docker_s() {
        let mut count = 0;
        for (text, matched, others) in CASES {
            let patterns = patterns(text);
            for (paths, expected) in [(matched, true), (others, false)] {
                for path in *paths {
                    count += 1;
                    assert_eq!(patterns.matches(path.as_bytes()), expected, "{text:?} and {path}");
                }
            }
        }
        assert!(count >= 120, "{count}");
    }

    /// A directory that is excluded is left unread only where nothing below it is taken back.
    #[test]
    fn pruning_loses_nothing() {
        let mut paths = std::collections::BTreeSet::new();
        for (_, matched, others) in CASES {
            paths.extend(matched.iter().chain(*others).copied());
        }
        for (text, ..) in CASES {
            let patterns = patterns(text);
            for path in &paths {
                let (kept, taken) = (!patterns.matches(path.as_bytes()), patterns.matches(path.as_bytes()));
                let mut standing = patterns.at_root();
                for (end, _) in path.match_indices('/') {
                    let (verdict, inside) = patterns.enter(&standing, &path[..end]);
                    if verdict.matched && kept {
                        assert!(patterns.may_except(&inside), "{text:?} hides {path} under {}", &path[..end]);
                    }
                    if !verdict.matched && taken {
                        assert!(patterns.may_match(&inside), "{text:?} misses {path} under {}", &path[..end]);
                    }
                    standing = inside;
                }
            }
        }
    }

    #[test]
    fn excluded_directories_are_left_unread() {
        for (text, directory, read) in [
            ("a", "a", false),
            ("* + !*.md", "a", false),
            ("* + !src/x", "src", true),
            ("* + !src/x", "a", false),
            ("* + !src/x", "src/y", false),
            ("* + !*/x", "a", true),
            ("* + !*/x", "a/b", false),
            ("* + !**/x", "a/b/c", true),
            ("a + !b", "a", false),
            ("a + !a/b/c", "a/b", true),
            ("**/node_modules + !p/node_modules/keep", "p/node_modules", true),
            ("**/node_modules + !p/node_modules/keep", "q/node_modules", false),
        ] {
            let patterns = patterns(text);
            let mut standing = patterns.at_root();
            let mut matched = false;
            for end in directory.match_indices('/').map(|(end, _)| end).chain([directory.len()]) {
                let (verdict, inside) = patterns.enter(&standing, &directory[..end]);
                (matched, standing) = (verdict.matched, inside);
            }
            assert!(matched, "{text:?} {directory}");
            assert_eq!(patterns.may_except(&standing), read, "{text:?} {directory}");
        }
    }

    #[test]
    fn verdicts_name_the_pattern() {
        let patterns = patterns("*.md + !README*.md +  docs/ ");
        let said = |path: &str| patterns.judge_whole(path.as_bytes()).by.and_then(|by| patterns.said(by));
        assert_eq!(said("x.md"), Some(("*.md", 1)));
        assert_eq!(said("README.md"), Some(("!README*.md", 2)));
        assert_eq!(said("docs/x/y"), Some(("docs/", 3)));
        assert_eq!(said("x"), None);
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for text in ["!", " ! ", "!/", "a/[", "a + !", "x\\"] {
            assert!(Patterns::parse(text.split(" + ")).is_err(), "{text:?}");
        }
        let (at, error) = Patterns::parse(["a", "b/[z-a]"]).unwrap_err();
        assert_eq!((at, error.to_string()), (1, "pattern `b/[z-a]` has a range that runs backwards".to_owned()));
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        fn pattern() -> impl Strategy<Value = String> {
            let piece = prop::sample::select(vec!["a", "b", "*", "**", "?", "a*", "[ab]", "[^a]", "ab"]);
            (any::<bool>(), prop::collection::vec(piece, 1..4))
                .prop_map(|(exception, pieces)| format!("{}{}", if exception { "!" } else { "" }, pieces.join("/")))
        }

        fn path() -> impl Strategy<Value = String> {
            prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "c"]), 1..5)
                .prop_map(|names| names.join("/"))
        }

        proptest! {
            /// What the table shows for the cases it has holds for all: a directory may be left unread where
            /// `may_except` says so.
            #[test]
            fn pruning_loses_nothing(lines in prop::collection::vec(pattern(), 0..5), path in path()) {
                let patterns = Patterns::parse(&lines).unwrap();
                let kept = !patterns.matches(path.as_bytes());
                let mut standing = patterns.at_root();
                for (end, _) in path.match_indices('/') {
                    let (verdict, inside) = patterns.enter(&standing, &path[..end]);
                    if kept && verdict.matched {
                        prop_assert!(patterns.may_except(&inside), "{lines:?} {path}");
                    }
                    if !kept && !verdict.matched {
                        prop_assert!(patterns.may_match(&inside), "{lines:?} {path}");
                    }
                    standing = inside;
                }
            }

            /// Any text is read or refused, never worse.
            #[test]
            fn any_line_is_read(line in prop::collection::vec(any::<u8>(), 0..40), path in path()) {
                if let Ok(patterns) = Patterns::parse([line]) {
                    patterns.matches(path.as_bytes());
                }
            }
        }
    }
}
