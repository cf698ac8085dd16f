//! Registries, mirrors, indexes and credentials.

use crate::code::{Coded, ErrorCode, io_or};
use crate::net::{FetchError, NetError};
use crate::registry::{CredentialError, RefusalKind, RegistryError, Unanswered};
use crate::supply::{SettingsError, SupplyError};

impl Coded for NetError {
    fn code(&self) -> ErrorCode {
        match self {
            NetError::Name { .. } => ErrorCode::NoAddress,
            NetError::Connect(_) | NetError::Closed(_) => ErrorCode::NoConnection,
            NetError::Tls(_) => ErrorCode::Tls,
            NetError::Stalled { .. } | NetError::TooSlow { .. } | NetError::Broken(_) => ErrorCode::Broken,
            NetError::Malformed(_) | NetError::TooLong { .. } => ErrorCode::Nonsense,
            NetError::Redirect { .. } => ErrorCode::Redirect,
            NetError::NoRoots { .. } => ErrorCode::NoRoots,
            NetError::Certificate { .. } => ErrorCode::CertificateFile,
            NetError::Proxy { .. } => ErrorCode::Proxy,
            NetError::Content(error) => io_or(error, ErrorCode::Unreadable),
            NetError::Start(error) => error.code(),
            NetError::Cancelled => ErrorCode::Interrupted,
        }
    }
}

/// The code of a status that is no success.
fn of_status(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Denied,
        404 | 410 => ErrorCode::NotFound,
        413 => ErrorCode::TooLarge,
        429 => ErrorCode::TooMany,
        _ => ErrorCode::Server,
    }
}

impl Coded for FetchError {
    fn code(&self) -> ErrorCode {
        match self {
            FetchError::Address { .. } => ErrorCode::Address,
            FetchError::Refused { status, .. } => of_status(*status),
            FetchError::Network { source, .. } => source.code(),
            FetchError::Store { source, .. } => source.code(),
            FetchError::Digest { .. } | FetchError::Length { .. } => ErrorCode::WrongBytes,
            FetchError::File { source, .. } => io_or(source, ErrorCode::Unreadable),
            FetchError::Cancelled => ErrorCode::Interrupted,
        }
    }
}

impl Coded for SupplyError {
    fn code(&self) -> ErrorCode {
        match self {
            SupplyError::NoMirror { .. } => ErrorCode::NoMirror,
            SupplyError::NoIndex { .. } => ErrorCode::NoIndex,
            SupplyError::Setting { .. } => ErrorCode::Environment,
            SupplyError::Offline { .. } => ErrorCode::Offline,
            SupplyError::Gone { .. } | SupplyError::Nowhere { .. } => ErrorCode::Gone,
            SupplyError::Absent { source, .. } | SupplyError::Fetch { source, .. } => source.code(),
            SupplyError::Network { source, .. } => source.code(),
            SupplyError::Unreachable { .. } => ErrorCode::Unreachable,
            SupplyError::Size { .. } => ErrorCode::WrongBytes,
            SupplyError::Index { source, .. } => source.code(),
            SupplyError::Store(error) => error.code(),
        }
    }
}

impl Coded for SettingsError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Environment
    }
}

impl Coded for Unanswered {
    fn code(&self) -> ErrorCode {
        self.source.code()
    }
}

impl Coded for RegistryError {
    fn code(&self) -> ErrorCode {
        match self {
            // The registry's own words say more than some statuses.
            RegistryError::Refused(refusal) => match refusal.kind() {
                RefusalKind::NotFound => ErrorCode::NotFound,
                RefusalKind::Unauthorized => ErrorCode::Unauthorized,
                RefusalKind::Denied => ErrorCode::Denied,
                RefusalKind::TooMany => ErrorCode::TooMany,
                RefusalKind::TooLarge => ErrorCode::TooLarge,
                RefusalKind::Server | RefusalKind::Other => ErrorCode::Server,
            },
            RegistryError::Unanswered(failed) => failed.code(),
            RegistryError::Token { source, .. } => source.code(),
            RegistryError::Realm { .. } => ErrorCode::TokenServer,
            RegistryError::Credentials(error) => error.code(),
            RegistryError::Absent { .. } => ErrorCode::BlobAbsent,
            RegistryError::WrongBytes { .. } => ErrorCode::WrongBytes,
            RegistryError::Protocol { .. } => ErrorCode::Nonsense,
            RegistryError::Endpoint { .. } => ErrorCode::Address,
            RegistryError::Certificates { .. } => ErrorCode::CertificateFile,
            RegistryError::Content { source, .. } => io_or(source, ErrorCode::NotPushed),
            RegistryError::Store { source, .. } => source.code(),
            RegistryError::Image { .. } => ErrorCode::NotPushed,
            RegistryError::Net(error) => error.code(),
        }
    }
}

impl Coded for CredentialError {
    fn code(&self) -> ErrorCode {
        match self {
            CredentialError::File { .. } | CredentialError::Form { .. } => ErrorCode::CredentialFile,
            CredentialError::Helper { .. } => ErrorCode::CredentialHelper,
        }
    }
}
