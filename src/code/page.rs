//! What is said about a code, on a terminal and in the documentation.

use std::fmt::Write;

use super::ErrorCode;

/// What there is to say about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What happened, as a fragment.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Why it happens.
    pub why: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Lines of a recipe or a shell that show it, or how it is mended.
    pub example: &'static str,
}

impl Page {
    /// As text for a terminal of so many columns.
    pub fn text(&self, code: ErrorCode, width: usize) -> String {
        let mut out = format!("{code}: {}\n\n", self.title);
        for (head, text) in [("", self.meaning), ("Why: ", self.why), ("What to do: ", self.remedy)] {
            out.push_str(&wrapped(&format!("{head}{text}"), width));
            out.push('\n');
        }
        for line in self.example.lines() {
            let _ = writeln!(out, "{}", format!("    {line}").trim_end());
        }
        out
    }
}

/// `docs/errors.md`: all pages, by area.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Errors\n\nEvery error has a code, which stays what it is; `lapstrake help L0301` prints its page. \
         This file is made from `src/code/pages`: change those, and see ARCHITECTURE.md.\n",
    );
    let mut area = "";
    for &code in ErrorCode::ALL {
        if area != code.area() {
            area = code.area();
            let _ = write!(out, "\n## {area}\n");
        }
        let page = code.page();
        let _ = write!(
            out,
            "\n### {code}: {}\n\n{}\n\n**Why:** {}\n\n**What to do:** {}\n\n```text\n{}\n```\n",
            page.title, page.meaning, page.why, page.remedy, page.example
        );
    }
    out
}

/// Lines of at most so many columns, where words allow it.
fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_fit_a_terminal() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree\n");
        assert_eq!(wrapped("immeasurable x", 4), "immeasurable\nx\n");
        let text = ErrorCode::Ignored.page().text(ErrorCode::Ignored, 80);
        assert!(text.starts_with("L0302: `copy` names what the ignore file leaves out\n\nThe path is there"), "{text}");
        assert!(text.contains("\n\nWhy: ") && text.contains("\n\nWhat to do: "), "{text}");
        assert!(text.ends_with("\n\n    dist/*\n    !dist/app\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
