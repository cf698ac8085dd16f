//! The tars that images are put into: the same images, the same bytes.
//!
//! What tells about the others comes first (`oci-layout`, `index.json`, `manifest.json`), then documents, configs and layers
//! in the order of the images, so that a reader that cannot seek knows early what it will get. Every loader takes any
//! order: containerd and podman take members as they come, Docker unpacks the whole first. Headers are ustar with the time
//! that layers have too; a blob of 8 GiB or more gets a PAX record for its size.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use super::Artifact;
use super::listing;
use super::output::OutputError;
use crate::content::Content;
use crate::oci::{Descriptor, Digest};
use crate::report::Task;
use crate::tar::MTIME;

/// Writes the members of an archive.
pub(super) struct ArchiveWriter<'a> {
    out: &'a mut dyn Write,
    task: &'a Task,
    written: BTreeSet<Digest>,
    directories: bool,
}

/// The largest size that its field holds, in octal.
const MAX_SIZE: u64 = 0o777_7777_7777;

impl<'a> ArchiveWriter<'a> {
    /// Begins an archive; the task hears of each byte.
    pub(super) fn new(out: &'a mut dyn Write, task: &'a Task) -> Self {
        ArchiveWriter { out, task, written: BTreeSet::new(), directories: false }
    }

    /// A small file.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        self.header(name, b'0', bytes.len() as u64)?;
        self.bytes(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// A blob, where it is not there yet.
    pub(super) fn blob(&mut self, descriptor: &Descriptor, content: &Content) -> Result<(), OutputError> {
        if !self.written.insert(descriptor.digest) {
            return Ok(());
        }
        if !self.directories {
            self.directories = true;
            self.header("blobs/", b'5', 0)?;
            self.header("blobs/sha256/", b'5', 0)?;
        }
        self.header(&listing::blob_path(&descriptor.digest), b'0', descriptor.size)?;
        copy(descriptor, content, &mut |bytes| self.bytes(bytes))?;
        self.pad(descriptor.size)
    }

    /// All documents and blobs of the images, each once.
    pub(super) fn everything(&mut self, artifacts: &[Artifact]) -> Result<(), OutputError> {
        for artifact in artifacts {
            for document in artifact.documents() {
                self.blob(document.descriptor(), &Content::inline(document.bytes()))?;
            }
        }
        for artifact in artifacts {
            for descriptor in artifact.blobs() {
                if !self.written.contains(&descriptor.digest) {
                    self.blob(descriptor, &artifact.content(descriptor)?)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(super) fn finish(self) -> Result<(), OutputError> {
        self.out.write_all(&[0; 1024]).map_err(OutputError::Stream)?;
        self.out.flush().map_err(OutputError::Stream)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.out.write_all(bytes).map_err(OutputError::Stream)?;
        self.task.advance(bytes.len() as u64);
        Ok(())
    }

    fn pad(&mut self, length: u64) -> Result<(), OutputError> {
        let pad = (512 - length % 512) % 512;
        self.out.write_all(&[0; 512][..pad as usize]).map_err(OutputError::Stream)
    }

    fn header(&mut self, name: &str, kind: u8, size: u64) -> Result<(), OutputError> {
        let mut blocks = Vec::with_capacity(1536);
        if size > MAX_SIZE {
            // `LENGTH size=DIGITS\n`: with 11 digits or more, the length has two.
            let digits = size.to_string();
            let record = format!("{} size={digits}\n", 9 + digits.len());
            let name = format!("PaxHeaders/{}", name.rsplit('/').next().unwrap_or_default());
            blocks.extend_from_slice(&block(&name, b'x', record.len() as u64));
            blocks.extend_from_slice(record.as_bytes());
            blocks.resize(1024, 0);
        }
        blocks.extend_from_slice(&block(name, kind, if size > MAX_SIZE { 0 } else { size }));
        self.out.write_all(&blocks).map_err(OutputError::Stream)
    }
}

/// One ustar header. Names are at most 80 bytes long here.
fn block(name: &str, kind: u8, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    let bytes = header.as_mut_bytes();
    *bytes = [0; 512];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let mode = if kind == b'5' { 0o755 } else { 0o644 };
    for (field, value) in [(100..107, mode), (108..115, 0), (116..123, 0), (124..135, size), (136..147, MTIME)] {
        for (place, byte) in bytes[field].iter_mut().rev().enumerate() {
            *byte = b'0' + ((value >> (3 * place)) & 7) as u8;
        }
    }
    bytes[156] = kind;
    bytes[257..265].copy_from_slice(b"ustar\x0000");
    header.set_cksum();
    *header.as_bytes()
}

/// Passes on the bytes of a blob. They are checked on the way: where they are not what the descriptor says, this fails
/// before anybody takes the output for whole.
pub(super) fn copy(
    descriptor: &Descriptor,
    content: &Content,
    write: &mut dyn FnMut(&[u8]) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let digest = descriptor.digest;
    let failed = |source| OutputError::Blob { digest, source };
    let other = |what: &str| failed(std::io::Error::other(format!("the bytes have another {what}")));
    if content.len() != descriptor.size {
        return Err(other("length"));
    }
    if content.known_digest().is_some_and(|known| known != digest) {
        return Err(other("digest"));
    }
    let mut reader = content.clone().with_digest(digest).open().map_err(|error| failed(error.into()))?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = descriptor.size;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) if left == 0 => return Ok(()),
            Ok(0) => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                left = left.saturating_sub(count as u64);
                write(&buffer[..count])?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Phase, Reporter};
    use crate::tar::{Member, Reader};

    #[test]
    fn sizes_of_8_gib_and_more_get_a_record() {
        for size in [0, 1, MAX_SIZE, MAX_SIZE + 1, 99_999_999_999, 100_000_000_000, 1 << 50] {
            let task = Reporter::silent().task(Phase::Write, "test", None);
            let mut out: Vec<u8> = Vec::new();
            ArchiveWriter::new(&mut out, &task).header("blobs/sha256/ab", b'0', size).unwrap();
            let mut reader = Reader::new(&out[..]);
            let Member { size: read, path, .. } = reader.next_member().unwrap().unwrap();
            assert_eq!((read, path.to_string().as_str()), (size, "/blobs/sha256/ab"));
            assert_eq!(out.len(), if size > MAX_SIZE { 1536 } else { 512 });
        }
    }

    #[test]
    fn bytes_are_checked_on_the_way() {
        let descriptor = Descriptor::of(crate::oci::MediaType::Other("x".into()), b"hello");
        let mut written = Vec::new();
        let mut take = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        copy(&descriptor, &Content::inline(*b"hello"), &mut take).unwrap();
        for wrong in [&b"hellx"[..], b"hell", b"hello!", b""] {
            assert!(matches!(copy(&descriptor, &Content::inline(wrong), &mut take), Err(OutputError::Blob { .. })));
        }
        assert_eq!(written, b"hello");
    }
}
