//! The base stays intact: what a layer holds beside what it was asked to hold is nothing.

use super::support::{Base, Project};

/// Builds one layer over the small Debian; gives its listing.
fn top(layer: &str) -> String {
    let project = project(layer);
    project.build().image("app").top()
}

fn project(layer: &str) -> Project {
    let project = Project::new(&format!("[images.app]\nfrom = \"oci:base\"\n[[images.app.layers]]\n{layer}\n"));
    Base::debian().layout(&project.path("ctx/base"));
    project.write("ctx/x", "x").write("ctx/dir/sub/y", "yy").write("ctx/dir/z", "zzz");
    project
}

/// What a layer that is refused says, after `error: `.
fn refused(layer: &str) -> String {
    let project = project(layer);
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(!project.path("out").exists());
    assert!(told.contains("lapstrake.toml:"), "{told}");
    told
}

#[test]
fn destinations_go_through_the_bases_links() {
    insta::assert_snapshot!(top("copy = [\"x\"]\nto = \"/lib\""), @"
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        f 0644 0:0 usr/lib/x 1
    ");
    insta::assert_snapshot!(top("copy = [\"dir/\"]\nto = \"/lib/deep/er\""), @"
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        d 0755 0:0 usr/lib/deep/
        d 0755 0:0 usr/lib/deep/er/
        d 0755 0:0 usr/lib/deep/er/sub/
        f 0644 0:0 usr/lib/deep/er/sub/y 2
        f 0644 0:0 usr/lib/deep/er/z 3
    ");
    insta::assert_snapshot!(top("copy = [\"dir\"]\nto = \"/var/run\""), @"
        d 0755 0:0 run/
        d 0755 0:0 run/dir/
        d 0755 0:0 run/dir/sub/
        f 0644 0:0 run/dir/sub/y 2
        f 0644 0:0 run/dir/z 3
    ");
    insta::assert_snapshot!(top("files = { \"/bin/run\" = \"1\", \"/var/run/a/b\" = \"2\" }"), @"
        d 0755 0:0 run/
        d 0755 0:0 run/a/
        f 0644 0:0 run/a/b 1
        d 0755 0:0 usr/
        d 0755 0:0 usr/bin/
        f 0644 0:0 usr/bin/run 1
    ");
    insta::assert_snapshot!(top("symlinks = { \"/lib/libnew.so\" = \"libold.so\" }"), @"
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        l 0777 0:0 usr/lib/libnew.so -> libold.so
    ");
    insta::assert_snapshot!(top("dirs = [\"/lib/plugins\", \"/var/run/app\"]"), @"
        d 0755 0:0 run/
        d 0755 0:0 run/app/
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        d 0755 0:0 usr/lib/plugins/
    ");
}

#[test]
fn an_archive_lands_through_them_too() {
    let project = project("archive = \"a.tar\"");
    let tar = super::support::Tar::new()
        .dir("./", 0o700, 3, 4)
        .dir("./lib/", 0o700, 3, 4)
        .file("./lib/a.so", 0o644, "a")
        .hard("./lib/b.so", "./lib/a.so")
        .dir("./tmp/", 0o755, 3, 4)
        .dir("./new/", 0o750, 3, 4)
        .file("./new/f", 0o4755, "f")
        .end();
    project.write("ctx/a.tar", tar);
    insta::assert_snapshot!(project.build().image("app").top(), @"
        d 0750 3:4 new/
        f 4755 0:0 new/f 1
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        f 0644 0:0 usr/lib/a.so 1
        h 0644 0:0 usr/lib/b.so => usr/lib/a.so
    ");
}

#[test]
fn parents_are_written_as_they_are_below() {
    // /tmp is 1777, /opt 0750 7:8, /srv 2775 0:50, /root 0700, whatever is copied to them and whoever owns that.
    insta::assert_snapshot!(
        top("copy = [{ src = \"x\", dest = \"/tmp/x\" }, { src = \"x\", dest = \"/opt/x\" }, { src = \"x\", dest = \"/srv/x\" }, { src = \"dir\", dest = \"/root\" }]\nowner = \"www-data\""),
        @"
        d 0750 7:8 opt/
        f 0644 33:33 opt/x 1
        d 0700 0:0 root/
        d 0755 33:33 root/sub/
        f 0644 33:33 root/sub/y 2
        f 0644 33:33 root/z 3
        d 2775 0:50 srv/
        f 0644 33:33 srv/x 1
        d 1777 0:0 tmp/
        f 0644 33:33 tmp/x 1
    "
    );
}

#[test]
fn dirs_changes_the_named_directory_alone() {
    insta::assert_snapshot!(top("dirs = { \"/opt\" = { mode = \"0700\" } }"), @"d 0700 7:8 opt/");
    insta::assert_snapshot!(top("dirs = { \"/opt\" = { owner = \"www-data\" } }"), @"d 0750 33:33 opt/");
    insta::assert_snapshot!(top("dirs = { \"/a/b\" = { owner = \"33:50\", mode = \"1770\" } }"), @"
        d 0755 0:0 a/
        d 1770 33:50 a/b/
    ");
    // One that is there, with nothing to change.
    insta::assert_snapshot!(top("dirs = [\"/tmp\"]\nfiles = { \"/f\" = \"\" }"), @"f 0644 0:0 f 0");
}

#[test]
fn the_workdir_is_made_where_it_is_new_and_left_alone_where_it_is_there() {
    for (workdir, expected) in [
        ("/opt", vec![]),
        ("/tmp", vec![]),
        ("/app/x", vec!["d 0755 0:0 app/\nd 0755 33:33 app/x/\n"]),
        ("/var/run/app", vec!["d 0755 0:0 run/\nd 0755 33:33 run/app/\n"]),
    ] {
        let project = Project::new(&format!(
            "[images.app]\nfrom = \"oci:base\"\nworkdir = \"{workdir}\"\nowner = \"www-data\"\nuser = \"www-data\"\n"
        ));
        Base::debian().layout(&project.path("ctx/base"));
        let image = project.build().image("app");
        assert_eq!(image.listings()[1..], expected[..], "{workdir}");
        assert_eq!(image.settings()["WorkingDir"], workdir);
        assert_eq!(image.settings()["User"], "33:33");
    }
}

#[test]
fn replacing_needs_to_be_said() {
    insta::assert_snapshot!(refused("files = { \"/usr/lib\" = \"\" }"), @r#"
        error[L0312]: /usr/lib is a directory of mode 0755 and owner 0:0 in the base, and a file of mode 0644 and owner 0:0 (files `/usr/lib`) would take its place: write `replace = true` in the layer if that is meant
          --> lapstrake.toml:10:11
           |
        10 | files = { "/usr/lib" = "" }
           |           ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused("copy = [{ src = \"x\", dest = \"/usr/lib\" }]"), @r#"
        error[L0312]: /usr/lib is a directory of mode 0755 and owner 0:0 in the base, and a file of mode 0644 and owner 0:0 (copy `x`) would take its place: write `replace = true` in the layer if that is meant
          --> lapstrake.toml:10:1
           |
        10 | copy = [{ src = "x", dest = "/usr/lib" }]
           | ^^^^
    "#);
    insta::assert_snapshot!(refused("symlinks = { \"/usr/lib\" = \"lib64\" }"), @r#"
        error[L0312]: /usr/lib is a directory of mode 0755 and owner 0:0 in the base, and a symlink to `lib64` (symlinks `/usr/lib`) would take its place: write `replace = true` in the layer if that is meant
          --> lapstrake.toml:10:14
           |
        10 | symlinks = { "/usr/lib" = "lib64" }
           |              ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused("files = { \"/usr/bin/tool/x\" = \"\" }"), @r#"
        error[L0313]: /usr/bin/tool/x leads through /usr/bin/tool, which is no directory in the base
          --> lapstrake.toml:10:11
           |
        10 | files = { "/usr/bin/tool/x" = "" }
           |           ^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn replacing_is_done_where_it_is_said() {
    insta::assert_snapshot!(top("files = { \"/usr/lib\" = \"\" }\nreplace = true"), @"
        d 0755 0:0 usr/
        f 0644 0:0 usr/lib 0
    ");
    insta::assert_snapshot!(top("copy = [{ src = \"x\", dest = \"/usr/bin/tool\" }]"), @"
        d 0755 0:0 usr/
        d 0755 0:0 usr/bin/
        f 0644 0:0 usr/bin/tool 1
    ");
}

#[test]
fn removing_writes_whiteouts_and_parents_as_they_are() {
    insta::assert_snapshot!(top("remove = [\"/lib/libold.so\", \"/opt\"]"), @"
        f 0000 0:0 .wh.opt 0
        d 0755 0:0 usr/
        d 0755 0:0 usr/lib/
        f 0000 0:0 usr/lib/.wh.libold.so 0
    ");
    let told = refused("remove = [\"/lib/nothing\"]");
    assert!(told.contains("/lib/nothing"), "{told}");
}

#[test]
fn capabilities_go_to_the_file_and_to_nothing_else() {
    insta::assert_snapshot!(top("caps = { \"/bin/tool\" = \"cap_net_bind_service=+ep\" }"), @"
        d 0755 0:0 usr/
        d 0755 0:0 usr/bin/
        f 0755 0:0 usr/bin/tool 4 [SCHILY.xattr.security.capability]
    ");
}

#[test]
fn accounts_are_added_to_all_four_files_and_keep_their_modes() {
    let project = Project::empty();
    project.recipe(
        "[users.app]\nuid = 1001\nhome = \"/home/app\"\ncreate_home = true\ngroups = [\"video\"]\n[images.app]\nfrom = \"oci:base\"\nusers = [\"app\"]\nuser = \"app\"\n",
    );
    Base::debian().layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    insta::assert_snapshot!(image.top(), @"
        d 0755 0:0 etc/
        f 0644 0:0 etc/group 49
        f 0640 0:0 etc/gshadow 40
        f 0644 0:0 etc/passwd 126
        f 0640 0:0 etc/shadow 80
        d 0755 0:0 home/
        d 0700 1001:1001 home/app/
    ");
    let files = ["passwd", "group", "shadow", "gshadow"].map(|name| image.file(&format!("etc/{name}")));
    insta::assert_snapshot!(files.join("--\n"), @"
        root:x:0:0:root:/root:/bin/bash
        www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
        app:x:1001:1001::/home/app:/sbin/nologin
        --
        root:x:0:
        staff:x:50:
        video:x:44:app
        app:x:1001:
        --
        root:*:19000:0:99999:7:::
        www-data:*:19000:0:99999:7:::
        app:!:3653:0:99999:7:::
        --
        root:*::
        staff:*::
        video:*::app
        app:!::
    ");
}
