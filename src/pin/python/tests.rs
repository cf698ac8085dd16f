use super::testing::{Bench, source, wheel, wheel_with};
use super::{Ask, Error, asked, compiler_packages};
use crate::lock::Update;
use crate::oci::{Digest, Platform};

const ROOT: &str = "https://index.example.com/simple/";
const A: &str = "a-1.0-py3-none-any.whl";
const AMD64: &str = "b-2.0-cp313-cp313-manylinux_2_17_x86_64.whl";
const ARM64: &str = "b-2.0-cp313-cp313-manylinux_2_17_aarch64.whl";

fn lines(bench: &Bench, keys: &str) -> Vec<String> {
    let (source, context) = (source(keys), bench.context());
    asked(&bench.ask(&source, &context)).unwrap().lines().map(str::to_owned).collect()
}

/// A pylock as `uv` writes it: a line for each wheel.
fn pylock(wheels: &[(&str, Digest)]) -> String {
    let mut text = "lock-version = \"1.0\"\ncreated-by = \"uv\"\n".to_owned();
    for (file, digest) in wheels {
        let mut parts = file.split('-');
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
        text.push_str(&format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\nwheels = [{{ url = \"https://files.example.com/{file}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            digest.hex()
        ));
    }
    text
}

#[test]
fn what_is_asked_is_files_interpreter_and_indexes() {
    let bench = Bench::new();
    bench
        .write("r.txt", "a\n-r more/x.txt\n-c c.txt\n")
        .write("more/x.txt", "b")
        .write("c.txt", "b<3")
        .write(&format!("dist/{A}"), wheel(A));
    let keys =
        "requirements = [\"./r.txt\"], wheels = [\"dist/*.whl\"], index = { company = \"https://i.example.com\" }";
    let found = lines(&bench, keys);
    assert_eq!(
        found,
        [
            "constraint b<3".to_owned(),
            "index company".to_owned(),
            "libc glibc 2.41".to_owned(),
            "python 3.13.5".to_owned(),
            "requirement a".to_owned(),
            "requirement b".to_owned(),
            format!("wheel dist/{A} {}", Digest::of(&wheel(A))),
        ]
    );
    // Comments, blanks and which file says it play no part.
    bench.write("r.txt", "# why\n\nA   # because\n-r more/x.txt\n").write("more/x.txt", "B\n-c ../c.txt");
    assert_eq!(lines(&bench, keys), found);
    // Where things go, and what is made of them, is no question.
    for more in ["target = \"/site\"", "venv = \"/venv\"", "compile = true", "break_system_packages = true"] {
        assert_eq!(lines(&bench, &format!("{keys}, {more}")), found, "{more}");
    }
    // Nor is the directory that all of this lies in.
    let other = Bench::new();
    other.write("p.toml", "x").write("pyproject.toml", "").write("uv.lock", "");
    let keys = "uv_lock = \"uv.lock\", extras = [\"B.b\", \"a\"], groups = [\"dev\"]";
    let found = lines(&other, keys).join("\n");
    assert!(found.contains("extra a\nextra b-b\ngroup dev\n") && found.contains("\npyproject pyproject.toml sha256:"));
    assert!(found.contains("\nuv-lock uv.lock sha256:"), "{found}");
    other.write("uv.lock", "# a comment\n").write("pyproject.toml", "[tool.other]\nx = 1 # not for us\n");
    assert_eq!(lines(&other, keys).join("\n"), found);
    other.write("pyproject.toml", "[project]\nrequires-python = \">=3.9\"\n");
    assert_ne!(lines(&other, keys).join("\n"), found);
}

#[test]
fn the_interpreter_is_the_image_s_unless_a_directory_is_for_another() {
    let mut bench = Bench::new();
    let target = |bench: &Bench, keys: &str| {
        let (source, context) = (source(keys), bench.context());
        bench.ask(&source, &context).target().map(|target| format!("{} {}", target.version, target.libc))
    };
    for (more, expected) in [
        ("", Ok("3.13.5 glibc 2.41")),
        (", version = \"3.13\"", Ok("3.13.5 glibc 2.41")),
        (", version = \"3.12\", target = \"/x\"", Ok("3.12.0 glibc 2.41")),
        (", version = \"3.12\"", Err("the image has Python 3.13.5")),
        (", version = \"3.13.4\", venv = \"/x\"", Err("`version = \"3.13.4\"`")),
    ] {
        let found = target(&bench, &format!("wheels = [\"x.whl\"]{more}"));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{more}: {found:?}"),
        }
    }
    bench.interpreter = None;
    assert_eq!(
        target(&bench, "wheels = [\"x.whl\"], version = \"3.12.1\", target = \"/x\"").unwrap(),
        "3.12.1 glibc 2.28"
    );
    assert!(matches!(target(&bench, "wheels = [\"x.whl\"], version = \"3.12.1\""), Err(Error::NoPython)));
    assert!(matches!(target(&bench, "wheels = [\"x.whl\"], target = \"/x\""), Err(Error::NoPython)));
    assert_eq!(compiler_packages("3.13.5".parse().unwrap()), ["python3.13-minimal"]);
}

#[test]
fn lines_with_hashes_are_found_through_the_indexes() {
    let mut bench = Bench::new();
    let second = "https://second.example.com/";
    bench.supply.indexes.push(("extra-1".to_owned(), second.parse().unwrap()));
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    let amd64 = bench.supply.serve(second, AMD64, &wheel(AMD64));
    let arm64 = bench.supply.serve(second, ARM64, &wheel(ARM64));
    bench.supply.serve(ROOT, "b-2.1-py3-none-any.whl", b"none of these");
    let text = format!(
        "b==2.0 --hash={amd64} \\\n --hash={arm64}\na==1 --hash={a}\nc==1 ; sys_platform == 'win32' --hash={a}\n"
    );
    bench.write("r.txt", &text);
    let expected = |file: &str| [format!("a default {A} requested"), format!("b extra-1 {file} requested")];
    assert_eq!(bench.pinned("requirements = \"r.txt\"").unwrap(), expected(AMD64));
    let pins = bench.pin("requirements = \"r.txt\"").unwrap();
    assert_eq!(pins, bench.pin("requirements = \"r.txt\"").unwrap());
    assert_eq!((pins.wheels[0].size, pins.wheels[0].sha256), (wheel(A).len() as u64, a));
    bench.platform = Platform::linux("arm64");
    assert_eq!(bench.pinned("requirements = \"r.txt\"").unwrap(), expected(ARM64));

    // A wheel of the recipe takes the place of what the lines say.
    bench.write("own/a-9-py3-none-any.whl", wheel("a-9-py3-none-any.whl"));
    let found = bench.pinned("requirements = \"r.txt\", wheels = [\"own/*.whl\"]").unwrap();
    assert_eq!(found[0], "a  own/a-9-py3-none-any.whl requested");
}

#[test]
fn lines_with_hashes_that_fit_nothing() {
    let mut bench = Bench::new();
    let sdist = bench.supply.serve(ROOT, "docopt-0.6.2.tar.gz", b"source");
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    let other = Digest::of(b"other");
    bench.write(&format!("d/{A}"), wheel(A));
    for (text, why) in [
        (format!("docopt==0.6.2 --hash={sdist}"), "only a source archive"),
        (format!("docopt==0.6.2 --hash={sdist}"), "`python3-docopt`"),
        (format!("docopt==0.6.2 --hash={other}"), "among the files with these hashes"),
        (
            format!("a==1 --hash={other}"),
            &format!("{A} of the index default has the digest {a}, and line 1 of `r.txt` says {other}"),
        ),
        (format!("gone==1 --hash={a}"), "no index has gone (there is none that knows the package)"),
        (format!("./d/{A} --hash={other}"), "has another digest"),
        (format!("a==1 --hash={a}\nhttps://h/a-1-py3-none-any.whl --hash={other}"), "asks for a again"),
        (format!("https://h/{A} --hash={other} --hash={a}"), "needs one `--hash`"),
        (format!("https://h/{AMD64}x --hash={other}"), "only wheels"),
        (format!("https://h/${{SECRET}}/{A} --hash={other}"), "can only be the user or the password"),
        (format!("a==1 ; platform_release == 'x' --hash={a}"), "the condition cannot be evaluated"),
    ] {
        bench.environment.insert("SECRET".into(), "s3cret".into());
        bench.write("r.txt", &text);
        let error = bench.pinned("requirements = \"r.txt\"").unwrap_err();
        assert!(error.contains(why) && !error.contains("s3cret"), "{text}: {error}");
    }
}

#[test]
fn urls_and_files_are_pinned_by_what_they_are() {
    let mut bench = Bench::new();
    let bytes = wheel(A);
    let a = Digest::of(&bytes);
    bench.supply.files.insert(a, (format!("https://h.example.com/{A}"), bytes.clone()));
    bench.environment.insert("TOKEN".into(), "s3cret".into());
    bench.write("r.txt", format!("https://${{TOKEN}}@h.example.com/{A} --hash={a}\n"));
    let pins = bench.pin("requirements = \"r.txt\"").unwrap();
    assert_eq!((pins.wheels[0].index.as_str(), pins.wheels[0].size), ("", bytes.len() as u64));
    assert_eq!(pins.wheels[0].file, format!("https://h.example.com/{A}"));
    assert_eq!(bench.supply.addresses(), [format!("https://s3cret@h.example.com/{A}")]);
    // Found again with its login where the line is still there.
    let (source, context) = (source("requirements = \"r.txt\""), bench.context());
    let ask: Ask<'_> = bench.ask(&source, &context);
    let url = pins.wheels[0].file.parse().unwrap();
    assert_eq!(super::with_login(&ask, &url).as_str(), format!("https://s3cret@h.example.com/{A}"));
    bench.write("r.txt", format!("./d/{A} --hash={a}\n")).write(&format!("d/{A}"), &bytes);
    assert_eq!(bench.pinned("requirements = \"r.txt\"").unwrap(), [format!("a  d/{A} requested")]);
}

#[test]
fn a_lock_of_somebody_else_is_taken_as_it_is() {
    let mut bench = Bench::new();
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    bench.write(&format!("locks/files/{AMD64}"), wheel(AMD64));
    let mut text = pylock(&[(A, a)]);
    text.push_str(&format!(
        "[[packages]]\nname = \"b\"\nversion = \"2.0\"\nwheels = [{{ path = \"files/{AMD64}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        Digest::of(&wheel(AMD64)).hex()
    ));
    bench.write("locks/pylock.toml", &text);
    let expected = [format!("a default {A} requested"), format!("b  locks/files/{AMD64} requested")];
    assert_eq!(bench.pinned("pylock = \"locks/pylock.toml\"").unwrap(), expected);
    bench.write(&format!("locks/files/{AMD64}"), wheel(A));
    assert!(bench.pinned("pylock = \"locks/pylock.toml\"").unwrap_err().contains("another digest"));
    let error = bench.pinned("pylock = \"locks/pylock.toml\", extras = [\"x\"]").unwrap_err();
    assert!(error.starts_with("locks/pylock.toml: the lock has no extra x"), "{error}");
    // What no index knows any more is said now and not when it is installed.
    bench.supply.pages.clear();
    let error = bench.pinned("pylock = \"locks/pylock.toml\"").unwrap_err();
    assert!(error.contains(&format!("no index has {A}")), "{error}");
}

#[test]
fn wheels_alone_are_these_and_no_others() {
    let mut bench = Bench::new();
    bench
        .write(&format!("dist/x/{AMD64}"), wheel(AMD64))
        .write(&format!("dist/x/{ARM64}"), wheel(ARM64))
        .write(
            &format!("dist/{A}"),
            wheel_with(A, "Requires-Dist: b\nRequires-Dist: zz>1\nRequires-Dist: w; os_name=='nt'\n"),
        )
        .write("dist/other.txt", "");
    let keys = "wheels = [\"dist/**/*.whl\"]";
    assert_eq!(bench.pinned(keys).unwrap(), [format!("a  dist/{A} requested"), format!("b  dist/x/{AMD64} requested")]);
    let said = bench.said.lock().unwrap().join("\n");
    assert!(said.contains("a-1.0-py3-none-any.whl needs zz, which"), "{said}");
    bench.platform = Platform::linux("arm64");
    assert_eq!(bench.pinned(keys).unwrap()[1], format!("b  dist/x/{ARM64} requested"));
    assert!(bench.supply.addresses().is_empty());

    let error = bench.pinned(&format!("wheels = [\"dist/x/{AMD64}\"]")).unwrap_err();
    assert!(error.contains("is not for Python 3.13.5 on linux/arm64, glibc 2.41"), "{error}");
    bench.write("dist/a-2-py3-none-any.whl", wheel("a-2-py3-none-any.whl"));
    assert!(bench.pinned(keys).unwrap_err().contains("are wheels of a: name the one"));
    assert!(
        bench.pinned("wheels = [\"dist/z*.whl\"]").unwrap_err().contains("no wheel fits the pattern `dist/z*.whl`")
    );
    assert!(bench.pinned("wheels = [\"gone/*.whl\"]").unwrap_err().starts_with("reading `gone`"));
    let old = "old-1-py3-none-any.whl";
    bench.write(old, wheel_with(old, "Requires-Python: <3.13\n"));
    assert!(bench.pinned("wheels = [\"old-1-py3-none-any.whl\"]").unwrap_err().contains("needs Python `<3.13`"));
}

#[test]
fn the_rest_is_resolved_with_uv() {
    let mut bench = Bench::new();
    let second = "https://second.example.com/";
    bench.supply.indexes.insert(0, ("extra-1".to_owned(), second.parse().unwrap()));
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    let b = bench.supply.serve(second, AMD64, &wheel(AMD64));
    bench.supply.serve(ROOT, "a-3.tar.gz", b"source");
    let own = "c-1-py3-none-any.whl";
    bench.write(&format!("own/{own}"), wheel(own)).write("c.txt", "b<3 # why\n");
    bench.write("r.txt", "-c c.txt\n--pre\nA >= 1 ; os_name == 'posix'\nd @ https://me:pass@h/d-1-py3-none-any.whl\n");
    let keys = "requirements = \"r.txt\", wheels = [\"own/*.whl\"]";
    assert!(bench.pinned(keys).unwrap_err().contains("this machine has none: install it"));

    bench.uv(&pylock(&[(AMD64, b), (A, a), (own, Digest::of(&wheel(own)))]));
    let expected =
        [format!("a default {A} requested"), format!("b extra-1 {AMD64}"), format!("c  own/{own} requested")];
    assert_eq!(bench.pinned(keys).unwrap(), expected);
    let said = bench.said.lock().unwrap().join("\n");
    assert!(said.contains("a 1.0 is taken, since the newer 3 has only a source archive"), "{said}");
    let log = bench.log();
    for wanted in [
        "--python-version 3.13.5 --python-platform x86_64-manylinux_2_40",
        "--prerelease=allow",
        "UV_DEFAULT_INDEX=https://me:secret@index.example.com/simple/\n",
        "UV_INDEX=https://me:secret@second.example.com/\n",
        "\na>=1 ; os_name == 'posix'\n",
        "\nd @ https://me:pass@h/d-1-py3-none-any.whl\n",
        "\nb<3\n",
        &format!("c @ file://{}/own/{own}\n", bench.context().display()),
    ] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert!(!log.lines().next().unwrap().contains("secret") && !log.contains("--output-file"), "{log}");
    assert_eq!(std::fs::read_dir(bench.tmp()).unwrap().count(), 0);
}

#[test]
fn what_was_locked_stays_where_it_fits() {
    let mut bench = Bench::new();
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    bench.write("r.txt", "a\n");
    bench.uv(&pylock(&[(A, a)]));
    let keys = "requirements = \"r.txt\"";
    bench.previous = Some(bench.pin(keys).unwrap());
    for (update, kept, moved) in [
        (Update::Nothing, true, false),
        (Update::Only(["a".to_owned(), "not a name".to_owned()].into()), false, true),
        (Update::Only(["z".to_owned()].into()), true, false),
        (Update::Everything, false, false),
    ] {
        bench.update = update.clone();
        bench.pin(keys).unwrap();
        let log = bench.log();
        assert_eq!(log.contains("name = \"a\"\nversion = \"1.0\""), kept, "{update:?}: {log}");
        assert_eq!(log.contains("--upgrade-package a"), moved, "{update:?}: {log}");
    }
}

#[test]
fn indexes_are_the_recipe_s_else_those_of_the_files_else_the_machine_s() {
    let mut bench = Bench::new();
    bench.environment.insert("HOST".into(), "env.example.com".into());
    let names = |bench: &Bench, text: &str, more: &str| {
        bench.write("r.txt", text);
        let (source, context) = (source(&format!("requirements = \"r.txt\"{more}")), bench.context());
        let list = super::indexes(&bench.ask(&source, &context), &bench.supply);
        list.map(|list| list.iter().map(|index| format!("{} {}", index.name, index.address)).collect::<Vec<_>>())
    };
    assert_eq!(names(&bench, "a", "").unwrap(), ["default https://index.example.com/simple/"]);
    let text = "-i https://${HOST}/simple\n--extra-index-url https://x.example.com/\n-f https://l.example.com/l.html\n";
    assert_eq!(
        names(&bench, text, "").unwrap(),
        [
            "requirements-1 https://x.example.com/",
            "default https://env.example.com/simple/",
            "links-1 https://l.example.com/l.html"
        ]
    );
    let recipe = ", index = { z = \"https://z.example.com\", b = \"https://b.example.com\" }";
    assert_eq!(names(&bench, "-i https://y/", recipe).unwrap().len(), 2);
    assert_eq!(names(&bench, "--no-index", recipe).unwrap().len(), 0);
    assert!(names(&bench, "-i ftp://y/", "").unwrap_err().to_string().contains("no URL that can be used"));
    bench.supply.indexes.clear();
    assert!(names(&bench, "a", "").unwrap_err().to_string().contains("nothing says where the Python index"));
}

#[test]
fn what_a_project_asks_for_itself() {
    let mut bench = Bench::new();
    let (a, b) = (bench.supply.serve(ROOT, A, &wheel(A)), bench.supply.serve(ROOT, AMD64, &wheel(AMD64)));
    bench.write(
        "p/pyproject.toml",
        "[project]\nname = \"p\"\ndependencies = [\"c\"]\n[project.optional-dependencies]\nWeb = [\"b==2.0\"]\n[dependency-groups]\ndev = [{ include-group = \"lint\" }]\nlint = [\"a==1\", { include-group = \"dev\" }]\n",
    );
    bench.uv(&pylock(&[(A, a), (AMD64, b)]));
    let both = |more: &str| bench.pinned(&format!("pyproject = \"p/pyproject.toml\"{more}")).unwrap();
    assert_eq!(both(""), [format!("a default {A}"), format!("b default {AMD64}")]);
    assert_eq!(both(", extras = [\"web\"]")[1], format!("b default {AMD64} requested"));
    assert_eq!(both(", groups = [\"dev\"]")[0], format!("a default {A} requested"));
    assert!(bench.log().contains("--group dev"));
    bench.write("p/uv.lock", "version = 1\n").write("p/x.lock", "");
    assert_eq!(
        bench.pinned("uv_lock = \"p/uv.lock\", extras = [\"web\"]").unwrap()[1],
        format!("b default {AMD64} requested")
    );
    let log = bench.log();
    assert!(
        log.starts_with("export --frozen") && log.contains(&format!("--project {}/p\n", bench.context().display())),
        "{log}"
    );
    assert!(bench.pinned("uv_lock = \"p/x.lock\"").unwrap_err().contains("must be called `uv.lock`"));
    bench.write("p/pyproject.toml", "x = [");
    assert!(bench.pinned("pyproject = \"p/pyproject.toml\"").unwrap_err().contains("is no such TOML"));
}

#[test]
fn directories_of_wheels_stand_beside_the_indexes() {
    let mut bench = Bench::new();
    bench.write(&format!("links/{A}"), wheel(A)).write(&format!("links/{ARM64}"), wheel(ARM64));
    bench.write("r.txt", "-f links\na\n");
    bench.uv(&pylock(&[(A, Digest::of(&wheel(A)))]));
    assert_eq!(bench.pinned("requirements = \"r.txt\"").unwrap(), [format!("a  links/{A} requested")]);
    assert!(bench.log().contains(&format!("UV_FIND_LINKS={}/links\n", bench.context().display())));
    let asked = lines(&bench, "requirements = \"r.txt\"").join("\n");
    assert!(asked.contains(&format!("link links/{A} sha256:")) && !asked.contains("aarch64"), "{asked}");
}

/// Breaks where indexes are asked in another order than `uv` asks them, or where a file of one is taken for that of another.
#[test]
fn a_name_that_two_indexes_have_is_told() {
    let mut bench = Bench::new();
    let company = "https://company.example.com/";
    bench.supply.indexes.insert(0, ("extra-1".to_owned(), company.parse().unwrap()));
    let ours = bench.supply.serve(company, A, &wheel(A));
    bench.supply.serve(ROOT, A, b"somebody else's, of the same version");
    bench.supply.serve(ROOT, "a-9-py3-none-any.whl", b"somebody else's, newer");
    let b = bench.supply.serve(ROOT, AMD64, &wheel(AMD64));
    bench.write("r.txt", "a\nb\n");
    bench.uv(&pylock(&[(A, ours), (AMD64, b)]));
    let keys = "requirements = \"r.txt\"";
    let pins = bench.pin(keys).unwrap();
    let found: Vec<_> = pins.wheels.iter().map(|pin| (pin.index.as_str(), pin.sha256)).collect();
    assert_eq!(found, [("extra-1", ours), ("default", b)]);
    let said = bench.said.lock().unwrap().join("\n");
    assert!(said.contains("several indexes") && said.contains("a (from extra-1, also in default)"), "{said}");
    assert!(!said.contains("b (from"), "{said}");
    // What an index has in the place of what was chosen is refused, and not taken from the next one.
    bench.supply.pages.remove(&format!("{company}a/"));
    let error = bench.pinned(keys).unwrap_err();
    assert!(error.contains(&ours.to_string()) && error.contains("the page of a in the index default"), "{error}");
}

/// Breaks where the first index of the list is written down, and not the one that the wheel came from.
#[test]
fn the_index_that_uv_names_is_the_one_that_is_pinned() {
    let mut bench = Bench::new();
    let company = "https://company.example.com/";
    bench.supply.indexes.insert(0, ("extra-1".to_owned(), company.parse().unwrap()));
    let a = bench.supply.serve(company, A, &wheel(A));
    bench.supply.serve(ROOT, A, &wheel(A));
    bench.write("r.txt", "a\n");
    let text = pylock(&[(A, a)]).replace("wheels = ", "index = \"https://index.example.com/simple\"\nwheels = ");
    bench.uv(&text);
    assert_eq!(bench.pinned("requirements = \"r.txt\"").unwrap(), [format!("a default {A} requested")]);
}

#[test]
fn whose_fault_an_error_is() {
    use crate::pin::debian::Fault;
    let mut bench = Bench::new();
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    bench
        .write("includes.txt", "-r gone.txt\n")
        .write("missing.txt", format!("gone==1 --hash={a}\n"))
        .write("a.txt", "a\n");
    bench.uv("");
    for (keys, fault) in [
        ("requirements = \"gone.txt\"", Fault::Recipe),
        ("requirements = \"includes.txt\"", Fault::Recipe),
        ("pylock = \"gone.toml\"", Fault::Recipe),
        ("pyproject = \"gone.toml\"", Fault::Recipe),
        ("wheels = [\"gone-1-py3-none-any.whl\"]", Fault::Recipe),
        ("wheels = [\"*.whl\"]", Fault::Recipe),
        ("requirements = \"missing.txt\"", Fault::Unresolvable),
    ] {
        let error = bench.pin(keys).unwrap_err();
        assert_eq!(error.fault(), fault, "{keys}: {error}");
    }
    bench.uv_fails("error: Failed to fetch: `http://h/a/`\n  Caused by: Connection refused");
    let error = bench.pin("requirements = \"a.txt\"").unwrap_err();
    assert_eq!(error.fault(), Fault::Network, "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    bench.uv_fails("error: No solution found\n  cause: Because a was not found in the package registry");
    assert_eq!(bench.pin("requirements = \"a.txt\"").unwrap_err().fault(), Fault::Unresolvable);
}

#[test]
fn the_python_that_is_needed_and_the_one_that_is_there_are_both_named() {
    let mut bench = Bench::new();
    bench.write("pyproject.toml", "[project]\nname = \"p\"\nrequires-python = \">=3.14\"\n");
    let told = "needs Python `>=3.14`, and the image has 3.13.5";
    let error = bench.pinned("pyproject = \"pyproject.toml\"").unwrap_err();
    assert!(error.contains("`pyproject.toml`") && error.contains(told), "{error}");
    bench.write("uv.lock", "version = 1\n");
    assert!(bench.pinned("uv_lock = \"uv.lock\"").unwrap_err().contains(told));
    // An index says it of a file.
    let a = bench.supply.serve(ROOT, A, &wheel(A));
    let page = bench.supply.pages.get_mut(&format!("{ROOT}a/")).unwrap();
    *page = page.replace("\"size\"", "\"requires-python\": \">=3.14\", \"size\"");
    bench.write("r.txt", format!("a==1.0 --hash={a}\n"));
    let error = bench.pinned("requirements = \"r.txt\"").unwrap_err();
    assert!(error.contains(A) && error.contains(told), "{error}");
    // And a file that is named by its URL says it itself.
    let old = "old-1-py3-none-any.whl";
    let bytes = wheel_with(old, "Requires-Python: >=3.14\n");
    let digest = Digest::of(&bytes);
    bench.supply.files.insert(digest, (format!("https://h.example.com/{old}"), bytes));
    bench.write("r.txt", format!("https://h.example.com/{old} --hash={digest}\n"));
    assert!(bench.pinned("requirements = \"r.txt\"").unwrap_err().contains(told));
}

/// Breaks where a query gets into the lock, or a login into what `uv` keeps.
#[test]
fn what_is_secret_of_an_address_is_in_no_lock_and_in_no_cache() {
    let mut bench = Bench::new();
    let bytes = wheel(A);
    let a = Digest::of(&bytes);
    bench.supply.files.insert(a, (format!("https://h.example.com/{A}"), bytes));
    let line = format!("https://me:s3cret@h.example.com/{A}?X-Signature=s3cret");
    bench.write("r.txt", format!("{line} --hash={a}\n"));
    let pins = bench.pin("requirements = \"r.txt\"").unwrap();
    assert!(!format!("{pins:?}").contains("s3cret"), "{pins:?}");
    let (source, context) = (source("requirements = \"r.txt\""), bench.context());
    let url = pins.wheels[0].file.parse().unwrap();
    assert_eq!(super::with_login(&bench.ask(&source, &context), &url).as_str(), line);
    bench.write("r.txt", format!("a @ {line}\n"));
    bench.supply.serve(ROOT, A, &wheel(A));
    bench.uv(&pylock(&[(A, a)]));
    bench.pin("requirements = \"r.txt\"").unwrap();
    let log = bench.log();
    assert!(log.contains(&format!("--cache-dir {}/", bench.tmp().display())), "{log}");
    assert_eq!(std::fs::read_dir(bench.tmp()).unwrap().count(), 0);
    bench.write("r.txt", "a\n");
    bench.pin("requirements = \"r.txt\"").unwrap();
    assert!(bench.log().contains(&format!("--cache-dir {}/uv ", bench.directory.path().join("cache").display())));
}
