//! Whether what is in a tree can start: every library that a program needs, and every interpreter that it names, is there.

use std::collections::{BTreeMap, BTreeSet};

use super::effects::ld_so_cache;
use super::staging::{Staging, StagingError};
use crate::elf::{self, Elf};
use crate::machine;
use crate::shown::Shown;
use crate::tree::{Located, Node, NodeKind, TreePath};

/// Something that a file needs and the image does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A library.
    Library {
        /// Who needs it.
        file: TreePath,
        /// Its name.
        library: Shown,
        /// Where a file of that name is, though the loader does not look there. Another file that is loaded before may
        /// know of it, so that this alone is no error.
        elsewhere: Option<TreePath>,
    },
    /// The program that loads or reads it.
    Interpreter {
        /// Who names it.
        file: TreePath,
        /// Its path.
        interpreter: Shown,
    },
    /// The file is for another machine.
    Machine {
        /// The file.
        file: TreePath,
        /// Its machine number.
        machine: u16,
    },
}

impl Missing {
    /// Whether something that an image is made for will not start or load. Plugins and examples of Debian's packages may
    /// need what only a recommended package has.
    pub fn is_fatal(&self) -> bool {
        match self {
            Missing::Library { elsewhere: Some(_), .. } | Missing::Machine { .. } => false,
            Missing::Library { file, .. } => !is_optional(file),
            Missing::Interpreter { file, .. } => !is_optional(file) && !is_hook(file),
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::Library { file, library, elsewhere: None } => {
                write!(f, "{file} needs the library {library}, which is not in the image")
            }
            Missing::Library { file, library, elsewhere: Some(path) } => {
                write!(f, "{file} needs the library {library}, which is at {path}, where the loader does not look")
            }
            Missing::Interpreter { file, interpreter } => {
                write!(f, "{file} is run by {interpreter}, which is not in the image")
            }
            Missing::Machine { file, machine } => write!(f, "{file} is for another machine (ELF number {machine})"),
        }
    }
}

/// Whether a script lies where packages keep what an init, a cron or a login would run: an image without a shell has none
/// of these either.
fn is_hook(file: &TreePath) -> bool {
    file.components().next() == Some(b"etc")
}

/// Whether a file lies where packages keep plugins, examples and modules: not among programs, libraries or what Python
/// imports.
fn is_optional(file: &TreePath) -> bool {
    let parts: Vec<&[u8]> = file.components().collect();
    let library = match parts[..] {
        [b"usr", b"lib" | b"lib64", _] => true,
        [b"usr", b"lib", triplet, _] => triplet.windows(10).any(|part| part == b"-linux-gnu"),
        _ => false,
    };
    let imported = parts.iter().any(|part| matches!(*part, b"dist-packages" | b"site-packages"));
    matches!(parts[..], [b"usr", b"lib" | b"lib64" | b"share" | b"libexec", ..]) && !library && !imported
}

/// The most bytes of a line that names an interpreter, as Linux reads it.
const MAX_SHEBANG: u64 = 256;

/// How scripts of wheels begin that are not the image's own Python's.
const USUAL: [&str; 6] =
    ["/bin/sh", "/bin/bash", "/usr/bin/env sh", "/usr/bin/env bash", "/usr/bin/env python3", "/usr/bin/env python"];

/// Where `env` looks.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What is missing, in a line each: files that miss the same thing share one. What is fatal comes first.
pub fn summary(missing: &[Missing]) -> Vec<(bool, String)> {
    let mut groups: BTreeMap<(bool, String), Vec<&TreePath>> = BTreeMap::new();
    for one in missing {
        let (file, what) = match one {
            Missing::Library { file, library, elsewhere: None } => {
                (file, format!("the library {library} is not in the image"))
            }
            Missing::Library { file, library, elsewhere: Some(path) } => {
                (file, format!("the library {library} is at {path}, where the loader does not look"))
            }
            Missing::Interpreter { file, interpreter } => (file, format!("{interpreter} is not in the image")),
            Missing::Machine { file, machine } => {
                (file, format!("there are files for {}, another machine than the image's", machine::name(*machine)))
            }
        };
        groups.entry((!one.is_fatal(), what)).or_default().push(file);
    }
    let line = |((note, what), files): ((bool, String), Vec<&TreePath>)| {
        let first = files.iter().take(2).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = files.len().saturating_sub(2);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        (!note, format!("{what}: {first}{more}"))
    };
    groups.into_iter().map(line).collect()
}

/// Looks at every file that this build puts into a tree; those in layers of a base count as what is there, and are not
/// read. `machine` is the ELF number of the image's architecture.
///
/// # Errors
/// Where a file cannot be read.
pub fn check(staging: &Staging<'_>, architecture: &str, machine: u16) -> Result<Vec<Missing>, StagingError> {
    // A base's list of directories that cannot be read is none.
    let text = |path: &str| Ok::<_, StagingError>(staging.text(path).unwrap_or(None));
    // Asked only where a program needs a library.
    let directories = std::cell::OnceCell::new();
    let own = std::cell::OnceCell::new();
    let mut missing = Vec::new();
    for (path, node) in staging.view().on_top() {
        let NodeKind::File(located @ Located::Content(_)) = &node.kind else { continue };
        let library = || path.file_name().unwrap_or_default().windows(3).any(|part| part == b".so");
        if node.mode & 0o111 == 0 && !library() {
            continue;
        }
        let start = staging.read_at(path, located, 0, 4)?;
        if start.starts_with(b"#!") && node.mode & 0o111 != 0 {
            missing.extend(shebang(staging, path, located)?);
        } else if start == b"\x7fELF"
            && let Some(elf) = staging.elf(path, located)?
        {
            if elf.machine != machine {
                missing.push(Missing::Machine { file: path.clone(), machine: elf.machine });
                continue;
            }
            if elf.kind != elf::EXECUTABLE && elf.kind != elf::SHARED {
                continue;
            }
            if let Some(interpreter) = &elf.interpreter
                && !there(staging, interpreter)
            {
                missing.push(Missing::Interpreter { file: path.clone(), interpreter: Shown::new(interpreter) });
            }
            for library in &elf.needed {
                let directories = match directories.get() {
                    Some(directories) => directories,
                    None => {
                        let found = ld_so_cache::directories(staging.view(), architecture, &text)?;
                        directories.get_or_init(|| found)
                    }
                };
                if !found(staging, path, &elf, library, directories) {
                    // Wheels bring libraries that find each other: a base is looked through for others alone.
                    let own = own.get_or_init(|| libraries(staging.view().on_top().filter(is_own))).get(library);
                    let elsewhere = own.cloned().or_else(|| staging.view().first_named(library));
                    missing.push(Missing::Library { file: path.clone(), library: Shown::new(library), elsewhere });
                }
            }
        }
    }
    Ok(missing)
}

/// Those of these nodes that are called like libraries, by name: the first of each.
fn libraries<'v>(nodes: impl Iterator<Item = (&'v TreePath, &'v Node)>) -> BTreeMap<Vec<u8>, TreePath> {
    let mut names: BTreeMap<Vec<u8>, TreePath> = BTreeMap::new();
    for (path, node) in nodes {
        if let (Some(name), NodeKind::File(_) | NodeKind::Symlink(_)) = (path.file_name(), &node.kind)
            && name.windows(3).any(|part| part == b".so")
        {
            names.entry(name.to_vec()).or_insert_with(|| path.clone());
        }
    }
    names
}

/// Whether a node is a file of a layer that this build makes.
fn is_own((_, node): &(&TreePath, &Node)) -> bool {
    matches!(node.kind, NodeKind::File(Located::Content(_)))
}

fn there(staging: &Staging<'_>, path: &[u8]) -> bool {
    TreePath::parse(path).is_ok_and(|path| matches!(staging.view().file(&path), Ok(Some(_))))
}

/// Whether the loader finds a library that a file needs.
fn found(staging: &Staging<'_>, file: &TreePath, elf: &Elf, library: &[u8], directories: &[String]) -> bool {
    if library.contains(&b'/') {
        return there(staging, library);
    }
    let own = elf.runpath.as_ref().or(elf.rpath.as_ref());
    let origin = file.parent().unwrap_or_default();
    let own = own.into_iter().flat_map(|paths| paths.split(|byte| *byte == b':')).filter_map(|directory| {
        let directory = String::from_utf8(directory.to_vec()).ok()?;
        let origin = format!("/{}", String::from_utf8(origin.as_bytes().to_vec()).ok()?);
        let lib = if elf.wide { "lib64" } else { "lib" };
        let directory = directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
        Some(directory.replace("${LIB}", lib).replace("$LIB", lib))
    });
    own.chain(directories.iter().cloned()).any(|directory| {
        // A path may climb; inside the image, that is allowed.
        let mut parts: Vec<&str> = Vec::new();
        for part in directory.split('/') {
            match part {
                "" | "." => {}
                ".." => _ = parts.pop(),
                part => parts.push(part),
            }
        }
        there(staging, &[parts.join("/").as_bytes(), b"/", library].concat())
    })
}

/// What the first line of a script names and the image does not have.
fn shebang(staging: &Staging<'_>, path: &TreePath, located: &Located) -> Result<Option<Missing>, StagingError> {
    let start = staging.read_at(path, located, 2, MAX_SHEBANG)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let missing = missing_interpreter(staging, line);
    Ok(missing.map(|name| Missing::Interpreter { file: path.clone(), interpreter: Shown::new(name) }))
}

/// The interpreter that such a line names, where the image does not have it. As Linux reads it: a carriage return is part of
/// the name, so that scripts with the line ends of another system do not start.
fn missing_interpreter<'l>(staging: &Staging<'_>, line: &'l [u8]) -> Option<&'l [u8]> {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let interpreter = words.next().filter(|interpreter| interpreter.starts_with(b"/"))?;
    if !there(staging, interpreter) {
        return Some(interpreter);
    }
    if !interpreter.ends_with(b"/env") {
        return None;
    }
    let assigned = |word: &&[u8]| word.starts_with(b"-") || word.contains(&b'=');
    let program = words.find(|word| !assigned(word))?;
    let places = PATH.map(|directory| [directory.as_bytes(), b"/", program].concat());
    let places: BTreeSet<Vec<u8>> =
        if program.contains(&b'/') { BTreeSet::from([program.to_vec()]) } else { places.into() };
    (!places.iter().any(|place| there(staging, place))).then_some(program)
}

/// Asks what scripts that are not known yet are likely to need: wheels have few others.
pub fn foresee_scripts(staging: &Staging<'_>) {
    for line in USUAL {
        let _ = missing_interpreter(staging, line.as_bytes());
    }
}

/// The package that has a library, guessed by Debian's rule for their names (Policy 8.1); `exists` says which names
/// there are.
pub fn package_of(library: &str, exists: &dyn Fn(&str) -> bool) -> Option<String> {
    let (name, version) = library.split_once(".so").map(|(name, version)| (name, version.trim_start_matches('.')))?;
    let dash = if name.ends_with(|c: char| c.is_ascii_digit()) && !version.is_empty() { "-" } else { "" };
    let name = name.to_ascii_lowercase().replace('_', "-");
    let known = match library {
        "libc.so.6" | "libm.so.6" | "libpthread.so.0" | "libdl.so.2" | "librt.so.1" => Some("libc6"),
        "libgcc_s.so.1" => Some("libgcc-s1"),
        "libGL.so.1" => Some("libgl1"),
        _ => None,
    };
    let guesses = [
        known.map(str::to_owned).unwrap_or_default(),
        format!("{name}{dash}{version}"),
        format!("{name}{dash}{version}t64"),
        format!("{name}-{version}"),
        format!("{name}-{version}t64"),
        format!("{name}{version}"),
    ];
    guesses.into_iter().find(|guess| !guess.is_empty() && exists(guess))
}

/// The packages that have a program which reads scripts, or loads others, where it is widely known.
pub fn packages_of_interpreter(interpreter: &str) -> Option<String> {
    let (directory, name) = interpreter.rsplit_once('/').unwrap_or(("", interpreter));
    let package = match name {
        "sh" | "dash" => "dash",
        "python" => "python-is-python3",
        "env" => "coreutils",
        "awk" => "mawk",
        "node" => "nodejs",
        "bash" | "perl" | "sed" | "ruby" | "zsh" | "make" => name,
        name if name.starts_with("ld-linux") => "libc6",
        name if name
            .strip_prefix("python3")
            .is_some_and(|rest| rest.bytes().all(|b| b == b'.' || b.is_ascii_digit())) =>
        {
            name
        }
        _ => return None,
    };
    // `/bin` is a link, and a package of its own has it.
    Some(if directory == "/bin" { format!("{package} (with base-files)") } else { package.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::make;
    use crate::tree::{Origin, Owner, Rootfs};

    #[test]
    fn what_is_missing_is_named() {
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        let origin = Origin::new("test");
        let program = |needed: &[&str], runpath| make(true, true, 62, Some("/lib64/ld.so"), needed, None, runpath);
        let library = || make(true, true, 62, None, &[], None, None);
        for (path, mode, bytes) in [
            ("usr/lib64/ld.so", 0o755, library()),
            ("usr/lib/x86_64-linux-gnu/libc.so.6", 0o644, library()),
            ("opt/app/lib/libown.so", 0o644, library()),
            ("opt/far/libfar.so", 0o644, library()),
            ("opt/app/bin/good", 0o755, program(&["libc.so.6", "libown.so"], Some("$ORIGIN/../lib"))),
            ("opt/app/bin/bad", 0o755, program(&["libown.so", "libgone.so.1"], None)),
            ("opt/app/bin/far", 0o755, program(&["libfar.so"], None)),
            ("opt/app/bin/arm", 0o755, make(true, true, 183, None, &["libx.so"], None, None)),
            ("opt/app/bin/static", 0o755, make(true, true, 62, None, &[], None, None)),
            ("opt/app/bin/loader", 0o755, make(true, true, 62, Some("/lib/none.so"), &[], None, None)),
            ("usr/bin/env", 0o755, b"x".to_vec()),
            ("usr/bin/sh", 0o755, b"x".to_vec()),
            ("opt/s1", 0o755, b"#!/bin/sh\n".to_vec()),
            ("opt/s2", 0o755, b"#! /usr/bin/perl -w\n".to_vec()),
            ("opt/s3", 0o755, b"#!/usr/bin/env python3\n".to_vec()),
            ("opt/s4", 0o755, b"#!/usr/bin/env -S sh -e\n".to_vec()),
            ("opt/s5", 0o644, b"#!/usr/bin/perl\n".to_vec()),
            ("opt/s6", 0o755, b"#!/bin/sh\r\n".to_vec()),
            ("opt/cut", 0o755, b"\x7fELF\x02\x01".to_vec()),
        ] {
            staging.file(path, bytes, mode, Owner::ROOT, &origin).unwrap();
        }
        for link in ["bin", "lib", "lib64"] {
            staging.symlink(link, &format!("usr/{link}"), &origin).unwrap();
        }
        let found: Vec<String> = check(&staging, "amd64", 62).unwrap().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(found.join("\n"), @r"
        /opt/app/bin/arm is for another machine (ELF number 183)
        /opt/app/bin/bad needs the library `libown.so`, which is at /opt/app/lib/libown.so, where the loader does not look
        /opt/app/bin/bad needs the library `libgone.so.1`, which is not in the image
        /opt/app/bin/far needs the library `libfar.so`, which is at /opt/far/libfar.so, where the loader does not look
        /opt/app/bin/loader is run by `/lib/none.so`, which is not in the image
        /opt/s2 is run by `/usr/bin/perl`, which is not in the image
        /opt/s3 is run by `python3`, which is not in the image
        /opt/s6 is run by `/bin/sh\r`, which is not in the image
        ");
    }

    #[test]
    fn interpreters_have_packages() {
        for (interpreter, package) in [
            ("/bin/sh", Some("dash (with base-files)")),
            ("/usr/bin/env", Some("coreutils")),
            ("python3", Some("python3")),
            ("/usr/bin/python3.13", Some("python3.13")),
            ("/usr/bin/perl", Some("perl")),
            ("/lib64/ld-linux-x86-64.so.2", Some("libc6")),
            ("/usr/bin/python3-config", None),
            ("/opt/own", None),
        ] {
            assert_eq!(packages_of_interpreter(interpreter).as_deref(), package, "{interpreter}");
        }
    }

    #[test]
    fn what_many_files_miss_is_told_once() {
        let file = |path: &str| TreePath::parse(path).unwrap();
        let perl = |path: &str| Missing::Interpreter { file: file(path), interpreter: Shown::new(b"/usr/bin/perl") };
        let library = Missing::Library { file: file("app/x"), library: Shown::new(b"libx.so.1"), elsewhere: None };
        let machine = Missing::Machine { file: file("app/y"), machine: 183 };
        let missing =
            [perl("usr/share/a"), perl("usr/share/b"), perl("usr/share/c"), library, machine, perl("app/run")];
        let told: Vec<String> = summary(&missing)
            .iter()
            .map(|(fatal, text)| format!("{} {text}", if *fatal { "!" } else { "-" }))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        ! `/usr/bin/perl` is not in the image: /app/run
        ! the library `libx.so.1` is not in the image: /app/x
        - `/usr/bin/perl` is not in the image: /usr/share/a, /usr/share/b and 1 more
        - there are files for arm64, another machine than the image's: /app/y
        ");
    }

    #[test]
    fn plugins_and_examples_are_no_errors() {
        for (path, optional) in [
            ("usr/lib/x86_64-linux-gnu/tc/q_atm.so", true),
            ("usr/share/doc/x/examples/run", true),
            ("usr/lib/python3.11/cgi.py", true),
            ("usr/lib/x86_64-linux-gnu/libx.so.1", false),
            ("usr/lib/python3/dist-packages/x/y.so", false),
            ("usr/local/lib/python3.13/dist-packages/numpy/x.so", false),
            ("usr/bin/x", false),
            ("app/scripts/start.sh", false),
        ] {
            assert_eq!(is_optional(&TreePath::parse(path).unwrap()), optional, "{path}");
        }
    }

    #[test]
    fn packages_are_named_by_debians_rule() {
        let packages = ["libstdc++6", "libssl3t64", "libpython3.13", "libc6", "libpcre2-8-0", "libxml2", "libx11-6"];
        let exists = |name: &str| packages.contains(&name);
        for (library, package) in [
            ("libstdc++.so.6", Some("libstdc++6")),
            ("libssl.so.3", Some("libssl3t64")),
            ("libc.so.6", Some("libc6")),
            ("libpcre2-8.so.0", Some("libpcre2-8-0")),
            ("libX11.so.6", Some("libx11-6")),
            ("libnone.so.1", None),
            ("strange", None),
        ] {
            assert_eq!(package_of(library, &exists).as_deref(), package, "{library}");
        }
    }
}
