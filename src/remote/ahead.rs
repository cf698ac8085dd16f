//! Sending layers while images are still built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Seen;
use crate::layer::Ready;
use crate::oci::{Descriptor, Digest, Reference};
use crate::place::BlobSource as _;
use crate::registry::{self, How, PushBlob, Registries, SeenTag, Stop};
use crate::store::BlobStore;

/// Shorter layers are sent with the rest: that takes no time, and most of them are there already.
const LEAST: u64 = 1 << 20;

/// How many are sent at once.
const THREADS: usize = 3;

/// Sends the layers of images to the repositories of these as soon as they are in the store. Nothing names them there until
/// the images are pushed: a build that fails leaves blobs that the registry's upkeep removes.
pub struct Ahead<'a> {
    registries: &'a Registries,
    store: &'a BlobStore,
    repositories: BTreeMap<String, Reference>,
    seen: &'a dyn Seen,
    stop: Stop,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(String, Descriptor)>,
    /// By registry: what is waiting, on its way or sent. Into further repositories it is mounted when all is pushed.
    known: BTreeSet<(String, Digest)>,
    /// By repository.
    sent: BTreeMap<(String, Digest), How>,
    /// Registries that did not take something: the push will say what is wrong, or manage.
    given_up: BTreeSet<String>,
    /// Nothing comes any more.
    is_over: bool,
}

impl<'a> Ahead<'a> {
    /// Sends what is in the store to the repository of its image, by the image's name; `seen` says what is there already.
    pub fn new(
        registries: &'a Registries,
        store: &'a BlobStore,
        repositories: BTreeMap<String, Reference>,
        seen: &'a dyn Seen,
    ) -> Self {
        let (stop, queue, changed) = (Stop::default(), Mutex::default(), Condvar::new());
        Ahead { registries, store, repositories, seen, stop, queue, changed }
    }

    /// Sends beside that work what it says is [`Ready`], and waits for the last of it; where the work fails, nothing is
    /// waited for.
    ///
    /// # Errors
    /// Those of the work. What could not be sent is for the push to send, and to tell of.
    pub fn beside<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| self.send_all());
            }
            // However the work ends, the threads do.
            let ending = Ending(self);
            let done = work();
            if done.is_ok() {
                self.queue().is_over = true;
                self.changed.notify_all();
                std::mem::forget(ending);
            }
            done
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_all(&self) {
        while let Some((image, descriptor)) = self.next() {
            let Some(repository) = self.repositories.get(&image) else { continue };
            let Ok(content) = self.store.blob(&descriptor) else { continue };
            let blob = PushBlob {
                descriptor,
                source: registry::BlobSource::Content(content),
                mount_from: Vec::new(),
                there: None,
            };
            match self.registries.send_ahead(repository, &image, &blob, &self.stop) {
                Ok(how) => _ = self.queue().sent.insert((repository.name(), blob.descriptor.digest), how),
                Err(_) => self.give_up(repository.registry()),
            }
        }
    }

    fn next(&self) -> Option<(String, Descriptor)> {
        let waits = |queue: &mut Queue| queue.waiting.is_empty() && !queue.is_over;
        let mut queue = self.changed.wait_while(self.queue(), waits).unwrap_or_else(PoisonError::into_inner);
        queue.waiting.pop_front()
    }

    /// Sends nothing more to that registry.
    fn give_up(&self, registry: &str) {
        let is_there = |image: &String| self.repositories.get(image).is_some_and(|to| to.registry() == registry);
        let mut queue = self.queue();
        queue.given_up.insert(registry.to_owned());
        queue.waiting.retain(|(image, _)| !is_there(image));
    }

    /// Sends nothing any more.
    fn end(&self) {
        self.stop.stop();
        let mut queue = self.queue();
        queue.is_over = true;
        queue.waiting.clear();
        drop(queue);
        self.changed.notify_all();
    }
}

/// Work that has not ended well yet.
struct Ending<'a>(&'a Ahead<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Ready for Ahead<'_> {
    fn layer(&self, image: &str, layer: &Descriptor) {
        let Some(repository) = self.repositories.get(image) else { return };
        if layer.size < LEAST || self.seen.has_blob(repository, &layer.digest) {
            return;
        }
        let registry = repository.registry().to_owned();
        let mut queue = self.queue();
        if !queue.is_over && !queue.given_up.contains(&registry) && queue.known.insert((registry, layer.digest)) {
            queue.waiting.push_back((image.to_owned(), layer.clone()));
            drop(queue);
            self.changed.notify_one();
        }
    }
}

impl Seen for Ahead<'_> {
    fn has_blob(&self, repository: &Reference, blob: &Digest) -> bool {
        self.seen.has_blob(repository, blob)
    }

    fn sent(&self, repository: &Reference, blob: &Digest) -> Option<How> {
        self.queue().sent.get(&(repository.name(), *blob)).copied()
    }

    fn tag(&self, repository: &Reference, tag: &str) -> Option<SeenTag> {
        self.seen.tag(repository, tag)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::fake_registry::{FakeRegistry, Fault, on};
    use crate::net::{Network, NetworkOptions};
    use crate::oci::{Compression, Family, MediaType};
    use crate::registry::{RegistryOptions, RegistrySettings, Security};
    use crate::report::Reporter;

    struct Bench {
        fake: FakeRegistry,
        registries: Registries,
        store: BlobStore,
        _directory: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let fake = FakeRegistry::plain();
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        let settings = RegistrySettings { security: Some(Security::Plain), ..RegistrySettings::default() };
        let options = RegistryOptions { registries: [(fake.name(), settings)].into(), ..RegistryOptions::default() };
        let network = Network::new(&NetworkOptions::default()).unwrap();
        Bench {
            registries: Registries::new(&network, options, &Reporter::silent()),
            fake,
            store,
            _directory: directory,
        }
    }

    impl Bench {
        fn ahead(&self) -> Ahead<'_> {
            let repository: Reference = format!("{}/team/app:1", self.fake.name()).parse().unwrap();
            Ahead::new(&self.registries, &self.store, [("app".to_owned(), repository)].into(), &())
        }

        /// A layer of so many bytes, which are told apart by a number.
        fn layer(&self, number: u8, length: usize) -> Descriptor {
            let mut bytes = vec![0; length];
            bytes[0] = number;
            self.store.put(&bytes).unwrap();
            Descriptor::of(MediaType::Layer(Family::Oci, Compression::Gzip), &bytes)
        }

        fn has(&self, layer: &Descriptor) -> bool {
            self.fake.blob("team/app", &layer.digest.to_string()).is_some()
        }
    }

    /// Waits for it, and not for ever.
    fn until(what: impl Fn() -> bool) {
        let begin = Instant::now();
        while !what() {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not happen");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn large_layers_are_sent_while_the_work_goes_on() {
        let bench = bench();
        let (large, other, small) = (bench.layer(1, 2 << 20), bench.layer(2, 1 << 20), bench.layer(3, 1000));
        let ahead = bench.ahead();
        let done: Result<u32, ()> = ahead.beside(|| {
            for layer in [&large, &small, &large] {
                ahead.layer("app", layer);
                ahead.layer("not-pushed", layer);
            }
            until(|| bench.has(&large));
            ahead.layer("app", &other);
            Ok(7)
        });
        assert_eq!(done, Ok(7));
        assert!(bench.has(&other), "the last one is waited for");
        assert!(!bench.has(&small));
        let repository: Reference = format!("{}/team/app:2", bench.fake.name()).parse().unwrap();
        let sent = [&large, &other, &small].map(|layer| ahead.sent(&repository, &layer.digest));
        assert_eq!(sent, [Some(How::Uploaded), Some(How::Uploaded), None]);
        assert_eq!(bench.fake.count("POST", "/blobs/uploads/"), 2);
        assert_eq!(bench.fake.violations(), [""; 0]);
    }

    #[test]
    fn where_the_work_fails_nothing_is_waited_for() {
        let bench = bench();
        // Far longer than anybody would wait for this test.
        bench.fake.fault(on("POST", "/blobs/uploads/").always(), Fault::Stall(Duration::from_secs(3)));
        let layers: Vec<Descriptor> = (0..5).map(|number| bench.layer(number, 1 << 20)).collect();
        let ahead = bench.ahead();
        let done: Result<(), &str> = ahead.beside(|| {
            layers.iter().for_each(|layer| ahead.layer("app", layer));
            until(|| bench.fake.count("HEAD", "/blobs/") > 0);
            Err("a file is not there")
        });
        assert_eq!(done, Err("a file is not there"));
        assert!(layers.iter().all(|layer| !bench.has(layer)));
    }

    #[test]
    fn after_a_refusal_nothing_more_is_sent() {
        let bench = bench();
        bench.fake.fault(on("POST", "/blobs/uploads/").always(), Fault::Status(403, Vec::new(), String::new()));
        let ahead = bench.ahead();
        let done: Result<(), ()> = ahead.beside(|| {
            ahead.layer("app", &bench.layer(1, 1 << 20));
            until(|| !ahead.queue().given_up.is_empty());
            ahead.layer("app", &bench.layer(2, 1 << 20));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(bench.fake.count("POST", "/blobs/uploads/"), 1);
        assert!(ahead.queue().sent.is_empty());
    }
}
