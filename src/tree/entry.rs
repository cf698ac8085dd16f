//! One entry of a tree.

use super::{Capabilities, Origin, TreePath};
use crate::content::Content;
use crate::shown::Shown;

/// The bits of a mode that an entry keeps: permissions, setuid, setgid, sticky.
pub const MODE_MASK: u32 = 0o7777;

/// Numeric user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// 0:0.
    pub const ROOT: Owner = Owner { uid: 0, gid: 0 };

    /// An owner of these ids.
    pub fn new(uid: u32, gid: u32) -> Self {
        Owner { uid, gid }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link; the target's bytes, kept as they are.
    Symlink(Box<[u8]>),
    /// Another name of a file of the same tree.
    Hardlink(TreePath),
    /// The path below is deleted (image-spec, layer.md, "Whiteouts").
    Whiteout,
}

impl Kind {
    /// The word for it in messages.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Directory => "directory",
            Kind::File(_) => "file",
            Kind::Symlink(_) => "symlink",
            Kind::Hardlink(_) => "hard link",
            Kind::Whiteout => "deletion",
        }
    }
}

/// What stands at a path: kind, mode, owner, capabilities, and where it comes from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, setuid, setgid, sticky ([`MODE_MASK`]).
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
    /// File capabilities, where the recipe sets some.
    pub capabilities: Option<Capabilities>,
    /// The recipe item behind it.
    pub origin: Origin,
}

impl Entry {
    /// A directory.
    pub fn directory(mode: u32, owner: Owner, origin: Origin) -> Self {
        Entry { kind: Kind::Directory, mode: mode & MODE_MASK, owner, capabilities: None, origin }
    }

    /// A file.
    pub fn file(content: Content, mode: u32, owner: Owner, origin: Origin) -> Self {
        Entry { kind: Kind::File(content), mode: mode & MODE_MASK, owner, capabilities: None, origin }
    }

    /// A symbolic link; its mode is always 0777.
    pub fn symlink(target: impl Into<Box<[u8]>>, owner: Owner, origin: Origin) -> Self {
        Entry { kind: Kind::Symlink(target.into()), mode: 0o777, owner, capabilities: None, origin }
    }

    /// Whether both say the same, wherever they come from.
    pub fn same_as(&self, other: &Entry) -> bool {
        self.kind == other.kind
            && self.mode == other.mode
            && self.owner == other.owner
            && self.capabilities == other.capabilities
    }

    /// A few words on what it is, for messages about conflicts.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Symlink(target) => format!("a symlink to {} ({})", Shown::new(target), self.origin),
            kind => format!("a {} of mode {:04o} and owner {} ({})", kind.word(), self.mode, self.owner, self.origin),
        }
    }
}
