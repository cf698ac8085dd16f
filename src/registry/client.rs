//! Asking a registry: authorization, redirects, retries, and nothing about what is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WARNING,
};
use reqwest::{Method, StatusCode};
use tokio::sync::Semaphore;
use url::Url;

use super::auth::{Authorization, Scopes};
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Repository, Scheme};
use super::options::{JOBS, RegistryOptions};
use super::{Refusal, RegistryError, Unanswered};
use crate::net::{
    Answer, Call, MAX_REDIRECTS, NetError, Network, Payload, TlsSettings, Tries, is_over_tls, redacted, redirect,
    retry_after, same_origin,
};
use crate::report::Reporter;
use crate::shown::Shown;

/// What all requests share.
pub(super) struct Core {
    pub(super) network: Network,
    pub(super) options: RegistryOptions,
    pub(super) credentials: Credentials,
    pub(super) reporter: Reporter,
    /// Transfers of blobs take one each.
    pub(super) slots: Semaphore,
    endpoints: Mutex<BTreeMap<String, Arc<Endpoint>>>,
    /// What was said already.
    said: Mutex<BTreeSet<String>>,
}

/// An answer with its whole body.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

/// One thing asked of a registry.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    repository: &'a Repository,
    scopes: Scopes,
    method: Method,
    target: Target,
    headers: HeaderMap,
    payload: Payload,
    /// The statuses that are an answer; all others are refusals.
    good: &'static [u16],
    /// Whether it may be asked again by itself after a failure. Where a failure leaves open what was done, it may not.
    again: bool,
}

#[derive(Clone)]
enum Target {
    /// A path on the registry's server.
    Path(String),
    /// An address that the registry gave.
    Url(Url),
}

impl<'a> Ask<'a> {
    pub(super) fn new(repository: &'a Repository, scopes: Scopes, method: Method, rest: &str) -> Self {
        let mut headers = HeaderMap::new();
        // Bytes as they are stored: digests belong to them.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let target = Target::Path(repository.path_to(rest));
        Ask { repository, scopes, method, target, headers, payload: Payload::None, good: &[200], again: true }
    }

    /// At an address that the registry gave, instead of a path.
    pub(super) fn at(mut self, url: Url) -> Self {
        self.target = Target::Url(url);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub(super) fn good(mut self, good: &'static [u16]) -> Self {
        self.good = good;
        self
    }

    pub(super) fn once(mut self) -> Self {
        self.again = false;
        self
    }
}

impl Core {
    pub(super) fn new(network: Network, options: RegistryOptions, reporter: Reporter) -> Self {
        Core {
            network,
            credentials: Credentials::new(options.credentials.clone(), options.helper_path.clone()),
            reporter,
            slots: Semaphore::new(jobs(&options)),
            endpoints: Mutex::default(),
            said: Mutex::default(),
            options,
        }
    }

    /// Who hears of what is done for an image.
    pub(super) fn reporter_for(&self, image: Option<&str>) -> Reporter {
        image.map_or_else(|| self.reporter.clone(), |image| self.reporter.about(image))
    }

    /// How many things are done at a time.
    pub(super) fn jobs(&self) -> usize {
        jobs(&self.options)
    }

    /// The server of a registry.
    pub(super) fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, RegistryError> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = endpoints.get(name) {
            return Ok(known.clone());
        }
        let endpoint = Arc::new(Endpoint::new(name, &self.options)?);
        endpoints.insert(name.to_owned(), endpoint.clone());
        Ok(endpoint)
    }

    /// A repository of a registry.
    pub(super) fn repository(&self, registry: &str, path: &str) -> Result<Repository, RegistryError> {
        Ok(Repository { endpoint: self.endpoint(registry)?, path: path.to_owned() })
    }

    /// Whom to trust at an address: as its own settings say, where it has some; else as those of who sent us there. Who we are is
    /// told to nobody that another server sends us to.
    pub(super) fn tls(&self, endpoint: &Endpoint, scheme: Scheme, url: &Url) -> TlsSettings {
        match self.own_tls(endpoint, url) {
            Some(own) => TlsSettings { client: None, ..own },
            None => endpoint.tls(scheme, url),
        }
    }

    /// The settings of another server at an address, where it has some.
    pub(super) fn own_tls(&self, endpoint: &Endpoint, url: &Url) -> Option<TlsSettings> {
        let name = &url[url::Position::BeforeHost..url::Position::AfterPort];
        if name != endpoint.authority
            && self.options.registries.contains_key(name)
            && let Ok(other) = self.endpoint(name)
        {
            let scheme = other.schemes().first().copied().filter(|scheme| *scheme == Scheme::Unverified);
            return Some(other.tls(scheme.unwrap_or(Scheme::Https), url));
        }
        None
    }

    /// Asks, with authorization where the registry wants it, and again where that may help. Gives an answer with one of
    /// the good statuses.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, RegistryError> {
        let mut tries = Tries::new(self.network.retry());
        loop {
            let (error, told) = match self.find_scheme(ask).await {
                Ok(answer) if ask.good.contains(&answer.status.as_u16()) => return Ok(answer),
                Ok(answer) => {
                    let told = retry_after(&answer.headers);
                    (self.refusal(ask, answer, tries.made() + 1).await, told)
                }
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Net { url, source }) => (self.network_error(ask, url, tries.made() + 1, source), None),
            };
            if !ask.again || !error.is_temporary() {
                return Err(error);
            }
            if error.is_closed() {
                tries.hurry();
            }
            match tries.pause(told) {
                Some(pause) => self.pause(&error, &tries, pause).await,
                None => return Err(error),
            }
        }
    }

    /// The same, with the whole body, of at most `limit` bytes.
    pub(super) async fn send_for_bytes(&self, ask: &Ask<'_>, limit: u64) -> Result<Whole, RegistryError> {
        let mut tries = Tries::new(self.network.retry());
        loop {
            let answer = self.send(ask).await?;
            let (status, headers, url) = (answer.status, answer.headers.clone(), answer.url.clone());
            let error = match answer.bytes(limit).await {
                Ok(bytes) => return Ok(Whole { status, headers, bytes }),
                Err(source) => self.network_error(ask, redacted(&url), tries.made() + 1, source),
            };
            match error.is_temporary().then(|| tries.pause(None)).flatten() {
                Some(pause) => self.pause(&error, &tries, pause).await,
                None => return Err(error),
            }
        }
    }

    /// Waits before the next try, and says so.
    pub(super) async fn pause(&self, error: &RegistryError, tries: &Tries, pause: Duration) {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let (next, limit) = (tries.made() + 1, tries.limit());
        if tries.is_worth_telling(pause) {
            let pause = pause.as_secs_f32();
            self.reporter.note(format!("{error}{cause}; again in {pause:.1} s (try {next} of {limit})"));
        }
        tokio::time::sleep(pause).await;
    }

    /// An answer that is none of the good ones.
    pub(super) async fn refusal(&self, ask: &Ask<'_>, answer: Answer, tries: u32) -> RegistryError {
        let (endpoint, path) = (&ask.repository.endpoint, &ask.repository.path);
        let who = self.who_asked(ask.repository).await;
        let scrubber = self.network.scrubber();
        let own = endpoint.url(endpoint.scheme(), "").ok();
        let is_own = own.is_some_and(|own| same_origin(&own, &answer.url) || is_over_tls(&answer.url, &own));
        let who = if is_own {
            who
        } else {
            format!("another server, to which {} sent us without credentials", endpoint.name)
        };
        let refusal = Refusal::read(&endpoint.name, &ask.method, answer, tries, who, scrubber).await;
        RegistryError::Refused(Box::new(if is_own { refusal.with_advice(&endpoint.name, path) } else { refusal }))
    }

    /// A failure to get any answer.
    pub(super) fn network_error(&self, ask: &Ask<'_>, url: String, tries: u32, source: NetError) -> RegistryError {
        if matches!(source, NetError::Cancelled) {
            return source.into();
        }
        RegistryError::from(Box::new(Unanswered {
            registry: ask.repository.endpoint.name.clone(),
            method: ask.method.to_string(),
            url: self.network.scrubber().scrub(&url),
            tries,
            source,
        }))
    }

    /// An answer that makes no sense.
    pub(super) fn nonsense(&self, ask: &Ask<'_>, url: &Url, reason: impl Into<String>) -> RegistryError {
        RegistryError::Protocol {
            registry: ask.repository.endpoint.name.clone(),
            method: ask.method.to_string(),
            url: self.network.scrubber().scrub(&redacted(url)),
            reason: reason.into(),
        }
    }

    /// Asks over the scheme that the server answers to; which one that is comes out with the first answer.
    async fn find_scheme(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let endpoint = &ask.repository.endpoint;
        let path = match &ask.target {
            Target::Path(path) => path,
            Target::Url(url) => return self.follow(ask, endpoint.scheme(), url.clone()).await,
        };
        let schemes = endpoint.schemes();
        let (last, others) = schemes.split_last().unwrap_or((&Scheme::Https, &[]));
        let mut first: Option<Result<Answer, Failure>> = None;
        for scheme in others {
            match self.follow(ask, *scheme, endpoint.url(*scheme, path)?).await {
                // So do servers that want TLS answer those who speak none.
                Ok(answer) if *scheme == Scheme::Http && answer.status == StatusCode::BAD_REQUEST => {
                    first = Some(Ok(answer));
                }
                Ok(answer) => {
                    endpoint.confirm(*scheme);
                    return Ok(answer);
                }
                Err(error) if error.may_be_the_scheme() => first = Some(Err(error)),
                Err(error) => return Err(error),
            }
        }
        match (self.follow(ask, *last, endpoint.url(*last, path)?).await, first) {
            // What wants TLS says so without a registry's words; why it could not be asked over TLS says more.
            (Ok(answer), Some(Err(first))) if *last == Scheme::Http && wants_tls(&answer) && !first.is_tls() => {
                Err(first)
            }
            (Ok(answer), _) => {
                endpoint.confirm(*last);
                Ok(answer)
            }
            (Err(error), Some(Ok(answer))) if error.may_be_the_scheme() && !error.is_about_a_certificate() => {
                Ok(answer)
            }
            // That a server speaks no TLS says less than why it could not be asked without; but that its certificate is
            // not trusted says more.
            (Err(error), Some(Err(first))) if !first.is_tls() && !error.is_about_a_certificate() => Err(first),
            (Err(error), _) => Err(error),
        }
    }

    /// One request, with the token it needs and the redirects it meets.
    async fn follow(&self, ask: &Ask<'_>, scheme: Scheme, url: Url) -> Result<Answer, Failure> {
        let endpoint = &ask.repository.endpoint;
        let own = endpoint.url(scheme, "")?;
        let mut call =
            Call { method: ask.method.clone(), url, headers: ask.headers.clone(), payload: ask.payload.clone() };
        // At most one new token a request.
        let mut renewed = false;
        let mut redirects = 0;
        let mut authorization: Option<Authorization> = None;
        loop {
            let failed = |url: &Url, source| Failure::Net { url: redacted(url), source };
            // Credentials are for the registry itself, wherever we were sent.
            let ours = same_origin(&call.url, &own);
            if ours && authorization.is_none() {
                authorization = self.authorization(ask.repository, scheme, &ask.scopes).await?;
            }
            call.headers.remove(AUTHORIZATION);
            if let Some(authorization) = authorization.as_ref().filter(|_| ours) {
                call.headers.insert(AUTHORIZATION, authorization.header.clone());
            }
            let tls = self.tls(endpoint, scheme, &call.url);
            let answer = match self.network.client().exchange(&call, &tls).await {
                Ok(answer) => answer,
                Err(error) => return Err(failed(&call.url, error)),
            };
            self.hear_warnings(endpoint, &answer.headers);
            if answer.status == StatusCode::UNAUTHORIZED && ours && !renewed {
                renewed = true;
                let found = self
                    .challenged(ask.repository, scheme, &ask.scopes, authorization.as_ref(), &answer.headers)
                    .await?;
                if found.is_some() {
                    authorization = found;
                    continue;
                }
            }
            match redirect(&answer.url, &call.method, answer.status, &answer.headers) {
                Ok(Some(to)) => {
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        let reason = "there are more than 10 in a row";
                        return Err(failed(&call.url, NetError::Redirect { to: redacted(&to), reason }));
                    }
                    let reads = call.method == Method::GET || call.method == Method::HEAD;
                    let is_own = same_origin(&to, &call.url) || same_origin(&to, &own) || is_over_tls(&to, &call.url);
                    if !reads && !is_own {
                        let reason = "what writes is sent to no other server";
                        return Err(failed(&call.url, NetError::Redirect { to: redacted(&to), reason }));
                    }
                    call.url = to;
                }
                Ok(None) => return Ok(answer),
                Err(error) => return Err(failed(&call.url, error)),
            }
        }
    }

    /// Passes on what a registry has to say beside its answers (distribution-spec, "Warnings").
    fn hear_warnings(&self, endpoint: &Endpoint, headers: &HeaderMap) {
        for value in headers.get_all(WARNING) {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let Some(rest) = text.strip_prefix("299 ") else { continue };
            let words = rest.split_once('"').map_or(rest, |(_, words)| words.trim_end().trim_end_matches('"'));
            let words = self.network.scrubber().scrub(words);
            self.warn_once(&format!("{} says {}", endpoint.name, Shown::new(words.as_bytes())));
        }
    }

    /// Warns, of the same thing once, and of not too many.
    pub(super) fn warn_once(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < 100 && said.insert(text.to_owned()) {
            drop(said);
            self.reporter.warn(text);
        }
    }
}

/// Whether so answers a server that wants TLS, to one who speaks none: not as registries refuse.
fn wants_tls(answer: &Answer) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status == StatusCode::BAD_REQUEST && !kind.contains("json")
}

fn jobs(options: &RegistryOptions) -> usize {
    options.jobs.unwrap_or(JOBS).clamp(1, 256)
}

/// Why a single request failed.
enum Failure {
    Net {
        /// The address, redacted.
        url: String,
        source: NetError,
    },
    Other(RegistryError),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Failure::Other(error)
    }
}

impl Failure {
    /// Whether it may mean that the server does not speak that scheme.
    fn may_be_the_scheme(&self) -> bool {
        use NetError::{Broken, Closed, Connect, Malformed, Tls};
        matches!(self, Failure::Net { source: Tls(_) | Connect(_) | Closed(_) | Broken(_) | Malformed(_), .. })
    }

    fn is_about_a_certificate(&self) -> bool {
        matches!(self, Failure::Net { source: NetError::Tls(reason), .. } if reason.contains("certificate"))
    }

    fn is_tls(&self) -> bool {
        matches!(self, Failure::Net { source: NetError::Tls(_), .. })
    }
}
