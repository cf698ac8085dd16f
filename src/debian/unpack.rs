//! The files of packages, put where they belong: through the links of a merged `/usr`, as dpkg would.

use std::collections::{BTreeMap, BTreeSet};

use super::deb::{Deb, DebError};
use super::dependency::parse_atoms;
use super::staging::{Staging, StagingError, kind_word};
use crate::tar::{Member, MemberKind};
use crate::tree::{Entry, Kind, NodeKind, Origin, Owner, TreePath};

/// What is left out of the files of packages.
#[derive(Clone, Copy, Default)]
pub struct Leave<'a> {
    /// What Debian's slim images leave out: documents but for the copyright, manual pages, translations.
    pub slim: bool,
    /// What the recipe leaves out, by the path in the package.
    pub exclude: Option<&'a dyn Fn(&TreePath) -> bool>,
}

/// What was put where.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// For each package, in the order given: the paths of its list, as the package has them; without those that another
    /// package replaces.
    pub lists: Vec<Vec<TreePath>>,
}

/// Why packages cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Two packages have one file.
    #[error("{path} is in the package {first} and in {second}, and neither replaces the other")]
    Shared {
        /// The path.
        path: TreePath,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// Something else stands there.
    #[error("{path} of package {package} cannot take the place of {what}")]
    Taken {
        /// The path.
        path: TreePath,
        /// The package.
        package: String,
        /// What is there.
        what: &'static str,
    },
    /// A package's path leads nowhere.
    #[error("unpacking {package}")]
    Place {
        /// The package.
        package: String,
        /// Why.
        source: StagingError,
    },
    /// A package's list of conffiles is wrong.
    #[error("unpacking {package}")]
    Conffiles {
        /// The package.
        package: String,
        /// Why.
        source: DebError,
    },
}

impl Leave<'_> {
    /// Whether a path of a package is left out.
    pub fn drops(&self, path: &TreePath) -> bool {
        (self.slim && is_slimmed(path)) || self.exclude.is_some_and(|exclude| exclude(path))
    }
}

/// What Debian's slim images do not have. Directories above what they keep are kept.
fn is_slimmed(path: &TreePath) -> bool {
    let Some(below) = path.as_bytes().strip_prefix(b"usr/share/") else { return false };
    let mut parts = below.split(|byte| *byte == b'/');
    let (top, rest): (&[u8], Vec<&[u8]>) = (parts.next().unwrap_or_default(), parts.collect());
    match top {
        b"doc" => !matches!(rest[..], [] | [_] | [_, b"copyright"]),
        b"locale" => !matches!(rest[..], [] | [b"locale.alias"]),
        b"man" | b"info" | b"groff" | b"lintian" | b"linda" => !rest.is_empty(),
        _ => false,
    }
}

/// The directories that are links into `usr` where `/usr` is merged.
fn merged_directories(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" | "ppc64" | "ppc64el" | "loong64" | "mips64el" | "sparc64" => &["bin", "lib", "lib64", "sbin"],
        _ => &["bin", "lib", "sbin"],
    }
}

/// Makes the links of a merged `/usr` where the base has nothing in their place. To be done before anything is unpacked.
///
/// # Errors
/// Where a link cannot be made.
pub fn merge_usr(staging: &mut Staging<'_>, architecture: &str) -> Result<(), StagingError> {
    let origin = Origin::new("merged /usr");
    // A base whose /usr is not merged is left as it is: half of it would be worse than none.
    let unmerged = ["bin", "lib", "sbin"]
        .iter()
        .any(|name| TreePath::parse(name).is_ok_and(|path| staging.view().is_directory(&path)));
    if unmerged {
        return Ok(());
    }
    for name in merged_directories(architecture) {
        staging.directory("usr", 0o755, Owner::ROOT, &origin)?;
        staging.directory(&format!("usr/{name}"), 0o755, Owner::ROOT, &origin)?;
        staging.new_symlink(name, &format!("usr/{name}"), &origin)?;
    }
    Ok(())
}

/// Packages in the order in which they are unpacked: the one that ships the root's skeleton first, then by name.
pub fn in_order(packages: &mut [Deb]) {
    packages.sort_by(|a, b| {
        let key = |deb: &Deb| (deb.name != "base-files", deb.name.clone(), deb.architecture.clone());
        key(a).cmp(&key(b))
    });
}

/// Puts the files of packages into the tree, in the order given. `owners` says which package of the base a file of the
/// base belongs to.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(
    staging: &mut Staging<'_>,
    packages: &[Deb],
    owners: &BTreeMap<TreePath, String>,
    leave: Leave<'_>,
) -> Result<Unpacked, UnpackError> {
    let mut unpacked = Unpacked::default();
    // Which of these packages a path comes from.
    let mut ours: BTreeMap<TreePath, usize> = BTreeMap::new();
    for (number, package) in packages.iter().enumerate() {
        let origin = Origin::new(format!("package {} {}", package.name, package.version));
        let place = |source| UnpackError::Place { package: package.name.clone(), source };
        let conffiles =
            package.conffiles().map_err(|source| UnpackError::Conffiles { package: package.name.clone(), source })?;
        let conffiles: BTreeSet<TreePath> = conffiles.into_iter().map(|conffile| conffile.path).collect();
        let mut list = Vec::with_capacity(package.members.len());
        // Where the files of this package went, for the hard links to them.
        let mut placed: BTreeMap<&TreePath, TreePath> = BTreeMap::new();
        let files: BTreeMap<&TreePath, &Member> = package
            .members
            .iter()
            .filter(|member| matches!(member.kind, MemberKind::File | MemberKind::Hardlink(_)))
            .map(|member| (&member.path, member))
            .collect();
        for member in &package.members {
            if leave.drops(&member.path) {
                continue;
            }
            list.push(member.path.clone());
            let path = staging.view().resolve_parent(&member.path).map_err(|error| place(error.into()))?;
            let there = staging.view().get(&path).map(|node| node.kind.clone());
            let taken = |what| UnpackError::Taken { path: path.clone(), package: package.name.clone(), what };
            let owner = member.owner;
            let entry = match &member.kind {
                MemberKind::Directory => {
                    if staging.is_directory(&path) {
                        continue;
                    }
                    if let Some(kind) = &there {
                        return Err(taken(kind_word(kind)));
                    }
                    staging.put(path, Entry::directory(member.mode, owner, origin.clone()));
                    continue;
                }
                MemberKind::Symlink(target) => {
                    match &there {
                        // As dpkg: a directory that is there stays.
                        Some(NodeKind::Directory) => continue,
                        Some(NodeKind::Symlink(other)) if other == target => {
                            ours.entry(path).or_insert(number);
                            continue;
                        }
                        _ => {}
                    }
                    Entry::symlink(target.clone(), owner, origin.clone())
                }
                MemberKind::File | MemberKind::Hardlink(_) => {
                    let file = link_end(member, &files);
                    let kind = match placed.get(&file.path) {
                        Some(target) if file.path != member.path => Kind::Hardlink(target.clone()),
                        // The file, or the first of its names that is not left out.
                        _ => Kind::File(package.content(file)),
                    };
                    Entry { kind, mode: file.mode, owner: file.owner, capabilities: None, origin: origin.clone() }
                }
                // Refused when the package was read.
                MemberKind::Special => return Err(taken("nothing: it is a device")),
            };
            match &there {
                Some(NodeKind::Directory) => return Err(taken("a directory")),
                Some(_) if staging.holds(&path) => {
                    if let Some(other) = ours.get(&path).map(|number| &packages[*number]) {
                        if !replaces(package, other) {
                            if replaces(other, package) {
                                list.pop();
                                continue;
                            }
                            return Err(UnpackError::Shared {
                                path,
                                first: other.name.clone(),
                                second: package.name.clone(),
                            });
                        }
                        if let Some(list) = ours.get(&path).and_then(|number| unpacked.lists.get_mut(*number)) {
                            // By where it is: both may have been shipped under a name of their own.
                            list.retain(|other| staging.view().resolve_parent(other).ok().as_ref() != Some(&path));
                        }
                    }
                }
                Some(_) => {
                    // What the administrator of the base may have changed stays, as it would under dpkg.
                    if conffiles.contains(&member.path) {
                        continue;
                    }
                    if let Some(other) = owners.get(&path).filter(|other| **other != package.name)
                        && !replaces_name(package, other)
                    {
                        return Err(UnpackError::Shared {
                            path,
                            first: format!("{other} of the base"),
                            second: package.name.clone(),
                        });
                    }
                }
                None => {}
            }
            staging.keep_links_to(&path);
            if matches!(entry.kind, Kind::File(_)) {
                placed.insert(&link_end(member, &files).path, path.clone());
            }
            ours.insert(path.clone(), number);
            staging.put(path, entry);
        }
        unpacked.lists.push(list);
    }
    Ok(unpacked)
}

/// The member that holds the bytes of a file or hard link.
fn link_end<'a>(member: &'a Member, files: &BTreeMap<&TreePath, &'a Member>) -> &'a Member {
    let mut at = member;
    for _ in 0..40 {
        match &at.kind {
            MemberKind::Hardlink(target) => match files.get(target) {
                Some(next) => at = next,
                None => break,
            },
            _ => break,
        }
    }
    at
}

fn replaces(package: &Deb, other: &Deb) -> bool {
    let atoms = parse_atoms(package.control.get("Replaces").unwrap_or_default()).unwrap_or_default();
    atoms.iter().any(|atom| *atom.name == *other.name && atom.admits(&other.version))
}

fn replaces_name(package: &Deb, other: &str) -> bool {
    let atoms = parse_atoms(package.control.get("Replaces").unwrap_or_default()).unwrap_or_default();
    atoms.iter().any(|atom| *atom.name == *other)
}

#[cfg(test)]
mod tests {
    use super::super::deb::tests::{FIELDS, TestTar, package, package_with};
    use super::*;
    use crate::tree::{Node, Rootfs};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    pub(super) fn no_base(_: usize, _: u64, _: u64) -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::other("there is no base"))
    }

    fn listing(base: Rootfs, packages: &[Deb], leave: Leave<'_>) -> Result<Vec<String>, UnpackError> {
        let mut staging = Staging::new(base.clone(), &no_base);
        merge_usr(&mut staging, "amd64").unwrap();
        unpack(&mut staging, packages, &BTreeMap::new(), leave)?;
        let tree = staging.into_tree(&base).unwrap();
        let describe = |(path, entry): (&TreePath, &Entry)| match &entry.kind {
            Kind::Directory => format!("{path}/"),
            Kind::File(content) => format!("{path} = {}", String::from_utf8(content.read_all(99).unwrap()).unwrap()),
            Kind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
            Kind::Hardlink(target) => format!("{path} => {target}"),
            Kind::Whiteout => format!("{path} gone"),
        };
        Ok(tree.iter().map(describe).collect())
    }

    #[test]
    fn files_go_through_the_links_of_merged_usr() {
        let tar = TestTar::default()
            .directory("./", 0o755)
            .directory("./bin/", 0o755)
            .file("./bin/gunzip", 0o755, "x")
            .directory("./usr/", 0o755)
            .directory("./usr/bin/", 0o755)
            .hardlink("./usr/bin/uncompress", "./bin/gunzip")
            .directory("./lib/", 0o755)
            .directory("./lib/deep/", 0o700)
            .symlink("./lib/deep/l", "../x");
        let files = TestTar::default().symlink("./bin", "usr/bin").symlink("./lib64", "usr/lib64");
        let found =
            listing(Rootfs::new(), &[package("a", &[], tar), package("base-files", &[], files)], Leave::default());
        insta::assert_snapshot!(found.unwrap().join("\n"), @r"
        /bin -> usr/bin
        /lib -> usr/lib
        /lib64 -> usr/lib64
        /sbin -> usr/sbin
        /usr/
        /usr/bin/
        /usr/bin/gunzip = x
        /usr/bin/uncompress => /usr/bin/gunzip
        /usr/lib/
        /usr/lib/deep/
        /usr/lib/deep/l -> ../x
        /usr/lib64/
        /usr/sbin/
        ");
    }

    #[test]
    fn the_next_name_of_a_file_that_is_left_out_becomes_it() {
        let tar = || {
            TestTar::default()
                .directory("./usr/", 0o755)
                .file("./usr/a", 0o644, "text")
                .hardlink("./usr/b", "./usr/a")
                .hardlink("./usr/c", "./usr/a")
        };
        let exclude = |at: &TreePath| *at == path("usr/a");
        let leave = Leave { exclude: Some(&exclude), ..Leave::default() };
        let found = listing(Rootfs::new(), &[package("a", &[], tar())], leave).unwrap();
        let files: Vec<&String> = found.iter().filter(|line| line.contains('=')).collect();
        assert_eq!(files, ["/usr/b = text", "/usr/c => /usr/b"]);
    }

    #[test]
    fn names_of_a_file_that_another_package_replaces_keep_their_bytes() {
        let tar = || TestTar::default().directory("./usr/", 0o755);
        let own = tar().file("./usr/a", 0o644, "own").hardlink("./usr/b", "./usr/a").hardlink("./usr/c", "./usr/a");
        let other = tar().file("./usr/a", 0o755, "other");
        let fields = |name: &str, more: &str| FIELDS.replace("Package: a", &format!("Package: {name}\n{more}"));
        // The one that replaces comes after and before.
        for (first, second) in [("a", "z"), ("z", "a")] {
            let packages = [
                package(first, &[], own.clone()),
                package_with(
                    &fields(second, &format!("Replaces: {first}\n")).replace("\n\n", "\n"),
                    &[],
                    other.clone(),
                ),
            ];
            let mut packages = packages.to_vec();
            in_order(&mut packages);
            let found = listing(Rootfs::new(), &packages, Leave::default()).unwrap();
            let files: Vec<&String> = found.iter().filter(|line| line.contains('=')).collect();
            assert_eq!(files, ["/usr/a = other", "/usr/b = own", "/usr/c => /usr/b"], "{second} replaces {first}");
        }
    }

    #[test]
    fn slim_keeps_copyrights() {
        for (kept, text) in [
            (true, "usr/share/doc/a/copyright"),
            (true, "usr/share/doc/a"),
            (true, "usr/share/man"),
            (true, "usr/share/locale/locale.alias"),
            (true, "usr/share/mandoc/x"),
            (false, "usr/share/doc/a/changelog.gz"),
            (false, "usr/share/doc/a/examples/copyright"),
            (false, "usr/share/man/man1"),
            (false, "usr/share/locale/de/LC_MESSAGES/x.mo"),
        ] {
            assert_eq!(is_slimmed(&path(text)), !kept, "{text}");
        }
    }

    #[test]
    fn two_packages_with_one_file() {
        let tar = |text: &str| TestTar::default().directory("./usr/", 0o755).file("./usr/x", 0o644, text);
        let other = |fields: &str| {
            package_with(&format!("{}{fields}", FIELDS.replace("Package: a", "Package: b")), &[], tar("b"))
        };
        let a = package("a", &[], tar("a"));
        let error = listing(Rootfs::new(), &[a.clone(), other("")], Leave::default()).unwrap_err().to_string();
        assert_eq!(error, "/usr/x is in the package a and in b, and neither replaces the other");
        let replacing = other("Replaces: a (<< 2)\n");
        for order in [[a.clone(), replacing.clone()], [replacing, a.clone()]] {
            let found = listing(Rootfs::new(), &order, Leave::default()).unwrap();
            assert!(found.contains(&"/usr/x = b".to_owned()), "{found:?}");
            let mut staging = Staging::new(Rootfs::new(), &no_base);
            let unpacked = unpack(&mut staging, &order, &BTreeMap::new(), Leave::default()).unwrap();
            for (package, list) in order.iter().zip(&unpacked.lists) {
                assert_eq!(list.contains(&path("usr/x")), package.name == "b", "it belongs to one of them");
            }
        }
        assert!(listing(Rootfs::new(), &[a, other("Replaces: a (<< 1)\n")], Leave::default()).is_err());
        let file_over_directory = TestTar::default().file("./usr/bin", 0o644, "");
        assert!(listing(Rootfs::new(), &[package("a", &[], file_over_directory)], Leave::default()).is_err());
    }

    #[test]
    fn the_base_keeps_what_is_its() {
        let mut base = Rootfs::new();
        let put =
            |base: &mut Rootfs, at: &str, kind| base.put(path(at), Node { kind, mode: 0o700, owner: Owner::new(7, 7) });
        put(&mut base, "usr/bin", NodeKind::Directory);
        put(&mut base, "bin", NodeKind::Symlink(b"usr/bin"[..].into()));
        put(&mut base, "lib", NodeKind::Symlink(b"usr/lib"[..].into()));
        put(&mut base, "sbin", NodeKind::Symlink(b"usr/sbin"[..].into()));
        put(&mut base, "lib64", NodeKind::Symlink(b"usr/lib64"[..].into()));
        put(&mut base, "etc/conf", NodeKind::File(crate::tree::Located::Layer { layer: 0, offset: 0, length: 1 }));
        let tar = TestTar::default()
            .directory("./bin/", 0o755)
            .file("./bin/x", 0o755, "x")
            .directory("./etc/", 0o755)
            .file("./etc/conf", 0o644, "new");
        let package = package("a", &[("conffiles", "/etc/conf\n")], tar);
        let found = listing(base, &[package], Leave::default()).unwrap();
        assert_eq!(found, ["/usr/bin/x = x", "/usr/lib/", "/usr/lib64/", "/usr/sbin/"]);
    }
}
