//! Control data: stanzas of fields, as Debian writes everything (deb822(5)).

use std::io::{self, BufRead};

use crate::shown::Shown;

/// The most bytes of one stanza: the largest of Debian's own are below 300 KiB (Release files).
pub const MAX_STANZA: usize = 8 << 20;

/// The most fields of one stanza.
const MAX_FIELDS: usize = 500;

/// One stanza: fields in the order in which they are written, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza {
    text: String,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

/// Why control data cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The bytes could not be had.
    #[error("reading control data")]
    Io(#[from] io::Error),
    /// A line is wrong.
    #[error("line {line} of the control data is refused: {reason} in {text}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong.
        reason: &'static str,
        /// The line.
        text: Shown,
    },
    /// More bytes in one stanza than anybody writes.
    #[error("the stanza that ends before line {0} has more than {MAX_STANZA} bytes")]
    Long(u64),
    /// There must be exactly one stanza.
    #[error("one stanza is expected, and there are {0}")]
    Count(&'static str),
    /// A field is missing.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field's value is wrong.
    #[error("the field `{field}` holds {value}: {reason}")]
    Value {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: Shown,
        /// What is wrong.
        reason: String,
    },
}

impl Stanza {
    /// The value of a field, whatever the case of its name. Further lines start with a line break and a space.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// [`ControlError::Missing`].
    pub fn require(&self, name: &'static str) -> Result<&str, ControlError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or(ControlError::Missing(name))
    }

    /// Names and values, as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.slice(field.name), self.slice(field.value)))
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The lines of a field that holds a list, one item a line, without the first (empty) line.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.get(name).unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty())
    }

    /// The only stanza of a text.
    ///
    /// # Errors
    /// [`ControlError`]; also where there is none or a second one, or bytes that are not UTF-8.
    pub fn only(bytes: &[u8]) -> Result<Stanza, ControlError> {
        if let Err(error) = std::str::from_utf8(bytes) {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let text = Shown::new(&bytes[error.valid_up_to()..][..1]);
            return Err(ControlError::Line { line, reason: "no UTF-8", text });
        }
        let mut reader = StanzaReader::new(bytes);
        let stanza = reader.next_stanza()?.ok_or(ControlError::Count("none"))?;
        match reader.next_stanza()? {
            None => Ok(stanza),
            Some(_) => Err(ControlError::Count("more than one")),
        }
    }

    fn slice(&self, (from, to): (u32, u32)) -> &str {
        self.text.get(from as usize..to as usize).unwrap_or_default()
    }

    fn push(&mut self, name: &str, value: &str) {
        self.trim_last();
        let at = self.text.len() as u32;
        self.text.push_str(name);
        let middle = self.text.len() as u32;
        self.text.push_str(value);
        self.fields.push(Field { name: (at, middle), value: (middle, self.text.len() as u32) });
    }

    /// White space at the very end of a value is none of it.
    fn trim_last(&mut self) {
        if let Some(last) = self.fields.last().copied() {
            let length = self.slice(last.value).trim_end().len() as u32;
            if let Some(last) = self.fields.last_mut() {
                last.value.1 = last.value.0 + length;
            }
        }
    }

    fn continue_last(&mut self, line: &str) {
        if let Some(last) = self.fields.last_mut() {
            self.text.push('\n');
            self.text.push_str(line);
            last.value.1 = self.text.len() as u32;
        }
    }
}

/// Reads stanza by stanza, in memory for one.
pub struct StanzaReader<R> {
    inner: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> StanzaReader<R> {
    /// A reader that stands before the first stanza.
    pub fn new(inner: R) -> Self {
        StanzaReader { inner, line: 0, buffer: Vec::new() }
    }

    /// The next stanza. Bytes that are no UTF-8 are replaced by U+FFFD.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn next_stanza(&mut self) -> Result<Option<Stanza>, ControlError> {
        let mut stanza = Stanza::default();
        loop {
            self.buffer.clear();
            let room = (MAX_STANZA - stanza.text.len().min(MAX_STANZA)) as u64 + 1;
            let count = io::Read::take(&mut self.inner, room).read_until(b'\n', &mut self.buffer)?;
            self.line += 1;
            if count as u64 == room && room > 1 && self.buffer.last() != Some(&b'\n') || stanza.text.len() >= MAX_STANZA
            {
                return Err(ControlError::Long(self.line));
            }
            let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
            if line.is_empty() {
                match (count, stanza.is_empty()) {
                    (0, true) => return Ok(None),
                    (_, false) => {
                        stanza.trim_last();
                        return Ok(Some(stanza));
                    }
                    (_, true) => continue,
                }
            }
            let text = String::from_utf8_lossy(line);
            let wrong = |reason| ControlError::Line { line: self.line, reason, text: Shown::new(line) };
            if line.contains(&b'\r') || line.contains(&0) {
                return Err(wrong("a carriage return or NUL"));
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                if stanza.is_empty() {
                    return Err(wrong("a continued line before any field"));
                }
                if text.trim().is_empty() {
                    return Err(wrong("a blank line inside a field"));
                }
                stanza.continue_last(&text);
                continue;
            }
            let Some((name, value)) = text.split_once(':') else { return Err(wrong("no colon")) };
            let fine = |byte: u8| byte.is_ascii_graphic() && byte != b':';
            if name.is_empty() || name.len() > 128 || name.starts_with(['-', '#']) || !name.bytes().all(fine) {
                return Err(wrong("no field name"));
            }
            if stanza.get(name).is_some() {
                return Err(wrong("a second value of one field"));
            }
            if stanza.fields.len() >= MAX_FIELDS {
                return Err(wrong("more fields than anybody writes"));
            }
            stanza.push(name, value.trim_start());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_lines() {
        let stanza = Stanza::only(b"Package: a\nDescription: short\n long\n .\n  indented\nX-Empty:\n").unwrap();
        let fields: Vec<_> = stanza.iter().collect();
        assert_eq!(fields, [("Package", "a"), ("Description", "short\n long\n .\n  indented"), ("X-Empty", "")]);
        assert_eq!(stanza.get("PACKAGE"), Some("a"));
        assert!(matches!(stanza.require("X-Empty"), Err(ControlError::Missing(_))));
    }

    #[test]
    fn stanzas_are_separated_by_blank_lines() {
        let mut reader = StanzaReader::new(&b"\n\nA: 1\n\n\nA: 2\nB: x\xff"[..]);
        assert_eq!(reader.next_stanza().unwrap().unwrap().get("a"), Some("1"));
        assert_eq!(reader.next_stanza().unwrap().unwrap().get("b"), Some("x\u{fffd}"));
        assert!(reader.next_stanza().unwrap().is_none());
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for bad in [
            &b""[..],
            b"A: 1\n\nB: 2\n",
            b"A: 1\nA: 2\n",
            b"A: 1\na: 2\n",
            b" x\nA: 1\n",
            b"A: 1\n \nB: 2\n",
            b"no colon\n",
            b": value\n",
            b"-A: 1\n",
            b"# c: 1\n",
            b"A: 1\r\nB: 2\r\n",
            b"A: \0\n",
            b"A: \xff\n",
            b"A b: 1\n",
        ] {
            assert!(Stanza::only(bad).is_err(), "{}", Shown::new(bad));
        }
    }

    #[test]
    fn an_endless_line_is_not_held() {
        let endless = io::BufReader::new(io::Read::chain(&b"A: "[..], io::repeat(b'x')));
        assert!(matches!(StanzaReader::new(endless).next_stanza(), Err(ControlError::Long(_))));
        let lines = b"A: 1\n".iter().copied().chain(b" y\n".iter().copied().cycle().take(2 * MAX_STANZA));
        let lines: Vec<u8> = lines.collect();
        assert!(matches!(StanzaReader::new(&lines[..]).next_stanza(), Err(ControlError::Long(_))));
    }
}
