//! A signed Debian archive in a directory, for tests: `dists/SUITE/InRelease`, indexes by hash, `pool/`.
//!
//! Included by path, beside `deb`; it uses no code of the program that it tests.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, Timestamp};
use rand::SeedableRng;
use sha2::{Digest as _, Sha256};

use super::deb::{Deb, Packing};

static MADE_KEYS: Mutex<BTreeMap<u64, SignedSecretKey>> = Mutex::new(BTreeMap::new());

/// A key that archives are signed with: a primary key that certifies, and a subkey that signs.
pub struct ArchiveKey(SignedSecretKey);

impl ArchiveKey {
    /// Another one for each seed; the same one wherever the process asks for that seed, since a key holds its date.
    pub fn new(seed: u64) -> Self {
        let mut made = MADE_KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        ArchiveKey(made.entry(seed).or_insert_with(|| Self::make(seed).0).clone())
    }

    fn make(seed: u64) -> Self {
        let subkey = SubkeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .build()
            .unwrap();
        let key = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(false)
            .can_encrypt(EncryptionCaps::None)
            .primary_user_id("Archive of a test <archive@example.com>".into())
            .subkeys(vec![subkey])
            .build()
            .unwrap()
            .generate(rand::rngs::StdRng::seed_from_u64(seed))
            .unwrap();
        ArchiveKey(key)
    }

    fn public(&self) -> SignedPublicKey {
        SignedPublicKey::from(self.0.clone())
    }

    /// A keyring with it alone, as bytes.
    pub fn keyring(&self) -> Vec<u8> {
        self.public().to_bytes().unwrap()
    }

    /// The same as text.
    pub fn armored(&self) -> String {
        self.public().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The text with a signature of now.
    pub fn sign(&self, text: &str) -> String {
        let signer = &self.0.secret_subkeys[0].key;
        let random = rand::rngs::StdRng::seed_from_u64(2);
        let mut config = SignatureConfig::from_key(random, signer, SignatureType::Text).unwrap();
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
            Subpacket::regular(SubpacketData::IssuerFingerprint(signer.fingerprint())).unwrap(),
        ];
        let message = CleartextSignedMessage::new(text, config, signer, &Password::empty()).unwrap();
        message.to_armored_string(ArmorOptions::default()).unwrap()
    }
}

/// When archives of tests are made, unless they say otherwise: seconds since 1970.
pub const MADE: i64 = 1_700_000_000;

/// A suite.
#[derive(Clone)]
pub struct Suite {
    /// `Suite:`, where it is not the name of its directory.
    pub suite: Option<String>,
    pub codename: Option<String>,
    pub label: Option<String>,
    pub date: i64,
    pub valid_until: Option<i64>,
    pub not_automatic: bool,
    pub architectures: Vec<String>,
    /// How its indexes are compressed.
    pub packing: Packing,
    pub by_hash: bool,
    components: BTreeMap<String, Vec<Deb>>,
}

impl Suite {
    fn new() -> Self {
        Suite {
            suite: None,
            codename: None,
            label: None,
            date: MADE,
            valid_until: None,
            not_automatic: false,
            architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
            packing: Packing::Xz,
            by_hash: true,
            components: BTreeMap::from([("main".to_owned(), Vec::new())]),
        }
    }
}

/// An archive: what it is to hold, written into its directory by [`DebianArchive::publish`].
pub struct DebianArchive {
    directory: PathBuf,
    pub origin: String,
    pub key: ArchiveKey,
    suites: BTreeMap<String, Suite>,
}

impl DebianArchive {
    /// With nothing in it, of the origin `Debian`.
    pub fn new(directory: &Path) -> Self {
        DebianArchive {
            directory: directory.to_owned(),
            origin: "Debian".to_owned(),
            key: ArchiveKey::new(1),
            suites: BTreeMap::new(),
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A suite, which is made where it is not there.
    pub fn suite(&mut self, name: &str) -> &mut Suite {
        self.suites.entry(name.to_owned()).or_insert_with(Suite::new)
    }

    /// Adds a package to a suite's `main`. Older versions of it stay.
    pub fn add(&mut self, suite: &str, deb: Deb) -> &mut Self {
        self.add_to(suite, "main", deb)
    }

    pub fn add_to(&mut self, suite: &str, component: &str, deb: Deb) -> &mut Self {
        self.suite(suite).components.entry(component.to_owned()).or_default().push(deb);
        self
    }

    /// Takes all versions of a package out of a suite; its files leave the pool when the archive is published.
    pub fn remove(&mut self, suite: &str, name: &str) -> &mut Self {
        for debs in self.suite(suite).components.values_mut() {
            debs.retain(|deb| deb.name != name);
        }
        self
    }

    /// In place of all versions of it that the suite has for its architecture.
    pub fn replace(&mut self, suite: &str, deb: Deb) -> &mut Self {
        for debs in self.suite(suite).components.values_mut() {
            debs.retain(|known| known.name != deb.name || known.architecture != deb.architecture);
        }
        self.add(suite, deb)
    }

    /// Where a package lies below the archive's root.
    pub fn path_of(component: &str, deb: &Deb) -> String {
        format!("pool/{component}/{}/{}/{}", &deb.name[..1], deb.name, deb.file_name())
    }

    /// Writes everything anew, and takes away what is no longer listed; indexes by hash stay, as on real mirrors.
    pub fn publish(&self) -> &Self {
        let mut pool = BTreeSet::new();
        for (name, suite) in &self.suites {
            self.publish_suite(name, suite, &mut pool);
        }
        self.prune(&self.directory.join("pool"), &pool);
        self
    }

    fn publish_suite(&self, name: &str, suite: &Suite, pool: &mut BTreeSet<PathBuf>) {
        let root = self.directory.join("dists").join(name);
        let mut listed = String::new();
        for (component, debs) in &suite.components {
            for architecture in &suite.architectures {
                let mut index = String::new();
                for deb in debs.iter().filter(|deb| deb.architecture == *architecture || deb.architecture == "all") {
                    let bytes = deb.build();
                    let path = Self::path_of(component, deb);
                    put(&self.directory.join(&path), &bytes);
                    pool.insert(self.directory.join(&path));
                    let mut control = deb.control();
                    // A test may say something else.
                    if !control.contains("\nFilename: ") {
                        control.push_str(&format!("\nFilename: {path}"));
                    }
                    index.push_str(&format!("{control}\nSize: {}\nSHA256: {}\n\n", bytes.len(), hex(&bytes)));
                }
                let directory = format!("{component}/binary-{architecture}");
                let packed = suite.packing.pack(index.as_bytes());
                let extension = suite.packing.extension();
                put(&root.join(format!("{directory}/Packages{extension}")), &packed);
                if suite.by_hash {
                    put(&root.join(format!("{directory}/by-hash/SHA256/{}", hex(&packed))), &packed);
                }
                let mut list = |bytes: &[u8], extension: &str| {
                    let line = format!(" {} {} {directory}/Packages{extension}\n", hex(bytes), bytes.len());
                    listed.push_str(&line);
                };
                list(&packed, extension);
                if suite.packing != Packing::Plain {
                    // Mirrors list the plain one too, and do not have it.
                    list(index.as_bytes(), "");
                }
            }
        }
        put(&root.join("InRelease"), self.key.sign(&self.release(name, suite, &listed)).as_bytes());
    }

    fn release(&self, name: &str, suite: &Suite, listed: &str) -> String {
        let mut text = format!("Origin: {}\n", self.origin);
        let mut add = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\n"));
        add("Label", suite.label.as_deref().unwrap_or(&self.origin));
        add("Suite", suite.suite.as_deref().unwrap_or(name));
        add("Codename", suite.codename.as_deref().unwrap_or(name));
        add("Date", &date(suite.date));
        if let Some(until) = suite.valid_until {
            add("Valid-Until", &date(until));
        }
        if suite.not_automatic {
            add("NotAutomatic", "yes");
            add("ButAutomaticUpgrades", "yes");
        }
        add("Acquire-By-Hash", if suite.by_hash { "yes" } else { "no" });
        add("Architectures", &suite.architectures.join(" "));
        let components: Vec<&str> = suite.components.keys().map(String::as_str).collect();
        add("Components", &components.join(" "));
        text.push_str("SHA256:\n");
        text.push_str(listed);
        text
    }

    fn prune(&self, directory: &Path, keep: &BTreeSet<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.prune(&path, keep);
            } else if !keep.contains(&path) {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As `Release` files write it.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
