//! Sources that a recipe names: followed through symlinks, never out of the context.

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::walk::{WalkError, special};
use crate::host::HostRoot;

/// As many symlinks as Linux follows.
const MAX_LINKS: usize = 40;

/// What a path of the context leads to. Paths are relative to the root; those found go through no symlink.
#[derive(Debug)]
pub(super) enum Named {
    Directory(Vec<u8>),
    File {
        directory: Vec<u8>,
        name: Vec<u8>,
        stat: Box<Stat>,
    },
    /// There is no `name` in `above`.
    Missing {
        above: Vec<u8>,
        name: Vec<u8>,
    },
    /// This is a file, and the path goes on.
    NotADirectory(Vec<u8>),
    /// This symlink leads out of the context.
    Outside {
        link: Vec<u8>,
        target: Vec<u8>,
    },
    /// Symlinks lead round in circles.
    Loop,
}

/// Follows a path, `.` and `..` only inside of symlinks' targets.
///
/// # Errors
/// Where an entry on the way cannot be looked at, or the last one is no file and no directory.
pub(super) fn follow(root: &HostRoot, path: &[u8]) -> Result<Named, WalkError> {
    let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
    let mut here: Vec<u8> = Vec::new();
    let mut links = 0;
    // The symlink that is being followed, and where it leads.
    let mut link: Option<(Vec<u8>, Vec<u8>)> = None;
    while let Some(name) = todo.pop() {
        if name == b".." {
            if here.is_empty() {
                let (link, target) = link.unwrap_or_default();
                return Ok(Named::Outside { link, target });
            }
            here.truncate(here.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
            continue;
        }
        let failed =
            |relative: &[u8], error: Errno| WalkError::Stat { path: root.shown(relative), source: error.into() };
        let directory = root.open_at(&here, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| failed(&here, error))?;
        let child = join(&here, &name);
        let stat = match rustix::fs::statat(&directory, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(Named::Missing { above: here, name }),
            stat => stat.map_err(|error| failed(&child, error))?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => here = child,
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(Named::Loop);
                }
                let target = rustix::fs::readlinkat(&directory, &name[..], Vec::new());
                let target = target.map_err(|error| failed(&child, error))?.into_bytes();
                if target.starts_with(b"/") {
                    return Ok(Named::Outside { link: child, target });
                }
                todo.extend(components(&target).rev().map(<[u8]>::to_vec));
                link = Some((child, target));
            }
            _ if !todo.is_empty() => return Ok(Named::NotADirectory(child)),
            kind => match special(kind) {
                Some(kind) => return Err(WalkError::Kind { path: root.shown(&child), kind }),
                None => return Ok(Named::File { directory: here, name, stat: Box::new(stat) }),
            },
        }
    }
    Ok(Named::Directory(here))
}

/// The components of a path that say something.
pub(super) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

/// A path below a directory, either of which may be empty.
pub(super) fn join(above: &[u8], below: &[u8]) -> Vec<u8> {
    if above.is_empty() || below.is_empty() { [above, below].concat() } else { [above, b"/", below].concat() }
}

/// The directory of a path, and its last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn semantics_12_links_are_followed_inside_and_never_out() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("context");
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::fs::write(base.join("a/b/f"), "x").unwrap();
        std::fs::write(directory.path().join("secret"), "s").unwrap();
        for (target, link) in [
            ("a/b", "to-b"),
            ("../a/./b/../b/f", "a/up"),
            ("../secret", "out"),
            ("a/../../secret", "out2"),
            ("/etc/passwd", "absolute"),
            ("loop", "loop"),
            ("nothing", "dangling"),
            ("to-b", "twice"),
        ] {
            symlink(target, base.join(link)).unwrap();
        }
        let root = HostRoot::open(&base).unwrap();
        let text = |path: &str| match follow(&root, path.as_bytes()).unwrap() {
            Named::Directory(path) => format!("directory {}", String::from_utf8_lossy(&path)),
            Named::File { directory, name, .. } => {
                format!("file {}", String::from_utf8_lossy(&join(&directory, &name)))
            }
            Named::Missing { above, name } => format!("missing {}", String::from_utf8_lossy(&join(&above, &name))),
            Named::NotADirectory(path) => format!("file above {}", String::from_utf8_lossy(&path)),
            Named::Outside { link, .. } => format!("outside by {}", String::from_utf8_lossy(&link)),
            Named::Loop => "loop".to_owned(),
        };
        for (path, leads) in [
            ("", "directory "),
            ("a/b", "directory a/b"),
            ("to-b", "directory a/b"),
            ("twice/f", "file a/b/f"),
            ("a/up", "file a/b/f"),
            ("out", "outside by out"),
            ("out2", "outside by out2"),
            ("absolute", "outside by absolute"),
            ("loop", "loop"),
            ("loop/x", "loop"),
            ("dangling", "missing nothing"),
            ("a/c/d", "missing a/c"),
            ("a/b/f/x", "file above a/b/f"),
        ] {
            assert_eq!(text(path), leads, "{path}");
        }
    }
}
