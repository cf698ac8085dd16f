//! Credential helpers: programs `docker-credential-NAME` that are asked on standard input and answer in JSON
//! (docker-credential-helpers).

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Login;
use crate::net::Secret;
use crate::oci::json;
use crate::programs::find;
use crate::shown::Shown;

/// How long a helper may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer is longer.
const MAX_ANSWER: u64 = 1 << 20;

/// What a helper answers, with exit code 1, where it knows nothing.
const NOT_FOUND: &str = "credentials not found";

/// What the helpers that people use say where they fail, in small letters: of all that is said, no more than these is shown.
const KNOWN: [&str; 25] = [
    // pass
    "pass not initialized",
    "pass store is uninitialized",
    "password store is empty",
    "gpg: decryption failed",
    "no secret key",
    "no pinentry",
    "inappropriate ioctl for device",
    // secretservice
    "cannot autolaunch d-bus without x11",
    "org.freedesktop.secrets was not provided by any .service files",
    "prompt dismissed",
    // osxkeychain
    "user interaction is not allowed",
    "the user name or passphrase you entered is not correct",
    // ecr-login
    "no valid providers in chain",
    "no ec2 imds role found",
    "failed to refresh cached credentials",
    "expiredtoken",
    "accessdenied",
    // gcloud, gcr
    "you do not currently have an active account selected",
    "there was a problem refreshing your current auth tokens",
    "reauthentication",
    "could not find default credentials",
    // acr
    "refresh token has expired",
    "az login",
    // any
    "permission denied",
    "executable file not found",
];

/// What went wrong with a helper. Of its output known words alone are shown: the rest may be what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Its name is no plain word.
    #[error("its name is not made of letters, digits, `-`, `_` and `.`")]
    Name,
    /// What it would be asked for is no server.
    #[error("{0} is no server that a helper can be asked for")]
    Server(Shown),
    /// It is not installed.
    #[error("it is not in PATH")]
    Missing,
    /// It could not be run.
    #[error("it could not be run")]
    Run(#[source] std::io::Error),
    /// It took too long.
    #[error("it gave no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// It said too much.
    #[error("its answer has more than {MAX_ANSWER} bytes")]
    Long,
    /// It failed.
    #[error("it failed: {said}")]
    Failed {
        /// How it ended, and what of its words may be shown.
        said: String,
    },
    /// It said something else.
    #[error("its answer is not the expected JSON (`Username` and `Secret`)")]
    Answer,
}

/// A helper's name, fit for a message.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(60).map(|c| if is_word(c) { c } else { '?' }).collect()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// Asks a helper for a server's credentials.
pub(super) async fn get(name: &str, server: &str, path: Option<&OsStr>) -> Result<Option<Login>, HelperError> {
    get_within(name, server, path, PATIENCE).await
}

async fn get_within(
    name: &str,
    server: &str,
    path: Option<&OsStr>,
    patience: Duration,
) -> Result<Option<Login>, HelperError> {
    if name.is_empty() || !name.chars().all(is_word) || name.starts_with('.') || name.len() > 100 {
        return Err(HelperError::Name);
    }
    // A line break would end the question, and begin another one (CVE-2020-5260).
    if server.is_empty() || server.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(HelperError::Server(Shown::new(server.as_bytes())));
    }
    let program = find(&format!("docker-credential-{name}"), path).ok_or(HelperError::Missing)?;
    match tokio::time::timeout(patience, run(program, server)).await {
        Ok(answer) => answer,
        Err(_) => Err(HelperError::Slow),
    }
}

async fn run(program: PathBuf, server: &str) -> Result<Option<Login>, HelperError> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(HelperError::Run)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that needs no question may be gone before it is asked.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let (answer, complaint) = (child.stdout.take(), child.stderr.take());
    // Reading the answer ends at the limit, which ends a helper that goes on; a complaint is read to its end, for a helper that
    // cannot complain may not answer.
    let (answer, complaint) = tokio::join!(read(answer, MAX_ANSWER + 1), read_and_drop(complaint, 4096));
    if answer.len() as u64 > MAX_ANSWER {
        return Err(HelperError::Long);
    }
    let status = child.wait().await.map_err(HelperError::Run)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&answer).trim().to_owned();
        if said.contains(NOT_FOUND) {
            return Ok(None);
        }
        let said = if said.is_empty() { String::from_utf8_lossy(&complaint).trim().to_owned() } else { said };
        return Err(HelperError::Failed { said: presentable(&said, status) });
    }
    parse(&answer)
}

async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(limit).read_to_end(&mut bytes).await;
    }
    bytes
}

/// The same; what comes after the limit is read, too, and dropped.
async fn read_and_drop(mut from: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let bytes = read(from.as_mut(), limit).await;
    if let Some(mut from) = from {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    bytes
}

/// How a failed helper ended, and which known words are in what it said: anything else may be what it was asked for.
fn presentable(said: &str, status: std::process::ExitStatus) -> String {
    let said = said.to_lowercase();
    let known: Vec<String> =
        KNOWN.iter().filter(|words| said.contains(**words)).map(|words| format!("`{words}`")).collect();
    match known.is_empty() {
        true => status.to_string(),
        false => format!("{status}, with {}", known.join(", ")),
    }
}

fn parse(answer: &[u8]) -> Result<Option<Login>, HelperError> {
    let answer: Map<String, Value> = json::parse(answer).map_err(|_| HelperError::Answer)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let (Some(user), Some(secret)) = (text("Username"), text("Secret")) else { return Err(HelperError::Answer) };
    if user.chars().chain(secret.chars()).any(|c| c.is_control()) {
        return Err(HelperError::Answer);
    }
    if user.is_empty() && secret.is_empty() {
        return Ok(None);
    }
    if user == "<token>" {
        return Ok(Some(Login::IdentityToken(Secret::new(secret))));
    }
    Ok(Some(Login::Password { user: user.to_owned(), password: Secret::new(secret) }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Runs a helper that is this shell script.
    fn ask(script: &str, name: &str, server: &str) -> Result<Option<Login>, HelperError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("docker-credential-test");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let path = directory.path().as_os_str().to_owned();
        let found = loop {
            match runtime.block_on(get_within(name, server, Some(&path), Duration::from_secs(2))) {
                // Another test forked while the script was still open for writing.
                Err(HelperError::Run(error)) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                found => break found,
            }
        };
        runtime.shutdown_background();
        found
    }

    #[test]
    fn a_helper_is_asked_by_the_protocol() {
        let script = r#"read server; test "$1" = get || exit 9; printf '{"ServerURL":"%s","Username":"%s","Secret":"hunter22"}' x "$server""#;
        let login = ask(script, "test", "r.example.com").unwrap().unwrap();
        assert_eq!(login, Login::Password { user: "r.example.com".to_owned(), password: Secret::new("hunter22") });
        // However much it has to say beside its answer.
        let loud = ask(r#"head -c 300000 /dev/zero >&2; echo '{"Username":"u","Secret":"s"}'"#, "test", "r").unwrap();
        assert_eq!(loud, Some(Login::Password { user: "u".to_owned(), password: Secret::new("s") }));
        let token = ask(r#"echo '{"Username":"<token>","Secret":"t"}'"#, "test", "r").unwrap();
        assert_eq!(token, Some(Login::IdentityToken(Secret::new("t"))));
        assert_eq!(ask("echo 'credentials not found in native keychain'; exit 1", "test", "r").unwrap(), None);
        assert_eq!(ask(r#"echo '{"Username":"","Secret":""}'"#, "test", "r").unwrap(), None);
        let password =
            |user: &str, password| Some(Login::Password { user: user.to_owned(), password: Secret::new(password) });
        assert_eq!(ask(r#"echo '{"Username":"","Secret":"s"}'"#, "test", "r").unwrap(), password("", "s"));
        assert_eq!(ask(r#"echo '{"Username":"u","Secret":""}'"#, "test", "r").unwrap(), password("u", ""));
        // 30 bytes, and spaces to the very limit.
        let long = |spaces: u64| {
            format!(r#"echo '{{"Username":"u","Secret":"s"}}'; head -c {spaces} /dev/zero | tr '\0' ' '"#)
        };
        assert_eq!(ask(&long(MAX_ANSWER - 30), "test", "r").unwrap(), password("u", "s"));
        assert!(matches!(ask(&long(MAX_ANSWER - 29), "test", "r"), Err(HelperError::Long)));
    }

    #[test]
    fn a_helper_that_does_otherwise() {
        for (script, name, server, wanted) in [
            ("sleep 60", "test", "r", "no answer within"),
            ("sleep 60 & echo '{}'", "test", "r", "no answer within"),
            ("while :; do echo 0123456789012345678901234567890123456789; done", "test", "r", "more than"),
            ("echo hunter22", "test", "r", "not the expected JSON"),
            (r#"echo '{"Username":"u","Secret":"hunter22\n"}'"#, "test", "r", "not the expected JSON"),
            (r#"echo '{"Username":"u"}'"#, "test", "r", "not the expected JSON"),
            (
                "echo 'Error: pass not initialized: x'; exit 1",
                "test",
                "r",
                "exit status: 1, with `pass not initialized`",
            ),
            ("echo 'hunter22: Permission denied' >&2; exit 3", "test", "r", "exit status: 3, with `permission denied`"),
            ("echo 'pw=hunter22'; exit 1", "test", "r", "it failed: exit status: 1"),
            ("echo dTpodW50ZXIyMg==; exit 1", "test", "r", "it failed: exit status: 1"),
            ("echo 'login u hunter22' >&2; exit 1", "test", "r", "it failed: exit status: 1"),
            (r#"echo '{"Username":"u","Secret":"hunter22"}'; exit 1"#, "test", "r", "exit status: 1"),
            ("echo 'the secret is hunter22'; exit 1", "test", "r", "exit status: 1"),
            ("echo 'bad password hunter22'; exit 1", "test", "r", "exit status: 1"),
            ("echo 'invalid Token: hunter22' >&2; exit 1", "test", "r", "exit status: 1"),
            ("echo '\"hunter22'; exit 1", "test", "r", "exit status: 1"),
            ("echo 'a first line'; echo hunter22; exit 1", "test", "r", "it failed: exit status: 1"),
            ("exit 2", "test", "r", "exit status: 2"),
            ("true", "absent", "r", "not in PATH"),
            ("true", "../test", "r", "its name"),
            ("true", "a/b", "r", "its name"),
            ("true", "", "r", "its name"),
            ("true", "..", "r", "its name"),
            ("true", ".test", "r", "its name"),
            ("true", &"x".repeat(101), "r", "its name"),
            ("true", &"x".repeat(100), "r", "not in PATH"),
            ("true", "test", "r\nusername=x", "no server"),
            ("true", "test", "", "no server"),
            ("true", "test", "a b", "no server"),
            ("true", "test", "a\u{1b}b", "no server"),
        ] {
            let error = ask(script, name, server).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(wanted), "{script}: {text}");
            assert!(!text.contains("hunter22") && !text.contains("dTpo"), "{script}: {text}");
        }
    }

    #[test]
    fn names_are_shown_as_words() {
        assert_eq!(shown("ecr-login_2.0"), "ecr-login_2.0");
        assert_eq!(shown("a/b\n"), "a?b?");
    }
}
