//! What is left of a lock that somebody edited: the entries that are as they were written.

use super::read::LockError;
use super::{ImagePin, Lock};

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
        Entry { pins, edited: (seal != should).then_some(LockError::Edited { kind, layers, platform }) }
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
}

#[cfg(test)]
mod tests {
    use super::super::changes;
    use super::super::read::salvage;
    use super::super::tests::lock;
    use super::*;

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
}
