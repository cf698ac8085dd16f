//! The context, files and their places in the image, layers.

use crate::code::{Coded, ErrorCode, io_or};
use crate::compress::EncodeError;
use crate::content::ContentError;
use crate::context::{CopyError, GlobError, IgnoreError, ModeKeyError, PatternError, WalkError};
use crate::elf::ElfError;
use crate::layer::LayerError;
use crate::source::archive::ArchiveError;
use crate::source::ca::CaError;
use crate::source::image::ImageCopyError;
use crate::source::users::UsersError;
use crate::tar::{ReadError, WriteError};
use crate::tree::{PathError, PlaceError, ResolveError, TreeError};

impl Coded for ContentError {
    fn code(&self) -> ErrorCode {
        match self {
            ContentError::Open { source, .. } | ContentError::Read { source, .. } => {
                io_or(source, ErrorCode::Unreadable)
            }
            ContentError::Changed { .. } => ErrorCode::Changed,
            ContentError::Damaged { .. } | ContentError::Directory { .. } => ErrorCode::CacheDamaged,
        }
    }
}

impl Coded for CopyError {
    fn code(&self) -> ErrorCode {
        match self {
            CopyError::Empty | CopyError::NoMatch { .. } => ErrorCode::NothingMatches,
            CopyError::Climbs { .. } | CopyError::Outside { .. } | CopyError::Dangling { .. } => {
                ErrorCode::OutsideContext
            }
            CopyError::Glob { source, .. } => source.code(),
            CopyError::Ignored { .. } => ErrorCode::Ignored,
            CopyError::NotADirectory { .. } | CopyError::Many { .. } => ErrorCode::Destination,
            CopyError::Forbidden { .. } => ErrorCode::Forbidden,
            CopyError::Path { source, .. } => source.code(),
            CopyError::Walk(error) => error.code(),
        }
    }
}

impl Coded for GlobError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Pattern
    }
}

impl Coded for PatternError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Pattern
    }
}

impl Coded for ModeKeyError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Pattern
    }
}

impl Coded for IgnoreError {
    fn code(&self) -> ErrorCode {
        match self {
            IgnoreError::Read { source, .. } => io_or(source, ErrorCode::IgnoreFile),
            IgnoreError::Kind { .. } | IgnoreError::Size { .. } | IgnoreError::Line { .. } => ErrorCode::IgnoreFile,
        }
    }
}

impl Coded for WalkError {
    fn code(&self) -> ErrorCode {
        match self {
            WalkError::Open { source, .. } | WalkError::List { source, .. } | WalkError::Stat { source, .. } => {
                io_or(source, ErrorCode::Unreadable)
            }
            WalkError::Kind { .. } | WalkError::Whiteout { .. } | WalkError::Deep { .. } | WalkError::Holes { .. } => {
                ErrorCode::NotForLayers
            }
        }
    }
}

impl Coded for ElfError {
    fn code(&self) -> ErrorCode {
        match self {
            ElfError::Io(error) => io_or(error, ErrorCode::Unreadable),
            ElfError::Damaged(_) => ErrorCode::Unreadable,
        }
    }
}

impl Coded for PathError {
    fn code(&self) -> ErrorCode {
        match self {
            PathError::Climbs(_) | PathError::Absolute(_) => ErrorCode::ImagePath,
            PathError::Nul(_)
            | PathError::LongComponent(_)
            | PathError::Long(_)
            | PathError::Deep(_)
            | PathError::Whiteout(_) => ErrorCode::NotForLayers,
        }
    }
}

impl Coded for TreeError {
    fn code(&self) -> ErrorCode {
        match self {
            TreeError::Conflict { .. } => ErrorCode::Conflict,
            TreeError::BelowNonDirectory { .. } => ErrorCode::ImagePath,
            TreeError::Replaces { .. } => ErrorCode::Replaces,
            TreeError::TooLarge { .. } => ErrorCode::TooMuch,
            TreeError::Link { .. } => ErrorCode::Archive,
            TreeError::Path(error) => error.code(),
        }
    }
}

impl Coded for ResolveError {
    fn code(&self) -> ErrorCode {
        ErrorCode::ImagePath
    }
}

impl Coded for PlaceError {
    fn code(&self) -> ErrorCode {
        match self {
            PlaceError::Tree(error) => error.code(),
            PlaceError::Resolve(error) => error.code(),
            PlaceError::Root { .. } => ErrorCode::ImagePath,
            PlaceError::Missing { .. } => ErrorCode::NothingToRemove,
        }
    }
}

impl Coded for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            ReadError::Io(error) => io_or(error, ErrorCode::Archive),
            ReadError::TooMany(_) | ReadError::Names => ErrorCode::TooMuch,
            ReadError::Cut(_)
            | ReadError::Trailing(_)
            | ReadError::Header { .. }
            | ReadError::Member { .. }
            | ReadError::Path { .. } => ErrorCode::Archive,
        }
    }
}

impl Coded for ArchiveError {
    fn code(&self) -> ErrorCode {
        match self {
            ArchiveError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            ArchiveError::Spool { source, .. } => source.code(),
            ArchiveError::Tar { source, .. } => source.code(),
            ArchiveError::Compression { .. } | ArchiveError::Link { .. } | ArchiveError::Special { .. } => {
                ErrorCode::Archive
            }
        }
    }
}

impl Coded for CaError {
    fn code(&self) -> ErrorCode {
        match self {
            CaError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            CaError::NoCertificate { .. } | CaError::PrivateKey { .. } | CaError::Name { .. } => ErrorCode::Certificate,
            CaError::Staging(error) => error.code(),
        }
    }
}

impl Coded for ImageCopyError {
    fn code(&self) -> ErrorCode {
        match self {
            ImageCopyError::Absent { .. } => ErrorCode::NotInImage,
            ImageCopyError::Several { .. } => ErrorCode::Destination,
            ImageCopyError::Pattern { .. } => ErrorCode::Pattern,
            ImageCopyError::Special(_) => ErrorCode::NotForLayers,
            ImageCopyError::Resolve(error) => error.code(),
            ImageCopyError::Path(error) => error.code(),
            ImageCopyError::Place(error) => error.code(),
            ImageCopyError::Base(error) => error.code(),
        }
    }
}

impl Coded for UsersError {
    fn code(&self) -> ErrorCode {
        match self {
            UsersError::Name { .. } | UsersError::Uid { .. } | UsersError::Group { .. } => ErrorCode::UserTaken,
            UsersError::NoGroup { .. } | UsersError::NoUser { .. } | UsersError::NoGroupName { .. } => {
                ErrorCode::NoSuchUser
            }
        }
    }
}

impl Coded for LayerError {
    fn code(&self) -> ErrorCode {
        match self {
            LayerError::Tar(error) => error.code(),
            LayerError::Encode(error) => error.code(),
            LayerError::Store(error) => error.code(),
            LayerError::Machine { .. } => ErrorCode::WrongMachine,
            LayerError::Changed => ErrorCode::Changed,
        }
    }
}

impl Coded for WriteError {
    fn code(&self) -> ErrorCode {
        match self {
            WriteError::Content { source, .. } => io_or(source, ErrorCode::Unreadable),
            WriteError::Output(error) => error.code(),
        }
    }
}

impl Coded for EncodeError {
    fn code(&self) -> ErrorCode {
        match self {
            EncodeError::Output(error) => error.code(),
            EncodeError::Compress(_) => ErrorCode::Internal,
        }
    }
}
