//! `{…}` in strings of a recipe: `{git.short}`, `{env.NAME}`, `{image}`, `{variant}`, `{arch}` (semantics 3, 5).
//!
//! Only these are special. Any other brace stands for itself, and `{{` is one brace. A default is taken where there is no
//! value: `{env.NAME:-default}`, where the variable is not set or empty, and so `{git.tag:-none}`. Where no brace can stand (in
//! tags and repositories), a word between braces is a placeholder that nobody knows.

use std::ops::Range;

use super::inputs::Inputs;
use super::problems::{Fault, shown};
use crate::code::ErrorCode;
use crate::git::Fact;
use crate::nearest::nearest;
use crate::shown::with_causes;

/// Something to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    Git(Fact, Option<String>),
    Env(String, Option<String>),
    Image,
    Variant,
    Arch,
}

/// What can be filled in: as it is written, what it stands for, and an example of that. For people.
pub(super) const PLACEHOLDERS: [(&str, &str, &str); 8] = [
    ("{git.commit}", "the commit that is checked out, in full", "3f1c9a07be…"),
    ("{git.short}", "the first 7 digits of the commit, always 7", "3f1c9a0"),
    (
        "{git.branch}",
        "the branch, made fit for a tag; from the variables of the CI system where the head is detached",
        "main",
    ),
    ("{git.tag}", "the tag of the commit, made fit for a tag of an image", "v1.4"),
    ("{env.NAME}", "the environment variable `NAME`", "42"),
    ("{image}", "the name of the image in the recipe", "web"),
    ("{variant}", "the variant of the image", "k8s"),
    ("{arch}", "the architecture of the platform, in Go's names", "arm64"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Hole(Placeholder, Range<usize>),
}

/// A string with placeholders, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// As it is written.
    text: String,
    pieces: Vec<Piece>,
}

/// What placeholders are filled with, but for the architecture.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) image: &'a str,
    pub(super) variant: Option<&'a str>,
}

/// A string in which nothing but the architecture is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filled {
    /// Literals, with an `{arch}` between each two.
    parts: Vec<String>,
    /// Whether a part came from the environment: then it is not repeated in messages.
    from_env: bool,
}

/// Those that names of images may hold.
fn known() -> String {
    let known = PLACEHOLDERS.iter().filter(|known| known.0 != "{arch}").map(|known| format!("`{}`", known.0));
    known.collect::<Vec<_>>().join(", ")
}

/// Reads what stands between braces; `None` where the braces stand for themselves.
///
/// # Errors
/// Where it begins like a placeholder and is none.
pub(super) fn placeholder(inside: &str) -> Option<Result<Placeholder, Fault>> {
    match inside {
        "image" => return Some(Ok(Placeholder::Image)),
        "variant" => return Some(Ok(Placeholder::Variant)),
        "arch" => return Some(Ok(Placeholder::Arch)),
        _ => {}
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inside, None),
    };
    let (family, field) = name.split_once('.').unwrap_or((name, ""));
    match family {
        "git" => Some(match Fact::named(field) {
            Some(fact) => Ok(Placeholder::Git(fact, default)),
            None => {
                let help = match nearest(field, Fact::ALL.iter().map(|fact| fact.name())) {
                    Some(close) => format!("did you mean `{{git.{close}}}`?"),
                    None => format!("those are {}; a brace that stands for itself is written `{{{{`", known()),
                };
                Err(Fault::new(
                    format!("unknown placeholder {}", shown(&format!("{{{inside}}}"))),
                    "expected `{git.commit}`, `{git.short}`, `{git.branch}` or `{git.tag}`",
                )
                .coded(ErrorCode::Interpolation)
                .help(help))
            }
        }),
        "env" => Some(match valid_variable(field) {
            true => Ok(Placeholder::Env(field.to_owned(), default)),
            false => Err(Fault::new(
                format!("unknown placeholder {}", shown(&format!("{{{inside}}}"))),
                "expected `{env.NAME}` or `{env.NAME:-default}`",
            )
            .coded(ErrorCode::Interpolation)
            .help("a brace that stands for itself is written `{{`")),
        }),
        _ => misspelt(inside, family).map(Err),
    }
}

/// What begins as a placeholder is misspelt by one letter, such as `{imgae}`. Words that go on after the name of one, or
/// begin otherwise, mean something else.
fn misspelt(inside: &str, family: &str) -> Option<Fault> {
    let lower = family.to_ascii_lowercase();
    let close = nearest(family, ["image", "variant", "arch", "git", "env"])?;
    let is_family = matches!(close, "git" | "env");
    if close.as_bytes().first() != lower.as_bytes().first()
        || lower.starts_with(close) && lower != close
        || is_family != (inside != family)
    {
        return None;
    }
    let meant = format!("{{{close}{}}}", &inside[family.len()..]);
    let fault =
        Fault::new(format!("unknown placeholder {}", shown(&format!("{{{inside}}}"))), format!("expected `{meant}`"));
    Some(
        fault
            .coded(ErrorCode::Interpolation)
            .help(format!("did you mean `{meant}`? a brace that stands for itself is written `{{{{`")),
    )
}

/// What stands in front of the next closing brace, unless that is far away.
pub(super) fn inside_of(rest: &str) -> Option<&str> {
    let near = &rest[..rest.floor_char_boundary(4096)];
    near.find('}').map(|end| &near[..end])
}

/// The words between braces of a text: where each stands, what it is, and whether a dollar stands before it. Those after two
/// braces are none.
fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str, bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let brace = at + text[at..].find('{')?;
            at = brace + 1;
            if text[at..].starts_with('{') {
                at += 1;
            } else if let Some(inside) = inside_of(&text[at..]) {
                return Some((brace..at + inside.len() + 1, inside, text[..brace].ends_with('$')));
            }
        }
    })
}

/// The placeholders in a text of a key in which none is filled in, but those that may well be something else: `${image}`.
pub(super) fn idle(text: &str) -> impl Iterator<Item = (Range<usize>, Placeholder)> {
    words(text)
        .filter(|(.., dollar)| !dollar)
        .filter_map(|(range, inside, _)| Some((range, placeholder(inside)?.ok()?)))
}

/// A name that a shell can set.
fn valid_variable(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(word)
}

impl Template {
    /// Parses a string.
    ///
    /// # Errors
    /// Where a placeholder is misspelt.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(brace) = text[at..].find('{').map(|found| at + found) {
            literal.push_str(&text[at..brace]);
            at = brace + 1;
            if text[at..].starts_with('{') {
                literal.push('{');
                at += 1;
                continue;
            }
            let inside = inside_of(&text[at..]);
            match inside.and_then(|inside| placeholder(inside).map(|found| (inside, found))) {
                Some((inside, found)) => {
                    let range = brace..at + inside.len() + 1;
                    let hole = found.map_err(|fault| fault.within(range.clone()))?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    at = range.end;
                    pieces.push(Piece::Hole(hole, range));
                }
                None => literal.push('{'),
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// Parses a path: `{arch}` is filled in there, and any other placeholder is a mistake.
    ///
    /// # Errors
    /// Where another placeholder is named.
    pub(super) fn parse_path(text: &str) -> Result<Filled, Fault> {
        let template = Template::parse(text)?;
        for piece in &template.pieces {
            if let Piece::Hole(hole, range) = piece
                && *hole != Placeholder::Arch
            {
                return Err(Fault::new(
                    format!("{} is not filled in in a path", shown(&text[range.clone()])),
                    "only `{arch}` is",
                )
                .coded(ErrorCode::Interpolation)
                .help("a brace that stands for itself is written `{{`")
                .within(range.clone()));
            }
        }
        let mut filled = Filled::default();
        for piece in template.pieces {
            match piece {
                Piece::Literal(text) => filled.push(&text),
                Piece::Hole(..) => filled.push_arch(),
            }
        }
        Ok(filled)
    }

    /// Whether `{image}`, `{variant}`, `{arch}` or one of `{env.…}` is in it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Hole(Placeholder::Image, _) => name == "image",
            Piece::Hole(Placeholder::Variant, _) => name == "variant",
            Piece::Hole(Placeholder::Arch, _) => name == "arch",
            Piece::Hole(Placeholder::Env(..), _) => name == "env",
            _ => false,
        })
    }

    /// What looks like a placeholder and is none, where no brace can stand for itself.
    pub(super) fn stray(&self) -> Option<Fault> {
        let (range, inside, _) = words(&self.text).find(|(_, inside, _)| placeholder(inside).is_none())?;
        let help = match inside {
            "name" => "did you mean `{image}`?".to_owned(),
            inside if Fact::named(inside).is_some() => format!("did you mean `{{git.{inside}}}`?"),
            _ => format!("those are {}", known()),
        };
        Some(
            Fault::new(
                format!("unknown placeholder {}", shown(&format!("{{{inside}}}"))),
                "expected one that is known",
            )
            .coded(ErrorCode::Interpolation)
            .help(help)
            .within(range),
        )
    }

    /// Whether something of the commit or the environment is in it.
    pub(super) fn moves(&self) -> bool {
        let moves = |piece: &Piece| matches!(piece, Piece::Hole(Placeholder::Git(..) | Placeholder::Env(..), _));
        self.pieces.iter().any(moves)
    }

    /// The string as it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Fills everything in but the architecture.
    ///
    /// # Errors
    /// Where something has no value, and no default.
    pub(super) fn fill(&self, scope: &Scope<'_>) -> Result<Filled, Fault> {
        let mut filled = Filled::default();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.push(text),
                Piece::Hole(Placeholder::Arch, _) => filled.push_arch(),
                Piece::Hole(hole, range) => {
                    filled.from_env |= matches!(hole, Placeholder::Env(..));
                    filled.push(&scope.value(hole).map_err(|fault| fault.within(range.clone()))?);
                }
            }
        }
        Ok(filled)
    }
}

impl Scope<'_> {
    /// What a placeholder stands for; that of `{arch}` is not known here, and empty.
    ///
    /// # Errors
    /// Where it has no value, and no default.
    pub(super) fn value(&self, hole: &Placeholder) -> Result<String, Fault> {
        match hole {
            Placeholder::Arch => Ok(String::new()),
            Placeholder::Image => Ok(self.image.to_owned()),
            Placeholder::Variant => match self.variant {
                Some(variant) => Ok(variant.to_owned()),
                None => Err(Fault::new(
                    format!("image {} has no variant", shown(self.image)),
                    "there is no value for it",
                )
                .coded(ErrorCode::Interpolation)
                .help(
                    "list some with `variants = […]`, or write this where only variants read it: in `[variants.NAME]`",
                )),
            },
            Placeholder::Env(name, default) => {
                let value = self.inputs.environment.get(name).filter(|value| default.is_none() || !value.is_empty());
                match (value, default) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(default)) => Ok(default.clone()),
                    (None, None) => Err(Fault::new(
                        format!("environment variable {} is not set", shown(name)),
                        "there is no value for it",
                    )
                    .coded(ErrorCode::Interpolation)
                    .help(format!("set it, or give a default: `{{env.{name}:-…}}`"))),
                }
            }
            Placeholder::Git(fact, default) => match (self.inputs.git.fact(*fact), default) {
                (Ok(value), _) => Ok(value),
                (Err(_), Some(default)) => Ok(default.clone()),
                (Err(error), None) => {
                    let (name, text) = (fact.name(), with_causes(&error));
                    Err(Fault::new(format!("`{{git.{name}}}` is not known: {text}"), "there is no value for it")
                        .coded(ErrorCode::Interpolation)
                        .help(format!("build in a checkout, or give a default: `{{git.{name}:-…}}`")))
                }
            },
        }
    }
}

/// A text in which no brace begins a placeholder.
pub(super) fn escaped(text: &str) -> String {
    text.replace('{', "{{")
}

impl Default for Filled {
    fn default() -> Self {
        Filled { parts: vec![String::new()], from_env: false }
    }
}

impl Filled {
    pub(super) fn push(&mut self, text: &str) {
        if let Some(last) = self.parts.last_mut() {
            last.push_str(text);
        }
    }

    pub(super) fn push_arch(&mut self) {
        self.parts.push(String::new());
    }

    /// The string for an architecture.
    pub(super) fn with_arch(&self, arch: &str) -> String {
        self.parts.join(arch)
    }

    /// The string, where no `{arch}` is in it.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The string as a recipe writes it.
    pub(super) fn text(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|part| escaped(part)).collect();
        parts.join("{arch}")
    }

    /// Whether some of it came from the environment.
    pub(super) fn is_from_env(&self) -> bool {
        self.from_env
    }

    /// The string as messages may show it.
    pub(super) fn shown(&self) -> String {
        match self.from_env {
            true => "the text with what the environment says".to_owned(),
            false => shown(&self.with_arch("{arch}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::git::{Checkout, Facts};

    fn inputs() -> Inputs {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        let facts = Facts {
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            branch: Some("main".to_owned()),
            ..Facts::default()
        };
        Inputs { environment, git: Checkout::known(facts), ..Inputs::default() }
    }

    fn fill(text: &str) -> Result<String, Fault> {
        let inputs = inputs();
        let scope = Scope { inputs: &inputs, image: "app", variant: None };
        Ok(Template::parse(text)?.fill(&scope)?.with_arch("arm64"))
    }

    #[test]
    fn fills_in_what_is_special_and_nothing_else() {
        for (text, filled) in [
            ("", ""),
            ("{image}-{git.short}", "app-0123456"),
            ("{git.commit}", "0123456789abcdef0123456789abcdef01234567"),
            ("{git.branch}", "main"),
            ("{git.tag:-none}", "none"),
            ("{env.A}{env.B:-b}{env.E:-e}[{env.E}]{env.B:-}", "1be[]"),
            ("{arch}", "arm64"),
            ("{{image}", "{image}"),
            ("{{{image}}", "{app}"),
            ("{x} {} { {image {\"a\":{\"b\":1}}", "{x} {} { {image {\"a\":{\"b\":1}}"),
            ("é{image}é", "éappé"),
            ("{env.B:-a:-b}", "a:-b"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        for (text, range, message) in [
            ("x{env.B}", 1..8, "environment variable `B` is not set"),
            ("{variant}", 0..9, "image `app` has no variant"),
            ("{git.comit}", 0..11, "unknown placeholder `{git.comit}`"),
            ("{git}", 0..5, "unknown placeholder `{git}`"),
            ("{env.}", 0..6, "unknown placeholder `{env.}`"),
            ("{env.1}", 0..7, "unknown placeholder `{env.1}`"),
            ("{git.tag}", 0..9, "`{git.tag}` is not known: no tag points at the commit"),
        ] {
            let fault = fill(text).unwrap_err();
            assert_eq!((fault.range, fault.message.as_str()), (Some(range), message));
        }
    }

    #[test]
    fn the_list_for_people_is_of_placeholders_and_complete() {
        for (written, ..) in PLACEHOLDERS {
            let inside = written.trim_start_matches('{').trim_end_matches('}');
            assert!(matches!(placeholder(inside), Some(Ok(_))), "{written}");
        }
        for fact in Fact::ALL {
            let written = format!("{{git.{}}}", fact.name());
            assert!(PLACEHOLDERS.iter().any(|known| known.0 == written), "{written}");
        }
    }

    #[test]
    fn idle_placeholders_and_strays_are_told_from_other_braces() {
        for text in ["", "{}", "{\"a\": {\"b\": 1}}", "${image}", "${VAR}", "{{image}", "{name}", "{.Image}", "{image"]
        {
            assert_eq!(idle(text).next(), None, "{text}");
        }
        assert_eq!(idle("x {image}").next(), Some((2..9, Placeholder::Image)));
        let found: Vec<_> = idle("${image} {git.short} {image}").map(|(range, _)| (range.start, range.end)).collect();
        assert_eq!(found, [(9, 20), (21, 28)]);
        let stray = |text: &str| Template::parse(text).unwrap().stray().map(|fault| (fault.range, fault.message));
        assert_eq!(stray("v{git.short}-{sha}"), Some((Some(13..18), "unknown placeholder `{sha}`".to_owned())));
        assert_eq!(stray("v{git.short}-{image}"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}a-z.:$é-]{0,30}") {
            let _ = fill(&text);
            let _ = Template::parse_path(&text);
            let _ = idle(&text).count();
            let _ = Template::parse(&text).map(|template| template.stray());
        }
    }
}
