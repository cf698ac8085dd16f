//! What is told while images are built: to people, to programs, and to CI systems.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::fake_registry::{FakeRegistry, Fault, Setup, on};
use super::support::{Project, Run};

const RECIPE: &str = r#"
[variants.k8s]
[variants.vm]
[images.base]
from = "scratch"
publish = false
[[images.base.layers]]
name = "shared"
copy = ["shared"]
to = "/"
[images.app]
from = "base"
variants = ["k8s", "vm"]
[[images.app.layers]]
name = "code"
copy = ["code"]
to = "/app"
[images.web]
from = "base"
healthcheck = { test = ["CMD", "x"] }
"#;

fn project() -> Project {
    let project = Project::new(RECIPE);
    project.write("ctx/shared/a", "a".repeat(5000)).write("ctx/code/b", "b".repeat(7000));
    project
}

/// The keys that docs/json.md promises, by event.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = include_str!("../../docs/json.md");
    let section = text.split("## `--progress json`").nth(1).expect("a section").split("\n## ").next().unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        Some((names(cells.get(1)?).first()?.clone(), names(cells.get(2)?).into_iter().collect()))
    };
    section.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

/// The events of a run, each of which has the keys that are documented and no others.
fn events(run: &Run) -> Vec<Value> {
    let documented = documented();
    let events: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    for (number, event) in events.iter().enumerate() {
        let kind = event["event"].as_str().unwrap();
        assert!(event["seconds"].is_number(), "{event}");
        assert_eq!(kind == "start", number == 0, "{event}");
        let mut promised = documented.get(kind).unwrap_or_else(|| panic!("{kind} is not documented")).clone();
        promised.extend(["event", "seconds"].map(str::to_owned));
        assert_eq!(keys(event), promised, "{kind}");
        for image in event["images"].as_array().into_iter().flatten() {
            assert_eq!(keys(image), documented["summary.images"]);
            for pushed in image["pushed"].as_array().unwrap() {
                assert_eq!(keys(pushed), documented["summary.images.pushed"]);
            }
        }
    }
    events
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn every_line_for_programs_is_as_documented() {
    let registry = FakeRegistry::start(Setup::default());
    let project = project();
    let set = format!("repository={}/{{image}}", registry.name());
    let build = |more: &[&str]| {
        let tags = ["build", "app:k8s", "--progress", "json", "--set", &set];
        project.run(&[&tags, more].concat())
    };
    let run = build(&["--push"]).ok();
    let told = events(&run);
    assert_eq!((&told[0]["event"], &told[0]["version"]), (&"start".into(), &1.into()));
    // Every task that began ended, and it is known what it was done for.
    let tasks = |kind| of(&told, kind).iter().map(|event| event["task"].as_u64().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(tasks("task_started"), tasks("task_finished"));
    let compressed = |image: &str, subject: &str| {
        let is =
            |event: &&&Value| event["phase"] == "compress" && event["image"] == image && event["subject"] == subject;
        of(&told, "task_finished").iter().filter(is).count()
    };
    assert_eq!((compressed("base", "shared"), compressed("app:k8s", "code")), (1, 1), "{told:#?}");
    assert!(of(&told, "task_started").iter().any(|event| event["phase"] == "push" && event["image"] == "app:k8s"));
    // The images, with what they are made of.
    let finished = of(&told, "image_finished");
    let names: Vec<&Value> = finished.iter().map(|event| &event["image"]).collect();
    assert_eq!(names, ["base", "app:k8s"]);
    let (base, app) = (finished[0], finished[1]);
    assert_eq!((&base["made"]["count"], &base["base"]["count"]), (&1.into(), &0.into()));
    assert_eq!((&app["made"]["count"], &app["base"]), (&1.into(), &base["made"]));
    // The summary has those that were asked for, and what was sent is what the registry got.
    let summary = of(&told, "summary")[0];
    let [image] = &summary["images"].as_array().unwrap()[..] else { panic!("{summary}") };
    assert_eq!((&image["image"], &image["variant"], &image["digest"]), (&"app".into(), &"k8s".into(), &app["digest"]));
    assert_eq!(image["digest"], run.digests()[0].as_str());
    let pushed = &image["pushed"][0];
    assert_eq!((&pushed["uploaded"]["count"], &pushed["unchanged"]), (&3.into(), &false.into()));
    assert_eq!(summary["sent"], pushed["uploaded"]);

    // Once more: nothing is new, and nothing sent.
    let told = events(&build(&["--push"]).ok());
    let summary = of(&told, "summary")[0];
    assert_eq!((&summary["made"]["count"], &summary["sent"]["count"]), (&0.into(), &0.into()));
    assert_eq!(summary["images"][0]["pushed"][0]["unchanged"], true);
    let app = of(&told, "image_finished")[1];
    assert_eq!(
        (&app["cache"]["count"], &app["base"]["count"], &app["made"]["count"]),
        (&1.into(), &1.into(), &0.into())
    );

    // A machine that has nothing takes them from the registry.
    let told = events(&build(&["--push", "--cache-dir", "elsewhere"]).ok());
    let app = of(&told, "image_finished")[1];
    assert_eq!((&app["registry"]["count"], &app["made"]["count"]), (&1.into(), &0.into()), "{app}");

    // What is made again is counted.
    let told = events(&build(&["--verify-cache"]).ok());
    assert_eq!(of(&told, "image_finished")[1]["compared"], 1, "{told:#?}");
}

#[test]
fn warnings_and_failures_are_objects_too() {
    let project = project();
    let told = events(&project.run(&["build", "--progress", "json"]).ok());
    assert_eq!(of(&told, "warning").len(), 1, "{told:#?}");
    let run = project.run(&["build", "wbe", "--progress", "json"]).code(2);
    let told = events(&run);
    let error = of(&told, "error")[0];
    assert_eq!((&error["exit"], &error["hint"]), (&2.into(), &"did you mean `web`?".into()));
    assert!(error["code"].as_str().unwrap().starts_with('L') && error["text"].as_str().unwrap().contains("wbe"));
    // What is drawn for people has its text, without colours.
    project.recipe("[images.app]\nfrom = \"scratch\"\nprots = [1]\n");
    let told = events(&project.run(&["build", "--progress", "json"]).code(3));
    let error = of(&told, "error")[0];
    assert!(error["text"].as_str().unwrap().contains("prots") && error["exit"] == 3, "{error}");
    // Commands that have no progress fail in the same way.
    events(&project.run(&["inspect", "oci:nowhere", "--progress", "json"]).code(1));
}

#[test]
fn people_get_a_table_of_what_is_new() {
    let project = project();
    let run = project.run(&["build"]).ok();
    let lines: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with("warning")).collect();
    let header = lines.iter().position(|line| line.starts_with("IMAGE")).unwrap_or_else(|| panic!("{}", run.stderr));
    assert_eq!(
        lines[header].split_whitespace().collect::<Vec<_>>(),
        ["IMAGE", "VARIANT", "DIGEST", "SIZE", "NEW", "REUSED", "TIME"]
    );
    for (line, result) in lines[header + 1..].iter().zip(run.lines()) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((columns[0], columns[1]), (result[0].as_str(), result[1].as_str()));
        assert!(result[2].starts_with(&format!("sha256:{}", columns[2])), "{line}");
    }
    assert!(lines.last().unwrap().starts_with("3 images in "), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'));
    // Where nothing is new, nothing is drawn; and those who want no words get none.
    let again = project.run(&["build", "web", "-o", "oci:web"]).ok();
    assert_eq!(again.said().lines().filter(|line| !line.starts_with("warning")).count(), 0);
    assert_eq!(project.run(&["build", "--no-cache", "--progress", "quiet"]).ok().stderr, "");
}

#[test]
fn ci_systems_get_annotations_and_a_summary_page() {
    let project = project();
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.envs(variables.iter().copied());
        project.end(command)
    };
    let page = project.path("page.md");
    fs::write(&page, "before\n").unwrap();
    for system in ["GITHUB_ACTIONS", "GITEA_ACTIONS"] {
        let variables = [(system, "true"), ("GITHUB_STEP_SUMMARY", page.to_str().unwrap())];
        let run = with(&variables, &["build"]).ok();
        assert_eq!(run.stderr.lines().filter(|line| line.starts_with("::warning title=lapstrake::")).count(), 1);
        let failed = with(&variables, &["build", "100%"]).code(2);
        let line = failed.stderr.lines().find(|line| line.starts_with("::error title=L")).expect(&failed.stderr);
        assert!(line.contains("100%25"), "{line}");
        // For programs, objects alone.
        events(&with(&variables, &["build", "--progress", "json"]).ok());
    }
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("before\n### lapstrake build\n\n| image | variant | digest |"), "{text}");
    assert_eq!(text.matches("### lapstrake").count(), 4);
    for digest in project.run(&["build"]).ok().digests() {
        assert!(text.contains(&format!("`{digest}`")), "{text}");
    }
    // Nobody else sees any of it.
    for variables in [&[][..], &[("GITHUB_ACTIONS", "false")], &[("GITLAB_CI", "true")]] {
        let run = with(variables, &["build"]).ok();
        assert!(!run.stderr.contains("::"), "{}", run.stderr);
        assert!(!with(variables, &["build", "nothing"]).code(2).stderr.contains("::"));
    }
    // A page that cannot be written is no reason to fail.
    let run = with(&[("GITHUB_STEP_SUMMARY", "/nowhere/page")], &["build"]).ok();
    assert!(run.stderr.contains("warning: writing GITHUB_STEP_SUMMARY"), "{}", run.stderr);
}

/// Would say `null` if only what is done by the image itself had its name.
#[test]
fn downloads_of_a_base_have_the_image_that_wants_it() {
    let registry = FakeRegistry::start(Setup::default());
    let base =
        Project::new("[images.base]\nfrom = \"scratch\"\n[[images.base.layers]]\nfiles = { \"/etc/passwd\" = \"\" }\n");
    let name = format!("{}/library/base:1", registry.name());
    base.run(&["build", "-o", &name]).ok();
    let project = Project::new(&format!(
        "[images.one]\nfrom = \"{name}\"\n[[images.one.layers]]\nfiles = {{ \"/one\" = \"\" }}\n[images.two]\nfrom = \"{name}\"\n"
    ));
    let told = events(&project.run(&["build", "--progress", "json", "-j", "1"]).ok());
    let downloads: Vec<&Value> =
        of(&told, "task_started").into_iter().filter(|event| event["phase"] == "download").collect();
    assert!(!downloads.is_empty(), "{told:?}");
    assert!(downloads.iter().all(|event| event["image"] == "one"), "{downloads:?}");
}

/// Would stand at the top of the run, beside no line.
#[test]
fn errors_of_a_recipe_are_beside_its_lines() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\ncomand = [\"x\"]\nworkdr = \"/\"\n");
    let mut command = project.command(&["build"]);
    command.env("GITHUB_ACTIONS", "true");
    let told = project.end(command).code(3).stderr;
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("::error ")).collect();
    assert!(lines[0].starts_with("::error file=lapstrake.toml,line=9,col=1,title=L0103::"), "{told}");
    assert!(lines.len() == 2 && lines[1].contains(",line=10,col=1,"), "{told}");
}

#[test]
fn lines_that_belong_together_are_in_a_group() {
    // A registry that takes its time is a push worth a line.
    let registry = FakeRegistry::start(Setup::default());
    let project = project();
    registry.fault(on("PUT", "/blobs/uploads/"), Fault::Stall(Duration::from_millis(1200)));
    let set = format!("repository={}/{{image}}", registry.name());
    let build = |variable: &str| {
        let mut command = project.command(&["build", "app:k8s", "--push", "--no-cache", "-t", variable, "--set", &set]);
        command.env(variable, "true");
        project.end(command).ok().stderr
    };
    let told = build("GITHUB_ACTIONS");
    let at =
        |line: &str| told.lines().position(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line}: {told}"));
    let push = told.lines().position(|line| line.contains("] app:k8s: push ")).unwrap_or_else(|| panic!("{told}"));
    assert!(at("::group::lapstrake push") < push, "{told}");
    assert!(push < at("::endgroup::") && at("::endgroup::") < at("IMAGE"), "{told}");
}
