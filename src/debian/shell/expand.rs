//! What words come to, with what is known of parameters.

use super::scope::Field;
use super::syntax::{Part, Word};
use super::walk::{MAX_DEPTH, Walk};

impl Walk<'_> {
    pub(super) fn all_positional(&self) -> Vec<Field> {
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
    pub(super) fn fields(&mut self, word: &Word) -> Vec<Field> {
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
                Part::Pattern(pattern) => {
                    field.push_pattern(pattern);
                    begun = true;
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
                                    done.push(std::mem::take(&mut field).ended());
                                }
                                field.push(word);
                                begun = !word.is_empty();
                            }
                        }
                        _ => {
                            field.push_unknown(!quoted || all);
                            begun = true;
                        }
                    }
                }
            }
        }
        if begun {
            done.push(field.ended());
        }
        done
    }

    /// What a word comes to where it is not cut.
    pub(super) fn field(&mut self, word: &Word) -> Field {
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

    pub(super) fn value(&mut self, word: &Word) -> Option<String> {
        let field = self.field(word);
        (!field.open).then_some(field.text)
    }

    /// The value of a part that is computed.
    pub(super) fn part(&mut self, part: &Part) -> Option<String> {
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
    pub(super) fn fits(&mut self, pattern: &Word, subject: Option<&str>) -> Option<bool> {
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
