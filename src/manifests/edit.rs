//! Changes of single scalars, and a text with them.

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use super::Why;
use super::document::{Kind, NodeId, Tree};

/// Bytes of a text, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit {
    start: usize,
    end: usize,
    text: String,
}

impl Edit {
    /// Puts a text where nothing is.
    pub(super) fn insert(at: usize, text: String) -> Self {
        Edit { start: at, end: at, text }
    }

    fn replace(bytes: Range<usize>, text: String) -> Self {
        Edit { start: bytes.start, end: bytes.end, text }
    }
}

/// Gives a scalar another value, with the quotes that it has; nothing where it has that value. The value is a reference, a tag
/// or a digest: it needs no escapes.
///
/// # Errors
/// [`Why`] it can only be left as it is.
pub(super) fn set(tree: &Tree, id: NodeId, value: &str) -> Result<Option<Edit>, Why> {
    let id = tree.behind(id);
    let Kind::Scalar { value: old, style } = tree.kind(id) else { return Err(Why::Form) };
    if old == value {
        return Ok(None);
    }
    // What is written with escapes or over several lines is nowhere.
    let bytes = tree.bytes(id);
    if bytes.is_empty() {
        return Err(Why::Form);
    }
    let quote = match style {
        ScalarStyle::Plain => "",
        ScalarStyle::SingleQuoted => "'",
        ScalarStyle::DoubleQuoted => "\"",
        ScalarStyle::Literal | ScalarStyle::Folded => return Err(Why::Form),
    };
    // Only a word stays what it is without quotes.
    let is_word = value.starts_with(|c: char| c.is_ascii_alphanumeric());
    let quote = if quote.is_empty() && !is_word { "\"" } else { quote };
    Ok(Some(Edit::replace(bytes, format!("{quote}{value}{quote}"))))
}

/// The text with the edits. What two references share (an anchor) is edited once.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort();
    edits.dedup_by_key(|edit| (edit.start, edit.end));
    let mut done = String::with_capacity(text.len() + edits.len() * 80);
    let mut at = 0;
    for edit in edits {
        done.push_str(&text[at..edit.start]);
        done.push_str(&edit.text);
        at = edit.end;
    }
    done.push_str(&text[at..]);
    done
}
