//! One glob, as Docker reads it: Go's `filepath.Match` with `**`.
//!
//! | written | means |
//! |---|---|
//! | `*` | any run of characters but `/` |
//! | `?` | one character but `/` |
//! | `**` | any number of directories, none too; at the end, everything that follows |
//! | `[a-z]`, `[^a-z]` | one character of the class, or one that is not in it |
//! | `\*` | the character itself |
//!
//! The rest stands for itself. A pattern matches a whole path, from the context's root, without leading or trailing slash.
//! Names are matched by character; a byte that is no UTF-8 counts as one character.
//!
//! Where Docker's own translation to regular expressions shines through, this differs: `\d` and the like are refused
//! rather than read as classes, `^` outside of brackets is always itself, and so are `*` and `?` inside of them.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::shown::Shown;

/// Paths have at most 4095 bytes: no longer pattern is of use.
const MAX_LENGTH: usize = 4096;

/// Names of the classes that may stand inside of brackets as `[:alpha:]`.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A pattern that is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern} {why}")]
pub struct GlobError {
    /// The pattern.
    pub pattern: Shown,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A compiled glob. Matching takes time linear in the path.
#[derive(Clone, Debug)]
pub struct Glob {
    shape: Shape,
    reach: Reach,
}

/// What is compared. All but the last are what nearly every pattern comes to.
#[derive(Clone, Debug)]
enum Shape {
    /// `**`
    Everything,
    /// No wildcard.
    Exact(Box<str>),
    /// `dir/**`: the path starts so.
    Start(Box<str>),
    /// `**/name` and `**/*.ext`: the path ends so.
    End(Box<str>, EndAt),
    /// All others.
    Regex(Regex),
}

/// Where an ending may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndAt {
    /// Anywhere: `**/*.ext`.
    Any,
    /// At the start of a component: `**/name`.
    Component,
    /// In the first component: `*.ext`.
    Top,
}

/// Which directories may hold something that matches.
#[derive(Clone, Debug)]
struct Reach {
    /// What the first components of the path must be.
    components: Vec<Component>,
    /// Whether anything may follow them; else exactly one component more.
    open: bool,
}

#[derive(Clone, Debug)]
enum Component {
    Exact(Box<str>),
    Regex(Regex),
}

enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Run,
    /// `**`, with the slash that follows, if any: any number of whole directories.
    Deep {
        slash: bool,
    },
    /// `**` at the end.
    Rest,
    /// `[…]`, as regular expressions write it, and whether a slash may be meant.
    Class {
        regex: String,
        slash: bool,
    },
}

impl Token {
    /// Whether it can stand for more than a part of one component.
    fn crosses(&self) -> bool {
        matches!(self, Token::Deep { .. } | Token::Rest | Token::Class { slash: true, .. })
    }
}

/// Bytes as text for matching: what is no UTF-8 becomes one character each, from the end of the last private plane.
pub(crate) fn symbols(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(0x10_ff00 + u32::from(*byte))));
    }
    Cow::Owned(text)
}

impl Glob {
    /// Compiles a pattern that is already clean (no empty, `.` or `..` components, no slash at either end).
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        let wrong = |why| GlobError { pattern: Shown::new(pattern.as_bytes()), why };
        if pattern.len() > MAX_LENGTH {
            return Err(wrong("has more than 4096 bytes"));
        }
        let (tokens, escaped) = scan(pattern).map_err(wrong)?;
        let shape = shape(&tokens, escaped).map_err(wrong)?;
        let reach = reach(&tokens).map_err(wrong)?;
        Ok(Glob { shape, reach })
    }

    /// Whether the path matches. `path` is what [`symbols`] makes of a path's bytes.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        match &self.shape {
            Shape::Everything => true,
            Shape::Exact(text) => path == &**text,
            Shape::Start(text) => path.starts_with(&**text),
            Shape::End(text, at) => match path.strip_suffix(&**text) {
                None => false,
                Some(before) => match at {
                    EndAt::Any => true,
                    EndAt::Component => before.is_empty() || before.ends_with('/'),
                    EndAt::Top => !before.contains('/'),
                },
            },
            Shape::Regex(regex) => regex.is_match(path),
        }
    }

    /// Whether the path matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.is_match(&symbols(path))
    }

    /// The only path that matches, where there is no wildcard.
    pub fn literal(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(text) => Some(text),
            _ => None,
        }
    }

    /// The leading directories without a wildcard, from the root.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &str> {
        self.reach.components.iter().map_while(|component| match component {
            Component::Exact(text) => Some(&**text),
            Component::Regex(_) => None,
        })
    }

    /// Whether something below the directory `name` may match, where that holds of the directory above. `depth` is the
    /// number of directories above it.
    pub(crate) fn leads_into(&self, depth: usize, name: &str) -> bool {
        match self.reach.components.get(depth) {
            None => self.reach.open,
            Some(Component::Exact(text)) => name == &**text,
            Some(Component::Regex(regex)) => regex.is_match(name),
        }
    }
}

/// Takes a pattern apart. The flag says whether any character was escaped.
fn scan(pattern: &str) -> Result<(Vec<Token>, bool), &'static str> {
    let mut tokens = Vec::new();
    let mut escaped = false;
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' if rest.as_str().starts_with('*') => {
                rest.next();
                let slash = rest.as_str().starts_with('/');
                if slash {
                    rest.next();
                }
                if rest.as_str().is_empty() { Token::Rest } else { Token::Deep { slash } }
            }
            '*' => Token::Run,
            '?' => Token::One,
            '[' => class(&mut rest)?,
            '\\' => {
                escaped = true;
                Token::Char(escape(&mut rest)?)
            }
            c => Token::Char(c),
        });
    }
    Ok((tokens, escaped))
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    match rest.next() {
        None => Err("ends in a backslash, which has nothing to escape"),
        Some(c) if c.is_ascii_alphanumeric() => {
            Err("has a backslash before a letter or digit: paths are written with `/`, and only signs need an escape")
        }
        Some(c) => Ok(c),
    }
}

const UNCLOSED: &str = "has a `[` without its `]`: write `\\[` for the character itself";

/// What stands between brackets, the first one being read.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, &'static str> {
    let mut regex = String::from("[");
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
        regex.push('^');
    }
    let (mut empty, mut slash) = (true, false);
    loop {
        let text = rest.as_str();
        if text.starts_with(']') && !empty {
            rest.next();
            break;
        }
        empty = false;
        if let Some((name, after)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) {
            if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err("has an unknown class: `[:alpha:]`, `[:digit:]`, `[:space:]` and the like exist");
            }
            regex.push_str(&text[..name.len() + 4]);
            slash = true;
            *rest = after.chars();
            continue;
        }
        let low = class_char(rest)?;
        let high = if rest.as_str().starts_with('-') {
            rest.next();
            class_char(rest)?
        } else {
            low
        };
        if high < low {
            return Err("has a range that runs backwards");
        }
        slash |= (low..=high).contains(&'/');
        regex.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
    }
    regex.push(']');
    Ok(Token::Class { regex, slash: slash || negated })
}

fn class_char(rest: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    match rest.next() {
        None => Err(UNCLOSED),
        Some('-') => Err("has a `-` inside of brackets that is no range: write `\\-`"),
        Some(']') => Err("has an empty class or range: write `\\]` for the character itself"),
        Some('\\') => escape(rest),
        Some(c) => Ok(c),
    }
}

/// The characters of tokens that are nothing else.
fn plain(tokens: &[Token]) -> Option<String> {
    let mut text = String::with_capacity(tokens.len());
    for token in tokens {
        let Token::Char(c) = token else { return None };
        text.push(*c);
    }
    Some(text)
}

fn shape(tokens: &[Token], escaped: bool) -> Result<Shape, &'static str> {
    if let Some(text) = plain(tokens) {
        return Ok(Shape::Exact(text.into()));
    }
    match tokens {
        [Token::Rest] => return Ok(Shape::Everything),
        [start @ .., Token::Rest] => {
            if let Some(text) = plain(start) {
                return Ok(Shape::Start(text.into()));
            }
        }
        [Token::Deep { slash: true }, Token::Run, end @ ..] => {
            if let Some(text) = plain(end).filter(|text| !text.contains('/')) {
                return Ok(Shape::End(text.into(), EndAt::Any));
            }
        }
        [Token::Deep { slash }, end @ ..] => {
            // Docker's own oddity: `**name` without a slash matches any path that ends so, unless something is escaped.
            if let Some(text) = plain(end).filter(|_| *slash || !escaped) {
                return Ok(Shape::End(text.into(), if *slash { EndAt::Component } else { EndAt::Any }));
            }
        }
        [Token::Run, end @ ..] => {
            if let Some(text) = plain(end).filter(|text| !text.contains('/')) {
                return Ok(Shape::End(text.into(), EndAt::Top));
            }
        }
        _ => {}
    }
    compile(tokens).map(Shape::Regex)
}

fn compile(tokens: &[Token]) -> Result<Regex, &'static str> {
    let mut text = String::from(r"\A");
    let mut utf8 = [0; 4];
    for token in tokens {
        match token {
            Token::Char(c) => text.push_str(&regex::escape(c.encode_utf8(&mut utf8))),
            Token::One => text.push_str("[^/]"),
            Token::Run => text.push_str("[^/]*"),
            Token::Deep { .. } => text.push_str("(?:.*/)?"),
            Token::Rest => text.push_str(".*"),
            Token::Class { regex, .. } => text.push_str(regex),
        }
    }
    text.push_str(r"\z");
    RegexBuilder::new(&text).dot_matches_new_line(true).build().map_err(|_| "is too complicated")
}

fn reach(tokens: &[Token]) -> Result<Reach, &'static str> {
    let mut components = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.crosses() {
            return Ok(Reach { components, open: true });
        }
        if matches!(token, Token::Char('/')) {
            let component = &tokens[start..at];
            components.push(match plain(component) {
                Some(text) => Component::Exact(text.into()),
                None => Component::Regex(compile(component)?),
            });
            start = at + 1;
        }
    }
    Ok(Reach { components, open: false })
}

/// A path without empty and `.` components, `..` applied where it can be, as Go's `path.Clean` does.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => {
                components.pop();
            }
            ".." if rooted => {}
            component => components.push(component),
        }
    }
    let text = components.join("/");
    match (rooted, text.is_empty()) {
        (true, _) => format!("/{text}"),
        (false, true) => ".".to_owned(),
        (false, false) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
        for path in matching {
            assert!(glob.matches(path.as_bytes()), "{pattern} should match {path}");
            // Every directory above a match is reached.
            let components: Vec<&str> = path.split('/').collect();
            for (depth, name) in components[..components.len() - 1].iter().enumerate() {
                assert!(glob.leads_into(depth, name), "{pattern} should lead into {name} of {path}");
            }
        }
        for path in others {
            assert!(!glob.matches(path.as_bytes()), "{pattern} should not match {path}");
        }
    }

    #[test]
    fn wildcards() {
        check("a", &["a"], &["b", "a/b", "A", ""]);
        check("a/b", &["a/b"], &["a", "b", "x/a/b"]);
        check("*", &["a", ".hidden", "a b"], &["a/b"]);
        check("*.md", &["x.md", ".md"], &["d/x.md", "x.mdx"]);
        check("*/*.md", &["d/x.md"], &["x.md", "c/d/x.md"]);
        check("a*", &["a", "ab"], &["ab/c", "ba"]);
        check("a*b*c", &["abc", "axxbyyc", "abbc", "acbc"], &["ab", "a/bc"]);
        check("*a**/b", &["ab", "aab", "xa/b", "aa/x/y/b"], &["b", "x/b"]);
        check("?", &["a", "é", "☺"], &["ab", "", "/"]);
        check("a?b", &["axb", "a☺b"], &["ab", "a/b", "axxb"]);
        check("temp?", &["tempa"], &["temp", "tempab", "x/tempa"]);
    }

    #[test]
    fn double_stars() {
        check("**", &["a", "a/b", ".x/y"], &[]);
        check("**/a", &["a", "x/a", "x/y/a"], &["xa", "a/x", "x/xa"]);
        check("**/a/b", &["a/b", "x/a/b"], &["b", "xa/b"]);
        check("a/**", &["a/b", "a/b/c"], &["a", "ab", "x/a/b"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "b"]);
        check("**/*.go", &["x.go", "a/x.go", "a/b/.go"], &["x.gone"]);
        check("**/*.go/x", &["y.go/x", "a/y.go/x"], &["x"]);
        check("**/a/**", &["a/b", "x/a/b/c"], &["a", "x/a"]);
        check("**/a/*", &["a/b", "x/a/b"], &["a", "a/b/c"]);
        check("**/**/*.txt", &["x.txt", "a/b/x.txt"], &["x.txt2"]);
        check("a**", &["a", "ab", "a/b"], &["ba"]);
        check("a**/*.txt", &["a/x.txt", "ab/c/x.txt"], &["b/x.txt"]);
        // Without a slash after it, two stars at the start match any ending; but only where nothing else is special.
        check("**name", &["name", "d/name", "xname", "d/xname"], &["names"]);
        check("**name*", &["name", "d/name1"], &["xname1"]);
        check("a/*.txt**", &["a/x.txt", "a/x.txt.gz/y"], &["a/b/x.txt"]);
        check("***", &["a", "a/b"], &[]);
    }

    #[test]
    fn classes_and_escapes() {
        check("a[b-d]e", &["ace"], &["ae", "aae", "abce"]);
        check("a[^b-d]e", &["aze", "a/e", "a☺e"], &["ace", "ae"]);
        check("[a-ζ]*", &["α", "b1"], &["A"]);
        check("[\\]a]", &["]", "a"], &["b"]);
        check("[\\-x]", &["-", "x"], &["a"]);
        check("[x\\-z]", &["x", "-", "z"], &["y"]);
        check("[!a]", &["!", "a"], &["b"]);
        check("[a^]", &["a", "^"], &["b"]);
        check("[[]x", &["[x"], &["x"]);
        check("[.-0]x", &[".x", "0x", "/x"], &["1x"]);
        check("[[:digit:]]x", &["1x"], &["ax", "d]x"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("\\#x", &["#x"], &["\\#x"]);
        check("\\!x", &["!x"], &["x"]);
        check("a\\\\", &["a\\"], &["a"]);
        check("a]b", &["a]b"], &[]);
        check("a^b*", &["a^b", "a^bc"], &["ab"]);
        check("a.|)$(}+{bc", &["a.|)$(}+{bc"], &["aZ|)$(}+{bc"]);
        check("a.|)$(}+{bc*", &["a.|)$(}+{bc*"], &["aZ|)$(}+{bc*"]);
        check("x&&y~~z--*", &["x&&y~~z--"], &["x"]);
        check("**/x.y", &["x.y", "d/x.y"], &["x-y", "d/x-y"]);
    }

    #[test]
    fn malformed() {
        for pattern in [
            "[",
            "a[",
            "[^",
            "[a",
            "[^bc",
            "[]a]",
            "[^]a]",
            "[-]",
            "[x-]",
            "[-x]",
            "[a-b-c]",
            "[z-a]",
            "\\",
            "a\\",
            "[\\",
            "[a\\]",
            "\\d",
            "a\\b",
            "[\\d]",
            "[[:nosuch:]]",
            "[]",
        ] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Glob::parse(&"?".repeat(4097)).is_err());
        assert!(Glob::parse(&"a*?".repeat(1300)).is_ok());
        assert_eq!(
            Glob::parse("src/[").unwrap_err().to_string(),
            "pattern `src/[` has a `[` without its `]`: write `\\[` for the character itself"
        );
    }

    #[test]
    fn bytes_that_are_no_text() {
        let glob = |bytes: &[u8]| Glob::parse(&symbols(bytes)).unwrap();
        assert!(glob(b"a?b").matches(b"a\xffb"));
        assert!(!glob(b"a?b").matches(b"a\xff\xfeb"));
        assert!(glob(b"*.txt").matches(b"\xe9t\xe9.txt"));
        assert!(glob(b"caf\xe9").matches(b"caf\xe9"));
        assert!(!glob(b"caf\xe9").matches(b"caf\xe8"));
        assert!(glob(b"**/caf\xe9*").matches(b"x/caf\xe9s"));
        assert!(glob(b"[^a]").matches(b"\x80"));
        // A cut character is as many characters as it has bytes.
        assert!(glob(b"??").matches(b"\xe2\x98"));
        assert!(glob("**/a*b".as_bytes()).matches(b"d/a\nb"));
    }

    #[test]
    fn directories_that_may_hold_a_match() {
        for (pattern, inside, outside) in [
            ("a/b/c", vec!["a", "a/b"], vec!["b", "a/c", "a/b/c"]),
            ("*.md", vec![], vec!["a", "x.md"]),
            ("*/b/*", vec!["a", "a/b"], vec!["a/c", "a/b/c"]),
            ("a/**/z", vec!["a", "a/b", "a/b/c"], vec!["b", "b/a"]),
            ("**/z", vec!["a", "a/b"], vec![]),
            ("a**", vec!["a", "b"], vec![]),
            ("s[^x]c/y", vec!["s", "src"], vec![]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            let leads = |path: &str| path.split('/').enumerate().all(|(depth, name)| glob.leads_into(depth, name));
            for path in inside {
                assert!(leads(path), "{pattern} {path}");
            }
            for path in outside {
                assert!(!leads(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, clean_path) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("a//b/./c/", "a/b/c"),
            ("./a", "a"),
            ("a/..", "."),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("//a", "/a"),
            ("**/", "**"),
            ("../../..", "../../.."),
        ] {
            assert_eq!(clean(path), clean_path, "{path}");
        }
    }
}
