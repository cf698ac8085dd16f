//! Bytecode for the sources of a layer (semantics 33): several compilers side by side.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::compiler::{UnpackError, interpreter_in};
use crate::code::Cause;
use crate::parallel;
use crate::python::bytecode::{
    BytecodeError, CompiledFiles, Compiler, Optimise, Program, bytecode_path, compile_entries,
};
use crate::python::{PythonVersion, Spool};
use crate::shown::Shown;
use crate::tree::{Entry, FileTree, Rootfs, TreeError, TreePath};

/// Compilers of one version, as many as work side by side.
pub struct Compilers {
    compiler: Compiler,
    version: PythonVersion,
    jobs: usize,
}

/// Why nothing is compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompilersError {
    /// A compiler.
    #[error(transparent)]
    Bytecode(#[from] BytecodeError),
    /// An interpreter from packages.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The packages of one cannot be had.
    #[error("getting the packages of a CPython {version} that compiles on this machine")]
    Packages {
        /// Its version.
        version: PythonVersion,
        /// Why.
        source: Cause,
    },
    /// A temporary file.
    #[error("writing a temporary file in {tmp}")]
    Tmp {
        /// The directory.
        tmp: Shown,
        /// Why.
        source: std::io::Error,
    },
    /// A result cannot be placed.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Gives the directory in which an interpreter lies that was made from packages ([`super::compiler::unpack`]).
pub type Unpacked<'a> = &'a dyn Fn() -> Result<PathBuf, CompilersError>;

/// Finds a CPython of exactly that version: one of this machine, in the directories of `path` (the variable `PATH`), else
/// one that `unpacked` has made from packages. `cache` keeps what was compiled.
///
/// # Errors
/// [`CompilersError`], where there is none: nothing is ever left uncompiled without a word.
pub fn find_compilers(
    version: PythonVersion,
    path: Option<&OsStr>,
    cache: Option<PathBuf>,
    jobs: usize,
    unpacked: Option<Unpacked<'_>>,
) -> Result<Compilers, CompilersError> {
    let programs = candidates(version, path);
    let missing = match Compiler::find(version, &programs, cache.clone()) {
        Ok(compiler) => return Ok(Compilers { compiler, version, jobs }),
        Err(missing @ BytecodeError::NoCompiler { .. }) => missing,
        Err(error) => return Err(error.into()),
    };
    let Some(unpacked) = unpacked else { return Err(missing.into()) };
    let program = interpreter_in(&unpacked()?, version)?;
    Ok(Compilers { compiler: Compiler::find(version, &[program], cache)?, version, jobs })
}

/// Programs that may be it, each once.
fn candidates(version: PythonVersion, path: Option<&OsStr>) -> Vec<Program> {
    let mut directories: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    directories.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for directory in directories.iter().filter(|directory| directory.is_absolute()) {
        for name in [format!("python{}", version.short()), "python3".to_owned()] {
            let program = directory.join(name);
            if let Ok(real) = program.canonicalize()
                && seen.insert(real)
            {
                found.push(Program::new(program));
            }
        }
    }
    found
}

impl Compilers {
    /// The version of Python that they compile for.
    pub fn version(&self) -> PythonVersion {
        self.version
    }

    /// Compiles the sources among some entries; the results are in their order, and their bytes in temporary files in
    /// `tmp`.
    ///
    /// # Errors
    /// [`CompilersError`]: the first in the order of the entries.
    pub fn compile(&self, entries: &[(&TreePath, &Entry)], tmp: &Path) -> Result<CompiledFiles, CompilersError> {
        let sources: Vec<&(&TreePath, &Entry)> = entries
            .iter()
            .filter(|(path, _)| matches!(bytecode_path(path, self.version, Optimise::None), Ok(Some(_))))
            .collect();
        let start = || (self.compiler.another(), Spool::new(tmp));
        let done = parallel::map_with(&sources, self.jobs, start, |(compiler, spool), (path, entry)| {
            let spool = spool.as_mut().map_err(|error| CompilersError::Tmp {
                tmp: Shown::new(tmp.as_os_str().as_encoded_bytes()),
                source: std::io::Error::new(error.kind(), error.to_string()),
            })?;
            Ok::<_, CompilersError>(compile_entries(compiler, [(*path, *entry)], Optimise::None, spool)?)
        });
        let mut all = CompiledFiles::default();
        for files in done {
            let files = files?;
            all.entries.extend(files.entries);
            all.invalid.extend(files.invalid);
        }
        Ok(all)
    }

    /// Adds bytecode to a layer for the modules of this interpreter and of Debian's packages for it, as Debian's own
    /// packages make it when they are installed. Gives the sources that are no Python of this version, with why.
    ///
    /// # Errors
    /// [`CompilersError`].
    pub fn compile_tree(
        &self,
        tree: &mut FileTree,
        below: &Rootfs,
        tmp: &Path,
    ) -> Result<Vec<(TreePath, String)>, CompilersError> {
        let sources: Vec<(&TreePath, &Entry)> = tree.iter().filter(|(path, _)| is_module(path, self.version)).collect();
        let compiled = self.compile(&sources, tmp)?;
        for (path, entry) in compiled.entries {
            if tree.get(&path).is_some() {
                continue;
            }
            let like = Entry::directory(0o755, entry.owner, entry.origin.clone());
            tree.insert_parents(&path, below, &like)?;
            tree.insert(path, entry)?;
        }
        Ok(compiled.invalid)
    }
}

/// The directories that [`Compilers::compile_tree`] puts bytecode into.
pub fn bytecode_directories(tree: &FileTree, version: PythonVersion) -> BTreeSet<TreePath> {
    let modules = tree.iter().map(|(path, _)| path).filter(|path| is_module(path, version));
    let bytecode = modules.filter_map(|path| bytecode_path(path, version, Optimise::None).ok().flatten());
    bytecode.filter_map(|path| path.parent()).collect()
}

/// Whether an interpreter of that version imports what is at this path.
fn is_module(path: &TreePath, version: PythonVersion) -> bool {
    let path = path.as_bytes();
    let path = path.strip_prefix(b"usr/local/").or_else(|| path.strip_prefix(b"usr/")).unwrap_or(path);
    let Some(rest) = path.strip_prefix(b"lib/python") else { return false };
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    rest[..end] == *version.short().as_bytes() || rest[..end] == *b"3"
}
