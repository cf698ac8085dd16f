//! `verify`: what was pushed is what the recipe makes, or it is said what is not.

use lapstrake::oci::Digest;
use serde_json::Value;

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::Project;

const APP: &str = r#"
[images.app]
repository = "REGISTRY/team/app"
tags = ["latest", "1"]
from = "scratch"
env = { PORT = "8080" }
[[images.app.layers]]
name = "libraries"
copy = ["lib"]
to = "/lib"
[[images.app.layers]]
name = "code"
copy = ["app"]
to = "/"
"#;

fn project(registry: &FakeRegistry) -> Project {
    let project = Project::empty();
    project.recipe(&recipe(registry));
    project.write("ctx/lib/one", "one").write("ctx/app/main.py", "main");
    project
}

fn recipe(registry: &FakeRegistry) -> String {
    APP.replace("REGISTRY", &registry.name())
}

#[test]
fn what_was_pushed_is_made_again_and_is_the_same() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    let pushed = project.run(&["build", "--push"]).ok().digests();
    registry.clear_log();
    let lines = project.run(&["verify", "--cache-dir", "empty"]).ok().lines();
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.name());
    let expected = ["latest", "1"]
        .map(|tag| vec!["app".to_owned(), "-".to_owned(), pushed[0].clone(), name(tag), "the same".to_owned()]);
    assert_eq!(lines, expected);
    assert_eq!(registry.count("PUT", "") + registry.count("POST", "") + registry.count("PATCH", ""), 0);
    assert_eq!(registry.count("GET", "/blobs/"), 1, "the config, and no layer: {:?}", registry.lines());
    assert!(!project.path("lapstrake-out").exists() && !project.path("lapstrake.lock").exists());
}

/// Would fail if a layer were believed by the key that its descriptor carries: whoever pushed it could write any.
#[test]
fn a_layer_with_the_right_key_and_other_files_is_found_out() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push"]).ok();
    let honest = registry.tag("team/app", "latest").expect("a tag");
    let honest: Value =
        serde_json::from_slice(&registry.manifest("team/app", &honest).expect("a manifest")).expect("JSON");
    // Another is pushed, and its layer is given the key of the first.
    project.write("ctx/app/main.py", "evil");
    project.run(&["build", "--push"]).ok();
    let digest = registry.tag("team/app", "latest").expect("a tag");
    let mut forged: Value =
        serde_json::from_slice(&registry.manifest("team/app", &digest).expect("a manifest")).expect("JSON");
    let key = "dev.lapstrake.layer.key";
    forged["layers"][1]["annotations"][key] = honest["layers"][1]["annotations"][key].clone();
    let media_type = forged["mediaType"].as_str().expect("a type").to_owned();
    registry.put_manifest("team/app", Some("latest"), &media_type, forged.to_string().as_bytes());
    project.write("ctx/app/main.py", "main");
    let run = project.run(&["verify", "-t", "latest"]).code(6);
    assert_eq!(run.lines()[0][4], "different");
    let told = run.told();
    assert!(told.contains("is not what the recipe makes of app: /app/main.py differs: contents"), "{told}");
}

#[test]
fn the_first_difference_is_told_in_words() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push"]).ok();
    project.recipe(&recipe(&registry).replace("8080", "9090"));
    let told = project.run(&["verify"]).code(6).told();
    assert!(told.contains("team/app:latest is not what the recipe makes of app: env PORT: 8080 → 9090\n"), "{told}");
    assert!(told.contains("team/app:1 is not"), "{told}");
    project.recipe(&recipe(&registry));
    let told = project.run(&["verify", "--label", "a=b"]).code(6).told();
    assert!(told.contains("label a is new: b"), "{told}");
    let told = project.run(&["verify", "--source-date-epoch", "1700000000"]).code(6).told();
    assert!(told.contains("date: 1980-01-02T00:00:00Z → 2023-11-14T22:13:20Z"), "{told}");
    project.write("ctx/lib/two", "two");
    let run = project.run(&["verify", "--json"]).code(6);
    let value: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!((&value[0]["name"], &value[0]["same"]), (&"app".into(), &false.into()));
    let files = &value[0]["against"][0]["platforms"][0]["files"];
    assert_eq!((&files[0]["path"], &files[0]["status"]), (&"/lib/lib/two".into(), &"added".into()));
}

#[test]
fn a_tag_that_is_not_there_is_an_error_before_anything_is_built() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push", "-t", "latest"]).ok();
    let told = project.run(&["verify"]).fails(5);
    assert!(told.contains("team/app:1` is not in the registry") && told.contains("--push"), "{told}");
    assert!(!told.contains("compress"), "{told}");
    project.run(&["verify", "-t", "latest"]).ok();
    project.run(&["verify", "ap"]).fails(2);
    project.recipe("[images.app]\nfrom = \"scratch\"\n");
    project.write("lapstrake.toml", "recipe = 1\n[project]\nname = \"x\"\n[images.app]\nfrom = \"scratch\"\n");
    let told = project.run(&["verify"]).fails(2);
    assert!(told.contains("no repository") && told.contains("--against"), "{told}");
}

#[test]
fn any_place_is_compared_with() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build"]).ok();
    project.run(&["copy", "oci:lapstrake-out", "docker-archive:x.tar"]).ok();
    project.run(&["verify", "--against", "lapstrake-out"]).ok();
    project.run(&["verify", "--against", "docker-archive:x.tar"]).ok();
    project.write("ctx/app/main.py", "other");
    let told = project.run(&["verify", "--against", "docker-archive:x.tar"]).code(6).told();
    assert!(told.contains("/app/main.py differs: contents"), "{told}");
    project.run(&["verify", "--against", "oci:nowhere"]).fails(1);
    // Of several, each is held to the one of its name, and never to another.
    project.write("ctx/app/main.py", "main");
    project
        .recipe(&format!("{}[images.more]\nrepository = \"r.example.com/more\"\nfrom = \"app\"\n", recipe(&registry)));
    let told = project.run(&["verify", "--against", "docker-archive:x.tar"]).fails(1);
    assert!(told.contains("there is no image `more`"), "{told}");
    // Where a build wrote to is never copied, as it was not then.
    project.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\".\"]\nto = \"/\"\n");
    project.run(&["build", "-o", "oci:out"]).ok();
    project.run(&["verify", "--against", "oci:out"]).ok();
    std::fs::rename(project.path("out"), project.path("ctx/out")).expect("renaming");
    let told = project.run(&["verify", "--against", "oci:ctx/out"]).fails(3);
    assert!(told.contains("would copy an output"), "{told}");
    assert!(registry.lines().is_empty());
}

#[test]
fn platforms_are_verified_one_by_one() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push", "--platform", "linux/amd64,linux/arm64"]).ok();
    project.run(&["verify", "--platform", "linux/arm64"]).ok();
    project.run(&["verify", "--platform", "linux/amd64,linux/arm64"]).ok();
    let told = project.run(&["verify"]).code(6).told();
    assert!(told.contains("latest has linux/arm64"), "{told}");
}

#[test]
fn the_lock_is_used_as_it_is() {
    let mut m = Mirrored::with([Deb::new("tool", "1").program("usr/bin/tool", "one\n")]);
    m.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"tool\"]\n");
    let told = m.run(&["verify", "--against", "oci:out"]).fails(1);
    assert!(told.contains("out"), "{told}");
    m.lock(&[]);
    m.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let lock = m.locked();
    m.run(&["verify", "--against", "oci:out"]).ok();
    // A newer one that nobody locked plays no part.
    m.archive.add("trixie", Deb::new("tool", "2").program("usr/bin/tool", "two\n")).publish();
    m.run(&["verify", "--against", "oci:out"]).ok();
    m.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"tool\", \"other\"]\n");
    m.run(&["verify", "--against", "oci:out"]).fails(4);
    assert_eq!(m.locked(), lock);
    m.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"tool\"]\n");
    m.lock(&["--update"]);
    let told = m.run(&["verify", "--against", "oci:out"]).code(6).told();
    assert!(told.contains("debian tool 1 → 2"), "{told}");
    std::fs::remove_file(m.project.path("lapstrake.lock")).expect("the lock");
    let told = m.run(&["verify", "--against", "oci:out"]).fails(4);
    assert!(told.contains("lapstrake.lock is not there"), "{told}");
}

/// Would fail if only what an index lists were compared: the tag has another digest than the image that is made.
#[test]
fn an_index_around_the_same_manifest_is_not_the_same() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push", "-t", "latest"]).ok();
    let digest = registry.tag("team/app", "latest").expect("a tag");
    let bytes = registry.manifest("team/app", &digest).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": manifest["mediaType"],
            "digest": digest,
            "size": bytes.len(),
            "platform": { "os": "linux", "architecture": "amd64" },
        }],
    });
    let name = format!("{}/team/app:latest", registry.name());
    project.run(&["copy", &name, "oci:plain"]).ok();
    let media_type = "application/vnd.oci.image.index.v1+json";
    registry.put_manifest("team/app", Some("latest"), media_type, index.to_string().as_bytes());
    let told = project.run(&["verify", "-t", "latest"]).code(6).told();
    assert!(told.contains("manifest: [DIGEST], an index around it → [DIGEST]"), "{told}");
    project.run(&["diff", "oci:plain", &name]).code(6);
    project.run(&["verify", "-t", "latest", "--platform", "linux/amd64"]).ok();
}

/// Would fail if a layer were taken for the same since the config, which nobody changed, says so.
#[test]
fn another_blob_under_the_same_config_is_found_out() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build", "--push", "-t", "latest"]).ok();
    project.run(&["build"]).ok();
    let manifest = |tag: &str| -> Value {
        let digest = registry.tag("team/app", tag).expect("a tag");
        serde_json::from_slice(&registry.manifest("team/app", &digest).expect("a manifest")).expect("JSON")
    };
    let honest = manifest("latest");
    project.write("ctx/app/main.py", "evil");
    project.run(&["build", "--push", "-t", "other", "-o", "oci:evil"]).ok();
    let put = |forged: &Value| {
        let media_type = forged["mediaType"].as_str().expect("a type");
        registry.put_manifest("team/app", Some("latest"), media_type, forged.to_string().as_bytes());
    };
    let mut forged = honest.clone();
    forged["layers"][1] = manifest("other")["layers"][1].clone();
    put(&forged);
    project.write("ctx/app/main.py", "main");
    let name = format!("{}/team/app:latest", registry.name());
    for arguments in [&["verify", "-t", "latest"][..], &["diff", "oci:lapstrake-out", &name]] {
        let told = project.run(arguments).fails(1);
        assert!(told.contains("and the image's config says"), "{told}");
    }
    let told = project.run(&["explain", "--against", &name]).ok().stdout();
    assert!(told.contains("what changed is not known") && !told.contains("the same files"), "{told}");
    // One layer more than the config knows.
    let mut forged = honest;
    let more = forged["layers"][1].clone();
    forged["layers"].as_array_mut().expect("layers").push(more);
    put(&forged);
    for arguments in [&["verify", "-t", "latest"][..], &["explain", "--against", &name]] {
        let told = project.run(arguments).fails(1);
        assert!(told.contains("3 layers") && told.contains("diff IDs of 2"), "{told}");
    }
}

/// Would fail if what the cache remembers of a layer were believed: whoever wrote it there could say anything.
#[test]
fn what_is_remembered_of_a_layer_is_not_believed() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build"]).ok();
    project.write("ctx/app/main.py", "evil");
    project.run(&["build", "-o", "oci:evil"]).ok();
    project.write("ctx/app/main.py", "main");
    let run = project.run(&["diff", "oci:evil", "oci:lapstrake-out", "--json"]).code(6);
    let told: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let layers = told["platforms"][0]["layers"].as_array().expect("layers");
    let changed = layers.iter().find(|layer| layer["status"] == "changed").expect("a layer that changed");
    let record = |side: &str| {
        let raw = |key: &str| {
            let digest: Digest = changed[side][key].as_str().and_then(|text| text.parse().ok()).expect("a digest");
            digest.raw().to_vec()
        };
        let name = Digest::of(&[raw("digest"), raw("diff_id")].concat()).hex();
        project.path("home/.cache/lapstrake").join("contents-v1").join(name)
    };
    // The layer with other files is remembered as the one that the recipe makes.
    let honest = std::fs::read(record("second")).expect("what is remembered");
    assert_ne!(std::fs::read(record("first")).expect("what is remembered"), honest);
    std::fs::write(record("first"), honest).expect("writing");
    let told = project.run(&["diff", "oci:evil", "oci:lapstrake-out"]).code(6).stdout();
    assert!(!told.contains("main.py"), "the cache is believed here: {told}");
    let told = project.run(&["verify", "--against", "oci:evil"]).code(6).told();
    assert!(told.contains("/app/main.py differs: contents"), "{told}");
}

/// Would fail if files of a place on this machine were taken for what their names say.
#[test]
fn a_layout_with_other_bytes_under_the_same_digests_is_not_the_same() {
    let registry = FakeRegistry::plain();
    let project = project(&registry);
    project.run(&["build"]).ok();
    project.run(&["verify", "--against", "oci:lapstrake-out"]).ok();
    project.run(&["copy", "oci:lapstrake-out", "oci:copy"]).ok();
    let run = project.run(&["inspect", "oci:copy", "--json"]).ok();
    let told: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let digest = told[0]["images"][0]["layers"][1]["digest"].as_str().expect("a digest").to_owned();
    let file = project.path("copy/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut bytes = std::fs::read(&file).expect("the blob");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::remove_file(&file).expect("removing");
    std::fs::write(&file, bytes).expect("writing");
    let told = project.run(&["verify", "--against", "oci:copy"]).fails(1);
    assert!(told.contains("reading layer"), "{told}");
    assert!(!told.contains("the same"), "{told}");
}
