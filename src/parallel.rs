//! Work on many things side by side, with results in the order of the things.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

/// What `work` gives for each item, in their order, whatever the number of threads. Each thread has a state of its own,
/// made by `start`.
///
/// # Panics
/// As `start` or `work` do, on whichever thread that was; the other threads finish what they began.
pub fn map_with<T: Sync, S, R: Send>(
    items: &[T],
    threads: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = &|| {
        let mut state = start();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { break };
            let result = work(&mut state, item);
            // Nobody panics while holding it.
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, result));
        }
    };
    std::thread::scope(|scope| {
        let others = helpers(scope, threads.min(items.len()).saturating_sub(1), run);
        run();
        for other in others {
            // A scope that joins by itself tells that somebody panicked, and not of what.
            if let Err(panic) = other.join() {
                next.store(items.len(), Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Up to `count` threads that help with what the caller does itself, too: where the machine gives no more of them, that is
/// how many there are.
pub fn helpers<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    work: impl FnOnce() -> R + Copy + Send + 'scope,
) -> Vec<ScopedJoinHandle<'scope, R>> {
    (0..count).map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect()
}

/// [`map_with`] without a state.
pub fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    map_with(items, threads, || (), |(), item| work(item))
}

/// Things that are made once each, whoever asks first; the others wait for them.
#[derive(Debug)]
pub struct Once<K, V>(Mutex<BTreeMap<K, Arc<Mutex<Option<V>>>>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Once(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Once<K, V> {
    /// What `make` gives for that key, or gave before.
    ///
    /// # Errors
    /// Those of `make`; nothing is kept then, and the next one makes it.
    pub fn once<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(made) => Ok(made.clone()),
            None => Ok(place.insert(make()?).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_once_is_made_once_and_errors_are_not_kept() {
        let (once, made) = (Once::default(), AtomicUsize::new(0));
        assert_eq!(once.once(1, || Err::<usize, _>("no")), Err("no"));
        let make = || Ok::<_, &str>(made.fetch_add(1, Ordering::SeqCst));
        let found = map(&[1, 2, 1, 2, 1, 1], 4, |key| once.once(*key, make).unwrap());
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert!(found[0] == found[2] && found[2] == found[5] && found[1] == found[3] && found[0] != found[1]);
    }

    /// Fails where the words of a panic on another thread are lost.
    #[test]
    fn a_panic_is_the_same_panic_whatever_the_thread() {
        for threads in [1, 2, 4] {
            let (others, here) = (std::sync::Barrier::new(threads), std::thread::current().id());
            let items = vec![(); threads];
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                map(&items, threads, |()| {
                    // Each thread has one item.
                    others.wait();
                    if threads == 1 || std::thread::current().id() != here {
                        std::panic::panic_any("the words");
                    }
                })
            }));
            assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the words"), "{threads} threads");
        }
    }

    #[test]
    fn results_come_in_order() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [0, 1, 3, 200] {
            let found = map_with(
                &items,
                threads,
                || 0,
                |count, item| {
                    *count += 1;
                    if item % 7 == 0 {
                        std::thread::yield_now();
                    }
                    item * 2
                },
            );
            assert_eq!(found, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(map(&[(); 0], 4, |()| ()).is_empty());
    }
}
