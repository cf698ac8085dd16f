//! A script gone through: every command that may be reached, with what its words come to.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::{Field, Function, Scope};
use super::syntax::{Command, Dialect, Part, Redirect, Script, Simple, Word};

/// How many commands are looked at, loops and functions gone through.
const MAX_STEPS: usize = 50_000;

/// How deep functions and commands stand in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// Parameters that change what a command does by being set, or to which the shell gives other values.
const TELLING: [&str; 29] = [
    "CDPATH",
    "COLUMNS",
    "DIRSTACK",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FIGNORE",
    "FUNCNAME",
    "GETCONF_DIR",
    "GLOBIGNORE",
    "GROUPS",
    "HISTCMD",
    "HISTFILE",
    "LINENO",
    "LINES",
    "OLDPWD",
    "OPTIND",
    "PERL5LIB",
    "PERL5OPT",
    "PPID",
    "PS4",
    "PWD",
    "PYTHONPATH",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
];

/// Parameters that programs may be handed: they change what these say, or whether they ask, and not what they do.
const SEEN: [&str; 7] =
    ["DEBCONF_NONINTERACTIVE_SEEN", "DEBIAN_FRONTEND", "DEBIAN_PRIORITY", "LANG", "LANGUAGE", "PATH", "TZ"];

/// Builtins that change what is known: functions of these names.
const BUILTINS: [&str; 26] = [
    ".", ":", "break", "builtin", "command", "continue", "declare", "eval", "exec", "exit", "export", "getopts",
    "local", "printf", "read", "readonly", "return", "set", "shift", "source", "times", "trap", "typeset", "unset",
    "wait", "test",
];

/// A command that may be reached.
#[derive(Debug)]
pub struct Call<'a> {
    /// The line that it stands on, from 0.
    pub line: usize,
    /// Its name and arguments.
    pub words: &'a [Field],
}

/// Who hears what a script may do.
pub trait Watch {
    /// A program or builtin is called. Says whether it succeeds, where that is known.
    fn call(&mut self, call: &Call<'_>) -> Option<bool>;
    /// A file is written to.
    fn write(&mut self, line: usize, target: &Field);
    /// Something is done that cannot be told.
    fn trouble(&mut self, line: usize, what: &str);
}

/// Goes through a script that is called with these arguments.
pub fn walk(script: &Script, arguments: &[Option<&str>], values: &[(&str, &str)], watch: &mut dyn Watch) {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
    let positional = Some(arguments.iter().map(|argument| argument.map(str::to_owned)).collect());
    let scope = Scope { values, positional, ..Scope::default() };
    let mut walk = Walk {
        scope,
        dialect: script.dialect,
        watch,
        documents: Vec::new(),
        steps: 0,
        depth: 0,
        left: Vec::new(),
        frames: Vec::new(),
        fixed: Vec::new(),
        defined: BTreeMap::new(),
        traps: Vec::new(),
        line: 0,
        evaluated: None,
    };
    walk.script(script);
    walk.traps();
}

pub(super) struct Walk<'a> {
    pub(super) scope: Scope,
    pub(super) dialect: Dialect,
    pub(super) watch: &'a mut dyn Watch,
    /// The here-documents of the scripts that are gone through, the innermost last.
    pub(super) documents: Vec<Vec<Word>>,
    pub(super) steps: usize,
    pub(super) depth: usize,
    /// What is known where loops and functions are left early, the innermost last.
    pub(super) left: Vec<Vec<Scope>>,
    /// Parameters that functions have to themselves, with what they were before.
    pub(super) frames: Vec<Vec<(String, Option<Option<String>>)>>,
    /// Parameters that cannot be changed any more.
    pub(super) fixed: Vec<String>,
    /// All that functions were, by name.
    pub(super) defined: BTreeMap<String, Vec<Function>>,
    /// What is done at the end or on a signal, the functions that there were when it was said, and where.
    pub(super) traps: Vec<(Script, BTreeSet<String>, usize)>,
    pub(super) line: usize,
    /// The line that runs a text as a script, where one does: lines of that text are not the script's.
    pub(super) evaluated: Option<usize>,
}

pub(super) type Status = Option<bool>;

impl Walk<'_> {
    pub(super) fn script(&mut self, script: &Script) -> Status {
        self.documents.push(script.documents.clone());
        let status = self.list(&script.body);
        self.documents.pop();
        status
    }

    /// Goes through a text that is run as a script, all on the line that runs it.
    pub(super) fn evaluate(&mut self, script: &Script, line: usize) -> Status {
        let outer = self.evaluated.replace(self.evaluated.unwrap_or(line));
        let status = self.script(script);
        self.evaluated = outer;
        self.line = line;
        status
    }

    /// What is done on signals may be done at any place: nothing is known of parameters, and functions may be what they
    /// were anywhere.
    pub(super) fn traps(&mut self) {
        for _ in 0..16 {
            for (script, certain, line) in std::mem::take(&mut self.traps) {
                self.scope = Scope { cut_elsewhere: true, ..Scope::default() };
                let function = |(name, bodies): (&String, &Vec<Function>)| {
                    (name.clone(), (bodies.clone(), certain.contains(name)))
                };
                self.scope.functions = self.defined.iter().map(function).collect();
                self.evaluate(&script, line);
            }
        }
        if !self.traps.is_empty() {
            self.watch.trouble(self.line, "more than can be followed");
        }
    }

    /// In a process of its own: what it does to parameters is lost.
    pub(super) fn apart(&mut self, go: impl FnOnce(&mut Self) -> Status) -> Status {
        let before = self.scope.clone();
        let status = go(self);
        self.scope = before;
        status
    }

    pub(super) fn list(&mut self, list: &[Command]) -> Status {
        let mut status = Some(true);
        for command in list {
            status = self.command(command);
        }
        status
    }

    /// Perhaps done, perhaps not.
    pub(super) fn perhaps(&mut self, go: impl FnOnce(&mut Self) -> Status) -> Status {
        let before = self.scope.clone();
        go(self);
        let after = std::mem::take(&mut self.scope);
        self.scope = after.meet(&before);
        None
    }

    pub(super) fn command(&mut self, command: &Command) -> Status {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            if self.steps <= MAX_STEPS + 1 || self.depth > MAX_DEPTH {
                self.watch.trouble(self.line, "more than can be followed");
            }
            return None;
        }
        self.depth += 1;
        let status = self.go(command);
        self.depth -= 1;
        status
    }

    pub(super) fn go(&mut self, command: &Command) -> Status {
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Pipeline { negated, parts } => {
                let status = match &parts[..] {
                    [one] => self.command(one),
                    parts => {
                        // It may be told to fail where any of them does.
                        for part in parts {
                            self.apart(|walk| walk.command(part));
                        }
                        None
                    }
                };
                status.map(|status| status != *negated)
            }
            Command::Either { first, then, on_success } => match self.command(first) {
                Some(status) if status != *on_success => Some(status),
                Some(_) => self.command(then),
                None => self.perhaps(|walk| walk.command(then)),
            },
            Command::Subshell(list) => {
                self.apart(|walk| walk.list(list));
                None
            }
            Command::Group(list) => self.list(list),
            Command::If { arms, otherwise } => {
                let mut ends: Vec<Scope> = Vec::new();
                let mut status = None;
                let mut open = true;
                for (condition, body) in arms {
                    let held = self.list(condition);
                    if held == Some(false) {
                        continue;
                    }
                    let before = self.scope.clone();
                    status = self.list(body);
                    ends.push(std::mem::replace(&mut self.scope, before));
                    if held == Some(true) {
                        open = false;
                        break;
                    }
                }
                if open {
                    status = self.list(otherwise);
                    ends.push(std::mem::take(&mut self.scope));
                }
                let only = ends.len() == 1;
                self.meet(ends);
                status.filter(|_| only)
            }
            Command::While { condition, body } => {
                self.rounds(|walk| {
                    walk.list(condition);
                    walk.list(body)
                });
                None
            }
            Command::For { name, words, body } => {
                let fields = match words {
                    Some(words) => words.iter().flat_map(|word| self.fields(word)).collect(),
                    None => self.all_positional(),
                };
                if fields.iter().all(|field| field.text().is_some()) && fields.len() <= 64 {
                    self.left.push(Vec::new());
                    for field in fields {
                        self.set(name, Some(field.text));
                        self.list(body);
                    }
                    self.leave();
                } else {
                    self.rounds(|walk| {
                        walk.set(name, None);
                        walk.list(body)
                    });
                }
                None
            }
            Command::Case { word, arms } => {
                let subject = self.value(word);
                let mut ends = Vec::new();
                let mut open = true;
                for (patterns, body) in arms {
                    let fits = patterns.iter().map(|pattern| self.fits(pattern, subject.as_deref()));
                    let fits: Vec<Option<bool>> = fits.collect();
                    if fits.iter().all(|fits| *fits == Some(false)) {
                        continue;
                    }
                    let before = self.scope.clone();
                    self.list(body);
                    ends.push(std::mem::replace(&mut self.scope, before));
                    if fits.contains(&Some(true)) {
                        open = false;
                        break;
                    }
                }
                if open {
                    ends.push(self.scope.clone());
                }
                self.meet(ends);
                None
            }
            Command::Function { name, body } => {
                if BUILTINS.contains(&name.as_str()) {
                    // Some of them cannot be functions, and what a shell makes of the others is its own.
                    self.watch.trouble(self.line, &format!("{name}()"));
                }
                let function = Function(body.clone());
                let defined = self.defined.entry(name.clone()).or_default();
                if !defined.contains(&function) {
                    defined.push(function.clone());
                }
                self.scope.functions.insert(name.clone(), (vec![function], true));
                Some(true)
            }
            Command::Redirected { command, redirects } => {
                self.redirects(redirects);
                let status = self.command(command);
                status.filter(|_| !may_fail(redirects))
            }
        }
    }

    pub(super) fn meet(&mut self, ends: Vec<Scope>) {
        let mut ends = ends.into_iter();
        if let Some(first) = ends.next() {
            self.scope = ends.fold(first, |scope, other| scope.meet(&other));
        }
    }

    /// Ends a loop or function: what holds is what holds wherever it was left.
    pub(super) fn leave(&mut self) {
        let left = self.left.pop().unwrap_or_default();
        let scope = std::mem::take(&mut self.scope);
        self.scope = left.iter().fold(scope, Scope::meet);
    }

    /// Any number of rounds: until one more teaches nothing new.
    pub(super) fn rounds(&mut self, mut body: impl FnMut(&mut Self) -> Status) {
        for round in 0.. {
            if round == 8 {
                self.scope.forget();
            }
            let before = self.scope.clone();
            self.left.push(Vec::new());
            body(self);
            self.leave();
            let after = std::mem::take(&mut self.scope);
            self.scope = after.meet(&before);
            if self.scope == before || round > 64 {
                return;
            }
        }
    }

    /// Sets a parameter; says whether that was told as something that cannot be followed.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) -> bool {
        let dangerous = match name {
            "PATH" => {
                let usual = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
                let all = |path: &String| path.split(':').all(|part| usual.contains(&part));
                !value.as_ref().is_some_and(all)
            }
            name if self.fixed.iter().any(|fixed| fixed == name) => true,
            "IFS" => {
                self.scope.cut_elsewhere = true;
                false
            }
            name => {
                let families = ["BASH", "DPKG_", "LD_", "MALLOC_", "PERL", "PYTHON"];
                TELLING.contains(&name) || name == "_" || families.iter().any(|start| name.starts_with(start))
            }
        };
        if dangerous {
            self.watch.trouble(self.line, &format!("{name}="));
        }
        self.scope.values.insert(name.to_owned(), value);
        dangerous
    }

    pub(super) fn redirects(&mut self, redirects: &[Redirect]) {
        for redirect in redirects {
            if let Some(place) = redirect.document {
                let document = self.documents.last().and_then(|documents| documents.get(place)).cloned();
                self.fields(&document.unwrap_or_default());
                continue;
            }
            let target = self.field(&redirect.target);
            let stream =
                target.text().is_some_and(|text| text == "-" || text.bytes().all(|byte| byte.is_ascii_digit()));
            match redirect.operator {
                "<" => {}
                "<&" | ">&" if stream => {}
                _ => self.watch.write(self.evaluated.unwrap_or(redirect.line), &target),
            }
        }
    }

    pub(super) fn simple(&mut self, simple: &Simple) -> Status {
        let line = self.evaluated.unwrap_or(simple.line);
        self.line = line;
        let fields: Vec<Field> = simple.words.iter().flat_map(|word| self.fields(word)).collect();
        self.redirects(&simple.redirects);
        for (name, value) in &simple.assignments {
            let value = self.value(value);
            self.line = line;
            if !self.set(name, value) && !fields.is_empty() {
                self.exported(name);
            }
        }
        if fields.is_empty() {
            // What a command in an assignment said is what the assignment says.
            let computed = |word: &Word| word.parts.iter().any(|part| matches!(part, Part::Command { .. }));
            let computed = simple.assignments.iter().any(|(_, word)| computed(word)) || !simple.words.is_empty();
            return (!computed && !may_fail(&simple.redirects)).then_some(true);
        }
        let status = self.call(line, &fields, true);
        for (name, _) in &simple.assignments {
            self.scope.values.insert(name.clone(), None);
        }
        status.filter(|_| !may_fail(&simple.redirects))
    }

    /// A parameter that programs see from now on, or one of them does: some steer what programs do.
    pub(super) fn exported(&mut self, name: &str) {
        if !(SEEN.contains(&name) || name.starts_with("LC_")) {
            self.watch.trouble(self.line, &format!("{name}= for programs"));
        }
    }
}

/// Whether streams may not be had: then a command fails before it begins.
fn may_fail(redirects: &[Redirect]) -> bool {
    redirects.iter().any(|redirect| redirect.target.plain() != Some("/dev/null"))
}
