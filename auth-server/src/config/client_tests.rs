//! What a `[[client]]` table may say.

use super::*;
use crate::testing;

fn table(text: &str) -> Result<Client, Vec<String>> {
    let raw: RawClient = toml::from_str(text).unwrap();
    let read = |file: &str| match file {
        "empty" => Ok("\n".to_owned()),
        "missing" => Err("cannot be read".to_owned()),
        other => Ok(format!("{other}\n")),
    };
    let mut problems = Vec::new();
    let client = resolve(&raw, 0, &testing::deployment(), &read, Ok(None), &mut problems);
    client.ok_or_else(|| problems.iter().map(|problem| problem.place.clone()).collect())
}

#[test]
fn a_service_is_a_client_with_a_secret_scopes_and_workspaces() {
    let text = r#"
        id = "nightly"
        name = "Nightly"
        grant_types = ["client_credentials"]
        secret_file = "new"
        secret = [{ file = "old", until = "2026-12-31T01:00:00+01:00" }]
        service = { scopes = ["contacts:read"], workspaces = ["ws_acme"] }
    "#;
    let client = table(text).unwrap();
    let service = client.service.unwrap();
    let (resource, scope) = service.scopes.first_key_value().unwrap();
    assert_eq!(
        (resource.as_str(), scope.to_string()),
        ("http://localhost:7400/mcp", "contacts:read".to_owned())
    );
    assert_eq!(service.workspaces.len(), 1);
    assert!(!client.refreshes && client.redirects.is_empty());
    let ClientAuth::Secret { secrets, .. } = client.auth else { panic!("a secret") };
    let ends: Vec<_> = secrets.iter().map(|secret| secret.expires.map(Timestamp::secs)).collect();
    assert_eq!(ends, [None, Some(1_798_675_200)]);
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    let rest = "name = \"N\"\n";
    for (text, place) in [
        ("id = \"usr_1\"\nredirect_uris = [\"https://a.example/\"]", "client[0].id"),
        ("id = \"a\"\nredirect_uris = [\"ftp://a\"]", "client[0].redirect_uris"),
        ("id = \"a\"", "client[0].redirect_uris"),
        ("id = \"a\"\ngrant_types = [\"password\"]", "client[0].grant_types"),
        (
            "id = \"a\"\nredirect_uris = [\"https://a.example/\"]\nsecret_file = \"empty\"",
            "client[0].secret_file",
        ),
        (
            "id = \"a\"\nredirect_uris = [\"https://a.example/\"]\nsecret = [{ file = \"missing\" }]",
            "client[0].secret[0]",
        ),
        (
            "id = \"a\"\nredirect_uris = [\"https://a.example/\"]\nsecret = [{ file = \"s\", until = \"soon\" }]",
            "client[0].secret[0]",
        ),
        (
            "id = \"a\"\ngrant_types = [\"client_credentials\"]\nsecret_file = \"s\"",
            "client[0].service.scopes",
        ),
        (
            "id = \"a\"\ngrant_types = [\"client_credentials\"]\nservice = { scopes = [\"contacts:read\"] }",
            "client[0].secret_file",
        ),
        (
            "id = \"a\"\ngrant_types = [\"client_credentials\"]\nsecret_file = \"s\"\nservice = { scopes = [\"gone\"] }",
            "client[0].service.scopes",
        ),
        (
            "id = \"a\"\ngrant_types = []\nsecret_file = \"s\"\nservice = { introspects = [\"https://x/\"] }",
            "client[0].service.introspects",
        ),
    ] {
        let places = table(&format!("{rest}{text}")).unwrap_err();
        assert!(places.iter().any(|found| found == place), "{text}: {places:?}");
    }
}
