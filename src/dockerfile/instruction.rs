//! One instruction: its flags, its forms, its words.

use std::ops::Range;

use super::expand::{self, ExpandError};
use super::lines::Line;
use super::words::{Flag, blanks, flags, heredoc, json, words};
use super::{Outcome, Source};
use crate::nearest::nearest;
use crate::recipe::{Diagnostic, Span};
use crate::shown::Shown;

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Number of its first line, from one.
    pub line: usize,
    /// Where it stands.
    pub span: Span,
    /// What it says, joined to one line, without heredocs.
    pub text: String,
    /// What it does.
    pub kind: Kind,
}

/// What an instruction does. Values keep their quotes and variables, but for lists in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `FROM`: a stage begins.
    From {
        /// What it stands on.
        base: String,
        /// `--platform`.
        platform: Option<String>,
        /// `AS`.
        name: Option<String>,
    },
    /// `ARG`: names, with what they are where nobody says.
    Arg(Vec<(String, Option<String>)>),
    /// `ENV`.
    Env(Vec<(String, String)>),
    /// `LABEL`; keys may be quoted.
    Label(Vec<(String, String)>),
    /// `COPY`.
    Copy(Box<Copy>),
    /// `ADD`.
    Add(Box<Copy>),
    /// `RUN`.
    Run(Run),
    /// `CMD`.
    Cmd(Form),
    /// `ENTRYPOINT`.
    Entrypoint(Form),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `USER`.
    User(String),
    /// `WORKDIR`.
    Workdir(String),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `HEALTHCHECK`; nothing where it is `NONE`.
    Healthcheck(Option<Healthcheck>),
    /// `ONBUILD`.
    Onbuild(String),
    /// `MAINTAINER`.
    Maintainer(String),
}

/// A command in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A list of arguments.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// `RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `--mount`, each as it is written.
    pub mounts: Vec<String>,
    /// What is run.
    pub form: Form,
    /// The heredocs that it names.
    pub heredocs: Vec<Heredoc>,
}

/// `COPY` or `ADD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// `--from`.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, each.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--unpack`.
    pub unpack: Option<bool>,
    /// What is copied, heredocs by their word.
    pub sources: Vec<String>,
    /// Where it goes.
    pub to: String,
    /// The heredocs among the sources.
    pub heredocs: Vec<Heredoc>,
}

/// `HEALTHCHECK CMD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// Options by name: `interval`, `timeout`, `start-period`, `start-interval`, `retries`.
    pub options: Vec<(String, String)>,
    /// What is run.
    pub test: Option<Form>,
}

/// A heredoc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Whether tabs at the front of lines fall away.
    pub chomp: bool,
    /// Whether variables in it are filled in.
    pub expand: bool,
    /// What is in it.
    pub text: String,
    /// Where its word stands in the joined line.
    pub(super) place: Range<usize>,
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads one.
pub(super) fn read(source: &Source, line: &Line, escape: char) -> Outcome<Instruction> {
    let text = line.text.trim_end();
    let length = text.find(char::is_whitespace).unwrap_or(text.len());
    let keyword = text[..length].to_ascii_uppercase();
    let start = length + (text[length..].len() - text[length..].trim_start().len());
    let reader = Reader { source, line, escape, keyword: &keyword, rest: &text[start..], start };
    let kind = reader.kind(length)?;
    let span = Span::new(0, line.place(0..text.len()));
    Ok(Instruction { line: line.number, span, text: text.to_owned(), kind })
}

struct Reader<'a> {
    source: &'a Source,
    line: &'a Line,
    escape: char,
    keyword: &'a str,
    /// What stands after the keyword, and where in the line that is.
    rest: &'a str,
    start: usize,
}

impl Reader<'_> {
    /// An error about a part of what stands after the keyword.
    fn error(&self, part: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Box<Diagnostic> {
        let place = self.line.place(part.start + self.start..part.end + self.start);
        Box::new(self.source.error(place, message).label(label))
    }

    fn all(&self) -> Range<usize> {
        0..self.rest.len()
    }

    fn kind(&self, length: usize) -> Outcome<Kind> {
        if !KEYWORDS.contains(&self.keyword) {
            let shown = Shown::new(self.keyword.as_bytes());
            let wrong = self.source.error(self.line.place(0..length), format!("there is no instruction {shown}"));
            let close = nearest(self.keyword, KEYWORDS).map(|close| format!("did you mean `{close}`?"));
            return Err(Box::new(wrong.label("expected an instruction").maybe_help(close)));
        }
        if self.rest.is_empty() {
            let place = self.line.place(0..length);
            let wrong = self.source.error(place, format!("`{}` says nothing", self.keyword));
            return Err(Box::new(wrong.label("expected arguments")));
        }
        match self.keyword {
            "ARG" => self.arguments(),
            "ENV" => self.pairs().map(Kind::Env),
            "LABEL" => self.pairs().map(Kind::Label),
            "FROM" => self.from(),
            "COPY" => self.copy(&["from", "chown", "chmod", "link", "parents", "exclude"]).map(Kind::Copy),
            "ADD" => {
                self.copy(&["chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"]).map(Kind::Add)
            }
            "RUN" => self.run(),
            "CMD" => Ok(Kind::Cmd(self.form(self.rest))),
            "ENTRYPOINT" => Ok(Kind::Entrypoint(self.form(self.rest))),
            "SHELL" => match json(self.rest) {
                Some(list) if !list.is_empty() => Ok(Kind::Shell(list)),
                _ => Err(self.error(
                    self.all(),
                    "`SHELL` takes a list",
                    "expected a list such as `[\"/bin/sh\", \"-c\"]`",
                )),
            },
            "EXPOSE" => self.list().map(Kind::Expose),
            "VOLUME" => match json(self.rest) {
                Some(list) => Ok(Kind::Volume(list)),
                None => self.list().map(Kind::Volume),
            },
            "USER" => self.value().map(Kind::User),
            "WORKDIR" => self.value().map(Kind::Workdir),
            "STOPSIGNAL" => self.value().map(Kind::StopSignal),
            "HEALTHCHECK" => self.healthcheck(),
            "ONBUILD" => Ok(Kind::Onbuild(self.rest.to_owned())),
            _ => Ok(Kind::Maintainer(self.rest.to_owned())),
        }
    }

    /// Flags that are known; each a name and its value.
    fn flags(&self, known: &[&'static str]) -> Outcome<(Vec<Flag>, usize)> {
        let (flags, rest) = flags(self.rest, self.escape);
        for (at, flag) in flags.iter().enumerate() {
            if !known.contains(&flag.name.as_str()) {
                let shown = Shown::new(format!("--{}", flag.name).as_bytes());
                let message = format!("`{}` has no flag {shown}", self.keyword);
                let list: Vec<String> = known.iter().map(|name| format!("`--{name}`")).collect();
                let label =
                    if known.is_empty() { "expected none".to_owned() } else { format!("expected {}", list.join(", ")) };
                let wrong = self.error(flag.place.clone(), message, label);
                let close = nearest(&flag.name, known.iter().copied());
                return Err(Box::new(wrong.maybe_help(close.map(|close| format!("did you mean `--{close}`?")))));
            }
            let several = ["exclude", "mount"].contains(&flag.name.as_str());
            if !several && flags[..at].iter().any(|other| other.name == flag.name) {
                return Err(self.error(
                    flag.place.clone(),
                    format!("`--{}` is given twice", flag.name),
                    "expected once",
                ));
            }
            let bare = ["link", "parents", "keep-git-dir", "unpack"].contains(&flag.name.as_str());
            match (&flag.value, bare) {
                (None, false) => {
                    let message = format!("`--{}` has no value", flag.name);
                    return Err(self.error(flag.place.clone(), message, format!("expected `--{}=…`", flag.name)));
                }
                (Some(value), true) if value != "true" && value != "false" => {
                    let message = format!("`--{}` is `true` or `false`", flag.name);
                    return Err(self.error(flag.place.clone(), message, "expected one of them"));
                }
                _ => {}
            }
        }
        Ok((flags, rest))
    }

    /// A value with variables that can be read.
    fn readable(&self, part: Range<usize>) -> Outcome<String> {
        let text = &self.rest[part.clone()];
        match expand::pieces(text, self.escape) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(self.error(part, error.to_string(), label(error))),
        }
    }

    fn value(&self) -> Outcome<String> {
        let (_, start) = self.flags(&[])?;
        self.readable(start..self.rest.len())
    }

    fn list(&self) -> Outcome<Vec<String>> {
        let (_, start) = self.flags(&[])?;
        let parts = blanks(&self.rest[start..]).into_iter().map(|word| word.start + start..word.end + start);
        parts.map(|part| self.readable(part)).collect()
    }

    fn form(&self, text: &str) -> Form {
        match json(text) {
            Some(list) => Form::Exec(list),
            None => Form::Shell(text.trim().to_owned()),
        }
    }

    fn arguments(&self) -> Outcome<Kind> {
        let mut arguments = Vec::new();
        for word in words(self.rest, self.escape) {
            let text = &self.rest[word.clone()];
            let (name, value) = match text.find('=') {
                Some(at) => (&text[..at], Some(self.readable(word.start + at + 1..word.end)?)),
                None => (text, None),
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(self.error(word, "`ARG` names no argument", "expected `NAME` or `NAME=default`"));
            }
            arguments.push((name.to_owned(), value));
        }
        Ok(Kind::Arg(arguments))
    }

    /// `NAME=value …`, or `NAME value to the end`.
    fn pairs(&self) -> Outcome<Vec<(String, String)>> {
        let parts = words(self.rest, self.escape);
        let Some(first) = parts.first().cloned() else { return Ok(Vec::new()) };
        if !self.rest[first.clone()].contains('=') {
            let value = self.rest[first.end..].trim_start();
            if value.is_empty() {
                let label = format!("expected `{}=value`", &self.rest[first.clone()]);
                return Err(self.error(first, format!("`{}` gives no value", self.keyword), label));
            }
            let name = self.rest[first].to_owned();
            let start = self.rest.len() - value.len();
            return Ok(vec![(name, self.readable(start..self.rest.len())?)]);
        }
        let mut pairs = Vec::new();
        for part in parts {
            let text = &self.rest[part.clone()];
            match text.find('=') {
                Some(0) | None => {
                    let message = format!("`{}` has a word that is no pair", self.keyword);
                    return Err(self.error(
                        part,
                        message,
                        "expected `name=value`; a value with blanks stands in quotes",
                    ));
                }
                Some(at) => pairs.push((text[..at].to_owned(), self.readable(part.start + at + 1..part.end)?)),
            }
        }
        Ok(pairs)
    }

    fn from(&self) -> Outcome<Kind> {
        let (flags, start) = self.flags(&["platform"])?;
        let parts: Vec<Range<usize>> =
            blanks(&self.rest[start..]).into_iter().map(|word| word.start + start..word.end + start).collect();
        let word = |at: usize| &self.rest[parts[at].clone()];
        let name = match parts.len() {
            1 => None,
            3 if word(1).eq_ignore_ascii_case("as") => Some(parts[2].clone()),
            _ => {
                let label = "expected `FROM image` or `FROM image AS name`";
                return Err(self.error(self.all(), "`FROM` names no base", label));
            }
        };
        if let Some(place) = &name {
            let name = self.rest[place.clone()].to_lowercase();
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let bad = !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(good);
            if bad || name == "scratch" || name == "context" {
                let label = "expected a letter first, then letters, digits, `-`, `_` and `.`";
                return Err(self.error(place.clone(), "this cannot be the name of a stage", label));
            }
        }
        Ok(Kind::From {
            base: self.readable(parts[0].clone())?,
            platform: flags.into_iter().find_map(|flag| flag.value),
            name: name.map(|place| self.rest[place].to_owned()),
        })
    }

    fn copy(&self, known: &[&'static str]) -> Outcome<Box<Copy>> {
        let (flags, start) = self.flags(known)?;
        let mut copy = Copy::default();
        for flag in flags {
            let on = flag.value.as_deref() != Some("false");
            match (flag.name.as_str(), flag.value) {
                ("from", value) => copy.from = value,
                ("chown", value) => copy.chown = value,
                ("chmod", value) => copy.chmod = value,
                ("checksum", value) => copy.checksum = value,
                ("exclude", Some(value)) => copy.exclude.push(value),
                ("parents", _) => copy.parents = on,
                ("unpack", _) => copy.unpack = Some(on),
                _ => {}
            }
        }
        let mut parts = Vec::new();
        match json(&self.rest[start..]) {
            Some(list) => parts.extend(list),
            None => {
                for word in blanks(&self.rest[start..]) {
                    let place = word.start + start..word.end + start;
                    let text = &self.rest[place.clone()];
                    // A heredoc's word may have one quote that is not closed for other words.
                    parts.push(match heredoc(text, 0..0) {
                        Some(_) => text.to_owned(),
                        None => self.readable(place)?,
                    });
                }
            }
        }
        let (Some(to), true) = (parts.pop(), !parts.is_empty()) else {
            let label = "expected what is copied, and where to";
            return Err(self.error(
                start..self.rest.len().max(start),
                format!("`{}` has one path only", self.keyword),
                label,
            ));
        };
        if parts.len() > 1 && !to.ends_with('/') && to != "." && !to.ends_with(['"', '\'']) && !to.contains('$') {
            let message = format!("`{}` of several sources goes to a directory", self.keyword);
            let wrong = self.error(start..self.rest.len(), message, "expected a `/` at the end of the last path");
            return Err(wrong);
        }
        copy.sources = parts;
        copy.to = to;
        copy.heredocs = self.line.heredocs.clone();
        Ok(Box::new(copy))
    }

    fn run(&self) -> Outcome<Kind> {
        let (flags, start) = self.flags(&["mount", "network", "security", "device"])?;
        let mounts = flags.into_iter().filter(|flag| flag.name == "mount").filter_map(|flag| flag.value).collect();
        let rest = &self.rest[start..];
        if rest.is_empty() {
            return Err(self.error(self.all(), "`RUN` runs nothing", "expected a command"));
        }
        Ok(Kind::Run(Run { mounts, form: self.form(rest), heredocs: self.line.heredocs.clone() }))
    }

    fn healthcheck(&self) -> Outcome<Kind> {
        let options = ["interval", "timeout", "start-period", "start-interval", "retries"];
        let (flags, start) = self.flags(&options)?;
        let rest = &self.rest[start..];
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        match rest[..length].to_ascii_uppercase().as_str() {
            "NONE" if rest[length..].trim().is_empty() => Ok(Kind::Healthcheck(None)),
            "CMD" if !rest[length..].trim().is_empty() => {
                let options = flags.into_iter().filter_map(|flag| Some((flag.name, flag.value?))).collect();
                let test = Some(self.form(&rest[length..]));
                Ok(Kind::Healthcheck(Some(Healthcheck { options, test })))
            }
            _ => Err(self.error(start..self.rest.len(), "the health check runs nothing", "expected `CMD …` or `NONE`")),
        }
    }
}

fn label(error: ExpandError) -> &'static str {
    match error {
        ExpandError::Quote(_) => "expected the other quote",
        ExpandError::Brace => "expected a `}` after it",
        ExpandError::Expression => "expected `${NAME}`, `${NAME:-default}` or `${NAME:+alternative}`",
        ExpandError::Depth => "expected fewer",
    }
}
