//! Writing: what is asked, in which order, and what must come of every fault.

use std::time::{Duration, Instant};

use super::fake::{Auth, FakeRegistry, Fault, Locations, Mounts, Setup, on};
use super::support::*;
use crate::content::Content;
use crate::net::{NetworkOptions, Patience, RetryPolicy};
use crate::oci::Digest;
use crate::registry::{BlobSource, PushImage, RefusalKind, RegistryError, RegistryOptions, SeenTag, Tally};

fn push(bench: &Bench, images: &[PushImage]) -> Vec<crate::registry::Pushed> {
    bench.registries.push(images).unwrap_or_else(|error| panic!("{}\n{}", whole(&error), bench.heard.all()))
}

fn three() -> Vec<Vec<u8>> {
    vec![bytes(1, 500), bytes(2, 300_000), bytes(3, 70_000)]
}

#[test]
fn blobs_then_manifests_then_tags() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let (amd64, arm64) = (manifest(&three()), manifest(&[bytes(9, 400), bytes(2, 300_000)]));
    let index = index(&[&amd64, &arm64]);
    let image = PushImage {
        about: None,
        seen: Default::default(),
        repository: reference(&fake, "team/app"),
        tags: vec!["1".to_owned(), "latest".to_owned()],
        manifests: vec![amd64, arm64, index],
    };
    let pushed = push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
    assert_eq!(pushed[0].uploaded, Tally { count: 4, bytes: 500 + 300_000 + 70_000 + 400 });
    assert_eq!((pushed[0].present.count, pushed[0].mounted.count, pushed[0].unchanged), (0, 0, false));
    let writes: Vec<String> = fake
        .log()
        .iter()
        .filter(|logged| logged.method == "PUT")
        .map(|logged| logged.target.split(['?', '@']).next().unwrap_or_default().to_owned())
        .collect();
    let kind = |target: &str| match target {
        target if target.contains("/blobs/") => 0,
        target if target.contains("sha256:") => 1,
        _ => 2,
    };
    let kinds: Vec<i32> = writes.iter().map(|target| kind(target)).collect();
    assert_eq!(kinds, [0, 0, 0, 0, 1, 1, 1, 2, 2]);
    assert_eq!(fake.count("PUT", "/manifests/latest"), 1);
    bench.clean();
}

#[test]
fn an_image_that_is_there_costs_one_head_a_tag() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let mut image = image(&fake, "a", &["1"], &three());
    push(&bench, std::slice::from_ref(&image));
    fake.clear_log();
    let pushed = push(&bench, std::slice::from_ref(&image));
    assert!(pushed[0].unchanged);
    assert_eq!(fake.lines(), ["HEAD /v2/a/manifests/1 200"]);
    // What its manifest was a moment ago, when it was read, need not be asked; what it was before a long build, it must.
    let digest = image.manifests[0].descriptor.digest;
    let now = Instant::now();
    for (at, asked) in
        [(Some(now), &[][..]), (now.checked_sub(Duration::from_secs(60)), &["HEAD /v2/a/manifests/1 200"])]
    {
        let Some(at) = at else { continue };
        fake.clear_log();
        image.seen = [("1".to_owned(), SeenTag { digest, at })].into();
        assert!(push(&bench, std::slice::from_ref(&image))[0].unchanged);
        assert_eq!(fake.lines(), asked);
    }
    image.seen.clear();
    // Another tag costs the tag and nothing else.
    fake.clear_log();
    image.tags.push("2".to_owned());
    push(&bench, std::slice::from_ref(&image));
    assert_eq!(fake.lines(), ["HEAD /v2/a/manifests/1 200", "HEAD /v2/a/manifests/2 404", "PUT /v2/a/manifests/2 201"]);
    fake.clear_log();
    image.tags = vec!["3".to_owned()];
    push(&bench, std::slice::from_ref(&image));
    let digest = image.manifests[0].descriptor.digest;
    assert_eq!(
        fake.lines(),
        [
            "HEAD /v2/a/manifests/3 404".to_owned(),
            format!("HEAD /v2/a/manifests/{digest} 200"),
            "PUT /v2/a/manifests/3 201".to_owned()
        ]
    );
    // Without a tag, too.
    fake.clear_log();
    image.tags.clear();
    assert!(!push(&bench, std::slice::from_ref(&image))[0].unchanged);
    assert_eq!(fake.log().len(), 1);
}

#[test]
fn what_images_share_is_sent_once() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let base = bytes(7, 500_000);
    let app = |n: u64| vec![bytes(n, 300), base.clone(), bytes(n + 50, 2000)];
    let images = vec![
        image(&fake, "app", &["1"], &app(1)),
        image(&fake, "app", &["2"], &app(2)),
        image(&fake, "worker", &["1"], &app(3)),
        image(&fake, "api", &["1"], &app(4)),
    ];
    let pushed = push(&bench, &images);
    for image in &images {
        assert_there(&fake, image);
    }
    let sum = |kind: fn(&crate::registry::Pushed) -> Tally| pushed.iter().map(|pushed| kind(pushed).bytes).sum::<u64>();
    assert_eq!(sum(|pushed| pushed.uploaded), 500_000 + 4 * 2300);
    assert_eq!(sum(|pushed| pushed.mounted), 2 * 500_000);
    assert_eq!(sum(|pushed| pushed.present), 500_000);
    let sent: usize =
        fake.log().iter().filter(|logged| logged.target.contains("digest=")).map(|logged| logged.body).sum();
    assert_eq!(sent, 500_000 + 4 * 2300);
    assert_eq!(
        fake.log()
            .iter()
            .filter(|logged| logged.target.contains("mount=") && logged.target.contains("from=app"))
            .count(),
        2
    );
    bench.clean();
}

#[test]
fn registries_that_do_not_mount_are_sent_to() {
    for mounts in [
        Mounts::Ignored,
        Mounts::Refused(400),
        Mounts::Refused(401),
        Mounts::Refused(403),
        Mounts::Refused(404),
        Mounts::Refused(405),
        // Uploads may do where mounts never do.
        Mounts::Refused(500),
    ] {
        let fake = FakeRegistry::start(Setup { mounts: mounts.clone(), ..Setup::default() });
        let bench = Bench::new(&[&fake]);
        let shared = bytes(7, 100_000);
        let images = [
            image(&fake, "a", &["1"], &[bytes(1, 10), shared.clone()]),
            image(&fake, "b", &["1"], &[bytes(2, 10), shared]),
        ];
        let pushed = push(&bench, &images);
        assert_eq!((pushed[1].mounted.count, pushed[1].uploaded.count), (0, 2), "{mounts:?}");
        images.iter().for_each(|image| assert_there(&fake, image));
        if let Mounts::Ignored = mounts {
            assert_eq!(fake.count("POST", "uploads"), 4, "the session that came instead is used");
        }
        bench.clean();
    }
    // What was mounted is another blob, as it says.
    let fake = FakeRegistry::plain();
    let other = vec![("Docker-Content-Digest", nothing().to_string())];
    fake.fault(on("POST", "mount=").always(), Fault::Status(201, other, String::new()));
    let shared = bytes(7, 100_000);
    let images = ["a", "b", "c"].map(|name| image(&fake, name, &["1"], &[bytes(1, 10), shared.clone()]));
    let bench = Bench::with(&quick(), RegistryOptions { jobs: Some(1), ..plain(&[&fake]) });
    push(&bench, &images);
    images.iter().for_each(|image| assert_there(&fake, image));
    assert_eq!(fake.count("POST", "mount="), 1, "it is believed once");
    // The token server may refuse the source's scope, and with it everything.
    let fake = FakeRegistry::start(Setup {
        auth: Auth::Bearer { realm: None },
        user: "bob".to_owned(),
        password: CANARY.to_owned(),
        denied_scopes: vec!["secret".to_owned()],
        ..Setup::default()
    });
    let bench = Bench::as_bob(&[&fake]);
    let mut image = image(&fake, "a", &["1"], &three());
    image.manifests[0].blobs[1].mount_from = vec!["secret".to_owned(), "a".to_owned()];
    push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
    bench.clean();
}

#[test]
fn a_blob_that_is_elsewhere_is_fetched_only_where_it_must_be() {
    let fake = FakeRegistry::plain();
    let other = FakeRegistry::plain();
    let base = bytes(7, 100_000);
    fake.put_blob("base", &base);
    other.put_blob("base", &base);
    for (from, mounted) in [(&fake, 1), (&other, 0)] {
        let bench = Bench::new(&[&fake, &other]);
        let repository = format!("app-{mounted}");
        let mut image = image(&fake, &repository, &["1"], &[bytes(1, 10), base.clone()]);
        image.manifests[0].blobs[1].source =
            BlobSource::Registry { reference: reference(from, "base"), store: bench.store.clone() };
        let pushed = push(&bench, std::slice::from_ref(&image));
        assert_eq!(pushed[0].mounted.count, mounted);
        assert_there(&fake, &image);
        assert_eq!(bench.store.contains(&layer(&base)), mounted == 0);
        bench.clean();
    }
    assert_eq!(fake.count("GET", "/blobs/"), 0, "what can be mounted is not read");
    // One job at a time is enough for it.
    let bench = Bench::with(&quick(), RegistryOptions { jobs: Some(1), ..plain(&[&fake, &other]) });
    let mut image = image(&fake, "one", &["1"], &[bytes(1, 10), bytes(8, 100)]);
    other.put_blob("base", &bytes(8, 100));
    image.manifests[0].blobs[1].source =
        BlobSource::Registry { reference: reference(&other, "base"), store: bench.store.clone() };
    push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
}

#[test]
fn locations_in_every_form() {
    let other = FakeRegistry::plain();
    for (locations, good) in [(Locations::Absolute, true), (Locations::Relative, true), (Locations::Missing, false)] {
        let fake = FakeRegistry::start(Setup {
            locations: locations.clone(),
            auth: Auth::Basic,
            user: "bob".to_owned(),
            password: CANARY.to_owned(),
            ..Setup::default()
        });
        let bench = Bench::as_bob(&[&fake]);
        let image = image(&fake, "a", &["1"], &three());
        match bench.registries.push(std::slice::from_ref(&image)) {
            Ok(_) => assert_there(&fake, &image),
            Err(error) => assert!(!good && whole(&error).contains("no Location"), "{locations:?}: {}", whole(&error)),
        }
        assert_eq!(fake.tags() == 1, good);
        bench.clean();
    }
    // Another server gets the bytes, and nothing else.
    let fake = FakeRegistry::start(Setup {
        locations: Locations::Elsewhere(other.url()),
        auth: Auth::Basic,
        user: "bob".to_owned(),
        password: CANARY.to_owned(),
        ..Setup::default()
    });
    let bench = Bench::as_bob(&[&fake]);
    let image = image(&fake, "a", &["1"], &[bytes(1, 10)]);
    let error = bench.registries.push(std::slice::from_ref(&image)).unwrap_err();
    whole(&error);
    assert!(other.count("PUT", "/blobs/uploads/") > 0);
    assert!(other.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
    assert_eq!(fake.tags(), 0);
}

/// Every fault that passes, at every kind of request of a push: the image arrives, once.
#[test]
fn a_push_survives_what_passes() {
    let faults = [
        Fault::Status(500, vec![], String::new()),
        Fault::Status(503, vec![("Retry-After", "7".to_owned())], String::new()),
        Fault::Status(429, vec![("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())], String::new()),
        Fault::StatusAfter(500),
        Fault::StatusAfter(504),
        Fault::Cut,
        Fault::CutAfter,
        Fault::CutEarly,
        Fault::EarlyStatus(503),
        Fault::Stall(Duration::from_millis(2500)),
    ];
    let places = [
        ("HEAD", "/manifests/1"),
        ("HEAD", "/manifests/sha256"),
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/sha256"),
        ("PUT", "/manifests/1"),
    ];
    for (method, part) in places {
        for fault in &faults {
            let fake = FakeRegistry::plain();
            let times = if matches!(fault, Fault::Stall(_)) { 1 } else { 2 };
            fake.fault(on(method, part).times(times), fault.clone());
            let bench = Bench::new(&[&fake]);
            let image = image(&fake, "a", &["1"], &three());
            let pushed = bench.registries.push(std::slice::from_ref(&image));
            let pushed = pushed.unwrap_or_else(|error| panic!("{method} {part} {fault:?}: {}", whole(&error)));
            assert_eq!(pushed[0].uploaded.count, 3, "{method} {part} {fault:?}");
            assert_there(&fake, &image);
            bench.clean();
        }
    }
}

/// After an answer that leaves open what happened, the registry is asked before anything is sent again.
#[test]
fn doubtful_answers_are_looked_into() {
    let blob = bytes(2, 300_000);
    // The fault, and how often the blob goes out.
    for (fault, sent) in [
        (Fault::StatusAfter(404), 1),
        (Fault::StatusAfter(416), 1),
        (Fault::StatusAfter(500), 1),
        (Fault::StatusAfter(400), 1),
        (Fault::CutAfter, 1),
        (Fault::LoseSession, 2),
        (Fault::Status(404, vec![], String::new()), 2),
        (Fault::Status(416, vec![], String::new()), 2),
        (Fault::Status(500, vec![], String::new()), 2),
    ] {
        let fake = FakeRegistry::plain();
        if let Fault::StatusAfter(400) = fault {
            fake.fault(
                on("PUT", "/uploads/"),
                Fault::Status(400, vec![], r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}"#.to_owned()),
            );
        } else {
            fake.fault(on("PUT", "/uploads/"), fault.clone());
        }
        let bench = Bench::new(&[&fake]);
        let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
        push(&bench, std::slice::from_ref(&image));
        assert_there(&fake, &image);
        let lines: Vec<String> = fake.log().iter().map(|logged| logged.method.clone()).collect();
        let after = lines.iter().position(|method| method == "PUT").unwrap() + 1;
        assert_eq!(lines[after], "HEAD", "{fault:?}: {lines:?}");
        let uploads = fake.count("PUT", "/uploads/");
        assert!(uploads == sent || matches!(fault, Fault::StatusAfter(400)), "{fault:?}: sent {uploads} times");
        bench.clean();
    }
}

#[test]
fn what_is_refused_again_and_again_is_refused() {
    for (method, part, fault, wanted, most) in [
        ("PUT", "/uploads/", Fault::Status(500, vec![], String::new()), "tried 8×", 8),
        ("PUT", "/uploads/", Fault::Status(404, vec![], String::new()), "404", 3),
        ("PUT", "/uploads/", Fault::Status(403, vec![], String::new()), "403", 1),
        ("PUT", "/uploads/", Fault::Status(507, vec![], "disk full".to_owned()), "disk full", 8),
        ("PUT", "/uploads/", Fault::EarlyStatus(403), "403", 1),
        ("PUT", "/uploads/", Fault::Cut, "tried 8×", 8),
        ("PUT", "/uploads/", Fault::Header("Docker-Content-Digest", nothing().to_string()), "", 1),
        ("POST", "/uploads/", Fault::Status(403, vec![], String::new()), "403", 1),
        (
            "PUT",
            "/manifests/",
            Fault::Status(400, vec![], r#"{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}"#.to_owned()),
            "MANIFEST_INVALID `no`",
            1,
        ),
        (
            "PUT",
            "/manifests/sha256",
            Fault::Header("Docker-Content-Digest", nothing().to_string()),
            "makes no sense",
            1,
        ),
        ("PUT", "/manifests/sha256", Fault::Status(503, vec![], String::new()), "tried 8×", 8),
        ("PUT", "/manifests/1", Fault::Status(503, vec![], String::new()), "tried 8×", 8),
    ] {
        let fake = FakeRegistry::plain();
        fake.fault(on(method, part).always(), fault.clone());
        let bench = Bench::new(&[&fake]);
        // Two images: where one fails, no tag of the other is set.
        let images = [
            image(&fake, "a", &["1"], &[bytes(1, 200_000)]),
            image(&fake, "a", &["2"], &[bytes(1, 200_000), bytes(2, 10)]),
        ];
        match bench.registries.push(&images[..1]) {
            Ok(_) => assert!(wanted.is_empty(), "{method} {part} {fault:?}"),
            Err(error) => {
                let text = whole(&error);
                assert!(!wanted.is_empty() && text.contains(wanted), "{method} {part} {fault:?}: {text}");
                assert_eq!(fake.tags(), 0);
                let tried = fake.count(method, part);
                assert_eq!(tried, most, "{method} {part} {fault:?}");
            }
        }
        bench.clean();
    }
}

#[test]
fn no_tag_before_every_manifest_is_in() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let images = [image(&fake, "a", &["1"], &[bytes(1, 10)]), image(&fake, "b", &["1"], &[bytes(2, 10)])];
    fake.fault(on("PUT", "/v2/b/manifests/sha256").always(), Fault::Status(403, vec![], String::new()));
    assert!(bench.registries.push(&images).is_err());
    assert_eq!(fake.tags(), 0);
    // A second run goes on where this one ended.
    let fixed = FakeRegistry::plain();
    let images = [image(&fixed, "a", &["1"], &three())];
    fixed.fault(on("PUT", "/manifests/sha256"), Fault::Status(403, vec![], String::new()));
    let bench = Bench::new(&[&fixed]);
    assert!(bench.registries.push(&images).is_err());
    let pushed = push(&bench, &images);
    assert_eq!((pushed[0].uploaded.count, pushed[0].present.count), (0, 3));
    assert_there(&fixed, &images[0]);
}

#[test]
fn a_blob_that_the_registry_lost_is_sent_once_more() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    // It says that it has them, and its manifests say otherwise.
    let image = image(&fake, "a", &["1"], &three());
    for blob in &image.manifests[0].blobs {
        fake.fault(
            on("PUT", &format!("digest={}", blob.descriptor.digest).replace("sha256:", "sha256%3A")),
            Fault::LoseBlob,
        );
    }
    push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
    assert!(bench.heard.all().contains("has lost blob"), "{}", bench.heard.all());
    // For ever: then it is an error.
    let fake = FakeRegistry::plain();
    fake.fault(on("PUT", "digest=").always(), Fault::LoseBlob);
    let bench = Bench::new(&[&fake]);
    let error = bench.registries.push(&[super::support::image(&fake, "a", &["1"], &three())]).unwrap_err();
    assert!(whole(&error).contains("MANIFEST_BLOB_UNKNOWN"), "{}", whole(&error));
    bench.clean();
}

#[test]
fn chunks_where_a_registry_wants_them() {
    let blob = bytes(2, 3 << 20);
    for (setup, chunk, patches) in [
        // A limit in front of the registry: 413, then smaller and smaller.
        (Setup { max_body: Some(1 << 20), ..Setup::default() }, None, 3),
        (
            Setup {
                max_body: Some(1 << 20),
                patch_status: Some(201),
                locations: Locations::Relative,
                ..Setup::default()
            },
            None,
            3,
        ),
        (Setup { max_body: Some(1 << 20), patch_status: Some(204), ..Setup::default() }, None, 3),
        // As asked, and as long as the registry wants them.
        (Setup::default(), Some(1 << 20), 3),
        (Setup { min_chunk: Some(2 << 20), ..Setup::default() }, Some(1 << 20), 2),
        // Larger ones than pass: a blob that is smaller than they are is cut, too.
        (Setup { max_body: Some(1 << 20), ..Setup::default() }, Some(5 << 20), 3),
        // No body in a PUT: one PATCH for everything.
        (Setup { no_whole_put: true, ..Setup::default() }, None, 1),
        (Setup::default(), None, 0),
        (Setup::default(), Some(1 << 30), 0),
    ] {
        let fake = FakeRegistry::start(setup);
        let bench = Bench::with(&quick(), RegistryOptions { chunk, ..plain(&[&fake]) });
        let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
        push(&bench, std::slice::from_ref(&image));
        assert_there(&fake, &image);
        assert_eq!(fake.count("PATCH", ""), patches, "{chunk:?}: {:?}", fake.lines());
        bench.clean();
    }
    // Learned once.
    let fake = FakeRegistry::start(Setup { max_body: Some(1 << 20), ..Setup::default() });
    let bench = Bench::with(&quick(), RegistryOptions { jobs: Some(1), ..plain(&[&fake]) });
    push(&bench, &[image(&fake, "a", &["1"], &[blob.clone(), bytes(5, 3 << 20)])]);
    assert_eq!(fake.log().iter().filter(|logged| logged.status == 413).count(), 1);
}

#[test]
fn what_writes_is_sent_to_no_other_server() {
    for (method, part) in [("PUT", "/manifests/"), ("POST", "uploads")] {
        let (fake, other) = (FakeRegistry::plain(), FakeRegistry::plain());
        let away = vec![("Location", format!("{}/v2/victim/manifests/latest", other.url()))];
        fake.fault(on(method, part).always(), Fault::Status(307, away, String::new()));
        let bench = Bench::new(&[&fake, &other]);
        let error = bench.registries.push(&[image(&fake, "a", &["1"], &three())]).unwrap_err();
        assert!(whole(&error).contains("sent to no other server"), "{}", whole(&error));
        assert_eq!(other.log().len(), 0);
        bench.clean();
    }
}

#[test]
fn a_chunk_that_fails_begins_a_new_session() {
    let blob = bytes(2, 3 << 20);
    for fault in [
        Fault::Status(500, vec![], String::new()),
        Fault::CutAfter,
        Fault::LoseSession,
        // ECR: the second one does not move on.
        Fault::Header("Range", "0-1048575".to_owned()),
    ] {
        let fake = FakeRegistry::plain();
        fake.fault(on("PATCH", "").skip(1), fault.clone());
        let bench = Bench::with(&quick(), RegistryOptions { chunk: Some(1 << 20), ..plain(&[&fake]) });
        let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
        push(&bench, std::slice::from_ref(&image));
        assert_there(&fake, &image);
        assert_eq!(fake.count("POST", "uploads"), 2, "{fault:?}");
        bench.clean();
    }
}

#[test]
fn a_body_that_nobody_listens_to() {
    // Larger than what the kernel takes off our hands.
    let blob = bytes(2, 24 << 20);
    for (fault, wanted) in [
        (Fault::EarlyStatus(403), "answered 403"),
        (Fault::EarlyStatus(413), ""),
        (Fault::EarlyStatus(503), ""),
        (Fault::Deaf(Duration::from_secs(4)), ""),
        (Fault::CutEarly, ""),
    ] {
        let fake = FakeRegistry::plain();
        fake.fault(on("PUT", "/uploads/"), fault.clone());
        let bench = Bench::new(&[&fake]);
        let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
        let begun = std::time::Instant::now();
        match bench.registries.push(std::slice::from_ref(&image)) {
            Ok(_) => {
                assert!(wanted.is_empty(), "{fault:?}");
                assert_there(&fake, &image);
            }
            Err(error) => assert!(!wanted.is_empty() && whole(&error).contains(wanted), "{fault:?}: {}", whole(&error)),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{fault:?}");
        // What was sent again is not counted again.
        let advanced: u64 = bench
            .heard
            .all()
            .lines()
            .filter_map(|line| {
                line.split_once("Advanced")
                    .and_then(|(_, rest)| rest.rsplit("bytes: ").next()?.split(' ').next()?.parse::<u64>().ok())
            })
            .sum();
        assert!(advanced <= blob.len() as u64, "{fault:?}: {advanced}");
        bench.clean();
    }
}

/// The digest of a blob, as it stands in the address that it is sent to.
fn asked(blob: &[u8]) -> String {
    Digest::of(blob).to_string().replace(':', "%3A")
}

/// Fails where a registry that takes a byte now and then is waited for until it has all.
#[test]
fn a_body_that_is_taken_byte_by_byte_is_given_up_and_sent_again() {
    let blob = bytes(5, 24 << 20);
    for (times, wanted) in [(1, None), (usize::MAX, Some(" while sending"))] {
        let fake = FakeRegistry::plain();
        fake.fault(on("PUT", &asked(&blob)).times(times), Fault::Sip(1, Duration::from_millis(10)));
        let bench = Bench::new(&[&fake]);
        let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
        let begun = std::time::Instant::now();
        match (bench.registries.push(std::slice::from_ref(&image)), wanted) {
            (Ok(_), None) => assert_there(&fake, &image),
            (Err(error), Some(wanted)) => assert!(whole(&error).contains(wanted), "{}", whole(&error)),
            (result, _) => panic!("{wanted:?}: {result:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        bench.clean();
    }
}

/// Fails where a body that was handed over is taken for one that went out: on a slow line the answer comes later.
#[test]
fn a_slow_line_is_waited_for() {
    let patience = Patience { idle: Duration::from_millis(300), line: 100 << 10, ..quick().patience };
    let fake = FakeRegistry::plain();
    let blob = bytes(8, 600 << 10);
    fake.fault(on("PUT", &asked(&blob)).always(), Fault::Stall(Duration::from_millis(1500)));
    let bench = Bench::with(&NetworkOptions { patience, ..quick() }, plain(&[&fake]));
    let image = image(&fake, "a", &["1"], std::slice::from_ref(&blob));
    push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
    assert_eq!(fake.count("PUT", &asked(&blob)), 1, "{:#?}", fake.lines());
}

/// Fails where a registry that swallows a small blob and says nothing is waited for as for a large one, and where one that
/// puts chunks together gets no more time than for any answer.
#[test]
fn what_is_put_together_gets_time_and_small_blobs_get_less() {
    let patience = Patience { idle: Duration::from_millis(400), commit: Duration::from_secs(20), ..quick().patience };
    let network = NetworkOptions { patience, retry: RetryPolicy { tries: 2, ..quick().retry }, ..quick() };
    let fake = FakeRegistry::plain();
    fake.fault(on("PUT", "/uploads/").always(), Fault::Deaf(Duration::from_secs(30)));
    let bench = Bench::with(&network, plain(&[&fake]));
    let begun = std::time::Instant::now();
    let pushed = bench.registries.push(&[image(&fake, "a", &["1"], &[bytes(6, 1000)])]);
    assert!(pushed.is_err() && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let fake = FakeRegistry::start(Setup { no_whole_put: true, ..Setup::default() });
    let blob = bytes(7, 3 << 20);
    // The first one is refused, because it has a body.
    fake.fault(on("PUT", &asked(&blob)).skip(1), Fault::Stall(Duration::from_secs(2)));
    let bench = Bench::with(&network, plain(&[&fake]));
    let image = image(&fake, "a", &["1"], &[blob]);
    push(&bench, std::slice::from_ref(&image));
    assert_there(&fake, &image);
    assert_eq!(fake.count("POST", "uploads"), 2, "{:#?}", fake.lines());
}

#[test]
fn what_refers_to_another_manifest_is_listed_where_the_registry_does_not() {
    let subject = manifest(&three());
    let signature = |number: u64| {
        let blob = bytes(number, 20);
        let mut attached = manifest(std::slice::from_ref(&blob));
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": attached.descriptor.media_type,
            "artifactType": "application/vnd.example.signature",
            "config": attached.blobs[0].descriptor,
            "layers": [],
            "subject": subject.descriptor,
            "annotations": {"number": number.to_string()},
        });
        attached.bytes = serde_json::to_vec(&document).unwrap();
        attached.descriptor = crate::oci::Descriptor::of(attached.descriptor.media_type, &attached.bytes);
        attached
    };
    for referrers in [false, true] {
        let fake = FakeRegistry::start(Setup { referrers, ..Setup::default() });
        let bench = Bench::new(&[&fake]);
        let attach = |manifest| PushImage {
            about: None,
            repository: reference(&fake, "a"),
            tags: vec![],
            seen: Default::default(),
            manifests: vec![manifest],
        };
        push(&bench, &[image(&fake, "a", &["1"], &three())]);
        push(&bench, &[attach(signature(1)), attach(signature(2))]);
        push(&bench, &[attach(signature(1))]);
        let listed = fake.tag("a", &format!("sha256-{}", subject.descriptor.digest.hex()));
        assert_eq!(listed.is_none(), referrers);
        if let Some(digest) = listed {
            let list: serde_json::Value = serde_json::from_slice(&fake.manifest("a", &digest).unwrap()).unwrap();
            let entries = list["manifests"].as_array().unwrap();
            let digests: Vec<&str> = entries.iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
            assert_eq!(digests, [signature(1), signature(2)].map(|manifest| manifest.descriptor.digest.to_string()));
            assert_eq!(entries[1]["artifactType"], "application/vnd.example.signature");
            assert_eq!(entries[1]["annotations"]["number"], "2");
        }
        assert_eq!(fake.violations(), Vec::<String>::new());
    }
}

#[test]
fn tags_that_do_not_move() {
    let fake = FakeRegistry::start(Setup { immutable_tags: true, ..Setup::default() });
    let bench = Bench::new(&[&fake]);
    // The answer is lost, and the second try is refused: what counts is what the tag names.
    fake.fault(on("PUT", "/manifests/1"), Fault::CutAfter);
    let image = image(&fake, "a", &["1"], &three());
    push(&bench, std::slice::from_ref(&image));
    assert!(push(&bench, std::slice::from_ref(&image))[0].unchanged);
    let other = super::support::image(&fake, "a", &["1"], &[bytes(8, 10)]);
    let error = bench.registries.push(&[other]).unwrap_err();
    assert!(whole(&error).contains("TAG_INVALID"), "{}", whole(&error));
    assert_eq!(fake.tag("a", "1"), Some(image.manifests[0].descriptor.digest.to_string()));
}

#[test]
fn a_repository_that_must_be_made_first() {
    let fake = FakeRegistry::start(Setup { repositories: Some(vec!["known".to_owned()]), ..Setup::default() });
    let bench = Bench::new(&[&fake]);
    let error = bench.registries.push(&[image(&fake, "unknown", &["1"], &three())]).unwrap_err();
    assert!(error.is(RefusalKind::NotFound) && whole(&error).contains("NAME_UNKNOWN"), "{}", whole(&error));
    assert!(error.advice().unwrap().contains("does not exist"), "{:?}", error.advice());
}

#[test]
fn a_blob_that_cannot_be_read_is_not_the_registrys_fault() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blob");
    let good = bytes(1, 200_000);
    let mut image = image(&fake, "a", &["1"], std::slice::from_ref(&good));
    std::fs::write(&path, bytes(2, 200_000)).unwrap();
    let stat = rustix::fs::lstat(&path).unwrap();
    let content = Content::host(&path, crate::content::FileIdentity::of(&stat)).with_digest(Digest::of(&good));
    image.manifests[0].blobs[0].source = BlobSource::Content(content);
    let error = bench.registries.push(std::slice::from_ref(&image)).unwrap_err();
    assert!(matches!(error, RegistryError::Content { .. }), "{}", whole(&error));
    assert!(whole(&error).contains("changed while it was read"), "{}", whole(&error));
    assert!(fake.count("PUT", "/uploads/") <= 1, "it is not tried again");
    assert_eq!(fake.tags(), 0);
}

#[test]
fn what_does_not_fit_together_is_not_begun() {
    let fake = FakeRegistry::plain();
    let bench = Bench::new(&[&fake]);
    let good = image(&fake, "a", &["1"], &three());
    let mut wrong_bytes = good.clone();
    wrong_bytes.manifests[0].bytes.push(b' ');
    let other = image(&fake, "a", &["1"], &[bytes(1, 1)]);
    for images in [
        vec![PushImage { manifests: vec![], ..good.clone() }],
        vec![wrong_bytes],
        vec![PushImage { tags: vec!["-".to_owned()], ..good.clone() }],
        vec![good.clone(), other],
    ] {
        let error = bench.registries.push(&images).unwrap_err();
        assert!(matches!(error, RegistryError::Image { .. }), "{}", whole(&error));
    }
    assert_eq!(fake.log().len(), 0);
    // The same image under the same tag twice is no contradiction.
    push(&bench, &[good.clone(), good]);
    assert!(bench.registries.push(&[]).unwrap().is_empty());
}

#[test]
fn pushes_survive_a_bad_day() {
    // Of ten requests three fail. Eight failures in a row happen too, once in 15,000 requests: then the push fails, and
    // the next one goes on where it ended.
    let mut failed = 0;
    for seed in 1..=25 {
        let fake = FakeRegistry::start(Setup { random_faults: Some((seed * 7919, 30)), ..Setup::default() });
        let bench = Bench::new(&[&fake]);
        let images = [image(&fake, "a", &["1"], &three()), image(&fake, "b", &["1", "2"], &three())];
        while let Err(error) = bench.registries.push(&images) {
            failed += 1;
            assert!(whole(&error).contains("tried 8×"), "{}", whole(&error));
            assert!(failed < 4, "pushes fail too often: {}", whole(&error));
        }
        images.iter().for_each(|image| assert_there(&fake, image));
        for image in &images {
            let blobs: Vec<_> = image.manifests[0].blobs.iter().map(|blob| blob.descriptor.clone()).collect();
            while let Err(error) = bench.registries.fetch_blobs(&image.repository, &blobs, &bench.store) {
                failed += 1;
                assert!(failed < 4, "pulls fail too often: {}", whole(&error));
            }
            assert!(blobs.iter().all(|blob| bench.store.contains(blob)));
        }
        bench.clean();
    }
}
