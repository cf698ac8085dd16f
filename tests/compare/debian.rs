//! Compares what this project makes of Debian's packages with what Debian's own tools do. See `src/debian/mod.rs`.
//!
//! ```text
//! compare-debian solve LISTS ARCH [essential|recommends|without=NAME|ROOT]…   name and version of what is chosen, a line each
//! compare-debian verify INRELEASE…                                             who signed, by Debian's own keys
//! compare-debian scripts DEB…                                                  what their scripts amount to, a line each
//! compare-debian tree ARCH OUT.tar DEB…                                        the packages as one layer on nothing
//! ```
//!
//! `LISTS` is a directory of plain `*_Packages` files, as apt keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{BufReader, Write};
use std::sync::Arc;

use lapstrake::debian::database::{self, Style};
use lapstrake::debian::deb::{Deb, Limits};
use lapstrake::debian::effects;
use lapstrake::debian::keyring::Keyring;
use lapstrake::debian::packages::Packages;
use lapstrake::debian::release::{self, Release};
use lapstrake::debian::resolve::{Request, Root, Suite, solve};
use lapstrake::debian::scripts;
use lapstrake::debian::staging::Staging;
use lapstrake::debian::unpack::{Leave, merge_usr, unpack};
use lapstrake::tree::Rootfs;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["solve", lists, architecture, ref rest @ ..] => print_solution(lists, architecture, rest),
        ["tree", architecture, out, ref debs @ ..] => write_tree(architecture, out, debs),
        ["verify", ref files @ ..] => files.iter().try_for_each(|file| verify_release(file)),
        ["scripts", ref debs @ ..] => debs.iter().try_for_each(|deb| print_judgement(deb)),
        _ => Err("usage: compare-debian solve LISTS ARCH ROOT…".into()),
    }
}

fn verify_release(file: &str) -> Result<(), Box<dyn Error>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let keyring = Keyring::debian()?;
    let verified =
        release::verify(&fs::read(file)?, &keyring, Some(now)).map_err(|error| format!("{file}: {error}"))?;
    let release = Release::parse(&verified.text)?;
    release.check(release.codename.as_deref().unwrap_or_default(), Some("Debian"), Some(now))?;
    let index = release.packages("main", "amd64")?;
    println!("{:?} {:?} {}", release.codename, verified.signers, index.by_hash.unwrap_or(index.path));
    Ok(())
}

fn print_judgement(path: &str) -> Result<(), Box<dyn Error>> {
    let deb =
        Deb::read(BufReader::new(fs::File::open(path)?), &Arc::new(tempfile::tempfile()?), path, Limits::default())?;
    if deb.scripts().next().is_some() {
        let judgement = scripts::judge(&deb, scripts::Origin::Debian);
        let word = if judgement.is_known() { "known" } else { "UNKNOWN" };
        println!("{word} {} native {:?} left out {:?} {judgement}", deb.name, judgement.native, judgement.left_out);
    }
    Ok(())
}

fn indexes(lists: &str) -> Result<Vec<Packages>, Box<dyn Error>> {
    let mut files: Vec<_> =
        fs::read_dir(lists)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.to_string_lossy().ends_with("_Packages"));
    files.sort();
    files.iter().map(|path| Ok(Packages::read(BufReader::new(fs::File::open(path)?))?)).collect()
}

fn print_solution(lists: &str, architecture: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let indexes = indexes(lists)?;
    let suites: Vec<Suite<'_>> =
        indexes.iter().map(|packages| Suite { names: Vec::new(), priority: 500, packages }).collect();
    // Several sets of roots at once, since the indexes take longer to read than any question to answer.
    for arguments in arguments.split(|word| *word == "--") {
        let mut roots: Vec<Root> = Vec::new();
        let mut without = BTreeSet::new();
        for word in arguments.iter().filter(|word| !matches!(**word, "essential" | "recommends")) {
            match word.strip_prefix("without=") {
                Some(name) => _ = without.insert(name.to_owned()),
                None => roots.push(word.parse()?),
            }
        }
        let request = Request {
            architecture,
            suites: &suites,
            installed: &Packages::default(),
            roots: &roots,
            essential: arguments.contains(&"essential"),
            recommends: arguments.contains(&"recommends"),
            without: &without,
            preferred: &BTreeMap::new(),
        };
        let mut out = std::io::stdout().lock();
        match solve(&request) {
            Ok(solution) => {
                for chosen in solution.chosen.values() {
                    writeln!(out, "{} {}", chosen.package.name(), chosen.package.version_text())?;
                }
            }
            Err(error) => writeln!(out, "! {error}")?,
        }
        writeln!(out, "--")?;
    }
    Ok(())
}

fn write_tree(architecture: &str, out: &str, debs: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut packages = debs
        .iter()
        .map(|path| {
            let deb = Deb::read(
                BufReader::new(fs::File::open(path)?),
                &Arc::new(tempfile::tempfile()?),
                path,
                Limits::default(),
            );
            deb.map_err(|error| format!("{path}: {error}: {:?}", error.source()).into())
        })
        .collect::<Result<Vec<Deb>, Box<dyn Error>>>()?;
    packages.sort_by(|a, b| (a.name != "base-files", &a.name).cmp(&(b.name != "base-files", &b.name)));
    let base = Rootfs::new();
    let mut staging = Staging::new(base.clone(), &|_, _, _| Err(std::io::Error::other("no base")));
    merge_usr(&mut staging, architecture)?;
    let unpacked = unpack(&mut staging, &packages, &BTreeMap::new(), Leave::default())?;
    let installed = database::read_installed(&staging)?;
    database::write(&mut staging, &packages, &unpacked, &installed, architecture, Style::Status)?;
    effects::apply(&mut staging, &packages, &BTreeMap::new(), 20412)?;
    effects::ld_so_cache::apply(&mut staging, architecture)?;
    let machine = if architecture == "arm64" { 183 } else { 62 };
    for missing in lapstrake::debian::checks::check(&staging, architecture, machine)? {
        eprintln!("{} {missing}", if missing.is_fatal() { "error" } else { "note" });
    }
    let tree = staging.into_tree(&base)?;
    let mut file = std::io::BufWriter::new(fs::File::create(out)?);
    lapstrake::tar::write_tree(&tree, &mut file, &mut ())?;
    file.flush()?;
    Ok(())
}
