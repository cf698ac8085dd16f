//! Archives: tars, packages, wheels, archives of images, and what they are compressed with.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use super::made::{ar_of, at_most_a_mebibyte, file_of, tar_of, with_checksums, zip_of};
use super::said;
use crate::compress::Decoder;
use crate::content::Content;
use crate::debian::deb::{self, Deb};
use crate::debian::{decode, scripts};
use crate::limits::Most;
use crate::oci::{Compression, Digest};
use crate::place::{ArchiveKind, FilePlace, Place, open, read_artifacts};
use crate::python::record::Row;
use crate::python::zip as zip_file;
use crate::python::{Record, Scheme, Spool, Wheel, install};
use crate::tar::{Member, MemberKind, ReadError, Reader, tar_length, write_tree};
use crate::tree::{Entry, FileTree, Kind, Origin, Owner, TreePath};

/// A tar, as it is and with right checksums.
///
/// What is taken has plain paths and the very bytes of the archive; it is read alike with and without the data, as the
/// `tar` crate reads it, and what is written of it reads back equal.
pub fn tar(data: &[u8]) {
    one_tar(data);
    one_tar(&with_checksums(data));
}

fn one_tar(bytes: &[u8]) {
    let found = match members(bytes) {
        Ok(found) => found,
        Err(error) => return said(&error),
    };
    let mut seeking = Reader::seeking(Cursor::new(bytes));
    for (member, data) in &found {
        assert_eq!(seeking.next_member().as_ref().ok(), Some(&Some(member.clone())), "seeking changes what is read");
        is_plain(&member.path);
        let start = member.offset as usize;
        assert_eq!(bytes.get(start..start + member.size as usize), Some(&data[..]), "other data than the archive's");
    }
    assert!(seeking.finish().is_ok(), "seeking does not find the end");
    read_by_others(bytes, &found);
    written_and_read(&found);
}

fn members(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data)?;
        found.push((member, data));
    }
    Ok(found)
}

/// Nothing that leaves the root, whoever reads it.
fn is_plain(path: &TreePath) {
    assert_eq!(TreePath::parse(path.as_bytes()).as_ref(), Ok(path), "a path that is not clean");
    let fine = |component: &[u8]| !matches!(component, b"" | b"." | b"..") && component.len() <= 255;
    assert!(path.components().all(fine) && !path.as_bytes().contains(&0), "a path that is none: {path}");
}

/// Where the `tar` crate takes the archive, it sees the same members. Of a PAX record it reads the first line alone.
fn read_by_others(bytes: &[u8], ours: &[(Member, Vec<u8>)]) {
    if ours.iter().any(|(member, _)| member.path.as_bytes().contains(&b'\n')) {
        return;
    }
    let mut archive = tar::Archive::new(bytes);
    let Ok(entries) = archive.entries() else { return };
    let mut theirs = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else { return };
        let Ok(path) = TreePath::parse(entry.path_bytes()) else { return };
        theirs.push((path, entry.size()));
    }
    let ours: Vec<_> = ours.iter().map(|(member, _)| (member.path.clone(), member.size)).collect();
    assert_eq!(ours, theirs, "another reader sees something else");
}

/// What is written of the members is read back equal, whatever order they went in.
fn written_and_read(members: &[(Member, Vec<u8>)]) {
    let tree = tree_of(members.iter());
    let mut bytes = Vec::new();
    assert!(write_tree(&tree, &mut bytes, &mut ()).is_ok(), "a tree that cannot be written");
    assert_eq!(bytes.len() as u64, tar_length(&tree), "another length than was said");
    let Ok(back) = self::members(&bytes) else { panic!("what was written is refused") };
    assert_eq!(back.len(), tree.len(), "another number of entries");
    for ((path, entry), (member, data)) in tree.iter().zip(&back) {
        assert_eq!(&entry.capabilities, &member.capabilities);
        match (&entry.kind, &member.kind) {
            (Kind::Directory, MemberKind::Directory) => {}
            (Kind::File(content), MemberKind::File) => {
                assert_eq!(content.read_all(u64::MAX).ok().as_ref(), Some(data), "other contents");
            }
            (Kind::Symlink(target), MemberKind::Symlink(found)) => assert_eq!(target, found),
            (Kind::Hardlink(target), MemberKind::Hardlink(found)) => assert_eq!(target, found),
            (wanted, found) => panic!("{path} is {found:?}, and was {wanted:?}"),
        }
        assert_eq!((&member.path, member.mode, member.owner), (path, entry.mode, entry.owner));
    }
    read_by_others(&bytes, &back);
    let paths: BTreeSet<&TreePath> = members.iter().map(|(member, _)| &member.path).collect();
    if paths.len() == members.len() && tree.len() == members.len() {
        let mut again = Vec::new();
        assert!(write_tree(&tree_of(members.iter().rev()), &mut again, &mut ()).is_ok());
        assert!(again == bytes, "the order in which entries come changes the layer");
    }
}

/// A tree of what a tree can hold; what conflicts with what is there is left out.
fn tree_of<'a>(members: impl Iterator<Item = &'a (Member, Vec<u8>)>) -> FileTree {
    let origin = Origin::new("a fuzzer");
    let mut tree = FileTree::new();
    for (member, data) in members.filter(|(member, _)| !member.path.is_root()) {
        let kind = match &member.kind {
            MemberKind::File => Kind::File(Content::inline(data.clone())),
            MemberKind::Directory => Kind::Directory,
            // An empty target can be written by nobody.
            MemberKind::Symlink(target) if !target.is_empty() => Kind::Symlink(target.clone()),
            _ => continue,
        };
        let capabilities = member.capabilities.clone().filter(|_| matches!(kind, Kind::File(_)));
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { member.mode };
        // What cannot stand there is told, and not taken.
        let entry = Entry { kind, mode, owner: member.owner, capabilities, origin: origin.clone() };
        if let Err(error) = tree.insert(member.path.clone(), entry) {
            said(&error);
        }
    }
    tree
}

/// A gzip, zstd or xz stream, by its first byte: a limit holds, and the size of pieces plays no part.
pub fn compressed(data: &[u8]) {
    let Some((kind, stream)) = data.split_first() else { return };
    let whole = |limit: u64| -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = match kind % 3 {
            0 => Decoder::new(stream, Compression::Gzip).limited(limit).read_to_end(&mut bytes),
            1 => Decoder::new(stream, Compression::Zstd).limited(limit).read_to_end(&mut bytes),
            _ => decode::decoder(stream, decode::Compression::Xz, limit).and_then(|mut d| d.read_to_end(&mut bytes)),
        };
        assert!(bytes.len() as u64 <= limit, "more than the limit");
        read.ok().map(|_| bytes)
    };
    let Some(bytes) = whole(1 << 20) else { return };
    assert_eq!(whole(bytes.len() as u64).as_ref(), Some(&bytes), "exactly the limit is fine");
    if !bytes.is_empty() {
        assert_eq!(whole(bytes.len() as u64 - 1), None, "more than the limit is taken");
    }
    if kind % 3 < 2 {
        let compression = if kind % 3 == 0 { Compression::Gzip } else { Compression::Zstd };
        let (mut decoder, mut pieces, mut piece) = (Decoder::new(stream, compression), Vec::new(), [0; 7]);
        while let Ok(count @ 1..) = decoder.read(&mut piece) {
            pieces.extend_from_slice(&piece[..count]);
        }
        assert!(pieces == bytes, "small pieces give other bytes");
    }
}

/// A Debian package: as it is, or (where it does not start as one) as the files of its `control.tar` and its `data.tar`.
pub fn deb(data: &[u8]) {
    let limits = deb::Limits { control: 1 << 20, data: Most::of(1 << 20), members: Most::of(10_000) };
    let spool = Arc::new(file_of(b""));
    let read = match data.starts_with(b"!<arch>\n") {
        true => Deb::read(data, &spool, "fuzz", limits),
        false => {
            let mut parts = data.splitn(4, |byte| *byte == 0xff);
            let mut next = || parts.next().unwrap_or_default();
            let control = tar_of(&[("control", next()), ("conffiles", next()), ("md5sums", next())]);
            let data = with_checksums(next());
            let members =
                [("debian-binary", &b"2.0\n"[..]), ("control.tar", control.as_slice()), ("data.tar", data.as_slice())];
            Deb::read(&ar_of(&members)[..], &spool, "fuzz", limits)
        }
    };
    let package = match read {
        Ok(package) => package,
        Err(error) => return said(&error),
    };
    assert!(!package.name.contains('/') && package.name.len() <= 100, "a name that is no file name: {}", package.name);
    for member in &package.members {
        is_plain(&member.path);
        assert!(!member.path.as_bytes().contains(&b'\n'), "a name that dpkg's lists cannot hold");
        if member.kind == MemberKind::File {
            let bytes = package.content(member).read_all(1 << 20);
            assert_eq!(bytes.ok().map(|bytes| bytes.len() as u64), Some(member.size), "other bytes than were said");
        }
    }
    match package.conffiles() {
        Ok(files) => files.iter().for_each(|file| is_plain(&file.path)),
        Err(error) => said(&error),
    }
    let _ = scripts::judge(&package, scripts::Origin::Elsewhere);
}

/// A zip file: names are plain, members have the bytes that they say, and nothing lies in two of them.
pub fn zip(data: &[u8]) {
    let limits = zip_file::Limits { bytes: Most::of(1 << 20), ..zip_file::Limits::default() };
    let archive = match zip_file::Archive::open(&Content::inline(data), limits) {
        Ok(archive) => archive,
        Err(error) => return said(&error),
    };
    let mut names = BTreeSet::new();
    for member in archive.members() {
        let name = member.name.strip_suffix('/').unwrap_or(&member.name);
        match TreePath::parse(name) {
            Ok(path) => assert_eq!(path.as_bytes(), name.as_bytes(), "a name that is not clean"),
            // Longer than a path may be: said when it is placed.
            Err(error) => said(&error),
        }
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        let _ = (member.modified(), member.is_executable());
        match archive.read_all(member, 1 << 20) {
            Ok(bytes) => assert_eq!(bytes.len() as u64, member.size),
            Err(error) => said(&error),
        }
    }
}

/// A wheel of texts with 0xff between them: METADATA, WHEEL, entry_points.txt, RECORD (made where it is empty), and then
/// a name and contents for each file. No file leaves the directories of the installation.
pub fn wheel(data: &[u8]) {
    const INFO: &str = "my_pkg-1.0.dist-info";
    let mut parts = data.split(|byte| *byte == 0xff);
    let mut next = || parts.next();
    let mut files: Vec<(String, &[u8])> = Vec::new();
    for (name, usual) in [
        ("METADATA", &b"Metadata-Version: 2.1\nName: my_pkg\nVersion: 1.0\n"[..]),
        ("WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("entry_points.txt", b""),
    ] {
        let bytes = next().filter(|bytes| !bytes.is_empty()).unwrap_or(usual);
        files.push((format!("{INFO}/{name}"), bytes));
    }
    let record = next().unwrap_or_default();
    while let (Some(name), Some(bytes)) = (next(), next()) {
        files.push((String::from_utf8_lossy(name).into_owned(), bytes));
    }
    let rows: Vec<(String, Row)> =
        files.iter().map(|(name, bytes)| (name.clone(), Row::of(&Digest::of(bytes), bytes.len() as u64))).collect();
    let own = format!("{INFO}/RECORD");
    let made = Record::write(rows.iter().map(|(name, row)| (name.as_str(), row)).chain([(own.as_str(), &Row::EMPTY)]));
    files.push((own, if record.is_empty() { &made } else { record }));

    let (Ok(name), Ok(version)) = ("my_pkg-1.0-py3-none-any.whl".parse(), "3.13.5".parse()) else { return };
    let (Ok(scheme), Ok(mut spool)) = (Scheme::debian(version), Spool::new(Path::new("/dev/shm"))) else { return };
    let wheel = Wheel { name, content: Content::inline(zip_of(&files)), requested: true, direct_url: None };
    let limits = zip_file::Limits { bytes: Most::of(1 << 20), ..zip_file::Limits::default() };
    let options = install::Options { scheme, owner: Owner::ROOT, installer: "fuzz".to_owned(), limits };
    let entries = match install::install(&wheel, &options, &mut spool) {
        Ok(entries) => entries,
        Err(error) => return said(&error),
    };
    assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "paths are not in order, or there twice");
    for (path, entry) in entries {
        is_plain(&path);
        assert!(path.as_bytes().starts_with(b"usr/local/"), "{path} leaves the installation");
        assert!(matches!(entry.kind, Kind::File(_)) && entry.mode & 0o7022 == 0, "{path} is {}", entry.describe());
    }
}

/// An archive of images in each of the three forms, as it is and with right checksums: what is given out is what its
/// digest says.
pub fn image_archive(data: &[u8]) {
    for bytes in [data, &with_checksums(data)] {
        let file = file_of(bytes);
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        for kind in [ArchiveKind::Oci, ArchiveKind::Docker, ArchiveKind::Hybrid] {
            let place = Place::Archive { kind, file: FilePlace::Path(path.clone().into()), pick: None };
            let artifacts = open(&place, Path::new("/dev/shm")).and_then(|source| read_artifacts(&source, None, &[]));
            let artifacts = match artifacts {
                Ok(artifacts) => artifacts,
                Err(error) => {
                    said(&error);
                    continue;
                }
            };
            let blobs =
                artifacts.iter().flat_map(|artifact| artifact.blobs().into_iter().map(move |blob| (artifact, blob)));
            for (artifact, blob) in blobs {
                let Ok(content) = artifact.source().blob(blob) else { continue };
                let read = content.open().map_err(io::Error::from).map(at_most_a_mebibyte);
                if let Ok(Some(bytes)) = read {
                    assert_eq!(Digest::of(&bytes), blob.digest, "a blob that is another one");
                }
            }
        }
    }
}
