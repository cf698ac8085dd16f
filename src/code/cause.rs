//! Errors that have a code, and how they are handed on without losing it.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;

use super::ErrorCode;
use crate::content::ContentError;
use crate::net::FetchError;
use crate::place::SourceError;
use crate::registry::RegistryError;
use crate::store::StoreError;
use crate::tar::ReadError;

/// An error that has a code. What has none cannot be handed to users, nor be the cause of something else.
pub trait Coded: Error + Send + Sync + 'static {
    /// The most specific code: that of the cause, where the cause is what can be done something about.
    fn code(&self) -> ErrorCode;
}

impl<E: Coded> Coded for Box<E> {
    fn code(&self) -> ErrorCode {
        (**self).code()
    }
}

/// Any error that has a code. It is no `Error` itself, but gives the one that it holds (by `Deref`), so that nothing comes
/// between an error and its cause.
pub struct Cause(Box<dyn Coded>);

impl Cause {
    /// A cause that is a text alone.
    pub fn told(code: ErrorCode, text: impl Into<String>) -> Self {
        Cause(Box::new(Told::new(code, text)))
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.0.code()
    }
}

impl<E: Coded> From<E> for Cause {
    fn from(error: E) -> Self {
        Cause(Box::new(error))
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An error and its causes, also those that I/O errors carry.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => (*error).source(),
    })
}

/// What registries are to blame for among an error and its causes.
pub fn of_registries<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a RegistryError> {
    causes(error).filter_map(|error| {
        let boxed = || error.downcast_ref::<Box<RegistryError>>().map(|error| &**error);
        error.downcast_ref::<RegistryError>().or_else(boxed)
    })
}

/// What people can do about what a server or the way to it is to blame for.
pub fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).find_map(|error| {
        let of_registry = error
            .downcast_ref::<RegistryError>()
            .or_else(|| error.downcast_ref::<Box<RegistryError>>().map(|error| &**error));
        let of_fetch = error
            .downcast_ref::<FetchError>()
            .or_else(|| error.downcast_ref::<Box<FetchError>>().map(|error| &**error));
        of_registry.and_then(RegistryError::advice).or_else(|| of_fetch?.advice().map(str::to_owned))
    })
}

/// An error that is a text and a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Told {
    code: ErrorCode,
    text: String,
}

impl Told {
    /// With that code, said so.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Told { code, text: text.into() }
    }
}

impl Coded for Told {
    fn code(&self) -> ErrorCode {
        self.code
    }
}

impl Coded for io::Error {
    fn code(&self) -> ErrorCode {
        let code = match self.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorCode::NoPermission,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorCode::Unreadable,
            _ => ErrorCode::Machine,
        };
        io_or(self, code)
    }
}

/// The code of an I/O error: that of the error that it carries, or that there is no room; else the one that is given.
pub(crate) fn io_or(error: &io::Error, otherwise: ErrorCode) -> ErrorCode {
    let carried = error.get_ref().and_then(|inner| {
        let inner: &(dyn Error + 'static) = inner;
        inner
            .downcast_ref::<ContentError>()
            .map(Coded::code)
            .or_else(|| inner.downcast_ref::<RegistryError>().map(Coded::code))
            .or_else(|| inner.downcast_ref::<Box<RegistryError>>().map(Coded::code))
            .or_else(|| inner.downcast_ref::<StoreError>().map(Coded::code))
            .or_else(|| inner.downcast_ref::<SourceError>().map(Coded::code))
            .or_else(|| inner.downcast_ref::<ReadError>().map(Coded::code))
            .or_else(|| inner.downcast_ref::<io::Error>().map(|error| io_or(error, otherwise)))
    });
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    carried.unwrap_or(if full { ErrorCode::DiskFull } else { otherwise })
}
