//! What is typed a little wrong: the message names what was probably meant.

use std::fs;

use super::fake_registry::FakeRegistry;
use super::support::{BINARY, Project, Tar};

const RECIPE: &str = "recipe = 1\n[project]\nname = \"x\"\n\
    [images.web]\nfrom = \"scratch\"\n\
    [images.worker]\nfrom = \"scratch\"\ncmd = [\"work\"]\nvariants = [\"small\", \"large\"]\n\
    [images.hidden]\nfrom = \"scratch\"\npublish = false\n\
    [variants.small]\n[variants.large]\n";

fn project() -> Project {
    let project = Project::empty();
    project.write("lapstrake.toml", RECIPE);
    project
}

/// How a command fails, and that its message has these words.
fn says(project: &Project, arguments: &[&str], code: i32, words: &[&str]) {
    let told = project.run(arguments).fails(code);
    for word in words {
        assert!(told.contains(word), "{arguments:?}: {word} in {told}");
    }
}

#[test]
fn platforms_and_images() {
    let project = project();
    says(&project, &["build", "--platform", "linux/amd46"], 2, &["did you mean `linux/amd64`?"]);
    says(&project, &["build", "--platform", "arm64"], 2, &["did you mean `linux/arm64`?"]);
    says(&project, &["inspect", "oci:x", "--platform", "arm64"], 2, &["did you mean `linux/arm64`?"]);
    says(&project, &["build", "web:k8s"], 2, &["`web` has no variants", "write `web`"]);
    says(&project, &["build", "worker:smal"], 2, &["no variant `smal`", "did you mean `worker:small`?"]);
    says(&project, &["build", "worker:k8s"], 2, &["its variants are", "large", "small"]);
    let told = project.run(&["build", "database"]).fails(2);
    assert!(told.contains("its images are web, worker") && !told.contains("hidden"), "{told}");
    says(&project, &["build", "hiden"], 2, &["did you mean `hidden`?"]);
    project.run(&["build", "--platform", "linux/arm/v7,linux/aarch64", "web"]).ok();
}

#[test]
fn images_of_the_recipe_are_no_places() {
    let project = project();
    says(&project, &["inspect", "web"], 2, &["`oci:lapstrake-out:web`, once `lapstrake build` has made it"]);
    project.run(&["build"]).ok();
    for command in ["inspect", "report"] {
        let told = project.run(&[command, "web"]).fails(2);
        assert!(told.ends_with("`web` is an image of the recipe: `oci:lapstrake-out:web`\n"), "{told}");
    }
    project.run(&["inspect", "oci:lapstrake-out:web"]).ok();
    let run = project.run(&["inspect", "--validate", "oci:lapstrake-out:web"]).ok();
    assert!(run.told().contains("note: 1 image: every"), "{}", run.told());
    let registry = FakeRegistry::plain();
    let below = format!("{}/x", registry.name());
    let told = project.run(&["push", "oci:lapstrake-out", &below]).fails(2);
    assert!(told.contains("holds 3 images") && told.contains("worker"), "{told}");
    // What the hint says can be typed, and puts each image below the reference.
    let commands: Vec<Vec<&str>> = told
        .lines()
        .filter_map(|line| line.strip_prefix("  lapstrake "))
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(commands.len(), 3, "the variants are the same bytes: {told}");
    for command in commands {
        assert!(command[2].starts_with(&format!("{below}/")), "{told}");
        project.run(&command).ok();
    }
    assert_eq!(registry.tags(), 3);
    says(&project, &["build", "-o", "x.tar"], 2, &["`archive:x.tar`", "`docker-archive:x.tar` (for docker load"]);
}

#[test]
fn recipes_by_other_names() {
    let project = Project::empty();
    says(&project, &["build"], 3, &["start one with `lapstrake init`"]);
    fs::create_dir(project.path("inside")).unwrap();
    project.write("inside/lapstrake.toml", RECIPE).write("lapstrake.toml", RECIPE);
    says(&project, &["build", "-f", "laptrake.toml"], 3, &["did you mean `lapstrake.toml`?"]);
    says(&project, &["build", "-f", "inside/lapstrak.toml"], 3, &["did you mean `inside/lapstrake.toml`?"]);
    says(&project, &["build", "-f", "inside"], 3, &["`-f inside/lapstrake.toml`"]);
}

#[test]
fn a_root_file_system_is_no_image() {
    let project = project();
    let rootfs = Tar::new().file("etc/passwd", 0o644, "x").file("usr/bin/python3", 0o755, "x").end();
    project.write("root.tar", rootfs);
    says(&project, &["inspect", "root.tar"], 1, &["looks like a root file system", "`archive = \"…\"` in a layer"]);
    project.write("other.tar", Tar::new().file("text", 0o644, "x").end());
    let told = project.run(&["inspect", "other.tar"]).fails(1);
    assert!(!told.contains("root file system"), "{told}");
}

#[test]
fn dockerfiles_bases_and_sources() {
    let project = project();
    project.write(
        "Dockerfile",
        "FROM python:3.11\nCOPY app.py other.py /app/\nCOPY --from=busybox x /x\n\
        COPY needs.txt /app/\nRUN pip install -r /app/needs.txt\n",
    );
    project.write("app.py", "x").write("needs.txt", "flask\n");
    says(&project, &["init", "Dockerfil"], 1, &["Dockerfil", "did you mean `Dockerfile`?"]);
    says(&project, &["init", "Dockerfile"], 1, &["lapstrake.toml is there already"]);
    let wrong = ["init", "-o", "-", "Dockerfile", "--base", "pyhton:3.11=scratch"];
    says(&project, &wrong, 2, &["no Dockerfile has the base pyhton:3.11", "did you mean `python:3.11`?"]);
    let wrong = ["init", "-o", "-", "Dockerfile", "--base", "debian=scratch"];
    says(&project, &wrong, 2, &["their bases are python:3.11"]);
    let right = ["init", "-o", "new.toml", "Dockerfile", "--base", "docker.io/library/python:3.11=scratch"];
    fs::create_dir(project.path(".git")).unwrap();
    let run = project.run(&right).ok();
    assert!(run.told().contains("copies other.py, which is not in the context"), "{}", run.told());
    assert!(!run.told().contains("copies app.py") && !run.told().contains("copies x"), "{}", run.told());
    assert!(run.told().contains("needs.txt has no hashes") && run.told().contains("pip install uv"), "{}", run.told());
    assert!(run.told().contains("`/lapstrake-out/` to .gitignore"), "{}", run.told());
}

#[test]
fn health_checks() {
    let project = Project::empty();
    project.write(
        "lapstrake.toml",
        "[images.web]\nfrom = \"scratch\"\nhealthcheck = { test = [\"CMD-SHEL\", \"true\"] }\n",
    );
    says(&project, &["build"], 3, &["`CMD-SHELL`, if that is meant by `CMD-SHEL`"]);
}

/// Breaks when a pipe that nobody reads any more is told as an error, or an output that never was is not.
#[test]
fn readers_that_had_enough_are_no_news() {
    let project = project();
    let run = |redirection: &str| {
        let script = format!("set -o pipefail; \"$0\" schema {redirection}");
        project.end(project.wrapped("bash", &["-c", &script, BINARY], &[]))
    };
    let broken = run("| exec true");
    assert!(matches!(broken.code, Some(0 | 1)) && broken.stderr.is_empty(), "{:?} {}", broken.code, broken.stderr);
    let closed = run(">&-");
    assert_eq!(closed.code, Some(1));
    assert!(closed.stderr.contains("writing to standard output: it is closed"), "{}", closed.stderr);
}

/// Breaks when a hint names what does not work, or leaves out what does.
#[test]
fn outputs_and_tags() {
    let project = project();
    let several = ["foo:bar is read as the reference docker.io/library/foo:bar", "oci:DIR", "--push"];
    says(&project, &["build", "-o", "foo:bar"], 2, &several);
    let told = project.run(&["build", "--push"]).fails(2);
    assert!(told.contains("set `repository`") && !told.contains("full reference"), "{told}");
    says(&project, &["build", "web", "--push"], 2, &["give -t a full reference"]);
    let told = project.run(&["build", "-t", "1"]).fails(2);
    assert!(told.contains("--set 'repository=") && !told.contains("full reference"), "{told}");
    says(&project, &["build", "web", "-t", "feature/x"], 2, &["a tag has no slash"]);
    says(&project, &["build", "web", "-t", "{git.sha}"], 2, &["those are `{git.commit}`", "`{image}`"]);
    says(&project, &["build", "web", "-t", "{name}"], 2, &["did you mean `{image}`?"]);
    says(&project, &["build", "web", "-t", "{short}"], 2, &["did you mean `{git.short}`?"]);
}

/// Breaks when a directory that is no layout is told without where the images are.
#[test]
fn directories_that_are_no_layouts() {
    let project = project();
    fs::create_dir(project.path("web")).unwrap();
    fs::create_dir(project.path("other")).unwrap();
    says(&project, &["inspect", "oci:nope"], 1, &["`lapstrake build` makes one: `oci:lapstrake-out`"]);
    project.run(&["build"]).ok();
    let hint = "`web` is an image of the recipe: `oci:lapstrake-out:web`";
    for arguments in [&["inspect", "web"][..], &["inspect", "oci:web"], &["diff", "web", "other"]] {
        says(&project, arguments, 1, &[hint]);
    }
    says(&project, &["inspect", "other"], 1, &["`lapstrake build` wrote to `oci:lapstrake-out`"]);
}

/// Breaks when one mistake is told as often as there are images and tags that it is about.
#[test]
fn images_of_one_name_are_told_once() {
    let project = Project::empty();
    let image = |name: &str| format!("[images.{name}]\nfrom = \"scratch\"\n");
    let head = "recipe = 1\n[project]\nname = \"x\"\nrepository = \"r.example.com/x\"\ntags = [\"1\", \"latest\"]\n";
    project.write(
        "lapstrake.toml",
        ["web", "worker", "cron"].iter().fold(head.to_owned(), |text, name| text + &image(name)),
    );
    let told = project.run(&["build"]).fails(3);
    assert_eq!(told.matches("have one name").count(), 1, "{told}");
    assert!(told.contains("`cron`, `web` and `worker` have one name: r.example.com/x:1 (and 1 tag more)"), "{told}");
}
