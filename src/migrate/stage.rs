//! From the instructions of a stage to an image: each does to [`State`] what it does in BuildKit.

use std::collections::BTreeMap;

use super::commands::Kept;
use super::copies::bind;
use super::draft::{Copied, Draft, Item, Key, Layer, Source, Toml};
use super::project::Project;
use super::report::{Fate, one_line};
use super::shell;
use super::state::{State, absolute, is_owner, within};
use super::value::{Unknown, Value, escaped};
use crate::dockerfile::{Form, Instruction, Kind, Run, expand};

/// Which file and line is being gone through.
pub(super) struct Here<'a> {
    pub(super) file: usize,
    pub(super) stage: usize,
    pub(super) escape: char,
    pub(super) place: String,
    pub(super) instruction: &'a Instruction,
}

/// Where lines come to more layers and comments, `RUN` is not looked into any further.
const MAX_ITEMS: usize = 5_000;
const WRITE: &str = "write what it comes to into the recipe";

impl State {
    /// Fills in a value, by what `lookup` says of variables.
    fn fill(&self, text: &str, escape: char, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, Kept> {
        let pieces = expand::pieces(text, escape).map_err(|error| Kept::new(error.to_string(), WRITE))?;
        Value::fill(&pieces, lookup).map_err(|Unknown(why)| Kept::new(why, WRITE))
    }

    /// A value as paths write it.
    pub(super) fn path(&self, text: &str, escape: char) -> Result<String, Kept> {
        let value = self.fill(text, escape, &|name| self.known_or_open(name))?;
        value.path().ok_or_else(|| Kept::new("it depends on a variable that is not known here", WRITE))
    }

    /// A value that is known.
    pub(super) fn plain(&self, text: &str, escape: char) -> Result<String, Kept> {
        let value = self.fill(text, escape, &|name| self.known_or_open(name))?;
        value.known().ok_or_else(|| Kept::new("it depends on a variable that is not known here", WRITE))
    }

    /// Goes through one instruction.
    pub(super) fn apply(&mut self, project: &mut Project<'_>, here: &Here<'_>) {
        let before = self.draft.items.len();
        let outcome = self.instruction(project, here);
        let Here { place, instruction, .. } = here;
        match outcome {
            Ok(Some(into)) => {
                self.report.tell(place, &instruction.text, Fate::Turned, into);
                for item in self.draft.items.iter_mut().skip(before) {
                    if let Item::Layer(layer) = item {
                        layer.comments.insert(0, place.clone());
                    }
                }
            }
            // What `RUN` did is told command by command.
            Ok(None) => {}
            Err(kept) => self.keep(place, &instruction.text, &kept),
        }
    }

    fn instruction(&mut self, project: &mut Project<'_>, here: &Here<'_>) -> Result<Option<String>, Kept> {
        let (escape, place) = (here.escape, here.place.as_str());
        let told = |key: Key| Ok(Some(key.word().to_owned()));
        match &here.instruction.kind {
            Kind::From { .. } => Ok(None),
            Kind::Arg(arguments) => {
                for (name, default) in arguments {
                    let given = project.options.arguments.get(name).map(|text| Value::text(text.clone()));
                    let global = project.global(here.file, name);
                    let own = match default {
                        Some(text) => Some(self.fill(text, escape, &|name| self.known(name))?),
                        None => None,
                    };
                    let value = match given {
                        Some(given) => given,
                        None => Value::argument(name, own.or(global)),
                    };
                    self.arguments.insert(name.clone(), value);
                }
                Ok(Some("its default, or `{env.NAME}`".to_owned()))
            }
            Kind::Env(pairs) => {
                let mut values = Vec::new();
                for (name, text) in pairs {
                    let name = self.fill(name, escape, &|_| None)?.known().unwrap_or_default();
                    let value = self.fill(text, escape, &|name| self.open(name))?;
                    values.push((name, value));
                }
                for (name, value) in values {
                    self.variable(place, &name, value)?;
                }
                told(Key::Env)
            }
            Kind::Label(pairs) => {
                for (name, text) in pairs {
                    let name = self.plain(name, escape)?;
                    let value = self.fill(text, escape, &|name| self.known_or_open(name))?;
                    let text = value.label().ok_or_else(|| Kept::new("it depends on a variable of the base", WRITE))?;
                    if name.starts_with("org.opencontainers.image.base.") || name.is_empty() {
                        return Err(Kept::new("lapstrake writes this label itself", "leave it out"));
                    }
                    self.draft.put(Key::Labels, &name, Toml::text(text));
                }
                told(Key::Labels)
            }
            Kind::Maintainer(text) => {
                let name = "org.opencontainers.image.authors";
                self.draft.put(Key::Labels, name, Toml::text(escaped(text, false)));
                told(Key::Labels)
            }
            Kind::Workdir(text) => {
                let path = absolute(&self.path(text, escape)?, &self.workdir);
                if !self.made(&path) {
                    self.workdirs.push(path.clone());
                    self.workdir_owner = self.user.clone().and_then(|user| self.owner(&user));
                }
                self.workdir.clone_from(&path);
                self.draft.set(Key::Workdir, Toml::text(path));
                told(Key::Workdir)
            }
            Kind::User(text) => {
                let user = self.plain(text, escape)?;
                if !is_owner(&user) {
                    return Err(Kept::new("this is no name or number of a user", "say `user` in the image"));
                }
                self.user = (!matches!(user.as_str(), "root" | "0" | "root:root" | "0:0")).then(|| user.clone());
                let written = self.owner(&user).unwrap_or_else(|| "0:0".to_owned());
                self.draft.set(Key::User, Toml::text(written));
                told(Key::User)
            }
            Kind::Expose(list) => {
                let mut ports = match self.draft.value(Key::Ports) {
                    Some(Toml::List(known)) => known.clone(),
                    _ => Vec::new(),
                };
                for port in list {
                    let text = self.plain(port, escape)?;
                    for port in text.split_whitespace() {
                        // `8080:80` and addresses in front are taken by BuildKit, and mean the last part.
                        let inner = port.rsplit(':').next().unwrap_or(port).to_ascii_lowercase();
                        let value = match inner.strip_suffix("/tcp").unwrap_or(&inner).parse() {
                            Ok(number) => Toml::Number(number),
                            Err(_) => Toml::text(inner),
                        };
                        if !ports.contains(&value) {
                            ports.push(value);
                        }
                    }
                }
                let good = |port: &Toml| match port {
                    Toml::Number(number) => (1..=65535).contains(number),
                    Toml::Text(text) => {
                        text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b))
                            && text.starts_with(|c: char| c.is_ascii_digit())
                    }
                    _ => false,
                };
                if !ports.iter().all(good) {
                    return Err(Kept::new("this is no port", "`ports = [8080, \"53/udp\"]`"));
                }
                self.draft.set(Key::Ports, Toml::List(ports));
                told(Key::Ports)
            }
            Kind::Volume(list) => {
                let mut volumes = match self.draft.value(Key::Volumes) {
                    Some(Toml::List(known)) => known.clone(),
                    _ => Vec::new(),
                };
                for volume in list {
                    let path = absolute(&self.path(volume, escape)?, &self.workdir);
                    if path == "/" {
                        return Err(Kept::new("the root cannot be a volume", "leave it out"));
                    }
                    let path = Toml::text(path);
                    if !volumes.contains(&path) {
                        volumes.push(path);
                    }
                }
                self.draft.set(Key::Volumes, Toml::List(volumes));
                told(Key::Volumes)
            }
            Kind::StopSignal(text) => {
                let signal = self.plain(text, escape)?.to_ascii_uppercase();
                let number = signal.bytes().all(|byte| byte.is_ascii_digit());
                let signal = if number || signal.starts_with("SIG") { signal } else { format!("SIG{signal}") };
                self.draft.set(Key::StopSignal, Toml::text(signal));
                told(Key::StopSignal)
            }
            Kind::Shell(list) => {
                self.shell = Some(list.clone());
                self.draft.set(Key::Shell, Toml::texts(list));
                told(Key::Shell)
            }
            Kind::Entrypoint(form) => {
                let (value, comment) = self.form(form);
                self.draft.set(Key::Entrypoint, value).comments = comment.into_iter().collect();
                // A `CMD` of the base goes with it, in BuildKit as in a recipe; one of this stage stays.
                if !self.cmd_set {
                    self.draft.settings.remove(&Key::Cmd);
                }
                told(Key::Entrypoint)
            }
            Kind::Cmd(form) => {
                self.cmd_set = true;
                let (value, comment) = self.form(form);
                self.draft.set(Key::Cmd, value).comments = comment.into_iter().collect();
                told(Key::Cmd)
            }
            Kind::Healthcheck(None) => {
                self.draft.set(Key::Healthcheck, Toml::False);
                told(Key::Healthcheck)
            }
            Kind::Healthcheck(Some(check)) => {
                let mut fields = Vec::new();
                let test = match &check.test {
                    Some(Form::Exec(list)) => {
                        Toml::texts(std::iter::once("CMD").chain(list.iter().map(String::as_str)))
                    }
                    Some(Form::Shell(line)) => Toml::texts(["CMD-SHELL", line]),
                    None => return Err(Kept::new("it runs nothing", "leave it out")),
                };
                fields.push(("test".to_owned(), test));
                for (name, value) in &check.options {
                    let value = match name.as_str() {
                        "retries" => match value.parse() {
                            Ok(0) => continue,
                            Ok(number) => Toml::Number(number),
                            Err(_) => return Err(Kept::new("its retries are no number", "say `retries = 3`")),
                        },
                        _ if matches!(value.as_str(), "0" | "0s" | "0ms") => continue,
                        _ if value.bytes().all(|b| b.is_ascii_digit()) => {
                            return Err(Kept::new(format!("`{value}` is no duration"), "say `\"30s\"`"));
                        }
                        _ => Toml::text(value),
                    };
                    fields.push((name.replace('-', "_"), value));
                }
                self.draft.set(Key::Healthcheck, Toml::Table(fields));
                let format = self.draft.set(Key::Format, Toml::text("docker"));
                format.comments = vec!["a health check is Docker's: the OCI format has no place for it".to_owned()];
                told(Key::Healthcheck)
            }
            Kind::Onbuild(_) => Err(Kept::new(
                "what others build on this image cannot be told here",
                "say it in the images that stand on this one",
            )),
            Kind::Copy(copy) => self.copy(project, here, copy, false),
            Kind::Add(copy) => self.copy(project, here, copy, true),
            Kind::Run(run) => {
                self.run_line(project, here, run);
                Ok(None)
            }
        }
    }

    /// Whether a directory is there already, made here or by the base.
    fn made(&self, path: &str) -> bool {
        path == "/" || self.workdirs.iter().any(|made| within(made, path)) || self.is_directory(path)
    }

    fn variable(&mut self, place: &str, name: &str, value: Value) -> Result<(), Kept> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty()
            || !name.bytes().all(good)
            || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            return Err(Kept::new("this is no name of a variable", "give it another name"));
        }
        let listed = name.ends_with("PATH") && name != "PATH";
        let (value, cut) = if listed { value.without_empty_entry(name) } else { (value, false) };
        let text = value.env().ok_or_else(|| Kept::new("its value cannot be written in a recipe", WRITE))?;
        if name == "PATH"
            && let Some(venv) =
                text.split(':').find_map(|entry| entry.strip_suffix("/bin")).filter(|root| self.venv_named(root))
        {
            self.venv = Some(venv.to_owned());
        }
        if name == "VIRTUAL_ENV" {
            self.venv = value.known();
        }
        let secret = ["PASSWORD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"]
            .iter()
            .any(|word| name.to_ascii_uppercase().contains(word));
        self.draft.put(Key::Env, name, Toml::text(text));
        if cut {
            self.draft.comment(
                Key::Env,
                format!(
                    "{place}: {name} without an empty entry where the base has none: that is the current directory"
                ),
            );
        }
        if value.arguments() {
            self.draft.comment(
                Key::Env,
                format!(
                    "{place}: {name} comes from the environment of `lapstrake build`, where it was a build argument"
                ),
            );
        }
        if name == "DEBIAN_FRONTEND" {
            self.draft.comment(Key::Env, format!("{place}: {name} is for apt alone: it can go"));
        }
        if secret {
            self.draft
                .comment(Key::Env, format!("{place}: {name} looks like a secret: whoever has the image can read it"));
        }
        self.env.insert(name.to_owned(), value);
        Ok(())
    }

    fn venv_named(&self, root: &str) -> bool {
        root.contains("venv")
            || self.venv.as_deref() == Some(root)
            || self.pythons.iter().any(|python| python.venv.as_deref() == Some(root))
    }

    /// A command as a list, and what is to be said about it.
    fn form(&self, form: &Form) -> (Toml, Option<String>) {
        match form {
            Form::Exec(list) => (Toml::texts(list), None),
            Form::Shell(line) => {
                let shell = self.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                let list = Toml::texts(shell.iter().map(String::as_str).chain([line.as_str()]));
                let plain =
                    !line.contains(['$', '|', '&', ';', '<', '>', '(', ')', '`', '*', '"', '\'', '\\', '{', '~']);
                let comment = match (line.starts_with("exec "), plain) {
                    (true, _) => None,
                    (false, true) => {
                        let words: Vec<String> = line.split_whitespace().map(crate::recipe::quoted_whole).collect();
                        Some(format!(
                            "a shell stands in front and gets the signals: [{}] does without",
                            words.join(", ")
                        ))
                    }
                    (false, false) => {
                        Some("a shell stands in front and gets the signals: put `exec` before the command".to_owned())
                    }
                };
                (list, comment)
            }
        }
    }

    fn run_line(&mut self, project: &mut Project<'_>, here: &Here<'_>, run: &Run) {
        if self.draft.items.len() > MAX_ITEMS {
            let kept = Kept::new("there are too many commands in this image", "say what they do in the recipe");
            return self.keep(&here.place, &here.instruction.text, &kept);
        }
        let mut binds: Vec<Copied> = Vec::new();
        for mount in &run.mounts {
            if let Ok(mount) = self.plain(mount, here.escape)
                && let Some(item) = bind(&mount, &self.workdir, project.prefix(here.file))
            {
                binds.push(item);
            }
        }
        let posix = |name: &str| matches!(name.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash" | "zsh"));
        let script = match &run.form {
            Form::Exec(list) => match list.as_slice() {
                [shell, flag, script] if posix(shell) && flag.starts_with('-') && flag.ends_with('c') => {
                    Ok(shell::commands(script))
                }
                list => Err(vec![shell::Command {
                    text: list.join(" "),
                    what: Ok(shell::Simple {
                        words: list.iter().map(|word| shell::Word::literal(word)).collect(),
                        ..shell::Simple::default()
                    }),
                }]),
            },
            Form::Shell(line) => {
                if self.shell.as_ref().is_some_and(|shell| shell.first().is_some_and(|name| !posix(name))) {
                    let kept = Kept::new("its shell is none that is known here", "say what it does in the recipe");
                    return self.keep(&here.place, &here.instruction.text, &kept);
                }
                match run.heredocs.as_slice() {
                    [] => Ok(shell::commands(line)),
                    [heredoc] if line.trim_start().starts_with("<<") && line.split_whitespace().count() == 1 => {
                        let text = &heredoc.text;
                        match text.starts_with("#!") && !text.lines().next().is_some_and(|line| line.ends_with("sh")) {
                            true => {
                                let kept = Kept::new(
                                    "it is a script of another language",
                                    "run it in the pipeline, before `lapstrake build`, and `copy` what comes of it",
                                );
                                return self.keep(&here.place, &format!("{} {text}", here.instruction.text), &kept);
                            }
                            false => Ok(shell::commands(&text.replace("\\\n", " "))),
                        }
                    }
                    _ => {
                        let kept =
                            Kept::new("it reads a heredoc", "write files with `files = { \"/path\" = '''…''' }`");
                        return self.keep(&here.place, &here.instruction.text, &kept);
                    }
                }
            }
        };
        let commands = script.unwrap_or_else(|list| list);
        self.run(&here.place, commands, &binds);
    }

    /// The image as it is when all lines are read: owners, what was only for installers, layers put together.
    pub(super) fn finished(mut self) -> State {
        let read = std::mem::take(&mut self.read);
        let mut left_out: BTreeMap<String, String> = BTreeMap::new();
        self.draft.items.retain(|item| match item {
            Item::Layer(Layer { source: Source::Copy(items), comments, .. }) => {
                let only = !items.is_empty()
                    && items.iter().all(|item| {
                        read.contains(&item.dest)
                            || (super::state::is_pattern(&item.src)
                                && read.iter().any(|path| super::state::origin(item, path).is_some()))
                    });
                if only {
                    for item in items {
                        left_out.insert(item.src.clone(), comments.first().cloned().unwrap_or_default());
                    }
                }
                !only
            }
            _ => true,
        });
        for (file, place) in &left_out {
            let reads = |layer: &Layer| match &layer.source {
                Source::Python(python) => {
                    python.requirements.contains(file)
                        || python.uv_lock.as_ref() == Some(file)
                        || python.wheels.contains(file)
                }
                _ => false,
            };
            let at = self.draft.layers().position(reads);
            let at = at.or_else(|| {
                self.draft.layers().position(|layer| matches!(layer.source, Source::Python(_) | Source::Debian { .. }))
            });
            if let Some(layer) = at.and_then(|at| self.draft.layers_mut().nth(at)) {
                layer.comments.push(format!(
                    "{place}: `{file}` is read where it is, and not copied: only the installer needed it"
                ));
            }
        }
        // A prefix that nobody took is a place like any other.
        for layer in self.draft.layers_mut() {
            if let Source::Python(python) = &mut layer.source
                && let Some(prefix) = python.prefix.take()
                && python.target.is_none()
                && !prefix.starts_with("/usr")
            {
                layer.comments.push(format!(
                    "there is no `prefix` in a recipe: these go to the interpreter's own place, not to {prefix}"
                ));
            }
        }
        self.own();
        let made: Vec<String> = self.workdirs.clone();
        let more: Vec<_> = made
            .iter()
            .filter(|dir| !within(&self.workdir, dir) && !self.draft.layers().any(|layer| matches!(&layer.source, Source::Copy(items) if items.iter().any(|item| within(&item.dest, dir)))))
            .map(|dir| (dir.clone(), None, None))
            .collect();
        if !more.is_empty() {
            let mut layer = Layer::new(Source::Dirs(more));
            layer.comments.push("directories that an earlier `WORKDIR` made".to_owned());
            self.add(layer);
        }
        merge(&mut self.draft);
        self
    }

    /// One `owner` for the image, where all that it is for agrees; else each layer says its own.
    fn own(&mut self) {
        let Some(owner) = self.workdir_owner.clone() else { return };
        let agree = self.draft.layers().filter(|layer| layer.owned()).all(|layer| layer.owner.as_ref() == Some(&owner));
        if !agree {
            self.draft
                .items
                .insert(0, Item::Layer(Layer::new(Source::Dirs(vec![(self.workdir.clone(), Some(owner), None)]))));
            return;
        }
        self.draft.set(Key::Owner, Toml::text(&owner));
        for layer in self.draft.layers_mut() {
            if layer.owned() {
                layer.owner = None;
            }
            match &mut layer.source {
                Source::Dirs(dirs) => {
                    for (_, known, _) in dirs {
                        *known = match known.take() {
                            Some(known) if known == owner => None,
                            None => Some("0:0".to_owned()),
                            other => other,
                        };
                    }
                }
                Source::Symlinks(_) => layer.owner = Some("0:0".to_owned()),
                _ => {}
            }
        }
    }
}

/// Puts layers together that follow each other and land alike.
fn merge(draft: &mut Draft) {
    let mut items: Vec<Item> = Vec::new();
    for item in std::mem::take(&mut draft.items) {
        if let (Some(Item::Layer(last)), Item::Layer(layer)) = (items.last_mut(), &item)
            && join(last, layer)
        {
            continue;
        }
        items.push(item);
    }
    draft.items = items;
}

fn join(last: &mut Layer, next: &Layer) -> bool {
    let alike = last.to == next.to
        && last.owner == next.owner
        && last.mode == next.mode
        && last.dir_mode == next.dir_mode
        && last.include == next.include
        && last.exclude == next.exclude
        && last.name == next.name;
    let joined = match (&mut last.source, &next.source) {
        _ if !alike => false,
        (Source::Copy(items), Source::Copy(more)) => {
            let apart = |one: &Copied, other: &Copied| {
                let wide =
                    |item: &Copied| item.how == super::draft::How::Contents || super::state::is_pattern(&item.src);
                !wide(one) && !wide(other) && !within(&one.dest, &other.dest) && !within(&other.dest, &one.dest)
            };
            let free = last.include.is_empty() && items.iter().all(|one| more.iter().all(|other| apart(one, other)));
            if free {
                items.extend(more.iter().cloned());
            }
            free
        }
        (Source::Dirs(dirs), Source::Dirs(more)) => {
            for (path, owner, mode) in more {
                match dirs.iter_mut().find(|(known, ..)| known == path) {
                    Some((_, known, bits)) => {
                        *known = owner.clone().or(known.take());
                        *bits = mode.clone().or(bits.take());
                    }
                    None => dirs.push((path.clone(), owner.clone(), mode.clone())),
                }
            }
            true
        }
        (Source::Symlinks(links), Source::Symlinks(more)) => {
            let free = more.iter().all(|(path, _)| links.iter().all(|(known, _)| known != path));
            if free {
                links.extend(more.iter().cloned());
            }
            free
        }
        (Source::Files(files), Source::Files(more)) => {
            let free = more.iter().all(|(path, _)| files.iter().all(|(known, _)| known != path));
            if free {
                files.extend(more.iter().cloned());
            }
            free
        }
        _ => false,
    };
    if joined {
        last.modes.extend(next.modes.iter().cloned());
        for comment in &next.comments {
            if !last.comments.contains(comment) {
                last.comments.push(comment.clone());
            }
        }
    }
    joined
}

/// A text of a Dockerfile for a comment.
pub(super) fn shown(text: &str) -> String {
    one_line(text)
}
