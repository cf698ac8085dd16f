//! The canonical form of a layer's tar, format 1.
//!
//! Entries in byte order of path; directories end in a slash; no entry for the root. ustar headers: mode (with setuid,
//! setgid, sticky), uid and gid in octal, time [`MTIME`], no user or group names, device fields empty. A path of more than
//! 100 bytes is split at the last slash that fits both fields; where none does, and for whatever else does not fit its
//! field, a PAX header named `PaxHeaders/<basename>` stands before the entry, with only the records that are needed,
//! sorted by key; for a deletion it is named after what is deleted. The checksum is six octal digits, NUL and space. Hard
//! links follow their target. Two zero blocks end the archive.

use std::io::{self, Read, Write};

use crate::content::Content;
use crate::oci::Digest;
use crate::tree::{Entry, FileTree, Kind, TreePath};

use super::ahead::{Ahead, reading_ahead};
use super::pax;
use super::{BLOCK, MTIME, padding};

/// The name of the attribute that holds a file's capabilities, as PAX headers carry attributes.
pub(super) const CAPABILITY_RECORD: &str = "SCHILY.xattr.security.capability";

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file's contents could not be read.
    #[error("reading the contents of {path} ({origin})")]
    Content {
        /// Where the file goes.
        path: TreePath,
        /// Where it comes from.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// The tar could not be written on.
    #[error("writing the layer")]
    Output(#[source] io::Error),
}

/// Sees what passes while a tree is written: each entry, then the bytes of its contents.
pub trait Observer {
    /// An entry begins.
    fn entry(&mut self, path: &TreePath, entry: &Entry);
    /// More bytes of its contents.
    fn contents(&mut self, path: &TreePath, entry: &Entry, bytes: &[u8]);
    /// Whether it knows the contents of the file that began. Where nothing is written, they are not read then.
    fn knows(&mut self, _path: &TreePath, _entry: &Entry) -> bool {
        false
    }
}

/// Sees nothing.
impl Observer for () {
    fn entry(&mut self, _: &TreePath, _: &Entry) {}
    fn contents(&mut self, _: &TreePath, _: &Entry, _: &[u8]) {}
}

/// Writes a tree as a tar. Hard links must have been settled ([`FileTree::settle_links`]).
///
/// # Errors
/// [`WriteError`]: files that change while they are read are an error, never padded or cut.
pub fn write_tree(
    tree: &FileTree,
    out: &mut (impl Write + ?Sized),
    observer: &mut impl Observer,
) -> Result<(), WriteError> {
    write_tree_ahead(tree, 0, out, observer)
}

/// [`write_tree`], with small files read ahead on up to `threads` more threads: contents are then read some time before
/// the observer hears of their entry.
///
/// # Errors
/// As [`write_tree`].
pub fn write_tree_ahead(
    tree: &FileTree,
    threads: usize,
    out: &mut (impl Write + ?Sized),
    observer: &mut impl Observer,
) -> Result<(), WriteError> {
    let entries = ordered(tree);
    let mut contents = Vec::new();
    for (_, entry) in entries.iter().filter(|_| threads > 0) {
        if let Kind::File(content) = &entry.kind {
            contents.push(content);
        }
    }
    reading_ahead(&contents, threads, |ahead| write_entries(&entries, ahead, out, observer))
}

fn write_entries(
    entries: &[(&TreePath, &Entry)],
    ahead: &mut Ahead,
    out: &mut (impl Write + ?Sized),
    observer: &mut impl Observer,
) -> Result<(), WriteError> {
    let mut buffer = vec![0; BUFFER];
    let mut header = Vec::with_capacity(BLOCK as usize);
    for &(path, entry) in entries {
        observer.entry(path, entry);
        header.clear();
        write_header(&mut header, path, entry);
        out.write_all(&header).map_err(WriteError::Output)?;
        let Kind::File(content) = &entry.kind else { continue };
        let failed = |source| WriteError::Content { path: path.clone(), origin: entry.origin.to_string(), source };
        let read = ahead.take(content).map_err(failed)?;
        read_contents(path, entry, read.as_ref().unwrap_or(content), &mut buffer, |bytes| {
            observer.contents(path, entry, bytes);
            out.write_all(bytes).map_err(WriteError::Output)
        })?;
        out.write_all(&[0; BLOCK as usize][..padding(content.len()) as usize]).map_err(WriteError::Output)?;
    }
    out.write_all(&[0; 2 * BLOCK as usize]).map_err(WriteError::Output)
}

/// Shows an observer what [`write_tree`] would, but for contents that it knows, and writes nothing.
///
/// # Errors
/// As [`write_tree`].
pub fn read_tree(tree: &FileTree, observer: &mut impl Observer) -> Result<(), WriteError> {
    let mut buffer = Vec::new();
    for (path, entry) in ordered(tree) {
        observer.entry(path, entry);
        if let Kind::File(content) = &entry.kind
            && !observer.knows(path, entry)
        {
            buffer.resize(BUFFER, 0);
            read_contents(path, entry, content, &mut buffer, |bytes| {
                observer.contents(path, entry, bytes);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Bytes of contents that are read at once.
const BUFFER: usize = 128 << 10;

/// Goes through the contents of a file.
///
/// # Errors
/// Where they cannot be read, or are not what was found.
pub fn read_contents(
    path: &TreePath,
    entry: &Entry,
    content: &Content,
    buffer: &mut [u8],
    mut see: impl FnMut(&[u8]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let failed = |source| WriteError::Content { path: path.clone(), origin: entry.origin.to_string(), source };
    let mut reader = content.open().map_err(|error| failed(error.into()))?;
    let mut left = content.len();
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match reader.read(&mut buffer[..want]) {
            Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        see(&buffer[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// The length of the tree's tar in bytes, without reading any contents.
pub fn tar_length(tree: &FileTree) -> u64 {
    let entry_length = |(path, entry): (&TreePath, &Entry)| {
        let mut header = Vec::new();
        write_header(&mut header, path, entry);
        let content = match &entry.kind {
            Kind::File(content) => content.len(),
            _ => 0,
        };
        header.len() as u64 + content + padding(content)
    };
    tree.iter().map(entry_length).sum::<u64>() + 2 * BLOCK
}

/// The entries in the order of a layer: byte order of the path, where a deletion stands under the name that it has in the
/// layer. Hard links stand behind their targets, since those come first in byte order.
pub(crate) fn ordered(tree: &FileTree) -> Vec<(&TreePath, &Entry)> {
    // Deletions sort by another name than the path they delete.
    let mut entries: Vec<(&TreePath, &Entry)> = tree.iter().collect();
    if entries.iter().any(|(_, entry)| matches!(entry.kind, Kind::Whiteout)) {
        entries.sort_by_cached_key(|(path, entry)| name_in_layer(path, entry));
    }
    entries
}

fn name_in_layer(path: &TreePath, entry: &Entry) -> Vec<u8> {
    match entry.kind {
        Kind::Whiteout => {
            let parent = path.parent().unwrap_or_default();
            let mut name = parent.as_bytes().to_vec();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(b".wh.");
            name.extend_from_slice(path.file_name().unwrap_or_default());
            name
        }
        _ => path.as_bytes().to_vec(),
    }
}

/// The header blocks of one entry, PAX header included.
pub(super) fn write_header(out: &mut Vec<u8>, path: &TreePath, entry: &Entry) {
    let mut name = name_in_layer(path, entry);
    let (kind, link, size): (u8, &[u8], u64) = match &entry.kind {
        Kind::Directory => {
            name.push(b'/');
            (b'5', b"", 0)
        }
        Kind::File(content) => (b'0', b"", content.len()),
        Kind::Symlink(target) => (b'2', target, 0),
        Kind::Hardlink(target) => (b'1', target.as_bytes(), 0),
        Kind::Whiteout => (b'0', b"", 0),
    };
    let (mode, owner) = match entry.kind {
        Kind::Whiteout => (0, Default::default()),
        _ => (entry.mode, entry.owner),
    };

    // Sorted by key, as the records must be.
    let mut records = Vec::new();
    if let Some(capabilities) = &entry.capabilities {
        pax::write_record(&mut records, CAPABILITY_RECORD, &capabilities.0);
    }
    if owner.gid > MAX_ID {
        pax::write_record(&mut records, "gid", owner.gid.to_string().as_bytes());
    }
    if link.len() > 100 {
        pax::write_record(&mut records, "linkpath", link);
    }
    let split = split_name(&name);
    if split.is_none() {
        pax::write_record(&mut records, "path", &name);
    }
    if size > MAX_SIZE {
        pax::write_record(&mut records, "size", size.to_string().as_bytes());
    }
    if owner.uid > MAX_ID {
        pax::write_record(&mut records, "uid", owner.uid.to_string().as_bytes());
    }
    if !records.is_empty() {
        let base = path.file_name().unwrap_or_default();
        let mut pax_name = b"PaxHeaders/".to_vec();
        pax_name.extend_from_slice(&base[..base.len().min(100 - pax_name.len())]);
        write_block(
            out,
            &Fields { name: &pax_name, kind: b'x', mode: 0o644, size: records.len() as u64, ..Fields::default() },
        );
        let pad = padding(records.len() as u64) as usize;
        out.extend_from_slice(&records);
        out.extend_from_slice(&[0; BLOCK as usize][..pad]);
    }
    let (prefix, short) = split.unwrap_or((0, 0));
    let (prefix, short) = match split {
        Some(_) => (&name[..prefix], &name[short..]),
        // The PAX record holds the whole; the field holds what fits.
        None => (&name[..0], &name[..100]),
    };
    write_block(
        out,
        &Fields {
            name: short,
            prefix,
            kind,
            mode,
            uid: if owner.uid > MAX_ID { 0 } else { owner.uid },
            gid: if owner.gid > MAX_ID { 0 } else { owner.gid },
            size: if size > MAX_SIZE { 0 } else { size },
            link: &link[..link.len().min(100)],
        },
    );
}

/// The largest id and size that fit their octal fields.
const MAX_ID: u32 = 0o777_7777;
const MAX_SIZE: u64 = 0o777_7777_7777;

/// Where a name is cut for the ustar fields: the end of the prefix and the start of the rest. `None` where it fits in no
/// way. The last slash that fits is taken.
fn split_name(name: &[u8]) -> Option<(usize, usize)> {
    if name.len() <= 100 {
        return Some((0, 0));
    }
    // The slash itself is written in neither field. A directory's own trailing slash is no place to cut.
    let last = name.len() - 1;
    let fits = |at: &usize| *at > 0 && *at <= 155 && *at < last && name.len() - at - 1 <= 100;
    (0..name.len()).filter(|at| name[*at] == b'/').rfind(fits).map(|at| (at, at + 1))
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    link: &'a [u8],
}

/// One ustar header block. Device fields are all zero, as are user and group names.
fn write_block(out: &mut Vec<u8>, fields: &Fields<'_>) {
    let mut block = [0; BLOCK as usize];
    block[..fields.name.len()].copy_from_slice(fields.name);
    octal(&mut block[100..108], u64::from(fields.mode));
    octal(&mut block[108..116], u64::from(fields.uid));
    octal(&mut block[116..124], u64::from(fields.gid));
    octal(&mut block[124..136], fields.size);
    octal(&mut block[136..148], MTIME);
    block[156] = fields.kind;
    block[157..157 + fields.link.len()].copy_from_slice(fields.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[345..345 + fields.prefix.len()].copy_from_slice(fields.prefix);
    // As Go and GNU tar write it: six octal digits, NUL, space; summed up with spaces in its place.
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    octal(&mut block[148..155], u64::from(sum));
    block[154] = 0;
    out.extend_from_slice(&block);
}

/// Octal digits that fill the field but for a NUL at its end.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    for (place, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + ((value >> (3 * place)) & 7) as u8;
    }
}

/// The digest of a tree's tar, for tests and for layers that are known to be small.
///
/// # Errors
/// As [`write_tree`].
pub fn diff_id(tree: &FileTree) -> Result<crate::oci::DiffId, WriteError> {
    let mut hasher = crate::oci::Hasher::new();
    write_tree(tree, &mut hasher, &mut ())?;
    let digest: Digest = hasher.finish();
    Ok(crate::oci::DiffId(digest))
}
