//! The invariants of ARCHITECTURE.md: arrows between crates, purity of the rules, short files,
//! and a case for every cited requirement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Which crates of ours each crate may depend on, tests aside.
const ARROWS: [(&str, &[&str]); 8] = [
    ("shared", &[]),
    ("keys", &["shared"]),
    ("store", &[]),
    ("web", &["shared"]),
    ("auth-server", &["keys", "shared", "store", "web"]),
    ("gateway", &["keys", "shared", "store", "web"]),
    ("crm", &["shared", "store"]),
    ("cli", &["auth-server", "crm", "gateway", "keys", "shared", "store", "web"]),
];

/// Libraries that one crate alone may name.
const CONFINED: [(&str, &[&str]); 13] = [
    ("aws-lc-rs", &["keys"]),
    ("josekit", &["keys"]),
    ("p256", &["keys"]),
    ("redis", &["store"]),
    ("redb", &["store"]),
    ("argon2", &["auth-server"]),
    ("governor", &["web"]),
    ("mimalloc", &["cli"]),
    ("prometheus-client", &["web"]),
    ("prost", &["web"]),
    ("rustix", &["cli"]),
    ("rustls-native-certs", &["auth-server", "gateway", "web"]),
    ("serde-saphyr", &["gateway"]),
];

/// What pure code never mentions.
const IMPURE: [&str; 8] = [
    "async fn",
    "std::fs",
    "std::net::Tcp",
    "SystemTime",
    "Instant::now",
    "getrandom",
    "tokio::",
    "axum::",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file below a folder, by its path from the root, with its text.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A file without its tests and without comments.
fn code(text: &str) -> String {
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    own.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(krate, _)| *krate).collect();
    for (krate, allowed) in ARROWS {
        for dependency in dependencies(krate) {
            let follows = !ours.contains(dependency.as_str()) || allowed.contains(&&*dependency);
            assert!(follows, "{krate} may not depend on {dependency}");
        }
    }
}

#[test]
fn confined_libraries_stay_where_they_are() {
    for (library, homes) in CONFINED {
        for (krate, _) in ARROWS {
            if !homes.contains(&krate) {
                assert!(!dependencies(krate).contains(library), "{krate} may not use {library}");
            }
        }
    }
    for (name, text) in files("keys/src") {
        for (library, home) in
            [("aws_lc_rs", "jws.rs"), ("josekit", "jws.rs"), ("p256", "generate.rs")]
        {
            let names = code(&text).contains(&format!("{library}::"));
            assert!(!names || name.ends_with(home), "{name} names {library}");
        }
    }
}

#[test]
fn rules_and_shared_are_pure() {
    let folders = ["auth-server/src/rules", "gateway/src/rules", "shared/src"];
    for (name, text) in folders.into_iter().flat_map(files) {
        for word in IMPURE {
            let excepted = name == "shared/src/time.rs" && word == "SystemTime";
            assert!(excepted || !code(&text).contains(word), "{name} mentions {word}");
        }
    }
}

#[test]
fn rules_import_nothing_of_their_crate_but_rules() {
    for (name, text) in ["auth-server/src/rules", "gateway/src/rules"].into_iter().flat_map(files) {
        let code = code(&text);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let pub_crate = code[..at].ends_with('(');
            assert!(pub_crate || rest.starts_with("rules"), "{name}: crate::{rest:.20}");
        }
    }
}

#[test]
fn files_stay_short() {
    let folders = ARROWS.iter().map(|(krate, _)| *krate).chain(["tests"]);
    for (name, text) in folders.flat_map(files) {
        let own = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = own.lines().count();
        assert!(lines <= 400, "{name} has {lines} lines without its tests");
    }
}

/// `./check` gives time to the targets whose path has `fuzz`, and to no others.
#[test]
fn every_fuzz_target_is_one_that_is_given_time() {
    let mut targets = 0;
    for krate in ["auth-server", "cli", "gateway", "keys", "shared", "store", "web"] {
        for (name, text) in files(&format!("{krate}/src")) {
            let Some(at) = text.find("fuzz::run(") else { continue };
            let named = name.ends_with("fuzz.rs") || text[..at].contains("mod fuzz {");
            assert!(named, "{name} has a target outside of a module `fuzz`");
            targets += text.matches("fuzz::run(").count();
        }
    }
    assert!(targets > 20, "{targets}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    for (krate, _) in ARROWS {
        for (name, text) in files(&format!("{krate}/src")) {
            assert!(text.starts_with("//!"), "{name} does not say what it is");
        }
    }
}

/// Requirements by their citation, such as `RFC 7636 section 4.6`, in a text.
fn citations(text: &str) -> BTreeSet<String> {
    let text = text.replace("//!", " ").replace("///", " ").replace("//", " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(4)
        .filter_map(|window| match window {
            [rfc, number, "section", section] if rfc.trim_matches(['(', '"']) == "RFC" => {
                let section: String =
                    section.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                let section = section.trim_end_matches('.').to_owned();
                (!section.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
                    .then(|| format!("RFC {number} section {section}"))
            }
            _ => None,
        })
        .collect()
}

/// Where each requirement that a violation names is tested.
fn tested() -> BTreeMap<String, BTreeSet<String>> {
    let mut tested: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in files("tests/e2e") {
        if !name.ends_with("architecture.rs") {
            for citation in citations(&text) {
                tested.entry(citation).or_default().insert(name.clone());
            }
        }
    }
    tested
}

fn violations() -> BTreeMap<String, BTreeSet<String>> {
    let mut cited: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in ["auth-server/src/rules", "gateway/src/rules"].into_iter().flat_map(files) {
        for citation in citations(&text) {
            cited.entry(citation).or_default().insert(name.clone());
        }
    }
    cited
}

#[test]
fn every_requirement_of_a_violation_has_a_case() {
    let tested = tested();
    for path in [
        "auth-server/src/rules/untrusted_redirect.rs",
        "auth-server/src/rules/violation.rs",
        "gateway/src/rules/violation.rs",
    ] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        for citation in citations(&code(&text)) {
            assert!(tested.contains_key(&citation), "{path} cites {citation}, and no test does");
        }
    }
}

#[test]
fn the_requirement_map_is_as_generated() {
    let mut map = String::from(
        "# Requirements\n\nGenerated from the citations in rules and tests; `UPDATE_DOCS=1 cargo \
         nextest run -p tests requirement_map` writes it anew.\n\n| requirement | rule | test \
         |\n|---|---|---|\n",
    );
    let list = |names: Option<&BTreeSet<String>>| {
        let names = names.into_iter().flatten().map(|name| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let (cited, tested) = (violations(), tested());
    let all: BTreeSet<&String> = cited.keys().chain(tested.keys()).collect();
    for requirement in all {
        let (rule, test) = (list(cited.get(requirement)), list(tested.get(requirement)));
        writeln!(map, "| {requirement} | {rule} | {test} |").unwrap();
    }
    let path = root().join("docs/rfc-map.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &map).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let (written, wanted): (BTreeSet<&str>, BTreeSet<&str>) =
        (written.lines().collect(), map.lines().collect());
    let stale: Vec<_> = written.symmetric_difference(&wanted).collect();
    assert!(stale.is_empty(), "docs/rfc-map.md is stale: {stale:#?}");
}
