//! Sending one blob (distribution-spec, "Pushing blobs"), to registries as they are (registry-quirks).
//!
//! Asked for first, mounted where another repository has it, sent whole otherwise; in other ways only where a registry
//! shows that it wants that. After any answer that leaves open what happened, it is asked for again before anything is
//! sent again, and then in a new session.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, RANGE};
use reqwest::{Method, StatusCode};
use url::Url;

use super::auth::{self, Scopes};
use super::client::{Ask, Core};
use super::endpoint::{Repository, Scheme};
use super::pull::digest_header;
use super::{RefusalKind, RegistryError, Unanswered};
use crate::content::Content;
use crate::net::{Answer, NetError, Payload, Progress, Tries, location};
use crate::oci::{Descriptor, Reference};
use crate::store::BlobStore;

/// How blobs are sent to a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// One PUT that carries everything.
    Whole,
    /// One PATCH that carries everything, and a PUT without a body.
    Stream,
    /// PATCHes of at most so many bytes each, and a PUT without a body.
    Chunks(u64),
}

/// The chunks that are tried, one after the other, where a registry (or what is in front of it) wants less at a time.
const LADDER: [u64; 5] = [64 << 20, 16 << 20, 5 << 20, 1 << 20, 512 << 10];

/// The least chunk.
const SMALLEST: u64 = 64 << 10;

/// How a blob came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was there.
    Present,
    /// It was taken over from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// Here.
    Content(Content),
    /// In a registry. They are brought into the store only where they cannot be mounted.
    Registry {
        /// A reference to the repository.
        reference: Reference,
        /// Where they are kept on their way.
        store: BlobStore,
    },
}

/// A blob to send.
pub(super) struct Upload<'a> {
    /// Whose it is, by its name in the recipe.
    pub(super) image: Option<&'a str>,
    pub(super) repository: &'a Repository,
    pub(super) descriptor: &'a Descriptor,
    pub(super) source: &'a BlobSource,
    /// Repositories of the same registry that have it.
    pub(super) mount_from: &'a [String],
    /// Send it even where the registry says that it has it.
    pub(super) force: bool,
}

/// An upload under way on the other side.
struct Session {
    url: Url,
    /// The least that a chunk may have, but the last (`OCI-Chunk-Min-Length`).
    least: u64,
}

const MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

impl Strategy {
    /// Chunks of a size that somebody asked for.
    pub(super) fn chunks(size: u64) -> Self {
        Strategy::Chunks(size.max(SMALLEST))
    }

    /// The most bytes of one request.
    fn most(self, size: u64) -> u64 {
        match self {
            Strategy::Chunks(chunk) => chunk.min(size),
            Strategy::Whole | Strategy::Stream => size,
        }
    }

    /// What to try where this way was refused for a blob of that size.
    fn after(self, refusal: &super::Refusal, size: u64) -> Option<Strategy> {
        if refusal.kind() == RefusalKind::TooLarge {
            let failed = self.most(size);
            return LADDER.into_iter().find(|chunk| *chunk < failed).map(Strategy::Chunks);
        }
        let unsupported = matches!(refusal.status, 405 | 411 | 501) || refusal.says("UNSUPPORTED");
        match self {
            Strategy::Whole if unsupported => Some(Strategy::Stream),
            Strategy::Chunks(_) if unsupported || refusal.status == 416 => Some(Strategy::Whole),
            _ => None,
        }
    }
}

impl Core {
    /// Brings a blob into a repository.
    pub(super) async fn upload(&self, upload: &Upload<'_>, progress: &Arc<Progress>) -> Result<How, RegistryError> {
        let scopes = auth::push(&upload.repository.path, None);
        let mut tries = Tries::new(self.network.retry());
        let (mut refused, mut changes) = (0, 0);
        let mut content = None;
        // How this blob is sent, where that is not how the others are.
        let mut own: Option<Strategy> = None;
        let mut mount_from = upload.mount_from;
        let mut sent = false;
        loop {
            if (sent || !upload.force) && self.is_there(upload, &scopes).await? {
                return Ok(if sent { How::Uploaded } else { How::Present });
            }
            let mounted = self.mount(upload, std::mem::take(&mut mount_from)).await?;
            if let Mount::Done = mounted {
                return Ok(How::Mounted);
            }
            if content.is_none() {
                content = Some(self.content(upload).await?);
            }
            let Some(content) = &content else { continue };
            let slot = self.slots.acquire().await;
            let session = match mounted {
                Mount::Session(session) => session,
                Mount::Done | Mount::None => self.begin(upload, &scopes).await?,
            };
            let size = upload.descriptor.size;
            let shared = *upload.repository.endpoint.strategy.lock().unwrap_or_else(PoisonError::into_inner);
            let strategy = own.unwrap_or(match shared {
                Strategy::Chunks(chunk) if size <= chunk => Strategy::Whole,
                shared => shared,
            });
            sent = true;
            let error = match self.transfer(upload, content, &scopes, session, strategy, progress).await {
                Ok(()) => return Ok(How::Uploaded),
                Err(error) => error,
            };
            drop(slot);
            let mut told = None;
            match &error {
                RegistryError::Refused(refusal) => {
                    if let Some(other) = strategy.after(refusal, size).filter(|_| changes < 8) {
                        changes += 1;
                        // Learned once for all blobs; what another one has learned meanwhile is tried first, where it is
                        // less than what was refused here.
                        let mut shared =
                            upload.repository.endpoint.strategy.lock().unwrap_or_else(PoisonError::into_inner);
                        own = None;
                        if *shared == strategy || other.most(u64::MAX) < shared.most(u64::MAX) {
                            *shared = other;
                        } else if shared.most(size) >= strategy.most(size) {
                            own = Some(other);
                        }
                        continue;
                    }
                    told = refusal.retry_after;
                    if !refusal.is_temporary() {
                        // A session that is gone, or out of step, may mean that the blob has arrived (a proxy sent the
                        // request twice). It is asked for; but what is refused again and again is refused.
                        let doubtful = matches!(refusal.status, 404 | 408 | 409 | 416)
                            || [
                                "BLOB_UPLOAD_UNKNOWN",
                                "BLOB_UPLOAD_INVALID",
                                "DIGEST_INVALID",
                                "SIZE_INVALID",
                                "RANGE_INVALID",
                            ]
                            .iter()
                            .any(|code| refusal.says(code));
                        refused += 1;
                        if !doubtful || refused >= 3 {
                            return Err(error.after(refused));
                        }
                    }
                }
                RegistryError::Unanswered(failed) if failed.source.is_temporary() => {}
                // Nonsense in answer to a body may be a proxy's; once.
                RegistryError::Protocol { .. } if refused == 0 => refused += 1,
                _ => return Err(error),
            }
            match tries.pause(told) {
                Some(pause) => self.pause(&error, &tries, pause).await,
                None if self.is_there(upload, &scopes).await.unwrap_or(false) => return Ok(How::Uploaded),
                None => return Err(error.after(tries.made())),
            }
        }
    }

    /// The bytes to send, brought here where they are not.
    async fn content(&self, upload: &Upload<'_>) -> Result<Content, RegistryError> {
        let (reference, store) = match upload.source {
            BlobSource::Content(content) => return Ok(content.clone()),
            BlobSource::Registry { reference, store } => (reference, store),
        };
        self.fetch_into(upload.image, reference, upload.descriptor, store).await?;
        let digest = upload.descriptor.digest;
        store.content(upload.descriptor).map_err(|source| RegistryError::Store { digest, source })
    }

    /// Whether the registry says that it has the blob. A refusal to say is left to the upload, whose refusal has words.
    async fn is_there(&self, upload: &Upload<'_>, scopes: &Scopes) -> Result<bool, RegistryError> {
        match self.head_blob(upload.repository, scopes, upload.descriptor).await {
            Err(RegistryError::Refused(refusal)) if !refusal.is_temporary() => Ok(false),
            other => other,
        }
    }

    /// Asks the registry to take the blob over from one of its other repositories.
    async fn mount(&self, upload: &Upload<'_>, from: &[String]) -> Result<Mount, RegistryError> {
        // Those that are named have it; where the first two cannot be used, neither can the others.
        let mounts = &upload.repository.endpoint.mounts;
        for from in from.iter().filter(|from| **from != upload.repository.path).take(2) {
            if !mounts.load(Ordering::Relaxed) {
                break;
            }
            let scopes = auth::push(&upload.repository.path, Some(from));
            let query = format!(
                "blobs/uploads/?mount={}&from={}",
                encoded(&upload.descriptor.digest.to_string()),
                encoded(from)
            );
            let ask = Ask::new(upload.repository, scopes, Method::POST, &query).good(&[200, 201, 202, 204]);
            match self.send(&ask).await {
                Ok(answer) if answer.status == StatusCode::ACCEPTED => {
                    return Ok(Mount::Session(self.session(&ask, upload, &answer)?));
                }
                Ok(answer) if self.compare(&ask, upload, &answer).is_ok() => return Ok(Mount::Done),
                // Another blob was mounted, or so it says: then this one is sent.
                Ok(_) => mounts.store(false, Ordering::Relaxed),
                // Not allowed, not known, not done here: the same.
                Err(RegistryError::Refused(refusal)) if !refusal.is_temporary() => {}
                // What fails again and again for mounts may well do for uploads.
                Err(RegistryError::Refused(_)) => mounts.store(false, Ordering::Relaxed),
                Err(RegistryError::Token { source, .. }) if !source.is_temporary() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Mount::None)
    }

    /// Opens a session.
    async fn begin(&self, upload: &Upload<'_>, scopes: &Scopes) -> Result<Session, RegistryError> {
        let ask =
            Ask::new(upload.repository, scopes.clone(), Method::POST, "blobs/uploads/").good(&[200, 201, 202, 204]);
        let answer = self.send(&ask).await?;
        self.session(&ask, upload, &answer)
    }

    fn session(&self, ask: &Ask<'_>, upload: &Upload<'_>, answer: &Answer) -> Result<Session, RegistryError> {
        let least =
            answer.headers.get(MIN_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        match self.next_url(ask, upload.repository, &answer.url, &answer.headers)? {
            Some(url) => Ok(Session { url, least }),
            None => {
                Err(self.nonsense(ask, &answer.url, "the answer does not say where to send the blob (no Location)"))
            }
        }
    }

    /// The address in `Location`. From the registry itself, but called http because it stands behind a proxy that speaks
    /// https for it, it is taken for https.
    fn next_url(
        &self,
        ask: &Ask<'_>,
        repository: &Repository,
        from: &Url,
        headers: &HeaderMap,
    ) -> Result<Option<Url>, RegistryError> {
        let found = location(from, headers).map_err(|source| self.nonsense(ask, from, source.to_string()))?;
        let Some(mut url) = found else { return Ok(None) };
        if from.scheme() == "https" && url.scheme() == "http" {
            let own = repository.endpoint.url(Scheme::Https, "")?;
            if own.host() != url.host() {
                return Err(self.nonsense(ask, from, "it leads from https to http"));
            }
            let behind = url.path().to_owned();
            let query = url.query().map(str::to_owned);
            url = own;
            url.set_path(&behind);
            url.set_query(query.as_deref());
        }
        Ok(Some(url))
    }

    /// Sends the bytes, in one of the ways, and closes the session.
    async fn transfer(
        &self,
        upload: &Upload<'_>,
        content: &Content,
        scopes: &Scopes,
        session: Session,
        strategy: Strategy,
        progress: &Arc<Progress>,
    ) -> Result<(), RegistryError> {
        let size = upload.descriptor.size;
        let part =
            |offset, length| Payload::Part { content: content.clone(), offset, length, progress: progress.clone() };
        let chunk = match strategy {
            Strategy::Whole => return self.close(upload, scopes, session.url, part(0, size)).await,
            Strategy::Stream => size,
            Strategy::Chunks(chunk) => chunk.max(session.least),
        };
        let mut url = session.url;
        let mut offset = 0;
        while offset < size {
            let length = chunk.min(size - offset);
            let mut ask = Ask::new(upload.repository, scopes.clone(), Method::PATCH, "")
                .at(url.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .payload(part(offset, length))
                .good(&[200, 201, 202, 204])
                .once();
            if strategy != Strategy::Stream {
                ask = ask.header(CONTENT_RANGE, &format!("{offset}-{}", offset + length - 1));
            }
            let answer = self.send(&ask).await.map_err(|error| content_error(upload, error))?;
            offset += length;
            // A registry that kept less than it was sent would make a blob with a hole.
            if let Some(last) = answer.headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(last_byte)
                && last.saturating_add(1) != offset
            {
                let has = last.saturating_add(1);
                return Err(self.nonsense(&ask, &answer.url, format!("it has {has} bytes after {offset} were sent")));
            }
            if let Some(next) = self.next_url(&ask, upload.repository, &answer.url, &answer.headers)? {
                url = next;
            }
        }
        self.close(upload, scopes, url, Payload::None).await
    }

    /// Closes the session: the registry checks the digest.
    async fn close(
        &self,
        upload: &Upload<'_>,
        scopes: &Scopes,
        mut url: Url,
        payload: Payload,
    ) -> Result<(), RegistryError> {
        // Added as text: what the registry put into the query stays byte for byte.
        let digest = format!("digest={}", encoded(&upload.descriptor.digest.to_string()));
        let query =
            url.query().filter(|query| !query.is_empty()).map_or(digest.clone(), |query| format!("{query}&{digest}"));
        url.set_query(Some(&query));
        let ask = Ask::new(upload.repository, scopes.clone(), Method::PUT, "")
            .at(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .payload(payload)
            .good(&[200, 201, 202, 204])
            .once();
        let answer = self.send(&ask).await.map_err(|error| content_error(upload, error))?;
        self.compare(&ask, upload, &answer)
    }

    /// What the registry says it has must be what it was sent.
    fn compare(&self, ask: &Ask<'_>, upload: &Upload<'_>, answer: &Answer) -> Result<(), RegistryError> {
        match digest_header(&answer.headers) {
            Some(found) if found != upload.descriptor.digest => {
                let reason = format!("it says that blob {} has digest {found}", upload.descriptor.digest);
                Err(self.nonsense(ask, &answer.url, reason))
            }
            _ => Ok(()),
        }
    }
}

enum Mount {
    Done,
    Session(Session),
    None,
}

/// A blob that cannot be read is not the registry's fault.
fn content_error(upload: &Upload<'_>, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Unanswered(failed) => match failed.source {
            NetError::Content(source) => RegistryError::Content { digest: upload.descriptor.digest, source },
            source => RegistryError::from(Box::new(Unanswered { source, ..*failed })),
        },
        other => other,
    }
}

/// The last byte in `Range: 0-99` (with `bytes=` from some registries).
fn last_byte(text: &str) -> Option<u64> {
    let (first, last) = text.trim().trim_start_matches("bytes=").split_once('-')?;
    // Nothing yet is written `0-0` by some: that is never what is compared with here.
    (first == "0").then(|| last.trim().parse().ok()).flatten()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Refusal;
    use super::*;

    #[test]
    fn other_ways_are_taken_where_a_registry_wants_them() {
        let refusal = |status| Refusal {
            registry: String::new(),
            method: "PUT".to_owned(),
            url: String::new(),
            status,
            reasons: Vec::new(),
            tries: 1,
            credentials: String::new(),
            advice: None,
            retry_after: None,
        };
        let big = 1 << 30;
        for (from, status, size, wanted) in [
            (Strategy::Whole, 413, big, Some(Strategy::Chunks(64 << 20))),
            (Strategy::Whole, 413, 10 << 20, Some(Strategy::Chunks(5 << 20))),
            (Strategy::Chunks(64 << 20), 413, big, Some(Strategy::Chunks(16 << 20))),
            (Strategy::Chunks(512 << 10), 413, big, None),
            (Strategy::Whole, 413, 1000, None),
            (Strategy::Stream, 413, big, Some(Strategy::Chunks(64 << 20))),
            (Strategy::Whole, 405, big, Some(Strategy::Stream)),
            (Strategy::Stream, 405, big, None),
            (Strategy::Chunks(1 << 20), 405, big, Some(Strategy::Whole)),
            (Strategy::Whole, 404, big, None),
            (Strategy::Whole, 500, big, None),
        ] {
            assert_eq!(from.after(&refusal(status), size), wanted, "{from:?} {status} {size}");
        }
    }

    #[test]
    fn ranges_of_an_upload() {
        assert_eq!(last_byte("0-99"), Some(99));
        assert_eq!(last_byte("bytes=0-99"), Some(99));
        assert_eq!(last_byte("5-99"), None);
        assert_eq!(last_byte("0"), None);
    }
}
