//! Clients on their own account (RFC 6749 section 4.4), and how clients prove who they are
//! (RFC 6749 section 2.3).

use std::time::{Duration, Instant};

use auth_server::{
    clients::{ClientChange, NewClient},
    config::RawService,
};
use serde_json::json;
use tests::{
    Browser, Client, Credential, ENGINES, Judge, Mcp, NEXT_SECRET, Options, RESOURCE,
    RESOURCE_STRICT, Tokens, World,
};

use crate::cases::is_problem;

/// A service beside the clients of the file, with a second secret.
fn with_service(text: String) -> String {
    let service = r#"
[[client]]
id = "nightly"
name = "Nightly export"
grant_types = ["client_credentials"]
secret_file = "partner-secret"
secret = [{ file = "next-secret", until = "2020-01-01T00:00:00Z" }]
service = { scopes = ["contacts:read", "contacts:write"], workspaces = ["ws_acme"] }
"#;
    text + service
}

const SECRET: &str = "a secret that only the partner and the operator know";

#[tokio::test]
async fn an_approved_client_gets_tokens_of_its_own() {
    for store in ENGINES {
        let edit = with_service;
        let world = World::with(Options { edit, store, ..Options::default() }).await;
        let client = Client::with_secret(&world, "nightly", SECRET).await;
        let reply = client.credentials().send().await;
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.json().get("refresh_token"), None, "RFC 6749 section 4.4.3");
        let tokens = Tokens::of(&reply);
        assert_eq!(
            (tokens.scope.as_str(), tokens.expires_in),
            ("contacts:read contacts:write", 300)
        );
        let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
        assert_eq!(claims["sub"], "nightly", "RFC 9068 section 2.2");
        assert_eq!(claims["client_id"], "nightly");
        assert_eq!(claims["workspaces"], json!(["ws_acme"]));
        assert_eq!(claims["auth_time"], world.clock.now().secs());
        assert!(claims.get("fam").is_none() && claims.get("gen").is_none());

        let ask = async |name: &str, value: &str| {
            let mut post = client.credentials();
            post.set(name, value);
            post.send().await
        };
        assert_eq!(Tokens::of(&ask("resource", RESOURCE).await).scope, tokens.scope);
        let narrow = ask("scope", "contacts:read contacts:delete").await;
        assert_eq!(Tokens::of(&narrow).scope, "contacts:read", "RFC 6749 section 3.3");
        let none = ask("scope", "contacts:delete").await;
        is_problem(&none, 400, "invalid_scope", "RFC 6749 section 4.4.2");
        let malformed = ask("scope", "contacts:\"read").await;
        is_problem(&malformed, 400, "invalid_scope", "RFC 6749 section 3.3");
        let elsewhere = ask("resource", RESOURCE_STRICT).await;
        is_problem(&elsewhere, 400, "invalid_target", "RFC 8707 section 2.2");
    }
}

#[tokio::test]
async fn nobody_else_gets_tokens_of_their_own() {
    let world = World::with(Options { edit: with_service, ..Options::default() }).await;
    let mut metadata = Client::public_metadata();
    metadata["token_endpoint_auth_method"] = json!("client_secret_post");
    metadata["grant_types"] = json!(["authorization_code", "client_credentials"]);
    let registered = Client::registered(&world, metadata).await;
    assert_eq!(registered.registration["grant_types"], json!(["authorization_code"]));
    let others = [
        Client::public(&world).await,
        Client::kiosk(&world).await,
        Client::partner(&world).await,
        registered.clone(),
    ];
    for client in &others {
        let reply = client.credentials().send().await;
        is_problem(&reply, 400, "unauthorized_client", "RFC 6749 section 4.4");
        assert!(reply.text.contains("RFC 6749 section 4.4)"), "{}", reply.text);
    }
    let mut nobody = Client::with_secret(&world, "nightly", "guessed").await;
    let reply = nobody.credentials().send().await;
    is_problem(&reply, 401, "invalid_client", "RFC 6749 section 5.2");
    nobody.credential = Credential::None;
    is_problem(&nobody.credentials().send().await, 401, "invalid_client", "RFC 6749 section 5.2");

    // An operator may approve who proves itself, and nobody else.
    let service = || ClientChange {
        service: Some(RawService {
            scopes: vec!["contacts:read".to_owned()],
            workspaces: vec!["ws_globex".to_owned()],
            ..RawService::default()
        }),
        ..ClientChange::default()
    };
    assert!(world.app.update_client(&others[0].id, service()).await.is_err());
    world.app.update_client(&registered.id, service()).await.unwrap();
    let tokens = Tokens::of(&registered.credentials().send().await);
    let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
    assert_eq!(
        (&claims["sub"], &claims["workspaces"]),
        (&json!(registered.id), &json!(["ws_globex"]))
    );
}

#[tokio::test]
async fn a_service_works_through_the_gateway_until_it_is_deleted() {
    let world = World::demo().await;
    let new = NewClient {
        name: "Nightly export".to_owned(),
        service: Some(RawService {
            scopes: vec!["contacts:read".to_owned()],
            workspaces: vec!["ws_acme".to_owned()],
            ..RawService::default()
        }),
        ..NewClient::default()
    };
    let (summary, secret) = world.app.create_client(new).await.unwrap();
    let client = Client::with_secret(&world, &summary.id, secret.unwrap().expose()).await;
    let tokens = Tokens::of(&client.credentials().send().await);
    let mcp = Mcp::new(&world, Some(&tokens));
    let params = json!({ "name": "list_contacts", "arguments": { "workspace_id": "ws_acme" } });
    let reply = mcp.modern("tools/call", params.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_ne!(reply.message()["result"]["isError"], true, "{}", reply.text);

    // Not in another workspace, and not with another scope.
    let foreign = json!({ "name": "list_contacts", "arguments": { "workspace_id": "ws_globex" } });
    let foreign = mcp.modern("tools/call", foreign).await;
    assert!(foreign.status != 200 || foreign.message()["result"]["isError"] == true);
    let delete = json!({ "name": "delete_contact", "arguments": { "id": "x" } });
    assert_eq!(mcp.modern("tools/call", delete).await.status, 403);

    world.app.delete_client(&summary.id).await.unwrap();
    let refused = async || mcp.modern("tools/call", params.clone()).await.status == 401;
    world.until("the end of the service at the gateway", refused).await;
    let reply = client.credentials().send().await;
    is_problem(&reply, 401, "invalid_client", "a deleted client");
}

#[tokio::test]
async fn a_client_of_the_file_may_have_two_secrets_while_one_replaces_the_other() {
    let world = World::with(Options { edit: with_service, ..Options::default() }).await;
    // The second secret of this file ended long ago.
    let client = Client::with_secret(&world, "nightly", NEXT_SECRET).await;
    assert_eq!(client.credentials().send().await.status, 401);
    let edit = |text: String| with_service(text).replace("2020-01-01", "2099-01-01");
    let world = World::with(Options { edit, ..Options::default() }).await;
    for secret in [SECRET, NEXT_SECRET] {
        let client = Client::with_secret(&world, "nightly", secret).await;
        Tokens::of(&client.credentials().send().await);
    }
}

#[tokio::test]
async fn whoever_authenticates_wrongly_is_told_to_authenticate() {
    let world = World::with(Options { edit: with_service, ..Options::default() }).await;
    let client = Client::with_secret(&world, "nightly", SECRET).await;
    let good = client.credentials();
    assert_eq!(good.send().await.status, 200);
    // No colon, no base64, no text, no such escape, another scheme.
    for value in [
        "Basic bmlnaHRseQ==",
        "Basic !!!",
        "Basic /////w==",
        "Basic bmlnaHRseTolenolLQ==",
        "Bearer x",
    ] {
        let mut post = good.clone();
        post.header("authorization", value);
        let reply = post.send().await;
        is_problem(&reply, 401, "invalid_client", "RFC 6749 section 5.2");
        let challenge = reply.header("www-authenticate");
        assert!(challenge.starts_with("Basic"), "RFC 6749 section 5.2: {value}: {challenge}");
    }
    let mut twice = good.clone();
    twice.set("client_secret", SECRET);
    is_problem(&twice.send().await, 400, "invalid_request", "RFC 6749 section 2.3");
    let none = client.proving(Credential::None);
    is_problem(&none.credentials().send().await, 401, "invalid_client", "RFC 6749 section 5.2");
}

#[tokio::test]
async fn wrong_secrets_are_slowed_down_and_lock_nobody_out() {
    let world = World::with(Options { edit: with_service, ..Options::default() }).await;
    let good = Client::with_secret(&world, "nightly", SECRET).await;
    let wrong = Client::with_secret(&world, "nightly", "guessed").await;
    let mut metadata = Client::public_metadata();
    metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
    let drawn = Client::registered(&world, metadata).await;
    let tokens = drawn.tokens(&mut Browser::new(&world)).await;
    let guess = drawn.proving(Credential::Basic("guessed".to_owned()));

    let start = Instant::now();
    let throttled = async |client: &Client| {
        for _ in 0..60 {
            let reply = client.refresh(&tokens.refresh).send().await;
            if reply.status == 429 {
                is_problem(&reply, 429, "temporarily_unavailable", "wrong secrets");
                assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
                return;
            }
            is_problem(&reply, 401, "invalid_client", "RFC 6749 section 5.2");
        }
        panic!("nothing slows {} down after {:?}", client.id, start.elapsed());
    };
    throttled(&wrong).await;
    throttled(&guess).await;
    // Another network, another client, and a secret that nobody can guess go on.
    Tokens::of(&good.from_elsewhere().credentials().send().await);
    Client::partner(&world).await.tokens(&mut Browser::new(&world)).await;
    let tokens = drawn.refreshed(&tokens.refresh).await;
    drawn.from_elsewhere().refreshed(&tokens.refresh).await;
    // Here the operator's client waits.
    assert_eq!(good.credentials().send().await.status, 429);
    world.pass(Duration::from_mins(2));
    Tokens::of(&good.credentials().send().await);
}
