//! What is known at a line of a stage: the image so far, variables, the directory, the user, where files come from.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Copied, Draft, How, Item, Layer, Python, Source, User};
use super::report::Report;
use super::value::Value;
use super::{Context, FileKind};

/// A stage, as far as it was gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) draft: Draft,
    /// What `ENV` said in this image.
    pub(super) env: BTreeMap<String, Value>,
    /// What the base of the recipe has.
    pub(super) inherited: BTreeMap<String, Value>,
    pub(super) arguments: BTreeMap<String, Value>,
    /// The directory: absolute.
    pub(super) workdir: String,
    /// Who owns it, where it is made here and not root's.
    pub(super) workdir_owner: Option<String>,
    /// Directories that `WORKDIR` made on the way.
    pub(super) workdirs: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) shell: Option<Vec<String>>,
    /// Whether this stage itself said `CMD`.
    pub(super) cmd_set: bool,
    /// The virtual environment that programs are taken from.
    pub(super) venv: Option<String>,
    /// Groups that were made here: name, number.
    pub(super) groups: BTreeMap<String, u32>,
    /// Users that are there, this image's and its base's.
    pub(super) users: BTreeMap<String, User>,
    /// Packages of Python that were installed, with where.
    pub(super) pythons: Vec<Python>,
    /// Paths of the image that were only read by an installer.
    pub(super) read: BTreeSet<String>,
    /// How many lines or commands were kept as comments.
    pub(super) kept: usize,
    /// The suites of Debian that the base is of.
    pub(super) suites: Vec<String>,
    /// Requirements that no file has yet: the file, and its lines.
    pub(super) written: Vec<(String, String)>,
    pub(super) report: Report,
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(super) fn absolute(path: &str, below: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{below}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a recipe takes a user, or a user and a group.
pub(super) fn is_owner(spec: &str) -> bool {
    let name = |part: &str| {
        let plain = part.strip_suffix('$').unwrap_or(part);
        plain.len() <= 32
            && plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u32>().is_ok_and(|id| id <= i32::MAX as u32)
    };
    spec.trim_end_matches(':').split(':').count() <= 2
        && spec.trim_end_matches(':').split(':').all(|part| name(part) || number(part))
}

/// The last part of a path, and what stands before it.
pub(super) fn split(path: &str) -> (&str, &str) {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("", path),
    }
}

/// Whether a path is another or below it.
pub(super) fn within(path: &str, directory: &str) -> bool {
    directory == "/" || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// A path below the context or the other image, joined; `.` is the whole.
pub(super) fn joined(parent: &str, below: &str) -> String {
    match (parent.trim_end_matches('/'), below.trim_start_matches('/')) {
        ("" | ".", "") => ".".to_owned(),
        ("" | ".", below) => below.to_owned(),
        (parent, "") => parent.to_owned(),
        (parent, below) => format!("{parent}/{below}"),
    }
}

/// Whether a name fits a pattern of `*` and `?`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// What a path is taken for where nothing is known of it.
pub(super) fn guess(path: &str) -> FileKind {
    let name = split(path).1;
    let known = ["Makefile", "Procfile", "LICENSE", "Gemfile", "Pipfile", "manage", "gradlew", "mvnw"];
    let dot = name.trim_start_matches('.').contains('.');
    match dot || known.contains(&name) {
        true => FileKind::File,
        false => FileKind::Directory,
    }
}

/// The file of the context behind an item, for a path of the image.
pub(super) fn origin(item: &Copied, path: &str) -> Option<String> {
    if is_pattern(&item.src) {
        let (parent, name) = split(path);
        let (folder, pattern) = split(&item.src);
        let here = item.how == How::Name && parent == split(&item.dest).0 && fits(pattern, name);
        return here.then(|| joined(folder, name));
    }
    let rest = match item.dest.as_str() {
        "/" => path,
        dest => path.strip_prefix(dest)?,
    };
    match (rest.is_empty(), item.how) {
        (true, How::Contents) => Some(joined(&item.src, "")),
        (true, _) => Some(item.src.clone()),
        _ if rest.starts_with('/') => Some(joined(&item.src, rest)),
        _ => None,
    }
}

impl State {
    /// A variable as `ENV` sees it: what this image says, else what the base has, which is open.
    pub(super) fn open(&self, name: &str) -> Option<Value> {
        let own = self.env.get(name).or_else(|| self.arguments.get(name)).cloned();
        Some(own.unwrap_or_else(|| Value::base(name)))
    }

    /// A variable where only a known value helps.
    pub(super) fn known(&self, name: &str) -> Option<Value> {
        let own = self.env.get(name).or_else(|| self.arguments.get(name)).or_else(|| self.inherited.get(name));
        match (own, name) {
            (Some(value), _) => Some(value.clone()),
            (None, "HOME") => Some(Value::text(self.home())),
            (None, _) => None,
        }
    }

    /// Where a variable may be the base's, so that nothing can be said.
    pub(super) fn known_or_open(&self, name: &str) -> Option<Value> {
        let scratch = self.draft.value(super::draft::Key::From) == Some(&super::draft::Toml::text("scratch"));
        self.known(name).or_else(|| (!scratch).then(|| Value::base(name)))
    }

    pub(super) fn home(&self) -> String {
        match self.user.as_deref() {
            Some(user) if self.users.contains_key(user) => self.users[user].home.clone(),
            _ => "/root".to_owned(),
        }
    }

    pub(super) fn add(&mut self, layer: Layer) {
        self.draft.items.push(Item::Layer(layer));
    }

    /// Where a path of the image comes from in the context.
    pub(super) fn origin(&self, path: &str, binds: &[Copied]) -> Option<String> {
        let items = self.draft.layers().filter_map(|layer| match &layer.source {
            Source::Copy(items) => Some(items.as_slice()),
            _ => None,
        });
        let copied: Vec<&Copied> = items.flatten().chain(binds).collect();
        copied.into_iter().rev().find_map(|item| origin(item, path))
    }

    /// Whether a directory is known to be there.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        if path == "/" || within(&self.workdir, path) || self.workdirs.iter().any(|made| within(made, path)) {
            return true;
        }
        let usual = [
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
            "/usr/sbin",
            "/sbin",
            "/etc",
            "/opt",
            "/tmp",
            "/usr/local",
            "/srv",
            "/usr/local/sbin",
            "/var",
            "/home",
        ];
        usual.contains(&path)
            || self.draft.layers().any(|layer| match &layer.source {
                Source::Dirs(dirs) => dirs.iter().any(|(dir, ..)| within(dir, path)),
                Source::Copy(items) => items.iter().any(|item| within(split(&item.dest).0, path)),
                _ => false,
            })
    }

    /// Who a spec means: nothing for root.
    pub(super) fn owner(&self, spec: &str) -> Option<String> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let by_number = |number: u32| self.users.iter().find(|(_, known)| known.uid == number).map(|(name, _)| name);
        let known = match user.parse::<u32>() {
            Ok(number) => by_number(number),
            Err(_) => self.users.keys().find(|name| *name == user),
        };
        if matches!(user, "root" | "0") && matches!(group, None | Some("root" | "0" | "")) {
            return None;
        }
        let Some(name) = known else { return Some(spec.trim_end_matches(':').to_owned()) };
        let Some(account) = self.users.get(name) else { return Some(spec.to_owned()) };
        let number = group.map(|group| group.parse().ok().or_else(|| self.group(group)).unwrap_or(u32::MAX));
        match (group, number) {
            (None | Some(""), _) => Some(name.clone()),
            (Some(_), Some(number)) if number == account.gid => Some(name.clone()),
            (Some(_), Some(number)) if number != u32::MAX => Some(format!("{name}:{number}")),
            (Some(group), _) => Some(format!("{name}:{group}")),
        }
    }

    /// The number of a group, where it is known.
    pub(super) fn group(&self, name: &str) -> Option<u32> {
        let usual = [
            ("root", 0),
            ("daemon", 1),
            ("adm", 4),
            ("www-data", 33),
            ("staff", 50),
            ("users", 100),
            ("nogroup", 65534),
        ];
        let own = self.groups.get(name).copied();
        let of_user = || self.users.get(name).map(|user| user.gid);
        own.or_else(of_user).or_else(|| usual.iter().find(|(known, _)| *known == name).map(|(_, gid)| *gid))
    }

    /// What a path of the context is, as far as it is known.
    pub(super) fn kind(&self, context: &dyn Context, path: &str) -> (FileKind, bool) {
        match context.kind(path) {
            Some(kind) => (kind, true),
            None => (guess(path), false),
        }
    }
}
