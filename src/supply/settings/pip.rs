//! pip's settings.

use std::path::{Path, PathBuf};

use super::Reader;
use super::indexes::{Indexes, tidy};
use crate::net::Secret;
use crate::supply::pip::PipConf;

impl Reader<'_> {
    pub(super) fn pip_indexes(&mut self) -> Indexes {
        let place = "pip's settings";
        let conf = self.pip_conf();
        let index = self.text("PIP_INDEX_URL").map(Secret::new).or(conf.index.strongest());
        let extra = match self.text("PIP_EXTRA_INDEX_URL") {
            Some(list) => list.split_whitespace().map(Secret::new).collect(),
            None => conf.extra.strongest().unwrap_or_default(),
        };
        let default = index.and_then(|text| self.index(&text, place));
        let extra = extra.iter().filter_map(|text| self.index(text, place)).collect();
        tidy(Indexes { default, extra })
    }

    fn pip_conf(&mut self) -> PipConf {
        let named = self.raw("PIP_CONFIG_FILE").map(PathBuf::from);
        if named.as_deref() == Some(Path::new("/dev/null")) {
            return PipConf::default();
        }
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
        let mut conf = PipConf::default();
        for path in files {
            match self.file(&path).map(|text| PipConf::parse(&text)) {
                Some(Ok(found)) => {
                    conf = PipConf { index: conf.index.or(found.index), extra: conf.extra.or(found.extra) };
                }
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        conf
    }
}
