//! Sessions of the backend, relayed.

use super::*;

#[tokio::test]
async fn a_relayed_session_is_sealed_for_its_principal() {
    let world = world_of("", "session = \"relay\"").await;
    let token = world.token(&json!({}));
    let opened = world.legacy(&token, "initialize", json!({"protocolVersion": "2025-11-25"})).await;
    assert_eq!(opened.body["result"]["serverInfo"]["name"], "double");
    let session = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(!session.contains("backend-session"));
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "list_contacts"}});
    let with = |token: &str, session: &str| World::post(token).header("mcp-session-id", session);
    assert_eq!(world.send(with(&token, &session), &call).await.status, 200);
    let last = world.seen.lock().unwrap().last().unwrap().0["mcp-session-id"].clone();
    assert_eq!(last, "backend-session");
    let other = world.token(&json!({"sub": "usr_2", "jti": "t2"}));
    for (token, session) in [(&other, session.as_str()), (&token, "backend-session")] {
        let answer = world.send(with(token, session), &call).await;
        assert_eq!((answer.status, &answer.body["id"]), (404, &json!(2)));
    }
    let listing = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list"});
    let answer = world.send(with(&token, &session), &listing).await;
    assert_eq!(answer.body["result"]["tools"].as_array().unwrap().len(), 3);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(world.send(with(&token, &session), &ready).await.status, 202);
}

#[tokio::test]
async fn a_relayed_stream_needs_its_session_and_passes_events_on() {
    let world = world_of("", "session = \"relay\"").await;
    let token = world.token(&json!({}));
    let opened = world.legacy(&token, "initialize", json!({"protocolVersion": "2025-11-25"})).await;
    let session = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let get = || {
        Request::builder()
            .uri("/mcp")
            .header("host", HOST)
            .header("authorization", format!("Bearer {token}"))
    };
    assert_eq!(world.send(get(), &Value::Null).await.status, 400);
    let request = get().header("mcp-session-id", &session).body(Body::empty()).unwrap();
    let response = router(world.gateway.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert!(body.starts_with(b"id: 1\ndata: "), "{body:?}");
}
