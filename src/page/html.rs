//! The data as a document.

use std::fmt::Write;

use base64::Engine;
use serde_json::json;

use super::facts::{Page, PlatformFacts};
use super::size_text;
use super::tables::{bases, figures_and_images, matrix, packages, table, variants};
use crate::oci::Digest;
use crate::shown::is_unseen;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Page {
    /// The page: one file that needs nothing else. The same data give the same bytes.
    pub fn html(&self) -> String {
        let mut out = String::new();
        // What is written to a string is always written.
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"lapstrake\">\n\
             <title>{title}: what is in the images</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the report</a>\n\
             <header class=\"top\">\n<p class=\"over\">lapstrake report</p>\n<h1>{title}</h1>\n<p class=\"lead\">{lead}</p>\n",
            hash(STYLE),
            hash(SCRIPT),
            title = escaped(&self.title),
            lead = self.lead(),
        );
        if self.platforms.len() > 1 {
            out.push_str("<fieldset id=\"platforms\" hidden>\n<legend>Platform</legend>\n");
            for (number, platform) in self.platforms.iter().enumerate() {
                let checked = if number == 0 { " checked" } else { "" };
                let name = escaped(&platform.name);
                let _ = writeln!(
                    out,
                    "<label><input type=\"radio\" name=\"platform\" value=\"{number}\"{checked}><span>{name}</span></label>"
                );
            }
            out.push_str("</fieldset>\n");
        }
        out.push_str("</header>\n<nav class=\"sections\" aria-label=\"Sections\"><ul>\n");
        let sections = self.sections();
        for (id, title, _) in &sections {
            let _ = writeln!(out, "<li><a href=\"#{id}\">{title}</a></li>");
        }
        out.push_str("</ul></nav>\n<main id=\"main\">\n");
        for (id, title, text) in &sections {
            let _ = write!(
                out,
                "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{text}</section>\n"
            );
        }
        let _ = write!(
            out,
            "</main>\n<footer><p>Made by <code>lapstrake report</code> from the images alone: the same images give the same page. \
             Sizes of layers are as they are stored and sent; sizes of packages and files are unpacked.</p></footer>\n\
             <script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            self.data(),
        );
        out
    }

    fn lead(&self) -> String {
        let images = self.platforms.iter().map(|platform| platform.images.len()).max().unwrap_or_default();
        let platforms: Vec<String> = self.platforms.iter().map(|platform| escaped(&platform.name)).collect();
        let mut lead = format!("{} for {}", count(images as u64, "image"), platforms.join(" and "));
        if let Some(newest) = self.pins.as_ref().and_then(|pins| pins.archives.values().max()) {
            lead.push_str(&format!(", packages as of {}", date(newest)));
        }
        lead
    }

    /// Identifier, title and text of each section.
    fn sections(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut sections = vec![
            ("images", "Images", self.each(figures_and_images)),
            ("layers", "Layers, and who shares them", self.each(|platform| matrix(platform, self.before.as_deref()))),
            ("sizes", "What takes the room", self.map()),
            ("packages", "Packages", self.each(packages)),
        ];
        if self.platforms.iter().any(|platform| !platform.comparisons.is_empty()) {
            sections.push(("variants", "What sets variants apart", self.each(variants)));
        }
        sections.push(("pins", "Bases and pins", self.each(bases) + &self.pinned()));
        sections
    }

    /// A text for each platform; the script shows one of them.
    fn each(&self, text: impl Fn(&PlatformFacts) -> String) -> String {
        let mut out = String::new();
        for (number, platform) in self.platforms.iter().enumerate() {
            let heading = match self.platforms.len() {
                1 => String::new(),
                _ => format!("<h3 class=\"platform\">{}</h3>\n", escaped(&platform.name)),
            };
            let _ = write!(out, "<div data-platform=\"{number}\">\n{heading}{}</div>\n", text(platform));
        }
        out
    }

    fn map(&self) -> String {
        let note = match self.least {
            0 | 1 => String::new(),
            least => format!(
                "<p class=\"note\">Files and directories of less than {} are put together, so that this page stays small.</p>\n",
                size_text(least)
            ),
        };
        format!(
            "<p>Every tile is as large as its files are once they are unpacked. Choose one to look into it; \
             <kbd>Enter</kbd> goes in, <kbd>Esc</kbd> goes out, the arrow keys go from tile to tile.</p>\n{note}\
             <noscript><p class=\"note\">The map is drawn by a script, and scripts are off.</p></noscript>\n\
             <div id=\"map\" hidden>\n<div class=\"bar\">\n<label for=\"map-image\">Image</label>\n<select id=\"map-image\"></select>\n\
             <nav id=\"map-path\" aria-label=\"Where the map is\"></nav>\n</div>\n{LEGEND}\
             <div id=\"tiles\" role=\"group\" aria-label=\"Map of sizes\" aria-describedby=\"map-told\"></div>\n\
             <p id=\"map-told\"></p>\n\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"The largest parts\">\n<table id=\"map-parts\">\n\
             <caption><span>The largest parts of what the map shows</span></caption>\n<thead><tr><th scope=\"col\">Name</th>\
             <th scope=\"col\" class=\"number\">Size</th><th scope=\"col\" class=\"number\">Share</th>\
             <th scope=\"col\">Files, or layer</th></tr></thead>\n<tbody></tbody>\n</table>\n</div>\n</div>\n"
        )
    }

    fn pinned(&self) -> String {
        let Some(pins) = &self.pins else {
            return "<p>These images were read as they are, and not built: what they are made of is not pinned here.</p>\n".to_owned();
        };
        let mut rows = String::new();
        for (archive, newest) in &pins.archives {
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">archive {}</th><td>newest release pinned: <time datetime=\"{newest}\">{}</time></td></tr>",
                escaped(archive),
                date(newest),
                newest = escaped(newest),
            );
        }
        for (name, platform, manifest) in &pins.images {
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">image {}</th><td>{}, <code>{}</code></td></tr>",
                escaped(name),
                escaped(platform),
                escaped(manifest)
            );
        }
        let numbers = [(pins.debian, "Debian package"), (pins.python, "Python wheel"), (pins.downloads, "download")];
        let numbers: Vec<String> = numbers
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| count(*number as u64, what))
            .collect();
        let told = if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") };
        let _ = writeln!(rows, "<tr><th scope=\"row\">files</th><td>{told}</td></tr>");
        table("facts", "What the lock pins", "<th scope=\"col\">What</th><th scope=\"col\">Pinned</th>", &rows)
    }

    /// What the script reads.
    fn data(&self) -> String {
        let platform = |platform: &PlatformFacts| {
            json!({
                "layers": platform.layers.iter().map(|layer| &layer.title).collect::<Vec<_>>(),
                "images": platform.images.iter().map(|image| json!([image.name, image.root])).collect::<Vec<_>>(),
            })
        };
        let data = json!({
            "platforms": self.platforms.iter().map(platform).collect::<Vec<_>>(),
            "nodes": self.sizes.json(),
        });
        embedded(&data.to_string())
    }
}

pub(super) const LEGEND: &str = "<ul class=\"legend\" aria-label=\"Colours\"><li class=\"debian\">Debian packages</li>\
                      <li class=\"python\">Python packages</li><li class=\"other\">Other files</li></ul>\n";

/// Text of a page, also between the quotes of an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_unseen(c) && c != '\n' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// JSON on one line inside a `script` element: nothing in it can end the element or begin a comment, and what is not seen is
/// shown by number.
fn embedded(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if is_unseen(c) => out.push_str(&format!("\\\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// A hash as a Content-Security-Policy has it.
fn hash(text: &str) -> String {
    let digest = Digest::of(text.as_bytes());
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest.raw()))
}

pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The day of an RFC 3339 time.
pub(super) fn date(time: &str) -> String {
    escaped(time.split('T').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_element_that_it_is_in() {
        assert_eq!(
            escaped("</script><b a='x' c=\"y\">&"),
            "&lt;/script&gt;&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;"
        );
        let json = embedded(&json!(["</script>", "<!--", "a&b"]).to_string());
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let back: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, ["</script>", "<!--", "a&b"]);
        assert_eq!(escaped("a\u{202e}b\u{2028}\u{85}"), r"a\u{202e}b\u{2028}\u{85}");
        let back: Vec<String> = serde_json::from_str(&embedded(&json!(["a\u{202e}b\u{2028}"]).to_string())).unwrap();
        assert_eq!(back, [r"a\u{202e}b\u{2028}"]);
    }

    #[test]
    fn the_script_and_the_style_are_those_that_the_policy_names() {
        let page = Page {
            title: "x".to_owned(),
            platforms: Vec::new(),
            sizes: Default::default(),
            least: 1,
            pins: None,
            before: None,
        };
        let html = page.html();
        for (tag, text) in [("style", STYLE), ("script", SCRIPT)] {
            let start = html.find(&format!("<{tag}>")).unwrap() + tag.len() + 2;
            let end = start + html[start..].find(&format!("</{tag}>")).unwrap();
            assert_eq!(&html[start..end], text);
            assert!(html.contains(&format!("{tag}-src '{}'", hash(text))));
        }
        assert!(!html.contains("style=\"") && !html.contains("onclick"), "the policy forbids them");
    }
}
