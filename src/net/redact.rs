//! What must not be shown: secrets, and the parts of addresses that may be some.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

/// A password or token. It has no `Display`, and its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that is never to be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for a header or a form and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Knows the secrets in use, and takes them out of texts that come from elsewhere: a server may send back what it was
/// sent.
#[derive(Clone, Default)]
pub(crate) struct Scrubber(Arc<Mutex<BTreeSet<String>>>);

/// Shorter secrets would be found by chance everywhere.
const SHORTEST: usize = 4;

impl Scrubber {
    /// From now on this text is taken out.
    pub(crate) fn learn(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
        }
    }

    /// The text without any known secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Longest first: a token that holds another one goes as a whole.
        let mut found: Vec<&String> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber")
    }
}

/// What must not be shown of a login: the password, and how it is sent. A token often stands where the user name is, alone.
pub(crate) fn secret_forms(user: &str, password: &Secret) -> [String; 2] {
    use base64::Engine;
    let secret = if password.is_empty() { user } else { password.expose() };
    let sent = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.expose()));
    [secret.to_owned(), sent]
}

/// Whether a query parameter says something to people and nothing to thieves: what registries are asked, and token servers.
fn is_plain(url: &Url, key: &str, value: &str) -> bool {
    let asks_registry = || url.path().starts_with("/v2/");
    let asks_for_token = || url.query_pairs().any(|(key, value)| key == "scope" && is_scope(&value));
    match key {
        "digest" | "mount" => ["sha256:", "sha512:"].iter().any(|algorithm| value.starts_with(algorithm)),
        "scope" => is_scope(value),
        "service" => asks_for_token(),
        "from" | "last" | "n" | "ns" => asks_registry(),
        _ => false,
    }
}

fn is_scope(value: &str) -> bool {
    value.starts_with("repository:") || value.starts_with("registry:")
}

/// An address as it is shown: no user name or password, and no value in the query but those that are known to be harmless
/// (pre-signed addresses and upload sessions carry keys there).
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    if !shown.username().is_empty() || shown.password().is_some() {
        // Fails for addresses without a host alone, which have no user name either.
        let _ = shown.set_password(None);
        let _ = shown.set_username("***");
    }
    shown.set_fragment(None);
    if let Some(query) = url.query() {
        let mut seen = String::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let pair = match url::form_urlencoded::parse(part.as_bytes()).next() {
                Some((key, value)) if is_plain(url, &key, &value) => format!("{key}={value}"),
                Some((key, _)) if part.contains('=') => format!("{key}=***"),
                // A token may stand there by itself.
                _ => "***".to_owned(),
            };
            seen.push(if seen.is_empty() { '?' } else { '&' });
            // Decoded for people, so that what is no plain text must be kept out.
            seen.extend(pair.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }));
        }
        shown.set_query(None);
        return cut(&format!("{shown}{seen}"));
    }
    cut(shown.as_str())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_may_be_secret() {
        for (url, shown) in [
            ("https://r.example.com/v2/a", "https://r.example.com/v2/a"),
            ("https://bob:hunter22@r.example.com/v2/", "https://***@r.example.com/v2/"),
            ("https://bob@r.example.com/", "https://***@r.example.com/"),
            ("https://r/x?_state=hunter22&digest=sha256:ab", "https://r/x?_state=***&digest=sha256:ab"),
            ("https://s3/x?X-Amz-Signature=hunter22#hunter22", "https://s3/x?X-Amz-Signature=***"),
            ("https://r/t?scope=repository:a:pull%0d%1b", "https://r/t?scope=repository:a:pull__"),
            (
                "https://r/t?service=hub&scope=repository:a:pull&x",
                "https://r/t?service=hub&scope=repository:a:pull&***",
            ),
            ("https://cdn/x?hunter22", "https://cdn/x?***"),
            (
                "https://cdn/x?from=hunter22&service=hunter22&scope=hunter22",
                "https://cdn/x?from=***&service=***&scope=***",
            ),
            ("https://cdn/x?digest=hunter22&mount=sha256:ab", "https://cdn/x?digest=***&mount=sha256:ab"),
            (
                "https://r/v2/a/blobs/uploads/?mount=sha256:ab&from=b",
                "https://r/v2/a/blobs/uploads/?mount=sha256:ab&from=b",
            ),
        ] {
            assert_eq!(redacted(&Url::parse(url).unwrap()), shown);
        }
        assert!(redacted(&Url::parse(&format!("https://r/{}", "x".repeat(9999))).unwrap()).len() < 500);
        assert!(redacted(&Url::parse(&format!("https://r/v2/?n={}", "x".repeat(9999))).unwrap()).len() < 500);
    }

    #[test]
    fn what_is_known_is_taken_out() {
        let scrubber = Scrubber::default();
        scrubber.learn("hunter22");
        scrubber.learn("hunter22-and-more");
        scrubber.learn("a");
        assert_eq!(scrubber.scrub("a hunter22-and-more, hunter22!"), "a ***, ***!");
        assert_eq!(format!("{scrubber:?} {:?}", Secret::new("hunter22")), "Scrubber ***");
        assert!(Secret::default().is_empty() && !Secret::new("a").is_empty());
        assert_eq!(Secret::new("hunter22").expose(), "hunter22");
        scrubber.learn("four");
        assert_eq!(scrubber.scrub("twenty-four"), "twenty-***");
    }
}
