//! What Debian's archives and Python's indexes say, and what is inside of packages.

use std::cmp::Ordering;
use std::sync::Arc;

use url::Url;

use super::made::{ar_of, file_of, tar_of};
use super::{said, text};
use crate::debian::control::{Stanza, StanzaReader};
use crate::debian::deb::{Deb, Limits};
use crate::debian::dependency::{parse_atoms, parse_dependencies};
use crate::debian::effects::{accounts, alternatives, ld_so_cache};
use crate::debian::keyring::Keyring;
use crate::debian::packages::Packages;
use crate::debian::release::{Release, verify};
use crate::debian::scripts;
use crate::debian::shell;
use crate::debian::version::Version;
use crate::limits::Most;
use crate::python::record::Row;
use crate::python::{Environment, Libc, Marker, Page, Pylock, Record, Requirement, Requirements, Target};
use crate::tree::TreePath;

/// The one certificate that `in_release` believes, and the one text that it ever signed: `fuzz/seeds` has the message.
const KEYRING: &[u8] = include_bytes!("../../fuzz/signed/keyring.pgp");
const SIGNED: &str = include_str!("../../fuzz/signed/Release");

/// Stanzas of control data: what is read stays what it is when it is written again.
pub fn control(data: &[u8]) {
    let mut reader = StanzaReader::new(data);
    loop {
        match reader.next_stanza() {
            Ok(Some(stanza)) => written_again(&stanza),
            Ok(None) => break,
            Err(error) => return said(&error),
        }
    }
    match Stanza::only(data) {
        Ok(stanza) => written_again(&stanza),
        Err(error) => said(&error),
    }
}

fn written_again(stanza: &Stanza) {
    let fields: Vec<(&str, &str)> = stanza.iter().collect();
    let written: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let Ok(back) = Stanza::only(written.as_bytes()) else { panic!("refused when written again: {written:?}") };
    assert_eq!(back.iter().collect::<Vec<_>>(), fields, "another stanza when written again");
}

/// `Packages` and dpkg's `status`: names and places of files are plain.
pub fn packages_index(data: &[u8]) {
    match Packages::read(data) {
        Ok(packages) => {
            for package in packages.iter() {
                assert!(!package.name().contains('/'), "a name with a slash");
                let file = package.filename();
                assert!(TreePath::parse(file).is_ok(), "a file that leaves the archive: {file}");
                assert!(packages.named(package.name()).any(|found| found.version_text() == package.version_text()));
            }
        }
        Err(error) => said(&error),
    }
    if let Err(error) = Packages::read_installed(data) {
        said(&error);
    }
}

/// A signed `InRelease`, and the text of a `Release`: nothing is believed but the one text that was signed.
pub fn in_release(data: &[u8]) {
    let Ok(keyring) = Keyring::parse(KEYRING) else { panic!("the keyring of this test") };
    match verify(data, &keyring, None) {
        Ok(verified) => assert_eq!(verified.text.trim_end(), SIGNED.trim_end(), "believed, and was never signed"),
        Err(error) => said(&error),
    }
    let Some(text) = text(data) else { return };
    match Release::parse(text) {
        Ok(release) => {
            if let Err(error) = release.check("stable", None, Some(1_700_000_000)) {
                said(&error);
            }
        }
        Err(error) => said(&error),
    }
}

/// A keyring, binary or armoured.
pub fn keyring(data: &[u8]) {
    if let Err(error) = Keyring::parse(data) {
        said(&error);
    }
}

/// Three versions of Debian packages, a line each: their order is one.
pub fn versions(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let versions: Vec<Version> = text.lines().take(3).filter_map(|line| line.parse().ok()).collect();
    for a in &versions {
        assert_eq!(a.to_string().parse::<Version>().map(|same| same.cmp(a)), Ok(Ordering::Equal));
        let _ = (a.upstream(), a.without_epoch());
        for b in &versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} and {b}");
            assert!(versions.iter().all(|c| a > b || b > c || a <= c), "{a}, {b} and others");
        }
    }
}

/// Relations between packages, as dependencies and as lists without alternatives.
pub fn relations(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_dependencies(text) {
        Ok(found) => assert!(found.iter().all(|dependency| !dependency.alternatives.is_empty())),
        Err(error) => said(&error),
    }
    match parse_atoms(text) {
        Ok(atoms) => assert!(atoms.iter().all(|atom| !atom.name.contains('/'))),
        Err(error) => said(&error),
    }
}

/// A maintainer script, alone and as the `postinst` of a package.
pub fn maintainer_script(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for dialect in [shell::Dialect::Sh, shell::Dialect::Bash] {
        if let Err(error) = shell::parse(text, dialect) {
            said(&error);
        }
    }
    let _ = shell::split(text);
    let control = b"Package: a\nVersion: 1-1\nArchitecture: amd64\nMaintainer: x\nDescription: y\n";
    let control = tar_of(&[("control", control), ("postinst", data)]);
    let package = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &[0; 1024])]);
    let limits = Limits { control: 1 << 20, data: Most::of(1 << 20), members: Most::of(10) };
    let Ok(package) = Deb::read(&package[..], &Arc::new(file_of(b"")), "fuzz", limits) else { return };
    for origin in [scripts::Origin::Debian, scripts::Origin::Elsewhere] {
        let judged = scripts::judge(&package, origin);
        assert_eq!(judged, scripts::judge(&package, origin), "judged otherwise the second time");
        let _ = judged.to_string();
    }
    let _ = (accounts::read_scripts(&package), alternatives::choices(&package));
}

/// An ELF file, and the loader's cache.
pub fn elf(data: &[u8]) {
    let read_at = |offset: u64, length: u64| {
        assert!(length <= 256 << 20, "more than a table of strings may be");
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(data.len());
        Ok(data[start..end].to_vec())
    };
    match crate::elf::read(read_at) {
        Ok(Some(elf)) => {
            let names = elf.needed.iter().chain(&elf.soname).chain(&elf.rpath).chain(&elf.runpath);
            assert!(names.chain(&elf.interpreter).all(|name| !name.contains(&0)), "a name with a NUL");
        }
        Ok(None) => {}
        Err(error) => said(&error),
    }
    for architecture in ["amd64", "s390x"] {
        let _ = ld_so_cache::parse(data, architecture);
    }
}

/// `RECORD`: what is read is the same when it is written again.
pub fn python_record(data: &[u8]) {
    let record = match Record::parse(data) {
        Ok(record) => record,
        Err(error) => return said(&error),
    };
    let rows: Vec<(&str, &Row)> = record.iter().collect();
    let Ok(back) = Record::parse(&Record::write(rows.iter().copied())) else { panic!("refused when written again") };
    assert_eq!(back.iter().collect::<Vec<_>>(), rows, "another list when written again");
}

/// A requirements file that may include itself.
pub fn requirements(data: &[u8]) {
    const SECRET: &str = "c4n4ry";
    // What the file itself says is no secret.
    if data.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return;
    }
    let variables = |name: &str| (name == "TOKEN").then(|| SECRET.to_owned());
    let mut files = 0;
    let read = Requirements::read("requirements.txt", &variables, &mut |_| {
        files += 1;
        if files > 8 { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(data.to_vec()) }
    });
    match read {
        Ok(found) => {
            if let Err(error) = found.locked() {
                assert!(!error.to_string().contains(SECRET), "the value of a variable is told");
                said(&error);
            }
            let _ = found.meaning();
        }
        Err(error) => {
            assert!(!error.to_string().contains(SECRET), "the value of a variable is told");
            said(&error);
        }
    }
}

/// `pylock.toml`, and what of it goes into an image.
pub fn pylock(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<Pylock>() {
        Ok(lock) => {
            let Some(target) = target() else { return };
            if let Err(error) = lock.select(&target, &[], None) {
                said(&error);
            }
        }
        Err(error) => said(&error),
    }
}

fn target() -> Option<Target> {
    let (version, platform) = ("3.13.5".parse().ok()?, "linux/amd64".parse().ok()?);
    Some(Target { version, platform, libc: Libc::Glibc { major: 2, minor: 41 }, free_threaded: false })
}

/// A requirement and a marker, of which one may be meant.
pub fn markers(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(marker) = text.parse::<Marker>() {
        let again: Result<Marker, _> = marker.to_string().parse();
        assert!(again.is_ok_and(|again| again.text() == marker.text()), "another marker when read again");
        if let Some(Err(error)) = target().and_then(|t| Environment::new(&t).ok()).map(|e| marker.evaluate(&e)) {
            said(&error);
        }
    }
    match text.parse::<Requirement>() {
        Ok(requirement) => {
            let shown = requirement.to_string();
            let again: Result<Requirement, _> = shown.parse();
            assert!(again.is_ok_and(|again| again.to_string() == shown), "another requirement when read again");
        }
        Err(error) => said(&error),
    }
}

/// A page of a Python index, as JSON and as HTML: names of files are names, and addresses can be asked.
pub fn python_index(data: &[u8]) {
    let (Ok(wanted), Ok(url)) = ("six".parse(), Url::parse("https://index.example.com/simple/six/")) else { return };
    for content_type in ["application/vnd.pypi.simple.v1+json", "text/html"] {
        match Page::parse(&wanted, content_type, data, &url) {
            Ok(page) => {
                for file in page.files() {
                    assert!(!file.name.contains(['/', '\0']), "the name {:?} is no file name", file.name);
                    assert!(matches!(file.url.scheme(), "http" | "https"), "an address of {}", file.url.scheme());
                }
            }
            Err(error) => said(&error),
        }
    }
}
