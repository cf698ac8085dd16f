//! uv's configuration files (`uv.toml`), as far as they name indexes.

use serde::Deserialize;

use crate::net::Secret;

/// What a `uv.toml` says of indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UvConf {
    /// `[[index]]`, in order.
    pub indexes: Vec<UvIndex>,
    /// `index-url`; that of `[pip]` where there is one.
    pub index: Option<Secret>,
    /// `extra-index-url`; those of `[pip]` where there are some.
    pub extra: Vec<Secret>,
}

/// An index of a list. Its address may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UvIndex {
    /// Its name, by which variables name its credentials.
    pub name: Option<String>,
    /// Where it is.
    pub address: Secret,
    /// Whether it stands in the place of the built-in one.
    pub default: bool,
    /// Whether anything is looked for there that does not name it, and its pages are those of an index.
    pub searched: bool,
}

impl UvIndex {
    /// From `URL` or `NAME=URL`, as in `UV_INDEX` and `UV_DEFAULT_INDEX`.
    pub fn of_variable(text: &str, default: bool) -> Self {
        let named = text.split_once('=').filter(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        });
        let (name, address) = named.map_or((None, text), |(name, address)| (Some(name.to_owned()), address));
        UvIndex { name, address: Secret::new(address), default, searched: true }
    }

    /// The variable for its user name; with `PASSWORD` that for its password.
    pub fn variable(&self, what: &str) -> Option<String> {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        Some(format!("UV_INDEX_{}_{what}", self.name.as_ref()?.chars().map(letter).collect::<String>()))
    }
}

/// Why such a file cannot be read. Nothing of what it holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not as in a `uv.toml`")]
pub struct UvConfError {
    /// The line, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raw {
    #[serde(default)]
    index: Vec<RawIndex>,
    index_url: Option<String>,
    extra_index_url: Option<Vec<String>>,
    #[serde(default)]
    pip: RawPip,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawIndex {
    name: Option<String>,
    url: String,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    explicit: bool,
    format: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPip {
    index_url: Option<String>,
    extra_index_url: Option<Vec<String>>,
}

impl UvConf {
    /// Reads a file. What is not about indexes is passed over.
    ///
    /// # Errors
    /// [`UvConfError`].
    pub fn parse(text: &str) -> Result<Self, UvConfError> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start.min(text.len()));
            UvConfError { line: 1 + text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() }
        })?;
        let index = |raw: RawIndex| UvIndex {
            name: raw.name,
            address: Secret::new(raw.url),
            default: raw.default,
            searched: !raw.explicit && raw.format.is_none_or(|format| format == "simple"),
        };
        let extra = raw.pip.extra_index_url.or(raw.extra_index_url).unwrap_or_default();
        Ok(UvConf {
            indexes: raw.index.into_iter().map(index).collect(),
            index: raw.pip.index_url.or(raw.index_url).map(Secret::new),
            extra: extra.into_iter().map(Secret::new).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_and_the_rest_is_passed_over() {
        let text = "native-tls = true\nextra-index-url = [\"https://example.com/extra\"]\n\
                    [[index]]\nname = \"company.one\"\nurl = \"https://me:pass@example.com/one\"\n\
                    [[index]]\nurl = \"https://example.com/main\"\ndefault = true\n\
                    [[index]]\nname = \"torch\"\nurl = \"https://example.com/torch\"\nexplicit = true\n\
                    [[index]]\nurl = \"https://example.com/flat\"\nformat = \"flat\"\n\
                    [pip]\nindex-url = \"https://example.com/pip\"\nstrict = true\n";
        let conf = UvConf::parse(text).unwrap();
        let shown: Vec<_> =
            conf.indexes.iter().map(|index| (index.address.expose(), index.default, index.searched)).collect();
        assert_eq!(
            shown,
            [
                ("https://me:pass@example.com/one", false, true),
                ("https://example.com/main", true, true),
                ("https://example.com/torch", false, false),
                ("https://example.com/flat", false, false),
            ]
        );
        assert_eq!(conf.indexes[0].variable("USERNAME").unwrap(), "UV_INDEX_COMPANY_ONE_USERNAME");
        assert_eq!(conf.index, Some(Secret::new("https://example.com/pip")));
        assert_eq!(conf.extra, [Secret::new("https://example.com/extra")]);
        assert!(!format!("{conf:?}").contains("pass"));
    }

    #[test]
    fn variables_may_name_an_index() {
        for (text, name, address) in [
            ("https://example.com/simple", None, "https://example.com/simple"),
            ("company=https://example.com/simple", Some("company"), "https://example.com/simple"),
            ("https://example.com/?a=b", None, "https://example.com/?a=b"),
        ] {
            let index = UvIndex::of_variable(text, false);
            assert_eq!((index.name.as_deref(), index.address.expose()), (name, address));
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line_alone() {
        for (text, line) in [
            ("a = 1\nindex-url = \"https://me:hunter22@x", 2),
            ("index-url = 7", 1),
            ("\n[[index]]\nname = \"hunter22\"\n", 2),
            ("a = 1\nhunter22", 2),
        ] {
            let error = UvConf::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("hunter22"));
        }
    }
}
