//! What later steps of a build need to know of a layer that they do not look into.

use std::fmt;
use std::str::FromStr;

use crate::tree::{FileTree, Kind, TreePath};

/// What is told of a layer beside its bytes. Written as words with spaces between them, in this order: `newest=1763000000
/// parts=3 libraries python deletes elsewhere`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// The newest time inside of what it came from, seconds since 1970.
    pub newest: Option<i64>,
    /// Into how many layers it is split, where it is the first of several.
    pub parts: Option<u32>,
    /// Whether the loader's cache may have to tell of what it holds.
    pub libraries: bool,
    /// Whether it may hold another Python than the one below.
    pub python: bool,
    /// Whether it deletes anything.
    pub deletes: bool,
    /// Whether packages put something beside the directories that are theirs.
    pub elsewhere: bool,
}

impl Traits {
    /// The traits of a tree. `own` are the directories of its packages, where it is one of packages that have such.
    pub fn of(tree: &FileTree, newest: Option<i64>, own: &[TreePath]) -> Self {
        let mut traits = Traits { newest, ..Traits::default() };
        for (path, entry) in tree.iter().filter(|(_, entry)| !matches!(entry.kind, Kind::Directory)) {
            traits.libraries |= may_be_library(path);
            let deletes = matches!(entry.kind, Kind::Whiteout);
            traits.deletes |= deletes;
            traits.python |= may_be_python(path) || deletes && may_hold_python(path);
            traits.elsewhere |=
                !own.iter().any(|own| path.strip_prefix(own).is_some() || own.strip_prefix(path).is_some());
        }
        traits.elsewhere &= !own.is_empty();
        traits
    }
}

impl fmt::Display for Traits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traits { newest, parts, libraries, python, deletes, elsewhere } = *self;
        let newest = newest.map(|newest| format!("newest={newest}"));
        let parts = parts.map(|parts| format!("parts={parts}"));
        let flags = [(libraries, "libraries"), (python, "python"), (deletes, "deletes"), (elsewhere, "elsewhere")];
        let flags = flags.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned());
        f.write_str(&newest.into_iter().chain(parts).chain(flags).collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for Traits {
    type Err = ();

    /// Reads what [`fmt::Display`] wrote, and nothing else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut traits = Traits::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "libraries" => traits.libraries = true,
                "python" => traits.python = true,
                "deletes" => traits.deletes = true,
                "elsewhere" => traits.elsewhere = true,
                word => match word.split_once('=') {
                    Some(("newest", newest)) => traits.newest = Some(newest.parse().map_err(|_| ())?),
                    Some(("parts", parts)) => traits.parts = Some(parts.parse().map_err(|_| ())?),
                    _ => return Err(()),
                },
            }
        }
        if traits.to_string() == text { Ok(traits) } else { Err(()) }
    }
}

/// Where Python is, and what tells of it: its programs, what packages there are, its library.
const PYTHON: [&[u8]; 6] = [b"bin", b"usr/bin", b"usr/local/bin", b"var/lib/dpkg", b"lib/apk/db", b"usr/lib"];

/// Whether something at that path could be another Python than the one below, or tell of it in another way.
fn may_be_python(path: &TreePath) -> bool {
    let name = path.name_bytes();
    match name {
        b"EXTERNALLY-MANAGED" | b"patchlevel.h" | b"libc.so.6" => true,
        _ if name.starts_with(b"ld-musl") => true,
        _ => match path.parent_bytes() {
            b"var/lib/dpkg/status.d" | b"lib/apk/db" => true,
            parent => (name.starts_with(b"python3") || name.starts_with(b"status")) && PYTHON[..4].contains(&parent),
        },
    }
}

/// Whether one of those places lies below that path, or the path below where a Python is.
fn may_hold_python(path: &TreePath) -> bool {
    let is_below = |place: &[u8]| {
        place.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    PYTHON.iter().any(|place| is_below(place)) || path.components().any(|part| part.starts_with(b"python3"))
}

/// Whether the loader's cache may have to tell of a path, or of where it lies.
fn may_be_library(path: &TreePath) -> bool {
    let name = path.name_bytes();
    let imported = |part: &[u8]| matches!(part, b"dist-packages" | b"site-packages");
    let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let library = dots.map(|(at, _)| &name[at..]).any(|end| end.starts_with(b".so"));
    library && !path.components().any(imported) || path.as_bytes().starts_with(b"etc/ld.so.conf")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::tree::{Entry, Origin, Owner};

    #[test]
    fn a_tree_tells_and_what_is_written_is_read() {
        let traits = |paths: &[&str], own: &[&str]| {
            let mut tree = FileTree::new();
            for path in paths {
                let entry = Entry::file(Content::inline(*b"x"), 0o644, Owner::ROOT, Origin::new("test"));
                tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
            }
            let own: Vec<TreePath> = own.iter().map(|path| TreePath::parse(path).unwrap()).collect();
            Traits::of(&tree, Some(7), &own)
        };
        for (paths, own, text) in [
            (&["app/main.py"][..], &[][..], "newest=7"),
            (&["usr/lib/libx.so.1"], &[], "newest=7 libraries"),
            (&["site/dist-packages/x.so"], &["site"], "newest=7"),
            (&["usr/bin/python3.13", "etc/x"], &["usr/bin"], "newest=7 python elsewhere"),
        ] {
            let traits = traits(paths, own);
            assert_eq!(traits.to_string(), text);
            assert_eq!(text.parse(), Ok(traits));
        }
        for wrong in ["libraries newest=7", "newest=x", "other", "python  deletes", "newest=07", "parts=2 newest=1"] {
            assert_eq!(wrong.parse::<Traits>(), Err(()), "{wrong}");
        }
        assert_eq!("".parse(), Ok(Traits::default()));
    }
}
