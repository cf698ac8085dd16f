//! pip's settings.

use std::path::PathBuf;

use super::indexes::{Indexes, tidy};
use super::{Reader, Unusable, shown};
use crate::net::Secret;
use crate::supply::pip::{PipConf, Sections};

/// A value with the variable or file that says it.
type Said<T> = Sections<(T, String)>;

impl Reader<'_> {
    pub(super) fn pip_indexes(&mut self) -> Indexes {
        let mut found = Indexes::default();
        let (index, extra) = self.pip_conf(&mut found.unusable);
        let variable = |name: &str| Some((Secret::new(self.text(name)?), name.to_owned()));
        let index = variable("PIP_INDEX_URL").or(index.strongest());
        let listed = |(list, place): (Secret, String)| {
            (list.expose().split_whitespace().map(Secret::new).collect::<Vec<_>>(), place)
        };
        let extra = variable("PIP_EXTRA_INDEX_URL").map(listed).or(extra.strongest());
        if let Some((text, place)) = index {
            let address = self.address(text.expose());
            found.default = found.understood(address, &place);
        }
        let (extra, place) = extra.unwrap_or_default();
        for text in extra {
            let address = self.address(text.expose());
            let address = found.understood(address, &place);
            found.extra.extend(address);
        }
        tidy(found)
    }

    /// The index and the further ones of all files.
    fn pip_conf(&mut self, unusable: &mut Vec<Unusable>) -> (Said<Secret>, Said<Vec<Secret>>) {
        let (mut index, mut extra) = (Sections::default(), Sections::default());
        if self.raw("PIP_CONFIG_FILE").is_some_and(|path| path == "/dev/null") {
            return (index, extra);
        }
        let named = self.named_file("PIP_CONFIG_FILE", unusable);
        let mut files: Vec<PathBuf> = Vec::new();
        files.extend(self.directory("VIRTUAL_ENV").map(|directory| directory.join("pip.conf")));
        match named {
            // pip leaves the user's own files out then.
            Some(path) if self.outside(&path).exists() => files.insert(0, path),
            _ => {
                files.extend(self.config_home().map(|home| home.join("pip/pip.conf")));
                files.extend(self.home().map(|home| home.join(".pip/pip.conf")));
            }
        }
        files.push("/etc/pip.conf".into());
        files.extend(self.config_directories().into_iter().map(|directory| directory.join("pip/pip.conf")));
        for path in files {
            let found = self.index_file(&path, PipConf::parse, unusable).unwrap_or_default();
            index = index.or(found.index.map(|value| (value, shown(&path))));
            extra = extra.or(found.extra.map(|value| (value, shown(&path))));
        }
        (index, extra)
    }
}
