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
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let function = name.rsplit("::").next().unwrap();
            assert!(sources.contains(&format!("fn {function}(")), "there is no test {name}: {row}");
        }
    }
}
