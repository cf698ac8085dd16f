//! Shell scripts read into trees: the grammar of POSIX, and of what bash adds only what scripts of packages use. What is
//! not known here is an error, and never passed over.

use std::rc::Rc;

use super::syntax::{Command, Dialect, List, Part, Redirect, Script, Simple, Word};
use super::word::is_name;

/// Words that steer, where a command may stand.
const STEERING: [&str; 19] = [
    "!", "{", "}", "if", "then", "elif", "else", "fi", "for", "do", "done", "while", "until", "case", "esac",
    "function", "select", "time", "coproc",
];

/// How deep commands may stand in commands.
const MAX_DEPTH: usize = 48;

/// Why a script cannot be read: the line, from 1, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is not understood.
    pub what: &'static str,
}

type Parsed<T> = Result<T, SyntaxError>;

/// Reads a script.
///
/// # Errors
/// Where it is no script, or says something that is not known here.
pub fn parse(script: &str, dialect: Dialect) -> Parsed<Script> {
    let parsed = parse_at(script, 0, 0, dialect)?;
    // Shells pass over some of them, take others for letters, and people see neither.
    let odd = |c: char| c.is_control() && c != '\t';
    match script.split('\n').position(|line| line.contains(odd)) {
        Some(line) => Err(SyntaxError { line: line + 1, what: "a control character" }),
        None => Ok(parsed),
    }
}

pub(super) fn parse_at(script: &str, line: usize, depth: usize, dialect: Dialect) -> Parsed<Script> {
    let mut parser = Parser {
        characters: script.chars().collect(),
        at: 0,
        line,
        depth,
        pending: Vec::new(),
        script: Script { dialect, ..Script::default() },
        begun: true,
    };
    let body = parser.list(&[])?;
    if parser.at < parser.characters.len() {
        return Err(parser.wrong("something ends that has not begun"));
    }
    if !parser.pending.is_empty() {
        return Err(parser.wrong("a here-document without its lines"));
    }
    Ok(Script { body, ..parser.script })
}

pub(super) struct Parser {
    pub(super) characters: Vec<char>,
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) depth: usize,
    /// Here-documents whose lines are still to come: end, whether tabs are taken off, whether it is quoted, place.
    pub(super) pending: Vec<(String, bool, bool, usize)>,
    pub(super) script: Script,
    /// Whether nothing but blanks stands before on the line.
    pub(super) begun: bool,
}

impl Parser {
    pub(super) fn wrong(&self, what: &'static str) -> SyntaxError {
        SyntaxError { line: self.line + 1, what }
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    pub(super) fn accept(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c));
        if fits {
            self.at += text.len();
        }
        fits
    }

    /// Goes past blanks, continued lines and a comment, but not past the end of the line.
    fn blanks(&mut self) {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek(1) == Some('\n') => {
                    self.at += 2;
                    self.line += 1;
                    self.begun = false;
                }
                Some('#') => {
                    let mut text = String::new();
                    while let Some(c) = self.peek(0).filter(|c| *c != '\n') {
                        text.push(c);
                        self.at += 1;
                    }
                    if self.begun {
                        self.script.comments.push((self.line, text[1..].to_owned()));
                    }
                }
                _ => return,
            }
        }
    }

    /// Ends a line: what was announced as here-documents follows.
    fn newline(&mut self) -> Parsed<()> {
        self.next();
        for (end, tabs, quoted, place) in std::mem::take(&mut self.pending) {
            let begin = self.line;
            let mut text = String::new();
            // Whether a line goes on: then the next one ends nothing.
            let mut joined = false;
            loop {
                if self.at >= self.characters.len() {
                    return Err(self.wrong("a here-document without its end"));
                }
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == end && !joined {
                    break;
                }
                joined = !quoted && line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
                text.push_str(line);
                text.push('\n');
            }
            let word = match quoted {
                true => Word { parts: vec![Part::Quoted(text)] },
                false => self.document(&text, begin)?,
            };
            if let Some(document) = self.script.documents.get_mut(place) {
                *document = word;
            }
        }
        self.begun = true;
        Ok(())
    }

    /// Goes past blanks, comments and ends of lines.
    fn lines(&mut self) -> Parsed<()> {
        loop {
            self.blanks();
            if self.peek(0) != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// The word that steers at this place, if it is one of those.
    fn steers(&self, words: &[&'static str]) -> Option<&'static str> {
        let fits = |word: &&&str| {
            let whole = word.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c));
            whole && (matches!(**word, ")" | ";;") || self.peek(word.len()).is_none_or(is_end))
        };
        words.iter().find(fits).copied()
    }

    fn expect(&mut self, word: &'static str) -> Parsed<()> {
        match self.steers(&[word]) {
            Some(word) => {
                self.at += word.len();
                self.begun = false;
                Ok(())
            }
            None => Err(self.wrong("something has no end")),
        }
    }

    /// Commands up to one of these words, which is left, or up to the end where there is none.
    pub(super) fn list(&mut self, until: &[&'static str]) -> Parsed<List> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("commands stand too deep in commands"));
        }
        let mut list = List::new();
        loop {
            self.lines()?;
            if self.peek(0).is_none() {
                if !until.is_empty() {
                    return Err(self.wrong("something has no end"));
                }
                break;
            }
            if self.steers(until).is_some() {
                break;
            }
            if matches!(self.peek(0), Some(')' | ';' | '&' | '|')) {
                if until.is_empty() && self.peek(0) == Some(')') {
                    break;
                }
                return Err(self.wrong("a sign where a command should be"));
            }
            self.begun = false;
            let mut command = self.chain()?;
            self.blanks();
            match (self.peek(0), self.peek(1)) {
                (Some(';'), next) if next != Some(';') && next != Some('&') => self.at += 1,
                (Some('&'), next) if next != Some('>') => {
                    self.at += 1;
                    command = Command::Subshell(vec![command]);
                }
                _ => {}
            }
            list.push(command);
        }
        self.depth -= 1;
        Ok(list)
    }

    /// `a && b || c`.
    fn chain(&mut self) -> Parsed<Command> {
        let mut first = self.pipeline()?;
        loop {
            self.blanks();
            let on_success = match (self.peek(0), self.peek(1)) {
                (Some('&'), Some('&')) => true,
                (Some('|'), Some('|')) => false,
                _ => return Ok(first),
            };
            self.at += 2;
            self.lines()?;
            self.begun = false;
            let then = Box::new(self.pipeline()?);
            first = Command::Either { first: Box::new(first), then, on_success };
        }
    }

    fn pipeline(&mut self) -> Parsed<Command> {
        let mut negated = false;
        while self.steers(&["!"]).is_some() {
            self.at += 1;
            negated = !negated;
            self.blanks();
        }
        let mut parts = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek(0) != Some('|') || self.peek(1) == Some('|') {
                break;
            }
            self.at += 1;
            if self.peek(0) == Some('&') {
                return Err(self.wrong("`|&`"));
            }
            self.lines()?;
            self.begun = false;
            parts.push(self.command()?);
        }
        match parts.len() {
            1 if !negated => Ok(parts.remove(0)),
            _ => Ok(Command::Pipeline { negated, parts }),
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        const BEGINS: [&str; 8] = ["{", "if", "while", "until", "for", "case", "function", "select"];
        let compound = match (self.peek(0), self.steers(&BEGINS)) {
            // A sum in bash, and brackets in brackets elsewhere.
            (Some('('), _) if self.peek(1) == Some('(') => return Err(self.wrong("`((`")),
            (Some('('), _) => {
                self.at += 1;
                let body = self.list(&[")"])?;
                self.at += 1;
                Command::Subshell(body)
            }
            (_, Some("{")) => {
                self.at += 1;
                let body = self.list(&["}"])?;
                self.expect("}")?;
                Command::Group(body)
            }
            (_, Some("if")) => self.branches()?,
            (_, Some(word @ ("while" | "until"))) => {
                self.at += word.len();
                let condition = self.list(&["do"])?;
                self.expect("do")?;
                let body = self.list(&["done"])?;
                self.expect("done")?;
                Command::While { condition, body }
            }
            (_, Some("for")) => self.round()?,
            (_, Some("case")) => self.cases()?,
            (_, Some(_)) => return Err(self.wrong("`function` or `select`")),
            (_, None) => return self.simple(),
        };
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => break,
            }
        }
        match redirects.is_empty() {
            true => Ok(compound),
            false => Ok(Command::Redirected { command: Box::new(compound), redirects }),
        }
    }

    fn branches(&mut self) -> Parsed<Command> {
        self.at += 2;
        let (mut arms, mut otherwise) = (Vec::new(), List::new());
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.steers(&["elif", "else", "fi"]) {
                Some("elif") => self.at += 4,
                Some("else") => {
                    self.at += 4;
                    otherwise = self.list(&["fi"])?;
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi")?;
        Ok(Command::If { arms, otherwise })
    }

    fn round(&mut self) -> Parsed<Command> {
        self.at += 3;
        self.blanks();
        let name = self.word()?.and_then(|word| word.plain().map(str::to_owned)).filter(|name| is_name(name));
        let name = name.ok_or_else(|| self.wrong("`for` without a parameter"))?;
        self.lines()?;
        let mut words = None;
        if self.steers(&["in"]).is_some() {
            self.at += 2;
            let mut found = Vec::new();
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => found.push(word),
                    None => break,
                }
            }
            words = Some(found);
        }
        if self.peek(0) == Some(';') {
            self.at += 1;
        }
        self.lines()?;
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(Command::For { name, words, body })
    }

    fn cases(&mut self) -> Parsed<Command> {
        self.at += 4;
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.wrong("`case` of nothing"))?;
        self.lines()?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.lines()?;
            if self.steers(&["esac"]).is_some() {
                break;
            }
            self.accept("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                let pattern = self.word()?.filter(|pattern| pattern.plain() != Some("esac"));
                patterns.push(pattern.ok_or_else(|| self.wrong("`case` without a pattern"))?);
                self.blanks();
                match self.next() {
                    Some('|') => {}
                    Some(')') => break,
                    _ => return Err(self.wrong("a pattern of `case` without its end")),
                }
            }
            let body = self.list(&[";;", "esac"])?;
            arms.push((patterns, body));
            if self.accept(";;") && self.peek(0) == Some('&') {
                return Err(self.wrong("`;;&`"));
            }
        }
        self.expect("esac")?;
        Ok(Command::Case { word, arms })
    }

    fn simple(&mut self) -> Parsed<Command> {
        let mut simple = Simple { line: self.line, ..Simple::default() };
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            // Inside `[[ … ]]` these are words, in the shell that has it.
            let inside = self.script.dialect == Dialect::Bash
                && simple.words.first().and_then(Word::plain) == Some("[[")
                && simple.words.last().and_then(Word::plain) != Some("]]");
            if inside && (self.accept("&&") || self.accept("||")) {
                simple.words.push(Word { parts: vec![Part::Text("&&".to_owned())] });
                continue;
            }
            let Some(word) = self.word()? else { break };
            let steers = word.plain().is_some_and(|word| STEERING.contains(&word));
            if steers && simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
                return Err(self.wrong("a word that steers, cut in two or out of place"));
            }
            let braces = matches!(word.parts.last(), Some(Part::Pattern(text)) if text.ends_with('}'));
            if braces && matches!(self.peek(0), Some('<' | '>')) {
                return Err(self.wrong("a redirection that only bash has"));
            }
            if self.peek(0) == Some('(') {
                let name = word.plain().filter(|name| is_name(&name.replace('-', "_")));
                let name = name.filter(|_| simple.words.is_empty() && simple.assignments.is_empty());
                let name = name.ok_or_else(|| self.wrong("a bracket inside a command"))?.to_owned();
                return self.function(name);
            }
            if simple.words.is_empty()
                && let Some(Part::Text(text)) = word.parts.first()
                && let Some((name, value)) = text.split_once('=').filter(|(name, _)| is_name(name))
            {
                if value.starts_with('~') || value.contains(":~") {
                    return Err(self.wrong("a home directory in a parameter"));
                }
                let (name, value) = (name.to_owned(), Part::Text(value.to_owned()));
                let rest = word.parts.into_iter().skip(1);
                simple.assignments.push((name, Word { parts: std::iter::once(value).chain(rest).collect() }));
                continue;
            }
            simple.words.push(word);
            self.blanks();
            if self.peek(0) == Some('(') {
                let [word] = &simple.words[..] else { return Err(self.wrong("a bracket inside a command")) };
                let name = word.plain().filter(|name| is_name(&name.replace('-', "_"))).map(str::to_owned);
                let name = name.filter(|_| simple.assignments.is_empty() && simple.redirects.is_empty());
                return self.function(name.ok_or_else(|| self.wrong("a bracket inside a command"))?);
            }
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
            return Err(self.wrong("a sign where a command should be"));
        }
        Ok(Command::Simple(simple))
    }

    fn function(&mut self, name: String) -> Parsed<Command> {
        self.at += 1;
        self.blanks();
        if !self.accept(")") {
            return Err(self.wrong("a bracket inside a command"));
        }
        self.lines()?;
        self.begun = false;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("commands stand too deep in commands"));
        }
        let body = self.command()?;
        self.depth -= 1;
        match body {
            Command::Simple(_) => Err(self.wrong("a function without brackets")),
            body => Ok(Command::Function { name, body: Rc::new(body) }),
        }
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        const OPERATORS: [&str; 9] = ["<<", "<>", "<&", ">>", ">|", ">&", "&>", "<", ">"];
        let digits = self.characters[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let both = digits == 0 && self.peek(0) == Some('&') && self.peek(1) == Some('>');
        if !(both || matches!(self.peek(digits), Some('<' | '>'))) {
            return Ok(None);
        }
        self.at += digits;
        let line = self.line;
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.accept(operator)) else { return Ok(None) };
        if matches!(self.peek(0), Some('(')) || (operator == "<<" && self.peek(0) == Some('<')) {
            return Err(self.wrong("a redirection that only bash has"));
        }
        let tabs = operator == "<<" && self.accept("-");
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.at += 1;
        }
        let target = self.word()?.ok_or_else(|| self.wrong("a redirection to nothing"))?;
        if operator != "<<" {
            // `&>` cuts the file off in every shell, whatever else it does.
            if operator == "&>" && self.script.dialect == Dialect::Sh {
                return Err(self.wrong("a redirection that only bash has"));
            }
            let operator = if operator == "&>" { ">" } else { operator };
            return Ok(Some(Redirect { line, operator, target, document: None }));
        }
        let end = target.literal().ok_or_else(|| self.wrong("a here-document with an end that is computed"))?;
        let quoted = target.plain().is_none();
        let place = self.script.documents.len();
        self.script.documents.push(Word::default());
        self.pending.push((end, tabs, quoted, place));
        Ok(Some(Redirect { line, operator, target, document: Some(place) }))
    }
}

/// Whether a character ends a word.
pub(super) fn is_end(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}
