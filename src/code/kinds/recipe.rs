//! Recipes, locks, checkouts, names, and what a build comes to.

use crate::base::KnowledgeError;
use crate::build::{BuildError, OpenError};
use crate::code::{Coded, ErrorCode, UnknownCode, io_or};
use crate::git::GitError;
use crate::lock::LockError;
use crate::oci::platform::PlatformError;
use crate::oci::{DigestError, ReferenceError};
use crate::place::PlaceError;
use crate::recipe::path::ArchError;
use crate::recipe::{RecipeError, UnknownName};

impl Coded for UnknownCode {
    fn code(&self) -> ErrorCode {
        ErrorCode::Usage
    }
}

impl Coded for RecipeError {
    fn code(&self) -> ErrorCode {
        match self {
            RecipeError::Read { .. } => ErrorCode::RecipeFile,
            RecipeError::Wrong(diagnostics) => diagnostics.code(),
        }
    }
}

impl Coded for UnknownName {
    fn code(&self) -> ErrorCode {
        ErrorCode::NoSuchImage
    }
}

impl Coded for ArchError {
    fn code(&self) -> ErrorCode {
        ErrorCode::WrongValue
    }
}

impl Coded for GitError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Interpolation
    }
}

impl Coded for LockError {
    fn code(&self) -> ErrorCode {
        match self {
            LockError::Toml { .. } => ErrorCode::LockDamaged,
            LockError::Conflict { .. } => ErrorCode::LockConflict,
            LockError::Version { .. } => ErrorCode::LockVersion,
            LockError::Edited { .. } | LockError::Twice { .. } | LockError::Value { .. } => ErrorCode::LockEdited,
        }
    }
}

impl Coded for KnowledgeError {
    fn code(&self) -> ErrorCode {
        ErrorCode::LockEdited
    }
}

impl Coded for BuildError {
    fn code(&self) -> ErrorCode {
        match self {
            // Told to nobody: the image that failed is.
            BuildError::Stopped => ErrorCode::NotBuilt,
            BuildError::Recipe(diagnostic) | BuildError::Unresolvable(diagnostic) => diagnostic.code(),
            BuildError::Untrue { .. } => ErrorCode::Untrue,
            BuildError::Outside { source, .. } | BuildError::Packages { source, .. } => source.code(),
            BuildError::Lock { .. } => ErrorCode::LockStale,
            BuildError::LockNumber { .. } => ErrorCode::LockVersion,
            BuildError::Layer { source, .. } => source.code(),
        }
    }
}

impl Coded for OpenError {
    fn code(&self) -> ErrorCode {
        match self {
            OpenError::Source(error) => error.code(),
            OpenError::Layer(error) => error.code(),
            OpenError::Layers { .. } => ErrorCode::BaseDamaged,
        }
    }
}

impl Coded for PlaceError {
    fn code(&self) -> ErrorCode {
        match self {
            PlaceError::Reference { .. } | PlaceError::Digest { .. } | PlaceError::Login => ErrorCode::Reference,
            PlaceError::Empty
            | PlaceError::Bare { .. }
            | PlaceError::Unsupported { .. }
            | PlaceError::Kind { .. }
            | PlaceError::NoPath { .. }
            | PlaceError::Name { .. }
            | PlaceError::LayoutToStandard
            | PlaceError::Form { .. } => ErrorCode::PlaceName,
        }
    }
}

impl Coded for ReferenceError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Reference
    }
}

impl Coded for DigestError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Reference
    }
}

impl Coded for PlatformError {
    fn code(&self) -> ErrorCode {
        ErrorCode::PlatformName
    }
}

impl Coded for serde_json::Error {
    fn code(&self) -> ErrorCode {
        match self.io_error_kind() {
            Some(kind) => io_or(&kind.into(), ErrorCode::Machine),
            None => ErrorCode::Internal,
        }
    }
}
