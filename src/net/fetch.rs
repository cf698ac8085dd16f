//! Files from web servers: archives that a recipe names, and what packages come as.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, IF_NONE_MATCH, RANGE};
use url::Url;

use super::{
    Answer, Call, Download, MAX_REDIRECTS, NetError, Network, Ranged, RetryPolicy, Secret, TlsSettings, Tries,
    is_temporary, redact, redirect, retry_after, same_origin,
};
use crate::oci::{Descriptor, Digest, MediaType};
use crate::report::{Phase, Reporter};
use crate::store::{BlobStore, StoreError};

/// A file to get.
#[derive(Clone)]
pub struct Fetch {
    url: Url,
    login: Option<(String, Secret)>,
    /// Where the login was found.
    found: &'static str,
    /// Its digest, where it is pinned.
    pub digest: Option<Digest>,
    /// Its length in bytes, where that is pinned too.
    pub size: Option<u64>,
    /// It must not have more bytes.
    pub limit: u64,
    /// Where there are other places to ask, a request is made at most that often; else as often as the network does.
    pub tries: Option<u32>,
    /// What is accepted, where the server has a choice.
    pub accept: Option<String>,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("url", &self.shown()).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Why a file could not be got.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none, or not http or https.
    #[error("{address:?} is no http or https address")]
    Address {
        /// The address, without what may be secret.
        address: String,
    },
    /// The server said no.
    #[error("GET {url} answered {status} (tried {tries}×{who})")]
    Refused {
        /// The address, redacted.
        url: String,
        /// Its status.
        status: u16,
        /// How often it was asked.
        tries: u32,
        /// Whose login was used, where that may be why; never the login.
        who: String,
    },
    /// There was no answer, or not all of it.
    #[error("GET {url} (tried {tries}×)")]
    Network {
        /// The address, redacted.
        url: String,
        /// How often it was asked.
        tries: u32,
        /// Why.
        source: NetError,
    },
    /// The bytes could not be kept, or are not those that were pinned.
    #[error("keeping {url}")]
    Store {
        /// The address, redacted.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// The bytes are not those that were pinned.
    #[error("{url} has digest {actual}, and {expected} is pinned")]
    Digest {
        /// The address, redacted.
        url: String,
        /// What is pinned.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The server announces another length than the one that is pinned.
    #[error("{url} has {found} bytes, and {expected} are pinned")]
    Length {
        /// The address, redacted.
        url: String,
        /// What is pinned.
        expected: u64,
        /// What is announced.
        found: u64,
    },
    /// A file of this machine cannot be read.
    #[error("reading {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// [`Network::cancel`] was called.
    #[error("interrupted")]
    Cancelled,
}

impl FetchError {
    /// Whether there is no such file there (any more), or none for us: another place may have it.
    pub fn is_absent(&self) -> bool {
        match self {
            FetchError::Refused { status, .. } => matches!(status, 403 | 404 | 410),
            FetchError::File { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
            _ => false,
        }
    }
}

impl FetchError {
    /// What people can do about it, where that is known.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            FetchError::Refused { status: 401, who, .. } if who.contains("without") => {
                Some("a login is taken from .netrc, apt's auth.conf.d, uv's or pip's settings, or the address itself")
            }
            FetchError::Refused { status: 407, .. } => Some("the proxy wants a login: put it into HTTPS_PROXY"),
            FetchError::Network { source, .. } => source.advice(),
            _ => None,
        }
    }
}

impl From<NetError> for FetchError {
    fn from(_: NetError) -> Self {
        FetchError::Cancelled
    }
}

impl Fetch {
    /// A file at that address. A user name and password in it are sent to that server alone, and never shown.
    ///
    /// # Errors
    /// Where it is no http or https address.
    pub fn new(address: &str, limit: u64) -> Result<Self, FetchError> {
        let parsed = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(mut url) = parsed else {
            let shown = address.rsplit('@').next().unwrap_or_default().chars().take(200).collect();
            return Err(FetchError::Address { address: shown });
        };
        let login = take_login(&mut url);
        Ok(Fetch { url, login, found: "the address", digest: None, size: None, limit, tries: None, accept: None })
    }

    /// The same, with a user name and password that are sent to that server alone, and where they were found.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &Secret, found: &'static str) -> Self {
        self.login = Some((user.to_owned(), password.clone()));
        self.found = found;
        self
    }

    /// The same, pinned.
    #[must_use]
    pub fn pinned(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The address, as it is shown.
    pub fn shown(&self) -> String {
        redact::redacted(&self.url)
    }

    /// How often, and how patiently, it is asked for.
    pub(super) fn retry(&self, network: &Network) -> RetryPolicy {
        let usual = network.retry();
        RetryPolicy { tries: self.tries.map_or(usual.tries, |tries| tries.min(usual.tries)), ..usual.clone() }
    }

    /// Keeps what is secret in it out of what servers say.
    pub(super) fn teach(&self, network: &Network) {
        for secret in self.login.iter().flat_map(|(user, password)| redact::secret_forms(user, password)) {
            network.scrubber().learn(&secret);
        }
    }
}

/// Takes user name and password out of an address.
pub(crate) fn take_login(url: &mut Url) -> Option<(String, Secret)> {
    let decoded = |text: &str| {
        let form = format!("a={}", text.replace('+', "%2B").replace('&', "%26"));
        let value = url::form_urlencoded::parse(form.as_bytes()).next();
        value.map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let login = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), Secret::new(decoded(url.password().unwrap_or_default()))));
    // These fail for addresses without a host alone.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    login
}

impl Network {
    /// Gets a file into the store. A connection that breaks is taken up where it broke; wrong bytes are asked for once
    /// more.
    ///
    /// # Errors
    /// [`FetchError`]; then nothing is kept.
    pub fn fetch(&self, what: &Fetch, store: &BlobStore, reporter: &Reporter) -> Result<Descriptor, FetchError> {
        what.teach(self);
        let mut wrong = 0;
        let mut broken = Tries::new(&what.retry(self));
        loop {
            match self.fetch_once(what, store, reporter) {
                Err(FetchError::Digest { .. }) if wrong == 0 => wrong += 1,
                // What cannot be joined is begun anew.
                Err(FetchError::Network { url, source, tries: 1 })
                    if source.is_temporary() && what.digest.is_none() =>
                {
                    let Some(pause) = broken.pause(None) else {
                        return Err(FetchError::Network { url, source, tries: broken.made() });
                    };
                    self.wait(async {
                        tokio::time::sleep(pause).await;
                        Ok::<_, FetchError>(())
                    })?;
                }
                other => return other,
            }
        }
    }

    fn fetch_once(&self, what: &Fetch, store: &BlobStore, reporter: &Reporter) -> Result<Descriptor, FetchError> {
        let kept = |source| FetchError::Store { url: what.shown(), source };
        let mut writer = store.writer().map_err(kept)?;
        let source = Web::new(self, what, reporter);
        let retry = what.retry(self);
        let mut download = match what.size {
            Some(size) if what.digest.is_some() => Download::of_known(source, size, &retry),
            _ => Download::up_to(source, what.limit, what.digest.is_some(), &retry),
        };
        let mut first = self.wait(download.chunk())?;
        let total = download.answer().and_then(Answer::content_length);
        let task = reporter.task(Phase::Download, what.shown(), total);
        while let Some(bytes) = first {
            writer.append(&bytes).map_err(kept)?;
            task.advance(bytes.len() as u64);
            first = self.wait(download.chunk())?;
        }
        let actual = writer.digest();
        if let Some(expected) = what.digest
            && expected != actual
        {
            task.finish("wrong bytes");
            return Err(FetchError::Digest { url: what.shown(), expected, actual });
        }
        let (digest, size) = writer.finish().map_err(kept)?;
        Ok(Descriptor::new(MediaType::Other("application/octet-stream".to_owned()), digest, size))
    }
}

/// A file on a web server.
pub(super) struct Web<'a> {
    pub(super) network: &'a Network,
    pub(super) what: &'a Fetch,
    pub(super) reporter: &'a Reporter,
    /// Encodings that are understood.
    pub(super) encodings: &'static str,
    /// The tag of what is there already: where it is still the same, 304 is an answer.
    pub(super) known: Option<&'a str>,
}

impl<'a> Web<'a> {
    pub(super) fn new(network: &'a Network, what: &'a Fetch, reporter: &'a Reporter) -> Self {
        Web { network, what, reporter, encodings: "identity", known: None }
    }

    /// That there was no answer, or none of any use.
    pub(super) fn broke(&self, source: NetError, tries: u32) -> FetchError {
        let source = match source {
            NetError::Cancelled => return FetchError::Cancelled,
            NetError::Redirect { to, reason } => NetError::Redirect { to: self.network.scrubber().scrub(&to), reason },
            other => other,
        };
        FetchError::Network { url: self.what.shown(), tries, source }
    }

    /// An answer that is not the file.
    fn refusal(&self, answer: &Answer, tries: u32) -> FetchError {
        let who = match (answer.status.as_u16(), &self.what.login) {
            (401 | 403 | 407, Some(_)) => format!(", with the login of {}", self.what.found),
            (401 | 403 | 407, None) => ", without a login".to_owned(),
            _ => String::new(),
        };
        FetchError::Refused { url: self.what.shown(), status: answer.status.as_u16(), tries, who }
    }

    /// Fails where another length is announced than the one that is pinned.
    fn check_length(&self, answer: &Answer) -> Result<(), FetchError> {
        match (self.what.size, answer.content_length()) {
            (Some(expected), Some(found)) if answer.status == StatusCode::OK && expected != found => {
                Err(FetchError::Length { url: self.what.shown(), expected, found })
            }
            _ => Ok(()),
        }
    }

    /// One request, with its redirects.
    async fn ask(&self, offset: u64) -> Result<Answer, NetError> {
        let mut call = Call::new(Method::GET, self.what.url.clone());
        let accept = self.what.accept.as_deref().and_then(|accept| HeaderValue::from_str(accept).ok());
        call.headers.insert(ACCEPT, accept.unwrap_or(HeaderValue::from_static("*/*")));
        call.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(self.encodings));
        if let Some(known) = self.known.and_then(|known| HeaderValue::from_str(known).ok()) {
            call.headers.insert(IF_NONE_MATCH, known);
        }
        if offset > 0 {
            call.headers.insert(
                RANGE,
                HeaderValue::from_str(&format!("bytes={offset}-")).unwrap_or(HeaderValue::from_static("bytes=0-")),
            );
        }
        for _ in 0..=MAX_REDIRECTS {
            call.headers.remove(AUTHORIZATION);
            if let Some((user, password)) = &self.what.login
                && same_origin(&call.url, &self.what.url)
            {
                call.headers.insert(AUTHORIZATION, super::basic(user, password));
            }
            let answer = self.network.client().exchange(&call, &TlsSettings::default()).await?;
            match redirect(&answer.url, &Method::GET, answer.status, &answer.headers)? {
                Some(to) => call.url = to,
                None => return Ok(answer),
            }
        }
        Err(NetError::Redirect { to: redact::redacted(&call.url), reason: "there are more than 10 in a row" })
    }
}

impl Ranged for Web<'_> {
    type Error = FetchError;

    async fn open(&self, offset: u64) -> Result<Answer, FetchError> {
        let mut tries = Tries::new(&self.what.retry(self.network));
        loop {
            let (error, told) = match self.ask(offset).await {
                Ok(answer) => match answer.status {
                    StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                        self.check_length(&answer)?;
                        return Ok(answer);
                    }
                    StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => return Ok(answer),
                    StatusCode::NOT_MODIFIED if self.known.is_some() => return Ok(answer),
                    status if is_temporary(status) => {
                        (self.refusal(&answer, tries.made() + 1), retry_after(&answer.headers))
                    }
                    _ => return Err(self.refusal(&answer, tries.made() + 1)),
                },
                Err(source) => {
                    let temporary = source.is_temporary();
                    if matches!(source, NetError::Closed(_)) {
                        tries.hurry();
                    }
                    let error = self.broke(source, tries.made() + 1);
                    if !temporary {
                        return Err(error);
                    }
                    (error, None)
                }
            };
            match tries.pause(told) {
                Some(pause) => {
                    if tries.is_worth_telling(pause) {
                        let (what, pause) = (self.what.shown(), pause.as_secs_f32());
                        self.reporter.note(format!("{what}: {error}; again in {pause:.1} s"));
                    }
                    tokio::time::sleep(pause).await;
                }
                None => return Err(error),
            }
        }
    }

    fn failed(&self, source: NetError, tries: u32) -> FetchError {
        self.broke(source, tries)
    }

    fn again(&self, error: &NetError, made: u32, limit: u32, pause: Duration) {
        let shown = self.what.shown();
        let pause = pause.as_secs_f32();
        self.reporter.note(format!("{shown}: {error}; going on in {pause:.1} s (try {} of {limit})", made + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_registry::{FakeRegistry, Fault, Setup, on};
    use super::super::{NetworkOptions, Patience, RetryPolicy};
    use super::*;

    struct Bench {
        network: Network,
        store: BlobStore,
        _directory: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let pause = Duration::from_millis(1);
        let options = NetworkOptions {
            retry: RetryPolicy {
                first_pause: pause,
                longest_pause: pause,
                longest_told: pause,
                ..RetryPolicy::default()
            },
            patience: Patience {
                connect: Duration::from_secs(1),
                idle: Duration::from_millis(500),
                ..Patience::default()
            },
            ..NetworkOptions::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        Bench { network: Network::new(&options).unwrap(), store, _directory: directory }
    }

    impl Bench {
        fn fetch(&self, what: &Fetch) -> Result<Descriptor, FetchError> {
            let result = self.network.fetch(what, &self.store, &Reporter::silent());
            assert_eq!(std::fs::read_dir(self.store.tmp()).unwrap().count(), 0);
            result
        }
    }

    fn whole(error: &FetchError) -> String {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    fn file(fake: &FakeRegistry, bytes: &[u8]) -> Fetch {
        let digest = fake.put_blob("files", bytes);
        Fetch::new(&format!("{}/cdn/{digest}?X-Signature=signed", fake.url()), 1 << 20).unwrap()
    }

    #[test]
    fn a_file_arrives_whole_or_not_at_all() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let digest = Digest::of(&bytes);
        let passing = [
            Fault::Status(503, vec![("Retry-After", "5".to_owned())], String::new()),
            Fault::Cut,
            Fault::CutBody(0),
            Fault::CutBody(100_000),
            Fault::StallBody(100_000, Duration::from_secs(2)),
        ];
        for fault in passing {
            for pinned in [true, false] {
                let (fake, bench) = (FakeRegistry::plain(), bench());
                fake.fault(on("GET", "/cdn/").times(2), fault.clone());
                let what = file(&fake, &bytes);
                let what = if pinned { what.pinned(digest) } else { what };
                let found = bench.fetch(&what).unwrap_or_else(|error| panic!("{fault:?} {pinned}: {}", whole(&error)));
                assert_eq!((found.digest, found.size), (digest, 300_000));
                assert!(bench.store.contains(&found));
                let ranges = fake.log().iter().filter(|logged| logged.headers.contains_key("range")).count();
                assert!(pinned || ranges == 0, "what cannot be checked is not joined");
            }
        }
        for (fault, wanted) in [
            (Fault::Flip, "is pinned"),
            (Fault::Twice, "is pinned"),
            (Fault::Endless, "more than 1048576 bytes"),
            (Fault::Status(404, vec![], String::new()), "answered 404 (tried 1×)"),
            (Fault::Status(500, vec![], String::new()), "answered 500 (tried 8×)"),
            (Fault::Cut, "(tried 8×)"),
            (Fault::Status(302, vec![("Location", "ftp://x/".to_owned())], String::new()), "neither http nor https"),
        ] {
            let (fake, bench) = (FakeRegistry::plain(), bench());
            fake.fault(on("GET", "/cdn/").always(), fault.clone());
            let what = file(&fake, &bytes).pinned(digest);
            let error = bench.fetch(&what).unwrap_err();
            assert!(
                whole(&error).contains(wanted) && !whole(&error).contains("signed"),
                "{fault:?}: {}",
                whole(&error)
            );
            assert!(!bench.store.contains(&Descriptor::new(MediaType::Other(String::new()), digest, 300_000)));
        }
        // Wrong once is asked for once more.
        let (fake, bench) = (FakeRegistry::plain(), bench());
        fake.fault(on("GET", "/cdn/"), Fault::Flip);
        assert!(bench.fetch(&file(&fake, &bytes).pinned(digest)).is_ok());
    }

    /// A server that answers each connection with the next of these, and closes it.
    fn scripted(answers: Vec<Vec<u8>>) -> String {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut bytes = [0; 1024];
                while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                    let read = connection.read(&mut bytes).unwrap();
                    asked.extend_from_slice(&bytes[..read]);
                    if read == 0 {
                        break;
                    }
                }
                let _ = connection.write_all(&answer);
            }
        });
        url
    }

    #[test]
    fn a_file_does_not_get_shorter_on_its_way() {
        let mut begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n".to_vec();
        begun.extend([7; 1000]);
        begun.extend(b"\r\n");
        let mut shorter = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n".to_vec();
        shorter.extend([7; 50]);
        let what = Fetch::new(&scripted(vec![begun, shorter]), 1 << 20).unwrap().pinned(Digest::of(b"x"));
        let error = bench().fetch(&what).unwrap_err();
        assert!(whole(&error).contains("50 bytes are announced, and 1000 had come"), "{}", whole(&error));
    }

    #[test]
    fn a_part_is_no_document_and_a_document_may_have_parts() {
        let document = |answer: Vec<u8>| {
            let what = Fetch::new(&scripted(vec![answer]), 1 << 20).unwrap();
            bench().network.document(&what, None, &Reporter::silent())
        };
        let part =
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc".to_vec();
        let error = document(part).unwrap_err();
        assert!(whole(&error).contains("status 206"), "{}", whole(&error));
        let mut members = Vec::new();
        for text in ["abc", "def"] {
            let mut encoder = flate2::write::GzEncoder::new(&mut members, flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        }
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", members.len())
                .into_bytes();
        answer.extend(members);
        let Ok(super::super::Reply::Document { bytes, .. }) = document(answer) else { panic!("no document") };
        assert_eq!(bytes, b"abcdef");
    }

    #[test]
    fn passwords_go_to_their_own_server() {
        let (ours, theirs, bench) = (FakeRegistry::plain(), FakeRegistry::start(Setup::default()), bench());
        let there = file(&theirs, b"x");
        let away = Fault::Status(302, vec![("Location", there.url.to_string())], String::new());
        ours.fault(on("GET", "/file").always(), away);
        let address = format!("http://bob:hunter%2B22+%26@{}/file", ours.name());
        let what = Fetch::new(&address, 10).unwrap();
        assert!(bench.fetch(&what).is_ok());
        assert_eq!(ours.log()[0].headers["authorization"], super::super::basic("bob", &Secret::new("hunter+22+&")));
        assert!(!theirs.log()[0].headers.contains_key("authorization"));
        assert!(!format!("{what:?} {}", what.shown()).contains("hunter"));
        for bad in ["ftp://x/", "x", "/etc/passwd", "http://", "https://bob:hunter22@", "bob:hunter22@x"] {
            let error = Fetch::new(bad, 1).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter22"), "{error}");
        }
    }
}
