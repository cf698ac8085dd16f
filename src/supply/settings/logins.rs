//! Logins of apt's `auth.conf` and of a netrc.

use std::path::{Path, PathBuf};

use super::Reader;
use crate::supply::netrc::{self, NetrcForm};

impl Reader<'_> {
    // --- logins ---

    pub(super) fn logins(&mut self) {
        let mut files = vec![PathBuf::from("/etc/apt/auth.conf")];
        files.extend(self.files_of(Path::new("/etc/apt/auth.conf.d"), &[".conf"]));
        for path in files {
            match self.file(&path).map(|text| netrc::parse(&text, NetrcForm::Apt)) {
                Some(Ok(entries)) => self.settings.credentials.add_apt(entries),
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        let netrc = self.raw("NETRC").map(PathBuf::from).or_else(|| Some(self.home()?.join(".netrc")));
        let Some(path) = netrc else { return };
        match self.file(&path).map(|text| netrc::parse(&text, NetrcForm::Netrc)) {
            Some(Ok(entries)) => self.settings.credentials.add_netrc(entries),
            Some(Err(error)) => self.pass_over(&path, error),
            None => {}
        }
    }
}
