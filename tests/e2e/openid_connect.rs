//! What a sign-in brings: the ID token and userinfo (OpenID Connect Core 2, 3.1.3 and 5.3).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tests::{
    Browser, Choice, Client, ENGINES, Judge, Mcp, Options, Parameters, Person, RESOURCE, Reply,
    Tokens, World,
};

use crate::cases::is_problem;

/// The tokens of a request with this scope, for what the person leaves ticked.
async fn signed_in(client: &Client, browser: &mut Browser, scope: &str) -> Tokens {
    let request = client.authorization().with("scope", scope).with("nonce", "a nonce");
    let code = client.code_of(browser, request, Choice::default()).await;
    Tokens::of(&client.exchange(&code).send().await)
}

async fn userinfo(world: &World, client: &Client, token: &str) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    world.http.send(Method::GET, client.endpoint("userinfo_endpoint"), headers, String::new()).await
}

fn is_refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with(&format!("Bearer error=\"{error}\"")), "{challenge}");
    assert_eq!(reply.error(), error, "RFC 6750 section 3.1");
}

#[tokio::test]
async fn a_service_that_only_signs_in_gets_an_id_token_and_userinfo() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::partner(&world).await.signing_in();
        let mut browser = Browser::new(&world);
        let tokens = signed_in(&client, &mut browser, "openid profile email").await;
        assert_eq!(tokens.scope, "email openid profile");
        let judge = Judge::of(&world).await;
        let claims = judge.claims(&tokens.id_token, &client.id).unwrap();
        assert_eq!(claims["sub"], "usr_demo");
        assert_eq!(claims["aud"], *client.id);
        assert_eq!(claims["nonce"], "a nonce");
        let (now, iat) = (world.clock.now().secs(), claims["iat"].as_u64().unwrap());
        assert_eq!((iat, &claims["auth_time"]), (now, &json!(now)));
        assert!(claims["exp"].as_u64().unwrap() > now);
        let digest = Sha256::digest(&tokens.access);
        assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&digest[..16]), "Core 3.1.3.6");
        let header = jsonwebtoken_header(&tokens.id_token);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("JWT"), &json!("ES256")));
        // The access token is for the issuer alone, and no resource takes it.
        let access = judge.access_token(&world, &tokens.access, &world.issuer);
        assert_eq!(access["scope"], "email openid profile");
        assert_eq!(access["workspaces"], json!([]));
        let told = userinfo(&world, &client, &tokens.access).await.expect_status(200);
        assert_eq!(told.header("content-type"), "application/json");
        assert_eq!(told.header("cache-control"), "no-store");
        let expected = json!({
            "sub": "usr_demo", "name": "Dana Demo", "preferred_username": "demo@example.com",
            "email": "dana@example.com", "email_verified": true, "workspaces": [],
        });
        assert_eq!(told.json(), expected);
    }
}

#[tokio::test]
async fn userinfo_tells_no_more_than_was_granted() {
    let world = World::start().await;
    let client = Client::partner(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    let tokens = signed_in(&client, &mut browser, "openid").await;
    let told = userinfo(&world, &client, &tokens.access).await.expect_status(200);
    assert_eq!(told.json(), json!({ "sub": "usr_demo" }));
    // The person takes the tick from the address.
    let request = client.authorization().with("scope", "openid profile email");
    let choice = Choice { scopes: Some(&["openid", "profile"]), ..Choice::default() };
    let code = client.code_of(&mut browser, request, choice).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(tokens.scope, "openid profile");
    let told = userinfo(&world, &client, &tokens.access).await.expect_status(200).json();
    assert_eq!((&told["name"], &told["email"]), (&json!("Dana Demo"), &Value::Null));
    // Who signs in with an address, and has no other, has that one.
    let mut second = Browser::of(&world, Person::second());
    let tokens = signed_in(&client, &mut second, "openid email").await;
    let told = userinfo(&world, &client, &tokens.access).await.expect_status(200).json();
    let (sub, email) = ("usr_second", "second@example.com");
    assert_eq!(told, json!({ "sub": sub, "email": email, "email_verified": true }));
}

#[tokio::test]
async fn a_refreshed_token_narrows_what_userinfo_tells() {
    let world = World::start().await;
    let client = Client::partner(&world).await.signing_in();
    let tokens = signed_in(&client, &mut Browser::new(&world), "openid email").await;
    let mut post = client.refresh(&tokens.refresh);
    post.set("scope", "openid");
    let narrow = Tokens::of(&post.send().await);
    assert_eq!(narrow.scope, "openid");
    let told = userinfo(&world, &client, &narrow.access).await.expect_status(200);
    assert_eq!(told.json(), json!({ "sub": "usr_demo" }));
    post.set("scope", "openid profile");
    is_problem(&post.send().await, 400, "invalid_scope", "RFC 6749 section 6");
}

#[tokio::test]
async fn one_grant_signs_in_and_opens_a_resource() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let request = client.authorization().with("scope", "openid profile contacts:read");
    let choice = Choice { workspaces: Some(&["ws_acme"]), ..Choice::default() };
    let code = client.code_of(&mut browser, request, choice).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(tokens.scope, "contacts:read openid profile");
    let judge = Judge::of(&world).await;
    let access = judge.access_token(&world, &tokens.access, RESOURCE);
    assert_eq!(access["scope"], "contacts:read", "a resource is told its own scopes");
    assert_eq!(judge.claims(&tokens.id_token, &client.id).unwrap()["sub"], access["sub"]);
    let told = userinfo(&world, &client, &tokens.access).await.expect_status(200).json();
    let opened = json!([{ "id": "ws_acme", "name": "Acme GmbH", "role": "owner" }]);
    assert_eq!((&told["sub"], &told["workspaces"]), (&access["sub"], &opened));
}

#[tokio::test]
async fn a_refresh_brings_an_id_token_of_the_same_sign_in() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await.signing_in();
        let first = signed_in(&client, &mut Browser::new(&world), "openid").await;
        let judge = Judge::of(&world).await;
        let before = judge.claims(&first.id_token, &client.id).unwrap();
        world.pass(Duration::from_hours(20 * 24));
        let next = client.refreshed(&first.refresh).await;
        let after = judge.claims(&next.id_token, &client.id).unwrap();
        for claim in ["aud", "auth_time", "iss", "sub"] {
            assert_eq!(before[claim], after[claim], "OpenID Connect Core 12.2: {claim}");
        }
        assert_eq!(after["nonce"], Value::Null);
        assert_eq!(after["iat"], world.clock.now().secs());
        let told = userinfo(&world, &client, &next.access).await;
        assert_eq!(told.status, 200, "{}", told.text);
    }
}

#[tokio::test]
async fn without_openid_there_is_neither() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = signed_in(&client, &mut Browser::new(&world), "profile contacts:read").await;
    assert_eq!((tokens.id_token.as_str(), tokens.scope.as_str()), ("", "contacts:read"));
    is_refused(&userinfo(&world, &client, &tokens.access).await, 403, "insufficient_scope");
}

#[tokio::test]
async fn the_person_may_open_the_resource_and_keep_the_name() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let request = client.authorization().with("scope", "openid profile contacts:read");
    let choice = Choice { scopes: Some(&["contacts:read"]), ..Choice::default() };
    let code = client.code_of(&mut Browser::new(&world), request, choice).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!((tokens.id_token.as_str(), tokens.scope.as_str()), ("", "contacts:read"));
}

#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = signed_in(&client, &mut Browser::new(&world), "openid contacts:read").await;
    is_refused(&userinfo(&world, &client, &tokens.id_token).await, 401, "invalid_token");
    let shown = Tokens { access: tokens.id_token.clone(), ..tokens };
    let reply = Mcp::new(&world, Some(&shown)).legacy("tools/list", json!({})).await;
    is_refused(&reply, 401, "invalid_token");
}

#[tokio::test]
async fn a_token_for_the_issuer_opens_no_resource() {
    let world = World::demo().await;
    let client = Client::public(&world).await.signing_in();
    let tokens = signed_in(&client, &mut Browser::new(&world), "openid").await;
    let reply = Mcp::new(&world, Some(&tokens)).legacy("tools/list", json!({})).await;
    is_refused(&reply, 401, "invalid_token");
    let mut post = client.refresh(&tokens.refresh);
    post.set("resource", &world.resource);
    is_problem(&post.send().await, 400, "invalid_target", "RFC 8707 section 2.2");
}

#[tokio::test]
async fn userinfo_ends_with_the_token_and_with_the_grant() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await.signing_in();
        let mut browser = Browser::new(&world);
        let expired = signed_in(&client, &mut browser, "openid").await;
        world.pass(Duration::from_mins(5));
        is_refused(&userinfo(&world, &client, &expired.access).await, 401, "invalid_token");
        let alone = signed_in(&client, &mut browser, "openid").await;
        client.revoke(&alone.access).await;
        is_refused(&userinfo(&world, &client, &alone.access).await, 401, "invalid_token");
        let grant = signed_in(&client, &mut browser, "openid").await;
        let told = userinfo(&world, &client, &grant.access).await;
        assert_eq!(told.status, 200, "{}", told.text);
        client.revoke(&grant.refresh).await;
        is_refused(&userinfo(&world, &client, &grant.access).await, 401, "invalid_token");
    }
}

/// RFC 6750 section 2 and RFC 6750 section 3.
#[tokio::test]
async fn one_token_in_the_header_or_the_body_is_needed() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let tokens = signed_in(&client, &mut Browser::new(&world), "openid").await;
    let endpoint = client.endpoint("userinfo_endpoint");
    let none = world.http.get(endpoint).await.expect_status(401);
    assert_eq!(none.header("www-authenticate"), "Bearer", "RFC 6750 section 3");
    let query = format!("{endpoint}?access_token={}", tokens.access);
    assert_eq!(world.http.get(&query).await.status, 401, "RFC 6750 section 2.3");
    let mut post = world.http.post(endpoint, Parameters::of([("access_token", &tokens.access)]));
    assert_eq!(post.send().await.expect_status(200).json()["sub"], "usr_demo");
    post.header("authorization", &format!("bearer {}", tokens.access));
    is_refused(&post.send().await, 400, "invalid_request");
    post.remove("access_token");
    assert_eq!(post.send().await.expect_status(200).json()["sub"], "usr_demo");
    for junk in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        is_refused(&userinfo(&world, &client, junk).await, 401, "invalid_token");
    }
}

fn jsonwebtoken_header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}
