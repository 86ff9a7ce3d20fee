//! The authorization endpoint (RFC 6749 sections 3.1 and 4.1).

use std::time::Duration;

use serde_json::json;
use tests::{Browser, Callback, Choice, Client, LOOPBACK, Person, Tokens, World};

use crate::cases::{Redirected, Shown, are_redirected, are_shown, is_error_page};

#[tokio::test]
async fn a_good_request_ends_in_a_code() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let url = client.authorization().url();
    let answer = Browser::new(&world).answer(&url, Choice::default()).await;
    assert!(answer.url.as_str().starts_with(&format!("{LOOPBACK}?")));
    let names: Vec<&str> = answer.parameters.keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "iss", "state"]);
    assert_eq!(answer.value("state"), "a state of the client");
}

#[tokio::test]
async fn what_the_client_did_wrong_goes_back_to_it() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let cases = [
        Redirected {
            requirement: "RFC 6749 section 3.1.1",
            deviation: |r| r.remove("response_type"),
            error: "unsupported_response_type",
        },
        Redirected {
            requirement: "RFC 6749 section 3.1.1",
            deviation: |r| r.set("response_type", "token"),
            error: "unsupported_response_type",
        },
        Redirected {
            requirement: "RFC 6749 section 3.1.1",
            deviation: |r| r.set("response_type", "code token"),
            error: "unsupported_response_type",
        },
        Redirected {
            requirement: "RFC 6749 section 3.1.1",
            deviation: |r| r.set("response_type", "id_token"),
            error: "unsupported_response_type",
        },
        Redirected {
            requirement: "RFC 6749 section 4.1.2",
            deviation: |r| r.set("response_mode", "fragment"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 6749 section 3.3",
            deviation: |r| r.set("scope", "contacts:read \"all\""),
            error: "invalid_scope",
        },
        Redirected {
            requirement: "RFC 6749 section 4.1.2.1",
            deviation: |r| r.set("scope", "no:such"),
            error: "invalid_scope",
        },
        Redirected {
            requirement: "OpenID Connect Core 3.1.2.1",
            deviation: |r| r.set("prompt", "none login"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "OpenID Connect Core 3.1.2.6",
            deviation: |r| r.set("prompt", "none"),
            error: "login_required",
        },
    ];
    are_redirected(&world, &client, &cases).await;
}

#[tokio::test]
async fn what_cannot_be_trusted_is_answered_by_a_page() {
    let world = World::start().await;
    let client = Client::kiosk(&world).await;
    let cases = [
        Shown {
            requirement: "RFC 6749 section 4.1.1",
            deviation: |r| r.remove("client_id"),
            error: "invalid_request",
        },
        Shown {
            requirement: "RFC 6749 section 3.1.2.4",
            deviation: |r| r.set("client_id", "nobody"),
            error: "invalid_client",
        },
        Shown {
            requirement: "RFC 6749 section 3.1.2.4",
            deviation: |r| r.set("client_id", "no\u{e9}"),
            error: "invalid_client",
        },
        Shown {
            requirement: "RFC 6749 section 3.1",
            deviation: |r| r.add("state", "another"),
            error: "invalid_request",
        },
        Shown {
            requirement: "RFC 6749 section 3.1",
            deviation: |r| r.add("client_id", "kiosk"),
            error: "invalid_request",
        },
        Shown {
            requirement: "RFC 6749 section 3.1",
            deviation: |r| r.set("nonce", &"s".repeat(25_000)),
            error: "invalid_request",
        },
        Shown {
            requirement: "RFC 6749 section 3.1.2.3",
            deviation: |r| r.remove("redirect_uri"),
            error: "invalid_request",
        },
        Shown {
            requirement: "RFC 6749 section 3.1.2.4",
            deviation: |r| r.set("redirect_uri", "https://evil.example/callback"),
            error: "invalid_request",
        },
    ];
    are_shown(&world, &client, &cases).await;
}

/// RFC 6749 section 3.1.2.3 as RFC 9700 section 2.1 tightens it: strings are compared.
#[tokio::test]
async fn a_redirect_uri_is_compared_as_a_string() {
    let world = World::start().await;
    let client = Client::kiosk(&world).await;
    let mut browser = Browser::new(&world);
    for uri in [
        "https://kiosk.example/callback/",
        "https://kiosk.example/callback/../evil",
        "https://kiosk.example/callback%2f..%2fevil",
        "https://kiosk.example/callback/evil",
        "https://kiosk.example/callback?x=1",
        "https://kiosk.example/callback#x",
        "https://kiosk.example/callback%23x",
        "https://KIOSK.example/callback",
        "HTTPS://kiosk.example/callback",
        "https://kiosk.example:443/callback",
        "https://kiosk.example:8443/callback",
        "https://kiosk.example@evil.example/callback",
        "https://user@kiosk.example/callback",
        "https://kiosk.example.evil.example/callback",
        "http://kiosk.example/callback",
        "https://kiosk.example/CALLBACK",
        " https://kiosk.example/callback",
        "https://kiosk.example\\@evil.example/callback",
        "//kiosk.example/callback",
        "/callback",
        "javascript:alert(1)//https://kiosk.example/callback",
    ] {
        let request = client.authorization().with("redirect_uri", uri);
        is_error_page(&browser.open(&request.url()).await.reply, uri);
    }
    let other = client.authorization().with("redirect_uri", "https://kiosk.example/other");
    assert!(browser.open(&other.url()).await.asks_to_sign_in());
}

#[tokio::test]
async fn the_only_registered_redirect_uri_may_be_left_out() {
    let world = World::start().await;
    let metadata = json!({
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "none",
    });
    let client = Client::registered(&world, metadata).await;
    let mut request = client.authorization();
    request.parameters.remove("redirect_uri");
    let answer = Browser::new(&world).answer(&request.url(), Choice::default()).await;
    assert!(answer.url.as_str().starts_with("https://app.example/callback?"));
}

#[tokio::test]
async fn a_loopback_redirect_uri_names_its_port_each_time() {
    let world = World::start().await;
    let metadata = json!({
        "redirect_uris": ["http://127.0.0.1:5000/callback"],
        "token_endpoint_auth_method": "none",
    });
    let client = Client::registered(&world, metadata).await;
    let mut request = client.authorization();
    request.parameters.remove("redirect_uri");
    let page = Browser::new(&world).visit(&request.url()).await;
    assert_eq!(page.reply.status, 400, "RFC 8252 section 7.3");
}

#[tokio::test]
async fn a_person_who_says_no_is_believed() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let url = client.authorization().url();
    let choice = Choice { deny: true, ..Choice::default() };
    let told = Browser::new(&world).answer(&url, choice).await;
    assert_eq!(told.value("error"), "access_denied", "RFC 6749 section 4.1.2.1");
    assert_eq!(told.value("state"), "a state of the client");
    assert_eq!(told.value("code"), "");
}

#[tokio::test]
async fn the_state_comes_back_as_it_was_sent() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    for state in
        ["a b+c%20d", "<script>alert(1)</script>", "&iss=https://evil.example", "\u{1f511}="]
    {
        let url = client.authorization().with("state", state).url();
        let answer = browser.answer(&url, Choice::default()).await;
        assert_eq!(answer.value("state"), state);
        assert_eq!(answer.value("iss"), world.issuer);
    }
    let mut request = client.authorization();
    request.parameters.remove("state");
    let answer = browser.answer(&request.url(), Choice::default()).await;
    assert!(!answer.parameters.contains_key("state"));
}

#[tokio::test]
async fn unknown_parameters_are_ignored_and_empty_ones_count_as_missing() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut request = client.authorization().with("scope", "").with("prompt", "");
    request.parameters.add("an_extension_of_2040", "yes");
    let answer = Browser::new(&world).answer(&request.url(), Choice::default()).await;
    assert!(!answer.value("code").is_empty(), "RFC 6749 section 3.1");
}

#[tokio::test]
async fn the_token_has_the_scope_that_was_asked_for_and_exists() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    for (asked, granted) in [
        ("", "contacts:read contacts:write"),
        ("contacts:read", "contacts:read"),
        ("contacts:delete contacts:read no:such", "contacts:delete contacts:read"),
        ("offline_access", "contacts:read contacts:write"),
        ("offline_access contacts:read", "contacts:read"),
    ] {
        let request = client.authorization().with("scope", asked);
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        assert_eq!(tokens.scope, granted, "RFC 6749 section 3.3, asked for {asked:?}");
    }
}

#[tokio::test]
async fn a_person_can_give_less_than_was_asked_for_and_never_more() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let request = client.authorization().with("scope", "contacts:read contacts:write");
    let page = browser.reach_consent(&request.url()).await;
    let form = page.form();
    assert_eq!(form.offered("scope"), ["contacts:read", "contacts:write"]);
    assert_eq!(form.offered("workspace"), ["ws_acme", "ws_globex"]);
    let mut fields = form.ticked("scope", &["contacts:read"]).pressed("decision", "approve");
    fields.add("scope", "contacts:delete");
    let answer = Callback::of(&browser.submit(&page.form(), &fields).await.reply);
    let code = tests::Code { code: answer.value("code").to_owned(), verifier: request.verifier };
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(tokens.scope, "contacts:read");
}

#[tokio::test]
async fn an_empty_choice_is_asked_again() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&client.authorization().url()).await;
    for choice in [
        Choice { scopes: Some(&[]), ..Choice::default() },
        Choice { workspaces: Some(&[]), ..Choice::default() },
    ] {
        let again = browser.decide(&page, choice).await;
        assert_eq!(again.reply.status, 400);
        assert!(again.asks_for_consent());
    }
    // The page is not used up by that.
    let answer = browser.decide(&page, Choice::default()).await;
    assert_ne!(Callback::of(&answer.reply).value("code"), "");
}

#[tokio::test]
async fn nobody_is_given_a_workspace_of_others() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&client.authorization().url()).await;
    let mut fields = page.form().pressed("decision", "approve");
    fields.add("workspace", "ws_initech");
    let again = browser.submit(&page.form(), &fields).await;
    assert_eq!(again.reply.status, 400);
    assert!(again.asks_for_consent());
}

#[tokio::test]
async fn prompt_decides_what_a_signed_in_person_is_asked() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    client.code(&mut browser).await;
    let mut ask = async |prompt: &str| {
        let request = client.authorization().with("prompt", prompt);
        browser.open(&request.url()).await
    };
    assert!(ask("consent").await.asks_for_consent());
    assert!(ask("login").await.asks_to_sign_in());
    assert!(ask("select_account").await.asks_to_sign_in());
    let none = Callback::of(&ask("none").await.reply);
    assert_eq!(none.value("error"), "consent_required", "OpenID Connect Core 3.1.2.6");
}

#[tokio::test]
async fn a_signed_in_person_signs_in_again_when_the_session_is_over() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    client.code(&mut browser).await;
    let url = client.authorization().url();
    world.pass(Duration::from_hours(11));
    assert!(browser.open(&url).await.asks_for_consent());
    world.pass(Duration::from_hours(1));
    assert!(browser.open(&url).await.asks_to_sign_in());
}

#[tokio::test]
async fn asking_twice_disturbs_nothing() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::of(&world, Person::second());
    let first = browser.reach_consent(&client.authorization().url()).await;
    let second = browser.reach_consent(&client.authorization().url()).await;
    for page in [second, first] {
        let answer = browser.decide(&page, Choice::default()).await;
        assert_ne!(Callback::of(&answer.reply).value("code"), "");
    }
}
