//! Paths inside an image. Every path that enters a tree, from whatever archive, recipe or directory, goes through
//! [`TreePath::parse`] or [`TreePath::join`]: there is no other way to make one.

use std::fmt;

use super::known;
use crate::shown::Shown;

/// `PATH_MAX` without its NUL.
const MAX_LENGTH: usize = 4095;

/// Deeper than anything that people make; each level costs those time and memory that go through it.
const MAX_DEPTH: usize = 512;

/// A path inside an image, relative to its root: bytes, no leading or trailing slash, no empty, `.` or `..` component,
/// no NUL. The root itself is the empty path.
///
/// Ordered by bytes, as the entries of a layer are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Box<[u8]>);

/// Why bytes are no path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `..` component.
    #[error("path {0} climbs with `..`")]
    Climbs(Shown),
    /// A NUL byte.
    #[error("path {0} holds a NUL byte")]
    Nul(Shown),
    /// A component of more than 255 bytes.
    #[error("path {0} has a component of more than 255 bytes")]
    LongComponent(Shown),
    /// More than 4095 bytes.
    #[error("path {0} has more than 4095 bytes")]
    Long(Shown),
    /// More than 512 components.
    #[error("path {0} leads through more than 512 directories")]
    Deep(Shown),
    /// An absolute path where a relative one is needed.
    #[error("path {0} is absolute")]
    Absolute(Shown),
    /// A file name that layers use for whiteouts.
    #[error("path {0} has a name that starts with `.wh.`, which means a deletion inside a layer")]
    Whiteout(Shown),
}

impl TreePath {
    /// The root of the image.
    pub fn root() -> Self {
        TreePath::default()
    }

    /// Reads a path as archives and recipes write it: leading and trailing slashes, `./` and doubled slashes fall away.
    ///
    /// # Errors
    /// [`PathError`]: a path that climbs is refused, not cleaned.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        let shown = || Shown::new(bytes);
        if bytes.contains(&0) {
            return Err(PathError::Nul(shown()));
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut depth = 0;
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathError::Climbs(shown())),
                _ if component.len() > 255 => return Err(PathError::LongComponent(shown())),
                _ => {}
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(component);
            depth += 1;
        }
        if clean.len() > MAX_LENGTH {
            return Err(PathError::Long(shown()));
        }
        if depth > MAX_DEPTH {
            return Err(PathError::Deep(shown()));
        }
        Ok(TreePath(clean.into()))
    }

    /// The path of `below` under this one.
    ///
    /// # Errors
    /// Where the whole is longer than a path may be.
    pub fn join(&self, below: &TreePath) -> Result<Self, PathError> {
        if self.is_root() {
            return Ok(below.clone());
        }
        if below.is_root() {
            return Ok(self.clone());
        }
        let whole = [&self.0, &b"/"[..], &below.0].concat();
        if whole.len() > MAX_LENGTH {
            return Err(PathError::Long(Shown::new(&whole)));
        }
        let whole = TreePath(whole.into());
        let is_deep = whole.components().nth(MAX_DEPTH).is_some();
        if is_deep { Err(PathError::Deep(Shown::new(&whole.0))) } else { Ok(whole) }
    }

    /// The path of an entry of this directory, by its name.
    ///
    /// # Errors
    /// Where the name is no single component.
    pub fn child(&self, name: &[u8]) -> Result<Self, PathError> {
        let is_plain = !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        // So short that its depth need not be counted.
        if is_plain && name.len() <= 255 && self.0.len() + 1 + name.len() <= 2 * MAX_DEPTH {
            let mut whole = Vec::with_capacity(self.0.len() + 1 + name.len());
            if !self.is_root() {
                whole.extend_from_slice(&self.0);
                whole.push(b'/');
            }
            whole.extend_from_slice(name);
            return Ok(TreePath(whole.into()));
        }
        let name = TreePath::parse(name)?;
        self.join(&name)
    }

    /// The bytes, without slashes at either end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the image's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        Some(self.name_bytes()).filter(|name| !name.is_empty())
    }

    /// The directory that holds this; `None` for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(TreePath(self.0[..end].into()))
    }

    /// The bytes of the path of the directory that holds this; none for what lies in the root, and for the root.
    pub fn parent_bytes(&self) -> &[u8] {
        known::parent(&self.0)
    }

    /// The bytes of the last component; none for the root.
    pub fn name_bytes(&self) -> &[u8] {
        &self.0[self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)..]
    }

    /// Every directory above this one, the outermost first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = TreePath> + '_ {
        let ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        ends.map(|end| TreePath(self.0[..end].into()))
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// What is left of this path below `directory`; `None` where it is not below it (nor the same).
    pub fn strip_prefix(&self, directory: &TreePath) -> Option<TreePath> {
        if directory.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(directory.as_bytes())? {
            [] => Some(TreePath::root()),
            [b'/', rest @ ..] => Some(TreePath(rest.into())),
            _ => None,
        }
    }

    /// Refuses names that mean something else inside a layer.
    ///
    /// # Errors
    /// [`PathError::Whiteout`] where any component starts with `.wh.`.
    pub fn refuse_whiteout(&self) -> Result<(), PathError> {
        match self.components().any(|component| component.starts_with(b".wh.")) {
            true => Err(PathError::Whiteout(Shown::new(&self.0))),
            false => Ok(()),
        }
    }

    /// As [`TreePath::refuse_whiteout`], where the directory was looked at before.
    ///
    /// # Errors
    /// [`PathError::Whiteout`].
    pub(super) fn refuse_whiteout_name(&self) -> Result<(), PathError> {
        match self.file_name().is_some_and(|name| name.starts_with(b".wh.")) {
            true => Err(PathError::Whiteout(Shown::new(&self.0))),
            false => Ok(()),
        }
    }

    /// The path as it is shown in messages, with a leading slash.
    pub fn shown(&self) -> Shown {
        Shown::new(&[b"/", &self.0[..]].concat())
    }
}

impl std::borrow::Borrow<[u8]> for TreePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown().as_str().trim_matches('`'))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn cleans_but_never_climbs() {
        for (text, clean) in
            [("/a//b/./c/", "a/b/c"), ("./x", "x"), ("/", ""), ("", ""), (".", ""), ("..a/b..", "..a/b..")]
        {
            assert_eq!(path(text).as_bytes(), clean.as_bytes());
        }
        for bad in ["..", "a/..", "../a", "a/../../x", "/..", "a\0b"] {
            assert!(TreePath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn is_as_long_as_linux_lets_it_be() {
        assert!(TreePath::parse("x".repeat(255)).is_ok());
        assert!(TreePath::parse("x".repeat(256)).is_err());
        // 4095 bytes and a NUL make PATH_MAX.
        let longest = path(&"xxxxxxx/".repeat(512));
        assert_eq!(longest.as_bytes().len(), 4095);
        assert!(TreePath::parse("xxxxxxx/".repeat(511) + "xxxxxxxx").is_err());
        let almost = path(&("xxxxxxx/".repeat(510) + "yyyyyyyyyyyyy"));
        assert_eq!(almost.as_bytes().len(), 4093);
        for (name, fits) in [("x", true), ("xx", false)] {
            assert_eq!(almost.join(&path(name)).is_ok(), fits);
            assert_eq!(almost.child(name.as_bytes()).is_ok(), fits);
        }
        assert!(matches!(TreePath::parse("x/".repeat(513)), Err(PathError::Deep(_))));
        let deepest = path(&"x/".repeat(512));
        assert!(deepest.child(b"x").is_err() && deepest.join(&path("x")).is_err());
        let less = path(&"x/".repeat(511));
        assert_eq!((less.child(b"x"), less.join(&path("x"))), (Ok(deepest.clone()), Ok(deepest)));
        assert!(path("a").child(&[b'x'; 255]).is_ok());
        assert!(path("a").child(&[b'x'; 256]).is_err());
    }

    #[test]
    fn grows_by_what_is_below() {
        let (root, usr, lib) = (TreePath::root(), path("usr"), path("lib"));
        assert_eq!(usr.join(&path("lib/x")), Ok(path("usr/lib/x")));
        assert_eq!((root.join(&usr), usr.join(&root)), (Ok(usr.clone()), Ok(usr.clone())));
        assert_eq!((root.child(b"usr"), usr.child(b"lib")), (Ok(usr.clone()), usr.join(&lib)));
        for bad in [&b".."[..], b"a/..", b"\0"] {
            assert!(usr.child(bad).is_err());
        }
    }

    #[test]
    fn knows_its_place() {
        let p = path("usr/lib/x");
        assert_eq!(p.parent(), Some(path("usr/lib")));
        assert_eq!(p.file_name(), Some(&b"x"[..]));
        assert_eq!(p.ancestors().collect::<Vec<_>>(), [path("usr"), path("usr/lib")]);
        assert_eq!(p.strip_prefix(&path("usr")), Some(path("lib/x")));
        assert_eq!(p.strip_prefix(&path("us")), None);
        assert_eq!(p.strip_prefix(&p), Some(TreePath::root()));
        assert_eq!(path("usr").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert!(path("a/.wh.b/c").refuse_whiteout().is_err());
        assert!(path("a/.wh").refuse_whiteout().is_ok());
    }
}
