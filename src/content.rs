//! The contents of files: where their bytes are, and how they are read without being fooled.

mod host_file;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

pub use host_file::{FileIdentity, FoundFiles, HostFile, HostFiles};

use crate::oci::{Digest, Hasher};
use crate::shown::Shown;

/// Where the bytes of a file are. Equal where the bytes are known to be equal.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory: texts of the recipe, accounts, small generated files.
    Inline(Arc<[u8]>),
    /// A file of the build context.
    Host(HostFile),
    /// A stretch of a file that does not change: the spooled tar of an archive or package.
    Slice(Slice),
}

/// A stretch of an open file. Small, since trees hold very many contents.
#[derive(Clone, Debug)]
pub struct Slice(Arc<Stretch>);

#[derive(Clone, Debug)]
struct Stretch {
    file: Arc<File>,
    name: Arc<str>,
    offset: u64,
    length: u64,
    digest: Option<Digest>,
}

/// Why contents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file could not be opened.
    #[error("opening {path}")]
    Open {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
    /// The file is not the one that was found when the build looked.
    #[error("{path} changed while it was read ({how}): build again when nothing writes to it")]
    Changed {
        /// The file.
        path: Shown,
        /// What is different.
        how: &'static str,
    },
    /// What is kept is not what was put there.
    #[error("{path} is damaged: its bytes have another digest than {expected}")]
    Damaged {
        /// What it is.
        path: Shown,
        /// The digest that its bytes should have.
        expected: Digest,
    },
    /// A directory is where something is kept.
    #[error("{path} is damaged: it is a directory")]
    Directory {
        /// What it is.
        path: Shown,
        /// The digest of what is kept there.
        expected: Digest,
    },
    /// Reading failed.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: Shown,
        /// Why.
        source: io::Error,
    },
}

impl From<ContentError> for io::Error {
    fn from(error: ContentError) -> Self {
        io::Error::other(error)
    }
}

impl Content {
    /// Bytes in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        Content::Inline(bytes.into())
    }

    /// A file of the build context that was found with that identity.
    pub fn host(path: impl Into<PathBuf>, identity: FileIdentity) -> Self {
        Content::Host(HostFile::new(path, identity))
    }

    /// A stretch of an open file that nothing writes to. `name` is for messages.
    pub fn slice(file: Arc<File>, name: Arc<str>, offset: u64, length: u64) -> Self {
        Content::Slice(Slice(Arc::new(Stretch { file, name, offset, length, digest: None })))
    }

    /// The same contents, with their digest known. When they are read, they must give it.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        match self {
            Content::Inline(bytes) => Content::Inline(bytes),
            Content::Host(file) => Content::Host(file.with_digest(digest)),
            Content::Slice(mut slice) => {
                Arc::make_mut(&mut slice.0).digest = Some(digest);
                Content::Slice(slice)
            }
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Host(file) => file.identity().size,
            Content::Slice(slice) => slice.0.length,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of the bytes, where it is known without reading them.
    pub fn known_digest(&self) -> Option<Digest> {
        match self {
            Content::Inline(bytes) => Some(Digest::of(bytes)),
            Content::Host(file) => file.known_digest(),
            Content::Slice(slice) => slice.0.digest,
        }
    }

    /// The file of the build context, where it is one.
    pub fn host_file(&self) -> Option<&HostFile> {
        match self {
            Content::Host(file) => Some(file),
            _ => None,
        }
    }

    /// Whether both are the very same stretch of the same file, or the same memory: told without reading.
    pub fn is_same_place(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Inline(a), Content::Inline(b)) => Arc::ptr_eq(a, b),
            (Content::Host(a), Content::Host(b)) => a.is_same(b),
            (Content::Slice(a), Content::Slice(b)) => {
                Arc::ptr_eq(&a.0.file, &b.0.file) && (a.0.offset, a.0.length) == (b.0.offset, b.0.length)
            }
            _ => false,
        }
    }

    /// A reader of exactly [`Content::len`] bytes. It fails, rather than pads or cuts, where the file is no longer what
    /// was found: another inode, another length, another time, or (where the digest is known) other bytes.
    ///
    /// # Errors
    /// [`ContentError`]; the reader's own errors carry one too.
    pub fn open(&self) -> Result<ContentReader, ContentError> {
        let (kind, digest) = match self {
            Content::Inline(bytes) => (Reading::Inline(bytes.clone(), 0), None),
            Content::Host(file) => (Reading::Host(open_host(file)?, file.clone()), file.known_digest()),
            Content::Slice(slice) => (Reading::Slice(slice.clone(), 0), slice.0.digest),
        };
        Ok(ContentReader { kind, left: self.len(), check: digest.map(|digest| (Hasher::new(), digest)), done: false })
    }

    /// A reader of exactly `length` bytes from `offset` on. As [`Content::open`], but a known digest is not checked: it
    /// is that of the whole.
    ///
    /// # Errors
    /// [`ContentError`]; also where the contents end before that.
    pub fn open_part(&self, offset: u64, length: u64) -> Result<ContentReader, ContentError> {
        let mut reader = self.open()?;
        if offset.checked_add(length).is_none_or(|end| end > self.len()) {
            return Err(ContentError::Changed { path: reader.shown(), how: "it ended early" });
        }
        reader.check = None;
        reader.left = length;
        match &mut reader.kind {
            Reading::Inline(_, at) => *at = usize::try_from(offset).unwrap_or(usize::MAX),
            Reading::Slice(_, at) => *at = offset,
            Reading::Host(handle, file) => {
                use std::io::Seek;
                handle.seek(io::SeekFrom::Start(offset)).map_err(|source| ContentError::Read {
                    path: Shown::new(file.path().as_os_str().as_encoded_bytes()),
                    source,
                })?;
            }
        }
        Ok(reader)
    }

    /// The contents opened for reading at any place, for archives that have their table at the end.
    ///
    /// # Errors
    /// As [`Content::open`].
    pub fn open_at(&self) -> Result<ContentAt, ContentError> {
        Ok(match self {
            Content::Inline(bytes) => ContentAt::Inline(bytes.clone()),
            Content::Host(file) => ContentAt::Host(open_host(file)?, file.clone()),
            Content::Slice(slice) => ContentAt::Slice(slice.clone()),
        })
    }

    /// All the bytes, for small files.
    ///
    /// # Errors
    /// As [`Content::open`]; also where there are more than `limit` bytes.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len() > limit {
            return Err(io::Error::other(format!("the file has {} bytes, and the limit is {limit}", self.len())));
        }
        let mut bytes = Vec::with_capacity(self.len() as usize);
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        if let (Content::Host(a), Content::Host(b)) = (self, other)
            && a.identity() == b.identity()
            && a.path() == b.path()
        {
            return true;
        }
        if self.is_same_place(other) {
            return true;
        }
        if self.len() != other.len() {
            return false;
        }
        match (self.known_digest(), other.known_digest()) {
            (Some(a), Some(b)) => a == b,
            _ => same_bytes(self, other).unwrap_or(false),
        }
    }
}

impl Eq for Content {}

/// Compares by reading: two sources of one destination are rare, and then usually the same small file.
fn same_bytes(a: &Content, b: &Content) -> io::Result<bool> {
    let (mut a, mut b) = (io::BufReader::new(a.open()?), io::BufReader::new(b.open()?));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        b.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

fn open_host(file: &HostFile) -> Result<File, ContentError> {
    let handle = file.open().map_err(|error| ContentError::Open { path: file.shown(), source: error.into() })?;
    let stat =
        rustix::fs::fstat(&handle).map_err(|error| ContentError::Read { path: file.shown(), source: error.into() })?;
    compare(file, &FileIdentity::of(&stat))?;
    Ok(File::from(handle))
}

fn compare(file: &HostFile, now: &FileIdentity) -> Result<(), ContentError> {
    let then = file.identity();
    let how = if (then.device, then.inode) != (now.device, now.inode) {
        "another file took its name"
    } else if then.size != now.size {
        "its length is different"
    } else if then.mtime != now.mtime || then.ctime != now.ctime {
        "its times are different"
    } else {
        return Ok(());
    };
    Err(ContentError::Changed { path: file.shown(), how })
}

enum Reading {
    Inline(Arc<[u8]>, usize),
    Host(File, HostFile),
    Slice(Slice, u64),
}

/// Reads contents at any place. Digests are not checked on the way: whoever needs that reads the whole first.
pub enum ContentAt {
    /// Bytes in memory.
    Inline(Arc<[u8]>),
    /// A file of the build context, opened when it was still the one that was found.
    Host(File, HostFile),
    /// A stretch of a file.
    Slice(Slice),
}

impl ContentAt {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            ContentAt::Inline(bytes) => bytes.len() as u64,
            ContentAt::Host(_, file) => file.identity().size,
            ContentAt::Slice(slice) => slice.0.length,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some bytes from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let left = self.len().saturating_sub(offset);
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // Where nothing is wanted nothing is asked of the kernel, which would refuse the offset.
        if want == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..want];
        match self {
            ContentAt::Inline(bytes) => {
                let from = offset as usize;
                buffer.copy_from_slice(&bytes[from..from + want]);
                Ok(want)
            }
            ContentAt::Host(file, _) => file.read_at(buffer, offset),
            ContentAt::Slice(slice) => slice.0.file.read_at(buffer, slice.0.offset.saturating_add(offset)),
        }
    }

    /// Whether what was read since the opening is still what was found then: to be asked after the last read.
    ///
    /// # Errors
    /// [`ContentError::Changed`] where the file is another one, or was written to.
    pub fn unchanged(&self) -> Result<(), ContentError> {
        let ContentAt::Host(handle, file) = self else { return Ok(()) };
        let stat = rustix::fs::fstat(handle)
            .map_err(|error| ContentError::Read { path: file.shown(), source: error.into() })?;
        compare(file, &FileIdentity::of(&stat))
    }
}

/// Reads contents; ends after exactly their length, or fails.
pub struct ContentReader {
    kind: Reading,
    left: u64,
    check: Option<(Hasher, Digest)>,
    done: bool,
}

impl ContentReader {
    fn shown(&self) -> Shown {
        match &self.kind {
            Reading::Inline(..) => Shown::new(b"inline text"),
            Reading::Host(_, file) => file.shown(),
            Reading::Slice(slice, _) => Shown::new(slice.0.name.as_bytes()),
        }
    }

    /// What must hold once every byte is read.
    fn finish(&mut self) -> io::Result<()> {
        self.done = true;
        if let Reading::Host(handle, file) = &self.kind {
            let stat = rustix::fs::fstat(handle)
                .map_err(|error| ContentError::Read { path: self.shown(), source: error.into() })?;
            compare(file, &FileIdentity::of(&stat))?;
        }
        if let Some((hasher, expected)) = self.check.take()
            && hasher.finish() != expected
        {
            let path = self.shown();
            return Err(match self.kind {
                Reading::Host(..) => ContentError::Changed { path, how: "its bytes have another digest" },
                _ => ContentError::Damaged { path, expected },
            }
            .into());
        }
        Ok(())
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if !self.done {
                self.finish()?;
            }
            return Ok(0);
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..want];
        let count = match &mut self.kind {
            Reading::Inline(bytes, at) => {
                buffer.copy_from_slice(&bytes[*at..*at + want]);
                *at += want;
                Ok(want)
            }
            Reading::Host(handle, _) => handle.read(buffer),
            Reading::Slice(slice, at) => {
                use std::os::unix::fs::FileExt;
                let count = slice.0.file.read_at(buffer, slice.0.offset + *at);
                *at += *count.as_ref().unwrap_or(&0) as u64;
                count
            }
        };
        let count = match count {
            Ok(0) => return Err(ContentError::Changed { path: self.shown(), how: "it ended early" }.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => return Err(ContentError::Read { path: self.shown(), source }.into()),
        };
        self.left -= count as u64;
        if let Some((hasher, _)) = &mut self.check {
            hasher.update(&buffer[..count]);
        }
        // Checked with the last bytes, so that a caller who reads just the length still learns of it.
        if self.left == 0 {
            self.finish()?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    fn found(path: &Path) -> Content {
        let stat = rustix::fs::lstat(path).unwrap();
        Content::host(path, FileIdentity::of(&stat))
    }

    #[test]
    fn a_file_that_changes_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let make = || std::fs::write(&path, b"hello").unwrap();

        make();
        assert_eq!(found(&path).read_all(10).unwrap(), b"hello");

        let content = found(&path);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        assert!(content.read_all(10).unwrap_err().to_string().contains("length"));

        make();
        let content = found(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(content.read_all(10).unwrap_err().to_string().contains("opening"));

        make();
        let content = found(&path);
        std::fs::rename(&path, directory.path().join("g")).unwrap();
        std::os::unix::fs::symlink("g", &path).unwrap();
        assert!(content.open().is_err());

        // Becomes a FIFO, which nobody waits for.
        std::fs::remove_file(&path).unwrap();
        make();
        let content = found(&path);
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::fs::rename(&fifo, &path).unwrap();
        assert!(content.open().err().unwrap().to_string().contains("another file took its name"));

        // Grows between two reads; vanishes between two reads.
        for change in [
            (|path| std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"!").unwrap()) as fn(&Path),
            |path| std::fs::remove_file(path).unwrap(),
        ] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, vec![7; 100_000]).unwrap();
            let mut reader = found(&path).open().unwrap();
            reader.read_exact(&mut [0; 10]).unwrap();
            change(&path);
            let mut rest = Vec::new();
            let error = reader.read_to_end(&mut rest).unwrap_err();
            assert!(error.to_string().contains("changed while it was read"), "{error}");
            std::fs::write(&path, b"").unwrap();
        }

        // Shrinks between two reads.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        let mut reader = found(&path).open().unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(50).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }

    #[test]
    fn known_digests_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, b"hello").unwrap();
        assert!(found(&path).with_digest(Digest::of(b"hello")).read_all(10).is_ok());
        assert!(found(&path).with_digest(Digest::of(b"other")).read_all(10).is_err());
        let file = Arc::new(File::open(&path).unwrap());
        let slice = Content::slice(file.clone(), "f".into(), 1, 3);
        assert_eq!(slice.read_all(10).unwrap(), b"ell");
        assert_eq!(slice, Content::inline(&b"ell"[..]));
        assert_ne!(slice, Content::inline(&b"elk"[..]));
        assert!(Content::slice(file, "f".into(), 4, 3).read_all(10).is_err());
    }

    #[test]
    fn parts_are_read_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        for content in [found(&path), Content::inline(&b"0123456789"[..]), Content::slice(file, "f".into(), 0, 10)] {
            let content = content.with_digest(Digest::of(b"0123456789"));
            let read = |offset, length| {
                let mut bytes = Vec::new();
                content.open_part(offset, length)?.read_to_end(&mut bytes)?;
                Ok::<_, io::Error>(bytes)
            };
            assert_eq!(read(3, 4).unwrap(), b"3456");
            assert_eq!(read(0, 10).unwrap(), b"0123456789");
            assert_eq!(read(10, 0).unwrap(), b"");
            assert!(read(3, 8).is_err() && read(u64::MAX, 2).is_err());
        }
    }

    #[test]
    fn contents_are_read_at_any_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let stat = rustix::fs::stat(file.path()).unwrap();
        let handle = Arc::new(File::open(file.path()).unwrap());
        for content in [
            Content::inline(*b"0123456789"),
            Content::host(file.path(), FileIdentity::of(&stat)),
            Content::slice(handle.clone(), "x".into(), 0, 10),
        ] {
            let open = content.open_at().unwrap();
            for (offset, expected) in [(0, "0123"), (8, "89"), (10, ""), (u64::MAX, "")] {
                let mut buffer = [0; 4];
                let count = open.read_at(&mut buffer, offset).unwrap();
                assert_eq!(&buffer[..count], expected.as_bytes());
            }
            assert_eq!((open.len(), open.is_empty()), (10, false));
            open.unchanged().unwrap();
        }
        let content = Content::host(file.path(), FileIdentity::of(&stat)).open_at().unwrap();
        let slice = Content::slice(handle, "x".into(), 3, 4).open_at().unwrap();
        assert_eq!(slice.read_at(&mut [0; 9], 2).unwrap(), 2);
        std::fs::write(file.path(), b"longer than before").unwrap();
        assert!(matches!(content.unchanged(), Err(ContentError::Changed { .. })));
    }
}
