//! Directories of a base under podman, whose overlay driver unpacks each layer into a directory of its own.

use std::fs;

use crate::containers::{podman, pull};
use crate::support::{assert_sound, digests, directory, lapstrake, ok, registry, tool};

#[test]
fn parents_keep_mode_and_owner_where_layers_are_unpacked_alone() {
    let (host, directory) = (&registry().host, directory("intact"));
    // `stat` of this machine, and what it is linked to.
    let linked = ok(tool("ldd").arg("/usr/bin/stat"));
    let libraries = linked.split_whitespace().filter_map(|word| word.strip_prefix('/'));
    let mut tar = tool("tar");
    tar.args(["--create", "--dereference", "--directory", "/", "--file"]).arg(directory.join("stat.tar"));
    ok(tar.arg("usr/bin/stat").args(libraries));
    let recipe = format!(
        r#"
recipe = 1
[project]
name       = "intact"
repository = "{host}/intact/{{image}}"
[images.base]
from = "scratch"
[[images.base.layers]]
archive = "stat.tar"
[[images.base.layers]]
dirs = {{ "/app" = {{ owner = "10001:10001", mode = "0750" }}, "/app/data" = {{ owner = "10001:50", mode = "2770" }}, "/tmp" = {{ mode = "1777" }} }}
files = {{ "/app/old" = "" }}
[images.app]
from = "base"
[[images.app.layers]]
files = {{ "/app/data/deep/x" = "", "/tmp/x" = "" }}
[[images.app.layers]]
remove = ["/app/old"]
[images.other]
from = "{host}/intact/base:latest"
[[images.other.layers]]
files = {{ "/app/data/x" = "", "/tmp/x" = "" }}
"#
    );
    fs::write(directory.join("lapstrake.toml"), recipe).expect("the recipe");
    let build = |image: &str| {
        let mut build = lapstrake();
        build.current_dir(&directory).args(["build", "--push", image]);
        assert_eq!(digests(&ok(&mut build)).len(), 1);
        assert_sound(&format!("{host}/intact/{image}:latest"));
    };
    for image in ["base", "app", "other"] {
        build(image);
        let image = pull(&format!("intact/{image}:latest"));
        let options = ["run", "--rm", "--pull=never", "--network", "none", &image];
        let said = ok(podman().args(options).args(["/usr/bin/stat", "-c", "%a %u:%g", "/app", "/app/data", "/tmp"]));
        assert_eq!(said, "750 10001:10001\n2770 10001:50\n1777 0:0\n", "{image}");
    }
}
