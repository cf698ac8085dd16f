//! `diff`: what differs between two images is told, down to the files, and what does not is not read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::{Base, Project, Run, Stored, Tar};
use super::wheel::Wheel;

const APP: &str = r#"
[images.app]
from = "scratch"
env = { PORT = "8080", ROLE = "web" }
labels = { team = "x" }
user = "1:1"
[[images.app.layers]]
name = "libraries"
copy = ["lib"]
to = "/lib"
[[images.app.layers]]
name = "code"
copy = ["app"]
to = "/"
symlinks = { "/current" = "app/main.py" }
caps = { "/app/run.sh" = "cap_net_raw=ep" }
"#;

/// Built into `oci:one`.
fn project() -> Project {
    let project = Project::new(APP);
    for path in ["lib/one", "lib/two", "app/main.py", "app/old.py", "app/run.sh"] {
        project.write(&format!("ctx/{path}"), path);
    }
    project.run(&["build", "-o", "oci:one"]).ok();
    project
}

/// Something of everything is another; built into `oci:two`.
fn changed(project: &Project) {
    project.recipe(
        &APP.replace("8080", "9090")
            .replace("ROLE = \"web\"", "MORE = \"1\"")
            .replace("team = \"x\"", "team = \"y\"")
            .replace("user = \"1:1\"", "user = \"2:2\"\nentrypoint = [\"/app/run.sh\"]")
            .replace("\"app/main.py\"", "\"app/new.py\"")
            .replace("cap_net_raw", "cap_chown"),
    );
    project.write("ctx/app/main.py", "other").write("ctx/app/new.py", "new").chmod("ctx/app/main.py", 0o755);
    std::fs::remove_file(project.path("ctx/app/old.py")).expect("the file");
    project.run(&["build", "-o", "oci:two"]).ok();
}

fn read(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// Standard output without digests.
fn told(run: Run) -> String {
    let digest = regex::Regex::new("sha256:[0-9a-f]+").expect("a pattern");
    digest.replace_all(&run.stdout(), "[DIGEST]").into_owned()
}

#[test]
fn settings_layers_and_files_that_differ_are_named() {
    let project = project();
    changed(&project);
    let run = project.run(&["diff", "oci:one", "oci:two"]).code(6);
    assert_eq!(run.told(), "error[L1102]: oci:one and oci:two differ in 12 things\n");
    insta::assert_snapshot!(told(run), @r#"
    - oci:one  [DIGEST]
    + oci:two  [DIGEST]
    linux/amd64
      config
        entrypoint is new: ["/app/run.sh"]
        env MORE is new: 1
        env PORT: 8080 → 9090
        env ROLE is gone: web
        label team: x → y
        user: 1:1 → 2:2
      layers    1 the same, 1 changed; 424 B → 429 B (+5 B)
        changed       code: copy app, symlinks /current, caps /app/run.sh, to /  274 B → 279 B
      files     1 added, 1 removed, 3 changed
        ~ /app/main.py  contents (11 B → 5 B), mode 0644 → 0755
        + /app/new.py  3 B
        - /app/old.py  10 B
        ~ /app/run.sh  capabilities cap_net_raw=ep → cap_chown=ep
        ~ /current  target app/main.py → app/new.py
    "#);
    let same = project.run(&["diff", "oci:one", "oci:one"]).ok();
    assert!(same.stdout().starts_with("the same\tsha256:"), "{}", same.stdout());
    // The other way round what came has gone.
    let back = told(project.run(&["diff", "two", "one"]).code(6));
    assert!(back.contains("- /app/new.py") && back.contains("+ /app/old.py"), "{back}");
}

#[test]
fn all_of_it_as_json() {
    let project = project();
    changed(&project);
    let value = read(&project.run(&["diff", "oci:one", "oci:two", "--json"]).code(6));
    assert_eq!(value["same"], false);
    assert_eq!(value["first"]["place"], "oci:one");
    let image = &value["platforms"][0];
    assert_eq!(image["platform"], "linux/amd64");
    assert!(image["first"]["size"].as_u64().is_some_and(|size| size > 0));
    let config = image["config"].as_array().expect("a list");
    assert!(config.contains(&json!({ "of": "env PORT", "first": "8080", "second": "9090" })), "{config:?}");
    assert!(config.contains(&json!({ "of": "env ROLE", "first": "web", "second": null })), "{config:?}");
    assert!(
        config.contains(&json!({ "of": "entrypoint", "first": null, "second": "[\"/app/run.sh\"]" })),
        "{config:?}"
    );
    let statuses: Vec<&Value> =
        image["layers"].as_array().expect("a list").iter().map(|layer| &layer["status"]).collect();
    assert_eq!(statuses, ["same", "changed"]);
    let files: BTreeMap<&str, &Value> = image["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (file["path"].as_str().expect("a path"), file))
        .collect();
    assert_eq!(
        files.iter().map(|(path, file)| (*path, file["status"].as_str().expect("a word"))).collect::<Vec<_>>(),
        [
            ("/app/main.py", "changed"),
            ("/app/new.py", "added"),
            ("/app/old.py", "removed"),
            ("/app/run.sh", "changed"),
            ("/current", "changed")
        ]
    );
    assert_eq!(files["/app/main.py"]["how"], json!(["contents", "mode 0644 → 0755"]));
    assert_eq!(files["/app/main.py"]["second"]["size"], 5);
    assert_eq!(files["/app/run.sh"]["second"]["capabilities"], "cap_chown=ep");
    assert_eq!(files["/current"]["first"]["target"], "app/main.py");
    let same = read(&project.run(&["diff", "oci:one", "oci:one", "--json"]).ok());
    assert_eq!((&same["same"], &same["platforms"][0]["files"]), (&json!(true), &json!([])));
    assert_eq!(same["platforms"][0]["same"], true);
}

#[test]
fn places_of_every_kind_are_compared() {
    let project = project();
    for place in ["oci-archive:one.tar", "archive:both.tar", "docker-archive:docker.tar", "oci:copied"] {
        project.run(&["copy", "oci:one", place]).ok();
        project.run(&["diff", "oci:one", place]).ok();
        project.run(&["diff", place, "one"]).ok();
    }
    changed(&project);
    for place in ["oci-archive:one.tar", "docker-archive:docker.tar"] {
        let text = told(project.run(&["diff", place, "oci:two"]).code(6));
        assert!(text.contains("~ /app/main.py  contents (11 B → 5 B), mode 0644 → 0755"), "{text}");
        assert!(text.contains("layers    1 the same, 1 changed"), "{text}");
        assert!(!text.contains("annotation"), "{text}");
    }
    // By the name that a place gives an image.
    project.recipe(&format!("{APP}[images.more]\nfrom = \"app\"\nenv = {{ MORE = \"x\" }}\n"));
    project.run(&["build", "-o", "archive:both.tar"]).ok();
    let told = project.run(&["diff", "archive:both.tar", "oci:two"]).fails(2);
    assert!(told.contains("several images") && told.contains("--image"), "{told}");
    let text = project.run(&["diff", "archive:both.tar:app", "archive:both.tar:more"]).code(6).stdout();
    assert!(text.contains("env MORE is new: x") && text.contains("2 the same"), "{text}");
    project.run(&["diff", "archive:both.tar", "both.tar", "--image", "more"]).ok();
    let told = project.run(&["diff", "archive:both.tar:none", "oci:two"]).fails(1);
    assert!(told.contains("none"), "{told}");
    project.run(&["diff", "oci:absent", "oci:two"]).fails(1);
    project.run(&["diff", "oci:two"]).fails(2);
}

#[test]
fn packages_are_named_with_their_versions() {
    let mut m = Mirrored::with([
        Deb::new("tool", "1").program("usr/bin/tool", "one\n"),
        Deb::new("other", "1").program("usr/bin/other", "one\n"),
    ]);
    let wheel = |version: &str| Wheel::new("Six.X", version).file("six.py", "x = 1\n");
    let (old, new) = (wheel("1.16.0"), wheel("1.17.0"));
    m.index.add(&old).add(&new).publish();
    let recipe = |debian: &str| {
        format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"packages\"\ndebian = [{debian}]\n\
             [[images.app.layers]]\nname = \"dependencies\"\npython = {{ requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }}\n"
        )
    };
    let build = |m: &Mirrored, debian: &str, version: &str, wheel: &Wheel, out: &str| {
        m.project.write("ctx/requirements.txt", format!("six.x=={version} --hash=sha256:{}\n", wheel.sha256()));
        m.recipe(&recipe(debian));
        m.lock(&["--update"]);
        m.run(&["build", "--locked", "-o", out]).ok();
    };
    build(&m, "\"tool\", \"other\"", "1.16.0", &old, "oci:one");
    m.archive.add("trixie", Deb::new("tool", "2").program("usr/bin/tool", "two\n")).publish();
    build(&m, "\"tool\"", "1.17.0", &new, "oci:two");
    let value = read(&m.project.run(&["diff", "oci:one", "oci:two", "--json"]).code(6));
    assert_eq!(
        value["platforms"][0]["packages"],
        json!([
            { "kind": "debian", "name": "other", "first": "1", "second": null },
            { "kind": "debian", "name": "tool", "first": "1", "second": "2" },
            { "kind": "python", "name": "six-x", "first": "1.16.0", "second": "1.17.0" },
        ])
    );
    let text = told(m.project.run(&["diff", "oci:one", "oci:two"]).code(6));
    assert!(
        text.contains("    debian  tool 1 → 2\n") && text.contains("    python  six-x 1.16.0 → 1.17.0\n"),
        "{text}"
    );
}

/// Whole images, as they are unpacked: a file that a second layer deletes is gone, wherever it was.
#[test]
fn layers_are_merged_before_they_are_compared() {
    let project = Project::empty();
    let lower = Tar::new().dir("etc/", 0o755, 0, 0).file("etc/a", 0o644, "a").file("etc/b", 0o644, "b").end();
    let mut one = Base::of(lower.clone());
    one.layers.push((Tar::new().file("etc/.wh.a", 0o644, "").file("etc/b", 0o600, "c").end(), Stored::Zstd));
    one.layout(&project.path("one"));
    // The same in one layer.
    Base::of(Tar::new().dir("etc/", 0o755, 0, 0).file("etc/b", 0o600, "c").end()).layout(&project.path("two"));
    let value = read(&project.run(&["diff", "oci:one", "oci:two", "--json"]).code(6));
    let image = &value["platforms"][0];
    assert_eq!((&image["files"], &image["config"]), (&json!([]), &json!([])));
    let fates = image["layers"].as_array().expect("layers").iter().map(|layer| layer["status"].as_str());
    assert_eq!(fates.collect::<Vec<_>>(), [Some("added"), Some("removed"), Some("removed")]);
    Base::of(lower).layout(&project.path("three"));
    let text = told(project.run(&["diff", "oci:three", "oci:one"]).code(6));
    assert!(text.contains("- /etc/a  1 B") && text.contains("~ /etc/b  contents, mode 0644 → 0600"), "{text}");
}

#[test]
fn indexes_are_compared_platform_by_platform() {
    let project = Project::empty();
    let base = |architecture: &str, text: &str| {
        let mut base = Base::of(Tar::new().file("x", 0o644, text).end());
        base.config["architecture"] = json!(architecture);
        base
    };
    Base::index(&[base("amd64", "same"), base("arm64", "one")], &project.path("one"));
    Base::index(&[base("amd64", "same"), base("arm64", "two"), base("s390x", "new")], &project.path("two"));
    let text = told(project.run(&["diff", "oci:one", "oci:two"]).code(6));
    assert!(text.contains("linux/amd64  the same\n"), "{text}");
    assert!(text.contains("linux/arm64\n  layers    1 changed"), "{text}");
    assert!(text.contains("linux/s390x  only in oci:two\n"), "{text}");
    project.run(&["diff", "oci:one", "oci:two", "--platform", "linux/amd64"]).ok();
    project.run(&["diff", "oci:one", "oci:two", "--platform", "linux/arm64"]).code(6);
    project.run(&["diff", "oci:one", "oci:two", "--platform", "linux/s390x"]).fails(1);
    project.run(&["diff", "oci:one", "oci:two", "--platform", "x"]).fails(2);
    let value = read(&project.run(&["diff", "oci:one", "oci:two", "--json"]).code(6));
    assert_eq!(value["platforms"][2]["first"], Value::Null);
}

/// Would fail if images of other digests were called the same where settings, packages and files are.
#[test]
fn what_differs_in_documents_alone_is_told_too() {
    let project = Project::empty();
    let mut base = Base::debian();
    base.config["history"] = json!([{ "created_by": "one" }]);
    base.layout(&project.path("one"));
    base.config["history"] = json!([{ "created_by": "two" }]);
    base.layout(&project.path("two"));
    let text = told(project.run(&["diff", "oci:one", "oci:two"]).code(6));
    assert!(text.contains("  documents\n    history line 1: one → two\n"), "{text}");
    base.layers[0].1 = Stored::Zstd;
    base.layout(&project.path("three"));
    let text = told(project.run(&["diff", "oci:two", "oci:three"]).code(6));
    assert!(text.contains("    recompressed  two  ") && !text.contains("documents"), "{text}");
    // The same to everybody, in a config that is written with another blank.
    let mut blobs = BTreeMap::new();
    let manifest = base.blobs(&mut blobs);
    let text = String::from_utf8(blobs[manifest["digest"].as_str().expect("a digest")].clone()).expect("text");
    let registry = FakeRegistry::plain();
    blobs.values().for_each(|bytes| drop(registry.put_blob("app", bytes)));
    let media_type = manifest["mediaType"].as_str().expect("a type");
    registry.put_manifest("app", Some("1"), media_type, text.as_bytes());
    registry.put_manifest("app", Some("2"), media_type, text.replacen('{', "{ ", 1).as_bytes());
    let [one, two] = ["1", "2"].map(|tag| format!("{}/app:{tag}", registry.name()));
    let text = told(project.run(&["diff", &one, &two]).code(6));
    assert!(text.contains("text of the manifest: [DIGEST] → [DIGEST]\n"), "{text}");
    // What is no image has no platform, and no files.
    let chart = |note: &str| {
        let empty = json!({ "mediaType": "application/vnd.x", "digest": registry.put_blob("app", b"{}"), "size": 2 });
        let oci = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": oci, "config": empty, "layers": [], "annotations": { "note": note },
        });
        registry.put_manifest("app", Some(note), oci, manifest.to_string().as_bytes());
        format!("{}/app:{note}", registry.name())
    };
    let (three, four) = (chart("three"), chart("four"));
    let text = told(project.run(&["diff", &three, &four]).code(6));
    assert!(text.contains("  manifest: [DIGEST] → [DIGEST]\n"), "{text}");
    project.run(&["diff", &three, &three]).ok();
}

/// Puts an image under a tag.
fn push(registry: &FakeRegistry, tag: &str, base: &Base) {
    let mut blobs = BTreeMap::new();
    let descriptor = base.blobs(&mut blobs);
    let text = |key: &str| descriptor[key].as_str().expect("a text").to_owned();
    for (name, bytes) in &blobs {
        if *name != text("digest") {
            registry.put_blob("team/app", bytes);
        }
    }
    registry.put_manifest("team/app", Some(tag), &text("mediaType"), &blobs[&text("digest")]);
}

/// Would fail if a layer were fetched of images that are the same, or one twice that both have.
#[test]
fn of_registries_layers_are_fetched_once_and_only_where_needed() {
    let registry = FakeRegistry::plain();
    let mut base = Base::debian();
    base.layers.push((Tar::new().file("x", 0o644, "one").end(), Stored::Gzip));
    push(&registry, "1", &base);
    push(&registry, "1-again", &base);
    base.config["config"] = json!({ "Env": ["A=1"] });
    push(&registry, "env", &base);
    base.layers[1].0 = Tar::new().file("x", 0o644, "two").end();
    push(&registry, "2", &base);
    let project = Project::empty();
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.name());
    let layers_fetched = || registry.count("GET", "/blobs/");
    project.run(&["diff", &name("1"), &name("1-again")]).ok();
    let configs = layers_fetched();
    assert!(configs <= 1, "{:?}", registry.lines());
    registry.clear_log();
    let text = told(project.run(&["diff", &name("1"), &name("env")]).code(6));
    assert!(text.contains("env A is new: 1") && text.contains("2 the same"), "{text}");
    assert!(layers_fetched() <= 2, "configs alone: {:?}", registry.lines());
    registry.clear_log();
    let text = told(project.run(&["diff", &name("1"), &name("2"), "--cache-dir", "empty"]).code(6));
    assert!(text.contains("~ /x  contents"), "{text}");
    assert_eq!(layers_fetched(), 2 + 3, "two configs, and three layers: {:?}", registry.lines());
    registry.clear_log();
    let again = told(project.run(&["diff", &name("1"), &name("2"), "--cache-dir", "empty"]).code(6));
    assert_eq!((again, layers_fetched()), (text, 0), "{:?}", registry.lines());
    let told = project.run(&["diff", &name("1"), &name("none")]).fails(5);
    assert!(told.contains("none` is not in the registry"), "{told}");
}

#[test]
fn many_files_are_counted_by_directory_and_all_are_named_on_request() {
    let project =
        Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"data\"]\nto = \"/\"\n");
    project.write("ctx/data/x", "x");
    project.run(&["build", "-o", "oci:one"]).ok();
    for number in 0..60 {
        project.write(&format!("ctx/data/many/f{number}"), "x");
    }
    project.write("ctx/data/x", "other").write("ctx/data/few/\u{1b}[31m", "x");
    project.run(&["build", "-o", "oci:two"]).ok();
    let text = project.run(&["diff", "oci:one", "oci:two"]).code(6).stdout();
    assert!(text.contains("  files     61 added, 1 changed\n"), "{text}");
    assert!(text.contains("    * /data/many/…  60 added\n") && text.contains("--all"), "{text}");
    assert!(text.contains(r"+ /data/few/\u{1b}[31m  1 B") && !text.contains('\u{1b}'), "{text}");
    let all = project.run(&["diff", "oci:one", "oci:two", "--all"]).code(6).stdout();
    assert_eq!(all.lines().filter(|line| line.starts_with("    + /data/many/f")).count(), 60);
    assert!(!all.contains("…"), "{all}");
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_layer() {
    let project = project();
    changed(&project);
    let layer = project.layout("two").image("app").layer_digests()[1].clone();
    let path = project.path("two/blobs/sha256").join(&layer[7..]);
    let mut bytes = std::fs::read(&path).expect("a blob");
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).expect("writing");
    let told = project.run(&["diff", "oci:one", "oci:two", "--cache-dir", "empty"]).fails(1);
    assert!(told.contains("reading layer [DIGEST]"), "{told}");
}
