//! A layer as it is written: sources of files, and how they land.

use std::collections::BTreeMap;

use url::Url;

use super::base::Base;
use super::packages::{DebianSource, PythonSource};
use super::path::{FilePath, ImageSelection, PerArch, Selection, Target};
use super::value::{FileCapabilities, FileMode, Mode, OwnerSpec};
use super::{At, Span};
use crate::oci::Digest;
use crate::tree::TreePath;

/// Who owns what lands, in which mode, and what is left out (semantics 9, 10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRules {
    /// Owner of everything; root where not given.
    pub owner: Option<At<OwnerSpec>>,
    /// Mode of files; 0644, or 0755 where any x bit is set, where not given.
    pub mode: Option<At<FileMode>>,
    /// Mode of directories; 0755 where not given.
    pub dir_mode: Option<At<FileMode>>,
    /// Modes by pattern of the path below `to`; the later wins.
    pub modes: Vec<ModeRule>,
    /// Patterns of what is left out, anchored at the context.
    pub exclude: Vec<At<String>>,
}

/// One line of `modes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeRule {
    /// Docker's pattern, on the path below `to`.
    pub pattern: At<String>,
    /// What fits gets this mode.
    pub mode: At<Mode>,
}

impl FileRules {
    /// These rules where others hold below: what is said here wins, lists go on after theirs.
    #[must_use]
    pub fn over(&self, below: &FileRules) -> FileRules {
        FileRules {
            owner: self.owner.clone().or_else(|| below.owner.clone()),
            mode: self.mode.or(below.mode),
            dir_mode: self.dir_mode.or(below.dir_mode),
            modes: below.modes.iter().chain(&self.modes).cloned().collect(),
            exclude: below.exclude.iter().chain(&self.exclude).cloned().collect(),
        }
    }
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its header.
    pub span: Span,
    /// What people call it.
    pub name: Option<At<String>>,
    /// The directory that things land in. Where not given: the workdir for what is copied, the root for archives.
    pub to: Option<At<PerArch<TreePath>>>,
    /// Its own rules; for `copy`, `files`, `dirs` and `symlinks` they hold over those of the image.
    pub rules: FileRules,
    /// Only what fits one of these is taken, where there is any.
    pub include: Vec<At<String>>,
    /// Whether a directory may give way to a file, and a symlink to a directory.
    pub replace: bool,
    /// Whether files that share an inode on disk become hard links.
    pub hardlinks: bool,
    /// Into how many layers it may be cut; 1 is not at all.
    pub split: u8,
    /// What is in it, at least one, in the order in which it is written; each with the place of its key.
    pub sources: Vec<At<Source>>,
}

impl Layer {
    /// Whether Debian packages are among its sources.
    pub fn has_debian(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.value, Source::Debian(_)))
    }

    /// Whether downloads are among its sources.
    pub fn has_fetch(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.value, Source::Fetch(_)))
    }

    /// Whether Python packages are among its sources.
    pub fn has_python(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.value, Source::Python(_)))
    }

    /// Whether it matters which Python the image has: for Python packages, and where those of Debian are compiled.
    pub fn needs_python(&self) -> bool {
        let compiles = |source: &At<Source>| matches!(&source.value, Source::Debian(source) if source.compile);
        self.has_python() || self.sources.iter().any(compiles)
    }

    /// What it is called where people read it: its name, or the keys of its sources.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => name.value.clone(),
            None => self.sources.iter().map(|source| source.value.key()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// One source of files.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Files of the context.
    Copy(Vec<At<CopyItem<Selection>>>),
    /// Files with their text in the recipe.
    Files(Vec<FileItem>),
    /// Directories.
    Dirs(Vec<DirItem>),
    /// Symlinks.
    Symlinks(Vec<SymlinkItem>),
    /// Tars of the context.
    Archive(Vec<At<ArchiveItem>>),
    /// Files of other images.
    Image(Vec<At<ImageItem>>),
    /// Downloads.
    Fetch(Vec<At<FetchItem>>),
    /// Company certificates: PEM files.
    Ca(Vec<At<PerArch<FilePath>>>),
    /// File capabilities.
    Caps(Vec<CapsItem>),
    /// Paths of the base that are deleted.
    Remove(Vec<At<PerArch<TreePath>>>),
    /// Debian packages.
    Debian(DebianSource),
    /// Python packages.
    Python(PythonSource),
}

impl Source {
    /// The key it is written under.
    pub fn key(&self) -> &'static str {
        match self {
            Source::Copy(_) => "copy",
            Source::Files(_) => "files",
            Source::Dirs(_) => "dirs",
            Source::Symlinks(_) => "symlinks",
            Source::Archive(_) => "archive",
            Source::Image(_) => "image",
            Source::Fetch(_) => "fetch",
            Source::Ca(_) => "ca",
            Source::Caps(_) => "caps",
            Source::Remove(_) => "remove",
            Source::Debian(_) => "debian",
            Source::Python(_) => "python",
        }
    }
}

/// Something to copy (semantics 8): lands at `to`/basename, what is in it lands at `to`, or it goes to an exact path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyItem<S> {
    /// What is taken.
    pub what: PerArch<S>,
    /// Its exact path.
    pub dest: Option<At<PerArch<Target>>>,
}

/// A file with its text in the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// Where it lands.
    pub path: At<PerArch<Target>>,
    /// What is in it.
    pub text: String,
    /// Its mode, where it is its own.
    pub mode: Option<At<Mode>>,
    /// Its owner, where it is its own.
    pub owner: Option<At<OwnerSpec>>,
}

/// A directory: that entry alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirItem {
    /// Where it is.
    pub path: At<PerArch<Target>>,
    /// Its mode, where it is its own.
    pub mode: Option<At<Mode>>,
    /// Its owner, where it is its own.
    pub owner: Option<At<OwnerSpec>>,
}

/// A symlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymlinkItem {
    /// Where it is.
    pub path: At<PerArch<Target>>,
    /// What it points to, kept as it is written.
    pub target: At<PerArch<String>>,
}

/// A tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveItem {
    /// The file.
    pub path: PerArch<FilePath>,
    /// How many leading directories of each path fall away.
    pub strip: u8,
}

/// Files of another image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageItem {
    /// The image.
    pub from: At<Base>,
    /// What is copied of it.
    pub copy: Vec<At<CopyItem<ImageSelection>>>,
}

/// A download.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchItem {
    /// Where it is: `https` or `http`, no credentials.
    pub url: At<PerArch<Url>>,
    /// What it must be.
    pub sha256: FetchDigest,
    /// The directory that it lands in; the layer's `to` where not given.
    pub to: Option<At<PerArch<TreePath>>>,
    /// Its file name; the URL's last part where not given.
    pub name: Option<At<String>>,
    /// Whether it is a tar that is unpacked, and how many leading directories of each path fall away then.
    pub unpack: Option<u8>,
    /// Its mode.
    pub mode: Option<At<Mode>>,
}

/// The digest of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchDigest {
    /// One file for all.
    Same(At<Digest>),
    /// One for each architecture (Go's names).
    PerArch(BTreeMap<String, At<Digest>>),
}

impl FetchDigest {
    /// The digest for an architecture, where there is one.
    pub fn of(&self, arch: &str) -> Option<&At<Digest>> {
        match self {
            FetchDigest::Same(digest) => Some(digest),
            FetchDigest::PerArch(digests) => digests.get(arch),
        }
    }
}

impl FetchItem {
    /// The name that it has in its directory, for an architecture.
    pub fn file_name(&self, url: &Url) -> String {
        match &self.name {
            Some(name) => name.value.clone(),
            None => url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned(),
        }
    }
}

/// Capabilities of a file that the layer brings, or the base has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsItem {
    /// The file.
    pub path: At<PerArch<Target>>,
    /// What it gets.
    pub capabilities: At<FileCapabilities>,
}
