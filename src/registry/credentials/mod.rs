//! Who we are at which registry: files of docker and podman, and helper programs.

mod config_file;
mod helper;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::{Secret, secret_forms};
use config_file::ConfigFile;

#[cfg(any(test, fuzzing))]
pub(crate) use config_file::fuzz;
pub use helper::HelperError;

/// A place where credentials may be.
#[derive(Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// A file in the form of docker's `config.json` or podman's `auth.json`.
    File {
        /// What the user knows it as (`--authfile`), where that is not just its path.
        named: Option<&'static str>,
        /// The file.
        path: PathBuf,
        /// Whether it is an error that it is not there.
        required: bool,
    },
    /// The same form, as text (`DOCKER_AUTH_CONFIG`).
    Inline {
        /// Where it comes from.
        named: &'static str,
        /// The text.
        json: Secret,
    },
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialSource::File { named: Some(name), path, .. } => write!(f, "{} ({name})", path.display()),
            CredentialSource::File { named: None, path, .. } => write!(f, "{}", path.display()),
            CredentialSource::Inline { named, .. } => f.write_str(named),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl CredentialSource {
    /// The usual places, in their order: `--authfile`, `REGISTRY_AUTH_FILE`, `DOCKER_AUTH_CONFIG`, docker's
    /// `config.json` (of `DOCKER_CONFIG`, else of the home), podman's `auth.json` (of the session, then of the home).
    /// `variable` gives variables of the environment, `uid` is whose session it is.
    pub fn usual(authfile: Option<PathBuf>, variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> Vec<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = get("HOME").map(PathBuf::from);
        let file = |named, path: PathBuf| CredentialSource::File { named, path, required: false };
        let mut sources = Vec::new();
        if let Some(path) = authfile {
            sources.push(CredentialSource::File { named: Some("--authfile"), path, required: true });
        }
        if let Some(path) = get("REGISTRY_AUTH_FILE") {
            sources.push(file(Some("REGISTRY_AUTH_FILE"), path.into()));
        }
        if let Some(json) = get("DOCKER_AUTH_CONFIG") {
            let json = Secret::new(json.to_string_lossy());
            sources.push(CredentialSource::Inline { named: "DOCKER_AUTH_CONFIG", json });
        }
        match (get("DOCKER_CONFIG"), &home) {
            (Some(directory), _) => {
                sources.push(file(Some("DOCKER_CONFIG"), Path::new(&directory).join("config.json")))
            }
            (None, Some(home)) => sources.push(file(None, home.join(".docker/config.json"))),
            (None, None) => {}
        }
        let session = get("XDG_RUNTIME_DIR").map_or_else(
            || format!("/run/containers/{uid}").into(),
            |directory| Path::new(&directory).join("containers"),
        );
        sources.push(file(None, session.join("auth.json")));
        match (get("XDG_CONFIG_HOME"), &home) {
            (Some(directory), _) => sources.push(file(None, Path::new(&directory).join("containers/auth.json"))),
            (None, Some(home)) => sources.push(file(None, home.join(".config/containers/auth.json"))),
            (None, None) => {}
        }
        sources
    }
}

/// How somebody proves who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// User name and password.
    Password { user: String, password: Secret },
    /// A refresh token for the token server (OAuth 2).
    IdentityToken(Secret),
    /// A token for the registry itself.
    RegistryToken(Secret),
}

/// A login, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) login: Login,
    pub(super) found: String,
}

impl Credential {
    /// Whose it is and where it was found, for messages.
    pub(super) fn shown(&self) -> String {
        match &self.login {
            // A token often stands where the user name is, alone.
            Login::Password { password, .. } if password.is_empty() => {
                format!("a user name without a password from {}", self.found)
            }
            Login::Password { user, .. } => {
                let user: String = user.chars().filter(|c| !c.is_control()).take(64).collect();
                format!("user {user} from {}", self.found)
            }
            Login::IdentityToken(_) => format!("identity token from {}", self.found),
            Login::RegistryToken(_) => format!("registry token from {}", self.found),
        }
    }

    /// Every text in it that must not be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.login {
            Login::Password { user, password } => secret_forms(user, password).into(),
            Login::IdentityToken(token) | Login::RegistryToken(token) => vec![token.expose().to_owned()],
        }
    }
}

/// Why credentials could not be looked up. None of it shows what a file or helper holds.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file could not be read.
    #[error("reading credentials from {file}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not of the form.
    #[error("the credentials in {file} cannot be read: {reason}")]
    Form {
        /// The file.
        file: String,
        /// What is wrong, and where in it.
        reason: String,
    },
    /// A helper failed.
    #[error("the credential helper docker-credential-{helper}, named in {file}")]
    Helper {
        /// Its name.
        helper: String,
        /// The file that names it.
        file: String,
        /// What went wrong.
        source: HelperError,
    },
}

/// All the sources, read when they are needed.
pub(super) struct Credentials {
    sources: Vec<CredentialSource>,
    helper_path: Option<OsString>,
    read: Mutex<BTreeMap<usize, Arc<ConfigFile>>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn new(sources: Vec<CredentialSource>, helper_path: Option<OsString>) -> Self {
        Credentials { sources, helper_path, read: Mutex::default() }
    }

    /// The first source that has something for that repository. `warn` hears of helpers that are not installed.
    pub(super) async fn find(
        &self,
        registry: &str,
        repository: &str,
        warn: &(dyn Fn(String) + Sync),
    ) -> Result<Option<Credential>, CredentialError> {
        for (number, source) in self.sources.iter().enumerate() {
            let file = self.file(number, source)?;
            if let Some(credential) = file.find(source, registry, repository, self.helper_path.as_deref(), warn).await?
            {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn file(&self, number: usize, source: &CredentialSource) -> Result<Arc<ConfigFile>, CredentialError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = read.get(&number) {
            return Ok(file.clone());
        }
        let file = Arc::new(ConfigFile::read(source)?);
        read.insert(number, file.clone());
        Ok(file)
    }

    /// Where was looked, for the message that nothing was found.
    pub(super) fn places(&self) -> String {
        if self.sources.is_empty() {
            return "no place".to_owned();
        }
        self.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_places() {
        let places = |authfile: Option<&str>, variables: &[(&str, &str)]| {
            let get =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value));
            let found = CredentialSource::usual(authfile.map(PathBuf::from), get, 7);
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(places(None, &[]), "/run/containers/7/auth.json");
        assert_eq!(
            places(None, &[("HOME", "/h")]),
            "/h/.docker/config.json /run/containers/7/auth.json /h/.config/containers/auth.json"
        );
        assert_eq!(
            places(
                Some("/a"),
                &[
                    ("REGISTRY_AUTH_FILE", "/r"),
                    ("DOCKER_AUTH_CONFIG", "{\"hunter22\":1}"),
                    ("DOCKER_CONFIG", "/d"),
                    ("XDG_RUNTIME_DIR", "/x"),
                    ("XDG_CONFIG_HOME", "/c"),
                    ("HOME", "/h"),
                ]
            ),
            "/a (--authfile) /r (REGISTRY_AUTH_FILE) DOCKER_AUTH_CONFIG /d/config.json (DOCKER_CONFIG) \
             /x/containers/auth.json /c/containers/auth.json"
        );
        let unset = [("HOME", "/h"), ("DOCKER_CONFIG", ""), ("REGISTRY_AUTH_FILE", ""), ("XDG_RUNTIME_DIR", "")];
        assert_eq!(places(None, &unset), places(None, &unset[..1]), "an empty variable is none");
    }

    #[test]
    fn what_is_shown_of_a_login_is_no_secret() {
        let found = "/h/.docker/config.json".to_owned();
        let of = |login| Credential { login, found: found.clone() };
        let secret = || Secret::new("hunter22");
        for (login, shown, secrets) in [
            (
                Login::Password { user: "bob\n\u{1b}[1m".to_owned(), password: secret() },
                "user bob[1m from /h/.docker/config.json",
                vec!["hunter22", "Ym9iChtbMW06aHVudGVyMjI="],
            ),
            (Login::IdentityToken(secret()), "identity token from /h/.docker/config.json", vec!["hunter22"]),
            (Login::RegistryToken(secret()), "registry token from /h/.docker/config.json", vec!["hunter22"]),
        ] {
            let credential = of(login);
            assert_eq!(
                (credential.shown().as_str(), credential.secrets()),
                (shown, secrets.into_iter().map(str::to_owned).collect())
            );
            assert!(!format!("{credential:?}").contains("hunter22"));
        }
    }

    #[test]
    fn the_first_place_that_knows_counts() {
        let inline = |named, json: &str| CredentialSource::Inline { named, json: Secret::new(json) };
        let sources = vec![
            inline("ONE", r#"{"auths":{"a.example":{"username":"one","password":"hunter22"}}}"#),
            inline(
                "TWO",
                r#"{"auths":{"a.example":{"username":"two","password":"hunter22"},"b.example":{"username":"b","password":"hunter22"}}}"#,
            ),
        ];
        let credentials = Credentials::new(sources, None);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let find = |registry| {
            let found = runtime.block_on(credentials.find(registry, "x", &|text| panic!("{text}"))).unwrap();
            found.map(|credential| credential.shown())
        };
        assert_eq!(find("a.example").as_deref(), Some("user one from ONE"));
        assert_eq!(find("b.example").as_deref(), Some("user b from TWO"));
        assert_eq!(find("c.example"), None);
        assert_eq!(
            (credentials.places(), Credentials::new(vec![], None).places()),
            ("ONE, TWO".to_owned(), "no place".to_owned())
        );
        let shown = format!("{credentials:?}");
        assert!(shown.contains("ONE, TWO") && !shown.contains("hunter22"), "{shown}");
    }
}
