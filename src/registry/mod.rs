//! Registries: credentials, tokens, pulling and pushing (distribution-spec 1.1), with what real registries do otherwise.
//!
//! What is asked is decided in `registries` and below it (`pull`, `upload`, `push`); how anything is asked at all, in
//! `client`, the one place that follows redirects and adds credentials.

mod ahead;
mod auth;
pub(crate) mod challenge;
mod client;
pub(crate) mod credentials;
mod endpoint;
mod error;
mod options;
mod pull;
mod push;
mod referrers;
mod refusal;
mod registries;
mod upload;

pub use crate::report::Tally;
pub use ahead::Stop;
pub use credentials::{CredentialError, CredentialSource, HelperError};
pub use error::{RegistryError, Unanswered};
pub use options::{RegistryOptions, RegistrySettings, Security};
pub use push::{PushBlob, PushImage, PushManifest, Pushed, SeenTag};
pub use refusal::{Reason, Refusal, RefusalKind};
pub use registries::Registries;
pub use upload::{BlobSource, How};

#[cfg(test)]
mod tests;
