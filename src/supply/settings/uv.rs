//! uv's own settings, and where the program is.

use std::path::PathBuf;

use super::indexes::{Indexes, tidy};
use super::{Reader, SettingsError, Unusable, address, shown};
use crate::net::Secret;
use crate::programs::{directories, is_program};
use crate::supply::credentials::Login;
use crate::supply::uv::{UvConf, UvIndex};

/// What the variable for the program is called.
pub(super) const UV: &str = "LAPSTRAKE_UV";

impl Reader<'_> {
    pub(super) fn uv_indexes(&mut self) -> Indexes {
        let mut found = Indexes::default();
        let files = self.uv_conf(&mut found.unusable);
        let listed = |name: &str| self.text(name).unwrap_or_default();
        let default = |address| UvIndex { name: None, address, default: true, searched: true };
        // Each with the variable or file that says so.
        let mut indexes: Vec<(UvIndex, &str)> = Vec::new();
        let list = listed("UV_INDEX");
        indexes.extend(list.split_whitespace().map(|text| (UvIndex::of_variable(text, false), "UV_INDEX")));
        let text = self.text("UV_DEFAULT_INDEX");
        indexes.extend(text.map(|text| (UvIndex::of_variable(&text, true), "UV_DEFAULT_INDEX")));
        let text = self.text("UV_INDEX_URL");
        indexes.extend(text.map(|text| (default(Secret::new(text)), "UV_INDEX_URL")));
        for (conf, path) in &files {
            indexes.extend(conf.indexes.iter().map(|index| (index.clone(), &**path)));
        }
        for (conf, path) in &files {
            indexes.extend(conf.index.iter().map(|address| (default(address.clone()), &**path)));
        }
        let list = listed("UV_EXTRA_INDEX_URL");
        let plain = |text: &str| UvIndex { default: false, ..default(UvIndex::of_variable(text, false).address) };
        indexes.extend(list.split_whitespace().map(|text| (plain(text), "UV_EXTRA_INDEX_URL")));
        for (conf, path) in &files {
            let extra = |address: &Secret| UvIndex { default: false, ..default(address.clone()) };
            indexes.extend(conf.extra.iter().map(|address| (extra(address), &**path)));
        }
        for (index, place) in indexes {
            self.logins_of_index(&index);
            let address = self.address(index.address.expose());
            match index.default {
                _ if !index.searched => {}
                true if found.default.is_some() => {}
                true => found.default = found.understood(address, place),
                false => {
                    let address = found.understood(address, place);
                    found.extra.extend(address);
                }
            }
        }
        tidy(found)
    }

    /// What the files say, the strongest first.
    fn uv_conf(&mut self, unusable: &mut Vec<Unusable>) -> Vec<(UvConf, String)> {
        let mut files = Vec::new();
        if let Some(file) = self.named_file("UV_CONFIG_FILE", unusable) {
            files.push(file);
        } else if self.text("UV_NO_CONFIG").is_none_or(|word| matches!(word.as_str(), "0" | "false" | "no")) {
            files.extend(self.config_home().map(|home| home.join("uv/uv.toml")));
            let system = self.config_directories().into_iter().map(|directory| directory.join("uv/uv.toml"));
            let mut system = system.chain([PathBuf::from("/etc/uv/uv.toml")]);
            files.extend(system.find(|path| self.outside(path).exists()));
        }
        let mut read = |path: PathBuf| Some((self.index_file(&path, UvConf::parse, unusable)?, shown(&path)));
        files.into_iter().filter_map(&mut read).collect()
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
        let mut candidates: Vec<PathBuf> = directories(&on_path).map(|path| path.join(&name)).collect();
        for below in [".local/bin", ".cargo/bin"] {
            candidates.extend(self.home().map(|home| home.join(below).join(&name)));
        }
        self.settings.uv = candidates.iter().map(|path| self.outside(path)).find(|path| is_program(path));
        match (named, &self.settings.uv) {
            (Some(_), None) => Err(SettingsError { variable: UV, reason: "names a program that is not on PATH" }),
            _ => Ok(()),
        }
    }
}
