//! What maintainer scripts amount to on a fresh install, so that none needs to be run.
//!
//! A table by package name says it where somebody has read the script. Else the script is read here: what debhelper adds
//! is known by its marks, and what is left must call nothing that would leave a trace. A script that neither settles is
//! reported with what it calls.

use std::collections::BTreeSet;

use super::deb::Deb;
use super::effects::{accounts, alternatives};
use super::shell::{Word, program, settled};

/// What the scripts of a package amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The package.
    pub package: String,
    /// What is done natively, in a few words each.
    pub native: BTreeSet<&'static str>,
    /// What is known and left out.
    pub left_out: BTreeSet<&'static str>,
    /// What is not known: the script, and what it calls.
    pub unknown: Vec<(&'static str, Vec<String>)>,
}

impl Judgement {
    /// Whether everything is known.
    pub fn is_known(&self) -> bool {
        self.unknown.is_empty()
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

const SERVICES: &str = "links that start services";
const BYTECODE: &str = "compiled Python files";
const CACHES: &str = "caches of desktops";
const DEBCONF: &str = "answers of debconf";
const PAM: &str = "PAM profiles";
const DEVICES: &str = "settings of devices and kernels";
const APPARMOR: &str = "AppArmor profiles";
const TEMPORARY: &str = "what is made at boot";
const LOCAL: &str = "empty directories under /usr/local";
const LOGS: &str = "log files and their owners";
const EDITORS: &str = "compiled files of editors";

/// What one section or package amounts to.
#[derive(Clone, Copy)]
enum Amounts {
    /// Nothing on a fresh install.
    Nothing,
    /// Done natively.
    Native(&'static str),
    /// Left out.
    LeftOut(&'static str),
}

use Amounts::{LeftOut, Native, Nothing};

/// What debhelper's parts add to scripts.
const SECTIONS: [(&str, Amounts); 34] = [
    ("dh_installdeb", Nothing),
    ("dh_installdebconf", LeftOut(DEBCONF)),
    ("dh_makeshlibs", Native("ld.so.cache")),
    ("dh_python3", LeftOut(BYTECODE)),
    ("dh_python2", LeftOut(BYTECODE)),
    ("dh_pypy", LeftOut(BYTECODE)),
    ("dh_numpy3", Nothing),
    ("dh_installsystemd", LeftOut(SERVICES)),
    ("dh_installsystemduser", LeftOut(SERVICES)),
    ("dh_systemd_enable", LeftOut(SERVICES)),
    ("dh_systemd_start", LeftOut(SERVICES)),
    ("dh_installinit", LeftOut(SERVICES)),
    ("dh_runit", LeftOut(SERVICES)),
    ("dh_installsysusers", Native("accounts")),
    ("dh_sysuser", LeftOut(SERVICES)),
    ("dh_installtmpfiles", LeftOut(TEMPORARY)),
    ("dh_installalternatives", Native("alternatives")),
    ("dh_installmenu", Nothing),
    ("dh_installmime", Nothing),
    ("dh_installinfo", Nothing),
    ("dh_icons", LeftOut(CACHES)),
    ("dh_gconf", LeftOut(CACHES)),
    ("dh_installcatalogs", LeftOut("catalogues of SGML")),
    ("dh_installxmlcatalogs", LeftOut("catalogues of SGML")),
    ("dh_installxfonts", LeftOut(CACHES)),
    ("dh_installemacsen", LeftOut(EDITORS)),
    ("dh_elpa", LeftOut(EDITORS)),
    ("dh_vim-addon", LeftOut(EDITORS)),
    ("dh_apparmor", LeftOut(APPARMOR)),
    ("dh_usrlocal", LeftOut(LOCAL)),
    ("dh_installmodules", LeftOut(DEVICES)),
    ("dh_installudev", LeftOut(DEVICES)),
    ("dh_movetousr", Nothing),
    ("dh_installlogcheck", Nothing),
];

/// Packages whose scripts have been read.
const PACKAGES: &[(&str, &[Amounts])] = &include!("scripts_table.rs");

/// Packages of one kind, by the start of their names.
const KINDS: [(&str, &str, &[Amounts]); 10] = [
    ("postgresql-client-", "", &[LeftOut("links to manual pages of PostgreSQL")]),
    ("python3.", "-minimal", &[Native("Python's directories"), LeftOut(BYTECODE)]),
    ("libpython3.", "-minimal", &[LeftOut(BYTECODE)]),
    ("libpython3.", "-stdlib", &[LeftOut(BYTECODE)]),
    ("python3.", "", &[LeftOut(BYTECODE)]),
    ("linux-libc-dev", "", &[Nothing]),
    ("libgdk-pixbuf", "-0", &[LeftOut(CACHES)]),
    ("libglib2.0-0", "", &[LeftOut(CACHES)]),
    ("libgtk-", "", &[LeftOut(CACHES)]),
    ("libnss-", "", &[LeftOut("name services beyond files and DNS")]),
];

/// Programs that leave no trace, or none on a fresh install.
const HARMLESS: &[&str] = &[
    "",
    "set",
    "exit",
    "return",
    "true",
    "false",
    ":",
    "test",
    "[",
    "[[",
    "echo",
    "printf",
    "cat",
    "read",
    "shift",
    "local",
    "export",
    "unset",
    "umask",
    "trap",
    "eval-nothing",
    "command",
    "which",
    "type",
    "getent",
    "id",
    "grep",
    "egrep",
    "fgrep",
    "sed",
    "cut",
    "head",
    "tail",
    "tr",
    "sort",
    "uniq",
    "awk",
    "wc",
    "ls",
    "stat",
    "readlink",
    "realpath",
    "dirname",
    "basename",
    "expr",
    "uname",
    "cmp",
    "diff",
    "md5sum",
    "find",
    "xargs",
    "sleep",
    "date",
    "ischroot",
    "dpkg-query",
    "dpkg-maintscript-helper",
    "dpkg-trigger",
    "rm",
    "rmdir",
    "break",
    "continue",
    "unlink",
    "pidof",
    "pgrep",
    "kill",
    "cd",
    "db_version",
    "db_stop",
    "db_get",
    "db_input",
    "db_go",
    "db_set",
    "db_fset",
    "db_reset",
    "db_title",
    "db_capb",
    "db_purge",
    "db_metaget",
    "db_subst",
    "db_unregister",
    "db_register",
    "db_beginblock",
    "db_endblock",
];

/// Programs whose work is left out.
const LEFT_OUT: &[(&str, &str)] = &[
    ("invoke-rc.d", SERVICES),
    ("update-rc.d", SERVICES),
    ("deb-systemd-helper", SERVICES),
    ("deb-systemd-invoke", SERVICES),
    ("systemctl", SERVICES),
    ("service", SERVICES),
    ("start-stop-daemon", SERVICES),
    ("systemd-tmpfiles", TEMPORARY),
    ("py3compile", BYTECODE),
    ("pycompile", BYTECODE),
    ("py3clean", BYTECODE),
    ("update-menus", CACHES),
    ("update-desktop-database", CACHES),
    ("update-mime-database", CACHES),
    ("update-icon-caches", CACHES),
    ("gtk-update-icon-cache", CACHES),
    ("fc-cache", CACHES),
    ("glib-compile-schemas", CACHES),
    ("gio-querymodules", CACHES),
    ("udevadm", DEVICES),
    ("sysctl", DEVICES),
    ("modprobe", DEVICES),
    ("update-initramfs", DEVICES),
    ("apparmor_parser", APPARMOR),
    ("pam-auth-update", PAM),
    ("restorecon", "labels of SELinux"),
];

/// What a package's scripts amount to.
pub fn judge(package: &Deb) -> Judgement {
    let mut judgement = Judgement {
        package: package.name.clone(),
        native: BTreeSet::new(),
        left_out: BTreeSet::new(),
        unknown: Vec::new(),
    };
    if package.scripts().next().is_none() {
        return judgement;
    }
    if let Some(amounts) = known(&package.name) {
        for amount in amounts {
            judgement.add(*amount);
        }
        return judgement;
    }
    for (name, file) in package.scripts() {
        let text = String::from_utf8_lossy(&file.bytes);
        let mut calls = BTreeSet::new();
        if !text.starts_with("#!") || !shell_script(&text) {
            calls.insert("no shell".to_owned());
        } else {
            let rest = judgement.sections(&text, &mut calls);
            judgement.rest(&rest, package, &mut calls);
        }
        if !calls.is_empty() {
            judgement.unknown.push((name, calls.into_iter().take(12).collect()));
        }
    }
    judgement
}

/// What the tables say of a package.
fn known(name: &str) -> Option<&'static [Amounts]> {
    if let Ok(at) = PACKAGES.binary_search_by(|(other, _)| (*other).cmp(name)) {
        return Some(PACKAGES[at].1);
    }
    let kind = KINDS.iter().find(|(start, end, _)| name.starts_with(start) && name.ends_with(end));
    kind.map(|(_, _, amounts)| *amounts)
}

fn shell_script(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let program = first.trim_start_matches("#!").split_whitespace().next().unwrap_or_default();
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash"))
}

impl Judgement {
    fn add(&mut self, amounts: Amounts) {
        match amounts {
            Nothing => {}
            Native(what) => _ = self.native.insert(what),
            LeftOut(what) => _ = self.left_out.insert(what),
        }
    }

    /// Takes out what debhelper added, and gives the rest.
    fn sections(&mut self, text: &str, calls: &mut BTreeSet<String>) -> String {
        let mut rest = String::new();
        let mut inside = false;
        for line in text.lines() {
            let mark = line.trim();
            if let Some(tool) = mark.strip_prefix("# Automatically added by ") {
                inside = true;
                let tool = tool.split('/').next().unwrap_or_default();
                match SECTIONS.iter().find(|(name, _)| *name == tool) {
                    Some((_, Native("alternatives"))) => {
                        // Read as commands, below.
                        inside = false;
                    }
                    Some((_, amounts)) => self.add(*amounts),
                    None => _ = calls.insert(tool.chars().take(40).collect()),
                }
            } else if mark == "# End automatically added section" {
                inside = false;
            } else if !inside {
                rest.push_str(line);
                rest.push('\n');
            }
        }
        rest
    }

    /// What the rest of a script calls.
    fn rest(&mut self, text: &str, package: &Deb, calls: &mut BTreeSet<String>) {
        let commands = settled(text);
        // Functions are judged by what is in them.
        let functions: BTreeSet<&str> = commands
            .iter()
            .filter(|command| {
                command.get(1).is_some_and(|word| word.text == "(")
                    && command.get(2).is_some_and(|word| word.text == ")")
            })
            .map(|command| command[0].text.as_str())
            .collect();
        for command in &commands {
            let called = program(command);
            let called = called.rsplit('/').next().unwrap_or_default();
            if let Some(target) = written(command) {
                calls.insert(format!("> {target}"));
                continue;
            }
            if functions.contains(called) || HARMLESS.contains(&called) {
                continue;
            }
            if let Some((_, what)) = LEFT_OUT.iter().find(|(name, _)| *name == called) {
                self.left_out.insert(what);
                continue;
            }
            let argument = |text: &str| command.iter().any(|word| word.text == text);
            let shown: String = called.chars().filter(|c| !c.is_control()).take(40).collect();
            match called {
                "ldconfig" => _ = self.native.insert("ld.so.cache"),
                "dpkg"
                    if argument("--compare-versions")
                        || argument("--validate-version")
                        || argument("--print-architecture") => {}
                "dpkg-statoverride" if argument("--list") => {}
                "dpkg-divert"
                    if argument("--remove")
                        || argument("--list")
                        || argument("--listpackage")
                        || argument("--truename") => {}
                "." | "source" if command.iter().any(|word| word.text == "/usr/share/debconf/confmodule") => {
                    self.left_out.insert(DEBCONF);
                }
                "update-alternatives" if argument("--install") => {
                    self.native.insert("alternatives");
                    if alternatives::known(&package.name).is_none() && alternatives::read_script(text).1 {
                        calls.insert("update-alternatives with what it computes".to_owned());
                    }
                }
                "update-alternatives" => {}
                "adduser" | "addgroup" | "useradd" | "groupadd" => {
                    self.native.insert("accounts");
                    if accounts::read_scripts(package).1 {
                        calls.insert(format!("{called} with what it computes"));
                    }
                }
                _ => _ = calls.insert(shown),
            }
        }
    }
}

/// The file that a command writes to; `None` for what goes nowhere.
fn written(command: &[Word]) -> Option<String> {
    let mut words = command.iter().skip_while(|word| word.text != ">");
    words.next()?;
    let target = words.find(|word| word.text != ">")?;
    match target.text.as_str() {
        "/dev/null" | "/dev/stderr" | "/dev/stdout" | "&1" | "&2" | "&3" => None,
        text => Some(text.chars().filter(|c| !c.is_control()).take(60).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::deb::tests::{TestTar, package};
    use super::*;

    fn judged(name: &str, script: &str) -> Judgement {
        judge(&package(name, &[("postinst", script)], TestTar::default()))
    }

    #[test]
    fn the_tables_are_sorted_and_of_names() {
        for pair in PACKAGES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} and {}", pair[0].0, pair[1].0);
        }
        assert!(
            PACKAGES
                .iter()
                .all(|(name, amounts)| super::super::dependency::is_package_name(name) && !amounts.is_empty())
        );
    }

    #[test]
    fn debhelpers_parts_are_known() {
        let script = "#!/bin/sh\nset -e\n\ncase \"$1\" in\n    configure|reconfigure)\n    ;;\n    *)\n        echo \"unknown\" >&2\n        exit 1\n    ;;\nesac\n\
                      # Automatically added by dh_installsystemd/13.24\nif [ \"$1\" = configure ]; then\n\tdeb-systemd-helper enable x\nfi\n# End automatically added section\n\
                      # Automatically added by dh_makeshlibs/13.24\nldconfig\n# End automatically added section\nexit 0\n";
        let judgement = judged("x", script);
        assert!(judgement.is_known(), "{judgement}");
        assert!(judgement.left_out.contains(SERVICES) && judgement.native.contains("ld.so.cache"));
        let other = script.replace("dh_makeshlibs", "dh_new");
        assert_eq!(judged("x", &other).to_string(), "postinst of x calls dh_new");
    }

    #[test]
    fn what_leaves_a_trace_is_reported() {
        for (script, calls) in [
            ("mkdir -p /var/x", "mkdir"),
            ("if true; then cp a b; fi", "cp"),
            ("echo x > /etc/x", "> /etc/x"),
            ("/usr/lib/x/setup --all", "setup"),
            ("x=$(tool)", "tool"),
            ("f() { chown a b; }\nf", "chown"),
            ("update-alternatives --install /usr/bin/$x $x /usr/bin/y 1", "update-alternatives with what it computes"),
            ("adduser --system $x", "adduser with what it computes"),
            (". /usr/lib/other", "."),
        ] {
            let judgement = judged("x", &format!("#!/bin/sh\n{script}\n"));
            assert_eq!(judgement.to_string(), format!("postinst of x calls {calls}"), "{script}");
        }
        assert!(!judged("x", "#!/usr/bin/perl\nexit 0;\n").is_known());
        for fine in [
            "rm -f /etc/old",
            "update-alternatives --install /usr/bin/x x /usr/bin/y 1",
            "ldconfig >/dev/null 2>&1 || true",
        ] {
            assert!(judged("x", &format!("#!/bin/sh\n{fine}\n")).is_known(), "{fine}");
        }
        // What somebody has read is known, whatever it calls.
        assert!(judged("base-files", "#!/bin/sh\nmkdir /x\n").is_known());
        assert!(judged("python3.13-minimal", "#!/bin/sh\nmkdir /x\n").native.contains("Python's directories"));
    }
}
