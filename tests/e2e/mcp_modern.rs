//! The revision without sessions: everything travels with the request (MCP 2026-07-28).

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::{Mcp, World, headers, modern_meta, request};

use crate::mcp_cases::{Deviation, is_rpc_error, signed_in};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// A good call, as a message and its headers.
fn call() -> (Value, HeaderMap) {
    let params = json!({ "name": "list_contacts", "arguments": {}, "_meta": modern_meta() });
    let sent = headers([
        ("mcp-method", "tools/call"),
        ("mcp-name", "list_contacts"),
        ("mcp-protocol-version", "2026-07-28"),
    ]);
    (request("tools/call", params), sent)
}

async fn result(mcp: &Mcp, method: &str) -> Value {
    let reply = mcp.modern(method, json!({})).await;
    assert_eq!(reply.status, 200, "{method}: {}", reply.text);
    assert!(reply.header("cache-control").contains("no-store"), "{method}");
    reply.message()["result"].clone()
}

#[tokio::test]
async fn discovery_says_what_is_served() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let result = result(&mcp, "server/discover").await;
    let versions = json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]);
    assert_eq!(result["supportedVersions"], versions);
    assert_eq!(result["resultType"], "complete");
    assert!(result["capabilities"]["tools"].is_object(), "{result}");
    let server = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert!(server["name"].is_string(), "{result}");
}

#[tokio::test]
async fn what_depends_on_the_caller_is_kept_by_nobody_else_nor_longer_than_the_token() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let methods = [
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ];
    for method in methods {
        let result = result(&mcp, method).await;
        assert_eq!(result["cacheScope"], "private", "{method}");
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["ttlMs"], 60_000, "{method}");
    }
    world.pass(std::time::Duration::from_secs(290));
    for method in methods {
        let kept = result(&mcp, method).await["ttlMs"].as_u64().unwrap();
        assert!((8_000..=10_000).contains(&kept), "{method}: {kept}");
    }
}

#[tokio::test]
async fn lists_are_the_same_each_time_and_in_both_eras() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (method, member) in
        [("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources")]
    {
        let first = result(&mcp, method).await;
        assert_eq!(result(&mcp, method).await, first, "{method}");
        let legacy = mcp.legacy(method, json!({})).await.json()["result"].clone();
        assert_eq!(legacy[member], first[member], "{method}");
        for modern in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(legacy.get(modern), None, "{method}: {modern}");
        }
    }
}

#[tokio::test]
async fn a_call_is_complete() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let (message, sent) = call();
    let reply = mcp.send(&message, sent).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.message()["id"], message["id"]);
    assert_eq!(reply.message()["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_request_without_its_terms_is_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let cases: [Deviation<Value>; 5] = [
        Deviation {
            about: "no _meta",
            change: |params| drop(params.as_object_mut().unwrap().remove("_meta")),
        },
        Deviation {
            about: "no version",
            change: |params| {
                params["_meta"].as_object_mut().unwrap().remove(VERSION);
            },
        },
        Deviation {
            about: "no capabilities",
            change: |params| {
                params["_meta"].as_object_mut().unwrap().remove(CAPABILITIES);
            },
        },
        Deviation {
            about: "capabilities that are none",
            change: |params| params["_meta"][CAPABILITIES] = json!([]),
        },
        Deviation { about: "an empty _meta", change: |params| params["_meta"] = json!({}) },
    ];
    for Deviation { about, change } in cases {
        let (mut message, sent) = call();
        change(&mut message["params"]);
        let reply = mcp.send(&message, sent).await;
        is_rpc_error(&reply, 400, -32602, &message["id"], about);
        assert!(reply.text.contains("_meta"), "{about}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_header_that_says_something_else_than_the_body_is_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let cases: [Deviation<HeaderMap>; 9] = [
        Deviation { about: "no version", change: |sent| drop(sent.remove("mcp-protocol-version")) },
        Deviation {
            about: "another version",
            change: |sent| put(sent, "mcp-protocol-version", "2025-11-25"),
        },
        Deviation { about: "no method", change: |sent| drop(sent.remove("mcp-method")) },
        Deviation { about: "another method", change: |sent| put(sent, "mcp-method", "tools/list") },
        Deviation {
            about: "a method in other case",
            change: |sent| put(sent, "mcp-method", "Tools/Call"),
        },
        Deviation { about: "no name", change: |sent| drop(sent.remove("mcp-name")) },
        Deviation { about: "another name", change: |sent| put(sent, "mcp-name", "delete_contact") },
        Deviation {
            about: "two names",
            change: |sent| {
                sent.append("mcp-name", "delete_contact".parse().unwrap());
            },
        },
        Deviation {
            about: "a broken sentinel",
            change: |sent| put(sent, "mcp-name", "=?base64?bGlzdA!!?="),
        },
    ];
    for Deviation { about, change } in cases {
        let (message, sent) = call();
        let mut bent = sent.clone();
        change(&mut bent);
        let reply = mcp.send(&message, bent).await;
        is_rpc_error(&reply, 400, -32020, &message["id"], about);
        assert!(reply.text.contains("mcp-"), "{about}: {}", reply.text);
        assert_eq!(mcp.send(&message, sent).await.status, 200, "the good call is good");
    }
}

fn put(sent: &mut HeaderMap, name: &'static str, value: &str) {
    sent.insert(name, value.parse().unwrap());
}

#[tokio::test]
async fn a_name_may_come_in_the_base64_sentinel() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let (message, mut sent) = call();
    put(&mut sent, "mcp-name", &format!("=?base64?{}?=", STANDARD.encode("list_contacts")));
    let reply = mcp.send(&message, sent).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (message, mut sent) = call();
    put(&mut sent, "mcp-name", &format!("=?base64?{}?=", STANDARD.encode("delete_contact")));
    is_rpc_error(&mcp.send(&message, sent).await, 400, -32020, &message["id"], "another name");
}

#[tokio::test]
async fn parameters_in_headers_cannot_name_another_workspace() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let (message, mut sent) = call();
    put(&mut sent, "mcp-param-workspace_id", "ws_initech");
    is_rpc_error(&mcp.send(&message, sent).await, 400, -32020, &message["id"], "bound");
}

#[tokio::test]
async fn a_version_that_is_not_served_is_named_with_those_that_are() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for version in ["2027-01-01", "2025-11-25", "nonsense"] {
        let (mut message, mut sent) = call();
        message["params"]["_meta"][VERSION] = version.into();
        put(&mut sent, "mcp-protocol-version", version);
        let reply = mcp.send(&message, sent).await;
        is_rpc_error(&reply, 400, -32022, &message["id"], version);
        let data = &reply.json()["error"]["data"];
        assert_eq!(data["requested"], version);
        assert_eq!(data["supported"][0], "2026-07-28");
    }
}

#[tokio::test]
async fn unknown_and_removed_methods_are_not_found() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for method in ["tools/frob", "ping", "logging/setLevel", "resources/subscribe", "tasks/list"] {
        let params = json!({ "_meta": modern_meta() });
        let sent = headers([("mcp-method", method), ("mcp-protocol-version", "2026-07-28")]);
        let message = request(method, params);
        let reply = mcp.send(&message, sent).await;
        is_rpc_error(&reply, 404, -32601, &message["id"], method);
    }
}

#[tokio::test]
async fn clients_send_no_notifications_in_this_revision() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1, "_meta": modern_meta() } });
    let sent = headers([
        ("mcp-method", "notifications/cancelled"),
        ("mcp-protocol-version", "2026-07-28"),
    ]);
    is_rpc_error(&mcp.send(&message, sent).await, 400, -32600, &Value::Null, "a notification");
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_is_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for reply in [
        mcp.modern("tools/list", json!({ "cursor": "made up" })).await,
        mcp.legacy("tools/list", json!({ "cursor": "made up" })).await,
    ] {
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 200, -32602, &id, "a cursor");
    }
}
