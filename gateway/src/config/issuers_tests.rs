//! Further issuers in the configuration, right and wrong.

use super::*;
use crate::config::tests::resolve;

fn route(issuers: &str) -> Result<Vec<Arc<TrustedIssuer>>, Vec<Problem>> {
    let text = format!(
        r#"
        [gateway]
        [[gateway.route]]
        resource = "http://localhost:7400/mcp"
        backends = ["crm"]
        {issuers}
        [[gateway.route]]
        resource = "http://127.0.0.1:7400/mcp"
        backends = ["crm"]
        [[backend]]
        name = "crm"
        url = "http://127.0.0.1:7420/mcp"
        "#
    );
    resolve(&text).map(|config| config.routes[0].issuers.clone())
}

fn one(lines: &str) -> Result<Vec<Arc<TrustedIssuer>>, Vec<Problem>> {
    route(&format!("[[gateway.route.issuer]]\nissuer = \"https://partner.example\"\n{lines}\n"))
}

#[test]
fn an_issuer_may_give_nothing_unless_it_is_said() {
    let issuers = one("").unwrap();
    let [issuer] = issuers.as_slice() else { panic!("{issuers:?}") };
    assert!(issuer.mapping.scopes.is_empty());
    assert_eq!(issuer.mapping.workspaces, Assertable::Listed(Vec::new()));
    assert_eq!(issuer.mapping.audience, "http://localhost:7400/mcp");
    assert_eq!((issuer.token_type, issuer.advertise), ("at+jwt", false));
    assert_eq!(issuer.algorithms, ["ES256", "RS256"]);
    let KeySource::Discovered(places) = &issuer.keys else { panic!("{:?}", issuer.keys) };
    let places: Vec<&str> = places.iter().map(Url::as_str).collect();
    let at = "https://partner.example/.well-known/";
    assert_eq!(
        places,
        [format!("{at}oauth-authorization-server"), format!("{at}openid-configuration")]
    );
    let all = one("scopes = \"*\"\nworkspaces = \"*\"\nworkspaces_claim = \"ws\"").unwrap();
    assert_eq!(all[0].mapping.scopes.to_string(), "contacts:read");
    assert_eq!(all[0].mapping.workspaces, Assertable::All);
}

#[test]
fn metadata_of_an_issuer_with_a_path_is_where_both_specifications_say() {
    let places = metadata_of(&Url::parse("https://login.example/tenant/v2.0").unwrap());
    let places: Vec<&str> = places.iter().map(Url::as_str).collect();
    assert_eq!(
        places,
        [
            "https://login.example/.well-known/oauth-authorization-server/tenant/v2.0",
            "https://login.example/tenant/v2.0/.well-known/openid-configuration",
        ]
    );
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    for (lines, key) in [
        ("scopes = [\"contacts:read\", \"admin\"]", "scopes"),
        ("scopes = [\"contacts:read\", \"*\"]", "scopes"),
        ("scopes = [\"not a scope\"]", "scopes"),
        ("scope_map = { \"crm.read\" = \"contacts:read\" }", "scope_map"),
        ("workspaces = [\"a b\"]\nworkspaces_claim = \"ws\"", "workspaces"),
        ("workspaces = [\"a\"]", "workspaces"),
        ("workspaces_claim = \"ws\"", "workspaces_claim"),
        (
            "workspaces = [\"a\"]\nworkspaces_claim = \"ws\"\nworkspace_map = { \"7\" = \"b\" }",
            "workspace_map",
        ),
        ("algorithms = [\"HS256\"]", "algorithms"),
        ("algorithms = []", "algorithms"),
        ("jwks_uri = \"http://partner.example/jwks\"", "jwks_uri"),
        ("jwks_file = \"/nowhere\"", "jwks_file"),
        ("ca_file = \"/nowhere\"", "ca_file"),
    ] {
        let problems = one(lines).unwrap_err();
        let place = format!("gateway.route[0].issuer[0].{key}");
        assert!(problems.iter().any(|problem| problem.place == place), "{lines}: {problems:?}");
    }
    for issuer in
        ["http://localhost:7410", "http://partner.example", "", "two words", "partner.example"]
    {
        let table = format!("[[gateway.route.issuer]]\nissuer = \"{issuer}\"\n");
        let problems = route(&table).unwrap_err();
        let place = "gateway.route[0].issuer[0].issuer";
        assert!(problems.iter().any(|problem| problem.place == place), "{issuer}: {problems:?}");
    }
    let table = "[[gateway.route.issuer]]\nissuer = \"https://partner.example\"\n";
    let problems = route(&table.repeat(2)).unwrap_err();
    assert_eq!(problems[0].place, "gateway.route[0].issuer[1].issuer");
}
