//! The nearest of the names that exist to one that does not, for messages.

/// Longer names are not compared.
const MAX_LENGTH: usize = 128;

/// The name that was probably meant: at most a third of its letters differ. Letter case does not count; among equals the
/// first is taken.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.chars().flat_map(char::to_lowercase).collect();
    if wanted.is_empty() || wanted.len() > MAX_LENGTH {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let letters: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
        let longer = wanted.len().max(letters.len());
        let limit = (longer / 3).max(1);
        if letters.len() > MAX_LENGTH || wanted.len().abs_diff(letters.len()) > limit {
            continue;
        }
        let edits = edits(&wanted, &letters);
        if edits <= limit && edits < longer && best.is_none_or(|(least, _)| edits < least) {
            best = Some((edits, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Letters to insert, delete, replace, or swap with their neighbour, to get from one to the other.
fn edits(from: &[char], to: &[char]) -> usize {
    // Rows of the usual table: two before, one before, this one.
    let mut older = vec![0; to.len() + 1];
    let mut old: Vec<usize> = (0..=to.len()).collect();
    for (i, x) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(to.len() + 1);
        row.push(i + 1);
        for (j, y) in to.iter().enumerate() {
            let mut least = (old[j] + usize::from(x != y)).min(old[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == to[j - 1] && from[i - 1] == *y {
                least = least.min(older[j - 1] + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut old, row);
    }
    old[to.len()]
}

/// `; did you mean X?` for the end of a message, or nothing.
pub(crate) fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {}?", crate::shown::Shown::new(name.as_bytes())),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["common", "config", "scripts", "eveai_app", "README.md"];
        for (wanted, meant) in [
            ("comon", Some("common")),
            ("cofnig", Some("config")),
            ("Scripts", Some("scripts")),
            ("readme.md", Some("README.md")),
            ("eveai-app", Some("eveai_app")),
            ("src", None),
            ("", None),
        ] {
            assert_eq!(nearest(wanted, names), meant, "{wanted}");
        }
    }
}
