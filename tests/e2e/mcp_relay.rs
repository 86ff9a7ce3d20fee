//! Sessions that are the backend's own: the gateway passes them on under ids of its own.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Answer, Backend, Browser, Choice, Client, LEGACY, Mcp, Person, Reply, World, headers, request,
};

use crate::mcp_cases::{before, is_rpc_error, signed_in, signed_in_with, tokens_with};

fn relay(text: &str) -> String {
    text.replace("backends = [\"crm\"]", "backends = [\"crm\"]\nsession = \"relay\"")
}

async fn initialize(mcp: &Mcp) -> Reply {
    let client = json!({ "name": "end to end", "version": "1" });
    let params = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
    mcp.send(&request("initialize", params), headers([])).await.expect_status(200)
}

async fn session(mcp: &Mcp) -> String {
    initialize(mcp).await.header("mcp-session-id").to_owned()
}

async fn call(mcp: &Mcp, session: &str) -> Reply {
    let message = request("tools/call", json!({ "name": "list_contacts", "arguments": {} }));
    let sent = headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", session)]);
    mcp.send(&message, sent).await
}

async fn world() -> (Backend, World) {
    let backend = Backend::start().await;
    let world = before(&backend, |text| relay(&text)).await;
    (backend, world)
}

#[tokio::test]
async fn the_id_of_a_session_is_ours_and_the_backend_hears_its_own() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    assert!(!session.is_empty() && !session.contains("upstream"), "{session}");
    let reply = call(&mcp, &session).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let calls = backend.calls();
    assert_eq!(calls[0].header("mcp-session-id"), "upstream-1");
    assert_eq!(calls[0].header("mcp-protocol-version"), LEGACY);
    assert_ne!(calls[0].header("authorization"), format!("Bearer {}", mcp.token.unwrap()));
}

#[tokio::test]
async fn a_session_lives_on_after_a_refresh() {
    let (_backend, world) = world().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let session = session(&Mcp::new(&world, Some(&tokens))).await;
    world.pass(Duration::from_secs(400));
    let next = client.refreshed(&tokens.refresh).await;
    let reply = call(&Mcp::new(&world, Some(&next)), &session).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_session_of_somebody_else_is_not_found() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    let fewer = Choice { scopes: Some(&["contacts:read"]), ..Choice::default() };
    let client = Client::public(&world).await;
    let second = client.tokens(&mut Browser::of(&world, Person::second())).await;
    for (about, other) in [
        ("another person", Mcp::new(&world, Some(&second))),
        ("another grant of the person", signed_in(&world).await),
        ("fewer scopes", signed_in_with(&world, fewer).await),
    ] {
        let reply = call(&other, &session).await;
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 404, -32600, &id, about);
        for method in [Method::GET, Method::DELETE] {
            let reply = other.ask(method.clone(), headers([("mcp-session-id", &session)])).await;
            assert_eq!(reply.status(), 404, "{about}: {method}");
        }
    }
    for made_up in ["upstream-1", "made-up", &session[..session.len() - 2], ""] {
        assert_eq!(call(&mcp, made_up).await.status, 404, "{made_up}");
    }
    assert_eq!(backend.calls().len(), 0);
    assert!(!backend.received().iter().any(|one| one.method == "GET"), "nothing reached it");
}

#[tokio::test]
async fn a_session_of_another_resource_is_not_found() {
    let (_backend, world) = world().await;
    let session = session(&signed_in(&world).await).await;
    let mut client = Client::public(&world).await;
    client.resource = Some(world.resource.replace("localhost", "127.0.0.1"));
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let url = client.resource.clone().unwrap();
    let numeric = Mcp { url, ..Mcp::new(&world, Some(&tokens)) };
    assert_eq!(call(&numeric, &session).await.status, 404);
}

#[tokio::test]
async fn the_stream_of_a_session_is_relayed_as_it_comes() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    backend.answer(Answer::Stream);
    let sent = headers([
        ("last-event-id", "41"),
        ("mcp-protocol-version", LEGACY),
        ("mcp-session-id", &session),
    ]);
    let mut answer = mcp.ask(Method::GET, sent).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let opened = backend.received().into_iter().find(|one| one.method == "GET").unwrap();
    assert_eq!(opened.header("last-event-id"), "41");
    assert_eq!(opened.header("mcp-session-id"), "upstream-1");
    let pen = backend.stream().await;
    let news = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
    pen.send(format!("id: 42\ndata: {news}\n\n")).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("id: 42") && text.contains(&news.to_string()), "{text}");
    drop(answer);
    let ended = tokio::time::timeout(Duration::from_secs(5), pen.closed()).await;
    assert!(ended.is_ok(), "the backend still writes");
}

#[tokio::test]
async fn a_question_of_the_backend_is_answered_once_and_only_if_it_was_asked() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    let sent = || headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", &session)]);
    let reply = json!({ "jsonrpc": "2.0", "id": "q1", "result": {} });
    assert_eq!(mcp.send(&reply, sent()).await.status, 400, "nobody asked");
    backend.answer(Answer::Stream);
    let mut answer = mcp.ask(Method::GET, sent()).await;
    let pen = backend.stream().await;
    let question = json!({ "jsonrpc": "2.0", "id": "q1", "method": "roots/list" });
    pen.send(format!("data: {question}\n\n")).await.unwrap();
    let told = answer.chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&told).unwrap().contains("roots/list"));
    assert_eq!(mcp.send(&reply, sent()).await.status, 202);
    assert_eq!(backend.received().last().unwrap().message, reply);
    assert_eq!(mcp.send(&reply, sent()).await.status, 400, "answered already");
}

#[tokio::test]
async fn ending_a_session_ends_it_at_the_backend() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    let before = deletes(&backend);
    let reply = mcp.ask(Method::DELETE, headers([("mcp-session-id", &session)])).await;
    assert!(reply.status().is_success(), "{}", reply.status());
    assert_eq!(deletes(&backend), before + 1);
}

fn deletes(backend: &Backend) -> usize {
    let is_end = |one: &&tests::Received| {
        one.method == "DELETE" && one.header("mcp-session-id") == "upstream-1"
    };
    backend.received().iter().filter(is_end).count()
}

#[tokio::test]
async fn a_session_that_the_backend_ended_is_not_found() {
    let (backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let session = session(&mcp).await;
    backend.answer(Answer::Status(404));
    let reply = call(&mcp, &session).await;
    let id = reply.json()["id"].clone();
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert!(id.is_u64(), "{}", reply.text);
}

#[tokio::test]
async fn the_stream_of_no_session_is_refused_and_so_is_a_modern_one() {
    let (_backend, world) = world().await;
    let mcp = signed_in(&world).await;
    let reply = mcp.ask(Method::GET, headers([])).await;
    assert_eq!(reply.status(), 400);
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["error"]["code"], -32600);
    let modern = headers([("mcp-protocol-version", "2026-07-28")]);
    assert_eq!(mcp.ask(Method::GET, modern).await.status(), 405, "RFC 9110 section 15.5.6");
    let nobody = Mcp::new(&world, None).ask(Method::GET, headers([])).await;
    assert_eq!(nobody.status(), 401);
}

#[tokio::test]
async fn lists_of_the_backend_are_filtered_on_their_way() {
    let backend = Backend::start().await;
    let hide = |text: String| {
        relay(&text)
            .replace("session = \"relay\"", "session = \"relay\"\non_missing_scope = \"hide\"")
    };
    let world = before(&backend, hide).await;
    let fewer = Choice { scopes: Some(&["contacts:read"]), ..Choice::default() };
    let mcp = Mcp::new(&world, Some(&tokens_with(&world, fewer).await));
    let session = session(&mcp).await;
    let sent = headers([("mcp-protocol-version", LEGACY), ("mcp-session-id", &session)]);
    let reply = mcp.send(&request("tools/list", json!({})), sent).await;
    let tools = reply.message()["result"]["tools"].clone();
    let names: Vec<&str> =
        tools.as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["list_contacts"]);
}
