//! One tar that is a layout and what `docker load` reads at once.

use std::io::Write;
use std::path::Path;

use super::archive_file::ArchiveFile;
use super::archive_writer::ArchiveWriter;
use super::docker_archive::{self, DockerArchive};
use super::listing;
use super::oci_archive::OciArchive;
use super::output::OutputError;
use super::source::{BlobSource, ImageSource, Root, SourceError};
use super::{ArchiveKind, Artifact, FilePlace, Place};
use crate::content::Content;
use crate::oci::Descriptor;
use crate::report::Task;

/// An archive of either kind, or of both: the layout is preferred, since it keeps manifests as they are.
#[derive(Debug)]
pub struct HybridArchive(Kind);

#[derive(Debug)]
enum Kind {
    Oci(Box<OciArchive>),
    Docker(DockerArchive),
}

impl HybridArchive {
    /// Opens an archive. See [`super::open`] for `tmp`.
    ///
    /// # Errors
    /// Where it cannot be read, or is neither of the two.
    pub fn open(file: &FilePlace, tmp: &Path) -> Result<Self, SourceError> {
        let place = Place::Archive { kind: ArchiveKind::Hybrid, file: file.clone(), pick: None };
        let file = ArchiveFile::open(&place, file, tmp)?;
        if file.has(listing::INDEX_FILE) {
            return Ok(HybridArchive(Kind::Oci(Box::new(OciArchive::of(file)?))));
        }
        if file.has(docker_archive::MANIFEST_FILE) {
            return Ok(HybridArchive(Kind::Docker(DockerArchive::of(file)?)));
        }
        let mut reason = "holds no images: neither index.json nor manifest.json is there".to_owned();
        if ["usr", "etc", "bin"].iter().filter(|name| file.has_directory(name)).count() > 1 {
            reason.push_str("; it looks like a root file system, which `archive = \"…\"` in a layer takes");
        }
        Err(SourceError::Kind { place: file.place().clone(), reason })
    }

    fn source(&self) -> &dyn ImageSource {
        match &self.0 {
            Kind::Oci(archive) => &**archive,
            Kind::Docker(archive) => archive,
        }
    }
}

impl BlobSource for HybridArchive {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        self.source().blob(descriptor)
    }
}

impl ImageSource for HybridArchive {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        self.source().roots()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        self.source().document(descriptor)
    }
}

/// Writes the images as one tar of both kinds. Docker's list names the first platform of each image; what is no image
/// stands in the layout only.
pub(super) fn write(artifacts: &[Artifact], out: &mut dyn Write, task: &Task) -> Result<(), OutputError> {
    let images: Vec<_> =
        artifacts.iter().filter_map(|artifact| artifact.images().first().map(|image| (artifact, *image))).collect();
    let mut archive = ArchiveWriter::new(out, task);
    archive.file(listing::LAYOUT_FILE, listing::LAYOUT_TEXT)?;
    archive.file(listing::INDEX_FILE, &listing::write(artifacts, false)?)?;
    archive.file(docker_archive::MANIFEST_FILE, &docker_archive::manifest_file(&images)?)?;
    archive.everything(artifacts)?;
    archive.finish()
}
