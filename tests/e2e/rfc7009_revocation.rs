//! Revocation (RFC 7009 section 2).

use std::time::Duration;

use serde_json::json;
use shared::internal::Event;
use tests::{Browser, Choice, Client, ENGINES, Judge, Options, RESOURCE, Tokens, World};

use crate::cases::{Refused, is_problem, is_refused};

#[tokio::test]
async fn a_revoked_refresh_token_ends_its_grant() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
        client.revoke(&tokens.refresh).await;
        let reply = client.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1");
        let told = world.revocations().await;
        let Some(Event::Family { family }) = told.first() else { panic!("{told:?}") };
        assert_eq!(json!(family), claims["fam"], "RFC 7009 section 2.1");
    }
}

#[tokio::test]
async fn a_spent_refresh_token_revokes_its_grant_too() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let spent = client.tokens(&mut Browser::new(&world)).await;
    let newest = client.refreshed(&spent.refresh).await;
    client.revoke(&spent.refresh).await;
    let reply = client.refresh(&newest.refresh).send().await;
    is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1");
}

#[tokio::test]
async fn a_revoked_access_token_ends_alone() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
        client.revoke(&tokens.access).await;
        let told = world.revocations().await;
        let [Event::Token { token }] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(json!(token), claims["jti"]);
        client.refreshed(&tokens.refresh).await;
    }
}

#[tokio::test]
async fn other_grants_of_the_same_client_go_on() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let laptop = client.tokens(&mut Browser::new(&world)).await;
    let desktop = client.tokens(&mut Browser::new(&world)).await;
    client.revoke(&laptop.refresh).await;
    client.refreshed(&desktop.refresh).await;
}

#[tokio::test]
async fn what_is_no_token_is_answered_like_one() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    for token in ["nonsense", "rt_nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let reply = client.revocation(token).send().await;
        assert_eq!(reply.status, 200, "RFC 7009 section 2.2: {token}");
    }
    assert!(world.revocations().await.is_empty());
}

/// RFC 7009 section 2.1 would name the wrong client; nothing is told here, so that nobody learns
/// whether a token that was found is good.
#[tokio::test]
async fn the_token_of_another_client_is_left_alone() {
    let world = World::start().await;
    let (client, kiosk) = (Client::public(&world).await, Client::kiosk(&world).await);
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    for token in [&tokens.access, &tokens.refresh] {
        kiosk.revoke(token).await;
    }
    assert!(world.revocations().await.is_empty());
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn a_refused_revocation_revokes_nothing() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let good = client.revocation(&tokens.refresh);
    for case in [
        Refused {
            requirement: "RFC 6749 section 3.2.1",
            deviation: |r| _ = r.headers.remove("authorization"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.basic("partner", "wrong"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 7009 section 2.1",
            deviation: |r| r.remove("token"),
            status: 400,
            error: "invalid_request",
        },
    ] {
        is_refused(&good, &case).await;
    }
    client.refreshed(&tokens.refresh).await;
    assert_eq!(good.send().await.status, 200);
}

#[tokio::test]
async fn an_id_token_cannot_be_revoked_and_the_answer_says_so() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let request = client.authorization().with("scope", "openid");
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let reply = client.revocation(&tokens.id_token).send().await;
    is_problem(&reply, 400, "unsupported_token_type", "RFC 7009 section 2.2.1");
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn revoking_twice_and_with_any_hint_is_harmless() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    for hint in ["access_token", "refresh_token", "no_such_kind"] {
        let mut post = client.revocation(&tokens.refresh);
        post.set("token_type_hint", hint);
        assert_eq!(post.send().await.status, 200, "{hint}");
    }
    assert_eq!(world.revocations().await.len(), 1);
}

#[tokio::test]
async fn gateways_are_told_for_longer_than_any_access_token_lives() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens: Tokens = client.tokens(&mut Browser::new(&world)).await;
    client.revoke(&tokens.refresh).await;
    world.pass(Duration::from_hours(1));
    world.app.sweep().await.unwrap();
    assert_eq!(world.revocations().await.len(), 1);
    world.pass(Duration::from_hours(2));
    world.app.sweep().await.unwrap();
    assert!(world.revocations().await.is_empty());
}
