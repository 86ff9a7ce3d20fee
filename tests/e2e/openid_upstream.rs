//! Signing in through another provider (OpenID Connect Core section 3.1): state, nonce, PKCE, and
//! whose account it opens.

use serde_json::json;
use tests::{Browser, Client, ENGINES, Options, Page, Provider, Store, Trick, World};

/// A world whose people may sign in at these providers.
async fn world(store: Store, tables: String) -> World {
    World::with(Options { more: tables.leak(), store, ..Options::default() }).await
}

/// The link on the sign-in page to a provider.
fn way(page: &Page, provider: &str) -> String {
    let start =
        page.reply.text.find(&format!("/login/{provider}?")).expect("a way to the provider");
    let rest = &page.reply.text[start..];
    let path = rest.split('"').next().unwrap().replace("&amp;", "&");
    page.reply.url.join(&path).unwrap().to_string()
}

/// Goes to the provider and back, up to the callback's address.
async fn callback(world: &World, browser: &mut Browser, client: &Client, provider: &str) -> String {
    let sign_in = browser.visit(&client.authorization().url()).await;
    let there = browser.open(&way(&sign_in, provider)).await;
    assert_eq!(there.reply.status, 303, "{}", there.reply.text);
    let back = world.http.get(there.reply.location().unwrap().as_str()).await;
    back.location().unwrap().to_string()
}

async fn signs_in(world: &World, client: &Client, provider: &str) -> Page {
    let mut browser = Browser::new(world);
    let callback = callback(world, &mut browser, client, provider).await;
    browser.visit(&callback).await
}

const VERIFIED: &str = "demo@example.com";

#[tokio::test]
async fn a_verified_address_opens_the_account_that_has_it() {
    for store in ENGINES {
        let provider = Provider::start(json!({ "email": VERIFIED, "email_verified": true })).await;
        let world = world(store, provider.table("north", "")).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let back = callback(&world, &mut browser, &client, "north").await;
        let consent = browser.visit(&back).await;
        assert!(consent.asks_for_consent(), "{}", consent.reply.text);
        assert!(consent.reply.text.contains("Dana Demo"));

        // From now on the subject is who counts, whatever the address becomes.
        provider.says(json!({ "email": "new@example.com" }));
        let consent = signs_in(&world, &client, "north").await;
        assert!(consent.asks_for_consent() && consent.reply.text.contains("Dana Demo"));

        // What came back once is worth nothing a second time, nor at another browser.
        let again = browser.open(&back).await;
        assert_eq!(again.reply.status, 400);
        let mut other = Browser::new(&world);
        let fresh = callback(&world, &mut other, &client, "north").await;
        let stolen = Browser::new(&world).open(&fresh).await;
        assert_eq!(stolen.reply.status, 400);
    }
}

#[tokio::test]
async fn the_account_page_can_be_reached_that_way_too() {
    let provider = Provider::start(json!({ "email": VERIFIED, "email_verified": true })).await;
    let world = world(Store::Embedded, provider.table("north", "")).await;
    let mut browser = Browser::new(&world);
    let sign_in = browser.visit(&world.url("/login")).await;
    let there = browser.open(&way(&sign_in, "north")).await;
    let back = world.http.get(there.reply.location().unwrap().as_str()).await;
    let account = browser.visit(back.location().unwrap().as_str()).await;
    assert_eq!(account.reply.status, 200);
    assert_eq!(account.reply.url.path(), "/account", "{}", account.reply.text);
}

#[tokio::test]
async fn an_unverified_address_opens_nobodys_account() {
    for claims in [
        json!({ "email": VERIFIED, "email_verified": false }),
        json!({ "email": VERIFIED }),
        json!({}),
    ] {
        let provider = Provider::start(claims).await;
        let world = world(Store::Embedded, provider.table("north", "")).await;
        let client = Client::public(&world).await;
        let refused = signs_in(&world, &client, "north").await;
        assert_eq!(refused.reply.status, 403, "{}", refused.reply.text);
        assert!(!refused.asks_for_consent());
    }
}

#[tokio::test]
async fn what_proves_nothing_signs_nobody_in() {
    let provider = Provider::start(json!({ "email": VERIFIED, "email_verified": true })).await;
    let world = world(Store::Embedded, provider.table("north", "")).await;
    let client = Client::public(&world).await;
    for trick in [
        Trick::Audience,
        Trick::Expired,
        Trick::Issuer,
        Trick::Nonce,
        Trick::Party,
        Trick::Signature,
        Trick::Unsigned,
    ] {
        provider.misbehaves(trick);
        let refused = signs_in(&world, &client, "north").await;
        assert!([403, 502].contains(&refused.reply.status), "{trick:?}: {}", refused.reply.text);
        assert_eq!(refused.reply.header("set-cookie"), "", "{trick:?}");
    }
    provider.misbehaves(Trick::None);
    assert!(signs_in(&world, &client, "north").await.asks_for_consent());
}

#[tokio::test]
async fn an_answer_is_taken_for_the_question_it_belongs_to() {
    let claims = json!({ "email": VERIFIED, "email_verified": true });
    let (one, two) = (Provider::start(claims.clone()).await, Provider::start(claims).await);
    let tables = one.table("one", "") + &two.table("two", "");
    let world = world(Store::Embedded, tables).await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);

    // The answer of one provider at the callback of the other (RFC 9700 section 4.4).
    let mixed = callback(&world, &mut browser, &client, "one").await.replace("/one/", "/two/");
    assert_eq!(browser.open(&mixed).await.reply.status, 400);
    // The issuer that the answer names is another one (RFC 9207 section 2.4).
    let back = callback(&world, &mut browser, &client, "one").await;
    let named = browser.open(&format!("{back}&iss={}", two.url)).await;
    assert_eq!(named.reply.status, 400);
    // Nobody asked.
    for query in ["code=c&state=s", "code=c", "error=access_denied", ""] {
        let unasked = browser.open(&world.url(&format!("/login/one/callback?{query}"))).await;
        assert_eq!(unasked.reply.status, 400, "{query}");
    }
    let unknown = browser.open(&world.url("/login/three/callback?code=c&state=s")).await;
    assert_eq!(unknown.reply.status, 404);
    // The person said no there.
    let back = callback(&world, &mut browser, &client, "one").await;
    let denied = back.replace("code=", "error=access_denied&was=");
    let denied = browser.open(&denied).await;
    assert_eq!(denied.reply.status, 403);
    assert!(!denied.reply.text.contains("was="));
}

#[tokio::test]
async fn a_page_of_another_browser_begins_nothing() {
    let provider = Provider::start(json!({})).await;
    let world = world(Store::Embedded, provider.table("north", "")).await;
    let client = Client::public(&world).await;
    let sign_in = Browser::new(&world).visit(&client.authorization().url()).await;
    let elsewhere = Browser::new(&world).open(&way(&sign_in, "north")).await;
    assert_eq!(elsewhere.reply.status, 400);
}

#[tokio::test]
async fn claims_give_workspaces_and_take_them_again() {
    for store in ENGINES {
        let provider = Provider::start(json!({
            "email": "new@example.com", "email_verified": true, "name": "Nora New",
            "groups": ["sales", "others"],
        }))
        .await;
        let mapping = "create_accounts = true\n\
            workspace = [{ claim = \"groups\", value = \"sales\", workspace = \"ws_acme\", \
            role = \"member\" }]";
        let world = world(store, provider.table("north", mapping)).await;
        let client = Client::public(&world).await;
        let consent = signs_in(&world, &client, "north").await;
        assert!(consent.reply.text.contains("Nora New"), "{}", consent.reply.text);
        assert!(consent.reply.text.contains("Acme GmbH"));

        provider.says(json!({ "groups": [] }));
        let consent = signs_in(&world, &client, "north").await;
        assert!(consent.asks_for_consent());
        assert!(!consent.reply.text.contains("Acme GmbH"), "{}", consent.reply.text);
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_said_to_be() {
    let table = "[[auth.upstream]]\nid = \"north\"\nname = \"North\"\n\
        issuer = \"http://127.0.0.1:9\"\nclient_id = \"vestibule\"\n";
    let world = world(Store::Embedded, table.to_owned()).await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let sign_in = browser.visit(&client.authorization().url()).await;
    let away = browser.open(&way(&sign_in, "north")).await;
    assert_eq!(away.reply.status, 502);
    assert!(away.reply.text.contains("North"), "{}", away.reply.text);
    // The password works as before.
    assert!(browser.sign_in(&sign_in).await.asks_for_consent());
}
