//! What is said when a recipe is wrong, or what it names is not there: exit code, place, the next thing to do.

use super::support::{Base, Project, Tar};

/// `lapstrake.toml:LINE:COLUMN` is in the text.
fn has_place(told: &str) -> bool {
    told.match_indices("lapstrake.toml:").any(|(at, found)| {
        let rest = &told[at + found.len()..];
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
        numbers.next().is_some_and(|line| !line.is_empty()) && numbers.next().is_some_and(|column| !column.is_empty())
    })
}

#[test]
fn wrong_recipes_end_with_3_and_say_where() {
    let cases = [
        ("images = [", "]"),
        ("[images.app]\nfrom = 1\n", "from"),
        ("[images.app]\nform = \"scratch\"\n", "`from`"),
        ("[images.app]\nfrom = \"scratch\"\nentrypoint = \"/bin/sh\"\n", "[\"/bin/sh\"]"),
        ("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nfiles = {}\nuser = \"x\"\n", "above"),
        ("[images.app]\nfrom = \"scratch\"\nuser = \"-1\"\n", "-1"),
        ("[images.a]\nfrom = \"b\"\n[images.b]\nfrom = \"a\"\n", "a"),
        (
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"x\"]\nto = \"/\"\nmode = \"9\"\n",
            "octal",
        ),
        ("[images.app]\nfrom = \"scratch\"\nusers = [\"app\"]\n", "app"),
        ("[images.app]\nfrom = \"scratch\"\ntags = [\"{git.shrot}\"]\n", "{git.short}"),
        ("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nrun = \"make\"\n", "nothing is executed"),
        ("[images.App]\nfrom = \"scratch\"\n", "App"),
    ];
    for (recipe, words) in cases {
        let project = Project::new(recipe);
        for arguments in [&["build"][..], &["build", "--dry-run"], &["build", "-q"]] {
            let told = project.run(arguments).fails(3);
            assert!(told.starts_with("error[L") && told.contains(words) && has_place(&told), "{recipe}\n{told}");
        }
        assert!(!project.path("lapstrake-out").exists());
    }
}

#[test]
fn images_in_a_circle_are_told_with_the_circle() {
    let copy = "[[images.b.layers]]\nimage = { image = \"a\", copy = \"/x\" }\n";
    for (recipe, words) in [
        (
            "[images.a]\nfrom = \"b\"\n[images.b]\nfrom = \"c\"\n[images.c]\nfrom = \"a\"\n",
            "images stand on each other in a circle: a → b → c → a",
        ),
        (
            &format!("[images.a]\nfrom = \"b\"\n[images.b]\nfrom = \"scratch\"\n{copy}"),
            "images stand on each other in a circle: a → b → a",
        ),
        ("[images.app]\nfrom = \"app\"\n", "image `app` stands on itself"),
        ("[images.app]\nfrom = \"base\"\n", "there is no image `base` in this recipe"),
    ] {
        for command in ["build", "lock"] {
            let told = Project::new(recipe).run(&[command]).fails(3);
            assert!(told.contains(words) && has_place(&told), "{recipe}\n{told}");
        }
    }
}

#[test]
fn recipes_that_cannot_be_read() {
    let project = Project::empty();
    insta::assert_snapshot!(project.run(&["build"]).fails(3), @"
        error[L0101]: cannot read the recipe `lapstrake.toml`
          caused by: No such file or directory (os error 2)
        hint: name the recipe with -f, or start one with `lapstrake init`
    ");
    insta::assert_snapshot!(project.run(&["build", "-f", "other.toml"]).fails(3), @"
        error[L0101]: cannot read the recipe `other.toml`
          caused by: No such file or directory (os error 2)
    ");
    project.write("bytes.toml", b"recipe = 1\n\xff\n");
    insta::assert_snapshot!(project.run(&["build", "-f", "bytes.toml"]).fails(3), @"
        error[L0101]: cannot read the recipe `bytes.toml`
          caused by: line 2 is not UTF-8
    ");
    insta::assert_snapshot!(project.run(&["build", "-f", "ctx"]).fails(3), @"
        error[L0101]: cannot read the recipe `ctx`
          caused by: it is no regular file
    ");
    project.write("long.toml", vec![b'#'; (1 << 20) + 1]);
    insta::assert_snapshot!(project.run(&["build", "-f", "long.toml"]).fails(3), @"
        error[L0101]: cannot read the recipe `long.toml`
          caused by: it is longer than 1048576 bytes
    ");
}

/// A recipe with one image `app` over `from`, with one layer.
fn told(from: &str, layer: &str) -> String {
    let project = Project::new(&format!("[images.app]\nfrom = \"{from}\"\n[[images.app.layers]]\n{layer}\n"));
    project.write("ctx/requirements.txt", "x").write("ctx/src/main.py", "x");
    project.write("ctx/text.tar", "this is no archive, and long enough to be looked at twice".repeat(20));
    project.write("ctx/device.tar", device());
    project.write("ctx/climbs.tar", climbing());
    Base::debian().layout(&project.path("ctx/base"));
    let run = project.run(&["build", "-o", "oci:out"]);
    assert!(!project.path("out").exists(), "nothing half-done");
    assert!(matches!(run.code, Some(1 | 3)), "{:?}", run.code);
    let code = run.code.unwrap();
    let told = run.fails(code);
    assert!(has_place(&told), "{told}");
    format!("{code} {told}")
}

fn device() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Char);
    header.set_path("dev/null").unwrap();
    header.set_mode(0o666);
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &b""[..]).unwrap();
    builder.into_inner().unwrap()
}

fn climbing() -> Vec<u8> {
    let mut bytes = Tar::new().file("aa/escape", 0o644, "x").end();
    bytes[..2].copy_from_slice(b"..");
    let mut header = tar::Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    bytes
}

#[test]
fn what_a_plan_finds_missing() {
    insta::assert_snapshot!(told("scratch", "copy = [\"requirement.txt\"]\nto = \"/\""), @r#"
        3 error[L0301]: copy `requirement.txt` matches nothing in the context `ctx`; did you mean `requirements.txt`?
          --> lapstrake.toml:10:9
           |
        10 | copy = ["requirement.txt"]
           |         ^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "copy = [\"src/*.rs\"]\nto = \"/\""), @r#"
        3 error[L0301]: copy `src/*.rs` matches nothing in the context `ctx`
          --> lapstrake.toml:10:9
           |
        10 | copy = ["src/*.rs"]
           |         ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "copy = [\"src\"]\nto = \"/\"\nowner = \"nobody\""), @r#"
        3 error[L0406]: there is no user `nobody` in the recipe or in the base's /etc/passwd
          --> lapstrake.toml:12:9
           |
        12 | owner = "nobody"
           |         ^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "archive = \"missing.tar\""), @r#"
        3 error[L0306]: reading the archive `ctx/missing.tar`: No such file or directory (os error 2)
          --> lapstrake.toml:10:11
           |
        10 | archive = "missing.tar"
           |           ^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "archive = \"text.tar\""), @r#"
        3 error[L0315]: reading the archive `ctx/text.tar`: the header at byte 0 is wrong: its checksum is no number
          --> lapstrake.toml:10:11
           |
        10 | archive = "text.tar"
           |           ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "archive = \"device.tar\""), @r#"
        3 error[L0315]: /dev/null in the archive `ctx/device.tar` is a device, FIFO or socket, which no layer can hold: leave it out with `exclude`
          --> lapstrake.toml:10:11
           |
        10 | archive = "device.tar"
           |           ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "archive = \"climbs.tar\""), @r#"
        3 error[L0315]: reading the archive `ctx/climbs.tar`: the member at byte 0 is refused: path `../escape` climbs with `..`
          --> lapstrake.toml:10:11
           |
        10 | archive = "climbs.tar"
           |           ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("oci:bse", "files = { \"/f\" = \"\" }"), @"
        1 error[L0501]: opening the base oci:bse (lapstrake.toml:8:8)
          caused by: opening `ctx/bse`
          caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(told("archive:missing.tar", "files = { \"/f\" = \"\" }"), @"
        1 error[L0501]: opening the base archive:missing.tar (lapstrake.toml:8:8)
          caused by: opening `ctx/missing.tar`
          caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(told("docker-archive:requirements.txt", "files = { \"/f\" = \"\" }"), @"
        1 error[L0502]: opening the base docker-archive:requirements.txt (lapstrake.toml:8:8)
          caused by: the tar in `docker-archive:ctx/requirements.txt` cannot be read: the archive ends in the middle, after 1 bytes
    ");
    insta::assert_snapshot!(told("scratch", "image = { image = \"oci:base\", copy = \"/usr/bin/tol\" }\nto = \"/\""), @r#"
        3 error[L0317]: /usr/bin/tol is not in the image oci:base; did you mean `/usr/bin/tool`?
          --> lapstrake.toml:10:19
           |
        10 | image = { image = "oci:base", copy = "/usr/bin/tol" }
           |                   ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("scratch", "caps = { \"/bin/none\" = \"cap_net_raw+ep\" }"), @r#"
        3 error[L0317]: /bin/none is a file neither of this layer nor of the base
          --> lapstrake.toml:10:10
           |
        10 | caps = { "/bin/none" = "cap_net_raw+ep" }
           |          ^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(told("oci:base", "copy = [\"src\"]"), @r#"
        3 error[L0104]: the layer has no `to`, and the image no workdir: where should this land?
          --> lapstrake.toml:10:1
           |
        10 | copy = ["src"]
           | ^^^^
    "#);
}

#[test]
fn a_context_that_is_not_there() {
    let project = Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"x\"]\nto = \"/\"\n");
    std::fs::remove_dir(project.path("ctx")).unwrap();
    let told = project.run(&["build"]).fails(1);
    insta::assert_snapshot!(told, @"
        error[L0306]: opening the context ctx (lapstrake.toml:10:1)
          caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn the_network_ends_with_5() {
    // Nobody listens there, and nobody is asked: a port of this machine that was just free.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let recipe =
        format!("[images.app]\nfrom = \"{address}/base:1\"\n[[images.app.layers]]\nfiles = {{ \"/f\" = \"\" }}\n");
    let project = Project::new(&recipe);
    let told = project.run(&["build", "--retry", "1", "-o", "oci:out"]).fails(5);
    assert!(told.contains(&address) && has_place(&told), "{told}");
    assert!(!project.path("out").exists());
    project.recipe("[images.app]\nfrom = \"scratch\"\n");
    let told = project.run(&["build", "--retry", "1", "-o", &format!("{address}/app:1")]).fails(5);
    assert!(told.contains(&address), "{told}");
    project.run(&["inspect", "--retry", "1", &format!("{address}/app:1")]).fails(5);
    // Offline, the network is not touched at all.
    project.recipe(&recipe);
    let told = project.run(&["build", "--offline", "-o", "oci:out"]).fails(5);
    assert!(told.contains("--offline"), "{told}");
}

#[test]
fn no_control_bytes_reach_the_terminal() {
    let project = Project::new("[images.app]\nfrom = \"oci:\\u001b[31mred\"\n");
    let run = project.run(&["build"]);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    assert_ne!(run.code, Some(0));
    let run = project.run(&["build", "\u{1b}[31mred"]);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
