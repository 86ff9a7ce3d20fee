//! The page of security events names every event there is, and no other.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)).unwrap()
}

/// `SignedIn` as it is written in the log.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The variants of the enum, each of which begins a line at the first indentation.
fn in_the_code() -> BTreeSet<String> {
    let text = read("auth-server/src/audit.rs");
    let body = text.split("enum Event<'a> {\n").nth(1).unwrap().split("\n}").next().unwrap();
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let name =
        |line: &str| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
    variants.map(|line| snake_case(&name(line))).collect()
}

/// The names in the first column of the page's table.
fn on_the_page() -> BTreeSet<String> {
    let text = read("docs/operate/audit.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn the_page_of_security_events_is_complete() {
    let (code, page) = (in_the_code(), on_the_page());
    assert!(code.contains("signed_in") && code.contains("consent_given"), "{code:?}");
    assert_eq!(code, page, "docs/operate/audit.md and auth-server/src/audit.rs");
}
