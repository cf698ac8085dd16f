//! From text to instructions as they are written: directives at the top, lines joined, heredocs set apart.

use std::ops::Range;

use super::instruction::Heredoc;
use super::words::heredoc_words;
use super::{Outcome, Source};
use crate::recipe::Diagnostics;

/// What a file comes to.
pub(super) struct Lines {
    /// The character that continues lines and takes a meaning away.
    pub(super) escape: char,
    pub(super) lines: Vec<Line>,
}

/// One instruction, joined from its lines.
pub(super) struct Line {
    /// Without continuations and the comments between them.
    pub(super) text: String,
    /// Number of its first line, from one.
    pub(super) number: usize,
    /// All that it takes of the file, heredocs too.
    pub(super) range: Range<usize>,
    pub(super) heredocs: Vec<Heredoc>,
    /// Where parts of `text` stand in the file: offset in the text, offset in the file.
    origins: Vec<(usize, usize)>,
}

impl Line {
    /// Where a part of the joined text stands in the file.
    pub(super) fn place(&self, part: Range<usize>) -> Range<usize> {
        let at = |offset: usize| {
            let piece = self.origins.iter().rev().find(|(start, _)| *start <= offset);
            piece.map_or(self.range.start, |(start, origin)| origin + (offset - start))
        };
        let start = at(part.start);
        // The end is told by the last byte, or it would be at the start of the line after.
        let end = if part.end > part.start { at(part.end - 1) + 1 } else { start };
        start..end.max(start)
    }
}

/// Lines of the file with the offset at which each starts, without their ends.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut all = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let plain = line.strip_suffix('\n').unwrap_or(line);
        all.push((start, plain.strip_suffix('\r').unwrap_or(plain)));
        start += line.len();
    }
    all
}

pub(super) fn read(source: &Source, text: &str) -> Result<Lines, Diagnostics> {
    read_lines(source, text).map_err(|wrong| Diagnostics::from(*wrong))
}

fn read_lines(source: &Source, text: &str) -> Outcome<Lines> {
    let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut all = split(&text[skipped..]);
    all.iter_mut().for_each(|(start, _)| *start += skipped);
    let escape = directives(source, &all)?;
    let mut lines = Vec::new();
    let mut next = 0;
    while let Some((start, first)) = all.get(next).copied() {
        let number = next + 1;
        next += 1;
        let trimmed = first.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut line = Line {
            text: String::new(),
            number,
            range: start + (first.len() - trimmed.len())..start + first.len(),
            heredocs: Vec::new(),
            origins: Vec::new(),
        };
        let mut open = line.add(trimmed, line.range.start, escape);
        while open {
            let Some((start, more)) = all.get(next).copied() else { break };
            next += 1;
            if more.trim_start().starts_with('#') || more.trim().is_empty() {
                continue;
            }
            open = line.add(more, start, escape);
            line.range.end = start + more.len();
        }
        if line.text.trim().is_empty() {
            continue;
        }
        for mut heredoc in heredoc_words(&line.text) {
            let mut ended = false;
            while let Some((start, more)) = all.get(next).copied() {
                next += 1;
                line.range.end = start + more.len();
                let shown = if heredoc.chomp { more.trim_start_matches('\t') } else { more };
                if shown == heredoc.name {
                    ended = true;
                    break;
                }
                heredoc.text.push_str(shown);
                heredoc.text.push('\n');
            }
            if !ended {
                let place = line.place(heredoc.place.clone());
                let wrong = source.error(place, format!("the heredoc `{}` has no end", heredoc.name));
                return Err(Box::new(wrong.label(format!("expected a line `{}` below", heredoc.name))));
            }
            line.heredocs.push(heredoc);
        }
        lines.push(line);
    }
    Ok(Lines { escape, lines })
}

impl Line {
    /// Adds a line, and says whether it goes on. An escape that is itself escaped continues nothing.
    fn add(&mut self, part: &str, origin: usize, escape: char) -> bool {
        self.origins.push((self.text.len(), origin));
        let bare = part.trim_end_matches([' ', '\t']);
        match bare.strip_suffix(escape) {
            Some(before) if !before.ends_with(escape) => {
                self.text.push_str(before);
                true
            }
            _ => {
                self.text.push_str(part);
                false
            }
        }
    }
}

/// The escape character, from the comments at the very top.
fn directives(source: &Source, all: &[(usize, &str)]) -> Outcome<char> {
    let mut escape = '\\';
    let mut seen: Vec<String> = Vec::new();
    for (start, line) in all {
        let Some((name, value)) = directive(line) else { break };
        let name = name.to_ascii_lowercase();
        if !["syntax", "escape", "check"].contains(&name.as_str()) {
            continue;
        }
        let range = *start..start + line.len();
        if seen.contains(&name) {
            let wrong = source.error(range, format!("the directive `{name}` is given twice"));
            return Err(Box::new(wrong.label("expected once")));
        }
        if name == "escape" {
            escape = match value {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    let wrong = source.error(range, "the directive `escape` names no escape character");
                    return Err(Box::new(wrong.label("expected a backslash or a backquote")));
                }
            };
        }
        seen.push(name);
    }
    Ok(escape)
}

/// `# name = value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (good && !value.is_empty()).then_some((name, value))
}
