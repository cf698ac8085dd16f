//! TOML as a tree of values that know their place, in the order in which they are written.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, Diagnostic, Sources, Span};
use crate::code::ErrorCode;

/// A value and where it is written. A table's place is its header, or its braces.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What TOML knows.
#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    /// `None` where it does not fit into 64 bits.
    Integer(Option<i64>),
    Float,
    Bool(bool),
    Date(toml::value::Datetime),
    List(Vec<Node>),
    Table(Table),
}

/// The entries of a table, in the order in which they are written; each key once.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<(At<String>, Node)>);

impl Node {
    /// The word for its type in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float => "a float",
            Value::Bool(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string with its place.
    pub(super) fn text(&self) -> Option<At<String>> {
        self.as_str().map(|text| At::new(text.to_owned(), self.span))
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Integer(value) => *value,
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(At<String>, Node)> {
        self.0.iter()
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name.value != key);
    }

    /// Puts a value in the place of the one that is there, or at the end.
    pub(super) fn set(&mut self, key: At<String>, node: Node) {
        match self.0.iter_mut().find(|(name, _)| name.value == key.value) {
            Some(entry) => *entry = (key, node),
            None => self.0.push((key, node)),
        }
    }

    /// The table under that key, made where there is none.
    pub(super) fn table_mut(&mut self, key: At<String>) -> Option<&mut Table> {
        if self.get(&key.value).is_none() {
            let span = key.span;
            self.0.push((key.clone(), Node { span, value: Value::Table(Table::default()) }));
        }
        let node = self.0.iter_mut().find(|(name, _)| name.value == key.value).map(|(_, node)| node)?;
        match &mut node.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Reads one of the texts as TOML.
///
/// # Errors
/// A message for each of the first lines that is not TOML.
pub(super) fn parse(sources: &Sources, source: u16) -> Result<Table, Vec<Diagnostic>> {
    let text = sources.whole(source);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(source, document.get_ref()));
    }
    // One broken line tends to break what follows: the first error of a line, and a few lines, say enough.
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut lines = Vec::new();
    for error in &errors {
        let range = error.span().unwrap_or(text.len()..text.len());
        let line = text.get(..range.start).map_or(0, |before| before.matches('\n').count());
        if !lines.contains(&line) && lines.len() < 3 {
            lines.push(line);
            found.push(syntax_error(sources, source, text, error.message(), range));
        }
    }
    Err(found)
}

/// A syntax error in our words.
fn syntax_error(sources: &Sources, source: u16, text: &str, message: &str, range: Range<usize>) -> Diagnostic {
    let span = Span::new(source, range.clone());
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, expected),
        None => (message, ""),
    };
    match what {
        "duplicate key" => {
            let name = text.get(range.clone()).unwrap_or_default();
            let shown = crate::shown::Shown::new(name.as_bytes());
            let diagnostic = Diagnostic::error(
                ErrorCode::NotToml,
                sources,
                span,
                format!("key {shown} is written twice in one table"),
            )
            .label("a key has one value");
            let diagnostic = match first_of_two(text, range) {
                Some(first) => diagnostic.also(Span::new(source, first), "first written here"),
                None => diagnostic,
            };
            return match header_before(text, span.range().start).1 == span.range().start {
                false => diagnostic.help("remove one of the two"),
                true => diagnostic
                    .help("put both together; of a list of tables each has two brackets: `[[images.NAME.layers]]`"),
            };
        }
        "string values must be quoted" => {
            return Diagnostic::error(
                ErrorCode::NotToml,
                sources,
                span,
                "not TOML: a value is missing, or a string without quotes",
            )
            .label("expected a value: a string stands in quotes");
        }
        "key with no value" => {
            return Diagnostic::error(ErrorCode::NotToml, sources, span, "not TOML: a key with no value")
                .label("expected `=` and a value");
        }
        "cannot recurse further; max recursion depth met" => {
            return Diagnostic::error(ErrorCode::NotToml, sources, span, "not TOML: values are nested too deep")
                .label("expected fewer brackets");
        }
        _ => {}
    }
    let diagnostic = Diagnostic::error(ErrorCode::NotToml, sources, span, format!("not TOML: {what}"));
    if let Some(mode) = octal_at(text, &range) {
        return diagnostic
            .label("expected a string in quotes")
            .help(format!("a mode is an octal string, in quotes: `\"{mode}\"`"));
    }
    match expected {
        "" => diagnostic,
        "nothing" => diagnostic.label("expected nothing here"),
        expected => diagnostic.label(format!("expected {expected}")),
    }
}

/// The number at a place, where it is written as shells write modes: `0755`, which is no number in TOML.
fn octal_at<'t>(text: &'t str, range: &Range<usize>) -> Option<&'t str> {
    let start = text.get(..range.start)?.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let digits = &text[start..];
    let digits = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
    let octal = digits.bytes().all(|digit| digit < b'8');
    (octal && (4..=5).contains(&digits.len()) && digits.starts_with('0')).then_some(digits)
}

/// Where the header above a place begins, and where it ends: in front of what follows it, or at the place if that is in it.
fn header_before(text: &str, at: usize) -> (usize, usize) {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let at = text.floor_char_boundary(at);
    let mut start = line_start(at);
    let own = start;
    loop {
        if text[start..].trim_start_matches([' ', '\t']).starts_with('[') {
            return (
                start,
                if start == own { at } else { text[start..].find('\n').map_or(text.len(), |end| start + end) },
            );
        }
        match start.checked_sub(1) {
            Some(newline) => start = line_start(newline),
            None => return (0, 0),
        }
    }
}

/// The first of two keys or headers, where the second is known: an earlier line of the same table that starts with the same
/// key, or an earlier line with the same header.
fn first_of_two(text: &str, second: Range<usize>) -> Option<Range<usize>> {
    let key = text.get(second.clone())?;
    let (header, body) = header_before(text, second.start);
    let in_header = body == second.start;
    let line = text[header..].lines().next().unwrap_or_default().trim();
    let mut at = if in_header { 0 } else { body };
    let end = if in_header { header } else { second.start };
    for candidate in text.get(at..end)?.split_inclusive('\n') {
        let indent = candidate.len() - candidate.trim_start().len();
        let rest = candidate[indent..].strip_prefix(if in_header { line } else { key });
        let ends = |rest: &str| rest.trim_start().starts_with(['=', '.']) || (in_header && rest.trim().is_empty());
        if rest.is_some_and(ends) {
            return Some(at + indent..at + indent + if in_header { line.len() } else { key.len() });
        }
        at += candidate.len();
    }
    None
}

fn table(source: u16, table: &DeTable<'_>) -> Table {
    let mut entries: Vec<(At<String>, Node)> = table
        .iter()
        .map(|(key, value)| {
            let name = At::new(key.get_ref().to_string(), Span::new(source, key.span()));
            (name, node(source, value))
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.span);
    Table(entries)
}

fn node(source: u16, value: &Spanned<DeValue<'_>>) -> Node {
    let value_of = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok()),
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Date(*date),
        DeValue::Array(list) => Value::List(list.iter().map(|value| node(source, value)).collect()),
        DeValue::Table(entries) => Value::Table(table(source, entries)),
    };
    Node { span: Span::new(source, value.span()), value: value_of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_written_order() {
        let text = "b = 1\na = 0x10\n[z]\n[c.y]\nx = [1, 'q']\n[[l]]\nd.e = true\n";
        let sources = Sources::new(vec![("r".to_owned(), text.to_owned())]);
        let table = parse(&sources, 0).unwrap();
        let keys: Vec<&str> = table.iter().map(|(key, _)| key.value.as_str()).collect();
        assert_eq!(keys, ["b", "a", "z", "c", "l"]);
        assert_eq!(table.get("a").and_then(Node::integer), Some(16));
        let layer = &table.get("l").unwrap().list().unwrap()[0];
        assert_eq!(sources.text(layer.span), "[[l]]");
        assert_eq!(layer.table().unwrap().get("d").unwrap().table().unwrap().get("e").unwrap().bool(), Some(true));
    }
}
