//! What layers hold, alone or on top of each other, down to the digests of their files.

use std::collections::BTreeMap;
use std::io;

use super::entries::{Entries, Entry, Standing};
use super::packages::Packages;
use crate::base::{BaseError, Depth, LayerStack, Listed, StackLayer, What, tells_packages};
use crate::content::Content;
use crate::oci::Digest;
use crate::report::Reporter;
use crate::store::BlobStore;
use crate::tree::{Capabilities, Located, Node, NodeKind, Rootfs, TreePath};

/// What a layer holds by itself, or several that are parts of one.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The paths.
    pub entries: Entries,
    /// The packages that the layer's own files tell of.
    pub packages: Packages,
}

impl Contents {
    /// What layers hold that are parts of one.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn of_layers(layers: &[StackLayer], store: &BlobStore, reporter: &Reporter) -> Result<Self, BaseError> {
        let mut contents = Contents::default();
        for layer in layers {
            let listing = layer.listing(Depth::Contents, store, reporter)?;
            for member in listing.members() {
                contents.add(member);
            }
        }
        Ok(contents)
    }

    fn add(&mut self, Listed { path, mode, owner, what }: &Listed) {
        let mut entry = Entry { what: Standing::Special, mode: *mode, owner: *owner, capabilities: None };
        let mut at = Some(path.clone());
        entry.what = match what {
            What::File { length, digest, capabilities, kept, .. } => {
                if let Some(data) = kept.as_ref().filter(|_| tells_packages(path)) {
                    self.packages.note(path, data);
                }
                entry.capabilities = capabilities.clone();
                // A listing of contents has them all.
                Standing::File { length: *length, digest: digest.unwrap_or_else(|| Digest::of(b"")) }
            }
            What::Directory => Standing::Directory,
            What::Symlink(target) => Standing::Symlink(target.clone()),
            What::Hardlink(target) => Standing::Hardlink(target.clone()),
            What::Special => Standing::Special,
            What::Deleted => {
                let name = [b".wh.", path.file_name().unwrap_or_default()].concat();
                at = path.parent().and_then(|parent| parent.child(&name).ok());
                Standing::Deletion
            }
            What::Opaque => {
                at = path.child(b".wh..wh..opq").ok();
                Standing::Deletion
            }
        };
        if let Some(at) = at {
            self.entries.0.insert(at, entry);
        }
    }

    /// Adds what another holds.
    pub fn join(&mut self, other: &Contents) {
        self.entries.0.extend(other.entries.0.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        self.packages.join(&other.packages);
    }
}

/// What all layers of an image come to.
pub struct ImageContents {
    stack: LayerStack,
    /// Of each layer: digest and capabilities of the file whose bytes begin there.
    files: Vec<BTreeMap<u64, (Digest, Option<Capabilities>)>>,
}

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

impl ImageContents {
    /// Reads an image's layers, those that are not remembered.
    ///
    /// # Errors
    /// Where one cannot be read, or not be unpacked over those below it.
    pub fn read(layers: Vec<StackLayer>, store: &BlobStore, reporter: &Reporter) -> Result<Self, BaseError> {
        let mut image = ImageContents { stack: LayerStack::new(), files: Vec::new() };
        for layer in layers {
            let listing = layer.listing(Depth::Contents, store, reporter)?;
            let file = |member: &Listed| match &member.what {
                What::File { offset, digest: Some(digest), capabilities, .. } => {
                    Some((*offset, (*digest, capabilities.clone())))
                }
                _ => None,
            };
            image.files.push(listing.members().iter().filter_map(file).collect());
            image.stack.push_listed(layer, &listing)?;
        }
        Ok(image)
    }

    /// What it looks like from above.
    pub fn rootfs(&self) -> &Rootfs {
        self.stack.rootfs()
    }

    /// What stands at each path.
    pub fn entries(&self) -> Entries {
        Entries(self.rootfs().iter().map(|(path, node)| (path.clone(), self.entry(node))).collect())
    }

    /// What a node is, down to its contents.
    pub fn entry(&self, node: &Node) -> Entry {
        let mut capabilities = None;
        let what = match &node.kind {
            NodeKind::Directory => Standing::Directory,
            NodeKind::Symlink(target) => Standing::Symlink(target.clone()),
            NodeKind::Special => Standing::Special,
            NodeKind::File(located) => {
                let known = match located {
                    Located::Layer { layer, offset, .. } => {
                        self.files.get(*layer).and_then(|files| files.get(offset)).cloned()
                    }
                    Located::Content(content) => content.known_digest().map(|digest| (digest, None)),
                    Located::Unknown { .. } => None,
                };
                let (digest, of_file) = known.unwrap_or_else(|| (Digest::of(b""), None));
                capabilities = of_file;
                Standing::File { length: located.length(), digest }
            }
        };
        Entry { what, mode: node.mode, owner: node.owner, capabilities }
    }

    /// The packages that are installed.
    ///
    /// # Errors
    /// Where a database cannot be read.
    pub fn packages(&self, store: &BlobStore) -> Result<Packages, BaseError> {
        let mut packages = Packages::default();
        for (path, node) in self.rootfs().iter().filter(|(path, _)| tells_packages(path)) {
            if let NodeKind::File(located) = &node.kind
                && located.length() <= MAX_DATABASE
            {
                packages.note(path, &self.bytes(path, located, store)?);
            }
        }
        Ok(packages)
    }

    /// The users of `/etc/passwd`, in its order; lines that are none are passed over.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn users(&self, store: &BlobStore) -> Result<Vec<User>, BaseError> {
        let Ok(path) = TreePath::parse("etc/passwd") else { return Ok(Vec::new()) };
        let Ok(Some((_, _, located))) = self.rootfs().file(&path) else { return Ok(Vec::new()) };
        if located.length() > MAX_DATABASE {
            return Ok(Vec::new());
        }
        let bytes = self.bytes(&path, located, store)?;
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(user).collect())
    }

    fn bytes(&self, path: &TreePath, located: &Located, store: &BlobStore) -> Result<Vec<u8>, BaseError> {
        let failed = |source| BaseError::Contents { path: path.clone(), source };
        let content = self.content(located, store)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        content.read_all(MAX_DATABASE).map_err(failed)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// Where its layer cannot be read.
    pub fn content(&self, located: &Located, store: &BlobStore) -> Result<Option<Content>, BaseError> {
        Ok(self.stack.extract(&[located], store)?.pop())
    }
}

/// The most bytes of a package database or of `passwd` that are read.
const MAX_DATABASE: u64 = 32 << 20;

/// A line of passwd(5).
fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}
