//! Downloads: files and archives that the recipe pins by digest.

use super::file_server::{Fault, FileServer};
use super::support::{Base, Project, Run, Tar, gzip, sha256};

/// The digest as recipes have it.
fn pin(bytes: &[u8]) -> String {
    sha256(bytes)["sha256:".len()..].to_owned()
}

/// A project with one layer that fetches; its server.
fn fetching(items: impl Fn(&FileServer) -> String) -> (Project, FileServer) {
    let server = FileServer::start();
    let project = Project::empty();
    project.recipe(&recipe("", &items(&server)));
    (project, server)
}

fn recipe(head: &str, layer: &str) -> String {
    format!("{head}[images.app]\nfrom = \"scratch\"\nworkdir = \"/work\"\n[[images.app.layers]]\n{layer}\n")
}

fn lock(project: &Project) -> String {
    std::fs::read_to_string(project.path("lapstrake.lock")).unwrap()
}

#[test]
fn a_file_lands_where_and_as_the_recipe_says() {
    let (tool, data) = (b"#!tool\n".to_vec(), b"data".to_vec());
    let (project, server) = fetching(|server| {
        format!(
            "to = \"/opt\"\nowner = \"7:8\"\nfetch = [\n{{ url = \"{}\", sha256 = \"{}\" }},\n\
             {{ url = \"{}\", sha256 = \"{}\", to = \"/usr/bin\", name = \"tool\", mode = \"0755\" }} ]",
            server.url("/data.bin?x=1"),
            pin(&data),
            server.url("/v1/tool-1.0"),
            pin(&tool)
        )
    });
    server.put("/data.bin", "", data.clone());
    server.put("/v1/tool-1.0", "", tool);
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    let image = project.layout("out").image("app");
    let files: Vec<String> = image.top().lines().filter(|line| line.starts_with('f')).map(str::to_owned).collect();
    assert_eq!(files, ["f 0644 7:8 opt/data.bin 4", "f 0755 7:8 usr/bin/tool 7"]);
    assert_eq!(image.file("usr/bin/tool"), "#!tool\n");
    // The same on a machine that has nothing, and on one that has all and no network.
    project.run(&["lock"]).ok();
    assert!(
        !lock(&project).contains("127.0.0.1") && lock(&project).contains("name     = \"tool\""),
        "{}",
        lock(&project)
    );
    let build = |cache: &str, more: &[&str]| -> Run {
        project.run(&[&["build", "--locked", "-o", "oci:out", "--cache-dir", cache], more].concat())
    };
    assert_eq!(build("cold", &["-j1"]).ok().digests(), run.digests());
    server.clear_log();
    assert_eq!(build("cold", &["--offline", "-j8"]).ok().digests(), run.digests());
    assert_eq!(server.log().len(), 0);
    let told = build("never", &["--offline"]).fails(5);
    assert!(told.contains("data.bin") && told.contains("without --offline"), "{told}");
}

#[test]
fn an_archive_is_unpacked() {
    let tar = Tar::new()
        .dir("tool-1.0/", 0o755, 5, 6)
        .dir("tool-1.0/bin/", 0o750, 5, 6)
        .file("tool-1.0/bin/tool", 0o755, "tool")
        .link("tool-1.0/bin/again", "tool")
        .file("tool-1.0/README", 0o600, "read me")
        .end();
    for (name, bytes) in [
        ("tool.tar", tar.clone()),
        ("tool.tar.gz", gzip(&tar)),
        ("tool.tar.zst", zstd::stream::encode_all(&tar[..], 3).unwrap()),
        ("download", super::deb::Packing::Xz.pack(&tar)),
    ] {
        let (project, server) = fetching(|server| {
            let (url, pin) = (server.url(&format!("/{name}")), pin(&bytes));
            format!(
                "exclude = [\"**/README\"]\nfetch = {{ url = \"{url}\", sha256 = \"{pin}\", to = \"/opt/tool\", unpack = true, strip = 1 }}"
            )
        });
        server.put(&format!("/{name}"), "", bytes.clone());
        let top = project.build().image("app").top();
        for line in
            ["f 0755 0:0 opt/tool/bin/tool 4", "d 0750 5:6 opt/tool/bin/", "l 0777 0:0 opt/tool/bin/again -> tool"]
        {
            assert!(top.lines().any(|found| found == line), "{name}: {line} in\n{top}");
        }
        assert!(!top.contains("README") && !top.contains("tool-1.0"), "{top}");
    }
}

#[test]
fn what_is_not_what_was_pinned_is_refused() {
    let good = b"good".to_vec();
    let (project, server) =
        fetching(|server| format!("fetch = {{ url = \"{}\", sha256 = \"{}\" }}", server.url("/file"), pin(&good)));
    let told = project.run(&["build", "-o", "oci:out"]).fails(5);
    assert!(told.contains("file") && told.contains("404"), "{told}");
    server.put("/file", "", "evil");
    let told = project.run(&["build", "-o", "oci:out"]).fails(5);
    assert!(told.contains("file") && told.contains("[DIGEST]"), "{told}");
    assert!(!project.path("out").exists() && !project.path("lapstrake.lock").exists());
    server.put("/file", "", good);
    server.fault("/file", 1, Fault::Cut(2));
    server.fault("/file", 1, Fault::Status(502));
    assert_eq!(project.build().image("app").file("work/file"), "good", "after a hiccup");
}

#[test]
fn every_architecture_has_its_own_file() {
    let server = FileServer::start();
    let (amd64, arm64) = (b"for amd64".to_vec(), b"for arm64".to_vec());
    server.put("/tool-amd64", "", amd64.clone());
    server.put("/tool-arm64", "", arm64.clone());
    let url = server.url("/tool-{arch}");
    let layer = |digests: &str| {
        recipe(
            "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
            &format!("fetch = {{ url = \"{url}\", sha256 = {digests}, name = \"tool\", to = \"/bin\" }}"),
        )
    };
    let project = Project::new(&layer(&format!("{{ amd64 = \"{}\", arm64 = \"{}\" }}", pin(&amd64), pin(&arm64))));
    let images = project.build().platforms("app");
    for architecture in ["amd64", "arm64"] {
        assert_eq!(images[&format!("linux/{architecture}")].file("bin/tool"), format!("for {architecture}"));
    }
    project.recipe(&layer(&format!("{{ amd64 = \"{}\" }}", pin(&amd64))));
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("arm64") && told.contains("lapstrake.toml:"), "{told}");
}

/// A download that a locked build does not know is one that nobody has looked at.
#[test]
fn a_locked_build_knows_its_downloads() {
    let (one, two) = (b"one".to_vec(), b"two".to_vec());
    let (project, server) =
        fetching(|server| format!("fetch = {{ url = \"{}\", sha256 = \"{}\" }}", server.url("/file"), pin(&one)));
    server.put("/file", "", one.clone());
    let printed = project.run(&["lock"]).ok().stdout();
    assert!(printed.starts_with("+ fetch file ") && printed.ends_with("(linux/amd64)\n"), "{printed}");
    project.run(&["build", "--locked", "-o", "oci:out"]).ok();
    let recipe_of_two =
        recipe("", &format!("fetch = {{ url = \"{}\", sha256 = \"{}\" }}", server.url("/file"), pin(&two)));
    project.recipe(&recipe_of_two);
    server.put("/file", "", two);
    let told = project.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(told.contains("file") && told.contains("lapstrake lock"), "{told}");
    assert!(project.run(&["lock"]).ok().stdout().starts_with("~ fetch file "));
    project.run(&["build", "--locked", "-o", "oci:out"]).ok();
}

/// A download goes through the links of what is below, and leaves parents as they are.
#[test]
fn the_base_stays_as_it_is() {
    let file = b"x".to_vec();
    let server = FileServer::start();
    server.put("/f", "", file.clone());
    let project = Project::empty();
    Base::debian().layout(&project.path("ctx/base"));
    let fetch = format!("fetch = {{ url = \"{}\", sha256 = \"{}\", to = \"/lib\" }}", server.url("/f"), pin(&file));
    project.recipe(&format!("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\n{fetch}\n"));
    assert_eq!(project.build().image("app").top(), "d 0755 0:0 usr/\nd 0755 0:0 usr/lib/\nf 0644 0:0 usr/lib/f 1\n");
}
