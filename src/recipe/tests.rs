use super::*;
use crate::git::{Checkout, Facts};

pub(super) const DESIGN: &str = include_str!("testdata/design.toml");

/// What the tests take from outside.
pub(super) fn inputs() -> Inputs {
    let facts = Facts {
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        branch: Some("feature/x".to_owned()),
        tag: None,
        commit_time: Some(1_769_817_600),
    };
    Inputs {
        environment: BTreeMap::from([("BUILD".to_owned(), "17".to_owned())]),
        git: Checkout::known(facts),
        set: Vec::new(),
    }
}

pub(super) fn good_recipes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("design", DESIGN),
        ("everything", include_str!("testdata/everything.toml")),
        ("archon", include_str!("../../recipes/archon.toml")),
        ("eveai", include_str!("../../recipes/eveai.toml")),
        ("hello", include_str!("../../recipes/hello.toml")),
        ("lapstrake", include_str!("../../recipes/lapstrake.toml")),
        ("static-site", include_str!("../../recipes/static-site.toml")),
    ]
}

#[test]
fn good_recipes_are_read() {
    for (name, text) in good_recipes() {
        if let Err(error) = parse(name, text, &inputs()) {
            panic!("{error}");
        }
    }
}
