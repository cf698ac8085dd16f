//! `test` and `[`, as far as what they ask is known.

use super::scope::Field;

/// Whether the words of a test hold; `None` where that is not known.
pub(super) fn holds(words: &[Field]) -> Option<bool> {
    match words {
        [] => Some(false),
        [one] => one.text().map(|text| !text.is_empty()),
        [not, rest @ ..] if not.text() == Some("!") && rest.len() < 4 => holds(rest).map(|holds| !holds),
        [operator, value] => {
            let value = filled(value);
            match operator.text()? {
                "-n" => value,
                "-z" => value.map(|filled| !filled),
                _ => None,
            }
        }
        [left, operator, right] => {
            let (left, right) = (left.text(), right.text());
            match operator.text()? {
                "=" => Some(left? == right?),
                // Not every shell knows it: where it does not, the test fails.
                "==" => (left? != right?).then_some(false),
                "!=" => Some(left? != right?),
                "-a" => Some(!left?.is_empty() && !right?.is_empty()),
                "-o" => Some(!left?.is_empty() || !right?.is_empty()),
                operator => {
                    let (left, right): (i64, i64) = (left?.parse().ok()?, right?.parse().ok()?);
                    match operator {
                        "-eq" => Some(left == right),
                        "-ne" => Some(left != right),
                        "-lt" => Some(left < right),
                        "-le" => Some(left <= right),
                        "-gt" => Some(left > right),
                        "-ge" => Some(left >= right),
                        _ => None,
                    }
                }
            }
        }
        words => {
            // Longer ones are ambiguous in general; here all must be known, and the parts be short.
            if words.iter().any(|word| word.text().is_none() || matches!(word.text(), Some("(" | ")"))) {
                return None;
            }
            let cut = |sign: &'static str| words.split(move |word| word.text() == Some(sign));
            match words.iter().any(|word| word.text() == Some("-o")) {
                true => cut("-o").try_fold(false, |any, part| Some(any | holds_part(part)?)),
                false => cut("-a").try_fold(true, |all, part| Some(all & holds_part(part)?)),
            }
        }
    }
}

fn holds_part(words: &[Field]) -> Option<bool> {
    match words.len() {
        0 => None,
        1..=3 => holds(words),
        _ if words.iter().any(|word| word.text() == Some("-a")) => holds(words),
        _ => None,
    }
}

/// Whether a word has anything in it.
fn filled(word: &Field) -> Option<bool> {
    match word.many {
        true => None,
        false if word.open => (!word.text.is_empty()).then_some(true),
        false => Some(!word.text.is_empty()),
    }
}
