//! What layers share that are made side by side: memory, and each other.

use std::sync::{Condvar, Mutex, PoisonError};

use super::{Found, LayerForm};
use crate::content::Content;
use crate::parallel::Once;
use crate::tree::{FileTree, Kind};

/// Bytes of memory that the writing of layers may take together, about. One large layer takes all of it.
const MEMORY: u64 = 64 << 20;

/// How many bytes are held for each byte of a layer: the plain bytes, the compressed ones, what is read ahead.
const TIMES: u64 = 3;

/// The memory for the writing of layers: whoever finds too little of it waits.
#[derive(Debug)]
pub struct Budget {
    left: Mutex<u64>,
    more: Condvar,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { left: Mutex::new(MEMORY), more: Condvar::new() }
    }
}

/// Memory that somebody uses.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// Waits until there is memory for a tar of that length.
    pub(super) fn take(&self, length: u64) -> Share<'_> {
        let bytes = length.saturating_mul(TIMES).min(MEMORY);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.more.wait_while(left, |left| *left < bytes).unwrap_or_else(PoisonError::into_inner);
        *left -= bytes;
        Share { budget: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.left.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.budget.more.notify_all();
    }
}

/// The layers that this run made, by what they were made from: several images often have the same one.
#[derive(Default)]
pub struct Together(Once<[u8; 32], Found>);

impl Together {
    /// The layer of a tree: made, or the one that was made of such a tree before. Whoever comes while it is being made waits.
    ///
    /// # Errors
    /// What `make` gives; then the next one makes it.
    pub fn once<E>(
        &self,
        tree: &FileTree,
        form: LayerForm,
        machine: Option<u16>,
        make: impl FnOnce() -> Result<Found, E>,
    ) -> Result<Found, E> {
        match sketch(tree, form, machine) {
            Some(sketch) => self.0.once(sketch, make),
            None => make(),
        }
    }
}

/// Tells trees of one run apart without reading a file: those with the same sketch are the same tree. `None` where that
/// cannot be told.
fn sketch(tree: &FileTree, form: LayerForm, machine: Option<u16>) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut text = format!("{form:?} {machine:?}").into_bytes();
    for (path, entry) in tree.iter() {
        let mut part = |bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            text.extend_from_slice(bytes);
        };
        part(path.as_bytes());
        part(entry.kind.word().as_bytes());
        part(entry.capabilities.as_ref().map_or(&[], |capabilities| &capabilities.0));
        match &entry.kind {
            Kind::File(Content::Inline(bytes)) => part(blake3::hash(bytes).as_bytes()),
            Kind::File(content) => match (content.known_digest(), content.host_file()) {
                (None, Some(file)) => {
                    let identity = file.identity();
                    for number in [identity.device, identity.inode, identity.size] {
                        part(&number.to_le_bytes());
                    }
                    for (seconds, nanoseconds) in [identity.mtime, identity.ctime] {
                        part(&seconds.to_le_bytes());
                        part(&nanoseconds.to_le_bytes());
                    }
                }
                (Some(digest), None) => part(digest.raw()),
                // What is checked while it is read is read.
                _ => return None,
            },
            Kind::Symlink(target) => part(target),
            Kind::Hardlink(target) => part(target.as_bytes()),
            Kind::Directory | Kind::Whiteout => {}
        }
        for number in [entry.mode, entry.owner.uid, entry.owner.gid] {
            part(&number.to_le_bytes());
        }
        if text.len() >= PENDING {
            hasher.update(&text);
            text.clear();
        }
    }
    hasher.update(&text);
    Some(*hasher.finalize().as_bytes())
}

/// Bytes that are hashed at once.
const PENDING: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::compress::Encoding;
    use crate::content::FileIdentity;
    use crate::oci::{Digest, Family};
    use crate::tree::{Capabilities, Entry, Origin, Owner, TreePath};

    const FORM: LayerForm = LayerForm { encoding: Encoding::GZIP, family: Family::Oci };

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn file(text: &str, mode: u32, owner: Owner, origin: &str) -> Entry {
        Entry::file(Content::inline(text.as_bytes()), mode, owner, Origin::new(origin))
    }

    /// The sketch of a tree of one file and one more entry.
    fn sketch_of(at: &str, entry: Entry) -> [u8; 32] {
        let mut tree = FileTree::new();
        tree.insert(path("0"), file("first", 0o644, Owner::ROOT, "")).unwrap();
        tree.insert(path(at), entry).unwrap();
        sketch(&tree, FORM, None).unwrap()
    }

    #[test]
    fn everything_that_changes_the_layer_changes_the_sketch_and_nothing_else_does() {
        let plain = || file("text", 0o644, Owner::ROOT, "x");
        let base = sketch_of("a", plain());
        assert_eq!(base, sketch_of("a", file("text", 0o644, Owner::ROOT, "elsewhere")));
        let of_kind = |kind: Kind| Entry { kind, ..plain() };
        let link = |target: &[u8]| of_kind(Kind::Symlink(target.into()));
        let capable = |bytes: &[u8]| Entry { capabilities: Some(Capabilities(bytes.to_vec())), ..plain() };
        let mut others = vec![
            base,
            sketch_of("b", plain()),
            sketch_of("a", file("texu", 0o644, Owner::ROOT, "x")),
            sketch_of("a", file("text", 0o755, Owner::ROOT, "x")),
            sketch_of("a", file("text", 0o644, Owner::new(1, 0), "x")),
            sketch_of("a", file("text", 0o644, Owner::new(0, 1), "x")),
            sketch_of("a", capable(b"one")),
            sketch_of("a", capable(b"two")),
            sketch_of("a", of_kind(Kind::Directory)),
            sketch_of("a", of_kind(Kind::Whiteout)),
            sketch_of("a", link(b"0")),
            sketch_of("a", link(b"1")),
            sketch_of("a", of_kind(Kind::Hardlink(path("0")))),
            sketch_of("a", of_kind(Kind::File(Content::host("/a", identity(1))))),
            sketch_of("a", of_kind(Kind::File(Content::host("/a", identity(2))))),
        ];
        let tree = FileTree::new();
        let zstd = LayerForm { encoding: Encoding::ZSTD, ..FORM };
        let docker = LayerForm { family: Family::Docker, ..FORM };
        for (form, machine) in [(FORM, None), (FORM, Some(62)), (FORM, Some(183)), (zstd, None), (docker, None)] {
            others.push(sketch(&tree, form, machine).unwrap());
        }
        for (number, other) in others.iter().enumerate() {
            assert!(!others[..number].contains(other), "{number}");
        }
    }

    /// Files are told apart by what the system says of them; what is checked while it is read is not told apart at all.
    fn identity(inode: u64) -> FileIdentity {
        FileIdentity { device: 1, inode, size: 4, mtime: (1, 2), ctime: (3, 4) }
    }

    #[test]
    fn what_is_checked_while_it_is_read_has_no_sketch() {
        let mut tree = FileTree::new();
        let content = Content::host("/a", identity(1)).with_digest(Digest::of(b"text"));
        let entry = Entry::file(content, 0o644, Owner::ROOT, Origin::new("x"));
        tree.insert(path("a"), entry).unwrap();
        assert_eq!(sketch(&tree, FORM, None), None);
    }

    #[test]
    fn no_more_memory_is_taken_than_there_is() {
        let budget = Budget::default();
        let (used, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for number in 0..32u64 {
                let (budget, used, most) = (&budget, &used, &most);
                scope.spawn(move || {
                    // Some that fit beside others, some that need all.
                    let share = budget.take(if number % 5 == 0 { u64::MAX } else { number << 20 });
                    let now = used.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::yield_now();
                    used.fetch_sub(share.bytes, Ordering::SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= MEMORY);
        assert_eq!(*budget.left.lock().unwrap(), MEMORY);
    }
}
