//! A password and a token that are used everywhere, and looked for in everything that is written and printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;

use super::fake_registry::{Auth, FakeRegistry, Fault, Setup, on};
use super::support::{Base, Project, Run};

const CANARY: &str = "c4n4ry-hunter2";

/// Also as it stands in headers and in files of credentials.
fn forms() -> [String; 3] {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("bob:{CANARY}"));
    [CANARY.to_owned(), basic, CANARY.replace('-', "%2D")]
}

fn holds(bytes: &[u8]) -> bool {
    forms().iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
}

/// Nothing that the run printed, and no file but the one that holds the login, has it.
#[track_caller]
fn nothing_told(project: &Project, run: &Run) {
    assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{} tells it", run.shown);
    for entry in walkdir::WalkDir::new(project.root()) {
        let entry = entry.unwrap();
        let below = entry.path().strip_prefix(project.root()).unwrap();
        if entry.file_type().is_file() && below != Path::new("home/login.json") {
            assert!(!holds(&fs::read(entry.path()).unwrap()), "{} has it after {}", below.display(), run.shown);
        }
        assert!(!holds(below.as_os_str().as_encoded_bytes()), "{} has it in its name", below.display());
    }
}

fn project(registry: &FakeRegistry) -> Project {
    let name = registry.name();
    let project = Project::new(&format!(
        "[images.app]\nfrom = \"scratch\"\nrepository = \"{name}/app\"\ntags = [\"1\"]\n[[images.app.layers]]\nfiles = {{ \"/x\" = \"x\" }}\n"
    ));
    let login = serde_json::json!({ "auths": { name: { "auth": forms()[1] } } });
    fs::create_dir_all(project.path("home")).unwrap();
    project.write("home/login.json", login.to_string());
    project
}

fn bearer() -> Setup {
    let (user, password) = ("bob".to_owned(), CANARY.to_owned());
    Setup { auth: Auth::Bearer { realm: None }, user, password, ..Setup::default() }
}

#[test]
fn a_password_is_in_nothing_that_is_written_or_printed() {
    for auth in [Auth::Basic, Auth::Bearer { realm: None }] {
        let registry = FakeRegistry::start(Setup { auth, ..bearer() });
        let project = project(&registry);
        let reference = format!("{}/app:1", registry.name());
        let copy = format!("{}/copy:1", registry.name());
        for arguments in [
            &["build", "--push", "--metadata-file", "meta.json", "--progress", "json"][..],
            &["inspect", &reference],
            &["inspect", "--validate", &reference],
            &["copy", &reference, "oci:here"],
            &["copy", &reference, &copy],
            &["push", "oci:here", &copy],
            &["explain", "--registry"],
        ] {
            let run = project.run(&[arguments, &["--authfile", "home/login.json"][..]].concat()).ok();
            nothing_told(&project, &run);
        }
        assert!(registry.log().iter().any(|logged| logged.status == 201), "something was pushed");
    }
}

#[test]
fn nor_where_the_registry_refuses_or_echoes_it() {
    let echo = format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{CANARY} {} \"}}]}}", forms()[1]);
    for (when, fault) in [
        (on("GET", "/token"), Fault::Status(401, vec![], echo.clone())),
        (on("GET", "/token"), Fault::Status(500, vec![], echo.clone())),
        // It was told the password by then.
        (on("GET", "/manifests/").skip(1), Fault::Status(403, vec![("Warning", format!("299 - \"{CANARY}\""))], echo)),
    ] {
        let registry = FakeRegistry::start(bearer());
        let project = project(&registry);
        let reference = format!("{}/app:1", registry.name());
        registry.fault(when.times(20), fault);
        let run = project.run(&["inspect", "--retry", "1", &reference, "--authfile", "home/login.json"]);
        assert_ne!(run.code, Some(0));
        nothing_told(&project, &run);
    }
}

/// Where people write what they should not.
#[test]
fn a_login_in_an_address_is_refused_and_not_shown() {
    let project = Project::empty();
    let digest = "a".repeat(64);
    for recipe in [
        format!("[images.app]\nfrom = \"bob:{CANARY}@registry.example.com/base:1\"\n"),
        format!("[images.app]\nfrom = \"https://bob:{CANARY}@registry.example.com/base:1\"\n"),
        format!("[images.app]\nfrom = \"oci:bob:{CANARY}@registry.example.com/base:1\"\n"),
        format!("[images.app]\nfrom = \"scratch\"\nrepository = \"bob:{CANARY}@registry.example.com/app\"\n"),
        format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfetch = {{ url = \"https://bob:{CANARY}@x/y\", sha256 = \"{digest}\", to = 1 }}\n"
        ),
        format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfetch = {{ url = \"https://x/y?token={CANARY}\", sha256 = \"{digest}\", to = 1 }}\n"
        ),
        format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfetch = {{ url = \"https://x/y?token={CANARY}\", sha256 = \"short\", to = \"/y\" }}\n"
        ),
    ] {
        project.recipe(&recipe);
        let run = project.run(&["build", "--offline", "-o", "oci:out"]);
        assert_ne!(run.code, Some(0), "{recipe}");
        assert!(!holds(run.stderr.as_bytes()) && !holds(&run.stdout), "{recipe}\n{}", run.stderr);
    }
    for place in
        [format!("bob:{CANARY}@registry.example.com/a"), format!("docker://bob:{CANARY}@registry.example.com/a")]
    {
        let run = project.run(&["inspect", &place]);
        assert_ne!(run.code, Some(0));
        assert!(!holds(run.stderr.as_bytes()), "{}", run.stderr);
    }
}

/// What a layout or an archive calls its images, and what images say of themselves, may hold what it should not.
#[test]
fn a_login_in_a_name_or_an_annotation_is_refused_or_not_shown() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"x\" }\n");
    for from in [
        format!("bob:{CANARY}@r.example.com/x"),
        format!("bob:{CANARY}@localhost"),
        format!("https://bob:{CANARY}@r.example.com/x"),
        format!("oci:bob:{CANARY}@r.example.com/x"),
        format!("archive:bob:{CANARY}@r.example.com/x"),
        format!("type=registry,ref=bob:{CANARY}@r.example.com/x"),
        format!("type=registry,name=bob:{CANARY}@r.example.com/x"),
        format!("type=oci,dest=https://bob:{CANARY}@r.example.com/x"),
    ] {
        let told = project.run(&["build", "-o", "oci:out", "--cache-from", &from]).fails(2);
        assert!(!holds(told.as_bytes()), "{told}");
    }
    project.write("pod.yaml", "image: nginx:1\n");
    for from in [format!("oci:bob:{CANARY}@r.example.com/x"), format!("bob:{CANARY}@r.example.com/x")] {
        let told = project.run(&["resolve", "-k", "pod.yaml", "--from", &from]).fails(2);
        assert!(!holds(told.as_bytes()), "{told}");
    }
    let name = format!("bob:{CANARY}@r.example.com/x:1");
    let base = Base::debian();
    base.docker_archive(&project.path("saved.tar"), &name);
    base.layout(&project.path("layout"));
    let index = project.path("layout/index.json");
    let whole = fs::read_to_string(&index).unwrap();
    for key in ["org.opencontainers.image.ref.name", "io.containerd.image.name"] {
        let mut json: serde_json::Value = serde_json::from_str(&whole).unwrap();
        json["manifests"][0]["annotations"] = serde_json::json!({ key: name });
        fs::write(&index, json.to_string()).unwrap();
        for (arguments, place) in [
            (&["inspect", "oci:layout"][..], "layout"),
            (&["copy", "oci:layout", "oci:other"], "layout"),
            (&["push", "oci:layout"], "layout"),
            (&["inspect", "docker-archive:saved.tar"], "saved.tar"),
            (&["copy", "docker-archive:saved.tar", "oci:other"], "saved.tar"),
        ] {
            let run = project.run(arguments);
            let told = run.fails(1);
            assert!(!holds(told.as_bytes()), "{told}");
            assert!(told.contains("a name that holds a login") && told.contains(place), "{told}");
        }
        assert!(!project.path("other").exists());
    }
    // What stands below a digest is as it is, and is shown without.
    let url = format!("https://bob:{CANARY}@git.example.com/x");
    project.recipe(&format!(
        "[images.app]\nfrom = \"scratch\"\nlabels = {{ \"org.opencontainers.image.source\" = \"{url}\" }}\n"
    ));
    project.run(&["build", "-o", "oci:out"]).ok();
    let run = project.run(&["inspect", "oci:out"]).ok();
    assert!(!holds(&run.stdout) && run.stdout().contains("@git.example.com/x"), "{}", run.stdout());
}

/// What flags take from the environment is shown no more than what recipes take from there.
#[test]
fn what_flags_take_from_the_environment_is_not_shown() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n");
    let cases = ["-t {env.SECRET}", "-t r.example.com/x:{env.SECRET}", "-t {env.SECRET}/x", "-o {env.SECRET}"];
    let cases = cases.iter().chain(&[
        "-o oic:{env.SECRET}",
        "--cache-from {env.SECRET}",
        "--cache-from type=x,dest={env.SECRET}",
    ]);
    for (flag, text) in cases.filter_map(|case| case.split_once(' ')) {
        let mut command = project.command(&["build", "--offline", flag, text]);
        command.env("SECRET", format!("no place {CANARY}"));
        let run = project.end(command);
        let told = run.fails(2);
        assert!(!holds(told.as_bytes()), "{told}");
        let why = "with what the environment says it makes no sense";
        assert!(told.contains(&format!("{flag} {text}: {why}")), "{told}");
    }
    // What comes from elsewhere is.
    let told = project.run(&["build", "--offline", "-t", "no place"]).fails(2);
    assert!(told.contains("\"no place\" is no tag"), "{told}");
}

/// What the cache holds belongs to its user, however careless the umask.
#[test]
fn the_cache_is_its_users_alone() {
    let registry = FakeRegistry::start(bearer());
    let project = project(&registry);
    let program = env!("CARGO_BIN_EXE_lapstrake");
    let command = project.wrapped(
        "sh",
        &["-c", "umask 000; exec \"$@\"", "sh", program],
        &["build", "--push", "--authfile", "home/login.json"],
    );
    project.end(command).ok();
    let cache = project.path("home/.cache/lapstrake");
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in walkdir::WalkDir::new(&cache) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o022, 0, "{} has mode {mode:o}", entry.path().display());
    }
}
