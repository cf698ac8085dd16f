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

/// Wherever a reference, a place, the name of an image or a tag is asked for, somebody types a login; whatever it looks like, it
/// is in no message.
#[test]
fn a_login_that_is_typed_is_not_repeated() {
    const RECIPE: &str = "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = { \"/x\" = \"x\" }\n";
    let project = Project::new(RECIPE);
    project.run(&["build", "-o", "oci:out"]).ok();
    project.write("pod.yaml", format!("image: nginx:1\nkind: {CANARY}@r.example.com/x\n"));
    let check = |arguments: &[&str]| {
        for (ci, progress) in [("", "plain"), ("", "json"), ("true", "plain")] {
            let mut command = project.command(&[arguments, &["--progress", progress]].concat());
            command.env("GITHUB_ACTIONS", ci);
            let run = project.end(command);
            assert_ne!(run.code, Some(0), "{}", run.shown);
            assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{}: {}", run.shown, run.stderr);
        }
    };
    let long = "x".repeat(2000);
    let logins = [
        format!("bob:{CANARY}@cafe"),
        format!("bob:{CANARY}@node1:5000"),
        format!("bob:{CANARY}@localhost"),
        format!("bob:{CANARY}@r.example.com/x@sha256:12"),
        format!("bob:{CANARY},y'z\" x@r.example.com/x:1"),
        format!("bob:{CANARY}/y@r.example.com/x:1"),
        format!("bob:{CANARY}{long}@r.example.com/x:1"),
        format!("bob:@{CANARY}@h"),
        format!("bob:@{CANARY}"),
        format!("{CANARY}@r.example.com/x"),
        format!("{CANARY}@localhost"),
    ];
    for login in &logins {
        for arguments in [
            &["inspect", login][..],
            &["copy", login, "oci:other"],
            &["copy", "oci:out", login],
            &["push", "oci:out", login],
            &["diff", "oci:out", login],
            &["report", login],
            &["report", "--against", login],
            &["explain", "--against", login],
            &["explain", login],
            &["build", "-o", login],
            &["build", "--cache-from", login],
            &["build", "-t", login],
            &["build", "-t", &format!("{login}{{env.PATH}}")],
            &["build", "-t", &format!("{login}{{nothing}}")],
            &["build", "--variant", login],
            &["build", login],
            &["build", &format!("app:{login}")],
            &["verify", login],
            &["inspect", "--image", login, "oci:out"],
            &["diff", "--image", login, "oci:out", "oci:out"],
            &["resolve", "-k", "pod.yaml", "--from", login],
        ] {
            check(arguments);
        }
    }
    for place in [
        format!("oci:bob:@{CANARY}@h/x"),
        format!("oci:bob:{CANARY}@r.example.com/x:@0"),
        format!("oci-archive:bob:@{CANARY}"),
        format!("oci:{CANARY}@r.example.com/x"),
        format!("docker://{CANARY}@h"),
        format!("https://{CANARY}@h"),
        format!("docker-daemon:{CANARY}@h/x"),
        format!("oic:{CANARY}@h/x"),
        format!("{CANARY}@h/x.tar"),
        format!("type=oci,dest=x,name=@{CANARY}@h"),
        format!("type=registry,{CANARY}@h/x"),
        format!("type=registry,name={CANARY}@h/x"),
        format!("type=registry,ref={CANARY}@h/x"),
        format!("type={CANARY}@h/x"),
        format!("type=oci,tar={CANARY}@h/x"),
    ] {
        check(&["build", "-o", &place]);
        check(&["inspect", &place]);
        project.recipe(&format!("[images.app]\nfrom = \"{place}\"\n"));
        check(&["build"]);
        project.recipe(RECIPE);
    }
    // No reference is asked for, and somebody types one all the same.
    let login = format!("bob:{CANARY}@r.example.com/x");
    for arguments in [
        &[&*login][..],
        &["inspect", "oci:out", &login],
        &["build", "--set", &login],
        &["build", "--platform", &login],
        &["build", "-f", &login],
        &["build", &format!("--push={login}")],
        &["lock", "--update", &login],
        &["resolve", &login],
    ] {
        let run = project.run(arguments);
        assert_ne!(run.code, Some(0), "{}", run.shown);
        assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{}: {}", run.shown, run.stderr);
    }
    for from in logins.iter().filter(|login| !login.contains(['"', '\''])) {
        for recipe in [
            format!("[images.app]\nfrom = \"{from}\"\n"),
            format!("[images.app]\nfrom = \"{from}:@0\"\n"),
            format!("[images.app]\nfrom = \"scratch\"\nrepository = \"{from}\"\n"),
            format!("[images.app]\nfrom = \"scratch\"\ntags = [\"{from}\"]\n"),
        ] {
            project.recipe(&recipe);
            check(&["build"]);
        }
        project.write("Dockerfile", format!("FROM {from}\n"));
        check(&["init", "Dockerfile", "--base", &format!("{from}y=x"), "-o", "made.toml"]);
        check(&["init", "Dockerfile", "-o", "made.toml"]);
    }
}

/// What images say of themselves is shown to people without logins, and to programs as it is.
#[test]
fn a_login_in_what_an_image_says_is_in_documents_alone() {
    let recipe = |login: &str| {
        format!(
            "[variants.a]\nlabels = {{ v = \"https://{login}@git.example.com/v\" }}\n[variants.b]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"a\", \"b\"]\n\
             cmd = [\"/x\", \"--from=https://{login}@h.example.com/x\"]\n\
             annotations = {{ \"a.b\" = \"https://{login}@git.example.com/a\" }}\n\
             labels = {{ \"a.b\" = \"https://{login}@git.example.com/l\", q = \"https://x.example.com/a?b=c\" }}\n\
             env = {{ URL = \"https://{login}@git.example.com/e\", PLAIN = \"{login}@h/p\", MAIL = \"bob@example.com\" }}\n"
        )
    };
    let project = Project::new(&recipe("bob:other"));
    project.run(&["build", "-o", "oci:before"]).ok();
    project.recipe(&recipe(&format!("bob:{CANARY}")));
    project.run(&["build", "-o", "oci:out"]).ok();
    let run = project.run(&["inspect", "oci:out"]).ok();
    let told = run.stdout();
    assert!(!holds(told.as_bytes()), "{told}");
    for shown in [
        "URL=https://***",
        "@git.example.com/e",
        "PLAIN=***",
        "@h/p",
        "q=https://x.example.com/a?b=c",
        "bob@example.com",
    ] {
        assert!(told.contains(shown), "{shown}: {told}");
    }
    let (before, now) = ("oci:before:app:a", "oci:out:app:a");
    let run = project.run(&["diff", before, now]);
    assert_eq!(run.code, Some(6), "{}", run.stderr);
    assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{}", run.stdout());
    for shown in ["env PLAIN", "@h/p", "label a.b", "@git.example.com/l", "annotation a.b", "cmd"] {
        assert!(run.stdout().contains(shown), "{shown}: {}", run.stdout());
    }
    let run = project.run(&["explain", "--against", "oci:before"]).ok();
    assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{}", run.stdout());
    let run = project.run(&["report", "oci:out", "-o", "page.html"]).ok();
    assert!(!holds(&run.stdout) && !holds(run.stderr.as_bytes()), "{}", run.stderr);
    let page = fs::read(project.path("page.html")).unwrap();
    assert!(!holds(&page) && String::from_utf8_lossy(&page).contains("@git.example.com/v"));
    // Documents are given as they are.
    for arguments in [&["inspect", "--json", "oci:out"][..], &["diff", "--json", before, now]] {
        assert!(holds(&project.run(arguments).stdout), "{arguments:?}");
    }
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
