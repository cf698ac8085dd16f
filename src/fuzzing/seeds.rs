//! Writes the seeds that no hand can write: archives, signatures, programs.

use std::fs;

use super::tests::directory;
use crate::debian::deb::tests::{FIELDS, TestTar, control, deb};
use crate::debian::decode::Compression as Packed;
use crate::debian::release::tests::Signer;
use crate::elf;
use crate::oci::{Compression, Family};
use crate::place::testing::{base_and_service, compress, foreign_tar, tar_of, two_platforms};
use crate::place::{Place, write};
use crate::report::Reporter;

const RELEASE: &str = "Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
    Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64 arm64\nComponents: main\n\
    SHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n";

/// Signatures have a time and are random: this is for whoever adds a seed.
#[test]
#[ignore = "writes fuzz/seeds"]
fn binary_seeds_are_written() {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let seeds = directory("seeds").join(target);
        fs::create_dir_all(&seeds).unwrap();
        fs::write(seeds.join(name), bytes).unwrap();
    };

    let tar = tar_of(&[("etc/", ""), ("etc/motd", "hello\n"), (&format!("{}/f", "d".repeat(120)), "x")]);
    let foreign =
        foreign_tar(&[("./", b""), ("./a/", b""), ("./a/b", b"bytes"), ("./c", b"->/a"), ("./d", b"=>./a/b")]);
    put("tar", "ours", &tar);
    put("tar", "foreign", &foreign);
    put("tar", "climbs", &foreign_tar(&[("a/../../b", b"x")]));
    put("tar", "pax", &pax());

    for (number, kind) in [(0, Compression::Gzip), (1, Compression::Zstd)] {
        put("compressed", &kind.to_string(), &[&[number], &compress(&tar, kind)[..]].concat());
        put(
            "compressed",
            &format!("{kind}-two"),
            &[&[number], &compress(b"a", kind)[..], &compress(b"b", kind)].concat(),
        );
    }
    let package = |packed| {
        let control =
            control(FIELDS).file("./conffiles", 0o644, "/etc/x\n").file("./postinst", 0o755, "#!/bin/sh\nldconfig\n");
        let data = TestTar::default().directory("./", 0o755).directory("./etc/", 0o755).file("./etc/x", 0o644, "y");
        deb(control, data.hardlink("./etc/z", "./etc/x").symlink("./l", "/etc/x"), packed)
    };
    for packed in [Packed::Plain, Packed::Gzip, Packed::Xz, Packed::Zstd] {
        put("deb", &format!("whole{}", packed.extension()), &package(packed));
    }
    put("deb", "parts", &[FIELDS.as_bytes(), b"\xff/a\n\xff\xff", &foreign].concat());
    let xz = package(Packed::Xz);
    let start = xz.windows(6).position(|window| window == b"\xfd7zXZ\0").unwrap();
    put("compressed", "xz", &[b"\x02", &xz[start..start + 200]].concat());

    let signer = Signer::new(1);
    let message = signer.sign(RELEASE);
    put("in_release", "signed", message.as_bytes());
    put("in_release", "another", Signer::new(2).sign(RELEASE).as_bytes());
    put("in_release", "text", RELEASE.as_bytes());
    put("in_release", "split", message.replacen("\n\n", "\n\nOrigin: Evil\n", 1).as_bytes());
    put("keyring", "binary", &signer.keyring());
    put("keyring", "two", &[signer.keyring(), Signer::new(2).keyring()].concat());
    put("keyring", "armour", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZA==\n-----END PGP PUBLIC KEY BLOCK-----\n");
    fs::create_dir_all(directory("signed")).unwrap();
    fs::write(directory("signed").join("keyring.pgp"), signer.keyring()).unwrap();
    fs::write(directory("signed").join("Release"), RELEASE).unwrap();

    for (wide, little, name) in [(true, true, "amd64"), (false, true, "i386"), (true, false, "s390x")] {
        let needed = ["libc.so.6", "libm.so.6"];
        put(
            "elf",
            name,
            &elf::tests::make(wide, little, 62, Some("/lib/ld.so"), &needed, Some("libx.so.1"), Some("$ORIGIN")),
        );
    }

    let directory = tempfile::tempdir().unwrap();
    for (name, artifacts) in [
        ("oci", base_and_service(Family::Oci, Compression::Gzip)),
        ("docker", base_and_service(Family::Docker, Compression::None)),
        ("index", vec![two_platforms()]),
    ] {
        for document in artifacts.iter().flat_map(|artifact| artifact.documents()) {
            put("document", &format!("{name}-{}", &document.descriptor().digest.hex()[..8]), document.bytes());
        }
        for kind in ["oci-archive", "docker-archive", "archive"] {
            let path = directory.path().join(format!("{kind}-{name}"));
            let place = Place::parse(&format!("{kind}:{}", path.display())).unwrap();
            if write(&place, &artifacts, &mut Vec::new(), &(), &Reporter::silent()).is_ok() {
                put("image_archive", &format!("{kind}-{name}"), &fs::read(&path).unwrap());
            }
        }
    }

    put("lock", "empty", crate::lock::Lock::default().text().as_bytes());
    put("lock", "version", b"lock = 2\n");

    let zip = |files: &[(&str, &[u8])]| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (at, (name, bytes)) in files.iter().enumerate() {
            let method = if at % 2 == 0 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
            let options = zip::write::SimpleFileOptions::default().compression_method(method).unix_permissions(0o755);
            writer.start_file(*name, options).unwrap();
            std::io::Write::write_all(&mut writer, bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    put("zip", "two", &zip(&[("a.txt", &b"hello ".repeat(20)), ("bin/run", b"echo")]));
    put("zip", "empty", &zip(&[]));
    put("zip", "climbs", &zip(&[("../a", b"x")]));
}

/// A member whose name, size and capabilities stand in a PAX header.
fn pax() -> Vec<u8> {
    let records =
        b"11 path=p/q\n9 size=3\n54 SCHILY.xattr.security.capability=\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\n";
    let mut out = Vec::new();
    for (name, kind, data) in [("x", b'x', &records[..]), ("short", b'0', b"abc")] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}
