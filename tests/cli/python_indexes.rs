//! Where Python packages come from: several indexes, signed links, indexes that do not answer; and what makes a lock stale.

use std::fs;

use super::file_server::Fault;
use super::mirror::Mirrored;
use super::python::{TARGET, app, click, flask, indexed, with_uv};
use super::python_index::PythonIndex;
use super::support::Run;
use super::wheel::Wheel;

fn asking(mirrored: &Mirrored, requirements: &str) {
    mirrored.project.write("ctx/requirements.txt", requirements);
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
}

/// `lock` with indexes of its own.
fn lock_at(mirrored: &Mirrored, variables: &[(&str, &str)]) -> Run {
    let mut command = mirrored.command(&["lock"]);
    command.env_remove("LAPSTRAKE_PYTHON_INDEX");
    command.env("LAPSTRAKE_UV", super::python::uv());
    command.envs(variables.iter().copied());
    mirrored.project.end(command)
}

/// Breaks where a public index can put a newer package in the place of the company's.
#[test]
fn a_package_comes_from_the_first_index_that_has_its_name() {
    let mirrored = indexed();
    let mut company = PythonIndex::new(&mirrored.project.path("mirror/company"));
    company.add(&Wheel::new("Flask", "0.9").file("flask.py", "ours")).publish();
    let (ours, public) = (mirrored.server.url("/company/simple"), mirrored.server.url("/python/simple"));
    asking(&mirrored, "flask\nclick\n");
    for (variables, index, other) in [
        (&[("PIP_INDEX_URL", &*public), ("PIP_EXTRA_INDEX_URL", &*ours)][..], "extra-1", "default"),
        (&[("UV_DEFAULT_INDEX", &*public), ("UV_INDEX", &*ours)], "extra-1", "default"),
        (&[("LAPSTRAKE_PYTHON_INDEX", &*format!("{ours} {public}"))], "extra-1", "default"),
    ] {
        let _ = fs::remove_file(mirrored.project.path("lapstrake.lock"));
        let run = lock_at(&mirrored, variables).ok();
        assert!(run.stdout().contains("+ python flask 0.9 "), "{variables:?}: {}", run.told());
        assert!(run.stdout().contains("+ python click 8.1 "), "{variables:?}: {}", run.told());
        let lock = mirrored.locked();
        assert!(lock.contains(&format!("name = \"flask\", version = \"0.9\", index = \"{index}\"")), "{lock}");
        assert!(lock.contains("name = \"click\", version = \"8.1\", index = \"default\""), "{lock}");
        let told = run.told();
        assert!(
            told.contains(&format!("flask (from {index}, also in {other})")) && !told.contains("click (from"),
            "{told}"
        );
    }
    // The same name and version with other bytes in its index is an error, and the other index is not asked.
    company.remove("flask", "Flask-0.9-py3-none-any.whl");
    company.add(&Wheel::new("Flask", "0.9").file("flask.py", "another")).publish();
    mirrored.server.clear_log();
    let mut command = mirrored.command(&["build", "--locked", "-o", "oci:out", "--cache-dir", "cold"]);
    command.env("LAPSTRAKE_PYTHON_INDEX", format!("{ours} {public}"));
    let run = mirrored.project.end(command);
    assert!(matches!(run.code, Some(4 | 5)), "{}", run.told());
    assert!(run.told().contains("has the digest"), "{}", run.told());
    assert_eq!(mirrored.server.count("/python/simple/flask/"), 0);
}

/// Breaks where the settings that name the company's index are broken, and its packages are taken from a public one without a word.
#[test]
fn no_other_index_stands_in_for_settings_that_are_broken() {
    const CANARY: &str = "hunter22canary";
    let mirrored = indexed();
    asking(&mirrored, "flask\n");
    let (public, address) = (mirrored.server.url("/python/simple"), format!("{CANARY}/simple"));
    let (pip, uv) = ("home/.config/pip/pip.conf", "home/.config/uv/uv.toml");
    for (file, variables, wanted) in [
        (Some((pip, "[global\nindex-url = hunter22canary\n")), &[][..], "pip.conf` might say"),
        (Some((uv, "index-url = \"hunter22canary\n")), &[("PIP_INDEX_URL", &*public)], "uv.toml` might say"),
        (None, &[("UV_DEFAULT_INDEX", &*address)], "UV_DEFAULT_INDEX might say"),
        (None, &[("PIP_INDEX_URL", &*address)], "PIP_INDEX_URL might say"),
        (None, &[("UV_CONFIG_FILE", "lost.toml"), ("PIP_INDEX_URL", &*public)], "UV_CONFIG_FILE might say"),
        (None, &[("PIP_CONFIG_FILE", "lost.conf")], "PIP_CONFIG_FILE might say"),
    ] {
        if let Some((path, text)) = file {
            mirrored.project.write(path, text);
        }
        let told = lock_at(&mirrored, variables).fails(1);
        assert!(told.contains(wanted), "{wanted}: {told}");
        assert!(told.contains("L0006") && told.contains("LAPSTRAKE_PYTHON_INDEX"), "{told}");
        assert!(!told.contains(CANARY), "{told}");
        if let Some((path, _)) = file {
            fs::remove_file(mirrored.project.path(path)).unwrap();
        }
    }
    assert!(mirrored.server.log().is_empty(), "nobody is asked");
    // What comes before them is good, and they are told before `uv` starts.
    mirrored.project.write(pip, "[global\n");
    let run = lock_at(&mirrored, &[("LAPSTRAKE_PYTHON_INDEX", &public)]).ok();
    assert!(run.told().contains("pip.conf` is passed over: line 1"), "{}", run.told());
}

/// Breaks where a signature or token is written down, by us or by `uv`.
#[test]
fn signatures_and_tokens_are_written_nowhere() {
    const CANARY: &str = "hunter22canary";
    let mirrored = indexed();
    for wheel in [flask("1.0"), click("8.1")] {
        let (name, file) = (wheel.name.to_lowercase(), wheel.file_name());
        let page = format!(
            "<a href=\"../../files/{file}?X-Signature={CANARY}&amp;Expires=1#sha256={}\">{file}</a>",
            wheel.sha256()
        );
        mirrored.server.put(&format!("/python/simple/{name}/"), "text/html", page);
    }
    let unasked = Wheel::new("unasked", "1");
    let direct = mirrored.server.url_of(&format!("me:{CANARY}"), "/python/files/unasked-1-py3-none-any.whl");
    for requirements in ["flask\n".to_owned(), format!("flask\nunasked @ {direct}?token={CANARY}\n")] {
        let _ = fs::remove_file(mirrored.project.path("lapstrake.lock"));
        asking(&mirrored, &requirements);
        let run = with_uv(&mirrored, &["lock"]).ok();
        assert!(!run.told().contains(CANARY) && !run.stdout().contains(CANARY));
        let run = mirrored.run(&["build", "--locked", "-o", "oci:out", "--metadata-file", "meta.json"]).ok();
        assert!(!run.told().contains(CANARY) && !run.stdout().contains(CANARY));
        assert!(mirrored.server.count(&format!("X-Signature={CANARY}")) > 0, "the links are used");
        for entry in walkdir::WalkDir::new(mirrored.project.root()) {
            let entry = entry.unwrap();
            let below = entry.path().strip_prefix(mirrored.project.root()).unwrap();
            // What asks for it has it.
            if !entry.file_type().is_file() || below.starts_with("ctx") || below.starts_with("mirror") {
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "{} after {requirements}", below.display());
        }
    }
    assert_eq!(mirrored.project.layout("out").image("app").file("site/flask.py"), "1.0");
    assert!(!unasked.sha256().is_empty());
}

#[test]
fn an_index_that_does_not_answer_is_an_error_of_the_network() {
    let mirrored = indexed();
    asking(&mirrored, "flask\n");
    let run = lock_at(&mirrored, &[("LAPSTRAKE_PYTHON_INDEX", "http://127.0.0.1:1/simple"), ("UV_HTTP_RETRIES", "0")]);
    let told = run.fails(5);
    assert!(told.contains("index"), "{told}");
    // With hashes it is asked by ourselves.
    asking(&mirrored, &format!("click==8.0 --hash=sha256:{}\n", click("8.0").sha256()));
    mirrored.server.fault("/simple/click/", usize::MAX, Fault::Status(404));
    let told = mirrored.run(&["lock"]).fails(4);
    assert!(told.contains("click"), "{told}");
}

/// Breaks where the bytes of a requirements file are compared, and not what they ask.
#[test]
fn comments_make_no_lock_stale_and_a_stale_one_says_what_changed() {
    let mirrored = indexed();
    let line = |wheel: &Wheel| format!("{}=={} --hash=sha256:{}\n", wheel.name, wheel.version, wheel.sha256());
    asking(&mirrored, &(line(&flask("1.0")) + &line(&click("8.0"))));
    mirrored.lock(&[]);
    asking(&mirrored, &format!("# why\n\n{}{}  # because\n", line(&click("8.0")), line(&flask("1.0")).trim_end()));
    mirrored.run(&["build", "--locked", "-o", "oci:out"]).ok();
    asking(&mirrored, &(line(&flask("1.0")) + &line(&click("8.1")) + &line(&Wheel::new("unasked", "1"))));
    let told = mirrored.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    for words in ["`requirement click==8.0` is now `requirement click==8.1`", "`requirement unasked==1` is new"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(!told.contains("sha256") && !told.contains("hashes"), "{told}");
}
