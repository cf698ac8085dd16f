//! The first look at a recipe: are all keys known, and do they hold values of the right type?
//!
//! Driven by the [vocabulary](super::vocabulary) alone. What passes here can be read without another thought of types;
//! what the strings say is checked by who reads them.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::document::{Node, Table, Value};
use super::problems::{Problems, quoted, shown};
use super::template::{Placeholder, idle};
use super::vocabulary::{self, Fills, Key, Kind, Text};
use super::{At, Span};
use crate::code::ErrorCode;
use crate::nearest::nearest;

/// Checks a whole recipe.
pub(super) fn check(recipe: &Table, end: Span, problems: &mut Problems) {
    let variants = match recipe.get("variants").and_then(Node::table) {
        Some(table) => table.iter().map(|(name, _)| name.value.clone()).collect(),
        None => BTreeSet::new(),
    };
    Checker { variants, idle: 0, problems }.table(recipe, end, &vocabulary::RECIPE);
}

/// So many placeholders that are not filled in are told: warnings must leave room for errors.
const MAX_IDLE: usize = 10;

struct Checker<'a> {
    /// Names of variants: an image may have a table for each.
    variants: BTreeSet<String>,
    /// How many placeholders were told that are not filled in.
    idle: usize,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn table(&mut self, table: &Table, place: Span, words: &'static vocabulary::Table) {
        // A misspelt key says it all: that the right one is missing then goes without saying.
        let mut meant: Vec<&str> = Vec::new();
        for (key, node) in table.iter() {
            if self.problems.full() {
                return;
            }
            if let Some(known) = words.key(&key.value) {
                self.value(&Subject::of(known), node, &known.kind);
            } else if let Some(variant) = words.variants.filter(|_| self.variants.contains(&key.value)) {
                match node.table() {
                    Some(inner) => self.table(inner, node.span, variant),
                    None => {
                        let message = format!("variant {} holds {}, not a table", shown(&key.value), node.type_name());
                        let diagnostic = self.problems.error(node.span, message).coded(ErrorCode::WrongType);
                        self.problems.push(diagnostic.label("expected a table"));
                    }
                }
            } else {
                meant.extend(self.unknown_key(key, node, place, words));
            }
        }
        for key in words.keys().filter(|key| key.required && table.get(key.name).is_none()) {
            if meant.contains(&key.name) {
                continue;
            }
            let message = format!("`{}` is missing in {}", key.name, words.is);
            // What belongs to the top is missed at the top.
            let place = if key.name == "recipe" { Span::new(0, 0..0) } else { place };
            let help = match key.name {
                "recipe" => "write `recipe = 1` as the first line".to_owned(),
                "images" => "an image is a table: `[images.NAME]`".to_owned(),
                name => format!("`{name}` is {}: {}", key.kind.describe(), lower_first(key.doc)),
            };
            self.problems.push(
                self.problems
                    .error(place, message)
                    .coded(ErrorCode::MissingKey)
                    .label(format!("expected `{} = …`", key.name))
                    .help(help),
            );
        }
    }

    /// Says that a key is not known, and returns the key that was probably meant.
    fn unknown_key(
        &mut self,
        key: &At<String>,
        node: &Node,
        place: Span,
        words: &'static vocabulary::Table,
    ) -> Option<&'static str> {
        let name = key.value.as_str();
        if words.name == "layer" && (vocabulary::IMAGE.key(name).is_some() || self.variants.contains(name)) {
            let text = self.problems.sources.text(place).to_owned();
            let above = if text.starts_with("[[") { text } else { "the layers".to_owned() };
            self.problems.push(
                self.problems
                    .error(key.span, format!("image key {} inside a layer: move it above `{above}`", shown(name)))
                    .coded(ErrorCode::UnknownKey)
                    .label("belongs to the image")
                    .also(place, "the layer begins here")
                    .note("in TOML, a key belongs to the last header above it"),
            );
            return None;
        }
        let diagnostic = self
            .problems
            .error(key.span, format!("unknown key {} in {}", shown(name), words.is))
            .coded(ErrorCode::UnknownKey)
            .label(format!("not a key of {}", words.is));
        let (help, meant) = self.meant(name, node, words);
        let diagnostic = match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic.note(format!("the keys of {} are {}", words.is, list_of(words))),
        };
        self.problems.push(diagnostic);
        meant
    }

    fn meant(
        &self,
        name: &str,
        node: &Node,
        words: &'static vocabulary::Table,
    ) -> (Option<String>, Option<&'static str>) {
        let plain = name.to_ascii_lowercase();
        let same = |key: &&Key| {
            key.also.iter().any(|also| also.eq_ignore_ascii_case(&plain)) || key.name == plain.replace('-', "_")
        };
        if let Some(key) = words.keys().find(same) {
            return (Some(format!("the key is `{}`: {}", key.name, lower_first(key.doc))), Some(key.name));
        }
        if let Some((_, help)) = vocabulary::STRANGERS.iter().find(|(word, _)| *word == plain) {
            return (Some((*help).to_owned()), None);
        }
        let close = nearest(name, words.keys().map(|key| key.name));
        if let Some(close) = close
            && !(name.len() < 4 && elsewhere(name, words).is_some())
        {
            return (Some(format!("did you mean `{close}`?")), Some(close));
        }
        if words.variants.is_some() && node.table().is_some() {
            if let Some(close) = nearest(name, self.variants.iter().map(String::as_str)) {
                return (Some(format!("did you mean the variant `{close}`?")), None);
            }
            if elsewhere(name, words).is_none() {
                let help = format!("if it is a variant, it is declared first: `[variants.{name}]`, empty if need be");
                return (Some(help), None);
            }
        }
        (elsewhere(name, words), None)
    }

    fn value(&mut self, subject: &Subject<'_>, node: &Node, kind: &'static Kind) {
        match (kind, &node.value) {
            (Kind::Any(kinds), _) => {
                match kinds.iter().find(|kind| fits(kind, node)).or_else(|| word_of(kinds, node)) {
                    Some(kind) => self.value(subject, node, kind),
                    None => self.wrong_type(subject, node, kind),
                }
            }
            (Kind::Boolean, Value::Bool(_)) | (Kind::False, Value::Bool(false)) | (Kind::Date, Value::Date(_)) => {}
            (Kind::Integer { min, max }, Value::Integer(value)) => {
                if !value.is_some_and(|value| (*min..=*max).contains(&value)) {
                    self.out_of_range(subject, node, *min, *max);
                }
            }
            (Kind::Text(text), Value::String(value)) => {
                let value = At::new(value.clone(), node.span);
                self.text(text, &value);
                self.idle_placeholder(subject, text, &value);
            }
            (Kind::Word(words), Value::String(value)) => {
                if !words.iter().any(|word| word.word == value) {
                    let known = words.iter().map(|word| word.word);
                    let help = nearest(value, known).map(|word| format!("did you mean `\"{word}\"`?"));
                    self.problems.push(
                        self.problems
                            .error(node.span, format!("{} is no `{}`", shown(value), subject.key.name))
                            .label(format!("expected {}", kind.describe()))
                            .maybe_help(help),
                    );
                }
            }
            (Kind::List(item), Value::List(list)) => {
                for node in list {
                    self.value(&Subject { item: true, ..*subject }, node, item);
                }
            }
            (Kind::Table(words), Value::Table(table)) => self.table(table, node.span, words),
            (Kind::Map { key: name, value }, Value::Table(table)) => {
                for (entry, node) in table.iter() {
                    self.text(name, entry);
                    self.value(&Subject { entry: Some(&entry.value), ..*subject }, node, value);
                }
            }
            _ => self.wrong_type(subject, node, kind),
        }
    }

    /// Says that a placeholder stays as it is, where none is filled in. Texts of files are full of braces: there only what
    /// can hardly be anything else is told. A brace that is written as an escape is meant: `\u007B`.
    fn idle_placeholder(&mut self, subject: &Subject<'_>, kind: &'static Text, value: &At<String>) {
        if kind.fills() != Fills::Nothing || self.idle == MAX_IDLE {
            return;
        }
        let is_sure =
            |hole: &Placeholder| kind.name != "any" || matches!(hole, Placeholder::Git(..) | Placeholder::Env(..));
        let written = self.problems.sources.text(value.span);
        let has_escapes = written.contains("\\u") || written.contains("\\U");
        let is_meant = |range: &Range<usize>| has_escapes && !written.contains(&value.value[range.clone()]);
        let mut told = idle(&value.value).filter(|(range, hole)| is_sure(hole) && !is_meant(range));
        let Some((range, _)) = told.next() else { return };
        self.idle += 1;
        let message = format!("{} is not filled in in `{}`", shown(&value.value[range.clone()]), subject.key.name);
        let span = self.problems.sources.within(value, range);
        let diagnostic = self.problems.warning(span, message).label("stays as it is written");
        let diagnostic = diagnostic.help(
            "placeholders are filled in in `repository`, `tags`, `from`, `labels`, `annotations` and `env`; a process finds in its environment what `env` says",
        );
        self.problems.push(diagnostic.note(
            "where the program itself fills it in, write the brace as `\\u007B` in double quotes: that is the same string, and no warning",
        ));
    }

    /// Control characters and marks that hide or reorder text have no place in names, paths and patterns.
    fn text(&mut self, kind: &'static Text, value: &At<String>) {
        let free = ["any", "env-value", "label-value", "argument"].contains(&kind.name);
        let bad = |c: char| match free {
            true => c == '\0' && kind.name != "any",
            false => {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            }
        };
        if self.problems.full() {
            return;
        }
        if let Some((at, c)) = value.value.char_indices().find(|(_, c)| bad(*c)) {
            let span = self.problems.sources.within(value, at..at + c.len_utf8());
            let message = format!("{} holds a control character (U+{:04X})", shown(&value.value), c as u32);
            self.problems.push(self.problems.error(span, message).label(format!("expected {}", kind.is)));
        } else if value.value.is_empty() && !free && kind.name != "comment" {
            self.problems.push(
                self.problems.error(value.span, "an empty string says nothing").label(format!("expected {}", kind.is)),
            );
        }
    }

    fn out_of_range(&mut self, subject: &Subject<'_>, node: &Node, min: i64, max: i64) {
        let diagnostic = match subject.key.name {
            "recipe" => self
                .problems
                .error(node.span, "this version of lapstrake reads recipes of format 1")
                .coded(ErrorCode::RecipeVersion)
                .label("expected `1`")
                .help("a later format needs a later lapstrake"),
            _ => self
                .problems
                .error(node.span, format!("{subject} is out of range"))
                .label(format!("expected a number from {min} to {max}")),
        };
        self.problems.push(diagnostic);
    }

    fn wrong_type(&mut self, subject: &Subject<'_>, node: &Node, kind: &'static Kind) {
        if self.problems.full() {
            return;
        }
        let diagnostic = self
            .problems
            .error(node.span, format!("{subject} is {}", node.type_name()))
            .coded(ErrorCode::WrongType)
            .label(format!("expected {}", kind.describe()));
        let help = self.type_help(subject, node, kind);
        self.problems.push(diagnostic.maybe_help(help));
    }

    /// What to write instead, where it can be told from what is there.
    fn type_help(&self, subject: &Subject<'_>, node: &Node, kind: &Kind) -> Option<String> {
        let key = subject.key;
        let name = subject.entry.map_or_else(|| key.name.to_owned(), shown_key);
        let raw = self.problems.sources.text(node.span);
        let wants = |test: &dyn Fn(&Kind) -> bool| any_of(kind, test);
        let list_of_text = |kind: &Kind| matches!(kind, Kind::List(Kind::Text(_) | Kind::Any(_)));
        match &node.value {
            Value::String(text) if key.name == "cmd" || key.name == "entrypoint" || key.name == "shell" => {
                Some(format!("nothing splits it at run time; the exec form is `{} = {}`", key.name, exec_form(text)))
            }
            Value::String(text) if key.name == "test" => Some(format!(
                "write `test = [\"CMD-SHELL\", {}]`, or `[\"CMD\", …]` with one argument each",
                quoted(text)
            )),
            Value::String(text) if key.name == "python" => {
                Some(format!("write `python = {{ requirements = {} }}`", quoted(text)))
            }
            Value::List(_) if key.name == "python" => Some(
                "write `python = { requirements = \"requirements.txt\" }`, with the packages in that file".to_owned(),
            ),
            Value::String(text) if wants(&list_of_text) => Some(format!("write `{name} = [{}]`", quoted(text))),
            Value::String(text)
                if wants(&|kind| matches!(kind, Kind::Integer { .. })) && text.parse::<i64>().is_ok() =>
            {
                Some(format!("write it without quotes: `{name} = {text}`"))
            }
            Value::String(text)
                if wants(&|kind| matches!(kind, Kind::Boolean)) && (text == "true" || text == "false") =>
            {
                Some(format!("write it without quotes: `{name} = {text}`"))
            }
            Value::String(text) if key.name == "dirs" => Some(format!("write `{{ mode = {} }}`", quoted(text))),
            Value::Integer(_) if wants(&|kind| matches!(kind, Kind::Text(text) if text.name == "mode")) => {
                let digits = raw.trim_start_matches("0o");
                Some(format!("modes are octal strings: `\"{digits:0>4}\"`"))
            }
            Value::Integer(_) if wants(&|kind| matches!(kind, Kind::Text(text) if text.name == "duration")) => {
                Some(format!("a time has a unit, and stands in quotes: `{name} = \"{raw}s\"`"))
            }
            Value::Integer(_) | Value::Float | Value::Bool(_) | Value::Date(_)
                if wants(&|kind| matches!(kind, Kind::Text(text) if text.name != "port")) && raw.len() < 60 =>
            {
                Some(match subject.item {
                    true => format!("write it in quotes: `{}`", quoted(raw)),
                    false => format!("write it in quotes: `{name} = {}`", quoted(raw)),
                })
            }
            Value::List(list) if wants(&|kind| matches!(kind, Kind::Text(_))) => match list.as_slice() {
                [Node { value: Value::String(text), .. }] => Some(format!("write `{name} = {}`", quoted(text))),
                _ => None,
            },
            Value::String(_) | Value::List(_)
                if ["images", "users", "variants"].contains(&key.name) && !raw.starts_with("[[") =>
            {
                Some(format!("each is a table: `[{}.NAME]`", key.name))
            }
            Value::Bool(true) if wants(&|kind| matches!(kind, Kind::False)) => {
                Some(format!("`{name} = false` clears what the base has; `true` has no meaning"))
            }
            Value::Table(_) if wants(&|kind| matches!(kind, Kind::List(Kind::Table(_)))) && raw.starts_with('[') => {
                Some(format!("a list of tables has two brackets: `[{raw}]`"))
            }
            Value::List(_)
                if wants(&|kind| matches!(kind, Kind::Table(_) | Kind::Map { .. })) && raw.starts_with("[[") =>
            {
                Some(format!("a table has one bracket: `[{}.NAME]`", raw.trim_matches(['[', ']'])))
            }
            _ => None,
        }
    }
}

/// What a message is about: a key, an entry of its table, an item of its list.
#[derive(Clone, Copy)]
struct Subject<'a> {
    key: &'static Key,
    entry: Option<&'a str>,
    item: bool,
}

impl Subject<'_> {
    fn of(key: &'static Key) -> Self {
        Subject { key, entry: None, item: false }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.item {
            f.write_str("an item of ")?;
        }
        match self.entry {
            Some(entry) => f.write_str(&shown(entry)),
            None => write!(f, "`{}`", self.key.name),
        }
    }
}

/// A key as TOML writes it.
fn shown_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { key.to_owned() } else { quoted(key) }
}

/// Whether a value is of the TOML type that a kind wants; for strings, whether it is one of the words or any text goes.
fn fits(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.value) {
        (Kind::Word(words), Value::String(value)) => words.iter().any(|word| word.word == value),
        (Kind::Text(_), Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::False, Value::Bool(false))
        | (Kind::Integer { .. }, Value::Integer(_))
        | (Kind::Date, Value::Date(_))
        | (Kind::List(_), Value::List(_))
        | (Kind::Table(_) | Kind::Map { .. }, Value::Table(_)) => true,
        (Kind::Any(kinds), _) => kinds.iter().any(|kind| fits(kind, node)),
        _ => false,
    }
}

/// The kind that a string was probably meant to be, where no other takes a string.
fn word_of(kinds: &'static [Kind], node: &Node) -> Option<&'static Kind> {
    kinds.iter().find(|kind| matches!(kind, Kind::Word(_)) && node.as_str().is_some())
}

fn any_of(kind: &Kind, test: &dyn Fn(&Kind) -> bool) -> bool {
    match kind {
        Kind::Any(kinds) => kinds.iter().any(|kind| any_of(kind, test)),
        kind => test(kind),
    }
}

/// Where a key of that name belongs, if not here.
fn elsewhere(name: &str, words: &'static vocabulary::Table) -> Option<String> {
    let usual = [&vocabulary::RECIPE, &vocabulary::PROJECT, &vocabulary::IMAGE, &vocabulary::LAYER, &vocabulary::USER];
    let found: Vec<&str> = usual
        .iter()
        .filter(|table| table.name != words.name && table.key(name).is_some())
        .map(|table| table.is)
        .collect();
    (!found.is_empty()).then(|| format!("`{name}` is a key of {}", found.join(" and of ")))
}

fn list_of(words: &'static vocabulary::Table) -> String {
    let mut keys: Vec<String> = words.keys().map(|key| format!("`{}`", key.name)).collect();
    keys.sort();
    keys.join(", ")
}

fn lower_first(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    if ["Debian", "Python", "Docker"].iter().any(|name| sentence.starts_with(name)) {
        return sentence.to_owned();
    }
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// A command line as a list of arguments: split at blanks, or handed to a shell where it needs one.
fn exec_form(line: &str) -> String {
    let words: Vec<String> = match line.contains(['"', '\'', '$', '|', '&', ';', '<', '>', '*', '?', '(', '`', '\\']) {
        true => vec![quoted("/bin/sh"), quoted("-c"), quoted(line)],
        false => line.split_whitespace().map(quoted).collect(),
    };
    format!("[{}]", words.join(", "))
}
