//! Packages that the Python index has as source only, and Debian ready to use: for errors that help.

use super::PackageName;

/// Normalised names with the Debian packages that hold the same, sorted.
const TABLE: &[(&str, &str)] = &[
    ("crcmod", "python3-crcmod"),
    ("docopt", "python3-docopt"),
    ("feedparser", "python3-feedparser"),
    ("fasttext", "python3-fasttext"),
    ("gssapi", "python3-gssapi"),
    ("jsmin", "python3-jsmin"),
    ("langdetect", "python3-langdetect"),
    ("mysqlclient", "python3-mysqldb"),
    ("odfpy", "python3-odf"),
    ("psycopg2", "python3-psycopg2"),
    ("pyaudio", "python3-pyaudio"),
    ("pycairo", "python3-cairo"),
    ("pygobject", "python3-gi"),
    ("python-ldap", "python3-ldap"),
    ("sgmllib3k", "python3-sgmllib3k"),
    ("uwsgi", "uwsgi-plugin-python3"),
];

/// The Debian package that has this Python package, where one is known.
pub fn debian_name(name: &PackageName) -> Option<&'static str> {
    TABLE.iter().find(|(python, _)| *python == name.as_str()).map(|(_, debian)| *debian)
}

/// What to do about a package that has no wheel that fits.
pub fn advice(name: &PackageName, version: Option<&str>) -> String {
    let wanted = version.map_or_else(|| name.to_string(), |version| format!("{name}=={version}"));
    let mut text = format!(
        "make one with `pip wheel --no-deps {wanted}` on a machine like the image, and name it in `wheels` of the recipe"
    );
    if let Some(debian) = debian_name(name) {
        text.push_str(&format!("; or take Debian's package `{debian}` in a `debian` layer"));
    }
    if name.as_str() == "psycopg2" {
        text.push_str("; or ask for `psycopg2-binary`");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_of_normal_names() {
        for (python, debian) in TABLE {
            let name: PackageName = python.parse().unwrap();
            assert_eq!(name.as_str(), *python);
            assert_eq!(debian_name(&name), Some(*debian));
        }
        assert_eq!(debian_name(&"flask".parse().unwrap()), None);
        let text = advice(&"psycopg2".parse().unwrap(), Some("2.9"));
        assert!(text.contains("psycopg2==2.9") && text.contains("python3-psycopg2") && text.contains("-binary"));
    }
}
