//! Lines of a requirements file, and what is in one.

use super::Variables;

/// The text with its variables filled in: pip's rule, `${NAME}` of capitals, digits and underscores.
pub(super) fn filled(text: &str, variables: Variables<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let name = after[2..].split_once('}').map(|(name, _)| name).filter(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        });
        match name.and_then(|name| Some((name, variables(name)?))) {
            Some((name, value)) => {
                out.push_str(&value);
                rest = &after[name.len() + 3..];
            }
            None => {
                out.push_str("${");
                rest = &after[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text without the user and password of its URLs.
pub(super) fn without_users(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#".contains(c)).unwrap_or(after.len());
        rest = &after[after[..end].rfind('@').unwrap_or(0)..];
    }
    out.push_str(rest);
    out
}

/// The name of an option, and its value after `=`, a blank, or (for those of one letter) nothing.
pub(super) fn split_option(text: &str) -> (&str, Option<&str>) {
    if text.starts_with("--") {
        let end = text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len());
        let value = text[end..].trim_start().strip_prefix('=').unwrap_or(&text[end..]).trim();
        return (&text[..end], (!value.is_empty()).then_some(value));
    }
    let end = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
    let value = text[end..].trim();
    (&text[..end], (!value.is_empty()).then_some(value))
}

pub(super) fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    value.to_owned()
}

/// Lines with their continuations joined and their comments gone, each with the number of its first.
pub(super) fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (mut start, mut joined) = open.take().unwrap_or((number + 1, String::new()));
        if joined.is_empty() {
            start = number + 1;
        }
        match line.strip_suffix('\\').filter(|_| !is_comment) {
            Some(before) => {
                joined.push_str(before);
                open = Some((start, joined));
            }
            None => {
                // A comment ends what was continued before it, as in pip.
                if is_comment {
                    joined.push(' ');
                }
                joined.push_str(line);
                lines.push((start, joined));
            }
        }
    }
    lines.extend(open);
    lines
        .into_iter()
        .map(|(start, line)| (start, without_comment(&line).trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// A comment starts with `#` at the line's start or after a blank.
pub(super) fn without_comment(line: &str) -> &str {
    let starts = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
    line.match_indices('#').find(|(at, _)| starts(*at)).map_or(line, |(at, _)| &line[..at])
}
