//! What lines ask for, in a text that is the same for lines that mean the same and holds nothing that may be secret: for the
//! lock, and for telling people what changed.

use url::Url;

use super::requirements::{Indexes, Item, Line};
use super::{Marker, Requirement, Requirements};
use crate::oci::Digest;

impl Requirements {
    /// Everything that decides which packages are taken: kind and text.
    pub fn meaning(&self) -> Vec<(&'static str, String)> {
        let mut lines: Vec<(&'static str, String)> = Vec::new();
        lines.extend(self.entries.iter().map(|line| ("requirement", line.meaning())));
        lines.extend(self.constraints.iter().map(|line| ("constraint", line.meaning())));
        let Indexes { index, extra, find_links, none } = &self.indexes;
        // Where indexes are is no question: a mirror may take the place of one.
        let extra = (1..=extra.len()).map(|number| ("index", format!("requirements-{number}")));
        lines.extend(extra);
        let (pages, directories): (Vec<&String>, Vec<&String>) =
            find_links.iter().partition(|link| link.contains("://"));
        lines.extend((1..=pages.len()).map(|number| ("index", format!("links-{number}"))));
        lines.extend(directories.into_iter().map(|link| ("option", format!("--find-links {link}"))));
        let options = [
            ("--index-url", index.is_some()),
            ("--no-index", *none),
            ("--pre", self.pre),
            ("--require-hashes", self.require_hashes),
        ];
        lines.extend(options.into_iter().filter(|(_, given)| *given).map(|(name, _)| ("option", name.to_owned())));
        lines
    }
}

impl Line {
    /// What it asks for. Many hashes are told by one.
    pub fn meaning(&self) -> String {
        let mut text = match (&self.filled, &self.item) {
            // What a variable holds may be secret.
            (Some(written), _) => {
                let end = written.find(" -").or_else(|| written.find("\t-")).unwrap_or(written.len());
                let query = written.find("://").and_then(|at| Some(at + written[at..].find('?')?));
                written[..query.map_or(end, |query| query.min(end))].split_whitespace().collect::<Vec<_>>().join(" ")
            }
            (None, Item::Package(requirement)) => requirement.meaning(),
            (None, Item::Wheel(place, marker)) => bare_place(place) + &condition(marker.as_ref()),
        };
        if !self.hashes.is_empty() {
            let all: Vec<String> = self.hashes.iter().map(Digest::to_string).collect();
            text.push_str(&format!(" hashes {}", &Digest::of(all.join("\n").as_bytes()).hex()[..16]));
        }
        text
    }
}

impl Requirement {
    /// What it asks for: extras, versions and blanks in one order and form.
    pub fn meaning(&self) -> String {
        let mut text = self.name.to_string();
        let mut extras: Vec<&str> = self.extras.iter().map(|extra| extra.as_str()).collect();
        extras.sort_unstable();
        extras.dedup();
        if !extras.is_empty() {
            text.push_str(&format!("[{}]", extras.join(",")));
        }
        if let Some(url) = &self.url {
            text.push_str(&format!(" @ {}", bare_place(url)));
        }
        let mut versions: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        versions.sort();
        versions.dedup();
        text + &versions.join(",") + &condition(self.marker.as_ref())
    }
}

/// A marker without blanks that mean nothing, and with one kind of quotes.
fn condition(marker: Option<&Marker>) -> String {
    let Some(marker) = marker else { return String::new() };
    let text = marker.to_string();
    let word = |c: char| c.is_alphanumeric() || "_.'".contains(c);
    let (mut out, mut quote, mut blank) = (String::from(" ; "), None, false);
    for c in text.chars() {
        if let Some(open) = quote {
            let closes = c == open;
            quote = quote.filter(|_| !closes);
            out.push(if closes { '\'' } else { c });
            continue;
        }
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        let opens = matches!(c, '"' | '\'');
        if blank && out.ends_with(word) && (word(c) || opens) {
            out.push(' ');
        }
        blank = false;
        quote = opens.then_some(c);
        out.push(if opens { '\'' } else { c });
    }
    out
}

/// A path, or an address without what may be secret in it.
fn bare_place(place: &str) -> String {
    match place.contains("://").then(|| place.parse::<Url>()) {
        Some(Ok(url)) => without_secrets(url).to_string(),
        // What is no address is refused when it is looked at.
        Some(Err(_)) => "an address".to_owned(),
        None => place.to_owned(),
    }
}

/// An address without login, query and fragment: signatures and tokens stand there.
pub fn without_secrets(mut url: Url) -> Url {
    // Where a URL can hold none of them there is nothing to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let variables = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let requirements = Requirements::read("r.txt", &variables, &mut |_| Ok(text.as_bytes().to_vec())).unwrap();
        let mut lines: Vec<String> =
            requirements.meaning().into_iter().map(|(kind, text)| format!("{kind} {text}")).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (one, other) in [
            ("Flask>=2,<3", "# why\n\nflask < 3, >= 2   # because"),
            (
                "a[X,b] ; python_version<'3.9' and os_name=='a b'",
                "a[b, x];python_version < \"3.9\"  and os_name == \"a b\"",
            ),
            ("a==1 --hash=sha256:00", "a==1 \\\n  --hash=sha256:00"),
            ("https://me:one@h/a-1-py3-none-any.whl?token=1", "https://h/a-1-py3-none-any.whl?token=2#x"),
            ("-i https://one/", "--index-url=https://other/"),
            ("a\nb", "b\n\n\na"),
        ] {
            let hash = "ab".repeat(32);
            let [one, other] = [one, other].map(|text| read(&text.replace("sha256:00", &format!("sha256:{hash}"))));
            assert_eq!(one, other);
        }
        assert_eq!(
            read("Flask>=2,<3 ; 'x' in extra or  os_name=='a'"),
            ["requirement flask<3,>=2 ; 'x' in extra or os_name=='a'"]
        );
    }

    #[test]
    fn what_means_something_else_is_something_else() {
        let same = read("a==1");
        for other in [
            "a==2",
            "a",
            "a[x]==1",
            "a==1 ; os_name=='a'",
            "a==1\n--pre",
            "a==1\n-f links",
            "a==1\n-i https://h/",
            "b==1",
        ] {
            assert_ne!(read(other), same, "{other}");
        }
    }

    #[test]
    fn nothing_secret_is_in_it() {
        let hash = format!("--hash=sha256:{}", "ab".repeat(32));
        let text = format!(
            "https://${{TOKEN}}@h/a-1-py3-none-any.whl\nb @ https://h/${{TOKEN}}/b-1-py3-none-any.whl?s3cret {hash}\nc ; os_name == '${{TOKEN}}'\nd @ https://h/d-1-py3-none-any.whl?sig=s3cret\n--extra-index-url https://s3cret@h/\n-f https://h/?s3cret"
        );
        let found = read(&text);
        assert!(!found.join("\n").contains("s3cret"), "{found:?}");
        assert!(found.contains(&"requirement c ; os_name == '${TOKEN}'".to_owned()), "{found:?}");
    }
}
