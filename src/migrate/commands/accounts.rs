//! `useradd`, `adduser` and their kin, Debian's and busybox': `[users]`.

use super::super::draft::{Key, Toml, User};
use super::super::state::State;
use super::{Call, Done, Kept, Outcome};

/// What the flags of a command say.
#[derive(Default)]
struct Flags {
    id: Option<String>,
    group: Option<String>,
    groups: Vec<String>,
    home: Option<String>,
    shell: Option<String>,
    comment: Option<String>,
    system: bool,
    make_home: Option<bool>,
    own_group: Option<bool>,
    /// `adduser --disabled-password`: Debian's, not busybox'.
    debian: bool,
    names: Vec<String>,
    unknown: Option<String>,
}

impl State {
    pub(super) fn accounts(&mut self, call: &Call<'_>) -> Outcome {
        let flags = flags(call);
        if let Some(unknown) = &flags.unknown {
            return Err(Kept::new(format!("the flag `{unknown}` is not known"), "declare the user in `[users.NAME]`"));
        }
        match (call.program.as_str(), flags.names.as_slice()) {
            ("groupadd", [name]) | ("addgroup", [name]) => {
                let number = match &flags.id {
                    Some(id) => id.parse().map_err(|_| bad_number(id))?,
                    None => self.free(flags.system, call.program == "groupadd", true),
                };
                self.groups.insert(name.clone(), number);
                Ok(Done::Turned(format!("the group of `[users]`, {number}")))
            }
            ("useradd", [name]) => self.new_user(call, name, &flags),
            ("adduser", [name]) => self.new_user(call, name, &flags),
            ("adduser", [user, group]) | ("addgroup", [user, group]) => self.join(user, std::slice::from_ref(group)),
            ("usermod", [user]) if !flags.groups.is_empty() && flags.id.is_none() => self.join(user, &flags.groups),
            ("chsh", [user]) => match (self.draft_user(user), flags.shell) {
                (Some(user), Some(shell)) => {
                    user.shell = shell;
                    Ok(Done::Turned("the user's `shell`".to_owned()))
                }
                _ => Err(Kept::new("the user is the base's", "declare the user in `[users.NAME]`")),
            },
            ("passwd", _) => Ok(Done::Nothing("users of a recipe have no password")),
            _ => {
                Err(Kept::new("accounts of the base are changed", "declare the user as it should be in `[users.NAME]`"))
            }
        }
    }

    /// A user that this image makes.
    fn draft_user(&mut self, name: &str) -> Option<&mut User> {
        let own = match self.draft.value(Key::Users) {
            Some(Toml::List(list)) => list.contains(&Toml::text(name)),
            _ => false,
        };
        if own { self.users.get_mut(name) } else { None }
    }

    fn join(&mut self, user: &str, groups: &[String]) -> Outcome {
        let numbers: Vec<String> =
            groups.iter().map(|group| self.groups.get(group).map_or(group.clone(), ToString::to_string)).collect();
        match self.draft_user(user) {
            Some(user) => {
                user.groups.extend(numbers);
                Ok(Done::Turned("the user's `groups`".to_owned()))
            }
            None => Err(Kept::new("the user is the base's", "declare the user in `[users.NAME]`, with `groups`")),
        }
    }

    /// The number that the programs would give on a base without other users.
    fn free(&self, system: bool, downwards: bool, groups: bool) -> u32 {
        // A user that gets a group of its own takes a number that is free for both.
        let group = |number: &u32| {
            self.groups.values().any(|gid| gid == number) || self.users.values().any(|user| user.gid == *number)
        };
        let taken = |number: &u32| self.users.values().any(|user| user.uid == *number) || groups && group(number);
        let found = match (system, downwards) {
            (false, _) => (1000..60_000).find(|number| !taken(number)),
            (true, true) => (100..1000).rev().find(|number| !taken(number)),
            (true, false) => (100..1000).find(|number| !taken(number)),
        };
        found.unwrap_or(1000)
    }

    fn new_user(&mut self, call: &Call<'_>, name: &str, flags: &Flags) -> Outcome {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name == "root"
            || name.len() > 32
            || !name.chars().all(good)
            || name.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_')
        {
            return Err(Kept::new("this is no name of a new user", "declare the user in `[users.NAME]`"));
        }
        if self.users.contains_key(name) {
            return Err(Kept::new("there is a user of this name already", "declare each user once in `[users.NAME]`"));
        }
        let useradd = call.program == "useradd";
        let mut comments = Vec::new();
        // A group that was made for the user has the number that the user most likely got too.
        let own_group = self.groups.get(name).copied();
        let group = match &flags.group {
            Some(group) => match group.parse().ok().or_else(|| self.group(group)) {
                Some(number) => Some(number),
                None => {
                    return Err(Kept::new(
                        format!("the number of the group `{group}` is not known"),
                        "declare the user in `[users.NAME]`, with `gid`",
                    ));
                }
            },
            None if flags.system && !useradd && flags.own_group != Some(true) && own_group.is_none() => Some(65534),
            None => own_group,
        };
        let uid = match &flags.id {
            Some(id) => id.parse().map_err(|_| bad_number(id))?,
            None => {
                let free = self.free(flags.system, useradd, flags.group.is_none());
                let uid = match own_group {
                    Some(number) if self.users.values().all(|user| user.uid != number) => number,
                    _ => free,
                };
                comments.push(format!("{} names no number: this is what it takes where no other user is", call.place));
                uid
            }
        };
        let gid = group.unwrap_or(uid);
        if let Some(group) = flags
            .group
            .as_ref()
            .filter(|group| *group != name && group.parse::<u32>().is_err() && self.groups.get(*group) == Some(&gid))
        {
            comments.push(format!("the group is called as the user, not `{group}`: numbers are what counts"));
        }
        let (home, shell, make) = match (useradd, flags.system) {
            (true, _) => (format!("/home/{name}"), "/bin/sh", false),
            (false, true) if flags.debian => ("/nonexistent".to_owned(), "/usr/sbin/nologin", false),
            (false, true) => (format!("/home/{name}"), "/bin/false", true),
            (false, false) if flags.debian => (format!("/home/{name}"), "/bin/bash", true),
            (false, false) => (format!("/home/{name}"), "/bin/sh", true),
        };
        let home = flags.home.clone().unwrap_or(home);
        if !home.starts_with('/') {
            return Err(Kept::new("the home is no absolute path", "declare the user in `[users.NAME]`"));
        }
        let groups = flags
            .groups
            .iter()
            .filter(|group| *group != name)
            .map(|group| self.groups.get(group).map_or(group.clone(), ToString::to_string))
            .collect();
        let user = User {
            uid,
            gid,
            // Nobody's home is never made.
            create_home: flags.make_home.unwrap_or(make) && home != "/nonexistent" && home != "/",
            home,
            shell: flags.shell.clone().filter(|shell| shell.starts_with('/')).unwrap_or_else(|| shell.to_owned()),
            groups,
            comment: flags.comment.clone().unwrap_or_default().replace([':', '\n'], " ").trim_matches(',').to_owned(),
            comments,
        };
        self.users.insert(name.to_owned(), user);
        let mut names = match self.draft.value(Key::Users) {
            Some(Toml::List(list)) => list.clone(),
            _ => Vec::new(),
        };
        names.push(Toml::text(name));
        self.draft.set(Key::Users, Toml::List(names));
        Ok(Done::Turned(format!("[users.{name}]")))
    }
}

fn bad_number(id: &str) -> Kept {
    Kept::new(format!("`{}` is no number", super::one_line(id)), "declare the user in `[users.NAME]`")
}

fn flags(call: &Call<'_>) -> Flags {
    let busybox = call.program.starts_with("add") && !call.words.iter().any(|word| word.starts_with("--"));
    let mut flags = Flags { debian: !busybox, ..Flags::default() };
    let mut words = call.words.iter();
    let group_command = matches!(call.program.as_str(), "groupadd" | "addgroup");
    while let Some(word) = words.next() {
        let (flag, mut given) = match word.split_once('=') {
            Some((flag, value)) if word.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        if !flag.starts_with('-') {
            flags.names.push(flag);
            continue;
        }
        // Short flags stand together: `-rm`, `-SDH`, `-u1001`.
        let single: Vec<String> = match flag.starts_with("--") {
            true => vec![flag.clone()],
            false => {
                let mut all = Vec::new();
                for (at, c) in flag[1..].char_indices() {
                    all.push(format!("-{c}"));
                    let takes = "ugGdscKpkh".contains(c);
                    let rest = &flag[1 + at + c.len_utf8()..];
                    if takes && !rest.is_empty() {
                        given = Some(rest.to_owned());
                        break;
                    }
                }
                all
            }
        };
        for flag in single {
            let mut value = || given.take().or_else(|| words.next().cloned());
            match flag.as_str() {
                "-u" | "--uid" => flags.id = value(),
                "-g" | "--gid" if group_command => flags.id = value(),
                "-g" if busybox => flags.comment = value(),
                "--gid" | "-g" | "--ingroup" => flags.group = value(),
                "-G" if busybox => flags.group = value(),
                "-G" | "--groups" => flags.groups = value().unwrap_or_default().split(',').map(str::to_owned).collect(),
                "-d" | "--home" | "--home-dir" => flags.home = value(),
                "-h" if busybox => flags.home = value(),
                "-s" | "--shell" => flags.shell = value(),
                "-c" | "--comment" | "--gecos" => flags.comment = value(),
                "-r" | "--system" | "-S" => flags.system = true,
                "-m" | "--create-home" => flags.make_home = Some(true),
                "-M" | "--no-create-home" | "-H" => flags.make_home = Some(false),
                "-U" | "--user-group" | "--group" => flags.own_group = Some(true),
                "-N" | "--no-user-group" => flags.own_group = Some(false),
                "-D"
                | "--disabled-password"
                | "--disabled-login"
                | "-l"
                | "--no-log-init"
                | "-o"
                | "--non-unique"
                | "-f"
                | "--force"
                | "-q"
                | "--quiet"
                | "-a"
                | "--append"
                | "--allow-bad-names"
                | "--allow-all-names"
                | "--badname"
                | "--force-badname" => {}
                "-K" | "--key" | "-p" | "--password" | "-k" | "--skel" => drop(value()),
                other => flags.unknown = Some(other.to_owned()),
            }
        }
    }
    flags
}
