//! Streamable HTTP as the gateway takes it: methods, headers, bodies and envelopes (MCP
//! transports, JSON-RPC 2.0, RFC 9110).

use reqwest::Method;
use serde_json::{Value, json};
use tests::{LEGACY, Mcp, Options, Reply, World, headers, request};

use crate::mcp_cases::{is_rpc_error, signed_in};

/// A refusal that concerns the request as HTTP.
fn is_refused(reply: &Reply, status: u16, error: &str, requirement: &str) {
    assert_eq!((reply.status, &*reply.error()), (status, error), "{requirement}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json", "{requirement}");
    let words = reply.json()["error_description"].as_str().unwrap().to_owned();
    assert!(words.contains(requirement), "{requirement}: {words}");
}

#[tokio::test]
async fn scripts_of_other_sites_are_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let ping = request("ping", json!({}));
    for origin in [
        "https://attacker.example",
        "http://localhost.attacker.example",
        "http://attacker.example:7400",
        "null",
    ] {
        for mcp in [&mcp, &Mcp::new(&world, None)] {
            let reply = mcp.send(&ping, headers([("origin", origin)])).await;
            is_refused(&reply, 403, "forbidden_origin", "MCP transports, security");
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
        }
    }
    for origin in ["http://localhost:5173", "http://127.0.0.1:6274"] {
        let reply = mcp.send(&ping, headers([("origin", origin)])).await;
        assert_eq!(reply.status, 200, "{origin}: {}", reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{origin}");
    }
}

#[tokio::test]
async fn listed_origins_are_allowed_and_no_others() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]", "[gateway]\norigins_allowed = [\"https://app.example\"]");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    for (origin, status) in [
        ("https://app.example", 200),
        ("https://app.example:8443", 403),
        ("http://app.example", 403),
        ("http://localhost:5173", 403),
    ] {
        let sent = headers([("origin", origin)]);
        let reply = mcp.send(&request("ping", json!({})), sent).await;
        assert_eq!(reply.status, status, "{origin}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_whatever_it_carries() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for host in ["attacker.example", "localhost", "127.0.0.1:1"] {
        let reply = mcp.send(&request("ping", json!({})), headers([("host", host)])).await;
        is_refused(&reply, 421, "misdirected_request", "RFC 9110 section 15.5.20");
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let ping = request("ping", json!({}));
    for media in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""] {
        let reply = mcp.send(&ping, headers([("content-type", media)])).await;
        is_refused(&reply, 415, "invalid_request", "RFC 9110 section 15.5.16");
    }
    let packed = mcp.send(&ping, headers([("content-encoding", "gzip")])).await;
    is_refused(&packed, 415, "invalid_request", "RFC 9110 section 12.5.3");
    assert_eq!(packed.header("accept-encoding"), "identity");
    for media in ["application/json", "Application/JSON; charset=utf-8"] {
        let reply = mcp.send(&ping, headers([("content-type", media)])).await;
        assert_eq!(reply.status, 200, "{media}: {}", reply.text);
    }
}

#[tokio::test]
async fn clients_that_accept_one_type_or_do_not_say_are_answered() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for accept in ["application/json", "*/*", ""] {
        let sent = headers([("accept", accept)]);
        let reply = mcp.send(&request("ping", json!({})), sent).await;
        assert_eq!(reply.status, 200, "{accept}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let host = mcp.url.split('/').nth(2).unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let token = mcp.token.as_deref().unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut piece = [0; 2048];
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read(&mut piece));
    let length = read.await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&piece[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "RFC 9110 section 15.5.9: {answer}");
}

#[tokio::test]
async fn a_body_has_a_size() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let padded = |bytes| format!("{}{}", request("ping", json!({})), " ".repeat(bytes));
    let reply = mcp.send_text(padded(1024 * 1024), headers([])).await;
    is_refused(&reply, 413, "invalid_request", "RFC 9110 section 15.5.14");
    assert_eq!(mcp.send_text(padded(1024 * 1000), headers([])).await.status, 200);
    // Whoever is nobody is told so first.
    let reply = Mcp::new(&world, None).send_text(padded(1024 * 1024), headers([])).await;
    assert_eq!(reply.status, 401, "{}", reply.text);
}

#[tokio::test]
async fn without_sessions_there_is_nothing_to_get_or_delete() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let nobody = Mcp::new(&world, None);
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let reply = mcp.ask(method.clone(), headers([])).await;
        assert_eq!(reply.status(), 405, "RFC 9110 section 15.5.6: {method}");
        assert_eq!(reply.headers()["allow"], "POST", "{method}");
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["error"], "method_not_allowed", "{method}");
        let reply = nobody.ask(method.clone(), headers([])).await;
        assert_eq!(reply.status(), 401, "{method}");
        assert!(reply.headers().contains_key("www-authenticate"), "{method}");
    }
}

#[tokio::test]
async fn batches_are_refused_in_every_revision() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let batches = [json!([]), json!([request("ping", json!({})), request("ping", json!({}))])];
    for version in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        for batch in &batches {
            let reply = mcp.send(batch, headers([("mcp-protocol-version", version)])).await;
            is_rpc_error(&reply, 400, -32600, &Value::Null, version);
            assert!(reply.text.contains("batches"), "{}", reply.text);
        }
    }
}

#[tokio::test]
async fn a_body_that_readers_could_read_differently_is_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let call = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    };
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let cases = [
        ("a method twice", r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#.to_owned()),
        ("a name twice", call(r#"{"name":"list_contacts","name":"delete_contact"}"#)),
        ("an escaped name twice", call(r#"{"name":"list_contacts","n\u0061me":"x"}"#)),
        ("arguments twice", call(r#"{"name":"list_contacts","arguments":{},"arguments":{}}"#)),
        (
            "an argument twice",
            call(r#"{"name":"list_contacts","arguments":{"limit":1,"limit":2}}"#),
        ),
        (
            "a workspace twice",
            call(
                r#"{"name":"list_contacts","arguments":{"workspace_id":"ws_acme","workspace_id":"ws_initech"}}"#,
            ),
        ),
        ("twice further in", call(r#"{"name":"list_contacts","arguments":{"a":[{"b":1,"b":2}]}}"#)),
        ("a name in other case", call(r#"{"name":"list_contacts","Name":"delete_contact"}"#)),
        (
            "an argument in other case",
            call(r#"{"name":"list_contacts","arguments":{"Workspace_ID":"ws_initech"}}"#),
        ),
        ("a wide name", call("{\"name\":\"list_contacts\",\"\u{ff4e}ame\":\"x\"}")),
        ("a lone surrogate", call(r#"{"name":"list_contacts","arguments":{"query":"\ud800"}}"#)),
        ("a null in a name", call(r#"{"name":"list_contacts","arguments":{"a\u0000":1}}"#)),
        (
            "deep nesting",
            call(&format!(r#"{{"name":"list_contacts","arguments":{{"a":{deep}}}}}"#)),
        ),
    ];
    for (about, body) in cases {
        let reply = mcp.send_text(body, headers([])).await;
        // RFC 7493 section 2: no id is read out of what has no one meaning.
        is_rpc_error(&reply, 400, -32600, &Value::Null, about);
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_parse_error_without_an_id() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for body in ["", "{", "nonsense", r#"{"jsonrpc":"2.0","id":7,"method":"ping"}}"#, "{'a':1}"] {
        let reply = mcp.send_text(body.to_owned(), headers([])).await;
        is_rpc_error(&reply, 400, -32700, &Value::Null, body);
    }
}

#[tokio::test]
async fn an_envelope_that_is_none_is_refused_with_its_id_if_that_can_be_read() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (body, id) in [
        (json!({ "jsonrpc": "1.0", "id": 7, "method": "ping" }), json!(7)),
        (json!({ "jsonrpc": "2.0", "id": "a" }), json!("a")),
        (json!({ "jsonrpc": "2.0", "id": 7, "method": "ping", "result": {} }), json!(7)),
        (json!({ "jsonrpc": "2.0", "id": 7, "result": {}, "error": {} }), json!(7)),
        (json!({ "id": 7, "method": "ping" }), Value::Null),
        (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), Value::Null),
        (json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), Value::Null),
        (json!({ "jsonrpc": "2.0", "id": {}, "method": "ping" }), Value::Null),
        (json!({ "jsonrpc": "2.0", "id": "a".repeat(600), "method": "ping" }), Value::Null),
        (json!({ "jsonrpc": "2.0", "id": 7, "method": 7 }), Value::Null),
        (json!("ping"), Value::Null),
        (json!(7), Value::Null),
    ] {
        let reply = mcp.send(&body, headers([])).await;
        is_rpc_error(&reply, 400, -32600, &id, &body.to_string());
    }
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_written() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for id in ["0", "-1", "18446744073709551617", r#""""#, r#""caf\u00e9""#, r#""\u003ca>""#] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let reply = mcp.send_text(body, headers([])).await;
        assert_eq!(reply.text, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[tokio::test]
async fn wrong_params_are_refused_with_the_id() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (method, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({ "name": 7 })),
        ("prompts/get", json!({})),
        ("resources/read", json!({})),
        ("completion/complete", json!({})),
        ("initialize", json!({})),
    ] {
        let message = request(method, params);
        let reply = mcp.send(&message, headers([])).await;
        is_rpc_error(&reply, 200, -32602, &message["id"], method);
    }
}

#[tokio::test]
async fn notifications_are_accepted_and_responses_that_nobody_awaits_are_not() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for method in ["notifications/initialized", "notifications/cancelled", "notifications/odd"] {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": { "requestId": 1 } });
        let reply = mcp.send(&message, headers([("mcp-protocol-version", LEGACY)])).await;
        assert_eq!((reply.status, &*reply.text), (202, ""), "{method}");
    }
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let reply = mcp.send(&response, headers([])).await;
    is_rpc_error(&reply, 400, -32600, &Value::Null, "a response");
}

#[tokio::test]
async fn every_legacy_version_is_served_and_others_are_named() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let sent = headers([("mcp-protocol-version", version)]);
        assert_eq!(mcp.send(&request("ping", json!({})), sent).await.status, 200, "{version}");
    }
    assert_eq!(mcp.send(&request("ping", json!({})), headers([])).await.status, 200, "unsaid");
    for version in ["2024-11-05", "1999-01-01", "nonsense", ""] {
        let message = request("ping", json!({}));
        let reply = mcp.send(&message, headers([("mcp-protocol-version", version)])).await;
        is_rpc_error(&reply, 400, -32022, &message["id"], version);
        let data = &reply.json()["error"]["data"];
        assert_eq!(data["requested"], version);
        let all = json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]);
        assert_eq!(data["supported"], all);
    }
}

#[tokio::test]
async fn initialize_answers_with_a_version_that_has_it() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (asked, answered) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
    ] {
        let client = json!({ "name": "end to end", "version": "1" });
        let params = json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": client });
        let message = request("initialize", params);
        for sent in [headers([]), headers([("mcp-protocol-version", asked)])] {
            let reply = mcp.send(&message, sent).await;
            assert_eq!(reply.status, 200, "{asked}: {}", reply.text);
            let result = reply.json()["result"].clone();
            assert_eq!(result["protocolVersion"], answered, "{asked}");
            assert!(result["serverInfo"]["name"].is_string(), "{result}");
            assert!(result["capabilities"]["tools"].is_object(), "{result}");
            assert_eq!(reply.header("mcp-session-id"), "", "there are no sessions");
        }
    }
}

#[tokio::test]
async fn ping_is_answered_and_unknown_methods_are_named_unknown() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    assert_eq!(mcp.legacy("ping", json!({})).await.json()["result"], json!({}));
    for method in ["tools/frob", "", "server/discovers", "resources/subscribe"] {
        let message = request(method, json!({ "uri": "crm://contacts/1" }));
        let reply = mcp.send(&message, headers([("mcp-protocol-version", LEGACY)])).await;
        is_rpc_error(&reply, 200, -32601, &message["id"], method);
    }
}
