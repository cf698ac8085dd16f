//! Images that are built at the same time: what comes out, what is said and what fails do not depend on how many.

use std::fs;

use super::fake_registry::FakeRegistry;
use super::support::{Base, Project, Tar};

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

/// A base in a registry, and the digest of its one layer.
fn push(registry: &FakeRegistry, repository: &str) -> String {
    let base = Base::of(
        Tar::new().dir("lib/", 0o755, 0, 0).file("lib/tool", 0o755, repository).dir("srv/", 0o750, 7, 7).end(),
    );
    let mut blobs = std::collections::BTreeMap::new();
    let descriptor = base.blobs(&mut blobs);
    let digest = descriptor["digest"].as_str().unwrap();
    for (name, bytes) in blobs.iter().filter(|(name, _)| *name != digest) {
        assert_eq!(registry.put_blob(repository, bytes), *name);
    }
    let manifest = &blobs[digest];
    registry.put_manifest(repository, Some("1"), descriptor["mediaType"].as_str().unwrap(), manifest);
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

/// Images on a base that the lock knows in part: those that ask more say so and read it, once for all of them; what the others
/// make stays as it is.
#[test]
fn what_one_image_asks_of_a_pinned_base_is_no_business_of_another() {
    let registry = FakeRegistry::plain();
    let layer = push(&registry, "library/base");
    let name = registry.name();
    let recipe = |asking: &[usize]| -> String {
        let image = |number: usize| {
            let path = if asking.contains(&number) { "/srv/deep" } else { "/lib" };
            format!(
                "[images.s{number}]\nfrom = \"{name}/library/base:1\"\nrepository = \"{name}/team/s{number}\"\n\
                 [[images.s{number}.layers]]\nfiles = {{ \"{path}/x\" = \"{number}\" }}\n"
            )
        };
        (0..8).map(image).collect()
    };
    let project = Project::new(&recipe(&[]));
    project.run(&["lock", "--cache-dir", "cache-lock"]).ok();
    let asking = [1, 4, 6];
    project.recipe(&recipe(&asking));
    let build = |jobs: &str, cache: &str| {
        registry.clear_log();
        let run = project.run(&["build", "--push", "--locked", "-j", jobs, "--cache-dir", cache]).ok();
        let read: Vec<String> =
            run.stderr.lines().filter(|line| line.contains("the base is read")).map(str::to_owned).collect();
        (run.digests(), read, registry.count("GET", &layer))
    };
    let alone = build("1", "cache-1");
    assert_eq!((alone.1.len(), alone.2), (asking.len(), 1), "{alone:?}");
    for (line, number) in alone.1.iter().zip(asking) {
        assert!(line.contains(&format!("s{number}: the base is read: /srv")), "{line}");
    }
    for round in 0..4 {
        assert_eq!(build("8", &format!("cache-8-{round}")), alone);
    }
}

/// Images that begin again over a base that had to be read are pinned to all that they used.
#[test]
fn nothing_is_lost_from_the_lock_where_an_image_begins_again() {
    let registry = FakeRegistry::plain();
    push(&registry, "library/base");
    push(&registry, "team/tools");
    let name = registry.name();
    let recipe = |path: &str| {
        format!(
            "[images.app]\nfrom = \"{name}/library/base:1\"\n\
             [[images.app.layers]]\nimage = {{ image = \"{name}/team/tools:1\", copy = [\"/lib/tool\"] }}\nto = \"/lib\"\n\
             [[images.app.layers]]\nfiles = {{ \"{path}/x\" = \"\" }}\n"
        )
    };
    let project = Project::new(&recipe("/lib"));
    project.run(&["lock"]).ok();
    let before = fs::read_to_string(project.path("lapstrake.lock")).unwrap();
    assert!(before.contains("\"team/tools:1\""), "{before}");
    project.recipe(&recipe("/srv/deep"));
    let run = project.run(&["build", "-o", "oci:out", "--cache-dir", "cold"]).ok();
    assert!(run.told().contains("the base is read"), "{}", run.told());
    assert_eq!(fs::read_to_string(project.path("lapstrake.lock")).unwrap(), before);
}

/// Told before anything is asked, where the recipe has the second of them.
#[test]
fn two_places_of_one_name_are_refused_where_the_recipe_has_them() {
    let (one, two) = (FakeRegistry::plain(), FakeRegistry::plain());
    for registry in [&one, &two] {
        push(registry, "library/base");
    }
    let from = |number: usize, registry: &FakeRegistry| {
        format!("[images.s{number}]\nfrom = \"{}/library/base:1\"\n", registry.name())
    };
    let images: Vec<String> = (0..8).map(|number| from(number, if number == 5 { &two } else { &one })).collect();
    let project = Project::new(&images.concat());
    for jobs in ["1", "8"] {
        let run = project.run(&["build", "-o", "oci:out", "-j", jobs]).code(3);
        let names = format!("{}/library/base:1 and {}/library/base:1 have the same name", one.name(), two.name());
        assert!(run.told().contains(&names), "{}", run.told());
    }
    assert_eq!((one.lines(), two.lines()), (vec![], vec![]));
}

/// Would fail if a build lost what it found to whoever empties the cache meanwhile, or two builds got into each other's files.
#[test]
fn builds_and_prunings_share_one_cache() {
    let project = Project::empty();
    project.recipe(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"one\"\ncopy = [\"one\"]\nto = \"/\"\n\
         [[images.app.layers]]\nname = \"two\"\ncopy = [\"two\"]\nto = \"/\"\n",
    );
    for number in 0..40 {
        project.write(&format!("ctx/one/{number}"), "1".repeat(number * 500));
        project.write(&format!("ctx/two/{number}"), "2".repeat(number * 500));
    }
    let wanted = project.run(&["build", "-o", "oci:alone", "--cache-dir", "of-its-own"]).ok().digests();
    std::thread::scope(|scope| {
        for builder in 0..3 {
            let (project, wanted) = (&project, &wanted);
            scope.spawn(move || {
                for turn in 0..4 {
                    let output = format!("oci:out-{builder}-{turn}");
                    assert_eq!(project.run(&["build", "-o", &output, "--cache-dir", "shared"]).ok().digests(), *wanted);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..8 {
                project.run(&["cache", "prune", "--max-size", "0", "--cache-dir", "shared"]).ok();
            }
        });
    });
    project.run(&["cache", "verify", "--cache-dir", "shared"]).ok();
    for builder in 0..3 {
        project.run(&["inspect", &format!("oci:out-{builder}-3"), "--validate"]).ok();
    }
    let left = std::fs::read_dir(project.path("shared/tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "temporary files are left");
}
