//! `[users.NAME]`: users that images can have and that files can belong to (semantics 14).

use super::At;
use super::value::NameOrId;
use crate::tree::{Owner, TreePath};

/// A user of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, also that of the group where that is new.
    pub name: At<String>,
    /// Number of the user; not that of another user of the recipe.
    pub uid: u32,
    /// Number of the group; the uid where not given. A group that is there already is joined under its own name.
    pub gid: u32,
    /// Home directory; `/home/NAME` where not given.
    pub home: TreePath,
    /// Login shell; `/sbin/nologin` where not given, which is there in every distribution, if only through a link.
    pub shell: TreePath,
    /// Further groups.
    pub groups: Vec<At<NameOrId>>,
    /// Whether the home directory is made.
    pub create_home: bool,
    /// The fifth field of passwd: no `:`, no newline.
    pub comment: String,
}

impl User {
    /// Its numbers.
    pub fn owner(&self) -> Owner {
        Owner::new(self.uid, self.gid)
    }
}
