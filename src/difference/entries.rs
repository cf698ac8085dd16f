//! What stands at the paths of a layer or of a whole image, and at which of them two differ.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Difference;
use crate::oci::Digest;
use crate::shown::bare;
use crate::tree::{Capabilities, Node, NodeKind, Owner, Rootfs, TreePath};

/// What stands at a path, as far as images are compared by it. Times are not: they say nothing of what an image does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub what: Standing,
    /// Permission bits, setuid, setgid, sticky.
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
    /// Capabilities of a program.
    pub capabilities: Option<Capabilities>,
}

/// Kinds of what stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A file.
    File {
        /// How many bytes it has.
        length: u64,
        /// Their digest.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link, with its target.
    Symlink(Box<[u8]>),
    /// In a layer: another name of a file. In an image both are files.
    Hardlink(TreePath),
    /// In a layer: what is below is deleted.
    Deletion,
    /// A device, FIFO or socket.
    Special,
}

impl Standing {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Standing::File { .. } => "file",
            Standing::Directory => "directory",
            Standing::Symlink(_) => "symlink",
            Standing::Hardlink(_) => "hard link",
            Standing::Deletion => "deletion",
            Standing::Special => "special file",
        }
    }
}

/// Paths with what stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(pub BTreeMap<TreePath, Entry>);

/// A path that came, went, or is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: TreePath,
    /// What the first has there.
    pub first: Option<Entry>,
    /// What the second has there.
    pub second: Option<Entry>,
}

impl Change {
    /// In what the two differ: `contents`, `mode 0644 → 0755` and the like. Nothing where one side has nothing there.
    pub fn how(&self) -> Vec<String> {
        let (Some(first), Some(second)) = (&self.first, &self.second) else { return Vec::new() };
        let mut found = Vec::new();
        match (&first.what, &second.what) {
            (first, second) if first == second => {}
            (Standing::File { .. }, Standing::File { .. }) => found.push("contents".to_owned()),
            (Standing::Symlink(_), Standing::Symlink(_)) | (Standing::Hardlink(_), Standing::Hardlink(_)) => {
                found.push("target".to_owned());
            }
            (first, second) => found.push(format!("{} → {}", first.word(), second.word())),
        }
        if first.mode != second.mode {
            found.push(format!("mode {:04o} → {:04o}", first.mode, second.mode));
        }
        if first.owner != second.owner {
            found.push(format!("owner {} → {}", first.owner, second.owner));
        }
        if first.capabilities != second.capabilities {
            found.push("capabilities".to_owned());
        }
        found
    }

    /// Whether only one side has it, and it is a directory.
    fn is_lone_directory(&self) -> bool {
        let is_directory = |entry: &Entry| entry.what == Standing::Directory;
        match (&self.first, &self.second) {
            (Some(entry), None) | (None, Some(entry)) => is_directory(entry),
            _ => false,
        }
    }
}

impl Entries {
    /// The paths at which a second differs from this, in byte order.
    pub fn changes(&self, second: &Entries) -> Vec<Change> {
        let mut paths: BTreeMap<&TreePath, (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
        for (path, entry) in &self.0 {
            paths.entry(path).or_default().0 = Some(entry);
        }
        for (path, entry) in &second.0 {
            paths.entry(path).or_default().1 = Some(entry);
        }
        let changes = paths.into_iter().filter(|(_, (first, second))| first != second);
        changes
            .map(|(path, (first, second))| Change {
                path: path.clone(),
                first: first.cloned(),
                second: second.cloned(),
            })
            .collect()
    }
}

impl Entries {
    /// [`Entries::changes`] without directories that came or went with what is in them; where `in_parts`, without all that
    /// came or went: other parts of a layer have their parents too.
    pub fn changes_told(&self, second: &Entries, in_parts: bool) -> Vec<Change> {
        let mut changes = self.changes(second);
        without_directories(&mut changes, in_parts);
        changes
    }
}

/// Leaves out directories that came or went with what is in them, or all that came or went.
fn without_directories(changes: &mut Vec<Change>, all: bool) {
    let mut covered: BTreeSet<TreePath> = BTreeSet::new();
    // Backwards: what is in a directory comes after it.
    let mut kept: Vec<bool> = changes
        .iter()
        .rev()
        .map(|change| {
            let is_told = !change.is_lone_directory() || !(all || covered.contains(&change.path));
            if is_told {
                covered.extend(change.path.ancestors());
            }
            is_told
        })
        .collect();
    changes.retain(|_| kept.pop().unwrap_or(true));
}

/// At which paths two images differ in kind, mode, owner or the target of a symlink, whatever their files hold; paths below
/// `ignored` are passed over. A directory that one lacks stands for all that is in it.
pub fn places(first: &Rootfs, second: &Rootfs, ignored: &[TreePath]) -> Vec<Difference> {
    let wanted = |path: &TreePath| !ignored.iter().any(|above| path.strip_prefix(above).is_some());
    let mut paths: BTreeMap<&TreePath, (Option<&Node>, Option<&Node>)> = BTreeMap::new();
    for (path, node) in first.iter().filter(|(path, _)| wanted(path)) {
        paths.entry(path).or_default().0 = Some(node);
    }
    for (path, node) in second.iter().filter(|(path, _)| wanted(path)) {
        paths.entry(path).or_default().1 = Some(node);
    }
    let mut found: Vec<Difference> = Vec::new();
    let mut absent: Option<(&TreePath, bool)> = None;
    for (path, (first, second)) in paths {
        if let Some((above, in_first)) = absent
            && path.strip_prefix(above).is_some()
            && in_first == first.is_some()
            && first.is_some() != second.is_some()
        {
            continue;
        }
        let (first, second) = (first.map(line), second.map(line));
        if first == second {
            continue;
        }
        if first.is_none() || second.is_none() {
            absent = Some((path, first.is_some()));
        }
        found.push(Difference { of: bare(&path.to_string()), first, second });
    }
    found
}

fn line(node: &Node) -> String {
    let kind = match &node.kind {
        NodeKind::Directory => "directory",
        NodeKind::File(_) => "file",
        NodeKind::Symlink(target) => {
            return format!("symlink to {}", bare(&String::from_utf8_lossy(target)));
        }
        NodeKind::Special => "special",
    };
    format!("{kind} {:04o} {}", node.mode, node.owner)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    pub(in super::super) fn entries(entries: &[(&str, Standing, u32)]) -> Entries {
        let entry = |(name, what, mode): &(&str, Standing, u32)| {
            (path(name), Entry { what: what.clone(), mode: *mode, owner: Owner::ROOT, capabilities: None })
        };
        Entries(entries.iter().map(entry).collect())
    }

    pub(in super::super) fn file(text: &str) -> Standing {
        Standing::File { length: text.len() as u64, digest: Digest::of(text.as_bytes()) }
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let word = |change: &Change| match (&change.first, &change.second) {
            (None, _) => "new".to_owned(),
            (_, None) => "gone".to_owned(),
            _ => change.how().join(", "),
        };
        changes.iter().map(|change| format!("{} {}", change.path, word(change))).collect()
    }

    #[test]
    fn paths_that_came_went_or_changed_are_told() {
        let directory = || Standing::Directory;
        let before = entries(&[
            ("app", directory(), 0o755),
            ("app/a", file("a"), 0o644),
            ("app/b", file("b"), 0o644),
            ("app/c", file("c"), 0o644),
            ("old", directory(), 0o755),
            ("old/x", file("x"), 0o644),
        ]);
        let now = entries(&[
            ("app", directory(), 0o750),
            ("app/a", file("other"), 0o644),
            ("app/b", file("b"), 0o755),
            ("app/c", Standing::Symlink((*b"b").into()), 0o777),
            ("empty", directory(), 0o755),
            ("new", directory(), 0o755),
            ("new-x", file("x"), 0o644),
            ("new/y", file("y"), 0o644),
        ]);
        let all = [
            "/app mode 0755 → 0750",
            "/app/a contents",
            "/app/b mode 0644 → 0755",
            "/app/c file → symlink, mode 0644 → 0777",
            "/empty new",
            "/new new",
            "/new-x new",
            "/new/y new",
            "/old gone",
            "/old/x gone",
        ];
        let mut changes = before.changes(&now);
        assert_eq!(told(&changes), all);
        without_directories(&mut changes, false);
        let rest: Vec<&str> = all.into_iter().filter(|line| !["/new new", "/old gone"].contains(line)).collect();
        assert_eq!(told(&changes), rest);
        without_directories(&mut changes, true);
        assert_eq!(told(&changes), rest.into_iter().filter(|line| *line != "/empty new").collect::<Vec<_>>());
        assert!(now.changes(&now).is_empty());
    }

    #[test]
    fn every_attribute_counts() {
        let one = entries(&[("x", file("x"), 0o644)]);
        let how = |change: fn(&mut Entry)| {
            let mut other = one.clone();
            other.0.values_mut().for_each(change);
            one.changes(&other).iter().flat_map(Change::how).collect::<Vec<_>>()
        };
        assert_eq!(how(|entry| entry.owner = Owner::new(1, 2)), ["owner 0:0 → 1:2"]);
        assert_eq!(how(|entry| entry.capabilities = Some(Capabilities(vec![1]))), ["capabilities"]);
        assert_eq!(how(|entry| entry.what = Standing::Special), ["file → special file"]);
        assert_eq!(how(|entry| entry.what = Standing::Hardlink(path("y"))), ["file → hard link"]);
        assert_eq!(how(|_| {}), Vec::<String>::new());
    }
}
