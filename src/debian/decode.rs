//! Decoders of what Debian's archives compress with, bounded in memory and in what comes out.

use std::io::{self, BufRead, BufReader, Read};

use crate::limits::Most;

/// How indexes and members of packages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, of one or more members.
    Gzip,
    /// xz, of one or more streams.
    Xz,
    /// zstd, of one or more frames.
    Zstd,
}

/// The most memory that the dictionary of an xz stream may take, in KiB: `xz -9` needs 64 MiB.
const XZ_MEMORY: u32 = 130 << 10;

/// The logarithm of the largest window of a zstd frame: 128 MiB, as `dpkg` and `zstd -19 --long` write at most.
const ZSTD_WINDOW: u32 = 27;

impl Compression {
    /// By the last part of a file name: `.gz`, `.xz`, `.zst`; anything else is plain.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Compression::Gzip,
            Some("xz") => Compression::Xz,
            Some("zst") => Compression::Zstd,
            _ => Compression::Plain,
        }
    }

    /// What follows the name of the plain file.
    pub fn extension(self) -> &'static str {
        match self {
            Compression::Plain => "",
            Compression::Gzip => ".gz",
            Compression::Xz => ".xz",
            Compression::Zstd => ".zst",
        }
    }
}

/// A reader of the plain bytes. It fails where they are more than `limit`, where the stream is cut, and where something
/// other than another stream follows.
///
/// # Errors
/// Where no decoder can be made; all others come with reading.
pub fn decoder<'a>(
    input: impl Read + 'a,
    compression: Compression,
    limit: impl Into<Most>,
) -> io::Result<impl Read + 'a> {
    let limit = limit.into();
    let input = BufReader::with_capacity(64 << 10, input);
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::Plain => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    };
    Ok(Bounded { inner, left: limit.count(), limit })
}

/// As [`decoder`], for reading line by line.
///
/// # Errors
/// As [`decoder`].
pub fn lines<'a>(input: impl Read + 'a, compression: Compression, limit: u64) -> io::Result<impl BufRead + 'a> {
    Ok(BufReader::with_capacity(256 << 10, decoder(input, compression, limit)?))
}

struct Bounded<R> {
    inner: R,
    left: u64,
    limit: Most,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than allowed tells too much from just enough.
        let room = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let want = buffer.len().min(room);
        let count = self.inner.read(&mut buffer[..want])?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let (count, advice) = (self.limit.count(), self.limit.advice());
                return Err(io::Error::other(format!("more than {count} bytes once decompressed{advice}")));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    pub(crate) fn encode(bytes: &[u8], compression: Compression) -> Vec<u8> {
        match compression {
            Compression::Plain => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn decode(bytes: &[u8], compression: Compression, limit: u64) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decoder(bytes, compression, limit)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn every_encoding_is_read_and_bounded() {
        let text = b"Package: a\n".repeat(1000);
        for compression in [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let encoded = encode(&text, compression);
            let length = text.len() as u64;
            assert_eq!(decode(&encoded, compression, length).unwrap(), text);
            assert!(decode(&encoded, compression, length - 1).is_err(), "{compression:?}");
            if compression == Compression::Plain {
                continue;
            }
            assert_eq!(decode(&encoded.repeat(2), compression, length * 2).unwrap().len(), text.len() * 2);
            for cut in [1, encoded.len() / 2, encoded.len() - 1] {
                assert!(decode(&encoded[..cut], compression, length).is_err(), "{compression:?} cut at {cut}");
            }
            for junk in [&b"junk"[..], b"x", b"\0\0\0", &[0xff; 40]] {
                let whole = [&encoded[..], junk].concat();
                assert!(decode(&whole, compression, length).is_err(), "{compression:?} and {junk:?}");
            }
        }
    }

    #[test]
    fn large_windows_are_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let encoded = encoder.finish().unwrap();
        assert!(decode(&encoded, Compression::Zstd, 1 << 30).is_err());
        let mut options = lzma_rust2::XzOptions::with_preset(0);
        options.lzma_options.dict_size = 256 << 20;
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(b"x").unwrap();
        assert!(decode(&encoder.finish().unwrap(), Compression::Xz, 10).is_err());
    }
}
