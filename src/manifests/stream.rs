//! Several texts as one stream of documents.

use std::borrow::Cow;

/// What begins a document.
const BEGIN: &str = "---";

/// What ends a document whatever it is, also before directives.
const END: &str = "...\n";

/// All texts in one stream that reads as the same documents; a single one as it is.
pub fn joined<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut all = String::new();
    for text in texts {
        if all.is_empty() {
            all.push_str(text);
            continue;
        }
        // A byte order mark is one only where a stream begins.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !all.ends_with('\n') {
            all.push('\n');
        }
        all.push_str(&between(&all, text));
        all.push_str(text);
    }
    all
}

/// What comes between what is there and one more text.
fn between(before: &str, text: &str) -> Cow<'static, str> {
    let begins = |line: &str| {
        line.strip_prefix(BEGIN)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace()))
    };
    if begins(text) {
        return Cow::Borrowed("");
    }
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    match text.lines().find(|line| !is_comment(line)) {
        // Directives, and comments that are in front of no document, or of the mark of one.
        first if first.is_none_or(|line| begins(line) || line.starts_with('%')) => match before.ends_with("\n...\n") {
            true => Cow::Borrowed(""),
            false => Cow::Borrowed(END),
        },
        _ => Cow::Owned(format!("{BEGIN}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Kind, NodeId, Tree};
    use super::*;

    /// The documents of a text, without their places.
    fn documents(text: &str) -> Vec<String> {
        let tree = Tree::parse(text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", error.position));
        tree.documents.iter().map(|document| told(&tree, *document)).collect()
    }

    fn told(tree: &Tree, node: NodeId) -> String {
        match tree.kind(tree.behind(node)) {
            Kind::Scalar { value, .. } => format!("{value:?}"),
            Kind::Sequence(items) => format!("{:?}", items.iter().map(|item| told(tree, *item)).collect::<Vec<_>>()),
            Kind::Mapping(entries) => {
                format!(
                    "{:?}",
                    entries.iter().map(|(key, value)| (told(tree, *key), told(tree, *value))).collect::<Vec<_>>()
                )
            }
            Kind::Alias(_) => "an alias".to_owned(),
        }
    }

    #[test]
    fn a_stream_reads_as_the_documents_of_its_parts() {
        let texts = [
            "a: 1\n",
            "a: |\n  x\n",
            "\u{feff}b: 2\n",
            "\u{feff}---\nb: 2",
            "%YAML 1.2\n---\nc: 3\n",
            "\u{feff}# x\n%YAML 1.2\n--- {c: 3}\n...\n",
            "# comment\n---\nd: 4\n---\ne: 5\n",
            "# nothing\n",
            "{\"f\": 6}",
            "--- g\n",
            "",
        ];
        for one in texts {
            assert_eq!(joined([one]), one);
            for two in texts {
                for three in ["h: 8\n", "%YAML 1.2\n---\nh: 8\n"] {
                    let all = joined([one, two, three]);
                    let expected: Vec<String> = [one, two, three].into_iter().flat_map(documents).collect();
                    assert_eq!(documents(&all), expected, "{all}");
                }
            }
        }
    }
}
