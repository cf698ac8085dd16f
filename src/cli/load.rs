//! `build --load`: what was built is handed to the Docker or podman of this machine, through a pipe.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use lapstrake::code::ErrorCode;
use lapstrake::oci::Platform;
use lapstrake::place::{self, ArchiveKind, Artifact, FilePlace, Place};
use lapstrake::programs;
use lapstrake::report::Reporter;
use lapstrake::shown::is_unseen;
use lapstrake::store::BlobStore;

use super::environment::variable;
use super::exit::{Code, Failure, OrFail, Outcome};
use super::signals;

/// What `--load` looks for where no program is named.
const PROGRAMS: [&str; 2] = ["docker", "podman"];

/// What a program says of why it failed is shown up to this length, in bytes.
const SAID: u64 = 4096;

/// How long its last words are waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program that takes images from `load`.
#[derive(Debug)]
pub(super) struct Loader {
    /// What it is called.
    program: String,
    path: PathBuf,
}

impl Loader {
    /// The program of that name; else Docker where a daemon answers, else podman.
    ///
    /// # Errors
    /// Where it is not there, or neither is.
    pub(super) fn find(named: Option<&str>) -> Outcome<Self> {
        let path = variable("PATH");
        let find = |program: &str| -> Option<Self> {
            let found = programs::find(program, path.as_deref())?;
            Some(Loader { program: program.to_owned(), path: found })
        };
        if let Some(program) = named.filter(|name| !name.is_empty()) {
            if program.contains('/') {
                return Ok(Loader { program: program.to_owned(), path: program.into() });
            }
            return find(program).ok_or_else(|| {
                let text = format!("--load: there is no program {program} on PATH");
                Failure::told(Code::Failed, ErrorCode::NotLoaded, text)
            });
        }
        // `docker version` fails where only the client is installed.
        let answers = |loader: &Self| {
            let mut command = Command::new(&loader.path);
            command.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let asked = signals::start(&mut command).and_then(|mut child| child.wait());
            asked.is_ok_and(|status| status.success())
        };
        match PROGRAMS.iter().filter_map(|program| find(program)).find(answers) {
            Some(loader) => Ok(loader),
            None => Err(Failure::told(
                Code::Failed,
                ErrorCode::NotLoaded,
                "--load found neither a Docker daemon nor podman",
            )
            .hint("start one, or write a file for later: -o docker-archive:FILE")),
        }
    }

    /// Hands the images over, each for this machine's platform where it has several.
    ///
    /// # Errors
    /// Where an image has none for this machine, or the program does not take it.
    pub(super) fn load(&self, artifacts: &[Artifact], store: &BlobStore, reporter: &Reporter) -> Outcome {
        let machine = machine();
        let artifacts =
            artifacts.iter().map(|artifact| for_machine(artifact, &machine)).collect::<Outcome<Vec<_>>>()?;
        let mut command = Command::new(&self.path);
        command.arg("load").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = signals::start(&mut command).map_err(|error| {
            let text = format!("starting {} for --load: {error}", self.program);
            Failure::told(Code::Failed, ErrorCode::NotLoaded, text)
        })?;
        let said = listen(&mut child);
        let archive = Place::Archive { kind: ArchiveKind::Docker, file: FilePlace::Standard, pick: None };
        let written = match child.stdin.take() {
            Some(mut pipe) => place::write(&archive, &artifacts, &mut pipe, store, reporter).map(|_| ()),
            None => Ok(()),
        };
        let status = child.wait().or_fail(Code::Failed)?;
        // What it started may hold the pipe for as long as it likes.
        let said = said.and_then(|said| said.recv_timeout(LAST_WORDS).ok()).unwrap_or_default();
        if !status.success() {
            // Why it ended says more than that the pipe broke.
            let said: String = said.trim().chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
            let text = format!("{} load did not take the images ({status}): {said}", self.program);
            return Err(Failure::told(Code::Failed, ErrorCode::NotLoaded, text));
        }
        written.or_fail(Code::Failed)?;
        let names: Vec<String> = artifacts.iter().map(Artifact::shown).collect();
        reporter.note(format!("{} has {}", self.program, names.join(", ")));
        Ok(())
    }
}

/// What a program says on standard error, the start of it; all is read, so that it never waits.
fn listen(child: &mut Child) -> Option<Receiver<String>> {
    let mut pipe = child.stderr.take()?;
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let mut start = Vec::new();
        let _ = (&mut pipe).take(SAID).read_to_end(&mut start);
        let _ = sender.send(String::from_utf8_lossy(&start).into_owned());
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    Some(said)
}

/// What containers on this machine run.
fn machine() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "x86" => ("386", None),
        "arm" => ("arm", Some("v7".to_owned())),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    Platform { variant, ..Platform::linux(architecture) }
}

fn for_machine(artifact: &Artifact, machine: &Platform) -> Outcome<Artifact> {
    let images = artifact.images();
    if images.len() < 2 {
        return Ok(artifact.clone());
    }
    let fits = images.into_iter().find(|image| image.platform().is_some_and(|platform| platform == *machine));
    let Some((image, config)) = fits.and_then(|image| image.config.clone().map(|config| (image, config))) else {
        let text = format!("--load: {} has no image for this machine ({machine})", artifact.shown());
        return Err(Failure::told(Code::Failed, ErrorCode::NotLoaded, text)
            .hint(format!("build it for that too: --platform {machine}")));
    };
    let one = Artifact::image(image.manifest.clone(), config, artifact.source().clone());
    Ok(one.named(artifact.names.clone(), artifact.fallback.clone()))
}
