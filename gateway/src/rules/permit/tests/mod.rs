//! Decisions on calls, by scope, workspace, arguments and era.

mod arguments;
mod uris;

use std::collections::BTreeMap;

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rules::{
    caller::tests::caller,
    catalogue::{Eras, Naming},
    listing::{Choices, Shown},
    rpc::{Message, read},
    visible::tests::{both_eras, source, terms},
};

fn surface(hide: bool, eras: Eras) -> Surface {
    Surface::build(vec![source("crm", eras)], terms(hide))
}

fn legacy(method: &str, params: &Value) -> Call {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    request(&body, &HeaderMap::new())
}

fn modern(method: &str, name: &'static str, mut params: Value) -> Call {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let mut headers = HeaderMap::new();
    headers.insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
    headers.insert("mcp-method", HeaderValue::from_str(method).unwrap());
    headers.insert("mcp-name", HeaderValue::from_static(name));
    request(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}), &headers)
}

fn request(body: &Value, headers: &HeaderMap) -> Call {
    match read(&Bytes::from(body.to_string()), headers, "workspace_id") {
        Ok(Message::Request(call)) => call,
        other => panic!("{other:?}"),
    }
}

fn decide(surface: &Surface, scope: &str, call: &Call) -> Result<Permit, Denied> {
    permit(surface, &caller(scope, &["a", "b"]), call, &HeaderMap::new())
}

#[test]
fn a_call_needs_its_scope() {
    let call = legacy("tools/call", &json!({"name": "list_contacts", "arguments": {}}));
    let surface = surface(false, both_eras());
    let granted = decide(&surface, "contacts:read", &call).unwrap();
    assert_eq!((granted.body.clone(), granted.plan), (call.body.clone(), Plan::Untouched));
    let denied = decide(&surface, "contacts:delete", &call).unwrap_err();
    assert_eq!(denied, Denied::Scope(Scope::parse("contacts:read").unwrap()));
    let free = legacy("tools/call", &json!({"name": "whoami"}));
    assert!(decide(&surface, "", &free).is_ok());
}

#[test]
fn a_hidden_tool_and_an_unknown_one_answer_alike() {
    let surface = surface(true, both_eras());
    let answer = |name: &str| {
        decide(&surface, "contacts:read", &legacy("tools/call", &json!({"name": name})))
            .unwrap_err()
    };
    assert_eq!(answer("delete_contact"), answer("no_such_tool"));
    assert_eq!(answer("stray"), answer("no_such_tool"));
}

#[test]
fn a_default_workspace_changes_the_bytes_and_nothing_else_does() {
    let surface = surface(false, both_eras());
    let call = legacy("tools/call", &json!({"name": "delete_contact", "arguments": {}}));
    let one = caller("contacts:delete", &["a"]);
    let granted = permit(&surface, &one, &call, &HeaderMap::new()).unwrap();
    let sent: Value = serde_json::from_slice(&granted.body).unwrap();
    assert_eq!(sent["params"]["arguments"], json!({"workspace_id": "a"}));
    assert_eq!(granted.workspace.unwrap().as_str(), "a");
    let refused = decide(&surface, "contacts:delete", &call).unwrap_err();
    let Denied::Text(text) = refused else { panic!("{refused:?}") };
    assert!(text.starts_with("Validation error:") && text.contains("a, b"), "{text}");
}

#[test]
fn arguments_are_checked_before_the_backend_sees_them() {
    let surface = surface(false, both_eras());
    let call = legacy("tools/call", &json!({"name": "list_contacts", "arguments": {"region": 1}}));
    let Err(Denied::Text(text)) = decide(&surface, "contacts:read", &call) else { panic!() };
    assert!(text.starts_with("Validation error:"), "{text}");
    let call = legacy("tools/call", &json!({"name": "whoami", "arguments": [1]}));
    assert_eq!(
        decide(&surface, "", &call).unwrap_err(),
        Denied::Text(format!("{NOT_AN_OBJECT}, got array [1]"))
    );
}

#[test]
fn a_backend_of_the_other_era_gets_its_own_words() {
    let only_legacy = Eras { legacy: Some(Version::June2025), ..Eras::default() };
    let call = modern("tools/call", "whoami", json!({"name": "whoami"}));
    let granted = decide(&surface(false, only_legacy), "", &call).unwrap();
    assert_eq!((granted.era, granted.version), (Era::Legacy, Some(Version::June2025)));
    assert_eq!(granted.plan, Plan::Examined);
    let only_modern = Eras { modern: true, ..Eras::default() };
    let call = legacy(
        "tools/call",
        &json!({"name": "list_contacts",
        "arguments": {"region": "eu", "workspace_id": "a"}}),
    );
    let granted = decide(&surface(false, only_modern), "contacts:read", &call).unwrap();
    assert_eq!(granted.version, Some(Version::July2026));
    assert_eq!(granted.headers["mcp-param-region"], "eu");
    let level = legacy("logging/setLevel", &json!({"level": "info"}));
    let refused = decide(&surface(false, only_modern), "", &level).unwrap_err();
    assert_eq!(refused, Denied::Rpc(RpcViolation::NotServed(Era::Legacy, "logging/setLevel")));
}

#[test]
fn prompts_resources_and_completions_are_judged_by_what_they_name() {
    let surface = surface(false, both_eras());
    let with = |method: &str, params: Value| decide(&surface, "", &legacy(method, &params));
    assert!(with("prompts/get", json!({"name": "greet"})).is_ok());
    assert_eq!(
        with("prompts/get", json!({"name": "secret"})).unwrap_err(),
        Denied::Rpc(RpcViolation::UnknownPrompt)
    );
    let read = with("resources/read", json!({"uri": "crm://contacts/1"})).unwrap_err();
    assert!(matches!(read, Denied::Scope(_)));
    let unknown = with("resources/read", json!({"uri": "file:///etc/passwd"})).unwrap_err();
    let nothing = RpcViolation::unknown_resource(Era::Legacy, "file:///etc/passwd");
    assert_eq!(unknown, Denied::Rpc(nothing));
    let reference = json!({"ref": {"type": "ref/prompt", "name": "secret"}});
    assert!(with("completion/complete", reference).is_err());
    let reference = json!({"ref": {"type": "ref/prompt", "name": "greet"}});
    assert!(with("completion/complete", reference).is_ok());
    assert!(with("completion/complete", json!({})).is_err());
}

#[test]
fn a_call_goes_out_under_the_name_that_its_backend_knows() {
    let naming = Naming { aliases: BTreeMap::new(), prefix: "crm_".to_owned() };
    let source = Source { naming: Arc::new(naming), ..source("crm", both_eras()) };
    let surface = Surface::build(vec![source], terms(false));
    let arguments = json!({"workspace_id": "a"});
    let params = json!({"name": "crm_list_contacts", "arguments": arguments});
    let reference = json!({"ref": {"type": "ref/prompt", "name": "crm_greet"},
        "argument": {"name": "a", "value": "b"}});
    for (call, pointer, own) in [
        (legacy("tools/call", &params), "/params/name", "list_contacts"),
        (
            modern("tools/call", "crm_list_contacts", params.clone()),
            "/params/name",
            "list_contacts",
        ),
        (legacy("prompts/get", &json!({"name": "crm_greet"})), "/params/name", "greet"),
        (legacy("completion/complete", &reference), "/params/ref/name", "greet"),
    ] {
        let permit = decide(&surface, "contacts:read", &call).unwrap();
        let sent: Value = serde_json::from_slice(&permit.body).unwrap();
        assert_eq!(sent.pointer(pointer), Some(&json!(own)));
        assert_eq!(permit.name.as_deref(), Some(own));
    }
    let own = legacy("tools/call", &json!({"name": "list_contacts"}));
    let unknown = Denied::Rpc(RpcViolation::UnknownTool);
    assert_eq!(decide(&surface, "contacts:read", &own).unwrap_err(), unknown);
}

#[test]
fn prompts_completions_and_resources_reach_no_other_workspace() {
    let surface = surface(false, both_eras());
    let own = caller("", &["a", "b"]);
    let with = |method: &str, params: Value| {
        permit(&surface, &own, &legacy(method, &params), &HeaderMap::new())
    };
    let prompt =
        |workspace: &str| json!({"name": "greet", "arguments": {"workspace_id": workspace}});
    assert_eq!(with("prompts/get", prompt("a")).unwrap().workspace.unwrap().as_str(), "a");
    let foreign = with("prompts/get", prompt("c")).unwrap_err();
    assert_eq!(foreign, Denied::Rpc(RpcViolation::Workspace));
    let complete = |workspace: &str| {
        json!({"ref": {"type": "ref/prompt", "name": "greet"},
            "context": {"arguments": {"workspace_id": workspace}}})
    };
    assert!(with("completion/complete", complete("b")).is_ok());
    assert!(with("completion/complete", complete("c")).is_err());
    let only = caller("", &["a"]);
    let call = legacy("prompts/get", &json!({"name": "greet"}));
    let bound = permit(&surface, &only, &call, &HeaderMap::new()).unwrap().workspace;
    assert_eq!(bound.unwrap().as_str(), "a");
}

proptest! {
    #[test]
    fn a_hidden_tool_never_differs_from_an_unknown_one(
        scope in prop::sample::subsequence(vec!["contacts:read", "contacts:delete"], 0..=2),
        name in prop::sample::select(vec!["list_contacts", "delete_contact", "whoami", "stray"]),
        arguments in prop::sample::select(vec![
            json!({}), json!({"workspace_id": "a"}), json!({"workspace_id": 1}), json!([1]),
        ]),
    ) {
        let surface = surface(true, both_eras());
        let scope = scope.join(" ");
        let held = Scope::parse(&scope).unwrap();
        let ask = |name: &str| {
            let params = json!({"name": name, "arguments": arguments.clone()});
            decide(&surface, &scope, &legacy("tools/call", &params))
        };
        let shown: Vec<String> = surface
            .list(List::Tools, &held, &Choices::default())
            .iter()
            .map(|raw| serde_json::from_str::<Value>(&raw.json()).unwrap()["name"].to_string())
            .collect();
        if !shown.contains(&format!("\"{name}\"")) {
            prop_assert_eq!(ask(name).unwrap_err(), ask("no_such_tool").unwrap_err());
        }
    }

    #[test]
    fn a_further_scope_never_removes_a_tool(
        held in prop::sample::subsequence(vec!["contacts:read", "contacts:delete", "*"], 0..=3),
        more in prop::sample::select(vec!["contacts:read", "contacts:delete", "contacts:*", "*"]),
    ) {
        let surface = surface(true, both_eras());
        let less = Scope::from_tokens(held.iter().copied()).unwrap();
        let both = less.union(&Scope::parse(more).unwrap());
        let listed = |scope: &Scope| -> Vec<String> {
            let choices = Choices::default();
            let tools = surface.list(List::Tools, scope, &choices);
            tools.iter().map(Shown::json).collect()
        };
        let after = listed(&both);
        prop_assert!(listed(&less).iter().all(|tool| after.contains(tool)));
    }
}
