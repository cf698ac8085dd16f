//! Frames around the bytes of a fuzzer: what has a checksum in front of it would hardly ever be reached otherwise.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use rustix::fs::{MemfdFlags, memfd_create};

/// A file in memory that holds these bytes.
pub(super) fn file_of(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    file.write_all(bytes).and_then(|()| file.seek(SeekFrom::Start(0))).expect("a file in memory");
    file
}

/// All bytes of a reader, where they are no more than a MiB.
pub(super) fn at_most_a_mebibyte(reader: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take((1 << 20) + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= 1 << 20).then_some(bytes)
}

/// The same archive with a right checksum in every header. Blocks of zeros stay what they are.
pub(super) fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut bytes = tar.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        at += 512;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()).unwrap_or(0);
        at = at.saturating_add(size.next_multiple_of(512));
    }
    bytes
}

/// An `ar` archive of these members.
pub(super) fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, bytes.len()).bytes());
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// A tar of files in the root.
pub(super) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A zip file of these members, stored as they are (APPNOTE 4.3).
pub(super) fn zip_of(files: &[(String, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    let small = |number: usize| (number as u16).to_le_bytes();
    for (name, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let (start, length) = ((archive.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
        // Version, flags, method, time and date, checksum, both sizes, lengths of the name and of what is extra.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend([crc.sum().to_le_bytes(), length, length].concat());
        common.extend([small(name.len()), small(0)].concat());
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&common);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        // Comment, disk, attributes (a regular file of mode 0644), where it starts.
        directory.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81]);
        directory.extend_from_slice(&start);
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, length) = ((archive.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend([small(files.len()), small(files.len())].concat());
    archive.extend([length, start].concat());
    archive.extend(small(0));
    archive
}
