//! Access tokens as the gateway takes them (RFC 6750, RFC 9068 section 4, RFC 8725).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use tests::{Backend, Browser, Client, Mcp, Options, Reply, World, headers, request};

use crate::mcp_cases::{before, challenge, signed_in};

/// Tokens that anybody could make of a good one.
const FORGED: [Forged; 12] = [
    Forged {
        about: "another issuer",
        change: |parts, _| parts.claims["iss"] = "https://other.example".into(),
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "the issuer with a slash",
        change: |parts, _| {
            let issuer = parts.claims["iss"].as_str().unwrap();
            parts.claims["iss"] = format!("{issuer}/").into();
        },
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "another audience",
        change: |parts, _| parts.claims["aud"] = "https://other.example/mcp".into(),
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "several audiences",
        change: |parts, _| {
            parts.claims["aud"] = json!([parts.claims["aud"], "https://b.example"]);
        },
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "no claims",
        change: |parts, _| parts.claims = json!({}),
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "expired",
        change: |parts, now| parts.claims["exp"] = now.into(),
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "more scope than was signed",
        change: |parts, _| parts.claims["scope"] = "contacts:delete".into(),
        requirement: "RFC 9068 section 4",
    },
    Forged {
        about: "from the future",
        change: |parts, now| parts.claims["iat"] = (now + 61).into(),
        requirement: "RFC 7519 section 4.1.6",
    },
    Forged {
        about: "another type",
        change: |parts, _| parts.header["typ"] = "JWT".into(),
        requirement: "RFC 9068 section 2.1",
    },
    Forged {
        about: "no algorithm",
        change: |parts, _| parts.header["alg"] = "none".into(),
        requirement: "RFC 8725 section 3.1",
    },
    Forged {
        about: "an unsigned token",
        change: |parts, _| {
            parts.header["alg"] = "none".into();
            parts.signature.clear();
        },
        requirement: "RFC 8725 section 3.1",
    },
    Forged {
        about: "an unknown key",
        change: |parts, _| parts.header["kid"] = "stranger".into(),
        requirement: "RFC 7517 section 4.5",
    },
];

/// A token taken apart.
struct Parts {
    claims: Value,
    header: Value,
    signature: String,
}

/// One thing wrong with a good token; the change is told the time.
struct Forged {
    about: &'static str,
    change: fn(&mut Parts, u64),
    requirement: &'static str,
}

impl Parts {
    fn of(token: &str) -> Self {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{token}") };
        let read = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        Self { claims: read(claims), header: read(header), signature: signature.to_owned() }
    }

    fn token(&self) -> String {
        let write = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", write(&self.header), write(&self.claims), self.signature)
    }
}

async fn list(mcp: &Mcp) -> Reply {
    mcp.legacy("tools/list", json!({})).await
}

async fn list_with(mcp: &Mcp, token: &str) -> Reply {
    list(&Mcp { token: Some(token.to_owned()), ..mcp.clone() }).await
}

/// One Bearer challenge that names the metadata, and a body that says the same.
fn is_refused(world: &World, reply: &Reply, status: u16, error: Option<&str>, requirement: &str) {
    assert_eq!(reply.status, status, "{requirement}: {}", reply.text);
    let told = challenge(reply, requirement);
    let document = world.gateway_url("/.well-known/oauth-protected-resource/mcp");
    assert_eq!(told["resource_metadata"], *document, "{requirement}: {told}");
    assert_eq!(told.get("error").and_then(Value::as_str), error, "{requirement}: {told}");
    assert!(told["scope"].as_str().unwrap().contains("contacts:read"), "{requirement}: {told}");
    let body = reply.json();
    assert_eq!(body["error"], error.unwrap_or("missing_token"), "{requirement}: {body}");
    let words = body["error_description"].as_str().unwrap();
    assert!(words.contains(requirement), "{requirement}: {words}");
    assert_eq!(reply.header("cache-control"), "no-store", "{requirement}");
}

fn is_invalid(world: &World, reply: &Reply, requirement: &str) {
    is_refused(world, reply, 401, Some("invalid_token"), requirement);
}

#[tokio::test]
async fn without_a_token_the_challenge_names_the_way_and_no_error() {
    let world = World::demo().await;
    let nobody = Mcp::new(&world, None);
    let with = |value: &str| headers([("authorization", value)]);
    let message = request("tools/list", json!({}));
    for (about, reply) in [
        ("no header", list(&nobody).await),
        ("another scheme", nobody.send(&message, with("Basic YTpi")).await),
        ("no token", nobody.send(&message, with("Bearer")).await),
        ("an empty token", nobody.send(&message, with("Bearer  ")).await),
    ] {
        is_refused(&world, &reply, 401, None, "RFC 6750 section 3");
        assert_eq!(challenge(&reply, about).get("error_description"), None, "{about}");
    }
}

#[tokio::test]
async fn a_token_goes_in_the_header_and_nowhere_else() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let token = mcp.token.clone().unwrap();
    for (about, token_of_header) in [("alone", None), ("beside the header", mcp.token.clone())] {
        let url = format!("{}?access_token={token}", mcp.url);
        let reply = list(&Mcp { token: token_of_header, url, ..mcp.clone() }).await;
        is_refused(&world, &reply, 400, Some("invalid_request"), "RFC 6750 section 2.3");
        assert!(!reply.text.contains(&token), "{about}");
    }
    let url = format!("{}?other=1", mcp.url);
    assert_eq!(list(&Mcp { url, ..mcp }).await.status, 200);
}

#[tokio::test]
async fn two_credentials_are_refused_even_if_both_are_good() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let token = mcp.token.clone().unwrap();
    let nobody = Mcp { token: None, ..mcp };
    let mut twice = HeaderMap::new();
    for _ in 0..2 {
        twice.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    let joined = headers([("authorization", &format!("Bearer {token}, Bearer {token}"))]);
    for sent in [twice, joined] {
        let reply = nobody.send(&request("tools/list", json!({})), sent).await;
        is_refused(&world, &reply, 400, Some("invalid_request"), "RFC 6750 section 2");
    }
}

#[tokio::test]
async fn the_scheme_is_read_without_case() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let value = format!("bearer {}", mcp.token.clone().unwrap());
    let sent = headers([("authorization", &value)]);
    let reply = Mcp { token: None, ..mcp }.send(&request("tools/list", json!({})), sent).await;
    assert_eq!(reply.status, 200, "RFC 9110 section 11.1: {}", reply.text);
}

#[tokio::test]
async fn claims_that_are_not_for_this_resource_now_are_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let good = mcp.token.clone().unwrap();
    let now = world.clock.now().secs();
    for Forged { about, change, requirement } in FORGED {
        let mut parts = Parts::of(&good);
        change(&mut parts, now);
        let reply = list_with(&mcp, &parts.token()).await;
        assert_eq!(reply.status, 401, "{about}: {}", reply.text);
        is_invalid(&world, &reply, requirement);
    }
    assert_eq!(list(&mcp).await.status, 200);
}

#[tokio::test]
async fn a_header_that_brings_its_own_key_is_refused() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    for (name, value) in [
        ("jku", json!("https://attacker.example/jwks")),
        ("jwk", json!({ "kty": "EC" })),
        ("x5u", json!("https://attacker.example/x5u")),
        ("crit", json!(["b64"])),
        ("zip", json!("DEF")),
    ] {
        let mut parts = Parts::of(mcp.token.as_deref().unwrap());
        parts.header[name] = value;
        // RFC 8725 section 3.10: such a token is none of the issuer's.
        is_invalid(&world, &list_with(&mcp, &parts.token()).await, "RFC 9068 section 4");
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let good = Parts::of(mcp.token.as_deref().unwrap());
    let url = Client::discover(&world).await.endpoint("jwks_uri").to_owned();
    let jwks = world.http.get(&url).await.json();
    let key = &jwks["keys"][0];
    for secret in [key.to_string(), key["x"].as_str().unwrap().to_owned()] {
        let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(good.header["kid"].as_str().unwrap().to_owned());
        let key = EncodingKey::from_secret(secret.as_bytes());
        let forged = jsonwebtoken::encode(&header, &good.claims, &key).unwrap();
        is_invalid(&world, &list_with(&mcp, &forged).await, "RFC 8725 section 3.1");
    }
}

#[tokio::test]
async fn a_signature_covers_every_byte() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let good = mcp.token.clone().unwrap();
    let signature = good.rfind('.').unwrap() + 1;
    for at in [signature, signature + 20, signature + 60] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        is_invalid(&world, &list_with(&mcp, &changed).await, "RFC 9068 section 4");
    }
    let cut = &good[..good.len() - 4];
    for broken in [cut, "a.b.c", "a.b", "opaque", &format!("{good}.x")] {
        is_invalid(&world, &list_with(&mcp, broken).await, "RFC 9068 section 4");
    }
    let long = "a".repeat(5000);
    is_invalid(&world, &list_with(&mcp, &long).await, "RFC 9068 section 4");
}

#[tokio::test]
async fn a_token_ends_with_its_last_second() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let mcp = Mcp::new(&world, Some(&tokens));
    world.pass(Duration::from_secs(tokens.expires_in - 1));
    assert_eq!(list(&mcp).await.status, 200, "a second is left");
    world.pass(Duration::from_secs(1));
    is_invalid(&world, &list(&mcp).await, "RFC 9068 section 4");
    let next = client.refreshed(&tokens.refresh).await;
    assert_eq!(list(&Mcp::new(&world, Some(&next))).await.status, 200);
}

#[tokio::test]
async fn a_token_of_another_resource_or_deployment_is_refused() {
    let world = World::demo().await;
    let mut client = Client::public(&world).await;
    let mcp = Mcp::new(&world, None);
    client.resource = Some(world.resource.replace("localhost", "127.0.0.1"));
    let other = client.tokens(&mut Browser::new(&world)).await;
    is_invalid(&world, &list_with(&mcp, &other.access).await, "RFC 9068 section 4");
    let numeric = Mcp { url: client.resource.clone().unwrap(), ..mcp.clone() };
    assert_eq!(list_with(&numeric, &other.access).await.status, 200, "where it belongs");
    // Accepted there, and still not here.
    is_invalid(&world, &list_with(&mcp, &other.access).await, "RFC 9068 section 4");

    let elsewhere = World::demo().await;
    let stranger = signed_in(&elsewhere).await.token.unwrap();
    is_invalid(&world, &list_with(&mcp, &stranger).await, "RFC 9068 section 4");
}

#[tokio::test]
async fn no_other_token_of_the_deployment_opens_a_resource() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| text).await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let mcp = Mcp::new(&world, Some(&tokens));
    is_invalid(&world, &list_with(&mcp, &tokens.refresh).await, "RFC 9068 section 4");
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 200);
    let calls = backend.calls();
    let identity = calls[0].header("authorization").strip_prefix("Bearer ").unwrap();
    is_invalid(&world, &list_with(&mcp, identity).await, "RFC 9068 section 2.1");
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_the_gateway_ask_for_keys_again_and_again() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp).await.status, 200);
    let before = world.jwks_fetches();
    for number in 0..30 {
        let mut parts = Parts::of(mcp.token.as_deref().unwrap());
        parts.header["kid"] = format!("stranger-{number}").into();
        is_invalid(&world, &list_with(&mcp, &parts.token()).await, "RFC 7517 section 4.5");
    }
    assert!(world.jwks_fetches() - before <= 1, "{} fetches", world.jwks_fetches() - before);
    assert_eq!(list(&mcp).await.status, 200);
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_refused_within_a_second() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let mcp = Mcp::new(&world, Some(&tokens));
    assert_eq!(list(&mcp).await.status, 200);
    client.revoke(&tokens.refresh).await;
    let since = std::time::Instant::now();
    world.until("the end of the token", async || list(&mcp).await.status == 401).await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    is_invalid(&world, &list(&mcp).await, "RFC 7009 section 2");
}

#[tokio::test]
async fn what_cannot_be_known_is_said_to_be_unavailable_and_never_invalid() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]\n", "[gateway]\nwhile_feed_is_silent = \"nothing\"\n");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp).await.status, 200);
    world.cut_authority(true);
    world.until("the loss", async || list(&mcp).await.status == 503).await;
    let reply = list(&mcp).await;
    assert_eq!(reply.error(), "temporarily_unavailable");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(reply.header("www-authenticate"), "");
    let stranger = list_with(&mcp, "opaque").await;
    assert_eq!(stranger.status, 503, "{}", stranger.text);
    assert_eq!(list(&Mcp { token: None, ..mcp.clone() }).await.status, 401, "no token, no doubt");
    world.cut_authority(false);
    world.until("the return", async || list(&mcp).await.status == 200).await;
}

#[tokio::test]
async fn whoever_tries_bad_tokens_is_slowed_down_by_address_and_nobody_else_is() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let from = |address: &str| headers([("x-forwarded-for", address)]);
    let message = request("tools/list", json!({}));
    let stranger = Mcp { token: Some("opaque".to_owned()), ..mcp.clone() };
    let mut refused = stranger.send(&message, from("203.0.113.7")).await;
    for _ in 0..200 {
        if refused.status == 429 {
            break;
        }
        is_invalid(&world, &refused, "RFC 9068 section 4");
        refused = stranger.send(&message, from("203.0.113.7")).await;
    }
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(stranger.send(&message, from("203.0.113.8")).await.status, 401);
    assert_eq!(mcp.send(&message, from("203.0.113.7")).await.status, 200, "a good token");
}
