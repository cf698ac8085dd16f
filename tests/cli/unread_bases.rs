//! Bases in a registry that a locked build does not read, whatever layers bring: programs, modules to compile, users. Where
//! a lock may not hold what is needed, `lock` says that the base will be read, and why.

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::pinned_bases::{library, lock, push, pushed, read, stored};
use super::python::{debian_python, system};
use super::support::{Base, Project, Run, Stored, Tar};
use super::wheel::Wheel;

/// An image on that base, to be pushed.
fn on_base(registry: &FakeRegistry, more: &str, layers: &str) -> String {
    let name = registry.name();
    format!("[images.app]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/app\"\n{more}\n{layers}")
}

/// Builds without a lock, then from a lock that another machine made: the same, without the base's layers. Gives what `lock`
/// said.
fn without_reading(registry: &FakeRegistry, base: &Base, run: &dyn Fn(&[&str]) -> Run, project: &Project) -> Run {
    let first = run(&["build", "--push", "--cache-dir", "cache-1"]).ok();
    std::fs::remove_file(project.path("lapstrake.lock")).unwrap();
    let locked = run(&["lock", "--cache-dir", "cache-2"]).ok();
    registry.clear_log();
    let second = run(&["build", "--push", "--locked", "--no-cache", "--cache-dir", "cache-3"]).ok();
    assert_eq!(second.digests(), first.digests());
    assert_eq!(read(registry, &stored(base)), [""; 0], "{}", second.told());
    assert!(!second.told().contains("the base is read"), "{}", second.told());
    assert!(!locked.told().contains("have to read"), "{}", locked.told());
    locked
}

/// The loader's cache with one library of amd64 (glibc's `dl-cache.h`).
fn loader_cache(name: &str, path: &str) -> Vec<u8> {
    let strings = format!("{name}\0{path}\0");
    let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((strings.len() as u32).to_le_bytes());
    bytes.extend([0; 20]);
    for number in [0x0303, 72, 73 + name.len() as u32, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(strings.as_bytes());
    bytes
}

/// Wheels whose programs need libraries of a base, and of each other.
#[test]
fn wheels_with_programs_do_not_need_the_base() {
    let registry = FakeRegistry::plain();
    let mut base = debian_python("amd64");
    let directory = "usr/lib/x86_64-linux-gnu";
    let tar = Tar::new()
        .dir(&format!("{directory}/"), 0o755, 0, 0)
        .file(&format!("{directory}/libc-2.41.so"), 0o755, &library("libc.so.6", &[]))
        .link(&format!("{directory}/libc.so.6"), "libc-2.41.so")
        .file("usr/bin/sh", 0o755, "a shell")
        .file("usr/bin/bash", 0o755, "another")
        .file("usr/bin/env", 0o755, "looks for one")
        .file("etc/ld.so.conf", 0o644, "include /etc/ld.so.conf.d/*.conf\n")
        .file("etc/ld.so.cache", 0o644, &loader_cache("libc.so.6", &format!("/{directory}/libc.so.6")));
    base.layers.push((tar.end(), Stored::Gzip));
    push(&registry, "library/base", "1", &base);
    let wheel = Wheel::new("native", "1.0")
        .tag("cp313-cp313-manylinux_2_17_x86_64")
        .bytes("native/fast.cpython-313-x86_64-linux-gnu.so", 0o755, &library("fast", &["libc.so.6", "libown.so.1"]))
        .bytes("native.libs/libown.so.1", 0o755, &library("libown.so.1", &["libc.so.6"]))
        .bytes("native-1.0.data/scripts/native.sh", 0o755, b"#!/bin/sh\nexit 0\n")
        .bytes("native-1.0.data/scripts/native-env", 0o755, b"#!/usr/bin/env bash\nexit 0\n");
    let file = "native-1.0-cp313-cp313-manylinux_2_17_x86_64.whl";
    // Among the interpreter's own, and where the loader's cache may have to tell of them.
    for more in ["", ", target = \"/opt/site\""] {
        let layers = format!("[[images.app.layers]]\npython = {{ wheels = [\"{file}\"]{more} }}\n");
        let project = Project::new(&on_base(&registry, "", &layers));
        project.write(&format!("ctx/{file}"), wheel.clone().build());
        without_reading(&registry, &base, &|arguments| project.run(arguments), &project);
    }
}

/// A base whose loader has no cache, such as a distroless one: what its libraries say of themselves is in the lock, and so is
/// whether a library is somewhere that the loader does not look.
#[test]
fn a_base_without_a_cache_of_the_loader_is_not_read() {
    let registry = FakeRegistry::plain();
    let mut mirrored = Mirrored::new();
    let directory = "usr/lib/x86_64-linux-gnu";
    let new = Deb::new("libnew", "1")
        .bytes(&format!("{directory}/libnew.so.1.0"), 0o644, &library("libnew.so.1", &["libc.so.6", "libplugin.so"]))
        .symlink(&format!("{directory}/libnew.so.1"), "libnew.so.1.0");
    mirrored.archive.add("trixie", new);
    mirrored.archive.publish();
    let mut base = Base::debian();
    let tar = Tar::new()
        .dir(&format!("{directory}/"), 0o755, 0, 0)
        .dir(&format!("{directory}/plugins/"), 0o755, 0, 0)
        .file(&format!("{directory}/libc-2.41.so"), 0o755, &library("libc.so.6", &[]))
        .link(&format!("{directory}/libc.so.6"), "libc-2.41.so")
        .file(&format!("{directory}/libtext.so"), 0o644, "GROUP ( libc.so.6 )\n")
        .file(&format!("{directory}/plugins/libplugin.so"), 0o644, &library("libplugin.so", &[]))
        .file("etc/ld.so.conf", 0o644, "include /etc/ld.so.conf.d/*.conf\n");
    base.layers.push((tar.end(), Stored::Gzip));
    push(&registry, "library/base", "1", &base);
    mirrored.recipe(&on_base(&registry, "", "[[images.app.layers]]\ndebian = [\"libnew\"]\n"));
    let locked = without_reading(&registry, &base, &|arguments| mirrored.run(arguments), &mirrored.project);
    assert!(!locked.told().contains("the base"), "{}", locked.told());
    let lock = mirrored.locked();
    for line in [
        format!("elf 64 little 3 dynamic libc.so.6 /{directory}/libc-2.41.so"),
        format!("elf none /{directory}/libtext.so"),
        "name libplugin.so".to_owned(),
    ] {
        assert!(lock.contains(&line), "{line}: {lock}");
    }
    mirrored.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let image = mirrored.project.layout("out").image(&format!("{}/team/app:latest", registry.name()));
    assert!(image.top().contains("etc/ld.so.cache"), "{}", image.top());
}

/// Archives with a module `x` and a Python of the version that this machine can compile for; not published yet.
struct Compiled {
    mirrored: Mirrored,
    /// `3.11.2`
    version: String,
    /// `3.11`
    short: String,
}

impl Compiled {
    fn new() -> Self {
        let mut mirrored = Mirrored::new();
        let version = mirrored.project.end(mirrored.project.wrapped("python3", &["-V"], &[])).ok().stdout();
        let version = version.trim().strip_prefix("Python ").unwrap().to_owned();
        let short = version.rsplit_once('.').unwrap().0.to_owned();
        let module = Deb::all("python3-x", "1").file("usr/lib/python3/dist-packages/x/__init__.py", "x = 1\n");
        let python = Deb::new(&format!("python{short}-minimal"), &format!("{version}-1"))
            .program(&format!("usr/bin/python{short}"), "an interpreter")
            .symlink("usr/bin/python3", &format!("python{short}"));
        mirrored.archive.add("trixie", module).add("trixie", python);
        Compiled { mirrored, version, short }
    }
}

/// Modules of packages are compiled for a Python that only the lock knows: the base's, or that of the packages; where both
/// have one, the one that is found first.
#[test]
fn compiling_does_not_need_the_base() {
    let Compiled { mut mirrored, version, short } = Compiled::new();
    let libc = Deb::new("libc6", "2.36-9").file("usr/share/doc/libc6/copyright", "free\n");
    let headers = Deb::new("python3-dev", "1")
        .program("usr/bin/python3-config", "of the headers")
        .file(&format!("usr/include/python{short}/patchlevel.h"), "#define PY_VERSION \"3.1.4\"\n");
    mirrored.archive.add("trixie", libc).add("trixie", headers);
    mirrored.archive.publish();
    let libraries = Tar::new().dir("usr/lib/python3/", 0o755, 0, 0).dir("usr/lib/python3/dist-packages/", 0o755, 0, 0);
    let mut with_python = system(&short, &format!("{version}-1"), "2.36-9", "amd64");
    with_python.layers.push((libraries.end(), Stored::Gzip));
    // Another version in `/usr/local`, as the official images have it.
    let own = Tar::new()
        .dir("usr/local/bin/", 0o755, 0, 0)
        .file(&format!("usr/local/bin/python{short}"), 0o755, "their own")
        .link("usr/local/bin/python3", &format!("python{short}"));
    let mut official = system("3.1", "3.1.4-1", "2.36-9", "amd64");
    official.layers.push((own.end(), Stored::Gzip));
    let official = official.settings(serde_json::json!({ "Env": [format!("PYTHON_VERSION={version}")] }));
    for (base, packages) in [
        (with_python.clone(), "\"python3-x\"".to_owned()),
        (with_python, "\"python3-x\", \"python3-dev\"".to_owned()),
        (official, format!("\"python3-x\", \"python{short}-minimal\"")),
        (Base::debian(), format!("\"python3-x\", \"python{short}-minimal\", \"libc6\"")),
    ] {
        let registry = FakeRegistry::plain();
        push(&registry, "library/base", "1", &base);
        let layers = format!("[[images.app.layers]]\ndebian = {{ packages = [{packages}], compile = true }}\n");
        mirrored.recipe(&on_base(&registry, "", &layers));
        for cache in ["cache-1", "cache-2", "cache-3"] {
            let _ = std::fs::remove_dir_all(mirrored.project.path(cache));
        }
        let _ = std::fs::remove_file(mirrored.project.path("lapstrake.lock"));
        without_reading(&registry, &base, &|arguments| mirrored.run(arguments), &mirrored.project);
        mirrored.run(&["build", "--locked", "-o", "oci:out"]).ok();
        let image = mirrored.project.layout("out").image(&format!("{}/team/app:latest", registry.name()));
        let compiled = format!("x/__pycache__/__init__.cpython-{}.pyc", short.replace('.', ""));
        assert!(image.top().contains(&compiled), "{}", image.top());
    }
}

/// Would fail if a Python that is only called from `/usr/local` were taken for one that no package can replace.
#[test]
fn a_link_in_usr_local_is_the_python_that_it_leads_to() {
    let Compiled { mirrored, short, .. } = Compiled::new();
    mirrored.archive.publish();
    let mut base = system("3.1", "3.1.4-1", "2.36-9", "amd64");
    let link = Tar::new().dir("usr/local/bin/", 0o755, 0, 0).link("usr/local/bin/python3", "../../bin/python3");
    base.layers.push((link.end(), Stored::Gzip));
    let registry = FakeRegistry::plain();
    push(&registry, "library/base", "1", &base);
    let layers = format!(
        "[[images.app.layers]]\nreplace = true\n\
         debian = {{ packages = [\"python3-x\", \"python{short}-minimal\"], compile = true }}\n"
    );
    mirrored.recipe(&on_base(&registry, "", &layers));
    mirrored.run(&["lock"]).ok();
    mirrored.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let image = mirrored.project.layout("out").image(&format!("{}/team/app:latest", registry.name()));
    let compiled = format!("x/__pycache__/__init__.cpython-{}.pyc", short.replace('.', ""));
    assert!(image.top().contains(&compiled), "{}", image.top());
}

/// No lock holds a password, not even its hash: an image without users does not need it, and one with users reads the base,
/// which `lock` says.
#[test]
fn passwords_of_a_base_are_in_no_lock() {
    let registry = FakeRegistry::plain();
    let mut base = Base::debian();
    let secret = "$y$j9T$salt$hash";
    let shadow = Tar::new().file("etc/shadow", 0o640, &format!("root:{secret}:19000:0:99999:7:::\n"));
    base.layers.push((shadow.end(), Stored::Gzip));
    push(&registry, "library/base", "1", &base);
    let layers = "[[images.app.layers]]\nfiles = { \"/opt/x\" = \"x\" }\nowner = \"www-data\"\n";
    let project = Project::new(&on_base(&registry, "", layers));
    without_reading(&registry, &base, &|arguments| project.run(arguments), &project);
    assert!(!lock(&project).contains(secret), "{}", lock(&project));

    let users = "[users.app]\nuid = 1001\n";
    project.recipe(&format!("{users}{}", on_base(&registry, "users = [\"app\"]", layers)));
    let run = project.run(&["lock", "--cache-dir", "cache-4"]).ok();
    assert!(
        run.told().contains("have to read") && run.told().contains("etc/shadow may hold passwords"),
        "{}",
        run.told()
    );
    assert!(!lock(&project).contains(secret), "{}", lock(&project));
    registry.clear_log();
    let run = pushed(&project, "cache-5", &["--locked"]).ok();
    assert!(run.told().contains("the base is read") && run.told().contains("etc/shadow"), "{}", run.told());
    assert!(!read(&registry, &stored(&base)).is_empty());
}

/// Would fail if a lock took a file for one of no passwords because a link gives it another name, or if a base whose accounts
/// are behind one could not be built on from a lock.
#[test]
fn passwords_behind_links_are_in_no_lock() {
    let registry = FakeRegistry::plain();
    let secret = "$y$j9T$salt$hash";
    let tar = Tar::new()
        .dir("etc/", 0o755, 0, 0)
        .file("etc/group", 0o644, "root:x:0:\n")
        .file("etc/pw", 0o644, &format!("root:{secret}:0:0:root:/root:/bin/sh\nme:x:7:8:me:/:/bin/sh\n"))
        .link("etc/passwd", "pw");
    let base = Base::of(tar.end());
    push(&registry, "library/base", "1", &base);
    let layers = "[[images.app.layers]]\nfiles = { \"/x\" = \"x\" }\nowner = \"me:8\"\n";
    let project = Project::new(&on_base(&registry, "", layers));
    let first = pushed(&project, "cache-1", &[]).ok();
    std::fs::remove_file(project.path("lapstrake.lock")).unwrap();
    let told = project.run(&["lock", "--cache-dir", "cache-2"]).ok().told();
    assert!(told.contains("have to read") && told.contains("/etc/pw may hold passwords, and no lock does"), "{told}");
    let text: lapstrake::lock::Lock = lock(&project).parse().unwrap();
    assert!(text.images.iter().all(|pin| pin.files.is_empty()), "{}", lock(&project));
    assert!(!lock(&project).contains(secret), "{}", lock(&project));
    let run = pushed(&project, "cache-3", &["--locked"]).ok();
    assert!(run.told().contains("the base is read") && run.told().contains("/etc/pw"), "{}", run.told());
    assert_eq!(run.digests(), first.digests());
}

/// A build that locks packages watches their layer from then on, over a base of which the lock knows a part; images on top of
/// it ask more. Would fail if nobody heard what they miss, if the layers below were lost once the base is read, or if the lock
/// then told more of the base than somebody looked at.
#[test]
fn what_stands_on_packages_that_were_just_locked_says_what_it_misses() {
    let registry = FakeRegistry::plain();
    let mut base = Base::debian();
    let tar = (0..20).fold(Tar::new().dir("mnt/", 0o755, 0, 0), |tar, number| {
        tar.link(&format!("mnt/link{number}"), "/srv").file(&format!("var/file{number}"), 0o644, "x")
    });
    base.layers.push((tar.end(), Stored::Gzip));
    push(&registry, "library/base", "1", &base);
    let package = |name: &str| Deb::new(name, "1").program(&format!("usr/bin/{name}"), "a program");
    let m = Mirrored::with([package("one"), package("two")]);
    let recipe = |packages: &str, upper: &str| {
        m.recipe(&format!(
            "[images.lower]\nfrom = \"{}/library/base:1\"\n[[images.lower.layers]]\nfiles = {{ \"/own/f\" = \"x\", \"/mnt/new\" = \"x\" }}\n\
             [[images.lower.layers]]\nname = \"packages\"\ndebian = [{packages}]\n{upper}",
            registry.name()
        ));
    };
    let upper = "[images.upper]\nfrom = \"lower\"\n[[images.upper.layers]]\nfiles = { \"/mnt/link7/x\" = \"x\", \"/own/g\" = \"x\" }\n";
    recipe("\"one\"", "");
    m.lock(&[]);
    recipe("\"one\", \"two\"", upper);
    let build = |cache: &str, more: &[&str]| {
        let output = format!("oci:out-{cache}");
        let arguments = [&["build", "--cache-dir", cache, "-o", &output], more].concat();
        m.run(&arguments).ok()
    };
    let first = build("cache-1", &[]);
    let told = first.told();
    assert!(!told.contains("lower: the base is read") && told.contains("upper: the base is read"), "{told}");
    let learned = m.locked();
    let again = build("cache-2", &["--locked"]);
    std::fs::remove_file(m.project.path("lapstrake.lock")).unwrap();
    // The lock knew nothing that is not so.
    let truth = build("cache-3", &[]);
    assert_eq!((first.digests(), again.digests()), (truth.digests(), truth.digests()), "{learned}");
    let upper = m.project.layout("out-cache-1").image("upper");
    assert!(upper.top().contains("f 0644 0:0 srv/x 1"), "{}", upper.top());
}

/// Whoever edits a lock can make its seals, too, and choose how a layer comes to look: `verify` goes by the base itself.
#[test]
fn what_a_lock_says_of_a_base_is_not_believed_by_verify() {
    let registry = FakeRegistry::plain();
    let mut base = Base::debian();
    base.layers.push((Tar::new().dir("srv/data/", 0o700, 1000, 1000).end(), Stored::Gzip));
    push(&registry, "library/base", "1", &base);
    let layers = "[[images.app.layers]]\nfiles = { \"/srv/data/x\" = \"x\" }\n";
    let project = Project::new(&on_base(&registry, "", layers));
    project.run(&["lock"]).ok();
    project.run(&["build", "--push", "--locked", "--cache-dir", "cache-1"]).ok();
    project.run(&["verify", "--cache-dir", "cache-2"]).ok();
    let mut edited: lapstrake::lock::Lock = lock(&project).parse().unwrap();
    let line = edited.images.iter_mut().flat_map(|pin| &mut pin.knowledge).find(|line| line.contains("/srv/data"));
    *line.unwrap() = "d 4777 0:0 /srv/data".to_owned();
    project.write("lapstrake.lock", edited.text());
    project.run(&["build", "--push", "--locked", "--cache-dir", "cache-3"]).ok();
    let told = project.run(&["verify", "--cache-dir", "cache-4"]).code(6).told();
    assert!(told.contains("srv/data"), "{told}");
    // What few lines say is not hidden in one.
    let packed = zstd::bulk::compress(edited.images[0].knowledge[1..].join("\n").as_bytes(), 3).unwrap();
    let packed = format!("zstd:{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, packed));
    edited.images[0].knowledge.truncate(1);
    edited.images[0].knowledge.push(packed);
    project.write("lapstrake.lock", edited.text());
    let told = project.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(told.contains("not as it was written"), "{told}");
}
