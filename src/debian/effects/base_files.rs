//! What `base-files` makes when it is configured: the skeleton of a Debian system.

use super::super::staging::{Staging, StagingError};
use crate::tree::{Origin, Owner};

/// Directories, with mode and group.
const DIRECTORIES: [(&str, u32, u32); 8] = [
    ("mnt", 0o755, 0),
    ("srv", 0o755, 0),
    ("opt", 0o755, 0),
    ("etc/opt", 0o755, 0),
    ("var/opt", 0o755, 0),
    ("media", 0o755, 0),
    ("var/mail", 0o2775, 8),
    ("run/lock", 0o1777, 0),
];

/// Directories below `/usr/local`; `libexec` since Debian 13.
const LOCAL: [&str; 9] = ["share", "share/man", "bin", "games", "lib", "include", "sbin", "src", "etc"];

/// Files of `/usr/share/base-files`, and where they are copied to.
const COPIES: [(&str, &str); 5] = [
    ("dot.profile", "root/.profile"),
    ("dot.bashrc", "root/.bashrc"),
    ("profile", "etc/profile"),
    ("motd", "etc/motd"),
    ("info.dir", "usr/share/info/dir"),
];

/// Makes the skeleton; what is there stays.
///
/// # Errors
/// Where something else is in its way.
pub fn apply(staging: &mut Staging<'_>) -> Result<(), StagingError> {
    let origin = Origin::new("configuration of base-files");
    if staging.exists("etc/dpkg/origins/debian") {
        staging.new_symlink("etc/dpkg/origins/default", "debian", &origin)?;
    }
    for (source, target) in COPIES {
        let directory = target.rsplit_once('/').map_or("", |(directory, _)| directory);
        if let Some(bytes) = staging.read(&format!("usr/share/base-files/{source}"))?
            && staging.exists(directory)
        {
            staging.new_file(target, bytes, 0o644, Owner::ROOT, &origin)?;
        }
    }
    for (path, mode, group) in DIRECTORIES {
        staging.directory(path, mode, Owner::new(0, group), &origin)?;
    }
    staging.directory("var/spool", 0o755, Owner::ROOT, &origin)?;
    staging.new_symlink("var/spool/mail", "../mail", &origin)?;
    staging.link_for_directory("var/run", "/run", &origin)?;
    staging.link_for_directory("var/lock", "/run/lock", &origin)?;
    staging.directory("usr/local", 0o755, Owner::ROOT, &origin)?;
    for path in LOCAL {
        staging.directory(&format!("usr/local/{path}"), 0o755, Owner::ROOT, &origin)?;
    }
    if major(staging)? >= 13 {
        staging.directory("usr/local/libexec", 0o755, Owner::ROOT, &origin)?;
    }
    staging.new_symlink("usr/local/man", "share/man", &origin)?;
    staging.directory("var/log", 0o755, Owner::ROOT, &origin)?;
    let mut logs = vec![("wtmp", 0o664), ("btmp", 0o660), ("lastlog", 0o664)];
    if major(staging)? < 13 {
        logs.push(("faillog", 0o644));
    }
    for (log, mode) in logs {
        let owner = if log == "faillog" { Owner::ROOT } else { Owner::new(0, 43) };
        staging.new_file(&format!("var/log/{log}"), "", mode, owner, &origin)?;
    }
    Ok(())
}

/// The release that `/etc/debian_version` names; testing and unstable count as the newest.
fn major(staging: &Staging<'_>) -> Result<u32, StagingError> {
    let version = staging.text("etc/debian_version")?.unwrap_or_default();
    Ok(version.trim().split('.').next().and_then(|major| major.parse().ok()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Rootfs, TreePath};

    #[test]
    fn the_skeleton_leaves_what_is_there() {
        let origin = Origin::new("test");
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        for directory in ["etc", "root", "var/run", "var/lock", "usr/share/base-files"] {
            staging.directory(directory, 0o755, Owner::ROOT, &origin).unwrap();
        }
        staging.file("var/lock/mine", "", 0o644, Owner::ROOT, &origin).unwrap();
        staging.file("etc/profile", "mine", 0o600, Owner::ROOT, &origin).unwrap();
        staging.file("usr/share/base-files/profile", "theirs", 0o644, Owner::ROOT, &origin).unwrap();
        staging.file("usr/share/base-files/dot.profile", "x", 0o644, Owner::ROOT, &origin).unwrap();
        apply(&mut staging).unwrap();
        assert_eq!(staging.text("etc/profile").unwrap().unwrap(), "mine");
        assert_eq!(staging.text("root/.profile").unwrap().unwrap(), "x");
        let path = |text: &str| TreePath::parse(text).unwrap();
        assert_eq!(staging.view().resolve(&path("var/run/x")), Ok(path("run/x")));
        // A directory with something in it stays one.
        assert!(staging.view().is_directory(&path("var/lock")));
        assert_eq!(staging.entry(&path("run/lock")).unwrap().mode, 0o1777);
        staging.into_tree(&Rootfs::new()).unwrap();
    }
}
