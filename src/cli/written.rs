//! Files and directories that a command is told to write: each is another one, and none is what it reads. All of this is told
//! before anything is done.

use std::io;
use std::path::{Path, PathBuf};

use lapstrake::code::ErrorCode;
use lapstrake::place::{FilePlace, Place};
use lapstrake::recipe::packages::{DebianPackage, PythonInput};
use lapstrake::recipe::{self, At, Base, FilePath, PerArch, Recipe};
use lapstrake::unfinished;

use super::environment::stays_in_place;
use super::exit::{Code, Failure, Outcome};
use super::lock;

/// A file or directory, and what messages call it.
pub(super) struct Named {
    what: String,
    path: PathBuf,
    /// Whether all below it is meant too.
    is_directory: bool,
}

impl Named {
    /// A file that an argument names.
    pub(super) fn file(flag: &str, path: &Path) -> Self {
        Named { what: format!("{flag} {}", path.display()), path: path.to_owned(), is_directory: false }
    }

    /// A place that an argument names, where it is one of this machine.
    pub(super) fn place(typed: &str, place: &Place) -> Option<Self> {
        let (path, is_directory) = match place {
            Place::Layout { directory, .. } => (directory, true),
            Place::Archive { file: FilePlace::Path(path), .. } => (path, false),
            _ => return None,
        };
        Some(Named { what: typed.to_owned(), path: path.clone(), is_directory })
    }

    /// The recipe, its lock, and the images and files on this machine that it names. Of what is copied, builds see to that.
    pub(super) fn inputs(recipe: &Recipe) -> Vec<Self> {
        let lock = lock::lock_path(recipe);
        let own = [("the recipe", &recipe.path), ("the lock", &lock)].map(|(kind, path)| Named {
            what: format!("{kind} {}", path.display()),
            path: path.clone(),
            is_directory: false,
        });
        let bases = recipe.images.iter().flat_map(|image| local_images(recipe, image));
        let bases = bases.map(|(path, is_directory)| Named {
            what: format!("the image at {} that the recipe names", path.display()),
            path,
            is_directory,
        });
        let files = recipe.images.iter().flat_map(|image| files(recipe, image)).map(|path| Named {
            what: format!("{} that the recipe names", path.display()),
            path,
            is_directory: false,
        });
        own.into_iter().chain(bases).chain(files).collect()
    }

    /// The path as the kernel knows it. None of what is written as it is made: devices and pipes take several.
    fn resolved(&self) -> Option<PathBuf> {
        if stays_in_place(&self.path) && !self.path.is_dir() {
            return None;
        }
        // Of what is not there yet, as much as is.
        let there = self.path.ancestors().find_map(|above| {
            let shown = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            Some((above, shown.canonicalize().ok()?))
        });
        let (above, real) = there?;
        let rest = self.path.strip_prefix(above).ok()?;
        Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    }
}

/// Where the images are on this machine that an image stands on or copies from, each with whether it is a directory.
pub(super) fn local_images(recipe: &Recipe, image: &recipe::Image) -> Vec<(PathBuf, bool)> {
    let sources = image.layers.iter().flat_map(|layer| &layer.sources);
    let copied = sources.flat_map(|source| match &source.value {
        recipe::Source::Image(items) => items.iter().map(|item| &item.value.from.value).collect(),
        _ => Vec::new(),
    });
    let platforms = lapstrake::build::platforms(recipe, image, None);
    let named = std::iter::once(&image.from.value).chain(copied).filter_map(|base| match base {
        Base::Place(place) => Some(place),
        _ => None,
    });
    let places =
        named.flat_map(|place| platforms.iter().filter_map(|platform| place.resolve(&platform.architecture).ok()));
    let path = |place| match place {
        recipe::Place::Registry(_) => None,
        recipe::Place::Oci(path) => Some((recipe.context.join(path), true)),
        recipe::Place::OciArchive(path) | recipe::Place::DockerArchive(path) | recipe::Place::Archive(path) => {
            Some((recipe.context.join(path), false))
        }
    };
    places.filter_map(path).collect()
}

/// Archives, certificates, packages and lists of packages that an image is made of.
fn files(recipe: &Recipe, image: &recipe::Image) -> Vec<PathBuf> {
    let of = |source: &recipe::Source| -> Vec<PerArch<FilePath>> {
        let values = |list: &[At<PerArch<FilePath>>]| list.iter().map(|path| path.value.clone()).collect();
        match source {
            recipe::Source::Archive(items) => items.iter().map(|item| item.value.path.clone()).collect(),
            recipe::Source::Ca(paths) => values(paths),
            recipe::Source::Debian(debian) => {
                let file = |package: &At<DebianPackage>| match &package.value {
                    DebianPackage::File(path) => Some(path.clone()),
                    DebianPackage::Named { .. } => None,
                };
                debian.packages.iter().filter_map(file).collect()
            }
            recipe::Source::Python(python) => {
                let mut paths: Vec<PerArch<FilePath>> = values(&python.wheels);
                match &python.input {
                    PythonInput::None => {}
                    PythonInput::Requirements(files) => paths.append(&mut values(files)),
                    PythonInput::Pylock(file) | PythonInput::UvLock(file) | PythonInput::Pyproject(file) => {
                        paths.push(file.value.clone());
                    }
                }
                paths
            }
            _ => Vec::new(),
        }
    };
    let paths: Vec<_> =
        image.layers.iter().flat_map(|layer| &layer.sources).flat_map(|source| of(&source.value)).collect();
    let platforms = lapstrake::build::platforms(recipe, image, None);
    let resolved =
        paths.iter().flat_map(|path| platforms.iter().filter_map(|platform| path.resolve(&platform.architecture).ok()));
    resolved.map(|path| path.in_context(&recipe.context)).collect()
}

/// Refuses what would be written over something else that is written, or that is read.
pub(super) fn check(written: &[Named], read: &[Named]) -> Outcome {
    let resolve = |all: &'_ [Named]| all.iter().map(Named::resolved).collect::<Vec<_>>();
    let (written_at, read_at) = (resolve(written), resolve(read));
    for (number, (one, at)) in written.iter().zip(&written_at).enumerate() {
        let Some(at) = at else { continue };
        let others = written.iter().zip(&written_at).skip(number + 1).map(|(other, at)| (other, at, true));
        let inputs = read.iter().zip(&read_at).map(|(other, at)| (other, at, false));
        for (other, other_at, is_written) in others.chain(inputs) {
            let Some(other_at) = other_at else { continue };
            let (first, second) = (&one.what, &other.what);
            let text = match is_written {
                // The same thing said twice is written twice.
                true if first == second => continue,
                true if at == other_at => format!("{first} and {second} would both be written to {}", at.display()),
                false if at == other_at => format!("{first} would be written over {second}"),
                true if other_at.starts_with(at) => format!("{second} is inside of {first}, which holds images alone"),
                true if at.starts_with(other_at) => format!("{first} is inside of {second}, which holds images alone"),
                false if other.is_directory && at.starts_with(other_at) => {
                    format!("{first} is inside of {second}")
                }
                _ => continue,
            };
            return Err(Failure::usage(text).hint("name another file or directory for one of them"));
        }
    }
    Ok(())
}

/// Refuses files that cannot be written since there is no directory for them, or since they are one.
pub(super) fn has_directory(path: &Path) -> Outcome {
    let unwritable = |why: &str, hint: String| {
        let text = format!("writing {}: {why}", path.display());
        Err(Failure::told(Code::Failed, ErrorCode::OutputUnwritable, text).hint(hint))
    };
    if path.is_dir() {
        return unwritable("it is a directory", "name a file in it".to_owned());
    }
    let directory = unfinished::directory_of(path);
    match std::fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !stays_in_place(path) => {
            let hint = format!("there is no directory {}: make it first", directory.display());
            unwritable(&error.to_string(), hint)
        }
        _ => Ok(()),
    }
}
