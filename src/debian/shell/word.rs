//! Words of a shell script: quotes, parameters, and commands in them.

use std::rc::Rc;

use super::parse::{Parser, SyntaxError, is_end, parse_at};
use super::syntax::{Dialect, Part, Script, Word};

type Parsed<T> = Result<T, SyntaxError>;

/// Whether this is a name that a parameter may have.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

/// The words of a line that is no command (sysusers.d(5) and the like): quotes taken off, nothing computed.
pub fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn text(parts: &mut Vec<Part>, c: char, quoted: bool) {
    match (parts.last_mut(), quoted) {
        (Some(Part::Text(text)), false) | (Some(Part::Quoted(text)), true) => text.push(c),
        (_, false) => parts.push(Part::Text(c.to_string())),
        (_, true) => parts.push(Part::Quoted(c.to_string())),
    }
}

impl Parser {
    /// The word at this place, if there is one.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek(0).filter(|c| !is_end(*c)) {
            match c {
                '\\' if self.peek(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                '\\' => {
                    self.next();
                    let c = self.next().ok_or_else(|| self.wrong("a backslash at the end"))?;
                    text(&mut parts, c, true);
                }
                '\'' => {
                    self.next();
                    parts.push(Part::Quoted(self.single()?));
                }
                '"' => {
                    self.next();
                    parts.push(Part::Quoted(String::new()));
                    self.double(Some('"'), &mut parts)?;
                }
                '$' | '`' => self.computed(false, &mut parts)?,
                '*' | '?' | '[' | ']' | '{' | '}' => {
                    self.next();
                    match parts.last_mut() {
                        Some(Part::Pattern(text)) => text.push(c),
                        _ => parts.push(Part::Pattern(c.to_string())),
                    }
                }
                '~' if parts.is_empty() => {
                    self.next();
                    parts.push(Part::Pattern("~".to_owned()));
                }
                c if !c.is_ascii() => return Err(self.wrong("a letter beyond ASCII outside of quotes")),
                c => {
                    self.next();
                    text(&mut parts, c, false);
                }
            }
        }
        // `[`, `[[` and their ends are words like others.
        if let [Part::Pattern(only)] = &parts[..]
            && matches!(only.as_str(), "[" | "]" | "[[" | "]]" | "{" | "}" | "{}")
        {
            parts = vec![Part::Text(only.clone())];
        }
        Ok((!parts.is_empty()).then_some(Word { parts }))
    }

    fn single(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(self.wrong("a quote without its end")),
            }
        }
    }

    /// What is in double quotes, up to their end or to that of the text.
    fn double(&mut self, end: Option<char>, parts: &mut Vec<Part>) -> Parsed<()> {
        loop {
            match self.peek(0) {
                None if end.is_none() => return Ok(()),
                None => return Err(self.wrong("a quote without its end")),
                Some(c) if Some(c) == end => {
                    self.next();
                    return Ok(());
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(c) => {
                            if !matches!(c, '$' | '`' | '"' | '\\') {
                                text(parts, '\\', true);
                            }
                            text(parts, c, true);
                        }
                    }
                }
                Some('$' | '`') => self.computed(true, parts)?,
                Some(c) => {
                    self.next();
                    text(parts, c, true);
                }
            }
        }
    }

    /// The text of a here-document, in which things are computed.
    ///
    /// It begins on `line`, and all that it runs is said to stand there.
    pub(super) fn document(&mut self, text: &str, line: usize) -> Parsed<Word> {
        let mut inner = Parser {
            characters: text.chars().collect(),
            at: 0,
            line,
            depth: self.depth,
            pending: Vec::new(),
            script: Script { dialect: self.script.dialect, ..Script::default() },
            begun: false,
        };
        let mut parts = Vec::new();
        inner.double(None, &mut parts)?;
        Ok(Word { parts })
    }

    /// A parameter, a command or a sum.
    fn computed(&mut self, quoted: bool, parts: &mut Vec<Part>) -> Parsed<()> {
        let line = self.line;
        if self.accept("`") {
            let mut inner = String::new();
            loop {
                match self.next() {
                    Some('`') => break,
                    Some('\\') => match self.next() {
                        Some(c @ ('`' | '$' | '\\')) => inner.push(c),
                        Some('"') if quoted => inner.push('"'),
                        Some(c) => inner.extend(['\\', c]),
                        None => return Err(self.wrong("a backquote without its end")),
                    },
                    Some(c) => inner.push(c),
                    None => return Err(self.wrong("a backquote without its end")),
                }
            }
            let body = Rc::new(parse_at(&inner, line, self.depth + 1, self.script.dialect)?);
            parts.push(Part::Command { body, quoted });
            return Ok(());
        }
        self.next();
        match self.peek(0) {
            // Shells put the line together before they look at what the sign begins.
            Some('\\') if self.peek(1) == Some('\n') => return Err(self.wrong("a sign cut from what it begins")),
            Some('(') if self.peek(1) == Some('\\') => return Err(self.wrong("a sign cut from what it begins")),
            Some('[') => return Err(self.wrong("a sum that is not understood")),
            Some('(') if self.peek(1) == Some('(') => {
                self.at += 2;
                let (mut inside, sh) = (0, self.script.dialect == Dialect::Sh);
                loop {
                    match self.next() {
                        Some('(') => inside += 1,
                        Some(')') if inside > 0 => inside -= 1,
                        Some(')') if self.accept(")") => break,
                        Some('$') if matches!(self.peek(0), Some('#' | '?')) => self.at += 1,
                        // In bash, what a name holds may be computed again, and run commands.
                        Some('$') if sh && self.peek(0).is_some_and(|c| c == '_' || c.is_ascii_alphabetic()) => {}
                        Some(c) if sh && (c == '_' || c.is_ascii_alphabetic()) => {}
                        Some(c) if c.is_ascii_digit() || " \t+-*/%<>!".contains(c) => {}
                        _ => return Err(self.wrong("a sum that is not understood")),
                    }
                }
                parts.push(Part::Arithmetic);
            }
            Some('(') => {
                self.at += 1;
                // What it says is a script of its own, in the midst of this one.
                let fresh = Script { dialect: self.script.dialect, ..Script::default() };
                let (outer, pending) = (std::mem::replace(&mut self.script, fresh), std::mem::take(&mut self.pending));
                let body = self.list(&[")"])?;
                self.at += 1;
                let inner = std::mem::replace(&mut self.script, outer);
                if !std::mem::replace(&mut self.pending, pending).is_empty() {
                    return Err(self.wrong("a here-document whose lines come after its command"));
                }
                parts.push(Part::Command { body: Rc::new(Script { body, ..inner }), quoted });
            }
            Some('{') => {
                self.at += 1;
                let part = self.braces(quoted)?;
                parts.push(part);
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                if self.peek(0) == Some('\\') && self.peek(1) == Some('\n') {
                    return Err(self.wrong("a parameter at the end of a line that goes on"));
                }
                parts.push(parameter(name, quoted));
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at += 1;
                parts.push(parameter(c.to_string(), quoted));
            }
            Some('\'' | '"') if !quoted => return Err(self.wrong("quotes that only bash has")),
            _ => text(parts, '$', true),
        }
        Ok(())
    }

    /// `${…}`, past its bracket.
    fn braces(&mut self, quoted: bool) -> Parsed<Part> {
        let length = self.peek(0) == Some('#') && self.peek(1) != Some('}');
        if length {
            self.at += 1;
        }
        let mut name = String::new();
        match self.peek(0) {
            Some(c) if "@*#?$!-".contains(c) => {
                name.push(c);
                self.at += 1;
            }
            _ => {
                while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                if !is_name(&name) && (name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit())) {
                    return Err(self.wrong("a parameter without a name"));
                }
            }
        }
        let operator = self.operator(length)?;
        let mut parts = Vec::new();
        loop {
            match self.peek(0) {
                Some('}') => {
                    self.next();
                    break;
                }
                Some('\'') if !quoted => {
                    self.next();
                    parts.push(Part::Quoted(self.single()?));
                }
                Some('"') => {
                    self.next();
                    parts.push(Part::Quoted(String::new()));
                    self.double(Some('"'), &mut parts)?;
                }
                Some('\\') => {
                    self.next();
                    let c = self.next().ok_or_else(|| self.wrong("a backslash at the end"))?;
                    text(&mut parts, c, true);
                }
                Some('$' | '`') => self.computed(quoted, &mut parts)?,
                Some(c) => {
                    self.next();
                    text(&mut parts, c, quoted);
                }
                None => return Err(self.wrong("a parameter without its end")),
            }
        }
        Ok(Part::Parameter { name, operator: operator.to_owned(), word: Word { parts }, quoted })
    }

    /// What is done with a parameter: what every shell has, and of bash what computes nothing by itself.
    fn operator(&mut self, length: bool) -> Parsed<&'static str> {
        const OPERATORS: [&str; 12] = [":-", ":=", ":?", ":+", "-", "=", "?", "+", "%%", "%", "##", "#"];
        if length {
            return match self.peek(0) {
                Some('}') => Ok("length"),
                _ => Err(self.wrong("a parameter with what is not understood")),
            };
        }
        if self.peek(0) == Some('}') {
            return Ok("");
        }
        if let Some(operator) = OPERATORS.into_iter().find(|operator| self.accept(operator)) {
            return Ok(operator);
        }
        let only_bash = ["//", "/", "^^", "^", ",,", ","];
        match only_bash.into_iter().find(|operator| self.script.dialect == Dialect::Bash && self.accept(operator)) {
            Some(operator) => Ok(operator),
            None => Err(self.wrong("a parameter with what is not understood")),
        }
    }
}

fn parameter(name: String, quoted: bool) -> Part {
    Part::Parameter { name, operator: String::new(), word: Word::default(), quoted }
}
