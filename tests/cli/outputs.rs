//! Where images go, what is said about them, and what is left behind when it cannot be done.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::{Base, Layout, Project, sha256};

const TWO: &str = r#"
[images.one]
from = "scratch"
[[images.one.layers]]
files = { "/shared" = "shared" }
[images.two]
from = "one"
[[images.two.layers]]
files = { "/two" = "2" }
"#;

const ONE: &str = r#"
[images.app]
from = "scratch"
[[images.app.layers]]
copy = ["."]
to = "/"
"#;

/// Members of a tar, by name; each name once.
fn members(bytes: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        if entry.header().entry_type().is_file() {
            assert!(found.insert(name.clone(), data).is_none(), "{name} twice");
        }
    }
    found
}

/// Reads the layout that lies in an archive.
fn unpacked(project: &Project, archive: &str) -> Layout {
    let directory = project.path(&format!("{archive}.unpacked"));
    for (name, bytes) in members(&fs::read(project.path(archive)).unwrap()) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    Layout::read(&directory)
}

#[test]
fn every_place_holds_the_same_images() {
    let project = Project::new(TWO);
    let run = project.run(&[
        "build",
        "-o",
        "oci:layout",
        "-o",
        "oci-archive:oci.tar",
        "--output",
        "docker-archive:docker.tar",
        "-o",
        "archive:both.tar",
        "-o",
        "type=oci,dest=typed.tar",
        "-o",
        "type=oci,dest=typed,tar=false",
    ]);
    let digests = run.ok().digests();
    for place in [
        "oci:layout",
        "oci-archive:oci.tar",
        "docker-archive:docker.tar",
        "archive:both.tar",
        "oci-archive:typed.tar",
        "oci:typed",
    ] {
        let (kind, path) = place.split_once(':').unwrap();
        project.sound(&format!("{kind}:{}", project.path(path).display()));
    }
    let names = ["registry.example.com/one:latest", "registry.example.com/two:latest"];
    for layout in [
        project.layout("layout"),
        unpacked(&project, "oci.tar"),
        unpacked(&project, "both.tar"),
        project.layout("typed"),
    ] {
        assert_eq!(layout.names(), names);
        assert_eq!([layout.image("one").digest, layout.image("two").digest], digests[..]);
    }
    let hybrid = members(&fs::read(project.path("both.tar")).unwrap());
    let docker = members(&fs::read(project.path("docker.tar")).unwrap());
    for files in [&hybrid, &docker] {
        let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let tags: Vec<&str> =
            list.as_array().unwrap().iter().map(|image| image["RepoTags"][0].as_str().unwrap()).collect();
        assert_eq!(tags, names);
        for image in list.as_array().unwrap() {
            let config = &files[image["Config"].as_str().unwrap()];
            let config: Value = serde_json::from_slice(config).unwrap();
            let layers = image["Layers"].as_array().unwrap();
            let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
            assert_eq!(layers.len(), diff_ids.len());
            for (layer, diff_id) in layers.iter().zip(diff_ids) {
                let plain = super::support::inflate(&files[layer.as_str().unwrap()]);
                assert_eq!(sha256(&plain), diff_id.as_str().unwrap());
            }
        }
    }
    // Each layer once, and nothing that the index does not lead to: two layers, two configs, two manifests.
    assert_eq!(hybrid.keys().filter(|name| name.starts_with("blobs/")).count(), 6, "{:?}", hybrid.keys());
    // Written again, the same bytes.
    let before = fs::read(project.path("both.tar")).unwrap();
    project.run(&["build", "-o", "archive:both.tar", "--no-cache"]).ok();
    assert_eq!(fs::read(project.path("both.tar")).unwrap(), before);
}

#[test]
fn standard_output_is_the_archive_and_results_go_to_standard_error() {
    let project = Project::new(ONE);
    project.write("ctx/x", "x");
    let plain = project.run(&["build", "-o", "archive:x.tar"]).ok();
    for place in ["-", "archive:-", "oci-archive:-", "docker-archive:-", "type=docker,dest=-"] {
        let run = project.run(&["build", "-o", place]).ok();
        assert_eq!(run.said(), plain.stdout(), "{place}");
        assert!(members(&run.stdout).keys().any(|name| name == "manifest.json" || name == "index.json"), "{place}");
        if place == "-" || place == "archive:-" {
            assert_eq!(run.stdout, fs::read(project.path("x.tar")).unwrap());
        }
    }
    insta::assert_snapshot!(project.run(&["build", "-o", "-", "-o", "oci-archive:-"]).fails(2), @"error[L0001]: standard output takes one archive, not several");
    insta::assert_snapshot!(project.run(&["build", "-o", "oci:-"]).fails(2), @"error[L0003]: a layout is a directory and cannot go to standard output: use `archive:-` or `oci-archive:-`");
}

#[test]
fn the_default_output_holds_exactly_this_build() {
    let project = Project::new(TWO);
    project.run(&["build"]).ok();
    assert_eq!(project.layout("lapstrake-out").names().len(), 2);
    project.run(&["build", "one"]).ok();
    let layout = project.layout("lapstrake-out");
    assert_eq!(layout.names(), ["registry.example.com/one:latest"]);
    let blobs = fs::read_dir(project.path("lapstrake-out/blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 3, "what is no longer used is gone");
    // What is not ours is refused, and stays.
    project.write("theirs/file", "precious");
    let told = project.run(&["build", "-o", "oci:theirs"]).fails(1);
    assert!(told.contains("not lapstrake's"), "{told}");
    assert_eq!(fs::read_dir(project.path("theirs")).unwrap().count(), 1);
}

#[test]
fn two_platforms_and_a_docker_archive() {
    let recipe = "[images.app]\nfrom = \"scratch\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n[[images.app.layers]]\nfiles = { \"/{arch}\" = \"x\" }\n";
    let project = Project::new(recipe);
    let told = project.run(&["build", "-o", "docker-archive:x.tar"]).fails(2);
    insta::assert_snapshot!(told, @"
        error[L0008]: docker-archive: holds one platform, and app has several
        hint: say which with --platform, or use archive:
    ");
    assert!(!project.path("x.tar").exists());
    project.run(&["build", "-o", "docker-archive:x.tar", "--platform", "linux/arm64"]).ok();
    project.sound(&format!("docker-archive:{}", project.path("x.tar").display()));
    let config = members(&fs::read(project.path("x.tar")).unwrap());
    let list: Value = serde_json::from_slice(&config["manifest.json"]).unwrap();
    let config: Value = serde_json::from_slice(&config[list[0]["Config"].as_str().unwrap()]).unwrap();
    assert_eq!(config["architecture"], "arm64");
    // Both in an index; the hybrid lists the recipe's first one for Docker.
    let layout = project.build_with(&["-o", "archive:both.tar"]);
    let images = layout.platforms("app");
    assert_eq!(images["linux/arm64"].top(), "f 0644 0:0 arm64 1\n");
    assert_eq!(images["linux/amd64"].top(), "f 0644 0:0 amd64 1\n");
    project.sound(&format!("archive:{}", project.path("both.tar").display()));
    let both = members(&fs::read(project.path("both.tar")).unwrap());
    let list: Value = serde_json::from_slice(&both["manifest.json"]).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let config: Value = serde_json::from_slice(&both[list[0]["Config"].as_str().unwrap()]).unwrap();
    assert_eq!(config["architecture"], "amd64");
}

/// Names of what lies in a directory.
fn left(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let project = Project::new(ONE);
    project.write("ctx/x", "x").write("file", "").write("kept.tar", "what was there");
    fs::create_dir(project.path("directory")).unwrap();
    let before = left(project.root());
    for place in [
        "archive:directory",
        "oci:file",
        "archive:file/below.tar",
        "oci-archive:/proc/nothing.tar",
        "oci:/proc/nothing",
    ] {
        let told = project.run(&["build", "-o", place]).fails(1);
        assert!(told.starts_with("error[L"), "{place}: {told}");
        assert_eq!(left(project.root()), before, "{place}");
    }
    assert!(left(&project.path("directory")).is_empty());
    // A full disk: the file that was there is still the one that was there.
    let full = project.run(&["build", "-o", "archive:/dev/full"]).fails(1);
    assert!(full.contains("/dev/full") || full.contains("space"), "{full}");
    // A build that fails after its first output has begun nothing.
    project.write("lapstrake.toml", "recipe = 1\n[images.x]\nfrom = \"oci:nowhere\"\n");
    project.run(&["build", "-o", "archive:kept.tar"]).fails(1);
    assert_eq!(fs::read_to_string(project.path("kept.tar")).unwrap(), "what was there");
}

#[test]
fn files_for_other_programs() {
    let project = Project::new(TWO);
    let run = project
        .run(&[
            "build",
            "two",
            "-o",
            "oci:out",
            "--metadata-file",
            "meta.json",
            "--iidfile",
            "iid",
            "--digest-file",
            "digest",
            "--image-refs",
            "refs",
        ])
        .ok();
    let image = project.layout("out").image("two");
    let config = image.manifest["config"]["digest"].as_str().unwrap();
    let read = |name: &str| fs::read_to_string(project.path(name)).unwrap();
    assert_eq!(run.digests()[..], std::slice::from_ref(&image.digest)[..]);
    assert_eq!(read("digest"), image.digest);
    assert_eq!(read("iid"), config);
    assert_eq!(read("refs"), "", "nothing was pushed");
    let metadata: Value = serde_json::from_str(&read("meta.json")).unwrap();
    assert_eq!(metadata["containerimage.digest"], *image.digest);
    assert_eq!(metadata["containerimage.config.digest"], config);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], *image.digest);
    assert_eq!(metadata["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(metadata["image.name"], "registry.example.com/two:latest");
    // Several: each under its name; a file for one is refused before anything is done.
    project.run(&["build", "-o", "oci:out", "--metadata-file", "meta.json"]).ok();
    let metadata: Value = serde_json::from_str(&read("meta.json")).unwrap();
    assert_eq!(metadata.as_object().unwrap().keys().collect::<Vec<_>>(), ["one", "two"]);
    for flag in ["--iidfile", "--digest-file"] {
        let told = project.run(&["build", "-o", "oci:never", flag, "none"]).fails(2);
        assert!(told.contains(flag) && told.contains("--metadata-file"), "{told}");
        assert!(!project.path("never").exists() && !project.path("none").exists());
    }
    let told = project.run(&["build", "one", "-o", "oci:out", "--digest-file", "no/such/file"]).code(1).told();
    assert!(told.contains("no/such/file"), "{told}");
}

/// Fails where two things are written to one place, where something is written over an input, or where that is found out after
/// something was built.
#[test]
fn each_file_that_is_written_is_another_and_none_is_an_input() {
    let project = Project::new(&ONE.replace("from = \"scratch\"", "from = \"oci-archive:../base.tar\""));
    Base::debian().oci_archive(&project.path("base.tar"));
    Base::debian().layout(&project.path("there"));
    fs::create_dir(project.path("directory")).unwrap();
    symlink("directory/file", project.path("link")).unwrap();
    fs::write(project.path("directory/file"), "").unwrap();
    let recipe = fs::read(project.path("lapstrake.toml")).unwrap();
    let base = fs::read(project.path("base.tar")).unwrap();
    for (arguments, one, other) in [
        (&["-o", "archive:o", "-o", "oci-archive:o"][..], "-o archive:o", "-o oci-archive:o"),
        (&["-o", "archive:m", "--metadata-file", "m"], "-o archive:m", "--metadata-file m"),
        (&["-o", "archive:m", "--metadata-file", "./ctx/../m"], "-o archive:m", "--metadata-file ./ctx/../m"),
        (&["--iidfile", "m", "--digest-file", "m"], "--iidfile m", "--digest-file m"),
        (&["--iidfile", "link", "--image-refs", "directory/file"], "--iidfile link", "--image-refs directory/file"),
        (&["--metadata-file", "lapstrake.toml"], "--metadata-file lapstrake.toml", "the recipe lapstrake.toml"),
        (&["-o", "archive:lapstrake.toml"], "-o archive:lapstrake.toml", "the recipe lapstrake.toml"),
        (&["--digest-file", "lapstrake.lock"], "--digest-file lapstrake.lock", "the lock lapstrake.lock"),
        (&["-o", "archive:base.tar"], "-o archive:base.tar", "the image at ctx/../base.tar"),
        (&["-o", "oci:never", "--image-refs", "never/index.json"], "--image-refs never/index.json", "-o oci:never"),
        (&["--image-refs", "lapstrake-out/blobs"], "--image-refs lapstrake-out/blobs", "-o oci:./lapstrake-out"),
        (&["-o", "oci:never", "-o", "oci:never:other"], "-o oci:never", "-o oci:never:other"),
        (&["-o", "oci:never/more", "-o", "oci:never"], "-o oci:never/more", "-o oci:never"),
        (&["-o", "archive:never", "-o", "oci:never/more"], "-o archive:never", "-o oci:never/more"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let told = project.run(&[&["build"], arguments, more].concat()).fails(2);
            assert!(told.contains(one) && told.contains(other), "{arguments:?}: {told}");
        }
    }
    for (arguments, told) in [
        (&["--metadata-file", "none/file"][..], "there is no directory none: make it first"),
        (&["--iidfile", "none/file"], "there is no directory none: make it first"),
        (&["--digest-file", "directory"], "writing directory: it is a directory"),
    ] {
        let run = project.run(&[&["build", "-o", "oci:never"], arguments].concat()).code(1);
        assert!(run.told().contains(told), "{}", run.told());
    }
    for name in ["o", "m", "never", "lapstrake-out", "lapstrake.lock", "none"] {
        assert!(!project.path(name).exists(), "{name}");
    }
    assert_eq!(fs::read(project.path("lapstrake.toml")).unwrap(), recipe);
    assert_eq!(fs::read(project.path("base.tar")).unwrap(), base);
    // Nor are files that the recipe names.
    project.write("ctx/requirements.txt", "");
    project.write("ctx/tool.deb", "");
    let layers = "[[images.app.layers]]\narchive = \"x.tar\"\n[[images.app.layers]]\ndebian = [\"tool.deb\"]\n\
        [[images.app.layers]]\nca = [\"ca.pem\"]\n[[images.app.layers]]\npython = { requirements = \"requirements.txt\" }\n";
    project.recipe(&format!("[images.app]\nfrom = \"scratch\"\n{layers}"));
    for file in ["ctx/x.tar", "ctx/tool.deb", "ctx/ca.pem", "ctx/requirements.txt"] {
        let told = project.run(&["build", "--offline", "-o", &format!("archive:{file}")]).fails(2);
        assert!(told.contains(&format!("would be written over {file} that the recipe names")), "{told}");
    }
    // Nor is a file written over that is copied; beside what is, it is left out.
    project.write("ctx/version", "1");
    project.recipe(&ONE.replace("\".\"", "\"version\""));
    let told = project.run(&["build", "-o", "oci:never", "--digest-file", "ctx/version"]).fails(3);
    assert!(told.contains("version") && told.contains("an output or the cache"), "{told}");
    assert!(!project.path("never").exists() && fs::read(project.path("ctx/version")).unwrap() == b"1");
    project.write("lapstrake.toml", &recipe);
    // `push` and `report` too.
    let same = ["push", "oci:there", "127.0.0.1:1/x", "--digest-file", "d", "--image-refs", "d"];
    assert!(project.run(&same).fails(2).contains("--digest-file d and --image-refs d"));
    let inside = ["push", "oci:there", "127.0.0.1:1/x", "--digest-file", "there/index.json"];
    assert!(project.run(&inside).fails(2).contains("--digest-file there/index.json is inside of oci:there"));
    let report = project.run(&["report", "-o", "lapstrake.toml"]).fails(2);
    assert!(report.contains("-o lapstrake.toml would be written over the recipe"), "{report}");
    assert_eq!(fs::read(project.path("lapstrake.toml")).unwrap(), recipe);
    // What takes several is no file that one of them would lose; saying the same twice loses nothing.
    project
        .run(&["build", "-o", "archive:q", "-o", "archive:q", "--iidfile", "/dev/null", "--digest-file", "/dev/null"])
        .ok();
}

/// Fails where two images are pushed under one tag, or an index lists one platform twice, since they are written in two ways.
#[test]
fn one_tag_or_platform_in_two_spellings_is_one() {
    for (one, other) in [
        ("R.example.com/x", "r.example.com/x"),
        ("r.example.com:443/x", "r.example.com/x"),
        ("R.Example.com:443/x", "r.example.com/x"),
    ] {
        let recipe = TWO.replace("from = \"scratch\"", &format!("from = \"scratch\"\nrepository = \"{one}\""));
        let recipe = recipe.replace("from = \"one\"", &format!("from = \"one\"\nrepository = \"{other}\""));
        let project = Project::new(&recipe);
        let told = project.run(&["build", "--push"]).fails(2);
        assert!(told.contains("one and two would both be") && told.contains(one) && told.contains(other), "{told}");
    }
    let project = Project::new(TWO);
    let told =
        project.run(&["build", "one", "--dry-run", "--platform", "linux/arm,linux/arm/v7,linux/arm/v6"]).ok().stdout();
    let built: Vec<&str> = told.split_whitespace().filter(|word| word.starts_with("linux/")).collect();
    assert_eq!(built, ["linux/arm", "linux/arm/v6"], "{told}");
}

#[test]
fn variants_have_keys_and_columns_of_their_own() {
    let project = Project::new(
        "[variants.k8s]\nuser = \"1:1\"\n[images.app]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.plain]\nfrom = \"scratch\"\n",
    );
    let output = project.path("github");
    let mut command = project.command(&["build", "-o", "oci:out", "--metadata-file", "meta.json"]);
    command.env("GITHUB_OUTPUT", &output);
    let run = project.end(command).ok();
    let columns: Vec<(String, String, String)> =
        run.lines().into_iter().map(|line| (line[0].clone(), line[1].clone(), line[3].clone())).collect();
    let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    let expected =
        [of("app", "k8s", "registry.example.com/app:k8s"), of("plain", "-", "registry.example.com/plain:latest")];
    assert_eq!(columns, expected);
    let metadata: Value = serde_json::from_slice(&fs::read(project.path("meta.json")).unwrap()).unwrap();
    assert_eq!(metadata.as_object().unwrap().keys().collect::<Vec<_>>(), ["app/k8s", "plain"]);
    let text = fs::read_to_string(&output).unwrap();
    let value = text.strip_prefix("metadata=").expect("a step's output").trim_end();
    assert_eq!(serde_json::from_str::<Value>(value).unwrap(), metadata);
    // Another step's lines stay.
    let mut command = project.command(&["build", "plain", "-o", "oci:out"]);
    command.env("GITHUB_OUTPUT", &output);
    let digest = project.end(command).ok().digests().remove(0);
    let more = fs::read_to_string(&output).unwrap();
    assert!(more.starts_with(&text) && more.contains(&format!("\ndigest={digest}\n")), "{more}");
}

#[test]
fn a_closed_standard_output_is_a_failure_and_no_panic() {
    let project = Project::new(ONE);
    project.write("ctx/x", vec![b'x'; 1 << 20]);
    for arguments in
        [&["schema"][..], &["build", "-o", "oci:out"], &["build", "-o", "-"], &["man"], &["completions", "bash"]]
    {
        let mut command = project.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(Stdio::from(writer));
        drop(reader);
        let run = project.end(command);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}", run.stderr);
        // An archive that is cut off is told; a reader of text has had enough.
        assert_eq!(run.stderr.contains("error[L"), arguments.ends_with(&["-"]), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{arguments:?}: {}", run.stderr);
    }
    // As people write it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" schema | head -n 1", super::support::BINARY]);
    let run = project.end(shell).ok();
    assert_eq!(run.stdout(), "{\n");
    assert_eq!(run.stderr, "");
}

#[test]
fn outputs_in_the_context_are_left_out_or_refused() {
    let project = Project::new(ONE);
    project.write("ctx/x", "x");
    // The default output's name is left out wherever the context is.
    project.write(
        "ctx/lapstrake.toml",
        fs::read_to_string(project.path("lapstrake.toml")).unwrap().replace("context = \"ctx\"\n", ""),
    );
    fs::create_dir_all(project.path("ctx/.git")).unwrap();
    let mut command = project.command(&["build"]);
    command.current_dir(project.path("ctx"));
    let first = project.end(command).ok().stdout();
    let mut command = project.command(&["build"]);
    command.current_dir(project.path("ctx"));
    assert_eq!(project.end(command).ok().stdout(), first, "the second build does not hold the first");
    let image = project.layout("ctx/lapstrake-out").image("app");
    assert_eq!(image.top(), "f 0644 0:0 x 1\n", "neither the recipe, nor .git, nor the output");
    // Another output, or the cache, below what is copied.
    fs::remove_dir_all(project.path("ctx/lapstrake-out")).unwrap();
    for more in
        [&["-o", "oci:ctx/images"][..], &["-o", "archive:ctx/app.tar"], &["-o", "oci:out", "--cache-dir", "ctx/cache"]]
    {
        let told = project.run(&[&["build"], more].concat()).fails(3);
        assert!(told.contains("an output or the cache"), "{told}");
    }
    // Through a link too.
    symlink(project.path("ctx"), project.path("alias")).unwrap();
    project.run(&["build", "-o", "oci:alias/images"]).fails(3);
    // Beside what is copied it is no trouble.
    project.recipe(&ONE.replace("\".\"", "\"x\""));
    project.run(&["build", "-o", "oci:ctx/images"]).ok();
}

#[test]
fn an_elf_file_of_another_machine_is_refused() {
    let mut elf = vec![0; 64];
    elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    let project = Project::new(&ONE.replace("copy = [\".\"]\nto = \"/\"", "copy = [\"bin\"]\nto = \"/opt\""));
    project.write("ctx/bin/tool", &elf);
    project.run(&["build", "-o", "oci:out"]).ok();
    let told = project.run(&["build", "-o", "oci:arm", "--platform", "linux/arm64"]).fails(3);
    assert!(told.contains("/opt/bin/tool") && told.contains("arm64"), "{told}");
    assert!(!project.path("arm").exists());
    // `{arch}` in the path is the way.
    project.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [{ src = \"bin-{arch}/tool\", dest = \"/tool\" }]\n");
    project.write("ctx/bin-amd64/tool", &elf);
    elf[18] = 0xb7;
    project.write("ctx/bin-arm64/tool", &elf);
    let layout = project.build_with(&["--platform", "linux/amd64,linux/arm64"]);
    assert_eq!(layout.platforms("app").len(), 2);
}

#[test]
fn at_most_127_layers() {
    let layers = |count: usize| -> String {
        let layer = |n: usize| format!("[[images.app.layers]]\nfiles = {{ \"/{n}\" = \"\" }}\n");
        format!("[images.app]\nfrom = \"oci:base\"\n{}", (0..count).map(layer).collect::<String>())
    };
    let project = Project::new(&layers(126));
    super::support::Base::debian().layout(&project.path("ctx/base"));
    assert_eq!(project.build().image("app").layers.len(), 127);
    project.recipe(&layers(127));
    let told = project.run(&["build", "-o", "oci:many"]).fails(3);
    assert!(told.contains("128") && told.contains("127"), "{told}");
    assert!(!project.path("many").exists());
}

#[test]
fn copy_and_inspect_between_places() {
    let project = Project::new(TWO);
    project.run(&["build", "-o", "oci:out"]).ok();
    let digest = project.layout("out").image("two").digest;
    // The layout has two images: one by name to each kind of place, and all to one.
    let run = project.run(&["copy", "oci:out", "archive:all.tar"]).ok();
    assert_eq!(run.lines().len(), 2);
    project.sound(&format!("archive:{}", project.path("all.tar").display()));
    for place in ["oci:copied", "oci-archive:copied-oci.tar", "docker-archive:copied-docker.tar"] {
        let run = project.run(&["copy", "archive:all.tar", place, "--image", "registry.example.com/two:latest"]).ok();
        assert_eq!(run.lines()[0][1], digest, "{place}");
        let (kind, path) = place.split_once(':').unwrap();
        project.sound(&format!("{kind}:{}", project.path(path).display()));
    }
    assert_eq!(project.layout("copied").image("two").digest, digest);
    let run = project.run(&["copy", "oci:out", "-"]).ok();
    assert_eq!(run.stdout, fs::read(project.path("all.tar")).unwrap());
    let text =
        project.run(&["inspect", "archive:all.tar", "--image", "registry.example.com/two:latest", "--files"]).ok();
    insta::assert_snapshot!(text.stdout().replace(&digest, "[TWO]"), @"
        registry.example.com/two:latest
          digest    [TWO]
          platform  linux/amd64
          image ID  sha256:3e036622a7736099751a407e8047043c6159e85a1904a23169a2f7d4ca7af5bf
          created   1980-01-02T00:00:00Z
          base      registry.example.com/one:latest sha256:cb24d3079252537531e301b4eaa83522bc76815fa6ed431e5280b8adbb972852
          layers    2, 179 B
            sha256:5922f98a9308         92 B  files /shared
            sha256:379f2070997b         87 B  files /two
            0644         0:0          6 /shared
            0644         0:0          1 /two
    ");
    let json = project.run(&["inspect", "out", "--json", "--validate"]).ok();
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value[1]["digest"], *digest);
    // A damaged one is told with exit code 6, and an absent one with 1.
    let blobs = project.path("out/blobs/sha256");
    let layer = project.layout("out").image("one").layer_digests()[0].clone();
    let path = blobs.join(&layer[7..]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    project.run(&["inspect", "oci:out", "--validate"]).code(6);
    project.run(&["inspect", "oci:absent"]).fails(1);
    let told = project.run(&["copy", "oci:out", "oci:again"]).fails(1);
    assert!(told.contains("[DIGEST]"), "{told}");
    assert!(!project.path("again/index.json").exists());
}

/// The commands of a hint are for the shell, and do what was asked for.
#[test]
fn several_images_for_one_reference_are_told_with_a_command_each() {
    let registry = super::fake_registry::FakeRegistry::plain();
    let project = Project::new(TWO);
    project.run(&["build", "-o", "oci:it's out"]).ok();
    let below = format!("{}/x", registry.name());
    for command in ["push", "copy"] {
        let told = project.run(&[command, "oci:it's out", &below]).fails(2);
        for image in ["one", "two"] {
            let line = format!(
                r"  lapstrake {command} 'oci:it'\''s out' {below}/{image}:latest --image registry.example.com/{image}:latest"
            );
            assert!(told.lines().any(|told| told == line), "{line}\n{told}");
        }
    }
    project.run(&["build", "-o", "oci:out"]).ok();
    assert!(project.run(&["push", "oci:out", &below]).fails(2).contains("\n  lapstrake push oci:out "));
}

#[test]
fn an_image_is_told_under_the_name_that_it_was_pushed_to() {
    let registry = super::fake_registry::FakeRegistry::plain();
    let project = Project::new("[images.app]\nfrom = \"scratch\"\nrepository = \"own.example.com/app\"\n");
    let other = format!("{}/other/app:1", registry.name());
    let run = project.run(&["build", "-o", &other, "--metadata-file", "meta.json"]).ok();
    assert!(run.stdout().ends_with(&format!("\t{other}\n")), "{}", run.stdout());
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(project.path("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["image.name"], other);
    // What stays here has its own name too.
    let run = project.run(&["build", "-o", &other, "-o", "oci:out"]).ok();
    assert!(run.stdout().ends_with(&format!("\t{other}\n")), "{}", run.stdout());
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    assert!(run.stdout().ends_with("\town.example.com/app:latest\n"), "{}", run.stdout());
}

/// Would say nothing, and the others would be lost without a word.
#[test]
fn a_build_of_part_says_what_the_layout_no_longer_has() {
    let p = Project::new(
        "[images.web]\nfrom = \"scratch\"\ntags = [\"{env.COMMIT}\"]\n[[images.web.layers]]\nfiles = { \"/web\" = \"web\" }\n\
         [images.api]\nfrom = \"scratch\"\n[[images.api.layers]]\nfiles = { \"/api\" = \"api\" }\n",
    );
    let build = |commit: &str, arguments: &[&str]| {
        let mut command = p.command(&[&["build"], arguments].concat());
        command.env("COMMIT", commit);
        p.end(command).ok().told()
    };
    let said = "no longer has";
    assert!(!build("one", &[]).contains(said));
    assert!(!build("two", &[]).contains(said), "the tag of another commit");
    let told = build("three", &["web"]);
    assert!(
        told.contains(
            "note: oci:./lapstrake-out no longer has registry.example.com/api:latest: it holds what was written last"
        ),
        "{told}"
    );
    assert!(!build("three", &["web"]).contains(said), "once");
}

/// Would fail if somebody who waits for another build were not told what for.
#[test]
fn a_build_that_waits_for_another_one_says_so() {
    let project = Project::new(ONE);
    project.write("ctx/x", "x");
    project.build();
    let held = fs::File::open(project.path("out")).unwrap();
    held.lock().unwrap();
    let mut command = project.command(&["build", "-o", "oci:out"]);
    let mut build = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(build.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("waiting"));
    assert_eq!(told.as_deref(), Some("note: waiting while another process writes to oci:out"));
    assert_eq!(build.try_wait().unwrap(), None);
    held.unlock().unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(build.wait().unwrap().success(), "{rest:?}");
    // Nobody is waited for, and nothing is said.
    let told = project.run(&["build", "-o", "oci:out"]).ok().told();
    assert!(!told.contains("waiting"), "{told}");
}

/// Would fail if a power cut could take away a directory that was made for an output, with all that is in it.
#[test]
fn the_names_of_all_directories_that_are_made_are_on_the_disk() {
    let project = Project::new(ONE);
    project.write("ctx/x", "x");
    let trace = project.path("trace");
    let before = ["-f", "-qq", "-y", "-e", "trace=fsync", "-o", trace.to_str().unwrap(), super::support::BINARY];
    project.end(project.wrapped("strace", &before, &["build", "-o", "oci:new/a/b/out"])).ok();
    let text = fs::read_to_string(&trace).unwrap();
    let root = fs::canonicalize(project.root()).unwrap();
    for directory in ["", "new", "new/a", "new/a/b", "new/a/b/out", "new/a/b/out/blobs", "new/a/b/out/blobs/sha256"] {
        let path = root.join(directory);
        let path = path.to_str().unwrap().trim_end_matches('/');
        assert!(text.contains(&format!("<{path}>")), "{path}: {text}");
    }
}
