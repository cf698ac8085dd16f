//! What was built and pushed, as a table: for people, and in Markdown.

use std::collections::BTreeMap;
use std::time::Duration;

use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};
use lapstrake::build::Built;
use lapstrake::oci::Digest;
use lapstrake::place::Artifact;
use lapstrake::registry::Pushed;
use lapstrake::report::{Balance, Tally};

use super::{WORTH_SHOWING, bytes, seconds};

/// Tables with more lines tell of images in which nothing is new only how many they are.
const LONG: usize = 16;

/// What a build came to.
pub(crate) struct Summary {
    /// One for each image, in the order of the recipe.
    pub(super) rows: Vec<Row>,
    /// Layers that were made, those of several images once.
    pub(super) made: Tally,
    /// Blobs that were sent.
    pub(super) sent: Tally,
    /// How long it took.
    pub(super) took: Duration,
}

/// An image, with all its platforms.
pub(super) struct Row {
    pub(super) image: String,
    pub(super) variant: Option<String>,
    pub(super) digest: Digest,
    pub(super) reference: Option<String>,
    pub(super) balance: Balance,
    /// One for each repository that it was pushed to.
    pub(super) pushed: Vec<Pushed>,
    pub(super) took: Option<Duration>,
}

impl Row {
    /// What the recipe and progress call it.
    fn name(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}:{variant}", self.image),
            None => self.image.clone(),
        }
    }

    fn is_new(&self) -> bool {
        self.balance.made.count > 0 || self.pushed.iter().any(|pushed| !pushed.unchanged)
    }

    /// `3 of 5 layers`
    fn reused(&self) -> String {
        let reused = self.balance.reused().count;
        let all = reused + self.balance.made.count;
        let from = [("base", self.balance.base), ("cache", self.balance.cache), ("registry", self.balance.registry)];
        let from: Vec<String> = from
            .iter()
            .filter(|(_, tally)| tally.count > 0)
            .map(|(place, tally)| format!("{} {place}", tally.count))
            .collect();
        match from.is_empty() {
            true => format!("0/{all}"),
            false => format!("{reused}/{all} ({})", from.join(", ")),
        }
    }

    fn pushed(&self) -> String {
        match self.pushed.is_empty() {
            true => "-".to_owned(),
            false if self.pushed.iter().all(|pushed| pushed.unchanged) => "was there".to_owned(),
            false => bytes(self.pushed.iter().map(|pushed| pushed.uploaded.bytes).sum()),
        }
    }

    fn took(&self) -> String {
        self.took.map_or("-".to_owned(), seconds)
    }
}

impl Summary {
    /// Of what was built, and pushed of it.
    pub(crate) fn of(built: &[Built], pushed: &[(Artifact, Pushed)]) -> Self {
        let row = |built: &Built| {
            let mut balance = Balance::default();
            built.images.iter().for_each(|platform| balance += platform.balance);
            let name = built.artifact.fallback.text();
            let is_of = |(artifact, _): &&(Artifact, Pushed)| artifact.fallback.text() == name;
            Row {
                image: built.name.image.clone(),
                variant: built.name.variant.clone(),
                digest: built.artifact.digest(),
                reference: built.artifact.names.first().map(ToString::to_string),
                balance,
                pushed: pushed.iter().filter(is_of).map(|(_, pushed)| pushed.clone()).collect(),
                took: None,
            }
        };
        let layers = built.iter().flat_map(|built| &built.images).flat_map(|platform| &platform.layers);
        let distinct: BTreeMap<Digest, u64> = layers
            .filter(|(_, layer)| !layer.reused)
            .map(|(_, layer)| (layer.descriptor.digest, layer.descriptor.size))
            .collect();
        let mut made = Tally::default();
        distinct.values().for_each(|size| made.add(*size));
        let mut sent = Tally::default();
        pushed.iter().for_each(|(_, pushed)| sent += pushed.uploaded);
        Summary { rows: built.iter().map(row).collect(), made, sent, took: Duration::ZERO }
    }

    /// With how long it took, all and each.
    pub(super) fn timed(mut self, took: Duration, of: impl Fn(&str) -> Option<Duration>) -> Self {
        self.took = took;
        for row in &mut self.rows {
            row.took = of(&row.name());
        }
        self
    }

    /// How many layers were made although they were found, and were the same.
    pub(super) fn compared(&self) -> u64 {
        self.rows.iter().map(|row| row.balance.compared).sum()
    }

    fn is_pushed(&self) -> bool {
        self.rows.iter().any(|row| !row.pushed.is_empty())
    }

    /// Whether anything was done, or it took a while.
    pub(super) fn is_worth_telling(&self) -> bool {
        self.is_table() || self.compared() > 0
    }

    fn is_table(&self) -> bool {
        self.took >= WORTH_SHOWING || self.rows.iter().any(Row::is_new)
    }

    /// `3 images in 2.1s: 4.50 MiB new, 4.50 MiB sent`
    fn total(&self) -> String {
        let images = self.rows.len();
        let plural = if images == 1 { "" } else { "s" };
        let mut text = format!("{images} image{plural} in {}: ", seconds(self.took));
        match self.made.count {
            0 => text.push_str("nothing new"),
            _ => text.push_str(&format!("{} new", bytes(self.made.bytes))),
        }
        if self.is_pushed() {
            let there: u64 = self
                .rows
                .iter()
                .flat_map(|row| &row.pushed)
                .map(|pushed| pushed.present.bytes + pushed.mounted.bytes)
                .sum();
            text.push_str(&format!(", {} sent, {} there or mounted", bytes(self.sent.bytes), bytes(there)));
        }
        match self.compared() {
            0 => {}
            1 => text.push_str(", 1 layer made again and the same"),
            count => text.push_str(&format!(", {count} layers made again and all the same")),
        }
        text
    }

    /// The images that a table tells of, and how many it leaves out.
    fn told(&self) -> (Vec<&Row>, usize) {
        let told: Vec<&Row> = self.rows.iter().filter(|row| self.rows.len() <= LONG || row.is_new()).collect();
        let left = self.rows.len() - told.len();
        (told, left)
    }

    /// What was pushed under several tags: standard output has the first of them.
    fn tags(&self) -> Vec<String> {
        let several = |row: &Row| {
            let pushed = row
                .pushed
                .iter()
                .filter(|pushed| !pushed.tags.is_empty() && (pushed.tags.len() > 1 || row.pushed.len() > 1));
            let name = row.name();
            pushed
                .map(|pushed| format!("{name}: {} in {}", pushed.tags.join(", "), pushed.repository))
                .collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(several).collect()
    }

    /// The columns, the least needed last, with their texts.
    fn columns(&self, rows: &[&Row]) -> Vec<Column> {
        let column = |title, is_number, text: &dyn Fn(&Row) -> String| Column {
            title,
            is_number,
            texts: rows.iter().map(|row| text(row)).collect(),
        };
        let mut columns = vec![column("image", false, &|row| row.image.clone())];
        if rows.iter().any(|row| row.variant.is_some()) {
            columns.push(column("variant", false, &|row| row.variant.clone().unwrap_or_else(|| "-".to_owned())));
        }
        columns.push(column("digest", false, &|row| row.digest.short()));
        columns.push(column("size", true, &|row| bytes(row.balance.size)));
        columns.push(column("new", true, &|row| bytes(row.balance.made.bytes)));
        columns.push(column("reused", false, &Row::reused));
        if self.is_pushed() {
            columns.push(column("sent", true, &Row::pushed));
        }
        columns.push(column("time", true, &Row::took));
        columns
    }

    /// For people, no wider than that; short where there is nothing to tell.
    pub(super) fn table(&self, width: usize, color: bool) -> String {
        let total = truncate_str(&self.total(), width, "…").into_owned();
        if !self.is_table() {
            return format!("{total}\n");
        }
        let (rows, left) = self.told();
        let mut columns = self.columns(&rows);
        // What says least goes first.
        for title in ["reused", "digest", "size", "time", "sent", "variant"] {
            if line_width(&columns) > width {
                columns.retain(|column| column.title != title);
            }
        }
        let dim = Style::new().dim().force_styling(color);
        let bold = Style::new().bold().force_styling(color);
        let mut text = String::new();
        let mut line = |style: &Style, cell: &dyn Fn(&Column) -> String| {
            let cells: Vec<String> = columns.iter().map(|column| column.padded(&cell(column))).collect();
            let line = cells.join("  ");
            text.push_str(&style.apply_to(truncate_str(line.trim_end(), width, "…")).to_string());
            text.push('\n');
        };
        if !rows.is_empty() {
            line(&dim, &|column| column.title.to_uppercase());
        }
        for (number, row) in rows.iter().enumerate() {
            let style = if row.is_new() { Style::new() } else { dim.clone() };
            line(&style, &|column| column.texts.get(number).cloned().unwrap_or_default());
        }
        if left > 0 {
            let told = format!("{left} {}images in which nothing is new", if rows.is_empty() { "" } else { "more " });
            line_of(&mut text, &dim, &told, width);
        }
        for tags in self.tags() {
            line_of(&mut text, &dim, &tags, width);
        }
        line_of(&mut text, &bold, &total, width);
        text
    }

    /// For the page of a run.
    pub(super) fn markdown(&self) -> String {
        let rows: Vec<&Row> = self.rows.iter().collect();
        let columns = self.columns(&rows);
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = String::from("### lapstrake build\n\n");
        text.push_str(&line(columns.iter().map(|column| column.title.to_owned()).collect()));
        let rule = |column: &Column| if column.is_number { "---:" } else { "---" }.to_owned();
        text.push_str(&line(columns.iter().map(rule).collect()));
        for number in 0..rows.len() {
            let cell = |column: &Column| match (column.title, column.texts.get(number)) {
                ("digest", _) => rows.get(number).map(|row| format!("`{}`", row.digest)).unwrap_or_default(),
                (_, Some(text)) => text.replace('|', "\\|"),
                (_, None) => String::new(),
            };
            text.push_str(&line(columns.iter().map(cell).collect()));
        }
        for tags in self.tags() {
            text.push_str(&format!("\n{tags}\n"));
        }
        text.push_str(&format!("\n{}\n\n", self.total()));
        text
    }
}

fn line_of(text: &mut String, style: &Style, line: &str, width: usize) {
    text.push_str(&style.apply_to(truncate_str(line, width, "…")).to_string());
    text.push('\n');
}

/// A column of a table.
struct Column {
    title: &'static str,
    /// Numbers stand at the right.
    is_number: bool,
    texts: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let widths = self.texts.iter().map(|text| measure_text_width(text));
        widths.max().unwrap_or(0).max(self.title.len())
    }

    fn padded(&self, text: &str) -> String {
        let alignment = if self.is_number { Alignment::Right } else { Alignment::Left };
        pad_str(text, self.width(), alignment, None).into_owned()
    }
}

fn line_width(columns: &[Column]) -> usize {
    columns.iter().map(Column::width).sum::<usize>() + 2 * columns.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(count: u64, bytes: u64) -> Tally {
        Tally { count, bytes }
    }

    fn row(image: &str, variant: Option<&str>, made: Tally, cache: Tally) -> Row {
        let base = tally(2, 30 << 20);
        Row {
            image: image.to_owned(),
            variant: variant.map(str::to_owned),
            digest: Digest::of(image.as_bytes()),
            reference: None,
            balance: Balance { size: base.bytes + made.bytes + cache.bytes, made, base, cache, ..Balance::default() },
            pushed: Vec::new(),
            took: Some(Duration::from_millis(1250)),
        }
    }

    fn summary(rows: Vec<Row>) -> Summary {
        Summary { rows, made: tally(2, 5 << 20), sent: Tally::default(), took: Duration::from_secs(75) }
    }

    #[test]
    fn columns_are_aligned_and_go_where_there_is_no_room() {
        let rows = || {
            vec![
                row("app", Some("k8s"), tally(1, 5 << 20), tally(2, 1000)),
                row("frontend", None, tally(0, 0), tally(1, 7)),
            ]
        };
        let text = summary(rows()).table(120, false);
        insta::assert_snapshot!(text, @r"
        IMAGE     VARIANT  DIGEST             SIZE       NEW  REUSED                 TIME
        app       k8s      a172cedcae47  35.00 MiB  5.00 MiB  4/5 (2 base, 2 cache)  1.2s
        frontend  -        1cf387c012cd  30.00 MiB       0 B  3/3 (2 base, 1 cache)  1.2s
        2 images in 1m 15s: 5.00 MiB new
        ");
        assert!(!text.contains('\u{1b}') && summary(rows()).table(120, true).contains('\u{1b}'));
        for width in 10..130 {
            for line in summary(rows()).table(width, true).lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line:?}");
            }
        }
        assert!(summary(rows()).table(60, false).starts_with("IMAGE     VARIANT"));
    }

    #[test]
    fn every_tag_that_was_set_is_told() {
        let pushed = |tags: &[&str]| Pushed {
            repository: "r.example.com/app".to_owned(),
            digest: Digest::of(b"app"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            unchanged: false,
            uploaded: tally(1, 1),
            mounted: tally(0, 0),
            present: tally(0, 0),
        };
        let with = |tags: &[&str]| {
            let row = Row { pushed: vec![pushed(tags)], ..row("app", None, tally(1, 5), tally(0, 0)) };
            summary(vec![row])
        };
        let told = "app: latest, 1.2 in r.example.com/app";
        let text = with(&["latest", "1.2"]).table(120, false);
        assert!(text.contains(&format!("\n{told}\n")), "{text}");
        assert!(with(&["latest", "1.2"]).markdown().contains(&format!("\n\n{told}\n\n")));
        assert!(with(&["latest", "1.2"]).table(20, false).lines().all(|line| measure_text_width(line) <= 20));
        let one = with(&["latest"]).table(120, false);
        assert!(!one.contains("latest"), "standard output has it: {one}");
    }

    #[test]
    fn of_many_images_those_are_told_in_which_something_is_new() {
        let mut rows: Vec<Row> =
            (0..40).map(|number| row(&format!("s{number}"), None, tally(0, 0), tally(1, 1))).collect();
        rows.push(row("changed", None, tally(1, 5), tally(0, 0)));
        let text = summary(rows).table(100, false);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("changed") && text.contains("40 more images in which nothing is new\n"), "{text}");
    }

    #[test]
    fn a_page_gets_a_table_with_whole_digests() {
        let text = summary(vec![row("a|b", None, tally(1, 5), tally(0, 0))]).markdown();
        assert!(text.contains("| image | digest | size | new | reused | time |\n| --- | --- | ---: |"), "{text}");
        assert!(text.contains(&format!("| a\\|b | `{}` |", Digest::of(b"a|b"))), "{text}");
        assert!(text.ends_with("\n1 image in 1m 15s: 5.00 MiB new\n\n"), "{text}");
    }
}
