//! What clients of a resource without sessions see.

use super::*;

#[tokio::test]
async fn a_call_reaches_the_backend_with_our_identity_and_not_the_callers_token() {
    let world = world("").await;
    let token = world.token(&json!({}));
    for answer in [
        world.legacy(&token, "tools/call", json!({"name": "list_contacts"})).await,
        world.modern(&token, "tools/call", json!({"name": "list_contacts"})).await,
    ] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["result"]["content"][0]["text"], "done");
    }
    let seen = world.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for (headers, body) in seen.iter() {
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("Bearer ") && !authorization.contains(&token));
        assert_eq!(body["params"]["name"], "list_contacts");
    }
    assert_eq!(seen[1].0["mcp-name"], "list_contacts");
}

#[tokio::test]
async fn handshakes_and_lists_are_answered_without_the_backend() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let answer = world.legacy(&token, "initialize", json!({"protocolVersion": "2025-06-18"})).await;
    assert_eq!(answer.body["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answer.body["id"], "a-1");
    let answer = world.modern(&token, "server/discover", json!({})).await;
    assert_eq!(answer.body["result"]["supportedVersions"][0], "2026-07-28");
    let answer = world.modern(&token, "tools/list", json!({})).await;
    assert_eq!(answer.body["result"]["tools"].as_array().unwrap().len(), 3);
    assert_eq!(answer.body["result"]["cacheScope"], "private");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn strangers_are_told_where_to_get_a_token() {
    let world = world("").await;
    for method in ["POST", "GET", "DELETE"] {
        let request = Request::builder().method(method).uri("/mcp").header("host", HOST);
        let answer = world.send(request, &Value::Null).await;
        assert_eq!(answer.status, 401, "{method}");
        let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Bearer scope=\"contacts:read\", resource_metadata="));
    }
    for path in
        ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]
    {
        let answer = world.find(path).await;
        assert_eq!(answer.body["resource"], "http://localhost:7400/mcp", "{path}");
        assert_eq!(answer.body["authorization_servers"], json!([ISSUER]));
    }
    let mirror = world.find("/.well-known/oauth-authorization-server").await;
    assert_eq!(mirror.body["issuer"], ISSUER);
    let alias = world.find("/authorize?a=b").await;
    assert_eq!(alias.headers["location"], "https://auth.example/authorize?a=b");
    let missing = world.find("/.well-known/openid-configuration").await;
    assert_eq!((missing.status, missing.body["error"].as_str()), (404, Some("not_found")));
}

#[tokio::test]
async fn a_valid_token_does_not_open_streams_without_sessions() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let request = Request::builder()
        .uri("/mcp")
        .header("host", HOST)
        .header("authorization", format!("Bearer {token}"));
    let answer = world.send(request, &Value::Null).await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST"));
}

#[tokio::test]
async fn hosts_origins_and_media_types_are_judged_first() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let elsewhere = Request::builder().method("POST").uri("/mcp").header("host", "evil.example");
    assert_eq!(world.send(elsewhere, &ping).await.status, 421);
    let foreign = World::post(&token).header("origin", "http://evil.example");
    assert_eq!(world.send(foreign, &ping).await.status, 403);
    let local = World::post(&token).header("origin", "http://localhost:6274");
    let answer = world.send(local, &ping).await;
    assert_eq!(answer.status, 200);
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("MCP-Protocol-Version") && exposed.contains("WWW-Authenticate"));
    let text = Request::builder()
        .method("POST")
        .uri("/mcp")
        .header("host", HOST)
        .header("content-type", "text/plain")
        .header("authorization", format!("Bearer {token}"));
    assert_eq!(world.send(text, &ping).await.status, 415);
}

#[tokio::test]
async fn a_missing_scope_is_403_with_everything_to_ask_for() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let answer = world
        .legacy(&token, "tools/call", json!({"name": "delete_contact", "arguments": {}}))
        .await;
    assert_eq!((answer.status, &answer.body["id"]), (403, &json!("a-1")));
    let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(
        challenge.contains("scope=\"contacts:delete contacts:read contacts:write\""),
        "{challenge}"
    );
    let unknown = world.legacy(&token, "tools/call", json!({"name": "drop_all"})).await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (200, &json!(-32602)));
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tokens_that_are_not_for_us_are_refused_by_name() {
    let world = world("").await;
    for (change, word) in [
        (json!({"aud": "http://localhost:7400/other"}), "another resource"),
        (json!({"iss": "https://evil.example"}), "another issuer"),
        (json!({"exp": NOW.secs()}), "expired"),
    ] {
        let token = world.token(&change);
        let answer = world.legacy(&token, "ping", json!({})).await;
        assert_eq!(answer.status, 401);
        let challenge = answer.headers[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\"") && challenge.contains(word));
    }
    let forged = world.token(&json!({})) + "A";
    assert_eq!(world.legacy(&forged, "ping", json!({})).await.status, 401);
}

#[tokio::test]
async fn messages_with_two_meanings_and_bodies_too_large_are_refused() {
    let world = world("max_body_bytes = 500").await;
    let token = world.token(&json!({}));
    let raw = |body: &str| World::post(&token).body(Body::from(body.to_owned())).unwrap();
    let large = format!("\"{}\"", "x".repeat(600));
    for (body, status, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, 400, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32600),
        (r#"{"jsonrpc":"#, 400, -32700),
        (large.as_str(), 413, 0),
    ] {
        let response = router(world.gateway.clone()).oneshot(raw(body)).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{body}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"].as_i64().unwrap_or_default(), code);
    }
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_methods_that_are_not_served_name_those_that_are() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let packed = World::post(&token).header("content-encoding", "gzip");
    let answer = world.send(packed, &ping).await;
    assert_eq!(
        (answer.status, &answer.headers["accept-encoding"]),
        (415, &"identity".parse().unwrap())
    );
    let document = Request::builder()
        .method("POST")
        .uri("/.well-known/oauth-protected-resource/mcp")
        .header("host", HOST);
    let answer = world.send(document, &Value::Null).await;
    let allowed = answer.headers["allow"].to_str().unwrap();
    assert_eq!((answer.status, allowed.contains("GET")), (405, true), "{allowed}");
    assert!(!allowed.contains("POST"), "{allowed}");
    let relay = world_of("", "session = \"relay\"").await;
    let put = Request::builder()
        .method("PUT")
        .uri("/mcp")
        .header("host", HOST)
        .header("authorization", format!("Bearer {}", relay.token(&json!({}))));
    let answer = relay.send(put, &Value::Null).await;
    assert_eq!(
        (answer.status, &answer.headers["allow"]),
        (405, &"DELETE, GET, POST".parse().unwrap())
    );
}

#[tokio::test]
async fn scripts_may_send_what_tools_declare_and_read_that_nothing_is_here() {
    let world = world("").await;
    let preflight = |uri: &str, asked: &str| {
        Request::builder()
            .method("OPTIONS")
            .uri(uri.to_owned())
            .header("host", HOST)
            .header("origin", "http://localhost:6274")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", asked.to_owned())
    };
    let asked = preflight("/mcp", "authorization,mcp-param-region,x-evil");
    let answer = world.send(asked, &Value::Null).await;
    let allowed = answer.headers["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("mcp-param-region") && !allowed.contains("x-evil"), "{allowed}");
    let missing = "/.well-known/openid-configuration";
    let answer = world.send(preflight(missing, "mcp-protocol-version"), &Value::Null).await;
    assert_eq!(answer.status, 204);
    let answer = world.find(missing).await;
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (404, &"*".parse().unwrap())
    );
    let elsewhere = Request::builder().uri("/mcp").header("host", "evil.example");
    let answer = world.send(elsewhere, &Value::Null).await;
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (421, &"*".parse().unwrap())
    );
}
