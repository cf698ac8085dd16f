//! `[limits]`: what holds more ends the build and says which key allows more; nothing that is made depends on it.

use super::deb::{Deb, Packing};
use super::mirror::Mirrored;
use super::support::{BINARY, Base, Project, Tar, gzip};
use super::wheel::Wheel;

/// One image of each thing that is unpacked, with 5,000 bytes and three entries or more in each.
const IMAGES: &str = r#"
[images.archive]
from = "scratch"
[[images.archive.layers]]
archive = "dist/data.tar.gz"
to = "/data"
[images.package]
from = "scratch"
[[images.package.layers]]
debian = ["tool"]
[images.wheel]
from = "scratch"
[[images.wheel.layers]]
python = { wheels = ["dist/*.whl"], target = "/site", version = "3.13" }
[images.base]
from = "oci:../base"
[[images.base.layers]]
files = { "/data/three" = "3" }
"#;

fn mirrored() -> Mirrored {
    let much = "x".repeat(5000);
    let m = Mirrored::with([Deb::new("tool", "1").program("usr/bin/tool", &much)]);
    let wheel = Wheel::new("big", "1.0").file("big/data.py", &format!("# {much}")).file("big/more.py", "");
    m.project.write(&format!("ctx/dist/{}", wheel.file_name()), wheel.build());
    let tar = || Tar::new().dir("data/", 0o755, 0, 0).file("data/one", 0o644, &much).file("data/two", 0o644, "2").end();
    m.project.write("ctx/dist/data.tar.gz", gzip(&tar()));
    Base::of(tar()).layout(&m.project.path("base"));
    m
}

/// Would fail if a limit of the recipe were not heeded somewhere, or were part of a key, a lock or an image.
#[test]
fn what_holds_more_ends_the_build_and_names_the_key() {
    let m = mirrored();
    m.recipe(IMAGES);
    m.lock(&[]);
    let images = ["archive", "package", "wheel", "base"];
    for (number, (limits, key)) in
        [("unpacked = \"1 KiB\"", "`unpacked`"), ("entries = 2", "`entries`")].iter().enumerate()
    {
        m.recipe(&format!("[limits]\n{limits}\n{IMAGES}"));
        for image in images {
            let cache = format!("cache-{number}-{image}");
            let run = m.run(&["build", image, "--locked", "-o", "oci:out", "--cache-dir", &cache]);
            let told = run.told();
            assert!(matches!(run.code, Some(1 | 3..=5)), "{image}, {limits}: {:?} {told}", run.code);
            assert!(
                told.contains(&format!("{key} in the recipe's `[limits]` allows more")),
                "{image}, {limits}: {told}"
            );
            assert!(!m.project.path("out").exists());
        }
    }
    m.recipe(IMAGES);
    let usual = m.digests_of("usual", &["--locked"]);
    let lock = m.locked();
    m.recipe(&format!("[limits]\nunpacked = \"100 GiB\"\nentries = 10000000\nratio = 100\n{IMAGES}"));
    assert_eq!(m.digests_of("other", &["--locked"]), usual);
    let run = m.run(&["build", "--locked", "-o", "oci:again", "--cache-dir", "usual", "--progress", "plain"]).ok();
    assert!(!run.stderr.contains("compress"), "no key is another: {}", run.stderr);
    m.lock(&[]);
    assert_eq!(m.locked(), lock);
}

#[test]
fn a_size_that_is_none_is_told_where_it_stands() {
    let project = Project::empty();
    let recipe = |limits: &str| project.recipe(&format!("[limits]\n{limits}\n[images.app]\nfrom = \"scratch\"\n"));
    for (limits, wanted) in [
        ("unpacked = \"64 GB\"", "`64 GB` is no size"),
        ("unpacked = 64", "a size such as"),
        ("entries = 0", "a number from 1"),
        ("unpackd = \"1 GiB\"", "did you mean `unpacked`"),
    ] {
        recipe(limits);
        let told = project.run(&["build"]).fails(3);
        assert!(told.contains("lapstrake.toml:") && told.contains(wanted), "{limits}: {told}");
    }
    recipe("unpacked = \"1 GiB\"\nratio = 5");
    let printed = project.run(&["build", "--print-recipe"]).stdout();
    assert!(printed.contains("[limits]\nunpacked = \"1 GiB\"\nratio = 5\n"), "{printed}");
}

/// A package and a wheel of 64 MiB each, downloaded, unpacked and made layers of in less memory than one of them takes.
#[test]
fn large_packages_are_streamed_and_not_held() {
    let noise: Vec<u8> = (0..8_u64 << 20)
        .flat_map(|n| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).to_le_bytes())
        .collect();
    let mut m = Mirrored::with([Deb::new("large", "1")
        .bytes("usr/share/large", 0o644, &noise)
        .packed(Packing::Gzip, Packing::Gzip)]);
    let wheel = Wheel::new("big", "1.0").bytes("big/data.bin", 0o644, &noise);
    m.project.write("ctx/requirements.txt", format!("big==1.0 --hash=sha256:{}\n", wheel.sha256()));
    m.index.add(&wheel).publish();
    m.recipe(
        "[images.package]\nfrom = \"scratch\"\n[[images.package.layers]]\ndebian = [\"large\"]\n\
         [images.wheel]\nfrom = \"scratch\"\n[[images.wheel.layers]]\n\
         python = { requirements = \"requirements.txt\", target = \"/site\", version = \"3.13\" }\n",
    );
    for image in ["package", "wheel"] {
        // Everything that the process writes to but its files, in KiB: 48 MiB.
        let script = format!("ulimit -d 49152; exec \"$0\" build {image} -j 2 -o oci:{image}");
        let mut command = m.project.wrapped("sh", &["-c", &script, BINARY], &[]);
        command
            .env("LAPSTRAKE_DEBIAN_MIRROR", m.server.url("/debian"))
            .env("LAPSTRAKE_PYTHON_INDEX", m.server.url("/python/simple"));
        m.project.end(command).ok();
        let layers = m.project.layout(image).image(image).layers;
        assert!(layers.iter().any(|layer| layer.len() > noise.len()), "{image}");
    }
}
