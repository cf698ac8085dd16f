//! Proving who we are, where and as far as a registry asks for it.
//!
//! Nothing is sent before a registry asks (RFC 9110, 11; distribution's token specification), and then only to the origin
//! that asked, or to the token server that it may name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use super::challenge::Challenge;
use super::client::Core;
use super::credentials::{Credential, Login};
use super::endpoint::{Endpoint, Repository, Scheme, reach};
use super::{Refusal, RegistryError, Unanswered};
use crate::net::{
    Answer, Call, MAX_REDIRECTS, NetError, Payload, Secret, TlsSettings, Tries, basic, redacted, redirect, retry_after,
    same_origin,
};
use crate::oci::json;

/// What a token may be used for: `repository:NAME:pull,push` and the like.
pub(super) type Scopes = BTreeSet<String>;

/// The scope to read a repository.
pub(super) fn pull(path: &str) -> Scopes {
    BTreeSet::from([format!("repository:{path}:pull")])
}

/// The scopes to write to a repository, and to mount from others.
pub(super) fn push(path: &str, mount_from: Option<&str>) -> Scopes {
    let mut scopes = BTreeSet::from([format!("repository:{path}:pull,push")]);
    scopes.extend(mount_from.map(|from| format!("repository:{from}:pull")));
    scopes
}

/// What is known of one registry's wishes, and what was got for it.
#[derive(Default)]
pub(super) struct AuthState {
    /// How it asked last.
    way: Option<Way>,
    /// Whose credentials are used for which repository, once they were looked up.
    credentials: BTreeMap<String, Option<Credential>>,
    /// By the wish of ours that they are for, which names the repository, and so whose they are.
    tokens: BTreeMap<Scopes, Token>,
    /// What the registry asked for beyond a wish of ours.
    wider: BTreeMap<Scopes, Scopes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Clone)]
struct Token {
    value: Secret,
    expires: Instant,
}

/// An `Authorization` header, and whether it was got for this very request.
#[derive(Clone)]
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    pub(super) fresh: bool,
}

/// A token's answer is not longer.
const MAX_TOKEN: u64 = 1 << 20;

/// How long a token lives where it does not say (distribution's token specification).
const DEFAULT_LIFE: u64 = 60;

impl Core {
    /// What to send along, as far as the registry is known to ask for it.
    pub(super) async fn authorization(
        &self,
        repository: &Repository,
        scheme: Scheme,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, RegistryError> {
        let mut state = repository.endpoint.auth.lock().await;
        match state.way.clone() {
            None => Ok(None),
            Some(way) => self.for_way(&mut state, repository, scheme, &way, scopes).await,
        }
    }

    /// What to send along after an answer 401 to a request that had `used`. `None` where there is nothing else to send.
    pub(super) async fn challenged(
        &self,
        repository: &Repository,
        scheme: Scheme,
        scopes: &Scopes,
        used: Option<&Authorization>,
        headers: &HeaderMap,
    ) -> Result<Option<Authorization>, RegistryError> {
        let challenges = Challenge::all(headers);
        let bearer =
            challenges.iter().find(|challenge| challenge.scheme == "bearer" && challenge.get("realm").is_some());
        let basic = challenges.iter().find(|challenge| challenge.scheme == "basic");
        let mut state = repository.endpoint.auth.lock().await;
        let mut wanted = Scopes::new();
        let way = match (bearer, basic) {
            (Some(bearer), _) => {
                let scope = bearer.get("scope").unwrap_or_default();
                wanted.extend(scope.split_ascii_whitespace().take(16).map(str::to_owned));
                Way::Bearer {
                    realm: bearer.get("realm").unwrap_or_default().to_owned(),
                    service: bearer.get("service").map(str::to_owned),
                }
            }
            (None, Some(_)) => Way::Basic,
            (None, None) => return Ok(None),
        };
        let known = state.wider.entry(scopes.clone()).or_insert_with(|| scopes.clone());
        let wants_more = !wanted.is_subset(known);
        known.extend(wanted);
        if let Some(used) = used {
            // One that was got for this very request will not get better by getting it again.
            if used.fresh && !wants_more {
                return Ok(None);
            }
            state.tokens.retain(|_, token| bearer_header(&token.value) != used.header);
        }
        if wants_more {
            state.tokens.remove(scopes);
        }
        state.way = Some(way.clone());
        let found = self.for_way(&mut state, repository, scheme, &way, scopes).await?;
        Ok(found.filter(|found| used.is_none_or(|used| used.header != found.header)))
    }

    async fn for_way(
        &self,
        state: &mut AuthState,
        repository: &Repository,
        scheme: Scheme,
        way: &Way,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, RegistryError> {
        let credential = self.credential(state, repository).await?;
        if let Some(Credential { login: Login::RegistryToken(token), .. }) = &credential {
            return Ok(Some(Authorization { header: bearer_header(token), fresh: false }));
        }
        match way {
            Way::Basic => Ok(match &credential {
                Some(Credential { login: Login::Password { user, password }, .. }) => {
                    Some(Authorization { header: basic(user, password), fresh: false })
                }
                _ => None,
            }),
            Way::Bearer { realm, service } => {
                if let Some(token) = state.tokens.get(scopes).filter(|token| token.expires > Instant::now()) {
                    return Ok(Some(Authorization { header: bearer_header(&token.value), fresh: false }));
                }
                let asked = state.wider.get(scopes).unwrap_or(scopes);
                let token = self
                    .token(&repository.endpoint, scheme, realm, service.as_deref(), credential.as_ref(), asked)
                    .await
                    .map_err(|error| match error {
                        error @ (RegistryError::Realm { .. } | RegistryError::Net(_)) => error,
                        error => {
                            RegistryError::Token { registry: repository.endpoint.name.clone(), source: Box::new(error) }
                        }
                    })?;
                let header = bearer_header(&token.value);
                state.tokens.insert(scopes.clone(), token);
                Ok(Some(Authorization { header, fresh: true }))
            }
        }
    }

    async fn credential(
        &self,
        state: &mut AuthState,
        repository: &Repository,
    ) -> Result<Option<Credential>, RegistryError> {
        if let Some(known) = state.credentials.get(&repository.path) {
            return Ok(known.clone());
        }
        let warn = |text: String| self.warn_once(&text);
        let found = self.credentials.find(repository.endpoint.credential_key(), &repository.path, &warn).await?;
        for secret in found.iter().flat_map(Credential::secrets) {
            self.network.scrubber().learn(&secret);
        }
        state.credentials.insert(repository.path.clone(), found.clone());
        Ok(found)
    }

    /// Who asked, for messages.
    pub(super) async fn who_asked(&self, repository: &Repository) -> String {
        let state = repository.endpoint.auth.lock().await;
        match state.credentials.get(&repository.path) {
            None => "no credentials were asked for".to_owned(),
            Some(None) => {
                format!("anonymous: no credentials for {} in {}", repository.endpoint.name, self.credentials.places())
            }
            Some(Some(credential)) => credential.shown(),
        }
    }

    /// Gets a token.
    async fn token(
        &self,
        endpoint: &Endpoint,
        scheme: Scheme,
        realm: &str,
        service: Option<&str>,
        credential: Option<&Credential>,
        scopes: &Scopes,
    ) -> Result<Token, RegistryError> {
        let realm = check_realm(endpoint, scheme, realm).map_err(|(realm, reason)| RegistryError::Realm {
            registry: endpoint.name.clone(),
            realm,
            reason,
        })?;
        let get = || {
            let mut url = realm.clone();
            {
                let mut query = url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                for scope in scopes {
                    query.append_pair("scope", scope);
                }
                if let Some(Login::Password { user, .. }) = credential.map(|credential| &credential.login) {
                    query.append_pair("account", user);
                }
            }
            let mut call = Call::new(Method::GET, url);
            if let Some(Login::Password { user, password }) = credential.map(|credential| &credential.login) {
                call.headers.insert(AUTHORIZATION, basic(user, password));
            }
            call
        };
        let post = |grant: &[(&str, &str)]| {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("client_id", "lapstrake");
            if let Some(service) = service {
                form.append_pair("service", service);
            }
            form.append_pair("scope", &scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
            for (key, value) in grant {
                form.append_pair(key, value);
            }
            let mut call = Call::new(Method::POST, realm.clone());
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            call.payload = Payload::Bytes(form.finish().into_bytes().into());
            call
        };
        let shown = credential.map_or_else(
            || format!("anonymous: no credentials for {} in {}", endpoint.name, self.credentials.places()),
            Credential::shown,
        );
        let answer = match credential.map(|credential| &credential.login) {
            Some(Login::IdentityToken(token)) => {
                let call = post(&[("grant_type", "refresh_token"), ("refresh_token", token.expose())]);
                self.ask_for_token(endpoint, scheme, call, &shown).await?
            }
            Some(Login::Password { user, password }) => match self.ask_for_token(endpoint, scheme, get(), &shown).await
            {
                // Some token servers only know the newer way.
                Err(RegistryError::Refused(refusal)) if matches!(refusal.status, 404 | 405) => {
                    let grant =
                        [("grant_type", "password"), ("username", user.as_str()), ("password", password.expose())];
                    self.ask_for_token(endpoint, scheme, post(&grant), &shown).await?
                }
                answer => answer?,
            },
            _ => self.ask_for_token(endpoint, scheme, get(), &shown).await?,
        };
        let nonsense = |reason: &str| RegistryError::Protocol {
            registry: endpoint.name.clone(),
            method: "GET".to_owned(),
            url: redacted(&realm),
            reason: reason.to_owned(),
        };
        let answer: Map<String, Value> = json::parse(&answer).map_err(|_| nonsense("the token is not in JSON"))?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let value =
            text("token").or_else(|| text("access_token")).ok_or_else(|| nonsense("there is no token in it"))?;
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(nonsense("the token is no text for a header"));
        }
        self.network.scrubber().learn(value);
        let life = answer.get("expires_in").and_then(Value::as_u64).unwrap_or(DEFAULT_LIFE);
        let expires = Instant::now() + used_for(life);
        Ok(Token { value: Secret::new(value), expires })
    }

    async fn ask_for_token(
        &self,
        endpoint: &Endpoint,
        scheme: Scheme,
        mut call: Call,
        who: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut tries = Tries::new(self.network.retry());
        loop {
            let failed = |source, tries: &Tries| {
                RegistryError::from(Box::new(Unanswered {
                    registry: endpoint.name.clone(),
                    method: call.method.to_string(),
                    url: redacted(&call.url),
                    tries: tries.made() + 1,
                    source,
                }))
            };
            let (error, told) = match self.follow_for_token(endpoint, scheme, call.clone()).await {
                Ok(answer) if answer.status == StatusCode::OK => match answer.bytes(MAX_TOKEN).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(source) => (failed(source, &tries), None),
                },
                Ok(answer) => {
                    let told = retry_after(&answer.headers);
                    let refusal = Refusal::read(
                        &endpoint.name,
                        &call.method,
                        answer,
                        tries.made() + 1,
                        who.to_owned(),
                        self.network.scrubber(),
                    );
                    (RegistryError::Refused(Box::new(refusal.await.with_advice(&endpoint.name, ""))), told)
                }
                Err(NetError::Cancelled) => return Err(NetError::Cancelled.into()),
                Err(source) => (failed(source, &tries), None),
            };
            if !error.is_temporary() {
                return Err(error);
            }
            if error.is_closed() {
                tries.hurry();
            }
            match tries.pause(told) {
                Some(pause) => self.pause(&error, &tries, pause).await,
                None => return Err(error),
            }
        }
    }

    /// One request with its redirects. What carries a secret in its body is sent to the realm alone. A server is asked without
    /// a look at its certificate only where the registry itself is.
    async fn follow_for_token(&self, endpoint: &Endpoint, scheme: Scheme, mut call: Call) -> Result<Answer, NetError> {
        let realm = call.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if !same_origin(&call.url, &realm) {
                call.headers.remove(AUTHORIZATION);
            }
            let own = endpoint.tls(scheme, &call.url);
            let tls = match self.own_tls(endpoint, &call.url) {
                Some(theirs) => TlsSettings {
                    unverified: own.unverified && theirs.unverified,
                    client: theirs.client.filter(|_| same_origin(&call.url, &realm)),
                    ..theirs
                },
                None => own,
            };
            let answer = self.network.client().exchange(&call, &tls).await?;
            match redirect(&answer.url, &call.method, answer.status, &answer.headers)? {
                Some(to) if call.method == Method::GET => call.url = to,
                Some(to) => {
                    return Err(NetError::Redirect { to: redacted(&to), reason: "the request holds a secret" });
                }
                None => return Ok(answer),
            }
        }
        Err(NetError::Redirect { to: redacted(&call.url), reason: "there are more than 10 in a row" })
    }
}

/// How long a token is used that lives so many seconds, or a day: not to its last moment, since the request has to arrive, and
/// clocks differ.
fn used_for(life: u64) -> Duration {
    Duration::from_millis(life.min(24 * 3600) * 900)
}

fn bearer_header(token: &Secret) -> HeaderValue {
    let mut header =
        HeaderValue::from_str(&format!("Bearer {}", token.expose())).unwrap_or(HeaderValue::from_static("Bearer"));
    header.set_sensitive(true);
    header
}

/// Whether a token server may be told a registry's credentials (semantics.md 29), and its address. Else the address as it
/// is shown, and why not.
fn check_realm(endpoint: &Endpoint, scheme: Scheme, realm: &str) -> Result<Url, (String, &'static str)> {
    let Ok(url) = Url::parse(realm) else { return Err(("something".to_owned(), "it is no address")) };
    let refuse = |reason| Err((redacted(&url), reason));
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("it is neither http nor https");
    }
    let Some(host) = url.host() else { return refuse("it names no host") };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it holds a user name");
    }
    let own = endpoint.url(scheme, "").ok();
    let same_host = own.as_ref().and_then(|own| own.host()).is_some_and(|own| own == host);
    if scheme != Scheme::Http && url.scheme() == "http" {
        return refuse("the registry is spoken to over https, and it over http");
    }
    match scheme {
        Scheme::Https if reach(&host) < endpoint.reach() => {
            return refuse("it is on this machine or a private network, and the registry is not");
        }
        Scheme::Https => {}
        Scheme::Unverified | Scheme::Http if same_host => {}
        Scheme::Unverified | Scheme::Http => {
            return refuse("it is another host, and nobody vouches for what the registry says");
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::options::RegistryOptions;
    use super::*;

    #[test]
    fn scopes_are_for_what_is_asked() {
        assert_eq!(pull("a/b"), Scopes::from(["repository:a/b:pull".to_owned()]));
        assert_eq!(push("a", None), Scopes::from(["repository:a:pull,push".to_owned()]));
        let both = ["repository:a:pull,push".to_owned(), "repository:b:pull".to_owned()];
        assert_eq!(push("a", Some("b")), Scopes::from(both));
    }

    #[test]
    fn tokens_are_not_used_to_their_last_moment() {
        assert_eq!(used_for(0), Duration::ZERO);
        assert_eq!(used_for(60), Duration::from_secs(54));
        assert_eq!(used_for(u64::MAX), Duration::from_secs(77_760));
    }

    #[test]
    fn realms_that_may_be_told() {
        use Scheme::{Http, Https, Unverified};
        for (registry, scheme, realm, wanted) in [
            ("docker.io", Https, "https://auth.docker.io/token", Ok(())),
            ("registry.gitlab.com", Https, "https://gitlab.com/jwt/auth", Ok(())),
            ("r.example.com", Https, "https://r.example.com:8443/token?x=y", Ok(())),
            ("r.example.com", Https, "http://r.example.com/token", Err("http")),
            ("r.example.com", Https, "http://auth.example.com/token", Err("http")),
            ("r.example.com", Https, "https://169.254.169.254/latest", Err("private")),
            ("r.example.com", Https, "https://127.0.0.1/token", Err("private")),
            ("r.example.com", Https, "https://localhost/token", Err("private")),
            ("r.example.com", Https, "https://10.0.0.1/token", Err("private")),
            ("r.example.com", Https, "https://[::ffff:10.0.0.1]/token", Err("private")),
            ("10.0.0.1", Https, "https://10.0.0.2/token", Ok(())),
            ("10.0.0.1", Https, "https://169.254.169.254/token", Err("private")),
            ("registry.corp.internal", Https, "https://auth.corp.internal/token", Ok(())),
            ("localhost:5000", Https, "https://127.0.0.1:5001/token", Ok(())),
            ("localhost:5000", Http, "http://localhost:5001/token", Ok(())),
            ("localhost:5000", Http, "https://localhost/token", Ok(())),
            ("localhost:5000", Http, "http://127.0.0.1:5000/token", Err("another host")),
            ("r.example.com", Http, "https://auth.example.com/token", Err("another host")),
            ("r.example.com", Unverified, "https://auth.example.com/token", Err("another host")),
            ("r.example.com", Unverified, "http://r.example.com/token", Err("http")),
            ("r.example.com", Unverified, "https://r.example.com:8443/token", Ok(())),
            ("r.example.com", Https, "https://bob:hunter22@auth.example.com/", Err("user name")),
            ("r.example.com", Https, "https://hunter22@auth.example.com/", Err("user name")),
            ("r.example.com", Https, "https://:hunter22@auth.example.com/", Err("user name")),
            ("r.example.com", Https, "file:///etc/passwd", Err("neither")),
            ("r.example.com", Https, "/token", Err("no address")),
            ("r.example.com", Https, "", Err("no address")),
        ] {
            let endpoint = Endpoint::new(registry, &RegistryOptions::default()).unwrap();
            match (check_realm(&endpoint, scheme, realm), wanted) {
                (Ok(_), Ok(())) => {}
                (Err((shown, reason)), Err(wanted)) => {
                    assert!(reason.contains(wanted), "{realm}: {reason}");
                    assert!(!shown.contains("hunter22"));
                }
                (found, _) => panic!("{registry} {realm}: {:?}", found.map(String::from)),
            }
        }
    }
}
