//! What happens, told as it happens. The library narrates; the command line draws.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::logins::hide_logins;
use crate::oci::Digest;

/// What a task does, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// References, bases and pins are looked up.
    Resolve,
    /// Bytes come in from a registry or another server.
    Download,
    /// Archives and packages are read.
    Unpack,
    /// The build context is walked and hashed.
    Scan,
    /// A layer is written and compressed.
    Compress,
    /// An archive or layout is written.
    Write,
    /// Bytes go out to a registry.
    Push,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Download => "download",
            Phase::Unpack => "unpack",
            Phase::Scan => "scan",
            Phase::Compress => "compress",
            Phase::Write => "write",
            Phase::Push => "push",
        }
    }
}

/// Tells tasks that run side by side apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(u64);

impl TaskId {
    /// As a number, another one for each task of the process.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A task began. `total` is in bytes, where it is known.
    Started {
        /// Its id.
        id: TaskId,
        /// The image that it is done for, by its name in the recipe; none where several share it.
        image: Option<&'a str>,
        /// What it does.
        phase: Phase,
        /// To what, in a few words.
        subject: &'a str,
        /// Bytes to go through.
        total: Option<u64>,
    },
    /// A task went through that many more bytes.
    Advanced {
        /// Its id.
        id: TaskId,
        /// How many more bytes.
        bytes: u64,
    },
    /// A task ended. `outcome` says how, where it is not plain (`already there`, `mounted`, `failed`).
    Finished {
        /// Its id.
        id: TaskId,
        /// How it ended.
        outcome: Option<&'a str>,
    },
    /// An image is begun, for one of its platforms.
    ImageStarted {
        /// Its name in the recipe.
        image: &'a str,
        /// The platform.
        platform: &'a str,
    },
    /// An image is there, for one of its platforms.
    ImageFinished {
        /// Its name in the recipe.
        image: &'a str,
        /// The platform.
        platform: &'a str,
        /// Of its manifest.
        digest: Digest,
        /// What it holds.
        balance: &'a Balance,
    },
    /// Something worth knowing.
    Note(&'a str),
    /// Something that is probably not meant.
    Warning(&'a str),
}

/// How many, and how many bytes in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Bytes in all.
    pub bytes: u64,
}

impl Tally {
    /// One more, of that many bytes.
    pub fn add(&mut self, bytes: u64) {
        *self += Tally { count: 1, bytes };
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// What an image holds, and where its layers came from. Bytes are those of blobs, as they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Manifest, config and all layers, in bytes.
    pub size: u64,
    /// Layers that were made.
    pub made: Tally,
    /// Layers that came with what the image stands on.
    pub base: Tally,
    /// Layers that were made before, and are in the cache or in a place that was named.
    pub cache: Tally,
    /// Layers that were pushed before, and are in a registry alone.
    pub registry: Tally,
    /// How many layers were made although they were found, and were the same.
    pub compared: u64,
}

impl Balance {
    /// Layers that were not made.
    pub fn reused(&self) -> Tally {
        let mut sum = self.base;
        sum += self.cache;
        sum += self.registry;
        sum
    }
}

impl AddAssign for Balance {
    fn add_assign(&mut self, other: Self) {
        self.size += other.size;
        self.made += other.made;
        self.base += other.base;
        self.cache += other.cache;
        self.registry += other.registry;
        self.compared += other.compared;
    }
}

/// Hears what happens. Called from many threads at once; must return quickly.
pub trait Report: Send + Sync {
    /// Takes in one event.
    fn event(&self, event: Event<'_>);

    /// Whether somebody wants the end: asked where stopping leaves something to be tidied up.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Hears nothing.
pub struct Silent;

impl Report for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// A shared listener, who is told for which image something happens.
#[derive(Clone)]
pub struct Reporter {
    to: Arc<dyn Report>,
    image: Option<Arc<str>>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    /// Passes everything on to `listener`.
    pub fn new(listener: impl Report + 'static) -> Self {
        Self::to(Arc::new(listener))
    }

    fn to(listener: Arc<dyn Report>) -> Self {
        Reporter { to: listener, image: None }
    }

    /// The same listener; tasks from now on are done for that image.
    #[must_use]
    pub fn about(&self, image: impl AsRef<str>) -> Self {
        Reporter { to: self.to.clone(), image: Some(image.as_ref().into()) }
    }

    /// The image that tasks are done for.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// Says that an image is begun.
    pub fn image_started(&self, image: &str, platform: &str) {
        self.to.event(Event::ImageStarted { image, platform });
    }

    /// Says that an image is there.
    pub fn image_finished(&self, image: &str, platform: &str, digest: Digest, balance: &Balance) {
        self.to.event(Event::ImageFinished { image, platform, digest, balance });
    }

    /// Passes nothing on.
    pub fn silent() -> Self {
        Self::new(Silent)
    }

    /// Says something worth knowing; logins in it are not shown.
    pub fn note(&self, text: impl AsRef<str>) {
        self.to.event(Event::Note(&hide_logins(text.as_ref())));
    }

    /// Says that something is probably not meant; logins in it are not shown.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.to.event(Event::Warning(&hide_logins(text.as_ref())));
    }

    /// Passes on how tasks go on, and keeps what is said in words, until it is [`Reporter::release`]d.
    pub fn held(&self) -> (Self, Held) {
        let held = Held(Arc::new(Holding { to: self.clone(), said: Mutex::default() }));
        (Reporter { to: held.0.clone(), image: self.image.clone() }, held)
    }

    /// Says what was held.
    pub fn release(&self, held: Held) {
        let said = std::mem::take(&mut *held.0.said.lock().unwrap_or_else(PoisonError::into_inner));
        for (is_warning, text) in said {
            match is_warning {
                true => self.warn(text),
                false => self.note(text),
            }
        }
    }

    /// Begins a task; it ends when the value is dropped or [`Task::finish`]ed.
    pub fn task(&self, phase: Phase, subject: impl AsRef<str>, total: Option<u64>) -> Task {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = TaskId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (image, subject) = (self.image.as_deref(), subject.as_ref());
        self.to.event(Event::Started { id, image, phase, subject, total });
        Task { id, reporter: self.clone(), finished: false }
    }
}

/// What was said in words, and is not told yet.
pub struct Held(Arc<Holding>);

struct Holding {
    to: Reporter,
    /// Whether it is a warning, and what it says.
    said: Mutex<Vec<(bool, String)>>,
}

impl Report for Holding {
    fn event(&self, event: Event<'_>) {
        let (is_warning, text) = match event {
            Event::Warning(text) => (true, text),
            Event::Note(text) => (false, text),
            event => return self.to.to.event(event),
        };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push((is_warning, text.to_owned()));
    }
}

/// A task under way.
#[derive(Debug)]
pub struct Task {
    id: TaskId,
    reporter: Reporter,
    finished: bool,
}

impl Task {
    /// Went through that many more bytes.
    pub fn advance(&self, bytes: u64) {
        self.reporter.to.event(Event::Advanced { id: self.id, bytes });
    }

    /// Whether somebody wants the end ([`Report::is_interrupted`]).
    pub fn is_interrupted(&self) -> bool {
        self.reporter.to.is_interrupted()
    }

    /// Ended, with a word on how.
    pub fn finish(mut self, outcome: &str) {
        self.finished = true;
        self.reporter.to.event(Event::Finished { id: self.id, outcome: Some(outcome) });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.finished {
            self.reporter.to.event(Event::Finished { id: self.id, outcome: None });
        }
    }
}
