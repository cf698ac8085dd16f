//! Modes of what is copied and written: from the recipe, whatever the checkout or the umask made of them.

use super::glob::{Glob, GlobError, clean, symbols};
use crate::shown::Shown;
use crate::tree::{MODE_MASK, TreePath};

/// What files get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// 0644, or 0755 where any x bit is set.
    #[default]
    Usual,
    /// All the same.
    Fixed(u32),
    /// Files and directories keep what they have on the machine.
    Preserve,
}

/// Which mode an entry gets: what `mode` and `dir_mode` say, then what the patterns of `modes` say.
///
/// A pattern is matched against the path of the destination relative to `to`, and against it alone: a mode of a directory
/// is not handed down. One that ends in a slash is for directories only; one with a wildcard and no slash at the end is
/// for files only, so that `data/**` = `"0640"` does not lock the directories; one without wildcards is for either. The
/// later pattern wins.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    file: FileMode,
    directory: Option<u32>,
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    glob: Glob,
    files: bool,
    directories: bool,
    mode: u32,
}

/// A key of `modes` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeKeyError {
    /// The pattern is malformed.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// `!` has no meaning here.
    #[error("pattern {pattern} starts with `!`: modes have no exceptions, the later pattern wins")]
    Exception {
        /// The pattern.
        pattern: Shown,
    },
    /// It names nothing below `to`.
    #[error("pattern {pattern} matches nothing: write a path relative to `to`")]
    Nothing {
        /// The pattern.
        pattern: Shown,
    },
}

impl Modes {
    /// Modes by `mode` and `dir_mode` alone.
    pub fn new(file: FileMode, directory: Option<u32>) -> Self {
        Modes { file, directory: directory.map(|mode| mode & MODE_MASK), keys: Vec::new() }
    }

    /// Adds a key of `modes`, in the order in which they are written.
    ///
    /// # Errors
    /// [`ModeKeyError`].
    pub fn add(&mut self, pattern: &str, mode: u32) -> Result<(), ModeKeyError> {
        let shown = || Shown::new(pattern.as_bytes());
        let text = pattern.trim();
        if text.starts_with('!') {
            return Err(ModeKeyError::Exception { pattern: shown() });
        }
        let slash = text.ends_with('/');
        let path = clean(text);
        let path = path.trim_start_matches('/');
        if path.is_empty() || path == "." || path == ".." || path.starts_with("../") {
            return Err(ModeKeyError::Nothing { pattern: shown() });
        }
        let glob = Glob::parse(path)?;
        let literal = glob.literal().is_some();
        self.keys.push(Key { files: !slash, directories: slash || literal, glob, mode: mode & MODE_MASK });
        Ok(())
    }

    /// Whether any mode depends on a path.
    pub(super) fn ask_for_paths(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The mode of a file. `below` is its path relative to `to`, where it lies below that; `host` what it has on the
    /// machine, where it comes from there.
    pub fn of_file(&self, below: Option<&TreePath>, host: Option<u32>) -> u32 {
        self.by_key(below, |key| key.files).unwrap_or(match (self.file, host) {
            (FileMode::Fixed(mode), _) => mode & MODE_MASK,
            (FileMode::Preserve, Some(mode)) => mode & MODE_MASK,
            (FileMode::Usual, Some(mode)) if mode & 0o111 != 0 => 0o755,
            (FileMode::Usual | FileMode::Preserve, _) => 0o644,
        })
    }

    /// The mode of a directory.
    pub fn of_directory(&self, below: Option<&TreePath>, host: Option<u32>) -> u32 {
        let usual = match (self.directory, self.file, host) {
            (Some(mode), ..) => mode,
            (None, FileMode::Preserve, Some(mode)) => mode & MODE_MASK,
            _ => 0o755,
        };
        self.by_key(below, |key| key.directories).unwrap_or(usual)
    }

    /// What the keys say of a directory, where any does.
    pub fn named_directory(&self, below: Option<&TreePath>) -> Option<u32> {
        self.by_key(below, |key| key.directories)
    }

    /// Whether a key is for a file of that path.
    pub fn names_file(&self, below: Option<&TreePath>) -> bool {
        self.by_key(below, |key| key.files).is_some()
    }

    fn by_key(&self, below: Option<&TreePath>, is_for: impl Fn(&Key) -> bool) -> Option<u32> {
        if self.keys.is_empty() {
            return None;
        }
        let path = symbols(below?.as_bytes());
        self.keys.iter().rev().find(|key| is_for(key) && key.glob.is_match(&path)).map(|key| key.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn modes(file: FileMode, directory: Option<u32>, keys: &[(&str, u32)]) -> Modes {
        let mut modes = Modes::new(file, directory);
        for (pattern, mode) in keys {
            modes.add(pattern, *mode).unwrap();
        }
        modes
    }

    #[test]
    fn files_and_directories_have_usual_modes() {
        let usual = modes(FileMode::Usual, None, &[]);
        for (host, mode) in
            [(0o600, 0o644), (0o666, 0o644), (0o744, 0o755), (0o611, 0o755), (0o4777, 0o755), (0, 0o644)]
        {
            assert_eq!(usual.of_file(None, Some(host)), mode, "{host:o}");
        }
        assert_eq!(usual.of_file(None, None), 0o644);
        assert_eq!(usual.of_directory(None, Some(0o700)), 0o755);
        let fixed = modes(FileMode::Fixed(0o100_440), Some(0o750), &[]);
        assert_eq!((fixed.of_file(None, Some(0o777)), fixed.of_directory(None, None)), (0o440, 0o750));
        let preserve = modes(FileMode::Preserve, None, &[]);
        assert_eq!((preserve.of_file(None, Some(0o4711)), preserve.of_directory(None, Some(0o1770))), (0o4711, 0o1770));
        assert_eq!((preserve.of_file(None, None), preserve.of_directory(None, None)), (0o644, 0o755));
        assert_eq!(modes(FileMode::Preserve, Some(0o711), &[]).of_directory(None, Some(0o700)), 0o711);
    }

    #[test]
    fn semantics_10_modes_match_the_destination_and_the_later_wins() {
        let modes = modes(
            FileMode::Usual,
            None,
            &[
                ("scripts/*.sh", 0o755),
                ("scripts/private.sh", 0o700),
                ("data/**", 0o640),
                ("data/", 0o750),
                ("/keys", 0o400),
                ("**/run/", 0o1777),
            ],
        );
        let file = |at: &str| modes.of_file(Some(&path(at)), Some(0o600));
        assert_eq!(file("scripts/a.sh"), 0o755);
        assert_eq!(file("scripts/private.sh"), 0o700);
        assert_eq!(file("x/scripts/a.sh"), 0o644);
        assert_eq!(file("data/a/b"), 0o640);
        assert_eq!(file("keys"), 0o400);
        assert_eq!(file("keys/x"), 0o644);
        let directory = |at: &str| modes.of_directory(Some(&path(at)), None);
        assert_eq!(directory("data"), 0o750);
        assert_eq!(directory("data/a"), 0o755);
        assert_eq!(directory("keys"), 0o400);
        assert_eq!(directory("a/run"), 0o1777);
        // What lies elsewhere has no path relative to `to`.
        assert_eq!(modes.of_file(None, Some(0o755)), 0o755);
    }

    #[test]
    fn keys_that_mean_nothing_are_errors() {
        for key in ["!x", "", "/", ".", "..", "../x", "a[", "a/.."] {
            assert!(Modes::default().add(key, 0o644).is_err(), "{key}");
        }
    }
}
