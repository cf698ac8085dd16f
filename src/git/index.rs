//! What of a checkout is not committed: its index (git's `index-format.txt`) compared with the files and with the commit.
//!
//! Files are judged by size, time and executable bit, as git does it; only those of which these do not tell are read, up to a
//! limit. Files that git does not track play no part. What may come out of a filter (`filter=`, `ident`,
//! `working-tree-encoding`) is told by size alone, since no filter is run.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::GitError;
use super::config::{Config, names_filter};
use super::object::{self, Kind, read_bounded};
use super::repository::Repository;

const MAX_INDEX: u64 = 256 << 20;
/// So many bytes of files are read, where size and time do not tell.
const MAX_READ: u64 = 64 << 20;
/// Trees can name each other many times over.
const MAX_TREES: usize = 20_000;
const MAX_TREE_BYTES: usize = 128 << 20;
/// No system has a longer path.
const MAX_PATH: usize = 4096;

/// How much of an index, and of a commit's trees, is held in memory: where there is more, nothing is told. Paths take a byte
/// or two in the index where they begin as those before them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) files: usize,
    /// Bytes of all paths together.
    pub(super) paths: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { files: 1_000_000, paths: 128 << 20 }
    }
}

impl Limits {
    /// What is left after one more path.
    fn after(self, path: &[u8]) -> Option<Self> {
        Some(Limits { files: self.files.checked_sub(1)?, paths: self.paths.checked_sub(path.len())? })
    }
}

/// Files and directories that are looked at, by their paths in the checkout.
#[derive(Debug)]
pub(super) struct Among(Vec<Vec<u8>>);

impl Among {
    pub(super) fn new(paths: Vec<Vec<u8>>) -> Self {
        Among(paths)
    }

    /// Whether a file is one of them, or below one.
    fn has(&self, path: &[u8]) -> bool {
        self.0.iter().any(|above| is_at_or_below(path, above))
    }

    /// Whether some of them can be in a directory.
    fn reaches(&self, directory: &[u8]) -> bool {
        self.0.iter().any(|path| is_at_or_below(directory, path) || is_at_or_below(path, directory))
    }
}

fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// What a file is committed as.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Blob {
    id: Vec<u8>,
    mode: u32,
}

/// An entry of the index.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: Vec<u8>,
    blob: Blob,
    size: u32,
    /// Seconds and nanoseconds.
    mtime: (u32, u32),
    /// Whether git does not look at the file.
    passed_over: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    /// Those that are looked at.
    entries: Vec<Entry>,
    /// Whether a directory is one entry, and some of its files are looked at.
    is_sparse: bool,
    /// Whether attributes are in the index that need not be in the checkout.
    hides_attributes: bool,
    /// The tree that all entries are, where the index says so.
    tree: Option<Vec<u8>>,
}

/// The tracked files that are not as they were committed, among those that are looked at. What cannot be told without reading
/// more than it is worth counts as committed.
pub(super) fn uncommitted(
    repository: &Repository,
    config: &Config,
    among: &Among,
    limits: Limits,
) -> Result<BTreeSet<Vec<u8>>, GitError> {
    let commit = repository.commit()?;
    let path = repository.git().join("index");
    let bytes = match read_bounded(&path, MAX_INDEX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(GitError::read(&path, error)),
    };
    // An index in two files, or of a form that is not known, tells nothing here.
    let Some(index) = Index::parse(&bytes, commit.len() / 2, among, limits) else { return Ok(BTreeSet::new()) };
    drop(bytes);
    let mut files = Files {
        repository,
        config,
        hides_attributes: index.hides_attributes,
        left: MAX_READ,
        filters: BTreeMap::new(),
    };
    let differs = |entry: &&Entry| files.differ(entry);
    let mut found: BTreeSet<Vec<u8>> = index.entries.iter().filter(differs).map(|entry| entry.path.clone()).collect();

    let Some((Kind::Commit, body)) = repository.object(&commit)? else { return Ok(found) };
    let Some(tree) = object::tree_of(&body) else { return Ok(found) };
    if index.is_sparse || index.tree.as_ref() == Some(&tree) {
        return Ok(found);
    }
    let Some(mut committed) = files_of(repository, tree, among, limits)? else { return Ok(found) };
    for entry in index.entries {
        if committed.remove(&entry.path) != Some(entry.blob) {
            found.insert(entry.path);
        }
    }
    found.extend(committed.into_keys());
    Ok(found)
}

const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;
const KIND: u32 = 0o170_000;
const EXECUTABLE: u32 = 0o100;

/// The files of a checkout, and what of them was looked at.
struct Files<'a> {
    repository: &'a Repository,
    config: &'a Config,
    hides_attributes: bool,
    /// Bytes that may yet be read.
    left: u64,
    /// Directories whose own attributes name a filter, or do not.
    filters: BTreeMap<Vec<u8>, bool>,
}

impl Files<'_> {
    /// Whether the file of an entry is not what the entry says.
    fn differ(&mut self, entry: &Entry) -> bool {
        let mode = entry.blob.mode;
        if entry.passed_over || matches!(mode, DIRECTORY | SUBMODULE) {
            return false;
        }
        let file = self.repository.work().join(OsStr::from_bytes(&entry.path));
        let is_link = mode & KIND == SYMLINK;
        let found = match fs::symlink_metadata(&file) {
            Ok(found) => found,
            Err(error) => return matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if found.is_symlink() != is_link || !is_link && !found.is_file() {
            return true;
        }
        if !is_link && self.config.file_mode && found.mode() & EXECUTABLE != mode & EXECUTABLE {
            return true;
        }
        let (size, mtime) = (found.len() as u32, (found.mtime() as u32, found.mtime_nsec() as u32));
        // Some write no nanoseconds. What was written within the same tick as the index is believed, too: it is nearly always
        // the checkout's own file, and many of those cannot be hashed without their filter.
        let is_same_time = mtime.0 == entry.mtime.0 && (entry.mtime.1 == 0 || mtime.1 == entry.mtime.1);
        if entry.size == size && is_same_time {
            return false;
        }
        if entry.size != size && entry.size != 0 {
            return true;
        }
        let Some(left) = self.left.checked_sub(found.len()) else { return false };
        self.left = left;
        let bytes = match is_link {
            true => fs::read_link(&file).map(|target| target.into_os_string().into_encoded_bytes()),
            false => read_bounded(&file, found.len()),
        };
        let Ok(bytes) = bytes else { return false };
        let is_blob = |bytes: &[u8]| id_of_blob(bytes, entry.blob.id.len()) == entry.blob.id;
        if is_blob(&bytes) {
            return false;
        }
        is_link || !is_blob(&with_plain_ends(&bytes)) && !is_blob(&lfs_pointer(&bytes)) && !self.may_filter(&entry.path)
    }

    /// Whether attributes, of all files or of the directories above, name a filter.
    fn may_filter(&mut self, path: &[u8]) -> bool {
        if self.hides_attributes || self.config.filters() {
            return true;
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        std::iter::once(0).chain(slashes).any(|end| {
            let directory = &path[..end];
            if let Some(known) = self.filters.get(directory) {
                return *known;
            }
            let attributes = self.repository.work().join(OsStr::from_bytes(directory)).join(".gitattributes");
            let names = names_filter(&attributes);
            self.filters.insert(directory.to_vec(), names);
            names
        })
    }
}

/// What is committed of a text whose lines end in CR LF in the checkout (`core.autocrlf`, `eol=crlf`).
fn with_plain_ends(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if *byte != b'\r' || text.get(at + 1) != Some(&b'\n') {
            plain.push(*byte);
        }
    }
    plain
}

/// What is committed of a file that git LFS keeps.
fn lfs_pointer(bytes: &[u8]) -> Vec<u8> {
    let (digest, length) = (hex(&Sha256::digest(bytes)), bytes.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {length}\n").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// The files of a tree that are looked at; `None` where there is more than is held, or a tree is not there.
fn files_of(
    repository: &Repository,
    tree: Vec<u8>,
    among: &Among,
    mut limits: Limits,
) -> Result<Option<BTreeMap<Vec<u8>, Blob>>, GitError> {
    let width = tree.len();
    let (mut files, mut todo) = (BTreeMap::new(), vec![(Vec::new(), tree)]);
    let (mut trees, mut read) = (0, 0);
    while let Some((below, tree)) = todo.pop() {
        let Some((Kind::Tree, body)) = repository.object(&hex(&tree))? else { return Ok(None) };
        trees += 1;
        read += body.len();
        if trees > MAX_TREES || read > MAX_TREE_BYTES {
            return Ok(None);
        }
        let mut reader = Bytes(&body);
        while !reader.0.is_empty() {
            let (Some(mode), Some(name), Some(id)) = (reader.octal(), reader.until(0), reader.take(width)) else {
                return Ok(None);
            };
            let path = match below.is_empty() {
                true => name.to_vec(),
                false => [&below, b"/".as_slice(), name].concat(),
            };
            let is_tree = mode == DIRECTORY;
            if !if is_tree { among.reaches(&path) } else { among.has(&path) } {
                continue;
            }
            let Some(left) = limits.after(&path).filter(|_| path.len() <= MAX_PATH) else { return Ok(None) };
            limits = left;
            match is_tree {
                true => todo.push((path, id.to_vec())),
                false => drop(files.insert(path, Blob { id: id.to_vec(), mode: as_in_index(mode) })),
            }
        }
    }
    Ok(Some(files))
}

/// The mode as an index has it: early trees have more bits.
fn as_in_index(mode: u32) -> u32 {
    match mode & KIND {
        kind @ (SYMLINK | SUBMODULE) => kind,
        _ if mode & EXECUTABLE != 0 => 0o100_755,
        _ => 0o100_644,
    }
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

    /// A mode of a tree, and the blank after it.
    fn octal(&mut self) -> Option<u32> {
        u32::from_str_radix(std::str::from_utf8(self.until(b' ')?).ok()?, 8).ok()
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
    /// Reads an index with ids of so many bytes; `None` where it is in two files, none, or more than is held.
    fn parse(bytes: &[u8], width: usize, among: &Among, mut limits: Limits) -> Option<Self> {
        // The checksum at the end is git's to look at.
        let mut reader = Bytes(bytes.get(..bytes.len().checked_sub(width)?)?);
        if reader.take(4)? != b"DIRC" {
            return None;
        }
        let version = reader.number().filter(|version| (2..=4).contains(version))?;
        let count = reader.number()?;
        let mut index = Index::default();
        let mut path: Vec<u8> = Vec::new();
        for _ in 0..count {
            let start = reader.0.len();
            reader.take(8)?;
            let mtime = (reader.number()?, reader.number()?);
            reader.take(8)?;
            let mode = reader.number()?;
            reader.take(8)?;
            let size = reader.number()?;
            let id = reader.take(width)?;
            let flags = reader.short()?;
            let more = if flags & 0x4000 != 0 { reader.short()? } else { 0 };
            let kept = match version {
                4 => path.len().checked_sub(reader.fewer()?)?,
                _ => 0,
            };
            path.truncate(kept);
            path.extend_from_slice(reader.until(0)?);
            if version < 4 {
                // Entries are filled up to eight bytes, with one NUL at least.
                let length = start - reader.0.len();
                reader.take(length.next_multiple_of(8) - length)?;
            }
            if path.len() > MAX_PATH {
                return None;
            }
            let passed_over = flags & 0x8000 != 0 || more & 0x4000 != 0;
            index.is_sparse |= mode == DIRECTORY && among.reaches(without_slash(&path));
            let attributes_of = path.strip_suffix(b".gitattributes").filter(|_| passed_over);
            index.hides_attributes |= attributes_of.is_some_and(|above| among.reaches(without_slash(above)));
            if among.has(&path) {
                limits = limits.after(&path)?;
                let blob = Blob { id: id.to_vec(), mode };
                index.entries.push(Entry { path: path.clone(), blob, size, mtime, passed_over });
            }
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
            let among = Among::new(vec![Vec::new()]);
            let _ = Index::parse(&bytes, 20, &among, Limits::default());
            let header = [b"DIRC\0\0\0".as_slice(), &[version, 0, 0, 0, count]].concat();
            let _ = Index::parse(&[header, bytes].concat(), 20, &among, Limits::default());
        }
    }

    /// Would fail if an index of a few bytes an entry took 4 KiB of memory for each.
    #[test]
    fn no_more_is_held_than_is_worth_it() {
        let entry = |fewer: &[u8], path: &[u8]| [[0; 62].as_slice(), fewer, path, &[0]].concat();
        let entries = [entry(&[0], &[b'x'; 100]), entry(&[1], b"y"), entry(&[1], b"z")].concat();
        let bytes = [b"DIRC\0\0\0\x04\0\0\0\x03".as_slice(), &entries, &[0; 20]].concat();
        let parsed = |among: &[u8], files, paths| {
            Index::parse(&bytes, 20, &Among::new(vec![among.to_vec()]), Limits { files, paths })
                .map(|index| index.entries.len())
        };
        assert_eq!(parsed(b"", 3, 300), Some(3));
        assert_eq!(parsed(b"", 2, 300), None);
        assert_eq!(parsed(b"", 3, 299), None);
        // What is not looked at is not held.
        assert_eq!(parsed(&[b'x'; 100], 1, 100), Some(1));
        assert_eq!(parsed(b"elsewhere", 0, 0), Some(0));
    }

    #[test]
    fn paths_are_told_apart_by_their_parts() {
        let among = Among::new(vec![b"services/web".to_vec(), b"top".to_vec()]);
        for (path, has, reaches) in [
            (&b"services/web"[..], true, true),
            (b"services/web/a", true, true),
            (b"services", false, true),
            (b"services/we", false, false),
            (b"services/web2", false, false),
            (b"serv", false, false),
            (b"", false, true),
            (b"top", true, true),
        ] {
            assert_eq!((among.has(path), among.reaches(path)), (has, reaches), "{path:?}");
        }
        let all = Among::new(vec![Vec::new()]);
        assert!(all.has(b"a") && all.reaches(b"a/b") && !Among::new(Vec::new()).reaches(b""));
    }

    #[test]
    fn contents_are_found_behind_what_checkouts_make_of_them() {
        assert_eq!(with_plain_ends(b"a\r\nb\r\r\n\rc\n\r"), b"a\nb\r\n\rc\n\r");
        let pointer = String::from_utf8(lfs_pointer(b"abc")).unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(pointer, format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 3\n"));
    }
}
