//! docker's `config.json` and podman's `auth.json`, as far as they are about credentials.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::helper::{self, HelperError};
use super::{Credential, CredentialError, CredentialSource, Login};
use crate::net::{Secret, read_regular};
use crate::oci::json;

/// The key under which docker keeps what belongs to Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// Larger than any such file.
const MAX_FILE: u64 = 4 << 20;

/// What one source says. Keys are as they are written.
#[derive(Default)]
pub(super) struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    /// What helpers have answered, by helper and server.
    asked: tokio::sync::Mutex<BTreeMap<(String, String), Option<Login>>>,
}

/// One entry of `auths`. Its texts are decoded when it is needed: a broken one harms only its own registry.
#[derive(Default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identity_token: Option<Secret>,
    registry_token: Option<Secret>,
}

impl ConfigFile {
    /// Reads a source. One that is not there, and need not be, is empty.
    pub(super) fn read(source: &CredentialSource) -> Result<Self, CredentialError> {
        let bytes = match source {
            CredentialSource::Inline { json, .. } => json.expose().as_bytes().to_vec(),
            CredentialSource::File { path, required, .. } => match read_regular(path, MAX_FILE) {
                Ok(bytes) => bytes,
                Err(error) if absent(&error) && !required => return Ok(ConfigFile::default()),
                Err(error) => return Err(CredentialError::File { file: source.to_string(), source: error }),
            },
        };
        Self::parse(&bytes).map_err(|reason| CredentialError::Form { file: source.to_string(), reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(ConfigFile::default());
        }
        let root: Map<String, Value> = json::parse(bytes).map_err(|error| match error {
            // The parser's words may quote the text; where it stopped says enough.
            json::JsonError::Shape(error) => {
                format!("it is no JSON object (line {}, column {})", error.line(), error.column())
            }
            other => other.to_string(),
        })?;
        let object = |name: &str| match root.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(_) => Err(format!("`{name}` is no object")),
        };
        let mut file = ConfigFile::default();
        for (key, value) in object("auths")? {
            let Value::Object(value) = value else { return Err(format!("the entry {key:?} of `auths` is no object")) };
            let text = |name: &str| match value.get(name) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
                Some(_) => Err(format!("`{name}` of the entry {key:?} is no text")),
            };
            let secret = |name: &str| text(name).map(|text| text.map(Secret::new));
            let entry = Entry {
                auth: secret("auth")?,
                username: text("username")?,
                password: secret("password")?,
                identity_token: secret("identitytoken")?,
                registry_token: secret("registrytoken")?,
            };
            file.auths.insert(key, entry);
        }
        for (key, value) in object("credHelpers")? {
            match value {
                Value::String(name) if name.is_empty() => {}
                Value::String(name) => {
                    file.helpers.insert(key, name);
                }
                _ => return Err(format!("the entry {key:?} of `credHelpers` is no text")),
            }
        }
        file.store = match root.get("credsStore") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()).filter(|name| !name.is_empty()),
            Some(_) => return Err("`credsStore` is no text".to_owned()),
        };
        Ok(file)
    }

    /// What this source has for that repository: the registry's own helper, else what is written down, else the store.
    pub(super) async fn find(
        &self,
        source: &CredentialSource,
        registry: &str,
        repository: &str,
        path: Option<&OsStr>,
        warn: &(dyn Fn(String) + Sync),
    ) -> Result<Option<Credential>, CredentialError> {
        let failed = |name: &str| {
            let (helper, file) = (helper::shown(name), source.to_string());
            move |source| CredentialError::Helper { helper, file, source }
        };
        if let Some((key, helper)) = lookup(&self.helpers, registry, repository) {
            let server = if host_of(key) == "docker.io" { HUB } else { key };
            if let Some(login) = self.ask(helper, server, path).await.map_err(failed(helper))? {
                return Ok(Some(Credential { login, found: format!("docker-credential-{helper} ({source})") }));
            }
        }
        if let Some((key, entry)) = lookup(&self.auths, registry, repository)
            && let Some(login) = entry.login().map_err(|reason| CredentialError::Form {
                file: source.to_string(),
                reason: format!("the entry {key:?} of `auths` {reason}"),
            })?
        {
            return Ok(Some(Credential { login, found: source.to_string() }));
        }
        if let Some(helper) = &self.store {
            let server = if registry == "docker.io" { HUB } else { registry };
            match self.ask(helper, server, path).await {
                Ok(found) => {
                    let found = found
                        .map(|login| Credential { login, found: format!("docker-credential-{helper} ({source})") });
                    return Ok(found);
                }
                // A configuration that came from a desktop names its store on machines that have none.
                Err(HelperError::Missing) => warn(format!(
                    "{source} names the credential store docker-credential-{}, which is not in PATH: going on without",
                    helper::shown(helper)
                )),
                Err(error) => return Err(failed(helper)(error)),
            }
        }
        Ok(None)
    }
}

impl ConfigFile {
    /// Asks a helper, once for each server: it may take long, and ask people.
    async fn ask(&self, helper: &str, server: &str, path: Option<&OsStr>) -> Result<Option<Login>, HelperError> {
        let mut asked = self.asked.lock().await;
        let key = (helper.to_owned(), server.to_owned());
        if let Some(known) = asked.get(&key) {
            return Ok(known.clone());
        }
        let login = helper::get(helper, server, path).await?;
        asked.insert(key, login.clone());
        Ok(login)
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        if let Some(token) = &self.registry_token {
            return Ok(Some(Login::RegistryToken(token.clone())));
        }
        if let Some(token) = &self.identity_token {
            return Ok(Some(Login::IdentityToken(token.clone())));
        }
        if let Some(auth) = &self.auth {
            let config = GeneralPurposeConfig::new()
                .with_decode_padding_mode(DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true);
            let decoded = GeneralPurpose::new(&STANDARD, config)
                .decode(auth.expose().trim())
                .map_err(|_| "has an `auth` that is no base64")?;
            let text = String::from_utf8(decoded).map_err(|_| "has an `auth` that is no text")?;
            let (user, password) = text.split_once(':').ok_or("has an `auth` without a colon")?;
            let password = password.trim_end_matches('\0');
            return login(user, password).map(Some);
        }
        match (&self.username, &self.password) {
            (Some(user), Some(password)) => login(user, password.expose()).map(Some),
            _ => Ok(None),
        }
    }
}

fn login(user: &str, password: &str) -> Result<Login, &'static str> {
    if user.chars().chain(password.chars()).any(|c| c.is_control()) {
        return Err("has a user name or password with a control character");
    }
    // So do docker's own tools mark identity tokens.
    if user == "<token>" {
        return Ok(Login::IdentityToken(Secret::new(password)));
    }
    Ok(Login::Password { user: user.to_owned(), password: Secret::new(password) })
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The entry for a repository: that of the longest key that is the registry and the first parts of the path, compared
/// part by part. Host and port must be the same.
fn lookup<'a, T>(map: &'a BTreeMap<String, T>, registry: &str, repository: &str) -> Option<(&'a str, &'a T)> {
    let full = format!("{registry}/{repository}");
    let mut wanted = full.as_str();
    loop {
        // As it is written goes before what only means the same.
        let found = map.get_key_value(wanted).or_else(|| map.iter().find(|(key, _)| normal(key) == wanted));
        if let Some((key, value)) = found {
            return Some((key, value));
        }
        wanted = &wanted[..wanted.rfind('/')?];
    }
}

/// A key without its scheme, with the one name of Docker Hub. Keys with a scheme, and those that end in the version of the
/// interface, are for the whole host.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let path = bare.unwrap_or(key).trim_end_matches('/');
    let (host, rest) = path.split_once('/').unwrap_or((path, ""));
    let host = match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    };
    if rest.is_empty() || bare.is_some() || matches!(rest, "v1" | "v2") { host } else { format!("{host}/{rest}") }
}

fn host_of(key: &str) -> String {
    let normal = normal(key);
    normal.split('/').next().unwrap_or_default().to_owned()
}

/// For [`crate::fuzzing`]: reads a file, and looks up what it has for some repositories.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) -> Result<(), String> {
    let file = ConfigFile::parse(bytes)?;
    for (registry, repository) in [("registry.example.com", "a/b"), ("localhost:5000", "a"), ("docker.io", "library/a")]
    {
        let found = lookup(&file.auths, registry, repository).map(|(key, _)| key);
        let helper = lookup(&file.helpers, registry, repository).map(|(key, _)| key);
        for key in found.into_iter().chain(helper) {
            assert_eq!(host_of(key), registry, "a login of {key:?} for another host");
        }
        if let Some((_, entry)) = lookup(&file.auths, registry, repository) {
            entry.login()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(json: &str) -> CredentialSource {
        CredentialSource::Inline { named: "TEST", json: Secret::new(json) }
    }

    fn find(json: &str, registry: &str, repository: &str) -> Result<Option<Login>, String> {
        let source = inline(json);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let file = ConfigFile::read(&source).map_err(|error| error.to_string())?;
            let found = file.find(&source, registry, repository, None, &|_| {}).await;
            found.map(|found| found.map(|credential| credential.login)).map_err(|error| error.to_string())
        })
    }

    fn user(json: &str, registry: &str, repository: &str) -> String {
        match find(json, registry, repository) {
            Ok(Some(Login::Password { user, password })) => format!("{user}:{}", password.expose()),
            Ok(Some(Login::IdentityToken(token))) => format!("identity {}", token.expose()),
            Ok(Some(Login::RegistryToken(token))) => format!("registry {}", token.expose()),
            Ok(None) => "none".to_owned(),
            Err(error) => error,
        }
    }

    #[test]
    fn keys_match_by_host_and_path() {
        // Each password says which key it stands under.
        let entry = |key: &str, value: &str| format!(r#""{key}":{{"username":"u","password":"{value}"}}"#);
        let keys = [
            entry("r.example.com", "host"),
            entry("r.example.com/org", "org"),
            entry("r.example.com/org/app", "app"),
            entry("r.example.com:5000", "port"),
            entry("https://index.docker.io/v1/", "hub"),
            entry("https://old.example.com/v1/", "old"),
            entry("http://plain.example.com/v2", "plain"),
            entry("bare.example.com/v2/", "bare"),
            entry("docker.io/private", "hub-private"),
            entry("Upper.example.com", "upper"),
        ];
        let json = format!(r#"{{"auths":{{{}}},"HttpHeaders":{{}}}}"#, keys.join(","));
        for (registry, repository, wanted) in [
            ("r.example.com", "org/app", "u:app"),
            ("r.example.com", "org/app/more", "u:app"),
            ("r.example.com", "org/application", "u:org"),
            ("r.example.com", "other", "u:host"),
            ("r.example.com:5000", "org/app", "u:port"),
            ("r.example.com:5001", "org/app", "none"),
            ("example.com", "r", "none"),
            ("docker.io", "library/debian", "u:hub"),
            ("docker.io", "private/x", "u:hub-private"),
            ("old.example.com", "a", "u:old"),
            ("plain.example.com", "a", "u:plain"),
            ("bare.example.com", "a", "u:bare"),
            ("upper.example.com", "a", "u:upper"),
            ("r.example.com.evil.example", "a", "none"),
        ] {
            assert_eq!(user(&json, registry, repository), wanted, "{registry}/{repository}");
        }
    }

    #[test]
    fn every_form_of_a_login() {
        for (entry, wanted) in [
            (r#"{"auth":"dXNlcjpodW50ZXIyMg=="}"#, "user:hunter22"),
            (r#"{"auth":"dXNlcjpodW50ZXIyMg"}"#, "user:hunter22"),
            (r#"{"auth":"dXNlcjphOmI="}"#, "user:a:b"),
            (r#"{"auth":"dXNlcjpwdwAAAA=="}"#, "user:pw"),
            (r#"{"username":"user","password":"hunter22"}"#, "user:hunter22"),
            (r#"{"auth":"dXNlcjphOmI=","identitytoken":"t"}"#, "identity t"),
            (r#"{"registrytoken":"t"}"#, "registry t"),
            (r#"{"username":"<token>","password":"t"}"#, "identity t"),
            ("{}", "none"),
            (r#"{"auth":""}"#, "none"),
            (r#"{"username":"user"}"#, "none"),
            (r#"{"auth":null,"email":"x@y"}"#, "none"),
        ] {
            assert_eq!(user(&format!(r#"{{"auths":{{"r":{entry}}}}}"#), "r", "a"), wanted, "{entry}");
        }
        assert_eq!(user("", "r", "a"), "none");
        assert_eq!(user("{}", "r", "a"), "none");
        assert_eq!(user(r#"{"auths":null,"credsStore":""}"#, "r", "a"), "none");
        let unnamed = r#"{"credHelpers":{"r":""},"auths":{"r":{"username":"u","password":"p"}}}"#;
        assert_eq!(user(unnamed, "r", "a"), "u:p");
    }

    #[test]
    fn helpers_are_asked_for_the_hub_by_its_old_name() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let helper = directory.path().join("docker-credential-echo");
        let script = "#!/bin/sh\nread server\nprintf '{\"Username\":\"%s\",\"Secret\":\"s\"}' \"$server\"\n";
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o700)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = |json: &str, registry: &str| loop {
            let source = inline(json);
            let file = ConfigFile::read(&source).unwrap();
            let path = Some(directory.path().as_os_str());
            match runtime.block_on(file.find(&source, registry, "a", path, &|_| {})) {
                // Another test forked while the script was still open for writing.
                Err(CredentialError::Helper { source: HelperError::Run(error), .. })
                    if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                Ok(Some(Credential { login: Login::Password { user, .. }, .. })) => break user,
                other => panic!("{other:?}"),
            }
        };
        let own = r#"{"credHelpers":{"docker.io":"echo","r.example.com/a":"echo"}}"#;
        assert_eq!(asked(own, "docker.io"), HUB);
        assert_eq!(asked(own, "r.example.com"), "r.example.com/a");
        for (registry, server) in [("docker.io", HUB), ("r.example.com", "r.example.com")] {
            assert_eq!(asked(r#"{"credsStore":"echo"}"#, registry), server);
        }
    }

    #[test]
    fn what_is_broken_is_named_and_not_shown() {
        for bad in [
            "hunter22",
            r#"["hunter22"]"#,
            r#"{"auths":"hunter22"}"#,
            r#"{"auths":{"r":"hunter22"}}"#,
            r#"{"auths":{"r":{"auth":1}}}"#,
            r#"{"auths":{"r":{"auth":"hunter22!"}}}"#,
            r#"{"auths":{"r":{"auth":"aHVudGVyMjI="}}}"#,
            r#"{"auths":{"r":{"auth":"/////w=="}}}"#,
            r#"{"auths":{"r":{"username":"u","password":"hunter22\n"}}}"#,
            r#"{"auths":{},"auths":{"r":{"password":"hunter22"}}}"#,
            r#"{"auths":{"r":{"password":"hunter22"}}"#,
            r#"{"credHelpers":{"r":1}}"#,
            r#"{"credsStore":1}"#,
        ] {
            let error = find(bad, "r", "a").unwrap_err();
            assert!(error.contains("TEST") && !error.contains("hunter22"), "{bad}: {error}");
        }
        // An entry that is not asked for does no harm.
        assert_eq!(user(r#"{"auths":{"x":{"auth":"!"},"r":{"username":"u","password":"p"}}}"#, "r", "a"), "u:p");
    }

    #[test]
    fn files_that_are_not_there_or_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let source =
            |path: &std::path::Path, required| CredentialSource::File { named: None, path: path.to_owned(), required };
        let absent = directory.path().join("absent/config.json");
        assert!(ConfigFile::read(&source(&absent, false)).is_ok());
        assert!(ConfigFile::read(&source(&absent, true)).is_err());
        assert!(ConfigFile::read(&source(directory.path(), false)).is_err());
        assert!(ConfigFile::read(&source(std::path::Path::new("/dev/null"), true)).is_ok());
        let file = directory.path().join("config.json");
        std::fs::write(&file, r#"{"auths":{"r":{"username":"u","password":"p"}}}"#).unwrap();
        assert!(ConfigFile::read(&source(&file, true)).unwrap().auths.contains_key("r"));
        std::fs::write(&file, format!("{{{}}}", " ".repeat(MAX_FILE as usize))).unwrap();
        assert!(ConfigFile::read(&source(&file, true)).is_err());
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let Err(error) = ConfigFile::read(&source(&fifo, false)) else { panic!("a FIFO was read") };
        assert!(error.to_string().contains("fifo"), "{error}");
    }
}
