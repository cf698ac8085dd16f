//! Reading other people's tars, member by member, in constant memory.
//!
//! ustar, PAX and GNU's long names and large numbers are understood. What two readers could read in two ways is refused:
//! sizes that disagree, names given twice, sparse files, text after the end, an archive that just stops
//! (threats such as CVE-2025-62518).

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use super::pax::{self, PaxError};
use super::write::CAPABILITY_RECORD;
use super::{BLOCK, padding};
use crate::limits::Most;
use crate::shown::Shown;
use crate::tree::{Capabilities, MODE_MASK, Owner, PathError, TreePath};

/// One member of an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its path, cleaned; the root for an entry of `./`.
    pub path: TreePath,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits, setuid, setgid, sticky.
    pub mode: u32,
    /// Numeric user and group.
    pub owner: Owner,
    /// Time of the last change, seconds since 1970; fractions fall away.
    pub mtime: i64,
    /// Bytes of data that follow.
    pub size: u64,
    /// Where the data starts, in bytes from the start of the archive.
    pub offset: u64,
    /// The `security.capability` attribute, where there is one. Other attributes are passed over.
    pub capabilities: Option<Capabilities>,
    /// Whether it has extended attributes (capabilities are some) or an access control list.
    pub has_attributes: bool,
}

/// Kinds of members.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with its target as it is written.
    Symlink(Box<[u8]>),
    /// Another name of the member of that path.
    Hardlink(TreePath),
    /// A character or block device, or a FIFO.
    Special,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes could not be had.
    #[error("reading the archive")]
    Io(#[from] io::Error),
    /// The archive stops in the middle.
    #[error("the archive ends in the middle, after {0} bytes")]
    Cut(u64),
    /// Something follows the end.
    #[error("something follows the end of the archive, at byte {0}")]
    Trailing(u64),
    /// A header cannot be right.
    #[error("the header at byte {offset} is wrong: {reason}")]
    Header {
        /// Where it is.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A member cannot be right.
    #[error("the member {name} at byte {offset} is refused: {reason}")]
    Member {
        /// Its name.
        name: Shown,
        /// Where its header is.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// A path is no path inside an image.
    #[error("the member at byte {offset} is refused")]
    Path {
        /// Where its header is.
        offset: u64,
        /// Why.
        source: PathError,
    },
    /// More members than anybody makes.
    #[error("the archive has more than {} members{}", .0.count(), .0.advice())]
    TooMany(Most),
    /// Longer names than all members together may have.
    #[error("the archive has more than {MAX_NAMES} bytes of names")]
    Names,
}

/// The most members that are read of one archive, where nobody says another.
pub const MAX_MEMBERS: u64 = 2_000_000;

/// The most bytes that all names of one archive, link targets included, may have together.
pub const MAX_NAMES: u64 = 256 << 20;

/// What PAX records of extended attributes and of access control lists begin with: those of GNU tar, star and libarchive.
const ATTRIBUTES: [&str; 3] = ["SCHILY.xattr.", "SCHILY.acl.", "LIBARCHIVE.xattr."];

/// The most bytes of one PAX header, and of one long name.
const MAX_EXTENSION: u64 = 1 << 20;

/// Reads an archive from its start.
pub struct Reader<R> {
    inner: R,
    /// Bytes read so far.
    position: u64,
    /// Bytes of the current member's data that are still to come, and the padding after them.
    left: u64,
    padding: u64,
    members: u64,
    most: Most,
    /// Bytes of names so far.
    names: u64,
    done: bool,
    /// How data is passed over without being read, where that can be done.
    seek: Option<fn(&mut R, u64) -> io::Result<()>>,
}

/// What the headers before a member say about it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    capabilities: Option<Capabilities>,
    has_attributes: bool,
    seen: BTreeSet<&'static str>,
}

impl<R: Read> Reader<R> {
    /// A reader that stands at the start of an archive.
    pub fn new(inner: R) -> Self {
        let most = Most::of(MAX_MEMBERS);
        Reader { inner, position: 0, left: 0, padding: 0, members: 0, most, names: 0, done: false, seek: None }
    }

    /// The same, for an archive of at most so many members, headers of extensions included.
    #[must_use]
    pub fn at_most(self, most: Most) -> Self {
        Reader { most, ..self }
    }

    /// The same for a file: data that nobody asks for is not read.
    pub fn seeking(inner: R) -> Self
    where
        R: Seek,
    {
        let seek = |inner: &mut R, bytes: u64| match i64::try_from(bytes) {
            Ok(bytes) => inner.seek(SeekFrom::Current(bytes)).map(|_| ()),
            Err(_) => Err(io::ErrorKind::InvalidInput.into()),
        };
        Reader { seek: Some(seek), ..Self::new(inner) }
    }

    /// The next member; `None` after the last, once the end is known to be one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_member(&mut self) -> Result<Option<Member>, ReadError> {
        self.skip_data()?;
        if self.done {
            return Ok(None);
        }
        let mut extensions = Extensions::default();
        loop {
            let offset = self.position;
            let Some(header) = self.header(!extensions.seen.is_empty())? else {
                self.done = true;
                return Ok(None);
            };
            self.members += 1;
            if self.members > self.most.count() {
                return Err(ReadError::TooMany(self.most));
            }
            let kind = header.as_bytes()[156];
            // Only some readers take these for more than files in headers that are neither POSIX's nor GNU's.
            let is_of_its_time = matches!(&header.as_bytes()[257..265], b"ustar\x0000" | b"ustar  \0");
            if matches!(kind, b'x' | b'g' | b'L' | b'K') && !is_of_its_time {
                let reason = "an extension in a header of an unknown version, which some readers take for a file";
                return Err(ReadError::Header { offset, reason: reason.to_owned() });
            }
            match kind {
                b'x' => self.pax(&header, offset, &mut extensions)?,
                b'g' => self.global(&header, offset)?,
                b'L' => {
                    let name = self.long_name(&header, offset)?;
                    extensions.once("GNU long name", offset)?;
                    extensions.set_path(name, offset)?;
                }
                b'K' => {
                    let name = self.long_name(&header, offset)?;
                    extensions.once("GNU long link", offset)?;
                    extensions.set_link(name, offset)?;
                }
                kind => return self.member(&header, kind, offset, extensions).map(Some),
            }
        }
    }

    /// The data of the member that was read last; what is not read is passed over.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    /// Reads on to the end: all members, the end mark, and that nothing follows.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn finish(mut self) -> Result<R, ReadError> {
        while self.next_member()?.is_some() {}
        Ok(self.inner)
    }

    fn skip_data(&mut self) -> Result<(), ReadError> {
        let mut skip = self.left + self.padding;
        self.left = 0;
        self.padding = 0;
        // A seek beyond the end is noticed with the next header, which is then missing.
        if let Some(seek) = self.seek
            && skip > 32 << 10
        {
            seek(&mut self.inner, skip)?;
            self.position += skip;
            return Ok(());
        }
        let mut buffer = [0; 32 << 10];
        while skip > 0 {
            let want = buffer.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            let count = self.read_some(&mut buffer[..want])?;
            if count == 0 {
                return Err(ReadError::Cut(self.position));
            }
            skip -= count as u64;
        }
        Ok(())
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One block; `None` where the archive ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>, ReadError> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.read_some(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(ReadError::Cut(self.position)),
                count => filled += count,
            }
        }
        Ok(Some(block))
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self, inside: bool) -> Result<Option<tar::Header>, ReadError> {
        let offset = self.position;
        let block = self.block()?.ok_or(ReadError::Cut(offset))?;
        if block == [0; BLOCK as usize] {
            if inside {
                return Err(ReadError::Cut(offset));
            }
            return self.end().map(|()| None);
        }
        let mut header = tar::Header::new_old();
        *header.as_mut_bytes() = block;
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| match at {
                148..156 => 32,
                _ => u32::from(*byte),
            })
            .sum();
        let wrong = |reason: &str| ReadError::Header { offset, reason: reason.to_owned() };
        if header.cksum().map_err(|_| wrong("its checksum is no number"))? != sum {
            return Err(wrong("its checksum does not fit"));
        }
        Ok(Some(header))
    }

    /// After a zero block: another, and then nothing but zeros.
    fn end(&mut self) -> Result<(), ReadError> {
        let offset = self.position;
        match self.block()? {
            None => return Err(ReadError::Cut(offset)),
            Some(block) if block != [0; BLOCK as usize] => return Err(ReadError::Trailing(offset)),
            Some(_) => {}
        }
        let mut buffer = [0; 4096];
        loop {
            let offset = self.position;
            let count = self.read_some(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().any(|byte| *byte != 0) {
                return Err(ReadError::Trailing(offset));
            }
        }
    }

    /// The data of an extension header.
    fn extension(&mut self, header: &tar::Header, offset: u64) -> Result<Vec<u8>, ReadError> {
        let wrong = |reason: &str| ReadError::Header { offset, reason: reason.to_owned() };
        let size = number(&header.as_bytes()[124..136]).ok_or_else(|| wrong("its size is no number"))?;
        if size > MAX_EXTENSION {
            return Err(wrong("an extension of more than 1 MiB"));
        }
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_some(&mut bytes[filled..])? {
                0 => return Err(ReadError::Cut(self.position)),
                count => filled += count,
            }
        }
        self.padding = padding(size);
        self.skip_data()?;
        Ok(bytes)
    }

    fn long_name(&mut self, header: &tar::Header, offset: u64) -> Result<Vec<u8>, ReadError> {
        let mut name = self.extension(header, offset)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.contains(&0) {
            return Err(ReadError::Header { offset, reason: "a long name holds a NUL byte".to_owned() });
        }
        Ok(name)
    }

    fn global(&mut self, header: &tar::Header, offset: u64) -> Result<(), ReadError> {
        let bytes = self.extension(header, offset)?;
        let records = pax::records(&bytes).map_err(|error| malformed(offset, error))?;
        // `git archive` writes the commit here. Anything that would change members is read differently by different tools.
        match records.iter().find(|(key, _)| *key != "comment") {
            None => Ok(()),
            Some((key, _)) => Err(ReadError::Header {
                offset,
                reason: format!("a global PAX header that sets {}", Shown::new(key.as_bytes())),
            }),
        }
    }

    fn pax(&mut self, header: &tar::Header, offset: u64, extensions: &mut Extensions) -> Result<(), ReadError> {
        let bytes = self.extension(header, offset)?;
        extensions.once("PAX header", offset)?;
        let mut keys = BTreeSet::new();
        for (key, value) in pax::records(&bytes).map_err(|error| malformed(offset, error))? {
            let wrong = |what: &str| ReadError::Header {
                offset,
                reason: format!("{what} in the PAX record {}", Shown::new(key.as_bytes())),
            };
            if !keys.insert(key) {
                return Err(wrong("a second value"));
            }
            let decimal = || -> Option<u64> {
                let digits = std::str::from_utf8(value).ok()?;
                (!digits.starts_with('+')).then(|| digits.parse().ok())?
            };
            match key {
                "path" => extensions.set_path(value.to_vec(), offset)?,
                "linkpath" => extensions.set_link(value.to_vec(), offset)?,
                "size" => extensions.size = Some(decimal().ok_or_else(|| wrong("no number"))?),
                "uid" => extensions.uid = Some(decimal().ok_or_else(|| wrong("no number"))?),
                "gid" => extensions.gid = Some(decimal().ok_or_else(|| wrong("no number"))?),
                "mtime" => {
                    let text = std::str::from_utf8(value).unwrap_or_default();
                    let seconds = text.split('.').next().unwrap_or_default();
                    extensions.mtime = Some(seconds.parse().map_err(|_| wrong("no time"))?);
                }
                CAPABILITY_RECORD => {
                    if value.len() > 64 {
                        return Err(wrong("more than 64 bytes"));
                    }
                    extensions.capabilities = Some(Capabilities(value.to_vec()));
                    extensions.has_attributes = true;
                }
                key if ATTRIBUTES.iter().any(|prefix| key.starts_with(prefix)) => extensions.has_attributes = true,
                key if key.starts_with("GNU.sparse.") => return Err(wrong("a sparse file")),
                _ => {}
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        header: &tar::Header,
        kind: u8,
        offset: u64,
        extensions: Extensions,
    ) -> Result<Member, ReadError> {
        let block = header.as_bytes();
        let ustar = &block[257..263] == b"ustar\0";
        if ustar && extensions.path.is_none() && block[345] != 0 && &block[263..265] != b"00" {
            let reason = "a prefix in a ustar header of an unknown version, which some readers pass over".to_owned();
            return Err(ReadError::Header { offset, reason });
        }
        let mut name = extensions.path.unwrap_or_else(|| {
            let mut name = until_nul(&block[345..500]).to_vec();
            if !ustar || name.is_empty() {
                name.clear();
            } else {
                name.push(b'/');
            }
            name.extend_from_slice(until_nul(&block[..100]));
            name
        });
        let wrong = |reason: &str| ReadError::Member { name: Shown::new(&name), offset, reason: reason.to_owned() };
        let field = |range: std::ops::Range<usize>, what: &str| {
            number(&block[range]).ok_or_else(|| wrong(&format!("its {what} is no number that fits")))
        };
        let id = |value: u64, what: &str| match u32::try_from(value) {
            Ok(id) if id != u32::MAX => Ok(id),
            _ => Err(wrong(&format!("its {what} {value} does not fit"))),
        };
        let header_size = field(124..136, "size")?;
        let size = match extensions.size {
            // The field of a member that is larger than it can say is 0, or whatever the writer made of it.
            Some(size) if size != header_size && header_size != 0 => return Err(wrong("two different sizes")),
            Some(size) => size,
            None => header_size,
        };
        let uid = id(extensions.uid.map_or_else(|| field(108..116, "uid"), Ok)?, "uid")?;
        let gid = id(extensions.gid.map_or_else(|| field(116..124, "gid"), Ok)?, "gid")?;
        let mode = field(100..108, "mode")? as u32 & MODE_MASK;
        let mtime = match extensions.mtime {
            Some(mtime) => mtime,
            // Times before 1970 are written as negative base-256 numbers: no harm, and no use.
            None => number(&block[136..148]).map_or(0, |mtime| i64::try_from(mtime).unwrap_or(0)),
        };
        let link = extensions.link.unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let link_length = link.len();
        let in_path = |source| ReadError::Path { offset, source };
        let kind = match kind {
            // Version 7 has no type for directories: their names end in a slash.
            b'0' | 0 if name.ends_with(b"/") => MemberKind::Directory,
            b'0' | b'7' | 0 => MemberKind::File,
            b'1' => MemberKind::Hardlink(TreePath::parse(&link).map_err(in_path)?),
            b'2' if link.is_empty() || link.contains(&0) || link.len() > 4095 => {
                return Err(wrong("a symlink whose target is no path"));
            }
            b'2' => MemberKind::Symlink(link.into()),
            b'3' | b'4' | b'6' => MemberKind::Special,
            b'5' => MemberKind::Directory,
            b'S' => return Err(wrong("a sparse file")),
            _ => return Err(wrong("a kind of member that is not known")),
        };
        if kind != MemberKind::File && size != 0 {
            return Err(wrong("data where there can be none"));
        }
        if size > i64::MAX as u64 {
            return Err(wrong("a size that no file has"));
        }
        self.names += (name.len() + link_length) as u64;
        if self.names > MAX_NAMES {
            return Err(ReadError::Names);
        }
        let path = TreePath::parse(std::mem::take(&mut name)).map_err(in_path)?;
        if path.is_root() && kind != MemberKind::Directory {
            return Err(ReadError::Member {
                name: Shown::new(b"/"),
                offset,
                reason: "the root is no directory".to_owned(),
            });
        }
        self.left = size;
        self.padding = padding(size);
        Ok(Member {
            path,
            kind,
            mode,
            owner: Owner { uid, gid },
            mtime,
            size,
            offset: self.position,
            capabilities: extensions.capabilities,
            has_attributes: extensions.has_attributes,
        })
    }
}

fn malformed(offset: u64, error: PaxError) -> ReadError {
    ReadError::Header { offset, reason: error.to_string() }
}

impl Extensions {
    fn once(&mut self, what: &'static str, offset: u64) -> Result<(), ReadError> {
        match self.seen.insert(what) {
            true => Ok(()),
            false => Err(ReadError::Header { offset, reason: format!("a second {what} for one member") }),
        }
    }

    fn set_path(&mut self, path: Vec<u8>, offset: u64) -> Result<(), ReadError> {
        match self.path.replace(path) {
            None => Ok(()),
            Some(_) => Err(ReadError::Header { offset, reason: "two long names for one member".to_owned() }),
        }
    }

    fn set_link(&mut self, link: Vec<u8>, offset: u64) -> Result<(), ReadError> {
        match self.link.replace(link) {
            None => Ok(()),
            Some(_) => Err(ReadError::Header { offset, reason: "two long link targets for one member".to_owned() }),
        }
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as headers hold it: octal digits with spaces or NULs around them, or GNU's base-256 with the top bit set.
/// Negative ones and those of more than 63 bits are none.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        // 0xff at the front is a negative number.
        if field[0] != 0x80 {
            return None;
        }
        let value = field[1..]
            .iter()
            .try_fold(0u64, |value, byte| value.checked_mul(256).map(|value| value | u64::from(*byte)))?;
        return (value <= i64::MAX as u64).then_some(value);
    }
    let text: &[u8] = field.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value | u64::from(byte - b'0')),
        _ => None,
    })
}

/// The data of one member.
pub struct Data<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.reader.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let count = self.reader.read_some(&mut buffer[..want]).map_err(|error| match error {
            ReadError::Io(error) => error,
            other => io::Error::other(other),
        })?;
        if count == 0 {
            return Err(io::Error::other(ReadError::Cut(self.reader.position)));
        }
        self.reader.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::write::write_tree;
    use super::*;
    use crate::content::Content;
    use crate::tree::{Entry, FileTree, Kind, Origin};

    fn all(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, ReadError> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some(member) = reader.next_member()? {
            let mut data = Vec::new();
            reader.data().read_to_end(&mut data)?;
            assert_eq!(data, &bytes[member.offset as usize..][..member.size as usize]);
            found.push((member, data));
        }
        Ok(found)
    }

    fn bytes_of(tree: &FileTree) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_tree(tree, &mut bytes, &mut ()).unwrap();
        bytes
    }

    fn origin() -> Origin {
        Origin::new("test")
    }

    fn long() -> String {
        format!("{}/{}", "d".repeat(120), "f".repeat(180))
    }

    fn sample() -> FileTree {
        let mut tree = FileTree::new();
        let owner = Owner::new(1001, 3_000_000_000);
        let mut add = |path: &str, entry: Entry| tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
        add("a", Entry::directory(0o1777, owner, origin()));
        let mut program = Entry::file(Content::inline(vec![1; 1000]), 0o4755, Owner::ROOT, origin());
        program.capabilities = Some(Capabilities(vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        add("a/prog", program);
        add("a/link", Entry::symlink("x".repeat(150).into_bytes(), owner, origin()));
        add(
            "b",
            Entry {
                kind: Kind::Hardlink(TreePath::parse("a/prog").unwrap()),
                ..Entry::directory(0o4755, Owner::ROOT, origin())
            },
        );
        add(&long(), Entry::file(Content::inline(*b""), 0o644, owner, origin()));
        add(
            &format!("{}/{}", "e".repeat(100), "g".repeat(90)),
            Entry::file(Content::inline(*b"x"), 0o644, owner, origin()),
        );
        tree
    }

    /// The exact bytes of format 1. If this test fails, digests of existing images change: that takes a new format number.
    #[test]
    fn golden_bytes_of_format_1() {
        let bytes = bytes_of(&sample());
        assert_eq!(
            crate::oci::Digest::of(&bytes).to_string(),
            "sha256:dd84b4be0c934f4803548280718e603037d818cf40299bcd8f99391a533644f3"
        );
    }

    #[test]
    fn what_is_written_is_read_back_here_and_by_the_tar_crate() {
        let tree = sample();
        let bytes = bytes_of(&tree);
        assert_eq!(bytes.len() as u64, super::super::write::tar_length(&tree));
        let ours = all(&bytes).unwrap();
        let mut theirs = tar::Archive::new(&bytes[..]);
        let theirs: Vec<_> = theirs
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let path = entry.path_bytes().into_owned();
                (TreePath::parse(path).unwrap(), entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(ours.len(), tree.len());
        assert_eq!(theirs.len(), tree.len());
        for (((path, entry), (member, data)), their) in tree.iter().zip(&ours).zip(&theirs) {
            assert_eq!((path, entry.mode, entry.owner), (&member.path, member.mode, member.owner));
            assert_eq!(member.mtime, super::super::MTIME as i64);
            assert_eq!(entry.capabilities, member.capabilities);
            assert_eq!((path, entry.mode, member.size), (&their.0, their.1, their.2));
            match (&entry.kind, &member.kind) {
                (Kind::Directory, MemberKind::Directory) => {}
                (Kind::File(content), MemberKind::File) => assert_eq!(&content.read_all(1 << 20).unwrap(), data),
                (Kind::Symlink(a), MemberKind::Symlink(b)) => assert_eq!(a, b),
                (Kind::Hardlink(a), MemberKind::Hardlink(b)) => assert_eq!(a, b),
                other => panic!("{other:?}"),
            }
        }
    }

    fn member(name: &str, kind: u8, size: u64, data: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.as_mut_bytes()[156] = kind;
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = parts.concat();
        bytes.extend_from_slice(&[0; 1024]);
        bytes
    }

    fn pax(records: &[(&str, &str)]) -> Vec<u8> {
        let mut data = Vec::new();
        for (key, value) in records {
            super::pax::write_record(&mut data, key, value.as_bytes());
        }
        member("PaxHeaders/x", b'x', data.len() as u64, &data)
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        let file = member("f", b'0', 3, b"abc");
        let good = archive(std::slice::from_ref(&file));
        assert_eq!(all(&good).unwrap().len(), 1);
        let mut broken = good.clone();
        broken[0] = b'g';
        let mut junk = good.clone();
        junk.extend_from_slice(&file);
        let changed_in = |mut header: Vec<u8>, at: usize, bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
            header[148..156].fill(b' ');
            let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            header
        };
        let changed = |at: usize, bytes: &[u8], version: &[u8]| {
            changed_in(changed_in(member("f", b'0', 0, b""), at, bytes), 263, version)
        };
        assert_eq!(all(&archive(&[changed(345, b"p", b"00")])).unwrap()[0].0.path.to_string(), "/p/f");
        assert_eq!(all(&archive(&[changed(345, b"", b"\0\0")])).unwrap()[0].0.path.to_string(), "/f");
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("checksum", broken),
            ("second archive", junk),
            ("no end", file.clone()),
            ("cut data", good[..700].to_vec()),
            ("cut header", good[..100].to_vec()),
            ("nothing", Vec::new()),
            ("one zero block", [file.clone(), vec![0; 512]].concat()),
            ("zero block in the middle", [file.clone(), vec![0; 512], file.clone(), vec![0; 1024]].concat()),
            ("sizes differ", archive(&[pax(&[("size", "512")]), file.clone()])),
            ("two PAX headers", archive(&[pax(&[("comment", "a")]), pax(&[("comment", "a")]), file.clone()])),
            ("key twice", archive(&[pax(&[("path", "a"), ("path", "b")]), file.clone()])),
            ("L and PAX path", archive(&[member("L", b'L', 2, b"a\0"), pax(&[("path", "b")]), file.clone()])),
            ("two L", archive(&[member("L", b'L', 2, b"a\0"), member("L", b'L', 2, b"b\0"), file.clone()])),
            ("L in an old header", [&changed_in(member("L", b'L', 2, b"a\0"), 257, &[0; 8])[..], &good].concat()),
            ("NUL in L", archive(&[member("L", b'L', 3, b"a\0b"), file.clone()])),
            ("global path", archive(&[member("g", b'g', 10, b"10 path=x\n"), file.clone()])),
            ("PAX at the end", archive(&[pax(&[("path", "b")])])),
            ("sparse PAX", archive(&[pax(&[("GNU.sparse.major", "1")]), file.clone()])),
            ("sparse", archive(&[member("f", b'S', 0, b"")])),
            ("unknown kind", archive(&[member("f", b'Z', 0, b"")])),
            ("directory with data", archive(&[member("f/", b'5', 3, b"abc")])),
            ("hard link with data", archive(&[member("f", b'1', 3, b"abc")])),
            ("empty symlink", archive(&[member("f", b'2', 0, b"")])),
            ("climbs", archive(&[member("a/../../f", b'0', 3, b"abc")])),
            ("root is a file", archive(&[member("./", b'2', 0, b"")])),
            ("negative size", archive(&[changed(124, &[0xff; 12], b"00")])),
            ("prefix of another version", archive(&[changed(345, b"p", b"\0\0")])),
            ("uid -1", archive(&[pax(&[("uid", "-1")]), file.clone()])),
            ("uid 2^32", archive(&[pax(&[("uid", "4294967296")]), file.clone()])),
            ("uid 2^32-1", archive(&[pax(&[("uid", "4294967295")]), file.clone()])),
            ("malformed PAX", archive(&[member("x", b'x', 5, b"9 a=b"), file.clone()])),
            ("long PAX", archive(&[member("x", b'x', 2 << 20, &vec![0; 2 << 20]), file.clone()])),
        ];
        for (what, bytes) in cases {
            assert!(all(&bytes).is_err(), "{what} was read");
        }
    }

    #[test]
    fn a_file_is_read_without_its_data() {
        let data = vec![7; 100_000];
        let bytes = archive(&[member("f", b'0', 100_000, &data), member("g", b'0', 3, b"abc")]);
        let count = |bytes: &[u8]| -> Result<usize, ReadError> {
            let mut reader = Reader::seeking(io::Cursor::new(bytes));
            let mut count = 0;
            while let Some(member) = reader.next_member()? {
                assert!(member.offset + member.size <= bytes.len() as u64 || member.size == 100_000);
                count += 1;
            }
            Ok(count)
        };
        assert_eq!(count(&bytes).unwrap(), 2);
        assert!(matches!(count(&bytes[..50_000]), Err(ReadError::Cut(_))));
        assert!(matches!(count(&bytes[..bytes.len() - 1024]), Err(ReadError::Cut(_))));
    }

    #[test]
    fn reads_what_tools_write() {
        let name = "n".repeat(190);
        let mut long = name.clone().into_bytes();
        long.push(0);
        let bytes = archive(&[
            member("pax_global_header", b'g', 16, b"16 comment=abcd\n"),
            member("././@LongLink", b'L', 191, &long),
            member("nnn", b'0', 3, b"abc"),
            pax(&[("path", "p"), ("mtime", "12.5"), ("uid", "70000"), ("size", "3"), ("LIBARCHIVE.xattr.x", "y")]),
            member("x", b'0', 3, b"abc"),
            member("./", b'5', 0, b""),
            member("/abs", b'0', 0, b""),
            member("dev/null", b'3', 0, b""),
        ]);
        let found = all(&bytes).unwrap();
        let names: Vec<String> = found.iter().map(|(member, _)| member.path.to_string()).collect();
        assert_eq!(names, [format!("/{name}"), "/p".into(), "/".into(), "/abs".into(), "/dev/null".into()]);
        assert_eq!((found[1].0.mtime, found[1].0.owner.uid), (12, 70000));
        assert_eq!(found[4].0.kind, MemberKind::Special);
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048), flips in proptest::collection::vec((0usize..4096, any::<u8>()), 0..4)) {
            let _ = all(&bytes);
            bytes = bytes_of(&sample());
            for (at, byte) in flips {
                bytes[at] = byte;
            }
            let _ = all(&bytes);
        }
    }
}
