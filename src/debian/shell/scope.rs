//! What is known of parameters and functions at one place of a script, and what words come to there.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::syntax::Command;

/// What a word comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// What it says, or how it begins.
    pub text: String,
    /// Whether something follows that is not known.
    pub open: bool,
    /// Whether it may be any number of words.
    pub many: bool,
    /// Whether what is not known are names of files alone, in the one directory that the text names: `/etc/x/*.bin`.
    pub files: bool,
    /// Whether what is not known are names of files alone, in whatever directories: all begin with the text.
    pub(super) named: bool,
    /// The pattern behind the text, as it is written.
    pub(super) tail: String,
}

impl Field {
    /// A word that is known.
    pub fn known(text: impl Into<String>) -> Self {
        Field { text: text.into(), ..Field::default() }
    }

    /// Its text, where that is known.
    pub fn text(&self) -> Option<&str> {
        (!self.open && !self.many).then_some(&*self.text)
    }

    /// Whether it may be an option, or several words: what it is to a program is not known then.
    pub fn may_be_option(&self) -> bool {
        (self.many && !self.named) || (self.open && (self.text.is_empty() || self.text.starts_with('-')))
    }

    pub(super) fn push(&mut self, text: &str) {
        match self.open {
            false => self.text.push_str(text),
            true => self.tail.push_str(text),
        }
    }

    /// It goes on with a pattern.
    pub(super) fn push_pattern(&mut self, pattern: &str) {
        // Other signs make words that name files anywhere.
        let plain = pattern.chars().all(|c| matches!(c, '*' | '?' | '[' | ']'));
        self.named = plain && (self.named || !self.open);
        (self.open, self.many) = (true, true);
        self.tail.push_str(pattern);
    }

    /// It goes on with what is not known.
    pub(super) fn push_unknown(&mut self, many: bool) {
        (self.open, self.named) = (true, false);
        self.many |= many;
    }

    /// The word is at its end: names of files are in one directory where the pattern stands behind the last slash, and
    /// cannot be the directory above.
    pub(super) fn ended(mut self) -> Self {
        let hidden = self.text.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        self.files = self.named && !self.tail.contains('/') && !hidden;
        self
    }
}

/// What is known at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Parameters by name; `None` for those whose value is not known. What is not in here is not known either.
    pub(super) values: BTreeMap<String, Option<String>>,
    /// The positional parameters.
    pub(super) positional: Option<Vec<Option<String>>>,
    /// Functions by name: what they may be, and whether they are that for certain.
    pub(super) functions: BTreeMap<String, (Vec<Function>, bool)>,
    /// Whether fields may be cut at other signs than blanks.
    pub(super) cut_elsewhere: bool,
}

/// The body of a function, told from others by where it is.
#[derive(Clone, Debug)]
pub(super) struct Function(pub(super) Rc<Command>);

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Function {}

impl Scope {
    /// What holds whichever of two ways was taken.
    pub(super) fn meet(mut self, other: &Scope) -> Scope {
        for (name, value) in &mut self.values {
            if other.values.get(name) != Some(value) {
                *value = None;
            }
        }
        for name in other.values.keys() {
            self.values.entry(name.clone()).or_insert(None);
        }
        if self.positional != other.positional {
            self.positional = None;
        }
        for (name, (bodies, certain)) in &mut self.functions {
            match other.functions.get(name) {
                Some((others, also)) => {
                    *certain &= *also;
                    for body in others {
                        if !bodies.contains(body) {
                            bodies.push(body.clone());
                        }
                    }
                }
                None => *certain = false,
            }
        }
        for (name, (bodies, _)) in &other.functions {
            self.functions.entry(name.clone()).or_insert_with(|| (bodies.clone(), false));
        }
        self.cut_elsewhere |= other.cut_elsewhere;
        self
    }

    /// Nothing is known of any parameter any more.
    pub(super) fn forget(&mut self) {
        self.values.values_mut().for_each(|value| *value = None);
        self.positional = None;
    }

    /// The value of a parameter, where it is known.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        if let Ok(number) = name.parse::<usize>() {
            let positional = self.positional.as_ref()?;
            return positional.get(number.checked_sub(1)?).cloned().unwrap_or(Some(String::new()));
        }
        match name {
            "#" => self.positional.as_ref().map(|positional| positional.len().to_string()),
            "@" | "*" => {
                let all: Option<Vec<String>> = self.positional.as_ref()?.iter().cloned().collect();
                all.filter(|all| !self.cut_elsewhere || all.len() < 2).map(|all| all.join(" "))
            }
            name => self.values.get(name)?.clone(),
        }
    }
}
