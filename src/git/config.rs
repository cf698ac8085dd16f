//! What of git's settings decides whether a file is as it was committed: those of `core`, and attributes of files (git's
//! `git-config` and `gitattributes`). Files that settings include are not read.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::object::read_bounded;
use super::repository::{Repository, small};
use super::variable;

/// No file of attributes is longer.
const MAX_ATTRIBUTES: u64 = 1 << 20;

/// Settings of a checkout.
#[derive(Debug)]
pub(super) struct Config {
    /// Whether the executable bits of files are those of the commit.
    pub(super) file_mode: bool,
    /// Where attributes are that go for all files.
    attributes: Vec<PathBuf>,
    /// Whether those name a filter.
    filters: OnceCell<bool>,
}

impl Config {
    /// Those of a checkout, and of the user that the environment tells.
    pub(super) fn of(repository: &Repository, environment: &BTreeMap<String, String>) -> Self {
        let home = variable(environment, "HOME").map(PathBuf::from);
        let own = match variable(environment, "XDG_CONFIG_HOME") {
            Some(directory) => Some(Path::new(directory).join("git")),
            None => home.as_ref().map(|home| home.join(".config/git")),
        };
        let files = [
            Some(PathBuf::from("/etc/gitconfig")),
            own.as_ref().map(|own| own.join("config")),
            home.as_ref().map(|home| home.join(".gitconfig")),
            Some(repository.common().join("config")),
            Some(repository.git().join("config.worktree")),
        ];
        let (mut file_mode, mut of_user) = (true, own.map(|own| own.join("attributes")));
        for text in files.iter().flatten().filter_map(|path| small(path).ok()) {
            for (key, value) in of_core(&text) {
                match key.as_str() {
                    "filemode" => {
                        let value = value.as_deref().unwrap_or("true").to_ascii_lowercase();
                        file_mode = !matches!(value.as_str(), "false" | "no" | "off" | "0" | "");
                    }
                    "attributesfile" => {
                        of_user = value.map(|value| match (value.strip_prefix("~/"), &home) {
                            (Some(below), Some(home)) => home.join(below),
                            _ => repository.work().join(value),
                        });
                    }
                    _ => {}
                }
            }
        }
        let system = PathBuf::from("/etc/gitattributes");
        let attributes = [Some(system), of_user, Some(repository.common().join("info/attributes"))];
        Config { file_mode, attributes: attributes.into_iter().flatten().collect(), filters: OnceCell::new() }
    }

    /// Whether attributes that go for all files name a filter.
    pub(super) fn filters(&self) -> bool {
        *self.filters.get_or_init(|| self.attributes.iter().any(|path| names_filter(path)))
    }
}

/// Whether attributes name something that makes other bytes of a file than those of its blob, ends of lines aside. What
/// cannot be read may.
pub(super) fn names_filter(path: &Path) -> bool {
    match read_bounded(path, MAX_ATTRIBUTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().any(is_filter),
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory),
    }
}

fn is_filter(line: &str) -> bool {
    let filters = |word: &str| matches!(word.split('=').next(), Some("filter" | "ident" | "working-tree-encoding"));
    !line.trim_start().starts_with('#') && line.split_ascii_whitespace().skip(1).any(filters)
}

/// Settings of `[core]`, in their order, with small letters; without a value where they are just named.
fn of_core(text: &str) -> Vec<(String, Option<String>)> {
    let mut settings = Vec::new();
    let mut is_core = false;
    for line in text.lines() {
        let mut line = line.trim();
        if let Some((section, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            is_core = section.trim().eq_ignore_ascii_case("core");
            line = rest.trim();
        }
        if !is_core || line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(plain(value.trim()))),
            None => (line, None),
        };
        settings.push((key.trim().to_ascii_lowercase(), value));
    }
    settings
}

/// A value without quotes, escapes and a comment after it.
fn plain(value: &str) -> String {
    let (mut plain, mut quoted) = (String::new(), false);
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => plain.extend(characters.next()),
            '#' | ';' if !quoted => break,
            c => plain.push(c),
        }
    }
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_settings_as_git_does() {
        let text = "[user]\n\tfilemode = no\n[Core] bare\n# x = y\n\tFileMode=Off ; why\n\
            \tattributesFile = \"~/a b#\" # c\n[core \"x\"]\n\tfilemode = true\n";
        let text_of = |value: &str| Some(value.to_owned());
        let expected = [("bare", None), ("filemode", text_of("Off")), ("attributesfile", text_of("~/a b#"))];
        assert_eq!(of_core(text), expected.map(|(key, value)| (key.to_owned(), value)));
        for broken in ["[core", "=", "[core]\n=\\", "[core]\nx=\"\\"] {
            of_core(broken);
        }
    }

    #[test]
    fn finds_filters_among_attributes() {
        for line in
            ["*.bin filter=lfs diff=lfs -text", "[attr]big filter=x", "a ident", "*.csv working-tree-encoding=UTF-16"]
        {
            assert!(is_filter(line), "{line}");
        }
        for line in ["", "filter", "# a filter=x", "* text=auto eol=crlf", "*.bin -filter !ident", "a diff=ident"] {
            assert!(!is_filter(line), "{line}");
        }
    }
}
