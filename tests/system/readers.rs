//! The images as skopeo, umoci and podman read them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::containers::podman_in;
use crate::support::{self, Built, Layout, checkout, directory, json, ok, registry, scratch, strings, text, tool};

/// The same place, as the transports of containers/image call it: our hybrid is two of theirs.
const READINGS: [(&str, &str); 5] = [
    ("oci", "oci"),
    ("oci-archive", "oci-archive"),
    ("docker-archive", "docker-archive"),
    ("archive", "oci-archive"),
    ("archive", "docker-archive"),
];

fn assert_skopeo_reads(built: &Built, image: &str, name: &str) {
    let ours = built.layout().image(&built.digests[image]);
    let is_oci = text(&ours.manifest["mediaType"]).starts_with("application/vnd.oci.");
    let name = format!("{}/{name}", registry().host);
    let copies = directory(&format!("skopeo/{image}"));
    for (kind, transport) in READINGS {
        // By name, skopeo finds nothing but OCI's own media types in a layout.
        if transport != "docker-archive" && !is_oci {
            continue;
        }
        let reference = format!("{transport}:{}:{name}", built.path(kind).display());
        let seen = json(tool("skopeo").args(["inspect", &reference]));
        assert_eq!(seen["Architecture"], ours.config["architecture"], "{reference}");
        assert_eq!(seen["Env"], ours.config["config"]["Env"], "{reference}");
        if transport != "docker-archive" {
            assert_eq!(seen["Digest"], built.digests[image].as_str(), "{reference}");
        }
        // skopeo checks every digest on the way; the config keeps its bytes, and with them the image ID.
        let copy = copies.join(format!("{kind}-as-{transport}"));
        ok(tool("skopeo")
            .args(["copy", "--quiet", "--insecure-policy", &reference])
            .arg(format!("dir:{}", copy.display())));
        let manifest = fs::read(copy.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
        assert_eq!(manifest["config"]["digest"], ours.manifest["config"]["digest"], "{reference}");
        fs::remove_dir_all(&copy).expect("the copy is removed");
    }
}

#[test]
fn skopeo_reads_eveai_in_every_kind_of_place() {
    assert_skopeo_reads(support::eveai(), "app", "eveai/app:latest");
}

#[test]
fn skopeo_reads_archon_in_every_kind_of_place() {
    assert_skopeo_reads(support::archon(), "frontend:docker", "archon/frontend:docker-latest");
    assert_skopeo_reads(support::archon(), "frontend:k8s", "archon/frontend:k8s-latest");
}

#[test]
fn skopeo_lists_every_name_of_an_archive() {
    for built in [support::eveai(), support::archon()] {
        let names: Vec<String> = built.layout().names().into_keys().collect();
        assert!(names.len() >= built.digests.len() * 2, "{names:?}");
        for kind in ["docker-archive", "archive"] {
            let listed =
                json(tool("skopeo").args(["list-tags", &format!("docker-archive:{}", built.path(kind).display())]));
            let mut listed = strings(&listed["Tags"]);
            listed.sort();
            assert_eq!(listed, names, "{kind}");
        }
    }
}

fn assert_podman_loads(storage: &str, archive: &Path, layout: &Layout) {
    ok(podman_in(storage).args(["load", "--quiet", "--input"]).arg(archive));
    let id = |digest: &str| text(&layout.image(digest).manifest["config"]["digest"]).replace("sha256:", "");
    let ours: BTreeMap<String, String> = layout.names().into_iter().map(|(name, digest)| (name, id(&digest))).collect();
    let listed = json(podman_in(storage).args(["images", "--format", "json"]));
    let mut theirs = BTreeMap::new();
    for image in listed.as_array().expect("images") {
        for name in strings(&image["Names"]) {
            theirs.insert(name, text(&image["Id"]).to_owned());
        }
    }
    assert!(ours.len() >= 5, "{ours:?}");
    assert_eq!(theirs, ours, "{}", archive.display());
}

#[test]
fn podman_loads_every_image_of_a_hybrid_archive_under_its_names() {
    let eveai = support::eveai();
    assert_podman_loads("eveai", &eveai.path("archive"), &eveai.layout());
}

#[test]
fn podman_loads_every_image_of_a_docker_archive_under_its_names() {
    support::archon();
    let directory = directory("frontend");
    let mut build = support::build("archon");
    build.args(["frontend", "--platform", "linux/amd64"]);
    for (kind, file) in [("oci", "layout"), ("docker-archive", "docker.tar")] {
        build.arg("-o").arg(format!("{kind}:{}", directory.join(file).display()));
    }
    ok(&mut build);
    let layout = Layout { directory: directory.join("layout") };
    assert_podman_loads("archon", &directory.join("docker.tar"), &layout);
}

/// What a file is expected to be: uid, gid, mode, and the bytes of a regular file.
type Expected = BTreeMap<String, (u32, u32, u32, Option<Vec<u8>>)>;

/// What the recipe's `copy` makes of a directory of the checkout, said without any of lapstrake's code.
fn copied(context: &Path, path: &str, owner: u32, expected: &mut Expected, is_out: &dyn Fn(&str) -> bool) {
    let source = context.join(path);
    let metadata = fs::symlink_metadata(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    if is_out(path) {
        return;
    }
    if metadata.is_dir() {
        expected.insert(path.to_owned(), (owner, owner, 0o755, None));
        for entry in fs::read_dir(&source).expect("a directory") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
            copied(context, &format!("{path}/{name}"), owner, expected, is_out);
        }
    } else {
        let script = path.starts_with("scripts/") && path.ends_with(".sh");
        let mode = if script || metadata.permissions().mode() & 0o111 != 0 { 0o755 } else { 0o644 };
        expected.insert(path.to_owned(), (owner, owner, mode, Some(fs::read(&source).expect("a file"))));
    }
}

/// What is below a directory, as [`Expected`] says it.
fn found(root: &Path, path: &str, all: &mut Expected) {
    for entry in fs::read_dir(root.join(path)).expect("a directory") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        let metadata = fs::symlink_metadata(root.join(&path)).expect("metadata");
        let bytes = metadata.is_file().then(|| fs::read(root.join(&path)).expect("a file"));
        all.insert(path.clone(), (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777, bytes));
        if metadata.is_dir() {
            found(root, &path, all);
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What testdata/eveai/.dockerignore keeps out.
fn out_of_eveai(path: &str) -> bool {
    let name = last(path);
    name.starts_with(".env")
        || ["__pycache__", ".pytest_cache", ".DS_Store", ".idea", "tests"].contains(&name)
        || [".pyc", ".pyo", "~", ".swp"].iter().any(|end| name.ends_with(end))
        || (name.starts_with('#') && name.ends_with('#'))
        || (name.ends_with(".md") && !path.starts_with("content/"))
}

/// What testdata/archon/.dockerignore and the k8s variant keep out.
fn out_of_archon_k8s(path: &str) -> bool {
    let name = last(path);
    [".env", "__pycache__", ".mypy_cache", ".ruff_cache", "node_modules", ".DS_Store", "tests"].contains(&name)
        || [".pyc", ".pyo", "~"].iter().any(|end| name.ends_with(end))
        || (name.ends_with(".log") && !path.starts_with("frontend/site/"))
        || path == "frontend/generate.py"
}

fn assert_unpacks(
    (built, image, name): (&Built, &str, &str),
    (context, sources, owner): (&str, &[&str], u32),
    is_out: &dyn Fn(&str) -> bool,
) {
    // umoci takes what is after the first colon for the tag.
    let reference = format!("{}:{}/{name}", built.path("oci").display(), registry().host);
    let bundle = scratch().join(format!("umoci-{}", image.replace(':', "-")));
    ok(tool("umoci").args(["unpack", "--image", &reference]).arg(&bundle));
    let root = bundle.join("rootfs");

    let (mut expected, mut unpacked) = (Expected::new(), Expected::new());
    for source in sources {
        copied(&checkout().join("testdata").join(context), source, owner, &mut expected, is_out);
    }
    found(&root.join("app"), "", &mut unpacked);
    let shown = |all: &Expected| {
        all.iter()
            .map(|(path, (uid, gid, mode, bytes))| {
                format!(
                    "{uid}:{gid} {mode:04o} {} {path}",
                    bytes.as_ref().map_or("directory".to_owned(), |b| b.len().to_string())
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&unpacked), shown(&expected), "{image}: /app");
    assert!(unpacked == expected, "{image}: the bytes of some file differ");
    assert!(!expected.is_empty());

    // The directory that is the workdir, the account, and what the base had, as it was.
    let stat = |path: &str| {
        let metadata = fs::symlink_metadata(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    assert_eq!(stat("app"), (owner, owner, 0o755));
    assert_eq!(stat("tmp"), (0, 0, 0o1777));
    assert_eq!(stat("etc"), (0, 0, 0o755));
    assert_eq!(stat("etc/passwd"), (0, 0, 0o644));
    assert!(fs::symlink_metadata(root.join("lib")).expect("/lib").is_symlink(), "/lib stays a link");
    let passwd = fs::read_to_string(root.join("etc/passwd")).expect("/etc/passwd");
    let account = passwd.lines().find(|line| line.starts_with("appuser:")).expect("the account");
    assert!(account.starts_with(&format!("appuser:x:{owner}:{owner}:")), "{account}");
    assert!(account.ends_with(":/nonexistent:/usr/sbin/nologin"), "{account}");
    let group = fs::read_to_string(root.join("etc/group")).expect("/etc/group");
    assert!(group.lines().any(|line| line == format!("appuser:x:{owner}:")), "{group}");
    assert!(!root.join("nonexistent").exists(), "no home was asked for");
    fs::remove_dir_all(&bundle).expect("the bundle is removed");
}

#[test]
fn umoci_unpacks_eveai_as_the_recipe_says() {
    assert_unpacks(
        (support::eveai(), "app", "eveai/app:latest"),
        ("eveai", &["common", "config", "scripts", "patched_packages", "eveai_app", "migrations", "content"], 10001),
        &out_of_eveai,
    );
}

#[test]
fn umoci_unpacks_archon_k8s_as_the_recipe_says() {
    let built = support::archon();
    assert_unpacks(
        (built, "server:k8s", "archon/server:k8s-latest"),
        ("archon", &["common", "healthcheck.py", "server"], 1001),
        &out_of_archon_k8s,
    );
    assert_unpacks(
        (built, "frontend:k8s", "archon/frontend:k8s-latest"),
        ("archon", &["frontend"], 1001),
        &out_of_archon_k8s,
    );
}
