//! One layer of a recipe as several layers of an image.

use std::collections::BTreeSet;

use super::deb::Deb;
use super::mirror::Mirrored;
use super::support::{Image, Project};

/// Bytes that do not shrink, and are others for another seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

fn project() -> Project {
    let project = Project::new(
        "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"data\"\nsplit = 6\ncopy = [\"data\"]\nto = \"/srv\"\n",
    );
    for directory in 0..12 {
        for file in 0..10 {
            let path = format!("ctx/data/d{directory:02}/f{file}");
            project.write(&path, noise(directory * 100 + file, 60_000));
        }
    }
    project
}

fn files(image: &Image) -> BTreeSet<String> {
    image.listings().iter().flat_map(|listing| listing.lines()).map(str::to_owned).collect()
}

#[test]
fn a_changed_file_sends_its_own_part_alone() {
    let project = project();
    let first = project.build().image("app");
    let parts = first.layers.len();
    assert!((3..=6).contains(&parts), "{:?}", first.history());
    assert!(first.history()[0].contains(&format!("(part 1 of {parts})")), "{:?}", first.history());
    project.write("ctx/data/d05/f3", noise(7777, 60_000));
    let second = project.build().image("app");
    let (before, after) = (first.layer_digests(), second.layer_digests());
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    assert_eq!(project.build_with(&["--no-cache", "--jobs", "1"]).image("app").layer_digests(), after);
    // All parts together are the layer.
    let recipe = std::fs::read_to_string(project.path("lapstrake.toml")).expect("the recipe");
    project.write("lapstrake.toml", recipe.replace("split = 6\n", ""));
    let whole = project.build().image("app");
    assert_eq!(whole.layers.len(), 1);
    assert_eq!(files(&whole), files(&second));
}

#[test]
fn packages_are_found_again_part_by_part() {
    let mut deb = Deb::new("data", "1");
    for number in 0..8 {
        deb = deb.bytes(&format!("usr/share/d{number}/blob"), 0o644, &noise(number, 500_000));
    }
    let m = Mirrored::with([deb]);
    m.recipe("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nsplit = 3\ndebian = [\"data\"]\n");
    m.lock(&[]);
    let first = m.digests_of("one", &["--locked"]);
    assert!(m.project.layout("out-one").image("app").layers.len() > 1);
    m.server.clear_log();
    assert_eq!(m.digests_of("one", &["--locked", "--offline"]), first);
    assert_eq!(m.digests_of("one", &["--locked", "--no-cache"]), first);
    assert_eq!(m.digests_of("one", &["--locked", "--verify-cache"]), first);
}
