//! What a registry asks for before it answers: `WWW-Authenticate` (RFC 9110, 11.6.1; distribution's token specification).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One challenge: a scheme and its parameters, both in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

/// Longer headers, and more challenges, are not looked at.
const MAX_HEADER: usize = 16 << 10;
const MAX_CHALLENGES: usize = 16;

impl Challenge {
    /// A parameter's value. One that stands there twice is none: two readers could read two.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.next().filter(|first| values.all(|other| other == *first))
    }

    /// All challenges of an answer, in order.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Challenge> {
        let mut found = Vec::new();
        for header in headers.get_all(WWW_AUTHENTICATE) {
            if let Ok(text) = header.to_str() {
                found.extend(parse(text));
            }
        }
        found.truncate(MAX_CHALLENGES);
        found
    }
}

/// Reads a list of challenges. A comma separates parameters as well as challenges, and may stand inside quotes.
pub(crate) fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    if text.len() > MAX_HEADER {
        return found;
    }
    let mut rest = Reader(text);
    while found.len() < MAX_CHALLENGES {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = rest.take(is_token);
        if word.is_empty() {
            // Either the end, or something that is no challenge.
            break;
        }
        let name = word.to_ascii_lowercase();
        let mut ahead = Reader(rest.0);
        ahead.skip(|c| c.is_ascii_whitespace());
        if ahead.0.starts_with('=') && !found.is_empty() {
            ahead.0 = &ahead.0[1..];
            ahead.skip(|c| c.is_ascii_whitespace());
            let value = ahead.value();
            rest = ahead;
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.push((name, value));
            }
            continue;
        }
        found.push(Challenge { scheme: name, parameters: Vec::new() });
        // `Negotiate abc==`: a single value instead of parameters, which no scheme that is known here has.
        let mut ahead = Reader(rest.0);
        ahead.skip(|c| c == ' ');
        let value = ahead.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        ahead.skip(|c| c == '=');
        if !value.is_empty() && (ahead.0.is_empty() || ahead.0.starts_with(',')) {
            rest = ahead;
        }
    }
    found
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(what);
    }

    fn take(&mut self, what: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !what(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// A token or a quoted string.
    fn value(&mut self) -> String {
        let Some(quoted) = self.0.strip_prefix('"') else {
            // Some registries leave the quotes out around addresses.
            return self.take(|c| c != ',' && !c.is_ascii_whitespace()).to_owned();
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        self.0 = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let one = |challenge: Challenge| {
            let parameters: Vec<String> = challenge.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{}[{}]", challenge.scheme, parameters.join(";"))
        };
        parse(text).into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_as_registries_write_them() {
        for (text, wanted) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "bearer[realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push]",
            ),
            (r#"Basic realm="Registry Realm""#, "basic[realm=Registry Realm]"),
            (r#"basic realm="x", Bearer realm="y", error="z""#, "basic[realm=x] bearer[realm=y;error=z]"),
            ("BEARER realm=https://r/token?a=b,service=s", "bearer[realm=https://r/token?a=b;service=s]"),
            (r#"Bearer realm = "x" , service= "a \"q\" b""#, r#"bearer[realm=x;service=a "q" b]"#),
            ("Negotiate", "negotiate[]"),
            (r#"Negotiate YWJj==, Basic realm="x""#, "negotiate[] basic[realm=x]"),
            (r#"NTLM, Bearer realm="x""#, "ntlm[] bearer[realm=x]"),
            (r#", ,Bearer realm="x",,"#, "bearer[realm=x]"),
            (r#"Bearer realm="unfinished, x=y"#, "bearer[realm=unfinished, x=y]"),
            ("", ""),
            ("=", ""),
            ("\"x\"", ""),
            ("Bearer", "bearer[]"),
            (r#"Bearer realm="""#, "bearer[realm=]"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        assert!(parse(&"Basic ".repeat(10_000)).is_empty());
        let padded = |length: usize| parse(&format!("Basic{}", " ".repeat(length - 5))).len();
        assert_eq!((padded(MAX_HEADER), padded(MAX_HEADER + 1)), (1, 0));
        assert_eq!(parse(&"a,".repeat(100)).len(), MAX_CHALLENGES);
    }

    #[test]
    fn what_stands_twice_counts_for_nothing() {
        let challenge = &parse(r#"Bearer realm="https://a",realm="https://b",service="s",service="s""#)[0];
        assert_eq!(challenge.get("realm"), None);
        assert_eq!(challenge.get("service"), Some("s"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            parse(&text);
        }

        #[test]
        fn never_panics_near_the_grammar(text in "(Bearer|Basic|[a-z]{1,3})?([ ,=\"\\\\]|realm|x|é){0,20}") {
            parse(&text);
        }
    }
}
