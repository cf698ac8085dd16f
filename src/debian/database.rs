//! dpkg's database (`/var/lib/dpkg`), so that `dpkg -l`, `dpkg -V` and scanners see what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::deb::{Deb, DebError};
use super::dependency::{is_package_name, parse_atoms, parse_dependencies};
use super::packages::{MultiArch, Packages, PackagesError};
use super::staging::{Staging, StagingError};
use super::status_d::{self, Apart};
use super::unpack::Unpacked;
use super::version::Version;
use crate::shown::Shown;
use crate::tree::{NodeKind, Origin, Owner, TreePath};

/// Where packages are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One file, `status`, and `info/` beside it: as dpkg has it.
    Status,
    /// A file a package in `status.d/`: as images without dpkg often have it ("distroless").
    StatusD,
}

/// What a base says is installed.
#[derive(Debug, Default)]
pub struct Installed {
    /// The packages.
    pub packages: Packages,
    /// The text of `status`, byte for byte; empty where there is none.
    pub status: Vec<u8>,
    /// The files of `status.d`, where `status` says nothing.
    pub apart: Vec<Apart>,
}

/// Why the database cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A file of it cannot be read, or the tree does not take one.
    #[error("in dpkg's database")]
    Staging(#[from] StagingError),
    /// What the base says is wrong.
    #[error("in dpkg's database of the base")]
    Packages(#[from] PackagesError),
    /// A package's own data is wrong.
    #[error("in the package {package}")]
    Package {
        /// Its name.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// A line of a package's triggers is wrong.
    #[error("the package {package} has a wrong line in its triggers: {line}")]
    Trigger {
        /// The package.
        package: String,
        /// The line.
        line: Shown,
    },
}

const ROOT: &str = "var/lib/dpkg";

/// The order in which dpkg writes the fields of a package; others follow as they come.
const ORDER: [&str; 23] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
];

impl Style {
    /// What dpkg needs in images that have it; else what is there, and `StatusD` where nothing is.
    pub fn of(staging: &Staging<'_>) -> Self {
        let [status, dpkg] = ["var/lib/dpkg/status", "usr/bin/dpkg"].map(|path| staging.exists(path));
        match status || dpkg {
            true => Style::Status,
            false => Style::StatusD,
        }
    }
}

/// What the base has: `status`, or the files of `status.d`.
///
/// # Errors
/// [`DatabaseError`].
pub fn read_installed(staging: &Staging<'_>) -> Result<Installed, DatabaseError> {
    if let Some(status) = staging.read("var/lib/dpkg/status")?
        && !status.is_empty()
    {
        return Ok(Installed { packages: Packages::read_installed(&status[..])?, status, apart: Vec::new() });
    }
    let apart = status_d::read(staging)?;
    let text = apart.iter().flat_map(|apart| [&apart.text[..], b"\n\n"]).collect::<Vec<_>>().concat();
    Ok(Installed { packages: Packages::read_installed(&text[..])?, status: Vec::new(), apart })
}

/// Which package of the base files belong to that others take the place of, as the lists say. The lists of a package itself
/// and of what it replaces come first: mostly they say it, and no other is read.
///
/// # Errors
/// Where a list cannot be read.
pub fn read_owners(
    staging: &Staging<'_>,
    covered: &[(TreePath, &Deb)],
) -> Result<BTreeMap<TreePath, String>, DatabaseError> {
    let mut owners = BTreeMap::new();
    let names: BTreeSet<&[u8]> = covered.iter().filter_map(|(path, _)| path.file_name()).collect();
    let mut left: BTreeSet<&TreePath> = covered.iter().map(|(path, _)| path).collect();
    // What a list has of them, through the links of the image.
    let listed = |list: &[u8]| -> Vec<TreePath> {
        let paths = list.split(|byte| *byte == b'\n').filter_map(|line| TreePath::parse(line).ok());
        let named = paths.filter(|path| path.file_name().is_some_and(|name| names.contains(name)));
        named.filter_map(|path| staging.view().resolve_parent(&path).ok()).collect()
    };
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for (_, package) in covered {
        let replaced = parse_atoms(package.control.get("Replaces").unwrap_or_default()).unwrap_or_default();
        let first = std::iter::once(package.name.clone()).chain(replaced.iter().map(|atom| atom.name.to_string()));
        for name in first.filter(|name| asked.insert(format!("{name}:{}", package.architecture))) {
            for file in [name.clone(), format!("{name}:{}", package.architecture)] {
                if let Some(list) = staging.read(&format!("{ROOT}/info/{file}.list"))? {
                    let found = listed(&list).into_iter().filter(|path| left.remove(path));
                    owners.extend(found.map(|path| (path, name.clone())));
                }
            }
        }
    }
    if left.is_empty() {
        return Ok(owners);
    }
    // All the others.
    let directory = TreePath::parse("var/lib/dpkg/info").map_err(StagingError::from)?;
    for (path, node) in staging.view().children(&directory) {
        let name = String::from_utf8_lossy(path.file_name().unwrap_or_default()).into_owned();
        if let (NodeKind::File(located), Some(name)) = (&node.kind, name.strip_suffix(".list")) {
            let name = name.split(':').next().unwrap_or_default();
            let found = listed(&staging.read_located(path, located)?).into_iter().filter(|path| left.remove(path));
            owners.extend(found.map(|path| (path, name.to_owned())));
        }
    }
    Ok(owners)
}

/// Writes down packages that were unpacked, beside what the base has.
///
/// # Errors
/// [`DatabaseError`].
pub fn write(
    staging: &mut Staging<'_>,
    packages: &[Deb],
    unpacked: &Unpacked,
    installed: &Installed,
    architecture: &str,
    style: Style,
) -> Result<(), DatabaseError> {
    let origin = Origin::new("dpkg's database");
    staging.directory(ROOT, 0o755, Owner::ROOT, &origin)?;
    if style == Style::StatusD {
        staging.directory("var/lib/dpkg/status.d", 0o755, Owner::ROOT, &origin)?;
        for (package, list) in packages.iter().zip(&unpacked.lists) {
            let path = format!("var/lib/dpkg/status.d/{}", package.name);
            staging.file(&path, stanza(package)?, 0o644, Owner::ROOT, &origin)?;
            staging.file(&format!("{path}.md5sums"), md5sums(package, list), 0o644, Owner::ROOT, &origin)?;
        }
        return Ok(());
    }
    for below in ["alternatives", "info", "parts", "triggers", "updates"] {
        staging.directory(&format!("{ROOT}/{below}"), 0o755, Owner::ROOT, &origin)?;
    }
    let replaced: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut stanzas = stanzas(&installed.status);
    if !installed.apart.is_empty() {
        stanzas.extend(status_d::move_in(staging, &installed.apart, &replaced, &origin)?);
    }
    let mut file =
        |path: &str, bytes: Vec<u8>, mode| staging.file(&format!("{ROOT}/{path}"), bytes, mode, Owner::ROOT, &origin);
    for package in packages {
        stanzas.insert((package.name.clone(), package.architecture.clone()), stanza(package)?);
    }
    file(
        "status",
        stanzas.into_values().map(|stanza| [stanza, b"\n".to_vec()].concat()).collect::<Vec<_>>().concat(),
        0o644,
    )?;
    file("info/format", b"1\n".to_vec(), 0o644)?;
    for (package, list) in packages.iter().zip(&unpacked.lists) {
        let start = format!("info/{}", package.info_name());
        let mut text = b"/.\n".to_vec();
        for path in list {
            text.push(b'/');
            text.extend_from_slice(path.as_bytes());
            text.push(b'\n');
        }
        file(&format!("{start}.list"), text, 0o644)?;
        let sums = package.info.get("md5sums").map_or(0o644, |info| info.mode);
        file(&format!("{start}.md5sums"), md5sums(package, list), sums)?;
        for (name, info) in package.info.iter().filter(|(name, _)| *name != "md5sums") {
            file(&format!("{start}.{name}"), info.bytes.to_vec(), info.mode)?;
        }
    }
    file("arch", format!("{architecture}\n").into_bytes(), 0o644)?;
    let native = packages.iter().find(|package| package.name == "dpkg").map(|package| &package.version);
    if native.is_some_and(|version| "1.22.0".parse::<Version>().is_ok_and(|since| *version >= since)) {
        file("arch-native", format!("{architecture}\n").into_bytes(), 0o644)?;
    }
    triggers(staging, packages, &origin)
}

/// The stanzas of `status`, byte for byte without the blank line, by name and architecture.
pub(super) fn stanzas(status: &[u8]) -> BTreeMap<(String, String), Vec<u8>> {
    let mut stanzas = BTreeMap::new();
    let mut at = 0;
    while at < status.len() {
        let rest = &status[at..];
        let length = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |end| end + 1);
        let text = &rest[..length];
        if !text.trim_ascii().is_empty() {
            let field = |name: &str| {
                let mut lines = text.split(|byte| *byte == b'\n');
                let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())).unwrap_or_default();
                String::from_utf8_lossy(value.trim_ascii()).into_owned()
            };
            let mut text = text.trim_ascii_start().to_vec();
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            stanzas.insert((field("Package:"), field("Architecture:")), text);
        }
        at += length + 1;
    }
    stanzas
}

/// What `status` says of a package, without the blank line after it.
fn stanza(package: &Deb) -> Result<Vec<u8>, DatabaseError> {
    let control = &package.control;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        text.push_str(name);
        // A value that starts on the next line follows the colon at once.
        text.push_str(if value.is_empty() || value.starts_with('\n') { ":" } else { ": " });
        text.push_str(value);
        text.push('\n');
    };
    for name in ORDER {
        match (name, control.get(name)) {
            ("Status", _) => field(name, "install ok installed"),
            ("Essential" | "Protected", Some("no")) | (_, None | Some("")) => {}
            (_, Some(value)) => field(name, &normal(name, value)),
        }
    }
    let conffiles = conffiles(package)?;
    if !conffiles.is_empty() {
        field("Conffiles", &conffiles);
    }
    if let Some(description) = control.get("Description") {
        field("Description", description);
    }
    for (name, value) in control.iter() {
        let known = ORDER.iter().chain(&["Description"]).any(|known| known.eq_ignore_ascii_case(name));
        if !known && !value.is_empty() {
            field(name, value);
        }
    }
    Ok(text.into_bytes())
}

/// Relations as dpkg writes them; other values as they are.
fn normal(field: &str, value: &str) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match field {
        "Depends" | "Pre-Depends" | "Recommends" | "Suggests" => parse_dependencies(value)
            .map(|list| joined(list.iter().map(ToString::to_string).collect()))
            .unwrap_or_else(|_| value.to_owned()),
        "Replaces" | "Provides" | "Breaks" | "Conflicts" | "Enhances" => parse_atoms(value)
            .map(|list| joined(list.iter().map(ToString::to_string).collect()))
            .unwrap_or_else(|_| value.to_owned()),
        _ => value.to_owned(),
    }
}

/// The lines of the field `Conffiles`: path and MD5, in the order in which the package names them.
fn conffiles(package: &Deb) -> Result<String, DatabaseError> {
    let wrong = |source| DatabaseError::Package { package: package.name.clone(), source };
    let mut lines = String::new();
    for conffile in package.conffiles().map_err(wrong)? {
        let path = String::from_utf8_lossy(conffile.path.as_bytes()).into_owned();
        if conffile.remove_on_upgrade {
            lines.push_str(&format!("\n /{path} newconffile remove-on-upgrade"));
            continue;
        }
        // A conffile that the package does not have is dpkg's to complain about.
        let sum = package.sums.get(&conffile.path).map_or_else(|| "newconffile".to_owned(), |sum| hexadecimal(sum));
        lines.push_str(&format!("\n /{path} {sum}"));
    }
    Ok(lines)
}

/// The sums of a package's files, without those that were left out. Its own list holds as far as it is true: dpkg believes
/// it, and would say of a file that it was changed. Where there is none, dpkg makes one of all files.
fn md5sums(package: &Deb, list: &[TreePath]) -> Vec<u8> {
    let kept: BTreeSet<&TreePath> = list.iter().collect();
    let line = |path: &TreePath| {
        let sum = package.sums.get(path).filter(|_| kept.contains(path))?;
        Some([hexadecimal(sum).as_bytes(), b"  ", path.as_bytes(), b"\n"].concat())
    };
    match package.info.get("md5sums") {
        None => list.iter().filter_map(line).collect::<Vec<_>>().concat(),
        Some(sums) => {
            let lines = sums.bytes.split_inclusive(|byte| *byte == b'\n');
            let lines = lines.filter_map(|text| {
                let (sum, path) = text.split_at_checked(34)?;
                let path = TreePath::parse(path.trim_ascii_end()).ok()?;
                let true_line = line(&path)?;
                // What is true stays as it is written.
                let same = true_line.get(..32) == sum.get(..32);
                Some(if same { text.to_vec() } else { true_line })
            });
            lines.collect::<Vec<_>>().concat()
        }
    }
}

/// Bytes in hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who wants to know of which trigger: `triggers/File` for paths, a file for each name.
fn triggers(staging: &mut Staging<'_>, packages: &[Deb], origin: &Origin) -> Result<(), DatabaseError> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages {
        let Some(info) = package.info.get("triggers") else { continue };
        for line in info.bytes.split(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let text = text.split('#').next().unwrap_or_default();
            let mut words = text.split_whitespace();
            let wrong = || DatabaseError::Trigger { package: package.name.clone(), line: Shown::new(line) };
            let (Some(directive), trigger) = (words.next(), words.next()) else { continue };
            let suffix = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                "activate" | "activate-await" | "activate-noawait" => continue,
                _ => return Err(wrong()),
            };
            let trigger = trigger.filter(|_| words.next().is_none()).ok_or_else(wrong)?;
            let name = match package.multi_arch() {
                MultiArch::Same => format!("{}:{}", package.name, package.architecture),
                _ => package.name.clone(),
            };
            if trigger.starts_with('/') {
                files.entry("File".to_owned()).or_default().push(format!("{trigger} {name}{suffix}"));
            } else if is_package_name(trigger) && trigger != "File" {
                files.entry(trigger.to_owned()).or_default().push(format!("{name}{suffix}"));
            } else {
                return Err(wrong());
            }
        }
    }
    for file in ["File", "Unincorp"] {
        files.entry(file.to_owned()).or_default();
    }
    for (name, lines) in files {
        let path = format!("{ROOT}/triggers/{name}");
        let mut text = staging.text(&path)?.unwrap_or_default();
        for line in lines {
            if !text.lines().any(|there| there == line) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        staging.file(&path, text, 0o644, Owner::ROOT, origin)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::deb::tests::{TestTar, package_with};
    use super::super::unpack::{Leave, unpack};
    use super::*;
    use crate::content::Content;
    use crate::tree::{Entry, FileTree, Rootfs};

    fn no_base(_: usize, _: u64, _: u64) -> io::Result<Vec<u8>> {
        Err(io::Error::other("there is no base"))
    }

    fn sample() -> Deb {
        let fields = "Package: a\nSource: src (2)\nVersion: 1:1-1\nArchitecture: amd64\nMulti-Arch: same\nX-Own: kept\n\
                      Maintainer: x <y>\nInstalled-Size: 10\nPre-Depends: z\nDepends: b(>=1)|c,\n d (<< 2)\n\
                      Provides: v (=1)\nEssential: yes\nPriority: optional\nSection: libs\nDescription: short\n long\n";
        let tar = TestTar::default()
            .directory("./", 0o755)
            .directory("./etc/", 0o755)
            .file("./etc/b", 0o644, "b")
            .file("./etc/a", 0o644, "a")
            .directory("./usr/", 0o755)
            .directory("./usr/share/", 0o755)
            .directory("./usr/share/doc/", 0o755)
            .directory("./usr/share/doc/a/", 0o755)
            .file("./usr/share/doc/a/copyright", 0o644, "c")
            .file("./usr/share/doc/a/news", 0o644, "n");
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        package_with(
            fields,
            &[
                ("conffiles", "/etc/b\n/etc/a\nremove-on-upgrade /etc/old\n"),
                ("md5sums", &format!("{sum}  usr/share/doc/a/copyright\n{sum}  usr/share/doc/a/news\n")),
                ("triggers", "# comment\ninterest-noawait /usr/lib/x\ninterest named\nactivate-noawait ldconfig\n"),
                ("postinst", "#!/bin/sh\n"),
            ],
            tar,
        )
    }

    fn database(base: &Rootfs, status: &[u8], style: Style, leave: Leave<'_>) -> FileTree {
        let mut staging = Staging::new(base.clone(), &no_base);
        let packages = [sample()];
        let unpacked = unpack(&mut staging, &packages, &BTreeMap::new(), leave).unwrap();
        let installed = Installed {
            packages: Packages::read_installed(status).unwrap(),
            status: status.to_vec(),
            apart: Vec::new(),
        };
        write(&mut staging, &packages, &unpacked, &installed, "amd64", style).unwrap();
        staging.into_tree(base).unwrap()
    }

    fn text(tree: &FileTree, path: &str) -> String {
        match tree.get(&TreePath::parse(path).unwrap()).map(|entry| &entry.kind) {
            Some(crate::tree::Kind::File(content)) => String::from_utf8(content.read_all(9999).unwrap()).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn status_is_as_dpkg_writes_it() {
        let tree = database(&Rootfs::new(), b"", Style::Status, Leave::default());
        insta::assert_snapshot!(text(&tree, "var/lib/dpkg/status"), @r"
        Package: a
        Essential: yes
        Status: install ok installed
        Priority: optional
        Section: libs
        Installed-Size: 10
        Maintainer: x <y>
        Architecture: amd64
        Multi-Arch: same
        Source: src (2)
        Version: 1:1-1
        Provides: v (= 1)
        Depends: b (>= 1) | c, d (<< 2)
        Pre-Depends: z
        Conffiles:
         /etc/b 92eb5ffee6ae2fec3ad71c777531578f
         /etc/a 0cc175b9c0f1b6a831c399e269772661
         /etc/old newconffile remove-on-upgrade
        Description: short
         long
        X-Own: kept
        ");
        assert_eq!(text(&tree, "var/lib/dpkg/info/a:amd64.postinst"), "#!/bin/sh\n");
        assert_eq!(text(&tree, "var/lib/dpkg/triggers/File"), "/usr/lib/x a:amd64/noawait\n");
        assert_eq!(text(&tree, "var/lib/dpkg/triggers/named"), "a:amd64\n");
        assert!(text(&tree, "var/lib/dpkg/info/a:amd64.list").starts_with("/.\n/etc\n/etc/b\n"));
    }

    #[test]
    fn slim_packages_pass_dpkgs_check() {
        let leave = Leave { slim: true, exclude: None };
        let tree = database(&Rootfs::new(), b"", Style::Status, leave);
        assert!(!text(&tree, "var/lib/dpkg/info/a:amd64.list").contains("news"));
        assert_eq!(text(&tree, "var/lib/dpkg/info/a:amd64.md5sums").lines().count(), 1);
    }

    #[test]
    fn what_the_base_says_stays_byte_for_byte() {
        let status = b"Package: z\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: \xe9\n\n\
                       Package: 0\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n";
        let written = {
            let mut base = Rootfs::new();
            let mut layer = FileTree::new();
            let file = Entry::file(Content::inline(&status[..]), 0o644, Owner::ROOT, Origin::new("base"));
            layer.insert(TreePath::parse("var/lib/dpkg/status").unwrap(), file).unwrap();
            base.apply(&layer);
            let staging = Staging::new(base.clone(), &no_base);
            let installed = read_installed(&staging).unwrap();
            assert_eq!(installed.packages.len(), 1);
            let tree = database(&base, &installed.status, Style::Status, Leave::default());
            let path = TreePath::parse("var/lib/dpkg/status").unwrap();
            match &tree.get(&path).unwrap().kind {
                crate::tree::Kind::File(content) => content.read_all(9999).unwrap(),
                _ => panic!(),
            }
        };
        let middle = written.windows(10).position(|window| window == b"Package: a").unwrap();
        let last = written.windows(10).position(|window| window == b"Package: z").unwrap();
        assert!(written.starts_with(b"Package: 0\n") && middle < last);
        assert!(written.windows(13).any(|window| window == b"Maintainer: \xe9"));
    }

    #[test]
    fn images_without_dpkg_have_a_file_a_package() {
        let tree = database(&Rootfs::new(), b"", Style::StatusD, Leave::default());
        assert!(text(&tree, "var/lib/dpkg/status.d/a").starts_with("Package: a\n"));
        assert_eq!(text(&tree, "var/lib/dpkg/status.d/a.md5sums").lines().count(), 2);
        assert!(tree.get(&TreePath::parse("var/lib/dpkg/status").unwrap()).is_none());
        let mut base = Rootfs::new();
        base.apply(&tree);
        let staging = Staging::new(base, &no_base);
        assert_eq!(Style::of(&staging), Style::StatusD);
        assert_eq!(read_installed(&staging).unwrap().packages.named("a").count(), 1);
    }
}
