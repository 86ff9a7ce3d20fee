//! Budgets of two gateways before one Redis, and the headers that tell of them.

use serde_json::json;
use tests::{LEGACY, Mcp, Options, Reply, Store, World, headers, request};

use crate::mcp_cases::signed_in;

/// Six calls at once in a workspace, and hardly any after that.
async fn world(store: Store) -> World {
    let edit: fn(String) -> String = |text| {
        text.replace(
            "[gateway]",
            "[gateway]\nworkspace_burst = 6\nworkspace_calls_per_minute = 1\n\
             workspace_share_percent = 100\n\
             rate_limit_headers = { limit = \"RateLimit-Limit\", remaining = \
             \"RateLimit-Remaining\", reset = \"RateLimit-Reset\" }",
        )
    };
    World::with(Options { edit, gateway: true, store, ..Options::default() }).await
}

/// Lists contacts through a gateway of the same resource, wherever it listens.
async fn list(world: &World, mcp: &Mcp, base: &str, workspace: &str) -> Reply {
    let host = world.resource.trim_start_matches("http://").trim_end_matches("/mcp");
    let arguments = json!({ "workspace_id": workspace });
    let call = request("tools/call", json!({ "name": "list_contacts", "arguments": arguments }));
    let through = Mcp { url: format!("{base}/mcp"), ..mcp.clone() };
    through.send(&call, headers([("host", host), ("mcp-protocol-version", LEGACY)])).await
}

async fn shared_limits(world: &World, base: &str) -> (String, String) {
    let ready = world.http.get(&format!("{base}/readyz")).await.expect_status(200).json();
    let all = ready["dependencies"].as_array().unwrap();
    let own = all.iter().find(|one| one["name"] == "shared limits").unwrap();
    let text = |name: &str| own[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

#[tokio::test]
async fn two_gateways_share_a_budget_and_go_by_their_parts_while_redis_is_away() {
    let mut world = world(Store::Redis).await;
    let mcp = signed_in(&world).await;
    let (_second, other) = world.second_gateway().await;
    let own = world.gateway_url("");
    for base in [&own, &other, &own, &other, &own, &other] {
        assert_eq!(list(&world, &mcp, base, "ws_acme").await.status, 200);
    }
    for base in [&own, &other] {
        let refused = list(&world, &mcp, base, "ws_acme").await.expect_status(429);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit-remaining"), "0");
    }
    let both_known = async || {
        let mut text = String::new();
        world.gateway.as_ref().unwrap().encode_metrics(&mut text);
        text.contains("vestibule_gateway_limit_gateways 2")
    };
    world.until("the other gateway's heartbeat", both_known).await;

    world.redis.as_mut().unwrap().stop();
    for base in [&own, &other] {
        for _ in 0..3 {
            assert_eq!(list(&world, &mcp, base, "ws_globex").await.status, 200, "half of six");
        }
        assert_eq!(list(&world, &mcp, base, "ws_globex").await.status, 429);
        let (state, reason) = shared_limits(&world, base).await;
        assert_eq!(state, "degraded");
        assert!(reason.contains("part of 2"), "{reason}");
    }

    world.redis.as_mut().unwrap().restart();
    for base in [&own, &other] {
        let back = async || shared_limits(&world, base).await.0 == "ok";
        world.until("sharing", back).await;
        let refused = list(&world, &mcp, base, "ws_acme").await.status;
        assert_eq!(refused, 429, "what was spent before is still spent");
    }
}

#[tokio::test]
async fn every_answer_says_how_the_budget_stands_that_it_was_charged_to() {
    let world = world(Store::Embedded).await;
    let mcp = signed_in(&world).await;
    let own = world.gateway_url("");
    let standing = |reply: &Reply| {
        let number = |name| reply.header(name).parse::<u32>().unwrap();
        (number("ratelimit-limit"), number("ratelimit-remaining"), number("ratelimit-reset"))
    };
    assert_eq!(standing(&list(&world, &mcp, &own, "ws_acme").await), (6, 5, 60));
    assert_eq!(standing(&list(&world, &mcp, &own, "ws_acme").await), (6, 4, 120));
    let unknown = mcp.call("no_such_tool", json!({})).await.expect_status(200);
    let hidden = list(&world, &mcp, &own, "ws_initech").await.expect_status(200);
    assert_eq!(standing(&unknown).0, standing(&hidden).0, "what may not be called is not charged");
    let listed = mcp.legacy("tools/list", json!({})).await.expect_status(200);
    assert_eq!(standing(&listed).0, 2000);
    let exposed = mcp
        .send(&request("ping", json!({})), headers([("origin", "http://localhost:5000")]))
        .await
        .header("access-control-expose-headers")
        .to_owned();
    assert!(exposed.contains("ratelimit-remaining"), "{exposed}");
    let stranger = Mcp { token: None, ..mcp };
    let refused = stranger.legacy("tools/list", json!({})).await.expect_status(401);
    assert_eq!(refused.header("ratelimit-limit"), "", "nothing was charged");
}
