//! The nearest known word to one that is not known.

/// The number of single-character edits (insert, delete, replace, swap of neighbours) from one word to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The known word that was probably meant: at most a third of its letters differ, or it is an abbreviation of one.
/// Letter case and the choice between `-` and `_` do not count. Among equals the first one is taken.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let plain = |word: &str| -> Vec<char> {
        word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let wanted = plain(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let letters = plain(candidate);
        let far = if wanted.len() >= 3 && letters.starts_with(&wanted) { 1 } else { distance(&wanted, &letters) };
        let limit = (letters.len().max(wanted.len()) / 3).max(1);
        if far <= limit && far < letters.len() && best.is_none_or(|(nearest, _)| far < nearest) {
            best = Some((far, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["entrypoint", "env", "exclude", "volumes", "stop_signal", "cmd", "to"];
        for (word, meant) in [
            ("entrypont", Some("entrypoint")),
            ("evn", Some("env")),
            ("Env", Some("env")),
            ("stop-signal", Some("stop_signal")),
            ("vol", Some("volumes")),
            ("exlcude", Some("exclude")),
            ("comand", None),
            ("x", None),
            ("", None),
            ("ot", Some("to")),
            ("zzzzzz", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
