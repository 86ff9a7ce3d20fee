//! Introspection (RFC 7662) and its signed answer (RFC 9701).

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    Browser, Choice, Client, ENGINES, Judge, Options, RESOURCE, RESOURCE_STRICT, Tokens, World,
};

use crate::cases::{Refused, is_problem, is_refused};

async fn ask(resource_server: &Client, token: &str) -> Value {
    let reply = resource_server.introspection(token).send().await.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/json", "RFC 7662 section 2.2");
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json()
}

/// RFC 7662 section 2.2: about what is not active, nothing else is told.
async fn is_inactive(resource_server: &Client, token: &str, about: &str) {
    assert_eq!(ask(resource_server, token).await, json!({ "active": false }), "{about}");
}

#[tokio::test]
async fn a_resource_server_learns_what_its_token_says() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let resource_server = Client::resource_server(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
        let told = ask(&resource_server, &tokens.access).await;
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));
        for member in ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "workspaces"]
        {
            assert_ne!(told[member], Value::Null, "{member}");
            assert_eq!(told[member], claims[member], "{member}");
        }
    }
}

#[tokio::test]
async fn a_resource_server_learns_nothing_of_other_audiences() {
    let world = World::start().await;
    let resource_server = Client::resource_server(&world).await;
    let mut browser = Browser::new(&world);
    let mut client = Client::public(&world).await;
    client.resource = Some(RESOURCE_STRICT.to_owned());
    let foreign = client.tokens(&mut browser).await;
    is_inactive(&resource_server, &foreign.access, "another resource").await;
    let client = client.signing_in();
    let request = client.authorization().with("scope", "openid");
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let own = Tokens::of(&client.exchange(&code).send().await);
    is_inactive(&resource_server, &own.access, "the issuer").await;
    is_inactive(&resource_server, &own.id_token, "an ID token").await;
}

#[tokio::test]
async fn only_an_access_token_in_force_is_active() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let resource_server = Client::resource_server(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        is_inactive(&resource_server, &tokens.refresh, "a refresh token").await;
        for junk in ["x", "a.b.c", "rt_nonsense", "eyJhbGciOiJub25lIn0.e30."] {
            is_inactive(&resource_server, junk, junk).await;
        }
        let mut changed = tokens.access.clone();
        changed.replace_range(changed.len() - 8.., "AAAAAAAA");
        is_inactive(&resource_server, &changed, "a changed signature").await;
        world.pass(Duration::from_secs(299));
        assert_eq!(ask(&resource_server, &tokens.access).await["active"], true);
        world.pass(Duration::from_secs(1));
        is_inactive(&resource_server, &tokens.access, "expired").await;

        let alone = client.tokens(&mut browser).await;
        client.revoke(&alone.access).await;
        is_inactive(&resource_server, &alone.access, "revoked alone").await;
        let next = client.refreshed(&alone.refresh).await;
        assert_eq!(ask(&resource_server, &next.access).await["active"], true);
        client.revoke(&next.refresh).await;
        is_inactive(&resource_server, &next.access, "its grant revoked").await;
    }
}

#[tokio::test]
async fn a_token_of_somebody_who_left_is_not_active() {
    let mut world = World::start().await;
    let client = Client::public(&world).await;
    let resource_server = Client::resource_server(&world).await;
    let mut browser = Browser::new(&world);
    let member = client.tokens(&mut browser).await;
    let choice = Choice { workspaces: Some(&["ws_acme"]), ..Choice::default() };
    let code = client.code_of(&mut browser, client.authorization(), choice).await;
    let narrow = Tokens::of(&client.exchange(&code).send().await);
    world
        .restart(|text| text.replace(r#"{ workspace = "ws_globex", role = "member" },"#, ""))
        .await;
    is_inactive(&resource_server, &member.access, "it names the workspace").await;
    assert_eq!(ask(&resource_server, &narrow.access).await["active"], true);
    world.restart(|text| text.replace("usr_demo", "usr_other")).await;
    is_inactive(&resource_server, &narrow.access, "the account is gone").await;
}

#[tokio::test]
async fn whoever_asks_must_prove_who_they_are() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let good = Client::resource_server(&world).await.introspection(&tokens.access);
    assert_eq!(good.send().await.json()["active"], true);
    for case in [
        Refused {
            requirement: "RFC 6749 section 3.2.1",
            deviation: |r| _ = r.headers.remove("authorization"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.basic("resource-server", "wrong"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.header("authorization", "Bearer a-gateways-credential"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 7662 section 2.1",
            deviation: |r| {
                _ = r.headers.remove("authorization");
                r.set("client_id", "kiosk");
            },
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 7662 section 2.1",
            deviation: |r| r.remove("token"),
            status: 400,
            error: "invalid_request",
        },
    ] {
        is_refused(&good, &case).await;
    }
    // A client that is no resource server learns nothing, even of its own token.
    let partner = Client::partner(&world).await;
    let own = partner.tokens(&mut Browser::new(&world)).await;
    for token in [&own.access, &tokens.access] {
        is_inactive(&partner, token, "no resource server").await;
    }
    let url = partner.endpoint("introspection_endpoint");
    is_problem(&world.http.get(url).await, 405, "invalid_request", "RFC 7662 section 2.1");
}

#[tokio::test]
async fn a_signed_answer_is_for_whoever_asked() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let resource_server = Client::resource_server(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let plain = ask(&resource_server, &tokens.access).await;
    for (token, told) in [(&tokens.access, plain), (&tokens.refresh, json!({ "active": false }))] {
        let mut post = resource_server.introspection(token);
        post.header("accept", "text/plain;q=0.1, application/token-introspection+jwt");
        let reply = post.send().await.expect_status(200);
        let media_type = "application/token-introspection+jwt";
        assert_eq!(reply.header("content-type"), media_type, "RFC 9701 section 5");
        let header = jsonwebtoken_header(&reply.text);
        assert_eq!(header["typ"], "token-introspection+jwt", "RFC 9701 section 5");
        let mut claims = Judge::of(&world).await.answer(&reply.text, &resource_server.id);
        assert_eq!(claims["token_introspection"], told, "RFC 9701 section 5");
        claims.as_object_mut().unwrap().remove("token_introspection");
        let now = world.clock.now().secs();
        let rest = json!({ "iss": world.issuer, "aud": resource_server.id, "iat": now });
        assert_eq!(claims, rest, "nothing makes it look like another token");
    }
}

/// The honest client lost the answer to its refresh and comes back with the old token after the
/// grace: refused once the resource server has seen the new one.
#[tokio::test]
async fn a_question_about_a_token_proves_that_it_arrived() {
    for asks in [false, true] {
        let world = World::start().await;
        let client = Client::public(&world).await;
        let resource_server = Client::resource_server(&world).await;
        let first = client.tokens(&mut Browser::new(&world)).await;
        let next = client.refreshed(&first.refresh).await;
        if asks {
            assert_eq!(ask(&resource_server, &next.access).await["active"], true);
        }
        world.pass(Duration::from_mins(4));
        let again = client.refresh(&first.refresh).send().await;
        assert_eq!(again.status, if asks { 400 } else { 200 }, "{}", again.text);
    }
}

fn jsonwebtoken_header(token: &str) -> Value {
    serde_json::to_value(jsonwebtoken::decode_header(token).unwrap()).unwrap()
}
