//! Traces: one for each request, over both services and the backend, without a word that is
//! nobody's business (W3C Trace Context).

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{
    Account, Answer, Backend, Browser, Choice, Client, Collector, Mcp, NewKey, Options, SpanSeen,
    Tokens, World, headers, request,
};
use web::traces::{Parents, Settings};

use crate::mcp_cases::tokens_with;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: u64 = 3;
const SERVER: u64 = 2;

async fn world(backend: &Backend, traces: Settings) -> World {
    let options = Options {
        backend: Some(backend.address),
        gateway: true,
        is_split: true,
        traces: Some(Box::leak(Box::new(traces))),
        ..Options::default()
    };
    World::with(options).await
}

/// The spans of the first trace with a span of that name, once it has so many.
async fn trace_with(
    world: &World,
    collector: &Collector,
    (name, count): (&str, usize),
) -> Vec<SpanSeen> {
    let found = || {
        let all = collector.spans();
        let trace = all.iter().find(|span| span.name == name).map(|span| span.trace.clone());
        all.into_iter().filter(|span| Some(&span.trace) == trace.as_ref()).collect::<Vec<_>>()
    };
    world.until(name, async || found().len() >= count).await;
    found()
}

fn named<'a>(spans: &'a [SpanSeen], name: &str) -> &'a SpanSeen {
    let mut all = spans.iter().filter(|span| span.name == name);
    let Some(one) = all.next() else { unreachable!("no {name} in {spans:#?}") };
    assert!(all.next().is_none(), "two of {name} in {spans:#?}");
    one
}

#[tokio::test]
async fn a_call_is_one_trace_over_gateway_auth_server_and_backend() {
    let (backend, collector) = (Backend::start().await, Collector::start().await);
    let world = world(&backend, collector.settings(Parents::Nobody)).await;
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    let mcp = Mcp::with_key(&world, &key);
    let arguments = json!({ "workspace_id": "ws_acme", "name": "words of a person" });
    let reply = mcp.call("list_contacts", arguments).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let spans = trace_with(&world, &collector, ("tools/call list_contacts", 5)).await;
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let call = named(&spans, "POST /mcp");
    assert_eq!((&*call.service, call.kind, &*call.parent), ("vestibule-gateway", SERVER, ""));
    for (name, value) in [
        ("gen_ai.tool.name", "list_contacts"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/mcp"),
        ("mcp.method.name", "tools/call"),
        ("vestibule.outcome", "ok"),
        ("vestibule.workspace", "ws_acme"),
    ] {
        assert_eq!(call.attributes[name], value, "{call:#?}");
    }
    let authenticate = named(&spans, "authenticate");
    let looked_up = named(&spans, "POST /internal/principals");
    assert_eq!((&*looked_up.service, looked_up.kind), ("vestibule-auth-server", SERVER));
    assert_eq!(looked_up.parent, authenticate.id);
    let upstream = named(&spans, "tools/call list_contacts");
    assert_eq!(upstream.kind, CLIENT);
    assert!(!upstream.attributes["vestibule.backend"].is_empty());
    assert_eq!(upstream.attributes["vestibule.outcome"], "ok");
    for step in [authenticate, named(&spans, "decide"), upstream] {
        assert_eq!((&step.parent, &*step.service), (&call.id, "vestibule-gateway"));
        assert!(call.times.0 <= step.times.0 && step.times.1 <= call.times.1, "{spans:#?}");
        assert!(step.times.0 <= step.times.1);
    }
    let [received] = &backend.calls()[..] else { panic!("one call arrives") };
    let sent = received.headers["traceparent"].to_str().unwrap();
    assert_eq!(sent, format!("00-{}-{}-01", call.trace, upstream.id));
    assert!(spans.iter().all(|span| !span.is_failed));
}

#[tokio::test]
async fn what_is_nobodys_business_is_in_no_trace() {
    let (backend, collector) = (Backend::start().await, Collector::start().await);
    let world = world(&backend, collector.settings(Parents::Nobody)).await;
    let tokens = tokens_with(&world, Choice::default()).await;
    let client = Client::public(&world).await;
    let fresh = client.refreshed(&tokens.refresh).await;
    let mcp = Mcp::new(&world, Some(&fresh));
    let arguments = json!({ "workspace_id": "ws_acme", "name": "words of a person" });
    assert_eq!(mcp.call("list_contacts", arguments).await.status, 200);
    assert_eq!(mcp.call("made_up_by_somebody", json!({})).await.status, 200);
    assert_eq!(Mcp::new(&world, None).call("list_contacts", json!({})).await.status, 401);
    let url = world.url("/register/id-of-a-client?query=of-somebody");
    world.http.send(Method::GET, &url, headers([("x-secret", "in-a-header")]), String::new()).await;
    world.http.get(&world.url("/path-of-somebody")).await;
    world.http.get(&world.gateway_url("/path-of-somebody")).await;
    world.http.get(&world.gateway_url("/.well-known/oauth-protected-resource/mcp")).await;
    let routes = [
        "GET /.well-known/oauth-protected-resource/mcp",
        "GET /authorize",
        "GET /register/{client_id}",
        "GET other",
        "POST /consent",
        "POST /login",
        "POST /mcp",
        "POST /token",
    ];
    let names = || collector.spans().into_iter().map(|span| span.name).collect::<Vec<_>>();
    let all = async || routes.iter().all(|route| names().iter().any(|name| name == route));
    world.until("every route", all).await;
    let is_refused = |span: &SpanSeen| {
        span.attributes.get("vestibule.outcome").is_some_and(|outcome| outcome == "no_credential")
            || span.attributes.get("http.response.status_code").is_some_and(|code| code == "401")
    };
    world.until("the refusal", async || collector.spans().iter().any(is_refused)).await;
    let text = collector.text();
    for secret in [
        &*fresh.access,
        &fresh.refresh,
        &tokens.access,
        &tokens.refresh,
        tests::PASSWORD,
        "words of a person",
        "made_up_by_somebody",
        "of-somebody",
        "id-of-a-client",
        "in-a-header",
        "secret-of-the-collector",
        "usr_demo",
        &client.id,
        "Bearer",
        "demo@example.com",
    ] {
        assert!(!text.contains(secret), "{secret} is in a trace");
    }
    for (sent, _) in collector.requests() {
        assert_eq!(sent["content-type"], "application/x-protobuf");
        assert_eq!(sent["x-collector-key"], "secret-of-the-collector");
    }
    assert!(names().iter().all(|name| !name.contains("/healthz") && !name.contains("/readyz")));
}

#[tokio::test]
async fn a_strangers_trace_is_linked_and_a_believed_ones_goes_on() {
    for (parents, goes_on) in [(Parents::Nobody, false), (Parents::Anybody, true)] {
        let (backend, collector) = (Backend::start().await, Collector::start().await);
        let world = world(&backend, collector.settings(parents)).await;
        let mcp = Mcp::new(&world, Some(&tokens_with(&world, Choice::default()).await));
        let message = request("tools/call", json!({ "name": "list_contacts", "arguments": {} }));
        let from = headers([
            ("mcp-protocol-version", tests::LEGACY),
            ("traceparent", PARENT),
            ("tracestate", "vendor=1"),
            ("baggage", "person=1"),
        ]);
        assert_eq!(mcp.send(&message, from).await.status, 200);
        let spans = trace_with(&world, &collector, ("tools/call list_contacts", 4)).await;
        let call = named(&spans, "POST /mcp");
        let [received] = &backend.calls()[..] else { panic!("one call arrives") };
        let sent = received.headers["traceparent"].to_str().unwrap();
        assert!(sent.contains(&*call.trace), "{sent}");
        assert!(!received.headers.contains_key("baggage"));
        assert_eq!(received.headers.contains_key("tracestate"), goes_on);
        if goes_on {
            assert_eq!((&*call.trace, &*call.parent), (TRACE, "b7ad6b7169203331"));
            assert!(call.links.is_empty());
        } else {
            assert_ne!(call.trace, TRACE);
            assert_eq!(call.parent, "");
            assert_eq!(call.links, [(TRACE.to_owned(), "b7ad6b7169203331".to_owned())]);
        }
    }
}

#[tokio::test]
async fn who_shows_no_credential_at_the_internal_interface_is_not_traced() {
    let (backend, collector) = (Backend::start().await, Collector::start().await);
    let world = world(&backend, collector.settings(Parents::Nobody)).await;
    let url = format!("{}/internal/principals", world.internal().await);
    let stranger =
        world.http.send(Method::POST, &url, headers([("traceparent", PARENT)]), "{}".to_owned());
    assert_eq!(stranger.await.status, 401);
    let key = Account::open(&world).await.make_key(NewKey::default()).await;
    assert_eq!(Mcp::with_key(&world, &key).call("list_contacts", json!({})).await.status, 200);
    trace_with(&world, &collector, ("POST /internal/principals", 5)).await;
    assert!(collector.spans().iter().all(|span| span.trace != TRACE));
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_and_a_failing_backend_is_seen() {
    let (backend, collector) = (Backend::start().await, Collector::start().await);
    // It accepts, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    let settings = collector.settings(Parents::Nobody);
    let hung = Settings { endpoint: endpoint.parse().unwrap(), ..settings.clone() };
    let first = world(&backend, hung).await;
    let mcp = Mcp::new(&first, Some(&tokens_with(&first, Choice::default()).await));
    let calls = async {
        for _ in 0..50 {
            assert_eq!(mcp.call("list_contacts", json!({})).await.status, 200);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("nobody waits");

    let second = world(&backend, settings).await;
    let mut browser = Browser::new(&second);
    let client = Client::public(&second).await;
    let code = client.code(&mut browser).await;
    let mcp = Mcp::new(&second, Some(&Tokens::of(&client.exchange(&code).send().await)));
    backend.answer(Answer::Status(500));
    let reply = mcp.call("list_contacts", json!({})).await;
    let spans = trace_with(&second, &collector, ("tools/call list_contacts", 4)).await;
    let upstream = named(&spans, "tools/call list_contacts");
    assert!(upstream.is_failed, "{upstream:#?}");
    assert_ne!(upstream.attributes["error.type"], "ok");
    let call = named(&spans, "POST /mcp");
    let status = call.attributes["http.response.status_code"].clone();
    assert_eq!(status, reply.status.to_string());
    // The model was told, and still it is a failure.
    assert!(call.is_failed, "{call:#?}");
    assert_eq!(call.attributes["error.type"], upstream.attributes["error.type"]);
}
