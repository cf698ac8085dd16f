//! What one run notes of files ([`super::FileHashes`]), by device and inode.

use std::collections::BTreeMap;

use super::file_hashes::{KEY, Record};

/// Records by their keys. Most lie sorted side by side, which takes half the memory that a search tree takes.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    sorted: Vec<Record>,
    /// What came since, and holds against what is in `sorted`.
    recent: BTreeMap<[u8; KEY], Record>,
}

/// How many recent records there may be in any case, and what part of the sorted ones.
const RECENT: usize = 1024;
const PART: usize = 4;

impl Fresh {
    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.recent.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        let sorted = || self.position(key).ok().and_then(|at| self.sorted.get(at));
        self.recent.get(key).or_else(sorted)
    }

    pub(super) fn insert(&mut self, key: [u8; KEY], record: Record) {
        self.recent.insert(key, record);
        if self.recent.len() > RECENT + self.sorted.len() / PART {
            self.settle();
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.recent.remove(key);
        if let Ok(at) = self.position(key) {
            self.sorted.remove(at);
        }
    }

    /// All records, sorted.
    pub(super) fn all(&mut self) -> &[Record] {
        self.settle();
        &self.sorted
    }

    fn position(&self, key: &[u8]) -> Result<usize, usize> {
        self.sorted.binary_search_by(|record| record[..KEY].cmp(key))
    }

    fn settle(&mut self) {
        let known = self.sorted.len();
        for (key, record) in std::mem::take(&mut self.recent) {
            // What was put behind them is not looked through.
            let place = self.sorted.get(..known).unwrap_or_default().binary_search_by(|record| record[..KEY].cmp(&key));
            match place.ok().and_then(|at| self.sorted.get_mut(at)) {
                Some(there) => *there = record,
                None => self.sorted.push(record),
            }
        }
        self.sorted.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_hashes::RECORD;
    use super::*;

    #[test]
    fn the_last_record_of_a_key_holds_however_many_there_are() {
        let key = |number: u64| {
            let mut key = [0; KEY];
            key[8..].copy_from_slice(&(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 5000).to_be_bytes());
            key
        };
        let (mut fresh, mut map) = (Fresh::default(), BTreeMap::new());
        for number in 0..20_000u64 {
            let mut record = [0; RECORD];
            record[..KEY].copy_from_slice(&key(number));
            record[KEY..KEY + 8].copy_from_slice(&number.to_be_bytes());
            match number % 11 {
                3 => {
                    fresh.remove(&key(number));
                    map.remove(&key(number));
                }
                _ => {
                    fresh.insert(key(number), record);
                    map.insert(key(number), record);
                }
            }
            assert_eq!(fresh.get(&key(number / 2)), map.get(&key(number / 2)));
        }
        assert!(fresh.all().iter().eq(map.values()));
        assert_eq!(fresh.len(), map.len());
    }
}
