//! Credentials: where they go, and where they never go.

use std::os::unix::fs::PermissionsExt;

use super::fake::{Auth, FakeRegistry, Fault, OCI_MANIFEST, Setup, on};
use super::support::*;
use crate::net::Secret;
use crate::registry::{CredentialSource, RefusalKind, RegistryError, RegistryOptions};

fn bearer() -> Setup {
    Setup {
        auth: Auth::Bearer { realm: None },
        user: "bob".to_owned(),
        password: CANARY.to_owned(),
        ..Setup::default()
    }
}

fn basic() -> Setup {
    Setup { auth: Auth::Basic, ..bearer() }
}

fn inline(json: String) -> CredentialSource {
    CredentialSource::Inline { named: "TEST", json: Secret::new(json) }
}

fn with(fake: &FakeRegistry, credentials: Vec<CredentialSource>) -> Bench {
    Bench::with(&quick(), RegistryOptions { credentials, ..plain(&[fake]) })
}

#[test]
fn a_password_is_sent_where_it_is_asked_for() {
    let fake = FakeRegistry::start(basic());
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::as_bob(&[&fake]);
    for _ in 0..2 {
        assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    }
    // Asked once; from then on it is known.
    let statuses: Vec<u16> = fake.log().iter().map(|logged| logged.status).collect();
    assert_eq!(statuses, [401, 200, 200]);
    bench.clean();
}

#[test]
fn a_token_is_got_once_and_used_again() {
    let fake = FakeRegistry::start(bearer());
    fake.put_manifest("a/b", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::as_bob(&[&fake]);
    for _ in 0..3 {
        assert!(bench.registries.resolve(&reference(&fake, "a/b:1")).unwrap().is_some());
    }
    assert_eq!(
        fake.lines(),
        [
            "HEAD /v2/a/b/manifests/1 401",
            "GET /token?service=fake%2C+%22service%22&scope=repository%3Aa%2Fb%3Apull&account=bob 200",
            "HEAD /v2/a/b/manifests/1 200",
            "HEAD /v2/a/b/manifests/1 200",
            "HEAD /v2/a/b/manifests/1 200",
        ]
    );
    bench.clean();
}

#[test]
fn a_token_that_ends_is_renewed_at_any_step() {
    for uses in 1..4 {
        let fake = FakeRegistry::start(Setup { token_uses: Some(uses), ..bearer() });
        // One at a time: a token that others use up is no token that ends.
        let options = RegistryOptions { credentials: vec![bob(&[&fake])], jobs: Some(1), ..plain(&[&fake]) };
        let bench = Bench::with(&quick(), options);
        let image = image(&fake, "a", &["1", "2"], &[bytes(1, 100), bytes(2, 100_000), bytes(3, 10)]);
        let pushed =
            bench.registries.push(std::slice::from_ref(&image)).unwrap_or_else(|error| panic!("{}", whole(&error)));
        assert_eq!(pushed[0].uploaded.count, 3);
        assert_there(&fake, &image);
        let denied = fake.log().iter().filter(|logged| logged.status == 401).count();
        assert!(fake.count("GET", "/token") <= denied + 1, "more tokens than refusals");
        bench.clean();
    }
}

#[test]
fn a_registry_that_is_never_content_is_given_up() {
    let fake = FakeRegistry::start(Setup { token_uses: Some(0), ..bearer() });
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::as_bob(&[&fake]);
    let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
    assert!(error.is(RefusalKind::Unauthorized), "{}", whole(&error));
    assert_eq!(fake.count("GET", "/token"), 1);
    assert_eq!(fake.count("HEAD", ""), 2);
    // Another request may try anew, once.
    fake.clear_log();
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).is_err());
    assert!(fake.count("GET", "/token") <= 1 && fake.count("HEAD", "") <= 2, "{:?}", fake.lines());
    bench.clean();
}

#[test]
fn wrong_and_missing_passwords_are_told_with_their_source() {
    for (setup, part) in [(basic(), "401 Unauthorized"), (bearer(), "no token for")] {
        let fake = FakeRegistry::start(Setup { password: "another".to_owned(), ..setup });
        let bench = Bench::as_bob(&[&fake]);
        let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
        let text = whole(&error);
        assert!(
            error.is(RefusalKind::Unauthorized) && text.contains(part) && text.contains("user bob from TEST"),
            "{text}"
        );
        assert!(error.advice().unwrap().contains("log in again"));
        assert!(fake.log().len() <= 2, "one password is tried once: {:?}", fake.lines());

        let bench = with(&fake, vec![inline("{}".to_owned())]);
        let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
        let text = whole(&error);
        assert!(text.contains("anonymous: no credentials for") && text.contains("in TEST"), "{text}");
        assert!(error.advice().unwrap().contains("docker login"));
        bench.clean();
    }
}

#[test]
fn anonymous_tokens_are_for_reading() {
    let fake = FakeRegistry::start(Setup { anonymous_pull: true, ..bearer() });
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::new(&[&fake]);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    assert_eq!(fake.count("GET", "/token"), 0, "reading needs none");
    // 200 to one request says nothing of the next.
    let error = bench.registries.push(&[image(&fake, "a", &["2"], &[bytes(1, 10)])]).unwrap_err();
    assert!(error.is(RefusalKind::Unauthorized), "{}", whole(&error));
}

#[test]
fn other_ways_to_a_token() {
    let identity =
        |fake: &FakeRegistry| inline(format!(r#"{{"auths":{{"{}":{{"identitytoken":"{CANARY}"}}}}}}"#, fake.name()));
    let fake = FakeRegistry::start(Setup { identity_token: Some(CANARY.to_owned()), ..bearer() });
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = with(&fake, vec![identity(&fake)]);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    assert_eq!(fake.count("POST", "/token"), 1);
    assert!(!fake.log().iter().any(|logged| logged.target.contains(CANARY)), "the token is not in an address");
    bench.clean();

    let fake = FakeRegistry::start(Setup { only_post_tokens: true, ..bearer() });
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::as_bob(&[&fake]);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    assert_eq!((fake.count("GET", "/token"), fake.count("POST", "/token")), (1, 1));
    bench.clean();
}

#[test]
fn more_is_asked_for_where_the_registry_wants_more() {
    let fake = FakeRegistry::start(bearer());
    for repository in ["a", "b", "c"] {
        fake.put_manifest(repository, Some("1"), OCI_MANIFEST, b"{}");
    }
    let bench = Bench::as_bob(&[&fake]);
    let found = |repository: &str| bench.registries.resolve(&reference(&fake, &format!("{repository}:1")));
    let challenge = |scope: &str| {
        let value = format!(r#"Bearer realm="{}/token",service="fake, \"service\"",scope="{scope}""#, fake.url());
        Fault::Status(401, vec![("WWW-Authenticate", value)], String::new())
    };
    assert!(found("a").unwrap().is_some());
    assert_eq!(fake.count("GET", "/token"), 1);
    // A token that was got for this very request, and is not enough.
    fake.fault(on("HEAD", "/v2/b/"), challenge("repository:b:pull,push"));
    assert!(found("b").unwrap().is_some());
    let asked: Vec<String> =
        fake.log().into_iter().map(|logged| logged.target).filter(|to| to.contains("/token")).collect();
    assert_eq!(asked.len(), 3);
    assert!(!asked[1].contains("push") && asked[2].contains("push"), "{asked:?}");
    // Others are as good as they were.
    assert!(found("a").unwrap().is_some() && found("b").unwrap().is_some());
    assert_eq!(fake.count("GET", "/token"), 3);
    // One that should be enough, and is not, gets no better by getting it again.
    fake.fault(on("HEAD", "/v2/c/").always(), challenge("repository:c:pull"));
    assert!(found("c").unwrap_err().is(RefusalKind::Unauthorized));
    assert_eq!(fake.count("GET", "/token"), 4);
    bench.clean();
}

#[test]
fn a_secret_in_a_body_goes_to_the_realm_alone() {
    let (fake, other) = (FakeRegistry::start(bearer()), FakeRegistry::plain());
    let away = vec![("Location", format!("{}/token", other.url()))];
    fake.fault(on("POST", "/token").always(), Fault::Status(307, away, String::new()));
    let json = format!(r#"{{"auths":{{"{}":{{"identitytoken":"{CANARY}"}}}}}}"#, fake.name());
    let bench = with(&fake, vec![inline(json)]);
    let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
    assert!(whole(&error).contains("the request holds a secret"), "{}", whole(&error));
    assert_eq!(other.log().len(), 0);
    bench.clean();
}

#[test]
fn what_a_token_server_must_not_do() {
    for (fault, part) in [
        (Fault::Status(200, vec![], "{".to_owned()), "not in JSON"),
        (Fault::Status(200, vec![], "{}".to_owned()), "no token in it"),
        (Fault::Status(200, vec![], r#"{"token":"a\nb"}"#.to_owned()), "no text for a header"),
        (Fault::Status(200, vec![], format!(r#"{{"token":"{}"}}"#, "x".repeat(2 << 20))), "more than 1048576 bytes"),
        (
            Fault::Status(302, vec![("Location", "file:///etc/passwd".to_owned())], String::new()),
            "neither http nor https",
        ),
        (Fault::Status(302, vec![("Location", "/token".to_owned())], String::new()), "more than 10"),
        (Fault::Status(403, vec![], format!(r#"{{"details":"not {CANARY}"}}"#)), "not ***"),
        (Fault::Status(500, vec![], String::new()), "tried 8×"),
        (Fault::Cut, "tried 8×"),
        (Fault::HeaderBomb, "cannot be read"),
    ] {
        let fake = FakeRegistry::start(bearer());
        fake.fault(on("GET", "/token").always(), fault.clone());
        let bench = Bench::as_bob(&[&fake]);
        let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
        assert!(whole(&error).contains(part), "{fault:?}: {}", whole(&error));
        bench.clean();
    }
}

#[test]
fn a_passing_fault_of_the_token_server_passes() {
    let fake = FakeRegistry::start(bearer());
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    for fault in [Fault::Status(503, vec![], String::new()), Fault::Cut, Fault::CutBody(3), Fault::CutAfter] {
        fake.fault(on("GET", "/token"), fault);
    }
    let bench = Bench::as_bob(&[&fake]);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    bench.clean();
}

#[test]
fn a_realm_on_another_host_hears_nothing() {
    let thief = FakeRegistry::plain();
    for realm in [
        format!("http://localhost:{}/token", thief.port()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("http://bob:{CANARY}@127.0.0.1/token"),
        "/token".to_owned(),
    ] {
        let fake = FakeRegistry::start(Setup { auth: Auth::Bearer { realm: Some(realm.clone()) }, ..bearer() });
        let bench = Bench::as_bob(&[&fake]);
        let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
        assert!(matches!(error, RegistryError::Realm { .. }), "{realm}: {}", whole(&error));
        whole(&error);
        assert_eq!(thief.log().len(), 0);
        bench.clean();
    }
}

#[test]
fn a_redirect_to_another_server_gets_no_credentials() {
    let storage = FakeRegistry::plain();
    let blob = bytes(1, 50_000);
    storage.put_blob("x", &blob);
    for setup in [basic(), bearer()] {
        let fake = FakeRegistry::start(Setup { blobs_at: Some(storage.url()), ..setup });
        fake.put_blob("a", &blob);
        storage.fault(on("GET", "/cdn/"), Fault::CutBody(20_000));
        let bench = Bench::as_bob(&[&fake]);
        bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store).unwrap();
        bench.clean();
    }
    assert_eq!(storage.violations(), Vec::<String>::new());
    assert!(storage.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
    assert!(
        storage.log().iter().any(|logged| logged.headers.get("range").is_some_and(|range| range == "bytes=20000-"))
    );
}

#[test]
fn redirects_end() {
    let fake = FakeRegistry::plain();
    let to = |location: &str| Fault::Status(307, vec![("Location", location.to_owned())], String::new());
    fake.fault(on("GET", "manifests").always(), to("/v2/a/manifests/2"));
    let bench = Bench::new(&[&fake]);
    let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
    assert!(whole(&error).contains("more than 10"), "{}", whole(&error));
    assert_eq!(fake.log().len(), 11);
    for bad in ["ftp://x/", "http://bob:pw@x/", "http://"] {
        let fake = FakeRegistry::plain();
        fake.fault(on("GET", "manifests").always(), to(bad));
        let bench = Bench::new(&[&fake]);
        let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
        assert!(whole(&error).contains("not followed"), "{}", whole(&error));
        assert_eq!(fake.log().len(), 1);
    }
}

#[test]
fn what_a_registry_echoes_is_not_shown() {
    let fake = FakeRegistry::start(bearer());
    let echo = format!(
        r#"{{"errors":[{{"code":"DENIED","message":"Bearer token-{CANARY}-1 {CANARY}","detail":"{CANARY}"}}]}}"#
    );
    let warning = ("Warning", format!("299 - \"you are {CANARY}\""));
    let location = ("Location", format!("/{CANARY}?x={CANARY}"));
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::as_bob(&[&fake]);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().is_some());
    fake.fault(on("GET", "manifests"), Fault::Status(403, vec![warning], echo));
    fake.fault(on("GET", &format!("/{CANARY}")), Fault::Status(403, vec![], String::new()));
    fake.fault(on("GET", "manifests"), Fault::Status(307, vec![location], String::new()));
    for _ in 0..2 {
        let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
        assert!(whole(&error).contains("***"), "{}", whole(&error));
    }
    bench.clean();
}

#[test]
fn a_user_name_without_a_password_may_be_a_token() {
    let fake = FakeRegistry::start(basic());
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{CANARY}:"));
    let json = format!(r#"{{"auths":{{"{}":{{"auth":"{encoded}"}}}}}}"#, fake.name());
    let bench = with(&fake, vec![inline(json)]);
    let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
    assert!(whole(&error).contains("a user name without a password"), "{}", whole(&error));
    bench.clean();
}

#[test]
fn a_refusal_of_another_server_is_no_matter_of_logins() {
    let (fake, storage) = (FakeRegistry::start(basic()), FakeRegistry::plain());
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let away = vec![("Location", format!("{}/x", storage.url()))];
    fake.fault(on("GET", "manifests").skip(1).always(), Fault::Status(307, away, String::new()));
    storage.fault(on("GET", "/x").always(), Fault::Status(403, vec![], String::new()));
    let bench = Bench::as_bob(&[&fake]);
    let error = bench.registries.manifest(&reference(&fake, "a:1")).unwrap_err();
    assert!(whole(&error).contains("another server") && error.advice().is_none(), "{}", whole(&error));
    bench.clean();
}

#[test]
fn credentials_of_one_registry_are_not_for_another() {
    let (ours, theirs) = (FakeRegistry::start(basic()), FakeRegistry::start(basic()));
    theirs.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let bench = Bench::with(&quick(), RegistryOptions { credentials: vec![bob(&[&ours])], ..plain(&[&ours, &theirs]) });
    assert!(bench.registries.resolve(&reference(&theirs, "a:1")).is_err());
    assert!(theirs.log().iter().all(|logged| !logged.headers.contains_key("authorization")));
}

#[test]
fn the_first_source_with_an_entry_counts() {
    let fake = FakeRegistry::start(basic());
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let directory = tempfile::tempdir().unwrap();
    let absent = CredentialSource::File { named: None, path: directory.path().join("absent"), required: false };
    let wrong = inline(format!(r#"{{"auths":{{"{}":{{"username":"bob","password":"wrong"}}}}}}"#, fake.name()));
    let other = inline(r#"{"auths":{"other.example.com":{"username":"x","password":"y"}}}"#.to_owned());
    let broken = inline("{".to_owned());
    for (sources, good) in [
        (vec![absent.clone(), other.clone(), bob(&[&fake]), wrong.clone()], true),
        (vec![bob(&[&fake]), broken.clone()], true),
        (vec![wrong, bob(&[&fake])], false),
        (vec![broken, bob(&[&fake])], false),
    ] {
        let bench = with(&fake, sources.clone());
        let result = bench.registries.resolve(&reference(&fake, "a:1"));
        assert_eq!(result.is_ok(), good, "{sources:?}");
        if let Err(error) = result {
            whole(&error);
        }
        bench.clean();
    }
}

#[test]
fn helpers_come_before_what_is_written_and_stores_after_it() {
    let fake = FakeRegistry::start(basic());
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    fake.put_manifest("b", Some("1"), OCI_MANIFEST, b"{}");
    let directory = tempfile::tempdir().unwrap();
    let count = directory.path().join("count");
    let helper = |name: &str, password: &str| {
        let path = directory.path().join(format!("docker-credential-{name}"));
        let script = format!(
            "#!/bin/sh\necho x >> {}\nread server\necho '{{\"Username\":\"bob\",\"Secret\":\"{password}\"}}'\n",
            count.display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    };
    helper("good", CANARY);
    helper("bad", "wrong");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let name = fake.name();
    let written = format!(r#""auths":{{"{name}":{{"username":"bob","password":"{CANARY}"}}}}"#);
    let empty = format!(r#""auths":{{"{name}":{{}}}}"#);
    for (json, good, runs) in [
        (format!(r#"{{"credHelpers":{{"{name}":"good"}},"credsStore":"bad"}}"#), true, 1),
        (format!(r#"{{{written},"credHelpers":{{"{name}":"bad"}}}}"#), false, 1),
        (format!(r#"{{{written},"credsStore":"bad"}}"#), true, 0),
        (format!(r#"{{{empty},"credsStore":"good"}}"#), true, 1),
        // Missing: an error where it is this registry's own, a warning where it is everybody's.
        (format!(r#"{{"credHelpers":{{"{name}":"absent"}}}}"#), false, 0),
        (format!(r#"{{{written},"credsStore":"absent"}}"#), true, 0),
    ] {
        let _ = std::fs::remove_file(&count);
        let options = RegistryOptions {
            credentials: vec![inline(json.clone())],
            helper_path: Some(directory.path().as_os_str().to_owned()),
            ..plain(&[&fake])
        };
        let bench = Bench::with(&quick(), options);
        let result = bench.registries.resolve(&reference(&fake, "a:1"));
        let again = bench.registries.resolve(&reference(&fake, "b:1"));
        assert_eq!((result.is_ok(), again.is_ok()), (good, good), "{json}: {result:?}");
        if let Err(error) = result {
            whole(&error);
        }
        let ran = std::fs::read_to_string(&count).unwrap_or_default().lines().count();
        assert_eq!(ran, runs, "a helper is asked once: {json}");
        bench.clean();
    }
    let options = RegistryOptions {
        credentials: vec![inline(r#"{"credsStore":"absent"}"#.to_owned())],
        helper_path: Some(directory.path().as_os_str().to_owned()),
        ..plain(&[&fake])
    };
    let bench = Bench::with(&quick(), options);
    assert!(bench.registries.resolve(&reference(&fake, "a:1")).is_err());
    assert!(bench.heard.all().contains("docker-credential-absent, which is not in PATH"), "{}", bench.heard.all());
}

#[test]
fn no_type_shows_a_secret() {
    let fake = FakeRegistry::start(bearer());
    let proxies = crate::net::ProxySettings::from_environment(|name| {
        (name == "HTTPS_PROXY").then(|| format!("http://bob:{CANARY}@proxy:1").into())
    });
    let network = crate::net::NetworkOptions { proxies: proxies.unwrap(), ..quick() };
    let options = RegistryOptions { credentials: vec![bob(&[&fake])], ..plain(&[&fake]) };
    let bench = Bench::with(&network, options.clone());
    assert!(bench.registries.push(&[image(&fake, "a", &["1"], &[bytes(1, 10)])]).is_ok());
    let fetch = crate::net::Fetch::new(&format!("https://bob:{CANARY}@x/?token={CANARY}"), 1).unwrap();
    for shown in [
        format!("{network:?}"),
        format!("{options:?} {}", options.credentials[0]),
        format!("{:?} {:?}", bench.registries, bench.registries.network()),
        format!("{fetch:?} {}", fetch.shown()),
        format!("{:?}", Secret::new(CANARY)),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}
