//! A file server for tests: HTTP/1.1 on loopback, in threads, with faults on demand. Mirrors and package indexes are no
//! more than that.
//!
//! Included by path from the unit tests and from the integration tests; it uses no code of the program that it tests.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use sha2::{Digest as _, Sha256};

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// That is answered, and an empty body.
    Status(u16),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The connection ends without an answer.
    Silence,
    /// One byte of the body is another.
    Flip,
    /// The body goes on after its end, and no length is announced.
    Longer,
    /// A pause before the answer.
    Slow(Duration),
    /// To another address.
    Redirect(String),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    /// What was answered; 0 where nothing was.
    pub status: u16,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, (String, Vec<u8>)>,
    directory: Option<PathBuf>,
    login: Option<(String, String)>,
    /// Part of the target, how often still, and what.
    faults: Vec<(String, usize, Fault)>,
    log: Vec<Asked>,
    gzip: bool,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    stop: AtomicBool,
    busy: AtomicUsize,
    busiest: AtomicUsize,
}

/// The server; it ends when it is dropped.
pub struct FileServer {
    shared: Arc<Shared>,
}

impl FileServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            address,
            state: Mutex::default(),
            stop: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            busiest: AtomicUsize::new(0),
        });
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
        FileServer { shared }
    }

    /// Serves what is below a directory too.
    pub fn of(directory: impl Into<PathBuf>) -> Self {
        let server = Self::start();
        server.state().directory = Some(directory.into());
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// `http://127.0.0.1:PORT`, and a path that starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.shared.address)
    }

    /// The same, with a user name and password.
    pub fn url_of(&self, login: &str, path: &str) -> String {
        format!("http://{login}@{}{path}", self.shared.address)
    }

    pub fn host(&self) -> String {
        self.shared.address.ip().to_string()
    }

    /// Puts a file at a path.
    pub fn put(&self, path: &str, content_type: &str, bytes: impl Into<Vec<u8>>) {
        self.state().files.insert(path.to_owned(), (content_type.to_owned(), bytes.into()));
    }

    pub fn remove(&self, path: &str) {
        self.state().files.remove(path);
    }

    /// From now on a user name and password are asked for.
    pub fn require(&self, user: &str, password: &str) {
        self.state().login = Some((user.to_owned(), password.to_owned()));
    }

    /// From now on bodies are compressed for whoever takes that.
    pub fn gzip(&self) {
        self.state().gzip = true;
    }

    /// The next `times` requests whose target contains `part` meet a fault.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.state().faults.push((part.to_owned(), times, fault));
    }

    pub fn log(&self) -> Vec<Asked> {
        self.state().log.clone()
    }

    pub fn clear_log(&self) {
        self.state().log.clear();
    }

    /// How many requests had that in their target.
    pub fn count(&self, part: &str) -> usize {
        self.log().iter().filter(|asked| asked.target.contains(part)).count()
    }

    /// How many requests were answered at the same time, at most.
    pub fn busiest(&self) -> usize {
        self.shared.busiest.load(Ordering::SeqCst)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.shared.address);
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn of(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Vec::new() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut reader = BufReader::new(stream);
        while let Some((target, headers)) = read_head(&mut reader)? {
            if !self.one(reader.get_mut(), &target, &headers)? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request. Gives whether there may be another one on the connection.
    fn one(&self, stream: &mut TcpStream, target: &str, headers: &BTreeMap<String, String>) -> io::Result<bool> {
        let fault = self.plan(target);
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busiest.fetch_max(busy, Ordering::SeqCst);
        if let Some(Fault::Slow(time)) = &fault {
            thread::sleep(*time);
        }
        let mut answer = match &fault {
            Some(Fault::Status(status)) => Answer::of(*status),
            Some(Fault::Redirect(to)) => Answer { headers: vec![("Location", to.clone())], ..Answer::of(302) },
            _ => self.answer(target, headers),
        };
        // Before anything is sent: whoever has an answer may ask again at once.
        self.busy.fetch_sub(1, Ordering::SeqCst);
        let status = if matches!(fault, Some(Fault::Silence)) { 0 } else { answer.status };
        self.lock().log.push(Asked { target: target.to_owned(), headers: headers.clone(), status });
        if status == 0 {
            return Ok(false);
        }
        if let (Some(Fault::Flip), Some(byte)) = (&fault, answer.body.first_mut()) {
            *byte ^= 1;
        }
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let is_longer = matches!(fault, Some(Fault::Longer));
        if is_longer {
            answer.body.extend_from_slice(&[b'x'; 1000]);
            head.push_str("Connection: close\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if let Some(Fault::Cut(bytes)) = fault {
            stream.write_all(&answer.body[..bytes.min(answer.body.len())])?;
            stream.flush()?;
            return Ok(false);
        }
        stream.write_all(&answer.body)?;
        stream.flush()?;
        Ok(!is_longer)
    }

    fn plan(&self, target: &str) -> Option<Fault> {
        let mut state = self.lock();
        let (_, times, fault) =
            state.faults.iter_mut().find(|(part, times, _)| *times > 0 && target.contains(part.as_str()))?;
        *times -= 1;
        Some(fault.clone())
    }

    fn answer(&self, target: &str, headers: &BTreeMap<String, String>) -> Answer {
        let state = self.lock();
        let path = target.split('?').next().unwrap_or_default();
        if let Some((user, password)) = &state.login {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            if headers.get("authorization") != Some(&format!("Basic {pair}")) {
                return Answer {
                    headers: vec![("WWW-Authenticate", "Basic realm=\"x\"".to_owned())],
                    ..Answer::of(401)
                };
            }
        }
        let Some((content_type, bytes)) = state.find(path) else { return Answer::of(404) };
        let tag: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{tag}\"");
        if headers.get("if-none-match") == Some(&tag) {
            return Answer { headers: vec![("ETag", tag)], ..Answer::of(304) };
        }
        let mut answer = Answer { headers: vec![("ETag", tag)], ..Answer::of(200) };
        if !content_type.is_empty() {
            answer.headers.push(("Content-Type", content_type));
        }
        let from = headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) if from >= bytes.len() => return Answer::of(416),
            Some(from) => {
                answer.status = 206;
                let last = bytes.len() - 1;
                answer.headers.push(("Content-Range", format!("bytes {from}-{last}/{}", bytes.len())));
                answer.body = bytes[from..].to_vec();
            }
            None if state.gzip && headers.get("accept-encoding").is_some_and(|taken| taken.contains("gzip")) => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&bytes).expect("memory");
                answer.body = encoder.finish().expect("memory");
                answer.headers.push(("Content-Encoding", "gzip".to_owned()));
            }
            None => answer.body = bytes,
        }
        answer
    }
}

impl State {
    fn find(&self, path: &str) -> Option<(String, Vec<u8>)> {
        if let Some(found) = self.files.get(path) {
            return Some(found.clone());
        }
        let below = path.strip_prefix('/')?;
        if below.split('/').any(|part| part == "..") {
            return None;
        }
        let mut file = self.directory.as_ref()?.join(below);
        if file.is_dir() {
            file.push("index.html");
        }
        let content_type = if file.extension().is_some_and(|end| end == "html") { "text/html" } else { "" };
        Some((content_type.to_owned(), std::fs::read(file).ok()?))
    }
}

/// The target and headers of a request without a body; `None` at the end of the connection.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<(String, BTreeMap<String, String>)>> {
    let mut line = String::new();
    if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some((target, headers)));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}
