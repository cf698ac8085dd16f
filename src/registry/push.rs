//! Sending images: blobs, then manifests by digest, then tags; nothing twice, and no tag before everything is in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::auth::{self, Scopes};
use super::client::{Ask, Core};
use super::endpoint::Repository;
use super::pull::digest_header;
use super::upload::{BlobSource, How, Upload};
use super::{Refusal, RegistryError, referrers};
use crate::net::{Payload, Progress};
use crate::oci::{Descriptor, Digest, Reference};
use crate::report::{Phase, Tally};

/// An image to send, and where to.
#[derive(Clone, Debug)]
pub struct PushImage {
    /// What those are told who hear of it, where it has a name.
    pub about: Option<String>,
    /// Where it goes: registry and repository. Tag and digest of the reference play no part.
    pub repository: Reference,
    /// The tags it gets.
    pub tags: Vec<String>,
    /// What tags of the repository were found to name: they are not asked for again where they named something else, or
    /// where that was a moment ago.
    pub seen: BTreeMap<String, SeenTag>,
    /// Its manifests, children before parents: the last one is what the tags name.
    pub manifests: Vec<PushManifest>,
}

/// What a tag was found to name, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenTag {
    /// What it named.
    pub digest: Digest,
    /// Since when that is known.
    pub at: Instant,
}

/// How long it is believed that a tag names what it did: a push that is sent at once says as much by setting it. In the time
/// of a long build somebody else may have moved it.
const BELIEVED: Duration = Duration::from_secs(10);

/// A manifest or index to send.
#[derive(Clone, Debug)]
pub struct PushManifest {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The blobs it refers to: config and layers. An index has none.
    pub blobs: Vec<PushBlob>,
}

/// A blob to send.
#[derive(Clone, Debug)]
pub struct PushBlob {
    /// What it is.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub source: BlobSource,
    /// Repositories of the same registry that are known to have it.
    pub mount_from: Vec<String>,
    /// How it came to be there, where it is known to be: it was sent by this run ([`Registries::send_ahead`]), or a manifest
    /// of the repository was just read that names it. Then nobody asks for it, and it is sent where the registry misses it
    /// all the same.
    ///
    /// [`Registries::send_ahead`]: super::Registries::send_ahead
    pub there: Option<How>,
}

/// An image that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Registry and repository.
    pub repository: String,
    /// The digest of its last manifest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether all of its tags were right before, so that nothing was done.
    pub unchanged: bool,
    /// Blobs that were sent.
    pub uploaded: Tally,
    /// Blobs that the registry took over from another repository.
    pub mounted: Tally,
    /// Blobs that were there (or were sent for another image of the same run).
    pub present: Tally,
}

/// What was found to be there before anything was sent.
struct Found {
    /// Manifests that are there, and with them everything they refer to.
    manifests: BTreeSet<Digest>,
    /// Tags that are right.
    tags: BTreeSet<String>,
}

/// An image on its way.
struct Job<'a> {
    image: &'a PushImage,
    root: &'a PushManifest,
    repository: Repository,
    scopes: Scopes,
    found: Found,
}

impl Job<'_> {
    /// Brings one blob into the image's repository.
    async fn push_blob(
        &self,
        core: &Core,
        blob: &PushBlob,
        from: Option<&String>,
        force: bool,
    ) -> Result<How, RegistryError> {
        core.push_blob(&self.repository, self.image.about.as_deref(), blob, from, force, "failed").await
    }

    fn unchanged(&self) -> bool {
        !self.image.tags.is_empty() && self.image.tags.iter().all(|tag| self.found.tags.contains(tag))
    }
}

impl Core {
    /// Sends images. Where one fails, no tag of any is set.
    pub(super) async fn push(&self, images: &[PushImage]) -> Result<Vec<Pushed>, RegistryError> {
        check(images)?;
        let jobs = self.jobs();
        let looked = stream::iter(images.iter().map(|image| self.look(image))).buffered(jobs);
        let all: Vec<Job<'_>> = collect(looked).await?;

        let tallies = Mutex::new(vec![[Tally::default(); 3]; all.len()]);
        let mut groups: Vec<Vec<Blob<'_>>> = group(&all).into_values().collect();
        // The largest first: what takes longest is not begun last.
        groups.sort_by_key(|group| std::cmp::Reverse(group.first().map_or(0, |blob| blob.blob.descriptor.size)));
        let sent =
            stream::iter(groups.iter().map(|group| self.push_group(&all, group, &tallies))).buffer_unordered(jobs);
        collect::<(), Vec<()>>(sent).await?;

        let manifests = stream::iter(all.iter().map(|job| self.push_manifests(job))).buffered(jobs);
        let unlisted: Vec<Vec<(&PushManifest, Digest)>> = collect(manifests).await?;
        // One after the other: two may belong under one tag.
        for (job, unlisted) in all.iter().zip(unlisted) {
            for (manifest, subject) in unlisted {
                self.list_referrer(&job.repository, manifest, subject).await?;
            }
        }
        let tags = stream::iter(all.iter().map(|job| self.push_tags(job))).buffer_unordered(jobs);
        collect::<(), Vec<()>>(tags).await?;

        let tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(all
            .iter()
            .zip(tallies)
            .map(|(job, [uploaded, mounted, present])| Pushed {
                repository: job.image.repository.name(),
                digest: job.root.descriptor.digest,
                tags: job.image.tags.clone(),
                unchanged: job.unchanged(),
                uploaded,
                mounted,
                present,
            })
            .collect())
    }

    /// Looks what is there already.
    async fn look<'a>(&self, image: &'a PushImage) -> Result<Job<'a>, RegistryError> {
        let repository = self.repository(image.repository.registry(), image.repository.repository())?;
        let scopes = auth::push(&repository.path, None);
        let Some((root, children)) = image.manifests.split_last() else {
            return Err(wrong(image, "it has no manifest"));
        };
        let there = async |identifier: &str, wanted: Option<Digest>| {
            match self.head_manifest(&repository, &scopes, identifier, wanted).await {
                Ok(found) => Ok(found.map(|found| found.digest)),
                // What follows asks for more, and is refused with more words.
                Err(RegistryError::Refused(refusal)) if !refusal.is_temporary() => Ok(None),
                Err(RegistryError::Protocol { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let digest = root.descriptor.digest;
        let mut found = Found { manifests: BTreeSet::new(), tags: BTreeSet::new() };
        for tag in &image.tags {
            // What it named a while ago says that it has to be set; that it need not be, only what it names now.
            let now = match image.seen.get(tag) {
                Some(seen) if seen.digest != digest => None,
                Some(seen) if seen.at.elapsed() < BELIEVED => Some(seen.digest),
                _ => there(tag, None).await?,
            };
            if now == Some(digest) {
                found.tags.insert(tag.clone());
            }
        }
        if !found.tags.is_empty() || there(&digest.to_string(), Some(digest)).await? == Some(digest) {
            found.manifests.extend(image.manifests.iter().map(|manifest| manifest.descriptor.digest));
        } else {
            for child in children {
                let digest = child.descriptor.digest;
                if there(&digest.to_string(), Some(digest)).await? == Some(digest) {
                    found.manifests.insert(digest);
                }
            }
        }
        Ok(Job { image, root, repository, scopes, found })
    }

    /// Brings one blob into all the repositories of a registry that need it: sent to the first, mounted from there into
    /// the others.
    async fn push_group(
        &self,
        jobs: &[Job<'_>],
        group: &[Blob<'_>],
        tallies: &Mutex<Vec<[Tally; 3]>>,
    ) -> Result<(), RegistryError> {
        let Some((first, others)) = group.split_first() else { return Ok(()) };
        let count = |number: usize, how: How, bytes| {
            let kind = match how {
                How::Uploaded => 0,
                How::Mounted => 1,
                How::Present => 2,
            };
            tallies.lock().unwrap_or_else(PoisonError::into_inner)[number][kind].add(bytes);
        };
        let size = first.blob.descriptor.size;
        let how = jobs[first.jobs[0]].push_blob(self, first.blob, None, false).await?;
        count(first.jobs[0], how, size);
        let from = &jobs[first.jobs[0]].repository.path;
        let sending = others.iter().map(async |other| {
            let how = jobs[other.jobs[0]].push_blob(self, other.blob, Some(from), false).await?;
            count(other.jobs[0], how, size);
            Ok(())
        });
        collect::<(), Vec<()>>(stream::iter(sending).buffer_unordered(self.jobs())).await?;
        for blob in group {
            for number in &blob.jobs[1..] {
                count(*number, How::Present, size);
            }
        }
        Ok(())
    }

    /// Brings one blob into one repository, for an image that is called so; `failed` is how it is told where that fails.
    pub(super) async fn push_blob(
        &self,
        repository: &Repository,
        about: Option<&str>,
        blob: &PushBlob,
        from: Option<&String>,
        force: bool,
        failed: &str,
    ) -> Result<How, RegistryError> {
        if let Some(how) = blob.there
            && !force
        {
            return Ok(how);
        }
        let mut mount_from: Vec<String> = from.into_iter().chain(&blob.mount_from).cloned().collect();
        if let BlobSource::Registry { reference, .. } = &blob.source
            && reference.registry() == repository.endpoint.name
        {
            mount_from.push(reference.repository().to_owned());
        }
        let mut seen = BTreeSet::new();
        mount_from.retain(|path| *path != repository.path && seen.insert(path.clone()));
        let subject = format!("{repository} {}", blob.descriptor.digest.short());
        let reporter = self.reporter_for(about);
        let progress = Arc::new(Progress::new(reporter.task(Phase::Push, subject, Some(blob.descriptor.size))));
        let upload = Upload {
            image: about,
            repository,
            descriptor: &blob.descriptor,
            source: &blob.source,
            mount_from: if force { &[] } else { &mount_from },
            force,
        };
        let how = self.upload(&upload, &progress).await;
        progress.finish(match &how {
            Ok(How::Present) => "already there",
            Ok(How::Mounted) => "mounted",
            Ok(How::Uploaded) => "pushed",
            Err(_) => failed,
        });
        how
    }

    /// Sends an image's manifests by digest, in order. Gives those that refer to another one, of which the registry did
    /// not take note.
    async fn push_manifests<'a>(&self, job: &Job<'a>) -> Result<Vec<(&'a PushManifest, Digest)>, RegistryError> {
        let image: &'a PushImage = job.image;
        let mut unlisted = Vec::new();
        for (number, manifest) in image.manifests.iter().enumerate() {
            let subject = referrers::subject(manifest);
            if subject.is_none() && job.found.manifests.contains(&manifest.descriptor.digest) {
                continue;
            }
            let headers = self.push_manifest(job, manifest, &image.manifests[..number]).await?;
            unlisted.extend(subject.filter(|_| !referrers::acknowledged(&headers)).map(|subject| (manifest, subject)));
        }
        Ok(unlisted)
    }

    /// Sends one manifest by digest. Where the registry has lost something that the manifest refers to, and said before
    /// that it has it, that is sent again, once.
    async fn push_manifest(
        &self,
        job: &Job<'_>,
        manifest: &PushManifest,
        before: &[PushManifest],
    ) -> Result<HeaderMap, RegistryError> {
        let name = manifest.descriptor.digest.to_string();
        let mut again = BTreeSet::new();
        loop {
            let error = match self.put_manifest(job, manifest, &name).await {
                Ok(headers) => return Ok(headers),
                Err(error) => error,
            };
            let Some(refusal) = error.refusal().filter(|refusal| something_is_missing(refusal)) else {
                return Err(error);
            };
            let named: BTreeSet<Digest> = refusal.reasons.iter().flat_map(|reason| reason.digests.clone()).collect();
            let lost = |digest: &Digest| (named.is_empty() || named.contains(digest)) && !again.contains(digest);
            let blobs: Vec<&PushBlob> = manifest.blobs.iter().filter(|blob| lost(&blob.descriptor.digest)).collect();
            let children: Vec<&PushManifest> = before.iter().filter(|child| lost(&child.descriptor.digest)).collect();
            if blobs.is_empty() && (children.is_empty() || !manifest.blobs.is_empty()) {
                return Err(error);
            }
            for blob in blobs {
                let digest = blob.descriptor.digest;
                self.reporter.note(format!("{} has lost blob {digest}: sending it again", job.repository));
                job.push_blob(self, blob, None, true).await?;
                again.insert(digest);
            }
            if manifest.blobs.is_empty() {
                for child in children {
                    let digest = child.descriptor.digest;
                    self.put_manifest(job, child, &digest.to_string()).await?;
                    again.insert(digest);
                }
            }
        }
    }

    /// Sets an image's tags, in order.
    async fn push_tags(&self, job: &Job<'_>) -> Result<(), RegistryError> {
        let digest = job.root.descriptor.digest;
        for tag in job.image.tags.iter().filter(|tag| !job.found.tags.contains(*tag)) {
            if let Err(error) = self.put_manifest(job, job.root, tag).await {
                // An answer that was lost, and then "immutable": what counts is what the tag names.
                let now = self.head_manifest(&job.repository, &job.scopes, tag, None).await;
                if !matches!(now, Ok(Some(found)) if found.digest == digest) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        job: &Job<'_>,
        manifest: &PushManifest,
        name: &str,
    ) -> Result<HeaderMap, RegistryError> {
        let ask = Ask::new(&job.repository, job.scopes.clone(), Method::PUT, &format!("manifests/{name}"))
            .header(CONTENT_TYPE, manifest.descriptor.media_type.as_str())
            .payload(Payload::Bytes(manifest.bytes.clone().into()))
            .good(&[200, 201, 202, 204]);
        let answer = self.send(&ask).await?;
        match digest_header(&answer.headers) {
            Some(found) if found != manifest.descriptor.digest => {
                let reason = format!("it says that manifest {} has digest {found}", manifest.descriptor.digest);
                Err(self.nonsense(&ask, &answer.url, reason))
            }
            _ => Ok(answer.headers),
        }
    }
}

/// A blob, and the images (by number) that need it in one and the same repository.
struct Blob<'a> {
    blob: &'a PushBlob,
    jobs: Vec<usize>,
}

/// What has to be sent: by registry and digest, then by repository.
fn group<'a>(jobs: &[Job<'a>]) -> BTreeMap<(String, Digest), Vec<Blob<'a>>> {
    let mut groups: BTreeMap<(String, Digest), Vec<Blob<'a>>> = BTreeMap::new();
    for (number, job) in jobs.iter().enumerate() {
        for manifest in
            job.image.manifests.iter().filter(|manifest| !job.found.manifests.contains(&manifest.descriptor.digest))
        {
            for blob in &manifest.blobs {
                let group = groups.entry((job.repository.endpoint.name.clone(), blob.descriptor.digest)).or_default();
                match group.iter_mut().find(|known| jobs[known.jobs[0]].repository.path == job.repository.path) {
                    Some(known) if known.jobs.contains(&number) => {}
                    Some(known) => known.jobs.push(number),
                    None => group.push(Blob { blob, jobs: vec![number] }),
                }
            }
        }
    }
    // The others mount it from the first.
    for group in groups.values_mut() {
        group.sort_by_key(|blob| blob.blob.there.is_none());
    }
    groups
}

/// What must hold before anything is sent.
fn check(images: &[PushImage]) -> Result<(), RegistryError> {
    let mut named: BTreeMap<(String, &str), Digest> = BTreeMap::new();
    for image in images {
        let Some(root) = image.manifests.last() else { return Err(wrong(image, "it has no manifest")) };
        for manifest in &image.manifests {
            if Digest::of(&manifest.bytes) != manifest.descriptor.digest {
                return Err(wrong(image, "a manifest's bytes do not have its digest"));
            }
        }
        for tag in &image.tags {
            if image.repository.with_tag(tag).is_err() {
                return Err(wrong(image, "a tag is none"));
            }
            let before = named.insert((image.repository.name(), tag), root.descriptor.digest);
            if before.is_some_and(|before| before != root.descriptor.digest) {
                return Err(wrong(image, &format!("another image of this run gets the tag {tag} too")));
            }
        }
    }
    Ok(())
}

fn wrong(image: &PushImage, reason: &str) -> RegistryError {
    RegistryError::Image { image: image.repository.name(), reason: reason.to_owned() }
}

/// Whether a manifest was refused because something it refers to is not there.
fn something_is_missing(refusal: &Refusal) -> bool {
    ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"].iter().any(|code| refusal.says(code))
}

/// All results, or the first failure: what is still under way is then given up.
async fn collect<T, C: Default + Extend<T>>(
    mut results: impl stream::Stream<Item = Result<T, RegistryError>> + Unpin,
) -> Result<C, RegistryError> {
    let mut all = C::default();
    while let Some(result) = results.next().await {
        all.extend([result?]);
    }
    Ok(all)
}
