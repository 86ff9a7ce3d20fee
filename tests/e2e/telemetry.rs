//! What services export of themselves, and the page that says what it means.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::json;
use tests::{Answer, Backend, Client, LEGACY, Options, World, headers, request};

use crate::mcp_cases::{before, signed_in, tokens_with};

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("docs/operate/telemetry.md")).unwrap()
}

fn exported(world: &World) -> String {
    let mut text = String::new();
    world.app.encode_metrics(&mut text);
    world.gateway.as_ref().unwrap().encode_metrics(&mut text);
    text
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("{series} is missing in\n{text}")).trim().parse().unwrap()
}

#[tokio::test]
async fn the_page_names_exactly_what_is_exported() {
    let world = World::demo().await;
    let gateway = world.gateway.as_ref().unwrap();
    let of_gateway = gateway.metric_names();
    let names = world.app.metric_names().iter().chain(&of_gateway);
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `vestibule_"));
    let rows: Vec<String> = rows
        .map(|row| format!("vestibule_{}", row.split('`').next().unwrap_or_default()))
        .collect();
    assert_eq!(rows.iter().map(String::as_str).collect::<BTreeSet<_>>(), names);
    assert_eq!(rows.len(), names.len(), "a name stands on the page twice");
}

#[tokio::test]
async fn what_happens_is_counted() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let call = json!({ "workspace_id": "ws_acme" });
    assert_eq!(mcp.call("list_contacts", call).await.status, 200);
    assert_eq!(mcp.call("made_up", json!({})).await.status, 200);
    let tokens = tokens_with(&world, tests::Choice::default()).await;
    let client = Client::public(&world).await;
    client.refreshed(&tokens.refresh).await;
    client.refreshed(&tokens.refresh).await;
    assert_eq!(client.refresh("made-up").send().await.status, 400);
    let text = exported(&world);
    let at_least = |series: &str, least: f64| assert!(value(&text, series) >= least, "{series}");
    at_least(r#"vestibule_auth_grants_total{grant="authorization_code",outcome="ok"}"#, 2.0);
    at_least(r#"vestibule_auth_grants_total{grant="refresh_token",outcome="invalid_grant"}"#, 1.0);
    at_least(r#"vestibule_auth_refreshes_total{outcome="rotated"}"#, 1.0);
    at_least(r#"vestibule_auth_refreshes_total{outcome="replayed"}"#, 1.0);
    at_least(r#"vestibule_auth_requests_total{route="/token",status="200"}"#, 2.0);
    at_least(r#"vestibule_auth_security_events_total{event="signed_in"}"#, 1.0);
    at_least("vestibule_auth_published_keys", 1.0);
    let active = r#"vestibule_auth_keys{purpose="issuer",algorithm="ES256",state="active"}"#;
    at_least(active, 1.0);
    at_least(
        r#"vestibule_auth_active_key_age_seconds{purpose="refresh_mac",algorithm="secret"}"#,
        0.0,
    );
    at_least(r#"vestibule_auth_key_step_seconds{purpose="issuer"}"#, 1.0);
    assert!(value(&text, r#"vestibule_auth_key_step_seconds{purpose="page_seal"}"#) < 0.0);
    at_least("vestibule_auth_password_permits", 2.0);
    let series = r#"vestibule_gateway_call_seconds_count{tool="list_contacts",workspace="ws_acme",outcome="ok"}"#;
    at_least(series, 1.0);
    at_least(r#"vestibule_gateway_refusals_total{refusal="invalid"}"#, 1.0);
    at_least("vestibule_gateway_issuer_keys", 1.0);
    at_least(r#"vestibule_auth_store_seconds_count{verb="write",outcome="ok"}"#, 1.0);
    assert!(!text.contains("made_up"), "a name that somebody made up is no label");
    assert!(value(&text, "vestibule_gateway_feed_standing").abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_feed_that_is_silent_is_seen_in_the_numbers() {
    let world = World::with(Options { gateway: true, ..Options::default() }).await;
    world.cut_authority(true);
    let is_silent = async || value(&exported(&world), "vestibule_gateway_feed_standing") > 0.5;
    world.until("the silence", is_silent).await;
    assert!(value(&exported(&world), "vestibule_gateway_feed_silence_seconds") >= 1.0);
}

#[tokio::test]
async fn a_stream_is_followed_to_its_end_whoever_ends_it() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let call = request("tools/call", json!({ "name": "list_contacts", "arguments": {} }));
    let ended = |ending: &str| {
        let series = format!("vestibule_gateway_streams_total{{ending=\"{ending}\"}}");
        exported(&world).contains(&format!("{series} 1"))
    };
    let answered = async {
        let pen = backend.stream().await;
        let result = json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "content": [] } });
        pen.send(format!("data: {result}\n\n")).await.unwrap();
    };
    let version = || headers([("mcp-protocol-version", LEGACY)]);
    let (reply, ()) = tokio::join!(mcp.send(&call, version()), answered);
    assert_eq!(reply.status, 200);
    world.until("the end", async || ended("ok")).await;
    let bytes = reply.text.len();
    let series =
        r#"vestibule_gateway_call_bytes_sum{tool="list_contacts",workspace="",direction="answer"}"#;
    assert!(
        (value(&exported(&world), series) - f64::from(u32::try_from(bytes).unwrap())).abs() < 0.5
    );
    let tokens = r#"vestibule_gateway_call_tokens_total{tool="list_contacts",workspace="",direction="answer"}"#;
    assert!(value(&exported(&world), tokens) >= 1.0);

    let (open, pen) = tokio::join!(mcp.open(&call, version()), backend.stream());
    assert_eq!(open.status(), 200);
    drop(open);
    world.until("the client's going", async || ended("client_gone")).await;
    drop(pen);

    // Nothing has come yet, not even a head.
    backend.answer(Answer::Never);
    let before_head = tokio::time::timeout(Duration::from_millis(200), mcp.open(&call, version()));
    assert!(before_head.await.is_err());
    let twice = r#"vestibule_gateway_streams_total{ending="client_gone"} 2"#;
    world.until("the second", async || exported(&world).contains(twice)).await;
}
