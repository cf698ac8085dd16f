//! Facts of a git checkout: commit, branch, tag, date of the commit (semantics 5).
//!
//! Read from `.git` itself, without a `git` program, whoever owns the checkout: plain and reftable references, worktrees,
//! loose and packed objects, alternates. Nothing is ever written, and nothing is run.

mod config;
mod index;
mod object;
mod reftable;
mod repository;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::shown::Shown;
use config::Config;
use index::{Among, Limits};
use repository::{Head, Repository};

/// One fact of a checkout that a recipe can name, as `{git.NAME}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// The commit, in full.
    Commit,
    /// The first 7 digits of the commit, always.
    Short,
    /// The branch, made fit for a tag.
    Branch,
    /// The tag of the commit, made fit for a tag of an image.
    Tag,
}

impl Fact {
    /// All of them.
    pub const ALL: [Fact; 4] = [Fact::Commit, Fact::Short, Fact::Branch, Fact::Tag];

    /// The name after `git.`.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Commit => "commit",
            Fact::Short => "short",
            Fact::Branch => "branch",
            Fact::Tag => "tag",
        }
    }

    /// The fact of that name.
    pub fn named(name: &str) -> Option<Fact> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

/// Facts that are known without a checkout: for tests, and for builds whose sources came without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The commit, 40 or 64 hexadecimal digits.
    pub commit: Option<String>,
    /// The branch, as it is called.
    pub branch: Option<String>,
    /// The tag, as it is called.
    pub tag: Option<String>,
    /// Date of the commit, in seconds since 1970.
    pub commit_time: Option<i64>,
}

/// Why a fact is not known.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No checkout.
    #[error("there is no git checkout at {directory} or above it")]
    NoCheckout {
        /// Where it was looked for.
        directory: Shown,
    },
    /// Something of the checkout cannot be read.
    #[error("cannot read {path} of the git checkout")]
    Read {
        /// The file or directory.
        path: Shown,
        /// Why not.
        source: io::Error,
    },
    /// Something of the checkout is not what git writes.
    #[error("cannot understand {path} of the git checkout: {reason}")]
    Malformed {
        /// The file.
        path: Shown,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nothing was committed yet.
    #[error("the branch has no commit yet")]
    NoCommit,
    /// Not on a branch.
    #[error("the head is detached, and no variable of a CI system names the branch")]
    Detached,
    /// Not tagged.
    #[error("no tag points at the commit")]
    NoTag,
    /// An object that is not there.
    #[error("object {id} is not in the git checkout")]
    NoObject {
        /// Its id.
        id: String,
    },
}

impl GitError {
    fn read(path: &Path, source: io::Error) -> Self {
        GitError::Read { path: shown(path), source }
    }

    /// Whether a file was not there that had been a moment ago.
    fn is_gone(&self) -> bool {
        matches!(self, GitError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    fn malformed(path: &Path, reason: &'static str) -> Self {
        GitError::Malformed { path: shown(path), reason }
    }
}

fn shown(path: &Path) -> Shown {
    Shown::new(path.as_os_str().as_encoded_bytes())
}

/// A git checkout, or none. Nothing is read before a fact is asked for.
#[derive(Clone, Debug, Default)]
pub struct Checkout(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    None,
    Known(Facts),
    Directory {
        directory: PathBuf,
        environment: BTreeMap<String, String>,
    },
}

impl Checkout {
    /// The checkout that a directory is in. The environment tells branch and tag where a CI system has detached the head.
    pub fn of(directory: impl Into<PathBuf>, environment: &BTreeMap<String, String>) -> Self {
        let known = |name: &String| VARIABLES.iter().any(|names| names.contains(&name.as_str()));
        let environment = environment.iter().filter(|(name, _)| known(name));
        let environment = environment.map(|(name, value)| (name.clone(), value.clone())).collect();
        Checkout(Source::Directory { directory: directory.into(), environment })
    }

    /// A checkout of which these facts are known.
    pub fn known(facts: Facts) -> Self {
        Checkout(Source::Known(facts))
    }

    /// One fact.
    ///
    /// # Errors
    /// Where there is no checkout, it cannot be read, or it does not have that fact.
    pub fn fact(&self, fact: Fact) -> Result<String, GitError> {
        match fact {
            Fact::Commit => self.commit(),
            Fact::Short => self.commit().map(|commit| commit.chars().take(7).collect()),
            Fact::Branch => self.branch().map(|name| tag_safe(&name)),
            Fact::Tag => self.tag().map(|name| tag_safe(&name)),
        }
    }

    /// When the commit was made, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Checkout::fact`].
    pub fn commit_time(&self) -> Result<i64, GitError> {
        match &self.0 {
            Source::None => Err(no_checkout()),
            Source::Known(facts) => facts.commit_time.ok_or_else(no_checkout),
            Source::Directory { directory, .. } => {
                let repository = Repository::discover(directory)?;
                let commit = repository.commit()?;
                let (kind, body) = repository.object(&commit)?.ok_or(GitError::NoObject { id: commit })?;
                let time = (kind == object::Kind::Commit).then(|| object::committer_time(&body)).flatten();
                time.ok_or_else(|| GitError::malformed(directory, "the commit has no date"))
            }
        }
    }

    /// The files that git tracks and that are not as the commit has them, in or at one of these paths. What cannot be told
    /// without reading more than it is worth is none of them.
    ///
    /// # Errors
    /// Where there is no checkout, or it cannot be read.
    pub fn uncommitted(&self, among: &[&Path]) -> Result<Vec<Shown>, GitError> {
        let Source::Directory { directory, environment } = &self.0 else { return Ok(Vec::new()) };
        let repository = Repository::discover(directory)?;
        let below = |path: &&Path| {
            let path = std::fs::canonicalize(path).ok()?;
            Some(path.strip_prefix(repository.work()).ok()?.as_os_str().as_encoded_bytes().to_vec())
        };
        let among = Among::new(among.iter().filter_map(below).collect());
        let config = Config::of(&repository, environment);
        let found = index::uncommitted(&repository, &config, &among, Limits::default())?;
        Ok(found.into_iter().map(|path| Shown::new(&path)).collect())
    }

    fn commit(&self) -> Result<String, GitError> {
        match &self.0 {
            Source::None => Err(no_checkout()),
            Source::Known(facts) => facts.commit.clone().ok_or_else(no_checkout),
            Source::Directory { directory, .. } => Repository::discover(directory)?.commit(),
        }
    }

    fn branch(&self) -> Result<String, GitError> {
        match &self.0 {
            Source::None => Err(no_checkout()),
            Source::Known(facts) => facts.branch.clone().ok_or(GitError::Detached),
            Source::Directory { directory, environment } => match Repository::discover(directory)?.head()? {
                Head::Branch(name) => Ok(name),
                Head::Detached(_) => branch_of_ci(environment).ok_or(GitError::Detached),
            },
        }
    }

    fn tag(&self) -> Result<String, GitError> {
        match &self.0 {
            Source::None => Err(no_checkout()),
            Source::Known(facts) => facts.tag.clone().ok_or(GitError::NoTag),
            Source::Directory { directory, environment } => {
                let repository = Repository::discover(directory)?;
                let commit = repository.commit()?;
                let mut tags = repository.tags_of(&commit)?;
                let of_ci = tag_of_ci(environment);
                if let Some(tag) = &of_ci
                    && (tags.contains(tag) || (tags.is_empty() && commit_of_ci(environment) == Some(commit.as_str())))
                {
                    return Ok(tag.clone());
                }
                tags.sort_by(|a, b| compare_versions(a, b));
                tags.pop().ok_or(GitError::NoTag)
            }
        }
    }
}

fn no_checkout() -> GitError {
    GitError::NoCheckout { directory: Shown::new(b".") }
}

/// A name with nothing in it that a tag may not have: runs of other characters become one `-`, none stands at the front,
/// and it ends after 128 characters.
fn tag_safe(name: &str) -> String {
    let mut safe = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '\0' };
        match c {
            '.' | '-' if safe.is_empty() => {}
            '\0' if safe.is_empty() || safe.ends_with('-') => {}
            '\0' => safe.push('-'),
            c => safe.push(c),
        }
    }
    safe.truncate(128);
    let safe = safe.trim_end_matches('-');
    if safe.is_empty() { "_".to_owned() } else { safe.to_owned() }
}

/// Orders names of tags so that later versions come last: numbers by value, and a pre-release before what it precedes.
fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    loop {
        match (a, b) {
            ([], []) => return Ordering::Equal,
            ([b'-', ..], []) => return Ordering::Less,
            ([], [b'-', ..]) => return Ordering::Greater,
            ([], _) => return Ordering::Less,
            (_, []) => return Ordering::Greater,
            ([x, ..], [y, ..]) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, rest_a) = a.split_at(digits(a));
                let (number_b, rest_b) = b.split_at(digits(b));
                let plain =
                    |number: &[u8]| -> Vec<u8> { number.iter().copied().skip_while(|byte| *byte == b'0').collect() };
                let (x, y) = (plain(number_a), plain(number_b));
                let order = x.len().cmp(&y.len()).then(x.cmp(&y)).then(number_a.len().cmp(&number_b.len()));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
            ([x, rest_a @ ..], [y, rest_b @ ..]) => {
                // A pre-release (`1.0-rc1`) comes before anything else that goes on from the same place (`1.0.1`).
                let rank = |byte: &u8| (*byte != b'-', *byte);
                match rank(x).cmp(&rank(y)) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    order => return order,
                }
            }
        }
    }
}

/// Variables in which CI systems name the branch, the more exact first: the source branch of a merge request, not its target.
const BRANCH_VARIABLES: &[&str] = &[
    "GITHUB_HEAD_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_SOURCE_BRANCH",
    "CI_COMMIT_BRANCH",
    "BITBUCKET_BRANCH",
    "CIRCLE_BRANCH",
    "TRAVIS_PULL_REQUEST_BRANCH",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH",
    "BUILD_SOURCEBRANCH",
    "BUILDKITE_BRANCH",
    "DRONE_SOURCE_BRANCH",
    "DRONE_BRANCH",
    "APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH",
    "APPVEYOR_REPO_BRANCH",
    "SEMAPHORE_GIT_BRANCH",
    "CF_BRANCH",
    "CIRRUS_BRANCH",
    "CHANGE_BRANCH",
    "BRANCH_NAME",
    "GIT_BRANCH",
];

/// Those that name the tag.
const TAG_VARIABLES: &[&str] =
    &["CI_COMMIT_TAG", "BITBUCKET_TAG", "CIRCLE_TAG", "TRAVIS_TAG", "BUILDKITE_TAG", "DRONE_TAG", "CIRRUS_TAG"];

/// Those that name the commit.
const COMMIT_VARIABLES: &[&str] = &[
    "GITHUB_SHA",
    "CI_COMMIT_SHA",
    "BITBUCKET_COMMIT",
    "CIRCLE_SHA1",
    "TRAVIS_COMMIT",
    "BUILDKITE_COMMIT",
    "DRONE_COMMIT_SHA",
    "CIRRUS_CHANGE_IN_REPO",
    "BUILD_SOURCEVERSION",
];

/// Those that mean something together with others.
const OTHER_VARIABLES: &[&str] = &["GITHUB_REF_TYPE", "GITHUB_REF_NAME", "TRAVIS_BRANCH", "JENKINS_URL"];

/// Where a user's settings of git are.
const SETTINGS_VARIABLES: &[&str] = &["HOME", "XDG_CONFIG_HOME"];

/// All that are ever looked at; no others are kept.
const VARIABLES: [&[&str]; 5] =
    [BRANCH_VARIABLES, TAG_VARIABLES, COMMIT_VARIABLES, OTHER_VARIABLES, SETTINGS_VARIABLES];

fn variable<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn branch_of_ci(environment: &BTreeMap<String, String>) -> Option<String> {
    let get = |name: &str| variable(environment, name);
    let jenkins = get("JENKINS_URL").is_some();
    if get("GITHUB_HEAD_REF").is_none()
        && get("GITHUB_REF_TYPE") == Some("branch")
        && let Some(name) = get("GITHUB_REF_NAME")
    {
        return Some(name.to_owned());
    }
    if get("TRAVIS_PULL_REQUEST_BRANCH").is_none()
        && get("TRAVIS_TAG").is_none()
        && let Some(name) = get("TRAVIS_BRANCH")
    {
        return Some(name.to_owned());
    }
    let of_jenkins = |name: &str| matches!(name, "CHANGE_BRANCH" | "BRANCH_NAME" | "GIT_BRANCH");
    let name = BRANCH_VARIABLES.iter().filter(|name| jenkins || !of_jenkins(name)).find_map(|name| get(name))?;
    let name = match name.strip_prefix("refs/heads/") {
        Some(name) => name,
        None if name.starts_with("refs/") => return None,
        None if jenkins => name.strip_prefix("origin/").unwrap_or(name),
        None => name,
    };
    Some(name.to_owned())
}

fn tag_of_ci(environment: &BTreeMap<String, String>) -> Option<String> {
    let get = |name: &str| variable(environment, name);
    if get("GITHUB_REF_TYPE") == Some("tag")
        && let Some(name) = get("GITHUB_REF_NAME")
    {
        return Some(name.to_owned());
    }
    if let Some(name) = TAG_VARIABLES.iter().find_map(|name| get(name)) {
        return Some(name.to_owned());
    }
    get("BUILD_SOURCEBRANCH").and_then(|name| name.strip_prefix("refs/tags/")).map(str::to_owned)
}

fn commit_of_ci(environment: &BTreeMap<String, String>) -> Option<&str> {
    COMMIT_VARIABLES.iter().find_map(|name| variable(environment, name))
}

#[cfg(test)]
mod tests;
