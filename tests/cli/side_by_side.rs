//! Images that are built at the same time: what comes out, what is said and what fails do not depend on how many.

use std::fs;

use super::support::Project;

/// A base, services on it and beside it, some with layers that others have too, and one that copies from another.
fn recipe(broken: &[usize]) -> String {
    let mut text = String::from(
        "[images.base]\nfrom = \"scratch\"\nowner = \"7:7\"\n[[images.base.layers]]\ncopy = [\"base\"]\nto = \"/opt\"\n",
    );
    for number in 0..8 {
        let (from, own) = match number % 2 {
            0 => ("base", format!("service{number}")),
            _ => ("scratch", "nothing here".to_owned()),
        };
        text += &format!("[images.s{number}]\nfrom = \"{from}\"\n");
        text += &format!("[[images.s{number}.layers]]\nname = \"shared\"\ncopy = [\"shared\"]\nto = \"/srv\"\n");
        let source = if broken.contains(&number) { "gone".to_owned() } else { format!("service{number}") };
        text += &format!("[[images.s{number}.layers]]\nname = \"own\"\ncopy = [\"{source}/\"]\nto = \"/app\"\n");
        // What holds nothing is told: in the order of the images.
        text += &format!(
            "[[images.s{number}.layers]]\nname = \"{own}\"\ncopy = [\"shared\"]\nexclude = [\"**\"]\nto = \"/x\"\n"
        );
    }
    text += "[images.last]\nfrom = \"s3\"\n[[images.last.layers]]\nimage = [{ image = \"s6\", copy = \"/app\" }]\nto = \"/other\"\n";
    text
}

fn project() -> Project {
    let project = Project::new(&recipe(&[]));
    for (name, count) in [("base", 300), ("shared", 60)] {
        for number in 0..count {
            project.write(&format!("ctx/{name}/d{}/f{number}", number % 7), format!("{name} {number} ").repeat(200));
        }
    }
    for number in 0..8 {
        for file in 0..10 + number * 5 {
            project.write(&format!("ctx/service{number}/f{file}"), format!("{number} {file} ").repeat(50));
        }
    }
    project
}

#[test]
fn results_and_words_are_the_same_however_many_are_built_at_once() {
    let project = project();
    let build = |more: &[&str]| {
        let _ = fs::remove_dir_all(project.path("out"));
        let run = project.run(&[&["build", "-o", "oci:out"], more].concat()).ok();
        (run.stdout(), run.said(), fs::read(project.path("out/index.json")).unwrap())
    };
    let alone = build(&["-j", "1", "--cache-dir", "cache-alone"]);
    assert_eq!(alone.0.lines().count(), 10);
    assert_eq!(alone.1.lines().filter(|line| line.contains("holds nothing")).count(), 8, "{}", alone.1);
    for round in 0..4 {
        let cache = format!("cache-{round}");
        assert_eq!(build(&["-j", "8", "--cache-dir", &cache]), alone, "nothing known");
        assert_eq!(build(&["-j", "8", "--cache-dir", &cache]), alone, "all known");
        assert_eq!(build(&["-j", "8", "--cache-dir", &cache, "--no-cache"]), alone, "nothing taken");
    }
    project.layout("out");
}

#[test]
fn a_layer_that_several_images_have_is_made_once() {
    let project = project();
    for jobs in ["1", "8"] {
        let cache = format!("cache-{jobs}");
        let told = project.run(&["build", "-j", jobs, "--cache-dir", &cache, "--progress", "json"]).ok().stderr;
        let made = |title: &str| {
            let subject = format!("\"subject\":\"{title}\"");
            let is = |line: &&str| line.contains("task_finished") && line.contains("\"compress\"");
            told.lines().filter(is).filter(|line| line.contains(&subject)).count()
        };
        assert_eq!((made("shared"), made("own")), (1, 8), "{told}");
    }
}

#[test]
fn the_first_error_is_told_and_nothing_is_written() {
    let project = project();
    for broken in [&[4][..], &[2, 3, 7], &[0, 1]] {
        project.recipe(&recipe(broken));
        let build = |jobs: &str, cache: &str| {
            let run = project.run(&["build", "-o", "oci:out", "-j", jobs, "--cache-dir", cache]).code(3);
            assert!(!project.path("out").exists());
            (run.stdout(), run.stderr.clone())
        };
        let alone = build("1", "cache-alone");
        assert!(alone.1.contains("gone"), "{}", alone.1);
        for _ in 0..3 {
            assert_eq!(build("8", "cache-many"), alone);
            let _ = fs::remove_dir_all(project.path("cache-many"));
        }
    }
}
