//! Catalogues read from a backend.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::{
    backends::{BackendError, catalogue},
    rules::{catalogue::Eras, protocol::Version},
};

fn tool(name: &str) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" }, "vendor": 1.5 })
}

fn refuse(seen: &Seen) -> Response {
    let error = json!({ "code": -32601, "message": "no such method" });
    let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error });
    respond(404, "application/json", body.to_string())
}

fn modern(seen: &Seen) -> Response {
    match seen.rpc_method() {
        "server/discover" => result(
            seen,
            &json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": { "tools": {}, "resources": {} }, "instructions": "Be kind.",
                "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "m" } },
            }),
        ),
        "tools/list" => match seen.body["params"]["cursor"].as_str() {
            None => result(seen, &json!({ "tools": [tool("a"), tool("b")], "nextCursor": "2" })),
            Some("2") => result(
                seen,
                &json!({ "tools": [
                    { "name": "a", "inputSchema": {} },
                    { "name": "bad", "inputSchema": { "$ref": "http://127.0.0.1/" } },
                    { "name": "schemaless" },
                    { "name": "c", "inputSchema": {}, "annotations": { "readOnlyHint": true } },
                ] }),
            ),
            Some(other) => panic!("{other}"),
        },
        "resources/list" => result(seen, &json!({ "resources": [{ "uri": "crm://1" }] })),
        _ => refuse(seen),
    }
}

#[tokio::test]
async fn a_modern_backend_is_read_page_by_page() {
    let double = Double::start(modern).await;
    let read = catalogue::read(&double.backend(), identity(), None).await.unwrap().unwrap();
    assert_eq!(read.eras, Eras { modern: true, ..Eras::default() });
    let names: Vec<_> = read.tools.iter().map(|tool| (&*tool.name, tool.read_only)).collect();
    assert_eq!(names, [("a", false), ("b", false), ("c", true)]);
    assert_eq!(read.tools[0].raw.get(), tool("a").to_string());
    assert_eq!(read.resources[0].name, "crm://1");
    assert!(read.prompts.is_empty() && read.templates.is_empty());
    assert_eq!(read.instructions.as_deref(), Some("Be kind."));
    assert_eq!(read.server_info.unwrap().get(), r#"{"name":"m"}"#);
    for seen in double.seen() {
        assert_eq!(seen.headers["authorization"], "Bearer identity");
        assert_eq!(seen.headers["host"], double.address.to_string());
        if seen.rpc_method() != "initialize" {
            assert_eq!(seen.headers["mcp-method"], seen.rpc_method());
            assert_eq!(seen.headers["mcp-protocol-version"], "2026-07-28");
        }
    }
}

fn legacy(seen: &Seen) -> Response {
    match seen.rpc_method() {
        "initialize" => {
            let offer = json!({
                "protocolVersion": "2025-06-18", "capabilities": { "tools": {} },
                "serverInfo": { "name": "l" },
            });
            let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": offer });
            let mut response =
                respond(200, "text/event-stream", format!("id: 0\ndata:\n\ndata: {body}\n\n"));
            response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s1"));
            response
        }
        _ if seen.headers.get("mcp-session-id").is_none() => {
            respond(400, "text/plain", "Bad Request: no session")
        }
        "notifications/initialized" => respond(202, "text/plain", ""),
        "tools/list" => result(seen, &json!({ "tools": [tool("a")] })),
        "" => respond(204, "text/plain", ""),
        _ => refuse(seen),
    }
}

#[tokio::test]
async fn a_legacy_backend_with_sessions_is_read_and_its_session_ended() {
    let double = Double::start(legacy).await;
    let read = catalogue::read(&double.backend(), identity(), None).await.unwrap().unwrap();
    assert_eq!(read.eras, Eras { legacy: Some(Version::June2025), modern: false, sessions: true });
    assert_eq!(read.tools.len(), 1);
    assert_eq!(
        double.rpc_methods(),
        [
            "POST server/discover",
            "POST initialize",
            "POST notifications/initialized",
            "POST tools/list",
            "DELETE ",
        ]
    );
    let last = double.seen().pop().unwrap();
    assert_eq!(last.headers["mcp-session-id"], "s1");
    assert_eq!(last.headers["mcp-protocol-version"], "2025-06-18");
}

#[tokio::test]
async fn a_catalogue_that_says_the_same_as_before_stays() {
    let tools = Arc::new(AtomicUsize::new(0));
    let offered = Arc::clone(&tools);
    let double = Double::start(move |seen| match seen.rpc_method() {
        "tools/list" => match offered.load(Ordering::SeqCst) {
            0 => result(seen, &json!({ "tools": [tool("a")] })),
            _ => result(seen, &json!({ "tools": [tool("b")] })),
        },
        _ => modern(seen),
    })
    .await;
    let backend = double.backend();
    let first = catalogue::read(&backend, identity(), None).await.unwrap().unwrap();
    let known = Some(first.fingerprint);
    assert!(catalogue::read(&backend, identity(), known).await.unwrap().is_none());
    tools.store(1, Ordering::SeqCst);
    let changed = catalogue::read(&backend, identity(), known).await.unwrap().unwrap();
    assert_eq!(changed.tools[0].name, "b");
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let double = Double::start(|seen| match seen.rpc_method() {
        "tools/list" => {
            let cursor = seen.body["params"]["cursor"].as_str().unwrap_or_default();
            result(seen, &json!({ "tools": [], "nextCursor": format!("{cursor}x") }))
        }
        _ => modern(seen),
    })
    .await;
    let error = catalogue::read(&double.backend(), identity(), None).await.unwrap_err();
    assert!(matches!(error, BackendError::TooLarge));
}

#[tokio::test]
async fn a_backend_that_refuses_the_gateway_or_is_no_mcp_server_has_no_catalogue() {
    for (status, word) in [(401, "refused"), (503, "deferred"), (404, "answer")] {
        let double = Double::start(move |_| respond(status, "text/html", "<html>")).await;
        let error = catalogue::read(&double.backend(), identity(), None).await.unwrap_err();
        assert_eq!(error.name(), word, "{status}");
    }
}
