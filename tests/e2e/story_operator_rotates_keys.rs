//! An operator's whole way with keys, through the admin interface, while clients go on.

use std::time::Duration;

use reqwest::{
    Method,
    header::{HeaderMap, IF_NONE_MATCH},
};
use serde_json::{Value, json};
use shared::internal::Event;
use tests::{Browser, Client, ENGINES, Judge, Options, RESOURCE, Reply, World};

/// Longer than every verifier may keep an old set.
const AGED: Duration = Duration::from_mins(12);

async fn ask(world: &World, method: Method, path: &str, body: Value) -> Reply {
    world.admin(method, &format!("/admin/v1{path}"), body).await
}

async fn act(world: &World, path: &str, emergency: bool) -> Reply {
    ask(world, Method::POST, path, json!({ "emergency": emergency })).await
}

async fn keys(world: &World, purpose: &str, state: &str) -> Vec<String> {
    let listed = ask(world, Method::GET, "/keys", Value::Null).await.expect_status(200).json();
    let fits = |key: &&Value| key["purpose"] == purpose && key["state"] == state;
    let keys = listed["keys"].as_array().unwrap().iter().filter(fits);
    keys.map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

async fn published(world: &World) -> Vec<String> {
    let url = Client::discover(world).await.endpoint("jwks_uri").to_owned();
    let set = world.http.get(&url).await.expect_status(200).json();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn a_rotation_waits_for_every_verifier_and_then_nobody_notices() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let old = client.tokens(&mut Browser::new(&world)).await;
        let early = act(&world, "/key-sets/issuer/rotate", false).await.expect_status(409);
        assert!(early.text.contains("allowed in 660 s, at 20"), "{}", early.text);
        assert!(early.text.contains("--emergency does it now: for up to 660 s"), "{}", early.text);
        world.pass(AGED);
        let old = client.refreshed(&old.refresh).await;
        let standby = keys(&world, "issuer", "pending").await;
        let _reply = act(&world, "/key-sets/issuer/rotate", false).await.expect_status(200);
        assert_eq!(keys(&world, "issuer", "active").await, standby);
        let retiring = keys(&world, "issuer", "retiring").await;
        assert_eq!(retiring, [kid(&old.access)]);
        let new = client.refreshed(&old.refresh).await;
        assert_eq!([kid(&new.access)], standby[..]);
        let judge = Judge::of(&world).await;
        judge.access_token(&world, &old.access, RESOURCE);
        judge.access_token(&world, &new.access, RESOURCE);
        let path = format!("/keys/{}/retire", retiring[0]);
        assert!(act(&world, &path, false).await.expect_status(409).text.contains("allowed in"));
        world.pass(AGED);
        let _reply = act(&world, &path, false).await.expect_status(200);
        assert!(!published(&world).await.contains(&retiring[0]));
        client.refreshed(&new.refresh).await;
    }
}

#[tokio::test]
async fn a_stolen_key_is_refused_at_once_and_the_aged_standby_costs_nothing_more() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        world.pass(AGED);
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let stolen = kid(&tokens.access);
        let done = act(&world, &format!("/keys/{stolen}/revoke"), true).await.expect_status(200);
        let cost = done.json()["cost"].as_str().unwrap().to_owned();
        assert!(cost.starts_with("access tokens that the key signed"), "{cost}");
        assert!(!published(&world).await.contains(&stolen));
        let told = world.revocations().await;
        assert!(
            told.iter().any(|event| matches!(event, Event::Key { key } if key.as_str() == stolen))
        );
        let again = client.refreshed(&tokens.refresh).await;
        assert_ne!(kid(&again.access), stolen);
        for verb in ["activate", "retire"] {
            let reply = act(&world, &format!("/keys/{stolen}/{verb}"), true).await;
            assert!(reply.expect_status(409).text.contains("is revoked"), "{verb}");
        }
    }
}

#[tokio::test]
async fn a_rotation_of_the_refresh_keys_keeps_every_grant_and_a_revoked_one_ends_its_own() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let before = client.tokens(&mut Browser::new(&world)).await;
        world.pass(AGED);
        let _reply = act(&world, "/key-sets/refresh-mac/rotate", false).await.expect_status(200);
        let before = client.refreshed(&before.refresh).await;
        let after = client.tokens(&mut Browser::new(&world)).await;
        let retiring = keys(&world, "refresh_mac", "retiring").await;
        let revoke = format!("/keys/{}/revoke", retiring[0]);
        let refused = act(&world, &revoke, false).await.expect_status(409);
        assert!(refused.text.contains("sign in again"), "{}", refused.text);
        let _reply = act(&world, &revoke, true).await.expect_status(200);
        assert_eq!(client.refresh(&before.refresh).send().await.error(), "invalid_grant");
        client.refreshed(&after.refresh).await;
    }
}

#[tokio::test]
async fn a_probe_is_published_never_signs_and_is_taken_back() {
    let world = World::with(Options { gateway: true, ..Options::default() }).await;
    let alone = ask(&world, Method::POST, "/keys/drill", Value::Null).await.expect_status(409);
    assert!(alone.text.contains("no auth-server runs"), "{}", alone.text);
    world.app.report_keys().await.unwrap();
    let drill = ask(&world, Method::POST, "/keys/drill", Value::Null).await;
    let probe = drill.expect_status(201).json()["key"].as_str().unwrap().to_owned();
    assert!(published(&world).await.contains(&probe));
    let reply = act(&world, &format!("/keys/{probe}/activate"), true).await.expect_status(409);
    assert!(reply.text.contains("is a probe"), "{}", reply.text);
    let path = format!("/keys/drill/{probe}");
    world
        .until("the gateway has the probe", async || {
            let seen = ask(&world, Method::GET, &path, Value::Null).await.expect_status(200).json();
            let verifiers = seen["verifiers"].as_array().unwrap();
            verifiers.iter().any(|one| one["kind"] == "gateway" && one["after_ms"].is_u64())
        })
        .await;
    let _reply = ask(&world, Method::DELETE, &path, Value::Null).await.expect_status(204);
    assert!(!published(&world).await.contains(&probe));
    let _reply = ask(&world, Method::GET, &path, Value::Null).await.expect_status(404);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_with_what_there_is() {
    let world = World::start().await;
    let reply = act(&world, "/key-sets/cookies/rotate", false).await.expect_status(400);
    assert!(reply.text.contains("issuer, refresh-mac or page-seal"), "{}", reply.text);
    let reply = act(&world, "/keys/nobody/revoke", true).await.expect_status(404);
    assert!(reply.text.contains("vestibule keys list"), "{}", reply.text);
    let _reply = ask(&world, Method::POST, "/key-sets/issuer/rotate", json!({ "force": true }))
        .await
        .expect_status(400);
    let reseal = ask(&world, Method::POST, "/keys/reseal", Value::Null).await.expect_status(200);
    assert_eq!(reseal.json()["resealed"], 0);
}

#[tokio::test]
async fn an_unchanged_set_is_not_sent_again_and_a_changed_one_is() {
    let world = World::start().await;
    let url = Client::discover(&world).await.endpoint("jwks_uri").to_owned();
    let tag = world.http.get(&url).await.expect_status(200).header("etag").to_owned();
    let with = |tag: &str| HeaderMap::from_iter([(IF_NONE_MATCH, tag.parse().unwrap())]);
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let reply = world.http.send(Method::GET, &url, with(&known), String::new()).await;
        assert_eq!((reply.status, reply.text.as_str()), (304, ""), "RFC 9110 section 13.1.2");
        assert_eq!(reply.header("etag"), tag);
        assert_eq!(
            reply.header("cache-control"),
            "public, max-age=300, stale-while-revalidate=300"
        );
    }
    let _reply = act(&world, "/key-sets/issuer/announce", false).await.expect_status(200);
    let reply = world.http.send(Method::GET, &url, with(&tag), String::new()).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("etag"), tag);
}
