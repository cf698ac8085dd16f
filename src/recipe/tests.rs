use super::*;
use crate::git::{Checkout, Facts};

pub(super) const DESIGN: &str = include_str!("testdata/design.toml");

/// What the tests take from outside.
pub(super) fn inputs() -> Inputs {
    let facts = Facts {
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        branch: Some("feature/x".to_owned()),
        tag: None,
        commit_time: Some(1_769_817_600),
    };
    Inputs {
        environment: BTreeMap::from([("BUILD".to_owned(), "17".to_owned())]),
        git: Checkout::known(facts),
        set: Vec::new(),
    }
}

pub(super) fn good_recipes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("design", DESIGN),
        ("everything", include_str!("testdata/everything.toml")),
        ("archon", include_str!("../../recipes/archon.toml")),
        ("eveai", include_str!("../../recipes/eveai.toml")),
        ("hello", include_str!("../../recipes/hello.toml")),
        ("lapstrake", include_str!("../../recipes/lapstrake.toml")),
        ("static-site", include_str!("../../recipes/static-site.toml")),
    ]
}

#[test]
fn good_recipes_are_read() {
    for (name, text) in good_recipes() {
        if let Err(error) = parse(name, text, &inputs()) {
            panic!("{error}");
        }
    }
}

// --- the numbered lines of semantics.md --------------------------------------------------------------------------------

/// A recipe that is right.
fn read(text: &str) -> Recipe {
    match parse("dir/r.toml", text, &inputs()) {
        Ok(recipe) => recipe,
        Err(error) => panic!("{error}"),
    }
}

/// What is said of one that is wrong: the messages, without their snippets.
fn wrong(text: &str) -> Vec<String> {
    wrong_with(text, &inputs())
}

fn wrong_with(text: &str, inputs: &Inputs) -> Vec<String> {
    match parse("r.toml", text, inputs) {
        Ok(_) => panic!("this is taken:\n{text}"),
        Err(RecipeError::Wrong(all)) => all.iter().map(|diagnostic| diagnostic.message().to_owned()).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// A recipe of one image with these lines.
fn image(lines: &str) -> Image {
    read(&format!("recipe = 1\n[images.app]\nfrom = \"debian:13\"\n{lines}\n")).images.remove(0)
}

fn named<'r>(recipe: &'r Recipe, name: &str) -> &'r Image {
    match recipe.images.iter().find(|image| image.name.to_string() == name) {
        Some(image) => image,
        None => panic!("there is no {name}"),
    }
}

fn values<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|at| at.value.clone()).collect()
}

fn env_of(image: &Image, base: &[&str]) -> Vec<String> {
    let base: Vec<String> = base.iter().map(|line| (*line).to_owned()).collect();
    let (variables, _) = image.env.expand(&base, "arm64");
    variables
        .into_iter()
        .map(|(name, value)| value.map_or(format!("-{name}"), |value| format!("{name}={value}")))
        .collect()
}

fn label(labels: &Labels, key: &str) -> Option<String> {
    labels.get(key).and_then(|label| label.value.as_ref()).map(|label| label.resolve("arm64").unwrap())
}

const LAYERED: &str = r#"
recipe = 1
[project]
tags = ["project"]
repository = "r.example.com/{image}"
format = "docker"
[users.app]
uid = 1001
[defaults]
tags = ["defaults"]
user = "1"
stop_signal = "SIGHUP"
env = { A = "defaults", B = "defaults", C = "defaults", D = "defaults" }
labels = { a = "defaults", b = "defaults" }
exclude = ["defaults"]
modes = { "x" = "0600" }
[[defaults.layers]]
dirs = ["/defaults"]
[variants.v]
user = "3"
stop_signal = "SIGINT"
env = { A = "variant", B = "variant", D = false }
exclude = ["variant"]
cmd = ["variant"]
healthcheck = false
[[variants.v.layers]]
dirs = ["/variant"]
[variants.w]
[images.app]
from = "scratch"
variants = ["v", "w"]
user = "2"
tags = ["{variant}"]
env = { A = "image", B = "image", C = "image" }
labels = { b = false }
exclude = ["image"]
modes = { "x" = "0700" }
cmd = ["image"]
healthcheck = { test = ["CMD", "x"] }
ports = [80]
[[images.app.layers]]
dirs = ["/image"]
[images.app.v]
user = "4"
env = { A = "both" }
exclude = ["both"]
ports = false
[[images.app.v.layers]]
dirs = ["/both"]
"#;

#[test]
fn semantics_01_later_tables_win() {
    let recipe = read(LAYERED);
    let (v, w) = (named(&recipe, "app:v"), named(&recipe, "app:w"));
    let user = |image: &Image| image.user.as_ref().unwrap().value.to_string();
    assert_eq!((user(v), user(w)), ("4".to_owned(), "2".to_owned()));
    let signal = |image: &Image| image.stop_signal.clone().unwrap().value;
    assert_eq!((signal(v), signal(w)), ("SIGINT".to_owned(), "SIGHUP".to_owned()));
    assert_eq!(v.format, crate::oci::Family::Docker);
    assert_eq!((values(&v.tags), values(&w.tags)), (vec!["v".to_owned()], vec!["w".to_owned()]));
    assert_eq!(v.cmd, Setting::Set(vec!["variant".to_owned()]));
    assert_eq!((v.publish, v.encoding), (true, crate::compress::Encoding::GZIP));
}

#[test]
fn semantics_01_tables_merge_and_false_deletes_one() {
    let recipe = read(LAYERED);
    let (v, w) = (named(&recipe, "app:v"), named(&recipe, "app:w"));
    assert_eq!(env_of(v, &[]), ["A=both", "B=variant", "C=image", "-D"]);
    assert_eq!(env_of(w, &[]), ["A=image", "B=image", "C=image", "D=defaults"]);
    assert_eq!(label(&v.labels, "a").as_deref(), Some("defaults"));
    assert_eq!(v.labels["b"].value, None);
}

#[test]
fn semantics_01_exclude_modes_and_layers_go_on() {
    let recipe = read(LAYERED);
    let v = named(&recipe, "app:v");
    assert_eq!(values(&v.rules.exclude), ["defaults", "image", "variant", "both"]);
    let modes: Vec<String> = v.rules.modes.iter().map(|rule| rule.mode.value.to_string()).collect();
    assert_eq!(modes, ["0600", "0700"], "the later wins");
    let paths = |image: &Image| -> Vec<String> {
        let dirs = |source: &At<Source>| match &source.value {
            Source::Dirs(dirs) => {
                dirs[0].path.value.constant().unwrap().under(&Default::default()).unwrap().to_string()
            }
            other => panic!("{other:?}"),
        };
        image.layers.iter().flat_map(|layer| layer.sources.iter().map(dirs)).collect()
    };
    assert_eq!(paths(v), ["/defaults", "/image", "/variant", "/both"]);
    assert_eq!(paths(named(&recipe, "app:w")), ["/defaults", "/image"]);
}

#[test]
fn semantics_01_variants_stand_on_the_same_variant_of_their_base() {
    let recipe = read(
        r#"
        recipe = 1
        [variants.docker]
        [variants.k8s]
        [images.app]
        from = "mid"
        variants = ["docker", "k8s"]
        [images.mid]
        from = "base"
        variants = ["k8s", "docker"]
        [images.base]
        from = "scratch"
        [images.tool]
        from = "scratch"
        variants = ["k8s"]
        [[images.tool.layers]]
        image = { image = "mid", copy = "/x" }
        "#,
    );
    let order: Vec<String> = recipe.images.iter().map(|image| image.name.to_string()).collect();
    assert_eq!(order, ["base", "mid:docker", "app:docker", "mid:k8s", "app:k8s", "tool:k8s"]);
    let needs = |name: &str| named(&recipe, name).needs().iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(needs("app:k8s"), ["mid:k8s"]);
    assert_eq!(needs("mid:docker"), ["base"]);
    assert_eq!(needs("tool:k8s"), ["mid:k8s"]);
    let tool = [named(&recipe, "tool:k8s")];
    let all: Vec<String> = recipe.with_needs(&tool).iter().map(|image| image.name.to_string()).collect();
    assert_eq!(all, ["base", "mid:k8s", "tool:k8s"]);
    let one_variant = "recipe = 1\n[variants.a]\n[variants.b]\n[images.x]\nfrom = \"scratch\"\nvariants = [\"a\"]\n[images.y]\nfrom = \"x\"\nvariants = [\"b\"]\n";
    assert_eq!(wrong(one_variant), ["image `y` is made in variant `b`, and `x` is not"]);
    let named_like_a_key = "recipe = 1\n[variants.env]\n[images.x]\nfrom = \"scratch\"\nvariants = [\"env\"]\n";
    assert_eq!(wrong(named_like_a_key), ["variant `env` has the name of a key of images"]);
}

#[test]
fn semantics_01_false_clears_what_the_base_has() {
    let cleared = image("ports = false\nvolumes = false\nhealthcheck = false\nentrypoint = []\ncmd = []\nshell = []");
    assert_eq!(cleared.ports, Setting::Clear);
    assert_eq!(cleared.volumes, Setting::Clear);
    assert_eq!(cleared.healthcheck, Setting::Clear);
    assert_eq!((cleared.entrypoint, cleared.cmd, cleared.shell), (Setting::Clear, Setting::Clear, Setting::Clear));
    let inherited = image("");
    assert_eq!(inherited.ports, Setting::Inherit);
    assert_eq!(inherited.healthcheck, Setting::Inherit);
    assert_eq!((inherited.user, inherited.workdir, inherited.stop_signal), (None, None, None));
    let set = image("ports = [8080, \"53/udp\", \"8001-8002\"]\nvolumes = [\"/data\"]");
    let ports: Vec<String> = set.ports.value().unwrap().iter().map(Port::to_string).collect();
    assert_eq!(ports, ["53/udp", "8001/tcp", "8002/tcp", "8080/tcp"]);
    assert_eq!(set.volumes.value().unwrap()[0].to_string(), "/data");
    let recipe = read(LAYERED);
    assert_eq!(named(&recipe, "app:v").ports, Setting::Clear, "and what lower tables of the recipe say");
    assert!(named(&recipe, "app:w").healthcheck.value().is_some());
}

#[test]
fn semantics_02_from_inherits_no_defaults_of_the_recipe() {
    let recipe = read(
        r#"
        recipe = 1
        [images.base]
        from = "scratch"
        owner = "1001"
        exclude = ["x"]
        user = "1001"
        env = { A = "1" }
        platforms = ["linux/amd64"]
        [images.app]
        from = "base"
        "#,
    );
    let app = named(&recipe, "app");
    assert_eq!(app.rules, FileRules::default());
    assert_eq!(
        (&app.user, app.env.0.is_empty()),
        (&None, true),
        "the base's config is inherited when the image is made"
    );
    assert_eq!(
        app.platforms.as_ref().unwrap()[0].value.to_string(),
        "linux/amd64",
        "what it is built for is no choice"
    );
}

#[test]
fn semantics_02_a_bare_word_is_an_image_of_the_recipe() {
    let base = |from: &str| read(&format!("recipe = 1\n[images.app]\nfrom = \"{from}\"\n")).images.remove(0).from.value;
    let place = |from: &str| match base(from) {
        Base::Place(place) => place.resolve("arm64").unwrap().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(base("scratch"), Base::Scratch);
    assert_eq!(place("debian:13"), "docker.io/library/debian:13");
    assert_eq!(place("r.example.com/x"), "r.example.com/x");
    assert_eq!(place("oci:dir"), "oci:dir");
    assert_eq!(place("oci-archive:x-{arch}.tar"), "oci-archive:x-arm64.tar");
    assert_eq!(place("docker-archive:../x.tar"), "docker-archive:../x.tar");
    assert_eq!(place("archive:x.tar"), "archive:x.tar");
    assert_eq!(place("r.example.com/{image}:{git.short}"), "r.example.com/app:0123456");
    let bare = "recipe = 1\n[images.base]\nfrom = \"scratch\"\n[images.app]\nfrom = \"bas\"\n";
    let said = parse("r.toml", bare, &inputs()).unwrap_err().to_string();
    assert!(said.contains("did you mean `\"base\"`?"), "{said}");
    assert_eq!(wrong("recipe = 1\n[images.app]\nfrom = \"debian\"\n"), ["there is no image `debian` in this recipe"]);
}

#[test]
fn semantics_03_braces_are_filled_in_where_they_mean_something() {
    let app = image(
        r#"
        repository = "r.example.com/{image}/{git.branch}"
        tags = ["{git.short}", "{env.BUILD}-{env.NONE:-none}"]
        labels = { a = "{image} {arch} {x} {{image}" }
        annotations = { b = "{git.commit}" }
        env = { C = "{arch} {git.short}" }
        [[images.app.layers]]
        copy = ["dist/{arch}/x", { src = "a", dest = "/usr/lib/{arch}/a" }]
        to = "/opt/{arch}"
        archive = "base-{arch}.tar"
        files = { "/text" = "{image} {arch} ${HOME}" }
        "#,
    );
    assert_eq!(app.repository.as_ref().unwrap().value.to_string(), "r.example.com/app/feature-x");
    assert_eq!(values(&app.tags), ["0123456", "17-none"]);
    assert_eq!(label(&app.labels, "a").as_deref(), Some("app arm64 {x} {image}"));
    assert_eq!(label(&app.annotations, "b").unwrap().len(), 40);
    assert_eq!(env_of(&app, &[]), ["C=arm64 0123456"]);
    let layer = &app.layers[0];
    assert_eq!(layer.to.as_ref().unwrap().value.resolve("amd64").unwrap().to_string(), "/opt/amd64");
    let [copy, archive, files] = layer.sources.as_slice() else { panic!("{:?}", layer.sources) };
    let Source::Copy(copy) = &copy.value else { panic!("{copy:?}") };
    assert_eq!(copy[0].value.what.resolve("arm64").unwrap().path(), "dist/arm64/x");
    let Source::Archive(archive) = &archive.value else { panic!("{archive:?}") };
    assert_eq!(archive[0].value.path.resolve("arm64").unwrap().as_str(), "base-arm64.tar");
    let Source::Files(files) = &files.value else { panic!("{files:?}") };
    assert_eq!(files[0].text, "{image} {arch} ${HOME}", "the text of a file is never touched");
    assert_eq!(
        wrong("recipe = 1\n[images.app]\nfrom = \"scratch\"\ntags = [\"{env.NONE}\"]\n"),
        ["environment variable `NONE` is not set"]
    );
}

#[test]
fn semantics_04_env_sees_the_base_alone() {
    let app = image(r#"env = { PATH = "/app/bin:${PATH}", ROLE = "web", X = "${ROLE:-none}", OLD = false }"#);
    assert_eq!(env_of(&app, &["PATH=/bin", "OLD=1"]), ["-OLD", "PATH=/app/bin:/bin", "ROLE=web", "X=none"]);
    let eveai = read(DESIGN);
    let base = named(&eveai, "base");
    let path =
        |base_env: &[&str]| env_of(base, base_env).into_iter().find(|line| line.starts_with("PYTHONPATH=")).unwrap();
    assert_eq!(path(&[]), "PYTHONPATH=/app:/app/patched_packages");
    assert_eq!(path(&["PYTHONPATH=/x"]), "PYTHONPATH=/app:/app/patched_packages:/x");
}

#[test]
fn semantics_04_a_list_with_an_empty_entry_is_told_with_its_place() {
    let recipe = read("recipe = 1\n[images.app]\nfrom = \"scratch\"\nenv = { P = \"/app:${P}\" }\n");
    let (variables, warnings) = recipe.images[0].env.expand(&[], "amd64");
    assert_eq!(variables["P"].as_deref(), Some("/app:"));
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    let drawn = recipe.warning(warning.span, &warning.message).help(&warning.help).to_string();
    insta::assert_snapshot!(drawn, @r#"
    warning: `${P}` is empty in the base: the list `/app:` gets an empty entry, which many programs take for the current directory
     --> dir/r.toml:4:13
      |
    4 | env = { P = "/app:${P}" }
      |             ^^^^^^^^^^^
      |
      = help: write `…${P:+:${P}}`, without the colon in front
    "#);
}

#[test]
fn semantics_05_git_is_looked_at_only_where_it_is_named() {
    let without = "recipe = 1\n[images.app]\nfrom = \"scratch\"\ntags = [\"x\"]\n";
    assert!(parse("r.toml", without, &Inputs::default()).is_ok());
    let with = without.replace("\"x\"", "\"{git.short}\"");
    let said = wrong_with(&with, &Inputs::default());
    assert_eq!(said, ["`{git.short}` is not known: there is no git checkout at `.` or above it"]);
    let unpublished = with.replace("from", "publish = false\nfrom");
    assert!(
        parse("r.toml", &unpublished, &Inputs::default()).is_ok(),
        "tags of what is not published are not filled in"
    );
    let commit = "recipe = 1\n[images.app]\nfrom = \"scratch\"\ncreated = \"commit\"\n";
    assert_eq!(read(commit).images[0].created.unwrap().value.as_second(), 1_769_817_600);
    assert_eq!(
        wrong_with(commit, &Inputs::default())[0],
        "the date of the commit is not known: there is no git checkout at `.` or above it"
    );
}

#[test]
fn what_is_filled_in_nowhere_is_told_and_braces_are_left() {
    let recipe = read(
        r#"
        recipe = 1
        [variants.k8s]
        [images.app]
        from = "scratch"
        variants = ["k8s"]
        cmd = ["serve", "--as", "{variant}", "{\"a\": 1}", "${image}", "{{image}", "x/\u007Bimage}", "\u007Barch}{arch}"]
        exclude = ["{arch}/**"]
        [[images.app.layers]]
        files = { "/a" = "{image} {name}", "/b" = "of {git.short}" }
        "#,
    );
    let told: Vec<String> = recipe.warnings.iter().map(|warning| warning.message().to_owned()).collect();
    assert_eq!(
        told,
        [
            "`{variant}` is not filled in in `cmd`",
            "`{arch}` is not filled in in `cmd`",
            "`{arch}` is not filled in in `exclude`",
            "`{git.short}` is not filled in in `files`",
        ]
    );
    let Setting::Set(cmd) = &recipe.images[0].cmd else { panic!("no cmd") };
    assert_eq!((&*cmd[2], &*cmd[6]), ("{variant}", "x/{image}"));
    assert!(recipe.warnings[0].render(Style::default()).contains(r"write the brace as `\u007B`"));
    // Warnings leave room for errors.
    let many = "\"{image}\", ".repeat(200);
    wrong(&format!("recipe = 1\n[images.a]\nfrom = \"scratch\"\ncmd = [{many}]\ntags = [\"{{commit}}\"]\n"));
}

#[test]
fn semantics_06_tags_have_a_default_and_no_doubles() {
    assert_eq!(values(&image("").tags), ["latest"]);
    assert_eq!(values(&image("tags = []").tags), [] as [String; 0]);
    assert_eq!(
        values(&image("tags = [\"a\", \"{image}\", \"app\"]").tags),
        ["a", "app"],
        "two that come to the same are one"
    );
    assert_eq!(values(&image("publish = false").tags), [] as [String; 0]);
    let recipe = read(
        "recipe = 1\n[variants.k8s]\n[images.a]\nfrom = \"scratch\"\nvariants = [\"k8s\"]\n[images.b]\nfrom = \"scratch\"\n",
    );
    assert_eq!(values(&named(&recipe, "a:k8s").tags), ["k8s"]);
    let doubles = "recipe = 1\n[project]\nrepository = \"r.example.com/x\"\n[images.a]\nfrom = \"scratch\"\n[images.b]\nfrom = \"scratch\"\n";
    assert_eq!(wrong(doubles), ["images `a` and `b` have one name: r.example.com/x:latest"]);
    assert!(parse("r.toml", &doubles.replace("/x", "/{image}"), &inputs()).is_ok());
    assert!(parse("r.toml", &doubles.replace("[images.b]", "[images.b]\npublish = false"), &inputs()).is_ok());
    let references = image("repository = \"r.example.com/x\"\ntags = [\"1\", \"2\"]").references();
    assert_eq!(
        references.iter().map(|at| at.value.to_string()).collect::<Vec<_>>(),
        ["r.example.com/x:1", "r.example.com/x:2"]
    );
}

#[test]
fn semantics_07_toml_s_trap_is_told() {
    let trap =
        "recipe = 1\n[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"x\"]\nentrypoint = [\"/x\"]\n";
    assert_eq!(wrong(trap), ["image key `entrypoint` inside a layer: move it above `[[images.app.layers]]`"]);
    let string = "recipe = 1\n[images.app]\nfrom = \"scratch\"\ncmd = \"bash -lc x\"\n";
    let said = parse("r.toml", string, &inputs()).unwrap_err().to_string();
    assert!(said.contains(r#"the exec form is `cmd = ["bash", "-lc", "x"]`"#), "{said}");
}

#[test]
fn semantics_08_copy_takes_names_contents_and_exact_paths() {
    let app = image(
        "[[images.app.layers]]\ncopy = [\"a\", \"b/\", \".\", \"*.py\", { src = \"c\", dest = \"/d\" }, { src = \"e\", dest = \"f\" }]\nto = \"/app\"",
    );
    let Source::Copy(items) = &app.layers[0].sources[0].value else { panic!() };
    let to = app.layers[0].to.as_ref().unwrap().value.resolve("amd64").unwrap();
    let shown: Vec<String> = items
        .iter()
        .map(|item| {
            let what = item.value.what.constant().unwrap();
            let dest =
                item.value.dest.as_ref().map(|dest| dest.value.constant().unwrap().under(&to).unwrap().to_string());
            format!("{}|{}|{}|{}", what.path(), what.is_contents(), what.is_pattern(), dest.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a|false|false|",
            "b|true|false|",
            "|true|false|",
            "*.py|false|true|",
            "c|false|false|/d",
            "e|false|false|/app/f"
        ]
    );
    assert_eq!(
        image("[[images.app.layers]]\ncopy = \"x\"").layers[0].to,
        None,
        "the workdir, where the layer is planned"
    );
}

#[test]
fn semantics_09_rules_of_the_image_reach_what_is_copied() {
    let app = image(
        "owner = \"1\"\nmode = \"0600\"\nexclude = [\"a\"]\nmodes = { x = \"0700\" }\n[[images.app.layers]]\ncopy = \"x\"\nowner = \"2\"\nexclude = [\"b\"]\nmodes = { y = \"0755\" }",
    );
    let layer = &app.layers[0];
    let rules = app.rules_of(layer);
    assert_eq!(rules.owner.unwrap().value.to_string(), "2");
    assert_eq!(rules.mode.unwrap().value, FileMode::parse("0600").unwrap());
    assert_eq!(values(&rules.exclude), ["a", "b"]);
    assert_eq!(rules.modes.len(), 2);
    assert_eq!(values(&layer.rules.exclude), ["b"], "archives and packages take only these");
    assert_eq!(layer.rules.mode, None);
}

#[test]
fn semantics_10_patterns_keep_their_order() {
    let app = image(
        "[[images.app.layers]]\ncopy = \"x\"\ninclude = [\"**/*.py\"]\nexclude = [\"b\", \"!a\"]\nmodes = { \"z\" = \"0600\", \"a\" = \"0700\" }",
    );
    let layer = &app.layers[0];
    assert_eq!(values(&layer.include), ["**/*.py"]);
    assert_eq!(values(&layer.rules.exclude), ["b", "!a"]);
    let patterns: Vec<&str> = layer.rules.modes.iter().map(|rule| rule.pattern.value.as_str()).collect();
    assert_eq!(patterns, ["z", "a"], "as written, not sorted: the later wins");
}

#[test]
fn semantics_12_hard_links_are_kept_on_request() {
    assert!(!image("[[images.app.layers]]\ncopy = \"x\"").layers[0].hardlinks);
    assert!(image("[[images.app.layers]]\ncopy = \"x\"\nhardlinks = true").layers[0].hardlinks);
}

#[test]
fn semantics_13_files_images_downloads_and_certificates() {
    let recipe = read(include_str!("testdata/everything.toml"));
    let layer = &named(&recipe, "full:plain").layers[0];
    let keys: Vec<&str> = layer.sources.iter().map(|source| source.value.key()).collect();
    assert_eq!(
        keys,
        ["copy", "files", "dirs", "symlinks", "archive", "image", "fetch", "ca", "caps", "remove", "debian", "python"]
    );
    assert_eq!(layer.title(), "all kinds");
    for source in &layer.sources {
        assert_eq!(recipe.sources().text(source.span), source.value.key());
        match &source.value {
            Source::Files(files) => {
                assert_eq!((files[0].text.as_str(), files[0].mode), ("hello\n", None));
                assert_eq!(files[1].mode.unwrap().value.bits(), 0o600);
                assert_eq!(files[1].owner.as_ref().unwrap().value.numeric(), Some(crate::tree::Owner::ROOT));
            }
            Source::Image(items) => {
                assert_eq!(
                    items[0].value.from.value,
                    Base::Image(ImageName { image: "base".to_owned(), variant: None })
                );
                assert!(matches!(items[1].value.from.value, Base::Place(_)));
                assert!(items[1].value.copy[0].value.what.constant().unwrap().0.is_contents());
            }
            Source::Fetch(items) => {
                let (tool, archive) = (&items[0].value, &items[1].value);
                let url = tool.url.value.resolve("arm64").unwrap();
                assert_eq!((url.as_str(), tool.file_name(&url).as_str()), ("https://example.com/tool-arm64", "tool"));
                assert_ne!(tool.sha256.of("amd64"), tool.sha256.of("arm64"));
                assert_eq!(tool.sha256.of("s390x"), None);
                assert_eq!((archive.unpack, tool.unpack), (Some(1), None));
                assert_eq!(archive.file_name(&archive.url.value.resolve("amd64").unwrap()), "x.tar.gz");
            }
            Source::Ca(files) => assert_eq!(files[0].value.constant().unwrap().as_str(), "certs/company.pem"),
            _ => {}
        }
    }
}

#[test]
fn semantics_14_users_have_numbers() {
    let recipe = read(
        "recipe = 1\n[users.app]\nuid = 1001\ngid = 0\n[users.b]\nuid = 5\n[images.x]\nfrom = \"scratch\"\nusers = [\"app\"]\nuser = \"app\"\nowner = \"1001\"\n",
    );
    let app = &recipe.users["app"];
    assert_eq!(
        (app.owner().to_string(), app.home.to_string(), app.shell.to_string()),
        ("1001:0".to_owned(), "/home/app".to_owned(), "/sbin/nologin".to_owned())
    );
    assert!(!app.create_home);
    assert_eq!(recipe.users["b"].gid, 5);
    assert_eq!(recipe.images[0].rules.owner.as_ref().unwrap().value.numeric().unwrap().to_string(), "1001:1001");
    let same = "recipe = 1\n[users.a]\nuid = 1\n[users.b]\nuid = 1\n[images.x]\nfrom = \"scratch\"\n";
    assert_eq!(wrong(same), ["users `a` and `b` have the same uid"]);
}

#[test]
fn semantics_18_compression_has_a_kind_and_a_level() {
    use crate::compress::Encoding;
    for (text, encoding) in [
        ("", Encoding::Gzip { level: 6 }),
        ("compression = \"gzip\"", Encoding::GZIP),
        ("compression = \"zstd\"", Encoding::ZSTD),
        ("compression = \"none\"", Encoding::None),
        ("compression = { kind = \"gzip\", level = 12, members = \"many\" }", Encoding::Gzip { level: 12 }),
        ("compression = { kind = \"gzip\", members = \"single\" }", Encoding::GzipSingle { level: 6 }),
        ("compression = { kind = \"zstd\", level = 19 }", Encoding::Zstd { level: 19 }),
    ] {
        assert_eq!(image(text).encoding, encoding, "{text}");
    }
}

#[test]
fn semantics_19_created_is_a_date() {
    let second = |text: &str| image(text).created.map(|at| at.value.as_second());
    assert_eq!(second(""), None);
    for text in [
        "created = 2026-01-31",
        "created = \"2026-01-31\"",
        "created = 2026-01-31T01:00:00+01:00",
        "created = 2026-01-31 00:00:00Z",
    ] {
        assert_eq!(second(text), Some(1_769_817_600), "{text}");
    }
}

#[test]
fn semantics_20_docker_has_no_zstd() {
    use crate::oci::Family;
    assert_eq!((image("").format, image("format = \"docker\"").format), (Family::Oci, Family::Docker));
    let both = "recipe = 1\n[defaults]\ncompression = \"zstd\"\n[images.x]\nfrom = \"scratch\"\nformat = \"docker\"\n";
    assert_eq!(wrong(both), ["Docker's format has no media type for zstd"]);
}

#[test]
fn semantics_31_33_packages_take_what_is_said_once() {
    let recipe = read(
        r#"
        recipe = 1
        [debian]
        suites = ["trixie"]
        slim = true
        compile = true
        [python]
        index = "https://index.example.com/simple"
        compile = true
        break_system_packages = true
        [images.x]
        from = "scratch"
        [[images.x.layers]]
        debian = ["curl"]
        [[images.x.layers]]
        debian = { packages = ["x.deb"], suites = ["sid"], slim = false, skip_scripts = ["odd"], essential = true }
        [[images.x.layers]]
        python = { requirements = "r.txt" }
        [[images.x.layers]]
        python = { wheels = ["x.whl"], target = "/site", version = "3.12", compile = false, break_system_packages = false }
        "#,
    );
    let sources: Vec<&Source> = recipe.images[0].layers.iter().map(|layer| &layer.sources[0].value).collect();
    let [Source::Debian(plain), Source::Debian(own), Source::Python(locked), Source::Python(wheels)] =
        sources.as_slice()
    else {
        panic!()
    };
    assert_eq!(
        (values(&plain.suites), plain.slim, plain.compile, plain.essential),
        (vec!["trixie".to_owned()], true, true, false)
    );
    assert_eq!(
        (values(&own.suites), own.slim, own.compile, own.essential),
        (vec!["sid".to_owned()], false, true, true)
    );
    assert_eq!(values(&own.skip_scripts), ["odd"]);
    assert_eq!((locked.indexes[0].name.as_str(), locked.compile), ("default", true));
    assert_eq!((locked.break_system_packages, wheels.break_system_packages), (true, false));
    assert_eq!(locked.target, packages::PythonTarget::Interpreter);
    assert_eq!((wheels.compile, wheels.version.as_ref().unwrap().value.as_str()), (false, "3.12"));
    assert_eq!(wheels.input, packages::PythonInput::None);
}

// --- the rest ----------------------------------------------------------------------------------------------------------

#[test]
fn the_design_s_example_means_what_it_says() {
    let recipe = read(DESIGN);
    let order: Vec<String> = recipe.images.iter().map(|image| image.name.to_string()).collect();
    assert_eq!(order, ["python", "base", "app"]);
    assert_eq!(recipe.context, Path::new("dir/../testdata/eveai"));
    assert_eq!(recipe.name.as_ref().unwrap().value, "eveai");
    let base = named(&recipe, "base");
    let references: Vec<String> = base.references().iter().map(|at| at.value.to_string()).collect();
    assert_eq!(references, ["registry.example.com/eveai/base:latest", "registry.example.com/eveai/base:0123456"]);
    assert_eq!(base.user.as_ref().unwrap().value.to_string(), "appuser");
    assert_eq!(base.workdir.as_ref().unwrap().value.to_string(), "/app");
    assert_eq!(base.platforms.as_ref().unwrap().len(), 2);
    assert_eq!(base.layers.iter().map(Layer::title).collect::<Vec<_>>(), ["dependencies", "common"]);
    assert_eq!(named(&recipe, "app").layers[0].title(), "copy");
    assert!(!named(&recipe, "python").publish && named(&recipe, "python").tags.is_empty());
    assert!(recipe.warnings.is_empty());
}

#[test]
fn archon_is_eight_images() {
    let recipe = parse("archon.toml", include_str!("../../recipes/archon.toml"), &inputs()).unwrap();
    let all = recipe.select(&[], &[]).unwrap();
    assert_eq!(all.len(), 8);
    let k8s = recipe.select(&[], &["k8s".to_owned()]).unwrap();
    assert_eq!(k8s.len(), 4);
    let one = recipe.select(&["server:k8s".to_owned()], &[]).unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(values(&one[0].tags), ["k8s-latest", "k8s-0123456"]);
    assert_eq!(one[0].healthcheck, Setting::Clear);
    assert_eq!(one[0].user.as_ref().unwrap().value.to_string(), "appuser");
    let docker = recipe.select(&["server".to_owned()], &["docker".to_owned()]).unwrap();
    assert_eq!(docker[0].healthcheck.value().unwrap().value.interval, Some(30_000_000_000));
    assert_eq!(docker[0].user, None);
    let mut tags: Vec<String> =
        all.iter().flat_map(|image| image.references()).map(|at| at.value.to_string()).collect();
    assert_eq!(tags.len(), 4 * 3 + 4 * 2);
    tags.dedup();
    assert_eq!(tags.len(), 20);
    let unknown = recipe.select(&["sever".to_owned()], &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no image `sever` in the recipe: did you mean `server`?");
    let unknown = recipe.select(&[], &["k8".to_owned()]).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no variant `k8` in the recipe: did you mean `k8s`?");
}

#[test]
fn set_replaces_keys_of_the_project() {
    let set = |pairs: &[(&str, &str)]| Inputs {
        set: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..inputs()
    };
    let text = "recipe = 1\n[images.app]\nfrom = \"scratch\"\n";
    let recipe = parse(
        "r.toml",
        text,
        &set(&[
            ("repository", "r.example.com/{image}"),
            ("tags", "a, {git.short}"),
            ("repository", "s.example.com/\"x"),
        ]),
    );
    let said = recipe.unwrap_err().to_string();
    assert!(said.contains("--> --set:1:14"), "{said}");
    let recipe = parse(
        "r.toml",
        text,
        &set(&[
            ("repository", "x.example.com/y"),
            ("repository", "r.example.com/{image}"),
            ("tags", "a, {git.short}"),
            ("context", ".."),
        ]),
    )
    .unwrap();
    let references: Vec<String> = recipe.images[0].references().iter().map(|at| at.value.to_string()).collect();
    assert_eq!(references, ["r.example.com/app:a", "r.example.com/app:0123456"]);
    assert_eq!(recipe.context, Path::new(".."));
    let over = parse("r.toml", &format!("{text}[project]\ntags = [\"old\"]\n"), &set(&[("tags", "")])).unwrap();
    assert_eq!(over.images[0].tags, []);
    assert_eq!(wrong_with(text, &set(&[("repo", "x")])), ["unknown key `repo` in `[project]`"]);
    assert_eq!(wrong_with(text, &set(&[("a.b = 1\nc", "x")])), ["unknown key `a.b = 1\\nc` in `[project]`"]);
}

#[test]
fn texts_from_elsewhere_are_filled_in() {
    let image = ImageName { image: "app".to_owned(), variant: Some("k8s".to_owned()) };
    assert_eq!(
        fill("oci-archive:out-{git.short}-{env.BUILD}.tar", &inputs(), None).as_deref(),
        Ok("oci-archive:out-0123456-17.tar")
    );
    assert_eq!(fill("{image}.{variant}.tar", &inputs(), Some(&image)).as_deref(), Ok("app.k8s.tar"));
    let fault = fill("{image}.tar", &inputs(), None).unwrap_err();
    assert_eq!(fault.to_string(), "`{image}` has no value in `{image}.tar`");
    assert!(fill("{arch}", &inputs(), Some(&image)).is_err());
    assert_eq!(
        fill("{env.NONE}", &inputs(), None).unwrap_err().hint(),
        Some("set it, or give a default: `{env.NONE:-…}`")
    );
}

#[test]
fn files_are_read_whole_or_not_at_all() {
    let scratch = tempfile::Builder::new().prefix("lapstrake-recipe-").tempdir().unwrap();
    let path = scratch.path().join("r.toml");
    let missing = load(&path, &Inputs::default()).unwrap_err();
    assert!(matches!(&missing, RecipeError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound));
    std::fs::write(&path, b"recipe = 1\n\xff").unwrap();
    let error = load(&path, &Inputs::default()).unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "line 2 is not UTF-8");
    std::fs::write(&path, vec![b'#'; MAX_RECIPE as usize + 1]).unwrap();
    assert!(load(&path, &Inputs::default()).is_err());
    std::fs::write(&path, "\u{feff}recipe = 1\r\n[images.app]\r\nfrom = \"scratch\"\r\n").unwrap();
    let recipe = load(&path, &Inputs::default()).unwrap();
    assert_eq!(recipe.context, scratch.path());
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    /// Any answer will do, as long as there is one, and it can be shown.
    fn judge(text: &str) {
        if let Err(error) = parse("r.toml", text, &inputs()) {
            let said = error.to_string();
            let bad = |c: char| c.is_control() && c != '\n';
            assert!(!said.is_empty() && !said.contains(bad), "{said:?}");
        }
    }

    fn good() -> impl Strategy<Value = &'static str> {
        prop::sample::select(good_recipes().into_iter().map(|(_, text)| text).collect::<Vec<_>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn any_text_is_judged(text in "(\\PC|[\\[\\]{}\"'=.,\n#a-c0-9]){0,120}") {
            judge(&text);
            judge(&format!("recipe = 1\n[images.a]\nfrom = \"scratch\"\n{text}"));
        }

        #[test]
        fn any_mutation_is_judged(text in good(), cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..30usize, "(\\PC|[\\[\\]{}\"'=.,\n$:/@]){0,4}"), 1..5)) {
            let mut text = text.to_owned();
            for (at, length, with) in cuts {
                let start = text.floor_char_boundary(at.index(text.len() + 1));
                let end = text.ceil_char_boundary((start + length).min(text.len()));
                text.replace_range(start..end, &with);
            }
            judge(&text);
        }

        #[test]
        fn any_value_is_judged(text in good(), at in any::<prop::sample::Index>(), with in prop::sample::select(vec![
            "1", "-1", "\"\"", "\"x\"", "true", "false", "[]", "{}", "[1]", "[\"x\", 2]", "{ a = 1 }", "1979-05-27", "0.1", "[{}]", "\"/\"", "\"..\"", "99999999999999999999",
            "[[\"x\"]]", "\"{arch}\"", "\"{git.short}\"", "\"${X}\"", "\"\\u0000\"",
        ])) {
            let lines: Vec<usize> = text.lines().enumerate().filter(|(_, line)| line.contains(" = ")).map(|(line, _)| line).collect();
            let chosen = lines[at.index(lines.len())];
            let changed: Vec<String> = text.lines().enumerate().map(|(line, text)| match text.split_once(" = ") {
                Some((key, _)) if line == chosen => format!("{key} = {with}"),
                _ => text.to_owned(),
            }).collect();
            judge(&changed.join("\n"));
        }

        #[test]
        fn lines_in_any_order_are_judged(text in good().prop_flat_map(|text| Just(text.lines().collect::<Vec<_>>()).prop_shuffle())) {
            judge(&text.join("\n"));
        }
    }

    #[test]
    fn large_nonsense_is_judged_soon() {
        const LENGTH: usize = 200_000;
        let lines = |line: &dyn Fn(usize) -> String| -> String {
            let mut text = String::from("recipe = 1\n[images.a]\nfrom = \"scratch\"\n");
            for number in 0.. {
                let line = line(number);
                if text.len() + line.len() + 1 > LENGTH {
                    break;
                }
                text.push_str(&line);
                text.push('\n');
            }
            text
        };
        let body = "x".repeat(LENGTH);
        for text in [
            lines(&|number| format!("k{number} = 1")),
            lines(&|number| format!("[images.i{number}]\nfrom = \"i{}\"", number + 1)),
            lines(&|number| format!("[users.u{number}]\nuid = 1")),
            format!("recipe = 1\n{}a = 1\na = 2\n", "\n".repeat(LENGTH)),
            lines(&|number| format!("[variants.v{number}]\n[images.a.v{number}]")),
            format!("recipe = 1\n[images.a]\nfrom = \"{}\"\n", body.replace("xx", "{a")),
            format!("recipe = 1\n[images.a]\nfrom = \"{}\"\n", body.replace("xx", "@:")),
            format!(
                "recipe = 1\n[images.a]\nfrom = \"scratch\"\nenv = {{ A = \"{}\" }}\n",
                body.replace("xxxxx", "${A:-")
            ),
            format!("recipe = 1\n[images.a]\nfrom = \"scratch\"\ntags = [{}]\n", body.replace("xxxxx", "'a', ")),
            format!(
                "recipe = 1\n[images.a]\nfrom = \"scratch\"\nports = [{}]\n",
                body.replace("xxxxxxxxxxx", "'1-65535', ")
            ),
            format!(
                "recipe = 1\n[images.a]\nfrom = \"scratch\"\nplatforms = [{}]\n",
                body.replace(&"x".repeat(15), "'linux/amd64', ")
            ),
        ] {
            let start = std::time::Instant::now();
            judge(&text);
            assert!(start.elapsed().as_secs() < 60, "{:.80}", text.replace('\n', " "));
        }
    }
}
