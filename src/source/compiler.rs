//! An interpreter that compiles, from Debian packages: the one thing that is ever unpacked to a disk, and no part of any image.
//!
//! ```text
//! CACHE/…/python-SEAL/usr/bin/python3.13
//!                     usr/lib/python3.13/…
//!                     usr/lib/TRIPLET/ld-linux….so.…, libc.so.6, …
//! ```
//!
//! Only regular files are written, under paths that were checked; links become copies. The directory gets its name when it
//! is whole. The interpreter is started through its own loader, so that nothing of the machine's libraries is needed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::Content;
use crate::debian::deb::{Deb, DebError, Limits};
use crate::python::PythonVersion;
use crate::python::bytecode::Program;
use crate::shown::Shown;
use crate::store::TemporaryDirectory;
use crate::tar::{Member, MemberKind};
use crate::tree::TreePath;

/// The most bytes that an interpreter may have.
const MAX_BYTES: u64 = 1 << 30;

/// The most files that it may have.
const MAX_FILES: usize = 50_000;

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A package is refused.
    #[error("reading the package {package}")]
    Package {
        /// Its file.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// A package could not be read.
    #[error("reading the package {package}")]
    Content {
        /// Its file.
        package: String,
        /// Why.
        source: crate::content::ContentError,
    },
    /// They hold too much.
    #[error("the packages of the interpreter hold more than an interpreter can")]
    TooLarge,
    /// There is no interpreter among them.
    #[error("the packages unpacked in {directory} hold no CPython {version} with a loader")]
    None {
        /// Where they are.
        directory: PathBuf,
        /// What was looked for.
        version: PythonVersion,
    },
    /// A file or directory could not be made.
    #[error("{action} {path}")]
    Io {
        /// What was done.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
    let path = path.to_owned();
    move |source| UnpackError::Io { action, path, source }
}

/// The directory of the interpreter whose packages come to that seal ([`crate::lock::DebianPins::seal`]), below
/// `directory`. It is made in `tmp`, on the same file system, where what is left of builds that were killed is removed. Where it is not there yet, `packages` gives the names and bytes of the packages, and it is made; two
/// builds may do that at the same time.
///
/// # Errors
/// [`UnpackError`], and what `packages` says.
pub fn unpack<E: From<UnpackError>>(
    directory: &Path,
    tmp: &Path,
    seal: &str,
    packages: impl FnOnce() -> Result<Vec<(String, Content)>, E>,
) -> Result<PathBuf, E> {
    let target = directory.join(format!("python-{seal}"));
    if target.is_dir() {
        return Ok(target);
    }
    let packages = packages()?;
    let fresh = make(tmp, &packages)?;
    match fresh.rename(&target) {
        Ok(()) => Ok(target),
        // Somebody else was faster.
        Err(_) if target.is_dir() => Ok(target),
        Err(error) => Err(failed("naming", &target)(error).into()),
    }
}

/// Takes away the directory that [`unpack`] made for that seal, all at once: nobody finds half of it; whether there was one. What is
/// left of it in `tmp` goes with what builds left there.
pub fn forget(directory: &Path, tmp: &Path, seal: &str) -> bool {
    let made = directory.join(format!("python-{seal}"));
    TemporaryDirectory::new(tmp).is_ok_and(|aside| fs::rename(made, aside.path().join("python")).is_ok())
}

fn make(tmp: &Path, packages: &[(String, Content)]) -> Result<TemporaryDirectory, UnpackError> {
    let fresh = TemporaryDirectory::new(tmp).map_err(failed("making a directory in", tmp))?;
    let mut debs = Vec::new();
    for (name, content) in packages {
        let input = content.open().map_err(|source| UnpackError::Content { package: name.clone(), source })?;
        let spool = Arc::new(tempfile::tempfile_in(tmp).map_err(failed("making a file in", tmp))?);
        let deb = Deb::read(input, &spool, name, Limits::default());
        debs.push(deb.map_err(|source| UnpackError::Package { package: name.clone(), source })?);
    }
    let mut members: BTreeMap<TreePath, (&Deb, &Member)> = BTreeMap::new();
    for deb in &debs {
        for member in &deb.members {
            members.insert(merged(&member.path), (deb, member));
        }
    }
    let mut total = 0;
    let wanted = members.keys().filter(|path| is_wanted(path));
    for (count, path) in wanted.enumerate() {
        let Some((deb, file)) = follow(&members, path) else { continue };
        total += file.size;
        if total > MAX_BYTES || count >= MAX_FILES {
            return Err(UnpackError::TooLarge);
        }
        write(fresh.path(), path, deb, file)?;
    }
    let handle = File::open(fresh.path()).map_err(failed("opening", fresh.path()))?;
    rustix::fs::syncfs(&handle).map_err(|error| failed("writing", fresh.path())(error.into()))?;
    Ok(fresh)
}

/// The path below a merged `/usr`.
fn merged(path: &TreePath) -> TreePath {
    let first = path.components().next().unwrap_or_default();
    let aliased = [&b"bin"[..], b"sbin", b"lib", b"lib64"].contains(&first);
    let usr = TreePath::parse("usr").ok().filter(|_| aliased);
    usr.and_then(|usr| usr.join(path).ok()).unwrap_or_else(|| path.clone())
}

/// What an interpreter needs: itself, its modules, libraries. Never what a name could do harm with: all is below `usr`.
fn is_wanted(path: &TreePath) -> bool {
    let bytes = path.as_bytes();
    let needless = path.components().any(|part| [&b"gconv"[..], b"test", b"__pycache__"].contains(&part));
    !needless && (bytes.starts_with(b"usr/lib/") || bytes.starts_with(b"usr/bin/python3"))
}

/// The file that a path leads to.
fn follow<'a>(members: &BTreeMap<TreePath, (&'a Deb, &'a Member)>, path: &TreePath) -> Option<(&'a Deb, &'a Member)> {
    let mut at = path.clone();
    for _ in 0..40 {
        let (deb, member) = members.get(&at)?;
        at = match &member.kind {
            MemberKind::File => return Some((deb, member)),
            MemberKind::Hardlink(target) => merged(target),
            MemberKind::Symlink(target) => {
                let parent = at.parent()?;
                let mut parts: Vec<&[u8]> = match target.starts_with(b"/") {
                    true => Vec::new(),
                    false => parent.components().collect(),
                };
                for part in target.split(|byte| *byte == b'/') {
                    match part {
                        b"" | b"." => {}
                        b".." => {
                            parts.pop();
                        }
                        part => parts.push(part),
                    }
                }
                merged(&TreePath::parse(parts.join(&b'/')).ok()?)
            }
            MemberKind::Directory | MemberKind::Special => return None,
        };
    }
    None
}

fn write(root: &Path, path: &TreePath, deb: &Deb, file: &Member) -> Result<(), UnpackError> {
    use std::os::unix::ffi::OsStrExt;
    // A `TreePath` has no `..`, and `root` holds only directories that were made here.
    let target = root.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
    let directory = target.parent().unwrap_or(root);
    fs::create_dir_all(directory).map_err(failed("making", directory))?;
    let mode = if file.mode & 0o111 != 0 { 0o755 } else { 0o644 };
    let mut options = OpenOptions::new();
    let out = options.write(true).create_new(true).mode(mode).open(&target);
    let mut out = out.map_err(failed("making", &target))?;
    let mut content = deb
        .content(file)
        .open()
        .map_err(|source| UnpackError::Content { package: Shown::new(deb.name.as_bytes()).to_string(), source })?;
    io::copy(&mut content, &mut out).map_err(failed("writing", &target))?;
    Ok(())
}

/// The interpreter of that version in a directory that [`unpack`] made, started through the loader beside it.
///
/// # Errors
/// [`UnpackError::None`].
pub fn interpreter_in(directory: &Path, version: PythonVersion) -> Result<Program, UnpackError> {
    // It is started elsewhere.
    let directory = std::path::absolute(directory).map_err(failed("finding", directory))?;
    let none = || UnpackError::None { directory: directory.clone(), version };
    let usr = directory.join("usr");
    let python = usr.join(format!("bin/python{}", version.short()));
    let lib = usr.join("lib");
    let mut libraries = vec![lib.clone()];
    for entry in fs::read_dir(&lib).map_err(failed("reading", &lib))? {
        let path = entry.map_err(failed("reading", &lib))?.path();
        if path.is_dir() && path.to_string_lossy().contains("-linux-gnu") {
            libraries.push(path);
        }
    }
    libraries.sort();
    let loaders = libraries.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
    let mut loaders: Vec<PathBuf> = loaders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ld-linux"))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    loaders.sort();
    match (python.is_file(), loaders.into_iter().next()) {
        (true, Some(loader)) => Ok(Program::new(python).with_loader(loader, libraries, usr)),
        _ => Err(none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::deb::tests::{FIELDS, TestTar, control, deb};
    use crate::debian::decode::Compression;
    use crate::source::bytecode::{CompilersError, find_compilers};

    /// A loader that is a script, and answers as the interpreter would.
    const LOADER: &str = "#!/bin/sh\nhere=${0%/*}\n[ \"$PYTHONHOME $1\" = \"${here%/lib/*} --inhibit-cache\" ] && [ -f \"$4\" ] || exit 1\nprintf 'h\\040\\000\\000\\000\\000\\000\\000\\0003.99.5 final cpython cpython-399'\nread x\n";

    fn package(name: &str, data: TestTar) -> (String, Content) {
        let fields = FIELDS.replace("Package: a", &format!("Package: {name}"));
        (name.to_owned(), Content::inline(deb(control(&fields), data, Compression::Plain)))
    }

    fn packages() -> Vec<(String, Content)> {
        let libc = TestTar::default()
            .file("./lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, LOADER)
            .symlink("./lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
            .file("./lib/x86_64-linux-gnu/gconv/X.so", 0o644, "")
            .file("./etc/passwd", 0o644, "no")
            .symlink("./usr/lib/x86_64-linux-gnu/out.so", "../../../../../etc/passwd")
            .symlink("./usr/lib/x86_64-linux-gnu/loop.so", "loop.so");
        let python = TestTar::default()
            .file("./usr/bin/python3.99", 0o755, "python")
            .symlink("./usr/bin/python3", "python3.99")
            .file("./usr/lib/python3.99/os.py", 0o644, "x")
            .hardlink("./usr/lib/python3.99/os2.py", "./usr/lib/python3.99/os.py")
            .file("./usr/share/doc/x", 0o644, "no");
        vec![package("libc6", libc), package("python3.99-minimal", python)]
    }

    #[test]
    fn regular_files_below_usr_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let made = unpack(directory.path(), tmp.path(), "abc", || Ok::<_, UnpackError>(packages())).unwrap();
        assert_eq!(made, directory.path().join("python-abc"));
        let mut found: Vec<String> = walkdir::WalkDir::new(&made)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                assert!(entry.file_type().is_file(), "{entry:?}");
                entry.path().strip_prefix(&made).unwrap().display().to_string()
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "usr/bin/python3",
                "usr/bin/python3.99",
                "usr/lib/python3.99/os.py",
                "usr/lib/python3.99/os2.py",
                "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                "usr/lib/x86_64-linux-gnu/out.so",
            ]
        );
        // A link out of the packages' root leads to their own root, as in an image.
        assert_eq!(fs::read_to_string(made.join("usr/lib/x86_64-linux-gnu/out.so")).unwrap(), "no");
        // The second time nobody asks for packages.
        let again: Result<_, UnpackError> = unpack(directory.path(), tmp.path(), "abc", || panic!("asked again"));
        assert_eq!(again.unwrap(), made);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let bad = vec![("x.deb".to_owned(), Content::inline(*b"no package"))];
        let error = unpack(directory.path(), tmp.path(), "bad", || Ok::<_, UnpackError>(bad)).unwrap_err();
        assert!(error.to_string().contains("x.deb"), "{error}");
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn it_is_started_through_its_own_loader() {
        let directory = tempfile::tempdir().unwrap();
        let version: PythonVersion = "3.99.5".parse().unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let made = || unpack::<CompilersError>(directory.path(), tmp.path(), "abc", || Ok(packages()));
        let found = find_compilers(version, None, None, 1, Some(&made)).unwrap();
        assert_eq!(found.version(), version);
        let other: PythonVersion = "3.99.6".parse().unwrap();
        let error = find_compilers(other, None, None, 1, Some(&made)).err().unwrap().to_string();
        assert!(error.contains("CPython 3.99.6") && error.contains("only 3.99.5"), "{error}");
        let error = find_compilers(other, None, None, 1, None).err().unwrap().to_string();
        assert!(error.contains("CPython 3.99.6"), "{error}");
        fs::remove_dir_all(made().unwrap().join("usr/lib/x86_64-linux-gnu")).unwrap();
        assert!(matches!(interpreter_in(&made().unwrap(), version), Err(UnpackError::None { .. })));
    }
}
