//! Taking back what a run that failed had made.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::output::OutputError;

/// Files and directories that were not there before. They are removed when this is dropped, unless [`Undo::keep`] was
/// called; of the directories those that are empty then.
#[derive(Debug, Default)]
pub(super) struct Undo {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Undo {
    /// A file that is made, or about to be.
    pub(super) fn file(&mut self, path: &Path) {
        self.files.push(path.to_owned());
    }

    /// Makes a directory where it is not there, with its parents. Gives those that were made, the outermost first.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(super) fn make_directory<'a>(&mut self, path: &'a Path) -> Result<Vec<&'a Path>, OutputError> {
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists()).collect();
        missing.reverse();
        self.directories.extend(missing.iter().map(|path| path.to_path_buf()));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(OutputError::io("making the directory", path))?;
        Ok(missing)
    }

    /// All went well.
    pub(super) fn keep(&mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // What cannot be removed is found by the next run.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}
