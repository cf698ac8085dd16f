//! Accounts: the users and groups that an image's passwd and group files tell of, and what a recipe adds to them.
//!
//! passwd(5), group(5), shadow(5), gshadow(5). What is not understood in a base's files is kept, line for line.

use std::collections::BTreeMap;

use crate::nearest;
use crate::shown::Shown;
use crate::tree::Owner;

/// A user that a recipe asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// The comment field.
    pub comment: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
}

/// The texts of the four files; `None` where the base has no such file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFiles {
    /// `/etc/passwd`
    pub passwd: Option<String>,
    /// `/etc/group`
    pub group: Option<String>,
    /// `/etc/shadow`
    pub shadow: Option<String>,
    /// `/etc/gshadow`
    pub gshadow: Option<String>,
}

/// Why accounts cannot be as the recipe wants them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// The name is taken by somebody else.
    #[error("the base has a user `{name}` already, with {there}; the recipe wants {wanted}")]
    Name {
        /// The name.
        name: String,
        /// What the base has.
        there: String,
        /// What the recipe wants.
        wanted: String,
    },
    /// The number is taken by somebody else.
    #[error("the base has uid {uid} already, as `{there}`; the recipe wants it for `{wanted}`")]
    Uid {
        /// The number.
        uid: u32,
        /// Whose it is.
        there: String,
        /// Who wants it.
        wanted: String,
    },
    /// The group's name is taken by another number.
    #[error("the base has a group `{name}` already, with gid {there}; the recipe wants gid {wanted} for it")]
    Group {
        /// The name.
        name: String,
        /// The number it has.
        there: u32,
        /// The number it should have.
        wanted: u32,
    },
    /// A further group that is nowhere.
    #[error("user `{user}` should be in the group `{group}`, which neither the base nor the recipe has{near}")]
    NoGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
        /// What was probably meant.
        near: String,
    },
    /// A name that is nobody's.
    #[error("there is no user `{name}` in the recipe or in the base's /etc/passwd{near}")]
    NoUser {
        /// The name.
        name: String,
        /// What was probably meant.
        near: String,
    },
    /// A group's name that is nobody's.
    #[error("there is no group `{name}` in the recipe or in the base's /etc/group{near}")]
    NoGroupName {
        /// The name.
        name: String,
        /// What was probably meant.
        near: String,
    },
}

/// Users and groups that are known: those of a base, then those of a recipe on top.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: BTreeMap<String, Known>,
    groups: BTreeMap<String, u32>,
}

#[derive(Clone, Debug)]
struct Known {
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

impl Accounts {
    /// The accounts of those files. Lines that tell of none (NIS's `+` and `-`, comments, what is malformed) are passed
    /// over, as the C library does.
    pub fn read(files: &AccountFiles) -> Self {
        let mut accounts = Accounts::default();
        for fields in lines(files.passwd.as_deref()) {
            let [name, _, uid, gid, _, home, shell] = fields[..] else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            let known = Known { uid, gid, home: home.to_owned(), shell: shell.to_owned() };
            // As getpwnam does: the first of a name holds.
            accounts.users.entry(name.to_owned()).or_insert(known);
        }
        for fields in lines(files.group.as_deref()) {
            let [name, _, gid, _] = fields[..] else { continue };
            let Ok(gid) = gid.parse() else { continue };
            accounts.groups.entry(name.to_owned()).or_insert(gid);
        }
        accounts
    }

    /// Adds users of the recipe, so that names mean them, whoever the base has under the same name.
    pub fn know(&mut self, user: &User) {
        let User { uid, gid, home, shell, .. } = user.clone();
        self.users.insert(user.name.clone(), Known { uid, gid, home, shell });
        if !self.groups.values().any(|known| *known == gid) {
            self.groups.entry(user.name.clone()).or_insert(gid);
        }
    }

    /// Who `user[:group]` is, where either may be a name or a number. A number alone is the group's too (semantics 14);
    /// a name's group is the user's own.
    ///
    /// # Errors
    /// Where a name is nobody's.
    pub fn resolve(&self, user: &str, group: Option<&str>) -> Result<Owner, UsersError> {
        let (uid, own) = match user.parse() {
            Ok(uid) => (uid, uid),
            Err(_) => {
                let known = self.users.get(user).ok_or_else(|| UsersError::NoUser {
                    name: user.to_owned(),
                    near: nearest::hint(nearest::nearest(user, self.users.keys().map(String::as_str))),
                })?;
                (known.uid, known.gid)
            }
        };
        let gid = match group {
            None => own,
            Some(group) => match group.parse() {
                Ok(gid) => gid,
                Err(_) => *self.groups.get(group).ok_or_else(|| UsersError::NoGroupName {
                    name: group.to_owned(),
                    near: nearest::hint(nearest::nearest(group, self.groups.keys().map(String::as_str))),
                })?,
            },
        };
        Ok(Owner::new(uid, gid))
    }
}

fn lines(text: Option<&str>) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.unwrap_or_default().lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '+', '-'])).map(|line| line.split(':').collect())
}

/// The day on which passwords were last changed, as shadow(5) counts: never the day of the build.
pub const SHADOW_DAY: u32 = 3653;

/// The files with the users added; `None` where nothing changes. A base without passwd gets one, with root in it; shadow
/// and gshadow are written only where the base has them.
///
/// # Errors
/// [`UsersError`] where a user contradicts the base.
pub fn add_users(files: &AccountFiles, users: &[User]) -> Result<Option<AccountFiles>, UsersError> {
    if users.is_empty() {
        return Ok(None);
    }
    let mut accounts = Accounts::read(files);
    let mut new = files.clone();
    let mut passwd = new.passwd.take().unwrap_or_default();
    let mut group = new.group.take().unwrap_or_default();
    if !accounts.users.contains_key("root") {
        line(&mut passwd, "root:x:0:0:root:/root:/sbin/nologin");
        let root = Known { uid: 0, gid: 0, home: "/root".to_owned(), shell: "/sbin/nologin".to_owned() };
        accounts.users.insert("root".to_owned(), root);
    }
    if !accounts.groups.values().any(|gid| *gid == 0) {
        line(&mut group, "root:x:0:");
        accounts.groups.insert("root".to_owned(), 0);
    }
    for user in users {
        let describe = |uid: u32, gid: u32, home: &str, shell: &str| {
            format!(
                "uid {uid}, gid {gid}, home {} and shell {}",
                Shown::new(home.as_bytes()),
                Shown::new(shell.as_bytes())
            )
        };
        let wanted = describe(user.uid, user.gid, &user.home, &user.shell);
        if let Some(known) = accounts.users.get(&user.name) {
            let there = describe(known.uid, known.gid, &known.home, &known.shell);
            if there != wanted {
                return Err(UsersError::Name { name: user.name.clone(), there, wanted });
            }
        } else {
            if let Some((there, _)) = accounts.users.iter().find(|(_, known)| known.uid == user.uid) {
                let (there, wanted) = (there.clone(), user.name.clone());
                return Err(UsersError::Uid { uid: user.uid, there, wanted });
            }
            let User { name, uid, gid, comment, home, shell, .. } = user;
            line(&mut passwd, &format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}"));
            if let Some(shadow) = &mut new.shadow {
                line(shadow, &format!("{name}:!:{SHADOW_DAY}:0:99999:7:::"));
            }
        }
        // A group of that number is joined under its own name; else one is made, named like the user.
        if !accounts.groups.values().any(|gid| *gid == user.gid) {
            if let Some(there) = accounts.groups.get(&user.name) {
                return Err(UsersError::Group { name: user.name.clone(), there: *there, wanted: user.gid });
            }
            line(&mut group, &format!("{}:x:{}:", user.name, user.gid));
            if let Some(gshadow) = &mut new.gshadow {
                line(gshadow, &format!("{}:!::", user.name));
            }
        }
        accounts.know(user);
    }
    for user in users {
        for wanted in &user.groups {
            let by_number = |gid: &u32| wanted.parse() == Ok(*gid);
            let name = accounts.groups.iter().find(|(name, gid)| *name == wanted || by_number(gid));
            let Some((name, _)) = name else {
                let names = accounts.groups.keys().map(String::as_str);
                let near = nearest::hint(nearest::nearest(wanted, names));
                return Err(UsersError::NoGroup { user: user.name.clone(), group: wanted.clone(), near });
            };
            group = with_member(&group, name, &user.name);
            new.gshadow = new.gshadow.map(|gshadow| with_member(&gshadow, name, &user.name));
        }
    }
    new.passwd = Some(passwd);
    new.group = Some(group);
    Ok((new != *files).then_some(new))
}

/// Adds a whole line, and a newline in front where the file lacks its last one.
fn line(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

/// The file of groups with a member added to the last field of the group's line.
fn with_member(text: &str, group: &str, member: &str) -> String {
    let mut out = String::with_capacity(text.len() + member.len() + 1);
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches('\n');
        let mut fields = line.split(':');
        let (first, members) = (fields.next(), fields.next_back().unwrap_or_default());
        if first != Some(group) || members.split(',').any(|known| known == member) {
            out.push_str(whole);
            continue;
        }
        out.push_str(line);
        if !members.is_empty() {
            out.push(',');
        }
        out.push_str(member);
        out.push_str(&whole[line.len()..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, uid: u32, gid: u32) -> User {
        User {
            name: name.to_owned(),
            uid,
            gid,
            comment: String::new(),
            home: "/nonexistent".to_owned(),
            shell: "/usr/sbin/nologin".to_owned(),
            groups: Vec::new(),
        }
    }

    fn debian() -> AccountFiles {
        AccountFiles {
            passwd: Some(
                "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n".to_owned(),
            ),
            group: Some("root:x:0:\nstaff:x:50:\nwww-data:x:33:\nvideo:x:44:a".to_owned()),
            shadow: Some("root:*:20000:0:99999:7:::\n".to_owned()),
            gshadow: Some("root:*::\nvideo:*::a\n".to_owned()),
        }
    }

    #[test]
    fn semantics_14_users_are_added_to_what_the_base_has() {
        let mut app = user("app", 1001, 1001);
        app.groups = vec!["video".to_owned(), "50".to_owned()];
        let files = add_users(&debian(), &[app]).unwrap().unwrap();
        assert!(files.passwd.unwrap().ends_with("nologin\napp:x:1001:1001::/nonexistent:/usr/sbin/nologin\n"));
        assert_eq!(files.group.unwrap(), "root:x:0:\nstaff:x:50:app\nwww-data:x:33:\nvideo:x:44:a,app\napp:x:1001:\n");
        assert_eq!(files.shadow.unwrap(), "root:*:20000:0:99999:7:::\napp:!:3653:0:99999:7:::\n");
        assert_eq!(files.gshadow.unwrap(), "root:*::\nvideo:*::a,app\napp:!::\n");
    }

    #[test]
    fn semantics_14_an_existing_group_is_joined_and_root_is_there_on_scratch() {
        let files = add_users(&debian(), &[user("app", 1001, 50)]).unwrap().unwrap();
        assert_eq!(files.group, debian().group, "no new group");
        let files = add_users(&AccountFiles::default(), &[user("app", 1001, 0)]).unwrap().unwrap();
        assert_eq!(
            files.passwd.unwrap(),
            "root:x:0:0:root:/root:/sbin/nologin\napp:x:1001:0::/nonexistent:/usr/sbin/nologin\n"
        );
        assert_eq!(files.group.unwrap(), "root:x:0:\n");
        assert_eq!((files.shadow, files.gshadow), (None, None));
    }

    #[test]
    fn semantics_14_contradictions_name_both() {
        let refused = |user| add_users(&debian(), &[user]).unwrap_err();
        assert!(matches!(refused(user("www-data", 1001, 1001)), UsersError::Name { .. }));
        assert!(matches!(refused(user("app", 33, 33)), UsersError::Uid { .. }));
        assert!(matches!(refused(user("staff", 1001, 1001)), UsersError::Group { there: 50, wanted: 1001, .. }));
        let mut lost = user("app", 1001, 1001);
        lost.groups = vec!["vidoe".to_owned()];
        assert!(refused(lost).to_string().contains("did you mean `video`?"));
        let mut same = user("www-data", 33, 33);
        same.home = "/var/www".to_owned();
        assert_eq!(add_users(&debian(), &[same]).unwrap(), None, "what is so already changes nothing");
    }

    #[test]
    fn names_and_numbers_resolve() {
        let mut accounts = Accounts::read(&debian());
        accounts.know(&user("app", 1001, 50));
        let resolve = |user, group| accounts.resolve(user, group).map(|owner| (owner.uid, owner.gid));
        assert_eq!(resolve("app", None), Ok((1001, 50)));
        assert_eq!(resolve("www-data", Some("staff")), Ok((33, 50)));
        assert_eq!(resolve("1001", None), Ok((1001, 1001)));
        assert_eq!(resolve("1001", Some("0")), Ok((1001, 0)));
        assert!(resolve("www_data", None).unwrap_err().to_string().contains("did you mean `www-data`?"));
        assert!(resolve("0", Some("wheel")).is_err());
    }

    #[test]
    fn what_is_malformed_is_passed_over_and_kept() {
        let odd = "+::::::\nroot:x:0\nx:x:y:z:::\nme:x:5:5::/:/bin/sh\n";
        let files = AccountFiles { passwd: Some(odd.to_owned()), ..AccountFiles::default() };
        let accounts = Accounts::read(&files);
        assert_eq!(accounts.resolve("me", None).unwrap(), Owner::new(5, 5));
        assert!(accounts.resolve("x", None).is_err());
        let new = add_users(&files, &[user("app", 1001, 1001)]).unwrap().unwrap();
        assert!(new.passwd.unwrap().starts_with(odd));
    }
}
