//! docs/ci.md: the commands of a pipeline, on a registry that wants a login, in a checkout that cannot be written.

use std::fs;

use super::fake_registry::{Auth, FakeRegistry, Setup};
use super::support::Project;

/// `me:secret`
const LOGIN: &str = "bWU6c2VjcmV0";

#[test]
fn a_pipeline_builds_pushes_and_deploys_by_digest() {
    let registry = FakeRegistry::start(Setup {
        auth: Auth::Basic,
        user: "me".to_owned(),
        password: "secret".to_owned(),
        ..Setup::default()
    });
    let name = registry.name();
    let p = Project::empty();
    p.write(
        "lapstrake.toml",
        "recipe = 1\n[project]\nname = \"x\"\n[images.web]\nfrom = \"scratch\"\n[[images.web.layers]]\ncopy = [\".\"]\nto = \"/\"\n",
    );
    p.write(".dockerignore", ".cache\nhome\ntmp\nctx\n");
    p.write("web.txt", "web\n")
        .write("deploy/web.yaml", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: \"lapstrake://web\"}]}\n");
    let auth = format!("{{\"auths\":{{\"{name}\":{{\"auth\":\"{}\"}}}}}}", LOGIN);
    let run = |arguments: &[&str]| {
        let mut command = p.command(arguments);
        // The cache may be in the checkout.
        command
            .env("DOCKER_AUTH_CONFIG", &auth)
            .env("LAPSTRAKE_CACHE_DIR", p.path(".cache"))
            .env("GITHUB_OUTPUT", p.path("tmp/outputs"));
        p.end(command)
    };
    let set = format!("repository={name}/{{image}}");
    let build = [
        "build",
        "--push",
        "--locked",
        "--set",
        &set,
        "--metadata-file",
        "tmp/metadata.json",
        "--image-refs",
        "tmp/refs",
        "--digest-file",
        "tmp/digest",
    ];
    let digest = run(&build).ok().digests().remove(0);
    assert_eq!(fs::read_to_string(p.path("tmp/digest")).unwrap(), digest);
    assert_eq!(fs::read_to_string(p.path("tmp/refs")).unwrap(), format!("{name}/web@{digest}\n"));
    let outputs = fs::read_to_string(p.path("tmp/outputs")).unwrap();
    assert!(outputs.contains(&format!("digest={digest}\n")) && outputs.contains("metadata={"), "{outputs}");
    let listed = run(&["inspect", &format!("{name}/web:latest"), "--files"]).ok().stdout();
    assert!(listed.contains("web.txt") && !listed.contains(".cache"), "{listed}");

    let from = ["resolve", "--from", "tmp/metadata.json", "--set", &set, "-k", "deploy"];
    assert!(run(&from).ok().stdout().contains(&format!("\"{name}/web:latest@{digest}\"")));
    run(&[&from[..], &["--check"]].concat()).fails(6);
    run(&[&from[..], &["-i"]].concat()).ok();
    run(&[&from[..], &["--check", "--strict"]].concat()).ok();
    // Without the login, the registry is what failed.
    p.run(&["build", "--push", "--retry", "1", "--set", &set]).fails(5);
}
