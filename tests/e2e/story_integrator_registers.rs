//! An integrator has one URL, and every mistake on the way says what to change.

use std::time::Duration;

use serde_json::json;
use tests::{
    Browser, Callback, Choice, Client, Judge, Parameters, RESOURCE, Tokens, World, challenge_of,
};

#[tokio::test]
async fn an_integrator_goes_from_the_issuer_to_a_working_client_by_the_errors_alone() {
    let world = World::start().await;

    // One URL leads to everything else.
    let document = world.url("/.well-known/oauth-authorization-server");
    let metadata = world.http.get(&document).await.json();
    let endpoint = |name: &str| metadata[name].as_str().unwrap().to_owned();
    let register = endpoint("registration_endpoint");

    // The first registration has a wildcard, the second forgets the grant.
    let mut body = json!({
        "client_name": "Reports",
        "redirect_uris": ["http://127.0.0.1:*/callback"],
        "grant_types": ["refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let problem = |reply: &tests::Reply| {
        let body = reply.json();
        format!("{} {}: {}", reply.status, reply.error(), body["error_description"])
    };
    let reply = world.http.post_json(&register, &body).await;
    assert!(problem(&reply).contains("grant_types must hold authorization_code"));
    body["grant_types"] = json!(["authorization_code", "refresh_token"]);
    let reply = world.http.post_json(&register, &body).await;
    assert!(problem(&reply).starts_with("400 invalid_redirect_uri"), "{}", problem(&reply));
    assert!(problem(&reply).contains("wildcard"));
    body["redirect_uris"] = json!(["http://127.0.0.1/callback"]);
    let registered = world.http.post_json(&register, &body).await.json();
    let id = registered["client_id"].as_str().unwrap();

    // The browser opens the request; the first one has no challenge.
    let verifier = tests::new_verifier();
    let mut request = Parameters::of([
        ("response_type", "code"),
        ("client_id", id),
        ("redirect_uri", "http://127.0.0.1:40001/callback"),
        ("state", "1"),
        ("scope", "contacts:read"),
        ("resource", RESOURCE),
    ]);
    let authorize = endpoint("authorization_endpoint");
    let mut browser = Browser::new(&world);
    let told = browser.open(&format!("{authorize}?{}", request.encode())).await;
    let told = Callback::of(&told.reply);
    assert_eq!(told.value("error"), "invalid_request");
    assert!(told.value("error_description").contains("code_challenge is required"));
    request.set("code_challenge", &challenge_of(&verifier));
    request.set("code_challenge_method", "S256");
    let url = format!("{authorize}?{}", request.encode());
    let answer = browser.answer(&url, Choice::default()).await;
    assert_eq!((answer.value("state"), answer.value("iss")), ("1", &*world.issuer));

    // The exchange forgets the verifier, and loses nothing by it.
    let exchange = Parameters::of([
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("code", answer.value("code")),
        ("redirect_uri", "http://127.0.0.1:40001/callback"),
    ]);
    let mut post = world.http.post(&endpoint("token_endpoint"), exchange);
    let reply = post.send().await;
    assert!(problem(&reply).contains("code_verifier is missing"), "{}", problem(&reply));
    post.set("code_verifier", &verifier);
    let tokens = Tokens::of(&post.send().await);

    // A resource server of theirs needs the keys and nothing else.
    let judge = Judge::with_metadata(&world.http, &metadata).await;
    let claims = judge.access_token(&world, &tokens.access, RESOURCE);
    assert_eq!((&claims["sub"], &claims["scope"]), (&json!("usr_demo"), &json!("contacts:read")));

    // Months of refreshes, then the end.
    let refresh = |token: &str| {
        let parameters = Parameters::of([
            ("grant_type", "refresh_token"),
            ("client_id", id),
            ("refresh_token", token),
        ]);
        world.http.post(&endpoint("token_endpoint"), parameters)
    };
    let mut newest = tokens.refresh;
    for _ in 0..3 {
        world.pass(Duration::from_hours(25 * 24));
        newest = Tokens::of(&refresh(&newest).send().await).refresh;
    }
    let revoke = Parameters::of([("client_id", id), ("token", &newest)]);
    let gone = world.http.post(&endpoint("revocation_endpoint"), revoke).send().await;
    assert_eq!(gone.status, 200);
    let reply = refresh(&newest).send().await;
    assert!(problem(&reply).contains("sign in again"), "{}", problem(&reply));
}

#[tokio::test]
async fn an_integrator_with_a_server_keeps_a_secret() {
    let world = World::start().await;
    let client = Client::registered(
        &world,
        json!({
            "client_name": "Back office",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": ["https://office.example/cb"],
        }),
    )
    .await;
    let mut browser = Browser::new(&world);
    let request = client.authorization();
    let page = browser.reach_consent(&request.url()).await;
    assert!(page.reply.text.contains("office.example"));
    let answer = Callback::of(&browser.decide(&page, Choice::default()).await.reply);
    assert!(answer.url.as_str().starts_with("https://office.example/cb?"));
    let code = tests::Code { code: answer.value("code").to_owned(), verifier: request.verifier };
    let mut post = client.exchange(&code);
    post.headers.remove("authorization");
    let reply = post.send().await;
    assert_eq!(reply.status, 401);
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn a_client_that_did_not_register_for_it_gets_no_refresh_token() {
    let world = World::start().await;
    let redirect = json!({ "redirect_uris": ["https://office.example/cb"] });
    let client = Client::registered(&world, redirect).await;
    let mut browser = Browser::new(&world);
    let request = client.authorization();
    let page = browser.reach_consent(&request.url()).await;
    let answer = Callback::of(&browser.decide(&page, Choice::default()).await.reply);
    let code = tests::Code { code: answer.value("code").to_owned(), verifier: request.verifier };
    // RFC 7591 section 2: without grant_types only authorization_code is registered.
    let reply = client.exchange(&code).send().await.expect_status(200);
    assert!(reply.json().get("refresh_token").is_none());
}
