//! Where an answer sends us, and whether we go there.

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::NetError;
use super::redact::redacted;

/// No more redirects are followed one after the other.
pub(crate) const MAX_REDIRECTS: u32 = 10;

/// No address that is followed has more bytes.
const MAX_LOCATION: usize = 16 << 10;

/// Whether two addresses have scheme, host and port in common: only then do they share credentials.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// Whether an address is the other one over TLS.
pub(crate) fn is_over_tls(over: &Url, plain: &Url) -> bool {
    (plain.scheme(), over.scheme()) == ("http", "https") && plain.host() == over.host() && plain.port() == over.port()
}

/// The address in a `Location` header, resolved (RFC 3986, 5). `None` where there is no such header.
///
/// # Errors
/// Where it is none that may be followed: another protocol, from https to http, or with a user name in it.
pub(crate) fn location(from: &Url, headers: &HeaderMap) -> Result<Option<Url>, NetError> {
    let Some(text) = headers.get(LOCATION) else { return Ok(None) };
    let refuse = |to: String, reason| NetError::Redirect { to, reason };
    if text.len() > MAX_LOCATION {
        return Err(refuse("an address".to_owned(), "it is too long"));
    }
    let text = text.to_str().map_err(|_| refuse("an unreadable address".to_owned(), "it is no address"))?;
    let to = from.join(text).map_err(|_| refuse("an unreadable address".to_owned(), "it is no address"))?;
    if !to.username().is_empty() || to.password().is_some() {
        return Err(refuse(redacted(&to), "it holds a user name"));
    }
    if !matches!(to.scheme(), "http" | "https") || !to.has_host() {
        return Err(refuse(redacted(&to), "it is neither http nor https"));
    }
    Ok(Some(to))
}

/// Where an answer redirects a request to. `None` where it is no redirect, or none that applies to that method.
///
/// # Errors
/// As [`location`]; also from https to http.
pub(crate) fn redirect(
    from: &Url,
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Url>, NetError> {
    let applies = match status.as_u16() {
        301..=303 => *method == Method::GET || *method == Method::HEAD,
        307 | 308 => true,
        _ => false,
    };
    if !applies {
        return Ok(None);
    }
    match location(from, headers)? {
        Some(to) if from.scheme() == "https" && to.scheme() == "http" => {
            Err(NetError::Redirect { to: redacted(&to), reason: "it leads from https to http" })
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(from: &str, method: Method, status: u16, to: &str) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().unwrap());
        redirect(&Url::parse(from).unwrap(), &method, StatusCode::from_u16(status).unwrap(), &headers)
            .map(|to| to.map(String::from))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_server_over_tls() {
        let is = |over: &str, plain: &str| is_over_tls(&Url::parse(over).unwrap(), &Url::parse(plain).unwrap());
        assert!(is("https://r/b", "http://r/a") && is("https://r:5000/", "http://r:5000/"));
        for (over, plain) in [
            ("https://r:5443/", "http://r:5000/"),
            ("https://s/", "http://r/"),
            ("http://r/", "http://r/"),
            ("https://r/", "https://r/"),
            ("http://r/", "https://r/"),
        ] {
            assert!(!is(over, plain), "{over} {plain}");
        }
    }

    #[test]
    fn redirects_are_followed_within_the_rules() {
        let from = "https://r.example.com/v2/a?x=1";
        for (method, status, to, wanted) in [
            (Method::GET, 302, "/b?y=2", Some("https://r.example.com/b?y=2")),
            (Method::GET, 307, "c", Some("https://r.example.com/v2/c")),
            (Method::HEAD, 301, "https://cdn.example.com/", Some("https://cdn.example.com/")),
            (Method::PUT, 307, "//cdn.example.com/", Some("https://cdn.example.com/")),
            (Method::PUT, 302, "/b", None),
            (Method::GET, 304, "/b", None),
            (Method::GET, 200, "/b", None),
        ] {
            assert_eq!(go(from, method, status, to).unwrap().as_deref(), wanted, "{status} {to}");
        }
        for bad in
            ["http://r.example.com/", "https://a:hunter22@b/", "file:///etc/passwd", "ftp://x/", "https://[", "data:x"]
        {
            let error = go(from, Method::GET, 302, bad).unwrap_err();
            assert!(!error.contains("hunter22"), "{error}");
        }
        assert_eq!(go("http://a/", Method::GET, 302, "https://b/").unwrap().as_deref(), Some("https://b/"));
        assert_eq!(go("http://a/", Method::GET, 302, "http://b/").unwrap().as_deref(), Some("http://b/"));
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        let same = |a, b| same_origin(&Url::parse(a).unwrap(), &Url::parse(b).unwrap());
        assert!(same("https://r/x", "https://r:443/y?z"));
        assert!(same("https://R/x", "https://r/"));
        assert!(!same("https://r/", "http://r/"));
        assert!(!same("https://r/", "https://r:444/"));
        assert!(!same("https://r/", "https://a.r/"));
    }
}
