use super::*;
use crate::pin::python::testing::{Bench, source, wheel, wheel_with};
use crate::python::interpreter;
use crate::source::bytecode::find_compilers;
use crate::tree::{FileTree, Node, NodeKind};

const ROOT: &str = "https://index.example.com/simple/";
const A: &str = "a-1.0-py3-none-any.whl";
const B: &str = "b-2.0-py3-none-any.whl";
const SITE: &str = "usr/local/lib/python3.13/dist-packages";

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn pins(wheels: &[(&str, &str, &[u8])]) -> PythonPins {
    let pin = |(index, file, bytes): &(&str, &str, &[u8])| WheelPin {
        name: file.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned(),
        version: "1".to_owned(),
        index: (*index).to_owned(),
        file: (*file).to_owned(),
        size: bytes.len() as u64,
        sha256: crate::oci::Digest::of(bytes),
        requested: index.is_empty(),
    };
    PythonPins {
        platform: "linux/amd64".to_owned(),
        layers: Vec::new(),
        asked: crate::lock::Asked::new(),
        wheels: wheels.iter().map(pin).collect(),
    }
}

fn lay_out(bench: &Bench, keys: &str, pins: &PythonPins, jobs: usize) -> Result<PythonLayer, PythonError> {
    let (source, context, tmp) = (source(keys), bench.context(), bench.tmp());
    let ask = bench.ask(&source, &context);
    let layout = Layout { ask: &ask, owner: Owner::new(3, 4), tmp: &tmp, jobs };
    wheels(pins, &layout, &bench.supply, &Reporter::silent())
}

fn put(layer: &PythonLayer, below: &Rootfs) -> Result<FileTree, PythonError> {
    let mut tree = FileTree::new();
    let mut placer = Placer::new(below, &mut tree, Owner::ROOT, Origin::new("test"));
    let mut read = |located: &Located| match located {
        Located::Content(content) => content.read_all(1 << 20),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    layer.place(&mut placer, &mut read)?;
    Ok(tree)
}

fn text(tree: &FileTree, at: &str) -> String {
    match &tree.get(&path(at)).unwrap_or_else(|| panic!("no {at}")).kind {
        Kind::File(content) => String::from_utf8(content.read_all(1 << 20).unwrap()).unwrap(),
        Kind::Symlink(target) => String::from_utf8(target.to_vec()).unwrap(),
        other => panic!("{at} is a {}", other.word()),
    }
}

fn listing(tree: &FileTree) -> Vec<String> {
    tree.iter().map(|(path, entry)| format!("{} {path} {:o} {}", entry.kind.word(), entry.mode, entry.owner)).collect()
}

#[test]
fn wheels_come_from_wherever_they_are() {
    let mut bench = Bench::new();
    let [a, b, c, d] = [A, B, "c-1-py3-none-any.whl", "d-1-py3-none-any.whl"].map(|name| (name, wheel(name)));
    bench.supply.serve(ROOT, a.0, &a.1);
    let kept = bench.supply.serve(ROOT, b.0, &b.1);
    bench.supply.kept.insert(kept);
    let url = format!("https://files.example.com/{}", d.0);
    bench.supply.files.insert(crate::oci::Digest::of(&d.1), (url.clone(), d.1.clone()));
    bench.write(&format!("own/{}", c.0), &c.1);
    let own = format!("own/{}", c.0);
    let all = pins(&[("default", a.0, &a.1), ("default", b.0, &b.1), ("", &own, &c.1), ("", &url, &d.1)]);
    let layer = lay_out(&bench, "requirements = \"r.txt\"", &all, 3).unwrap();
    // No page is asked for where the file is there.
    let asked = bench.supply.addresses();
    assert_eq!(asked, [format!("{ROOT}a/"), format!("https://files.example.com/{A}"), url.clone()]);
    let tree = put(&layer, &Rootfs::new()).unwrap();
    assert_eq!(text(&tree, &format!("{SITE}/b.py")), "name = \"b-2.0-py3-none-any.whl\"\n");
    let record = text(&tree, &format!("{SITE}/d-1.dist-info/RECORD"));
    assert!(record.contains("d-1.dist-info/direct_url.json,sha256=") && record.contains("REQUESTED"), "{record}");
    assert!(text(&tree, &format!("{SITE}/d-1.dist-info/direct_url.json")).contains(&format!("\"url\":\"{url}\"")));
    // What lies in the context lies elsewhere on the next machine.
    assert!(tree.get(&path(&format!("{SITE}/c-1.dist-info/direct_url.json"))).is_none());
    let mut turned = all.clone();
    turned.wheels.reverse();
    let other = put(&lay_out(&bench, "requirements = \"r.txt\"", &turned, 1).unwrap(), &Rootfs::new()).unwrap();
    assert_eq!(listing(&tree), listing(&other));
    assert!(tree.iter().zip(other.iter()).all(|((_, a), (_, b))| a.same_as(b)));
    assert!(listing(&tree).contains(&format!("file /{SITE}/a.py 644 3:4")));
    assert_eq!(layer.newest, None, "1980-01-01 is no date");
}

#[test]
fn wheels_that_are_not_those_that_were_locked() {
    let mut bench = Bench::new();
    let (old, new) = (wheel(A), wheel_with(A, "Summary: new\n"));
    bench.write(A, &new);
    let failed = |bench: &Bench, pins: &PythonPins| {
        let error = lay_out(bench, "requirements = \"r.txt\"", pins, 1).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}")
    };
    assert!(failed(&bench, &pins(&[("", A, &old)])).contains("is not the one that was locked"));
    bench.supply.files.insert(crate::oci::Digest::of(&old), (format!("https://files.example.com/{A}"), old.clone()));
    assert!(failed(&bench, &pins(&[("default", A, &old)])).contains("no file `a-1.0-py3-none-any.whl` any more"));
    bench.supply.serve(ROOT, A, &new);
    assert!(failed(&bench, &pins(&[("default", A, &old)])).contains("has the digest"));
    assert!(failed(&bench, &pins(&[("company", A, &old)])).contains("where the Python index `company` is"));
}

#[test]
fn packages_go_where_the_recipe_says() {
    let mut bench = Bench::new();
    let bytes = wheel(A);
    bench.write(A, &bytes);
    let pins = pins(&[("", A, &bytes)]);
    let tree = |bench: &Bench, keys: &str, below: &Rootfs| {
        let keys = format!("wheels = [\"{A}\"], {keys}");
        put(&lay_out(bench, keys.trim_end_matches(", "), &pins, 1)?, below)
    };
    let found = tree(&bench, "target = \"/srv/site\"", &Rootfs::new()).unwrap();
    assert!(found.get(&path("srv/site/a.py")).is_some());
    let found = tree(&bench, "venv = \"/opt/venv\"", &Rootfs::new()).unwrap();
    assert!(found.get(&path("opt/venv/lib/python3.13/site-packages/a.py")).is_some());
    assert_eq!(text(&found, "opt/venv/bin/python"), "/usr/bin/python3");
    let mut below = Rootfs::new();
    below.apply(&found);
    let again = tree(&bench, "venv = \"/opt/venv\"", &below).unwrap();
    assert!(again.get(&path("opt/venv/pyvenv.cfg")).is_none() && again.get(&path("opt/venv/bin/python")).is_none());

    // Debian's pip has a directory of its own, and so the marker says nothing about it.
    let marker = path("usr/lib/python3.13/EXTERNALLY-MANAGED");
    bench.interpreter.as_mut().unwrap().externally_managed = Some(marker);
    assert!(tree(&bench, "", &Rootfs::new()).unwrap().get(&path(&format!("{SITE}/a.py"))).is_some());
    bench.interpreter.as_mut().unwrap().layout = interpreter::Layout::Prefix(path("usr"));
    let error = tree(&bench, "", &Rootfs::new()).unwrap_err().to_string();
    assert!(error.contains("EXTERNALLY-MANAGED is there") && error.contains("break_system_packages"), "{error}");
    assert!(tree(&bench, "target = \"/x\"", &Rootfs::new()).is_ok());
    let found = tree(&bench, "break_system_packages = true", &Rootfs::new()).unwrap();
    assert!(found.get(&path("usr/lib/python3.13/site-packages/a.py")).is_some());
    bench.interpreter = None;
    assert!(tree(&bench, "", &Rootfs::new()).unwrap_err().to_string().contains("the image has no Python"));
}

#[test]
fn an_older_version_below_is_taken_away_as_pip_does_it() {
    let bench = Bench::new();
    let old = "A-0.9-py3-none-any.whl";
    let (new_bytes, old_bytes, other) = (wheel(A), wheel(old), wheel(B));
    bench.write(A, &new_bytes).write(old, &old_bytes).write(B, &other);
    let keys = format!("wheels = [\"{A}\"]");
    let mut below = Rootfs::new();
    // The base's own link is followed.
    below.put(
        path("usr/local/lib"),
        Node { kind: NodeKind::Symlink((*b"/usr/lib/local").into()), mode: 0o777, owner: Owner::ROOT },
    );
    let lower = lay_out(&bench, &keys, &pins(&[("", old, &old_bytes), ("", B, &other)]), 1).unwrap();
    let mut tree = put(&lower, &below).unwrap();
    let site = "usr/lib/local/python3.13/dist-packages";
    let pyc = Entry::file(Content::inline(*b"x"), 0o644, Owner::ROOT, Origin::new("test"));
    tree.insert_parents(
        &path(&format!("{site}/__pycache__/A.cpython-313.pyc")),
        &below,
        &Entry::directory(0o755, Owner::ROOT, Origin::new("t")),
    )
    .unwrap();
    tree.insert(path(&format!("{site}/__pycache__/A.cpython-313.pyc")), pyc).unwrap();
    below.apply(&tree);
    let upper = put(&lay_out(&bench, &keys, &pins(&[("", A, &new_bytes)]), 1).unwrap(), &below).unwrap();
    let gone: Vec<String> =
        upper.iter().filter(|(_, entry)| entry.kind == Kind::Whiteout).map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        gone,
        [format!("/{site}/A-0.9.dist-info"), format!("/{site}/A.py"), format!("/{site}/__pycache__/A.cpython-313.pyc"),]
    );
    below.apply(&upper);
    assert!(below.get(&path(&format!("{site}/a.py"))).is_some() && below.get(&path(&format!("{site}/b.py"))).is_some());
    // The same version again is no other one.
    let again = put(&lay_out(&bench, &keys, &pins(&[("", A, &new_bytes)]), 1).unwrap(), &below).unwrap();
    assert!(again.iter().all(|(_, entry)| entry.kind != Kind::Whiteout));
}

#[test]
fn rows_of_lists_mean_files_of_the_image() {
    let library = path("usr/local/lib/python3.13/dist-packages");
    for (row, expected) in [
        ("a.py", Some("usr/local/lib/python3.13/dist-packages/a.py")),
        ("../../../bin/x", Some("usr/local/bin/x")),
        ("/etc/x", Some("etc/x")),
        ("../../../../../../x", None),
        ("a/../../x", None),
    ] {
        assert_eq!(listed(&library, row), expected.map(path), "{row}");
    }
    assert_eq!(package_of(b"My_Pkg-1.0.dist-info"), "my-pkg".parse().ok());
    assert_eq!(package_of(b"x.dist-info"), None);
}

#[test]
fn bytecode_is_listed_as_pip_lists_it() {
    let mut bench = Bench::new();
    // A Python of this machine, where there is one: else this test says so and passes.
    let environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let search = environment.get(std::ffi::OsStr::new("PATH")).map(|path| path.as_os_str());
    let told = |minor: u16, patch: u16| PythonVersion { major: 3, minor, patch };
    let found = (9..=14).flat_map(|minor| (0..=30).map(move |patch| told(minor, patch)));
    let unfound = find_compilers(told(99, 0), search, None, 1, None).err().unwrap().to_string();
    let Some(version) = found
        .into_iter()
        .find(|version| unfound.contains(&format!(" {version}:")) || unfound.contains(&format!(" {version},")))
    else {
        eprintln!("no python3 on this machine: nothing is compiled in this test");
        return;
    };
    let compilers = find_compilers(version, search, None, 2, None).unwrap();
    bench.interpreter.as_mut().unwrap().version = version;
    let bytes = wheel(A);
    bench.write(A, &bytes);
    let keys = format!("wheels = [\"{A}\"]");
    let mut layer = lay_out(&bench, &keys, &pins(&[("", A, &bytes)]), 1).unwrap();
    assert!(layer.compile(&compilers, &bench.tmp()).unwrap().is_empty());
    let tree = put(&layer, &Rootfs::new()).unwrap();
    let tag = format!("cpython-{}{}", version.major, version.minor);
    let site = format!("usr/local/lib/python{}/dist-packages", version.short());
    assert!(listing(&tree).contains(&format!("file /{site}/__pycache__/a.{tag}.pyc 644 3:4")));
    let record = text(&tree, &format!("{site}/a-1.0.dist-info/RECORD"));
    assert!(record.starts_with(&format!("__pycache__/a.{tag}.pyc,,\r\n")), "{record}");

    // Debian's packages: modules of this interpreter, and nothing else.
    let mut tree = FileTree::new();
    let source = || Entry::file(Content::inline(*b"x = 1\n"), 0o644, Owner::ROOT, Origin::new("deb"));
    let (own, other) = (format!("usr/lib/python{}/m.py", version.short()), "usr/lib/python3.8/m.py".to_owned());
    for at in [&own, &other, "usr/lib/python3/dist-packages/p/__init__.py", "usr/share/doc/x/example.py"] {
        tree.insert(path(at), source()).unwrap();
    }
    compilers.compile_tree(&mut tree, &Rootfs::new(), &bench.tmp()).unwrap();
    let made: Vec<String> =
        tree.iter().map(|(path, _)| path.to_string()).filter(|path| path.ends_with(".pyc")).collect();
    let mut expected = [
        format!("/usr/lib/python{}/__pycache__/m.{tag}.pyc", version.short()),
        format!("/usr/lib/python3/dist-packages/p/__pycache__/__init__.{tag}.pyc"),
    ];
    expected.sort();
    assert_eq!(made, expected);
}
