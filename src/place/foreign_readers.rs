//! Readers that nobody here wrote: what lapstrake writes, they must take. Each runs where it is installed.

use std::path::Path;
use std::process::{Command, Output};

use super::testing::*;
use super::*;
use crate::oci::{Compression, Family};
use crate::report::Reporter;

/// Whether the program is there; says so where a test is left out.
fn installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("{program} is not installed: not tried");
    }
    there
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

fn put(text: &str, artifacts: &[Artifact]) {
    let place = Place::parse(text).unwrap();
    write(&place, artifacts, &mut Vec::new(), &(), &Reporter::silent()).unwrap();
}

/// A base and a service with references, and one image of a recipe without one.
fn artifacts(family: Family) -> Vec<Artifact> {
    let mut all = base_and_service(family, Compression::Gzip);
    let fallback = Fallback::image("server", Some("k8s".into()));
    all.push(two_layers(family).named(Vec::new(), fallback));
    all
}

fn two_layers(family: Family) -> Artifact {
    let mut blobs = Blobs::new();
    let layers = vec![
        layer_of(&tar_of(&[("usr/", ""), ("usr/lib/", ""), ("usr/lib/x", "one\n")]), family, Compression::None),
        layer_of(&tar_of(&[("usr/", ""), ("usr/lib/", ""), ("usr/lib/y", "two\n")]), family, Compression::Gzip),
    ];
    let image = image_of("linux/amd64", family, layers, &mut blobs);
    artifact(image, &[], &blobs)
}

#[test]
fn skopeo_reads_and_copies_every_kind() {
    if !installed("skopeo") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for family in [Family::Oci, Family::Docker] {
        let all = artifacts(family);
        put(&format!("oci:{}", at("layout")), &all);
        put(&format!("oci-archive:{}", at("oci.tar")), &all);
        put(&format!("docker-archive:{}", at("docker.tar")), &all);
        put(&format!("archive:{}", at("both.tar")), &all);
        let name = "registry.example.com/eveai/app:latest";
        let mut places = vec![
            format!("docker-archive:{}:{name}", at("docker.tar")),
            format!("docker-archive:{}:{name}", at("both.tar")),
            format!("docker-archive:{}:server:k8s", at("both.tar")),
        ];
        // Its reader of layouts looks for images of OCI's own media types by name.
        if family == Family::Oci {
            places.extend([
                format!("oci:{}:{name}", at("layout")),
                format!("oci:{}:server:k8s", at("layout")),
                format!("oci-archive:{}:{name}", at("oci.tar")),
                format!("oci-archive:{}:{name}", at("both.tar")),
            ]);
        }
        for place in places {
            let inspected = text(run(Command::new("skopeo").args(["inspect", "--config", &place])));
            assert!(inspected.contains("1001:1001"), "{place}: {inspected}");
            let copied = at("copied");
            run(Command::new("skopeo").args(["copy", "-q", &place, &format!("oci:{copied}:x")]));
            let source = open(&Place::parse(&format!("oci:{copied}")).unwrap(), directory.path()).unwrap();
            let findings = crate::validate::source(&source);
            assert!(crate::validate::is_sound(&findings), "{place}: {findings:#?}");
            std::fs::remove_dir_all(copied).unwrap();
        }
        std::fs::remove_dir_all(at("layout")).unwrap();
    }
}

#[test]
fn what_skopeo_writes_is_read() {
    if !installed("skopeo") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    put(&format!("oci:{}:localhost/x:1", at("layout")), &[two_layers(Family::Oci)]);
    let from = format!("oci:{}:localhost/x:1", at("layout"));
    for to in ["oci", "oci-archive", "docker-archive"] {
        let to = format!("{to}:{}:localhost/y:2", at(&format!("copied-{to}")));
        run(Command::new("skopeo").args(["copy", "-q", &from, &to]));
        let place = Place::parse(&to).unwrap();
        let source = open(&place, directory.path()).unwrap();
        let found = read_artifacts(&source, place.pick(), &[]).unwrap();
        assert_eq!(found[0].names[0].to_string(), "localhost/y:2");
        let findings = crate::validate::artifacts(&found);
        assert!(crate::validate::is_sound(&findings), "{to}: {findings:#?}");
    }
}

#[test]
fn umoci_unpacks_a_layout() {
    use std::os::unix::fs::MetadataExt;
    if !installed("umoci") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout").to_str().unwrap().to_owned();
    put(&format!("oci:{layout}"), &artifacts(Family::Oci));
    let root = rustix::process::geteuid().is_root();
    for (name, file, text) in
        [("registry.example.com/eveai/app:abc1234", "app/main.py", "print()\n"), ("server:k8s", "usr/lib/y", "two\n")]
    {
        let bundle = directory.path().join("bundle");
        let mut command = Command::new("umoci");
        command.args(["unpack", "--image", &format!("{layout}:{name}")]);
        if !root {
            command.arg("--rootless");
        }
        run(command.arg(&bundle));
        let found = bundle.join("rootfs").join(file);
        assert_eq!(std::fs::read_to_string(&found).unwrap(), text);
        let stat = std::fs::metadata(&found).unwrap();
        assert_eq!((stat.mtime(), stat.mode() & 0o7777), (crate::tar::MTIME as i64, 0o644));
        if root {
            assert_eq!((stat.uid(), stat.gid()), (1001, 1001));
        }
        std::fs::remove_dir_all(bundle).unwrap();
    }
}

#[test]
fn podman_loads_archives_by_name() {
    if !rustix::process::geteuid().is_root() || !installed("podman") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let podman = |arguments: &[&str]| {
        let mut command = Command::new("podman");
        command.args(["--root", &at("root"), "--runroot", &at("run"), "--storage-driver", "vfs"]);
        text(run(command.args(["--runtime", "runc"]).args(arguments)))
    };
    for kind in ["docker-archive", "archive"] {
        for family in [Family::Oci, Family::Docker] {
            put(&format!("{kind}:{}", at("x.tar")), &artifacts(family));
            podman(&["load", "-q", "-i", &at("x.tar")]);
            let mut names: Vec<String> =
                podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).lines().map(str::to_owned).collect();
            names.sort();
            assert_eq!(
                names,
                [
                    "docker.io/library/server:k8s",
                    "registry.example.com/eveai/app:abc1234",
                    "registry.example.com/eveai/app:latest",
                    "registry.example.com/eveai/base:1",
                ],
                "{kind}"
            );
            let saved = at("saved.tar");
            for format in ["docker-archive", "oci-archive"] {
                podman(&["save", "-q", "--format", format, "-o", &saved, "registry.example.com/eveai/app:latest"]);
                let source = open(&Place::parse(&format!("archive:{saved}")).unwrap(), Path::new(&at(""))).unwrap();
                let findings = crate::validate::source(&source);
                assert!(crate::validate::is_sound(&findings), "{format}: {findings:#?}");
                std::fs::remove_file(&saved).unwrap();
            }
            podman(&["rmi", "-a", "-f"]);
        }
    }
}
