//! Whether names, sizes and headers of an archive fit together.

use std::collections::BTreeMap;

use super::directory::apply_zip64;
use super::raw::{exact, exact_into, u16_at, u32_at, u64_at};
use super::{Limits, Member, Method, ZipError, structure};
use crate::content::ContentAt;
use crate::shown::Shown;

/// No stream of deflate grows more than this: 258 bytes from two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Below this many bytes the ratio is not looked at: an empty table compresses well.
const RATIO_FROM: u64 = 256 << 20;

pub(super) const LOCAL: &[u8; 4] = b"PK\x03\x04";
pub(super) const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

pub(super) fn check_names(members: &[Member]) -> Result<(), ZipError> {
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

pub(super) fn check_sizes(members: &[Member], archive: u64, limits: Limits) -> Result<(), ZipError> {
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
    if total > limits.bytes.count() {
        let (limit, advice) = (limits.bytes.count(), limits.bytes.advice());
        return Err(structure(format!("its members have {total} bytes together, and the limit is {limit}{advice}")));
    }
    if total > RATIO_FROM && total / limits.ratio.count().max(1) > archive {
        let (ratio, advice) = (limits.ratio.count(), limits.ratio.advice());
        return Err(structure(format!(
            "its members have {total} bytes together, more than {ratio} times its own {archive}{advice}"
        )));
    }
    Ok(())
}

/// The local headers and data: they lie one after the other from 0 to the directory, and say what it says.
pub(super) fn check_layout(content: &ContentAt, members: &mut [Member], directory: u64) -> Result<(), ZipError> {
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
pub(super) fn check_local(content: &ContentAt, member: &mut Member, directory: u64) -> Result<u64, ZipError> {
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
pub(super) fn check_descriptor(
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
