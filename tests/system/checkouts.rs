//! The recipes of the two systems in two checkouts: nothing of a checkout but its content is in what is built.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::support::{self, checkout, directory, lapstrake, ok};

/// The repository as far as the recipes need it, with its locks; files are made in one order or the other.
fn copy_of_the_repository(name: &str, backwards: bool) -> PathBuf {
    let root = directory(name);
    for part in ["recipes", "testdata"] {
        fs::create_dir(root.join(part)).expect("a directory");
    }
    for name in ["eveai", "archon"] {
        let recipe = &support::recipe(name).file;
        let text = fs::read_to_string(checkout().join(format!("recipes/{name}.toml"))).expect("the recipe");
        // A copy is no checkout of git.
        fs::write(root.join(format!("recipes/{name}.toml")), text.replace("{git.short}", "0123abc")).expect("a copy");
        fs::copy(recipe.with_extension("lock"), root.join(format!("recipes/{name}.lock"))).expect("a copy of the lock");
        copy(&checkout().join("testdata").join(name), &root.join("testdata").join(name), backwards);
    }
    root
}

fn copy(from: &Path, to: &Path, backwards: bool) {
    fs::create_dir(to).expect("a directory");
    let mut entries: Vec<_> = fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    if backwards {
        entries.reverse();
    }
    for entry in entries {
        let to = to.join(entry.file_name());
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            copy(&entry.path(), &to, backwards);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).expect("a link"), to).expect("a link");
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

fn touch(directory: &Path, time: SystemTime) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        if metadata.is_dir() {
            touch(&path, time);
        }
        if !metadata.is_symlink() {
            File::open(&path).and_then(|file| file.set_modified(time)).expect("another time");
        }
    }
}

#[test]
fn both_systems_in_two_checkouts() {
    let (one, two) = (copy_of_the_repository("checkouts-one", false), copy_of_the_repository("checkouts-two", true));
    touch(&two.join("testdata/eveai"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    touch(&two.join("testdata/archon"), SystemTime::now() + Duration::from_secs(86_400));
    let build = |root: &Path| {
        let mut results = String::new();
        for name in ["eveai", "archon"] {
            let mut build = lapstrake();
            build.current_dir(root).args(["build", "--locked", "-f", &format!("recipes/{name}.toml")]);
            results.push_str(&ok(build.args(["-o", &format!("oci:{name}")])));
        }
        results
    };
    let first = build(&one);
    assert_eq!(first.lines().count(), 12, "{first}");
    assert_eq!(build(&two), first);
    // Every manifest and every layer is a blob under its digest: the same blobs, the same layers.
    for name in ["eveai", "archon"] {
        let blobs = |root: &Path| {
            let entries = fs::read_dir(root.join(name).join("blobs/sha256")).expect("blobs");
            entries.map(|entry| entry.expect("a blob").file_name()).collect::<BTreeSet<_>>()
        };
        assert_eq!(blobs(&one), blobs(&two), "{name}");
        let index = |root: &Path| fs::read(root.join(name).join("index.json")).expect("an index");
        assert_eq!(index(&one), index(&two));
    }
}
