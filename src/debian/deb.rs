//! `.deb` files (deb(5)): an `ar` archive of a version, `control.tar` and `data.tar`.
//!
//! A package is read once, from front to back. Its decompressed `data.tar` goes to the end of one file, which several
//! packages may share, and the entries of the tree point into that; nothing of it is ever unpacked onto a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::str::FromStr;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use super::control::{ControlError, Stanza};
use super::decode::{self, Compression};
use super::dependency::{RelationError, is_architecture, is_package_name, parse_atoms, parse_dependencies};
use super::packages::MultiArch;
use super::version::Version;
use crate::content::Content;
use crate::limits::{self, Most};
use crate::shown::Shown;
use crate::tar::{Member, MemberKind, ReadError, Reader};
use crate::tree::TreePath;

/// What a package may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the plain `control.tar`.
    pub control: u64,
    /// Bytes of the plain `data.tar`.
    pub data: Most,
    /// Members of `data.tar`.
    pub members: Most,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::of(limits::Limits::default())
    }
}

impl Limits {
    /// Those of a recipe, or what is usual.
    pub fn of(limits: limits::Limits) -> Self {
        Limits { control: 16 << 20, data: limits.unpacked(16 << 30), members: limits.entries(500_000) }
    }
}

/// A package: what its control data says, and its files.
#[derive(Clone, Debug)]
pub struct Deb {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Version,
    /// Architecture, or `all`.
    pub architecture: String,
    /// The fields of `control`.
    pub control: Stanza,
    /// The other files of `control.tar` by name: maintainer scripts, `md5sums`, `conffiles`, `triggers` and more.
    pub info: BTreeMap<String, InfoFile>,
    /// What `data.tar` holds, in its order, each path once but for directories.
    pub members: Vec<Member>,
    /// The MD5 of each file of it, as dpkg's lists have it.
    pub sums: BTreeMap<TreePath, [u8; 16]>,
    data: Option<Data>,
    label: Arc<str>,
}

/// Where a package's plain `data.tar` is.
#[derive(Clone, Debug)]
struct Data {
    file: Arc<File>,
    start: u64,
}

/// A file of `control.tar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoFile {
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Its permission bits.
    pub mode: u32,
}

/// A file of the package that the administrator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conffile {
    /// Where it is.
    pub path: TreePath,
    /// Whether an upgrade takes it away: then the package does not have it.
    pub remove_on_upgrade: bool,
}

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The bytes could not be had.
    #[error("reading the package")]
    Io(#[from] io::Error),
    /// The decompressed files could not be kept.
    #[error("keeping the package's files")]
    Spool(#[source] io::Error),
    /// The outer archive is wrong.
    #[error("the package is refused: {0}")]
    Archive(String),
    /// One of the inner archives is wrong.
    #[error("the package is refused: its {member} cannot be read")]
    Tar {
        /// `control.tar` or `data.tar`.
        member: &'static str,
        /// What is wrong.
        source: ReadError,
    },
    /// What a member of an inner archive is called or is.
    #[error("the package is refused: its {member} holds {path}, {reason}")]
    Member {
        /// `control.tar` or `data.tar`.
        member: &'static str,
        /// The path.
        path: Shown,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The control data is wrong.
    #[error("the package is refused: its control data is wrong")]
    Control(#[from] ControlError),
    /// A relation in it is wrong.
    #[error("the package is refused: its field {field} is wrong")]
    Relation {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: RelationError,
    },
    /// The package is not the one that the index announced.
    #[error("the package is {found}, and the index announced {expected}")]
    Another {
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// One header of an `ar` archive.
struct ArMember {
    name: String,
    size: u64,
}

const CONTROL: &str = "control.tar";
const DATA: &str = "data.tar";

impl Deb {
    /// Reads a package; its plain `data.tar` is written to the end of `spool`, which nothing else writes to meanwhile.
    /// `label` is for messages about the files in it.
    ///
    /// # Errors
    /// [`DebError`].
    pub fn read(mut input: impl Read, spool: &Arc<File>, label: &str, limits: Limits) -> Result<Deb, DebError> {
        let mut deb = Self::read_control(&mut input, label, limits)?;
        let member = ar_header(&mut input)?.ok_or_else(|| DebError::Archive("it has no data.tar".to_owned()))?;
        let compression = inner(&member, DATA)?;
        let start = (&**spool).seek(SeekFrom::End(0)).map_err(DebError::Spool)?;
        deb.members = read_member(&mut input, member.size, |input| {
            let plain = decode::decoder(input, compression, limits.data)?;
            let mut tee = Tee { inner: plain, file: io::BufWriter::with_capacity(256 << 10, &**spool), failed: None };
            let members = read_data(&mut tee, limits.members, &mut deb.sums);
            if let Some(error) = tee.failed {
                return Err(DebError::Spool(error));
            }
            tee.file.flush().map_err(DebError::Spool)?;
            members
        })?;
        // dpkg's lists have a path a line.
        if let Some(odd) = deb.members.iter().find(|member| member.path.as_bytes().contains(&b'\n')) {
            let reason = "a name with a line break, which dpkg's lists cannot hold";
            return Err(DebError::Member { member: DATA, path: odd.path.shown(), reason });
        }
        if let Some(member) = ar_header(&mut input)? {
            return Err(DebError::Archive(format!("{} follows its data.tar", Shown::new(member.name.as_bytes()))));
        }
        deb.data = Some(Data { file: spool.clone(), start });
        Ok(deb)
    }

    /// Reads a package's control data alone, from the start of the package: it then has no members.
    ///
    /// # Errors
    /// [`DebError`].
    pub fn read_control(mut input: impl Read, label: &str, limits: Limits) -> Result<Deb, DebError> {
        let archive = |text: &str| DebError::Archive(text.to_owned());
        let mut magic = [0; 8];
        input.read_exact(&mut magic).map_err(cut)?;
        if &magic != b"!<arch>\n" {
            return Err(archive("it is no `ar` archive"));
        }
        let version = ar_header(&mut input)?.filter(|member| member.name == "debian-binary");
        let version = version.ok_or_else(|| archive("it does not start with `debian-binary`"))?;
        if version.size > 64 {
            return Err(archive("its `debian-binary` has more than 64 bytes"));
        }
        let mut text = vec![0; version.size as usize];
        input.read_exact(&mut text).map_err(cut)?;
        pad(&mut input, version.size)?;
        if text != b"2.0\n" {
            return Err(DebError::Archive(format!(
                "its format is {}, and only 2.0 is known",
                Shown::new(text.trim_ascii())
            )));
        }

        let member = ar_header(&mut input)?.ok_or_else(|| archive("it has no control.tar"))?;
        let compression = inner(&member, CONTROL)?;
        let (control, info) = read_member(&mut input, member.size, |input| {
            let plain = decode::decoder(input, compression, limits.control)?;
            read_control(plain)
        })?;
        let name = control.require("Package")?.to_owned();
        let wrong = |field: &'static str, reason: &str| {
            let value = Shown::new(control.get(field).unwrap_or_default().as_bytes());
            DebError::Control(ControlError::Value { field, value, reason: reason.to_owned() })
        };
        if !is_package_name(&name) {
            return Err(wrong("Package", "no name of a package"));
        }
        let version =
            Version::from_str(control.require("Version")?).map_err(|error| wrong("Version", &error.to_string()))?;
        let architecture = control.require("Architecture")?.to_owned();
        if !is_architecture(&architecture) {
            return Err(wrong("Architecture", "no name of an architecture"));
        }
        for field in ["Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited"] {
            if control.get(field).is_some() {
                return Err(DebError::Archive(format!("its control data has the field {field}, which is dpkg's own")));
            }
        }
        check_relations(&control)?;
        Ok(Deb {
            name,
            version,
            architecture,
            control,
            info,
            members: Vec::new(),
            sums: BTreeMap::new(),
            data: None,
            label: label.into(),
        })
    }

    /// Whether its `md5sums` name a file that fits; `None` where it has no such list.
    pub fn lists(&self, fits: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let sums = &self.info.get("md5sums")?.bytes;
        let mut paths = sums.split(|byte| *byte == b'\n').filter_map(|line| line.get(34..));
        Some(paths.any(|path| fits(path.trim_ascii())))
    }

    /// The bytes of a member that is a file.
    pub fn content(&self, member: &Member) -> Content {
        match &self.data {
            Some(Data { file, start }) => {
                Content::slice(file.clone(), self.label.clone(), start.saturating_add(member.offset), member.size)
            }
            None => Content::inline(Vec::new()),
        }
    }

    /// What it may do for other architectures.
    pub fn multi_arch(&self) -> MultiArch {
        MultiArch::of(self.control.get("Multi-Arch"))
    }

    /// The start of the names of its files in dpkg's database: with the architecture where there may be several of it.
    pub fn info_name(&self) -> String {
        match self.multi_arch() {
            MultiArch::Same => format!("{}:{}", self.name, self.architecture),
            _ => self.name.clone(),
        }
    }

    /// Its maintainer scripts by name, in the order in which dpkg would run them.
    pub fn scripts(&self) -> impl Iterator<Item = (&'static str, &InfoFile)> {
        ["preinst", "postinst"].into_iter().filter_map(|name| self.info.get(name).map(|file| (name, file)))
    }

    /// The files that the administrator may change.
    ///
    /// # Errors
    /// Where the list is wrong.
    pub fn conffiles(&self) -> Result<Vec<Conffile>, DebError> {
        let Some(file) = self.info.get("conffiles") else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for line in file.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty())
        {
            let wrong = |reason| DebError::Member { member: CONTROL, path: Shown::new(line), reason };
            let (flag, path) = match line.strip_prefix(b"remove-on-upgrade ") {
                Some(path) => (true, path.trim_ascii()),
                None => (false, line),
            };
            if !path.starts_with(b"/") || path.contains(&b' ') {
                return Err(wrong("a conffile that is no absolute path"));
            }
            let path = TreePath::parse(path).map_err(|_| wrong("a conffile that is no path"))?;
            found.push(Conffile { path, remove_on_upgrade: flag });
        }
        Ok(found)
    }

    /// Whether this is the package that an index or lock announced.
    ///
    /// # Errors
    /// [`DebError::Another`].
    pub fn expect(&self, name: &str, version: &str, architecture: &str) -> Result<(), DebError> {
        if (&*self.name, self.version.as_str(), &*self.architecture) == (name, version, architecture) {
            return Ok(());
        }
        Err(DebError::Another {
            found: format!("{} {} ({})", self.name, self.version, self.architecture),
            expected: format!("{name} {version} ({architecture})"),
        })
    }
}

fn cut(error: io::Error) -> DebError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => DebError::Archive("it ends in the middle".to_owned()),
        _ => DebError::Io(error),
    }
}

/// The next header; `None` at the end of the archive. Members whose names start with `_` are passed over (deb(5)).
fn ar_header(input: &mut impl Read) -> Result<Option<ArMember>, DebError> {
    for _ in 0..100 {
        let mut header = [0; 60];
        let mut filled = 0;
        while filled < header.len() {
            match input.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(DebError::Archive("it ends in the middle of a header".to_owned())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let wrong = || DebError::Archive(format!("{} is no header of an `ar` archive", Shown::new(&header)));
        if &header[58..] != b"`\n" {
            return Err(wrong());
        }
        let name = std::str::from_utf8(&header[..16]).map_err(|_| wrong())?.trim_end_matches(' ');
        // GNU's `ar` ends names in a slash.
        let name = name.strip_suffix('/').unwrap_or(name);
        let size = std::str::from_utf8(&header[48..58]).map_err(|_| wrong())?.trim_end_matches(' ');
        if name.is_empty() || size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let member = ArMember { name: name.to_owned(), size: size.parse().map_err(|_| wrong())? };
        if !member.name.starts_with('_') {
            return Ok(Some(member));
        }
        let copied = io::copy(&mut input.take(member.size), &mut io::sink())?;
        if copied != member.size {
            return Err(DebError::Archive("it ends in the middle".to_owned()));
        }
        pad(input, member.size)?;
    }
    Err(DebError::Archive("it has more than 100 members".to_owned()))
}

fn pad(input: &mut impl Read, size: u64) -> Result<(), DebError> {
    if size.is_multiple_of(2) {
        return Ok(());
    }
    let mut byte = [0];
    input.read_exact(&mut byte).map_err(cut)?;
    match byte {
        [b'\n'] => Ok(()),
        _ => Err(DebError::Archive("its members are not padded with a line break".to_owned())),
    }
}

/// The compression of `control.tar` or `data.tar`, by the member's name.
fn inner(member: &ArMember, expected: &str) -> Result<Compression, DebError> {
    let refused = |text: String| Err(DebError::Archive(text));
    match member.name.strip_prefix(expected) {
        Some("") => Ok(Compression::Plain),
        Some(".gz" | ".xz" | ".zst") => Ok(Compression::of_name(&member.name)),
        Some(other) => {
            refused(format!("its {expected} is compressed as {}, which is not known", Shown::new(other.as_bytes())))
        }
        None => refused(format!("it has {} where {expected} must be", Shown::new(member.name.as_bytes()))),
    }
}

/// Gives the reader exactly the bytes of a member, and insists that all of them were read.
fn read_member<'a, R: Read, T>(
    input: &'a mut R,
    size: u64,
    read: impl FnOnce(&mut io::Take<&'a mut R>) -> Result<T, DebError>,
) -> Result<T, DebError> {
    let mut member = input.take(size);
    let value = read(&mut member)?;
    match member.limit() {
        0 => pad(member.into_inner(), size).map(|()| value),
        _ => Err(DebError::Archive("something follows the end of a compressed member".to_owned())),
    }
}

type Control = (Stanza, BTreeMap<String, InfoFile>);

fn read_control(plain: impl Read) -> Result<Control, DebError> {
    let tar = |source| DebError::Tar { member: CONTROL, source };
    let mut reader = Reader::new(plain);
    let mut info = BTreeMap::new();
    while let Some(member) = reader.next_member().map_err(tar)? {
        let refuse = |reason| DebError::Member { member: CONTROL, path: Shown::new(member.path.as_bytes()), reason };
        if member.path.is_root() {
            continue;
        }
        if member.kind != MemberKind::File {
            return Err(refuse("which is no file"));
        }
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._+".contains(byte);
        let name = member.path.as_bytes();
        if !name.iter().all(fine) || name.len() > 64 || name.starts_with(b".") || name == b"list" {
            return Err(refuse("which is no name for control data"));
        }
        let mut bytes = Vec::new();
        reader.data().read_to_end(&mut bytes)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let file = InfoFile { bytes: bytes.into(), mode: member.mode & 0o777 };
        if info.insert(name, file).is_some() {
            return Err(refuse("for the second time"));
        }
    }
    let control =
        info.remove("control").ok_or_else(|| DebError::Archive("its control.tar has no `control`".to_owned()))?;
    Ok((Stanza::only(&control.bytes)?, info))
}

fn check_relations(control: &Stanza) -> Result<(), DebError> {
    for field in ["Pre-Depends", "Depends", "Recommends", "Suggests"] {
        let value = control.get(field).unwrap_or_default();
        parse_dependencies(value).map_err(|source| DebError::Relation { field, source })?;
    }
    for field in ["Conflicts", "Breaks", "Replaces", "Provides", "Enhances"] {
        let value = control.get(field).unwrap_or_default();
        parse_atoms(value).map_err(|source| DebError::Relation { field, source })?;
    }
    Ok(())
}

/// The members of `data.tar`, and the MD5 of the files.
fn read_data(
    plain: &mut impl Read,
    most: Most,
    sums: &mut BTreeMap<TreePath, [u8; 16]>,
) -> Result<Vec<Member>, DebError> {
    let tar = |source| DebError::Tar { member: DATA, source };
    let mut reader = Reader::new(plain).at_most(most);
    let mut members: Vec<Member> = Vec::new();
    // What is no directory: nothing may lie below it, and a link's target must be one of them.
    let mut leaves: BTreeSet<TreePath> = BTreeSet::new();
    let mut files: BTreeSet<TreePath> = BTreeSet::new();
    let mut directories: BTreeSet<TreePath> = BTreeSet::new();
    while let Some(member) = reader.next_member().map_err(tar)? {
        let refuse = |reason| DebError::Member { member: DATA, path: Shown::new(member.path.as_bytes()), reason };
        if member.path.refuse_whiteout().is_err() {
            return Err(refuse("which means a deletion inside a layer"));
        }
        if member.path.ancestors().any(|above| leaves.contains(&above)) {
            return Err(refuse("which lies below a file or link of the same package"));
        }
        match &member.kind {
            MemberKind::Special => return Err(refuse("a device or FIFO")),
            MemberKind::Directory => {
                if leaves.contains(&member.path) {
                    return Err(refuse("for the second time, as something else"));
                }
                // A directory that is said twice is one; the first word holds.
                if member.path.is_root() || !directories.insert(member.path.clone()) {
                    continue;
                }
            }
            kind => {
                if let MemberKind::Hardlink(target) = kind
                    && !files.contains(target)
                {
                    return Err(refuse("a hard link to what is no file before it"));
                }
                if member.path.as_bytes().starts_with(b"var/lib/dpkg/") {
                    return Err(refuse("which is dpkg's own"));
                }
                if directories.contains(&member.path) || !leaves.insert(member.path.clone()) {
                    return Err(refuse("for the second time"));
                }
                if !matches!(kind, MemberKind::Symlink(_)) {
                    files.insert(member.path.clone());
                }
            }
        }
        match &member.kind {
            MemberKind::File => {
                let mut hasher = Md5::new();
                io::copy(&mut reader.data(), &mut hasher).map_err(cut)?;
                sums.insert(member.path.clone(), hasher.finalize().into());
            }
            MemberKind::Hardlink(target) => {
                if let Some(sum) = sums.get(target).copied() {
                    sums.insert(member.path.clone(), sum);
                }
            }
            _ => {}
        }
        members.push(member);
    }
    Ok(members)
}

/// Reads, and writes what was read to a file.
struct Tee<R, W: Write> {
    inner: R,
    file: io::BufWriter<W>,
    failed: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Err(error) = self.file.write_all(&buffer[..count]) {
            self.failed = Some(error);
            return Err(io::Error::other("the spool file cannot be written"));
        }
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::decode::tests::encode;
    use super::*;

    /// A tar made field by field, so that it may be as wrong as a test needs.
    #[derive(Clone, Default)]
    pub(crate) struct TestTar(Vec<u8>);

    impl TestTar {
        fn member(mut self, path: &str, kind: tar::EntryType, mode: u32, link: &str, data: &[u8]) -> Self {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1_700_000_000);
            header.set_size(data.len() as u64);
            header.set_cksum();
            self.0.extend_from_slice(header.as_bytes());
            self.0.extend_from_slice(data);
            self.0.resize(self.0.len().next_multiple_of(512), 0);
            self
        }

        pub(crate) fn file(self, path: &str, mode: u32, data: &str) -> Self {
            self.member(path, tar::EntryType::Regular, mode, "", data.as_bytes())
        }

        pub(crate) fn bytes(self, path: &str, mode: u32, data: &[u8]) -> Self {
            self.member(path, tar::EntryType::Regular, mode, "", data)
        }

        pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
            self.member(path, tar::EntryType::Directory, mode, "", b"")
        }

        pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
            self.member(path, tar::EntryType::Symlink, 0o777, target, b"")
        }

        pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
            self.member(path, tar::EntryType::Link, 0o644, target, b"")
        }

        pub(crate) fn device(self, path: &str) -> Self {
            self.member(path, tar::EntryType::Char, 0o600, "", b"")
        }

        fn end(mut self) -> Vec<u8> {
            self.0.resize(self.0.len() + 1024, 0);
            self.0
        }
    }

    pub(crate) fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = b"!<arch>\n".to_vec();
        for (name, bytes) in members {
            archive.extend_from_slice(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, bytes.len()).as_bytes(),
            );
            archive.extend_from_slice(bytes);
            if bytes.len() % 2 == 1 {
                archive.push(b'\n');
            }
        }
        archive
    }

    pub(crate) fn deb(control: TestTar, data: TestTar, compression: Compression) -> Vec<u8> {
        let extension = compression.extension();
        ar(&[
            ("debian-binary", b"2.0\n".to_vec()),
            (&format!("control.tar{extension}"), encode(&control.end(), compression)),
            (&format!("data.tar{extension}"), encode(&data.end(), compression)),
        ])
    }

    pub(crate) fn control(fields: &str) -> TestTar {
        TestTar::default().directory("./", 0o755).file("./control", 0o644, fields)
    }

    pub(crate) const FIELDS: &str = "Package: a\nVersion: 1-1\nArchitecture: amd64\nMaintainer: x\nDescription: y\n";

    pub(crate) fn read(bytes: &[u8]) -> Result<Deb, DebError> {
        let limits = Limits { control: 1 << 16, data: Most::of(1 << 20), members: Most::of(1000) };
        Deb::read(bytes, &Arc::new(tempfile::tempfile().unwrap()), "test", limits)
    }

    /// A package of that name with those files, read back.
    pub(crate) fn package(name: &str, info: &[(&str, &str)], data: TestTar) -> Deb {
        package_with(&FIELDS.replace("Package: a", &format!("Package: {name}")), info, data)
    }

    pub(crate) fn package_with(fields: &str, info: &[(&str, &str)], data: TestTar) -> Deb {
        let control =
            info.iter().fold(control(fields), |tar, (name, text)| tar.file(&format!("./{name}"), 0o755, text));
        read(&deb(control, data, Compression::Plain)).unwrap()
    }

    fn sample() -> TestTar {
        TestTar::default()
            .directory("./", 0o755)
            .directory("./usr/", 0o755)
            .file("./usr/a", 0o644, "hello")
            .hardlink("./usr/b", "./usr/a")
            .symlink("./usr/c", "/etc/a")
    }

    #[test]
    fn packages_are_read_in_every_compression() {
        for compression in [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let control =
                control(FIELDS).file("./postinst", 0o755, "#!/bin/sh\n").file("./conffiles", 0o644, "/etc/x\n");
            let deb = read(&deb(control, sample(), compression)).unwrap();
            assert_eq!((deb.name.as_str(), deb.version.as_str(), deb.architecture.as_str()), ("a", "1-1", "amd64"));
            assert_eq!(deb.members.len(), 4);
            assert_eq!(deb.content(&deb.members[1]).read_all(100).unwrap(), b"hello");
            assert_eq!(deb.info.keys().collect::<Vec<_>>(), ["conffiles", "postinst"]);
            assert_eq!(deb.conffiles().unwrap()[0].path, TreePath::parse("etc/x").unwrap());
            assert!(deb.expect("a", "1-1", "amd64").is_ok());
            assert!(deb.expect("a", "1-2", "amd64").is_err());
            // A cut or longer package is never taken for one.
        }
        let whole = deb(control(FIELDS), sample(), Compression::Xz);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&[&whole[..], b"x"].concat()).is_err());
        assert!(read(&[&whole[..], &ar(&[("extra", b"x".to_vec())])[8..]].concat()).is_err());
        assert!(read(&[&whole[..], &ar(&[("_gpg", b"x".to_vec())])[8..]].concat()).is_ok());
    }

    #[test]
    fn outer_archives_that_are_wrong_are_refused() {
        let version = || ("debian-binary", b"2.0\n".to_vec());
        let inner = |name: &'static str| {
            let tar = if name.starts_with('c') { control(FIELDS) } else { sample() };
            (name, tar.end())
        };
        assert!(read(&ar(&[version(), inner("control.tar"), inner("data.tar")])).is_ok());
        assert!(read(&ar(&[version(), inner("control.tar/"), ("_x", b"1".to_vec()), inner("data.tar/")])).is_ok());
        for members in [
            vec![],
            vec![version()],
            vec![version(), inner("control.tar")],
            vec![version(), inner("data.tar"), inner("control.tar")],
            vec![inner("control.tar"), version(), inner("data.tar")],
            vec![("debian-binary", b"3.0\n".to_vec()), inner("control.tar"), inner("data.tar")],
            vec![version(), version(), inner("control.tar"), inner("data.tar")],
            vec![version(), inner("control.tar"), inner("control.tar"), inner("data.tar")],
            vec![version(), inner("control.tar"), inner("data.tar"), inner("data.tar")],
            vec![version(), inner("control.tar"), inner("data.tar.bz2")],
            vec![version(), inner("control.tar"), inner("data.tar.xz")],
        ] {
            let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
            assert!(read(&ar(&members)).is_err(), "{names:?}");
        }
        let mut odd = ar(&[version(), inner("control.tar"), inner("data.tar")]);
        odd[8 + 48] = b'-';
        assert!(read(&odd).is_err());
    }

    #[test]
    fn control_data_that_is_wrong_is_refused() {
        for (fields, what) in [
            (FIELDS.replace("Package: a", "Package: ../a"), "name"),
            (FIELDS.replace("Package: a\n", ""), "no name"),
            (FIELDS.replace("Version: 1-1", "Version: 1/1"), "version"),
            (FIELDS.replace("amd64", "../x"), "architecture"),
            (format!("{FIELDS}\nPackage: b\n"), "two paragraphs"),
            (format!("{FIELDS}Status: install ok installed\n"), "status"),
            (format!("{FIELDS}Depends: ../x\n"), "relation"),
        ] {
            assert!(read(&deb(control(&fields), sample(), Compression::Plain)).is_err(), "{what}");
        }
        for (tar, what) in [
            (control(FIELDS).file("./control", 0o644, FIELDS), "twice"),
            (control(FIELDS).file("./a/b", 0o644, ""), "below"),
            (control(FIELDS).file("./list", 0o644, ""), "list"),
            (control(FIELDS).symlink("./postinst", "/bin/sh"), "link"),
            (control(FIELDS).file("./a\nb", 0o644, ""), "name"),
            (TestTar::default().file("./x", 0o644, FIELDS), "none"),
            (control(FIELDS).bytes("./templates", 0o644, &[b'x'; 1 << 17]), "large"),
        ] {
            assert!(read(&deb(tar, sample(), Compression::Gzip)).is_err(), "{what}");
        }
        let conffiles = control(FIELDS).file("./conffiles", 0o644, "/etc/../x\n");
        assert!(read(&deb(conffiles, sample(), Compression::Plain)).unwrap().conffiles().is_err());
    }

    #[test]
    fn files_that_are_wrong_are_refused() {
        let large = "x".repeat(1 << 20);
        for (tar, what) in [
            (sample().file("./../x", 0o644, ""), "climbs"),
            (sample().file("./usr/a", 0o644, ""), "twice"),
            (sample().file("./usr", 0o644, ""), "file over directory"),
            (sample().directory("./usr/a", 0o755), "directory over file"),
            (sample().file("./usr/c/x", 0o644, ""), "through a link"),
            (sample().hardlink("./usr/d", "./usr/e"), "link to nothing"),
            (sample().hardlink("./usr/d", "./usr/d"), "link to itself"),
            (sample().hardlink("./usr/d", "../../etc/passwd"), "link outside"),
            (sample().hardlink("./usr/d", "./usr/c"), "link to a symlink"),
            (sample().hardlink("./usr/d", "./usr"), "link to a directory"),
            (sample().device("./dev/x"), "device"),
            (sample().file("./usr/.wh.x", 0o644, ""), "whiteout"),
            (sample().file("./var/lib/dpkg/status", 0o644, ""), "database"),
            (sample().symlink("./", "x"), "root"),
            (sample().file("./usr/large", 0o644, &large), "large"),
        ] {
            assert!(read(&deb(control(FIELDS), tar, Compression::Plain)).is_err(), "{what}");
        }
        let many = (0..1001).fold(TestTar::default(), |tar, at| tar.file(&format!("./{at}"), 0o644, ""));
        assert!(read(&deb(control(FIELDS), many, Compression::Xz)).is_err());
    }
}
