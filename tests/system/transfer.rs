//! `push` and `copy`: digests stay, and nothing is sent twice.

use crate::support::{self, assert_sound, lapstrake, ok, registry, run, scratch, that_send};

#[test]
fn pushing_again_sends_nothing() {
    let built = support::eveai();
    let before = registry().requests("eveai/");
    assert!(!that_send(&before).is_empty(), "the first push is in the registry's log");
    let pushed = ok(lapstrake().args(["push", &built.place("oci")]));
    for (image, digest) in &built.digests {
        let reference = format!("{}/eveai/{image}@{digest}", registry().host);
        assert!(pushed.contains(&reference), "{reference} in\n{pushed}");
    }
    let requests = registry().requests("eveai/").split_off(before.len());
    assert!(!requests.is_empty(), "the registry was asked");
    assert!(that_send(&requests).is_empty(), "{:#?}", that_send(&requests));
}

/// Fails where the lock of a recipe is not of the layers that the recipe makes, too: it then knows nothing of them.
#[test]
fn a_runner_with_an_empty_disk_reads_no_layer() {
    for (name, built) in [("eveai", support::eveai()), ("archon", support::archon())] {
        let cache = scratch().join(format!("cache-fresh-{name}"));
        let mut build = support::build(name);
        build.env("LAPSTRAKE_CACHE_DIR", &cache).args(["--platform", "linux/amd64", "--push"]);
        let output = run(&mut build);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {told}");
        assert_eq!(support::digests(&String::from_utf8_lossy(&output.stdout)), built.digests, "{name}");
        assert!(!told.contains(" is read: "), "{name}: `lapstrake lock` makes the lock true again: {told}");
    }
}

#[test]
fn pushing_from_a_layout_sends_each_blob_once_for_all_tags() {
    let built = support::eveai();
    let host = &registry().host;
    let name = format!("{host}/eveai/workers:latest");
    let references = ["one", "two"].map(|tag| format!("{host}/pushed/workers:{tag}"));
    // An empty cache: it knows nothing of what the registry has.
    let cache = scratch().join("cache-push");
    let mut push = lapstrake();
    push.env("LAPSTRAKE_CACHE_DIR", &cache).args(["push", &built.place("oci"), "--image", &name]).args(&references);
    let line = ok(&mut push);
    let digest = &built.digests["workers"];
    assert!(line.contains(digest) && line.trim_end().ends_with("one,two"), "{line}");
    for tag in ["one", "two"] {
        assert_eq!(registry().digest("pushed/workers", tag), *digest);
    }
    assert_sound(&references[0]);

    let image = built.layout().image(digest);
    let requests = registry().requests("pushed/workers/");
    let stored = |request: &&&String| {
        let uploaded = request.starts_with("PUT ") && request.contains("/blobs/uploads/");
        let mounted = request.starts_with("POST ") && request.contains("mount=");
        request.ends_with(" 201") && (uploaded || mounted)
    };
    let blobs = that_send(&requests).iter().filter(stored).count();
    assert_eq!(blobs, image.layers().len() + 1, "layers and config, each once: {:#?}", that_send(&requests));
}

#[test]
fn copying_from_registry_to_archive_to_registry_keeps_digests() {
    let host = &registry().host;
    for (built, image, from, to) in [
        (support::eveai(), "api", "eveai/api:latest", "copied/api"),
        (support::archon(), "frontend:docker", "archon/frontend:docker-latest", "copied/frontend-docker"),
        (support::archon(), "frontend:k8s", "archon/frontend:k8s-latest", "copied/frontend-k8s"),
    ] {
        let digest = &built.digests[image];
        let archive = format!("oci-archive:{}", scratch().join(to.replace('/', "-")).display());
        let read = ok(lapstrake().args(["copy", &format!("{host}/{from}"), &archive]));
        assert!(read.contains(digest), "{read}");
        assert_sound(&archive);
        let written = ok(lapstrake().args(["copy", &archive, &format!("{host}/{to}:kept")]));
        assert!(written.contains(digest), "{written}");
        assert_eq!(registry().digest(to, "kept"), *digest);
        assert_eq!(registry().tags(to), ["kept"]);
    }
}
