//! Files of logins: `.netrc`, and apt's `auth.conf`, which is much the same (apt_auth.conf(5)).

use crate::net::Secret;

/// Who we are at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetrcEntry {
    /// What stands behind `machine`: a host; in apt's form also `scheme://host:port/path`, all but the host optional.
    pub machine: String,
    /// The user name.
    pub login: String,
    /// The password; empty where there is none.
    pub password: Secret,
}

/// Which of the two forms a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetrcForm {
    /// `.netrc`: words that nobody knows are mistakes.
    Netrc,
    /// apt's: words that nobody knows are passed over.
    Apt,
}

/// Why such a file cannot be read. Nothing of what it holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not as in a netrc file: {reason}")]
pub struct NetrcError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// The entries of a file, in its order. `default` is passed over: a password for every server is for none.
///
/// # Errors
/// [`NetrcError`].
pub fn parse(text: &str, form: NetrcForm) -> Result<Vec<NetrcEntry>, NetrcError> {
    let mut entries = Vec::new();
    let mut words = Words { rest: text, line: 1 };
    let mut entry: Option<Partial> = None;
    while let Some(word) = words.next()? {
        match word.as_str() {
            "machine" => {
                entries.extend(entry.take().and_then(Partial::whole));
                entry = Some(Partial { machine: Some(words.value()?), ..Partial::default() });
            }
            "default" => {
                entries.extend(entry.take().and_then(Partial::whole));
                entry = Some(Partial::default());
            }
            "macdef" => words.skip_paragraph(),
            comment if comment.starts_with('#') => words.skip_line(),
            "login" | "user" if entry.is_some() => words.value_of(&mut entry, |entry| &mut entry.login)?,
            "password" if entry.is_some() => words.value_of(&mut entry, |entry| &mut entry.password)?,
            "account" if entry.is_some() => drop(words.value()?),
            _ if form == NetrcForm::Apt => {}
            _ => return Err(words.wrong("a word stands where `machine`, `login` or `password` is expected")),
        }
    }
    entries.extend(entry.and_then(Partial::whole));
    Ok(entries)
}

#[derive(Default)]
struct Partial {
    machine: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

impl Partial {
    fn whole(self) -> Option<NetrcEntry> {
        let machine = self.machine?;
        if self.login.is_none() && self.password.is_none() {
            return None;
        }
        let password = Secret::new(self.password.unwrap_or_default());
        Some(NetrcEntry { machine, login: self.login.unwrap_or_default(), password })
    }
}

struct Words<'a> {
    rest: &'a str,
    /// Where the last word stood, from 1.
    line: usize,
}

impl Words<'_> {
    fn wrong(&self, reason: &'static str) -> NetrcError {
        NetrcError { line: self.line, reason }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    /// The next word: up to white space, or in double quotes with backslashes before what is meant literally.
    fn next(&mut self) -> Result<Option<String>, NetrcError> {
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.advance(blank);
        if self.rest.is_empty() {
            return Ok(None);
        }
        if !self.rest.starts_with('"') {
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            let word = self.rest[..end].to_owned();
            self.advance(end);
            return Ok(Some(word));
        }
        let mut word = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.advance(at + 1);
                    return Ok(Some(word));
                }
                '\n' => break,
                '\\' => word.extend(chars.next().map(|(_, c)| c)),
                c => word.push(c),
            }
        }
        Err(self.wrong("a quotation mark is not closed"))
    }

    fn value(&mut self) -> Result<String, NetrcError> {
        let line = self.line;
        self.next()?.ok_or(NetrcError { line, reason: "a value is missing" })
    }

    fn value_of(
        &mut self,
        entry: &mut Option<Partial>,
        field: impl FnOnce(&mut Partial) -> &mut Option<String>,
    ) -> Result<(), NetrcError> {
        let value = self.value()?;
        if let Some(entry) = entry {
            *field(entry) = Some(value);
        }
        Ok(())
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.advance(end);
    }

    fn skip_paragraph(&mut self) {
        let end = self.rest.find("\n\n").unwrap_or(self.rest.len());
        self.advance(end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, form: NetrcForm) -> Result<Vec<String>, NetrcError> {
        let show = |entry: NetrcEntry| format!("{} {}:{}", entry.machine, entry.login, entry.password.expose());
        parse(text, form).map(|entries| entries.into_iter().map(show).collect())
    }

    #[test]
    fn entries_are_read_in_every_shape() {
        let text = "# a comment with machine in it\n\
                    machine one.example.com login bob password pass#word\n\
                    machine two.example.com\n\tlogin \"bob smith\"\n\tpassword \"a\\\"b\\\\c\"\n\
                    macdef init\ncd /x\nmachine no login no password no\n\n\
                    machine three.example.com user token\n\
                    machine four.example.com\n\
                    machine five.example.com account x password alone # why\n\
                    default login anonymous password guest\n";
        assert_eq!(
            shown(text, NetrcForm::Netrc).unwrap(),
            [
                "one.example.com bob:pass#word",
                "two.example.com bob smith:a\"b\\c",
                "three.example.com token:",
                "five.example.com :alone",
            ]
        );
        assert!(!format!("{:?}", parse(text, NetrcForm::Netrc)).contains("pass#word"));
        let text = "machine http://example.org:8080/debian port x login apt password debian";
        assert_eq!(shown(text, NetrcForm::Apt).unwrap(), ["http://example.org:8080/debian apt:debian"]);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_alone() {
        for (text, line) in [
            ("machine a login b password c hunter22\n", 1),
            ("\n\nmachine a\n login b\n password hunter22 hunter22", 5),
            ("machine a login b password \"hunter22\n", 1),
            ("machine a\nlogin b\npassword", 3),
            ("login b password hunter22", 1),
        ] {
            let error = parse(text, NetrcForm::Netrc).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("hunter22"));
        }
        assert_eq!(shown("", NetrcForm::Netrc).unwrap(), [""; 0]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[\"#\n\\\\ ]|machine |login |macdef ){0,60}") {
            let _ = (parse(&text, NetrcForm::Netrc), parse(&text, NetrcForm::Apt));
        }
    }
}
