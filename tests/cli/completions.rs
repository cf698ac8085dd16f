//! Completions as bash asks for them: the script in a real shell.

use super::support::{BINARY, Project};

const RECIPE: &str = r#"
[variants.docker]
[variants.k8s]
[images.web]
from = "scratch"
platforms = ["linux/amd64", "linux/arm64"]
[images.server]
from = "scratch"
variants = ["docker", "k8s"]
"#;

/// What bash offers for a line, sorted; the line is split as readline does it.
fn offered(p: &Project, line: &str) -> Vec<String> {
    let script = r#"
        PATH="$(dirname "$1"):$PATH"
        source <(lapstrake completions bash) || exit 9
        COMP_LINE="$2" COMP_POINT=${#2} COMP_WORDS=(lapstrake) COMP_CWORD=1
        _lapstrake lapstrake "" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let run = p.end(p.wrapped("bash", &["-uc", script, "bash"], &[BINARY, line])).ok();
    assert_eq!(run.stderr, "");
    let mut lines: Vec<String> = run.stdout().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn images_variants_and_platforms_of_the_recipe_are_offered() {
    let p = Project::new(RECIPE);
    assert_eq!(offered(&p, "lapstrake build w"), ["web"]);
    assert_eq!(offered(&p, "lapstrake build web s"), ["server", "server:docker", "server:k8s"]);
    // bash has `server:` as a word of its own, and wants what is behind it.
    assert_eq!(offered(&p, "lapstrake build server:"), ["docker", "k8s"]);
    assert_eq!(offered(&p, "lapstrake explain server:k"), ["k8s"]);
    assert_eq!(offered(&p, "lapstrake build --variant "), ["docker", "k8s"]);
    assert_eq!(offered(&p, "lapstrake build --platform=linux/a"), ["linux/amd64", "linux/arm64"]);
    assert_eq!(offered(&p, "lapstrake comp"), ["completions"]);
    assert_eq!(offered(&p, "lapstrake help comp"), ["completions"]);
    assert!(offered(&p, "lapstrake help L03").contains(&"L0301".to_owned()));
    assert_eq!(offered(&p, "lapstrake help cache si"), ["size"]);
    assert!(offered(&p, "lapstrake build --me").contains(&"--metadata-file".to_owned()));
}

#[test]
fn the_recipe_is_the_one_that_the_line_names_and_a_wrong_one_offers_nothing() {
    let p = Project::new(RECIPE);
    p.write("other.toml", "recipe = 1\n[project]\nname = \"x\"\n[images.other]\nfrom = \"scratch\"\n");
    p.write("wrong.toml", "recipe = 1\n[images.other\n");
    assert_eq!(offered(&p, "lapstrake -f other.toml build o"), ["other"]);
    assert_eq!(offered(&p, "lapstrake build --file=other.toml o"), ["other"]);
    assert_eq!(offered(&p, "lapstrake build -f wrong.toml o"), [""]);
}

#[test]
fn a_file_name_is_one_word_and_no_command() {
    let p = Project::new(RECIPE);
    p.write("x$(touch pwned) *.toml", "recipe = 1\n");
    assert_eq!(offered(&p, "lapstrake -f x"), ["x\\$\\(touch\\ pwned\\)\\ \\*.toml"]);
    assert!(!p.path("pwned").exists());
}

#[test]
fn every_shell_has_a_script_that_asks_the_program() {
    let p = Project::new(RECIPE);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = p.run(&["completions", shell]).ok().stdout();
        assert!(script.contains("LAPSTRAKE_COMPLETE"), "{shell}: {script}");
    }
    // As zsh and fish ask.
    for shell in ["zsh", "fish"] {
        let mut command = p.command(&["--", "lapstrake", "build", "we"]);
        command.env("LAPSTRAKE_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_IFS", "\n");
        assert_eq!(p.end(command).ok().stdout().trim(), "web", "{shell}");
    }
}
