//! `env` of an image: values with `${NAME}`, which is what the base has (semantics 4).
//!
//! `${N}` is the base's value, empty where it has none; `${N:-x}` is `x` where it is empty or not set, `${N:+x}` is `x`
//! where it is neither; without the colon an empty value counts as one, as in a shell. Keys of the same table are not seen.
//! `$$` is one dollar. A `$NAME` without braces is refused, since it means one thing in a Dockerfile and another elsewhere.
//! `{git.short}` and the other placeholders are filled in before, by [`super::template`].

use std::collections::BTreeMap;
use std::ops::Range;

use super::At;
use super::problems::{Fault, shown};
use super::template::{Placeholder, Scope, escaped, inside_of, placeholder};

/// Variables of an image, by name: what is set, and what is taken away (`None`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, At<Option<EnvValue>>>);

/// A value in which the base's variables and the architecture are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvValue(Vec<Piece<Ready>>);

/// A value as it is written, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EnvTemplate {
    text: String,
    pieces: Vec<Piece<Open>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<H> {
    Literal(String),
    Hole(H),
    Variable { name: String, rule: Rule, word: Vec<Piece<H>> },
}

/// Still to be filled in from the recipe's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open(Placeholder, Range<usize>);

/// Only the architecture is open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ready {
    Arch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// `${N}`
    Value,
    /// `${N:-word}`, and `${N-word}`, where an empty value counts.
    Default { empty_counts: bool },
    /// `${N:+word}`, and `${N+word}`, where an empty value counts.
    Alternative { empty_counts: bool },
}

/// What a value comes to over a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The value.
    pub value: String,
    /// What is odd about it; each a message and what to do.
    pub warnings: Vec<(String, String)>,
}

const MAX_DEPTH: usize = 20;

impl EnvTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut parser = Parser { text, at: 0 };
        Ok(EnvTemplate { text: text.to_owned(), pieces: parser.pieces(0)? })
    }

    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Fills in everything but the base's variables and the architecture.
    pub(super) fn fill(&self, scope: &Scope<'_>) -> Result<EnvValue, Fault> {
        fill(&self.pieces, scope).map(EnvValue)
    }
}

fn fill(pieces: &[Piece<Open>], scope: &Scope<'_>) -> Result<Vec<Piece<Ready>>, Fault> {
    let mut filled = Vec::with_capacity(pieces.len());
    for piece in pieces {
        filled.push(match piece {
            Piece::Literal(text) => Piece::Literal(text.clone()),
            Piece::Hole(Open(Placeholder::Arch, _)) => Piece::Hole(Ready::Arch),
            Piece::Hole(Open(hole, range)) => {
                let value = scope.value(hole).map_err(|fault| fault.within(range.clone()))?;
                if value.contains('\0') {
                    return Err(Fault::new("the value holds a NUL byte", "cannot be part of an environment")
                        .within(range.clone()));
                }
                Piece::Literal(value)
            }
            Piece::Variable { name, rule, word } => {
                Piece::Variable { name: name.clone(), rule: *rule, word: fill(word, scope)? }
            }
        });
    }
    Ok(filled)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn take(&mut self, prefix: &str) -> bool {
        let there = self.rest().starts_with(prefix);
        if there {
            self.at += prefix.len();
        }
        there
    }

    /// Pieces up to the end, or up to the brace that ends the expression they are in.
    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece<Open>>, Fault> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let flush = |literal: &mut String, pieces: &mut Vec<Piece<Open>>| {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(literal)));
            }
        };
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            if c == '}' && depth > 0 {
                break;
            } else if self.take("$$") {
                literal.push('$');
            } else if self.take("${") {
                flush(&mut literal, &mut pieces);
                pieces.push(self.variable(start, depth)?);
            } else if c == '$' && self.rest()[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                let name = name_of(&self.rest()[1..]);
                return Err(Fault::new(
                    format!("{} has no braces", shown(&format!("${name}"))),
                    "expected braces around the name",
                )
                .help(format!("the base's value is `${{{name}}}`; a dollar that stands for itself is `$$`"))
                .within(start..start + 1 + name.len()));
            } else if self.take("{{") {
                literal.push('{');
            } else if c == '{' {
                let inside = inside_of(&self.rest()[1..]).map(str::to_owned);
                match inside.and_then(|inside| placeholder(&inside).map(|found| (inside.len() + 2, found))) {
                    Some((length, found)) => {
                        let range = start..start + length;
                        let hole = found.map_err(|fault| fault.within(range.clone()))?;
                        flush(&mut literal, &mut pieces);
                        pieces.push(Piece::Hole(Open(hole, range)));
                        self.at += length;
                    }
                    None => {
                        literal.push('{');
                        self.at += 1;
                    }
                }
            } else {
                literal.push(c);
                self.at += c.len_utf8();
            }
        }
        flush(&mut literal, &mut pieces);
        Ok(pieces)
    }

    /// What follows a `${`.
    fn variable(&mut self, start: usize, depth: usize) -> Result<Piece<Open>, Fault> {
        let whole = |parser: &Self| {
            let end = parser.text[start..].find('}').map_or(parser.text.len(), |end| start + end + 1);
            start..end
        };
        let name = name_of(self.rest()).to_owned();
        if name.is_empty() || self.rest()[name.len()..].starts_with('.') {
            let range = whole(self);
            let inside = self.text[range.start + 2..range.end].trim_end_matches('}');
            let fault = Fault::new(
                format!("{} names no variable", shown(&self.text[range.clone()])),
                "expected a name of letters, digits and `_`",
            )
            .within(range);
            return Err(match placeholder(inside) {
                Some(_) => fault.help(format!("leave the dollar out: `{{{inside}}}`")),
                None => fault.help("a dollar that stands for itself is `$$`"),
            });
        }
        self.at += name.len();
        let rule = if self.rest().starts_with('}') {
            Rule::Value
        } else if self.take(":-") {
            Rule::Default { empty_counts: false }
        } else if self.take(":+") {
            Rule::Alternative { empty_counts: false }
        } else if self.take("-") {
            Rule::Default { empty_counts: true }
        } else if self.take("+") {
            Rule::Alternative { empty_counts: true }
        } else if self.rest().is_empty() {
            return Err(self.unclosed(start));
        } else {
            let range = whole(self);
            return Err(Fault::new(
                format!("{} is no expression", shown(&self.text[range.clone()])),
                format!("expected `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:+alternative}}`"),
            )
            .within(range));
        };
        if depth >= MAX_DEPTH {
            return Err(Fault::new("expressions are nested too deep", format!("expected at most {MAX_DEPTH}"))
                .within(start..self.at));
        }
        let word = if rule == Rule::Value { Vec::new() } else { self.pieces(depth + 1)? };
        if !self.take("}") {
            return Err(self.unclosed(start));
        }
        Ok(Piece::Variable { name, rule, word })
    }

    fn unclosed(&self, start: usize) -> Fault {
        Fault::new(format!("{} has no end", shown(&self.text[start..])), "expected a `}` after it")
            .within(start..self.text.len())
    }
}

/// The letters, digits and underscores that a text starts with.
fn name_of(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Writes pieces as they were read; `false` where that cannot be.
fn write(pieces: &[Piece<Ready>], inside: bool, out: &mut String) -> bool {
    pieces.iter().all(|piece| match piece {
        Piece::Literal(text) => {
            out.push_str(&escaped(text).replace('$', "$$"));
            !inside || !text.contains('}')
        }
        Piece::Hole(Ready::Arch) => {
            out.push_str("{arch}");
            true
        }
        Piece::Variable { name, rule, word } => {
            let sign = match rule {
                Rule::Value => "",
                Rule::Default { empty_counts: false } => ":-",
                Rule::Default { empty_counts: true } => "-",
                Rule::Alternative { empty_counts: false } => ":+",
                Rule::Alternative { empty_counts: true } => "+",
            };
            out.push_str(&format!("${{{name}{sign}"));
            let whole = write(word, true, out);
            out.push('}');
            whole
        }
    })
}

impl EnvValue {
    /// A value without expressions.
    pub fn literal(text: impl Into<String>) -> Self {
        EnvValue(vec![Piece::Literal(text.into())])
    }

    /// The value as a recipe writes it; `None` where an expression holds a brace that would end it.
    pub(super) fn text(&self) -> Option<String> {
        let mut out = String::new();
        write(&self.0, false, &mut out).then_some(out)
    }

    /// The value over a base's variables, for an architecture (Go's name).
    pub fn expand<'b>(&self, base: impl Fn(&str) -> Option<&'b str>, arch: &str) -> Expanded {
        let mut output = String::new();
        let mut empty = Vec::new();
        expand(&self.0, &base, arch, &mut output, &mut empty);
        let mut expanded = Expanded { value: output, warnings: Vec::new() };
        let bytes = expanded.value.as_bytes();
        if bytes.contains(&b':') {
            for (name, at) in empty {
                let open_left = at == 0 || bytes[at - 1] == b':';
                let open_right = at == bytes.len() || bytes[at] == b':';
                if open_left && open_right {
                    let message = format!(
                        "`${{{name}}}` is empty in the base: the list {} gets an empty entry, which many programs take for the current directory",
                        shown(&expanded.value)
                    );
                    let help = match at == 0 {
                        true => format!("write `${{{name}:+${{{name}}}:}}…`, without the colon after it"),
                        false => format!("write `…${{{name}:+:${{{name}}}}}`, without the colon in front"),
                    };
                    expanded.warnings.push((message, help));
                }
            }
        }
        expanded
    }
}

/// Writes pieces out; `empty` gets each plain variable that came to nothing, with the place where it would have stood.
fn expand<'b>(
    pieces: &[Piece<Ready>],
    base: &impl Fn(&str) -> Option<&'b str>,
    arch: &str,
    output: &mut String,
    empty: &mut Vec<(String, usize)>,
) {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => output.push_str(text),
            Piece::Hole(Ready::Arch) => output.push_str(arch),
            Piece::Variable { name, rule, word } => {
                let value = base(name);
                let counts = |empty_counts: bool| value.is_some_and(|value| empty_counts || !value.is_empty());
                match rule {
                    Rule::Default { empty_counts } if !counts(*empty_counts) => expand(word, base, arch, output, empty),
                    Rule::Alternative { empty_counts } if !counts(*empty_counts) => {}
                    Rule::Alternative { .. } => expand(word, base, arch, output, empty),
                    Rule::Value | Rule::Default { .. } => {
                        let value = value.unwrap_or_default();
                        if value.is_empty() {
                            empty.push((name.clone(), output.len()));
                        }
                        output.push_str(value);
                    }
                }
            }
        }
    }
}

/// A warning about one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvWarning {
    /// Where its value is written.
    pub span: super::Span,
    /// What is odd.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Environment {
    /// All variables over a base's list (`NAME=value`), for an architecture: `Some` is set, `None` is taken away. Each is
    /// seen with the base's values alone, so the order among them does not matter; new ones are written by name.
    pub fn expand(&self, base: &[String], arch: &str) -> (BTreeMap<String, Option<String>>, Vec<EnvWarning>) {
        let lookup = |name: &str| {
            base.iter()
                .rev()
                .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| value)
        };
        let mut variables = BTreeMap::new();
        let mut warnings = Vec::new();
        for (name, value) in &self.0 {
            let expanded = value.value.as_ref().map(|value| value.expand(lookup, arch));
            if let Some(expanded) = &expanded {
                warnings.extend(expanded.warnings.iter().map(|(message, help)| EnvWarning {
                    span: value.span,
                    message: message.clone(),
                    help: help.clone(),
                }));
            }
            variables.insert(name.clone(), expanded.map(|expanded| expanded.value));
        }
        (variables, warnings)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::Inputs;

    fn expand_over(base: &[(&str, &str)], text: &str) -> Result<Expanded, Fault> {
        let inputs = Inputs::default();
        let scope = Scope { inputs: &inputs, image: "app", variant: Some("k8s") };
        let value = EnvTemplate::parse(text)?.fill(&scope)?;
        let base: BTreeMap<String, String> =
            base.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(value.expand(|name| base.get(name).map(String::as_str), "arm64"))
    }

    #[test]
    fn expands_as_a_shell_does() {
        let base = [("P", "/bin"), ("E", "")];
        for (text, value) in [
            ("x", "x"),
            ("${P}:/x", "/bin:/x"),
            ("a${N}b", "ab"),
            ("${N:-d}${E:-d}${P:-d}", "dd/bin"),
            ("${N-d}${E-d}${P-d}", "d/bin"),
            ("${N:+a}${E:+a}${P:+a}", "a"),
            ("${N+a}${E+a}${P+a}", "aa"),
            ("/x${P:+:${P}}", "/x:/bin"),
            ("/x${N:+:${N}}", "/x"),
            ("${N:-${E:-${P}}}", "/bin"),
            ("${N:-{variant}-{arch}}", "k8s-arm64"),
            ("${N:-{x}}", "{x}"),
            ("$$P $${P} $ $1 100$", "$P ${P} $ $1 100$"),
            ("{image} {x} {{image}", "app {x} {image}"),
            ("}", "}"),
            ("é${P}é", "é/biné"),
        ] {
            assert_eq!(expand_over(&base, text).map(|expanded| expanded.value).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn refuses_what_two_people_read_in_two_ways() {
        for (text, range) in [
            ("a$P", 1..3),
            ("${", 0..2),
            ("${P", 0..3),
            ("${P:-x", 0..6),
            ("${}", 0..3),
            ("${1}", 0..4),
            ("${P:?x}", 0..7),
            ("${P%x}", 0..6),
            ("x${git.short}", 1..13),
            ("{git.x}", 0..7),
        ] {
            assert_eq!(expand_over(&[], text).unwrap_err().range, Some(range), "{text}");
        }
        assert_eq!(
            expand_over(&[], "${git.short}").unwrap_err().help.as_deref(),
            Some("leave the dollar out: `{git.short}`")
        );
        assert!(EnvTemplate::parse(&"${A:-".repeat(10_000)).is_err());
    }

    #[test]
    fn an_empty_entry_of_a_list_is_told() {
        let count = |base: &[(&str, &str)], text: &str| expand_over(base, text).unwrap().warnings.len();
        assert_eq!(count(&[], "/app:${P}"), 1);
        assert_eq!(count(&[("P", "")], "/app:${P}"), 1);
        assert_eq!(count(&[("P", "x")], "/app:${P}"), 0);
        assert_eq!(count(&[], "${P}:/app"), 1);
        assert_eq!(count(&[], "/a:${P}:/b"), 1);
        assert_eq!(count(&[], "/a${P}"), 0);
        assert_eq!(count(&[], "${P}"), 0);
        assert_eq!(count(&[], "/a${P:+:${P}}"), 0);
        assert_eq!(count(&[], "http://${P}x"), 0);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\PC|[${}:+A-Ca.-]){0,30}") {
            let _ = expand_over(&[("A", ":")], &text);
        }
    }
}
