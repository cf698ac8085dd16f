//! The second build: what was found in a cache plays no part in what comes out, and a lock that fits stays as it is.

use std::fs;
use std::path::Path;

use super::deb::Deb;
use super::mirror::{Mirrored, app};
use super::wheel::Wheel;

/// The loader and the C library of this machine, as a package: real programs, since the loader's cache is made of what they
/// say of themselves.
fn libraries() -> Deb {
    let read = |path: &str| fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Deb::new("libc6", "2.36-9")
        .bytes("usr/lib/x86_64-linux-gnu/libc.so.6", 0o755, &read("/lib/x86_64-linux-gnu/libc.so.6"))
        .bytes("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, &read("/lib64/ld-linux-x86-64.so.2"))
        .symlink("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        .file("etc/ld.so.conf", "/usr/local/lib\n/usr/lib/x86_64-linux-gnu\n")
}

fn own_library() -> Vec<u8> {
    fs::read("/lib/x86_64-linux-gnu/libm.so.6").expect("the C library's mathematics")
}

#[test]
fn a_library_on_top_of_packages_is_in_the_loaders_cache_whether_they_were_found_or_made() {
    let m = Mirrored::with([libraries()]);
    m.project.write("ctx/libm.so.6", own_library());
    let layers =
        format!("{}\n[[images.app.layers]]\ncopy = [\"libm.so.6\"]\nto = \"/usr/local/lib\"\n", app("[\"libc6\"]"));
    m.recipe(&layers);
    m.lock(&[]);
    let cold = m.digests_of("cold", &["--locked"]);
    let image = m.project.layout("out-cold").image("app");
    assert_eq!(image.layers.len(), 3, "packages, the copy, the loader's cache: {:?}", image.history());
    assert!(image.history().last().is_some_and(|line| line.contains("ld.so.cache")), "{:?}", image.history());
    // All is found; all is made anew; only the packages are found, in a cache that has never seen the copy.
    assert_eq!(m.digests_of("cold", &["--locked"]), cold);
    assert_eq!(m.digests_of("cold", &["--locked", "--no-cache"]), cold);
    m.recipe(&app("[\"libc6\"]"));
    m.digests_of("half", &["--locked"]);
    m.recipe(&layers);
    assert_eq!(m.digests_of("half", &["--locked"]), cold);
}

/// Breaks when the package of a script's interpreter is not named.
#[test]
fn what_scripts_lack_is_told_with_its_package() {
    let m = Mirrored::with([libraries()]);
    m.project.write("ctx/run.sh", "#!/bin/sh\n").write("ctx/run.py", "#!/usr/bin/env python3\n");
    m.recipe(&format!(
        "{}\n[[images.app.layers]]\ncopy = [\"run.sh\", \"run.py\"]\nto = \"/\"\nmodes = {{ \"*\" = \"0755\" }}\n",
        app("[\"libc6\"]")
    ));
    let told = m.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("of Debian's packages, add coreutils, dash (with base-files)"), "{told}");
    // No package helps against line ends.
    m.project.write("ctx/run.sh", "#!/bin/sh\r\nexit 0\r\n");
    let told = m.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("lines of `run.sh` end as those of Windows do") && !told.contains("packages, add"), "{told}");
}

#[test]
fn what_an_image_lacks_is_told_whether_its_packages_were_found_or_made() {
    let m = Mirrored::with([libraries()]);
    m.recipe(&app("[\"libc6\"]"));
    m.build();
    let broken = format!(
        "{}\n[[images.app.layers]]\nremove = [\"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\", \"/usr/lib64/ld-linux-x86-64.so.2\"]\n",
        app("[\"libc6\"]")
    );
    m.recipe(&broken);
    for cache in ["--no-cache", "--locked"] {
        let told = m.run(&["build", "-o", "oci:out", cache]).fails(3);
        assert!(told.contains("would not run") && told.contains("ld-linux-x86-64.so.2"), "{cache}: {told}");
        assert!(told.contains("of Debian's packages, add libc6"), "{cache}: {told}");
    }
}

#[test]
fn a_lock_that_fits_stays_as_it_is_however_often_it_is_built_from() {
    let mut m = Mirrored::with([Deb::new("tool", "1").program("usr/bin/tool", "tool\n")]);
    let six = Wheel::new("six", "1.17.0").file("six.py", "x = 1\n");
    m.index.add(&six).publish();
    m.project.write("ctx/requirements.txt", format!("six==1.17.0 --hash=sha256:{}\n", six.sha256()));
    m.recipe(&format!(
        "{}\n[[images.app.layers]]\npython = {{ requirements = \"requirements.txt\", target = \"/site\", version = \"3.12\" }}\n",
        app("[\"tool\"]")
    ));
    let first = m.digests_of("one", &[]);
    let lock = m.locked();
    assert_eq!(m.digests_of("one", &[]), first);
    assert_eq!(m.digests_of("two", &["app"]), first);
    assert_eq!(m.lock(&[]), "");
    assert_eq!(m.locked(), lock);
    assert!(!Path::new(&m.project.path("ctx/lapstrake.lock")).exists());
}
