//! The network as the rest of the program has it: one value, whose calls block.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::client::Client;
use super::redact::Scrubber;
use super::{NameFiles, NetError, Patience, ProxySettings, RetryPolicy, RootSettings};

/// How the network is used. Nothing is read from the environment: whoever starts the program hands it in.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Proxies.
    pub proxies: ProxySettings,
    /// Root certificates beside those of the machine.
    pub roots: RootSettings,
    /// Where names are looked up.
    pub names: NameFiles,
    /// How often a failed request is made again.
    pub retry: RetryPolicy,
    /// How long is waited for what.
    pub patience: Patience,
    /// What we call ourselves.
    pub user_agent: String,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        NetworkOptions {
            proxies: ProxySettings::default(),
            roots: RootSettings::default(),
            names: NameFiles::default(),
            retry: RetryPolicy::default(),
            patience: Patience::default(),
            user_agent: concat!("lapstrake/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Connections, and the few threads that look after them. Cheap to clone; the last clone ends it all.
///
/// Its calls block, and must not be made from asynchronous code.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    retry: RetryPolicy,
    cancelled: watch::Sender<bool>,
    scrubber: Scrubber,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Waits for nothing, and so does not panic wherever it happens.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl Network {
    /// Starts it. No connection is made, and no certificate read, before the first request.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn new(options: &NetworkOptions) -> Result<Self, NetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(NetError::Start)?;
        let scrubber = Scrubber::default();
        for secret in options.proxies.secrets() {
            scrubber.learn(&secret);
        }
        Ok(Network {
            inner: Arc::new(Inner {
                runtime: Some(runtime),
                client: Client::new(options),
                retry: options.retry.clone(),
                cancelled: watch::Sender::new(false),
                scrubber,
            }),
        })
    }

    /// Ends every call under way and to come with [`NetError::Cancelled`].
    pub fn cancel(&self) {
        self.inner.cancelled.send_replace(true);
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.inner.retry
    }

    pub(crate) fn scrubber(&self) -> &Scrubber {
        &self.inner.scrubber
    }

    /// Waits for something, or for [`Network::cancel`].
    pub(crate) fn wait<T, E: From<NetError>>(&self, what: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some(runtime) = &self.inner.runtime else { return Err(NetError::Cancelled.into()) };
        let mut cancelled = self.inner.cancelled.subscribe();
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = cancelled.wait_for(|cancelled| *cancelled) => Err(NetError::Cancelled.into()),
                done = what => done,
            }
        })
    }
}
