//! Servers: schemes, certificates, mirrors, proxies, names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::fake::{Auth, FakeRegistry, Fault, Locations, OCI_MANIFEST, Setup, on};
use super::support::*;
use crate::net::{ClientIdentity, Network, NetworkOptions, ProxySettings, RootSettings};
use crate::oci::{Digest, Reference};
use crate::registry::{Registries, RegistryOptions, RegistrySettings, Security};
use crate::report::Reporter;

/// A root certificate, a server's for 127.0.0.1 and localhost, and a client's, made by openssl.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = |arguments: &str| {
            let output = std::process::Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(directory.path())
                .output()
                .expect("this test needs Debian's package openssl");
            assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        run(&format!("req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=test-root"));
        for (name, extension) in
            [("server", "subjectAltName=IP:127.0.0.1,DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")]
        {
            run(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            std::fs::write(directory.path().join("extensions"), extension).unwrap();
            run(&format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
            ));
        }
        Certificates { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn server(&self, asks_for_client: bool) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = |name: &str| CertificateDer::pem_file_iter(self.path(name)).unwrap().flatten().collect::<Vec<_>>();
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_for_client {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(chain("ca.crt").remove(0)).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(chain("server.crt"), key).unwrap())
    }
}

fn only(path: &Path) -> NetworkOptions {
    NetworkOptions {
        roots: RootSettings { files: vec![path.to_owned()], only_these: true, ..RootSettings::default() },
        ..quick()
    }
}

fn one(fake: &FakeRegistry, settings: RegistrySettings) -> RegistryOptions {
    RegistryOptions { registries: [(fake.name(), settings)].into(), ..RegistryOptions::default() }
}

fn start(tls: Option<Arc<rustls::ServerConfig>>) -> FakeRegistry {
    let fake = FakeRegistry::start(Setup { tls, ..Setup::default() });
    fake.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    fake
}

fn found(bench: &Bench, fake: &FakeRegistry) -> Result<(), String> {
    bench
        .registries
        .resolve(&reference(fake, "a:1"))
        .map(|found| assert!(found.is_some()))
        .map_err(|error| whole(&error))
}

#[test]
fn certificates_are_checked_and_roots_come_from_everywhere() {
    let certificates = Certificates::make();
    let root = certificates.path("ca.crt");
    let fake = start(Some(certificates.server(false)));
    let verified = RegistrySettings { security: Some(Security::Verified), ..RegistrySettings::default() };

    // For all.
    found(&Bench::with(&only(&root), one(&fake, verified.clone())), &fake).unwrap();
    // For this one.
    let own = RegistrySettings { ca_files: vec![root.clone()], ..verified.clone() };
    found(&Bench::with(&quick(), one(&fake, own)), &fake).unwrap();
    // From a directory.
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(fake.name())).unwrap();
    std::fs::copy(&root, directory.path().join(fake.name()).join("ca.crt")).unwrap();
    let options =
        RegistryOptions { certificate_directories: vec![directory.path().to_owned()], ..one(&fake, verified.clone()) };
    found(&Bench::with(&quick(), options), &fake).unwrap();
    // By name.
    let bench = Bench::with(&only(&root), RegistryOptions::default());
    let named: Reference = format!("localhost:{}/a:1", fake.port()).parse().unwrap();
    assert!(bench.registries.resolve(&named).unwrap().is_some());

    // With none at all, that is what the error says; with another one, that.
    let error = found(&Bench::with(&quick(), one(&fake, verified.clone())), &fake).unwrap_err();
    assert!(error.contains("no root certificates") && error.contains("SSL_CERT_FILE"), "{error}");
    let other = Certificates::make();
    let bench = Bench::with(&only(&other.path("ca.crt")), one(&fake, verified));
    let error = bench.registries.resolve(&reference(&fake, "a:1")).unwrap_err();
    assert!(whole(&error).contains("no secure connection") && whole(&error).contains("tried 1×"), "{}", whole(&error));
    assert!(error.advice().unwrap().contains("certs.d"), "{:?}", error.advice());
    assert_eq!(fake.log().len(), 4, "nothing was said to a server that is not trusted");
}

#[test]
fn a_registry_that_wants_to_know_who_we_are() {
    let certificates = Certificates::make();
    let fake = start(Some(certificates.server(true)));
    let settings = |client| RegistrySettings {
        security: Some(Security::Verified),
        ca_files: vec![certificates.path("ca.crt")],
        client,
        ..RegistrySettings::default()
    };
    assert!(found(&Bench::with(&quick(), one(&fake, settings(None))), &fake).is_err());
    let identity =
        ClientIdentity { certificate: certificates.path("client.crt"), key: certificates.path("client.key") };
    found(&Bench::with(&quick(), one(&fake, settings(Some(identity)))), &fake).unwrap();
}

#[test]
fn who_we_are_is_not_told_to_whom_another_server_sends_us() {
    let certificates = Certificates::make();
    let (fake, other) = (start(None), start(Some(certificates.server(true))));
    let identity =
        ClientIdentity { certificate: certificates.path("client.crt"), key: certificates.path("client.key") };
    let settings = RegistrySettings {
        security: Some(Security::Verified),
        ca_files: vec![certificates.path("ca.crt")],
        client: Some(identity),
        ..RegistrySettings::default()
    };
    let bench = Bench::with(&quick(), one(&other, settings));
    found(&bench, &other).unwrap();
    let asked = other.log().len();
    let away = vec![("Location", format!("{}/v2/a/manifests/1", other.url()))];
    fake.fault(on("HEAD", "/manifests/").always(), Fault::Status(307, away, String::new()));
    assert!(found(&bench, &fake).is_err());
    assert_eq!(other.log().len(), asked);
}

#[test]
fn a_password_goes_to_no_token_server_that_nobody_vouches_for() {
    let (ours, theirs) = (Certificates::make(), Certificates::make());
    let tokens = start(Some(theirs.server(false)));
    let realm = Some(format!("https://localhost:{}/token", tokens.port()));
    let fake = FakeRegistry::start(Setup {
        tls: Some(ours.server(false)),
        auth: Auth::Bearer { realm },
        user: "bob".to_owned(),
        password: CANARY.to_owned(),
        ..Setup::default()
    });
    // That it is called insecure is said for what it is asked for itself.
    let insecure = RegistrySettings { security: Some(Security::Insecure), ..RegistrySettings::default() };
    let options = RegistryOptions {
        credentials: vec![bob(&[&fake])],
        registries: [(format!("localhost:{}", tokens.port()), insecure)].into(),
        ..RegistryOptions::default()
    };
    let bench = Bench::with(&only(&ours.path("ca.crt")), options);
    let error = found(&bench, &fake).unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(tokens.log().len(), 0);
    bench.clean();
}

/// A server that does the first of these things with the first connection and so on, and hands all others on.
fn in_front_of(fake: &FakeRegistry, first: Vec<Option<&'static str>>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, behind, mut first) = (listener.local_addr().unwrap().port(), fake.port(), first.into_iter());
    std::thread::spawn(move || {
        for connection in listener.incoming().take(20) {
            let mut connection = connection.unwrap();
            match first.next() {
                Some(None) => drop(connection),
                Some(Some(answer)) => {
                    let _ = std::io::Read::read(&mut connection, &mut [0; 4096]);
                    let _ = std::io::Write::write_all(&mut connection, answer.as_bytes());
                }
                None => {
                    let there = std::net::TcpStream::connect(("127.0.0.1", behind)).unwrap();
                    let pairs = [(connection.try_clone().unwrap(), there.try_clone().unwrap()), (there, connection)];
                    for (mut from, mut to) in pairs {
                        std::thread::spawn(move || {
                            let _ = std::io::copy(&mut from, &mut to);
                            let _ = to.shutdown(std::net::Shutdown::Both);
                        });
                    }
                }
            }
        }
    });
    port
}

#[test]
fn a_server_that_wants_tls_is_no_server_without() {
    let certificates = Certificates::make();
    let fake = start(Some(certificates.server(false)));
    let wants_tls = Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // Insecure: TLS fails in passing, and what is then asked without is refused.
    let name = format!("127.0.0.1:{}", in_front_of(&fake, vec![None, wants_tls]));
    let insecure = RegistrySettings { security: Some(Security::Insecure), ..RegistrySettings::default() };
    let options = RegistryOptions { registries: [(name.clone(), insecure)].into(), ..RegistryOptions::default() };
    let bench = Bench::with(&quick(), options);
    let there: Reference = format!("{name}/a:1").parse().unwrap();
    let answer = bench.registries.resolve(&there).unwrap_or_else(|error| panic!("{}", whole(&error)));
    assert!(answer.is_some());
    // What a registry refuses is its own word.
    let refuses = Some(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 36\r\nConnection: close\r\n\r\n\
         {\"errors\":[{\"code\":\"NAME_INVALID\"}]}",
    );
    let name = format!("127.0.0.1:{}", in_front_of(&fake, vec![None, refuses]));
    let insecure = RegistrySettings { security: Some(Security::Insecure), ..RegistrySettings::default() };
    let options = RegistryOptions { registries: [(name.clone(), insecure)].into(), ..RegistryOptions::default() };
    let there: Reference = format!("{name}/a:1").parse().unwrap();
    let error = Bench::with(&quick(), options).registries.resolve(&there).unwrap_err();
    assert!(whole(&error).contains("answered 400"), "{}", whole(&error));
    // On this machine: that the certificate is not trusted is why.
    let there: Reference = format!("127.0.0.1:{}/a:1", in_front_of(&fake, vec![wants_tls])).parse().unwrap();
    let error = Bench::with(&quick(), RegistryOptions::default()).registries.resolve(&there).unwrap_err();
    assert!(whole(&error).contains("certificate"), "{}", whole(&error));
}

#[test]
fn the_scheme_comes_out_with_the_first_answer() {
    let certificates = Certificates::make();
    let root = certificates.path("ca.crt");
    // On this machine: http, or else https with a certificate that is checked.
    let (http, https) = (start(None), start(Some(certificates.server(false))));
    let bench = Bench::with(&only(&root), RegistryOptions::default());
    found(&bench, &http).unwrap();
    found(&bench, &https).unwrap();
    assert_eq!((http.log().len(), https.log().len()), (1, 1));
    let image = image(&https, "b", &["1"], &[bytes(1, 100_000)]);
    bench.registries.push(std::slice::from_ref(&image)).unwrap();
    assert_there(&https, &image);
    assert!(
        found(&Bench::with(&quick(), RegistryOptions::default()), &https).is_err(),
        "a certificate is still checked"
    );

    // Where the user calls it insecure: https with any certificate, or else http.
    for fake in [&http, &https] {
        let insecure = RegistrySettings { security: Some(Security::Insecure), ..RegistrySettings::default() };
        found(&Bench::with(&quick(), one(fake, insecure)), fake).unwrap();
    }
    // Nobody is there.
    let bench = Bench::with(&quick(), RegistryOptions::default());
    let gone: Reference = "127.0.0.1:1/a:1".parse().unwrap();
    let error = bench.registries.resolve(&gone).unwrap_err();
    assert!(whole(&error).contains("refused") && whole(&error).contains("tried 3×"), "{}", whole(&error));
    assert!(whole(&error).contains("http://127.0.0.1:1/"), "{}", whole(&error));
}

#[test]
fn https_is_never_left_for_http() {
    let certificates = Certificates::make();
    let plain = FakeRegistry::plain();
    let setup = Setup { tls: Some(certificates.server(false)), ..Setup::default() };
    // A registry behind a proxy calls itself http: the same server is meant.
    let fake = FakeRegistry::start(Setup { locations: Locations::Downgraded, ..setup.clone() });
    let bench = Bench::with(&only(&certificates.path("ca.crt")), RegistryOptions::default());
    let pushed = image(&fake, "a", &["1"], &[bytes(1, 100_000)]);
    bench.registries.push(std::slice::from_ref(&pushed)).unwrap_or_else(|error| panic!("{}", whole(&error)));
    assert_there(&fake, &pushed);
    // Another server over http is refused.
    for (method, fake) in [
        (
            "POST",
            FakeRegistry::start(Setup {
                locations: Locations::Elsewhere(format!("http://localhost:{}", plain.port())),
                ..setup.clone()
            }),
        ),
        ("GET", FakeRegistry::start(Setup { blobs_at: Some(plain.url()), ..setup })),
    ] {
        let blob = bytes(1, 1000);
        let error = if method == "POST" {
            bench.registries.push(&[image(&fake, "a", &["1"], &[blob])]).unwrap_err()
        } else {
            fake.put_blob("a", &blob);
            bench.registries.fetch_blob(&reference(&fake, "a"), &layer(&blob), &bench.store).unwrap_err()
        };
        assert!(whole(&error).contains("from https to http"), "{}", whole(&error));
    }
    assert_eq!(plain.log().len(), 0);
}

#[test]
fn mirrors_are_asked_first_and_for_reading_only() {
    let (mirror, broken, origin) = (FakeRegistry::plain(), FakeRegistry::plain(), FakeRegistry::plain());
    let blob = bytes(1, 1000);
    mirror.put_blob("proxy/team/app", &blob);
    origin.put_manifest("team/app", Some("1"), OCI_MANIFEST, b"{}");
    broken.fault(on("GET", "").always(), Fault::Status(403, vec![], String::new()));
    broken.fault(on("HEAD", "").always(), Fault::Status(403, vec![], String::new()));
    let mut options = plain(&[&mirror, &broken, &origin]);
    options.registries.get_mut(&origin.name()).unwrap().mirrors =
        vec![broken.name(), format!("{}/proxy", mirror.name())];
    let bench = Bench::with(&quick(), options);
    bench.registries.fetch_blob(&reference(&origin, "team/app"), &layer(&blob), &bench.store).unwrap();
    assert_eq!((broken.log().len(), mirror.log().len(), origin.log().len()), (1, 1, 0));
    assert!(bench.registries.resolve(&reference(&origin, "team/app:1")).unwrap().is_some());
    assert_eq!(origin.log().len(), 1);
    let image = image(&origin, "team/app", &["2"], &[bytes(2, 10)]);
    bench.registries.push(std::slice::from_ref(&image)).unwrap();
    assert_there(&origin, &image);
    assert_eq!(mirror.count("PUT", "") + mirror.count("POST", ""), 0);
    assert!(bench.heard.all().contains("is passed over"), "{}", bench.heard.all());
    // Why is told.
    let mut options = plain(&[&origin]);
    options.registries.get_mut(&origin.name()).unwrap().mirrors = vec!["127.0.0.1:1".to_owned()];
    let bench = Bench::with(&quick(), options);
    assert!(bench.registries.resolve(&reference(&origin, "team/app:1")).unwrap().is_some());
    assert!(bench.heard.all().contains("refused"), "{}", bench.heard.all());
}

#[test]
fn proxies_carry_what_is_not_here() {
    // The fake understands requests with whole addresses, as a proxy gets them; the name exists nowhere.
    let proxy = FakeRegistry::plain();
    proxy.put_manifest("a", Some("1"), OCI_MANIFEST, b"{}");
    let settings = |url: String| {
        ProxySettings::from_environment(move |name| (name == "http_proxy").then(|| url.clone().into())).unwrap()
    };
    let options = NetworkOptions { proxies: settings(format!("http://bob:{CANARY}@{}", proxy.name())), ..quick() };
    let name = "registry.nowhere.invalid:5000";
    let plain = RegistrySettings { security: Some(Security::Plain), ..RegistrySettings::default() };
    let registries = RegistryOptions { registries: [(name.to_owned(), plain)].into(), ..RegistryOptions::default() };
    let bench = Bench::with(&options, registries.clone());
    let there: Reference = format!("{name}/a:1").parse().unwrap();
    assert!(bench.registries.resolve(&there).unwrap().is_some());
    let log = proxy.log();
    assert_eq!(log[0].target, format!("http://{name}/v2/a/manifests/1"));
    assert!(log[0].headers.contains_key("proxy-authorization"));
    bench.clean();
    // Nobody is at the proxy's address.
    let options = NetworkOptions { proxies: settings(format!("http://bob:{CANARY}@127.0.0.1:1")), ..quick() };
    let error = Bench::with(&options, registries).registries.resolve(&there).unwrap_err();
    assert!(whole(&error).contains("no connection"), "{}", whole(&error));
}

#[test]
fn https_goes_through_a_tunnel() {
    use std::io::{Read, Write};
    let certificates = Certificates::make();
    let fake = start(Some(certificates.server(false)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port = fake.port();
    // A proxy that leads every CONNECT to the fake, once it has seen a password.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            if !head.starts_with("connect localhost.nowhere.invalid:443 ")
                || !head.contains("proxy-authorization: basic ")
            {
                let _ = stream.write_all(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").unwrap();
            let mut there = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut back, mut forth) = (there.try_clone().unwrap(), stream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut forth));
            std::thread::spawn(move || std::io::copy(&mut stream, &mut there));
        }
    });
    let with = |proxy: String, registry: &str| {
        let proxies =
            ProxySettings::from_environment(move |name| (name == "https_proxy").then(|| proxy.clone().into())).unwrap();
        // The certificate is for another name; what counts here is the way.
        let insecure = RegistrySettings { security: Some(Security::Insecure), ..RegistrySettings::default() };
        let options =
            RegistryOptions { registries: [(registry.to_owned(), insecure)].into(), ..RegistryOptions::default() };
        let bench = Bench::with(&NetworkOptions { proxies, ..quick() }, options);
        let reference: Reference = format!("{registry}/a:1").parse().unwrap();
        let found = bench.registries.resolve(&reference).map_err(|error| whole(&error));
        bench.clean();
        found
    };
    let found = with(format!("http://bob:{CANARY}@{address}"), "localhost.nowhere.invalid").unwrap();
    assert!(found.is_some());
    let error = with(format!("http://{address}"), "localhost.nowhere.invalid").unwrap_err();
    assert!(error.contains("proxy"), "{error}");
}

#[test]
fn names_that_do_not_exist_are_not_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let fake = start(None);
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 registry.test\n").unwrap();
    let names = crate::net::NameFiles { hosts, resolv_conf: directory.path().join("absent") };
    let plain = RegistrySettings { security: Some(Security::Plain), ..RegistrySettings::default() };
    let name = format!("registry.test:{}", fake.port());
    let options = RegistryOptions { registries: [(name.clone(), plain)].into(), ..RegistryOptions::default() };
    let bench = Bench::with(&NetworkOptions { names, ..quick() }, options);
    assert!(bench.registries.resolve(&format!("{name}/a:1").parse().unwrap()).unwrap().is_some());
    let error = bench.registries.resolve(&"other.test/a:1".parse().unwrap()).unwrap_err();
    // The certificates come first: without any, no name is looked up.
    assert!(
        whole(&error).contains("no root certificates") || whole(&error).contains("does not resolve"),
        "{}",
        whole(&error)
    );
}

#[test]
fn ending_it_is_quiet_wherever_it_happens() {
    let network = Network::new(&quick()).unwrap();
    let registries = Registries::new(&network, RegistryOptions::default(), &Reporter::silent());
    drop(network);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move { drop(registries) });
    // And in use from several threads.
    let fake = start(None);
    let bench = Bench::new(&[&fake]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| found(&bench, &fake).unwrap());
        }
    });
    let digest = Digest::of(b"{}");
    assert_eq!(bench.registries.resolve(&reference(&fake, "a:1")).unwrap().unwrap().digest, digest);
}
