//! A base in the registry: pulled to look at, never sent again.

use std::fs;

use crate::support::{self, assert_sound, digests, directory, lapstrake, ok, registry, text, that_send};

#[test]
fn a_base_from_the_registry_is_mounted_and_not_sent() {
    let eveai = support::eveai();
    let host = &registry().host;
    let base_digest = &eveai.digests["base"];
    let directory = directory("on-base");
    let recipe = format!(
        r#"
recipe = 1
[project]
name       = "on-base"
repository = "{host}/on-base/{{image}}"
platforms  = ["linux/amd64"]
[images.by-tag]
from = "{host}/eveai/base:latest"
[[images.by-tag.layers]]
files = {{ "/app/eveai_app/notice.txt" = "on a base that somebody pushed\n" }}
owner = "appuser"
[images.by-digest]
from = "{host}/eveai/base@{base_digest}"
[[images.by-digest.layers]]
files = {{ "/app/eveai_app/notice.txt" = "on a base that somebody pushed\n" }}
owner = "appuser"
"#
    );
    let path = directory.join("lapstrake.toml");
    fs::write(&path, recipe).expect("the recipe");
    let mut build = lapstrake();
    build.env("LAPSTRAKE_CACHE_DIR", directory.join("cache")).args(["build", "--push", "-f"]).arg(&path);
    let built = digests(&ok(build.arg("-o").arg(format!("oci:{}", directory.join("out").display()))));
    assert_sound(&format!("oci:{}", directory.join("out").display()));

    let base = eveai.layout().image(base_digest);
    let layout = support::Layout { directory: directory.join("out") };
    for (name, digest) in &built {
        let repository = format!("on-base/{name}");
        assert_eq!(registry().digest(&repository, "latest"), *digest);
        assert_sound(&format!("{host}/{repository}:latest"));

        let image = layout.image(digest);
        let mut below = image.layers();
        let own = below.split_off(base.layers().len());
        assert_eq!(below, base.layers(), "{name}: the base's layers, as they were");
        let [own] = &own[..] else { panic!("{name}: not one layer on top: {own:?}") };
        assert_eq!(image.config["config"]["User"], "10001:10001", "{name}: inherited");
        assert_eq!(image.config["config"]["Entrypoint"], base.config["config"]["Entrypoint"], "{name}: inherited");
        assert_eq!(image.manifest["annotations"]["org.opencontainers.image.base.digest"], base_digest.as_str());
        let base_name = text(&image.manifest["annotations"]["org.opencontainers.image.base.name"]);
        assert!(base_name.starts_with(&format!("{host}/eveai/base")), "{base_name}");

        // Uploads of the layer on top and the config; the base's layers came by mount.
        let requests = registry().requests(&format!("{repository}/"));
        let sent = that_send(&requests);
        for layer in base.layers() {
            let encoded = layer.digest.replace(':', "%3A");
            let names_it = |request: &&&String| request.contains(&layer.digest) || request.contains(&encoded);
            let about: Vec<_> = sent.iter().filter(names_it).collect();
            let mounted = about.iter().any(|request| request.contains("mount=") && request.ends_with(" 201"));
            assert!(mounted, "{name}: {} was not mounted: {requests:#?}", layer.digest);
            assert!(!about.iter().any(|request| request.starts_with("PUT ")), "{name}: sent: {about:#?}");
        }
        let uploads = sent.iter().filter(|request| request.starts_with("PUT ") && request.contains("/blobs/")).count();
        assert!(uploads <= 2, "{name}: {} and the config are all there is to send: {sent:#?}", own.digest);
    }
    assert_eq!(built.len(), 2);
}
