//! Logins where none belongs: in references, names and labels that people or other tools wrote. They are found by the rules here,
//! and never shown.

use std::net::Ipv4Addr;
use std::ops::Range;

use crate::shown::bare;

/// What stands in front of a path: `oci:node@18` is no user and password.
const KINDS: [&str; 4] = ["oci:", "oci-archive:", "docker-archive:", "archive:"];

/// A running text with stars over what looks like a user name and password in front of an `@`: all between `://` and the last
/// `@` of a word, all of `user:secret` in front of one, and a token in front of `@host.example.com/`
/// or `@localhost`. A digest (`@sha256:`) is
/// none, nor a position (`:@0`); an `@` that is written as an escape has no other purpose. Rather too much is hidden than too
/// little. The number of bytes stays.
pub fn hide_logins(text: &str) -> String {
    hide(text, false)
}

/// The same, with stars also over what follows the `?` of an address, which may be a token.
pub fn hide_credentials(text: &str) -> String {
    hide(text, true)
}

/// A text that was given as one reference, name of an image, or tag: with stars over all that stands in front of its last `@`,
/// whatever that is. None of them has an `@` but in front of a digest or a position.
pub fn hide_in_name(text: &str) -> String {
    let mut shown = hide_credentials(text);
    star(&mut shown, 0..end_of_login(text).unwrap_or(0));
    shown
}

/// What an image says of itself (a label, a variable, a line of history), made fit for people: without the logins in it.
pub fn shown(text: &str) -> String {
    bare(&hide_logins(text))
}

/// Whether a place or name, as a whole, holds a login, or an address with a query.
pub fn holds_login(text: &str) -> bool {
    !login(text).is_empty() || !query(text, &(0..0)).is_empty()
}

/// Whether what follows an `@` may be meant for a digest, and for no host: `sha256:…` of any length, or many digits alone.
pub fn resembles_digest(text: &str) -> bool {
    let digits = text.rsplit_once(':').map_or(text, |(_, digits)| digits);
    let is_known = text.starts_with("sha256:") || text.starts_with("sha512:");
    !text.contains(['@', '/'])
        && (is_known || digits.len() >= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn hide(text: &str, queries: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        let secret = login(word);
        let mut hidden = word.to_owned();
        if queries {
            star(&mut hidden, query(word, &secret));
        }
        star(&mut hidden, secret);
        shown.push_str(&hidden);
    }
    shown
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '<' | '>')
}

/// Where a login ends, if one is there: at the last `@` that neither a digest nor a position follows. Behind a colon, the password
/// begins with it, and goes on to the end.
fn end_of_login(word: &str) -> Option<usize> {
    let is_digest = |after: &str| ["sha256:", "sha512:"].iter().any(|algorithm| after.starts_with(algorithm));
    let is_position = |before: &str, after: &str| {
        let digits = after.trim_end_matches(|c: char| !c.is_alphanumeric());
        before.ends_with(':') && (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let names_image = |at: usize| {
        let (before, after) = (&word[..at], &word[at + 1..]);
        is_digest(after) || is_position(before, after)
    };
    let at = word.rmatch_indices('@').map(|(at, _)| at).find(|at| !names_image(*at))?;
    Some(if word[..at].ends_with(':') { word.trim_end_matches(ends_word).len() } else { at })
}

/// Where a login stands in a word.
fn login(word: &str) -> Range<usize> {
    let plain = end_of_login(word);
    let escaped = ["\\u0040", "\\U00000040", "\\x40"].iter().filter_map(|escape| word.rfind(escape)).max();
    let end = match (plain, escaped) {
        (_, Some(end)) => return 0..end.max(plain.unwrap_or(0)),
        (Some(end), None) => end,
        (None, None) => return 0..0,
    };
    let (before, after) = (&word[..end], word.get(end + 1..).unwrap_or_default());
    if before.contains("://") {
        let starts = before.match_indices("://").map(|(at, scheme)| at + scheme.len());
        return starts.filter(|start| !names_host(&before[*start..])).map(|start| start..end).next().unwrap_or(0..0);
    }
    let path = KINDS.iter().find_map(|kind| before.strip_prefix(kind)).unwrap_or(before);
    let is_token = || match after.split_once('/') {
        Some((host, _)) => is_host(host),
        // `jane@example.com` has a mailbox.
        None => after.trim_end_matches(|c: char| !c.is_alphanumeric()) == "localhost",
    };
    match path.contains(':') || !path.contains('/') && is_token() {
        true => end - path.len()..end,
        false => 0..0,
    }
}

/// Whether what follows `://`, as far as an `@`, has come to a path: `github.com/x` of `https://github.com/x@v1`.
fn names_host(text: &str) -> bool {
    text.split_once('/').is_some_and(|(host, _)| host.contains('.') && !host.contains([':', '@']))
}

/// Whether it looks like the host of a registry or server, and not like a version.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let has_domain =
        || host.rsplit_once('.').is_some_and(|(_, top)| top.bytes().all(|byte| byte.is_ascii_alphabetic()));
    is_name
        && match port {
            Some(port) => !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()),
            None => host == "localhost" || has_domain() || host.parse::<Ipv4Addr>().is_ok(),
        }
}

/// What follows the `?` of an address; one in its login is none.
fn query(word: &str, login: &Range<usize>) -> Range<usize> {
    let address = word.trim_end_matches(ends_word);
    let scheme = address.find("://").unwrap_or(address.len());
    let marks = address.match_indices('?').map(|(at, _)| at);
    let mark = marks.filter(|at| *at > scheme && !login.contains(at)).min();
    mark.map_or(address.len(), |at| at + 1)..address.len()
}

/// Overwrites bytes with stars, so that their number stays.
pub(crate) fn star(text: &mut String, range: Range<usize>) {
    let range = on_boundaries(text, range);
    let stars: String = text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
    text.replace_range(range, &stars);
}

/// Moves both ends to where characters begin, inside the text.
pub(crate) fn on_boundaries(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
    start..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn logins_are_found_by_where_they_stand() {
        for (text, shown) in [
            ("u = \"https://me:pw@h/x\"", "u = \"https://*****@h/x\""),
            ("u = \"https://tökén@h/x\"", "u = \"https://*******@h/x\""),
            ("u = \"https://me:p/w@x@h/x\"", "u = \"https://********@h/x\""),
            ("u = 'me:pw@r.example.com/x:1'", "u = '*****@r.example.com/x:1'"),
            ("u = \"r.example.com:5000/x:1@sha256:ab\"", "u = \"r.example.com:5000/x:1@sha256:ab\""),
            ("u = \"me:pw\\u0040h/x\"", "u = \"*****\\u0040h/x\""),
            ("u = \"https://h/x?token=s3&b=ö\"", "u = \"https://h/x?*************\""),
            ("u = \"https://me:p?w@h/x?t\", \"a?b\"", "u = \"https://******@h/x?*\", \"a?b\""),
            ("u = \"jane@example.com\"", "u = \"jane@example.com\""),
            ("me:pw@cafe", "*****@cafe"),
            ("me:pw@node1:5000", "*****@node1:5000"),
            ("me:pw@h/x@sha256:ab", "*****@h/x@sha256:ab"),
            ("token@r.example.com/x", "*****@r.example.com/x"),
            ("token@localhost/x", "*****@localhost/x"),
            ("no token@localhost: x", "no *****@localhost: x"),
            ("token@node1:5000/x", "*****@node1:5000/x"),
            ("oci:me:pw@h:@0", "oci:*****@h:@0"),
            ("oci:me:@pw@h", "oci:******@h"),
            ("archive:me:@pw", "archive:******"),
            ("oci:token@r.example.com/x", "oci:*****@r.example.com/x"),
            ("opening oci:x:@0: oci:node@18.", "opening oci:x:@0: oci:node@18."),
            ("git+https://github.com/a/b@v1", "git+https://github.com/a/b@v1"),
            ("https://a.example.com/?u=https://me:pw@h/x", "https://a.example.com/?*******************"),
            ("git@github.com:a/b", "git@github.com:a/b"),
            ("./a@b.tar:app:1 @scope/x oci:a@1.0.0/x", "./a@b.tar:app:1 @scope/x oci:a@1.0.0/x"),
            ("token@127.0.0.1/x", "*****@127.0.0.1/x"),
        ] {
            assert_eq!(hide_credentials(text), shown);
        }
        assert_eq!(
            hide_logins("https://a.example.com/?u=https://me:pw@h/x"),
            "https://a.example.com/?u=https://*****@h/x"
        );
    }

    #[test]
    fn a_name_has_no_at_but_of_a_digest_or_position() {
        for (text, shown) in [
            ("token@localhost", "*****@localhost"),
            ("me:p w,\"'@h", "*********@h"),
            ("@token@h", "******@h"),
            ("me:@pw", "******"),
            ("app:1@sha256:ab", "app:1@sha256:ab"),
            ("@3", "@3"),
            ("app:1", "app:1"),
        ] {
            assert_eq!(hide_in_name(text), shown);
        }
        for (text, is_digest) in [
            ("sha256:12", true),
            ("sha256:", true),
            ("e3b0c44298fc1c149afbf4c8996fb924", true),
            ("md5:e3b0c44298fc1c149afbf4c8996fb924", true),
            ("cafe", false),
            ("node1:5000", false),
            ("sha256:5000/x", false),
            ("", false),
        ] {
            assert_eq!(resembles_digest(text), is_digest, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_more_and_no_fewer_bytes(text in "(\\PC|[@:/?\\\\ é\n]|://|oci:|u0040|sha256:){0,30}") {
            for shown in [hide_logins(&text), hide_credentials(&text), hide_in_name(&text)] {
                prop_assert_eq!(shown.len(), text.len());
            }
        }

        #[test]
        fn a_password_of_any_kind_is_hidden_in_a_name(
            before in "(oci:|archive:|docker://|https://)?[a-z]{0,5}:?@?",
            after in "@([a-z0-9]{1,8}|[a-z]{1,3}:[0-9]{1,5}|[a-z]{1,5}\\.[a-z]{1,3}(/[a-z]{1,5}(:[0-9])?)?)(:@[0-9]|@sha256:ab)?",
        ) {
            let shown = hide_in_name(&format!("{before}hunter2{after}"));
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
