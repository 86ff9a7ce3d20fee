//! What OpenID's and OAuth's public test plans ask of a server and no other test shows: requests
//! that are posted or carry what is not for us, what an ID token always says, and tokens and
//! proofs in the wrong place.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tests::{
    Authorization, Browser, Callback, Choice, Client, Code, Credential, ENGINES, Judge, Options,
    Parameters, Reply, Tokens, World, challenge_of,
};

use crate::cases::{is_error_page, is_problem};

fn signing_in(client: &Client) -> Authorization {
    client.authorization().with("scope", "openid")
}

/// The claims of the ID token that a request brings.
async fn claims(world: &World, client: &Client, request: Authorization) -> Value {
    let code = client.code_of(&mut Browser::new(world), request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    Judge::of(world).await.claims(&tokens.id_token, &client.id).unwrap()
}

async fn post_authorization(client: &Client, body: &str, headers: HeaderMap) -> Reply {
    let endpoint = client.endpoint("authorization_endpoint");
    client.http.send(Method::POST, endpoint, headers, body.to_owned()).await
}

fn form() -> HeaderMap {
    tests::headers([("content-type", "application/x-www-form-urlencoded")])
}

/// OpenID Connect Core 3.1.2.1: the request may come by GET and by POST.
#[tokio::test]
async fn an_authorization_request_may_be_posted() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut request = client.authorization().with("state", "a&b=c d\r\n\u{e9}+%");
        request.parameters.add("resource", "http://localhost:7400/strict");
        let reply = post_authorization(&client, &request.parameters.encode(), form()).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        assert_eq!(reply.header("cache-control"), "no-store");
        // It is asked for again by GET, to which browsers bring our cookies from every site.
        let address = reply.location().unwrap();
        let asked: Vec<(String, String)> = address.query_pairs().into_owned().collect();
        let meant: Vec<(String, String)> =
            url::Url::parse(&request.url()).unwrap().query_pairs().into_owned().collect();
        assert_eq!(asked, meant);
        assert!(address.as_str().starts_with(client.endpoint("authorization_endpoint")));
        let mut browser = Browser::new(&world);
        let answer = browser.answer(address.as_str(), Choice::default()).await;
        assert_eq!(answer.value("state"), "a&b=c d\r\n\u{e9}+%");
        let code = answer.value("code").to_owned();
        Tokens::of(&client.exchange(&Code { code, verifier: request.verifier }).send().await);
    }
}

#[tokio::test]
async fn a_posted_request_is_judged_like_any_other_and_leads_nowhere_else() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let good = client.authorization().parameters.encode();
    let twice = format!("{good}&client_id=other");
    let elsewhere = client.authorization().with("redirect_uri", "https://evil.example/cb");
    for body in [&twice, &elsewhere.parameters.encode(), "client_id=nobody", ""] {
        let reply = post_authorization(&client, body, form()).await;
        let address = reply.location().unwrap();
        assert!(address.as_str().starts_with(client.endpoint("authorization_endpoint")), "{body}");
        let page = Browser::new(&world).open(address.as_str()).await;
        is_error_page(&page.reply, body);
    }
    // What is no form, or is too long, is a page.
    let json = tests::headers([("content-type", "application/json")]);
    is_error_page(&post_authorization(&client, "{}", json).await, "no form");
    is_error_page(&post_authorization(&client, &good, HeaderMap::new()).await, "no type");
    let long = format!("{good}&nonce={}", "n".repeat(64 * 1024));
    is_error_page(&post_authorization(&client, &long, form()).await, "too long");
    // The query of a posted request says nothing.
    let url = format!("{}?{good}", client.endpoint("authorization_endpoint"));
    let reply = client.http.send(Method::POST, &url, form(), String::new()).await;
    assert_eq!(reply.location().unwrap().query().unwrap_or_default(), "");
}

/// OpenID Connect Core 3.1.2.1: what a server does not support of these it ignores.
#[tokio::test]
async fn parameters_of_taste_change_nothing() {
    let world = World::start().await;
    let client = Client::partner(&world).await.signing_in();
    for (name, value) in [
        ("display", "page"),
        ("display", "popup"),
        ("display", "touch"),
        ("ui_locales", "se de-CH-1996 xx"),
        ("claims_locales", "fr-CA"),
        ("acr_values", "phr urn:mace:incommon:iap:silver"),
        ("claims", r#"{"userinfo":{"name":{"essential":true}},"id_token":{"acr":null}}"#),
        ("extra", "foobar"),
    ] {
        let found = claims(&world, &client, signing_in(&client).with(name, value)).await;
        assert_eq!(found["sub"], "usr_demo", "{name}");
        assert_eq!(found.get("acr"), None, "{name}: no level is made up");
    }
}

#[tokio::test]
async fn the_order_of_scopes_says_nothing_and_unknown_ones_are_dropped() {
    let world = World::start().await;
    let client = Client::partner(&world).await.signing_in();
    for scope in [
        "openid profile email",
        "email profile openid",
        "profile address openid phone email",
        "openid openid email profile",
    ] {
        let request = client.authorization().with("scope", scope);
        let code = client.code_of(&mut Browser::new(&world), request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        assert_eq!(tokens.scope, "email openid profile", "{scope}");
    }
}

/// OpenID Connect Core 2 and 5.7: who somebody is stays the same for every client and sign-in,
/// and an ID token is for one client alone.
#[tokio::test]
async fn an_id_token_says_who_when_and_for_whom_and_no_more() {
    let world = World::start().await;
    let partner = Client::partner(&world).await.signing_in();
    let app = Client::public(&world).await.signing_in();
    let mut subjects = Vec::new();
    for client in [&partner, &app, &partner] {
        let found = claims(&world, client, signing_in(client)).await;
        let mut names: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = ["amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "sub"];
        assert_eq!(names, expected, "no nonce was sent, so none comes back");
        assert_eq!(found["aud"], client.id);
        assert_eq!(found["iss"], world.issuer);
        let (iat, exp) = (found["iat"].as_u64().unwrap(), found["exp"].as_u64().unwrap());
        assert!(exp > iat && exp - iat <= 3600, "{found}");
        subjects.push(found["sub"].as_str().unwrap().to_owned());
    }
    subjects.dedup();
    assert_eq!(subjects.len(), 1);
    assert!(subjects[0].is_ascii() && subjects[0].len() <= 255);
}

#[tokio::test]
async fn max_age_zero_asks_for_the_password_each_time() {
    let world = World::start().await;
    let client = Client::partner(&world).await.signing_in();
    let mut browser = Browser::new(&world);
    client.code_of(&mut browser, signing_in(&client), Choice::default()).await;
    world.pass(std::time::Duration::from_secs(2));
    let now = signing_in(&client).with("max_age", "0");
    assert!(browser.visit(&now.url()).await.asks_to_sign_in());
    let silent = browser.open(&now.clone().with("prompt", "none").url()).await.reply;
    assert!(
        silent.text.contains("login_required")
            || silent.header("location").contains("login_required")
    );
    let long = signing_in(&client).with("max_age", "10000");
    assert!(!browser.visit(&long.url()).await.asks_to_sign_in());
    // What is no number of seconds is refused, and no overflow lets an old sign-in pass.
    for age in ["-1", "1e3", "99999999999999999999", " 5"] {
        let page = browser.open(&signing_in(&client).with("max_age", age).url()).await.reply;
        let told = format!("{}{}", page.text, page.header("location"));
        assert!(told.contains("invalid_request"), "{age}: {told}");
    }
}

/// RFC 6749 section 2.3.1: what proves a client never stands in an address.
#[tokio::test]
async fn nothing_that_stands_in_the_address_of_the_token_endpoint_counts() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let Credential::Basic(secret) = &client.credential else { panic!() };
    let good = client.proving(Credential::Post(secret.clone())).exchange(&code).parameters;
    let address = format!("{}?{}", client.endpoint("token_endpoint"), good.encode());
    for (url, body) in [
        (address.clone(), String::new()),
        (
            format!(
                "{}?client_secret={secret}&client_id=partner",
                client.endpoint("token_endpoint")
            ),
            client.proving(Credential::None).exchange(&code).parameters.encode(),
        ),
    ] {
        let reply = client.http.send(Method::POST, &url, form(), body).await;
        assert!(matches!(reply.status, 400 | 401), "RFC 6749 section 2.3.1: {}", reply.text);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(!reply.text.contains(secret.as_str()));
    }
    // Nothing was spent by that.
    Tokens::of(&client.exchange(&code).send().await);
}

/// RFC 7636 section 4.1: a verifier that could be guessed proves nothing, even if its digest fits.
#[tokio::test]
async fn a_verifier_that_is_too_short_too_long_or_of_other_letters_proves_nothing() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let long = "v".repeat(129);
    let spaced = format!("{} ", "v".repeat(43));
    let accent = format!("{}\u{e9}", "v".repeat(43));
    for verifier in ["v", &"v".repeat(42), &long, &spaced, &accent] {
        let request = client.authorization().with("code_challenge", &challenge_of(verifier));
        let answer = browser.answer(&request.url(), Choice::default()).await;
        let code = answer.value("code").to_owned();
        assert_ne!(code, "", "the digest itself is well formed");
        let post = client.exchange(&Code { code, verifier: verifier.to_owned() });
        is_problem(&post.send().await, 400, "invalid_grant", "RFC 7636 section 4.1");
    }
}

/// Each token and code opens what it was made for and is nothing anywhere else.
#[tokio::test]
async fn no_token_or_code_stands_for_another() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let request = client.authorization().with("scope", "openid contacts:read");
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        let fresh = client.code(&mut browser).await;
        for stranger in [&tokens.access, &tokens.id_token, &fresh.code, &code.code] {
            let reply = client.refresh(stranger).send().await;
            is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 6");
        }
        for stranger in [&tokens.access, &tokens.id_token, &tokens.refresh] {
            let bent = Code { code: stranger.clone(), verifier: fresh.verifier.clone() };
            let reply = client.exchange(&bent).send().await;
            is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 4.1.3");
        }
        for stranger in [&tokens.refresh, &tokens.id_token, &fresh.code] {
            let headers = tests::headers([("authorization", &format!("Bearer {stranger}"))]);
            let url = client.endpoint("userinfo_endpoint");
            let reply = client.http.send(Method::GET, url, headers, String::new()).await;
            assert_eq!((reply.status, &*reply.error()), (401, "invalid_token"), "{}", reply.text);
        }
        // And all of it left them as they were.
        Tokens::of(&client.exchange(&fresh).send().await);
        client.refreshed(&tokens.refresh).await;
    }
}

/// RFC 6749 section 10.10: what proves something cannot be guessed from what was given before.
#[tokio::test]
async fn what_is_given_out_has_nothing_in_common_with_what_was_given_before() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let mut given = [const { Vec::<String>::new() }; 3];
    for _ in 0..8 {
        let code = client.code(&mut browser).await;
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        let signature = tokens.access.rsplit('.').next().unwrap().to_owned();
        for (kind, one) in given.iter_mut().zip([code.code, tokens.refresh, signature]) {
            kind.push(one);
        }
    }
    for kind in &given {
        for (at, one) in kind.iter().enumerate() {
            for other in &kind[..at] {
                // 128 bits are 22 letters of 64; half of them alike would be one chance in 2^60.
                let alike = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b).count();
                assert!(one.len() >= alike + 22, "{one} and {other}");
            }
        }
    }
}

/// RFC 9700 section 4.11 and RFC 6749 section 10.14: what a request carries is never read as a
/// header, markup or another address.
#[tokio::test]
async fn what_a_request_carries_becomes_neither_header_nor_markup() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let nasty = "x\r\nSet-Cookie: planted=1\r\n\r\n<script>alert(1)</script>#\u{0}\u{202e}";
    let denied = Choice { deny: true, ..Choice::default() };
    for choice in [Choice::default(), denied] {
        let request = client.authorization().with("state", nasty);
        let page = browser.reach_consent(&request.url()).await;
        let reply = browser.decide(&page, choice).await.reply;
        assert_eq!(Callback::of(&reply).value("state"), nasty);
        assert_eq!(reply.headers.get_all("location").iter().count(), 1);
        assert!(!reply.header("location").contains(['<', '\r', '\n', ' ']));
        assert_eq!(reply.header("set-cookie"), "");
    }
    for name in [
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "prompt",
        "display",
        "login_hint",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "max_age",
    ] {
        let reply = browser.open(&client.authorization().with(name, nasty).url()).await.reply;
        assert!(reply.status < 500, "{name}: {}", reply.text);
        assert!(!reply.text.contains("<script>"), "{name}: {}", reply.text);
        let cookies = reply.headers.get_all("set-cookie").iter();
        assert!(
            cookies.into_iter().all(|one| !one.to_str().unwrap().contains("planted")),
            "{name}"
        );
        let location = reply.header("location");
        assert!(location.is_empty() || location.starts_with(&client.redirect_uri), "{name}");
    }
}

/// RFC 6749 section 3.1: a parameter that comes twice has no meaning, whichever reader is asked.
#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused_everywhere() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    for name in ["client_id", "redirect_uri", "scope", "state", "code_challenge", "response_type"] {
        for value in ["https://evil.example/cb", ""] {
            let mut request = client.authorization().with(name, "first");
            if name != "scope" {
                request = client.authorization();
            }
            request.parameters.add(name, value);
            let reply = browser.open(&request.url()).await.reply;
            if value.is_empty() {
                // One without a value counts as left out (RFC 6749 section 3.1).
                assert_ne!(reply.status, 500, "{name}");
            } else {
                is_error_page(&reply, name);
            }
        }
    }
    let code = client.code(&mut browser).await;
    for (name, value) in [("code", "other"), ("client_id", "kiosk"), ("grant_type", "password")] {
        let mut post = client.exchange(&code);
        post.parameters.add(name, value);
        is_problem(&post.send().await, 400, "invalid_request", "RFC 6749 section 3.2");
    }
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let mut revocation = client.revocation(&tokens.refresh);
    revocation.parameters.add("token", &tokens.access);
    is_problem(&revocation.send().await, 400, "invalid_request", "RFC 7009 section 2.1");
    let server = Client::resource_server(&world).await;
    let mut question = server.introspection(&tokens.access);
    question.parameters.add("token", "other");
    is_problem(&question.send().await, 400, "invalid_request", "RFC 7662 section 2.1");
    client.refreshed(&tokens.refresh).await;
}

/// A client is known by its very letters.
#[tokio::test]
async fn a_client_id_is_compared_as_it_stands() {
    let world = World::start().await;
    let kiosk = Client::kiosk(&world).await;
    for id in ["Kiosk", "kiosk ", " kiosk", "kiosk\u{0}", "k%69osk", "kiosk/", "ｋiosk"] {
        let reply = kiosk.http.get(&kiosk.authorization().with("client_id", id).url()).await;
        is_error_page(&reply, id);
        let mut client = kiosk.clone();
        client.id = id.to_owned();
        is_problem(&client.refresh("a token").send().await, 401, "invalid_client", id);
    }
}

/// RFC 7591 section 2: what a client says of itself at the token endpoint is not believed.
#[tokio::test]
async fn nobody_acts_for_another_client_by_naming_it_elsewhere() {
    let world = World::start().await;
    let partner = Client::partner(&world).await;
    let code = partner.code(&mut Browser::new(&world)).await;
    for other in ["kiosk", "resource-server", "nobody"] {
        let mut post = partner.exchange(&code);
        post.set("client_id", other);
        let reply = post.send().await;
        assert!(matches!(reply.status, 400 | 401), "{other}: {}", reply.text);
    }
    let body = json!({ "grant_type": "refresh_token" }).to_string();
    let mut post = partner.refresh("a token");
    post.parameters = Parameters::default();
    post.raw_body = Some(body);
    is_problem(&post.send().await, 400, "invalid_request", "RFC 6749 section 3.2");
    Tokens::of(&partner.exchange(&code).send().await);
}
