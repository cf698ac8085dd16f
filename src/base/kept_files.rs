//! Contents of a base's files that layers of packages read, as a lock keeps them: `zstd:` and base64, a line each.
//!
//! None of a file that not everybody may read, and none of the accounts: these are texts, or no part of a lock at all.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::compress::Decoder;
use crate::content::Content;
use crate::oci::Compression;
use crate::tree::{Known, Node, NodeKind, PASSWORDS, TreePath, is_accounts};

/// The longest file that is kept, in bytes.
const MAX_FILE: u64 = 2 << 20;

/// The most that is kept of one base, in bytes.
const MAX_FILES: u64 = 4 << 20;

/// How hard zstd tries.
const LEVEL: i32 = 19;

const FORM: &str = "zstd:";

/// What is kept of what was read. `is_text` says of which files the contents are kept elsewhere, if at all.
pub(super) fn kept(known: &Known, is_text: impl Fn(&TreePath) -> bool) -> BTreeMap<TreePath, Content> {
    let mut left = MAX_FILES;
    let mut kept = BTreeMap::new();
    for (path, content) in known.contents() {
        if length(known, path, &is_text) == Some(content.len()) && content.len() <= left {
            left -= content.len();
            kept.insert(path.clone(), content.clone());
        }
    }
    kept
}

/// How long a file is of which the contents may be kept; `None` of any other.
fn length(known: &Known, path: &TreePath, is_text: impl Fn(&TreePath) -> bool) -> Option<u64> {
    let Some(Node { kind: NodeKind::File(located), mode, .. }) = known.nodes().get(path) else { return None };
    let is_private = mode & 0o004 == 0 || is_accounts(path);
    let is_named = std::str::from_utf8(path.as_bytes()).is_ok();
    (is_named && !is_private && !is_text(path) && located.length() <= MAX_FILE).then(|| located.length())
}

/// Why the contents of a file that was read are not kept.
pub(super) fn why_not(path: &TreePath, known: &Known) -> &'static str {
    if is_accounts(path) {
        return PASSWORDS;
    }
    match known.nodes().get(path).is_some_and(|node| node.mode & 0o004 == 0) {
        true => "is not for everybody to read, and a lock is",
        false => "is more than a lock should hold",
    }
}

/// The lines, by path.
pub(super) fn written(contents: &BTreeMap<TreePath, Content>) -> BTreeMap<String, String> {
    let line = |(path, content): (&TreePath, &Content)| {
        let bytes = content.read_all(MAX_FILE).ok()?;
        let bytes = zstd::bulk::compress(&bytes, LEVEL).ok()?;
        let path = String::from_utf8(path.as_bytes().to_vec()).ok()?;
        Some((path, format!("{FORM}{}", STANDARD.encode(bytes))))
    };
    contents.iter().filter_map(line).collect()
}

/// The contents that lines keep; where they cannot be, of which file and why.
pub(super) fn read<'f>(
    files: &'f BTreeMap<String, String>,
    known: &Known,
    is_text: impl Fn(&TreePath) -> bool,
) -> Result<BTreeMap<TreePath, Content>, (&'f str, &'static str)> {
    let mut left = MAX_FILES;
    let mut contents = BTreeMap::new();
    for (name, line) in files {
        let wrong = |why| (name.as_str(), why);
        let path = TreePath::parse(name).ok().filter(|path| path.as_bytes() == name.as_bytes());
        let told = path.as_ref().and_then(|path| length(known, path, &is_text));
        let (Some(path), Some(length)) = (path, told) else { return Err(wrong("are not such as are kept")) };
        left = left.checked_sub(length).ok_or(wrong("are more than is kept"))?;
        let bytes = plain(line, length).ok_or(wrong("are damaged, or of another length than its line says"))?;
        contents.insert(path, Content::inline(bytes));
    }
    Ok(contents)
}

/// Text as one line; `None` where it cannot be compressed.
pub(super) fn packed(text: &str) -> Option<String> {
    Some(format!("{FORM}{}", STANDARD.encode(zstd::bulk::compress(text.as_bytes(), LEVEL).ok()?)))
}

/// The text of such a line, of at most so many bytes; `None` where it is none.
pub(super) fn unpacked(line: &str, most: u64) -> Option<String> {
    let stored = STANDARD.decode(line.strip_prefix(FORM)?).ok()?;
    let mut bytes = Vec::new();
    Decoder::new(&stored[..], Compression::Zstd).take(most + 1).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= most)
}

/// So many bytes, out of a line; `None` where it has others.
fn plain(line: &str, length: u64) -> Option<Vec<u8>> {
    let stored = STANDARD.decode(line.strip_prefix(FORM)?).ok()?;
    let mut bytes = Vec::new();
    // One more than is expected ends it, whatever the line would come to.
    Decoder::new(&stored[..], Compression::Zstd).take(length + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tree::{Located, Owner};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn known(files: &[(&str, u32, &[u8])]) -> Known {
        let directories = ["etc", "etc/x", "usr"].map(|at| (path(at), NodeKind::Directory, 0o755));
        let file = |(at, mode, bytes): &(&str, u32, &[u8])| {
            (
                path(at),
                NodeKind::File(Located::Unknown { path: path(at), length: bytes.len() as u64, own: false }),
                *mode,
            )
        };
        let nodes = directories.into_iter().chain(files.iter().map(file));
        let nodes = nodes.map(|(at, kind, mode)| (at, Node { kind, mode, owner: Owner::ROOT })).collect();
        let contents = files.iter().map(|(at, _, bytes)| (path(at), Content::inline(*bytes))).collect();
        Known::new(nodes, BTreeSet::new(), BTreeSet::new()).unwrap().with_contents(contents)
    }

    fn no_text(_: &TreePath) -> bool {
        false
    }

    /// Fails where what not everybody may read gets into a lock, or what is told there is not read as it was.
    #[test]
    fn what_everybody_may_read_is_kept() {
        let binary: Vec<u8> = (0..4000).map(|number| (number % 251) as u8).collect();
        let files: [(&str, u32, &[u8]); 7] = [
            ("etc/ld.so.cache", 0o644, &binary),
            ("etc/empty", 0o644, b""),
            ("etc/x/key", 0o640, b"secret"),
            ("etc/shadow-", 0o644, b"root:$6$x:1"),
            ("etc/subuid", 0o644, b"me:100000:65536"),
            ("etc/passwd", 0o644, b"root:x:0:0"),
            ("usr/text", 0o644, b"told elsewhere"),
        ];
        let known = known(&files);
        let is_text = |path: &TreePath| path.as_bytes() == b"usr/text";
        let kept = kept(&known, is_text);
        assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), [path("etc/empty"), path("etc/ld.so.cache")]);
        let lines = written(&kept);
        assert!(lines.values().all(|line| line.starts_with("zstd:") && !line.contains('\n')));
        assert_eq!(lines, written(&kept));
        let again = read(&lines, &known, is_text).unwrap();
        assert_eq!(again[&path("etc/ld.so.cache")].read_all(9999).unwrap(), binary);
        let other = [("usr/text".to_owned(), lines["etc/empty"].clone())].into();
        assert_eq!(read(&other, &known, is_text).unwrap_err().0, "usr/text");
    }

    /// Fails where a lock may make a build hold more than is kept, or take bytes of another file.
    #[test]
    fn lines_are_bounded() {
        let large = vec![b'x'; 2 << 20];
        let larger = vec![b'x'; (2 << 20) + 1];
        let files: [(&str, u32, &[u8]); 4] =
            [("etc/1", 0o644, &large), ("etc/2", 0o644, &larger), ("etc/3", 0o644, &large), ("etc/4", 0o644, b"x")];
        let known = known(&files);
        let kept = kept(&known, no_text);
        assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), [path("etc/1"), path("etc/3")]);
        let lines = written(&kept);
        assert!(read(&lines, &known, no_text).is_ok());
        let with = |at: &str, line: &str| {
            let mut lines = lines.clone();
            lines.insert(at.to_owned(), line.to_owned());
            read(&lines, &known, no_text).map(|_| ()).map_err(|(path, _)| path.to_owned())
        };
        let small = format!("zstd:{}", STANDARD.encode(zstd::bulk::compress(b"x", LEVEL).unwrap()));
        for (at, line) in [
            ("etc/4", &small),
            ("etc/2", &lines["etc/1"]),
            ("etc/1", &small),
            ("etc/1", &"zstd:!".to_owned()),
            ("etc/1", &lines["etc/1"].replace("zstd", "gzip")),
            ("/etc/1", &lines["etc/1"]),
            ("etc/none", &small),
        ] {
            assert_eq!(with(at, line), Err(at.to_owned()), "{at}");
        }
    }
}
