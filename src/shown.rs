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

/// Text made fit for a terminal or a log, in lines: what is not seen is by number but for ends of lines and tabs, and no line is
/// a command to the system that runs a job (`::set-output`, `##[error]`, `##vso[…]`).
pub fn in_lines(text: &str) -> String {
    lines(text, false)
}

/// The same of text that is drawn, of which colours and weights stay.
pub fn in_coloured_lines(text: &str) -> String {
    lines(text, true)
}

fn lines(text: &str, coloured: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let line = seen(line, coloured);
        // Runners take the one at the start of a line, behind any space, and the other one anywhere.
        let colons = line.trim_start().starts_with("::").then(|| line.find(':')).flatten();
        let mut from = 0;
        for at in colons.into_iter().chain(brackets(&line)) {
            out.push_str(&line[from..at]);
            out.extend(line[at..].chars().take(1).flat_map(char::escape_unicode));
            from = at + 1;
        }
        out.push_str(&line[from..]);
    }
    out
}

/// Where brackets are that begin a command inside of a line.
fn brackets(line: &str) -> impl Iterator<Item = usize> {
    let is_command = |at: &usize| line[..*at].trim_end_matches(|c: char| c.is_ascii_alphabetic()).ends_with("##");
    line.match_indices('[').map(|(at, _)| at).filter(is_command)
}

/// A line of JSON that says the same, as [`in_json`] gives it, and holds no command to the system that runs a job.
pub fn in_json_line(json: &str) -> String {
    let mut line = in_json(json);
    // In front of a bracket that is no part of a string, there is no `##`.
    for at in brackets(&line).collect::<Vec<_>>().into_iter().rev() {
        line.replace_range(at..=at, "\\u005b");
    }
    line
}

/// A line with what is not seen by number, but for tabs and, where they are to stay, colours.
fn seen(line: &str, coloured: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let length = match colour(rest).filter(|_| coloured) {
            Some(length) => {
                out.push_str(&rest[..length]);
                length
            }
            None => {
                match is_unseen(c) && c != '\t' {
                    true => out.extend(c.escape_default()),
                    false => out.push(c),
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// The length of the sequence that sets a colour or weight, where a text starts with one.
fn colour(text: &str) -> Option<usize> {
    let after = text.strip_prefix("\x1b[")?.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
    after.strip_prefix('m').map(|after| text.len() - after.len())
}

/// Text made fit for a line: what is not seen is by number.
pub fn in_line(text: &str) -> String {
    seen(text, false).replace('\t', "\\t")
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
    fn lines_command_neither_a_terminal_nor_a_runner() {
        for (text, shown) in [
            ("a\n  b\tc: ::d\n", "a\n  b\tc: ::d\n"),
            ("\x1b]0;t\x07\r\u{9b}2J\u{202e}", r"\u{1b}]0;t\u{7}\r\u{9b}2J\u{202e}"),
            ("x\n::error title=y::z", "x\n\\u{3a}:error title=y::z"),
            ("::endgroup::", "\\u{3a}:endgroup::"),
            ("x\n \t\u{a0}::stop-commands::y", "x\n \t\u{a0}\\u{3a}:stop-commands::y"),
            ("a ##[error]b ##vso[task.x]c", "a ##\\u{5b}error]b ##vso\\u{5b}task.x]c"),
            (":: ##[x] [y]", "\\u{3a}: ##\\u{5b}x] [y]"),
            ("# [a] #[b] ## [c] ##[", "# [a] #[b] ## [c] ##\\u{5b}"),
            ("[::1]:5000, é中😀", "[::1]:5000, é中😀"),
        ] {
            assert_eq!(in_lines(text), shown);
            assert_eq!(in_coloured_lines(text), shown);
        }
        let coloured = "\x1b[1;31merror\x1b[0m: \x1b[m";
        assert_eq!(in_coloured_lines(coloured), coloured);
        assert_eq!(in_lines(coloured), r"\u{1b}[1;31merror\u{1b}[0m: \u{1b}[m");
        for text in ["\x1b[2J", "\x1b[1", "\x1b[?25m", "\x1b"] {
            assert_eq!(in_coloured_lines(text), format!("\\u{{1b}}{}", &text[1..]));
        }
        assert_eq!(in_line("a\n\tb"), r"a\n\tb");
        let value = serde_json::json!([["##[error]a ##vso[b]", "\u{202e}"]]);
        let line = in_json_line(&value.to_string());
        assert_eq!(line, r###"[["##\u005berror]a ##vso\u005bb]","\u202e"]]"###);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
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
