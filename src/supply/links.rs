//! What is taken out of pages of links before they are remembered: signatures and logins.

/// A page without the queries and logins of its addresses; `None` where there are none. Servers sign links with a query, and
/// whoever has such a link has the file.
pub(super) fn without_secrets(page: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(page.len());
    let mut at = 0;
    while let Some(byte) = page.get(at) {
        let rest = &page[at..];
        if *byte == b'?' {
            let end = address_end(rest);
            let is_query = rest[..end].contains(&b'=') || end > 1 && is_in_address(&page[..at]);
            if is_query {
                at += end;
                continue;
            }
        } else if let Some(scheme) = SCHEME_ENDS.iter().find(|scheme| rest.starts_with(scheme)) {
            let authority = &rest[scheme.len()..address_end(rest).max(scheme.len())];
            let authority =
                &authority[..authority.iter().position(|byte| b"/?\\".contains(byte)).unwrap_or(authority.len())];
            kept.extend_from_slice(scheme);
            at += scheme.len() + authority.iter().rposition(|byte| *byte == b'@').map_or(0, |login| login + 1);
            continue;
        }
        kept.push(*byte);
        at += 1;
    }
    (kept.len() < page.len()).then_some(kept)
}

/// What stands between scheme and host; JSON may escape slashes.
const SCHEME_ENDS: [&[u8]; 2] = [b"://", b":\\/\\/"];

/// Whether what comes before belongs to a word with a path or a file's name in it: then a token may follow by itself.
fn is_in_address(before: &[u8]) -> bool {
    let word = before.iter().rev().take_while(|byte| !byte.is_ascii_whitespace() && !b"\"'<>=".contains(byte));
    word.into_iter().any(|byte| b"/.".contains(byte))
}

/// Where an address ends, in JSON and in HTML; its fragment is not looked at.
fn address_end(text: &[u8]) -> usize {
    let ends = |at: usize, byte: u8| {
        byte.is_ascii_whitespace() || b"\"'#<>".contains(&byte) || (byte == b'\\' && text.get(at + 1) == Some(&b'"'))
    };
    text.iter().enumerate().position(|(at, byte)| ends(at, *byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_logins_go_and_everything_else_stays() {
        for (page, kept) in [
            (
                r#"{"url":"https://h/a.whl?X-Signature=s3cret\u0026Expires=1","yanked":"why?","n":1}"#,
                r#"{"url":"https://h/a.whl","yanked":"why?","n":1}"#,
            ),
            (
                "<a href='https://me:s3cret@h/a.whl?sig=s3cret&amp;b#sha256=00' data-yanked=\"a@b\">a?b</a>",
                "<a href='https://h/a.whl#sha256=00' data-yanked=\"a@b\">a?b</a>",
            ),
            (r#"{"reason":"see \"https://h/?a=s3cret\" @ all"}"#, r#"{"reason":"see \"https://h/\" @ all"}"#),
            ("<a href=../a.whl?token=s3cret>a</a>", "<a href=../a.whl>a</a>"),
            ("<a href='a.whl?s3cret#sha256=00'>a</a>", "<a href='a.whl#sha256=00'>a</a>"),
            (r#"{"url":"https:\/\/me:s3cret@h\/a.whl?s3cret"}"#, r#"{"url":"https:\/\/h\/a.whl"}"#),
        ] {
            assert_eq!(
                without_secrets(page.as_bytes()).map(|kept| String::from_utf8(kept).unwrap()).as_deref(),
                Some(kept)
            );
        }
        for page in ["<a href=\"https://h/a@b/c.whl#sha256=00\">what? = no</a>", ""] {
            assert_eq!(without_secrets(page.as_bytes()), None, "{page}");
        }
    }
}
