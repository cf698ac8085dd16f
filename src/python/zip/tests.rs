use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::directory::CENTRAL;
use super::layout::{DESCRIPTOR, LOCAL};
use super::raw::u32_at;
use super::*;

/// A zip file as a writer that is not ours makes it: names, contents, modes.
pub(in crate::python) fn zip_of(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, mode) in files {
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).unix_permissions(*mode);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Result<Archive, ZipError> {
    Archive::open(&Content::inline(bytes), Limits::default())
}

/// Opens and reads everything.
fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
    let archive = open(bytes)?;
    archive.members().iter().map(|member| Ok((member.name.clone(), archive.read_all(member, 1 << 20)?))).collect()
}

fn refused(bytes: &[u8], why: &str) {
    let error = read(bytes).map(|_| ()).expect_err(why).to_string();
    assert!(error.contains(why), "expected `{why}`, got: {error}");
}

fn sample() -> Vec<u8> {
    zip_of(&[("a.txt", b"hello", 0o644), ("bin/run", &b"echo ".repeat(999), 0o755)])
}

#[test]
fn times_are_dates_that_somebody_meant() {
    let modified = |date: u32, time: u32| {
        let archive = open(&sample()).unwrap();
        Member { time: date << 16 | time, ..archive.members()[0].clone() }.modified()
    };
    let date = |year: u32, month: u32, day: u32| (year - 1980) << 9 | month << 5 | day;
    assert_eq!(modified(date(2024, 2, 29), 12 << 11 | 30 << 5 | 5), Some(1_709_209_810));
    assert_eq!(modified(date(2024, 2, 29), 31 << 11 | 63 << 5 | 31), Some(1_709_251_199));
    for nothing in [date(1980, 1, 1), 0, date(2023, 2, 29), date(2100, 1, 1), date(2107, 12, 31)] {
        assert_eq!(modified(nothing, 0), None, "{nothing}");
    }
}

fn at(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

fn last(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).rposition(|window| window == what).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let bytes = sample();
    assert_eq!(read(&bytes).unwrap(), [("a.txt".into(), b"hello".to_vec()), ("bin/run".into(), b"echo ".repeat(999))]);
    let archive = open(&bytes).unwrap();
    assert!(!archive.members()[0].is_executable() && archive.members()[1].is_executable());
    assert!(read(&zip_of(&[])).unwrap().is_empty());
}

#[test]
fn long_sizes_are_understood() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let options = SimpleFileOptions::default().compression_method(method).large_file(true);
        writer.start_file(format!("{method}"), options).unwrap();
        writer.write_all(b"some text").unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(read(&bytes).unwrap().len(), 2);
}

#[test]
fn sizes_after_the_data_are_understood() {
    // A writer that cannot go back, as Python's is on a pipe.
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    writer.start_file("x", options).unwrap();
    writer.write_all(&b"streamed ".repeat(99)).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(read(&bytes).unwrap()[0].1, b"streamed ".repeat(99));
    let mut lying = bytes.clone();
    let descriptor = at(&lying, DESCRIPTOR);
    lying[descriptor + 8] ^= 1;
    refused(&lying, "the sizes after its data");
}

#[test]
fn ends_that_two_readers_could_see_in_two_ways() {
    let good = sample();
    refused(b"", "too short");
    refused(&[0; 4000], "no end record");
    refused(&good[..good.len() - 1], "no end record");
    refused(&[&good[..], b"x"].concat(), "not at its end");
    refused(&[b"#!/bin/sh\n", &good[..]].concat(), "right before its end record");
    // Two archives, one after the other.
    refused(&[&good[..], &good[..]].concat(), "right before its end record");
    // A comment is fine until it looks like an archive.
    let with = |comment: &[u8]| {
        let mut bytes = [&good[..], comment].concat();
        let end = good.len() - 2;
        bytes[end..end + 2].copy_from_slice(&(comment.len() as u16).to_le_bytes());
        bytes
    };
    assert!(read(&with(b"made by hand")).is_ok());
    let mut end = good[good.len() - 22..].to_vec();
    end[20] = 0;
    assert!(read(&with(&end)).is_err());
    refused(&with(b"PK\x01\x02"), "looks like part of an archive");
    for (offset, why) in
        [(4, "several"), (6, "several"), (8, "two numbers"), (12, "right before"), (16, "right before")]
    {
        let mut bytes = good.clone();
        let end = bytes.len() - 22;
        bytes[end + offset] ^= 1;
        refused(&bytes, why);
    }
    let mut bytes = good.clone();
    let end = bytes.len() - 22;
    bytes[end + 16..end + 20].fill(0xff);
    refused(&bytes, "zip64 record that is not there");
}

#[test]
fn headers_that_disagree() {
    for (offset, why) in [
        (0, "no local header"),
        (6, "encrypted"),
        (8, "compression"),
        (10, "time"),
        (14, "checksum"),
        (18, "size"),
        (22, "size"),
        (26, "name"),
        (30, "another name"),
    ] {
        let mut bytes = sample();
        bytes[offset] ^= 1;
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(why) || error.contains("other flags"), "{offset}: {error}");
    }
}

#[test]
fn directory_entries_that_lie() {
    let central = |offset: usize, change: &[u8], why: &str| {
        let mut bytes = sample();
        let from = at(&bytes, CENTRAL) + offset;
        bytes[from..from + change.len()].copy_from_slice(change);
        refused(&bytes, why);
    };
    central(8, &[1], "encrypted");
    central(8, &[0x20], "patch");
    central(10, &[12], "neither none nor deflate");
    central(42, &[1], "no member owns");
    central(24, &[255, 255, 255, 0], "cannot become");
    central(24, &[255, 255, 255, 255], "zip64 field is missing");
    central(34, &[1], "another part");
    central(38, &[0, 0, 0xff, 0xa1], "symbolic link");
    central(38, &[0, 0, 0xff, 0x21], "neither a file nor");
    central(46, b"\0", "NUL");
    central(46, b"/", "absolute");
    central(46, b"\\", "backslash");
    central(46, b"..", "another name");
    central(46, b"../x/", "climbs");
    central(46, b"a//bb", "empty");
    central(46, b"a/./b", "empty");
    central(46, b"\xff", "UTF-8");
    central(46, "é".as_bytes(), "not marked as UTF-8");
    // Overlap: the second starts where the first does.
    let mut bytes = sample();
    let second = last(&bytes, CENTRAL) + 42;
    bytes[second..second + 4].fill(0);
    refused(&bytes, "overlaps");
}

#[test]
fn bytes_that_no_member_owns() {
    let good = sample();
    let second = last(&good, LOCAL);
    let directory = at(&good, CENTRAL);
    let mut bytes = [&good[..second], b"gap", &good[second..]].concat();
    let central = last(&bytes, CENTRAL);
    let shifted = |bytes: &mut [u8], at: usize, by: u32| {
        let value = u32_at(bytes, at) + by;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    shifted(&mut bytes, central + 42, 3);
    let end = bytes.len() - 22;
    shifted(&mut bytes, end + 16, 3);
    refused(&bytes, "3 bytes before it");
    let mut bytes = [&good[..directory], b"gap", &good[directory..]].concat();
    let end = bytes.len() - 22;
    shifted(&mut bytes, end + 16, 3);
    refused(&bytes, "3 bytes before its directory");
}

#[test]
fn names_that_cannot_be_together() {
    // The writer refuses doubles, so that the second is written under a name that becomes the first's.
    for (first, second, why) in
        [("q/a", "r/a", "twice"), ("q/", "r", "twice"), ("q", "r/c", "is a file"), ("q/c", "r", "is a file")]
    {
        let mut bytes = zip_of(&[(first, b"", 0o644), (second, b"", 0o644)]);
        if first.ends_with('/') {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            writer.add_directory(first, SimpleFileOptions::default()).unwrap();
            writer.start_file(second, SimpleFileOptions::default()).unwrap();
            bytes = writer.finish().unwrap().into_inner();
        }
        bytes.iter_mut().filter(|byte| **byte == b'r').for_each(|byte| *byte = b'q');
        refused(&bytes, why);
    }
}

#[test]
fn bombs_are_refused_before_they_are_read() {
    let zeros = vec![0; 4 << 20];
    let bytes = zip_of(&[("zeros", &zeros, 0o644)]);
    let content = Content::inline(bytes);
    assert!(Archive::open(&content, Limits::default()).is_ok(), "small tables compress well");
    let error = Archive::open(&content, Limits { bytes: Most::of(1 << 20), ..Limits::default() }).err().unwrap();
    assert!(error.to_string().contains("limit is 1048576"), "{error}");
    let members = [Member {
        name: "x".into(),
        size: 1 << 30,
        mode: 0,
        method: Method::Deflated,
        crc: 0,
        compressed: 2 << 20,
        header: 0,
        data: 0,
        flags: 0,
        time: 0,
    }];
    let error = check_sizes(&members, 2 << 20, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("more than 200 times"), "{error}");
}

#[test]
fn damaged_data_is_noticed() {
    let good = sample();
    let second = last(&good, LOCAL) + 30 + "bin/run".len();
    for place in second..second + 8 {
        let mut bytes = good.clone();
        bytes[place] ^= 0x55;
        assert!(read(&bytes).is_err(), "{place}");
    }
}

proptest! {
    #[test]
    fn a_flipped_byte_is_noticed_or_harmless(place in 0usize..10_000, bit in 0u8..8) {
        let good = sample();
        let place = place % good.len();
        let mut bytes = good.clone();
        bytes[place] ^= 1 << bit;
        if let Ok(files) = read(&bytes) {
            // Only what is no content may differ: times, versions, attributes.
            prop_assert_eq!(files, read(&good).unwrap());
        }
    }

    #[test]
    fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&noise);
        let end = sample();
        noise.extend_from_slice(&end[end.len() - 150..]);
        let _ = read(&noise);
    }
}
