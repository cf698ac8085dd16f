//! Programs of this machine, by name.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The directories of a `PATH`. Relative ones are left out: they would find programs in the directory that is being built.
pub fn directories(path: &OsStr) -> impl Iterator<Item = PathBuf> + '_ {
    std::env::split_paths(path).filter(|directory| directory.is_absolute())
}

/// Whether a file is there that somebody may run.
pub fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The first program of that name in the directories of a `PATH`.
pub fn find(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    directories(path?).map(|directory| directory.join(name)).find(|candidate| is_program(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_entries_of_path_find_nothing() {
        assert_eq!(find("sh", Some(OsStr::new("bin:.:"))), None);
        assert!(find("sh", Some(OsStr::new("/nonexistent:/bin"))).is_some_and(|found| found == Path::new("/bin/sh")));
        assert_eq!(find("sh", None), None);
    }

    #[test]
    fn only_programs_are_found() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        std::fs::write(directory.path().join("text"), "").unwrap();
        for (name, mode, is_found) in
            [("directory", 0o755, false), ("text", 0o644, false), ("text", 0o744, true), ("text", 0o611, true)]
        {
            std::fs::set_permissions(directory.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find(name, Some(directory.path().as_os_str())).is_some(), is_found, "{name} {mode:o}");
        }
    }
}
