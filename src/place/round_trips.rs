//! The same tests for every kind of place.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::source::BlobSource;
use super::testing::*;
use super::*;
use crate::content::Content;
use crate::oci::{Compression, Descriptor, Family};
use crate::report::Reporter;
use crate::validate;

/// A place of each kind in a directory.
fn places(directory: &Path) -> Vec<Place> {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    vec![
        format!("oci:{}", path("layout")),
        format!("oci-archive:{}", path("oci.tar")),
        format!("docker-archive:{}", path("docker.tar")),
        format!("archive:{}", path("both.tar")),
    ]
    .into_iter()
    .map(|text| Place::parse(&text).unwrap())
    .collect()
}

fn put(place: &Place, artifacts: &[Artifact]) -> Result<Written, OutputError> {
    write(place, artifacts, &mut Vec::new(), &(), &Reporter::silent())
}

fn get(place: &Place, tmp: &Path) -> Result<Vec<Artifact>, SourceError> {
    read_artifacts(&open(place, tmp)?, None, &[])
}

fn path_of(place: &Place) -> &Path {
    match place {
        Place::Layout { directory, .. } => directory,
        Place::Archive { file: FilePlace::Path(path), .. } => path,
        _ => panic!("{place}"),
    }
}

/// What must be equal however an image travelled: names, config, diff IDs, bytes of the layers.
fn essence(artifact: &Artifact) -> Vec<String> {
    let mut all: Vec<String> = artifact.names.iter().map(|name| name.to_string()).collect();
    for image in artifact.images() {
        all.push(format!("config {}", image.manifest.config.digest));
        all.extend(image.manifest.layers.iter().map(|layer| format!("layer {} {}", layer.digest, layer.size)));
    }
    all
}

fn sound(artifacts: &[Artifact]) {
    let findings = validate::artifacts(artifacts);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_kind_gives_back_what_it_was_given() {
    for family in [Family::Oci, Family::Docker] {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = base_and_service(family, Compression::Gzip);
        sound(&artifacts);
        for place in places(directory.path()) {
            let written = put(&place, &artifacts).unwrap();
            assert_eq!(written.digests, [artifacts[0].digest(), artifacts[1].digest()]);
            let back = get(&place, directory.path()).unwrap();
            sound(&back);
            let docker = matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
            for (one, other) in artifacts.iter().zip(&back) {
                assert_eq!(essence(one), essence(other), "{place}");
                // A docker-archive has no manifests; all others keep them to the byte.
                assert!(docker || one.digest() == other.digest(), "{place}");
            }
            // From there into every other kind.
            let second = tempfile::tempdir().unwrap();
            for place in places(second.path()) {
                put(&place, &back).unwrap();
                let again = get(&place, second.path()).unwrap();
                assert_eq!(back.iter().map(essence).collect::<Vec<_>>(), again.iter().map(essence).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn the_same_images_are_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    for place in places(directory.path()) {
        put(&place, &artifacts).unwrap();
        let Place::Archive { .. } = place else { continue };
        let first = fs::read(path_of(&place)).unwrap();
        put(&place, &base_and_service(Family::Oci, Compression::Gzip)).unwrap();
        assert_eq!(fs::read(path_of(&place)).unwrap(), first);
        let mut stream = Vec::new();
        let Place::Archive { kind, .. } = place else { continue };
        let standard = Place::Archive { kind, file: FilePlace::Standard, pick: None };
        write(&standard, &artifacts, &mut stream, &(), &Reporter::silent()).unwrap();
        assert_eq!(stream, first);
    }
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "no temporary file is left: {names:?}");
}

#[test]
fn an_archive_holds_each_blob_once_and_all_that_it_lists() {
    let directory = tempfile::tempdir().unwrap();
    let mut artifacts = base_and_service(Family::Oci, Compression::Gzip);
    artifacts.push(two_platforms());
    let place = places(directory.path()).remove(3);
    put(&place, &artifacts).unwrap();
    let bytes = fs::read(path_of(&place)).unwrap();
    let mut names = Vec::new();
    let mut archive = ::tar::Archive::new(&bytes[..]);
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), crate::tar::MTIME);
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        names.push(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
    }
    assert_eq!(names[..5], ["oci-layout", "index.json", "manifest.json", "blobs/", "blobs/sha256/"]);
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len(), "each once");
    // 2 manifests, 2 configs and 3 layers; 1 index, 2 manifests, 2 configs and 3 layers.
    assert_eq!(names.len(), 5 + 7 + 8);
    assert!(validate::source(&open(&place, directory.path()).unwrap()).is_empty());

    // Docker's list names the first platform of each, by full references with tags.
    let file = Place::parse(&format!("docker-archive:{}", path_of(&place).display())).unwrap();
    let listed = get(&file, directory.path()).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[2].images()[0].platform(), Some(platform("linux/amd64")));
    assert_eq!(listed[2].names[0].to_string(), "registry.example.com/two:1");
}

#[test]
fn images_without_a_reference_keep_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let image = |variant: Option<&str>| Fallback::image("server", variant.map(str::to_owned));
    let tests = [
        (image(None), "server", Some("docker.io/library/server:latest")),
        (image(Some("k8s")), "server:k8s", Some("docker.io/library/server:k8s")),
        (Fallback::Labels(vec!["latest".into()]), "latest", None),
        (Fallback::Labels(vec!["me/x:1".into()]), "me/x:1", Some("docker.io/me/x:1")),
    ];
    for (fallback, plain, full) in tests {
        let artifact = base_and_service(Family::Oci, Compression::Gzip).remove(0).named(Vec::new(), fallback.clone());
        for place in places(directory.path()) {
            put(&place, std::slice::from_ref(&artifact)).unwrap();
            let source = open(&place, directory.path()).unwrap();
            let names = source.roots().unwrap().remove(0).names;
            let back = read_artifacts(&source, None, &[]).unwrap().remove(0);
            if let Place::Archive { kind: ArchiveKind::Docker, .. } = place {
                let names: Vec<_> = names.iter().filter_map(|name| name.name.as_deref()).collect();
                assert_eq!(names, full.into_iter().collect::<Vec<_>>());
                continue;
            }
            assert_eq!(names[0].name.as_deref(), Some(plain));
            assert_eq!(names[0].containerd.as_deref(), full);
            // Docker's full name for it was written beside it, and is taken from then on.
            let same = match plain.contains('/') {
                true => (vec!["docker.io/me/x:1".parse().unwrap()], Fallback::Nothing),
                false => (Vec::new(), fallback.clone()),
            };
            assert_eq!((back.names, back.fallback), same, "{place}");
        }
    }
}

#[test]
fn all_names_of_an_image_travel() {
    let directory = tempfile::tempdir().unwrap();
    let image = base_and_service(Family::Oci, Compression::Gzip).remove(0);
    let names = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let labels = |texts: &[&str]| Fallback::Labels(texts.iter().map(|text| (*text).to_owned()).collect());
    for (names, fallback) in [
        (names(&[]), labels(&["1.0", "latest"])),
        (names(&["docker.io/library/debian:12", "docker.io/library/debian:bookworm"]), Fallback::Nothing),
        (names(&["localhost/x:1"]), labels(&["latest"])),
        (names(&[]), Fallback::Nothing),
    ] {
        let artifact = image.clone().named(names, fallback);
        for place in places(directory.path()) {
            put(&place, std::slice::from_ref(&artifact)).unwrap();
            let back = get(&place, directory.path()).unwrap().remove(0);
            assert_eq!(back.names, artifact.names, "{place}");
            let docker = matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
            assert!(docker || back.fallback == artifact.fallback, "{place}: {:?}", back.fallback);
        }
    }
    // By digest only: a name in a layout, and none that a loader of Docker's could be given.
    let digest = image.digest();
    let by_digest = format!("localhost/x@{digest}");
    let artifact = image.named(vec![by_digest.parse().unwrap()], Fallback::Nothing);
    for place in places(directory.path()) {
        put(&place, std::slice::from_ref(&artifact)).unwrap();
        let back = get(&place, directory.path()).unwrap().remove(0);
        let docker = matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
        assert_eq!(back.names.len(), usize::from(!docker), "{place}");
    }
}

/// Would lose `1.0` if each bare tag were taken for the name of an image.
#[test]
fn bare_tags_of_one_image_stay_together() {
    let directory = tempfile::tempdir().unwrap();
    let image = base_and_service(Family::Oci, Compression::Gzip).remove(0);
    let fallback = Fallback::Labels(["latest", "1.0", "app:1", "app:2", "web:1"].map(str::to_owned).into());
    let artifact = image.named(vec!["localhost/x:1".parse().unwrap()], fallback);
    for place in [0, 1, 3].map(|at| places(directory.path()).remove(at)) {
        put(&place, std::slice::from_ref(&artifact)).unwrap();
        let source = open(&place, directory.path()).unwrap();
        for (wanted, kept) in [
            ("latest", &["latest", "1.0"][..]),
            ("1.0", &["latest", "1.0"]),
            ("app:1", &["app:1", "app:2"]),
            ("web", &["web:1"]),
            ("localhost/x:1", &["localhost/x:1"]),
        ] {
            let read = read_artifacts(&source, Some(&Pick::Name(wanted.to_owned())), &[]).unwrap().remove(0);
            assert_eq!(read.all_names(), kept, "{place}");
        }
    }
}

#[test]
fn one_image_out_of_several() {
    let directory = tempfile::tempdir().unwrap();
    let mut artifacts = base_and_service(Family::Oci, Compression::Gzip);
    artifacts.push(two_platforms());
    for place in [0, 1, 3].map(|at| places(directory.path()).remove(at)) {
        put(&place, &artifacts).unwrap();
        let source = open(&place, directory.path()).unwrap();
        for (text, at) in [
            ("registry.example.com/eveai/app:latest", Some(1)),
            ("registry.example.com/eveai/app", Some(1)),
            ("abc1234", Some(1)),
            ("latest", Some(1)),
            ("app", Some(1)),
            ("app:abc1234", Some(1)),
            ("base", Some(0)),
            ("base:2", None),
            ("@0", Some(0)),
            ("@2", Some(2)),
            ("@3", None),
            (&format!("@{}", artifacts[1].digest()), Some(1)),
            ("1", None),
            ("nothing", None),
        ] {
            let with = Place::parse(&format!("{place}:{text}")).unwrap();
            let found = select_root(&*source, with.pick()).ok().map(|root| root.descriptor.digest);
            assert_eq!(found, at.map(|at: usize| artifacts[at].digest()), "{text}");
        }
        let error = select_root(&*source, None).unwrap_err().to_string();
        assert!(error.contains("registry.example.com/eveai/base:1"), "{error}");
        let error = select_root(&*source, Some(&Pick::Name("1".into()))).unwrap_err().to_string();
        assert!(error.contains("two:1") && error.contains("base:1") && !error.contains("app"), "{error}");
    }
}

/// Would be one image with one name, or one by the names of another.
#[test]
fn images_of_the_same_bytes_keep_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let image = base_and_service(Family::Oci, Compression::Gzip).remove(0);
    let word = |word: &str| image.clone().named(Vec::new(), Fallback::image(word, None));
    let full = |texts: [&str; 2]| {
        let names = texts.map(|text| text.parse().unwrap()).to_vec();
        image.clone().named(names, Fallback::Nothing)
    };
    let (app, worker) = (["r.io/app:1", "r.io/app:latest"], ["r.io/worker:1", "r.io/worker:latest"]);
    let tests = [
        (vec![word("app"), word("worker")], vec!["app", "worker"], vec!["worker"]),
        (vec![full(app), full(worker)], [app, worker].concat(), worker.to_vec()),
    ];
    for (artifacts, all, one) in tests {
        for place in [0, 1, 3].map(|at| places(directory.path()).remove(at)) {
            put(&place, &artifacts).unwrap();
            let source = open(&place, directory.path()).unwrap();
            let back = read_artifacts(&source, None, &[]).unwrap();
            assert_eq!(back.iter().flat_map(Artifact::all_names).collect::<Vec<_>>(), all, "{place}");
            assert_eq!(back.iter().flat_map(Artifact::shown_each).count(), 2, "{place}");
            let picked = read_artifacts(&source, Some(&Pick::Name("worker".into())), &[]).unwrap();
            assert_eq!(picked.iter().flat_map(Artifact::all_names).collect::<Vec<_>>(), one, "{place}");
            // What is read is written as it was.
            let again = Place::parse(&format!("oci:{}", directory.path().join("again").display())).unwrap();
            put(&again, &back).unwrap();
            let roots = |place: &Place| open(place, directory.path()).unwrap().roots().unwrap();
            assert_eq!(roots(&again), roots(&place), "{place}");
        }
    }
}

#[test]
fn one_platform_out_of_several() {
    let directory = tempfile::tempdir().unwrap();
    let artifact = two_platforms();
    let place = places(directory.path()).remove(0);
    put(&place, std::slice::from_ref(&artifact)).unwrap();
    let source = open(&place, directory.path()).unwrap();
    let arm = select_image(&*source, None, &platform("linux/arm64/v8")).unwrap();
    assert_eq!(arm.platform(), Some(platform("linux/arm64")));
    let error = select_image(&*source, None, &platform("linux/s390x")).unwrap_err().to_string();
    assert_eq!(error, "there is no image for linux/s390x; there are: linux/amd64, linux/arm64");

    let arm_only = read_artifacts(&source, None, &[platform("linux/arm64")]).unwrap().remove(0);
    assert_eq!(arm_only.digest(), arm.manifest.digest());
    assert_eq!(arm_only.names, artifact.names);
    let both = [platform("linux/arm64"), platform("linux/amd64")];
    let both = read_artifacts(&source, None, &both).unwrap().remove(0);
    assert_eq!(both.images()[0].platform(), Some(platform("linux/arm64")));
    sound(&[arm_only.clone(), both]);

    // Docker's own archive holds one.
    let docker = places(directory.path()).remove(2);
    let error = put(&docker, &[artifact]).unwrap_err().to_string();
    assert!(error.contains("--platform") && error.contains("linux/amd64, linux/arm64"), "{error}");
    assert!(!path_of(&docker).exists());
    put(&docker, &[arm_only]).unwrap();
}

#[test]
fn nested_and_hostile_indexes() {
    let mut blobs = Blobs::new();
    let image = image_of("linux/amd64", Family::Oci, vec![], &mut blobs);
    let mut attestation = image_of("unknown/unknown", Family::Oci, vec![], &mut blobs);
    attestation.manifest = {
        let mut manifest = attestation.manifest.into_value();
        manifest.annotations.insert("a".into(), "b".into());
        crate::oci::Encoded::new(crate::oci::MediaType::Manifest(Family::Oci), manifest).unwrap()
    };
    for one in [&image, &attestation] {
        blobs.insert(one.manifest.digest(), Content::inline(one.manifest.bytes()));
        let config = one.config.as_ref().unwrap();
        blobs.insert(config.digest(), Content::inline(config.bytes()));
    }
    let mut inner = index_of(Family::Oci, &[attestation, image.clone()]);
    let mut indexes = Vec::new();
    for _ in 0..12 {
        blobs.insert(inner.digest(), Content::inline(inner.bytes()));
        indexes.push(inner.descriptor().clone());
        let mut value = inner.clone().into_value();
        value.manifests = vec![inner.descriptor().clone(); 50];
        inner = crate::oci::Encoded::new(crate::oci::MediaType::Index(Family::Oci), value).unwrap();
    }
    for (deep, root) in indexes.into_iter().enumerate() {
        let source: Arc<dyn ImageSource> = Arc::new(Listed { root, blobs: blobs.clone() });
        let found = select_image(&*source, None, &platform("linux/amd64"));
        let all = read_artifacts(&source, None, &[]);
        assert_eq!(found.is_ok(), deep < 8, "{deep}");
        assert_eq!(all.is_ok(), deep < 8, "{deep}");
        let nothing = select_image(&*source, None, &platform("linux/s390x")).unwrap_err().to_string();
        assert!(!nothing.contains("unknown"), "{nothing}");
        if let Ok(all) = all {
            assert_eq!(all[0].images().len(), 1, "the attestation is no image");
            assert_eq!(all[0].documents().len(), 2 + deep + 1);
        }
    }
}

struct Listed {
    root: Descriptor,
    blobs: Blobs,
}

impl BlobSource for Listed {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        self.blobs.blob(descriptor)
    }
}

impl ImageSource for Listed {
    fn roots(&self) -> Result<Vec<Root>, SourceError> {
        Ok(vec![Root { descriptor: self.root.clone(), names: Vec::new() }])
    }
}

#[test]
fn zstd_is_told_where_it_cannot_go() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Zstd);
    for place in places(directory.path()) {
        let docker = matches!(place, Place::Archive { kind: ArchiveKind::Docker, .. });
        match put(&place, &artifacts) {
            Err(error) => assert!(docker && error.to_string().contains("compression = \"gzip\""), "{error}"),
            Ok(_) => assert!(!docker),
        }
    }
    // In an archive of both kinds it is read as what it is.
    let both = places(directory.path()).remove(3);
    let file = Place::parse(&format!("docker-archive:{}", path_of(&both).display())).unwrap();
    let back = get(&file, directory.path()).unwrap();
    assert_eq!(back[1].images()[0].manifest.layers[0].media_type.compression(), Some(Compression::Zstd));
    let errors = validate::artifacts(&back);
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn names_that_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    let twice = vec![artifacts[0].clone(), artifacts[1].clone().named(artifacts[0].names.clone(), Fallback::Nothing)];
    for place in places(directory.path()) {
        let error = put(&place, &twice).unwrap_err().to_string();
        assert!(error.contains("two images would both be called registry.example.com/eveai/base:1"), "{error}");
        let named = Place::parse(&format!("{place}:app")).unwrap();
        assert!(matches!(put(&named, &artifacts), Err(OutputError::OneName { count: 2, .. })));
        let position = Place::parse(&format!("{place}:@1")).unwrap();
        assert!(matches!(put(&position, &artifacts[..1]), Err(OutputError::NoName { .. })));
        put(&Place::parse(&format!("{place}:localhost/x:2")).unwrap(), &artifacts[..1]).unwrap();
        assert_eq!(get(&place, directory.path()).unwrap()[0].names[0].to_string(), "localhost/x:2");
    }
}

/// Gives a blob that ends early, as a connection that is cut does.
struct Cut(Arc<dyn BlobSource>, crate::oci::Digest);

impl BlobSource for Cut {
    fn blob(&self, descriptor: &Descriptor) -> Result<Content, SourceError> {
        if descriptor.digest == self.1 {
            return Err(SourceError::Absent { digest: self.1, place: crate::shown::Shown::new(b"the test") });
        }
        self.0.blob(descriptor)
    }
}

fn with_source(artifact: &Artifact, source: Arc<dyn BlobSource>) -> Artifact {
    let image = artifact.images()[0].clone();
    Artifact::image(image.manifest, image.config.unwrap(), source).named(artifact.names.clone(), Fallback::Nothing)
}

#[test]
fn an_interrupted_write_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    let last = artifacts[1].images()[0].manifest.layers[2].clone();
    let good = artifacts[1].source().clone();
    let mut wrong = Blobs::new();
    for descriptor in artifacts[1].blobs() {
        if let Ok(content) = artifacts[1].content(descriptor) {
            wrong.insert(descriptor.digest, content);
        }
    }
    let mut damaged = wrong[&last.digest].read_all(1 << 20).unwrap();
    damaged[20] ^= 1;
    // A file that is damaged on the disk: it is noticed while it is copied.
    let file = directory.path().join("damaged");
    fs::write(&file, &damaged).unwrap();
    let file = Arc::new(fs::File::open(&file).unwrap());
    wrong.insert(last.digest, Content::slice(file, "damaged".into(), 0, last.size).with_digest(last.digest));
    for source in [Arc::new(Cut(good, last.digest)) as Arc<dyn BlobSource>, Arc::new(wrong)] {
        let broken = [artifacts[0].clone(), with_source(&artifacts[1], source)];
        for place in places(directory.path()) {
            assert!(put(&place, &broken).is_err());
            if !matches!(place, Place::Layout { .. }) {
                assert!(!path_of(&place).exists(), "{place}");
            }
            // Where something was, it is still there, whole.
            put(&place, &artifacts[..1]).unwrap();
            assert!(put(&place, &broken).is_err());
            let back = get(&place, directory.path()).unwrap();
            assert_eq!(essence(&back[0]), essence(&artifacts[0]));
            assert_eq!(back.len(), 1);
            sound(&back);
            // And the next one goes through.
            put(&place, &artifacts).unwrap();
            sound(&get(&place, directory.path()).unwrap());
            fs::remove_dir_all(path_of(&place)).or_else(|_| fs::remove_file(path_of(&place))).unwrap();
        }
    }
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["damaged"]);
}

/// Whatever is done to a byte, nobody takes the result for the image that it was, without being told.
#[test]
fn damage_never_passes() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    let original: Vec<_> = artifacts.iter().map(essence).collect();
    for place in places(directory.path()) {
        put(&place, &artifacts).unwrap();
        let files: Vec<PathBuf> = match &place {
            Place::Layout { directory, .. } => walkdir::WalkDir::new(directory)
                .into_iter()
                .map(|entry| entry.unwrap())
                .filter(|entry| entry.file_type().is_file())
                .map(|entry| entry.into_path())
                .collect(),
            _ => vec![path_of(&place).to_owned()],
        };
        let unseen = |place: &Place| {
            let Ok(source) = open(place, directory.path()) else { return false };
            let Ok(back) = read_artifacts(&source, None, &[]) else { return false };
            // Names and the like are not under any digest; bytes of images are.
            let same = |a: &Vec<String>, b: Vec<String>| {
                let images = |lines: &[String]| {
                    lines.iter().filter(|line| line.contains("sha256:")).cloned().collect::<Vec<_>>()
                };
                images(a) == images(&b)
            };
            let told = validate::artifacts(&back).iter().any(|finding| finding.severity == validate::Severity::Error);
            !told && !back.iter().zip(&original).all(|(back, original)| same(original, essence(back)))
        };
        for file in files {
            let good = fs::read(&file).unwrap();
            let step = (good.len() / 61).max(1);
            for at in (0..good.len()).step_by(step) {
                for change in [0x01, 0x80] {
                    let mut bad = good.clone();
                    bad[at] ^= change;
                    fs::write(&file, &bad).unwrap();
                    assert!(!unseen(&place), "{} byte {at}", file.display());
                }
            }
            for cut in [0, 1, good.len() / 2, good.len().saturating_sub(513), good.len() - 1] {
                fs::write(&file, &good[..cut]).unwrap();
                assert!(!unseen(&place), "{} cut at {cut}", file.display());
            }
            for more in [&b"x"[..], &[1; 512], &good] {
                fs::write(&file, [&good[..], more].concat()).unwrap();
                assert!(!unseen(&place), "{} and {} more", file.display(), more.len());
                assert!(
                    get(&place, directory.path()).is_err()
                        || !validate::is_sound(&validate::source(&open(&place, directory.path()).unwrap())),
                    "{} and {} more",
                    file.display(),
                    more.len()
                );
            }
            fs::write(&file, &good).unwrap();
        }
        assert_eq!(get(&place, directory.path()).unwrap().iter().map(essence).collect::<Vec<_>>(), original);
    }
}

#[test]
fn an_archive_that_is_compressed_as_a_whole_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    let original: Vec<_> = artifacts.iter().map(essence).collect();
    for place in places(directory.path()).into_iter().skip(1) {
        put(&place, &artifacts).unwrap();
        let plain = fs::read(path_of(&place)).unwrap();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let bytes = compress(&plain, compression);
            fs::write(path_of(&place), &bytes).unwrap();
            let back = get(&place, directory.path()).unwrap();
            assert_eq!(back.iter().map(essence).collect::<Vec<_>>(), original);
            fs::write(path_of(&place), &bytes[..bytes.len() - 5]).unwrap();
            assert!(get(&place, directory.path()).is_err());
        }
        fs::write(path_of(&place), b"\xfd7zXZ\0rest").unwrap();
        let error = get(&place, directory.path()).unwrap_err().to_string();
        assert!(error.contains("xz") && error.contains("decompress it first"), "{error}");
        // Through a pipe.
        let fifo = directory.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(status.success());
        let through =
            Place::parse(&format!("{}:{}", place.to_string().split(':').next().unwrap(), fifo.display())).unwrap();
        let writer = std::thread::spawn({
            let (fifo, plain) = (fifo.clone(), plain.clone());
            move || {
                // The first opening of the reader only looks what it is.
                std::thread::sleep(std::time::Duration::from_millis(200));
                fs::write(fifo, plain)
            }
        });
        let back = get(&through, directory.path()).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(back.iter().map(essence).collect::<Vec<_>>(), original);
        fs::remove_file(fifo).unwrap();
    }
}

#[test]
fn readers_of_other_kinds_are_told_the_kind() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = base_and_service(Family::Oci, Compression::Gzip);
    let places = places(directory.path());
    for place in &places {
        put(place, &artifacts).unwrap();
    }
    let read = |kind: &str, at: usize| {
        let place = Place::parse(&format!("{kind}:{}", path_of(&places[at]).display())).unwrap();
        get(&place, directory.path()).map(|found| found.len()).map_err(|error| error.to_string())
    };
    assert!(read("oci", 3).unwrap_err().contains("an archive is written `archive:FILE`"));
    assert!(read("archive", 0).unwrap_err().contains("a layout is written `oci:DIR`"));
    assert!(read("oci-archive", 2).unwrap_err().contains("it is a `docker-archive:`"));
    assert!(read("docker-archive", 1).unwrap_err().contains("it is an `oci-archive:`"));
    assert_eq!(read("archive", 1), Ok(2));
    assert_eq!(read("archive", 2), Ok(2));
    assert_eq!(read("oci-archive", 3), Ok(2));
    assert!(matches!(put(&places[1], &[]), Ok(written) if written.digests.is_empty()));
    let directory_as_file = Place::parse(&format!("archive:{}", path_of(&places[0]).display())).unwrap();
    assert!(matches!(put(&directory_as_file, &artifacts), Err(OutputError::IsDirectory { .. })));
}
