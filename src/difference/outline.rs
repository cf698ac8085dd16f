//! Many paths in few lines: those that can be named, and of the others how many there are in which directory.

use std::collections::BTreeMap;

use super::entries::Change;
use crate::tree::TreePath;

/// A line of an outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// A path by itself.
    Path(&'a Change),
    /// All that differs below a directory, the directory itself too.
    Below {
        /// The directory.
        directory: TreePath,
        /// How many paths.
        count: Count,
    },
}

/// How many paths came, went, or are others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Only the second has them.
    pub added: usize,
    /// Only the first has them.
    pub removed: usize,
    /// Both have something else there.
    pub changed: usize,
}

impl Count {
    /// How many of what.
    pub fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut count = Count::default();
        for change in changes {
            match (&change.first, &change.second) {
                (None, _) => count.added += 1,
                (_, None) => count.removed += 1,
                _ => count.changed += 1,
            }
        }
        count
    }
}

/// Changes below a directory.
struct Group<'a> {
    directory: TreePath,
    changes: Vec<&'a Change>,
    /// Whether there is no room for what is in it.
    is_closed: bool,
}

impl<'a> Group<'a> {
    fn new(directory: TreePath, changes: Vec<&'a Change>) -> Self {
        Group { directory, is_closed: changes.len() < 2, changes }
    }

    /// The same, a group for each member of the directory, and one for the directory itself.
    fn parts(&self) -> Vec<Group<'a>> {
        let mut parts: BTreeMap<Option<Vec<u8>>, Vec<&'a Change>> = BTreeMap::new();
        for change in &self.changes {
            let rest = change.path.strip_prefix(&self.directory).unwrap_or_default();
            parts.entry(rest.components().next().map(<[u8]>::to_vec)).or_default().push(change);
        }
        let below = |name: Option<Vec<u8>>| match name {
            Some(name) => self.directory.child(&name).unwrap_or_default(),
            None => self.directory.clone(),
        };
        parts.into_iter().map(|(name, changes)| Group::new(below(name), changes)).collect()
    }
}

/// Changes in at most `most` lines, or in as many as there are directories below the root where those are more. Directories
/// are opened, the one with most in it first, while there is room for what is in them.
pub fn outline(changes: &[Change], most: usize) -> Vec<Row<'_>> {
    let mut groups = Group::new(TreePath::root(), changes.iter().collect()).parts();
    loop {
        let room = most.saturating_sub(groups.len()) + 1;
        let open = groups.iter().enumerate().filter(|(_, group)| !group.is_closed);
        // The first among those with as many.
        let largest = open.max_by_key(|(at, group)| (group.changes.len(), std::cmp::Reverse(*at))).map(|(at, _)| at);
        let Some(at) = largest else { break };
        let Some(group) = groups.get_mut(at) else { break };
        let parts = group.parts();
        match parts.len() <= room {
            true => drop(groups.splice(at..=at, parts)),
            false => group.is_closed = true,
        }
    }
    let mut rows: Vec<(TreePath, Row<'_>)> = Vec::new();
    for Group { directory, changes, .. } in groups {
        rows.push(match changes[..] {
            [change] => (change.path.clone(), Row::Path(change)),
            _ => (directory.clone(), Row::Below { directory, count: Count::of(changes) }),
        });
    }
    rows.sort_by(|(first, _), (second, _)| first.cmp(second));
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::entries::tests::{entries, file};
    use super::super::entries::{Entries, Standing};
    use super::*;

    fn changes(paths: &[String]) -> Vec<Change> {
        let paths: Vec<(&str, Standing, u32)> = paths.iter().map(|path| (path.as_str(), file("x"), 0o644)).collect();
        Entries::default().changes(&entries(&paths))
    }

    fn told(changes: &[Change], most: usize) -> Vec<String> {
        let line = |row: &Row<'_>| match row {
            Row::Path(change) => change.path.to_string(),
            Row::Below { directory, count } => format!("{directory}/ {}", count.added),
        };
        outline(changes, most).iter().map(line).collect()
    }

    #[test]
    fn what_there_is_room_for_is_named_and_the_rest_is_counted() {
        let mut paths: Vec<String> = (0..50).map(|number| format!("usr/share/doc/d{number:02}/copyright")).collect();
        paths.extend(["app/main.py", "app-data", "app/lib/x", "etc/motd"].map(str::to_owned));
        let changes = changes(&paths);
        assert_eq!(told(&changes, 6), ["/app-data", "/app/lib/x", "/app/main.py", "/etc/motd", "/usr/share/doc/ 50"]);
        assert_eq!(told(&changes, 4), ["/app/ 2", "/app-data", "/etc/motd", "/usr/share/doc/ 50"]);
        assert_eq!(told(&changes, 0), ["/app/ 2", "/app-data", "/etc/motd", "/usr/share/doc/ 50"]);
        assert_eq!(told(&changes, 100).len(), changes.len());
    }

    #[test]
    fn nothing_is_lost() {
        let paths: Vec<String> = (0..400).map(|number| format!("d{}/e{}/f{number}", number % 3, number % 7)).collect();
        let changes = changes(&paths);
        for most in [0, 1, 3, 10, 21, 50, 500] {
            let rows = outline(&changes, most);
            let count = |row: &Row<'_>| match row {
                Row::Path(_) => 1,
                Row::Below { count, .. } => count.added,
            };
            assert_eq!(rows.iter().map(count).sum::<usize>(), changes.len());
            assert!(rows.len() <= most.max(3), "{most}: {}", rows.len());
        }
    }
}
