//! Same inputs, same bytes: whatever machine, user and moment this is.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::support::{BINARY, Base, Project, Run, Tar, gzip};

/// Every source that needs no network, in layers of every compression, two variants, a base and an image on an image.
const EVERYTHING: &str = r#"
[users.app]
uid = 1001
home = "/home/app"
create_home = true
groups = ["video"]
[defaults]
owner = "app"
exclude = ["**/*.pyc"]
[variants.k8s]
user = "app"
[variants.docker]
format = "docker"
[images.base]
from = "oci:base"
users = ["app"]
workdir = "/app"
env = { A = "1", B = "${PATH:-none}" }
ports = [80, 443]
labels = { one = "1", two = "2" }
[[images.base.layers]]
archive = "deps.tar.gz"
to = "/opt"
[[images.base.layers]]
copy = ["src", "many/", "*.txt", { src = "one.txt", dest = "/etc/renamed" }]
to = "/app"
modes = { "src/*.sh" = "0755" }
[images.tools]
from = "scratch"
publish = false
compression = "none"
[[images.tools.layers]]
copy = ["big"]
to = "/bin"
[images.app]
from = "base"
variants = ["k8s", "docker"]
[[images.app.layers]]
image = { image = "tools", copy = ["/bin/"] }
to = "/usr/bin"
files = { "/etc/motd" = "hello\n" }
dirs = { "/data" = { mode = "0750" } }
symlinks = { "/data/link" = "../etc/motd" }
caps = { "/bin/big" = "cap_net_raw+ep" }
[[images.app.layers]]
remove = ["/lib/libold.so"]
copy = ["links"]
to = "/app"
[images.zipped]
from = "base"
compression = "zstd"
[[images.zipped.layers]]
image = { image = "oci:base", copy = ["/usr/bin/tool"] }
copy = ["big"]
to = "/more"
"#;

/// Bytes of which every reader makes the same, in every run: enough to be cut into several chunks.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 40).to_string().as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The checkout, made in one order or the other.
fn checkout(backwards: bool) -> Project {
    let project = Project::new(EVERYTHING);
    let deps = Tar::new().dir("lib/", 0o755, 0, 0).file("lib/a", 0o644, "a").hard("lib/b", "lib/a").end();
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("ctx/one.txt".to_owned(), b"one".to_vec()),
        ("ctx/two.txt".to_owned(), b"two".to_vec()),
        ("ctx/I\u{131}\u{130}i.txt".to_owned(), b"dotless".to_vec()),
        ("ctx/src/run.sh".to_owned(), b"#!/bin/sh\n".to_vec()),
        ("ctx/src/tool".to_owned(), b"#!/bin/sh\n".to_vec()),
        ("ctx/src/x.pyc".to_owned(), b"junk".to_vec()),
        ("ctx/links/target".to_owned(), b"target".to_vec()),
        ("ctx/deps.tar.gz".to_owned(), gzip(&deps)),
        ("ctx/big".to_owned(), noise(5 << 20)),
        ("ctx/.dockerignore".to_owned(), b"many/7*\n!many/77\n".to_vec()),
    ];
    files.extend((0..100).map(|n| (format!("ctx/many/{n}"), n.to_string().into_bytes())));
    if backwards {
        files.reverse();
    }
    for (path, bytes) in &files {
        project.write(path, bytes);
    }
    project.chmod("ctx/src/tool", 0o755);
    fs::create_dir(project.path("ctx/src/empty")).unwrap();
    symlink("target", project.path("ctx/links/link")).unwrap();
    symlink("/nowhere", project.path("ctx/links/dangling")).unwrap();
    Base::debian().settings(serde_json::json!({ "Env": ["PATH=/bin"] })).layout(&project.path("ctx/base"));
    project
}

const BUILD: [&str; 3] = ["build", "-o", "oci:out"];

/// What a build says that others may hold it to: names, digests, references.
fn results(run: Run) -> String {
    run.ok().stdout()
}

fn touch(directory: &Path, time: SystemTime) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            touch(&path, time);
        }
        if !metadata.is_symlink() {
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
    }
}

#[test]
fn the_same_digests_whatever_is_around() {
    let project = checkout(false);
    let first = results(project.run(&BUILD));
    assert_eq!(first.lines().count(), 4, "{first}");
    project.layout("out");
    let same = |what: &str, command: Command| assert_eq!(results(project.end(command)), first, "{what}");

    same("warm", project.command(&BUILD));
    for jobs in ["1", "2", "5"] {
        same("jobs, warm", project.command(&[&BUILD[..], &["-j", jobs]].concat()));
        same("jobs, anew", project.command(&[&BUILD[..], &["--no-cache", "-j", jobs]].concat()));
        let cache = format!("cache-{jobs}");
        same("jobs, cold", project.command(&[&BUILD[..], &["--cache-dir", &cache, "-j", jobs]].concat()));
    }
    for umask in ["000", "022", "077", "027"] {
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        same(umask, project.wrapped("sh", &["-c", &script, BINARY], &[&BUILD[..], &["--no-cache"]].concat()));
    }
    for (name, value) in [
        ("TZ", "America/St_Johns"),
        ("TZ", ":/nowhere"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LC_ALL", "C"),
        ("LC_COLLATE", "de_DE"),
        ("XDG_CACHE_HOME", project.path("xdg").to_str().unwrap()),
        ("LAPSTRAKE_CACHE_DIR", project.path("named").to_str().unwrap()),
        ("A", "other"),
        ("B", "other"),
        ("USER", "somebody"),
        ("CI", "true"),
        ("RAYON_NUM_THREADS", "1"),
    ] {
        let mut command = project.command(&[&BUILD[..], &["--no-cache"]].concat());
        same(name, {
            command.env(name, value);
            command
        });
    }
    let mut homeless = project.command(&BUILD);
    homeless.env_remove("HOME");
    let run = project.end(homeless);
    assert!(run.told().contains("note: no cache is kept (there is no home directory)"), "{}", run.told());
    assert_eq!(results(run), first, "no home");
    let mut bare = project.command(&BUILD);
    bare.env_clear();
    assert_eq!(results(project.end(bare)), first, "no environment at all");
}

/// Would fail if what another build is writing, or one that was killed has left, became a part of the image.
#[test]
fn what_is_not_finished_is_no_part_of_the_context() {
    let project =
        Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\".\"]\nto = \"/srv\"\n");
    project.write("ctx/a", "a");
    let wanted = project.run(&["build", "-o", "oci:out"]).ok().digests();
    project.write("ctx/.meta.json.lapstrake-aB3dE6", "{");
    assert_eq!(project.run(&["build", "-o", "oci:out"]).ok().digests(), wanted);
    // No more than these are left out.
    project.write("ctx/.meta.json.lapstrake", "{");
    assert_ne!(project.run(&["build", "-o", "oci:out"]).ok().digests(), wanted);
}

#[test]
fn the_same_digests_in_another_checkout() {
    let (one, two) = (checkout(false), checkout(true));
    let first = results(one.run(&BUILD));
    // Nothing of the first is in the second's cache, and no time is the same.
    touch(&two.path("ctx"), SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 365 * 60));
    for (path, mode) in [("ctx/one.txt", 0o600), ("ctx/src", 0o700), ("ctx/src/tool", 0o711), ("ctx/many/1", 0o664)] {
        two.chmod(path, mode);
    }
    assert_eq!(results(two.run(&BUILD)), first);
    // From another directory, with the recipe's path said in another way.
    let elsewhere = Project::empty();
    let recipe = two.path("ctx/../lapstrake.toml");
    let run = elsewhere.run(&["build", "-f", recipe.to_str().unwrap(), "-o", "archive:out.tar"]);
    assert_eq!(results(run), first);
    assert!(elsewhere.path("out.tar").is_file());
    // One that changed does change it.
    two.write("ctx/one.txt", "ONE");
    assert_ne!(results(two.run(&BUILD)), first);
}

/// Would fail if a limit of processes, as pods have, were a panic, or left something behind.
#[test]
fn with_few_threads_it_is_the_same_or_an_error() {
    let project = checkout(false);
    let first = results(project.run(&BUILD));
    let writable = project.path("theirs");
    fs::create_dir(&writable).unwrap();
    if fs::metadata(&writable).unwrap().uid() != 0 {
        // Limits are those of a user, and this one has other processes.
        return;
    }
    let binary = project.path("lapstrake");
    fs::copy(BINARY, &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&writable, Some(54_323), Some(54_322)).unwrap();
    let (mut same, mut refused) = (0, 0);
    for limit in [1, 2, 3, 4, 6, 8, 12, 20, 40, 80] {
        let output = format!("oci:{}", writable.join("out").display());
        let cache = writable.join(format!("cache-{limit}"));
        let arguments = ["build", "-j", "16", "-o", &output, "--cache-dir", cache.to_str().unwrap()];
        let processes = format!("--nproc={limit}");
        let mut command = project.wrapped("prlimit", &[&processes, binary.to_str().unwrap()], &arguments);
        command.uid(54_323).gid(54_322).env_remove("HOME");
        let run = project.end(command);
        match run.code {
            Some(0) => {
                same += 1;
                assert_eq!(results(run), first);
            }
            _ => {
                refused += 1;
                let told = run.fails(1);
                assert!(told.contains("no more threads") && !told.contains("panicked"), "{limit}: {told}");
                assert!(!writable.join("out/index.json").exists() || same > 0, "{limit}");
                assert_eq!(fs::read_dir(cache.join("tmp")).map_or(0, Iterator::count), 0, "{limit}");
            }
        }
    }
    assert!(same > 0 && refused > 0, "{same} {refused}");
}

/// A user that nobody knows, without a home, who can write one directory.
#[test]
fn the_same_digests_as_another_user() {
    let project = checkout(false);
    let first = results(project.run(&BUILD));
    let writable = project.path("theirs");
    fs::create_dir(&writable).unwrap();
    // The binary lies where only its owner may look, perhaps.
    let binary = project.path("lapstrake");
    fs::copy(BINARY, &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let cache = writable.join("cache");
    let output = format!("oci:{}", writable.join("out").display());
    let arguments = ["build", "-o", &output, "--cache-dir", cache.to_str().unwrap()];
    let binary = binary.to_str().unwrap();
    // Files belong to the one user; the other is another uid. Without root, a user namespace changes who we are.
    let me = fs::metadata(&writable).unwrap().uid();
    let mut command = if me == 0 {
        std::os::unix::fs::chown(&writable, Some(54_321), Some(54_322)).unwrap();
        let mut command = project.wrapped(binary, &[], &arguments);
        command.uid(54_321).gid(54_322);
        command
    } else {
        project.wrapped("unshare", &["--user", "--map-root-user", "--", binary], &arguments)
    };
    command.env_remove("HOME");
    assert_eq!(results(project.end(command)), first);
    let owner = fs::metadata(writable.join("out/index.json")).unwrap().uid();
    assert_eq!(owner, if me == 0 { 54_321 } else { me }, "it was somebody else");
    assert_eq!(fs::read(writable.join("out/index.json")).unwrap(), fs::read(project.path("out/index.json")).unwrap());
}

#[test]
fn the_epoch_changes_the_date_of_the_image_and_no_layer() {
    let project = checkout(false);
    let plain = project.build();
    let mut command = project.command(&["build", "-o", "oci:dated"]);
    command.env("SOURCE_DATE_EPOCH", "1750000000");
    project.end(command).ok();
    let dated = project.layout("dated");
    for name in ["base", "app:k8s", "app:docker", "zipped"] {
        let name = format!("registry.example.com/{name}{}", if name.contains(':') { "" } else { ":latest" });
        let (one, other) = (plain.image(&name), dated.image(&name));
        assert_eq!(one.layer_digests(), other.layer_digests(), "{name}");
        assert_eq!(other.config["created"], "2025-06-15T15:06:40Z");
        assert_ne!(one.config["created"], other.config["created"]);
        assert_ne!(one.digest, other.digest);
    }
    // The flag is the variable's equal, and stronger.
    let mut command = project.command(&["build", "-o", "oci:flag", "--source-date-epoch", "1750000000"]);
    command.env("SOURCE_DATE_EPOCH", "5");
    project.end(command).ok();
    assert_eq!(project.layout("flag").index, dated.index);
}

#[test]
fn layers_are_held_to_the_form() {
    let project = checkout(false);
    let layout = project.build();
    insta::assert_snapshot!(layout.names().join("\n"), @"
        registry.example.com/app:docker
        registry.example.com/app:k8s
        registry.example.com/base:latest
        registry.example.com/zipped:latest
    ");
    let app = layout.image("registry.example.com/app:k8s");
    insta::assert_snapshot!(app.listings()[1..2].join("--\n"), @"
        d 0755 1001:1001 app/
        d 0755 0:0 etc/
        f 0644 0:0 etc/group 49
        f 0640 0:0 etc/gshadow 40
        f 0644 0:0 etc/passwd 126
        f 0640 0:0 etc/shadow 80
        d 0755 0:0 home/
        d 0700 1001:1001 home/app/
    ");
    insta::assert_snapshot!(app.listings()[2], @"
        d 0750 7:8 opt/
        d 0755 0:0 opt/lib/
        f 0644 0:0 opt/lib/a 1
        h 0644 0:0 opt/lib/b => opt/lib/a
    ");
    insta::assert_snapshot!(app.listings()[4..].join("--\n"), @"
        d 0750 1001:1001 data/
        l 0777 1001:1001 data/link -> ../etc/motd
        d 0755 0:0 etc/
        f 0644 1001:1001 etc/motd 6
        d 0755 0:0 usr/
        d 0755 0:0 usr/bin/
        f 0644 0:0 usr/bin/big 5242880 [SCHILY.xattr.security.capability]
        --
        d 0755 1001:1001 app/
        d 0755 1001:1001 app/links/
        l 0777 1001:1001 app/links/dangling -> /nowhere
        l 0777 1001:1001 app/links/link -> target
        f 0644 1001:1001 app/links/target 6
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        f 0000 0:0 usr/lib/.wh.libold.so 0
    ");
    insta::assert_snapshot!(app.history().join("\n"), @"
        base layer sha256:f1e32d308f67244516239c3596984b1ddd10a293cdaba7aea2404ca3f00ef817
        users app; homes /home/app; workdir /app of 1001:1001
        archive deps.tar.gz, to /opt
        copy src many/ *.txt one.txt, to /app
        (ENV A=1)
        (ENV B=/bin)
        (LABEL one=1)
        (LABEL two=2)
        (EXPOSE 80/tcp)
        (EXPOSE 443/tcp)
        (WORKDIR /app)
        image tools, files /etc/motd, dirs /data, symlinks /data/link, caps /bin/big, to /usr/bin
        remove /lib/libold.so, copy links, to /app
        (USER 1001:1001)
    ");
    for layer in &app.layers[1..] {
        for entry in tar::Archive::new(&layer[..]).entries().unwrap() {
            assert_eq!(entry.unwrap().header().mtime().unwrap(), 315_619_200);
        }
    }
}
