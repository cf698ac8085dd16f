//! Codes of errors: each failure shows one, `help` explains it, and what is misspelt is guessed.

use super::fake_registry::{FakeRegistry, Fault, on};
use super::support::Project;

const APP: &str = "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = { \"/f\" = \"x\" }\n";

#[test]
fn every_failure_has_a_code_and_logs_are_lean() {
    let project = Project::new(APP);
    let told = project.run(&["build", "ap"]).fails(2);
    assert_eq!(told, "error[L0002]: the recipe has no image `ap`\nhint: did you mean `app`?\n");
    let told = project.run(&["build", "--outptu", "oci:x"]).fails(2);
    assert!(told.starts_with("error[L0001]: unexpected argument '--outptu' found"), "{told}");
    let told = project.run(&["biuld"]).fails(2);
    assert!(told.starts_with("error[L0001]: ") && told.contains("build"), "{told}");
}

/// Nothing was asked of the registry: it is no failure of one.
#[test]
fn a_layout_whose_images_share_a_tag_fails_here() {
    let registry = FakeRegistry::plain();
    let name = registry.name();
    let image = |image: &str| {
        format!(
            "[images.{image}]\nfrom = \"scratch\"\nrepository = \"{name}/x\"\ntags = [\"{image}\"]\n[[images.{image}.layers]]\nfiles = {{ \"/f\" = \"{image}\" }}\n"
        )
    };
    let project = Project::new(&format!("{}{}", image("one"), image("two")));
    project.run(&["build", "-o", "oci:out"]).ok();
    let index = project.path("out/index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("/x:two", "/x:one")).unwrap();
    let told = project.run(&["push", "oci:out"]).fails(1);
    assert!(told.starts_with("error[L0821]: ") && told.contains("the tag one too"), "{told}");
    assert!(registry.log().is_empty(), "{:?}", registry.lines());
}

/// Whichever command asks a registry for a blob in vain: it is the registry's failure.
#[test]
fn a_blob_that_a_registry_does_not_give_is_its_failure_for_every_command() {
    let other = FakeRegistry::plain();
    for (fault, code) in [
        (Fault::Status(403, vec![], String::new()), "L0802"),
        (Fault::Status(404, vec![], String::new()), "L0817"),
        (Fault::Flip, "L0818"),
    ] {
        let registry = FakeRegistry::plain();
        let project = Project::new(&APP.replacen("\n[[", &format!("\nrepository = \"{}/x\"\n[[", registry.name()), 1));
        let reference = format!("{}/x:latest", registry.name());
        project.run(&["build", "-o", "oci:out", "--push"]).ok();
        let digest = project.layout("out").image(&reference).layer_digests()[0].clone();
        registry.fault(on("GET", &format!("/blobs/{digest}")).always(), fault);
        let pushed = format!("{}/y:latest", other.name());
        let fails = |arguments: &[&str]| {
            // What came before is not at hand.
            let told = project.run(&[arguments, &["--cache-dir", "empty"]].concat()).fails(5);
            assert!(told.contains(&format!("error[{code}]")), "{arguments:?}: {told}");
            std::fs::remove_dir_all(project.path("empty")).unwrap();
        };
        for place in ["oci:copied", "archive:copied.tar", "docker-archive:copied.tar", &pushed] {
            fails(&["copy", &reference, place]);
        }
        fails(&["inspect", &reference, "--cat", "/f"]);
        project.write(
            "over/lapstrake.toml",
            format!("recipe = 1\n[images.y]\nfrom = \"{reference}\"\n[[images.y.layers]]\nremove = [\"/f\"]\n"),
        );
        fails(&["build", "-f", "over/lapstrake.toml", "-o", "oci:over/out"]);
    }
}

#[test]
fn help_explains_codes_and_commands() {
    let project = Project::empty();
    let page = project.run(&["help", "L0302"]).ok().stdout();
    assert!(page.starts_with("L0302: `copy` names what the ignore file leaves out\n"), "{page}");
    assert!(page.contains("\nWhy: ") && page.contains("\nWhat to do: ") && page.contains("    !dist/app\n"), "{page}");
    assert_eq!(project.run(&["help", "l302"]).ok().stdout(), page);
    let told = project.run(&["help", "L0399"]).fails(2);
    assert!(told.starts_with("error[L0001]: there is no error code `L0399`; did you mean `L03"), "{told}");

    assert_eq!(project.run(&["help"]).ok().stdout(), project.run(&["--help"]).ok().stdout());
    let build = project.run(&["help", "build"]).ok().stdout();
    assert!(build.contains("Usage: lapstrake build") && build.contains("--cache-from"), "{build}");
    let prune = project.run(&["help", "cache", "prune"]).ok().stdout();
    assert!(prune.contains("Usage: lapstrake cache prune"), "{prune}");
    let told = project.run(&["help", "biuld"]).fails(2);
    assert_eq!(told, "error[L0001]: there is no command `biuld`\nhint: did you mean `build`?\n");
}

/// A recipe with these lines for its image, and what is said of it.
fn wrong(lines: &str) -> String {
    Project::new(&format!("[images.app]\nfrom = \"scratch\"\n{lines}\n")).run(&["build"]).fails(3)
}

#[test]
fn what_is_misspelt_in_a_recipe_is_guessed() {
    for (lines, code, guess) in [
        ("entrypont = [\"/x\"]", "L0103", "did you mean `entrypoint`?"),
        ("tags = [\"{imgae}\"]", "L0110", "did you mean `{image}`?"),
        ("tags = [\"{gti.short}\"]", "L0110", "did you mean `{git.short}`?"),
        ("tags = [\"{Image}\"]", "L0110", "did you mean `{image}`?"),
        ("variants = [\"k8\"]\n[variants.k8s]", "L0108", "k8s"),
        ("users = [\"ap\"]\n[users.app]\nuid = 1001\ngid = 1001", "L0108", "did you mean `\"app\"`?"),
        (
            "users = [\"app\"]\nowner = \"ap\"\n[[images.app.layers]]\nfiles = { \"/f\" = \"x\" }\n[users.app]\nuid = 1001\ngid = 1001",
            "L0406",
            "did you mean `app`?",
        ),
        ("platforms = [\"linux/amd46\"]", "L0106", "amd64"),
        ("healthcheck = { test = [\"CMD\", \"x\"], interval = 30 }", "L0105", "`interval = \"30s\"`"),
        ("mode = 0755", "L0102", "`\"0755\"`"),
        ("[[images.app.layers]]\nto = \"/\"\ncopy = [\"requirement.txt\"]", "L0301", ""),
    ] {
        let told = wrong(lines);
        assert!(told.starts_with(&format!("error[{code}]: ")) && told.contains(guess), "{lines}\n{told}");
    }
    // Braces that only look a little like one of ours stand for themselves.
    let project =
        Project::new("[images.app]\nfrom = \"scratch\"\nlabels = { a = \"{images} {march} {x} {{imgae}\" }\n");
    let layout = project.build_with(&[]);
    assert_eq!(layout.image("app").settings()["Labels"]["a"], "{images} {march} {x} {imgae}");
}

#[test]
fn a_lock_with_a_merge_conflict_is_told_so() {
    let project = Project::new(APP);
    project.write("lapstrake.lock", "lock = 1\n<<<<<<< HEAD\n[[image]]\n=======\n>>>>>>> other\n");
    let told = project.run(&["build"]).fails(4);
    assert!(
        told.starts_with("error[L0203]: lapstrake.lock: line 2: the lock holds an unresolved merge conflict"),
        "{told}"
    );
    assert!(told.contains("`lapstrake lock`") && !told.contains("TOML"), "{told}");
    project.write("lapstrake.lock", "lock = \n");
    assert!(project.run(&["build"]).fails(4).starts_with("error[L0202]: "));
}

#[test]
fn outputs_that_cannot_be_are_told_before_anything_is_built() {
    let project = Project::new(APP);
    let told = project.run(&["build", "-o", "archive:none/there/x.tar"]).fails(1);
    assert!(told.starts_with("error[L0506]: ") && told.contains("there is no directory `none/there`"), "{told}");
    let told = project.run(&["build", "-o", "docker:web.tar"]).fails(2);
    assert!(told.starts_with("error[L0003]: ") && told.contains("`docker-archive:FILE`"), "{told}");
    let told = project.run(&["build", "--image-refs", "refs"]).ok().told();
    assert!(told.contains("refs of --image-refs will be empty") && told.contains("--push"), "{told}");
    let told = project.run(&["build", "--metadata-file", "none/meta.json"]).code(1).told();
    assert!(told.contains("error[L0506]: ") && told.contains("there is no directory none: make it first"), "{told}");
}

#[test]
fn patterns_of_modes_that_fit_nothing_are_told() {
    let project = Project::new(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"bin\"]\nto = \"/app\"\n\
         modes = { \"bin/*.sh\" = \"0755\", \"bin/\" = \"0700\", \"/app/bin/run\" = \"0700\" }\n",
    );
    project.write("ctx/bin/run.sh", "x");
    let told = project.run(&["build"]).ok().told();
    assert!(told.contains("has the path `/app/bin/run` of `modes`, which is relative to /app"), "{told}");
    assert_eq!(told.matches("of `modes`").count(), 1, "{told}");
}

#[test]
fn network_errors_say_who_asked_whom_and_what_to_do() {
    let registry = FakeRegistry::plain();
    for method in ["GET", "HEAD"] {
        registry.fault(on(method, "/manifests/").always(), Fault::Status(403, vec![], String::new()));
    }
    let base = format!("{}/base:1", registry.name());
    let project = Project::new(&format!("[images.app]\nfrom = \"{base}\"\n"));
    let told = project.run(&["build"]).fails(5);
    assert!(told.starts_with("error[L0802]: ") && told.contains("403 Forbidden"), "{told}");
    assert!(told.contains("hint: "), "{told}");
}

#[test]
fn a_closed_port_of_this_machine_is_not_waited_for() {
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new(&format!("[images.app]\nfrom = \"127.0.0.1:{port}/base:1\"\n"));
    let told = project.run(&["build"]).fails(5);
    assert!(told.contains("error[L0808]: ") && told.contains("tried 3×"), "{told}");
    assert!(told.contains("hint: is it started, and is this its port?"), "{told}");
}
