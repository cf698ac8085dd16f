//! The directory of an archive, and the records at its end.

use super::raw::{exact, exact_into, u16_at, u32_at, u64_at};
use super::{Member, Method, ZipError, structure};
use crate::content::ContentAt;
use crate::limits::Most;
use crate::shown::Shown;

/// The most bytes that the directory of an archive may have.
const MAX_DIRECTORY: u64 = 256 << 20;

const END: &[u8; 4] = b"PK\x05\x06";
const END64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR64: &[u8; 4] = b"PK\x06\x07";
pub(super) const CENTRAL: &[u8; 4] = b"PK\x01\x02";

/// What the end records say.
pub(super) struct End {
    pub(super) count: u64,
    pub(super) size: u64,
    pub(super) directory: u64,
}

pub(super) fn find_end(content: &ContentAt, most: Most) -> Result<End, ZipError> {
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
            check_directory_place(&end.0, end.1, most)?;
            return Ok(end.0);
        }
    };
    check_directory_place(&end, offset, most)?;
    Ok(end)
}

pub(super) fn check_directory_place(end: &End, next: u64, most: Most) -> Result<(), ZipError> {
    if end.directory.checked_add(end.size) != Some(next) {
        return Err(structure("its directory does not lie right before its end record"));
    }
    if end.count > most.count() {
        let (limit, advice) = (most.count(), most.advice());
        return Err(structure(format!("it has {} members, and the limit is {limit}{advice}", end.count)));
    }
    if end.size > MAX_DIRECTORY || end.count.saturating_mul(46) > end.size {
        return Err(structure("its directory cannot have the size that it says"));
    }
    Ok(())
}

/// The zip64 end record, and where it starts.
pub(super) fn read_end64(content: &ContentAt, locator: &[u8; 20], locator_at: u64) -> Result<(End, u64), ZipError> {
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

pub(super) fn read_directory(content: &ContentAt, end: &End) -> Result<Vec<Member>, ZipError> {
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
pub(super) fn read_central(bytes: &[u8]) -> Result<(Member, usize), ZipError> {
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
pub(super) fn method_of(method: u16, flags: u16) -> Result<Method, &'static str> {
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

pub(super) fn checked_name(bytes: &[u8], flags: u16) -> Result<String, &'static str> {
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
pub(super) fn apply_zip64(extra: &[u8], fields: &mut [u64; 3], central: bool) -> Result<(), &'static str> {
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
