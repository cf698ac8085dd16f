//! Bytecode (PEP 3147, PEP 552): `.pyc` files that are never checked against their source, and so depend on nothing but the
//! source, its path in the image, and the interpreter's version.
//!
//! They are made by a CPython of exactly that version on the machine that builds, in a process that compiles what it is
//! handed and does nothing else: it imports nothing of the image, and sees no environment.

mod process;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use self::process::Process;
pub use self::process::Program;
use super::{PythonVersion, Spool};
use crate::oci::Digest;
use crate::shown::Shown;
use crate::tree::{Entry, Kind, PathError, TreePath};
use crate::unfinished;

/// The largest source that is compiled.
pub const MAX_SOURCE: u64 = 32 << 20;

/// How much is left out of the bytecode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Optimise {
    /// Nothing: what `python3` uses.
    #[default]
    None,
    /// Assertions: what `python3 -O` uses.
    Asserts,
    /// Assertions and documentation: what `python3 -OO` uses.
    Docstrings,
}

impl Optimise {
    fn level(self) -> u8 {
        match self {
            Optimise::None => 0,
            Optimise::Asserts => 1,
            Optimise::Docstrings => 2,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Optimise::None => "",
            Optimise::Asserts => ".opt-1",
            Optimise::Docstrings => ".opt-2",
        }
    }
}

/// Why there is no bytecode.
#[derive(Debug, thiserror::Error)]
pub enum BytecodeError {
    /// No interpreter of the version.
    #[error(
        "`compile` needs CPython {wanted} on this machine, exactly the image's version{}: install it, or leave `compile` out",
        if .found.is_empty() { ", and there is none".to_owned() } else { format!(", and there is only {}", .found.join(", ")) }
    )]
    NoCompiler {
        /// The image's version.
        wanted: PythonVersion,
        /// The versions there are.
        found: Vec<String>,
    },
    /// The interpreter could not be run or talked to.
    #[error("{action} the Python compiler {path}")]
    Run {
        /// What was done.
        action: &'static str,
        /// The program.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It ended in the middle of a file, or took too long.
    #[error("compiling {path}: the Python compiler {how}")]
    Ended {
        /// The file.
        path: Shown,
        /// What it did.
        how: &'static str,
    },
    /// A source could not be read.
    #[error("reading {path} to compile it")]
    Source {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// A result could not be kept.
    #[error("writing {path} to a temporary file")]
    Spool {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// A source too large.
    #[error("compiling {path}: it has more than {MAX_SOURCE} bytes")]
    TooLarge {
        /// The file.
        path: Shown,
    },
    /// The cache could not be written.
    #[error("writing {path}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path gets too long.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// The contents of its `.pyc`.
    Bytecode(Vec<u8>),
    /// It cannot be compiled (old syntax, a template): as with pip, there is then no `.pyc`. The text says why.
    Invalid(String),
}

/// Where the bytecode of a source goes: `x/y.py` → `x/__pycache__/y.cpython-313.pyc`. `None` where it is no source.
///
/// # Errors
/// Where the path gets too long.
pub fn bytecode_path(
    source: &TreePath,
    version: PythonVersion,
    optimise: Optimise,
) -> Result<Option<TreePath>, PathError> {
    let Some(stem) = source.file_name().and_then(|name| name.strip_suffix(b".py")).filter(|stem| !stem.is_empty())
    else {
        return Ok(None);
    };
    let directory = source.parent().unwrap_or_default().child(b"__pycache__")?;
    let tag = format!(".cpython-{}{}{}.pyc", version.major, version.minor, optimise.tag());
    directory.child(&[stem, tag.as_bytes()].concat()).map(Some)
}

/// What compiling a set of files gave.
#[derive(Debug, Default)]
pub struct CompiledFiles {
    /// The `.pyc` files, in the order of their sources, owned as they are, mode 0644.
    pub entries: Vec<(TreePath, Entry)>,
    /// Sources that are no Python of this version, with why: pip leaves those out too.
    pub invalid: Vec<(TreePath, String)>,
}

/// Compiles every `.py` file of some entries; the results go to the spool. Other entries are passed over, and so are sources above [`MAX_SOURCE`].
///
/// # Errors
/// [`BytecodeError`].
pub fn compile_entries<'a>(
    compiler: &mut Compiler,
    entries: impl IntoIterator<Item = (&'a TreePath, &'a Entry)>,
    optimise: Optimise,
    spool: &mut Spool,
) -> Result<CompiledFiles, BytecodeError> {
    let mut result = CompiledFiles::default();
    for (path, entry) in entries {
        let Kind::File(content) = &entry.kind else { continue };
        let Some(bytecode) = bytecode_path(path, compiler.version, optimise)? else { continue };
        if content.len() > MAX_SOURCE {
            result.invalid.push((path.clone(), format!("it has more than {MAX_SOURCE} bytes")));
            continue;
        }
        let source =
            content.read_all(MAX_SOURCE).map_err(|source| BytecodeError::Source { path: path.shown(), source })?;
        match compiler.compile(path, &source, optimise)? {
            Compiled::Invalid(reason) => result.invalid.push((path.clone(), reason)),
            Compiled::Bytecode(bytes) => {
                let mut stretch = spool.begin();
                stretch.append(&bytes).map_err(|source| BytecodeError::Spool { path: bytecode.shown(), source })?;
                let content = stretch.finish(&bytecode.to_string(), Digest::of(&bytes));
                let entry = Entry::file(content, 0o644, entry.owner, entry.origin.clone());
                result.entries.push((bytecode, entry));
            }
        }
    }
    Ok(result)
}

/// A compiler that runs, and what it made before.
pub struct Compiler {
    program: Program,
    version: PythonVersion,
    cache: Option<PathBuf>,
    process: Option<Process>,
}

impl Compiler {
    /// Finds an interpreter of exactly that version among some programs. `cache` is the directory for what was compiled
    /// (a bucket of the store); `None` keeps nothing. What builds that were killed left unfinished there is removed.
    ///
    /// # Errors
    /// [`BytecodeError::NoCompiler`], with the versions of those that are there.
    pub fn find(version: PythonVersion, candidates: &[Program], cache: Option<PathBuf>) -> Result<Self, BytecodeError> {
        if let Some(cache) = &cache {
            unfinished::collect(cache, unfinished::is_name);
        }
        let mut found = Vec::new();
        for program in candidates {
            let Ok((process, hello)) = Process::start(program) else { continue };
            drop(process);
            // Only final releases: a candidate's bytecode is another one's.
            let fits = hello.strip_prefix(&format!("{version} final cpython "));
            let tag = format!("cpython-{}{}", version.major, version.minor);
            if fits == Some(&tag) {
                return Ok(Compiler { program: program.clone(), version, cache, process: None });
            }
            let seen = hello.split(' ').next().unwrap_or(&hello).to_owned();
            if !found.contains(&seen) {
                found.push(seen);
            }
        }
        Err(BytecodeError::NoCompiler { wanted: version, found })
    }

    /// The interpreter that is used.
    pub fn program(&self) -> &Path {
        &self.program.path
    }

    /// Another one like this, to work beside it.
    #[must_use]
    pub fn another(&self) -> Self {
        Compiler { program: self.program.clone(), version: self.version, cache: self.cache.clone(), process: None }
    }

    /// The bytecode of a source. `path` is where the source is in the image: tracebacks name it.
    ///
    /// # Errors
    /// [`BytecodeError`]. A source that is no Python is no error but [`Compiled::Invalid`].
    pub fn compile(&mut self, path: &TreePath, source: &[u8], optimise: Optimise) -> Result<Compiled, BytecodeError> {
        if source.len() as u64 > MAX_SOURCE {
            return Err(BytecodeError::TooLarge { path: path.shown() });
        }
        let name = [b"/", path.as_bytes()].concat();
        let kept = self.cache.as_ref().map(|cache| cache.join(self.key(&name, source, optimise)));
        if let Some(found) = kept.as_deref().and_then(read_cached) {
            return Ok(found);
        }
        let result = self.ask(path, &name, source, optimise)?;
        if let Some(kept) = &kept {
            write_cached(kept, &result)?;
        }
        Ok(result)
    }

    /// Everything that decides what comes out.
    fn key(&self, name: &[u8], source: &[u8], optimise: Optimise) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lapstrake bytecode 1\0");
        hasher.update(format!("{} {}\0", self.version, optimise.level()).as_bytes());
        hasher.update(Digest::of(source).raw());
        hasher.update(name);
        hasher.finalize().to_hex().to_string()
    }

    fn ask(
        &mut self,
        path: &TreePath,
        name: &[u8],
        source: &[u8],
        optimise: Optimise,
    ) -> Result<Compiled, BytecodeError> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.program)?.0,
        };
        let mut request = Vec::with_capacity(name.len() + 25);
        request.push(b'f');
        request.extend(u64::from(optimise.level()).to_le_bytes());
        request.extend((name.len() as u64).to_le_bytes());
        request.extend(name);
        request.extend((source.len() as u64).to_le_bytes());
        let ended = |how| BytecodeError::Ended { path: path.shown(), how };
        let sent = process.input.write_all(&request).and_then(|()| process.input.write_all(source));
        if sent.and_then(|()| process.input.flush()).is_err() {
            return Err(ended("ended before it had read it"));
        }
        let (kind, data) = process.answer().map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ended("took too long"),
            _ => ended("ended without a word"),
        })?;
        // Only a process that answered is used again.
        self.process = Some(process);
        match kind {
            b'c' => Ok(Compiled::Bytecode(data)),
            b'e' => Ok(Compiled::Invalid(Shown::new(&data).bare().to_owned())),
            b'd' => Err(ended("died: the source is too deep, or needs too much memory")),
            _ => Err(ended("answered with what is no answer")),
        }
    }
}

/// What was compiled before, where it is whole: its kind, the digest of the rest, the rest.
fn read_cached(path: &Path) -> Option<Compiled> {
    let bytes = fs::read(path).ok()?;
    let (kind, rest) = bytes.split_first()?;
    let (digest, data) = rest.split_first_chunk::<32>()?;
    if Digest::of(data).raw() != digest {
        return None;
    }
    match kind {
        b'c' => Some(Compiled::Bytecode(data.to_vec())),
        b'e' => Some(Compiled::Invalid(String::from_utf8(data.to_vec()).ok()?)),
        _ => None,
    }
}

/// Keeps a result. It needs no sync: a file that is not whole is not used.
fn write_cached(path: &Path, result: &Compiled) -> Result<(), BytecodeError> {
    let failed = |source| BytecodeError::Cache { path: path.to_owned(), source };
    let (kind, data) = match result {
        Compiled::Bytecode(data) => (b'c', &data[..]),
        Compiled::Invalid(text) => (b'e', text.as_bytes()),
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = unfinished::begin_in(directory, unfinished::MARK.as_ref(), 0o600).map_err(failed)?;
    file.write_all(&[kind]).map_err(failed)?;
    file.write_all(Digest::of(data).raw()).map_err(failed)?;
    file.write_all(data).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    /// A Python of this machine, where there is one: the tests that need it say so and pass without.
    fn machine_python() -> Option<(PathBuf, PythonVersion)> {
        let candidates = std::env::var_os("PATH").into_iter().flat_map(|path| {
            std::env::split_paths(&path).map(|directory| directory.join("python3")).collect::<Vec<_>>()
        });
        for program in candidates {
            if let Ok((_, hello)) = Process::start(&Program::new(&program))
                && hello.contains(" final cpython ")
                && let Ok(version) = hello.split(' ').next()?.parse()
            {
                return Some((program, version));
            }
        }
        eprintln!("no python3 on this machine: nothing is compiled in this test");
        None
    }

    #[test]
    fn where_it_goes() {
        let version: PythonVersion = "3.11.2".parse().unwrap();
        for (source, optimise, expected) in [
            ("a/b.py", Optimise::None, Some("a/__pycache__/b.cpython-311.pyc")),
            ("b.py", Optimise::Asserts, Some("__pycache__/b.cpython-311.opt-1.pyc")),
            ("b.c.py", Optimise::Docstrings, Some("__pycache__/b.c.cpython-311.opt-2.pyc")),
            ("a/b.pyc", Optimise::None, None),
            ("a/.py", Optimise::None, None),
            ("a/b.PY", Optimise::None, None),
            ("", Optimise::None, None),
        ] {
            assert_eq!(bytecode_path(&path(source), version, optimise).unwrap(), expected.map(path));
        }
    }

    #[test]
    fn no_compiler_is_an_error_that_says_what_there_is() {
        let version: PythonVersion = "3.99.1".parse().unwrap();
        let error = Compiler::find(version, &[Program::new("/nonexistent/python3"), Program::new("/bin/true")], None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("CPython 3.99.1") && error.to_string().contains("there is none"), "{error}");
        if let Some((program, found)) = machine_python() {
            let error = Compiler::find(version, &[Program::new(program)], None).err().unwrap().to_string();
            assert!(error.contains(&format!("there is only {found}")), "{error}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_compileall() {
        let Some((program, version)) = machine_python() else { return };
        let directory = tempfile::tempdir().unwrap();
        let source = "'''doc'''\nimport os\ndef f(x: int = 3, *, y={1, 2}) -> str:\n    'doc'\n    assert x\n    return f'{x!r} {y}' if x in {'a', 'b', 'ccc'} else os.name\nclass C:\n    z = (1.5, 2j, b'x', None, ...)\n";
        let file = directory.path().join("mod.py");
        fs::write(&file, source).unwrap();
        let status = Command::new(&program)
            .args([
                "-m",
                "compileall",
                "-q",
                "-o",
                "0",
                "-o",
                "1",
                "-o",
                "2",
                "--invalidation-mode",
                "unchecked-hash",
                "-s",
            ])
            .arg(directory.path())
            .args(["-p", "/app"])
            .arg(&file)
            .status()
            .unwrap();
        assert!(status.success());
        let mut compiler = Compiler::find(version, &[Program::new(program)], None).unwrap();
        for optimise in [Optimise::None, Optimise::Asserts, Optimise::Docstrings] {
            let pyc = bytecode_path(&path("mod.py"), version, optimise).unwrap().unwrap();
            let expected = fs::read(directory.path().join(std::str::from_utf8(pyc.as_bytes()).unwrap())).unwrap();
            // Again and again from one process: what came before leaves no trace.
            compiler.compile(&path("x.py"), b"y = 1.5\nz = ('a', 'b', 'ccc', 'doc', 'mod')\n", optimise).unwrap();
            for _ in 0..3 {
                let found = compiler.compile(&path("app/mod.py"), source.as_bytes(), optimise).unwrap();
                assert_eq!(found, Compiled::Bytecode(expected.clone()));
            }
        }
    }

    #[test]
    fn sources_that_are_none_and_results_that_are_kept() {
        let Some((program, version)) = machine_python() else { return };
        let directory = tempfile::tempdir().unwrap();
        let cache = Some(directory.path().to_owned());
        let mut compiler = Compiler::find(version, &[Program::new(&program)], cache.clone()).unwrap();
        let good = compiler.compile(&path("a.py"), b"x = 1\n", Optimise::None).unwrap();
        assert!(matches!(good, Compiled::Bytecode(_)));
        for bad in [&b"print 'x'"[..], b"\0", b"# coding: nothing\n", b"\xff", b"x = (", &b"(".repeat(100_000)] {
            assert!(
                matches!(compiler.compile(&path("a.py"), bad, Optimise::None), Ok(Compiled::Invalid(_))),
                "{bad:?}"
            );
        }
        // Nothing is run, and what was compiled is not compiled again.
        let text = b"import sys; sys.exit(3)\nopen('/nonexistent/x', 'w')\n";
        let first = compiler.compile(&path("b.py"), text, Optimise::None).unwrap();
        let count = fs::read_dir(directory.path()).unwrap().count();
        let mut second = Compiler { program: Program::new("/nonexistent"), version, cache, process: None };
        assert_eq!(second.compile(&path("b.py"), text, Optimise::None).unwrap(), first);
        assert!(second.compile(&path("c.py"), text, Optimise::None).is_err(), "another path is another result");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), count);
        // A damaged file of the cache is as good as none.
        for entry in fs::read_dir(directory.path()).unwrap() {
            fs::write(entry.unwrap().path(), b"c damaged").unwrap();
        }
        assert_eq!(compiler.compile(&path("b.py"), text, Optimise::None).unwrap(), first);
        // What a build left that was killed goes, what another one is writing stays.
        let left = directory.path().join(".lapstrake-abcdef");
        fs::write(&left, "c half").unwrap();
        let held = unfinished::begin_in(directory.path(), unfinished::MARK.as_ref(), 0o600).unwrap();
        Compiler::find(version, &[Program::new(&program)], Some(directory.path().to_owned())).unwrap();
        assert!(!left.exists() && held.path().exists());
    }

    #[test]
    fn the_sources_among_some_entries() {
        use crate::content::Content;
        use crate::tree::{Origin, Owner};
        let mut spool = Spool::new(&std::env::temp_dir()).unwrap();
        let Some((program, version)) = machine_python() else { return };
        let file = |text: &'static str| {
            Entry::file(Content::inline(text.as_bytes()), 0o755, Owner::new(1, 2), Origin::new("t"))
        };
        let entries =
            [(path("a/x.py"), file("x = 1")), (path("a/bad.py"), file("print 1")), (path("a/x.txt"), file("text"))];
        let mut compiler = Compiler::find(version, &[Program::new(program)], None).unwrap();
        let found = compile_entries(
            &mut compiler,
            entries.iter().map(|(path, entry)| (path, entry)),
            Optimise::None,
            &mut spool,
        )
        .unwrap();
        let [(at, entry)] = &found.entries[..] else { panic!("{found:?}") };
        assert_eq!(at.parent(), Some(path("a/__pycache__")));
        assert_eq!((entry.mode, entry.owner), (0o644, Owner::new(1, 2)));
        assert_eq!(found.invalid.len(), 1);
    }
}
