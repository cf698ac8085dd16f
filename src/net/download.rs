//! A body that is read to its end, over as many connections as that takes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap};

use super::retry::Tries;
use super::{Answer, NetError, RetryPolicy};

/// Something that can be read from any byte on.
pub(crate) trait Ranged {
    /// What goes wrong.
    type Error;

    /// Asks for everything from `offset` on; with 0, without a `Range` header. Gives an answer with status 200, 206 or
    /// (from an offset) 416. Has made its own further tries where it fails.
    async fn open(&self, offset: u64) -> Result<Answer, Self::Error>;

    /// Puts a failure in the middle of a body into words, after so many tries.
    fn failed(&self, error: NetError, tries: u32) -> Self::Error;

    /// Told before a new try.
    fn again(&self, error: &NetError, made: u32, limit: u32, pause: Duration);
}

/// A download under way.
pub(crate) struct Download<S> {
    source: S,
    /// How long it is, where that is known.
    size: Option<u64>,
    /// It must not be longer.
    limit: u64,
    /// Bytes given out so far.
    offset: u64,
    /// Bytes of the answer that were given out before: it began at 0 again.
    skip: u64,
    answer: Option<Answer>,
    tries: Tries,
    /// Where the last connection broke.
    broke_at: u64,
    /// Whether the server understands ranges.
    ranges: bool,
    /// Whether what comes from a second connection may be joined to what came from the first: its digest is known.
    joins: bool,
}

/// After so many bytes a new failure is a first one again.
const PROGRESS: u64 = 1 << 20;

impl<S: Ranged> Download<S> {
    /// A download of `size` bytes whose digest will be checked.
    pub(crate) fn of_known(source: S, size: u64, retry: &RetryPolicy) -> Self {
        Self::with(source, Some(size), size, true, retry)
    }

    /// A download of at most `limit` bytes. `joins`: whether its digest will be checked.
    pub(crate) fn up_to(source: S, limit: u64, joins: bool, retry: &RetryPolicy) -> Self {
        Self::with(source, None, limit, joins, retry)
    }

    fn with(source: S, size: Option<u64>, limit: u64, joins: bool, retry: &RetryPolicy) -> Self {
        let tries = Tries::new(retry);
        Download { source, size, limit, offset: 0, skip: 0, answer: None, tries, broke_at: 0, ranges: true, joins }
    }

    /// The head of the current answer.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// The next bytes; `None` at the end, which is where it was announced.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, S::Error> {
        loop {
            if self.answer.is_none() {
                if self.size.is_some_and(|size| self.offset == size) && self.offset > 0 {
                    return Ok(None);
                }
                match self.open().await? {
                    Ok(()) => {}
                    Err(error) => return Err(self.source.failed(error, self.tries.made() + 1)),
                }
                continue;
            }
            let Some(answer) = &mut self.answer else { continue };
            let error = match answer.chunk().await {
                Ok(Some(bytes)) => match self.take(bytes) {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(error) => return Err(self.source.failed(error, self.tries.made() + 1)),
                },
                Ok(None) if self.size.is_none_or(|size| self.offset == size) && self.skip == 0 => return Ok(None),
                Ok(None) => NetError::Broken(format!(
                    "the body ended after {} of {} bytes",
                    self.offset - self.skip,
                    self.size.unwrap_or_default()
                )),
                // Everything came, and what is said after it does not matter.
                Err(_) if self.size == Some(self.offset) && self.skip == 0 => return Ok(None),
                Err(error) => error,
            };
            self.answer = None;
            if self.offset.saturating_sub(self.broke_at) >= PROGRESS {
                self.tries.reset();
            }
            self.broke_at = self.offset;
            let may = error.is_temporary() && (self.joins || self.offset == 0);
            match may.then(|| self.tries.pause(None)).flatten() {
                Some(pause) => {
                    self.source.again(&error, self.tries.made(), self.tries.limit(), pause);
                    tokio::time::sleep(pause).await;
                }
                None => return Err(self.source.failed(error, self.tries.made().max(1))),
            }
        }
    }

    /// Opens a connection at the byte reached, or at 0 where the server cannot do that.
    async fn open(&mut self) -> Result<Result<(), NetError>, S::Error> {
        let from = if self.ranges { self.offset } else { 0 };
        let answer = self.source.open(from).await?;
        if from > 0 {
            let fits = answer.status == StatusCode::PARTIAL_CONTENT
                && content_range(&answer.headers).is_some_and(|(first, total)| {
                    first == from && (total.is_none() || self.size.is_none() || total == self.size)
                });
            if fits {
                self.skip = 0;
                self.answer = Some(answer);
                return Ok(Ok(()));
            }
            if answer.status != StatusCode::OK {
                // A range that was not asked for, or none at all: from the start, without one.
                self.ranges = false;
                return Ok(Ok(()));
            }
        } else if answer.status != StatusCode::OK {
            return Ok(Err(NetError::Malformed(format!(
                "status {} to a request for everything",
                answer.status.as_u16()
            ))));
        }
        self.skip = self.offset;
        if let Some(length) = answer.content_length() {
            if self.size.is_some_and(|size| size != length) {
                let size = self.size.unwrap_or_default();
                return Ok(Err(NetError::Malformed(format!("{length} bytes are announced, and {size} were expected"))));
            }
            if length < self.offset {
                let offset = self.offset;
                return Ok(Err(NetError::Malformed(format!("{length} bytes are announced, and {offset} had come"))));
            }
            if length > self.limit {
                return Ok(Err(NetError::TooLong { limit: self.limit }));
            }
            self.size = Some(length);
        }
        self.answer = Some(answer);
        Ok(Ok(()))
    }

    /// Takes in bytes of the answer; gives those that are new.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, NetError> {
        let known = self.skip.min(bytes.len() as u64);
        self.skip -= known;
        bytes = bytes.split_off(known as usize);
        let limit = self.size.unwrap_or(self.limit);
        if bytes.len() as u64 > limit.saturating_sub(self.offset) {
            return Err(NetError::TooLong { limit });
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

/// First byte and total length in `Content-Range: bytes 5-9/10` (RFC 9110, 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    if last < first {
        return None;
    }
    match total.trim() {
        "*" => Some((first, None)),
        total => Some((first, Some(total.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        for (text, wanted) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("5-9/10", None),
            ("bytes 5-9", None),
            ("bytes -1-9/10", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            assert_eq!(content_range(&headers), wanted, "{text}");
        }
    }
}
