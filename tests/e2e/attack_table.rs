//! The table of attacks (docs/attacks.md) is complete, and every test that it names exists.

use std::{collections::BTreeMap, fs, path::Path};

/// The cases, by their first letter.
const CASES: [(&str, &[u32]); 8] = [
    (
        "A",
        &[
            1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 20, 21, 22, 23, 24, 25, 27, 28, 30,
            31, 32, 33, 34, 35,
        ],
    ),
    ("L", &[1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19, 20]),
    (
        "T",
        &[
            1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 23, 24, 25, 26, 27,
            29, 30, 31, 32, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        ],
    ),
    ("V", &[2, 3, 4, 5, 6, 7, 8, 9]),
    ("R", &[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 16, 18, 19, 20, 22, 23, 24]),
    ("K", &[1, 2, 4, 5, 7, 9, 10, 11, 13, 14, 15]),
    ("G", &[1, 2, 6, 8, 9, 10, 11]),
    ("O", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
];
const RULES: u32 = 36;
/// The last threat of RFC 9700 section 4.
const THREATS: u32 = 17;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The last cell of each row by its first.
fn rows(text: &str) -> BTreeMap<&str, &str> {
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            continue;
        };
        let (id, rest) = cells.split_once(" | ").unwrap();
        let (_, shown) = rest.rsplit_once(" | ").unwrap();
        assert!(rows.insert(id, shown).is_none(), "{id} stands twice");
    }
    rows
}

/// The tests that a cell names, each as its file and its function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').filter_map(|part| part.split_once("::")).collect()
}

#[test]
fn no_attack_is_missing_and_every_test_it_names_exists() {
    let text = fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let rows = rows(&text);
    let cases = CASES.iter().flat_map(|(letter, numbers)| {
        numbers.iter().map(move |number| format!("{letter}{number:02}"))
    });
    let rules = (1..=RULES).map(|rule| rule.to_string());
    let threats = (1..=THREATS).map(|threat| format!("4.{threat}"));
    for id in cases.chain(rules).chain(threats) {
        let cell = rows.get(id.as_str()).unwrap_or_else(|| panic!("no row {id}"));
        let tests = named(cell);
        assert!(!tests.is_empty(), "{id} names no test");
        for (file, test) in tests {
            let source = fs::read_to_string(root().join(file));
            let source = source.unwrap_or_else(|error| panic!("{id}: {file}: {error}"));
            let python = file.starts_with("tests/") && source.contains(&format!("def {test}("));
            let rust = ["#[test]", "#[tokio::test"].iter().any(|mark| source.contains(mark))
                && source.contains(&format!("fn {test}("));
            assert!(python || rust, "{id}: {file} has no test {test}");
        }
    }
}
