//! `.deb` files for tests, made field by field: as `dpkg-deb` makes them, or as wrong as a test needs.
//!
//! Included by path; it uses no code of the program that it tests.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write;

use md5::{Digest as _, Md5};

/// How members are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    /// What names end with.
    pub fn extension(self) -> &'static str {
        match self {
            Packing::Plain => "",
            Packing::Gzip => ".gz",
            Packing::Xz => ".xz",
            Packing::Zstd => ".zst",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Packing::Plain => bytes.to_vec(),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Xz => {
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }
}

/// A member of `data.tar`.
#[derive(Clone, Debug)]
struct Member {
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    link: String,
    bytes: Vec<u8>,
}

/// A package. Parents of its files are made as they are needed: 0755, root's.
#[derive(Clone, Debug)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub architecture: String,
    fields: Vec<(String, String)>,
    members: Vec<(String, Member)>,
    info: BTreeMap<String, (String, u32)>,
    conffiles: Vec<String>,
    control: Packing,
    data: Packing,
}

impl Deb {
    /// For amd64, with nothing in it.
    pub fn new(name: &str, version: &str) -> Self {
        Deb {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: Vec::new(),
            members: Vec::new(),
            info: BTreeMap::new(),
            conffiles: Vec::new(),
            control: Packing::Xz,
            data: Packing::Xz,
        }
    }

    /// For every architecture.
    pub fn all(name: &str, version: &str) -> Self {
        Deb::new(name, version).architecture("all")
    }

    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// A field of `control`, of which it has one.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    pub fn packed(mut self, control: Packing, data: Packing) -> Self {
        (self.control, self.data) = (control, data);
        self
    }

    fn member(mut self, path: &str, kind: tar::EntryType, mode: u32, link: &str, bytes: &[u8]) -> Self {
        let member = Member { kind, mode, owner: (0, 0), link: link.to_owned(), bytes: bytes.to_vec() };
        self.members.push((path.to_owned(), member));
        self
    }

    /// A file with mode 0644; paths have no slash or dot at their front, unless a test wants it.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.bytes(path, 0o644, text.as_bytes())
    }

    pub fn program(self, path: &str, text: &str) -> Self {
        self.bytes(path, 0o755, text.as_bytes())
    }

    pub fn bytes(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.member(path, tar::EntryType::Regular, mode, "", bytes)
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.member(path, tar::EntryType::Directory, mode, "", b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Symlink, 0o777, target, b"")
    }

    /// Another name of a file of this package.
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Link, 0o644, target, b"")
    }

    /// A device, which no package may have here.
    pub fn device(self, path: &str) -> Self {
        self.member(path, tar::EntryType::Char, 0o600, "", b"")
    }

    /// Gives the last member another owner.
    pub fn owned(mut self, uid: u64, gid: u64) -> Self {
        self.members.last_mut().expect("a member").1.owner = (uid, gid);
        self
    }

    /// A file that the administrator may change.
    pub fn conffile(mut self, path: &str, text: &str) -> Self {
        self.conffiles.push(path.to_owned());
        self.file(path, text)
    }

    /// A maintainer script: `postinst`, `preinst` …
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.info.insert(name.to_owned(), (text.to_owned(), 0o755));
        self
    }

    /// Another file of `control.tar`: `triggers`, `shlibs` …
    pub fn info(mut self, name: &str, text: &str) -> Self {
        self.info.insert(name.to_owned(), (text.to_owned(), 0o644));
        self
    }

    /// As archives name it: without the version's epoch.
    pub fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(&*self.version, |(_, version)| version);
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }

    /// The text of `control`, without a line at its end.
    pub fn control(&self) -> String {
        let mut text =
            format!("Package: {}\nVersion: {}\nArchitecture: {}", self.name, self.version, self.architecture);
        let mut add = |name: &str, value: &str| text.push_str(&format!("\n{name}: {value}"));
        for (name, value) in [
            ("Maintainer", "Nobody <nobody@example.com>"),
            ("Priority", "optional"),
            ("Description", "a package of a test"),
        ] {
            if !self.fields.iter().any(|(known, _)| known == name) {
                add(name, value);
            }
        }
        for (name, value) in &self.fields {
            add(name, value);
        }
        text
    }

    fn md5sums(&self) -> String {
        let mut text = String::new();
        for (path, member) in &self.members {
            if member.kind == tar::EntryType::Regular && !self.conffiles.contains(path) {
                let hex: String = Md5::digest(&member.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                text.push_str(&format!("{hex}  {path}\n"));
            }
        }
        text
    }

    /// `control.tar`.
    fn control_tar(&self) -> Vec<u8> {
        let mut info = self.info.clone();
        info.insert("control".to_owned(), (format!("{}\n", self.control()), 0o644));
        if !self.conffiles.is_empty() {
            let text = self.conffiles.iter().map(|path| format!("/{path}\n")).collect();
            info.insert("conffiles".to_owned(), (text, 0o644));
        }
        let sums = self.md5sums();
        if !sums.is_empty() {
            info.entry("md5sums".to_owned()).or_insert((sums, 0o644));
        }
        let mut tar = Vec::new();
        append(&mut tar, "./", tar::EntryType::Directory, 0o755, (0, 0), "", b"");
        for (name, (text, mode)) in &info {
            append(&mut tar, &format!("./{name}"), tar::EntryType::Regular, *mode, (0, 0), "", text.as_bytes());
        }
        finish(tar)
    }

    /// `data.tar`: parents first, then as they were added.
    fn data_tar(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        let mut made: Vec<String> = vec![String::new()];
        append(&mut tar, "./", tar::EntryType::Directory, 0o755, (0, 0), "", b"");
        for (path, member) in &self.members {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            for parent in parents.filter(|parent| !parent.split('/').any(|part| part == "..")) {
                if !made.iter().any(|known| known == parent) {
                    made.push(parent.to_owned());
                    append(&mut tar, &format!("./{parent}/"), tar::EntryType::Directory, 0o755, (0, 0), "", b"");
                }
            }
            let slash = if member.kind == tar::EntryType::Directory { "/" } else { "" };
            let link = match member.kind {
                tar::EntryType::Link => format!("./{}", member.link),
                _ => member.link.clone(),
            };
            made.push(path.clone());
            let name = format!("./{path}{slash}");
            append(&mut tar, &name, member.kind, member.mode, member.owner, &link, &member.bytes);
        }
        finish(tar)
    }

    /// The whole file.
    pub fn build(&self) -> Vec<u8> {
        ar(&[
            ("debian-binary", b"2.0\n".to_vec()),
            (&format!("control.tar{}", self.control.extension()), self.control.pack(&self.control_tar())),
            (&format!("data.tar{}", self.data.extension()), self.data.pack(&self.data_tar())),
        ])
    }
}

/// An `ar` archive.
pub fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let head = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 1_700_000_000, 0, 0, 100_644, bytes.len());
        archive.extend_from_slice(head.as_bytes());
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// A member, written by its bytes: the path may be one that no library would write.
fn append(
    tar: &mut Vec<u8>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    (uid, gid): (u64, u64),
    link: &str,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(1_700_000_000);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn finish(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 1024, 0);
    tar
}
