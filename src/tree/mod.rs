//! File trees in memory: what a layer holds, before it is bytes.
//!
//! A [`FileTree`] is metadata only; the contents of files stay where they are until the layer is written ([`crate::content::Content`]).
//! [`TreePath`] is the one place where it is decided what a path inside an image may be.

mod capabilities;
mod entry;
mod file_tree;
mod known;
mod origin;
mod path;
mod place;
mod rootfs;
mod sorted;
mod underlay;
mod unmerged;

pub use capabilities::{CAPABILITY_NAMES, Capabilities};
pub use entry::{Entry, Kind, MODE_MASK, Owner};
pub use file_tree::{FileTree, TreeError};
pub use known::{Contradiction, Known};
pub use origin::Origin;
pub use path::{PathError, TreePath};
pub use place::{NamedDirectory, PlaceError, Placer, nearest_path};
pub(crate) use rootfs::is_accounts;
pub use rootfs::{Located, Node, NodeKind, ResolveError, Rootfs, Seen, SeenKind};
pub(crate) use underlay::PASSWORDS;
pub use underlay::{Missed, Misses};
