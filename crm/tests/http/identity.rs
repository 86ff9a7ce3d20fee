//! Who is let in: identities the gateway signed for this backend, and nobody else.

use std::{sync::atomic::Ordering, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{ACME, NOW, World, public_key, sign, sign_with};

#[tokio::test]
async fn a_request_without_an_identity_is_told_what_to_send() {
    let world = World::start().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let response = world.post(None, &list).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"], "invalid_token");
    assert_eq!(
        body["error_description"],
        "an identity is needed: send it as Authorization: Bearer"
    );
}

#[tokio::test]
async fn each_wrong_identity_is_refused_with_its_reason() {
    let world = World::start().await;
    let good = world.claims("person", &[ACME]);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims, |_| {})
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        sign(&claims, |_| {})
    };
    let mut forged = world.person(&[ACME]);
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let unsigned = {
        let header = Header { kid: Some("key-0".to_owned()), ..Header::new(Algorithm::HS256) };
        let header = Header { typ: Some("vestibule-identity+jwt".to_owned()), ..header };
        jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(b"secret")).unwrap()
    };
    let malformed = "the identity is not a JWS with the claims of an identity";
    let cases = [
        (with("aud", json!("urn:example:other")), "the identity is meant for another audience"),
        (with("aud", json!([crate::harness::AUDIENCE])), malformed),
        (
            with("iss", json!("http://elsewhere.example")),
            "the identity has an issuer that is not trusted here",
        ),
        (with("exp", json!(NOW - 60)), "the identity has expired"),
        (with("iat", json!(NOW + 60)), "the identity was issued in the future"),
        (with("kind", json!("robot")), malformed),
        (with("workspaces", json!("ws_acme")), malformed),
        (with("exp", json!(1e300)), malformed),
        (without("workspaces"), malformed),
        (without("jti"), malformed),
        (without("exp"), malformed),
        (
            sign(&good, |header| header.typ = Some("at+jwt".to_owned())),
            "the token is not of type vestibule-identity+jwt",
        ),
        (
            sign(&good, |header| header.typ = None),
            "the token is not of type vestibule-identity+jwt",
        ),
        (sign(&good, |header| header.crit = Some(vec!["b64".to_owned()])), malformed),
        (
            sign(&good, |header| header.kid = None),
            "the identity names a key that its issuer does not publish",
        ),
        (
            sign(&good, |header| header.kid = Some("key-9".to_owned())),
            "the identity names a key that its issuer does not publish",
        ),
        (
            sign_with(1, &good, |header| header.kid = Some("key-0".to_owned())),
            "the signature of the identity does not verify",
        ),
        (forged, "the signature of the identity does not verify"),
        (unsigned, "the identity is not signed with ES256"),
        ("not-a-token".to_owned(), malformed),
    ];
    for (token, reason) in cases {
        let (status, body) = world.knock(Some(&token)).await;
        assert_eq!(
            (status, &body["error_description"]),
            (StatusCode::UNAUTHORIZED, &json!(reason))
        );
    }
    let (status, _) = world.knock(Some(&world.person(&[ACME]))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn two_credentials_are_none() {
    let world = World::start().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let token = world.person(&[ACME]);
    let response = world.request(&list).bearer_auth(&token).bearer_auth(&token).send().await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_identity_ends_with_its_minute() {
    let world = World::start().await;
    let token = world.person(&[ACME]);
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.knock(Some(&token)).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_secs(12));
    assert_eq!(world.knock(Some(&token)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_published_later_is_found_at_once_and_the_set_is_fetched_no_more_than_needed() {
    let world = World::start().await;
    for _ in 0..3 {
        assert_eq!(world.knock(Some(&world.person(&[ACME]))).await.0, StatusCode::OK);
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);
    let unknown = json!({ "kty": "OKP", "crv": "X448", "x": "AA", "kid": "key-7" });
    *world.published.lock().unwrap() =
        json!({ "keys": [unknown, 17, public_key(0), public_key(1)] });
    let rotated = sign_with(1, &world.claims("person", &[ACME]), |_| {});
    assert_eq!(world.knock(Some(&rotated)).await.0, StatusCode::OK);
    assert_eq!(world.fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn identities_with_invented_key_ids_cannot_drive_the_issuer() {
    let world = World::start().await;
    let claims = world.claims("person", &[ACME]);
    let started = Instant::now();
    for number in 0..20 {
        let token = sign(&claims, |header| header.kid = Some(format!("invented-{number}")));
        assert_eq!(world.knock(Some(&token)).await.0, StatusCode::UNAUTHORIZED);
    }
    // One fetch, and one more for each pause of three seconds that passed meanwhile.
    let allowed = 1 + started.elapsed().as_secs() / 3;
    assert!(world.fetches.load(Ordering::SeqCst) as u64 <= allowed);
}

#[tokio::test]
async fn while_the_keys_cannot_be_fetched_the_answer_is_503_and_not_401() {
    let world = World::start().await;
    *world.published.lock().unwrap() = json!("broken");
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let token = world.person(&[ACME]);
    let response = world.post(Some(&token), &list).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    *world.published.lock().unwrap() = json!({ "keys": [public_key(0)] });
    let limit = Instant::now() + Duration::from_secs(20);
    while world.knock(Some(&token)).await.0 != StatusCode::OK {
        assert!(Instant::now() < limit, "the keys were not fetched again");
    }
}

#[tokio::test]
async fn a_host_that_is_not_ours_and_a_browsers_origin_are_refused() {
    let world = World::start().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (name, value) in [("host", "crm.attacker.example"), ("origin", "https://attacker.example")]
    {
        let request = world.request(&list).bearer_auth(world.person(&[ACME])).header(name, value);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
}
