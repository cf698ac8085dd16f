//! Facts compared with what git itself says, over the ways in which git keeps them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

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

/// Would fail if what git packs while a build reads were lost.
#[test]
fn objects_are_found_though_they_are_packed_anew_meanwhile() {
    let scratch = Scratch::new();
    commits(&scratch, &[]);
    let log = scratch.git(&["log", "--format=%H"]);
    let commits: Vec<&str> = log.lines().collect();
    let repository = Repository::discover(scratch.path()).unwrap();
    let is_there = |id: &str| repository.object(id).unwrap().is_some();
    // Loose, then packed, then in another pack, each time after the packs were listed.
    assert!(!is_there(&"0".repeat(40)) && is_there(commits[0]));
    scratch.git(&["repack", "-q", "-a", "-d"]);
    assert!(is_there(commits[1]));
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "new"]);
    scratch.git(&["repack", "-q", "-a", "-d", "-f"]);
    assert!(is_there(commits[2]) && is_there(&scratch.git(&["rev-parse", "HEAD"])));
    assert!(!is_there(&"0".repeat(40)));
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

fn uncommitted(checkout_at: &Path, among: &[&str]) -> Vec<String> {
    let among: Vec<_> = among.iter().map(|path| checkout_at.join(path)).collect();
    let among: Vec<&Path> = among.iter().map(|path| path.as_path()).collect();
    let found = checkout(checkout_at).uncommitted(&among).unwrap();
    found.iter().map(|path| path.bare().to_owned()).collect()
}

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

/// A repository of these files, in a directory `main` of its own, with one commit.
fn committed(files: &[(&str, &str)]) -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let main = scratch.path().join("main");
    fs::create_dir(&main).unwrap();
    git_in(&main, &["init", "-q", "-b", "main"]);
    for (path, text) in files {
        fs::create_dir_all(main.join(path).parent().unwrap()).unwrap();
        fs::write(main.join(path), text).unwrap();
    }
    git_in(&main, &["add", "."]);
    git_in(&main, &["commit", "-q", "-m", "one"]);
    (scratch, main)
}

/// Would fail if a clean checkout were warned of, since its files are not the bytes that were committed.
#[test]
fn what_a_checkout_makes_of_blobs_is_no_change() {
    let upper = ["-c", "filter.upper.smudge=tr a-z A-Z", "-c", "filter.upper.clean=tr A-Z a-z"];
    let cases: [(&[&str], &str, &str, bool); 6] = [
        (&["-c", "core.autocrlf=true"], "", "one\r\ntwo\r\n", true),
        (&["-c", "core.autocrlf=true"], "* text=auto", "one\r\ntwo\r\n", true),
        (&[], "*.txt text eol=crlf", "one\r\ntwo\r\n", true),
        (&[], "* text=auto", "one\ntwo\n", true),
        (&upper, "*.txt filter=upper", "ONE\nTWO\n", false),
        (&upper, "[attr]big filter=upper\n*.txt big", "ONE\nTWO\n", false),
    ];
    for (config, attributes, expected, tells) in cases {
        let (scratch, _) = committed(&[(".gitattributes", attributes), ("sub/a.txt", "one\ntwo\n")]);
        git_in(scratch.path(), &[&["clone", "-q"], config, &["main", "clone"]].concat());
        let clone = scratch.path().join("clone");
        let file = clone.join("sub/a.txt");
        assert_eq!(fs::read_to_string(&file).unwrap(), expected, "{attributes}");
        assert_eq!(uncommitted(&clone, &["."]), [""; 0], "{attributes}");
        set_time(&file, long_ago());
        assert_eq!(uncommitted(&clone, &["."]), [""; 0], "{attributes}");
        fs::write(&file, expected.replace(['t', 'T'], "x")).unwrap();
        let told = if tells { vec!["sub/a.txt"] } else { Vec::new() };
        assert_eq!(uncommitted(&clone, &["."]), told, "{attributes}");
        fs::write(&file, "another length").unwrap();
        assert_eq!(uncommitted(&clone, &["."]), ["sub/a.txt"], "{attributes}");
    }
}

/// Would fail if filters that all files of a checkout, or of a user, go through were looked for in `.gitattributes` alone.
#[test]
fn filters_are_looked_for_where_git_looks() {
    let (_scratch, main) = committed(&[("a.txt", "one\ntwo\n")]);
    let home = main.join("home");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(main.join("a.txt"), "ONE\nTWO\n").unwrap();
    set_time(&main.join("a.txt"), long_ago());
    let told = || {
        let found = with(&main, &[("HOME", home.to_str().unwrap())]).uncommitted(&[&main]).unwrap();
        !found.is_empty()
    };
    assert!(told());
    for path in [".git/info/attributes", "home/.config/git/attributes", ".gitattributes"] {
        fs::create_dir_all(main.join(path).parent().unwrap()).unwrap();
        fs::write(main.join(path), "*.txt filter=upper\n").unwrap();
        assert!(!told(), "{path}");
        fs::remove_file(main.join(path)).unwrap();
        assert!(told(), "{path}");
    }
    fs::write(home.join("mine"), "*.txt ident\n").unwrap();
    fs::write(home.join(".gitconfig"), "[core]\nattributesFile = ~/mine\n").unwrap();
    assert!(!told());
}

/// Would fail if what a checkout wrote within the same tick as its index were hashed: it may be what a filter made.
#[test]
fn size_and_time_of_the_index_are_believed() {
    let (_scratch, main) = committed(&[("a", "one")]);
    let time = fs::metadata(main.join("a")).unwrap().modified().unwrap();
    fs::write(main.join("a"), "ONE").unwrap();
    set_time(&main.join("a"), time);
    set_time(&main.join(".git/index"), time);
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
    set_time(&main.join("a"), long_ago());
    assert_eq!(uncommitted(&main, &["."]), ["a"]);
}

#[test]
fn what_git_lfs_keeps_is_no_change() {
    let pointer = |contents: &str| {
        let digest = crate::oci::digest::Digest::of(contents.as_bytes()).hex();
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", contents.len())
    };
    // As long as their pointer, so that size does not tell.
    let contents = "x".repeat(pointer(&"x".repeat(100)).len());
    let (_scratch, main) = committed(&[("a.bin", &pointer(&contents))]);
    fs::write(main.join("a.bin"), &contents).unwrap();
    set_time(&main.join("a.bin"), long_ago());
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
    fs::write(main.join("a.bin"), contents.replace('x', "y")).unwrap();
    assert_eq!(uncommitted(&main, &["."]), ["a.bin"]);
}

/// Would fail if an image could carry an executable bit that nobody committed without a word.
#[test]
fn executable_bits_are_compared() {
    use std::os::unix::fs::PermissionsExt;
    let (_scratch, main) = committed(&[("run", "x"), ("text", "x"), ("other", "x")]);
    fs::set_permissions(main.join("text"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
    fs::set_permissions(main.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(uncommitted(&main, &["."]), ["run"]);
    git_in(&main, &["config", "core.fileMode", "false"]);
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
    git_in(&main, &["update-index", "--chmod=+x", "run"]);
    assert_eq!(uncommitted(&main, &["."]), ["run"]);
    git_in(&main, &["commit", "-q", "-m", "two"]);
    git_in(&main, &["config", "core.fileMode", "true"]);
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
}

/// Would fail if trees were read in which nothing is looked for.
#[test]
fn trees_elsewhere_are_not_read() {
    let (_scratch, main) = committed(&[("services/web/a/x", "x"), ("services/api/x", "api"), ("libs/x", "libs")]);
    for path in ["services/api", "libs"] {
        let id = git_in(&main, &["rev-parse", &format!("HEAD:{path}")]);
        fs::remove_file(main.join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
    }
    fs::write(main.join("services/web/a/x"), "staged").unwrap();
    fs::write(main.join("services/web/new"), "staged").unwrap();
    git_in(&main, &["update-index", "--add", "services/web/a/x", "services/web/new"]);
    assert_eq!(uncommitted(&main, &["services/web"]), ["services/web/a/x", "services/web/new"]);
    assert_eq!(uncommitted(&main, &["services/web/a"]), ["services/web/a/x"]);
    assert_eq!(uncommitted(&main, &["services/web/new"]), ["services/web/new"]);
    // Where the commit's trees are wanted and not there, nothing is told of them.
    assert_eq!(uncommitted(&main, &["."]), [""; 0]);
}

/// Would fail if a checkout could make a build hold more of it than is worth it.
#[test]
fn of_large_checkouts_nothing_is_told() {
    let (_scratch, main) = committed(&[("a", "x"), ("b/c", "x"), ("b/d", "x")]);
    let repository = Repository::discover(&main).unwrap();
    let config = Config::of(&repository, &BTreeMap::new());
    let found = |files, paths| {
        let among = Among::new(vec![Vec::new()]);
        index::uncommitted(&repository, &config, &among, Limits { files, paths }).unwrap().len()
    };
    fs::write(main.join("a"), "other").unwrap();
    assert_eq!((found(3, 7), found(2, 7), found(3, 6)), (1, 0, 0));
    // Three files and a directory of the commit are held, beside two of the index.
    git_in(&main, &["rm", "-q", "--cached", "b/d"]);
    assert_eq!((found(4, 8), found(3, 8), found(4, 7)), (2, 1, 1));
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
        let found = |among: &[&str]| uncommitted(scratch.path(), among);
        assert_eq!(found(&["."]), [""; 0], "{init:?}");

        // As long as before, at another time.
        fs::write(scratch.path().join("app/main.py"), "TEXT of app/main.py\n").unwrap();
        fs::remove_file(scratch.path().join("app/gone.py")).unwrap();
        fs::write(scratch.path().join("docs/one/two.md"), "longer than it was before\n").unwrap();
        fs::write(scratch.path().join("app/untracked.py"), "x").unwrap();
        set_time(&scratch.path().join("app/touched.py"), long_ago());
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

/// Would hang where a checkout that somebody prepared is read.
#[test]
fn nobody_waits_for_an_object_that_is_a_fifo() {
    let scratch = Scratch::new();
    commits(&scratch, &[]);
    let commit = scratch.git(&["rev-parse", "HEAD"]);
    let object = scratch.path().join(".git/objects").join(&commit[..2]).join(&commit[2..]);
    fs::remove_file(&object).unwrap();
    assert!(Command::new("mkfifo").arg(&object).status().unwrap().success());
    assert!(checkout(scratch.path()).commit_time().is_err());
}
