//! Packages whose scripts have been read: what they amount to, by name.

use super::amounts::Amounts::{self, LeftOut, Native, Nothing};
use super::amounts::{BYTECODE, CACHES, DEBCONF, DEVICES, EDITORS, LOGS, PAM, SERVICES, TEMPORARY};

/// By name, sorted.
const PACKAGES: &[(&str, &[Amounts])] = &[
    ("adduser", &[Nothing]),
    ("base-files", &[Native("skeleton of base-files")]),
    ("base-passwd", &[Native("accounts")]),
    ("bash", &[Native("alternatives")]),
    ("binutils", &[Nothing]),
    ("ca-certificates", &[Native("CA bundle"), LeftOut(DEBCONF)]),
    ("coreutils", &[Nothing]),
    ("cron", &[Native("accounts"), LeftOut(SERVICES)]),
    ("cron-daemon-common", &[Native("accounts"), LeftOut(SERVICES)]),
    ("dash", &[Nothing]),
    ("dbus", &[LeftOut(SERVICES)]),
    ("dbus-daemon", &[LeftOut("machine id")]),
    ("dbus-system-bus-common", &[Native("accounts")]),
    ("debconf", &[LeftOut(DEBCONF)]),
    ("debian-archive-keyring", &[Nothing]),
    ("debianutils", &[Native("login shells"), Native("alternatives")]),
    ("dnsmasq-base", &[Native("accounts"), LeftOut(TEMPORARY)]),
    ("dpkg", &[Native("database of dpkg"), LeftOut(SERVICES)]),
    ("erlang-base", &[LeftOut(SERVICES)]),
    ("fontconfig", &[LeftOut(CACHES)]),
    ("fontconfig-config", &[Native("configuration of fonts"), LeftOut(DEBCONF)]),
    ("fonts-urw-base35", &[LeftOut(CACHES)]),
    ("git", &[Nothing]),
    ("gunicorn", &[Native("log directory")]),
    ("gzip", &[Nothing]),
    ("hicolor-icon-theme", &[LeftOut(CACHES)]),
    ("init-system-helpers", &[Nothing]),
    ("iproute2", &[LeftOut("capabilities of files"), LeftOut(DEBCONF)]),
    ("iputils-ping", &[Native("mode of ping")]),
    ("java-common", &[LeftOut("preferences of Java's system")]),
    ("kmod", &[LeftOut(DEVICES)]),
    ("krb5-user", &[Native("alternatives")]),
    ("libc-bin", &[Native("nsswitch.conf"), Native("ld.so.cache")]),
    ("libc6", &[Native("ld.so.cache")]),
    ("libdebuginfod-common", &[LeftOut(DEBCONF)]),
    ("libgcrypt20", &[Nothing]),
    ("libgdk-pixbuf-2.0-0", &[LeftOut(CACHES)]),
    ("libglib2.0-0", &[LeftOut(CACHES)]),
    ("libglib2.0-0t64", &[LeftOut(CACHES)]),
    ("libgssapi-krb5-2", &[Native("ld.so.cache")]),
    ("libgstreamer1.0-0", &[LeftOut("capabilities of files")]),
    ("libgtk-3-0", &[LeftOut(CACHES)]),
    ("libgtk-3-0t64", &[LeftOut(CACHES)]),
    ("libgtk-4-1", &[LeftOut(CACHES)]),
    ("libnewt0.52", &[Nothing]),
    ("libnss-ldapd", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-libvirt", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-mdns", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-myhostname", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-mymachines", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-resolve", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-sss", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-systemd", &[LeftOut("name services beyond files and DNS")]),
    ("libnss-winbind", &[LeftOut("name services beyond files and DNS")]),
    ("libpam-modules", &[LeftOut(PAM)]),
    ("libpam-modules-bin", &[LeftOut(SERVICES), LeftOut(PAM)]),
    ("libpam-runtime", &[LeftOut(PAM), LeftOut(DEBCONF)]),
    ("libpam0g", &[Native("ld.so.cache"), LeftOut(PAM)]),
    ("libpaper1", &[LeftOut("/etc/papersize"), Native("ld.so.cache")]),
    ("libreadline8t64", &[Native("ld.so.cache")]),
    ("libsensors5", &[LeftOut(DEVICES)]),
    ("libtirpc3", &[Native("ld.so.cache")]),
    ("libtirpc3t64", &[Native("ld.so.cache")]),
    ("libwrap0", &[LeftOut("empty lists of hosts"), Native("ld.so.cache")]),
    ("libwtmpdb0", &[LeftOut(LOGS)]),
    ("linux-libc-dev", &[Nothing]),
    ("locales", &[LeftOut("locales beyond C.UTF-8, which `locales-all` has"), LeftOut(DEBCONF)]),
    ("login", &[LeftOut(LOGS)]),
    ("login.defs", &[Nothing]),
    ("mailcap", &[LeftOut("/etc/mailcap")]),
    ("mariadb-common", &[Native("alternatives")]),
    ("memcached", &[Native("accounts"), LeftOut(SERVICES)]),
    ("mysql-common", &[Native("alternatives")]),
    ("netbase", &[LeftOut("/etc/hosts and /etc/networks, which the runtime has")]),
    ("nginx", &[LeftOut(SERVICES)]),
    ("nginx-common", &[Native("default site and logs of nginx"), LeftOut(SERVICES), LeftOut(DEBCONF)]),
    ("openssh-client", &[Native("accounts"), Native("owner of ssh-agent")]),
    ("openssh-server", &[Native("sshd_config"), Native("accounts"), LeftOut("host keys"), LeftOut(SERVICES)]),
    ("openssl", &[Nothing]),
    ("passwd", &[Native("accounts")]),
    ("pkgconf-bin", &[Nothing]),
    ("poppler-data", &[LeftOut(CACHES)]),
    ("procps", &[Native("alternatives"), LeftOut(SERVICES), LeftOut(DEVICES)]),
    ("python3", &[Native("configuration of Python"), LeftOut(BYTECODE)]),
    ("python3-distutils", &[LeftOut(BYTECODE)]),
    ("python3-lib2to3", &[LeftOut(BYTECODE)]),
    ("readline-common", &[Native("inputrc")]),
    ("redis-server", &[Native("owners of redis"), LeftOut(SERVICES)]),
    ("redis-tools", &[Native("accounts"), Native("owners of redis")]),
    ("rsyslog", &[Native("mode of rsyslog's directory"), LeftOut(SERVICES)]),
    ("ssl-cert", &[Native("accounts"), LeftOut("a certificate of the machine's own, with its key")]),
    ("sudo", &[Native("mode of sudoers")]),
    ("systemd", &[Native("accounts"), LeftOut(SERVICES), LeftOut("machine id"), LeftOut(LOGS), LeftOut(TEMPORARY)]),
    ("systemd-sysv", &[LeftOut(DEVICES)]),
    ("tmux", &[LeftOut("/etc/shells")]),
    ("tzdata", &[Native("time zone"), LeftOut(DEBCONF)]),
    ("ucf", &[Nothing]),
    ("udev", &[Native("accounts"), LeftOut(DEVICES), LeftOut(SERVICES), LeftOut(TEMPORARY)]),
    ("unattended-upgrades", &[LeftOut("settings of unattended upgrades"), LeftOut(SERVICES)]),
    ("unzip", &[LeftOut("/etc/mailcap")]),
    ("usr-is-merged", &[Nothing]),
    ("usrmerge", &[Native("merged /usr")]),
    ("util-linux-extra", &[LeftOut(SERVICES)]),
    ("uuid-runtime", &[Native("accounts"), LeftOut(SERVICES)]),
    ("vim-runtime", &[LeftOut(EDITORS)]),
    ("wireless-regdb", &[Native("alternatives")]),
    ("xfonts-utils", &[LeftOut(CACHES)]),
    ("xz-utils", &[Native("alternatives")]),
];

/// Packages whose names hold a version: start, the versions that there are or have been, end.
const VERSIONED: &[(&str, &[&str], &str, &[Amounts])] = &[
    ("libpython3.", PYTHON, "-minimal", &[LeftOut(BYTECODE)]),
    ("libpython3.", PYTHON, "-stdlib", &[LeftOut(BYTECODE)]),
    ("postgresql-client-", POSTGRESQL, "", &[LeftOut("links to manual pages of PostgreSQL")]),
    ("python3.", PYTHON, "", &[LeftOut(BYTECODE)]),
    ("python3.", PYTHON, "-minimal", &[Native("Python's directories"), LeftOut(BYTECODE)]),
];

const PYTHON: &[&str] = &["9", "11", "12", "13", "14"];
const POSTGRESQL: &[&str] = &["13", "15", "16", "17", "18"];

/// Whether this is a version of Python as programs have it in their names, `3.13`.
pub(super) fn is_python(version: &str) -> bool {
    version.strip_prefix("3.").is_some_and(|minor| PYTHON.contains(&minor))
}

/// What is known of a package.
pub(super) fn known(name: &str) -> Option<&'static [Amounts]> {
    if let Ok(at) = PACKAGES.binary_search_by(|(other, _)| (*other).cmp(name)) {
        return Some(PACKAGES[at].1);
    }
    let fits = |(start, versions, end, _): &&(&str, &[&str], &str, &[Amounts])| {
        let version = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        version.is_some_and(|version| versions.contains(&version))
    };
    VERSIONED.iter().find(fits).map(|(_, _, _, amounts)| *amounts)
}

#[cfg(test)]
mod tests {
    use super::super::super::dependency::is_package_name;
    use super::*;

    #[test]
    fn it_is_sorted_and_of_names() {
        for pair in PACKAGES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} and {}", pair[0].0, pair[1].0);
        }
        assert!(PACKAGES.iter().all(|(name, amounts)| is_package_name(name) && !amounts.is_empty()));
    }

    #[test]
    fn names_that_only_begin_like_one_are_not_known() {
        for name in ["python3.13", "python3.13-minimal", "libpython3.11-stdlib", "postgresql-client-17", "bash"] {
            assert!(known(name).is_some(), "{name}");
        }
        for name in [
            "python3.99",
            "python3.",
            "python3.-minimal",
            "python3.13-evil",
            "libnss-evil",
            "postgresql-client-99",
            "linux-libc-dev-evil",
            "libgtk-evil",
            "bash-evil",
            "libglib2.0-0evil",
        ] {
            assert!(known(name).is_none(), "{name}");
        }
    }
}
