//! What people and other programs write: recipes, locks, Dockerfiles, ignore files, logins.

use std::path::PathBuf;

use super::{said, shown, text};
use crate::context::{IgnoreFile, Patterns};
use crate::dockerfile::{self, expand};
use crate::lock::Lock;
use crate::migrate::{self, Input, Options};
use crate::recipe::{self, Inputs, RecipeError};
use crate::registry;
use crate::supply::{apt_sources, netrc, pip, uv};

/// A recipe: told with lines that can be shown, or saying the same when its
/// values are written again.
pub fn recipe(data: &[u8]) {
    let Some(text) = text(data) else { return };
    // `{git.*}` and `{env.*}` find nothing.
    let inputs = Inputs::default();
    let found = match recipe::parse("r.toml", text, &inputs) {
        Ok(recipe) => recipe,
        Err(error) => return said(&error),
    };
    let Ok(table) = text.trim_start_matches('\u{feff}').parse::<toml::Table>() else { panic!("taken, and no TOML") };
    match recipe::parse("r.toml", &table.to_string(), &inputs) {
        Ok(again) => assert_eq!(words(&found), words(&again), "another recipe when written again"),
        Err(error @ RecipeError::Wrong(_)) => panic!("refused when written again: {error}\n{table}"),
        // Longer than a recipe may be.
        Err(RecipeError::Read { .. }) => {}
    }
}

/// The words of what a recipe says, wherever and in whatever order: a table that is written again has its keys sorted.
fn words(recipe: &recipe::Recipe) -> Vec<String> {
    let shown = format!("{:?}", (&recipe.name, &recipe.users, &recipe.debian, &recipe.context, &recipe.images));
    const SPAN: &str = "Span { source: ";
    let mut words: Vec<String> = Vec::new();
    for (number, part) in shown.split(SPAN).enumerate() {
        let rest = if number == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) };
        words.extend(rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    words.sort();
    words
}

/// A lock: what is written of it reads back equal.
pub fn lock(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<Lock>() {
        Ok(lock) => match lock.text().parse::<Lock>() {
            Ok(back) => assert_eq!(back, lock, "another lock when written again"),
            Err(error) => panic!("refused when written again: {error}\n{}", lock.text()),
        },
        Err(error) => said(&error),
    }
}

/// A Dockerfile, and the recipe that comes of it, which is one.
pub fn dockerfile(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = expand::pieces_of_heredoc(text);
    if let Err(error) = dockerfile::parse("Dockerfile", text) {
        return shown(&error.to_string());
    }
    let input = Input { name: "Dockerfile".to_owned(), text: text.to_owned(), prefix: String::new() };
    let options = Options { name: "shop".to_owned(), ..Options::default() };
    match migrate::migrate(&[input], &(), &options) {
        Ok(migration) => {
            if let Err(error) = recipe::parse("lapstrake.toml", &migration.recipe, &Inputs::default()) {
                said(&error);
            }
        }
        Err(error) => shown(&error.to_string()),
    }
}

/// The lines of an ignore file, and what they say of a path: a directory above is left unread only where that loses
/// nothing.
pub fn dockerignore(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == 0xff).unwrap_or(data.len());
    let (lines, path) = (&data[..cut], data.get(cut + 1..).unwrap_or(b"src/a/b.py"));
    let patterns = match IgnoreFile::parse(PathBuf::from(".dockerignore"), lines) {
        Ok(file) => file.patterns().clone(),
        Err(error) => return said(&error),
    };
    let matched = patterns.matches(path);
    let mut one_by_one = Patterns::default();
    let lines = lines.strip_prefix(b"\xef\xbb\xbf").unwrap_or(lines);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
        assert!(one_by_one.push(line, 1).is_ok(), "a line that is refused alone");
    }
    assert_eq!(one_by_one.matches(path), matched, "lines mean something else one by one");
    let Some(path) = text(path).filter(|path| path.split('/').all(|part| !part.is_empty())) else { return };
    let mut standing = patterns.at_root();
    for (end, _) in path.match_indices('/') {
        let (verdict, inside) = patterns.enter(&standing, &path[..end]);
        assert!(matched || !verdict.matched || patterns.may_except(&inside), "an exception would be lost");
        assert!(!matched || verdict.matched || patterns.may_match(&inside), "a match would be lost");
        standing = inside;
    }
}

/// `WWW-Authenticate`: schemes and names are tokens in small letters.
pub fn challenge(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let found = registry::challenge::parse(text);
    assert!(found.len() <= 16, "more challenges than are looked at");
    for challenge in found {
        assert!(!challenge.scheme.is_empty() && !challenge.scheme.contains(|c: char| c.is_ascii_uppercase()));
        let _ = (challenge.get("realm"), challenge.get("service"), challenge.get("scope"));
    }
}

/// Docker's `config.json`: an entry is found for its own host alone.
pub fn docker_config(data: &[u8]) {
    if let Err(reason) = registry::credentials::fuzz(data) {
        assert!(!reason.contains(|c: char| c.is_control()), "a message with a control character: {reason:?}");
    }
}

/// Settings of the machine's other programs: netrc, pip, uv, apt.
pub fn machine_settings(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for form in [netrc::NetrcForm::Netrc, netrc::NetrcForm::Apt] {
        if let Err(error) = netrc::parse(text, form) {
            said(&error);
        }
    }
    if let Err(error) = pip::PipConf::parse(text) {
        said(&error);
    }
    if let Err(error) = uv::UvConf::parse(text) {
        said(&error);
    }
    let _ = (apt_sources::of_lines(text), apt_sources::of_stanzas(text), apt_sources::of_mirrors(text));
}
