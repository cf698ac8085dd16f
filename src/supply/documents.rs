//! What is remembered of documents: the last that came from each address.

use serde::{Deserialize, Serialize};
use url::Url;

use super::Document;
use super::links::without_secrets;
use crate::oci::Digest;
use crate::store::{BlobStore, StoreError, read_record, write_record};

/// Where it is remembered.
const BUCKET: &str = "documents-v1";

/// A document, and the server's tag for it.
pub(super) struct Kept {
    pub(super) document: Document,
    pub(super) tag: Option<String>,
}

/// The first line of a record; the document's bytes follow.
#[derive(Serialize, Deserialize)]
struct Head {
    address: Url,
    content_type: String,
    tag: Option<String>,
}

/// What came last from an address, asked for in these words; `None` where nothing did.
pub(super) fn recall(store: &BlobStore, address: &Url, accept: Option<&str>) -> Option<Kept> {
    let mut record = read_record(store, BUCKET, &name(address, accept))?;
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&record[..end]).ok()?;
    let bytes = record.split_off(end + 1);
    Some(Kept { document: Document { bytes, content_type: head.content_type, address: head.address }, tag: head.tag })
}

/// Remembers what came from an address. Of a page of links (one that was asked for in certain words) nothing is written that
/// may be a signature or a login: whoever may get the file gets the page anew.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn remember(
    store: &BlobStore,
    address: &Url,
    accept: Option<&str>,
    document: &Document,
    tag: Option<String>,
) -> Result<(), StoreError> {
    let bare = accept.and_then(|_| without_secrets(&document.bytes));
    // Without its tag it is all there is offline, and never taken for what the server still has.
    let tag = tag.filter(|_| bare.is_none());
    let head = Head { address: document.address.clone(), content_type: document.content_type.clone(), tag };
    let head = serde_json::to_vec(&head);
    let mut record = head.map_err(|error| StoreError::io("writing", &store.root().join(BUCKET))(error.into()))?;
    record.push(b'\n');
    record.extend_from_slice(bare.as_deref().unwrap_or(&document.bytes));
    write_record(store, BUCKET, &name(address, accept), &record)
}

/// Nothing of an address can be read in it.
fn name(address: &Url, accept: Option<&str>) -> String {
    Digest::of(format!("{address}\n{}", accept.unwrap_or_default()).as_bytes()).hex().to_owned()
}
