//! The makers of packages that these tests use, held to what Debian's and Python's own tools say of their work.

use std::fs;
use std::process::Command;

use super::deb::{Deb, Packing};
use super::debian_archive::{ArchiveKey, DebianArchive};
use super::support::Project;
use super::wheel::Wheel;

fn out(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn packages_are_such_as_dpkg_reads() {
    let project = Project::empty();
    for packing in [Packing::Gzip, Packing::Xz, Packing::Zstd, Packing::Plain] {
        let deb = Deb::new("tool", "1:2.0-1")
            .depends("libc6 (>= 2.36)")
            .conffile("etc/tool.conf", "x = 1\n")
            .program("usr/bin/tool", "#!/bin/sh\n")
            .hardlink("usr/bin/same", "usr/bin/tool")
            .symlink("usr/bin/short", "tool")
            .script("postinst", "#!/bin/sh\nexit 0\n")
            .packed(packing, packing);
        let path = project.path(&deb.file_name());
        fs::write(&path, deb.build()).unwrap();
        assert_eq!(deb.file_name(), "tool_2.0-1_amd64.deb");
        assert_eq!(out(Command::new("dpkg-deb").arg("--field").arg(&path).arg("Depends")), "libc6 (>= 2.36)\n");
        assert_eq!(out(Command::new("dpkg-deb").arg("--info").arg(&path).arg("conffiles")), "/etc/tool.conf\n");
        let listed = out(Command::new("dpkg-deb").arg("--contents").arg(&path));
        for line in ["./usr/bin/", "./usr/bin/same link to ./usr/bin/tool", "./usr/bin/short -> tool"] {
            assert!(listed.contains(line), "{listed}");
        }
    }
}

#[test]
fn archives_are_such_as_their_key_says() {
    let project = Project::empty();
    let mut archive = DebianArchive::new(&project.path("mirror"));
    archive.add("trixie", Deb::new("tool", "1")).add("trixie", Deb::all("data", "1")).publish();
    fs::write(project.path("key.gpg"), archive.key.keyring()).unwrap();
    fs::write(project.path("other.gpg"), ArchiveKey::new(9).keyring()).unwrap();
    let release = project.path("mirror/dists/trixie/InRelease");
    let verify =
        |key: &str| Command::new("gpgv").arg("--keyring").arg(project.path(key)).arg(&release).output().unwrap();
    let good = verify("key.gpg");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(!verify("other.gpg").status.success());
    let text = fs::read_to_string(&release).unwrap();
    let index = fs::read(project.path("mirror/dists/trixie/main/binary-arm64/Packages.xz")).unwrap();
    let sum = super::support::sha256(&index);
    assert!(text.contains(&format!(" {} {} main/binary-arm64/Packages.xz", &sum[7..], index.len())), "{text}");
    assert!(project.path(&format!("mirror/dists/trixie/main/binary-arm64/by-hash/SHA256/{}", &sum[7..])).exists());
    assert!(project.path("mirror/pool/main/d/data/data_1_all.deb").exists());
    archive.remove("trixie", "data").publish();
    assert!(!project.path("mirror/pool/main/d/data/data_1_all.deb").exists());
    assert!(project.path("mirror/pool/main/t/tool/tool_1_amd64.deb").exists());
}

#[test]
fn wheels_are_such_as_python_reads() {
    let project = Project::empty();
    let wheel = Wheel::new("My.Tool", "1.0")
        .file("my_tool/__init__.py", "def run():\n    print('it runs')\n")
        .data("scripts/old", "#!python\n")
        .script("new", "my_tool:run")
        .extra("more", "six");
    assert_eq!(wheel.file_name(), "My_Tool-1.0-py3-none-any.whl");
    fs::write(project.path(&wheel.file_name()), wheel.build()).unwrap();
    assert_eq!(wheel.build(), wheel.build(), "the same bytes each time");
    let code = "import sys, importlib.metadata as m; sys.path.insert(0, sys.argv[1]); import my_tool; my_tool.run();\
                d = m.distribution('my.tool'); print(d.version, d.requires, len(d.files), d.entry_points[0].value)";
    let text = out(Command::new("python3").arg("-c").arg(code).arg(project.path(&wheel.file_name())));
    assert_eq!(text, "it runs\n1.0 [\"six; extra == 'more'\"] 6 my_tool:run\n");
}
