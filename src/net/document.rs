//! Documents from web servers that no digest is known of: signed indexes, pages of package indexes.

use std::io::Read;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use url::Url;

use super::fetch::Web;
use super::{Answer, Fetch, FetchError, NetError, Network, Ranged, Tries};
use crate::report::{Phase, Reporter, Task};

/// What a server said to a request for a document.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It is still what was there under the tag that was handed in.
    Unchanged,
    /// The document.
    Document {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its media type; empty where none was said.
        content_type: String,
        /// Where it came from in the end.
        address: Url,
        /// The server's tag for it.
        tag: Option<String>,
    },
}

impl Network {
    /// Gets a document into memory; [`Fetch::limit`] is for its bytes as they are kept. `known` is the tag of what is there
    /// already. A connection that breaks is begun anew.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn document(&self, what: &Fetch, known: Option<&str>, reporter: &Reporter) -> Result<Reply, FetchError> {
        what.teach(self);
        let mut tries = Tries::new(&what.retry(self));
        loop {
            let web = Web { encodings: "gzip", known, ..Web::new(self, what, reporter) };
            let source = match self.wait(once(&web)) {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(broken)) => broken,
                Err(error) => return Err(error),
            };
            let pause = if source.is_temporary() { tries.pause(None) } else { None };
            let Some(pause) = pause else { return Err(web.broke(source, tries.made().max(1))) };
            web.again(&source, tries.made(), tries.limit(), pause);
            self.wait(async {
                tokio::time::sleep(pause).await;
                Ok::<_, FetchError>(())
            })?;
        }
    }
}

/// One answer, read to its end. The inner error is about the body.
async fn once(web: &Web<'_>) -> Result<Result<Reply, NetError>, FetchError> {
    let answer = web.open(0).await?;
    if answer.status == StatusCode::NOT_MODIFIED {
        return Ok(Ok(Reply::Unchanged));
    }
    if answer.status != StatusCode::OK {
        let status = answer.status.as_u16();
        return Ok(Err(NetError::Malformed(format!("status {status} to a request for everything"))));
    }
    let task = web.reporter.task(Phase::Download, web.what.shown(), answer.content_length());
    let text = |name: HeaderName| text(&answer.headers, name).unwrap_or_default();
    let (content_type, encoding) = (text(CONTENT_TYPE), text(CONTENT_ENCODING));
    let tag = Some(text(ETAG)).filter(|tag| !tag.is_empty());
    let address = answer.url.clone();
    let limit = web.what.limit;
    Ok(body(answer, limit, &task)
        .await
        .and_then(|bytes| decoded(bytes, &encoding, limit))
        .map(|bytes| Reply::Document { bytes, content_type, address, tag }))
}

async fn body(mut answer: Answer, limit: u64, task: &Task) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(NetError::TooLong { limit });
    }
    while let Some(chunk) = answer.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(NetError::TooLong { limit });
        }
        task.advance(chunk.len() as u64);
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What the bytes are without the encoding of their way.
fn decoded(bytes: Vec<u8>, encoding: &str, limit: u64) -> Result<Vec<u8>, NetError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(bytes),
        "gzip" | "x-gzip" => {
            let mut plain = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(&bytes[..]).take(limit.saturating_add(1));
            decoder
                .read_to_end(&mut plain)
                .map_err(|error| NetError::Malformed(format!("its gzip is broken: {error}")))?;
            if plain.len() as u64 > limit {
                return Err(NetError::TooLong { limit });
            }
            Ok(plain)
        }
        _ => Err(NetError::Malformed("its encoding is none that was asked for".to_owned())),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}
