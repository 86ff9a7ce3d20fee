//! Refresh tokens that come back after they were spent, are bent, or meet a revocation
//! (RFC 9700 section 4.14.2, with the tolerance that the fourth decision record declares).

use std::time::Duration;

use shared::internal::{Event, Receipt, Usage};
use tests::{
    Browser, Client, ENGINES, Judge, Options, RESOURCE, RESOURCE_STRICT, Store, Tokens, World,
};
use tokio::task::JoinSet;

use crate::cases::is_problem;

/// After these a spent token is evidence: the time two processes may be apart, and the time
/// within which an old one is refused without harm.
const GRACE: Duration = Duration::from_secs(121);
const SOFT: Duration = Duration::from_secs(3601);

async fn signed_in(store: Store) -> (World, Client, Tokens) {
    let world = World::with(Options { store, ..Options::default() }).await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    (world, client, tokens)
}

/// Tells auth-server that the access token was used at a gateway.
async fn use_at_gateway(world: &World, tokens: &Tokens) {
    let claims = Judge::of(world).await.access_token(world, &tokens.access, RESOURCE);
    let receipt = Receipt {
        family: serde_json::from_value(claims["fam"].clone()).unwrap(),
        generation: serde_json::from_value(claims["gen"].clone()).unwrap(),
    };
    world.app.report(&Usage { receipts: vec![receipt], ..Usage::default() }).await.unwrap();
}

async fn is_revoked(world: &World, client: &Client, newest: &Tokens) {
    let reply = client.refresh(&newest.refresh).send().await;
    is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1");
    let claims = Judge::of(world).await.claims(&newest.access, RESOURCE);
    let family = claims.map(|claims| claims["fam"].clone()).unwrap_or_default();
    let told = world.revocations().await;
    let told = told.iter().any(|event| {
        matches!(event, Event::Family { family: ended } if serde_json::json!(ended) == family)
    });
    assert!(told, "gateways are not told");
}

#[tokio::test]
async fn a_spent_token_is_refused_once_its_successor_was_used() {
    for store in ENGINES {
        let (world, client, spent) = signed_in(store).await;
        let newest = client.refreshed(&spent.refresh).await;
        use_at_gateway(&world, &newest).await;
        world.pass(GRACE);
        let reply = client.refresh(&spent.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        // It was late, not stolen for certain: the newest token goes on.
        client.refreshed(&newest.refresh).await;
    }
}

#[tokio::test]
async fn a_token_that_was_spent_long_ago_ends_the_grant() {
    for store in ENGINES {
        let (world, client, spent) = signed_in(store).await;
        let newest = client.refreshed(&spent.refresh).await;
        use_at_gateway(&world, &newest).await;
        world.pass(SOFT);
        let reply = client.refresh(&spent.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        is_revoked(&world, &client, &newest).await;
    }
}

#[tokio::test]
async fn an_old_token_from_another_program_elsewhere_ends_the_grant_at_once() {
    for store in ENGINES {
        let (world, client, spent) = signed_in(store).await;
        let second = client.refreshed(&spent.refresh).await;
        let newest = client.refreshed(&second.refresh).await;
        world.pass(GRACE);
        let reply = client.from_elsewhere().refresh(&spent.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        is_revoked(&world, &client, &newest).await;
    }
}

#[tokio::test]
async fn a_contested_grant_forgives_no_lost_answer_any_more() {
    for store in ENGINES {
        let (world, client, first) = signed_in(store).await;
        let second = client.refreshed(&first.refresh).await;
        let third = client.refreshed(&second.refresh).await;
        world.pass(GRACE);
        // Two generations behind: refused, and remembered.
        let reply = client.refresh(&first.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        // One behind and never confirmed, which would be a lost answer in an uncontested grant.
        let reply = client.refresh(&second.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        client.refreshed(&third.refresh).await;
    }
}

#[tokio::test]
async fn a_strict_resource_ends_the_grant_at_the_first_spent_token() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let mut client = Client::public(&world).await;
        client.resource = Some(RESOURCE_STRICT.to_owned());
        let spent = client.tokens(&mut Browser::new(&world)).await;
        let newest = client.refreshed(&spent.refresh).await;
        world.pass(Duration::from_secs(1));
        let reply = client.refresh(&spent.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 9700 section 4.14.2");
        let reply = client.refresh(&newest.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1");
    }
}

#[tokio::test]
async fn another_client_cannot_use_a_token_nor_harm_its_grant() {
    for store in ENGINES {
        let (world, client, spent) = signed_in(store).await;
        let kiosk = Client::kiosk(&world).await;
        let newest = client.refreshed(&spent.refresh).await;
        world.pass(SOFT);
        for token in [&spent, &newest] {
            let reply = kiosk.refresh(&token.refresh).send().await;
            is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 6");
        }
        client.refreshed(&newest.refresh).await;
    }
}

#[tokio::test]
async fn no_changed_character_makes_a_token() {
    let (_world, client, tokens) = signed_in(Store::Embedded).await;
    for at in 0..tokens.refresh.len() {
        let mut bent = tokens.refresh.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        let reply = client.refresh(std::str::from_utf8(&bent).unwrap()).send().await;
        // A token that names a key this server does not hold (yet) is asked to come again.
        let answer = (reply.status, &*reply.error());
        let refused = [(400, "invalid_grant"), (503, "temporarily_unavailable")].contains(&answer);
        assert!(refused, "character {at}: {answer:?}");
    }
    for bent in ["rt_", "rt_AAAA", &tokens.refresh[..100], &format!("{}A", tokens.refresh)] {
        let reply = client.refresh(bent).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
    }
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn an_access_token_or_a_code_is_no_refresh_token() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    for other in [&tokens.access, &code.code, &code.verifier] {
        let reply = client.refresh(other).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
    }
}

#[tokio::test]
async fn a_revocation_among_refreshes_wins() {
    for store in ENGINES {
        let (world, client, mut tokens) = signed_in(store).await;
        let mut posts = JoinSet::new();
        for at in 0..20 {
            let post = if at == 10 {
                client.revocation(&tokens.refresh)
            } else {
                client.refresh(&tokens.refresh)
            };
            posts.spawn(async move { post.send().await });
        }
        for reply in posts.join_all().await {
            match (reply.status, reply.json()["refresh_token"].as_str()) {
                (200, Some(next)) => {
                    tokens.refresh = next.to_owned();
                    tokens.access = reply.json()["access_token"].as_str().unwrap().to_owned();
                }
                (200, None) => {}
                _ => is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1"),
            }
        }
        is_revoked(&world, &client, &tokens).await;
    }
}
