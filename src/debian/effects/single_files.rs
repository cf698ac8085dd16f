//! Single files, links and directories that packages make when they are configured.

use std::collections::BTreeSet;

use super::super::deb::Deb;
use super::super::staging::{Staging, StagingError};
use super::accounts::numbers;
use crate::tree::{NodeKind, Origin, Owner, TreePath};

/// Makes what these packages would have made.
///
/// # Errors
/// Where something else is in the way.
pub fn apply(staging: &mut Staging<'_>, packages: &[Deb]) -> Result<(), StagingError> {
    for package in packages {
        let origin = Origin::new(format!("configuration of {}", package.name));
        match package.name.as_str() {
            "libc-bin" => copy(staging, "usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf", &origin)?,
            "readline-common" => copy(staging, "usr/share/readline/inputrc", "etc/inputrc", &origin)?,
            "debianutils" => shells(staging, &origin)?,
            "tzdata" => time_zone(staging, package, &origin)?,
            "python3" => {
                staging.directory("etc/python3", 0o755, Owner::ROOT, &origin)?;
                staging.new_file("etc/python3/debian_config", DEBIAN_CONFIG, 0o644, Owner::ROOT, &origin)?;
            }
            "nginx-common" => nginx(staging, &origin)?,
            "redis-tools" => redis(staging, &origin)?,
            "fontconfig-config" => fontconfig(staging, &origin)?,
            "sudo" => staging.set("etc/sudoers", 0o440, Owner::ROOT)?,
            "openssh-client" => {
                let group = group(staging, "_ssh")?;
                staging.set("usr/bin/ssh-agent", 0o2755, Owner::new(0, group))?;
            }
            "openssh-server" => copy(staging, "usr/share/openssh/sshd_config", "etc/ssh/sshd_config", &origin)?,
            "rsyslog" => staging.set("var/spool/rsyslog", 0o700, Owner::ROOT)?,
            "ssl-cert" => {
                let group = group(staging, "ssl-cert")?;
                staging.set("etc/ssl/private", 0o710, Owner::new(0, group))?;
            }
            "cron" => {
                let group = group(staging, "crontab")?;
                staging.set("usr/bin/crontab", 0o2755, Owner::new(0, group))?;
                staging.set("var/spool/cron/crontabs", 0o1730, Owner::new(0, group))?;
            }
            "gunicorn" => {
                // www-data's.
                staging.directory("var/log", 0o755, Owner::ROOT, &origin)?;
                staging.directory("var/log/gunicorn", 0o755, Owner::new(33, 33), &origin)?;
            }
            "pkgconf-bin" => staging.directory("usr/lib/pkgconfig", 0o755, Owner::ROOT, &origin)?,
            // As its script does where there is no `setcap`.
            "iputils-ping" if package.info.contains_key("postinst") => {
                staging.set("usr/bin/ping", 0o4755, Owner::ROOT)?
            }
            name => python(staging, name, &origin)?,
        }
    }
    Ok(())
}

/// How Debian's Python compiles; read by `py3compile`.
const DEBIAN_CONFIG: &str =
    "[DEFAULT]\n# how to byte-compile (comma separated: standard, optimize)\nbyte-compile = standard\n";

fn copy(staging: &mut Staging<'_>, from: &str, to: &str, origin: &Origin) -> Result<(), StagingError> {
    match staging.read(from)? {
        Some(bytes) => staging.new_file(to, bytes, 0o644, Owner::ROOT, origin),
        None => Ok(()),
    }
}

/// `python3.X-minimal`: the directory that `pip` installs into, and the mark that this interpreter is configured.
fn python(staging: &mut Staging<'_>, name: &str, origin: &Origin) -> Result<(), StagingError> {
    let Some(version) = name.strip_prefix("python").and_then(|name| name.strip_suffix("-minimal")) else {
        return Ok(());
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !version.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor)) {
        return Ok(());
    }
    for path in ["", "/dist-packages"] {
        staging.directory(&format!("usr/local/lib/python{version}{path}"), 0o755, Owner::ROOT, origin)?;
    }
    staging.directory("var/lib/python", 0o755, Owner::ROOT, origin)?;
    staging.new_file(&format!("var/lib/python/python{version}_installed"), "", 0o644, Owner::ROOT, origin)
}

fn time_zone(staging: &mut Staging<'_>, package: &Deb, origin: &Origin) -> Result<(), StagingError> {
    staging.new_symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC", origin)?;
    // Until Debian 12.
    let script = package.info.get("postinst").map(|script| String::from_utf8_lossy(&script.bytes).into_owned());
    let writes = script
        .is_some_and(|script| script.contains("/etc/timezone") && !script.contains("-f \"$DPKG_ROOT/etc/timezone\""));
    match writes {
        true => staging.new_file("etc/timezone", "Etc/UTC\n", 0o644, Owner::ROOT, origin),
        false => Ok(()),
    }
}

/// The list of login shells, as update-shells(8) makes it: each shell as it is named, and as it really is.
fn shells(staging: &mut Staging<'_>, origin: &Origin) -> Result<(), StagingError> {
    let template = staging.text("usr/share/debianutils/shells")?.unwrap_or_default();
    let mut sources = vec![template.clone()];
    let directory = staging.view().resolve(&TreePath::parse("usr/share/debianutils/shells.d")?)?;
    let files: Vec<String> = staging
        .view()
        .below(&directory)
        .filter(|(_, node)| matches!(node.kind, NodeKind::File(_)))
        .map(|(path, _)| String::from_utf8_lossy(path.as_bytes()).into_owned())
        .collect();
    for file in files {
        sources.push(staging.text(&file)?.unwrap_or_default());
    }
    let shell = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let mut known: Vec<String> = Vec::new();
    for line in sources.iter().flat_map(|text| text.lines()).map(shell).filter(|line| line.starts_with('/')) {
        let (directory, name) = line.rsplit_once('/').unwrap_or(("", &line));
        let real = TreePath::parse(directory).ok().and_then(|path| staging.view().resolve(&path).ok());
        let real = real.map(|path| format!("/{}/{name}", String::from_utf8_lossy(path.as_bytes())));
        for shell in [Some(line.clone()), real].into_iter().flatten() {
            if !known.contains(&shell) {
                known.push(shell);
            }
        }
    }
    let (written, before) = match staging.text("etc/shells")? {
        Some(text) => (text, staging.text("var/lib/shells.state")?.unwrap_or_default()),
        None => (template, String::new()),
    };
    let before: BTreeSet<String> = before.lines().map(shell).collect();
    let mut text = String::new();
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for line in written.lines() {
        let name = shell(line);
        // Comments, shells of packages, and what somebody added.
        if name.is_empty() || ((known.contains(&name) || !before.contains(&name)) && listed.insert(name)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    for shell in known.iter().filter(|shell| !listed.contains(*shell) && !before.contains(*shell)) {
        text.push_str(&format!("{shell}\n"));
    }
    staging.file("etc/shells", text, 0o644, Owner::ROOT, origin)?;
    staging.directory("var/lib", 0o755, Owner::ROOT, origin)?;
    let state: String = known.iter().map(|shell| format!("{shell}\n")).collect();
    staging.file("var/lib/shells.state", state, 0o644, Owner::ROOT, origin)
}

/// A group's number; root's where there is no such group.
fn group(staging: &Staging<'_>, name: &str) -> Result<u32, StagingError> {
    let text = staging.text("etc/group")?.unwrap_or_default();
    Ok(numbers(&text).get(name).copied().unwrap_or(0))
}

fn nginx(staging: &mut Staging<'_>, origin: &Origin) -> Result<(), StagingError> {
    // adm and www-data, which Debian numbers for good.
    staging.set("var/log/nginx", 0o755, Owner::new(0, 4))?;
    for log in ["access.log", "error.log"] {
        staging.new_file(&format!("var/log/nginx/{log}"), "", 0o640, Owner::new(33, 4), origin)?;
    }
    if staging.exists("etc/nginx/sites-enabled") && staging.exists("etc/nginx/sites-available") {
        staging.new_symlink("etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default", origin)?;
    }
    staging.directory("var/www", 0o755, Owner::ROOT, origin)?;
    staging.directory("var/www/html", 0o755, Owner::ROOT, origin)?;
    copy(staging, "usr/share/nginx/html/index.html", "var/www/html/index.nginx-debian.html", origin)
}

fn redis(staging: &mut Staging<'_>, origin: &Origin) -> Result<(), StagingError> {
    let users = numbers(&staging.text("etc/passwd")?.unwrap_or_default());
    let Some(uid) = users.get("redis").copied() else { return Ok(()) };
    let gid = group(staging, "redis")?;
    staging.directory("var/lib/redis", 0o750, Owner::new(uid, gid), origin)?;
    staging.set("var/lib/redis", 0o750, Owner::new(uid, gid))?;
    staging.directory("var/log/redis", 0o2750, Owner::new(uid, 4), origin)?;
    staging.set("var/log/redis", 0o2750, Owner::new(uid, 4))?;
    for path in ["etc/redis/redis.conf", "etc/redis/sentinel.conf"] {
        staging.set(path, 0o640, Owner::new(uid, gid))?;
    }
    if staging.exists("etc/redis") {
        staging.set("etc/redis", 0o2770, Owner::new(uid, gid))?;
    }
    Ok(())
}

/// What its questions answer by default: hinting slight, no sub-pixels, no bitmaps.
fn fontconfig(staging: &mut Staging<'_>, origin: &Origin) -> Result<(), StagingError> {
    for name in [
        "10-hinting-slight.conf",
        "10-yes-antialias.conf",
        "11-lcdfilter-default.conf",
        "70-no-bitmaps-except-emoji.conf",
        "70-no-bitmaps.conf",
    ] {
        if staging.exists(&format!("usr/share/fontconfig/conf.avail/{name}")) && staging.exists("etc/fonts/conf.d") {
            staging.new_symlink(
                &format!("etc/fonts/conf.d/{name}"),
                &format!("/usr/share/fontconfig/conf.avail/{name}"),
                origin,
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Rootfs;

    #[test]
    fn shells_are_listed_by_both_names() {
        let origin = Origin::new("test");
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        staging.symlink("bin", "usr/bin", &origin).unwrap();
        let file = |staging: &mut Staging<'_>, path: &str, text: &str| {
            staging.file(path, text, 0o644, Owner::ROOT, &origin).unwrap();
        };
        file(&mut staging, "usr/share/debianutils/shells", "# comment\n/bin/sh\n");
        file(&mut staging, "usr/share/debianutils/shells.d/bash", "/bin/bash # x\n/usr/bin/bash\n");
        shells(&mut staging, &origin).unwrap();
        let expected = "# comment\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n";
        assert_eq!(staging.text("etc/shells").unwrap().unwrap(), expected);
        // What somebody took away stays away; what somebody added stays.
        file(&mut staging, "etc/shells", "/bin/sh\n/opt/mine\n");
        file(&mut staging, "usr/share/debianutils/shells.d/dash", "/usr/bin/dash\n");
        shells(&mut staging, &origin).unwrap();
        assert_eq!(staging.text("etc/shells").unwrap().unwrap(), "/bin/sh\n/opt/mine\n/usr/bin/dash\n");
    }

    #[test]
    fn pythons_directory() {
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        python(&mut staging, "python3.13-minimal", &Origin::new("test")).unwrap();
        python(&mut staging, "python3-minimal", &Origin::new("test")).unwrap();
        assert!(staging.exists("usr/local/lib/python3.13/dist-packages"));
        assert_eq!(staging.entries().filter(|(path, _)| path.as_bytes().ends_with(b"dist-packages")).count(), 1);
    }
}
