//! What a route offers by itself, right and wrong.

use super::super::tests::{deployment, resolve};
use crate::rules::visible::Source;

const ROUTE: &str = r#"
    [[gateway.route]]
    resource = "http://localhost:7400/mcp"
    backends = ["crm"]
    OFFERED
    [[gateway.route]]
    resource = "http://127.0.0.1:7400/mcp"
    backends = ["crm"]
    on_missing_scope = "hide"
    [[backend]]
    name = "crm"
    url = "http://127.0.0.1:7420/mcp"
    alias = { mine = "own" }
"#;

#[test]
fn a_route_offers_what_its_tables_say_and_nothing_by_default() {
    let config = resolve(&ROUTE.replace("OFFERED", "")).unwrap();
    let route = &config.routes[0];
    assert!(route.offerings.source().is_none() && route.toolsets.is_empty());
    let documents = route.documents.as_ref().unwrap();
    assert_eq!(documents.server_name, "localhost/mcp");
    assert!(documents.public_tools.is_empty());
    assert!(config.routes[1].documents.is_none(), "its tools are hidden");
    let offered = r#"
        whoami = {}
        static = [{ uri = "docs://a", name = "a", text = "x" }]
        toolsets = { read = ["list_*"] }
        page_size = 10
        documents = { openapi = false }
    "#;
    let config = resolve(&ROUTE.replace("OFFERED", offered)).unwrap();
    let route = &config.routes[0];
    assert_eq!(route.offerings.whoami(), Some("whoami"));
    assert!(route.offerings.source().is_some_and(Source::is_own));
    assert_eq!((route.page_size, route.toolsets.len()), (Some(10), 1));
    assert!(!route.documents.as_ref().unwrap().has_openapi);
    assert_eq!(deployment().resources.len(), 2);
}

#[test]
fn what_cannot_be_offered_is_named() {
    let file = std::env::temp_dir();
    let folder =
        format!("static = [{{ uri = \"a://b\", name = \"a\", file = \"{}\" }}]", file.display());
    for (offered, place) in [
        ("whoami = { name = \"who am i\" }", "gateway.route[0].whoami.name"),
        ("whoami = { name = \"mine\" }", "gateway.route[0].backends"),
        ("whoami = { scopes = [\"else\"] }", "gateway.route[0].whoami.scopes"),
        ("whoami = {}\nsession = \"relay\"", "gateway.route[0].whoami"),
        ("page_size = 0", "gateway.route[0].page_size"),
        ("page_size = 5\nsession = \"relay\"", "gateway.route[0].page_size"),
        ("toolsets = { a = [\"*x*\"] }", "gateway.route[0].toolsets.a"),
        (
            "static = [{ uri = \"a b\", name = \"a\", text = \"\" }]",
            "gateway.route[0].static[0].uri",
        ),
        (
            "static = [{ uri = \"a://{b}\", name = \"a\", text = \"\" }]",
            "gateway.route[0].static[0].uri",
        ),
        ("static = [{ uri = \"a://b\", name = \"a\" }]", "gateway.route[0].static[0].file"),
        (&folder, "gateway.route[0].static[0].file"),
        (
            "static = [{ uri = \"a://b\", name = \"a\", text = \"\" }, { uri = \"a://b\", name = \"b\", text = \"\" }]",
            "gateway.route[0].static[1].uri",
        ),
        ("documents = { server_name = \"crm\" }", "gateway.route[0].documents.server_name"),
        ("documents = { logo = \"logo.png\" }", "gateway.route[0].documents"),
        ("documents = { public_tools = [\"{\"] }", "gateway.route[0].documents.public_tools"),
    ] {
        let problems = resolve(&ROUTE.replace("OFFERED", offered)).unwrap_err();
        let places: Vec<&str> = problems.iter().map(|one| one.place.as_str()).collect();
        assert!(places.contains(&place), "{offered}: {problems:?}");
    }
}
