//! What `lapstrake resolve` reads and writes that is no ordinary file, or says two things.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{CWD, FileType, Mode};

use super::fake_registry::FakeRegistry;
use super::support::Project;

const MANIFEST: &str = "services: {a: {image: r.io/web:1}}\n";

fn digest(digit: char) -> String {
    format!("sha256:{}", String::from(digit).repeat(64))
}

fn metadata(digit: char) -> String {
    format!("{{\"web\": {{\"image.name\": \"r.io/web:1\", \"containerimage.digest\": \"{}\"}}}}", digest(digit))
}

fn project() -> Project {
    let p = Project::empty();
    p.write("c.yaml", MANIFEST).write("one.json", metadata('1')).write("two.json", metadata('2'));
    p
}

fn fifo(p: &Project, name: &str) {
    rustix::fs::mknodat(CWD, p.path(name), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn what_is_said_twice_is_refused() {
    let p = project();
    let told = p.run(&["resolve", "--from", "one.json", "--from", "two.json", "-k", "c.yaml"]).fails(1);
    assert!(told.contains("r.io/web:1 is ") && told.contains("one.json") && told.contains("two.json"), "{told}");
    p.run(&["resolve", "--from", "one.json", "--from", "one.json", "-k", "c.yaml"]).ok();
    let digests =
        format!("\"containerimage.digest\": \"{}\", \"containerimage.digest\": \"{}\"", digest('1'), digest('2'));
    p.write(
        "twice.json",
        format!("{{\"size\": 1.5, \"of\": [null, true, {{}}], \"image.name\": \"r.io/web:1\", {digests}}}"),
    );
    let told = p.run(&["resolve", "--from", "twice.json", "-k", "c.yaml"]).fails(1);
    assert!(told.contains("the key \"containerimage.digest\" is given twice"), "{told}");
}

#[test]
fn nobody_waits_for_a_fifo_that_was_not_meant() {
    let p = project();
    fifo(&p, "pipe.json");
    for from in ["pipe.json", "/dev/zero"] {
        let told = p.run(&["resolve", "--from", from, "-k", "c.yaml"]).fails(1);
        assert!(told.contains("no regular file"), "{told}");
    }
    p.write("deploy/c.yaml", MANIFEST);
    fifo(&p, "deploy/pipe.yaml");
    let pinned = MANIFEST.replace(":1", &format!(":1@{}", digest('1')));
    assert_eq!(p.run(&["resolve", "--from", "one.json", "-k", "deploy"]).ok().stdout(), pinned);
    let told = p.run(&["resolve", "--from", "one.json", "-k", "/dev/zero"]).fails(1);
    assert!(told.contains("more than 16 MiB"), "{told}");
    // Pipes that somebody holds open, by `-` and as the shell passes them.
    for from in ["-", "/dev/stdin", "/proc/self/fd/0"] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, metadata('1').as_bytes()).unwrap();
        drop(writer);
        let mut command = p.command(&["resolve", "--from", from, "-k", "c.yaml"]);
        command.stdin(reader);
        assert_eq!(p.end(command).ok().stdout(), pinned, "{from}");
    }
    p.run(&["resolve", "--from", "-", "-k", "-"]).fails(2);
}

#[test]
fn passwords_are_not_told() {
    let p = project();
    p.write("p.yaml", "services: {a: {image: \"u:s3cret@r.io/x:1\"}, b: {image: \"https://u:s3cret@r.io/x:1\"}}\n");
    let run = p.run(&["resolve", "--from", "one.json", "-k", "p.yaml"]).ok();
    assert!(run.told().contains("***@r.io/x:1 is left") && !run.told().contains("s3cret"), "{}", run.told());
    p.write("refs", "u:s3cret@r.io/x:1\n");
    let told = p.run(&["resolve", "--from", "refs", "-k", "p.yaml"]).fails(1);
    assert!(told.contains("line 1") && !told.contains("s3cret"), "{told}");
}

#[test]
fn files_keep_their_owner_and_other_names_are_told_of() {
    let p = project();
    fs::hard_link(p.path("c.yaml"), p.path("other.yaml")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(p.path("c.yaml"), Some(4711), Some(4712)).unwrap();
    }
    let before = fs::metadata(p.path("c.yaml")).unwrap();
    let run = p.run(&["resolve", "-i", "--from", "one.json", "-k", "c.yaml"]).ok();
    assert!(run.told().contains("c.yaml has other names"), "{}", run.told());
    let after = fs::metadata(p.path("c.yaml")).unwrap();
    assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
    assert!(fs::read_to_string(p.path("c.yaml")).unwrap().contains(&digest('1')));
    assert_eq!(fs::read_to_string(p.path("other.yaml")).unwrap(), MANIFEST);
}

#[test]
fn what_is_no_manifest_is_refused_with_its_place() {
    let p = project();
    p.write("loop.yaml", "a: &a\n  image: *a\n");
    let told = p.run(&["resolve", "--from", "one.json", "-k", "loop.yaml"]).fails(1);
    assert!(told.contains("loop.yaml:2:10: an alias stands within what it stands for"), "{told}");
    p.write("large.yaml", format!("[{}", "[a,".repeat(3_000_000)));
    let told = p.run(&["resolve", "--from", "one.json", "-k", "large.yaml"]).fails(1);
    assert!(told.contains("large.yaml:1:") && told.contains("more values than any manifest"), "{told}");
}

/// Breaks when what is wrong with a name in a manifest, or with what `resolve` was given, is not said.
#[test]
fn what_was_meant_is_said() {
    let p = Project::new(
        "[images.web]\nfrom = \"scratch\"\n[images.job]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[variants.k8s]\n",
    );
    for (name, said) in [
        ("web:latest", "no tag or digest here: `lapstrake://web`"),
        ("web/k8s", "`web` has no variants: `lapstrake://web`"),
        ("job", "name the variant: job/k8s"),
    ] {
        p.write("c.yaml", format!("services:\n  a: {{image: \"lapstrake://{name}\"}}\n"));
        let told = p.run(&["resolve", "-k", "c.yaml"]).fails(1);
        assert!(told.contains(said), "{name}: {told}");
    }
    p.write("c.yaml", "services:\n  a: {image: \"lapstrake://web\"}\n");
    let told = p.run(&["resolve", "--check", "-k", "c.yaml"]).fails(6);
    assert!(told.contains(" would be ") && !told.contains(" is now "), "{told}");
    assert!(p.run(&["resolve", "-i", "-k", "c.yaml"]).ok().told().contains(" is now "));
    p.write("metadata.json", "{}");
    let told = p.run(&["resolve", "--from", "metdata.json", "-k", "c.yaml"]).fails(2);
    assert!(told.contains("there is no such file") && told.contains("did you mean `metadata.json`?"), "{told}");
    let told = p.run(&["resolve", "--from", "nope.json", "-k", "c.yaml"]).fails(2);
    assert!(told.contains("there is no such file") && told.contains("--metadata-file"), "{told}");
    let told = p.run(&["resolve", "deploy/"]).fails(2);
    assert!(told.contains("hint: manifests follow -k: `lapstrake resolve -k deploy/`"), "{told}");
    assert!(!p.run(&["build", "--nonsense"]).fails(2).contains("resolve"));
}

/// Breaks when it is not said which line of which manifest names what a registry cannot be asked for.
#[test]
fn what_registries_do_not_tell_has_its_place() {
    let p = Project::empty();
    p.write("c.yaml", "services:\n  a: {image: \"127.0.0.1:1/x/web:1\"}\n");
    let told = p.run(&["resolve", "--registry", "-k", "c.yaml"]).fails(5);
    assert!(told.contains("c.yaml:2:14: asking for 127.0.0.1:1/x/web:1"), "{told}");
    let notes = told.lines().filter(|line| line.contains("again in")).count();
    assert_eq!(notes, 1, "that it is tried again is said once: {told}");
    let registry = FakeRegistry::plain();
    p.write("c.yaml", format!("services:\n  a: {{image: \"{}/x/wbe:1\"}}\n", registry.name()));
    let run = p.run(&["resolve", "--registry", "-k", "c.yaml"]).ok();
    assert!(run.told().contains("is left: it is not in the registry"), "{}", run.told());
}
