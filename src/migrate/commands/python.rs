//! `pip`, `uv` and their kin: `python`.

use super::super::draft::{Layer, Python, Source};
use super::super::state::{State, absolute, is_pattern, joined, split};
use super::{Call, Done, Kept, Outcome};

/// What only installs others.
const INSTALLERS: [&str; 8] = ["pip", "setuptools", "wheel", "uv", "virtualenv", "pip-tools", "build", "poetry"];

const WHEEL: &str = "build a wheel in the pipeline, and take it: `python = { wheels = [\"dist/*.whl\"] }`";

impl State {
    pub(super) fn python(&mut self, call: &Call<'_>) -> Outcome {
        let words: Vec<&str> = call.words.iter().map(String::as_str).collect();
        let bin = call
            .folder
            .as_deref()
            .and_then(|folder| absolute(folder, &call.directory).strip_suffix("/bin").map(str::to_owned));
        let usual = ["/usr", "/usr/local", ""];
        let own = bin.filter(|root| !usual.contains(&root.as_str()));
        let venv = own.or_else(|| self.venv.clone());
        match (call.program.as_str(), words.as_slice()) {
            ("virtualenv", [.., path]) if !path.starts_with('-') => self.new_venv(&call.path(path)),
            ("uv", ["venv", rest @ ..]) => {
                let path = rest.iter().rfind(|word| !word.starts_with('-') && word.parse::<f32>().is_err());
                self.new_venv(&call.path(path.unwrap_or(&".venv")))
            }
            ("uv", ["pip", "install", rest @ ..]) => {
                // A system's Python is asked for by name; else the virtual environment beside the project.
                let system = rest.contains(&"--system")
                    || call.variable("UV_SYSTEM_PYTHON").is_some()
                    || self.known_text("UV_SYSTEM_PYTHON").is_some();
                self.pip(call, rest, if system { None } else { venv })
            }
            ("uv", ["sync", rest @ ..]) => self.uv_sync(call, rest, venv),
            ("uv", ["cache" | "python" | "tool" | "self", ..]) => Ok(Done::Nothing("nothing is left to clean up")),
            ("poetry" | "pdm" | "pipenv" | "conda" | "pipx", _) => Err(Kept::new(
                format!("what `{}` locks is not read", call.program),
                "write what it locks into a requirements file (`poetry export`, `pipenv requirements`, `pdm export`), and take that: `python = { requirements = \"requirements.txt\" }`",
            )),
            (program, ["-m", "venv" | "virtualenv", rest @ ..]) if program.starts_with("python") => {
                match rest.iter().rfind(|word| !word.starts_with('-')) {
                    Some(path) => self.new_venv(&call.path(path)),
                    None => Err(Kept::new("it names no directory", "say `venv` in `python`")),
                }
            }
            (program, ["-m", "pip", "install", rest @ ..]) if program.starts_with("python") => {
                self.pip(call, rest, venv)
            }
            (program, ["-m", "pip", "cache", ..]) if program.starts_with("python") => {
                Ok(Done::Nothing("nothing is left to clean up"))
            }
            (program, ["-m", "compileall", ..]) if program.starts_with("python") => Ok(Done::Nothing(
                "Python makes bytecode when it first runs, where it may write; `compile = true` makes that of packages",
            )),
            (program, ["-m", "ensurepip", ..]) if program.starts_with("python") => {
                Ok(Done::Nothing("no installer is needed in the image"))
            }
            (program, ["install", rest @ ..]) if program.starts_with("pip") => self.pip(call, rest, venv),
            (program, ["cache" | "check" | "config" | "list" | "freeze", ..]) if program.starts_with("pip") => {
                Ok(Done::Nothing("nothing is left to clean up"))
            }
            (program, ["uninstall", ..]) if program.starts_with("pip") => {
                Ok(Done::Nothing("no installer is in the image, and nothing else was named"))
            }
            (program, ["wheel" | "download", ..]) if program.starts_with("pip") => {
                Err(Kept::new("it builds wheels", WHEEL))
            }
            _ => Err(Kept::new("nothing is executed", super::PIPELINE)),
        }
    }

    fn known_text(&self, name: &str) -> Option<String> {
        self.known(name).and_then(|value| value.known()).filter(|text| !text.is_empty())
    }

    fn new_venv(&mut self, path: &str) -> Outcome {
        self.venv = Some(path.to_owned());
        Ok(Done::Nothing("packages go there by the recipe's `venv`"))
    }

    fn pip(&mut self, call: &Call<'_>, words: &[&str], venv: Option<String>) -> Outcome {
        let mut python = Python { venv, ..Python::default() };
        let mut packages: Vec<String> = Vec::new();
        let mut comments = Vec::new();
        let mut files = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (flag, mut given) = match word.split_once('=') {
                Some((flag, value)) if word.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (*word, None),
            };
            let mut value = || given.take().or_else(|| words.next().map(|word| (*word).to_owned())).unwrap_or_default();
            match flag {
                "-r" | "--requirement" | "--requirements" => files.push(value()),
                "-c" | "--constraint" => {
                    let file = value();
                    comments
                        .push(format!("constraints of `{file}`: put a line `-c {file}` into the requirements file"));
                }
                "-t" | "--target" => python.target = Some(call.path(&value())),
                "--prefix" => python.prefix = Some(call.path(&value())),
                "--user" => python.prefix = Some(format!("{}/.local", self.home())),
                "-i" | "--index-url" | "--default-index" => {
                    let url = value();
                    match url.contains('@') || !url.starts_with("http") {
                        true => comments
                            .push("the index is the machine's affair: credentials are no part of a recipe".to_owned()),
                        false => python.index = Some(url),
                    }
                }
                "--extra-index-url" | "--index" | "-f" | "--find-links" => {
                    drop(value());
                    comments.push("a further index: `index = { main = \"…\", more = \"…\" }` names several".to_owned());
                }
                "-e" | "--editable" => {
                    return Err(Kept::new(
                        "a project of the context is installed",
                        format!("{WHEEL}; or take what it needs with `pyproject`, and `copy` its code"),
                    ));
                }
                "--python" | "--platform" | "--python-version" | "--root-user-action" | "--progress-bar"
                | "--timeout" | "--retries" | "--trusted-host" | "--cache-dir" | "--only-binary" | "--no-binary"
                | "--implementation" | "--abi" | "--link-mode" | "--index-strategy" | "--upgrade-strategy"
                | "--cert" | "--proxy" | "--exists-action" | "--default-timeout" | "--root" | "--src" => drop(value()),
                flag if flag.starts_with('-') => {
                    if let Some(file) =
                        flag.strip_prefix("-r").filter(|file| !file.is_empty() && !flag.starts_with("--"))
                    {
                        files.push(file.to_owned());
                    }
                }
                package => packages.push(package.to_owned()),
            }
        }
        for file in files {
            let path = call.path(&file);
            match self.origin(&path, call.binds) {
                Some(origin) => python.requirements.push(origin),
                None => {
                    let origin = if file.starts_with('/') {
                        split(&file).1.to_owned()
                    } else {
                        file.trim_start_matches("./").to_owned()
                    };
                    comments.push(format!("no `COPY` brings `{file}`: this is where it was looked for in the context"));
                    python.requirements.push(origin);
                }
            }
            self.read.insert(path);
        }
        let mut lines = Vec::new();
        let mut needless = false;
        for package in packages {
            let name = package.split(['=', '<', '>', '!', '~', '[', ' ', ';']).next().unwrap_or_default();
            if INSTALLERS.contains(&name) {
                needless = true;
            } else if package.ends_with(".whl") {
                let path = call.path(&package);
                match self.origin(&path, call.binds).or_else(|| self.pattern_origin(&path)) {
                    Some(origin) => python.wheels.push(origin),
                    None => return Err(Kept::new("where these wheels come from is not known", WHEEL)),
                }
            } else if package == "."
                || package.starts_with(['.', '/'])
                || package.contains("://")
                || package.contains('/')
            {
                let why = match package.contains("://") {
                    true => "a package is installed from its source",
                    false => "a project of the context is installed",
                };
                return Err(Kept::new(
                    why,
                    format!("{WHEEL}; or take what it needs with `pyproject`, and `copy` its code"),
                ));
            } else {
                lines.push(package);
            }
        }
        if !lines.is_empty() {
            let own = match self.draft.name.as_str() {
                "" => "requirements-image.txt".to_owned(),
                name => format!("requirements-{name}.txt"),
            };
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            match self.written.iter_mut().find(|(file, _)| *file == own) {
                Some((_, known)) => known.push_str(&text),
                None => self.written.push((own.clone(), text)),
            }
            let shown: Vec<String> = lines.iter().map(|line| format!("`{}`", super::one_line(line))).collect();
            comments.push(format!("{own} holds what the line names: {}", shown.join(", ")));
            let known = self
                .draft
                .layers()
                .any(|layer| matches!(&layer.source, Source::Python(python) if python.requirements.contains(&own)));
            if known && python.requirements.is_empty() {
                let said = format!("{}: {own} holds these too: {}", call.place, shown.join(", "));
                self.draft.items.push(super::Item::Comment(vec![said]));
                return Ok(Done::Turned(format!("a line of {own}")));
            }
            python.requirements.push(own);
        }
        if python.requirements.is_empty() && python.wheels.is_empty() {
            return match needless {
                true => Ok(Done::Nothing("no installer is needed in the image")),
                false => Err(Kept::new("it names no packages", "`python = { requirements = \"requirements.txt\" }`")),
            };
        }
        self.pythons.push(python.clone());
        let into = format!(
            "python, {}",
            python.requirements.iter().chain(&python.wheels).cloned().collect::<Vec<_>>().join(", ")
        );
        if python.prefix.is_some() {
            comments.push(
                "another place than the interpreter's own: taken from here by the stage that copies it".to_owned(),
            );
        }
        self.add(Layer { comments, ..Layer::new(Source::Python(python)) });
        Ok(Done::Turned(into))
    }

    /// Wheels by pattern, in a directory that was copied.
    fn pattern_origin(&self, path: &str) -> Option<String> {
        let (folder, name) = split(path);
        if !is_pattern(name) {
            return None;
        }
        self.origin(folder, &[]).map(|origin| joined(&origin, name))
    }

    fn uv_sync(&mut self, call: &Call<'_>, words: &[&str], venv: Option<String>) -> Outcome {
        let find = |state: &State, name: &str| {
            let path = call.path(name);
            let found = state.origin(&path, call.binds);
            (path, found)
        };
        let (path, lock) = find(self, "uv.lock");
        let (project, _) = find(self, "pyproject.toml");
        let environment = self
            .known_text("UV_PROJECT_ENVIRONMENT")
            .or_else(|| call.variable("UV_PROJECT_ENVIRONMENT").map(str::to_owned));
        let venv = match environment {
            Some(root) if matches!(root.trim_end_matches('/'), "/usr" | "/usr/local") => None,
            Some(root) => Some(call.path(&root)),
            None => Some(venv.filter(|_| words.contains(&"--active")).unwrap_or_else(|| call.path(".venv"))),
        };
        let mut python = Python { venv, ..Python::default() };
        let mut comments = Vec::new();
        if lock.is_none() {
            comments.push("no `COPY` brings `uv.lock`: this is where it was looked for in the context".to_owned());
        }
        python.uv_lock = Some(lock.unwrap_or_else(|| "uv.lock".to_owned()));
        let mut words_left = words.iter();
        while let Some(word) = words_left.next() {
            let (flag, given) =
                word.split_once('=').map_or((*word, None), |(flag, value)| (flag, Some(value.to_owned())));
            let mut value = || given.clone().or_else(|| words_left.next().map(|word| (*word).to_owned()));
            match flag {
                "--extra" => python.extras.extend(value()),
                "--group" | "--only-group" => python.groups.extend(value()),
                "--all-extras" => comments.push("all extras: name them in `extras`".to_owned()),
                "--all-groups" => comments.push("all groups: name them in `groups`".to_owned()),
                _ => {}
            }
        }
        if !words.iter().any(|word| matches!(*word, "--no-dev" | "--no-default-groups" | "--only-group"))
            && self.known_text("UV_NO_DEV").is_none()
        {
            comments
                .push("without `--no-dev` the line takes the group `dev` too: `groups = [\"dev\"]` does".to_owned());
        }
        let again = self.draft.layers().any(|layer| matches!(&layer.source, Source::Python(known) if known.uv_lock == python.uv_lock && known.venv == python.venv));
        if again {
            return Ok(Done::Nothing("the dependencies are there; the project itself is code that is copied"));
        }
        if !words.contains(&"--no-install-project") {
            comments.push("the project itself is not installed: its code is what is copied".to_owned());
        }
        self.read.extend([path, project]);
        self.pythons.push(python.clone());
        let into = format!("python, {}", python.uv_lock.clone().unwrap_or_default());
        self.add(Layer { comments, ..Layer::new(Source::Python(python)) });
        Ok(Done::Turned(into))
    }
}
