//! Reading other people's zip files, as strictly as wheels allow.
//!
//! There is one reader here, and it takes only archives that every reader takes in the same way: one end record, at the end;
//! a directory that lies right before it; members that fill the file from its first byte to the directory without a gap
//! or an overlap; local headers that say what the directory says; no encryption, no links, no name given twice. So what a
//! reader of the directory sees, and what one that streams from the start sees, are the same files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::content::{Content, ContentAt, ContentError};
use crate::shown::Shown;

/// The most members that are read of one archive.
pub const MAX_MEMBERS: u64 = 500_000;

/// The most bytes that the directory of an archive may have.
const MAX_DIRECTORY: u64 = 256 << 20;

/// No stream of deflate grows more than this: 258 bytes from two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;

const END: &[u8; 4] = b"PK\x05\x06";
const END64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR64: &[u8; 4] = b"PK\x06\x07";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of all members together, decompressed.
    pub bytes: u64,
    /// How many times larger than the archive its members may be together, where they have more than 256 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 32 << 30, ratio: 200 }
    }
}

/// Below this many bytes the ratio is not looked at: an empty table compresses well.
const RATIO_FROM: u64 = 256 << 20;

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

impl Buffers {
    fn new() -> Self {
        Buffers { decoder: Decompress::new(false), input: vec![0; 64 << 10], output: vec![0; 64 << 10] }
    }
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

struct Buffers {
    decoder: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Archive {
    /// Reads the directory and all headers, and checks that they fit together. No member is decompressed yet.
    ///
    /// # Errors
    /// [`ZipError`].
    pub fn open(content: &Content, limits: Limits) -> Result<Self, ZipError> {
        let content = content.open_at()?;
        let end = find_end(&content)?;
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

fn inflate(
    member: &Member,
    input: &mut Stretch<'_>,
    buffers: &mut Buffers,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), ZipError>,
) -> Result<(), ZipError> {
    let Buffers { decoder, input: buffer, output } = buffers;
    decoder.reset(false);
    let (mut from, mut to) = (0, 0);
    loop {
        if from == to {
            (from, to) = (0, input.read(buffer)?);
        }
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(&buffer[from..to], output, FlushDecompress::None)
            .map_err(|_| member.refused("its compressed data is damaged"))?;
        let (consumed, produced) = (decoder.total_in() - before_in, decoder.total_out() - before_out);
        from += consumed as usize;
        sink(&output[..produced as usize])?;
        match status {
            Status::StreamEnd => break,
            _ if consumed == 0 && produced == 0 && from == to && input.left == 0 => {
                return Err(member.refused("its compressed data ends in the middle"));
            }
            _ if consumed == 0 && produced == 0 && from < to => {
                return Err(member.refused("its compressed data is damaged"));
            }
            _ => {}
        }
    }
    // A reader that streams takes the end of deflate for the end of the member, one with the directory the length.
    if decoder.total_in() != member.compressed {
        return Err(member.refused(format!(
            "its compressed data ends after {} bytes, and its header says {}",
            decoder.total_in(),
            member.compressed
        )));
    }
    Ok(())
}

/// A stretch of the archive, read in order.
struct Stretch<'a> {
    content: &'a ContentAt,
    at: u64,
    left: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let count = self.content.read_at(&mut buffer[..want], self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn exact<const N: usize>(content: &ContentAt, offset: u64) -> Result<[u8; N], ZipError> {
    let mut bytes = [0; N];
    exact_into(content, offset, &mut bytes)?;
    Ok(bytes)
}

fn exact_into(content: &ContentAt, offset: u64, bytes: &mut [u8]) -> Result<(), ZipError> {
    let end = offset.checked_add(bytes.len() as u64);
    if end.is_none_or(|end| end > content.len()) {
        return Err(structure("a header points past its end"));
    }
    Stretch { content, at: offset, left: bytes.len() as u64 }.read_exact(bytes)?;
    Ok(())
}

/// Little-endian numbers at fixed places of a header. `at` is always a constant within the header's length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// What the end records say.
struct End {
    count: u64,
    size: u64,
    directory: u64,
}

fn find_end(content: &ContentAt) -> Result<End, ZipError> {
    let length = content.len();
    if length < 22 {
        return Err(structure("it is too short to be one"));
    }
    // The record is the last thing but for a comment of at most 65,535 bytes.
    let tail_length = length.min(22 + 65_535);
    let mut tail = vec![0; tail_length as usize];
    exact_into(content, length - tail_length, &mut tail)?;
    let last = (0..=tail.len() - 22).rev().find(|at| &tail[*at..*at + 4] == END);
    let Some(at) = last else { return Err(structure("it has no end record: it is cut, or no zip file")) };
    let record = &tail[at..];
    let comment = &record[22..];
    if usize::from(u16_at(record, 20)) != comment.len() {
        return Err(structure("its end record is not at its end"));
    }
    // Whatever looks like a record inside the comment could be taken for one.
    if comment.windows(2).any(|pair| pair == b"PK") {
        return Err(structure("its comment holds what looks like part of an archive"));
    }
    let offset = length - tail_length + at as u64;
    if u16_at(record, 4) != 0 || u16_at(record, 6) != 0 {
        return Err(structure("it is one part of several"));
    }
    let (here, all) = (u16_at(record, 8), u16_at(record, 10));
    let (size, start) = (u32_at(record, 12), u32_at(record, 16));
    if here != all {
        return Err(structure("its end record has two numbers of members"));
    }
    let locator = if offset >= 20 { Some(exact::<20>(content, offset - 20)?) } else { None };
    let end = match locator.filter(|locator| &locator[..4] == LOCATOR64) {
        None if all == u16::MAX || size == u32::MAX || start == u32::MAX => {
            return Err(structure("its end record points to a zip64 record that is not there"));
        }
        None => End { count: u64::from(all), size: u64::from(size), directory: u64::from(start) },
        Some(locator) => {
            let end = read_end64(content, &locator, offset - 20)?;
            let agrees = |small: u64, marker: u64, large: u64| small == large || small == marker;
            if !agrees(u64::from(all), u64::from(u16::MAX), end.0.count)
                || !agrees(u64::from(size), u64::from(u32::MAX), end.0.size)
                || !agrees(u64::from(start), u64::from(u32::MAX), end.0.directory)
            {
                return Err(structure("its two end records disagree"));
            }
            check_directory_place(&end.0, end.1)?;
            return Ok(end.0);
        }
    };
    check_directory_place(&end, offset)?;
    Ok(end)
}

fn check_directory_place(end: &End, next: u64) -> Result<(), ZipError> {
    if end.directory.checked_add(end.size) != Some(next) {
        return Err(structure("its directory does not lie right before its end record"));
    }
    if end.count > MAX_MEMBERS {
        return Err(structure(format!("it has {} members, and the limit is {MAX_MEMBERS}", end.count)));
    }
    if end.size > MAX_DIRECTORY || end.count.saturating_mul(46) > end.size {
        return Err(structure("its directory cannot have the size that it says"));
    }
    Ok(())
}

/// The zip64 end record, and where it starts.
fn read_end64(content: &ContentAt, locator: &[u8; 20], locator_at: u64) -> Result<(End, u64), ZipError> {
    let at = u64_at(locator, 8);
    if u32_at(locator, 4) != 0 || u32_at(locator, 16) > 1 {
        return Err(structure("it is one part of several"));
    }
    if at.checked_add(56) != Some(locator_at) {
        return Err(structure("its zip64 end record is not where it must be"));
    }
    let record = exact::<56>(content, at)?;
    if &record[..4] != END64 || u64_at(&record, 4) != 44 {
        return Err(structure("its zip64 end record is none"));
    }
    if u32_at(&record, 16) != 0 || u32_at(&record, 20) != 0 || u64_at(&record, 24) != u64_at(&record, 32) {
        return Err(structure("it is one part of several"));
    }
    Ok((End { count: u64_at(&record, 32), size: u64_at(&record, 40), directory: u64_at(&record, 48) }, at))
}

fn read_directory(content: &ContentAt, end: &End) -> Result<Vec<Member>, ZipError> {
    let mut bytes = vec![0; end.size as usize];
    exact_into(content, end.directory, &mut bytes)?;
    let mut rest = &bytes[..];
    let mut members = Vec::with_capacity(end.count.min(65_536) as usize);
    for _ in 0..end.count {
        let (member, used) = read_central(rest)?;
        members.push(member);
        rest = &rest[used..];
    }
    match rest.is_empty() {
        true => Ok(members),
        false => Err(structure("its directory holds more members than its end record says")),
    }
}

/// One header of the directory, and how long it is.
fn read_central(bytes: &[u8]) -> Result<(Member, usize), ZipError> {
    let cut = || structure("its directory is cut");
    let head = bytes.get(..46).ok_or_else(cut)?;
    if &head[..4] != CENTRAL {
        return Err(structure("its directory holds what is no header"));
    }
    let [name_length, extra_length, comment_length] = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
    let used = 46 + name_length + extra_length + comment_length;
    let body = bytes.get(46..used).ok_or_else(cut)?;
    let (name, body) = body.split_at(name_length);
    let extra = &body[..extra_length];
    let refused = |reason: &str| ZipError::Member { name: Shown::new(name), reason: reason.to_owned() };
    let flags = u16_at(head, 8);
    let name_text = checked_name(name, flags).map_err(&refused)?;
    let method = method_of(u16_at(head, 10), flags).map_err(&refused)?;
    if u16_at(head, 34) != 0 && u16_at(head, 34) != u16::MAX {
        return Err(refused("it lies in another part of the archive"));
    }
    let mut fields = [u64::from(u32_at(head, 24)), u64::from(u32_at(head, 20)), u64::from(u32_at(head, 42))];
    apply_zip64(extra, &mut fields, true).map_err(&refused)?;
    let [size, compressed, header] = fields;
    let member = Member {
        name: name_text,
        size,
        mode: u32_at(head, 38) >> 16,
        method,
        crc: u32_at(head, 16),
        compressed,
        header,
        data: 0,
        flags,
        time: u32_at(head, 12),
    };
    match member.mode & 0o170_000 {
        0 | 0o100_000 => {}
        0o040_000 if member.is_directory() => {}
        0o120_000 => return Err(refused("it is a symbolic link")),
        _ => return Err(refused("it is neither a file nor a directory")),
    }
    Ok((member, used))
}

/// What the flags and the method may be.
fn method_of(method: u16, flags: u16) -> Result<Method, &'static str> {
    // 0: encrypted; 5: patch; 6: strong encryption; 13: names are masked.
    if flags & (1 | 1 << 6 | 1 << 13) != 0 {
        return Err("it is encrypted");
    }
    if flags & (1 << 5) != 0 {
        return Err("it is a patch");
    }
    match method {
        // A reader that streams cannot know where stored data ends when its length comes after it.
        0 if flags & 8 != 0 => Err("it is stored with its length after it"),
        0 => Ok(Method::Stored),
        8 => Ok(Method::Deflated),
        _ => Err("its compression is neither none nor deflate"),
    }
}

fn checked_name(bytes: &[u8], flags: u16) -> Result<String, &'static str> {
    if bytes.is_empty() {
        return Err("it has no name");
    }
    if bytes.len() > 4095 {
        return Err("its name has more than 4095 bytes");
    }
    let name = std::str::from_utf8(bytes).map_err(|_| "its name is no UTF-8")?;
    if !name.is_ascii() && flags & (1 << 11) == 0 {
        return Err("its name is not ASCII and not marked as UTF-8: readers disagree on what it is");
    }
    if name.contains('\0') || name.contains('\\') {
        return Err("its name holds a NUL or a backslash");
    }
    if name.starts_with('/') {
        return Err("its name is absolute");
    }
    for component in name.strip_suffix('/').unwrap_or(name).split('/') {
        match component {
            ".." => return Err("its name climbs with `..`"),
            "" | "." => return Err("its name has an empty or `.` component"),
            _ if component.len() > 255 => return Err("its name has a component of more than 255 bytes"),
            _ => {}
        }
    }
    Ok(name.to_owned())
}

/// Walks the extra fields; takes sizes (uncompressed, compressed) and place from the zip64 one where the header's own
/// number is the marker for it.
fn apply_zip64(extra: &[u8], fields: &mut [u64; 3], central: bool) -> Result<(), &'static str> {
    let marker = u64::from(u32::MAX);
    let marked = fields.iter().filter(|field| **field == marker).count();
    let mut found = false;
    let mut rest = extra;
    while !rest.is_empty() {
        let length = rest.get(..4).map(|head| usize::from(u16_at(head, 2))).ok_or("its extra fields are damaged")?;
        let id = u16_at(rest, 0);
        let body = rest.get(4..4 + length).ok_or("its extra fields are damaged")?;
        rest = &rest[4 + length..];
        match id {
            0x0001 if found => return Err("it has two zip64 fields"),
            0x0001 => {
                found = true;
                if !central && body.len() == 16 {
                    // A local header gives both sizes, asked for or not: then they must say the same.
                    for (field, number) in fields.iter_mut().zip(body.chunks_exact(8)) {
                        let number = u64_at(number, 0);
                        if *field != marker && *field != number {
                            return Err("its zip64 field disagrees with its header");
                        }
                        *field = number;
                    }
                    continue;
                }
                let mut numbers = body.chunks_exact(8);
                for field in fields.iter_mut().filter(|field| **field == marker) {
                    *field = numbers.next().map(|number| u64_at(number, 0)).ok_or("its zip64 field is too short")?;
                }
                // Readers disagree on what numbers mean that no marker asks for.
                if body.len() != marked * 8 {
                    return Err("its zip64 field has numbers that its header does not ask for");
                }
            }
            // A second name, which some readers prefer to the first.
            0x7075 => return Err("it has a second name in an extra field"),
            0x9901 => return Err("it is encrypted"),
            _ => {}
        }
    }
    match found || marked == 0 {
        true => Ok(()),
        false => Err("its zip64 field is missing"),
    }
}

fn check_names(members: &[Member]) -> Result<(), ZipError> {
    let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
    for member in members {
        let directory = member.is_directory();
        let name = member.name.trim_end_matches('/');
        if kinds.insert(name, directory).is_some() {
            return Err(member.refused("it is there twice"));
        }
        if directory && (member.size != 0 || member.compressed > 2) {
            return Err(member.refused("it is a directory with contents"));
        }
    }
    for member in members {
        let ends = member.name.match_indices('/').map(|(at, _)| at);
        for end in ends.filter(|end| *end + 1 < member.name.len()) {
            if kinds.get(&member.name[..end]) == Some(&false) {
                return Err(member.refused("what it lies in is a file"));
            }
        }
    }
    Ok(())
}

fn check_sizes(members: &[Member], archive: u64, limits: Limits) -> Result<(), ZipError> {
    let mut total: u64 = 0;
    for member in members {
        let possible = match member.method {
            Method::Stored => member.size == member.compressed,
            Method::Deflated => member.size <= member.compressed.saturating_mul(MAX_DEFLATE_RATIO),
        };
        if !possible {
            return Err(member.refused(format!(
                "{} stored bytes cannot become the {} that it says",
                member.compressed, member.size
            )));
        }
        total = total.saturating_add(member.size);
    }
    if total > limits.bytes {
        return Err(structure(format!("its members have {total} bytes together, and the limit is {}", limits.bytes)));
    }
    if total > RATIO_FROM && total / limits.ratio.max(1) > archive {
        return Err(structure(format!(
            "its members have {total} bytes together, more than {} times its own {archive}",
            limits.ratio
        )));
    }
    Ok(())
}

/// The local headers and data: they lie one after the other from 0 to the directory, and say what it says.
fn check_layout(content: &ContentAt, members: &mut [Member], directory: u64) -> Result<(), ZipError> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| members[*index].header);
    let mut at = 0;
    for index in order {
        let member = &mut members[index];
        if member.header != at {
            return Err(match member.header < at {
                true => member.refused("it overlaps another one"),
                false => {
                    member.refused(format!("there are {} bytes before it that no member owns", member.header - at))
                }
            });
        }
        let end = check_local(content, member, directory)?;
        if end > directory {
            return Err(member.refused("it reaches into the directory"));
        }
        at = end;
    }
    match at == directory {
        true => Ok(()),
        false => Err(structure(format!("there are {} bytes before its directory that no member owns", directory - at))),
    }
}

/// Checks a local header against its member, notes where the data starts, and gives where the member ends.
fn check_local(content: &ContentAt, member: &mut Member, directory: u64) -> Result<u64, ZipError> {
    if member.header.checked_add(30).is_none_or(|end| end > directory) {
        return Err(member.refused("its local header reaches into the directory"));
    }
    let head = exact::<30>(content, member.header)?;
    if &head[..4] != LOCAL {
        return Err(member.refused("there is no local header where it should start"));
    }
    let lengths = [26, 28].map(|at| usize::from(u16_at(&head, at)));
    let mut tail = vec![0; lengths[0] + lengths[1]];
    exact_into(content, member.header + 30, &mut tail)?;
    let (name, extra) = tail.split_at(lengths[0]);
    if name != member.name.as_bytes() {
        let local = Shown::new(name);
        return Err(member.refused(format!("its local header has another name, {local}")));
    }
    let method = match member.method {
        Method::Stored => 0,
        Method::Deflated => 8,
    };
    if u16_at(&head, 8) != method || u16_at(&head, 6) != member.flags {
        return Err(member.refused("its local header has another compression or other flags"));
    }
    // The version that a reader needs may differ: Python's own writer raises it after the fact.
    if u32_at(&head, 10) != member.time {
        return Err(member.refused("its local header has another time"));
    }
    let streamed = member.flags & 8 != 0;
    let small = [u64::from(u32_at(&head, 22)), u64::from(u32_at(&head, 18))];
    let mut fields = [small[0], small[1], 0];
    apply_zip64(extra, &mut fields, false).map_err(|reason| member.refused(format!("local header: {reason}")))?;
    let wide = small.contains(&u64::from(u32::MAX));
    let sizes_agree = fields[..2] == [member.size, member.compressed];
    let empty = streamed && fields[..2] == [0, 0];
    let crc = u32_at(&head, 14);
    if !(sizes_agree || empty) || !(crc == member.crc || (streamed && crc == 0)) {
        return Err(member.refused("its local header has another size or checksum"));
    }
    member.data = member.header + 30 + tail.len() as u64;
    let end = member.data.checked_add(member.compressed).filter(|end| *end <= directory);
    let end = end.ok_or_else(|| member.refused("it reaches into the directory"))?;
    if !streamed {
        return Ok(end);
    }
    check_descriptor(content, member, end, directory, wide)
}

/// What follows the data of a member whose sizes were not known when its header was written.
fn check_descriptor(
    content: &ContentAt,
    member: &Member,
    at: u64,
    directory: u64,
    wide: bool,
) -> Result<u64, ZipError> {
    let length: u64 = if wide { 24 } else { 16 };
    // Only the form with a signature: without one, a reader that streams has to guess.
    if at + length > directory {
        return Err(member.refused("the sizes after its data are missing"));
    }
    let mut bytes = vec![0; length as usize];
    exact_into(content, at, &mut bytes)?;
    let sizes = match wide {
        true => [u64_at(&bytes, 8), u64_at(&bytes, 16)],
        false => [u64::from(u32_at(&bytes, 8)), u64::from(u32_at(&bytes, 12))],
    };
    if &bytes[..4] != DESCRIPTOR || u32_at(&bytes, 4) != member.crc || sizes != [member.compressed, member.size] {
        return Err(member.refused("the sizes after its data are others than the directory's"));
    }
    Ok(at + length)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A zip file as a writer that is not ours makes it: names, contents, modes.
    pub(in crate::python) fn zip_of(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes, mode) in files {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .unix_permissions(*mode);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<Archive, ZipError> {
        Archive::open(&Content::inline(bytes), Limits::default())
    }

    /// Opens and reads everything.
    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
        let archive = open(bytes)?;
        archive.members().iter().map(|member| Ok((member.name.clone(), archive.read_all(member, 1 << 20)?))).collect()
    }

    fn refused(bytes: &[u8], why: &str) {
        let error = read(bytes).map(|_| ()).expect_err(why).to_string();
        assert!(error.contains(why), "expected `{why}`, got: {error}");
    }

    fn sample() -> Vec<u8> {
        zip_of(&[("a.txt", b"hello", 0o644), ("bin/run", &b"echo ".repeat(999), 0o755)])
    }

    #[test]
    fn times_are_dates_that_somebody_meant() {
        let modified = |date: u32, time: u32| {
            let archive = open(&sample()).unwrap();
            Member { time: date << 16 | time, ..archive.members()[0].clone() }.modified()
        };
        let date = |year: u32, month: u32, day: u32| (year - 1980) << 9 | month << 5 | day;
        assert_eq!(modified(date(2024, 2, 29), 12 << 11 | 30 << 5 | 5), Some(1_709_209_810));
        assert_eq!(modified(date(2024, 2, 29), 31 << 11 | 63 << 5 | 31), Some(1_709_251_199));
        for nothing in [date(1980, 1, 1), 0, date(2023, 2, 29), date(2100, 1, 1), date(2107, 12, 31)] {
            assert_eq!(modified(nothing, 0), None, "{nothing}");
        }
    }

    fn at(bytes: &[u8], what: &[u8]) -> usize {
        bytes.windows(what.len()).position(|window| window == what).unwrap()
    }

    fn last(bytes: &[u8], what: &[u8]) -> usize {
        bytes.windows(what.len()).rposition(|window| window == what).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = sample();
        assert_eq!(
            read(&bytes).unwrap(),
            [("a.txt".into(), b"hello".to_vec()), ("bin/run".into(), b"echo ".repeat(999))]
        );
        let archive = open(&bytes).unwrap();
        assert!(!archive.members()[0].is_executable() && archive.members()[1].is_executable());
        assert!(read(&zip_of(&[])).unwrap().is_empty());
    }

    #[test]
    fn long_sizes_are_understood() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            let options = SimpleFileOptions::default().compression_method(method).large_file(true);
            writer.start_file(format!("{method}"), options).unwrap();
            writer.write_all(b"some text").unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(read(&bytes).unwrap().len(), 2);
    }

    #[test]
    fn sizes_after_the_data_are_understood() {
        // A writer that cannot go back, as Python's is on a pipe.
        let mut writer = zip::ZipWriter::new_stream(Vec::new());
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file("x", options).unwrap();
        writer.write_all(&b"streamed ".repeat(99)).unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(read(&bytes).unwrap()[0].1, b"streamed ".repeat(99));
        let mut lying = bytes.clone();
        let descriptor = at(&lying, DESCRIPTOR);
        lying[descriptor + 8] ^= 1;
        refused(&lying, "the sizes after its data");
    }

    #[test]
    fn ends_that_two_readers_could_see_in_two_ways() {
        let good = sample();
        refused(b"", "too short");
        refused(&[0; 4000], "no end record");
        refused(&good[..good.len() - 1], "no end record");
        refused(&[&good[..], b"x"].concat(), "not at its end");
        refused(&[b"#!/bin/sh\n", &good[..]].concat(), "right before its end record");
        // Two archives, one after the other.
        refused(&[&good[..], &good[..]].concat(), "right before its end record");
        // A comment is fine until it looks like an archive.
        let with = |comment: &[u8]| {
            let mut bytes = [&good[..], comment].concat();
            let end = good.len() - 2;
            bytes[end..end + 2].copy_from_slice(&(comment.len() as u16).to_le_bytes());
            bytes
        };
        assert!(read(&with(b"made by hand")).is_ok());
        let mut end = good[good.len() - 22..].to_vec();
        end[20] = 0;
        assert!(read(&with(&end)).is_err());
        refused(&with(b"PK\x01\x02"), "looks like part of an archive");
        for (offset, why) in
            [(4, "several"), (6, "several"), (8, "two numbers"), (12, "right before"), (16, "right before")]
        {
            let mut bytes = good.clone();
            let end = bytes.len() - 22;
            bytes[end + offset] ^= 1;
            refused(&bytes, why);
        }
        let mut bytes = good.clone();
        let end = bytes.len() - 22;
        bytes[end + 16..end + 20].fill(0xff);
        refused(&bytes, "zip64 record that is not there");
    }

    #[test]
    fn headers_that_disagree() {
        for (offset, why) in [
            (0, "no local header"),
            (6, "encrypted"),
            (8, "compression"),
            (10, "time"),
            (14, "checksum"),
            (18, "size"),
            (22, "size"),
            (26, "name"),
            (30, "another name"),
        ] {
            let mut bytes = sample();
            bytes[offset] ^= 1;
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(why) || error.contains("other flags"), "{offset}: {error}");
        }
    }

    #[test]
    fn directory_entries_that_lie() {
        let central = |offset: usize, change: &[u8], why: &str| {
            let mut bytes = sample();
            let from = at(&bytes, CENTRAL) + offset;
            bytes[from..from + change.len()].copy_from_slice(change);
            refused(&bytes, why);
        };
        central(8, &[1], "encrypted");
        central(8, &[0x20], "patch");
        central(10, &[12], "neither none nor deflate");
        central(42, &[1], "no member owns");
        central(24, &[255, 255, 255, 0], "cannot become");
        central(24, &[255, 255, 255, 255], "zip64 field is missing");
        central(34, &[1], "another part");
        central(38, &[0, 0, 0xff, 0xa1], "symbolic link");
        central(38, &[0, 0, 0xff, 0x21], "neither a file nor");
        central(46, b"\0", "NUL");
        central(46, b"/", "absolute");
        central(46, b"\\", "backslash");
        central(46, b"..", "another name");
        central(46, b"../x/", "climbs");
        central(46, b"a//bb", "empty");
        central(46, b"a/./b", "empty");
        central(46, b"\xff", "UTF-8");
        central(46, "é".as_bytes(), "not marked as UTF-8");
        // Overlap: the second starts where the first does.
        let mut bytes = sample();
        let second = last(&bytes, CENTRAL) + 42;
        bytes[second..second + 4].fill(0);
        refused(&bytes, "overlaps");
    }

    #[test]
    fn bytes_that_no_member_owns() {
        let good = sample();
        let second = last(&good, LOCAL);
        let directory = at(&good, CENTRAL);
        let mut bytes = [&good[..second], b"gap", &good[second..]].concat();
        let central = last(&bytes, CENTRAL);
        let shifted = |bytes: &mut [u8], at: usize, by: u32| {
            let value = u32_at(bytes, at) + by;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        shifted(&mut bytes, central + 42, 3);
        let end = bytes.len() - 22;
        shifted(&mut bytes, end + 16, 3);
        refused(&bytes, "3 bytes before it");
        let mut bytes = [&good[..directory], b"gap", &good[directory..]].concat();
        let end = bytes.len() - 22;
        shifted(&mut bytes, end + 16, 3);
        refused(&bytes, "3 bytes before its directory");
    }

    #[test]
    fn names_that_cannot_be_together() {
        // The writer refuses doubles, so that the second is written under a name that becomes the first's.
        for (first, second, why) in
            [("q/a", "r/a", "twice"), ("q/", "r", "twice"), ("q", "r/c", "is a file"), ("q/c", "r", "is a file")]
        {
            let mut bytes = zip_of(&[(first, b"", 0o644), (second, b"", 0o644)]);
            if first.ends_with('/') {
                let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
                writer.add_directory(first, SimpleFileOptions::default()).unwrap();
                writer.start_file(second, SimpleFileOptions::default()).unwrap();
                bytes = writer.finish().unwrap().into_inner();
            }
            bytes.iter_mut().filter(|byte| **byte == b'r').for_each(|byte| *byte = b'q');
            refused(&bytes, why);
        }
    }

    #[test]
    fn bombs_are_refused_before_they_are_read() {
        let zeros = vec![0; 4 << 20];
        let bytes = zip_of(&[("zeros", &zeros, 0o644)]);
        let content = Content::inline(bytes);
        assert!(Archive::open(&content, Limits::default()).is_ok(), "small tables compress well");
        let error = Archive::open(&content, Limits { bytes: 1 << 20, ratio: 200 }).err().unwrap();
        assert!(error.to_string().contains("limit is 1048576"), "{error}");
        let members = [Member {
            name: "x".into(),
            size: 1 << 30,
            mode: 0,
            method: Method::Deflated,
            crc: 0,
            compressed: 2 << 20,
            header: 0,
            data: 0,
            flags: 0,
            time: 0,
        }];
        let error = check_sizes(&members, 2 << 20, Limits::default()).unwrap_err().to_string();
        assert!(error.contains("more than 200 times"), "{error}");
    }

    #[test]
    fn damaged_data_is_noticed() {
        let good = sample();
        let second = last(&good, LOCAL) + 30 + "bin/run".len();
        for place in second..second + 8 {
            let mut bytes = good.clone();
            bytes[place] ^= 0x55;
            assert!(read(&bytes).is_err(), "{place}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_byte_is_noticed_or_harmless(place in 0usize..10_000, bit in 0u8..8) {
            let good = sample();
            let place = place % good.len();
            let mut bytes = good.clone();
            bytes[place] ^= 1 << bit;
            if let Ok(files) = read(&bytes) {
                // Only what is no content may differ: times, versions, attributes.
                prop_assert_eq!(files, read(&good).unwrap());
            }
        }

        #[test]
        fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&noise);
            let end = sample();
            noise.extend_from_slice(&end[end.len() - 150..]);
            let _ = read(&noise);
        }
    }
}
