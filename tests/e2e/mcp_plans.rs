//! What a workspace's plan leaves out is closed at the gateway at the next call, and open again
//! without another sign-in.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Browser, Client, ENGINES, Mcp, Options, Person, Reply, World};

use crate::mcp_cases::tool_error;

async fn operator(world: &World, method: Method, path: &str, body: Value) -> Reply {
    let reply = world.admin(method, &format!("/admin/v1{path}"), body).await;
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text);
    reply
}

async fn read(mcp: &Mcp, workspace: &str) -> Reply {
    mcp.call("list_contacts", json!({ "workspace_id": workspace })).await
}

fn is_done(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_ne!(reply.message()["result"]["isError"], true, "{}", reply.text);
}

#[tokio::test]
async fn a_plan_that_loses_the_resource_closes_the_workspace_within_a_second_and_reopens_it() {
    for store in ENGINES {
        let world = World::with(Options { gateway: true, store, ..Options::default() }).await;
        for id in ["ws_red", "ws_blue"] {
            let workspace = json!({ "id": id, "name": id });
            operator(&world, Method::POST, "/workspaces", workspace).await;
        }
        let person = Person::named("Pat@Example.com");
        let asked = json!({
            "username": person.username, "name": "Pat", "password": person.password,
            "email": "pat@example.com", "memberships": { "ws_red": "owner", "ws_blue": "member" },
        });
        operator(&world, Method::POST, "/users", asked).await;
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::of(&world, person)).await;
        let before = Mcp::new(&world, Some(&tokens));
        is_done(&read(&before, "ws_blue").await);
        let none = json!({ "resources": [] });
        operator(&world, Method::PUT, "/workspaces/ws_blue/plan", none).await;
        let closed = Instant::now();
        while read(&before, "ws_blue").await.status != 401 {
            assert!(closed.elapsed() < Duration::from_secs(2), "the plan is not heard of");
        }
        // The token says what is no longer true, so it is over as a whole; a refresh mends it.
        // A token says its second alone, so one of the same second is no newer.
        assert_eq!(read(&before, "ws_red").await.status, 401);
        world.pass(Duration::from_secs(1));
        let tokens = client.refreshed(&tokens.refresh).await;
        let without = Mcp::new(&world, Some(&tokens));
        is_done(&read(&without, "ws_red").await);
        let words = tool_error(&read(&without, "ws_blue").await, "a workspace without the plan");
        assert!(words.contains("ws_red") && !words.contains("it is one of"), "{words}");
        let all = json!({ "resources": null });
        operator(&world, Method::PUT, "/workspaces/ws_blue/plan", all).await;
        world.pass(Duration::from_secs(1));
        let tokens = client.refreshed(&tokens.refresh).await;
        is_done(&read(&Mcp::new(&world, Some(&tokens)), "ws_blue").await);
    }
}
