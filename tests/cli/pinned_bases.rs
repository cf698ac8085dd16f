//! Bases and other images in a registry: pinned to digests, and not read where the lock knows enough of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::deb::Deb;
use super::fake_registry::{FakeRegistry, Fault, on};
use super::mirror::Mirrored;
use super::support::{Base, Project, Run, Stored, Tar};
use super::wheel::Wheel;

/// Puts a base under a tag; gives the digest of its manifest.
pub(crate) fn push(registry: &FakeRegistry, repository: &str, tag: &str, base: &Base) -> String {
    let mut blobs = BTreeMap::new();
    let descriptor = base.blobs(&mut blobs);
    let (digest, media) = (descriptor["digest"].as_str().unwrap(), descriptor["mediaType"].as_str().unwrap());
    for (name, bytes) in &blobs {
        match name == digest {
            true => drop(registry.put_manifest(repository, Some(tag), media, bytes)),
            false => drop(registry.put_blob(repository, bytes)),
        }
    }
    digest.to_owned()
}

/// A system, and one file that tells which it is.
fn base(version: &str) -> Base {
    let mut base = Base::debian();
    base.layers.push((Tar::new().dir("etc/", 0o755, 0, 0).file("etc/version", 0o644, version).end(), Stored::Gzip));
    base
}

fn recipe(registry: &FakeRegistry, more: &str) -> String {
    format!("[images.app]\nfrom = \"{}/library/base:1\"\n{more}", registry.name())
}

const FILES: &str = "[[images.app.layers]]\nfiles = { \"/lib/x\" = \"new\" }\n";

pub(crate) fn lock(project: &Project) -> String {
    std::fs::read_to_string(project.path("lapstrake.lock")).unwrap()
}

#[test]
fn a_tag_may_move_and_a_lock_does_not() {
    let registry = FakeRegistry::plain();
    let one = push(&registry, "library/base", "1", &base("one"));
    let project = Project::new(&recipe(&registry, FILES));
    let printed = project.run(&["lock"]).ok().stdout();
    assert!(printed.starts_with("+ image library/base:1 ") && printed.ends_with("(linux/amd64)\n"), "{printed}");
    let text = lock(&project);
    assert!(text.contains(&one) && text.contains("name     = \"library/base:1\""), "{text}");
    assert!(!text.contains(&registry.name()) && !text.contains("127.0.0.1"), "{text}");
    let two = push(&registry, "library/base", "1", &base("two"));
    assert_ne!(one, two);
    for more in [&["--locked"][..], &[], &["--no-cache"]] {
        assert_eq!(project.build_with(more).image("app").file("etc/version"), "one", "{more:?}");
    }
    assert_eq!(project.run(&["lock"]).ok().stdout(), "");
    assert_eq!(lock(&project), text);
    let printed = project.run(&["lock", "--update", "library/base:1"]).ok().stdout();
    assert!(printed.starts_with("~ image library/base:1 "), "{printed}");
    assert!(lock(&project).contains(&two));
    assert_eq!(project.build_with(&["--locked"]).image("app").file("etc/version"), "two");
    assert_eq!(registry.violations(), [""; 0]);
}

/// Would fail if of two builds that pin something at once, the later one threw away the pins of the other.
#[test]
fn a_lock_that_was_written_meanwhile_is_not_written_over() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base("one"));
    let project = Project::new(&recipe(&registry, FILES));
    project.run(&["lock"]).ok();
    let other = lock(&project).replace("library/base:1", "library/other:1");
    std::fs::remove_file(project.path("lapstrake.lock")).unwrap();
    registry.fault(on("GET", "/blobs/"), Fault::Stall(Duration::from_secs(2)));
    registry.clear_log();
    let mut build = project.command(&["build", "-o", "oci:out"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while registry.log().is_empty() {
        assert_eq!(build.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(5));
    }
    project.write("lapstrake.lock", &other);
    let done = build.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("was written while this build ran"), "{told}");
    assert_eq!(lock(&project), other);
}

/// What the image is called does not depend on whether it is pinned: neither does any byte.
#[test]
fn a_pinned_base_gives_the_same_bytes() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base("one"));
    let project = Project::new(&recipe(&registry, FILES));
    let build = |cache: &str, more: &[&str]| -> Run {
        project.run(&[&["build", "-o", "oci:out", "--cache-dir", cache], more].concat()).ok()
    };
    let implicit = build("cache-1", &[]);
    assert!(implicit.told().contains("there was no lock"), "{}", implicit.told());
    let locked = build("cache-2", &["--locked"]);
    assert_eq!(implicit.digests(), locked.digests());
    let image = project.layout("out").image("app");
    let annotations = &image.manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.base.name"], format!("{}/library/base:1", registry.name()));
    std::fs::remove_file(project.path("lapstrake.lock")).unwrap();
    project.run(&["lock", "--cache-dir", "cache-3"]).ok();
    assert_eq!(build("cache-3", &["--locked"]).digests(), implicit.digests());
}

/// A recipe that needs something of its base in every way there is.
fn demanding(registry: &FakeRegistry) -> String {
    format!(
        "[users.app]\nuid = 1001\ngroups = [\"video\"]\nhome = \"/srv/app\"\ncreate_home = true\n\
         [images.app]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/app\"\nusers = [\"app\"]\nuser = \"app\"\n\
         workdir = \"/opt/app\"\nenv = {{ PATH = \"/opt/bin:${{PATH}}\" }}\n\
         [[images.app.layers]]\nfiles = {{ \"/lib/x\" = \"new\", \"/var/run/y\" = \"y\", \"/opt/z\" = \"z\" }}\nowner = \"www-data\"\n\
         [[images.app.layers]]\ndirs = {{ \"/srv\" = {{ mode = \"0755\" }} }}\nsymlinks = {{ \"/bin/short\" = \"tool\" }}\n\
         [[images.app.layers]]\nremove = [\"/usr/lib/libold.so\"]\n",
        name = registry.name()
    )
}

/// Layers of a base as they are stored.
pub(crate) fn stored(base: &Base) -> Vec<String> {
    base.layers.iter().map(|(tar, _)| super::support::sha256(&super::support::gzip(tar))).collect()
}

/// Which of these blobs were asked for.
pub(crate) fn read(registry: &FakeRegistry, blobs: &[String]) -> Vec<String> {
    let log = registry.log().into_iter().filter(|logged| logged.method == "GET").map(|logged| logged.target);
    log.filter(|target| blobs.iter().any(|blob| target.contains(blob))).collect()
}

pub(crate) fn pushed(project: &Project, cache: &str, more: &[&str]) -> Run {
    project.run(&[&["build", "--push", "--cache-dir", cache], more].concat())
}

#[test]
fn with_a_lock_no_layer_of_the_base_is_read() {
    let registry = FakeRegistry::plain();
    let mut system = base("one");
    system.config["config"]["Env"] = serde_json::json!(["PATH=/usr/bin:/bin"]);
    push(&registry, "library/base", "1", &system);
    let layers = stored(&system);
    let project = Project::new(&demanding(&registry));
    // Without a lock, everything is read.
    let first = pushed(&project, "cache-1", &[]).ok();
    assert!(!read(&registry, &layers).is_empty());
    registry.clear_log();
    let run = pushed(&project, "cache-2", &["--locked"]).ok();
    assert_eq!(run.digests(), first.digests());
    assert_eq!(read(&registry, &layers), [""; 0], "{:?}", registry.lines());
    assert!(!run.told().contains("lock again"), "{}", run.told());
    // The same for a lock that `lock` made, on a machine that never saw the base.
    let implicit = lock(&project);
    std::fs::remove_file(project.path("lapstrake.lock")).unwrap();
    project.run(&["lock", "--cache-dir", "cache-3"]).ok();
    assert_eq!(lock(&project), implicit, "what `build` learns is what `lock` learns");
    registry.clear_log();
    assert_eq!(pushed(&project, "cache-4", &["--locked", "-j1"]).ok().digests(), first.digests());
    assert_eq!(read(&registry, &layers), [""; 0], "{:?}", registry.lines());
    // To a place on this machine, the layers have to go too; and it is the same image.
    registry.clear_log();
    let local = project.run(&["build", "--locked", "--cache-dir", "cache-5", "-o", "oci:out"]).ok();
    assert_eq!(local.digests(), first.digests());
    assert_eq!(read(&registry, &layers).len(), 2, "{:?}", registry.lines());
    project.layout("out");
    assert_eq!(registry.violations(), [""; 0]);
}

/// Wheels for the interpreter of a base that is not read.
#[test]
fn the_python_of_a_base_is_known() {
    let registry = FakeRegistry::plain();
    let system = super::python::debian_python("amd64");
    push(&registry, "library/base", "1", &system);
    let layers = stored(&system);
    let wheel = Wheel::new("tool", "1.0").file("tool.py", "x = 1\n").script("tool", "tool:x");
    let layer = "[[images.app.layers]]\npython = { wheels = [\"tool-1.0-py3-none-any.whl\"] }\n";
    let project = Project::new(&recipe(&registry, &format!("repository = \"{}/team/app\"\n{layer}", registry.name())));
    project.write("ctx/tool-1.0-py3-none-any.whl", wheel.build());
    let first = pushed(&project, "cache-1", &[]).ok();
    registry.clear_log();
    let run = pushed(&project, "cache-2", &["--locked"]).ok();
    assert_eq!(run.digests(), first.digests());
    assert_eq!(read(&registry, &layers), [""; 0], "{}\n{:?}", run.told(), registry.lines());
    project.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let image = project.layout("out").image(&format!("{}/team/app:latest", registry.name()));
    assert!(image.top().contains("usr/local/lib/python3.13/dist-packages/tool.py"), "{}", image.top());
}

/// Debian packages on a pinned base: whatever is read for them, the images are the same.
#[test]
fn packages_on_a_pinned_base() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base("one"));
    let mirrored = Mirrored::with([Deb::new("tool", "1").program("usr/bin/packaged", "x")]);
    mirrored.recipe(&recipe(
        &registry,
        "[[images.app.layers]]\ndebian = [\"tool\"]\n[[images.app.layers]]\nfiles = { \"/lib/x\" = \"\" }\n",
    ));
    mirrored.lock(&["--cache-dir", "cache-1"]);
    let text = mirrored.locked();
    let first = mirrored.digests_of("cache-2", &["--locked"]);
    assert_eq!(mirrored.digests_of("cache-1", &["--locked"]), first);
    std::fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    assert_eq!(mirrored.digests_of("cache-3", &[]), first);
    assert_eq!(mirrored.locked(), text);
    assert_eq!(mirrored.digests_of("cache-2", &["--locked", "--offline", "--no-cache"]), first);
}

/// A shared library of amd64 that gives itself that name, and needs others.
pub(crate) fn library(soname: &str, needed: &[&str]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut entries: Vec<(u64, u64)> = Vec::new();
    for (tag, name) in needed.iter().map(|name| (1, *name)).chain([(14, soname)]) {
        entries.push((tag, strings.len() as u64));
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let dynamic = 64 + 2 * 56 + strings.len() as u64;
    entries.extend([(5, 64 + 2 * 56), (10, strings.len() as u64), (0, 0)]);
    let size = 16 * entries.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    for value in [0_u64, 64, 0] {
        file.extend(value.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for value in [64_u16, 56, 2, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    for (kind, offset, length) in [(1_u64, 0, dynamic + size), (2, dynamic, size)] {
        for value in [4 << 32 | kind, offset, offset, offset, length, length, 1] {
            file.extend(value.to_le_bytes());
        }
    }
    file.extend(strings);
    for (tag, value) in entries {
        file.extend([tag, value].map(u64::to_le_bytes).concat());
    }
    file
}

/// What a system of Debian packages is made of.
pub(crate) const SYSTEM: &str = "[\"base-passwd\", \"dpkg\", \"libc-bin\", \"old\", \"ca-certificates\"]";

/// An archive with such a system, and with packages that ask something of it.
pub(crate) fn with_debian() -> Mirrored {
    let mut mirrored = Mirrored::new();
    mirrored.archive.suite("trixie");
    let alternative = |path: &str, priority: u32| {
        format!("#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/editor editor {path} {priority}\n")
    };
    let passwd = Deb::new("base-passwd", "3.6")
        .file("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n")
        .file("usr/share/base-passwd/group.master", "root:*:0:\n");
    let directory = "usr/lib/x86_64-linux-gnu";
    let old = Deb::new("old", "1")
        .program("usr/bin/old", "old\n")
        .program("usr/bin/moved", "of old\n")
        .conffile("etc/old.conf", "x\n")
        .script("postinst", &alternative("/usr/bin/old", 10))
        .bytes(&format!("{directory}/libold.so.1.0"), 0o644, &library("libold.so.1", &[]))
        .symlink(&format!("{directory}/libold.so.1"), "libold.so.1.0")
        .bytes(&format!("{directory}/private/libprivate.so.1"), 0o644, &library("libprivate.so.1", &[]));
    let system = Deb::new("libc-bin", "2.41")
        .file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
        .file("etc/ld.so.conf.d/local.conf", "/usr/local/lib\n");
    let dpkg = Deb::new("dpkg", "1.22.21").program("usr/bin/dpkg", "dpkg\n");
    for deb in [passwd, old, system, dpkg] {
        mirrored.archive.add("trixie", deb);
    }
    let account = "#!/bin/sh\nset -e\n# Automatically added by dh_installsysusers/13.24.2\nsystemd-sysusers daemon.conf\n# End automatically added section\n";
    let plain = Deb::new("plain", "1")
        .program("usr/bin/plain", "#!/usr/bin/plain\n")
        .file("usr/share/doc/plain/copyright", "free\n");
    let replacing = Deb::new("replacing", "1").field("Replaces", "old").program("usr/bin/moved", "of another\n");
    let editor =
        Deb::new("editor", "1").program("usr/bin/ed", "ed\n").script("postinst", &alternative("/usr/bin/ed", 20));
    let libnew = Deb::new("libnew", "1")
        .bytes(&format!("{directory}/libnew.so.1.0"), 0o644, &library("libnew.so.1", &["libold.so.1"]))
        .symlink(&format!("{directory}/libnew.so.1"), "libnew.so.1.0");
    let libold = Deb::new("libold", "2").field("Replaces", "old").bytes(
        &format!("{directory}/libold.so.1.0"),
        0o644,
        &library("libold.so.1", &[]),
    );
    let daemon = Deb::new("daemon", "1")
        .file("usr/lib/sysusers.d/daemon.conf", "u _daemon - \"A daemon\" /run/daemon\n")
        .script("postinst", account);
    let roots = Deb::all("ca-certificates", "2025")
        .file("usr/share/ca-certificates/other.crt", include_str!("../support/certificates/other.pem"));
    let linker = Deb::new("linker", "1").file("etc/ld.so.conf.d/private.conf", &format!("/{directory}/private\n"));
    let tools = Deb::new("tools", "1")
        .bytes(&format!("{directory}/libtools.so.1"), 0o644, &library("libtools.so.1", &["libold.so.1"]))
        .bytes(&format!("{directory}/private/libtools.so.2"), 0o644, &library("libtools.so.2", &[]));
    for deb in [tools, plain, replacing, editor, libnew, libold, linker, daemon, roots] {
        mirrored.archive.add("trixie", deb);
    }
    mirrored.archive.publish();
    mirrored.project.write("ctx/company.pem", include_str!("../support/certificates/company.pem"));
    mirrored
}

/// Layers that ask something of such a system, and what.
pub(crate) fn asking() -> Vec<(&'static str, String)> {
    let layer = |source: &str| format!("[[images.app.layers]]\n{source}\n");
    let debian = |package: &str| layer(&format!("debian = [\"{package}\"]"));
    let ca = layer("ca = \"company.pem\"");
    let file = layer("files = { \"/lib/x\" = \"\", \"/usr/share/doc/plain/more\" = \"\" }");
    vec![
        ("nothing in its way", debian("plain")),
        ("a file of another package", debian("replacing")),
        ("an alternative", debian("editor")),
        ("a library", debian("libnew")),
        ("a library of the base", debian("libold")),
        ("a directory of libraries", debian("linker")),
        ("an account", debian("daemon")),
        ("certificates alone", ca.clone()),
        ("one after the other", format!("{}{file}{}{ca}", debian("plain"), debian("libnew"))),
    ]
}

/// A base of Debian packages in the registry; gives the digests of its layers.
pub(crate) fn push_debian(mirrored: &Mirrored, registry: &FakeRegistry) -> Vec<String> {
    let name = registry.name();
    mirrored.recipe(&format!(
        "[images.base]\nfrom = \"scratch\"\nrepository = \"{name}/library/base\"\ntags = [\"1\"]\n\
         [[images.base.layers]]\ndebian = {SYSTEM}\n\
         [[images.base.layers]]\nfiles = {{ \"/usr/share/file\" = \"x\" }}\n"
    ));
    let layers = mirrored.build().image(&format!("{name}/library/base:1")).manifest["layers"].clone();
    mirrored.run(&["build", "--push"]).ok();
    std::fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    layers.as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// Layers of Debian packages on a base of them: from the lock, without a byte of the base's layers, and the same as over all
/// of the base. Fails where packages ask of a base what was not watched while locking, or are made otherwise over a part.
#[test]
fn packages_on_a_debian_base_need_the_lock_alone() {
    let registry = FakeRegistry::plain();
    let mirrored = with_debian();
    let layers = push_debian(&mirrored, &registry);
    for (what, more) in asking() {
        let name = registry.name();
        let app = format!(
            "[images.app]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/{}\"\n",
            what.replace(' ', "-")
        );
        mirrored.recipe(&format!("{app}{more}"));
        let _ = std::fs::remove_file(mirrored.project.path("lapstrake.lock"));
        // Without a lock, everything is read.
        let cache = |number: u32| format!("cache-{}-{number}", what.replace(' ', "-"));
        let first = mirrored.run(&["build", "--push", "--cache-dir", &cache(1)]).ok();
        let implicit = mirrored.locked();
        std::fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
        mirrored.lock(&["--cache-dir", &cache(2)]);
        assert_eq!(mirrored.locked(), implicit, "{what}: what `build` learns is what `lock` learns");
        registry.clear_log();
        let run = mirrored.run(&["build", "--push", "--locked", "--no-cache", "--cache-dir", &cache(3)]).ok();
        assert_eq!(run.digests(), first.digests(), "{what}");
        assert_eq!(read(&registry, &layers), [""; 0], "{what}: {}", run.told());
        assert!(!run.told().contains("the base is read"), "{what}: {}", run.told());
        // A lock that knows nothing of contents: the base is read, and it is the same image.
        let (before, rest) = implicit.split_once("[image.files]\n").expect("contents");
        let (_, after) =
            rest.split_once("\n[[").map_or(("", String::new()), |(one, after)| (one, format!("\n[[{after}")));
        let before: String =
            before.lines().filter(|line| !line.starts_with("seal     =")).map(|line| format!("{line}\n")).collect();
        let before = match before.split_once("knowledge = [") {
            Some((head, _)) => head.to_owned(),
            None => before,
        };
        mirrored.project.write("lapstrake.lock", format!("{before}{after}"));
        let run = mirrored.run(&["build", "--push", "--locked", "--no-cache", "--cache-dir", &cache(4)]).ok();
        assert_eq!(run.digests(), first.digests(), "{what}");
        assert!(!read(&registry, &layers).is_empty(), "{what}");
    }
}

/// A recipe that asks more than was locked reads the base, and says what would avoid it.
#[test]
fn what_the_lock_does_not_know_is_read() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base("one"));
    let named = |more: &str| {
        format!(
            "[images.app]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/app\"\n{more}",
            name = registry.name()
        )
    };
    let project = Project::new(&named(FILES));
    project.run(&["lock", "--cache-dir", "cache-1"]).ok();
    let before = lock(&project);
    project.recipe(&named("[[images.app.layers]]\nfiles = { \"/var/run/deep/x\" = \"new\", \"/srv/y\" = \"y\" }\n"));
    registry.clear_log();
    let run = project.run(&["build", "--push", "--locked", "--cache-dir", "cache-2"]).ok();
    assert!(run.told().contains("lock again"), "{}", run.told());
    assert_eq!(lock(&project), before);
    let reference = project.run(&["build", "-o", "oci:out", "--cache-dir", "cache-3"]).ok();
    assert_eq!(reference.digests(), run.digests());
    let image = project.layout("out").image(&format!("{}/team/app:latest", registry.name()));
    assert!(image.top().contains("f 0644 0:0 run/deep/x 3"), "{}", image.top());
    // Now it knows.
    project.run(&["lock"]).ok();
    let run = project.run(&["build", "--push", "--locked", "--cache-dir", "cache-4"]).ok();
    assert!(!run.told().contains("lock again"), "{}", run.told());
    assert_eq!(run.digests(), reference.digests());
}

/// A bot that updates digests edits one line (semantics 24): what the lock knew of the old base is not believed of the new.
#[test]
fn an_edited_digest_is_followed() {
    let registry = FakeRegistry::plain();
    let one = push(&registry, "library/base", "1", &base("one"));
    let project = Project::new(&recipe(&registry, "[[images.app.layers]]\nfiles = { \"/lib/x\" = \"new\" }\n"));
    project.run(&["lock"]).ok();
    // In the new one, /lib is a directory.
    let other = Tar::new().dir("lib/", 0o755, 0, 0).dir("etc/", 0o755, 0, 0).file("etc/version", 0o644, "two").end();
    let two = push(&registry, "library/base", "1", &Base::of(other));
    project.write("lapstrake.lock", lock(&project).replace(&one, &two));
    for more in [&["--locked"][..], &[]] {
        let image = project.build_with(more).image("app");
        assert_eq!(image.file("etc/version"), "two", "{more:?}");
        assert_eq!(image.top(), "d 0755 0:0 lib/\nf 0644 0:0 lib/x 3\n", "{more:?}");
    }
    // A digest that there is not.
    project.write("lapstrake.lock", lock(&project).replace(&two, &format!("sha256:{}", "0".repeat(64))));
    let told = project.run(&["build", "--locked", "-o", "oci:out"]).fails(5);
    assert!(told.contains("library/base"), "{told}");
}

#[test]
fn images_that_are_copied_from_are_pinned_too() {
    let registry = FakeRegistry::plain();
    let tools = |text: &str| Base::of(Tar::new().dir("usr/", 0o755, 0, 0).file("usr/tool", 0o755, text).end());
    push(&registry, "team/tools", "1", &tools("one"));
    let layer =
        format!("image = {{ image = \"{}/team/tools:1\", copy = [\"/usr/tool\"] }}\nto = \"/bin\"\n", registry.name());
    let project = Project::new(&format!("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\n{layer}"));
    let told = project.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(told.contains("lapstrake lock"), "{told}");
    let printed = project.run(&["lock"]).ok().stdout();
    assert!(printed.starts_with("+ image team/tools:1 "), "{printed}");
    push(&registry, "team/tools", "1", &tools("two"));
    assert_eq!(project.build_with(&["--locked"]).image("app").file("bin/tool"), "one");
    assert_eq!(project.build_with(&["--cache-dir", "cold"]).image("app").file("bin/tool"), "one");
    project.run(&["lock", "--update"]).ok();
    assert_eq!(project.build_with(&["--locked"]).image("app").file("bin/tool"), "two");
}

#[test]
fn each_platform_of_an_index_is_pinned() {
    let registry = FakeRegistry::plain();
    let put = |text: &str| {
        let mut entries = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut base = Base::of(Tar::new().file("arch", 0o644, &format!("{architecture} {text}")).end());
            base.config["architecture"] = serde_json::json!(architecture);
            let mut blobs = BTreeMap::new();
            let mut descriptor = base.blobs(&mut blobs);
            let digest = descriptor["digest"].as_str().unwrap().to_owned();
            for (name, bytes) in &blobs {
                match *name == digest {
                    true => drop(registry.put_manifest(
                        "library/base",
                        None,
                        descriptor["mediaType"].as_str().unwrap(),
                        bytes,
                    )),
                    false => drop(registry.put_blob("library/base", bytes)),
                }
            }
            descriptor["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
            entries.push(descriptor);
        }
        let media = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media, "manifests": entries });
        registry.put_manifest("library/base", Some("1"), media, &serde_json::to_vec(&index).unwrap());
    };
    put("one");
    let project = Project::new(&format!(
        "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{}",
        recipe(&registry, "[[images.app.layers]]\nfiles = { \"/x\" = \"x\" }\n")
    ));
    let printed = project.run(&["lock"]).ok().stdout();
    assert_eq!(printed.lines().count(), 2, "{printed}");
    put("two");
    let images = project.build_with(&["--locked"]).platforms("app");
    for architecture in ["amd64", "arm64"] {
        assert_eq!(images[&format!("linux/{architecture}")].file("arch"), format!("{architecture} one"));
    }
    // One platform alone leaves the pin of the other.
    let before = lock(&project);
    project.run(&["build", "--platform", "linux/arm64", "-o", "oci:out"]).ok();
    assert_eq!(lock(&project), before);
}

#[test]
fn a_locked_build_without_network_takes_what_it_has() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base("one"));
    let project = Project::new(&recipe(&registry, FILES));
    let told = project.run(&["build", "--offline", "-o", "oci:out"]).fails(5);
    assert!(told.contains("--offline"), "{told}");
    let digests = project.run(&["build", "-o", "oci:out"]).ok().digests();
    registry.clear_log();
    let run = project.run(&["build", "--locked", "--offline", "-o", "oci:again"]).ok();
    assert_eq!(run.digests(), digests);
    assert_eq!(registry.log().len(), 0, "{:?}", registry.lines());
    let told = project.run(&["build", "--locked", "--offline", "--cache-dir", "cold", "-o", "oci:out"]).fails(5);
    assert!(told.contains("--offline"), "{told}");
}
