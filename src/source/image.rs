//! The `image` source: files of another image, as Docker's `COPY --from` takes them.
//!
//! Modes stay what they are in the other image; owners are root's unless the layer says otherwise, as in Docker. Names that
//! share an inode there are separate files here.

use crate::base::{BaseError, LayerStack};
use crate::content::Content;
use crate::context::{Glob, GlobError};
use crate::store::BlobStore;
use crate::tree::{
    Entry, Located, Node, NodeKind, Origin, Owner, PathError, PlaceError, Placer, ResolveError, TreePath, nearest_path,
};

/// One item of `copy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageItem {
    /// A path in the other image, or a pattern; absolute or not means the same.
    pub from: String,
    /// Where it lands.
    pub to: Landing,
}

/// Where an item lands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Under its own name in that directory.
    Inside(TreePath),
    /// What it holds, in that directory.
    Contents(TreePath),
    /// At that path.
    At(TreePath),
}

/// Why files cannot be copied from another image.
#[derive(Debug, thiserror::Error)]
pub enum ImageCopyError {
    /// Nothing is there.
    #[error("{path} is not in the image {image}{near}")]
    Absent {
        /// What was asked for.
        path: String,
        /// Of which image.
        image: String,
        /// What was probably meant.
        near: String,
    },
    /// Several things would land at one exact path.
    #[error(
        "the pattern {path} fits {count} paths of the image {image}, which cannot all be at one path: end it with a directory"
    )]
    Several {
        /// The pattern.
        path: String,
        /// Of which image.
        image: String,
        /// How many.
        count: usize,
    },
    /// A pattern is malformed.
    #[error("the pattern {path} is malformed: {why}")]
    Pattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A device cannot be copied.
    #[error("{0} in the image is a device, FIFO or socket, which no layer can hold")]
    Special(TreePath),
    /// The path leads nowhere in the other image.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A path cannot be.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It cannot stand where it should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The other image's layers cannot be read.
    #[error(transparent)]
    Base(#[from] BaseError),
}

/// Copies files of an image. `name` is what it is called, for messages; `excludes` judges paths in the other image; `mode`
/// makes the mode of an entry, from its destination, its mode there, and whether it is a directory.
///
/// # Errors
/// [`ImageCopyError`].
#[expect(clippy::too_many_arguments, reason = "each is another kind of thing, and there is one caller")]
pub fn copy_from_image(
    stack: &LayerStack,
    name: &str,
    items: &[ImageItem],
    owner: Owner,
    excludes: &dyn Fn(&TreePath) -> bool,
    mode: &dyn Fn(&TreePath, u32, bool) -> u32,
    store: &BlobStore,
    placer: &mut Placer<'_>,
) -> Result<(), ImageCopyError> {
    let mut chosen: Vec<(TreePath, TreePath, &Node)> = Vec::new();
    for item in items {
        choose(stack, name, item, excludes, &mut chosen)?;
    }
    let located: Vec<&Located> = chosen
        .iter()
        .filter_map(|(_, _, node)| match &node.kind {
            NodeKind::File(located) => Some(located),
            _ => None,
        })
        .collect();
    let mut contents = stack.extract(&located, store)?.into_iter();
    for (from, to, node) in chosen {
        let origin = Origin::new(format!("image {name}, {}", from.shown()));
        let entry = match &node.kind {
            NodeKind::Directory => Entry::directory(mode(&to, node.mode, true), owner, origin),
            NodeKind::File(_) => {
                let content = contents.next().unwrap_or_else(|| Content::inline(Vec::new()));
                Entry::file(content, mode(&to, node.mode, false), owner, origin)
            }
            NodeKind::Symlink(target) => Entry::symlink(target.clone(), owner, origin),
            NodeKind::Special => return Err(ImageCopyError::Special(from)),
        };
        placer.put(&to, entry)?;
    }
    Ok(())
}

fn choose<'a>(
    stack: &'a LayerStack,
    name: &str,
    item: &ImageItem,
    excludes: &dyn Fn(&TreePath) -> bool,
    chosen: &mut Vec<(TreePath, TreePath, &'a Node)>,
) -> Result<(), ImageCopyError> {
    let rootfs = stack.rootfs();
    let clean = item.from.trim_matches('/');
    let glob =
        Glob::parse(clean).map_err(|GlobError { why, .. }| ImageCopyError::Pattern { path: item.from.clone(), why })?;
    let found: Vec<TreePath> = match glob.literal() {
        // A plain path is followed through the image's links, as in Docker.
        Some(path) => vec![rootfs.resolve(&TreePath::parse(path)?)?],
        None => {
            // Only where it may match is looked: what is elsewhere need not be known.
            let start = TreePath::parse(glob.fixed().collect::<Vec<_>>().join("/")).unwrap_or_default();
            let below = rootfs.below(&start).map(|(path, _)| path);
            below.filter(|path| glob.matches(path.as_bytes())).cloned().collect()
        }
    };
    let absent = |path: &TreePath| ImageCopyError::Absent {
        path: item.from.clone(),
        image: name.to_owned(),
        near: crate::nearest::hint(nearest_path(rootfs, path).as_deref()),
    };
    if found.is_empty() {
        return Err(absent(&TreePath::root()));
    }
    if found.len() > 1 && matches!(item.to, Landing::At(_)) {
        return Err(ImageCopyError::Several { path: item.from.clone(), image: name.to_owned(), count: found.len() });
    }
    for path in &found {
        if !path.is_root() && rootfs.get(path).is_none() {
            return Err(absent(path));
        }
        let is_directory = rootfs.is_directory(path);
        let named = TreePath::parse(clean)?;
        let own_name = if glob.literal().is_some() { named.file_name() } else { path.file_name() };
        let top = match &item.to {
            Landing::Inside(directory) if !path.is_root() => directory.child(own_name.unwrap_or_default())?,
            Landing::Inside(directory) | Landing::Contents(directory) if is_directory => directory.clone(),
            Landing::Inside(directory) | Landing::Contents(directory) => {
                directory.child(own_name.unwrap_or_default())?
            }
            Landing::At(target) => target.clone(),
        };
        if let Some(node) = rootfs.get(path)
            && !excludes(path)
            && !(is_directory && matches!(item.to, Landing::Contents(_)))
        {
            chosen.push((path.clone(), top.clone(), node));
        }
        if is_directory {
            for (below, node) in rootfs.below(path) {
                if let Some(rest) = below.strip_prefix(path)
                    && !excludes(below)
                {
                    chosen.push((below.clone(), top.join(&rest)?, node));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileTree, Rootfs};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn other() -> LayerStack {
        let mut tree = FileTree::new();
        let owner = Owner::new(5, 5);
        let origin = Origin::new("test");
        for (at, text) in [("usr/bin/a", "A"), ("usr/bin/b", "B"), ("usr/share/d/x", "X"), ("usr/share/d/y.pyc", "Y")] {
            let parent = Entry::directory(0o750, owner, origin.clone());
            tree.insert_parents(&path(at), &Rootfs::new(), &parent).unwrap();
            tree.insert(path(at), Entry::file(Content::inline(text.as_bytes()), 0o4755, owner, origin.clone()))
                .unwrap();
        }
        tree.insert(path("bin"), Entry::symlink(*b"usr/bin", owner, origin.clone())).unwrap();
        let mut stack = LayerStack::new();
        stack.look(&tree);
        stack
    }

    fn copy(items: &[(&str, Landing)]) -> Result<Vec<String>, ImageCopyError> {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), || {}).unwrap();
        let below = Rootfs::new();
        let mut tree = FileTree::new();
        let mut placer = Placer::new(&below, &mut tree, Owner::ROOT, Origin::new("test"));
        let items: Vec<ImageItem> =
            items.iter().map(|(from, to)| ImageItem { from: (*from).to_owned(), to: to.clone() }).collect();
        let excludes = |path: &TreePath| path.as_bytes().ends_with(b".pyc");
        let keep = |_: &TreePath, mode, _| mode;
        copy_from_image(&other(), "other", &items, Owner::new(1, 1), &excludes, &keep, &store, &mut placer)?;
        Ok(tree.iter().map(|(path, entry)| format!("{path} {:o} {}", entry.mode, entry.owner)).collect())
    }

    #[test]
    fn semantics_13_files_of_another_image() {
        let inside = |to| Landing::Inside(path(to));
        assert_eq!(copy(&[("/bin/a", inside("x"))]).unwrap(), ["/x 755 0:0", "/x/a 4755 1:1"]);
        assert_eq!(copy(&[("/usr/bin/*", inside("x"))]).unwrap(), ["/x 755 0:0", "/x/a 4755 1:1", "/x/b 4755 1:1"]);
        assert_eq!(copy(&[("/usr/share/d", inside("x"))]).unwrap(), ["/x 755 0:0", "/x/d 750 1:1", "/x/d/x 4755 1:1"]);
        assert_eq!(copy(&[("/usr/share/d/", Landing::Contents(path("x")))]).unwrap(), ["/x 755 0:0", "/x/x 4755 1:1"]);
        assert_eq!(copy(&[("/usr/bin/a", Landing::At(path("t/b")))]).unwrap(), ["/t 755 0:0", "/t/b 4755 1:1"]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = copy(&[("/usr/bni/a", Landing::Inside(path("x")))]).unwrap_err().to_string();
        assert!(error.contains("did you mean `/usr/bin`?"), "{error}");
        assert!(copy(&[("/nothing/*", Landing::Inside(path("x")))]).is_err());
        assert!(matches!(
            copy(&[("/usr/bin/*", Landing::At(path("x")))]),
            Err(ImageCopyError::Several { count: 2, .. })
        ));
    }
}
