//! What the commands that explain say of the real systems: the same images, and one that differs in the points that it should.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{self, Built, directory, json, lapstrake, ok, recipe, registry, run, text};

/// Both systems, with an image of each.
fn systems() -> [(&'static str, &'static Built, &'static str); 2] {
    [("eveai", support::eveai(), "workers"), ("archon", support::archon(), "server:k8s")]
}

/// A command about a recipe, its images as they were pushed; options may follow.
fn about(command: &str, name: &str) -> Command {
    let mut asking = lapstrake();
    asking.arg(command).arg("-f").arg(&recipe(name).file).args(["--platform", "linux/amd64"]);
    // `verify` never changes a lock.
    if command != "verify" {
        asking.arg("--locked");
    }
    asking.args(["--set", &format!("repository={}/{name}/{{image}}", registry().host)]);
    asking
}

#[test]
fn what_was_pushed_is_explained_forecast_verified_and_shown_as_it_is() {
    for (name, built, image) in systems() {
        let digest = &built.digests[image];

        let explained = json(about("explain", name).args(["--registry", "--json", image]));
        assert_eq!(text(&explained[0]["digest"]), digest, "{explained}");
        assert!(!explained.to_string().contains("\"rebuilt\""), "{name}: {explained}");

        let forecast = json(about("build", name).args(["--dry-run", "--json", "--push", image]));
        assert!(forecast.to_string().contains(digest), "{name}: {forecast}");
        assert!(!forecast.to_string().contains("\"made\""), "{name}: {forecast}");

        let verified = json(about("verify", name).args(["--json", image]));
        assert_eq!(
            (text(&verified[0]["digest"]), &verified[0]["same"]),
            (digest.as_str(), &Value::Bool(true)),
            "{name}"
        );

        let (plain, variant) = image.split_once(':').map_or((image, None), |(plain, variant)| (plain, Some(variant)));
        let tag = variant.map_or("latest".to_owned(), |variant| format!("{variant}-latest"));
        let reference = format!("{}/{name}/{plain}:{tag}", registry().host);
        let shown = json(lapstrake().args(["inspect", "--json", "--contents", &reference]));
        let packages = shown[0]["images"][0]["packages"].as_array().expect("packages");
        for kind in ["debian", "python"] {
            assert!(packages.iter().any(|package| package["kind"] == kind), "{name}: {kind}");
        }
        let passwd = ok(lapstrake().args(["inspect", "--cat", "/etc/passwd", &reference]));
        assert!(passwd.starts_with("root:"), "{passwd}");

        let same = json(lapstrake().args([
            "diff",
            "--json",
            &reference,
            &format!("{}@{digest}", reference.rsplit_once(':').unwrap().0),
        ]));
        assert_eq!(same["same"], true, "{name}: {same}");
    }
}

#[test]
fn variants_and_services_differ_in_what_the_recipe_says() {
    let archon = support::archon();
    let sides = ["docker", "k8s"]
        .map(|variant| format!("{}/archon/server@{}", registry().host, archon.digests[&format!("server:{variant}")]));
    let output = run(lapstrake().args(["diff", "--json", &sides[0], &sides[1]]));
    assert_eq!(output.status.code(), Some(6));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = &told["platforms"][0];
    let config: Vec<&str> = told["config"].as_array().unwrap().iter().map(|one| text(&one["of"])).collect();
    for of in ["user", "cmd", "healthcheck"] {
        assert!(config.contains(&of), "{config:?}");
    }
    assert_eq!(told["packages"], serde_json::json!([]), "variants have the same packages");
    let files = told["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["status"] == "removed" && text(&file["path"]).contains("/tests")), "no tests");

    let eveai = support::eveai();
    let sides = ["app", "workers"].map(|image| format!("{}/eveai/{image}@{}", registry().host, eveai.digests[image]));
    let output = run(lapstrake().args(["diff", "--json", &sides[0], &sides[1]]));
    assert_eq!(output.status.code(), Some(6));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let config: Vec<&str> =
        told["platforms"][0]["config"].as_array().unwrap().iter().map(|one| text(&one["of"])).collect();
    assert!(config.contains(&"env ROLE"), "{config:?}");
}

#[test]
fn manifests_get_the_digests_that_were_pushed() {
    let directory = directory("manifests");
    for (name, built, image) in systems() {
        let (plain, variant) = image.split_once(':').map_or((image, None), |(plain, variant)| (plain, Some(variant)));
        let tag = variant.map_or("latest".to_owned(), |variant| format!("{variant}-latest"));
        let reference = format!("{}/{name}/{plain}:{tag}", registry().host);
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: it   # the service\n          image: \"{reference}\"\n"
        );
        let compose =
            format!("services:\n  it:\n    image: {reference}\n  other:\n    image: docker.io/library/redis:7\n");
        for (file, before) in [("deployment.yaml", &manifest), ("compose.yaml", &compose)] {
            let file = directory.join(format!("{name}-{file}"));
            fs::write(&file, before).expect("a manifest");
            let after = ok(about("resolve", name).arg("-k").arg(&file));
            assert_eq!(after, before.replace(&reference, &format!("{reference}@{}", built.digests[image])));
        }
    }
}

#[test]
fn the_resolved_recipe_is_the_recipe() {
    let directory = directory("printed");
    for (name, ..) in systems() {
        let mut printing = lapstrake();
        printing.args(["build", "--print-recipe", "-f"]).arg(&recipe(name).file);
        let printed = ok(&mut printing);
        let file = directory.join(format!("{name}.toml"));
        fs::write(&file, &printed).expect("a recipe");
        let again = ok(lapstrake().args(["build", "--print-recipe", "-f"]).arg(&file));
        assert_eq!(again, printed, "{name}");
    }
}
