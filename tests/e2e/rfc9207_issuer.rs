//! The issuer in authorization responses (RFC 9207): exactly one, equal to the metadata's.

use serde_json::json;
use tests::{Browser, Callback, Choice, Client, Options, World};

#[tokio::test]
async fn every_answer_names_the_issuer_once() {
    for issuer_path in ["", "/tenant"] {
        let world = World::with(Options { issuer_path, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let good = client.authorization();
        let approved = browser.answer(&good.url(), Choice::default()).await;
        let no = Choice { deny: true, ..Choice::default() };
        let denied = browser.answer(&client.authorization().url(), no).await;
        let bad = client.authorization().with("response_type", "token");
        let refused = Callback::of(&browser.open(&bad.url()).await.reply);
        let silent = client.authorization().with("prompt", "none");
        let silent = Callback::of(&browser.open(&silent.url()).await.reply);
        // Reading a callback fails where a parameter comes twice.
        for answer in [approved, denied, refused, silent] {
            let issuer = client.metadata["issuer"].as_str().unwrap();
            assert_eq!(answer.value("iss"), issuer, "RFC 9207 section 2: {}", answer.url);
            assert!(!issuer.ends_with('/'));
        }
    }
}

#[tokio::test]
async fn the_query_of_a_redirect_uri_is_kept() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!(["http://127.0.0.1:33418/callback?tab=2&x=%20y"]);
    let client = Client::registered(&world, metadata).await;
    let url = client.authorization().url();
    let answer = Browser::new(&world).answer(&url, Choice::default()).await;
    let kept = answer.url.as_str().starts_with(&format!("{}&", client.redirect_uri));
    assert!(kept, "RFC 6749 section 3.1.2: {}", answer.url);
    assert_eq!(answer.value("iss"), world.issuer, "RFC 9207 section 2");
}

#[tokio::test]
async fn two_issuers_can_be_told_apart() {
    let (one, other) = (World::start().await, World::start().await);
    let url = Client::public(&one).await.authorization().url();
    let answer = Browser::new(&one).answer(&url, Choice::default()).await;
    assert_ne!(answer.value("iss"), other.issuer, "RFC 9207 section 2.4");
}
