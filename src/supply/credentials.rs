//! Who we are at which server: every login is for the places that whoever wrote it down meant, and for no other.

use std::collections::BTreeSet;

use base64::Engine;
use url::Url;

use super::netrc::NetrcEntry;
use crate::net::{Secret, take_login};

/// A user name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name; where the password is empty, a token.
    pub user: Secret,
    /// The password.
    pub password: Secret,
    /// Where it was found, for messages.
    pub found: &'static str,
}

/// Logins, and what each of them is for.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// For one scheme, host and port: those of addresses, with the path of the address.
    addresses: Vec<(Origin, String, Login)>,
    /// Of apt's files.
    apt: Vec<(AptScope, Login)>,
    /// Of netrc files: for a host.
    hosts: Vec<(String, Login)>,
    /// Plain-http servers that somebody named: only there a login for a host goes over plain http.
    plain: BTreeSet<Origin>,
}

/// Scheme, host and port: what shares credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
struct AptScope {
    scheme: String,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Origin {
    /// That of an address; `None` for addresses without a host.
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        Some(Origin { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default() })
    }
}

impl Credentials {
    /// Takes the login out of an address, and keeps it for addresses on that server.
    pub fn take_from(&mut self, address: &mut Url) {
        if let Some((user, password)) = take_login(address) {
            self.add(address, Login { user: Secret::new(user), password, found: "an address in the settings" });
        }
    }

    /// Keeps a login for addresses on the server of that one. Of several for one server, the one whose path is nearest
    /// counts, then the one that came first.
    pub fn add(&mut self, address: &Url, login: Login) {
        if let Some(origin) = Origin::of(address) {
            self.addresses.push((origin, address.path().to_owned(), login));
        }
    }

    /// Keeps the entries of a netrc file: each for its host, over https.
    pub fn add_netrc(&mut self, entries: Vec<NetrcEntry>) {
        self.hosts.extend(entries.into_iter().map(|entry| (bare(&entry.machine), login(&entry, ".netrc"))));
    }

    /// Keeps the entries of one of apt's files: each for what its `machine` says.
    pub fn add_apt(&mut self, entries: Vec<NetrcEntry>) {
        for entry in entries {
            let (scheme, rest) = entry.machine.split_once("://").unwrap_or(("https", &entry.machine));
            let (server, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let port = server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) = port.map_or((server, None), |(host, port)| (host, Some(port)));
            let scope = AptScope { scheme: scheme.to_ascii_lowercase(), host: bare(host), port, path: path.to_owned() };
            self.apt.push((scope, login(&entry, "apt's auth.conf")));
        }
    }

    /// Somebody named that address: where it is plain http, logins for its host go there all the same.
    pub fn name(&mut self, address: &Url) {
        if address.scheme() == "http" {
            self.plain.extend(Origin::of(address));
        }
    }

    /// The login for an address, where there is one.
    pub fn find(&self, address: &Url) -> Option<&Login> {
        let origin = Origin::of(address)?;
        let near = |path: &str| {
            let parts = path.split('/').zip(address.path().split('/'));
            parts.take_while(|(a, b)| a == b).count()
        };
        let same = self.addresses.iter().filter(|(known, _, _)| *known == origin);
        // `max_by_key` gives the last of equal ones.
        if let Some((_, _, login)) = same.rev().max_by_key(|(_, path, _)| near(path)) {
            return Some(login);
        }
        let host = bare(&origin.host);
        let fits = |scope: &AptScope| {
            scope.scheme == origin.scheme
                && scope.host == host
                && (scope.port.is_none() || scope.port == origin.port)
                && address.path().starts_with(&scope.path)
        };
        if let Some((_, login)) = self.apt.iter().find(|(scope, _)| fits(scope)) {
            return Some(login);
        }
        let may = origin.scheme == "https" || self.plain.contains(&origin);
        self.hosts.iter().find(|(known, _)| may && *known == host).map(|(_, login)| login)
    }

    /// Every text in them that must not be shown.
    pub fn secrets(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(|(_, _, login)| login);
        let rest = self.apt.iter().map(|(_, login)| login).chain(self.hosts.iter().map(|(_, login)| login));
        addresses.chain(rest).flat_map(Login::secrets).collect()
    }
}

impl Login {
    fn secrets(&self) -> [String; 2] {
        let (user, password) = (self.user.expose(), self.password.expose());
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        [if password.is_empty() { user } else { password }.to_owned(), pair]
    }
}

fn login(entry: &NetrcEntry, found: &'static str) -> Login {
    Login { user: Secret::new(&entry.login), password: entry.password.clone(), found }
}

/// A host as it is compared.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::netrc::{NetrcForm, parse};
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn found(credentials: &Credentials, address: &str) -> String {
        credentials
            .find(&url(address))
            .map_or("-".to_owned(), |login| format!("{}:{}", login.user.expose(), login.password.expose()))
    }

    #[test]
    fn logins_of_addresses_are_for_their_server() {
        let mut credentials = Credentials::default();
        for text in [
            "https://one:p%40ss@example.com/a/simple/",
            "https://two:pass@example.com/b/simple/",
            "https://token@example.com:8443/",
            "file:///srv/",
        ] {
            let mut address = url(text);
            credentials.take_from(&mut address);
            assert!(!address.as_str().contains('@'));
        }
        for (address, wanted) in [
            ("https://example.com/a/simple/six/", "one:p@ss"),
            ("https://example.com/b/files/six.whl", "two:pass"),
            ("https://example.com/files/six.whl", "one:p@ss"),
            ("https://example.com:443/b/simple/", "two:pass"),
            ("https://example.com:8443/x", "token:"),
            ("http://example.com/a/simple/", "-"),
            ("https://example.com:444/a/", "-"),
            ("https://www.example.com/a/", "-"),
            ("https://example.com.evil.example/", "-"),
            ("file:///srv/", "-"),
        ] {
            assert_eq!(found(&credentials, address), wanted, "{address}");
        }
        assert!(credentials.secrets().contains(&"token".to_owned()));
        assert!(!format!("{credentials:?}").contains("p@ss") && !format!("{credentials:?}").contains("token"));
    }

    #[test]
    fn logins_of_apt_are_for_what_they_name() {
        // The examples of the manual page; but 443 is the port of https, written or not.
        for (machine, wanted) in [
            ("example.org", true),
            ("EXAMPLE.org", true),
            ("example.org/deb", true),
            ("example.org/debian", true),
            ("example.org/debian/", true),
            ("https://example.org/debian", true),
            ("example.org:443", true),
            ("example.org:8443", false),
            ("example.org/deb/", false),
            ("example.org/ubuntu", false),
            ("example.orga", false),
            ("http://example.org", false),
        ] {
            let mut credentials = Credentials::default();
            let text = format!("machine {machine} login apt password debian");
            credentials.add_apt(parse(&text, NetrcForm::Apt).unwrap());
            let wanted = if wanted { "apt:debian" } else { "-" };
            assert_eq!(found(&credentials, "https://example.org/debian/dists/x"), wanted, "{machine}");
            assert_eq!(found(&credentials, "https://example.net/debian/"), "-");
            let plain = if machine.starts_with("http:") { "apt:debian" } else { "-" };
            assert_eq!(found(&credentials, "http://example.org/debian/"), plain, "{machine}");
        }
    }

    #[test]
    fn logins_of_netrc_are_for_a_host_and_plain_http_only_where_it_was_named() {
        let mut credentials = Credentials::default();
        let text = "machine example.com login bob password pass\nmachine ::1 login six password pass";
        credentials.add_netrc(parse(text, NetrcForm::Netrc).unwrap());
        credentials.name(&url("http://example.com:8080/simple/"));
        for (address, wanted) in [
            ("https://example.com/x", "bob:pass"),
            ("https://example.com:8443/x", "bob:pass"),
            ("https://[::1]/x", "six:pass"),
            ("http://example.com:8080/files/", "bob:pass"),
            ("http://example.com/x", "-"),
            ("https://www.example.com/x", "-"),
        ] {
            assert_eq!(found(&credentials, address), wanted, "{address}");
        }
        let mut address = url("https://ann:own@example.com/");
        credentials.take_from(&mut address);
        assert_eq!(found(&credentials, "https://example.com/x"), "ann:own");
    }
}
