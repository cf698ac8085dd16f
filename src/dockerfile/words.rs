//! Words, flags, `name=value` pairs and lists in JSON, as BuildKit cuts them.

use std::ops::Range;

use super::instruction::Heredoc;

/// Words between blanks, outside quotes; quotes and escapes stay.
pub(super) fn words(text: &str, escape: char) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        if start.is_none() {
            if c.is_whitespace() {
                continue;
            }
            start = Some(at);
        }
        match quote {
            None if c.is_whitespace() => found.extend(start.take().map(|start| start..at)),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            // Between single quotes nothing is escaped.
            _ if c == escape && quote != Some('\'') => drop(letters.next()),
            _ => {}
        }
    }
    found.extend(start.map(|start| start..text.len()));
    found
}

/// Words between blanks, where quotes mean nothing.
pub(super) fn blanks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (c.is_whitespace(), start) {
            (true, Some(first)) => {
                found.push(first..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    found.extend(start.map(|start| start..text.len()));
    found
}

/// A flag in front of an instruction's arguments, quotes taken off.
pub(super) struct Flag {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) place: Range<usize>,
}

/// The flags at the start, and where the rest begins.
pub(super) fn flags(text: &str, escape: char) -> (Vec<Flag>, usize) {
    let mut flags = Vec::new();
    let mut rest = 0;
    for word in words(text, escape) {
        let raw = &text[word.clone()];
        if !raw.starts_with("--") {
            break;
        }
        rest = word.end;
        if raw == "--" {
            break;
        }
        let plain = unquoted(&raw[2..], escape);
        let (name, value) = match plain.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (plain, None),
        };
        flags.push(Flag { name, value, place: word });
    }
    let skipped = text[rest..].len() - text[rest..].trim_start().len();
    (flags, rest + skipped)
}

fn unquoted(raw: &str, escape: char) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut letters = raw.chars();
    while let Some(c) = letters.next() {
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape && quote != Some('\'') => out.extend(letters.next()),
            _ => out.push(c),
        }
    }
    out
}

/// A list of strings in JSON; nothing where it is none, and then it is a line of shell.
pub(super) fn json(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The heredocs that a line announces. Only `ADD`, `COPY` and `RUN` have them, also after `ONBUILD`, and not in JSON.
pub(super) fn heredoc_words(line: &str) -> Vec<Heredoc> {
    let mut rest = line.trim_start();
    for _ in 0..2 {
        let word = rest.split_whitespace().next().unwrap_or_default();
        match word.to_ascii_uppercase().as_str() {
            "ONBUILD" => rest = rest[word.len()..].trim_start(),
            "ADD" | "COPY" | "RUN" => break,
            _ => return Vec::new(),
        }
    }
    let command = rest.split_whitespace().next().unwrap_or_default();
    let arguments = &rest[command.len()..];
    if command.eq_ignore_ascii_case("ONBUILD") || json(arguments).is_some() {
        return Vec::new();
    }
    let offset = line.len() - arguments.len();
    words(arguments, '\\')
        .into_iter()
        .filter_map(|word| {
            let place = word.start + offset..word.end + offset;
            heredoc(&arguments[word], place)
        })
        .collect()
}

/// `<<NAME`, `<<-NAME`, `3<<"NAME"`.
pub(super) fn heredoc(word: &str, place: Range<usize>) -> Option<Heredoc> {
    let (number, rest) = word.split_once("<<")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return None;
    }
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let name = unquoted(rest, '\\');
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let expand = !rest.contains(['\'', '"', '\\']);
    Some(Heredoc { name, chomp, expand, text: String::new(), place })
}
