//! pip's configuration files, as far as they name indexes.

use crate::net::Secret;

/// What a `pip.conf` says of indexes. The addresses may hold passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipConf {
    /// `index-url` of `[global]` and of `[install]`.
    pub index: Sections<Secret>,
    /// `extra-index-url` of both, in order.
    pub extra: Sections<Vec<Secret>>,
}

/// A value in each of the two sections that say where `pip install` looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections<T> {
    /// `[global]`.
    pub global: Option<T>,
    /// `[install]`, which is stronger.
    pub install: Option<T>,
}

impl<T> Default for Sections<T> {
    fn default() -> Self {
        Sections { global: None, install: None }
    }
}

impl<T> Sections<T> {
    /// These values where there are some, else those of `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Sections { global: self.global.or(weaker.global), install: self.install.or(weaker.install) }
    }

    /// The same with other values.
    #[must_use]
    pub fn map<U>(self, change: impl Fn(T) -> U) -> Sections<U> {
        Sections { global: self.global.map(&change), install: self.install.map(&change) }
    }

    /// The one that counts.
    pub fn strongest(self) -> Option<T> {
        self.install.or(self.global)
    }
}

/// Why such a file cannot be read. Nothing of what it holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither a section nor of the form `name = value`")]
pub struct PipError {
    /// The line, from 1.
    pub line: usize,
}

impl PipConf {
    /// Reads a file, as Python's `configparser` does.
    ///
    /// # Errors
    /// [`PipError`].
    pub fn parse(text: &str) -> Result<Self, PipError> {
        let mut section = None;
        let mut values: Vec<(String, String, String)> = Vec::new();
        // How far the name is indented that lines below may belong to.
        let mut indent = None;
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.starts_with(['#', ';']) {
                continue;
            }
            if trimmed.is_empty() {
                continue;
            }
            let own_indent = line.len() - line.trim_start().len();
            if indent.is_some_and(|indent| own_indent > indent) {
                if let Some((_, _, value)) = values.last_mut() {
                    value.push('\n');
                    value.push_str(trimmed);
                }
                continue;
            }
            let wrong = PipError { line: number + 1 };
            if let Some(name) = trimmed.strip_prefix('[') {
                section = Some(name.split_once(']').ok_or(wrong)?.0.to_owned());
                indent = None;
                continue;
            }
            let section = section.clone().ok_or(wrong)?;
            let at = trimmed.find(['=', ':']).filter(|at| *at > 0).ok_or(wrong)?;
            let name = trimmed[..at].trim_end().to_lowercase().replace('_', "-");
            let name = name.strip_prefix("--").unwrap_or(&name).to_owned();
            values.push((section, name, trimmed[at + 1..].trim_start().to_owned()));
            indent = Some(own_indent);
        }
        let find = |section: &str, name: &str| {
            let found = values.iter().rev().find(|value| value.0 == section && value.1 == name);
            found.map(|(_, _, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let list = |value: &str| value.split_whitespace().map(Secret::new).collect();
        let both = |name| Sections { global: find("global", name), install: find("install", name) };
        let (index, extra) = (both("index-url"), both("extra-index-url"));
        Ok(PipConf {
            index: Sections { global: index.global.map(Secret::new), install: index.install.map(Secret::new) },
            extra: Sections { global: extra.global.map(list), install: extra.install.map(list) },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn indexes_are_found_as_pip_finds_them() {
        let text = "# first\n[global]\ntimeout: 60\nIndex_URL = https://me:pass@example.com/simple\n\n\
                    extra-index-url =\n    https://example.com/a\n    # not this\n    https://example.com/b\n\
                    [install]\nextra-index-url: https://example.com/c https://example.com/d\n[list]\nindex-url = x\n";
        let conf = PipConf::parse(text).unwrap();
        let secrets = |list: &[&str]| list.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>();
        assert_eq!(conf.index.clone().strongest(), Some(Secret::new("https://me:pass@example.com/simple")));
        assert_eq!(conf.extra.global, Some(secrets(&["https://example.com/a", "https://example.com/b"])));
        assert_eq!(conf.extra.clone().strongest(), Some(secrets(&["https://example.com/c", "https://example.com/d"])));
        assert!(!format!("{conf:?}").contains("pass"));
        let stronger = PipConf::parse("[global]\nindex-url = https://example.com/user").unwrap();
        assert_eq!(stronger.index.or(conf.index).strongest(), Some(Secret::new("https://example.com/user")));
        let indented = PipConf::parse("[global]\n  index-url = https://h/\n  trusted-host = h\n   i\n").unwrap();
        assert_eq!(indented.index.global, Some(Secret::new("https://h/")));
        assert_eq!(PipConf::parse("").unwrap(), PipConf::default());
        assert_eq!(PipConf::parse("[global]\nindex-url =\n").unwrap(), PipConf::default());
    }

    #[test]
    fn what_is_wrong_is_told_by_line_alone() {
        for (text, line) in [
            ("index-url = https://me:hunter22@x/", 1),
            ("[global\n", 1),
            ("[global]\n\nhunter22\n", 3),
            ("[global]\n= hunter22\n", 2),
        ] {
            let error = PipConf::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("hunter22"));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[\\[\\]=:\n #;]|index-url){0,60}") {
            let _ = PipConf::parse(&text);
        }
    }
}
