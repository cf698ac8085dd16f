//! Tar archives that hold images: opened, scanned, never unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::source::SourceError;
use super::{FilePlace, Place};
use crate::compress::{Decoder, detect};
use crate::content::Content;
use crate::oci::Compression;
use crate::oci::json::MAX_DOCUMENT;
use crate::shown::Shown;
use crate::tar::{MemberKind, Reader};
use crate::tree::TreePath;

/// The most bytes that an archive may have once it is decompressed.
const MAX_ARCHIVE: u64 = 256 << 30;

/// The most links that lead from one name to the next.
const MAX_LINKS: usize = 16;

/// An open archive, and where in it each member's bytes are.
#[derive(Debug)]
pub(super) struct ArchiveFile {
    file: Arc<File>,
    place: Shown,
    members: BTreeMap<TreePath, Where>,
}

#[derive(Debug)]
enum Where {
    Bytes {
        offset: u64,
        length: u64,
    },
    Link(TreePath),
    Directory,
    /// A link that leads out of the archive, or a device: there, and no use.
    Nowhere,
}

impl ArchiveFile {
    /// Opens an archive and notes its members. Where it is compressed as a whole or comes through a pipe, it is first
    /// unpacked into a file without a name in `tmp`.
    pub(super) fn open(place: &Place, file: &FilePlace, tmp: &Path) -> Result<Self, SourceError> {
        let shown = Shown::new(place.to_string().as_bytes());
        let (path, file) = match file {
            FilePlace::Standard => {
                let path = PathBuf::from("standard input");
                let file = spool(io::stdin(), Compression::None, &path, tmp)?;
                (path, file)
            }
            FilePlace::Path(path) => (path.clone(), open_file(path, &shown, tmp)?),
        };
        let failed = || SourceError::io("reading", &path);
        let mut start = [0; 512];
        let count = read_start(&file, &mut start).map_err(failed())?;
        let file = match detect(&start[..count]) {
            Compression::None => file,
            compression => {
                let mut reader = file;
                reader.seek(SeekFrom::Start(0)).map_err(failed())?;
                let file = spool(reader, compression, &path, tmp)?;
                read_start(&file, &mut start).map_err(failed())?;
                file
            }
        };
        if let Some(format) = foreign(&start) {
            let reason = format!("is {format}: decompress it first");
            return Err(SourceError::Kind { place: shown, reason });
        }
        let members = scan(&file, &shown)?;
        Ok(ArchiveFile { file: Arc::new(file), place: shown, members })
    }

    /// What to call it in messages.
    pub(super) fn place(&self) -> &Shown {
        &self.place
    }

    /// Whether there is a file of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        TreePath::parse(name)
            .is_ok_and(|path| matches!(self.members.get(&path), Some(Where::Bytes { .. } | Where::Link(_))))
    }

    /// Whether a directory of that name is at the archive's root, or a link that stands for one.
    pub(super) fn has_directory(&self, name: &str) -> bool {
        self.members.iter().any(|(path, found)| {
            let mut parts = path.components();
            parts.next() == Some(name.as_bytes()) && (parts.next().is_some() || !matches!(found, Where::Bytes { .. }))
        })
    }

    /// The bytes of a file by its name in the archive; links inside the archive are followed. `None` where no such file is
    /// there.
    pub(super) fn file(&self, name: &str) -> Result<Option<Content>, SourceError> {
        let damaged = |reason: &str| SourceError::Damaged {
            item: Shown::new(name.as_bytes()).to_string(),
            place: self.place.clone(),
            reason: reason.to_owned(),
        };
        if name.starts_with('/') {
            return Err(damaged("is an absolute path"));
        }
        let mut path = TreePath::parse(name).map_err(|error| damaged(&format!("is no path inside it: {error}")))?;
        for _ in 0..MAX_LINKS {
            match self.members.get(&path) {
                None => return Ok(None),
                Some(Where::Bytes { offset, length }) => {
                    let name = format!("{} in {}", Shown::new(path.as_bytes()), self.place);
                    return Ok(Some(Content::slice(self.file.clone(), name.into(), *offset, *length)));
                }
                Some(Where::Link(target)) => path = target.clone(),
                Some(Where::Directory) => return Err(damaged("is a directory")),
                Some(Where::Nowhere) => return Err(damaged("is a link out of the archive, or a device")),
            }
        }
        Err(damaged("is a link that leads round in a circle"))
    }

    /// A small file, whole.
    pub(super) fn small_file(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(content) = self.file(name)? else { return Ok(None) };
        let failed = |source| SourceError::Io { action: "reading", path: PathBuf::from(name), source };
        content.read_all(MAX_DOCUMENT).map(Some).map_err(failed)
    }
}

fn open_file(path: &Path, place: &Shown, tmp: &Path) -> Result<File, SourceError> {
    // NONBLOCK only keeps the opening of a FIFO that nobody writes to from hanging; then it is told what it is.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(error) => return Err(SourceError::io("opening", path)(error.into())),
    };
    let kind = file.metadata().map_err(SourceError::io("reading", path))?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if kind.is_dir() {
        let reason = "is a directory: a layout is written `oci:DIR`".to_owned();
        return Err(SourceError::Kind { place: place.clone(), reason });
    }
    // A device has no end, or nothing in it.
    if kind.is_char_device() || kind.is_block_device() {
        return Err(SourceError::Kind { place: place.clone(), reason: "is a device, and no archive".to_owned() });
    }
    // A pipe (`archive:<(docker save x)`): now the waiting is meant.
    drop(file);
    let file = File::open(path).map_err(SourceError::io("opening", path))?;
    spool(file, Compression::None, path, tmp)
}

/// Copies a stream into a file without a name, decompressed.
fn spool(reader: impl Read + Send, compression: Compression, path: &Path, tmp: &Path) -> Result<File, SourceError> {
    let mut file = tempfile::tempfile_in(tmp).map_err(SourceError::io("making a temporary file in", tmp))?;
    let mut reader = Decoder::new(reader, compression).limited(MAX_ARCHIVE);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SourceError::io("reading", path)(error)),
        };
        io::Write::write_all(&mut file, &buffer[..count])
            .map_err(SourceError::io("writing to a temporary file in", tmp))?;
    }
    Ok(file)
}

fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What the file is, where it is one of the things that people give in place of a tar.
fn foreign(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("compressed with xz"),
        [b'B', b'Z', b'h', ..] => Some("compressed with bzip2"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP file"),
        _ => None,
    }
}

/// Notes every member, and refuses what could be understood in two ways. (The reader refuses the rest.)
fn scan(file: &File, place: &Shown) -> Result<BTreeMap<TreePath, Where>, SourceError> {
    let wrong = |error: crate::tar::ReadError| SourceError::Damaged {
        item: "the tar".to_owned(),
        place: place.clone(),
        reason: format!("cannot be read: {}", chain(&error)),
    };
    let mut file = file;
    file.seek(SeekFrom::Start(0)).map_err(|error| wrong(error.into()))?;
    let mut reader = Reader::seeking(io::BufReader::with_capacity(4096, file));
    let mut members = BTreeMap::new();
    while let Some(member) = reader.next_member().map_err(wrong)? {
        let found = match member.kind {
            MemberKind::File => Where::Bytes { offset: member.offset, length: member.size },
            MemberKind::Directory => Where::Directory,
            MemberKind::Hardlink(target) => Where::Link(target),
            MemberKind::Symlink(target) => link_target(&member.path, &target).map_or(Where::Nowhere, Where::Link),
            MemberKind::Special => Where::Nowhere,
        };
        let is_directory = matches!(found, Where::Directory);
        if let Some(before) = members.insert(member.path.clone(), found)
            && !(is_directory && matches!(before, Where::Directory))
        {
            return Err(SourceError::Damaged {
                item: member.path.shown().to_string(),
                place: place.clone(),
                reason: "stands in the tar twice".to_owned(),
            });
        }
    }
    Ok(members)
}

/// Where a symlink leads inside the archive; `None` where that is outside.
fn link_target(link: &TreePath, target: &[u8]) -> Option<TreePath> {
    if target.starts_with(b"/") {
        return None;
    }
    let mut at = link.parent()?;
    for component in target.split(|byte| *byte == b'/') {
        at = match component {
            b"" | b"." => continue,
            b".." => at.parent()?,
            name => at.child(name).ok()?,
        };
    }
    Some(at)
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
