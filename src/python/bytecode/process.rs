//! The process that compiles: a CPython, and what it is handed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::BytecodeError;

/// The largest result that is taken.
const MAX_RESULT: u64 = 256 << 20;

/// How long one file may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The memory that the compiler may have: a source of brackets in brackets can ask for any.
const MEMORY: u64 = 4 << 30;

/// What the compiler runs. It takes frames (level, name, source), answers each with one, and ends with its input. The format
/// of the files is `importlib`'s own.
///
/// Each file is compiled in a fork, so that every one finds the state that a fresh process has: how `marshal` writes a
/// constant hangs on whether something that was compiled before holds it too. A source that takes the compiler down takes
/// only the fork.
const PROGRAM: &str = r#"
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import posix, importlib.util
from importlib._bootstrap_external import _code_to_hash_pyc
read, write, flush = sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush
def number(): return int.from_bytes(read(8), 'little')
def answer(kind, data):
    write(kind); write(len(data).to_bytes(8, 'little')); write(data); flush()
def work(level, name, source):
    try:
        code = compile(source, name, 'exec', dont_inherit=True, optimize=level)
        answer(b'c', bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False)))
    except (SyntaxError, ValueError, OverflowError, RecursionError, UnicodeError, MemoryError) as error:
        answer(b'e', ('%s: %s' % (type(error).__name__, error)).encode('utf-8', 'replace')[:2000])
answer(b'h', ('%d.%d.%d %s %s %s' % (sys.version_info[:4] + (sys.implementation.name, sys.implementation.cache_tag))).encode())
while read(1) == b'f':
    level = number()
    name = read(number()).decode('utf-8', 'surrogateescape')
    source = read(number())
    child = posix.fork()
    if not child:
        try: work(level, name, source)
        except BaseException: posix._exit(1)
        posix._exit(0)
    if posix.waitpid(child, 0)[1]: answer(b'd', b'')
"#;

/// A program that may be an interpreter, and how it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(super) path: PathBuf,
    /// Where it does not live on this machine: the loader to start it with, the directories of its libraries, its home.
    foreign: Option<(PathBuf, Vec<PathBuf>, PathBuf)>,
}

impl Program {
    /// A program of this machine.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Program { path: path.into(), foreign: None }
    }

    /// The same, started by that loader with libraries from these directories; its modules are below `home`.
    #[must_use]
    pub fn with_loader(self, loader: PathBuf, libraries: Vec<PathBuf>, home: PathBuf) -> Self {
        Program { foreign: Some((loader, libraries, home)), ..self }
    }

    fn command(&self) -> Command {
        let mut command = match &self.foreign {
            None => Command::new(&self.path),
            Some((loader, libraries, _)) => {
                let mut command = Command::new(loader);
                let libraries: Vec<&[u8]> =
                    libraries.iter().map(|directory| directory.as_os_str().as_encoded_bytes()).collect();
                let libraries = OsStr::from_bytes(&libraries.join(&b':')).to_owned();
                command.arg("--inhibit-cache").arg("--library-path").arg(libraries).arg(&self.path);
                command
            }
        };
        command.env_clear();
        if let Some((.., home)) = &self.foreign {
            command.env("PYTHONHOME", home);
        }
        command
    }
}

/// An interpreter that runs [`PROGRAM`].
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) input: ChildStdin,
    output: ChildStdout,
}

impl Process {
    /// Starts an interpreter; gives what it says it is.
    pub(super) fn start(program: &Program) -> Result<(Self, String), BytecodeError> {
        let failed = |action| move |source| BytecodeError::Run { action, path: program.path.clone(), source };
        // No environment but these. The seed: before 3.11 the order of sets of constants hung on it.
        let environment: BTreeMap<OsString, OsString> =
            [("PYTHONHASHSEED", "0"), ("PYTHONUTF8", "1"), ("LC_ALL", "C.UTF-8")]
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
        let mut child = program
            .command()
            .args(["-s", "-S", "-B", "-W", "ignore", "-c", PROGRAM])
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed("starting"))?;
        let pid = Pid::from_child(&child);
        let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
        // Where the kernel does not allow it, the compiler runs without.
        let _ = prlimit(Some(pid), Resource::As, limit);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("starting")(io::ErrorKind::BrokenPipe.into()));
        };
        let mut process = Process { child, input, output };
        let (kind, hello) = process.answer().map_err(failed("talking to"))?;
        match (kind, String::from_utf8(hello)) {
            (b'h', Ok(hello)) => Ok((process, hello)),
            _ => Err(failed("talking to")(io::ErrorKind::InvalidData.into())),
        }
    }

    /// One answer: its kind and its data.
    pub(super) fn answer(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let deadline = Instant::now() + PATIENCE;
        let mut head = [0; 9];
        self.read_exact(&mut head, deadline)?;
        let [kind, length @ ..] = head;
        let length = u64::from_le_bytes(length);
        if length > MAX_RESULT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut data = vec![0; length as usize];
        self.read_exact(&mut data, deadline)?;
        Ok((kind, data))
    }

    fn read_exact(&mut self, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let count = self.output.read(buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[count..];
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
