//! Decompressed members of wheels: one file that nobody can name, with slices of it as contents.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::content::Content;
use crate::oci::Digest;

/// A file that grows, and whose written stretches become contents of entries. It has no name, so that nothing of it is
/// left however the process ends; it is there for as long as one of the contents is.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    length: u64,
}

impl Spool {
    /// An empty spool on the file system of that directory (the store's `tmp`).
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Spool { file: Arc::new(tempfile::tempfile_in(directory)?), length: 0 })
    }

    /// Begins a stretch.
    pub fn begin(&mut self) -> Stretch<'_> {
        let start = self.length;
        Stretch { spool: self, start }
    }
}

/// A stretch that is being written. What is not finished is written over by the next.
pub struct Stretch<'a> {
    spool: &'a mut Spool,
    start: u64,
}

impl Stretch<'_> {
    /// Adds bytes.
    ///
    /// # Errors
    /// Where they cannot be written (a full disk).
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.spool.file.write_all_at(bytes, self.spool.length)?;
        self.spool.length += bytes.len() as u64;
        Ok(())
    }

    /// The contents of the stretch, whose digest is known. `name` is for messages.
    pub fn finish(self, name: &str, digest: Digest) -> Content {
        let length = self.spool.length - self.start;
        if length == 0 {
            return Content::inline(Vec::new());
        }
        Content::slice(self.spool.file.clone(), name.into(), self.start, length).with_digest(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_become_contents() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(directory.path()).unwrap();
        let mut contents = Vec::new();
        for text in ["one", "", "three"] {
            let mut stretch = spool.begin();
            stretch.append(&text.as_bytes()[..text.len() / 2]).unwrap();
            stretch.append(&text.as_bytes()[text.len() / 2..]).unwrap();
            contents.push((text, stretch.finish(text, Digest::of(text.as_bytes()))));
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        drop(spool);
        for (text, content) in contents {
            assert_eq!(content.read_all(10).unwrap(), text.as_bytes());
        }
    }
}
