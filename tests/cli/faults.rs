//! What goes wrong on a machine: system calls that fail, kills, closed outputs, files that are no files or change while they
//! are read, a damaged cache.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::support::{BINARY, Project};

const COPY: &str = "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"src\"]\nto = \"/app\"\n";

fn project() -> Project {
    let project = Project::new(COPY);
    project.write("ctx/src/file", "text");
    project
}

/// A sample of what `tests/reliability/run` tries at length.
#[test]
fn what_fails_or_is_killed_leaves_nothing_wrong_behind() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/run");
    let run = Command::new("python3").arg(program).args(["--short", "--lapstrake", BINARY]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}{err}");
    assert_eq!(out.lines().filter(|line| line.ends_with(": 0 wrong")).count(), 12, "{out}{err}");
}

/// Would fail if what cannot be read were left out without a word. Root reads everything, so it is root without that power.
#[test]
fn directories_that_cannot_be_read_are_errors() {
    let project =
        Project::new("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ncopy = [\"a\"]\nto = \"/srv\"\n");
    project.write("ctx/a/locked/f", "f").write("ctx/a/x", "x");
    let powers = "-dac_override,-dac_read_search";
    let build = || {
        let arguments = ["--bounding-set", powers, "--inh-caps", powers, BINARY, "build", "-o", "oci:out"];
        project.end(project.wrapped("setpriv", &arguments, &[]))
    };
    for (mode, what) in [(0o000, "opening the directory"), (0o444, "looking at")] {
        project.chmod("ctx/a/locked", mode);
        let told = build().fails(3);
        assert!(told.contains(what) && told.contains("a/locked") && told.contains("ermission denied"), "{told}");
    }
    project.chmod("ctx/a/locked", 0o000);
    project.write("ctx/.dockerignore", "a/locked\n!a/locked/f\n");
    build().ok();
    let image = project.layout("out").image("app");
    assert!(image.top().contains("srv/a/x") && !image.top().contains("locked"), "{}", image.top());
    project.chmod("ctx/a/locked", 0o755);
}

#[test]
fn output_that_is_closed_full_or_not_read_is_an_error() {
    let project = project();
    for redirection in [">&-", ">/dev/full", "<&- >&-", "| exec head -c 0"] {
        for arguments in
            ["build", "build -o -", "schema", "--help", "--version", "inspect oci:lapstrake-out", "cache size"]
        {
            let script = format!("set -o pipefail; \"$0\" {arguments} {redirection}");
            let run = project.end(project.wrapped("bash", &["-c", &script, BINARY], &[]));
            // What fits into a pipe may be written before the reader is gone.
            if run.code != Some(0) || !redirection.starts_with('|') {
                assert_eq!(run.code, Some(1), "{script}: {}", run.stderr);
            }
            let why = match redirection {
                ">/dev/full" => "No space left on device",
                redirection if redirection.starts_with('|') => "",
                _ => "it is closed",
            };
            assert!(run.stderr.contains(why), "{script}: {}", run.stderr);
            assert!(!run.stderr.contains("panicked"), "{script}: {}", run.stderr);
        }
    }
    // Nothing to say, nothing lost.
    let run = project.end(project.wrapped("bash", &["-c", "\"$0\" lock >&-", BINARY], &[]));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

fn fifo(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn nobody_waits_for_a_fifo() {
    let project = project();
    let told = |arguments: &[&str]| {
        let mut limited = vec!["20", BINARY];
        limited.extend(arguments);
        let run = project.end(project.wrapped("timeout", &limited, &[]));
        assert!(![Some(0), Some(124)].contains(&run.code), "{arguments:?}: {:?} {}", run.code, run.stderr);
        assert!(run.stderr.contains("is no regular file"), "{}", run.stderr);
        run.told()
    };
    fifo(&project.path("pipe.toml"));
    assert!(told(&["build", "-f", "pipe.toml"]).contains("pipe.toml"));
    fifo(&project.path("lapstrake.lock"));
    assert!(told(&["build"]).contains("lapstrake.lock"));
    fs::remove_file(project.path("lapstrake.lock")).unwrap();
    fifo(&project.path("ctx/base.tar"));
    project.recipe("[images.app]\nfrom = \"archive:base.tar\"\n");
    assert!(told(&["build"]).contains("base.tar"));
    project.recipe(&COPY.replace("copy = [\"src\"]", "archive = \"base.tar\""));
    assert!(told(&["build"]).contains("base.tar"));
    project.recipe(COPY);
    fifo(&project.path("ctx/.dockerignore"));
    assert!(told(&["build"]).contains(".dockerignore"));
}

/// Fails where a hole of 1 TiB is read to its end, or a device that has none.
#[test]
fn nobody_waits_for_a_hole_or_a_device() {
    let project = project();
    let hole = fs::File::create(project.path("ctx/src/hole")).unwrap();
    hole.set_len(1 << 40).unwrap();
    for copy in ["src", "src/hole", "src/h*"] {
        project.recipe(&COPY.replace("\"src\"", &format!("\"{copy}\"")));
        let told = project.run(&["build"]).fails(3);
        assert!(told.contains("src/hole` has 1099511627776 bytes, of which the disk holds"), "{told}");
        assert!(told.contains("lapstrake.toml:"), "{told}");
    }
    project.write("ctx/.dockerignore", "src/hole\n").recipe(COPY);
    project.run(&["build"]).ok();
    for kind in ["archive", "oci-archive", "docker-archive"] {
        for device in ["/dev/zero", "/dev/null"] {
            let told = project.run(&["inspect", &format!("{kind}:{device}")]).fails(1);
            assert!(told.contains("is a device, and no archive"), "{told}");
        }
    }
}

#[test]
fn a_layout_does_not_lead_elsewhere() {
    let project = project();
    let layout = project.build();
    assert_eq!(layout.index["schemaVersion"], 2);
    for link in ["out/blobs/sha256", "out/blobs"] {
        fs::rename(project.path(link), project.path("elsewhere")).unwrap();
        symlink(project.path("elsewhere"), project.path(link)).unwrap();
        let told = project.run(&["copy", "oci:out", "archive:copy.tar"]).fails(1);
        assert!(told.contains("it is a symlink, or lies behind one"), "{told}");
        fs::remove_file(project.path(link)).unwrap();
        fs::rename(project.path("elsewhere"), project.path(link)).unwrap();
    }
    project.run(&["copy", "oci:out", "archive:copy.tar"]).ok();
}

#[test]
fn a_layout_that_cannot_be_written_is_not_begun() {
    let project = project();
    project.write("ctx/src/large", vec![7; 1 << 20]);
    project.run(&["build", "-o", "archive:image.tar"]).ok();
    // Files of a few blocks may be written, and the layer may not.
    let script = "ulimit -f 200; \"$0\" copy archive:image.tar oci:deep/out";
    let mut noise = vec![0; 1 << 20];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    project.write("ctx/src/large", noise);
    project.run(&["build", "-o", "archive:image.tar"]).ok();
    let run = project.end(project.wrapped("bash", &["-c", script, BINARY], &[]));
    let told = run.fails(1);
    assert!(told.contains("File too large") && told.contains("deep/out"), "{told}");
    assert!(!project.path("deep").exists());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_one_state_or_an_error_that_names_it() {
    let project = project();
    let path = project.path("ctx/src/file");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in (0..=u8::MAX).cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let letter = b'a' + round % 26;
                let _ = fs::remove_file(&path);
                match round % 5 {
                    0 => symlink("/etc/passwd", &path).unwrap(),
                    1 => fifo(&path),
                    _ => {
                        // Grows in steps, is cut, and grows again: whatever is read of it at one moment is one letter.
                        let mut file = fs::File::create(&path).unwrap();
                        for _ in 0..40 {
                            file.write_all(&[letter; 40_000]).unwrap();
                        }
                        file.set_len(100_000).unwrap();
                    }
                }
            }
        });
        for _ in 0..25 {
            let run = project.run(&["build", "-o", "oci:out", "--no-cache"]);
            match run.code {
                Some(0) => {
                    let image = project.layout("out").image("app");
                    let found = image.top();
                    if found.contains("app/file") && !found.contains("passwd") {
                        let letters: BTreeSet<u8> = image.file("app/file").into_bytes().into_iter().collect();
                        assert!(letters.len() <= 1, "{letters:?}");
                    }
                }
                Some(1 | 3) => assert!(run.stderr.contains("src/file"), "{}", run.stderr),
                code => panic!("{code:?}: {}", run.stderr),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_damaged_blob_of_the_cache_is_dropped_made_again_and_told() {
    let project = project();
    let before = project.run(&["build", "-o", "oci:out", "--cache-dir", "cache"]).ok();
    let blobs: Vec<_> = walkdir::WalkDir::new(project.path("cache/blobs-v1"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    let [layer] = &blobs[..] else { panic!("{blobs:?}") };
    let whole = fs::read(layer).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (damaged, is_told) in [(&flipped[..], true), (&whole[..whole.len() - 1], false), (b"", false)] {
        fs::write(layer, damaged).unwrap();
        let after = project.run(&["build", "-o", "archive:out.tar", "--cache-dir", "cache"]).ok();
        assert_eq!(after.digests(), before.digests());
        assert_eq!(after.stderr.contains("was damaged: it is dropped and made again"), is_told, "{}", after.stderr);
        assert_eq!(fs::read(layer).unwrap(), whole);
        project.sound(&format!("archive:{}", project.path("out.tar").display()));
    }
}

/// Would fail if a directory in the place of a blob passed for nothing, or stood in the way of every build.
#[test]
fn a_directory_in_the_place_of_a_blob_or_record_is_dropped_and_told() {
    let project = project();
    let build = || project.run(&["build", "-o", "archive:out.tar", "--cache-dir", "cache"]).ok();
    let wanted = build().digests();
    let files = |bucket: &str| -> Vec<_> {
        let entries = walkdir::WalkDir::new(project.path(bucket)).into_iter().map(Result::unwrap);
        entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    };
    let replace = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("x"), "x").unwrap();
    };
    let blobs = files("cache/blobs-v1");
    let [layer] = &blobs[..] else { panic!("{blobs:?}") };
    replace(layer);
    let told = project.run(&["cache", "verify", "--cache-dir", "cache"]).code(6);
    assert!(told.stdout().contains("blobs-v1/") && told.told().contains("1 files were damaged"), "{}", told.told());
    assert!(!layer.exists());
    assert_eq!(build().digests(), wanted);
    replace(layer);
    let again = build();
    assert_eq!(again.digests(), wanted);
    assert!(again.stderr.contains("was damaged: it is dropped and made again"), "{}", again.stderr);
    assert!(layer.is_file());
    for record in ["layers-v2", "proofs-v1", "written-v1", "listings-v2"].iter().flat_map(|name| {
        let bucket = format!("cache/{name}");
        if project.path(&bucket).exists() { files(&bucket) } else { Vec::new() }
    }) {
        replace(&record);
        assert_eq!(build().digests(), wanted, "{}", record.display());
    }
    project.run(&["cache", "verify", "--cache-dir", "cache"]).code(0);
}

/// Would fail if the refusal of a cache whose tag was changed did not say what to do.
#[test]
fn a_cache_whose_tag_is_damaged_is_left_alone_and_what_to_do_is_told() {
    let project = project();
    project.run(&["build", "-o", "oci:out", "--cache-dir", "cache"]).ok();
    let tag = project.path("cache/CACHEDIR.TAG");
    let mut bytes = fs::read(&tag).unwrap();
    bytes[20] ^= 1;
    fs::write(&tag, &bytes).unwrap();
    for arguments in [&["build", "-o", "oci:out"][..], &["cache", "verify"], &["cache", "clear"]] {
        let run = project.run(&[arguments, &["--cache-dir", "cache"]].concat()).code(1);
        let told = run.told();
        assert!(told.contains("CACHEDIR.TAG") && told.contains("remove this one if it was a cache"), "{told}");
    }
    assert_eq!(fs::read(&tag).unwrap(), bytes);
}

/// Would fail if only the build that drops a damaged blob made up for it.
#[test]
fn a_damaged_blob_is_made_again_by_every_build_that_meets_it() {
    let project = project();
    project.write("ctx/src/big", (0..3_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let before = project.run(&["build", "-o", "oci:out", "--cache-dir", "cache"]).ok();
    let entries = walkdir::WalkDir::new(project.path("cache/blobs-v1")).into_iter().map(Result::unwrap);
    let blobs: Vec<_> = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect();
    let [layer] = &blobs[..] else { panic!("{blobs:?}") };
    let mut bytes = fs::read(layer).unwrap();
    let end = bytes.len() - 20;
    for _ in 0..3 {
        bytes[end] ^= 1;
        fs::write(layer, &bytes).unwrap();
        std::thread::scope(|scope| {
            for number in 0..3 {
                let (project, wanted) = (&project, before.digests());
                scope.spawn(move || {
                    let output = format!("archive:out-{number}.tar");
                    assert_eq!(project.run(&["build", "-o", &output, "--cache-dir", "cache"]).ok().digests(), wanted);
                });
            }
        });
        bytes[end] ^= 1;
        assert!(fs::read(layer).unwrap() == bytes, "the cache is whole again");
    }
}

/// Would fail if a directory that goes while the context is looked at were an error, and a file that goes were none.
#[test]
fn directories_may_come_and_go_while_the_context_is_read() {
    let project = Project::new(&COPY.replace("[\"src\"]", "[\".\"]\nexclude = [\"busy\"]"));
    project.write("ctx/src/file", "text");
    let wanted = project.run(&["build", "-o", "oci:out"]).ok().digests();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for number in 0..20 {
                    fs::create_dir_all(project.path(&format!("ctx/busy/{number}/below"))).unwrap();
                }
                fs::remove_dir_all(project.path("ctx/busy")).unwrap();
            }
        });
        let built: Vec<_> = (0..40).map(|_| project.run(&["build", "-o", "oci:out"])).collect();
        over.store(true, Ordering::Relaxed);
        for run in built {
            assert_eq!(run.ok().digests(), wanted);
        }
    });
}

#[test]
fn attributes_that_no_layer_takes_over_are_told() {
    let project = project();
    project.write("ctx/tree/a", "a").write("ctx/tree/b", "b");
    let script = "cd ctx && tar --format=posix --pax-option='SCHILY.xattr.user.note:=x' -cf data.tar tree";
    let made = Command::new("sh").args(["-c", script]).current_dir(project.root()).stderr(Stdio::inherit()).status();
    assert!(made.unwrap().success());
    project.recipe(&COPY.replace("copy = [\"src\"]", "archive = \"data.tar\""));
    let run = project.run(&["build"]).ok();
    assert!(run.stderr.contains("3 of the members of the archive"), "{}", run.stderr);
    project.recipe(&COPY.replace("copy = [\"src\"]", "archive = \"data.tar\"\nexclude = [\"tree/b\"]"));
    assert!(project.run(&["build"]).ok().stderr.contains("2 of the members"));
}
