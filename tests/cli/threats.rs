//! `tests/THREATS.md` names a test for each thing that a builder must survive; this one holds it to that.

use std::fs;
use std::path::Path;

use super::semantics::read_sources;

#[test]
fn every_threat_has_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("tests/THREATS.md")).unwrap();
    let mut sources = String::new();
    for directory in ["src", "tests"] {
        read_sources(&root.join(directory), &mut sources);
    }
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| case")).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|row| !row.starts_with("| ---")).collect();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let lines: Vec<&str> = sources.lines().collect();
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let function = name.rsplit("::").next().unwrap();
            assert!(is_test(&lines, function), "there is no test {name}: {row}");
        }
    }
}

/// Whether a function of that name is a test: what stands above it, up to the end of what is before, says so.
fn is_test(lines: &[&str], function: &str) -> bool {
    let start = format!("fn {function}(");
    let named = lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with(&start));
    named.into_iter().any(|(at, _)| {
        let above = lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
        above.into_iter().any(|line| line == "#[test]")
    })
}

/// Would fail if anything that is called so passed for a test.
#[test]
fn only_what_is_marked_as_a_test_is_one() {
    let sources = "/// Why.\n#[test]\n/// More.\n#[ignore]\n    fn shown() {\n}\n\nfn other() {}\n#[test]\n\nfn apart() {}\n// fn told() {}\n";
    let lines: Vec<&str> = sources.lines().collect();
    assert!(is_test(&lines, "shown"));
    for name in ["other", "apart", "told", "show", "gone"] {
        assert!(!is_test(&lines, name), "{name}");
    }
}
