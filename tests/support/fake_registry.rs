//! A registry for tests: HTTP/1.1 on loopback, in threads, a little stricter than real ones, with faults on demand.
//!
//! Included by path from the unit tests and by `mod support` from the integration tests; it uses no code of the program
//! that it tests.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const ACCEPTS: [&str; 4] = [
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// How the registry asks who is there.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    #[default]
    None,
    Basic,
    /// Tokens from `/token` of this server, or of another one.
    Bearer {
        realm: Option<String>,
    },
}

/// What the registry does when asked to mount.
#[derive(Clone, Debug, Default)]
pub enum Mounts {
    #[default]
    Work,
    /// Answers 202, as the specification allows.
    Ignored,
    /// Answers that.
    Refused(u16),
}

/// How `Location` is written for uploads.
#[derive(Clone, Debug, Default)]
pub enum Locations {
    #[default]
    Absolute,
    Relative,
    /// With `http://`, whatever is spoken.
    Downgraded,
    /// The upload goes on at another server of this kind.
    Elsewhere(String),
    /// By another name of the same server, where the address is all the credentials that it takes.
    OtherName,
    Missing,
}

/// Everything that can be set before it starts.
#[derive(Clone, Default)]
pub struct Setup {
    pub auth: Auth,
    pub user: String,
    pub password: String,
    /// What the token server takes instead of a password.
    pub identity_token: Option<String>,
    /// Whether reading needs no credentials.
    pub anonymous_pull: bool,
    /// A token is good for so many requests.
    pub token_uses: Option<usize>,
    /// Repositories whose scope makes the token server refuse the whole token.
    pub denied_scopes: Vec<String>,
    /// Whether the token server only knows POST.
    pub only_post_tokens: bool,
    pub mounts: Mounts,
    pub locations: Locations,
    /// Answered with 413 above.
    pub max_body: Option<usize>,
    /// `OCI-Chunk-Min-Length`.
    pub min_chunk: Option<usize>,
    /// The status of a PATCH; 202 otherwise.
    pub patch_status: Option<u16>,
    /// A PUT with a body is answered with 405.
    pub no_whole_put: bool,
    /// Ranges are ignored.
    pub no_ranges: bool,
    /// `Docker-Content-Digest` is left out.
    pub no_digest_header: bool,
    /// HEAD is answered with 405.
    pub no_head: bool,
    /// The address of another server of this kind that blobs are read from.
    pub blobs_at: Option<String>,
    /// Repositories that exist; all do where none is named.
    pub repositories: Option<Vec<String>>,
    /// Whether it knows what refers to what, and says so.
    pub referrers: bool,
    /// Tags do not move.
    pub immutable_tags: bool,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Seed, and percent of requests that meet a passing fault.
    pub random_faults: Option<(u64, u64)>,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done, and that is answered, with these headers and that body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// It is done, but that is answered.
    StatusAfter(u16),
    /// Nothing is done, and the connection ends.
    Cut,
    /// It is done, and the connection ends without an answer.
    CutAfter,
    /// The connection ends before the body was read.
    CutEarly,
    /// That is answered before the body was read; then the connection ends.
    EarlyStatus(u16),
    /// The head of the right answer, and so many bytes of its body.
    CutBody(usize),
    /// One byte of the answer's body is another.
    Flip,
    /// The answer's body stands there twice.
    Twice,
    /// The answer's body lacks its last byte.
    Short,
    /// The body never ends.
    Endless,
    /// The head never ends.
    HeaderBomb,
    /// A pause before the answer.
    Stall(Duration),
    /// So many bytes of the body, and a pause.
    StallBody(usize, Duration),
    /// So many bytes of the body at a time, with a pause after each: slow, but never still for long.
    Trickle(usize, Duration),
    /// The body is not read for that long; then the connection ends.
    Deaf(Duration),
    /// The body is read so many bytes at a time, with a pause after each.
    Sip(usize, Duration),
    /// A header of the right answer is another; empty: none.
    Header(&'static str, String),
    /// The body is compressed on its way.
    Gzip,
    /// The upload session is gone.
    LoseSession,
    /// The blob is taken, and lost.
    LoseBlob,
}

/// Which requests meet a fault.
#[derive(Clone, Debug)]
pub struct When {
    method: &'static str,
    part: String,
    skip: usize,
    times: usize,
}

/// The first request with that method whose path and query contain `part`.
pub fn on(method: &'static str, part: &str) -> When {
    When { method, part: part.to_owned(), skip: 0, times: 1 }
}

impl When {
    pub fn skip(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Logged {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: usize,
    /// What was answered; 0 where nothing was.
    pub status: u16,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Upload>,
    tokens: BTreeMap<String, Issued>,
    faults: Vec<(When, Fault)>,
    log: Vec<Logged>,
    violations: Vec<String>,
    counter: u64,
    random: u64,
}

#[derive(Default)]
struct Repository {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
}

struct Upload {
    repository: String,
    bytes: Vec<u8>,
    state: u64,
    patches: usize,
}

struct Issued {
    scopes: BTreeSet<String>,
    uses: Option<usize>,
}

struct Shared {
    setup: Setup,
    address: SocketAddr,
    state: Mutex<State>,
    stop: AtomicBool,
}

/// The registry; it ends when it is dropped.
pub struct FakeRegistry {
    shared: Arc<Shared>,
}

pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl FakeRegistry {
    pub fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let random = setup.random_faults.map_or(1, |(seed, _)| seed | 1);
        let state = Mutex::new(State { random, ..State::default() });
        let shared = Arc::new(Shared { setup, address, state, stop: AtomicBool::new(false) });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stop.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = serving.clone();
                thread::spawn(move || {
                    let _ = shared.serve(stream);
                });
            }
        });
        FakeRegistry { shared }
    }

    /// A registry without any peculiarity.
    pub fn plain() -> Self {
        Self::start(Setup::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// As in references: `127.0.0.1:PORT`.
    pub fn name(&self) -> String {
        self.shared.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// With scheme.
    pub fn url(&self) -> String {
        self.shared.base()
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        self.state()
            .repositories
            .entry(repository.to_owned())
            .or_default()
            .blobs
            .insert(digest.clone(), bytes.to_vec());
        digest
    }

    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let mut state = self.state();
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (media_type.to_owned(), bytes.to_vec()));
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.state().repositories.get(repository)?.blobs.get(digest).cloned()
    }

    pub fn remove_blob(&self, repository: &str, digest: &str) {
        if let Some(repository) = self.state().repositories.get_mut(repository) {
            repository.blobs.remove(digest);
        }
    }

    pub fn manifest(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.state().repositories.get(repository)?.manifests.get(digest).map(|(_, bytes)| bytes.clone())
    }

    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.state().repositories.get(repository)?.tags.get(tag).cloned()
    }

    pub fn tags(&self) -> usize {
        self.state().repositories.values().map(|repository| repository.tags.len()).sum()
    }

    /// Plans a fault. Of several that fit a request, the first one planned comes first.
    pub fn fault(&self, when: When, fault: Fault) {
        self.state().faults.push((when, fault));
    }

    pub fn log(&self) -> Vec<Logged> {
        self.state().log.clone()
    }

    pub fn clear_log(&self) {
        self.state().log.clear();
    }

    /// How many requests had that method, and that part in path or query.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.log().iter().filter(|logged| logged.method == method && logged.target.contains(part)).count()
    }

    /// Every request as `METHOD target status`, without the address's changing parts.
    pub fn lines(&self) -> Vec<String> {
        self.log().iter().map(|logged| format!("{} {} {}", logged.method, logged.target, logged.status)).collect()
    }

    /// What the client did that a stricter registry would not have.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.shared.address);
    }
}

struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    fn new(status: u16) -> Self {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value.into());
        self
    }

    fn set(&mut self, name: &str, value: String) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value));
        }
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

fn error(status: u16, code: &str, detail: Value) -> Response {
    let body =
        json!({"errors": [{"code": code, "message": format!("the fake registry says {code}"), "detail": detail}]});
    Response::new(status).with("Content-Type", "application/json").body(body.to_string())
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn base(&self) -> String {
        let scheme = if self.setup.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        match &self.setup.tls {
            None => {
                let mut peek = [0];
                // What a server says to a client that begins with TLS is nothing.
                if stream.peek(&mut peek)? == 1 && peek[0] == 22 {
                    return Ok(());
                }
                let mut stream = stream;
                while self.one(&mut stream)? {}
            }
            Some(config) => {
                let mut peek = [0];
                if stream.peek(&mut peek)? == 1 && peek[0] != 22 {
                    // As Go's servers do it.
                    let mut stream = stream;
                    let text = "Client sent an HTTP request to an HTTPS server.\n";
                    return write!(stream, "HTTP/1.0 400 Bad Request\r\n\r\n{text}");
                }
                let session = rustls::ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(session, stream);
                while self.one(&mut stream)? {}
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
        Ok(())
    }

    /// Serves one request. Gives whether there may be another one on the connection.
    fn one(&self, stream: &mut dyn Connection) -> io::Result<bool> {
        let Some(mut request) = read_head(stream)? else { return Ok(false) };
        let fault = self.plan(&request);
        match &fault {
            Some(Fault::CutEarly) => {
                self.note(&request, 0);
                return Ok(false);
            }
            Some(Fault::Deaf(time)) => {
                self.note(&request, 0);
                thread::sleep(*time);
                return Ok(false);
            }
            Some(Fault::Sip(bytes, pause)) => {
                self.note(&request, 0);
                let mut sip = vec![0; *bytes];
                while !self.stop.load(Ordering::Relaxed) && stream.read(&mut sip)? > 0 {
                    thread::sleep(*pause);
                }
                return Ok(false);
            }
            Some(Fault::EarlyStatus(status)) => {
                self.note(&request, *status);
                write!(stream, "HTTP/1.1 {status} Early\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")?;
                stream.flush()?;
                // Long enough for the answer to be read before the connection breaks.
                thread::sleep(Duration::from_millis(100));
                return Ok(false);
            }
            _ => {}
        }
        if !read_body(stream, &mut request)? {
            let answer = self.violation(&request, "a body of no announced length").body("length required");
            self.note(&request, 411);
            self.write(stream, &request, answer, None)?;
            return Ok(false);
        }
        match &fault {
            Some(Fault::Cut) => {
                self.note(&request, 0);
                return Ok(false);
            }
            Some(Fault::Status(status, headers, body)) => {
                let mut answer = Response::new(*status).body(body.clone());
                for (name, value) in headers {
                    answer.headers.push(((*name).to_owned(), value.clone()));
                }
                self.note(&request, *status);
                return self.write(stream, &request, answer, None);
            }
            Some(Fault::LoseSession) => {
                if let Some(id) = request.path.rsplit('/').next() {
                    self.lock().uploads.remove(id);
                }
            }
            Some(Fault::Stall(time)) => thread::sleep(*time),
            _ => {}
        }
        let mut answer = self.answer(&request);
        if let Some(Fault::LoseBlob) = &fault {
            let digest = request.query("digest").unwrap_or_default().to_owned();
            for repository in self.lock().repositories.values_mut() {
                repository.blobs.remove(&digest);
            }
        }
        match &fault {
            Some(Fault::CutAfter) => {
                self.note(&request, 0);
                return Ok(false);
            }
            Some(Fault::StatusAfter(status)) => answer = error(*status, "UNKNOWN", Value::Null),
            Some(Fault::Flip) => {
                if let Some(byte) = answer.body.first_mut() {
                    *byte ^= 1;
                }
            }
            Some(Fault::Twice) => answer.body = answer.body.repeat(2),
            Some(Fault::Short) => {
                answer.body.pop();
            }
            Some(Fault::Header(name, value)) => answer.set(name, value.clone()),
            Some(Fault::Gzip) => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&answer.body)?;
                answer.body = encoder.finish()?;
                answer.set("Content-Encoding", "gzip".to_owned());
            }
            _ => {}
        }
        self.note(&request, answer.status);
        self.write(stream, &request, answer, fault)
    }

    fn note(&self, request: &Request, status: u16) {
        self.lock().log.push(Logged {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.len(),
            status,
        });
    }

    fn plan(&self, request: &Request) -> Option<Fault> {
        let mut state = self.lock();
        for (when, fault) in &mut state.faults {
            if when.times == 0 || when.method != request.method || !request.target.contains(&when.part) {
                continue;
            }
            if when.skip > 0 {
                when.skip -= 1;
                continue;
            }
            when.times = when.times.saturating_sub(usize::from(when.times != usize::MAX));
            return Some(fault.clone());
        }
        let (_, percent) = self.setup.random_faults?;
        let mut draw = |below: u64| {
            state.random ^= state.random >> 12;
            state.random ^= state.random << 25;
            state.random ^= state.random >> 27;
            (state.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
        };
        if draw(100) >= percent {
            return None;
        }
        Some(match draw(10) {
            0 => Fault::Status(500, Vec::new(), String::new()),
            1 => Fault::Status(503, vec![("Retry-After", "0".to_owned())], "busy".to_owned()),
            2 => Fault::Status(429, Vec::new(), r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#.to_owned()),
            3 => Fault::StatusAfter(502),
            4 => Fault::Cut,
            5 => Fault::CutAfter,
            6 => Fault::CutEarly,
            7 => Fault::EarlyStatus(504),
            8 => Fault::CutBody(3),
            _ => Fault::Status(504, Vec::new(), "<html>".to_owned()),
        })
    }

    fn write(
        &self,
        stream: &mut dyn Connection,
        request: &Request,
        mut answer: Response,
        fault: Option<Fault>,
    ) -> io::Result<bool> {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", answer.status);
        let length = answer.body.len().to_string();
        if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            && !matches!(fault, Some(Fault::Endless))
            && answer.status != 204
        {
            answer.headers.push(("Content-Length".to_owned(), length));
        }
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(Fault::HeaderBomb) = fault {
            stream.write_all(head.as_bytes())?;
            for number in 0..1_000_000 {
                stream.write_all(format!("X-Bomb-{number}: {}\r\n", "x".repeat(1000)).as_bytes())?;
            }
            return Ok(false);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            stream.flush()?;
            return Ok(true);
        }
        match fault {
            Some(Fault::CutBody(bytes)) => {
                stream.write_all(&answer.body[..bytes.min(answer.body.len())])?;
                stream.flush()?;
                return Ok(false);
            }
            Some(Fault::StallBody(bytes, time)) => {
                let (first, rest) = answer.body.split_at(bytes.min(answer.body.len()));
                stream.write_all(first)?;
                stream.flush()?;
                thread::sleep(time);
                stream.write_all(rest)?;
            }
            Some(Fault::Trickle(bytes, time)) => {
                for piece in answer.body.chunks(bytes) {
                    stream.write_all(piece)?;
                    stream.flush()?;
                    thread::sleep(time);
                }
            }
            Some(Fault::Endless) => {
                // Until the client has had enough.
                loop {
                    stream.write_all(&answer.body)?;
                    stream.write_all(&[0; 4096])?;
                }
            }
            _ => stream.write_all(&answer.body)?,
        }
        stream.flush()?;
        Ok(true)
    }

    /// Remembers what a client did wrong.
    fn violation(&self, request: &Request, what: &str) -> Response {
        self.lock().violations.push(format!("{} {}: {what}", request.method, request.target));
        error(400, "UNSUPPORTED", json!(what))
    }

    fn answer(&self, request: &Request) -> Response {
        for header in ["host", "user-agent"] {
            if request.header(header).is_none() {
                return self.violation(request, &format!("no {header}"));
            }
        }
        if request.header("cookie").is_some() {
            return self.violation(request, "a cookie");
        }
        if request.header("accept-encoding").is_some_and(|found| found != "identity") {
            return self.violation(request, "an encoding is accepted");
        }
        if matches!(request.method.as_str(), "PUT" | "POST" | "PATCH") && request.header("content-length").is_none() {
            return self.violation(request, "no Content-Length");
        }
        if request.path == "/token" {
            return self.token(request);
        }
        if let Some(digest) = request.path.strip_prefix("/cdn/") {
            return self.cdn(request, digest);
        }
        let Some(rest) = request.path.strip_prefix("/v2/") else {
            return Response::new(404).body("404 page not found\n");
        };
        let split = ["/manifests/", "/blobs/"].iter().find_map(|kind| {
            let at = rest.rfind(kind)?;
            Some((&rest[..at], &kind[1..kind.len() - 1], &rest[at + kind.len()..]))
        });
        // `blobs/uploads/ID` holds two of them.
        let split = match rest.find("/blobs/uploads/") {
            Some(at) => Some((&rest[..at], "uploads", &rest[at + "/blobs/uploads/".len()..])),
            None => split,
        };
        let Some((repository, kind, name)) = split else { return Response::new(404) };
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        if let Some(refused) = self.authorize(request, repository, if reads { "pull" } else { "push" }) {
            return refused;
        }
        if let Some(known) = &self.setup.repositories
            && !known.iter().any(|known| known == repository)
        {
            return error(404, "NAME_UNKNOWN", json!({"name": repository}));
        }
        if request.method == "HEAD" && self.setup.no_head {
            return Response::new(405);
        }
        match (kind, request.method.as_str()) {
            ("manifests", "GET" | "HEAD") => self.get_manifest(request, repository, name),
            ("manifests", "PUT") => self.receive_manifest(request, repository, name),
            ("blobs", "GET" | "HEAD") => self.get_blob(request, repository, name),
            ("uploads", "POST") => self.begin_upload(request, repository),
            ("uploads", "PATCH" | "PUT") => self.go_on_with_upload(request, repository, name),
            _ => Response::new(405),
        }
    }

    // --- who is there ---

    fn password_is_right(&self, request: &Request) -> Option<bool> {
        let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
        let wanted = format!("{}:{}", self.setup.user, self.setup.password);
        Some(base64::engine::general_purpose::STANDARD.encode(wanted) == encoded)
    }

    fn challenge(&self, repository: &str, action: &str) -> Response {
        let actions = if action == "push" { "pull,push" } else { "pull" };
        let challenge = match &self.setup.auth {
            Auth::None => return Response::new(401),
            Auth::Basic => "Basic realm=\"a, realm\"".to_owned(),
            Auth::Bearer { realm } => {
                let realm = realm.clone().unwrap_or_else(|| format!("{}/token", self.base()));
                format!(
                    "Bearer realm=\"{realm}\",service=\"fake, \\\"service\\\"\",scope=\"repository:{repository}:{actions}\""
                )
            }
        };
        error(401, "UNAUTHORIZED", Value::Null).with("WWW-Authenticate", challenge)
    }

    fn authorize(&self, request: &Request, repository: &str, action: &str) -> Option<Response> {
        if matches!(self.setup.locations, Locations::OtherName)
            && request.header("host").is_some_and(|host| host.starts_with("localhost"))
        {
            request.header("authorization")?;
            return Some(self.violation(request, "credentials of another server"));
        }
        match &self.setup.auth {
            Auth::None => {
                request.header("authorization")?;
                Some(self.violation(request, "credentials that nobody asked for"))
            }
            _ if self.setup.anonymous_pull && action == "pull" && request.header("authorization").is_none() => None,
            Auth::Basic => match self.password_is_right(request) {
                Some(true) => None,
                _ => Some(self.challenge(repository, action)),
            },
            Auth::Bearer { .. } => {
                let token = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
                let mut state = self.lock();
                let good = token.and_then(|token| state.tokens.get_mut(token)).is_some_and(|issued| {
                    let scope = |action: &str| issued.scopes.contains(&format!("{repository}:{action}"));
                    let fits = scope(action)
                        && request.query("from").is_none_or(|from| issued.scopes.contains(&format!("{from}:pull")));
                    let left = issued.uses != Some(0);
                    if fits && left {
                        issued.uses = issued.uses.map(|uses| uses - 1);
                    }
                    fits && left
                });
                drop(state);
                if good { None } else { Some(self.challenge(repository, action)) }
            }
        }
    }

    fn token(&self, request: &Request) -> Response {
        let form: Vec<(String, String)> = match request.method.as_str() {
            "GET" if self.setup.only_post_tokens => return Response::new(405),
            "GET" => request.query.clone(),
            "POST" => parse_query(&String::from_utf8_lossy(&request.body)),
            _ => return Response::new(405),
        };
        let get = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if get("service") != Some("fake, \"service\"") {
            return self.violation(request, "the service is another one");
        }
        let known = if request.method == "GET" {
            self.password_is_right(request)
        } else {
            Some(match get("grant_type") {
                Some("password") => {
                    get("username") == Some(&self.setup.user) && get("password") == Some(&self.setup.password)
                }
                Some("refresh_token") => {
                    self.setup.identity_token.is_some() && get("refresh_token") == self.setup.identity_token.as_deref()
                }
                _ => false,
            })
        };
        if known == Some(false) || (known.is_none() && !self.setup.anonymous_pull) {
            return Response::new(401).body(r#"{"details":"incorrect username or password"}"#);
        }
        let scopes: Vec<&str> = if request.method == "GET" {
            form.iter().filter(|(key, _)| key == "scope").map(|(_, value)| value.as_str()).collect()
        } else {
            get("scope").unwrap_or_default().split(' ').collect()
        };
        let mut granted = BTreeSet::new();
        for scope in scopes {
            let parts: Vec<&str> = scope.split(':').collect();
            let ["repository", name, actions] = parts[..] else {
                return self.violation(request, "a scope that is none");
            };
            if self.setup.denied_scopes.iter().any(|denied| denied == name) {
                return Response::new(403).body(r#"{"errors":[{"code":"DENIED","message":"no such scope"}]}"#);
            }
            for action in actions.split(',').filter(|action| known.is_some() || *action == "pull") {
                granted.insert(format!("{name}:{action}"));
            }
        }
        let mut state = self.lock();
        state.counter += 1;
        // The password is in it, so that a test that looks for the password finds a token that is shown.
        let token = format!("token-{}-{}", self.setup.password, state.counter);
        state.tokens.insert(token.clone(), Issued { scopes: granted, uses: self.setup.token_uses });
        Response::new(200).body(json!({"token": token, "expires_in": 300}).to_string())
    }

    // --- reading ---

    fn get_manifest(&self, request: &Request, repository: &str, name: &str) -> Response {
        let accept = request.header("accept").unwrap_or_default();
        if !ACCEPTS.iter().all(|wanted| accept.contains(wanted)) {
            return self.violation(request, "not all manifests are accepted");
        }
        let state = self.lock();
        let found = state.repositories.get(repository).and_then(|found| {
            let digest = if name.starts_with("sha256:") { name } else { found.tags.get(name)? };
            found.manifests.get_key_value(digest)
        });
        let Some((digest, (media_type, bytes))) = found else {
            return error(404, "MANIFEST_UNKNOWN", json!({"Tag": name}));
        };
        let answer = Response::new(200).with("Content-Type", media_type.as_str()).body(bytes.clone());
        if self.setup.no_digest_header { answer } else { answer.with("Docker-Content-Digest", digest.as_str()) }
    }

    fn get_blob(&self, request: &Request, repository: &str, digest: &str) -> Response {
        let found = self.lock().repositories.get(repository).and_then(|found| found.blobs.get(digest).cloned());
        let Some(bytes) = found else { return error(404, "BLOB_UNKNOWN", json!(digest)) };
        if request.method == "GET"
            && let Some(base) = &self.setup.blobs_at
        {
            return Response::new(307).with("Location", format!("{base}/cdn/{digest}?X-Signature=signed"));
        }
        self.bytes(request, bytes).with("Docker-Content-Digest", digest)
    }

    fn cdn(&self, request: &Request, digest: &str) -> Response {
        if request.header("authorization").is_some() {
            return self.violation(request, "credentials of another server");
        }
        if request.query("X-Signature") != Some("signed") {
            return self.violation(request, "the signature is gone");
        }
        let found = self.lock().repositories.values().find_map(|repository| repository.blobs.get(digest).cloned());
        found.map_or_else(|| Response::new(404), |bytes| self.bytes(request, bytes))
    }

    fn bytes(&self, request: &Request, bytes: Vec<u8>) -> Response {
        let answer = Response::new(200).with("Content-Type", "application/octet-stream");
        let range = request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        match range {
            Some(first) if !self.setup.no_ranges => {
                if first >= bytes.len() {
                    return Response::new(416);
                }
                let mut answer =
                    answer.with("Content-Range", format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len()));
                answer.status = 206;
                answer.body(&bytes[first..])
            }
            _ => answer.body(bytes),
        }
    }

    // --- writing ---

    fn receive_manifest(&self, request: &Request, repository: &str, name: &str) -> Response {
        let digest = digest_of(&request.body);
        if name.starts_with("sha256:") && name != digest {
            return error(400, "DIGEST_INVALID", json!(digest));
        }
        let Ok(manifest) = serde_json::from_slice::<Value>(&request.body) else {
            return error(400, "MANIFEST_INVALID", Value::Null);
        };
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        if !ACCEPTS.contains(&media_type.as_str())
            || manifest["mediaType"].as_str().is_some_and(|own| own != media_type)
        {
            return self.violation(request, "the media type is another one");
        }
        let mut state = self.lock();
        let found = state.repositories.entry(repository.to_owned()).or_default();
        let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
        for blob in list("layers").iter().chain(manifest.get("config")) {
            let digest = blob["digest"].as_str().unwrap_or_default();
            if !found.blobs.contains_key(digest) {
                return error(404, "MANIFEST_BLOB_UNKNOWN", json!({"digest": digest}));
            }
        }
        for child in list("manifests") {
            let digest = child["digest"].as_str().unwrap_or_default();
            if !found.manifests.contains_key(digest) {
                return error(404, "MANIFEST_UNKNOWN", json!({"digest": digest}));
            }
        }
        if !name.starts_with("sha256:") {
            if !found.manifests.contains_key(&digest) && !name.starts_with("sha256-") {
                drop(state);
                return self.violation(request, "a tag before its manifest");
            }
            if self.setup.immutable_tags && found.tags.contains_key(name) {
                return error(400, "TAG_INVALID", json!("tags do not move here"));
            }
            found.tags.insert(name.to_owned(), digest.clone());
        }
        found.manifests.insert(digest.clone(), (media_type, request.body.clone()));
        let mut answer = Response::new(201)
            .with("Location", format!("/v2/{repository}/manifests/{digest}"))
            .with("Docker-Content-Digest", digest);
        if let Some(subject) = manifest["subject"]["digest"].as_str().filter(|_| self.setup.referrers) {
            answer.set("OCI-Subject", subject.to_owned());
        }
        answer
    }

    fn location(&self, repository: &str, id: &str, state: u64) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/{id}?_state=s%2F{state}%3D&x=");
        match &self.setup.locations {
            Locations::Absolute => format!("{}{path}", self.base()),
            Locations::Relative => path,
            Locations::Downgraded => format!("http://{}{path}", self.address),
            Locations::Elsewhere(base) => format!("{base}{path}"),
            Locations::OtherName => format!("http://localhost:{}{path}", self.address.port()),
            Locations::Missing => String::new(),
        }
    }

    fn begin_upload(&self, request: &Request, repository: &str) -> Response {
        if !request.body.is_empty() {
            return self.violation(request, "a POST with a body");
        }
        let mut state = self.lock();
        if let Some(digest) = request.query("mount") {
            let Some(from) = request.query("from") else {
                drop(state);
                return self.violation(request, "a mount from nowhere");
            };
            match self.setup.mounts {
                Mounts::Work => {
                    let found = state.repositories.get(from).and_then(|from| from.blobs.get(digest).cloned());
                    if let Some(bytes) = found {
                        state
                            .repositories
                            .entry(repository.to_owned())
                            .or_default()
                            .blobs
                            .insert(digest.to_owned(), bytes);
                        return Response::new(201)
                            .with("Location", format!("/v2/{repository}/blobs/{digest}"))
                            .with("Docker-Content-Digest", digest);
                    }
                }
                Mounts::Ignored => {}
                Mounts::Refused(status) => return error(status, "UNSUPPORTED", Value::Null),
            }
        }
        state.counter += 1;
        let id = format!("upload-{}", state.counter);
        let number = state.counter;
        state.uploads.insert(
            id.clone(),
            Upload { repository: repository.to_owned(), bytes: Vec::new(), state: number, patches: 0 },
        );
        let mut answer =
            Response::new(202).with("Location", self.location(repository, &id, number)).with("Range", "0-0");
        if let Some(min) = self.setup.min_chunk {
            answer.set("OCI-Chunk-Min-Length", min.to_string());
        }
        answer
    }

    fn go_on_with_upload(&self, request: &Request, repository: &str, id: &str) -> Response {
        if self.setup.max_body.is_some_and(|max| request.body.len() > max) {
            return Response::new(413).body("<html>413 Request Entity Too Large</html>");
        }
        let mut state = self.lock();
        state.counter += 1;
        let next = state.counter;
        let Some(upload) = state.uploads.get_mut(id).filter(|upload| upload.repository == repository) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", json!(id));
        };
        if request.query("_state") != Some(&format!("s/{}=", upload.state)) || request.query("x") != Some("") {
            drop(state);
            return self.violation(request, "the upload's state is not the one that was given out");
        }
        if request.header("content-type") != Some("application/octet-stream") {
            drop(state);
            return self.violation(request, "a blob's media type");
        }
        let range = request.header("content-range").map(str::to_owned);
        if request.method == "PATCH" {
            if let Some(range) = &range {
                let wanted = format!("{}-{}", upload.bytes.len(), upload.bytes.len() + request.body.len() - 1);
                if *range != wanted {
                    return Response::new(416).with("Range", format!("0-{}", upload.bytes.len().saturating_sub(1)));
                }
            } else if upload.patches > 0 {
                return error(400, "BLOB_UPLOAD_INVALID", json!("Stream uploads after first write are not allowed"));
            }
            upload.bytes.extend_from_slice(&request.body);
            upload.patches += 1;
            upload.state = next;
            let last = upload.bytes.len().saturating_sub(1);
            let patches = upload.patches;
            if patches > 1 && self.setup.min_chunk.is_some_and(|min| request.body.len() < min && range.is_some()) {
                // Only the last one may be short: remembered, and told when another one comes.
                upload.patches = usize::MAX / 2;
            }
            return Response::new(self.setup.patch_status.unwrap_or(202))
                .with("Location", self.location(repository, id, next))
                .with("Range", format!("0-{last}"));
        }
        if !request.body.is_empty() && self.setup.no_whole_put {
            return error(405, "UNSUPPORTED", Value::Null);
        }
        if range.is_some() && upload.patches == 0 {
            drop(state);
            return self.violation(request, "a range on a whole upload");
        }
        let digest = request.query("digest").unwrap_or_default().to_owned();
        let mut bytes = std::mem::take(&mut upload.bytes);
        bytes.extend_from_slice(&request.body);
        state.uploads.remove(id);
        if digest_of(&bytes) != digest {
            return error(400, "DIGEST_INVALID", json!(digest));
        }
        state.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.clone(), bytes);
        Response::new(201)
            .with("Location", format!("/v2/{repository}/blobs/{digest}"))
            .with("Docker-Content-Digest", digest)
    }
}

fn read_head(stream: &mut dyn Connection) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 || head.len() > 64 << 10 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // A proxy is asked with the whole address.
    let bare = target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let (path, query) = bare.split_once('?').unwrap_or((bare, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok(Some(Request {
        method: method.to_owned(),
        path: decode(path, false),
        query: parse_query(query),
        target: target.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    }))
}

/// Gives whether there was a body of announced length, or none.
fn read_body(stream: &mut dyn Connection, request: &mut Request) -> io::Result<bool> {
    if request.headers.contains_key("transfer-encoding") {
        return Ok(false);
    }
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body)?;
    Ok(true)
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        })
        .collect()
}

fn decode(text: &str, form: bool) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            b'+' if form => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
