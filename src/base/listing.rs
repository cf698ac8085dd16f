//! What one layer holds, in the order in which it has it.

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::compress::Decoder;
use crate::content::Content;
use crate::limits::Limits;
use crate::oci::{Compression, DiffId, Digest, Hasher};
use crate::store::{BlobStore, StoreError, read_record, write_record};
use crate::tar::{MAX_MEMBERS, Member, MemberKind, ReadError, Reader};
use crate::tree::{Capabilities, Located, Node, NodeKind, Owner, PathError, ResolveError, Rootfs, TreePath};

/// The most bytes of contents that are kept in one listing; what comes after is read out of the layer when it is needed.
const MAX_KEPT: u64 = 32 << 20;

/// The most that a layer may decompress to, in bytes, where nobody says another.
pub(super) const MAX_LAYER: u64 = 64 << 30;

/// The members of a layer, and the contents of the few files that builds ask for.
#[derive(Clone, Debug)]
pub struct Listing {
    members: Vec<Listed>,
    diff_id: DiffId,
}

/// How much a listing tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What stands where: what builds ask for.
    Places,
    /// The digests of all contents too, capabilities, and what packages say of themselves: what comparing needs.
    Contents,
}

impl Depth {
    /// The bucket of such listings; the number changes with their form.
    fn bucket(self) -> &'static str {
        match self {
            Depth::Places => "listings-v2",
            Depth::Contents => "contents-v1",
        }
    }
}

/// A member of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: TreePath,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    File {
        offset: u64,
        length: u64,
        kept: Option<Vec<u8>>,
        /// Nothing of listings of places.
        digest: Option<Digest>,
        capabilities: Option<Capabilities>,
    },
    Directory,
    Symlink(Box<[u8]>),
    Hardlink(TreePath),
    Special,
    /// The path is deleted from the layers below.
    Deleted,
    /// What the layers below have in this directory is deleted.
    Opaque,
}

/// Why a layer's members cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// Not a tar, or one that is refused.
    #[error(transparent)]
    Tar(#[from] ReadError),
    /// The uncompressed bytes are not what the config says.
    #[error("the layer's tar has diff ID {actual}, and the image's config says {expected}")]
    DiffId {
        /// What the config says.
        expected: DiffId,
        /// What it is.
        actual: DiffId,
    },
    /// More files and directories than any image has.
    #[error("the layer holds more files and directories, or deeper ones, than can be taken in")]
    TooLarge,
    /// A name that means a deletion deletes nothing.
    #[error("the deletion {0} names nothing to delete")]
    Whiteout(TreePath),
    /// A path that cannot be.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path that leads nowhere in the layers below.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A hard link to what is not there.
    #[error("{path} is a hard link to {target}, which is no file in the image")]
    Link {
        /// The link.
        path: TreePath,
        /// Its target.
        target: TreePath,
    },
}

/// Whether builds may ask for the contents of this file of a base.
pub(super) fn is_kept(path: &TreePath) -> bool {
    matches!(
        path.as_bytes(),
        b"etc/passwd"
            | b"etc/group"
            | b"etc/shadow"
            | b"etc/gshadow"
            | b"etc/subuid"
            | b"etc/subgid"
            | b"etc/os-release"
            | b"usr/lib/os-release"
            | b"var/lib/dpkg/status"
    ) || path.as_bytes().starts_with(b"var/lib/dpkg/status.d/")
}

/// Whether the contents of this file tell which packages there are.
pub(crate) fn tells_packages(path: &TreePath) -> bool {
    let bytes = path.as_bytes();
    let is_debian = bytes == b"var/lib/dpkg/status"
        || (bytes.starts_with(b"var/lib/dpkg/status.d/") && !bytes.ends_with(b".md5sums"));
    is_debian || bytes.ends_with(b".dist-info/METADATA")
}

impl Listing {
    /// Reads a layer: `blob` gives its stored bytes, and must fail itself where they are not what its digest says.
    ///
    /// # Errors
    /// [`ListingError`].
    pub fn scan(
        blob: impl Read + Send,
        compression: Compression,
        diff_id: DiffId,
        depth: Depth,
        limits: Limits,
    ) -> Result<Self, ListingError> {
        let decoded = Decoder::new(blob, compression).limited(limits.unpacked(MAX_LAYER));
        let mut reader =
            Reader::new(Hashing { inner: decoded, hasher: Hasher::new() }).at_most(limits.entries(MAX_MEMBERS));
        let mut members = Vec::new();
        let mut budget = MAX_KEPT;
        while let Some(member) = reader.next_member()? {
            let is_file = member.kind == MemberKind::File;
            let in_full = depth == Depth::Contents;
            let is_wanted = is_kept(&member.path) || (in_full && tells_packages(&member.path));
            let kept = if is_file && is_wanted && member.size <= budget {
                budget -= member.size;
                let mut bytes = Vec::new();
                reader.data().read_to_end(&mut bytes).map_err(ReadError::Io)?;
                Some(bytes)
            } else {
                None
            };
            let digest = match &kept {
                Some(bytes) if in_full => Some(Digest::of(bytes)),
                None if in_full && is_file => {
                    let mut hasher = Hasher::new();
                    std::io::copy(&mut reader.data(), &mut hasher).map_err(ReadError::Io)?;
                    Some(hasher.finish())
                }
                _ => None,
            };
            if let Some(listed) = listed(member, kept, digest)? {
                members.push(listed);
            }
        }
        let mut rest = reader.finish()?;
        // Reading to the very end is what makes the blob's own digest known.
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(ReadError::Io)?;
        let actual = DiffId(rest.hasher.finish());
        if actual != diff_id {
            return Err(ListingError::DiffId { expected: diff_id, actual });
        }
        Ok(Listing { members, diff_id })
    }

    /// What it lists, in the order in which the layer has it.
    pub(crate) fn members(&self) -> &[Listed] {
        &self.members
    }

    /// Whether it deletes something of the layers below.
    pub fn deletes(&self) -> bool {
        self.members.iter().any(|member| matches!(member.what, What::Deleted | What::Opaque))
    }

    /// The files that the layer has, with their lengths in bytes; hard links are the file that they name, and left out.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, u64)> {
        self.members.iter().filter_map(|member| match &member.what {
            What::File { length, .. } => Some((&member.path, *length)),
            _ => None,
        })
    }

    /// The diff ID of the layer that this lists.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// Puts the layer on top of what is below it. `layer` is its number, lowest first.
    ///
    /// Deletions concern the layers below only; what the layer itself has stays, wherever the deletion stands in it.
    ///
    /// # Errors
    /// Where a path leads through a file or round in circles, or a hard link's target is not there.
    pub fn apply(&self, rootfs: &mut Rootfs, layer: usize) -> Result<(), ListingError> {
        for member in &self.members {
            match member.what {
                What::Deleted => {
                    let path = rootfs.resolve_parent(&member.path)?;
                    rootfs.remove(&path);
                }
                What::Opaque => {
                    let path = rootfs.resolve_parent(&member.path)?;
                    rootfs.clear(&path);
                }
                _ => {}
            }
        }
        for member in &self.members {
            let path = rootfs.resolve_parent(&member.path)?;
            let kind = match &member.what {
                What::Deleted | What::Opaque => continue,
                What::Directory => NodeKind::Directory,
                What::Special => NodeKind::Special,
                What::Symlink(target) => NodeKind::Symlink(target.clone()),
                What::File { kept: Some(bytes), .. } => {
                    NodeKind::File(Located::Content(Content::inline(bytes.as_slice())))
                }
                What::File { offset, length, kept: None, .. } => {
                    NodeKind::File(Located::Layer { layer, offset: *offset, length: *length })
                }
                What::Hardlink(target) => {
                    let missing = || ListingError::Link { path: member.path.clone(), target: target.clone() };
                    let target = rootfs.resolve_parent(target)?;
                    let node = rootfs.get(&target).filter(|node| matches!(node.kind, NodeKind::File(_)));
                    let node = node.ok_or_else(missing)?.clone();
                    rootfs.put(path, node);
                    continue;
                }
            };
            if !path.is_root() {
                rootfs.put(path, Node { kind, mode: member.mode, owner: member.owner });
            }
            if rootfs.is_too_large() {
                return Err(ListingError::TooLarge);
            }
        }
        Ok(())
    }

    /// The listing of that layer, where the store remembers it.
    pub fn load(store: &BlobStore, blob: Digest, diff_id: DiffId, depth: Depth) -> Option<Self> {
        let record = read_record(store, depth.bucket(), &name(blob, diff_id))?;
        let mut members = Vec::new();
        for line in record.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let member = serde_json::from_slice::<Line>(line).ok()?.listed()?;
            if depth == Depth::Contents && matches!(member.what, What::File { digest: None, .. }) {
                return None;
            }
            members.push(member);
        }
        Some(Listing { members, diff_id })
    }

    /// Remembers the listing of the layer that is stored as that blob.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, store: &BlobStore, blob: Digest, depth: Depth) -> Result<(), StoreError> {
        let mut lines = Vec::new();
        for member in &self.members {
            // A struct of numbers and byte strings always serialises.
            lines.extend(serde_json::to_vec(&Line::of(member)).unwrap_or_default());
            lines.push(b'\n');
        }
        write_record(store, depth.bucket(), &name(blob, self.diff_id), &lines)
    }
}

/// By blob and diff ID: that the two belong together is known only where the blob was read.
fn name(blob: Digest, diff_id: DiffId) -> String {
    Digest::of(&[&blob.raw()[..], &diff_id.0.raw()[..]].concat()).hex()
}

/// One member as it is stored: a line of JSON; byte strings as base64 where they are no text.
#[derive(Serialize, Deserialize)]
struct Line {
    p: Bytes,
    m: u32,
    u: u32,
    g: u32,
    k: char,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<Bytes>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Raw { b: String },
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        use base64::Engine;
        match std::str::from_utf8(bytes) {
            // Escapes of control characters would be six times as long.
            Ok(text) if !text.bytes().any(|byte| byte < b' ' && byte != b'\n') => Bytes::Text(text.to_owned()),
            _ => Bytes::Raw { b: base64::engine::general_purpose::STANDARD.encode(bytes) },
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        use base64::Engine;
        match self {
            Bytes::Text(text) => Some(text.into_bytes()),
            Bytes::Raw { b } => base64::engine::general_purpose::STANDARD.decode(b).ok(),
        }
    }
}

impl Line {
    fn of(member: &Listed) -> Self {
        let (mut digest, mut attribute) = (None, None);
        let (kind, target, place) = match &member.what {
            What::File { offset, length, kept, digest: contents, capabilities } => {
                digest = *contents;
                attribute = capabilities.as_ref().map(|Capabilities(bytes)| Bytes::of(bytes));
                ('f', kept.as_deref().map(Bytes::of), Some((*offset, *length)))
            }
            What::Directory => ('d', None, None),
            What::Symlink(target) => ('l', Some(Bytes::of(target)), None),
            What::Hardlink(target) => ('h', Some(Bytes::of(target.as_bytes())), None),
            What::Special => ('s', None, None),
            What::Deleted => ('w', None, None),
            What::Opaque => ('o', None, None),
        };
        let Owner { uid, gid } = member.owner;
        let path = Bytes::of(member.path.as_bytes());
        Line { p: path, m: member.mode, u: uid, g: gid, k: kind, t: target, o: place, d: digest, c: attribute }
    }

    fn listed(self) -> Option<Listed> {
        let target = match self.t {
            Some(bytes) => Some(bytes.bytes()?),
            None => None,
        };
        let what = match self.k {
            'f' => {
                let (offset, length) = self.o?;
                let capabilities = match self.c {
                    Some(bytes) => Some(Capabilities(bytes.bytes()?)),
                    None => None,
                };
                What::File { offset, length, kept: target, digest: self.d, capabilities }
            }
            'd' => What::Directory,
            'l' => What::Symlink(target?.into()),
            'h' => What::Hardlink(TreePath::parse(target?).ok()?),
            's' => What::Special,
            'w' => What::Deleted,
            'o' => What::Opaque,
            _ => return None,
        };
        let path = TreePath::parse(self.p.bytes()?).ok()?;
        Some(Listed { path, mode: self.m, owner: Owner::new(self.u, self.g), what })
    }
}

/// What a member of a layer's tar says (image-spec, layer.md, "Whiteouts"). `None` for what only some tools need.
fn listed(member: Member, kept: Option<Vec<u8>>, digest: Option<Digest>) -> Result<Option<Listed>, ListingError> {
    let Member { path, mode, owner, offset, size, capabilities, .. } = member;
    if let Some(name) = path.file_name()
        && let Some(hidden) = name.strip_prefix(b".wh.")
    {
        let parent = path.parent().unwrap_or_default();
        if hidden == b".wh..opq" {
            return Ok(Some(Listed { path: parent, mode, owner, what: What::Opaque }));
        }
        // AUFS's own files (`.wh..wh.plnk`, `.wh..wh.aufs`), which old images carry and everybody passes over.
        if hidden.starts_with(b".wh.") {
            return Ok(None);
        }
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(ListingError::Whiteout(path));
        }
        return Ok(Some(Listed { path: parent.child(hidden)?, mode, owner, what: What::Deleted }));
    }
    let what = match member.kind {
        MemberKind::File => What::File { offset, length: size, kept, digest, capabilities },
        MemberKind::Directory => What::Directory,
        MemberKind::Symlink(target) => What::Symlink(target),
        MemberKind::Hardlink(target) => What::Hardlink(target),
        MemberKind::Special => What::Special,
    };
    Ok(Some(Listed { path, mode, owner, what }))
}

struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    /// A tar of `(name, kind, link or data)`.
    fn tar(members: &[(&str, u8, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, text) in members {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::new(*kind));
            header.set_mode(if *kind == b'5' { 0o755 } else { 0o644 });
            header.set_uid(0);
            header.set_gid(0);
            let data = if *kind == b'0' { text.as_bytes() } else { b"" };
            header.set_size(data.len() as u64);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            if *kind != b'0' {
                header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn scan(bytes: &[u8]) -> Result<Listing, ListingError> {
        Listing::scan(bytes, Compression::None, DiffId(Digest::of(bytes)), Depth::Places, Limits::default())
    }

    fn merged(layers: &[&[(&str, u8, &str)]]) -> Result<Rootfs, ListingError> {
        let mut rootfs = Rootfs::new();
        for (number, members) in layers.iter().enumerate() {
            scan(&tar(members))?.apply(&mut rootfs, number)?;
        }
        Ok(rootfs)
    }

    #[test]
    fn layers_merge_as_runtimes_unpack_them() {
        let rootfs = merged(&[
            &[
                ("./", b'5', ""),
                ("usr/lib/", b'5', ""),
                ("lib", b'2', "usr/lib"),
                ("usr/lib/a", b'0', "one"),
                ("usr/lib/b", b'1', "usr/lib/a"),
                ("etc/passwd", b'0', "root:x:0:0::/:/bin/sh\n"),
                ("opt/x/old", b'0', ""),
                ("srv/old", b'0', ""),
            ],
            &[
                ("lib/c", b'0', "three"),
                ("usr/lib/.wh.a", b'0', ""),
                ("opt/x/new", b'0', ""),
                ("opt/x/.wh..wh..opq", b'0', ""),
                ("srv/.wh..wh.plnk", b'0', ""),
            ],
        ])
        .unwrap();
        assert!(rootfs.get(&path("usr/lib/a")).is_none());
        assert!(rootfs.get(&path("usr/lib/b")).is_some());
        let Some((_, _, Located::Layer { layer: 1, length: 5, .. })) = rootfs.file(&path("lib/c")).unwrap() else {
            panic!()
        };
        assert!(rootfs.get(&path("opt/x/old")).is_none());
        assert!(rootfs.get(&path("opt/x/new")).is_some());
        assert!(rootfs.get(&path("srv/old")).is_some());
        let (_, _, Located::Content(passwd)) = rootfs.file(&path("etc/passwd")).unwrap().unwrap() else { panic!() };
        assert_eq!(passwd.read_all(100).unwrap(), b"root:x:0:0::/:/bin/sh\n");
    }

    /// Fails where a deletion leaves the root through a link, takes the link in place of what it leads to, or takes what its own
    /// layer has.
    #[test]
    fn deletions_go_through_links_and_stay_inside() {
        let lower: &[(&str, u8, &str)] = &[
            ("etc/", b'5', ""),
            ("etc/x", b'0', "below"),
            ("etc/y", b'0', ""),
            ("top", b'0', ""),
            ("inside", b'2', "/etc"),
            ("outside", b'2', "../../.."),
        ];
        let upper: &[(&str, u8, &str)] = &[
            ("inside/.wh.y", b'0', ""),
            ("outside/.wh.top", b'0', ""),
            ("etc/x", b'0', "own"),
            ("etc/.wh.x", b'0', ""),
        ];
        let rootfs = merged(&[lower, upper]).unwrap();
        let is_there = |at: &str| rootfs.get(&path(at)).is_some();
        assert_eq!(["etc/y", "top"].map(is_there), [false, false]);
        assert_eq!(["etc", "inside", "outside"].map(is_there), [true, true, true]);
        assert!(matches!(rootfs.file(&path("inside/x")).unwrap(), Some((_, _, Located::Layer { layer: 1, .. }))));
        assert!(merged(&[&[("round", b'2', "round")], &[("round/.wh.x", b'0', "")]]).is_err());
        assert!(merged(&[&[("file", b'0', "")], &[("file/.wh.x", b'0', "")]]).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(merged(&[&[(".wh.", b'0', "")]]).is_err());
        assert!(merged(&[&[("a/.wh..", b'0', "")]]).is_err());
        assert!(merged(&[&[("a/.wh...", b'0', "")]]).is_err());
        assert!(merged(&[&[("a", b'1', "nowhere")]]).is_err());
        assert!(merged(&[&[("a", b'0', ""), ("a/b", b'0', "")]]).is_err());
        let bytes = tar(&[("a", b'0', "")]);
        let wrong = DiffId(Digest::of(b"other"));
        assert!(matches!(
            Listing::scan(&bytes[..], Compression::None, wrong, Depth::Places, Limits::default()),
            Err(ListingError::DiffId { .. })
        ));
    }

    #[test]
    fn listings_are_remembered_and_damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let bytes = tar(&[
            ("etc/passwd", b'0', "x"),
            ("d/", b'5', ""),
            ("l", b'2', "d"),
            ("h", b'1', "etc/passwd"),
            (".wh.g", b'0', ""),
        ]);
        let blob = Digest::of(b"the blob");
        for depth in [Depth::Places, Depth::Contents] {
            let diff_id = DiffId(Digest::of(&bytes));
            let listing = Listing::scan(&bytes[..], Compression::None, diff_id, depth, Limits::default()).unwrap();
            let load = |blob| Listing::load(&store, blob, diff_id, depth);
            assert!(load(blob).is_none());
            listing.save(&store, blob, depth).unwrap();
            assert_eq!(format!("{:?}", load(blob).unwrap()), format!("{listing:?}"));
            let digest = listing.members().iter().find_map(|member| match &member.what {
                What::File { digest, .. } => *digest,
                _ => None,
            });
            assert_eq!(digest, (depth == Depth::Contents).then(|| Digest::of(b"x")));
            assert!(load(Digest::of(b"another")).is_none());
            let file = store.bucket(depth.bucket()).unwrap().join(name(blob, diff_id));
            let mut damaged = std::fs::read(&file).unwrap();
            damaged[40] ^= 1;
            std::fs::write(&file, damaged).unwrap();
            assert!(load(blob).is_none());
        }
    }
}
