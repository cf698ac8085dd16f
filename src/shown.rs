//! Foreign bytes in messages: names from archives, registries and file systems may hold anything.

use std::fmt;

/// Characters that are not seen, or that make others be seen elsewhere: those of Unicode's general categories Cf, Zl and Zp, and
/// what is to be ignored by default (`Default_Ignorable_Code_Point`), of Unicode 16; first and last of each range.
const UNSEEN: [(char, char); 25] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a reader cannot see that character, or sees the text around it otherwise than it is: control characters, separators of
/// lines, marks that reorder, join or hide. In messages they are shown by number.
pub fn is_unseen(c: char) -> bool {
    c.is_control() || !c.is_ascii() && UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// JSON that says the same, with every character that is not seen by number; line breaks between its values stay.
pub fn in_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // In JSON, others of ASCII stand between values alone.
            '\u{7f}'.. if is_unseen(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out
}

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
                if is_unseen(c) {
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

    #[test]
    fn what_is_not_seen_is_shown_by_number() {
        for unseen in [
            '\0',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{feff}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e007f}',
            '\u{e0100}',
        ] {
            assert!(is_unseen(unseen), "{unseen:?}");
            assert_eq!(bare(&format!("a{unseen}b")), format!("a{}b", unseen.escape_default()));
            let json = in_json(&serde_json::json!([format!("a{unseen}b")]).to_string());
            assert!(!json.contains(unseen) && json.is_ascii(), "{json}");
            let back: Vec<String> = serde_json::from_str(&json).unwrap();
            assert_eq!(back, [format!("a{unseen}b")]);
        }
        for seen in [' ', '~', '\u{a0}', 'é', 'ß', '\u{301}', '中', '\u{fffd}', '😀'] {
            assert!(!is_unseen(seen), "{seen:?}");
            assert_eq!(bare(&seen.to_string()), seen.to_string());
            assert_eq!(in_json(&seen.to_string()), seen.to_string());
        }
        assert_eq!(in_json("[\n  1\n]"), "[\n  1\n]");
        assert!(UNSEEN.windows(2).all(|two| two[0].1 < two[1].0), "in order");
    }
}
