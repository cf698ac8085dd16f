//! `build --print-recipe`: what it prints is a recipe that makes the same images.

use super::support::{Base, Project};

const RECIPE: &str = r#"
tags = ["{env.TAG:-dev}"]
[users.app]
uid = 1001
[defaults]
owner = "app"
exclude = ["**/*.tmp"]
labels = { image = "{image}" }
[variants.docker]
[variants.k8s]
tags = ["k8s"]
exclude = ["**/tests"]
env = { PLACE = "{variant}$$" }
[images.base]
from = "oci:base"
users = ["app"]
env = { PATH = "/app/bin:${PATH}", X = "${X:-{{y}" }
workdir = "/app"
[[images.base.layers]]
files = { "/z" = "z\n", "/a" = "a\n" }
[images.tool]
from = "scratch"
publish = false
[[images.tool.layers]]
files = { "/usr/bin/tool" = "tool\n" }
[images.web]
from = "base"
variants = ["docker", "k8s"]
user = "app"
[[images.web.layers]]
symlinks = { "/link" = "/a" }
copy = ["src"]
modes = { "src/*" = "0600", "src/main" = "0755" }
[images.web.k8s]
mode = "0640"
[[images.web.k8s.layers]]
image = { image = "tool", copy = ["/usr/bin/tool"] }
to = "/usr/bin"
"#;

fn project() -> Project {
    let project = Project::new(RECIPE);
    Base::debian().layout(&project.path("ctx/base"));
    project.write("ctx/src/main", "main").write("ctx/src/x.tmp", "x").write("ctx/src/tests/t", "t");
    project
}

#[test]
fn what_is_printed_makes_the_same_images() {
    let p = project();
    let before = p.run(&["build", "-o", "oci:out", "--set", "tags=set"]).ok();
    let printed = p.run(&["build", "--print-recipe", "--set", "tags=set"]).ok().stdout();
    for gone in ["{env", "{image}", "{variant}", "[defaults]"] {
        assert!(!printed.contains(gone), "{printed}");
    }
    assert!(printed.contains("owner = \"app\"") && printed.contains("[images.web.k8s]"), "{printed}");
    p.write("other.toml", &printed);
    let after = p.run(&["build", "-f", "other.toml", "-o", "oci:again", "--no-cache"]).ok();
    assert_eq!(sorted(before.lines()), sorted(after.lines()), "{printed}");
    assert_eq!(p.run(&["build", "-f", "other.toml", "--print-recipe"]).ok().stdout(), printed);
}

fn sorted(mut lines: Vec<Vec<String>>) -> Vec<Vec<String>> {
    lines.sort();
    lines
}

#[test]
fn only_what_is_chosen_and_what_it_stands_on_is_printed() {
    let p = project();
    let printed = p.run(&["build", "web:docker", "--print-recipe"]).ok().stdout();
    assert!(printed.contains("[images.base]") && printed.contains("variants = [\"docker\"]"), "{printed}");
    assert!(!printed.contains("tool") && !printed.contains("k8s"), "{printed}");
    assert!(!p.path("lapstrake-out").exists());
}
