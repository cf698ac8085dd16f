//! Putting images into places.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::source::SourceError;
use super::{ArchiveKind, Artifact, FilePlace, Pick, Place, archive, docker_archive, layout, oci_archive};
use crate::oci::{Digest, JsonError};
use crate::report::{Phase, Reporter, Task};
use crate::shown::Shown;

/// Why images could not be put into a place.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file could not be used.
    #[error("{action} {}", Shown::new(path.as_os_str().as_encoded_bytes()))]
    Io {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("writing the output")]
    Stream(#[source] io::Error),
    /// A blob could not be copied, or is not what its descriptor says.
    #[error("copying {digest}")]
    Blob {
        /// Which.
        digest: Digest,
        /// Why not.
        source: io::Error,
    },
    /// A document or blob could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The index could not be written.
    #[error("writing the index")]
    Json(#[source] JsonError),
    /// The directory holds something else.
    #[error(
        "{} holds {item}, which is not lapstrake's: name another directory, or remove what is there",
        Shown::new(directory.as_os_str().as_encoded_bytes())
    )]
    NotOurs {
        /// The directory.
        directory: PathBuf,
        /// What was found there.
        item: String,
    },
    /// The file to be written is a directory.
    #[error(
        "{} is a directory: a layout is written `oci:DIR`, and an archive needs a file name",
        Shown::new(path.as_os_str().as_encoded_bytes())
    )]
    IsDirectory {
        /// The path.
        path: PathBuf,
    },
    /// Two images under one name.
    #[error("two images would both be called {name}")]
    SameName {
        /// The name.
        name: String,
    },
    /// A name for one image, and there are several.
    #[error("{place} names one image, and there are {count}")]
    OneName {
        /// The place.
        place: String,
        /// How many there are.
        count: usize,
    },
    /// The place says which image to read, which says nothing where images are written.
    #[error("{place} is an output, and `{pick}` cannot be the name of an image")]
    NoName {
        /// The place.
        place: String,
        /// What follows the colon.
        pick: String,
    },
    /// A docker-archive holds one platform of an image.
    #[error(
        "a docker-archive holds one platform, and {image} is for {}: choose with --platform, or use `archive:`",
        platforms.join(", ")
    )]
    SeveralPlatforms {
        /// The image.
        image: String,
        /// Its platforms.
        platforms: Vec<String>,
    },
    /// Not something that Docker's format can hold.
    #[error("{image} holds no image that a docker-archive could hold: use `oci-archive:`")]
    NoImage {
        /// What it is called.
        image: String,
    },
    /// zstd in a docker-archive.
    #[error(
        "layer {layer} of {image} is compressed with zstd, which a docker-archive cannot say: write `compression = \"gzip\"` in the recipe, or use `archive:`"
    )]
    Zstd {
        /// The image.
        image: String,
        /// The layer.
        layer: Digest,
    },
    /// Registries are written elsewhere.
    #[error("{place} is a registry, not a place on this machine")]
    Registry {
        /// The place.
        place: String,
    },
}

impl OutputError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
        let path = path.to_owned();
        move |source| OutputError::Io { action, path, source }
    }
}

/// What was put where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The place.
    pub place: Place,
    /// The digests of the images' manifests or indexes, in their order.
    pub digests: Vec<Digest>,
}

/// Puts images into a place on this machine (registries are written elsewhere). The place holds exactly these images
/// afterwards, or what it held before: a file or index is renamed into place when all of it is on the disk. Files are
/// made with mode 0644, less the umask.
///
/// `standard` is where `-` goes: a stream, written as it is made.
///
/// # Errors
/// [`OutputError`].
pub fn write(
    place: &Place,
    artifacts: &[Artifact],
    standard: &mut dyn Write,
    reporter: &Reporter,
) -> Result<Written, OutputError> {
    let named = match place.pick() {
        Some(pick) => Some(rename(place, pick, artifacts)?),
        None => None,
    };
    let artifacts = named.as_deref().unwrap_or(artifacts);
    let total = artifacts.iter().flat_map(Artifact::blobs).map(|blob| (blob.digest, blob.size));
    let total: u64 = total.collect::<std::collections::BTreeMap<_, _>>().values().sum();
    let task = reporter.task(Phase::Write, place.to_string(), Some(total));
    match place {
        Place::Layout { directory, .. } => layout::write(directory, artifacts, &task)?,
        Place::Archive { kind, file, .. } => {
            if *kind == ArchiveKind::Docker {
                docker_archive::check(artifacts)?;
            }
            let mut write = |out: &mut dyn Write| write_archive(*kind, artifacts, out, &task);
            match file {
                FilePlace::Standard => write(standard)?,
                FilePlace::Path(path) => to_file(path, &mut write)?,
            }
        }
        Place::Registry(_) | Place::OwnNames => return Err(OutputError::Registry { place: place.to_string() }),
    }
    let digests = artifacts.iter().map(Artifact::digest).collect();
    Ok(Written { place: place.clone(), digests })
}

fn write_archive(
    kind: ArchiveKind,
    artifacts: &[Artifact],
    out: &mut dyn Write,
    task: &Task,
) -> Result<(), OutputError> {
    match kind {
        ArchiveKind::Oci => oci_archive::write(artifacts, out, task),
        ArchiveKind::Docker => docker_archive::write(artifacts, out, task),
        ArchiveKind::Hybrid => archive::write(artifacts, out, task),
    }
}

/// The one image under the name that the place gives it.
fn rename(place: &Place, pick: &Pick, artifacts: &[Artifact]) -> Result<Vec<Artifact>, OutputError> {
    let place_text = || place.to_string();
    let Pick::Name(name) = pick else {
        return Err(OutputError::NoName { place: place_text(), pick: pick.to_string() });
    };
    let docker = matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
    match artifacts {
        [artifact] => Ok(vec![artifact.clone().called(name, docker)]),
        _ => Err(OutputError::OneName { place: place_text(), count: artifacts.len() }),
    }
}

/// How unfinished archives are called, after a dot and the name of the file that they become.
const UNFINISHED: &str = ".lapstrake-";

/// Writes a file so that it is complete or as it was. What is no regular file (a FIFO, `/dev/stdout`) is written as a
/// stream; a symlink's target is replaced, not the link.
fn to_file(path: &Path, write: &mut dyn FnMut(&mut dyn Write) -> Result<(), OutputError>) -> Result<(), OutputError> {
    let path = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(OutputError::IsDirectory { path: path.to_owned() }),
        Ok(found) if !found.is_file() => {
            let mut file = fs::OpenOptions::new().write(true).open(path).map_err(OutputError::io("opening", path))?;
            return write(&mut file);
        }
        Ok(_) => fs::canonicalize(path).map_err(OutputError::io("reading", path))?,
        Err(_) => path.to_owned(),
    };
    let name = path.file_name().ok_or_else(|| OutputError::IsDirectory { path: path.clone() })?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(UNFINISHED);
    collect_abandoned(parent, &prefix);
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent)
        .map_err(OutputError::io("making a file in", parent))?;
    // Tells others that somebody is still writing; a file system without locks has nobody to tell.
    let _ = flock(file.as_file(), FlockOperation::NonBlockingLockExclusive);
    {
        let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
        write(&mut out)?;
        out.flush().map_err(OutputError::io("writing", &path))?;
    }
    file.as_file().sync_all().map_err(OutputError::io("syncing", &path))?;
    file.persist(&path).map_err(|error| OutputError::io("renaming to", &path)(error.error))?;
    let directory = File::open(parent).map_err(OutputError::io("opening", parent))?;
    directory.sync_all().map_err(OutputError::io("syncing", parent))
}

/// Removes what builds of the same file left behind that were killed: what nobody holds a lock on.
fn collect_abandoned(directory: &Path, prefix: &std::ffi::OsStr) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
