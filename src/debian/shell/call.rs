//! Calls: builtins that change what is known, functions, and all others, which are told.

use std::rc::Rc;

use super::parse::parse;
use super::scope::{Field, Function};
use super::syntax::Command;
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
        match name.as_str() {
            "command" | "builtin" | "exec" => {
                match texts.first() {
                    None => return Some(true),
                    Some(Some("-v" | "-V")) if name == "command" => return None,
                    Some(Some(word)) if !word.starts_with('-') => return self.call(line, arguments, false),
                    _ => self.watch.trouble(line, &name),
                }
                return None;
            }
            "eval" => {
                let text: Option<Vec<&str>> = texts.iter().copied().collect();
                match text.map(|words| parse(&words.join(" "))) {
                    Some(Ok(script)) => return self.script(&script),
                    _ => self.watch.trouble(line, "eval"),
                }
                return None;
            }
            "trap" => {
                match texts.first() {
                    None | Some(Some("-" | "" | "-l" | "-p")) => {}
                    Some(Some(text)) if !text.starts_with('-') && text.parse::<u32>().is_err() => match parse(text) {
                        Ok(script) => {
                            let functions = self.scope.functions.iter();
                            let certain = functions.filter(|(_, (_, certain))| *certain).map(|(name, _)| name.clone());
                            self.traps.push((script, certain.collect()));
                        }
                        Err(_) => self.watch.trouble(line, "trap"),
                    },
                    Some(Some(text)) if text.parse::<u32>().is_ok() => {}
                    _ => self.watch.trouble(line, "trap"),
                }
                return Some(true);
            }
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                self.declare(line, &name, arguments);
                return None;
            }
            "unset" => {
                for (at, argument) in texts.iter().enumerate() {
                    match argument {
                        Some("-v") if at == 0 => {}
                        Some(name) if is_name(name) => {
                            self.scope.values.insert((*name).to_owned(), None);
                            self.scope.functions.remove(*name);
                        }
                        _ => self.watch.trouble(line, "unset of what it computes"),
                    }
                }
                return Some(true);
            }
            "read" | "getopts" => {
                self.set("OPTARG", None);
                for (argument, text) in arguments.iter().zip(&texts) {
                    match text {
                        Some(name) if is_name(name) => self.set(name, None),
                        Some(option) if option.starts_with('-') || name == "getopts" => {}
                        Some(_) => self.watch.trouble(line, &format!("{name} of what is no parameter")),
                        None if argument.text.starts_with('-') => {}
                        None => self.scope.forget(),
                    }
                }
                return None;
            }
            "set" => {
                match texts.iter().position(|text| *text == Some("--")) {
                    Some(at) => self.scope.positional = positional(&arguments[at + 1..]),
                    None if texts.iter().all(|text| text.is_some_and(|text| text.starts_with(['-', '+']))) => {}
                    None if texts == [Some("-o"), Some("pipefail")] || texts == [Some("-o"), Some("errexit")] => {}
                    None => self.scope.positional = None,
                }
                return Some(true);
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
            // It sets what it found.
            self.scope.values.insert("RET".to_owned(), None);
        }
        if name == "printf"
            && let Some(named) = texts.first().filter(|text| **text == Some("-v")).and_then(|_| texts.get(1))
        {
            match named.filter(|name| is_name(name)) {
                Some(name) => self.set(name, None),
                None => self.watch.trouble(line, "printf to what is no parameter"),
            }
        }
        status
    }

    /// What bash computes for a test may be a command.
    pub(super) fn check_test(&mut self, line: usize, name: &str, words: &[Field]) {
        let named = words.windows(2).any(|pair| pair[0].text() == Some("-v") && !pair[1].text().is_some_and(is_name));
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
                if !matches!(name.as_str(), "-x" | "-r" | "-g" | "--" | "-p") {
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
            if let Some((_, value)) = argument.text.split_once('=') {
                let value = (!argument.open).then(|| value.to_owned());
                self.set(&name, value);
            } else if how != "export" && how != "readonly" {
                self.scope.values.insert(name.clone(), None);
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
