//! What happens, told as it happens. The library narrates; the command line draws.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A task began. `total` is in bytes, where it is known.
    Started {
        /// Its id.
        id: TaskId,
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
    /// Something worth knowing.
    Note(&'a str),
    /// Something that is probably not meant.
    Warning(&'a str),
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

/// A shared listener.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Report>);

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

impl Reporter {
    /// Passes everything on to `listener`.
    pub fn new(listener: impl Report + 'static) -> Self {
        Reporter(Arc::new(listener))
    }

    /// Passes nothing on.
    pub fn silent() -> Self {
        Self::new(Silent)
    }

    /// Says something worth knowing.
    pub fn note(&self, text: impl AsRef<str>) {
        self.0.event(Event::Note(text.as_ref()));
    }

    /// Says that something is probably not meant.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.0.event(Event::Warning(text.as_ref()));
    }

    /// Passes on how tasks go on, and keeps what is said in words, until it is [`Reporter::release`]d.
    pub fn held(&self) -> (Self, Held) {
        let held = Held(Arc::new(Holding { to: self.clone(), said: Mutex::default() }));
        (Reporter(held.0.clone()), held)
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
        self.0.event(Event::Started { id, phase, subject: subject.as_ref(), total });
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
            event => return self.to.0.event(event),
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
        self.reporter.0.event(Event::Advanced { id: self.id, bytes });
    }

    /// Whether somebody wants the end ([`Report::is_interrupted`]).
    pub fn is_interrupted(&self) -> bool {
        self.reporter.0.is_interrupted()
    }

    /// Ended, with a word on how.
    pub fn finish(mut self, outcome: &str) {
        self.finished = true;
        self.reporter.0.event(Event::Finished { id: self.id, outcome: Some(outcome) });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.finished {
            self.reporter.0.event(Event::Finished { id: self.id, outcome: None });
        }
    }
}
