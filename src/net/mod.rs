//! The network: requests over HTTP and TLS, names, proxies, retries, downloads.
//!
//! The only user of the HTTP crate and (with [`crate::registry`]) of asynchronous code. What is public blocks.

mod client;
mod dns;
mod document;
mod download;
mod error;
#[cfg(test)]
#[path = "../../tests/support/fake_registry.rs"]
pub(crate) mod fake_registry;
mod fetch;
mod file;
mod network;
mod payload;
mod proxy;
mod redact;
mod redirect;
mod retry;
mod tls;

pub use client::{Least, Patience};
pub use dns::NameFiles;
pub use document::Reply;
pub use error::NetError;
pub use fetch::{Fetch, FetchError};
pub use network::{Network, NetworkOptions};
pub use proxy::ProxySettings;
pub(crate) use redact::secret_forms;
pub use redact::{Secret, redacted};
pub use retry::RetryPolicy;
pub use tls::{ClientIdentity, RootSettings, TlsSettings};

pub(crate) use client::{Answer, Call};
pub(crate) use download::{Download, Ranged};
pub(crate) use fetch::take_login;
pub(crate) use file::read_regular;
pub(crate) use payload::{Payload, Progress};
pub(crate) use redact::Scrubber;
pub(crate) use redirect::{MAX_REDIRECTS, is_over_tls, location, redirect, same_origin};
pub(crate) use retry::{Tries, is_temporary, retry_after};

/// The header for a user name and password (RFC 7617).
pub(crate) fn basic(user: &str, password: &Secret) -> reqwest::header::HeaderValue {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.expose()));
    // Base64 is fit for a header; an empty one stands for what cannot be.
    let mut value = reqwest::header::HeaderValue::from_str(&format!("Basic {encoded}"))
        .unwrap_or(reqwest::header::HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}
