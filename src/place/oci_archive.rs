//! A tar that holds a layout.

use std::io::Write;
use std::path::Path;

use super::archive_file::ArchiveFile;
use super::archive_writer::ArchiveWriter;
use super::listing::{self, Listing};
use super::output::OutputError;
use super::source::{BlobSource, ImageSource, Root, SourceError};
use super::{ArchiveKind, Artifact, FilePlace, Place};
use crate::content::Content;
use crate::oci::Descriptor;
use crate::report::Task;

/// A layout in a tar, read where it lies.
#[derive(Debug)]
pub struct OciArchive {
    file: ArchiveFile,
    listing: Listing,
}

impl OciArchive {
    /// Opens an archive. See [`super::open`] for `tmp`.
    ///
    /// # Errors
    /// Where it cannot be read, or holds no layout.
    pub fn open(file: &FilePlace, tmp: &Path) -> Result<Self, SourceError> {
        let place = Place::Archive { kind: ArchiveKind::Oci, file: file.clone(), pick: None };
        Self::of(ArchiveFile::open(&place, file, tmp)?)
    }

    pub(super) fn of(file: ArchiveFile) -> Result<Self, SourceError> {
        let read = |name: &str| {
            file.small_file(name)?.ok_or_else(|| {
                let other = if file.has("manifest.json") { ": it is a `docker-archive:`" } else { "" };
                SourceError::Kind {
                    place: file.place().clone(),
                    reason: format!("holds no layout, {name} is not there{other}"),
                }
            })
        };
        let listing = Listing::read(&read(listing::LAYOUT_FILE)?, read(listing::INDEX_FILE)?, file.place())?;
        Ok(OciArchive { file, listing })
    }
}

impl BlobSource for OciArchive {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        let digest = descriptor.digest;
        let Some(content) = self.file.file(&listing::blob_path(&digest))? else {
            return Err(SourceError::Absent { digest, place: self.file.place().clone() });
        };
        if content.len() != descriptor.size {
            let reason = format!("has {} bytes, and its descriptor says {}", content.len(), descriptor.size);
            return Err(SourceError::Damaged { item: digest.to_string(), place: self.file.place().clone(), reason });
        }
        Ok(content.with_digest(digest))
    }
}

impl ImageSource for OciArchive {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        Ok(self.listing.roots())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        listing::document(self, &self.listing, descriptor)
    }
}

/// Writes the images as a tar that holds a layout.
pub(super) fn write(artifacts: &[Artifact], out: &mut dyn Write, task: &Task) -> Result<(), OutputError> {
    let mut archive = ArchiveWriter::new(out, task);
    archive.file(listing::LAYOUT_FILE, listing::LAYOUT_TEXT)?;
    archive.file(listing::INDEX_FILE, &listing::write(artifacts, false)?)?;
    archive.everything(artifacts)?;
    archive.finish()
}
