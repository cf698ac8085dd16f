//! `explain`: which layers are those of before, and what made the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::deb::Deb;
use super::fake_registry::{FakeRegistry, Fault, on};
use super::mirror::Mirrored;
use super::support::{Base, Project, Run, Stored, Tar};
use super::wheel::Wheel;

const APP: &str = r#"
[images.app]
from = "scratch"
env = { PORT = "8080" }
[[images.app.layers]]
name = "libraries"
copy = ["lib"]
to = "/lib"
[[images.app.layers]]
name = "code"
copy = ["app"]
to = "/"
"#;

fn project() -> Project {
    let project = Project::new(APP);
    for path in ["lib/one", "lib/two", "app/main.py", "app/old.py", "app/run.sh"] {
        project.write(&format!("ctx/{path}"), path);
    }
    project
}

/// Standard output without digests.
fn told(run: Run) -> String {
    let digest = regex::Regex::new("sha256:[0-9a-f]+").expect("a pattern");
    digest.replace_all(&run.ok().stdout(), "[DIGEST]").into_owned()
}

fn explain(project: &Project, more: &[&str]) -> String {
    told(project.run(&[&["explain"], more].concat()))
}

/// The row of that title, without its size.
#[track_caller]
fn row(text: &str, title: &str) -> String {
    let after =
        |line: &str| Some(line.strip_prefix("├─ ").or(line.strip_prefix("└─ "))?.strip_prefix(title)?.to_owned());
    let found = text.lines().find_map(after).unwrap_or_else(|| panic!("no {title} in\n{text}"));
    let sizes = regex::Regex::new(r"^ +([0-9.]+ (B|KiB|MiB) )?").expect("a pattern");
    sizes.replace(&found, "").into_owned()
}

/// Would fail if the comparison were with the cache, which knows the new layers from the first time on.
#[test]
fn files_are_named_and_the_answer_stays_the_same() {
    let project = project();
    project.run(&["build"]).ok();
    let index = std::fs::read(project.path("lapstrake-out/index.json")).expect("an index");
    let same = explain(&project, &[]);
    let first = same.lines().next().expect("a line");
    assert!(first.starts_with("app "), "{same}");
    assert!(first.ends_with("[DIGEST] unchanged, compared with oci:./lapstrake-out"), "{same}");
    assert_eq!(row(&same, "libraries"), "reused (cache)");
    assert_eq!(row(&same, "code"), "reused (cache)");
    assert_eq!(row(&same, "config"), "unchanged");

    project.write("ctx/app/main.py", "other").write("ctx/app/new/x.py", "new").chmod("ctx/app/run.sh", 0o755);
    std::fs::remove_file(project.path("ctx/app/old.py")).expect("the file");
    let first = explain(&project, &[]);
    assert_eq!(row(&first, "libraries"), "reused (cache)");
    assert_eq!(row(&first, "code"), "rebuilt: app/main.py changed, app/new/x.py is new, app/old.py is gone and 1 more");
    assert!(first.contains("[DIGEST] → [DIGEST]"), "{first}");
    assert_eq!(explain(&project, &[]), first);
    assert_eq!(std::fs::read(project.path("lapstrake-out/index.json")).expect("an index"), index);
    assert!(!project.path("lapstrake.lock").exists());

    project.run(&["build"]).ok();
    assert_eq!(row(&explain(&project, &[]), "code"), "reused (cache)");
}

#[test]
fn modes_and_owners_are_named() {
    let project = project();
    project.run(&["build"]).ok();
    project.chmod("ctx/app/run.sh", 0o755);
    assert_eq!(row(&explain(&project, &[]), "code"), "rebuilt: app/run.sh changed (mode 0644 → 0755)");
    project.chmod("ctx/app/run.sh", 0o644);
    project.recipe(&APP.replace("copy = [\"lib\"]\n", "copy = [\"lib\"]\nowner = \"7:8\"\n"));
    let text = explain(&project, &[]);
    assert_eq!(row(&text, "code"), "reused (cache)");
    assert!(row(&text, "libraries").contains("lib/one changed (owner 0:0 → 7:8)"), "{text}");
}

#[test]
fn settings_alone_leave_the_layers() {
    let project = project();
    project.run(&["build"]).ok();
    project.recipe(&APP.replace("PORT = \"8080\" }", "PORT = \"9090\", ROLE = \"web\" }\nlabels = { team = \"x\" }"));
    let text = explain(&project, &[]);
    assert_eq!(row(&text, "libraries"), "reused (cache)");
    assert_eq!(row(&text, "code"), "reused (cache)");
    assert_eq!(row(&text, "config"), "env PORT changed, env ROLE is new, label team is new");
}

#[test]
fn layers_that_come_go_and_are_renamed() {
    let project = project();
    project.run(&["build"]).ok();
    project
        .recipe(&APP.replace("name = \"code\"", "files = { \"/x\" = \"x\" }\n[[images.app.layers]]\nname = \"code\""));
    let text = explain(&project, &[]);
    assert_eq!(row(&text, "code"), "reused (cache)");
    assert_eq!(row(&text, "files /x"), "new");
    project.recipe(APP.split("[[images.app.layers]]\nname = \"code\"").next().expect("the first layer"));
    assert_eq!(row(&explain(&project, &[]), "code: copy app, to /"), "gone");
    project.recipe(&APP.replace("to = \"/lib\"", "to = \"/opt\""));
    let text = explain(&project, &[]);
    assert!(
        row(&text, "libraries").starts_with("rebuilt: the recipe's layer was `libraries: copy lib, to /lib`"),
        "{text}"
    );
}

#[test]
fn what_was_never_built_is_new() {
    let project = project();
    let text = explain(&project, &["--offline"]);
    assert!(text.lines().next().is_some_and(|line| line.ends_with("[DIGEST] new, compared with nothing")), "{text}");
    assert_eq!(row(&text, "code"), "new");
    assert!(!project.path("lapstrake-out").exists());
    let told = project.run(&["explain", "--against", "oci:nowhere"]).fails(1);
    assert!(told.contains("nowhere"), "{told}");
    project.run(&["explain", "ap"]).fails(2);
    project.run(&["build", "-o", "oci:out"]).ok();
    let run = project.run(&["explain", "--against", "oci:out:other"]).ok();
    assert!(run.told().contains("oci:out:other has no image app for linux/amd64"), "{}", run.told());
    assert_eq!(row(&run.stdout(), "code"), "new");
}

#[test]
fn packages_are_named_with_their_versions() {
    let mut m = Mirrored::with([Deb::new("tool", "1").program("usr/bin/tool", "one\n")]);
    let wheel = |version: &str| Wheel::new("six", version).file("six.py", "x = 1\n");
    let (old, new) = (wheel("1.16.0"), wheel("1.17.0"));
    m.index.add(&old).add(&new).publish();
    let require = |m: &Mirrored, version: &str, wheel: &Wheel| {
        m.project.write("ctx/requirements.txt", format!("six=={version} --hash=sha256:{}\n", wheel.sha256()));
    };
    require(&m, "1.16.0", &old);
    m.recipe(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"packages\"\ndebian = [\"tool\"]\n\
         [[images.app.layers]]\nname = \"dependencies\"\npython = { requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }\n",
    );
    m.lock(&[]);
    m.run(&["build", "--locked"]).ok();
    m.archive.add("trixie", Deb::new("tool", "2").program("usr/bin/tool", "two\n")).publish();
    m.lock(&["--update"]);
    let text = told(m.run(&["explain", "--locked"]));
    assert_eq!(row(&text, "packages"), "rebuilt: tool 1 → 2");
    assert_eq!(row(&text, "dependencies"), "reused (cache)");
    require(&m, "1.17.0", &new);
    let lock = m.locked();
    let text = told(m.run(&["explain"]));
    assert_eq!(row(&text, "dependencies"), "rebuilt: six 1.16.0 → 1.17.0");
    assert_eq!(m.locked(), lock, "nothing is pinned");
}

/// Puts a base under a tag; gives the digest of its manifest.
fn push_base(registry: &FakeRegistry, version: &str) -> String {
    let mut base = Base::debian();
    base.layers.push((Tar::new().dir("etc/", 0o755, 0, 0).file("etc/version", 0o644, version).end(), Stored::Gzip));
    let mut blobs = BTreeMap::new();
    let descriptor = base.blobs(&mut blobs);
    let text = |key: &str| descriptor[key].as_str().expect("a text").to_owned();
    for (name, bytes) in &blobs {
        match *name == text("digest") {
            true => drop(registry.put_manifest("library/base", Some("1"), &text("mediaType"), bytes)),
            false => drop(registry.put_blob("library/base", bytes)),
        }
    }
    text("digest")
}

#[test]
fn a_base_that_moved_is_told_from_where_to_where() {
    let registry = FakeRegistry::plain();
    let one = push_base(&registry, "one");
    let name = format!("{}/library/base:1", registry.name());
    let project = Project::new(&format!(
        "[images.app]\nfrom = \"{name}\"\n[[images.app.layers]]\nname = \"code\"\ncopy = [\"x\"]\nto = \"/\"\n"
    ));
    project.write("ctx/x", "x");
    project.run(&["build"]).ok();
    assert_eq!(row(&explain(&project, &[]), "base (2 layers)"), "reused");
    let two = push_base(&registry, "two");
    project.run(&["lock", "--update"]).ok();
    let text = project.run(&["explain"]).ok().stdout();
    assert_eq!(row(&text, "base (2 layers)"), format!("moved {name}: {one} → {two} (1 of 2 layers are the same)"));
    assert_eq!(row(&text, "code"), "reused (cache)");
}

/// `verify` names it, too.
#[test]
fn another_name_of_the_same_base_is_told() {
    let recipe = |tag: &str| {
        format!(
            "[images.base]\nfrom = \"scratch\"\ntags = [\"{tag}\"]\n[[images.base.layers]]\nfiles = {{ \"/b\" = \"b\" }}\n\
             [images.app]\nfrom = \"base\"\n[[images.app.layers]]\nfiles = {{ \"/a\" = \"a\" }}\n"
        )
    };
    let project = Project::new(&recipe("1.4"));
    project.run(&["build"]).ok();
    assert_eq!(row(&explain(&project, &["app"]), "config"), "unchanged");
    project.recipe(&recipe("1.5"));
    let text = explain(&project, &["app"]);
    assert_eq!(row(&text, "config"), "annotation org.opencontainers.image.base.name changed", "{text}");
}

#[test]
fn what_a_registry_holds_is_compared_on_an_empty_disk() {
    let registry = FakeRegistry::plain();
    let project = project();
    let recipe = APP.replace("from = ", &format!("repository = \"{}/team/app\"\nfrom = ", registry.name()));
    project.recipe(&recipe);
    let text = explain(&project, &["--registry"]);
    assert_eq!(row(&text, "code"), "new");
    project.run(&["build", "--push", "--cache-dir", "first"]).ok();
    project.write("ctx/app/main.py", "other");
    registry.clear_log();
    let look = || explain(&project, &["--registry", "--cache-dir", "empty"]);
    let text = look();
    let tag = format!("{}/team/app:latest", registry.name());
    assert_eq!(row(&text, "libraries"), format!("reused ({tag})"));
    assert_eq!(row(&text, "code"), "rebuilt: app/main.py changed");
    assert_eq!(
        registry.count("GET", "/blobs/"),
        2,
        "the config, and the layer that is another: {:?}",
        registry.lines()
    );
    assert_eq!(registry.count("PUT", "") + registry.count("POST", ""), 0);
    assert_eq!(look(), text);
    let other = explain(&project, &["--cache-from", &tag, "--cache-dir", "another"]);
    assert_eq!(row(&other, "libraries"), format!("reused ({tag})"));
    let filled = format!("{}/team/{{image}}:latest", registry.name());
    let other = explain(&project, &["--cache-from", &filled, "--cache-dir", "third"]);
    assert_eq!(row(&other, "libraries"), format!("reused ({tag})"));
    registry.clear_log();
    project.run(&["build", "--cache-from", &filled, "--cache-dir", "fourth", "-o", "oci:fourth-out"]).ok();
    assert!(registry.count("GET", "/team/app/manifests/latest") > 0, "{:?}", registry.lines());
    // A place that is not there is a cache that holds nothing.
    for from in [format!("{}/team/none-{{image}}:latest", registry.name()), "oci:none-{image}".to_owned()] {
        let run = project.run(&["explain", "--cache-from", &from, "--cache-from", &filled]).ok();
        let none = from.replace("{image}", "app");
        assert!(run.stderr.contains(&format!("{none} would be compared with, and cannot be read")), "{}", run.stderr);
        assert!(run.stdout().contains(&format!("compared with {tag}")), "{}", run.stdout());
    }
    project.run(&["explain", "--against", &format!("{}/team/none:1", registry.name())]).fails(5);
    let told = project.run(&["build", "--cache-from", "registry.example.com/{variant}:x"]).fails(2);
    assert!(told.contains("--cache-from registry.example.com/{variant}:x: image `app` has no variant"), "{told}");
    project.run(&["explain", "--registry", "--offline"]).fails(2);
}

/// Would say that everything is new if only what is on this machine were compared with.
#[test]
fn what_was_pushed_and_is_not_here_is_compared_in_the_registry() {
    let registry = FakeRegistry::plain();
    let project = project();
    let at =
        |registry: &str| {
            project.recipe(&APP.replace(
                "from = ",
                &format!("repository = \"{registry}/team/app\"\ntags = [\"gone\", \"1\"]\nfrom = "),
            ));
        };
    at(&registry.name());
    project.run(&["build", "--push", "-t", "1"]).ok();
    project.write("ctx/app/main.py", "other");
    let text = explain(&project, &[]);
    let tag = format!("{}/team/app:1", registry.name());
    assert!(text.lines().next().is_some_and(|line| line.ends_with(&format!(", compared with {tag}"))), "{text}");
    assert_eq!(row(&text, "libraries"), "reused (cache)");
    assert_eq!(row(&text, "code"), "rebuilt: app/main.py changed");
    // What is here counts first, and without the network nothing is asked.
    registry.clear_log();
    project.run(&["build"]).ok();
    assert!(explain(&project, &[]).contains("unchanged, compared with oci:./lapstrake-out"));
    std::fs::remove_dir_all(project.path("lapstrake-out")).expect("the layout");
    assert!(explain(&project, &["--offline"]).contains("new, compared with nothing"));
    assert_eq!(registry.lines(), Vec::<String>::new());

    // A registry that is not there is told of once, however many tags and images there are.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    at(&closed.to_string());
    let run = project.run(&["explain"]).ok();
    assert!(run.stdout().contains("new, compared with nothing"), "{}", run.stdout());
    let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.contains("warning: ")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(&format!("{closed}/team/app:gone would be")), "{warnings:?}");
}

/// Fails where a registry that nobody named, and that says nothing, keeps everybody waiting.
#[test]
fn a_registry_that_hangs_is_not_waited_for() {
    let registry = FakeRegistry::plain();
    registry.fault(on("HEAD", "").always(), Fault::Stall(Duration::from_secs(60)));
    registry.fault(on("GET", "").always(), Fault::Stall(Duration::from_secs(60)));
    let project = project();
    project.recipe(&APP.replace("from = ", &format!("repository = \"{}/team/app\"\nfrom = ", registry.name())));
    let begun = Instant::now();
    let run = project.run(&["explain"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(run.stdout().contains("new, compared with nothing"), "{}", run.stdout());
    let warnings =
        run.stderr.lines().filter(|line| line.contains("cannot be read") && line.contains("nothing came for"));
    assert_eq!(warnings.count(), 1, "{}", run.stderr);
}

/// Would call everything new if a repository that is not there yet, which many registries answer with 401, kept the others
/// from being asked.
#[test]
fn a_repository_that_is_refused_says_nothing_of_the_others() {
    let image = |name: &str| {
        format!("[images.{name}]\nfrom = \"scratch\"\n[[images.{name}.layers]]\nfiles = {{ \"/a\" = \"{name}\" }}\n")
    };
    for status in [401, 403, 404] {
        let registry = FakeRegistry::plain();
        let project = Project::empty();
        let head =
            format!("recipe = 1\n[project]\nname = \"x\"\nrepository = \"{}/team/{{image}}\"\n", registry.name());
        let recipe = format!("{head}{}{}{}", image("first"), image("second"), image("third"));
        project.write("lapstrake.toml", recipe.replace("[images.first]", "[images.first]\ntags = [\"a\", \"b\"]"));
        project.run(&["build", "--push", "second", "third", "-o", "oci:out"]).ok();
        for method in ["GET", "HEAD"] {
            registry.fault(on(method, "/team/first/").always(), Fault::Status(status, Vec::new(), String::new()));
        }
        for arguments in [&["explain"][..], &["explain", "--registry"]] {
            let run = project.run(arguments).ok();
            let fates: Vec<String> =
                run.stdout().lines().filter(|line| line.contains("compared with")).map(str::to_owned).collect();
            assert!(fates.len() == 3 && fates[0].contains("new, compared with nothing"), "{status}: {fates:?}");
            assert!(fates[1..].iter().all(|fate| fate.contains("unchanged, compared with")), "{status}: {fates:?}");
            // Both tags at once. That something is not there is what `new` says.
            let warnings = run.stderr.lines().filter(|line| line.contains("cannot be read")).count();
            assert_eq!(warnings, usize::from(status != 404), "{}", run.stderr);
        }
        let run = project.run(&["report", "--registry", "-o", "-"]).ok();
        assert!(run.stdout().contains("second") && run.stdout().contains("third"), "{status}");
        assert!(run.stderr.contains("first"), "{status}: {}", run.stderr);
        project.run(&["report", "--registry", "--image", "first", "-o", "-"]).fails(5);
        let told = project
            .run(&["report", "--registry", "--image", "second", "--platform", "linux/s390x", "-o", "-"])
            .fails(1);
        assert!(told.contains("there is no image for linux/s390x"), "{told}");
    }
}

#[test]
fn of_a_split_layer_the_part_is_told_that_has_the_file() {
    let project = Project::new(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"data\"\nsplit = 4\ncopy = [\"data\"]\nto = \"/\"\n",
    );
    for directory in 0..12_u32 {
        for file in 0..10_u32 {
            let text: String = (0..6000_u32).map(|line| format!("{directory} {file} {line}\n")).collect();
            project.write(&format!("ctx/data/d{directory:02}/f{file}"), text);
        }
    }
    project.run(&["build"]).ok();
    project.write("ctx/data/d05/f3", "x".repeat(60_000));
    let text = explain(&project, &[]);
    let parts: Vec<&str> = text.lines().filter(|line| line.contains("data (part ")).collect();
    assert!(parts.len() > 2, "{text}");
    let rebuilt: Vec<&&str> = parts.iter().filter(|line| line.contains("rebuilt")).collect();
    assert!(rebuilt.iter().any(|line| line.ends_with("rebuilt: data/d05/f3 changed")), "{text}");
    assert!(rebuilt.len() < parts.len(), "{text}");
}

#[test]
fn all_of_it_as_json() {
    let project = project();
    project.run(&["build"]).ok();
    project.write("ctx/app/main.py", "other");
    project.recipe(&APP.replace("8080", "9090"));
    let read = |more: &[&str]| -> Value {
        let stdout = project.run(&[&["explain", "--json"], more].concat()).ok().stdout;
        serde_json::from_slice::<Value>(&stdout).expect("JSON")[0].clone()
    };
    let image = read(&[]);
    assert_eq!(image["name"], "app");
    assert_eq!(image["platform"], "linux/amd64");
    assert_eq!(image["before"]["place"], "oci:./lapstrake-out");
    assert_ne!(image["before"]["digest"], image["digest"]);
    assert_eq!(image["layers"][0]["status"], "reused");
    let code = &image["layers"][1];
    assert_eq!((&code["title"], &code["status"], &code["from"]), (&"code".into(), &"rebuilt".into(), &"cache".into()));
    assert_eq!(code["files"], serde_json::json!([{ "path": "app/main.py", "status": "changed", "how": ["contents"] }]));
    assert_eq!(image["config"], serde_json::json!([{ "of": "env PORT", "before": "8080", "now": "9090" }]));
    std::fs::rename(project.path("lapstrake-out"), project.path("moved")).expect("renaming");
    assert_eq!(read(&["--offline"])["before"], Value::Null);
    assert_eq!(read(&["--against", "moved"])["layers"][1]["status"], "rebuilt");
}
