//! The tool in its own image, as a job in an ordinary pod would run it: a uid that nobody knows, no home, nothing to write
//! to but one tmpfs, no capabilities, no network.

use std::fs::{self, File};
use std::process::Command;

use crate::containers::{RESTRICTED, podman, pull};
use crate::support::{self, checkout, digests, directory, lapstrake, ok, registry, run, scratch, tool};

/// A job in lapstrake's own image, with the checkout mounted where it is, read-only.
fn job(arguments: &[&str]) -> Command {
    let mut command = podman();
    command.args(["run", "--rm", "--pull=never", "--network", "none"]).args(RESTRICTED);
    command.args(["--user", "54321:54321", "--passwd=false", "--env", "HOME=/nonexistent"]);
    // A worktree's commits are elsewhere.
    let mut git = tool("git");
    git.arg("-c").arg(format!("safe.directory={}", checkout().display())).arg("-C").arg(checkout());
    let commits = ok(git.args(["rev-parse", "--path-format=absolute", "--git-common-dir"]));
    for path in [checkout().to_str().expect("a path in UTF-8"), commits.trim()] {
        command.arg("--volume").arg(format!("{path}:{path}:ro"));
    }
    command.arg(image()).args(arguments);
    command
}

/// recipes/lapstrake.toml around the binary under test.
fn image() -> String {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        let context = directory("own-image");
        fs::copy(env!("CARGO_BIN_EXE_lapstrake"), context.join("lapstrake")).expect("the binary");
        let mut build = lapstrake();
        build.arg("build").arg("-f").arg(checkout().join("recipes/lapstrake.toml")).arg("--push");
        build.arg("--set").arg(format!("context={}", context.display()));
        ok(build.arg("--set").arg(format!("repository={}/own/{{image}}", registry().host)));
        support::assert_sound(&format!("{}/own/lapstrake:latest", registry().host));
        pull("own/lapstrake:latest")
    })
    .clone()
}

fn recipe(name: &str) -> String {
    checkout().join(format!("recipes/{name}.toml")).to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn built_in_a_plain_pod_the_archive_has_the_same_bytes() {
    let built = support::eveai();
    let repository = format!("repository={}/eveai/{{image}}", registry().host);
    let path = scratch().join("from-the-pod.tar");
    let mut job = job(&["build", "-f", &recipe("eveai"), "--set", &repository, "-o", "oci-archive:-"]);
    let output = run(job.stdout(File::create(&path).expect("a file")));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{talk}", output.status);
    let (theirs, ours) = (fs::read(&path).expect("the archive"), fs::read(built.path("oci-archive")).expect("ours"));
    assert!(theirs == ours, "{} bytes in the pod, {} outside, and they differ", theirs.len(), ours.len());
    assert!(talk.contains("cache"), "it says that it has no lasting cache:\n{talk}");
}

#[test]
fn built_in_a_plain_pod_the_eight_images_have_the_same_digests() {
    let built = support::archon();
    let repository = format!("repository={}/archon/{{image}}", registry().host);
    let stdout = ok(&mut job(&["build", "-f", &recipe("archon"), "--set", &repository, "-o", "oci:/tmp/out"]));
    assert_eq!(digests(&stdout), built.digests);
}
