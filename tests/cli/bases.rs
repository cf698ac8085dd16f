//! Bases of every kind, made with other code than lapstrake's: what of them is carried over.

use std::fs;

use serde_json::json;

use super::support::{Base, Project, Stored, Tar, gzip};

const ON_TOP: &str = r#"
[[images.app.layers]]
files = { "/app/x" = "new" }
"#;

fn rich() -> serde_json::Value {
    json!({
        "User": "33:33",
        "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
        "Entrypoint": ["/usr/bin/tool"],
        "Cmd": ["serve"],
        "WorkingDir": "/srv",
        "Labels": { "team": "base" },
        "ExposedPorts": { "80/tcp": {} },
        "Volumes": { "/data": {} },
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/bash", "-c"],
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 30_000_000_000_u64, "Unheard": 1 },
        "OnBuild": ["RUN true"],
        "ArgsEscaped": true,
        "NeverHeardOf": { "deep": [1, 2.50, "x"] },
    })
}

/// A base in every kind of place gives the same files below, and the layer on top lands the same way.
#[test]
fn every_kind_of_place() {
    let project = Project::empty();
    let base = Base::debian().settings(rich());
    base.layout(&project.path("ctx/layout"));
    base.oci_archive(&project.path("ctx/oci.tar"));
    base.docker_archive(&project.path("ctx/docker.tar"), "example.com/base:1");
    fs::write(project.path("ctx/oci.tar.gz"), gzip(&fs::read(project.path("ctx/oci.tar")).unwrap())).unwrap();
    let mut tops = Vec::new();
    for place in [
        "oci:layout",
        "oci-archive:oci.tar",
        "oci-archive:oci.tar.gz",
        "archive:oci.tar",
        "docker-archive:docker.tar",
        "docker-archive:docker.tar:example.com/base:1",
        "archive:docker.tar",
    ] {
        project.recipe(&format!(
            "[images.app]\nfrom = \"{place}\"\n[[images.app.layers]]\nfiles = {{ \"/lib/x\" = \"new\" }}\n"
        ));
        let image = project.build().image("app");
        assert_eq!(image.settings(), &rich(), "{place}");
        assert_eq!(image.layers.len(), 2, "{place}");
        assert_eq!(image.layers[0], base.layers[0].0, "{place}");
        tops.push((image.top(), image.layer_digests()[1].clone()));
    }
    assert_eq!(tops[0].0, "d 0755 0:0 usr/\nd 0755 0:0 usr/lib/\nf 0644 0:0 usr/lib/x 3\n");
    assert!(tops.iter().all(|top| *top == tops[0]), "{tops:?}");
}

/// Would fail if accounts were found only in files that are members of their own, with the very names that are asked for.
#[test]
fn accounts_are_found_behind_links_and_other_names() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:7:8:me:/:/bin/sh\n";
    let files = |tar: Tar, directory: &str, one: &str| {
        tar.file(&format!("{directory}/{one}"), 0o644, passwd).file(&format!("{directory}/group"), 0o644, "root:x:0:\n")
    };
    let etc = || Tar::new().dir("etc/", 0o755, 0, 0);
    let usr = || Tar::new().dir("usr/", 0o755, 0, 0).dir("usr/etc/", 0o755, 0, 0);
    for (what, tar) in [
        ("a link", files(etc(), "etc", "pw").link("etc/passwd", "pw")),
        ("an absolute link", files(etc(), "etc", "pw").link("etc/passwd", "/etc/pw")),
        ("a hard link", files(etc(), "etc", "pw").hard("etc/passwd", "etc/pw")),
        ("a linked directory", files(usr(), "usr/etc", "passwd").link("etc", "usr/etc")),
        ("a member behind a link", files(etc().link("l", "/etc"), "l", "passwd")),
    ] {
        let users = "[users.new]\nuid = 99\n[images.app]\nfrom = \"oci:base\"\nusers = [\"new\"]\n";
        let layer = "[[images.app.layers]]\nfiles = { \"/x\" = \"x\" }\nowner = \"me:8\"\n";
        let project = Project::new(&format!("{users}{layer}"));
        Base::of(tar.end()).layout(&project.path("ctx/base"));
        // The second time, what the layer holds is known.
        for _ in 0..2 {
            let image = project.build().image("app");
            assert!(image.top().contains("f 0644 7:8 x 1"), "{what}: {}", image.top());
            let at = match what {
                "a link" | "an absolute link" => "etc/pw",
                "a linked directory" => "usr/etc/passwd",
                _ => "etc/passwd",
            };
            assert_eq!(image.file(at), format!("{passwd}new:x:99:99::/home/new:/sbin/nologin\n"), "{what}");
        }
        let large = etc().file("etc/pw", 0o644, &vec![b'#'; (16 << 20) + 1]).link("etc/passwd", "pw");
        Base::of(large.end()).layout(&project.path("ctx/base"));
        let told = project.run(&["build", "-o", "oci:out"]).fails(3);
        assert!(told.contains("/etc/pw of the base is too large to be a file of accounts"), "{told}");
    }
}

#[test]
fn layers_of_every_compression_and_both_families() {
    for docker in [false, true] {
        let project = Project::new(&format!("[images.app]\nfrom = \"oci:base\"\n{ON_TOP}"));
        let one = |name: &str| Tar::new().dir("app/", 0o750, 5, 6).file(&format!("app/{name}"), 0o600, name).end();
        let mut base = Base::debian();
        base.docker = docker;
        base.layers.push((one("gzip"), Stored::Gzip));
        base.layers.push((one("plain"), Stored::Plain));
        if !docker {
            base.layers.push((one("zstd"), Stored::Zstd));
        }
        base.layout(&project.path("ctx/base"));
        let image = project.build().image("app");
        let count = base.layers.len();
        for (read, (written, stored)) in image.layers.iter().zip(&base.layers) {
            assert_eq!(read, written, "{stored:?}");
        }
        // The parent is there with its own mode and owner, and keeps them.
        assert_eq!(image.top(), "d 0750 5:6 app/\nf 0644 0:0 app/x 3\n");
        let media = |n: usize| image.manifest["layers"][n]["mediaType"].as_str().unwrap().to_owned();
        assert_eq!(media(count), "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(media(0), "application/vnd.oci.image.layer.v1.tar+gzip", "the family is the recipe's");
        assert_eq!(media(2), "application/vnd.oci.image.layer.v1.tar");
        // Both ways: `format = "docker"` relabels all, and zstd has no name there.
        project.recipe(&format!("[images.app]\nfrom = \"oci:base\"\nformat = \"docker\"\n{ON_TOP}"));
        if docker {
            let image = project.build().image("app");
            assert_eq!(image.manifest["layers"][0]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
            assert_eq!(image.manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
        } else {
            let told = project.run(&["build", "-o", "oci:docker"]).fails(3);
            assert!(told.contains("zstd"), "{told}");
            assert!(!project.path("docker").exists());
        }
    }
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let project = Project::new(&format!(
        "[images.app]\nfrom = \"oci:base\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{ON_TOP}"
    ));
    let image = |architecture: &str| {
        let mut base = Base::of(Tar::new().file("arch", 0o644, architecture).end());
        base.config["architecture"] = json!(architecture);
        base
    };
    Base::index(&[image("amd64"), image("arm64"), image("s390x")], &project.path("ctx/base"));
    let images = project.build().platforms("app");
    assert_eq!(images.keys().collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    for (platform, image) in &images {
        assert_eq!(format!("linux/{}", image.file("arch")), *platform);
        assert_eq!(image.config["architecture"].as_str().unwrap(), image.file("arch"));
    }
    let told = project.run(&["build", "--platform", "linux/riscv64", "-o", "oci:none"]).fails(1);
    assert!(told.contains("linux/riscv64") && told.contains("linux/s390x"), "what there is, is told: {told}");
    assert!(!project.path("none").exists());
}

#[test]
fn what_is_not_set_is_carried_over() {
    let project = Project::new(&format!("[images.app]\nfrom = \"oci:base\"\n{ON_TOP}"));
    let mut base = Base::debian().settings(rich());
    base.config["author"] = json!("somebody");
    base.config["os.version"] = json!("6.1");
    base.config["unheard_of"] = json!({ "x": [null, true] });
    base.config["created"] = json!("2024-05-06T07:08:09Z");
    base.config["history"] = json!([
        { "created": "2024-05-06T07:08:09Z", "created_by": "base line", "comment": "kept", "author": "x" },
        { "created": "2024-05-06T07:08:09Z", "created_by": "CMD x", "empty_layer": true },
    ]);
    base.layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    assert_eq!(image.settings(), &rich());
    for key in ["author", "os.version", "unheard_of"] {
        assert_eq!(image.config[key], base.config[key], "{key}");
    }
    assert_eq!(image.config["created"], "2024-05-06T07:08:09Z", "the newest date inside what it is made of");
    let history = image.config["history"].as_array().unwrap();
    assert_eq!(history[..2], base.config["history"].as_array().unwrap()[..]);
    assert_eq!(image.history(), ["base line", "(CMD x)", "files /app/x"]);
}

#[test]
fn settings_land_on_the_bases_as_in_docker() {
    let project = Project::new(&format!(
        r#"[images.app]
from = "oci:base"
user = "www-data"
env = {{ PATH = "/app/bin:${{PATH}}", NEW = "1", LANG = false }}
labels = {{ mine = "1" }}
ports = [8080]
volumes = ["/more"]
entrypoint = ["/app/x"]
stop_signal = "SIGTERM"
healthcheck = false
workdir = "/work"
{ON_TOP}"#
    ));
    Base::debian().settings(rich()).layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    let settings = image.settings();
    insta::assert_snapshot!(serde_json::to_string_pretty(settings).unwrap(), @r#"
        {
          "ArgsEscaped": true,
          "Entrypoint": [
            "/app/x"
          ],
          "Env": [
            "PATH=/app/bin:/usr/bin:/bin",
            "NEW=1"
          ],
          "ExposedPorts": {
            "80/tcp": {},
            "8080/tcp": {}
          },
          "Labels": {
            "mine": "1",
            "team": "base"
          },
          "NeverHeardOf": {
            "deep": [
              1,
              2.5,
              "x"
            ]
          },
          "OnBuild": [
            "RUN true"
          ],
          "Shell": [
            "/bin/bash",
            "-c"
          ],
          "StopSignal": "SIGTERM",
          "User": "33:33",
          "Volumes": {
            "/data": {},
            "/more": {}
          },
          "WorkingDir": "/work"
        }
    "#);
    assert!(settings.get("Cmd").is_none(), "an entrypoint takes an inherited cmd away");
    insta::assert_snapshot!(image.history().join("\n"), @r#"
        base layer sha256:f1e32d308f67244516239c3596984b1ddd10a293cdaba7aea2404ca3f00ef817
        workdir /work of 0:0
        files /app/x
        (ENV LANG (taken away))
        (ENV NEW=1)
        (ENV PATH=/app/bin:/usr/bin:/bin)
        (LABEL mine=1)
        (EXPOSE 8080/tcp)
        (VOLUME /more)
        (WORKDIR /work)
        (STOPSIGNAL SIGTERM)
        (ENTRYPOINT ["/app/x"])
        (CMD (taken away))
        (HEALTHCHECK NONE)
    "#);
}

#[test]
fn false_clears_what_the_base_has() {
    let recipe = "[images.app]\nfrom = \"oci:base\"\nports = false\nvolumes = false\nhealthcheck = false\ncmd = []\nlabels = { team = false }\n";
    let project = Project::new(&format!("{recipe}{ON_TOP}"));
    Base::debian().settings(rich()).layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    for key in ["ExposedPorts", "Volumes", "Healthcheck", "Cmd", "Labels"] {
        assert!(image.settings().get(key).is_none(), "{key}: {}", image.settings());
    }
    assert_eq!(image.settings()["Entrypoint"], json!(["/usr/bin/tool"]));
}

#[test]
fn an_image_of_the_recipe_is_named_as_the_base_where_it_is_published() {
    let images = |publish: bool| {
        format!(
            "[images.base]\nfrom = \"scratch\"\npublish = {publish}\nenv = {{ A = \"1\" }}\n[[images.base.layers]]\nfiles = {{ \"/base\" = \"b\" }}\n[images.app]\nfrom = \"base\"\n{ON_TOP}"
        )
    };
    let project = Project::new(&images(true));
    let layout = project.build();
    let (base, app) = (layout.image("base"), layout.image("app"));
    assert_eq!(app.layer_digests()[..1], base.layer_digests()[..]);
    assert_eq!(app.manifest["annotations"]["org.opencontainers.image.base.name"], "registry.example.com/base:latest");
    assert_eq!(app.manifest["annotations"]["org.opencontainers.image.base.digest"], base.digest);
    assert_eq!(app.settings()["Env"], json!(["A=1"]));
    project.recipe(&images(false));
    let layout = project.build();
    assert_eq!(layout.names(), ["registry.example.com/app:latest"], "what is not published is not written");
    let annotations = &layout.image("app").manifest["annotations"];
    assert!(annotations.get("org.opencontainers.image.base.name").is_none(), "{annotations}");
}

/// Would fail if what stands on a base named it by a tag that moves with the commit.
#[test]
fn a_commit_that_changes_nothing_changes_no_image_on_a_base_of_the_recipe() {
    let recipe = |tags: &str| {
        format!(
            "tags = [{tags}]\n[images.base]\nfrom = \"scratch\"\n[[images.base.layers]]\nfiles = {{ \"/base\" = \"b\" }}\n[images.app]\nfrom = \"base\"\n{ON_TOP}"
        )
    };
    let project = Project::new("");
    let build = |tags: &str, commit: &str, more: &[&str]| {
        project.recipe(&recipe(tags));
        project.write(".git/HEAD", commit.repeat(40));
        let layout = project.build_with(more);
        let name = layout.names().into_iter().find(|name| name.contains("/app:")).expect("the app");
        let app = layout.image(&name);
        (app.manifest["annotations"]["org.opencontainers.image.base.name"].clone(), app.digest, layout.names())
    };
    for (tags, base) in [
        ("\"{git.short}\"", "registry.example.com/base"),
        ("\"{git.short}\", \"1.4\", \"latest\"", "registry.example.com/base:1.4"),
        ("\"{git.commit}\", \"{image}-latest\"", "registry.example.com/base:base-latest"),
    ] {
        let (one, two) = (build(tags, "a", &[]), build(tags, "b", &[]));
        assert_eq!((one.0.as_str(), &one.1), (Some(base), &two.1), "{tags}");
        assert_ne!(one.2, two.2, "the tags are of the commit");
        assert_eq!(build(tags, "a", &["-t", "typed"]).1, one.1, "{tags}");
    }
}

#[test]
fn bases_that_lie_are_refused() {
    let project = Project::new(&format!("[images.app]\nfrom = \"oci:base\"\n{ON_TOP}"));
    Base::debian().layout(&project.path("ctx/base"));
    // A flipped bit in the layer: same length, other bytes.
    let blobs = project.path("ctx/base/blobs/sha256");
    let largest = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).max_by_key(|path| {
        let bytes = fs::read(path).unwrap();
        (bytes.starts_with(&[0x1f, 0x8b]), bytes.len())
    });
    let layer = largest.unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    let told = project.run(&["build", "-o", "oci:out"]).fails(1);
    assert!(told.contains("[DIGEST]"), "{told}");
    assert!(!project.path("out").exists(), "nothing half-done");
    fs::remove_file(&layer).unwrap();
    project.run(&["build", "-o", "oci:out"]).fails(1);
}
