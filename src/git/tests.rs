//! Facts compared with what git itself says, over the ways in which git keeps them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// A directory of its own, removed at the end.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Scratch(tempfile::Builder::new().prefix("lapstrake-git-").tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(self.path(), arguments)
    }
}

fn git_in(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "C")
        .env("GIT_COMMITTER_EMAIL", "c@example.com")
        .env("GIT_COMMITTER_DATE", "1700000000 +0130")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn checkout(directory: &Path) -> Checkout {
    Checkout::of(directory, &BTreeMap::new())
}

fn with(directory: &Path, variables: &[(&str, &str)]) -> Checkout {
    Checkout::of(directory, &variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// A checkout with a few commits; each says a lot of the same, so that packs keep them as deltas.
fn commits(scratch: &Scratch, init: &[&str]) {
    scratch.git(&[&["init", "-q", "-b", "main"], init].concat());
    let text: String = (0..400).map(|line| format!("line {line} of a long message\n")).collect();
    for number in 0..6 {
        scratch.git(&["commit", "-q", "--allow-empty", "-m", &format!("commit {number}\n\n{text}")]);
    }
}

fn agrees_with_git(scratch: &Scratch) {
    let found = checkout(scratch.path());
    let commit = scratch.git(&["rev-parse", "HEAD"]);
    assert_eq!(found.fact(Fact::Commit).unwrap(), commit);
    assert_eq!(found.fact(Fact::Short).unwrap(), commit[..7]);
    assert_eq!(found.fact(Fact::Branch).unwrap(), "main");
    assert_eq!(found.commit_time().unwrap(), 1_700_000_000);
}

#[test]
fn agrees_with_git_however_it_keeps_things() {
    for init in [
        &[][..],
        &["--object-format=sha256"],
        &["--ref-format=reftable"],
        &["--ref-format=reftable", "--object-format=sha256"],
    ] {
        let scratch = Scratch::new();
        commits(&scratch, init);
        scratch.git(&["tag", "v1.9.0"]);
        scratch.git(&["tag", "-a", "-m", "x", "v1.10.0"]);
        scratch.git(&["tag", "-a", "-m", "x", "v1.10.0-rc1"]);
        scratch.git(&["tag", "old", "HEAD~1"]);
        for step in [
            &[][..],
            &["pack-refs", "--all"],
            &["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"],
            &["gc", "-q"],
        ] {
            if !step.is_empty() {
                scratch.git(step);
            }
            agrees_with_git(&scratch);
            assert_eq!(checkout(scratch.path()).fact(Fact::Tag).unwrap(), "v1.10.0", "{init:?} {step:?}");
        }
        let repository = Repository::discover(scratch.path()).unwrap();
        for id in scratch.git(&["log", "--format=%H"]).lines() {
            let (kind, body) = repository.object(id).unwrap().unwrap();
            assert_eq!(kind, object::Kind::Commit);
            assert_eq!(String::from_utf8(body).unwrap().trim(), scratch.git(&["cat-file", "commit", id]));
        }
        scratch.git(&["branch", "later"]);
        scratch.git(&["tag", "-d", "v1.10.0", "v1.10.0-rc1"]);
        assert_eq!(checkout(scratch.path()).fact(Fact::Tag).unwrap(), "v1.9.0");
        scratch.git(&["tag", "-d", "v1.9.0"]);
        assert!(matches!(checkout(scratch.path()).fact(Fact::Tag), Err(GitError::NoTag)));
    }
}

#[test]
fn packed_commits_are_kept_as_deltas_here() {
    let scratch = Scratch::new();
    commits(&scratch, &[]);
    scratch.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    let pack = fs::read_dir(scratch.path().join(".git/objects/pack")).unwrap();
    let index =
        pack.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "idx")).unwrap();
    let listing = scratch.git(&["verify-pack", "-v", index.to_str().unwrap()]);
    assert!(listing.contains("chain length"), "{listing}");
}

#[test]
fn works_in_worktrees_subdirectories_and_clones() {
    let scratch = Scratch::new();
    for init in [&[][..], &["--ref-format=reftable"]] {
        let main = scratch.path().join(format!("main{}", init.len()));
        fs::create_dir(&main).unwrap();
        git_in(&main, &[&["init", "-q", "-b", "main"], init].concat());
        git_in(&main, &["commit", "-q", "--allow-empty", "-m", "one"]);
        git_in(&main, &["worktree", "add", "-q", "-b", "feature/Ä_x", "../tree"]);
        let tree = scratch.path().join("tree");
        git_in(&tree, &["commit", "-q", "--allow-empty", "-m", "two"]);
        fs::create_dir_all(tree.join("a/b")).unwrap();
        let found = checkout(&tree.join("a/b"));
        assert_eq!(found.fact(Fact::Commit).unwrap(), git_in(&tree, &["rev-parse", "HEAD"]));
        assert_eq!(found.fact(Fact::Branch).unwrap(), "feature-_x");
        assert_eq!(found.commit_time().unwrap(), 1_700_000_000);
        assert_eq!(checkout(&main).fact(Fact::Branch).unwrap(), "main");

        git_in(scratch.path(), &["clone", "-q", "--shared", main.to_str().unwrap(), "clone"]);
        let clone = scratch.path().join("clone");
        assert_eq!(checkout(&clone).commit_time().unwrap(), 1_700_000_000);
        fs::remove_dir_all(&clone).unwrap();
        git_in(&main, &["worktree", "remove", "--force", "../tree"]);
    }
}

#[test]
fn a_detached_head_takes_the_branch_from_ci() {
    let scratch = Scratch::new();
    commits(&scratch, &[]);
    scratch.git(&["checkout", "-q", "--detach"]);
    let commit = scratch.git(&["rev-parse", "HEAD"]);
    let branch = |variables: &[(&str, &str)]| with(scratch.path(), variables).fact(Fact::Branch);
    assert!(matches!(branch(&[]), Err(GitError::Detached)));
    assert!(matches!(branch(&[("GIT_BRANCH", "main")]), Err(GitError::Detached)));
    for (variables, name) in [
        (&[("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "release/1.x")][..], "release-1.x"),
        (&[("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "5/merge"), ("GITHUB_HEAD_REF", "fix")], "fix"),
        (&[("CI_COMMIT_BRANCH", "main"), ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "feat")], "feat"),
        (&[("CI_COMMIT_BRANCH", "main")], "main"),
        (&[("BUILD_SOURCEBRANCH", "refs/heads/x/y")], "x-y"),
        (&[("JENKINS_URL", "https://j"), ("GIT_BRANCH", "origin/main")], "main"),
        (&[("TRAVIS_BRANCH", "main")], "main"),
    ] {
        assert_eq!(branch(variables).unwrap(), name);
    }
    assert!(branch(&[("BUILD_SOURCEBRANCH", "refs/tags/v1")]).is_err());

    let tag = |variables: &[(&str, &str)]| with(scratch.path(), variables).fact(Fact::Tag);
    assert_eq!(tag(&[("CI_COMMIT_TAG", "v1+x"), ("CI_COMMIT_SHA", &commit)]).unwrap(), "v1-x");
    assert!(tag(&[("CI_COMMIT_TAG", "v1"), ("CI_COMMIT_SHA", "0")]).is_err());
    scratch.git(&["tag", "a"]);
    scratch.git(&["tag", "b"]);
    assert_eq!(tag(&[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "a")]).unwrap(), "a");
    assert_eq!(tag(&[("CI_COMMIT_TAG", "zzz")]).unwrap(), "b");
}

#[test]
fn says_what_is_wrong() {
    let scratch = Scratch::new();
    let text = |result: Result<String, GitError>| result.unwrap_err().to_string();
    let inner = scratch.path().join("x");
    fs::create_dir(&inner).unwrap();
    assert!(text(checkout(&inner).fact(Fact::Commit)).starts_with("there is no git checkout at"));
    assert!(text(Checkout::default().fact(Fact::Tag)).starts_with("there is no git checkout at"));
    git_in(&inner, &["init", "-q", "-b", "main"]);
    assert_eq!(text(checkout(&inner).fact(Fact::Commit)), "the branch has no commit yet");
    assert_eq!(checkout(&inner).fact(Fact::Branch).unwrap(), "main");
    for head in ["ref: refs/../../etc/passwd", "ref: refs/heads/../../../x", "nonsense", "", "ref: /etc/passwd"] {
        fs::write(inner.join(".git/HEAD"), head).unwrap();
        assert!(checkout(&inner).fact(Fact::Commit).is_err(), "{head}");
    }
    fs::write(inner.join(".git/HEAD"), "a".repeat(40)).unwrap();
    assert!(checkout(&inner).commit_time().unwrap_err().to_string().starts_with("object aaaa"));
    fs::write(inner.join(".git/HEAD"), vec![b'a'; 1 << 17]).unwrap();
    assert!(checkout(&inner).fact(Fact::Commit).is_err());
    fs::remove_dir_all(inner.join(".git")).unwrap();
    fs::write(inner.join(".git"), "nonsense").unwrap();
    assert!(text(checkout(&inner).fact(Fact::Commit)).contains("does not start with `gitdir:`"));
}

#[test]
fn names_become_fit_for_tags() {
    for (name, safe) in [
        ("main", "main"),
        ("feature/ABC-1", "feature-ABC-1"),
        ("a//b", "a-b"),
        ("v1.0+build.5", "v1.0-build.5"),
        ("-.x", "x"),
        ("ä", "_"),
        ("x/", "x"),
        ("_x", "_x"),
    ] {
        assert_eq!(tag_safe(name), safe);
        assert!(crate::oci::reference::valid_tag(&tag_safe(name)));
    }
    assert_eq!(tag_safe(&"x/".repeat(200)).len(), 127);
}

#[test]
fn versions_have_an_order() {
    let mut names = ["v1.10.0", "v1.9.0", "v1.10.0-rc2", "v1.10.0-rc10", "v1.10", "latest", "v1.10.0.1", "v1.010.0"];
    names.sort_by(|a, b| compare_versions(a, b));
    assert_eq!(names, ["latest", "v1.9.0", "v1.10", "v1.10.0-rc2", "v1.10.0-rc10", "v1.10.0", "v1.10.0.1", "v1.010.0"]);
}

/// What `git status` says of tracked files, and what is found here.
#[test]
fn what_is_not_committed_is_found_as_git_finds_it() {
    for init in [&["-c", "index.version=2"][..], &["-c", "index.version=4"], &["-c", "init.defaultObjectFormat=sha256"]]
    {
        let scratch = Scratch::new();
        let git = |arguments: &[&str]| scratch.git(&[init, arguments].concat());
        git(&["init", "-q", "-b", "main"]);
        for path in ["app/main.py", "app/gone.py", "app/same.py", "app/touched.py", "docs/one/two.md", "top"] {
            fs::create_dir_all(scratch.path().join(path).parent().unwrap()).unwrap();
            fs::write(scratch.path().join(path), format!("text of {path}\n")).unwrap();
        }
        std::os::unix::fs::symlink("main.py", scratch.path().join("app/link")).unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        let found = |among: &[&str]| -> Vec<String> {
            let among: Vec<_> = among.iter().map(|path| scratch.path().join(path)).collect();
            let among: Vec<&Path> = among.iter().map(|path| path.as_path()).collect();
            let found = checkout(scratch.path()).uncommitted(&among).unwrap();
            found.iter().map(|path| path.bare().to_owned()).collect()
        };
        assert_eq!(found(&["."]), [""; 0], "{init:?}");

        // As long as before, at another time.
        fs::write(scratch.path().join("app/main.py"), "TEXT of app/main.py\n").unwrap();
        fs::remove_file(scratch.path().join("app/gone.py")).unwrap();
        fs::write(scratch.path().join("docs/one/two.md"), "longer than it was before\n").unwrap();
        fs::write(scratch.path().join("app/untracked.py"), "x").unwrap();
        let touched = fs::File::options().append(true).open(scratch.path().join("app/touched.py")).unwrap();
        touched
            .set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000))
            .unwrap();
        assert_eq!(found(&["."]), ["app/gone.py", "app/main.py", "docs/one/two.md"], "{init:?}");
        assert_eq!(found(&["app", "top"]), ["app/gone.py", "app/main.py"]);
        assert_eq!(found(&["app/same.py", "ap", "not-there"]), [""; 0]);

        // In the index, and not in the commit.
        git(&["add", "-A"]);
        let staged = ["app/gone.py", "app/main.py", "app/untracked.py", "docs/one/two.md"];
        assert_eq!(found(&["."]), staged, "{init:?}");
        git(&["commit", "-q", "-m", "two"]);
        assert_eq!(found(&["."]), [""; 0], "{init:?}");
        git(&["repack", "-q", "-a", "-d"]);
        fs::write(scratch.path().join("top"), "other").unwrap();
        git(&["add", "top"]);
        assert_eq!(found(&["."]), ["top"], "{init:?}");
    }
    assert!(checkout(Scratch::new().path()).uncommitted(&[]).is_err());
}
