//! `build --dry-run`: it tells what `build` then does, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::Project;
use super::wheel::Wheel;

/// Every file below a directory, with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry.unwrap();
        let bytes = if entry.file_type().is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
        found.insert(entry.path().display().to_string(), bytes);
    }
    found
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn statuses(value: &Value, image: usize) -> Vec<&str> {
    let layers = value["images"][image]["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["status"].as_str().unwrap()).collect()
}

const RECIPE: &str = r#"
[images.base]
from = "scratch"
[[images.base.layers]]
files = { "/base" = "base\n" }

[images.web]
from = "base"
workdir = "/app"
[[images.web.layers]]
copy = ["code"]
[[images.web.layers]]
files = { "/etc/web" = "web\n" }
"#;

#[test]
fn what_is_told_is_what_is_done_and_nothing_changes() {
    let registry = FakeRegistry::plain();
    let p = Project::new(&format!("[defaults]\nrepository = \"{}/x/{{image}}\"\n{RECIPE}", registry.name()));
    p.write("ctx/code/main.py", "one\n");
    let before = files(p.root());
    let cold = p.run(&["build", "--dry-run", "--push"]).ok().stdout();
    assert_eq!(files(p.root()), before, "{cold}");
    assert!(cold.contains("2 layers to be made") || cold.contains("3 layers to be made"), "{cold}");
    assert!(cold.contains(&format!("push   {}/x/web:latest: ", registry.name())), "{cold}");
    assert_eq!((registry.count("POST", "/"), registry.count("PUT", "/"), registry.tags()), (0, 0, 0));

    let digests = p.run(&["build", "--push"]).ok().digests();
    let before = files(p.root());
    let warm = json(&p.run(&["build", "--dry-run", "--json", "--push"]).ok().stdout());
    assert_eq!(files(p.root()), before);
    assert_eq!(warm["images"][0]["digest"], digests[0].as_str());
    assert_eq!(warm["images"][1]["digest"], digests[1].as_str());
    assert_eq!(statuses(&warm, 1), ["reused"; 3]);
    assert!(warm["push"].as_array().unwrap().iter().all(|push| push["there"] == true), "{warm}");

    // One file changes: its layer is made, those above and below are not.
    p.write("ctx/code/main.py", "two\n");
    let told = json(&p.run(&["build", "--dry-run", "--json", "--push"]).ok().stdout());
    assert_eq!(statuses(&told, 1), ["reused", "made", "reused"]);
    assert_eq!(told["push"][1]["blobs"], 0);
    assert_eq!(told["push"][1]["unmade"], 1);
    // On another machine, the registry has what this one has.
    let empty = json(&p.run(&["build", "--dry-run", "--json", "--push", "--cache-dir", "empty"]).ok().stdout());
    assert_eq!(statuses(&empty, 1), ["reused", "made", "reused"]);
    assert!(empty["images"][1]["layers"][0]["from"].as_str().unwrap().contains("/x/"), "{empty}");
    assert!(!p.path("empty").exists());
    // Nothing is taken where that is said.
    let anew = json(&p.run(&["build", "--dry-run", "--json", "--no-cache"]).ok().stdout());
    assert_eq!(statuses(&anew, 1), ["made"; 3]);
    assert_eq!(anew["write"][0], "oci:./lapstrake-out");
}

#[test]
fn packages_are_told_with_what_is_to_be_downloaded() {
    let mut m = Mirrored::with([]);
    let six = Wheel::new("six", "1.17.0").file("six.py", "x = 1\n");
    m.index.add(&six).publish();
    m.project
        .write("ctx/requirements.txt", format!("six==1.17.0 --hash=sha256:{}\n", six.sha256()))
        .write("ctx/app", "app");
    m.recipe(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"wheels\"\npython = { requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }\n[[images.app.layers]]\ncopy = [\"app\"]\nto = \"/app\"\n",
    );
    m.lock(&[]);
    m.server.clear_log();
    let before = files(m.project.root());
    let told = json(&m.run(&["build", "--dry-run", "--json", "--locked", "--cache-dir", "none"]).ok().stdout());
    let wheels = &told["images"][0]["layers"][0];
    assert_eq!((&wheels["title"], &wheels["files"]), (&"wheels".into(), &1.into()), "{told}");
    assert_eq!(wheels["download"]["files"], 1);
    assert!(wheels["download"]["size"].as_u64().unwrap() > 0);
    assert_eq!(m.server.log().len(), 0, "nothing is asked: {:?}", m.server.log());
    assert_eq!(files(m.project.root()), before);
    m.run(&["build", "--locked"]).ok();
    let warm = json(&m.run(&["build", "--dry-run", "--json", "--locked"]).ok().stdout());
    assert_eq!(statuses(&warm, 0), ["reused", "reused"]);
}

#[test]
fn packages_below_and_wheels_above_are_found_as_a_build_finds_them() {
    let tool = Deb::new("tool", "1").program("usr/bin/tool", "#!/usr/bin/tool\n");
    let mut m = Mirrored::with([tool]);
    let six = Wheel::new("six", "1.17.0").file("six.py", "x = 1\n");
    m.index.add(&six).publish();
    m.project.write("ctx/requirements.txt", format!("six==1.17.0 --hash=sha256:{}\n", six.sha256()));
    m.project.write("ctx/start", "#!/usr/bin/tool\n").chmod("ctx/start", 0o755);
    m.recipe(
        "[images.system]\nfrom = \"scratch\"\n[[images.system.layers]]\nname = \"packages\"\ndebian = [\"tool\"]\n[images.app]\nfrom = \"system\"\n[[images.app.layers]]\npython = { requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }\n[[images.app.layers]]\ncopy = [\"start\"]\nto = \"/app\"\n",
    );
    m.lock(&[]);
    let dry =
        |more: &[&str]| json(&m.run(&[&["build", "--dry-run", "--json", "--locked"], more].concat()).ok().stdout());
    let cold = dry(&["--cache-dir", "none"]);
    assert_eq!((statuses(&cold, 0), statuses(&cold, 1)), (vec!["made"], vec!["made", "made"]), "{cold:#}");
    let digests = m.run(&["build", "--locked"]).ok().digests();
    let warm = dry(&[]);
    assert_eq!((statuses(&warm, 0), statuses(&warm, 1)), (vec!["reused"], vec!["reused", "reused"]), "{warm:#}");
    let told: Vec<&str> = (0..2).map(|image| warm["images"][image]["digest"].as_str().unwrap()).collect();
    assert_eq!(told, digests);
}

/// Would fail if a dry run noted which files it used: `cache prune` would then keep others.
#[test]
fn what_prune_keeps_does_not_change() {
    let p = Project::new(RECIPE);
    p.write("ctx/code/main.py", "one\n");
    p.run(&["build", "--cache-dir", "cache"]).ok();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000);
    let cached = || walkdir::WalkDir::new(p.path("cache")).into_iter().map(Result::unwrap);
    let times = || -> BTreeMap<_, _> {
        let files = cached().filter(|entry| entry.file_type().is_file());
        files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap())).collect()
    };
    for entry in cached().filter(|entry| entry.file_type().is_file()) {
        std::fs::File::open(entry.path()).unwrap().set_modified(long_ago).unwrap();
    }
    let before = times();
    let told = json(&p.run(&["build", "--dry-run", "--json", "--cache-dir", "cache"]).ok().stdout());
    assert_eq!(statuses(&told, 1), ["reused"; 3]);
    assert_eq!(times(), before);
    p.run(&["build", "--cache-dir", "cache"]).ok();
    assert!(times() != before, "a build notes it");
}
