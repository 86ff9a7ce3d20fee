//! The refresh (RFC 6749 section 6), and what it promises to clients that are honest but
//! parallel, cut off or slow. What happens to copied tokens is in `rfc9700_reuse.rs`.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tests::{
    Browser, Choice, Client, ENGINES, Judge, Options, RESOURCE, RESOURCE_STRICT, Store, Tokens,
    World,
};
use tokio::task::JoinSet;

use crate::cases::{Refused, is_problem, is_refused};

const DAY: Duration = Duration::from_hours(24);

/// A world on each engine, with a client that has tokens.
async fn signed_in(store: Store) -> (World, Client, Tokens) {
    let world = World::with(Options { store, ..Options::default() }).await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    (world, client, tokens)
}

#[tokio::test]
async fn a_refresh_replaces_both_tokens() {
    for store in ENGINES {
        let (world, client, first) = signed_in(store).await;
        world.pass(Duration::from_mins(5));
        let second = client.refreshed(&first.refresh).await;
        assert_ne!(second.refresh, first.refresh);
        assert_ne!(second.access, first.access);
        assert_eq!((second.scope, second.expires_in), (first.scope, first.expires_in));
        assert!(second.refresh.len() <= 128);
        client.refreshed(&second.refresh).await;
    }
}

#[tokio::test]
async fn parallel_refreshes_all_succeed_and_agree_on_the_next_token() {
    for store in ENGINES {
        let (_world, client, tokens) = signed_in(store).await;
        let mut posts = JoinSet::new();
        for _ in 0..20 {
            let post = client.refresh(&tokens.refresh);
            posts.spawn(async move { Tokens::of(&post.send().await) });
        }
        let all = posts.join_all().await;
        let next: BTreeSet<&str> = all.iter().map(|tokens| &*tokens.refresh).collect();
        assert_eq!(next.len(), 1, "on {store:?}");
        client.refreshed(&all[0].refresh).await;
    }
}

#[tokio::test]
async fn a_refresh_asks_a_shared_store_once() {
    let (world, client, tokens) = signed_in(Store::Redis).await;
    let redis = world.redis.as_ref().unwrap();
    let is_asked_once = async || {
        let warm = client.refreshed(&tokens.refresh).await;
        redis.ask(&["CONFIG", "RESETSTAT"]);
        client.refreshed(&warm.refresh).await;
        let told = redis.ask(&["INFO", "commandstats"]);
        // What a script does inside the server is not a question to it.
        let asked: Vec<&str> = told.lines().filter(|line| line.contains("eval")).collect();
        asked.len() == 1 && asked[0].contains("evalsha:calls=1,")
    };
    // What is known of client and person is a second old at most, and a machine may be slow.
    world.until("a refresh that asks once", is_asked_once).await;
}

#[tokio::test]
async fn a_client_whose_answer_was_lost_asks_again_within_days() {
    for store in ENGINES {
        let (world, client, tokens) = signed_in(store).await;
        let lost = client.refreshed(&tokens.refresh).await;
        for wait in [Duration::ZERO, Duration::from_mins(2), 3 * DAY] {
            world.pass(wait);
            assert_eq!(client.refreshed(&tokens.refresh).await.refresh, lost.refresh);
        }
        client.refreshed(&lost.refresh).await;
    }
}

#[tokio::test]
async fn a_process_that_lags_behind_is_given_the_newest_token() {
    for store in ENGINES {
        let (_world, client, first) = signed_in(store).await;
        let mut newest = first.clone();
        for _ in 0..5 {
            newest = client.refreshed(&newest.refresh).await;
        }
        assert_eq!(client.refreshed(&first.refresh).await.refresh, newest.refresh);
    }
}

#[tokio::test]
async fn a_refresh_that_is_refused_spends_nothing() {
    let (_world, client, tokens) = signed_in(Store::Embedded).await;
    let good = client.refresh(&tokens.refresh);
    for case in [
        Refused {
            requirement: "RFC 6749 section 6",
            deviation: |r| r.remove("refresh_token"),
            status: 400,
            error: "invalid_request",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.set("refresh_token", "rt_nonsense"),
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 6749 section 6",
            deviation: |r| r.set("scope", "contacts:read contacts:delete"),
            status: 400,
            error: "invalid_scope",
        },
        Refused {
            requirement: "RFC 6749 section 6",
            deviation: |r| r.set("scope", "contacts:read \"all\""),
            status: 400,
            error: "invalid_scope",
        },
        Refused {
            requirement: "RFC 8707 section 2.2",
            deviation: |r| r.set("resource", RESOURCE_STRICT),
            status: 400,
            error: "invalid_target",
        },
        Refused {
            requirement: "RFC 6749 section 6",
            deviation: |r| r.set("client_id", "kiosk"),
            status: 400,
            error: "invalid_grant",
        },
    ] {
        is_refused(&good, &case).await;
    }
    // Had one of them spent the token, this refresh would be the second one.
    let next = client.refreshed(&tokens.refresh).await;
    assert_eq!(generation(&tokens) + 1, generation(&next));
}

#[tokio::test]
async fn a_refresh_narrows_its_access_token_and_not_the_grant() {
    let (world, client, tokens) = signed_in(Store::Embedded).await;
    let mut post = client.refresh(&tokens.refresh);
    post.set("scope", "contacts:read");
    let narrow = Tokens::of(&post.send().await);
    assert_eq!(narrow.scope, "contacts:read", "RFC 6749 section 6");
    let claims = Judge::of(&world).await.access_token(&world, &narrow.access, RESOURCE);
    assert_eq!(claims["scope"], "contacts:read");
    let whole = client.refreshed(&narrow.refresh).await;
    assert_eq!(whole.scope, "contacts:read contacts:write");
}

#[tokio::test]
async fn a_grant_for_two_resources_gives_tokens_for_one_at_a_time() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut request = client.authorization();
    request.parameters.add("resource", RESOURCE_STRICT);
    request.parameters.add("scope", "contacts:read ledger:read");
    let code = client.code_of(&mut Browser::new(&world), request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let judge = Judge::of(&world).await;
    let claims = judge.access_token(&world, &tokens.access, RESOURCE);
    assert_eq!(claims["scope"], "contacts:read", "RFC 8707 section 2.2");
    let mut post = client.refresh(&tokens.refresh);
    post.set("resource", RESOURCE_STRICT);
    let other = Tokens::of(&post.send().await);
    let claims = judge.access_token(&world, &other.access, RESOURCE_STRICT);
    assert_eq!((&claims["scope"], other.expires_in), (&Value::from("ledger:read"), 60));
}

#[tokio::test]
async fn a_grant_ends_when_it_is_not_used_for_a_month() {
    for store in ENGINES {
        let (world, client, tokens) = signed_in(store).await;
        world.pass(29 * DAY);
        let next = client.refreshed(&tokens.refresh).await;
        world.pass(30 * DAY);
        let reply = client.refresh(&next.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
        assert!(reply.text.contains("sign in again"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_grant_ends_after_three_months_however_much_it_is_used() {
    for store in ENGINES {
        let (world, client, mut tokens) = signed_in(store).await;
        for _ in 0..4 {
            world.pass(22 * DAY);
            tokens = client.refreshed(&tokens.refresh).await;
        }
        world.pass(Duration::from_mins(2 * 24 * 60 - 1));
        tokens = client.refreshed(&tokens.refresh).await;
        assert_eq!(tokens.expires_in, 60, "an access token outlives its grant");
        world.pass(Duration::from_mins(1));
        let reply = client.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
    }
}

#[tokio::test]
async fn a_client_that_the_operator_knows_by_a_secret_keeps_its_token() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::partner(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        for _ in 0..3 {
            world.pass(20 * DAY);
            assert_eq!(client.refreshed(&tokens.refresh).await.refresh, tokens.refresh);
        }
    }
}

#[tokio::test]
async fn a_restart_signs_nobody_out() {
    for store in ENGINES {
        let (mut world, client, tokens) = signed_in(store).await;
        world.restart(|text| text).await;
        let next = client.refreshed(&tokens.refresh).await;
        world.restart(|text| text).await;
        assert_eq!(client.refreshed(&tokens.refresh).await.refresh, next.refresh);
        client.refreshed(&next.refresh).await;
    }
}

#[tokio::test]
async fn a_person_who_has_left_is_refreshed_no_more() {
    let (mut world, client, tokens) = signed_in(Store::Embedded).await;
    world.restart(|text| text.replace("usr_demo", "usr_somebody_else")).await;
    let reply = client.refresh(&tokens.refresh).send().await;
    is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
}

#[tokio::test]
async fn a_workspace_that_the_person_has_left_is_not_in_the_next_token() {
    let (mut world, client, tokens) = signed_in(Store::Embedded).await;
    let judge = Judge::of(&world).await;
    let workspaces = |tokens: &Tokens, world: &World| {
        judge.access_token(world, &tokens.access, RESOURCE)["workspaces"].clone()
    };
    assert_eq!(workspaces(&tokens, &world), serde_json::json!(["ws_acme", "ws_globex"]));
    let leave = "    { workspace = \"ws_globex\", role = \"member\" },\n";
    assert!(include_str!("../src/deployment.toml").contains(leave));
    world
        .restart(|text| text.replace("    { workspace = \"ws_globex\", role = \"member\" },\n", ""))
        .await;
    let next = client.refreshed(&tokens.refresh).await;
    assert_eq!(workspaces(&next, &world), serde_json::json!(["ws_acme"]));
}

#[tokio::test]
async fn a_store_that_is_away_costs_nobody_a_token() {
    let (mut world, client, tokens) = signed_in(Store::Redis).await;
    world.redis.as_mut().unwrap().stop();
    let reply = client.refresh(&tokens.refresh).send().await;
    is_problem(&reply, 503, "temporarily_unavailable", "RFC 6749 section 5.2, deviated from");
    assert_ne!(reply.header("retry-after"), "");
    world.redis.as_mut().unwrap().restart();
    let is_back = async || client.refresh(&tokens.refresh).send().await.status == 200;
    world.until("the store", is_back).await;
}

/// The generation of a grant that an access token names, unverified.
fn generation(tokens: &Tokens) -> u64 {
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(&tokens.access).unwrap().claims;
    claims["gen"].as_u64().unwrap()
}
