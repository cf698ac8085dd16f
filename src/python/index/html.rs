//! Pages in HTML (PEP 503).

use url::Url;

use super::{IndexError, IndexFile, absolute, check_version, digest_of, plain_name};

/// Reads a page that came from `url`.
pub(super) fn parse(text: &str, url: &Url) -> Result<Vec<IndexFile>, IndexError> {
    let mut base = url.clone();
    let mut files = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (tag, after) = read_tag(rest);
        rest = after;
        let attribute =
            |name: &str| tag.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match tag.name.as_str() {
            "base" => base = attribute("href").and_then(|href| absolute(url, href)).unwrap_or(base),
            "meta" if attribute("name") == Some("pypi:repository-version") => {
                check_version(attribute("content").unwrap_or(""))?;
            }
            "a" => {
                let Some(href) = attribute("href") else { continue };
                let end = rest.find('<').unwrap_or(rest.len());
                let name = unescaped(rest[..end].trim());
                let fragment = href.split_once('#').map_or("", |(_, fragment)| fragment);
                let sha256 = fragment.split('&').find_map(|part| part.strip_prefix("sha256=")).and_then(digest_of);
                let metadata = attribute("data-core-metadata").or_else(|| attribute("data-dist-info-metadata"));
                let metadata = metadata.filter(|value| *value != "false");
                let Some(url) = absolute(&base, href).filter(|_| plain_name(&name)) else { continue };
                files.push(IndexFile {
                    name,
                    url,
                    sha256,
                    size: None,
                    yanked: attribute("data-yanked").map(str::to_owned),
                    requires_python: attribute("data-requires-python").map(str::to_owned),
                    metadata: metadata.map(|value| value.strip_prefix("sha256=").and_then(digest_of)),
                });
            }
            _ => {}
        }
    }
    Ok(files)
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// Reads a tag after its `<`; gives what follows its `>`.
fn read_tag(text: &str) -> (Tag, &str) {
    let blank = |c: char| c.is_ascii_whitespace();
    let end = text.find(|c: char| blank(c) || c == '>').unwrap_or(text.len());
    let mut tag = Tag { name: text[..end].trim_end_matches('/').to_ascii_lowercase(), attributes: Vec::new() };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| blank(c) || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        if rest.is_empty() {
            return (tag, rest);
        }
        let end = rest.find(|c: char| blank(c) || c == '=' || c == '>' || c == '/').unwrap_or(rest.len());
        let key = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start_matches(blank);
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            rest = after.trim_start_matches(blank);
            match rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                Some(quote) => {
                    let (inner, after) = rest[1..].split_once(quote).unwrap_or((&rest[1..], ""));
                    (value, rest) = (unescaped(inner), after);
                }
                None => {
                    let end = rest.find(|c: char| blank(c) || c == '>').unwrap_or(rest.len());
                    (value, rest) = (unescaped(&rest[..end]), &rest[end..]);
                }
            }
        }
        if !key.is_empty() {
            tag.attributes.push((key, value));
        }
    }
}

/// Character references, as far as such pages have them.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let c = end.and_then(|end| match &rest[1..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)
            }
        });
        match (c, end) {
            (Some(c), Some(end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}
