//! Between the gateway and what stands behind it: what goes out, and what may come back.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Backend, CRM_AUDIENCE, Choice, Judge, Mcp, Speaks, World, headers, request};

use crate::mcp_cases::{before, signed_in, signed_in_with, tool_error};

/// How long an event may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Little patience and little room, so that tests need not wait.
fn tight(text: &str) -> String {
    let audience = format!("audience = \"{CRM_AUDIENCE}\"");
    text.replace(&audience, &format!("{audience}\ntimeout_ms = 300\nmax_answer_bytes = 20000"))
}

async fn identity_of(world: &World, token: &str) -> Value {
    let origin = world.gateway_url("").replace("localhost", "127.0.0.1");
    let jwks = format!("{origin}/.well-known/jwks.json");
    let published = json!({ "issuer": origin, "jwks_uri": jwks });
    let judge = Judge::with_metadata(&world.http, &published).await;
    judge.claims(token, CRM_AUDIENCE).unwrap()
}

fn call() -> Value {
    request("tools/call", json!({ "name": "list_contacts", "arguments": {} }))
}

/// Reads an open answer up to the end of an event.
async fn event(answer: &mut reqwest::Response) -> String {
    let mut text = String::new();
    while !text.ends_with("\n\n") && !text.ends_with("\r\n\r\n") {
        let chunk = tokio::time::timeout(LIMIT, answer.chunk()).await.expect("an event in time");
        let chunk = chunk.unwrap().expect("more of the stream");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text
}

#[tokio::test]
async fn nothing_of_the_client_reaches_the_backend_but_the_message() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    let secret = mcp.token.clone().unwrap();
    let sent = headers([
        ("cookie", "session=secret"),
        ("forwarded", "for=203.0.113.9"),
        ("mcp-session-id", "made-up"),
        ("mcp-param-odd", "1"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("user-agent", "a secret agent"),
        ("x-backend-key", "secret"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-odd", "secret"),
        ("x-user-id", "usr_second"),
    ]);
    let message = call();
    assert_eq!(mcp.send(&message, sent).await.status, 200);
    let received = &backend.calls()[0];
    assert_eq!(received.message, message);
    let mut names: Vec<&str> =
        received.headers.keys().map(reqwest::header::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-protocol-version",
    ];
    assert_eq!(names, expected, "{names:?}");
    assert_eq!(received.header("mcp-protocol-version"), "2025-11-25", "the one it negotiated");
    for received in backend.received() {
        let all = format!("{:?} {}", received.headers, received.body);
        assert!(!all.contains(&secret) && !all.contains("secret"), "{all}");
    }
}

#[tokio::test]
async fn the_message_keeps_its_bytes() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    let body = concat!(
        " {\"params\" : {\"arguments\":{\"filter\":{\"n\":1.0e2,\"b\":12345678901234567890}},",
        "\"name\":\"list_contacts\",\"future\":[ ]},\"id\":\"\\u00e9\",\n\"jsonrpc\":\"2.0\",",
        "\"method\":\"tools\\/call\",\"extra\":null}\n"
    );
    let odd = r#"{ "result":{"content":[],"odd":1.0e2}, "id":{id},"jsonrpc":"2.0","x":0}"#;
    backend.answer(Answer::Raw("application/json; charset=utf-8", odd.to_owned()));
    let reply = mcp.send_text(body.to_owned(), headers([])).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(backend.calls()[0].body, body);
    assert_eq!(reply.text, odd.replace("{id}", "\"\u{e9}\""));
}

#[tokio::test]
async fn the_identity_names_person_client_and_workspaces_and_can_be_verified() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    let access = Judge::of(&world).await.access_token(
        &world,
        mcp.token.as_deref().unwrap(),
        &world.resource,
    );
    mcp.call("list_contacts", json!({})).await;
    mcp.call("list_contacts", json!({ "workspace_id": "ws_globex" })).await;
    let calls = backend.calls();
    for (received, workspaces) in
        calls.iter().zip([json!(["ws_acme", "ws_globex"]), json!(["ws_globex"])])
    {
        let token = received.header("authorization").strip_prefix("Bearer ").unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("vestibule-identity+jwt"));
        let claims = identity_of(&world, token).await;
        assert_eq!(claims["workspaces"], workspaces);
        assert_eq!(claims["kind"], "person");
        assert_eq!(claims["sub"], "usr_demo");
        assert_eq!(claims["sub_iss"], *world.issuer);
        for same in ["sub", "client_id", "scope"] {
            assert_eq!(claims[same], access[same], "{same}");
        }
        let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!(exp - iat <= 60, "{claims}");
    }
}

#[tokio::test]
async fn an_identity_belongs_to_one_credential_and_its_time() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let (one, other) = (
        signed_in(&world).await,
        signed_in_with(&world, Choice { scopes: Some(&["contacts:read"]), ..Choice::default() })
            .await,
    );
    for mcp in [&one, &one, &other] {
        mcp.call("list_contacts", json!({})).await;
    }
    world.pass(Duration::from_secs(55));
    one.call("list_contacts", json!({})).await;
    let calls = backend.calls();
    let sent: Vec<&str> = calls.iter().map(|one| one.header("authorization")).collect();
    assert_eq!(sent[0], sent[1], "reused within its life");
    assert_ne!(sent[0], sent[2], "another credential");
    assert_ne!(sent[0], sent[3], "too little of it was left");
}

#[tokio::test]
async fn the_catalogue_is_read_by_the_gateway_for_nobody() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let received = backend.received();
    let lists = received.iter().filter(|one| one.message["method"] == "tools/list");
    for one in lists {
        let token = one.header("authorization").strip_prefix("Bearer ").unwrap();
        let claims = identity_of(&world, token).await;
        assert_eq!(claims["kind"], "gateway");
        assert_eq!(claims["workspaces"], json!([]));
        assert_eq!(claims["scope"], "");
    }
    let before = backend.received().len();
    let mcp = signed_in(&world).await;
    mcp.legacy("tools/list", json!({})).await;
    mcp.modern("tools/list", json!({})).await;
    assert_eq!(backend.received().len(), before, "lists are answered from the catalogue");
}

#[tokio::test]
async fn what_a_backend_may_not_answer_becomes_words_for_the_model_that_name_it() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| tight(&text)).await;
    let mcp = signed_in(&world).await;
    let json = "application/json";
    let raw = |media, body: &str| Answer::Raw(media, body.to_owned());
    let other = r#"{"jsonrpc":"2.0","id":"other","result":{}}"#;
    let both = r#"{"jsonrpc":"2.0","id":{id},"result":{},"error":{}}"#;
    for (answer, wants_time, words) in [
        (Answer::Status(401), false, "identity"),
        (Answer::Status(403), false, "identity"),
        (Answer::Status(500), false, "server error"),
        (Answer::Status(302), false, "redirects"),
        (Answer::Status(503), true, "not available"),
        (Answer::Status(429), true, "not available"),
        (Answer::Status(504), false, "in time"),
        (Answer::Never, false, "in time"),
        (Answer::Endless, false, "too large"),
        (raw(json, other), false, "id"),
        (raw(json, both), false, "id"),
        (raw(json, "[]"), false, "JSON-RPC"),
        (raw(json, ""), false, "JSON-RPC"),
        (raw("text/html", "<script>"), false, "neither JSON"),
    ] {
        let about = format!("{answer:?}");
        backend.answer(answer);
        let message = call();
        let old = mcp.send(&message, headers([])).await;
        assert_eq!(old.json()["id"], message["id"], "{about}");
        let new = mcp.modern("tools/call", message["params"].clone()).await;
        for reply in [old, new] {
            let text = tool_error(&reply, &about);
            assert!(text.contains("the backend crm") && text.contains(words), "{about}: {text}");
            assert_eq!(
                reply.header("www-authenticate"),
                "",
                "{about}: the client would sign in anew"
            );
            assert_eq!(!reply.header("retry-after").is_empty(), wants_time, "{about}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_wants_sessions_and_gets_none_is_said_to_want_them() {
    let backend = Backend::speaking(Speaks::Legacy).await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    for status in [400, 404, 422] {
        backend.answer(Answer::Status(status));
        let message = call();
        let reply = mcp.send(&message, headers([])).await;
        tool_error(&reply, "no session");
        assert!(reply.text.contains(r#"set session = \"pooled\" for it"#), "{}", reply.text);
    }
    // Its own words about the call pass.
    let error = json!({ "code": -32602, "message": "no such contact" });
    backend.answer(Answer::Refusal(400, error.clone()));
    let reply = mcp.send(&call(), headers([])).await;
    assert_eq!(reply.json()["error"], error);
}

#[tokio::test]
async fn no_header_of_a_backend_reaches_the_client() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    for answer in [Answer::Result(json!({ "content": [] })), Answer::Status(401)] {
        backend.answer(answer);
        let reply = mcp.send(&call(), headers([])).await;
        for name in [
            "access-control-allow-origin",
            "location",
            "set-cookie",
            "www-authenticate",
            "x-backend",
        ] {
            assert_eq!(reply.header(name), "", "{name}");
        }
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    backend.answer(Answer::Result(json!({ "content": [] })));
    let reply = mcp.send(&call(), headers([])).await;
    assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox");
}

#[tokio::test]
async fn a_stream_is_passed_on_event_by_event() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let message = call();
    let mut answer = mcp.open(&message, headers([])).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let pen = backend.stream().await;
    for step in 1..=3 {
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": 1, "progress": step } });
        // Nothing more is written before the client has this one.
        pen.send(format!("id: {step}\r\ndata: {progress}\r\n\r\n")).await.unwrap();
        let text = event(&mut answer).await;
        assert!(text.contains(&progress.to_string()), "{text}");
    }
    let result = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "content": [] } });
    pen.send(format!("data: {result}\n\n")).await.unwrap();
    assert!(event(&mut answer).await.contains(&result.to_string()));
    drop(pen);
    assert_eq!(answer.chunk().await.unwrap(), None, "the stream ends");
}

#[tokio::test]
async fn a_stream_holds_one_response_and_no_questions() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let message = call();
    let mut answer = mcp.open(&message, headers([])).await;
    let pen = backend.stream().await;
    let own = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "content": [1] } });
    for dropped in [
        json!({ "jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage" }),
        json!({ "jsonrpc": "2.0", "id": "other", "result": {} }),
        json!({ "odd": true }),
    ] {
        pen.send(format!("data: {dropped}\n\n")).await.unwrap();
    }
    pen.send(format!("data: {own}\n\ndata: {own}\n\n")).await.unwrap();
    drop(pen);
    let mut text = String::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert_eq!(text.matches("data:").count(), 1, "{text}");
    assert!(text.contains(&own.to_string()), "{text}");
}

#[tokio::test]
async fn a_stream_that_ends_too_early_still_answers_the_call() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let message = call();
    let mut answer = mcp.open(&message, headers([])).await;
    drop(backend.stream().await);
    let text = event(&mut answer).await;
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let told: Value = serde_json::from_str(data).unwrap();
    assert_eq!(told["id"], message["id"], "{told}");
    assert_eq!(told["result"]["isError"], true, "{told}");
}

async fn hears_the_end(pen: tokio::sync::mpsc::Sender<String>) {
    let heard = tokio::time::timeout(LIMIT, pen.closed()).await;
    assert!(heard.is_ok(), "the backend still writes");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_call_at_the_backend() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let answer = mcp.open(&call(), headers([])).await;
    let pen = backend.stream().await;
    drop(answer);
    hears_the_end(pen).await;
}

#[tokio::test]
async fn a_cancelled_call_ends_at_the_backend_and_only_its_owner_can_cancel_it() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let (mcp, other) = (signed_in(&world).await, signed_in(&world).await);
    backend.answer(Answer::Stream);
    let message = call();
    let mut answer = mcp.open(&message, headers([])).await;
    let pen = backend.stream().await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": message["id"] } });
    assert_eq!(other.send(&cancel, headers([])).await.status, 202);
    pen.send(": still here\n\n".to_owned()).await.unwrap();
    assert!(event(&mut answer).await.contains("still here"));
    assert_eq!(mcp.send(&cancel, headers([])).await.status, 202);
    hears_the_end(pen).await;
}

#[tokio::test]
async fn a_stream_under_way_ends_with_the_grant() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let client = tests::Client::public(&world).await;
    let tokens = client.tokens(&mut tests::Browser::new(&world)).await;
    let mcp = Mcp::new(&world, Some(&tokens));
    backend.answer(Answer::Stream);
    let answer = mcp.open(&call(), headers([])).await;
    let pen = backend.stream().await;
    client.revoke(&tokens.refresh).await;
    hears_the_end(pen).await;
    drop(answer);
}

#[tokio::test]
async fn without_a_backend_the_way_in_still_works() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| tight(&text)).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Never);
    let message = call();
    let busy = mcp.open(&message, headers([]));
    let lists = async {
        assert_eq!(mcp.legacy("tools/list", json!({})).await.status, 200);
        assert_eq!(mcp.legacy("ping", json!({})).await.status, 200);
        assert_eq!(Mcp::new(&world, None).legacy("ping", json!({})).await.status, 401);
    };
    let (answer, ()) = tokio::join!(busy, lists);
    assert_eq!(answer.status(), 200);
    let told = answer.text().await.unwrap();
    assert!(told.contains("did not answer in time"), "{told}");
}
