//! What of a checkout is not committed: its index (git's `index-format.txt`) compared with the files and with the commit.
//!
//! Files are judged by size and time, as git does it; only those of which these do not tell are read, up to a limit. Files that
//! git does not track play no part.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::GitError;
use super::object::{self, Kind, read_bounded};
use super::repository::Repository;

const MAX_INDEX: u64 = 256 << 20;
/// So many bytes of files are read, where size and time do not tell.
const MAX_READ: u64 = 64 << 20;
/// Trees can name each other many times over.
const MAX_TREES: usize = 20_000;
const MAX_FILES: usize = 1_000_000;
/// No system has a longer path.
const MAX_PATH: usize = 4096;

/// An entry of the index.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: Vec<u8>,
    id: Vec<u8>,
    mode: u32,
    size: u32,
    /// Seconds and nanoseconds.
    mtime: (u32, u32),
    /// Whether git does not look at the file.
    passed_over: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    entries: Vec<Entry>,
    /// The tree that all entries are, where the index says so.
    tree: Option<Vec<u8>>,
}

/// The tracked files that are not as they were committed, among those that are wanted. What cannot be told without reading
/// more than it is worth counts as committed.
pub(super) fn uncommitted(
    repository: &Repository,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<BTreeSet<Vec<u8>>, GitError> {
    let commit = repository.commit()?;
    let path = repository.git().join("index");
    let failed = |error| GitError::read(&path, error);
    let (bytes, written) = match read_bounded(&path, MAX_INDEX) {
        Ok(bytes) => (bytes, fs::metadata(&path).map_err(failed)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(error)),
    };
    // An index in two files, or of a form that is not known, tells nothing here.
    let Some(index) = Index::parse(&bytes, commit.len() / 2) else { return Ok(BTreeSet::new()) };
    let written = (written.mtime() as u32, written.mtime_nsec() as u32);
    let mut budget = MAX_READ;
    let differs = |entry: &&Entry| wanted(&entry.path) && entry.differs(repository.work(), written, &mut budget);
    let mut found: BTreeSet<Vec<u8>> = index.entries.iter().filter(differs).map(|entry| entry.path.clone()).collect();

    let Some((Kind::Commit, body)) = repository.object(&commit)? else { return Ok(found) };
    let Some(tree) = object::tree_of(&body) else { return Ok(found) };
    let is_sparse = index.entries.iter().any(|entry| entry.mode == DIRECTORY);
    if is_sparse || index.tree.as_ref() == Some(&tree) {
        return Ok(found);
    }
    let Some(mut committed) = files_of(repository, tree)? else { return Ok(found) };
    for entry in &index.entries {
        if committed.remove(&entry.path).as_ref() != Some(&entry.id) && wanted(&entry.path) {
            found.insert(entry.path.clone());
        }
    }
    found.extend(committed.into_keys().filter(|path| wanted(path)));
    Ok(found)
}

const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

impl Entry {
    fn differs(&self, work: &Path, written: (u32, u32), budget: &mut u64) -> bool {
        if self.passed_over || matches!(self.mode, DIRECTORY | SUBMODULE) {
            return false;
        }
        let file = work.join(OsStr::from_bytes(&self.path));
        let is_link = self.mode & 0o170_000 == SYMLINK;
        let found = match fs::symlink_metadata(&file) {
            Ok(found) => found,
            Err(error) => return matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if found.is_symlink() != is_link || !is_link && !found.is_file() {
            return true;
        }
        let (size, mtime) = (found.len() as u32, (found.mtime() as u32, found.mtime_nsec() as u32));
        // Some write no nanoseconds; what changed after the index was written may have its time (git's `racy-git.txt`).
        let is_same_time = mtime.0 == self.mtime.0 && (self.mtime.1 == 0 || mtime.1 == self.mtime.1);
        if self.size == size && is_same_time && mtime < written {
            return false;
        }
        if self.size != size && self.size != 0 {
            return true;
        }
        let Some(left) = budget.checked_sub(found.len()) else { return false };
        *budget = left;
        let bytes = match is_link {
            true => fs::read_link(&file).map(|target| target.into_os_string().into_encoded_bytes()),
            false => read_bounded(&file, found.len()),
        };
        bytes.is_ok_and(|bytes| id_of_blob(&bytes, self.id.len()) != self.id)
    }
}

/// The id of a file's contents, of so many bytes.
fn id_of_blob(bytes: &[u8], width: usize) -> Vec<u8> {
    let header = format!("blob {}\0", bytes.len());
    match width {
        20 => {
            use sha1::Digest as _;
            Sha1::new().chain_update(header).chain_update(bytes).finalize().to_vec()
        }
        _ => Sha256::new().chain_update(header).chain_update(bytes).finalize().to_vec(),
    }
}

/// Ids by path.
type Files = BTreeMap<Vec<u8>, Vec<u8>>;

/// All files of a tree; `None` where there are more trees than are looked at, or one is not there.
fn files_of(repository: &Repository, tree: Vec<u8>) -> Result<Option<Files>, GitError> {
    let width = tree.len();
    let (mut files, mut todo, mut count) = (Files::new(), vec![(Vec::new(), tree)], 0);
    while let Some((below, tree)) = todo.pop() {
        count += 1;
        let id: String = tree.iter().map(|byte| format!("{byte:02x}")).collect();
        let Some((Kind::Tree, body)) = repository.object(&id)?.filter(|_| count <= MAX_TREES) else { return Ok(None) };
        let mut reader = Bytes(&body);
        while !reader.0.is_empty() {
            let (Some(mode), Some(name), Some(id)) = (reader.until(b' '), reader.until(0), reader.take(width)) else {
                return Ok(None);
            };
            let path = [&below, name].concat();
            match mode {
                b"40000" => todo.push(([&path[..], b"/"].concat(), id.to_vec())),
                _ => drop(files.insert(path, id.to_vec())),
            }
            if files.len() + todo.len() > MAX_FILES || below.len() > MAX_PATH {
                return Ok(None);
            }
        }
    }
    Ok(Some(files))
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Up to that byte, which is passed over.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == end)?;
        let found = self.take(length)?;
        self.take(1)?;
        Some(found)
    }

    /// How many bytes of the path before fall away (version 4).
    fn fewer(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        loop {
            let [byte] = self.take(1)? else { return None };
            value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            value = value.checked_add(1)?;
        }
    }
}

impl Index {
    /// Reads an index with ids of so many bytes; `None` where it is in two files, or none.
    fn parse(bytes: &[u8], width: usize) -> Option<Self> {
        // The checksum at the end is git's to look at.
        let mut reader = Bytes(bytes.get(..bytes.len().checked_sub(width)?)?);
        if reader.take(4)? != b"DIRC" {
            return None;
        }
        let version = reader.number().filter(|version| (2..=4).contains(version))?;
        let count = reader.number()?;
        let mut index = Index::default();
        let mut before: Vec<u8> = Vec::new();
        for _ in 0..count {
            let start = reader.0.len();
            reader.take(8)?;
            let mtime = (reader.number()?, reader.number()?);
            reader.take(8)?;
            let mode = reader.number()?;
            reader.take(8)?;
            let size = reader.number()?;
            let id = reader.take(width)?.to_vec();
            let flags = reader.short()?;
            let more = if flags & 0x4000 != 0 { reader.short()? } else { 0 };
            let path = match version {
                4 => {
                    let kept = before.len().checked_sub(reader.fewer()?)?;
                    [before.get(..kept)?, reader.until(0)?].concat()
                }
                _ => {
                    let path = reader.until(0)?.to_vec();
                    // Entries are filled up to eight bytes, with one NUL at least.
                    let length = start - reader.0.len();
                    reader.take(length.next_multiple_of(8) - length)?;
                    path
                }
            };
            if path.len() > MAX_PATH {
                return None;
            }
            before.clone_from(&path);
            let passed_over = flags & 0x8000 != 0 || more & 0x4000 != 0;
            index.entries.push(Entry { path, id, mode, size, mtime, passed_over });
        }
        while !reader.0.is_empty() {
            let name = reader.take(4)?;
            let length = reader.number()?;
            let mut extension = Bytes(reader.take(usize::try_from(length).ok()?)?);
            match name {
                b"link" => return None,
                b"TREE" => index.tree = root_of(&mut extension, width),
                _ => {}
            }
        }
        Some(index)
    }
}

/// The tree of the whole index, where it is known.
fn root_of(extension: &mut Bytes<'_>, width: usize) -> Option<Vec<u8>> {
    let path = extension.until(0)?;
    let count = extension.until(b' ')?;
    extension.until(b'\n')?;
    match path.is_empty() && !count.starts_with(b"-") {
        true => extension.take(width).map(<[u8]>::to_vec),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_index_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 2_u8..5, count in 0_u8..3) {
            let _ = Index::parse(&bytes, 20);
            let header = [b"DIRC\0\0\0".as_slice(), &[version, 0, 0, 0, count]].concat();
            let _ = Index::parse(&[header, bytes].concat(), 20);
        }
    }
}
