//! What the tests of this module share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{FakeRegistry, digest_of};
use crate::content::Content;
use crate::net::{Network, NetworkOptions, Patience, RetryPolicy, RootSettings, Secret};
use crate::oci::{Compression, Descriptor, Digest, Family, MediaType, Reference};
use crate::registry::{
    BlobSource, CredentialSource, PushBlob, PushImage, PushManifest, Registries, RegistryError, RegistryOptions,
    RegistrySettings, Security,
};
use crate::report::{Event, Report, Reporter};
use crate::store::BlobStore;

/// A password that must not be seen anywhere.
pub(super) const CANARY: &str = "canary-7f3a9";

/// Hears everything, as text.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<String>>>);

impl Report for Heard {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Heard {
    pub(super) fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

/// Everything that a test needs to talk to fake registries.
pub(super) struct Bench {
    pub(super) registries: Registries,
    pub(super) store: BlobStore,
    pub(super) heard: Heard,
    _directory: tempfile::TempDir,
}

/// A network that does not wait long.
pub(super) fn quick() -> NetworkOptions {
    NetworkOptions {
        retry: RetryPolicy {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            longest_told: Duration::from_millis(30),
            ..RetryPolicy::default()
        },
        patience: Patience {
            connect: Duration::from_secs(1),
            idle: Duration::from_millis(400),
            commit: Duration::from_millis(800),
            line: 1 << 30,
            ..Patience::default()
        },
        roots: RootSettings { only_these: true, ..RootSettings::default() },
        ..NetworkOptions::default()
    }
}

/// Options that speak http with these registries.
pub(super) fn plain(fakes: &[&FakeRegistry]) -> RegistryOptions {
    let settings = RegistrySettings { security: Some(Security::Plain), ..RegistrySettings::default() };
    RegistryOptions {
        registries: fakes.iter().map(|fake| (fake.name(), settings.clone())).collect::<BTreeMap<_, _>>(),
        ..RegistryOptions::default()
    }
}

/// Credentials `bob` with the canary, for these registries.
pub(super) fn bob(fakes: &[&FakeRegistry]) -> CredentialSource {
    let entry = |fake: &&FakeRegistry| format!(r#""{}":{{"username":"bob","password":"{CANARY}"}}"#, fake.name());
    let entries: Vec<String> = fakes.iter().map(entry).collect();
    let json = format!(r#"{{"auths":{{{}}}}}"#, entries.join(","));
    CredentialSource::Inline { named: "TEST", json: Secret::new(json) }
}

impl Bench {
    pub(super) fn with(network: &NetworkOptions, options: RegistryOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
        let heard = Heard::default();
        let network = Network::new(network).unwrap();
        let registries = Registries::new(&network, options, &Reporter::new(heard.clone()));
        Bench { registries, store, heard, _directory: directory }
    }

    pub(super) fn new(fakes: &[&FakeRegistry]) -> Self {
        Self::with(&quick(), plain(fakes))
    }

    /// The same, and the canary is the password there.
    pub(super) fn as_bob(fakes: &[&FakeRegistry]) -> Self {
        Self::with(&quick(), RegistryOptions { credentials: vec![bob(fakes)], ..plain(fakes) })
    }

    /// No temporary file is left, and the canary is in nothing that was said or stored.
    pub(super) fn clean(&self) {
        assert_eq!(std::fs::read_dir(self.store.tmp()).unwrap().count(), 0, "temporary files are left");
        assert!(!self.heard.all().contains(CANARY), "the canary was said: {}", self.heard.all());
        let shown = format!("{:?}", self.registries);
        assert!(!shown.contains(CANARY), "{shown}");
        for entry in walkdir::WalkDir::new(self.store.root()) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
            }
        }
    }
}

/// An error with its causes, in all its forms; the canary is not in it.
pub(super) fn whole(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    for form in [&text, &format!("{error:?} {error:#?}"), &error.advice().unwrap_or_default()] {
        assert!(!form.contains(CANARY), "the canary is in {form}");
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("bob:{CANARY}"));
        assert!(!form.contains(&encoded), "the canary is in {form}");
    }
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
    text
}

/// Bytes that do not repeat soon, always the same for a seed.
pub(super) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::Layer(Family::Oci, Compression::Gzip), bytes)
}

pub(super) fn reference(fake: &FakeRegistry, rest: &str) -> Reference {
    format!("{}/{rest}", fake.name()).parse().unwrap()
}

/// A manifest with these layers; the first one stands in for the config.
pub(super) fn manifest(blobs: &[Vec<u8>]) -> PushManifest {
    let (config, layers) = blobs.split_first().unwrap();
    let config_descriptor = Descriptor::of(MediaType::Config(Family::Oci), config);
    let layers: Vec<Descriptor> = layers.iter().map(|bytes| layer(bytes)).collect();
    let document = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::Manifest(Family::Oci).as_str(),
        "config": config_descriptor,
        "layers": layers,
    });
    let bytes = serde_json::to_vec(&document).unwrap();
    let all = std::iter::once(config_descriptor).chain(layers).zip(blobs);
    PushManifest {
        descriptor: Descriptor::of(MediaType::Manifest(Family::Oci), &bytes),
        bytes,
        blobs: all
            .map(|(descriptor, bytes)| PushBlob {
                source: BlobSource::Content(Content::inline(bytes.clone()).with_digest(descriptor.digest)),
                descriptor,
                mount_from: Vec::new(),
                there: None,
            })
            .collect(),
    }
}

/// An index of these manifests.
pub(super) fn index(children: &[&PushManifest]) -> PushManifest {
    let manifests: Vec<&Descriptor> = children.iter().map(|child| &child.descriptor).collect();
    let document = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::Index(Family::Oci).as_str(),
        "manifests": manifests,
    });
    let bytes = serde_json::to_vec(&document).unwrap();
    PushManifest { descriptor: Descriptor::of(MediaType::Index(Family::Oci), &bytes), bytes, blobs: Vec::new() }
}

/// An image of one manifest, on its way to that repository.
pub(super) fn image(fake: &FakeRegistry, repository: &str, tags: &[&str], blobs: &[Vec<u8>]) -> PushImage {
    PushImage {
        about: None,
        seen: Default::default(),
        repository: reference(fake, repository),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        manifests: vec![manifest(blobs)],
    }
}

/// That the image is at the registry: under its tags, with all its blobs.
pub(super) fn assert_there(fake: &FakeRegistry, image: &PushImage) {
    let repository = image.repository.repository();
    let root = image.manifests.last().unwrap();
    for tag in &image.tags {
        assert_eq!(fake.tag(repository, tag), Some(root.descriptor.digest.to_string()), "{repository}:{tag}");
    }
    for manifest in &image.manifests {
        let found = fake.manifest(repository, &manifest.descriptor.digest.to_string());
        assert_eq!(found.as_ref(), Some(&manifest.bytes));
        for blob in &manifest.blobs {
            let found = fake.blob(repository, &blob.descriptor.digest.to_string()).expect("the blob is there");
            assert_eq!(digest_of(&found), blob.descriptor.digest.to_string());
        }
    }
    assert_eq!(fake.violations(), Vec::<String>::new());
}

/// A digest that nothing has.
pub(super) fn nothing() -> Digest {
    Digest::from_raw([0xab; 32])
}
