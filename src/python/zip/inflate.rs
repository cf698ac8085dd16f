//! Decompressing a member.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

use super::raw::Stretch;
use super::{Member, ZipError};

/// What decompressing needs.
pub(super) struct Buffers {
    decoder: Decompress,
    pub(super) input: Vec<u8>,
    output: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Buffers { decoder: Decompress::new(false), input: vec![0; 64 << 10], output: vec![0; 64 << 10] }
    }
}

pub(super) fn inflate(
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
