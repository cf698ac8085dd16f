//! What was chosen of a context, and how it lands in a layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::modes::Modes;
use super::walk::{FoundLink, Look};
use crate::content::{Content, HostFile, HostFiles};
use crate::tree::{Entry, Kind, Origin, Owner, PlaceError, Placer, TreePath};

/// What was chosen: metadata and where the bytes are. It knows nothing yet of owners, modes and the base.
#[derive(Debug)]
pub struct Selection {
    pub(super) to: TreePath,
    /// Whether any item lands in `to`.
    pub(super) in_to: bool,
    /// Of each item.
    pub(super) origins: Vec<Origin>,
    pub(super) places: Vec<Place>,
    /// Items all of whose matches are left out by the recipe.
    pub(super) emptied: Vec<usize>,
}

/// What was chosen of one directory of the context, or a single file.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) item: usize,
    pub(super) destination: TreePath,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// The destination is a directory that gets these.
    Directory {
        /// The directory's own mode; `None` where it is `to` and only its contents were asked for.
        own: Option<u16>,
        files: Arc<HostFiles>,
        /// Of each of them.
        looks: Vec<Look>,
        links: Vec<FoundLink>,
    },
    /// The destination is the file.
    File(HostFile, Look),
}

/// One entry of a selection.
#[derive(Debug)]
pub struct Selected<'a> {
    /// Where it lands, before symlinks of the base are followed.
    pub destination: TreePath,
    /// What it is.
    pub kind: SelectedKind<'a>,
    /// The number of the item that chose it.
    pub item: usize,
}

/// Kinds of entries, with what the machine says of them.
#[derive(Debug)]
pub enum SelectedKind<'a> {
    /// A directory, with its mode.
    Directory(u32),
    /// A file: where it is, its mode, and whether it has other names.
    File {
        /// Where its bytes are, and what it was when it was found.
        file: HostFile,
        /// Its mode on the machine.
        mode: u32,
        /// Whether it has more names than this.
        linked: bool,
    },
    /// A symlink, with its target.
    Symlink(&'a [u8]),
}

/// How a selection lands.
#[derive(Clone, Debug)]
pub struct Landing<'a> {
    /// Whose everything is.
    pub owner: Owner,
    /// What modes it gets.
    pub modes: &'a Modes,
    /// Whether names that share a file on the machine share it in the image.
    pub hardlinks: bool,
}

impl Selection {
    /// Everything that was chosen, directory by directory; those of one directory sorted by kind and name.
    pub fn entries(&self) -> impl Iterator<Item = Selected<'_>> {
        self.places.iter().flat_map(Place::entries)
    }

    /// The numbers of the items that match something, all of which `include` and `exclude` leave out.
    pub fn emptied(&self) -> &[usize] {
        &self.emptied
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts what was chosen into a layer.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn emit(&self, landing: &Landing<'_>, placer: &mut Placer<'_>) -> Result<(), PlaceError> {
        let Landing { owner, modes, hardlinks } = *landing;
        let mut linked: BTreeMap<(u64, u64), Vec<(TreePath, Entry)>> = BTreeMap::new();
        if self.in_to {
            let origin = self.places.first().map_or_else(|| Origin::new("copy"), |place| self.origin(place.item));
            let mode = modes.of_directory(Some(&TreePath::root()), None);
            placer.directory(&self.to, Entry::directory(mode, owner, origin))?;
        }
        for Selected { destination, kind, item } in self.entries() {
            let below = match modes.ask_for_paths() {
                true => destination.strip_prefix(&self.to).filter(|below| !below.is_root()),
                false => None,
            };
            let below = below.as_ref();
            let origin = self.origin(item);
            match kind {
                SelectedKind::Directory(mode) => {
                    let mode = modes.of_directory(below, Some(mode));
                    placer.directory(&destination, Entry::directory(mode, owner, origin))?;
                }
                SelectedKind::Symlink(target) => {
                    placer.lay(destination, Entry::symlink(target, owner, origin))?;
                }
                SelectedKind::File { file, mode, linked: has_names } => {
                    let mode = modes.of_file(below, Some(mode));
                    let identity = *file.identity();
                    let entry = Entry::file(Content::Host(file), mode, owner, origin);
                    if hardlinks && has_names {
                        let resolved = placer.resolve(&destination)?;
                        linked.entry((identity.device, identity.inode)).or_default().push((resolved, entry));
                    } else {
                        placer.lay(destination, entry)?;
                    }
                }
            }
        }
        for mut names in linked.into_values() {
            names.sort_by(|(a, _), (b, _)| a.cmp(b));
            names.dedup_by(|(a, _), (b, _)| a == b);
            let mut names = names.into_iter();
            let Some((first, file)) = names.next() else { continue };
            let target = placer.put(&first, file.clone())?;
            for (path, entry) in names {
                // One file has one mode: that of its first name.
                let link = Entry { kind: Kind::Hardlink(target.clone()), origin: entry.origin, ..file.clone() };
                placer.put(&path, link)?;
            }
        }
        Ok(())
    }

    fn origin(&self, item: usize) -> Origin {
        self.origins.get(item).cloned().unwrap_or_else(|| Origin::new("copy"))
    }
}

impl Place {
    fn entries(&self) -> impl Iterator<Item = Selected<'_>> {
        let item = self.item;
        let (own, single, within, links) = match &self.what {
            What::Directory { own, files, looks, links } => (*own, None, Some((files, looks)), links.as_slice()),
            What::File(file, look) => (None, Some((file.clone(), *look)), None, [].as_slice()),
        };
        let file = |(file, Look { mode, linked }): (HostFile, Look)| SelectedKind::File {
            file,
            mode: u32::from(mode),
            linked,
        };
        // Names come from directories, and the whole was found to fit when it was chosen.
        let child = |name: &[u8]| self.destination.child(name).ok();
        let own = own.map(|mode| Selected {
            destination: self.destination.clone(),
            kind: SelectedKind::Directory(u32::from(mode)),
            item,
        });
        let single =
            single.map(move |found| Selected { destination: self.destination.clone(), kind: file(found), item });
        let files =
            within.into_iter().flat_map(|(files, looks)| files.names().zip(files.files().zip(looks.iter().copied())));
        let files = files
            .filter_map(move |(name, found)| Some(Selected { destination: child(name)?, kind: file(found), item }));
        let links = links.iter().filter_map(move |link| {
            Some(Selected { destination: child(&link.name)?, kind: SelectedKind::Symlink(&link.target), item })
        });
        own.into_iter().chain(single).chain(files).chain(links)
    }
}
