//! Programs that read and print, and can be told to write or run something: whether they are.

use crate::debian::shell::Field;

/// Whether an option of `sort` names a file to write to.
pub(super) fn writes_output(word: &Field) -> bool {
    word.text.starts_with("--o")
        || word.text.starts_with("--c")
        || (word.text.starts_with('-') && !word.text.starts_with("--") && word.text.contains('o'))
}

/// Whether `sed` only reads and prints.
pub(super) fn sed(arguments: &[Field]) -> bool {
    let (mut scripts, mut operands, mut words) = (0, 0, arguments.iter());
    while let Some(word) = words.next() {
        if word.many || (word.open && scripts == 0) {
            return false;
        }
        match word.text.as_str() {
            _ if word.open && (word.text.is_empty() || word.text.starts_with('-')) => return false,
            "-n" | "-E" | "-r" | "-u" | "-s" | "-z" | "--quiet" | "--silent" | "--regexp-extended" => {}
            "-e" | "-ne" | "-nre" | "-re" | "-Ee" | "-nEe" => {
                scripts += 1;
                if !words.next().is_some_and(|script| script.text().is_some_and(sed_script)) {
                    return false;
                }
            }
            option if option.starts_with('-') && option != "-" => return false,
            script if scripts == 0 && operands == 0 => {
                scripts += 1;
                if word.text().is_none() || !sed_script(script) {
                    return false;
                }
            }
            _ => operands += 1,
        }
    }
    scripts > 0
}

/// Whether a script of `sed` writes no file and runs nothing: simple commands behind simple addresses.
fn sed_script(script: &str) -> bool {
    let mut rest = script.trim_start_matches([' ', ';', '\n', '\t']);
    while !rest.is_empty() {
        // Addresses.
        loop {
            rest = match rest.chars().next() {
                Some('/') => match delimited(&rest[1..], '/') {
                    Some(rest) => rest,
                    None => return false,
                },
                Some(c) if c.is_ascii_digit() || matches!(c, '$' | ',' | '!' | ' ' | '\t' | '{' | '}') => &rest[1..],
                _ => break,
            };
        }
        let mut characters = rest.chars();
        rest = match characters.next() {
            None => return true,
            Some('d' | 'p' | 'q' | 'n' | 'N' | 'D' | 'P' | 'h' | 'H' | 'g' | 'G' | 'x' | '=') => characters.as_str(),
            Some(kind @ ('s' | 'y')) => {
                let Some(sign) = characters.next().filter(|sign| sign.is_ascii() && !matches!(sign, '\\' | '\n'))
                else {
                    return false;
                };
                let rest = delimited(characters.as_str(), sign).and_then(|rest| delimited(rest, sign));
                let Some(rest) = rest else { return false };
                let flags = if kind == 's' { &['g', 'p', 'i', 'I', '1', '2', '3'][..] } else { &[] };
                rest.trim_start_matches(flags)
            }
            _ => return false,
        };
        let next = rest.trim_start_matches([' ', '\t']);
        let end = next.trim_start_matches([';', '\n', ' ', '\t']);
        if !next.is_empty() && next.len() == end.len() && !next.starts_with('}') {
            return false;
        }
        rest = end;
    }
    true
}

/// What follows the sign that ends a part of `sed`.
fn delimited(text: &str, sign: char) -> Option<&str> {
    let (mut escaped, mut class) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // A sign in a class of characters does not end it in every `sed`: neither reading is taken.
            c if c == sign && class => return None,
            c if c == sign => return text.get(at + c.len_utf8()..),
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
    }
    None
}

/// Whether `awk` only reads and prints.
pub(super) fn awk(arguments: &[Field]) -> bool {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "-F" | "-v" if word.text().is_some() => {
                if words.next().is_none_or(|value| value.many) {
                    return false;
                }
            }
            option if option.len() > 2 && (option.starts_with("-F") || option.starts_with("-v")) && !word.many => {}
            program if word.text().is_some() && !program.starts_with('-') => {
                // What follows is read, or a parameter's value.
                return awk_program(program);
            }
            _ => return false,
        }
    }
    false
}

/// Whether a program of `awk` writes nothing and runs nothing.
fn awk_program(program: &str) -> bool {
    let words = ["system", "getline", "close", "fflush", "@", ">", "|", "ENVIRON", "PROCINFO", "eval"];
    let rest = program.replace("||", " ");
    !words.iter().any(|word| rest.contains(word))
}

/// Whether `find` only looks.
pub(super) fn find(arguments: &[Field]) -> bool {
    const ASKS: &[&str] = &[
        "-name",
        "-iname",
        "-path",
        "-type",
        "-maxdepth",
        "-mindepth",
        "-print",
        "-print0",
        "-o",
        "-a",
        "-not",
        "!",
        "(",
        ")",
        "-user",
        "-group",
        "-perm",
        "-newer",
        "-empty",
        "-prune",
        "-quit",
        "-xdev",
        "-lname",
        "-links",
        "-size",
        "-mtime",
        "-L",
        "-H",
        "-P",
        "-depth",
        "-follow",
        "-printf",
        "-regex",
        "-nouser",
        "-nogroup",
        "-xtype",
    ];
    arguments.iter().all(|word| match word.text() {
        Some(text) if text.starts_with('-') => ASKS.contains(&text),
        Some(_) => true,
        // A place to look at, or what stands behind a question.
        None => word.text.starts_with('/') && !word.may_be_option(),
    })
}
