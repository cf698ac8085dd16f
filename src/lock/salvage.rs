//! What is left of a lock that somebody edited: the entries that are as they were written.

use std::collections::BTreeMap;

use super::read::LockError;
use super::{DebianPins, ImagePin, Lock, PythonPins};
use crate::oci::Digest;
use crate::shown::Shown;

/// A lock, entry by entry.
#[derive(Debug)]
pub struct Salvage {
    /// What is as it was written. Of an image whose knowledge was edited, the digests: these may be moved by hand.
    pub lock: Lock,
    /// All of it as it stands, to tell what changes against it. Nothing of it is to be used.
    pub told: Lock,
    /// Why entries are not in `lock`, in the order of the file.
    pub refused: Vec<LockError>,
}

/// An entry as it was read, and whether it is still what was written.
pub(super) struct Entry<P> {
    pins: P,
    edited: Option<LockError>,
}

impl<P> Entry<P> {
    /// An entry that is not sealed.
    pub(super) fn good(pins: P) -> Self {
        Entry { pins, edited: None }
    }

    /// An entry with the seal that it has, and the one that it should have.
    pub(super) fn sealed(
        seal: &str,
        should: String,
        kind: &'static str,
        layers: String,
        platform: String,
        pins: P,
    ) -> Self {
        let edited = || {
            let [layers, platform] = [layers, platform].map(|text| Shown::new(text.as_bytes()));
            LockError::Edited { kind, layers, platform }
        };
        Entry { pins, edited: (seal != should).then(edited) }
    }
}

impl Salvage {
    pub(super) fn new(format: u32, effects: u32) -> Self {
        let empty = || Lock { format, effects, ..Lock::default() };
        Salvage { lock: empty(), told: empty(), refused: Vec::new() }
    }

    /// An entry of one of the lists.
    pub(super) fn take<P: Clone>(
        &mut self,
        entry: Result<Entry<P>, LockError>,
        list: impl Fn(&mut Lock) -> &mut Vec<P>,
    ) {
        match entry {
            Ok(Entry { pins, edited }) => {
                list(&mut self.told).push(pins.clone());
                match edited {
                    None => list(&mut self.lock).push(pins),
                    Some(error) => self.refused.push(error),
                }
            }
            Err(error) => self.refused.push(error),
        }
    }

    /// An image: where what is known of its files was edited, nothing is known of them.
    pub(super) fn image(&mut self, entry: Entry<ImagePin>) {
        if entry.edited.is_some() {
            let unknown = ImagePin {
                knowledge: Vec::new(),
                texts: Default::default(),
                files: Default::default(),
                python: String::new(),
                ..entry.pins.clone()
            };
            self.lock.images.push(unknown);
        }
        self.take(Ok(entry), |lock| &mut lock.images);
    }

    /// Takes out what has several entries: one of them would be used, and a reviewer may have read another.
    pub(super) fn refuse_several(&mut self) {
        let Salvage { lock, refused, .. } = self;
        let of_debian = |pins: &DebianPins| Subject {
            what: pins.layers.join(", "),
            platform: pins.platform.clone(),
            found_by: pins.asked.lines().map(str::to_owned).collect(),
        };
        let of_python = |pins: &PythonPins| Subject {
            what: pins.layers.join(", "),
            platform: pins.platform.clone(),
            found_by: pins.asked.lines().map(str::to_owned).collect(),
        };
        let named = |name: &str, platform: &str, more: Option<Digest>| Subject {
            what: name.to_owned(),
            platform: platform.to_owned(),
            found_by: std::iter::once(name.to_owned()).chain(more.map(|digest| digest.to_string())).collect(),
        };
        several("image", &mut lock.images, refused, |pin| named(&pin.name, &pin.platform, None));
        several("Debian", &mut lock.debian, refused, of_debian);
        several("compiler", &mut lock.compilers, refused, of_debian);
        several("Python", &mut lock.python, refused, of_python);
        // Two layers may download different files of one name.
        several("fetch", &mut lock.fetch, refused, |pin| named(&pin.name, &pin.platform, Some(pin.sha256)));
        several("view", &mut lock.views, refused, |pin| named(&pin.layer, &pin.platform, None));
    }
}

/// What an entry is for.
struct Subject {
    /// Its name, or its layers.
    what: String,
    platform: String,
    /// By what it is found on its platform.
    found_by: Vec<String>,
}

/// Takes those out of a list that are found by the same.
fn several<P>(kind: &'static str, list: &mut Vec<P>, refused: &mut Vec<LockError>, of: impl Fn(&P) -> Subject) {
    let mut found: BTreeMap<(String, Vec<String>), (usize, String)> = BTreeMap::new();
    for Subject { what, platform, found_by } in list.iter().map(&of) {
        found.entry((platform, found_by)).or_insert((0, what)).0 += 1;
    }
    found.retain(|_, (count, _)| *count > 1);
    list.retain(|entry| {
        let Subject { platform, found_by, .. } = of(entry);
        !found.contains_key(&(platform, found_by))
    });
    refused.extend(found.into_iter().map(|((platform, _), (_, what))| {
        let [what, platform] = [what, platform].map(|text| Shown::new(text.as_bytes()));
        LockError::Twice { kind, what, platform }
    }));
}

#[cfg(test)]
mod tests {
    use super::super::changes;
    use super::super::read::salvage;
    use super::super::tests::lock;
    use super::*;

    /// What somebody makes of a lock.
    type Edit<'e> = &'e dyn Fn(&mut Lock);

    /// Fails where one edited entry takes others with it, or is used.
    #[test]
    fn what_was_not_edited_is_kept() {
        let mut good = lock("8.1");
        good.sort();
        let edited = |from: &str, to: &str| {
            let text = good.text().replacen(from, to, 1);
            assert_ne!(text, good.text());
            let left = salvage(&text).unwrap();
            assert_eq!(left.refused.len(), 1, "{:?}", left.refused);
            left
        };
        assert_eq!(salvage(&good.text()).unwrap().lock, good);
        let left = edited("version = \"8.1\"", "version = \"8.2\"");
        assert_eq!(left.lock, Lock { debian: Vec::new(), ..good.clone() });
        let told: Vec<String> = changes(&left.told, &good).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["~ debian curl 8.2 → 8.1 (linux/amd64)"]);
        assert_eq!(edited("size = 3", "size = 4").lock, Lock { python: Vec::new(), ..good.clone() });
        // What cannot even be read is told of as little as it is used.
        let left = edited("six-1.0", "/six-1.0");
        assert_eq!((&left.lock, left.told.python.len()), (&Lock { python: Vec::new(), ..good.clone() }, 0));
        let left = edited("zstd:KLUv", "zstd:KLUw");
        let image = &left.lock.images[0];
        assert_eq!((image.manifest, image.knowledge.len(), image.files.len()), (good.images[0].manifest, 0, 0));
        assert_eq!(left.lock.debian, good.debian);
    }

    /// Fails where the first of two entries counts, or a file of the same name is taken for the same file.
    #[test]
    fn two_entries_for_one_thing_are_refused() {
        let mut good = lock("8.1");
        good.compilers = good.debian.clone();
        good.sort();
        let other = Digest::of(b"other");
        let with = |change: Edit<'_>| {
            let mut lock = good.clone();
            change(&mut lock);
            salvage(&lock.text()).unwrap()
        };
        let doubled: [(&str, Edit<'_>); 6] = [
            ("image entries for library/debian:13 on", &|lock| {
                lock.images.push(ImagePin { manifest: other, ..lock.images[0].clone() });
            }),
            ("Debian entries for base/packages on", &|lock| {
                lock.debian.push(DebianPins { packages: Vec::new(), ..lock.debian[0].clone() });
            }),
            ("compiler entries for base/packages on", &|lock| lock.compilers.push(lock.compilers[0].clone())),
            ("Python entries for base/wheels on", &|lock| {
                lock.python.push(PythonPins {
                    layers: vec!["z/z".to_owned()],
                    wheels: Vec::new(),
                    ..lock.python[0].clone()
                });
            }),
            ("fetch entries for x.tar.gz on", &|lock| {
                lock.fetch.push(crate::lock::FetchPin { size: 2, ..lock.fetch[0].clone() });
            }),
            ("view entries for base/packages on", &|lock| lock.views.push(lock.views[0].clone())),
        ];
        for (what, change) in doubled {
            let left = with(change);
            let refused: Vec<String> = left.refused.iter().map(ToString::to_string).collect();
            assert!(
                refused.len() == 1 && refused[0].contains(&format!("it has several {what}")),
                "{what}: {refused:?}"
            );
            let entries = |lock: &Lock| {
                [lock.images.len(), lock.debian.len(), lock.compilers.len(), lock.python.len()].iter().sum::<usize>()
                    + lock.fetch.len()
                    + lock.views.len()
            };
            assert_eq!(entries(&left.lock), entries(&good) - 1, "{what}");
        }
        for change in [
            &(|lock: &mut Lock| lock.fetch.push(crate::lock::FetchPin { sha256: other, ..lock.fetch[0].clone() }))
                as Edit<'_>,
            &|lock| lock.images.push(ImagePin { platform: "linux/arm64".to_owned(), ..lock.images[0].clone() }),
            &|lock| {
                let asked = ["package git"].into_iter().collect();
                lock.debian.push(DebianPins { asked, ..lock.debian[0].clone() });
            },
        ] {
            assert!(with(change).refused.is_empty());
        }
    }

    #[test]
    fn what_an_entry_is_called_is_shown_by_number() {
        let text = "lock = 1\nformat = 1\neffects = 3\n[[python]]\nplatform = \"x\\u001b\"\n\
            layers = [\"a\\n::error::b\"]\nasked = []\nseal = \"0\"\nwheels = []\n";
        let told = salvage(text).unwrap().refused[0].to_string();
        assert!(told.contains(r"for a\n::error::b on x\u{1b} is"), "{told}");
    }
}
