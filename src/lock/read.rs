//! Reading a lock: strictly, since somebody may have edited it.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::salvage::{Entry, Salvage};
use super::{Asked, DebPin, DebianPins, FetchPin, ImagePin, Lock, PythonPins, VERSION, ViewPin, WheelPin};
use crate::oci::Digest;
use crate::shown::Shown;
use crate::tree::TreePath;

/// The longest lock that is read, in bytes.
pub const MAX_LOCK: u64 = 64 << 20;

/// Numbers of users and groups from here on stand for nobody.
const MAX_ID: u32 = u32::MAX - 1;

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// No such TOML.
    #[error("line {line}: {reason}: lock again with `lapstrake lock`, or take the last good one from version control")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Version control left both sides of a merge in it.
    #[error(
        "line {line}: the lock holds an unresolved merge conflict: take either side whole, and run `lapstrake lock`, which adds what is missing"
    )]
    Conflict {
        /// The line of the first mark, from 1.
        line: usize,
    },
    /// Of another version.
    #[error(
        "the lock is of version {found}, and this lapstrake reads version {VERSION}: lock again with `lapstrake lock`"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// Packages of an entry are not those that were written.
    #[error(
        "the lock was edited: the {kind} entry for {} on {} is not what was locked; lock again with `lapstrake lock`, or take the last good one from version control",
        layers.bare(), platform.bare()
    )]
    Edited {
        /// `debian` or `python`.
        kind: &'static str,
        /// Which layers.
        layers: Shown,
        /// Which platform.
        platform: Shown,
    },
    /// Of several entries for one thing, nobody can tell which one was locked.
    #[error(
        "the lock was edited: it has several {kind} entries for {} on {}; lock again with `lapstrake lock`, or take the last good one from version control",
        what.bare(), platform.bare()
    )]
    Twice {
        /// `image`, `Debian`, `compiler`, `Python`, `fetch`, `view`.
        kind: &'static str,
        /// What they are for.
        what: Shown,
        /// Which platform.
        platform: Shown,
    },
    /// A value cannot be.
    #[error(
        "the lock was edited: {what} {value} cannot be; lock again with `lapstrake lock`, or take the last good one from version control"
    )]
    Value {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: Shown,
    },
}

#[derive(Deserialize)]
struct Head {
    lock: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(rename = "lock")]
    _lock: u32,
    format: u32,
    effects: u32,
    #[serde(default)]
    image: Vec<RawImage>,
    #[serde(default)]
    debian: Vec<RawDebian>,
    #[serde(default)]
    compiler: Vec<RawDebian>,
    #[serde(default)]
    python: Vec<RawPython>,
    #[serde(default)]
    fetch: Vec<RawFetch>,
    #[serde(default)]
    view: Vec<RawView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawView {
    layer: String,
    platform: String,
    seal: String,
    #[serde(default)]
    knowledge: Vec<String>,
    #[serde(default)]
    texts: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    python: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    name: String,
    platform: String,
    manifest: Digest,
    config: Digest,
    #[serde(default)]
    knowledge: Vec<String>,
    #[serde(default)]
    texts: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    python: String,
    #[serde(default)]
    seal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDebian {
    platform: String,
    layers: Vec<String>,
    asked: Vec<String>,
    seal: String,
    #[serde(default)]
    archives: BTreeMap<String, String>,
    #[serde(default)]
    accounts: BTreeMap<String, u32>,
    #[serde(default)]
    skipped: Vec<String>,
    packages: Vec<RawDeb>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeb {
    name: String,
    version: String,
    architecture: String,
    archive: String,
    path: String,
    size: u64,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPython {
    platform: String,
    layers: Vec<String>,
    asked: Vec<String>,
    seal: String,
    wheels: Vec<RawWheel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWheel {
    name: String,
    version: String,
    index: String,
    file: String,
    size: u64,
    sha256: String,
    #[serde(default)]
    requested: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFetch {
    name: String,
    platform: String,
    size: u64,
    sha256: String,
}

fn digest(hex: &str) -> Result<Digest, LockError> {
    let bad = |_| LockError::Value { what: "the sha256", value: Shown::new(hex.as_bytes()) };
    format!("sha256:{hex}").parse().map_err(bad)
}

impl RawDebian {
    fn pins(self) -> Result<Entry<DebianPins>, LockError> {
        let RawDebian { platform, layers, asked, seal, archives, accounts, skipped, packages } = self;
        let packages = packages.into_iter().map(RawDeb::pin).collect::<Result<_, _>>()?;
        let asked: Asked = asked.into_iter().collect();
        if let Some((_, id)) = accounts.iter().find(|(_, id)| **id >= MAX_ID) {
            return Err(LockError::Value {
                what: "the number of an account",
                value: Shown::new(id.to_string().as_bytes()),
            });
        }
        let pins = DebianPins { platform, layers, asked, archives, accounts, skipped, packages };
        // Files of the context are those that the recipe names, to the byte.
        for pin in pins.packages.iter().filter(|pin| pin.archive.is_empty()) {
            let line = format!("file {} {}", pin.path, pin.sha256);
            if !pins.asked.lines().any(|asked| asked == line) {
                return Err(LockError::Value { what: "the path", value: Shown::new(pin.path.as_bytes()) });
            }
        }
        Ok(Entry::sealed(&seal, pins.seal(), "Debian", pins.layers.join(", "), pins.platform.clone(), pins))
    }
}

impl RawDeb {
    fn pin(self) -> Result<DebPin, LockError> {
        let RawDeb { name, version, architecture, archive, path, size, sha256 } = self;
        // It becomes part of an address: what would lead out of its root there is no path of an archive.
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte));
        let clean = TreePath::parse(&path).is_ok_and(|clean| clean.as_bytes() == path.as_bytes());
        if !(archive.is_empty() || plain && clean) {
            return Err(LockError::Value { what: "the path", value: Shown::new(path.as_bytes()) });
        }
        let sha256 = digest(&sha256)?;
        Ok(DebPin { name, version, architecture, archive, path, size, sha256 })
    }
}

impl RawPython {
    fn pins(self) -> Result<Entry<PythonPins>, LockError> {
        let RawPython { platform, layers, asked, seal, wheels } = self;
        let wheels = wheels.into_iter().map(RawWheel::pin).collect::<Result<_, _>>()?;
        let asked = asked.into_iter().collect::<Asked>();
        let pins = PythonPins { platform, layers, asked, wheels };
        Ok(Entry::sealed(&seal, pins.seal(), "Python", pins.layers.join(", "), pins.platform.clone(), pins))
    }
}

impl RawWheel {
    fn pin(self) -> Result<WheelPin, LockError> {
        let RawWheel { name, version, index, file, size, sha256, requested } = self;
        let bad = || LockError::Value { what: "the file", value: Shown::new(file.as_bytes()) };
        // A name in an index, an address without a login, or a path below the context.
        match (index.is_empty(), file.split_once("://")) {
            (false, _) if file.contains(['/', '\\']) => return Err(bad()),
            (true, Some((scheme, rest))) => {
                let authority = rest.split('/').next().unwrap_or_default();
                if !matches!(scheme, "https" | "http") || authority.contains('@') {
                    return Err(bad());
                }
            }
            (true, None) if file.starts_with('/') => return Err(bad()),
            _ => {}
        }
        let sha256 = digest(&sha256)?;
        Ok(WheelPin { name, version, index, file, size, sha256, requested })
    }
}

/// Whether a line is one of those that version control writes around the sides of a merge. No line of a lock starts so.
fn is_conflict_mark(line: &str) -> bool {
    ["<<<<<<<", "|||||||", "=======", ">>>>>>>"]
        .iter()
        .any(|mark| line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

impl RawImage {
    /// Its digests may be moved by hand; what is known of its files may not.
    fn pin(self) -> Entry<ImagePin> {
        let RawImage { name, platform, manifest, config, knowledge, texts, files, python, seal } = self;
        let pin = ImagePin { name, platform, manifest, config, knowledge, texts, files, python };
        Entry::sealed(&seal, pin.seal(), "base's", pin.name.clone(), pin.platform.clone(), pin)
    }
}

impl RawView {
    fn pin(self) -> Entry<ViewPin> {
        let RawView { layer, platform, seal, knowledge, texts, files, python } = self;
        let pin = ViewPin { layer, platform, knowledge, texts, files, python };
        Entry::sealed(&seal, pin.seal(), "view's", pin.layer.clone(), pin.platform.clone(), pin)
    }
}

impl RawFetch {
    fn pin(self) -> Result<FetchPin, LockError> {
        let RawFetch { name, platform, size, sha256 } = self;
        Ok(FetchPin { name, platform, size, sha256: digest(&sha256)? })
    }
}

impl FromStr for Lock {
    type Err = LockError;

    /// Reads a lock that [`Lock::text`] wrote, and that nobody edited.
    fn from_str(text: &str) -> Result<Self, LockError> {
        let Salvage { lock, refused, .. } = salvage(text)?;
        refused.into_iter().next().map_or(Ok(lock), Err)
    }
}

/// Reads a lock that somebody may have edited: entry by entry.
///
/// # Errors
/// [`LockError`] where it is no lock, or none of this version.
pub fn salvage(text: &str) -> Result<Salvage, LockError> {
    let wrong = |error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
        LockError::Toml { line, reason: Shown::new(error.message().as_bytes()).to_string() }
    };
    if let Some(line) = text.lines().position(is_conflict_mark) {
        return Err(LockError::Conflict { line: line + 1 });
    }
    let head: Head = toml::from_str(text).map_err(wrong)?;
    if head.lock != VERSION {
        return Err(LockError::Version { found: head.lock });
    }
    let raw: RawLock = toml::from_str(text).map_err(wrong)?;
    let mut salvage = Salvage::new(raw.format, raw.effects);
    for pin in raw.image.into_iter().map(RawImage::pin) {
        salvage.image(pin);
    }
    for pins in raw.debian.into_iter().map(RawDebian::pins) {
        salvage.take(pins, |lock| &mut lock.debian);
    }
    for pins in raw.compiler.into_iter().map(RawDebian::pins) {
        salvage.take(pins, |lock| &mut lock.compilers);
    }
    for pins in raw.python.into_iter().map(RawPython::pins) {
        salvage.take(pins, |lock| &mut lock.python);
    }
    for pin in raw.fetch.into_iter().map(RawFetch::pin) {
        salvage.take(pin.map(Entry::good), |lock| &mut lock.fetch);
    }
    for pin in raw.view.into_iter().map(RawView::pin) {
        salvage.take(Ok(pin), |lock| &mut lock.views);
    }
    salvage.refuse_several();
    salvage.lock.sort();
    salvage.told.sort();
    Ok(salvage)
}
