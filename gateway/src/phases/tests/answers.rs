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
async fn a_write_names_its_workspace_or_is_told_which_there_are() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = |arguments: Value| json!({"name": "create_contact", "arguments": arguments});
    let answer = world.modern(&token, "tools/call", call(json!({}))).await;
    assert_eq!(answer.body["result"]["isError"], true);
    let text = answer.body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("Validation error:") && text.contains("acme, beta"), "{text}");
    let one = world.token(&json!({"workspaces": ["acme"], "jti": "t2"}));
    let answer = world.modern(&one, "tools/call", call(json!({}))).await;
    assert_eq!(answer.body["result"]["content"][0]["text"], "done");
    let seen = world.seen.lock().unwrap();
    assert_eq!(seen[0].1["params"]["arguments"]["workspace_id"], "acme");
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
async fn what_is_revoked_is_refused_within_a_second_and_a_silent_feed_is_503() {
    let world = world("while_feed_is_silent = \"nothing\"\nfeed_silence_seconds = 1").await;
    let token = world.token(&json!({}));
    assert_eq!(world.legacy(&token, "ping", json!({})).await.status, 200);
    let user = UserId::parse("usr_1").unwrap();
    world.office.events.lock().unwrap().push(Event::Person { user, not_after: NOW });
    let refused = async {
        while world.legacy(&token, "ping", json!({})).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(1), refused).await.unwrap();
    world.office.is_away.store(true, Ordering::SeqCst);
    world.until(|answer| answer.status == 503, "/readyz").await;
    let answer = world.legacy(&token, "ping", json!({})).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn newer_keys_are_fetched_as_soon_as_they_are_announced_and_not_without_end() {
    let world = world("").await;
    let fetches = || world.office.fetches.load(Ordering::SeqCst);
    let before = fetches();
    world.office.key_set_version.store(99, Ordering::SeqCst);
    let asked = async {
        while fetches() == before {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(1), asked).await.unwrap();
    // What is published stays behind what was announced: it is asked for once a second.
    let many = tokio::time::timeout(std::time::Duration::from_millis(800), async {
        while fetches() < before + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(many.await.is_err(), "{}", fetches());
}

#[tokio::test]
async fn the_first_use_of_a_generation_is_reported() {
    let world = world("").await;
    let token = world.token(&json!({}));
    world.legacy(&token, "ping", json!({})).await;
    let expected = Receipt { family: FamilyId::from_bytes([7; 16]), generation: 3 };
    let reported = async {
        let is_there =
            || world.office.usage.lock().unwrap().iter().any(|u| u.receipts.contains(&expected));
        while !is_there() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), reported).await.unwrap();
}

#[tokio::test]
async fn a_spent_workspace_budget_is_429_and_lists_go_on() {
    let world = world("workspace_calls_per_minute = 1\nworkspace_burst = 1").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "arguments": {"workspace_id": "acme"}});
    assert_eq!(world.legacy(&token, "tools/call", call.clone()).await.status, 200);
    let answer = world.legacy(&token, "tools/call", call).await;
    assert_eq!((answer.status, &answer.body["id"]), (429, &json!("a-1")));
    assert!(answer.headers.contains_key("retry-after"));
    let other = json!({"name": "list_contacts", "arguments": {"workspace_id": "beta"}});
    assert_eq!(world.legacy(&token, "tools/call", other).await.status, 200);
    assert_eq!(world.legacy(&token, "tools/list", json!({})).await.status, 200);
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
        let response = router(world.app.clone()).oneshot(raw(body)).await.unwrap();
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

#[tokio::test]
async fn an_address_that_guesses_too_often_is_still_told_how_to_get_in() {
    let world = world("failed_authentications_per_minute = 2").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let mut request = World::post("no.such.token").body(Body::empty()).unwrap();
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        let response = router(world.app.clone()).oneshot(request).await.unwrap();
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        assert!(challenge.contains("resource_metadata="), "{challenge}");
        statuses.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }
    assert_eq!(statuses, [(401, false), (401, false), (429, true)]);
}

#[tokio::test]
async fn a_stream_ends_when_it_cannot_be_known_who_was_shut_out() {
    use futures_util::{StreamExt, stream};
    let world = world("feed_silence_seconds = 1").await;
    let caller = world.app.claims.keep(crate::rules::caller::tests::caller("a", &[]), [1; 32], 0);
    world.office.is_away.store(true, Ordering::SeqCst);
    world.until(|answer| answer.status == 503, "/readyz").await;
    let upstream = backends::Upstream {
        body: backends::UpstreamBody::Stream(stream::pending().boxed()),
        headers: HeaderMap::new(),
        session: None,
        status: StatusCode::OK,
    };
    let app = world.app.clone();
    let listener = Listener { app, caller, room: None, stream: None, underway: None };
    let response = answer::respond(upstream, None, None, listener);
    let body = to_bytes(response.into_body(), 1 << 20);
    let body =
        tokio::time::timeout(std::time::Duration::from_secs(10), body).await.unwrap().unwrap();
    assert!(body.is_empty());
}

#[tokio::test]
async fn a_principal_has_only_so_many_calls_under_way() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts"});
    assert_eq!(world.legacy(&token, "tools/call", call.clone()).await.status, 200);
    let caller = world.app.claims.find(&crate::claims::digest(&token)).unwrap();
    let rooms: Vec<_> = std::iter::from_fn(|| world.app.limits.begin_call(&caller).ok()).collect();
    let answer = world.legacy(&token, "tools/call", call.clone()).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"1".parse().unwrap()));
    drop(rooms);
    assert_eq!(world.legacy(&token, "tools/call", call).await.status, 200);
}

#[tokio::test]
async fn a_task_is_its_owners_and_reads_the_same_in_every_answer() {
    let world = world_of("", "session = \"relay\"").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "task": {"ttl": 1000}});
    let begun = world.legacy(&token, "tools/call", call).await;
    let id = begun.body["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert!(!id.contains("t-1"), "{id}");
    let asked = world.legacy(&token, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(asked.body["result"]["taskId"], id.as_str(), "{}", asked.body);
    assert_eq!(world.seen.lock().unwrap().last().unwrap().1["params"]["taskId"], "t-1");
    let before = world.seen.lock().unwrap().len();
    let other = world.token(&json!({"sub": "usr_2", "jti": "t2"}));
    for (token, id) in [(&other, id.as_str()), (&token, "t-1")] {
        let refused = world.legacy(token, "tasks/get", json!({"taskId": id})).await;
        assert_eq!(refused.body["error"]["code"], -32602, "{}", refused.body);
    }
    assert_eq!(world.seen.lock().unwrap().len(), before);
}

#[tokio::test]
async fn rows_of_another_workspace_do_not_pass() {
    let world = world_of("", "row_workspace = \"workspace_id\"").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "arguments": {"workspace_id": "beta"}});
    let answer = world.legacy(&token, "tools/call", call).await;
    let text = answer.body["result"]["content"][0]["text"].as_str().unwrap();
    let rows: Value = serde_json::from_str(text).unwrap();
    assert_eq!(rows, json!([{"id": 2, "workspace_id": "beta"}]));
}

#[tokio::test]
async fn a_list_names_the_callers_workspaces_as_choices() {
    let world = world("").await;
    let token = world.token(&json!({"workspaces": ["acme"], "jti": "t2"}));
    let answer = world.legacy(&token, "tools/list", json!({})).await;
    let property = &answer.body["result"]["tools"][0]["inputSchema"]["properties"]["workspace_id"];
    assert_eq!(property, &json!({"enum": ["acme"], "type": "string"}));
}
