//! Reading from registries: what a reference stands for, manifests, blobs.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::auth::{self, Scopes};
use super::client::{Ask, Core};
use super::endpoint::Repository;
use super::{RefusalKind, RegistryError};
use crate::net::{Answer, Download, NetError, Ranged, redacted};
use crate::oci::json::MAX_DOCUMENT;
use crate::oci::{Descriptor, Digest, Family, MediaType, Reference, json};
use crate::report::{Phase, Task};
use crate::store::{BlobStore, StoreError};

/// All kinds of manifests, always: registries answer 404 for what is there, but not accepted.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

impl Core {
    /// The places to read from, in order: mirrors, then the registry itself.
    pub(super) fn sources(&self, reference: &Reference) -> Result<Vec<Repository>, RegistryError> {
        let mut sources = Vec::new();
        for mirror in
            self.options.registries.get(reference.registry()).map(|found| &found.mirrors[..]).unwrap_or_default()
        {
            match Repository::mirrored(mirror, reference.repository()) {
                Some((registry, path)) => sources.push(self.repository(&registry, &path)?),
                None => {
                    return Err(RegistryError::Endpoint {
                        registry: format!("a mirror of {}", reference.registry()),
                        reason: "it is written host[:port][/path]".to_owned(),
                    });
                }
            }
        }
        sources.push(self.repository(reference.registry(), reference.repository())?);
        Ok(sources)
    }

    /// Asks one place after the other, until one has it. A mirror that has not, or fails, is passed over.
    pub(super) async fn first_of<T>(
        &self,
        reference: &Reference,
        ask: impl AsyncFn(&Repository) -> Result<Option<T>, RegistryError>,
    ) -> Result<Option<T>, RegistryError> {
        let sources = self.sources(reference)?;
        let (last, mirrors) = sources.split_last().map_or((None, &[][..]), |(last, mirrors)| (Some(last), mirrors));
        for mirror in mirrors {
            match ask(mirror).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                    self.warn_once(&format!("the mirror {} is passed over: {error}{cause}", mirror.endpoint.name));
                }
            }
        }
        match last {
            Some(registry) => ask(registry).await,
            None => Ok(None),
        }
    }

    /// What a tag or digest stands for, without its bytes where the registry says enough in the head of its answer.
    pub(super) async fn head_manifest(
        &self,
        repository: &Repository,
        scopes: &Scopes,
        identifier: &str,
        wanted: Option<Digest>,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let ask = Ask::new(repository, scopes.clone(), Method::HEAD, &format!("manifests/{identifier}"))
            .header(ACCEPT, ACCEPTED)
            .good(&[200, 404]);
        let answer = match self.send(&ask).await {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Ok(None),
            Ok(answer) => answer,
            // Some servers do not know HEAD.
            Err(RegistryError::Refused(refusal)) if matches!(refusal.status, 400 | 405 | 406 | 501) => {
                return self.get_descriptor(repository, scopes, identifier, wanted).await;
            }
            Err(error) => return Err(error),
        };
        let said = digest_header(&answer.headers);
        if let (Some(said), Some(wanted)) = (said, wanted)
            && said != wanted
        {
            return Err(self.nonsense(&ask, &answer.url, format!("it says that {wanted} has digest {said}")));
        }
        let media_type = content_type(&answer.headers).filter(|found| found.is_index() || found.is_manifest());
        match (said.or(wanted), media_type, answer.content_length()) {
            (Some(digest), Some(media_type), Some(size)) if size > 0 => {
                Ok(Some(Descriptor::new(media_type, digest, size)))
            }
            _ => self.get_descriptor(repository, scopes, identifier, wanted).await,
        }
    }

    async fn get_descriptor(
        &self,
        repository: &Repository,
        scopes: &Scopes,
        identifier: &str,
        wanted: Option<Digest>,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let found = self.get_manifest(repository, scopes, identifier, wanted).await?;
        Ok(found.map(|(media_type, bytes)| Descriptor::of(media_type, &bytes)))
    }

    /// The bytes of a manifest, and what they are. What the registry says of their digest counts for nothing beside the
    /// bytes.
    pub(super) async fn get_manifest(
        &self,
        repository: &Repository,
        scopes: &Scopes,
        identifier: &str,
        wanted: Option<Digest>,
    ) -> Result<Option<(MediaType, Vec<u8>)>, RegistryError> {
        let ask = Ask::new(repository, scopes.clone(), Method::GET, &format!("manifests/{identifier}"))
            .header(ACCEPT, ACCEPTED)
            .good(&[200, 404]);
        let mut wrong = false;
        loop {
            let answer = self.send_for_bytes(&ask, MAX_DOCUMENT).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let digest = Digest::of(&answer.bytes);
            match wanted.or(digest_header(&answer.headers)).filter(|expected| *expected != digest) {
                None => return Ok(Some((media_type(&answer.headers, &answer.bytes), answer.bytes))),
                Some(expected) if wrong => {
                    let reason = format!("a manifest with digest {digest}, where {expected} was to come");
                    return Err(RegistryError::WrongBytes { from: repository.to_string(), reason });
                }
                Some(_) => wrong = true,
            }
        }
    }

    /// Whether a blob is there. Where the registry does not say, it is not.
    pub(super) async fn head_blob(
        &self,
        repository: &Repository,
        scopes: &Scopes,
        blob: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let ask =
            Ask::new(repository, scopes.clone(), Method::HEAD, &format!("blobs/{}", blob.digest)).good(&[200, 404]);
        let answer = self.send(&ask).await?;
        // A blob that was cut off when the registry's disk was full is not the blob.
        let whole = answer.content_length().is_none_or(|length| length == blob.size || length == 0);
        Ok(answer.status == StatusCode::OK && whole)
    }

    /// A download of a blob from one place.
    pub(super) fn download(
        &self,
        repository: Repository,
        scopes: Scopes,
        blob: &Descriptor,
    ) -> Download<RemoteBlob<'_>> {
        let source = RemoteBlob { core: self, repository, scopes, digest: blob.digest };
        Download::of_known(source, blob.size, self.network.retry())
    }

    /// Brings a blob into the store, from the first place that has it. What is wrong is asked for once more. `image` is the
    /// one that it is wanted for.
    pub(super) async fn fetch_into(
        &self,
        image: Option<&str>,
        reference: &Reference,
        blob: &Descriptor,
        store: &BlobStore,
    ) -> Result<(), RegistryError> {
        if store.contains(blob) {
            return Ok(());
        }
        let subject = format!("{} {}", reference.name(), blob.digest.short());
        let task = self.reporter_for(image).task(Phase::Download, subject, Some(blob.size));
        let slot = self.slots.acquire().await;
        let found = self
            .first_of(reference, async |repository| match self.fetch_from(repository, blob, store, &task).await {
                Err(error) if error.is(RefusalKind::NotFound) => Ok(None),
                other => other.map(Some),
            })
            .await;
        drop(slot);
        match found {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(RegistryError::Absent { from: reference.name(), digest: blob.digest }),
            Err(error) => Err(error),
        }
    }

    async fn fetch_from(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        store: &BlobStore,
        task: &Task,
    ) -> Result<(), RegistryError> {
        let kept = |source| RegistryError::Store { digest: blob.digest, source };
        let mut told = 0;
        let mut again = false;
        loop {
            let mut writer = store.writer().map_err(kept)?;
            let mut download = self.download(repository.clone(), auth::pull(&repository.path), blob);
            while let Some(bytes) = download.chunk().await? {
                writer.append(&bytes).map_err(kept)?;
                let new = writer.length().saturating_sub(told);
                told += new;
                task.advance(new);
            }
            match writer.finish_as(blob) {
                Ok(()) => return Ok(()),
                Err(StoreError::Mismatch { .. }) if !again => again = true,
                Err(StoreError::Mismatch { actual, .. }) => {
                    let reason = format!("a blob with digest {actual}, where {} was to come", blob.digest);
                    return Err(RegistryError::WrongBytes { from: repository.to_string(), reason });
                }
                Err(error) => return Err(kept(error)),
            }
        }
    }

    /// The bytes of a small blob.
    pub(super) async fn get_document(
        &self,
        repository: &Repository,
        blob: &Descriptor,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        if blob.size > MAX_DOCUMENT {
            let reason = format!("a document of {} bytes, and the limit is {MAX_DOCUMENT}", blob.size);
            return Err(RegistryError::WrongBytes { from: repository.to_string(), reason });
        }
        let mut actual = blob.digest;
        for _ in 0..2 {
            let mut download = self.download(repository.clone(), auth::pull(&repository.path), blob);
            let mut bytes = Vec::new();
            loop {
                match download.chunk().await {
                    Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(error) if error.is(RefusalKind::NotFound) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            actual = Digest::of(&bytes);
            if actual == blob.digest {
                return Ok(Some(bytes));
            }
        }
        let reason = format!("a blob with digest {actual}, where {} was to come", blob.digest);
        Err(RegistryError::WrongBytes { from: repository.to_string(), reason })
    }
}

/// A blob that is read from any byte on.
pub(super) struct RemoteBlob<'a> {
    core: &'a Core,
    repository: Repository,
    scopes: Scopes,
    digest: Digest,
}

impl RemoteBlob<'_> {
    fn ask(&self) -> Ask<'_> {
        Ask::new(&self.repository, self.scopes.clone(), Method::GET, &format!("blobs/{}", self.digest))
    }
}

impl Ranged for RemoteBlob<'_> {
    type Error = RegistryError;

    async fn open(&self, offset: u64) -> Result<Answer, RegistryError> {
        let ask = if offset > 0 {
            self.ask().header(RANGE, &format!("bytes={offset}-")).good(&[200, 206, 416])
        } else {
            self.ask()
        };
        self.core.send(&ask).await
    }

    fn failed(&self, error: NetError, tries: u32) -> RegistryError {
        let ask = self.ask();
        let url = self
            .repository
            .endpoint
            .url(self.repository.endpoint.scheme(), &self.repository.path_to(&format!("blobs/{}", self.digest)));
        match url {
            Ok(url) => self.core.network_error(&ask, redacted(&url), tries, error),
            Err(other) => other,
        }
    }

    fn again(&self, error: &NetError, made: u32, limit: u32, pause: Duration) {
        let (blob, from) = (self.digest.short(), &self.repository);
        let pause = pause.as_secs_f32();
        self.core
            .reporter
            .note(format!("blob {blob} of {from}: {error}; going on in {pause:.1} s (try {} of {limit})", made + 1));
    }
}

/// The digest that a registry says its answer has.
pub(super) fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.trim().parse().ok()
}

/// The media type in the head of an answer, without its parameters.
fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(MediaType::named(&name)).filter(|_| !name.is_empty())
}

/// What a manifest is: as its head says, else as it says itself, else as it looks.
fn media_type(headers: &HeaderMap, bytes: &[u8]) -> MediaType {
    let announced = content_type(headers);
    if let Some(known) = announced.as_ref().filter(|found| found.is_index() || found.is_manifest()) {
        return known.clone();
    }
    let document: Option<Value> = json::parse(bytes).ok();
    let field = |name: &str| document.as_ref().and_then(|document| document.get(name));
    if let Some(own) = field("mediaType").and_then(Value::as_str) {
        let own = MediaType::named(own);
        if own.is_index() || own.is_manifest() || announced.is_none() {
            return own;
        }
    }
    let generic =
        |name: &str| matches!(name, "application/json" | "text/plain" | "application/octet-stream" | "text/html");
    match announced {
        Some(special) if !generic(special.as_str()) => special,
        _ if field("manifests").is_some() => MediaType::Index(Family::Oci),
        _ if field("layers").is_some() && field("config").is_some() => MediaType::Manifest(Family::Oci),
        announced => announced.unwrap_or(MediaType::Other("application/json".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_manifest() {
        let oci = "application/vnd.oci.image.manifest.v1+json";
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        for (header, body, wanted) in [
            (Some(oci), "{}".to_owned(), oci),
            (Some(&*format!("{oci}; charset=utf-8")), "{}".to_owned(), oci),
            (Some(&*oci.to_uppercase()), "{}".to_owned(), oci),
            // The contradiction is found where the document is read.
            (Some(oci), format!(r#"{{"mediaType":"{docker}"}}"#), oci),
            (Some("application/json"), format!(r#"{{"mediaType":"{docker}"}}"#), docker),
            (None, format!(r#"{{"mediaType":"{docker}"}}"#), docker),
            (None, r#"{"manifests":[]}"#.to_owned(), "application/vnd.oci.image.index.v1+json"),
            (Some("text/plain"), r#"{"layers":[],"config":{}}"#.to_owned(), oci),
            (Some(signed), r#"{"schemaVersion":1}"#.to_owned(), signed),
            (Some("text/html"), "<html>".to_owned(), "text/html"),
            (None, "".to_owned(), "application/json"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(CONTENT_TYPE, header.parse().unwrap());
            }
            assert_eq!(media_type(&headers, body.as_bytes()).as_str(), wanted, "{header:?} {body}");
        }
    }
}
