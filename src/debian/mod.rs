//! Packages of Debian, made part of an image without running anything of theirs (DESIGN.md, section 8).
//!
//! | step | module |
//! | --- | --- |
//! | a suite's `InRelease` is believed | [`keyring`], [`release`] |
//! | its indexes are read | [`decode`], [`control`], [`packages`] |
//! | names become packages | [`version`], [`dependency`], [`resolve`] |
//! | their scripts are judged | [`shell`], [`installation`], [`scripts`] |
//! | `.deb` files are read and put into a tree | [`deb`], [`staging`], [`unpack`] |
//! | dpkg's database is written | [`database`] |
//! | what the scripts would have done is done | [`effects`] |
//! | the whole tree is looked over | [`checks`] |
//!
//! Nothing here talks to a network, reads the clock or looks at the machine: files, bytes and times are handed in.
//!
//! # Compared with Debian's own tools
//!
//! `tests/compare/debian.rs` is a program for it. A root of python3, nginx, git, curl, procps, ca-certificates, tini, tzdata,
//! openssl and the Essential set was made by `mmdebstrap --variant=essential` and natively from the same `.deb` files, and both
//! were compared path by path: kind, mode, owner, target, contents. Passed over: what apt and debconf keep, logs of the
//! installation, dpkg's locks, backups and diversions, compiled Python, `/dev`.
//!
//! | | Debian 13 (124 packages) | Debian 12 (132 packages) |
//! | --- | --- | --- |
//! | paths | 11,339 | 11,964 |
//! | different | 39 | 41 |
//! | links that start services, and their bookkeeping | 22 | 25 |
//! | PAM profiles, `/etc/environment`, `opasswd` | 13 | 13 |
//! | `/etc/hosts`, `/etc/networks` (the runtime's; only in Debian 13), `/etc/fstab` (mmdebstrap's) | 3 | 1 |
//! | order of strings inside `ld.so.cache` (same list, same order of entries) | 1 | 1 |
//! | order of lines in `/etc/shells` | 0 | 1 |
//!
//! `status`, all of `info/`, triggers, the database of
//! alternatives, the CA bundle with its 296 links, accounts and skeleton are byte for byte the same. The resolver agreed
//! with apt in 40 of 40 random questions on Debian 12 and in 57 of 60 on Debian 13; in the other three (all about
//! which of several alternatives a virtual name or an or-list gets) both answers satisfy every relation.

pub mod checks;
pub mod control;
pub mod database;
pub mod deb;
pub mod decode;
pub mod dependency;
pub mod effects;
pub mod installation;
pub mod keyring;
pub mod packages;
pub mod release;
pub mod resolve;
pub mod scripts;
pub mod shell;
pub mod staging;
pub mod status_d;
pub mod unpack;
pub mod version;

use crate::oci::Platform;

/// The name of Debian's archive that a suite of its own belongs to: updates of security are an archive of their own.
pub fn archive_of(suite: &str) -> &'static str {
    match suite.ends_with("-security") || suite.ends_with("/updates") {
        true => "debian-security",
        false => "debian",
    }
}

/// Whether an archive is Debian's own: signed by the keys that are built in, or by those that the recipe says sign it.
/// Other archives cannot have its names.
pub fn is_own_archive(archive: &str) -> bool {
    matches!(archive, "debian" | "debian-security")
}

/// Debian's word for a platform's architecture; `None` where it has none.
pub fn architecture(platform: &Platform) -> Option<&'static str> {
    if platform.os != "linux" {
        return None;
    }
    Some(match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("amd64", _) => "amd64",
        ("arm64", _) => "arm64",
        ("386", _) => "i386",
        ("arm", None | Some("v7" | "v8")) => "armhf",
        ("arm", Some("v5" | "v6")) => "armel",
        ("ppc64le", _) => "ppc64el",
        ("s390x", _) => "s390x",
        ("riscv64", _) => "riscv64",
        ("mips64le", _) => "mips64el",
        ("loong64", _) => "loong64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_debians_own() {
        for (platform, name) in [
            ("linux/amd64", Some("amd64")),
            ("linux/arm64/v8", Some("arm64")),
            ("linux/arm/v7", Some("armhf")),
            ("linux/arm/v6", Some("armel")),
            ("linux/386", Some("i386")),
            ("linux/ppc64le", Some("ppc64el")),
            ("linux/sparc64", None),
            ("windows/amd64", None),
        ] {
            assert_eq!(architecture(&platform.parse().unwrap()), name, "{platform}");
        }
        assert_eq!(archive_of("trixie"), "debian");
        assert_eq!(archive_of("trixie-updates"), "debian");
        assert_eq!(archive_of("trixie-security"), "debian-security");
        assert_eq!(archive_of("buster/updates"), "debian-security");
    }
}
