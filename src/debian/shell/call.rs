//! Calls: builtins that change what is known, functions, and all others, which are told.

use std::rc::Rc;

use super::parse::parse;
use super::scope::{Field, Function};
use super::syntax::{Command, Dialect};
use super::test;
use super::walk::{Call, Status, Walk};
use super::word::is_name;

impl Walk<'_> {
    pub(super) fn call(&mut self, line: usize, fields: &[Field], functions: bool) -> Status {
        let (called, arguments) = fields.split_first()?;
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
        let sh = self.dialect == Dialect::Sh;
        match name.as_str() {
            // What dash does not have fails there, and changes nothing.
            "builtin" | "declare" | "typeset" | "source" | "[[" if sh => {
                self.watch.trouble(line, &format!("{name}, which only bash has"));
                return None;
            }
            "command" | "builtin" | "exec" => {
                match texts.first() {
                    None => return None,
                    Some(Some("-v" | "-V")) if name == "command" => return None,
                    Some(Some(word)) if !word.starts_with('-') => return self.call(line, arguments, false),
                    _ => self.watch.trouble(line, &name),
                }
                return None;
            }
            "eval" => {
                let text: Option<Vec<&str>> = texts.iter().copied().collect();
                match text.map(|words| parse(&words.join(" "), self.dialect)) {
                    Some(Ok(script)) => {
                        self.evaluate(&script, line);
                    }
                    _ => self.watch.trouble(line, "eval"),
                }
                return None;
            }
            "trap" => {
                match texts.first() {
                    None | Some(Some("-" | "" | "-l" | "-p")) => {}
                    Some(Some(text)) if !text.starts_with('-') && text.parse::<u32>().is_err() => {
                        match parse(text, self.dialect) {
                            Ok(script) => {
                                let functions = self.scope.functions.iter();
                                let certain =
                                    functions.filter(|(_, (_, certain))| *certain).map(|(name, _)| name.clone());
                                self.traps.push((script, certain.collect(), line));
                            }
                            Err(_) => self.watch.trouble(line, "trap"),
                        }
                    }
                    Some(Some(text)) if text.parse::<u32>().is_ok() => {}
                    _ => self.watch.trouble(line, "trap"),
                }
                return None;
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                self.declare(line, &name, arguments);
                return None;
            }
            "unset" => {
                for (at, argument) in texts.iter().enumerate() {
                    match argument {
                        Some("-v") if at == 0 => {}
                        Some(name) if is_name(name) && *name != "PATH" => {
                            self.scope.values.insert((*name).to_owned(), None);
                            // A parameter goes before a function.
                            if let Some((_, certain)) = self.scope.functions.get_mut(*name) {
                                *certain = false;
                            }
                        }
                        _ => self.watch.trouble(line, "unset of what it computes"),
                    }
                }
                return None;
            }
            "read" => {
                let mut words = arguments.iter().skip_while(|word| word.text() == Some("-r")).peekable();
                if words.next_if(|word| word.text() == Some("-p")).is_some() {
                    // What it asks; nobody sees it.
                    _ = words.next_if(|word| !word.may_be_option());
                }
                for word in words {
                    match word.text() {
                        Some(name) if is_name(name) => _ = self.set(name, None),
                        _ => self.watch.trouble(line, "read of what is no parameter"),
                    }
                }
                return None;
            }
            "getopts" => {
                match (texts.first(), texts.get(1)) {
                    (Some(Some(_)), Some(Some(name))) if is_name(name) => _ = self.set(name, None),
                    _ => self.watch.trouble(line, "getopts of what it computes"),
                }
                for name in ["OPTARG", "OPTIND"] {
                    self.scope.values.insert(name.to_owned(), None);
                }
                return None;
            }
            "set" => {
                self.options(line, arguments);
                return None;
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
            // It sets what it found, and what it needs for itself.
            self.scope.values.insert("RET".to_owned(), None);
            let own = |name: &String| name.starts_with('_') || name.starts_with("DEBCONF_") || name == "IFS";
            self.scope.values.iter_mut().filter(|(name, _)| own(name)).for_each(|(_, value)| *value = None);
        }
        if !sh && name == "printf" {
            match (texts.first(), texts.get(1)) {
                (Some(Some("-v")), Some(Some(name))) if is_name(name) => _ = self.set(name, None),
                (Some(Some(format)), _) if !format.starts_with('-') => {}
                (None, _) if arguments.first().is_some_and(|format| !format.may_be_option()) => {}
                _ => self.watch.trouble(line, "printf to what it computes"),
            }
        }
        if !sh && name == "wait" && arguments.iter().any(|word| word.many || word.text.starts_with('-')) {
            self.watch.trouble(line, "wait with an option");
        }
        status
    }

    /// `set`: options that change nothing of what commands mean, and positional parameters.
    fn options(&mut self, line: usize, arguments: &[Field]) {
        const NAMED: [&str; 6] = ["errexit", "nounset", "pipefail", "xtrace", "noglob", "verbose"];
        let mut words = arguments;
        while let Some((first, rest)) = words.split_first() {
            let letters = |text: &str| text.len() > 1 && text[1..].bytes().all(|byte| b"euxfv".contains(&byte));
            match first.text() {
                Some("--") => {
                    self.scope.positional = positional(rest);
                    return;
                }
                Some("-o" | "+o" | "-eo" | "-euo" | "-uo")
                    if rest.first().and_then(Field::text).is_some_and(|name| NAMED.contains(&name)) =>
                {
                    words = &rest[1..];
                }
                Some(text) if text.starts_with(['-', '+']) && letters(text) => words = rest,
                Some(text) if !text.starts_with(['-', '+']) => {
                    self.scope.positional = positional(words);
                    return;
                }
                None if !first.may_be_option() && !first.text.starts_with('+') => {
                    self.scope.positional = positional(words);
                    return;
                }
                _ => {
                    self.scope.positional = None;
                    self.watch.trouble(line, "set with what it computes");
                    return;
                }
            }
        }
    }

    /// What bash computes for a test may be a command.
    pub(super) fn check_test(&mut self, line: usize, name: &str, words: &[Field]) {
        if self.dialect == Dialect::Sh {
            return;
        }
        // Single brackets find their signs when words are known; a sign that names a parameter computes what it names.
        let sign = |field: &Field| match field.text() {
            Some(text) => matches!(text, "-v" | "-R"),
            None => name != "[[" && field.may_be_option(),
        };
        let harmless = |field: &Field| field.text().is_some_and(|text| !text.contains('['));
        let named = words.windows(2).any(|pair| sign(&pair[0]) && !(harmless(&pair[1]) || pair[1].text() == Some("]")))
            || (name != "[[" && words.iter().any(|word| word.many && !word.files));
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

    pub(super) fn declare(&mut self, line: usize, how: &str, arguments: &[Field]) {
        let mut kept = how == "readonly";
        for argument in arguments {
            let name = argument.text.split('=').next().unwrap_or_default().to_owned();
            if argument.many || (argument.open && !argument.text.contains('=')) {
                self.watch.trouble(line, &format!("{how} of what it computes"));
                continue;
            }
            if name.starts_with('-') && !argument.open {
                // Others change what values mean.
                let known = match how {
                    "declare" | "typeset" => matches!(name.as_str(), "-r" | "-g" | "--" | "-p"),
                    "export" | "readonly" => name == "-p",
                    _ => false,
                };
                if !known {
                    self.watch.trouble(line, &format!("{how} {name}"));
                }
                kept |= name == "-r";
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
            self.line = line;
            let mut told = false;
            if let Some((_, value)) = argument.text.split_once('=') {
                // A home directory may stand for a tilde.
                let value = (!argument.open && !value.contains('~')).then(|| value.to_owned());
                told = self.set(&name, value);
            } else if how != "export" && how != "readonly" {
                self.scope.values.insert(name.clone(), None);
            }
            if how == "export" && !told {
                self.exported(&name);
            }
            if kept {
                self.fixed.push(name);
            }
        }
    }

    pub(super) fn function(&mut self, body: &Rc<Command>, arguments: &[Field]) -> Status {
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
}

/// Arguments as positional parameters.
fn positional(arguments: &[Field]) -> Option<Vec<Option<String>>> {
    let counted = arguments.iter().all(|field| !field.many);
    counted.then(|| arguments.iter().map(|field| field.text().map(str::to_owned)).collect())
}
