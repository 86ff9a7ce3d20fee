//! Configurations, right and wrong.

use shared::deployment::{RawDeployment, RawResource};

use super::*;

pub(crate) fn deployment() -> Deployment {
    let raw: RawDeployment =
        toml::from_str("name = \"Demo\"\nissuer = \"http://localhost:7410\"").unwrap();
    let resource = |url: &str, default: bool| -> RawResource {
        toml::from_str(&format!(
            "url = \"{url}\"\nname = \"CRM\"\ndefault = {default}\n\
             default_scopes = [\"contacts:read\"]\nprm_scopes = [\"contacts:read\"]\n\
             scope = [{{ name = \"contacts:read\", description = \"See your contacts\" }}]\n"
        ))
        .unwrap()
    };
    let resources = vec![
        resource("http://localhost:7400/mcp", true),
        resource("http://127.0.0.1:7400/mcp", false),
    ];
    Deployment::resolve(raw, resources).unwrap()
}

const GATEWAY: &str = r#"
    [gateway]
    [[gateway.route]]
    resource = "http://localhost:7400/mcp"
    backends = ["crm"]
    [[gateway.route]]
    resource = "http://127.0.0.1:7400/mcp"
    backends = ["crm"]
    on_missing_scope = "hide"
    [[backend]]
    name = "crm"
    url = "http://127.0.0.1:7420/mcp"
    [[backend.tool]]
    match = ["list_{module}", "search_{module}"]
    scopes = ["{module}:read"]
    [[backend.tool]]
    match = "whoami"
    always_allowed = true
"#;

#[derive(serde::Deserialize)]
struct File {
    gateway: RawGateway,
    backend: Vec<RawBackend>,
}

pub(crate) fn resolve(text: &str) -> Result<Config, Vec<Problem>> {
    let File { gateway, backend } = toml::from_str(text).unwrap();
    Config::resolve(gateway, backend, &deployment())
}

#[test]
fn a_route_knows_where_its_metadata_is() {
    let config = resolve(GATEWAY).unwrap();
    let route = &config.routes[0];
    assert_eq!(route.prm_url, "http://localhost:7400/.well-known/oauth-protected-resource/mcp");
    assert_eq!((route.host.as_str(), route.path.as_str()), ("localhost:7400", "/mcp"));
    assert!(route.is_root);
    assert_eq!(config.routes[1].on_missing_scope, RawMissingScope::Hide);
    assert_eq!(config.identity_issuer(), "http://localhost:7400");
    assert_eq!(config.hosts().count(), 2);
}

#[test]
fn every_problem_is_reported_with_its_place() {
    for (change, to, place) in [
        ("\"http://127.0.0.1:7420/mcp\"", "\"ftp://x/\"", "backend[0].url"),
        ("name = \"crm\"", "name = \"c r m\"", "backend[0].name"),
        (
            "backends = [\"crm\"]\n    on",
            "backends = [\"erp\"]\n    on",
            "gateway.route[1].backends",
        ),
        ("always_allowed = true", "scopes = []", "backend[0].tool[1].scopes"),
        ("\"search_{module}\"", "\"search_*\"", "backend[0].tool[0].scopes"),
        ("\"search_{module}\"", "\"search_{\"", "backend[0].tool[0].match"),
        ("\"http://127.0.0.1:7400/mcp\"", "\"http://[::1]/mcp\"", "gateway.route"),
    ] {
        let problems = resolve(&GATEWAY.replacen(change, to, 1)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.place == place), "{place}: {problems:?}");
    }
}

#[test]
fn names_that_two_backends_would_share_are_found_at_the_start() {
    let second = "\n[[backend]]\nname = \"erp\"\nurl = \"http://127.0.0.1:7421/mcp\"\n";
    let both = GATEWAY.replace("backends = [\"crm\"]", "backends = [\"crm\", \"erp\"]") + second;
    let crm = "url = \"http://127.0.0.1:7420/mcp\"\n";
    let with = |crm_names: &str, erp_names: &str| {
        let text = both.replacen(crm, &format!("{crm}{crm_names}\n"), 1) + erp_names;
        resolve(&text).map_err(|problems| problems[0].to_string())
    };
    assert!(with("", "prefix = \"erp_\"").is_ok());
    assert!(with("alias = { find = \"a\" }", "alias = { seek = \"a\" }").is_ok());
    for (crm_names, erp_names, words) in [
        ("alias = { find = \"a\" }", "alias = { find = \"b\" }", "both offer the tool find"),
        ("alias = { x = \"a\", y = \"a\" }", "", "second name of a"),
        ("alias = { \"x y\" = \"a\" }", "", "no tool's name"),
        ("prefix = \"c.\"", "", "backend[0].prefix"),
    ] {
        let problem = with(crm_names, erp_names).unwrap_err();
        assert!(problem.contains(words), "{words}: {problem}");
    }
    let relayed = GATEWAY.replacen(crm, &format!("{crm}prefix = \"c_\"\n"), 1);
    let relayed =
        relayed.replacen("[[gateway.route]]", "[[gateway.route]]\nsession = \"relay\"", 1);
    assert!(resolve(&relayed).unwrap_err()[0].to_string().contains("relayed sessions"));
}

#[test]
fn a_class_stands_for_rules_behind_the_overrides() {
    let classes = r#"
    [[backend.class]]
    match = "search_{domain}"
    access = "read"
    read_only = true
    [[backend.class]]
    match = "*"
    access = "write"
    domain = "crm"
    destructive = true
"#;
    let config = resolve(&format!("{GATEWAY}{classes}")).unwrap();
    let tools = &config.backends[0].policies.tools;
    for (name, scope, read_only) in [
        ("list_deals", "deals:read", None),
        ("search_deals", "deals:read", Some(true)),
        ("merge_deals", "crm:write", None),
        ("whoami", "", None),
    ] {
        assert_eq!(tools.required(name).unwrap().all.to_string(), scope, "{name}");
        assert_eq!(tools.hints(name).read_only, read_only, "{name}");
        assert_eq!(tools.hints(name).destructive, Some(true), "{name}");
    }
    let without = classes.replace("domain = \"crm\"", "");
    let problems = resolve(&format!("{GATEWAY}{without}")).unwrap_err();
    assert!(problems.iter().any(|problem| problem.place == "backend[0].class[1].scopes"));
}

#[test]
fn one_of_several_scopes_and_what_scopes_bring_are_checked() {
    let any = GATEWAY.replacen("always_allowed = true", "any_of = [\"a\", \"b\"]", 1);
    let config = resolve(&any).unwrap();
    let needed = config.backends[0].policies.tools.required("whoami").unwrap();
    assert_eq!((needed.all.len(), needed.any), (0, vec!["a".to_owned(), "b".to_owned()]));
    for (line, place) in [
        ("implies = { \"contacts:read\" = [\"nothing\"] }", "gateway.route[0].implies"),
        ("implies = { \"contacts:read\" = [\"contacts:write\"] }", "gateway.route[0].implies"),
        ("workspace_list_tool = \"a list\"", "gateway.route[0].workspace_list_tool"),
        ("exempt_tools = [\"a*b*\"]", "gateway.route[0].exempt_tools"),
    ] {
        let text =
            GATEWAY.replacen("backends = [\"crm\"]", &format!("backends = [\"crm\"]\n{line}"), 1);
        let problems = resolve(&text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.place == place), "{place}: {problems:?}");
    }
}

#[test]
fn a_realm_is_a_quoted_word_and_the_root_belongs_to_the_resource_that_names_it() {
    let with = |table: &str| {
        GATEWAY.replacen("[[gateway.route]]", &format!("[[gateway.route]]\n{table}"), 1)
    };
    assert!(resolve(&with("challenge = { realm = \"crm\" }")).is_ok());
    for realm in ["", "a\\\"b", "caf\u{e9}"] {
        let problems =
            resolve(&with(&format!("challenge = {{ realm = \"{realm}\" }}"))).unwrap_err();
        assert_eq!(problems[0].place, "gateway.route[0].challenge.realm", "{realm}");
    }
}
