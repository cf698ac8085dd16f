//! Single commands: which leave no trace on a fresh install the way they are called, and which are done natively or left
//! out. What is not in here is not known.

use super::amounts::Amounts::{self, LeftOut, Native, Nothing};
use super::amounts::{APPARMOR, BYTECODE, CACHES, CATALOGUES, DEBCONF, DEVICES, EDITORS, PAM, SERVICES, TEMPORARY};
use super::readers::{awk, find, sed, writes_output};
use super::removal::Removed;
use crate::debian::shell::Field;
use crate::debian::version::Version;
use crate::tree::TreePath;

/// What a command comes to.
pub(super) enum Verdict {
    /// This much, and whether it succeeds where that is known.
    Amounts(Amounts, Option<bool>),
    /// Debconf's functions are there from now on.
    Debconf,
    /// An alternative is offered.
    Offers,
    /// An account is asked for, by this program.
    Accounts(&'static str),
    /// These paths are removed.
    Removes(Vec<(TreePath, Removed)>),
    /// It is not known, and this tells what it is.
    Unknown(String),
}

use Verdict::Unknown;

/// Programs and builtins that leave no trace, however they are called.
const HARMLESS: &[&str] = &[
    "[",
    "basename",
    "cat",
    "cd",
    "cmp",
    "comm",
    "cut",
    "diff",
    "dirname",
    "dpkg-query",
    "dpkg-vendor",
    "echo",
    "egrep",
    "exit",
    "expr",
    "false",
    "fgrep",
    "grep",
    "head",
    "id",
    "ischroot",
    "kill",
    "killall",
    "ls",
    "md5sum",
    "nproc",
    "paste",
    "pgrep",
    "pidof",
    "pkill",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "seq",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "stat",
    "stty",
    "tail",
    "test",
    "times",
    "tr",
    "true",
    "tty",
    "type",
    "ulimit",
    "umask",
    "uname",
    "wait",
    "wc",
    "which",
    "whoami",
];

/// Debconf's functions, which are there once its module was read.
const DEBCONF_FUNCTIONS: &[&str] = &[
    "beginblock",
    "capb",
    "clear",
    "endblock",
    "exist",
    "fget",
    "fset",
    "get",
    "go",
    "info",
    "input",
    "metaget",
    "progress",
    "purge",
    "register",
    "reset",
    "set",
    "settitle",
    "stop",
    "subst",
    "title",
    "unregister",
    "version",
    "x_loadtemplatefile",
];

/// Programs whose work is left out.
const LEFT_OUT: &[(&str, &str)] = &[
    ("apparmor_parser", APPARMOR),
    ("aa-enabled", APPARMOR),
    ("aa-status", APPARMOR),
    ("deb-systemd-helper", SERVICES),
    ("deb-systemd-invoke", SERVICES),
    ("fc-cache", CACHES),
    ("gio-querymodules", CACHES),
    ("glib-compile-schemas", CACHES),
    ("gtk-update-icon-cache", CACHES),
    ("invoke-rc.d", SERVICES),
    ("modprobe", DEVICES),
    ("pam-auth-update", PAM),
    ("py3clean", BYTECODE),
    ("py3compile", BYTECODE),
    ("pycompile", BYTECODE),
    ("pypy3compile", BYTECODE),
    ("restorecon", "labels of SELinux"),
    ("runlevel", SERVICES),
    ("service", SERVICES),
    ("sysctl", DEVICES),
    ("systemctl", SERVICES),
    ("systemd-tmpfiles", TEMPORARY),
    ("udevadm", DEVICES),
    ("update-catalog", CATALOGUES),
    ("update-desktop-database", CACHES),
    ("update-fonts-alias", CACHES),
    ("update-fonts-dir", CACHES),
    ("update-fonts-scale", CACHES),
    ("update-icon-caches", CACHES),
    ("update-initramfs", DEVICES),
    ("update-menus", CACHES),
    ("update-mime-database", CACHES),
    ("update-rc.d", SERVICES),
    ("update-xmlcatalog", CATALOGUES),
];

/// Programs that nobody calls by name alone, whose work is left out.
const LEFT_OUT_PATHS: &[(&str, &str)] = &[
    ("/usr/lib/emacsen-common/emacs-package-install", EDITORS),
    ("/usr/lib/emacsen-common/emacs-package-remove", EDITORS),
    ("/lib/runit-helper/runit-helper", SERVICES),
    ("/lib/sysuser-helper/sysuser-helper", SERVICES),
    ("/usr/lib/runit-helper/runit-helper", SERVICES),
    ("/usr/lib/sysuser-helper/sysuser-helper", SERVICES),
];

/// What a command amounts to.
pub(super) fn judge(words: &[Field], debconf: bool) -> Verdict {
    let Some((called, arguments)) = words.split_first() else { return Unknown("nothing".to_owned()) };
    let called = called.text.as_str();
    let harmless = Verdict::Amounts(Nothing, None);
    if let Some((_, what)) = LEFT_OUT_PATHS.iter().find(|(path, _)| *path == called) {
        return Verdict::Amounts(LeftOut(what), None);
    }
    let usual = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"];
    let name = usual.iter().find_map(|directory| called.strip_prefix(directory)).unwrap_or(called);
    let unknown = || Unknown(shown(called, arguments));
    if HARMLESS.contains(&name) {
        return harmless;
    }
    if let Some((_, what)) = LEFT_OUT.iter().find(|(other, _)| *other == name) {
        return Verdict::Amounts(LeftOut(what), None);
    }
    if let Some(function) = name.strip_prefix("db_") {
        return match debconf && DEBCONF_FUNCTIONS.contains(&function) {
            true => Verdict::Amounts(LeftOut(DEBCONF), None),
            false => unknown(),
        };
    }
    let first = arguments.first().and_then(Field::text);
    let fine = match name {
        "." | "source" if first == Some("/usr/share/debconf/confmodule") && arguments.len() == 1 => {
            return Verdict::Debconf;
        }
        "ldconfig" if arguments.is_empty() => return Verdict::Amounts(Native("ld.so.cache"), None),
        "update-alternatives" => {
            let mut options = arguments.iter().map(Field::text);
            let action = options.find(|word| !matches!(word, Some("--quiet" | "--force" | "--verbose")));
            match action.flatten() {
                Some("--install") => return Verdict::Offers,
                Some("--remove" | "--remove-all" | "--list" | "--display" | "--query" | "--auto") => true,
                _ => false,
            }
        }
        "adduser" => return Verdict::Accounts("adduser"),
        "addgroup" => return Verdict::Accounts("addgroup"),
        "useradd" => return Verdict::Accounts("useradd"),
        "groupadd" => return Verdict::Accounts("groupadd"),
        "systemd-sysusers" => {
            let declared = |argument: &Field| {
                argument.text().is_some_and(|text| {
                    let name = text.strip_prefix("/usr/lib/sysusers.d/").unwrap_or(text);
                    name.ends_with(".conf") && !name.contains('/') && !name.starts_with('-')
                })
            };
            match !arguments.is_empty() && arguments.iter().all(declared) {
                true => return Verdict::Amounts(Native("accounts"), None),
                false => false,
            }
        }
        "dpkg" => match first {
            Some("--compare-versions") => return Verdict::Amounts(Nothing, compare(&arguments[1..])),
            Some(first) => {
                let own = ["--validate-version", "--print-architecture", "--print-foreign-architectures", "--version"];
                match own.contains(&first) || first.starts_with("--assert-") {
                    true => !arguments[1..].iter().any(|word| word.may_be_option() || word.text.starts_with('-')),
                    false => asks_database(arguments),
                }
            }
            None => false,
        },
        "dpkg-statoverride" => {
            first == Some("--list")
                && arguments[1..].iter().all(|word| !word.may_be_option() && !word.text.starts_with('-'))
        }
        "dpkg-divert" => diverts_nothing(arguments),
        "dpkg-trigger" => arguments.iter().all(|word| match word.text.as_str() {
            "--no-await" | "--await" => true,
            text => !word.may_be_option() && (!text.starts_with('-') || text.starts_with("--by-package=")),
        }),
        // Specifications of compilers are programs that it runs.
        "getconf" => arguments.iter().all(|word| {
            word.text().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        }),
        // Services are libraries that it loads.
        "getent" => !arguments.iter().any(|word| word.may_be_option() || word.text.starts_with('-')),
        "lsb_release" => arguments.iter().all(|word| word.text().is_some_and(|text| text.starts_with('-'))),
        "dpkg-maintscript-helper" => {
            // It acts by what it is handed; on a fresh install that makes it do nothing.
            let at = arguments.iter().position(|word| word.text() == Some("--"));
            let handed: Option<Vec<&str>> = at.and_then(|at| arguments[at + 1..].iter().map(Field::text).collect());
            first == Some("supports")
                || handed.is_some_and(|handed| matches!(handed[..], ["configure", ""] | ["install"] | ["triggered", _]))
        }
        // To start something is to run it.
        "start-stop-daemon" if matches!(first, Some("--stop" | "-K" | "--status" | "-T")) => {
            return Verdict::Amounts(LeftOut(SERVICES), None);
        }
        "sed" => sed(arguments),
        "awk" | "mawk" | "gawk" => awk(arguments),
        "find" => find(arguments),
        "hash" => arguments.iter().all(|word| word.text().is_some_and(|text| !text.starts_with('-'))),
        "sort" => !arguments.iter().any(|word| word.may_be_option() || writes_output(word)),
        "uniq" => arguments.iter().all(|word| matches!(word.text(), Some("-c" | "-d" | "-i" | "-u"))),
        "date" => arguments
            .iter()
            .all(|word| word.text().is_some_and(|text| text.starts_with('+') || matches!(text, "-u" | "-R"))),
        "hostname" => arguments.iter().all(|word| {
            matches!(word.text(), Some("-s" | "-f" | "-d" | "-i" | "-I" | "-A" | "--fqdn" | "--short" | "--domain"))
        }),
        "tee" => arguments.iter().all(|word| matches!(word.text(), Some("/dev/null" | "/dev/stderr"))),
        "xargs" => xargs(arguments),
        "rm" | "rmdir" | "unlink" => match removes(name, arguments) {
            Some(removed) => return Verdict::Removes(removed),
            None => false,
        },
        name if name.strip_prefix("python").is_some_and(super::table::is_python) => compiles(name, arguments),
        _ => false,
    };
    match fine {
        true => harmless,
        false => unknown(),
    }
}

fn shown(called: &str, arguments: &[Field]) -> String {
    let name = called.rsplit('/').next().unwrap_or_default();
    match name {
        "rm"
        | "rmdir"
        | "unlink"
        | "find"
        | "sed"
        | "awk"
        | "dpkg"
        | "xargs"
        | "dpkg-divert"
        | "dpkg-statoverride"
        | "."
        | "update-alternatives"
        | "ldconfig" => {
            let words = arguments
                .iter()
                .map(|word| if word.text().is_some() { word.text.clone() } else { format!("{}…", word.text) });
            format!("{name} {}", words.collect::<Vec<_>>().join(" "))
        }
        name => name.to_owned(),
    }
}

/// `dpkg --compare-versions`, where both versions are known; one that is empty is older than any, or newer where the
/// comparison says so.
fn compare(words: &[Field]) -> Option<bool> {
    let [left, relation, right] = words else { return None };
    let (left, relation, right) = (left.text()?, relation.text()?, right.text()?);
    let (plain, empty_is_newer) = match relation.strip_suffix("-nl") {
        Some(plain) => (plain, true),
        None => (relation, false),
    };
    let ordering = match (left.is_empty(), right.is_empty()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) if empty_is_newer => std::cmp::Ordering::Greater,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) if empty_is_newer => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => left.parse::<Version>().ok()?.cmp(&right.parse::<Version>().ok()?),
    };
    match plain {
        "lt" | "<<" => Some(ordering.is_lt()),
        "le" | "<=" => Some(ordering.is_le()),
        "eq" | "=" => Some(ordering.is_eq()),
        "ne" => Some(ordering.is_ne()),
        "ge" | ">=" => Some(ordering.is_ge()),
        "gt" | ">>" => Some(ordering.is_gt()),
        _ => None,
    }
}

/// What `rm`, `rmdir` or `unlink` removes; `None` where it cannot be told.
fn removes(name: &str, arguments: &[Field]) -> Option<Vec<(TreePath, Removed)>> {
    // What is never part of an image.
    const PASSING: &[&str] = &["/run/", "/var/run/", "/tmp/", "/var/tmp/", "/var/cache/"];
    let mut removed = if name == "rmdir" { Removed::EmptyDirectory } else { Removed::File };
    let mut found = Vec::new();
    for word in arguments {
        let text = word.text.as_str();
        let passing = PASSING.iter().any(|place| text.len() > place.len() && text.starts_with(place));
        match text {
            // Of a pattern, the directory is known.
            _ if name == "rm" && word.files && text.starts_with('/') => {
                let directory = text.rsplit_once('/').map_or("", |(directory, _)| directory);
                let directory = plain_path(directory)?;
                match passing {
                    true => found.push((directory, Removed::Passing)),
                    false if directory.components().count() > 2 => found.push((directory, Removed::Inside)),
                    false => return None,
                }
            }
            _ if word.text().is_none() => return None,
            "-r" | "-rf" | "-fr" | "-R" | "-Rf" | "-rfv" | "-rvf" if name == "rm" => removed = Removed::Tree,
            "-f" | "-v" | "-fv" | "-vf" | "--" | "--force" | "-p" | "--ignore-fail-on-non-empty" => {}
            _ if passing => found.push((plain_path(text)?.parent()?, Removed::Passing)),
            path => found.push((plain_path(path)?, removed)),
        }
    }
    // `-p` takes the directories above with it.
    (name != "rmdir" || !arguments.iter().any(|word| word.text() == Some("-p"))).then_some(found)
}

/// A path from the root that goes nowhere but down, and not the root.
fn plain_path(text: &str) -> Option<TreePath> {
    let plain = text.starts_with('/') && !text.split('/').any(|part| part == "..");
    TreePath::parse(text.trim_matches('/')).ok().filter(|path| plain && !path.is_root())
}

/// Whether `dpkg` is asked about its database, and told nothing: other options run programs and write logs.
fn asks_database(arguments: &[Field]) -> bool {
    const ASKS: [&str; 9] =
        ["-s", "--status", "-l", "--list", "-L", "--listfiles", "-S", "--search", "--get-selections"];
    let asks = arguments.first().and_then(Field::text).is_some_and(|first| ASKS.contains(&first));
    asks && !arguments[1..].iter().any(|word| word.may_be_option() || word.text.starts_with('-'))
}

/// Whether `dpkg-divert` lists diversions, or takes back what a fresh install does not have.
fn diverts_nothing(arguments: &[Field]) -> bool {
    let (mut words, mut acts) = (arguments.iter(), false);
    while let Some(word) = words.next() {
        match word.text.as_str() {
            _ if word.may_be_option() => return false,
            "--package" | "--divert" => match words.next() {
                Some(value) if !value.many => {}
                _ => return false,
            },
            "--remove" | "--list" | "--listpackage" | "--truename" => acts = true,
            "--quiet" | "--rename" | "--no-rename" | "--local" => {}
            text if text.starts_with("--package=") || text.starts_with("--divert=") => {}
            text if text.starts_with('-') => return false,
            _ => {}
        }
    }
    acts
}

/// Whether Python is called to compile files and nothing else.
fn compiles(name: &str, arguments: &[Field]) -> bool {
    let mut words = arguments.iter().map(Field::text).skip_while(|word| matches!(word, Some("-E" | "-S" | "-O")));
    words.next().flatten().is_some_and(|script| script == format!("/usr/lib/{name}/py_compile.py"))
}

/// `xargs` with a program to which further arguments can do no harm.
fn xargs(arguments: &[Field]) -> bool {
    let at = arguments
        .iter()
        .position(|word| !matches!(word.text(), Some("-r" | "-0" | "-0r" | "-r0" | "--no-run-if-empty" | "--null")));
    at.is_none_or(|at| arguments[at].text().is_some_and(|name| HARMLESS.contains(&name)))
}
