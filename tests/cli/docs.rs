//! The docs: every command in their blocks is run, every recipe read, every pipeline parsed.
//!
//! A block of commands is run from its first line to its last in one project, as a reader would do it; [`SCENES`] says in which.
//! A block that is not listed there fails, and so does a row that no block needs any more.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lapstrake::recipe::{self, Inputs};
use regex::Regex;
use saphyr_parser::{Event, Parser};

use super::deb::Deb;
use super::fake_registry::{FakeRegistry, OCI_MANIFEST};
use super::mirror::Mirrored;
use super::support::{BINARY, Base, Tar};
use super::wheel::Wheel;

/// What is there before the first command of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// The recipe that README.md begins with, its files, and manifests that name its images.
    Shop,
    /// The same, locked.
    Locked,
    /// The same, locked and pushed, with a layout in `lapstrake-out`.
    Pushed,
    /// One image that stands on `app:1` of the registry, locked, pushed, and in `lapstrake-out`.
    App,
    /// A recipe of packages.
    Packages,
    /// Dockerfiles and what they copy; each command finds no recipe.
    Dockerfiles,
}

/// In which project the commands below a heading are run.
const SCENES: &[(&str, &str, Scene)] = &[
    ("README.md", "The first image", Scene::Shop),
    ("README.md", "From a Dockerfile", Scene::Dockerfiles),
    ("README.md", "Packages, and the lock", Scene::Packages),
    ("README.md", "What is in it, and what differs", Scene::App),
    ("README.md", "Deploying by digest", Scene::Pushed),
    ("README.md", "Nothing twice", Scene::Locked),
    ("docs/caching.md", "On one machine", Scene::Pushed),
    ("docs/caching.md", "On a runner with an empty disk", Scene::Locked),
    ("docs/ci.md", "lapstrake in CI", Scene::Locked),
    ("docs/ci.md", "GitHub Actions", Scene::Locked),
    ("docs/ci.md", "Gitea Actions", Scene::Locked),
    ("docs/ci.md", "GitLab CI", Scene::Locked),
    ("docs/ci.md", "Tekton", Scene::Locked),
    ("docs/ci.md", "Woodpecker", Scene::Locked),
    ("docs/ci.md", "A plain pod, and Jenkins agents", Scene::Locked),
    ("docs/ci.md", "While developing", Scene::Shop),
    ("docs/migrate.md", "From a Dockerfile to a recipe", Scene::Dockerfiles),
    ("docs/migrate.md", "Is it the same image?", Scene::Pushed),
    ("docs/packages.md", "The lock", Scene::Packages),
    ("docs/reproducibility.md", "From staging to production", Scene::Pushed),
    ("docs/reproducibility.md", "Checking it", Scene::Pushed),
];

/// Commands that do not end with 0, and why.
const CODES: &[(&str, i32, &str)] =
    &[("lapstrake diff registry.example.com/app:1 oci:lapstrake-out", 6, "the image has a layer more than its base")];

/// Lines that are not run, by what they begin with, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("make demo", "builds lapstrake itself; run by hand and before each release"),
    ("make test", "runs this test"),
    ("auth=", "a shell's work, with a password of the reader"),
    ("export DOCKER_AUTH_CONFIG=", "the same"),
];

/// Files of docs/ of which the commands are not run, and why.
const NOT_READ: &[(&str, &str)] = &[("errors.md", "its examples show what fails; `codes` looks at its pages")];

/// A fenced block.
#[derive(Debug)]
struct Block {
    file: String,
    /// Of the first line in it, from 1.
    line: usize,
    /// The heading that it stands below.
    heading: String,
    language: String,
    text: String,
}

fn blocks_of(file: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (mut blocks, mut heading, mut open) = (Vec::new(), String::new(), None::<Block>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (file, heading, language) = (file.to_owned(), heading.clone(), language.to_owned());
                open = Some(Block { file, line: number + 2, heading, language, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {
                if let Some((_, title)) = line.split_once("# ").filter(|(marks, _)| marks.bytes().all(|b| b == b'#')) {
                    heading = title.to_owned();
                }
            }
        }
    }
    assert!(open.is_none(), "{file}: a block has no end");
    blocks
}

/// README.md and docs/*.md, but for [`NOT_READ`].
fn files() -> Vec<String> {
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let read = names.filter(|name| name.ends_with(".md") && NOT_READ.iter().all(|(not, _)| not != name));
    let mut files: Vec<String> = read.map(|name| format!("docs/{name}")).collect();
    files.push("README.md".to_owned());
    files.sort();
    files
}

fn blocks() -> Vec<Block> {
    files().iter().flat_map(|file| blocks_of(file)).collect()
}

impl Block {
    /// The commands in it that are run, in order, without comments.
    fn commands(&self) -> Vec<String> {
        let found = match self.language.as_str() {
            "sh" | "console" => self.lines(),
            "yaml" => yaml_commands(&self.text),
            "python" => quoted_commands(&self.text),
            "toml" | "" => Vec::new(),
            // One document a line.
            "json" => {
                let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
                assert!(self.text.lines().all(is_json), "{}:{}: no JSON", self.file, self.line);
                Vec::new()
            }
            other => panic!("{}:{}: what is in a block of {other:?}?", self.file, self.line),
        };
        let said =
            Regex::new(r"\blapstrake,? (build|copy|diff|explain|init|inspect|lock|push|report|resolve|verify)\b")
                .unwrap();
        if matches!(self.language.as_str(), "yaml" | "python") {
            let comments = Regex::new(r"(?m)\s#.*$").unwrap();
            let text = comments.replace_all(&self.text, "");
            assert_eq!(said.find_iter(&text).count(), found.len(), "{}:{}: {found:?}", self.file, self.line);
        }
        found
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.text.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line));
        let bare = lines.map(|line| line.split_once(" #").map_or(line, |(before, _)| before).trim_end());
        let run = bare.filter(|line| !line.is_empty() && NOT_RUN.iter().all(|(begin, _)| !line.starts_with(begin)));
        run.map(str::to_owned)
            .inspect(|line| {
                assert!(line.starts_with("lapstrake "), "{}:{}: how is this run? {line}", self.file, self.line);
            })
            .collect()
    }

    fn scene(&self) -> Scene {
        let found = SCENES.iter().find(|(file, heading, _)| *file == self.file && *heading == self.heading);
        found.unwrap_or_else(|| panic!("{}:{}: in which project is this run?", self.file, self.line)).2
    }
}

/// Scalars that are commands, and lists that begin with the program.
fn yaml_commands(text: &str) -> Vec<String> {
    let (mut commands, mut open) = (Vec::new(), vec![Vec::<String>::new()]);
    for event in Parser::new_from_str(text) {
        match event.unwrap_or_else(|error| panic!("{error}\n{text}")).0 {
            Event::SequenceStart(..) | Event::MappingStart(..) => open.push(Vec::new()),
            Event::SequenceEnd | Event::MappingEnd => {
                let list = open.pop().unwrap();
                if list.first().is_some_and(|first| first == "lapstrake") && list.len() > 1 {
                    commands.push(list.join(" "));
                }
            }
            Event::Scalar(value, ..) => {
                commands.extend(value.lines().filter(|line| line.starts_with("lapstrake ")).map(str::to_owned));
                open.last_mut().unwrap().push(value.into_owned());
            }
            _ => {}
        }
    }
    commands
}

/// Words in single quotes that are commands.
fn quoted_commands(text: &str) -> Vec<String> {
    let quoted = Regex::new("'(lapstrake [^']*)'").unwrap();
    quoted.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// A project, a registry, a mirror and an index.
struct World {
    mirrored: Mirrored,
    registry: FakeRegistry,
}

impl World {
    fn new(scene: Scene) -> Self {
        let debs = ["base-files", "curl"].map(|name| Deb::new(name, "1").file(&format!("usr/share/{name}/x"), name));
        let world = World { mirrored: Mirrored::with(debs), registry: FakeRegistry::plain() };
        let project = &world.mirrored.project;
        for (name, body) in [("docker", "[ \"$1\" = version ] || cat > /dev/null"), ("kubectl", "cat > /dev/null")] {
            let program = format!("bin/{name}");
            project.write(&program, format!("#!/bin/sh\n{body}\n")).chmod(&program, 0o755);
        }
        std::os::unix::fs::symlink(BINARY, project.path("bin/lapstrake")).unwrap();
        let release = Tar::new().dir("etc/", 0o755, 0, 0).file("etc/os-release", 0o644, "ID=debian\n").end();
        world.put("python", "3.13", &Base::debian());
        world.put("app", "1", &Base::of(release));
        match scene {
            Scene::Shop | Scene::Locked | Scene::Pushed => world.shop(),
            Scene::App => {
                let recipe = "recipe = 1\n[project]\nname = \"app\"\nrepository = \"registry.example.com/shop/app\"\n\
                              [images.app]\nfrom = \"registry.example.com/app:1\"\n\
                              [[images.app.layers]]\nfiles = { \"/app\" = \"app\\n\" }\n";
                project.write("lapstrake.toml", world.here(recipe));
            }
            Scene::Packages => world.packages(),
            Scene::Dockerfiles => world.dockerfiles(),
        }
        let before: &[&str] = match scene {
            Scene::Shop | Scene::Packages | Scene::Dockerfiles => &[],
            Scene::Locked => &["lapstrake lock"],
            Scene::Pushed | Scene::App => {
                &["lapstrake lock", "lapstrake build", "lapstrake build --push --locked --metadata-file metadata.json"]
            }
        };
        for command in before {
            world.run(command, 0);
        }
        world
    }

    /// The recipe that README.md begins with.
    fn shop(&self) {
        let project = &self.mirrored.project;
        let blocks = blocks_of("README.md");
        let recipe = blocks.iter().find(|block| block.text.starts_with("# lapstrake.toml")).expect("a first recipe");
        project.write("lapstrake.toml", self.here(&recipe.text));
        project.write("web/main.py", "print()\n").write("static/style.css", "p {}\n");
        let pod =
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: \"registry.example.com/shop/web:latest\"}]}\n";
        project.write("deploy/web.yaml", self.here(pod));
        project
            .write("compose.yaml", self.here("services: {web: {image: \"registry.example.com/shop/web:latest\"}}\n"));
    }

    fn packages(&self) {
        let six = Wheel::new("six", "1.17.0").file("six.py", "x = 1\n");
        let mut index = super::python_index::PythonIndex::new(&self.mirrored.project.path("mirror/python"));
        index.add(&six).publish();
        let pins = format!("six==1.17.0 --hash=sha256:{}\n", six.sha256());
        self.mirrored.project.write("ctx/requirements.txt", pins);
        self.mirrored.recipe(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"base-files\", \"curl\"]\n\
             [[images.app.layers]]\npython = { requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }\n",
        );
    }

    fn dockerfiles(&self) {
        let project = &self.mirrored.project;
        let service = "FROM registry.example.com/shop/base:latest\nCOPY src /app\nCMD [\"/app/run\"]\n";
        project.write("Dockerfile", "FROM registry.example.com/python:3.13\nCOPY src /app\n");
        project.write("Dockerfile.base", "FROM registry.example.com/python:3.13\nENV A=1\n").write("src/run", "x\n");
        for name in ["web", "api"] {
            project.write(&format!("Dockerfile.{name}"), service);
            project.write(&format!("{name}/src/run"), "x\n");
            project.write(&format!("{name}/Dockerfile"), service);
            project.write(&format!("{name}/Dockerfile.k8s"), format!("{service}ENV PLACE=k8s\n"));
        }
    }

    /// A text of the docs with this registry's address.
    fn here(&self, text: &str) -> String {
        let name = self.registry.name();
        ["registry.example.com", "gitea.example.com", "ghcr.io"]
            .iter()
            .fold(text.to_owned(), |text, host| text.replace(host, &name))
    }

    fn put(&self, repository: &str, tag: &str, base: &Base) {
        let mut blobs = BTreeMap::new();
        let manifest = base.blobs(&mut blobs);
        let manifest = blobs.remove(manifest["digest"].as_str().unwrap()).unwrap();
        for bytes in blobs.values() {
            self.registry.put_blob(repository, bytes);
        }
        self.registry.put_manifest(repository, Some(tag), OCI_MANIFEST, &manifest);
    }

    /// A shell with what CI systems and tools of developers set.
    fn shell(&self, command: &str) -> Command {
        let mut line = self.here(command);
        for (written, value) in [
            ("${{ github.repository }}", "shop"),
            ("${{ gitea.repository }}", "shop"),
            ("$(results.digest.path)", "tmp/digest"),
            ("/dev/termination-log", "tmp/termination-log"),
        ] {
            line = line.replace(written, value);
        }
        let project = &self.mirrored.project;
        let mut shell = project.wrapped("bash", &["-o", "pipefail", "-c"], &[&line]);
        shell
            .env("PATH", format!("{}:/usr/bin:/bin", project.path("bin").display()))
            .env("LAPSTRAKE_DEBIAN_MIRROR", self.mirrored.server.url("/debian"))
            .env("LAPSTRAKE_PYTHON_INDEX", self.mirrored.server.url("/python/simple"))
            .env("GITHUB_OUTPUT", project.path("tmp/outputs"))
            .env("CI_REGISTRY_IMAGE", format!("{}/shop", self.registry.name()))
            .env("IMAGE", format!("{}/shop/web:skaffold", self.registry.name()))
            .env("EXPECTED_REF", format!("{}/shop/web:tilt", self.registry.name()));
        shell
    }

    /// Runs a command to its end, or, where it watches, to the end of its first build.
    fn run(&self, command: &str, code: i32) {
        if command.contains(" --watch") {
            return self.watch(command);
        }
        let pushes: &[&str] = if command.contains("$PUSH_IMAGE") { &["false", "true"] } else { &["false"] };
        for push in pushes {
            let mut shell = self.shell(command);
            shell.env("PUSH_IMAGE", push);
            self.mirrored.project.end(shell).code(code);
        }
    }

    fn watch(&self, command: &str) {
        let mut child =
            self.shell(&format!("exec {command}")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.starts_with("web\t"), "{command}: {line:?}");
    }
}

/// Runs the commands of some files, block by block.
fn run(wanted: impl Fn(&str) -> bool) {
    let mut count = 0;
    for block in blocks().iter().filter(|block| wanted(&block.file)) {
        let commands = block.commands();
        if commands.is_empty() {
            continue;
        }
        let world = World::new(block.scene());
        for command in commands {
            if block.scene() == Scene::Dockerfiles {
                let _ = fs::remove_file(world.mirrored.project.path("lapstrake.toml"));
            }
            let code = CODES.iter().find(|(of, ..)| *of == command).map_or(0, |(_, code, _)| *code);
            println!("{}:{}: {command}", block.file, block.line);
            world.run(&command, code);
            count += 1;
        }
        assert_eq!(world.registry.violations(), Vec::<String>::new());
    }
    assert!(count > 0);
}

#[test]
fn commands_of_the_readme_do_what_it_says() {
    run(|file| file == "README.md");
}

#[test]
fn commands_of_pipelines_do_what_is_said() {
    run(|file| file == "docs/ci.md");
}

#[test]
fn commands_of_the_other_docs_do_what_they_say() {
    run(|file| file != "README.md" && file != "docs/ci.md");
}

/// Breaks when a row stands for nothing that is still written.
#[test]
fn nothing_is_listed_that_is_not_in_the_docs() {
    let blocks = blocks();
    for (file, heading, _) in SCENES {
        let used = |block: &Block| block.file == *file && block.heading == *heading && !block.commands().is_empty();
        assert!(blocks.iter().any(used), "{file}: {heading}");
    }
    for (command, ..) in CODES {
        assert!(blocks.iter().any(|block| block.commands().iter().any(|found| found == command)), "{command}");
    }
    for (begin, _) in NOT_RUN {
        assert!(blocks.iter().any(|block| block.text.lines().any(|line| line.starts_with(begin))), "{begin}");
    }
    for (file, _) in NOT_READ {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file).exists(), "{file}");
    }
}

/// What a fragment needs around it to be a recipe.
fn whole(fragment: &str) -> String {
    let mut text = fragment.replace("\"…\"", &format!("\"{}\"", "0".repeat(64)));
    for (key, lines) in [("recipe = 1", "recipe = 1\n"), ("[project]", "[project]\nname = \"shop\"\n")] {
        if !text.contains(key) {
            text = match key {
                "recipe = 1" => format!("{lines}{text}"),
                _ => format!("{text}\n{lines}"),
            };
        }
    }
    for (name, table) in [("\"base\"", "[images.base]\nfrom = \"scratch\"\n"), ("\"app\"", "[users.app]\nuid = 1001\n")]
    {
        let header = table.lines().next().unwrap();
        if text.contains(name) && !text.contains(header) {
            text.push_str(table);
        }
    }
    text
}

#[test]
fn recipes_are_read() {
    let blocks = blocks();
    let recipes: Vec<&Block> = blocks.iter().filter(|block| block.language == "toml").collect();
    assert!(recipes.len() >= 4, "{}", recipes.len());
    for block in recipes {
        let text = whole(&block.text);
        if let Err(error) = recipe::parse("lapstrake.toml", &text, &Inputs::default()) {
            panic!("{}:{}: {error}\n{text}", block.file, block.line);
        }
    }
}

/// `--help` of a command.
fn help(command: &[&str]) -> String {
    let output = Command::new(BINARY).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The flags that a text names and the help does not.
fn unknown<'t>(text: &'t str, help: &str) -> Vec<&'t str> {
    let flag = Regex::new("--[a-z][a-z-]*").unwrap();
    let known: Vec<&str> = flag.find_iter(help).map(|found| found.as_str()).collect();
    flag.find_iter(text).map(|found| found.as_str()).filter(|found| !known.contains(found)).collect()
}

/// Breaks when a sentence names a command or a flag that is not there.
#[test]
fn commands_in_sentences_have_their_flags() {
    let span = Regex::new("`lapstrake ([a-z]+)( [^`]*)?`").unwrap();
    let mut helps = BTreeMap::new();
    for file in files() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap().replace('\n', " ");
        for found in span.captures_iter(&text) {
            let rest = found.get(2).map_or("", |rest| rest.as_str());
            let mut command = vec![found[1].to_owned()];
            if &found[1] == "cache" {
                command.extend(rest.split_whitespace().next().map(str::to_owned));
            }
            // `help CODE` and `login`, which docs/ci.md says is not there, are no commands with flags.
            if ["help", "login"].contains(&&found[1]) {
                continue;
            }
            let help = helps
                .entry(command)
                .or_insert_with_key(|command| help(&command.iter().map(String::as_str).collect::<Vec<_>>()));
            assert_eq!(unknown(rest, help), Vec::<&str>::new(), "{file}: {}", &found[0]);
        }
    }
    assert!(helps.len() > 8, "{:?}", helps.keys());
}

/// Breaks when the table of kaniko's flags names one of ours that is not there.
#[test]
fn flags_in_the_place_of_kanikos_are_there() {
    let help = help(&["build"]) + &help(&["cache", "prune"]);
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).unwrap();
    let (_, table) = text.split_once("| kaniko | lapstrake |\n").expect("a table");
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 15);
    for row in rows {
        let ours = row.split('|').nth(2).expect("two columns");
        assert_eq!(unknown(ours, &help), Vec::<&str>::new(), "{row}");
    }
}
