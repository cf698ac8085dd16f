//! The grammar of places.

use std::path::PathBuf;
use std::str::FromStr;

use super::{ArchiveKind, FilePlace, Pick, Place};
use crate::logins::{hide_credentials, hide_in_name, holds_login, resembles_digest};
use crate::nearest::nearest;
use crate::oci::{Digest, DigestError, ReferenceError};
use crate::shown::Shown;

/// Why a text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nothing there.
    #[error("no place is given: {FORMS}")]
    Empty,
    /// A path that does not say what it should be.
    #[error("{text} does not say what it is: write {suggestion}")]
    Bare {
        /// What was given.
        text: Shown,
        /// What could be meant.
        suggestion: String,
    },
    /// A kind of place that is not supported.
    #[error("{text} is not a place for images here: {advice}")]
    Unsupported {
        /// What was given.
        text: Shown,
        /// What to do instead.
        advice: String,
    },
    /// Looks like a kind of place, misspelt.
    #[error("{text} starts with no known kind of place: did you mean `{suggestion}:`?")]
    Kind {
        /// What was given.
        text: Shown,
        /// The nearest kind.
        suggestion: &'static str,
    },
    /// No path after the colon.
    #[error("{text} names no {what}: write {kind}:{example}")]
    NoPath {
        /// What was given.
        text: Shown,
        /// `directory` or `file`.
        what: &'static str,
        /// The kind.
        kind: &'static str,
        /// A path of its kind.
        example: &'static str,
    },
    /// What names the image is not of the grammar.
    #[error("the image name {name} in {text} {reason}")]
    Name {
        /// What was given.
        text: Shown,
        /// The name in it.
        name: Shown,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What follows `@` is no digest.
    #[error("{text} names no image: behind `:@` stands a position or a digest")]
    Digest {
        /// What was given.
        text: Shown,
        /// Why it is no digest.
        source: DigestError,
    },
    /// A directory on standard output.
    #[error("a layout is a directory and cannot go to standard output: use `archive:-` or `oci-archive:-`")]
    LayoutToStandard,
    /// The `type=…` form is not well-formed.
    #[error("the place {text} {reason}")]
    Form {
        /// What was given.
        text: Shown,
        /// What is wrong with it.
        reason: String,
    },
    /// User name and password, or a token, which are not repeated; or what may be one.
    #[error(
        "a place holds no credentials: log in to the registry, or use --authfile; behind `@` stands a digest, sha256:…, \
         or a position"
    )]
    Login,
    /// None of the kinds, and no reference.
    #[error("{text} is no place: {FORMS}")]
    Reference {
        /// What was given.
        text: Shown,
        /// Why it is no reference.
        source: ReferenceError,
    },
}

const FORMS: &str = "a place is oci:DIR, oci-archive:FILE, docker-archive:FILE, archive:FILE, registry/name:tag, or -";

/// Kinds of places that are written in front of a colon.
const KINDS: [&str; 4] = ["oci", "oci-archive", "docker-archive", "archive"];

/// What other tools write in front of a colon, and what to do here.
const ELSEWHERE: [(&str, &str); 8] = [
    ("docker-daemon", "no daemon is spoken to; use `docker-archive:FILE` with `docker save` or `docker load`"),
    ("containers-storage", "podman's storage is not opened; use `archive:FILE` with `podman save` or `podman load`"),
    ("dir", "that layout has no specification; use `oci:DIR`"),
    ("tarball", "use `archive:FILE`"),
    ("file", "use `archive:FILE` or `oci:DIR`"),
    ("http", "a registry is written without a scheme"),
    ("https", "a registry is written without a scheme"),
    ("oci-layout", "use `oci:DIR`"),
];

const KEYS: [&str; 5] = ["type", "dest", "name", "push", "tar"];

/// Types of the form that are written.
const TYPES: [&str; 5] = ["oci", "docker", "archive", "image", "registry"];

impl Place {
    /// Reads a place.
    ///
    /// # Errors
    /// [`PlaceError`] says what is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Place, PlaceError> {
        let shown = || typed(text);
        if text.is_empty() {
            return Err(PlaceError::Empty);
        }
        if text == "-" {
            return Ok(Place::Archive { kind: ArchiveKind::Hybrid, file: FilePlace::Standard, pick: None });
        }
        // Several keys are the form of buildx, whichever comes first.
        let is_key = |key: &str| KEYS.contains(&key) || text.contains(',') && is_word(key);
        if text.split_once('=').is_some_and(|(key, _)| is_key(key.trim_start_matches('"'))) {
            return parse_form(text);
        }
        if let Some(reference) = text.strip_prefix("docker://") {
            return parse_reference(text, reference);
        }
        if let Some((kind, rest)) = text.split_once(':') {
            if KINDS.contains(&kind) {
                return parse_kind(text, kind, rest);
            }
            if let Some((_, advice)) = ELSEWHERE.iter().find(|(word, _)| *word == kind) {
                return Err(PlaceError::Unsupported { text: shown(), advice: (*advice).to_owned() });
            }
            // `docker:27` is an image of Docker Hub.
            if kind == "docker" && (is_archive(rest) || rest.starts_with(['/', '.', '~'])) {
                let advice = "what `docker save` writes is `docker-archive:FILE`".to_owned();
                return Err(PlaceError::Unsupported { text: shown(), advice });
            }
        }
        if let Some((kind, rest)) = text.split_once(':')
            && !kind.contains(['/', '.', '@'])
            && !rest.starts_with(|c: char| c.is_ascii_digit())
            && let Some(suggestion) = nearest(kind, KINDS)
        {
            return Err(PlaceError::Kind { text: shown(), suggestion });
        }
        let looks_like_file = is_archive(text);
        if text.starts_with(['/', '.', '~']) || looks_like_file {
            // Of a reference, the host is in the first part.
            if holds_login(text) || text.split_once('/').is_some_and(|(first, _)| first.contains('@')) {
                return Err(PlaceError::Login);
            }
            let directory = format!("{} (a directory)", suggested("oci:", text));
            let file = format!("{} (a file)", suggested("archive:", text));
            let docker = suggested("docker-archive:", text);
            let suggestion = match looks_like_file {
                true => format!("{file} or {docker} (for docker load alone)"),
                false => format!("{directory} or {file}"),
            };
            return Err(PlaceError::Bare { text: shown_text(text), suggestion });
        }
        if !text.contains(['/', ':', '@']) {
            let [directory, file, registry] =
                ["oci:", "archive:", "docker.io/library/"].map(|kind| suggested(kind, text));
            let suggestion = format!("{directory} (a directory), {file} (a file) or {registry} (a registry)");
            return Err(PlaceError::Bare { text: shown_text(text), suggestion });
        }
        parse_reference(text, text)
    }
}

/// Whether a name is one that archives have.
fn is_archive(name: &str) -> bool {
    [".tar", ".tgz", ".tar.gz", ".tar.zst"].iter().any(|end| name.ends_with(end))
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        Place::parse(text)
    }
}

/// What may be meant, as it is shown.
fn suggested(kind: &str, text: &str) -> Shown {
    shown_text(&format!("{kind}{text}"))
}

fn parse_reference(text: &str, reference: &str) -> Result<Place, PlaceError> {
    match reference.parse() {
        Ok(reference) => Ok(Place::Registry(reference)),
        Err(ReferenceError::Credentials) => Err(PlaceError::Login),
        Err(source) => Err(PlaceError::Reference { text: typed(text), source }),
    }
}

fn parse_kind(text: &str, kind: &str, rest: &str) -> Result<Place, PlaceError> {
    if holds_login(rest) {
        return Err(PlaceError::Login);
    }
    if rest.starts_with("//") && kind == "oci" {
        let advice = "`oci:` is followed by a directory; a registry is written without a scheme".to_owned();
        return Err(PlaceError::Unsupported { text: shown_text(text), advice });
    }
    let (path, pick) = match rest.split_once(':') {
        Some((path, pick)) => (path, Some(parse_pick(text, pick)?)),
        None => (rest, None),
    };
    let archive = |kind| archive_place(text, kind, path, pick.clone());
    match kind {
        "oci-archive" => archive(ArchiveKind::Oci),
        "docker-archive" => archive(ArchiveKind::Docker),
        "archive" => archive(ArchiveKind::Hybrid),
        _ => layout_place(text, path, pick),
    }
}

fn layout_place(text: &str, path: &str, pick: Option<Pick>) -> Result<Place, PlaceError> {
    match path {
        "" => Err(PlaceError::NoPath {
            text: shown_text(text),
            what: "directory",
            kind: "oci",
            example: "./lapstrake-out",
        }),
        "-" => Err(PlaceError::LayoutToStandard),
        _ => Ok(Place::Layout { directory: PathBuf::from(path), pick }),
    }
}

fn archive_place(text: &str, kind: ArchiveKind, path: &str, pick: Option<Pick>) -> Result<Place, PlaceError> {
    let file = match path {
        "" => {
            return Err(PlaceError::NoPath {
                text: shown_text(text),
                what: "file",
                kind: kind.word(),
                example: "image.tar",
            });
        }
        "-" => FilePlace::Standard,
        _ => FilePlace::Path(PathBuf::from(path)),
    };
    Ok(Place::Archive { kind, file, pick })
}

fn parse_pick(text: &str, pick: &str) -> Result<Pick, PlaceError> {
    let bad = |reason| PlaceError::Name { text: shown_text(text), name: shown_text(pick), reason };
    if let Some(rest) = pick.strip_prefix('@') {
        if !rest.is_empty() && rest.len() <= 6 && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return rest.parse().map(Pick::Position).map_err(|_| bad("is no position"));
        }
        return match rest.parse::<Digest>() {
            Ok(digest) => Ok(Pick::Digest(digest)),
            Err(source) if resembles_digest(rest) => Err(PlaceError::Digest { text: shown_text(text), source }),
            Err(_) => Err(PlaceError::Login),
        };
    }
    // As in the short form, where a colon stands in front of it.
    if holds_login(&format!(":{pick}")) {
        return Err(PlaceError::Login);
    }
    if pick.is_empty() {
        return Err(bad("is empty: leave the last colon out where no image is named"));
    }
    if !valid_name(pick) {
        return Err(bad("is not of letters, digits and `-._:@/+`, starting and ending with a letter or digit"));
    }
    Ok(Pick::Name(pick.to_owned()))
}

/// A little wider than the image specification's grammar of `ref.name`, since repositories may hold `__`.
pub(super) fn valid_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    name.len() <= 512
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:@/+".contains(byte))
}

/// Reads the form that buildx knows: fields of a CSV line.
fn parse_form(text: &str) -> Result<Place, PlaceError> {
    let bad = |reason: String| PlaceError::Form { text: shown_form(text), reason };
    let (mut kind, mut dest, mut name, mut push, mut tar, mut unknown) = (None, None, None, None, None, None);
    for field in fields(text).ok_or_else(|| bad("has a quote that does not end".to_owned()))? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(bad("has a part without `=`".to_owned()));
        };
        let slot = match key {
            "type" => &mut kind,
            "dest" => &mut dest,
            "name" => &mut name,
            "push" => &mut push,
            "tar" => &mut tar,
            "compression" | "compression-level" | "force-compression" | "oci-mediatypes" => {
                return Err(bad(format!("sets `{key}`, which belongs to the image: write it in the recipe")));
            }
            _ => {
                unknown.get_or_insert(key.to_owned());
                continue;
            }
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(bad(format!("has the key `{key}` twice")));
        }
    }
    // What a key means depends on the type.
    if let Some(kind) = kind.as_deref().filter(|kind: &&str| !TYPES.contains(kind) && !["local", "tar"].contains(kind))
    {
        let hint = nearest(kind, TYPES).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        let kind = if is_word(kind) { format!(" `{kind}`") } else { String::new() };
        return Err(bad(format!("has the unknown type{kind}{hint}: there are {}", TYPES.join(", "))));
    }
    if let Some(key) = unknown {
        let hint = nearest(&key, KEYS).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        let key = if is_word(&key) { format!("the unknown key `{key}`") } else { "an unknown key".to_owned() };
        return Err(bad(format!("has {key}{hint}")));
    }
    // A path may have a colon and an `@` in it; an address is none.
    if dest.as_deref().is_some_and(|dest| dest.contains("://") && holds_login(dest)) {
        return Err(PlaceError::Login);
    }
    let flag = |key: &str, value: Option<String>| match value.as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(bad(format!("has in `{key}` what is neither true nor false"))),
    };
    let (push, tar) = (flag("push", push)?, flag("tar", tar)?);
    let kind = kind.ok_or_else(|| bad("has no `type=`".to_owned()))?;
    let refuse = |key: &str, given: bool| match given {
        true => Err(bad(format!("has `{key}=`, which means nothing with `type={kind}`"))),
        false => Ok(()),
    };
    let pick = |name: Option<String>| name.map(|name| parse_pick(text, &name)).transpose();
    let many = name.as_deref().is_some_and(|name| name.contains(','));
    if many {
        return Err(bad("names several images: write one `-o` for each name, or use `--tag`".to_owned()));
    }
    match kind.as_str() {
        "oci" | "docker" | "archive" => {
            refuse("push", push == Some(true))?;
            let archive = match kind.as_str() {
                "oci" => ArchiveKind::Oci,
                "docker" => ArchiveKind::Docker,
                _ => ArchiveKind::Hybrid,
            };
            if tar == Some(false) {
                if archive != ArchiveKind::Oci {
                    return Err(bad(format!("has `tar=false`, which means nothing with `type={kind}`")));
                }
                return layout_place(text, &dest.unwrap_or_default(), pick(name)?);
            }
            let dest = match (dest, archive) {
                (Some(dest), _) => dest,
                (None, ArchiveKind::Docker) => {
                    return Err(bad(
                        "has no `dest=FILE`; no daemon is spoken to: `docker load` reads the file".to_owned()
                    ));
                }
                (None, _) => "-".to_owned(),
            };
            archive_place(text, archive, &dest, pick(name)?)
        }
        "image" | "registry" => {
            refuse("dest", dest.is_some())?;
            refuse("tar", tar.is_some())?;
            if push == Some(false) || (kind == "image" && push.is_none()) {
                let reason =
                    format!("is `type={kind}` without `push=true`: there is no image store here to leave it in");
                return Err(bad(reason));
            }
            match name {
                Some(name) => parse_reference(text, &name),
                None => Ok(Place::OwnNames),
            }
        }
        _ => Err(bad(format!(
            "is `type={kind}`, a root filesystem, which lapstrake does not write: use `oci:DIR` or `archive:FILE`"
        ))),
    }
}

/// Whether a text is as keys and types are, and holds nothing that somebody may have put in the wrong place.
fn is_word(text: &str) -> bool {
    let is_of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    text.len() <= 20 && text.bytes().all(is_of_word)
}

/// The form as it is shown: its keys and its type, and no other value, since tools put passwords and tokens there.
fn shown_form(text: &str) -> Shown {
    let part = |field: &String| match field.split_once('=') {
        Some(("type", kind)) if is_word(kind) => format!("type={kind}"),
        Some((key, _)) if is_word(key) => format!("{key}=…"),
        _ => "…".to_owned(),
    };
    let parts: Vec<String> = fields(text).iter().flatten().map(part).collect();
    Shown::new(if parts.is_empty() { "…".to_owned() } else { parts.join(",") }.as_bytes())
}

/// The fields of one CSV line (RFC 4180); `None` where a quote does not end.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

/// `key=value` as one field of a CSV line.
pub(super) fn field(key: &str, value: &str) -> String {
    if value.contains([',', '"', '\n', '\r']) {
        format!("\"{key}={}\"", value.replace('"', "\"\""))
    } else {
        format!("{key}={value}")
    }
}

/// What was written, fit for a message: a path, of which an `@` may be a part.
fn shown_text(text: &str) -> Shown {
    Shown::new(hide_credentials(text).as_bytes())
}

/// What was written, fit for a message: no path as far as is known, so that all in front of an `@` is hidden.
fn typed(text: &str) -> Shown {
    Shown::new(hide_in_name(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        let error = Place::parse(text).expect_err(text);
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    }

    #[test]
    fn the_forms_that_people_write() {
        for (text, shown) in [
            ("oci:out", "oci:out"),
            ("oci:/a/b:latest", "oci:/a/b:latest"),
            ("oci:out:registry.example.com/a/b:1", "oci:out:registry.example.com/a/b:1"),
            ("oci:out:@2", "oci:out:@2"),
            ("oci-archive:x.tar", "oci-archive:x.tar"),
            ("docker-archive:x.tar:me/app:1", "docker-archive:x.tar:me/app:1"),
            ("archive:x.tar", "archive:x.tar"),
            ("-", "archive:-"),
            ("docker-archive:-", "docker-archive:-"),
            ("oci-archive:-:a", "oci-archive:-:a"),
            ("registry.example.com/a", "registry.example.com/a"),
            ("localhost:5000/a:b", "localhost:5000/a:b"),
            ("debian:12", "docker.io/library/debian:12"),
            ("docker://debian", "docker.io/library/debian"),
            ("type=oci,dest=x.tar", "oci-archive:x.tar"),
            ("dest=x.tar,type=docker,name=a:b", "docker-archive:x.tar:a:b"),
            ("type=oci,dest=out,tar=false", "oci:out"),
            ("type=oci", "oci-archive:-"),
            ("type=docker,dest=-", "docker-archive:-"),
            ("type=oci,tar=false,\"dest=a,b:c\"", "type=oci,tar=false,\"dest=a,b:c\""),
            ("type=image,name=localhost:5000/a:b,push=true", "localhost:5000/a:b"),
            ("type=registry,name=localhost:5000/a", "localhost:5000/a"),
            ("type=registry", "type=registry"),
            ("type=image,push=true", "type=registry"),
            ("type=archive,dest=a:b.tar", "type=archive,dest=a:b.tar"),
        ] {
            let place = Place::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(place.to_string(), shown, "{text}");
            assert_eq!(Place::parse(shown), Ok(place), "{text}");
        }
    }

    #[test]
    fn the_rest_is_told_what_to_write() {
        for (text, said) in [
            ("", "no place is given"),
            ("./out", "write `oci:./out` (a directory) or `archive:./out` (a file)"),
            ("out.tar", "write `archive:out.tar` (a file) or `docker-archive:out.tar` (for docker load alone)"),
            ("out", "`oci:out` (a directory), `archive:out` (a file) or `docker.io/library/out` (a registry)"),
            ("oci:", "`oci:` names no directory: write oci:./lapstrake-out"),
            ("archive:", "names no file: write archive:image.tar"),
            ("oci:-", "cannot go to standard output"),
            ("type=oci,tar=false,dest=-", "cannot go to standard output"),
            ("oci:x:", "is empty: leave the last colon out"),
            ("oci:x:a b", "is not of letters"),
            ("oci:x:../a", "is not of letters"),
            ("oci:x:@sha256:12", "is not 64 lower-case"),
            ("oci://r.example.com/x", "followed by a directory"),
            ("oci-archve:x.tar", "did you mean `oci-archive:`?"),
            ("docker-archiv:x", "did you mean `docker-archive:`?"),
            ("ocii:x", "did you mean `oci:`?"),
            ("oic:x", "did you mean `oci:`?"),
            ("docker-daemon:x:y", "`docker load`"),
            ("containers-storage:x", "`podman load`"),
            ("dir:x", "use `oci:DIR`"),
            ("https://r.example.com/x", "without a scheme"),
            ("r.example.com/UPPER", "lower-case"),
            ("type=oci,dst=x", "unknown key `dst` (did you mean `dest`?)"),
            ("type=ocl,dest=x", "unknown type `ocl` (did you mean `oci`?)"),
            ("type=local,dest=x", "a root filesystem"),
            ("type=docker", "no `dest=FILE`"),
            ("type=docker,tar=false,dest=x", "means nothing with `type=docker`"),
            ("type=image,name=a/b", "without `push=true`"),
            ("type=image,\"name=a/b,c/d\",push=true", "one `-o` for each name"),
            ("type=oci,type=oci", "`type` twice"),
            ("type=oci,\"dest=x", "a quote that does not end"),
            ("type=oci,compression=zstd", "belongs to the image"),
            ("dest=x", "has no `type=`"),
            ("type=oci,tar=maybe,dest=x", "neither true nor false"),
        ] {
            let shown = error(text);
            assert!(shown.contains(said), "{text}: {shown}");
        }
        for text in [
            "user:hunter2@r.example.com/a",
            "user:hunter2@localhost",
            "user:hunter2@localhost:5000",
            "http://u:hunter2@h/x:1",
            "oci:http://u:hunter2@h/x:y z",
            "oci:u:hunter2@h/x",
            "archive:u:hunter2@h",
            "oci-archive:x.tar:u:hunter2@h/x:1",
            "oci:u:hunter2@h/x:@0",
            "type=oci,dest=x,name=u:hunter2@h/x",
            "type=oci,dest=u,name=hunter2@h/x",
            "type=oci,dest=https://u:hunter2@h/x",
            "type=registry,name=u:hunter2@h/x",
            "type=registry,ref=u:hunter2@h/x",
            "type=registry,ref=hunter2@h/x",
            "type=registry,u:hunter2@h/x",
            "type=registry,name=u:hunt,hunter2@h/x",
            "type=oci,dest=x,name=@hunter2@h",
            "type=oci,dest=x,push=hunter2@h",
            "type=u:hunter2@h",
            "user:hunter2@cafe",
            "user:hunter2@node1:5000",
            "user:hunter2,x y'z\"@h",
            "hunter2@r.example.com/a",
            "hunter2@localhost",
            "hunter2@h/x.tar",
            "docker://hunter2@h/x",
            "https://hunter2@h",
            "oci:u:hunter2@r.example.com/x:@0",
            "oci:u:@hunter2@h/x",
            "oci-archive:u:@hunter2",
            "archive:u:@hunter2,x@h:@sha256:12",
        ] {
            let secret = error(text);
            assert!(!secret.contains("hunter2"), "{secret}");
        }
        // Of the form of buildx, no value is repeated but the type.
        for (text, said) in [
            (
                "type=s3,region=eu,bucket=b,access_key_id=A,secret_access_key=hunter2,session_token=hunter2",
                "the place `type=s3,region=…,bucket=…,access_key_id=…,secret_access_key=…,session_token=…` has the unknown type `s3`",
            ),
            ("type=gha,token=hunter2", "the place `type=gha,token=…` has the unknown type `gha`"),
            ("mode=max,token=hunter2", "the unknown key `mode`"),
            (
                "type=registry,name=r.example.com/x,password=hunter2",
                "`type=registry,name=…,password=…` has the unknown key `password`",
            ),
            ("type=registry,password=a,Hunter2hunter2", "`type=registry,password=…,…` has a part without `=`"),
            ("type=registry,password=a,HUNTER2hunter2=", "has the unknown key"),
            ("type=Hunter2hunter2", "has the unknown type:"),
            ("type=oci,dest=x,push=hunter2", "has in `push` what is neither"),
            ("type=oci,\"dest=hunter2", "the place `…` has a quote"),
        ] {
            let shown = error(text);
            assert!(shown.contains(said) && !shown.contains("hunter2"), "{text}: {shown}");
        }
        for fine in [
            "oci:node@18",
            "oci:a@1.0.0/x",
            "oci:x:@0",
            "archive:./a@b.tar:app:1",
            "oci:x:r.example.com/a:1",
            "type=oci,dest=a:b@c",
        ] {
            assert!(Place::parse(fine).is_ok(), "{fine}");
        }
        for hostile in
            ["oci:x:\u{1b}[31m", "\u{1b}[31m", "./\u{1b}", "\u{1b}.tar", "type=oci,tar=\u{1b},dest=x", "a/\u{1b}:x"]
        {
            assert!(!error(hostile).contains('\u{1b}'), "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "(oci|archive|oci-archive|docker-archive|type=oci,dest=|registry.example.com/)?:?[-a-z0-9:,=\"@/. ]{0,30}") {
            if let Ok(place) = Place::parse(&text) {
                prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
            }
        }

        #[test]
        fn any_path_reads_back(path in "[^\0]{1,20}", kind in 0..4) {
            let file = FilePlace::Path(PathBuf::from(&path));
            let place = match kind {
                0 => Place::Layout { directory: PathBuf::from(&path), pick: None },
                1 => Place::Archive { kind: ArchiveKind::Oci, file, pick: Some(Pick::Position(3)) },
                2 => Place::Archive { kind: ArchiveKind::Docker, file, pick: None },
                _ => Place::Archive { kind: ArchiveKind::Hybrid, file, pick: Some(Pick::Name("a".to_owned())) },
            };
            prop_assume!(path != "-");
            prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = Place::parse(&text);
        }
    }
}
