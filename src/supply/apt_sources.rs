//! apt's lists of sources (sources.list(5)), as far as they say where archives are.

use url::Url;

use crate::net::Secret;

/// An entry: one address, and what is taken from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// The address as it is written: it may hold a password, and lead to a list of mirrors (`mirror+file:`).
    pub address: Secret,
    /// Its suites.
    pub suites: Vec<String>,
}

/// The archives that an address with these suites stands for: by the last part of its path, and by suites that are
/// Debian's security updates wherever they lie.
pub fn archives(address: &Url, suites: &[String]) -> Vec<String> {
    let last = address.path_segments().and_then(|parts| parts.rev().find(|part| !part.is_empty()));
    let named = last.unwrap_or_default().to_ascii_lowercase();
    let is_security = |suite: &String| suite.ends_with("-security") || suite.ends_with("/updates");
    let mut archives = Vec::new();
    if !named.is_empty() && (named == SECURITY || suites.is_empty() || !suites.iter().all(is_security)) {
        archives.push(named.clone());
    }
    if named != SECURITY && suites.iter().any(is_security) {
        archives.push(SECURITY.to_owned());
    }
    archives
}

/// The archive of Debian's security updates.
pub const SECURITY: &str = "debian-security";

/// The entries for binary packages of a `.list` file, one a line. Lines that apt would not understand are passed over.
pub fn of_lines(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(of_line).collect()
}

fn of_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_ascii_whitespace();
    let address = Secret::new(words.next()?);
    let suite = words.next()?.to_owned();
    Some(AptSource { address, suites: vec![suite] })
}

/// The entries for binary packages of a `.sources` file, in stanzas (deb822). Stanzas that are switched off, or that apt
/// would not understand, are passed over.
pub fn of_stanzas(text: &str) -> Vec<AptSource> {
    let mut sources = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    // Comments are nowhere, not even between a field and its further lines.
    for line in text.lines().map(str::trim_end).filter(|line| !line.starts_with('#')).chain([""]) {
        if line.is_empty() {
            sources.extend(of_stanza(&stanza));
            stanza.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.to_owned()));
        }
    }
    sources
}

fn of_stanza(stanza: &[(String, String)]) -> Vec<AptSource> {
    let words = |wanted: &str| {
        let field = stanza.iter().find(|(name, _)| name == wanted);
        field
            .map(|(_, value)| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let off = words("enabled").first().is_some_and(|word| {
        matches!(word.to_ascii_lowercase().as_str(), "no" | "false" | "without" | "off" | "disable" | "0")
    });
    if off || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let suites = words("suites");
    words("uris").into_iter().map(|uri| AptSource { address: Secret::new(uri), suites: suites.clone() }).collect()
}

/// The addresses in a list of mirrors, the first one first: what `mirror+file:` leads to. What stands behind an address
/// on its line is about it.
pub fn of_mirrors(text: &str) -> Vec<Secret> {
    let addresses = text.lines().filter_map(|line| line.split('#').next()?.split_ascii_whitespace().next());
    addresses.map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(sources: Vec<AptSource>) -> Vec<String> {
        sources.iter().map(|source| format!("{} {}", source.address.expose(), source.suites.join(" "))).collect()
    }

    #[test]
    fn lines_name_addresses_and_suites() {
        let text = "# deb http://example.com/off a main\n\
                    deb http://example.com/debian trixie main contrib # why not\n\
                    deb-src http://example.com/debian trixie main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://me:pass@example.com/debian\ttrixie-updates main\n\
                    deb [ trusted=yes ] http://example.com/flat ./\n\
                    deb[lang=en] http://example.com/close trixie main\n\
                    debt http://example.com/x y z\n\
                    deb http://example.com/alone\n\
                    deb [broken http://example.com/x y z\n\
                    deb\n\n";
        assert_eq!(
            shown(of_lines(text)),
            [
                "http://example.com/debian trixie",
                "https://me:pass@example.com/debian trixie-updates",
                "http://example.com/flat ./",
                "http://example.com/close trixie",
            ]
        );
        assert!(!format!("{:?}", of_lines(text)).contains("pass"));
    }

    #[test]
    fn stanzas_are_read_as_apt_does() {
        let text = "Types: deb deb-src\n# a comment inside\nURIs: http://example.com/debian\n https://example.org/debian/\n\
                    Suites: trixie\n# another: one\n trixie-updates\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://example.com/off\nSuites: x\n\n\n\
                    types: deb-src\nuris: http://example.com/sources\nsuites: x\n\n\
                    TYPES: deb\nuris:http://example.com/last\nSigned-By:\n -----BEGIN\n .\n x:y\nSuites: trixie/updates";
        assert_eq!(
            shown(of_stanzas(text)),
            [
                "http://example.com/debian trixie trixie-updates",
                "https://example.org/debian/ trixie trixie-updates",
                "http://example.com/last trixie/updates",
            ]
        );
    }

    #[test]
    fn archives_are_told_by_address_and_suite() {
        for (address, suites, wanted) in [
            ("http://example.com/debian", "trixie trixie-updates", "debian"),
            ("http://example.com/debian/", "trixie-backports", "debian"),
            ("http://example.com/x/Debian", "trixie", "debian"),
            ("http://example.com/debian-security/", "trixie-security", "debian-security"),
            ("http://example.com/debian-security", "", "debian-security"),
            ("http://security.example.com/", "buster/updates", "debian-security"),
            ("http://example.com/mirror/security", "trixie-security", "debian-security"),
            ("http://example.com/debian", "trixie trixie-security", "debian debian-security"),
            ("http://example.com/node_20.x", "nodistro", "node_20.x"),
            ("http://example.com/", "trixie", ""),
            ("file:/srv/debian", "trixie", "debian"),
        ] {
            let suites: Vec<String> = suites.split_whitespace().map(str::to_owned).collect();
            assert_eq!(archives(&Url::parse(address).unwrap(), &suites).join(" "), wanted, "{address} {suites:?}");
        }
    }

    #[test]
    fn lists_of_mirrors_hold_an_address_a_line() {
        let text = "# ours\nhttps://example.com/debian\tpriority:1 type:deb\n\n http://example.org/debian\n";
        let found: Vec<Secret> = of_mirrors(text);
        assert_eq!(found, [Secret::new("https://example.com/debian"), Secret::new("http://example.org/debian")]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[a-z:\\[\\]#=\n ]|deb |URIs:|Types: deb){0,80}") {
            let _ = (of_lines(&text), of_stanzas(&text), of_mirrors(&text));
        }
    }
}
