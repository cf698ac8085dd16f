//! The form of the layers that lapstrake makes, held by a reader that shares nothing with the writer: each member's headers
//! are made anew from what they say, and must be the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::{Findings, Shape, whiteout};
use crate::tree::TreePath;

const BLOCK: usize = 512;
const MTIME: u64 = 315_619_200;
const CAPABILITY: &str = "SCHILY.xattr.security.capability";
const MAX_ID: u64 = 0o777_7777;
const MAX_SIZE: u64 = 0o777_7777_7777;
const MAX_RECORDS: u64 = 1 << 20;

/// What the headers of a member say.
#[derive(Default)]
struct Said {
    name: Vec<u8>,
    kind: u8,
    mode: u64,
    uid: u64,
    gid: u64,
    size: u64,
    link: Vec<u8>,
    capabilities: Option<Vec<u8>>,
}

/// Reads a layer of ours. What is against its form is added to the findings; an error is what makes reading on pointless.
pub(super) fn read(reader: &mut impl Read, findings: &mut Findings) -> Result<Vec<(TreePath, Shape)>, String> {
    let mut entries = Vec::new();
    let mut kinds: BTreeMap<TreePath, u8> = BTreeMap::new();
    let mut last: Option<TreePath> = None;
    while let Some((said, raw)) = member(reader)? {
        let path = place(&said, findings)?;
        let expected = headers(&said, &path);
        if expected != raw {
            let at = expected.iter().zip(&raw).position(|(a, b)| a != b).unwrap_or(0);
            findings.add(format!("{path} has a header that is not of format 1 (byte {at}, {})", field(at % BLOCK)));
        }
        match &last {
            Some(last) if *last == path => findings.add(format!("{path} stands there twice")),
            Some(last) if *last > path => findings.add(format!("{path} comes after {last}")),
            _ => {}
        }
        rules(&said, &path, &kinds, findings);
        skip(reader, said.size)?;
        kinds.insert(path.clone(), said.kind);
        last = Some(path.clone());
        let shape = match said.kind {
            b'5' => Shape::Directory,
            b'2' => Shape::Symlink,
            _ => Shape::Other,
        };
        match whiteout(&path) {
            Ok(None) => entries.push((path, shape)),
            Ok(Some(deleted)) => entries.push(deleted),
            Err(text) => findings.add(text),
        }
    }
    for (path, shape) in &entries {
        if *shape == Shape::Whiteout && kinds.contains_key(path) {
            findings.add(format!("{path} is deleted and made in one layer"));
        }
    }
    Ok(entries)
}

/// The path of a member, from a name that must be clean as it is.
fn place(said: &Said, findings: &mut Findings) -> Result<TreePath, String> {
    let path = TreePath::parse(&said.name).map_err(|error| error.to_string())?;
    let mut clean = path.as_bytes().to_vec();
    if said.kind == b'5' {
        clean.push(b'/');
    }
    if path.is_root() {
        return Err("it holds an entry for the root".to_owned());
    }
    if clean != said.name {
        findings.add(format!("{path} is not written as it should be"));
    }
    Ok(path)
}

/// What does not show in the bytes of a header alone.
fn rules(said: &Said, path: &TreePath, kinds: &BTreeMap<TreePath, u8>, findings: &mut Findings) {
    if let Some(parent) = path.parent().filter(|parent| !parent.is_root()) {
        match kinds.get(&parent) {
            Some(b'5') => {}
            Some(_) => findings.add(format!("{path} lies below {parent}, which is no directory of this layer")),
            // Who unpacks the layer alone would make that directory anew, and hide the one below.
            None => findings.add(format!("{path} has no entry for {parent} before it in this layer")),
        }
    }
    if said.mode > 0o7777 {
        findings.add(format!("{path} has the mode {:o}", said.mode));
    }
    if said.kind != b'0' && said.size != 0 {
        findings.add(format!("{path} has data where there can be none"));
    }
    match said.kind {
        b'0' | b'5' => {}
        b'1' => {
            let target = TreePath::parse(&said.link).ok().filter(|target| target.as_bytes() == said.link);
            if target.is_none_or(|target| kinds.get(&target) != Some(&b'0')) {
                findings.add(format!("{path} is a hard link, and its target is no file before it in this layer"));
            }
        }
        b'2' => {
            if said.mode != 0o777 {
                findings.add(format!("{path} is a symlink of mode {:04o}", said.mode));
            }
            if said.link.is_empty() || said.link.contains(&0) {
                findings.add(format!("{path} is a symlink that leads nowhere"));
            }
        }
        kind => findings.add(format!("{path} is of the kind {}", char::from(kind).escape_default())),
    }
    if said.capabilities.is_some() && said.kind != b'0' {
        findings.add(format!("{path} has capabilities, and is no file"));
    }
    let above = path.components().count() - 1;
    if path.components().take(above).any(|component| component.starts_with(b".wh.")) {
        findings.add(format!("{path} lies below the name of a deletion"));
    }
    if path.file_name().is_some_and(|name| name.starts_with(b".wh.")) {
        if (said.kind, said.size, said.mode, said.uid, said.gid) != (b'0', 0, 0, 0, 0) {
            findings.add(format!("{path} is a deletion, and more than an empty file of root's with mode 0"));
        }
        if path.file_name().is_some_and(|name| name.starts_with(b".wh..wh.")) {
            findings.add(format!("{path} is a deletion of a kind that lapstrake does not write"));
        }
    }
}

/// One member's headers: what they say, and their bytes. `None` at the end of the archive, which must be exactly two zero
/// blocks.
fn member(reader: &mut impl Read) -> Result<Option<(Said, Vec<u8>)>, String> {
    let mut raw = Vec::with_capacity(3 * BLOCK);
    let mut block = next_block(reader)?.ok_or("its tar ends without two zero blocks")?;
    if block == [0; BLOCK] {
        return match next_block(reader)? {
            Some(second) if second == [0; BLOCK] => Ok(None),
            _ => Err("its tar does not end in two zero blocks".to_owned()),
        };
    }
    raw.extend_from_slice(&block);
    let mut records = Vec::new();
    if block[156] == b'x' {
        let length =
            octal(&block[124..136]).filter(|length| *length <= MAX_RECORDS).ok_or("a PAX header has no size")?;
        let mut bytes = vec![0; (length + padding(length)) as usize];
        fill(reader, &mut bytes)?;
        raw.extend_from_slice(&bytes);
        records = parse_records(&bytes[..length as usize]).ok_or("a PAX header has malformed records")?;
        block = next_block(reader)?.ok_or("its tar ends after a PAX header")?;
        raw.extend_from_slice(&block);
    }
    let number = |range: std::ops::Range<usize>| octal(&block[range]).ok_or("a header holds a number that is none");
    let mut name = until_nul(&block[345..500]).to_vec();
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend_from_slice(until_nul(&block[..100]));
    let mut said = Said {
        name,
        kind: block[156],
        mode: number(100..108)?,
        uid: number(108..116)?,
        gid: number(116..124)?,
        size: number(124..136)?,
        link: until_nul(&block[157..257]).to_vec(),
        capabilities: None,
    };
    for (key, value) in records {
        let decimal = || std::str::from_utf8(&value).ok()?.parse::<u64>().ok();
        match key.as_str() {
            "path" => said.name = value,
            "linkpath" => said.link = value,
            "size" => said.size = decimal().ok_or("a PAX record holds no number")?,
            "uid" => said.uid = decimal().ok_or("a PAX record holds no number")?,
            "gid" => said.gid = decimal().ok_or("a PAX record holds no number")?,
            CAPABILITY => said.capabilities = Some(value),
            // Left out when the headers are made anew: the difference is what is told.
            _ => {}
        }
    }
    Ok(Some((said, raw)))
}

/// The headers that format 1 has for a member.
fn headers(said: &Said, path: &TreePath) -> Vec<u8> {
    let link = if matches!(said.kind, b'1' | b'2') { &said.link[..] } else { b"" };
    let mut records: Vec<(&str, Vec<u8>)> = Vec::new();
    if let Some(value) = &said.capabilities {
        records.push((CAPABILITY, value.clone()));
    }
    if said.gid > MAX_ID {
        records.push(("gid", said.gid.to_string().into_bytes()));
    }
    if link.len() > 100 {
        records.push(("linkpath", link.to_vec()));
    }
    // The last slash at which both parts fit their fields.
    let cut = (1..said.name.len().saturating_sub(1).min(156))
        .rev()
        .find(|at| said.name[*at] == b'/' && said.name.len() - at - 1 <= 100);
    let (prefix, name) = match (said.name.len() <= 100, cut) {
        (true, _) => (&b""[..], &said.name[..]),
        (false, Some(at)) => (&said.name[..at], &said.name[at + 1..]),
        (false, None) => {
            records.push(("path", said.name.clone()));
            (&b""[..], &said.name[..100])
        }
    };
    if said.size > MAX_SIZE {
        records.push(("size", said.size.to_string().into_bytes()));
    }
    if said.uid > MAX_ID {
        records.push(("uid", said.uid.to_string().into_bytes()));
    }
    let mut out = Vec::with_capacity(3 * BLOCK);
    if !records.is_empty() {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let digits = (1..8).find(|digits| (rest + digits).to_string().len() == *digits).unwrap_or(8);
            text.extend_from_slice(format!("{} {key}=", rest + digits).as_bytes());
            text.extend_from_slice(&value);
            text.push(b'\n');
        }
        let base = path.file_name().unwrap_or_default();
        let base = base.strip_prefix(b".wh.").unwrap_or(base);
        let mut name = [&b"PaxHeaders/"[..], base].concat();
        name.truncate(100);
        out.extend_from_slice(&header(&name, b"", b'x', [0o644, 0, 0, text.len() as u64], b""));
        let length = text.len() as u64;
        out.extend_from_slice(&text);
        out.resize(out.len() + padding(length) as usize, 0);
    }
    let small = |value: u64, most: u64| if value > most { 0 } else { value };
    let numbers = [said.mode, small(said.uid, MAX_ID), small(said.gid, MAX_ID), small(said.size, MAX_SIZE)];
    let link = &link[..link.len().min(100)];
    out.extend_from_slice(&header(name, prefix, said.kind, numbers, link));
    out
}

/// One block of them: name, mode, uid, gid, size.
fn header(name: &[u8], prefix: &[u8], kind: u8, [mode, uid, gid, size]: [u64; 4], link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, format!("{uid:07o}").as_bytes());
    put(116, format!("{gid:07o}").as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{MTIME:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link);
    put(257, b"ustar\x0000");
    put(345, prefix);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The name of the field that a byte of a header lies in.
fn field(at: usize) -> &'static str {
    const FIELDS: [(usize, &str); 15] = [
        (100, "name"),
        (108, "mode"),
        (116, "uid"),
        (124, "gid"),
        (136, "size"),
        (148, "mtime"),
        (156, "checksum"),
        (157, "kind"),
        (257, "link"),
        (265, "magic"),
        (297, "user name"),
        (329, "group name"),
        (345, "device"),
        (500, "prefix"),
        (512, "padding"),
    ];
    FIELDS.iter().find(|(end, _)| at < *end).map_or("padding", |(_, name)| name)
}

/// A number exactly as the writer has it: octal digits that fill the field, and a NUL.
fn octal(field: &[u8]) -> Option<u64> {
    let (last, digits) = field.split_last()?;
    if *last != 0 {
        return None;
    }
    digits.iter().try_fold(0, |value: u64, byte| match byte {
        b'0'..=b'7' => Some(value << 3 | u64::from(byte - b'0')),
        _ => None,
    })
}

fn parse_records(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        found.push((String::from_utf8(record[..equals].to_vec()).ok()?, record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Some(found)
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn padding(length: u64) -> u64 {
    length.wrapping_neg() % BLOCK as u64
}

fn next_block(reader: &mut impl Read) -> Result<Option<[u8; BLOCK]>, String> {
    let mut block = [0; BLOCK];
    let mut filled = 0;
    while filled < BLOCK {
        match reader.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err("its tar is cut in the middle of a block".to_owned()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(super::chain(&error)),
        }
    }
    Ok(Some(block))
}

fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    reader.read_exact(bytes).map_err(|error| format!("its tar is cut: {}", super::chain(&error)))
}

/// Passes over a member's data. Its padding must be zeros: anything else would be bytes that no reader sees.
fn skip(reader: &mut impl Read, length: u64) -> Result<(), String> {
    match io::copy(&mut reader.take(length), &mut io::sink()) {
        Ok(count) if count == length => {}
        Ok(_) => return Err("its tar is cut in the middle of a member".to_owned()),
        Err(error) => return Err(super::chain(&error)),
    }
    let mut rest = vec![0; padding(length) as usize];
    fill(reader, &mut rest)?;
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err("it has bytes other than zeros after a member's data".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::Content;
    use crate::tree::{Capabilities, Entry, FileTree, Kind, Origin, Owner, Rootfs, TreeError};

    fn findings(tree: &FileTree) -> Vec<String> {
        let mut tar = Vec::new();
        crate::tar::write_tree(tree, &mut tar, &mut ()).unwrap();
        let mut findings = Findings::default();
        match read(&mut &tar[..], &mut findings) {
            Ok(entries) => assert_eq!(entries.len(), tree.len()),
            Err(text) => findings.add(text),
        }
        findings.0
    }

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    /// Puts an entry into a tree, with its parents.
    fn add(tree: &mut FileTree, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        let parent = Entry::directory(0o755, entry.owner, entry.origin.clone());
        tree.insert_parents(&path, &Rootfs::new(), &parent)?;
        tree.insert(path, entry)
    }

    #[test]
    fn everything_that_the_writer_can_say() {
        let mut tree = FileTree::new();
        let origin = || Origin::new("test");
        let owner = Owner::new(3_000_000_000, 4_000_000_000);
        let mut add = |name: &str, entry: Entry| add(&mut tree, path(name), entry).unwrap();
        let file = |text: &'static str| Entry::file(Content::inline(text.as_bytes()), 0o4755, owner, origin());
        add("a", Entry::directory(0o1777, owner, origin()));
        add("a/file", file("x"));
        let mut program = file("program");
        program.capabilities = Some(Capabilities(vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        add("a/program", program);
        add("a/symlink", Entry::symlink("t".repeat(100).into_bytes(), owner, origin()));
        add("a/symlink-long", Entry::symlink("t".repeat(101).into_bytes(), owner, origin()));
        add("b-link", Entry { kind: Kind::Hardlink(path("a/file")), ..file("") });
        for length in [99, 100, 101, 155, 156, 200, 255] {
            add(&"n".repeat(length), file(""));
            add(&format!("d{length}/{}", "m".repeat(length)), file(""));
            add(&format!("{}/{length}", "p".repeat(length)), Entry::directory(0o755, owner, origin()));
            add(&format!("{}/{}", "q".repeat(length), "r".repeat(90)), file(""));
        }
        add("w/gone", Entry { kind: Kind::Whiteout, ..file("") });
        add(&format!("w/{}", "g".repeat(200)), Entry { kind: Kind::Whiteout, ..file("") });
        assert_eq!(findings(&tree), [""; 0]);
    }

    #[test]
    fn a_hard_link_before_its_target_is_found() {
        let mut tree = FileTree::new();
        let file = Entry::file(Content::inline(*b"x"), 0o644, Owner::ROOT, Origin::new("test"));
        tree.insert(path("a"), Entry { kind: Kind::Hardlink(path("b")), ..file.clone() }).unwrap();
        tree.insert(path("b"), file).unwrap();
        let found = findings(&tree);
        assert!(found.len() == 1 && found[0].contains("its target is no file before it"), "{found:?}");
        tree.settle_links().unwrap();
        assert_eq!(findings(&tree), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_tree_has_the_form(names in proptest::collection::btree_set("[a-c./-]{1,4}(/[a-e]{60,120}){0,3}", 1..20), uid in any::<u32>(), mode in 0u32..0o10000) {
            let mut tree = FileTree::new();
            for name in names {
                let Ok(path) = TreePath::parse(&name) else { continue };
                if path.is_root() {
                    continue;
                }
                let entry = Entry::file(Content::inline(name.as_bytes()), mode, Owner::new(uid, uid / 2), Origin::new("test"));
                let _ = add(&mut tree, path, entry);
            }
            prop_assert_eq!(findings(&tree), Vec::<String>::new());
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let _ = read(&mut &bytes[..], &mut Findings::default());
        }
    }
}
