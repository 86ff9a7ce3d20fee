//! Surfaces made of small catalogues; other tests use them too.

mod owners;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::rules::{
    arguments::ArgumentSchema,
    catalogue::{Catalogue, Entry, Eras, Fingerprint, Naming},
    listing::{Choices, Hints},
    policy::{Need, Pattern, Policies, Rule},
    protocol::Version,
    scopes::Implications,
};

/// A policy of (pattern, scopes) rules; no scopes mean that any token will do.
pub(crate) fn policy(rules: &[(&str, &[&str])]) -> Policy {
    let rule = |(pattern, scopes): &(&str, &[&str])| Rule {
        hints: Hints::default(),
        need: match scopes {
            [] => Need::Nothing,
            some => {
                let all = some.iter().map(|&scope| scope.to_owned()).collect();
                Need::Scopes { all, any: Vec::new() }
            }
        },
        patterns: vec![Pattern::parse(pattern).unwrap()],
    };
    Policy(rules.iter().map(rule).collect())
}

pub(crate) fn tool(value: &Value) -> Tool {
    let raw = serde_json::value::to_raw_value(value).unwrap();
    let schema = serde_json::value::to_raw_value(&value["inputSchema"]).unwrap();
    Tool {
        name: value["name"].as_str().unwrap().to_owned(),
        raw,
        read_only: value["annotations"]["readOnlyHint"].as_bool().unwrap_or(false),
        schema: ArgumentSchema::compile(&schema).unwrap(),
    }
}

pub(crate) fn entry(name: &str) -> Entry {
    let raw = serde_json::value::to_raw_value(&json!({ "name": name })).unwrap();
    Entry { name: name.to_owned(), raw }
}

pub(crate) fn source(backend: &str, eras: Eras) -> Source {
    let schema = json!({"type": "object", "properties": {
        "workspace_id": {"type": "string"},
        "region": {"type": "string", "x-mcp-header": "Region"},
    }});
    let read = json!({"name": "list_contacts", "inputSchema": schema,
        "annotations": {"readOnlyHint": true}});
    let write = json!({"name": "delete_contact", "inputSchema": schema});
    let free = json!({"name": "whoami", "inputSchema": {"type": "object"}});
    let stray = json!({"name": "stray", "inputSchema": {"type": "object"}});
    let odd = json!({"name": "list_deals", "inputSchema": {"type": "object",
        "properties": {"in": {"properties": {"workspace_id": {}}}}}});
    let catalogue = Catalogue {
        capabilities: json!({"tools": {}}),
        eras,
        fingerprint: Fingerprint::default(),
        instructions: None,
        prompts: vec![entry("greet"), entry("secret")],
        resources: vec![entry("crm://contacts")],
        server_info: None,
        templates: vec![entry("crm://contacts/{id}")],
        tools: [read, write, free, stray, odd].iter().map(tool).collect(),
    };
    let policies = Policies {
        prompts: policy(&[("greet", &[])]),
        resources: policy(&[("crm://contacts*", &["contacts:read"])]),
        tools: policy(&[
            ("list_{module}", &["{module}:read"]),
            ("delete_contact", &["contacts:delete"]),
            ("whoami", &[]),
        ]),
    };
    Source {
        backend: backend.into(),
        catalogue: catalogue.into(),
        naming: Arc::default(),
        policies: policies.into(),
    }
}

pub(crate) fn both_eras() -> Eras {
    Eras { legacy: Some(Version::November2025), modern: true, sessions: false }
}

pub(crate) fn terms(hide: bool) -> Terms {
    Terms {
        argument: "workspace_id".to_owned(),
        exempt: Vec::new(),
        hide,
        implies: Implications::default(),
        known: Scope::parse("contacts:read contacts:delete").unwrap(),
        list_tool: None,
        mode: WorkspaceMode::OptionalArgument,
        relay: false,
        row_workspace: None,
    }
}

fn names(surface: &Surface, list: List, scope: &str) -> Vec<String> {
    let scope = Scope::parse(scope).unwrap();
    surface
        .list(list, &scope, &Choices::default())
        .into_iter()
        .map(|raw| serde_json::from_str::<Value>(&raw.json()).unwrap()["name"].to_string())
        .collect()
}

#[test]
fn what_no_rule_names_is_not_offered_and_an_alarm_says_so() {
    let surface = Surface::build(vec![source("crm", both_eras())], terms(false));
    let all = "contacts:read contacts:delete";
    assert_eq!(
        names(&surface, List::Tools, all),
        ["\"list_contacts\"", "\"delete_contact\"", "\"whoami\""]
    );
    assert_eq!(names(&surface, List::Prompts, all), ["\"greet\""]);
    let alarms = surface.alarms().join("\n");
    for part in ["stray is not offered: no rule", "list_deals is not", "secret is not offered"] {
        assert!(alarms.contains(part), "{part}: {alarms}");
    }
}

#[test]
fn hidden_tools_are_neither_listed_nor_found() {
    let surface = Surface::build(vec![source("crm", both_eras())], terms(true));
    let scope = Scope::parse("contacts:read").unwrap();
    assert_eq!(names(&surface, List::Tools, "contacts:read"), ["\"list_contacts\"", "\"whoami\""]);
    assert!(surface.tool("delete_contact", &scope).is_none());
    assert!(surface.tool("list_contacts", &scope).is_some());
    assert!(surface.shows(List::Tools, "list_contacts", &scope, &Choices::default()));
    assert!(!surface.shows(List::Tools, "delete_contact", &scope, &Choices::default()));
    assert_eq!(names(&surface, List::Templates, "contacts:read").len(), 1);
    assert_eq!(names(&surface, List::Templates, "contacts:delete").len(), 0);
    assert!(surface.resource("crm://contacts/7", &scope).is_some());
    assert!(surface.resource("crm://contacts/7", &Scope::default()).is_none());
    assert!(surface.resource("crm://deals", &scope).is_none());
}

#[test]
fn the_first_backend_keeps_a_name() {
    let sources = vec![source("one", both_eras()), source("two", both_eras())];
    let surface = Surface::build(sources, terms(false));
    let tool = surface.tool("whoami", &Scope::default()).unwrap();
    assert_eq!(&*tool.source.backend, "one");
    assert!(surface.alarms().iter().any(|a| a.contains("two: whoami") && a.contains("taken")));
}

#[test]
fn two_backends_offer_the_same_under_names_of_their_own() {
    let named = |backend: &str, prefix: &str, alias: Option<(&str, &str)>| {
        let aliases = alias.map(|(own, public)| (own.to_owned(), public.to_owned()));
        let naming = Naming { aliases: aliases.into_iter().collect(), prefix: prefix.to_owned() };
        Source { naming: naming.into(), ..source(backend, both_eras()) }
    };
    let alias = Some(("list_contacts", "find_people"));
    let surface = Surface::build(vec![named("a", "", alias), named("b", "b_", None)], terms(true));
    let scope = Scope::parse("contacts:read").unwrap();
    let listed = |list| -> Vec<String> {
        let choices = Choices::default();
        let raw = surface.list(list, &scope, &choices).into_iter();
        raw.map(|raw| serde_json::from_str::<Value>(&raw.json()).unwrap())
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(List::Tools), ["find_people", "whoami", "b_list_contacts", "b_whoami"]);
    assert_eq!(listed(List::Prompts), ["greet", "b_greet"]);
    let owner = |name: &str| surface.tool(name, &scope).map(|tool| &*tool.source.backend);
    assert_eq!(owner("find_people"), Some("a"));
    assert_eq!(owner("b_list_contacts"), Some("b"));
    assert_eq!(owner("list_contacts"), None, "it has another name here");
    assert_eq!(surface.own_name(List::Tools, "find_people"), Some("list_contacts"));
    assert_eq!(surface.own_name(List::Tools, "b_list_contacts"), Some("list_contacts"));
    assert_eq!(surface.own_name(List::Tools, "whoami"), None);
    assert_eq!(surface.prompt("b_greet", &scope).map(|(owner, _)| &*owner.backend), Some("b"));
}

fn with_rules(rules: Vec<Rule>, terms: Terms) -> Surface {
    let mut source = source("crm", both_eras());
    let policies = Policies { tools: Policy(rules), ..(*source.policies).clone() };
    source.policies = policies.into();
    Surface::build(vec![source], terms)
}

fn one_of(pattern: &str, any: &[&str]) -> Rule {
    let any = any.iter().map(|&name| name.to_owned()).collect();
    Rule {
        hints: Hints::default(),
        need: Need::Scopes { all: Vec::new(), any },
        patterns: vec![Pattern::parse(pattern).unwrap()],
    }
}

#[test]
fn one_of_several_an_implied_and_a_wildcard_scope_show_a_tool() {
    let mut hiding = terms(true);
    hiding.known = Scope::parse("contacts:* audit").unwrap();
    hiding.implies =
        Implications::new([("audit".to_owned(), Scope::parse("contacts:read").unwrap())]);
    let rules = vec![
        one_of("list_contacts", &["contacts:read", "contacts:write"]),
        one_of("delete_contact", &["contacts:delete"]),
        one_of("whoami", &["deals:read"]),
    ];
    let surface = with_rules(rules, hiding);
    for (scope, shown) in [
        ("", &[][..]),
        ("contacts:write", &["\"list_contacts\""]),
        ("audit", &["\"list_contacts\""]),
        ("contacts:*", &["\"list_contacts\"", "\"delete_contact\""]),
    ] {
        assert_eq!(names(&surface, List::Tools, scope), shown, "{scope}");
    }
    let alarms = surface.alarms().join("\n");
    assert!(alarms.contains("whoami is not offered: a rule asks for a scope"), "{alarms}");
}

#[test]
fn a_configured_floor_decides_whether_a_tool_reads() {
    let said = |read_only| Hints { read_only, ..Hints::default() };
    for (floor, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
        let mut rule = one_of("list_contacts", &["contacts:read"]);
        rule.hints = said(floor);
        let surface = with_rules(vec![rule], terms(false));
        let scope = Scope::default();
        assert_eq!(surface.tool("list_contacts", &scope).unwrap().read_only, expected, "{floor:?}");
        let choices = Choices::default();
        let listed = surface.list(List::Tools, &scope, &choices);
        let listed: Value = serde_json::from_str(&listed[0].json()).unwrap();
        assert_eq!(listed["annotations"]["readOnlyHint"], expected, "{floor:?}");
    }
}

#[test]
fn a_list_narrows_the_argument_to_the_readers_workspaces_but_not_of_exempt_tools() {
    let granted = ["a", "b"].map(|id| shared::ids::WorkspaceId::parse(id).unwrap());
    let choices = Choices::of(&granted);
    let mut exempting = terms(false);
    exempting.exempt = vec![Pattern::parse("delete_*").unwrap()];
    let surface = Surface::build(vec![source("crm", both_eras())], exempting);
    let listed = surface.list(List::Tools, &Scope::default(), &choices);
    let narrowed = |at: usize| {
        let tool: Value = serde_json::from_str(&listed[at].json()).unwrap();
        tool["inputSchema"]["properties"]["workspace_id"]["enum"].clone()
    };
    assert_eq!((narrowed(0), narrowed(1)), (json!(["a", "b"]), Value::Null));
}

#[test]
fn a_tool_under_another_name_keeps_its_floor_and_narrows_its_argument() {
    let mut policies = (*source("crm", both_eras()).policies).clone();
    let mut rule = one_of("list_contacts", &["contacts:read"]);
    rule.hints = Hints { destructive: Some(true), ..Hints::default() };
    policies.tools = Policy(vec![rule]);
    let naming = Naming { prefix: "crm_".to_owned(), ..Naming::default() };
    let renamed =
        Source { naming: naming.into(), policies: policies.into(), ..source("crm", both_eras()) };
    let granted = [shared::ids::WorkspaceId::parse("a").unwrap()];
    let choices = Choices::of(&granted);
    let listed = |exempt: &str| -> Value {
        let exempt = vec![Pattern::parse(exempt).unwrap()];
        let terms = Terms { exempt, ..terms(false) };
        let surface = Surface::build(vec![renamed.clone()], terms);
        let listed = surface.list(List::Tools, &Scope::default(), &choices);
        serde_json::from_str(&listed[0].json()).unwrap()
    };
    let argument = "/inputSchema/properties/workspace_id/enum";
    let tool = listed("list_contacts");
    assert_eq!(tool["name"], "crm_list_contacts");
    assert_eq!(tool["annotations"]["destructiveHint"], true);
    assert_eq!(tool.pointer(argument), Some(&json!(["a"])), "it is exempt by its name here");
    assert_eq!(listed("crm_list_*").pointer(argument), None);
}
