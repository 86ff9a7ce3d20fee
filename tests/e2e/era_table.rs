//! The table of eras (docs/eras.md) has a test for every cell, and every test that it names exists.

use std::{fs, path::Path};

/// The rows of the table that stands under a heading, each as its cells.
fn table<'t>(text: &'t str, heading: &str) -> Vec<Vec<&'t str>> {
    let (_, section) = text.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    // The first two are the head and the line under it.
    cells.skip(2).collect()
}

#[test]
fn every_cell_of_the_table_of_eras_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("docs/eras.md")).unwrap();
    let (rules, proofs) = (table(&text, "What happens"), table(&text, "What shows it"));
    assert!(rules.len() > 15, "{}", rules.len());
    assert_eq!(
        rules.iter().map(|row| row[0]).collect::<Vec<_>>(),
        proofs.iter().map(|row| row[0]).collect::<Vec<_>>(),
        "both tables have the same rows"
    );
    for (rule, proof) in rules.iter().zip(&proofs) {
        assert_eq!(rule.len(), 5, "{rule:?}");
        assert_eq!(proof.len(), 5, "{proof:?}");
        for (cell, shown) in rule.iter().zip(proof).skip(1) {
            assert!(!cell.is_empty(), "{rule:?}");
            let named: Vec<_> = shown.split('`').filter_map(|part| part.split_once("::")).collect();
            assert!(!named.is_empty(), "{}: no test shows: {cell}", rule[0]);
            for (file, test) in named {
                let source = fs::read_to_string(root.join(format!("tests/e2e/{file}.rs")));
                let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(
                    source.contains(&format!("\nasync fn {test}()")),
                    "{}: {file} has no test {test}",
                    rule[0]
                );
            }
        }
    }
}
