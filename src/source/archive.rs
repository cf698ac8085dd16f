//! The `archive` source: a tar whose members become entries of the layer, with their owners and modes.
//!
//! Nothing is unpacked: the plain tar lies in one temporary file that is nowhere named, and entries point into it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::compress::{Decoder, detect};
use crate::content::Content;
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::tar::{MemberKind, ReadError, Reader};
use crate::tree::{Entry, Kind, Origin, Owner, TreePath};

/// The most that an archive may decompress to, in bytes.
const MAX_ARCHIVE: u64 = 64 << 30;

/// What is asked of an archive.
pub struct ArchiveRequest<'a> {
    /// The file, as it is opened.
    pub path: &'a Path,
    /// Owner of everything; as the archive has it where there is none.
    pub owner: Option<Owner>,
    /// Whether a member is left out, by its path in the archive.
    pub excludes: &'a dyn Fn(&TreePath) -> bool,
    /// Where temporary files go.
    pub tmp: &'a Path,
}

/// What an archive holds.
pub struct ArchiveMembers {
    /// Entries by their path in the archive.
    pub entries: BTreeMap<TreePath, Entry>,
    /// The newest time of a member, seconds since 1970.
    pub newest: Option<i64>,
}

/// Why an archive cannot become part of a layer.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read.
    #[error("reading the archive {path}")]
    Read {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// It is no tar, or one that is refused.
    #[error("reading the archive {path}")]
    Tar {
        /// The file.
        path: Shown,
        /// Why.
        source: ReadError,
    },
    /// It is compressed in a way that is not read.
    #[error("the archive {path} is compressed with {kind}: only gzip, zstd and plain tars are read")]
    Compression {
        /// The file.
        path: Shown,
        /// With what.
        kind: &'static str,
    },
    /// A hard link leads nowhere.
    #[error("{link} in the archive {path} is a hard link to what is no file of the archive")]
    Link {
        /// The file.
        path: Shown,
        /// The link.
        link: TreePath,
    },
    /// It holds a device, FIFO or socket.
    #[error(
        "{member} in the archive {path} is a device, FIFO or socket, which no layer can hold: leave it out with `exclude`"
    )]
    Special {
        /// The file.
        path: Shown,
        /// The member.
        member: TreePath,
    },
}

/// Reads an archive. Of members with the same path, the last holds.
///
/// # Errors
/// [`ArchiveError`].
pub fn read_archive(request: &ArchiveRequest<'_>, reporter: &Reporter) -> Result<ArchiveMembers, ArchiveError> {
    let shown = || Shown::new(request.path.as_os_str().as_encoded_bytes());
    let failed = |source| ArchiveError::Read { path: shown(), source };
    let refused = |source| ArchiveError::Tar { path: shown(), source };
    let name = request.path.file_name().unwrap_or_default().to_string_lossy().into_owned();

    let spool = Arc::new(spool(request, &name, reporter)?);
    (&*spool).seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut reader = Reader::new(BufReader::with_capacity(1 << 18, &*spool));
    let origin = Origin::new(format!("archive {}", shown()));
    let label: Arc<str> = format!("the archive {}", shown()).into();
    // Everything, whether it is left out or not: hard links may lead to what is.
    let mut all: BTreeMap<TreePath, Entry> = BTreeMap::new();
    let mut newest = None;
    while let Some(member) = reader.next_member().map_err(refused)? {
        if member.path.is_root() {
            continue;
        }
        let owner = request.owner.unwrap_or(member.owner);
        let (mode, origin) = (member.mode, origin.clone());
        let entry = match member.kind {
            MemberKind::Directory => Entry::directory(mode, owner, origin),
            MemberKind::File => {
                let content = Content::slice(spool.clone(), label.clone(), member.offset, member.size);
                Entry::file(content, mode, owner, origin)
            }
            MemberKind::Symlink(target) => Entry::symlink(target, owner, origin),
            MemberKind::Hardlink(target) => {
                Entry { kind: Kind::Hardlink(target), ..Entry::directory(mode, owner, origin) }
            }
            MemberKind::Special if (request.excludes)(&member.path) => continue,
            MemberKind::Special => return Err(ArchiveError::Special { path: shown(), member: member.path }),
        };
        newest = newest.max(Some(member.mtime));
        all.insert(member.path, entry);
    }
    let mut entries: BTreeMap<TreePath, Entry> = all
        .iter()
        .filter(|(path, _)| !(request.excludes)(path))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    settle_links(&mut entries, &all).map_err(|link| ArchiveError::Link { path: shown(), link })?;
    Ok(ArchiveMembers { entries, newest })
}

/// Makes every hard link lead to the file itself; where that is left out, the first of its names becomes the file
/// (semantics 12). A link to a symlink becomes the same symlink. Fails with the link that leads nowhere.
fn settle_links(entries: &mut BTreeMap<TreePath, Entry>, all: &BTreeMap<TreePath, Entry>) -> Result<(), TreePath> {
    let links: Vec<TreePath> = entries
        .iter()
        .filter(|(_, entry)| matches!(entry.kind, Kind::Hardlink(_)))
        .map(|(path, _)| path.clone())
        .collect();
    // What is left out, and the name that took its place.
    let mut stands_for: BTreeMap<TreePath, TreePath> = BTreeMap::new();
    for link in links {
        let mut target = link.clone();
        for _ in 0..40 {
            match all.get(&target).map(|entry| &entry.kind) {
                Some(Kind::Hardlink(next)) => target = next.clone(),
                _ => break,
            }
        }
        let Some(found) = all.get(&target) else { return Err(link) };
        let entry = match &found.kind {
            Kind::Symlink(_) => found.clone(),
            Kind::File(_) if entries.contains_key(&target) => Entry { kind: Kind::Hardlink(target), ..found.clone() },
            Kind::File(_) => match stands_for.get(&target) {
                Some(first) => Entry { kind: Kind::Hardlink(first.clone()), ..found.clone() },
                None => {
                    stands_for.insert(target, link.clone());
                    found.clone()
                }
            },
            _ => return Err(link),
        };
        entries.insert(link, entry);
    }
    Ok(())
}

/// The plain tar in a temporary file without a name.
fn spool(request: &ArchiveRequest<'_>, name: &str, reporter: &Reporter) -> Result<File, ArchiveError> {
    let shown = || Shown::new(request.path.as_os_str().as_encoded_bytes());
    let failed = |source| ArchiveError::Read { path: shown(), source };
    let mut file = File::open(request.path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mut start = [0; 6];
    let count = read_start(&mut file, &mut start).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let kind = match &start[..count] {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        _ => None,
    };
    if let Some(kind) = kind {
        return Err(ArchiveError::Compression { path: shown(), kind });
    }
    let task = reporter.task(Phase::Unpack, name, None);
    let spool = tempfile::tempfile_in(request.tmp).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 18, &spool);
    let mut decoder = Decoder::new(file, detect(&start[..count])).limited(MAX_ARCHIVE);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = decoder.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        out.write_all(&buffer[..count]).map_err(failed)?;
        task.advance(count as u64);
    }
    out.flush().map_err(failed)?;
    drop(out);
    Ok(spool)
}

fn read_start(file: &mut File, start: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < start.len() {
        match file.read(&mut start[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::write_tree;
    use crate::tree::FileTree;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn sample() -> Vec<u8> {
        let mut tree = FileTree::new();
        let owner = Owner::new(5, 6);
        let origin = Origin::new("test");
        tree.insert(path("d"), Entry::directory(0o1777, owner, origin.clone())).unwrap();
        tree.insert(path("d/a"), Entry::file(Content::inline(*b"text"), 0o4755, owner, origin.clone())).unwrap();
        let link =
            |target| Entry { kind: Kind::Hardlink(path(target)), ..Entry::directory(0o4755, owner, origin.clone()) };
        tree.insert(path("d/b"), link("d/a")).unwrap();
        tree.insert(path("d/c"), link("d/a")).unwrap();
        tree.insert(path("s"), Entry::symlink(*b"/d", owner, origin.clone())).unwrap();
        let mut bytes = Vec::new();
        write_tree(&tree, &mut bytes, &mut ()).unwrap();
        bytes
    }

    fn read(bytes: &[u8], owner: Option<Owner>, excluded: &str) -> Result<ArchiveMembers, ArchiveError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.tar");
        std::fs::write(&file, bytes).unwrap();
        let excludes = |candidate: &TreePath| *candidate == path(excluded);
        let request = ArchiveRequest { path: &file, owner, excludes: &excludes, tmp: directory.path() };
        read_archive(&request, &Reporter::silent())
    }

    #[test]
    fn members_keep_what_they_are_however_the_archive_is_compressed() {
        let plain = sample();
        let zstd = zstd::bulk::compress(&plain, 1).unwrap();
        for bytes in [plain, zstd] {
            let members = read(&bytes, None, "none").unwrap();
            assert_eq!(members.newest, Some(crate::tar::MTIME as i64));
            let entry = &members.entries[&path("d/a")];
            assert_eq!((entry.mode, entry.owner), (0o4755, Owner::new(5, 6)));
            let Kind::File(content) = &entry.kind else { panic!() };
            assert_eq!(content.read_all(10).unwrap(), b"text");
            assert_eq!(members.entries[&path("d")].mode, 0o1777);
            assert_eq!(members.entries[&path("d/b")].kind, Kind::Hardlink(path("d/a")));
        }
        assert_eq!(read(&sample(), Some(Owner::ROOT), "none").unwrap().entries[&path("s")].owner, Owner::ROOT);
    }

    #[test]
    fn semantics_12_a_link_whose_target_is_left_out_becomes_the_file() {
        let members = read(&sample(), None, "d/a").unwrap();
        let Kind::File(content) = &members.entries[&path("d/b")].kind else { panic!() };
        assert_eq!(content.read_all(10).unwrap(), b"text");
        assert_eq!(members.entries[&path("d/b")].mode, 0o4755);
        assert_eq!(members.entries[&path("d/c")].kind, Kind::Hardlink(path("d/b")));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(read(b"hello", None, "none").is_err());
        assert!(matches!(read(b"\xfd7zXZ\0...", None, "none"), Err(ArchiveError::Compression { kind: "xz", .. })));
        assert!(matches!(read(b"PK\x03\x04...", None, "none"), Err(ArchiveError::Compression { kind: "zip", .. })));
        let mut device = tar::Header::new_ustar();
        device.set_path("dev/null").unwrap();
        device.set_entry_type(tar::EntryType::Char);
        device.set_mode(0o666);
        device.set_uid(0);
        device.set_gid(0);
        device.set_size(0);
        device.set_mtime(0);
        device.set_cksum();
        let mut bytes = device.as_bytes().to_vec();
        bytes.extend([0; 1024]);
        assert!(matches!(read(&bytes, None, "none"), Err(ArchiveError::Special { .. })));
        assert!(read(&bytes, None, "dev/null").unwrap().entries.is_empty());
    }
}
