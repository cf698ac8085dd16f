//! `RECORD`: the list of a wheel's files with their hashes (packaging specifications, "Recording installed projects"; PEP 376, 427).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::oci::Digest;
use crate::shown::Shown;

/// The most bytes that a `RECORD` may have.
pub const MAX_RECORD: u64 = 64 << 20;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The rows of a `RECORD`, by path.
#[derive(Clone, Debug, Default)]
pub struct Record {
    rows: BTreeMap<String, Row>,
}

/// What a `RECORD` says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The hash, where there is one.
    pub hash: Option<RecordHash>,
    /// The length in bytes, where there is one.
    pub size: Option<u64>,
}

/// A hash of a `RECORD`, as it is written: `sha256=` and base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHash {
    algorithm: Algorithm,
    value: Vec<u8>,
    written: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a `RECORD` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text cannot be read.
    #[error("line {line} of RECORD cannot be read: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A hash that is none, or too weak.
    #[error("RECORD has {hash} for the file {path}: {reason}")]
    Hash {
        /// The file.
        path: Shown,
        /// The text in the hash's place.
        hash: Shown,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file is listed twice.
    #[error("RECORD lists the file {0} twice")]
    Double(Shown),
    /// A file of the wheel is not listed.
    #[error("the wheel holds the file {0}, which RECORD does not list")]
    Unlisted(Shown),
    /// A file is listed without a hash.
    #[error("RECORD lists the file {0} without a hash")]
    Unhashed(Shown),
    /// A listed file is not there.
    #[error("RECORD lists the file {0}, which the wheel does not hold")]
    Missing(Shown),
    /// Another size or hash.
    #[error("the file {path} has another {what} than RECORD says")]
    Different {
        /// The file.
        path: Shown,
        /// `size` or `hash`.
        what: &'static str,
    },
}

impl Record {
    /// Reads the text.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = std::str::from_utf8(text).map_err(|error| RecordError::Line {
            line: lines(&text[..error.valid_up_to()]),
            reason: "it is no UTF-8",
        })?;
        let mut rows = BTreeMap::new();
        for (line, fields) in parse_csv(text)? {
            let mut fields = fields.into_iter();
            let path = fields.next().unwrap_or_default();
            let (hash, size) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            if fields.next().is_some() {
                return Err(RecordError::Line { line, reason: "it has more than three fields" });
            }
            let hash = if hash.is_empty() { None } else { Some(RecordHash::parse(&path, &hash)?) };
            let size = match size.as_str() {
                "" => None,
                text if text.bytes().all(|b| b.is_ascii_digit()) => {
                    Some(text.parse().map_err(|_| RecordError::Line { line, reason: "the size is too large" })?)
                }
                _ => return Err(RecordError::Line { line, reason: "the size is no number" }),
            };
            let shown = Shown::new(path.as_bytes());
            if rows.insert(path, Row { hash, size }).is_some() {
                return Err(RecordError::Double(shown));
            }
        }
        Ok(Record { rows })
    }

    /// The row of a file.
    pub fn get(&self, path: &str) -> Option<&Row> {
        self.rows.get(path)
    }

    /// All rows in byte order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.rows.iter().map(|(path, row)| (path.as_str(), row))
    }

    /// A checker for a file that must be listed.
    ///
    /// # Errors
    /// Where it is not, or has no hash.
    pub fn check(&self, path: &str) -> Result<Check<'_>, RecordError> {
        let shown = || Shown::new(path.as_bytes());
        let row = self.get(path).ok_or_else(|| RecordError::Unlisted(shown()))?;
        let hash = row.hash.as_ref().ok_or_else(|| RecordError::Unhashed(shown()))?;
        let second = match hash.algorithm {
            Algorithm::Sha256 => None,
            Algorithm::Sha384 => Some(Second::Sha384(Sha384::new())),
            Algorithm::Sha512 => Some(Second::Sha512(Sha512::new())),
        };
        Ok(Check { path: shown(), hash, size: row.size, sha256: Sha256::new(), second, length: 0 })
    }

    /// The text as pip writes it: rows sorted, lines ending in CR and LF.
    pub fn write<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Row)>) -> Vec<u8> {
        let mut sorted: Vec<(&str, &Row)> = rows.into_iter().collect();
        sorted.sort_by_key(|(path, _)| *path);
        let mut text = String::new();
        for (path, row) in sorted {
            push_field(&mut text, path);
            text.push(',');
            push_field(&mut text, row.hash.as_ref().map_or("", |hash| &hash.written));
            text.push(',');
            if let Some(size) = row.size {
                text.push_str(&size.to_string());
            }
            text.push_str("\r\n");
        }
        text.into_bytes()
    }
}

impl Row {
    /// The row of `RECORD` itself, which cannot hold its own hash.
    pub const EMPTY: Row = Row { hash: None, size: None };

    /// The row of a file with that digest and length.
    pub fn of(digest: &Digest, size: u64) -> Self {
        let written = format!("sha256={}", BASE64.encode(digest.raw()));
        let hash = RecordHash { algorithm: Algorithm::Sha256, value: digest.raw().to_vec(), written };
        Row { hash: Some(hash), size: Some(size) }
    }
}

impl RecordHash {
    fn parse(path: &str, text: &str) -> Result<Self, RecordError> {
        let bad =
            |reason| RecordError::Hash { path: Shown::new(path.as_bytes()), hash: Shown::new(text.as_bytes()), reason };
        let (algorithm, value) = text.split_once('=').ok_or_else(|| bad("it is not `algorithm=value`"))?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha384" => Algorithm::Sha384,
            "sha512" => Algorithm::Sha512,
            "md5" | "sha1" => return Err(bad("md5 and sha1 prove nothing, sha256 or better is needed")),
            _ => return Err(bad("the algorithm is not one of sha256, sha384, sha512")),
        };
        let value = BASE64.decode(value).map_err(|_| bad("the value is no base64 as URLs have it"))?;
        let length = match algorithm {
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        };
        match value.len() == length {
            true => Ok(RecordHash { algorithm, value, written: text.to_owned() }),
            false => Err(bad("the value has the wrong length")),
        }
    }
}

enum Second {
    Sha384(Sha384),
    Sha512(Sha512),
}

/// Compares a file with its row while it is read.
pub struct Check<'a> {
    path: Shown,
    hash: &'a RecordHash,
    size: Option<u64>,
    sha256: Sha256,
    second: Option<Second>,
    length: u64,
}

impl Check<'_> {
    /// Takes in more bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
        match &mut self.second {
            Some(Second::Sha384(hasher)) => hasher.update(bytes),
            Some(Second::Sha512(hasher)) => hasher.update(bytes),
            None => {}
        }
    }

    /// The file's digest, where the row is right.
    ///
    /// # Errors
    /// [`RecordError::Different`].
    pub fn finish(self) -> Result<Digest, RecordError> {
        let digest = Digest::from_raw(self.sha256.finalize().into());
        if self.size.is_some_and(|size| size != self.length) {
            return Err(RecordError::Different { path: self.path, what: "size" });
        }
        let same = match self.second {
            None => digest.raw()[..] == self.hash.value[..],
            Some(Second::Sha384(hasher)) => hasher.finalize()[..] == self.hash.value[..],
            Some(Second::Sha512(hasher)) => hasher.finalize()[..] == self.hash.value[..],
        };
        match same {
            true => Ok(digest),
            false => Err(RecordError::Different { path: self.path, what: "hash" }),
        }
    }
}

fn lines(bytes: &[u8]) -> usize {
    1 + bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Rows of comma-separated values with the number of the line where each starts, quoted as Python's `csv` does. Empty
/// lines fall away.
fn parse_csv(text: &str) -> Result<Vec<(usize, Vec<String>)>, RecordError> {
    let mut rows = Vec::new();
    let (mut line, mut start) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    let mut any = false;
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        }
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => {
                quoted = false;
                if !matches!(chars.peek(), None | Some(',' | '\r' | '\n')) {
                    return Err(RecordError::Line { line, reason: "something follows a closing quote" });
                }
            }
            c if quoted => field.push(c),
            '"' if field.is_empty() => (quoted, any) = (true, true),
            '"' => return Err(RecordError::Line { line, reason: "it has a quote inside a field" }),
            ',' => {
                fields.push(std::mem::take(&mut field));
                any = true;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\n' => {
                if any || !field.is_empty() {
                    fields.push(std::mem::take(&mut field));
                    rows.push((start, std::mem::take(&mut fields)));
                }
                any = false;
                start = line;
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err(RecordError::Line { line: start, reason: "a quote is not closed" });
    }
    if any || !field.is_empty() {
        fields.push(field);
        rows.push((start, fields));
    }
    Ok(rows)
}

fn push_field(text: &mut String, field: &str) {
    if field.contains([',', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(&field.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELLO: &str = "sha256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";

    fn parse(text: &str) -> Result<Record, RecordError> {
        Record::parse(text.as_bytes())
    }

    fn check(text: &str, path: &str, bytes: &[u8]) -> Result<Digest, RecordError> {
        let record = parse(text)?;
        let mut check = record.check(path)?;
        check.update(bytes);
        check.finish()
    }

    #[test]
    fn a_file_is_what_its_row_says() {
        let row = format!("a.py,{HELLO},5\n");
        assert_eq!(check(&row, "a.py", b"hello"), Ok(Digest::of(b"hello")));
        assert!(matches!(check(&row, "a.py", b"hellO"), Err(RecordError::Different { what: "hash", .. })));
        assert!(matches!(check(&row, "a.py", b"hello!"), Err(RecordError::Different { what: "size", .. })));
        assert!(matches!(check(&row, "b.py", b""), Err(RecordError::Unlisted(_))));
        assert!(matches!(check("a.py,,\n", "a.py", b""), Err(RecordError::Unhashed(_))));
        let long = "a,sha512=m3HSJL1i83hdltRq0-o9czGb-8KJDKra4t_3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw,5";
        assert_eq!(check(long, "a", b"hello"), Ok(Digest::of(b"hello")));
        assert_eq!(check(&format!("a,{HELLO}=,"), "a", b"hello"), Ok(Digest::of(b"hello")));
    }

    #[test]
    fn weak_and_broken_hashes_are_refused() {
        for bad in [
            "md5=XUFAKrxLKna5cZ2REBfFkg",
            "sha1=qvTGHdzF6KLavt4PO0gs2a6pQ00",
            "sha256=abc",
            "sha256=+PJNul/wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
            "sha256",
            "blake2b=aaaa",
            "SHA256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
        ] {
            assert!(matches!(parse(&format!("a,{bad},5")), Err(RecordError::Hash { .. })), "{bad}");
        }
    }

    #[test]
    fn the_text_is_read_as_csv() {
        let record = parse(&format!("\"a, \"\"b\"\"\n.py\",{HELLO},5\r\n\r\nx.dist-info/RECORD,,\r\nonly\n")).unwrap();
        assert_eq!(
            record.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            ["a, \"b\"\n.py", "only", "x.dist-info/RECORD"]
        );
        assert!(matches!(parse("a,,\nb,,\na,,\n"), Err(RecordError::Double(_))));
        for (bad, line) in
            [("a,,x", 1), ("a,,-1", 1), ("ok,,\n\"a,,\n\n", 2), ("\"a\"b,,", 1), ("a\"b,,", 1), ("a,,1,2", 1)]
        {
            match parse(bad) {
                Err(RecordError::Line { line: found, .. }) => assert_eq!(found, line, "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
        assert!(Record::parse(b"a\n\xff,,").is_err());
        assert!(parse("a,,99999999999999999999").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(paths in proptest::collection::btree_set("[a-z,\"\r\n é]{1,9}", 0..5)) {
            let row = Row::of(&Digest::of(b"x"), 1);
            let text = Record::write(paths.iter().map(|path| (path.as_str(), &row)));
            let record = Record::parse(&text).unwrap();
            prop_assert_eq!(record.iter().map(|(path, _)| path.to_owned()).collect::<std::collections::BTreeSet<_>>(), paths);
            prop_assert!(record.iter().all(|(_, found)| *found == row));
        }

        #[test]
        fn noise_never_panics(noise in "[a,\"\r\n=0-9é]{0,60}") {
            let _ = parse(&noise);
        }
    }
}
