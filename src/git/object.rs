//! Objects of git: loose and packed, with their deltas (git's `pack-format.txt`), read with everything bounded.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::ZlibDecoder;

use super::GitError;
use crate::host::open_regular;

/// More than any commit or annotated tag is long.
const MAX_OBJECT: u64 = 16 << 20;
/// Deltas upon deltas: git itself stops at 4095.
const MAX_CHAIN: usize = 4096;

/// The kinds of objects that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Tag,
    Other,
}

/// The objects of a directory and of its alternates. Which packs there are is looked at once, and again where that is no
/// longer so: git packs objects anew in the background.
#[derive(Debug)]
pub(super) struct Objects {
    directory: PathBuf,
    /// How many alternates led here.
    depth: usize,
    /// The indexes of the packs.
    indexes: RefCell<Option<Rc<[PathBuf]>>>,
    /// The pack in which the last object was.
    last: Cell<usize>,
    alternates: OnceCell<Vec<Objects>>,
}

impl Objects {
    /// Those of a directory; nothing is read yet.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self::below(directory, 0)
    }

    fn below(directory: PathBuf, depth: usize) -> Self {
        Objects { directory, depth, indexes: RefCell::default(), last: Cell::new(0), alternates: OnceCell::new() }
    }

    /// An object, by its id in hexadecimal digits; `None` where neither the directory nor its alternates have it.
    pub(super) fn find(&self, id: &str) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        let Some(raw) = raw_id(id) else { return Ok(None) };
        if let Some(found) = self.own(id, &raw)? {
            return Ok(Some(found));
        }
        for other in self.alternates()? {
            if let Some(found) = other.find(id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// An object of this directory, loose or in a pack.
    fn own(&self, id: &str, raw: &[u8]) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        /// Git does not pack so often between two looks.
        const LOOKS: usize = 5;
        for _ in 1..LOOKS {
            let indexes = self.indexes()?;
            match self.look(id, raw, &indexes) {
                Err(error) if error.is_gone() => {}
                Ok(None) => {}
                found => return found,
            }
            // It may have been packed, or packed anew, since the packs were listed.
            self.indexes.take();
            if self.indexes()? == indexes {
                break;
            }
        }
        let indexes = self.indexes()?;
        self.look(id, raw, &indexes)
    }

    fn look(&self, id: &str, raw: &[u8], indexes: &[PathBuf]) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
        if let Some(found) = loose(&self.directory, id)? {
            return Ok(Some(found));
        }
        let last = self.last.get();
        for (number, index) in indexes.iter().enumerate().skip(last).chain(indexes.iter().enumerate().take(last)) {
            if let Some(offset) = offset_in(index, raw)? {
                self.last.set(number);
                let pack = index.with_extension("pack");
                return packed(&pack, offset, &|base| offset_in(index, base), raw.len()).map(Some);
            }
        }
        Ok(None)
    }

    fn indexes(&self) -> Result<Rc<[PathBuf]>, GitError> {
        if let Some(indexes) = &*self.indexes.borrow() {
            return Ok(indexes.clone());
        }
        let packs = self.directory.join("pack");
        let mut indexes: Vec<PathBuf> = match fs::read_dir(&packs) {
            Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(GitError::read(&packs, error)),
        };
        indexes.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
        indexes.sort();
        let indexes: Rc<[PathBuf]> = indexes.into();
        *self.indexes.borrow_mut() = Some(indexes.clone());
        Ok(indexes)
    }

    fn alternates(&self) -> Result<&[Objects], GitError> {
        if let Some(alternates) = self.alternates.get() {
            return Ok(alternates);
        }
        let found = if self.depth < 5 { alternates(&self.directory)? } else { Vec::new() };
        let found = found.into_iter().map(|directory| Self::below(directory, self.depth + 1)).collect();
        Ok(self.alternates.get_or_init(|| found))
    }
}

/// An id as bytes: 20 or 32 of them.
fn raw_id(id: &str) -> Option<Vec<u8>> {
    if !matches!(id.len(), 40 | 64) || !id.is_ascii() {
        return None;
    }
    id.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// More than these are not looked into: each is asked for each object that is not there.
const MAX_ALTERNATES: usize = 8;

fn alternates(objects: &Path) -> Result<Vec<PathBuf>, GitError> {
    let path = objects.join("info/alternates");
    let text = match read_bounded(&path, 1 << 20) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(GitError::read(&path, error)),
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.take(MAX_ALTERNATES).map(|line| objects.join(line)).collect())
}

/// All of a file, where it is no longer than that.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn loose(objects: &Path, id: &str) -> Result<Option<(Kind, Vec<u8>)>, GitError> {
    let path = objects.join(&id[..2]).join(&id[2..]);
    let file = match open_regular(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GitError::read(&path, error)),
    };
    let mut bytes = Vec::new();
    ZlibDecoder::new(io::BufReader::new(file))
        .take(MAX_OBJECT + 64)
        .read_to_end(&mut bytes)
        .map_err(|error| GitError::read(&path, error))?;
    let malformed = || GitError::malformed(&path, "its header is not `KIND SIZE`");
    let end = bytes.iter().take(64).position(|byte| *byte == 0).ok_or_else(malformed)?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let (kind, size) = header.split_once(' ').ok_or_else(malformed)?;
    let size: Option<usize> = size.parse().ok();
    let kind = match kind {
        "commit" => Kind::Commit,
        "tree" => Kind::Tree,
        "tag" => Kind::Tag,
        _ => return Ok(Some((Kind::Other, Vec::new()))),
    };
    let body = bytes.split_off(end + 1);
    if size != Some(body.len()) {
        return Err(GitError::malformed(&path, "it is not as long as its header says"));
    }
    Ok(Some((kind, body)))
}

/// Reads a number of bytes at a place of a file.
fn read_at<const N: usize>(file: &File, path: &Path, offset: u64) -> Result<[u8; N], GitError> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).map_err(|error| GitError::read(path, error))?;
    Ok(bytes)
}

/// Where in its pack an object is, by the pack's index (version 2).
fn offset_in(index: &Path, id: &[u8]) -> Result<Option<u64>, GitError> {
    let file = open_regular(index).map_err(|error| GitError::read(index, error))?;
    if read_at::<8>(&file, index, 0)? != [0xff, b't', b'O', b'c', 0, 0, 0, 2] {
        return Err(GitError::malformed(index, "it is no pack index of version 2"));
    }
    let count_to = |first: u8| -> Result<u64, GitError> {
        read_at::<4>(&file, index, 8 + 4 * u64::from(first)).map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    };
    let total = count_to(255)?;
    let width = id.len() as u64;
    let names = 8 + 256 * 4;
    let mut low = if id[0] == 0 { 0 } else { count_to(id[0] - 1)? };
    let mut high = count_to(id[0])?.min(total);
    let mut name = vec![0; id.len()];
    while low < high {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut name, names + middle * width).map_err(|error| GitError::read(index, error))?;
        match name.as_slice().cmp(id) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                let offsets = names + total * (width + 4);
                let offset = u32::from_be_bytes(read_at(&file, index, offsets + middle * 4)?);
                if offset & 0x8000_0000 == 0 {
                    return Ok(Some(u64::from(offset)));
                }
                let large = offsets + total * 4 + u64::from(offset & 0x7fff_ffff) * 8;
                return Ok(Some(u64::from_be_bytes(read_at(&file, index, large)?)));
            }
        }
    }
    Ok(None)
}

/// A reader over a file from a place on.
struct From<'a> {
    file: &'a File,
    at: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl From<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        Ok(byte[0])
    }
}

type Lookup<'a> = dyn Fn(&[u8]) -> Result<Option<u64>, GitError> + 'a;

/// An object of a pack: its deltas are applied to what they build on, in the same pack.
fn packed(pack: &Path, offset: u64, offset_of: &Lookup<'_>, id_bytes: usize) -> Result<(Kind, Vec<u8>), GitError> {
    let file = open_regular(pack).map_err(|error| GitError::read(pack, error))?;
    let read_error = |error| GitError::read(pack, error);
    let malformed = |reason| GitError::malformed(pack, reason);
    let mut deltas: Vec<Vec<u8>> = Vec::new();
    let mut held = 0;
    let mut at = offset;
    loop {
        let mut reader = From { file: &file, at };
        let first = reader.byte().map_err(read_error)?;
        let kind = first >> 4 & 7;
        let mut size = u64::from(first & 15);
        let (mut shift, mut more) = (4, first & 0x80 != 0);
        while more {
            let byte = reader.byte().map_err(read_error)?;
            if shift > 46 {
                return Err(malformed("an object's size is no number"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            more = byte & 0x80 != 0;
        }
        let base = match kind {
            6 => {
                let mut byte = reader.byte().map_err(read_error)?;
                let mut back = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = reader.byte().map_err(read_error)?;
                    back = back
                        .checked_add(1)
                        .filter(|back| *back < 1 << 56)
                        .ok_or_else(|| malformed("a delta's base is no offset"))?;
                    back = back << 7 | u64::from(byte & 0x7f);
                }
                Some(
                    at.checked_sub(back)
                        .filter(|_| back > 0)
                        .ok_or_else(|| malformed("a delta's base is not in front of it"))?,
                )
            }
            7 => {
                let mut id = vec![0; id_bytes];
                reader.read_exact(&mut id).map_err(read_error)?;
                Some(offset_of(&id)?.ok_or_else(|| malformed("a delta's base is missing"))?)
            }
            1..=4 => None,
            _ => return Err(malformed("an object is of no known kind")),
        };
        held += size;
        if size > MAX_OBJECT || held > 4 * MAX_OBJECT || deltas.len() > MAX_CHAIN {
            return Err(malformed("an object is larger than any commit"));
        }
        let mut bytes = Vec::new();
        ZlibDecoder::new(io::BufReader::new(reader)).take(size + 1).read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() as u64 != size {
            return Err(malformed("an object is not as long as its header says"));
        }
        match base {
            Some(base) => {
                deltas.push(bytes);
                at = base;
            }
            None => {
                let kind = match kind {
                    1 => Kind::Commit,
                    2 => Kind::Tree,
                    4 => Kind::Tag,
                    _ => Kind::Other,
                };
                for delta in deltas.iter().rev() {
                    bytes = apply(&bytes, delta).ok_or_else(|| malformed("a delta does not fit"))?;
                }
                return Ok((kind, bytes));
            }
        }
    }
}

/// What a delta makes of its base; `None` where they do not fit together.
fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut delta = delta.iter().copied();
    let mut number = || -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = delta.next()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
            if shift > 56 {
                return None;
            }
        }
    };
    let (from, to) = (number()?, number()?);
    if from != base.len() as u64 || to > MAX_OBJECT {
        return None;
    }
    let mut result = Vec::new();
    while let Some(command) = delta.next() {
        if command & 0x80 != 0 {
            let mut parts = [0u8; 7];
            for (bit, part) in parts.iter_mut().enumerate() {
                if command >> bit & 1 != 0 {
                    *part = delta.next()?;
                }
            }
            let start = u32::from_le_bytes([parts[0], parts[1], parts[2], parts[3]]) as usize;
            let length = match u32::from_le_bytes([parts[4], parts[5], parts[6], 0]) as usize {
                0 => 0x10000,
                length => length,
            };
            result.extend_from_slice(base.get(start..start.checked_add(length)?)?);
        } else if command == 0 {
            return None;
        } else {
            for _ in 0..command {
                result.push(delta.next()?);
            }
        }
        if result.len() as u64 > to {
            return None;
        }
    }
    (result.len() as u64 == to).then_some(result)
}

/// Seconds since 1970 of the `committer` line of a commit.
pub(super) fn committer_time(commit: &[u8]) -> Option<i64> {
    let line = headers(commit).find_map(|line| line.strip_prefix(b"committer "))?;
    let after = &line[line.iter().rposition(|byte| *byte == b'>')? + 1..];
    let seconds: i64 = std::str::from_utf8(after).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
    (0..=253_402_300_799).contains(&seconds).then_some(seconds)
}

/// The tree of a commit.
pub(super) fn tree_of(commit: &[u8]) -> Option<Vec<u8>> {
    let id = headers(commit).find_map(|line| line.strip_prefix(b"tree "))?;
    raw_id(std::str::from_utf8(id).ok()?)
}

/// The object that an annotated tag is for.
pub(super) fn tagged(tag: &[u8]) -> Option<String> {
    let id = headers(tag).find_map(|line| line.strip_prefix(b"object "))?;
    let id = std::str::from_utf8(id).ok()?;
    raw_id(id).map(|_| id.to_owned())
}

/// The lines above the first empty one.
fn headers(object: &[u8]) -> impl Iterator<Item = &[u8]> {
    object.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn applies_deltas() {
        // base 5 bytes; result: copy "ell" (offset 1, length 3), then insert "!!".
        assert_eq!(apply(b"hello", &[5, 5, 0x91, 1, 3, 2, b'!', b'!']).as_deref(), Some(&b"ell!!"[..]));
        for bad in
            [&[5, 5, 0x91, 4, 3][..], &[4, 5, 1, b'x'], &[5, 1, 0], &[5, 1, 2, b'x'], &[5, 9, 1, b'x'], &[], &[5]]
        {
            assert_eq!(apply(b"hello", bad), None, "{bad:?}");
        }
    }

    #[test]
    fn reads_dates() {
        let commit = b"tree a\nauthor A <a> 1 +0000\ncommitter B <b> x> 1700000000 +0100\n\ncommitter <c> 5 +0000\n";
        assert_eq!(committer_time(commit), Some(1_700_000_000));
        assert_eq!(committer_time(b"tree a\n\ncommitter B <b> 5 +0000\n"), None);
        assert_eq!(committer_time(b"committer B <b> -5 +0000\n"), None);
    }

    proptest! {
        #[test]
        fn any_delta_is_judged(base in prop::collection::vec(any::<u8>(), 0..40), delta in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = apply(&base, &delta);
        }
    }
}
