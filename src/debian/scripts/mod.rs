//! What maintainer scripts amount to on a fresh install, so that none needs to be run.
//!
//! A table by package name says it where somebody has read the script. Else the script is gone through as it would be on
//! a fresh install ([`super::shell`]), and each command that may be reached must be one that is known to leave no trace
//! the way it is called, to be done natively, or to be left out. A script that neither settles is reported with what it
//! calls.

mod amounts;
mod commands;
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
use super::shell::{Call, Field, Watch, parse};

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
pub fn judge(package: &Deb) -> Judgement {
    let mut judgement = Judgement {
        package: package.name.clone(),
        native: BTreeSet::new(),
        left_out: BTreeSet::new(),
        removed: BTreeSet::new(),
        unknown: Vec::new(),
    };
    if package.scripts().next().is_none() {
        return judgement;
    }
    if let Some(amounts) = table::known(&package.name) {
        amounts.iter().for_each(|amount| judgement.add(*amount));
        return judgement;
    }
    for (name, file) in package.scripts() {
        let text = String::from_utf8_lossy(&file.bytes);
        let mut reader = Reader {
            judgement: &mut judgement,
            package,
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

/// What the scripts of packages amount to that are installed together: what one removes, none of them may have.
pub fn judge_all(packages: &[Deb]) -> Vec<Judgement> {
    let mut judgements: Vec<Judgement> = packages.iter().map(judge).collect();
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

fn shell_script(text: &str) -> bool {
    let Some(first) = text.lines().next().and_then(|first| first.strip_prefix("#!")) else { return false };
    let mut words = first.split_whitespace();
    let program = words.next().unwrap_or_default();
    matches!(program, "/bin/sh" | "/bin/bash" | "/bin/dash" | "/usr/bin/sh" | "/usr/bin/bash" | "/usr/bin/dash")
        && words.all(|word| matches!(word, "-e" | "-u" | "-x" | "-eu" | "-ue" | "-ex" | "-"))
}

/// Hears what a script may do, and judges it.
struct Reader<'a> {
    judgement: &'a mut Judgement,
    package: &'a Deb,
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
        if !shell_script(text) {
            self.calls.insert("no shell".to_owned());
            return;
        }
        let script = match parse(text) {
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
        if alternatives::known(&self.package.name).is_some() {
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
            _ if accounts::known(&self.package.name) => {}
            Some(_) => {}
            _ => self.report(line, &format!("{called} with what it computes")),
        }
    }
}

impl Watch for Reader<'_> {
    fn call(&mut self, call: &Call<'_>) -> Option<bool> {
        let verdict = commands::judge(call.words, self.debconf, &self.judgement.package);
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
