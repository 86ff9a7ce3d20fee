//! The token endpoint and the exchange of codes (RFC 6749 sections 2.3, 3.2, 4.1.3 and 5).

use std::{collections::BTreeSet, time::Duration};

use reqwest::{Method, header::HeaderMap};
use serde_json::json;
use tests::{Browser, Client, Credential, ENGINES, Options, Tokens, World};
use tokio::task::JoinSet;

use crate::cases::{Refused, is_problem, is_refused};

#[tokio::test]
async fn a_good_exchange_gives_tokens_that_no_cache_keeps() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let reply = client.exchange(&code).send().await.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store", "RFC 6749 section 5.1");
    assert_eq!(reply.header("pragma"), "no-cache");
    let body = reply.json();
    let members: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["access_token", "expires_in", "refresh_token", "scope", "token_type"];
    assert_eq!(members, BTreeSet::from(expected));
    let tokens = Tokens::of(&reply);
    assert_eq!((tokens.expires_in, &*tokens.scope), (300, "contacts:read contacts:write"));
}

const DEVIATIONS: [Refused; 14] = [
    Refused {
        requirement: "RFC 6749 section 5.2",
        deviation: |r| r.remove("grant_type"),
        status: 400,
        error: "invalid_request",
    },
    Refused {
        requirement: "RFC 6749 section 5.2",
        deviation: |r| r.set("grant_type", "password"),
        status: 400,
        error: "unsupported_grant_type",
    },
    Refused {
        requirement: "RFC 6749 section 5.2",
        deviation: |r| r.set("grant_type", "password"),
        status: 400,
        error: "unsupported_grant_type",
    },
    Refused {
        requirement: "RFC 6749 section 3.2.1",
        deviation: |r| r.remove("client_id"),
        status: 401,
        error: "invalid_client",
    },
    Refused {
        requirement: "RFC 6749 section 5.2",
        deviation: |r| r.set("client_id", "nobody"),
        status: 401,
        error: "invalid_client",
    },
    Refused {
        requirement: "RFC 6749 section 5.2",
        deviation: |r| r.set("client_secret", "a secret it does not have"),
        status: 401,
        error: "invalid_client",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.3",
        deviation: |r| r.remove("code"),
        status: 400,
        error: "invalid_request",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.2",
        deviation: |r| r.set("code", "ac_AAAAAAAAAAAAAAAAAAAAAA.nonsense"),
        status: 400,
        error: "invalid_grant",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.2",
        deviation: |r| {
            let code = r.parameters.value("code").unwrap().to_owned();
            r.set("code", &format!("{code}A"));
        },
        status: 400,
        error: "invalid_grant",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.3",
        deviation: |r| r.set("redirect_uri", "http://127.0.0.1:33419/callback"),
        status: 400,
        error: "invalid_grant",
    },
    Refused {
        requirement: "RFC 6749 section 3.2",
        deviation: |r| r.parameters.add("grant_type", "authorization_code"),
        status: 400,
        error: "invalid_request",
    },
    Refused {
        requirement: "RFC 6749 section 3.2",
        deviation: |r| r.set("code_verifier", &"v".repeat(40_000)),
        status: 400,
        error: "invalid_request",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.3",
        deviation: |r| {
            r.header("content-type", "application/json");
            r.raw_body = Some(json!({ "grant_type": "authorization_code" }).to_string());
        },
        status: 400,
        error: "invalid_request",
    },
    Refused {
        requirement: "RFC 6749 section 4.1.3",
        deviation: |r| {
            r.header("content-type", "application/json, application/x-www-form-urlencoded");
        },
        status: 400,
        error: "invalid_request",
    },
];

#[tokio::test]
async fn a_refused_exchange_says_why_and_spends_nothing() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let good = client.exchange(&code);
    for case in DEVIATIONS {
        is_refused(&good, &case).await;
    }
    Tokens::of(&good.send().await);
}

#[tokio::test]
async fn a_code_of_another_client_is_refused_and_stays_good() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let kiosk = Client::kiosk(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let mut post = kiosk.exchange(&code);
    post.set("redirect_uri", &client.redirect_uri);
    is_problem(&post.send().await, 400, "invalid_grant", "RFC 6749 section 4.1.3");
    Tokens::of(&client.exchange(&code).send().await);
}

#[tokio::test]
async fn a_code_is_exchanged_once() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let code = client.code(&mut Browser::new(&world)).await;
        let mut posts = JoinSet::new();
        for _ in 0..20 {
            let post = client.exchange(&code);
            posts.spawn(async move { post.send().await });
        }
        let replies = posts.join_all().await;
        let good = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(good, 1, "RFC 6749 section 4.1.2 on {store:?}");
        for refused in replies.iter().filter(|reply| reply.status != 200) {
            is_problem(refused, 400, "invalid_grant", "RFC 6749 section 4.1.2");
        }
    }
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let (early, late) = (client.code(&mut browser).await, client.code(&mut browser).await);
        world.pass(Duration::from_secs(59));
        Tokens::of(&client.exchange(&early).send().await);
        world.pass(Duration::from_secs(1));
        let reply = client.exchange(&late).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 4.1.2");
    }
}

#[tokio::test]
async fn the_redirect_uri_may_be_left_out_because_pkce_binds_the_code() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let mut post = client.exchange(&code);
    post.remove("redirect_uri");
    Tokens::of(&post.send().await);
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let mut post = client.exchange(&code);
    post.set("audience", "https://elsewhere.example");
    post.set("scope", "");
    Tokens::of(&post.send().await);
}

#[tokio::test]
async fn a_client_with_a_secret_shows_it() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let good = client.exchange(&code);
    for case in [
        Refused {
            requirement: "RFC 6749 section 3.2.1",
            deviation: |r| _ = r.headers.remove("authorization"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| {
                r.headers.remove("authorization");
                r.set("client_id", "partner");
            },
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
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.basic("partner", ""),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 2.3",
            deviation: |r| r.set("client_secret", "twice"),
            status: 400,
            error: "invalid_request",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.set("client_id", "kiosk"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.header("authorization", "Basic not base64"),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            // `partner` without a colon.
            deviation: |r| r.header("authorization", "Basic cGFydG5lcg=="),
            status: 401,
            error: "invalid_client",
        },
        Refused {
            requirement: "RFC 6749 section 5.2",
            deviation: |r| r.header("authorization", "Bearer abc"),
            status: 401,
            error: "invalid_client",
        },
    ] {
        is_refused(&good, &case).await;
    }
    Tokens::of(&good.send().await);
}

#[tokio::test]
async fn who_used_the_authorization_header_is_challenged() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    let mut post = client.refresh("anything");
    post.basic("partner", "wrong");
    let reply = post.send().await.expect_status(401);
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with("Basic realm="), "RFC 6749 section 5.2: {challenge}");
}

#[tokio::test]
async fn a_secret_may_be_shown_either_way() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    for method in ["client_secret_basic", "client_secret_post"] {
        let mut metadata = Client::public_metadata();
        metadata["token_endpoint_auth_method"] = json!(method);
        let client = Client::registered(&world, metadata).await;
        let (Credential::Basic(secret) | Credential::Post(secret)) = client.credential.clone()
        else {
            panic!("{method} came without a secret")
        };
        for credential in [Credential::Basic(secret.clone()), Credential::Post(secret.clone())] {
            let mut client = client.clone();
            client.credential = credential;
            let code = client.code(&mut browser).await;
            Tokens::of(&client.exchange(&code).send().await);
        }
    }
}

#[tokio::test]
async fn a_public_client_may_send_its_id_as_basic_without_a_secret() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let mut post = client.exchange(&code);
    post.remove("client_id");
    post.basic(&client.id, "");
    Tokens::of(&post.send().await);
}

#[tokio::test]
async fn a_code_is_worth_nothing_when_its_person_has_left() {
    let mut world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    world.restart(|text| text.replace("usr_demo", "usr_somebody_else")).await;
    let reply = client.exchange(&code).send().await;
    is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
}

#[tokio::test]
async fn tokens_are_posted_for() {
    let world = World::start().await;
    let url = world.url("/token?grant_type=authorization_code");
    let reply = world.http.send(Method::GET, &url, HeaderMap::new(), String::new()).await;
    assert_eq!(reply.status, 405, "RFC 6749 section 3.2");
    assert_eq!(reply.error(), "invalid_request");
}
