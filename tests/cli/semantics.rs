//! The numbered lines of the semantics, end to end where the whole program has a part in them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Base, Project, Tar, cached};

/// Which test holds which line: `crate::module::test`, of which the last part is looked for in the sources.
const HELD_BY: &[(u8, &[&str])] = &[
    (1, &["semantics_01_tables_merge_later_wins", "semantics_01_variants_stand_on_the_same_variant_of_their_base"]),
    (2, &["semantics_02_from_inherits_the_config_only", "semantics_02_a_bare_word_is_an_image_of_the_recipe"]),
    (3, &["semantics_03_placeholders", "semantics_03_braces_are_filled_in_where_they_mean_something"]),
    (4, &["semantics_04_env_sees_the_base_alone_and_keeps_its_order", "semantics_04_env_sees_the_base_alone"]),
    (5, &["semantics_05_git_without_a_git_binary"]),
    (6, &["semantics_06_tags", "semantics_06_tags_have_a_default_and_no_doubles"]),
    (7, &["semantics_07_toml_s_trap_is_told"]),
    (
        8,
        &[
            "semantics_08_copy",
            "semantics_08_parents_stay_what_they_are_whoever_unpacks",
            "semantics_08_globs",
            "semantics_08_no_match_is_an_error_with_the_nearest_name",
        ],
    ),
    (9, &["semantics_09_reach", "semantics_09_modes_are_set_unless_they_are_to_be_kept"]),
    (10, &["semantics_10_ignoring", "semantics_10_patterns_are_docker_s", "semantics_10_lines_of_the_ignore_file"]),
    (11, &["semantics_11_never_copied_unless_named", "outputs_in_the_context_are_left_out_or_refused"]),
    (12, &["semantics_12_links_of_the_context", "semantics_12_a_path_below_a_link_of_the_layer_is_an_error"]),
    (13, &["semantics_13_files_and_images", "semantics_13_files_of_another_image"]),
    (14, &["semantics_14_users", "semantics_14_contradictions_name_both"]),
    (15, &["semantics_15_one_implicit_first_layer"]),
    (16, &["semantics_16_conflicts_name_both", "semantics_16_two_sources_of_one_path"]),
    (17, &["semantics_17_bytes_of_a_layer", "golden_bytes_of_format_1"]),
    (18, &["semantics_18_compression", "golden_bytes_of_every_encoder"]),
    (19, &["semantics_19_created"]),
    (20, &["semantics_20_format_decides_all_media_types"]),
    (21, &["LOCK"]),
    (
        22,
        &[
            "semantics_22_keys_are_of_what_is_there",
            "everything_that_changes_the_layer_changes_the_key_and_nothing_else_does",
        ],
    ),
    (23, &["semantics_23_hash_first_then_write", "a_file_that_changes_is_an_error_that_names_it"]),
    (24, &["LOCK"]),
    (25, &["LOCK"]),
    (26, &["semantics_26_layers_carry_their_key"]),
    (
        27,
        &["semantics_27_names_in_an_output", "every_place_holds_the_same_images", "two_platforms_and_a_docker_archive"],
    ),
    (
        28,
        &[
            "semantics_28_what_is_for_one_image",
            "files_for_other_programs",
            "variants_have_keys_and_columns_of_their_own",
        ],
    ),
    (29, &["realms_that_may_be_told"]),
    (30, &["pauses_double_with_jitter_and_end"]),
    (31, &["PACKAGES"]),
    (32, &["PACKAGES"]),
    (33, &["PACKAGES"]),
    (34, &["semantics_34_a_login_shell_loses_the_path"]),
    (35, &["RECIPES"]),
    (36, &["PACKAGES"]),
];

/// What is held elsewhere or not made yet, and why that is no test's name.
const ELSEWHERE: &[(&str, &str)] = &[
    ("LOCK", "there is no lock yet"),
    ("PACKAGES", "of Debian and Python packages: they are not native yet, nor is the check that they allow"),
    ("RECIPES", "how recipes/archon.toml and recipes/static-site.toml start nginx; shown where containers run"),
];

#[test]
fn every_line_is_held_by_a_test() {
    let numbers: Vec<u8> = HELD_BY.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<u8>>());
    let mut sources = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["src", "tests"] {
        read_sources(&root.join(directory), &mut sources);
    }
    for (number, tests) in HELD_BY {
        for test in *tests {
            let known = ELSEWHERE.iter().any(|(word, _)| word == test) || sources.contains(&format!("fn {test}("));
            assert!(known, "{number}: there is no test {test}");
        }
    }
}

pub(super) fn read_sources(directory: &Path, all: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// A recipe with one image `app` on scratch, with one layer.
fn app(layer: &str) -> Project {
    Project::new(&format!("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\n{layer}\n"))
}

#[test]
fn semantics_01_tables_merge_later_wins() {
    let project = Project::new(
        r#"
[defaults]
env = { A = "defaults", B = "defaults", C = "defaults" }
cmd = ["defaults"]
exclude = ["*.d"]
[variants.v]
env = { B = "variant", D = "variant" }
cmd = ["variant"]
exclude = ["*.v"]
[images.app]
from = "scratch"
variants = ["v"]
env = { A = "image", C = false }
cmd = ["image"]
exclude = ["*.i"]
[[images.app.layers]]
copy = ["."]
to = "/"
exclude = ["*.l"]
[images.app.v]
env = { D = "both" }
cmd = ["both"]
exclude = ["*.b"]
[[images.app.v.layers]]
files = { "/v" = "" }
"#,
    );
    for name in ["keep", "a.d", "a.v", "a.i", "a.l", "a.b"] {
        project.write(&format!("ctx/{name}"), "");
    }
    let image = project.build().image("registry.example.com/app:v");
    assert_eq!(image.settings()["Env"], json!(["A=image", "B=variant", "D=both"]));
    assert_eq!(image.settings()["Cmd"], json!(["both"]));
    assert_eq!(image.listings(), ["f 0644 0:0 keep 0\n", "f 0644 0:0 v 0\n"]);
}

#[test]
fn semantics_02_from_inherits_the_config_only() {
    let project = Project::new(
        "[images.base]\nfrom = \"scratch\"\nowner = \"7:7\"\nexclude = [\"x\"]\nenv = { A = \"1\" }\n[[images.base.layers]]\ncopy = [\".\"]\nto = \"/b\"\n[images.app]\nfrom = \"base\"\n[[images.app.layers]]\ncopy = [\".\"]\nto = \"/a\"\n",
    );
    project.write("ctx/x", "x").write("ctx/y", "y");
    let image = project.build().image("app");
    assert_eq!(image.settings()["Env"], json!(["A=1"]));
    insta::assert_snapshot!(image.listings().join("--\n"), @"
        d 0755 7:7 b/
        f 0644 7:7 b/y 1
        --
        d 0755 0:0 a/
        f 0644 0:0 a/x 1
        f 0644 0:0 a/y 1
    ");
    project.recipe("[images.base]\nfrom = \"scratch\"\n[images.app]\nfrom = \"bas\"\n");
    let told = project.run(&["build"]).fails(3);
    assert!(told.contains("did you mean `\"base\"`?"), "{told}");
}

#[test]
fn semantics_03_placeholders() {
    let project = Project::new(
        r#"
[defaults]
tags = ["{env.TAG:-none}-{image}"]
labels = { image = "{image}", brace = "{{image}", other = "{x}", who = "{env.WHO}" }
env = { ARCH = "{arch}", E = "{env.EMPTY:-default}" }
[images.app]
from = "scratch"
[[images.app.layers]]
copy = ["{arch}/tool"]
to = "/{arch}"
files = { "/text" = "{image} {env.WHO}" }
"#,
    );
    project.write("ctx/amd64/tool", "x");
    let mut command = project.command(&["build", "-o", "oci:out"]);
    command.env("WHO", "me").env("EMPTY", "");
    project.end(command).ok();
    let layout = project.layout("out");
    let image = layout.image("registry.example.com/app:none-app");
    assert_eq!(image.settings()["Labels"], json!({ "image": "app", "brace": "{image}", "other": "{x}", "who": "me" }));
    assert_eq!(image.settings()["Env"], json!(["ARCH=amd64", "E=default"]));
    assert_eq!(image.file("text"), "{image} {env.WHO}");
    assert!(image.top().contains("amd64/tool"));
    let told = project.run(&["build"]).fails(3);
    assert!(told.contains("WHO") && told.contains("not set"), "{told}");
}

#[test]
fn semantics_04_env_sees_the_base_alone_and_keeps_its_order() {
    let project = Project::new(
        "[images.app]\nfrom = \"oci:base\"\nenv = { Z = \"${Y:-no}\", Y = \"1\", P = \"/app:${P}\", B = \"${B:+set}\", Q = \"/q:${Q}\" }\n",
    );
    Base::debian().settings(json!({ "Env": ["P=/usr", "B=b", "Z=z"] })).layout(&project.path("ctx/base"));
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    let image = project.layout("out").image("app");
    assert_eq!(image.settings()["Env"], json!(["P=/app:/usr", "B=set", "Z=no", "Q=/q:", "Y=1"]));
    assert!(run.told().contains("warning: ") && run.told().contains("lapstrake.toml:"), "{}", run.told());
    assert!(!run.told().contains("caused by"), "{}", run.told());
}

#[test]
fn semantics_05_git_without_a_git_binary() {
    let project = Project::new(
        "[defaults]\ntags = [\"{git.short}\", \"{git.branch}\"]\n[images.app]\nfrom = \"scratch\"\ncreated = \"commit\"\n",
    );
    let git = |arguments: &[&str]| {
        let mut command = project.wrapped("git", &["-c", "user.name=x", "-c", "user.email=x@example.com"], arguments);
        command.env("GIT_AUTHOR_DATE", "2026-01-31T12:00:00Z").env("GIT_COMMITTER_DATE", "2026-01-31T12:00:00Z");
        project.end(command).ok()
    };
    let told = project.run(&["build"]).fails(3);
    assert!(told.contains("{git.short}"), "{told}");
    git(&["init", "-q", "-b", "Feature/Über_X"]);
    git(&["add", "lapstrake.toml"]);
    git(&["commit", "-q", "-m", "first"]);
    let commit = git(&["rev-parse", "HEAD"]).stdout();
    // A change that is not committed is no part of it.
    project.write("dirty", "x");
    let mut command = project.command(&["build", "-o", "oci:out"]);
    command.env("PATH", "/nowhere");
    project.end(command).ok();
    let layout = project.layout("out");
    let short = format!("registry.example.com/app:{}", &commit[..7]);
    assert_eq!(layout.image(&short).config["created"], "2026-01-31T12:00:00Z");
    insta::assert_snapshot!(layout.names().into_iter().find(|name| *name != short).unwrap(), @"registry.example.com/app:Feature-ber_X");
    git(&["checkout", "-q", "--detach"]);
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("branch"), "{told}");
    let mut command = project.command(&["build", "-o", "oci:out"]);
    command.env("GITHUB_REF_NAME", "main").env("GITHUB_REF_TYPE", "branch").env("GITHUB_ACTIONS", "true");
    project.end(command).ok();
    assert!(project.layout("out").names().contains(&"registry.example.com/app:main".to_owned()));
}

#[test]
fn semantics_06_tags() {
    let project = Project::new(
        "[variants.k8s]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.web]\nfrom = \"scratch\"\ntags = [\"a\", \"b\"]\n",
    );
    let expected = ["app:k8s", "web:a", "web:b"].map(|name| format!("registry.example.com/{name}"));
    assert_eq!(project.build().names(), expected);
    project.recipe("[images.app]\nfrom = \"scratch\"\nrepository = \"r.example.com/same\"\n[images.web]\nfrom = \"scratch\"\nrepository = \"r.example.com/same\"\n");
    let told = project.run(&["build"]).fails(3);
    assert!(told.contains("r.example.com/same:latest"), "{told}");
}

#[test]
fn semantics_08_copy() {
    let project = Project::new(
        "[images.app]\nfrom = \"scratch\"\nworkdir = \"/work\"\n[[images.app.layers]]\ncopy = [\"dir\", \"dir/sub/\", \"*.txt\", { src = \"one.txt\", dest = \"renamed\" }, { src = \"dir\", dest = \"/else\" }]\n",
    );
    project.write("ctx/dir/sub/f", "f").write("ctx/one.txt", "1").write("ctx/two.txt", "2");
    fs::create_dir(project.path("ctx/dir/empty")).unwrap();
    insta::assert_snapshot!(project.build().image("app").top(), @"
        d 0755 0:0 else/
        d 0755 0:0 else/empty/
        d 0755 0:0 else/sub/
        f 0644 0:0 else/sub/f 1
        d 0755 0:0 work/
        d 0755 0:0 work/dir/
        d 0755 0:0 work/dir/empty/
        d 0755 0:0 work/dir/sub/
        f 0644 0:0 work/dir/sub/f 1
        f 0644 0:0 work/f 1
        f 0644 0:0 work/one.txt 1
        f 0644 0:0 work/renamed 1
        f 0644 0:0 work/two.txt 1
    ");
    for (layer, words) in [("copy = [\"nothing*\"]\nto = \"/\"", "nothing*"), ("copy = [\"one.txt\"]", "to")] {
        project.recipe(&format!("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\n{layer}\n"));
        let told = project.run(&["build"]).fails(3);
        assert!(told.contains(words), "{told}");
    }
}

/// Docker's and podman's overlay drivers unpack each layer into a directory of its own: a parent that it does not have is made
/// there, root's and 0755, and hides the one below.
#[test]
fn semantics_08_parents_stay_what_they_are_whoever_unpacks() {
    let tar = Tar::new()
        .dir("app/", 0o750, 10001, 10001)
        .file("app/keep", 0o640, "k")
        .file("implied/x", 0o644, "no entry for its parent")
        .dir("tmp/", 0o1777, 0, 0)
        .end();
    let project = Project::new(
        "[images.base]\nfrom = \"oci:base\"\n[[images.base.layers]]\ndirs = { \"/app/data\" = { owner = \"10001:50\", mode = \"2770\" } }\n\
         [images.app]\nfrom = \"base\"\nworkdir = \"/tmp/work\"\n[[images.app.layers]]\nfiles = { \"/app/data/new/f\" = \"\", \"/implied/f\" = \"\", \"/tmp/f\" = \"\" }\n\
         [[images.app.layers]]\nremove = [\"/app/keep\"]\ndirs = { \"/tmp\" = { mode = \"0755\" } }\n\
         [[images.app.layers]]\nfiles = { \"/tmp/g\" = \"\" }\ncopy = [\"app\"]\nto = \"/\"\n",
    );
    Base::of(tar).layout(&project.path("ctx/base"));
    project.write("ctx/app/copied", "");
    let listings = project.build().image("app").listings();
    insta::assert_snapshot!(listings[1..].join("--\n"), @"
        d 0750 10001:10001 app/
        d 2770 10001:50 app/data/
        --
        d 1777 0:0 tmp/
        d 0755 0:0 tmp/work/
        --
        d 0750 10001:10001 app/
        d 2770 10001:50 app/data/
        d 0755 0:0 app/data/new/
        f 0644 0:0 app/data/new/f 0
        d 0755 0:0 implied/
        f 0644 0:0 implied/f 0
        d 1777 0:0 tmp/
        f 0644 0:0 tmp/f 0
        --
        d 0750 10001:10001 app/
        f 0000 0:0 app/.wh.keep 0
        d 0755 0:0 tmp/
        --
        d 0750 10001:10001 app/
        f 0644 0:0 app/copied 0
        d 0755 0:0 tmp/
        f 0644 0:0 tmp/g 0
    ");
    // Each unpacked alone, in a directory of its own, and laid over each other: the directories of the topmost that has them.
    let mut merged = std::collections::BTreeMap::new();
    for listing in &listings {
        let words = listing.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mut alone: std::collections::BTreeMap<&str, (&str, &str)> = std::collections::BTreeMap::new();
        for line in words {
            let [kind, mode, owner, path, ..] = line[..] else { panic!("{line:?}") };
            for (end, _) in path.trim_end_matches('/').match_indices('/') {
                alone.entry(&path[..=end]).or_insert(("0755", "0:0"));
            }
            if kind == "d" {
                alone.insert(path, (mode, owner));
            }
        }
        merged.extend(alone);
    }
    let expected = [
        ("app/", ("0750", "10001:10001")),
        ("app/data/", ("2770", "10001:50")),
        ("app/data/new/", ("0755", "0:0")),
        ("implied/", ("0755", "0:0")),
        ("tmp/", ("0755", "0:0")),
        ("tmp/work/", ("0755", "0:0")),
    ];
    assert_eq!(merged.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn semantics_09_reach() {
    let project = Project::new(
        "[images.app]\nfrom = \"scratch\"\nowner = \"5:6\"\nmode = \"0640\"\nexclude = [\"**/out\"]\nworkdir = \"/work\"\n[[images.app.layers]]\ncopy = [\"d\"]\nto = \"/\"\nfiles = { \"/file\" = \"\" }\ndirs = [\"/dir\"]\nsymlinks = { \"/link\" = \"file\" }\n[[images.app.layers]]\narchive = \"a.tar\"\nto = \"/tar\"\n[[images.app.layers]]\narchive = \"a.tar\"\nto = \"/own\"\nowner = \"1:1\"\nexclude = [\"out\"]\n",
    );
    project.write("ctx/d/in", "").write("ctx/d/out", "");
    project.write("ctx/a.tar", Tar::new().file("in", 0o600, "").file("out", 0o600, "").end());
    insta::assert_snapshot!(project.build().image("app").listings().join("--\n"), @"
        d 0755 5:6 work/
        --
        d 0755 5:6 d/
        f 0640 5:6 d/in 0
        d 0755 5:6 dir/
        f 0640 5:6 file 0
        l 0777 5:6 link -> file
        --
        d 0755 0:0 tar/
        f 0600 0:0 tar/in 0
        f 0600 0:0 tar/out 0
        --
        d 0755 1:1 own/
        f 0600 1:1 own/in 0
    ");
}

#[test]
fn semantics_09_modes_are_set_unless_they_are_to_be_kept() {
    let listing = |keys: &str| {
        let project = app(&format!("copy = [\"dir\"]\nto = \"/\"\n{keys}"));
        project.write("ctx/dir/f", "").write("ctx/dir/x", "");
        project.chmod("ctx/dir/f", 0o640).chmod("ctx/dir/x", 0o4711).chmod("ctx/dir", 0o750);
        project.build().image("app").top()
    };
    assert_eq!(listing(""), "d 0755 0:0 dir/\nf 0644 0:0 dir/f 0\nf 0755 0:0 dir/x 0\n");
    assert_eq!(
        listing("mode = \"preserve\"\ndir_mode = \"preserve\""),
        "d 0750 0:0 dir/\nf 0640 0:0 dir/f 0\nf 4711 0:0 dir/x 0\n"
    );
    assert_eq!(
        listing("mode = \"0600\"\ndir_mode = \"0700\""),
        "d 0700 0:0 dir/\nf 0600 0:0 dir/f 0\nf 0600 0:0 dir/x 0\n"
    );
}

#[test]
fn semantics_10_ignoring() {
    let project = app(
        "copy = [\".\"]\nto = \"/c\"\ninclude = [\"src\", \"*.md\"]\nexclude = [\"**/*.tmp\"]\nmodes = { \"src/*\" = \"0600\", \"src/a\" = \"0640\" }",
    );
    project.write("ctx/.dockerignore", "# no\nsrc/no\n*.md\n!keep.md\n");
    for name in ["src/a", "src/b", "src/no", "src/x.tmp", "keep.md", "other.md", "elsewhere/f"] {
        project.write(&format!("ctx/{name}"), "");
    }
    insta::assert_snapshot!(project.build().image("app").top(), @"
        d 0755 0:0 c/
        f 0644 0:0 c/keep.md 0
        d 0755 0:0 c/src/
        f 0640 0:0 c/src/a 0
        f 0600 0:0 c/src/b 0
    ");
    // The recipe's own file takes the place of the other.
    project.write("lapstrake.toml.dockerignore", "src\n");
    insta::assert_snapshot!(project.build().image("app").top(), @"
        d 0755 0:0 c/
        f 0644 0:0 c/keep.md 0
        f 0644 0:0 c/other.md 0
    ");
}

#[test]
fn semantics_12_links_of_the_context() {
    let project = app("copy = [\"inside\", \"tree\"]\nto = \"/c\"");
    project.write("ctx/real/f", "f").write("ctx/tree/f", "one").write("outside", "secret");
    let link = |target: &str, path: &str| std::os::unix::fs::symlink(target, project.path(path)).unwrap();
    link("real", "ctx/inside");
    link("../real/f", "ctx/tree/verbatim");
    link("../../outside", "ctx/tree/out");
    fs::hard_link(project.path("ctx/tree/f"), project.path("ctx/tree/hard")).unwrap();
    insta::assert_snapshot!(project.build().image("app").top(), @"
        d 0755 0:0 c/
        d 0755 0:0 c/inside/
        f 0644 0:0 c/inside/f 1
        d 0755 0:0 c/tree/
        f 0644 0:0 c/tree/f 3
        f 0644 0:0 c/tree/hard 3
        l 0777 0:0 c/tree/out -> ../../outside
        l 0777 0:0 c/tree/verbatim -> ../real/f
    ");
    project.recipe(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"tree\"]\nhardlinks = true\nto = \"/\"\n",
    );
    assert!(project.build().image("app").top().contains("h 0644 0:0 tree/hard => tree/f\n"));
    // A named one that leads out is refused, whatever it leads to.
    for (name, target) in [("escape", "../outside"), ("absolute", "/etc/passwd"), ("up", "..")] {
        link(target, &format!("ctx/{name}"));
        for copy in [name.to_owned(), format!("{name}/")] {
            project.recipe(&format!(
                "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"{copy}\"]\nto = \"/\"\n"
            ));
            let run = project.run(&["build", "-o", "oci:leak"]);
            assert!(!run.stderr.contains("secret"));
            run.fails(3);
            assert!(!project.path("leak").exists());
        }
    }
}

#[test]
fn semantics_13_files_and_images() {
    let project = Project::new(
        "[images.tool]\nfrom = \"scratch\"\npublish = false\n[[images.tool.layers]]\nfiles = { \"/opt/a\" = { text = \"a\", mode = \"0755\", owner = \"5:5\" }, \"/opt/b\" = \"b\" }\n[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nimage = [{ image = \"tool\", copy = [\"/opt\", { src = \"/opt/a\", dest = \"/bin/renamed\" }] }, { image = \"oci:base\", copy = \"/lib/libold.so\" }]\nto = \"/x\"\n",
    );
    Base::debian().layout(&project.path("ctx/base"));
    let layout = project.build();
    assert_eq!(layout.names(), ["registry.example.com/app:latest"]);
    insta::assert_snapshot!(layout.image("app").top(), @"
        d 0755 0:0 bin/
        f 0755 0:0 bin/renamed 1
        d 0755 0:0 x/
        f 0644 0:0 x/libold.so 3
        d 0755 0:0 x/opt/
        f 0755 0:0 x/opt/a 1
        f 0644 0:0 x/opt/b 1
    ");
}

#[test]
fn semantics_14_users() {
    let recipe = |owner: &str| {
        format!(
            "[users.a]\nuid = 1001\ngid = 50\n[users.b]\nuid = 1002\ngid = 0\n[images.app]\nfrom = \"oci:base\"\nusers = [\"a\", \"b\"]\nuser = \"{owner}\"\n[[images.app.layers]]\nfiles = {{ \"/f\" = \"\" }}\nowner = \"{owner}\"\n"
        )
    };
    let project = Project::new("");
    Base::debian().settings(json!({ "User": "www-data" })).layout(&project.path("ctx/base"));
    for (owner, numbers) in [
        ("a", "1001:50"),
        ("b", "1002:0"),
        ("1001", "1001:1001"),
        ("www-data", "33:33"),
        ("a:video", "1001:44"),
        ("7:8", "7:8"),
    ] {
        project.recipe(&recipe(owner));
        let image = project.build().image("app");
        assert_eq!(image.settings()["User"], numbers);
        assert_eq!(image.top(), format!("f 0644 {numbers} f 0\n"));
        assert!(!image.file("etc/group").contains("a:x"), "an existing gid is joined under its own name");
    }
    let told = {
        project.recipe(&recipe("nobody-knows"));
        project.run(&["build"]).fails(3)
    };
    assert!(told.contains("nobody-knows"), "{told}");
    // A name that is inherited stays, and is warned of.
    project.recipe("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\nfiles = { \"/f\" = \"\" }\n");
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    assert!(run.told().contains("runAsNonRoot"), "{}", run.told());
    assert_eq!(project.layout("out").image("app").settings()["User"], "www-data");
    // On scratch, root is there too.
    project.recipe("[users.a]\nuid = 1001\n[images.app]\nfrom = \"scratch\"\nusers = [\"a\"]\n");
    assert!(project.build().image("app").file("etc/passwd").starts_with("root:x:0:0:"));
}

#[test]
fn semantics_15_one_implicit_first_layer() {
    let recipe = |uid: u32| {
        format!(
            "[users.a]\nuid = {uid}\ncreate_home = true\nhome = \"/home/a\"\n[images.app]\nfrom = \"oci:base\"\nusers = [\"a\"]\nworkdir = \"/app\"\n[[images.app.layers]]\nfiles = {{ \"/app/f\" = \"\" }}\n"
        )
    };
    let project = Project::new(&recipe(1001));
    Base::debian().layout(&project.path("ctx/base"));
    let one = project.build().image("app");
    assert_eq!(one.layers.len(), 3);
    assert!(one.listings()[1].contains("etc/passwd") && one.listings()[1].contains("d 0755 0:0 app/\n"));
    project.recipe(&recipe(1002));
    let two = project.build().image("app");
    assert_ne!(one.layer_digests()[1], two.layer_digests()[1]);
    assert_eq!(one.layer_digests()[2], two.layer_digests()[2], "a user change does not touch the others");
}

#[test]
fn semantics_16_conflicts_name_both() {
    let project = app("copy = [{ src = \"x\", dest = \"/f\" }]\nfiles = { \"/f\" = \"other\" }");
    project.write("ctx/x", "x");
    insta::assert_snapshot!(project.run(&["build"]).fails(3), @r#"
        error[L0311]: /f comes from two sources with different contents: a file of mode 0644 and owner 0:0 (copy `x`), and a file of mode 0644 and owner 0:0 (files `/f`)
          --> lapstrake.toml:11:11
           |
        11 | files = { "/f" = "other" }
           |           ^^^^
    "#);
    // The same content is no conflict.
    project.write("ctx/x", "other");
    assert_eq!(project.build().image("app").top(), "f 0644 0:0 f 5\n");
}

#[test]
fn semantics_17_bytes_of_a_layer() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(101));
    let project =
        app(&format!("files = {{ \"/{long}\" = \"long\", \"/a.b\" = \"\", \"/a/c\" = \"\", \"/ü\" = \"\" }}"));
    let image = project.build().image("app");
    let layer = &image.layers[0];
    let mut paths = Vec::new();
    for entry in tar::Archive::new(&layer[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(header.mtime().unwrap(), 315_619_200);
        assert_eq!((header.username(), header.groupname()), (Ok(Some("")), Ok(Some(""))));
        assert!(header.as_ustar().is_some());
        let records: Vec<String> = entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(|r| r.unwrap().key().unwrap().to_owned())
            .collect();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        assert_eq!(!records.is_empty(), path.len() > 100, "{path}: {records:?}");
        paths.push(path);
    }
    // `a` before `a.b` before what is in `a`, as bytes without the slash; no root, no `./`.
    let sorted = ["a/", "a.b", "a/c", &format!("{}/", "d".repeat(120)), &long, "ü"];
    assert_eq!(paths, sorted);
    assert!(layer.ends_with(&[0; 1024]) && layer.len().is_multiple_of(512));
    assert!(layer.windows(12).any(|window| window == b"PaxHeaders/f"));
}

#[test]
fn semantics_18_compression() {
    let project = Project::new("");
    project.write("ctx/big", vec![b'x'; 6 << 20]);
    let mut diff_ids = Vec::new();
    for (compression, suffix) in [
        ("\"gzip\"", "+gzip"),
        ("\"zstd\"", "+zstd"),
        ("\"none\"", ""),
        ("{ kind = \"gzip\", level = 9 }", "+gzip"),
        ("{ kind = \"gzip\", members = \"single\" }", "+gzip"),
        ("{ kind = \"zstd\", level = 1 }", "+zstd"),
    ] {
        project.recipe(&format!("[images.app]\nfrom = \"scratch\"\ncompression = {compression}\n[[images.app.layers]]\ncopy = [\"big\"]\nto = \"/\"\n"));
        let layout = project.build();
        let image = layout.image("app");
        let layer = &image.manifest["layers"][0];
        assert_eq!(layer["mediaType"], format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
        diff_ids.push(image.config["rootfs"]["diff_ids"].clone());
        let stored = layout.blob(layer["digest"].as_str().unwrap());
        if suffix == "+gzip" {
            // One member where that is asked for, several else.
            let mut first = flate2::read::GzDecoder::new(&stored[..]);
            let length = std::io::copy(&mut first, &mut std::io::sink()).unwrap();
            assert_eq!(length as usize == image.layers[0].len(), compression.contains("single"), "{compression}");
        }
    }
    assert!(diff_ids.iter().all(|diff_id| *diff_id == diff_ids[0]), "the diff ID does not know of compression");
}

#[test]
fn semantics_19_created() {
    let project = Project::new("");
    project.write("ctx/a.tar", Tar::new().file("f", 0o644, "").end());
    let created = |project: &Project| project.build().image("app").config["created"].as_str().unwrap().to_owned();
    let cases = [
        ("", "files = { \"/f\" = \"\" }", "1980-01-02T00:00:00Z"),
        ("", "archive = \"a.tar\"", "2023-11-14T22:13:20Z"),
        ("created = \"2026-01-31T12:00:00Z\"\n", "archive = \"a.tar\"", "2026-01-31T12:00:00Z"),
        ("created = 2026-01-31\n", "archive = \"a.tar\"", "2026-01-31T00:00:00Z"),
    ];
    for (key, layer, expected) in cases {
        project.recipe(&format!("[images.app]\nfrom = \"scratch\"\n{key}[[images.app.layers]]\n{layer}\n"));
        assert_eq!(created(&project), expected);
        let mut command = project.command(&["build", "-o", "oci:out"]);
        command.env("SOURCE_DATE_EPOCH", "1000000000");
        project.end(command).ok();
        assert_eq!(project.layout("out").image("app").config["created"], "2001-09-09T01:46:40Z");
    }
    let mut command = project.command(&["build"]);
    command.env("SOURCE_DATE_EPOCH", "yesterday");
    let told = project.end(command).fails(2);
    assert!(told.contains("SOURCE_DATE_EPOCH") && !told.contains("yesterday"), "{told}");
}

#[test]
fn semantics_20_format_decides_all_media_types() {
    let recipe = |format: &str| {
        format!(
            "[images.app]\nfrom = \"scratch\"\nformat = \"{format}\"\nannotations = {{ note = \"x\" }}\nhealthcheck = {{ test = [\"CMD\", \"true\"], interval = \"30s\" }}\n[[images.app.layers]]\nfiles = {{ \"/f\" = \"\" }}\n"
        )
    };
    let project = Project::new(&recipe("docker"));
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    assert_eq!(run.said(), "", "healthcheck is Docker's own");
    let docker = project.layout("out").image("app");
    assert_eq!(docker.manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(docker.manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
    assert_eq!(docker.manifest["layers"][0]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    assert!(docker.manifest["layers"][0]["annotations"]["dev.lapstrake.layer.key"].is_string());
    assert!(docker.manifest.get("annotations").is_none());
    assert_eq!(docker.settings()["Labels"]["note"], "x");
    project.recipe(&recipe("oci"));
    let run = project.run(&["build", "-o", "oci:out"]).ok();
    assert!(run.told().contains("warning: ") && run.told().contains("healthcheck"), "{}", run.told());
    let oci = project.layout("out").image("app");
    assert_eq!(oci.manifest["annotations"]["note"], "x");
    assert_eq!(oci.settings()["Healthcheck"], docker.settings()["Healthcheck"]);
    assert_eq!(oci.layer_digests(), docker.layer_digests());
}

fn keys(project: &Project) -> Vec<Value> {
    let image = project.build().image("app");
    let layers = image.manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["annotations"]["dev.lapstrake.layer.key"].clone()).collect()
}

#[test]
fn semantics_22_keys_are_of_what_is_there() {
    let project = app("copy = [\"a\", \"b\"]\nto = \"/\"");
    project.write("ctx/a", "a").write("ctx/b", "b");
    let first = keys(&project);
    // Recipe text, order, names and how it came to be never enter.
    project.recipe("# other\n[images.app]\nfrom = \"scratch\"\ncmd = [\"x\"]\n[[images.app.layers]]\nname = \"named\"\nfiles = { \"/b\" = \"b\" }\ncopy = { src = \"a\", dest = \"/a\" }\n");
    assert_eq!(keys(&project), first);
    for change in ["mode = \"0600\"", "owner = \"1:1\"", "exclude = [\"b\"]"] {
        project.recipe(&format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"a\", \"b\"]\nto = \"/\"\n{change}\n"
        ));
        assert_ne!(keys(&project), first, "{change}");
    }
    project.recipe("[images.app]\nfrom = \"scratch\"\ncompression = \"none\"\n[[images.app.layers]]\ncopy = [\"a\", \"b\"]\nto = \"/\"\n");
    assert_ne!(keys(&project), first);
}

#[test]
fn semantics_23_hash_first_then_write() {
    let project = app("copy = [\"a\"]\nto = \"/\"");
    project.write("ctx/a", "one");
    let first = project.build().image("app");
    // Same size and time, other content: what is remembered of a file is not believed.
    let time = fs::metadata(project.path("ctx/a")).unwrap().modified().unwrap();
    project.write("ctx/a", "two");
    fs::File::open(project.path("ctx/a")).unwrap().set_modified(time).unwrap();
    let second = project.build().image("app");
    assert_ne!(first.layer_digests(), second.layer_digests());
    assert_eq!(second.file("a"), "two");
    project.write("ctx/a", "one");
    assert_eq!(project.build().image("app").digest, first.digest);
    // A blob of the cache that was spoilt is not handed on.
    let blob = first.layer_digests()[0].clone();
    let stored = project.path("home/.cache/lapstrake");
    let path = cached(&stored, &blob).expect("the layer is in the cache");
    fs::remove_file(&path).unwrap();
    assert_eq!(project.build().image("app").digest, first.digest, "made again");
}

#[test]
fn semantics_26_layers_carry_their_key() {
    let project = Project::new(
        "[images.base]\nfrom = \"scratch\"\npublish = false\n[[images.base.layers]]\nfiles = { \"/b\" = \"\" }\n[images.app]\nfrom = \"base\"\n[[images.app.layers]]\nfiles = { \"/a\" = \"\" }\n",
    );
    let image = project.build().image("app");
    for (layer, diff_id) in
        image.manifest["layers"].as_array().unwrap().iter().zip(image.config["rootfs"]["diff_ids"].as_array().unwrap())
    {
        assert!(layer["annotations"]["dev.lapstrake.layer.key"].is_string(), "{layer}");
        assert_eq!(layer["annotations"]["dev.lapstrake.layer.diff-id"], *diff_id);
    }
    assert!(image.manifest["annotations"].get("org.opencontainers.image.base.name").is_none());
}

#[test]
fn semantics_27_names_in_an_output() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\ntags = [\"one\", \"two\"]\n");
    let layout = project.build();
    for tag in ["one", "two"] {
        let name = format!("registry.example.com/app:{tag}");
        let annotations = layout.entry(&name)["annotations"].clone();
        assert_eq!(annotations["org.opencontainers.image.ref.name"], name);
        assert_eq!(annotations["io.containerd.image.name"], name);
    }
    project.write("lapstrake.toml", "recipe = 1\n[variants.k8s]\n[images.app]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.web]\nfrom = \"scratch\"\n");
    let layout = project.build();
    layout.image("app:k8s");
    layout.image("web");
}

#[test]
fn semantics_28_what_is_for_one_image() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n[images.web]\nfrom = \"scratch\"\n");
    for arguments in [
        &["-t", "r.example.com/x:1"][..],
        &["--iidfile", "x"],
        &["--digest-file", "x"],
        &["-o", "-", "-o", "oci-archive:-"],
        &["-o", "oci:out:name"],
        &["-o", "r.example.com/x:1"],
    ] {
        project.run(&[&["build"], arguments].concat()).fails(2);
        assert!(
            !project.path("lapstrake-out").exists() && !project.path("out").exists() && !project.path("x").exists()
        );
    }
    let run = project.run(&["build", "app", "-t", "r.example.com/x:1", "-o", "oci:out"]).ok();
    assert_eq!(run.lines()[0][3], "r.example.com/x:1");
}

#[test]
fn semantics_34_a_login_shell_loses_the_path() {
    let recipe = |path: &str, cmd: &str| {
        format!("[images.app]\nfrom = \"scratch\"\nenv = {{ PATH = \"{path}\" }}\ncmd = {cmd}\n")
    };
    let project = Project::new("");
    for (path, cmd, warned) in [
        ("/app/bin:/usr/bin", "[\"bash\", \"-lc\", \"x\"]", true),
        ("/usr/bin:/bin", "[\"bash\", \"-lc\", \"x\"]", false),
        ("/app/bin:/usr/bin", "[\"bash\", \"-c\", \"x\"]", false),
    ] {
        project.recipe(&recipe(path, cmd));
        let told = project.run(&["build", "-o", "oci:out"]).ok().told();
        assert_eq!(told.contains("/app/bin") && told.contains("login shell"), warned, "{told}");
    }
}
