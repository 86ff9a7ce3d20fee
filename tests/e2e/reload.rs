//! Another configuration while the gateway runs: calls and streams go on, and what is wrong changes
//! nothing.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tests::{Answer, Backend, Mcp, Speaks, World, headers, request};

use crate::mcp_cases::{before, signed_in};

/// How long an event may take.
const LIMIT: Duration = Duration::from_secs(5);

fn rule_for_nobody(text: &str) -> String {
    let rule = "match = [\"list_contacts\", \"get_contact\", \"search_contacts\"]\nscopes = [\"contacts:read\"]";
    assert!(text.contains(rule), "{text}");
    text.replace(rule, &rule.replace("contacts:read", "contacts:delete"))
}

async fn list(mcp: &Mcp) -> u16 {
    mcp.call("list_contacts", json!({})).await.status
}

async fn configuration(world: &World) -> Value {
    world.http.get(&world.gateway_url("/readyz")).await.json()["configuration"].clone()
}

#[tokio::test]
async fn a_rule_that_changed_holds_from_the_next_call_on() {
    let backend = Backend::start().await;
    let mut world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp).await, 200);
    let first = configuration(&world).await;
    assert_eq!((&first["version"], &first["last_reload"]), (&json!(1), &Value::Null));
    world.reload(|text| rule_for_nobody(&text)).await.unwrap();
    assert_eq!(list(&mcp).await, 403, "the token was accepted under the old rule");
    let second = configuration(&world).await;
    assert_eq!(second["version"], 2);
    assert_eq!(second["last_reload"]["result"], "applied");
    let mut numbers = String::new();
    world.gateway.as_ref().unwrap().encode_metrics(&mut numbers);
    assert!(numbers.contains("vestibule_gateway_configuration_version 2"), "{numbers}");
    let counted = "vestibule_gateway_configuration_reloads_total{result=\"applied\"} 1";
    assert!(numbers.contains(counted), "{numbers}");
}

#[tokio::test]
async fn a_stream_under_way_goes_on_under_the_configuration_it_began_with() {
    let backend = Backend::start().await;
    let mut world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let message = request("tools/call", json!({ "name": "list_contacts", "arguments": {} }));
    let mut answer = mcp.open(&message, headers([])).await;
    let pen = backend.stream().await;
    world.reload(|text| rule_for_nobody(&text)).await.unwrap();
    world
        .reload(|text| text.replace("name = \"crm\"\n", "name = \"crm\"\ntimeout_ms = 999\n"))
        .await
        .unwrap();
    let result = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "content": [] } });
    pen.send(format!("data: {result}\n\n")).await.unwrap();
    let chunk = tokio::time::timeout(LIMIT, answer.chunk()).await.expect("an event in time");
    let text = String::from_utf8(chunk.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains(&result.to_string()), "{text}");
}

#[tokio::test]
async fn sessions_with_a_backend_that_did_not_change_are_kept_and_others_are_ended() {
    let backend = Backend::speaking(Speaks::Legacy).await;
    let mut world = before(&backend, |text| {
        text.replace("name = \"crm\"\n", "name = \"crm\"\nsession = \"pooled\"\n")
    })
    .await;
    let mcp = signed_in(&world).await;
    let count = |what: &str| {
        let is_one = |message: &Value, method: &str| message["method"] == what || method == what;
        backend.received().iter().filter(|one| is_one(&one.message, &one.method)).count()
    };
    assert_eq!(list(&mcp).await, 200);
    let opened = count("initialize");
    world
        .reload(|text| text.replace("[gateway]\n", "[gateway]\nmax_body_bytes = 500000\n"))
        .await
        .unwrap();
    assert_eq!(list(&mcp).await, 200);
    assert_eq!(count("initialize"), opened, "the session was kept");
    let ended = count("DELETE");
    world
        .reload(|text| {
            text.replace("session = \"pooled\"\n", "session = \"pooled\"\ntimeout_ms = 999\n")
        })
        .await
        .unwrap();
    assert_eq!(list(&mcp).await, 200);
    assert!(count("initialize") > opened, "another configuration, another session");
    world.until("the end of the old session", async || count("DELETE") > ended).await;
}

#[tokio::test]
async fn a_budget_that_did_not_change_keeps_its_count() {
    let backend = Backend::start().await;
    let mut world = before(&backend, |text| {
        text.replace("[gateway]", "[gateway]\nworkspace_burst = 2\nworkspace_calls_per_minute = 1")
    })
    .await;
    let mcp = signed_in(&world).await;
    let call = async || mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    while call().await.status == 200 {}
    assert!(call().await.headers.contains_key(RETRY_AFTER));
    world
        .reload(|text| text.replace("[gateway]\n", "[gateway]\ndiscovery_per_minute = 600\n"))
        .await
        .unwrap();
    assert_eq!(call().await.status, 429, "it is still spent");
    world.reload(|text| text.replace("workspace_burst = 2", "workspace_burst = 3")).await.unwrap();
    assert_eq!(call().await.status, 200, "another budget is a new one");
}

#[tokio::test]
async fn a_resource_that_is_gone_is_as_unknown_as_any_other() {
    let backend = Backend::start().await;
    let mut world = before(&backend, |text| text).await;
    let url = world.resource.replace("localhost", "127.0.0.1");
    let prm = url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    assert_eq!(world.http.get(&prm).await.status, 200);
    world
        .reload(|text| {
            let second = text.find("[[resource]]\nurl = \"http://127.0.0.1").unwrap();
            let gateway = text.find("[gateway]").unwrap();
            let route = text.rfind("[[gateway.route]]").unwrap();
            let backend = text.find("[[backend]]").unwrap();
            [&text[..second], &text[gateway..route], &text[backend..]].concat()
        })
        .await
        .unwrap();
    for url in [&url, &prm] {
        let reply = world.http.get(url).await;
        assert_eq!(reply.status, 421, "{url}: {}", reply.text);
    }
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp).await, 200, "the other one is served");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_nothing_changes() {
    let backend = Backend::start().await;
    let mut world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    let problems = world
        .reload(|text| {
            let text = rule_for_nobody(&text);
            text.replace("identity_issuer = \"", "jwks_stale_seconds = 60\nidentity_issuer = \"x")
        })
        .await
        .unwrap_err();
    let places: Vec<&str> = problems.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["gateway.identity_issuer", "gateway.jwks_stale_seconds"]);
    assert!(problems.iter().all(|one| one.remedy.contains("needs a restart")), "{problems:?}");
    assert_eq!(list(&mcp).await, 200, "the old rules hold");
    assert_eq!(configuration(&world).await["version"], 1);
}
