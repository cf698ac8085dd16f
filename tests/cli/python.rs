//! Layers of Python packages: wheels laid out as pip would, with no interpreter, for any platform.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::file_server::Fault;
use super::mirror::Mirrored;
use super::support::{Base, Image, Project, Tar};
use super::wheel::Wheel;

/// A Debian system with Python 3.13.5 and glibc 2.41, as far as files tell.
pub(crate) fn debian_python(architecture: &str) -> Base {
    system("3.13", "3.13.5-2", "2.41-12", architecture)
}

pub(crate) fn system(short: &str, python: &str, libc: &str, architecture: &str) -> Base {
    let stanza = |name: &str, version: &str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n\
             Maintainer: x <x@example.com>\nDescription: x\n\n"
        )
    };
    let status = stanza(&format!("python{short}-minimal"), python) + &stanza("libc6", libc);
    let tar = [
        "etc",
        "usr",
        "usr/bin",
        "usr/lib",
        &format!("usr/lib/python{short}"),
        "usr/local",
        "var",
        "var/lib",
        "var/lib/dpkg",
    ]
    .iter()
    .fold(Tar::new().link("bin", "usr/bin").link("lib", "usr/lib"), |tar, path| {
        tar.dir(&format!("{path}/"), 0o755, 0, 0)
    })
    .file(&format!("usr/bin/python{short}"), 0o755, "an interpreter")
    .link("usr/bin/python3", &format!("python{short}"))
    .file(&format!("usr/lib/python{short}/EXTERNALLY-MANAGED"), 0o644, "x")
    .file("var/lib/dpkg/status", 0o644, &status);
    let mut base = Base::of(tar.end());
    base.config["architecture"] = serde_json::json!(architecture);
    base
}

/// Modules and data.
fn library() -> Wheel {
    Wheel::new("My.Tool", "1.0")
        .file("my_tool/__init__.py", "def run():\n    return 'it runs'\n")
        .bytes("my_tool/helper.sh", 0o755, b"echo\n")
        .bytes("my_tool/private.txt", 0o600, b"x\n")
        .data("data/etc/my-tool.conf", "x = 1\n")
}

/// The same with programs.
fn pure() -> Wheel {
    library().script("my-tool", "my_tool:run").data("scripts/old-tool", "#!python\nprint('old')\n")
}

/// One image `app` with one layer, `python = …`.
pub(super) fn app(from: &str, python: &str) -> String {
    format!("[images.app]\nfrom = \"{from}\"\n[[images.app.layers]]\nname = \"wheels\"\npython = {python}\n")
}

/// A project with that wheel in its context.
fn with_wheel(wheel: &Wheel) -> Project {
    let project = Project::empty();
    project.write(&format!("ctx/dist/{}", wheel.file_name()), wheel.build());
    project
}

/// Lays an image out, and asks a Python of this machine what it sees in one directory.
fn seen(project: &Project, image: &Image, library: &str, code: &str) -> String {
    let tree = project.path("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir(&tree).unwrap();
    for layer in &image.layers {
        fs::write(project.path("layer.tar"), layer).unwrap();
        let arguments = ["-x", "--no-same-owner", "-f", "layer.tar", "-C", "tree"];
        assert!(project.wrapped("tar", &[], &arguments).status().unwrap().success());
    }
    let code = format!("import sys, importlib.metadata as m\nsys.path.insert(0, sys.argv[1])\n{code}");
    let mut command: Command =
        project.wrapped("python3", &["-S", "-c", &code], &[tree.join(library).to_str().unwrap()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every file that RECORD lists is there, with the digest that it says; prints how many have one.
const CHECK_RECORD: &str = "
import hashlib, base64
d = m.distribution('my.tool')
hashed = 0
for f in d.files:
    data = f.locate().read_bytes()
    if f.hash:
        hashed += 1
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
        assert digest == f.hash.value and len(data) == f.size, f
    else:
        assert str(f).endswith('RECORD'), f
print(d.version, d.read_text('INSTALLER').strip(), hashed)
";

#[test]
fn wheels_by_path_need_no_python_and_no_network() {
    let project = with_wheel(&library());
    project.recipe(&app("scratch", "{ wheels = [\"dist/*.whl\"], target = \"/site\", version = \"3.13\" }"));
    let run = project.run(&["lock", "--offline"]).ok();
    assert_eq!(run.stdout(), "+ python my-tool 1.0 (linux/amd64)\n");
    project.run(&["build", "--locked", "--offline", "-o", "oci:out"]).ok();
    let image = project.layout("out").image("app");
    let top = image.top();
    for line in [
        "f 0644 0:0 site/my_tool/__init__.py 32",
        "f 0755 0:0 site/my_tool/helper.sh 5",
        "f 0644 0:0 site/my_tool/private.txt 2",
        "f 0644 0:0 site/etc/my-tool.conf 6",
    ] {
        assert!(top.lines().any(|found| found == line), "{line} in\n{top}");
    }
    assert_eq!(image.file("site/My_Tool-1.0.dist-info/INSTALLER"), "pip\n");
    assert!(top.contains("My_Tool-1.0.dist-info/REQUESTED 0"), "{top}");
    assert!(seen(&project, &image, "site", CHECK_RECORD).starts_with("1.0 pip "));
    assert_eq!(seen(&project, &image, "site", "import my_tool; print(my_tool.run())"), "it runs\n");
    // Another file of that name is another question.
    project.write("ctx/dist/My_Tool-1.0-py3-none-any.whl", Wheel::new("My.Tool", "1.0").file("my_tool.py", "").build());
    project.run(&["build", "--locked", "--offline", "-o", "oci:out"]).fails(4);
    // Programs need an interpreter that the image has.
    project.write("ctx/dist/My_Tool-1.0-py3-none-any.whl", pure().build());
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("site/bin/my-tool") && told.contains("/usr/bin/python3"), "{told}");
    // Without a place of their own, packages need an interpreter.
    project.recipe(&app("scratch", "{ wheels = [\"dist/*.whl\"] }"));
    let told = project.run(&["build", "-o", "oci:out"]).told();
    assert!(told.contains("no Python") && told.contains("lapstrake.toml:"), "{told}");
}

/// Where Debian's own interpreter looks for what pip installs, and in a virtual environment.
#[test]
fn the_images_interpreter_finds_them() {
    let project = with_wheel(&pure());
    debian_python("amd64").layout(&project.path("ctx/base"));
    project.recipe(&app("oci:base", "{ wheels = [\"dist/*.whl\"] }"));
    let image = project.build().image("app");
    let library = "usr/local/lib/python3.13/dist-packages";
    assert!(image.top().contains(&format!("{library}/my_tool/__init__.py")), "{}", image.top());
    assert!(image.file("usr/local/bin/my-tool").starts_with("#!/usr/bin/python3\n"));
    assert_eq!(image.file("usr/local/etc/my-tool.conf"), "x = 1\n");
    assert!(seen(&project, &image, library, CHECK_RECORD).starts_with("1.0 pip "));

    project.recipe(&app("oci:base", "{ wheels = [\"dist/*.whl\"], venv = \"/app/.venv\" }"));
    let image = project.build().image("app");
    let library = "app/.venv/lib/python3.13/site-packages";
    assert!(image.file("app/.venv/pyvenv.cfg").contains("home = /usr/bin"), "{}", image.file("app/.venv/pyvenv.cfg"));
    for link in ["python -> /usr/bin/python3", "python3 -> python", "python3.13 -> python"] {
        assert!(image.top().contains(&format!("app/.venv/bin/{link}\n")), "{link} in {}", image.top());
    }
    assert!(image.file("app/.venv/bin/my-tool").starts_with("#!/app/.venv/bin/python"));
    assert!(seen(&project, &image, library, CHECK_RECORD).starts_with("1.0 pip "));
}

#[test]
fn each_platform_gets_its_own_wheel() {
    let native = |tag: &str| Wheel::new("native", "2.0").tag(tag).file("native/_speed.so", tag);
    let mut mirrored = Mirrored::new();
    let mut hashes = String::new();
    for tag in [
        "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_99_x86_64",
        "cp313-cp313-manylinux_2_17_aarch64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp313-cp313-macosx_11_0_arm64",
        "cp313-cp313-win_amd64",
    ] {
        let wheel = native(tag);
        hashes.push_str(&format!(" \\\n    --hash=sha256:{}", wheel.sha256()));
        mirrored.index.add(&wheel);
    }
    mirrored.index.publish();
    mirrored.project.write("ctx/requirements.txt", format!("native==2.0{hashes}\n"));
    Base::index(&[debian_python("amd64"), debian_python("arm64")], &mirrored.project.path("ctx/base"));
    mirrored.recipe(&format!(
        "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n{}",
        app("oci:base", "{ requirements = \"requirements.txt\" }")
    ));
    mirrored.lock(&[]);
    let images = mirrored.build_with(&["--locked"]).platforms("app");
    let file = "usr/local/lib/python3.13/dist-packages/native/_speed.so";
    assert_eq!(images["linux/amd64"].file(file), "cp313-cp313-manylinux_2_28_x86_64");
    assert_eq!(images["linux/arm64"].file(file), "cp313-cp313-manylinux_2_17_aarch64");
}

/// Alpine's way: another C library, whose wheels these are. Fails where a wheel for glibc is put beside musl.
#[test]
fn a_base_with_musl_gets_the_wheels_for_it() {
    let native = |tag: &str| Wheel::new("native", "2.0").tag(tag).file("native/_speed.so", tag);
    let mut mirrored = Mirrored::new();
    for tag in
        ["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313-musllinux_1_1_x86_64", "cp313-cp313-musllinux_1_2_x86_64"]
    {
        mirrored.index.add(&native(tag));
    }
    mirrored.index.publish();
    let tar = [
        "usr",
        "usr/local",
        "usr/local/bin",
        "usr/local/lib",
        "usr/local/lib/python3.13",
        "lib",
        "lib/apk",
        "lib/apk/db",
    ]
    .iter()
    .fold(Tar::new(), |tar, path| tar.dir(&format!("{path}/"), 0o755, 0, 0))
    .file("usr/local/bin/python3.13", 0o755, "an interpreter")
    .link("usr/local/bin/python3", "python3.13")
    .file("lib/apk/db/installed", 0o644, "P:musl\nV:1.2.5-r10\n\n");
    let base = Base::of(tar.end()).settings(serde_json::json!({ "Env": ["PYTHON_VERSION=3.13.5"] }));
    base.layout(&mirrored.project.path("ctx/base"));
    mirrored.project.write("ctx/requirements.txt", "native\n");
    mirrored.recipe(&app("oci:base", "{ requirements = \"requirements.txt\" }"));
    with_uv(&mirrored, &["lock"]).ok();
    let file = "usr/local/lib/python3.13/site-packages/native/_speed.so";
    assert_eq!(mirrored.build_with(&["--locked"]).image("app").file(file), "cp313-cp313-musllinux_1_2_x86_64");
    // Where there is none for it, that is said, and none for another is taken.
    mirrored.index.remove("native", &native("cp313-cp313-musllinux_1_1_x86_64").file_name());
    mirrored.index.remove("native", &native("cp313-cp313-musllinux_1_2_x86_64").file_name()).publish();
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    let told = with_uv(&mirrored, &["lock"]).fails(4);
    assert!(told.contains("native"), "{told}");
}

/// What pip is set up with is enough: its index, and the login that `.netrc` has for it. Both stay on the machine.
#[test]
fn pips_settings_and_a_netrc_are_enough() {
    let mirrored = indexed();
    mirrored.server.require("me", "hunter2-secret");
    mirrored.project.write("ctx/requirements.txt", "Flask<2\n");
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    let index = mirrored.server.url("/python/simple");
    mirrored.project.write("home/.config/pip/pip.conf", format!("[global]\nindex-url = {index}\n"));
    let run = |arguments: &[&str]| {
        let mut command = mirrored.project.command(arguments);
        command.env("LAPSTRAKE_UV", uv());
        mirrored.project.end(command)
    };
    let told = run(&["lock"]).told();
    assert!(told.contains("401") || told.contains("login"), "{told}");
    let netrc = format!("machine {} login me password hunter2-secret\n", mirrored.server.host());
    mirrored.project.write("home/.netrc", netrc).chmod("home/.netrc", 0o600);
    let locked = run(&["lock"]).ok();
    assert_eq!(locked.stdout(), "+ python click 8.1 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n");
    run(&["build", "--locked", "-o", "oci:out"]).ok();
    assert_eq!(mirrored.project.layout("out").image("app").file("site/flask.py"), "1.0");
    let lock = mirrored.locked();
    assert!(!lock.contains("127.0.0.1") && !lock.contains("secret"), "{lock}");
}

/// An index with a package, what it needs, and a newer version that nobody asked for.
pub(super) fn indexed() -> Mirrored {
    let mut mirrored = Mirrored::new();
    for wheel in [flask("1.0"), flask("2.0"), click("8.0"), click("8.1"), Wheel::new("unasked", "1")] {
        mirrored.index.add(&wheel);
    }
    mirrored.index.publish();
    mirrored
}

pub(super) fn flask(version: &str) -> Wheel {
    Wheel::new("Flask", version).file("flask.py", version).requires("click>=8").extra("async", "unasked")
}

pub(super) fn click(version: &str) -> Wheel {
    Wheel::new("click", version).file("click.py", version)
}

pub(super) const TARGET: &str = "target = \"/site\", version = \"3.13\"";

#[test]
fn requirements_with_hashes_are_taken_as_they_are() {
    let mirrored = indexed();
    let text = format!(
        "# from a tool\nFlask==1.0 \\\n    --hash=sha256:{}\nclick==8.0 --hash=sha256:{}\nonly-windows==1 ; sys_platform == \"win32\" --hash=sha256:{}\n",
        flask("1.0").sha256(),
        click("8.0").sha256(),
        "0".repeat(64)
    );
    mirrored.project.write("ctx/requirements.txt", &text);
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    assert_eq!(mirrored.lock(&[]), "+ python click 8.0 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n");
    let lock = mirrored.locked();
    for word in ["127.0.0.1", "http", "files/"] {
        assert!(!lock.contains(word), "{word} in {lock}");
    }
    assert!(lock.contains("index = \"default\"") && lock.contains("file = \"Flask-1.0-py3-none-any.whl\""), "{lock}");
    let first = mirrored.digests_of("cache-1", &["--locked", "-j1"]);
    assert_eq!(mirrored.digests_of("cache-2", &["--locked", "-j8"]), first);
    mirrored.server.clear_log();
    assert_eq!(mirrored.digests_of("cache-1", &["--locked", "--offline", "--no-cache"]), first);
    assert_eq!(mirrored.server.log().len(), 0);
    let told = mirrored.run(&["build", "--locked", "--offline", "--cache-dir", "cold", "-o", "oci:out"]).fails(5);
    assert!(told.contains("without --offline"), "{told}");
    // JSON pages, at another address, say the same.
    let other = super::file_server::FileServer::of(mirrored.project.path("mirror"));
    for project in ["flask", "click"] {
        let page = fs::read(mirrored.project.path(&format!("mirror/python/simple/{project}/index.json"))).unwrap();
        other.put(&format!("/python/simple/{project}/"), "application/vnd.pypi.simple.v1+json", page);
    }
    fs::remove_file(mirrored.project.path("lapstrake.lock")).unwrap();
    mirrored.project.end(mirrored.at(&other, &["lock", "--cache-dir", "cache-3"])).ok();
    assert_eq!(mirrored.locked(), lock);
    // The file that asks is part of the question.
    mirrored.project.write("ctx/requirements.txt", text.replace("click==8.0", "click==8.1"));
    let told = mirrored.run(&["build", "--locked", "-o", "oci:out"]).fails(4);
    assert!(told.contains("app/wheels"), "{told}");
}

#[test]
fn wheels_that_are_others_are_refused() {
    let mirrored = indexed();
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    let pinned = format!("click==8.0 --hash=sha256:{}\n", click("8.0").sha256());
    mirrored.project.write("ctx/requirements.txt", &pinned);
    mirrored.server.fault("click-8.0", usize::MAX, Fault::Flip);
    let told = mirrored.run(&["build", "-o", "oci:out"]).fails(5);
    assert!(told.contains("click"), "{told}");
    assert!(!mirrored.project.path("out").exists());
    // A digest that no file of the index has.
    mirrored.project.write("ctx/requirements.txt", format!("click==8.0 --hash=sha256:{}\n", "0".repeat(64)));
    let told = mirrored.run(&["lock"]).fails(4);
    assert!(told.contains("click"), "{told}");
    mirrored.project.write("ctx/requirements.txt", format!("missing==8.0 --hash=sha256:{}\n", "0".repeat(64)));
    let told = mirrored.run(&["lock"]).fails(4);
    assert!(told.contains("missing"), "{told}");
}

#[test]
fn a_source_archive_is_an_error_that_says_what_to_do() {
    let mut mirrored = indexed();
    let archive = b"not looked at".to_vec();
    mirrored.index.add_file("psycopg2", "psycopg2-2.9.tar.gz", &archive).publish();
    let digest = &super::support::sha256(&archive)["sha256:".len()..];
    mirrored.project.write("ctx/requirements.txt", format!("psycopg2==2.9 --hash=sha256:{digest}\n"));
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    let told = mirrored.run(&["lock"]).fails(4);
    for word in ["psycopg2", "source archive", "python3-psycopg2"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    assert_eq!(mirrored.server.count("psycopg2-2.9.tar.gz"), 0, "it is not even downloaded");
}

/// A `pylock.toml` as other tools write it: with addresses, which are not the lock's.
#[test]
fn a_pylock_is_taken_as_it_is() {
    let mirrored = indexed();
    let package = |wheel: &Wheel, more: &str| {
        format!(
            "[[packages]]\nname = \"{}\"\nversion = \"{}\"\nindex = \"https://index.example.com/simple\"\n{more}\
             wheels = [{{ name = \"{name}\", url = \"https://files.example.com/{name}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            wheel.name.to_lowercase(),
            wheel.version,
            wheel.sha256(),
            name = wheel.file_name(),
        )
    };
    let text = format!(
        "lock-version = \"1.0\"\ncreated-by = \"a test\"\nextras = [\"async\"]\n{}{}{}",
        package(&click("8.0"), ""),
        package(&flask("1.0"), ""),
        package(&Wheel::new("unasked", "1"), "marker = \"'async' in extras\"\n"),
    );
    mirrored.project.write("ctx/pylock.toml", text);
    mirrored.recipe(&app("scratch", &format!("{{ pylock = \"pylock.toml\", {TARGET} }}")));
    assert_eq!(mirrored.lock(&[]), "+ python click 8.0 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n");
    assert!(!mirrored.locked().contains("example.com"), "{}", mirrored.locked());
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!((image.file("site/flask.py"), image.file("site/click.py")), ("1.0".into(), "8.0".into()));
    mirrored.recipe(&app("scratch", &format!("{{ pylock = \"pylock.toml\", extras = [\"async\"], {TARGET} }}")));
    assert_eq!(mirrored.lock(&[]), "+ python unasked 1 (linux/amd64)\n");
}

#[test]
fn wheels_of_the_context_stand_beside_those_of_an_index() {
    let mirrored = indexed();
    let own = Wheel::new("click", "8.0+company").file("click.py", "ours");
    mirrored.project.write(&format!("ctx/dist/{}", own.file_name()), own.build());
    mirrored.project.write("ctx/requirements.txt", format!("flask==1.0 --hash=sha256:{}\n", flask("1.0").sha256()));
    mirrored.recipe(&app(
        "scratch",
        &format!("{{ requirements = \"requirements.txt\", wheels = [\"dist/*.whl\"], {TARGET} }}"),
    ));
    let image = mirrored.build().image("app");
    assert_eq!((image.file("site/flask.py"), image.file("site/click.py")), ("1.0".into(), "ours".into()));
    // Two that are the same package are one too many; one that fits nothing is told.
    mirrored.project.write(&format!("ctx/dist/{}", click("8.0").file_name()), click("8.0").build());
    let told = mirrored.run(&["build", "-o", "oci:out"]).told();
    assert!(told.contains("click-8.0-py3") && told.contains("click-8.0+company"), "{told}");
    mirrored.recipe(&app("scratch", &format!("{{ wheels = [\"none/*.whl\"], {TARGET} }}")));
    let told = mirrored.run(&["build", "-o", "oci:out"]).told();
    assert!(told.contains("none/*.whl") || told.contains("none"), "{told}");
}

/// The program that resolves. `tests/setup test` installs it.
pub(super) fn uv() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/build/uv/bin/uv");
    let places = std::env::split_paths(&path).map(|directory| directory.join("uv")).chain([installed]);
    let mut places = std::env::var_os("LAPSTRAKE_UV").map(PathBuf::from).into_iter().chain(places);
    places.find(|uv| uv.is_file()).expect("the program uv: `tests/setup test` installs it")
}

/// Runs with `uv` where the machine has it.
pub(super) fn with_uv(mirrored: &Mirrored, arguments: &[&str]) -> super::support::Run {
    let mut command = mirrored.command(arguments);
    command.env("LAPSTRAKE_UV", uv());
    mirrored.project.end(command)
}

#[test]
fn requirements_without_hashes_are_resolved() {
    let mut mirrored = indexed();
    mirrored.project.write("ctx/requirements.txt", "Flask<2\n");
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    let run = with_uv(&mirrored, &["lock"]).ok();
    assert_eq!(run.stdout(), "+ python click 8.1 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n");
    let lock = mirrored.locked();
    assert!(!lock.contains("127.0.0.1"), "{lock}");
    assert!(lock.contains("name = \"flask\"") && lock.matches("requested = true").count() == 1, "{lock}");
    // From a lock, nothing is resolved: uv is not needed.
    let first = mirrored.digests_of("cold", &["--locked"]);
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert!(
        image.top().contains("flask-1.0.dist-info/REQUESTED") || image.top().contains("Flask-1.0.dist-info/REQUESTED")
    );
    assert!(!image.top().contains("click-8.1.dist-info/REQUESTED"), "{}", image.top());

    // A newer one is there, and nobody asked for it.
    mirrored.index.add(&click("8.2")).add(&flask("1.5")).publish();
    assert_eq!(with_uv(&mirrored, &["lock"]).ok().stdout(), "");
    assert_eq!(mirrored.locked(), lock);
    assert_eq!(mirrored.digests_of("colder", &["--locked"]), first);
    assert_eq!(
        with_uv(&mirrored, &["lock", "--update", "Flask"]).ok().stdout(),
        "~ python flask 1.0 → 1.5 (linux/amd64)\n"
    );
    assert_eq!(with_uv(&mirrored, &["lock", "--update"]).ok().stdout(), "~ python click 8.1 → 8.2 (linux/amd64)\n");
    mirrored.index.add(&click("8.3")).publish();
    mirrored.project.write("ctx/requirements.txt", "Flask<2\nunasked\n");
    assert_eq!(with_uv(&mirrored, &["lock"]).ok().stdout(), "+ python unasked 1 (linux/amd64)\n");
}

#[test]
fn what_cannot_be_resolved_says_why() {
    let mut mirrored = indexed();
    mirrored.index.add_file("psycopg2", "psycopg2-2.9.tar.gz", b"x").publish();
    mirrored.recipe(&app("scratch", &format!("{{ requirements = \"requirements.txt\", {TARGET} }}")));
    for (text, words) in [
        ("flask\nclick<8\n", &["click"][..]),
        ("missing\n", &["missing"]),
        ("psycopg2==2.9\n", &["psycopg2", "python3-psycopg2"]),
    ] {
        mirrored.project.write("ctx/requirements.txt", text);
        let told = with_uv(&mirrored, &["lock"]).fails(4);
        for word in words {
            assert!(told.contains(word), "{word} in {told}");
        }
    }
    // Nobody to resolve: what to do is said.
    mirrored.project.write("ctx/requirements.txt", "flask\n");
    let mut command = mirrored.command(&["lock"]);
    command.env("PATH", mirrored.project.path("tmp")).env("LAPSTRAKE_UV", mirrored.project.path("tmp/uv"));
    let run = mirrored.project.end(command);
    assert!(matches!(run.code, Some(1 | 2 | 4)), "{:?} {}", run.code, run.told());
    assert!(run.told().contains("uv"), "{}", run.told());
}

#[test]
fn a_project_file_is_resolved() {
    let mirrored = indexed();
    mirrored.project.write(
        "ctx/pyproject.toml",
        "[project]\nname = \"mine\"\nversion = \"1\"\ndependencies = [\"flask<2\"]\n[project.optional-dependencies]\nmore = [\"unasked\"]\n[dependency-groups]\ndev = [\"click==8.0\"]\n",
    );
    mirrored.recipe(&app("scratch", &format!("{{ pyproject = \"pyproject.toml\", {TARGET} }}")));
    assert_eq!(
        with_uv(&mirrored, &["lock"]).ok().stdout(),
        "+ python click 8.1 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n"
    );
    mirrored.recipe(&app(
        "scratch",
        &format!("{{ pyproject = \"pyproject.toml\", extras = [\"more\"], groups = [\"dev\"], {TARGET} }}"),
    ));
    let printed = with_uv(&mirrored, &["lock"]).ok().stdout();
    assert_eq!(printed, "~ python click 8.1 → 8.0 (linux/amd64)\n+ python unasked 1 (linux/amd64)\n");
    mirrored.build_with(&["--locked"]);
}

/// Bytecode is compiled by the very version that the image has, or it is an error.
#[test]
fn modules_are_compiled_by_the_same_version_or_not_at_all() {
    let project = with_wheel(&pure());
    let version = project.end(project.wrapped("python3", &["-V"], &[])).ok().stdout();
    let version = version.trim().strip_prefix("Python ").unwrap().to_owned();
    let short = version.rsplit_once('.').unwrap().0.to_owned();
    system(&short, &format!("{version}-1"), "2.36-9", "amd64").layout(&project.path("ctx/base"));
    project.recipe(&app("oci:base", "{ wheels = [\"dist/*.whl\"], compile = true }"));
    let image = project.build().image("app");
    let tag = format!("cpython-{}", short.replace('.', ""));
    let library = format!("usr/local/lib/python{short}/dist-packages");
    assert!(image.top().contains(&format!("{library}/my_tool/__pycache__/__init__.{tag}.pyc")), "{}", image.top());
    let record = image.file(&format!("{library}/My_Tool-1.0.dist-info/RECORD"));
    assert!(record.contains(&format!("my_tool/__pycache__/__init__.{tag}.pyc,,")), "{record}");
    let code = "import my_tool, importlib.util as u\nassert my_tool.__cached__ == u.cache_from_source(my_tool.__file__)\nprint(my_tool.run())";
    assert_eq!(seen(&project, &image, &library, code), "it runs\n");
    // A version that this machine does not have, and no archive to get it from.
    debian_python("amd64").layout(&project.path("ctx/base"));
    let mut command = project.command(&["build", "-o", "oci:other"]);
    command.env("LAPSTRAKE_DEBIAN_MIRROR", format!("file://{}/nowhere", project.root().display()));
    let run = project.end(command);
    assert!(run.code != Some(0) && run.told().contains("3.13.5"), "{}", run.told());
    assert!(!project.path("other").exists(), "never a silent skip");
}

/// A `uv.lock` is taken as it is, whatever is newer; the addresses in it are not the lock's.
#[test]
fn a_lock_of_uv_is_taken_as_it_is() {
    let mut mirrored = indexed();
    let index = mirrored.server.url("/python/simple");
    mirrored.project.write(
        "ctx/pyproject.toml",
        "[project]\nname = \"mine\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = [\"flask<2\"]\n\
         [project.optional-dependencies]\nmore = [\"unasked\"]\n[dependency-groups]\ndev = [\"tested\"]\n",
    );
    mirrored.index.add(&Wheel::new("tested", "3")).publish();
    let mut locks = mirrored.project.wrapped(uv().to_str().unwrap(), &["lock", "--no-config"], &["--project", "ctx"]);
    locks.env("UV_DEFAULT_INDEX", &index).env("UV_PYTHON_DOWNLOADS", "never");
    mirrored.project.end(locks).ok();
    mirrored.index.add(&click("8.2")).publish();
    let layer = |more: &str| app("scratch", &format!("{{ uv_lock = \"uv.lock\", {more}{TARGET} }}"));
    mirrored.recipe(&layer(""));
    assert_eq!(
        with_uv(&mirrored, &["lock"]).ok().stdout(),
        "+ python click 8.1 (linux/amd64)\n+ python flask 1.0 (linux/amd64)\n"
    );
    assert!(!mirrored.locked().contains("127.0.0.1"), "{}", mirrored.locked());
    let image = mirrored.build_with(&["--locked"]).image("app");
    assert_eq!((image.file("site/flask.py"), image.file("site/click.py")), ("1.0".into(), "8.1".into()));
    mirrored.recipe(&layer("extras = [\"more\"], "));
    assert_eq!(with_uv(&mirrored, &["lock"]).ok().stdout(), "+ python unasked 1 (linux/amd64)\n");
    mirrored.recipe(&layer("groups = [\"dev\"], "));
    let printed = with_uv(&mirrored, &["lock"]).ok().stdout();
    assert_eq!(printed, "+ python tested 3 (linux/amd64)\n- python unasked 1 (linux/amd64)\n");
}

/// Would fail if bytecode were believed that whoever shares the cache wrote: its entries carry no more than their own digest.
#[test]
fn forged_bytecode_in_the_cache_is_believed_by_no_verification() {
    let project = with_wheel(&pure());
    let version = project.end(project.wrapped("python3", &["-V"], &[])).ok().stdout();
    let version = version.trim().strip_prefix("Python ").unwrap().to_owned();
    let short = version.rsplit_once('.').unwrap().0.to_owned();
    system(&short, &format!("{version}-1"), "2.36-9", "amd64").layout(&project.path("ctx/base"));
    project.recipe(&app("oci:base", "{ wheels = [\"dist/*.whl\"], compile = true }"));
    project.run(&["lock", "--cache-dir", "cache"]).ok();
    let honest = project.run(&["build", "-o", "oci:out", "--cache-dir", "cache"]).ok().digests();
    let mut forged = 0;
    for entry in fs::read_dir(project.path("cache/made-v1/bytecode")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes[33..]);
        bytes[1..33].copy_from_slice(&digest);
        fs::write(&path, bytes).unwrap();
        forged += 1;
    }
    assert!(forged > 0);
    let run = project.run(&["verify", "--against", "oci:out", "--cache-dir", "cache"]).ok();
    assert_eq!(run.digests(), honest);
    let anew = project.run(&["build", "--no-cache", "-o", "oci:anew", "--cache-dir", "cache"]).ok().digests();
    assert_eq!(anew, honest);
    project.run(&["build", "--verify-cache", "-o", "oci:again", "--cache-dir", "cache"]).ok();
}
