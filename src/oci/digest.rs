//! Digests of blobs and diff IDs of layers (image-spec, descriptor.md, "Digests").

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some stored bytes, written `sha256:` and 64 lower-case hexadecimal digits.
///
/// Other algorithms are refused when parsed: a digest names a path in the store, so its grammar is as narrow as it can be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `sha256:` at the front.
    #[error("digest {0:?} does not start with `sha256:` (no other algorithm is supported)")]
    Algorithm(String),
    /// Not 64 lower-case hexadecimal digits after it.
    #[error("digest {0:?} is not 64 lower-case hexadecimal digits after `sha256:`")]
    Hex(String),
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// A digest from its 32 raw bytes.
    pub const fn from_raw(raw: [u8; 32]) -> Self {
        Digest(raw)
    }

    /// The 32 raw bytes.
    pub const fn raw(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        text
    }

    /// The first 12 hexadecimal digits: enough for people.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let shown = || text.chars().take(100).collect::<String>();
        let hex = text.strip_prefix("sha256:").ok_or_else(|| DigestError::Algorithm(shown()))?;
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let hex = hex.as_bytes();
        if hex.len() != 64 {
            return Err(DigestError::Hex(shown()));
        }
        let mut raw = [0; 32];
        for (byte, pair) in raw.iter_mut().zip(hex.chunks_exact(2)) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(DigestError::Hex(shown())),
            }
        }
        Ok(Digest(raw))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's uncompressed tar (image-spec, config.md, "Layer DiffID"): not to be mixed up with the digest
/// of the blob that holds it compressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Digests what is written to it, and counts it.
#[derive(Clone, Default)]
pub struct Hasher {
    sha: Sha256,
    length: u64,
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Bytes seen so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of everything seen.
    pub fn finish(self) -> Digest {
        Digest(self.sha.finalize().into())
    }
}

impl Write for Hasher {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn writes_and_reads_back() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(digest));
        assert_eq!(digest.short(), "e3b0c44298fc");
        let mut hasher = Hasher::new();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.length(), 3);
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
        let mut hasher = Hasher::new();
        io::copy(&mut &b"abc"[..], &mut hasher).unwrap();
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn every_digit_is_itself() {
        let raw: [u8; 32] = std::array::from_fn(|number| (number * 37 + 5) as u8);
        let digest = Digest::from_raw(raw);
        assert_eq!(digest.raw(), &raw);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex(), raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let (id, text) = (DiffId(digest), digest.to_string());
        assert_eq!(
            [format!("{digest:?}"), id.to_string(), format!("{id:?}")],
            [&text, &text, &text].map(String::clone)
        );
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("{text:?}"));
        assert_eq!(serde_json::from_str::<DiffId>(&format!("{text:?}")).unwrap(), id);
        assert!(serde_json::from_str::<DiffId>("\"sha256:ab\"").is_err());
    }

    #[test]
    fn refuses_what_could_become_a_path_or_another_algorithm() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for bad in [
            "",
            "sha256:",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "sha256:../../../../etc/passwd",
            &EMPTY[..70],
            &format!("{EMPTY}0"),
            &upper,
            &format!("{}é", &EMPTY[..69]),
            "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
