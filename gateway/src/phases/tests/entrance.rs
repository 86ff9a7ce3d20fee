//! What programs post straight to an endpoint is answered as the router answers it.

use super::*;

/// Status, headers and body of an answer. Its length is written in any case, by the router or the
/// connection.
async fn told(response: Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let (head, body) = response.into_parts();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = head.headers.iter().filter(|(name, _)| *name != http::header::CONTENT_LENGTH);
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    (head.status.as_u16(), headers, to_bytes(body, 1 << 20).await.unwrap().to_vec())
}

#[tokio::test]
async fn a_post_past_the_router_is_answered_as_by_it() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "list_contacts", "arguments": {"workspace_id": "acme"}}});
    let unknown = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "none"}});
    let mut statuses = Vec::new();
    for (token, host, path, media, body) in [
        (token.as_str(), HOST, "/mcp", "application/json", &call),
        (token.as_str(), HOST, "/mcp?access_token=x", "application/json", &call),
        (token.as_str(), HOST, "/mcp", "application/json", &unknown),
        (token.as_str(), HOST, "/mcp", "text/plain", &call),
        ("none", HOST, "/mcp", "application/json", &call),
        (token.as_str(), HOST, "/none", "application/json", &call),
        (token.as_str(), "other.example", "/mcp", "application/json", &call),
        (token.as_str(), &HOST.to_ascii_uppercase(), "/mcp", "application/json", &call),
    ] {
        let request = || {
            Request::post(path)
                .header("host", host)
                .header("content-type", media)
                .header("authorization", format!("Bearer {token}"))
                .body(Body::from(body.to_string()))
                .unwrap()
        };
        let straight = router(world.gateway.clone()).oneshot(request()).await.unwrap();
        let routed = crate::routes::router(world.gateway.clone()).oneshot(request()).await.unwrap();
        let (straight, routed) = (told(straight).await, told(routed).await);
        assert_eq!(straight, routed, "{host}{path} {media} {body}");
        statuses.push(straight.0);
    }
    assert_eq!(statuses, [200, 400, 200, 415, 401, 404, 421, 200]);
}
