//! `lapstrake lock`, and the lock as `build` finds and leaves it: what is pinned, what moves, and when it is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use super::deb::Deb;
use super::file_server::{Fault, FileServer};
use super::mirror::{Mirrored, app};
use super::support::{Project, Run};

fn tool(version: &str) -> Deb {
    Deb::new("tool", version).depends("libtool1 (>= 1)").program("usr/bin/tool", &format!("tool {version}\n"))
}

fn library(version: &str) -> Deb {
    Deb::new("libtool1", version).file("usr/lib/libtool.so.1", &format!("library {version}\n"))
}

/// A tool with its library, and something that stands alone.
fn tools() -> Mirrored {
    let mirrored = Mirrored::with([tool("1.0"), library("1.1"), Deb::all("alone", "3").file("usr/share/alone", "3\n")]);
    mirrored.app("[\"tool\"]");
    mirrored
}

/// Newer versions of everything, as an archive has them after an update.
fn moved(mirrored: &mut Mirrored) {
    mirrored.archive.replace("trixie", tool("2.0")).replace("trixie", library("1.2"));
    mirrored.archive.suite("trixie").date += 86_400;
    mirrored.archive.publish();
}

/// Newer versions beside the old ones.
fn grown(mirrored: &mut Mirrored) {
    mirrored.archive.add("trixie", tool("2.0")).add("trixie", library("1.2"));
    mirrored.archive.add("trixie", Deb::all("alone", "4").file("usr/share/alone", "4\n"));
    mirrored.archive.suite("trixie").date += 86_400;
    mirrored.archive.publish();
}

#[test]
fn what_changed_is_printed_and_nothing_changes_twice() {
    let mut mirrored = tools();
    assert_eq!(mirrored.lock(&[]), "+ debian libtool1 1.1 (linux/amd64)\n+ debian tool 1.0 (linux/amd64)\n");
    let first = mirrored.locked();
    let again = mirrored.run(&["lock"]).ok();
    assert_eq!((again.stdout().as_str(), mirrored.locked()), ("", first.clone()));
    assert!(again.told().contains("up to date"), "{}", again.told());
    // Newer versions are there, and nobody asked for them.
    grown(&mut mirrored);
    assert_eq!((mirrored.lock(&[]).as_str(), mirrored.locked()), ("", first));
    assert_eq!(
        mirrored.lock(&["--update"]),
        "~ debian libtool1 1.1 → 1.2 (linux/amd64)\n~ debian tool 1.0 → 2.0 (linux/amd64)\n"
    );
    mirrored.app("[\"alone\"]");
    assert_eq!(
        mirrored.lock(&[]),
        "+ debian alone 4 (linux/amd64)\n- debian libtool1 1.2 (linux/amd64)\n- debian tool 2.0 (linux/amd64)\n"
    );
    mirrored.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    assert_eq!(mirrored.lock(&[]), "- debian alone 4 (linux/amd64)\n");
}

#[test]
fn one_name_moves_alone() {
    let mut mirrored = tools();
    mirrored.lock(&[]);
    grown(&mut mirrored);
    assert_eq!(mirrored.lock(&["--update", "libtool1"]), "~ debian libtool1 1.1 → 1.2 (linux/amd64)\n");
    assert_eq!(mirrored.lock(&["--update", "tool"]), "~ debian tool 1.0 → 2.0 (linux/amd64)\n");
    let before = mirrored.locked();
    let told = mirrored.run(&["lock", "--update", "libtol1"]).fails(2);
    assert!(told.contains("libtol1") && told.contains("`libtool1`"), "{told}");
    assert_eq!(mirrored.locked(), before);
}

/// A name that moves takes along what it needs in a newer version, and nothing else.
#[test]
fn one_name_takes_along_what_it_needs() {
    let mut mirrored = tools();
    mirrored.app("[\"tool\", \"alone\"]");
    mirrored.lock(&[]);
    mirrored.archive.add("trixie", library("1.2")).add("trixie", tool("2.0").depends("libtool1 (>= 1.2)"));
    mirrored.archive.add("trixie", Deb::all("alone", "4")).publish();
    assert_eq!(
        mirrored.lock(&["--update", "tool"]),
        "~ debian libtool1 1.1 → 1.2 (linux/amd64)\n~ debian tool 1.0 → 2.0 (linux/amd64)\n"
    );
}

#[test]
fn a_new_package_leaves_the_others_where_they_are() {
    let mut mirrored = tools();
    mirrored.lock(&[]);
    grown(&mut mirrored);
    mirrored.app("[\"tool\", \"alone\"]");
    assert_eq!(mirrored.lock(&[]), "+ debian alone 4 (linux/amd64)\n");
    // One that is taken away, too.
    mirrored.app("[\"tool\"]");
    assert_eq!(mirrored.lock(&[]), "- debian alone 4 (linux/amd64)\n");
    // The same where a build does it.
    mirrored.app("[\"tool\", \"alone\"]");
    let image = mirrored.build().image("app");
    assert_eq!((image.file("usr/bin/tool"), image.file("usr/share/alone")), ("tool 1.0\n".into(), "4\n".into()));
}

/// What the archive no longer has is a reason to update, which is for people to decide.
#[test]
fn what_left_the_archive_stays_where_it_is() {
    let mut mirrored = tools();
    mirrored.lock(&[]);
    moved(&mut mirrored);
    assert_eq!(mirrored.lock(&[]), "");
    mirrored.app("[\"tool\", \"alone\"]");
    assert_eq!(mirrored.lock(&[]), "+ debian alone 3 (linux/amd64)\n");
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!(image.file("usr/bin/tool"), "tool 1.0\n");
}

#[test]
fn two_machines_make_the_same_lock() {
    let one = tools();
    one.lock(&[]);
    let text = one.locked();
    for word in ["127.0.0.1", "localhost", "http", "file:", one.project.root().to_str().unwrap()] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
    // Another user with another home, cache, time zone, language and mask; another port, scheme and place of the mirror.
    let other = FileServer::of(one.project.path("mirror"));
    let home = one.project.path("elsewhere");
    fs::create_dir(&home).unwrap();
    let mut commands = vec![
        one.at(&other, &["lock"]),
        one.project.command(&["lock", "-j1"]),
        one.project.wrapped("sh", &["-c", "umask 077; exec \"$0\" \"$@\"", super::support::BINARY], &["lock"]),
    ];
    commands[0].env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8").env("HOME", &home);
    let directory = format!("file://{}", one.project.path("mirror/debian").display());
    commands[1].env("LAPSTRAKE_DEBIAN_MIRROR", directory).env("LAPSTRAKE_CACHE_DIR", one.project.path("cache-2"));
    commands[2].env("LAPSTRAKE_DEBIAN_MIRROR", other.url("/debian/")).env_remove("HOME");
    for command in commands {
        fs::remove_file(one.project.path("lapstrake.lock")).unwrap();
        let shown = format!("{command:?}");
        one.project.end(command).ok();
        assert_eq!(one.locked(), text, "{shown}");
    }
    // A mirror that the recipe names is no part of it either.
    let mirror = format!("suites = [\"trixie\"]\nkeyring = \"debian.gpg\"\nmirror = \"{}\"", other.url("/debian"));
    one.recipe_of(&mirror, &app("[\"tool\"]"));
    fs::remove_file(one.project.path("lapstrake.lock")).unwrap();
    one.project.run(&["lock"]).ok();
    assert_eq!(one.locked(), text);
}

#[test]
fn a_build_without_a_lock_makes_one_and_says_so() {
    let mirrored = tools();
    let run = mirrored.run(&["build", "-o", "oci:out"]).ok();
    assert!(run.told().contains("there was no lock") && run.told().contains("lapstrake.lock"), "{}", run.told());
    let text = mirrored.locked();
    let again = mirrored.run(&["build", "-o", "oci:out"]).ok();
    assert_eq!(mirrored.locked(), text);
    assert!(!again.told().contains("lock"), "{}", again.told());
    assert_eq!(mirrored.lock(&[]), "", "it is the one that `lock` makes");
    assert_eq!(mirrored.locked(), text);
    // The recipe moves on: the build follows, and says so.
    mirrored.app("[\"tool\", \"alone\"]");
    let run = mirrored.run(&["build", "-o", "oci:out"]).ok();
    assert!(run.told().contains("lapstrake.lock"), "{}", run.told());
    assert!(mirrored.locked().contains("\"alone\""));
}

/// The binary as somebody who may not write into the checkout.
fn as_other_user(mirrored: &Mirrored, arguments: &[&str]) -> Run {
    let mut command = mirrored.command(arguments);
    command.env("HOME", "/nonexistent");
    if rustix::process::getuid().is_root() {
        command.uid(54_321).gid(54_322);
    }
    mirrored.project.end(command)
}

#[test]
fn in_a_read_only_checkout_the_lock_stays_in_memory() {
    let mirrored = tools();
    mirrored.project.write("w/x", "").chmod("w", 0o777);
    for directory in ["", "ctx", "home"] {
        mirrored.project.chmod(directory, 0o555);
    }
    let run = as_other_user(&mirrored, &["build", "-o", "oci:w/one", "--cache-dir", "w/cache-1"]).ok();
    assert!(run.told().contains("in memory"), "{}", run.told());
    assert!(!mirrored.project.path("lapstrake.lock").exists());
    mirrored.project.chmod("", 0o755);
    let with_lock = mirrored.run(&["build", "-o", "oci:two"]).ok();
    assert!(mirrored.project.path("lapstrake.lock").exists());
    assert_eq!(run.digests(), with_lock.digests());
    // Where the lock is what was asked for, it is an error that it cannot be written.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    mirrored.project.chmod("", 0o555);
    let told = as_other_user(&mirrored, &["lock", "--cache-dir", "w/cache-2"]).code(1).told();
    assert!(told.contains("lapstrake.lock"), "{told}");
    // A lock that is there and good is used as it is, and nothing is said of it.
    mirrored.project.chmod("", 0o755);
    mirrored.lock(&[]);
    mirrored.project.chmod("", 0o555);
    let run = as_other_user(&mirrored, &["build", "-o", "oci:w/three", "--cache-dir", "w/cache-1"]).ok();
    assert_eq!(run.digests(), with_lock.digests());
    assert!(!run.told().contains("lock"), "{}", run.told());
    for directory in ["", "ctx", "home"] {
        fs::set_permissions(mirrored.project.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_locked_build_needs_a_lock_that_fits() {
    let mut mirrored = tools();
    let locked = |mirrored: &Mirrored| mirrored.run(&["build", "--locked", "-o", "oci:out"]);
    let told = locked(&mirrored).fails(4);
    assert!(told.contains("lapstrake.lock") && told.contains("`lapstrake lock`"), "{told}");
    assert!(!mirrored.project.path("out").exists());
    mirrored.lock(&[]);
    let good = mirrored.locked();
    let digests = locked(&mirrored).ok().digests();

    // Out of date: what changed is named, and what to do.
    mirrored.app("[\"tool\", \"alone\"]");
    let told = locked(&mirrored).fails(4);
    for words in ["alone", "app/packages", "linux/amd64", "lapstrake lock"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(!told.contains("edited"), "{told}");
    mirrored.app("[\"alone\"]");
    let told = locked(&mirrored).fails(4);
    assert!(told.contains("package alone") && told.contains("package tool"), "both that came and went: {told}");
    mirrored.app("[\"tool\"]");
    let told = mirrored.run(&["build", "--locked", "--platform", "linux/arm64", "-o", "oci:out"]).fails(4);
    assert!(told.contains("linux/arm64"), "{told}");
    mirrored.recipe("[images.other]\nfrom = \"scratch\"\n[[images.other.layers]]\ndebian = [\"alone\"]\n");
    locked(&mirrored).fails(4);
    assert_eq!(mirrored.locked(), good, "a locked build changes no lock");

    // Edited: said in other words.
    mirrored.app("[\"tool\"]");
    for (from, to) in [
        ("version = \"1.0\"", "version = \"1.1\""),
        ("tool_1.0_amd64.deb", "tool_2.0_amd64.deb"),
        ("archive = \"debian\"", "archive = \"company\""),
    ] {
        mirrored.project.write("lapstrake.lock", good.replacen(from, to, 1));
        let told = locked(&mirrored).fails(4);
        assert!(told.contains("edited") && told.contains("app/packages"), "{told}");
    }
    mirrored.project.write("lapstrake.lock", good.replace("[[debian]]", "[[debain]]"));
    assert!(locked(&mirrored).fails(4).contains("line "));
    mirrored.project.write("lapstrake.lock", &good[..good.len() / 2]);
    locked(&mirrored).fails(4);
    // Other numbers: what is done natively may have changed since.
    for (name, other) in [("format", "7"), ("effects", "99"), ("lock", "2")] {
        let lines: Vec<String> = good
            .lines()
            .map(|line| match line.split_once('=') {
                Some((key, _)) if key.trim() == name => format!("{name} = {other}"),
                _ => line.to_owned(),
            })
            .collect();
        mirrored.project.write("lapstrake.lock", lines.join("\n"));
        let told = locked(&mirrored).fails(4);
        assert!(told.contains(other) && told.contains("lock again"), "{name}: {told}");
    }
    // It is read as it was written.
    mirrored.project.write("lapstrake.lock", &good);
    grown(&mut mirrored);
    assert_eq!(locked(&mirrored).ok().digests(), digests);
}

/// An edited or broken lock is no lock: `lock` makes it anew, and `build` does not silently.
#[test]
fn a_broken_lock_is_made_anew_by_lock_alone() {
    let mirrored = tools();
    mirrored.lock(&[]);
    let good = mirrored.locked();
    mirrored.project.write("lapstrake.lock", good.replace("1.0", "1.5"));
    mirrored.run(&["build", "-o", "oci:out"]).fails(4);
    let run = mirrored.run(&["lock"]).ok();
    assert!(run.told().contains("edited"), "{}", run.told());
    assert_eq!(mirrored.locked(), good);
}

/// Fails where what somebody edited in one entry moves what is pinned in others, or is taken for what was locked.
#[test]
fn one_edited_entry_is_locked_anew_and_the_others_stay() {
    let mut mirrored = tools();
    mirrored.recipe(
        "[images.one]\nfrom = \"scratch\"\n[[images.one.layers]]\ndebian = [\"tool\"]\n\
         [images.two]\nfrom = \"scratch\"\n[[images.two.layers]]\ndebian = [\"alone\"]\n",
    );
    mirrored.lock(&[]);
    let good = mirrored.locked();
    grown(&mut mirrored);
    let edited = good.replacen("version = \"3\"", "version = \"9\"", 1);
    assert_ne!(edited, good);
    mirrored.project.write("lapstrake.lock", edited);
    let run = mirrored.run(&["lock"]).ok();
    assert_eq!(run.stdout(), "~ debian alone 9 → 4 (linux/amd64)\n", "{}", run.told());
    assert!(run.told().contains("two/debian") && run.told().contains("the others stay"), "{}", run.told());
    let now = mirrored.locked();
    let entry = |text: &str| text.split("\n\n").find(|entry| entry.contains("\"one/")).unwrap().trim().to_owned();
    assert_eq!(entry(&now), entry(&good));
    assert_eq!(mirrored.lock(&[]), "");
}

#[test]
fn a_build_of_one_image_keeps_the_pins_of_the_others() {
    let mut mirrored = tools();
    let recipe = |more: &str| {
        format!(
            "[images.one]\nfrom = \"scratch\"\n[[images.one.layers]]\ndebian = [\"tool\"{more}]\n\
             [images.two]\nfrom = \"scratch\"\n[[images.two.layers]]\ndebian = [\"alone\"]\n"
        )
    };
    mirrored.recipe(&recipe(""));
    mirrored.run(&["build", "two", "-o", "oci:out"]).ok();
    assert!(
        mirrored.locked().contains("\"alone\"") && !mirrored.locked().contains("\"tool\""),
        "{}",
        mirrored.locked()
    );
    mirrored.run(&["build", "one", "-o", "oci:out"]).ok();
    let both = mirrored.locked();
    assert!(both.contains("\"alone\"") && both.contains("\"tool\""), "{both}");
    grown(&mut mirrored);
    mirrored.archive.add("trixie", Deb::all("more", "1")).publish();
    mirrored.recipe(&recipe(", \"more\""));
    mirrored.run(&["build", "one", "-o", "oci:out"]).ok();
    let after = mirrored.locked();
    assert!(after.contains("\"more\""), "{after}");
    let entry = |text: &str| text.split("\n\n").find(|entry| entry.contains("\"two/")).unwrap().trim().to_owned();
    assert_eq!(entry(&after), entry(&both));
    // What the recipe no longer has leaves the lock when all of it is looked at.
    mirrored.app("[\"tool\"]");
    mirrored.build();
    assert!(!mirrored.locked().contains("alone"), "{}", mirrored.locked());
}

#[test]
fn what_is_asked_alike_is_pinned_once_and_every_platform_has_its_own() {
    let mut mirrored = Mirrored::new();
    for (architecture, version) in [("amd64", "1.0"), ("arm64", "1.0+b1")] {
        mirrored
            .archive
            .add("trixie", Deb::new("tool", version).architecture(architecture).program("usr/bin/tool", version));
    }
    mirrored.archive.add("trixie", Deb::all("data", "5").file("usr/share/data", "5")).publish();
    mirrored.recipe(
        "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[variants.a]\n[variants.b]\nlabels = { x = \"y\" }\n\
         [images.app]\nvariants = [\"a\", \"b\"]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"tool\", \"data\"]\n",
    );
    assert_eq!(
        mirrored.lock(&[]),
        "+ debian data 5 (linux/amd64, linux/arm64)\n+ debian tool 1.0 (linux/amd64)\n+ debian tool 1.0+b1 (linux/arm64)\n"
    );
    let text = mirrored.locked();
    assert_eq!(text.matches("[[debian]]").count(), 2, "two variants ask the same: {text}");
    assert!(text.contains("app:a/") && text.contains("app:b/"), "{text}");
    let layout = mirrored.build_with(&["--locked"]);
    let name = layout.names().into_iter().find(|name| name.ends_with(":a")).unwrap();
    let images = layout.platforms(&name);
    assert_eq!(images["linux/amd64"].file("usr/bin/tool"), "1.0");
    assert_eq!(images["linux/arm64"].file("usr/bin/tool"), "1.0+b1");
    assert!(images["linux/arm64"].file("var/lib/dpkg/status.d/tool").contains("Architecture: arm64\n"));
}

#[test]
fn every_way_to_one_lock_gives_the_same_images() {
    let mut mirrored = tools();
    mirrored.recipe(&format!(
        "{}\n[images.top]\nfrom = \"app\"\n[[images.top.layers]]\ndebian = [\"alone\"]\n[[images.top.layers]]\nfiles = {{ \"/x\" = \"x\" }}\n",
        app("[\"tool\"]")
    ));
    mirrored.lock(&[]);
    let first = mirrored.digests_of("cache-1", &["--locked", "-j1"]);
    assert_eq!(first.len(), 2);
    assert_eq!(mirrored.digests_of("cache-2", &["--locked", "-j8"]), first);
    // The lock is what counts, and not what the archive has now.
    grown(&mut mirrored);
    assert_eq!(mirrored.digests_of("cache-3", &["--locked"]), first);
    mirrored.server.clear_log();
    for more in [&["--locked"][..], &["--locked", "--no-cache"], &[], &["--offline"], &["--locked", "--offline", "-j1"]]
    {
        assert_eq!(mirrored.digests_of("cache-1", more), first, "{more:?}");
    }
    assert_eq!(
        mirrored.server.log().len(),
        0,
        "with a lock and a warm cache nothing is asked: {:?}",
        mirrored.server.log()
    );
    // An implicit lock gives what an explicit one gives, from the same archive.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    let implicit = mirrored.digests_of("cache-4", &[]);
    let cold = mirrored.locked();
    // Whatever the cache has.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    assert_eq!(mirrored.digests_of("cache-4", &[]), implicit);
    assert_eq!(mirrored.locked(), cold);
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    mirrored.lock(&["--cache-dir", "cache-5"]);
    assert_eq!(mirrored.locked(), cold);
    assert_eq!(mirrored.digests_of("cache-5", &["--locked"]), implicit);
    assert_ne!(implicit, first);
}

#[test]
fn without_network() {
    let mirrored = tools();
    let told = mirrored.run(&["lock", "--offline"]).fails(5);
    assert!(told.contains("--offline"), "{told}");
    let told = mirrored.run(&["build", "--offline", "-o", "oci:out"]).fails(5);
    assert!(told.contains("without --offline"), "it says what to do: {told}");
    assert_eq!(mirrored.server.log().len(), 0);
    mirrored.lock(&[]);
    // Pinned, but never downloaded into that cache.
    let told = mirrored.run(&["build", "--offline", "--cache-dir", "cold", "-o", "oci:out"]).fails(5);
    assert!(told.contains("libtool1 1.1") && told.contains("--offline"), "{told}");
    assert!(!mirrored.project.path("out").exists());
    mirrored.build();
    mirrored.server.clear_log();
    mirrored.build_with(&["--offline", "--no-cache"]);
    assert_eq!(mirrored.server.log().len(), 0, "{:?}", mirrored.server.log());
    // What was read when it was locked last can be locked again; a package that never was here cannot.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    assert!(mirrored.lock(&["--offline"]).contains("+ debian tool 1.0"));
    mirrored.app("[\"tool\", \"alone\"]");
    let told = mirrored.run(&["lock", "--offline"]).fails(5);
    assert!(told.contains("alone 3") && told.contains("without --offline"), "{told}");
    assert_eq!(mirrored.server.log().len(), 0, "{:?}", mirrored.server.log());
}

#[test]
fn what_left_the_mirror_comes_from_a_snapshot() {
    let mut mirrored = tools();
    mirrored.lock(&[]);
    let digests = mirrored.digests_of("first", &[]);
    fs::create_dir(mirrored.project.path("old")).unwrap();
    let old = mirrored.project.path("old/20231114T221320Z");
    let copied = mirrored.project.wrapped("cp", &["-r"], &["mirror/debian", old.to_str().unwrap()]).status().unwrap();
    assert!(copied.success());
    moved(&mut mirrored);
    let build = |mirrored: &Mirrored, cache: &str, template: &str| {
        let mut command = mirrored.command(&["build", "--locked", "-o", "oci:out", "--cache-dir", cache]);
        command.env("LAPSTRAKE_DEBIAN_SNAPSHOT", template);
        mirrored.project.end(command)
    };
    // Nowhere: what to do is said.
    let told = mirrored.run(&["build", "--locked", "-o", "oci:out", "--cache-dir", "cold-1"]).fails(5);
    for words in ["libtool1 1.1", "lock again", "snapshot"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let old = FileServer::of(mirrored.project.path("old"));
    // By the date of the release that was locked, which a newer release does not move.
    let run = build(&mirrored, "cold-2", &old.url("/{timestamp}/{path}?{archive}")).ok();
    assert_eq!(run.digests(), digests);
    assert!(old.count("/20231114T221320Z/pool/main/t/tool/tool_1.0_amd64.deb?debian") == 1, "{:?}", old.log());
    // From the recipe, too.
    let template = format!(
        "suites = [\"trixie\"]\nkeyring = \"debian.gpg\"\nsnapshot = \"{}\"",
        old.url("/{timestamp}/{path}?{archive}")
    );
    mirrored.recipe_of(&template, &app("[\"tool\"]"));
    assert_eq!(mirrored.digests_of("cold-3", &["--locked"]), digests);
    // What has gone from there as well.
    mirrored.app("[\"tool\"]");
    let told = build(&mirrored, "cold-4", &old.url("/never/{timestamp}/{archive}/{path}")).fails(5);
    assert!(told.contains("libtool1 1.1") && told.contains("lock again"), "{told}");
    // Locking again is what helps.
    mirrored.lock(&["--update"]);
    mirrored.digests_of("cold-5", &["--locked"]);
}

#[test]
fn servers_that_fail_for_a_moment_are_asked_again() {
    let mirrored = tools();
    mirrored.server.fault("InRelease", 1, Fault::Status(503));
    mirrored.server.fault("tool_1.0_amd64.deb", 1, Fault::Cut(20));
    mirrored.server.fault("libtool1_1.1_amd64.deb", 1, Fault::Silence);
    let image = mirrored.build().image("app");
    assert_eq!(image.file("usr/bin/tool"), "tool 1.0\n");
}

#[test]
fn a_failed_lock_leaves_the_old_one() {
    let mirrored = tools();
    mirrored.lock(&[]);
    let before = mirrored.locked();
    mirrored.app("[\"tool\", \"missing\"]");
    mirrored.run(&["lock"]).code(4);
    assert_eq!(mirrored.locked(), before);
    mirrored.run(&["build", "-o", "oci:out"]).code(4);
    assert_eq!(mirrored.locked(), before);
    mirrored.app("[\"tool\"]");
    mirrored.server.fault("InRelease", 1, Fault::Status(401));
    mirrored.run(&["lock", "--update"]).code(5);
    mirrored.server.fault("InRelease", 1, Fault::Status(404));
    mirrored.run(&["lock", "--update"]).code(4);
    assert_eq!(mirrored.locked(), before);
}

#[test]
fn nothing_outside_is_nothing_to_lock() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    let run = project.run(&["lock"]).ok();
    assert_eq!(run.stdout(), "");
    assert!(run.told().contains("nothing to lock"), "{}", run.told());
    assert!(!project.path("lapstrake.lock").exists());
    project.build();
    assert!(!project.path("lapstrake.lock").exists());
    // What lies in the checkout is locked where somebody wants it to be.
    super::support::Base::debian().layout(&project.path("ctx/base"));
    project.recipe("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"\" }\n");
    project.build();
    assert!(!project.path("lapstrake.lock").exists());
}

/// What a pipeline makes later need not be there when its packages are locked.
#[test]
fn a_lock_needs_no_files_that_are_copied() {
    let mirrored = tools();
    mirrored
        .recipe(&format!("{}\n[[images.app.layers]]\ncopy = [\"built-later\"]\nto = \"/app\"\n", app("[\"tool\"]")));
    mirrored.lock(&[]);
    assert!(mirrored.locked().contains("\"tool\""));
    mirrored.run(&["build", "-o", "oci:out"]).fails(3);
    mirrored.project.write("ctx/built-later", "x");
    mirrored.build_with(&["--locked"]);
}

/// What somebody tries once is no part of what is committed.
#[test]
fn a_platform_that_is_asked_for_once_leaves_no_pins() {
    let mut mirrored = Mirrored::new();
    for architecture in ["amd64", "arm64"] {
        mirrored
            .archive
            .add("trixie", Deb::new("tool", "1").architecture(architecture).program("usr/bin/tool", architecture));
    }
    mirrored.archive.publish();
    let once = |more: &[&str]| {
        let run = mirrored.run(&[&["build", "-o", "oci:once", "--platform"], more].concat()).ok();
        run.told().contains("linux/arm64 is in memory alone")
    };
    mirrored.app("[\"tool\"]");
    mirrored.lock(&[]);
    let before = mirrored.locked();
    assert!(once(&["linux/arm64"]), "it is said");
    assert_eq!(mirrored.locked(), before);
    let name = mirrored.project.layout("once").names().remove(0);
    assert_eq!(mirrored.project.layout("once").image(&name).file("usr/bin/tool"), "arm64");
    let told = mirrored.run(&["build", "--dry-run", "--platform", "linux/arm64", "--cache-dir", "new"]).ok();
    assert!(!told.stdout().contains("+ debian"), "{}", told.stdout());

    // Pins of the recipe's own platforms are kept all the same.
    fs::remove_file(mirrored.project.path("lapstrake.lock")).expect("a lock");
    assert!(once(&["linux/arm64,linux/amd64"]));
    assert!(mirrored.locked().contains("linux/amd64") && !mirrored.locked().contains("linux/arm64"));

    // What the lock knows already stays there.
    mirrored.recipe(&format!("[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{}", app("[\"tool\"]")));
    mirrored.lock(&[]);
    let both = mirrored.locked();
    mirrored.app("[\"tool\"]");
    assert!(!once(&["linux/arm64"]));
    assert_eq!(mirrored.locked(), both);
}

/// Would fail if what lies in the checkout were looked at only after packages were fetched.
#[test]
fn what_the_checkout_alone_tells_is_told_before_anything_is_fetched() {
    let mirrored = tools();
    let layer = |line: &str| {
        let site = "target = \"/site\", version = \"3.12\"";
        mirrored.recipe(&format!(
            "{}[[images.app.layers]]\nname = \"more\"\nto = \"/\"\n{}\n",
            app("[\"tool\"]"),
            line.replace("SITE", site)
        ));
    };
    let without_uv = |arguments: &[&str]| {
        let mut command = mirrored.command(arguments);
        command.env("PATH", mirrored.project.path("tmp"));
        mirrored.project.end(command)
    };
    mirrored.project.write("ctx/there.txt", "flask\n").write("ctx/nested.txt", "-r gone.txt\n");
    let hashed = format!("flask==1 --hash=sha256:{}\n", "0".repeat(64));
    mirrored.project.write("ctx/hashed.txt", hashed);
    for (line, code, words) in [
        ("copy = [\"ther.txt\"]", 3, "there.txt"),
        ("archive = \"gone.tar\"", 3, "gone.tar"),
        ("python = { requirements = \"gone.txt\", SITE }", 3, "gone.txt"),
        ("python = { requirements = \"nested.txt\", SITE }", 3, "gone.txt"),
        ("python = { pylock = \"pylock.toml\", SITE }", 3, "pylock.toml"),
        ("python = { requirements = \"there.txt\", SITE }", 4, "needs the program `uv`"),
    ] {
        layer(line);
        mirrored.server.clear_log();
        let told = without_uv(&["build", "-o", "oci:out"]).fails(code);
        assert!(told.contains(words), "{line}: {told}");
        assert!(mirrored.server.log().is_empty(), "{line}: {:?}", mirrored.server.log());
    }
    // Pins do not depend on what is copied, nor hashed requirements on `uv`.
    layer("copy = [\"made-later\"]");
    without_uv(&["lock"]).ok();
    layer("python = { requirements = \"hashed.txt\", SITE }");
    mirrored.server.clear_log();
    let told = without_uv(&["lock"]).fails(4);
    assert!(!told.contains("uv"), "{told}");
    assert!(!mirrored.server.log().is_empty());
}
