//! How much is served: per workspace, per credential, and apart from that the way in.

use serde_json::json;
use tests::{Browser, Choice, Client, ENGINES, Mcp, Options, Reply, World, headers, request};

use crate::mcp_cases::{is_rpc_error, signed_in, signed_in_with, tool_error};

/// Three calls at once in a workspace, and hardly any after that.
async fn narrow() -> World {
    let edit: fn(String) -> String = |text| {
        text.replace("[gateway]", "[gateway]\nworkspace_burst = 3\nworkspace_calls_per_minute = 1")
    };
    World::with(Options { edit, gateway: true, ..Options::default() }).await
}

/// The same person through another program.
async fn elsewhere(world: &World) -> Mcp {
    let mut metadata = Client::public_metadata();
    metadata["client_name"] = "Another program".into();
    let client = Client::registered(world, metadata).await;
    Mcp::new(world, Some(&client.tokens(&mut Browser::new(world)).await))
}

async fn list_in(mcp: &Mcp, workspace: &str) -> Reply {
    mcp.call("list_contacts", json!({ "workspace_id": workspace })).await
}

fn is_limited(reply: &Reply, about: &str) {
    let id = reply.json()["id"].clone();
    assert!(id.is_u64(), "{about}: {}", reply.text);
    is_rpc_error(reply, 429, -32603, &id, about);
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!(seconds >= 1, "{about}");
    let data = &reply.json()["error"]["data"];
    assert_eq!(data["error"], "temporarily_unavailable", "{about}");
    assert_eq!(data["retry_after"], seconds, "{about}");
    assert_eq!(reply.header("www-authenticate"), "", "{about}: nobody needs to sign in anew");
}

#[tokio::test]
async fn a_workspace_has_its_share_whoever_calls_and_another_has_its_own() {
    let world = narrow().await;
    let (one, other) = (signed_in(&world).await, elsewhere(&world).await);
    for mcp in [&one, &other, &one] {
        assert_eq!(list_in(mcp, "ws_acme").await.status, 200);
    }
    is_limited(&list_in(&one, "ws_acme").await, "the first connection");
    is_limited(&list_in(&other, "ws_acme").await, "the second connection");
    assert_eq!(list_in(&one, "ws_globex").await.status, 200);
}

#[tokio::test]
async fn a_resource_may_have_budgets_of_its_own() {
    let edit: fn(String) -> String = |text| {
        let all = "[gateway]\nworkspace_burst = 3\nworkspace_calls_per_minute = 1";
        let own = "backends = [\"crm\"]\nworkspace_calls_per_minute = 2\n\
                   workspace_share_percent = 100";
        text.replace("[gateway]", all).replacen("backends = [\"crm\"]", own, 1)
    };
    for store in ENGINES {
        let options = Options { edit, gateway: true, store, ..Options::default() };
        let mut world = World::with(options).await;
        let mut client = Client::public(&world).await;
        let mut at = Vec::new();
        for resource in [world.resource.clone(), world.resource.replace("localhost", "127.0.0.1")] {
            client.resource = Some(resource.clone());
            let tokens = client.tokens(&mut Browser::new(&world)).await;
            at.push(Mcp { url: resource, ..Mcp::new(&world, Some(&tokens)) });
        }
        let [own, other] = &at[..] else { panic!("two resources") };
        // Two at once, as many as come in a minute; the share of one caller is the whole.
        for _ in 0..2 {
            assert_eq!(list_in(own, "ws_acme").await.status, 200, "{store:?}");
        }
        is_limited(&list_in(own, "ws_acme").await, "its own budget");
        assert_eq!(list_in(own, "ws_globex").await.status, 200, "another workspace");
        for _ in 0..3 {
            assert_eq!(list_in(other, "ws_acme").await.status, 200, "another resource");
        }
        is_limited(&list_in(other, "ws_acme").await, "the budget of the others");
        // What did not change keeps its counts.
        world.reload(|text| text).await.unwrap();
        is_limited(&list_in(own, "ws_acme").await, "after a reload");
        world.reload(|text| text.replace("per_minute = 2", "per_minute = 3")).await.unwrap();
        is_limited(&list_in(other, "ws_acme").await, "the others' after a reload");
    }
}

#[tokio::test]
async fn a_budget_that_lets_nobody_call_is_refused() {
    let mut world = World::demo().await;
    let cases: [(&str, Edit); 3] = [
        ("workspace_burst", |text| own(&text, "workspace_burst = 0")),
        ("workspace_calls_per_minute", |text| own(&text, "workspace_calls_per_minute = 0")),
        ("workspace_share_percent", |text| own(&text, "workspace_share_percent = 101")),
    ];
    for (key, edit) in cases {
        let problems = world.reload(edit).await.unwrap_err();
        let places: Vec<&str> = problems.iter().map(|problem| problem.place.as_str()).collect();
        assert_eq!(places, [format!("gateway.route[0].{key}")]);
    }
}

/// Changes a deployment file.
type Edit = fn(String) -> String;

/// The demo whose first route says so.
fn own(text: &str, line: &str) -> String {
    let route = "backends = [\"crm\"]";
    text.replacen(route, &format!("{route}\n{line}"), 1)
}

#[tokio::test]
async fn the_only_workspace_is_charged_if_it_is_not_named() {
    let world = narrow().await;
    let choice = Choice { workspaces: Some(&["ws_acme"]), ..Choice::default() };
    let (alone, both) = (signed_in_with(&world, choice).await, signed_in(&world).await);
    for _ in 0..3 {
        assert_eq!(alone.call("list_contacts", json!({})).await.status, 200);
    }
    is_limited(&list_in(&both, "ws_acme").await, "the same workspace");
}

#[tokio::test]
async fn nobody_can_use_up_the_share_of_a_workspace_they_are_not_in() {
    let world = narrow().await;
    let mcp = signed_in(&world).await;
    for _ in 0..10 {
        tool_error(&list_in(&mcp, "ws_initech").await, "a foreign workspace");
    }
    let client = Client::public(&world).await;
    let person = tests::Person::second();
    let tokens = client.tokens(&mut Browser::of(&world, person)).await;
    assert_eq!(list_in(&Mcp::new(&world, Some(&tokens)), "ws_initech").await.status, 200);
}

#[tokio::test]
async fn the_way_in_stays_open_when_the_share_is_used_up() {
    let world = narrow().await;
    let mcp = signed_in(&world).await;
    for _ in 0..4 {
        list_in(&mcp, "ws_acme").await;
    }
    for method in ["ping", "tools/list", "prompts/list"] {
        assert_eq!(mcp.legacy(method, json!({})).await.status, 200, "{method}");
    }
    assert_eq!(mcp.modern("server/discover", json!({})).await.status, 200);
}

#[tokio::test]
async fn calls_that_are_refused_are_paid_for_by_person_and_client() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]", "[gateway]\ncredential_calls_per_minute = 6");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let (mcp, again, other) =
        (signed_in(&world).await, signed_in(&world).await, elsewhere(&world).await);
    let message = request("tools/call", json!({ "name": "no_such_tool" }));
    let mut reply = mcp.send(&message, headers([])).await;
    for _ in 0..10 {
        if reply.status == 429 {
            break;
        }
        is_rpc_error(&reply, 200, -32602, &message["id"], "an unknown tool");
        reply = mcp.send(&message, headers([])).await;
    }
    is_limited(&reply, "person and client");
    is_limited(&list_in(&again, "ws_acme").await, "a new token of the same two");
    assert_eq!(list_in(&other, "ws_acme").await.status, 200, "another client");
}
