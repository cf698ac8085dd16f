//! Images: bases, layouts, archives, the store.

use crate::base::{BaseError, ListingError};
use crate::code::{Coded, ErrorCode, io_or};
use crate::image::ImageError;
use crate::oci::JsonError;
use crate::page::PageError;
use crate::place::{OutputError, SourceError};
use crate::store::StoreError;

impl Coded for ListingError {
    fn code(&self) -> ErrorCode {
        match self {
            // What is carried (a connection that broke, no room) says more than that the layer is refused.
            ListingError::Tar(crate::tar::ReadError::Io(error)) => io_or(error, ErrorCode::BaseDamaged),
            ListingError::TooLarge => ErrorCode::TooMuch,
            ListingError::Tar(_)
            | ListingError::DiffId { .. }
            | ListingError::Whiteout(_)
            | ListingError::Path(_)
            | ListingError::Resolve(_)
            | ListingError::Link { .. } => ErrorCode::BaseDamaged,
        }
    }
}

impl Coded for BaseError {
    fn code(&self) -> ErrorCode {
        match self {
            BaseError::Bytes { source, .. } => source.code(),
            BaseError::Listing { source, .. } => source.code(),
            BaseError::MediaType { .. } | BaseError::Contents { .. } | BaseError::Numbers { .. } => {
                ErrorCode::BaseDamaged
            }
            BaseError::File { source, .. } => io_or(source, ErrorCode::BaseDamaged),
            BaseError::Unread { .. } => ErrorCode::NotRead,
            BaseError::Store(error) => error.code(),
        }
    }
}

impl Coded for PageError {
    fn code(&self) -> ErrorCode {
        match self {
            PageError::Layers { source, .. } => source.code(),
            PageError::File { source, .. } => io_or(source, ErrorCode::BaseDamaged),
        }
    }
}

impl Coded for ImageError {
    fn code(&self) -> ErrorCode {
        match self {
            ImageError::TooManyLayers { .. } => ErrorCode::TooManyLayers,
            ImageError::Base(_) => ErrorCode::BaseDamaged,
            ImageError::Zstd(_) => ErrorCode::ZstdInDocker,
            ImageError::TooLong { .. } => ErrorCode::TooMuch,
            ImageError::Json(error) => error.code(),
        }
    }
}

impl Coded for JsonError {
    fn code(&self) -> ErrorCode {
        match self {
            JsonError::TooLarge(_) => ErrorCode::TooMuch,
            JsonError::Shape(_) | JsonError::Contradiction(_) => ErrorCode::PlaceDamaged,
        }
    }
}

impl Coded for SourceError {
    fn code(&self) -> ErrorCode {
        match self {
            SourceError::Io { source, .. } => io_or(source, ErrorCode::PlaceClosed),
            SourceError::Kind { .. } => ErrorCode::PlaceClosed,
            SourceError::Remote { source, .. } => source.code(),
            SourceError::Blob { source, .. } => io_or(source, ErrorCode::PlaceDamaged),
            SourceError::Damaged { .. }
            | SourceError::Document { .. }
            | SourceError::Absent { .. }
            | SourceError::TooLarge { .. }
            | SourceError::Contradiction { .. }
            | SourceError::Json { .. } => ErrorCode::PlaceDamaged,
            SourceError::Partial { .. } | SourceError::NoPlatform { .. } => ErrorCode::NoPlatform,
            SourceError::NoSuchImage { .. } => ErrorCode::NotThere,
            SourceError::Several { .. } => ErrorCode::SeveralThere,
            SourceError::Store(error) => error.code(),
            SourceError::Other(cause) => cause.code(),
        }
    }
}

impl Coded for OutputError {
    fn code(&self) -> ErrorCode {
        match self {
            OutputError::Io { source, .. } | OutputError::Stream(source) => io_or(source, ErrorCode::OutputUnwritable),
            OutputError::NoDirectory { .. } => ErrorCode::OutputUnwritable,
            OutputError::Interrupted => ErrorCode::Interrupted,
            OutputError::Blob { source, .. } => io_or(source, ErrorCode::PlaceDamaged),
            OutputError::Source(error) => error.code(),
            OutputError::Json(error) => error.code(),
            OutputError::NotOurs { .. } => ErrorCode::OutputTaken,
            OutputError::IsDirectory { .. } | OutputError::Registry { .. } | OutputError::NoName { .. } => {
                ErrorCode::PlaceName
            }
            OutputError::SameName { .. } | OutputError::OneName { .. } | OutputError::SeveralPlatforms { .. } => {
                ErrorCode::ForOneImage
            }
            OutputError::NoImage { .. } | OutputError::Zstd { .. } | OutputError::LongIndex { .. } => {
                ErrorCode::OutputForm
            }
        }
    }
}

impl Coded for StoreError {
    fn code(&self) -> ErrorCode {
        match self {
            StoreError::Io { source, .. } => source.code(),
            StoreError::Mismatch { .. } | StoreError::TooLong { .. } => ErrorCode::WrongBytes,
            StoreError::Absent(_) => ErrorCode::CacheDamaged,
            StoreError::Foreign(_) => ErrorCode::CacheForeign,
        }
    }
}
