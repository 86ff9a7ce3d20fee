//! The published keys (RFC 7517, RFC 7638).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::{Browser, Client, World};

async fn keys(world: &World) -> Vec<Value> {
    let url = Client::discover(world).await.endpoint("jwks_uri").to_owned();
    let reply = world.http.get(&url).await.expect_status(200);
    reply.json()["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn no_private_half_is_published() {
    let world = World::start().await;
    for key in keys(&world).await {
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(!members.contains(private), "RFC 7517 section 9.2: {members:?}");
        }
    }
}

#[tokio::test]
async fn every_key_says_what_it_is_for_and_has_its_thumbprint_as_name() {
    let world = World::start().await;
    let keys = keys(&world).await;
    assert!(!keys.is_empty());
    let mut names = BTreeSet::new();
    for key in &keys {
        let text = |name: &str| key[name].as_str().unwrap_or_else(|| panic!("{name} in {key}"));
        assert_eq!([text("kty"), text("crv")], ["EC", "P-256"]);
        assert_eq!([text("alg"), text("use")], ["ES256", "sig"]);
        let members = [("crv", text("crv")), ("kty", "EC"), ("x", text("x")), ("y", text("y"))];
        let members = members.map(|(name, value)| format!("\"{name}\":\"{value}\""));
        let digest = Sha256::digest(format!("{{{}}}", members.join(",")));
        assert_eq!(text("kid"), URL_SAFE_NO_PAD.encode(digest), "RFC 7638 section 3");
        names.insert(text("kid"));
    }
    assert_eq!(names.len(), keys.len(), "RFC 7517 section 4.5");
}

#[tokio::test]
async fn the_set_may_be_cached_and_read_by_scripts() {
    let world = World::start().await;
    let url = Client::discover(&world).await.endpoint("jwks_uri").to_owned();
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("origin", "https://app.example".parse().unwrap());
    let reply = world.http.send(reqwest::Method::GET, &url, headers, String::new()).await;
    assert_eq!(reply.header("content-type"), "application/jwk-set+json", "RFC 7517 section 8.5.2");
    assert!(reply.header("cache-control").contains("max-age="));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn the_key_of_every_token_is_published_before_and_after_a_restart() {
    let mut world = World::start().await;
    let client = Client::public(&world).await;
    let before = keys(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let kid = jsonwebtoken::decode_header(&tokens.access).unwrap().kid.unwrap();
    assert!(before.iter().any(|key| key["kid"] == *kid));
    world.restart(|text| text).await;
    assert_eq!(keys(&world).await, before);
}

#[tokio::test]
async fn every_deployment_has_keys_of_its_own() {
    let (one, other) = (World::start().await, World::start().await);
    assert_ne!(keys(&one).await, keys(&other).await);
}
