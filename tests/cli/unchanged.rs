//! What did not change is not read: what builds ask of the kernel is counted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::support::Project;

const FILES: usize = 600;

/// A project of [`FILES`] files in directories of 20, left alone long enough to be believed from the first build on.
fn project() -> Project {
    let project =
        Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"src\"]\nto = \"/app\"\n");
    for number in 0..FILES {
        project.write(&format!("ctx/src/d{}/sub/unit_{number}", number / 20), format!("text {number}"));
    }
    settle();
    project
}

/// Waits for the clocks of file systems, which tick every 10 ms at most.
fn settle() {
    std::thread::sleep(Duration::from_millis(60));
}

/// What a build asked of the kernel about the files of [`project`].
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    digest: String,
    /// Each time that a file was opened: its name.
    opened: Vec<String>,
    /// How often it was asked what a file is.
    looked: usize,
}

fn asked(project: &Project, more: &[&str]) -> Asked {
    let trace = project.path("trace");
    let mut arguments = vec!["build", "-o", "oci:out"];
    arguments.extend(more);
    let calls = "trace=open,openat,openat2,stat,lstat,newfstatat,statx";
    let before = ["-f", "-qq", "-s", "4096", "-e", calls, "-o", trace.to_str().unwrap(), super::support::BINARY];
    let run = project.end(project.wrapped("strace", &before, &arguments)).ok();
    let text = fs::read_to_string(&trace).unwrap();
    let lines = || text.lines().filter(|line| line.contains("unit_"));
    let name = |line: &str| {
        let rest = &line[line.find("unit_").unwrap()..];
        rest[..rest.find('"').unwrap()].to_owned()
    };
    let mut opened: Vec<String> = lines().filter(|line| line.contains(" open")).map(name).collect();
    opened.sort();
    let looked = lines().filter(|line| !line.contains(" open")).count();
    Asked { digest: run.digests().remove(0), opened, looked }
}

#[test]
fn a_build_that_finds_nothing_new_opens_no_file_and_looks_at_each_once() {
    let project = project();
    let first = asked(&project, &[]);
    assert_eq!(first.opened.len(), FILES, "written in one pass");
    let second = asked(&project, &[]);
    assert_eq!(second, Asked { digest: first.digest.clone(), opened: vec![], looked: FILES });

    // What is the same again is read, and nothing else.
    let path = project.path("ctx/src/d3/sub/unit_77");
    fs::write(&path, "text 77").unwrap();
    settle();
    let touched = asked(&project, &[]);
    assert_eq!(touched, Asked { opened: vec!["unit_77".to_owned()], ..second });
    assert_eq!(asked(&project, &[]).opened, [""; 0]);

    let never = asked(&project, &["--no-cache"]);
    assert_eq!((never.digest, never.opened.len()), (first.digest, FILES));
    assert_eq!(asked(&project, &[]).opened, [""; 0]);
}

#[test]
fn what_several_images_copy_is_looked_at_once() {
    let project = project();
    let mut recipe = String::new();
    for name in ["one", "two", "three"] {
        recipe += &format!("[images.{name}]\nfrom = \"scratch\"\nowner = \"{0}:{0}\"\n", name.len());
        recipe += &format!("[[images.{name}.layers]]\ncopy = [\"src\"]\nto = \"/app\"\n");
    }
    project.recipe(&recipe);
    let first = asked(&project, &[]);
    assert_eq!(first.looked, FILES);
    assert_eq!(asked(&project, &[]), Asked { opened: vec![], ..first });
}

/// How often a build waits for a disk.
fn waits(project: &Project) -> usize {
    let trace = project.path("trace");
    let calls = "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync";
    let before = ["-f", "-qq", "-e", calls, "-o", trace.to_str().unwrap(), super::support::BINARY];
    project.end(project.wrapped("strace", &before, &["build", "-o", "oci:out"])).ok();
    fs::read_to_string(&trace).unwrap().lines().filter(|line| line.contains("sync(")).count()
}

#[test]
fn a_build_waits_for_the_disk_where_it_must_and_no_more() {
    let project = project();
    // What was written in the tick of the index is looked at once more, and the index written again.
    let settled = || {
        waits(&project);
        settle();
        waits(&project);
        assert_eq!(waits(&project), 0, "nothing is new");
    };
    settled();
    fs::write(project.path("ctx/src/d3/sub/unit_77"), "changed").unwrap();
    settle();
    // In the layout the layer, the config and the manifest, their names, the index, its name; in the cache the layer and two
    // records, and, side by side, their names.
    assert_eq!(waits(&project), 3 + 1 + 1 + 1 + 3 + 3);
    settled();
}

#[test]
fn directories_that_are_left_out_are_not_entered_and_their_files_not_looked_at() {
    let project = project();
    project.write("ctx/.dockerignore", "src/d1\n**/unit_3??\n");
    project.recipe(
        "[images.app]\nfrom = \"scratch\"\nexclude = [\"src/d2/sub\"]\n[[images.app.layers]]\ncopy = [\"src\"]\nto = \"/app\"\n",
    );
    let kept = FILES - 20 - 20 - 100;
    let asked = asked(&project, &[]);
    assert_eq!((asked.opened.len(), asked.looked), (kept, kept));
    let trace = fs::read_to_string(project.path("trace")).unwrap();
    let entered = |directory: &str| trace.lines().any(|line| line.contains(&format!("\"{directory}\"")));
    assert!(entered("src/d2") && entered("src/d3/sub"));
    assert!(!entered("src/d1") && !entered("src/d2/sub"));
}

fn set_mtime(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn contents_that_change_are_seen_though_size_and_mtime_are_as_before() {
    let project = project();
    let path = project.path("ctx/src/d0/sub/unit_5");
    // Old, of this moment, and from the year 2100: what is not over is never believed.
    let now = fs::metadata(&path).unwrap().mtime() as u64;
    let mut digests = vec![project.run(&["build"]).ok().digests().remove(0)];
    for (time, text) in [(1_000_000_000, "aaaa"), (now + 1, "bbbb"), (4_102_444_800, "cccc")] {
        fs::write(&path, text).unwrap();
        set_mtime(&path, time);
        digests.push(project.run(&["build"]).ok().digests().remove(0));
        let again: String = text.chars().rev().map(|letter| letter.to_ascii_uppercase()).collect();
        fs::write(&path, again).unwrap();
        set_mtime(&path, time);
        digests.push(project.run(&["build"]).ok().digests().remove(0));
    }
    let last = digests.last().cloned();
    let different: std::collections::BTreeSet<&String> = digests.iter().collect();
    assert_eq!(different.len(), digests.len(), "{digests:?}");
    settle();
    // Believed or not, what is built is the same.
    for more in [&[][..], &["--no-cache"], &[]] {
        let run = asked(&project, more);
        assert_eq!(Some(run.digest), last);
        assert!(run.opened.contains(&"unit_5".to_owned()), "its mtime is still to come: {more:?}");
    }
}

#[test]
fn what_is_written_while_a_build_begins_is_seen() {
    let project = project();
    let path = project.path("ctx/src/d0/sub/unit_5");
    // In the tick of the build or just before it, over and over: the last write always wins.
    for round in 0..10 {
        fs::write(&path, format!("{round:04}")).unwrap();
        let racy = project.run(&["build"]).ok().digests();
        fs::write(&path, format!("{:04}", round + 5000)).unwrap();
        let seen = project.run(&["build"]).ok().digests();
        assert_ne!(racy, seen);
        assert_eq!(project.run(&["build", "--no-cache"]).ok().digests(), seen);
    }
}

#[test]
fn a_damaged_cache_of_files_is_found_and_made_again() {
    let project = project();
    let first = asked(&project, &["--cache-dir", "cache"]);
    let files: Vec<_> =
        fs::read_dir(project.path("cache/files-v1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(file, &bytes).unwrap();
    assert_eq!(asked(&project, &["--cache-dir", "cache"]), first);
    assert_eq!(asked(&project, &["--cache-dir", "cache"]).opened, [""; 0]);

    fs::write(file, &bytes).unwrap();
    let told = project.run(&["cache", "verify", "--cache-dir", "cache"]).code(6).stdout();
    assert!(told.starts_with("files-v1/") && told.ends_with("\tdamaged, removed\n"), "{told}");
    assert!(!file.exists());
    assert_eq!(asked(&project, &["--cache-dir", "cache"]).opened, first.opened);
    assert!(file.exists());
    project.run(&["cache", "clear", "--cache-dir", "cache"]).ok();
    assert!(!file.exists());
}
