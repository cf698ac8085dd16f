//! Archives and mirrors that tests make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::{Archives, Ask, Means, PinError, pin};
use crate::content::Content;
use crate::debian::deb::tests::{TestTar, control, deb};
use crate::debian::deb::{Deb, Limits};
use crate::debian::decode::Compression;
use crate::debian::decode::tests::encode;
use crate::debian::release::tests::{Signer, now};
use crate::debian::staging::Below;
use crate::lock::{DebianPins, Update};
use crate::net::FetchError;
use crate::oci::{Digest, Platform};
use crate::recipe::packages::{DebianSettings, DebianSource};
use crate::recipe::{Inputs, Source};
use crate::report::Reporter;
use crate::store::StoreError;
use crate::supply::{Document, Supply, SupplyError, Wanted};
use crate::tree::Rootfs;

pub(crate) const MIRROR: &str = "https://mirror.example.com/";

/// Mirrors in memory: what lies at which address, and what was asked for.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) at: BTreeMap<String, Vec<u8>>,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) snapshot: Option<String>,
    /// What its server says of what it does not have; 404 where nothing is said.
    pub(crate) status: Option<u16>,
}

impl Fake {
    fn get(&self, address: &Url) -> Result<Vec<u8>, SupplyError> {
        let text = address.to_string();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(text.clone());
        let status = self.status.unwrap_or(404);
        let source = || Box::new(FetchError::Refused { url: text.clone(), status, tries: 1, who: String::new() });
        let refused = || match status {
            404 => SupplyError::Gone { what: text.clone(), places: 1, source: source() },
            _ => SupplyError::Fetch { what: text.clone(), source: source() },
        };
        self.at.get(&text).cloned().ok_or_else(refused)
    }

    /// The addresses that were asked for since the last time.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Supply for Fake {
    fn files(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Content>, SupplyError> {
        let get = |wanted: &Wanted<'_>| {
            let mut error = SupplyError::Offline { what: wanted.name.clone() };
            for place in (wanted.places)()? {
                match self.get(&place) {
                    Ok(bytes) if Digest::of(&bytes) == wanted.sha256 => return Ok(Content::inline(bytes)),
                    Ok(bytes) => {
                        let (wanted, found) = (wanted.size.unwrap_or(0), bytes.len() as u64);
                        error = SupplyError::Size { what: place.to_string(), wanted, found };
                    }
                    Err(other) => error = other,
                }
            }
            Err(error)
        };
        wanted.iter().map(get).collect()
    }

    fn document(&self, address: &Url, _: Option<&str>, _: u64) -> Result<Document, SupplyError> {
        let bytes = self.get(address)?;
        Ok(Document { bytes, content_type: String::new(), address: address.clone() })
    }

    fn debian_mirrors(&self, archive: &str, recipe: Option<&Url>) -> Result<Vec<Url>, SupplyError> {
        let mirror = Url::parse(&format!("{MIRROR}{archive}/")).unwrap();
        Ok(recipe.cloned().into_iter().chain([mirror]).collect())
    }

    fn debian_snapshot(&self) -> Option<String> {
        self.snapshot.clone()
    }

    fn python_index(&self, name: &str, _: Option<&Url>) -> Result<Url, SupplyError> {
        Err(SupplyError::NoIndex { index: name.to_owned() })
    }

    fn python_indexes(&self) -> Result<Vec<(String, Url)>, SupplyError> {
        Ok(Vec::new())
    }

    fn uv(&self) -> Option<PathBuf> {
        None
    }

    fn directory(&self, name: &str) -> Result<PathBuf, StoreError> {
        Ok(PathBuf::from(name))
    }

    fn is_offline(&self) -> bool {
        false
    }
}

/// A package: name, version, further fields (a line each), scripts and other control files, files.
pub(crate) fn package(name: &str, version: &str, fields: &str, info: &[(&str, &str)], data: TestTar) -> Vec<u8> {
    let architecture = if fields.contains("Architecture:") { "" } else { "Architecture: amd64\n" };
    let fields = format!("Package: {name}\nVersion: {version}\n{architecture}Maintainer: x\nDescription: y\n{fields}");
    let control = info.iter().fold(control(&fields), |tar, (name, text)| tar.file(&format!("./{name}"), 0o755, text));
    deb(control, data, Compression::Xz)
}

/// A package with one file.
pub(crate) fn simple(name: &str, version: &str, fields: &str) -> Vec<u8> {
    let data = TestTar::default().directory("./", 0o755).directory("./usr/", 0o755).file(
        &format!("./usr/{name}"),
        0o644,
        version,
    );
    package(name, version, fields, &[], data)
}

/// One suite of an archive.
pub(crate) struct TestSuite<'a> {
    pub(crate) root: String,
    pub(crate) suite: &'a str,
    pub(crate) origin: &'a str,
    /// When it was made, and until when it is valid, in seconds from now.
    pub(crate) dates: (i64, i64),
}

impl<'a> TestSuite<'a> {
    pub(crate) fn new(archive: &str, suite: &'a str) -> Self {
        TestSuite { root: format!("{MIRROR}{archive}/"), suite, origin: "Test", dates: (-3600, 86_400) }
    }

    /// Puts the suite onto its mirror, for amd64 and arm64, with these packages.
    pub(crate) fn publish(&self, fake: &mut Fake, signer: &Signer, debs: &[Vec<u8>]) {
        let mut files = String::new();
        for architecture in ["amd64", "arm64"] {
            let mut index = String::new();
            for bytes in debs {
                let deb = Deb::read_control(&bytes[..], "test", Limits::default()).unwrap();
                if deb.architecture != architecture && deb.architecture != "all" {
                    continue;
                }
                let path = format!("pool/{}_{}_{}.deb", deb.name, deb.version, deb.architecture);
                for (name, value) in deb.control.iter() {
                    index.push_str(&format!("{name}: {value}\n"));
                }
                let (size, digest) = (bytes.len(), Digest::of(bytes));
                index.push_str(&format!("Filename: {path}\nSize: {size}\nSHA256: {}\n\n", digest.hex()));
                fake.at.insert(format!("{}{path}", self.root), bytes.clone());
            }
            let index = encode(index.as_bytes(), Compression::Xz);
            let (path, digest) = (format!("main/binary-{architecture}/Packages.xz"), Digest::of(&index));
            files.push_str(&format!(" {} {} {path}\n", digest.hex(), index.len()));
            let by_hash = format!("main/binary-{architecture}/by-hash/SHA256/{}", digest.hex());
            fake.at.insert(format!("{}dists/{}/{by_hash}", self.root, self.suite), index);
        }
        let date = |seconds: i64| {
            let time = jiff::Timestamp::from_second(now() as i64 + seconds).unwrap();
            time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
        };
        let text = format!(
            "Origin: {}\nSuite: stable\nCodename: {}\nDate: {}\nValid-Until: {}\nAcquire-By-Hash: yes\n\
             Architectures: amd64 arm64\nComponents: main\nSHA256:\n{files}",
            self.origin,
            self.suite,
            date(self.dates.0),
            date(self.dates.1)
        );
        let release = signer.sign(&text).into_bytes();
        fake.at.insert(format!("{}dists/{}/InRelease", self.root, self.suite), release);
    }
}

/// A recipe's layer of packages and its `[debian]`, beside a keyring in a directory.
pub(crate) struct Written {
    pub(crate) source: DebianSource,
    pub(crate) settings: DebianSettings,
    pub(crate) context: tempfile::TempDir,
}

/// What a recipe says: lines of `[debian]`, then the layer's value.
pub(crate) fn written(signer: &Signer, debian: &str, layer: &str) -> Written {
    let text = format!(
        "recipe = 1\n[project]\nname = \"x\"\nrepository = \"example.com/x\"\n[debian]\nkeyring = \"key.gpg\"\n{debian}\n\
         [images.x]\nfrom = \"scratch\"\n[[images.x.layers]]\ndebian = {layer}\n"
    );
    let recipe = crate::recipe::parse("x.toml", &text, &Inputs::default()).unwrap();
    let mut sources = recipe.images[0].layers.iter().flat_map(|layer| &layer.sources);
    let source = sources.find_map(|source| match &source.value {
        Source::Debian(source) => Some(source.clone()),
        _ => None,
    });
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("key.gpg"), signer.keyring()).unwrap();
    Written { source: source.unwrap(), settings: recipe.debian.clone(), context }
}

/// Nothing below.
pub(crate) fn no_base(_: usize, _: u64, _: u64) -> std::io::Result<Vec<u8>> {
    Err(std::io::Error::other("there is no base"))
}

impl Written {
    pub(crate) fn ask<'a>(&'a self, platform: &'a Platform) -> Ask<'a> {
        Ask { source: &self.source, settings: &self.settings, platform, context: self.context.path() }
    }

    /// Pins for amd64 on what is below.
    pub(crate) fn pin_on(
        &self,
        rootfs: &Rootfs,
        fake: &Fake,
        previous: Option<&DebianPins>,
        update: &Update,
    ) -> Result<DebianPins, PinError> {
        let (archives, reporter) = (Archives::new(), Reporter::silent());
        let means = Means {
            supply: fake,
            archives: &archives,
            now: now(),
            tmp: self.context.path(),
            jobs: 2,
            limits: Default::default(),
            reporter: &reporter,
        };
        let platform = Platform::linux("amd64");
        pin(&self.ask(&platform), &Below { rootfs, read: &no_base }, &means, previous, update)
    }

    pub(crate) fn pin(&self, fake: &Fake) -> Result<DebianPins, PinError> {
        self.pin_on(&Rootfs::new(), fake, None, &Update::Nothing)
    }
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The names that are pinned, with versions.
pub(crate) fn shown(pins: &DebianPins) -> String {
    let names: Vec<String> = pins.packages.iter().map(|pin| format!("{} {}", pin.name, pin.version)).collect();
    names.join(", ")
}

/// The parts of a set of addresses that differ from mirror to mirror.
pub(crate) fn hosts(asked: &[String]) -> BTreeSet<&str> {
    asked.iter().filter_map(|address| address.split('/').nth(2)).collect()
}

/// A path below the context, written.
pub(crate) fn put(context: &Path, path: &str, bytes: &[u8]) {
    std::fs::create_dir_all(context.join(path).parent().unwrap()).unwrap();
    std::fs::write(context.join(path), bytes).unwrap();
}
