//! What CI systems make of a log: groups that can be folded, annotations beside a run, and a summary on its page.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapstrake::logins::hide_logins;
use lapstrake::shown::in_lines;

use super::super::exit::{Failure, Spot};
use super::super::log::Lines;
use super::{first_line, plain};

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ci {
    /// Nobody's who is known.
    None,
    /// GitHub's, or Gitea's and Forgejo's, which understand the same.
    GitHub,
    /// GitLab's.
    GitLab,
}

/// Lines that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Images are made.
    Build,
    /// They are pushed.
    Push,
}

impl Group {
    fn word(self) -> &'static str {
        match self {
            Group::Build => "build",
            Group::Push => "push",
        }
    }
}

impl Ci {
    /// As the environment says.
    pub(super) fn here() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
        match () {
            () if is_set("GITHUB_ACTIONS") || is_set("GITEA_ACTIONS") => Ci::GitHub,
            () if is_set("GITLAB_CI") => Ci::GitLab,
            () => Ci::None,
        }
    }

    /// The line that opens a group that began so long ago.
    pub(super) fn open(self, group: Group, since: Duration) -> Option<Lines> {
        let name = group.word();
        let line = match self {
            Ci::None => return None,
            Ci::GitHub => format!("::group::lapstrake {name}"),
            Ci::GitLab => {
                let began = unix_time().saturating_sub(since.as_secs());
                format!("\x1b[0Ksection_start:{began}:lapstrake_{name}\r\x1b[0Klapstrake {name}")
            }
        };
        Some(Lines::command(line))
    }

    /// The line that closes it.
    pub(super) fn close(self, group: Group) -> Option<Lines> {
        let line = match self {
            Ci::None => return None,
            Ci::GitHub => "::endgroup::".to_owned(),
            Ci::GitLab => format!("\x1b[0Ksection_end:{}:lapstrake_{}\r\x1b[0K", unix_time(), group.word()),
        };
        Some(Lines::command(line))
    }

    /// The line that puts a text beside the run; `level` is `error` or `warning`.
    pub(super) fn annotation(self, level: &str, title: &str, text: &str) -> Option<Lines> {
        let line = || format!("::{level} title={}::{}", property(title), data(&plain(text)));
        (self == Ci::GitHub).then(|| Lines::command(line()))
    }

    /// The lines that put a failure beside the run, and beside the lines of files that it is about.
    pub(super) fn annotations_of(self, failure: &Failure) -> Vec<Lines> {
        let title = failure.kind.to_string();
        match &failure.spots[..] {
            [] => self.annotation("error", &title, &message(failure)).into_iter().collect(),
            spots => {
                let line = |Spot { file, line, column, text }: &Spot| {
                    let (file, title, text) =
                        (property(&plain(file)), property(&title), data(&plain(&hide_logins(text))));
                    Lines::command(format!("::error file={file},line={line},col={column},title={title}::{text}"))
                };
                spots.iter().filter(|_| self == Ci::GitHub).map(line).collect()
            }
        }
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A text that stays one line.
fn data(text: &str) -> String {
    in_lines(&text.replace("\r\n", "\n")).replace('%', "%25").replace('\n', "%0A")
}

/// A text among several.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A failure in short: of what is drawn the first line, else the error with its causes.
pub(super) fn message(failure: &Failure) -> String {
    if failure.drawn {
        let text = failure.text();
        return first_line(&plain(&text)).trim_start_matches(&format!("error[{}]: ", failure.kind)).to_owned();
    }
    let causes = failure.causes().map(|cause| format!(": {cause}"));
    std::iter::once(failure.text()).chain(causes).collect()
}

/// Adds Markdown to the page of the run, where there is one.
///
/// # Errors
/// Where the file that the environment names cannot be written.
pub(super) fn step_summary(markdown: &str) -> io::Result<()> {
    let Some(path) = env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return Ok(()) };
    OpenOptions::new().append(true).create(true).open(path)?.write_all(markdown.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Option<Lines> {
        Some(Lines::command(line.to_owned()))
    }

    #[test]
    fn an_annotation_is_one_line_whatever_it_says() {
        let line = Ci::GitHub.annotation("error", "L0301: a, b", "50 % of\r\nthis\x1b[1m\x07::endgroup::");
        assert_eq!(line, command("::error title=L0301%3A a%2C b::50 %25 of%0Athis\\u{7}::endgroup::"));
        assert_eq!(Ci::GitLab.annotation("error", "x", "y"), None);
        assert_eq!(Ci::None.annotation("error", "x", "y"), None);
        let spot = Spot { file: "a,b.yaml".to_owned(), line: 3, column: 7, text: "no\nimage".to_owned() };
        let failure = Failure::usage("not told").at([spot]);
        assert_eq!(
            Ci::GitHub.annotations_of(&failure),
            [command("::error file=a%2Cb.yaml,line=3,col=7,title=L0001::no%0Aimage").unwrap()]
        );
        assert!(Ci::None.annotations_of(&failure).is_empty() && Ci::GitLab.annotations_of(&failure).is_empty());
    }

    #[test]
    fn groups_are_opened_and_closed_in_the_words_of_the_system() {
        assert_eq!(Ci::GitHub.open(Group::Push, Duration::ZERO), command("::group::lapstrake push"));
        assert_eq!(Ci::GitHub.close(Group::Push), command("::endgroup::"));
        let open = Ci::GitLab.open(Group::Build, Duration::ZERO).unwrap();
        let open = open.as_str();
        assert!(
            open.starts_with("\x1b[0Ksection_start:") && open.ends_with(":lapstrake_build\r\x1b[0Klapstrake build")
        );
        assert!(Ci::GitLab.close(Group::Build).unwrap().as_str().ends_with(":lapstrake_build\r\x1b[0K"));
        assert_eq!((Ci::None.open(Group::Build, Duration::ZERO), Ci::None.close(Group::Build)), (None, None));
    }
}
