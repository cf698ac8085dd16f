//! Every reader of foreign bytes as a function that takes any bytes, and insists on what must hold of them.
//!
//! `fuzz/` (cargo-fuzz) feeds them, and [`tests`] replays `fuzz/seeds`: a directory for each target, with inputs that reach
//! its depths and one for each fault that was ever found. A target panics where something does not hold; that a reader does
//! not panic itself, and ends soon and in little memory, is what every one of them shows. Nothing of this is in the product:
//! it is compiled for tests and for fuzzers only.

mod archives;
mod documents;
mod made;
mod packages;
#[cfg(test)]
mod seeds;
mod settings;
#[cfg(test)]
mod tests;

pub use archives::{compressed, deb, image_archive, tar, wheel, zip};
pub use documents::{document, place, reference};
pub use packages::{
    control, elf, in_release, keyring, maintainer_script, markers, packages_index, pylock, python_index, python_record,
    relations, requirements, versions,
};
pub use settings::{challenge, docker_config, dockerfile, dockerignore, lock, machine_settings, recipe};

/// A reader under test.
pub struct Target {
    /// What it is called: also the name of its program in `fuzz/fuzz_targets` and of its directory in `fuzz/seeds`.
    pub name: &'static str,
    /// Gives it some bytes.
    pub run: fn(&[u8]),
}

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "challenge", run: challenge },
    Target { name: "compressed", run: compressed },
    Target { name: "control", run: control },
    Target { name: "deb", run: deb },
    Target { name: "docker_config", run: docker_config },
    Target { name: "dockerfile", run: dockerfile },
    Target { name: "dockerignore", run: dockerignore },
    Target { name: "document", run: document },
    Target { name: "elf", run: elf },
    Target { name: "image_archive", run: image_archive },
    Target { name: "in_release", run: in_release },
    Target { name: "keyring", run: keyring },
    Target { name: "lock", run: lock },
    Target { name: "machine_settings", run: machine_settings },
    Target { name: "maintainer_script", run: maintainer_script },
    Target { name: "markers", run: markers },
    Target { name: "packages_index", run: packages_index },
    Target { name: "place", run: place },
    Target { name: "pylock", run: pylock },
    Target { name: "python_index", run: python_index },
    Target { name: "python_record", run: python_record },
    Target { name: "recipe", run: recipe },
    Target { name: "reference", run: reference },
    Target { name: "relations", run: relations },
    Target { name: "requirements", run: requirements },
    Target { name: "tar", run: tar },
    Target { name: "versions", run: versions },
    Target { name: "wheel", run: wheel },
    Target { name: "zip", run: zip },
];

/// The bytes as text, where they are some.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// What an error says, with its causes: something, and nothing that a terminal would obey.
fn said(error: &dyn std::error::Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        shown(&error.to_string());
        next = error.source();
    }
}

fn shown(message: &str) {
    assert!(!message.is_empty(), "an error that says nothing");
    let unfit = |c: char| crate::shown::is_unseen(c) && c != '\n';
    assert!(!message.contains(unfit), "a message with a control character: {message:?}");
}
