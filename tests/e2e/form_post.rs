//! Answers that a form takes to the client (OAuth 2.0 Form Post Response Mode), and how a person
//! signed in (OpenID Connect Core section 2).

use serde_json::{Value, json};
use tests::{
    Authorization, Browser, Choice, Client, Code, ENGINES, Judge, Options, Page, Tokens, World,
};

const STATE: &str = "\"><script>alert(1)</script>";

fn posted(client: &Client) -> Authorization {
    client.authorization().with("response_mode", "form_post").with("state", STATE)
}

/// What the one form of a page would post, and where.
fn told(page: &Page) -> (String, Value) {
    let form = page.form();
    assert_eq!(form.method, "post");
    let fields = form.fields().encode();
    let pairs = url::form_urlencoded::parse(fields.as_bytes());
    let told = pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
    (form.action.to_string(), Value::Object(told.collect()))
}

#[tokio::test]
async fn the_answer_is_in_a_form_that_sends_itself_and_has_a_button() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let request = posted(&client);
        let page = browser.reach_consent(&request.url()).await;
        let page = browser.decide(&page, Choice::default()).await;
        assert_eq!(page.reply.status, 200, "{}", page.reply.text);
        assert_eq!(page.reply.location(), None);
        let (action, answer) = told(&page);
        assert_eq!(action, client.redirect_uri);
        assert_eq!(answer["state"], STATE);
        assert_eq!(answer["iss"], *world.issuer, "RFC 9207 section 2");
        let text = &page.reply.text;
        assert!(!text.contains("<script>alert"), "{text}");
        assert!(text.contains("<button") && text.contains("127.0.0.1:33418"), "{text}");
        // Only the script that we know runs, nothing is kept, framed or told where it came from.
        let policy = page.reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("form-action 'self' http://127.0.0.1:33418"), "{policy}");
        assert_eq!(page.reply.header("cache-control"), "no-store");
        assert_eq!(page.reply.header("referrer-policy"), "no-referrer");
        let code = answer["code"].as_str().unwrap().to_owned();
        let code = Code { code, verifier: request.verifier };
        Tokens::of(&client.exchange(&code).send().await);
    }
}

#[tokio::test]
async fn a_refusal_is_posted_too() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&posted(&client).url()).await;
    let denied = browser.decide(&page, Choice { deny: true, ..Choice::default() }).await;
    let (action, answer) = told(&denied);
    assert_eq!((action, &answer["error"]), (client.redirect_uri.clone(), &json!("access_denied")));
    assert_eq!((&answer["state"], &answer["code"]), (&json!(STATE), &Value::Null));
    let wrong = browser.open(&posted(&client).with("prompt", "often").url()).await;
    assert_eq!(told(&wrong).1["error"], "invalid_request", "{}", wrong.reply.text);
    // What cannot be redirected to cannot be posted to either.
    let elsewhere = posted(&client).with("redirect_uri", "https://attacker.example/cb");
    let page = browser.open(&elsewhere.url()).await;
    assert_eq!(page.reply.status, 400);
    assert!(!page.reply.text.contains("<form"), "{}", page.reply.text);
}

/// A stranger may register any https address, so nobody is sent there by a form without having
/// said yes.
#[tokio::test]
async fn an_error_is_not_posted_to_a_stranger_by_itself() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!(["https://stranger.example/cb"]);
    let mut client = Client::registered(&world, metadata).await;
    client.redirect_uri = "https://stranger.example/cb".to_owned();
    let request = posted(&client).with("redirect_uri", &client.redirect_uri);
    let page = Browser::new(&world).open(&request.with("prompt", "often").url()).await;
    let (action, answer) = told(&page);
    assert_eq!((&*action, &answer["error"]), (&*client.redirect_uri, &json!("invalid_request")));
    assert!(!page.reply.text.contains("<script"), "{}", page.reply.text);
    let policy = page.reply.header("content-security-policy");
    assert!(!policy.contains("script-src"), "{policy}");
}

#[tokio::test]
async fn nothing_is_posted_to_a_scheme_of_the_machine() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!(["com.example.app:/cb"]);
    let mut client = Client::registered(&world, metadata).await;
    client.redirect_uri = "com.example.app:/cb".to_owned();
    let request = posted(&client).with("redirect_uri", &client.redirect_uri);
    let page = Browser::new(&world).open(&request.url()).await;
    assert!(!page.reply.text.contains("<form"), "{}", page.reply.text);
    assert!(page.reply.text.contains("invalid_request"), "{}", page.reply.text);
}

#[tokio::test]
async fn the_id_token_says_that_a_password_was_used_and_claims_no_level() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::partner(&world).await.signing_in();
        let modes = &client.metadata["response_modes_supported"];
        assert_eq!(*modes, json!(["query", "form_post"]));
        let claims = client.metadata["claims_supported"].as_array().unwrap();
        assert!(claims.contains(&json!("amr")) && !claims.contains(&json!("acr")), "{claims:?}");
        let request = client.authorization().with("scope", "openid").with("acr_values", "phr 2");
        let mut browser = Browser::new(&world);
        let judge = Judge::of(&world).await;
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        let claims = judge.claims(&tokens.id_token, &client.id).unwrap();
        assert_eq!(claims["amr"], json!(["pwd"]));
        assert_eq!(claims.get("acr"), None, "a level is asked for, and none is made up");
        let next = client.refreshed(&tokens.refresh).await;
        let claims = judge.claims(&next.id_token, &client.id).unwrap();
        assert_eq!(claims.get("amr"), None, "how somebody signed in then is not kept with a grant");
    }
}
