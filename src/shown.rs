//! Foreign bytes in messages: names from archives, registries and file systems may hold anything.

use std::fmt;

/// Bytes made fit for a message: escaped, and cut at 200 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// The bytes as they are shown: control bytes, quotes and what is no UTF-8 are escaped.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len() + 2);
        text.push('`');
        let mut count = 0;
        'all: for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                count += 1;
                if count > 200 {
                    text.push('…');
                    break 'all;
                }
                // Marks that reorder or hide text are shown by number, as control characters are.
                if c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
                {
                    text.extend(c.escape_default());
                } else {
                    text.push(c);
                }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        text.push('`');
        Shown(text)
    }

    /// The text, in backquotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without the backquotes, for places that set it apart themselves.
    pub fn bare(&self) -> &str {
        self.0.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(&self.0)
    }
}

/// A text made fit for a message, without backquotes around it.
pub fn bare(text: &str) -> String {
    Shown::new(text.as_bytes()).bare().to_owned()
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error with its causes in one text.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_control_bytes() {
        let shown = Shown::new(b"a\x1b[31m\n\xff\xe2\x80\xaeb").to_string();
        assert_eq!(shown, r"`a\u{1b}[31m\n\xff\u{202e}b`");
    }
}
