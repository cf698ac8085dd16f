//! What layers of packages come from, and what was made of it.

use std::fmt;

use super::key::{FORMAT, LayerKey};
use super::{Layer, LayerForm, Traits, finished};
use crate::debian::effects::EFFECTS;
use crate::oci::{Descriptor, DiffId, Digest, MediaType, json};
use crate::store::{BlobStore, StoreError, read_record, write_record};

/// What layers are, from the lowest up: a base's by their diff IDs, those that a recipe makes by their keys. It is known
/// before any of their bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain([u8; 32]);

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", blake3::Hash::from_bytes(self.0))
    }
}

impl Chain {
    /// The layers of a base.
    pub fn of(base: impl IntoIterator<Item = DiffId>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lapstrake chain");
        for diff_id in base {
            hasher.update(diff_id.0.raw());
        }
        Chain(*hasher.finalize().as_bytes())
    }

    /// The same with one layer more.
    #[must_use]
    pub fn then(self, key: LayerKey) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(key.raw());
        Chain(*hasher.finalize().as_bytes())
    }

    /// What stands for it in a lock.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl LayerKey {
    /// The key of a layer of packages, whose tree follows from what it is made from: nothing of it is fetched or unpacked
    /// to know it. `below` is what it stands on; `parts` are everything else that can change the tree, in a fixed order.
    pub fn of_plan<'a>(form: LayerForm, below: Chain, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(b"lapstrake plan 2");
        add(&FORMAT.to_le_bytes());
        add(&EFFECTS.to_le_bytes());
        add(form.encoding.id().as_bytes());
        add(&below.0);
        for part in parts {
            add(part.as_bytes());
        }
        LayerKey::from_raw(*hasher.finalize().as_bytes())
    }
}

impl LayerKey {
    /// The key of a further part of a layer that is split; the first has the key itself.
    #[must_use]
    pub fn part(self, number: usize) -> Self {
        if number == 0 {
            return self;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lapstrake part");
        hasher.update(self.raw());
        hasher.update(&(number as u64).to_le_bytes());
        LayerKey::from_raw(*hasher.finalize().as_bytes())
    }
}

/// The bucket of what is remembered of plans.
const PLANS: &str = "plans-v2";

/// The bucket of what came to nothing.
const PROOFS: &str = "proofs-v1";

/// What is remembered of a plan.
#[derive(serde::Serialize, serde::Deserialize)]
struct Carried {
    diff_id: DiffId,
    digest: Digest,
    size: u64,
    traits: String,
}

/// The layer that was made of a plan; `None` where its blob is gone.
pub fn recall_plan(store: &BlobStore, plan: LayerKey, form: LayerForm) -> Option<Layer> {
    let Carried { diff_id, digest, size, traits } = json::parse(&read_record(store, PLANS, &plan.hex())?).ok()?;
    let traits: Traits = traits.parse().ok()?;
    // Opened, so that its use is noted.
    store.content(&Descriptor::new(MediaType::Other(String::new()), digest, size)).ok()?;
    Some(finished(form, digest, size, diff_id, plan, true).of_plan(plan, traits))
}

/// Remembers what a plan came to: a layer that has its key.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_plan(store: &BlobStore, layer: &Layer) -> Result<(), StoreError> {
    let Descriptor { digest, size, .. } = layer.descriptor;
    let carried = Carried { diff_id: layer.diff_id, digest, size, traits: layer.traits.to_string() };
    write_record(store, PLANS, &layer.key.hex(), &json::canonical(&carried).unwrap_or_default())
}

/// Whether it is remembered that something came to nothing that would have to be made or said.
pub fn is_proven(store: &BlobStore, proof: LayerKey) -> bool {
    read_record(store, PROOFS, &proof.hex()).is_some()
}

/// Remembers that something came to nothing.
///
/// # Errors
/// Where it cannot be written.
pub fn remember_proof(store: &BlobStore, proof: LayerKey) -> Result<(), StoreError> {
    write_record(store, PROOFS, &proof.hex(), b"")
}
