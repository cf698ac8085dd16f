//! The pins of one run: what the lock had, what is used of it, and what came to it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::Knowledge;
use crate::lock::{Asked, DebPin, DebianPins, FetchPin, ImagePin, Lock, PythonPins, Update, ViewPin};
use crate::recipe::Place;

/// What a run may do with the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locking {
    /// Nothing: what is not pinned is an error (`--locked`).
    Locked,
    /// What is pinned is used, what is not is pinned.
    AsNeeded,
    /// As before, and what `Update` names moves (`lapstrake lock`).
    Again(Update),
}

/// What became of a search.
pub(super) enum Search<T> {
    /// It is pinned.
    Pinned(T),
    /// It has to be pinned: with what the same layer had before, and which of that may move.
    Missing(Option<T>, Update),
}

/// The pins of one run.
pub(super) struct Pins {
    before: Arc<Lock>,
    now: RefCell<Lock>,
    locking: Locking,
}

/// An entry that several layers may share.
trait Shared: Clone {
    fn platform(&self) -> &str;
    fn layers(&mut self) -> &mut Vec<String>;
    fn is_for(&self, layer: &str) -> bool;
    fn asked(&self) -> &Asked;
    fn names(&self) -> impl Iterator<Item = &str>;
}

impl Shared for DebianPins {
    fn platform(&self) -> &str {
        &self.platform
    }

    fn layers(&mut self) -> &mut Vec<String> {
        &mut self.layers
    }

    fn is_for(&self, layer: &str) -> bool {
        self.layers.iter().any(|known| known == layer)
    }

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        // An archive is named to let all of it move.
        let archives = self.archives.keys().map(String::as_str);
        self.packages.iter().map(|pin: &DebPin| pin.name.as_str()).chain(archives)
    }
}

impl Shared for PythonPins {
    fn platform(&self) -> &str {
        &self.platform
    }

    fn layers(&mut self) -> &mut Vec<String> {
        &mut self.layers
    }

    fn is_for(&self, layer: &str) -> bool {
        self.layers.iter().any(|known| known == layer)
    }

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.wheels.iter().map(|pin| pin.name.as_str())
    }
}

/// Puts entries together: one for each thing that is asked.
fn absorb<T: Shared>(into: &mut Vec<T>, from: Vec<T>) {
    for mut entry in from {
        let same = |known: &&mut T| known.platform() == entry.platform() && known.asked() == entry.asked();
        match into.iter_mut().find(same) {
            Some(known) => {
                let layers = std::mem::take(entry.layers());
                layers.into_iter().for_each(|layer| {
                    if !known.is_for(&layer) {
                        known.layers().push(layer)
                    }
                });
            }
            None => into.push(entry),
        }
    }
}

/// Why a locked build cannot go on.
pub(super) struct Stale(pub String);

impl Pins {
    pub(super) fn new(before: Lock, locking: Locking) -> Self {
        Pins { before: Arc::new(before), now: RefCell::default(), locking }
    }

    /// The same pins for one image, which goes its own way from here on.
    pub(super) fn fork(&self) -> Self {
        Pins { before: self.before.clone(), now: self.now.clone(), locking: self.locking.clone() }
    }

    /// What an image that went its own way came to holds here too.
    pub(super) fn absorb(&self, other: Lock) {
        let mut now = self.now.borrow_mut();
        absorb(&mut now.debian, other.debian);
        absorb(&mut now.compilers, other.compilers);
        absorb(&mut now.python, other.python);
        let new = |pin: &FetchPin| !now.fetch.contains(pin);
        let fetch: Vec<FetchPin> = other.fetch.into_iter().filter(new).collect();
        now.fetch.extend(fetch);
        drop(now);
        other.images.into_iter().for_each(|pin| self.add_image(pin));
        other.views.into_iter().for_each(|pin| self.add_view(pin));
    }

    /// What is used so far, to go back to.
    pub(super) fn now(&self) -> Lock {
        self.now.borrow().clone()
    }

    /// Goes back to what was used then.
    pub(super) fn restore(&self, then: Lock) {
        self.now.replace(then);
    }

    /// Whether nothing may be pinned.
    pub(super) fn is_locked(&self) -> bool {
        self.locking == Locking::Locked
    }

    /// What may move of what is pinned.
    fn update(&self) -> Update {
        match &self.locking {
            Locking::Again(update) => update.clone(),
            Locking::Locked | Locking::AsNeeded => Update::Nothing,
        }
    }

    /// Debian packages that a layer asks for.
    pub(super) fn debian(&self, layer: &str, platform: &str, asked: &Asked) -> Result<Search<DebianPins>, Stale> {
        let list: Lists<DebianPins> = (|lock| &lock.debian, |lock| &mut lock.debian);
        self.search(list, layer, platform, asked)
    }

    /// Python packages that a layer asks for.
    pub(super) fn python(&self, layer: &str, platform: &str, asked: &Asked) -> Result<Search<PythonPins>, Stale> {
        let list: Lists<PythonPins> = (|lock| &lock.python, |lock| &mut lock.python);
        self.search(list, layer, platform, asked)
    }

    /// The interpreter that compiles, for the machine that builds.
    pub(super) fn compiler(&self, layer: &str, machine: &str, asked: &Asked) -> Result<Search<DebianPins>, Stale> {
        let list: Lists<DebianPins> = (|lock| &lock.compilers, |lock| &mut lock.compilers);
        self.search(list, layer, machine, asked)
    }

    /// Debian packages that a layer asks for over a base that is not looked into: what is asked is known but for what is
    /// installed below, and that is what it was when the base was pinned.
    pub(super) fn debian_over_unread(&self, layer: &str, platform: &str, asked: &Asked) -> Option<DebianPins> {
        let fits = |entry: &&DebianPins| {
            entry.platform == platform
                && entry.is_for(layer)
                && entry.asked.without("installed").without("taken") == *asked
        };
        let mut fitting = self.before.debian.iter().filter(fits);
        let (Some(entry), None) = (fitting.next(), fitting.next()) else { return None };
        match self.debian(layer, platform, &entry.asked) {
            Ok(Search::Pinned(pins)) => Some(pins),
            Ok(Search::Missing(..)) | Err(Stale(_)) => None,
        }
    }

    /// What is known of a layer of packages and of all below it, where they are `of`.
    pub(super) fn view(&self, layer: &str, platform: &str, of: crate::oci::Digest) -> Option<(Knowledge, String)> {
        let pin = self.before.views.iter().find(|pin| pin.layer == layer && pin.platform == platform)?;
        let knowledge = Knowledge::parse(pin.knowledge.iter().map(String::as_str), &pin.texts).ok()?;
        let knowledge = knowledge.with_files(&pin.files).ok()?;
        if !knowledge.is_of(of) {
            return None;
        }
        self.add_view(pin.clone());
        Some((knowledge, pin.python.clone()))
    }

    pub(super) fn add_view(&self, pin: ViewPin) {
        let views = &mut self.now.borrow_mut().views;
        views.retain(|known| known.layer != pin.layer || known.platform != pin.platform);
        views.push(pin);
    }

    /// Whether a layer's packages were pinned by this run.
    pub(super) fn is_new(&self, pins: &DebianPins) -> bool {
        let same = |known: &&DebianPins| known.platform == pins.platform && known.asked == pins.asked;
        self.before.debian.iter().find(same).is_none_or(|known| known.seal() != pins.seal())
    }

    fn search<T: Shared>(
        &self,
        (of, of_mut): Lists<T>,
        layer: &str,
        platform: &str,
        asked: &Asked,
    ) -> Result<Search<T>, Stale> {
        let fits = |entry: &&T| entry.platform() == platform && entry.asked() == asked;
        // What this run found already is good for all that ask the same.
        if let Some(entry) = of_mut(&mut self.now.borrow_mut())
            .iter_mut()
            .find(|entry| entry.platform() == platform && entry.asked() == asked)
        {
            if !entry.is_for(layer) {
                entry.layers().push(layer.to_owned());
            }
            return Ok(Search::Pinned(entry.clone()));
        }
        let update = self.update();
        // What another version judged is looked at anew.
        let fits = |entry: &&T| fits(entry) && self.before.effects == crate::debian::effects::EFFECTS;
        if let Some(entry) = of(&self.before).iter().find(fits) {
            let moves = update == Update::Everything || entry.names().any(|name| update.moves(name));
            if !moves {
                let mut entry = entry.clone();
                *entry.layers() = vec![layer.to_owned()];
                of_mut(&mut self.now.borrow_mut()).push(entry.clone());
                return Ok(Search::Pinned(entry));
            }
        }
        let same_layer = |entry: &&T| entry.platform() == platform && entry.is_for(layer);
        let previous = of(&self.before).iter().find(fits).or_else(|| of(&self.before).iter().find(same_layer));
        if self.is_locked() {
            return Err(Stale(match previous {
                Some(previous) => format!("it is out of date: {}", previous.asked().difference(asked)),
                None if of(&self.before).iter().any(|entry| entry.is_for(layer)) => {
                    format!("it has nothing for {platform}")
                }
                None => "it has nothing for this layer".to_owned(),
            }));
        }
        Ok(Search::Missing(previous.cloned(), update))
    }

    pub(super) fn add_debian(&self, pins: DebianPins) {
        self.now.borrow_mut().debian.push(pins);
    }

    pub(super) fn add_python(&self, pins: PythonPins) {
        self.now.borrow_mut().python.push(pins);
    }

    pub(super) fn add_compiler(&self, pins: DebianPins) {
        self.now.borrow_mut().compilers.push(pins);
    }

    /// The pin of an image that the recipe does not make, unless it may move.
    pub(super) fn image(&self, name: &str, platform: &str) -> Option<&ImagePin> {
        if self.update().moves(name) {
            return None;
        }
        self.before.images.iter().find(|pin| pin.name == name && pin.platform == platform)
    }

    pub(super) fn add_image(&self, pin: ImagePin) {
        let images = &mut self.now.borrow_mut().images;
        images.retain(|known| known.name != pin.name || known.platform != pin.platform);
        images.push(pin);
    }

    /// What was learned of an image that is pinned.
    pub(super) fn add_knowledge(&self, name: &str, platform: &str, knowledge: &Knowledge) {
        let images = &mut self.now.borrow_mut().images;
        if let Some(pin) = images.iter_mut().find(|pin| pin.name == name && pin.platform == platform) {
            pin.knowledge = knowledge.lines();
            pin.texts = knowledge.texts();
            pin.files = knowledge.files();
        }
    }

    /// The pin of a download; an error where a locked build has another one.
    pub(super) fn fetch(&self, pin: FetchPin) -> Result<(), Stale> {
        let known = self.before.fetch.contains(&pin);
        if !known && self.is_locked() {
            return Err(Stale(format!("it does not have the download {} for {}", pin.name, pin.platform)));
        }
        let fetch = &mut self.now.borrow_mut().fetch;
        if !fetch.contains(&pin) {
            fetch.push(pin);
        }
        Ok(())
    }

    /// The size that is pinned of a download.
    pub(super) fn fetch_size(&self, name: &str, platform: &str, sha256: &crate::oci::Digest) -> Option<u64> {
        let known = |pin: &&FetchPin| pin.name == name && pin.platform == platform && pin.sha256 == *sha256;
        self.before.fetch.iter().find(known).map(|pin| pin.size)
    }

    /// The lock after the run. `whole` says that every image was looked at: what was not used falls away then.
    pub(super) fn finish(self, whole: bool) -> Lock {
        let mut now = self.now.into_inner();
        if !whole {
            keep(&self.before.debian, &mut now.debian);
            keep(&self.before.compilers, &mut now.compilers);
            keep(&self.before.python, &mut now.python);
            let seen: BTreeSet<(String, String)> =
                now.images.iter().map(|pin| (pin.name.clone(), pin.platform.clone())).collect();
            let unseen = |pin: &&ImagePin| !seen.contains(&(pin.name.clone(), pin.platform.clone()));
            now.images.extend(self.before.images.iter().filter(unseen).cloned());
            let seen: BTreeSet<(String, String)> =
                now.fetch.iter().map(|pin| (pin.name.clone(), pin.platform.clone())).collect();
            let unseen = |pin: &&FetchPin| !seen.contains(&(pin.name.clone(), pin.platform.clone()));
            now.fetch.extend(self.before.fetch.iter().filter(unseen).cloned());
            let seen: BTreeSet<(String, String)> =
                now.views.iter().map(|pin| (pin.layer.clone(), pin.platform.clone())).collect();
            let unseen = |pin: &&ViewPin| !seen.contains(&(pin.layer.clone(), pin.platform.clone()));
            now.views.extend(self.before.views.iter().filter(unseen).cloned());
        }
        now.sort();
        now
    }
}

/// What the lock calls an image: its place as the recipe says it, without the registry's host.
pub(super) fn name_of_image(place: &Place) -> String {
    match place {
        Place::Registry(reference) => {
            let tag = reference.tag().map(|tag| format!(":{tag}"));
            let digest = reference.digest().map(|digest| format!("@{digest}"));
            let repository = reference.repository();
            format!("{repository}{}{}", tag.unwrap_or_default(), digest.unwrap_or_default())
        }
        local => local.to_string(),
    }
}

/// One kind of entry of a lock: to look at, and to change.
type Lists<T> = (fn(&Lock) -> &Vec<T>, fn(&mut Lock) -> &mut Vec<T>);

/// Keeps what other layers had; those that this run looked at have their new entries.
fn keep<T: Shared>(before: &[T], now: &mut Vec<T>) {
    let seen: BTreeSet<(String, String)> = now
        .iter_mut()
        .flat_map(|entry| {
            let platform = entry.platform().to_owned();
            entry.layers().iter().map(move |layer| (platform.clone(), layer.clone())).collect::<Vec<_>>()
        })
        .collect();
    for entry in before {
        let mut entry = entry.clone();
        let platform = entry.platform().to_owned();
        entry.layers().retain(|layer| !seen.contains(&(platform.clone(), layer.clone())));
        if entry.layers().is_empty() {
            continue;
        }
        let asked = entry.asked().clone();
        match now.iter_mut().find(|known| known.platform() == platform && *known.asked() == asked) {
            Some(known) => known.layers().append(entry.layers()),
            None => now.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(layer: &str, asked: &str) -> DebianPins {
        DebianPins {
            platform: "linux/amd64".to_owned(),
            layers: vec![layer.to_owned()],
            asked: [asked].into_iter().collect(),
            archives: Default::default(),
            accounts: Default::default(),
            skipped: Vec::new(),
            packages: vec![DebPin {
                name: "curl".to_owned(),
                version: "8".to_owned(),
                architecture: "amd64".to_owned(),
                archive: "debian".to_owned(),
                path: "pool/curl.deb".to_owned(),
                size: 1,
                sha256: crate::oci::Digest::of(b"curl"),
            }],
        }
    }

    fn before() -> Lock {
        Lock { debian: vec![entry("a/x", "package curl"), entry("b/y", "package wget")], ..Lock::default() }
    }

    fn asked(text: &str) -> Asked {
        [text].into_iter().collect()
    }

    #[test]
    fn what_is_asked_alike_is_shared_and_other_layers_keep_what_they_had() {
        let pins = Pins::new(before(), Locking::AsNeeded);
        for layer in ["a/x", "c/z"] {
            let found = pins.debian(layer, "linux/amd64", &asked("package curl"));
            assert!(matches!(found, Ok(Search::Pinned(_))));
        }
        let lock = pins.finish(false);
        let layers: Vec<&[String]> = lock.debian.iter().map(|pins| &pins.layers[..]).collect();
        assert_eq!(layers, [&["a/x".to_owned(), "c/z".to_owned()][..], &["b/y".to_owned()]]);
        let pins = Pins::new(before(), Locking::AsNeeded);
        let _ = pins.debian("a/x", "linux/amd64", &asked("package curl"));
        assert_eq!(pins.finish(true).debian.len(), 1);
    }

    #[test]
    fn a_locked_run_says_what_changed() {
        let pins = Pins::new(before(), Locking::Locked);
        let why = |layer: &str, platform: &str, what: &str| match pins.debian(layer, platform, &asked(what)) {
            Err(Stale(why)) => why,
            Ok(_) => String::new(),
        };
        assert_eq!(why("a/x", "linux/amd64", "package curl"), "");
        assert_eq!(
            why("b/y", "linux/amd64", "package git"),
            "it is out of date: `package git` is new, `package wget` is no longer asked"
        );
        assert_eq!(why("b/y", "linux/arm64", "package wget"), "it has nothing for linux/arm64");
        assert_eq!(why("d/d", "linux/amd64", "package git"), "it has nothing for this layer");
    }

    #[test]
    fn what_may_move_is_pinned_again_with_what_was_there() {
        let only = Update::Only(["curl".to_owned()].into());
        for (locking, moves) in [
            (Locking::Again(Update::Nothing), false),
            (Locking::Again(only), true),
            (Locking::Again(Update::Everything), true),
            (Locking::Again(Update::Only(["wget".to_owned()].into())), false),
        ] {
            let pins = Pins::new(before(), locking);
            match pins.debian("a/x", "linux/amd64", &asked("package curl")) {
                Ok(Search::Missing(previous, _)) => assert!(moves && previous.is_some()),
                Ok(Search::Pinned(_)) => assert!(!moves),
                Err(_) => unreachable!("nothing is locked"),
            }
        }
    }
}
