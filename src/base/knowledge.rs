//! What layers on top need to know of a base, so that its layers need not be read: paths and what stands there, as lines of
//! a lock, and the contents of the few small files that builds look names up in.
//!
//! ```text
//! layers sha256:…                       the layers that all of this is about
//! d 0755 0:0 /usr                       a directory
//! l 0777 0:0 /lib -> usr/lib            a symlink
//! f 0644 0:0 120 /etc/os-release        a file and its length
//! o 0644 0:0 120 /etc/ld.so.cache       the same of a layer of this recipe, and not of a base
//! s 0666 0:0 /dev/null                  a device, FIFO or socket
//! - /app                                nothing, and so nothing below it
//! = /usr/local/bin                      nothing but what other lines say
//! digest sha256:… /var/lib/dpkg/status  what a file holds
//! elf 64 little 3 dynamic libz.so.1 /usr/lib/libz.so.1.2    what a library says of itself
//! elf none /usr/lib/libc.so             a file that is none
//! name libz.so.1                        all files of that name are told, or there are none
//! ```
//!
//! Contents that layers of packages need are kept beside the lines ([`super::kept_files`]).
//!
//! Many lines are one: `zstd:` and base64 of them, behind that of the layers.
//!
//! Sorted by path. Spaces, backslashes, control characters and what is no UTF-8 are written as `\x20`.

use std::collections::{BTreeMap, BTreeSet};

use super::kept_files;
use super::listing::is_kept;
use crate::content::Content;
use crate::elf::Head;
use crate::oci::Digest;
use crate::shown::Shown;
use crate::tree::{Known, Located, MODE_MASK, Node, NodeKind, Owner, TreePath};

/// Files whose contents are kept: accounts, and the name of the system.
const TEXTS: [&str; 6] =
    ["etc/group", "etc/gshadow", "etc/os-release", "etc/passwd", "etc/shadow", "usr/lib/os-release"];

/// The longest contents that are kept, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// How many lines are written as they are. More than that nobody reads.
const MAX_LINES: usize = 2000;

/// The most that lines written as one may come to, in bytes.
const MAX_PACKED: u64 = 8 << 20;

/// The most lines that are read.
const MAX_READ: usize = 100_000;

/// Files whose contents are told by their digest.
const DIGESTS: [&str; 1] = ["var/lib/dpkg/status"];

/// What is known of a base: see the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// What the layers are, in one digest; `None` where nothing is known.
    layers: Option<Digest>,
    known: Known,
    digests: BTreeMap<TreePath, Digest>,
    unsaid: Vec<Unsaid>,
}

/// Something that is asked of a base and that no lock tells: builds that need it read the base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {why}")]
pub struct Unsaid {
    /// Of what path.
    pub path: TreePath,
    /// Why.
    pub why: &'static str,
}

/// Why lines are no knowledge of a base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnowledgeError {
    /// A line cannot be understood, or contradicts another.
    #[error("what the lock knows of a base was edited: the line {line} {why}; lock again")]
    Line {
        /// The line.
        line: Shown,
        /// What is wrong with it.
        why: String,
    },
    /// A text cannot be the contents of its file.
    #[error("what the lock knows of a base was edited: the text of {path} {why}; lock again")]
    Text {
        /// The file.
        path: Shown,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is kept of a file cannot be its contents.
    #[error("what the lock knows of a base was edited: the contents of {path} {why}; lock again")]
    File {
        /// The file.
        path: Shown,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Knowledge {
    /// What is known of layers that are `of`, as [`super::identity`] or a chain of keys says it. Contents are left out but
    /// for the small files of which they are kept.
    pub fn new(of: Digest, known: Known) -> Self {
        Self::of_own(of, known, &|_, _| false)
    }

    /// The same of layers of which the first so many are of a base, and the others are of this recipe.
    pub fn above(of: Digest, known: Known, foreign: usize) -> Self {
        Self::of_own(of, known, &|path, located| match located {
            // A base's files that are kept with its listing are no different where they are made.
            Located::Content(_) => !is_kept(path),
            Located::Layer { layer, .. } => *layer >= foreign && !is_kept(path),
            Located::Unknown { own, .. } => *own,
        })
    }

    fn of_own(of: Digest, mut known: Known, is_own: &dyn Fn(&TreePath, &Located) -> bool) -> Self {
        let mut digests = BTreeMap::new();
        for (path, node) in known.nodes_mut() {
            let NodeKind::File(located) = &mut node.kind else { continue };
            if let Located::Content(content) = located
                && is_one_of(path, &DIGESTS)
                && let Some(digest) = content.known_digest()
            {
                digests.insert(path.clone(), digest);
            }
            *located = match kept_text(path, located) {
                Some(text) => Located::Content(Content::inline(text.into_bytes())),
                None => {
                    let own = is_own(path, located);
                    Located::Unknown { path: path.clone(), length: located.length(), own }
                }
            };
        }
        let kept = kept_files::kept(&known, |path| is_one_of(path, &TEXTS));
        let is_kept = |path: &TreePath| {
            let text =
                matches!(known.nodes().get(path).map(|node| &node.kind), Some(NodeKind::File(Located::Content(_))));
            text || kept.contains_key(path)
        };
        let unkept = known.contents().iter().filter(|(path, content)| !content.is_empty() && !is_kept(path));
        // As with contents: what not everybody may read is no part of a lock.
        let is_public = |path: &TreePath| known.nodes().get(path).is_some_and(|node| node.mode & 0o004 != 0);
        let (heads, hidden): (BTreeMap<_, _>, BTreeMap<_, _>) =
            known.heads().clone().into_iter().partition(|(path, _)| is_public(path));
        let unkept = unkept.map(|(path, _)| path).chain(hidden.keys());
        let unkept = unkept.map(|path| (path.clone(), kept_files::why_not(path, &known)));
        let all: BTreeMap<TreePath, &'static str> =
            known.unsaid().iter().map(|(path, why)| (path.clone(), *why)).chain(unkept).collect();
        let unsaid = all.into_iter().map(|(path, why)| Unsaid { path, why }).collect();
        let known = known.with_contents(kept).with_heads(heads).with_unsaid(BTreeMap::new());
        let found = Knowledge { layers: Some(of), known, digests, unsaid };
        match found.plain_lines().len() > MAX_READ {
            true => {
                let unsaid = vec![Unsaid { path: TreePath::root(), why: "is more than a lock should hold" }];
                Knowledge { layers: Some(of), unsaid, ..Knowledge::default() }
            }
            false => found,
        }
    }

    /// Whether it is about these layers. Knowledge of others says nothing about them.
    pub fn is_of(&self, layers: Digest) -> bool {
        self.layers == Some(layers)
    }

    /// What stands where; the contents of files are those that are kept, or [`Located::Unknown`].
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The digest of a file whose contents are not kept, where it was asked for: dpkg's status.
    pub fn digest(&self, path: &TreePath) -> Option<Digest> {
        self.digests.get(path).copied()
    }

    /// What was asked and is not told by any line: by path. Nothing where it was read from a lock.
    pub fn unsaid(&self) -> &[Unsaid] {
        &self.unsaid
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.layers.is_none()
    }

    /// The lines, in their order; none where nothing is known. Many are packed into one.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.plain_lines();
        if lines.len() > MAX_LINES
            && let Some(packed) = kept_files::packed(&lines[1..].join("\n"))
        {
            lines.truncate(1);
            lines.push(packed);
        }
        lines
    }

    fn plain_lines(&self) -> Vec<String> {
        let Some(layers) = self.layers else { return Vec::new() };
        let mut lines: BTreeMap<(&TreePath, u8), String> = BTreeMap::new();
        for (path, node) in self.known.nodes() {
            lines.insert((path, 0), node_line(path, node));
        }
        for path in self.known.absent() {
            lines.insert((path, 0), format!("- {}", written_path(path)));
        }
        for path in self.known.complete() {
            lines.insert((path, 1), format!("= {}", written_path(path)));
        }
        for (path, digest) in &self.digests {
            lines.insert((path, 2), format!("digest {digest} {}", written_path(path)));
        }
        for (path, head) in self.known.heads() {
            lines.insert((path, 3), head_line(path, head.as_ref()));
        }
        let names = self.known.names().iter().map(|name| format!("name {}", written(name)));
        std::iter::once(format!("layers {layers}")).chain(lines.into_values()).chain(names).collect()
    }

    /// The contents that are kept, by path without the leading slash.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |(path, node): (&TreePath, &Node)| {
            let NodeKind::File(located) = &node.kind else { return None };
            Some((String::from_utf8(path.as_bytes().to_vec()).ok()?, kept_text(path, located)?))
        };
        self.known.nodes().iter().filter_map(text).collect()
    }

    /// Contents that are kept beside the texts, compressed, by path without the leading slash.
    pub fn files(&self) -> BTreeMap<String, String> {
        kept_files::written(self.known.contents())
    }

    /// The same with what [`Knowledge::files`] wrote.
    ///
    /// # Errors
    /// [`KnowledgeError`] where it wrote no such thing.
    pub fn with_files(self, files: &BTreeMap<String, String>) -> Result<Self, KnowledgeError> {
        let wrong = |(path, why): (&str, _)| KnowledgeError::File { path: Shown::new(path.as_bytes()), why };
        let contents = kept_files::read(files, &self.known, |path| is_one_of(path, &TEXTS)).map_err(wrong)?;
        Ok(Knowledge { known: self.known.with_contents(contents), ..self })
    }

    /// Reads what [`Knowledge::lines`] and [`Knowledge::texts`] wrote.
    ///
    /// # Errors
    /// [`KnowledgeError`] where they wrote no such thing.
    pub fn parse<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        texts: &BTreeMap<String, String>,
    ) -> Result<Self, KnowledgeError> {
        let mut lines: Vec<&str> = lines.into_iter().collect();
        let packed = match lines[..] {
            [_, packed] => kept_files::unpacked(packed, MAX_PACKED),
            _ => None,
        };
        if let Some(packed) = &packed {
            lines.truncate(1);
            lines.extend(packed.split('\n').take(MAX_READ + 1));
        }
        let wrong =
            |line: &str, why: &str| KnowledgeError::Line { line: Shown::new(line.as_bytes()), why: why.to_owned() };
        // Few lines stand as they are: nothing hides from a review.
        if packed.is_some() && lines.len() <= MAX_LINES {
            return Err(wrong("zstd:…", "is not as it was written"));
        }
        if lines.len() > MAX_READ {
            return Err(wrong("zstd:…", "has more lines than are written"));
        }
        let mut reading = Reading::default();
        for line in &lines {
            reading.line(line).ok_or_else(|| wrong(line, "says nothing that can be understood"))?;
        }
        let Reading { layers, mut nodes, absent, complete, digests, heads, names } = reading;
        for (path, text) in texts {
            let wrong = |why| KnowledgeError::Text { path: Shown::new(path.as_bytes()), why };
            let file = nodes.get_mut(path.as_bytes());
            match file.map(|node| &mut node.kind) {
                Some(NodeKind::File(located)) if located.length() == text.len() as u64 => {
                    *located = Located::Content(Content::inline(text.as_bytes()));
                }
                _ => return Err(wrong("has no line that tells of its length")),
            }
        }
        let known = Known::new(nodes, absent, complete).map_err(|contradiction| KnowledgeError::Line {
            line: Shown::new(written_path(&contradiction.path).as_bytes()),
            why: contradiction.why.to_owned(),
        })?;
        let known = known.with_heads(heads).with_names(names);
        let found = Knowledge { layers, known, digests, unsaid: Vec::new() };
        // Whatever is written in another way, twice or in another order is found here.
        let canonical = found.plain_lines();
        if let Some(line) = lines.iter().enumerate().find(|(at, line)| canonical.get(*at).is_none_or(|c| c != *line)) {
            return Err(wrong(line.1, "is not as it was written"));
        }
        match found.texts() == *texts {
            true => Ok(found),
            false => Err(KnowledgeError::Text {
                path: Shown::new(texts.keys().next().map_or(b"", String::as_bytes)),
                why: "is not one that is kept",
            }),
        }
    }
}

fn is_one_of(path: &TreePath, list: &[&str]) -> bool {
    list.iter().any(|one| one.as_bytes() == path.as_bytes())
}

/// The contents of a file, where they are such that a lock may hold them.
fn kept_text(path: &TreePath, located: &Located) -> Option<String> {
    let Located::Content(content) = located else { return None };
    if !is_one_of(path, &TEXTS) {
        return None;
    }
    let text = String::from_utf8(content.read_all(MAX_TEXT).ok()?).ok()?;
    let is_accounts = !path.as_bytes().ends_with(b"os-release");
    (!is_accounts || !holds_secret(&text)).then_some(text)
}

/// Whether a file of accounts holds anything in the place of a password but words for "none" and "not here".
fn holds_secret(text: &str) -> bool {
    let harmless = |field: &str| field == "x" || field.bytes().all(|byte| matches!(byte, b'*' | b'!'));
    text.split(['\n', '\r']).any(|line| line.split(':').nth(1).is_some_and(|field| !harmless(field)))
}

fn node_line(path: &TreePath, Node { kind, mode, owner }: &Node) -> String {
    let path = written_path(path);
    match kind {
        NodeKind::Directory => format!("d {mode:04o} {owner} {path}"),
        NodeKind::Special => format!("s {mode:04o} {owner} {path}"),
        NodeKind::Symlink(target) => format!("l {mode:04o} {owner} {path} -> {}", written(target)),
        NodeKind::File(located) => {
            let letter = if matches!(located, Located::Unknown { own: true, .. }) { 'o' } else { 'f' };
            format!("{letter} {mode:04o} {owner} {} {path}", located.length())
        }
    }
}

fn head_line(path: &TreePath, head: Option<&Head>) -> String {
    let path = written_path(path);
    let Some(Head { wide, little, kind, dynamic, soname }) = head else { return format!("elf none {path}") };
    let class = if *wide { "64" } else { "32" };
    let order = if *little { "little" } else { "big" };
    let linked = if *dynamic { "dynamic" } else { "static" };
    let soname = soname.as_ref().map(|soname| format!("{} ", written(soname))).unwrap_or_default();
    format!("elf {class} {order} {kind} {linked} {soname}{path}")
}

/// A path with its leading slash.
fn written_path(path: &TreePath) -> String {
    format!("/{}", written(path.as_bytes()))
}

fn written(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match is_plain(c) {
                true => text.push(c),
                false => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// Whether a reviewer sees that very character.
fn is_plain(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c != '\\' && !c.is_whitespace() && !c.is_control() && !hides
}

fn read_bytes(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let part = part.strip_prefix('x')?;
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}

fn read_path(text: &str) -> Option<TreePath> {
    TreePath::parse(read_bytes(text.strip_prefix('/')?)?).ok()
}

/// What a library says of itself; words that mean nothing are found where the line is compared with what it stands for.
fn read_head(class: &str, order: &str, kind: &str, linked: &str, soname: Option<Vec<u8>>) -> Option<Head> {
    Some(Head {
        wide: class == "64",
        little: order == "little",
        kind: kind.parse().ok()?,
        dynamic: linked == "dynamic",
        soname,
    })
}

/// Lines that are being read.
#[derive(Default)]
struct Reading {
    layers: Option<Digest>,
    nodes: BTreeMap<TreePath, Node>,
    absent: BTreeSet<TreePath>,
    complete: BTreeSet<TreePath>,
    digests: BTreeMap<TreePath, Digest>,
    heads: BTreeMap<TreePath, Option<Head>>,
    names: BTreeSet<Vec<u8>>,
}

impl Reading {
    /// Takes a line; `None` where it cannot be understood.
    fn line(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["layers", digest] => self.layers = Some(digest.parse().ok()?),
            ["-", path] => {
                self.absent.insert(read_path(path)?);
            }
            ["=", path] => {
                self.complete.insert(read_path(path)?);
            }
            ["digest", digest, path] => {
                let path = read_path(path)?;
                if !matches!(self.nodes.get(&path)?.kind, NodeKind::File(_)) {
                    return None;
                }
                self.digests.insert(path, digest.parse().ok()?);
            }
            ["elf", "none", path] => self.head(path, None)?,
            ["elf", class, order, kind, linked, path] => {
                self.head(path, read_head(class, order, kind, linked, None))?
            }
            ["elf", class, order, kind, linked, soname, path] => {
                self.head(path, read_head(class, order, kind, linked, Some(read_bytes(soname)?)))?;
            }
            ["name", name] => {
                self.names.insert(read_bytes(name)?);
            }
            ["d", mode, owner, path] => self.node(mode, owner, path, |_| Some(NodeKind::Directory))?,
            ["s", mode, owner, path] => self.node(mode, owner, path, |_| Some(NodeKind::Special))?,
            ["l", mode, owner, path, "->", target] => {
                self.node(mode, owner, path, |_| Some(NodeKind::Symlink(read_bytes(target)?.into())))?;
            }
            [letter @ ("f" | "o"), mode, owner, length, path] => self.node(mode, owner, path, |path| {
                let (length, own) = (length.parse().ok()?, letter == "o");
                Some(NodeKind::File(Located::Unknown { path: path.clone(), length, own }))
            })?,
            _ => return None,
        }
        Some(())
    }

    fn head(&mut self, path: &str, head: Option<Head>) -> Option<()> {
        let path = read_path(path)?;
        if !matches!(self.nodes.get(&path)?.kind, NodeKind::File(_)) {
            return None;
        }
        self.heads.insert(path, head);
        Some(())
    }

    fn node(
        &mut self,
        mode: &str,
        owner: &str,
        path: &str,
        kind: impl FnOnce(&TreePath) -> Option<NodeKind>,
    ) -> Option<()> {
        let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| mode & !MODE_MASK == 0)?;
        let (uid, gid) = owner.split_once(':')?;
        // As in archives: the last number stands for nobody.
        let id = |text: &str| text.parse().ok().filter(|id| *id != u32::MAX);
        let owner = Owner::new(id(uid)?, id(gid)?);
        let path = read_path(path)?;
        let kind = kind(&path)?;
        self.nodes.insert(path, Node { kind, mode, owner });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::{ImagePin, Lock};
    use crate::tree::{Missed, Misses, Rootfs};

    fn path(bytes: impl AsRef<[u8]>) -> TreePath {
        TreePath::parse(bytes).unwrap()
    }

    fn text(text: &str) -> NodeKind {
        NodeKind::File(Located::Content(Content::inline(text.as_bytes())))
    }

    fn base(nodes: &[(&[u8], u32, NodeKind)]) -> Rootfs {
        let mut base = Rootfs::new();
        for (at, mode, kind) in nodes {
            base.put(path(at), Node { kind: kind.clone(), mode: *mode, owner: Owner::new(0, 42) });
        }
        base.watch();
        base
    }

    fn learned(base: &Rootfs) -> Knowledge {
        let learned = Knowledge::new(Digest::of(b""), base.learned().unwrap());
        let lines = learned.lines();
        // What no lock tells is for whoever locks, and not in it.
        let told = Knowledge { unsaid: Vec::new(), ..learned.clone() };
        assert_eq!(Knowledge::parse(lines.iter().map(String::as_str), &learned.texts()), Ok(told));
        learned
    }

    #[test]
    fn what_was_asked_is_told_in_lines() {
        let file = NodeKind::File(Located::Layer { layer: 0, offset: 512, length: 7 });
        let mut nodes: Vec<(&[u8], u32, NodeKind)> = vec![
            (b"dev/null", 0o666, NodeKind::Special),
            (b"lib", 0o777, NodeKind::Symlink((*b"usr/lib").into())),
            (b"odd \xff\n", 0o777, NodeKind::Symlink("-> \\ \u{202e}\u{e9}".as_bytes().into())),
            (b"usr/bin/tool", 0o4755, file),
            (b"var/lib/dpkg/status", 0o644, text("Package: x\n")),
            (b"tmp", 0o1777, NodeKind::Directory),
            (b"opt/nobody/asks", 0o755, NodeKind::Directory),
        ];
        let many: Vec<String> = (0..20).map(|number| format!("srv{number}")).collect();
        nodes.extend(many.iter().map(|name| (name.as_bytes(), 0o755, NodeKind::Directory)));
        let base = base(&nodes);
        let asked: [&[u8]; 10] = [
            b"dev/null",
            b"lib/x",
            b"odd \xff\n",
            b"usr/bin/tool",
            b"var/lib/dpkg/status",
            b"tmp",
            b"app/a",
            b"app/b",
            b"usr/bin/tool/x",
            b"usr/bin/other",
        ];
        for at in asked {
            base.get(&path(at));
        }
        insta::assert_snapshot!(learned(&base).lines().join("\n"), @r"
        layers sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        - /app
        d 0755 0:0 /dev
        s 0666 0:42 /dev/null
        l 0777 0:42 /lib -> usr/lib
        l 0777 0:42 /odd\x20\xff\x0a -> ->\x20\x5c\x20\xe2\x80\xaeé
        d 1777 0:42 /tmp
        d 0755 0:0 /usr
        d 0755 0:0 /usr/bin
        = /usr/bin
        f 4755 0:42 7 /usr/bin/tool
        d 0755 0:0 /var
        d 0755 0:0 /var/lib
        d 0755 0:0 /var/lib/dpkg
        f 0644 0:42 11 /var/lib/dpkg/status
        digest sha256:c2884d921b791fbd3c1502d39094cd562642944d7149c89fba0f9900eed65bb3 /var/lib/dpkg/status
        ");
    }

    #[test]
    fn directories_are_told_by_the_shorter_side() {
        let lines = |has: usize, lacks: usize| {
            let has: Vec<String> = (0..has).map(|number| format!("d/has{number}")).collect();
            let base = base(&has.iter().map(|name| (name.as_bytes(), 0o755, text(""))).collect::<Vec<_>>());
            for number in 0..lacks {
                base.get(&path(format!("d/lacks{number}")));
            }
            learned(&base).lines().len()
        };
        // One for the layers, one for `d`, and then either what is not there, or what is and that this is all.
        assert_eq!(lines(100, 3), 2 + 3);
        assert_eq!(lines(5, 100), 2 + 5 + 1);
        assert_eq!(lines(3, 1), 2 + 3 + 1);
        assert_eq!(lines(102, 99), 2 + 102 + 1);
        assert_eq!(lines(103, 99), 2 + 99);
    }

    #[test]
    fn all_below_is_told_unless_it_is_too_much() {
        let names: Vec<String> = (0..10_001).map(|number| format!("much/{number}")).collect();
        let mut nodes: Vec<_> = names.iter().map(|name| (name.as_bytes(), 0o755, text(""))).collect();
        nodes.extend([(&b"few/a/b"[..], 0o755, text("")), (b"few/c", 0o755, NodeKind::Directory)]);
        let base = base(&nodes);
        assert_eq!(base.below(&path("much")).count(), 10_001);
        assert_eq!(base.below(&path("few")).count(), 3);
        let learned = learned(&base);
        let part = Rootfs::partial(learned.known().clone(), Misses::default());
        assert_eq!(part.below(&path("few")).count(), 3);
        assert_eq!((part.below(&path("few/new")).count(), part.missed()), (0, None));
        assert_eq!(part.below(&path("much")).count(), 0);
        assert_eq!(part.missed(), Some(&Missed::Path(path("much"))));
    }

    /// Fails where a lock becomes too long to be looked at, or packed lines are not the lines.
    #[test]
    fn many_lines_are_one() {
        let names: Vec<String> = (0..5000).map(|number| format!("much/lib{number}.so")).collect();
        let nodes: Vec<_> = names.iter().map(|name| (name.as_bytes(), 0o755, text(""))).collect();
        let base = base(&nodes);
        assert_eq!(base.children(&path("much")).count(), 5000);
        let known = learned(&base);
        let lines = known.lines();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("layers ") && lines[1].starts_with("zstd:") && lines[1].len() < 60_000);
        let parsed = |lines: &[String]| Knowledge::parse(lines.iter().map(String::as_str), &known.texts());
        assert_eq!(parsed(&lines).unwrap(), known);
        assert_eq!(parsed(&known.plain_lines()).unwrap(), known, "written out it says the same");
        let part = Rootfs::partial(parsed(&lines).unwrap().known().clone(), Misses::default());
        assert_eq!((part.children(&path("much")).count(), part.missed()), (5000, None));
        for wrong in ["zstd:", "zstd:!", "zstd:AAAA"] {
            assert!(parsed(&[lines[0].clone(), wrong.to_owned()]).is_err(), "{wrong}");
        }
        let mut twice = known.plain_lines();
        twice.push(twice[3].clone());
        let twice = super::super::kept_files::packed(&twice[1..].join("\n")).unwrap();
        assert!(parsed(&[lines[0].clone(), twice]).is_err());
    }

    #[test]
    fn texts_of_accounts_are_kept_but_no_secrets() {
        for (at, contents, is_kept) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", true),
            ("etc/passwd", "root:$6$salt$hash:0:0:root:/root:/bin/bash\n", false),
            ("etc/passwd", "root::0:0:root:/root:/bin/bash", true),
            ("etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:!*:1::::::\nnone:!!:::::::\n\n", true),
            ("etc/shadow", "root:*:19000:0:99999:7:::\nme:!$y$j9T$salt$hash:1::::::\n", false),
            ("etc/shadow", "me:ab01FAX.bQRSU:1::::::\n", false),
            ("etc/shadow", "me:*:1::::::\rme:ab01FAX.bQRSU:1::::::\n", false),
            ("etc/gshadow", "root:*::\nsecret:$1$salt$hash::\n", false),
            ("etc/group", "root:x:0:\n", true),
            ("usr/lib/os-release", "HOME_URL=\"https://example.com/\"\n", true),
            ("etc/hostname", "x:y\n", false),
        ] {
            let base = base(&[(at.as_bytes(), 0o644, text(contents))]);
            assert!(base.file(&path(at)).unwrap().is_some());
            let learned = learned(&base);
            let kept = learned.texts().into_values().next();
            assert_eq!(kept.as_deref(), is_kept.then_some(contents), "{at} {contents}");
            let part = Rootfs::partial(learned.known().clone(), Misses::default());
            let (_, _, located) = part.file(&path(at)).unwrap().unwrap();
            assert_eq!(located.length(), contents.len() as u64);
            assert_eq!(matches!(located, Located::Unknown { .. }), !is_kept);
        }
        let long = "x:x:0:0:::\n".repeat(6000);
        let base = base(&[(b"etc/passwd", 0o644, text(&long)), (b"etc/group", 0o644, text("x"))]);
        base.get(&path("etc/passwd"));
        assert!(!learned(&base).texts().contains_key("etc/passwd"));
    }

    /// Fails where what a library says of itself is told as another, or a file of a name goes missing.
    #[test]
    fn libraries_are_told_by_their_heads_and_names() {
        let file = || NodeKind::File(Located::Layer { layer: 0, offset: 512, length: 7 });
        let mut base = base(&[
            (b"lib/liba.so.1", 0o644, file()),
            (b"lib/libb.so", 0o644, file()),
            (b"lib/script.so", 0o644, file()),
            (b"opt/x/liba.so.1", 0o644, file()),
            (b"opt/y/liba.so.1", 0o777, NodeKind::Symlink((*b"../x/liba.so.1").into())),
            (b"opt/z/liba.so.1/x", 0o644, file()),
            (b"root/libsecret.so", 0o600, file()),
        ]);
        let head = |soname: Option<&[u8]>| Head {
            wide: soname.is_some(),
            little: true,
            kind: 3,
            dynamic: soname.is_some(),
            soname: soname.map(<[u8]>::to_vec),
        };
        let heads = [
            ("lib/liba.so.1", Some(head(Some(b"lib a\n")))),
            ("lib/libb.so", Some(head(None))),
            ("lib/script.so", None),
        ];
        for (at, head) in &heads {
            assert!(base.file(&path(at)).unwrap().is_some());
            base.was_head_read(&path(at), head.as_ref());
        }
        assert_eq!(base.first_named(b"liba.so.1"), Some(path("lib/liba.so.1")));
        assert_eq!(base.first_named(b"libnone.so"), None);
        assert!(base.file(&path("root/libsecret.so")).unwrap().is_some());
        base.was_head_read(&path("root/libsecret.so"), Some(&head(Some(b"secret"))));
        base.put(path("own"), Node { kind: file(), mode: 0o644, owner: Owner::ROOT });
        base.was_head_read(&path("own"), None);
        let learned = learned(&base);
        assert_eq!(
            learned.unsaid().iter().map(|unsaid| &unsaid.path).collect::<Vec<_>>(),
            [&path("root/libsecret.so")]
        );
        assert_eq!(learned.lines().iter().filter(|line| line.starts_with("elf ")).count(), 3);
        let mut part = Rootfs::partial(learned.known().clone(), Misses::default());
        for (at, head) in heads {
            assert_eq!(part.kept_head(&path(at)), Some(head), "{at}");
        }
        for gone in ["lib/liba.so.1", "opt/x/liba.so.1", "opt/y/liba.so.1"] {
            assert_eq!(part.first_named(b"liba.so.1"), Some(path(gone)));
            part.remove(&path(gone));
        }
        assert_eq!(
            (part.first_named(b"liba.so.1"), part.first_named(b"libnone.so"), part.missed()),
            (None, None, None)
        );
        assert_eq!(part.first_named(b"libother.so"), None);
        assert_eq!(part.missed(), Some(&Missed::Name(b"libother.so".to_vec())));
        for wrong in ["elf none /lib", "elf 65 little 3 dynamic /lib/libb.so", "elf 64 little x static /lib/libb.so"] {
            let mut lines = learned.lines();
            let at = lines.iter().position(|line| line.starts_with("elf ")).unwrap();
            lines.insert(at, wrong.to_owned());
            assert!(Knowledge::parse(lines.iter().map(String::as_str), &learned.texts()).is_err(), "{wrong}");
        }
    }

    /// Fails where a file of a base is told as one of this recipe, or the other way round, or where it plays a part whether a
    /// layer was found or made.
    #[test]
    fn whose_a_file_is_is_told() {
        let of_layer = |layer| NodeKind::File(Located::Layer { layer, offset: 512, length: 7 });
        let known = |own| NodeKind::File(Located::Unknown { path: path("usr/own"), length: 7, own });
        let base = base(&[
            (b"etc/subuid", 0o644, text("x")),
            (b"usr/base", 0o644, of_layer(0)),
            (b"usr/found", 0o644, of_layer(1)),
            (b"usr/known", 0o644, known(false)),
            (b"usr/made", 0o644, text("made")),
            (b"usr/own", 0o644, known(true)),
        ]);
        assert!(base.below(&path("usr")).count() == 5 && base.get(&path("etc/subuid")).is_some());
        let told = Knowledge::above(Digest::of(b""), base.learned().unwrap(), 1);
        let lines = told.lines();
        let files = lines.iter().filter_map(|line| match line.split_once(' ') {
            Some((letter @ ("f" | "o"), rest)) => Some((letter, rest.rsplit_once('/')?.1)),
            _ => None,
        });
        let expected = [("f", "subuid"), ("f", "base"), ("o", "found"), ("f", "known"), ("o", "made"), ("o", "own")];
        assert_eq!(files.collect::<Vec<_>>(), expected);
        let read = Knowledge::parse(lines.iter().map(String::as_str), &told.texts()).unwrap();
        let is_own = |at: &str| matches!(&read.known().nodes()[&path(at)].kind, NodeKind::File(at) if at.is_own());
        assert!(is_own("usr/made") && !is_own("usr/base"));
    }

    /// Fails where a lock is silent about what builds from it will have to read.
    #[test]
    fn what_is_not_told_is_named() {
        let large = "x".repeat(3 << 20);
        let layered = |length| NodeKind::File(Located::Layer { layer: 0, offset: 512, length });
        let base = base(&[
            (b"etc/group", 0o644, text("root:x:0:\n")),
            (b"etc/shadow", 0o640, text("me:$6$salt$hash:1::::::\n")),
            (b"etc/key", 0o600, layered(6)),
            (b"usr/lib/libx.so", 0o644, layered(7)),
            (b"usr/large", 0o644, layered(3 << 20)),
            (b"usr/small", 0o644, layered(2)),
        ]);
        for (at, bytes) in [
            ("etc/group", "root:x:0:\n"),
            ("etc/shadow", "me:$6$salt$hash:1::::::\n"),
            ("etc/key", "secret"),
            ("usr/large", &large),
            ("usr/small", "ok"),
        ] {
            base.get(&path(at));
            base.was_read(&path(at), bytes.as_bytes());
        }
        base.was_read_in_part(&path("usr/lib/libx.so"));
        let knowledge = Knowledge::new(Digest::of(b""), base.learned().unwrap());
        let unsaid: Vec<String> = knowledge.unsaid().iter().map(ToString::to_string).collect();
        assert_eq!(
            unsaid,
            [
                "/etc/key is not for everybody to read, and a lock is",
                "/etc/shadow may hold passwords, and no lock does",
                "/usr/large is more than a lock should hold",
                "/usr/lib/libx.so is read in part, and nothing is kept of it",
            ]
        );
        assert!(!knowledge.lines().concat().contains("hash"));
    }

    #[test]
    fn a_lock_holds_it() {
        let contents = "root:x:0:0:\t\r\u{7f}'''\"\"\"\\:/:/bin/sh\n";
        let base = base(&[
            (b"etc/passwd", 0o644, text(contents)),
            ("a\u{7f}\"\\ \u{e9}".as_bytes(), 0o644, text("")),
            (b"var/lib/dpkg/status", 0o644, text("Package: x\n")),
        ]);
        assert!(base.iter().count() > 3);
        let knowledge = learned(&base);
        let digest = Digest::of(b"x");
        let pin = ImagePin {
            name: "library/debian:13".to_owned(),
            platform: "linux/amd64".to_owned(),
            manifest: digest,
            config: digest,
            knowledge: knowledge.lines(),
            texts: knowledge.texts(),
            files: knowledge.files(),
            python: String::new(),
        };
        let lock = Lock { images: vec![pin], ..Lock::default() };
        let read: Lock = lock.text().parse().unwrap();
        assert_eq!(read, lock);
        let lines = read.images[0].knowledge.iter().map(String::as_str);
        assert_eq!(Knowledge::parse(lines, &read.images[0].texts).as_ref(), Ok(&knowledge));
        assert_eq!(knowledge.digest(&path("var/lib/dpkg/status")), Some(Digest::of(b"Package: x\n")));
    }

    #[test]
    fn what_was_edited_is_refused() {
        let first = "layers sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let none = BTreeMap::new();
        let parse = |lines: &[&str]| Knowledge::parse([first].iter().chain(lines).copied(), &none);
        assert!(parse(&["d 0755 4294967294:0 /a", "- /a/b", "l 0777 0:0 /l -> x\\x20y", "- /m"]).is_ok());
        assert!(Knowledge::parse([], &none).unwrap().is_empty());
        assert!(Knowledge::parse(["- /a"], &none).is_err());
        for lines in [
            &["- /b", "- /a"][..],
            &["- /a", "- /a"],
            &["- a"],
            &["- /a/"],
            &["- //a"],
            &["- /../a"],
            &["- /\\x61"],
            &["- /\\x"],
            &["- /\\xZZ"],
            &["- /\\xE9"],
            &["- /\\x+9"],
            &["- /a b"],
            &["- /a/b"],
            &["- /"],
            &["d 755 0:0 /a"],
            &["d 10755 0:0 /a"],
            &["d 0755 0 /a"],
            &["d 0755 +0:0 /a"],
            &["d 0755 4294967295:0 /a"],
            &["d 0755 0:4294967295 /a"],
            &["d 0755 4294967296:0 /a"],
            &["d 0755 0:0 /"],
            &["d 0755 0:0 /a", "- /a"],
            &["d 0755 0:0 /a", "d 0700 0:0 /a"],
            &["f 0644 0:0 -1 /a"],
            &["f 0644 0:0 1 /a", "- /a/b"],
            &["f 0644 0:0 1 /a", "= /a"],
            &["= /a"],
            &["= /", "- /a"],
            &["l 0777 0:0 /a"],
            &["digest sha256:00 /a"],
            &["d 0755 0:0 /a", "digest sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 /a"],
            &[first],
            &["x 0755 0:0 /a"],
            &[""],
        ] {
            let error = parse(lines).expect_err(&lines.concat());
            assert!(error.to_string().ends_with("lock again"), "{error}");
        }
        let lines = [first, "d 0755 0:0 /etc", "f 0644 0:0 3 /etc/group", "f 0644 0:0 3 /etc/motd"];
        let with = |at: &str, text: &str| Knowledge::parse(lines, &[(at.to_owned(), text.to_owned())].into());
        assert!(with("etc/group", "a:x").is_ok());
        for (at, text) in [
            ("etc/group", "a:xx"),
            ("etc/group", "a:h"),
            ("etc/motd", "a:x"),
            ("etc/passwd", "a:x"),
            ("/etc/group", "a:x"),
        ] {
            assert!(matches!(with(at, text), Err(KnowledgeError::Text { .. })), "{at} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_as_it_was_written(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            text in "\\PC{0,10}|[\\\\x2 ]{0,9}",
        ) {
            for bytes in [bytes, text.into_bytes()] {
                let written = written(&bytes);
                let hides = written.contains([' ', '\n', '\u{202e}']);
                prop_assert!(!hides, "{}", written);
                prop_assert_eq!(read_bytes(&written), Some(bytes));
            }
        }

        #[test]
        fn no_line_panics(
            lines in prop::collection::vec("[-dlfs=] (07[0-7]{2} 0:0 )?(3 )?/[ab/\\\\x2\u{e9}]{0,5}( -> )?[ab]{0,2}|\\PC{0,20}", 0..4),
        ) {
            let _ = Knowledge::parse(lines.iter().map(String::as_str), &BTreeMap::new());
        }
    }
}
