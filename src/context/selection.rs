//! What was chosen of a context, and how it lands in a layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::modes::Modes;
use super::walk::{FoundFile, FoundLink};
use crate::content::{Content, HostFile};
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
        files: Vec<FoundFile>,
        links: Vec<FoundLink>,
    },
    /// The destination is the file.
    File(FoundFile),
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
        file: &'a Arc<HostFile>,
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

    /// The files, to give them digests that are known already.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut Arc<HostFile>> {
        self.places
            .iter_mut()
            .flat_map(|place| match &mut place.what {
                What::Directory { files, .. } => files.as_mut_slice(),
                What::File(file) => std::slice::from_mut(file),
            })
            .map(|found| &mut found.file)
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
                    placer.put(&destination, Entry::symlink(target, owner, origin))?;
                }
                SelectedKind::File { file, mode, linked: has_names } => {
                    let mode = modes.of_file(below, Some(mode));
                    let entry = Entry::file(Content::Host(file.clone()), mode, owner, origin);
                    if hardlinks && has_names {
                        let resolved = placer.resolve(&destination)?;
                        let identity = file.identity();
                        linked.entry((identity.device, identity.inode)).or_default().push((resolved, entry));
                    } else {
                        placer.put(&destination, entry)?;
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
        let (own, files, links): (_, &[FoundFile], &[FoundLink]) = match &self.what {
            What::Directory { own, files, links } => (*own, files, links),
            What::File(file) => (None, std::slice::from_ref(file), &[]),
        };
        let single = matches!(self.what, What::File(_));
        // Names come from directories, and the whole was found to fit when it was chosen.
        let child = move |name: &[u8]| match single {
            true => Ok(self.destination.clone()),
            false => self.destination.child(name),
        };
        let own = own.map(|mode| Selected {
            destination: self.destination.clone(),
            kind: SelectedKind::Directory(u32::from(mode)),
            item,
        });
        let files = files.iter().filter_map(move |found| {
            let name = found.file.directory().map(|(_, name)| name).unwrap_or_default();
            let mode = u32::from(found.mode);
            let kind = SelectedKind::File { file: &found.file, mode, linked: found.linked };
            Some(Selected { destination: child(name).ok()?, kind, item })
        });
        let links = links.iter().filter_map(move |link| {
            Some(Selected { destination: child(&link.name).ok()?, kind: SelectedKind::Symlink(&link.target), item })
        });
        own.into_iter().chain(files).chain(links)
    }
}
