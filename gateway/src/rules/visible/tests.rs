//! Surfaces made of small catalogues; other tests use them too.

use serde_json::{Value, json};

use super::*;
use crate::rules::{
    arguments::ArgumentSchema,
    catalogue::{Entry, Eras},
    policy::{Need, Pattern, Rule},
    protocol::Version,
};

/// A policy of (pattern, scopes) rules; no scopes mean that any token will do.
pub(crate) fn policy(rules: &[(&str, &[&str])]) -> Policy {
    let rule = |(pattern, scopes): &(&str, &[&str])| Rule {
        need: match scopes {
            [] => Need::Nothing,
            some => Need::Scopes(some.iter().map(|&scope| scope.to_owned()).collect()),
        },
        patterns: vec![Pattern::parse(pattern).unwrap()],
    };
    Policy(rules.iter().map(rule).collect())
}

fn tool(value: &Value) -> Tool {
    let raw = serde_json::value::to_raw_value(value).unwrap();
    let schema = serde_json::value::to_raw_value(&value["inputSchema"]).unwrap();
    Tool {
        name: value["name"].as_str().unwrap().to_owned(),
        raw,
        read_only: value["annotations"]["readOnlyHint"].as_bool().unwrap_or(false),
        schema: ArgumentSchema::compile(&schema).unwrap(),
    }
}

fn entry(name: &str) -> Entry {
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
    Eras { legacy: Some(Version::November2025), modern: true }
}

pub(crate) fn terms(hide: bool) -> Terms {
    Terms {
        argument: "workspace_id".to_owned(),
        hide,
        known: Scope::parse("contacts:read contacts:delete").unwrap(),
        mode: WorkspaceMode::OptionalArgument,
        relay: false,
    }
}

fn names(surface: &Surface, list: List, scope: &str) -> Vec<String> {
    let scope = Scope::parse(scope).unwrap();
    surface
        .list(list, &scope)
        .into_iter()
        .map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap()["name"].to_string())
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
    assert!(surface.shows(List::Tools, "list_contacts", &scope));
    assert!(!surface.shows(List::Tools, "delete_contact", &scope));
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
fn a_uri_fits_its_template_by_the_literal_parts() {
    for (template, uri, expected) in [
        ("crm://contacts/{id}", "crm://contacts/7", true),
        ("crm://contacts/{id}", "crm://deals/7", false),
        ("crm://{kind}/{id}/notes", "crm://deals/7/notes", true),
        ("crm://{kind}/{id}/notes", "crm://deals/7", false),
        ("crm://fixed", "crm://fixed", true),
        ("crm://fixed", "crm://fixed/more", false),
    ] {
        assert_eq!(fits(template, uri), expected, "{template} {uri}");
    }
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
        let raw = surface.list(list, &scope).into_iter();
        raw.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap())
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
