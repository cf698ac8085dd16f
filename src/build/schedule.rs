//! Doing things side by side of which some need others, with a result that does not depend on who was faster.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::parallel;

/// What is to be done, by numbers, and how far it is.
struct Schedule<'a> {
    /// What each needs; all of them have lower numbers.
    needs: &'a [Vec<usize>],
    state: Mutex<State>,
    changed: Condvar,
    failed: &'a Failed,
}

struct State {
    /// Not begun.
    waiting: BTreeSet<usize>,
    done: BTreeSet<usize>,
}

/// The lowest number that failed, where one did: what has a higher number is not begun any more.
#[derive(Debug)]
pub(super) struct Failed(AtomicUsize);

impl Default for Failed {
    fn default() -> Self {
        Failed(AtomicUsize::new(usize::MAX))
    }
}

impl Failed {
    /// Whether one failed that comes before that: then nobody wants its result any more.
    pub(super) fn is_before(&self, number: usize) -> bool {
        self.0.load(Ordering::Relaxed) < number
    }
}

/// Does everything, each after what it needs, on up to `threads` threads: the lowest number that can be done comes first.
/// `work` may ask `failed` whether its result is still wanted.
///
/// # Errors
/// The one of the lowest number that fails, as if one had been done after the other: all before it are done.
pub(super) fn run<T: Send, E: Send>(
    needs: &[Vec<usize>],
    threads: usize,
    failed: &Failed,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let state = State { waiting: (0..needs.len()).collect(), done: BTreeSet::new() };
    let schedule = Schedule { needs, state: Mutex::new(state), changed: Condvar::new(), failed };
    let results: Mutex<Vec<Option<Result<T, E>>>> = Mutex::new(needs.iter().map(|_| None).collect());
    let take_part = &|| {
        while let Some(number) = schedule.next() {
            let begun = Begun { schedule: &schedule, number, is_good: false };
            let result = work(number);
            begun.end(result.is_ok());
            if let Some(place) = lock(&results).get_mut(number) {
                *place = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        let others = parallel::helpers(scope, threads.min(needs.len()).saturating_sub(1), take_part);
        take_part();
        // Whichever thread it was: what it said is said on.
        others.into_iter().for_each(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

/// A thing that is being done. Where it panics, it failed: the others do not wait for it for ever.
struct Begun<'a> {
    schedule: &'a Schedule<'a>,
    number: usize,
    is_good: bool,
}

impl Begun<'_> {
    fn end(mut self, is_good: bool) {
        self.is_good = is_good;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut state = self.schedule.state();
        match self.is_good {
            true => drop(state.done.insert(self.number)),
            false => drop(self.schedule.failed.0.fetch_min(self.number, Ordering::Relaxed)),
        }
        drop(state);
        self.schedule.changed.notify_all();
    }
}

impl Schedule<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The next thing to do; `None` where there is nothing left, now or later.
    fn next(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            state.waiting.retain(|number| !self.failed.is_before(*number));
            let is_ready = |number: &&usize| self.needs[**number].iter().all(|need| state.done.contains(need));
            match state.waiting.iter().find(is_ready).copied() {
                Some(number) => {
                    state.waiting.remove(&number);
                    return Some(number);
                }
                None if state.waiting.is_empty() => return None,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Lets things be told in the order of their numbers, each as soon as all before it were.
pub(super) struct InOrder<T>(Mutex<Waiting<T>>);

/// What is to be told next, and what has come, with whether it was good.
struct Waiting<T> {
    next: usize,
    come: Vec<Option<(T, bool)>>,
}

impl<T> InOrder<T> {
    pub(super) fn new(count: usize) -> Self {
        InOrder(Mutex::new(Waiting { next: 0, come: (0..count).map(|_| None).collect() }))
    }

    /// That number came to this. After one that is not good, none is told.
    pub(super) fn put(&self, number: usize, what: T, is_good: bool, tell: impl Fn(T)) {
        let mut state = lock(&self.0);
        let Waiting { next, come } = &mut *state;
        if let Some(place) = come.get_mut(number) {
            *place = Some((what, is_good));
        }
        while let Some((what, is_good)) = come.get_mut(*next).and_then(Option::take) {
            tell(what);
            *next = if is_good { *next + 1 } else { usize::MAX };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics while holding one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    /// A base, things on it, things on those.
    fn needs() -> Vec<Vec<usize>> {
        (0..40usize).map(|number| if number == 0 { vec![] } else { vec![(number - 1) / 3] }).collect()
    }

    #[test]
    fn each_comes_after_what_it_needs_and_results_in_order() {
        let needs = needs();
        for threads in [1, 2, 8, 100] {
            let done: Vec<AtomicUsize> = needs.iter().map(|_| AtomicUsize::new(0)).collect();
            let result: Result<Vec<usize>, ()> = run(&needs, threads, &Failed::default(), |number| {
                assert!(needs[number].iter().all(|need| done[*need].load(Ordering::SeqCst) == 1));
                std::thread::yield_now();
                done[number].fetch_add(1, Ordering::SeqCst);
                Ok(number * 2)
            });
            assert_eq!(result.unwrap(), (0..40).map(|number| number * 2).collect::<Vec<_>>());
            assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1));
        }
        assert_eq!(run(&[], 4, &Failed::default(), |_| Ok::<(), ()>(())).unwrap(), []);
    }

    #[test]
    fn the_first_error_is_told_whoever_fails_first() {
        let needs = needs();
        for threads in [1, 2, 8] {
            for _ in 0..20 {
                let begun: Mutex<BTreeSet<usize>> = Mutex::default();
                let failed = Failed::default();
                let error = run(&needs, threads, &failed, |number| {
                    lock(&begun).insert(number);
                    match number {
                        5 => {
                            std::thread::yield_now();
                            Err(number)
                        }
                        6 | 30 => Err(number),
                        _ => Ok(()),
                    }
                });
                assert_eq!(error.unwrap_err(), 5);
                assert!(failed.is_before(6) && !failed.is_before(5));
                let begun = lock(&begun);
                assert!((0..=5).all(|number| begun.contains(&number)), "what comes before is done");
                assert!((16..19).all(|number| !begun.contains(&number)), "what stands on it is not");
            }
        }
    }

    #[test]
    fn things_are_told_in_order_up_to_the_first_that_is_not_good() {
        let told = Mutex::new(Vec::new());
        let in_order = InOrder::new(6);
        for (number, is_good) in [(1, true), (4, false), (0, true), (5, true), (3, false), (2, true)] {
            in_order.put(number, number, is_good, |number| lock(&told).push(number));
        }
        assert_eq!(*lock(&told), [0, 1, 2, 3]);
    }

    /// On whatever thread: the one that calls, or another.
    #[test]
    fn a_panic_goes_on_and_nobody_waits() {
        let here = std::thread::current().id();
        for by_caller in [true, false] {
            let (caller_began, other_began) = (OnceLock::new(), OnceLock::new());
            // One for each of two threads, and one that is never begun.
            let needs = [vec![], vec![], vec![0, 1]];
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                run(&needs, 2, &Failed::default(), |_| {
                    let is_caller = std::thread::current().id() == here;
                    let (own, others) =
                        if is_caller { (&caller_began, &other_began) } else { (&other_began, &caller_began) };
                    own.set(()).unwrap();
                    others.wait();
                    if is_caller == by_caller { panic!("lost") } else { Ok::<(), ()>(()) }
                })
            }));
            assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"lost"), "by the caller: {by_caller}");
        }
    }
}
