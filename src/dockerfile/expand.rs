//! Values with quotes and variables, as `ENV`, `COPY`, `FROM` and others take them: read, not filled in.

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that means itself.
    Literal(String),
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// What is done with its value.
        rule: Rule,
        /// The text of the rule.
        word: Vec<Piece>,
    },
}

/// What is done with the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `$X`: nothing.
    Value,
    /// `${X:-word}` and `${X-word}`: the word where there is none; `empty` where an empty one counts.
    Default {
        /// Whether an empty value counts as one.
        empty: bool,
    },
    /// `${X:+word}` and `${X+word}`: the word where there is one.
    Alternative {
        /// Whether an empty value counts as one.
        empty: bool,
    },
    /// `${X:?word}` and `${X?word}`: an error with that text where there is none.
    Required {
        /// Whether an empty value counts as one.
        empty: bool,
    },
    /// `${X#…}`, `${X%…}`, `${X/…/…}`: what stands after the name, as it is written.
    Edit(String),
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote is open at the end.
    #[error("the quote {0} has no end")]
    Quote(char),
    /// A `${` is open at the end.
    #[error("`${{` has no `}}`")]
    Brace,
    /// There is nothing between the braces, or something else after the name.
    #[error("`${{…}}` holds no variable, or what is done with it is not known")]
    Expression,
    /// Expressions in expressions.
    #[error("expressions are nested more than {MAX_DEPTH} deep")]
    Depth,
}

const MAX_DEPTH: usize = 20;

/// Reads a value: quotes are taken off, variables set apart.
///
/// # Errors
/// What BuildKit would not take either.
pub fn pieces(value: &str, escape: char) -> Result<Vec<Piece>, ExpandError> {
    let mut reader = Reader { rest: value, escape, quotes: true };
    reader.until(None, 0)
}

/// The same of a heredoc: quotes mean themselves.
///
/// # Errors
/// As [`pieces`].
pub fn pieces_of_heredoc(value: &str) -> Result<Vec<Piece>, ExpandError> {
    let mut reader = Reader { rest: value, escape: '\\', quotes: false };
    reader.until(None, 0)
}

struct Reader<'a> {
    rest: &'a str,
    escape: char,
    quotes: bool,
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Piece::Literal(text)) => text.push(c),
            _ => self.0.push(Piece::Literal(c.to_string())),
        }
    }
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Up to the end, or to a character, which is taken.
    fn until(&mut self, stop: Option<char>, depth: usize) -> Result<Vec<Piece>, ExpandError> {
        if depth > MAX_DEPTH {
            return Err(ExpandError::Depth);
        }
        let mut out = Pieces::default();
        loop {
            let Some(c) = self.next() else {
                return if stop.is_some() { Err(ExpandError::Brace) } else { Ok(out.0) };
            };
            match c {
                c if Some(c) == stop => return Ok(out.0),
                '\'' if self.quotes => {
                    if out.0.is_empty() {
                        out.0.push(Piece::Literal(String::new()));
                    }
                    let length = self.rest.find('\'').ok_or(ExpandError::Quote('\''))?;
                    self.rest[..length].chars().for_each(|c| out.push(c));
                    self.rest = &self.rest[length + 1..];
                }
                '"' if self.quotes => self.quoted(&mut out, depth)?,
                '$' => self.dollar(&mut out, depth)?,
                c if c == self.escape && self.quotes => {
                    if let Some(c) = self.next() {
                        out.push(c);
                    }
                }
                c if c == self.escape => match self.rest.chars().next() {
                    Some(next) if next == '$' || next == self.escape => {
                        out.push(next);
                        self.next();
                    }
                    _ => out.push(c),
                },
                c => out.push(c),
            }
        }
    }

    fn quoted(&mut self, out: &mut Pieces, depth: usize) -> Result<(), ExpandError> {
        if out.0.is_empty() {
            out.0.push(Piece::Literal(String::new()));
        }
        loop {
            match self.next().ok_or(ExpandError::Quote('"'))? {
                '"' => return Ok(()),
                '$' => self.dollar(out, depth)?,
                c if c == self.escape => {
                    let next = self.next().ok_or(ExpandError::Quote('"'))?;
                    if !(next == '"' || next == '$' || next == self.escape) {
                        out.push(c);
                    }
                    out.push(next);
                }
                c => out.push(c),
            }
        }
    }

    fn name(&mut self) -> String {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        let name = if self.rest.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &self.rest[..length] };
        let name = name.to_owned();
        self.rest = &self.rest[name.len()..];
        name
    }

    /// What stands after a dollar.
    fn dollar(&mut self, out: &mut Pieces, depth: usize) -> Result<(), ExpandError> {
        let Some(rest) = self.rest.strip_prefix('{') else {
            let name = self.name();
            match name.is_empty() {
                true => out.push('$'),
                false => out.0.push(Piece::Variable { name, rule: Rule::Value, word: Vec::new() }),
            }
            return Ok(());
        };
        self.rest = rest;
        let name = self.name();
        if name.is_empty() {
            return Err(if self.rest.contains('}') { ExpandError::Expression } else { ExpandError::Brace });
        }
        let colon = self.rest.starts_with(':');
        let empty = !colon;
        if colon {
            self.next();
        }
        let rule = match self.next().ok_or(ExpandError::Brace)? {
            '}' if !colon => {
                out.0.push(Piece::Variable { name, rule: Rule::Value, word: Vec::new() });
                return Ok(());
            }
            '-' => Rule::Default { empty },
            '+' => Rule::Alternative { empty },
            '?' => Rule::Required { empty },
            c @ ('#' | '%' | '/') if !colon => {
                let length = self.rest.find('}').ok_or(ExpandError::Brace)?;
                let edit = format!("{c}{}", &self.rest[..length]);
                self.rest = &self.rest[length + 1..];
                out.0.push(Piece::Variable { name, rule: Rule::Edit(edit), word: Vec::new() });
                return Ok(());
            }
            _ => return Err(ExpandError::Expression),
        };
        let word = self.until(Some('}'), depth + 1)?;
        out.0.push(Piece::Variable { name, rule, word });
        Ok(())
    }
}
