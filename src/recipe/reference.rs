//! The reference of recipes for people, in Markdown: made from the [vocabulary], as the schema is for editors.

use std::fmt::Write;

use super::template::PLACEHOLDERS;
use super::vocabulary::{self, Fills, Key, Kind, Table, Text, Word};

/// The page: each table with its keys, then what strings look like.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for table in vocabulary::TABLES {
        of_table(&mut page, table);
    }
    placeholders(&mut page);
    page.push_str("\n## Strings\n\nWhat a string has to look like, by the name that the tables above use.\n\n");
    page.push_str("| name | expected | examples |\n| --- | --- | --- |\n");
    for text in vocabulary::TEXTS {
        let examples: Vec<String> = text.examples.iter().map(|example| code(&format!("{example:?}"))).collect();
        let _ = writeln!(
            page,
            "| <a id=\"text-{}\"></a>{} | {} | {} |",
            text.name,
            text.name,
            cell(text.is),
            examples.join(", ")
        );
    }
    page
}

const HEAD: &str = "# The recipe, key by key

A recipe is TOML. Unknown keys are refused, with the nearest known one named. Paths are relative to `context`, which is relative to
the recipe. This page is made from the tables that lapstrake checks recipes by (`lapstrake schema --markdown`); `lapstrake schema` prints
the same as a JSON Schema, for editors.
";

/// What can be filled in, and where.
fn placeholders(page: &mut String) {
    page.push_str("\n## Placeholders\n\n| written | stands for | for example |\n| --- | --- | --- |\n");
    for (written, stands_for, example) in PLACEHOLDERS {
        let _ = writeln!(page, "| `{written}` | {} | `{example}` |", cell(stands_for));
    }
    page.push_str(FILLING);
    page.push_str("\n| filled in | in strings that are | and on the command line |\n| --- | --- | --- |\n");
    let rows = [
        ("all of them", Fills::All, ""),
        ("all but `{arch}`", Fills::AllButArch, "`-o`, `--tag`, `--cache-from`, `--set` of such a key"),
        ("`{arch}` alone", Fills::Arch, ""),
    ];
    for (what, fills, flags) in rows {
        let texts: Vec<String> =
            vocabulary::TEXTS.iter().filter(|text| text.fills() == fills).map(|text| named(text)).collect();
        let _ = writeln!(page, "| {what} | {} | {flags} |", texts.join(", "));
    }
}

const FILLING: &str = "
`{git.…}` and `{env.…}` take a default, for where there is no value (or an empty variable): `{git.tag:-none}`. Only these are special:
any other brace stands for itself, and `{{` is one brace. In tags and repositories, which can hold no brace, a word between braces
that is none of these is an error; where nothing is filled in (`cmd`, the text of `files`, patterns), one of these stays as it is, with a
warning. Where a program is to get it so, `\"\\u007Bimage}\"` is the same string, and no warning. `workdir`, `volumes`, `keyring` and a
user's `home` and `shell` are the same on all platforms: they take no `{arch}`.
";

fn of_table(page: &mut String, table: &Table) {
    let _ = writeln!(page, "\n## <a id=\"{}\"></a>{}\n\n{}\n", table.name, heading(table), table.doc);
    page.push_str("| key | holds | what it does |\n| --- | --- | --- |\n");
    for key in table.keys() {
        let _ = writeln!(page, "| `{}` | {} | {} |", key.name, cell(&of_kind(&key.kind)), cell(&of_key(key)));
    }
    if let Some(variant) = table.variants {
        let _ = writeln!(page, "| *the name of a variant* | {} | What this image's variant changes. |", link(variant));
    }
}

/// What a table is, with a capital.
fn heading(table: &Table) -> String {
    let mut letters = table.is.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn of_key(key: &Key) -> String {
    let required = if key.required { " **Required.**" } else { "" };
    format!("{}{required}{}", key.doc, of_words(&key.kind))
}

/// What the words mean that a key may have.
fn of_words(kind: &Kind) -> String {
    let one = |word: &Word| format!(" `\"{}\"`: {}", word.word, word.doc);
    match kind {
        Kind::Word(words) => words.iter().map(one).collect(),
        Kind::Any(kinds) => kinds.iter().map(of_words).collect(),
        Kind::List(item) => of_words(item),
        _ => String::new(),
    }
}

fn of_kind(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::False => "`false`".to_owned(),
        Kind::Integer { min, max } if min == max => min.to_string(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Text(text) => named(text),
        Kind::Word(words) => words.iter().map(|word| format!("`\"{}\"`", word.word)).collect::<Vec<_>>().join(" or "),
        Kind::Date => "a date".to_owned(),
        Kind::List(item) => format!("list of: {}", of_kind(item)),
        Kind::Table(table) => link(table),
        Kind::Map { key, value } => format!("{{ {} = {} }}", named(key), of_kind(value)),
        Kind::Any(kinds) => kinds.iter().map(of_kind).collect::<Vec<_>>().join(", or "),
    }
}

fn named(text: &Text) -> String {
    format!("[{}](#text-{})", text.name, text.name)
}

fn link(table: &Table) -> String {
    format!("[{}](#{})", table.is, table.name)
}

/// Text that ends no cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Text as code, backticks in it too.
fn code(text: &str) -> String {
    let text = cell(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_made_from_the_vocabulary() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipe.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            there == reference(),
            "docs/recipe.md is out of date: `lapstrake schema --markdown > docs/recipe.md` makes it anew"
        );
    }

    #[test]
    fn links_lead_somewhere() {
        let page = reference();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            assert!(page.contains(&format!("<a id=\"{link}\"></a>")), "{link}");
        }
    }
}
