//! Cutting a layer's tree into several, at places that stay where they are when a few files change.
//!
//! The parts hold the whole tree: laid over one another in any order, the first at the bottom, they give what the one layer
//! would have given.
//!
//! - What is cut is the sequence of all that is no directory with something in it, directory by directory. A directory's
//!   entry is in each part that holds something below it, with the same mode and owner.
//! - A part has at least [`Cutting::least`] bytes, and ends at one of the places up to [`SLACK`] beyond that: the
//!   one between the uppermost directories; among those, the one before the name whose hash is the least. Which that is
//!   depends on nothing before the part, so that a change moves the end of its own part only, and that seldom.
//! - Lengths are rounded to four binary digits, so that a file that grows a little mostly changes nothing.
//! - A file that would fill a part is one. Hard links are in the part of their target, deletions in the first.

use std::collections::BTreeMap;

use crate::tree::{Entry, FileTree, Kind, TreePath};

/// The least length of a part, in bytes, but for the last: below that a layer costs more than it saves.
const LEAST: u64 = 1 << 20;

/// Where a part may end, in hundredths of its least length beyond it.
const SLACK: u64 = 40;

/// What an entry adds to the length of a layer besides its contents.
const HEADER: u64 = 512;

/// Cuts a tree into up to `parts` trees of about the same length, none of them empty. A tree that is too small to be cut
/// comes back as it is.
pub fn split(tree: FileTree, parts: usize) -> Vec<FileTree> {
    let pieces = Pieces::of(&tree);
    let Some(groups) = pieces.cut(parts) else { return vec![tree] };
    let mut part_of: BTreeMap<&TreePath, usize> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        part_of.extend(group.iter().map(|piece| (piece.path, number)));
    }
    let mut paths: Vec<Vec<&TreePath>> =
        groups.iter().map(|group| group.iter().map(|piece| piece.path).collect()).collect();
    for (path, entry) in tree.iter() {
        match &entry.kind {
            Kind::Whiteout => paths[0].push(path),
            Kind::Hardlink(target) => paths[part_of.get(target).copied().unwrap_or(0)].push(path),
            _ => {}
        }
    }
    paths.into_iter().map(|paths| tree.part(paths)).collect()
}

/// What can be in one part or another: a file, a symlink, an empty directory.
struct Piece<'a> {
    path: &'a TreePath,
    length: u64,
}

/// The pieces of a tree, each directory's together.
struct Pieces<'a>(Vec<Piece<'a>>);

impl<'a> Pieces<'a> {
    fn of(tree: &'a FileTree) -> Self {
        let mut pieces: Vec<Piece<'a>> = tree
            .iter()
            .filter(|(path, entry)| match entry.kind {
                Kind::File(_) | Kind::Symlink(_) => true,
                Kind::Directory => !tree.holds_below(path),
                Kind::Hardlink(_) | Kind::Whiteout => false,
            })
            .map(|(path, entry)| Piece { path, length: rounded(length(entry)) })
            .collect();
        pieces.sort_by(|a, b| a.path.components().cmp(b.path.components()));
        Pieces(pieces)
    }

    /// The pieces of each part; `None` where there would be one.
    fn cut(self, parts: usize) -> Option<Vec<Vec<Piece<'a>>>> {
        let parts = parts as u64;
        let total: u64 = self.0.iter().map(|piece| piece.length).sum();
        let least = Cutting::of(total, parts).least;
        if parts < 2 || total < 2 * LEAST {
            return None;
        }
        let (alone, rest): (Vec<Piece<'_>>, Vec<Piece<'_>>) =
            self.0.into_iter().partition(|piece| piece.length >= least);
        // What is left is cut finer, since the large files took more than their share.
        let total: u64 = rest.iter().map(|piece| piece.length).sum();
        let left = parts.saturating_sub(alone.len() as u64).max(1);
        let mut groups = Cutting::of(total, left).cut(rest);
        groups.extend(alone.into_iter().map(|piece| vec![piece]));
        Some(groups)
    }
}

/// How long parts are.
struct Cutting {
    /// A part ends no sooner: with it there are never more parts than asked for.
    least: u64,
}

impl Cutting {
    fn of(total: u64, parts: u64) -> Self {
        Cutting { least: rounded(total.div_ceil(parts.max(1))).max(LEAST) }
    }

    fn cut<'a>(&self, pieces: Vec<Piece<'a>>) -> Vec<Vec<Piece<'a>>> {
        let mut groups = Vec::new();
        let mut rest = pieces;
        while !rest.is_empty() {
            let end = self.end(&rest);
            let behind = rest.split_off(end);
            groups.push(std::mem::replace(&mut rest, behind));
        }
        groups
    }

    /// How many pieces the first part has.
    fn end(&self, pieces: &[Piece<'_>]) -> usize {
        let most = self.least + self.least / 100 * SLACK;
        let mut before = 0;
        let mut best: Option<(usize, Place)> = None;
        for (at, piece) in pieces.iter().enumerate() {
            if before > most {
                // Where a large file spans all the places, the part ends behind it.
                return best.map_or(at, |(at, _)| at);
            }
            if before >= self.least {
                let place = Place::between(pieces[at - 1].path, piece.path);
                if best.as_ref().is_none_or(|(_, least)| place < *least) {
                    best = Some((at, place));
                }
            }
            before += piece.length;
        }
        // The rest is a part if it is not too long for one.
        match best {
            Some((at, _)) if before > most => at,
            _ => pieces.len(),
        }
    }
}

/// A place where a part may end: the lesser one is taken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// How many directories both sides are in.
    depth: usize,
    /// The hash of what begins there: the path of the file, or of the uppermost directory that only the other side is in.
    hash: [u8; 32],
}

impl Place {
    fn between(before: &TreePath, behind: &TreePath) -> Self {
        let depth = before.components().zip(behind.components()).take_while(|(a, b)| a == b).count();
        let mut hasher = blake3::Hasher::new();
        for component in behind.components().take(depth + 1) {
            hasher.update(component);
            hasher.update(b"/");
        }
        Place { depth, hash: *hasher.finalize().as_bytes() }
    }
}

fn length(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::File(content) => HEADER + content.len(),
        _ => HEADER,
    }
}

/// The next number that has only zeros behind its four first binary digits.
fn rounded(length: u64) -> u64 {
    let step = 1 << length.max(1).ilog2().saturating_sub(3);
    length.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Content, FileIdentity};
    use crate::tree::{Origin, Owner};

    /// Numbers that look random, always the same.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % below
        }

        /// A length as files have them: many small ones, a few large.
        fn length(&mut self) -> u64 {
            let magnitude = 6 + (self.roll(6) + self.roll(6) + self.roll(6)) as u32;
            (1 << magnitude) + self.roll(1 << magnitude)
        }
    }

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    /// A file of that length that is never opened; `version` stands for its contents.
    fn file(length: u64, version: i64) -> Entry {
        let identity = FileIdentity { device: 1, inode: 1, size: length, mtime: (version, 0), ctime: (0, 0) };
        Entry::file(Content::host("/x", identity), 0o644, Owner::ROOT, Origin::new("test"))
    }

    fn directory(mode: u32) -> Entry {
        Entry::directory(mode, Owner::ROOT, Origin::new("test"))
    }

    /// What a tree is made from: files by path, with length and version.
    type Files = BTreeMap<String, (u64, i64)>;

    fn tree_of(files: &Files) -> FileTree {
        let mut tree = FileTree::new();
        for (name, (length, version)) in files {
            let path = path(name);
            for above in path.ancestors() {
                tree.insert(above, directory(0o755)).unwrap();
            }
            tree.insert(path, file(*length, *version)).unwrap();
        }
        tree
    }

    /// Many files in directories of two levels, 300 MiB or so.
    fn wide(dice: &mut Dice) -> Files {
        (0..5000)
            .map(|number| {
                (format!("app/pkg{:03}/sub{}/f{number}", dice.roll(211), dice.roll(7)), (26 * dice.length(), 0))
            })
            .collect()
    }

    /// Many packages, most of them small.
    fn node_modules(dice: &mut Dice) -> Files {
        let mut files = Files::new();
        for package in 0..400 {
            for number in 0..1 + dice.roll(4) * dice.roll(4) * dice.roll(5) {
                let name = format!("srv/node_modules/p{package}/lib/d{}/{number}.js", dice.roll(3));
                files.insert(name, (dice.length(), 0));
            }
        }
        files
    }

    /// A few packages with nearly everything, and large libraries.
    fn site_packages(dice: &mut Dice) -> Files {
        let mut files = Files::new();
        for package in 0..70u64 {
            let count = if package % 9 == 0 { 300 } else { 15 };
            for number in 0..count {
                let name = format!("usr/lib/python3/site-packages/p{package}/m{}/{number}.py", dice.roll(12));
                files.insert(name, (dice.length(), 0));
            }
            if package % 9 == 0 {
                files.insert(format!("usr/lib/python3/site-packages/p{package}/x.so"), (2 << 20, 0));
            }
        }
        files.insert("usr/lib/python3/site-packages/p9/large.so".to_owned(), (40 << 20, 0));
        files
    }

    fn shown(tree: &FileTree) -> Vec<String> {
        let line = |(path, entry): (&TreePath, &Entry)| {
            let version = match &entry.kind {
                Kind::File(content) => content.host_file().map(|file| file.identity().mtime.0),
                _ => None,
            };
            format!("{path} {} {:o} {} {version:?}", entry.kind.word(), entry.mode, length(entry))
        };
        tree.iter().map(line).collect()
    }

    fn weight(tree: &FileTree) -> u64 {
        tree.iter().map(|(_, entry)| length(entry)).sum()
    }

    /// Fails where an entry is lost, is in two parts, or lacks a directory above it.
    fn check_union(tree: &FileTree, parts: &[FileTree]) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for part in parts {
            assert!(!part.is_empty());
            for (path, entry) in part.iter() {
                assert!(tree.get(path).unwrap().same_as(entry), "{path}");
                for above in path.ancestors() {
                    assert_eq!(part.get(&above).is_some(), tree.get(&above).is_some(), "{above} above {path}");
                }
            }
            for line in shown(part) {
                *seen.entry(line).or_default() += 1;
            }
        }
        assert_eq!(seen.keys().cloned().collect::<std::collections::BTreeSet<_>>(), shown(tree).into_iter().collect());
        assert!(seen.iter().all(|(line, count)| *count == 1 || line.contains(" directory ")));
    }

    #[test]
    fn parts_are_the_tree_and_about_equal() {
        for (make, lone) in [(wide as fn(&mut Dice) -> Files, 0), (node_modules, 0), (site_packages, 1)] {
            for parts in [2, 3, 10, 16, 100] {
                let tree = tree_of(&make(&mut Dice(parts as u64)));
                let found = split(tree.clone(), parts);
                check_union(&tree, &found);
                assert!(found.len() <= parts && found.len() * 10 >= (parts * 6).min(200), "{} of {parts}", found.len());
                let mut weights: Vec<u64> = found.iter().map(weight).collect();
                weights.sort_unstable();
                // A file that is larger than a part should be is alone, and is no fault of the cut.
                let most = weights[weights.len() - 1 - lone];
                let mean = weights.iter().sum::<u64>() / found.len() as u64;
                assert!(most * 10 <= mean * 25, "{parts}: {weights:?}");
                if parts == 16 {
                    assert!(most * 10 <= weight(&tree), "{weights:?}");
                }
            }
        }
    }

    #[test]
    fn a_change_re_sends_its_own_part() {
        for make in [wide as fn(&mut Dice) -> Files, node_modules, site_packages] {
            let mut dice = Dice(77);
            let files = make(&mut dice);
            let before: Vec<Vec<String>> = split(tree_of(&files), 12).iter().map(shown).collect();
            let names: Vec<&String> = files.keys().collect();
            let (mut tries, mut kept) = (0, 0);
            for round in 0..24 {
                let mut files = files.clone();
                let name = names[dice.roll(names.len() as u64) as usize].clone();
                let length = files[&name].0;
                match round % 3 {
                    // A changed file, up to a tenth longer or shorter.
                    0 => _ = files.insert(name, (length * (90 + dice.roll(20)) / 100, 1)),
                    1 => _ = files.remove(&name),
                    _ => _ = files.insert(format!("{name}.new"), (dice.length(), 1)),
                }
                let after: Vec<Vec<String>> = split(tree_of(&files), 12).iter().map(shown).collect();
                let same = before.iter().filter(|part| after.contains(part)).count();
                tries += 1;
                kept += usize::from(same + 1 >= before.len());
            }
            assert!(kept * 100 >= tries * 95, "{kept} of {tries}");
        }
    }

    #[test]
    fn links_follow_their_target_and_deletions_come_first() {
        let mut dice = Dice(5);
        let mut tree = tree_of(&wide(&mut dice));
        let paths: Vec<TreePath> = tree
            .iter()
            .filter(|(_, entry)| matches!(entry.kind, Kind::File(_)))
            .map(|(path, _)| path.clone())
            .collect();
        for number in 0..50 {
            let target = &paths[dice.roll(paths.len() as u64) as usize];
            let link = Entry { kind: Kind::Hardlink(target.clone()), ..directory(0) };
            tree.insert(path(&format!("zz{}/{number}", number % 5)), link).unwrap();
            tree.insert(path(&format!("gone{number}")), Entry { kind: Kind::Whiteout, ..directory(0) }).unwrap();
        }
        tree.settle_links().unwrap();
        let parts = split(tree.clone(), 10);
        check_union(&tree, &parts);
        for (number, part) in parts.iter().enumerate() {
            for (path, entry) in part.iter() {
                match &entry.kind {
                    Kind::Hardlink(target) => assert!(part.get(target).is_some(), "{path}"),
                    Kind::Whiteout => assert_eq!(number, 0, "{path}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_order_of_insertion_plays_no_part() {
        let files = node_modules(&mut Dice(3));
        let tree = tree_of(&files);
        let mut backwards = FileTree::new();
        for (path, entry) in tree.iter().collect::<Vec<_>>().into_iter().rev() {
            backwards.insert(path.clone(), entry.clone()).unwrap();
        }
        let parts = |tree: FileTree| split(tree, 7).iter().map(shown).collect::<Vec<_>>();
        assert_eq!(parts(tree), parts(backwards));
    }

    #[test]
    fn what_is_small_or_has_one_piece_stays_whole() {
        let small: Files = (0..100).map(|number| (format!("d{number}/f"), (1000, 0))).collect();
        let one: Files = [("only".to_owned(), (1 << 40, 0))].into();
        for files in [small, one, Files::new()] {
            let tree = tree_of(&files);
            for parts in [0, 1, 2, 16] {
                let found = split(tree.clone(), parts);
                assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [shown(&tree)]);
            }
        }
        // Two large files are two parts.
        let two: Files = [("a".to_owned(), (1 << 40, 0)), ("b/c".to_owned(), (1 << 40, 0))].into();
        assert_eq!(split(tree_of(&two), 16).len(), 2);
    }
}
