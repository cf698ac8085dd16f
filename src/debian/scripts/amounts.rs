//! What a script, or a part of one, amounts to on a fresh install.

/// What one command, section or package amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amounts {
    /// Nothing on a fresh install.
    Nothing,
    /// Done natively.
    Native(&'static str),
    /// Known, and left out.
    LeftOut(&'static str),
}

pub(super) const SERVICES: &str = "links that start services";
pub(super) const BYTECODE: &str = "compiled Python files";
pub(super) const CACHES: &str = "caches of desktops";
pub(super) const DEBCONF: &str = "answers of debconf";
pub(super) const PAM: &str = "PAM profiles";
pub(super) const DEVICES: &str = "settings of devices and kernels";
pub(super) const APPARMOR: &str = "AppArmor profiles";
pub(super) const TEMPORARY: &str = "what is made at boot";
pub(super) const LOCAL: &str = "empty directories under /usr/local";
pub(super) const LOGS: &str = "log files and their owners";
pub(super) const EDITORS: &str = "compiled files of editors";
pub(super) const CATALOGUES: &str = "catalogues of SGML";
