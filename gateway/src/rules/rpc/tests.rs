//! Messages as clients send them.

use http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn code(body: &str, pairs: &[(&'static str, &'static str)]) -> Result<Era, i64> {
    match read(&Bytes::copy_from_slice(body.as_bytes()), &headers(pairs), "workspace_id") {
        Ok(Message::Request(call)) => Ok(call.era),
        Ok(other) => panic!("not a request: {other:?}"),
        Err(refusal) => Err(refusal.violation.wire().1),
    }
}

const V: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn call(method: &str, members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{members}}}}}"#)
}

#[test]
fn the_era_is_chosen_by_the_request() {
    let list = ("mcp-method", "tools/list");
    assert_eq!(code(&call("tools/list", ""), &[]), Ok(Era::Legacy));
    assert_eq!(code(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, &[]), Ok(Era::Legacy));
    assert_eq!(code(&call("tools/list", META), &[V, list]), Ok(Era::Modern));
    // Some clients mirror the method in the legacy era too, and ask for the newest in initialize.
    assert_eq!(code(&call("tools/list", ""), &[list]), Ok(Era::Legacy));
    let initialize = call("initialize", r#""protocolVersion":"2026-07-28""#);
    assert_eq!(code(&initialize, &[V]), Ok(Era::Legacy));
}

#[test]
fn a_modern_request_says_its_version_and_capabilities_and_its_headers_agree() {
    let list = ("mcp-method", "tools/list");
    let bare = call("tools/list", "");
    assert_eq!(code(&bare, &[V, list]), Err(-32602));
    assert_eq!(code(&call("server/discover", ""), &[]), Err(-32602));
    let no_capabilities = META.split(",\"").next().unwrap().to_owned() + "}";
    assert_eq!(code(&call("tools/list", &no_capabilities), &[V, list]), Err(-32602));
    let good = call("tools/list", META);
    assert_eq!(code(&good, &[list]), Err(-32020));
    assert_eq!(code(&good, &[("mcp-protocol-version", "2025-11-25"), list]), Err(-32020));
    assert_eq!(code(&good, &[V]), Err(-32020));
    assert_eq!(code(&good, &[V, ("mcp-method", "TOOLS/LIST")]), Err(-32020));
    let other = good.replace("2026-07-28", "v999");
    assert_eq!(code(&other, &[V, list]), Err(-32020));
    assert_eq!(code(&other, &[("mcp-protocol-version", "v999"), list]), Err(-32022));
}

#[test]
fn a_modern_call_repeats_its_target_in_a_header() {
    let method = ("mcp-method", "tools/call");
    let body = call("tools/call", &format!(r#""name":"list_contacts",{META}"#));
    assert_eq!(code(&body, &[V, method, ("mcp-name", "list_contacts")]), Ok(Era::Modern));
    assert_eq!(code(&body, &[V, method]), Err(-32020));
    assert_eq!(code(&body, &[V, method, ("mcp-name", "drop")]), Err(-32020));
}

#[test]
fn unknown_and_removed_methods_are_not_found() {
    assert_eq!(code(&call("tools/frob", ""), &[]), Err(-32601));
    let ping = ("mcp-method", "ping");
    assert_eq!(code(&call("ping", META), &[V, ping]), Err(-32601));
}

#[test]
fn what_is_no_single_message_is_refused() {
    for (body, expected) in [
        ("[]", -32600),
        (r#" [{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("1", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#, -32602),
    ] {
        assert_eq!(code(body, &[]), Err(expected), "{body}");
    }
}

#[test]
fn notifications_and_responses_are_told_apart() {
    let read = |body: &'static str| {
        read(&Bytes::from_static(body.as_bytes()), &HeaderMap::new(), "workspace_id")
    };
    let notification = read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert!(matches!(notification, Ok(Message::Notification { .. })));
    let response = read(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    assert!(matches!(response, Ok(Message::Response { .. })));
}

#[test]
fn a_refusal_keeps_the_id_it_could_read() {
    let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"x-1","method":"tools/frob"}"#);
    let refusal = read(&body, &HeaderMap::new(), "workspace_id").unwrap_err();
    assert_eq!(refusal.id.unwrap().get(), "\"x-1\"");
}

#[test]
fn nothing_but_a_notification_comes_without_an_id() {
    for method in ["tools/call", "resources/read", "initialize", "x"] {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"name":"a"}}}}"#);
        let refusal = read(&Bytes::from(body), &HeaderMap::new(), "workspace_id").unwrap_err();
        assert_eq!(refusal.violation, RpcViolation::Envelope, "{method}");
    }
}

#[test]
fn lists_are_no_objects() {
    for params in [
        r#"[{"id":"1"},null,null,"list_contacts",null,null,null]"#,
        r#"{"name":"a","_meta":[{},"2026-07-28"]}"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let refusal = read(&Bytes::from(body), &HeaderMap::new(), "workspace_id").unwrap_err();
        assert_eq!(refusal.violation, RpcViolation::Params, "{params}");
    }
}
