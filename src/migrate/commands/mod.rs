//! Commands of `RUN` that a recipe has words for, one file for each kind.

mod accounts;
mod apt;
mod files;
mod python;

pub(super) use files::mode_after;

use super::draft::{Copied, Item};
use super::report::{Fate, one_line};
use super::shell::{self, Command, Simple, Word};
use super::state::{State, absolute};
use super::value::{Unknown, Value};

/// What a command came to.
pub(super) enum Done {
    /// Something of the recipe.
    Turned(String),
    /// Nothing, for that reason.
    Nothing(&'static str),
}

/// Why it stays a comment, and what to do instead.
pub(super) struct Kept {
    pub(super) why: String,
    pub(super) instead: String,
}

impl Kept {
    pub(super) fn new(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Kept { why: why.into(), instead: instead.into() }
    }
}

type Outcome = Result<Done, Kept>;

/// A command with all of its words known.
struct Call<'a> {
    /// `/usr/bin/pip3` is `pip3`, and then `/usr/bin` the folder.
    program: String,
    folder: Option<String>,
    words: Vec<String>,
    patterns: Vec<bool>,
    variables: Vec<(String, String)>,
    output: Option<(String, bool)>,
    /// Where the shell is.
    directory: String,
    /// What is mounted from the context.
    binds: &'a [Copied],
    place: &'a str,
}

impl Call<'_> {
    fn path(&self, path: &str) -> String {
        absolute(path, &self.directory)
    }

    /// The arguments that are no flags.
    fn plain(&self) -> Vec<&str> {
        self.words.iter().filter(|word| !word.starts_with('-')).map(String::as_str).collect()
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn pattern(&self, word: &str) -> bool {
        self.words.iter().zip(&self.patterns).any(|(known, pattern)| known == word && *pattern)
    }
}

const PIPELINE: &str = "run it in the pipeline, before `lapstrake build`, and `copy` what comes of it";

impl State {
    /// Goes through the commands of a `RUN`.
    pub(super) fn run(&mut self, place: &str, commands: Vec<Command>, binds: &[Copied]) {
        let mut directory = self.workdir.clone();
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut needless: Vec<(String, &'static str)> = Vec::new();
        let venv = self.venv.clone();
        for Command { text, what } in commands {
            let before = self.draft.items.len();
            let outcome = match what {
                Err(why) => Err(Kept::new(why, instead_of(&text))),
                Ok(simple) => self.command(&simple, &mut directory, &mut variables, binds, place),
            };
            match outcome {
                Ok(Done::Turned(into)) => {
                    self.report.tell(place, &text, Fate::Turned, into);
                    for item in &mut self.draft.items[before..] {
                        if let Item::Layer(layer) = item {
                            layer.comments.insert(0, place.to_owned());
                        }
                    }
                }
                Ok(Done::Nothing(why)) => {
                    self.report.tell(place, &text, Fate::NotNeeded, why);
                    needless.push((one_line(&text), why));
                }
                Err(kept) => self.keep(place, &text, &kept),
            }
        }
        if self.venv != venv && !commands_activate(&self.venv, &self.env) {
            self.venv = venv;
        }
        let mut lines: Vec<(&'static str, Vec<String>)> = Vec::new();
        for (text, why) in needless {
            match lines.iter_mut().find(|(known, _)| *known == why) {
                Some((_, texts)) => texts.push(format!("`{text}`")),
                None => lines.push((why, vec![format!("`{text}`")])),
            }
        }
        if !lines.is_empty() {
            let lines = lines.into_iter().map(|(why, texts)| format!("{place}: {}: {why}", texts.join(", ")));
            self.draft.items.push(Item::Comment(lines.collect()));
        }
    }

    /// Keeps a line as a comment.
    pub(super) fn keep(&mut self, place: &str, text: &str, kept: &Kept) {
        self.kept += 1;
        let shown = one_line(text);
        self.report.tell(place, text, Fate::Kept, format!("{}; instead: {}", kept.why, kept.instead));
        self.draft.items.push(Item::Comment(vec![
            format!("{place}: {shown}"),
            format!("  NOT TURNED: {}", kept.why),
            format!("  instead: {}", kept.instead),
        ]));
    }

    fn command(
        &mut self,
        simple: &Simple,
        directory: &mut String,
        variables: &mut Vec<(String, String)>,
        binds: &[Copied],
        place: &str,
    ) -> Outcome {
        let mut own = variables.clone();
        for (name, word) in &simple.variables {
            let value = self.word(word, &own)?;
            own.push((name.clone(), value));
        }
        let words = simple.words.iter().map(|word| self.word(word, &own)).collect::<Result<Vec<String>, Kept>>()?;
        let output = match &simple.output {
            Some((word, add)) => Some((self.word(word, &own)?, *add)),
            None => None,
        };
        let mut patterns: Vec<bool> = simple.words.iter().map(|word| word.pattern).collect();
        let Some((program, rest)) = words.split_first() else {
            *variables = own;
            return Ok(Done::Nothing("a variable of this line alone"));
        };
        let (folder, program) = match program.rsplit_once('/') {
            Some((folder, program)) => (Some(folder.to_owned()), program.to_owned()),
            None => (None, program.clone()),
        };
        patterns.remove(0);
        let mut call = Call {
            program,
            folder,
            words: rest.to_vec(),
            patterns,
            variables: own.clone(),
            output,
            directory: directory.clone(),
            binds,
            place,
        };
        if call.program == "sudo" || call.program == "exec" || call.program == "command" {
            if call.words.is_empty() {
                return Ok(Done::Nothing("it does nothing"));
            }
            call.program = call.words.remove(0);
            call.patterns.remove(0);
        }
        if call.output.is_some() && !matches!(call.program.as_str(), "echo" | "printf") {
            return Err(Kept::new("it writes a file", "write the file with `files`, or `copy` it"));
        }
        match call.program.as_str() {
            "cd" if call.words.len() == 1 => {
                *directory = call.path(&call.words[0]);
                Ok(Done::Nothing("where this line goes on"))
            }
            "export" => {
                for word in &call.words {
                    if let Some((name, value)) = word.split_once('=') {
                        variables.push((name.to_owned(), value.to_owned()));
                    }
                }
                Ok(Done::Nothing("a variable of this line alone"))
            }
            "set" | "true" | ":" | "umask" | "shopt" | "ulimit" | "sync" | "hash" => {
                Ok(Done::Nothing("it only steers the shell"))
            }
            "sh" | "bash" | "dash" | "ash" if call.words.first().is_some_and(|word| is_c(word)) => {
                match call.words.get(1) {
                    Some(script) => {
                        let script = script.clone();
                        self.nested(place, &script, binds)
                    }
                    None => Ok(Done::Nothing("it does nothing")),
                }
            }
            "." | "source" => match call.words.first().map(|word| call.path(word)) {
                Some(path) if path.ends_with("/bin/activate") => {
                    self.venv = Some(path.trim_end_matches("/bin/activate").to_owned());
                    Ok(Done::Nothing("the virtual environment is the recipe's `venv`"))
                }
                _ => Err(Kept::new("it runs a script", PIPELINE)),
            },
            "apt-get" | "apt" | "aptitude" => self.apt(&call),
            "apt-mark" | "apt-cache" | "dpkg-divert" => Ok(Done::Nothing("there is no apt at work in a recipe")),
            "apk" | "yum" | "dnf" | "microdnf" | "zypper" | "pacman" => Err(Kept::new(
                format!("packages of `{}` are not known", call.program),
                "stand on Debian (`debian` takes its packages), or take a base that has them",
            )),
            "dpkg" => Err(Kept::new(
                "a package file is installed",
                "`debian = [\"dist/x.deb\"]` takes package files of the context",
            )),
            "pip" | "pip3" | "python" | "python3" | "uv" | "virtualenv" | "pipx" | "poetry" | "pipenv" | "conda"
            | "pdm" => self.python(&call),
            program if program.starts_with("pip3.") || program.starts_with("python3.") => self.python(&call),
            "groupadd" | "useradd" | "adduser" | "addgroup" | "usermod" | "chsh" | "passwd" | "deluser" | "userdel" => {
                self.accounts(&call)
            }
            "chown"
            | "chmod"
            | "mkdir"
            | "ln"
            | "rm"
            | "touch"
            | "install"
            | "echo"
            | "printf"
            | "find"
            | "setcap"
            | "update-ca-certificates"
            | "chgrp" => self.files(&call),
            "ldconfig" => Ok(Done::Nothing("the loader's cache comes with the packages")),
            "npm" | "yarn" | "pnpm" if call.words.first().is_some_and(|word| word == "cache") => {
                Ok(Done::Nothing("nothing is left to clean up"))
            }
            "curl" | "wget" => Err(Kept::new(
                "it downloads something",
                "`fetch = { url = \"…\", sha256 = \"…\" }` does, with a digest; `unpack = true` for an archive",
            )),
            _ => Err(Kept::new("nothing is executed", instead_of(&call.program))),
        }
    }

    /// The line of a shell in a shell.
    fn nested(&mut self, place: &str, script: &str, binds: &[Copied]) -> Outcome {
        if script.len() > 4096 || script.contains(" -c ") {
            return Err(Kept::new("a shell in a shell", PIPELINE));
        }
        let before = self.kept;
        self.run(place, shell::commands(script), binds);
        match self.kept == before {
            true => Ok(Done::Turned("what its line says".to_owned())),
            false => Ok(Done::Nothing("what its line says stands above")),
        }
    }

    fn word(&self, word: &Word, own: &[(String, String)]) -> Result<String, Kept> {
        let lookup = |name: &str| match own.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => Some(Value::text(value.clone())),
            None => self.known_or_open(name),
        };
        let unknown = |Unknown(why): Unknown| Kept::new(why, "write what it comes to into the recipe");
        let value = Value::fill(&word.pieces, &lookup).map_err(unknown)?;
        let text = value.known().ok_or_else(|| {
            Kept::new("it depends on a variable that is not known here", "write what it comes to into the recipe")
        })?;
        match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(format!("{}{rest}", self.home())),
            _ => Ok(text),
        }
    }
}

fn is_c(word: &str) -> bool {
    word.starts_with('-') && word.ends_with('c') && !word.starts_with("--")
}

/// Whether the variables of the image themselves name the virtual environment.
fn commands_activate(venv: &Option<String>, env: &std::collections::BTreeMap<String, Value>) -> bool {
    venv.is_none() || env.contains_key("VIRTUAL_ENV")
}

/// What to do instead of a program.
fn instead_of(text: &str) -> &'static str {
    let first = text.split_whitespace().next().unwrap_or_default();
    let program = first.rsplit('/').next().unwrap_or_default();
    match program {
        "npm" | "yarn" | "pnpm" | "npx" | "bun" | "node" => {
            "run the front end's build in the pipeline, before `lapstrake build`, and `copy` the directory that it makes"
        }
        "go" | "cargo" | "make" | "cmake" | "gcc" | "mvn" | "gradle" | "dotnet" | "./configure" | "configure"
        | "./gradlew" | "./mvnw" => "compile in the pipeline, before `lapstrake build`, and `copy` the program",
        "curl" | "wget" => "`fetch = { url = \"…\", sha256 = \"…\" }` downloads, with a digest",
        "sed" | "awk" | "tee" | "cat" | "cp" | "mv" | "patch" => {
            "keep the file as it should be in the context and `copy` it, or write it with `files`"
        }
        "git" => "check it out in the pipeline, and `copy` it",
        "locale-gen" | "localedef" => "use `env = { LANG = \"C.UTF-8\" }`, which needs nothing",
        _ => PIPELINE,
    }
}
