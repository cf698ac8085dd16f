//! Layers of Debian packages: what dpkg makes of them, what is chosen and why, and what of a mirror is not believed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::deb::{Deb, Packing};
use super::debian_archive::{ArchiveKey, DebianArchive, MADE};
use super::file_server::{Fault, FileServer};
use super::mirror::{Mirrored, app};
use super::support::{Base, Image, Project, Run, Tar};

/// Lays an image out in a directory, with tar.
pub(crate) fn unpacked(project: &Project, image: &Image) -> PathBuf {
    let tree = project.path("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir(&tree).unwrap();
    for layer in &image.layers {
        fs::write(project.path("layer.tar"), layer).unwrap();
        let arguments = ["-x", "--no-same-owner", "-f", "layer.tar", "-C", "tree"];
        assert!(project.wrapped("tar", &[], &arguments).status().unwrap().success());
    }
    tree
}

/// What dpkg's tools say of a tree.
pub(crate) fn dpkg(project: &Project, program: &str, arguments: &[&str]) -> String {
    let mut command: Command = project.wrapped(program, &["--root", project.path("tree").to_str().unwrap()], arguments);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{command:?}\n{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// A package with something of every kind.
fn full() -> Deb {
    Deb::new("tool", "1:1.0~rc1+b2")
        .depends("libtool1 (>= 1)")
        .field("Description", "a tool\n with a long text\n .\n in two parts")
        .conffile("etc/tool/tool.conf", "x = 1\n")
        .program("usr/bin/tool", "tool\n")
        .hardlink("usr/bin/tool-again", "usr/bin/tool")
        .symlink("usr/bin/short", "tool")
        .directory("var/lib/tool", 0o750)
        .bytes("usr/bin/as-root", 0o4755, b"as root\n")
        .bytes("usr/bin/as-staff", 0o2755, b"as staff\n")
        .owned(0, 50)
        .file("usr/share/doc/tool/README", "read me\n")
        .file("usr/share/doc/tool/copyright", "free\n")
        .file("usr/share/man/man1/tool.1", "how\n")
        .file("usr/share/locale/de/LC_MESSAGES/tool.mo", "Werkzeug\n")
        .script("postinst", "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n    true\nfi\nexit 0\n")
        .info("triggers", "activate-noawait ldconfig\n")
}

/// What makes an image one where dpkg is at home: without it, packages are written down in `status.d`.
pub(crate) fn dpkg_itself() -> Deb {
    Deb::new("dpkg", "1.22.21").program("usr/bin/dpkg", "dpkg\n")
}

fn library() -> Deb {
    Deb::new("libtool1", "1.1")
        .field("Multi-Arch", "same")
        .file("usr/lib/x86_64-linux-gnu/libtool.so.1.1", "library\n")
        .symlink("usr/lib/x86_64-linux-gnu/libtool.so.1", "libtool.so.1.1")
}

#[test]
fn dpkg_sees_what_is_there() {
    let mirrored =
        Mirrored::with([full(), library(), dpkg_itself(), Deb::all("data", "2").file("usr/share/data/x", "x")]);
    mirrored.app("[\"tool\", \"data\", \"dpkg\"]");
    let image = mirrored.build().image("app");
    let tree = unpacked(&mirrored.project, &image);
    let shown = "${db:Status-Abbrev}|${binary:Package}|${Version}|${Architecture}\n";
    assert_eq!(
        dpkg(&mirrored.project, "dpkg-query", &["-W", "-f", shown]),
        "ii |data|2|all\nii |dpkg|1.22.21|amd64\nii |libtool1:amd64|1.1|amd64\nii |tool|1:1.0~rc1+b2|amd64\n"
    );
    assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "");
    assert_eq!(dpkg(&mirrored.project, "dpkg", &["--audit"]), "");
    assert_eq!(dpkg(&mirrored.project, "dpkg-query", &["-S", "/usr/bin/tool-again"]), "tool: /usr/bin/tool-again\n");
    let listed = dpkg(&mirrored.project, "dpkg-query", &["-L", "tool"]);
    for path in ["/.", "/etc/tool/tool.conf", "/usr/bin/short", "/var/lib/tool"] {
        assert!(listed.lines().any(|line| line == path), "{path} in {listed}");
    }
    let conffiles = dpkg(&mirrored.project, "dpkg-query", &["-W", "-f", "${Conffiles}\n", "tool"]);
    assert_eq!(conffiles.trim(), "/etc/tool/tool.conf 3253b41059cac6e987c5a5e9233ea5d0");
    // It sees what is changed, too: the database is not only there to look good.
    fs::write(tree.join("usr/bin/tool"), "changed\n").unwrap();
    let changed =
        mirrored.project.wrapped("dpkg", &["--root", tree.to_str().unwrap()], &["--verify"]).output().unwrap();
    assert!(String::from_utf8_lossy(&changed.stdout).contains("/usr/bin/tool"));

    let top = image.top();
    for line in [
        "f 4755 0:0 usr/bin/as-root 8",
        "f 2755 0:50 usr/bin/as-staff 9",
        "d 0750 0:0 var/lib/tool/",
        "l 0777 0:0 usr/bin/short -> tool",
        "h 0755 0:0 usr/bin/tool-again => usr/bin/tool",
        "l 0777 0:0 bin -> usr/bin",
        "l 0777 0:0 lib64 -> usr/lib64",
    ] {
        assert!(top.lines().any(|found| found == line), "{line} in\n{top}");
    }
    // Nothing of the machine: no caches, no locks, no times.
    assert!(!top.contains("var/cache") && !top.contains("lock"), "{top}");
    assert_eq!(image.config["created"], "2023-11-14T22:13:20Z", "the newest date in the packages");
}

/// Two images for two architectures, on whatever machine this is.
#[test]
fn another_architecture_has_its_own_files() {
    let mut mirrored = Mirrored::new();
    for (architecture, directory) in [("amd64", "x86_64-linux-gnu"), ("arm64", "aarch64-linux-gnu")] {
        let library = Deb::new("libtool1", "1.1").architecture(architecture).field("Multi-Arch", "same");
        let library = library.file(&format!("usr/lib/{directory}/libtool.so.1"), architecture);
        let tool = Deb::new("tool", "1")
            .architecture(architecture)
            .depends("libtool1, data")
            .program("bin/tool", architecture);
        let dpkg = dpkg_itself().architecture(architecture);
        mirrored.archive.add("trixie", library).add("trixie", tool).add("trixie", dpkg);
    }
    mirrored.archive.add("trixie", Deb::all("data", "2").file("usr/share/data", "x")).publish();
    mirrored.recipe(&format!(
        "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{}",
        app("[\"tool\", \"dpkg\"]")
    ));
    let images = mirrored.build().platforms("app");
    for (platform, has, other) in [("amd64", "x86_64", "aarch64"), ("arm64", "aarch64", "x86_64")] {
        let image = &images[&format!("linux/{platform}")];
        let top = image.top();
        assert!(top.contains(&format!("usr/lib/{has}-linux-gnu/libtool.so.1")) && !top.contains(other), "{top}");
        assert_eq!(image.file("usr/bin/tool"), platform, "what is shipped in /bin lies in /usr/bin");
        assert_eq!(top.contains("lib64"), platform == "amd64", "{top}");
        assert_eq!(image.file("var/lib/dpkg/arch"), format!("{platform}\n"));
        unpacked(&mirrored.project, image);
        assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "");
    }
    assert_eq!(mirrored.server.count("data_2_all.deb"), 1, "what is for all is got once");
}

#[test]
fn every_compression_is_read() {
    let packings = [Packing::Plain, Packing::Gzip, Packing::Xz, Packing::Zstd];
    for suite in packings {
        let mut mirrored = Mirrored::new();
        for (number, packing) in packings.into_iter().enumerate() {
            let deb = Deb::all(&format!("p{number}"), "1")
                .file(&format!("usr/share/p{number}"), "x")
                .packed(packing, packing);
            mirrored.archive.add("trixie", deb);
        }
        mirrored.archive.suite("trixie").packing = suite;
        mirrored.archive.suite("trixie").by_hash = suite == Packing::Gzip;
        mirrored.archive.publish();
        mirrored.app("[\"p0\", \"p1\", \"p2\", \"p3\"]");
        let top = mirrored.build().image("app").top();
        assert_eq!(top.matches("usr/share/p").count(), 4, "{suite:?}: {top}");
        assert_eq!(mirrored.server.count("by-hash") > 0, suite == Packing::Gzip);
    }
}

#[test]
fn slim_and_excluded_files_are_nowhere() {
    let mirrored = Mirrored::with([full(), library(), dpkg_itself()]);
    mirrored.recipe(&format!(
        "{}exclude = [\"usr/share/locale\"]\n",
        app("{ packages = [\"tool\", \"dpkg\"], slim = true }")
    ));
    let image = mirrored.build().image("app");
    let top = image.top();
    for gone in ["README", "man1", "locale/de"] {
        assert!(!top.contains(gone), "{gone} in {top}");
    }
    assert!(top.contains("usr/share/doc/tool/copyright"), "{top}");
    unpacked(&mirrored.project, &image);
    assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "", "nothing is missing");
    let listed = dpkg(&mirrored.project, "dpkg-query", &["-L", "tool"]);
    assert!(!listed.contains("README") && listed.contains("copyright"), "{listed}");
    // Neither is a matter of the lock.
    let lock = mirrored.locked();
    mirrored.app("[\"tool\", \"dpkg\"]");
    assert!(mirrored.build_with(&["--locked"]).image("app").top().contains("README"));
    assert_eq!(mirrored.locked(), lock);
}

/// A base with a system that has dpkg, and one package in its database.
fn with_database(status: &str) -> Base {
    let control = "Package: libtool1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.1\n\
                   Maintainer: x <x@example.com>\nDescription: x\n";
    let tar =
        Tar::new().link("bin", "usr/bin").link("lib", "usr/lib").link("lib64", "usr/lib64").link("sbin", "usr/sbin");
    let tar = ["etc", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "var", "var/lib", "var/lib/dpkg"]
        .iter()
        .fold(tar, |tar, directory| tar.dir(&format!("{directory}/"), 0o755, 0, 0));
    let tar = match status {
        "status" => {
            tar.file("var/lib/dpkg/status", 0o644, &format!("{control}\n")).dir("var/lib/dpkg/info/", 0o755, 0, 0)
        }
        _ => tar.dir("var/lib/dpkg/status.d/", 0o755, 0, 0).file("var/lib/dpkg/status.d/libtool1", 0o644, control),
    };
    Base::of(tar.end())
}

#[test]
fn what_the_base_has_counts() {
    let mirrored = Mirrored::with([full(), library()]);
    let on_base = app("[\"tool\"]").replace("\"scratch\"", "\"oci:base\"");
    mirrored.recipe(&on_base);
    with_database("status").layout(&mirrored.project.path("ctx/base"));
    assert!(mirrored.lock(&[]).contains("+ debian tool 1:1.0~rc1+b2"));
    assert!(!mirrored.locked().contains("name = \"libtool1\""), "{}", mirrored.locked());
    let image = mirrored.build_with(&["--locked"]).image("app");
    let status = image.file("var/lib/dpkg/status");
    assert!(status.contains("Package: libtool1\n") && status.contains("Package: tool\n"), "{status}");
    assert!(!image.top().contains("libtool.so"), "{}", image.top());
    unpacked(&mirrored.project, &image);
    assert_eq!(dpkg(&mirrored.project, "dpkg-query", &["-W", "-f", "${Package} "]), "libtool1 tool ");
    // The base moves on, and with it what is to be pinned.
    let mut other = with_database("status");
    other.layers[0].0 = Base::debian().layers[0].0.clone();
    other.layout(&mirrored.project.path("ctx/base"));
    mirrored.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(mirrored.lock(&[]).contains("+ debian libtool1 1.1"));
    // Packages of the base are not upgraded: a newer base is.
    with_database("status").layout(&mirrored.project.path("ctx/base"));
    let mut newer = mirrored;
    newer.archive.replace("trixie", full().depends("libtool1 (>= 1.2)")).replace("trixie", {
        let mut library = library();
        library.version = "1.2".to_owned();
        library
    });
    newer.archive.publish();
    fs::remove_file(newer.project.path("lapstrake.lock")).unwrap();
    let told = newer.run(&["lock"]).fails(4);
    for words in ["tool", "libtool1", "1.1", "newer base"] {
        assert!(told.contains(words), "{words} in {told}");
    }
}

#[test]
fn an_image_without_dpkg_keeps_its_way() {
    let mirrored = Mirrored::with([full(), library()]);
    mirrored.recipe(&app("[\"tool\"]").replace("\"scratch\"", "\"oci:base\""));
    with_database("status.d").layout(&mirrored.project.path("ctx/base"));
    let image = mirrored.build().image("app");
    let top = image.top();
    assert!(!top.contains("libtool.so") && !top.contains("var/lib/dpkg/status\n"), "{top}");
    assert!(!top.contains("var/lib/dpkg/status ") && !top.contains("var/lib/dpkg/info"), "{top}");
    let text = image.file("var/lib/dpkg/status.d/tool");
    assert!(text.starts_with("Package: tool\n") && text.contains("Version: 1:1.0~rc1+b2\n"), "{text}");
    assert!(image.file("var/lib/dpkg/status.d/tool.md5sums").contains("  usr/bin/tool\n"));
    // Neither is dpkg in what is made from packages alone, unless one of them is dpkg.
    mirrored.app("[\"libtool1\"]");
    let top = mirrored.build().image("app").top();
    assert!(top.contains("var/lib/dpkg/status.d/libtool1 ") && !top.contains("var/lib/dpkg/status "), "{top}");
}

/// Each layer sees the packages of those below it, in the same image and in the one that it stands on.
#[test]
fn layers_stand_on_one_another() {
    let mirrored = Mirrored::with([
        dpkg_itself(),
        full(),
        library(),
        Deb::all("data", "2").depends("tool").file("usr/share/data", "x"),
    ]);
    mirrored.recipe(
        "[images.base]\nfrom = \"scratch\"\n[[images.base.layers]]\nname = \"libraries\"\ndebian = [\"libtool1\", \"dpkg\"]\n\
         [[images.base.layers]]\nname = \"tools\"\ndebian = [\"tool\"]\n\
         [images.app]\nfrom = \"base\"\n[[images.app.layers]]\nname = \"data\"\ndebian = [\"data\"]\n",
    );
    mirrored.lock(&[]);
    let lock = mirrored.locked();
    let entry = |layer: &str| lock.split("[[debian]]").find(|entry| entry.contains(layer)).unwrap().to_owned();
    for (layer, names) in
        [("base/libraries", &["dpkg", "libtool1"][..]), ("base/tools", &["tool"]), ("app/data", &["data"])]
    {
        let entry = entry(layer);
        let found: Vec<&str> = entry.split("{ name = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(found, names, "{entry}");
    }
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!(image.layers.len(), 3);
    unpacked(&mirrored.project, &image);
    assert_eq!(dpkg(&mirrored.project, "dpkg-query", &["-W", "-f", "${Package} "]), "data dpkg libtool1 tool ");
    assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "");
    // The link of merged /usr is made once.
    assert_eq!(image.listings().iter().filter(|listing| listing.contains(" bin -> usr/bin")).count(), 1);
}

#[test]
fn essential_packages_come_where_they_are_wanted() {
    let essential = |name: &str| Deb::all(name, "1").field("Essential", "yes").file(&format!("usr/share/{name}"), "x");
    let mirrored =
        Mirrored::with([essential("e1"), essential("e2"), Deb::all("data", "2").file("usr/share/data", "x")]);
    mirrored.app("[\"data\"]");
    assert_eq!(mirrored.lock(&[]), "+ debian data 2 (linux/amd64)\n");
    mirrored.app("{ packages = [\"data\"], essential = true }");
    let told = mirrored.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(told.contains("`essential` is new"), "{told}");
    assert_eq!(mirrored.lock(&[]), "+ debian e1 1 (linux/amd64)\n+ debian e2 1 (linux/amd64)\n");
    mirrored.app("{ packages = [], essential = true }");
    assert_eq!(mirrored.lock(&[]), "- debian data 2 (linux/amd64)\n");
}

#[test]
fn recommended_packages_and_left_out_ones() {
    let debs = [
        Deb::all("app", "1").depends("needed").field("Recommends", "nice, missing").file("usr/share/app", "x"),
        Deb::all("needed", "1").depends("heavy").file("usr/share/needed", "x"),
        Deb::all("heavy", "1").file("usr/share/heavy", "x"),
        Deb::all("nice", "1").file("usr/share/nice", "x"),
    ];
    let mirrored = Mirrored::with(debs);
    let names = |mirrored: &Mirrored| -> Vec<String> {
        let lock = mirrored.locked();
        lock.split("{ name = \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    mirrored.app("[\"app\"]");
    mirrored.lock(&[]);
    assert_eq!(names(&mirrored), ["app", "heavy", "needed"]);
    mirrored.app("{ packages = [\"app\"], recommends = true }");
    mirrored.lock(&[]);
    assert_eq!(names(&mirrored), ["app", "heavy", "needed", "nice"]);
    mirrored.app("{ packages = [\"app\"], without = [\"heavy\"] }");
    mirrored.lock(&[]);
    assert_eq!(names(&mirrored), ["app", "needed"]);
    assert!(!mirrored.build_with(&["--locked"]).image("app").top().contains("heavy"));
    mirrored.app("{ packages = [\"app\", \"heavy\"], without = [\"heavy\"] }");
    let told = mirrored.run(&["lock"]).told();
    assert!(told.contains("heavy") && told.contains("without"), "{told}");
}

#[test]
fn a_script_that_nobody_knows_stops_the_lock() {
    let script = "#!/bin/sh\nset -e\n/usr/sbin/frobnicate --all\nexit 0\n";
    let odd = Deb::all("odd", "1").file("usr/share/odd", "x").script("postinst", script);
    let mirrored =
        Mirrored::with([dpkg_itself(), Deb::all("outer", "1").depends("odd").file("usr/share/outer", "x"), odd]);
    mirrored.app("[\"outer\", \"dpkg\"]");
    for arguments in [&["lock"][..], &["build", "-o", "oci:out"]] {
        let told = mirrored.run(arguments).fails(4);
        for words in ["postinst of odd", "frobnicate", "outer", "skip_scripts = [\"odd\"]"] {
            assert!(told.contains(words), "{words} in {told}");
        }
    }
    assert!(!mirrored.project.path("lapstrake.lock").exists());
    mirrored.app("{ packages = [\"outer\", \"dpkg\"], skip_scripts = [\"odd\"] }");
    mirrored.lock(&[]);
    let lock = mirrored.locked();
    assert!(lock.contains("skipped = [\n  \"odd\",\n]"), "{lock}");
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!(image.file("var/lib/dpkg/info/odd.postinst"), script, "for who upgrades it later");
    mirrored.app("[\"outer\", \"dpkg\"]");
    mirrored.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
}

/// What debhelper adds is known by its marks; what is known and left out is told, and `strict` wants none of it.
#[test]
fn what_is_left_out_is_told() {
    let script = "#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd/13.24.2\n\
                  deb-systemd-helper enable 'daemon.service' >/dev/null || true\n# End automatically added section\n";
    let mirrored = Mirrored::with([Deb::all("daemon", "1").file("usr/share/daemon", "x").script("postinst", script)]);
    mirrored.app("[\"daemon\"]");
    let run = mirrored.run(&["lock"]).ok();
    assert!(run.told().contains("daemon") && run.told().contains("start services"), "{}", run.told());
    mirrored.app("{ packages = [\"daemon\"], strict = true }");
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    let told = mirrored.run(&["lock"]).fails(4);
    assert!(told.contains("daemon") && told.contains("strict"), "{told}");
}

#[test]
fn a_conflict_says_how_each_came_in() {
    let debs = [
        Deb::all("app", "1").depends("left, right"),
        Deb::all("left", "1").depends("lower"),
        Deb::all("lower", "1").field("Conflicts", "right"),
        Deb::all("right", "1"),
    ];
    let mirrored = Mirrored::with(debs);
    mirrored.app("[\"app\"]");
    let told = mirrored.run(&["lock"]).fails(4);
    for words in ["app → left → lower", "app → right", "conflicts with"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let mirrored =
        Mirrored::with([Deb::all("app", "1").depends("middle"), Deb::all("middle", "1").depends("nothing (>= 3)")]);
    mirrored.app("[\"app\"]");
    let told = mirrored.run(&["lock"]).fails(4);
    for words in ["app → middle", "nothing (>= 3)"] {
        assert!(told.contains(words), "{words} in {told}");
    }
}

#[test]
fn two_packages_with_one_file_are_told_with_its_path() {
    let one = |name: &str| Deb::all(name, "1").file("usr/share/same", name);
    let mirrored = Mirrored::with([one("first"), one("second")]);
    mirrored.app("[\"first\", \"second\"]");
    let told = mirrored.run(&["build", "-o", "oci:out"]).told();
    for words in ["usr/share/same", "first", "second"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(!mirrored.project.path("out").exists());
    // One that says so takes the other's place, as dpkg has it.
    for (older, newer) in [("first", "second"), ("second", "first")] {
        let mirrored = Mirrored::with([dpkg_itself(), one(older), one(newer).field("Replaces", older)]);
        mirrored.app("[\"first\", \"second\", \"dpkg\"]");
        let image = mirrored.build().image("app");
        assert_eq!(image.file("usr/share/same"), newer);
        unpacked(&mirrored.project, &image);
        assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "");
        let owner = dpkg(&mirrored.project, "dpkg-query", &["-S", "/usr/share/same"]);
        assert_eq!(owner, format!("{newer}: /usr/share/same\n"));
    }
}

#[test]
fn names_that_are_wrong_are_told_where_they_stand() {
    let mut mirrored = Mirrored::with([full(), library()]);
    mirrored.archive.add("trixie", Deb::new("only-arm", "1").architecture("arm64")).publish();
    for (asked, words) in [
        ("[\"libtol1\"]", &["libtol1", "libtool1"][..]),
        ("[\"tool=9\"]", &["tool=9", "1:1.0~rc1+b2"]),
        ("[\"only-arm\"]", &["only-arm"]),
    ] {
        mirrored.app(asked);
        let told = mirrored.run(&["lock"]).fails(4);
        for word in [words, &["lapstrake.toml:"]].concat() {
            assert!(told.contains(word), "{word} in {told}");
        }
    }
    // The archive is there, and the suite, component or architecture is not.
    for (debian, word) in [
        ("suites = [\"trixy\"]\nkeyring = \"debian.gpg\"", "trixy"),
        ("suites = [\"trixie\"]\ncomponents = [\"contrib\"]\nkeyring = \"debian.gpg\"", "contrib"),
        ("keyring = \"debian.gpg\"", "suites"),
    ] {
        mirrored.recipe_of(debian, &app("[\"tool\"]"));
        let run = mirrored.run(&["lock"]);
        assert!(matches!(run.code, Some(3 | 4)), "{:?} {}", run.code, run.told());
        assert!(run.told().contains(word) && run.told().contains("lapstrake.toml:"), "{}", run.told());
    }
    mirrored.recipe(&format!("[defaults]\nplatforms = [\"linux/riscv64\"]\n{}", app("[\"tool\"]")));
    let told = mirrored.run(&["lock"]).told();
    assert!(told.contains("riscv64") && told.contains("amd64"), "{told}");
}

#[test]
fn versions_and_suites_can_be_asked_for() {
    let tool = |version: &str| Deb::all("tool", version).file("usr/share/tool", version);
    let mut mirrored = Mirrored::with([tool("1.0"), tool("1.5")]);
    mirrored.archive.add("trixie-backports", tool("2.0")).suite("trixie-backports").not_automatic = true;
    mirrored.archive.add("trixie-security", tool("1.5+deb13u1")).publish();
    // Security's archive is the neighbour of Debian's.
    let security = mirrored.project.path("mirror/debian-security/dists");
    fs::create_dir_all(&security).unwrap();
    fs::rename(mirrored.project.path("mirror/debian/dists/trixie-security"), security.join("trixie-security")).unwrap();
    let pool = mirrored.project.path("mirror/debian-security/pool/main/t/tool");
    fs::create_dir_all(&pool).unwrap();
    let name = "tool_1.5+deb13u1_all.deb";
    fs::rename(mirrored.project.path("mirror/debian/pool/main/t/tool").join(name), pool.join(name)).unwrap();
    for (suites, asked, version, archive) in [
        ("\"trixie\"", "tool", "1.5", "debian"),
        ("\"trixie\"", "tool=1.0", "1.0", "debian"),
        ("\"trixie\", \"trixie-backports\"", "tool", "1.5", "debian"),
        ("\"trixie\", \"trixie-backports\"", "tool/trixie-backports", "2.0", "debian"),
        ("\"trixie-security\", \"trixie\"", "tool", "1.5+deb13u1", "debian-security"),
        ("\"trixie\", \"trixie-security\"", "tool", "1.5+deb13u1", "debian-security"),
    ] {
        let _ = fs::remove_file(mirrored.project.path("lapstrake.lock"));
        mirrored.recipe_of(&format!("suites = [{suites}]\nkeyring = \"debian.gpg\""), &app(&format!("[\"{asked}\"]")));
        assert_eq!(mirrored.lock(&[]), format!("+ debian tool {version} (linux/amd64)\n"), "{suites} {asked}");
        assert!(mirrored.locked().contains(&format!("archive = \"{archive}\"")), "{}", mirrored.locked());
        assert_eq!(mirrored.build_with(&["--locked"]).image("app").file("usr/share/tool"), version);
    }
}

#[test]
fn a_package_of_the_context_needs_no_archive() {
    let project = Project::empty();
    let deb = full().depends("other");
    project.write("ctx/dist/tool.deb", deb.build());
    project.write("ctx/dist/other-amd64.deb", Deb::new("other", "3").file("usr/share/other", "x").build());
    project.write("ctx/dist/dpkg.deb", dpkg_itself().build());
    project.recipe(&app("[\"dist/tool.deb\", \"dist/other-{arch}.deb\", \"dist/dpkg.deb\"]"));
    // Nobody says where Debian is, and nothing is asked.
    let run = project.run(&["lock", "--offline"]).ok();
    assert_eq!(
        run.stdout(),
        "+ debian dpkg 1.22.21 (linux/amd64)\n+ debian other 3 (linux/amd64)\n+ debian tool 1:1.0~rc1+b2 (linux/amd64)\n"
    );
    let first = project.run(&["build", "--locked", "--offline", "-o", "oci:out"]).ok();
    let image = project.layout("out").image("app");
    assert_eq!((image.file("usr/bin/tool"), image.file("usr/share/other")), ("tool\n".into(), "x".into()));
    unpacked(&project, &image);
    assert_eq!(dpkg(&project, "dpkg", &["--verify"]), "");
    // Another file at that path is another question.
    project.write("ctx/dist/other-amd64.deb", Deb::new("other", "4").file("usr/share/other", "y").build());
    let told = project.run(&["build", "--locked", "--offline", "-o", "oci:out"]).fails(4);
    assert!(told.contains("dist/other-amd64.deb"), "{told}");
    let run = project.run(&["build", "--offline", "-o", "oci:out"]).ok();
    assert_ne!(run.digests(), first.digests());
    // What is missing, and what is none.
    project.recipe(&app("[\"dist/missing.deb\"]"));
    let told = project.run(&["lock"]).fails(3);
    assert!(told.contains("dist/missing.deb") && told.contains("lapstrake.toml:"), "{told}");
    project.write("ctx/dist/bad.deb", "no package").recipe(&app("[\"dist/bad.deb\"]"));
    let told = project.run(&["lock"]).fails(3);
    assert!(told.contains("dist/bad.deb"), "{told}");
    project
        .write("ctx/dist/arm.deb", Deb::new("arm", "1").architecture("arm64").build())
        .recipe(&app("[\"dist/arm.deb\"]"));
    let run = project.run(&["lock"]);
    assert!(matches!(run.code, Some(3 | 4)) && run.told().contains("arm64"), "{}", run.told());
    // With an archive, its dependencies come from there.
    let mirrored = Mirrored::with([library()]);
    mirrored.project.write("ctx/tool.deb", full().build());
    mirrored.app("[\"tool.deb\"]");
    assert!(mirrored.lock(&[]).contains("+ debian libtool1 1.1"));
}

/// An archive beside Debian's, with a key, a place and an origin of its own.
#[test]
fn another_archive_has_its_own_key() {
    let mut mirrored = Mirrored::with([full(), library()]);
    let mut company = DebianArchive::new(&mirrored.project.path("mirror/company"));
    company.origin = "Company".to_owned();
    company.key = ArchiveKey::new(5);
    company.add_to("stable", "apps", Deb::all("inner", "7").depends("tool").file("usr/share/inner", "x")).publish();
    mirrored.project.write("ctx/company.asc", company.key.armored());
    let recipe = |mirrored: &Mirrored, keyring: &str, origin: &str| {
        mirrored.recipe(&format!(
            "[debian.archives.company]\nmirror = \"{}\"\nsuites = [\"stable\"]\ncomponents = [\"apps\"]\nkeyring = \"{keyring}\"\norigin = \"{origin}\"\n{}",
            mirrored.server.url("/company"),
            app("[\"inner\"]")
        ));
    };
    recipe(&mirrored, "company.asc", "Company");
    mirrored.lock(&[]);
    let lock = mirrored.locked();
    assert!(lock.contains("archive = \"company\"") && lock.contains("archive = \"debian\""), "{lock}");
    assert!(!lock.contains("127.0.0.1"), "{lock}");
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!(image.file("usr/share/inner"), "x");
    // Neither key is good for the other archive, and each says who it is.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    recipe(&mirrored, "debian.gpg", "Company");
    let told = mirrored.run(&["lock"]).fails(5);
    assert!(told.contains("company/dists/stable/InRelease"), "{told}");
    recipe(&mirrored, "company.asc", "Somebody");
    let told = mirrored.run(&["lock"]).fails(5);
    assert!(told.contains("Origin") && told.contains("Somebody"), "{told}");
    mirrored.archive.key = ArchiveKey::new(5);
    mirrored.archive.publish();
    recipe(&mirrored, "company.asc", "Company");
    mirrored.run(&["lock"]).fails(5);
}

/// What is wrong with the mirror, and what is said.
fn refused(mirrored: &Mirrored, words: &[&str]) {
    let told = mirrored.run(&["build", "-o", "oci:out"]).fails(5);
    for word in words {
        assert!(told.contains(word), "{word} in {told}");
    }
    assert!(!mirrored.project.path("out").exists() && !mirrored.project.path("lapstrake.lock").exists());
}

#[test]
fn a_release_that_nobody_vouches_for_is_not_believed() {
    let good = || {
        let mirrored = Mirrored::with([full(), library()]);
        mirrored.app("[\"tool\"]");
        mirrored
    };
    let mut mirrored = good();
    mirrored.archive.key = ArchiveKey::new(7);
    mirrored.archive.publish();
    refused(&mirrored, &["debian/dists/trixie/InRelease", "no signature"]);

    let mirrored = good();
    let path = mirrored.project.path("mirror/debian/dists/trixie/InRelease");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("Codename: trixie", "Codename: trixie \nX: y", 1)).unwrap();
    refused(&mirrored, &["InRelease", "not believed"]);
    fs::write(&path, text.split("-----BEGIN PGP SIGNATURE").next().unwrap()).unwrap();
    refused(&mirrored, &["InRelease", "no signature"]);
    fs::write(&path, "<html>Log in</html>").unwrap();
    refused(&mirrored, &["InRelease", "signed message"]);

    let mut mirrored = good();
    mirrored.archive.suite("trixie").valid_until = Some(MADE + 7 * 86_400);
    mirrored.archive.publish();
    refused(&mirrored, &["no longer valid", "2023-11-21"]);

    let mut mirrored = good();
    mirrored.archive.suite("trixie").date = 4_000_000_000;
    mirrored.archive.publish();
    refused(&mirrored, &["future"]);

    // A good release of another suite.
    let mut mirrored = good();
    mirrored.archive.suite("trixie").codename = Some("bookworm".to_owned());
    mirrored.archive.suite("trixie").suite = Some("oldstable".to_owned());
    mirrored.archive.publish();
    refused(&mirrored, &["trixie", "oldstable"]);

    // Debian's own key and name, where the recipe has no other.
    let mirrored = good();
    mirrored.recipe_of("suites = [\"trixie\"]", &app("[\"tool\"]"));
    refused(&mirrored, &["InRelease"]);
}

#[test]
fn an_old_release_is_good_for_what_is_locked() {
    let mut mirrored = Mirrored::with([full(), library()]);
    mirrored.app("[\"tool\"]");
    mirrored.lock(&[]);
    mirrored.archive.suite("trixie").valid_until = Some(MADE + 7 * 86_400);
    mirrored.archive.publish();
    mirrored.build_with(&["--locked", "--cache-dir", "cold"]);
}

#[test]
fn files_that_are_others_than_the_archive_says_are_refused() {
    let good = || {
        let mirrored = Mirrored::with([full(), library()]);
        mirrored.app("[\"tool\"]");
        mirrored
    };
    let mirrored = good();
    mirrored.server.fault("libtool1_1.1_amd64.deb", usize::MAX, Fault::Flip);
    refused(&mirrored, &["libtool1 1.1"]);
    let mirrored = good();
    mirrored.server.fault("libtool1_1.1_amd64.deb", usize::MAX, Fault::Longer);
    refused(&mirrored, &["libtool1 1.1"]);
    let mirrored = good();
    let path = mirrored.project.path("mirror/debian/pool/main/l/libtool1/libtool1_1.1_amd64.deb");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 2]).unwrap();
    refused(&mirrored, &["libtool1 1.1"]);
    // A captive portal's page in its place.
    fs::write(&path, "<html>Log in</html>").unwrap();
    refused(&mirrored, &["libtool1 1.1"]);
    let mirrored = good();
    mirrored.server.fault("by-hash", usize::MAX, Fault::Flip);
    mirrored.server.fault("Packages.xz", usize::MAX, Fault::Flip);
    refused(&mirrored, &["trixie", "Packages"]);
    let mirrored = good();
    mirrored.server.fault("by-hash", usize::MAX, Fault::Status(404));
    mirrored.build();
    // The same for a build from a lock.
    let mirrored = good();
    mirrored.lock(&[]);
    mirrored.server.fault("libtool1_1.1_amd64.deb", usize::MAX, Fault::Flip);
    let told = mirrored.run(&["build", "--locked", "--cache-dir", "cold", "-o", "oci:out"]).fails(5);
    assert!(told.contains("libtool1 1.1"), "{told}");
    assert!(!mirrored.project.path("out").exists());
}

/// Packages are signed for, and still may do nothing outside of the image.
#[test]
fn packages_that_reach_out_are_refused() {
    let reaches: [(&str, Deb); 5] = [
        ("a path", Deb::all("evil", "1").file("../../evil", "x")),
        ("a rooted path", Deb::all("evil", "1").file("usr/../../evil", "x")),
        ("a hard link", Deb::all("evil", "1").hardlink("usr/share/evil", "../../etc/passwd")),
        ("a device", Deb::all("evil", "1").device("dev/evil")),
        (
            "a link and a file through it",
            Deb::all("evil", "1").symlink("usr/share/evil", "/../../..").file("usr/share/evil/x", "x"),
        ),
    ];
    for (what, deb) in reaches {
        let mirrored = Mirrored::with([deb]);
        mirrored.app("[\"evil\"]");
        let run = mirrored.run(&["build", "-o", "oci:out"]);
        assert!(matches!(run.code, Some(1 | 4 | 5)), "{what}: {:?} {}", run.code, run.told());
        assert!(run.told().contains("evil"), "{what}: {}", run.told());
        assert!(!mirrored.project.path("out").exists(), "{what}");
    }
    // A package that is not the one that its index says.
    let mut mirrored = Mirrored::with([full(), library()]);
    mirrored.app("[\"tool\"]");
    mirrored.archive.remove("trixie", "libtool1");
    mirrored.archive.add("trixie", library().field("Filename", "../../../etc/passwd"));
    mirrored.archive.publish();
    let run = mirrored.run(&["build", "-o", "oci:out"]);
    assert!(matches!(run.code, Some(4 | 5)), "{:?} {}", run.code, run.told());
}

/// Numbers of accounts stay, whatever comes later.
#[test]
fn accounts_of_services_have_pinned_numbers() {
    let master = |file: &str, text: &str| (format!("usr/share/base-passwd/{file}.master"), text.to_owned());
    let mut passwd = Deb::new("base-passwd", "3.6");
    for (path, text) in [
        master(
            "passwd",
            "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        master("group", "root:*:0:\nstaff:*:50:\nnogroup:*:65534:\n"),
    ] {
        passwd = passwd.file(&path, &text);
    }
    let service = |name: &str| {
        let line = format!("u {name} - \"A service\" /var/lib/{name}\n");
        let script = "#!/bin/sh\nset -e\n# Automatically added by dh_installsysusers/13.24.2\nsystemd-sysusers x.conf\n# End automatically added section\n";
        Deb::all(name, "1").file(&format!("usr/lib/sysusers.d/{name}.conf"), &line).script("postinst", script)
    };
    let mirrored = Mirrored::with([passwd, service("middle"), service("alpha"), service("zeta")]);
    mirrored.app("[\"base-passwd\", \"zeta\", \"middle\"]");
    mirrored.lock(&[]);
    assert!(mirrored.locked().contains("\"middle\" = "), "{}", mirrored.locked());
    let numbers = |mirrored: &Mirrored| -> Vec<String> {
        let passwd = mirrored.build_with(&["--locked"]).image("app").file("etc/passwd");
        passwd.lines().filter(|line| line.contains("A service")).map(str::to_owned).collect()
    };
    let first = numbers(&mirrored);
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].starts_with("middle:") && first[0].contains(":/var/lib/middle:"), "{first:?}");
    // One whose name comes first takes nobody's number.
    mirrored.app("[\"base-passwd\", \"zeta\", \"middle\", \"alpha\"]");
    assert_eq!(mirrored.lock(&[]), "+ debian alpha 1 (linux/amd64)\n");
    let second = numbers(&mirrored);
    assert_eq!(second.len(), 3);
    assert!(first.iter().all(|line| second.contains(line)), "{first:?} {second:?}");
}

/// The names and passwords of mirrors are used, and told nowhere.
#[test]
fn logins_of_mirrors_are_not_told() {
    let mirrored = Mirrored::with([full(), library()]);
    mirrored.app("[\"tool\"]");
    mirrored.server.require("me", "hunter2-secret");
    let with = |login: &str, arguments: &[&str]| -> Run {
        let mut command = mirrored.command(arguments);
        command.env("LAPSTRAKE_DEBIAN_MIRROR", mirrored.server.url_of(login, "/debian"));
        mirrored.project.end(command)
    };
    let told = mirrored.run(&["lock"]).fails(5);
    assert!(told.contains("401"), "{told}");
    let run = with("me:other-secret", &["lock"]);
    assert!(run.code == Some(5) && !run.stderr.contains("other-secret"), "{}", run.stderr);
    let run = with("me:hunter2-secret", &["build", "-o", "oci:out", "--progress", "plain"]).ok();
    assert!(!run.stderr.contains("hunter2-secret") && !mirrored.locked().contains("secret"), "{}", run.stderr);
    // Nothing of it is kept in the cache either.
    let grep = mirrored.project.wrapped("grep", &["-r", "-l", "hunter2-secret"], &["home"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

/// Where nobody says where Debian is, what can be said is.
#[test]
fn somebody_must_say_where_debian_is() {
    let mirrored = Mirrored::with([full(), library()]);
    mirrored.recipe_of(
        "suites = [\"trixie\"]\nkeyring = \"debian.gpg\"\n[debian.archives.company]\nsuites = [\"stable\"]\nkeyring = \"debian.gpg\"",
        &app("[\"tool\"]"),
    );
    let told = mirrored.run(&["lock"]).told();
    for word in ["company", "mirror", "LAPSTRAKE_DEBIAN_MIRROR", "apt"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    // One variable names several.
    let mut company = DebianArchive::new(&mirrored.project.path("mirror/company"));
    company.add("stable", Deb::all("inner", "1")).publish();
    let mut command = mirrored.command(&["lock"]);
    let both = format!("debian={} company={}", mirrored.server.url("/debian"), mirrored.server.url("/company"));
    command.env("LAPSTRAKE_DEBIAN_MIRROR", both);
    mirrored.project.end(command).ok();
}

/// A server that sends everybody to the mirror next door.
#[test]
fn redirects_are_followed() {
    let mirrored = Mirrored::with([full(), library()]);
    mirrored.app("[\"tool\"]");
    mirrored.lock(&[]);
    let lock = mirrored.locked();
    let front = FileServer::start();
    for asked in mirrored.server.log() {
        front.fault(&asked.target, usize::MAX, Fault::Redirect(mirrored.server.url(&asked.target)));
    }
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    mirrored.project.end(mirrored.at(&front, &["build", "--cache-dir", "cold", "-o", "oci:out"])).ok();
    assert_eq!(mirrored.locked(), lock);
    assert!(front.log().iter().all(|asked| asked.status == 302), "{:?}", front.log());
}
