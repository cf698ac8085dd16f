//! Messages about a recipe: file, line, column, the text underlined, what was expected, what to do.
//!
//! Everything that reads a recipe or acts on it reports through [`Diagnostic`], so that an error of a later stage (a source
//! that matches no file, a user that a base does not have) looks like an error of the parser and points at the same text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::{At, Span};
use crate::code::ErrorCode;
use crate::logins::{hide_credentials, hide_logins, on_boundaries, star};
use crate::shown::is_unseen;

/// One text that a recipe is made of, and the name it goes by in messages.
#[derive(Debug)]
struct Source {
    name: String,
    text: String,
}

/// The texts of a recipe: the file, then one for each `--set`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources(Arc<[Source]>);

impl Sources {
    /// The texts by name, the recipe's file first.
    pub(crate) fn new(texts: Vec<(String, String)>) -> Self {
        Sources(texts.into_iter().map(|(name, text)| Source { name: printable(name), text }).collect())
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> u16 {
        u16::try_from(self.0.len()).unwrap_or(u16::MAX)
    }

    fn get(&self, span: Span) -> Option<&Source> {
        self.0.get(usize::from(span.source))
    }

    /// The text behind a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span).and_then(|source| source.text.get(span.range())).unwrap_or_default()
    }

    /// All of the text that a source holds, by its index.
    pub(super) fn whole(&self, source: u16) -> &str {
        self.0.get(usize::from(source)).map_or("", |source| &source.text)
    }

    /// `FILE:LINE:COLUMN` of the first byte; lines and columns count from one, columns in characters.
    pub fn position(&self, span: Span) -> String {
        let Some((name, line, column)) = self.line_and_column(span) else { return String::new() };
        format!("{name}:{line}:{column}")
    }

    fn line_and_column(&self, span: Span) -> Option<(&str, usize, usize)> {
        let source = self.get(span)?;
        let before = source.text.get(..span.start as usize).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((&source.name, line, column))
    }

    /// The place of some bytes of a string value: exact where the string is written without escapes, else the whole string.
    pub fn within(&self, value: &At<impl AsRef<str>>, part: Range<usize>) -> Span {
        let (text, written) = (value.value.as_ref(), self.text(value.span));
        for (quote, newline) in [("\"\"\"", true), ("'''", true), ("\"", false), ("'", false)] {
            let Some(inner) = written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) else { continue };
            let skipped = match newline {
                true if inner.starts_with("\r\n") => 2,
                true if inner.starts_with('\n') => 1,
                _ => 0,
            };
            if inner[skipped..] == *text {
                let first = value.span.start as usize + quote.len() + skipped;
                return Span::new(value.span.source, first + part.start..first + part.end.min(text.len()));
            }
            break;
        }
        value.span
    }
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The recipe cannot be used.
    Error,
    /// The recipe can be used, but probably does not say what was meant.
    Warning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    span: Span,
    text: String,
}

/// One message about a recipe.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// None in a warning.
    code: Option<ErrorCode>,
    severity: Severity,
    message: String,
    sources: Sources,
    primary: Option<Label>,
    others: Vec<Label>,
    notes: Vec<(Note, String)>,
    hidden: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Note,
    Help,
}

/// How messages are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
    /// Lines of box-drawing characters, instead of ASCII.
    pub unicode: bool,
    /// Columns of the terminal; longer lines of the recipe are cut around what is underlined.
    pub width: usize,
}

impl Style {
    /// No colour, ASCII, 120 columns: what is written to logs and compared in tests.
    pub const PLAIN: Style = Style { color: false, unicode: false, width: 120 };
}

impl Default for Style {
    fn default() -> Self {
        Style::PLAIN
    }
}

impl Diagnostic {
    /// An error about the text of a span.
    pub fn error(code: ErrorCode, sources: &Sources, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { code: Some(code), ..Self::new(Severity::Error, sources, span, message) }
    }

    /// A warning about the text of a span.
    pub fn warning(sources: &Sources, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, sources, span, message)
    }

    fn new(severity: Severity, sources: &Sources, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code: None,
            severity,
            message: printable(message),
            sources: sources.clone(),
            primary: Some(Label { span, text: String::new() }),
            others: Vec::new(),
            notes: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// What is said under the line that underlines the text: what was expected there.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.text = printable(text);
        }
        self
    }

    /// A second place that the message is about.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.others.push(Label { span, text: printable(text) });
        self
    }

    /// A fact that helps to understand.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push((Note::Note, printable(text)));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.notes.push((Note::Help, printable(text)));
        self
    }

    /// The same, where there is something to say.
    #[must_use]
    pub fn maybe_help(self, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// Never shows the text of that span: stars stand in its place.
    #[must_use]
    pub fn hide(mut self, span: Span) -> Self {
        self.hidden.push(span);
        self
    }

    /// An error with a more specific code. Warnings have none.
    #[must_use]
    pub(crate) fn coded(mut self, code: ErrorCode) -> Self {
        self.code = self.code.map(|_| code);
        self
    }

    /// The code, that of a wrong value where there is none (in a warning).
    pub fn code(&self) -> ErrorCode {
        self.code.unwrap_or(ErrorCode::WrongValue)
    }

    /// How grave it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The message alone, without file, snippet and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is, where it is about one place.
    pub fn span(&self) -> Option<Span> {
        self.primary.as_ref().map(|label| label.span)
    }

    /// `FILE:LINE:COLUMN` of what is underlined.
    pub fn position(&self) -> Option<String> {
        self.span().map(|span| self.sources.position(span))
    }

    /// File, line and column of what is underlined, where it is in the file itself and not on the command line.
    pub fn in_file(&self) -> Option<(String, usize, usize)> {
        let span = self.span().filter(|span| span.source == 0)?;
        let (file, line, column) = self.sources.line_and_column(span)?;
        Some((file.to_owned(), line, column))
    }

    /// The lines of a source from the first to the last that a label is about, with stars in place of credentials: where
    /// they start, in bytes and in lines, and their text.
    fn shown_lines(&self, index: u16, labels: &[(&Label, AnnotationKind)]) -> (usize, usize, String) {
        let whole = self.sources.whole(index);
        let of_source = labels.iter().filter(|(label, _)| label.span.source == index);
        let ranges: Vec<Range<usize>> = of_source.map(|(label, _)| on_boundaries(whole, label.span.range())).collect();
        let first = ranges.iter().map(|range| range.start).min().unwrap_or(0);
        let last = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let start = whole[..first].rfind('\n').map_or(0, |newline| newline + 1);
        let end = whole[last..].find('\n').map_or(whole.len(), |newline| last + newline);
        let mut text = hide_credentials(&whole[start..end]);
        for span in self.hidden.iter().filter(|span| span.source == index) {
            let hidden = on_boundaries(whole, span.range());
            star(&mut text, hidden.start.clamp(start, end) - start..hidden.end.clamp(start, end) - start);
        }
        let line = whole[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        (start, line, text)
    }

    /// The message as it is printed, without a newline at the end.
    pub fn render(&self, style: Style) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let code = self.code.map(|code| code.to_string());
        let mut title = level.primary_title(self.message.as_str());
        if let Some(code) = &code {
            title = title.id(code.as_str());
        }
        let mut group = Group::with_title(title);
        let labels = self.primary.iter().map(|label| (label, AnnotationKind::Primary));
        let labels: Vec<_> = labels.chain(self.others.iter().map(|label| (label, AnnotationKind::Context))).collect();
        let mut drawn = Vec::new();
        for (label, _) in &labels {
            let index = label.span.source;
            if drawn.contains(&index) {
                continue;
            }
            drawn.push(index);
            let Some(source) = self.sources.get(label.span) else { continue };
            let (start, line, text) = self.shown_lines(index, &labels);
            let mut snippet = Snippet::source(text.clone()).line_start(line).path(source.name.as_str());
            for (label, kind) in labels.iter().filter(|(label, _)| label.span.source == index) {
                let range = on_boundaries(&source.text, label.span.range());
                let mut annotation = kind.span(on_boundaries(&text, range.start - start..range.end - start));
                if !label.text.is_empty() {
                    annotation = annotation.label(label.text.as_str());
                }
                snippet = snippet.annotation(annotation);
            }
            group = group.element(snippet);
        }
        if drawn.is_empty()
            && let Some(source) = self.sources.0.first()
        {
            group = group.element(Element::Origin(Origin::path(source.name.as_str())));
        }
        for (note, text) in &self.notes {
            let level = match note {
                Note::Note => Level::NOTE,
                Note::Help => Level::HELP,
            };
            group = group.element(level.message(text.as_str()));
        }
        let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
        let decor = if style.unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
        let drawn =
            renderer.hyperlink(false).decor_style(decor).term_width(style.width.clamp(40, 400)).render(&[group]);
        // The renderer replaces the control characters of ASCII; those beyond it are obeyed by terminals too.
        let drawn = drawn.replace(|c: char| !c.is_ascii() && is_unseen(c), "\u{fffd}");
        drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// Whether both say the same of the same place (one line of a recipe is read once for each image it applies to).
    pub(super) fn same_as(&self, other: &Diagnostic) -> bool {
        self.message == other.message && self.primary == other.primary
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::PLAIN))
    }
}

/// The text without logins, and with what is not seen by number: what a message quotes may come from anywhere, and goes to a
/// terminal.
fn printable(text: impl Into<String>) -> String {
    let text = text.into();
    let unfit = |c: char| is_unseen(c) && c != '\n';
    let text = hide_logins(&text);
    if !text.contains(unfit) {
        return text;
    }
    let shown = |c: char| if unfit(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Several messages about one recipe, in the order of its text. Never empty where it is an error.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// How many there were beyond the [`Diagnostics::SHOWN`] that are kept.
    left_out: usize,
}

impl Diagnostics {
    /// As many errors as are shown at once.
    pub const SHOWN: usize = 10;

    /// The first ones, in order; the rest is counted.
    pub(crate) fn of(mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.span()));
        let left_out = list.len().saturating_sub(Self::SHOWN);
        list.truncate(Self::SHOWN);
        Diagnostics { list, left_out }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The code of the first, which is the one to mend first.
    pub fn code(&self) -> ErrorCode {
        self.list.first().map_or(ErrorCode::WrongValue, Diagnostic::code)
    }

    /// All of them as they are printed, an empty line between two.
    pub fn render(&self, style: Style) -> String {
        let mut text: Vec<String> = self.list.iter().map(|diagnostic| diagnostic.render(style)).collect();
        if self.left_out > 0 {
            text.push(format!("{} more are not shown", self.left_out));
        }
        text.join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Diagnostics { list: vec![one], left_out: 0 }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::PLAIN))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources(text: &str) -> Sources {
        Sources::new(vec![("r.toml".to_owned(), text.to_owned())])
    }

    #[test]
    fn draws_file_line_column_and_help() {
        let sources = sources("recipe = 1\nfoo = 2\n");
        let diagnostic = Diagnostic::error(ErrorCode::UnknownKey, &sources, Span::new(0, 11..14), "unknown key `foo`")
            .label("not a key")
            .also(Span::new(0, 0..6), "after this")
            .help("did you mean `for`?");
        insta::assert_snapshot!(diagnostic, @r"
        error[L0103]: unknown key `foo`
         --> r.toml:2:1
          |
        1 | recipe = 1
          | ------ after this
        2 | foo = 2
          | ^^^ not a key
          |
          = help: did you mean `for`?
        ");
        assert_eq!(diagnostic.position().as_deref(), Some("r.toml:2:1"));
        assert!(diagnostic.render(Style { color: true, ..Style::PLAIN }).contains("\u{1b}["));
    }

    #[test]
    fn finds_parts_of_strings_where_nothing_is_escaped() {
        let text = "a = \"x{y}\"\nb = '''\nx{y}'''\nc = \"\\u0078{y}\"\n";
        let sources = sources(text);
        let place = |start: usize, end: usize| {
            let value = At::new("x{y}", Span::new(0, start..end));
            sources.text(sources.within(&value, 1..4)).to_owned()
        };
        assert_eq!(place(4, 10), "{y}");
        assert_eq!(place(15, 26), "{y}");
        assert_eq!(place(31, 42), "\"\\u0078{y}\"");
    }

    #[test]
    fn credentials_are_never_drawn() {
        let sources = sources("u = \"a\\u003ab@h/x\"");
        let hidden = Diagnostic::error(ErrorCode::WrongValue, &sources, Span::new(0, 4..18), "x")
            .hide(Span::new(0, 4..18))
            .to_string();
        assert!(hidden.contains("u = **************"), "{hidden}");
        let sources = Sources::new(vec![("r.toml".to_owned(), "u = \"me:pw@h/x\"".to_owned())]);
        let text = "there is no me:pw@h/x";
        let shown =
            Diagnostic::error(ErrorCode::WrongValue, &sources, Span::new(0, 4..15), text).label(text).help(text);
        assert!(!shown.to_string().contains("pw") && shown.to_string().contains("*****@h/x"), "{shown}");
    }

    #[test]
    fn what_is_quoted_is_fit_for_a_terminal() {
        let sources = Sources::new(vec![("r\u{1b}.toml".to_owned(), "a\u{1b} = 1\u{9b}\n".to_owned())]);
        let text = "x\u{1b}[31m\u{7}";
        let shown = Diagnostic::error(ErrorCode::WrongValue, &sources, Span::new(0, 0..2), text)
            .label(text)
            .note(text)
            .help(text);
        for style in [Style::PLAIN, Style { color: true, ..Style::PLAIN }] {
            let shown = shown.clone().also(Span::new(0, 5..6), text).render(style);
            let bare = shown.replace("\u{1b}[", "");
            assert!(!bare.contains(['\u{1b}', '\u{7}', '\u{9b}']) && !shown.contains("\u{1b}[31m\u{7}"), "{shown:?}");
            assert!(shown.contains("x\\u{1b}[31m\\u{7}"), "{shown:?}");
        }
        assert!(!shown.position().is_some_and(|position| position.contains('\u{1b}')));
    }

    proptest! {
        #[test]
        fn draws_anything(text in "(\\PC|[\r\n\t\u{0}\u{9b}\u{202e}é]){0,40}", a in 0..60usize, b in 0..60usize, c in 0..60usize) {
            let sources = sources(&text);
            let drawn = Diagnostic::error(ErrorCode::WrongValue, &sources, Span::new(0, a..b), text.clone())
                .also(Span::new(0, b..c), "b")
                .label("a")
                .render(Style { color: false, unicode: true, width: 50 });
            let clean = !drawn.contains(['\u{0}', '\u{202e}', '\u{1b}', '\u{9b}']);
            prop_assert!(clean);
        }
    }
}
