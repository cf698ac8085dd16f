//! Debian packages.

use crate::code::{Coded, ErrorCode, io_or};
use crate::debian::control::ControlError;
use crate::debian::database::DatabaseError;
use crate::debian::deb::DebError;
use crate::debian::keyring::KeyringError;
use crate::debian::packages::PackagesError;
use crate::debian::release::ReleaseError;
use crate::debian::resolve::SolveError;
use crate::debian::staging::StagingError;
use crate::debian::unpack::UnpackError;
use crate::pin::debian::PinError;
use crate::source::debian::{FileError, LayerError};

impl Coded for ControlError {
    fn code(&self) -> ErrorCode {
        match self {
            ControlError::Io(error) => io_or(error, ErrorCode::PackageDamaged),
            ControlError::Line { .. }
            | ControlError::Long(_)
            | ControlError::Count(_)
            | ControlError::Missing(_)
            | ControlError::Value { .. } => ErrorCode::PackageDamaged,
        }
    }
}

impl Coded for PackagesError {
    fn code(&self) -> ErrorCode {
        match self {
            PackagesError::Control(error) => error.code(),
            PackagesError::Package { .. } => ErrorCode::PackageDamaged,
            PackagesError::TooMany => ErrorCode::TooMuch,
        }
    }
}

impl Coded for DebError {
    fn code(&self) -> ErrorCode {
        match self {
            DebError::Io(error) => io_or(error, ErrorCode::PackageDamaged),
            DebError::Spool(error) => error.code(),
            DebError::Archive(_)
            | DebError::Tar { .. }
            | DebError::Member { .. }
            | DebError::Control(_)
            | DebError::Relation { .. }
            | DebError::Another { .. } => ErrorCode::PackageDamaged,
        }
    }
}

impl Coded for KeyringError {
    fn code(&self) -> ErrorCode {
        ErrorCode::NotBelieved
    }
}

impl Coded for ReleaseError {
    fn code(&self) -> ErrorCode {
        match self {
            ReleaseError::Frame(_)
            | ReleaseError::Signatures(_)
            | ReleaseError::Unsigned(_)
            | ReleaseError::Another { .. } => ErrorCode::NotBelieved,
            ReleaseError::Control(error) => error.code(),
            ReleaseError::Expired { .. } | ReleaseError::Future { .. } => ErrorCode::MirrorOld,
            ReleaseError::NoIndex { .. } => ErrorCode::NoSuite,
        }
    }
}

impl Coded for SolveError {
    fn code(&self) -> ErrorCode {
        match self {
            SolveError::Unknown { .. } => ErrorCode::NoPackage,
            SolveError::Relation { .. } => ErrorCode::PackageDamaged,
            SolveError::Ambiguous { .. }
            | SolveError::NotAvailable { .. }
            | SolveError::Contradiction(_)
            | SolveError::Unsatisfiable { .. }
            | SolveError::Upgrade { .. }
            | SolveError::Conflict { .. } => ErrorCode::Unsatisfiable,
        }
    }
}

impl Coded for StagingError {
    fn code(&self) -> ErrorCode {
        match self {
            StagingError::Path(error) => error.code(),
            StagingError::Resolve(error) => error.code(),
            StagingError::Tree(error) => error.code(),
            StagingError::Read { source, .. } => io_or(source, ErrorCode::Dpkg),
            StagingError::Wrong { .. } => ErrorCode::Dpkg,
            StagingError::Taken { .. } => ErrorCode::PackagesCollide,
        }
    }
}

impl Coded for DatabaseError {
    fn code(&self) -> ErrorCode {
        match self {
            DatabaseError::Staging(error) => error.code(),
            DatabaseError::Packages(_) | DatabaseError::Trigger { .. } => ErrorCode::Dpkg,
            DatabaseError::Package { source, .. } => source.code(),
        }
    }
}

impl Coded for UnpackError {
    fn code(&self) -> ErrorCode {
        match self {
            UnpackError::Shared { .. } | UnpackError::Taken { .. } => ErrorCode::PackagesCollide,
            UnpackError::Place { source, .. } => source.code(),
            UnpackError::Conffiles { source, .. } => source.code(),
        }
    }
}

impl Coded for FileError {
    fn code(&self) -> ErrorCode {
        match self {
            FileError::Supply(error) => error.code(),
            FileError::Read { source, .. } => io_or(source, ErrorCode::Unreadable),
            FileError::Another { .. } => ErrorCode::PinnedOther,
        }
    }
}

impl Coded for LayerError {
    fn code(&self) -> ErrorCode {
        match self {
            LayerError::Platform { .. } | LayerError::Account { .. } => ErrorCode::LockStale,
            LayerError::File(error) => error.code(),
            LayerError::Deb { source, .. } => source.code(),
            LayerError::Damaged { source, .. } => source.code(),
            LayerError::Unknown(_) | LayerError::Removes { .. } => ErrorCode::Scripts,
            LayerError::Architecture { .. } => ErrorCode::Unsatisfiable,
            LayerError::Spool(error) => error.code(),
            LayerError::Unpack(error) => error.code(),
            LayerError::Database(error) => error.code(),
            LayerError::Staging(error) => error.code(),
        }
    }
}

impl Coded for PinError {
    fn code(&self) -> ErrorCode {
        match self {
            PinError::NoSuites { .. }
            | PinError::Architecture(_)
            | PinError::NoSuite { .. }
            | PinError::NoComponent { .. }
            | PinError::NoArchitecture { .. } => ErrorCode::NoSuite,
            PinError::Version(_) | PinError::FileName { .. } => ErrorCode::WrongValue,
            PinError::File { source, .. } => io_or(source, ErrorCode::Unreadable),
            PinError::LocalDeb { source, .. } | PinError::Deb { source, .. } => source.code(),
            PinError::Local { source, .. } | PinError::Index { source, .. } => source.code(),
            PinError::Keyring { source, .. } => source.code(),
            PinError::Older { .. } => ErrorCode::MirrorOld,
            PinError::Release { source, .. } => source.code(),
            PinError::Supply(error) => error.code(),
            PinError::Package(error) => error.code(),
            PinError::Solve(error) => error.code(),
            PinError::Scripts(_) | PinError::Strict { .. } => ErrorCode::Scripts,
            PinError::Below(error) => error.code(),
            PinError::Accounts(error) => error.code(),
            PinError::Unpack(error) => error.code(),
            PinError::Spool(error) => error.code(),
        }
    }
}
