//! The one way by which sources put things into a layer, so that the base stays intact:
//!
//! - A path resolves through the symlinks of the base: on a merged-usr base, `/lib/x` lands at `/usr/lib/x`.
//! - A directory that the base has keeps its mode and owner; only what names it changes it, that entry alone. A symlink of
//!   the base that leads to a directory counts as the directory.
//! - Parents that are missing are made; those that exist are left alone here, and said again as they are when the tree is
//!   finished ([`FileTree::repeat_parents`]).
//! - A directory of the base, or a symlink to one, does not become something else, nor something else a directory, unless
//!   the recipe says `replace = true`.
//! - What the layer itself has comes before what the base has. A path that leads through a symlink of the same layer is an
//!   error, since what it means would depend on the order of sources.

use super::rootfs::{Seen, SeenKind, describe};
use super::{Entry, FileTree, Kind, Origin, Owner, ResolveError, Rootfs, TreeError, TreePath};
use crate::content::Content;
use crate::nearest::{hint, nearest};

/// Puts entries into a tree that is going to lie on top of a base.
#[derive(Debug)]
pub struct Placer<'a> {
    below: &'a Rootfs,
    tree: &'a mut FileTree,
    replace: bool,
    /// What a parent that nobody names looks like.
    parents: Entry,
    /// The directory of the last path, as it was given and as it resolves.
    last: Option<(TreePath, TreePath)>,
    /// A directory of the layer that the base does not have, where something was put: nothing in it is the base's.
    new: Option<TreePath>,
}

/// Why something cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The tree does not take it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The path leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The root of the image.
    #[error("the root of the image cannot be {action} ({origin})")]
    Root {
        /// What was to be done with it.
        action: &'static str,
        /// Who wanted that.
        origin: Origin,
    },
    /// What is to be deleted is not in the base.
    #[error("{path} cannot be removed, since the base does not have it{hint}")]
    Missing {
        /// The path.
        path: TreePath,
        /// The nearest name, as the end of the sentence.
        hint: String,
    },
}

/// What to say of a directory that a recipe names.
#[derive(Clone, Debug)]
pub struct NamedDirectory {
    /// Its mode, where one is given.
    pub mode: Option<u32>,
    /// Its owner, where one is given.
    pub owner: Option<Owner>,
    /// What it is where it is new and nothing is given.
    pub usual: (u32, Owner),
    /// Who names it.
    pub origin: Origin,
}

impl<'a> Placer<'a> {
    /// Puts into `tree`, on top of `below`. Missing parents are directories of mode 0755 and `owner`.
    pub fn new(below: &'a Rootfs, tree: &'a mut FileTree, owner: Owner, origin: Origin) -> Self {
        let parents = Entry::directory(0o755, owner, origin);
        Placer { below, tree, replace: false, parents, last: None, new: None }
    }

    /// Lets directories of the base become files and the other way round, where `replace` is true.
    #[must_use]
    pub fn replacing(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// The base.
    pub fn below(&self) -> &'a Rootfs {
        self.below
    }

    /// The layer so far.
    pub fn tree(&self) -> &FileTree {
        self.tree
    }

    /// Where an entry at that path lands. A symlink at the path itself is not followed.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn resolve(&mut self, path: &TreePath) -> Result<TreePath, ResolveError> {
        let Some(name) = path.file_name() else { return Ok(TreePath::root()) };
        if let Some((given, resolved)) = &self.last
            && given.as_bytes() == path.parent_bytes()
            && let Ok(path) = resolved.child(name)
        {
            return Ok(path);
        }
        let Some(parent) = path.parent() else { return Ok(TreePath::root()) };
        let resolved = self.below.walk(path, false, self.tree)?;
        self.last = resolved.parent().map(|resolved| (parent, resolved));
        Ok(resolved)
    }

    /// Puts a file, a symlink or a hard link, and tells where it landed. A hard link's target must be where that landed.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn put(&mut self, path: &TreePath, entry: Entry) -> Result<TreePath, PlaceError> {
        if matches!(entry.kind, Kind::Directory) {
            return self.directory(path, entry);
        }
        self.refuse_root(path, "replaced", &entry)?;
        let target = self.resolve(path)?;
        self.insert(target, entry, false)
    }

    /// [`Placer::put`] for those who need not know where it landed.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn lay(&mut self, path: TreePath, entry: Entry) -> Result<(), PlaceError> {
        match &self.last {
            // No symlink is on the way, and the last path was in the same directory.
            Some((given, resolved))
                if !matches!(entry.kind, Kind::Directory)
                    && !path.is_root()
                    && given == resolved
                    && given.as_bytes() == path.parent_bytes() =>
            {
                self.set(path, entry, false)
            }
            _ => self.put(&path, entry).map(drop),
        }
    }

    /// Puts a directory that came along with a copy, an archive or a package, and tells where it landed. One that the
    /// base has is not written.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn directory(&mut self, path: &TreePath, entry: Entry) -> Result<TreePath, PlaceError> {
        if path.is_root() {
            return Ok(TreePath::root());
        }
        let target = self.resolve_directory(path)?;
        if self.tree.get(&target).is_none() && self.below.is_directory(&target) {
            return Ok(target);
        }
        self.insert(target, entry, false)
    }

    /// Puts a directory that the recipe names. One that the base has is written only where it is to change, and keeps
    /// what is not said of it.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn named_directory(&mut self, path: &TreePath, named: &NamedDirectory) -> Result<TreePath, PlaceError> {
        let (mut mode, mut owner) = named.usual;
        let target = self.resolve_directory(path)?;
        if let Some(Seen { kind: SeenKind::Directory, mode: was, owner: whose }) = self.below.see(&target) {
            if self.tree.get(&target).is_none() && named.mode.is_none() && named.owner.is_none() {
                return Ok(target);
            }
            (mode, owner) = (was, whose);
        }
        let entry = Entry::directory(named.mode.unwrap_or(mode), named.owner.unwrap_or(owner), named.origin.clone());
        self.refuse_root(&target, "changed", &entry)?;
        self.insert(target, entry, true)
    }

    /// Gives a file new contents. One that the base has keeps its mode and owner, and where it is a symlink there, the
    /// file behind it is the one that changes; otherwise it is made with mode and owner as given.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn rewrite(
        &mut self,
        path: &TreePath,
        content: Content,
        mode: u32,
        owner: Owner,
        origin: Origin,
    ) -> Result<TreePath, PlaceError> {
        let target = self.below.walk(path, true, self.tree)?;
        let (mode, owner) = match self.below.see(&target) {
            Some(Seen { kind: SeenKind::File, mode, owner }) => (mode, owner),
            _ => (mode, owner),
        };
        let entry = Entry::file(content, mode, owner, origin);
        self.refuse_root(&target, "replaced", &entry)?;
        self.insert(target, entry, false)
    }

    /// Deletes what the base has at that path, and tells which path that is. A symlink itself is deleted, not what it
    /// leads to.
    ///
    /// # Errors
    /// [`PlaceError::Missing`] where the base has nothing there; [`PlaceError::Tree`] where the layer puts something there.
    pub fn delete(&mut self, path: &TreePath, origin: Origin) -> Result<TreePath, PlaceError> {
        let entry = Entry { kind: Kind::Whiteout, ..Entry::directory(0, Owner::ROOT, origin) };
        self.refuse_root(path, "removed", &entry)?;
        let target = match self.below.walk(path, false, self.tree) {
            Err(ResolveError::NotADirectory { .. }) => return Err(self.missing(path)),
            resolved => resolved?,
        };
        if self.below.see(&target).is_none() {
            return Err(self.missing(path));
        }
        self.tree.insert(target.clone(), entry)?;
        Ok(target)
    }

    /// Where a directory at that path is: symlinks of the base that lead to directories, or to nothing yet, are followed.
    fn resolve_directory(&self, path: &TreePath) -> Result<TreePath, ResolveError> {
        let named = self.below.walk(path, false, self.tree)?;
        let leads = match self.below.walk(path, true, self.tree) {
            Ok(target) => target,
            Err(_) => return Ok(named),
        };
        let is_something_else = self.below.see(&leads).is_some_and(|seen| seen.kind != SeenKind::Directory)
            && self.tree.get(&leads).is_none();
        Ok(if is_something_else { named } else { leads })
    }

    fn insert(&mut self, target: TreePath, entry: Entry, named: bool) -> Result<TreePath, PlaceError> {
        self.set(target.clone(), entry, named)?;
        Ok(target)
    }

    fn set(&mut self, target: TreePath, entry: Entry, named: bool) -> Result<(), PlaceError> {
        let is_new = |new: &TreePath| new.as_bytes() == target.parent_bytes();
        if !self.new.as_ref().is_some_and(is_new) {
            self.refuse_replacing(&target, &entry)?;
            self.new = target.parent().filter(|parent| !self.below.is_directory(parent));
        }
        self.tree.insert_parents(&target, self.below, &self.parents)?;
        if matches!(entry.kind, Kind::Directory) {
            // It may hide a symlink of the base.
            self.last = None;
        }
        match named {
            true => self.tree.insert_named(target, entry)?,
            false => self.tree.insert(target, entry)?,
        }
        Ok(())
    }

    fn refuse_root(&self, path: &TreePath, action: &'static str, entry: &Entry) -> Result<(), PlaceError> {
        match path.is_root() {
            true => Err(PlaceError::Root { action, origin: entry.origin.clone() }),
            false => Ok(()),
        }
    }

    fn refuse_replacing(&self, target: &TreePath, entry: &Entry) -> Result<(), TreeError> {
        let Some(seen) = self.below.see(target) else { return Ok(()) };
        // Where the layer has something already, it is the layer's own affair, and was allowed before.
        if self.replace || self.tree.get(target).is_some() {
            return Ok(());
        }
        let directory = |path: &TreePath| self.below.resolve(path).is_ok_and(|path| self.below.is_directory(&path));
        let fine = match (seen.kind, &entry.kind) {
            (SeenKind::Directory, Kind::Directory) => true,
            (SeenKind::Directory, _) | (_, Kind::Directory) => false,
            (SeenKind::Symlink(old), Kind::Symlink(new)) if *old == **new => true,
            (SeenKind::Symlink(_), _) => !directory(target),
            (SeenKind::File | SeenKind::Special, _) => true,
        };
        match fine {
            true => Ok(()),
            false => Err(TreeError::Replaces { path: target.clone(), below: describe(seen), above: entry.describe() }),
        }
    }

    fn missing(&self, path: &TreePath) -> PlaceError {
        PlaceError::Missing { path: path.clone(), hint: hint(nearest_path(self.below, path).as_deref()) }
    }
}

/// The path of the base that is nearest to one that it does not have: the same directory, another name.
pub fn nearest_path(rootfs: &Rootfs, path: &TreePath) -> Option<String> {
    let mut known = TreePath::root();
    for component in path.components() {
        let next = rootfs.resolve(&known.child(component).ok()?).ok()?;
        if rootfs.is_directory(&next) {
            known = next;
            continue;
        }
        let depth = known.components().count() + 1;
        let names: Vec<String> = rootfs
            .below(&known)
            .filter(|(path, _)| path.components().count() == depth)
            .filter_map(|(path, _)| path.file_name().map(|name| String::from_utf8_lossy(name).into_owned()))
            .collect();
        let name = nearest(&String::from_utf8_lossy(component), names.iter().map(String::as_str))?;
        let above = String::from_utf8_lossy(known.as_bytes());
        return Some(if above.is_empty() { format!("/{name}") } else { format!("/{above}/{name}") });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Node, NodeKind};
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn origin(text: &str) -> Origin {
        Origin::new(text)
    }

    /// A merged-usr base with a few things that are easily broken.
    fn debian() -> Rootfs {
        let mut rootfs = Rootfs::new();
        let mut put =
            |at: &str, kind: NodeKind, mode: u32, owner: Owner| rootfs.put(path(at), Node { kind, mode, owner });
        for (at, mode) in [("usr/lib", 0o755), ("usr/bin", 0o755), ("run/lock", 0o755), ("var", 0o755), ("tmp", 0o1777)]
        {
            put(at, NodeKind::Directory, mode, Owner::ROOT);
        }
        put("var/cache/man", NodeKind::Directory, 0o2755, Owner::new(6, 12));
        for (at, target) in [
            ("lib", "usr/lib"),
            ("bin", "usr/bin"),
            ("var/run", "/run"),
            ("var/tmp2", "../../../tmp"),
            ("var/spool", "/later/spool"),
            ("usr/bin/python", "python3.11"),
            ("loop", "loop"),
            ("etc/passwd-link", "passwd"),
            ("motd", "etc/motd"),
        ] {
            put(at, NodeKind::Symlink(target.as_bytes().into()), 0o777, Owner::ROOT);
        }
        for (at, mode) in [("usr/bin/python3.11", 0o755), ("etc/passwd", 0o644), ("etc/motd", 0o644)] {
            put(at, NodeKind::File(crate::tree::Located::Content(Content::inline(*b"old"))), mode, Owner::ROOT);
        }
        put(
            "etc/shadow",
            NodeKind::File(crate::tree::Located::Content(Content::inline(*b"old"))),
            0o640,
            Owner::new(0, 42),
        );
        put("dev/null", NodeKind::Special, 0o666, Owner::ROOT);
        rootfs
    }

    fn file(text: &'static str) -> Entry {
        Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, origin("test"))
    }

    fn directory(mode: u32) -> Entry {
        Entry::directory(mode, Owner::new(7, 7), origin("test"))
    }

    fn link(target: &str) -> Entry {
        Entry::symlink(target.as_bytes(), Owner::ROOT, origin("test"))
    }

    /// Places, and lists what the layer then holds.
    fn placed(
        replace: bool,
        act: impl FnOnce(&mut Placer<'_>) -> Result<TreePath, PlaceError>,
    ) -> Result<Vec<String>, String> {
        let (below, mut tree) = (debian(), FileTree::new());
        let mut placer = Placer::new(&below, &mut tree, Owner::new(5, 5), origin("parents")).replacing(replace);
        act(&mut placer).map_err(|error| error.to_string())?;
        Ok(tree
            .iter()
            .map(|(path, entry)| format!("{} {} {:o} {}", entry.kind.word(), path, entry.mode, entry.owner))
            .collect())
    }

    fn put(at: &str, entry: Entry) -> Result<Vec<String>, String> {
        placed(false, |placer| placer.put(&path(at), entry))
    }

    #[test]
    fn promise_4_paths_lead_through_the_links_of_the_base() {
        for (at, lands) in [
            ("lib/x", "file /usr/lib/x 644 0:0"),
            ("bin/x", "file /usr/bin/x 644 0:0"),
            ("var/run/x", "file /run/x 644 0:0"),
            ("var/tmp2/x", "file /tmp/x 644 0:0"),
            ("tmp/x", "file /tmp/x 644 0:0"),
            ("x", "file /x 644 0:0"),
        ] {
            assert_eq!(put(at, file("")).unwrap(), [lands], "{at}");
        }
        assert_eq!(put("var/run/a/x", file("")).unwrap(), ["directory /run/a 755 5:5", "file /run/a/x 644 0:0"]);
        assert_eq!(
            put("var/spool/x", file("")).unwrap(),
            ["directory /later 755 5:5", "directory /later/spool 755 5:5", "file /later/spool/x 644 0:0"]
        );
        assert!(put("loop/x", file("")).unwrap_err().contains("more than 40 symlinks"));
        assert!(put("etc/passwd/x", file("")).unwrap_err().contains("no directory in the base"));
    }

    #[test]
    fn promise_4_directories_of_the_base_are_not_written() {
        for at in ["tmp", "var", "lib", "var/run", "var/cache/man", "var/tmp2", "", "run/lock"] {
            assert_eq!(put(at, directory(0o700)).unwrap(), Vec::<String>::new(), "{at}");
        }
        assert_eq!(put("lib/new", directory(0o700)).unwrap(), ["directory /usr/lib/new 700 7:7"]);
        assert_eq!(
            put("tmp/a/b", directory(0o700)).unwrap(),
            ["directory /tmp/a 755 5:5", "directory /tmp/a/b 700 7:7"]
        );
        // A link to what is not there yet: the directory is made where it leads.
        assert_eq!(
            put("var/spool", directory(0o700)).unwrap(),
            ["directory /later 755 5:5", "directory /later/spool 700 7:7"]
        );
    }

    #[test]
    fn promise_4_directories_stay_directories() {
        for (at, entry, below) in [
            ("tmp", file(""), "a directory of mode 1777"),
            ("lib", file(""), "a symlink to `usr/lib`"),
            ("lib", link("usr/lib64"), "a symlink to `usr/lib`"),
            ("var/run", link("../other"), "a symlink to `/run`"),
            ("usr/lib", link("lib64"), "a directory"),
            ("etc/motd", directory(0o755), "a file"),
            ("motd", directory(0o755), "a symlink to `etc/motd`"),
            ("dev/null", directory(0o755), "a device"),
        ] {
            let error = put(at, entry.clone()).unwrap_err();
            assert!(error.contains(below) && error.contains("replace = true"), "{error}");
            let lands = placed(true, |placer| placer.put(&path(at), entry.clone())).unwrap();
            assert_eq!(lands.len(), 1, "{lands:?}");
            assert!(lands[0].starts_with(&format!("{} /{at} ", entry.kind.word())), "{lands:?}");
        }
    }

    #[test]
    fn files_and_links_take_the_place_of_files() {
        for (at, entry) in [
            ("etc/motd", file("new")),
            ("usr/bin/python", file("new")),
            ("usr/bin/python", link("python3.12")),
            ("lib", link("usr/lib")),
            ("etc/passwd", link("x")),
            ("dev/null", file("")),
            ("loop", file("")),
        ] {
            assert_eq!(put(at, entry.clone()).unwrap().len(), 1, "{at}");
        }
    }

    #[test]
    fn semantics_12_a_path_below_a_link_of_the_layer_is_an_error() {
        let error = placed(false, |placer| {
            placer.put(&path("app/current"), Entry { origin: origin("symlinks"), ..link("v1") })?;
            placer.put(&path("app/current/x"), Entry { origin: origin("copy `x`"), ..file("") })
        })
        .unwrap_err();
        assert!(error.contains("symlinks") && error.contains("copy `x`"), "{error}");
    }

    #[test]
    fn what_the_layer_replaced_is_what_counts() {
        let lands = placed(true, |placer| {
            placer.put(&path("motd"), directory(0o700))?;
            placer.put(&path("motd/x"), file(""))
        });
        assert_eq!(lands.unwrap(), ["directory /motd 700 7:7", "file /motd/x 644 0:0"]);
        let lands = placed(true, |placer| {
            placer.put(&path("etc/motd/x/y"), file("")).unwrap_err();
            placer.put(&path("etc/motd"), directory(0o700))?;
            placer.put(&path("motd/x"), file(""))
        });
        assert_eq!(lands.unwrap(), ["directory /etc/motd 700 7:7", "file /etc/motd/x 644 0:0"]);
    }

    #[test]
    fn semantics_08_only_who_names_a_directory_changes_it() {
        let named = |mode: Option<u32>, owner: Option<Owner>| NamedDirectory {
            mode,
            owner,
            usual: (0o755, Owner::new(9, 9)),
            origin: origin("dirs"),
        };
        let name =
            |at: &str, mode, owner| placed(false, |placer| placer.named_directory(&path(at), &named(mode, owner)));
        assert_eq!(name("tmp", None, None).unwrap(), Vec::<String>::new());
        assert_eq!(name("tmp", Some(0o700), None).unwrap(), ["directory /tmp 700 0:0"]);
        assert_eq!(name("var/tmp2", None, Some(Owner::new(1, 2))).unwrap(), ["directory /tmp 1777 1:2"]);
        assert_eq!(name("var/cache/man", Some(0o755), None).unwrap(), ["directory /var/cache/man 755 6:12"]);
        assert_eq!(name("data/a", None, None).unwrap(), ["directory /data 755 5:5", "directory /data/a 755 9:9"]);
        assert_eq!(name("data", Some(0o750), None).unwrap(), ["directory /data 750 9:9"]);
        assert!(name("etc/motd", None, None).unwrap_err().contains("replace = true"));
        assert!(name("", Some(0o700), None).unwrap_err().contains("root of the image"));
        // It holds against what merely came along, in either order.
        let lands = placed(false, |placer| {
            placer.put(&path("tmp/x/y"), file(""))?;
            placer.named_directory(&path("tmp/x"), &named(Some(0o711), None))?;
            placer.put(&path("tmp/x"), directory(0o700))
        });
        assert_eq!(lands.unwrap(), ["directory /tmp/x 711 9:9", "file /tmp/x/y 644 0:0"]);
    }

    #[test]
    fn rewritten_files_keep_mode_and_owner() {
        let rewrite = |at: &str| {
            placed(false, |placer| {
                placer.rewrite(&path(at), Content::inline(*b"n"), 0o600, Owner::new(3, 3), origin("t"))
            })
        };
        assert_eq!(rewrite("etc/shadow").unwrap(), ["file /etc/shadow 640 0:42"]);
        assert_eq!(rewrite("etc/passwd-link").unwrap(), ["file /etc/passwd 644 0:0"]);
        assert_eq!(rewrite("etc/new").unwrap(), ["file /etc/new 600 3:3"]);
        assert!(rewrite("tmp").is_err());
    }

    #[test]
    fn deletions_name_what_is_there() {
        let delete = |at: &str| placed(false, |placer| placer.delete(&path(at), origin("remove")));
        assert_eq!(delete("lib").unwrap(), ["deletion /lib 0 0:0"]);
        assert_eq!(delete("var/run/lock").unwrap(), ["deletion /run/lock 0 0:0"]);
        assert!(delete("").is_err());
        assert_eq!(
            delete("etc/mots").unwrap_err(),
            "/etc/mots cannot be removed, since the base does not have it; did you mean `/etc/motd`?"
        );
        assert!(delete("bin/pythn").unwrap_err().contains("`/usr/bin/python`"));
        assert!(delete("etc/motd/x").unwrap_err().contains("does not have it"));
        let both = placed(false, |placer| {
            placer.put(&path("etc/motd"), file("new"))?;
            placer.delete(&path("etc/motd"), origin("remove"))
        });
        let error = both.unwrap_err();
        assert!(error.contains("remove") && error.contains("test"), "{error}");
    }

    /// What [`Placer::lay`] and its memories spare must be without effect: three things one after the other come to the same
    /// as when each is put by a placer of its own, which remembers nothing.
    #[test]
    fn laying_is_putting() {
        let below = debian();
        let kinds = || [file("new"), directory(0o700), link("usr/lib")];
        let paths = ["", "lib", "lib/x", "usr/lib/x", "new", "new/x", "new/x/y", "motd/x", "later/spool"];
        let steps: Vec<(TreePath, Entry)> =
            paths.iter().flat_map(|at| kinds().map(|entry| (path(at), entry))).collect();
        let shown = |tree: &FileTree| -> Vec<String> {
            tree.iter()
                .map(|(path, entry)| format!("{} {path} {:o} {}", entry.kind.word(), entry.mode, entry.owner))
                .collect()
        };
        let told = |done: Result<(), PlaceError>| done.map_err(|error| error.to_string());
        let mut failed = 0;
        for replace in [false, true] {
            for number in 0..steps.len().pow(3) {
                let step = |place: u32| &steps[number / steps.len().pow(place) % steps.len()];
                let (mut laid, mut put) = (FileTree::new(), FileTree::new());
                let owner = Owner::new(5, 5);
                let mut placer = Placer::new(&below, &mut laid, owner, origin("parents")).replacing(replace);
                let three = [step(0), step(1), step(2)];
                let laying: Vec<_> =
                    three.iter().map(|(at, entry)| told(placer.lay(at.clone(), entry.clone()))).collect();
                let putting: Vec<_> = three
                    .iter()
                    .map(|(at, entry)| {
                        let mut placer = Placer::new(&below, &mut put, owner, origin("parents")).replacing(replace);
                        told(placer.put(at, entry.clone()).map(drop))
                    })
                    .collect();
                assert_eq!((&laying, shown(&laid)), (&putting, shown(&put)), "{three:?}");
                failed += laying.iter().filter(|done| done.is_err()).count();
            }
        }
        assert!(failed > 0);
    }

    #[test]
    fn a_directory_is_resolved_once() {
        let (below, mut tree) = (debian(), FileTree::new());
        let mut placer = Placer::new(&below, &mut tree, Owner::ROOT, origin("t"));
        for name in ["a", "b", "c"] {
            let lands = placer.put(&path(&format!("var/run/{name}")), file("")).unwrap();
            assert_eq!(lands, path(&format!("run/{name}")));
        }
        assert_eq!(placer.last, Some((path("var/run"), path("run"))));
    }
}
