//! What a new lock changes: added, removed, from version to version.

use std::collections::BTreeMap;
use std::fmt;

use super::Lock;
use crate::shown::bare;

/// One difference between two locks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// `image`, `debian`, `python`, `fetch`.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// On which platforms.
    pub platforms: Vec<String>,
    /// What was pinned; `None` where it is new.
    pub before: Option<String>,
    /// What is pinned; `None` where it is gone.
    pub now: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { kind, name, platforms, before, now } = self;
        // What stood in an edited lock may be anything.
        let (name, platforms) = (bare(name), bare(&platforms.join(", ")));
        let [before, now] = [before, now].map(|version| version.as_deref().map(bare));
        match (before, now) {
            (None, Some(now)) => write!(f, "+ {kind} {name} {now}")?,
            (Some(before), None) => write!(f, "- {kind} {name} {before}")?,
            (Some(before), Some(now)) => write!(f, "~ {kind} {name} {before} → {now}")?,
            (None, None) => write!(f, "  {kind} {name}")?,
        }
        write!(f, " ({platforms})")
    }
}

/// What is pinned under a name: what people call it, and what it is to the byte.
type Pinned = BTreeMap<(&'static str, String, String), (String, String)>;

/// Kind, name, what was pinned, what is.
type Told = (&'static str, String, Option<String>, Option<String>);

fn pinned(lock: &Lock) -> Pinned {
    let mut all = Pinned::new();
    for pin in &lock.images {
        let what = (pin.manifest.short().to_string(), format!("{} {}", pin.manifest, pin.config));
        all.insert(("image", pin.name.clone(), pin.platform.clone()), what);
    }
    // Several layers may have one package in two versions: all of them are told.
    let mut add = |kind, name: &str, platform: &str, version: &str, exact: String| {
        let (versions, digests) = all.entry((kind, name.to_owned(), platform.to_owned())).or_default();
        if !versions.split(", ").any(|known| known == version) {
            let comma = if versions.is_empty() { "" } else { ", " };
            versions.push_str(&format!("{comma}{version}"));
        }
        if !digests.contains(&exact) {
            digests.push_str(&exact);
        }
    };
    for pins in &lock.debian {
        for pin in &pins.packages {
            add("debian", &pin.name, &pins.platform, &pin.version, pin.sha256.hex());
        }
    }
    for pins in &lock.python {
        for pin in &pins.wheels {
            add("python", &pin.name, &pins.platform, &pin.version, pin.sha256.hex());
        }
    }
    for pin in &lock.fetch {
        add("fetch", &pin.name, &pin.platform, &pin.sha256.short().to_string(), pin.sha256.hex());
    }
    all
}

/// What `now` changes against `before`, by kind and name; platforms with the same change are told together.
pub fn changes(before: &Lock, now: &Lock) -> Vec<Change> {
    let (before, now) = (pinned(before), pinned(now));
    let mut found: BTreeMap<Told, Vec<String>> = BTreeMap::new();
    for key in before.keys().chain(now.keys().filter(|key| !before.contains_key(*key))) {
        let (old, new) = (before.get(key), now.get(key));
        if old == new {
            continue;
        }
        let (kind, name, platform) = key.clone();
        let words = |what: Option<&(String, String)>| what.map(|(version, _)| version.clone());
        let (mut old, mut new) = (words(old), words(new));
        if old == new {
            // The same version as another file.
            new = new.map(|version| format!("{version} (another file)"));
            old = old.or_else(|| Some(String::new()));
        }
        found.entry((kind, name, old, new)).or_default().push(platform);
    }
    found
        .into_iter()
        .map(|((kind, name, before, now), platforms)| Change { kind, name, platforms, before, now })
        .collect()
}
