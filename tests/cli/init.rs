//! `lapstrake init`: recipes made of Dockerfiles are taken, locked and built; what is there is not overwritten.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::deb::Deb;
use super::mirror::Mirrored;
use super::python::debian_python;
use super::support::{Base, Project, Stored, Tar};
use super::wheel::Wheel;

/// A folder of the repository's test data, copied below a directory.
fn testdata(from: &str, to: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(from), to);
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&path).unwrap();
            copy(&entry.path(), &path);
        } else {
            fs::copy(entry.path(), path).unwrap();
        }
    }
}

/// Puts the mirror's key and suite into a recipe that `init` wrote, as a user of a company's mirror would.
fn of_mirror(mirrored: &Mirrored) {
    let path = mirrored.project.path("lapstrake.toml");
    let recipe = fs::read_to_string(&path).unwrap();
    let suites = "suites = [\"trixie\", \"trixie-updates\", \"trixie-security\"]";
    assert!(recipe.contains(suites), "{recipe}");
    fs::copy(mirrored.project.path("ctx/debian.gpg"), mirrored.project.path("debian.gpg")).unwrap();
    fs::write(path, recipe.replace(suites, "suites = [\"trixie\"]\nkeyring = \"debian.gpg\"")).unwrap();
}

fn with_tini() -> Mirrored {
    let tini = Deb::new("tini", "0.19.0-1").bytes("usr/bin/tini", 0o755, b"tini");
    Mirrored::with([tini, Deb::new("libpq5", "17.0-1").file("usr/lib/libpq.so.5", "pq")])
}

/// The wheel that stands for all requirements of a test.
fn requirement(mirrored: &mut Mirrored) -> String {
    let wheel = Wheel::new("needed", "1.0").file("needed.py", "x = 1\n");
    mirrored.index.add(&wheel);
    mirrored.index.publish();
    format!("needed==1.0 --hash=sha256:{}\n", wheel.sha256())
}

/// Breaks when the Dockerfiles of eveAI do not come to a base and three services that build.
#[test]
fn eveai_builds() {
    let mut mirrored = with_tini();
    let requirements = requirement(&mut mirrored);
    let root = mirrored.project.root().to_owned();
    testdata("eveai", &root);
    testdata("dockerfiles/eveai", &root);
    mirrored.project.write("requirements.txt", requirements);
    // What start.sh is run by.
    let mut base = debian_python("amd64");
    let shell = Tar::new().file("usr/bin/env", 0o755, "env").file("usr/bin/bash", 0o755, "bash").end();
    base.layers.push((shell, Stored::Gzip));
    base.layout(&root.join("base"));
    let files = ["Dockerfile.base", "Dockerfile.app", "Dockerfile.api", "Dockerfile.workers"];
    let run = mirrored.run(&[&["init", "--name", "eveai", "--from", "oci:base"][..], &files].concat()).ok();
    assert_eq!(run.stdout(), "");
    assert!(run.told().contains("0 not turned") && run.told().contains("next: lapstrake lock"), "{}", run.told());
    of_mirror(&mirrored);
    mirrored.lock(&[]);
    let layout = mirrored.build_with(&["--locked"]);
    for (name, role, folder, other) in [
        ("app", "web", "eveai_app", "eveai_api"),
        ("api", "web", "eveai_api", "eveai_app"),
        ("workers", "worker", "eveai_workers", "eveai_app"),
    ] {
        let image = layout.image(name);
        let settings = image.settings();
        assert_eq!(settings["User"], "10001:10001");
        assert_eq!(settings["Entrypoint"], json!(["/usr/bin/tini", "-g", "--"]));
        assert_eq!(settings["Cmd"], json!(["bash", "-lc", "scripts/start.sh"]));
        assert_eq!(settings["WorkingDir"], "/app");
        assert_eq!(settings["ExposedPorts"], json!({ "8080/tcp": {} }));
        let env = settings["Env"].as_array().unwrap();
        for line in
            [&format!("ROLE={role}"), "PORT=8080", "PYTHONPATH=/app:/app/patched_packages", "PYTHONUNBUFFERED=1"]
        {
            assert!(env.contains(&json!(line)), "{line} in {env:?}");
        }
        let top = image.top();
        assert!(top.contains(&format!("f 0644 10001:10001 app/{folder}/__init__.py")), "{top}");
        assert!(!top.contains(other), "{top}");
        let all = image.listings().concat();
        for line in [
            "f 0755 10001:10001 app/scripts/start.sh",
            "d 0755 10001:10001 app/",
            "f 0644 10001:10001 app/common/text.py",
            "f 0755 0:0 usr/bin/tini",
        ] {
            assert!(all.contains(line), "{line} in {all}");
        }
        assert!(all.contains("dist-packages/needed.py"), "{all}");
        assert!(image.file("etc/passwd").contains("appuser:x:10001:10001::/nonexistent:/usr/sbin/nologin"));
    }
}

/// Breaks when Archon's Dockerfiles and their Kubernetes twins do not come to eight images with what sets them apart.
#[test]
fn archon_builds_in_two_variants() {
    let mut mirrored = with_tini();
    let requirements = requirement(&mut mirrored);
    let root = mirrored.project.root().to_owned();
    testdata("archon", &root);
    testdata("dockerfiles/archon", &root);
    for service in ["server", "mcp", "agents"] {
        mirrored.project.write(&format!("{service}/requirements.txt"), &requirements);
    }
    debian_python("amd64").layout(&root.join("base"));
    let mut arguments = vec!["init", "--name", "archon", "--from", "oci:base"];
    let files: Vec<String> = ["server", "mcp", "agents", "frontend"]
        .iter()
        .flat_map(|service| [format!("{service}/Dockerfile"), format!("{service}/Dockerfile.k8s")])
        .collect();
    arguments.extend(files.iter().map(String::as_str));
    let run = mirrored.run(&arguments).ok();
    assert!(run.told().contains("npm run build") && run.told().contains("not turned"), "{}", run.told());
    let recipe = fs::read_to_string(root.join("lapstrake.toml")).unwrap();
    assert!(recipe.contains("NOT TURNED") || recipe.contains("is not turned"), "{recipe}");
    of_mirror(&mirrored);
    mirrored.lock(&[]);
    let lines = mirrored.run(&["build", "--locked", "-o", "oci:out"]).ok().lines();
    assert_eq!(lines.len(), 8, "{lines:?}");
    let layout = mirrored.project.layout("out");
    for (service, port) in [("server", "8181"), ("mcp", "8051"), ("agents", "8052")] {
        let docker = layout.image(&format!("{service}:docker"));
        let k8s = layout.image(&format!("{service}:k8s"));
        assert!(docker.settings().get("User").is_none(), "{}", docker.settings());
        assert_eq!(docker.settings()["Healthcheck"]["Test"], json!(["CMD", "python3", "/app/healthcheck.py"]));
        assert_eq!(docker.settings()["Cmd"][0], "/bin/sh");
        assert_eq!(k8s.settings()["User"], "1001:1001");
        assert!(k8s.settings().get("Healthcheck").is_none());
        assert_eq!(k8s.settings()["Cmd"][7], port);
        assert_eq!(k8s.settings()["ExposedPorts"], docker.settings()["ExposedPorts"]);
        let (docker, k8s) = (docker.listings().concat(), k8s.listings().concat());
        assert!(docker.contains(&format!("f 0644 0:0 app/{service}/main.py")), "{docker}");
        assert!(docker.contains(&format!("app/{service}/tests/")), "{docker}");
        assert!(k8s.contains(&format!("f 0644 1001:1001 app/{service}/main.py")), "{k8s}");
        assert!(!k8s.contains("tests"), "{k8s}");
    }
    let frontend = layout.image("frontend:k8s");
    assert_eq!(frontend.settings()["Cmd"][0], "nginx");
    let listing = frontend.listings().concat();
    assert!(
        listing.contains("1001:1001 app/frontend/site/")
            && listing.contains("f 0755 1001:1001 app/frontend/healthcheck.sh"),
        "{listing}"
    );
}

/// Breaks when a recipe that somebody wrote can be lost, or the starter does not build.
#[test]
fn a_recipe_to_start_from() {
    let project = Project::empty();
    project.write("api/Dockerfile", "FROM scratch\n").write("node_modules/x/Dockerfile", "FROM scratch\n");
    let run = project.run(&["init", "--name", "shop"]).ok();
    assert!(run.told().contains("found api/Dockerfile: lapstrake init --force api/Dockerfile"), "{}", run.told());
    assert!(!run.told().contains("node_modules"));
    let lines = project.run(&["build"]).ok().lines();
    assert_eq!(lines[0][0], "shop");
    let told = project.run(&["init"]).fails(1);
    assert!(told.contains("lapstrake.toml is there already") && told.contains("--force"), "{told}");
    let run = project.run(&["init", "-o", "-", "api/Dockerfile"]).ok();
    assert!(run.stdout().contains("[images.api]\nfrom = \"scratch\""), "{}", run.stdout());
    project.run(&["init", "-q", "--force", "api/Dockerfile"]).ok();
    assert!(fs::read_to_string(project.path("lapstrake.toml")).unwrap().contains("from api/Dockerfile"));
}

/// Breaks when paths of a recipe in another directory, or of a Dockerfile with its own context, lead elsewhere.
#[test]
fn contexts_are_found() {
    let project = Project::empty();
    project
        .write("one/Dockerfile", "FROM scratch\nCOPY src /src\n")
        .write("one/src/a", "1")
        .write("two/Dockerfile", "FROM scratch\nCOPY two/src /src\nCOPY shared /shared\n")
        .write("two/src/b", "2")
        .write("shared/c", "3")
        .write("recipes/.keep", "");
    project.run(&["init", "-o", "recipes/x.toml", "one/Dockerfile", "two/Dockerfile"]).ok();
    project.run(&["build", "-f", "recipes/x.toml", "-o", "oci:out"]).ok();
    let layout = project.layout("out");
    assert_eq!(layout.image("one").top(), "d 0755 0:0 src/\nf 0644 0:0 src/a 1\n");
    let two = layout.image("two").listings().concat();
    assert!(two.contains("src/b") && two.contains("shared/c"), "{two}");
}

/// Breaks when a wrong Dockerfile is not told with its line, or something is written all the same.
#[test]
fn wrong_dockerfiles_are_drawn() {
    let project = Project::empty();
    project.write("Dockerfile", "FROM scratch\nCOPY --chwon=x a b\n");
    let told = project.run(&["init", "Dockerfile"]).fails(3);
    insta::assert_snapshot!(told, @r"
    error[L0111]: `COPY` has no flag `--chwon`
     --> Dockerfile:2:6
      |
    2 | COPY --chwon=x a b
      |      ^^^^^^^^^ expected `--from`, `--chown`, `--chmod`, `--link`, `--parents`, `--exclude`
      |
      = help: did you mean `--chown`?
    ");
    assert!(!project.path("lapstrake.toml").exists());
    project.run(&["init", "absent"]).fails(1);
    project.run(&["init", "Dockerfile", "--base", "x"]).fails(2);
}

/// Breaks when packages that a line names are not written to a file, or a file that is there is replaced.
#[test]
fn requirements_are_written_once() {
    let project = Project::empty();
    project.write("Dockerfile", "FROM scratch\nRUN pip install flask==3.0\n");
    project.run(&["init", "--name", "shop", "Dockerfile"]).ok();
    assert_eq!(fs::read_to_string(project.path("requirements-shop.txt")).unwrap(), "flask==3.0\n");
    project.write("requirements-shop.txt", "mine\n");
    let told = project.run(&["init", "--name", "shop", "--force", "Dockerfile"]).ok().told();
    assert!(told.contains("is left alone"), "{told}");
    assert_eq!(fs::read_to_string(project.path("requirements-shop.txt")).unwrap(), "mine\n");
}

/// Breaks when a difference between two images is not told, or one is told where there is none.
#[test]
fn images_are_compared() {
    let project = Project::empty();
    let tar = |mode: u32| Tar::new().dir("app/", 0o755, 1, 1).file("app/x", mode, "x").link("l", "app").end();
    let settings = json!({ "User": "1:1", "Env": ["A=1", "B=2"], "Cmd": ["x"] });
    Base::of(tar(0o644)).settings(settings.clone()).layout(&project.path("docker"));
    Base::of(tar(0o644))
        .settings(json!({ "User": "1:1", "Env": ["B=2", "A=1"], "Cmd": ["x"] }))
        .layout(&project.path("same"));
    let other = Tar::new()
        .dir("app/", 0o755, 1, 1)
        .file("app/x", 0o600, "x")
        .dir("more/", 0o755, 0, 0)
        .file("more/y", 0o644, "")
        .end();
    Base::of(other).settings(json!({ "User": "1:1", "Env": ["A=2", "B=2"] })).layout(&project.path("other"));
    let run = project.run(&["init", "--check", "oci:docker", "--built", "oci:same"]).ok();
    assert_eq!(run.stdout(), "");
    let run = project.run(&["init", "--check", "oci:docker", "--built", "oci:other"]).code(6);
    insta::assert_snapshot!(run.stdout().replace('\t', " | "), @r#"
    cmd | ["x"] | -
    env A | 1 | 2
    /app/x | file 0644 0:0 | file 0600 0:0
    /l | symlink to app | -
    /more | - | directory 0755 0:0
    "#);
    let ignored = [
        "init",
        "--check",
        "oci:docker",
        "--built",
        "oci:other",
        "--ignore",
        "/more",
        "--ignore",
        "/app",
        "--ignore",
        "/l",
    ];
    assert_eq!(project.run(&ignored).code(6).lines().len(), 2);
    let told = project.run(&["init", "--check", "oci:docker"]).fails(1);
    assert!(told.contains("lapstrake build"), "{told}");
}

/// Breaks when what comes of `--from scratch` has no shell, or no interpreter where the base was one.
#[test]
fn from_scratch_there_are_the_packages_that_bases_have() {
    let project = Project::empty();
    project
        .write("Dockerfile", "FROM python:3.12-slim\nCOPY run.sh /run.sh\nENTRYPOINT [\"/run.sh\"]\n")
        .write("run.sh", "x");
    let run = project.run(&["init", "--name", "shop", "--from", "scratch", "Dockerfile", "-o", "-"]).ok();
    let recipe = run.stdout();
    let (before, layers) = recipe.split_once("[[images.shop.layers]]").unwrap();
    let first = layers.split("[[").next().unwrap();
    for package in ["base-files", "base-passwd", "bash", "coreutils", "dash", "libc-bin", "python3"] {
        assert!(first.contains(&format!("\"{package}\"")), "{package} in {recipe}");
    }
    assert!(before.contains("what `python:3.12-slim` has and scripts need"), "{recipe}");
    assert!(!run.told().contains("needs a hand"), "{}", run.told());
}
