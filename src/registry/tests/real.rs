//! Against a registry that nobody here wrote: Debian's `docker-registry`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::*;
use crate::content::Content;
use crate::net::{NetworkOptions, Secret};
use crate::oci::Reference;
use crate::registry::{BlobSource, CredentialSource, PushImage, RefusalKind, RegistryOptions, Tally};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// `bob` and the canary, as htpasswd(1) writes them.
const HTPASSWD: &str = "bob:$2b$04$WLccZVbbxVpAHtMs1nOA/./H0OkhPSJltnJeXMFtS34wjZt6RGUtm\n";

/// A registry with a password, in a directory of its own; it ends when it is dropped.
struct Real {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Real {
    fn start() -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "this test needs Debian's package docker-registry ({PROGRAM} is not there)"
        );
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        // Another program may take the port in between: then another one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: \"127.0.0.1:{port}\"}}\nauth: {{htpasswd: {{realm: \"test, registry\", path: {}}}}}\n",
                path("storage"),
                path("htpasswd"),
            );
            fs::write(path("config.yml"), config).unwrap();
            let log = fs::File::create(path("log")).unwrap();
            let mut child = Command::new(PROGRAM)
                .args(["serve", &path("config.yml")])
                .env_clear()
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Real { child, port, directory };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry did not start: {}", fs::read_to_string(path("log")).unwrap_or_default());
    }

    fn reference(&self, rest: &str) -> Reference {
        format!("localhost:{}/{rest}", self.port).parse().unwrap()
    }

    fn image(&self, repository: &str, tags: &[&str], blobs: &[Vec<u8>]) -> PushImage {
        PushImage {
            about: None,
            seen: Default::default(),
            repository: self.reference(repository),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            manifests: vec![manifest(blobs)],
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config() -> Vec<u8> {
    br#"{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#.to_vec()
}

#[test]
fn images_go_to_a_real_registry_and_come_back() {
    let real = Real::start();
    let json = format!(r#"{{"auths":{{"localhost:{}":{{"username":"bob","password":"{CANARY}"}}}}}}"#, real.port);
    let options = RegistryOptions {
        credentials: vec![CredentialSource::Inline { named: "TEST", json: Secret::new(json) }],
        ..RegistryOptions::default()
    };
    let network = NetworkOptions::default();
    let bench = Bench::with(&network, options.clone());
    let push = |images: &[PushImage]| bench.registries.push(images).unwrap_or_else(|error| panic!("{}", whole(&error)));

    // Two images that share their largest layer, in one repository; a third in another one.
    let base = bytes(1, 5_000_000);
    let images = [
        real.image("team/app", &["1", "latest"], &[config(), base.clone(), bytes(2, 100_000)]),
        real.image("team/app", &["2"], &[config(), base.clone(), bytes(3, 100_000)]),
        real.image("team/worker", &["1"], &[config(), base.clone(), bytes(4, 100_000)]),
    ];
    let pushed = push(&images);
    assert_eq!(pushed[0].uploaded.count, 3);
    assert_eq!(pushed[1].uploaded, Tally { count: 1, bytes: 100_000 });
    assert_eq!(pushed[2].uploaded, Tally { count: 1, bytes: 100_000 });
    assert_eq!((pushed[2].mounted.count, pushed[2].mounted.bytes), (2, 5_000_000 + config().len() as u64));

    // What came back is what was sent.
    for image in &images {
        let manifest = &image.manifests[0];
        for tag in &image.tags {
            let named = image.repository.with_tag(tag).unwrap();
            assert_eq!(bench.registries.resolve(&named).unwrap().unwrap(), manifest.descriptor);
            let (media_type, bytes) = bench.registries.manifest(&named).unwrap().unwrap();
            assert_eq!((media_type, &bytes), (manifest.descriptor.media_type.clone(), &manifest.bytes));
        }
        let blobs: Vec<_> = manifest.blobs.iter().map(|blob| blob.descriptor.clone()).collect();
        bench.registries.fetch_blobs(&image.repository, &blobs, &bench.store).unwrap();
        assert!(blobs.iter().all(|blob| bench.store.contains(blob)));
        assert_eq!(bench.registries.fetch_document(&image.repository, &blobs[0]).unwrap(), config());
    }
    assert_eq!(bench.registries.resolve(&real.reference("team/app:3")).unwrap(), None);
    assert!(!bench.registries.blob_exists(&real.reference("team/worker"), &layer(&bytes(2, 100_000))).unwrap());

    // Again: nothing to do. Under another name, with a base that is not here: mounted.
    assert!(push(&images).iter().all(|pushed| pushed.unchanged));
    let mut third = real.image("third", &["1"], &[config(), base, bytes(5, 10)]);
    for blob in &mut third.manifests[0].blobs[..2] {
        blob.source = BlobSource::Registry { reference: real.reference("team/app"), store: bench.store.clone() };
    }
    let pushed = push(std::slice::from_ref(&third));
    assert_eq!((pushed[0].mounted.count, pushed[0].uploaded.count), (2, 1));

    // An index of two; and in chunks.
    let chunks = Bench::with(&network, RegistryOptions { chunk: Some(1 << 20), ..options });
    let children = [manifest(&[config(), bytes(6, 3_500_000)]), manifest(&[config(), bytes(7, 10)])];
    let index = index(&[&children[0], &children[1]]);
    let [first, second] = children;
    let multi = PushImage {
        about: None,
        seen: Default::default(),
        repository: real.reference("multi"),
        tags: vec!["1".to_owned()],
        manifests: vec![first, second, index],
    };
    let pushed =
        chunks.registries.push(std::slice::from_ref(&multi)).unwrap_or_else(|error| panic!("{}", whole(&error)));
    assert_eq!(pushed[0].uploaded.count, 3);
    let found = bench.registries.resolve(&real.reference("multi:1")).unwrap().unwrap();
    assert_eq!(found, multi.manifests[2].descriptor);

    // Without a password, and with a wrong one.
    let nobody = Bench::with(&network, RegistryOptions::default());
    let error = nobody.registries.push(&images[..1]).unwrap_err();
    assert!(error.is(RefusalKind::Unauthorized), "{}", whole(&error));
    bench.clean();
    assert!(!fs::read_to_string(real.directory.path().join("log")).unwrap().contains("panic"));
}

#[test]
fn a_blob_with_other_bytes_is_not_taken() {
    let real = Real::start();
    let json = format!(r#"{{"auths":{{"localhost:{}":{{"username":"bob","password":"{CANARY}"}}}}}}"#, real.port);
    let credentials = vec![CredentialSource::Inline { named: "TEST", json: Secret::new(json) }];
    let bench = Bench::with(&quick(), RegistryOptions { credentials, ..RegistryOptions::default() });
    let mut image = real.image("a", &["1"], &[config(), bytes(1, 1000)]);
    image.manifests[0].blobs[1].source = BlobSource::Content(Content::inline(bytes(2, 1000)));
    let error = bench.registries.push(std::slice::from_ref(&image)).unwrap_err();
    assert!(whole(&error).contains("DIGEST_INVALID"), "{}", whole(&error));
    assert_eq!(bench.registries.resolve(&real.reference("a:1")).unwrap(), None);
}
