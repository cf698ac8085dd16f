//! What images are read from, whatever kind of place it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::artifact::untagged;
use crate::code::Cause;
use crate::content::Content;
use crate::oci::json::MAX_DOCUMENT;
use crate::oci::{Descriptor, Digest, JsonError};
use crate::shown::Shown;
use crate::store::{BlobStore, StoreError};

/// Gives out blobs: a layout, an archive, a registry, the store, or memory.
pub trait BlobSource: Send + Sync {
    /// The blob's bytes. They have the descriptor's length, and whoever reads them to the end learns of it where they are
    /// not what the digest says.
    ///
    /// # Errors
    /// Where the blob is not there, or is not what the descriptor says.
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError>;

    /// The registry that alone has the blob so far: asking for its bytes would bring them here, which a push to the same
    /// registry need not do.
    fn held_by(&self, _descriptor: &Descriptor) -> Option<crate::oci::Reference> {
        None
    }

    /// The registry that the blob comes from, whether it is here already or not: where it can be mounted from.
    fn comes_from(&self, _descriptor: &Descriptor) -> Option<crate::oci::Reference> {
        None
    }
}

/// A place that holds images.
pub trait ImageSource: BlobSource {
    /// The tag of a registry whose answer this is, where the registry itself was asked for it just now: no mirror, no cache.
    fn answers_for(&self) -> Option<crate::oci::Reference> {
        None
    }

    /// The images that the place lists, each once, in the order in which they are listed.
    ///
    /// # Errors
    /// Where they cannot be told.
    fn roots(&self) -> Result<Vec<Root>, SourceError>;

    /// The bytes of a manifest, index or config, checked against the descriptor.
    ///
    /// # Errors
    /// Where it is not there, is damaged, or is larger than [`MAX_DOCUMENT`].
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        read_document(self, descriptor)
    }
}

/// An image that a place lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its manifest or index.
    pub descriptor: Descriptor,
    /// What the place calls it: references, tags or words, as they are written there. May be empty.
    pub names: Vec<ListedName>,
}

/// A name as a place lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedName {
    /// `org.opencontainers.image.ref.name`, or the tag of a docker-archive.
    pub name: Option<String>,
    /// `io.containerd.image.name`.
    pub containerd: Option<String>,
}

impl ListedName {
    /// The texts, the plain name first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.name.as_deref().into_iter().chain(self.containerd.as_deref())
    }
}

impl Root {
    /// The same with the names alone of the images of which one is meant, under whatever tags.
    pub(super) fn only(mut self, is_meant: impl Fn(&str) -> bool) -> Self {
        // A bare word beside which no full name stands is a tag: of the one image that the place does not name.
        let image = |listed: &ListedName| match (&listed.name, &listed.containerd) {
            (Some(tag), None) if !tag.contains([':', '/', '@']) => Some(String::new()),
            _ => listed.texts().last().map(|text| untagged(text).to_owned()),
        };
        let meant: BTreeSet<String> =
            self.names.iter().filter(|listed| listed.texts().any(&is_meant)).filter_map(image).collect();
        self.names.retain(|listed| image(listed).is_some_and(|image| meant.contains(&image)));
        self
    }

    /// What to call it in messages.
    pub fn shown(&self) -> String {
        let names: Vec<&str> = self.names.iter().filter_map(|name| name.texts().next()).collect();
        match names.is_empty() {
            true => format!("@{} (without a name)", self.descriptor.digest),
            false => names.join(", "),
        }
    }
}

/// Why an image cannot be read from a place.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be used.
    #[error("{action} {}", Shown::new(path.as_os_str().as_encoded_bytes()))]
    Io {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The place is not of the kind that it was said to be.
    #[error("{place} {reason}")]
    Kind {
        /// The place.
        place: Shown,
        /// What it is, or lacks.
        reason: String,
    },
    /// Something inside the place is wrong.
    #[error("{item} in {place} {reason}")]
    Damaged {
        /// What.
        item: String,
        /// The place.
        place: Shown,
        /// What is wrong with it.
        reason: String,
    },
    /// Something inside the place cannot be read as what it should be.
    #[error("reading {item} in {place}")]
    Document {
        /// What.
        item: String,
        /// The place.
        place: Shown,
        /// Why not.
        source: JsonError,
    },
    /// A registry does not give what it should.
    #[error("reading {place}")]
    Remote {
        /// The reference.
        place: Shown,
        /// Why not.
        source: Box<crate::registry::RegistryError>,
    },
    /// Bytes are not what their descriptor says, or could not be read.
    #[error("reading {digest}")]
    Blob {
        /// Which.
        digest: Digest,
        /// Why not.
        source: io::Error,
    },
    /// Something is mentioned, and is not there.
    #[error("{digest} is not in {place}")]
    Absent {
        /// Which.
        digest: Digest,
        /// The place.
        place: Shown,
    },
    /// An index lists more than the place holds, as archives that were saved for one platform do.
    #[error(
        "{place} holds a part of the image only, {digest} is not there: choose a platform that is, with --platform"
    )]
    Partial {
        /// What is not there.
        digest: Digest,
        /// The place.
        place: Shown,
    },
    /// A document is longer than documents may be.
    #[error("{digest} has {size} bytes, and the limit for manifests, indexes and configs is {MAX_DOCUMENT}")]
    TooLarge {
        /// Which.
        digest: Digest,
        /// Its announced length.
        size: u64,
    },
    /// A document or blob is not what it should be.
    #[error("{digest} {reason}")]
    Contradiction {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The document is not the JSON that it should be.
    #[error("reading the document {digest}")]
    Json {
        /// Which.
        digest: Digest,
        /// Why not.
        source: JsonError,
    },
    /// No image of that name.
    #[error("there is no image {wanted}; there are: {}", list(there))]
    NoSuchImage {
        /// What was asked for.
        wanted: Shown,
        /// What there is.
        there: Vec<String>,
    },
    /// There are several images, and one is needed.
    #[error("there are several images, name one of them after another colon: {}", list(there))]
    Several {
        /// What there is.
        there: Vec<String>,
    },
    /// No image for that platform.
    #[error("there is no image for {wanted}; there are: {}", list(there))]
    NoPlatform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source that is not built in (a registry) failed.
    #[error(transparent)]
    Other(#[from] Cause),
}

impl SourceError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
        let path = path.to_owned();
        move |source| SourceError::Io { action, path, source }
    }

    /// A name with a login in it, which is not shown.
    pub(super) fn login(item: &str, place: &Shown) -> SourceError {
        let reason = "gives an image a name that holds a login, which is not shown: a name holds none".to_owned();
        SourceError::Damaged { item: item.to_owned(), place: place.clone(), reason }
    }
}

/// At most twenty of a list, for messages.
fn list(items: &[String]) -> String {
    const MOST: usize = 20;
    match items.len() {
        0 => "none".to_owned(),
        count if count > MOST => format!("{}, and {} more", escaped(&items[..MOST]), count - MOST),
        _ => escaped(items),
    }
}

fn escaped(items: &[String]) -> String {
    let shown: Vec<String> = items.iter().map(|item| Shown::new(item.as_bytes()).bare().to_owned()).collect();
    shown.join(", ")
}

/// A small blob of any source, whole and checked.
///
/// # Errors
/// Where it is not there, is damaged, or is larger than [`MAX_DOCUMENT`].
pub(super) fn read_document<S: BlobSource + ?Sized>(
    source: &S,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, SourceError> {
    let Descriptor { digest, size, .. } = *descriptor;
    if size > MAX_DOCUMENT {
        return Err(SourceError::TooLarge { digest, size });
    }
    let bytes =
        source.blob(descriptor)?.read_all(MAX_DOCUMENT).map_err(|source| SourceError::Blob { digest, source })?;
    check_bytes(descriptor, &bytes)?;
    Ok(bytes)
}

/// Whether these are the descriptor's bytes.
pub(super) fn check_bytes(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SourceError> {
    let digest = descriptor.digest;
    let actual = Digest::of(bytes);
    if bytes.len() as u64 != descriptor.size {
        let reason = format!("has {} bytes, and its descriptor says {}", bytes.len(), descriptor.size);
        return Err(SourceError::Contradiction { digest, reason });
    }
    if actual != digest {
        return Err(SourceError::Contradiction { digest, reason: format!("has bytes of another digest, {actual}") });
    }
    Ok(())
}

impl BlobSource for BlobStore {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        Ok(self.content(descriptor)?)
    }
}

/// Blobs in memory.
impl BlobSource for BTreeMap<Digest, Content> {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        let digest = descriptor.digest;
        match self.get(&digest) {
            Some(content) if content.len() != descriptor.size => {
                let reason = format!("has {} bytes, and its descriptor says {}", content.len(), descriptor.size);
                Err(SourceError::Contradiction { digest, reason })
            }
            Some(content) => match content.known_digest() {
                Some(actual) if actual != digest => {
                    let reason = format!("has bytes of another digest, {actual}");
                    Err(SourceError::Contradiction { digest, reason })
                }
                _ => Ok(content.clone().with_digest(digest)),
            },
            None => Err(SourceError::Absent { digest, place: Shown::new(b"memory") }),
        }
    }
}
