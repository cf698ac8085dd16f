//! What can be typed, and what comes of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::fake_registry::FakeRegistry;
use super::support::{Project, cached};

const THREE: &str = r#"
[variants.docker]
[variants.k8s]
user = "1:1"
[images.base]
from = "scratch"
publish = false
[[images.base.layers]]
files = { "/base" = "b" }
[images.app]
from = "base"
variants = ["docker", "k8s"]
[[images.app.layers]]
name = "the code"
copy = ["x"]
to = "/"
[images.web]
from = "base"
"#;

fn three() -> Project {
    let project = Project::new(THREE);
    project.write("ctx/x", "x");
    project
}

#[test]
fn images_and_variants_are_chosen() {
    let project = three();
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["app:docker", "app:k8s", "web:latest"]),
        (&["web"], &["web:latest"]),
        (&["app"], &["app:docker", "app:k8s"]),
        (&["app:k8s"], &["app:k8s"]),
        (&["--variant", "k8s"], &["app:k8s"]),
        (&["--variant", "k8s", "--variant", "docker"], &["app:docker", "app:k8s"]),
        (&["app", "--variant", "docker"], &["app:docker"]),
        (&["web", "app:docker"], &["app:docker", "web:latest"]),
    ];
    for (arguments, expected) in cases {
        let layout = project.build_with(arguments);
        let expected: Vec<String> = expected.iter().map(|name| format!("registry.example.com/{name}")).collect();
        assert_eq!(layout.names(), expected, "{arguments:?}");
    }
    // One that is not published has no reference, and is called by its name alone.
    assert_eq!(project.build_with(&["base"]).names(), ["docker.io/library/base:latest"]);
    insta::assert_snapshot!(project.run(&["build", "wbe"]).fails(2), @"
        error[L0002]: the recipe has no image `wbe`
        hint: did you mean `web`?
    ");
    insta::assert_snapshot!(project.run(&["build", "--variant", "k8"]).fails(2), @"
        error[L0002]: no image of the recipe has a variant `k8`
        hint: did you mean `k8s`?
    ");
    project.run(&["build", "web", "--variant", "nothing"]).fails(2);
}

#[test]
fn names_labels_and_settings_from_the_command_line() {
    let project = three();
    let layout = project.build_with(&["web", "-t", "1.0", "--tag", "stable"]);
    assert_eq!(layout.names(), ["registry.example.com/web:1.0", "registry.example.com/web:stable"]);
    let layout = project.build_with(&["web", "-t", "r.example.com/else:x"]);
    assert_eq!(layout.names(), ["r.example.com/else:x"]);
    let layout = project.build_with(&["app", "-t", "v1-{variant}", "-t", "{image}.{env.NONE:-x}-{variant}"]);
    let names = ["app.x-docker", "app.x-k8s", "v1-docker", "v1-k8s"];
    assert_eq!(layout.names(), names.map(|tag| format!("registry.example.com/app:{tag}")));
    insta::assert_snapshot!(project.run(&["build", "web", "-t", "v1-{sha}"]).fails(2), @"
        error[L0110]: -t v1-{sha}: unknown placeholder `{sha}`
        hint: those are `{git.commit}`, `{git.short}`, `{git.branch}`, `{git.tag}`, `{env.NAME}`, `{image}`, `{variant}`
    ");
    let layout = project.build_with(&["app:k8s", "-t", "r.example.com/{image}:{variant}"]);
    assert_eq!(layout.names(), ["r.example.com/app:k8s"]);
    let layout = project.build_with(&["--set", "repository=other.example.com/{image}/x", "web"]);
    assert_eq!(layout.names(), ["other.example.com/web/x:latest"]);
    let layout = project.build_with(&["web", "--label", "a=1=2", "--label", "b=", "--annotation", "note=x"]);
    let image = layout.image("web");
    assert_eq!(image.settings()["Labels"], json!({ "a": "1=2", "b": "" }));
    assert_eq!(image.manifest["annotations"]["note"], "x");
    let layout = project.build_with(&["web", "--platform", "linux/arm64"]);
    assert_eq!(layout.image("web").config["architecture"], "arm64");
    let layout = project.build_with(&["web", "--platform", "linux/arm64,linux/arm/v7", "--platform", "linux/arm64"]);
    let platforms = layout.platforms("web");
    assert_eq!(platforms.keys().collect::<Vec<_>>(), ["linux/arm", "linux/arm64"]);
    assert_eq!(platforms["linux/arm"].config["variant"], "v7");
    // Two variants would have one name.
    let told = project.run(&["build", "--set", "tags=a,b", "web"]).fails(3);
    assert!(told.contains("registry.example.com/app:a") && told.contains("--set:1:"), "{told}");
    project.recipe("[images.web]\nfrom = \"scratch\"\n");
    let layout = project.build_with(&["--set", "tags=a,b"]);
    assert_eq!(layout.names(), ["registry.example.com/web:a", "registry.example.com/web:b"]);
    // `--set` is held to the vocabulary, and said so.
    insta::assert_snapshot!(project.run(&["build", "--set", "repositry=x"]).fails(3), @r#"
        error[L0103]: unknown key `repositry` in `[project]`
         --> --set:1:1
          |
        1 | repositry = "x"
          | ^^^^^^^^^ not a key of `[project]`
          |
          = help: did you mean `repository`?
    "#);
}

/// A cache is none for images that have no variant, and they are built all the same.
#[test]
fn a_cache_by_variants_is_for_images_that_have_some() {
    let registry = FakeRegistry::plain();
    let project = three();
    let from = format!("{}/cache/{{image}}-{{variant}}:main", registry.name());
    for arguments in [&["build", "--cache-from", &from][..], &["explain", "--cache-from", &from]] {
        registry.clear_log();
        project.run(arguments).ok();
        let asked = |name: &str| registry.count("GET", &format!("/cache/{name}/manifests/main")) > 0;
        assert!(asked("app-docker") && asked("app-k8s"), "{:?}", registry.lines());
        assert!(registry.lines().iter().all(|line| !line.contains("/cache/web")), "{:?}", registry.lines());
    }
    let told = project.run(&["build", "web", "--cache-from", &from]).fails(2);
    assert!(told.contains("image `web` has no variant"), "{told}");
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let project = three();
    for arguments in [
        &["biuld"][..],
        &["build", "--nonsense"],
        &["build", "--jobs", "0"],
        &["build", "--progress", "loud"],
        &["build", "--label", "novalue"],
        &["build", "--annotation", "=x"],
        &["build", "--set", "novalue"],
        &["build", "--platform", "x"],
        &["build", "-o", "nonsense"],
        &["build", "-o", "oic:dir"],
        &["build", "-o", "type=nonsense,dest=x"],
        &["build", "-o", ""],
        &["build", "-t", "not a tag"],
        &["build", "web", "-t", "{variant}"],
        &["build", "web", "-t", "v1-{unknown}"],
        &["build", "web", "-t", "{git.shrot}"],
        &["build", "-t", "UPPER/case:1"],
        &["build", "--offline", "--push"],
        &["build", "--source-date-epoch", "soon"],
        &["cache", "prune", "--keep", "long"],
        &["cache", "prune", "--max-size", "big"],
        &["completions", "tcsh"],
        &["inspect"],
        &["copy", "oci:x"],
    ] {
        let told = project.run(arguments).fails(2);
        assert!(told.starts_with("error[L0"), "{arguments:?}: {told}");
        assert!(!project.path("lapstrake-out").exists());
    }
    // No argument at all: help, where errors go.
    let told = project.run(&[]).fails(2);
    assert!(told.contains("Usage: lapstrake"), "{told}");
    for arguments in [&["--help"][..], &["help", "build"], &["build", "--help"], &["-h"], &["--version"]] {
        let run = project.run(arguments).ok();
        assert!(run.stdout().contains("lapstrake") && run.stderr.is_empty());
    }
}

#[test]
fn quiet_prints_digests_alone() {
    let project = three();
    let digests = project.run(&["build"]).ok().digests();
    for flags in [&["-q"][..], &["--quiet", "--no-cache"]] {
        let run = project.run(&[&["build"], flags].concat()).ok();
        assert_eq!(run.stdout(), digests.iter().map(|digest| format!("{digest}\n")).collect::<String>());
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn progress_for_machines_is_one_object_a_line() {
    let project = three();
    let run = project.run(&["build", "--progress", "json", "-o", "archive:out.tar"]).ok();
    assert_eq!(run.digests().len(), 3);
    let events: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!events.is_empty());
    for event in &events {
        assert!(event["event"].is_string() && event["seconds"].is_number(), "{event}");
    }
    let finished = events.iter().filter(|event| event["event"] == "task_finished").count();
    let started = events.iter().filter(|event| event["event"] == "task_started").count();
    assert!(started > 0 && started == finished, "{events:?}");
    // Warnings are objects too.
    project.recipe("[images.app]\nfrom = \"scratch\"\nhealthcheck = { test = [\"CMD\", \"x\"] }\n");
    let run = project.run(&["build", "--progress", "json"]).ok();
    let warned = run.stderr.lines().any(|line| serde_json::from_str::<Value>(line).expect(line)["event"] == "warning");
    assert!(warned, "{}", run.stderr);
    // A build of a moment says nothing in lines: no bars where nobody looks.
    let run = three().run(&["build", "--progress", "plain"]).ok();
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains('\r'), "{}", run.stderr);
    let run = three().run(&["build", "--progress", "tty"]).ok();
    assert_eq!(run.digests().len(), 3);
}

#[test]
fn a_dry_run_changes_nothing() {
    let project = three();
    let run = project.run(&["build", "--dry-run", "-o", "oci:out", "--metadata-file", "meta"]).ok();
    insta::assert_snapshot!(run.stdout(), @"
    base  linux/amd64  1 layer to be made
    └─ files                    made of 2.00 KiB

    app:docker  linux/amd64  1 layer to be made
    └─ the code                 made of 2.00 KiB

    app:k8s  linux/amd64  1 layer to be made
    └─ the code                 made of 2.00 KiB

    web  linux/amd64  what it stands on is to be made

    write  oci:out
    ");
    for path in ["out", "meta", "lapstrake-out", "home/.cache"] {
        assert!(!project.path(path).exists(), "{path}");
    }
}

/// How many files lie below a directory.
fn count(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

#[test]
fn the_cache_is_looked_after() {
    let project = three();
    project.write("ctx/x", vec![b'x'; 100_000]);
    let digests = project.run(&["build"]).ok().digests();
    let cache = project.path("home/.cache/lapstrake");
    assert!(count(&cache) > 0);
    let size = project.run(&["cache", "size"]).ok().stdout();
    assert!(size.starts_with(cache.to_str().unwrap()) && size.contains(" blobs, "), "{size}");
    assert_eq!(project.run(&["cache", "verify"]).ok().stdout(), "the cache is whole\n");
    // What was used today is kept; with no room for anything, all of it goes; builds do without.
    project.run(&["cache", "prune"]).ok();
    assert_eq!(project.run(&["cache", "size"]).ok().stdout(), size);
    project.run(&["cache", "prune", "--max-size", "0"]).ok();
    assert!(project.run(&["cache", "size"]).ok().stdout().contains("\t0 blobs, 0 B\t"));
    assert_eq!(project.run(&["build"]).ok().digests(), digests);
    // A damaged blob is found, and gone.
    let layer = project.layout("lapstrake-out").image("web").layer_digests()[0].clone();
    let path = cached(&cache, &layer).expect("the layer is in the cache");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&path, permissions).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let run = project.run(&["cache", "verify"]).code(6);
    let (told, removed) = (run.stdout(), path.strip_prefix(&cache).unwrap().display().to_string());
    assert_eq!(told, format!("{removed}\tdamaged, removed\n"));
    assert_eq!(project.run(&["cache", "verify"]).ok().stdout(), "the cache is whole\n");
    assert_eq!(project.run(&["build"]).ok().digests(), digests);
    project.layout("lapstrake-out");
    project.run(&["cache", "clear"]).ok();
    assert!(cached(&cache, &layer).is_none());
    // Where it is said to be.
    let size = project.run(&["cache", "size", "--cache-dir", "elsewhere"]).ok().stdout();
    assert!(size.starts_with("elsewhere\t"), "{size}");
    let mut command = project.command(&["cache", "size"]);
    command.env("LAPSTRAKE_CACHE_DIR", "variable");
    assert!(project.end(command).ok().stdout().starts_with("variable\t"));
    let mut command = project.command(&["cache", "size"]);
    command.env_remove("HOME");
    project.end(command).fails(2);
}

#[test]
fn a_cache_that_cannot_be_written() {
    let project = three();
    project.write("file", "");
    // One that is named must do; the usual one need not, and it is said.
    let told = project.run(&["build", "--cache-dir", "file/below"]).fails(1);
    assert!(told.contains("file/below"), "{told}");
    let mut command = project.command(&["build"]);
    command.env("HOME", project.path("file"));
    let run = project.end(command).ok();
    assert!(run.told().contains("no cache is kept"), "{}", run.told());
    assert_eq!(count(&project.path("tmp")), 0, "the temporary one is gone");
}

#[test]
fn completions_for_every_shell() {
    let project = Project::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = project.run(&["completions", shell]).ok();
        let text = run.stdout();
        assert!(text.contains("lapstrake"), "{shell}: {text}");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn the_manual_has_every_command_and_flag() {
    let text = Project::empty().run(&["man"]).ok().stdout();
    assert!(text.contains(".TH lapstrake"));
    for word in
        ["build", "push", "copy", "inspect", "cache", "completions", "\\-\\-metadata\\-file", "\\-\\-set", "\\-\\-keep"]
    {
        assert!(text.contains(word), "{word}");
    }
}

/// A small validator of JSON Schema: the words that our schema uses, and a panic on any other.
fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
    let Value::Object(words) = schema else {
        return if *schema == json!(false) { wrong("nothing may be here") } else { Ok(()) };
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    for (word, rule) in words {
        match word.as_str() {
            "$schema"
            | "$id"
            | "title"
            | "description"
            | "default"
            | "examples"
            | "$defs"
            | "definitions"
            | "x-taplo"
            | "$comment"
            | "deprecated"
            | "markdownDescription"
            | "format" => {}
            "type" => {
                let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !kinds.contains(&json!(kind)) {
                    return wrong(&format!("not {rule}"));
                }
            }
            "$ref" => {
                let path = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(path).unwrap_or_else(|| panic!("no {path} in the schema"));
                fits(root, target, value, at)?;
            }
            "const" if rule != value => return wrong(&format!("not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => return wrong(&format!("none of {rule}")),
            "const" | "enum" => {}
            "pattern" => {
                if let Value::String(text) = value
                    && !regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)
                {
                    return wrong(&format!("does not fit {rule}"));
                }
            }
            "minimum" if value.as_i64().is_some_and(|number| number < rule.as_i64().unwrap()) => return wrong("small"),
            "maximum" if value.as_i64().is_some_and(|number| number > rule.as_i64().unwrap()) => return wrong("large"),
            "minimum" | "maximum" => {}
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.is_object() && value.get(key.as_str().unwrap()).is_none() {
                        return wrong(&format!("{key} is missing"));
                    }
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(root, rule, item, &format!("{at}[{number}]"))?;
                }
            }
            "properties" | "patternProperties" | "additionalProperties" | "propertyNames" => {}
            "anyOf" | "oneOf" => {
                let tried: Vec<_> = rule.as_array().unwrap().iter().map(|one| fits(root, one, value, at)).collect();
                let good = tried.iter().filter(|outcome| outcome.is_ok()).count();
                if good == 0 || word == "oneOf" && good > 1 {
                    return Err(format!("{at}: {good} of {word} fit: {tried:?}"));
                }
            }
            "allOf" => {
                for one in rule.as_array().unwrap() {
                    fits(root, one, value, at)?;
                }
            }
            other => panic!("the validator does not know {other}"),
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        if let Some(names) = words.get("propertyNames") {
            fits(root, names, &json!(key), &at)?;
        }
        let mut known = false;
        if let Some(rule) = words.get("properties").and_then(|properties| properties.get(key)) {
            fits(root, rule, inner, &at)?;
            known = true;
        }
        for (pattern, rule) in words.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            if regex::Regex::new(pattern).unwrap().is_match(key) {
                fits(root, rule, inner, &at)?;
                known = true;
            }
        }
        if let (false, Some(rule)) = (known, words.get("additionalProperties")) {
            fits(root, rule, inner, &at)?;
        }
    }
    Ok(())
}

#[test]
fn the_schema_takes_every_recipe_of_the_repository_and_no_other() {
    let run = Project::empty().run(&["schema"]).ok();
    let schema: Value = serde_json::from_slice(&run.stdout).unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut seen = 0;
    for entry in fs::read_dir(recipes).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let recipe: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            let value = serde_json::to_value(recipe).unwrap();
            if let Err(error) = fits(&schema, &schema, &value, "recipe") {
                panic!("{}: {error}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} recipes");
    for wrong in [
        json!({ "images": { "a": {} } }),
        json!({ "recipe": 2, "images": { "a": {} } }),
        json!({ "recipe": 1, "images": { "a": { "form": "scratch" } } }),
        json!({ "recipe": 1, "images": { "A B": { "from": "scratch" } } }),
        json!({ "recipe": 1, "images": { "a": { "cmd": "sh" } } }),
        json!({ "recipe": 1, "images": { "a": { "layers": [{ "copy": 1 }] } } }),
        json!({ "recipe": 1, "images": { "a": { "ports": [0] } } }),
    ] {
        assert!(fits(&schema, &schema, &wrong, "recipe").is_err(), "{wrong}");
    }
}

#[test]
fn an_interrupt_ends_with_the_code_that_shells_expect() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        // A registry that takes the question and never answers.
        let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let from = format!("{}/base:1", registry.local_addr().unwrap());
        let project = Project::new(&format!("[images.app]\nfrom = \"{from}\"\n"));
        let mut child = project.command(&["build", "-q"]);
        child.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let child = child.spawn().unwrap();
        let _asking = registry.accept().unwrap();
        let pid = child.id().to_string();
        assert!(project.wrapped("kill", &["-s", signal, &pid], &[]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{signal}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "interrupted\n");
        assert!(output.stdout.is_empty());
    }
}

/// Would fail if an image with what nobody committed went out under the commit's name without a word.
#[test]
fn what_is_not_committed_is_told_when_it_is_pushed_as_a_commit() {
    let registry = FakeRegistry::plain();
    let project = three();
    project.recipe(
        &THREE
            .replace("from = \"base\"\n", "from = \"base\"\ntags = [\"{git.short}-{image}\"]\n")
            .replace("variants = [\"docker\", \"k8s\"]\n", ""),
    );
    project.write(".gitignore", "out\nhome\ntmp\nlapstrake-out\n").write("README", "read me");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(project.root())
            .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(arguments);
        assert!(command.env("GIT_CONFIG_GLOBAL", "/dev/null").status().expect("git").success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "all"]);
    let set = format!("repository={}/team/{{image}}", registry.name());
    let push = |more: &[&str]| project.run(&[&["build", "app", "--push", "--set", &set], more].concat()).ok().told();
    assert!(!push(&[]).contains("named after the commit"));
    project.write("README", "no part of the context");
    assert!(!push(&[]).contains("named after the commit"));
    project.write("ctx/x", "other");
    let told = push(&[]);
    assert!(told.contains("-app is named after the commit, and `ctx/x` is not as the commit has it"), "{told}");
    assert!(!push(&["-t", "dev"]).contains("named after the commit"));
    assert!(push(&["-t", "v{git.short}"]).contains("named after the commit"));
    assert!(!project.run(&["build", "app"]).ok().told().contains("named after the commit"), "nothing is pushed");
    let output = format!("{}/team/app:{{git.commit}}", registry.name());
    let told = project.run(&["build", "app", "-o", &output]).ok().told();
    assert!(told.contains("named after the commit"), "{told}");
}
