//! `lapstrake resolve`: manifests with digests, from all that can tell them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fake_registry::FakeRegistry;
use super::support::Project;

const RECIPE: &str = r#"
[variants.docker]
tags = ["docker"]
[variants.k8s]
tags = ["k8s"]
env = { PLACE = "k8s" }

[images.web]
from = "scratch"
[[images.web.layers]]
files = { "/web" = "web\n" }

[images.server]
from = "scratch"
variants = ["docker", "k8s"]
[[images.server.layers]]
files = { "/server" = "server\n" }
"#;

const POD: &str = "# kept\r\napiVersion: v1\r\nkind: Pod\r\nspec:\r\n  containers:\r\n  - image: registry.example.com/web:latest   # ours\r\n  - image: 'registry.example.com/server:k8s'\r\n  - {image: lapstrake://server/docker}\r\n  - image: nginx:1\r\n";

/// The pod as it is to be.
fn pod(web: &str, k8s: &str, docker: &str) -> String {
    POD.replace("web:latest", &format!("web:latest@{web}"))
        .replace("server:k8s", &format!("server:k8s@{k8s}"))
        .replace("lapstrake://server/docker", &format!("registry.example.com/server:docker@{docker}"))
}

/// A project with a pod, and the digests of web, server:docker and server:k8s.
fn project() -> (Project, [String; 3]) {
    let p = Project::new(RECIPE);
    p.write("pod.yaml", POD);
    let built = p.run(&["build", "-o", "oci:out", "--metadata-file", "metadata.json"]).ok().digests();
    (p, built.try_into().expect("three images"))
}

#[test]
fn digests_come_from_the_recipe_a_file_or_a_layout_and_are_the_same() {
    let (p, [web, docker, k8s]) = project();
    let expected = pod(&web, &k8s, &docker);
    for from in [&[][..], &["--from", "metadata.json"], &["--from", "oci:out"], &["--from", "out"]] {
        let run = p.run(&[&["resolve", "-k", "pod.yaml"], from].concat()).ok();
        assert_eq!(run.stdout(), expected, "{from:?}");
        assert!(run.told().contains("pod.yaml:9:12: nginx:1 is left: no image that is known"), "{}", run.told());
    }
    assert_eq!(fs::read_to_string(p.path("pod.yaml")).unwrap(), POD, "nothing was written");
    assert!(!p.path("lapstrake-out").exists());
    // References by digest alone name no tag: that of two images in one repository cannot be told.
    p.write(
        "refs",
        format!(
            "registry.example.com/web@{web}\nregistry.example.com/server@{k8s}\nregistry.example.com/server@{docker}\n"
        ),
    );
    p.write(
        "web.yaml",
        "services: {web: {image: registry.example.com/web:any}, s: {image: registry.example.com/server:k8s}}\n",
    );
    let run = p.run(&["resolve", "--from", "refs", "-k", "web.yaml"]).ok();
    assert!(
        run.stdout().contains(&format!("web:any@{web}")) && run.stdout().contains("server:k8s}"),
        "{}",
        run.stdout()
    );
    assert!(run.told().contains("the tags are not known"), "{}", run.told());
}

/// Would fail if a pin that cannot be told from another passed for one that is current.
#[test]
fn a_check_does_not_pass_what_it_cannot_tell() {
    let (p, [_, docker, _]) = project();
    let old = format!("sha256:{}", "0".repeat(64));
    p.write("s.yaml", format!("services: {{s: {{image: registry.example.com/server@{old}}}}}\n"));
    let run = p.run(&["resolve", "--check", "-k", "s.yaml"]).code(6);
    assert!(run.told().contains("of 1 references it cannot be told"), "{}", run.told());
    p.write("s.yaml", format!("services: {{s: {{image: registry.example.com/server@{docker}}}}}\n"));
    p.run(&["resolve", "--check", "-k", "s.yaml"]).ok();
}

/// One of two images that share a repository was pushed: its digest is not the other's.
#[test]
fn references_without_tags_say_no_more_than_the_recipe_does() {
    let (p, [_, _, k8s]) = project();
    p.recipe(&RECIPE.replace("[images.server]", "[images.server]\nrepository = \"registry.example.com/web\""));
    p.write("refs", format!("registry.example.com/web@{k8s}\n"));
    let text =
        "services:\n  a: {image: \"registry.example.com/web:latest\"}\n  b: {image: \"registry.example.com/web\"}\n";
    p.write("c.yaml", text);
    let run = p.run(&["resolve", "--from", "refs", "-k", "c.yaml"]).ok();
    assert_eq!(run.stdout(), text);
    assert!(run.told().contains("--metadata-file"), "{}", run.told());
    assert!(p.run(&["resolve", "--from", "refs", "--strict", "-k", "c.yaml"]).fails(1).contains("c.yaml:2:"));
    p.write("own.yaml", "image: lapstrake://web\n");
    p.run(&["resolve", "--from", "refs", "-k", "own.yaml"]).fails(1);
    // Without a recipe, nothing says that the repository has no other.
    std::fs::remove_file(p.path("lapstrake.toml")).unwrap();
    assert_eq!(p.run(&["resolve", "--from", "refs", "-k", "c.yaml"]).ok().stdout(), text);
}

/// A digest of which nobody knows what it was does not become that of another image in the same repository.
#[test]
fn a_digest_without_a_tag_moves_where_it_is_known_what_it_names() {
    let (p, _) = project();
    p.write("c.yaml", "services:\n  a: {image: \"registry.example.com/server:k8s\"}\n  b: {image: \"registry.example.com/web:latest\"}\n");
    p.run(&["resolve", "-i", "--no-tag", "-k", "c.yaml"]).ok();
    let before = fs::read_to_string(p.path("c.yaml")).unwrap();
    assert_eq!(before.matches("@sha256:").count(), 2, "{before}");
    assert_eq!(p.run(&["resolve", "--strict", "-k", "c.yaml"]).ok().stdout(), before);
    let changed = RECIPE.replace("web\\n", "changed\\n").replace("server\\n", "changed\\n");
    p.recipe(&changed.replace("tags = [\"docker\"]", "tags = [\"latest\"]"));
    let run = p.run(&["resolve", "-k", "c.yaml"]).ok();
    let line = |text: &str, number: usize| text.lines().nth(number).unwrap().to_owned();
    assert_eq!(line(&run.stdout(), 1), line(&before, 1), "one of two");
    assert_ne!(line(&run.stdout(), 2), line(&before, 2), "the only one");
    assert!(run.told().contains("it has a digest and no tag"), "{}", run.told());
    p.run(&["resolve", "--strict", "-k", "c.yaml"]).fails(1);
}

/// Would fail with exit code 6 if what `lapstrake://` came to could not be moved any more.
#[test]
fn what_is_pinned_by_name_moves_with_the_next_commit() {
    for tags in ["tags = [\"{env.COMMIT}\"]", "tags = [\"latest\", \"{env.COMMIT}\"]"] {
        let p = Project::new(&RECIPE.replace("[images.web]", &format!("[images.web]\n{tags}")));
        let at = |commit: &str, arguments: &[&str]| {
            let mut command = p.command(&[&["resolve", "-k", "c.yaml"], arguments].concat());
            command.env("COMMIT", commit);
            p.end(command)
        };
        p.write("c.yaml", "services:\n  a: {image: \"lapstrake://web\"}\n  b: {image: \"lapstrake://server/k8s\"}\n");
        at("one", &["-i"]).ok();
        let first = fs::read_to_string(p.path("c.yaml")).unwrap();
        let tag = if tags.contains("latest") { "latest" } else { "one" };
        assert!(first.contains(&format!("registry.example.com/web:{tag}@sha256:")), "{first}");
        assert!(first.contains("registry.example.com/server:k8s@sha256:"), "{first}");
        at("one", &["--check", "--strict"]).ok();
        let changed = RECIPE.replace("web\\n", "changed\\n").replace("server\\n", "changed\\n");
        p.recipe(&changed.replace("[images.web]", &format!("[images.web]\n{tags}")));
        at("two", &["--check"]).fails(6);
        at("two", &["-i"]).ok();
        let second = fs::read_to_string(p.path("c.yaml")).unwrap();
        assert!(second.contains(&format!("web:{}@sha256:", tag.replace("one", "two"))), "{second}");
        assert!(first.lines().zip(second.lines()).skip(1).all(|(old, new)| old != new), "{first}{second}");
        at("two", &["--check", "--strict"]).ok();
    }
}

/// Would fail with exit code 6 for ever if manifests that lie in the recipe's repository had to name its last commit.
#[test]
fn the_same_bytes_at_another_commit_are_no_difference() {
    let written = [
        ("c.yaml", "services:\n  a: {image: \"lapstrake://web\"}\n  b: {image: \"lapstrake://server/k8s\"}\n"),
        ("kustomization.yaml", "images:\n- name: x\n  newName: lapstrake://web\n  newTag: any\n  digest: any\n"),
        ("values.yaml", "a: {image: {repository: lapstrake://web, tag: any, digest: any}}\n"),
        ("x/values.yaml", "a: {image: {repository: lapstrake://web, tag: any}}\n"),
    ];
    for (tags, expected) in
        [("tags = [\"{env.COMMIT}\"]", "one"), ("tags = [\"a-{env.COMMIT}\", \"{git.short:-a}\", \"stays\"]", "stays")]
    {
        let p = Project::new(&RECIPE.replace("[images.web]", &format!("[images.web]\n{tags}")));
        let at = |commit: &str, arguments: &[&str]| {
            let files = written.map(|(file, _)| file);
            let mut command = p.command(&[&["resolve"], arguments, &["-k"], &files].concat());
            command.env("COMMIT", commit);
            p.end(command)
        };
        for (file, text) in written {
            p.write(file, text);
        }
        at("one", &["-i", "--strict"]).ok();
        let now = || written.map(|(file, _)| fs::read_to_string(p.path(file)).unwrap());
        let first = now();
        assert!(first[0].contains(&format!("/web:{expected}@sha256:")), "{first:?}");
        assert!(first[1..].iter().all(|text| text.contains(&format!("ag: {expected}"))), "{first:?}");
        at("two", &["--check", "--strict"]).ok();
        let mut build = p.command(&["build", "-o", "oci:two", "--metadata-file", "two.json"]);
        build.env("COMMIT", "two");
        p.end(build).ok();
        for from in ["two.json", "oci:two"] {
            at("two", &["--check", "--from", from]).ok();
        }
        at("two", &["-i"]).ok();
        assert_eq!(now(), first);
        // What is given a tag for the first time gets the same, whatever tells its digest.
        for (file, text) in written {
            p.write(file, text);
        }
        at("one", &["-i", "--from", "two.json"]).ok();
        let expected = expected.replace("one", "two");
        assert!(now()[0].contains(&format!("/web:{expected}@sha256:")), "{:?}", now());
    }
}

#[test]
fn what_a_registry_has_under_one_tag_says_nothing_of_a_digest() {
    let registry = FakeRegistry::plain();
    let name = registry.name();
    let p = Project::empty();
    registry.put_manifest("postgres", Some("17"), "application/vnd.oci.image.manifest.v1+json", b"{}");
    let fixed = format!("image: {name}/postgres@sha256:{}", "1".repeat(64));
    p.write(
        "c.yaml",
        format!(
            "services:\n  a:\n    image: {name}/postgres:17\n  b:\n    {fixed}\n  c:\n    image: {name}/postgres\n"
        ),
    );
    let run = p.run(&["resolve", "--registry", "-k", "c.yaml"]).ok();
    assert!(run.stdout().contains("postgres:17@sha256:") && run.stdout().contains(&fixed), "{}", run.stdout());
    assert!(run.stdout().ends_with("/postgres\n"), "there is no `latest`: {}", run.stdout());
}

#[test]
fn files_are_written_in_place_with_their_mode_and_only_where_something_changes() {
    let (p, [web, docker, k8s]) = project();
    p.chmod("pod.yaml", 0o640).write("deploy/other.yml", "kind: X\napiVersion: v1\nimage: nginx\n");
    std::os::unix::fs::symlink("../pod.yaml", p.path("deploy/pod.yaml")).unwrap();
    let before = fs::metadata(p.path("deploy/other.yml")).unwrap().modified().unwrap();
    let told = p.run(&["resolve", "--check", "-k", "pod.yaml", "deploy"]).fails(6);
    assert!(told.contains("1 file has references"), "{told}");
    let run = p.run(&["resolve", "-i", "-k", "deploy/pod.yaml", "deploy"]).ok();
    assert_eq!(run.stdout(), "");
    assert_eq!(fs::read_to_string(p.path("pod.yaml")).unwrap(), pod(&web, &k8s, &docker));
    assert_eq!(fs::metadata(p.path("pod.yaml")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(fs::symlink_metadata(p.path("deploy/pod.yaml")).unwrap().is_symlink());
    assert_eq!(fs::metadata(p.path("deploy/other.yml")).unwrap().modified().unwrap(), before);
    p.run(&["resolve", "--check", "-k", "pod.yaml"]).ok();
    // What is pinned moves with what is built.
    p.recipe(&RECIPE.replace("web\\n", "changed\\n"));
    p.run(&["resolve", "--check", "-k", "pod.yaml"]).fails(6);
    let moved = p.run(&["resolve", "-k", "pod.yaml", "--no-tag"]).ok().stdout();
    assert!(!moved.contains(&web) && moved.contains("- image: registry.example.com/web@sha256:"), "{moved}");
    let left: Vec<_> = fs::read_dir(p.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".lapstrake")), "{left:?}");
}

/// Would fail if files that were renamed before an error kept the new text.
#[test]
fn where_the_disk_fails_at_one_file_no_other_is_new() {
    let (p, _) = project();
    p.write("pod2.yaml", POD).write("pod3.yaml", POD);
    let rename = "rename,renameat,renameat2";
    let inject = format!("inject={rename}:error=EIO:when=2");
    let before =
        ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={rename}"), "-e", &inject, super::support::BINARY];
    let arguments = ["resolve", "-i", "--from", "out", "-k", "pod.yaml", "pod2.yaml", "pod3.yaml"];
    let told = p.end(p.wrapped("strace", &before, &arguments)).fails(1);
    assert!(told.contains("renaming to pod2.yaml"), "{told}");
    for name in ["pod.yaml", "pod2.yaml", "pod3.yaml"] {
        assert_eq!(fs::read_to_string(p.path(name)).unwrap(), POD, "{name}");
    }
    let names = fs::read_dir(p.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains(".lapstrake-")).collect::<Vec<_>>(), [""; 0]);
    p.run(&arguments).ok();
    p.run(&["resolve", "--check", "--from", "out", "-k", "pod.yaml", "pod2.yaml", "pod3.yaml"]).ok();
}

#[test]
fn what_cannot_be_pinned_is_an_error_where_it_must_be() {
    let (p, _) = project();
    assert!(p.run(&["resolve", "--strict", "-k", "pod.yaml"]).fails(1).contains("pod.yaml:9:12: nginx:1 is left"));
    p.write("own.yaml", "services:\n  a:\n    image: lapstrake://wbe\n");
    let told = p.run(&["resolve", "-k", "own.yaml"]).fails(1);
    assert!(
        told.contains("own.yaml:3:12: lapstrake://wbe is left")
            && told.contains("server/docker, server/k8s, web; did you mean `web`?"),
        "{told}"
    );
    let beside = |arguments: &[&str]| -> Vec<String> {
        let mut command = p.command(arguments);
        command.env("GITEA_ACTIONS", "true");
        let lines = p.end(command).stderr;
        lines.lines().filter(|line| line.starts_with("::error ")).map(str::to_owned).collect()
    };
    let lines = beside(&["resolve", "-k", "own.yaml"]);
    assert!(lines.len() == 1 && lines[0].starts_with("::error file=own.yaml,line=3,col=12,title=L"), "{lines:?}");
    assert!(
        beside(&["resolve", "--check", "-k", "pod.yaml"])[0].starts_with("::error file=pod.yaml,line=6,col=12,title=L")
    );
    p.write("broken.yaml", "a:\n  b: [1\nc: {{ .Values.x }}\n");
    let told = p.run(&["resolve", "-i", "-k", "pod.yaml", "broken.yaml"]).fails(1);
    assert!(told.contains("broken.yaml:3:") && told.contains("helm template"), "{told}");
    assert_eq!(fs::read_to_string(p.path("pod.yaml")).unwrap(), POD, "all or nothing");
    p.run(&["resolve", "-i", "-k", "-"]).fails(2);
    p.run(&["resolve", "-k", "home"]).fails(2);
    p.run(&["resolve", "--from", "nowhere.json", "-k", "pod.yaml"]).fails(2);
    p.write("bad.json", "{\"containerimage.digest\": \"sha256:1\"}");
    p.run(&["resolve", "--from", "bad.json", "-k", "pod.yaml"]).fails(1);
}

#[test]
fn several_files_and_standard_input_are_one_stream() {
    let (p, [web, ..]) = project();
    p.write("a.yaml", "apiVersion: v1\nkind: A\nspec: {image: registry.example.com/web}")
        .write("b.yaml", "---\nb: 1\n");
    let mut command = p.command(&["resolve", "-k", "a.yaml", "b.yaml", "-"]);
    p.write("input", "c: 1\n");
    command.stdin(fs::File::open(p.path("input")).unwrap());
    let run = p.end(command).ok();
    let expected =
        format!("apiVersion: v1\nkind: A\nspec: {{image: registry.example.com/web@{web}}}\n---\nb: 1\n---\nc: 1\n");
    assert_eq!(run.stdout(), expected);
}

#[test]
fn registries_are_asked_where_that_is_wanted() {
    let registry = FakeRegistry::plain();
    let p = Project::empty();
    let name = registry.name();
    p.write(
        "lapstrake.toml",
        format!(
            "recipe = 1\n[project]\nname = \"x\"\nrepository = \"{name}/{{image}}\"\n[images.web]\nfrom = \"scratch\"\n[[images.web.layers]]\nfiles = {{ \"/web\" = \"web\" }}\n"
        ),
    );
    let digest = p.run(&["build", "--push"]).ok().digests().remove(0);
    // Somebody else's image, and one that is not there.
    p.write("c.yaml", format!("services:\n  a: {{image: \"{name}/web:latest\"}}\n  b: {{image: \"lapstrake://web\"}}\n  c: {{image: \"{name}/none:1\"}}\n"));
    registry.clear_log();
    let run = p.run(&["resolve", "--registry", "-k", "c.yaml"]).ok();
    assert_eq!(run.stdout().matches(&digest).count(), 2, "{}", run.stdout());
    assert!(run.stdout().contains(&format!("{name}/none:1\"")), "{}", run.stdout());
    assert_eq!(registry.count("GET", "/blobs/"), 0);
    // Nothing is asked where nobody said so.
    registry.clear_log();
    p.run(&["resolve", "-k", "c.yaml"]).ok();
    assert_eq!(registry.lines(), Vec::<String>::new());
}
