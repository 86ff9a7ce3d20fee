//! Native applications (RFC 8252): loopback redirects whose port floats, and private-use schemes.

use serde_json::json;
use tests::{Browser, Callback, Choice, Client, Tokens, World};

use crate::cases::is_error_page;

async fn registered(world: &World, uri: &str) -> Client {
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!([uri]);
    Client::registered(world, metadata).await
}

#[tokio::test]
async fn the_port_of_a_loopback_redirect_is_the_clients_to_choose() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    for (registered_uri, asked) in [
        ("http://127.0.0.1/callback", "http://127.0.0.1:51234/callback"),
        ("http://127.0.0.1:33418/callback", "http://127.0.0.1:51234/callback"),
        ("http://127.0.0.1:33418/callback", "http://127.0.0.1/callback"),
        ("http://[::1]/callback", "http://[::1]:51234/callback"),
        ("http://localhost/callback", "http://localhost:51234/callback"),
        ("http://127.0.0.1/callback?app=1", "http://127.0.0.1:51234/callback?app=1"),
    ] {
        let mut client = registered(&world, registered_uri).await;
        asked.clone_into(&mut client.redirect_uri);
        let request = client.authorization();
        let answer = browser.answer(&request.url(), Choice::default()).await;
        let joint = if asked.contains('?') { '&' } else { '?' };
        let expected = format!("{asked}{joint}");
        assert!(answer.url.as_str().starts_with(&expected), "RFC 8252 section 7.3: {answer:?}");
        let code =
            tests::Code { code: answer.value("code").to_owned(), verifier: request.verifier };
        Tokens::of(&client.exchange(&code).send().await);
    }
}

#[tokio::test]
async fn everything_but_the_port_must_be_as_registered() {
    let world = World::start().await;
    let client = registered(&world, "http://127.0.0.1:33418/callback").await;
    let mut browser = Browser::new(&world);
    for asked in [
        "http://127.0.0.1:51234/callback/",
        "http://127.0.0.1:51234/other",
        "http://127.0.0.1:51234/callback?x=1",
        "http://127.0.0.1:51234/callback#x",
        "http://127.0.0.1:51234",
        "http://localhost:51234/callback",
        "http://[::1]:51234/callback",
        "http://127.0.0.2:51234/callback",
        "http://127.1:51234/callback/..",
        "https://127.0.0.1:51234/callback",
        "http://user@127.0.0.1:51234/callback",
        "http://127.0.0.1:51234@evil.example/callback",
        "http://127.0.0.1.evil.example:51234/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:port/callback",
    ] {
        let request = client.authorization().with("redirect_uri", asked);
        is_error_page(&browser.open(&request.url()).await.reply, asked);
    }
}

#[tokio::test]
async fn the_exchange_names_the_port_of_the_request() {
    let world = World::start().await;
    let mut client = registered(&world, "http://127.0.0.1/callback").await;
    client.redirect_uri = "http://127.0.0.1:51234/callback".to_owned();
    let code = client.code(&mut Browser::new(&world)).await;
    for other in ["http://127.0.0.1/callback", "http://127.0.0.1:51235/callback"] {
        let mut post = client.exchange(&code);
        post.set("redirect_uri", other);
        assert_eq!(post.send().await.error(), "invalid_grant", "RFC 6749 section 4.1.3");
    }
    Tokens::of(&client.exchange(&code).send().await);
}

#[tokio::test]
async fn the_port_of_any_other_redirect_is_fixed() {
    let world = World::start().await;
    let client = registered(&world, "https://app.example/callback").await;
    let request = client.authorization().with("redirect_uri", "https://app.example:444/callback");
    is_error_page(&Browser::new(&world).open(&request.url()).await.reply, "RFC 8252 section 7.3");
}

#[tokio::test]
async fn a_private_use_scheme_is_matched_exactly() {
    let world = World::start().await;
    let uri = "com.example.editor://oauth/callback";
    let client = registered(&world, uri).await;
    let mut browser = Browser::new(&world);
    for asked in ["com.example.editor://oauth/callback2", "com.example.editor:/oauth/callback"] {
        let request = client.authorization().with("redirect_uri", asked);
        is_error_page(&browser.open(&request.url()).await.reply, "RFC 8252 section 7.1");
    }
    let page = browser.reach_consent(&client.authorization().url()).await;
    assert!(page.reply.text.contains("Another installed app"), "RFC 8252 section 8.6");
    let answer = Callback::of(&browser.decide(&page, Choice::default()).await.reply);
    assert!(answer.url.as_str().starts_with(&format!("{uri}?")));
}

#[tokio::test]
async fn the_person_is_warned_that_any_local_program_may_listen() {
    let world = World::start().await;
    let warning = "The answer goes to a program on this computer.";
    let loopback = Client::public(&world).await;
    let web = registered(&world, "https://app.example/callback").await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&loopback.authorization().url()).await;
    assert!(page.reply.text.contains(warning), "RFC 8252 section 8.6");
    assert!(page.reply.text.contains("127.0.0.1:33418"));
    let page = browser.reach_consent(&web.authorization().url()).await;
    assert!(!page.reply.text.contains(warning));
    assert!(page.reply.text.contains("app.example"));
}
