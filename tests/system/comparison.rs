//! The same packages, installed by Debian's own tools and by pip: what differs, and why it may.
//!
//! `mmdebstrap` runs every maintainer script; here nothing of a package runs. Whatever then differs is on a list with its
//! reason, and a difference that is not on it is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lapstrake::oci::{Descriptor, MediaType};
use lapstrake::store::BlobStore;
use serde_json::Value;

use crate::packages::{ROOTS, inspection};
use crate::support::{self, directory, ok, pins, scratch, text, tool};

/// A file as a container sees it.
#[derive(PartialEq, Eq)]
struct Seen {
    kind: char,
    mode: u32,
    owner: (u32, u32),
    /// Bytes of a file, target of a link.
    content: Vec<u8>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, gid) = self.owner;
        write!(f, "{} {:04o} {uid}:{gid} {} bytes", self.kind, self.mode, self.content.len())
    }
}

fn tree(root: &Path) -> BTreeMap<String, Seen> {
    fn walk(root: &Path, below: &str, seen: &mut BTreeMap<String, Seen>) {
        for entry in fs::read_dir(root.join(below)).expect("a directory") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full).expect("metadata");
            let kind = metadata.file_type();
            let (letter, content) = if kind.is_symlink() {
                ('l', fs::read_link(&full).expect("a link").into_os_string().into_encoded_bytes())
            } else if kind.is_dir() {
                ('d', Vec::new())
            } else if kind.is_file() {
                ('f', fs::read(&full).expect("a file"))
            } else {
                ('?', Vec::new())
            };
            let mode = if letter == 'l' { 0 } else { metadata.permissions().mode() & 0o7777 };
            seen.insert(path.clone(), Seen { kind: letter, mode, owner: (metadata.uid(), metadata.gid()), content });
            if letter == 'd' {
                walk(root, &path, seen);
            }
        }
    }
    let mut seen = BTreeMap::new();
    walk(root, "", &mut seen);
    seen
}

/// What differs, a line each: the path, and both sides.
fn differences(ours: &BTreeMap<String, Seen>, theirs: &BTreeMap<String, Seen>) -> BTreeMap<String, String> {
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let side = |seen: Option<&Seen>| seen.map_or_else(|| "nothing".to_owned(), Seen::to_string);
    paths
        .into_iter()
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| (path.clone(), format!("{path}: {} here, {} there", side(ours.get(path)), side(theirs.get(path)))))
        .collect()
}

/// The files that a lock names, under their own names, out of the cache.
fn files(pins: &[Value], name: &str) -> PathBuf {
    let store = BlobStore::open(&support::cache(), || ()).expect("the cache");
    let directory = directory(name);
    for pin in pins {
        let file = text(pin.get("path").unwrap_or(&pin["file"])).rsplit('/').next().expect("a name").to_owned();
        let digest = format!("sha256:{}", text(&pin["sha256"])).parse().expect("a digest");
        let size = pin["size"].as_u64().expect("a size");
        let kind = MediaType::Other("application/octet-stream".to_owned());
        let content = store.content(&Descriptor::new(kind, digest, size)).expect("what was downloaded");
        let mut bytes = Vec::new();
        content.open().expect("a file").read_to_end(&mut bytes).expect("bytes");
        fs::write(directory.join(file), bytes).expect("a copy");
    }
    directory
}

/// What is not compared: it is no part of what is installed.
const PASSED_OVER: [(&str, &str); 9] = [
    ("dev/", "devices are the runtime's"),
    ("var/cache/debconf/", "answers to questions that nobody asks here"),
    ("var/lib/apt/", "indexes and lists of packages that apt got"),
    ("etc/apt/sources.list", "mmdebstrap's own"),
    ("etc/dpkg/dpkg.cfg.d/99mmdebstrap", "mmdebstrap's own"),
    ("etc/fstab", "mmdebstrap's own"),
    ("etc/hostname", "mmdebstrap's own, and the runtime's"),
    ("etc/hosts", "the runtime's"),
    ("etc/resolv.conf", "the runtime's"),
];

/// What may differ, by how a path begins, and why.
const EXPECTED: [(&str, &str); 16] = [
    ("etc/environment", "PAM's profile"),
    ("etc/pam.d/common-", "PAM's profiles: nobody logs in to a container"),
    ("etc/security/opasswd", "PAM's"),
    ("var/lib/pam", "bookkeeping of PAM's profiles"),
    ("etc/rc", "links of init scripts: no init runs"),
    ("etc/systemd/system/", "links that start services: no init runs"),
    ("var/lib/systemd/", "bookkeeping of those links"),
    ("etc/networks", "the names of networks are the runtime's"),
    ("etc/ld.so.cache", "the order of strings in it; the lists are the same"),
    ("var/cache/apt/archives/lock", "a lock of apt's"),
    ("var/cache/apt/archives/partial", "apt gives it to its own account when it downloads"),
    ("var/lib/dpkg/diversions", "none is left; an absent file says the same"),
    ("var/lib/dpkg/lock", "a lock of dpkg's"),
    ("var/lib/dpkg/triggers/Lock", "a lock of dpkg's"),
    ("var/lib/dpkg/status-old", "a backup of dpkg's"),
    ("var/lib/dpkg/diversions-old", "a backup of dpkg's"),
];

/// The most differences that may be left.
const AT_MOST: usize = 60;

#[test]
fn debian_is_what_mmdebstrap_makes_of_it() {
    let inspection = inspection();
    let pins = pins(&inspection.lock, "debian", "linux/amd64", "complete/debian");
    assert!(pins.len() > 100, "{} packages", pins.len());
    let archive = files(&pins, "archive");
    let mut index = fs::File::create(archive.join("Packages")).expect("an index");
    for pin in &pins {
        let file = text(&pin["path"]).rsplit('/').next().expect("a name");
        let control = ok(tool("dpkg-deb").arg("--field").arg(archive.join(file)));
        let (size, sha256) = (&pin["size"], text(&pin["sha256"]));
        writeln!(index, "{}\nFilename: ./{file}\nSize: {size}\nSHA256: {sha256}\n", control.trim_end())
            .expect("an index");
    }
    drop(index);
    // An archive of just these packages. Without a suite, all of it is asked for what is essential.
    let theirs = scratch().join("mmdebstrap");
    let mut mmdebstrap = tool("unshare");
    mmdebstrap.args(["--mount", "mmdebstrap", "--mode=root", "--variant=essential", "--architectures=amd64"]);
    mmdebstrap.args(["--dpkgopt=force-unsafe-io", "--format=directory", &format!("--include={}", ROOTS.join(",")), ""]);
    mmdebstrap.arg(&theirs).arg(format!("deb [trusted=yes] copy://{} ./", archive.display()));
    ok(&mut mmdebstrap);

    let (ours, theirs) = (tree(&inspection.unpacked("complete")), tree(&theirs));
    assert!(ours.len() > 10_000, "{} files", ours.len());
    let passed_over = |path: &str| {
        // A real installation compiles Python for itself; `compile` does that here.
        let compiled = path.ends_with(".pyc") || path.ends_with("__pycache__");
        compiled || PASSED_OVER.iter().any(|(start, _)| path.starts_with(start))
    };
    let mut found = differences(&ours, &theirs);
    found.retain(|path, _| !passed_over(path));
    let explained = |path: &str| EXPECTED.iter().any(|(start, _)| path.starts_with(start));
    let unexplained: Vec<&String> = found.iter().filter(|(path, _)| !explained(path)).map(|(_, line)| line).collect();
    assert!(unexplained.is_empty(), "{} differences that nobody expects: {unexplained:#?}", unexplained.len());
    assert!(found.len() <= AT_MOST, "{} differences: {:#?}", found.len(), found.values());
    // The two were really compared: what must differ does.
    assert!(
        found.contains_key("etc/ld.so.cache") && found.contains_key("etc/pam.d/common-auth"),
        "{:#?}",
        found.keys()
    );
    let cached = |tree: &BTreeMap<String, Seen>| libraries(&tree["etc/ld.so.cache"].content);
    assert_eq!(cached(&ours), cached(&theirs), "libraries in ld.so.cache");
    for same in ["var/lib/dpkg/status", "etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt", "usr/bin/awk"] {
        assert!(ours.contains_key(same) && !found.contains_key(same), "{same}");
    }
}

/// The names and paths that a cache of the loader's lists, in its order.
fn libraries(cache: &[u8]) -> Vec<(String, String)> {
    assert!(cache.starts_with(b"glibc-ld.so.cache1.1"));
    let number = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().expect("four bytes")) as usize;
    let string = |at: usize| {
        let end = cache[at..].iter().position(|byte| *byte == 0).expect("an end");
        String::from_utf8_lossy(&cache[at..at + end]).into_owned()
    };
    let entries = (0..number(20)).map(|entry| 48 + 24 * entry);
    // The loader is found under a second name here, which ldconfig passes over.
    let is_second = |library: &(String, String)| library.1 == "/lib64/ld-linux-x86-64.so.2";
    entries.map(|at| (string(number(at + 4)), string(number(at + 8)))).filter(|library| !is_second(library)).collect()
}

/// A RECORD without what [`wheels_are_what_pip_makes_of_them`] expects to differ, sorted.
fn record(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let mut rows: Vec<String> = text
        .lines()
        // pip writes where things would have gone, not where `--target` puts them.
        .map(|row| row.trim_end().trim_start_matches("../../").to_owned())
        .filter(|row| !row.contains("/REQUESTED,") && !row.starts_with("bin/"))
        .collect();
    rows.sort();
    rows
}

#[test]
fn wheels_are_what_pip_makes_of_them() {
    let inspection = inspection();
    let pins = pins(&inspection.lock, "python", "linux/amd64", "wheels/site");
    let wheels = files(&pins, "wheels");
    let theirs = scratch().join("pip-target");
    // Debian's own Python: another one on the PATH may have no pip.
    let mut pip = tool("env");
    pip.args(["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]);
    pip.args(["--disable-pip-version-check", "--root-user-action=ignore", "--only-binary", ":all:"]);
    pip.args(["--python-version", "3.13", "--find-links"]).arg(&wheels).arg("--target").arg(&theirs);
    let platforms: BTreeSet<&str> = pins
        .iter()
        .flat_map(|pin| text(&pin["file"]).trim_end_matches(".whl").rsplit('-').next().expect("tags").split('.'))
        .collect();
    for platform in platforms {
        pip.args(["--platform", platform]);
    }
    ok(pip.args(pins.iter().map(|pin| format!("{}=={}", text(&pin["name"]), text(&pin["version"])))));

    let (ours, theirs) = (tree(&inspection.unpacked("wheels").join("site")), tree(&theirs));
    assert!(ours.len() > 2_000, "{} files", ours.len());
    let unexplained: Vec<String> = differences(&ours, &theirs)
        .into_iter()
        .filter(|(path, _)| {
            let (here, there) = (ours.get(path), theirs.get(path));
            let same_but_content = here
                .zip(there)
                .is_some_and(|(one, other)| (one.kind, one.mode, one.owner) == (other.kind, other.mode, other.owner));
            let explained = if path.ends_with(".dist-info/REQUESTED") {
                // Here only what was asked for by name has it; pip was asked for all by name.
                here.is_none()
            } else if path.ends_with(".dist-info/RECORD") {
                same_but_content && record(&ours[path].content) == record(&theirs[path].content)
            } else if path.starts_with("bin/") {
                // The text of entry points is each installer's own.
                let shebang = |seen: &Seen| seen.content.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
                same_but_content && shebang(&ours[path]) == shebang(&theirs[path])
            } else {
                false
            };
            !explained
        })
        .map(|(_, line)| line)
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let requested = ours.keys().filter(|path| path.ends_with(".dist-info/REQUESTED")).count();
    let asked = pins.iter().filter(|pin| pin["requested"] == true).count();
    assert!(requested == asked && asked > 0, "{requested} files for {asked} that were asked for");
}
