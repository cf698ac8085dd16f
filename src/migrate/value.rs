//! Values of a Dockerfile with what is known of their variables filled in, and how a recipe writes them.

use crate::dockerfile::expand::{Piece, Rule};

/// A value, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Value(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The base's value of a variable, by what a recipe's `env` writes: `${NAME}`, `${NAME:-x}`.
    Base(String),
    /// An argument of the build, with its default.
    Argument(String, Option<Box<Value>>),
    /// The architecture.
    Arch,
}

/// Why a value is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// Longer values are not filled in: a variable that holds itself twice grows at every line.
const MAX_LENGTH: usize = 4 << 10;

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Value(vec![Part::Text(text.into())])
    }

    pub(super) fn base(name: &str) -> Self {
        Value(vec![Part::Base(format!("${{{name}}}"))])
    }

    pub(super) fn argument(name: &str, default: Option<Value>) -> Self {
        match name {
            "TARGETARCH" if default.is_none() => Value(vec![Part::Arch]),
            _ => Value(vec![Part::Argument(name.to_owned(), default.map(Box::new))]),
        }
    }

    /// Fills the variables of a value in. `lookup` says what one holds; nothing where it is not set.
    pub(super) fn fill(pieces: &[Piece], lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Value, Unknown> {
        let mut value = Value::default();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => value.0.push(Part::Text(text.clone())),
                Piece::Variable { name, rule, word } => {
                    let found = lookup(name);
                    value.0.extend(variable(name, rule, word, found, lookup)?.0);
                }
            }
            if value.weight() > MAX_LENGTH {
                return Err(Unknown("it grows too long with its variables filled in".to_owned()));
            }
        }
        Ok(value)
    }

    fn weight(&self) -> usize {
        let part = |part: &Part| match part {
            Part::Text(text) | Part::Base(text) => text.len(),
            Part::Argument(name, default) => name.len() + default.as_ref().map_or(0, |value| value.weight()),
            Part::Arch => 6,
        };
        self.0.iter().map(part).sum::<usize>() + self.0.len()
    }

    /// The text, where it depends on nothing but arguments, which have their defaults then.
    pub(super) fn known(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Argument(_, Some(default)) => text.push_str(&default.known()?),
                Part::Argument(_, None) => {}
                Part::Base(_) | Part::Arch => return None,
            }
        }
        Some(text)
    }

    /// As paths of a recipe write it: the architecture is `{arch}`.
    pub(super) fn path(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(&escaped(part, false)),
                Part::Argument(_, Some(default)) => text.push_str(&default.path()?),
                Part::Argument(_, None) => {}
                Part::Arch => text.push_str("{arch}"),
                Part::Base(_) => return None,
            }
        }
        Some(text)
    }

    /// As labels and references write it: arguments come from the environment.
    pub(super) fn label(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(&escaped(part, false)),
                Part::Argument(name, default) => text.push_str(&from_environment(name, default.as_deref())?),
                Part::Arch => text.push_str("{arch}"),
                Part::Base(_) => return None,
            }
        }
        Some(text)
    }

    /// As `env` writes it: variables of the base are `${NAME}`.
    pub(super) fn env(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(&escaped(part, true)),
                Part::Argument(name, default) => text.push_str(&from_environment(name, default.as_deref())?),
                Part::Arch => text.push_str("{arch}"),
                Part::Base(part) => text.push_str(part),
            }
        }
        Some(text)
    }

    /// Whether an argument of the build plays a part.
    pub(super) fn arguments(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Argument(..)))
    }

    /// Of a list like Python's path: the base's value at its end, in a way that leaves no empty entry where there is none.
    pub(super) fn without_empty_entry(mut self, name: &str) -> (Self, bool) {
        let whole = format!("${{{name}}}");
        if let [.., Part::Text(before), Part::Base(last)] = self.0.as_mut_slice()
            && *last == whole
            && before.ends_with(':')
        {
            before.pop();
            *last = format!("${{{name}:+:{whole}}}");
            return (self, true);
        }
        (self, false)
    }
}

fn variable(
    name: &str,
    rule: &Rule,
    word: &[Piece],
    found: Option<Value>,
    lookup: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value, Unknown> {
    if *rule == Rule::Value {
        return Ok(found.unwrap_or_default());
    }
    // The base's variables are open: then the recipe says the same.
    if let Some(Value(parts)) = &found
        && let [Part::Base(_)] = parts.as_slice()
    {
        let sign = match rule {
            Rule::Default { empty } => {
                if *empty {
                    "-"
                } else {
                    ":-"
                }
            }
            Rule::Alternative { empty } => {
                if *empty {
                    "+"
                } else {
                    ":+"
                }
            }
            _ => return Err(Unknown(format!("what is done with `${{{name}…}}` depends on the base"))),
        };
        let inner = Value::fill(word, lookup)?;
        let text = inner.env().ok_or_else(|| Unknown(format!("`${{{name}…}}` cannot be written in a recipe")))?;
        return Ok(Value(vec![Part::Base(format!("${{{name}{sign}{text}}}"))]));
    }
    let unknown = || Unknown(format!("the value of `{name}` is not known"));
    let known = match &found {
        Some(value) => Some(value.known().ok_or_else(unknown)?),
        None => None,
    };
    let there = |empty: bool| known.as_ref().is_some_and(|text| empty || !text.is_empty());
    match rule {
        Rule::Default { empty } if there(*empty) => Ok(found.unwrap_or_default()),
        Rule::Alternative { empty } if !there(*empty) => Ok(Value::default()),
        Rule::Default { .. } | Rule::Alternative { .. } => Value::fill(word, lookup),
        Rule::Required { empty } if there(*empty) => Ok(found.unwrap_or_default()),
        Rule::Required { .. } => Err(Unknown(format!("`{name}` has to be given, and has no default"))),
        Rule::Edit(edit) => Err(Unknown(format!("`${{{name}{edit}}}` edits the value of a variable"))),
        Rule::Value => Ok(found.unwrap_or_default()),
    }
}

/// `{env.NAME:-default}`.
fn from_environment(name: &str, default: Option<&Value>) -> Option<String> {
    let default = match default {
        Some(default) => default.known()?,
        None => String::new(),
    };
    // A brace would end the placeholder.
    if default.contains(['{', '}']) {
        Some(escaped(&default, false))
    } else {
        Some(format!("{{env.{name}:-{default}}}"))
    }
}

/// Text that means itself: what a recipe would take for a placeholder or a variable is escaped.
pub(super) fn escaped(text: &str, dollars: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        let placeholder = |word: &str| rest.starts_with(word);
        match c {
            '{' if ["git.", "env.", "image}", "variant}", "arch}", "{"].iter().any(|word| placeholder(word)) => {
                out.push_str("{{");
            }
            '$' if dollars => out.push_str("$$"),
            c => out.push(c),
        }
    }
    out
}
