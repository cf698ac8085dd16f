//! A map by path that is mostly filled in order.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::TreePath;

/// Values by path, in byte order of path.
///
/// What comes in order, or nearly so, as from a walk over directories, is laid side by side: it costs no search, and no more
/// memory than the pairs themselves. What comes in any other order goes into a search tree.
#[derive(Clone, Debug)]
pub(super) struct Sorted<V> {
    /// What is before all of `tail`.
    map: BTreeMap<TreePath, V>,
    /// In order, each path once.
    tail: Vec<(TreePath, V)>,
}

/// How many pairs of the tail are moved at most to put one between them.
const NEAR: usize = 256;

/// How many times longer than the tail the map must be for pairs to be put into it one by one.
const SMALL: usize = 16;

impl<V> Default for Sorted<V> {
    fn default() -> Self {
        Sorted { map: BTreeMap::new(), tail: Vec::new() }
    }
}

impl<V> Sorted<V> {
    pub(super) fn len(&self) -> usize {
        self.map.len() + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty() && self.tail.is_empty()
    }

    /// Whether a path comes after all that is there.
    pub(super) fn is_after_all(&self, path: &TreePath) -> bool {
        let last = self.tail.last().map(|(last, _)| last);
        last.or_else(|| self.map.last_key_value().map(|(last, _)| last)).is_none_or(|last| last < path)
    }

    /// All pairs in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TreePath, &V)> {
        self.map.iter().chain(self.tail.iter().map(|(path, value)| (path, value)))
    }

    /// The pairs from that path on.
    pub(super) fn from<'a>(&'a self, path: &[u8]) -> impl Iterator<Item = (&'a TreePath, &'a V)> + use<'a, V> {
        let tail = self.tail.get(self.place(path)..).unwrap_or_default();
        // Where something of the tail is before it, all of the map is.
        let map = (tail.len() == self.tail.len())
            .then(|| self.map.range::<[u8], _>((Bound::Included(path), Bound::Unbounded)));
        map.into_iter().flatten().chain(tail.iter().map(|(path, value)| (path, value)))
    }

    pub(super) fn get_key_value(&self, path: &[u8]) -> Option<(&TreePath, &V)> {
        match self.tail.get(self.place(path)) {
            Some((found, value)) if found.as_bytes() == path => Some((found, value)),
            _ => self.map.get_key_value(path),
        }
    }

    pub(super) fn get(&self, path: &TreePath) -> Option<&V> {
        self.get_key_value(path.as_bytes()).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, path: &TreePath) -> Option<&mut V> {
        let place = self.place(path.as_bytes());
        match self.tail.get_mut(place) {
            Some((found, value)) if found == path => Some(value),
            _ => self.map.get_mut(path),
        }
    }

    pub(super) fn contains(&self, path: &TreePath) -> bool {
        self.get(path).is_some()
    }

    /// Puts a value at a path, in place of what is there.
    pub(super) fn insert(&mut self, path: TreePath, value: V) {
        let place = self.place(path.as_bytes());
        if let Some((found, there)) = self.tail.get_mut(place)
            && *found == path
        {
            *there = value;
        } else if place == 0 && self.map.last_key_value().is_some_and(|(last, _)| *last >= path) {
            self.map.insert(path, value);
        } else if self.tail.len() - place <= NEAR {
            self.tail.insert(place, (path, value));
        } else {
            self.settle();
            self.map.insert(path, value);
        }
    }

    pub(super) fn remove(&mut self, path: &TreePath) {
        match self.tail.get(self.place(path.as_bytes())) {
            Some((found, _)) if found == path => {
                self.settle();
                self.map.remove(path);
            }
            _ => drop(self.map.remove(path)),
        }
    }

    /// How many pairs of the tail are before that path.
    fn place(&self, path: &[u8]) -> usize {
        // What is asked for is mostly near the end: further and further from there.
        let is_before = |at: usize| self.tail.get(at).is_some_and(|(before, _)| before.as_bytes() < path);
        let (mut low, mut high, mut step) = (self.tail.len(), self.tail.len(), 1);
        while low > 0 && !is_before(low - 1) {
            high = low - 1;
            low = high.saturating_sub(step);
            step *= 2;
        }
        low + self.tail.get(low..high).unwrap_or_default().partition_point(|(before, _)| before.as_bytes() < path)
    }

    /// Puts the tail into the map.
    fn settle(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        match tail.len() < self.map.len() / SMALL {
            true => self.map.extend(tail),
            // From what is in order, a map is built at once.
            false => self.map.append(&mut tail.into_iter().collect()),
        }
    }
}

impl<V> IntoIterator for Sorted<V> {
    type Item = (TreePath, V);
    type IntoIter =
        std::iter::Chain<std::collections::btree_map::IntoIter<TreePath, V>, std::vec::IntoIter<(TreePath, V)>>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.into_iter().chain(self.tail)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(number: usize) -> TreePath {
        TreePath::parse(format!("{number:05}")).unwrap()
    }

    /// Does the same to both, and compares what they say.
    fn follow(steps: &[(usize, bool)]) {
        let (mut sorted, mut map) = (Sorted::default(), BTreeMap::new());
        for (step, (number, puts)) in steps.iter().enumerate() {
            match puts {
                true => {
                    sorted.insert(path(*number), step);
                    map.insert(path(*number), step);
                }
                false => {
                    sorted.remove(&path(*number));
                    map.remove(&path(*number));
                }
            }
        }
        assert!(sorted.iter().eq(map.iter()));
        assert_eq!((sorted.len(), sorted.is_empty()), (map.len(), map.is_empty()));
        let last = map.keys().next_back();
        for number in [0, 900, 5000] {
            assert_eq!(sorted.is_after_all(&path(number)), last.is_none_or(|last| *last < path(number)));
        }
        for (number, _) in steps.iter().flat_map(|(number, _)| [(*number, ()), (number + 1, ())]) {
            let at = path(number);
            assert_eq!(sorted.get(&at), map.get(&at));
            assert_eq!(sorted.get_mut(&at), map.get_mut(&at));
            assert!(sorted.from(at.as_bytes()).eq(map.range(at..)));
        }
        assert!(sorted.into_iter().eq(map));
    }

    #[test]
    fn whatever_the_order_it_is_a_map() {
        let forwards = (0..2000).map(|number| (number, true));
        follow(&forwards.clone().collect::<Vec<_>>());
        follow(&forwards.clone().rev().collect::<Vec<_>>());
        // Before, into and behind what came in order; more than is moved, and less.
        for at in [0, 1, 700, 1500, 1999, 2500] {
            let even = forwards.clone().map(|(number, puts)| (number * 2, puts));
            follow(&even.chain([(at * 2 + 1, true), (at * 2, false), (at * 2 + 3, true)]).collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn runs_in_any_order_make_a_map(runs in prop::collection::vec((0..900usize, 1..400usize, prop::bool::weighted(0.9)), 0..12)) {
            let steps = runs.iter().flat_map(|(from, count, puts)| (*from..from + count).map(|number| (number, *puts)));
            follow(&steps.collect::<Vec<_>>());
        }
    }
}
