//! The tool in its own image, as a job in an ordinary pod would run it: a uid that nobody knows, no home, nothing to write
//! to but one tmpfs and a volume for the cache, no capabilities, no network.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::containers::{RESTRICTED, podman, pull};
use crate::support::{self, checkout, digests, directory, lapstrake, ok, registry, run, scratch, tool};

/// A volume with what was downloaded for the recipes: the pod has no network.
fn volume() -> PathBuf {
    static VOLUME: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        support::eveai();
        support::archon();
        let volume = scratch().join("pod-cache");
        ok(tool("cp").args(["--archive", "--reflink=auto"]).arg(support::cache()).arg(&volume));
        ok(tool("chown").args(["--recursive", "54321:54321"]).arg(&volume));
        volume
    };
    VOLUME.get_or_init(make).clone()
}

/// A build in lapstrake's own image, of every layer anew, with the checkout mounted where it is, read-only.
fn job(recipe: &str, arguments: &[&str]) -> Command {
    let mut command = podman();
    command.args(["run", "--rm", "--pull=never", "--network", "none"]).args(RESTRICTED);
    command.args(["--user", "54321:54321", "--passwd=false", "--env", "HOME=/nonexistent"]);
    command.args(["--env", "LAPSTRAKE_CACHE_DIR=/cache", "--volume"]).arg(format!("{}:/cache", volume().display()));
    let file = &support::recipe(recipe).file;
    let directory = file.parent().expect("a directory").display();
    command.arg("--volume").arg(format!("{directory}:{directory}:ro"));
    // A worktree's commits are elsewhere.
    let mut git = tool("git");
    git.arg("-c").arg(format!("safe.directory={}", checkout().display())).arg("-C").arg(checkout());
    let commits = ok(git.args(["rev-parse", "--path-format=absolute", "--git-common-dir"]));
    for path in [checkout().to_str().expect("a path in UTF-8"), commits.trim()] {
        command.arg("--volume").arg(format!("{path}:{path}:ro"));
    }
    command.arg(image()).args(["build", "--locked", "--offline", "--no-cache", "--platform", "linux/amd64", "-f"]);
    command.arg(file).args(["--set", &format!("repository={}/{recipe}/{{image}}", registry().host)]).args(arguments);
    command
}

/// recipes/lapstrake.toml around the binary under test.
fn image() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
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

#[test]
fn built_in_a_plain_pod_the_archive_has_the_same_bytes() {
    let built = support::eveai();
    let path = scratch().join("from-the-pod.tar");
    let mut job = job("eveai", &["-o", "oci-archive:-"]);
    let output = run(job.stdout(File::create(&path).expect("a file")));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{talk}", output.status);
    let (theirs, ours) = (fs::read(&path).expect("the archive"), fs::read(built.path("oci-archive")).expect("ours"));
    assert!(theirs == ours, "{} bytes in the pod, {} outside, and they differ", theirs.len(), ours.len());
}

#[test]
fn built_in_a_plain_pod_the_eight_images_have_the_same_digests() {
    let built = support::archon();
    let stdout = ok(&mut job("archon", &["-o", "oci:/tmp/out"]));
    assert_eq!(digests(&stdout), built.digests);
}
