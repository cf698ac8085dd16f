//! The packages that an image has, and which files are whose.
//!
//! Read from what package managers leave: dpkg's `status` (or `status.d`) and its lists of files, and the `METADATA` and
//! `RECORD` of Python distributions. What cannot be read there is nobody's, and no error: images are others' work.

use std::collections::BTreeMap;

use crate::debian::control::StanzaReader;
use crate::difference::Kind;
use crate::python::record::Record;
use crate::tree::{Located, NodeKind, Rootfs, TreePath};

/// The most bytes of one file of a database that are read.
const MAX_DATABASE: u64 = 32 << 20;

/// A package that an image has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// Whose.
    pub(super) kind: Kind,
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
}

/// The packages of an image, and which file belongs to which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packages {
    /// In the order in which they were found.
    pub(super) list: Vec<Package>,
    owners: BTreeMap<TreePath, usize>,
}

/// The files that [`Packages::of`] wants to know the contents of.
pub(super) fn databases(rootfs: &Rootfs) -> Vec<(&TreePath, &Located)> {
    let files = rootfs.iter().filter_map(|(path, node)| match &node.kind {
        NodeKind::File(located) if located.length() <= MAX_DATABASE && is_database(path.as_bytes()) => {
            Some((path, located))
        }
        _ => None,
    });
    files.collect()
}

fn is_database(path: &[u8]) -> bool {
    is_status(path) || list_of(path).is_some() || path.ends_with(b".dist-info/METADATA") || is_record(path)
}

fn is_status(path: &[u8]) -> bool {
    path == b"var/lib/dpkg/status" || (path.starts_with(b"var/lib/dpkg/status.d/") && !path.ends_with(b".md5sums"))
}

fn is_record(path: &[u8]) -> bool {
    path.ends_with(b".dist-info/RECORD")
}

/// The name of the package whose files are listed there.
fn list_of(path: &[u8]) -> Option<String> {
    let list = path.strip_prefix(b"var/lib/dpkg/info/").and_then(|name| name.strip_suffix(b".list"));
    let sums = || path.strip_prefix(b"var/lib/dpkg/status.d/").and_then(|name| name.strip_suffix(b".md5sums"));
    let name = String::from_utf8_lossy(list.or_else(sums)?).into_owned();
    Some(name.split(':').next().unwrap_or_default().to_owned())
}

impl Packages {
    /// The packages that the contents of an image's databases say it has.
    pub(super) fn of(rootfs: &Rootfs, databases: &BTreeMap<TreePath, Vec<u8>>) -> Self {
        let mut found = Packages::default();
        for (_, text) in databases.iter().filter(|(path, _)| is_status(path.as_bytes())) {
            found.list.extend(installed(text));
        }
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        for (number, package) in found.list.iter().enumerate() {
            numbers.entry(package.name.clone()).or_insert(number);
        }
        for (path, text) in databases {
            let Some(number) = list_of(path.as_bytes()).and_then(|name| numbers.get(&name)) else { continue };
            let is_list = path.as_bytes().ends_with(b".list");
            for line in text.split(|byte| *byte == b'\n') {
                // `/usr/bin/tool`, or a sum, two blanks and `usr/bin/tool`.
                let named = if is_list { Some(line) } else { line.get(34..) };
                let named = named.filter(|named| !named.is_empty()).and_then(|named| TreePath::parse(named).ok());
                found.own(rootfs, named, *number);
            }
            found.own(rootfs, Some(path.clone()), *number);
        }
        for (path, text) in databases.iter().filter(|(path, _)| path.as_bytes().ends_with(b"/METADATA")) {
            // A Debian package of a Python library is Debian's.
            if found.owners.contains_key(path) {
                continue;
            }
            let (Some(package), Some(directory)) = (distribution(text), path.parent()) else { continue };
            let number = found.list.len();
            found.list.push(package);
            let record = directory.child(b"RECORD").ok().and_then(|record| databases.get(&record));
            let rows = record.and_then(|text| Record::parse(text).ok()).unwrap_or_default();
            let site = directory.parent().unwrap_or_default();
            for (name, _) in rows.iter() {
                found.own(rootfs, beside(&site, name), number);
            }
            found.own(rootfs, Some(path.clone()), number);
        }
        found
    }

    fn own(&mut self, rootfs: &Rootfs, path: Option<TreePath>, number: usize) {
        let path = path.and_then(|path| rootfs.resolve_parent(&path).ok());
        let Some(path) = path.filter(|path| !path.is_root() && !rootfs.is_directory(path)) else { return };
        self.owners.entry(path).or_insert(number);
    }

    /// The package that a file belongs to, by its number in the list; bytecode belongs to the package of its module.
    pub(super) fn owner(&self, path: &TreePath) -> Option<usize> {
        self.owners.get(path).or_else(|| self.owners.get(&module_of(path)?)).copied()
    }
}

/// `a/__pycache__/b.cpython-313.pyc` → `a/b.py`.
fn module_of(path: &TreePath) -> Option<TreePath> {
    let directory = path.parent().filter(|parent| parent.file_name() == Some(b"__pycache__"))?;
    let name = path.file_name()?.strip_suffix(b".pyc")?;
    let stem = name.split(|byte| *byte == b'.').next()?;
    directory.parent()?.child(&[stem, b".py"].concat()).ok()
}

/// A path that is written as seen from a directory, which it may leave.
fn beside(directory: &TreePath, name: &str) -> Option<TreePath> {
    if name.starts_with('/') {
        return TreePath::parse(name).ok();
    }
    let mut here = directory.clone();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        here = if part == ".." { here.parent().unwrap_or_default() } else { here.child(part.as_bytes()).ok()? };
    }
    Some(here)
}

/// The packages that a dpkg database says are installed, as far as it can be read.
fn installed(text: &[u8]) -> Vec<Package> {
    let mut reader = StanzaReader::new(text);
    let mut found = Vec::new();
    while let Ok(Some(stanza)) = reader.next_stanza() {
        let (Some(name), Some(version)) = (stanza.get("Package"), stanza.get("Version")) else { continue };
        if stanza.get("Status").is_none_or(|status| status.ends_with(" installed")) {
            found.push(Package { kind: Kind::Debian, name: name.to_owned(), version: version.to_owned() });
        }
    }
    found
}

/// Name and version of a Python distribution, by its `METADATA`.
fn distribution(text: &[u8]) -> Option<Package> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
        text.lines().take_while(|line| !line.is_empty()).find_map(value)
    };
    Some(Package { kind: Kind::Python, name: field("Name")?, version: field("Version")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::tree::{Node, Owner};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn rootfs(files: &[(&str, &str)]) -> Rootfs {
        let mut rootfs = Rootfs::new();
        let node = |kind| Node { kind, mode: 0o644, owner: Owner::ROOT };
        rootfs.put(path("lib"), node(NodeKind::Symlink((*b"usr/lib").into())));
        for (name, text) in files {
            let content = Content::inline(text.as_bytes());
            rootfs.put(path(name), node(NodeKind::File(Located::Content(content))));
        }
        rootfs
    }

    fn packages(files: &[(&str, &str)]) -> (Packages, Rootfs) {
        let rootfs = rootfs(files);
        let texts: BTreeMap<TreePath, Vec<u8>> = databases(&rootfs)
            .into_iter()
            .map(|(path, located)| match located {
                Located::Content(content) => (path.clone(), content.read_all(1 << 20).unwrap()),
                _ => unreachable!(),
            })
            .collect();
        (Packages::of(&rootfs, &texts), rootfs)
    }

    fn owner<'a>(packages: &'a Packages, name: &str) -> Option<&'a str> {
        packages.owner(&path(name)).map(|number| packages.list[number].name.as_str())
    }

    #[test]
    fn files_belong_to_who_lists_them() {
        let (found, _) = packages(&[
            (
                "var/lib/dpkg/status",
                "Package: libc6\nStatus: install ok installed\nVersion: 2.41-1\n\n\
                 Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                 Package: python3-yaml\nStatus: install ok installed\nVersion: 6\n",
            ),
            ("var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/libc.so.6\n/usr/lib\n"),
            ("var/lib/dpkg/info/python3-yaml.list", "/usr/lib/yaml.dist-info/METADATA\n/usr/lib/yaml.py\n"),
            ("usr/lib/libc.so.6", "x"),
            ("usr/lib/yaml.py", "x"),
            ("usr/lib/__pycache__/yaml.cpython-313.pyc", "x"),
            ("usr/lib/yaml.dist-info/METADATA", "Name: PyYAML\nVersion: 6\n"),
            (
                "usr/local/lib/site/six-1.17.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n\nName: no\n",
            ),
            ("usr/local/lib/site/six-1.17.0.dist-info/RECORD", "six.py,,\n../../bin/six,,\n\"a,b.py\",,\n"),
            ("usr/local/lib/site/six.py", "x"),
            ("usr/local/lib/site/a,b.py", "x"),
            ("usr/local/bin/six", "x"),
            ("app/main.py", "x"),
        ]);
        let list: Vec<String> =
            found.list.iter().map(|found| format!("{} {} {}", found.kind.word(), found.name, found.version)).collect();
        assert_eq!(list, ["debian libc6 2.41-1", "debian python3-yaml 6", "python six 1.17.0"]);
        assert_eq!(owner(&found, "usr/lib/libc.so.6"), Some("libc6"));
        assert_eq!(owner(&found, "usr/lib/__pycache__/yaml.cpython-313.pyc"), Some("python3-yaml"));
        assert_eq!(owner(&found, "usr/lib/yaml.dist-info/METADATA"), Some("python3-yaml"));
        for name in ["usr/local/lib/site/six.py", "usr/local/lib/site/a,b.py", "usr/local/bin/six"] {
            assert_eq!(owner(&found, name), Some("six"), "{name}");
        }
        assert_eq!(owner(&found, "app/main.py"), None);
        assert_eq!(owner(&found, "usr/lib"), None, "directories are nobody's");
    }

    #[test]
    fn images_without_dpkg_say_it_in_pieces() {
        let (found, _) = packages(&[
            ("var/lib/dpkg/status.d/tini", "Package: tini\nVersion: 0.19\n"),
            ("var/lib/dpkg/status.d/tini.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/tini\n"),
            ("usr/bin/tini", "x"),
        ]);
        assert_eq!(found.list.len(), 1);
        assert_eq!(owner(&found, "usr/bin/tini"), Some("tini"));
    }

    #[test]
    fn what_cannot_be_read_is_nobodys() {
        let (found, _) = packages(&[
            ("var/lib/dpkg/status", "no stanza at all\n"),
            ("var/lib/dpkg/info/x.list", "/usr/bin/x\n"),
            ("site/x.dist-info/METADATA", "nothing"),
            ("site/y-1.dist-info/METADATA", "Name: y\nVersion: 1\n"),
            ("site/y-1.dist-info/RECORD", "\"never closed"),
            ("usr/bin/x", "x"),
        ]);
        assert_eq!(found.list.len(), 1);
        assert_eq!(owner(&found, "usr/bin/x"), None);
        assert_eq!(owner(&found, "site/y-1.dist-info/METADATA"), Some("y"));
    }
}
