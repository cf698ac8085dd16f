//! dpkg's database stays true: whatever was below, and whatever packages say of themselves.

use super::deb::Deb;
use super::debian::{dpkg, dpkg_itself, unpacked};
use super::debian_archive::{ArchiveKey, DebianArchive};
use super::mirror::{Mirrored, app};
use super::support::{Base, Tar};

/// A base without dpkg, whose packages are a file each.
fn without_dpkg() -> Base {
    let tar =
        Tar::new().link("bin", "usr/bin").link("lib", "usr/lib").link("lib64", "usr/lib64").link("sbin", "usr/sbin");
    let directories = ["etc", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "usr/share", "usr/share/one"];
    let database = ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"];
    let tar = directories.iter().chain(&database).fold(tar, |tar, at| tar.dir(&format!("{at}/"), 0o755, 0, 0));
    let control = |name: &str, more: &str| {
        format!(
            "Package: {name}\nArchitecture: amd64\nVersion: 1.1\n{more}Maintainer: x <x@example.com>\nDescription: x\n"
        )
    };
    // The sum is that of `one` and a line's end.
    let sums =
        "5bbf5a52328e7439ae6e719dfe712200  usr/share/one/file\n5bbf5a52328e7439ae6e719dfe712200  usr/share/gone\n";
    let tar = tar
        .file("usr/share/one/file", 0o644, "one\n")
        .file("var/lib/dpkg/status.d/one", 0o644, &control("one", "Multi-Arch: same\n"))
        .file("var/lib/dpkg/status.d/one.md5sums", 0o644, sums)
        .file("var/lib/dpkg/status.d/two", 0o644, &control("two", "Depends: one\n"));
    Base::of(tar.end())
}

#[test]
fn where_dpkg_comes_it_knows_the_packages_below() {
    let tool = Deb::new("tool", "1").depends("two").program("usr/bin/tool", "tool\n");
    let mirrored = Mirrored::with([tool, dpkg_itself()]);
    without_dpkg().layout(&mirrored.project.path("ctx/base"));
    let on_base = |layers: &str| mirrored.recipe(&layers.replace("\"scratch\"", "\"oci:base\""));
    // At once, and after packages that came before it.
    let second = "[[images.app.layers]]\ndebian = [\"dpkg\"]\n";
    for recipe in [app("[\"tool\", \"dpkg\"]"), format!("{}\n{second}", app("[\"tool\"]"))] {
        on_base(&recipe);
        let _ = std::fs::remove_file(mirrored.project.path("lapstrake.lock"));
        let image = mirrored.build().image("app");
        let tree = unpacked(&mirrored.project, &image);
        assert_eq!(
            dpkg(&mirrored.project, "dpkg-query", &["-W", "-f", "${db:Status-Abbrev}${binary:Package} ${Version}\n"]),
            "ii dpkg 1.22.21\nii one:amd64 1.1\nii tool 1\nii two 1.1\n"
        );
        for ask in ["--verify", "--audit"] {
            assert_eq!(dpkg(&mirrored.project, "dpkg", &[ask]), "", "{ask}");
        }
        let listed = dpkg(&mirrored.project, "dpkg-query", &["-L", "one"]);
        assert_eq!(listed, "/.\n/usr\n/usr/share\n/usr/share/one\n/usr/share/one/file\n");
        assert!(image.top().contains("var/lib/dpkg/.wh.status.d"), "{}", image.top());
        // What apt thinks of it.
        let state = format!("Dir::State::status={}", tree.join("var/lib/dpkg/status").display());
        let lists = format!("Dir::State::lists={}", mirrored.project.path("lists").display());
        std::fs::create_dir_all(mirrored.project.path("lists/partial")).unwrap();
        let cache = format!("Dir::Cache={}", mirrored.project.path("apt-cache").display());
        let options =
            ["-o", &state, "-o", &lists, "-o", &cache, "-o", "Dir::Etc=/nonexistent", "-o", "Debug::NoLocking=1"];
        let output = mirrored.project.wrapped("apt-get", &options, &["-qq", "check"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_packages_say_of_their_files_is_made_true() {
    let wrong = "0".repeat(32);
    let lying = Deb::new("lying", "1")
        .file("usr/share/lying/a", "a\n")
        .file("usr/share/lying/b", "b\n")
        .info("md5sums", &format!("{wrong}  usr/share/lying/a\n{wrong}  usr/share/lying/none\nnonsense\n"));
    let silent = Deb::new("silent", "1").file("usr/share/silent", "x\n").info("md5sums", "");
    let mirrored = Mirrored::with([lying, silent, dpkg_itself()]);
    mirrored.app("[\"lying\", \"silent\", \"dpkg\"]");
    let image = mirrored.build().image("app");
    unpacked(&mirrored.project, &image);
    assert_eq!(dpkg(&mirrored.project, "dpkg", &["--verify"]), "");
    let sums = image.file("var/lib/dpkg/info/lying.md5sums");
    assert_eq!(sums, "60b725f10c9c85c70d97880dfe8191b3  usr/share/lying/a\n");
}

/// A name tells what a package is in Debian's own archives alone.
#[test]
fn another_archives_package_is_not_known_by_its_name() {
    let mirrored = Mirrored::with([dpkg_itself()]);
    let script = "#!/bin/sh\ntouch /etc/x\n";
    let mut company = DebianArchive::new(&mirrored.project.path("mirror/company"));
    company.origin = "Company".to_owned();
    company.key = ArchiveKey::new(5);
    let named = Deb::all("ucf", "1").file("usr/share/ucf", "x").script("postinst", script);
    company.add_to("stable", "apps", named.clone()).publish();
    mirrored.project.write("ctx/company.asc", company.key.armored());
    mirrored.project.write("ctx/dist/ucf.deb", named.build());
    let archive = format!(
        "[debian.archives.company]\nmirror = \"{}\"\nsuites = [\"stable\"]\ncomponents = [\"apps\"]\n\
         keyring = \"company.asc\"\norigin = \"Company\"\n",
        mirrored.server.url("/company"),
    );
    for recipe in [format!("{archive}{}", app("[\"ucf\"]")), app("[\"dist/ucf.deb\"]")] {
        mirrored.recipe(&recipe);
        let told = mirrored.run(&["lock"]).fails(4);
        assert!(told.contains("postinst of ucf calls touch"), "{told}");
    }
    let mut own = Mirrored::with([dpkg_itself()]);
    own.archive.add("trixie", named);
    own.archive.publish();
    own.app("[\"ucf\"]");
    own.lock(&[]);
}
