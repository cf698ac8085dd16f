//! The index that pip or uv of this machine would take by themselves: where nothing is configured, they are asked, since a
//! program's built-in default is the machine's affair too, and no host is written down here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use url::Url;

use crate::programs::find;

/// How long a program may take to say it.
const PATIENCE: Duration = Duration::from_secs(30);

/// No help text is longer.
const MAX_HELP: u64 = 1 << 20;

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
    default_index_within(uv, environment, PATIENCE)
}

fn default_index_within(
    uv: Option<&Path>,
    environment: &BTreeMap<OsString, OsString>,
    patience: Duration,
) -> Option<Url> {
    let path = environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
    QUESTIONS.iter().find_map(|(name, arguments, after)| {
        let known = uv.filter(|_| *name == "uv").map(Path::to_owned);
        let mut command = Command::new(known.or_else(|| find(name, path))?);
        let passed_on = |name: &OsStr| ["PATH", "HOME", "VIRTUAL_ENV"].iter().any(|known| name == *known);
        command.args(*arguments).env_clear().envs(environment.iter().filter(|(name, _)| passed_on(name)));
        // What lies in the working directory is nobody's program.
        let help = said(command.current_dir("/"), patience)?;
        index_in(&String::from_utf8_lossy(&help), after)
    })
}

/// What a program says; `None` where it cannot be run, or takes too long.
fn said(command: &mut Command, patience: Duration) -> Option<Vec<u8>> {
    // A group of its own, to end what it may have started, too; it asks nobody anything on a terminal.
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().ok()?;
    let pipe = child.stdout.take();
    let (send, take) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut help = Vec::new();
        let _ = pipe.map(|pipe| pipe.take(MAX_HELP).read_to_end(&mut help));
        let _ = send.send(help);
    });
    let help = take.recv_timeout(patience).ok();
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let _ = child.wait();
    help
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

    /// Breaks where a program that does not answer is waited for, or leaves what it started.
    #[test]
    fn a_program_that_does_not_answer_is_given_up_with_all_that_it_started() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (name, text) in [
            ("pip3", format!("sleep 600 & echo $! > {}; wait", at("pid").display())),
            ("pip", "echo '--index-url <url> (default https://index.example.com/simple)'".to_owned()),
        ] {
            std::fs::write(at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        let environment: BTreeMap<OsString, OsString> = [("PATH".into(), path.into())].into();
        let lost = at("uv");
        // Another test may fork while a script is still open for writing: then it cannot be run.
        let found = (0..5).find_map(|_| {
            let found = default_index_within(Some(&lost), &environment, Duration::from_secs(2));
            found.filter(|_| at("pid").exists())
        });
        assert_eq!(found.unwrap().as_str(), "https://index.example.com/simple");
        let pid = std::fs::read_to_string(at("pid")).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Whoever takes over what lost its parent may take its time.
        let is_gone = || state().rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']));
        assert!(
            (0..200).any(|_| is_gone() || {
                thread::sleep(Duration::from_millis(10));
                false
            }),
            "{}",
            state()
        );
    }
}
