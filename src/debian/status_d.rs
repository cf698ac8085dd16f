//! `status.d`: the packages of images without dpkg, a file each ("distroless"); and how they come into dpkg's own database
//! where dpkg comes into such an image. dpkg does not read `status.d`, so what it does not move it does not know of.

use std::collections::{BTreeMap, BTreeSet};

use super::database::{DatabaseError, stanzas};
use super::staging::{Staging, StagingError};
use crate::tree::{NodeKind, Origin, Owner, TreePath};

const DIRECTORY: &str = "var/lib/dpkg/status.d";

/// A file of `status.d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its name, which is the package's.
    pub file: String,
    /// What it says: the package's control data.
    pub text: Vec<u8>,
}

/// The files of `status.d`, without the sums beside them.
///
/// # Errors
/// Where one cannot be read.
pub fn read(staging: &Staging<'_>) -> Result<Vec<Apart>, StagingError> {
    let directory = staging.view().resolve(&TreePath::parse(DIRECTORY)?)?;
    let mut found = Vec::new();
    for (path, node) in staging.view().below(&directory) {
        let name = path.file_name().unwrap_or_default();
        if let NodeKind::File(located) = &node.kind
            && !name.ends_with(b".md5sums")
        {
            let text = staging.read_located(path, located)?;
            found.push(Apart { file: String::from_utf8_lossy(name).into_owned(), text });
        }
    }
    Ok(found)
}

/// Moves the packages of `status.d` into dpkg's database, but for those that take their place: gives their stanzas by
/// name and architecture, writes the lists of their files and of the files' sums, and deletes `status.d`.
///
/// dpkg lists directories and links, too. Of these packages only the sums of their files are known: the lists have those
/// that are there, and the directories above.
///
/// # Errors
/// [`DatabaseError`].
pub fn move_in(
    staging: &mut Staging<'_>,
    apart: &[Apart],
    replaced: &BTreeSet<&str>,
    origin: &Origin,
) -> Result<BTreeMap<(String, String), Vec<u8>>, DatabaseError> {
    let mut moved = BTreeMap::new();
    for Apart { file, text } in apart {
        for ((name, architecture), stanza) in stanzas(text) {
            if replaced.contains(name.as_str()) {
                continue;
            }
            let info = match field(&stanza, "Multi-Arch").as_deref() {
                Some("same") => format!("var/lib/dpkg/info/{name}:{architecture}"),
                _ => format!("var/lib/dpkg/info/{name}"),
            };
            let sums = staging.read(&format!("{DIRECTORY}/{file}.md5sums"))?;
            let kept = sums.as_deref().map(|sums| there(staging, sums)).unwrap_or_default();
            staging.file(&format!("{info}.list"), list(&kept), 0o644, Owner::ROOT, origin)?;
            // Sums of no file, too: a package without the list is one to install anew, says `dpkg --audit`.
            let lines = kept.iter().map(|(sum, path)| format!("{sum}  {}\n", String::from_utf8_lossy(path.as_bytes())));
            staging.file(&format!("{info}.md5sums"), lines.collect::<String>(), 0o644, Owner::ROOT, origin)?;
            moved.insert((name, architecture), installed(stanza));
        }
    }
    staging.remove(DIRECTORY, origin)?;
    Ok(moved)
}

/// The lines of sums whose files are those of the layers below: another package may have taken their place.
fn there(staging: &Staging<'_>, sums: &[u8]) -> Vec<(String, TreePath)> {
    let line = |line: &[u8]| {
        let (sum, path) = line.split_at_checked(32)?;
        let sum = std::str::from_utf8(sum).ok().filter(|sum| sum.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let path = TreePath::parse(path.trim_ascii()).ok().filter(|path| !path.is_root())?;
        std::str::from_utf8(path.as_bytes()).ok()?;
        let place = staging.view().resolve_parent(&path).ok().filter(|place| !staging.holds(place))?;
        matches!(staging.view().get(&place)?.kind, NodeKind::File(_)).then(|| (sum.to_owned(), path))
    };
    sums.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// The list of a package: the root, then its files with the directories above them.
fn list(files: &[(String, TreePath)]) -> Vec<u8> {
    let above = files.iter().flat_map(|(_, path)| path.ancestors().filter(|above| !above.is_root()));
    let paths: BTreeSet<TreePath> = above.chain(files.iter().map(|(_, path)| path.clone())).collect();
    let mut text = b"/.\n".to_vec();
    for path in paths {
        text.push(b'/');
        text.extend_from_slice(path.as_bytes());
        text.push(b'\n');
    }
    text
}

/// A stanza that says that its package is installed, as each in `status` must.
fn installed(stanza: Vec<u8>) -> Vec<u8> {
    if field(&stanza, "Status").is_some() {
        return stanza;
    }
    let first = stanza.iter().position(|byte| *byte == b'\n').map_or(stanza.len(), |end| end + 1);
    [&stanza[..first], b"Status: install ok installed\n", &stanza[first..]].concat()
}

/// The value of a field of a stanza.
fn field(stanza: &[u8], name: &str) -> Option<String> {
    let mut lines = stanza.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    Some(String::from_utf8_lossy(value.trim_ascii()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::database::{Style, read_installed, write};
    use super::super::deb::tests::{TestTar, package};
    use super::super::unpack::{Leave, unpack};
    use super::*;
    use crate::content::Content;
    use crate::tree::{Entry, FileTree, Kind, Rootfs};

    fn base(files: &[(&str, &str)]) -> Rootfs {
        let mut layer = FileTree::new();
        for (path, text) in files {
            let file = Entry::file(Content::inline(text.as_bytes().to_vec()), 0o644, Owner::ROOT, Origin::new("base"));
            let path = TreePath::parse(path).unwrap();
            layer.insert(path.clone(), file).unwrap();
            let directory = Entry::directory(0o755, Owner::ROOT, Origin::new("base"));
            layer.insert_parents(&path, &Rootfs::new(), &directory).unwrap();
        }
        let mut base = Rootfs::new();
        base.apply(&layer);
        base
    }

    fn text(tree: &FileTree, path: &str) -> Option<String> {
        match &tree.get(&TreePath::parse(path).unwrap())?.kind {
            Kind::File(content) => Some(String::from_utf8(content.read_all(9999).unwrap()).unwrap()),
            _ => None,
        }
    }

    const A: &str =
        "Package: a\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\nMaintainer: x\nDescription: x\n y\n";
    const B: &str = "Package: b\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n";

    #[test]
    fn packages_move_where_dpkg_comes() {
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        let sums = format!("{sum}  usr/share/a/one\n{sum}  usr/share/a/gone\n{sum}  usr/bin/dpkg\nnonsense\n");
        let base = base(&[
            ("var/lib/dpkg/status.d/a", A),
            ("var/lib/dpkg/status.d/a.md5sums", &sums),
            ("var/lib/dpkg/status.d/b", B),
            ("var/lib/dpkg/status.d/dpkg", "Package: dpkg\nVersion: 0\nArchitecture: amd64\n"),
            ("usr/share/a/one", ""),
            ("usr/bin/dpkg", ""),
        ]);
        let none = |_, _, _| Err(std::io::Error::other("nothing is read"));
        let mut staging = Staging::new(base.clone(), &none);
        let dpkg = [package("dpkg", &[], TestTar::default().file("./usr/bin/dpkg", 0o755, "x"))];
        let unpacked = unpack(&mut staging, &dpkg, &BTreeMap::new(), Leave::default()).unwrap();
        let installed = read_installed(&staging).unwrap();
        assert_eq!(installed.packages.len(), 3);
        let style = Style::of(&staging);
        assert_eq!(style, Style::Status);
        write(&mut staging, &dpkg, &unpacked, &installed, "amd64", style).unwrap();
        let tree = staging.into_tree(&base).unwrap();
        let status = text(&tree, "var/lib/dpkg/status").unwrap();
        let a = A.replacen('\n', "\nStatus: install ok installed\n", 1);
        assert!(status.starts_with(&format!("{a}\nPackage: b\nStatus: install ok installed\n")), "{status}");
        assert_eq!(status.matches("Package: dpkg\n").count(), 1);
        assert!(!status.contains("Version: 0"));
        let info = |name: &str| text(&tree, &format!("var/lib/dpkg/info/{name}"));
        assert_eq!(info("a:amd64.list").unwrap(), "/.\n/usr\n/usr/share\n/usr/share/a\n/usr/share/a/one\n");
        assert_eq!(info("a:amd64.md5sums").unwrap(), format!("{sum}  usr/share/a/one\n"));
        assert_eq!((info("b.list").unwrap().as_str(), info("b.md5sums").as_deref()), ("/.\n", Some("")));
        let gone = tree.get(&TreePath::parse(DIRECTORY).unwrap()).unwrap();
        assert!(matches!(gone.kind, Kind::Whiteout));
        // What comes next finds one database.
        let mut above = base;
        above.apply(&tree);
        let staging = Staging::new(above, &none);
        assert!(!staging.exists(DIRECTORY));
        assert_eq!(read_installed(&staging).unwrap().packages.len(), 3);
    }

    #[test]
    fn they_stay_where_dpkg_is_not() {
        let base = base(&[("var/lib/dpkg/status.d/a", A)]);
        let none = |_, _, _| Err(std::io::Error::other("nothing is read"));
        let mut staging = Staging::new(base.clone(), &none);
        let other = [package("c", &[], TestTar::default().file("./usr/bin/c", 0o755, "x"))];
        let unpacked = unpack(&mut staging, &other, &BTreeMap::new(), Leave::default()).unwrap();
        let installed = read_installed(&staging).unwrap();
        let style = Style::of(&staging);
        write(&mut staging, &other, &unpacked, &installed, "amd64", style).unwrap();
        let tree = staging.into_tree(&base).unwrap();
        assert!(text(&tree, "var/lib/dpkg/status.d/c").is_some() && text(&tree, "var/lib/dpkg/status").is_none());
    }
}
