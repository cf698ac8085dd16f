//! From a reference to a server: names, addresses, trust.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use url::{Host, Url};

use super::RegistryError;
use super::auth::AuthState;
use super::options::{RegistryOptions, RegistrySettings, Security};
use super::upload::Strategy;
use crate::net::{ClientIdentity, TlsSettings, same_origin};
use crate::oci::Reference;

/// A registry's server, and what was learned about it so far.
pub(super) struct Endpoint {
    /// As in references: `docker.io`.
    pub(super) name: String,
    /// As it is called: `registry-1.docker.io`.
    pub(super) authority: String,
    schemes: Vec<Scheme>,
    /// Which scheme it answers to, once it has answered.
    confirmed: Mutex<Option<Scheme>>,
    tls: TlsSettings,
    pub(super) auth: tokio::sync::Mutex<AuthState>,
    /// How blobs are sent there.
    pub(super) strategy: Mutex<Strategy>,
    /// Whether it is asked to take blobs over from other repositories: until that fails in a way that has nothing to do with
    /// the blob.
    pub(super) mounts: AtomicBool,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// https with a certificate that is checked.
    Https,
    /// https with any certificate.
    Unverified,
    /// http.
    Http,
}

/// A repository on a server.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) endpoint: Arc<Endpoint>,
    /// The path within the registry.
    pub(super) path: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint.name, self.path)
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Https | Scheme::Unverified => "https",
            Scheme::Http => "http",
        }
    }
}

impl Endpoint {
    /// The server of a registry by that name.
    ///
    /// # Errors
    /// Where its directory of certificates cannot be read.
    pub(super) fn new(name: &str, options: &RegistryOptions) -> Result<Self, RegistryError> {
        let settings = options.registries.get(name).cloned().unwrap_or_default();
        let schemes = match settings.security {
            Some(Security::Verified) => vec![Scheme::Https],
            Some(Security::Insecure) => vec![Scheme::Unverified, Scheme::Http],
            Some(Security::Plain) => vec![Scheme::Http],
            None if is_here(name) => vec![Scheme::Http, Scheme::Https],
            None => vec![Scheme::Https],
        };
        Ok(Endpoint {
            name: name.to_owned(),
            authority: if name == "docker.io" { "registry-1.docker.io" } else { name }.to_owned(),
            schemes,
            confirmed: Mutex::default(),
            tls: trust(name, &settings, &options.certificate_directories)?,
            auth: tokio::sync::Mutex::default(),
            strategy: Mutex::new(options.chunk.map_or(Strategy::Whole, Strategy::chunks)),
            mounts: AtomicBool::new(true),
        })
    }

    /// The schemes to try, in order; one, once it is known.
    pub(super) fn schemes(&self) -> Vec<Scheme> {
        match *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(scheme) => vec![scheme],
            None => self.schemes.clone(),
        }
    }

    /// The scheme that it answers to; the likeliest one, until it has answered.
    pub(super) fn scheme(&self) -> Scheme {
        self.schemes().first().copied().unwrap_or(Scheme::Https)
    }

    /// It answered to that scheme.
    pub(super) fn confirm(&self, scheme: Scheme) {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(scheme);
    }

    /// Whom to trust at an address that the server sent us to. For another host (a token server, where blobs lie) its
    /// root certificates count too, as one company's servers share them, but nothing else: neither who we are nor that
    /// nothing is checked.
    pub(super) fn tls(&self, scheme: Scheme, url: &Url) -> TlsSettings {
        let own = self.url(scheme, "").ok();
        let same_host = own.as_ref().is_some_and(|own| own.host() == url.host());
        let same_origin = own.is_some_and(|own| same_origin(&own, url));
        TlsSettings {
            ca_files: self.tls.ca_files.clone(),
            client: self.tls.client.clone().filter(|_| same_origin),
            unverified: scheme == Scheme::Unverified && same_host,
        }
    }

    /// The address of something on the server.
    pub(super) fn url(&self, scheme: Scheme, path: &str) -> Result<Url, RegistryError> {
        Url::parse(&format!("{}://{}/{path}", scheme.name(), self.authority))
            .map_err(|error| RegistryError::Endpoint { registry: self.name.clone(), reason: error.to_string() })
    }

    /// What credentials are looked for under.
    pub(super) fn credential_key(&self) -> &str {
        &self.name
    }

    /// From where the server can be reached.
    pub(super) fn reach(&self) -> Reach {
        let url = Url::parse(&format!("https://{}/", self.authority)).ok();
        url.and_then(|url| url.host().map(|host| reach(&host))).unwrap_or(Reach::World)
    }
}

impl Repository {
    /// `v2/PATH/REST`.
    pub(super) fn path_to(&self, rest: &str) -> String {
        format!("v2/{}/{rest}", self.path)
    }

    /// The repository that a mirror, `host[:port][/path]`, keeps for `path`.
    pub(super) fn mirrored(mirror: &str, path: &str) -> Option<(String, String)> {
        let mirror = mirror.trim_start_matches("https://").trim_end_matches('/');
        let (host, prefix) = mirror.split_once('/').map_or((mirror, ""), |(host, prefix)| (host, prefix));
        // Checked by the grammar of references, with the host taken for one whatever it looks like.
        let joined = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        let shaped =
            if host.contains(['.', ':']) || host == "localhost" { host.to_owned() } else { format!("{host}:443") };
        let reference: Reference = format!("{shaped}/{joined}").parse().ok()?;
        Some((
            if shaped == host { reference.registry().to_owned() } else { host.to_owned() },
            reference.repository().to_owned(),
        ))
    }
}

/// Whether the name stands for this very machine.
fn is_here(name: &str) -> bool {
    Url::parse(&format!("http://{name}/")).is_ok_and(|url| match url.host() {
        Some(Host::Domain(host)) => host == "localhost" || host.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}

/// From where a host can be reached, as far as its name or address shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine.
    Machine,
    /// The link that it is on: where clouds answer with the machine's own secrets.
    Link,
    /// A private network.
    Network,
    /// Everywhere.
    World,
}

/// From where a host can be reached.
pub(super) fn reach(host: &Host<&str>) -> Reach {
    let address: IpAddr = match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            return if name == "localhost" || name.ends_with(".localhost") {
                Reach::Machine
            } else if name.ends_with(".local") {
                Reach::Link
            } else if name.ends_with(".internal") || !name.contains('.') {
                Reach::Network
            } else {
                Reach::World
            };
        }
        Host::Ipv4(address) => (*address).into(),
        Host::Ipv6(address) => address.to_canonical(),
    };
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [127 | 0, ..] => Reach::Machine,
            [169, 254, ..] | [255, 255, 255, 255] => Reach::Link,
            // The last one is carrier-grade NAT (RFC 6598), where clouds keep servers of their own.
            [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Reach::Network,
            _ => Reach::World,
        },
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Reach::Machine,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::Link,
        IpAddr::V6(v6) if v6.is_unique_local() => Reach::Network,
        IpAddr::V6(_) => Reach::World,
    }
}

/// Root certificates and identity from the settings, then from the directories.
fn trust(name: &str, settings: &RegistrySettings, directories: &[PathBuf]) -> Result<TlsSettings, RegistryError> {
    let mut tls =
        TlsSettings { ca_files: settings.ca_files.clone(), client: settings.client.clone(), unverified: false };
    for directory in directories {
        let directory = directory.join(name);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(source) => return Err(RegistryError::Certificates { directory, source }),
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let with = |extension: &str, path: &Path| path.extension().is_some_and(|found| found == extension);
        tls.ca_files.extend(files.iter().filter(|path| with("crt", path)).cloned());
        if tls.client.is_none()
            && let Some(certificate) = files.iter().find(|path| with("cert", path))
        {
            tls.client =
                Some(ClientIdentity { certificate: certificate.clone(), key: certificate.with_extension("key") });
        }
        break;
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_follow_from_name_and_settings() {
        let options = RegistryOptions {
            registries: [
                ("10.0.0.1:5000", Security::Insecure),
                ("plain.example.com", Security::Plain),
                ("localhost:1", Security::Verified),
            ]
            .into_iter()
            .map(|(name, security)| {
                (name.to_owned(), RegistrySettings { security: Some(security), ..Default::default() })
            })
            .collect(),
            ..RegistryOptions::default()
        };
        for (name, wanted) in [
            ("docker.io", &[Scheme::Https][..]),
            ("10.0.0.2", &[Scheme::Https]),
            ("10.0.0.1:5000", &[Scheme::Unverified, Scheme::Http]),
            ("plain.example.com", &[Scheme::Http]),
            ("localhost:5000", &[Scheme::Http, Scheme::Https]),
            ("127.0.0.1:5000", &[Scheme::Http, Scheme::Https]),
            ("[::1]:5000", &[Scheme::Http, Scheme::Https]),
            ("localhost.example.com", &[Scheme::Https]),
            ("localhost:1", &[Scheme::Https]),
        ] {
            assert_eq!(Endpoint::new(name, &options).unwrap().schemes(), wanted, "{name}");
        }
        let hub = Endpoint::new("docker.io", &options).unwrap();
        assert_eq!(hub.url(Scheme::Https, "v2/").unwrap().as_str(), "https://registry-1.docker.io/v2/");
    }

    #[test]
    fn from_where_hosts_are_reached() {
        for (reached, hosts) in [
            (
                Reach::Machine,
                &["localhost", "a.localhost", "127.1.2.3", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1"][..],
            ),
            (Reach::Link, &["169.254.169.254", "2852039166", "[fe80::1]", "[::ffff:169.254.169.254]", "printer.local"]),
            (
                Reach::Network,
                &[
                    "10.1.1.1",
                    "172.16.0.1",
                    "192.168.1.1",
                    "100.100.100.200",
                    "[fd00::1]",
                    "registry",
                    "metadata.google.internal.",
                ],
            ),
            (Reach::World, &["auth.docker.io", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "localhost.example.com"]),
        ] {
            for host in hosts {
                let url = Url::parse(&format!("https://{host}/")).unwrap();
                assert_eq!(reach(&url.host().unwrap()), reached, "{host}");
            }
        }
    }

    #[test]
    fn mirrors_have_paths() {
        let mirrored =
            |mirror| Repository::mirrored(mirror, "library/debian").map(|(host, path)| format!("{host} {path}"));
        assert_eq!(mirrored("m.example.com").as_deref(), Some("m.example.com library/debian"));
        assert_eq!(
            mirrored("https://m.example.com:8/hub/proxy/").as_deref(),
            Some("m.example.com:8 hub/proxy/library/debian")
        );
        assert_eq!(mirrored("mirror").as_deref(), Some("mirror library/debian"));
        for bad in ["", "http://m.example.com", "m.example.com/../x", "user:hunter22@m.example.com"] {
            assert_eq!(mirrored(bad), None, "{bad}");
        }
    }

    #[test]
    fn certificates_lie_in_directories() {
        let directory = tempfile::tempdir().unwrap();
        let of = directory.path().join("r.example.com:5000");
        std::fs::create_dir(&of).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "client.key", "notes.txt"] {
            std::fs::write(of.join(name), "").unwrap();
        }
        let directories = [directory.path().join("absent"), directory.path().to_owned()];
        let tls = trust("r.example.com:5000", &RegistrySettings::default(), &directories).unwrap();
        assert_eq!(tls.ca_files, [of.join("a.crt"), of.join("b.crt")]);
        assert_eq!(tls.client.unwrap().key, of.join("client.key"));
        assert_eq!(trust("other", &RegistrySettings::default(), &directories).unwrap(), TlsSettings::default());
    }
}
