//! Decompressing what others made, in bounded memory.

use std::io::{self, BufReader, Read};

use crate::limits::Most;
use crate::oci::Compression;

/// The largest zstd window that is accepted, as a power of two: 128 MiB, what every reader of layers takes.
const ZSTD_WINDOW: u32 = 27;

/// Gives the plain bytes of a stream. gzip streams may have several members, zstd streams several frames; what follows the
/// last one is an error.
pub struct Decoder<'a> {
    inner: Box<dyn Read + Send + 'a>,
}

impl<'a> Decoder<'a> {
    /// A decoder of `reader`'s bytes.
    pub fn new(reader: impl Read + Send + 'a, compression: Compression) -> Self {
        let reader = BufReader::with_capacity(64 << 10, reader);
        let inner: Box<dyn Read + Send + 'a> = match compression {
            Compression::None => Box::new(reader),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Compression::Zstd => match zstd::stream::read::Decoder::with_buffer(reader) {
                Ok(mut decoder) => match decoder.window_log_max(ZSTD_WINDOW) {
                    Ok(()) => Box::new(decoder),
                    Err(error) => Box::new(Failed(Some(error))),
                },
                Err(error) => Box::new(Failed(Some(error))),
            },
        };
        Decoder { inner }
    }

    /// Ends with an error after `limit` bytes, so that a bomb cannot fill disk or memory.
    #[must_use]
    pub fn limited(self, limit: impl Into<Most>) -> DecodeLimit<'a> {
        let limit = limit.into();
        DecodeLimit { inner: self, left: limit.count(), limit }
    }
}

/// The compression that the first bytes of a stream show.
pub fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame, as zstd:chunked and others put in front.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

/// A decoder that was told how much is enough.
pub struct DecodeLimit<'a> {
    inner: Decoder<'a>,
    left: u64,
    limit: Most,
}

impl Read for DecodeLimit<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)).max(1);
        let count = self.inner.read(&mut buffer[..want])?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let (count, advice) = (self.limit.count(), self.limit.advice());
            io::Error::other(format!("there are more than {count} bytes in the decompressed stream{advice}"))
        })?;
        Ok(count)
    }
}

struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::new(bytes, detect(bytes)).limited(1000).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn members_and_frames_are_one_stream() {
        let zstd = |bytes| zstd::bulk::compress(bytes, 3).unwrap();
        assert_eq!(decode(&[gzip(b"ab"), gzip(b""), gzip(b"c")].concat()).unwrap(), b"abc");
        assert_eq!(decode(&[zstd(b"ab"), zstd(b"c")].concat()).unwrap(), b"abc");
        assert_eq!(decode(b"plain").unwrap(), b"plain");
    }

    #[test]
    fn bombs_cuts_and_junk_are_errors() {
        assert!(decode(&gzip(&[0; 1000])).is_ok());
        assert!(decode(&gzip(&[0; 1001])).is_err());
        let whole = gzip(b"some text");
        assert!(decode(&whole[..whole.len() - 1]).is_err());
        assert!(decode(&[&whole[..], b"junk"].concat()).is_err());
        let whole = zstd::bulk::compress(b"some text", 3).unwrap();
        assert!(decode(&whole[..whole.len() - 1]).is_err());
        assert!(decode(&[&whole[..], b"junk"].concat()).is_err());
        // A frame that asks for a window of 2 GiB.
        assert!(decode(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]).is_err());
    }
}
