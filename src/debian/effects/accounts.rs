//! Accounts: Debian's own from `base-passwd`, and those that services get when they are installed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::deb::Deb;
use super::super::installation::calls;
use super::super::shell::{Field, split as words_of};
use super::super::staging::{Staging, StagingError};
use crate::tree::{NodeKind, Origin, Owner, TreePath};

/// A group or user that a package wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A group.
    Group {
        /// Its name.
        name: String,
        /// Its number, where it is fixed.
        gid: Option<u32>,
    },
    /// A user.
    User {
        /// Its name.
        name: String,
        /// Its number, where it is fixed.
        uid: Option<u32>,
        /// Its group; `None` for one of its own name.
        group: Option<String>,
        /// What it is for.
        comment: String,
        /// Its home.
        home: String,
        /// Whether the home is made.
        create_home: bool,
        /// Its shell.
        shell: String,
    },
    /// A user becomes a member of a group.
    Member {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
}

/// Accounts that scripts make in ways that cannot be read: package, then lines as sysusers.d(5) has them.
const KNOWN: [(&str, &[&str]); 5] = [
    ("apt", &["u _apt 42:nogroup - /nonexistent"]),
    (
        "postgresql-common",
        &[
            "g ssl-cert -",
            "u postgres - \"PostgreSQL administrator\" /var/lib/postgresql /bin/bash",
            "m postgres ssl-cert",
        ],
    ),
    ("ssl-cert", &["g ssl-cert -"]),
    ("cron", &["g crontab -"]),
    ("openssh-client", &["g _ssh -"]),
];

/// A number of a user or group; the last ones stand for nobody.
fn number(text: impl AsRef<str>) -> Option<u32> {
    text.as_ref().parse().ok().filter(|number| *number < u32::MAX - 1)
}

/// The first and last number for accounts of services (Policy 9.2.2).
const SYSTEM: std::ops::RangeInclusive<u32> = 100..=999;

/// Where nobody may log in.
const NOLOGIN: &str = "/usr/sbin/nologin";

/// The four files, line by line.
struct Files {
    passwd: Vec<Vec<String>>,
    group: Vec<Vec<String>>,
    shadow: Option<Vec<Vec<String>>>,
    gshadow: Option<Vec<Vec<String>>>,
    /// The date of passwords, in days since 1970.
    days: u32,
}

/// Writes Debian's accounts where there are none yet, and those that the packages want. `pinned` holds numbers given out
/// before, by name; what is given out now is returned, users and groups by name. `days` is the date of passwords, in days
/// since 1970.
///
/// # Errors
/// Where the files of the base cannot be read, or no number is left.
pub fn apply(
    staging: &mut Staging<'_>,
    packages: &[Deb],
    pinned: &BTreeMap<String, u32>,
    days: u32,
) -> Result<BTreeMap<String, u32>, StagingError> {
    let origin = Origin::new("accounts");
    let has = |name: &str| packages.iter().any(|package| package.name == name);
    if has("base-passwd") {
        for file in ["passwd", "group"] {
            let Some(master) = staging.text(&format!("usr/share/base-passwd/{file}.master"))? else { continue };
            staging.directory("etc", 0o755, Owner::ROOT, &origin)?;
            let path = format!("etc/{file}");
            match staging.text(&path)? {
                None => staging.file(&path, master, 0o644, Owner::ROOT, &origin)?,
                Some(there) => {
                    if let Some(merged) = merge(&there, &master) {
                        let place = staging.place(&path)?;
                        let node = staging.view().get(&place).map(|node| (node.mode, node.owner));
                        let (mode, owner) = node.unwrap_or((0o644, Owner::ROOT));
                        staging.file(&path, merged, mode, owner, &origin)?;
                    }
                }
            }
        }
        for file in ["subuid", "subgid"] {
            staging.new_file(&format!("etc/{file}"), "", 0o644, Owner::ROOT, &origin)?;
        }
    }
    let Some(passwd) = staging.text("etc/passwd")? else { return Ok(BTreeMap::new()) };
    let mut files = Files {
        passwd: split(&passwd),
        group: split(&staging.text("etc/group")?.unwrap_or_default()),
        shadow: staging.text("etc/shadow")?.map(|text| split(&text)),
        gshadow: staging.text("etc/gshadow")?.map(|text| split(&text)),
        days,
    };
    let before = files.written();
    if has("passwd") && files.shadow.is_none() {
        files.shadow_on();
        for (file, mode) in [("subuid", 0o644), ("subgid", 0o644), (".pwd.lock", 0o600)] {
            staging.new_file(&format!("etc/{file}"), "", mode, Owner::ROOT, &origin)?;
        }
    }
    let mut homes = Vec::new();
    let given = files
        .add(&wanted(staging, packages)?, pinned, &mut homes)
        .map_err(|reason| StagingError::Wrong { path: TreePath::parse("etc/passwd").unwrap_or_default(), reason })?;
    let after = files.written();
    for (file, owner, mode) in
        [("passwd", 0, 0o644), ("group", 0, 0o644), ("shadow", 42, 0o640), ("gshadow", 42, 0o640)]
    {
        if let Some(text) = after.get(file).filter(|text| before.get(file) != Some(*text)) {
            let path = format!("etc/{file}");
            // What is there keeps its mode and owner.
            let there = staging
                .place(&path)
                .ok()
                .and_then(|path| staging.view().get(&path).map(|node| (node.mode, node.owner)));
            let (mode, owner) = there.unwrap_or((mode, Owner::new(0, owner)));
            staging.file(&path, text.clone(), mode, owner, &origin)?;
        }
    }
    for (home, owner) in homes {
        staging.directory(&home, 0o755, owner, &origin)?;
    }
    Ok(given)
}

/// What the packages want: from their sysusers.d files, the table, and commands in their scripts that mean what they say.
fn wanted(staging: &Staging<'_>, packages: &[Deb]) -> Result<Vec<Wanted>, StagingError> {
    let mut wanted = Vec::new();
    for package in packages {
        for member in &package.members {
            let path = member.path.as_bytes();
            if path.starts_with(b"usr/lib/sysusers.d/") && path.ends_with(b".conf") && declares(&package.name) {
                let path = String::from_utf8_lossy(path).into_owned();
                let text = staging.text(&path)?.unwrap_or_default();
                wanted.extend(text.lines().filter_map(sysuser));
            }
        }
        match KNOWN.iter().find(|(name, _)| *name == package.name) {
            Some((_, lines)) => wanted.extend(lines.iter().filter_map(|line| sysuser(line))),
            None => wanted.extend(read_scripts(package)),
        }
    }
    Ok(wanted)
}

/// `base-passwd` and `systemd` describe accounts that Debian has by other means.
fn declares(package: &str) -> bool {
    !matches!(package, "base-passwd" | "libsystemd-shared")
}

/// One line of a sysusers.d file; `None` for what is none of users, groups and members.
fn sysuser(line: &str) -> Option<Wanted> {
    let words = words_of(line);
    let word = |at: usize| words.get(at).map(String::as_str).filter(|word| *word != "-");
    let name = word(1).filter(|name| is_name(name))?.to_owned();
    match word(0)?.trim_end_matches(['!', '-']) {
        "g" => Some(Wanted::Group { name, gid: word(2).and_then(number) }),
        "u" => {
            let (uid, group) = word(2)
                .map_or((None, None), |id| id.split_once(':').map_or((Some(id), None), |(a, b)| (Some(a), Some(b))));
            Some(Wanted::User {
                name,
                uid: uid.and_then(number),
                group: group.filter(|group| is_name(group)).map(str::to_owned),
                comment: word(3).unwrap_or_default().replace([':', '\n'], ""),
                home: word(4).filter(|home| is_path(home)).unwrap_or("/").to_owned(),
                create_home: false,
                shell: word(5).filter(|shell| is_path(shell)).unwrap_or(NOLOGIN).to_owned(),
            })
        }
        "m" => Some(Wanted::Member { user: name, group: word(2).filter(|name| is_name(name))?.to_owned() }),
        _ => None,
    }
}

/// The numbers that services cannot get any more, since somebody below has them; empty where there are none but Debian's
/// own.
///
/// # Errors
/// Where the files of the base cannot be read.
pub fn taken(staging: &Staging<'_>) -> Result<String, StagingError> {
    let mut taken = BTreeSet::new();
    for (file, kind) in [("etc/passwd", "user"), ("etc/group", "group")] {
        for line in split(&staging.text(file)?.unwrap_or_default()) {
            let id = line.get(2).and_then(number).filter(|id| SYSTEM.contains(id));
            if let Some(id) = id.filter(|id| (line[0].as_str(), *id) != ("users", 100)) {
                taken.insert(format!("{kind} {id}\n"));
            }
        }
    }
    Ok(taken.into_iter().collect())
}

/// Whether what a package wants is in the table.
pub fn known(package: &str) -> bool {
    KNOWN.iter().any(|(name, _)| *name == package)
}

/// What a package's scripts ask `adduser` and `addgroup` for, as far as it can be read.
pub fn read_scripts(package: &Deb) -> Vec<Wanted> {
    if known(&package.name) {
        return Vec::new();
    }
    let calls = calls(package, &["adduser", "addgroup", "useradd", "groupadd"]);
    calls.iter().filter_map(|words| asked(&words[0].text, &words[1..])).flatten().collect()
}

/// What one call of `adduser` or `addgroup` asks for; `None` where it cannot be read.
pub fn asked(called: &str, words: &[Field]) -> Option<Vec<Wanted>> {
    let called = called.rsplit('/').next().unwrap_or_default();
    let words: Vec<&str> = words.iter().map(Field::text).collect::<Option<_>>()?;
    let (mut names, mut own_group, mut group, mut system) = (Vec::new(), false, None, false);
    let (mut home, mut create_home, mut shell, mut comment, mut id) = (None, true, None, "", None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (option, value) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        let mut value = || value.or_else(|| words.next());
        match option {
            "--system" | "-r" => system = true,
            "--group" => own_group = true,
            "--ingroup" | "--gid" | "-g" if called != "addgroup" && called != "groupadd" => group = Some(value()?),
            "--home" | "--home-dir" | "-d" => home = Some(value()?),
            "--shell" | "-s" => shell = Some(value()?),
            "--gecos" | "--comment" | "-c" => comment = value()?,
            "--uid" | "-u" | "--gid" | "-g" => id = Some(number(value()?)?),
            "--no-create-home" | "-M" => create_home = false,
            "--quiet"
            | "--force-badname"
            | "--allow-bad-names"
            | "--allow-badname"
            | "--allow-all-names"
            | "--disabled-password"
            | "--disabled-login"
            | "-q"
            | "--create-home"
            | "-m"
            | "-N"
            | "--no-user-group" => {}
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    if !names.iter().all(|name| is_name(name)) || group.is_some_and(|group| !is_name(group)) {
        return None;
    }
    let grouped = matches!(called, "addgroup" | "groupadd") || (own_group && !system);
    match names[..] {
        [name] if grouped => Some(vec![Wanted::Group { name: name.to_owned(), gid: id }]),
        [name] if system => {
            let home = home.filter(|home| is_path(home)).unwrap_or("/nonexistent");
            Some(vec![Wanted::User {
                name: name.to_owned(),
                uid: id,
                group: group.map(str::to_owned).or((!own_group && called == "adduser").then(|| "nogroup".to_owned())),
                comment: comment.replace([':', '\n'], ""),
                home: home.to_owned(),
                create_home: create_home && !home.starts_with("/nonexistent") && !home.starts_with("/run"),
                shell: shell.filter(|shell| is_path(shell)).unwrap_or(NOLOGIN).to_owned(),
            }])
        }
        [user, group] if !system => Some(vec![Wanted::Member { user: user.to_owned(), group: group.to_owned() }]),
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=32).contains(&name.len())
        && name.bytes().all(fine)
        && !name.starts_with(['-', '.'])
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains([':', '\n', '\0']) && TreePath::parse(path).is_ok()
}

/// Accounts that are there, then those of Debian's whose names and numbers nobody has; `None` where that adds nothing.
fn merge(there: &str, master: &str) -> Option<String> {
    let lines = split(there);
    let taken = |at: usize, value: &str| lines.iter().any(|line| line.get(at).is_some_and(|other| other == value));
    let mut merged = there.to_owned();
    if !merged.is_empty() && !merged.ends_with('\n') {
        merged.push('\n');
    }
    let before = merged.len();
    for line in split(master) {
        if let [name, _, number, ..] = &line[..]
            && !taken(0, name)
            && !taken(2, number)
        {
            merged.push_str(&line.join(":"));
            merged.push('\n');
        }
    }
    (merged.len() > before).then_some(merged)
}

fn split(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

fn join(lines: &[Vec<String>]) -> String {
    lines.iter().map(|line| line.join(":") + "\n").collect()
}

/// Takes a password out of its field. What says that it is elsewhere is none, and nobody gets in with it.
fn shadowed(field: &mut String) -> String {
    let password = std::mem::replace(field, "x".to_owned());
    if password == "x" { "*".to_owned() } else { password }
}

impl Files {
    fn written(&self) -> BTreeMap<&'static str, String> {
        let mut files = BTreeMap::from([("passwd", join(&self.passwd)), ("group", join(&self.group))]);
        files.extend(self.shadow.as_ref().map(|lines| ("shadow", join(lines))));
        files.extend(self.gshadow.as_ref().map(|lines| ("gshadow", join(lines))));
        files
    }

    /// Passwords move to files of their own, as `pwconv` and `grpconv` do.
    fn shadow_on(&mut self) {
        let days = self.days.to_string();
        let mut shadow = Vec::new();
        for line in self.passwd.iter_mut().filter(|line| line.len() == 7) {
            let password = shadowed(&mut line[1]);
            shadow.push([&line[0], &password, &days, "0", "99999", "7", "", "", ""].map(str::to_owned).to_vec());
        }
        let mut gshadow = Vec::new();
        for line in self.group.iter_mut().filter(|line| line.len() == 4) {
            let password = shadowed(&mut line[1]);
            gshadow.push([&line[0], &password, "", &line[3]].map(str::to_owned).to_vec());
        }
        (self.shadow, self.gshadow) = (Some(shadow), Some(gshadow));
    }

    fn gid_of(&self, name: &str) -> Option<u32> {
        self.group.iter().find(|line| line[0] == name).and_then(|line| line.get(2)?.parse().ok())
    }

    /// The number that is wanted, or the next one that neither is taken nor belongs to somebody who comes later.
    fn free(&self, wanted: Option<u32>, users: bool, kept: &BTreeSet<u32>) -> Option<u32> {
        let number = |line: &Vec<String>| line.get(2).and_then(|id| id.parse::<u32>().ok());
        let mut taken: BTreeSet<u32> = self.group.iter().filter_map(number).collect();
        if users {
            taken.extend(self.passwd.iter().filter_map(number));
        }
        let next = SYSTEM.filter(|id| !kept.contains(id));
        wanted.into_iter().chain(next).find(|id| !taken.contains(id))
    }

    /// Adds what is wanted, by name, whatever the order in which it was asked for. What is there already stays.
    fn add(
        &mut self,
        wanted: &[Wanted],
        pinned: &BTreeMap<String, u32>,
        homes: &mut Vec<(String, Owner)>,
    ) -> Result<BTreeMap<String, u32>, String> {
        let mut given = BTreeMap::new();
        let full = |name: &str| format!("no number from {} to {} is left for {name}", SYSTEM.start(), SYSTEM.end());
        let mut groups: BTreeMap<&str, Option<u32>> = BTreeMap::new();
        let mut users: BTreeMap<&str, &Wanted> = BTreeMap::new();
        for item in wanted {
            match item {
                Wanted::Group { name, gid } => _ = groups.entry(name).or_insert(*gid),
                Wanted::User { name, .. } => _ = users.entry(name).or_insert(item),
                Wanted::Member { .. } => {}
            }
        }
        let kept = |name: &&str| pinned.get(*name).copied();
        let kept: BTreeSet<u32> = groups.keys().chain(users.keys()).filter_map(kept).collect();
        for (name, gid) in groups {
            // The group of a user of the same name comes with it.
            let own = matches!(users.get(name), Some(Wanted::User { group: None, .. }));
            if !own && self.gid_of(name).is_none() {
                let gid = self.free(pinned.get(name).copied().or(gid), false, &kept).ok_or_else(|| full(name))?;
                self.add_group(name, gid);
                given.insert(name.to_owned(), gid);
            }
        }
        for (name, user) in users {
            let Wanted::User { uid, group, comment, home, create_home, shell, .. } = user else { continue };
            if self.passwd.iter().any(|line| line[0] == name) {
                continue;
            }
            let existing = self.gid_of(group.as_deref().unwrap_or(name));
            let wanted = pinned
                .get(name)
                .copied()
                .or(*uid)
                .filter(|id| !self.passwd.iter().any(|line| line.get(2) == Some(&id.to_string())));
            let id = match (existing, wanted) {
                (Some(_), Some(id)) => id,
                _ => self.free(wanted, true, &kept).ok_or_else(|| full(name))?,
            };
            let gid = match existing {
                Some(gid) => gid,
                None => {
                    let group = group.as_deref().unwrap_or(name);
                    self.add_group(group, id);
                    id
                }
            };
            let password = if self.shadow.is_some() { "x" } else { "*" };
            let line = [name, password, &id.to_string(), &gid.to_string(), comment, home, shell];
            self.passwd.push(line.map(str::to_owned).to_vec());
            if let Some(shadow) = &mut self.shadow {
                let days = self.days.to_string();
                shadow.push([name, "!", &days, "", "", "", "", "", ""].map(str::to_owned).to_vec());
            }
            given.insert(name.to_owned(), id);
            if *create_home {
                homes.push((home.clone(), Owner::new(id, gid)));
            }
        }
        for item in wanted {
            if let Wanted::Member { user, group } = item {
                self.add_member(user, group);
            }
        }
        Ok(given)
    }

    fn add_group(&mut self, name: &str, gid: u32) {
        let password = if self.gshadow.is_some() { "x" } else { "*" };
        self.group.push([name, password, &gid.to_string(), ""].map(str::to_owned).to_vec());
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.push([name, "!", "", ""].map(str::to_owned).to_vec());
        }
    }

    fn add_member(&mut self, user: &str, group: &str) {
        if !self.passwd.iter().any(|line| line[0] == user) {
            return;
        }
        for lines in [Some(&mut self.group), self.gshadow.as_mut()].into_iter().flatten() {
            for line in lines.iter_mut().filter(|line| line[0] == group && line.len() == 4) {
                let mut members: Vec<&str> = line[3].split(',').filter(|member| !member.is_empty()).collect();
                if !members.contains(&user) {
                    members.push(user);
                    line[3] = members.join(",");
                }
            }
        }
    }
}

/// Names and numbers of an image's users or groups, from the text of `passwd` or `group`.
pub fn numbers(text: &str) -> BTreeMap<String, u32> {
    split(text).into_iter().filter_map(|line| Some((line.first()?.clone(), line.get(2)?.parse().ok()?))).collect()
}

/// Whether a path of the view is a regular file.
pub fn is_file(staging: &Staging<'_>, path: &str) -> bool {
    let path = TreePath::parse(path).ok().and_then(|path| staging.view().resolve(&path).ok());
    path.and_then(|path| staging.view().get(&path)).is_some_and(|node| matches!(node.kind, NodeKind::File(_)))
}

#[cfg(test)]
mod tests {
    use super::super::super::deb::tests::{TestTar, package};
    use super::super::super::unpack::{Leave, unpack};
    use super::*;
    use crate::tree::Rootfs;

    fn masters() -> Deb {
        package(
            "base-passwd",
            &[],
            TestTar::default()
                .directory("./usr/", 0o755)
                .directory("./usr/share/", 0o755)
                .directory("./usr/share/base-passwd/", 0o755)
                .file(
                    "./usr/share/base-passwd/passwd.master",
                    0o644,
                    "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                )
                .file("./usr/share/base-passwd/group.master", 0o644, "root:*:0:\nusers:*:100:\nnogroup:*:65534:\n"),
        )
    }

    fn made(packages: &[Deb], pinned: &[(&str, u32)]) -> (String, BTreeMap<String, u32>) {
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        unpack(&mut staging, packages, &BTreeMap::new(), Leave::default()).unwrap();
        let pinned = pinned.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        let given = apply(&mut staging, packages, &pinned, 3653).unwrap();
        let mut text = String::new();
        for file in ["passwd", "group", "shadow", "gshadow"] {
            if let Some(content) = staging.text(&format!("etc/{file}")).unwrap() {
                text.push_str(&format!("[{file}]\n{content}"));
            }
        }
        (text, given)
    }

    #[test]
    fn masters_are_copied_and_shadowed() {
        let (text, _) = made(&[masters()], &[]);
        insta::assert_snapshot!(text, @r"
        [passwd]
        root:*:0:0:root:/root:/bin/bash
        nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
        [group]
        root:*:0:
        users:*:100:
        nogroup:*:65534:
        ");
        let (text, _) = made(&[masters(), package("passwd", &[], TestTar::default())], &[]);
        insta::assert_snapshot!(text, @r"
        [passwd]
        root:x:0:0:root:/root:/bin/bash
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
        [group]
        root:x:0:
        users:x:100:
        nogroup:x:65534:
        [shadow]
        root:*:3653:0:99999:7:::
        nobody:*:3653:0:99999:7:::
        [gshadow]
        root:*::
        users:*::
        nogroup:*::
        ");
    }

    #[test]
    fn masters_are_added_to_what_is_there() {
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        let origin = Origin::new("users");
        for (path, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\napp:x:100:100::/:/bin/sh"),
            ("etc/group", "app:x:100:\n"),
        ] {
            staging.file(path, text, 0o640, Owner::ROOT, &origin).unwrap();
        }
        let packages = [masters(), package("passwd", &[], TestTar::default())];
        unpack(&mut staging, &packages, &BTreeMap::new(), Leave::default()).unwrap();
        apply(&mut staging, &packages, &BTreeMap::new(), 3653).unwrap();
        let text = |path: &str| staging.text(path).unwrap().unwrap();
        assert_eq!(
            text("etc/passwd"),
            "root:x:0:0:root:/root:/sbin/nologin\napp:x:100:100::/:/bin/sh\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        );
        // The number of `users` is taken.
        assert_eq!(text("etc/group"), "app:x:100:\nroot:x:0:\nnogroup:x:65534:\n");
        assert!(text("etc/shadow").starts_with("root:*:3653:"), "{}", text("etc/shadow"));
        assert_eq!(staging.view().get(&TreePath::parse("etc/passwd").unwrap()).unwrap().mode, 0o640);
    }

    #[test]
    fn services_get_numbers_by_name() {
        let script = |command: &str| vec![("postinst".to_owned(), format!("#!/bin/sh\n{command}\n"))];
        let service = |name: &str, command: &str| {
            let info = script(command);
            let info: Vec<(&str, &str)> = info.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            package(name, &info, TestTar::default())
        };
        let redis = service("redis-tools", "adduser --system --home /var/lib/redis --quiet --group redis || true");
        let a = service(
            "a",
            "addgroup --quiet --system agroup\nadduser --system --no-create-home --home /var/lib/a a 2>/dev/null\nadduser a agroup",
        );
        let forth = made(&[masters(), redis.clone(), a.clone()], &[]);
        assert_eq!(forth, made(&[a.clone(), masters(), redis.clone()], &[]));
        insta::assert_snapshot!(forth.0, @r"
        [passwd]
        root:*:0:0:root:/root:/bin/bash
        nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
        a:*:102:65534::/var/lib/a:/usr/sbin/nologin
        redis:*:103:103::/var/lib/redis:/usr/sbin/nologin
        [group]
        root:*:0:
        users:*:100:
        nogroup:*:65534:
        agroup:*:101:a
        redis:*:103:
        ");
        assert_eq!(
            forth.1,
            BTreeMap::from([("a".to_owned(), 102), ("agroup".to_owned(), 101), ("redis".to_owned(), 103)])
        );
        let pinned = made(&[masters(), redis, a], &[("redis", 200)]);
        assert_eq!(pinned.1.get("redis"), Some(&200));
        let unread = service("x", "adduser --system $USER");
        assert_eq!(read_scripts(&unread), Vec::new());
    }

    #[test]
    fn sysusers_are_read() {
        assert_eq!(sysuser("# comment"), None);
        assert_eq!(sysuser("g crontab -"), Some(Wanted::Group { name: "crontab".into(), gid: None }));
        assert_eq!(sysuser("u! a:b -"), None);
        assert!(matches!(
            sysuser("u! messagebus - \"System Message Bus\" /nonexistent -"),
            Some(Wanted::User { comment, group: None, .. }) if comment == "System Message Bus"
        ));
        for (package, lines) in KNOWN {
            assert!(lines.iter().all(|line| sysuser(line).is_some()), "{package}");
        }
    }
}
