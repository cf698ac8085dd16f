//! The lines of `RUN`, as far as it takes to see what they do: commands in a row, with plain words. Nothing is run.

use crate::dockerfile::expand::{self, Piece};

/// One command of a line, or a part of it that is more than a plain command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// As it is written.
    pub(super) text: String,
    /// What it is, or why it is not looked into.
    pub(super) what: Result<Simple, &'static str>,
}

/// A command with plain words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// `NAME=value` in front of it.
    pub(super) variables: Vec<(String, Word)>,
    /// The program and its arguments.
    pub(super) words: Vec<Word>,
    /// The file that its output goes to, and whether it is added there.
    pub(super) output: Option<(Word, bool)>,
}

/// A word, quotes taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// Whether it is a pattern for file names.
    pub(super) pattern: bool,
}

/// More commands in one line are not looked into.
const MAX_COMMANDS: usize = 2_000;

const KEYWORDS: [&str; 12] = ["if", "for", "while", "until", "case", "function", "select", "{", "}", "!", "[[", "time"];

/// The commands of a line or script. Those in a row (`&&`, `;`, new lines) stand apart; `|| true` says nothing.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut rest = script;
    while !rest.trim().is_empty() {
        if commands.len() >= MAX_COMMANDS {
            commands
                .push(Command { text: rest.trim().to_owned(), what: Err("there are too many commands in this line") });
            break;
        }
        let (length, next, plain) = cut(rest);
        let text = rest[..length].trim();
        let keyword = text.split_whitespace().next().unwrap_or_default();
        if KEYWORDS.contains(&keyword) {
            // Where it ends is not looked for.
            commands.push(Command { text: rest.trim().to_owned(), what: Err("it is more than a row of commands") });
            break;
        }
        if !text.is_empty() && !text.starts_with('#') {
            commands.push(Command { text: text.to_owned(), what: plain.and_then(|()| simple(without_true(text))) });
        }
        rest = &rest[next..];
    }
    commands
}

/// `x || true` and `x || :` do what `x` does.
fn without_true(text: &str) -> &str {
    match text.rsplit_once("||") {
        Some((before, after)) if matches!(after.trim(), "true" | ":") => before.trim(),
        _ => text,
    }
}

/// Where the first command ends, where the next begins, and whether it is a plain one.
fn cut(text: &str) -> (usize, usize, Result<(), &'static str>) {
    let mut letters = text.char_indices().peekable();
    let mut plain = Ok(());
    let mut depth = 0_usize;
    let mut start = true;
    while let Some((at, c)) = letters.next() {
        let following = letters.peek().map(|(_, c)| *c);
        match c {
            '\\' => drop(letters.next()),
            '\'' => while letters.next().is_some_and(|(_, c)| c != '\'') {},
            '"' => {
                while let Some((_, c)) = letters.next() {
                    match c {
                        '"' => break,
                        '\\' => drop(letters.next()),
                        '`' => plain = Err("it uses what another command prints"),
                        '$' if letters.peek().is_some_and(|(_, c)| *c == '(') => {
                            plain = Err("it uses what another command prints");
                        }
                        _ => {}
                    }
                }
            }
            '`' => plain = Err("it uses what another command prints"),
            '$' if following == Some('(') => plain = Err("it uses what another command prints"),
            '$' if following == Some('{') => {
                for (_, c) in letters.by_ref() {
                    if c == '}' {
                        break;
                    }
                }
            }
            '(' => {
                depth += 1;
                plain = plain.and(Err("it is more than a row of commands"));
            }
            ')' => depth = depth.saturating_sub(1),
            '#' if start => {
                while letters.peek().is_some_and(|(_, c)| *c != '\n') {
                    letters.next();
                }
            }
            '&' if following == Some('&') && depth == 0 => return (at, at + 2, plain),
            '&' if text[..at].ends_with(['>', '<']) || following == Some('>') => {}
            '&' if depth == 0 => plain = Err("it goes on in the background"),
            '|' if following == Some('|') => {
                let tail = text[at + 2..].trim_start();
                let harmless = ["true", ":"].iter().any(|word| {
                    tail.strip_prefix(word)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ';', '\n', '&']))
                });
                letters.next();
                if !harmless {
                    plain = Err("what it does depends on how a command ends");
                }
            }
            '|' => plain = Err("commands are piped into each other"),
            ';' | '\n' if depth == 0 => return (at, at + 1, plain),
            _ => {}
        }
        start = c.is_whitespace();
    }
    (text.len(), text.len(), plain)
}

fn simple(text: &str) -> Result<Simple, &'static str> {
    let mut command = Simple::default();
    let mut raw: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars().peekable();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            raw.push(std::mem::take(word));
        }
    };
    while let Some(c) = letters.next() {
        match (quote, c) {
            (None, '\\') | (Some('"'), '\\') => {
                word.push(c);
                word.extend(letters.next());
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                word.push(c);
            }
            (Some(open), c) if c == open => {
                quote = None;
                word.push(c);
            }
            (None, '$') if letters.peek() == Some(&'{') => {
                word.push(c);
                for c in letters.by_ref() {
                    word.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            (None, '>' | '<') => {
                if !word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'&') {
                    end(&mut word);
                }
                let stream = std::mem::take(&mut word);
                let mut operator = format!("{stream}{c}");
                while let Some(c) = letters.next_if(|c| matches!(c, '>' | '<' | '&')) {
                    operator.push(c);
                }
                while letters.next_if(|c| c.is_whitespace()).is_some() {}
                // Which file it is stands in the same word.
                word = format!("\u{0}{operator}\u{0}");
            }
            (None, '#') if word.is_empty() => break,
            (None, c) if c.is_whitespace() => end(&mut word),
            (_, c) => word.push(c),
        }
    }
    end(&mut word);
    for part in raw {
        if let Some(rest) = part.strip_prefix('\u{0}') {
            let Some((operator, file)) = rest.split_once('\u{0}') else { return Err("it redirects nothing") };
            let file = read(file)?;
            let name = match file.pieces.as_slice() {
                [Piece::Literal(name)] => name.as_str(),
                _ => "",
            };
            match operator {
                "2>" | "2>>" | ">&" | "2>&" | "&>" if name == "/dev/null" || name == "1" || name == "2" => {}
                ">" | "1>" | ">>" | "1>>" if name == "/dev/null" => {}
                ">" | "1>" => command.output = Some((file, false)),
                ">>" | "1>>" => command.output = Some((file, true)),
                _ => return Err("it redirects what commands read or print"),
            }
            continue;
        }
        let assignment = part.split_once('=').filter(|(name, _)| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        match assignment {
            Some((name, value)) if command.words.is_empty() => {
                command.variables.push((name.to_owned(), read(value)?));
            }
            _ => command.words.push(read(&part)?),
        }
    }
    Ok(command)
}

/// A word of a command.
fn read(raw: &str) -> Result<Word, &'static str> {
    let pieces = expand::pieces(raw, '\\').map_err(|_| "its quotes and variables cannot be read")?;
    let mut quote = None;
    let mut pattern = false;
    let mut escaped = false;
    for c in raw.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '*' | '?' | '[') => pattern = true,
            _ => {}
        }
    }
    Ok(Word { pieces, pattern })
}

impl Word {
    /// A word that means itself.
    pub(super) fn literal(text: &str) -> Self {
        Word { pieces: vec![Piece::Literal(text.to_owned())], pattern: false }
    }
}
