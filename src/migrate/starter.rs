//! A small recipe to start from.

use super::names::clean;
use crate::recipe::quoted_whole;

/// A recipe with one image, which builds as it is, and what comes next as comments; `found` are Dockerfiles that lie there.
pub fn starter(name: &str, found: &[String]) -> String {
    let title = quoted_whole(name);
    let image = clean(name);
    let mut text = format!(
        r#"# A recipe of lapstrake. `lapstrake build` makes its images; `lapstrake schema` tells editors the keys.
recipe = 1

[project]
name = {title}
# repository = "registry.example.com/{image}/{{image}}"   # where `lapstrake build --push` goes
# tags       = ["latest", "{{git.short:-dev}}"]          # the commit; `dev` where there is no checkout
# platforms  = ["linux/amd64", "linux/arm64"]          # linux/amd64 where nothing is said

[users.app]                     # an entry of passwd and group; processes and files belong to it
uid = 1001
gid = 1001

# [debian]                      # where packages come from; `lapstrake lock` pins them
# suites = ["trixie", "trixie-updates", "trixie-security"]

[images.{image}]
from    = "scratch"             # or "docker.io/library/python:3.13-slim", "oci:DIR", an image of this recipe
users   = ["app"]
user    = "app"                 # written as 1001:1001, which runAsNonRoot can check
owner   = "app"                 # of what is copied, and of the workdir
workdir = "/app"
# cmd   = ["python3", "-m", "web"]
# ports = [8080]
# env   = {{ PYTHONUNBUFFERED = "1" }}

# [[images.{image}.layers]]
# debian = ["ca-certificates", "python3"]
#
# [[images.{image}.layers]]
# python = {{ requirements = "requirements.txt" }}
#
# [[images.{image}.layers]]
# copy    = ["src"]             # lands at /app/src; "src/" means what is in it
# to      = "/app"
# exclude = ["**/tests"]

[[images.{image}.layers]]
files = {{ "/app/README" = "Replace this layer by your own files.\n" }}
"#
    );
    if !found.is_empty() {
        let names: Vec<&str> = found.iter().map(String::as_str).collect();
        text.push_str(&format!(
            "\n# There are Dockerfiles here. This makes a recipe of them:\n#   lapstrake init --force {}\n",
            names.join(" ")
        ));
    }
    text
}
