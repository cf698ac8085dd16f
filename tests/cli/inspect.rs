//! `inspect`: layers with their origin, packages, users, files and what is in them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::{BINARY, Base, Project, Run, Stored, Tar, debian_tar};

fn read(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// A small system with a layer of an image of ours on top, in `oci:out`.
fn project() -> Project {
    let project = Project::new(
        "[images.app]\nfrom = \"oci:../base\"\nuser = \"5:5\"\n[[images.app.layers]]\nname = \"code\"\n\
         files = { \"/app/main\" = \"hello\\n\", \"/app/program\" = \"x\" }\nsymlinks = { \"/app/link\" = \"../lib/libold.so\", \"/app/up\" = \"../../../../etc/group\" }\n\
         caps = { \"/app/program\" = \"cap_net_bind_service,cap_net_raw=ep\" }\n",
    );
    let mut base = Base::of(debian_tar());
    base.config["history"] = json!([
        { "created_by": "ADD rootfs.tar /", "comment": "by hand", "created": "2024-01-01T00:00:00Z" },
        { "created_by": "ENV x", "empty_layer": true },
    ]);
    base.layout(&project.path("base"));
    project.run(&["build", "-o", "oci:out"]).ok();
    project
}

#[test]
fn layers_have_an_origin_and_contents_are_told() {
    let project = project();
    let value = read(&project.run(&["inspect", "oci:out", "--json"]).ok());
    let image = &value[0]["images"][0];
    let layers = image["layers"].as_array().expect("layers");
    assert_eq!(layers[0]["created_by"], "ADD rootfs.tar /");
    assert_eq!(layers[0]["comment"], "by hand");
    assert_eq!((&layers[0]["key"], &layers[0]["annotations"]), (&Value::Null, &json!({})));
    assert!(layers[1]["created_by"].as_str().is_some_and(|text| text.starts_with("code: ")), "{layers:?}");
    assert!(layers[1]["key"].is_string() && layers[1]["annotations"]["dev.lapstrake.layer.key"].is_string());
    assert_eq!(image["packages"], json!([]));
    assert_eq!(
        image["users"],
        json!([
            { "name": "root", "uid": 0, "gid": 0, "home": "/root", "shell": "/bin/bash" },
            { "name": "www-data", "uid": 33, "gid": 33, "home": "/var/www", "shell": "/usr/sbin/nologin" },
        ])
    );
    assert_eq!(image["largest"][0], json!({ "path": "/etc/passwd", "size": 85, "layer": null }));
    assert!(image["files"].is_null());
    let text = project.run(&["inspect", "oci:out"]).ok().stdout();
    assert!(text.contains("  users     root 0:0, www-data 33:33\n"), "{text}");
    assert!(text.contains("  largest\n") && text.contains("ADD rootfs.tar /\n"), "{text}");
}

#[test]
fn files_have_their_capabilities() {
    let project = project();
    let value = read(&project.run(&["inspect", "oci:out", "--json", "--files"]).ok());
    let files = value[0]["images"][0]["files"].as_array().expect("files");
    let file = |path: &str| files.iter().find(|file| file["path"] == path).unwrap_or_else(|| panic!("{path}")).clone();
    assert_eq!(file("/app/program")["capabilities"], "cap_net_bind_service,cap_net_raw=ep");
    assert_eq!(file("/app/main")["capabilities"], Value::Null);
    assert_eq!(file("/app/main")["digest"], super::support::sha256(b"hello\n"));
    assert_eq!(file("/tmp")["mode"], "1777");
    assert_eq!((&file("/lib")["kind"], &file("/lib")["target"]), (&json!("symlink"), &json!("usr/lib")));
    let text = project.run(&["inspect", "oci:out", "--files"]).ok().stdout();
    let line = "    0644         0:0          1 /app/program [cap_net_bind_service,cap_net_raw=ep]\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_file_is_printed_by_its_path() {
    let project = project();
    let cat = |path: &str| project.run(&["inspect", "oci:out", "--cat", path]);
    assert_eq!(cat("/app/main").ok().stdout, b"hello\n");
    // Through links, inside the image: of a directory, of the file, and one that climbs out.
    assert_eq!(cat("lib/libold.so").ok().stdout, b"old");
    assert_eq!(cat("/app/link").ok().stdout, b"old");
    assert_eq!(cat("/app/up").ok().stdout, b"root:x:0:\nstaff:x:50:\nvideo:x:44:\n");
    let listed = cat("/app").ok().stdout();
    assert_eq!(listed.lines().count(), 4);
    assert!(listed.contains("/app/link -> ../lib/libold.so"), "{listed}");
    assert!(cat("/").ok().stdout().contains(" /etc\n"));
    let told = cat("/app/mian").fails(1);
    assert!(told.contains("there is no /app/mian") && told.contains("did you mean `/app/main`?"), "{told}");
    cat("/app/main/x").fails(1);
    cat("../etc/passwd").fails(2);
    project.run(&["inspect", "oci:out", "--cat", "/app/main", "--json"]).fails(2);
    let mut other = Base::debian();
    other.config["architecture"] = json!("arm64");
    Base::index(&[Base::debian(), other], &project.path("two"));
    project.run(&["inspect", "oci:two", "--cat", "/usr/bin/tool", "--platform", "linux/arm64"]).ok();
    let told = project.run(&["inspect", "oci:two", "--cat", "/usr/bin/tool"]).fails(2);
    assert!(told.contains("2 platforms") && told.contains("--platform linux/amd64"), "{told}");
}

#[test]
fn packages_are_counted_and_named() {
    let m = Mirrored::with([Deb::new("tool", "1:2-3").program("usr/bin/tool", "one\n")]);
    m.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"tool\"]\n");
    m.lock(&[]);
    m.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let value = read(&m.project.run(&["inspect", "oci:out", "--json"]).ok());
    let packages = &value[0]["images"][0]["packages"];
    assert_eq!(*packages, json!([{ "kind": "debian", "name": "tool", "version": "1:2-3" }]));
    assert!(
        m.project
            .run(&["inspect", "oci:out"])
            .ok()
            .stdout()
            .contains("  packages  1 debian  (--packages names them)\n")
    );
    assert!(m.project.run(&["inspect", "oci:out", "--packages"]).ok().stdout().contains("    debian  tool 1:2-3\n"));
}

/// Would fail if inspecting a tag fetched its layers unasked.
#[test]
fn layers_of_a_registry_are_looked_into_on_request() {
    let registry = FakeRegistry::plain();
    let mut blobs = BTreeMap::new();
    let mut base = Base::debian();
    base.layers.push((Tar::new().file("x", 0o644, "x").end(), Stored::Gzip));
    let descriptor = base.blobs(&mut blobs);
    let digest = descriptor["digest"].as_str().expect("a digest");
    blobs.iter().filter(|(name, _)| *name != digest).for_each(|(_, bytes)| drop(registry.put_blob("app", bytes)));
    registry.put_manifest("app", Some("1"), descriptor["mediaType"].as_str().expect("a type"), &blobs[digest]);
    let name = format!("{}/app:1", registry.name());
    let project = Project::empty();
    let image = |more: &[&str]| {
        read(&project.run(&[&["inspect", name.as_str(), "--json"], more].concat()).ok())[0]["images"][0].clone()
    };
    assert_eq!(image(&[])["users"], Value::Null);
    assert_eq!(registry.count("GET", "/blobs/"), 1, "the config: {:?}", registry.lines());
    registry.clear_log();
    assert_eq!(image(&["--contents"])["users"][1]["name"], "www-data");
    assert_eq!(registry.count("GET", "/blobs/"), 2, "two layers: {:?}", registry.lines());
    registry.clear_log();
    // What is remembered needs no second look.
    assert_eq!(image(&["--contents"])["largest"].as_array().map(Vec::len), Some(7));
    assert_eq!(registry.count("GET", "/blobs/"), 0, "{:?}", registry.lines());
}

#[test]
fn names_and_texts_reach_no_terminal() {
    let project = Project::empty();
    let mut base = Base::of(Tar::new().file("\u{1b}[31m", 0o644, "x").link("l", "\u{1b}[32m").end());
    base.config["history"] = json!([{ "created_by": "\u{1b}[33m" }]);
    base = base.settings(json!({ "Env": ["A=\u{1b}[34m"], "Labels": { "\u{1b}": "\u{202e}" } }));
    base.layout(&project.path("out"));
    let text = project.run(&["inspect", "oci:out", "--files"]).ok().stdout()
        + &project.run(&["inspect", "oci:out"]).ok().stdout();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    for number in 1..5 {
        assert!(text.contains(&format!("\\u{{1b}}[3{number}m")), "{text}");
    }
}

#[test]
fn a_layer_that_cannot_be_read_hides_nothing_else() {
    let project = project();
    let layer = project.layout("out").image("app").layer_digests()[1].clone();
    std::fs::remove_file(project.path("out/blobs/sha256").join(&layer[7..])).expect("a blob");
    let run = project.run(&["inspect", "oci:out", "--json", "--cache-dir", "empty"]).ok();
    assert_eq!(read(&run)[0]["images"][0]["packages"], Value::Null);
    assert!(run.told().contains("what the layers hold is not shown"), "{}", run.told());
    project.run(&["inspect", "oci:out", "--files", "--cache-dir", "empty"]).fails(1);
}

/// Would show one of two images that have the same bytes, or both by names that nobody gave them.
#[test]
fn two_names_of_the_same_bytes_are_both_shown() {
    let image = |name: &str| {
        format!("[images.{name}]\nfrom = \"scratch\"\n[[images.{name}.layers]]\nfiles = {{ \"/a\" = \"same\" }}\n")
    };
    let recipe = format!("{}{}[images.web]\nfrom = \"scratch\"\n", image("app"), image("worker"));
    let p = Project::new(&recipe);
    p.write("lapstrake.toml", format!("recipe = 1\n[project]\nname = \"x\"\ncontext = \"ctx\"\n{recipe}"));
    p.run(&["build"]).ok();
    let text = p.run(&["inspect", "lapstrake-out"]).ok().stdout();
    assert!(text.starts_with("app\n") && text.contains("\n  also      worker\n"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&p.run(&["inspect", "lapstrake-out", "--json"]).ok().stdout()).unwrap();
    assert_eq!(json[0]["names"], serde_json::json!(["app", "worker"]));
    let one = p.run(&["inspect", "oci:lapstrake-out:worker"]).ok().stdout();
    assert!(one.starts_with("worker\n") && !one.contains("also"), "{one}");
    assert!(
        p.run(&["diff", "oci:lapstrake-out:app", "oci:lapstrake-out:worker"]).ok().stdout().starts_with("the same")
    );
    let told = p.run(&["diff", "lapstrake-out", "lapstrake-out"]).fails(2);
    assert!(told.contains("there are several images in lapstrake-out: app, worker, web"), "{told}");
}

/// Would fail if separators of lines, marks of direction or what is not seen came out of any form of output as they are.
#[test]
fn what_is_not_seen_is_shown_by_number_in_every_form() {
    let unseen =
        ['\u{85}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{feff}', '\u{e0041}'];
    let name = format!("a{}b", unseen.iter().collect::<String>());
    let project = Project::empty();
    project.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\".\"]\nto = \"/\"\n");
    project.write(&format!("ctx/{name}"), "x");
    let fit = |what: &str, text: &str| assert!(!text.contains(unseen), "{what}: {text:?}");
    fit("build", &project.run(&["build"]).ok().told());
    let run = project.run(&["inspect", "oci:lapstrake-out", "--files"]).ok();
    fit("text", &run.stdout());
    assert!(
        run.stdout().contains(r"a\u{85}\u{ad}\u{200b}\u{202e}\u{2028}\u{2029}\u{2066}\u{feff}\u{e0041}b"),
        "{}",
        run.stdout()
    );
    let run = project.run(&["inspect", "oci:lapstrake-out", "--files", "--json"]).ok();
    fit("JSON", &run.stdout());
    let told: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(told[0]["images"][0]["files"][0]["path"], format!("/{name}"), "and still says the same");
    let place = format!("oci:{name}");
    let told = project.run(&["build", "--progress", "json", "-o", &place]).told();
    fit("progress", &told);
    assert!(told.contains(r"\u202e"), "it tells of the place: {told}");
}

/// Would fail if what is told of each file were held in memory until all is told.
#[test]
fn very_many_files_are_told_of_in_little_memory() {
    let mut tar = Tar::new();
    for number in 0..100_000 {
        tar = tar.file(&format!("directory-{:03}/a-file-with-some-name-{number:06}", number % 500), 0o644, "");
    }
    let project = Project::empty();
    let mut base = Base::of(tar.end());
    base.layers[0].1 = Stored::Plain;
    base.layout(&project.path("many"));
    for more in ["", "--json"] {
        // Everything that the process writes to but its files, in KiB: 160 MiB.
        let script = "ulimit -d 163840; exec \"$0\" inspect oci:many --files $1";
        let run = project.end(project.wrapped("sh", &["-c", script, BINARY, more], &[])).ok();
        assert!(run.stdout().lines().count() > 100_000);
        assert!(run.stdout().contains("/directory-499/a-file-with-some-name-099999"));
    }
}
