//! Consent that is remembered, and when it is asked for all the same (OpenID Connect Core
//! 3.1.2.1 and 3.1.2.4, RFC 8252 section 8.6).

use std::time::Duration;

use serde_json::json;
use shared::ids::UserId;
use tests::{
    Authorization, Browser, Callback, Choice, Client, ENGINES, Options, Page, RESOURCE_STRICT,
    Store, Tokens, World,
};

use crate::cases::is_error_page;

/// Clients with these redirect URIs registered themselves.
async fn registered(world: &World, redirect_uri: &str) -> Client {
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!([redirect_uri]);
    Client::registered(world, metadata).await
}

async fn hosted(world: &World) -> Client {
    registered(world, "https://app.example/callback").await
}

/// A code that came without a page.
fn code(page: &Page) -> String {
    let callback = Callback::of(&page.reply);
    assert_ne!(callback.value("code"), "", "{}", callback.url);
    callback.value("code").to_owned()
}

async fn tokens(client: &Client, request: Authorization, code: String) -> Tokens {
    let code = tests::Code { code, verifier: request.verifier };
    Tokens::of(&client.exchange(&code).send().await)
}

#[tokio::test]
async fn who_has_agreed_is_not_asked_the_same_again() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = hosted(&world).await;
        let mut browser = Browser::new(&world);
        let request = || client.authorization().with("scope", "contacts:read contacts:write");
        client.code_of(&mut browser, request(), Choice::default()).await;
        // As much, and less.
        for scope in ["contacts:read contacts:write", "contacts:read"] {
            let request = request().with("scope", scope);
            let code = code(&browser.open(&request.url()).await);
            assert_eq!(tokens(&client, request, code).await.scope, scope, "on {store:?}");
        }
        // More, and somewhere else.
        let wider = request().with("scope", "contacts:read contacts:delete");
        assert!(browser.open(&wider.url()).await.asks_for_consent(), "on {store:?}");
        let elsewhere = client.authorization().with("resource", RESOURCE_STRICT);
        assert!(browser.open(&elsewhere.url()).await.asks_for_consent());
        let asked = request().with("prompt", "consent");
        assert!(browser.open(&asked.url()).await.asks_for_consent());
        let login = request().with("prompt", "consent login");
        let page = browser.open(&login.url()).await;
        assert!(page.asks_to_sign_in());
        assert!(browser.sign_in(&page).await.asks_for_consent());
    }
}

#[tokio::test]
async fn an_application_may_ask_in_silence_for_what_was_agreed() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::kiosk(&world).await;
        let mut browser = Browser::new(&world);
        let silent = |scope| client.authorization().with("prompt", "none").with("scope", scope);
        let mut told = async |scope| {
            let reply = browser.open(&silent(scope).url()).await.reply;
            Callback::of(&reply).value("error").to_owned()
        };
        assert_eq!(told("contacts:read").await, "login_required", "OpenID Connect Core 3.1.2.6");
        let agreed = client.authorization().with("scope", "contacts:read");
        client.code_of(&mut browser, agreed, Choice::default()).await;
        let request = silent("contacts:read");
        let code = code(&browser.open(&request.url()).await);
        tokens(&client, request, code).await;
        let wider = browser.open(&silent("contacts:write").url()).await.reply;
        let wider = Callback::of(&wider).value("error").to_owned();
        assert_eq!(wider, "consent_required", "OpenID Connect Core 3.1.2.6 on {store:?}");
    }
}

#[tokio::test]
async fn a_program_on_a_machine_is_asked_about_every_time() {
    let world = World::start().await;
    for redirect_uri in ["http://127.0.0.1:33418/callback", "com.example.app:/callback"] {
        let client = registered(&world, redirect_uri).await;
        let mut browser = Browser::new(&world);
        client.code(&mut browser).await;
        let page = browser.open(&client.authorization().url()).await;
        assert!(page.asks_for_consent(), "RFC 8252 section 8.6: {redirect_uri}");
        let silent = client.authorization().with("prompt", "none");
        let reply = browser.open(&silent.url()).await.reply;
        // Even where nobody else can listen, prompt=none gets an error and no code.
        assert_eq!(Callback::of(&reply).value("error"), "consent_required", "{redirect_uri}");
    }
}

#[tokio::test]
async fn what_a_person_kept_back_stays_kept_back() {
    let world = World::start().await;
    let client = hosted(&world).await;
    let mut browser = Browser::new(&world);
    let request = || client.authorization().with("scope", "contacts:read contacts:write");
    let less = Choice {
        scopes: Some(&["contacts:read"]),
        workspaces: Some(&["ws_globex"]),
        ..Choice::default()
    };
    client.code_of(&mut browser, request(), less).await;
    let again = request();
    let code = code(&browser.open(&again.url()).await);
    let tokens = tokens(&client, again, code).await;
    assert_eq!(tokens.scope, "contacts:read");
    let claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode(&tokens.access).unwrap().claims;
    assert_eq!(claims["workspaces"], json!(["ws_globex"]));
}

#[tokio::test]
async fn consent_is_forgotten_with_the_grant() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = hosted(&world).await;
        let person = UserId::parse("usr_demo").unwrap();
        let mut browser = Browser::new(&world);
        client.tokens(&mut browser).await;
        let url = client.authorization().url();
        code(&browser.open(&url).await);
        // The person takes it back.
        let grants = world.app.grants_of(&person).await.unwrap();
        assert!(world.app.revoke_grant(&person, grants[0].family).await.unwrap());
        assert!(browser.open(&url).await.asks_for_consent(), "on {store:?}");
        // The person signs out everywhere.
        world.pass(Duration::from_secs(1));
        client.code(&mut browser).await;
        code(&browser.open(&url).await);
        world.app.sign_out_everywhere(&person).await.unwrap();
        world.pass(Duration::from_secs(2));
        let page = browser.open(&url).await;
        assert!(page.asks_to_sign_in(), "on {store:?}");
        assert!(browser.sign_in(&page).await.asks_for_consent());
    }
}

#[tokio::test]
async fn consent_ends_when_its_grant_would() {
    let world = World::start().await;
    let client = hosted(&world).await;
    let mut browser = Browser::new(&world);
    client.code(&mut browser).await;
    let ask = async |browser: &mut Browser| {
        let page = browser.open(&client.authorization().url()).await;
        browser.sign_in(&page).await
    };
    world.pass(Duration::from_hours(89 * 24));
    code(&ask(&mut browser).await);
    world.pass(Duration::from_hours(24));
    assert!(ask(&mut browser).await.asks_for_consent());
}

#[tokio::test]
async fn a_doubtful_connection_is_shown_before_anything_is_agreed_again() {
    let world = World::start().await;
    let client = hosted(&world).await;
    let mut browser = Browser::new(&world);
    let first = client.tokens(&mut browser).await;
    let second = client.refreshed(&first.refresh).await;
    client.refreshed(&second.refresh).await;
    code(&browser.open(&client.authorization().url()).await);
    world.pass(Duration::from_secs(121));
    assert_eq!(client.refresh(&first.refresh).send().await.error(), "invalid_grant");
    let page = browser.open(&client.authorization().url()).await;
    assert!(page.form().has("sign_out_older"), "{}", page.reply.text);
}

/// RFC 9700 section 4.11: an application that the person agreed to before is answered at once,
/// one that they did not is named first.
#[tokio::test]
async fn who_was_agreed_to_is_told_of_errors_without_a_page() {
    let world = World::start().await;
    let client = hosted(&world).await;
    let (mut browser, mut stranger) = (Browser::new(&world), Browser::new(&world));
    let bad = client.authorization().with("response_type", "token");
    is_error_page(&browser.open(&bad.url()).await.reply, "RFC 9700 section 4.11");
    client.code(&mut browser).await;
    let told = Callback::of(&browser.open(&bad.url()).await.reply);
    assert_eq!(told.value("error"), "unsupported_response_type");
    is_error_page(&stranger.open(&bad.url()).await.reply, "RFC 9700 section 4.11");
    let page = browser.open(&client.authorization().with("prompt", "consent").url()).await;
    let denied = browser.decide(&page, Choice { deny: true, ..Choice::default() }).await;
    assert_eq!(Callback::of(&denied.reply).value("error"), "access_denied");
}

#[tokio::test]
async fn ticks_survive_an_error() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let request = client.authorization().with("scope", "contacts:read contacts:write");
    let page = browser.reach_consent(&request.url()).await;
    let choice =
        Choice { scopes: Some(&["contacts:read"]), workspaces: Some(&[]), ..Choice::default() };
    let again = browser.decide(&page, choice).await;
    assert_eq!(again.reply.status, 400);
    let sent = again.form().fields();
    assert_eq!(sent.value("scope"), Some("contacts:read"), "{sent:?}");
    assert_eq!(sent.value("workspace"), None);
    assert!(!format!("{sent:?}").contains("contacts:write"));
}

#[tokio::test]
async fn scopes_of_one_name_are_chosen_apart() {
    let edit = |text: String| text.replace("ledger:read", "contacts:read");
    for store in [Store::Embedded, Store::Redis] {
        let world = World::with(Options { edit, store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut request = client.authorization().with("scope", "contacts:read contacts:write");
        request.parameters.add("resource", RESOURCE_STRICT);
        let mut browser = Browser::new(&world);
        let page = browser.reach_consent(&request.url()).await;
        let form = page.form();
        let offered: Vec<String> = form.offered("scope").into_iter().map(str::to_owned).collect();
        assert_eq!(offered.len(), 3, "{offered:?}");
        for heading in ["Northwind CRM", "Northwind ledger"] {
            let heading = format!("What it may do at <bdi>{heading}</bdi>");
            assert!(page.reply.text.contains(&heading), "{}", page.reply.text);
        }
        // Writing at the one, reading at the other.
        let ledger = offered.iter().find(|value| value.contains("/strict")).unwrap();
        let choice = Choice { scopes: Some(&["contacts:write", ledger]), ..Choice::default() };
        let callback = Callback::of(&browser.decide(&page, choice).await.reply);
        let code = callback.value("code").to_owned();
        let at_crm = tokens(&client, request, code).await;
        assert_eq!(at_crm.scope, "contacts:write");
        let mut post = client.refresh(&at_crm.refresh);
        post.set("resource", RESOURCE_STRICT);
        assert_eq!(Tokens::of(&post.send().await).scope, "contacts:read", "on {store:?}");
    }
}
