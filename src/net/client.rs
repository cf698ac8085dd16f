//! One request, one answer: over the right proxy, with the right trust, and never waiting for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::dns::{Lookup, Names};
use super::payload::{Activity, Payload};
use super::tls::{Roots, TlsSettings};
use super::{NetError, NetworkOptions, ProxySettings};

/// How long is waited for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the next byte, while there should be some.
    pub idle: Duration,
    /// For the answer to a large blob that went out whole, in one request or in several: registries check and move it before
    /// they answer.
    pub commit: Duration,
    /// How slowly a body may come.
    pub least: Least,
    /// Bytes that the slowest line carries in a second: what was handed over last is waited for as long, since connections and
    /// the kernel hold up to a megabyte of it.
    pub line: u64,
}

/// The least that must come of a body: fewer bytes in so long a time count as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// So many bytes.
    pub bytes: u64,
    /// While they were waited for as long as that.
    pub within: Duration,
}

/// A blob of more bytes is large. One of fewer is not waited for long: whether the registry has it is asked again.
const LARGE: u64 = 1 << 20;

impl Default for Least {
    fn default() -> Self {
        // Slower than any line, and patient with proxies that let a little through while they look at the rest.
        Least { bytes: 8 << 10, within: Duration::from_secs(120) }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(30),
            commit: Duration::from_secs(300),
            least: Least::default(),
            line: 8 << 10,
        }
    }
}

/// One request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Call { method, url, headers: HeaderMap::new(), payload: Payload::None }
    }
}

/// What came back: the head, and the body as it comes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The address that answered.
    pub(crate) url: Url,
    response: reqwest::Response,
    idle: Duration,
    pace: Pace,
}

/// How fast a body comes, by the time that is spent waiting for it: whoever reads slowly is not held against the server.
struct Pace {
    least: Least,
    waited: Duration,
    came: u64,
}

impl Pace {
    fn new(least: Least) -> Self {
        Pace { least, waited: Duration::ZERO, came: 0 }
    }

    /// So much came after so long.
    fn note(&mut self, waited: Duration, bytes: u64) -> Result<(), NetError> {
        self.waited += waited;
        self.came += bytes;
        if self.waited < self.least.within {
            return Ok(());
        }
        let done = std::mem::replace(self, Pace::new(self.least));
        match done.came < done.least.bytes {
            true => Err(NetError::TooSlow { bytes: done.came, within: done.waited }),
            false => Ok(()),
        }
    }
}

impl Answer {
    /// The next bytes of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, NetError> {
        let begun = Instant::now();
        match timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                self.pace.note(begun.elapsed(), chunk.len() as u64)?;
                Ok(Some(chunk))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(match NetError::of(&error) {
                NetError::Connect(reason) | NetError::Malformed(reason) => NetError::Broken(reason),
                other => other,
            }),
            Err(_) => Err(NetError::Stalled { after: self.idle, doing: "reading an answer" }),
        }
    }

    /// The whole body, of at most `limit` bytes.
    pub(crate) async fn bytes(mut self, limit: u64) -> Result<Vec<u8>, NetError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(NetError::TooLong { limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// As much of the body as comes, of at most `limit` bytes: for the text of an error, which may be cut off.
    pub(crate) async fn some_bytes(&mut self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(limit - bytes.len())]);
            if bytes.len() == limit {
                break;
            }
        }
        bytes
    }

    /// The length that the head announces, where it does.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
    }
}

/// Makes requests. Connections are kept and used again.
pub(crate) struct Client {
    roots: Roots,
    proxies: ProxySettings,
    names: Arc<Names>,
    user_agent: String,
    patience: Patience,
    pools: Mutex<BTreeMap<PoolKey, reqwest::Client>>,
}

/// What connections have in common that may be used for one another's requests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct PoolKey {
    /// `None` where no TLS is spoken at all.
    tls: Option<TlsSettings>,
    proxy: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("proxies", &self.proxies)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(options: &NetworkOptions) -> Self {
        Client {
            roots: Roots::new(options.roots.clone()),
            proxies: options.proxies.clone(),
            names: Names::new(options.names.clone()),
            user_agent: options.user_agent.clone(),
            patience: options.patience.clone(),
            pools: Mutex::default(),
        }
    }

    /// The HTTP client for one kind of connection. None follows redirects, decodes bodies, keeps cookies or reads the
    /// environment: all of that would be done behind the back of those who know what is a secret.
    fn pool(&self, url: &Url, tls: &TlsSettings) -> Result<reqwest::Client, NetError> {
        let proxy = self.proxies.for_url(url);
        let plain = url.scheme() == "http" && proxy.is_none_or(|proxy| proxy.scheme() == "http");
        let key = PoolKey { tls: (!plain).then(|| tls.clone()), proxy: proxy.map(Url::to_string) };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return Ok(pool.clone());
        }
        let config = if plain { Roots::nobody()? } else { self.roots.config(tls)? };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .user_agent(&self.user_agent)
            // One connection a transfer: with HTTP/2 all of them share one window, which some registries keep small.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Lookup(self.names.clone())))
            .connect_timeout(self.patience.connect)
            .pool_idle_timeout(Duration::from_secs(15))
            .tcp_keepalive(Duration::from_secs(30));
        if let Some(proxy) = proxy {
            let wrong =
                |_| NetError::Proxy { variable: "HTTP_PROXY or HTTPS_PROXY", reason: "it is refused".to_owned() };
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(wrong)?);
        }
        let pool = builder.build().map_err(|error| NetError::of(&error))?;
        pools.insert(key, pool.clone());
        Ok(pool)
    }

    /// Sends one request and waits for the head of its answer, whatever its status. An answer that comes before the
    /// request has gone out whole is an answer.
    pub(crate) async fn exchange(&self, call: &Call, tls: &TlsSettings) -> Result<Answer, NetError> {
        let length = call.payload.len();
        let activity = Activity::new(length);
        let mut request = reqwest::Request::new(call.method.clone(), call.url.clone());
        *request.headers_mut() = call.headers.clone();
        if call.method != Method::GET && call.method != Method::HEAD {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if length > 0 {
            *request.body_mut() = Some(call.payload.body(&activity));
        }
        let sending = self.pool(&call.url, tls)?.execute(request);
        tokio::pin!(sending);
        let large = match &call.payload {
            Payload::Part { length, .. } => *length > LARGE,
            // What came in chunks is put together.
            Payload::None => call.method == Method::PUT,
            Payload::Bytes(_) => false,
        };
        // What was handed over last may still be going out.
        let on_its_way = Duration::from_secs(length.min(LARGE) / self.patience.line.max(1));
        let allowed = || {
            let (allowed, doing) = match (activity.all_sent(), large) {
                (false, _) => (self.patience.idle + on_its_way, "sending"),
                (true, true) => (self.patience.commit, "waiting for the answer to an upload"),
                (true, false) => (self.patience.idle + on_its_way, "waiting for an answer"),
            };
            // Until the first byte goes out, a connection may still be on its way.
            (if activity.begun_sending() { allowed } else { allowed + self.patience.connect }, doing)
        };
        loop {
            tokio::select! {
                // An answer that is there counts, whoever kept this thread from looking.
                biased;
                answer = &mut sending => {
                    // A file that changed under our hands is not the network's fault.
                    if let Some(error) = activity.failure() {
                        return Err(NetError::Content(error));
                    }
                    let response = answer.map_err(|error| if error.is_timeout() {
                        NetError::Stalled { after: self.patience.connect, doing: "connecting" }
                    } else {
                        NetError::of(&error).on_the_way_to(&call.url, self.proxies.for_url(&call.url))
                    })?;
                    return Ok(Answer {
                        status: response.status(),
                        headers: response.headers().clone(),
                        url: call.url.clone(),
                        response,
                        idle: self.patience.idle,
                        pace: Pace::new(self.patience.least),
                    });
                }
                () = tokio::time::sleep_until(activity.last() + allowed().0) => {
                    let (allowed, doing) = allowed();
                    if activity.last() + allowed <= Instant::now() {
                        return Err(NetError::Stalled { after: allowed, doing });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_slowly_is_told_and_waiting_alone_counts() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Least { bytes: 100, within: 10 * second });
        // A fast start does not pay for what comes after it.
        assert!((0..9).all(|_| pace.note(second, 1000).is_ok()));
        assert!(pace.note(second, 0).is_ok());
        assert!((0..9).all(|_| pace.note(second, 11).is_ok()));
        assert!(matches!(pace.note(second, 0), Err(NetError::TooSlow { bytes: 99, .. })));
        assert!((0..1000).all(|_| pace.note(Duration::ZERO, 0).is_ok()));
        assert!((0..100).all(|_| pace.note(second, 10).is_ok()));
    }
}
