//! What holds of the tar of any tree.

use std::io::Read;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::{MTIME, MemberKind, Reader, write_tree};
use crate::content::Content;
use crate::tree::{Entry, FileTree, Kind, Origin, Owner, TreePath};

/// Entries whose paths do not get in each other's way: the first letter says what they are. Long names and targets have no line
/// break: of a PAX record the `tar` crate reads the first line alone.
fn entries() -> impl Strategy<Value = Vec<(TreePath, Entry)>> {
    let name = prop_oneof!["[ -.0-~]{1,12}", "[a-z]{90,140}", "[àéö\u{1b}]{1,6}", Just("\u{7f} \\\n".to_owned())];
    let path = (0..3usize, proptest::collection::vec(name, 1..4));
    let owner = (prop_oneof![0..3u32, Just(2_097_152), Just(3_000_000_000)], 0..70_000u32);
    let what = (path, 0..0o10000u32, owner, proptest::collection::vec(any::<u8>(), 0..700));
    proptest::collection::btree_map(what, Just(()), 0..12).prop_map(|all| {
        let mut found = std::collections::BTreeMap::new();
        for ((kind, names), mode, (uid, gid), bytes) in all.into_keys() {
            let path = format!("{}/{}", ["d", "f", "l"][kind], names.join("+"));
            let Ok(path) = TreePath::parse(&path) else { continue };
            let (owner, origin) = (Owner::new(uid, gid), Origin::new("a property"));
            let entry = match kind {
                0 => Entry::directory(mode, owner, origin),
                1 => Entry::file(Content::inline(bytes), mode, owner, origin),
                _ => {
                    let plain = |byte| if matches!(byte, 0 | b'\n') { b'a' } else { byte };
                    let target: Vec<u8> = bytes.into_iter().map(plain).chain(*b"x").collect();
                    Entry::symlink(target, owner, origin)
                }
            };
            let cut = path.as_bytes().len() > 100 && path.as_bytes().contains(&b'\n');
            if path.refuse_whiteout().is_ok() && path.components().count() == 2 && !cut {
                found.insert(path, entry);
            }
        }
        found.into_iter().collect()
    })
}

fn written<'a>(entries: impl IntoIterator<Item = &'a (TreePath, Entry)>) -> (FileTree, Vec<u8>) {
    let mut tree = FileTree::new();
    for (path, entry) in entries {
        tree.insert(path.clone(), entry.clone()).unwrap();
    }
    let mut bytes = Vec::new();
    write_tree(&tree, &mut bytes, &mut ()).unwrap();
    (tree, bytes)
}

proptest! {
    #[test]
    fn any_order_gives_the_same_bytes(entries in entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))) {
        let (sorted, shuffled) = entries;
        prop_assert!(written(&sorted).1 == written(&shuffled).1);
    }

    #[test]
    fn what_is_written_reads_back_equal_here_and_elsewhere(entries in entries()) {
        let (tree, bytes) = written(&entries);
        let mut reader = Reader::new(&bytes[..]);
        let mut theirs = tar::Archive::new(&bytes[..]);
        let mut theirs = theirs.entries().unwrap();
        for (path, entry) in tree.iter() {
            let member = reader.next_member().unwrap().unwrap();
            prop_assert_eq!((&member.path, member.mode, member.owner, member.mtime), (path, entry.mode, entry.owner, MTIME as i64));
            let mut other = theirs.next().unwrap().unwrap();
            let other_path = other.path_bytes().into_owned();
            prop_assert_eq!(&TreePath::parse(other_path).unwrap(), path);
            prop_assert_eq!(other.header().mode().unwrap() & 0o7777, entry.mode);
            match (&entry.kind, &member.kind) {
                (Kind::Directory, MemberKind::Directory) => prop_assert!(other.header().entry_type().is_dir()),
                (Kind::File(content), MemberKind::File) => {
                    let (mut ours, mut others) = (Vec::new(), Vec::new());
                    reader.data().read_to_end(&mut ours).unwrap();
                    other.read_to_end(&mut others).unwrap();
                    let content = content.read_all(1 << 20).unwrap();
                    prop_assert!(ours == content && others == content);
                }
                (Kind::Symlink(target), MemberKind::Symlink(found)) => {
                    prop_assert_eq!(target, found);
                    prop_assert_eq!(other.link_name_bytes().unwrap().into_owned(), target.to_vec());
                }
                (wanted, found) => prop_assert!(false, "{:?} and {:?}", wanted, found),
            }
        }
        prop_assert!(reader.next_member().unwrap().is_none() && theirs.next().is_none());
    }

    #[test]
    fn no_cut_passes(entries in entries(), at in any::<prop::sample::Index>()) {
        let (_, bytes) = written(&entries);
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(Reader::new(cut).finish().is_err());
        prop_assert!(Reader::new(&[&bytes[..], b"x"].concat()[..]).finish().is_err());
    }
}

/// GNU tar lists what was written, byte for byte; a few trees, since each is a process.
#[test]
fn gnu_tar_lists_the_same() {
    let gnu = Command::new("tar").arg("--version").output();
    if !gnu.is_ok_and(|output| output.stdout.starts_with(b"tar (GNU tar)")) {
        return;
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..12 {
        let strategy = entries().new_tree(&mut runner).unwrap();
        let (tree, bytes) = written(&proptest::strategy::ValueTree::current(&strategy));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new("tar");
            command.args(arguments).arg("-f").arg(file.path()).env("LC_ALL", "C").stderr(Stdio::inherit());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{arguments:?}");
            output.stdout
        };
        let listed = run(&["--list", "--quoting-style=literal"]);
        let names = tree.iter().map(|(path, entry)| {
            let slash: &[u8] = if matches!(entry.kind, Kind::Directory) { b"/" } else { b"" };
            [path.as_bytes(), slash, b"\n"].concat()
        });
        assert_eq!(String::from_utf8_lossy(&listed), String::from_utf8_lossy(&names.collect::<Vec<_>>().concat()));
        let contents = tree.iter().filter_map(|(_, entry)| match &entry.kind {
            Kind::File(content) => Some(content.read_all(1 << 20).unwrap()),
            _ => None,
        });
        assert!(run(&["--extract", "--to-stdout"]) == contents.collect::<Vec<_>>().concat());
    }
}
