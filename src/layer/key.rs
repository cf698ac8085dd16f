//! Layer keys: equal keys mean equal layers, and a key can be known before any byte of its layer is.
//!
//! A key is the BLAKE3 of everything that can change a layer's bytes, in this order (numbers are little-endian, byte
//! strings have their length, 8 bytes, in front):
//!
//! ```text
//! "lapstrake layer"  format, 4 bytes (1)  id of the encoding, a byte string
//! for each entry, in the order of the layer:
//!   kind, 1 byte: d f l h w    path, a byte string    mode, uid, gid, 4 bytes each
//!   capabilities, a byte string, empty where there are none
//!   f: length, 8 bytes, and BLAKE3 of the contents, 32 bytes    l, h: the target, a byte string
//! ```
//!
//! The text of the recipe, the order in which it says things, names and owners' names never enter.

use std::fmt;

use crate::compress::Encoding;
use crate::tar::Observer;
use crate::tree::{Entry, Kind, TreePath};

/// The number of the form that layers have. It changes when bytes of layers do, and only then.
pub const FORMAT: u32 = 1;

/// What a layer is made from, in 32 bytes; written `blake3:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerKey([u8; 32]);

impl fmt::Display for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", self.hex())
    }
}

impl fmt::Debug for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for LayerKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits =
            text.strip_prefix("blake3:").filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_uppercase()));
        let hash = digits.and_then(|digits| blake3::Hash::from_hex(digits).ok()).ok_or(())?;
        Ok(LayerKey(*hash.as_bytes()))
    }
}

impl serde::Serialize for LayerKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for LayerKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("no layer key"))
    }
}

impl LayerKey {
    pub(super) fn from_raw(raw: [u8; 32]) -> Self {
        LayerKey(raw)
    }

    pub(super) fn raw(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hexadecimal digits alone.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

const PENDING: usize = 64 << 10;

/// Makes a key while a layer is written, from what passes.
pub struct KeyHasher {
    whole: blake3::Hasher,
    /// What is still to go into `whole`: much at once takes a fraction of the time of many small pieces.
    pending: Vec<u8>,
    /// The contents of the file that is passing, and its length.
    contents: Option<(blake3::Hasher, u64)>,
}

impl KeyHasher {
    /// A hasher for a layer of that encoding.
    pub fn new(encoding: Encoding) -> Self {
        let mut hasher = KeyHasher { whole: blake3::Hasher::new(), pending: Vec::new(), contents: None };
        hasher.add(b"lapstrake layer");
        hasher.add(&FORMAT.to_le_bytes());
        hasher.bytes(encoding.id().as_bytes());
        hasher
    }

    fn add(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PENDING {
            self.whole.update(&self.pending);
            self.pending.clear();
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.add(&(bytes.len() as u64).to_le_bytes());
        self.add(bytes);
    }

    /// Ends the contents that are passing, if any are; gives their BLAKE3.
    pub(super) fn end_contents(&mut self) -> Option<[u8; 32]> {
        let (hasher, length) = self.contents.take()?;
        let hash = *hasher.finalize().as_bytes();
        self.hashed(length, &hash);
        Some(hash)
    }

    /// In place of the contents of the file that began: their length and BLAKE3.
    pub(super) fn known_contents(&mut self, length: u64, hash: &[u8; 32]) {
        self.contents = None;
        self.hashed(length, hash);
    }

    fn hashed(&mut self, length: u64, hash: &[u8; 32]) {
        self.add(&length.to_le_bytes());
        self.add(hash);
    }

    /// The key, after the last entry.
    pub fn finish(mut self) -> LayerKey {
        self.end_contents();
        self.whole.update(&self.pending);
        LayerKey(*self.whole.finalize().as_bytes())
    }
}

impl Observer for KeyHasher {
    fn entry(&mut self, path: &TreePath, entry: &Entry) {
        self.end_contents();
        self.add(match &entry.kind {
            Kind::Directory => b"d",
            Kind::File(_) => b"f",
            Kind::Symlink(_) => b"l",
            Kind::Hardlink(_) => b"h",
            Kind::Whiteout => b"w",
        });
        self.bytes(path.as_bytes());
        for number in [entry.mode, entry.owner.uid, entry.owner.gid] {
            self.add(&number.to_le_bytes());
        }
        self.bytes(entry.capabilities.as_ref().map_or(&[], |capabilities| &capabilities.0));
        match &entry.kind {
            Kind::File(_) => self.contents = Some((blake3::Hasher::new(), 0)),
            Kind::Symlink(target) => self.bytes(target),
            Kind::Hardlink(target) => self.bytes(target.as_bytes()),
            Kind::Directory | Kind::Whiteout => {}
        }
    }

    fn contents(&mut self, _: &TreePath, _: &Entry, bytes: &[u8]) {
        if let Some((hasher, length)) = &mut self.contents {
            hasher.update(bytes);
            *length += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::tree::{FileTree, Origin, Owner};

    fn key(build: impl FnOnce(&mut FileTree)) -> LayerKey {
        let mut tree = FileTree::new();
        build(&mut tree);
        let key = of(&tree, Encoding::GZIP);
        let mut hasher = KeyHasher::new(Encoding::GZIP);
        crate::tar::write_tree(&tree, &mut std::io::sink(), &mut hasher).unwrap();
        assert_eq!(hasher.finish(), key, "made while writing, it is the same");
        key
    }

    fn of(tree: &FileTree, encoding: Encoding) -> LayerKey {
        let mut hasher = KeyHasher::new(encoding);
        crate::tar::read_tree(tree, &mut hasher).unwrap();
        hasher.finish()
    }

    fn file(tree: &mut FileTree, path: &str, text: &str, mode: u32, uid: u32, origin: &str) {
        let entry = Entry::file(Content::inline(text.as_bytes()), mode, Owner::new(uid, 0), Origin::new(origin));
        tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
    }

    #[test]
    fn everything_that_changes_the_layer_changes_the_key_and_nothing_else_does() {
        let base = key(|tree| file(tree, "a", "text", 0o644, 0, "x"));
        assert_eq!(base, key(|tree| file(tree, "a", "text", 0o644, 0, "elsewhere")));
        assert_eq!(base.to_string(), "blake3:be90b46577cbc1036c39d11dfdc4bdcb1a31c9a80f2b86eadef5d0239565fa76");
        let others = [
            key(|tree| file(tree, "b", "text", 0o644, 0, "x")),
            key(|tree| file(tree, "a", "texu", 0o644, 0, "x")),
            key(|tree| file(tree, "a", "text", 0o755, 0, "x")),
            key(|tree| file(tree, "a", "text", 0o644, 1, "x")),
            key(|tree| {
                file(tree, "a", "text", 0o644, 0, "x");
                file(tree, "b", "", 0o644, 0, "x");
            }),
            key(|_| {}),
        ];
        for (number, other) in others.iter().enumerate() {
            assert_ne!(base, *other);
            assert!(!others[..number].contains(other));
        }
        let zstd = {
            let mut tree = FileTree::new();
            file(&mut tree, "a", "text", 0o644, 0, "x");
            of(&tree, Encoding::ZSTD)
        };
        assert_ne!(base, zstd);
    }
}
