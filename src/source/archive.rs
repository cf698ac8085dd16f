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
use crate::debian::decode;
use crate::host::open_regular;
use crate::limits::Limits;
use crate::report::{Phase, Reporter};
use crate::shown::Shown;
use crate::tar::{MAX_MEMBERS, MemberKind, ReadError, Reader};
use crate::tree::{Entry, Kind, Origin, Owner, TreePath};

/// The most that an archive may decompress to, in bytes, where nobody says another.
const MAX_ARCHIVE: u64 = 64 << 30;

/// What is asked of an archive.
pub struct ArchiveRequest<'a> {
    /// The file, as it is named in messages, and opened where its bytes are not given.
    pub path: &'a Path,
    /// Its bytes, where they do not come from the file of that path.
    pub content: Option<&'a Content>,
    /// Owner of everything; as the archive has it where there is none.
    pub owner: Option<Owner>,
    /// Whether a member is left out, by its path in the archive.
    pub excludes: &'a dyn Fn(&TreePath) -> bool,
    /// Where temporary files go.
    pub tmp: &'a Path,
    /// How much it may hold.
    pub limits: Limits,
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
    /// The plain tar cannot be written beside the cache.
    #[error("writing a temporary file in {tmp}")]
    Spool {
        /// The directory.
        tmp: Shown,
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
    #[error("the archive {path} is compressed with {kind}: only gzip, xz, zstd and plain tars are read")]
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
    let entries = request.limits.entries(MAX_MEMBERS);
    let mut reader = Reader::new(BufReader::with_capacity(1 << 18, &*spool)).at_most(entries);
    let origin = Origin::new(format!("archive {}", shown()));
    let label: Arc<str> = format!("the archive {}", shown()).into();
    // Everything, whether it is left out or not: hard links may lead to what is.
    let mut all = Members::default();
    let mut newest = None;
    let mut with_attributes = 0_u64;
    while let Some(member) = reader.next_member().map_err(refused)? {
        if member.path.is_root() {
            continue;
        }
        let owner = request.owner.unwrap_or(member.owner);
        let (mode, origin) = (member.mode, origin.clone());
        newest = newest.max(Some(member.mtime));
        with_attributes += u64::from(member.has_attributes && !(request.excludes)(&member.path));
        let entry = match member.kind {
            MemberKind::Directory => Entry::directory(mode, owner, origin),
            MemberKind::File => {
                let content = Content::slice(spool.clone(), label.clone(), member.offset, member.size);
                Entry::file(content, mode, owner, origin)
            }
            MemberKind::Symlink(target) => Entry::symlink(target, owner, origin),
            MemberKind::Hardlink(target) => {
                if !all.link(&member.path, &target) {
                    return Err(ArchiveError::Link { path: shown(), link: member.path });
                }
                continue;
            }
            MemberKind::Special if (request.excludes)(&member.path) => continue,
            MemberKind::Special => return Err(ArchiveError::Special { path: shown(), member: member.path }),
        };
        all.put(member.path, entry);
    }
    if with_attributes > 0 {
        reporter.warn(format!(
            "{with_attributes} of the members of the archive {} have extended attributes, which are left out; capabilities are set by a layer of `caps`",
            shown()
        ));
    }
    Ok(ArchiveMembers { entries: all.settle(request.excludes), newest })
}

/// The members of an archive while it is read. A hard link means what its target is at that moment, as for every program
/// that unpacks one: what takes the target's name later does not change it.
#[derive(Default)]
struct Members {
    entries: BTreeMap<TreePath, Entry>,
    /// The first name that each linked file had.
    links: BTreeMap<TreePath, TreePath>,
}

impl Members {
    fn put(&mut self, path: TreePath, entry: Entry) {
        self.links.remove(&path);
        self.entries.insert(path, entry);
    }

    /// Adds a hard link to what is there; `false` where that is nothing, a directory, or the link itself.
    fn link(&mut self, path: &TreePath, target: &TreePath) -> bool {
        let Some(entry) = self.entries.get(target).cloned() else { return false };
        let first = self.links.get(target).unwrap_or(target).clone();
        if path == target || matches!(entry.kind, Kind::Directory) {
            return false;
        }
        let is_file = matches!(entry.kind, Kind::File(_));
        self.put(path.clone(), entry);
        // A link to a symlink is the same symlink.
        if is_file {
            self.links.insert(path.clone(), first);
        }
        true
    }

    /// What is not left out, with links to the first name of each file; where that is left out, the next one becomes the
    /// file (semantics 12).
    fn settle(mut self, excludes: &dyn Fn(&TreePath) -> bool) -> BTreeMap<TreePath, Entry> {
        self.entries.retain(|path, _| !excludes(path));
        let mut files: Vec<(TreePath, TreePath)> = Vec::new();
        for (link, first) in &self.links {
            let Some(Kind::File(content)) = self.entries.get(link).map(|entry| &entry.kind) else { continue };
            let same = |name: &TreePath| matches!(self.entries.get(name).map(|entry| &entry.kind), Some(Kind::File(other)) if other.is_same_place(content));
            if same(first) {
                files.push((link.clone(), first.clone()));
                continue;
            }
            // Another link to the same bytes stands in for it.
            if let Some((other, _)) =
                self.links.iter().take_while(|(other, _)| *other < link).find(|(other, of)| *of == first && same(other))
            {
                files.push((link.clone(), other.clone()));
            }
        }
        for (link, file) in files {
            if let Some(entry) = self.entries.get_mut(&link) {
                entry.kind = Kind::Hardlink(file);
            }
        }
        self.entries
    }
}

/// The plain tar in a temporary file without a name.
fn spool(request: &ArchiveRequest<'_>, name: &str, reporter: &Reporter) -> Result<File, ArchiveError> {
    let shown = || Shown::new(request.path.as_os_str().as_encoded_bytes());
    let failed = |source| ArchiveError::Read { path: shown(), source };
    let mut file: Box<dyn Read + Send> = match request.content {
        Some(content) => Box::new(content.open().map_err(|error| failed(error.into()))?),
        None => Box::new(open_regular(request.path).map_err(failed)?),
    };
    let mut start = [0; 6];
    let count = read_start(&mut file, &mut start).map_err(failed)?;
    let start = &start[..count];
    let kind = match start {
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        _ => None,
    };
    if let Some(kind) = kind {
        return Err(ArchiveError::Compression { path: shown(), kind });
    }
    let whole = start.chain(file);
    let task = reporter.task(Phase::Unpack, name, None);
    let unwritten =
        |source| ArchiveError::Spool { tmp: Shown::new(request.tmp.as_os_str().as_encoded_bytes()), source };
    let spool = tempfile::tempfile_in(request.tmp).map_err(unwritten)?;
    let mut out = BufWriter::with_capacity(1 << 18, &spool);
    let most = request.limits.unpacked(MAX_ARCHIVE);
    let mut decoder: Box<dyn Read + '_> = match start {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(decode::decoder(whole, decode::Compression::Xz, most).map_err(failed)?)
        }
        start => Box::new(Decoder::new(whole, detect(start)).limited(most)),
    };
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = decoder.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        out.write_all(&buffer[..count]).map_err(unwritten)?;
        task.advance(count as u64);
    }
    out.flush().map_err(unwritten)?;
    drop(out);
    Ok(spool)
}

fn read_start(file: &mut dyn Read, start: &mut [u8]) -> io::Result<usize> {
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
        let request = ArchiveRequest {
            path: &file,
            content: None,
            owner,
            excludes: &excludes,
            tmp: directory.path(),
            limits: Limits::default(),
        };
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
    fn a_hard_link_means_what_its_target_was_when_it_was_read() {
        let member = |name: &str, kind: u8, link: &str, data: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_path(name).unwrap();
            header.set_entry_type(tar::EntryType::new(kind));
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(data.len() as u64);
            header.set_cksum();
            let mut bytes = header.as_bytes().to_vec();
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes
        };
        let archive = |parts: &[Vec<u8>]| [parts.concat(), vec![0; 1024]].concat();
        let later = [member("a", b'2', "/etc/shadow", b""), member("a", b'0', "", b"NEW")];
        for last in later {
            let bytes = archive(&[member("a", b'0', "", b"OLD"), member("b", b'1', "a", b""), last]);
            let members = read(&bytes, None, "none").unwrap();
            let Kind::File(content) = &members.entries[&path("b")].kind else { panic!() };
            assert_eq!(content.read_all(10).unwrap(), b"OLD");
        }
        let forward = archive(&[member("h", b'1', "f", b""), member("f", b'0', "", b"x")]);
        assert!(matches!(read(&forward, None, "none"), Err(ArchiveError::Link { .. })));
        let mut chain = vec![member("l00", b'0', "", b"x")];
        chain.extend((1..60).map(|n| member(&format!("l{n:02}"), b'1', &format!("l{:02}", n - 1), b"")));
        let members = read(&archive(&chain), None, "none").unwrap();
        assert_eq!(members.entries[&path("l59")].kind, Kind::Hardlink(path("l00")));
        let to_link = archive(&[member("s", b'2', "x", b""), member("h", b'1', "s", b"")]);
        assert!(matches!(read(&to_link, None, "none").unwrap().entries[&path("h")].kind, Kind::Symlink(_)));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(read(b"hello", None, "none").is_err());
        assert!(matches!(read(b"BZh9...", None, "none"), Err(ArchiveError::Compression { kind: "bzip2", .. })));
        assert!(matches!(read(b"\xfd7zXZ\0...", None, "none"), Err(ArchiveError::Read { .. })));
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
