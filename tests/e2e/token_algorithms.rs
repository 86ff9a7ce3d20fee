//! Keys of several algorithms at once (RFC 7518 section 3.1, RFC 8037 section 3.1): what signs
//! which token, and that every reader takes each.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::time::Duration;
use tests::{Browser, Choice, Client, ENGINES, Judge, Mcp, Options, Tokens, World};

/// Longer than every verifier may keep an old set.
const AGED: Duration = Duration::from_mins(12);
const ALL: &str = "[keys]\nalgorithms = [\"RS256\", \"EdDSA\", \"ES256\"]\n";

fn alg(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["alg"].clone()
}

async fn signed_in(client: &Client, browser: &mut Browser) -> Tokens {
    let request = client.authorization().with("scope", "openid contacts:read");
    let code = client.code_of(browser, request, Choice::default()).await;
    Tokens::of(&client.exchange(&code).send().await)
}

async fn choosing(world: &World, algorithm: &str) -> Client {
    let mut metadata = Client::public_metadata();
    metadata["id_token_signed_response_alg"] = json!(algorithm);
    Client::registered(world, metadata).await
}

#[tokio::test]
async fn id_tokens_are_signed_as_the_client_registered_and_access_tokens_with_the_first() {
    for store in ENGINES {
        let options = Options { gateway: true, more: ALL, store, ..Options::default() };
        let world = World::with(options).await;
        let judge = Judge::of(&world).await;
        let metadata = Client::discover(&world).await.metadata;
        let supported = &metadata["id_token_signing_alg_values_supported"];
        assert_eq!(*supported, json!(["RS256", "EdDSA", "ES256"]));
        for algorithm in ["RS256", "EdDSA", "ES256"] {
            let client = choosing(&world, algorithm).await;
            assert_eq!(client.registration["id_token_signed_response_alg"], algorithm);
            let tokens = signed_in(&client, &mut Browser::new(&world)).await;
            assert_eq!(
                (alg(&tokens.id_token), alg(&tokens.access)),
                (json!(algorithm), json!("RS256"))
            );
            let claims = judge.claims(&tokens.id_token, &client.id).unwrap();
            // Half of the hash of the algorithm (OpenID Connect Core 3.1.3.6).
            let half = match algorithm {
                "EdDSA" => URL_SAFE_NO_PAD.encode(&Sha512::digest(&tokens.access)[..32]),
                _ => URL_SAFE_NO_PAD.encode(&Sha256::digest(&tokens.access)[..16]),
            };
            assert_eq!(claims["at_hash"], half);
            let mcp = Mcp::new(&world, Some(&tokens));
            let reply = mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
            assert_eq!(reply.status, 200, "{algorithm}: {}", reply.text);
            // auth-server reads its own as well.
            let alone = client.signing_in();
            let request = alone.authorization().with("scope", "openid");
            let code = alone.code_of(&mut Browser::new(&world), request, Choice::default()).await;
            let tokens = Tokens::of(&alone.exchange(&code).send().await);
            assert_eq!(alg(&tokens.access), "RS256");
            let bearer = format!("Bearer {}", tokens.access).parse().unwrap();
            let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
            let userinfo = client.endpoint("userinfo_endpoint");
            let told = world.http.send(Method::GET, userinfo, headers, String::new()).await;
            assert_eq!(told.expect_status(200).json()["sub"], "usr_demo");
        }
        let other = choosing(&world, "PS512").await;
        assert_eq!(other.registration.get("id_token_signed_response_alg"), None);
        let tokens = signed_in(&other, &mut Browser::new(&world)).await;
        assert_eq!(alg(&tokens.id_token), "RS256");
    }
}

#[tokio::test]
async fn each_algorithm_rotates_on_its_own_and_nobody_notices() {
    let world = World::with(Options { gateway: true, more: ALL, ..Options::default() }).await;
    let client = choosing(&world, "EdDSA").await;
    world.pass(AGED);
    let before = signed_in(&client, &mut Browser::new(&world)).await;
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let body = json!({ "algorithm": "EdDSA" });
    let done = world.admin(Method::POST, "/admin/v1/key-sets/issuer/rotate", body).await;
    assert_eq!(done.expect_status(200).json()["algorithm"], "EdDSA");
    let after = client.refreshed(&before.refresh).await;
    assert_eq!(kid(&after.access), kid(&before.access), "RS256 goes on");
    assert_ne!(kid(&after.id_token), kid(&before.id_token));
    let judge = Judge::of(&world).await;
    for token in [&before.id_token, &after.id_token] {
        judge.claims(token, &client.id).unwrap();
    }
    let stolen = format!("/admin/v1/keys/{}/revoke", kid(&after.access));
    let body = json!({ "emergency": true });
    let _reply = world.admin(Method::POST, &stolen, body).await.expect_status(200);
    let mcp = Mcp::new(&world, Some(&after));
    let call = async || mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    world.until("the stolen key is refused", async || call().await.status == 401).await;
    let next = client.refreshed(&after.refresh).await;
    assert_eq!((alg(&next.access), kid(&next.id_token)), (json!("RS256"), kid(&after.id_token)));
    let mcp = Mcp::new(&world, Some(&next));
    let reply = mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = json!({ "algorithm": "ES512" });
    let refused = world.admin(Method::POST, "/admin/v1/key-sets/issuer/rotate", body).await;
    assert!(refused.expect_status(400).text.contains("RS256, EdDSA, ES256"));
}
