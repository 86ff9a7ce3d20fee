//! What a caller may do: scopes, visibility, workspaces and arguments.

use serde_json::{Value, json};
use tests::{Backend, Browser, Choice, Client, Mcp, Options, Person, World, headers, request};

use crate::mcp_cases::{before, challenge, is_rpc_error, signed_in, signed_in_with, tool_error};

const READER: Choice<'static> =
    Choice { deny: false, scopes: Some(&["contacts:read"]), workspaces: Some(&["ws_acme"]) };

async fn names(mcp: &Mcp, method: &str, member: &str) -> Vec<String> {
    let list = mcp.legacy(method, json!({})).await.json()["result"][member].clone();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap_or_else(|| panic!("{list}")).iter().map(name).collect()
}

fn set(text: &str) -> std::collections::BTreeSet<&str> {
    text.split(' ').collect()
}

fn hide(text: &str) -> String {
    text.replace("backends = [\"crm\"]", "backends = [\"crm\"]\non_missing_scope = \"hide\"")
}

#[tokio::test]
async fn a_missing_scope_is_named_together_with_those_that_are_there() {
    let world = World::demo().await;
    let mcp = signed_in_with(&world, READER).await;
    let params = json!({ "name": "delete_contact", "arguments": { "id": "c1" } });
    for reply in [
        mcp.legacy("tools/call", params.clone()).await,
        mcp.modern("tools/call", params.clone()).await,
    ] {
        let id = reply.json()["id"].clone();
        assert!(id.is_u64(), "{}", reply.text);
        is_rpc_error(&reply, 403, -32600, &id, "RFC 6750 section 3.1");
        let told = challenge(&reply, "a missing scope");
        assert_eq!(told["error"], "insufficient_scope");
        let document = world.gateway_url("/.well-known/oauth-protected-resource/mcp");
        assert_eq!(told["resource_metadata"], *document);
        let scope = told["scope"].as_str().unwrap();
        assert_eq!(set(scope), set("contacts:delete contacts:read"));
        assert!(told["error_description"].as_str().unwrap().contains("RFC 6750 section 3.1"));
        let error = &reply.json()["error"];
        assert_eq!(error["data"], json!({ "error": "insufficient_scope", "scope": scope }));
    }
}

#[tokio::test]
async fn prompts_and_resources_need_their_scopes_too() {
    let world = World::demo().await;
    let mcp = signed_in_with(&world, READER).await;
    for (method, params, needed) in [
        (
            "prompts/get",
            json!({ "name": "summarise_account", "arguments": { "company_id": "x" } }),
            "companies:read contacts:read deals:read",
        ),
        ("resources/read", json!({ "uri": "crm://deals/1" }), "contacts:read deals:read"),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "summarise_account" },
                "argument": { "name": "company_id", "value": "" } }),
            "companies:read contacts:read deals:read",
        ),
    ] {
        let message = request(method, params);
        let reply = mcp.send(&message, headers([])).await;
        is_rpc_error(&reply, 403, -32600, &message["id"], method);
        let told = challenge(&reply, method);
        assert_eq!(set(told["scope"].as_str().unwrap()), set(needed), "{method}");
    }
}

#[tokio::test]
async fn what_a_scope_forbids_is_listed_so_that_it_can_be_asked_for() {
    let world = World::demo().await;
    let mcp = signed_in_with(&world, READER).await;
    let tools = names(&mcp, "tools/list", "tools").await;
    assert!(tools.contains(&"delete_contact".to_owned()), "{tools:?}");
    assert_eq!(tools, names(&signed_in(&world).await, "tools/list", "tools").await);
}

#[tokio::test]
async fn where_it_is_hidden_only_what_may_be_used_is_listed() {
    let world =
        World::with(Options { edit: |text| hide(&text), gateway: true, ..Options::default() })
            .await;
    let mcp = signed_in_with(&world, READER).await;
    let mut tools = names(&mcp, "tools/list", "tools").await;
    tools.sort();
    assert_eq!(tools, ["get_contact", "list_contacts", "search_contacts"]);
    assert_eq!(names(&mcp, "prompts/list", "prompts").await, Vec::<String>::new());
    let more = names(&signed_in(&world).await, "tools/list", "tools").await;
    assert!(more.len() > tools.len() && !more.contains(&"delete_contact".to_owned()), "{more:?}");
}

#[tokio::test]
async fn what_is_hidden_answers_like_what_does_not_exist_but_for_the_id() {
    let world =
        World::with(Options { edit: |text| hide(&text), gateway: true, ..Options::default() })
            .await;
    let mcp = signed_in_with(&world, READER).await;
    let arguments = || json!({ "id": "c1", "workspace_id": "ws_initech", "odd": [] });
    let prompt = |name: &str| {
        json!({ "ref": { "type": "ref/prompt", "name": name },
            "argument": { "name": "a", "value": "" } })
    };
    let cases: Vec<(&str, Value, Value)> = vec![
        (
            "tools/call",
            json!({ "name": "delete_contact", "arguments": arguments() }),
            json!({ "name": "no_such_tool_1", "arguments": arguments() }),
        ),
        (
            "prompts/get",
            json!({ "name": "summarise_account" }),
            json!({ "name": "no_such_prompt_ab" }),
        ),
        ("resources/read", json!({ "uri": "crm://deals/1" }), json!({ "uri": "crm://frobs/1" })),
        ("completion/complete", prompt("summarise_account"), prompt("no_such_prompt_ab")),
    ];
    for (method, hidden, unknown) in cases {
        for modern in [false, true] {
            let ask = async |params: &Value| {
                let params = params.clone();
                let uri = params["uri"].as_str().map(str::to_owned);
                let reply = match (modern, uri) {
                    (false, _) => mcp.legacy(method, params).await,
                    (true, None) => mcp.modern(method, params).await,
                    (true, Some(uri)) => {
                        let mut message = request(method, params);
                        message["params"]["_meta"] = tests::modern_meta();
                        let sent = headers([
                            ("mcp-method", method),
                            ("mcp-name", &uri),
                            ("mcp-protocol-version", tests::MODERN),
                        ]);
                        mcp.send(&message, sent).await
                    }
                };
                let id = reply.json()["id"].to_string();
                let text = reply.text.replacen(&format!("\"id\":{id}"), "\"id\":0", 1);
                // An error repeats the URI that was asked for.
                let text = text.replace("crm://frobs/", "crm://deals/");
                let mut sent = reply.headers.clone();
                sent.remove("content-length");
                sent.remove("date");
                (reply.status, text, sent)
            };
            let (one, other) = (ask(&hidden).await, ask(&unknown).await);
            assert_eq!(one, other, "{method} {modern}");
            assert!(one.1.contains("\"error\""), "{method}: {}", one.1);
            assert!(!one.2.contains_key("www-authenticate"), "{method}");
        }
    }
}

#[tokio::test]
async fn what_no_rule_names_does_not_exist() {
    let edit: fn(String) -> String =
        |text| text.replace("match = \"delete_contact\"", "match = \"delete_nothing\"");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    let tools = names(&mcp, "tools/list", "tools").await;
    assert!(!tools.contains(&"delete_contact".to_owned()), "{tools:?}");
    let reply = mcp.call("delete_contact", json!({ "id": "c1" })).await;
    let id = reply.json()["id"].clone();
    is_rpc_error(&reply, 200, -32602, &id, "an unnamed tool");
}

#[tokio::test]
async fn names_are_exact() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for name in ["List_contacts", "list_contacts ", "list_contacts\u{0}", "crm.list_contacts", ""] {
        let reply = mcp.call(name, json!({})).await;
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 200, -32602, &id, name);
    }
}

#[tokio::test]
async fn a_call_stays_in_the_workspaces_of_its_token() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let own = mcp.call("list_contacts", json!({ "workspace_id": "ws_globex" })).await;
    let items = own.message()["result"]["structuredContent"]["items"].clone();
    assert!(!items.as_array().unwrap().is_empty(), "{}", own.text);
    for item in items.as_array().unwrap() {
        assert_eq!(item["workspace_id"], "ws_globex", "{item}");
    }
    for foreign in ["ws_initech", "ws_nowhere", "", "WS_ACME", "ws_acme ", "ws_acm\u{435}"] {
        let reply = mcp.call("list_contacts", json!({ "workspace_id": foreign })).await;
        let words = tool_error(&reply, foreign);
        assert!(words.starts_with("Validation error: workspace_id"), "{words}");
        assert!(words.contains("ws_acme") && words.contains("ws_globex"), "{words}");
    }
}

#[tokio::test]
async fn a_workspace_has_exactly_the_declared_type_and_stands_once() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    for bad in [
        json!({ "workspace_id": 1 }),
        json!({ "workspace_id": null }),
        json!({ "workspace_id": ["ws_acme"] }),
        json!({ "workspace_id": { "eq": "ws_acme" } }),
        json!({ "workspace_id": true }),
        json!({ "workspace_id": "ws_acme", "filter": { "workspace_id": "ws_initech" } }),
        json!({ "workspace_id": "ws_acme", "filter": { "a": [{ "workspace_id": "ws_globex" }] } }),
        json!({ "filter": { "workspace_id": "ws_initech" } }),
        json!({ "workspace_id": "ws_acme", "workspaceId": "ws_initech" }),
        json!({ "workspace_id": "ws_acme", "workspace": "ws_initech" }),
    ] {
        for tool in ["list_contacts", "create_contact"] {
            let reply = mcp.call(tool, bad.clone()).await;
            let words = tool_error(&reply, &bad.to_string());
            assert!(words.starts_with("Validation error:"), "{bad}: {words}");
        }
    }
    assert_eq!(backend.calls().len(), 0, "nothing of it reached the backend");
    let same = json!({ "workspace_id": "ws_acme", "filter": { "workspace_id": "ws_acme" } });
    assert_eq!(mcp.call("list_contacts", same).await.status, 200);
    assert_eq!(backend.calls().len(), 1);
}

#[tokio::test]
async fn the_only_workspace_is_filled_in_where_something_is_written() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let choice = Choice { workspaces: Some(&["ws_globex"]), ..Choice::default() };
    let mcp = signed_in_with(&world, choice).await;
    let given = json!({ "name": "Ada" });
    assert_eq!(mcp.call("create_contact", given.clone()).await.status, 200);
    let sent = backend.calls()[0].message["params"]["arguments"].clone();
    assert_eq!(sent, json!({ "name": "Ada", "workspace_id": "ws_globex" }));
    // Where nothing is written the body stays as it came; the identity names the workspace.
    assert_eq!(mcp.call("list_contacts", given.clone()).await.status, 200);
    assert_eq!(backend.calls()[1].message["params"]["arguments"], given);
}

#[tokio::test]
async fn with_several_workspaces_a_write_must_choose_one() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    let words = tool_error(&mcp.call("create_contact", json!({})).await, "no workspace");
    assert!(words.starts_with("Validation error:") && words.contains("ws_acme"), "{words}");
    assert_eq!(backend.calls().len(), 0);
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 200, "a read covers all");
}

#[tokio::test]
async fn a_person_sees_the_rows_of_no_other() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::of(&world, Person::second())).await;
    let second = Mcp::new(&world, Some(&tokens));
    let theirs = second.call("list_contacts", json!({})).await.message();
    let items = theirs["result"]["structuredContent"]["items"].as_array().unwrap().clone();
    assert!(items.iter().all(|item| item["workspace_id"] == "ws_initech"), "{items:?}");
    let id = &items[0]["id"];
    let reply = signed_in(&world).await.call("get_contact", json!({ "id": id })).await;
    let words = tool_error(&reply, "a foreign row");
    assert!(!words.contains("initech"), "{words}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_words_for_the_model() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (tool, arguments, about) in [
        ("get_contact", json!({}), "id"),
        ("get_contact", json!({ "id": 7 }), "id"),
        ("list_contacts", json!({ "limit": "many" }), "limit"),
        ("list_contacts", json!({ "limit": 100_000 }), "limit"),
        ("list_contacts", json!({ "odd": 1 }), "odd"),
        ("list_contacts", json!({ "sort": "sideways" }), "sort"),
        ("create_contact", json!({ "workspace_id": "ws_acme" }), "required"),
        ("list_contacts", json!([]), "arguments"),
        ("list_contacts", json!("x"), "arguments"),
    ] {
        let words = tool_error(&mcp.call(tool, arguments.clone()).await, tool);
        assert!(words.starts_with("Validation error:"), "{tool} {arguments}: {words}");
        assert!(words.contains(about), "{tool} {arguments}: {words}");
    }
    let params = json!({ "name": "get_contact", "arguments": {} });
    let modern = mcp.modern("tools/call", params).await;
    assert!(tool_error(&modern, "modern").starts_with("Validation error:"));
    assert_eq!(modern.json()["result"]["resultType"], "complete");
}
