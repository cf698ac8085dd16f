//! What a shell script says, as a tree.

use std::rc::Rc;

/// Which shell reads a script: they do not do the same with the same text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `/bin/sh`, which is dash in Debian.
    #[default]
    Sh,
    /// `/bin/bash`.
    Bash,
}

/// Commands, one after the other.
pub(super) type List = Vec<Command>;

/// A whole script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Which shell reads it.
    pub dialect: Dialect,
    /// What it does.
    pub body: List,
    /// Lines that are comments and nothing else: their numbers, from 0, and what they say after the `#`.
    pub comments: Vec<(usize, String)>,
    /// Here-documents, which redirections name by their place here.
    pub documents: Vec<Word>,
}

/// A command of any kind.
#[derive(Clone, Debug)]
pub enum Command {
    /// A program, builtin or function, or assignments alone.
    Simple(Simple),
    /// `! a | b`.
    Pipeline {
        /// Whether `!` stands before it.
        negated: bool,
        /// What is joined by bars.
        parts: List,
    },
    /// `a && b`, `a || b`.
    Either {
        /// What is done in any case.
        first: Box<Command>,
        /// What may follow.
        then: Box<Command>,
        /// Whether it follows success.
        on_success: bool,
    },
    /// `( … )`, and what is done in the background: it says nothing of whether it succeeded.
    Subshell(List),
    /// `{ … }`.
    Group(List),
    /// `if`, each `elif`, and `else`.
    If {
        /// Conditions, and what is done where they hold.
        arms: Vec<(List, List)>,
        /// What is done else.
        otherwise: List,
    },
    /// `while` and `until`.
    While {
        /// What is asked.
        condition: List,
        /// What is done.
        body: List,
    },
    /// `for`.
    For {
        /// The parameter.
        name: String,
        /// What it goes through; `None` for the positional parameters.
        words: Option<Vec<Word>>,
        /// What is done.
        body: List,
    },
    /// `case`.
    Case {
        /// What is looked at.
        word: Word,
        /// Patterns, and what is done where one fits.
        arms: Vec<(Vec<Word>, List)>,
    },
    /// A function's definition.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        body: Rc<Command>,
    },
    /// A compound command with redirections.
    Redirected {
        /// The command.
        command: Box<Command>,
        /// Where its streams go.
        redirects: Vec<Redirect>,
    },
}

/// A simple command.
#[derive(Clone, Debug, Default)]
pub struct Simple {
    /// The line that it begins on, from 0.
    pub line: usize,
    /// Assignments before it.
    pub assignments: Vec<(String, Word)>,
    /// Its words.
    pub words: Vec<Word>,
    /// Where its streams go.
    pub redirects: Vec<Redirect>,
}

/// One redirection.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The line that it stands on, from 0.
    pub line: usize,
    /// `<`, `>`, `>>`, `>|`, `<>`, `<&`, `>&` or `<<`.
    pub operator: &'static str,
    /// The file or stream; of a here-document, its end.
    pub target: Word,
    /// The here-document, as a place in [`Script::documents`].
    pub document: Option<usize>,
}

/// A word, in parts.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a word.
#[derive(Clone, Debug)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// Text in quotes, or behind a backslash.
    Quoted(String),
    /// What may stand for names of files, or for several words, where it is not quoted.
    Pattern(String),
    /// `$name`, `${name…}`.
    Parameter {
        /// The parameter; empty where what is done with it is not known here.
        name: String,
        /// `:-`, `-`, `:=`, `=`, `:?`, `?`, `:+`, `+`, or another one, which is not known.
        operator: String,
        /// What stands behind the operator.
        word: Word,
        /// Whether it is in quotes.
        quoted: bool,
    },
    /// `$(…)` and backquotes.
    Command {
        /// What is run.
        body: Rc<Script>,
        /// Whether it is in quotes.
        quoted: bool,
    },
    /// `$((…))`.
    Arithmetic,
}

impl Word {
    /// Its text, where it is plain and not quoted, as words must be that steer.
    pub fn plain(&self) -> Option<&str> {
        match &self.parts[..] {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its text with quotes taken off, where nothing in it is computed.
    pub fn literal(&self) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Text(text) | Part::Quoted(text) => Some(text.clone()),
            _ => None,
        };
        self.parts.iter().map(text).collect()
    }
}
