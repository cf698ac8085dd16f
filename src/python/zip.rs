//! Reading other people's zip files, as strictly as wheels allow.
//!
//! There is one reader here, and it takes only archives that every reader takes in the same way: one end record, at the end;
//! a directory that lies right before it; members that fill the file from its first byte to the directory without a gap
//! or an overlap; local headers that say what the directory says; no encryption, no links, no name given twice. So what a
//! reader of the directory sees, and what one that streams from the start sees, are the same files.

mod directory;
mod inflate;
mod layout;
mod raw;
#[cfg(test)]
pub(super) mod tests;

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::Crc;

use self::directory::{find_end, read_directory};
use self::inflate::{Buffers, inflate};
use self::layout::{check_layout, check_names, check_sizes};
use self::raw::Stretch;
use crate::content::{Content, ContentAt, ContentError};
use crate::limits::{self, Most};
use crate::shown::Shown;

/// The most members that are read of one archive, where nobody says another.
pub const MAX_MEMBERS: u64 = 500_000;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of all members together, decompressed.
    pub bytes: Most,
    /// How many times larger than the archive its members may be together, where they have more than 256 MiB.
    pub ratio: Most,
    /// The most members.
    pub members: Most,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::of(limits::Limits::default())
    }
}

impl Limits {
    /// Those of a recipe, or what is usual.
    pub fn of(limits: limits::Limits) -> Self {
        Limits { bytes: limits.unpacked(32 << 30), ratio: limits.ratio(200), members: limits.entries(MAX_MEMBERS) }
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The bytes could not be had.
    #[error("reading the zip file")]
    Io(#[from] io::Error),
    /// The contents are not what they were.
    #[error("reading the zip file")]
    Content(#[from] ContentError),
    /// The archive as a whole.
    #[error("the zip file is refused: {reason}")]
    Structure {
        /// What is wrong.
        reason: String,
    },
    /// One member.
    #[error("the member {name} of the zip file is refused: {reason}")]
    Member {
        /// Its name.
        name: Shown,
        /// What is wrong.
        reason: String,
    },
}

fn structure(reason: impl Into<String>) -> ZipError {
    ZipError::Structure { reason: reason.into() }
}

/// How a member's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Stored,
    Deflated,
}

/// A file or directory in an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name: relative, no empty, `.` or `..` component, slashes as separators; a directory's ends in one.
    pub name: String,
    /// Bytes of it, decompressed.
    pub size: u64,
    /// The upper half of the external attributes: type and permissions as Unix has them, 0 where nothing is said.
    pub mode: u32,
    method: Method,
    crc: u32,
    compressed: u64,
    header: u64,
    data: u64,
    flags: u16,
    time: u32,
}

impl Member {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether it says that it is a regular file that somebody may execute: the rule of pip.
    pub fn is_executable(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000 && self.mode & 0o111 != 0
    }

    /// When it was last changed, seconds since 1970, taken as UTC. `None` where the date is none, or one that stands for
    /// none: the first day that a zip file knows, or one of the next century.
    pub fn modified(&self) -> Option<i64> {
        let (date, time) = ((self.time >> 16) as i16, self.time & 0xffff);
        let date =
            jiff::civil::Date::new(1980 + (date >> 9 & 0x7f), (date >> 5 & 0xf) as i8, (date & 0x1f) as i8).ok()?;
        let (hour, minute, second) = ((time >> 11) as i8, (time >> 5 & 0x3f) as i8, (time & 0x1f) as i8 * 2);
        let moment = date.at(hour.min(23), minute.min(59), second.min(59), 0);
        let known = date > jiff::civil::date(1980, 1, 1) && date.year() < 2100;
        known.then(|| moment.to_zoned(jiff::tz::TimeZone::UTC).ok())?.map(|moment| moment.timestamp().as_second())
    }

    fn refused(&self, reason: impl Into<String>) -> ZipError {
        ZipError::Member { name: Shown::new(self.name.as_bytes()), reason: reason.into() }
    }
}

/// A checked archive.
pub struct Archive {
    content: ContentAt,
    members: Vec<Member>,
    /// Used by one reading after the other: made anew for each of thousands of members, they would tear the heap apart.
    buffers: RefCell<Buffers>,
}

impl Archive {
    /// Reads the directory and all headers, and checks that they fit together. No member is decompressed yet.
    ///
    /// # Errors
    /// [`ZipError`].
    pub fn open(content: &Content, limits: Limits) -> Result<Self, ZipError> {
        let content = content.open_at()?;
        let end = find_end(&content, limits.members)?;
        let mut members = read_directory(&content, &end)?;
        check_names(&members)?;
        check_sizes(&members, content.len(), limits)?;
        check_layout(&content, &mut members, end.directory)?;
        Ok(Archive { content, members, buffers: RefCell::new(Buffers::new()) })
    }

    /// The members, in the order of the directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of that name.
    pub fn find(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Hands the bytes of a member to `sink`, piece by piece, and checks length and checksum.
    ///
    /// # Errors
    /// [`ZipError`], and what the sink says.
    pub fn read(&self, member: &Member, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), ZipError> {
        let mut input = Stretch { content: &self.content, at: member.data, left: member.compressed };
        let mut crc = Crc::new();
        let mut count = 0;
        let mut sink = |bytes: &[u8]| -> Result<(), ZipError> {
            count += bytes.len() as u64;
            if count > member.size {
                return Err(member.refused(format!("it has more than the {} bytes that it says", member.size)));
            }
            crc.update(bytes);
            sink(bytes).map_err(ZipError::Io)
        };
        // A sink that reads from the same archive finds them taken, and gets its own.
        let mut taken = self.buffers.try_borrow_mut().ok();
        let mut own = None;
        let buffers = match &mut taken {
            Some(buffers) => &mut **buffers,
            None => own.insert(Buffers::new()),
        };
        match member.method {
            Method::Stored => loop {
                let got = input.read(&mut buffers.input)?;
                if got == 0 {
                    break;
                }
                sink(&buffers.input[..got])?;
            },
            Method::Deflated => inflate(member, &mut input, buffers, &mut sink)?,
        }
        if count != member.size {
            return Err(member.refused(format!("it has {count} bytes, and says {}", member.size)));
        }
        if crc.sum() != member.crc {
            return Err(member.refused("its checksum is wrong: the file is damaged"));
        }
        Ok(())
    }

    /// All bytes of a small member.
    ///
    /// # Errors
    /// As [`Archive::read`], and where it has more than `limit` bytes.
    pub fn read_all(&self, member: &Member, limit: u64) -> Result<Vec<u8>, ZipError> {
        if member.size > limit {
            return Err(member.refused(format!("it has {} bytes, and the limit is {limit}", member.size)));
        }
        let mut bytes = Vec::new();
        self.read(member, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Whether the file is still the one that was opened: to be asked after the last read.
    ///
    /// # Errors
    /// Where it was written to.
    pub fn finish(self) -> Result<(), ZipError> {
        Ok(self.content.unchanged()?)
    }
}
