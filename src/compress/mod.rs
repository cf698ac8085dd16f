//! Compression of layers: pinned encoders whose bytes depend on content alone, and bounded decoders.
//!
//! A layer's tar is cut into chunks at places that its content decides ([`chunk`]), and each chunk is compressed by itself:
//! a gzip member, or a zstd frame. Any number of threads gives the same bytes, and a small change recompresses a small part.

pub mod chunk;
mod decode;
mod encode;

pub use decode::{DecodeLimit, Decoder, detect};
pub use encode::{ChunkId, EncodeError, Encoder, KnownChunks, Sink};

use crate::oci::Compression;

/// How a layer is written: kind, level, and how it is cut. Part of a layer's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The plain tar.
    None,
    /// One gzip member for each chunk of about 1 MiB, by libdeflate.
    Gzip {
        /// 1 (fast) to 12 (small); 6 is format 1's own.
        level: u8,
    },
    /// One gzip member for the whole, by zlib-rs, for readers that stop after the first.
    GzipSingle {
        /// 1 (fast) to 9 (small).
        level: u8,
    },
    /// One zstd frame for each chunk of about 8 MiB.
    Zstd {
        /// 1 (fast) to 19 (small); 3 is format 1's own.
        level: u8,
    },
}

impl Encoding {
    /// gzip as format 1 has it.
    pub const GZIP: Encoding = Encoding::Gzip { level: 6 };
    /// zstd as format 1 has it.
    pub const ZSTD: Encoding = Encoding::Zstd { level: 3 };

    /// What it makes, for the media type.
    pub fn compression(self) -> Compression {
        match self {
            Encoding::None => Compression::None,
            Encoding::Gzip { .. } | Encoding::GzipSingle { .. } => Compression::Gzip,
            Encoding::Zstd { .. } => Compression::Zstd,
        }
    }

    /// The name of the encoder with everything that decides its bytes. It changes whenever they do.
    pub fn id(self) -> String {
        match self {
            Encoding::None => "none".to_owned(),
            Encoding::Gzip { level } => format!("gzip/libdeflate-1.26/{level}/1MiB"),
            Encoding::GzipSingle { level } => format!("gzip/zlib-rs-0.6/{level}/single"),
            Encoding::Zstd { level } => format!("zstd/libzstd-1.5.7/{level}/8MiB"),
        }
    }

    /// The mean length of a chunk in bytes; `None` where the stream is not cut.
    pub(crate) fn chunk_length(self) -> Option<usize> {
        match self {
            Encoding::Gzip { .. } => Some(1 << 20),
            Encoding::Zstd { .. } => Some(8 << 20),
            Encoding::None | Encoding::GzipSingle { .. } => None,
        }
    }
}
