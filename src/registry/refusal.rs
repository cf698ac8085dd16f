//! A registry's "no": status, codes and messages (distribution-spec, "Error Codes"), fit to be shown.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::net::{Answer, Scrubber, redacted, retry_after};
use crate::oci::Digest;
use crate::shown::Shown;

/// What a registry answered instead of doing what it was asked.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The registry, as in references.
    pub registry: String,
    /// What was asked.
    pub method: String,
    /// Of which address, redacted.
    pub url: String,
    /// The status.
    pub status: u16,
    /// The registry's own words.
    pub reasons: Vec<Reason>,
    /// How often it was asked.
    pub tries: u32,
    /// Who asked: whose credentials, from where.
    pub credentials: String,
    /// What people can do about it, where that is known.
    pub advice: Option<String>,
    /// How long the registry asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// One of the registry's reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The code (`DENIED`, `MANIFEST_UNKNOWN`, …); empty where there is none.
    pub code: String,
    /// The message, escaped and cut.
    pub message: String,
    /// Digests that message and details name.
    pub digests: Vec<Digest>,
}

/// What a refusal comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It is not there (or is hidden from us).
    NotFound,
    /// The registry does not know who we are.
    Unauthorized,
    /// It knows, and says no.
    Denied,
    /// Too many requests.
    TooMany,
    /// The request or what it carried is too large.
    TooLarge,
    /// The registry itself is in trouble.
    Server,
    /// Anything else.
    Other,
}

/// No more of an error's body is read.
const MAX_BODY: usize = 64 << 10;

/// No more reasons are kept.
const MAX_REASONS: usize = 5;

impl Refusal {
    /// Reads what came with an error.
    pub(super) async fn read(
        registry: &str,
        method: &Method,
        mut answer: Answer,
        tries: u32,
        credentials: String,
        scrubber: &Scrubber,
    ) -> Self {
        let body = if *method == Method::HEAD { Vec::new() } else { answer.some_bytes(MAX_BODY).await };
        Refusal {
            registry: registry.to_owned(),
            method: method.to_string(),
            url: scrubber.scrub(&redacted(&answer.url)),
            status: answer.status.as_u16(),
            reasons: reasons(&String::from_utf8_lossy(&body), scrubber),
            tries,
            credentials,
            advice: None,
            retry_after: retry_after(&answer.headers),
        }
    }

    /// The same, with what people can do about it.
    pub(super) fn with_advice(mut self, registry: &str, repository: &str) -> Self {
        let anonymous = self.credentials.starts_with("anonymous") || self.credentials.starts_with("no credentials");
        let name = if repository.is_empty() { registry.to_owned() } else { format!("{registry}/{repository}") };
        let starts_upload = self.method == "POST" && self.url.contains("/blobs/uploads");
        self.advice = match self.kind() {
            _ if self.status == 407 => {
                Some("where a proxy says so, it wants a login: put it into HTTP_PROXY".to_owned())
            }
            RefusalKind::Unauthorized | RefusalKind::Denied if anonymous => Some(format!(
                "log in with `docker login {registry}` or `podman login {registry}`, or name a file with --authfile"
            )),
            RefusalKind::Unauthorized => Some(format!("{registry} does not take these credentials: log in again")),
            RefusalKind::Denied => Some(format!("these credentials do not allow it: ask for more rights to {name}")),
            RefusalKind::NotFound if starts_upload && registry.contains(".dkr.ecr.") => Some(format!(
                "ECR does not make repositories by itself: aws ecr create-repository --repository-name {repository}"
            )),
            RefusalKind::NotFound if starts_upload || self.says("NAME_UNKNOWN") => {
                Some(format!("the repository {name} does not exist, or these credentials may not see it"))
            }
            RefusalKind::TooMany if anonymous => Some(format!("log in to {registry} for a higher limit")),
            RefusalKind::TooMany => Some("use fewer --jobs, or try again later".to_owned()),
            _ => None,
        };
        self
    }

    /// What it comes down to.
    pub fn kind(&self) -> RefusalKind {
        let says = |code: &str| self.reasons.iter().any(|reason| reason.code == code);
        match self.status {
            404 | 410 => RefusalKind::NotFound,
            401 => RefusalKind::Unauthorized,
            403 => RefusalKind::Denied,
            413 => RefusalKind::TooLarge,
            429 => RefusalKind::TooMany,
            500..=599 => RefusalKind::Server,
            _ if says("DENIED") => RefusalKind::Denied,
            _ if says("UNAUTHORIZED") => RefusalKind::Unauthorized,
            _ if says("TOOMANYREQUESTS") => RefusalKind::TooMany,
            _ => RefusalKind::Other,
        }
    }

    /// Whether one of the reasons has that code.
    pub fn says(&self, code: &str) -> bool {
        self.reasons.iter().any(|reason| reason.code == code)
    }

    /// Whether the same may well succeed a little later.
    pub fn is_temporary(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(crate::net::is_temporary) || self.says("TOOMANYREQUESTS")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} answered {}", self.method, self.url, self.status)?;
        if let Some(phrase) = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()) {
            write!(f, " {phrase}")?;
        }
        for reason in &self.reasons {
            write!(f, ", {}", reason.code)?;
            if !reason.message.is_empty() {
                write!(f, "{}{}", if reason.code.is_empty() { "" } else { " " }, reason.message)?;
            }
        }
        write!(f, " ({}", self.credentials)?;
        if self.tries > 1 {
            write!(f, ", tried {}×", self.tries)?;
        }
        f.write_str(")")
    }
}

/// The reasons in an error's body: those of the specification, or its text where that is meant for people.
fn reasons(body: &str, scrubber: &Scrubber) -> Vec<Reason> {
    // After the text is decoded: a secret may be escaped in it.
    let shown = |message: &str| {
        if message.is_empty() { String::new() } else { Shown::new(scrubber.scrub(message).as_bytes()).to_string() }
    };
    let value: Option<Value> = serde_json::from_str(body).ok();
    let listed = value.as_ref().and_then(|value| value.get("errors")).and_then(Value::as_array);
    if let Some(listed) = listed {
        let text = |value: Option<&Value>| scrubber.scrub(value.and_then(Value::as_str).unwrap_or_default());
        return listed
            .iter()
            .take(MAX_REASONS)
            .map(|error| {
                let (code, message) = (text(error.get("code")), text(error.get("message")));
                let detail = error.get("detail").map(Value::to_string).unwrap_or_default();
                Reason {
                    code: code.chars().take(60).filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect(),
                    digests: digests(&format!("{message} {detail}")),
                    message: shown(&message),
                }
            })
            .collect();
    }
    // Token servers, and registries that are not quite by the book.
    let words = value.as_ref().and_then(|value| {
        ["message", "details", "error_description", "error"]
            .iter()
            .find_map(|key| value.get(key).and_then(Value::as_str))
    });
    let plain = || Some(body.trim()).filter(|text| !text.is_empty() && !text.starts_with(['<', '{', '[']));
    match words.or_else(plain) {
        Some(text) => {
            let message = shown(text.lines().next().unwrap_or_default());
            vec![Reason { code: String::new(), message, digests: digests(text) }]
        }
        None => Vec::new(),
    }
}

/// All digests in a text.
fn digests(text: &str) -> Vec<Digest> {
    text.match_indices("sha256:").filter_map(|(at, _)| text.get(at..at + 71)?.parse().ok()).take(1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_and_bounded() {
        let digest = Digest::of(b"");
        let shown = |body: &str| {
            reasons(body, &Scrubber::default())
                .into_iter()
                .map(|reason| format!("{}|{}", reason.code, reason.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m"}]}"#), ["DENIED|`no\\u{1b}[31m`"]);
        assert_eq!(shown(r#"{"errors":[{"code":"A b\n"},{}]}"#), ["Ab|", "|"]);
        assert_eq!(shown(r#"{"details":"incorrect username or password"}"#), ["|`incorrect username or password`"]);
        assert_eq!(shown("404 page not found\nmore"), ["|`404 page not found`"]);
        assert!(shown("<html>x</html>").is_empty() && shown("").is_empty() && shown("{}").is_empty());
        assert_eq!(shown(&format!(r#"{{"errors":[{}{{}}]}}"#, "{},".repeat(100))).len(), MAX_REASONS);
        let body = format!(
            r#"{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","detail":{{"Digest":"{digest}"}}}},{{"message":"{digest} sha256:12"}}]}}"#
        );
        let found = reasons(&body, &Scrubber::default());
        assert_eq!((found[0].digests.as_slice(), found[1].digests.as_slice()), (&[digest][..], &[digest][..]));
        assert!(shown(&"x".repeat(9999))[0].len() < 300);
    }

    #[test]
    fn the_text_says_who_asked_what() {
        let refusal = Refusal {
            registry: "r.example.com".to_owned(),
            method: "PUT".to_owned(),
            url: "https://r.example.com/v2/a/manifests/1".to_owned(),
            status: 403,
            reasons: reasons(r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#, &Scrubber::default()),
            tries: 2,
            credentials: "user bob from /c".to_owned(),
            advice: None,
            retry_after: None,
        };
        assert_eq!(
            refusal.to_string(),
            "PUT https://r.example.com/v2/a/manifests/1 answered 403 Forbidden, DENIED `read only` (user bob from /c, tried 2×)"
        );
        assert_eq!(refusal.kind(), RefusalKind::Denied);
    }
}
