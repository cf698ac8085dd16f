//! Putting images into places.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::source::SourceError;
use super::{ArchiveKind, Artifact, FilePlace, Kept, Pick, Place, archive, docker_archive, layout, oci_archive};
use crate::oci::json::MAX_DOCUMENT;
use crate::oci::{Digest, JsonError};
use crate::report::{Phase, Reporter, Task};
use crate::shown::{Shown, bare};
use crate::unfinished;

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
    /// Somebody wants the end.
    #[error("interrupted")]
    Interrupted,
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
    /// The index would be longer than what is read.
    #[error("the index of all these names would have {length} bytes, and {MAX_DOCUMENT} is the most that is read")]
    LongIndex {
        /// Its length.
        length: usize,
    },
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
    /// The directory that a file should go to does not exist.
    #[error(
        "{} cannot be written: there is no directory {}; make it first",
        Shown::new(path.as_os_str().as_encoded_bytes()), Shown::new(directory.as_os_str().as_encoded_bytes())
    )]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
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
/// `kept` remembers what was written to layouts. `standard` is where `-` goes: a stream, written as it is made.
///
/// # Errors
/// [`OutputError`].
pub fn write(
    place: &Place,
    artifacts: &[Artifact],
    standard: &mut dyn Write,
    kept: &dyn Kept,
    reporter: &Reporter,
) -> Result<Written, OutputError> {
    check(place)?;
    let named = match place.pick() {
        Some(pick) => Some(rename(place, pick, artifacts)?),
        None => None,
    };
    let artifacts = named.as_deref().unwrap_or(artifacts);
    let all = artifacts.iter().flat_map(|artifact| {
        let documents = artifact.documents().into_iter().map(|document| document.descriptor());
        documents.chain(artifact.blobs()).map(|descriptor| (descriptor.digest, descriptor.size))
    });
    let total: u64 = all.collect::<BTreeMap<_, _>>().values().sum();
    let task = reporter.task(Phase::Write, place.to_string(), Some(total));
    match place {
        Place::Layout { directory, .. } => {
            let waiting =
                || reporter.note(format!("waiting while another process writes to {}", bare(&place.to_string())));
            let gone = layout::write(directory, artifacts, kept, &task, &waiting)?;
            if !gone.is_empty() {
                let gone: Vec<String> = gone.iter().map(|name| bare(name)).collect();
                reporter.note(format!(
                    "{} no longer has {}: it holds what was written last, and nothing else",
                    bare(&place.to_string()),
                    gone.join(", ")
                ));
            }
        }
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

/// What can be told of a place before anything is built for it: whether the directory is there that a file goes to.
///
/// # Errors
/// [`OutputError::NoDirectory`].
pub fn check(place: &Place) -> Result<(), OutputError> {
    let Place::Archive { file: FilePlace::Path(path), .. } = place else { return Ok(()) };
    let directory = unfinished::directory_of(path);
    match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OutputError::NoDirectory { path: path.clone(), directory: directory.to_owned() })
        }
        _ => Ok(()),
    }
}

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
    let mut file = match unfinished::begin(&path, 0o644) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(OutputError::IsDirectory { path }),
        Err(error) => return Err(OutputError::io("making a file in", unfinished::directory_of(&path))(error)),
    };
    {
        let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
        write(&mut out)?;
        out.flush().map_err(OutputError::io("writing", &path))?;
    }
    unfinished::finish(file, &path).map_err(|(action, error)| OutputError::io(action, &path)(error))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{FlockOperation, flock};

    use super::super::testing::base_and_service;
    use super::super::{open, read_artifacts};
    use super::*;
    use crate::oci::{Compression, Family};

    fn put(path: &Path) -> Result<Written, OutputError> {
        let place = Place::parse(&format!("archive:{}", path.display())).unwrap();
        let artifacts = base_and_service(Family::Oci, Compression::Gzip);
        write(&place, &artifacts, &mut Vec::new(), &(), &Reporter::silent())
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn umask() -> u32 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        u32::from_str_radix(line.trim(), 8).unwrap()
    }

    #[test]
    fn a_file_is_like_any_other() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory.path().join("x.tar")).unwrap();
        let found = fs::metadata(directory.path().join("x.tar")).unwrap();
        assert_eq!(found.mode() & 0o777, 0o644 & !umask());
        assert!(matches!(put(&directory.path().join("no/x.tar")), Err(OutputError::NoDirectory { .. })));
    }

    #[test]
    fn what_a_killed_build_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in
            [".x.tar.lapstrake-abandoned", ".x.tar.lapstrake-held", ".y.tar.lapstrake-other", "x.tar.lapstrake-"]
        {
            fs::write(at(name), "").unwrap();
        }
        let held = File::open(at(".x.tar.lapstrake-held")).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        put(&at("x.tar")).unwrap();
        assert_eq!(
            names(directory.path()),
            [".x.tar.lapstrake-held", ".y.tar.lapstrake-other", "x.tar", "x.tar.lapstrake-"]
        );
    }

    #[test]
    fn a_symlink_stays_and_its_target_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/x.tar"), "old").unwrap();
        std::os::unix::fs::symlink("real/x.tar", at("link.tar")).unwrap();
        put(&at("link.tar")).unwrap();
        assert!(fs::symlink_metadata(at("link.tar")).unwrap().is_symlink());
        assert_eq!(names(&at("real")), ["x.tar"]);
        assert!(fs::metadata(at("real/x.tar")).unwrap().len() > 3);
    }

    #[test]
    fn devices_and_pipes_are_streams() {
        put(Path::new("/dev/null")).unwrap();
        let Err(OutputError::Stream(error)) = put(Path::new("/dev/full")) else { panic!() };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(fs::metadata("/dev/full").is_ok_and(|found| !found.is_file()));

        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        put(&fifo).unwrap();
        let copy = directory.path().join("copy.tar");
        fs::write(&copy, reader.join().unwrap()).unwrap();
        let place = Place::parse(&format!("archive:{}", copy.display())).unwrap();
        assert_eq!(read_artifacts(&open(&place, directory.path()).unwrap(), None, &[]).unwrap().len(), 2);
    }

    #[test]
    fn a_stream_that_nobody_takes_is_an_error() {
        struct Broken(usize);
        impl Write for Broken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::BrokenPipe)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let place = Place::parse("docker-archive:-").unwrap();
        let artifacts = base_and_service(Family::Oci, Compression::Gzip);
        let mut whole = Vec::new();
        write(&place, &artifacts, &mut whole, &(), &Reporter::silent()).unwrap();
        for most in (0..whole.len()).step_by(512) {
            let error = write(&place, &artifacts, &mut Broken(most), &(), &Reporter::silent()).unwrap_err();
            assert!(matches!(error, OutputError::Stream(_)), "{error}");
        }
    }
}
