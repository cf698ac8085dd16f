//! Places: where images are read from and written to.
//!
//! | written | what it is |
//! | --- | --- |
//! | `oci:DIR[:NAME]` | a layout: the image specification's directory |
//! | `oci-archive:FILE[:NAME]` | a tar that holds a layout |
//! | `docker-archive:FILE[:NAME]` | what `docker save` writes and `docker load` reads |
//! | `archive:FILE[:NAME]` | one tar that is both |
//! | `registry.example.com/name:tag` | a registry |
//! | `type=oci,dest=FILE,…` | the same, as buildx writes it |
//! | `-` | `archive:` on standard output |
//!
//! A [`Place`] is only the text, understood. [`open`] makes an [`ImageSource`] of one; [`read_artifacts`] reads the images of
//! a source as [`Artifact`]s; [`write`] puts artifacts into a place. Registries are read and written by
//! [`crate::place`]'s callers: they implement the same traits.
//!
//! What is read is trusted with nothing: no member of an archive is ever unpacked, every blob is checked against its
//! digest when it is read, names that leave an archive or stand in it twice are refused. What is written is complete or
//! absent: archives and indexes are renamed into place when everything in them is on the disk.

mod archive;
mod archive_file;
mod archive_writer;
mod artifact;
mod docker_archive;
#[cfg(test)]
mod foreign_readers;
mod kept;
mod layout;
mod listing;
mod oci_archive;
mod output;
mod parse;
#[cfg(test)]
mod round_trips;
mod select;
mod source;
#[cfg(test)]
pub(crate) mod testing;
mod undo;

use std::fmt;
use std::path::{Path, PathBuf};

pub use archive::HybridArchive;
pub use artifact::{Artifact, Document, Fallback, Image, RecipeName, read_artifacts};
pub use docker_archive::DockerArchive;
pub use kept::Kept;
pub use layout::Layout;
pub use oci_archive::OciArchive;
pub use output::{OutputError, Written, check, write};
pub use parse::PlaceError;
pub use select::{kind_of, select_image, select_root};
pub use source::{BlobSource, ImageSource, ListedName, Root, SourceError};

use crate::oci::{Digest, Reference};

/// Where images are read from or written to.
///
/// Written as [`Place::parse`] reads it; what [`fmt::Display`] writes reads back equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A layout directory.
    Layout {
        /// The directory.
        directory: PathBuf,
        /// Which of its images; as an output, what to call the image.
        pick: Option<Pick>,
    },
    /// A tar archive.
    Archive {
        /// Of which kind.
        kind: ArchiveKind,
        /// Where it is.
        file: FilePlace,
        /// Which of its images; as an output, what to call the image.
        pick: Option<Pick>,
    },
    /// A registry, under that reference.
    Registry(Reference),
    /// As an output: the registries that the images' own names say (`type=registry` without a name; `--push`).
    OwnNames,
}

/// Kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArchiveKind {
    /// A tar that holds a layout.
    Oci,
    /// What `docker save` writes.
    Docker,
    /// Both in one.
    Hybrid,
}

/// Where an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// A file; also a FIFO or device.
    Path(PathBuf),
    /// Standard output, or standard input where it is read.
    Standard,
}

/// Which image of a place is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// By its name, or enough of it: the reference, the tag, or the last part of the repository.
    Name(String),
    /// `@N`: the Nth in the order in which they are listed, counted from 0.
    Position(usize),
    /// `@sha256:…`: by the digest of its manifest or index.
    Digest(Digest),
}

impl ArchiveKind {
    /// The word in front of the colon.
    pub fn word(self) -> &'static str {
        match self {
            ArchiveKind::Oci => "oci-archive",
            ArchiveKind::Docker => "docker-archive",
            ArchiveKind::Hybrid => "archive",
        }
    }
}

impl FilePlace {
    fn as_text(&self) -> String {
        match self {
            FilePlace::Path(path) => path.to_string_lossy().into_owned(),
            FilePlace::Standard => "-".to_owned(),
        }
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_text())
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pick::Name(name) => f.write_str(name),
            Pick::Position(position) => write!(f, "@{position}"),
            Pick::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl Place {
    /// Which image of the place is meant, where one is named.
    pub fn pick(&self) -> Option<&Pick> {
        match self {
            Place::Layout { pick, .. } | Place::Archive { pick, .. } => pick.as_ref(),
            Place::Registry(_) | Place::OwnNames => None,
        }
    }

    /// Whether this is standard output (or input).
    pub fn is_standard(&self) -> bool {
        matches!(self, Place::Archive { file: FilePlace::Standard, .. })
    }

    /// The same place with its path taken relative to `base`: for places that a recipe names.
    #[must_use]
    pub fn relative_to(self, base: &Path) -> Place {
        match self {
            Place::Layout { directory, pick } => Place::Layout { directory: base.join(directory), pick },
            Place::Archive { kind, file: FilePlace::Path(path), pick } => {
                Place::Archive { kind, file: FilePlace::Path(base.join(path)), pick }
            }
            other => other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, form, path, pick) = match self {
            Place::Registry(reference) => return fmt::Display::fmt(reference, f),
            Place::OwnNames => return f.write_str("type=registry"),
            Place::Layout { directory, pick } => {
                ("oci", "type=oci,tar=false", directory.to_string_lossy().into_owned(), pick)
            }
            Place::Archive { kind, file, pick } => {
                let form = match kind {
                    ArchiveKind::Oci => "type=oci",
                    ArchiveKind::Docker => "type=docker",
                    ArchiveKind::Hybrid => "type=archive",
                };
                (kind.word(), form, file.as_text(), pick)
            }
        };
        // A path with a colon cannot stand in the short form, whose next colon begins the name.
        if path.contains(':') || (word == "oci" && path.starts_with("//")) {
            write!(f, "{form},{}", parse::field("dest", &path))?;
            return match pick {
                Some(pick) => write!(f, ",{}", parse::field("name", &pick.to_string())),
                None => Ok(()),
            };
        }
        write!(f, "{word}:{path}")?;
        match pick {
            Some(pick) => write!(f, ":{pick}"),
            None => Ok(()),
        }
    }
}

/// Opens a place for reading. `tmp` is a directory on a disk with room for what must be unpacked first: archives that are
/// compressed as a whole, and those that come through a pipe.
///
/// # Errors
/// Where the place cannot be opened or is not of its kind; [`SourceError::Kind`] for a registry, which is opened
/// elsewhere.
pub fn open(place: &Place, tmp: &Path) -> Result<std::sync::Arc<dyn ImageSource>, SourceError> {
    Ok(match place {
        Place::Layout { directory, .. } => std::sync::Arc::new(Layout::open(directory)?),
        Place::Archive { kind: ArchiveKind::Oci, file, .. } => std::sync::Arc::new(OciArchive::open(file, tmp)?),
        Place::Archive { kind: ArchiveKind::Docker, file, .. } => std::sync::Arc::new(DockerArchive::open(file, tmp)?),
        Place::Archive { kind: ArchiveKind::Hybrid, file, .. } => std::sync::Arc::new(HybridArchive::open(file, tmp)?),
        Place::Registry(_) | Place::OwnNames => {
            return Err(SourceError::Kind {
                place: crate::shown::Shown::new(place.to_string().as_bytes()),
                reason: "is a registry, not a place on this machine".to_owned(),
            });
        }
    })
}
