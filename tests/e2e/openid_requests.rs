//! What a client may ask about the sign-in (OpenID Connect Core 3.1.2).

use std::time::Duration;

use tests::{Authorization, Browser, Callback, Choice, Client, Judge, Person, Tokens, World};

use crate::cases::{Redirected, are_redirected};

fn request(client: &Client) -> Authorization {
    client.authorization().with("scope", "openid")
}

async fn id_token(client: &Client, browser: &mut Browser, request: Authorization) -> String {
    let code = client.code_of(browser, request, Choice::default()).await;
    Tokens::of(&client.exchange(&code).send().await).id_token
}

/// What a request that may ask nothing is told.
async fn told(browser: &mut Browser, request: Authorization) -> String {
    let page = browser.open(&request.with("prompt", "none").url()).await;
    Callback::of(&page.reply).value("error").to_owned()
}

#[tokio::test]
async fn parameters_that_mean_nothing_are_told_to_the_client() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    are_redirected(
        &world,
        &client,
        &[
            Redirected {
                requirement: "OpenID Connect Core 3.1.2.1",
                deviation: |r| r.set("max_age", "soon"),
                error: "invalid_request",
            },
            Redirected {
                requirement: "OpenID Connect Core 3.1.2.1",
                deviation: |r| r.set("nonce", &"n".repeat(513)),
                error: "invalid_request",
            },
            Redirected {
                requirement: "OpenID Connect Core 3.1.2.1",
                deviation: |r| r.set("prompt", "none consent"),
                error: "invalid_request",
            },
            Redirected {
                requirement: "OpenID Connect Core 3.1.2.6",
                deviation: |r| r.set("prompt", "none"),
                error: "login_required",
            },
        ],
    )
    .await;
}

/// Nothing is remembered for a redirect that any program on the machine could listen at.
#[tokio::test]
async fn whoever_may_ask_nothing_is_told_what_is_missing() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    assert_eq!(told(&mut browser, request(&client)).await, "login_required");
    id_token(&client, &mut browser, request(&client)).await;
    assert_eq!(told(&mut browser, request(&client)).await, "consent_required");
}

#[tokio::test]
async fn what_is_far_too_long_is_a_page_and_never_a_fault() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    for name in ["nonce", "login_hint", "id_token_hint", "max_age"] {
        let url = request(&client).with(name, &"n".repeat(40_000)).url();
        let reply = world.http.get(&url).await;
        assert!(matches!(reply.status, 400 | 414 | 431), "{name}: {}", reply.status);
    }
}

/// The longest nonce that is taken comes back, whatever it consists of.
#[tokio::test]
async fn the_longest_nonce_comes_back() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    let judge = Judge::of(&world).await;
    for nonce in ["\"".repeat(512), "\u{e9}".repeat(256), "n".repeat(512)] {
        let token = id_token(&client, &mut browser, request(&client).with("nonce", &nonce)).await;
        assert_eq!(judge.claims(&token, &client.id).unwrap()["nonce"], nonce);
    }
}

#[tokio::test]
async fn an_old_sign_in_does_not_count_where_max_age_says_so() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    id_token(&client, &mut browser, request(&client)).await;
    let signed_in = world.clock.now().secs();
    world.pass(Duration::from_mins(10));
    let limited = request(&client).with("max_age", "300");
    assert_eq!(told(&mut browser, limited.clone()).await, "login_required");
    assert!(browser.visit(&limited.url()).await.asks_to_sign_in());
    let wide = request(&client).with("max_age", "600");
    assert!(browser.visit(&wide.url()).await.asks_for_consent());
    let judge = Judge::of(&world).await;
    let auth_time = |token: &str| judge.claims(token, &client.id).unwrap()["auth_time"].clone();
    let old = id_token(&client, &mut browser, wide).await;
    assert_eq!(auth_time(&old), signed_in);
    let fresh = id_token(&client, &mut browser, limited).await;
    assert_eq!(auth_time(&fresh), world.clock.now().secs());
}

#[tokio::test]
async fn a_consent_page_from_before_the_limit_is_not_enough() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    browser.reach_consent(&request(&client).url()).await;
    world.pass(Duration::from_mins(10));
    let page = browser.visit(&request(&client).with("max_age", "60").url()).await;
    // The session that is older than the limit cannot answer by going to the next page itself.
    let sealed = page.form().fields().value("request").unwrap().to_owned();
    let query = tests::Parameters::of([("request", &*sealed)]).encode();
    let next = browser.visit(&world.url(&format!("/consent?{query}"))).await;
    assert!(next.asks_to_sign_in(), "{}", next.reply.text);
}

#[tokio::test]
async fn prompt_login_asks_again_and_the_id_token_says_when() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    id_token(&client, &mut browser, request(&client)).await;
    world.pass(Duration::from_mins(10));
    let again = request(&client).with("prompt", "login");
    assert!(browser.visit(&again.url()).await.asks_to_sign_in());
    let token = id_token(&client, &mut browser, again).await;
    let claims = Judge::of(&world).await.claims(&token, &client.id).unwrap();
    assert_eq!(claims["auth_time"], world.clock.now().secs());
}

#[tokio::test]
async fn the_name_that_a_client_hints_at_is_filled_in_as_text() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let hint = "\"><script>alert(1)</script>";
    let page = Browser::new(&world).visit(&request(&client).with("login_hint", hint).url()).await;
    assert_eq!(page.form().fields().value("username"), Some(hint));
    assert!(!page.reply.text.contains("<script>"), "{}", page.reply.text);
}

#[tokio::test]
async fn nobody_but_the_hinted_person_answers() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut demo = Browser::new(&world);
    let hint = id_token(&client, &mut demo, request(&client)).await;
    world.pass(Duration::from_hours(1));
    let hinted = request(&client).with("id_token_hint", &hint);
    // An expired ID token still names its person.
    assert!(demo.visit(&hinted.url()).await.asks_for_consent());
    let mut second = Browser::of(&world, Person::second());
    second.reach_consent(&request(&client).url()).await;
    assert_eq!(told(&mut second, hinted.clone()).await, "login_required");
    let page = second.visit(&hinted.url()).await;
    assert!(page.asks_to_sign_in());
    let answer = second.sign_in(&page).await;
    assert_eq!(Callback::of(&answer.reply).value("error"), "login_required");
    // What cannot be read, or was told to another client, names nobody.
    let other = Client::kiosk(&world).await;
    for unknown in ["nonsense", &hint] {
        let request = request(&other).with("id_token_hint", unknown).with("prompt", "none");
        let page = demo.open(&request.url()).await;
        assert!(
            page.reply.status == 303 && page.reply.header("location").contains("login_required")
        );
    }
}

#[tokio::test]
async fn the_page_says_what_a_sign_in_tells_and_asks_for_no_workspace() {
    let world = World::start().await;
    let client = Client::public(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    let asked = client.authorization().with("scope", "openid profile email");
    let page = browser.reach_consent(&asked.url()).await;
    for words in ["Know who you are", "See your name", "See your e-mail address", "your account"] {
        assert!(page.reply.text.contains(words), "{words}: {}", page.reply.text);
    }
    assert_eq!(page.form().offered("workspace"), Vec::<&str>::new());
    let none = Choice { scopes: Some(&["profile"]), ..Choice::default() };
    let again = browser.decide(&page, none).await;
    assert_eq!(again.reply.status, 400);
    assert!(again.reply.text.contains("choose at least one"), "{}", again.reply.text);
}
