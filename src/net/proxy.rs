//! Proxies, as the usual variables name them.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::NetError;
use super::fetch::take_login;
use super::redact::{redacted, secret_forms};

/// Which requests go through which proxy.
#[derive(Clone, Default)]
pub struct ProxySettings {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
}

#[derive(Clone, PartialEq, Eq)]
struct Proxy {
    /// May hold a user name and password.
    url: Url,
}

/// What is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Everything,
    /// Addresses of a network, by its first bits.
    Network(IpAddr, u8),
    /// A name and all below it (or only those below it), on one port or all.
    Name {
        name: String,
        below_only: bool,
        port: Option<u16>,
    },
    /// One address, on one port or all.
    Address(IpAddr, Option<u16>),
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| redacted(&proxy.url));
        f.debug_struct("ProxySettings")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("direct", &self.direct)
            .finish()
    }
}

impl ProxySettings {
    /// From `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, small letters first, as `variable` gives them.
    ///
    /// `NO_PROXY` is a list of names (which cover what is below them; with a leading dot only that), addresses and
    /// networks, each but the last with an optional port, or `*`.
    ///
    /// # Errors
    /// Where a proxy's address is none, or of a kind that is not spoken here. The address itself is not shown: it may
    /// hold a password.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NetError> {
        let get = |name: &str| {
            let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name))?;
            Some(value.to_string_lossy().trim().to_owned()).filter(|value| !value.is_empty())
        };
        let proxy =
            |name: &'static str, value: Option<String>| value.map(|value| Proxy::read(name, &value)).transpose();
        // A CGI program gets `Proxy:` of its client's request as HTTP_PROXY (CVE-2016-5385).
        let http = if variable("REQUEST_METHOD").is_some() {
            variable("http_proxy").and_then(|_| get("HTTP_PROXY"))
        } else {
            get("HTTP_PROXY")
        };
        Ok(ProxySettings {
            http: proxy("HTTP_PROXY", http)?
                .map_or_else(|| proxy("ALL_PROXY", get("ALL_PROXY")), |found| Ok(Some(found)))?,
            https: proxy("HTTPS_PROXY", get("HTTPS_PROXY"))?
                .map_or_else(|| proxy("ALL_PROXY", get("ALL_PROXY")), |found| Ok(Some(found)))?,
            direct: get("NO_PROXY")
                .map(|list| list.split([',', ' ']).filter_map(Direct::read).collect())
                .unwrap_or_default(),
        })
    }

    /// The proxy for an address. The machine itself is never reached through one.
    pub(super) fn for_url(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            _ => self.https.as_ref(),
        }?;
        let host = url.host()?;
        let here = match &host {
            Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let port = url.port_or_known_default();
        if here || self.direct.iter().any(|direct| direct.covers(&host, port)) { None } else { Some(&proxy.url) }
    }

    /// The passwords in the addresses, in every form that a proxy may send back.
    pub(super) fn secrets(&self) -> Vec<String> {
        let urls = [&self.http, &self.https].into_iter().flatten().map(|proxy| &proxy.url);
        let encoded = urls.clone().filter_map(|url| url.password()).map(str::to_owned);
        let decoded = urls.filter_map(|url| take_login(&mut url.clone()));
        encoded.chain(decoded.flat_map(|(user, password)| secret_forms(&user, &password))).collect()
    }
}

impl Proxy {
    fn read(variable: &'static str, text: &str) -> Result<Self, NetError> {
        let wrong = |reason: &str| NetError::Proxy { variable, reason: reason.to_owned() };
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|error| wrong(&format!("it is no address ({error})")))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Proxy { url }),
            "http" | "https" => Err(wrong("it names no host")),
            _ => Err(wrong("only http:// and https:// proxies can be used")),
        }
    }
}

impl Direct {
    fn read(word: &str) -> Option<Self> {
        let word = word.trim();
        if word.is_empty() {
            return None;
        }
        if word == "*" {
            return Some(Direct::Everything);
        }
        if let Some((address, bits)) = word.split_once('/') {
            return Some(Direct::Network(address.parse().ok()?, bits.parse().ok()?));
        }
        if let Ok(address) = word.trim_matches(['[', ']']).parse() {
            return Some(Direct::Address(address, None));
        }
        let (name, port) = match word.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (word, None),
        };
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Some(Direct::Address(address, port));
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let below_only = name.starts_with('.') || name.starts_with("*.");
        let name = name.trim_start_matches('*').trim_start_matches('.').to_owned();
        Some(Direct::Name { name, below_only, port })
    }

    fn covers(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let address: Option<IpAddr> = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        };
        let fits = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        match self {
            Direct::Everything => true,
            Direct::Address(wanted, on) => address == Some(*wanted) && fits(on),
            Direct::Network(network, bits) => address.is_some_and(|address| in_network(address, *network, *bits)),
            Direct::Name { name, below_only, port: on } => match host {
                Host::Domain(host) => {
                    let host = host.trim_end_matches('.');
                    let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                    fits(on) && (below || (!below_only && host == name))
                }
                _ => false,
            },
        }
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let mask = |width: u32| {
        if u32::from(bits) > width { u128::MAX } else { u128::MAX.checked_shl(width - u32::from(bits)).unwrap_or(0) }
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()) ^ u128::from(network.to_bits())) & mask(32) & u128::from(u32::MAX) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits()) & mask(128) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<ProxySettings, NetError> {
        ProxySettings::from_environment(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value))
        })
    }

    #[test]
    fn who_goes_through_which() {
        let all = [
            ("HTTPS_PROXY", "http://bob:hunter22@proxy:3128"),
            ("http_proxy", "plain:80"),
            (
                "NO_PROXY",
                "direct.example.com, .below.example.com,10.0.0.0/8 fd00::/8,192.0.2.1:5000,port.example.com:444,[::2]",
            ),
        ];
        let settings = settings(&all).unwrap();
        for (url, wanted) in [
            ("https://r.example.com/", Some("proxy")),
            ("http://r.example.com/", Some("plain")),
            ("https://direct.example.com/", None),
            ("https://a.direct.example.com/", None),
            ("https://indirect.example.com/", Some("proxy")),
            ("https://below.example.com/", Some("proxy")),
            ("https://a.below.example.com/", None),
            ("https://10.200.1.1/", None),
            ("https://11.0.0.1/", Some("proxy")),
            ("https://[fd12::1]/", None),
            ("https://[fe12::1]/", Some("proxy")),
            ("https://[::2]/", None),
            ("https://192.0.2.1:5000/", None),
            ("https://192.0.2.1/", Some("proxy")),
            ("https://port.example.com:444/", None),
            ("https://port.example.com/", Some("proxy")),
            ("http://localhost:5000/", None),
            ("http://127.0.0.9:5000/", None),
            ("http://[::1]:5000/", None),
        ] {
            let found = settings.for_url(&Url::parse(url).unwrap());
            assert_eq!(found.and_then(Url::host_str), wanted, "{url}");
        }
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter22") && shown.contains("***@proxy"), "{shown}");
        assert!(settings.secrets().contains(&"hunter22".to_owned()));
    }

    /// However a proxy sends it back.
    #[test]
    fn passwords_are_known_in_every_form() {
        let secrets = |url| settings(&[("http_proxy", url)]).unwrap().secrets();
        assert_eq!(secrets("http://bob:p%40ss@h:1"), ["p%40ss", "p@ss", "Ym9iOnBAc3M="]);
        assert!(secrets("http://token@h:1").contains(&"token".to_owned()));
        assert!(secrets("http://h:1").is_empty());
    }

    #[test]
    fn small_letters_win_and_all_covers_the_rest() {
        let found =
            settings(&[("HTTPS_PROXY", "http://big"), ("https_proxy", "http://small"), ("ALL_PROXY", "http://all")])
                .unwrap();
        assert_eq!(found.for_url(&Url::parse("https://x/").unwrap()).unwrap().host_str(), Some("small"));
        assert_eq!(found.for_url(&Url::parse("http://x/").unwrap()).unwrap().host_str(), Some("all"));
        assert!(settings(&[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")]).unwrap().http.is_none());
        assert!(
            settings(&[("HTTP_PROXY", "http://p"), ("NO_PROXY", "*")])
                .unwrap()
                .for_url(&Url::parse("http://x/").unwrap())
                .is_none()
        );
        assert!(settings(&[("HTTP_PROXY", "")]).unwrap().http.is_none());
    }

    #[test]
    fn what_is_no_proxy_is_refused_unseen() {
        for bad in ["socks5://bob:hunter22@p:1", "http://bob:hunter22@", "http://[hunter22", "ftp://hunter22"] {
            let error = settings(&[("HTTPS_PROXY", bad)]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter22"), "{error}");
        }
    }
}
