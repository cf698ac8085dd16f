//! What layers of packages come from, and what was made of it.

use super::key::{FORMAT, LayerKey};
use super::{Layer, LayerForm, finished};
use crate::debian::effects::EFFECTS;
use crate::oci::{Descriptor, DiffId, Digest, MediaType, json};
use crate::store::{BlobStore, StoreError, read_record, write_record};

/// What a layer of packages comes from: pins, options, and the layers below. Where it is known, nothing of the packages is
/// fetched or unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan(blake3::Hash);

impl Plan {
    /// The plan of a layer of that form on top of layers with these diff IDs, lowest first. `parts` are everything else
    /// that can change the tree, in a fixed order.
    pub fn new<'a>(
        form: LayerForm,
        below: impl Iterator<Item = DiffId>,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(b"lapstrake plan 2");
        add(&FORMAT.to_le_bytes());
        add(&EFFECTS.to_le_bytes());
        add(form.encoding.id().as_bytes());
        for diff_id in below {
            add(diff_id.0.raw());
        }
        add(b"parts");
        for part in parts {
            add(part.as_bytes());
        }
        Plan(hasher.finalize())
    }
}

/// The bucket of what is remembered of plans.
const PLANS: &str = "plans-v1";

/// What is remembered of a plan.
#[derive(serde::Serialize, serde::Deserialize)]
struct Carried {
    key: LayerKey,
    diff_id: DiffId,
    digest: Digest,
    size: u64,
    newest: Option<i64>,
}

/// The layer that was made of that plan, and the newest time inside what it came from; `None` where its blob is gone.
pub fn recall_plan(store: &BlobStore, plan: Plan, form: LayerForm) -> Option<(Layer, Option<i64>)> {
    let Carried { key, diff_id, digest, size, newest } =
        json::parse(&read_record(store, PLANS, &plan.0.to_hex())?).ok()?;
    store.content(&Descriptor::new(MediaType::Other(String::new()), digest, size)).ok()?;
    Some((finished(form, digest, size, diff_id, key, true), newest))
}

/// Whether it is remembered that a plan came to nothing that would have to be made.
pub fn recall_nothing(store: &BlobStore, plan: Plan) -> bool {
    read_record(store, PLANS, &plan.0.to_hex()).is_some_and(|record| record == NOTHING)
}

/// Remembers that a plan came to nothing.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_nothing(store: &BlobStore, plan: Plan) -> Result<(), StoreError> {
    write_record(store, PLANS, &plan.0.to_hex(), NOTHING)
}

const NOTHING: &[u8] = b"null";

/// Remembers what a plan came to.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_plan(store: &BlobStore, plan: Plan, layer: &Layer, newest: Option<i64>) -> Result<(), StoreError> {
    let Descriptor { digest, size, .. } = layer.descriptor;
    let carried = Carried { key: layer.key, diff_id: layer.diff_id, digest, size, newest };
    write_record(store, PLANS, &plan.0.to_hex(), &json::canonical(&carried).unwrap_or_default())
}
