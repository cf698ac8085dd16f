//! Names of Python packages (packaging specifications, "Names and normalization"; PEP 503, PEP 508).

use std::fmt;
use std::str::FromStr;

use crate::shown::Shown;

/// The normalised name of a package: lower case, runs of `-`, `_` and `.` written as one `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

/// Why a text is no name of a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no name of a Python package: ASCII letters, digits, `.`, `_` and `-`, with a letter or digit at either end"
)]
pub struct PackageNameError(Shown);

impl PackageName {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as file names write it, with `_` for `-`.
    pub fn escaped(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for PackageName {
    type Err = PackageNameError;

    fn from_str(text: &str) -> Result<Self, PackageNameError> {
        let bytes = text.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if bytes.len() > 200 || !edge(bytes.first()) || !edge(bytes.last()) || !bytes.iter().all(inner) {
            return Err(PackageNameError(Shown::new(bytes)));
        }
        let mut name = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '.' | '_' | '-' if name.ends_with('-') => {}
                '.' | '_' | '-' => name.push('-'),
                c => name.push(c.to_ascii_lowercase()),
            }
        }
        Ok(PackageName(name))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (text, name) in [
            ("Flask", "flask"),
            ("zope.interface", "zope-interface"),
            ("a-_.B", "a-b"),
            ("ruamel_yaml", "ruamel-yaml"),
            ("3", "3"),
        ] {
            assert_eq!(text.parse::<PackageName>().unwrap().as_str(), name);
        }
        for bad in ["", "-a", "a-", "_", "a b", "é", "a/b", "../x", "a\0", "a\n"] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad:?}");
        }
    }
}
