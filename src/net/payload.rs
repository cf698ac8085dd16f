//! What a request carries: nothing, a few bytes, or contents that are read while they are sent.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::content::{Content, ContentReader};
use crate::report::Task;

/// The body of a request. It can be sent any number of times.
#[derive(Clone)]
pub(crate) enum Payload {
    /// No body.
    None,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stretch of contents.
    Part { content: Content, offset: u64, length: u64, progress: Arc<Progress> },
}

/// How much of a blob went out, over all tries: what is sent again is not told again.
pub(crate) struct Progress {
    /// `None` once it has ended; a connection that was given up may hold on to the rest.
    task: Mutex<Option<Task>>,
    furthest: AtomicU64,
}

impl Progress {
    pub(crate) fn new(task: Task) -> Self {
        Progress { task: Mutex::new(Some(task)), furthest: AtomicU64::new(0) }
    }

    fn reached(&self, position: u64) {
        let before = self.furthest.fetch_max(position, Ordering::Relaxed);
        if position > before
            && let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
        {
            task.advance(position - before);
        }
    }

    /// Ends the task.
    pub(crate) fn finish(&self, outcome: &str) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.finish(outcome);
        }
    }
}

/// Knows when the last byte went out, and whether that was all of them.
pub(super) struct Activity {
    begun: Instant,
    /// Milliseconds from `begun` to the last sign of life.
    last: AtomicU64,
    left: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Activity {
    pub(super) fn new(length: u64) -> Arc<Self> {
        Arc::new(Activity {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            left: AtomicU64::new(length),
            failure: Mutex::new(None),
        })
    }

    fn sent(&self, bytes: u64) {
        self.last.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.left.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn all_sent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    pub(super) fn begun_sending(&self) -> bool {
        self.last.load(Ordering::Relaxed) > 0
    }

    pub(super) fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Why the contents could not be read, where that is what went wrong.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How much is read at a time.
const PIECE: usize = 128 << 10;

/// How much is handed over at a time. That the next is asked for is all that is known of what went out: the smaller, the
/// sooner a slow line is told from one that nobody listens at.
const HANDED: usize = 16 << 10;

impl Payload {
    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Payload::None => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Part { length, .. } => *length,
        }
    }

    /// The body for one request. Its length must be given in a header beside it.
    pub(super) fn body(&self, activity: &Arc<Activity>) -> reqwest::Body {
        match self {
            Payload::None => reqwest::Body::from(Bytes::new()),
            Payload::Bytes(bytes) => {
                activity.sent(bytes.len() as u64);
                reqwest::Body::from(bytes.clone())
            }
            Payload::Part { content, offset, length, progress } => {
                let state = Sending {
                    content: Some(content.clone()),
                    reader: None,
                    piece: Bytes::new(),
                    offset: *offset,
                    end: *offset + *length,
                    progress: progress.clone(),
                    activity: activity.clone(),
                };
                reqwest::Body::wrap_stream(futures_util::stream::try_unfold(state, Sending::next))
            }
        }
    }
}

struct Sending {
    content: Option<Content>,
    reader: Option<ContentReader>,
    /// What was read and is not yet handed over.
    piece: Bytes,
    /// Up to where it was read.
    offset: u64,
    end: u64,
    progress: Arc<Progress>,
    activity: Arc<Activity>,
}

impl Sending {
    /// The next bytes. They are read on a thread that may block, and not before they are asked for, so that a server that
    /// stops listening leaves no thread behind.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.piece.is_empty() {
            if self.offset == self.end {
                return Ok(None);
            }
            self = self.read().await?;
        }
        let handed = self.piece.split_to(HANDED.min(self.piece.len()));
        self.activity.sent(handed.len() as u64);
        self.progress.reached(self.offset - self.piece.len() as u64);
        Ok(Some((handed, self)))
    }

    async fn read(mut self) -> io::Result<Self> {
        let activity = self.activity.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = match (self.reader.take(), self.content.take()) {
                (Some(reader), _) => reader,
                // The whole is checked against its digest on the way; a part cannot be.
                (None, Some(content)) if self.offset == 0 && self.end == content.len() => content.open()?,
                (None, Some(content)) => content.open_part(self.offset, self.end - self.offset)?,
                (None, None) => return Err(io::Error::other("nothing to read from")),
            };
            let want = PIECE.min(usize::try_from(self.end - self.offset).unwrap_or(PIECE));
            let mut piece = vec![0; want];
            reader.read_exact(&mut piece)?;
            self.reader = Some(reader);
            self.offset += piece.len() as u64;
            self.piece = Bytes::from(piece);
            Ok(self)
        });
        read.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            *activity.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other("the contents could not be read")
        })
    }
}
