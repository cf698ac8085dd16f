//! What maintainer scripts amount to on a fresh install, so that none needs to be run.
//!
//! A table by package name says it where somebody has read the script, for packages of Debian's own archives: another
//! one may call its packages as it likes. Else the script is gone through as it would be on a fresh install
//! ([`super::shell`]), and each command that may be reached must be one that is known to leave no trace the way it is
//! called, to be done natively, or to be left out. A script that neither settles is reported with what it calls.
//!
//! Everywhere it is said what is known, never what is not: of expansions, of options, of parameters that programs see.

mod amounts;
mod commands;
#[cfg(test)]
mod deceptions;
mod readers;
mod removal;
mod sections;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

pub use removal::{Removal, Removed};

use self::amounts::Amounts;
use super::deb::Deb;
use super::effects::{accounts, alternatives};
use super::installation::go_through;
use super::shell::{Call, Dialect, Field, Watch, parse};

/// What the scripts of a package amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The package.
    pub package: String,
    /// What is done natively, in a few words each.
    pub native: BTreeSet<&'static str>,
    /// What is known and left out.
    pub left_out: BTreeSet<&'static str>,
    /// What is removed, which a fresh install should not have.
    pub removed: BTreeSet<Removal>,
    /// What is not known: the script, and what it calls.
    pub unknown: Vec<(&'static str, Vec<String>)>,
    /// The programs that it takes to be the usual ones.
    called: BTreeSet<String>,
}

/// Whose package it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of Debian's own archives, by its signature ([`super::is_own_archive`]): its name tells what it is.
    Debian,
    /// Another archive, or a file: its name tells nothing.
    Elsewhere,
}

impl Judgement {
    /// Whether everything is known.
    pub fn is_known(&self) -> bool {
        self.unknown.is_empty()
    }

    fn add(&mut self, amounts: Amounts) {
        match amounts {
            Amounts::Nothing => {}
            Amounts::Native(what) => _ = self.native.insert(what),
            Amounts::LeftOut(what) => _ = self.left_out.insert(what),
        }
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (script, calls)) in self.unknown.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{script} of {} calls {}", self.package, calls.join(", "))?;
        }
        Ok(())
    }
}

/// What a package's scripts amount to.
pub fn judge(package: &Deb, origin: Origin) -> Judgement {
    let mut judgement = Judgement {
        package: package.name.clone(),
        native: BTreeSet::new(),
        left_out: BTreeSet::new(),
        removed: BTreeSet::new(),
        unknown: Vec::new(),
        called: BTreeSet::new(),
    };
    // Debconf runs it, before the others or when they ask for debconf.
    let config = package.info.get("config").map(|file| ("config", file));
    let mut scripts = config.into_iter().chain(package.scripts()).peekable();
    if scripts.peek().is_none() {
        return judgement;
    }
    if let Some(amounts) = table::known(&package.name).filter(|_| origin == Origin::Debian) {
        amounts.iter().for_each(|amount| judgement.add(*amount));
        return judgement;
    }
    for (name, file) in scripts {
        let text = String::from_utf8_lossy(&file.bytes);
        let mut reader = Reader {
            judgement: &mut judgement,
            package,
            origin,
            script: name,
            sections: Vec::new(),
            debconf: false,
            calls: BTreeSet::new(),
        };
        reader.read(&text);
        let calls = reader.calls;
        if !calls.is_empty() {
            judgement.unknown.push((name, calls.into_iter().take(12).collect()));
        }
    }
    judgement
}

/// What the scripts of packages amount to that are installed together: what one removes, none of them may have, and what
/// they call, none may bring that is not of Debian's own archives, whose packages are told by name.
pub fn judge_all(packages: &[Deb], own: &BTreeSet<String>) -> Vec<Judgement> {
    let origin = |package: &Deb| if own.contains(&package.name) { Origin::Debian } else { Origin::Elsewhere };
    let mut judgements: Vec<Judgement> = packages.iter().map(|package| judge(package, origin(package))).collect();
    for other in packages.iter().filter(|package| origin(package) == Origin::Elsewhere) {
        for judgement in &mut judgements {
            for program in judgement.called.iter().filter(|program| brings(other, program)) {
                judgement.unknown.push(("a script", vec![format!("{program}, which {} has", other.name)]));
            }
        }
    }
    for judgement in &mut judgements {
        for removal in std::mem::take(&mut judgement.removed) {
            match packages.iter().find(|package| removal.is_of(&judgement.package, package)) {
                Some(owner) => {
                    let what = format!("rm {}, which {} has", removal.path, owner.name);
                    judgement.unknown.push((removal.script, vec![what]));
                }
                None => _ = judgement.removed.insert(removal),
            }
        }
    }
    judgements
}

/// Whether a package has a program of this name where programs are looked for.
fn brings(package: &Deb, program: &str) -> bool {
    let fits = |path: &[u8]| {
        let path = path.strip_prefix(b"usr/").unwrap_or(path);
        let path = path.strip_prefix(b"local/").unwrap_or(path);
        let name = path.strip_prefix(b"bin/").or_else(|| path.strip_prefix(b"sbin/"));
        name == Some(program.as_bytes())
    };
    package.lists(fits) == Some(true) || package.members.iter().any(|member| fits(member.path.as_bytes()))
}

/// Which shell reads a script; `None` where none does that is known here.
pub(super) fn dialect(text: &str) -> Option<Dialect> {
    let first = text.split('\n').next().and_then(|first| first.strip_prefix("#!"))?;
    // What stands behind the program is handed to it as one word.
    let mut words = first.trim_matches([' ', '\t']).splitn(2, [' ', '\t']);
    let dialect = match words.next()? {
        "/bin/sh" | "/usr/bin/sh" | "/bin/dash" | "/usr/bin/dash" => Dialect::Sh,
        "/bin/bash" | "/usr/bin/bash" => Dialect::Bash,
        _ => return None,
    };
    let option = words.next().unwrap_or("-").trim_matches([' ', '\t']);
    matches!(option, "-" | "-e" | "-u" | "-x" | "-eu" | "-ue" | "-ex" | "-xe").then_some(dialect)
}

/// Hears what a script may do, and judges it.
struct Reader<'a> {
    judgement: &'a mut Judgement,
    package: &'a Deb,
    origin: Origin,
    /// Which script it is.
    script: &'static str,
    /// Lines that are debhelper's, with what they amount to.
    sections: Vec<(RangeInclusive<usize>, Amounts)>,
    /// Whether debconf's functions are there.
    debconf: bool,
    /// What is not known.
    calls: BTreeSet<String>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let Some(dialect) = dialect(text) else {
            self.calls.insert("no shell".to_owned());
            return;
        };
        let script = match parse(text, dialect) {
            Ok(script) => script,
            Err(error) => {
                self.calls.insert(format!("what cannot be read ({error})"));
                return;
            }
        };
        self.sections = sections::sections(text, &script);
        go_through(self.package, self.script, &script, self);
    }

    /// Whether a line is debhelper's.
    fn section(&mut self, line: usize) -> bool {
        let found = self.sections.iter().find(|(lines, _)| lines.contains(&line)).map(|(_, amounts)| *amounts);
        if let Some(amounts) = found {
            self.judgement.add(amounts);
        }
        found.is_some()
    }

    fn report(&mut self, line: usize, what: &str) {
        if !self.section(line) {
            self.calls.insert(what.chars().filter(|c| !c.is_control()).take(70).collect());
        }
    }

    /// Offers of alternatives that cannot be read, or that the native effect does not know of.
    fn offers(&mut self, line: usize, words: &[Field]) {
        self.judgement.native.insert("alternatives");
        if self.origin == Origin::Debian && alternatives::known(&self.package.name).is_some() {
            return;
        }
        match alternatives::offered(words) {
            Some(_) => {}
            _ => self.report(line, "update-alternatives with what it computes"),
        }
    }

    fn asks(&mut self, line: usize, called: &str, words: &[Field]) {
        self.judgement.native.insert("accounts");
        match accounts::asked(called, words) {
            _ if self.origin == Origin::Debian && accounts::known(&self.package.name) => {}
            Some(_) => {}
            _ => self.report(line, &format!("{called} with what it computes")),
        }
    }
}

impl Watch for Reader<'_> {
    fn call(&mut self, call: &Call<'_>) -> Option<bool> {
        let verdict = commands::judge(call.words, self.debconf);
        if !matches!(verdict, commands::Verdict::Unknown(_))
            && let Some(name) = call.words[0].text.rsplit('/').next()
        {
            self.judgement.called.insert(name.to_owned());
        }
        match verdict {
            commands::Verdict::Amounts(amounts, status) => {
                self.judgement.add(amounts);
                return status;
            }
            commands::Verdict::Debconf => {
                self.debconf = true;
                self.judgement.add(Amounts::LeftOut(amounts::DEBCONF));
            }
            commands::Verdict::Offers => self.offers(call.line, &call.words[1..]),
            commands::Verdict::Accounts(called) => self.asks(call.line, called, &call.words[1..]),
            commands::Verdict::Removes(paths) => {
                if !self.section(call.line) {
                    let removal = |(path, removed)| Removal { script: self.script, path, removed };
                    let paths: Vec<Removal> = paths.into_iter().map(removal).collect();
                    self.judgement.removed.extend(paths);
                }
            }
            commands::Verdict::Unknown(what) => self.report(call.line, &what),
        }
        None
    }

    fn write(&mut self, line: usize, target: &Field) {
        match target.text() {
            Some("/dev/null" | "/dev/stderr" | "/dev/stdout" | "/dev/tty") => {}
            Some(text) => self.report(line, &format!("> {text}")),
            None => self.report(line, &format!("> {}…", target.text)),
        }
    }

    fn trouble(&mut self, line: usize, what: &str) {
        self.report(line, what);
    }
}
