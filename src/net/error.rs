//! What can go wrong between a request and its answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use super::redacted;

/// Why there was no answer, or not all of one.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The host has no address.
    #[error("the name {host} does not resolve ({reason})")]
    Name {
        /// The host.
        host: String,
        /// What the resolver said.
        reason: String,
        /// Whether the name servers are sure that there is no such name.
        certain: bool,
    },
    /// No connection came about.
    #[error("no connection ({0})")]
    Connect(String),
    /// This machine itself says that nothing listens there: waiting seldom helps.
    #[error("nothing listens there on this machine ({0})")]
    Closed(String),
    /// The other side could not be trusted, or does not speak TLS.
    #[error("no secure connection ({0})")]
    Tls(String),
    /// Nothing came or went for too long.
    #[error("nothing came for {} s while {doing}", .after.as_secs_f32().ceil())]
    Stalled {
        /// For how long.
        after: Duration,
        /// What was waited for.
        doing: &'static str,
    },
    /// Bytes came, and so few that there would be no end to it.
    #[error("only {bytes} bytes came within {} s", .within.as_secs_f32().ceil())]
    TooSlow {
        /// How many.
        bytes: u64,
        /// In how long.
        within: Duration,
    },
    /// The connection ended too early.
    #[error("the connection broke ({0})")]
    Broken(String),
    /// The answer is no HTTP, or its head has no end.
    #[error("the answer cannot be read ({0})")]
    Malformed(String),
    /// The answer is longer than it may be.
    #[error("the answer has more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("the redirect to {to} is not followed: {reason}")]
    Redirect {
        /// Where to, redacted.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// There is nothing that certificates could be checked against.
    #[error(
        "no root certificates are on this machine, and without them no https server can be trusted: install \
         ca-certificates, or name a bundle with SSL_CERT_FILE (looked for {looked_for})"
    )]
    NoRoots {
        /// The places.
        looked_for: String,
    },
    /// A certificate or key cannot be used.
    #[error("{path}: {reason}")]
    Certificate {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy that cannot be used, or does not let us through.
    #[error("the proxy of {variable} cannot be used: {reason}")]
    Proxy {
        /// Where it was set.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be sent could not be read.
    #[error("reading what is to be sent")]
    Content(#[source] io::Error),
    /// The network part of the program could not be started.
    #[error("starting the network")]
    Start(#[source] io::Error),
    /// [`super::Network::cancel`] was called.
    #[error("interrupted")]
    Cancelled,
}

impl NetError {
    /// Whether the same request may well succeed a little later.
    pub fn is_temporary(&self) -> bool {
        match self {
            NetError::Name { certain, .. } => !certain,
            NetError::Connect(_)
            | NetError::Closed(_)
            | NetError::Stalled { .. }
            | NetError::TooSlow { .. }
            | NetError::Broken(_) => true,
            _ => false,
        }
    }

    /// The same, where it went through a proxy, or to this machine itself.
    pub(super) fn on_the_way_to(self, url: &Url, proxy: Option<&Url>) -> Self {
        let Some(proxy) = proxy else {
            let here = match url.host() {
                Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            };
            return match self {
                NetError::Connect(reason) if here && reason.contains("refused") => NetError::Closed(reason),
                other => other,
            };
        };
        let through = |reason: String| format!("{reason}; through the proxy {}", redacted(proxy));
        match self {
            NetError::Name { host, reason, certain } => NetError::Name { host, reason: through(reason), certain },
            NetError::Connect(reason) => NetError::Connect(through(reason)),
            NetError::Tls(reason) => NetError::Tls(through(reason)),
            NetError::Broken(reason) => NetError::Broken(through(reason)),
            NetError::Malformed(reason) => NetError::Malformed(through(reason)),
            other => other,
        }
    }

    /// What people can do about it, where that is known.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            NetError::Name { reason, .. } if reason.contains("the proxy") => {
                Some("look at HTTPS_PROXY and HTTP_PROXY; hosts in NO_PROXY are reached without a proxy")
            }
            NetError::Name { .. } => {
                Some("look at the name and at /etc/resolv.conf; where only a proxy knows the way out, set HTTPS_PROXY")
            }
            NetError::Connect(reason) if reason.contains("the proxy") => {
                Some("look at HTTPS_PROXY and HTTP_PROXY; hosts in NO_PROXY are reached without a proxy")
            }
            NetError::Connect(_) => Some("look at host and port; where only a proxy leads out, set HTTPS_PROXY"),
            NetError::Closed(_) => Some("is it started, and is this its port?"),
            NetError::Tls(_) => Some("where the server's authority is one of your own, name it with SSL_CERT_FILE"),
            _ => None,
        }
    }

    /// From the HTTP crate's error, whose own text holds the whole address.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut deepest = String::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
        while let Some(cause) = next {
            if let Some(name) = cause.downcast_ref::<super::dns::NoAddress>() {
                return name.to_error();
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return NetError::Tls(tls.to_string());
            }
            if let Some(tls) = cause.downcast_ref::<io::Error>().and_then(tls_within) {
                return NetError::Tls(tls.to_string());
            }
            deepest = cause.to_string();
            next = cause.source();
        }
        if deepest.is_empty() {
            deepest = "no reason is known".to_owned();
        }
        if deepest.contains("too large") || deepest.contains("invalid HTTP") || deepest.contains("unexpected message") {
            return NetError::Malformed(deepest);
        }
        if deepest.contains("proxy auth") {
            return NetError::Proxy { variable: "HTTP_PROXY or HTTPS_PROXY", reason: deepest };
        }
        if error.is_connect() { NetError::Connect(deepest) } else { NetError::Broken(deepest) }
    }
}

/// The TLS error inside an I/O error, however deep; `source` steps over what an I/O error holds.
fn tls_within(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_within(inner.downcast_ref::<io::Error>()?))
}
