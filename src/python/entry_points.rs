//! `entry_points.txt`, and the scripts that are made from it (packaging specifications, "Entry points specification").

use std::collections::BTreeMap;

use super::PythonVersion;
use crate::shown::Shown;

/// The most bytes that `entry_points.txt` may have.
pub const MAX_ENTRY_POINTS: u64 = 4 << 20;

/// The functions that become commands, by the command's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoints {
    scripts: BTreeMap<String, Function>,
}

/// A function of a module: `package.module:object.attribute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    module: String,
    attribute: String,
}

/// Why `entry_points.txt` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryPointsError {
    /// It is no UTF-8.
    #[error("entry_points.txt is no UTF-8")]
    Encoding,
    /// A line cannot be read.
    #[error("line {line} of entry_points.txt is neither a `[group]` nor `name = value` in one")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// A name that is none for a command.
    #[error(
        "the script {name} of entry_points.txt cannot be made: a command's name here is of letters, digits, `.`, `_`, `-`, `+` and `@`"
    )]
    Name {
        /// The name.
        name: Shown,
    },
    /// A value that is no function.
    #[error("the script {name} of entry_points.txt cannot be made: {value} is not `module:function`")]
    Value {
        /// The script.
        name: Shown,
        /// The value.
        value: Shown,
    },
    /// Two values for one name.
    #[error("entry_points.txt has the script {name} twice, with different values")]
    Twice {
        /// The script.
        name: Shown,
    },
}

impl EntryPoints {
    /// Reads the text. Groups other than `console_scripts` and `gui_scripts` make no commands and are passed over.
    ///
    /// # Errors
    /// [`EntryPointsError`].
    pub fn parse(text: &[u8]) -> Result<Self, EntryPointsError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = std::str::from_utf8(text).map_err(|_| EntryPointsError::Encoding)?;
        let mut scripts: BTreeMap<String, Function> = BTreeMap::new();
        let mut group = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let bad = EntryPointsError::Line { line: number + 1 };
            if let Some(name) = line.strip_prefix('[') {
                group = Some(name.strip_suffix(']').ok_or(bad)?.trim());
                continue;
            }
            let Some(group) = group else { return Err(bad) };
            if !matches!(group, "console_scripts" | "gui_scripts") {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(bad)?;
            let (name, value) = (name.trim(), value.trim());
            let shown = || Shown::new(name.as_bytes());
            if !is_command(name) {
                return Err(EntryPointsError::Name { name: shown() });
            }
            let function = Function::parse(value)
                .ok_or_else(|| EntryPointsError::Value { name: shown(), value: Shown::new(value.as_bytes()) })?;
            match scripts.get(name) {
                Some(there) if *there != function => return Err(EntryPointsError::Twice { name: shown() }),
                _ => scripts.insert(name.to_owned(), function),
            };
        }
        Ok(EntryPoints { scripts })
    }

    /// The commands, by name.
    pub fn scripts(&self) -> impl Iterator<Item = (&str, &Function)> {
        self.scripts.iter().map(|(name, function)| (name.as_str(), function))
    }

    /// Whether a file of `.data/scripts` is the command that setuptools made for one of these: ours takes its place.
    pub fn replaces(&self, file: &str) -> bool {
        let lower = file.to_ascii_lowercase();
        let stem = [".exe", "-script.py", ".pya"].iter().find(|end| lower.ends_with(*end));
        let name = stem.and_then(|end| file.get(..file.len() - end.len())).unwrap_or(file);
        self.scripts.contains_key(name)
    }

    /// The commands as pip makes them for that interpreter: pip's own wheel is known for commands that were named after the
    /// version that built it, and gets those of this version.
    #[must_use]
    pub fn for_version(mut self, version: PythonVersion) -> Self {
        for (name, old, joint) in [("pip", "pip", ""), ("easy_install", "easy_install", "-")] {
            let Some(function) = self.scripts.get(name).cloned() else { continue };
            self.scripts.retain(|script, _| {
                let rest = script.strip_prefix(old).and_then(|rest| rest.strip_prefix(joint));
                !rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
            });
            if name == "pip" {
                self.scripts.insert(format!("pip{}", version.major), function.clone());
            }
            self.scripts.insert(format!("{name}{joint}{}", version.short()), function);
        }
        self
    }
}

impl Function {
    /// `module:attribute`, with extras in brackets, which fall away. A module alone cannot be called.
    fn parse(text: &str) -> Option<Self> {
        let value = match text.split_once('[') {
            Some((value, extras)) => {
                let inner = extras.strip_suffix(']')?;
                inner.chars().all(|c| c.is_alphanumeric() || "._-, \t".contains(c)).then_some(value.trim_end())?
            }
            None => text,
        };
        let (module, attribute) = value.split_once(':')?;
        let (module, attribute) = (module.trim_end(), attribute.trim_start());
        let dotted = |text: &str| text.len() <= 500 && text.split('.').all(is_identifier);
        (dotted(module) && dotted(attribute))
            .then(|| Function { module: module.to_owned(), attribute: attribute.to_owned() })
    }

    /// The script that calls it, as pip writes it.
    pub fn script(&self, shebang: &str) -> String {
        let Function { module, attribute } = self;
        let import = attribute.split('.').next().unwrap_or(attribute);
        format!(
            "{shebang}import sys\nfrom {module} import {import}\nif __name__ == '__main__':\n    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit({attribute}())\n"
        )
    }
}

fn is_command(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
}

/// Python's identifiers, as far as they matter: letters, digits and underscores of any script, no digit first. Keywords
/// are no code that could do harm.
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// The first line of a script for that interpreter, as distlib writes it: where the kernel could not take the path (it has
/// blanks, or more than 127 bytes with the rest of the line), the shell finds it.
pub fn shebang(interpreter: &str) -> String {
    if !interpreter.contains(' ') && interpreter.len() + 3 <= 127 {
        return format!("#!{interpreter}\n");
    }
    let quoted = match interpreter.contains(' ') {
        true => format!("\"{interpreter}\""),
        false => interpreter.to_owned(),
    };
    format!("#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\n")
}

/// How the first line of a script of `.data/scripts` starts that is to be rewritten.
pub const REWRITTEN: &[u8] = b"#!python";

/// The script with another first line: as pip does it, options of the old one fall away.
pub fn rewritten(script: &[u8], shebang: &str) -> Vec<u8> {
    let end = script.iter().position(|byte| *byte == b'\n').map_or(script.len(), |at| at + 1);
    [shebang.as_bytes(), &script[end..]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<EntryPoints, EntryPointsError> {
        EntryPoints::parse(text.as_bytes())
    }

    fn names(points: &EntryPoints) -> Vec<&str> {
        points.scripts().map(|(name, _)| name).collect()
    }

    #[test]
    fn commands_of_both_groups() {
        let text = "\u{feff}# comment\r\n[console_scripts]\r\nflask = flask.cli:main\n Other=a.b : c.d [extra, two]\n; x\n[gui_scripts]\ngui = g:run\n[flask.commands]\nanything = ../../x; rm\nno equals\n";
        let points = parse(text).unwrap();
        assert_eq!(names(&points), ["Other", "flask", "gui"]);
        let (_, function) = points.scripts().next().unwrap();
        assert_eq!(
            function.script("#!/usr/bin/python3\n"),
            "#!/usr/bin/python3\nimport sys\nfrom a.b import c\nif __name__ == '__main__':\n    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit(c.d())\n"
        );
        assert!(points.replaces("flask") && points.replaces("flask-script.py") && points.replaces("flask.EXE"));
        assert!(!points.replaces("flask2") && !points.replaces("é"));
    }

    #[test]
    fn paths_and_code_are_refused() {
        for name in ["../x", "/bin/sh", "a/b", "a\\b", "a b", "..", ".", "-x", "", "a\u{202e}", "é", "a;b", "$x", "a\0"]
        {
            let text = format!("[console_scripts]\n{name} = a:b\n");
            assert!(matches!(parse(&text), Err(EntryPointsError::Name { .. })), "{name:?}");
        }
        for value in [
            "",
            "a",
            "a:",
            ":b",
            "a:b()",
            "a:b;import os",
            "os:system('x') or f",
            "a.b:c d",
            "a b:c",
            "1a:b",
            "a..b:c",
            "a:b:c",
            "a/b:c",
            "../a:b",
            "a:b [x",
            "a:b [x] y",
            "a:b [\"]",
            "a:b #c",
        ] {
            let text = format!("[gui_scripts]\nx = {value}\n");
            assert!(matches!(parse(&text), Err(EntryPointsError::Value { .. })), "{value:?}");
        }
        for text in ["x = a:b", "[console_scripts\nx=a:b", "[console_scripts]\nx"] {
            assert!(matches!(parse(text), Err(EntryPointsError::Line { .. })), "{text:?}");
        }
        assert!(parse("[console_scripts]\nx=a:b\nx=a:b\n").is_ok());
        assert!(matches!(
            parse("[console_scripts]\nx=a:b\n[gui_scripts]\nx=a:c\n"),
            Err(EntryPointsError::Twice { .. })
        ));
        assert_eq!(EntryPoints::parse(b"\xff"), Err(EntryPointsError::Encoding));
    }

    #[test]
    fn pip_gets_the_commands_of_its_version() {
        let points = parse("[console_scripts]\npip = p:m\npip3 = p:m\npip3.12 = p:m\npipx = x:y\n").unwrap();
        assert_eq!(names(&points.for_version("3.11.2".parse().unwrap())), ["pip", "pip3", "pip3.11", "pipx"]);
        let points = parse("[console_scripts]\npip3.9 = p:m\n").unwrap();
        assert_eq!(names(&points.for_version("3.11.2".parse().unwrap())), ["pip3.9"]);
    }

    #[test]
    fn first_lines() {
        assert_eq!(shebang("/usr/bin/python3"), "#!/usr/bin/python3\n");
        assert_eq!(shebang("/a b/python"), "#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n' '''\n");
        let longest = format!("/{}", "x".repeat(123));
        assert_eq!(shebang(&longest), format!("#!{longest}\n"));
        assert!(shebang(&format!("{longest}x")).starts_with("#!/bin/sh\n'''exec' /xxx"));
        let new = "#!/usr/bin/python3\n";
        assert_eq!(rewritten(b"#!python -E\nx\n", new), b"#!/usr/bin/python3\nx\n");
        assert_eq!(rewritten(b"#!pythonw", new), b"#!/usr/bin/python3\n");
    }

    proptest! {
        #[test]
        fn what_is_accepted_cannot_leave_the_directory(name in "[a-z./\\\\ \t;]{0,8}", value in "[a-z.:;()\\[\\] ]{0,12}") {
            if let Ok(points) = parse(&format!("[console_scripts]\n{name}={value}")) {
                for (name, function) in points.scripts() {
                    prop_assert!(!name.contains('/') && name != ".." && name != ".");
                    prop_assert!(!function.script("").contains(';'));
                }
            }
        }
    }
}
