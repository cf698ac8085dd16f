//! Small files, read before it is their turn: opening and reading many of them takes longer than what is done with them,
//! and a disk is fast only where it has several things to read.
//!
//! ```text
//!   small files, in batches     1 4 7 … → reader ─→ ┐
//!   in the order of the layer   2 5 8 … → reader ─→ ├─→ taken in order: 1 2 3 4 …
//!                               3 6 9 … → reader ─→ ┘
//! ```
//!
//! Each reader waits while a batch of it is not taken yet, so that a few batches are in memory at most.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::content::Content;

/// Files up to this length are read ahead; for longer ones the kernel does as well.
const SMALL: u64 = 64 << 10;

/// A batch has at most so many files and, but for its last, so many bytes.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 128 << 10;

/// No more readers than this: what they wait for is one disk.
const READERS: usize = 4;

/// One batch, read.
type Batch = Vec<io::Result<Content>>;

/// Gives contents in the order in which they were announced, small ones from memory.
pub(super) struct Ahead {
    /// One for each reader; batches go round.
    readers: Vec<Receiver<Batch>>,
    next: usize,
    batch: std::vec::IntoIter<io::Result<Content>>,
}

/// Lets `work` take `contents` one after the other, while others are read on up to `threads` threads.
pub(super) fn reading_ahead<R>(contents: &[&Content], threads: usize, work: impl FnOnce(&mut Ahead) -> R) -> R {
    let batches = batches(contents);
    let count = threads.min(READERS).min(batches.len());
    std::thread::scope(|scope| {
        let mut ahead = Ahead { readers: Vec::new(), next: 0, batch: Vec::new().into_iter() };
        // With one batch there is nothing to be ahead of.
        for first in (0..count).filter(|_| batches.len() > 1) {
            let (send, receive) = sync_channel(1);
            ahead.readers.push(receive);
            let own = batches.iter().skip(first).step_by(count);
            scope.spawn(move || {
                for batch in own {
                    let read = batch.iter().map(|content| content.read_all(SMALL).map(Content::inline)).collect();
                    // Where nobody takes it, the writing has stopped.
                    if send.send(read).is_err() {
                        return;
                    }
                }
            });
        }
        let result = work(&mut ahead);
        // The readers stop.
        drop(ahead);
        result
    })
}

/// The small ones of some contents, in batches.
fn batches<'a>(contents: &[&'a Content]) -> Vec<Vec<&'a Content>> {
    let mut batches: Vec<Vec<&Content>> = Vec::new();
    let mut left = 0;
    for content in contents.iter().filter(|content| is_small(content)) {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_FILES && left >= content.len() => batch.push(content),
            _ => {
                batches.push(vec![content]);
                left = BATCH_BYTES;
            }
        }
        left = left.saturating_sub(content.len());
    }
    batches
}

fn is_small(content: &Content) -> bool {
    content.len() <= SMALL && !matches!(content, Content::Inline(_))
}

impl Ahead {
    /// The next of the announced contents, from memory where they were read. `None`: they are to be read where they are.
    ///
    /// # Errors
    /// Where they could not be read.
    pub(super) fn take(&mut self, content: &Content) -> io::Result<Option<Content>> {
        if self.readers.is_empty() || !is_small(content) {
            return Ok(None);
        }
        if self.batch.len() == 0 {
            let reader = &self.readers[self.next % self.readers.len()];
            self.next += 1;
            self.batch = reader.recv().unwrap_or_default().into_iter();
        }
        self.batch.next().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileIdentity;

    #[test]
    fn contents_come_in_order_from_any_number_of_readers() {
        let directory = tempfile::tempdir().unwrap();
        let contents: Vec<Content> = (0..500usize)
            .map(|number| {
                let path = directory.path().join(number.to_string());
                let length = match number % 50 {
                    7 => 70_000,
                    8 => 60_000,
                    rest => rest * 10,
                };
                std::fs::write(&path, vec![number as u8; length]).unwrap();
                Content::host(&path, FileIdentity::of(&rustix::fs::stat(&path).unwrap()))
            })
            .collect();
        let announced: Vec<&Content> = contents.iter().collect();
        for threads in [0, 1, 3, 9] {
            reading_ahead(&announced, threads, |ahead| {
                for content in &contents {
                    let found = ahead.take(content).unwrap();
                    assert_eq!(found.is_some(), threads > 0 && content.len() <= SMALL);
                    assert!(found.is_none_or(|found| found == *content));
                }
            });
            // Whoever stops early is not waited for.
            reading_ahead(&announced, threads, |ahead| ahead.take(&contents[0]).unwrap());
        }
        // What changed meanwhile is told at its place.
        std::fs::write(directory.path().join("300"), "other").unwrap();
        reading_ahead(&announced, 2, |ahead| {
            for (number, content) in contents.iter().enumerate() {
                assert_eq!(ahead.take(content).is_err(), number == 300, "{number}");
            }
        });
    }
}
