//! What can go wrong with a registry.

use std::io;
use std::path::PathBuf;

use super::{CredentialError, Refusal, RefusalKind};
use crate::net::NetError;
use crate::oci::Digest;
use crate::store::StoreError;

/// Why something could not be read from, or sent to, a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// There was no answer, or not all of it.
    #[error(transparent)]
    Unanswered(#[from] Box<Unanswered>),
    /// No token was to be had.
    #[error("no token for {registry}")]
    Token {
        /// The registry, as in references.
        registry: String,
        /// Why.
        source: Box<RegistryError>,
    },
    /// The registry names a token server that is not to be trusted with its credentials.
    #[error("{registry} names {realm} as its token server, which is not asked: {reason}")]
    Realm {
        /// The registry, as in references.
        registry: String,
        /// The token server, redacted.
        realm: String,
        /// Why not.
        reason: &'static str,
    },
    /// Credentials could not be looked up.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// A blob is nowhere to be had.
    #[error("{from} has no blob {digest}")]
    Absent {
        /// The repository.
        from: String,
        /// The blob.
        digest: Digest,
    },
    /// The bytes are not those that were asked for, more than once.
    #[error("{from} gave wrong bytes: {reason}")]
    WrongBytes {
        /// The repository.
        from: String,
        /// In which way.
        reason: String,
    },
    /// The registry does not keep to the distribution specification.
    #[error("{registry} answered {method} {url} in a way that makes no sense: {reason}")]
    Protocol {
        /// The registry, as in references.
        registry: String,
        /// What was asked.
        method: String,
        /// Of which address, redacted.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The name of a registry is none.
    #[error("{registry} is no registry ({reason})")]
    Endpoint {
        /// The name.
        registry: String,
        /// Why not.
        reason: String,
    },
    /// A directory of certificates cannot be read.
    #[error("reading the certificates in {directory}")]
    Certificates {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A blob that was to be sent could not be read.
    #[error("reading blob {digest} to send it")]
    Content {
        /// The blob.
        digest: Digest,
        /// Why not.
        source: io::Error,
    },
    /// What came could not be kept.
    #[error("keeping blob {digest}")]
    Store {
        /// The blob.
        digest: Digest,
        /// Why not.
        source: StoreError,
    },
    /// What is to be sent does not fit together.
    #[error("{image} cannot be pushed: {reason}")]
    Image {
        /// Where it was to go.
        image: String,
        /// Why not.
        reason: String,
    },
    /// The network could not be used at all, or [`crate::net::Network::cancel`] was called.
    #[error(transparent)]
    Net(NetError),
}

/// A request that got no answer, or not all of one.
#[derive(Debug, thiserror::Error)]
#[error("{method} {url} failed (tried {tries}×)")]
pub struct Unanswered {
    /// The registry, as in references.
    pub registry: String,
    /// What was asked.
    pub method: String,
    /// Of which address, redacted.
    pub url: String,
    /// How often it was asked.
    pub tries: u32,
    /// Why.
    pub source: NetError,
}

impl From<NetError> for RegistryError {
    fn from(error: NetError) -> Self {
        RegistryError::Net(error)
    }
}

impl RegistryError {
    /// The refusal, where it is one (also that of a token server).
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            RegistryError::Refused(refusal) => Some(refusal),
            RegistryError::Token { source, .. } => source.refusal(),
            _ => None,
        }
    }

    /// Whether it is a refusal of that kind.
    pub fn is(&self, kind: RefusalKind) -> bool {
        self.refusal().is_some_and(|refusal| refusal.kind() == kind)
    }

    /// Whether whatever else is asked of the registry would fail, too, and not what this image or repository says or hides.
    pub fn is_of_all(&self) -> bool {
        match self {
            RegistryError::Refused(refusal) => refusal.is_temporary(),
            RegistryError::Token { source, .. } => source.is_of_all(),
            RegistryError::Unanswered(_)
            | RegistryError::Net(_)
            | RegistryError::Realm { .. }
            | RegistryError::Credentials(_)
            | RegistryError::Endpoint { .. }
            | RegistryError::Certificates { .. } => true,
            RegistryError::Absent { .. }
            | RegistryError::WrongBytes { .. }
            | RegistryError::Protocol { .. }
            | RegistryError::Content { .. }
            | RegistryError::Store { .. }
            | RegistryError::Image { .. } => false,
        }
    }

    /// Whether what is on this machine is to blame: what was to be sent, or where it was to be kept.
    pub fn is_of_this_machine(&self) -> bool {
        matches!(self, RegistryError::Image { .. } | RegistryError::Content { .. } | RegistryError::Store { .. })
    }

    /// Whether it was ended from outside.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, RegistryError::Net(NetError::Cancelled))
    }

    /// What people can do about it, where that is known.
    pub fn advice(&self) -> Option<String> {
        match self {
            RegistryError::Refused(refusal) => refusal.advice.clone(),
            RegistryError::Token { source, .. } => source.advice(),
            RegistryError::Unanswered(failed) => failed.advice(),
            _ => None,
        }
    }

    /// The same, after so many tries.
    pub(super) fn after(mut self, made: u32) -> Self {
        match &mut self {
            RegistryError::Refused(refusal) => refusal.tries = refusal.tries.max(made),
            RegistryError::Unanswered(failed) => failed.tries = failed.tries.max(made),
            _ => {}
        }
        self
    }

    /// Whether nothing listens there, on this machine.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, RegistryError::Unanswered(failed) if matches!(failed.source, NetError::Closed(_)))
    }

    /// Whether the same may well succeed a little later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            RegistryError::Refused(refusal) => refusal.is_temporary(),
            RegistryError::Unanswered(failed) => failed.source.is_temporary(),
            RegistryError::Token { source, .. } => source.is_temporary(),
            _ => false,
        }
    }
}

impl Unanswered {
    fn advice(&self) -> Option<String> {
        let registry = &self.registry;
        match &self.source {
            NetError::Tls(_) => Some(format!(
                "where {registry} has a certificate of its own, put its root into certs.d or SSL_CERT_FILE, or name it with \
                 --registry-certificate {registry}=FILE; where it speaks plain http, say --insecure-registry {registry}"
            )),
            NetError::Broken(_) if registry.contains(".dkr.ecr.") && self.method != "GET" => {
                Some("ECR ends pushes to repositories that do not exist abruptly: make sure that it does".to_owned())
            }
            source => source.advice().map(str::to_owned),
        }
    }
}
