//! Bytes and numbers at places of an archive.

use std::io::{self, Read};

use super::{ZipError, structure};
use crate::content::ContentAt;

/// A stretch of the archive, read in order.
pub(super) struct Stretch<'a> {
    pub(super) content: &'a ContentAt,
    pub(super) at: u64,
    pub(super) left: u64,
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

pub(super) fn exact<const N: usize>(content: &ContentAt, offset: u64) -> Result<[u8; N], ZipError> {
    let mut bytes = [0; N];
    exact_into(content, offset, &mut bytes)?;
    Ok(bytes)
}

pub(super) fn exact_into(content: &ContentAt, offset: u64, bytes: &mut [u8]) -> Result<(), ZipError> {
    let end = offset.checked_add(bytes.len() as u64);
    if end.is_none_or(|end| end > content.len()) {
        return Err(structure("a header points past its end"));
    }
    Stretch { content, at: offset, left: bytes.len() as u64 }.read_exact(bytes)?;
    Ok(())
}

/// Little-endian numbers at fixed places of a header. `at` is always a constant within the header's length.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
