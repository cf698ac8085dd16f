//! A runner with an empty disk: what was pushed before is found by its keys, and only what changed is made and sent.

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::Project;
use super::wheel::Wheel;

/// A base of packages and wheels that is not published, and two services on it.
fn services(registry: &FakeRegistry) -> String {
    format!(
        r#"
[defaults]
repository = "{}/team/{{image}}"
tags = ["latest", "v1"]

[users.appuser]
uid = 10001
gid = 10001

[images.system]
from = "scratch"
publish = false
[[images.system.layers]]
name = "packages"
debian = ["base-passwd", "tool"]

[images.base]
from = "system"
publish = false
users = ["appuser"]
owner = "appuser"
workdir = "/app"
[[images.base.layers]]
name = "dependencies"
python = {{ requirements = "requirements.txt", target = "/site", version = "3.12" }}
[[images.base.layers]]
copy = ["common"]

[images.app]
from = "base"
[[images.app.layers]]
copy = ["app"]

[images.api]
from = "base"
[[images.api.layers]]
copy = ["api"]
"#,
        registry.name()
    )
}

fn project(registry: &FakeRegistry) -> Mirrored {
    let passwd = Deb::new("base-passwd", "3.6")
        .file("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n")
        .file("usr/share/base-passwd/group.master", "root:*:0:\n");
    let mut m = Mirrored::with([passwd, Deb::new("tool", "1").program("usr/bin/tool", "#!/usr/bin/tool\n")]);
    let six = Wheel::new("six", "1.17.0").file("six.py", "x = 1\n");
    m.index.add(&six).publish();
    m.project.write("ctx/requirements.txt", format!("six==1.17.0 --hash=sha256:{}\n", six.sha256()));
    for (path, text) in [("common/util.py", "one\n"), ("app/main.py", "app\n"), ("api/main.py", "api\n")] {
        m.project.write(&format!("ctx/{path}"), text);
    }
    m.project.write("ctx/common/start.sh", "#!/usr/bin/tool\n").chmod("ctx/common/start.sh", 0o755);
    m.recipe(&services(registry));
    m.lock(&[]);
    m
}

fn push(m: &Mirrored, cache: &str) -> Vec<String> {
    m.run(&["build", "--push", "--locked", "--cache-dir", cache]).ok().digests()
}

#[test]
fn one_changed_file_costs_a_manifest_and_a_small_layer() {
    let registry = FakeRegistry::plain();
    let m = project(&registry);
    let before = push(&m, "first");
    m.project.write("ctx/app/main.py", "changed\n");
    registry.clear_log();
    m.server.clear_log();
    let run = m.run(&["build", "--push", "--locked", "--cache-dir", "empty"]).ok();
    let (after, told) = (run.digests(), run.told());
    assert_eq!(registry.violations(), Vec::<String>::new());
    let log = registry.lines();
    assert_eq!(m.server.log().len(), 0, "no package, no wheel, no index: {:?}", m.server.log());
    assert_eq!(registry.count("GET", "/blobs/"), 0, "no blob comes here: {told}\n{log:#?}");
    let of = |image: &str| log.iter().filter(|line| line.contains(&format!("/team/{image}/"))).count();
    assert!(of("app") <= 12, "{log:#?}");
    // One look for each tag, and the manifest.
    assert!(of("api") <= 3, "{log:#?}");
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
    // The same as with nothing to reuse.
    let anew = m.digests_of("anew", &["--locked"]);
    assert_eq!(after, anew);
    assert_eq!(m.digests_of("anew", &["--locked", "--no-cache"]), anew);
}

/// What a lock knows may be of other layers: a layer below changed since, or another version of the program wrote it.
#[test]
fn layers_that_the_lock_does_not_know_are_told_of() {
    let registry = FakeRegistry::plain();
    let m = project(&registry);
    let before = push(&m, "first");
    let mut lock: lapstrake::lock::Lock = m.locked().parse().expect("a lock");
    let run = |cache: &str| m.run(&["build", "--push", "--locked", "--cache-dir", cache]).ok();
    let untold = run("empty");
    assert!(!untold.told().contains("lock again"), "{}", untold.told());
    let other = lapstrake::oci::Digest::of(b"other layers");
    lock.views.iter_mut().for_each(|view| view.knowledge[0] = format!("layers {other}"));
    m.project.write("lapstrake.lock", lock.text());
    let told = run("emptier");
    assert!(
        told.told().contains("system: the layer `packages` is read") && told.told().contains("lock again"),
        "{}",
        told.told()
    );
    assert_eq!((told.digests(), untold.digests()), (before.clone(), before));
    // Nothing is told where it costs nothing.
    assert!(!run("emptier").told().contains("lock again"));
    m.lock(&[]);
    assert!(!run("emptiest").told().contains("lock again"));
}

/// Packages and certificates on packages of this recipe, in the same image or below it: of layers that were pushed no blob
/// comes here, though what stands on them changed, and the images are those of a machine that has everything. Fails where the
/// lock does not tell what is asked of them, or where it plays a part whose files are read.
#[test]
fn what_stands_on_packages_needs_no_blob_of_them() {
    let registry = FakeRegistry::plain();
    let name = registry.name();
    let m = super::pinned_bases::with_debian();
    let base = super::pinned_bases::push_debian(&m, &registry);
    let system = format!("name = \"system\"\ndebian = {}\n", super::pinned_bases::SYSTEM);
    for (what, more) in super::pinned_bases::asking() {
        // In one image, and on a base of somebody else, what plays a part is the same.
        let all = matches!(what, "a directory of libraries" | "certificates alone" | "one after the other");
        for under in ["image", "layer", "base"].into_iter().take(if all { 3 } else { 1 }) {
            let id = format!("{}-{under}", what.replace(' ', "-"));
            let app = |layers: &str| match under {
                "image" => m.recipe(&format!(
                    "[images.system]\nfrom = \"scratch\"\npublish = false\n[[images.system.layers]]\n{system}\
                     [images.app]\nfrom = \"system\"\nrepository = \"{name}/team/{id}\"\n{layers}"
                )),
                "layer" => m.recipe(&format!(
                    "[images.app]\nfrom = \"scratch\"\nrepository = \"{name}/team/{id}\"\n\
                     [[images.app.layers]]\n{system}{layers}"
                )),
                _ => m.recipe(&format!(
                    "[images.app]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/{id}\"\n\
                     [[images.app.layers]]\nname = \"more\"\ndebian = [\"tools\"]\n{layers}"
                )),
            };
            let cache = |number: u32| format!("cache-{id}-{number}");
            let _ = std::fs::remove_file(m.project.path("lapstrake.lock"));
            app("[[images.app.layers]]\nfiles = { \"/first\" = \"\" }\n");
            m.lock(&["--cache-dir", &cache(1)]);
            m.run(&["build", "--push", "--locked", "--cache-dir", &cache(1)]).ok();
            app(&more);
            // The lock knows what was asked before, and the build finds out the rest.
            let from = format!("{name}/team/{id}:latest");
            let output = format!("oci:out-{id}");
            let first =
                m.run(&["build", "--cache-from", &from, "-o", &output, "--cache-dir", &cache(5)]).ok().digests();
            m.lock(&["--cache-dir", &cache(1)]);
            let lock = m.locked();
            registry.clear_log();
            let run = m.run(&["build", "--push", "--locked", "--cache-dir", &cache(2)]).ok();
            let (digests, told) = (run.digests(), run.told());
            // The config of a base may be looked at.
            let configs = usize::from(under == "base");
            assert_eq!(registry.count("GET", "/blobs/"), configs, "{id}: {told}\n{:#?}", registry.lines());
            assert_eq!(super::pinned_bases::read(&registry, &base), [""; 0], "{id}: {told}");
            assert_eq!(digests, first, "{id}");
            // The same over layers that are looked into, and where everything is made; and the same lock.
            assert_eq!(m.digests_of(&cache(1), &["--locked"]), digests, "{id}");
            assert_eq!(m.digests_of(&cache(3), &["--locked", "--no-cache"]), digests, "{id}");
            std::fs::remove_file(m.project.path("lapstrake.lock")).unwrap();
            assert_eq!(m.digests_of(&cache(4), &[]), digests, "{id}");
            assert_eq!(m.locked(), lock, "{id}: what `build` learns is what `lock` learns");
        }
    }
}

#[test]
fn what_is_gone_from_the_registry_is_built_and_sent() {
    let registry = FakeRegistry::plain();
    let m = project(&registry);
    push(&m, "first");
    m.digests_of("first", &["--locked"]);
    let image = m.project.layout("out-first").image(&format!("{}/team/app:v1", registry.name()));
    let dependencies = image.layer_digests()[2].clone();
    m.project.write("ctx/app/main.py", "changed\n");
    registry.remove_blob("team/app", &dependencies);
    let told = m.run(&["build", "app", "--push", "--locked", "--cache-dir", "empty"]).ok().told();
    assert!(told.contains("is gone from there"), "{told}");
    assert!(registry.blob("team/app", &dependencies).is_some());
}

#[test]
fn layers_are_taken_from_where_one_says_and_only_there() {
    let registry = FakeRegistry::plain();
    let m = project(&registry);
    let first = push(&m, "first");
    m.server.clear_log();
    let from = format!("{}/team/app:v1", registry.name());
    let build = |cache: &str, more: &[&str]| {
        let arguments = [&["build", "app", "-o", "oci:out", "--locked", "--cache-dir", cache], more].concat();
        m.run(&arguments).ok()
    };
    assert_eq!(build("empty", &["--cache-from", &from]).digests(), first[..1]);
    assert_eq!(m.server.log().len(), 0);
    registry.clear_log();
    assert_eq!(build("other", &[]).digests(), first[..1]);
    assert_eq!(registry.log().len(), 0, "no registry is asked that nobody named: {:?}", registry.lines());
    let told = build("third", &["--cache-from", &format!("{}/team/none:v1", registry.name())]).told();
    assert!(told.contains("no layers are taken from there"), "{told}");
    // A layout of the machine is as good.
    m.server.clear_log();
    assert_eq!(build("fourth", &["--cache-from", "oci:out"]).digests(), first[..1]);
    assert_eq!(m.server.log().len(), 0);
}

#[test]
fn what_was_pushed_is_compared_where_one_asks_for_it() {
    let registry = FakeRegistry::plain();
    let m = project(&registry);
    push(&m, "first");
    m.run(&["build", "--push", "--locked", "--verify-cache", "--cache-dir", "empty"]).ok();
    // Somebody gives the layer of one service the key of another's.
    let tag = registry.tag("team/app", "latest").expect("a tag");
    let manifest = String::from_utf8(registry.manifest("team/app", &tag).expect("a manifest")).expect("text");
    let other = registry.tag("team/api", "latest").expect("a tag");
    let other = String::from_utf8(registry.manifest("team/api", &other).expect("a manifest")).expect("text");
    let key = |manifest: &str| {
        let parsed: serde_json::Value = serde_json::from_str(manifest).expect("JSON");
        let layers = parsed["layers"].as_array().expect("layers").clone();
        layers.last().expect("a layer")["annotations"]["dev.lapstrake.layer.key"].as_str().expect("a key").to_owned()
    };
    let false_one = manifest.replace(&key(&manifest), &key(&other));
    registry.put_manifest(
        "team/app",
        Some("latest"),
        "application/vnd.oci.image.manifest.v1+json",
        false_one.as_bytes(),
    );
    let from = format!("{}/team/app:latest", registry.name());
    let arguments = ["build", "api", "-o", "oci:out", "--locked", "--cache-dir", "third", "--cache-from", &from];
    let told = m.run(&[&arguments[..], &["--verify-cache"]].concat()).fails(6);
    assert!(told.contains("do not trust"), "{told}");
}

/// Where every tag says the commit, a runner with an empty disk finds nothing, and is told why.
#[test]
fn tags_of_the_commit_alone_are_told_of() {
    let registry = FakeRegistry::plain();
    let name = registry.name();
    let project = |tags: &str| {
        let project = Project::empty();
        project.recipe(&format!(
            "[images.app]\nfrom = \"scratch\"\nrepository = \"{name}/team/app\"\ntags = [{tags}]\n[[images.app.layers]]\ncopy = [\"a\"]\nto = \"/\"\n"
        ));
        project.write("ctx/a", "a");
        project
    };
    let told = project("\"{git.short:-dev}\"").run(&["build", "--push"]).ok().told();
    assert!(told.contains("keep a tag"), "{told}");
    let told = project("\"{git.short:-dev}\", \"main\"").run(&["build", "--push"]).ok().told();
    assert!(!told.contains("keep a tag"), "{told}");
}

/// Layers are on their way before the build is done, once for all repositories of a registry, and what fails leaves no image.
#[test]
fn large_layers_are_sent_before_the_push() {
    let registry = FakeRegistry::plain();
    let noise: Vec<u8> = (0..2_u64 << 20).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let image = |name: &str| {
        let head = format!("[images.{name}]\nfrom = \"scratch\"\nrepository = \"{}/team/{name}\"\n", registry.name());
        format!("{head}compression = \"none\"\n[[images.{name}.layers]]\ncopy = [\"noise\"]\nto = \"/\"\n")
    };
    let project = Project::new(&format!("{}{}", image("one"), image("two")));
    project.write("ctx/noise", noise);
    project.run(&["build", "--push", "--no-cache"]).ok();
    assert_eq!(registry.violations(), [""; 0]);
    let log = registry.lines();
    let first = |method: &str, part: &str| {
        log.iter()
            .position(|line| line.starts_with(method) && line.contains(part))
            .unwrap_or_else(|| panic!("{log:#?}"))
    };
    assert!(first("PUT", "/blobs/uploads/") < first("HEAD", "/manifests/"), "{log:#?}");
    // The layer and the config, each sent to one repository and mounted into the other.
    assert_eq!(log.iter().filter(|line| line.contains("mount=")).count(), 2, "{log:#?}");
    // A second layer that cannot be made.
    project.write("ctx/noise", vec![7; 2 << 20]);
    project.recipe(&(image("one") + "[[images.one.layers]]\ncopy = [\"missing\"]\nto = \"/\"\n"));
    registry.clear_log();
    project.run(&["build", "--push", "--no-cache"]).fails(3);
    assert_eq!(registry.count("PUT", "/manifests/"), 0);
    // What is there already is not asked for.
    project.recipe(&image("one"));
    project.run(&["build", "--push"]).ok();
    registry.clear_log();
    project.run(&["build", "--push"]).ok();
    assert_eq!(registry.lines().len(), 1, "{:#?}", registry.lines());
}
