//! The ignore file of a context: which one it is, and what it says.
//!
//! As Docker has it, a file named after the recipe and lying beside it (`lapstrake.toml.dockerignore`) takes the place of
//! `.dockerignore` at the context's root. Where there is neither, podman's `.containerignore` at the root is read.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::pattern::{PatternError, Patterns};
use crate::shown::Shown;

/// No ignore file in use comes near this, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// What is ignored, and who says so.
#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    path: Option<PathBuf>,
    patterns: Patterns,
}

/// Why an ignore file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreError {
    /// It is there but cannot be read.
    #[error("reading the ignore file {path}")]
    Read {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a FIFO or the like.
    #[error("the ignore file {path} is no regular file")]
    Kind {
        /// The file.
        path: Shown,
    },
    /// It is too large.
    #[error("the ignore file {path} has more than 4 MiB")]
    Size {
        /// The file.
        path: Shown,
    },
    /// A line is malformed.
    #[error("{path}, line {line}")]
    Line {
        /// The file.
        path: Shown,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: PatternError,
    },
}

impl IgnoreFile {
    /// Finds and reads the ignore file of a context and, where there is one, a recipe.
    ///
    /// # Errors
    /// [`IgnoreError`] where one is there and cannot be used; that there is none is fine.
    pub fn find(context: &Path, recipe: Option<&Path>) -> Result<Self, IgnoreError> {
        let beside = recipe.map(|recipe| {
            let mut name = OsString::from(recipe);
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        let usual = [".dockerignore", ".containerignore"].map(|name| context.join(name));
        for path in beside.into_iter().chain(usual) {
            if let Some(text) = read(&path)? {
                return Self::parse(path, &text);
            }
        }
        Ok(Self::default())
    }

    /// Reads the text of an ignore file: a pattern a line, blank lines and lines that start with `#` left out; a byte
    /// order mark is skipped, CRLF is fine.
    ///
    /// # Errors
    /// [`IgnoreError::Line`].
    pub fn parse(path: PathBuf, text: &[u8]) -> Result<Self, IgnoreError> {
        let mut patterns = Patterns::default();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            // Only at the very start: a blank before it makes it a pattern, as in Docker.
            if !line.starts_with(b"#") {
                let line_error = |source| IgnoreError::Line { path: shown(&path), line: at + 1, source };
                patterns.push(line, at + 1).map_err(line_error)?;
            }
        }
        Ok(IgnoreFile { path: Some(path), patterns })
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its patterns.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }
}

fn shown(path: &Path) -> Shown {
    Shown::new(path.as_os_str().as_encoded_bytes())
}

/// The bytes of a regular file, by whatever links it is reached; `None` where there is nothing.
fn read(path: &Path) -> Result<Option<Vec<u8>>, IgnoreError> {
    let failed = |source: io::Error| IgnoreError::Read { path: shown(path), source };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let handle = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let stat = rustix::fs::fstat(&handle).map_err(|error| failed(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(IgnoreError::Kind { path: shown(path) });
    }
    let mut bytes = Vec::new();
    std::fs::File::from(handle).take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(IgnoreError::Size { path: shown(path) });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> IgnoreFile {
        IgnoreFile::parse("x/.dockerignore".into(), text).unwrap()
    }

    #[test]
    fn semantics_10_lines_of_the_ignore_file() {
        let file = parse(b"\xef\xbb\xbf# comment\r\n\r\n*.md\r\n!README.md\r\n  \r\n #odd\n\\#x\n# last");
        for (path, ignored) in [
            ("a.md", true),
            ("README.md", false),
            ("comment", false),
            ("# comment", false),
            ("#odd", true),
            ("#x", true),
            ("# last", false),
        ] {
            assert_eq!(file.patterns().matches(path.as_bytes()), ignored, "{path}");
        }
        assert!(parse(b"").patterns().is_empty());
        assert!(parse(b"#a\n\n  \n").patterns().is_empty());
        assert!(parse(b"\xef\xbb\xbf#a").patterns().is_empty());
        assert!(parse(b"caf\xe9").patterns().matches(b"caf\xe9"));
        assert_eq!(file.patterns().said(0), Some(("*.md", 3)));
    }

    #[test]
    fn errors_have_file_and_line() {
        let error = IgnoreFile::parse("x/.dockerignore".into(), b"# c\n\n!\n").unwrap_err();
        assert_eq!(error.to_string(), "`x/.dockerignore`, line 3");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "pattern `!` is an exception from nothing: write a path after the `!`");
        assert!(matches!(
            IgnoreFile::parse("f".into(), b"ok\nsrc/[a\n"),
            Err(IgnoreError::Line { line: 2, source: PatternError::Glob(_), .. })
        ));
    }

    #[test]
    fn semantics_10_the_recipe_s_own_file_takes_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let context = directory.path().join("context");
        std::fs::create_dir(&context).unwrap();
        let recipe = directory.path().join("app.toml");
        let found = || IgnoreFile::find(&context, Some(&recipe)).unwrap();

        assert_eq!(found().path(), None);
        assert!(found().patterns().is_empty());
        std::fs::write(context.join(".containerignore"), "c").unwrap();
        assert_eq!(found().path(), Some(&*context.join(".containerignore")));
        std::fs::write(context.join(".dockerignore"), "d").unwrap();
        assert_eq!(found().path(), Some(&*context.join(".dockerignore")));
        std::fs::write(directory.path().join("app.toml.dockerignore"), "r").unwrap();
        let file = found();
        assert_eq!(file.path(), Some(&*directory.path().join("app.toml.dockerignore")));
        assert!(file.patterns().matches(b"r") && !file.patterns().matches(b"d"));
        assert!(IgnoreFile::find(&context, None).unwrap().patterns().matches(b"d"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".dockerignore");
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(IgnoreFile::find(directory.path(), None), Err(IgnoreError::Kind { .. })));
        std::fs::remove_dir(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert!(matches!(IgnoreFile::find(directory.path(), None), Err(IgnoreError::Kind { .. })));
        std::fs::remove_file(&path).unwrap();
        std::fs::File::create(&path).unwrap().set_len(MAX_SIZE + 1).unwrap();
        assert!(matches!(IgnoreFile::find(directory.path(), None), Err(IgnoreError::Size { .. })));
    }
}
