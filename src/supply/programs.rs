//! The index that pip or uv of this machine would take by themselves: where nothing is configured, they are asked, since a
//! program's built-in default is the machine's affair too, and no host is written down here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use url::Url;

/// How a program is made to say what its default is, and after which words it does.
const QUESTIONS: [(&str, &[&str], &str); 4] = [
    ("uv", &["pip", "compile", "--help"], "--default-index"),
    ("pip3", &["install", "--help"], "--index-url"),
    ("pip", &["install", "--help"], "--index-url"),
    ("python3", &["-I", "-m", "pip", "install", "--help"], "--index-url"),
];

/// The default index of the first of these programs that is there and says one. `uv` is where it was found already; the
/// others are looked for on `PATH` of that environment, which is also theirs.
pub(super) fn default_index(uv: Option<&Path>, environment: &BTreeMap<OsString, OsString>) -> Option<Url> {
    let path = environment.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
    let find = |name: &str| -> Option<PathBuf> {
        if name == "uv" && uv.is_some() {
            return uv.map(Path::to_owned);
        }
        let mut candidates = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
        candidates.find_map(|directory| Some(directory.join(name)).filter(|candidate| candidate.is_file()))
    };
    QUESTIONS.iter().find_map(|(name, arguments, after)| {
        let output = Command::new(find(name)?)
            .args(*arguments)
            .env_clear()
            .envs(
                environment
                    .iter()
                    .filter(|(name, _)| ["PATH", "HOME", "VIRTUAL_ENV"].iter().any(|known| name == known)),
            )
            // What lies in the working directory is nobody's program.
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        index_in(&String::from_utf8_lossy(&output.stdout), after)
    })
}

/// The first address after some words of a help text, however it is broken into lines.
fn index_in(help: &str, after: &str) -> Option<Url> {
    let (_, rest) = help.split_once(after)?;
    let word = rest
        .split_whitespace()
        .map(|word| word.trim_matches(['(', ')', '<', '>', '.', ',', ']', '[']))
        .find(|word| word.starts_with("https://") || word.starts_with("http://"))?;
    let url = Url::parse(word).ok()?;
    (url.has_host() && url.username().is_empty()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_found_in_what_programs_say() {
        let pip = "  -i, --index-url <url>       Base URL of the Index (default\n      https://index.example.com/simple). This\n";
        assert_eq!(index_in(pip, "--index-url").unwrap().as_str(), "https://index.example.com/simple");
        let uv = "  --default-index <DEFAULT_INDEX>\n  The default (by default: <https://index.example.com/simple>) [env: X]";
        assert_eq!(index_in(uv, "--default-index").unwrap().as_str(), "https://index.example.com/simple");
        assert_eq!(index_in("--index-url <url>  none", "--index-url"), None);
        assert_eq!(index_in("https://index.example.com", "--index-url"), None);
    }

    #[test]
    fn programs_are_asked_in_their_environment() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("pip3");
        std::fs::write(&program, "#!/bin/sh\necho \"--index-url <url> (default https://index.example.com/simple)\"\n")
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let environment: BTreeMap<OsString, OsString> =
            [("PATH".into(), directory.path().as_os_str().to_owned())].into();
        let found = default_index(None, &environment).unwrap();
        assert_eq!(found.as_str(), "https://index.example.com/simple");
        assert_eq!(default_index(None, &BTreeMap::new()), None);
    }
}
