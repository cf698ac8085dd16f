//! A script gone through: every command that may be reached, with what its words come to.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::parse::parse;
use super::scope::{Field, Function, Scope};
use super::syntax::{Command, Part, Redirect, Script, Simple, Word};
use super::test;
use super::word::is_name;

/// How many commands are looked at, loops and functions gone through.
const MAX_STEPS: usize = 50_000;

/// How deep functions and commands stand in each other.
const MAX_DEPTH: usize = 64;

/// Parameters that change what a command does by being set.
const TELLING: [&str; 8] =
    ["BASH_ENV", "ENV", "GLOBIGNORE", "SHELLOPTS", "BASHOPTS", "PERL5LIB", "PERL5OPT", "PYTHONPATH"];

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
        watch,
        documents: Vec::new(),
        steps: 0,
        depth: 0,
        left: Vec::new(),
        frames: Vec::new(),
        defined: BTreeMap::new(),
        traps: Vec::new(),
        line: 0,
    };
    walk.script(script);
    walk.traps();
}

struct Walk<'a> {
    scope: Scope,
    watch: &'a mut dyn Watch,
    /// The here-documents of the scripts that are gone through, the innermost last.
    documents: Vec<Vec<Word>>,
    steps: usize,
    depth: usize,
    /// What is known where loops and functions are left early, the innermost last.
    left: Vec<Vec<Scope>>,
    /// Parameters that functions have to themselves, with what they were before.
    frames: Vec<Vec<(String, Option<Option<String>>)>>,
    /// All that functions were, by name.
    defined: BTreeMap<String, Vec<Function>>,
    /// What is done at the end or on a signal, and the functions that there were when it was said.
    traps: Vec<(Script, BTreeSet<String>)>,
    line: usize,
}

type Status = Option<bool>;

impl Walk<'_> {
    fn script(&mut self, script: &Script) -> Status {
        self.documents.push(script.documents.clone());
        let status = self.list(&script.body);
        self.documents.pop();
        status
    }

    /// What is done on signals may be done at any place: nothing is known of parameters, and functions may be what they
    /// were anywhere.
    fn traps(&mut self) {
        for _ in 0..16 {
            for (script, certain) in std::mem::take(&mut self.traps) {
                self.scope = Scope::default();
                let function = |(name, bodies): (&String, &Vec<Function>)| {
                    (name.clone(), (bodies.clone(), certain.contains(name)))
                };
                self.scope.functions = self.defined.iter().map(function).collect();
                self.script(&script);
            }
        }
        if !self.traps.is_empty() {
            self.watch.trouble(self.line, "more than can be followed");
        }
    }

    /// In a process of its own: what it does to parameters is lost.
    fn apart(&mut self, go: impl FnOnce(&mut Self) -> Status) -> Status {
        let before = self.scope.clone();
        let status = go(self);
        self.scope = before;
        status
    }

    fn list(&mut self, list: &[Command]) -> Status {
        list.iter().fold(Some(true), |_, command| self.command(command))
    }

    /// Perhaps done, perhaps not.
    fn perhaps(&mut self, go: impl FnOnce(&mut Self) -> Status) -> Status {
        let before = self.scope.clone();
        go(self);
        let after = std::mem::take(&mut self.scope);
        self.scope = after.meet(&before);
        None
    }

    fn command(&mut self, command: &Command) -> Status {
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

    fn go(&mut self, command: &Command) -> Status {
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Pipeline { negated, parts } => {
                let status = match &parts[..] {
                    [one] => self.command(one),
                    parts => {
                        let mut last = None;
                        for part in parts {
                            last = self.apart(|walk| walk.command(part));
                        }
                        last
                    }
                };
                status.map(|status| status != *negated)
            }
            Command::Either { first, then, on_success } => match self.command(first) {
                Some(status) if status != *on_success => Some(status),
                Some(_) => self.command(then),
                None => self.perhaps(|walk| walk.command(then)),
            },
            Command::Subshell(list) => self.apart(|walk| walk.list(list)),
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
                self.command(command)
            }
        }
    }

    fn meet(&mut self, ends: Vec<Scope>) {
        let mut ends = ends.into_iter();
        if let Some(first) = ends.next() {
            self.scope = ends.fold(first, |scope, other| scope.meet(&other));
        }
    }

    /// Ends a loop or function: what holds is what holds wherever it was left.
    fn leave(&mut self) {
        let left = self.left.pop().unwrap_or_default();
        let scope = std::mem::take(&mut self.scope);
        self.scope = left.iter().fold(scope, Scope::meet);
    }

    /// Any number of rounds: until one more teaches nothing new.
    fn rounds(&mut self, mut body: impl FnMut(&mut Self) -> Status) {
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

    fn set(&mut self, name: &str, value: Option<String>) {
        let dangerous = match name {
            "PATH" => {
                let usual = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
                let all = |path: &String| path.split(':').all(|part| usual.contains(&part));
                !value.as_ref().is_some_and(all)
            }
            "IFS" => {
                self.scope.cut_elsewhere = true;
                false
            }
            name => {
                TELLING.contains(&name)
                    || name.starts_with("LD_")
                    || (name.starts_with("DPKG_") && !name.starts_with("DPKG_MAINTSCRIPT_"))
            }
        };
        if dangerous {
            self.watch.trouble(self.line, &format!("{name}="));
        }
        self.scope.values.insert(name.to_owned(), value);
    }

    fn redirects(&mut self, redirects: &[Redirect]) {
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
                _ => self.watch.write(redirect.line, &target),
            }
        }
    }

    fn simple(&mut self, simple: &Simple) -> Status {
        self.line = simple.line;
        let fields: Vec<Field> = simple.words.iter().flat_map(|word| self.fields(word)).collect();
        self.redirects(&simple.redirects);
        for (name, value) in &simple.assignments {
            let value = self.value(value);
            self.line = simple.line;
            self.set(name, value);
        }
        if fields.is_empty() {
            // What a command in an assignment said is what the assignment says.
            let computed = |word: &Word| word.parts.iter().any(|part| matches!(part, Part::Command { .. }));
            let computed = simple.assignments.iter().any(|(_, word)| computed(word)) || !simple.words.is_empty();
            return (!computed).then_some(true);
        }
        let status = self.call(simple.line, &fields, true);
        for (name, _) in &simple.assignments {
            self.scope.values.insert(name.clone(), None);
        }
        status
    }

    fn call(&mut self, line: usize, fields: &[Field], functions: bool) -> Status {
        let Some((called, arguments)) = fields.split_first() else { return None };
        let Some(name) = called.text().map(str::to_owned) else {
            self.watch.trouble(line, "what it computes");
            return None;
        };
        if functions && let Some((bodies, certain)) = self.scope.functions.get(&name).cloned() {
            for Function(body) in bodies {
                self.perhaps(|walk| walk.function(&body, arguments));
            }
            if certain {
                return None;
            }
        }
        let texts: Vec<Option<&str>> = arguments.iter().map(Field::text).collect();
        match name.as_str() {
            "command" | "builtin" | "exec" => {
                match texts.first() {
                    None => return Some(true),
                    Some(Some("-v" | "-V")) if name == "command" => return None,
                    Some(Some(word)) if !word.starts_with('-') => return self.call(line, arguments, false),
                    _ => self.watch.trouble(line, &name),
                }
                return None;
            }
            "eval" => {
                let text: Option<Vec<&str>> = texts.iter().copied().collect();
                match text.map(|words| parse(&words.join(" "))) {
                    Some(Ok(script)) => return self.script(&script),
                    _ => self.watch.trouble(line, "eval"),
                }
                return None;
            }
            "trap" => {
                match texts.first() {
                    None | Some(Some("-" | "" | "-l" | "-p")) => {}
                    Some(Some(text)) if !text.starts_with('-') && text.parse::<u32>().is_err() => match parse(text) {
                        Ok(script) => {
                            let functions = self.scope.functions.iter();
                            let certain = functions.filter(|(_, (_, certain))| *certain).map(|(name, _)| name.clone());
                            self.traps.push((script, certain.collect()));
                        }
                        Err(_) => self.watch.trouble(line, "trap"),
                    },
                    Some(Some(text)) if text.parse::<u32>().is_ok() => {}
                    _ => self.watch.trouble(line, "trap"),
                }
                return Some(true);
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                self.declare(line, &name, arguments);
                return None;
            }
            "unset" => {
                for (at, argument) in texts.iter().enumerate() {
                    match argument {
                        Some("-v") if at == 0 => {}
                        Some(name) if is_name(name) => {
                            self.scope.values.insert((*name).to_owned(), None);
                            self.scope.functions.remove(*name);
                        }
                        _ => self.watch.trouble(line, "unset of what it computes"),
                    }
                }
                return Some(true);
            }
            "read" | "getopts" => {
                self.set("OPTARG", None);
                for (argument, text) in arguments.iter().zip(&texts) {
                    match text {
                        Some(name) if is_name(name) => self.set(name, None),
                        Some(option) if option.starts_with('-') || name == "getopts" => {}
                        Some(_) => self.watch.trouble(line, &format!("{name} of what is no parameter")),
                        None if argument.text.starts_with('-') => {}
                        None => self.scope.forget(),
                    }
                }
                return None;
            }
            "set" => {
                match texts.iter().position(|text| *text == Some("--")) {
                    Some(at) => self.scope.positional = positional(&arguments[at + 1..]),
                    None if texts.iter().all(|text| text.is_some_and(|text| text.starts_with(['-', '+']))) => {}
                    None if texts == [Some("-o"), Some("pipefail")] || texts == [Some("-o"), Some("errexit")] => {}
                    None => self.scope.positional = None,
                }
                return Some(true);
            }
            "shift" => {
                let count = match texts[..] {
                    [] => Some(1),
                    [count] => count.and_then(|count| count.parse().ok()),
                    _ => None,
                };
                let positional = self.scope.positional.take().zip(count);
                self.scope.positional =
                    positional.filter(|(all, count)| all.len() >= *count).map(|(all, count)| all[count..].to_vec());
                return None;
            }
            "break" | "continue" | "return" => {
                let scope = self.scope.clone();
                self.left.iter_mut().for_each(|left| left.push(scope.clone()));
                return None;
            }
            "test" => {
                self.check_test(line, &name, arguments);
                return test::holds(arguments);
            }
            "[" | "[[" => {
                self.check_test(line, &name, arguments);
                let (end, words) = arguments.split_last()?;
                let plain = name == "[" || words.iter().all(|word| word.text() != Some("&&"));
                let ends = matches!(end.text(), Some("]" | "]]"));
                // In double brackets what is on the right of a sign is a pattern.
                return test::holds(words).filter(|_| plain && ends && (name == "[" || words.len() < 3));
            }
            "true" | ":" => return Some(true),
            "false" => return Some(false),
            _ => {}
        }
        let status = self.watch.call(&Call { line, words: fields });
        if name.starts_with("db_") || name == "." || name == "source" {
            // It sets what it found.
            self.scope.values.insert("RET".to_owned(), None);
        }
        if name == "printf" {
            if let Some(named) = texts.first().filter(|text| **text == Some("-v")).and_then(|_| texts.get(1)) {
                match named.filter(|name| is_name(name)) {
                    Some(name) => self.set(name, None),
                    None => self.watch.trouble(line, "printf to what is no parameter"),
                }
            }
        }
        status
    }

    /// What bash computes for a test may be a command.
    fn check_test(&mut self, line: usize, name: &str, words: &[Field]) {
        let named = words.windows(2).any(|pair| pair[0].text() == Some("-v") && !pair[1].text().is_some_and(is_name));
        let sums = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
        let summed = |pair: &[Field]| {
            let number =
                |field: &Field| field.text().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            pair[1].text().is_some_and(|text| sums.contains(&text)) && !(number(&pair[0]) && number(&pair[2]))
        };
        if named || (name == "[[" && words.windows(3).any(summed)) {
            self.watch.trouble(line, &format!("{name} of what it computes"));
        }
    }

    fn declare(&mut self, line: usize, how: &str, arguments: &[Field]) {
        for argument in arguments {
            let name = argument.text.split('=').next().unwrap_or_default().to_owned();
            if argument.many || (argument.open && !argument.text.contains('=')) {
                self.watch.trouble(line, &format!("{how} of what it computes"));
                continue;
            }
            if name.starts_with('-') && !argument.open {
                continue;
            }
            if !is_name(&name) {
                self.watch.trouble(line, &format!("{how} of what is no parameter"));
                continue;
            }
            if how == "local"
                && let Some(frame) = self.frames.last_mut()
            {
                frame.push((name.clone(), self.scope.values.get(&name).cloned()));
            }
            if let Some((_, value)) = argument.text.split_once('=') {
                let value = (!argument.open).then(|| value.to_owned());
                self.set(&name, value);
            } else if how != "export" && how != "readonly" {
                self.scope.values.insert(name, None);
            }
        }
    }

    fn function(&mut self, body: &Rc<Command>, arguments: &[Field]) -> Status {
        let outer = std::mem::replace(&mut self.scope.positional, positional(arguments));
        self.left.push(Vec::new());
        self.frames.push(Vec::new());
        self.command(body);
        self.leave();
        for (name, before) in self.frames.pop().unwrap_or_default().into_iter().rev() {
            self.scope.values.insert(name, before.flatten());
        }
        self.scope.positional = outer;
        None
    }

    fn all_positional(&self) -> Vec<Field> {
        match &self.scope.positional {
            Some(all) => {
                let field = |one: &Option<String>| match one {
                    Some(text) => Field::known(text),
                    None => Field { open: true, ..Field::default() },
                };
                all.iter().map(field).collect()
            }
            None => vec![Field { many: true, open: true, ..Field::default() }],
        }
    }

    /// What a word comes to, cut into fields.
    fn fields(&mut self, word: &Word) -> Vec<Field> {
        if let [Part::Parameter { name, operator, quoted, .. }] = &word.parts[..]
            && name == "@"
            && operator.is_empty()
            && *quoted
        {
            return self.all_positional();
        }
        if let [Part::Quoted(first), Part::Parameter { name, operator, quoted: true, .. }] = &word.parts[..]
            && first.is_empty()
            && name == "@"
            && operator.is_empty()
        {
            return self.all_positional();
        }
        let (mut done, mut field, mut begun) = (Vec::new(), Field::default(), false);
        for part in &word.parts {
            match part {
                Part::Text(text) | Part::Quoted(text) => {
                    field.push(text);
                    begun = true;
                }
                Part::Pattern(_) => {
                    (field.open, field.many, begun) = (true, true, true);
                }
                part => {
                    let quoted =
                        matches!(part, Part::Parameter { quoted: true, .. } | Part::Command { quoted: true, .. });
                    let all = matches!(part, Part::Parameter { name, .. } if name == "@");
                    match self.part(part) {
                        Some(value) if quoted && !all => {
                            field.push(&value);
                            begun = true;
                        }
                        // Cut at blanks; what could stand for files may be anything.
                        Some(value) if !value.contains(['*', '?', '[', '\\']) && !self.scope.cut_elsewhere && !all => {
                            let mut words = value.split([' ', '\t', '\n']);
                            if let Some(first) = words.next() {
                                field.push(first);
                                begun |= !first.is_empty();
                            }
                            for word in words {
                                if begun {
                                    done.push(std::mem::take(&mut field));
                                }
                                field.push(word);
                                begun = !word.is_empty();
                            }
                        }
                        _ => {
                            field.open = true;
                            field.many |= !quoted || all;
                            begun = true;
                        }
                    }
                }
            }
        }
        if begun {
            done.push(field);
        }
        done
    }

    /// What a word comes to where it is not cut.
    fn field(&mut self, word: &Word) -> Field {
        let mut field = Field::default();
        for part in &word.parts {
            match part {
                Part::Text(text) | Part::Quoted(text) => field.push(text),
                Part::Pattern(text) if text.starts_with('~') => field.open = true,
                Part::Pattern(text) => field.push(text),
                part => match self.part(part) {
                    Some(value) => field.push(&value),
                    None => field.open = true,
                },
            }
        }
        field
    }

    fn value(&mut self, word: &Word) -> Option<String> {
        let field = self.field(word);
        (!field.open).then_some(field.text)
    }

    /// The value of a part that is computed.
    fn part(&mut self, part: &Part) -> Option<String> {
        match part {
            Part::Text(text) | Part::Quoted(text) | Part::Pattern(text) => Some(text.clone()),
            Part::Arithmetic => None,
            Part::Command { body, .. } => {
                let line = self.line;
                self.depth += 1;
                match self.depth > MAX_DEPTH {
                    true => self.watch.trouble(line, "more than can be followed"),
                    false => _ = self.apart(|walk| walk.script(body)),
                }
                self.depth -= 1;
                self.line = line;
                None
            }
            Part::Parameter { name, operator, word, .. } => {
                let value = self.scope.value(name);
                let filled = value.as_ref().map(|value| !value.is_empty());
                match (operator.as_str(), filled) {
                    ("", _) => value,
                    (":-" | ":=" | ":?", Some(true)) | ("-" | "?", Some(true)) => value,
                    (":+", Some(false)) => value,
                    (":-", Some(false)) => self.value(word),
                    (":+", Some(true)) => self.value(word),
                    (":=" | "=", _) => {
                        self.value(word);
                        self.set(name, None);
                        None
                    }
                    _ => {
                        self.value(word);
                        None
                    }
                }
            }
        }
    }

    /// Whether a pattern of `case` fits; `None` where that is not known.
    fn fits(&mut self, pattern: &Word, subject: Option<&str>) -> Option<bool> {
        if let [Part::Pattern(all)] = &pattern.parts[..]
            && all.chars().all(|c| c == '*')
        {
            return Some(true);
        }
        // Literal text and stars.
        let mut pieces = vec![String::new()];
        let mut known = true;
        for part in &pattern.parts {
            match part {
                Part::Text(text) | Part::Quoted(text) => pieces.last_mut()?.push_str(text),
                Part::Pattern(text) if text.chars().all(|c| c == '*') => pieces.push(String::new()),
                part => {
                    self.part(part);
                    known = false;
                }
            }
        }
        let subject = subject.filter(|_| known)?;
        Some(fits_pieces(&pieces, subject))
    }
}

/// Arguments as positional parameters.
fn positional(arguments: &[Field]) -> Option<Vec<Option<String>>> {
    let counted = arguments.iter().all(|field| !field.many);
    counted.then(|| arguments.iter().map(|field| field.text().map(str::to_owned)).collect())
}

/// Whether a text consists of these pieces, with anything between them.
fn fits_pieces(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return pieces.first().is_some_and(|only| only == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        match rest.find(piece.as_str()) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}
