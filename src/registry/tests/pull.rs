//! Reading: every fault of a download, and what must come of it.

use std::time::Duration;

use super::fake::{FakeRegistry, Fault, OCI_INDEX, OCI_MANIFEST, Setup, on};
use super::support::*;
use crate::net::{Least, NetworkOptions, Patience};
use crate::oci::{Descriptor, Digest, MediaType};
use crate::registry::{RefusalKind, RegistryError};

#[test]
fn a_tag_is_one_head_request() {
    let fake = FakeRegistry::plain();
    let bytes = br#"{"schemaVersion":2}"#;
    let digest = fake.put_manifest("a/b", Some("1"), OCI_MANIFEST, bytes);
    let bench = Bench::new(&[&fake]);
    let found = bench.registries.resolve(&reference(&fake, "a/b:1")).unwrap().unwrap();
    assert_eq!(found, Descriptor::of(MediaType::named(OCI_MANIFEST), bytes));
    assert_eq!(fake.lines(), ["HEAD /v2/a/b/manifests/1 200"]);
    assert_eq!(bench.registries.resolve(&reference(&fake, "a/b:2")).unwrap(), None);
    assert_eq!(bench.registries.resolve(&reference(&fake, &format!("a/b@{digest}"))).unwrap().unwrap(), found);
    assert_eq!(fake.violations(), Vec::<String>::new());
    bench.clean();
}

#[test]
fn where_the_head_says_too_little_the_manifest_is_read() {
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = Digest::of(bytes);
    for (setup, fault) in [
        (Setup { no_digest_header: true, ..Setup::default() }, None),
        (Setup { no_head: true, ..Setup::default() }, None),
        (Setup::default(), Some(Fault::Header("Docker-Content-Digest", "md5:x".to_owned()))),
        (Setup::default(), Some(Fault::Header("Content-Type", "application/json".to_owned()))),
        (Setup::default(), Some(Fault::Header("Content-Length", "0".to_owned()))),
    ] {
        let fake = FakeRegistry::start(setup);
        fake.put_manifest("a", Some("1"), OCI_INDEX, bytes);
        if let Some(fault) = fault {
            fake.fault(on("HEAD", "manifests").always(), fault);
        }
        let bench = Bench::new(&[&fake]);
        let found = bench.registries.resolve(&reference(&fake, "a:1")).unwrap().unwrap();
        assert_eq!((found.digest, found.media_type.as_str()), (digest, OCI_INDEX));
    }
}

#[test]
fn manifests_are_what_was_asked_for() {
    let bytes = br#"{"schemaVersion":2,"layers":[],"config":{}}"#;
    let digest = Digest::of(bytes);
    let long = vec![b' '; (4 << 20) + 1];
    for (name, fault, wanted) in [
        ("1", None, Ok(OCI_MANIFEST)),
        ("1", Some(Fault::Header("Content-Type", String::new())), Ok(OCI_MANIFEST)),
        ("1", Some(Fault::Flip), Err("wrong bytes")),
        ("1", Some(Fault::Header("Docker-Content-Digest", nothing().to_string())), Err("wrong bytes")),
        ("@", Some(Fault::Flip), Err("wrong bytes")),
        ("@", Some(Fault::Header("Docker-Content-Digest", digest.to_string())), Ok(OCI_MANIFEST)),
        // The header counts for nothing beside the bytes.
        ("@", Some(Fault::Header("Docker-Content-Digest", nothing().to_string())), Ok(OCI_MANIFEST)),
        ("1", Some(Fault::Endless), Err("more than 4194304 bytes")),
        ("1", Some(Fault::HeaderBomb), Err("cannot be read")),
        ("long", None, Err("more than 4194304 bytes")),
        ("1", Some(Fault::Status(403, vec![], "no".to_owned())), Err("403 Forbidden")),
    ] {
        let fake = FakeRegistry::plain();
        fake.put_manifest("a", Some("1"), OCI_MANIFEST, bytes);
        fake.put_manifest("a", Some("long"), OCI_MANIFEST, &long);
        if let Some(fault) = fault.clone() {
            fake.fault(on("GET", "manifests").always(), fault);
        }
        let bench = Bench::new(&[&fake]);
        let name = if name == "@" { format!("a@{digest}") } else { format!("a:{name}") };
        match (bench.registries.manifest(&reference(&fake, &name)), wanted) {
            (Ok(Some((media_type, found))), Ok(wanted)) => {
                assert_eq!((media_type.as_str(), found.as_slice()), (wanted, &bytes[..]));
            }
            (Err(error), Err(wanted)) => assert!(whole(&error).contains(wanted), "{fault:?}: {}", whole(&error)),
            (found, _) => panic!("{fault:?}: {found:?}"),
        }
        bench.clean();
    }
}

#[test]
fn a_lie_about_a_digest_is_no_answer_to_a_head() {
    let fake = FakeRegistry::plain();
    let digest = fake.put_manifest("a", None, OCI_MANIFEST, b"{}");
    fake.fault(on("HEAD", "manifests"), Fault::Header("Docker-Content-Digest", nothing().to_string()));
    let bench = Bench::new(&[&fake]);
    let error = bench.registries.resolve(&reference(&fake, &format!("a@{digest}"))).unwrap_err();
    assert!(whole(&error).contains("makes no sense"), "{}", whole(&error));
}

/// Fails where a server that says a byte now and then is waited for until all of it has come.
#[test]
fn a_body_that_trickles_is_given_up_and_gone_on_with() {
    let blob = bytes(4, 60_000);
    let least = Least { bytes: 10_000, within: Duration::from_millis(300) };
    let patience = Patience { idle: Duration::from_secs(20), least, ..quick().patience };
    for (times, wanted) in [(1, None), (usize::MAX, Some("bytes came within 1 s"))] {
        let fake = FakeRegistry::plain();
        fake.put_blob("a", &blob);
        // All of it would take a quarter of an hour.
        fake.fault(on("GET", "blobs").times(times), Fault::Trickle(2, Duration::from_millis(30)));
        let network = NetworkOptions { patience: patience.clone(), ..quick() };
        let bench = Bench::with(&network, plain(&[&fake]));
        let begun = std::time::Instant::now();
        let result = bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store);
        match wanted {
            None => {
                result.unwrap_or_else(|error| panic!("{}", whole(&error)));
                assert_eq!(bench.store.content(&layer(&blob)).unwrap().read_all(1 << 20).unwrap(), blob);
            }
            Some(wanted) => {
                let error = whole(&result.unwrap_err());
                assert!(error.contains(wanted) && error.contains("tried"), "{error}");
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        bench.clean();
    }
}

/// Every fault of a blob's download, how often it happens, and what comes of it.
#[test]
fn blobs_survive_what_passes_and_refuse_what_is_wrong() {
    let blob = bytes(1, 300_000);
    let passing: Vec<(Fault, usize)> = vec![
        (Fault::Status(500, vec![], String::new()), 7),
        (Fault::Status(503, vec![("Retry-After", "1000000000".to_owned())], String::new()), 2),
        (Fault::Status(429, vec![("Retry-After", "0".to_owned())], String::new()), 3),
        (Fault::Cut, 3),
        (Fault::CutEarly, 3),
        (Fault::CutBody(0), 3),
        (Fault::CutBody(100_000), 2),
        (Fault::CutBody(299_999), 1),
        (Fault::Stall(Duration::from_secs(2)), 1),
        (Fault::StallBody(1000, Duration::from_secs(2)), 1),
        (Fault::Trickle(40_000, Duration::from_millis(150)), 1),
        (Fault::Flip, 1),
        (Fault::Header("Content-Encoding", "identity".to_owned()), 1),
    ];
    for (fault, times) in passing {
        let fake = FakeRegistry::plain();
        fake.put_blob("a", &blob);
        fake.fault(on("GET", "blobs").times(times), fault.clone());
        let bench = Bench::new(&[&fake]);
        let result = bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store);
        result.unwrap_or_else(|error| panic!("{fault:?}: {}", whole(&error)));
        assert_eq!(bench.store.content(&layer(&blob)).unwrap().read_all(1 << 20).unwrap(), blob);
        let asked = fake.count("GET", "blobs");
        // One that stalls is noted when it wakes up.
        assert!(
            asked > 1 || matches!(fault, Fault::Header(..) | Fault::Stall(_) | Fault::Trickle(..)),
            "{fault:?}: {asked} requests"
        );
        bench.clean();
    }
    let lasting: Vec<(Fault, &str)> = vec![
        (Fault::Flip, "wrong bytes"),
        (Fault::Twice, "600000 bytes are announced, and 300000 were expected"),
        (Fault::Short, "299999 bytes are announced, and 300000 were expected"),
        (Fault::Endless, "more than 300000 bytes"),
        (Fault::HeaderBomb, "cannot be read"),
        (Fault::Gzip, "were expected"),
        (
            Fault::Status(500, vec![], "x\u{1b}[31m".to_owned()),
            "500 Internal Server Error, `x\\u{1b}[31m` (no credentials were asked for, tried 8×)",
        ),
        (Fault::Status(404, vec![], String::new()), "has no blob"),
        (Fault::Status(416, vec![], String::new()), "416"),
        (Fault::Status(206, vec![], String::new()), "206"),
        (Fault::Cut, "tried 8×"),
        (Fault::CutBody(7), "tried 8×"),
        (Fault::Header("Location", "x".to_owned()), ""),
    ];
    for (fault, wanted) in lasting {
        let fake = FakeRegistry::plain();
        fake.put_blob("a", &blob);
        fake.fault(on("GET", "blobs").always(), fault.clone());
        let bench = Bench::new(&[&fake]);
        match bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store) {
            Ok(()) => assert!(wanted.is_empty(), "{fault:?}"),
            Err(error) => {
                assert!(!wanted.is_empty() && whole(&error).contains(wanted), "{fault:?}: {}", whole(&error));
                assert!(!bench.store.contains(&layer(&blob)));
                assert!(fake.log().len() <= 9, "{fault:?}: {} requests", fake.log().len());
            }
        }
        bench.clean();
    }
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let blob = bytes(2, 200_000);
    let fake = FakeRegistry::plain();
    fake.put_blob("a", &blob);
    fake.fault(on("GET", "blobs").times(2), Fault::CutBody(50_000));
    let bench = Bench::new(&[&fake]);
    bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store).unwrap();
    let ranges: Vec<Option<String>> = fake.log().iter().map(|logged| logged.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [None, Some("bytes=50000-".to_owned()), Some("bytes=100000-".to_owned())]);
    // Nothing is asked for twice.
    fake.clear_log();
    bench.registries.fetch_blobs(&reference(&fake, "a"), &[layer(&blob), layer(&blob)], &bench.store).unwrap();
    assert_eq!(fake.log().len(), 0);
    assert!(bench.heard.all().contains("going on in"), "{}", bench.heard.all());
}

#[test]
fn ranges_that_are_not_kept_to() {
    let blob = bytes(3, 200_000);
    for (setup, fault) in [
        (Setup { no_ranges: true, ..Setup::default() }, None),
        (Setup::default(), Some(Fault::Header("Content-Range", "bytes 0-199999/200000".to_owned()))),
        (Setup::default(), Some(Fault::Header("Content-Range", "bytes 50000-199999/7".to_owned()))),
        (Setup::default(), Some(Fault::Header("Content-Range", String::new()))),
        (Setup::default(), Some(Fault::Status(416, vec![], String::new()))),
    ] {
        let fake = FakeRegistry::start(setup);
        fake.put_blob("a", &blob);
        fake.fault(on("GET", "blobs"), Fault::CutBody(50_000));
        if let Some(fault) = fault.clone() {
            fake.fault(on("GET", "blobs"), fault);
        }
        let bench = Bench::new(&[&fake]);
        let result = bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store);
        result.unwrap_or_else(|error| panic!("{fault:?}: {}", whole(&error)));
        bench.clean();
    }
    // The right range, with other bytes in it, is found out at the end, and asked for once more from the start.
    let fake = FakeRegistry::plain();
    fake.put_blob("a", &blob);
    fake.fault(on("GET", "blobs"), Fault::CutBody(50_000));
    fake.fault(on("GET", "blobs"), Fault::Flip);
    let bench = Bench::new(&[&fake]);
    bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store).unwrap();
    assert_eq!(fake.log().len(), 3);
}

#[test]
fn small_blobs_are_read_whole_and_checked() {
    let blob = br#"{"architecture":"amd64"}"#;
    let fake = FakeRegistry::plain();
    fake.put_blob("a", blob);
    fake.put_blob("a", b"");
    let bench = Bench::new(&[&fake]);
    assert_eq!(bench.registries.fetch_document(&reference(&fake, "a"), &layer(blob)).unwrap(), blob);
    assert_eq!(bench.registries.fetch_document(&reference(&fake, "a"), &layer(b"")).unwrap(), b"");
    bench.registries.fetch_blob(&reference(&fake, "a"), &layer(b""), &bench.store).unwrap();
    assert!(bench.registries.blob_exists(&reference(&fake, "a"), &layer(blob)).unwrap());
    assert!(!bench.registries.blob_exists(&reference(&fake, "b"), &layer(blob)).unwrap());
    assert!(!bench.registries.blob_exists(&reference(&fake, "a"), &Descriptor { size: 1, ..layer(blob) }).unwrap());
    let absent = bench.registries.fetch_document(&reference(&fake, "b"), &layer(blob)).unwrap_err();
    assert!(matches!(absent, RegistryError::Absent { .. }), "{}", whole(&absent));
    fake.fault(on("GET", "blobs").always(), Fault::Flip);
    let wrong = bench.registries.fetch_document(&reference(&fake, "a"), &layer(blob)).unwrap_err();
    assert!(matches!(wrong, RegistryError::WrongBytes { .. }), "{}", whole(&wrong));
    let huge = Descriptor { size: 1 << 40, ..layer(blob) };
    assert!(bench.registries.fetch_document(&reference(&fake, "a"), &huge).is_err());
}

#[test]
fn warnings_are_passed_on_once() {
    let fake = FakeRegistry::plain();
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    fake.fault(
        on("HEAD", "manifests").always(),
        Fault::Header("Warning", "299 - \"this registry will move\"".to_owned()),
    );
    let bench = Bench::new(&[&fake]);
    for _ in 0..3 {
        bench.registries.resolve(&reference(&fake, "a:1")).unwrap();
    }
    let heard = bench.heard.all();
    assert_eq!(heard.matches("this registry will move").count(), 1, "{heard}");
    assert!(heard.contains("Warning"), "{heard}");
}

#[test]
fn refusals_say_what_they_are() {
    let fake = FakeRegistry::plain();
    let body = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"m","detail":null}}]}}"#);
    for (status, code, kind, advice) in [
        (403, "DENIED", RefusalKind::Denied, "docker login"),
        (401, "UNAUTHORIZED", RefusalKind::Unauthorized, "docker login"),
        (400, "UNSUPPORTED", RefusalKind::Other, ""),
        (410, "NAME_UNKNOWN", RefusalKind::NotFound, "does not exist"),
    ] {
        fake.fault(on("GET", "manifests"), Fault::Status(status, vec![], body(code)));
        let bench = Bench::new(&[&fake]);
        let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
        assert!(error.is(kind), "{}", whole(&error));
        assert!(whole(&error).contains(&format!("{code} `m`")), "{}", whole(&error));
        assert!(error.advice().unwrap_or_default().contains(advice), "{:?}", error.advice());
    }
}

#[test]
fn a_call_can_be_ended_from_outside() {
    let fake = FakeRegistry::plain();
    fake.put_blob("a", b"x");
    fake.fault(on("GET", "blobs").always(), Fault::Stall(Duration::from_secs(20)));
    let bench = Bench::with(&crate::net::NetworkOptions::default(), plain(&[&fake]));
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            bench.registries.network().cancel();
        });
        let error = bench.registries.fetch_blob(&reference(&fake, "a"), &layer(b"x"), &bench.store).unwrap_err();
        assert!(error.is_cancelled(), "{}", whole(&error));
    });
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err().is_cancelled());
    bench.clean();
}
