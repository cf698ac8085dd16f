//! `build --watch` and `build --load`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Project;

const RECIPE: &str = "
[images.web]
from = \"scratch\"
[[images.web.layers]]
copy = [\"app\"]
to = \"/app\"
";

/// How long a test waits for a line; it takes no part in what the line says.
const PATIENCE: Duration = Duration::from_secs(60);

/// A build that watches, and the lines that it writes to standard output.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Watching { child, lines }
    }

    /// The digest that the next line tells.
    fn digest(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("a build that ends");
        line.split('\t').nth(2).expect("a digest").to_owned()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_is_built_and_what_a_build_writes_is_none() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    // What it writes lies where it reads: that must not make it build again.
    let watching =
        Watching::start(&project, &["build", "--watch", "-o", "oci:ctx/out", "--metadata-file", "ctx/meta.json"]);
    let first = watching.digest();
    project.write("ctx/app/main.py", "two!");
    let second = watching.digest();
    assert_ne!(first, second);
    // A mistake is told, and the next change built.
    project.recipe("[images.web]\nfrom = \"nowhere\"\n");
    project.recipe(RECIPE);
    fs::remove_file(project.path("ctx/app/main.py")).unwrap();
    project.write("ctx/app/main.py", "one");
    let third = loop {
        let digest = watching.digest();
        if digest != second {
            break digest;
        }
    };
    assert_eq!(first, third);
    // What was still to be told of these changes may be built; then nothing happens.
    let more = std::iter::from_fn(|| watching.lines.recv_timeout(Duration::from_secs(1)).ok()).take(10).count();
    assert!(more < 10, "it builds again by itself");
}

#[test]
fn changes_below_a_recipe_s_own_directory_are_seen() {
    let project = Project::empty();
    project.write("shop/lapstrake.toml", format!("recipe = 1\n{RECIPE}"));
    project.write("shop/app/deep/main.py", "one");
    let watching = Watching::start(&project, &["build", "--watch", "-f", "shop/lapstrake.toml"]);
    let first = watching.digest();
    project.write("shop/app/deep/main.py", "two!");
    assert_ne!(watching.digest(), first);
}

/// Would fail if every change of a file that nobody copies began the waiting anew.
#[test]
fn a_file_that_never_rests_keeps_nobody_from_building() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    let watching = Watching::start(&project, &["build", "--watch", "-o", "oci:out"]);
    let first = watching.digest();
    let busy = project.path("ctx/busy.log");
    let (stop, stopped) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
            fs::write(&busy, "x").unwrap();
        }
    });
    project.write("ctx/app/main.py", "two!");
    while watching.digest() == first {}
    drop(stop);
    writer.join().unwrap();
}

/// Would fail if the directory that was there at first went on being watched, and not the one that took its place.
#[test]
fn a_context_that_is_replaced_is_watched_again() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    let watching = Watching::start(&project, &["build", "--watch", "-o", "oci:out"]);
    let first = watching.digest();
    project.write("next/app/main.py", "two!");
    fs::rename(project.path("ctx"), project.path("old")).unwrap();
    fs::rename(project.path("next"), project.path("ctx")).unwrap();
    let second = loop {
        let digest = watching.digest();
        if digest != first {
            break digest;
        }
    };
    project.write("ctx/app/main.py", "three");
    while [&first, &second].contains(&&watching.digest()) {}
}

/// Would fail if only the bases of images were watched.
#[test]
fn an_image_that_a_layer_copies_from_is_watched() {
    let layer = "\n[[images.web.layers]]\nimage = { image = \"oci:../other\", copy = [\"/tool\"] }\nto = \"/bin\"\n";
    let other = |text: &str| {
        format!("[images.other]\nfrom = \"scratch\"\n[[images.other.layers]]\nfiles = {{ \"/tool\" = \"{text}\" }}\n")
    };
    let project = Project::new(&format!("{RECIPE}{layer}"));
    project.write("ctx/app/main.py", "one");
    let outside = Project::new(&other("one"));
    let place = format!("oci:{}", project.path("other").display());
    outside.run(&["build", "-o", &place]).ok();
    let watching = Watching::start(&project, &["build", "--watch", "-o", "oci:out"]);
    let first = watching.digest();
    outside.recipe(&other("two"));
    outside.run(&["build", "-o", &place]).ok();
    while watching.digest() == first {}
}

/// A program that takes images as Docker does, into a file.
fn program(project: &Project, name: &str, body: &str) {
    project.write(&format!("bin/{name}"), format!("#!/bin/sh\n{body}\n")).chmod(&format!("bin/{name}"), 0o755);
}

#[test]
fn images_are_handed_to_the_program_that_is_there() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    program(&project, "docker", "exit 1");
    program(&project, "podman", "[ \"$1\" = version ] || cat > loaded.tar");
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let done = project.command(&["build", "--load"]).env("PATH", &path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let listed = project.command(&["inspect", "docker-archive:loaded.tar", "--files"]).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("app/main.py"));
    assert!(!project.path("lapstrake-out").exists(), "nothing else was asked for");

    // What the program leaves running holds its standard error, and is not waited for.
    program(&project, "podman", "sleep 600 & echo $! > pid; exec cat > /dev/null");
    let done = project.command(&["build", "--load=podman"]).env("PATH", &path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let pid = fs::read_to_string(project.path("pid")).unwrap();
    assert!(fs::metadata(format!("/proc/{}", pid.trim())).is_ok(), "it was waited for");
    assert!(project.wrapped("kill", &[pid.trim()], &[]).status().unwrap().success());

    program(&project, "podman", "cat > /dev/null; echo 'no space left' >&2; exit 3");
    let done = project.command(&["build", "--load=podman"]).env("PATH", &path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("podman load did not take the images") && said.contains("no space left"), "{said}");

    let done = project.command(&["build", "--load"]).env("PATH", project.path("nothing")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("neither a Docker daemon nor podman"), "{said}");
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not yet");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Breaks where a run goes on to the next program after a signal, leaves what a program has started, or ends what was there
/// before it took a shell's place.
#[test]
fn after_a_signal_no_program_is_started_and_none_is_left() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    program(&project, "docker", "sleep 600 & echo $! > pid.new; mv pid.new pid; wait");
    program(&project, "podman", "echo > asked; cat > /dev/null");
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let own = project.command(&["build", "--load"]);
    let script = "sleep 600 > /dev/null 2>&1 & echo $! > before; exec \"$0\" \"$@\"";
    let mut command = project.wrapped("sh", &["-c", script], &[]);
    command.arg(own.get_program()).args(own.get_args());
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", &path).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("docker is asked", || project.path("pid").exists());
    let id = child.id().to_string();
    assert!(project.wrapped("kill", &["-s", "TERM", &id], &[]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.ends_with("interrupted\n") && !said.contains("podman"), "{said}");
    assert!(!project.path("asked").exists(), "podman was asked after the signal");
    let pid = fs::read_to_string(project.path("pid")).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    wait_until("what docker has started is gone", || {
        state().rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
    });
    let before = fs::read_to_string(project.path("before")).unwrap();
    let ended = project.wrapped("kill", &[before.trim()], &[]).status().unwrap();
    assert!(ended.success(), "what was there before was ended");
}

/// Breaks where a file of the directory that is built is run since `PATH` has a relative entry.
#[test]
fn programs_are_not_looked_for_in_what_is_built() {
    let project = Project::new(RECIPE);
    project.write("ctx/app/main.py", "one");
    for name in ["docker", "podman"] {
        program(&project, name, "echo > asked; while read -r line; do :; done");
    }
    let run = |arguments: &[&str], path: &str| {
        let mut command = project.command(arguments);
        command.env("PATH", path);
        project.end(command)
    };
    let told = run(&["build", "--load"], "bin:.").fails(1);
    assert!(told.contains("neither a Docker daemon nor podman"), "{told}");
    let told = run(&["build", "--load=podman"], "bin:.").fails(1);
    assert!(told.contains("there is no program podman on PATH"), "{told}");
    assert!(!project.path("asked").exists(), "a program of the project was run");
    // One that is named by its path is meant.
    run(&["build", "--load=bin/podman"], "/usr/bin:/bin").ok();
    assert!(project.path("asked").exists());
}
