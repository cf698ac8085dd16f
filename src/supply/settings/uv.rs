//! uv's own settings, and where the program is.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use url::Url;

use super::indexes::{Indexes, tidy};
use super::{Reader, SettingsError, address};
use crate::net::Secret;
use crate::supply::credentials::Login;
use crate::supply::uv::{UvConf, UvIndex};

/// What the variable for the program is called.
pub(super) const UV: &str = "LAPSTRAKE_UV";

impl Reader<'_> {
    pub(super) fn uv_indexes(&mut self) -> Indexes {
        let place = "uv's settings";
        let conf = self.uv_conf();
        let listed = |name: &str| self.text(name).unwrap_or_default();
        let mut indexes: Vec<UvIndex> =
            listed("UV_INDEX").split_whitespace().map(|text| UvIndex::of_variable(text, false)).collect();
        indexes.extend(self.text("UV_DEFAULT_INDEX").map(|text| UvIndex::of_variable(&text, true)));
        let plain = |text: &str| UvIndex::of_variable(text, false).address;
        let mut extra: Vec<Secret> = listed("UV_EXTRA_INDEX_URL").split_whitespace().map(plain).collect();
        let index_url = self.text("UV_INDEX_URL").map(Secret::new);
        let default = |address| UvIndex { name: None, address, default: true, searched: true };
        indexes.extend(index_url.map(default));
        indexes.extend(conf.indexes);
        indexes.extend(conf.index.map(default));
        extra.extend(conf.extra);

        let mut found = Indexes::default();
        for index in indexes {
            self.logins_of_index(&index);
            let Some(address) = self.index(&index.address, place) else { continue };
            match index.default {
                _ if !index.searched => {}
                true => found.default = found.default.or(Some(address)),
                false => found.extra.push(address),
            }
        }
        let extra: Vec<Url> = extra.iter().filter_map(|text| self.index(text, place)).collect();
        found.extra.extend(extra);
        tidy(found)
    }

    fn uv_conf(&mut self) -> UvConf {
        let mut files = Vec::new();
        if let Some(file) = self.raw("UV_CONFIG_FILE") {
            files.push(PathBuf::from(file));
        } else if self.text("UV_NO_CONFIG").is_none_or(|word| matches!(word.as_str(), "0" | "false" | "no")) {
            files.extend(self.config_home().map(|home| home.join("uv/uv.toml")));
            let system = self.config_directories().into_iter().map(|directory| directory.join("uv/uv.toml"));
            let mut system = system.chain([PathBuf::from("/etc/uv/uv.toml")]);
            files.extend(system.find(|path| self.outside(path).exists()));
        }
        let mut conf = UvConf::default();
        for path in files {
            match self.file(&path).map(|text| UvConf::parse(&text)) {
                Some(Ok(found)) => conf = conf.or(found),
                Some(Err(error)) => self.pass_over(&path, error),
                None => {}
            }
        }
        conf
    }

    /// The login of a named index, where variables hold one; it comes before that in its address.
    fn logins_of_index(&mut self, index: &UvIndex) {
        let Some(address) = address(index.address.expose()) else { return };
        let get = |what| index.variable(what).and_then(|name| self.text(&name));
        let (user, password) = (get("USERNAME"), get("PASSWORD"));
        if user.is_some() || password.is_some() {
            let login = Login {
                user: Secret::new(user.unwrap_or_default()),
                password: Secret::new(password.unwrap_or_default()),
                found: "what uv reads for the index",
            };
            self.settings.credentials.add(&address, login);
        }
    }

    pub(super) fn uv(&mut self) -> Result<(), SettingsError> {
        let named = self.raw(UV).map(PathBuf::from);
        let name = match &named {
            Some(path) if path.is_absolute() => {
                self.settings.uv = Some(path.clone());
                return Ok(());
            }
            Some(name) if name.components().count() > 1 => {
                let reason = "names a program by a relative path: give an absolute one, or a name on PATH";
                return Err(SettingsError { variable: UV, reason });
            }
            Some(name) => name.clone(),
            None => PathBuf::from("uv"),
        };
        let on_path = self.raw("PATH").unwrap_or_default();
        let mut candidates: Vec<PathBuf> =
            std::env::split_paths(&on_path).filter(|path| path.is_absolute()).map(|path| path.join(&name)).collect();
        for below in [".local/bin", ".cargo/bin"] {
            candidates.extend(self.home().map(|home| home.join(below).join(&name)));
        }
        let runs = |path: &PathBuf| {
            std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        self.settings.uv = candidates.iter().map(|path| self.outside(path)).find(runs);
        match (named, &self.settings.uv) {
            (Some(_), None) => Err(SettingsError { variable: UV, reason: "names a program that is not on PATH" }),
            _ => Ok(()),
        }
    }
}
