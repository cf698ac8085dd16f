//! The supply of a machine against servers on loopback.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::credentials::Credentials;
use super::file_server::{Fault, FileServer};
use super::netrc::{NetrcForm, parse};
use super::*;
use crate::net::{Network, NetworkOptions, Patience, RetryPolicy};
use crate::report::{Event, Report, Reporter};
use crate::store::{BlobStore, Upkeep, Usage};

/// Looked for in everything that is written or said.
const CANARY: &str = "hunter22-canary";

/// Hears everything.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Report for Heard {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

struct Bench {
    store: BlobStore,
    heard: Heard,
    started: AtomicUsize,
    directory: tempfile::TempDir,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
    Bench { store, heard: Heard::default(), started: AtomicUsize::new(0), directory }
}

impl Bench {
    fn machine(&self, settings: Settings) -> Machine<'_> {
        self.supply(settings, false)
    }

    fn offline(&self) -> Machine<'_> {
        self.supply(Settings::default(), true)
    }

    fn supply(&self, settings: Settings, offline: bool) -> Machine<'_> {
        let start = || {
            self.started.fetch_add(1, Ordering::Relaxed);
            let pause = Duration::from_millis(1);
            let retry =
                RetryPolicy { first_pause: pause, longest_pause: pause, longest_told: pause, ..RetryPolicy::default() };
            let patience =
                Patience { connect: Duration::from_secs(1), idle: Duration::from_secs(2), ..Patience::default() };
            Ok(Network::new(&NetworkOptions { retry, patience, ..NetworkOptions::default() })?)
        };
        Machine::new(start, &self.store, 1, offline, &Reporter::new(self.heard.clone()), settings)
    }

    /// Every byte below the directory, and every word that was said.
    fn written(&self) -> Vec<u8> {
        let mut bytes = self.heard.0.lock().unwrap().join("\n").into_bytes();
        for entry in walkdir::WalkDir::new(self.directory.path()) {
            let entry = entry.unwrap();
            bytes.extend_from_slice(entry.path().as_os_str().as_encoded_bytes());
            if entry.file_type().is_file() {
                bytes.extend_from_slice(&std::fs::read(entry.path()).unwrap());
            }
        }
        bytes
    }

    fn unfinished(&self) -> usize {
        std::fs::read_dir(self.store.tmp()).unwrap().count()
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// An error with all its causes.
fn whole(error: &SupplyError) -> String {
    let causes = std::iter::successors(error.source(), |error: &&dyn Error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn bytes_of(number: u8) -> Vec<u8> {
    (0..50_000u32).map(|at| (at % 251) as u8 ^ number).collect()
}

/// Asks for one file.
fn ask(supply: &dyn Supply, bytes: &[u8], size: Option<u64>, places: &[String]) -> Result<Vec<u8>, SupplyError> {
    let places: Vec<Url> = places.iter().map(|place| url(place)).collect();
    let find = move || Ok(places.clone());
    let wanted = Wanted { name: "the file".to_owned(), sha256: Digest::of(bytes), size, places: &find };
    let found = supply.files(&[wanted])?;
    Ok(found[0].read_all(1 << 20).unwrap())
}

#[test]
fn files_come_side_by_side_in_order_and_once() {
    let (server, bench) = (FileServer::start(), bench());
    let files: Vec<Vec<u8>> = (0..12).map(bytes_of).collect();
    for (number, bytes) in files.iter().enumerate() {
        server.put(&format!("/{number}"), "", bytes.clone());
    }
    server.fault("/", 12, Fault::Slow(Duration::from_millis(150)));
    let finders: Vec<_> = (0..12).map(|number| url(&server.url(&format!("/{number}")))).collect();
    let finders: Vec<_> = finders.into_iter().map(|place| move || Ok(vec![place.clone()])).collect();
    // The first one twice, with its length and without.
    let order: Vec<usize> = (0..12).chain([0]).collect();
    let wanted = |order: &[usize]| -> Vec<Wanted<'_>> {
        let wanted = |(at, number): (usize, &usize)| Wanted {
            name: format!("file {number}"),
            sha256: Digest::of(&files[*number]),
            size: (at % 2 == 0).then_some(50_000),
            places: &finders[*number],
        };
        order.iter().enumerate().map(wanted).collect()
    };
    let machine = bench.machine(Settings::default());
    let found = machine.files(&wanted(&order)).unwrap();
    assert!((2..=4).contains(&server.busiest()), "{} at once", server.busiest());
    assert_eq!(server.log().len(), 12);
    for (content, number) in found.iter().zip(&order) {
        assert_eq!(content.known_digest(), Some(Digest::of(&files[*number])));
        assert_eq!(content.read_all(1 << 20).unwrap(), files[*number]);
    }
    assert_eq!(bench.unfinished(), 0);

    // Now they are all there, offline too, and nobody asks for places or the network.
    server.clear_log();
    let nowhere = || -> Result<Vec<Url>, SupplyError> { panic!("the file is in the cache") };
    let offline = bench.offline();
    for bytes in &files {
        let wanted = Wanted { name: String::new(), sha256: Digest::of(bytes), size: None, places: &nowhere };
        assert_eq!(offline.files(&[wanted]).unwrap()[0].len(), 50_000);
    }
    assert!(server.log().is_empty());
    assert_eq!(bench.started.load(Ordering::Relaxed), 1);
}

#[test]
fn the_first_error_in_order_is_the_one_that_is_told() {
    let server = FileServer::start();
    // The later one fails sooner.
    server.fault("/3", 99, Fault::Slow(Duration::from_millis(300)));
    for _ in 0..3 {
        let bench = bench();
        let finders: Vec<_> = (0..8).map(|number| url(&server.url(&format!("/{number}")))).collect();
        let finders: Vec<_> = finders.into_iter().map(|place| move || Ok(vec![place.clone()])).collect();
        let files: Vec<Vec<u8>> = (0..8).map(bytes_of).collect();
        for number in [0, 1, 2] {
            server.put(&format!("/{number}"), "", files[number].clone());
        }
        let wanted: Vec<Wanted<'_>> = (0..8)
            .map(|number| Wanted {
                name: format!("file {number}"),
                sha256: Digest::of(&files[number]),
                size: None,
                places: &finders[number],
            })
            .collect();
        let error = bench.machine(Settings::default()).files(&wanted).unwrap_err();
        assert!(matches!(&error, SupplyError::Gone { what, places: 1, .. } if what == "file 3"), "{error}");
        assert_eq!(bench.unfinished(), 0);
    }
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let (server, bench) = (FileServer::start(), bench());
    let bytes = bytes_of(1);
    server.put("/file", "", bytes.clone());
    server.fault("/file", 1, Fault::Cut(20_000));
    server.fault("/file", 1, Fault::Silence);
    server.fault("/file", 1, Fault::Status(503));
    let machine = bench.machine(Settings::default());
    assert_eq!(ask(&machine, &bytes, Some(50_000), &[server.url("/file")]).unwrap(), bytes);
    assert_eq!(server.log().last().unwrap().headers["range"], "bytes=20000-");
}

#[test]
fn the_next_place_is_tried_whatever_is_wrong_with_one() {
    let bytes = bytes_of(1);
    for (fault, tries) in [
        (Fault::Status(404), 1),
        (Fault::Status(403), 1),
        (Fault::Status(410), 1),
        (Fault::Status(500), 3),
        (Fault::Silence, 3),
        (Fault::Flip, 2),
        (Fault::Longer, 1),
    ] {
        let (first, second, bench) = (FileServer::start(), FileServer::start(), bench());
        first.put("/pool/file", "", bytes.clone());
        second.put("/old/file", "", bytes.clone());
        first.fault("/pool/file", 99, fault.clone());
        let places = [first.url("/pool/file"), second.url("/old/file")];
        let machine = bench.machine(Settings::default());
        assert_eq!(ask(&machine, &bytes, Some(50_000), &places).unwrap(), bytes, "{fault:?}");
        assert_eq!(first.log().len(), tries, "{fault:?}");
        let said = bench.heard.0.lock().unwrap().join("\n");
        assert!(said.contains("the file: ") && said.contains("; trying "), "{said}");

        // A server that gave no answer is asked last from then on.
        let other = bytes_of(2);
        for server in [&first, &second] {
            server.put("/other", "", other.clone());
            server.clear_log();
        }
        ask(&machine, &other, None, &[first.url("/other"), second.url("/other")]).unwrap();
        assert_eq!(first.log().is_empty(), matches!(fault, Fault::Silence), "{fault:?}");
    }
}

#[test]
fn what_is_wrong_everywhere_is_told() {
    let bytes = bytes_of(1);
    for (faults, size, wanted) in [
        ([Fault::Status(404), Fault::Status(410)], None, "the file is gone from its mirror or index (2 looked at)"),
        ([Fault::Status(500), Fault::Status(404)], None, "downloading the file: GET http://127.0.0.1:0/1 answered 500"),
        ([Fault::Status(404), Fault::Status(500)], None, "downloading the file: GET http://127.0.0.1:0/2 answered 500"),
        (
            [Fault::Status(404), Fault::Status(401)],
            None,
            "http://127.0.0.1:0/2 answered 401 (tried 1×, without a login)",
        ),
        ([Fault::Flip, Fault::Status(404)], None, "http://127.0.0.1:0/1 has digest sha256:"),
        (
            [Fault::Slow(Duration::ZERO), Fault::Status(404)],
            Some(49_999),
            "the file has 50000 bytes, and 49999 are pinned",
        ),
        ([Fault::Longer, Fault::Status(404)], Some(50_000), "the answer has more than 50000 bytes"),
    ] {
        let (server, bench) = (FileServer::start(), bench());
        for (path, fault) in ["/1", "/2"].into_iter().zip(faults) {
            server.put(path, "", bytes.clone());
            server.fault(path, 99, fault);
        }
        let error = ask(&bench.machine(Settings::default()), &bytes, size, &[server.url("/1"), server.url("/2")]);
        let text = whole(&error.unwrap_err()).replace(&server.url(""), "http://127.0.0.1:0");
        assert!(text.contains(wanted), "{text}\n{wanted}");
        assert_eq!(bench.unfinished(), 0);
        assert_eq!(bench.store.length(&Digest::of(&bytes)), None);
    }
    let bench = bench();
    let error = ask(&bench.machine(Settings::default()), &bytes, None, &[]).unwrap_err();
    assert!(matches!(error, SupplyError::Nowhere { .. }), "{error}");
    assert_eq!(bench.started.load(Ordering::Relaxed), 0, "no network without a place");
}

#[test]
fn a_second_pin_of_the_same_file_brings_its_own_places() {
    let (server, bench) = (FileServer::start(), bench());
    let bytes = bytes_of(1);
    server.put("/there", "", bytes.clone());
    let (one, two) = (url(&server.url("/gone")), url(&server.url("/there")));
    let (one, two) = (move || Ok(vec![one.clone()]), move || Ok(vec![two.clone()]));
    let sha256 = Digest::of(&bytes);
    let wanted = [
        Wanted { name: "one".to_owned(), sha256, size: None, places: &one },
        Wanted { name: "two".to_owned(), sha256, size: Some(50_000), places: &two },
    ];
    let found = bench.machine(Settings::default()).files(&wanted).unwrap();
    assert_eq!((found.len(), server.count("/there")), (2, 1));
    // A pin that says another length is no pin of that file.
    let wanted = [Wanted { name: "three".to_owned(), sha256, size: Some(7), places: &two }];
    let error = bench.machine(Settings::default()).files(&wanted).unwrap_err();
    assert!(matches!(error, SupplyError::Size { wanted: 7, found: 50_000, .. }), "{error}");
}

#[test]
fn damage_in_the_cache_is_found_when_it_is_read() {
    let (server, bench) = (FileServer::start(), bench());
    let bytes = bytes_of(1);
    server.put("/file", "", bytes.clone());
    let machine = bench.machine(Settings::default());
    ask(&machine, &bytes, Some(50_000), &[server.url("/file")]).unwrap();
    let hex = Digest::of(&bytes).hex().to_owned();
    let path = bench.store.root().join("blobs-v1").join(&hex[..2]).join(&hex[2..]);
    std::fs::write(&path, bytes_of(2)).unwrap();
    let place = url(&server.url("/file"));
    let places = move || Ok(vec![place.clone()]);
    let wanted = Wanted { name: String::new(), sha256: Digest::of(&bytes), size: Some(50_000), places: &places };
    let error = machine.files(&[wanted]).unwrap()[0].read_all(1 << 20).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    // What a power cut leaves counts as absent.
    std::fs::write(&path, b"").unwrap();
    assert_eq!(ask(&machine, &bytes, None, &[server.url("/file")]).unwrap(), bytes);
}

#[test]
fn offline_nothing_is_downloaded_and_files_of_this_machine_do() {
    let (server, bench) = (FileServer::start(), bench());
    let bytes = bytes_of(1);
    server.put("/file", "", bytes.clone());
    let offline = bench.offline();
    assert!(offline.is_offline());
    let error = ask(&offline, &bytes, None, &[server.url("/file")]).unwrap_err();
    assert!(matches!(&error, SupplyError::Offline { what } if what == "the file"), "{error}");
    assert!(server.log().is_empty());
    // Not even the question where it is can be answered.
    let nowhere = || Err(SupplyError::NoIndex { index: "default".to_owned() });
    let wanted = Wanted { name: "a wheel".to_owned(), sha256: Digest::of(&bytes), size: None, places: &nowhere };
    let error = offline.files(&[wanted]).unwrap_err();
    assert!(matches!(&error, SupplyError::Offline { what } if what == "a wheel"), "{error}");

    let file = bench.directory.path().join("a file%20");
    std::fs::write(&file, &bytes).unwrap();
    let place = Url::from_file_path(&file).unwrap().to_string();
    let lost = Url::from_file_path(bench.directory.path().join("lost")).unwrap().to_string();
    let error = ask(&offline, &bytes, None, std::slice::from_ref(&lost)).unwrap_err();
    assert!(matches!(error, SupplyError::Offline { .. }), "{error}");
    let error = ask(&offline, &bytes, Some(49_999), std::slice::from_ref(&place)).unwrap_err();
    assert!(whole(&error).contains("more than 49999 bytes"), "{}", whole(&error));
    let error = ask(&offline, &bytes_of(2), None, std::slice::from_ref(&place)).unwrap_err();
    assert!(whole(&error).contains("is pinned"), "{}", whole(&error));
    assert_eq!(bench.unfinished(), 0);
    assert_eq!(ask(&offline, &bytes, Some(50_000), &[lost, place]).unwrap(), bytes);
    assert_eq!(bench.started.load(Ordering::Relaxed), 0);
}

#[test]
fn documents_are_asked_for_each_time_and_remembered() {
    let (server, bench) = (FileServer::start(), bench());
    server.gzip();
    server.put("/simple/six/", "text/html; charset=utf-8", "one".repeat(1000));
    let address = url(&server.url("/simple/six/"));
    let machine = bench.machine(Settings::default());
    let get = |supply: &dyn Supply| supply.document(&address, Some("text/html"), 3000);
    let document = get(&machine).unwrap();
    assert_eq!((document.bytes.len(), &*document.content_type), (3000, "text/html; charset=utf-8"));
    assert_eq!(document.address, address);
    // Still the same: the server says so, and sends nothing.
    assert_eq!(get(&machine).unwrap().bytes, document.bytes);
    let statuses = |server: &FileServer| server.log().iter().map(|asked| asked.status).collect::<Vec<_>>();
    assert_eq!(statuses(&server), [200, 304]);
    assert_eq!(server.log()[0].headers["accept"], "text/html");
    server.put("/simple/six/", "text/html", "two");
    assert_eq!(get(&machine).unwrap().bytes, b"two");
    // The server breaks in the middle, and is asked again.
    server.put("/simple/six/", "text/html", "three");
    server.fault("six", 1, Fault::Cut(2));
    assert_eq!(get(&machine).unwrap().bytes, b"three");

    let offline = bench.offline();
    let document = get(&offline).unwrap();
    assert_eq!((&*document.bytes, &*document.content_type, &document.address), (&b"three"[..], "text/html", &address));
    let error = offline.document(&url(&server.url("/other")), None, 9).unwrap_err();
    assert!(whole(&error).starts_with(&format!("{} is not in the cache, and --offline", server.url("/other"))));
    // Asked for in other words, it is another document.
    assert!(offline.document(&address, None, 9).is_err());

    for (fault, wanted) in [
        (Fault::Status(404), "/simple/six/ is not there: GET"),
        (Fault::Status(403), "answered 403"),
        (Fault::Status(500), "answered 500 (tried 8×)"),
        (Fault::Status(304), "answered 304"),
        (Fault::Cut(1), "(tried 8×)"),
        (Fault::Longer, "more than 100 bytes"),
    ] {
        let (server, bench) = (FileServer::start(), self::bench());
        server.put("/simple/six/", "", "six");
        server.fault("six", 99, fault.clone());
        let machine = bench.machine(Settings::default());
        let error = machine.document(&url(&server.url("/simple/six/")), None, 100).unwrap_err();
        assert!(whole(&error).contains(wanted), "{fault:?}: {}", whole(&error));
        assert_eq!(matches!(error, SupplyError::Absent { .. }), matches!(fault, Fault::Status(404)));
    }
}

#[test]
fn a_small_body_that_unpacks_to_a_large_one_is_stopped() {
    let (server, bench) = (FileServer::start(), bench());
    server.gzip();
    server.put("/bomb", "", vec![0; 10 << 20]);
    let error = bench.machine(Settings::default()).document(&url(&server.url("/bomb")), None, 1 << 20).unwrap_err();
    assert!(whole(&error).contains("more than 1048576 bytes"), "{}", whole(&error));
}

/// Breaks where a page is remembered as it came.
#[test]
fn signed_links_are_used_and_not_remembered() {
    let (server, bench) = (FileServer::start(), bench());
    let page =
        format!("<a href=\"six-1-py3-none-any.whl?X-Signature={CANARY}&amp;a=b#sha256=00\">six-1-py3-none-any.whl</a>");
    server.put("/simple/six/", "text/html", page.clone());
    let address = url(&server.url("/simple/six/"));
    let machine = bench.machine(Settings::default());
    // The second time, the page with its signatures is wanted again: it is never taken for the one that was kept.
    for _ in 0..2 {
        assert_eq!(machine.document(&address, Some("text/html"), 1000).unwrap().bytes, page.as_bytes());
    }
    assert!(!contains(&bench.written(), CANARY));
    let kept = bench.offline().document(&address, Some("text/html"), 1000).unwrap().bytes;
    assert_eq!(
        String::from_utf8(kept).unwrap(),
        "<a href=\"six-1-py3-none-any.whl#sha256=00\">six-1-py3-none-any.whl</a>"
    );
}

#[test]
fn documents_of_this_machine_are_read() {
    let bench = bench();
    let directory = bench.directory.path().join("simple/six");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("index.html"), "page").unwrap();
    let offline = bench.offline();
    let document = offline.document(&Url::from_directory_path(&directory).unwrap(), None, 4).unwrap();
    assert_eq!((&*document.bytes, &*document.content_type), (&b"page"[..], "text/html"));
    assert!(offline.document(&Url::from_directory_path(&directory).unwrap(), None, 3).is_err());
    let error = offline.document(&Url::from_file_path(directory.join("x")).unwrap(), None, 4).unwrap_err();
    assert!(matches!(error, SupplyError::Absent { .. }), "{error}");
}

#[test]
fn where_a_document_came_from_is_what_its_links_start_from() {
    let (server, bench) = (FileServer::start(), bench());
    server.put("/simple/six/", "", "page");
    server.fault("/simple/Six/", 1, Fault::Redirect(format!("/simple/six/?signature={CANARY}#x")));
    let address = url(&server.url("/simple/Six/"));
    let document = bench.machine(Settings::default()).document(&address, None, 9).unwrap();
    assert_eq!(document.address.as_str(), server.url("/simple/six/"));
    assert_eq!(bench.offline().document(&address, None, 9).unwrap().address, document.address);
    assert!(!contains(&bench.written(), CANARY));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn logins_go_to_their_server_alone_and_are_written_nowhere() {
    let (ours, theirs, bench) = (FileServer::start(), FileServer::start(), bench());
    let bytes = bytes_of(1);
    ours.require("bob", CANARY);
    for server in [&ours, &theirs] {
        server.put("/simple/six/", "text/html", "page");
        server.put("/file", "", bytes.clone());
    }
    let mut settings = Settings::default();
    let mut index = url(&ours.url_of(&format!("bob:{CANARY}"), "/simple/"));
    settings.credentials.take_from(&mut index);
    settings.python_index = Some(index);
    let machine = bench.machine(settings);
    let index = machine.python_index("default", None).unwrap();
    assert_eq!(index.as_str(), ours.url("/simple/"));
    let page = machine.document(&index.join("six/").unwrap(), None, 9).unwrap();
    assert_eq!(page.bytes, b"page");
    // The file is at the same server, then at another one that it redirects to, then at another one from the start.
    ask(&machine, &bytes, None, &[ours.url("/file")]).unwrap();
    assert!(bench.store.forget(&Digest::of(&bytes)));
    ours.fault("/file", 1, Fault::Redirect(theirs.url("/file")));
    ask(&machine, &bytes, None, &[ours.url("/file")]).unwrap();
    assert!(bench.store.forget(&Digest::of(&bytes)));
    ask(&machine, &bytes, None, &[theirs.url("/file")]).unwrap();
    assert_eq!(theirs.log().len(), 2);
    assert!(theirs.log().iter().all(|asked| !asked.headers.contains_key("authorization")));
    assert!(ours.log().iter().all(|asked| asked.headers.contains_key("authorization")));

    // A login in the address itself is taken out of it before anything is kept.
    let fresh = bench.machine(Settings::default());
    let own = url(&ours.url_of(&format!("bob:{CANARY}"), "/simple/six/?again"));
    assert_eq!(fresh.document(&own, None, 9).unwrap().address.as_str(), ours.url("/simple/six/"));
    // And errors do not tell it, not even where the server does.
    ours.fault("/lost", 9, Fault::Redirect(format!("ftp://example.com/{CANARY}")));
    let mut said = String::new();
    for place in [ours.url("/lost"), ours.url_of(&format!("bob:{CANARY}"), "/gone"), theirs.url("/gone")] {
        let error = ask(&machine, &bytes_of(3), None, &[place]).unwrap_err();
        said.push_str(&format!("{} {error:?}\n", whole(&error)));
    }
    let error = machine.document(&url(&ours.url_of(&format!("bob:{CANARY}"), "/gone")), None, 9).unwrap_err();
    said.push_str(&format!("{} {error:?} {machine:?}", whole(&error)));
    assert!(!said.contains(CANARY), "{said}");
    assert!(!contains(&bench.written(), CANARY));

    let with_login = machine.with_login(&index);
    assert_eq!(with_login.password(), Some(CANARY));
    assert_eq!(machine.with_login(&url(&theirs.url("/"))), url(&theirs.url("/")));
}

#[test]
fn logins_of_netrc_reach_what_the_recipe_names() {
    let (server, bench) = (FileServer::start(), bench());
    server.require("bob", CANARY);
    server.put("/simple/six/", "", "page");
    let text = format!("machine {} login bob password {CANARY}", server.host());
    let mut credentials = Credentials::default();
    credentials.add_netrc(parse(&text, NetrcForm::Netrc).unwrap());
    let machine = bench.machine(Settings { credentials, ..Settings::default() });
    let recipe = url(&server.url("/simple"));
    let page = recipe.join("/simple/six/").unwrap();
    // Over plain http only where somebody named the server.
    assert!(matches!(machine.document(&page, None, 9), Err(SupplyError::Fetch { .. })));
    let index = machine.python_index("company", Some(&recipe)).unwrap();
    assert_eq!(machine.document(&index.join("six/").unwrap(), None, 9).unwrap().bytes, b"page");
}

#[test]
fn places_come_from_the_recipe_then_from_the_settings() {
    let bench = bench();
    let debian = [("debian".to_owned(), vec![url("http://example.com/debian/"), url("http://example.org/debian/")])];
    let machine = bench.machine(Settings {
        debian: debian.into(),
        debian_snapshot: Some("https://example.com/{archive}/{timestamp}/{path}".to_owned()),
        python_index: Some(url("https://example.com/simple/")),
        python_extra: vec![url("https://example.com/extra/"), url("https://example.org/extra/")],
        uv: Some("/usr/bin/uv".into()),
        passed_over: vec!["`/etc/pip.conf` is passed over".to_owned()],
        ..Settings::default()
    });
    assert_eq!(machine.debian_mirrors("debian", None).unwrap().len(), 2);
    let recipe = url("https://example.net/debian");
    assert_eq!(machine.debian_mirrors("debian", Some(&recipe)).unwrap(), [url("https://example.net/debian/")]);
    assert!(bench.heard.0.lock().unwrap().is_empty());
    let error = machine.debian_mirrors("debian-security", None).unwrap_err();
    assert!(error.to_string().contains("LAPSTRAKE_DEBIAN_MIRROR"), "{error}");
    let error = machine.python_index("extra-3", None).unwrap_err();
    assert!(error.to_string().contains("`extra-3`"), "{error}");
    assert_eq!(bench.heard.0.lock().unwrap().len(), 1, "told once, where it may matter");
    let names: Vec<String> = machine.python_indexes().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["extra-1", "extra-2", "default"]);
    assert_eq!(machine.python_index("extra-2", None).unwrap(), url("https://example.org/extra/"));
    assert_eq!(machine.python_index("default", Some(&recipe)).unwrap(), url("https://example.net/debian/"));
    assert!(machine.debian_snapshot().is_some() && machine.uv().is_some());

    let made = machine.directory("uv-1").unwrap();
    assert!(made.is_dir() && made.starts_with(bench.store.root()));
    for bad in ["", "..", "a/b", "/tmp"] {
        assert!(machine.directory(bad).is_err(), "{bad}");
    }
}

#[test]
fn no_index_stands_in_for_one_that_is_not_understood() {
    let bench = bench();
    let unusable = Some(settings::Unusable { what: "`/etc/pip.conf`".to_owned(), why: "line 1 is broken".to_owned() });
    let machine = bench.machine(Settings {
        python_index: Some(url("https://example.com/simple/")),
        passed_over: vec!["`/etc/netrc` is passed over".to_owned()],
        unusable,
        ..Settings::default()
    });
    let recipe = url("https://example.net/simple/");
    assert_eq!(machine.python_index("default", Some(&recipe)).unwrap(), recipe);
    assert!(bench.heard.0.lock().unwrap().is_empty());
    let errors = [machine.python_indexes().map(|_| ()), machine.python_index("default", None).map(|_| ())];
    for error in errors.map(Result::unwrap_err) {
        let text = error.to_string();
        assert!(
            matches!(error, SupplyError::Setting { .. }) && text.starts_with("`/etc/pip.conf` might say"),
            "{text}"
        );
        assert!(text.contains(": line 1 is broken; ") && text.contains("LAPSTRAKE_PYTHON_INDEX"), "{text}");
    }
    assert_eq!(bench.heard.0.lock().unwrap().len(), 1, "the rest is told before another program starts");
}

#[test]
fn a_network_that_does_not_start_is_told() {
    let bench = bench();
    let start = || Err(crate::code::Cause::told(crate::code::ErrorCode::Proxy, "the proxy is none"));
    let reporter = Reporter::silent();
    let machine = Machine::new(start, &bench.store, 99, false, &reporter, Settings::default());
    let error = ask(&machine, b"x", None, &["http://127.0.0.1:1/".to_owned()]).unwrap_err();
    assert_eq!(whole(&error), "starting the network to download the file: the proxy is none");
}

#[test]
fn what_is_kept_is_measured_checked_and_removed_with_the_cache() {
    let (server, bench) = (FileServer::start(), bench());
    server.put("/InRelease", "", "signed");
    let address = url(&server.url("/InRelease"));
    let machine = bench.machine(Settings::default());
    machine.document(&address, None, 9).unwrap();
    std::fs::write(machine.directory("uv").unwrap().join("file"), "made").unwrap();
    drop(machine);
    let Bench { store, directory: _directory, .. } = bench;
    let root = store.root().to_owned();
    assert_eq!(Usage::of(&root).unwrap().others, 2);
    let record = std::fs::read_dir(root.join("documents-v1")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&record, bytes).unwrap();
    let offline = Machine::new(|| unreachable!(), &store, 1, true, &Reporter::silent(), Settings::default());
    assert!(offline.document(&address, None, 9).is_err(), "what is damaged is not remembered");
    drop((offline, store));
    let upkeep = Upkeep::open(&root, || panic!("nobody holds it")).unwrap().unwrap();
    assert_eq!(upkeep.verify().unwrap().len(), 1);
    assert_eq!(upkeep.clear().unwrap().files, 1);
    assert!(!root.join("made-v1").exists());
}
