//! What is told beside a call, before a backend of either era: progress, the log, changes, and that
//! nobody waits any longer. Cells of `docs/eras.md`.

use serde_json::{Value, json};
use tests::{Answer, LEGACY, MODERN, Reply, Speaks, headers, modern_meta, request};

use crate::mcp_era_cases::{PAIRS, ask, crossing, relayed, session};

/// The result that a stream or a JSON answer ends with, and the notifications before it.
fn told(reply: &Reply) -> Vec<Value> {
    let data = reply.text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn notice(method: &str, params: &Value) -> String {
    let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    format!("data: {message}\n\n")
}

const DONE: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{\"content\":[]}}\n\n";

#[tokio::test]
async fn progress_passes_between_all_eras_and_questions_only_in_relayed_sessions() {
    for (modern, speaks) in PAIRS {
        let (backend, _world, mcp) = crossing(speaks).await;
        let progress = json!({ "progressToken": 1, "progress": 1 });
        let question = json!({ "jsonrpc": "2.0", "id": 7, "method": "elicitation/create" });
        let stream =
            format!("{}data: {question}\n\n{DONE}", notice("notifications/progress", &progress));
        backend.answer(Answer::Raw("text/event-stream", stream));
        let params = json!({ "name": "list_contacts", "_meta": { "progressToken": 1 } });
        let reply = ask(&mcp, modern, "tools/call", params).await;
        let sent = backend.calls().pop().unwrap();
        assert_eq!(sent.message["params"]["_meta"]["progressToken"], 1, "{modern} {speaks:?}");
        let told = told(&reply);
        assert_eq!(told.len(), 2, "{modern} {speaks:?}: {}", reply.text);
        assert_eq!(told[0]["params"], progress, "{modern} {speaks:?}");
        assert_eq!(told[1]["id"], sent.message["id"], "{modern} {speaks:?}");
    }
}

#[tokio::test]
async fn whoever_stops_waiting_is_heard_by_the_backend_in_its_own_era() {
    for (modern, speaks) in PAIRS {
        let (backend, _world, mcp) = crossing(speaks).await;
        backend.answer(Answer::Stream);
        let mut message = request("tools/call", json!({ "name": "list_contacts" }));
        let mut sent = headers([("mcp-protocol-version", LEGACY)]);
        if modern {
            message["params"]["_meta"] = modern_meta();
            sent = headers([
                ("mcp-method", "tools/call"),
                ("mcp-name", "list_contacts"),
                ("mcp-protocol-version", MODERN),
            ]);
        }
        let answer = mcp.open(&message, sent).await;
        let pen = backend.stream().await;
        if modern {
            drop(answer);
        } else {
            let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
                "params": { "requestId": message["id"] } });
            assert_eq!(mcp.send(&cancel, headers([])).await.status, 202);
        }
        let limit = std::time::Duration::from_secs(5);
        let closed = tokio::time::timeout(limit, pen.closed()).await;
        assert!(closed.is_ok(), "{modern} {speaks:?}: the backend still writes");
        let heard = async {
            loop {
                let heard = backend.heard("notifications/cancelled");
                if !heard.is_empty() {
                    return heard;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        if speaks == Speaks::Legacy {
            let heard = tokio::time::timeout(limit, heard).await.expect("a notification");
            assert_eq!(heard[0].message["params"]["requestId"], message["id"], "{modern}");
        } else {
            assert!(backend.heard("notifications/cancelled").is_empty(), "{modern}");
        }
    }
}

#[tokio::test]
async fn a_modern_call_hears_of_a_legacy_backend_only_what_it_asked_for() {
    let (backend, _world, mcp) = crossing(Speaks::Legacy).await;
    let log = |level: &str| notice("notifications/message", &json!({ "level": level, "data": 1 }));
    let stream = [
        log("info"),
        log("error"),
        notice("notifications/tools/list_changed", &json!({})),
        notice("notifications/resources/updated", &json!({ "uri": "crm://contacts/1" })),
        DONE.to_owned(),
    ];
    backend.answer(Answer::Raw("text/event-stream", stream.concat()));
    for (level, heard) in [(None, 0), (Some("warning"), 1), (Some("debug"), 2)] {
        let mut params = json!({ "name": "list_contacts" });
        if let Some(level) = level {
            params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": level });
        }
        let reply = mcp.modern("tools/call", params).await;
        let told = told(&reply);
        assert_eq!(told.len(), heard + 1, "{level:?}: {}", reply.text);
        let others = told.iter().filter(|one| one["method"] == "notifications/message").count();
        assert_eq!(others, heard, "{level:?}: {}", reply.text);
        let meta = &backend.calls().pop().unwrap().message["params"]["_meta"];
        assert_eq!(meta.get("io.modelcontextprotocol/logLevel"), None, "it would mean nothing");
    }
    let reply = mcp.legacy("tools/call", json!({ "name": "list_contacts" })).await;
    assert_eq!(told(&reply).len(), 5, "within the era everything passes: {}", reply.text);
}

#[tokio::test]
async fn a_legacy_client_hears_what_a_modern_backend_tells_of_its_call() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let log = notice("notifications/message", &json!({ "level": "info", "data": 1 }));
    backend.answer(Answer::Raw("text/event-stream", log + DONE));
    let reply = mcp.legacy("tools/call", json!({ "name": "list_contacts" })).await;
    assert_eq!(told(&reply).len(), 2, "{}", reply.text);
}

#[tokio::test]
async fn the_log_passes_within_an_era() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let log = notice("notifications/message", &json!({ "level": "info", "data": 1 }));
    backend.answer(Answer::Raw("text/event-stream", log.clone() + DONE));
    let meta = json!({ "io.modelcontextprotocol/logLevel": "info" });
    let params = json!({ "name": "list_contacts", "_meta": meta });
    let reply = mcp.modern("tools/call", params).await;
    assert_eq!(told(&reply).len(), 2, "{}", reply.text);
    let sent = &backend.calls().pop().unwrap().message["params"]["_meta"];
    assert_eq!(sent["io.modelcontextprotocol/logLevel"], "info");

    let (backend, _world, mcp) = relayed(Speaks::Legacy).await;
    backend.answer(Answer::Result(json!({})));
    let sent =
        headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", &session(&mcp).await)]);
    let level = request("logging/setLevel", json!({ "level": "info" }));
    assert_eq!(mcp.send(&level, sent).await.message()["result"], json!({}));
    assert_eq!(backend.heard("logging/setLevel")[0].message, level);
}

#[tokio::test]
async fn subscriptions_pass_within_an_era() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let stream = [
        notice("notifications/subscriptions/acknowledged", &json!({ "notifications": {} })),
        notice("notifications/resources/updated", &json!({ "uri": "crm://contacts/1" })),
        DONE.to_owned(),
    ];
    backend.answer(Answer::Raw("text/event-stream", stream.concat()));
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["crm://contacts/1"] } });
    let reply = mcp.modern("subscriptions/listen", wanted.clone()).await;
    assert_eq!(told(&reply).len(), 3, "{}", reply.text);
    let sent = backend.heard("subscriptions/listen").pop().unwrap();
    assert_eq!(sent.message["params"]["notifications"], wanted["notifications"]);
    let unknown = json!({ "notifications": { "resourceSubscriptions": ["crm://none"] } });
    let refused = mcp.modern("subscriptions/listen", unknown).await;
    assert_eq!(refused.json()["error"]["code"], -32602, "{}", refused.text);
    assert_eq!(backend.heard("subscriptions/listen").len(), 1, "it never heard of that one");

    let (backend, _world, mcp) = relayed(Speaks::Legacy).await;
    backend.answer(Answer::Result(json!({})));
    let session = session(&mcp).await;
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let sent = headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", &session)]);
        let message = request(method, json!({ "uri": "crm://contacts/1" }));
        let reply = mcp.send(&message, sent.clone()).await;
        assert_eq!(reply.message()["result"], json!({}), "{method}: {}", reply.text);
        assert_eq!(backend.heard(method)[0].message, message);
        let unknown = request(method, json!({ "uri": "crm://none" }));
        let refused = mcp.send(&unknown, sent).await;
        assert_eq!(refused.message()["error"]["code"], -32002, "{method}: {}", refused.text);
    }
}
